"""Which files of the project a text names: paths with or without a line or a test, and links to a repository. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

MAX_CHARS = 65_536
MAX_MEANT = 3
"""A name that fits more files than this names none."""

_MENTION = re.compile(
    r"(?<![\w/.\\@+~-])((?:[A-Za-z]:)?[\w.@+~\\/-]*[\w-]\.[A-Za-z]\w{0,9}|\w*(?:Makefile|Dockerfile|Gemfile))(?:::([\w.:\[\]-]+)|:(\d{1,7}))?(?![\w/\\])"
)
_LINK = re.compile(r"https?://\S+/(?:blob|tree|blame|raw)/[^/\s]+/([\w./@+-]+\.\w+)(?:#L(\d+))?")
_URL = re.compile(r"\bhttps?://\S+")
_UNITTEST = re.compile(r"\b(test\w*) \(((?:\w+\.)+\w+)\)")
_CLASS_TEST = re.compile(
    r"(?<![\w.])((?:\w{1,80}\.){0,12}(?:[A-Z]\w*(?:Tests?|IT|Spec|TestCase)|Test[A-Z]\w*))(?:#|\.|::| > |>)\[?(\w+)"
)
"""Maven's `FooTest#bar`, Gradle's `FooTest > bar`, and `a.b.FooTest.bar`."""
_TEST_NAME = re.compile(
    r"(?:^|/)(?:tests?[_-]([^/]+?)|Test([A-Z][^/]+?)|([^/]+?)(?:[_.-](?:tests?|spec|e2e)|Tests?|TestCase|Spec|IT))\.\w+$"
)


@dataclass(frozen=True, slots=True)
class Mention:
    """A file that the text names."""

    path: str
    line: int = 0
    test: str = ""
    """Name of a test inside it."""
    sure: float = 1.0
    """1 when the name means this file only, less when it could mean several."""


def mentions(text: str, files: Sequence[str], known: Iterable[str] = ()) -> tuple[Mention, ...]:
    """What the text names, in its order; `known` are paths, as written, that do not count (those of a stack trace)."""
    by_name = _by_name(files)
    skip = {name.replace("\\", "/") for name in known}
    text = text[:MAX_CHARS]
    found: dict[Mention, None] = {}
    links = [(path, "", line) for path, line in _LINK.findall(text)]
    for token, test, line in dict.fromkeys([*links, *_MENTION.findall(_URL.sub(" ", text))]):
        path = token.replace("\\", "/").removeprefix("./")
        if path in skip:
            continue
        meant = _meant(path, by_name)
        if 1 <= len(meant) <= MAX_MEANT:
            name = re.sub(r"\[.*", "", test.rpartition("::")[2])
            found |= dict.fromkeys(Mention(m, int(line or 0), name, 1 / len(meant)) for m in meant)
    for test, dotted in _UNITTEST.findall(text):
        for cut in range(dotted.count(".") + 1, 0, -1):
            meant = _meant("/".join(dotted.split(".")[:cut]) + ".py", by_name)
            if len(meant) == 1:
                found[Mention(meant[0], 0, test)] = None
                break
    by_stem: dict[str, list[str]] = defaultdict(list)
    for path in files:
        by_stem[path.rpartition("/")[2].partition(".")[0]].append(path)
    for dotted, test in dict.fromkeys(_CLASS_TEST.findall(text)):
        meant = by_stem.get(dotted.rpartition(".")[2], [])
        if len(meant) == 1:
            found[Mention(meant[0], 0, test)] = None
    return tuple(found)


def subject_of(path: str) -> str:
    """The stem of what a test file tests by its name, in lower case; empty when the name says nothing.

    `tests/test_parser.py`, `parser_test.go`, `Parser.spec.ts` and `ParserTest.java` test `parser`.
    """
    found = _TEST_NAME.search(path)
    return next(filter(None, found.groups())).strip("_-.").lower() if found else ""


def stem(path: str) -> str:
    """The file's name without its suffix and outer underscores, in lower case."""
    return path.rpartition("/")[2].partition(".")[0].strip("_").lower()


def _by_name(files: Sequence[str]) -> Mapping[str, list[str]]:
    by_name: dict[str, list[str]] = defaultdict(list)
    for path in files:
        by_name[path.rpartition("/")[2]].append(path)
    return by_name


def _meant(path: str, by_name: Mapping[str, list[str]]) -> list[str]:
    """The files that a path means: itself, those that end with it, or else the longest common end of two parts."""
    same = by_name.get(path.rpartition("/")[2], [])
    exact = [f for f in same if f == path] or [f for f in same if f"/{f}".endswith(f"/{path.lstrip('/')}")]
    if exact or "/" not in path:
        return exact
    parts = path.split("/")
    for count in range(len(parts) - 1, 1, -1):
        if ended := [f for f in same if f.split("/")[-count:] == parts[-count:]]:
            return ended
    return []
