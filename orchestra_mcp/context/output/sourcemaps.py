"""Source maps (ECMA-426, formerly revision 3): from a place in a generated JavaScript file back to its source.

A frame of a bundle names `dist/shop.js:1:2345`; the map beside it, or inside it, knows that this was `src/cart.ts:12`.
Nothing here touches the disk: the caller hands in a function that reads a file of the project, or returns None.
"""

from __future__ import annotations

import base64
import binascii
import json
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from orchestra_mcp.context.output.framepaths import normal
from orchestra_mcp.types import Frame, Trace

MAX_CHARS = 6_000_000
"""Longer maps are not read: decoding costs about half a second of CPU per million characters of mappings."""
MAX_MAPS = 8
"""Generated files of one trace whose maps are read."""
MAX_FRAMES = 40
"""Frames of one trace that are mapped, the innermost first."""

_MAX_DEPTH = 3
_TAIL = 4_000
"""The comment that names the map stands at the end; so much of a generated file is looked at if the map is not inside."""
_COMMENT = re.compile(r"(?://|/\*)[#@] ?sourceMappingURL=(?P<url>[^\s'\"*]+)")
_DATA = re.compile(r"data:application/json(?:;[\w=-]+)*?(?P<base64>;base64)?,")
_DIGITS = {
    character: value
    for value, character in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}
_GENERATED = (".js", ".mjs", ".cjs", ".jsx", ".bundle")

Read = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Origin:
    """A place in a source; `line` counts from 1, `column` from 0 (as in the map)."""

    source: str
    line: int
    column: int
    name: str = ""
    code: str = ""
    """The source's line, when the map carries the sources."""


@dataclass(frozen=True, slots=True)
class SourceMap:
    """A parsed map; `sections` are those of an indexed map, with the line and column at which each begins."""

    sources: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    mappings: str = ""
    sections: tuple[tuple[int, int, SourceMap], ...] = field(default=())

    def find(self, line: int, column: int | None) -> Origin | None:
        """What a generated place (line from 1, column from 0) came from; without column the line's first mapped place."""
        if self.sections:
            return self._in_section(line, column)
        found = self._segment(line, column)
        if found is None or not 0 <= found[0] < len(self.sources) or found[1] < 0:
            return None
        source, original, at, name = found
        text = self.contents[source] if source < len(self.contents) else ""
        lines = text.split("\n", original + 1) if text else []
        return Origin(
            source=self.sources[source],
            line=original + 1,
            column=at,
            name=self.names[name] if 0 <= name < len(self.names) else "",
            code=lines[original].strip()[:500] if original < len(lines) else "",
        )

    def _in_section(self, line: int, column: int | None) -> Origin | None:
        for start, start_column, part in reversed(self.sections):
            if (start, start_column) <= (line - 1, column if column is not None else 1 << 30):
                inside = None if column is None else column - (start_column if line - 1 == start else 0)
                return part.find(line - start, inside)
        return None

    def _segment(self, line: int, column: int | None) -> tuple[int, int, int, int] | None:
        """Source, line, column and name of the last segment that begins at or before a generated place."""
        source = original = original_column = name = 0
        found: tuple[int, int, int, int] | None = None
        for at, group in enumerate(self.mappings.split(";", line)[:line]):
            wanted = at == line - 1
            generated = 0
            for segment in group.split(",") if group else ():
                values = decode(segment)
                if not values:
                    continue
                generated += values[0]
                if wanted and column is not None and generated > column:
                    return found
                if len(values) >= 4:
                    source += values[1]
                    original += values[2]
                    original_column += values[3]
                    name += values[4] if len(values) > 4 else 0
                if wanted:
                    named = name if len(values) > 4 else -1
                    found = (source, original, original_column, named) if len(values) >= 4 else None
                    if column is None and found is not None:
                        return found
        return found


def decode(segment: str) -> list[int]:
    """The numbers of one segment, in base64 VLQ: five bits a digit, the least first, the sign in the lowest bit.

    Empty when a character is no digit of base64 or a number does not end.
    """
    values: list[int] = []
    value = shift = 0
    for character in segment[:64]:
        digit = _DIGITS.get(character)
        if digit is None:
            return []
        value |= (digit & 31) << shift
        if digit & 32:
            shift += 5
        else:
            values.append(-(value >> 1) if value & 1 else value >> 1)
            value = shift = 0
    return [] if shift else values


def read_map(text: str) -> SourceMap | None:
    """The map that a text holds; None when it is too long, or no map of revision 3."""
    if len(text) > MAX_CHARS:
        return None
    if text.startswith(")]}"):  # a guard against scripts that include JSON
        text = text.partition("\n")[2]
    try:
        return _build(json.loads(text), 0)
    except (ValueError, RecursionError):
        return None


