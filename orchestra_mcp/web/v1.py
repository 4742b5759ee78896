"""`/v1`: the addresses that OpenAI's and Anthropic's clients know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra_mcp.gateway.provider import Receipt
from orchestra_mcp.web.audio import Transcriptions
from orchestra_mcp.web.completions import Completions
from orchestra_mcp.web.dialects import messages
from orchestra_mcp.web.dialects.chat_reply import Chat
from orchestra_mcp.web.dialects.messages_reply import Messages
from orchestra_mcp.web.dialects.responses_reply import Responses
from orchestra_mcp.web.embeddings import Embeddings
from orchestra_mcp.web.errors import Declined, trouble
from orchestra_mcp.web.exchange import JSON, Gone, parsed, read, refuse, reply
from orchestra_mcp.web.models import Models
from orchestra_mcp.web.overhead import Head, headers

if TYPE_CHECKING:
    from starlette.routing import Route
    from starlette.types import Receive, Scope, Send

    from orchestra_mcp.web.desk import Desk


def v1_routes(desk: Desk) -> list[Route]:
    """The routes, for a Starlette application behind the guard."""
    from starlette.routing import Route

    models = Models(desk)
    return [
        Route("/v1/chat/completions", Completions(desk, Chat())),
        Route("/v1/responses", Completions(desk, Responses())),
        Route("/v1/messages", Completions(desk, Messages(), anthropic=True)),
        Route("/v1/messages/count_tokens", count_tokens),
        Route("/v1/embeddings", Embeddings(desk)),
        Route("/v1/audio/transcriptions", Transcriptions(desk)),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", models),
        Route("/v1/{rest:path}", nothing),
    ]


class CountTokens:
    """ASGI: how many tokens a prompt of Anthropic's shape has, as an estimate that says so."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        head = Head(scope)
        try:
            if scope["method"] != "POST":
                raise Declined(405, "method_not_allowed", "Only POST is answered here.")
            asked = messages.parse(await parsed(await read(receive, head)), limit=False)
            data = b'{"input_tokens":%d,"estimate":true}' % messages.count(asked)
        except Gone:
            return
        except Exception as error:  # noqa: BLE001 - told to the client
            await refuse(send, trouble(error), head, Receipt(), anthropic=True)
            return
        more = headers(head, Receipt(), left_out=asked.dropped)
        await reply(send, 200, data, [JSON, (b"x-orchestra-estimate", b"true"), *more])


class Nothing:
    """ASGI: what is not there."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive
        head = Head(scope)
        known = (
            "/v1/chat/completions, /v1/responses, /v1/messages, /v1/embeddings, /v1/audio/transcriptions, /v1/models"
        )
        gone = trouble(Declined(404, "not_found", f"There is nothing at {scope['path'][:100]}; there are {known}."))
        anthropic = bool(head.version) or scope["path"].startswith("/v1/messages")
        await refuse(send, gone, head, Receipt(), anthropic=anthropic)


count_tokens = CountTokens()
nothing = Nothing()
