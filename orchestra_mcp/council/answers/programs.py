"""Answers that are programs: which text is the program, on which inputs programs are compared, and what that shows. Pure.

Alike behaviour on shared inputs is the best sign of a right program that there is short of its tests (AUROC .80 to .93
on stored answers of real models, against .54 to .71 for alike text).
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestra_mcp.council.answers.patches import SEARCH
from orchestra_mcp.council.answers.samples import distinct, parsed, probe_in, probes_of
from orchestra_mcp.types import Behaviour, Probe

__all__ = ["passes", "probes_from", "probes_of", "program_in", "same_behaviour", "shared", "telling"]

MAX_SHARED = 20
"""Inputs on which programs are compared; more tell little more (agreement is as telling with 5 as with 10)."""
FAILED = ("EXC:", "TIMEOUT", "UNSTABLE", "TOO MUCH")

# Tag of a fence → the language's name. Add here; a tag that is missing stands for itself.
LANGUAGES = {
    "py": "python", "python3": "python", "js": "javascript", "node": "javascript", "jsx": "javascript",
    "ts": "typescript", "tsx": "typescript", "c++": "cpp", "cc": "cpp", "cxx": "cpp", "c#": "csharp", "cs": "csharp",
    "golang": "go", "rs": "rust", "rb": "ruby", "kt": "kotlin", "sh": "bash", "shell": "bash", "zsh": "bash",
}  # fmt: skip
# Fences with what is no program. Add here.
NO_PROGRAM = frozenset(
    "diff patch text txt plain plaintext output console log json yaml yml toml ini xml html css md markdown csv http pycon mermaid".split()
)
# What gives a language away in code without a tag: the first row that matches. Add here.
MARKS = (
    ("cpp", re.compile(r"^\s*#include\s*<(?:iostream|vector|string|bits|algorithm|map|memory)", re.MULTILINE)),
    ("c", re.compile(r"^\s*#include\s*<\w+\.h>", re.MULTILINE)),
    ("java", re.compile(r"^\s*(?:public\s+)?(?:final\s+)?class\s+\w+[^:\n]*\{|^\s*import java", re.MULTILINE)),
    ("go", re.compile(r"^package \w+$|^func (?:\([^)\n]{1,80}\) )?\w+\(", re.MULTILINE)),
    ("rust", re.compile(r"^\s*(?:pub )?fn \w+|^\s*let mut |^use std::", re.MULTILINE)),
    ("python", re.compile(r"^\s*(?:def \w+\(|class \w+[^{\n]*:|from [\w.]+ import |import \w+)", re.MULTILINE)),
    (
        "typescript",
        re.compile(
            r"^\s*(?:export )?(?:interface|type) \w+|^\s*(?:export )?function \w+\([^)\n]*:\s*\w+", re.MULTILINE
        ),
    ),
    (
        "javascript",
        re.compile(r"^\s*(?:export )?(?:async )?function \w+|^\s*(?:const|let|var) \w+ = |=> \{", re.MULTILINE),
    ),
    ("ruby", re.compile(r"^\s*def \w+[^:\n]*$", re.MULTILINE)),
)
CODE_LINE = re.compile(
    r"^(?:[ \t]+\S|[})\]\"'@#]|(?:from [\w.]+ import|import [\w.]+|class \w+|def \w+|async |return\b|if .*:|for .*:|while .*:|else:|elif |"
    r"try:|except|with .*:|print\(|assert |global |raise |const |let |var |function |public |private |static |package |func |use |fn |#include|"
    r"[\w.\[\], ]+ ?[-+*/|&]?= ?\S|[\w.]+\(.*\);?$|.*[{};]$))"
)
"""Lines that are code in some language: indented, or beginning like a statement."""
ASKS = re.compile(
    r"\b(?:writ|implement|complet|cod|creat|defin|finish|fill|program|solv|provid|generat)(?:e|es|ing|d)?\b[^.?\n]{0,80}"
    r"\b(?:function|class|method|program|code|script|solution|algorithm|decorator|module|snippet|query|one-liner)s?\b",
    re.IGNORECASE,
)
NAMED = re.compile(r"^[ \t]*(?:async[ \t]+def|def|class|function|func|fn)[ \t]+(\w+)", re.MULTILINE)


# ---------------------------------------------------------------------------------------------------- the program


@dataclass(frozen=True)
class _Block:
    code: str
    tag: str

    @property
    def language(self) -> str:
        return LANGUAGES.get(self.tag, self.tag) or language_of(self.code)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(NAMED.findall(self.code))

    @property
    def lines(self) -> int:
        return sum(1 for line in self.code.split("\n") if line.strip())


PRYING = (
    ast.Import,
    ast.ImportFrom,
    ast.Global,
    ast.Nonlocal,
    ast.Delete,
    ast.Try,
    ast.With,
    ast.While,
    ast.Await,
    ast.Yield,
)
"""What no input needs."""
LOOKING = frozenset(
    """hash id open exec eval compile globals locals vars dir input breakpoint getattr setattr delattr memoryview type super
    object help exit quit time sys os random gc inspect ctypes threading subprocess socket builtins importlib""".split()
)
"""Names through which an input would look at more than what the program gives back."""


def program_in(answer: str, question: str) -> tuple[str, str]:
    """The program that an answer consists of, and its language; two empty texts when it is none.

    A reply that is code is one; so is a fenced block that defines what the question asks for, or that makes up most of
    an answer to a question for code. Of several such blocks the last counts, with those that it needs. An explanation
    with snippets is no program, and neither is a patch.
    """
    answer = answer.replace("\r\n", "\n").strip("\n")
    blocks, prose = _blocks(answer)
    if not blocks:
        code = _bare_code(answer)
        return (code, language_of(code)) if code else ("", "")
    candidates = [block for block in blocks if _is_program(block)]
    if not candidates or not (_asks_for_code(question) or not prose.strip()):
        return "", ""
    wanted = _wanted(question)
    main = [block for block in candidates if block.names & wanted]
    if not main:
        defining = [block for block in candidates if block.names] or candidates
        lines = sum(block.lines for block in candidates)
        words = sum(1 for line in prose.split("\n") if line.strip())
        if (lines < 3 and not defining[-1].names) or 3 * lines < 2 * words:
            return "", ""
        main = [
            max(defining, key=lambda block: (block.lines >= max(b.lines for b in defining) / 2, defining.index(block)))
        ]
    code = _with_what_it_needs(main[-1], candidates)
    return code, main[-1].language


def language_of(code: str) -> str:
    """The language of code without a tag; empty when nothing gives it away."""
    if parsed(code) is not None:
        return "python"
    return next((language for language, mark in MARKS if mark.search(code)), "")


def _blocks(answer: str) -> tuple[list[_Block], str]:
    """Fenced blocks, the last one also when its fence is never closed, and the prose around them."""
    blocks: list[_Block] = []
    prose: list[str] = []
    inside: list[str] | None = None
    fence = tag = ""
    for line in answer.split("\n"):
        match = re.match(r"^ {0,3}(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^`]*$", line)
        if inside is None and match:
            inside, fence, tag = [], match.group(1), match.group(2).lower()
        elif inside is not None and match and match.group(1).startswith(fence) and not match.group(2):
            blocks.append(_Block("\n".join(inside).strip("\n"), tag))
            inside = None
        else:
            (prose if inside is None else inside).append(line)
    if inside:
        blocks.append(_Block("\n".join(inside).strip("\n"), tag))
    return blocks, "\n".join(prose)


def _is_program(block: _Block) -> bool:
    if not block.code.strip() or block.tag in NO_PROGRAM or SEARCH.search(block.code):
        return False
    patch = re.match(r"(?:diff --git|--- \S[^\n]*\n\+\+\+ |@@ )", block.code)
    return not (patch or ">>>" in block.code.lstrip()[:3] or block.code.lstrip().startswith(("$ ", "Traceback")))


def _bare_code(answer: str) -> str:
    """A reply without fences that is code, perhaps below a line or two of prose; else nothing."""
    lines = answer.split("\n")
    start = next((i for i, line in enumerate(lines) if CODE_LINE.match(line)), None)
    if start is None or start > 4 or re.match(r"(?:diff --git|--- |@@ )", answer.lstrip()):
        return ""
    body = "\n".join(lines[start:])
    tree = parsed(body)
    if tree is not None:
        statements = any(not isinstance(node, ast.Expr) for node in tree.body)
        calls = all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) for node in tree.body)
        return body if statements or (calls and tree.body) else ""
    full = [line for line in lines[start:] if line.strip()]
    looks = sum(bool(CODE_LINE.match(line)) for line in full)
    return body if len(full) >= 4 and looks >= 0.85 * len(full) and any(mark.search(body) for _, mark in MARKS) else ""


def _asks_for_code(question: str) -> bool:
    return not question or bool(ASKS.search(question)) or bool(_wanted(question)) or bool(probes_of(question))


def _wanted(question: str) -> frozenset[str]:
    """What a question's starter code defines: the classes and functions at the margin that are to be filled in."""
    named = re.findall(r"^(?:async[ \t]+def|def|class|function|func|fn)[ \t]+(\w+)", question, re.MULTILINE)
    asked = re.findall(r"\b(?:function|class|method)\s+(?:named |called )?`?([A-Za-z_]\w+)`?\s*\(", question)
    asked += re.findall(r"\b(?:class|function|method) (?:named |called )?`([A-Za-z_]\w+)`", question)
    return frozenset((*named, *asked))


