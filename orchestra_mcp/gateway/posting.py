"""Posting a message to a web address that the user has named: a webhook.

The address may hold a secret, so no error and no log shows more of it than its host. Redirects are not followed: the
message goes only where it was meant to go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import anyio

from orchestra_mcp.errors import Refused, Unavailable
from orchestra_mcp.gateway import open_http
from orchestra_mcp.gateway.transports.transport import TransportError, fetch
from orchestra_mcp.settings.gateway import LOOPBACK

POST_S: Final = 10.0
"""Longest time for one try, in seconds."""
PAUSES_S: Final = (1.0, 4.0)
"""Between tries."""
REPLY_BYTES: Final = 64_000
PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which another try may help."""


def host_of(url: str) -> str:
    """What may be shown of an address: its host and port."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname or '?'}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return "?"


def may_be_posted_to(url: str, *, allow_http: bool = False) -> bool:
    """True for https, for this machine, and for plain http where that was allowed."""
    return url.lower().startswith("https://") or bool(LOOPBACK.match(url)) or (
        allow_http and url.lower().startswith("http://")
    )  # fmt: skip


async def post(
    url: str,
    body: bytes,
    content_type: str = "application/json",
    *,
    allow_http: bool = False,
    headers: Mapping[str, str] | None = None,
    final: Mapping[int, str] | None = None,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> None:
    """Post a message; tried again a few times while that may help.

    Args:
        url: where it goes.
        body: the message.
        content_type: of the body.
        allow_http: plain http to other machines too.
        headers: more of them, such as one that shows a key.
        final: statuses after which another try does not help, and what they mean, for people.
        sleep: waits between tries.

    Raises:
        Refused: the address is none, or whoever is there does not want it; asking again cannot help.
        Unavailable: nobody took it this time.
    """
    if not may_be_posted_to(url, allow_http=allow_http):
        raise Refused(
            f"The webhook at {host_of(url)} is neither https nor on this machine; `allow_http` would allow it."
        )
    sent = {"content-type": content_type, "user-agent": "orchestra", "accept-encoding": "identity", **(headers or {})}
    async with open_http() as http:
        for pause in (*PAUSES_S, None):
            try:
                status, _ = await fetch(http, url, sent, method="POST", content=body, seconds=POST_S, most=REPLY_BYTES)
            except TransportError as error:
                if error.kind == "address":
                    raise Refused(f"The webhook at {host_of(url)} has no usable address.") from None
                trouble = f"The webhook at {host_of(url)} could not be reached ({error.kind})."
            else:
                if 200 <= status < 300:
                    return
                said = f"The webhook at {host_of(url)} answered {status}"
                if final and status in final:
                    raise Refused(f"{said}: {final[status]}")
                if status not in PASSING:
                    hint = "; redirects are not followed" if 300 <= status < 400 else ""
                    raise Refused(f"{said}{hint}.")
                trouble = f"{said}."
            if pause is None:
                raise Unavailable(trouble)
            await sleep(pause)
