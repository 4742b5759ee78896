"""Answers as notifications of the Omi app, or in the reply to the next transcript where no key of an app is given.

Source: `docs/doc/developer/apps/Notifications.mdx` of github.com/BasedHardware/omi (address, header, empty body) and its
`backend/routers/{integration,notifications}.py` (403 for a wrong key or an app that is not installed, ten an hour for each
user); `backend/utils/{app_integrations,webhooks}.py` show `message` of a webhook's reply to the user. As of 2026-11.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import quote, urlencode

import anyio

from orchestra_mcp.edge.nouns import Mouth, Reply
from orchestra_mcp.errors import ProviderError
from orchestra_mcp.foreign import plain

logger = logging.getLogger(__name__)

MESSAGE_CHARS: Final = 500
"""Omi names no limit; a push message holds 4 kB and carries the text twice, and a phone shows some lines of it."""
TELL_S: Final = 40.0
"""Longest time for all tries."""
WAITING: Final = 3
"""Messages that wait for a transcript to answer; the oldest is dropped."""
STALE_S: Final = 600.0
FINAL: Final = {
    401: "the key of the Omi app was not accepted; check `app_secret`.",
    403: "the key is not that of this Omi app, or the user has not installed the app; check `app_id` and `app_secret`.",
    404: "Omi knows no such app or user; check `app_id` and `uids`.",
    429: "Omi takes ten notifications an hour for each user; the answer is on the dashboard.",
}

Post = Callable[..., Awaitable[None]]


class OmiNotifications:
    """The notification API with the key of an Omi app.

    Args:
        app_id: of the app.
        secret: its API key.
        api: where the API is; https, or this machine.
        post: `gateway.posting.post`.
    """

    def __init__(self, app_id: str, secret: str, api: str, post: Post) -> None:
        self._app_id, self._secret, self._api, self._post = app_id, secret, api.rstrip("/"), post

    def __repr__(self) -> str:
        return "OmiNotifications()"

    def mouth(self, uid: str, phrase: str = "") -> Mouth:
        """The way to one user; `phrase` is what an answer to a question of ours has to begin with."""
        return _Notified(self, uid, phrase)

    async def send(self, uid: str, message: str) -> bool:
        """Show a message to a user; False when it could not be, which is logged without user, key and message."""
        where = f"{self._api}/v2/integrations/{quote(self._app_id, safe='')}/notification"
        query = urlencode({"uid": uid, "message": message}, quote_via=quote)
        try:
            with anyio.fail_after(TELL_S):
                headers = {"authorization": f"Bearer {self._secret}"}
                await self._post(f"{where}?{query}", b"", headers=headers, final=FINAL)
        except ProviderError as error:
            logger.warning("An Omi notification was not sent: %s", error)
            return False
        except TimeoutError:
            logger.warning("An Omi notification was not sent: it took longer than %g s.", TELL_S)
            return False
        return True


class _Notified:
    """One user of `OmiNotifications`."""

    def __init__(self, api: OmiNotifications, uid: str, phrase: str) -> None:
        self._api, self._uid, self._phrase = api, uid, phrase

    async def tell(self, reply: Reply, link: str = "") -> bool:
        """Deliver a reply; the link leads to this computer and is of no use on a phone."""
        del link
        message = message_of(reply, self._phrase)
        return bool(message) and await self._api.send(self._uid, message)


class NextReply:
    """Keeps a message until Omi posts the next transcript, whose reply it becomes.

    Args:
        phrase: what an answer to a question of ours has to begin with.
    """

    def __init__(self, phrase: str = "") -> None:
        self._phrase = phrase
        self._waiting: deque[tuple[float, str]] = deque(maxlen=WAITING)

    async def tell(self, reply: Reply, link: str = "") -> bool:
        """Keep a reply."""
        del link
        if message := message_of(reply, self._phrase):
            self._waiting.append((anyio.current_time() + STALE_S, message))
        return bool(message)

    def take(self) -> str:
        """All that waits, as one message; empty when nothing does."""
        now = anyio.current_time()
        messages = [message for until, message in self._waiting if until > now]
        self._waiting.clear()
        return cut(" ".join(messages))


class InTurn:
    """Ways to a speaker, of which the first that works is used."""

    def __init__(self, mouths: Sequence[Mouth]) -> None:
        self._mouths = tuple(mouths)

    async def tell(self, reply: Reply, link: str = "") -> bool:
        """Deliver a reply."""
        for mouth in self._mouths:
            if await mouth.tell(reply, link):
                return True
        return False


def message_of(reply: Reply, phrase: str = "") -> str:
    """A reply as one line of plain text."""
    said = " ".join(plain(reply.spoken).split())
    if not (reply.expects and phrase and said):
        return cut(said)
    hint = f" Begin with “{phrase}”."
    return cut(said, MESSAGE_CHARS - len(hint)) + hint


def cut(text: str, most: int = MESSAGE_CHARS) -> str:
    """The text, shortened at a word."""
    if len(text) <= most:
        return text
    shorter = text[: most - 1]
    return f"{shorter[: shorter.rfind(' ')] if ' ' in shorter[most // 2 :] else shorter}…"