def _with_what_it_needs(main: _Block, blocks: Sequence[_Block]) -> str:
    """The program with earlier blocks that define what it uses and does not define itself."""
    parts = [main.code]
    have = set(main.names)
    for block in reversed(blocks[: blocks.index(main)]):
        words = set(re.findall(r"\w+", "\n".join(parts)))
        if block.language == main.language and (block.names & words) - have and not block.names & have:
            parts.insert(0, block.code)
            have |= block.names
    return "\n\n".join(parts)


# ---------------------------------------------------------------------------------------------------- comparing


def probes_from(inputs: Sequence[str], seat: str) -> tuple[Probe, ...]:
    """What an expert proposed as inputs: calls, `assert f(1) == 2`, doctest lines, or text to be typed in.

    They run inside the programs of others, so only plain data goes in: no imports, no names with underscores around
    them, nothing that looks at the program itself, the clock or the machine.
    """
    return distinct(probe for text in inputs if (probe := probe_in(text, seat)) and _is_plain(probe))


def _is_plain(probe: Probe) -> bool:
    if probe.kind != "call":
        return True
    tree = parsed(probe.text)
    return tree is not None and all(_may_stand(node) for node in ast.walk(tree))


def _may_stand(node: ast.AST) -> bool:
    if isinstance(node, PRYING):
        return False
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name not in LOOKING and not name.startswith("_") and not name.startswith(("f_", "gi_", "cr_", "tb_", "co_"))


