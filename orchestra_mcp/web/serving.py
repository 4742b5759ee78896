"""`orchestra serve`: opens the house, puts the door in front of it, and serves until a signal comes."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from mcp.server.transport_security import TransportSecuritySettings

from orchestra_mcp.errors import OrchestraError, SettingsError
from orchestra_mcp.gateway.caching.keys import scope_of
from orchestra_mcp.gateway.provider import Caller, ChatRequest, Message
from orchestra_mcp.settings import Keys, home_dir
from orchestra_mcp.store.access import open_access
from orchestra_mcp.store.feed import Feed
from orchestra_mcp.telemetry.http import within_trace
from orchestra_mcp.tools.http import ANYWHERE, BODY_BYTES, Addresses, bearer_token, listen, serve_opened
from orchestra_mcp.tools.server import build_server
from orchestra_mcp.tools.stdio import log_to_stderr, trace_process
from orchestra_mcp.web.access import Access, Principal
from orchestra_mcp.web.app import build_door
from orchestra_mcp.web.asking import Asking
from orchestra_mcp.web.desk import Desk, ModelCard
from orchestra_mcp.web.draining import Drain
from orchestra_mcp.web.events import Hub
from orchestra_mcp.web.metrics import Metrics
from orchestra_mcp.web.pages.sessions import Sessions

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from orchestra_mcp.app import Orchestra
    from orchestra_mcp.edge.omiapp.intake import Intake
    from orchestra_mcp.gateway.front import Gateway
    from orchestra_mcp.web.voice import Webhook

logger = logging.getLogger(__name__)

LINK_S = 900.0
"""A link to a verdict lets the owner in for so long, in seconds."""
DRAIN_S = 10.0
"""After a signal, requests that run may go on for so long, in seconds."""


Beside = Callable[["Orchestra", Callable[[str], str]], Awaitable[None]]
"""Something that runs in the house beside the server; is told where the page of a consultation is."""


@asynccontextmanager
async def open_door(
    environ: Mapping[str, str],
    token: str,
    host: str,
    *,
    sse: bool = False,
    admin: bool = False,
    drain: Drain | None = None,
    sessions: Sessions | None = None,
    opened: Callable[[Orchestra], None] = lambda _: None,
    address: str = "",
) -> AsyncIterator[ASGIApp]:
    """The whole application, ready to serve; closing it cancels and records what still runs.

    `opened` is given the house when it is ready; `sessions` are those of browsers; alerts link to the dashboard at `address`.

    Raises:
        SettingsError, StoreError: the house cannot be opened.
    """
    server = build_server(environ, serving=True)
    server.middleware.insert(0, within_trace)
    unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # the guard does it
    make = server.sse_app if sse else server.streamable_http_app
    mcp = make(transport_security=unchecked, max_request_body_size=BODY_BYTES)
    failure: Exception | None = None
    async with (
        server.host,
        open_access(home_dir(environ)) as store,
        AsyncExitStack() as closing,
        anyio.create_task_group() as group,
    ):
        access = Access(token, store)
        group.start_soon(access.run)
        try:
            orchestra = await server.host.orchestra()
            orchestra.callers.claims, orchestra.callers.limits = access.claims, access.limits
            gateway = await orchestra.gateway()
            models = gateway.models

            async def judge(offer: str, right: bool, who: Principal) -> bool:
                return await orchestra.judge(offer, right, None if who.is_owner else _scope(who.caller))

            desk = Desk(
                gateway=gateway,
                models=_cards(orchestra, gateway),
                embed=gateway.embed,
                transcribe=orchestra.transcribe,
                deadline_s=orchestra.longest_s,
            )
            hub = Hub()
            orchestra.watching = hub.note
            asking = Asking(orchestra, store, hub, lambda: {name: models.spec(name) for name in models})
            feed = Feed(home_dir(environ))
            closing.push_async_callback(feed.aclose)
            metrics = Metrics(feed, orchestra)
            await metrics.begin()
            orchestra.alarms.dashboard = address
            omi_app = orchestra.user_settings.voice.omi_app
            webhook = None
            if omi_app.uids:
                webhook, intake = _webhook(environ, orchestra, address)
                group.start_soon(_run_apart, intake)
            door = build_door(
                mcp=mcp,
                desk=desk,
                asking=asking,
                access=access,
                store=store,
                addresses=Addresses(host),
                costs=orchestra.costs,
                resting=models.resting,
                admin=admin,
                judge=judge,
                drain=drain,
                sessions=sessions,
                metrics=metrics,
                webhook=webhook,
                webhook_hosts=omi_app.hosts,
            )
            opened(orchestra)
            yield door
        except Exception as error:  # noqa: BLE001 - raised again below, outside the task group that would wrap it
            failure = error
        group.cancel_scope.cancel()
    if failure:
        raise failure


def _webhook(environ: Mapping[str, str], orchestra: Orchestra, address: str) -> tuple[Webhook, Intake]:
    """What the Omi app posts, and what takes it.

    Raises:
        SettingsError: the secret in its address cannot be kept.
    """
    from orchestra_mcp.edge.omiapp.address import omi_token
    from orchestra_mcp.edge.omiapp.opening import open_intake
    from orchestra_mcp.web.voice import Webhook

    home, voice = orchestra.user_settings.home, orchestra.user_settings.voice

    def page(id: str) -> str:
        return f"{address}consultations/{id}" if address else ""

    intake = open_intake(orchestra, voice, home, Keys(environ, home / "keys.env").get, page)
    return Webhook(omi_token(home), intake, voice.omi_app.hosts), intake


async def _run_apart(intake: Intake) -> None:
    """Run the webhook's side of the house: what nobody foresaw there ends it, and no other door."""
    try:
        await intake.run()
    except Exception as error:  # noqa: BLE001 - told by its kind, since it may hold what somebody said
        intake.broken = True
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        logger.error("The webhook of the Omi app has ended: %s. All other doors are open.", type(error).__name__)


