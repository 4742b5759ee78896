"""What a speaker and the council say to each other: confirm, choose the project, ask, answer, repeat.

One `Conversation` for each speaker: whoever is heard by `orchestra listen`, or one user of the Omi app. It takes what was
understood and tells the speaker's `Mouth`. Nothing is sent to anybody before the question is sure: a doubtful one is read
back and waits for a yes, an unclear project is asked about.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePath
from typing import Final

import anyio
import anyio.lowlevel

from orchestra_mcp.app import Orchestra
from orchestra_mcp.edge.nouns import Heard, Mouth, Reply
from orchestra_mcp.edge.projects import answered, choose
from orchestra_mcp.edge.speaking.readable import readable
from orchestra_mcp.edge.speaking.summary import details, notification, spoken
from orchestra_mcp.edge.words.commands import Command, command_in
from orchestra_mcp.errors import ConsentNeeded, OrchestraError, ProjectError
from orchestra_mcp.settings.voice import Voice
from orchestra_mcp.types import Observer, Question, Verdict

logger = logging.getLogger(__name__)

WAIT_S: Final = 60.0
"""A question waits so long for its yes or its project, in seconds; then it is dropped."""
WORDS: Final = 400
"""Longest question that is read back, in characters."""
NOT_UNDERSTOOD: Final = "I did not understand you. Please say it again."
NAME_WORDS: Final = 6
"""A longer text is no name of a project."""
SILENCE: Final = Reply("", "")
NOTHING_WAITS: Final = "There is nothing to confirm. Ask your question."
CANCELLED: Final = "Cancelled."
MUTED: Final = "Muted."
NOTHING_YET: Final = "There is no answer yet."
ONE_AT_A_TIME: Final = "I am still at your earlier question. Say cancel to drop it."


@dataclass(frozen=True, slots=True)
class _Pending:
    """A question that is not sure yet."""

    text: str
    until: float
    """On the loop's clock."""
    project: str | None = None
    """None: the speaker was asked which."""
    doubt: str = ""
    """Not empty: it waits for a yes."""


