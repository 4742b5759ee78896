"""The wake phrase in a stream of speech.

While somebody speaks, the sound since they began, or the last seconds of it, is looked at again and again: Moonshine's encoder makes features of it, a small network
tells the sounds, and the phrase is laid through them as well as it fits (`acoustic/matching.py`). Any phrase will do, nothing is trained for one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from orchestra_mcp.edge.acoustic import pronunciation as say
from orchestra_mcp.edge.acoustic.matching import matcher
from orchestra_mcp.edge.acoustic.moonshine import FRAME_S, moonshine, samples_of
from orchestra_mcp.edge.acoustic.sounds import sounds
from orchestra_mcp.edge.nouns import RATE, SAMPLE
from orchestra_mcp.edge.wake.wearer import Calibration
from orchestra_mcp.errors import VoiceError

WINDOW_S: Final = 3.0
KEPT_S: Final = 1.4
"""Sound that is looked at at most, and how much of it is kept then: where others never fall silent, the phrase comes late."""
FIRST_S: Final = 0.6
"""Of sound before the first look; no phrase is over earlier, with the sound from before the voice."""
LOOK_S: Final = 0.1
LATER_S: Final = 0.2
"""Between two looks: in the first window, and after it."""
TAIL: Final = 4
"""Frames that a rival may end before the phrase: what is only its beginning is none."""
LONGEST_S: Final = 2.2
"""A phrase lasts no more, the pause in it included."""
BOUND: Final = (1.0, 9.0)
"""What a phrase may cost (`acoustic/matching.py`) at the lowest sensitivity and at the highest; 3 at the middle. Beginnings of what people
say, taken for phrases, cost 1.5 at the median; of other talk of people one in a thousand costs less than 15; one near-miss in nine less than 3."""
FAINT: Final = 0.25
LOUDER: Final = 30.0
"""Sound whose peak is below this part of full scale is made louder, at most so many times."""
SYLLABLES: Final = 3


@dataclass(frozen=True, slots=True)
class Spotted:
    """The wake phrase was found in the sound since `Spotter.begin`."""

    score: float
    """How sure, 0 to 1."""
    start_s: float
    end_s: float


class Spotter:
    """Hears one phrase. Not for two threads at a time.

    Args:
        phrase: two to four words, three syllables or more.
        sensitivity: 0 seldom wakes by mistake, 1 seldom misses.
        calibration: what `orchestra omi calibrate` found out about the wearer.
        not_me: phrases that woke it by mistake: where one of them fits better, it stays asleep.

    Attributes:
        bound: what the phrase may cost.
        lowest: what it cost at the least since `begin`.

    Raises:
        VoiceError: the phrase is too short or cannot be spoken, or a package is missing.
    """

    def __init__(
        self,
        phrase: str = "hey orchestra",
        *,
        sensitivity: float = 0.5,
        calibration: Calibration | None = None,
        not_me: Sequence[str] = (),
    ) -> None:
        self.phrase = checked(phrase)
        if calibration is not None and calibration.phrase != self.phrase:
            calibration = None
        at = min(1.0, max(0.0, sensitivity + (calibration.shift if calibration else 0.0)))
        self.bound = bound_at(at)
        self.lowest = math.inf
        self._model, self._sounds = moonshine(), sounds()
        self._mine = matcher(self.phrase)
        self._rivals = [matcher(other) for other in not_me]
        self._sound = bytearray()
        self._looked_s = self._cut_s = 0.0
        self._on = False

    def begin(self) -> None:
        """Somebody began to speak; the sound that follows in `hear` begins a little before."""
        self._sound.clear()
        self._looked_s = FIRST_S - LOOK_S
        self._cut_s = 0.0
        self.lowest = math.inf
        self._on = True

    def hear(self, pcm: bytes) -> Spotted | None:
        """Some more of the sound.

        Returns:
            The phrase, as soon as it is heard.
        """
        if not self._on:
            return None
        self._sound += pcm
        heard_s = self._heard_s()
        if heard_s - self._looked_s < (LATER_S if self._cut_s else LOOK_S) - 1e-6:
            return None
        found = self._look()
        if found is not None:
            self._stop()
        elif heard_s >= WINDOW_S:
            cut = len(self._sound) - round(KEPT_S * RATE) * SAMPLE
            del self._sound[:cut]
            self._cut_s += cut / (RATE * SAMPLE)
            self._looked_s = self._heard_s()
        return found

    def end(self) -> Spotted | None:
        """It is quiet again; the sound is forgotten.

        Returns:
            The phrase, when it is seen only now.
        """
        if not self._on:
            return None
        found = self._look() if self._heard_s() > max(self._looked_s, FIRST_S) else None
        self._stop()
        return found

    def _heard_s(self) -> float:
        return len(self._sound) / (RATE * SAMPLE)

    def _stop(self) -> None:
        self._on = False
        self._sound.clear()

    def _look(self) -> Spotted | None:
        self._looked_s = self._heard_s()
        sound = samples_of(bytes(self._sound))
        sound = sound - sound.mean()  # a microphone may have an offset
        peak = float(abs(sound).max(initial=0.0))
        if 0 < peak < FAINT:
            sound = sound * min(LOUDER, FAINT / peak)
        said = self._sounds.logprobs(self._model.encode(sound))
        found = self._mine.match(said)
        if found is None or (found.end - found.start) * FRAME_S > LONGEST_S:
            return None
        rivals = (rival.match(said) for rival in self._rivals)
        if any(one and one.end >= found.end - TAIL and one.cost <= found.cost for one in rivals):
            return None
        self.lowest = min(self.lowest, found.cost)
        if found.cost > self.bound:
            return None
        begin, end = (self._cut_s + frame * FRAME_S for frame in (found.start, found.end))
        return Spotted(1 - found.cost / (2 * self.bound), begin, end)


def bound_at(sensitivity: float) -> float:
    """What the phrase may cost."""
    return float(BOUND[0] * (BOUND[1] / BOUND[0]) ** sensitivity)


def checked(phrase: str) -> str:
    """The phrase in small letters, its words one blank apart.

    Raises:
        VoiceError: it is not two to four words that can be spoken, or has fewer than three syllables.
    """
    words = phrase.lower().split()
    if not 2 <= len(words) <= 4:
        raise VoiceError(f'{phrase!r} will not do as wake phrase: it takes two to four words, such as "hey orchestra"')
    if sum(say.syllables(say.pronounce(word)) for word in words) < SYLLABLES:
        raise VoiceError(
            f"{phrase!r} is too short to be told from other speech: choose a wake phrase of three syllables or more"
        )
    return " ".join(words)
