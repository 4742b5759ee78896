"""Looks at running consultations for the live view: those of this process in its memory, all others in the store.

However many watch, a consultation is looked at only so often: all of them get the same view.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from orchestra_mcp.council.minutes import Minutes
from orchestra_mcp.council.verdicts import conclude
from orchestra_mcp.errors import NotFound
from orchestra_mcp.types import Consultation, Seat, Verdict
from orchestra_mcp.web.asking import Asking
from orchestra_mcp.web.pages.livenouns import Sight, View
from orchestra_mcp.web.pages.liveview import view

if TYPE_CHECKING:
    from orchestra_mcp.app import Run

OWN_S = 0.25
"""A view of a run of this process is good for so long, in seconds."""
OTHER_S = 0.6
"""The same for a run of another process, which writes down what happens about twice a second."""
KNOWN = 32
"""Consultations whose last view is kept."""


@dataclass(slots=True)
class _Looked:
    """What was seen of one consultation last."""

    lock: anyio.Lock = field(default_factory=anyio.Lock)
    until: float = 0.0
    """On the loop's clock."""
    found: View | None = None
    heard: tuple[int, ...] = ()
    """How much the verdict rests on; it is made anew only when that has become more."""
    verdict: Verdict | None = None


class Feed:
    """The views of running consultations; whoever asks must have been found to be allowed to see them."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._looked: OrderedDict[str, _Looked] = OrderedDict()

    async def look(self, id: str) -> View:
        """The view of a consultation now, or as it was a moment ago.

        Args:
            id: the whole id.

        Raises:
            NotFound: there is none.
            StoreError: the store cannot be read.
        """
        looked = self._looked.setdefault(id, _Looked())
        self._looked.move_to_end(id)
        while len(self._looked) > KNOWN:
            self._looked.popitem(last=False)
        async with looked.lock:
            if looked.found is None or anyio.current_time() >= looked.until:
                run = self._asking.orchestra.run(id)
                if run is not None and not run.done:
                    sight, minutes, lasts = self._own(run), snapshot(run.minutes), OWN_S
                else:
                    try:
                        sight, lasts = await self._stored(id), OTHER_S
                    except NotFound:  # forgotten: nothing of it stays here
                        self._looked.pop(id, None)
                        raise
                    minutes = minutes_of(sight.kept)
                # In a thread: to compare many opinions takes tens of milliseconds, and the loop serves models meanwhile.
                looked.found = await anyio.to_thread.run_sync(_see, looked, sight, minutes)
                looked.until = anyio.current_time() + lasts
            return looked.found

    def mine(self, id: str) -> bool:
        """True while it runs in this process."""
        run = self._asking.orchestra.run(id)
        return run is not None and not run.done

    def _own(self, run: Run) -> Sight:
        minutes = run.minutes
        return Sight(
            kept=run.remembered().model_copy(update={"status": "running", "events": self._asking.hub.said(run.id)}),
            elapsed=anyio.current_time() - run.started,
            stage=minutes.stage,
            awaited=tuple(minutes.awaited),
            bench=tuple(name for name in minutes.seats if name not in minutes.asked),
            makers={name: seat.family or seat.provider for name, seat in minutes.seats.items()},
            mine=True,
        )

    async def _stored(self, id: str) -> Sight:
        kept = await self._asking.orchestra.consultation(id)
        ended = kept.ended or datetime.now(UTC)
        return Sight(kept=kept, elapsed=max(0.0, (ended - kept.started).total_seconds()))


def _see(looked: _Looked, sight: Sight, minutes: Minutes) -> View:
    heard = _heard(minutes)
    if looked.heard != heard:
        looked.verdict, looked.heard = conclude(minutes) if minutes.opinions else None, heard
    return view(replace(sight, verdict=sight.kept.verdict or looked.verdict))


def _heard(minutes: Minutes) -> tuple[int, ...]:
    """How much there is of everything by which solutions are ranked; all of it only grows."""
    found = minutes.found
    told = (minutes.opinions, minutes.residents, minutes.absences, minutes.ballots)
    shown = (found.comparisons, found.behaviours, found.forms, found.trials, found.checks, found.probes)
    return tuple(len(each) for each in (*told, *shown))


def snapshot(minutes: Minutes) -> Minutes:
    """Minutes that do not change any more, for a thread to read."""
    found = minutes.found
    return replace(
        minutes,
        asked=[*minutes.asked],
        opinions=[*minutes.opinions],
        residents=[*minutes.residents],
        absences=[*minutes.absences],
        ballots=[*minutes.ballots],
        calls=[*minutes.calls],
        awaited={**minutes.awaited},
        cut_off=[*minutes.cut_off],
        spared=[*minutes.spared],
        notes=[*minutes.notes],
        found=replace(
            found,
            behaviours={**found.behaviours},
            forms={**found.forms},
            trials={**found.trials},
            comparisons=[*found.comparisons],
            checks={**found.checks},
        ),
    )


def minutes_of(kept: Consultation) -> Minutes:
    """Minutes of a consultation of another process, as far as its record tells.

    What running and comparing the answers showed is not stored, so that positions may stand apart here which the council
    has found to be one.
    """
    models = [opinion for opinion in kept.opinions if opinion.kind == "model"]
    asked = [event.seat for event in kept.events if event.kind == "asked"] + [opinion.seat for opinion in models]
    minutes = Minutes(
        kept.id,
        kept.question,
        mode=kept.question.mode,
        seats={o.seat: Seat(name=o.seat, model_id=o.model_id, family=o.family) for o in models},
        asked=list(dict.fromkeys(asked)),
        opinions=models,
        residents=[opinion for opinion in kept.opinions if opinion.kind == "resident"],
        absences=list(kept.absences),
        ballots=list(kept.ballots),
    )
    if kept.dossier is not None:
        minutes.dossier = kept.dossier
    return minutes