def shared(probes: Sequence[Probe]) -> tuple[Probe, ...]:
    """At most 20 inputs of one kind for all programs: the question's first, then those of the experts in turn.

    Experts take turns, so that nobody's inputs decide alone. What an expert expects is not kept: it is that expert's
    opinion, and not the question's word.
    """
    asked = [probe for probe in probes if probe.source == "question"]
    kinds = [probe.kind for probe in asked or probes]
    if not kinds:
        return ()
    kind = "stdin" if kinds.count("stdin") > len(kinds) / 2 else "call"
    queues: dict[str, list[Probe]] = {}
    for probe in probes:
        if probe.source != "question":
            queues.setdefault(probe.source, []).append(probe.model_copy(update={"expected": None}))
    longest = max(map(len, queues.values()), default=0)
    turns = [queue[i] for i in range(longest) for queue in queues.values() if i < len(queue)]
    return distinct(probe for probe in (*asked, *turns) if probe.kind == kind)[:MAX_SHARED]


def same_behaviour(
    a: Behaviour, b: Behaviour, probes: Sequence[Probe] = (), ignored: frozenset[int] = frozenset()
) -> bool:
    """Whether two programs did the same on every shared input; programs that did nothing but fail are never alike.

    Args:
        a, b: what the two did, on the same inputs in the same order.
        probes: those inputs; without them nothing is ignored.
        ignored: indexes that do not count, as `telling` finds them. Where nothing would be left, all count.
    """
    counted = [index for index in range(len(probes)) if index not in ignored]
    if counted and len(counted) < len(probes) == len(a.outcomes) == len(b.outcomes):
        a, b = (x.model_copy(update={"outcomes": tuple(x.outcomes[index] for index in counted)}) for x in (a, b))
    return worked(a) and worked(b) and a.outcomes == b.outcomes


