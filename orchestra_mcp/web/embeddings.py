"""`/v1/embeddings`: vectors as numbers, or as base64 of little-endian floats, which OpenAI's SDK asks for unless told otherwise."""

from __future__ import annotations

import base64
import sys
from array import array
from typing import TYPE_CHECKING

import anyio
from pydantic import ValidationError

from orchestra_mcp.gateway.dialects.dialect import Vectors
from orchestra_mcp.gateway.provider import EmbedRequest, Receipt
from orchestra_mcp.types import JsonObject
from orchestra_mcp.web.dialects import fields
from orchestra_mcp.web.dialects.dialect import cost, dumps
from orchestra_mcp.web.dialects.fields import Invalid
from orchestra_mcp.web.errors import Declined, trouble
from orchestra_mcp.web.exchange import JSON, Gone, parsed, read, refuse, reply, watched
from orchestra_mcp.web.overhead import Head, headers

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from orchestra_mcp.web.desk import Desk

MOST_TEXTS = 2048
"""In one request; OpenAI's own limit."""
LONG = 20_000
"""Numbers from which writing them out would keep the event loop from its work."""


class Embeddings:
    """ASGI: texts to vectors."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        head, receipt = Head(scope), Receipt()
        try:
            if scope["method"] != "POST":
                raise Declined(405, "method_not_allowed", "Only POST is answered here.")
            body = await parsed(await read(receive, head))
            request = self._request(body, scope, receipt)
            plain = _plain(body)
            found = await watched(receive, self._desk.deadline_s, lambda: self._desk.vectors(request))
            numbers = sum(len(vector) for vector in found.vectors)
            if numbers > LONG:
                data = await anyio.to_thread.run_sync(_body, request, found, plain)
            else:
                data = _body(request, found, plain)
        except Gone:
            return
        except Exception as error:  # noqa: BLE001 - told to the client
            await refuse(send, trouble(error), head, receipt)
            return
        await reply(send, 200, data, [JSON, *headers(head, receipt, found.usage)])

    def _request(self, body: JsonObject, scope: Scope, receipt: Receipt) -> EmbedRequest:
        model = fields.label(body, "model")
        given = body.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts or len(texts) > MOST_TEXTS:
            raise Invalid(f"`input` must be a string, or a list of 1 to {MOST_TEXTS:,} strings.", "input")
        if not all(isinstance(text, str) for text in texts):
            raise Invalid(
                "`input` must be text: tokens cannot be read for every model"
                " (in LangChain, set check_embedding_ctx_length=False).",
                "input",
            )
        try:
            return EmbedRequest(
                model=model,
                texts=tuple(texts),
                dimensions=fields.whole(body, "dimensions", 1, 100_000),
                caller=self._desk.caller(scope),
                receipt=receipt,
            )
        except ValidationError:
            raise Invalid("`input` holds characters that are no text.", "input") from None


def _plain(body: JsonObject) -> bool:
    form = body.get("encoding_format")
    if form not in (None, "float", "base64"):
        raise Invalid("`encoding_format` must be float or base64.", "encoding_format")
    return form != "base64"


def _body(request: EmbedRequest, found: Vectors, plain: bool) -> bytes:
    usage = found.usage
    tokens = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    rows = [
        {"object": "embedding", "index": index, "embedding": list(vector) if plain else packed(vector)}
        for index, vector in enumerate(found.vectors)
    ]
    return dumps(
        {
            "object": "list",
            "data": rows,
            "model": found.model or request.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens, "cost_usd": cost(usage)},
        }
    ).encode()


def packed(vector: tuple[float, ...]) -> str:
    """Base64 of 32-bit floats, little-endian."""
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()
