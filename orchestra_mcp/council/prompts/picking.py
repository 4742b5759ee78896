"""In which way a developer is stuck: the signs of each mode, weighed. Pure."""

from __future__ import annotations

import re
from functools import cache

from orchestra_mcp.types import Mode, Question

CLEAR, LIKELY, HINT = 4, 2, 1
ERROR, DIFF = 6, 2
"""What an attached error says for `debug`, and an attached diff for `quality`."""
MAX_TEXT = 20_000
"""Characters of a question in which signs are looked for."""

MODES: dict[Mode, dict[int, str]] = {
    # What each way of being stuck sounds like: weight → signs, which are pattern pieces that begin at a word's beginning
    # and end at its end; `*` stands for the rest of a word. Among equals the first mode wins. Add a mode here, and its
    # file in `modes/`.
    "security": {
        CLEAR: "vulnerab*|exploit*|*injection|inject(?:s|ed|ing)?|csrf|xss|ssrf|xxe|rce|secure|security|insecure|attacker*|malicious|path traversal|privilege escalation|cve*|owasp|brute[- ]force|spoof*|tamper*",
        LIKELY: "sanitiz*|user input|unescaped|escap(?:e|ed|ing)|sanitis*|untrusted|secrets?|hash(?:ed|ing)? passwords?|passwords?|permissions?|leak(?:s|ed|ing)? (?:tokens?|secrets?|credentials?|data)|safe to (?:eval|exec|deserialize|unpickle|pickle|expose|log|store|trust)|bypass*|forge[ds]?|without (?:being |a )?(?:logged in|login|authenticat*|permission)|anyone can|could (?:someone|anyone|somebody)",
        HINT: "auth|authentication|authori[sz]ation|encrypt*|token|safe",
    },
    "performance": {
        CLEAR: "slow|slower|slowly|slowdown|latency|performance|memory leak|profil(?:e|er|ing)|throughput|faster|speed up|speed it up|bottleneck*|too much memory|high cpu|100 ?% cpu|n\\+1|out of memory|oom|p9[59]|tak(?:es?|ing) (?:\\d+|several|many|ages|forever|minutes|hours|too long|so long|long)(?: \\w+)?",
        LIKELY: "cpu|optimi[sz]*|memory usage|uses? \\d+ ?[gm]b|ram|grows?|seconds|cache misses|efficient*|expensive|benchmark*|quadratic|scales? (?:badly|poorly)|lag|laggy",
        HINT: "memory|cach(?:e|ed|ing)|quick|quickly|time|times",
    },
    "testing": {
        CLEAR: "(?:write|writing|add|adding|missing|more|unit|integration|regression|property|which|what) tests?|(?:a|the) tests? for|how (?:do|can|should) (?:i|we) test|how to test|test cases?|coverage|untested|flaky|mocking|fixtures?|test (?:suite|plan|strategy|doubles?)|property[- ]based|hypothesis|tested",
        LIKELY: "mocks?|mocked|pytest|jest|junit|vitest|stub(?:s|bed)?|testable|fuzz*|assertions?",
        HINT: "tests?|testing",
    },
    "debug": {
        CLEAR: "exception|traceback|stack ?trace|crash(?:es|ed|ing)?|segfaults?|\\w{3,40}error|\\w{3,40}exception|hangs?|deadlock*|stack overflow|panics?|nullpointer*|nan|regression|root cause|understand why|no idea why|figure out why",
        LIKELY: "errors?|fails?|failed|failing|failure|bugs?|broken|breaks?|wrong|incorrect(?:ly)?|why (?:does|do|did|is|are|am|was|isn['’]?t|doesn['’]?t|won['’]?t|can['’]?t|would)|stopped working|used to work|not working|does ?n[o'’]?t work|unexpected(?:ly)?|expected|instead of|missing|stuck|lost|loses|disappear*|duplicated?|doubled|twice|sometimes|intermittent(?:ly)?|returns? (?:none|null|undefined|nothing|empty|\\d+)|undefined|off[- ]by[- ]one|reversed|swapped|out of order|mixed up|resets?|debug|race condition",
        HINT: "fix|issue|problem|strange|weird|odd|only (?:on|in|when)|since|raises|no longer",
    },
    "refactoring": {
        CLEAR: "refactor*|renam(?:e|ing)|clean(?:ing)? up|dead code|duplicate code|duplicat(?:ion|ed code)|split (?:\\w+ )?up|extract(?:ing)? (?:a |an |the |this |it )?(?:\\w+ )?(?:class|function|method|module|interface|helper|component|into|out)|split(?:ting)? (?:up )?(?:this|the|it|that|our)(?: \\w+)* (?:class|function|method|module|file|component|into)|god (?:class|object)|untangle|de-?duplicate|inline (?:this|the)|get rid of",
        LIKELY: "restructur*|simplif*|decoupl*|mov(?:e|ing) (?:this|the|it|these|our) [^.?!]{0,40} (?:to|into|out)|without (?:changing|breaking)|(?:replace|convert|port) [^.?!]{0,60} (?:with|to|into)|repeated|copy[- ]?pasted?|legacy|spaghetti|lines long|too long|break (?:this|it) up",
        HINT: "cleaner|messy|reuse|migrat*",
    },
    "integration": {
        CLEAR: "integrat(?:e|es|ing|ion with)|webhooks?|third[- ]party|sdk|oauth*|upgrad(?:e|es|ed|ing)|compatib*|incompatib*|connect(?:ing)? (?:\\w+ ){0,3}(?:to|with)|rate limit*|breaking changes?|bump(?:ed|ing)?|saml|sso",
        LIKELY: "apis?|endpoints?|version of|versions?|client library|grpc|kafka|stripe|s3|aws|docker|kubernetes|ci|github actions|certificate*|handshake|timeouts?|retry|retries|proxy|v\\d+|dependency conflict|peer dependency|talk to|idempoten*|hook (?:\\w+ ){0,2}up",
        HINT: "dependenc(?:y|ies)|service|config|configuration|library|401|403|429|502|503",
    },
    "architecture": {
        CLEAR: "architect*|should (?:we|i) (?:use|split|go|move|adopt|choose|pick|switch|store|keep|introduce|build|put|separate|have|make)|which (?:\\w+ ){0,3}should (?:we|i)|trade-?offs?|choos(?:e|ing) between|pros and cons|monolith|microservices?|event[- ]driven|\\w+ (?:vs\\.?|versus) \\w+|better to|is it worth|long[- ]term",
        LIKELY: "designs?|designing|structure|scal(?:e|es|able|ability|ing)|should (?:we|i)|should (?:the|our|this) [^.?!]{1,80} or|do we (?:want|need)|boundar(?:y|ies)|layers?|decide|decision|approach|multi[- ]tenant*|which (?:database|framework|library|pattern|option|approach|queue|one)|how should (?:we|i)|organi[sz]e|data model|schema|or (?:rather|should)",
        HINT: "modules?|pattern|options?|alternatives?|queue|choose",
    },
    "communication": {
        CLEAR: "explain (?:\\w+ ){0,6}to (?:my|our|the|a|non)|commit message|(?:pull request|pr|mr|merge request) (?:description|title|body|text)|summari[sz]e|summary|release notes?|changelog|post-?mortem|draft|announcement|status update|write[- ]up|write (?:\\w+ ){0,3}(?:e-?mail|message|docs?|documentation|readme|docstrings?|rfc|adr|ticket|issue|description|announcement)",
        LIKELY: "document|documentation|docstrings?|readme|stakeholders?|non-technical|reply to|word this|phrase|describe|tell (?:the|our|my) (?:team|customers?|users?|boss|manager|client)|describ(?:e|ing)",
        HINT: "team|customers?|manager|e-?mail",
    },
    "learning": {
        CLEAR: "how (?:does|do) (?:[^.?!]{1,80} )?works?|how (?:is|are|does|do) [^.?!]{1,80}\\?|what (?:is|are|does|do) [^.?!]{1,80}\\?|explain|understand(?:ing)?|difference between|walk me through|teach|new to|where (?:is|are|does|do|in) [^.?!]{1,80}\\?|what['’]?s the (?:point|purpose|idea|difference)|learn(?:ing)?",
        LIKELY: "how (?:does|do)|what (?:is|are|does)|meaning of|mean|means|purpose of|tutorial|overview|who calls|onboarding|confus(?:ed|es|ing)",
        HINT: "why|where|concept",
    },
    "quality": {
        CLEAR: "(?:code )?reviews?|review(?:ed|ing)?|quality|code smells?|best practices?|look over|feedback on|ready to merge|sanity[- ]check|critique|nitpick*|before (?:i|we) merge|lgtm|idiomatic",
        LIKELY: "readab*|maintain*|conventions?|clean code|my (?:changes?|diff|pr|patch|branch)|pull request|improve|anything wrong|did i miss|edge cases?|opinion",
        HINT: "better|diff|commit|style|good",
    },
}  # fmt: skip


