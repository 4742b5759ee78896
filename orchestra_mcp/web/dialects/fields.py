"""Reading a client's JSON by hand: quick, and every complaint names the field.

`null` means the same as leaving a field out, as the vendors' APIs have it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from orchestra_mcp.errors import UserError
from orchestra_mcp.gateway.provider import Media, Message, Part, Role, Text, Tool, ToolResult
from orchestra_mcp.types import JsonObject

MOST_MESSAGES = 10_000
MOST_PARTS = 4_000
"""Of one message."""
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


def parse(data: bytes | bytearray) -> JsonObject:
    """A request body.

    Raises:
        Invalid: it is no JSON object.
    """
    try:
        body = _decode(data.decode("utf-8-sig" if data[:3] == b"\xef\xbb\xbf" else "utf-8"))
    except UnicodeDecodeError:
        raise Invalid("The body is not UTF-8.") from None
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise Invalid(f"The body is no JSON that can be read{where}.") from None
    if not isinstance(body, dict):
        raise Invalid("The body must be a JSON object.")
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


def message(role: Role, parts: list[Part]) -> Message:
    """A message of parts, in their order; a text that begins it stands apart, as `Message` has it."""
    if parts and isinstance(first := parts[0], Text) and not first.cache:
        return Message(role=role, text=first.text, parts=tuple(parts[1:]))
    return Message(role=role, parts=tuple(parts))


def media(address: str, where: str, name: str = "") -> Media:
    """An image or file from a data URL or an address."""
    if address[:5].lower() == "data:":
        kind, found, data = address[5:].partition(",")
        media_type, _, coding = kind.rpartition(";")
        if not found or coding.lower() != "base64" or not data:
            raise Invalid(f"`{where}` must be a data URL in base64, such as data:image/png;base64,…", where)
        return Media(media_type=media_type.partition(";")[0].lower(), data=data, name=name)
    if address[:8].lower() == "https://" or address[:7].lower() == "http://":
        return Media(url=address, name=name)
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

    def add(self, role: Role, parts: Iterable[Part]) -> None:
        """A whole message."""
        self.close()
        self.messages.append(message(role, list(parts)))

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
