"""The wake phrase in a stream of speech: pocketsphinx decodes with the small language model of `language.py` as the sound comes in, and
the phrase is found when the best path so far says it where somebody began to speak.

In ongoing noise of voices nobody ever "begins"; there a decode starts anew whenever the last one is over, so that it never
looks back further than `WINDOW_S`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orchestra_mcp.edge.nouns import seconds
from orchestra_mcp.edge.wake import pronunciation as say
from orchestra_mcp.edge.wake.calibration import Calibration
from orchestra_mcp.edge.wake.language import language
from orchestra_mcp.errors import VoiceError

WINDOW_S: Final = 3.0
LOOK_S: Final = 0.06
"""So often the best path is looked at."""
SHORTEST_S: Final = 0.4
LONGEST_S: Final = 2.2
"""A phrase lasts no less and no more, the pause in it included."""
SYLLABLES: Final = 3
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
        try:
            import pocketsphinx
        except ImportError as missing:
            raise VoiceError(say.MISSING) from missing
        if calibration is not None and calibration.phrase != self.phrase:
            calibration = None
        at = min(1.0, max(0.0, sensitivity + (calibration.shift if calibration else 0.0)))
        made = language(self.phrase, sensitivity=at, not_me=not_me)
        self._words = list(made.words)
        pocketsphinx.set_loglevel("FATAL")
        with tempfile.TemporaryDirectory() as place:
            lexicon, model = Path(place) / "words", Path(place) / "model"
            lexicon.write_text(made.dictionary, "utf-8")
            model.write_text(made.model, "utf-8")
            self._decoder: Any = pocketsphinx.Decoder(
                hmm=str(say.model_directory() / "en-us"),
                dict=str(lexicon),
                lm=str(model),
                fwdflat=False,
                bestpath=False,
                loglevel="FATAL",
                **TUNING,
            )
        self._on = False
        self._started_s = 0.0
        self._heard_s = 0.0
        self._looked_s = 0.0

    def begin(self) -> None:
        """Somebody began to speak; the sound that follows in `hear` begins a little before."""
        self._stop()
        self._started_s = self._heard_s = self._looked_s = 0.0
        self._start()

    def hear(self, pcm: bytes) -> Spotted | None:
        """Some more of the sound.

        Returns:
            The phrase, as soon as it is heard.
        """
        if not self._on:
            return None
        self._decoder.process_raw(pcm, False, False)
        self._heard_s += seconds(pcm)
        if self._heard_s - self._looked_s < LOOK_S - 1e-6:
            return None
        self._looked_s = self._heard_s
        found = self._look()
        if found is not None or self._heard_s - self._started_s >= WINDOW_S:
            self._stop()
        return found

    def end(self) -> Spotted | None:
        """It is quiet again.

        Returns:
            The phrase, when it is seen only now.
        """
        if not self._on:
            return None
        self._stop()
        return self._look()

    def _start(self) -> None:
        self._decoder.start_utt()
        self._on = True

    def _stop(self) -> None:
        if self._on:
            self._on = False
            self._decoder.end_utt()

    def _look(self) -> Spotted | None:
        heard = [
            (segment.word.partition("(")[0], segment.start_frame * FRAME_S, (segment.end_frame + 1) * FRAME_S)
            for segment in self._decoder.seg() or ()
            if segment.word[0] not in "<[+"
        ]
        for at in range(min(2, len(heard))):
            here = heard[at : at + len(self._words)]
            if [word for word, _, _ in here] != self._words:
                continue
            start, end = here[0][1], here[-1][2]
            last = here[-1][2] - here[-1][1]
            if SHORTEST_S <= end - start <= LONGEST_S and last >= self._least_s():
                return Spotted(0.5, self._started_s + start, min(self._heard_s, self._started_s + end))
        return None

    def _least_s(self) -> float:
        """A last word is not over before so long."""
        return 0.03 * len(say.pronounce(self._words[-1])[0])


TUNING: Final[dict[str, Any]] = {"cmninit": "46,-2,-1,3,-4,-1,-2,-4,-1,-2,0,0,0"}
"""Of pocketsphinx."""


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
