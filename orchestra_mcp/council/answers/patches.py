"""Changes that an answer proposes in its text, as one unified diff. Pure.

Read are diffs in code fences, bare ones, and blocks of `<<<<<<< SEARCH`, `=======`, `>>>>>>> REPLACE` below the name of
their file. What names no file is no patch: nothing could apply it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

MAX_PATCH = 40_000
"""Characters; what is longer is no patch that a reply can hold whole."""
MAX_BLOCK = 2_000
"""Lines of one block that are compared."""

FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([\w+.-]*)[^`]*$")
HEADED = re.compile(r"^(?:diff --git \S|--- \S[^\n]*\n\+\+\+ \S|\*\*\* (?:Update|Add|Delete) File: \S)", re.MULTILINE)
BARE = re.compile(
    r"^(?:diff --git \S|--- \S[^\n]*\n\+\+\+ \S[^\n]*\n@@|\*\*\* (?:Begin Patch|(?:Update|Add|Delete) File: \S))"
)
SEARCH = re.compile(r"^<{5,9} ?SEARCH\b", re.MULTILINE)
MIDDLE = re.compile(r"^={5,9}\s*$")
REPLACE = re.compile(r"^>{5,9} ?REPLACE\b")
NAME = re.compile(
    r"^[\s#*_`>-]{0,8}(?:(?:in |edit |change )?(?:the )?(?:file|path|filename)?\s?:?\s?)?[`*_\"]{0,4}"
    r"((?:[\w.@+-]{1,100}[\\/]){0,20}(?:[\w@+-][\w.@+-]{0,100}\.[A-Za-z]\w{0,9}|Makefile|Dockerfile|Justfile))[`*_\"]{0,4}:?[`*_\s]{0,4}$",
    re.IGNORECASE,
)
"""A line that is the name of a file and nothing else, perhaps marked up."""


def patch_in(answer: str) -> str:
    """The unified diff that an answer holds in its text; empty when it holds none that names its files."""
    answer = answer.replace("\r\n", "\n")
    if SEARCH.search(answer):
        return from_blocks(answer)
    blocks = [block for tag, block in _fenced(answer) if tag in ("", "diff", "patch", "udiff") and _is_diff(block, tag)]
    if not blocks and BARE.match(answer.lstrip()):
        blocks = [answer.lstrip()]
    patch = "\n".join(block.strip("\n") for block in blocks)
    return f"{patch}\n" if 0 < len(patch) < MAX_PATCH else ""


def _is_diff(block: str, tag: str) -> bool:
    """Whether a fenced block changes a named file; one without a tag must also begin as a diff does."""
    return bool(HEADED.search(block) if tag else BARE.match(block.lstrip("\n")))


def _fenced(answer: str) -> list[tuple[str, str]]:
    """Tags and contents of the closed fences; a diff that was cut off could not apply."""
    blocks: list[tuple[str, str]] = []
    inside: list[str] | None = None
    fence = tag = ""
    for line in answer.split("\n"):
        match = FENCE.match(line)
        if inside is None and match:
            inside, fence, tag = [], match.group(1), match.group(2).lower()
        elif inside is not None and match and match.group(1).startswith(fence) and not match.group(2):
            blocks.append((tag, "\n".join(inside)))
            inside = None
        elif inside is not None:
            inside.append(line)
    return blocks


@dataclass
class _Block:
    path: str
    search: list[str] = field(default_factory=list)
    replace: list[str] = field(default_factory=list)


def from_blocks(text: str) -> str:
    """Blocks of search and replacement as a diff; empty when one of them is cut off or names no file, since half a change
    is not what was meant."""
    blocks = _blocks(text.replace("\r\n", "\n").split("\n"))
    if not blocks or not all(block.path for block in blocks):
        return ""
    parts: dict[str, list[str]] = {}
    for block in blocks:
        if hunk := _hunk(block):
            parts.setdefault(block.path, []).extend(hunk)
    # An empty search makes a file.
    made = {block.path for block in blocks if not any(map(str.strip, block.search))}
    lines = [
        line
        for path, hunks in parts.items()
        for line in ("--- /dev/null" if path in made else f"--- a/{path}", f"+++ b/{path}", *hunks)
    ]
    patch = "\n".join(lines)
    return f"{patch}\n" if 0 < len(patch) < MAX_PATCH else ""


def _blocks(lines: Sequence[str]) -> list[_Block]:
    """The blocks with their files; empty when one has no end."""
    blocks: list[_Block] = []
    part = ""
    named = ""
    for line in lines:
        if not part and SEARCH.match(line):
            blocks.append(_Block(named))
            part = "search"
        elif part == "search" and MIDDLE.match(line):
            part = "replace"
        elif part == "replace" and REPLACE.match(line):
            part = ""
        elif part:
            (blocks[-1].search if part == "search" else blocks[-1].replace).append(line)
        elif match := NAME.match(line[:400]):
            named = match.group(1).replace("\\", "/").removeprefix("./")
        elif line.strip() and not FENCE.match(line):
            named = ""  # something else is spoken of
    return [] if part else blocks


def _hunk(block: _Block) -> list[str]:
    """The lines of one hunk without numbers, which a block does not know; empty when nothing changes."""
    old, new = block.search, block.replace
    if not any(map(str.strip, old)):
        return [f"@@ -0,0 +1,{len(new)} @@", *(f"+{line}" for line in new)] if new else []
    if old == new or max(len(old), len(new)) > MAX_BLOCK:
        return []
    lines = ["@@"]
    for _, start, end, first, last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if old[start:end] == new[first:last]:
            lines += [f" {line}" for line in old[start:end]]
        else:
            lines += [*(f"-{line}" for line in old[start:end]), *(f"+{line}" for line in new[first:last])]
    return lines
