"""How `/api` and `/admin` read requests and answer them: JSON bodies within bounds, errors in one shape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

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

BODY_BYTES = 2 * 1024 * 1024


def principal_of(scope: Any) -> Principal:
    """Whoever the guard let in with this request."""
    found: Principal = scope["state"]["principal"]
    return found


def reply(value: Any, status: int = 200) -> Response:
    """A JSON answer: nouns, and lists and tables of them."""
    return Response(to_json(value, by_alias=True, inf_nan_mode="null"), status, media_type="application/json")


def failure(error: Exception) -> Response:
    """An error as its status and `{"error": {…}}`."""
    match error:
        case NotFound():
            told = Trouble(404, "not_found", str(error))
        case _:
            told = trouble(error)
    return reply(told.openai, told.status)


def answering(handler: Handler) -> Handler:
    """The handler, whose errors become answers."""

    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001 - the door: each error becomes an answer, unforeseen ones are logged
            return failure(error)

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
