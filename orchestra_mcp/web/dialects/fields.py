"""Reading a client's JSON by hand: quick, and every complaint names the field.

`null` means the same as leaving a field out, as the vendors' APIs have it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any, NoReturn

from orchestra_mcp.errors import UserError
from orchestra_mcp.gateway.provider import Media, Message, Part, Role, Text, Tool, ToolResult
from orchestra_mcp.types import JsonObject

MOST_MESSAGES = 10_000
MOST_PARTS = 4_000
"""Of one message."""
MOST_ALL_PARTS = 10_000
"""Of all messages together."""
MOST_VALUES = 250_000
"""Lists, objects and what stands in them, in one body: each costs far more memory and time than its two bytes tell."""
MOST_DEPTH = 100
"""Lists and objects within each other."""
LONG = 256 * 1024
"""A longer body, in bytes, takes so long to read that it should be done in a thread."""
MOST_TOOLS = 1_000
MOST_TOKENS = 100_000_000
MAX_NAME = 300
"""Characters of a model's, a tool's or a schema's name, or of an id."""


class Invalid(UserError):
    """The request is wrong. `param` is the field that is meant, such as `messages[2].content`."""

    def __init__(self, message: str, param: str = "") -> None:
        super().__init__(message)
        self.param = param


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_decode = json.JSONDecoder(parse_constant=_constant).decode


_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {each: 1 if each in b"[{" else -1 for each in b"[]{}"}.__getitem__


def _bounded(data: bytes | bytearray) -> None:
    """Make sure that a body is neither deep nor of very many values, before anything is made of it.

    Almost always three quick counts are enough; else strings are cut out first, in which brackets mean nothing.

    Raises:
        Invalid: it is.
    """
    if data.count(b"[") + data.count(b"{") <= MOST_DEPTH and data.count(b",") <= MOST_VALUES:
        return
    bare = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    many = bare.count(b'"') > 4 * MOST_VALUES
    outside = b"" if many else b"".join(bare.split(b'"')[::2])
    brackets = outside.translate(None, _NO_BRACKETS)
    if many or outside.count(b",") + brackets.count(b"[") + brackets.count(b"{") > MOST_VALUES:
        raise Invalid(f"The body has more than {MOST_VALUES:,} values.")
    if max(accumulate(map(_STEP, brackets)), default=0) > MOST_DEPTH:
        raise Invalid(f"The body has more than {MOST_DEPTH} lists and objects within each other.")


def _parts(rows: list[Any]) -> int:
    """How many parts messages have, with those of results of tools."""
    count = 0
    for row in rows:
        if isinstance(row, dict):
            for name in ("content", "output"):
                if isinstance(inner := row.get(name), list):
                    count += len(inner) + _parts(inner)
    return count


def parse(data: bytes | bytearray) -> JsonObject:
    """A request body.

    Raises:
        Invalid: it is no JSON object, or one of too many values.
    """
    _bounded(data)
    try:
        body = _decode(data.decode("utf-8-sig" if data[:3] == b"\xef\xbb\xbf" else "utf-8"))
    except UnicodeDecodeError:
        raise Invalid("The body is not UTF-8.") from None
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise Invalid(f"The body is no JSON that can be read{where}.") from None
    if not isinstance(body, dict):
        raise Invalid("The body must be a JSON object.")
    if len(data) > LONG:
        for name in ("messages", "input"):
            if isinstance(rows := body.get(name), list) and _parts(rows) > MOST_ALL_PARTS:
                raise Invalid(f"`{name}` has more than {MOST_ALL_PARTS:,} parts in all.", name)
    return body


def text(body: Mapping[str, Any], name: str, where: str = "", *, needed: bool = False) -> str:
    """A string; empty when it is left out."""
    value = body.get(name)
    if isinstance(value, str) and (value or not needed):
        return value
    if value is None and not needed:
        return ""
    raise Invalid(f"`{where}{name}` must be a {'non-empty ' if needed else ''}string.", f"{where}{name}")


def label(body: Mapping[str, Any], name: str, where: str = "") -> str:
    """A string that names something: not empty, not endless."""
    value = text(body, name, where, needed=True)
    if len(value) > MAX_NAME:
        raise Invalid(f"`{where}{name}` has more than {MAX_NAME} characters.", f"{where}{name}")
    return value


