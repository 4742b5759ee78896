"""Puts the parts of the Omi app path (`omiapp/`) together, from the settings and the house."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, time
from pathlib import Path

from orchestra_mcp.app import Orchestra
from orchestra_mcp.edge import kept
from orchestra_mcp.edge.conversation import Conversation
from orchestra_mcp.edge.nouns import Heard, Mouth, Reply, Utterance
from orchestra_mcp.edge.omiapp.hearing import Converter, Ear, Hearing
from orchestra_mcp.edge.omiapp.intake import Intake
from orchestra_mcp.edge.omiapp.notifying import OmiNotifications
from orchestra_mcp.edge.opening import Everywhere, mouths, open_spotter, open_understanding
from orchestra_mcp.edge.understanding import Understanding
from orchestra_mcp.gateway.posting import post
from orchestra_mcp.settings.voice import Voice

logger = logging.getLogger(__name__)


def open_intake(
    orchestra: Orchestra,
    voice: Voice,
    home: Path,
    variable: Callable[[str], str],
    page: Callable[[str], str] = lambda _: "",
    now: Callable[[], time] = lambda: datetime.now().astimezone().time(),
) -> Intake:
    """What takes transcripts for the users in the settings; its `run` has to be kept running.

    Args:
        orchestra: holds the council.
        voice: settings.
        home: the data directory.
        variable: the value of a variable that the settings name.
        page: where a consultation is on this computer; for its desktop, never for the phone.
        now: the time of day.
    """
    muted = home / kept.MUTED
    talks: dict[str, Conversation] = {}

    def converse(uid: str, mouth: Mouth) -> Conversation:
        ways = {"phone": _WithoutLink(mouth), **mouths(voice.model_copy(update={"speak": False}))}
        talks[uid] = Conversation(orchestra, voice, Everywhere(ways), link=page, mute=muted.touch, names_projects=False)
        return talks[uid]

    def listens() -> bool:
        return not muted.exists() and voice.listens_at(now())

    engines: list[Understanding] = []

    async def understand(uid: str, utterance: Utterance) -> Heard | None:
        if not listens():  # muted since it was said: no engine is to hear it
            return None
        if not engines:  # opened for the first who speaks
            engines.append(open_understanding(orchestra, voice))
        intake.talk(uid)
        return await engines[0].of(utterance, await talks[uid].project())

    intake = Intake(
        voice.omi_app.uids,
        voice.wake_phrase,
        converse,
        notify=_notifying(voice, variable),
        listens=listens,
    )

    async def close() -> None:
        for understanding in engines:
            await understanding.aclose()

    intake.closing = close
    intake.hearing = Hearing(lambda: _ear(voice, home), _converter, understand, intake.say)
    return intake


class _WithoutLink:
    """A mouth far away, to which addresses of this computer mean nothing."""

    def __init__(self, mouth: Mouth) -> None:
        self._mouth = mouth

    async def tell(self, reply: Reply, link: str = "") -> bool:  # noqa: ARG002 - see the class
        return await self._mouth.tell(reply)


def _ear(voice: Voice, home: Path) -> Ear:
    from orchestra_mcp.edge.ear import Ear as OurEar

    return OurEar(open_spotter(voice, kept.load(home)))


def _converter(rate: int) -> Converter:
    from orchestra_mcp.edge.audio.resampling import Resampler

    return Resampler(rate)


def _notifying(voice: Voice, variable: Callable[[str], str]) -> Callable[[str, str], Mouth] | None:
    app = voice.omi_app
    secret = app.app_secret.get_secret_value()
    if secret.startswith("$"):
        name = secret[1:].strip("{}")
        secret = variable(name)
        if not secret:
            logger.warning(
                "%s is not set, so answers reach the Omi app in the reply to its next transcript only.", name
            )
    if not (app.app_id and secret):
        return None
    return OmiNotifications(app.app_id, secret, app.api, post).mouth
