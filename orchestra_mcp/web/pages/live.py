"""`/consultations/{id}` while it runs: the council at work, told by Server-Sent Events; every part is made here.

What is sent is the state and not what changed: whoever lost the connection, or comes late, gets all parts as they are
now. A part is sent again only when its facts have changed; clocks tick in the browser.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Hashable
from dataclasses import dataclass
from functools import lru_cache, partial
from weakref import WeakKeyDictionary

import anyio
import anyio.to_thread
from starlette.responses import Response, StreamingResponse

from orchestra_mcp.errors import OrchestraError, UserError
from orchestra_mcp.types import Consultation
from orchestra_mcp.web.asking import Asking
from orchestra_mcp.web.events import HEARTBEAT_S, Places, Standing, while_allowed
from orchestra_mcp.web.pages.livefeed import OTHER_S, Feed
from orchestra_mcp.web.pages.livenouns import View
from orchestra_mcp.web.pages.rendering import HEADERS, render
from orchestra_mcp.web.pages.sessions import cookies
from orchestra_mcp.web.pages.visit import Page, Visit

PACE_S = 0.3
"""Least time between two messages to one browser, in seconds."""
IDLE_S = 1.0
"""A run of this process is looked at again after so long without an event: its costs grow without one."""
AGAIN_MS = 1500
"""After so long a browser that lost the connection comes again, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the page that is replaced as a whole."""

    id: str
    box: str
    """Id of the element that it is put into when it is new."""
    version: str
    """Another one when its facts are others."""
    html: str


class Watching:
    """What all live pages of a server share."""

    def __init__(self, asking: Asking) -> None:
        self.feed, self.places = Feed(asking), Places()


_WATCHING: WeakKeyDictionary[Asking, Watching] = WeakKeyDictionary()


def watching(visit: Visit) -> Watching:
    """The one of the house that is visited."""
    asking = visit.house.asking
    found = _WATCHING.get(asking)
    if found is None:
        found = _WATCHING[asking] = Watching(asking)
    return found


async def live_page(visit: Visit, kept: Consultation) -> Response:
    """The page of a consultation that runs; it is complete without any script, and then loads itself again."""
    from markupsafe import Markup

    seen = await watching(visit).feed.look(kept.id)
    made = await anyio.to_thread.run_sync(parts, seen)

    def piece(box: str) -> Markup:
        return Markup("\n".join(part.html for part in made if part.box == box))

    return await visit.page(
        "live.html",
        kept.question.text[:80],
        kept=kept,
        view=seen,
        piece=piece,
        own=visit.who.is_owner,
    )


async def events(visit: Visit) -> Response:
    """The parts of the page as they change, until the consultation is closed."""
    who, asking = visit.who, visit.house.asking
    id = await asking.own_id(who, visit.part("id"))
    shared = watching(visit)
    if shared.places.full(who.caller.key):
        # An EventSource gives up on this status, and the page goes on without a script's help.
        return Response("Too many watch already.\n", 429, headers=HEADERS)
    standing = Standing(partial(_stays, visit))
    said = while_allowed(told(shared.feed, asking, id), standing, shared.places, who.caller.key)
    headers = {**HEADERS, "x-accel-buffering": "no"}
    return StreamingResponse(said, media_type="text/event-stream", headers=headers)


async def _stays(visit: Visit) -> bool:
    """Whether the visitor's key is good still, and their session has not ended (by logging out, in another tab)."""
    given = cookies(visit.request.scope)
    entered = not given or any(visit.house.sessions.find(cookie) for cookie in given)
    return entered and await visit.house.asking.stands(visit.who)


async def told(feed: Feed, asking: Asking, id: str) -> AsyncGenerator[bytes, None]:
    """The messages for one browser; ends when there is nothing to look at any more, and the browser comes again."""
    yield f"retry: {AGAIN_MS}\n\n".encode()
    known: dict[str, str] = {}
    last, silent = "", anyio.current_time()
    with asking.hub.listen(id, after=asking.hub.latest) as listener:
        while True:
            try:
                seen = await feed.look(id)
            except OrchestraError:  # forgotten in the meantime, or the store cannot be read
                return
            made = await anyio.to_thread.run_sync(parts, seen)
            fresh = [part for part in made if known.get(part.id) != part.version]
            known |= {part.id: part.version for part in fresh}
            now = anyio.current_time()
            if fresh or seen.said != last or seen.closed:
                last, silent = seen.said, now
                yield message("closed" if seen.closed else "parts", seen, fresh)
            elif now - silent >= HEARTBEAT_S:
                silent = now
                yield b": still here\n\n"
            if seen.closed:
                return
            await anyio.sleep(PACE_S)
            await listener.next((IDLE_S if feed.mine(id) else OTHER_S) - PACE_S)
            listener.skip()


def message(kind: str, seen: View, fresh: list[Part]) -> bytes:
    """One Server-Sent Event; JSON has no raw line breaks."""
    body = {
        "elapsed": seen.elapsed,
        "said": seen.said,
        "answered": f"{seen.answered}/{seen.asked}" if seen.asked else "",
        "parts": [[part.box, part.id, part.version, part.html] for part in fresh],
    }
    return f"event: {kind}\ndata: {json.dumps(body, separators=(',', ':'))}\n\n".encode()


async def cancel(visit: Visit) -> Response:
    """Stop a consultation of this process; what was answered stays."""
    asking = visit.house.asking
    id = await asking.own_id(visit.who, visit.part("id"))
    run = asking.orchestra.run(id)
    if run is not None:
        await run.cancel()
    elif (await asking.get(visit.who, id)).status == "running":
        raise UserError("This consultation runs in another process (an editor's, or a terminal's); cancel it there.")
    return visit.see(f"/consultations/{id}")


# --------------------------------------------------------------------------------------------------------- the parts


def parts(seen: View) -> tuple[Part, ...]:
    """The page in pieces, in their order. Facts that stay the same give the same piece."""
    summed = {"answered": seen.answered, "asked": seen.asked, "claims": seen.claims, "money": seen.money}
    return (
        _part("live-facts", "facts", "_live_facts.html", **summed),
        _part("live-stages", "stages", "_live_stages.html", now=seen.now, stages=seen.stages, closed=seen.closed),
        *(_part(f"seat-{_slug(card.name)}", "seats", "_live_seat.html", card=card) for card in seen.cards),
        _part("live-bench", "bench", "_live_bench.html", bench=seen.bench, any=bool(seen.cards)),
        _part("live-matrix", "matrix", "_live_matrix.html", matrix=seen.matrix, answered=seen.answered),
        _part("live-residents", "residents", "_live_residents.html", residents=seen.residents),
    )


def _part(id: str, box: str, template: str, **facts: Hashable) -> Part:
    return _made(id, box, template, tuple(facts.items()))


@lru_cache(maxsize=512)
def _made(id: str, box: str, template: str, facts: tuple[tuple[str, Hashable], ...]) -> Part:
    version = hashlib.sha256(repr(facts).encode("utf-8", "replace")).hexdigest()[:16]
    return Part(id, box, version, render(template, id=id, version=version, **dict(facts)).strip())


def _slug(name: str) -> str:
    """A seat's name as part of an id in the page; names may hold anything."""
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:10]


PAGES = (
    Page("/consultations/{id}/live", events),
    Page("/consultations/{id}/cancel", cancel, ("POST",), "ask"),
)
