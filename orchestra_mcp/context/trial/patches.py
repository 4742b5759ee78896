"""Applying a diff to texts, in memory. Pure: files are read through a function that is handed in.

A hunk's place is found by its own lines, since models count badly: everywhere in the file, nearest to where the
header says; first exactly, then without regard to trailing blanks, then without up to two outer lines of context (as
`patch` does). Where that leaves several places and nothing chooses between them, the hunk is refused. Lines of context
stay as they are in the file. `git apply` would refuse much of what models write, and needs a directory to work on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from orchestra_mcp.context.trial.patchtext import MAX_FILES, MAX_PATCH, PatchFile, PatchHunk, read
from orchestra_mcp.foreign import LONE

MAX_HUNKS = 1_000
"""Hunks of one file."""
MAX_PLACES = 100
"""Places that are compared for a hunk which fits everywhere."""
MAX_PATH, MAX_DEPTH = 400, 40
"""Characters and parts of a path."""
MAX_FUZZ = 2
"""Outer lines of context that may be wrong."""

_GITS = ("a", "b", "i", "w", "c", "o")
"""What git puts before paths."""
_MODELS = ("old", "new", "original", "modified", "before", "after")
"""What models do; taken away only where the rest is a file."""

Reader = Callable[[str], bytes | None]


class Misfit(Exception):
    """A patch that cannot be applied; the message says which part and why."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What a patch makes of the files that it touches."""

    files: dict[str, bytes | None]
    """Path → content; None for a deleted file."""
    before: dict[str, bytes]
    """The files' contents without the patch, where they existed."""
    notes: tuple[str, ...] = ()


def apply(patch: str, read_file: Reader) -> Applied:
    """Apply a patch.

    Args:
        patch: unified diff as text.
        read_file: gives a file's content by its relative path, None when there is none or it must not be read.

    Raises:
        Misfit: it is no diff, does not fit, is binary, or names a path that it must not touch.
    """
    if len(patch) > MAX_PATCH:
        raise Misfit(f"the patch is longer than {MAX_PATCH:,} characters")
    patch = LONE.sub("\ufffd", patch)
    parts = read(patch)
    if not parts:
        raise Misfit("there is no unified diff in it (a file's `---` and `+++` lines, then `@@` hunks)")
    if len(parts) > MAX_FILES:
        raise Misfit(f"it changes more than {MAX_FILES} files")
    result, before, notes = dict[str, bytes | None](), dict[str, bytes](), list[str]()

    def now(path: str) -> bytes | None:
        return result[path] if path in result else read_file(path)

    for part in parts:
        old, new = (_named(name, other, now) for name, other in ((part.old, part.new), (part.new, part.old)))
        content = now(old) if old else None
        if old and old not in result and content is not None:
            before[old] = content
        made = _changed(part, old, new, content, now(new) if new and new != old else None, notes)
        if old and old != new:
            result[old] = None
        if new:
            result[new] = made
    return Applied(result, before, tuple(dict.fromkeys(notes)))


# ------------------------------------------------------------------------------------------------------------- paths


def _named(written: str, other: str, now: Reader) -> str:
    """The relative path that a header means, without git's `a/` and `b/`; raises Misfit for a forbidden one.

    Args:
        written: as the header has it.
        other: the other path of the same header, which must carry a prefix too, or be none.
        now: a file's content.
    """
    if not written:
        return ""
    path = _safe(written)
    head, _, rest = path.partition("/")
    if not rest or head not in (*_GITS, *_MODELS):
        return path
    there, prefixed = now(path) is not None, not other or other.partition("/")[0] in _GITS
    if now(rest) is not None or (head in _GITS and prefixed and not there):
        return path if there and not prefixed else _safe(rest)
    return path


def _safe(written: str) -> str:
    path = written.replace("\\", "/")
    if len(path) > MAX_PATH or path.count("/") >= MAX_DEPTH:
        raise Misfit(f"the path {written[:40]!r}… is too long")
    if path.startswith("/") or re.match(r"[A-Za-z]:", path) or "\0" in path:
        raise Misfit(f"{written!r} is not a path inside the project")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise Misfit(f"{written!r} is not a path inside the project")
    # `.git` under the names that macOS and Windows take for it.
    if any(re.sub(r"[\u200c-\u200f\ufeff]", "", part).rstrip(". ").lower() in (".git", "git~1") for part in parts):
        raise Misfit(f"{written!r} lies in git's own directory")
    return "/".join(parts)