def number(body: Mapping[str, Any], name: str, low: float, high: float) -> float | None:
    """A number within limits."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise Invalid(f"`{name}` must be a number from {low:g} to {high:g}.", name)
    return float(value)


def whole(body: Mapping[str, Any], name: str, low: int = 1, high: int = MOST_TOKENS) -> int | None:
    """A whole number within limits."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Invalid(f"`{name}` must be a whole number from {low} to {high}.", name)
    return value


def flag(body: Mapping[str, Any], name: str, where: str = "") -> bool | None:
    """True, false, or left out."""
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise Invalid(f"`{where}{name}` must be true or false.", f"{where}{name}")


def table(body: Mapping[str, Any], name: str, where: str = "") -> JsonObject:
    """An object; empty when it is left out."""
    value = body.get(name)
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise Invalid(f"`{where}{name}` must be an object.", f"{where}{name}")


def rows(body: Mapping[str, Any], name: str, where: str = "", most: int = MOST_PARTS) -> list[JsonObject]:
    """A list of objects; empty when it is left out."""
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise Invalid(f"`{where}{name}` must be a list of objects.", f"{where}{name}")
    if len(value) > most:
        raise Invalid(f"`{where}{name}` has more than {most:,} entries.", f"{where}{name}")
    return value


def stops(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """One string or a list of them."""
    value = body.get(name)
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and len(value) <= 64 and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise Invalid(f"`{name}` must be a string or a list of at most 64 strings.", name)


def others(body: Mapping[str, Any], known: frozenset[str]) -> JsonObject:
    """The parameters that have no field of their own."""
    if body.keys() <= known:
        return {}
    return {name: value for name, value in body.items() if name not in known and value is not None}


def function(row: Mapping[str, Any], schema: str, where: str) -> Tool:
    """A function tool, whose JSON Schema stands in the field `schema`."""
    return Tool(
        name=label(row, "name", where),
        description=text(row, "description", where),
        parameters=table(row, schema, where),
        strict=flag(row, "strict", where),
    )


def message(role: Role, parts: list[Part], name: str = "") -> Message:
    """A message of parts, in their order; a text that begins it stands apart, as `Message` has it."""
    if parts and isinstance(first := parts[0], Text) and not first.cache:
        return Message(role=role, text=first.text, parts=tuple(parts[1:]), name=name)
    return Message(role=role, parts=tuple(parts), name=name)


def speaker(body: Mapping[str, Any], where: str) -> str:
    """The `name` of who says a message; empty when it is left out."""
    return label(body, "name", where) if body.get("name") else ""


def detail(body: Mapping[str, Any], where: str) -> str:
    """How closely an image is to be looked at; empty when that is left to the vendor."""
    return label(body, "detail", where) if body.get("detail") else ""


def media(address: str, where: str, name: str = "", detail: str = "") -> Media:
    """An image or file from a data URL or an address."""
    if address[:5].lower() == "data:":
        kind, found, data = address[5:].partition(",")
        media_type, _, coding = kind.rpartition(";")
        if not found or coding.lower() != "base64" or not data:
            raise Invalid(f"`{where}` must be a data URL in base64, such as data:image/png;base64,…", where)
        return Media(media_type=media_type.partition(";")[0].lower(), data=data, name=name, detail=detail)
    if address[:8].lower() == "https://" or address[:7].lower() == "http://":
        return Media(url=address, name=name, detail=detail)
    raise Invalid(f"`{where}` must be an http(s) address or a data URL.", where)


class Turns:
    """Messages in the making, for dialects in which one turn comes in several pieces.

    Pieces of the assistant that follow one another are one turn, and so are results of tools.
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.tools: dict[str, str] = {}
        """Id of a call → name of its tool."""
        self._parts: list[Part] = []
        self._open: Role | None = None

    def add(self, role: Role, parts: Iterable[Part], name: str = "") -> None:
        """A whole message."""
        self.close()
        self.messages.append(message(role, list(parts), name))

    def said(self, parts: Iterable[Part]) -> None:
        """A piece of the assistant's turn."""
        if self._open != "assistant":
            self.close()
            self._open = "assistant"
        self._parts += parts

    def result(self, result: ToolResult) -> None:
        """A tool's result."""
        if self._open != "user":
            self.close()
            self._open = "user"
        self._parts.append(result)

    def close(self) -> None:
        """End the turn that is being put together."""
        if self._open:
            self.messages.append(message(self._open, self._parts))
            self._parts, self._open = [], None