def telling(behaviours: Iterable[Behaviour], probes: Sequence[Probe]) -> frozenset[int]:
    """Indexes of the inputs that tell nothing, and do not count: one seat proposed them, and a program failed there.

    Such an input may lie outside of what was asked for, where right programs differ. The question's own inputs always
    count, and a program that failed on every input says nothing about inputs.
    """
    working = [behaviour.outcomes for behaviour in behaviours if worked(behaviour)]
    return frozenset(
        index
        for index, probe in enumerate(probes)
        if probe.source not in ("question", "")
        and any(index < len(outcomes) and outcomes[index].startswith(FAILED) for outcomes in working)
    )


def worked(behaviour: Behaviour) -> bool:
    """Whether a program gave a result on any input at all."""
    return behaviour.loaded and any(not outcome.startswith(FAILED) for outcome in behaviour.outcomes)


def passes(behaviour: Behaviour, probes: Sequence[Probe]) -> tuple[int, int]:
    """How many of the outcomes that the question itself gives came out, of how many; a program that did not load has
    none. What experts expect is not counted."""
    known = [index for index, probe in enumerate(probes) if probe.expected is not None and probe.source == "question"]
    outcomes = behaviour.outcomes if behaviour.loaded else ()
    right = sum(index < len(outcomes) and came_out(outcomes[index], probes[index]) for index in known)
    return right, len(known)


def came_out(outcome: str, probe: Probe) -> bool:
    """Whether an outcome is what was expected: text as Python's doctest compares it (blanks and ellipses are lenient),
    values by equality, numbers to a millionth, standard output word by word."""
    expected = (probe.expected or "").strip()
    if outcome == "TIMEOUT":
        return False
    if outcome.startswith("EXC:"):
        raised = re.findall(r"^(?:\w+\.)*(\w+)(?::|$)", expected, re.MULTILINE)
        return expected.startswith("Traceback") and raised[-1:] == [outcome[4:].split(".")[-1]]
    if probe.kind == "stdin":
        given, wanted = outcome.split(), expected.split()
        return len(given) == len(wanted) and all(map(_same_word, given, wanted))
    if " ".join(outcome.split()) == " ".join(expected.split()):
        return True
    one, two = _literal(outcome), _literal(expected)
    if one is not _NONE and two is not _NONE:
        return _equal(one, two)
    if isinstance(one, str) and " ".join(one.split()) == " ".join(expected.split()):
        return True  # the question shows what is printed, not how Python writes it
    return "..." in expected and _elliptic(outcome, expected)


def _same_word(one: str, two: str) -> bool:
    if one == two:
        return True
    # Only what is written as a fraction may differ in its last digits; 10 and 10.0, and identifiers like 1e3, may not.
    if not ("." in one and "." in two):
        return False
    try:
        return math.isclose(float(one), float(two), rel_tol=1e-6, abs_tol=1e-9)
    except ValueError:
        return False


class _Nothing:
    pass


_NONE = _Nothing()


def _literal(text: str) -> object:
    tree = parsed(text.strip())
    if tree is None or len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr):
        return _NONE
    try:
        value: object = ast.literal_eval(tree.body[0].value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return _NONE
    return value


def _equal(one: object, two: object) -> bool:
    """Equality as a test's `assertEqual` has it, but that numbers may differ by a millionth and truth is no number."""
    if isinstance(one, bool) or isinstance(two, bool):
        return isinstance(one, bool) and isinstance(two, bool) and one == two
    if isinstance(one, (int, float)) and isinstance(two, (int, float)):
        if isinstance(one, int) and isinstance(two, int):
            return one == two
        try:
            return math.isclose(one, two, rel_tol=1e-6, abs_tol=1e-6)
        except OverflowError:
            return False
    if isinstance(one, (list, tuple)) and isinstance(two, (list, tuple)):
        return type(one) is type(two) and len(one) == len(two) and all(map(_equal, one, two))
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_equal(one[key], two[key]) for key in one)
    return one == two


def _elliptic(text: str, pattern: str) -> bool:
    """Whether a text has the parts between ellipses in their order, as doctest's ELLIPSIS has it."""
    first, *middle, last = [" ".join(part.split()) for part in pattern.split("...")]
    text = " ".join(text.split())
    if not text.startswith(first) or not text[len(first) :].endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end