# ------------------------------------------------------------------------------------------------------------- files


def _changed(
    part: PatchFile, old: str, new: str, content: bytes | None, taken: bytes | None, notes: list[str]
) -> bytes | None:
    path = new or old
    if part.binary:
        raise Misfit(f"{path}: it is a binary patch")
    if content is not None and b"\0" in content[:8000]:
        raise Misfit(f"{path}: it is a binary file")
    if taken is not None:
        raise Misfit(f"{path}: it is said to be new, but it exists")
    if old and content is None:
        if new and part.hunks and not any(sign != "+" for hunk in part.hunks for sign, _ in hunk.lines):
            return _created(part)  # a new file, whose header forgot to say so
        raise Misfit(f"{old}: there is no such file, or it may not be read")
    if not old:
        return _created(part)
    text = (content or b"").decode("utf-8", "surrogateescape")
    made = _patched(path, text, part.hunks, notes) if part.hunks else text
    if not new:
        if part.hunks and made.strip():
            raise Misfit(f"{path}: the patch deletes it, but does not name all of its lines")
        return None
    return made.encode("utf-8", "surrogateescape")


def _created(part: PatchFile) -> bytes:
    lines = [text for hunk in part.hunks for sign, text in hunk.lines if sign != "-"]
    ends = not part.hunks or part.hunks[-1].ends
    return ("\n".join(lines) + ("\n" if lines and ends else "")).encode("utf-8", "surrogateescape")


def _patched(path: str, text: str, hunks: Sequence[PatchHunk], notes: list[str]) -> str:
    """A file's text with all hunks in it."""
    if len(hunks) > MAX_HUNKS:
        raise Misfit(f"{path}: the patch has more than {MAX_HUNKS:,} hunks for it")
    lines = text.split("\n")
    returns = sum(line.endswith("\r") for line in lines) * 2 > len(lines)
    ended = lines[-1] == ""
    lines = lines[:-1] if ended else lines
    index = _Index(lines)
    edits: list[tuple[int, int, list[str]]] = []
    shift, cursor = 0, 0
    for number, hunk in enumerate(hunks, 1):
        try:
            at, fuzz, body = _place(hunk, index, cursor, shift)
        except Misfit as reason:
            raise Misfit(f"{path}: hunk {number} of {len(hunks)} {reason}") from None
        edit = _edit(lines, at, body, returns)
        if any(at < end and start < edit[1] for start, end, _ in edits):
            raise Misfit(f"{path}: hunk {number} of {len(hunks)} changes the same lines as another one")
        edits.append(edit)
        cursor = edit[1]
        shift = at - (hunk.start - 1) if hunk.start else shift
        if fuzz:
            notes.append(f"{path}: hunk {number} fits only without {fuzz} of its outer lines")
        if at + sum(sign != "+" for sign, _ in body) == len(lines) and any(sign == "+" for sign, _ in body):
            ended = hunk.ends
    for start, end, new in sorted(edits, key=lambda edit: edit[:2], reverse=True):
        lines[start:end] = new
    return "\n".join(lines) + ("\n" if ended and lines else "")


def _edit(lines: Sequence[str], at: int, body: Sequence[tuple[str, str]], returns: bool) -> tuple[int, int, list[str]]:
    made, here = [], at
    for sign, text in body:
        if sign == "+":
            made.append(text + "\r" if returns and not text.endswith("\r") else text)
            continue
        if sign == " ":
            made.append(lines[here])
        here += 1
    return at, here, made


# ------------------------------------------------------------------------------------------------------------- places


