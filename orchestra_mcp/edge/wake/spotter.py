"""The wake phrase in a stream of speech, in three looks with the small language models of `language.py`.

The first look decodes as the sound comes in, with what was known before about voice and microphone (the mean of the cepstra). That
mean is poor for a new voice, and it costs a fifth of the phrases; so the first look only says when a second one is worth while:
the last word of the phrase was heard, whatever came before it. The second look decodes all of the sound since somebody began to
speak with its own mean, and finds the phrase or not. A few more second looks are taken at fixed times, for phrases that the first
look did not see at all. The third look decodes the same sound with other words only, and rejects the phrase where these fit much
better (a likelihood ratio; source in `words/sphinx.py`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orchestra_mcp.edge.nouns import RATE, SAMPLE
from orchestra_mcp.edge.wake import pronunciation as say
from orchestra_mcp.edge.wake.language import language, rivals
from orchestra_mcp.edge.wake.wearer import Calibration
from orchestra_mcp.errors import VoiceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WINDOW_S: Final = 3.0
LOOK_S: Final = 0.06
"""So often the first look is asked."""
CHECKS_S: Final = (1.35, 2.1)
"""When a second look is taken anyhow, in seconds since `begin`."""
AGAIN_S: Final = 0.12
MOST: Final = 4
"""The least time between two second looks, and how many there are in one stretch of speech."""
SHORTEST_S: Final = 0.4
LONGEST_S: Final = 2.2
"""A phrase lasts no less and no more, the pause in it included."""
BOTH, ONE = 0.9, 0.6
"""Scores: both looks heard the phrase, or the second one alone."""
HISS: Final = 60.0
"""Root mean square of noise that is added, in steps of 16 bits. Clips with absolute silence were found less often than the same
with noise 20 dB down; that silence drags the mean of the cepstra away is supposed, not proved."""
SYLLABLES: Final = 3
OTHER_WEIGHT: Final = 4.0
"""Of the language model in the third look, where the sound should count more."""
WHOLE: Final = 3.0
BOUND: Final = 75.0
BOUND_SWING: Final = 60.0
"""How much better other words may fit: that of the whole phrase, so many times, and of its first word, per frame in pocketsphinx's
units, at middling sensitivity; half of the swing is added at the highest, taken off at the lowest. Set on synthetic clips: 99 of
102 phrases stayed below it; of four false wakes in a quarter of an hour of other talk, none."""
FRAME_S: Final = 0.01


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
        not_me: phrases that woke it by mistake; they become rivals.

    Raises:
        VoiceError: the phrase is too short or cannot be spoken, or pocketsphinx is missing.
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
        made = language(self.phrase, sensitivity=at, not_me=not_me)
        self._words = list(made.words)
        self._lasts = {self._words[-1], *rivals(self._words[-1])}
        self._first, self._second = (_decoder(made.dictionary, made.model, TUNING) for _ in range(2))
        self._other = _decoder(made.other_dictionary, made.other_model, TUNING | {"lw": OTHER_WEIGHT})
        self._bound = BOUND + BOUND_SWING * (at - 0.5)
        self._hiss = _hiss()
        self._sound = bytearray()
        self._on = False
        self._looked_s = self._checked_s = 0.0
        self._checks = 0

    def begin(self) -> None:
        """Somebody began to speak; the sound that follows in `hear` begins a little before."""
        self._stop()
        self._sound.clear()
        self._looked_s = self._checked_s = 0.0
        self._checks = 0
        self._first.start_utt()
        self._on = True

    def hear(self, pcm: bytes) -> Spotted | None:
        """Some more of the sound.

        Returns:
            The phrase, as soon as it is heard.
        """
        if not self._on:
            return None
        pcm = self._with_hiss(pcm)
        self._first.process_raw(pcm, False, False)
        before = self._heard_s()
        self._sound += pcm
        heard_s = self._heard_s()
        if heard_s - self._looked_s < LOOK_S - 1e-6:
            return None
        self._looked_s = heard_s
        due = any(before < at <= heard_s for at in CHECKS_S)
        if not due:
            due = heard_s - self._checked_s >= AGAIN_S and self._checks < MOST and self._promising(heard_s)
        found = self._check() if due else None
        if found is not None or heard_s >= WINDOW_S:
            self._stop()
        return found

    def end(self) -> Spotted | None:
        """It is quiet again; the sound is forgotten.

        Returns:
            The phrase, when it is seen only now.
        """
        if not self._on:
            return None
        found = self._check() if self._heard_s() - self._checked_s >= AGAIN_S else None
        self._stop()
        return found

    def _heard_s(self) -> float:
        return len(self._sound) / (RATE * SAMPLE)

    def _with_hiss(self, pcm: bytes) -> bytes:
        """With a little noise, the same at the same moment of each stretch of speech."""
        import numpy as np

        at = len(self._sound) // SAMPLE
        samples = np.frombuffer(pcm, dtype="<i2")
        noise = self._hiss[(at + np.arange(len(samples))) % len(self._hiss)]
        return np.clip(samples + noise, -32_768, 32_767).astype("<i2").tobytes()

    def _stop(self) -> None:
        if self._on:
            self._on = False
            self._first.end_utt()
        self._sound.clear()

    def _promising(self, heard_s: float) -> bool:
        """Whether the first look has the last word of the phrase near the beginning, or one that sounds like it."""
        for word, start, end in _segments(self._first)[:3]:
            if word in self._lasts and end - start >= self._least_s() and end <= heard_s:
                return True
        return False

    def _check(self) -> Spotted | None:
        """The second look."""
        self._checks += 1
        self._checked_s = self._heard_s()
        self._second.start_utt()
        self._second.process_raw(bytes(self._sound), False, True)
        self._second.end_utt()
        said = _segments(self._second)
        for at in range(min(2, len(said))):
            here = said[at : at + len(self._words)]
            if [word for word, _, _ in here] != self._words:
                continue
            start, end = here[0][1], here[-1][2]
            if not (SHORTEST_S <= end - start <= LONGEST_S and end - here[-1][1] >= self._least_s()):
                continue
            if self._fits(here):
                return Spotted(BOTH if self._agrees() else ONE, start, min(self._checked_s, end))
        return None

    def _fits(self, here: list[tuple[str, float, float]]) -> bool:
        """The third look: whether other words do not fit this sound much better than the phrase does."""
        self._other.start_utt()
        self._other.process_raw(bytes(self._sound), False, True)
        self._other.end_utt()
        mine, theirs = _costs(self._second), _costs(self._other)
        last = min(len(mine), len(theirs)) - 1

        def gap(start: float, end: float) -> float:
            one, two = (min(last, round(at / FRAME_S)) for at in (start, end))
            return ((theirs[two] - theirs[one]) - (mine[two] - mine[one])) / max(1, two - one)

        whole, first = gap(here[0][1], here[-1][2]), gap(here[0][1], here[0][2])
        return WHOLE * whole + first <= self._bound

    def _agrees(self) -> bool:
        """Whether the first look heard the phrase too."""
        said = [word for word, _, _ in _segments(self._first)]
        return any(said[at : at + len(self._words)] == self._words for at in range(2))

    def _least_s(self) -> float:
        """A last word is not over before so long."""
        return 0.03 * len(say.pronounce(self._words[-1])[0])


TUNING: Final[dict[str, Any]] = {"cmninit": "46,-2,-1,3,-4,-1,-2,-4,-1,-2,0,0,0", "lw": 12.0}
"""Of pocketsphinx. The language model counts twice as much as usual: noise and accents cost the phrase more than other words."""


def _decoder(dictionary: str, model: str, options: dict[str, Any]) -> Any:
    """A decoder of pocketsphinx; it needs its files no longer when it is built."""
    try:
        import numpy  # noqa: F401 - its absence is told with the others
        import pocketsphinx
    except ImportError as missing:
        raise VoiceError(say.MISSING) from missing
    pocketsphinx.set_loglevel("FATAL")
    with tempfile.TemporaryDirectory() as place:
        words, language = Path(place) / "words", Path(place) / "model"
        words.write_text(dictionary, "utf-8")
        language.write_text(model, "utf-8")
        return pocketsphinx.Decoder(
            hmm=str(say.model_directory() / "en-us"), dict=str(words), lm=str(language), fwdflat=False, bestpath=False,
            loglevel="FATAL", **options,
        )  # fmt: skip


def _costs(decoder: Any) -> list[float]:
    """Sum of the acoustic scores of the best path up to each frame, evenly spread within each word."""
    sums = [0.0]
    for segment in decoder.seg() or ():
        frames = segment.end_frame + 1 - segment.start_frame
        score = decoder.logmath.log(segment.ascore)
        first = sums[-1]
        sums += [first + score * (at + 1) / frames for at in range(frames)]
    return sums


def _hiss() -> NDArray[np.float32]:
    """A second of pink noise."""
    import numpy as np

    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(RATE))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 60))
    noise = np.fft.irfft(spectrum, RATE)
    return np.asarray(noise / noise.std() * HISS, np.float32)


def _segments(decoder: Any) -> list[tuple[str, float, float]]:
    """Words of the best path with their times; silence and noises left out."""
    return [
        (segment.word.partition("(")[0], segment.start_frame * FRAME_S, (segment.end_frame + 1) * FRAME_S)
        for segment in decoder.seg() or ()
        if segment.word[0] not in "<[+"
    ]


def checked(phrase: str) -> str:
    """The phrase in small letters, its words one blank apart.

    Raises:
        VoiceError: it is not two to four words that can be spoken, or has fewer than three syllables.
    """
    words = phrase.lower().split()
    if not 2 <= len(words) <= 4:
        raise VoiceError(f'{phrase!r} will not do as wake phrase: it takes two to four words, such as "hey orchestra"')
    if sum(say.syllables(say.pronounce(word)[0]) for word in words) < SYLLABLES:
        raise VoiceError(
            f"{phrase!r} is too short to be told from other speech: choose a wake phrase of three syllables or more"
        )
    return " ".join(words)
