"""Takes what Omi posts, asks what was asked, and tells the user: one conversation for each user who is allowed.

A request is answered at once; questions are taken down and asked in the background. Nothing of a transcript is logged or
stored but the question that was asked.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Protocol

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from orchestra_mcp.edge.nouns import Heard, Mouth, Reply, Segment
from orchestra_mcp.edge.omiapp.dictation import QUIET_S, Asked, Dictation
from orchestra_mcp.edge.omiapp.hearing import Hearing
from orchestra_mcp.edge.omiapp.notifying import InTurn, NextReply
from orchestra_mcp.edge.words.phrase import Phrase
from orchestra_mcp.errors import OrchestraError

logger = logging.getLogger(__name__)

ENGINE: Final = "omi app"
SURE: Final = 0.9
"""What is taken for Omi's confidence in its words, of which it tells none."""
HALF_SURE: Final = 0.4
HALF_HEARD: Final = "The wake phrase was only half heard."
TOO_LONG: Final = "The question was longer than what is taken down at once."
SESSIONS: Final = 8
"""Of one user at the same time; the one that was silent longest is forgotten."""
SESSION_S: Final = 1_800.0
"""A session in which nothing is said for so long, in seconds, is over."""
AT_ONCE: Final = 4
"""Of one user's words being answered: a question, and commands meanwhile."""
ASKED: Final = 20
"""Words that wait to be answered; of more the newest."""
NOT_LISTENING: Final = "Orchestra is muted, or does not listen at this hour, so nothing was asked."


class Talk(Protocol):
    """A conversation with one user (`edge/conversation.py`), which tells its mouth what it replies."""

    @property
    def busy(self) -> bool:
        """True while the council works for this user."""
        ...

    async def hear(self, heard: Heard) -> Reply:
        """Do what was said."""
        ...


Converse = Callable[[str, Mouth], Talk]
"""Begins the conversation with a user, who is reached by a mouth."""


class Held:
    """Somebody who waits for a reply here and need not be told of it elsewhere."""

    def __init__(self) -> None:
        self.waits = True
        self.reply: Reply | None = None
        self.done = anyio.Event()

    def drop(self, why: str = "") -> None:
        """There will be no reply; `why` is for whoever waits."""
        self.reply = Reply("", why, failed=True)
        self.done.set()


_HELD: ContextVar[Held | None] = ContextVar("orchestra_omi_held", default=None)


class _Unheld:
    """A mouth that is silent towards whoever waits for the reply of the request at hand."""

    def __init__(self, mouth: Mouth) -> None:
        self._mouth = mouth

    async def tell(self, reply: Reply, link: str = "") -> bool:
        held = _HELD.get()
        return True if held is not None and held.waits else await self._mouth.tell(reply, link)


@dataclass
class _User:
    """One user who is allowed."""

    talk: Talk
    next_reply: NextReply
    sessions: OrderedDict[str, tuple[Dictation, float]] = field(default_factory=OrderedDict)
    """By their ids, with when something came last."""
    working: int = 0


