"""Unified diffs as models write them: which files, which hunks. Pure.

Read are git's format, plain `---`/`+++` pairs, `*** Update File:` sections, all of them also within code fences. What
a hunk's header counts is not believed: a hunk goes on as long as its lines look like lines of one. `patches` finds
the place by what the hunk says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

MAX_PATCH = 1_000_000
"""Characters of a patch that is read at all."""
MAX_FILES = 200

_FENCE = re.compile(r"^[ \t]{0,3}(```|~~~)[ \t]{0,9}([\w+.-]{0,30})[ \t]{0,9}$")
_HUNK = re.compile(r"^@@+ ?(?:-(\d{1,9})(?:,(\d{1,9}))?,? \+(\d{1,9})(?:,(\d{1,9}))?)? ?(?:@@+)?(.*)$")
_SECTION = re.compile(r"^\*\*\* (Update|Add|Delete) File: (.+)$")
_MOVE = re.compile(r"^\*\*\* Move to: (.+)$")
_GIT = re.compile(r'^diff --git (?:"?a/(.+?)"? "?b/(.+?)"?|(\S+) (\S+))$')
_DIFF_LIKE = re.compile(r"^(?:diff --git |--- |\+\+\+ |@@|\*\*\* (?:Update|Add|Delete) File: )", re.MULTILINE)
_ESCAPE = re.compile(rb"\\([0-7]{3}|[abtnvfr\"\\])")
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}
_STAMP = re.compile(r"\s\d{4}-\d\d-\d\d[ T]\d\d:\d\d.*$")

Kind = Literal["change", "add", "delete"]


@dataclass(slots=True)
class PatchHunk:
    """One hunk, by its lines."""

    start: int = 0
    """Line of the old file at which it says that it begins; 0 where it says nothing."""
    heading: str = ""
    """What stands behind the second `@@`, mostly the function's head."""
    lines: list[tuple[str, str]] = field(default_factory=list)
    """Each line's sign (` `, `-`, `+`; `?` for an empty line that may have lost its blank) and its text."""
    ends: bool = True
    """False where `\\ No newline at end of file` follows the new text."""
    counted: int = 0
    """How many lines of the old file its header counts."""


@dataclass(slots=True)
class PatchFile:
    """What a patch does to one file. Paths are as written, without quotes."""

    old: str
    """Empty for a new file."""
    new: str
    """Empty for a deleted one."""
    hunks: list[PatchHunk] = field(default_factory=list)
    binary: bool = False
    renamed: bool = False


def read(patch: str) -> list[PatchFile]:
    """The files of a patch, in order. Empty when nothing in the text is a diff."""
    reader = _Reader(unfenced(patch).split("\n"))
    return reader.read()


def unfenced(text: str) -> str:
    """What stands in the code fences that hold a diff; all of the text when none does."""
    text = text[:MAX_PATCH].replace("\r\n", "\n")
    blocks = [block for block in _blocks(text) if _DIFF_LIKE.search(block)]
    return "\n".join(blocks) if blocks else text


def _blocks(text: str) -> Iterator[str]:
    inside: list[str] | None = None
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if fence is None:
            if inside is not None:
                inside.append(line)
        elif inside is None:
            inside = []
        elif not fence[2]:
            yield "\n".join(inside)
            inside = None
    if inside is not None:  # the answer was cut off, or the fence forgotten
        yield "\n".join(inside)


def plain_path(written: str) -> str:
    """A path as it stands behind `---` or `+++`, without quotes and time stamp; empty for `/dev/null`."""
    path = written.rstrip()
    if path.startswith('"') and '"' in path[1:]:
        raw = path[1 : path.index('"', 1) if '\\"' not in path else path.rindex('"')].encode()
        path = _ESCAPE.sub(lambda m: _unescaped(m[1]), raw).decode("utf-8", "replace")
    else:
        path = _STAMP.sub("", path.partition("\t")[0]).strip("`")
    path = path.strip()
    return "" if path in ("/dev/null", "dev/null", "NUL", "a/dev/null", "b/dev/null") else path


def _unescaped(code: bytes) -> bytes:
    return bytes([int(code, 8) & 255]) if len(code) == 3 else _ESCAPES.get(code, code)


