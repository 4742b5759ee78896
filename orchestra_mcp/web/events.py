"""What happens in consultations, live: kept for those who come late, queued within bounds for those who are slow.

Events are numbered for the whole process, so that a client that lost its connection goes on after the last number it
has seen (`Last-Event-ID`). Whoever does not keep up loses the oldest events and is told how many.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import partial

import anyio

from orchestra_mcp.errors import StoreError
from orchestra_mcp.types import Consultation, Event, JsonObject

KEPT_RUNS = 50
KEPT_EVENTS = 500
"""Of one run, for those who come late."""
QUEUE = 256
"""Events that one listener may lag behind."""
HEARTBEAT_S = 15.0
LISTENERS = 500
"""So many may listen to events at the same time."""
LISTENERS_EACH = 16
"""So many of them with one key."""
LOOK_AGAIN_S = 4.0
"""Whether whoever listens still may is asked again after so long, in seconds."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """An event and its number in this process, from 1; 0: made from what the store kept."""

    number: int
    event: Event

    def body(self) -> JsonObject:
        """As clients get it."""
        return {"number": self.number, **self.event.model_dump(mode="json")}


class Listener:
    """One who listens: a bounded queue that drops its oldest events; `dropped` counts them until it is read."""

    def __init__(self, run: str, wanted: Callable[[str], bool], size: int) -> None:
        self.run, self.wanted = run, wanted
        self.dropped = 0
        self._queue: deque[Numbered] = deque()
        self._size = size
        self._news = anyio.Event()

    def put(self, item: Numbered) -> None:
        """Queue an event; never waits."""
        if len(self._queue) >= self._size:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(item)
        self._news.set()

    async def next(self, timeout_s: float = HEARTBEAT_S) -> Numbered | None:
        """The next event; None when there was none for so many seconds."""
        if not self._queue:
            self._news = anyio.Event()
            with anyio.move_on_after(timeout_s):
                await self._news.wait()
        return self._queue.popleft() if self._queue else None

    def skip(self) -> None:
        """Forget what is queued; for whoever only needs to know that something has happened."""
        self._queue.clear()
        self.dropped = 0

    def lost(self) -> int:
        """How many events were dropped since this was asked last."""
        count, self.dropped = self.dropped, 0
        return count


class Places:
    """So many may listen at the same time, and so many of them with one key; the owner's have no limit of their own."""

    def __init__(self, most: int = LISTENERS, each: int = LISTENERS_EACH) -> None:
        self._most, self._each = most, each
        self._taken: Counter[str] = Counter()

    def full(self, key: str) -> bool:
        """True when there is none left for a key (empty: the owner)."""
        return self._taken.total() >= self._most or (bool(key) and self._taken[key] >= self._each)

    @contextmanager
    def taken(self, key: str) -> Iterator[None]:
        """Have a place."""
        place = self.take(key)
        try:
            yield
        finally:
            place.leave()

    def take(self, key: str) -> Place:
        """Take a place, at once."""
        self._taken[key] += 1
        return Place(partial(self._free, key))

    def _free(self, key: str) -> None:
        self._taken[key] -= 1
        if not self._taken[key]:
            del self._taken[key]


class Place:
    """One place; it is free again when it is left, or when nobody has it any more."""

    def __init__(self, free: Callable[[], None]) -> None:
        self._free: Callable[[], None] | None = free

    def leave(self) -> None:
        """Give it back; again does nothing."""
        free, self._free = self._free, None
        if free is not None:
            free()

    def __del__(self) -> None:
        # A stream that was never begun, since its reader left before, ends without a word.
        self.leave()


