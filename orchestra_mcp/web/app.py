"""The whole door as one ASGI application: `/v1`, `/api`, `/admin`, `/mcp`, `/metrics`, `/omi`, `/health` and pages, behind one guard.

The parts are told apart by the first word of the path, so that a call to a model passes through no more than it needs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Route, Router

from orchestra_mcp.gateway.dialects.dialect import Vectors
from orchestra_mcp.gateway.provider import Caller, EmbedRequest
from orchestra_mcp.gateway.transcription import Transcript, TranscriptionRequest
from orchestra_mcp.store.access import AccessStore
from orchestra_mcp.telemetry.http import Traced
from orchestra_mcp.tools.http import Addresses
from orchestra_mcp.types import JsonObject
from orchestra_mcp.web.access import Access, Permitted, Principal, permit
from orchestra_mcp.web.admin import Admin
from orchestra_mcp.web.api import Api, Costs, Judge
from orchestra_mcp.web.asking import COUNCIL, Asking
from orchestra_mcp.web.council import Council
from orchestra_mcp.web.desk import Desk, ModelCard
from orchestra_mcp.web.draining import Drain
from orchestra_mcp.web.guard import Guard, Slowing
from orchestra_mcp.web.metrics import Metrics
from orchestra_mcp.web.pages import pages
from orchestra_mcp.web.pages.entrance import Entrance
from orchestra_mcp.web.pages.places import ROOMS
from orchestra_mcp.web.pages.sessions import Sessions
from orchestra_mcp.web.pages.visit import House

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

COUNCIL_CARDS = tuple(ModelCard(name, "council") for name in COUNCIL)


class Rooms:
    """ASGI: leads to an endpoint by its whole path, to a room by the path's first word, else to the MCP endpoint.

    The lifespan is the MCP endpoint's, which is the only room that has one.
    """

    def __init__(self, rooms: dict[str, ASGIApp], mcp: ASGIApp, exact: Mapping[str, ASGIApp]) -> None:
        self._rooms, self._mcp, self._exact = rooms, mcp, exact

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        room = None
        if scope["type"] != "lifespan":
            path = scope["path"]
            room = self._exact.get(path) if scope["type"] == "http" else None
            room = room or self._rooms.get(path.split("/", 2)[1])
        await (room or self._mcp)(scope, receive, send)


async def health(scope: Scope, _receive: Receive, send: Send) -> None:
    """`/health`: alive, and not a word more, since nobody has to show a key here."""
    found = scope["type"] == "http" and scope["path"] == "/health"
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"status":"ok"}' if found else b"{}"})


async def nowhere(scope: Scope, _receive: Receive, send: Send) -> None:
    """What there is not: a 404 that clients can read."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    wrong_way = {"message": "There is nothing at this address, or not for this method.", "type": "not_found_error"}
    body = json.dumps({"error": {**wrong_way, "code": "not_found", "param": None}}).encode()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def room(routes: Sequence[BaseRoute], default: ASGIApp = nowhere) -> ASGIApp:
    """Some routes as an application."""
    return Router(routes=routes, default=default, redirect_slashes=False)


def guarded_desk(desk: Desk, access: Access, council: Council) -> Desk:
    """The desk of the owner's house for everybody who has a key: with the council, and within what keys may use."""

    def cards(caller: Caller) -> list[ModelCard]:
        who = access.principal(caller)
        return [card for card in (*desk.models(caller), *COUNCIL_CARDS) if who.may_use(card.name)]

    async def embed(request: EmbedRequest) -> Vectors:
        permit(access.principal(request.caller), request.model)
        return await desk.vectors(request)

    async def transcribe(request: TranscriptionRequest) -> Transcript:
        permit(access.principal(request.caller), request.model)
        return await desk.words(request)

    return replace(
        desk,
        gateway=Permitted(desk.gateway, access),
        models=cards,
        council=council.chat,
        embed=embed if desk.embed else None,
        transcribe=transcribe if desk.transcribe else None,
    )


def build_door(
    *,
    mcp: ASGIApp,
    desk: Desk,
    asking: Asking,
    access: Access,
    store: AccessStore,
    addresses: Addresses,
    costs: Costs,
    resting: Callable[[str], float | None] = lambda _: None,
    admin: bool = False,
    judge: Judge | None = None,
    drain: Drain | None = None,
    sessions: Sessions | None = None,
    metrics: Metrics | None = None,
    webhook: ASGIApp | None = None,
    webhook_hosts: Iterable[str] = (),
) -> ASGIApp:
    """The application behind its guard.

    Args:
        mcp: the MCP endpoint; its lifespan is the application's.
        desk: the gateway for `/v1`, without council and keys, which are added here.
        asking: the way to the council.
        access: who may enter.
        store: where keys and workspaces are.
        addresses: names of this server.
        costs: what calls cost.
        resting: seconds until a model that failed is asked again; None when it may be asked now.
        admin: with `/admin`.
        judge: keeps judgements of offered answers.
        drain: ends what still works when the server closes.
        sessions: who has entered with a browser.
        metrics: what `/metrics` shows.
        webhook: what the Omi app posts, at `/omi/`, where no key is asked for; it looks after itself.
        webhook_hosts: public names under which it, and nothing else, may be called.
    """
    from orchestra_mcp.web.completions import Completions
    from orchestra_mcp.web.v1 import nothing, v1_routes

    drain = drain or Drain(0)
    served = replace(guarded_desk(desk, access, Council(asking, access)), drain=drain)

    async def models(who: Principal) -> list[JsonObject]:
        return [
            {
                "id": card.name, "kind": card.kind, "owner": card.owner, "model": card.model_id,
                "context_tokens": card.context_tokens,
                "resting_s": resting(card.name) if card.kind == "model" else None,
            }
            for card in served.models(who.caller)
        ]  # fmt: skip

    sessions, slowing = sessions or Sessions(), Slowing()
    house = House(asking, access, store, costs, resting, sessions, slowing)
    for_people = drain.ended(pages(house))
    routes = v1_routes(served)
    rooms: dict[str, ASGIApp] = {
        "v1": room(routes, nothing),
        "api": drain.ended(room(Api(asking, models, costs, judge).routes())),
        "admin": room(Admin(store, access).routes()) if admin else nowhere,
        "metrics": drain.ended(room([Route("/metrics", metrics.scrape)])) if metrics else nowhere,
        "health": health,
        **({"omi": drain.ended(webhook)} if webhook else {}),
        **dict.fromkeys(ROOMS, for_people),
    }
    exact = {
        # Completions end in their dialect's own words.
        route.path: route.endpoint if isinstance(route.endpoint, Completions) else drain.ended(route.endpoint)
        for route in routes
        if "{" not in route.path
    }
    whole = drain.counted(Traced(Rooms(rooms, drain.ended(mcp), exact)))
    public = {"/omi/": frozenset(host.lower() for host in webhook_hosts)} if webhook else {}
    return Guard(whole, access, addresses, slowing, Entrance(sessions, access), public)
