"""Runs sets of clips through the parts, each set once, on as many processes as asked; and keeps a record of every clip."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from voice_clips import Clip, Condition, Kind, clips, folder
from voice_driving import Listener, Run
from voice_texts import Split

LOSS_FIRST = 65_400
"""Number of the first packet of clips with loss, so that the counter wraps in each of them."""
BURST = 5
"""Packets of an average burst of loss."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Which packets are dropped: a share of them, each by itself or in bursts."""

    share: float = 0.0
    bursts: bool = False
    seed: int = 0

    def drops(self, count: int, number: int) -> frozenset[int]:
        """Places of the packets of one clip that never come. Bursts: a two-state chain (Gilbert 1960)."""
        dice = random.Random(f"loss {self.share} {self.bursts} {self.seed} {number}")
        if not self.bursts:
            return frozenset(place for place in range(count) if dice.random() < self.share)
        begin = self.share / (1 - self.share) / BURST if self.share else 0.0
        inside, dropped = False, set()
        for place in range(count):
            inside = dice.random() >= 1 / BURST if inside else dice.random() < begin
            if inside:
                dropped.add(place)
        return frozenset(dropped)


NO_LOSS = Loss()


@dataclass(frozen=True, slots=True)
class Listened:
    """A clip and what became of it."""

    clip: Clip
    run: Run
    dropped: frozenset[int] = frozenset()


@dataclass(slots=True)
class Bench:
    """The sets of a split, heard.

    Args:
        log: a file that gets one JSON object a clip.
        show: print them too.
    """

    split: Split
    home: Path | None
    phrase: str
    sensitivity: float
    jobs: int
    log: Path
    show: bool = False
    _listener: Listener | None = None
    _done: dict[tuple[Kind, Condition, Loss], list[Listened]] = field(default_factory=dict)

    @property
    def listener(self) -> Listener:
        """The parts of this process; built when first needed."""
        if self._listener is None:
            self._listener = Listener(self.phrase, self.sensitivity)
        return self._listener

    def heard(self, kind: Kind, condition: Condition, loss: Loss = NO_LOSS) -> list[Listened]:
        """Every clip of a set, in order."""
        key = (kind, condition, loss)
        if key not in self._done:
            found = self._hear(list(clips(self.split, kind, condition, self.home)), loss)
            self._done[key] = found
            self._record(found, loss)
        return self._done[key]

    def _hear(self, asked: Sequence[Clip], loss: Loss) -> list[Listened]:
        jobs = [(clip, loss.drops(len(clip.packets), number)) for number, clip in enumerate(asked)]
        first = LOSS_FIRST if loss.share else 0
        if self.jobs < 2 or len(jobs) < 2:
            runs: Iterable[Run] = [self.listener.hear(clip.packets, clip.frame, drop, first) for clip, drop in jobs]
            return [Listened(clip, run, drop) for (clip, drop), run in zip(jobs, runs, strict=True)]
        work = [(clip.packets, clip.frame, drop, first) for clip, drop in jobs]
        with ProcessPoolExecutor(self.jobs, initializer=_begin, initargs=(self.phrase, self.sensitivity)) as pool:
            runs = list(pool.map(_hear, work))
        return [Listened(clip, run, drop) for (clip, drop), run in zip(jobs, runs, strict=True)]

    def _record(self, found: Sequence[Listened], loss: Loss) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as file:
            for one in found:
                row = {**one.clip.params, "text": one.clip.text[:300], "phrase_end_s": one.clip.phrase_end_s}
                row |= {"dropped": len(one.dropped), "loss": loss.share, "bursts": loss.bursts, "loss_seed": loss.seed}
                row |= {"woken_s": [round(at, 3) for at in one.run.woken], "processor_s": round(one.run.processor_s, 3)}
                line = json.dumps(row)
                file.write(line + "\n")
                if self.show:
                    print(line)


def log_file(home: Path | None, split: Split) -> Path:
    """Where records of clips go when nothing is said."""
    return folder(home) / f"heard-{split}.jsonl"


_own: list[Listener] = []


def _begin(phrase: str, sensitivity: float) -> None:
    _own[:] = [Listener(phrase, sensitivity)]


def _hear(work: tuple[Sequence[bytes], int, frozenset[int], int]) -> Run:
    return _own[0].hear(*work)
