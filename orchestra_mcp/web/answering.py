"""How `/api` and `/admin` read requests and answer them: JSON bodies within bounds, errors in one shape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import anyio.to_thread
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from orchestra_mcp.errors import NotFound, UserError
from orchestra_mcp.types import Noun
from orchestra_mcp.web.access import Principal
from orchestra_mcp.web.errors import Declined, Trouble, trouble

N = TypeVar("N", bound=Noun)
Handler = Callable[[Request], Awaitable[Response]]

HEADERS: Final = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
}
"""With every answer: browsers get these too, by cookie, and should neither keep, run, guess at nor lend what is private."""

BODY_BYTES = 2 * 1024 * 1024


def principal_of(scope: Any) -> Principal:
    """Whoever the guard let in with this request."""
    found: Principal = scope["state"]["principal"]
    return found


def reply(value: Any, status: int = 200) -> Response:
    """A JSON answer: nouns, and lists and tables of them."""
    return Response(to_json(value, by_alias=True, inf_nan_mode="null"), status, media_type="application/json")


async def reply_whole(noun: Noun) -> Response:
    """A JSON answer that may be many megabytes: made in a thread, and piece by piece, since each piece holds up others."""
    text = await anyio.to_thread.run_sync(_pieces, noun)
    return Response(text, media_type="application/json")


def _pieces(noun: Noun) -> bytes:
    """As `reply` writes it; the items of its lists one by one."""
    fields = []
    for name, field in type(noun).model_fields.items():
        value = getattr(noun, name)
        if isinstance(value, tuple):
            made = b"[" + b",".join(to_json(item, by_alias=True, inf_nan_mode="null") for item in value) + b"]"
        else:
            made = to_json(value, by_alias=True, inf_nan_mode="null")
        fields.append(to_json(field.alias or name) + b":" + made)
    return b"{" + b",".join(fields) + b"}"


def failure(error: Exception) -> Response:
    """An error as its status and `{"error": {…}}`."""
    match error:
        case NotFound():
            told = Trouble(404, "not_found", str(error))
        case _:
            told = trouble(error)
    return reply(told.openai, told.status)


def answering(handler: Handler) -> Handler:
    """The handler, whose errors become answers; all of them get `HEADERS`."""

    async def answered(request: Request) -> Response:
        try:
            answer = await handler(request)
        except ClientDisconnect:
            answer = Response(status_code=499)
        except Exception as error:  # noqa: BLE001 - the door: each error becomes an answer, unforeseen ones are logged
            answer = failure(error)
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer

    return answered


async def body(request: Request, noun: type[N]) -> N:
    """The request's body.

    Raises:
        Declined: it is too long.
        UserError: it is no JSON, or not of that shape; the message names the first wrong field.
    """
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > BODY_BYTES:
            raise Declined(413, "too_large", f"The body is longer than {BODY_BYTES:,} bytes.")
    try:
        return noun.model_validate_json(bytes(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise UserError(f"{where}: {first['msg']}") from None


def number(request: Request, name: str, default: float, least: float, most: float) -> float:
    """A number from the query.

    Raises:
        UserError: it is none, or out of range.
    """
    given = request.query_params.get(name, "")
    try:
        value = float(given) if given else default
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise UserError(f"{name} must be a number from {least:g} to {most:g}.")
    return value