def pick_mode(question: Question) -> Mode:
    """The mode that was asked for, or the one for which the question's signs weigh most; `quality` when there are none.

    Every sign counts once however often it occurs. An attached error speaks for `debug`, a diff for `quality`.
    """
    if question.mode != "auto":
        return question.mode
    scores = weigh(question.text)
    if question.error.strip():
        scores["debug"] += ERROR
    if question.diff.strip():
        scores["quality"] += DIFF
    best = max(scores, key=lambda mode: scores[mode])  # the first among equals
    return best if scores[best] else "quality"


def weigh(text: str) -> dict[Mode, int]:
    """How much each mode's signs in a text weigh together."""
    text = " ".join(text[:MAX_TEXT].lower().split())
    return {
        mode: sum(weight * len(set(pattern.findall(text))) for weight, pattern in _patterns(mode)) for mode in MODES
    }


@cache
def _patterns(mode: Mode) -> tuple[tuple[int, re.Pattern[str]], ...]:
    return tuple((weight, re.compile(rf"(?<!\w)(?:{_words(signs)})(?!\w)")) for weight, signs in MODES[mode].items())


def _words(signs: str) -> str:
    """A `*` at the beginning or end of a sign is the rest of a word."""
    return "|".join(re.sub(r"^\*|(?<=[\w\]])\*$", r"\\w{0,30}", sign) for sign in _split(signs))


def _split(signs: str) -> list[str]:
    """At the bars that stand in no brackets."""
    depth, begin, found = 0, 0, []
    for place, character in enumerate(signs):
        depth += (character in "([") - (character in ")]")
        if character == "|" and depth == 0:
            found.append(signs[begin:place])
            begin = place + 1
    return [*found, signs[begin:]]
