"""How well a phrase fits what was said, sound by sound: the best way of the phrase through the probabilities of sounds.

The phrase may begin anywhere; what comes before it is silence, or costs something. For the frames of the phrase the cost is
how much less likely its sounds are than the likeliest ones, which is a likelihood ratio with a free loop of sounds as its rival (Rose and
Paul, "A hidden Markov model based keyword recognition system", ICASSP 1990), along the states of connectionist temporal classification.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestra_mcp.edge.acoustic.pronunciation import Slot, pronounce, slots
from orchestra_mcp.edge.acoustic.sounds import NONE, SOUNDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestra_mcp.edge.acoustic.moonshine import Floats

OTHER: Final = 3.0
"""What a frame of other speech before the phrase costs at most."""
NEVER: Final = -1e9
MOST_LEFT_OUT: Final = 3
"""Sounds of a phrase that may be left out; each doubles the work."""


@dataclass(frozen=True, slots=True)
class Match:
    """The best place for a phrase."""

    cost: float
    """Sum of what its frames, and those of other speech before it, are less likely than the likeliest; 0 is best."""
    start: int
    end: int
    """Frames, the end not included."""


class Matcher:
    """Fits one phrase. Pure.

    Args:
        slots: the sounds of the phrase.
    """

    def __init__(self, slots: Sequence[Slot]) -> None:
        import numpy as np

        spare = [at for at, (_, left_out) in enumerate(slots) if left_out][:MOST_LEFT_OUT]
        choices = [((names, ()) if at in spare else (names,)) for at, (names, _) in enumerate(slots)]
        ways = [
            [np.array([SOUNDS[name] for name in names]) for names in way if names]
            for way in itertools.product(*choices)
        ]
        self._ways = [(way, _again(way)) for way in ways]

    def match(self, logprobs: Floats) -> Match | None:
        """The best place; None when there is too little sound for it."""
        best: Match | None = None
        for way, again in self._ways:
            found = _through(logprobs, way, again)
            if found is not None and (best is None or found.cost < best.cost):
                best = found
        return best


def matcher(phrase: str) -> Matcher:
    """Finds some words.

    Raises:
        VoiceError: one of them cannot be spoken.
    """
    return Matcher([slot for word in phrase.lower().split() for slot in slots(pronounce(word))])


def _again(way: Sequence[NDArray[np.int64]]) -> NDArray[np.bool_]:
    """Which sounds come twice in a row; that is one sound, unless there is a pause in it."""
    import numpy as np

    return np.array([np.intersect1d(one, two).size > 0 for one, two in itertools.pairwise(way)], bool)


def _through(logprobs: Floats, way: Sequence[NDArray[np.int64]], again: NDArray[np.bool_]) -> Match | None:
    """The best path (Viterbi) through states: each sound, and after each a pause that may be skipped."""
    import numpy as np

    if len(logprobs) < len(way):
        return None
    best = logprobs.max(1)
    said = np.stack([logprobs[:, names].max(1) for names in way], 1)
    count = 2 * len(way) - 1
    emit = np.empty((len(logprobs), count))
    emit[:, 0::2] = said - best[:, None]
    emit[:, 1::2] = (logprobs[:, NONE] - best)[:, None]
    before = np.concatenate(([0.0], np.cumsum(np.maximum(logprobs[:, NONE] - best, -OTHER))))
    at = np.full(count, NEVER)
    came = np.full((3, count), NEVER)
    steps = np.empty((len(logprobs), count), np.int8)
    columns = np.arange(count)
    last = np.empty(len(logprobs))
    for frame, row in enumerate(emit):
        came[0] = at
        came[1, 1:] = at[:-1]
        came[1, 0] = before[frame]
        came[2, 2::2] = np.where(again, NEVER, at[0:-2:2])
        steps[frame] = step = came.argmax(0)
        at = came[step, columns] + row
        last[frame] = at[-1]
    frame = end = int(last.argmax())
    if last[end] <= NEVER / 2:
        return None
    state = count - 1
    while state or steps[frame, state] != 1:
        state -= int(steps[frame, state])
        frame -= 1
    return Match(float(-last[end]), frame, end + 1)
