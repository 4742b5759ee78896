"""One listener: sound from a source, through the ear, to the conversation; its state is shown all the while.

Everything that a source tells goes through one bounded queue, in order. The ear works in a thread; a question is understood
and answered in a task of its own, so that a `cancel` is heard meanwhile. While an answer is read aloud nobody listens, so
that nothing is woken by its own voice. Sound is sent only while it is wanted: not when muted, outside of the hours, with a
low battery, or in button mode before the button is pressed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from orchestra_mcp.edge.conversation import Conversation
from orchestra_mcp.edge.ear import Ear
from orchestra_mcp.edge.nouns import (
    Charge,
    Cue,
    Link,
    Nothing,
    Onset,
    Pause,
    Perception,
    Pressed,
    Reception,
    Reply,
    Signal,
    Sound,
    Source,
    State,
    Status,
    Utterance,
    Woken,
)
from orchestra_mcp.edge.signals import Signals
from orchestra_mcp.edge.speaking.turns import Turns
from orchestra_mcp.edge.understanding import Understanding
from orchestra_mcp.edge.wanting import Wanting
from orchestra_mcp.errors import OrchestraError, VoiceError

T = TypeVar("T")
logger = logging.getLogger(__name__)

ROOM_S: Final = 1.0
"""With less sound than this in the queue there is room for more."""
READY_S: Final = 0.01
ANSWER_S: Final = 8.0
"""How long a yes, or a question after a tap, is waited for."""
LINK_S: Final = 6.0
"""A question that was cut off by a lost connection is taken as it is after so long."""
CUE_S: Final = 1.5
WATCH_S: Final = 0.5
POOR: Final = 0.10
"""From this share of lost packets on the reception is called poor, from the next on bad."""
BAD: Final = 0.30
FAILED: Final = "I could not understand that. The reason is on your screen."
EMPTY: Final = 5
"""Per cent of the battery at which it is said aloud."""


class Listener:
    """Listens to one source until it ends or is cancelled.

    Args:
        source: where sound comes from.
        ear: finds what is meant for us in it.
        understanding: turns that into words.
        conversation: with whoever speaks.
        turns: the mouth that the conversation uses.
        wanting: knows when to listen.
        show: told of every change.
    """

    def __init__(
        self,
        source: Source,
        ear: Ear,
        understanding: Understanding,
        conversation: Conversation,
        turns: Turns,
        *,
        wanting: Wanting,
        show: Callable[[Status], None] = lambda _: None,
    ) -> None:
        self._source = source
        self._ear = ear
        self._understanding = understanding
        understanding.trouble = self._detail
        self._conversation = conversation
        self._turns = turns
        self._wanting = wanting
        self._show = show
        self.status = Status(source=source.name)
        self._signals = Signals()
        self._one = anyio.CapacityLimiter(1)
        self._holding = False
        """The talk button is held, or was pressed once."""
        self._listening = False
        self._expecting_until = 0.0
        self._thinking = 0
        self._lost_since: float | None = None
        self._hearing: bool | None = None
        self._deaf = False
        """What comes is dropped, and the ear knows."""
        self._told_battery = 100
        self._shown: Status | None = None
        self._group: TaskGroup | None = None

    async def run(self) -> None:
        """Listen until the source ends or this is cancelled.

        Raises:
            VoiceError: the source cannot work at all here.
        """
        failure: OrchestraError | None = None
        self._wanting.button = self._source.talk_button
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                group.start_soon(self._hear)
                self._begin(self._prepare)
                watching = anyio.CancelScope()
                group.start_soon(self._watch, watching)
                try:
                    await self._settle()
                    await self._source.run(self._signals.note)
                except OrchestraError as error:
                    failure = error
                    group.cancel_scope.cancel()
                except Exception as error:  # noqa: BLE001 - the server beside must go on, and people must know
                    failure = VoiceError(f"The source of sound failed unexpectedly ({type(error).__name__}).")
                    group.cancel_scope.cancel()
                self._signals.end()
                watching.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._understanding.aclose()
        if failure is not None:
            raise failure

    async def _prepare(self) -> None:
        await self._understanding.prepare(await self._conversation.project())

    @property
    def dropped_s(self) -> float:
        """Sound that could not be listened to in time, in seconds."""
        return self._signals.dropped_s

    async def ready(self) -> None:
        """Wait until there is room for more and nothing is being answered; for a source that need not lose any."""
        while self._signals.waiting_s > ROOM_S or self._thinking or self._turns.speaking:  # noqa: ASYNC110 - changes soon
            await anyio.sleep(READY_S)

    # ------------------------------------------------------------------------------------------------------- hearing

    async def _hear(self) -> None:
        while True:
            await self._signals.wait()
            while (signal := self._signals.take()) is not None:
                await self._unfailing(partial(self._take, signal))
            if self._signals.ended:
                return

    async def _take(self, signal: Signal) -> None:
        if isinstance(signal, Sound):
            await self._sound(signal)
        else:
            await self._heed(signal)

    async def _sound(self, sound: Sound) -> None:
        if self._turns.speaking or not self._wanted:
            if not self._deaf:
                self._deaf, self._listening = True, False
                await self._with_ear(self._ear.reset)
            return
        self._deaf = False
        for perception in await self._with_ear(partial(self._ear.feed, sound)) or ():
            self._perceived(perception)

    async def _with_ear(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._one)

    def _perceived(self, perception: Perception) -> None:
        match perception:
            case Onset():
                self._wanting.voice_heard()
            case Woken():
                self._listening = True
                self._cue("woken")
            case Pause():
                self._begin(partial(self._foresee, perception.so_far))
            case Utterance():
                answer = perception.by == "expected" and not self._holding
                self._listening = self._holding = False
                self._expecting_until = 0.0
                self._cue("captured")
                self._thinking += 1
                self._begin(partial(self._understand, perception, answer))
            case Nothing():
                self._listening = self._holding = False
                self._expecting_until = 0.0
        self._changed()

    # -------------------------------------------------------------------------------------------------- understanding

    async def _understand(self, utterance: Utterance, answer: bool) -> None:
        try:
            heard = await self._understanding.of(utterance, await self._conversation.project())
            if heard is None:
                self._detail("It woke, but the wake phrase was not in what was said.")
                self._cue("failed")
                return
            if (answer and not heard.text.strip()) or self._wanting.muted:
                return
            if utterance.by == "wake" and not heard.text.strip():
                # Most often it woke by mistake: a sign will do, nobody wants to be talked to then.
                self._detail("What followed the wake phrase was not understood; say it again, in other words.")
                self._cue("failed")
                return
            reply = await self._conversation.hear(heard, answer=answer)
        except Exception as error:  # noqa: BLE001 - whatever it was, the speaker has to know; its words could be in it
            known = isinstance(error, OrchestraError)
            self._detail(str(error) if known else f"The question could not be understood ({type(error).__name__}).")
            self._cue("failed")
            self._begin(partial(self._turns.tell, Reply("", FAILED, failed=True)))
            return
        finally:
            self._thinking -= 1
            self._changed()
        self._replied(reply)

    async def _foresee(self, so_far: Utterance) -> None:
        with suppress(OrchestraError, TimeoutError):  # it will fail again, and be told then
            await self._understanding.begin(so_far, await self._conversation.project())

    def _replied(self, reply: Reply) -> None:
        if reply.expects:
            self._begin(self._expect)
        elif reply.spoken:
            self._cue("failed" if reply.failed else "done")
        self._changed()

    async def _expect(self) -> None:
        """Hear the next words without the wake phrase."""
        self._expecting_until = anyio.current_time() + ANSWER_S
        await self._settle()
        await self._with_ear(partial(self._ear.expect, ANSWER_S))
        self._cue("woken")
        self._changed()

    # -------------------------------------------------------------------------------------------------------- signals

    async def _heed(self, signal: Signal) -> None:
        match signal:
            case Pressed():
                await self._pressed(signal)
            case Charge():
                self.status = replace(self.status, battery=signal.percent, charging=signal.charging)
                self._weigh_battery(signal)
                await self._settle()
            case Link():
                self._linked(signal)
            case Reception():
                self._received(signal)
        self._changed()

    async def _pressed(self, pressed: Pressed) -> None:
        self._wanting.voice_heard()
        if self._turns.speaking:
            self._turns.interrupt()
        elif pressed.button == self._source.talk_button:
            if self._holding and not self._source.hold_to_talk:
                await self._release()
            elif self._confirming and not self._source.hold_to_talk:
                self._begin(self._confirm)
            else:
                await self._hold()
        elif pressed.button == "release" and self._holding and self._source.hold_to_talk:
            await self._release()
        elif pressed.button == "double":
            if self._conversation.busy or self._conversation.waiting:
                self._begin(self._cancel)
            else:
                self.mute(not self._wanting.muted)

    async def _hold(self) -> None:
        if self._wanting.muted:
            self._detail("It is muted; press the button twice to end that, or run: orchestra omi unmute")
            self._cue("failed")
            return
        self._holding = self._listening = True
        self._expecting_until = 0.0
        await self._settle()
        if self._source.hold_to_talk:
            await self._with_ear(self._ear.hold)
        else:  # a tap: what is said next counts, until it is quiet or the next tap
            await self._with_ear(partial(self._ear.expect, ANSWER_S))
        self._cue("woken")

    async def _release(self) -> None:
        for perception in await self._with_ear(self._ear.release):
            self._perceived(perception)
        self._holding = self._listening = False
        await self._settle()

    async def _confirm(self) -> None:
        self._thinking += 1
        self._expecting_until = 0.0
        self._changed()
        try:
            reply = await self._conversation.confirm()
        finally:
            self._thinking -= 1
        self._replied(reply)

    async def _cancel(self) -> None:
        self._expecting_until = 0.0
        await self._conversation.cancel()
        self._cue("failed")

    def mute(self, on: bool) -> None:
        """Listen to nobody, or to everybody again; other processes see it too."""
        if trouble := self._wanting.mute(on):
            self._detail(trouble)
        self._cue("muted" if on else "woken")
        self._begin(self._settle)
        self._changed()

    def _weigh_battery(self, charge: Charge) -> None:
        self._wanting.charge(charge)
        if not self._wanting.low:
            self._told_battery = 100
            return
        if self._told_battery == 100:
            self._cue("battery")
            self._detail(f"The battery is at {charge.percent} %.")
        if charge.percent <= EMPTY < self._told_battery:
            self._begin(partial(self._turns.tell, Reply("", f"The battery is at {charge.percent} per cent.")))
        self._told_battery = min(self._told_battery, charge.percent)

    def _linked(self, link: Link) -> None:
        connected = link.state == "connected"
        if connected:
            self._lost_since = None
        elif self._lost_since is None:
            self._lost_since = anyio.current_time()
        self.status = replace(
            self.status, link=link.state, source=link.name or self.status.source, detail=link.detail,
            loss=0.0 if not connected else self.status.loss,
        )  # fmt: skip

    def _received(self, reception: Reception) -> None:
        self.status = replace(self.status, loss=reception.loss)
        if reception.loss >= BAD:
            self._detail(f"{reception.loss:.0%} of the sound is lost: go nearer, or hold the button while you speak.")
        elif reception.loss >= POOR:
            self._detail(f"{reception.loss:.0%} of the sound is lost: go nearer to the computer.")

    # --------------------------------------------------------------------------------------------------- what is wanted

    @property
    def _confirming(self) -> bool:
        """True while a yes is awaited, so that a press is one."""
        return self._conversation.waiting and self._expecting_until > anyio.current_time()

    @property
    def _wanted(self) -> bool:
        """True while sound may be listened to."""
        if self._wanting.muted:
            return False
        used = self._holding or self._expecting_until > anyio.current_time()
        return used or not self._wanting.why_not

    async def _settle(self) -> None:
        """Have sound sent or not, as it is wanted now."""
        if (wanted := self._wanted) != self._hearing:
            self._hearing = wanted
            if self._wanting.muted:
                self._conversation.drop()
            if not wanted:
                await self._with_ear(self._ear.reset)
            await self._source.hear(wanted)

    async def _watch(self, scope: anyio.CancelScope) -> None:
        with scope:
            while True:
                await anyio.sleep(WATCH_S)
                await self._unfailing(self._settle)
                lost = self._lost_since
                if self._listening and lost is not None and anyio.current_time() - lost > LINK_S:
                    self._detail("The connection was lost in mid-question; what arrived of it is used.")
                    await self._release()
                self._changed()

    # ------------------------------------------------------------------------------------------------------- showing

    def _state(self) -> State:
        told: tuple[tuple[bool, State], ...] = (
            (self._wanting.muted, "muted"),
            (self._turns.speaking, "speaking"),
            (self._listening and not self._expecting_until, "listening"),
            (self._expecting_until > anyio.current_time(), "confirming"),
            (self._thinking > 0, "thinking"),
            (self.status.link not in ("connected", ""), "away"),
        )
        return next((state for holds, state in told if holds), "idle")

    def _changed(self) -> None:
        now = replace(self.status, state=self._state(), why_not=self._wanting.why_not)
        if now != self._shown:
            self.status = self._shown = now
            self._show(now)

    def _detail(self, text: str) -> None:
        self.status = replace(self.status, detail=text)

    def _cue(self, cue: Cue) -> None:
        self._begin(partial(self._give, cue))

    async def _give(self, cue: Cue) -> None:
        with anyio.move_on_after(CUE_S):
            await self._source.cue(cue)

    def _begin(self, work: Callable[[], Awaitable[object]]) -> None:
        if self._group is not None:
            self._group.start_soon(self._unfailing, work)

    async def _unfailing(self, work: Callable[[], Awaitable[object]]) -> None:
        """Whatever goes wrong with one thing, the next one is listened to."""
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - said by kind only: a message could hold what was said
            logger.error("Something unexpected went wrong in the listener: %s", type(error).__name__)
            self._detail(f"Something unexpected went wrong ({type(error).__name__}); it listens on.")
            self._listening = self._holding = False
