"""The prompt files: text without front matter, their versions, and what each mode's file says.

A prompt begins with front matter (`---`, `version: N`, `---`). Raise the number with every change of the words, so that
a consultation's record says which ones it was held with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import get_args

from orchestra_mcp.types import Mode

_FRONT = re.compile(r"---\nversion: (\d{1,4})\n---\n")
_SECTION = re.compile(r"^## (\w+)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ModeSpec:
    """One way of being stuck, as `modes/<name>.md` describes it."""

    name: Mode
    version: int
    brief: str
    """What an expert should look for."""
    shape: tuple[str, ...]
    """The parts that an answer must have, in their order: headings."""
    meanings: tuple[str, ...]
    """What belongs into each part."""
    checks: tuple[str, ...]
    """Which checks run on the answers (`CHECKS`)."""
    evidence: tuple[str, ...]
    """Which further evidence is collected: names of `context.wanted.GATHERERS`."""

    @property
    def form(self) -> str:
        """The shape as an expert reads it, a line for each part."""
        return "\n".join(f"- {part}: {says}" for part, says in zip(self.shape, self.meanings, strict=True))


CHECKS = {
    "citations": "path, line, symbol and quote of every claim exist",
    "calls": "a claimed call stands in the syntax tree of the claimed function",
    "trace": "the claimed place or exception lies on the way of an attached trace",
    "patch": "the patch applies to the working tree and parses",
    "tests": "the user's verify command before and after the patch",
    "behaviour": "code answers do the same on the seats' shared inputs",
    "untrusted-input": "a finding names a place where untrusted input enters, or one that such a place can reach",
    "in-diff": "a finding lies in changed lines, or in a caller of what changed",
    "callers": "every caller of what the answer changes is named by it, and none stops fitting",
    "hot-path": "the suspect is a hot spot of the attached profile, or stands in a loop",
    "versions": "a claimed version is the one in a manifest or lock file",
    "commits": "every commit that is named exists and changed what is said",
}
"""The checks that a mode can ask for, and what each of them establishes. Add here."""


@cache
def load(name: str) -> str:
    """One prompt file of this folder (`opinion`, `modes/debug`), without its ending and its front matter."""
    return _read(name)[1]


@cache
def version(name: str) -> int:
    """The version of a prompt file."""
    return _read(name)[0]


@cache
def versions() -> str:
    """All prompts with their versions, for the record: `chair 2, …, opinion 2, …; debug 1, …`."""
    common = ", ".join(f"{name} {version(name)}" for name in sorted(_names("")))
    modes = ", ".join(f"{name} {version(f'modes/{name}')}" for name in sorted(_names("modes")))
    return f"{common}; {modes}"


@cache
def mode_spec(mode: Mode) -> ModeSpec:
    """What the file of a mode says.

    Raises:
        ValueError: for `auto`, or a file that lacks a section or asks for an unknown check.
    """
    if mode not in get_args(Mode) or mode == "auto":
        raise ValueError(f"there is no mode {mode!r}")
    pieces = _SECTION.split(load(f"modes/{mode}") + "\n")
    sections = {name: body.strip() for name, body in zip(pieces[1::2], pieces[2::2], strict=True)}
    if set(sections) != {"Brief", "Shape", "Checks", "Evidence"}:
        raise ValueError(f"modes/{mode}.md has the sections {', '.join(sections)}")
    parts = [line.removeprefix("- ").partition(": ") for line in sections["Shape"].splitlines()]
    checks = _listed(sections["Checks"])
    if unknown := set(checks) - set(CHECKS):
        raise ValueError(f"modes/{mode}.md asks for unknown checks: {', '.join(sorted(unknown))}")
    return ModeSpec(
        name=mode, version=version(f"modes/{mode}"), brief=sections["Brief"],
        shape=tuple(heading for heading, _, _ in parts), meanings=tuple(says for _, _, says in parts),
        checks=checks, evidence=_listed(sections["Evidence"]),
    )  # fmt: skip


def mode_brief(mode: Mode) -> str:
    """What an expert should look for in this mode; empty for `auto`."""
    return mode_spec(mode).brief if mode != "auto" else ""


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _read(name: str) -> tuple[int, str]:
    text = _folder().joinpath(f"{name}.md").read_text("utf-8").replace("\r\n", "\n")
    front = _FRONT.match(text)
    if front is None:
        raise ValueError(f"{name}.md has no version")
    return int(front[1]), text[front.end() :].strip()


def _names(folder: str) -> Iterator[str]:
    place = _folder().joinpath(folder) if folder else _folder()
    return (item.name.removesuffix(".md") for item in place.iterdir() if item.name.endswith(".md"))


def _folder() -> Traversable:
    return resources.files(__package__)
