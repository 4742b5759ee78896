"""Unified diffs, as git and people write them, to `Change` and `Hunk`. Pure.

Line counts in the hunk headers are trusted before the look of a line, because a removed line may itself begin with
`--`; where they do not fit (a diff edited by hand, or cut off), the hunk ends at the first line that cannot belong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from orchestra_mcp.types import Change, Hunk

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_RANGE = re.compile(r"[\w./@{}^~#+=,%-]{1,250}")
_DOTS = re.compile(r" {0,4}(\.{2,3}) {0,4}")
_ESCAPES = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11, '"': 34, "\\": 92}
_QUOTED = re.compile(r"\\([0-7]{1,3}|.)|([^\\]+)", re.DOTALL)

Status = Literal["added", "modified", "deleted", "renamed", "untracked"]


@dataclass
class _Draft:
    """A file's section of a diff while it is read."""

    old: str = ""
    new: str = ""
    status: Status = "modified"
    hunks: list[Hunk] = field(default_factory=list)

    def change(self, where: str) -> Change | None:
        path = self.new or self.old
        if not path:
            return None
        moved = self.status == "renamed" and self.old != path
        return Change(
            path=path, old_path=self.old if moved else "", status=self.status, where=where, hunks=tuple(self.hunks)
        )  # fmt: skip


def is_range(text: str) -> bool:
    """True when the text can only be a git revision or range (`main...HEAD`), not a diff."""
    text = _DOTS.sub(r"\1", text.strip(), count=1)
    return bool(_RANGE.fullmatch(text)) and not text.startswith("-")


def split_range(given: str) -> tuple[str, str, str]:
    """The two ends of a range and the dots between them; (text, "", "") for a single revision."""
    for dots in ("...", ".."):
        left, found, right = given.partition(dots)
        if found:
            return left, dots, right
    return given, "", ""


def parse(text: str, where: str = "given diff") -> tuple[Change, ...]:
    """All changes in a unified diff; an empty tuple when there is none. Combined diffs of merges give no hunks.

    Args:
        text: output of `git diff` or `diff -u`, possibly with other text around it.
        where: what the changes' `where` shall say.
    """
    drafts: list[_Draft] = []
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        if header := _HUNK.match(line):
            at, hunk = _hunk(lines, at, header)
            if drafts:
                drafts[-1].hunks.append(hunk)
            continue
        if line.startswith(("diff --git ", "diff --cc ", "diff --combined ")):
            drafts.append(_begin(line))
        elif line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "):
            _names(drafts, line[4:], lines[at + 1][4:], fresh=not _in_git_header(lines, at))
            at += 1
        elif drafts:
            _extended(drafts[-1], line.rstrip("\r"))
        at += 1
    return tuple(change for draft in drafts if (change := draft.change(where)) is not None)


def render(change: Change) -> str:
    """The hunks of a change with their `@@` headers, for a reader."""
    return "\n".join(f"@@ -{h.old_start},{h.old_lines} +{h.new_start},{h.new_lines} @@\n{h.text}" for h in change.hunks)


def _hunk(lines: list[str], at: int, header: re.Match[str]) -> tuple[int, Hunk]:
    old_start, old_count, new_start, new_count = (int(x) if x is not None else 1 for x in header.groups())
    olds, news, body = old_count, new_count, list[str]()
    at += 1
    while at < len(lines) and (olds > 0 or news > 0):
        line = lines[at]
        mark = line[:1]
        if mark in (" ", "") or line == "\r":  # mail programs eat the blank of an empty context line
            if mark == "" and at == len(lines) - 1:
                break
            olds, news, line = olds - 1, news - 1, line if mark == " " else " " + line
        elif mark == "-":
            olds -= 1
        elif mark == "+":
            news -= 1
        elif mark != "\\":
            break
        if mark != "\\":
            body.append(line)
        at += 1
    if at < len(lines) and lines[at].startswith("\\ "):
        at += 1
    counts = old_count - max(olds, 0), new_count - max(news, 0)
    hunk = Hunk(
        old_start=old_start, old_lines=counts[0], new_start=new_start, new_lines=counts[1], text="\n".join(body)
    )  # fmt: skip
    return at, hunk