class Conversation:
    """Talks with one speaker.

    Args:
        orchestra: holds the council.
        voice: settings.
        mouth: reaches the speaker.
        project: the root that was chosen at the start; empty: none.
        here: the root in which this was started; meant where no other is known.
        link: where the full verdict of a consultation can be read; empty where nowhere.
        observer: told of what happens in the council.
        mute: called when the speaker says so.
        names_projects: tell which projects are known, when one is asked about; not where others carry what is said.
    """

    def __init__(
        self,
        orchestra: Orchestra,
        voice: Voice,
        mouth: Mouth,
        *,
        project: str = "",
        here: str = "",
        link: Callable[[str], str] = lambda _: "",
        observer: Observer | None = None,
        mute: Callable[[], None] = lambda: None,
        names_projects: bool = True,
    ) -> None:
        self._orchestra = orchestra
        self._voice = voice
        self._mouth = mouth
        self._chosen, self._here = project, here
        self._link = link
        self._observer = observer
        self._mute = mute
        self._names_projects = names_projects
        self._pending: _Pending | None = None
        self._working: anyio.CancelScope | None = None
        """The question that is being asked."""
        self._said: Reply | None = None
        self._verdict: Verdict | None = None

    @property
    def busy(self) -> bool:
        """True while the council works for this speaker."""
        return self._working is not None

    @property
    def waiting(self) -> bool:
        """True while a question waits for a yes or a project."""
        return self._waits() is not None

    async def project(self) -> str:
        """The project that a question is about when none is named in it; empty when that has to be asked."""
        return choose("", await self._known(), await self._own()).project or ""

    async def hear(self, heard: Heard, *, answer: bool = False) -> Reply:
        """Do what was said, and tell the speaker.

        Args:
            heard: what was understood.
            answer: it was said after something was asked back, without the wake phrase or a button. Then only an answer
                counts; all else was meant for somebody else, and is dropped without a word.

        Returns:
            What the speaker was told; with nothing spoken when there was nothing to tell.
        """
        return await self._told(partial(self._answer, heard, answer))

    async def confirm(self) -> Reply:
        """The question that waits is meant: by the button, or a yes."""
        return await self._told(self._confirmed)

    async def cancel(self) -> Reply:
        """Drop the question that waits, or stop the council."""
        return await self._told(self._cancelled)

    def drop(self) -> None:
        """Forget the question that waits, without a word."""
        self._pending = None

    # ---------------------------------------------------------------------------------------------------- what to do

    async def _answer(self, heard: Heard, answer: bool) -> Reply:
        text = " ".join(heard.text.split())
        command = command_in(text)
        if command is not None:
            return await self._obey(command, heard.doubt)
        waits = self._waits()
        if waits is not None and waits.project is None and (answer or len(text.split()) <= NAME_WORDS):
            return await self._project_named(waits, text, heard.doubt)
        if answer:
            return SILENCE
        if not text:
            return Reply("", NOT_UNDERSTOOD, failed=True)
        if self._working:
            return Reply("", ONE_AT_A_TIME, failed=True)
        self._pending = None
        return await self._stoppable(partial(self._question, text, heard.doubt))

    async def _question(self, text: str, doubt: str) -> Reply:
        choice = choose(text, await self._known(), await self._own(), names=self._names_projects)
        doubt = doubt or ("It is to be confirmed." if self._voice.confirm == "always" else "")
        until = anyio.current_time() + WAIT_S
        if choice.project is None:
            self._pending = _Pending(choice.text, until, doubt=doubt)
            return Reply(choice.text, choice.ask, failed=True, expects=True)
        if not choice.text.strip():
            return Reply("", NOT_UNDERSTOOD, failed=True)
        pending = _Pending(choice.text, until, choice.project, doubt)
        return self._read_back(pending) if doubt else await self._ask(pending)

    async def _obey(self, command: Command, doubt: str) -> Reply:
        if command in ("cancel", "no"):
            return await self._cancelled()
        if command == "yes":
            waits = self._waits()
            # A yes that was not heard for certain sends nothing.
            return self._read_back(waits) if waits and waits.project and doubt else await self._confirmed()
        if command == "more":
            said = details(self._verdict) if self._verdict else NOTHING_YET
            return Reply(self._said.heard if self._said else "", said, failed=self._verdict is None)
        if command == "repeat":
            return self._said or Reply("", NOTHING_YET, failed=True)
        self._mute()
        return Reply("", MUTED)

    async def _cancelled(self) -> Reply:
        idle = self._working is None and self._waits() is None
        self._pending = None
        if self._working is not None:
            self._working.cancel()
        return SILENCE if idle else Reply("", CANCELLED)

    async def _project_named(self, waits: _Pending, text: str, doubt: str) -> Reply:
        known = tuple(dict.fromkeys((*await self._known(), *filter(None, [await self._own()]))))
        choice = answered(text, known, names=self._names_projects)
        if choice.project is None:
            # Somebody who talks of something else is not interrupted.
            return Reply(waits.text, choice.ask, failed=True) if len(text.split()) <= NAME_WORDS else SILENCE
        settled = replace(
            waits, project=choice.project, until=anyio.current_time() + WAIT_S, doubt=waits.doubt or doubt
        )
        return self._read_back(settled) if settled.doubt else await self._stoppable(partial(self._ask, settled))

    def _read_back(self, pending: _Pending) -> Reply:
        self._pending = pending
        about = readable(PurePath(pending.project or "").name)
        asked = readable(pending.text[:WORDS]).rstrip(" ?.!")
        said = f"Did you ask about {about}: {asked}? Say yes or no."
        return Reply(pending.text, said, expects=True)

    async def _confirmed(self) -> Reply:
        waits = self._waits()
        if waits is None:
            return Reply("", NOTHING_WAITS, failed=True)
        if waits.project is None:
            return Reply(waits.text, "Which project do you mean?", failed=True, expects=True)
        if self._working:
            return Reply("", ONE_AT_A_TIME, failed=True)
        return await self._stoppable(partial(self._ask, waits))

    def _waits(self) -> _Pending | None:
        if self._pending is not None and self._pending.until < anyio.current_time():
            self._pending = None
        return self._pending

    # -------------------------------------------------------------------------------------------------------- asking

    async def _stoppable(self, work: Callable[[], Awaitable[Reply]]) -> Reply:
        """Work that `cancel` ends; whoever cancelled it is told, so that it says nothing itself."""
        with anyio.CancelScope() as self._working:
            try:
                return await work()
            finally:
                self._working = None
        return SILENCE

    async def _ask(self, pending: _Pending) -> Reply:
        self._pending = None
        question = Question(text=pending.text, project=pending.project, spoken=True)
        try:
            verdict = await self._council(question)
        except ConsentNeeded as refusal:
            said = f"Nobody has allowed {', '.join(refusal.providers)} to see that project yet, so nothing was sent."
            return Reply(pending.text, f"{said} Allow it at the computer.", failed=True)
        except OrchestraError as error:
            return Reply(pending.text, readable(f"The council could not answer: {error}"), failed=True)
        if verdict is None:
            return SILENCE  # cancelled elsewhere: whoever did it knows
        self._verdict = verdict
        self._said = Reply(
            pending.text,
            spoken(verdict, pending.text),
            notification(verdict, pending.text),
            verdict.id,
            failed=verdict.status == "failed",
        )
        return self._said

    async def _council(self, question: Question) -> Verdict | None:
        """The verdict; None when the speaker cancelled it."""
        with anyio.CancelScope(shield=True):  # in the midst of it nobody would hold what has begun
            run = await self._orchestra.start(question, self._observer)
        try:
            await anyio.lowlevel.checkpoint()
            await run.wait()
        finally:
            if not run.done:
                await run.cancel()
        verdict = run.so_far()
        return None if verdict.status == "cancelled" else verdict

    async def _known(self) -> tuple[str, ...]:
        """Projects that were asked about and are still there."""
        known = []
        for root in await self._orchestra.projects():
            try:
                if self._orchestra.project(root) is not None:
                    known.append(root)
            except ProjectError:
                continue
        return tuple(dict.fromkeys((*known, *filter(None, [self._here]))))

    async def _own(self) -> str:
        if self._chosen:
            return self._chosen
        root = self._orchestra.project(self._voice.project) if self._voice.project else None
        return str(root) if root else ""

    async def _told(self, work: Callable[[], Awaitable[Reply]]) -> Reply:
        try:
            reply = await work()
        except OrchestraError as error:  # no store, no project any more
            reply = Reply("", readable(str(error)), failed=True)
        if not reply.spoken:
            return reply
        link = self._link(reply.consultation) if reply.consultation else ""
        if not await self._mouth.tell(reply, link):
            logger.warning("A reply reached nobody.")
        return reply
