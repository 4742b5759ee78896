"""The webhook of the Omi app: `/omi/<secret>/transcript`, `/audio`, `/tool` and `/tools.json`.

Omi can show no key, so the secret stands in the path, and only users who are named in the settings are heard. Whoever has
the wrong secret learns nothing, and waits. A request is answered before anything is done with it.
"""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

import anyio

from orchestra_mcp.edge.omiapp import tool
from orchestra_mcp.edge.omiapp.address import ROOM
from orchestra_mcp.edge.omiapp.hearing import RATES
from orchestra_mcp.edge.omiapp.intake import Intake
from orchestra_mcp.edge.omiapp.segments import NAME_CHARS, read_segments
from orchestra_mcp.types import JsonObject
from orchestra_mcp.web.errors import Declined
from orchestra_mcp.web.exchange import Gone, read
from orchestra_mcp.web.guard import Slowing
from orchestra_mcp.web.overhead import Head

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Receive, Scope, Send

TRANSCRIPT_BYTES: Final = 256 * 1024
AUDIO_BYTES: Final = 25 * 4 * 32_000
"""Four times the longest utterance, at 16 kHz."""
TOOL_BYTES: Final = 64 * 1024
READ_S: Final = 10.0
"""For a body to come; Omi itself gives up after 15 s."""
BODIES: Final = 8
"""That come at the same time; a request more is told to come again."""
PREFIX: Final = f"/{ROOM}/"


class Webhook:
    """ASGI: what Omi posts.

    Args:
        token: the secret in the path.
        intake: takes what is posted.
        hosts: public names of this server, which the manifest of the chat tools may mention.
        slowing: makes those wait who come with a wrong secret.
        tool_s: so long a chat tool may take, in seconds.
    """

    def __init__(
        self,
        token: str,
        intake: Intake,
        hosts: Iterable[str] = (),
        slowing: Slowing | None = None,
        tool_s: float = tool.PATIENCE_S,
    ) -> None:
        self._token, self._intake, self._tool_s = token.encode(), intake, tool_s
        self._hosts = frozenset(host.lower() for host in hosts)
        # Its own, so that nobody out there makes the owner wait who mistypes a key.
        self._slowing = slowing or Slowing()
        self._bodies = 0
        """That are coming."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        given, _, what = scope["path"].removeprefix(PREFIX).partition("/")
        if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._token):
            who = (scope.get("client") or ("",))[0]
            await _answer(send, 404 if await self._slowing.wait(who) else 429)
            return
        try:
            status, body = await self._do(what, scope, receive)
        except Declined as declined:
            status, body = declined.trouble.status, {"error": str(declined)}
        except Gone:
            return
        await _answer(send, status, body)

    async def _do(self, what: str, scope: Scope, receive: Receive) -> tuple[int, JsonObject]:
        if what == "tools.json" and scope["method"] in ("GET", "HEAD"):
            return 200, tool.manifest(self._endpoint(scope))
        if what not in ("transcript", "audio", "tool") or scope["method"] != "POST":
            return 404, {}
        if self._intake.broken:
            raise Declined(503, "unavailable", "The voice does not work here now; its log says why.")
        try:
            query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=20)
        except ValueError:
            raise Declined(400, "invalid_request", "The query cannot be read.") from None
        if what == "tool":
            return await self._tool(await self._json(receive, scope, TOOL_BYTES))
        uid = self._allowed(_one(query, "uid"))
        if what == "audio":
            return await self._audio(uid, _one(query, "sample_rate"), receive, scope)
        given = await self._json(receive, scope, TRANSCRIPT_BYTES)
        try:
            session, segments = read_segments(given)
        except ValueError as error:
            raise Declined(400, "invalid_request", str(error)) from None
        message = self._intake.transcript(uid, _one(query, "session_id") or session, segments)
        return 200, {"message": message} if message else {}

    async def _tool(self, body: object) -> tuple[int, JsonObject]:
        if not isinstance(body, dict):
            raise Declined(400, "invalid_request", "Send a JSON object.")
        uid = body.get("uid")
        return 200, await tool.call(
            self._intake, self._allowed(uid if isinstance(uid, str) else ""), body, self._tool_s
        )

    async def _audio(self, uid: str, rate: str, receive: Receive, scope: Scope) -> tuple[int, JsonObject]:
        if not (rate.isascii() and rate.isdigit() and len(rate) < 6 and int(rate) in RATES):
            raise Declined(
                400, "invalid_request", f"Say sample_rate: {', '.join(map(str, RATES[:-1]))} or {RATES[-1]}."
            )
        pcm = await self._body(receive, scope, AUDIO_BYTES)
        if not self._intake.sound(uid, int(rate), bytes(pcm)):
            raise Declined(503, "unavailable", "Sound is not heard here; use the transcript webhook.")
        return 200, {}

    async def _body(self, receive: Receive, scope: Scope, most: int) -> bytes | bytearray:
        if self._bodies >= BODIES:
            raise Declined(503, "busy", "Too much is being posted at once; try again.")
        self._bodies += 1
        try:
            with anyio.move_on_after(READ_S):
                return await read(receive, Head(scope), most)
        finally:
            self._bodies -= 1
        raise Declined(408, "timeout", f"The body did not come within {READ_S:g} s.")

    async def _json(self, receive: Receive, scope: Scope, most: int) -> object:
        data = await self._body(receive, scope, most)
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise Declined(400, "invalid_request", "The body is no JSON.") from None

    def _allowed(self, uid: str) -> str:
        if not uid or uid not in self._intake.uids:
            raise Declined(403, "not_allowed", "This user is not among `uids` of [voice.omi_app].")
        return uid

    def _endpoint(self, scope: Scope) -> str:
        """Where tools are called; Omi puts the app's home before a mere path."""
        path = f"{PREFIX}{self._token.decode()}/tool"
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "").lower()
        return f"https://{host}{path}" if host.partition(":")[0] in self._hosts else path


def _one(query: dict[str, list[str]], name: str) -> str:
    return query.get(name, [""])[0][:NAME_CHARS]


async def _answer(send: Send, status: int, body: JsonObject | None = None) -> None:
    data = json.dumps(body or {}).encode()
    more = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(data)),
        (b"cache-control", b"no-store"),
    ]
    if status in (404, 408, 413, 429, 503):
        more.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": more})
    await send({"type": "http.response.body", "body": data})