class Intake:
    """Everything behind the webhook. `run` has to be kept running.

    Args:
        uids: users whose words are taken.
        phrase: what wakes.
        converse: begins a conversation.
        notify: a mouth that reaches a user's phone; None: replies wait for the next transcript.
        listens: False while nobody may be listened to; what is posted then is dropped.
        quiet_s: the pause that ends a question.
    """

    def __init__(
        self,
        uids: Iterable[str],
        phrase: str,
        converse: Converse,
        *,
        notify: Callable[[str, str], Mouth] | None = None,
        listens: Callable[[], bool] = lambda: True,
        quiet_s: float = QUIET_S,
    ) -> None:
        self.uids = frozenset(uids)
        self.notifies = notify is not None
        self.closing: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint
        """Awaited at the end."""
        self.hearing: Hearing | None = None
        """Takes sound, where that is possible."""
        self.broken = False
        """It runs no more, since something went wrong that nobody foresaw."""
        self._phrase, self._words = Phrase(phrase), phrase
        self._converse, self._notify, self._quiet_s = converse, notify, quiet_s
        self._listens = listens
        self._users: dict[str, _User] = {}
        self._asked: deque[tuple[str, Heard, Held | None]] = deque()
        self._come = anyio.Event()

    # ------------------------------------------------------------------------------------------------ what Omi posts

    def transcript(self, uid: str, session: str, segments: Sequence[Segment]) -> str:
        """Take segments of a user who is allowed.

        Returns:
            What the user is to be told in the reply; empty when nothing waits.
        """
        user, now = self._user(uid), anyio.current_time()
        if not self._listens():
            user.sessions.clear()
            return user.next_reply.take()
        dictation, _ = user.sessions.get(session) or (Dictation(self._phrase, self._quiet_s), now)
        user.sessions[session] = (dictation, now)
        user.sessions.move_to_end(session)
        if len(user.sessions) > SESSIONS:
            user.sessions.popitem(last=False)
        for asked in dictation.hear(segments, now):
            self.say(uid, _heard(asked))
        self._come.set()
        return user.next_reply.take()

    def sound(self, uid: str, rate: int, pcm: bytes) -> bool:
        """Take sound of a user who is allowed; False when none can be heard here."""
        if self.hearing is None or self.hearing.trouble:
            return False
        if self._listens():
            self.hearing.feed(uid, rate, pcm)
        return True

    def say(self, uid: str, heard: Heard, held: Held | None = None) -> None:
        """Have words answered, soon and in the background; while nobody may be listened to, they are dropped."""
        if not self._listens():
            _drop(held, NOT_LISTENING)
            return
        self._asked.append((uid, heard, held))
        if len(self._asked) > ASKED:
            _drop(self._asked.popleft()[2])
        self._come.set()

    def talk(self, uid: str) -> Talk:
        """The conversation with a user who is allowed."""
        return self._user(uid).talk

    def busy(self, uid: str) -> bool:
        """True while the council works for a user."""
        return uid in self._users and self._users[uid].talk.busy

    async def ask(self, uid: str, heard: Heard, patience_s: float) -> Reply | None:
        """Have words answered and wait for it.

        Returns:
            The reply; with nothing spoken when they were not taken, and None when it takes longer, after which the user is
            told elsewhere.
        """
        held = Held()
        self.say(uid, heard, held)
        try:
            with anyio.move_on_after(patience_s):
                await held.done.wait()
        finally:
            held.waits = False
        return held.reply

    # ------------------------------------------------------------------------------------------------ in the background

    async def run(self) -> None:
        """Take questions down and answer them, until cancelled."""
        try:
            await self._run()
        finally:
            with anyio.CancelScope(shield=True):
                await self.closing()

    async def _run(self) -> None:
        async with anyio.create_task_group() as group:
            if self.hearing is not None:
                group.start_soon(self.hearing.run)
            while True:
                try:
                    await self._step(group)
                except Exception as error:  # noqa: BLE001 - what takes everybody's words must not fall with one of them
                    logger.error("What the Omi app posted could not be taken: %s", type(error).__name__)
                    await anyio.sleep(1)

    async def _step(self, group: TaskGroup) -> None:
        """Wait until there is something to do, and do it."""
        due = self._next_due()
        with anyio.move_on_at(float("inf") if due is None else due):
            await self._come.wait()
        self._come = anyio.Event()
        self._take_down()
        while self._asked:
            uid, heard, held = self._asked.popleft()
            user = self._user(uid)
            if user.working < AT_ONCE:
                user.working += 1
                group.start_soon(self._answer, user, heard, held)
            else:
                _drop(held)

    def _next_due(self) -> float | None:
        times = [
            due
            for user in self._users.values()
            for dictation, _ in user.sessions.values()
            if (due := dictation.due_at) is not None
        ]
        return min(times, default=None)

    def _take_down(self) -> None:
        """Questions after which nothing came, and sessions that are over."""
        now, listens = anyio.current_time(), self._listens()
        for uid, user in self._users.items():
            if not listens:  # muted since it was said
                user.sessions.clear()
            for session, (dictation, last) in tuple(user.sessions.items()):
                for asked in dictation.due(now):
                    self.say(uid, _heard(asked))
                if now - last > SESSION_S:
                    del user.sessions[session]

    async def _answer(self, user: _User, heard: Heard, held: Held | None) -> None:
        _HELD.set(held)
        try:
            if not self._listens():  # muted since it was said
                _drop(held, NOT_LISTENING)
                return
            reply = await user.talk.hear(heard)
            if held is not None:
                held.reply = reply
        except OrchestraError as error:
            logger.warning("A question from the Omi app was not answered: %s", type(error).__name__)
        except Exception as error:  # noqa: BLE001 - the others are answered on
            logger.error("A question from the Omi app was not answered: %s", type(error).__name__)
        finally:
            user.working -= 1
            if held is not None:
                held.done.set()

    def _user(self, uid: str) -> _User:
        found = self._users.get(uid)
        if found is None:
            next_reply = NextReply(self._words)
            ways: list[Mouth] = [self._notify(uid, self._words)] if self._notify else []
            found = _User(self._converse(uid, _Unheld(InTurn([*ways, next_reply]))), next_reply)
            self._users[uid] = found
        return found


def _drop(held: Held | None, why: str = "") -> None:
    """Words are not answered; whoever waits for it need not wait on."""
    if held is not None:
        held.drop(why)


def _heard(asked: Asked) -> Heard:
    doubt = TOO_LONG if asked.cut else "" if asked.sure else HALF_HEARD
    return Heard(asked.text, ENGINE, SURE if asked.sure else HALF_SURE, doubt, woken=True)