def _scope(caller: Caller) -> str:
    """Under which name the caches keep what a caller was offered: the same for all of a workspace."""
    return scope_of(ChatRequest(model="-", messages=(Message(role="user"),), caller=caller))


def _cards(orchestra: Orchestra, gateway: Gateway) -> Callable[[Caller], tuple[ModelCard, ...]]:
    """The names that may be asked for: models, routes and use cases, aliases."""
    named = tuple(ModelCard(name, "route") for name in gateway.router.routes)
    named += tuple(ModelCard(name, "alias", model_id=target) for name, target in orchestra.aliases.items())

    def cards(_: Caller) -> tuple[ModelCard, ...]:
        specs = [(name, gateway.models.spec(name)) for name in gateway.models.given]
        known = tuple(
            ModelCard(name, owner=spec.recipient, model_id=spec.model, context_tokens=spec.context_tokens)
            for name, spec in specs
        )
        return known + named

    return cards


def serve_door(
    environ: Mapping[str, str],
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    sse: bool = False,
    admin: bool = False,
    drain_s: float = DRAIN_S,
    show: Callable[[str], None] | None = None,
    beside: Beside | None = None,
) -> int:
    """Serve until a signal comes; returns the exit code.

    Args:
        environ: where keys and the documented paths are looked up.
        host: address to listen on.
        port: port to listen on; 0 takes any free one. The address is printed on standard error once the server answers.
        sse: the older MCP transport (`/sse`) in place of streamable HTTP (`/mcp`).
        admin: with the admin API.
        drain_s: after a signal, requests that run may go on for so long, in seconds; a second signal ends that.
        show: told where the dashboard is once it can be opened, with a ticket that lets the owner in once.
        beside: runs in the same house; when it ends, so does the server, with what it raised.
    """
    log_to_stderr(environ)
    trace_process(environ)
    home = home_dir(environ)
    try:
        token = bearer_token(home)
        listener = listen(host, port)
    except SettingsError as error:
        sys.stderr.write(f"orchestra: {error}\n")
        return 1
    with listener:
        address = f"[{host}]" if ":" in host else host
        base = f"http://{address}:{listener.getsockname()[1]}"
        path = "sse" if sse else "mcp"
        where = (
            f"Orchestra listens on {base}/{path} (MCP), {base}/v1 (models), {base}/api{' and /admin' if admin else ''}; "
            f"the dashboard is at {base}/\n"
            f"Clients must send the owner's token ({home / 'token'}) or a key of `orchestra keys create`\n"
        )
        drain, sessions = Drain(drain_s), Sessions()
        houses: list[Orchestra] = []

        def opened(orchestra: Orchestra) -> None:
            houses.append(orchestra)
            if show is not None:
                show(f"{base}/#t={sessions.ticket()}")

        def page(id: str) -> str:
            return f"{link}/consultations/{id}#t={sessions.ticket(LINK_S)}"

        link = base.replace(f"//{address}:", "//127.0.0.1:") if host in ANYWHERE else base
        opening = open_door(
            environ, token, host,
            sse=sse, admin=admin, drain=drain, sessions=sessions, opened=opened, address=f"{link}/",
        )  # fmt: skip
        try:
            along = None if beside is None else lambda: beside(houses[0], page)
            where = where if beside is None else ""
            return serve_opened(opening, listener, where, ws=True, fast=beside is None, drain=drain, beside=along)
        except OrchestraError as error:
            sys.stderr.write(f"orchestra: {error}\n")
            return 1