def _begin(line: str) -> _Draft:
    """The section that a `diff --git` line opens; its names count only where no clearer line follows."""
    kind, rest = line.split(" ", 2)[1:]
    rest = rest.rstrip("\r")
    if kind != "--git":
        return _Draft(new=_unquote(rest), old=_unquote(rest))
    if rest.startswith('"') or rest.endswith('"'):
        names = re.findall(r'"(?:[^"\\]|\\.)*"|\S+', rest)
        if len(names) == 2:
            return _Draft(old=_strip(_unquote(names[0])), new=_strip(_unquote(names[1])))
    half = len(rest) // 2  # both names are the same, unless lines about a rename follow
    old, new = rest[:half], rest[half + 1 :]
    if _strip(old) == _strip(new):
        return _Draft(old=_strip(old), new=_strip(new))
    names = rest.split(" ")
    return _Draft(old=_strip(names[0]), new=_strip(names[-1]))


def _extended(draft: _Draft, line: str) -> None:
    """Lines between `diff --git` and the first hunk."""
    if line.startswith("new file mode"):
        draft.status = "added"
    elif line.startswith("deleted file mode"):
        draft.status = "deleted"
    elif line.startswith("rename from "):
        draft.status, draft.old = "renamed", _unquote(line[12:])
    elif line.startswith(("rename to ", "copy to ")):
        draft.status = "renamed" if line.startswith("rename") else "added"
        draft.new = _unquote(line.split(" ", 2)[2])


def _names(drafts: list[_Draft], old: str, new: str, *, fresh: bool) -> None:
    """The `---` and `+++` lines; without a git header they open a section of their own."""
    before, after = _name(old), _name(new)
    if fresh:
        drafts.append(_Draft())
    draft = drafts[-1]
    if before == "/dev/null":
        draft.status, draft.old, draft.new = "added", "", _strip(after)
    elif after == "/dev/null":
        draft.status, draft.old, draft.new = "deleted", _strip(before), ""
    elif draft.status != "renamed":
        draft.old, draft.new = _strip(before), _strip(after)


def _in_git_header(lines: list[str], at: int) -> bool:
    """True when the lines right above belong to a `diff --git` header that has no names yet."""
    for line in reversed(lines[max(0, at - 8) : at]):
        if line.startswith("diff --"):
            return True
        if not re.match(
            r"(index|old mode|new mode|new file|deleted file|similarity|dissimilarity|rename|copy|mode) ", line
        ):
            return False
    return False


def _name(text: str) -> str:
    """A name without the time stamp that `diff -u` adds after a tab."""
    text = text.rstrip("\r")
    return _unquote(text) if text.startswith('"') else text.split("\t", 1)[0].rstrip()


def _strip(name: str) -> str:
    """Without the prefix `a/`, `b/` (or `i/`, `w/`, `c/`, `o/`, with mnemonic prefixes)."""
    return name[2:] if re.match(r"[abciow]/", name) else name


def _unquote(name: str) -> str:
    """Undo git's C-style quoting, in which other bytes than ASCII are octal."""
    if len(name) < 2 or not (name.startswith('"') and name.endswith('"')):
        return name
    return b"".join(_bytes(name[1:-1])).decode("utf-8", "replace")


def _bytes(text: str) -> Iterator[bytes]:
    for escape, plain in _QUOTED.findall(text):
        if plain:
            yield plain.encode("utf-8", "surrogateescape")
        elif escape.isdigit():
            yield bytes([int(escape, 8) & 0xFF])
        else:
            yield bytes([_ESCAPES.get(escape, ord(escape[0]) & 0xFF)])