def _build(data: Any, depth: int) -> SourceMap | None:
    if not isinstance(data, dict) or data.get("version") not in (3, "3") or depth > _MAX_DEPTH:
        return None
    if isinstance(data.get("sections"), list):
        return SourceMap(sections=tuple(_sections(data["sections"], depth)))
    mappings = data.get("mappings")
    if not isinstance(mappings, str):
        return None
    root = data["sourceRoot"] if isinstance(data.get("sourceRoot"), str) else ""
    root = root + "/" if root and not root.endswith("/") else root
    return SourceMap(
        sources=tuple(root + source if source else "" for source in _strings(data.get("sources"))),
        contents=_strings(data.get("sourcesContent")),
        names=_strings(data.get("names")),
        mappings=mappings,
    )


def _sections(sections: list[Any], depth: int) -> list[tuple[int, int, SourceMap]]:
    found: list[tuple[int, int, SourceMap]] = []
    for section in sections:
        offset = section.get("offset") if isinstance(section, dict) else None
        part = _build(section.get("map"), depth + 1) if isinstance(offset, dict) else None
        if part is None or not isinstance(offset, dict):
            continue
        line, column = offset.get("line"), offset.get("column")
        if isinstance(line, int) and isinstance(column, int):
            found.append((line, column, part))
    return sorted(found, key=lambda each: each[:2])


def _strings(values: Any) -> tuple[str, ...]:
    return tuple(value if isinstance(value, str) else "" for value in values) if isinstance(values, list) else ()


def map_of(path: str, generated: str, read: Read) -> tuple[str, SourceMap] | None:
    """The map of a generated file and the path that its sources are relative to; inline, named in a comment, or beside it."""
    comments = list(
        _COMMENT.finditer(generated[-MAX_CHARS:] if "data:application/json" in generated else generated[-_TAIL:])
    )
    url = comments[-1]["url"] if comments else ""
    data = _DATA.match(url)
    if data is not None:
        text = _inline(url[data.end() :], encoded=bool(data["base64"]))
        found = read_map(text) if text else None
        return (path, found) if found is not None else None
    named = (
        posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(url.partition("?")[0])))
        if url and ":" not in url
        else ""
    )
    for candidate in dict.fromkeys((named, path + ".map")):
        if not candidate or candidate.startswith(("/", "..")):
            continue
        text = read(candidate) or ""
        found = read_map(text) if text else None
        if found is not None:
            return candidate, found
    return None


def _inline(data: str, *, encoded: bool) -> str:
    if len(data) > MAX_CHARS:
        return ""
    if not encoded:
        return unquote(data)
    try:
        return base64.b64decode(data, validate=False).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def unbuilt(trace: Trace, read: Read) -> Trace:
    """The same trace, also its causes, with the frames of generated files moved to the sources that their maps name.

    `read` gives the text of a file of the project by its path relative to the root, or None; generated files are often
    ignored by git, so it must not be limited to tracked ones. Call it before `framepaths.resolve`, which finds the
    sources; a frame whose file has no map stays as it was.
    """
    builds = _Builds(read)
    chain: list[Trace] = []
    link: Trace | None = trace
    while link is not None:
        chain.append(link)
        link = link.cause
    moved: list[tuple[Frame, ...]] = []
    left = MAX_FRAMES
    for each in chain:
        frames = list(each.frames)
        for at in range(len(frames) - 1, -1, -1):
            if left and frames[at].line and _file_of(frames[at].raw_path).endswith(_GENERATED):
                left -= 1
                frames[at] = builds.move(frames[at])
        moved.append(tuple(frames))
    result: Trace | None = None
    for each, frames_of_it in zip(reversed(chain), reversed(moved), strict=True):
        result = each.model_copy(update={"frames": frames_of_it, "cause": result})
    assert result is not None
    return result


def _file_of(raw: str) -> str:
    return raw.partition("?")[0].partition("#")[0]


class _Builds:
    """The generated files that a trace names, each looked up once."""

    def __init__(self, read: Read) -> None:
        self.read = read
        self.maps: dict[str, tuple[str, SourceMap] | None] = {}

    def move(self, frame: Frame) -> Frame:
        found = self.map(frame.raw_path)
        origin = found[1].find(frame.line, frame.column - 1 if frame.column else None) if found is not None else None
        if found is None or origin is None or not origin.source:
            return frame
        source = origin.source
        if ":" not in source.partition("/")[0] and not source.startswith("/"):
            source = posixpath.normpath(posixpath.join(posixpath.dirname(found[0]), source))
        return frame.model_copy(
            update={
                "raw_path": source,
                "line": origin.line,
                "column": origin.column + 1,
                "function": frame.function or origin.name,
                "code": origin.code,
            }
        )

    def map(self, raw: str) -> tuple[str, SourceMap] | None:
        if raw in self.maps or len(self.maps) >= MAX_MAPS:
            return self.maps.get(raw)
        self.maps[raw] = None
        parts = [part for part in normal(_file_of(raw)).split("/") if part]
        for start in range(max(0, len(parts) - 8), len(parts)):
            path = "/".join(parts[start:])
            generated = self.read(path)
            if generated is not None:
                self.maps[raw] = map_of(path, generated, self.read)
                break
        return self.maps[raw]
