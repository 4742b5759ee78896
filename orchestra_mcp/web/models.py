"""`/v1/models`: what may be asked for, in the shape of OpenAI's list or, for Anthropic's clients, of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from orchestra_mcp.gateway.provider import Receipt
from orchestra_mcp.types import JsonObject
from orchestra_mcp.web.desk import ModelCard
from orchestra_mcp.web.errors import Declined, trouble
from orchestra_mcp.web.exchange import refuse, reply_json
from orchestra_mcp.web.overhead import Head

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from orchestra_mcp.web.desk import Desk

MOST = 1000
"""Models on one of Anthropic's pages; the vendor's own limit."""


class Models:
    """ASGI: the list, and one of it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive
        head = Head(scope)
        anthropic = bool(head.version)
        try:
            if scope["method"] not in ("GET", "HEAD"):
                raise Declined(405, "method_not_allowed", "Only GET is answered here.")
            cards = self._desk.models(self._desk.caller(scope))
            name = scope.get("path_params", {}).get("name", "")
            if name:
                body = _one(cards, name, anthropic)
            elif anthropic:
                body = _page(cards, parse_qs(scope.get("query_string", b"").decode("latin-1")))
            else:
                body = {"object": "list", "data": [_openai(card) for card in cards]}
        except Exception as error:  # noqa: BLE001 - told to the client
            await refuse(send, trouble(error), head, Receipt(), anthropic=anthropic)
            return
        await reply_json(send, body, head)


def _one(cards: Sequence[ModelCard], name: str, anthropic: bool) -> JsonObject:
    for card in cards:
        if card.name == name:
            return _anthropic(card) if anthropic else _openai(card)
    raise Declined(
        404, "model_not_found", f"There is no model called {name[:100]!r}; GET /v1/models lists them.", "model"
    )


def _openai(card: ModelCard) -> JsonObject:
    body: JsonObject = {
        "id": card.name,
        "object": "model",
        "created": int(card.created.timestamp()),
        "owned_by": card.owner,
        "kind": card.kind,
    }
    if card.model_id:
        body["model_id"] = card.model_id
    if card.context_tokens:
        body["context_window"] = card.context_tokens
    return body


def _anthropic(card: ModelCard) -> JsonObject:
    return {
        "type": "model",
        "id": card.name,
        "display_name": card.name,
        "created_at": card.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "max_input_tokens": card.context_tokens,
    }


def _page(cards: Sequence[ModelCard], query: dict[str, list[str]]) -> JsonObject:
    """One page, as Anthropic's clients turn them: `limit`, `after_id`, `before_id`."""
    limit = query.get("limit", ["20"])[0]
    if not limit.isdigit() or not 1 <= int(limit) <= MOST:
        raise Declined(400, "invalid_request", f"`limit` must be a whole number from 1 to {MOST}.", "limit")
    names = [card.name for card in cards]
    start, end = 0, len(names)
    if (after := query.get("after_id", [""])[0]) in names:
        start = names.index(after) + 1
    before = query.get("before_id", [""])[0]
    if before in names:
        end = names.index(before)
        start = max(start, end - int(limit))
    shown = cards[start : min(end, start + int(limit))]
    more = start > 0 if before else start + len(shown) < len(names)
    return {
        "data": [_anthropic(card) for card in shown],
        "has_more": more,
        "first_id": shown[0].name if shown else None,
        "last_id": shown[-1].name if shown else None,
    }
