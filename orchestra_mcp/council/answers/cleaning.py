"""What a model said, without secrets: cleaned before it is read, shown to others or recorded.

A model can repeat a secret that it saw elsewhere, or invent one. In the JSON of a reply secrets are written with escapes,
and a pattern that ate a backslash would break it, so it is the strings inside that are cleaned, whole, before any of
them is cut to a length. What reading then makes of them (pieces joined, marks of emphasis dropped) is cleaned once more.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

from orchestra_mcp.council.answers import reading
from orchestra_mcp.errors import BadReply
from orchestra_mcp.foreign import plain
from orchestra_mcp.types import Claim

Clean = Callable[[str], Awaitable[str]]
"""A text without its secrets, with as many lines as before."""
BETWEEN = "\u2014\u2014\u2014"
"""A line between two strings, over which no secret reaches: else a cut private key would take what comes next with it."""


async def as_it_is(text: str) -> str:
    """For rooms without secrets."""
    return text


async def clean_reply(text: str, known: Iterable[str], clean: Clean) -> str:
    """A reply in which no string holds a secret: the JSON object that would be read from it, else its text.

    Args:
        text: as the model wrote it.
        known: keys by which the object is recognised, as for `reading.read_object`.
        clean: takes the secrets out.

    Raises:
        BadReply: `garbage`, for JSON that is nested deeper than anybody means it.
    """
    table = reading.read_object(reading.clean(text), known)
    if table is None:
        return await clean(plain(text))
    try:
        return json.dumps(await clean_all(table, clean), ensure_ascii=False)
    except RecursionError:
        raise BadReply("the reply was nested too deeply to be read", "garbage") from None


async def clean_fields(fields: Mapping[str, Any], clean: Clean) -> dict[str, Any]:
    """What was read from a reply, with clean values."""
    return dict(zip(fields, await clean_all(tuple(fields.values()), clean), strict=True))


async def clean_all(value: Any, clean: Clean) -> Any:
    """The same value with clean strings in its mappings, lists, tuples and claims; all are cleaned in one go."""
    groups = [[plain(text) for text in group] for group in _strings(value)]
    cleaned = await clean(f"\n{BETWEEN}\n".join("\n".join(group) for group in groups))
    return _with(value, _apart(groups, iter(cleaned.split("\n"))))


def _apart(groups: list[list[str]], lines: Iterator[str]) -> Iterator[str]:
    """The cleaned strings: each has as many lines as before."""
    for group in groups:
        for text in group:
            yield "\n".join(next(lines, "") for _ in range(text.count("\n") + 1))
        next(lines, "")  # the one between


def _strings(value: Any) -> Iterator[list[str]]:
    """All strings inside, keys too, in the order in which `_with` asks for them; those of one list are seen together."""
    if isinstance(value, str):
        yield [value]
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield [str(key)]
            yield from _strings(item)
    elif isinstance(value, (list, tuple)) and value and all(isinstance(item, str) for item in value):
        yield list(value)  # often the lines of one text
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, Claim):
        yield from ([value.text], [value.path], [value.symbol], [value.quote])


def _with(value: Any, texts: Iterator[str]) -> Any:
    """The same with other strings."""
    if isinstance(value, str):
        return next(texts)
    if isinstance(value, Mapping):
        return {next(texts): _with(item, texts) for item in value.values()}
    if isinstance(value, (list, tuple)):
        return type(value)([_with(item, texts) for item in value])
    if isinstance(value, Claim):
        return value.model_copy(update={name: next(texts) for name in ("text", "path", "symbol", "quote")})
    return value