class _Index:
    """A file's lines as characters of a string, so that a block of lines is found at the speed of a substring."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self._exact: dict[str, str] = {}
        self._loose: dict[str, str] = {}
        self._texts = (
            "".join(self._exact.setdefault(line, chr(0x10000 + len(self._exact))) for line in lines),
            "".join(self._loose.setdefault(line.rstrip(), chr(0x10000 + len(self._loose))) for line in lines),
        )

    def find(self, block: Sequence[str], loose: bool, near: int = 0) -> list[int]:
        """Indexes at which a block of lines begins: the first `MAX_PLACES`, and those next to the index `near`."""
        known = self._loose if loose else self._exact
        signs = [known.get(line.rstrip() if loose else line) for line in block]
        if not block or None in signs:
            return []
        needle, text = "".join(sign for sign in signs if sign), self._texts[loose]
        found = list[int]()
        at = text.find(needle)
        while at >= 0 and len(found) < MAX_PLACES:
            found.append(at)
            at = text.find(needle, at + 1)
        if at >= 0:
            near = max(0, near)
            found += [text.find(needle, near), text.rfind(needle, 0, near + len(needle))]
        return [one for one in found if one >= 0]


def _place(hunk: PatchHunk, index: _Index, cursor: int, shift: int) -> tuple[int, int, list[tuple[str, str]]]:
    """Where a hunk belongs: index of its first line, lines of context that were left out, and its remaining lines."""
    if not hunk.lines or all(sign == " " for sign, _ in hunk.lines):
        raise Misfit("changes nothing")
    if all(sign == "+" for sign, _ in hunk.lines):
        return _insertion(hunk, index, shift), 0, hunk.lines
    expected = hunk.start - 1 + shift if hunk.start else None
    for fuzz, body in _relaxed(hunk.lines):
        block = [text for sign, text in body if sign != "+"]
        for loose in (False, True):
            found = index.find(block, loose, expected or 0)
            if fuzz and len(found) > 1:
                continue
            if found:
                return _choose(found, expected, cursor, hunk, index), fuzz, body
    after = [text for sign, text in hunk.lines if sign != "-"]
    if any(sign == "-" for sign, _ in hunk.lines) and index.find(after, loose=True):
        raise Misfit("seems to be applied already")
    raise Misfit(f"does not fit: {_first_strange(hunk, index)}")


def _insertion(hunk: PatchHunk, index: _Index, shift: int) -> int:
    """Pure additions without context: behind the line that the header names, as `-5,0` means it."""
    if not index.lines:
        return 0
    if not hunk.start and hunk.heading and len(found := index.find([hunk.heading], loose=True)) == 1:
        return found[0] + 1
    if not hunk.start or hunk.start + shift > len(index.lines):
        raise Misfit("adds lines without saying where: it has no context")
    return hunk.start + shift if not hunk.counted else hunk.start + shift - 1


def _relaxed(lines: list[tuple[str, str]]) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """The hunk's lines, then without one, then two outer lines of context; never without any removed line."""
    yield 0, lines
    head = next(i for i, (sign, _) in enumerate(lines) if sign != " ")
    tail = next(i for i, (sign, _) in enumerate(reversed(lines)) if sign != " ")
    for fuzz in range(1, MAX_FUZZ + 1):
        for first in range(fuzz, -1, -1):
            last = fuzz - first
            body = lines[first : len(lines) - last]
            kept = sum(sign != "+" for sign, _ in body)
            if first <= head and last <= tail and kept >= 2:
                yield fuzz, body


def _choose(found: list[int], expected: int | None, cursor: int, hunk: PatchHunk, index: _Index) -> int:
    if len(found) == 1:
        return found[0]
    if expected is not None:
        return min(found, key=lambda at: abs(at - expected))
    if hunk.heading:
        heads = [i for i, line in enumerate(index.lines) if hunk.heading in line]
        behind = [at for at in found if heads and at >= heads[0]]
        if len(heads) == 1 and behind:
            return behind[0]
    later = [at for at in found if at >= cursor]
    if len(later) == 1:
        return later[0]
    raise Misfit(f"fits at {len(found)} places and has no line number")


def _first_strange(hunk: PatchHunk, index: _Index) -> str:
    """The first old line that the file does not have, in a few words."""
    for sign, text in hunk.lines:
        if sign != "+" and text.strip() and not index.find([text], loose=True):
            return f"no line of the file reads {text.strip()[:80]!r}"
    return "its lines are in the file, but not one after the other"