class _Reader:
    """Walks the lines once; `file` and `hunk` are what is being read."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.files: list[PatchFile] = []
        self.file: PatchFile | None = None
        self.hunk: PatchHunk | None = None
        self.fresh = False
        """True after `diff --git`, whose file the following `---` describes once more."""

    def read(self) -> list[PatchFile]:
        at = 0
        while at < len(self.lines) and len(self.files) <= MAX_FILES:
            at += self._line(self.lines[at], at)
        for file in self.files:
            for hunk in file.hunks:
                _trim(hunk)
        return [file for file in self.files if file.hunks or file.binary or file.renamed or not (file.old and file.new)]

    def _line(self, line: str, at: int) -> int:
        """Take one line; gives how many were used up."""
        following = self.lines[at + 1] if at + 1 < len(self.lines) else ""
        if line.startswith("--- ") and following.startswith("+++ "):
            self._begin(plain_path(line[4:]), plain_path(following[4:]))
            return 2
        if section := _SECTION.match(line):
            name = section[2].strip()
            self._begin("" if section[1] == "Add" else name, "" if section[1] == "Delete" else name)
            if section[1] == "Add" and self.file is not None:
                self._open(PatchHunk())
            return 1
        if line.startswith(("diff --git ", "diff -", "Index: ")) or line in ("*** End Patch", "*** Begin Patch"):
            self.hunk, self.file = None, None
            if git := _GIT.match(line):
                self._begin(f"a/{git[1]}" if git[1] else git[3], f"b/{git[2]}" if git[2] else git[4])
                self.fresh = True
            return 1
        if self.file is not None and (head := _HUNK.match(line)) and line.startswith("@@"):
            self._open(
                PatchHunk(int(head[1] or 0), (head[5] or "").strip(), counted=int(head[2] or 1) if head[1] else 0)
            )
            return 1
        if self.hunk is not None:
            self._body(line)
        elif self.file is not None:
            self._header(line, self.file)
        return 1

    def _begin(self, old: str, new: str) -> None:
        self.hunk = None
        if self.fresh and self.file is not None and not self.file.hunks:
            self.file.old, self.file.new = old, new
        elif old or new:
            self.file = PatchFile(old, new)
            self.files.append(self.file)
        self.fresh = False

    def _open(self, hunk: PatchHunk) -> None:
        self.hunk = hunk
        if self.file is not None:
            self.file.hunks.append(hunk)

    def _header(self, line: str, file: PatchFile) -> None:
        if line.startswith(("GIT binary patch", "Binary files ")):
            file.binary = True
        elif line.startswith("new file mode"):
            file.old = ""
        elif line.startswith("deleted file mode"):
            file.new = ""
        elif line.startswith("rename from "):
            file.old, file.renamed = plain_path(line[12:]), True
        elif line.startswith("rename to "):
            file.new, file.renamed = plain_path(line[10:]), True
        elif move := _MOVE.match(line):
            file.new, file.renamed = plain_path(move[1]), True

    def _body(self, line: str) -> None:
        hunk = self.hunk
        if hunk is None:
            return
        if line.startswith("\\"):
            hunk.ends = not (hunk.lines and hunk.lines[-1][0] in "+ ") and hunk.ends
        elif line.startswith("*** End of File"):
            pass
        elif line[:1] in (" ", "+", "-"):
            hunk.lines.append((line[0], line[1:]))
            hunk.ends = hunk.ends or line[0] != "-"
        elif not line:
            hunk.lines.append(("?", ""))
        elif line[0] == "\t" or (hunk.lines and sum(s != "+" for s, _ in hunk.lines) < hunk.counted):
            hunk.lines.append((" ", line))  # the blank before a context line was forgotten
        else:
            self.hunk = self.file = None  # prose behind the patch


def _trim(hunk: PatchHunk) -> None:
    """Empty lines at the end belong to what follows the hunk, unless its header counts them."""
    old = sum(sign != "+" for sign, _ in hunk.lines)
    while hunk.lines and hunk.lines[-1][0] == "?" and old > hunk.counted:
        hunk.lines.pop()
        old -= 1
    hunk.lines = [(" " if sign == "?" else sign, text) for sign, text in hunk.lines]
