"""Questions that developers ask aloud, as templates: what the embedded engine can understand. Data, and its expansion.

A line is words and slots. `(a|b)` is one of, an empty choice is left out. `<name>` stands for a rule of `RULES`, which is
expanded too; `[class]` stands for any word of a class: those of `CLASSES`, and `identifier`, `file` and `branch`, whose
words are the current project's. Add here; every line costs little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

RULES: Final[dict[str, str]] = {
    "my": "(my|the|this|our)",
    "kind": "(function|class|method|module|test)",
    "named": "((|the )[identifier]|the [identifier] <kind>|the <kind> [identifier]|(|the file )[file])",
    "subject": "(<my> [thing]|<named>|this|it)",
    "object": "(<my> [thing]|<named>|this)",
    "revision": "(the last commit|this commit|the last change|my changes|these changes|the diff|this pull request|my pull request|this branch|(|the branch )[branch])",
    "act": "([act] <object>|[act] it|merge <revision>|deploy <revision>|revert the last commit|deploy on friday|run this in production|ship this)",
    "here": "(| here| for this| for that| in this project)",
}
"""Parts of templates. Add here."""

TEMPLATES: Final = (
    "why is <subject> [state]",
    "why are <my> [things] [state]",
    "why (does|did) <subject> [fail]",
    "why do <my> [things] [fail]",
    "why do I get (this|an|that) [error]",
    "what is wrong with <object>",
    "what is wrong (here|with it)",
    "what went wrong",
    "what broke <my> [thing]",
    "what (does|did) <object> do",
    "what (does|did) <revision> (change|break|do)",
    "what changed (|in <object>|since yesterday|since the last commit)",
    "what is <object> for",
    "what (is|causes) (this|that|the) [error]",
    "what should I (do next|test|fix first)",
    "what is the best way to <act>",
    "what do you think (of|about) <object>",
    "where is <named> (defined|used|called)",
    "where is the [error] (|coming from)",
    "who calls <named>",
    "who changed <object>",
    "when did <subject> (break|change)",
    "explain <object>",
    "explain (the|this|that) [error]",
    "explain <revision>",
    "explain how <named> works",
    "how does <object> work",
    "how (do I|do we|can I|can we|should I|should we) <act>",
    "how (do I|do we|can I|can we|should I|should we) make <subject> [better]",
    "how (do I|do we|can I|can we|should I|should we) (fix|debug|reproduce) (the|this|that) [error]",
    "how (big|risky|safe) is <revision>",
    "is it safe to <act>",
    "is it okay to <act>",
    "is <subject> [good]",
    "is <revision> [good]",
    "is there a (bug|race|leak|better way|simpler way|security hole) in <object>",
    "is there a (better|simpler|faster|safer) way to <act>",
    "are <my> [things] [good]",
    "can (I|we) <act>",
    "could <revision> break (anything|production|<object>)",
    "does <object> (|still )(work|leak|scale)",
    "does <object> have (a bug|a race|a leak|tests)",
    "does <revision> (break anything|need tests|need a migration)",
    "did (I|we) break (anything|<object>)",
    "should (I|we) <act>",
    "should (I|we) use [tech] or [tech]<here>",
    "should (I|we) use [tech]<here>",
    "should <object> be (a class|a function|async|cached|tested|private|split)",
    "which is better [tech] or [tech]<here>",
    "do (I|we) need [tech]<here>",
    "do (I|we) need (more tests|a lock|a migration|an index)<here>",
    "review <object>",
    "review <revision>",
    "check <object>",
    "check <revision>",
    "summarize <object>",
    "summarize <revision>",
    "find the bug (|in <object>)",
    "fix <object>",
    "find (a|the) (memory leak|race condition|security hole) in <object>",
    "suggest (a fix|a better name|a test) for <object>",
    "write a test for <object>",
    "give me a summary (|of <revision>)",
)
"""What can be asked. Add here."""

CLASSES: Final[dict[str, str]] = {
    "thing": """test, tests, build, code, server, client, database, query, function, class, method, module, file, loop,
        cache, pipeline, deployment, container, docker image, script, service, a p i, endpoint, request, response, schema,
        migration, lock, queue, thread, process, parser, regex, config, branch, project, app, web app, frontend, backend,
        index, table, login, type checker, linter, compiler, import, dependency, job, worker, page, form, button,
        design, approach, architecture, algorithm, patch, fix, change, handler, hook, component, test suite, c i""",
    "things": "tests, builds, changes, queries, requests, imports, types, dependencies, threads, workers, jobs, functions, pages",
    "state": """failing, broken, slow, so slow, crashing, hanging, red, flaky, not working, timing out, leaking memory, empty,
        so big, so complicated, stuck, still failing, still slow, not compiling, wrong, undefined, none, null, deadlocked""",
    "fail": """fail, crash, hang, time out, break, leak, leak memory, take so long, return none, return null, block, deadlock,
        use so much memory, raise an exception, not work, not compile, loop forever""",
    "good": """safe, thread safe, correct, fast enough, ready, ready to merge, too slow, too big, too complicated, readable,
        secure, okay, done, a good idea, tested, used, dead code, broken""",
    "better": "faster, simpler, safer, smaller, cleaner, more readable, easier to test, thread safe, async, more robust, work",
    "error": """error, error message, exception, stack trace, traceback, warning, crash, failure, bug, deadlock, timeout,
        memory leak, race condition, type error, key error, null pointer, segfault, test failure, log, output""",
    "act": """delete, remove, refactor, rename, upgrade, test, debug, cache, deploy, restart, retry, split, merge, rewrite,
        drop, change, profile, mock, lock, inline, simplify, fix, ship, document, publish, move, share""",
    "tech": """sqlite, postgres, my sequel, redis, mongo d b, kafka, a queue, a database, threads, processes, async, async i o,
        typescript, javascript, python, rust, go, java, json, yaml, xml, protobuf, graph q l, rest, g r p c, web sockets,
        a class, a function, a data class, a dictionary, a list, a set, a cache, a lock, an index, type hints, inheritance,
        composition, docker, kubernetes, react, view, svelte, django, flask, fast a p i, pytest, mocks, a regex, a parser,
        an o r m, raw sequel, microservices, a monolith, git rebase, git merge, feature flags, a monorepo, generics,
        interfaces, exceptions, dependency injection, a library, a framework, polling, events, cookies, sessions, tokens""",
}  # fmt: skip
"""Words, separated by commas, that may stand in a slot; several words count as one. Add here."""

PROJECT_CLASSES: Final = ("identifier", "file", "branch")

IN_PROJECT: Final = ("in", "project", "[project]")
"""What may follow any question."""

COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    "yes": ("yes", "yeah", "yep", "yes please", "send it", "correct", "that is right", "okay", "sure"),
    "no": ("no", "nope", "no thanks", "wrong", "that is wrong", "do not send it"),
    "cancel": ("cancel", "cancel that", "never mind", "forget it", "stop", "stop it", "be quiet"),
    "repeat": ("repeat", "repeat that", "say that again", "say it again", "again", "pardon"),
    "more": ("more", "tell me more", "more please", "go on", "the details", "read the details"),
    "mute": ("mute", "mute yourself", "stop listening", "go to sleep"),
}
"""What can be said to Orchestra itself, by what it means. Add here."""

_PIECE = re.compile(r"\(|\)|\||<\w+>|\[\w+\]|[^()|<>\[\]]+")


@lru_cache(maxsize=1)
def sentences() -> tuple[tuple[str, ...], ...]:
    """Every template written out, as words and `[class]` tokens."""
    found = [tuple(sentence.lower().split()) for template in TEMPLATES for sentence in expand(template)]
    return tuple(dict.fromkeys((*found, *((*sentence, *IN_PROJECT) for sentence in found))))


def members(name: str) -> tuple[str, ...]:
    """The words of a class of `CLASSES`."""
    return tuple(dict.fromkeys(" ".join(word.split()) for word in CLASSES[name].split(",")))


def expand(template: str) -> list[str]:
    """All that one template stands for; `[class]` stays as it is."""
    pieces = iter(_PIECE.findall(template))
    return _choices(pieces)


def _choices(pieces: Iterator[str]) -> list[str]:
    done: list[str] = []
    now = [""]
    for piece in pieces:
        if piece == ")":
            break
        if piece == "|":
            done += now
            now = [""]
            continue
        if piece == "(":
            inner = _choices(pieces)
        elif piece.startswith("<"):
            inner = expand(RULES[piece[1:-1]])
        else:
            inner = [piece]
        now = [before + after for before in now for after in inner]
    return done + now


class Grammar:
    """Whether a sequence of words is one of the sentences; a word may be of several classes."""

    def __init__(self, written: tuple[tuple[str, ...], ...]) -> None:
        self._root: dict[str, dict[str, object]] = {}
        for sentence in written:
            node: dict[str, object] = self._root  # type: ignore[assignment]
            for token in sentence:
                node = node.setdefault(token, {})  # type: ignore[assignment]
            node[""] = True

    def parses(self, tokens: list[str]) -> bool:
        """True for a whole sentence; `tokens` are words and `[class]` tokens."""
        node: dict[str, object] = self._root  # type: ignore[assignment]
        for token in tokens:
            following = node.get(token)
            if not isinstance(following, dict):
                return False
            node = following
        return "" in node
