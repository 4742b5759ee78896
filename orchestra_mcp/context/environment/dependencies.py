"""What a project builds on, as nouns that readers of manifests and of lock files share; and two small readers of text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Need:
    """A direct dependency."""

    name: str
    wanted: str = ""
    """The version as the manifest asks for it: `>=0.27`, `^19`; may be a variable (`${spring.version}`)."""
    group: str = ""
    """`dev`, `test`, the name of an extra, …; empty when the product itself needs it."""
    locked: str = ""
    """The version that a lock file resolved."""

    @property
    def text(self) -> str:
        """`httpx 0.28.1`, or `httpx >=0.27` without a lock file; the group in brackets."""
        return " ".join(filter(None, (self.name, self.locked or self.wanted, f"({self.group})" if self.group else "")))


@dataclass(frozen=True, slots=True)
class Facts:
    """What one manifest says."""

    kind: str
    name: str = ""
    version: str = ""
    requires: str = ""
    """The runtime's version: `Python >=3.11`."""
    needs: tuple[Need, ...] = ()
    tests: str = ""
    """How tests are run, as far as the manifest tells."""
    includes: tuple[str, ...] = ()
    """Other manifests that it draws in, relative to its directory (`-r base.txt`)."""
    locked_by: str = ""
    """Path of the lock file that the versions come from."""

    @property
    def dependencies(self) -> tuple[str, ...]:
        """Direct dependencies as text, in the manifest's order."""
        return tuple(need.text for need in self.needs)


@dataclass(frozen=True, slots=True)
class Lock:
    """The versions that a lock file resolved, or that a manifest further up sets for those below it."""

    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """All versions of a package."""
    exact: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(asking directory relative to the lock file or wanted version, name) → version; decides among several."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Values for `${name}` in a wanted version."""
    aliases: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Short name → full name and version (Gradle's version catalogue)."""
    resolved: bool = True
    """False when the versions are only wishes (a parent POM)."""


def requirement(line: str, group: str = "") -> Need | None:
    """`httpx[http2]>=0.27; python_version<"3.13"` → httpx, >=0.27 (PEP 508); None when it names no package."""
    line = line.split(";")[0].split(" --")[0].split(" #")[0].strip()[:300]
    found = re.match(r"([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*", line)
    if not found:
        return None
    rest = line[found.end() :].strip().strip("()")
    if rest.startswith("@"):  # a direct reference: the address may hold a password, its last part tells the version
        rest = "@ " + rest[1:].strip().rpartition("/")[2][:60]
    elif rest and rest[0] not in "<>=!~":
        return None
    return Need(found[1], rest if rest.startswith("@") else rest.replace(" ", ""), group)


def version_text(value: Any) -> str:
    """The version in a manifest's value: a string, or a table with `version`, `git`, `path`, …"""
    if isinstance(value, list):
        value = next((entry for entry in value if isinstance(entry, dict)), "")
    if isinstance(value, dict):
        keys = ("version", "rev", "tag", "branch", "git", "path")
        value = next((value[key] for key in keys if isinstance(value.get(key), str)), "")
    text = value if isinstance(value, str) else ""
    if "://" in text:  # an address may hold a password; its last part tells the version
        text = text.rstrip("/").rpartition("/")[2].rpartition("@")[2]
    return text[:60]


def table(value: Any) -> dict[str, Any]:
    """The value when it is a table, else an empty one."""
    return value if isinstance(value, dict) else {}


def texts(value: Any) -> list[str]:
    """The strings of a list, none when it is no list."""
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def named(value: Any, group: str = "") -> list[Need]:
    """Needs from a table of names and versions."""
    return [Need(str(name), version_text(version), group) for name, version in table(value).items()]


def outline(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Lines of a block-style YAML file as (keys from the outermost, value).

    No YAML parser: enough for files that a tool wrote, or that are written as everybody does. Lines that are no
    `key: value` come as a value under the keys around them; a list item's dash counts as indentation.
    """
    stack: list[tuple[int, str]] = []
    for raw in text.split("\n"):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        indent = len(raw) - len(raw.lstrip(" "))
        while line.startswith("- "):
            rest = line[2:].lstrip()
            indent += len(line) - len(rest)
            line = rest
        while stack and stack[-1][0] >= indent:
            stack.pop()
        key, value = _split_key(line)
        if key and len(stack) < 40:
            stack.append((indent, key))
            yield tuple(k for _, k in stack), value
        else:
            yield tuple(k for _, k in stack), unquoted(line)


def unquoted(text: str) -> str:
    """A YAML scalar without its quotes or its trailing comment."""
    text = text.strip()
    if text[:1] in ("'", '"'):
        end = text.find(text[0], 1)
        return text[1:end] if end > 0 else text[1:]
    return text.split(" #")[0].rstrip()


def _split_key(line: str) -> tuple[str, str]:
    if line[:1] in ("'", '"'):
        end = line.find(line[0], 1)
        if end > 0 and line[end + 1 : end + 2] == ":":
            return line[1:end], unquoted(line[end + 2 :])
        return "", ""
    at = line.find(": ")
    if at < 0:
        return (line[:-1], "") if line.endswith(":") else ("", "")
    return line[:at], unquoted(line[at + 2 :])