class Standing:
    """Whether somebody who stays may still hear what is said, asked now and then.

    Args:
        stands: asks.
        every_s: how often, in seconds.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        stands: Callable[[], Awaitable[bool]],
        every_s: float = LOOK_AGAIN_S,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._stands, self._every_s, self._clock = stands, every_s, clock
        self._asked = clock()

    async def holds(self) -> bool:
        """True while they may; when nobody can tell, the last word counts."""
        now = self._clock()
        if now - self._asked < self._every_s:
            return True
        self._asked = now
        try:
            return await self._stands()
        except StoreError:
            return True


class Hub:
    """Passes events on; `note` is the observer of every run that a door of this server starts."""

    def __init__(self, queue: int = QUEUE) -> None:
        self._queue = queue
        self._number = 0
        self._kept: OrderedDict[str, deque[Numbered]] = OrderedDict()
        self._listeners: set[Listener] = set()

    @property
    def listening(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    @property
    def latest(self) -> int:
        """The number of the newest event."""
        return self._number

    def note(self, event: Event) -> None:
        """Keep an event and pass it on; never waits."""
        self._number += 1
        item = Numbered(self._number, event)
        kept = self._kept.get(event.run)
        if kept is None:
            kept = self._kept[event.run] = deque(maxlen=KEPT_EVENTS)
            if len(self._kept) > KEPT_RUNS:
                self._kept.popitem(last=False)
        kept.append(item)
        for listener in self._listeners:
            if (not listener.run or listener.run == event.run) and listener.wanted(event.run):
                listener.put(item)

    def knows(self, run: str) -> bool:
        """True when events of that run are kept."""
        return run in self._kept

    def runs(self) -> tuple[str, ...]:
        """The ids of all runs of which events are kept."""
        return tuple(self._kept)

    def forget(self, run: str) -> None:
        """Keep nothing of a run any more; its consultation was removed."""
        self._kept.pop(run, None)

    def said(self, run: str) -> tuple[Event, ...]:
        """What is kept of a run, oldest first."""
        return tuple(item.event for item in self._kept.get(run, ()))

    def over(self, run: str, after: int) -> bool:
        """True when a run is closed and nothing of it came after that number."""
        kept = self._kept.get(run)
        return kept is not None and kept[-1].event.kind == "closed" and kept[-1].number <= after

    @contextmanager
    def listen(
        self, run: str = "", after: int = 0, wanted: Callable[[str], bool] = lambda _: True
    ) -> Iterator[Listener]:
        """Listen to one run or to all; what was kept after that number comes first.

        Args:
            run: id of a consultation; empty: all.
            after: number of the last event that is known already.
            wanted: which runs, where it is all.
        """
        listener = Listener(run, wanted, max(self._queue, KEPT_EVENTS) if run else self._queue)
        runs = [run] if run else list(self._kept)
        before = [item for id in runs if wanted(id) for item in self._kept.get(id, ()) if item.number > after]
        for item in sorted(before, key=lambda item: item.number):
            listener.put(item)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)


def remembered(kept: Consultation) -> tuple[Event, ...]:
    """The events of a consultation of another process or of the past: those that were written down while it ran, else
    what the rest of its record tells.
    """
    if kept.events:
        ends = kept.status == "running" or any(event.kind == "closed" for event in kept.events)
        return kept.events if ends else (*kept.events, _closing(kept))
    said: list[Event] = []
    if kept.dossier:
        detail = f"{len(kept.dossier.excerpts)} excerpts, {kept.dossier.tokens} tokens"
        said.append(Event(run=kept.id, kind="collected", detail=detail))
    said += [Event(run=kept.id, kind="answered", seat=o.seat, detail=o.position[:200]) for o in kept.opinions]
    said += [Event(run=kept.id, kind="absent", seat=a.seat, detail=a.reason[:200]) for a in kept.absences]
    said += [Event(run=kept.id, kind="voted", seat=ballot.judge) for ballot in kept.ballots]
    if kept.status != "running":
        said.append(_closing(kept))
    return tuple(said)


def _closing(kept: Consultation) -> Event:
    seconds = (kept.ended - kept.started).total_seconds() if kept.ended else 0.0
    return Event(run=kept.id, kind="closed", detail=kept.status, seconds=seconds)


class Retelling:
    """Tells the events of a consultation as they come to be written down, each once."""

    def __init__(self) -> None:
        self._told: list[Event] = []

    def fresh(self, kept: Consultation) -> tuple[Event, ...]:
        """The events of which nobody was told yet.

        Entries may come to the store before the events that go with them. What was told of an entry is not told again
        when its event comes, which differs only by the time in it.
        """
        left = [_core(event) for event in self._told]
        found = []
        for event in remembered(kept):
            if (core := _core(event)) in left:
                left.remove(core)
            else:
                found.append(event)
        self._told += found
        return tuple(found)


def _core(event: Event) -> tuple[str, str, str]:
    # A ballot's entry does not say it in the words of its event.
    return event.kind, event.seat, "" if event.kind == "voted" else event.detail[:200]


def sse(item: Numbered) -> bytes:
    """One Server-Sent Event (WHATWG HTML, 9.2); JSON has no raw line breaks."""
    head = f"id: {item.number}\n" if item.number else ""
    return f"{head}event: {item.event.kind}\ndata: {json.dumps(item.body(), separators=(',', ':'))}\n\n".encode()


def sse_dropped(count: int) -> bytes:
    """Tells a slow reader how many events it lost."""
    return f'event: dropped\ndata: {{"count":{count}}}\n\n'.encode()


async def stream(hub: Hub, run: str, after: int, heartbeat_s: float = HEARTBEAT_S) -> AsyncGenerator[bytes, None]:
    """Server-Sent Events of one run, from its beginning or after a number, until it is closed."""
    with hub.listen(run, after) as listener:
        while True:
            item = await listener.next(heartbeat_s)
            if lost := listener.lost():
                yield sse_dropped(lost)
            if item is None:
                yield b": still here\n\n"
                continue
            yield sse(item)
            if item.event.kind == "closed":
                return


def while_allowed(
    events: AsyncGenerator[bytes, None], standing: Standing, places: Places, key: str
) -> AsyncGenerator[bytes, None]:
    """A stream that has a place while it lasts, and ends when whoever listens may not any more.

    The place is taken now and not when the stream begins: of many who ask at once, no more are let in than there are
    places. Without one the stream is empty.
    """
    return _with_place(events, standing, None if places.full(key) else places.take(key))


async def _with_place(
    events: AsyncGenerator[bytes, None], standing: Standing, place: Place | None
) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        if place is None:
            return
        try:
            async for piece in events:
                if not await standing.holds():
                    return
                yield piece
        finally:
            place.leave()
