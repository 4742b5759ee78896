"""The ear: from a stream of sound to what was said to us.

It waits for a voice, lets the spotter listen for the wake phrase while somebody speaks, and takes down what follows the phrase
until it is quiet; or what is said while a button is held, or when an answer is awaited. Sound in, perceptions out: there is no
clock in it, time is what the sound lasts, so that the same sound gives the same result in any chunks and at any speed.

What it keeps is bounded: before a voice the last `PREROLL_S`, while a stranger speaks the last `SPAN_S`, and after the phrase the
utterance, at most `LONGEST_S`. All else is dropped at once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from orchestra_mcp.edge.audio.vad import FRAME_BYTES, FRAME_S, Activity, Frame
from orchestra_mcp.edge.nouns import LONGEST_S, RATE, SAMPLE, Nothing, Onset, Pause, Perception, Sound, Utterance, Woken
from orchestra_mcp.edge.wake.spotter import Spotted


def frames(length: float) -> int:
    """So many frames make up a time in seconds."""
    return round(length / FRAME_S)


PREROLL_S: Final = 0.4
"""Kept from before the voice was noticed: a breathed h, and what the noticing took."""
SPAN_S: Final = 4.0
"""A wake phrase and the pause in it are never longer."""
ENDED_S: Final = 0.8
"""So much quiet ends an utterance."""
PAUSE_S: Final = 0.4
"""After so much it may have ended; at least `TAIL_S`, so that it is the same sound as at its end."""
FIRST_WORD_S: Final = 4.0
"""So long after the phrase the question may begin."""
STRANGER_S: Final = 0.6
"""So much quiet ends speech that was not meant for us."""
BLIND_S: Final = 1.0
"""A gap in the reception counts as neither voice nor silence for so long; after that it is silence."""
LEAD_S: Final = 0.2
"""Sound kept before the phrase."""
RISE_S: Final = 0.3
RISE_DB: Final = 5.0
RISE_AMONG_DB: Final = 4.0
"""Where voices never fall silent, somebody else begins when it gets louder by so much than all of the last moment; the second
holds where it is no more than `AMONG_DB` above the floor, because many speak."""
AMONG_DB: Final = 20.0
TAIL_S: Final = 0.3
"""Sound kept after the last voice."""
PHRASE_TAIL_S: Final = 0.1
"""The end of the phrase is known no better than this; the voice in it is not yet a question."""
ONSET: Final = (3, 5)
"""A voice begins with so many voiced frames among so many: a click has fewer."""
WORD: Final = 8
"""Voiced frames that make a word (160 ms)."""

By = Literal["wake", "button", "expected"]


class Spots(Protocol):
    """What the ear needs of a spotter; see `wake/spotter.py`."""

    def begin(self) -> None:
        """Somebody begins to speak."""

    def hear(self, pcm: bytes) -> Spotted | None:
        """Some more sound; the phrase when it just ended in it."""

    def end(self) -> Spotted | None:
        """It is quiet again; the phrase when it is seen only now."""


@dataclass(slots=True)
class _Heard:
    """One frame with what is known about it."""

    pcm: bytes
    seen: Frame
    lost_s: float


class Ear:
    """Hears wake phrase, button speech and awaited answers. Not for two threads at a time.

    Args:
        spotter: finds the phrase; None when there is only the button.

    Raises:
        VoiceError: a package of the extra `omi` is missing.
    """

    def __init__(self, spotter: Spots | None) -> None:
        self._spotter = spotter
        self._activity = Activity()
        self._pending = bytearray()
        self._kinds: deque[list[int]] = deque()  # [bytes, lost or not] of what is pending, in order
        self._kept: deque[_Heard] = deque()
        self._state: Literal["idle", "hearing", "taking", "held"] = "idle"
        self._by: By = "wake"
        self._awaiting = 0  # frames in which an expected answer may begin
        self._expected = False
        self._spotting = False
        self._since = 0  # frames since `begin` of the spotter
        self._spoken = 0  # voiced frames of the question
        self._quiet = 0  # frames since the last voice
        self._run = 0
        self._blind = 0
        self._last: Frame | None = None
        self._loud = 0.0  # level of the voice that said the phrase
        self._phrase = 0  # frames of the utterance that hold the phrase

    @property
    def kept_s(self) -> float:
        """How much sound it holds now, in seconds."""
        return len(self._kept) * FRAME_S + len(self._pending) / (RATE * SAMPLE)

    def feed(self, sound: Sound) -> list[Perception]:
        """Hear some more sound, in any chunks.

        Returns:
            What was perceived, in order; mostly nothing.
        """
        found: list[Perception] = []
        self._pending += sound.pcm
        self._kinds.append([len(sound.pcm), int(sound.lost)])
        at = 0
        while len(self._pending) - at >= FRAME_BYTES:
            pcm = bytes(self._pending[at : at + FRAME_BYTES])
            at += FRAME_BYTES
            self._hear(pcm, self._lost_of_frame(), found)
        del self._pending[:at]
        return found

    def hold(self) -> None:
        """The button is pressed: what is said from now on counts, without the phrase."""
        self._forget_speech()
        self._drop(PREROLL_S)
        self._expected, self._awaiting = False, 0
        self._state, self._by, self._phrase = "held", "button", 0
        self._spoken = sum(heard.seen.raw for heard in self._kept)

    def release(self) -> list[Perception]:
        """The button is let go, or what is being taken down is to end here.

        Returns:
            What was said meanwhile, or `Nothing`; an empty list when nothing was being taken down (any more).
        """
        if self._state not in ("held", "taking"):
            return []
        said = self._utterance() if self._spoken >= WORD else Nothing()
        self._forget_speech()
        self._kept.clear()
        return [said]

    def expect(self, seconds: float) -> None:
        """The next utterance that begins within so many seconds counts without the phrase; `Nothing` is told when none does."""
        if self._state != "held":
            self._forget_speech()
        self._expected, self._awaiting = True, max(1, frames(seconds))

    def reset(self) -> None:
        """Forget all sound and whatever was awaited."""
        self._forget_speech()
        self._kept.clear()
        self._pending.clear()
        self._kinds.clear()
        self._expected, self._awaiting = False, 0

    # ------------------------------------------------------------------------------------------------ one frame

    def _lost_of_frame(self) -> float:
        """Seconds of the next frame that did not arrive."""
        need, lost = FRAME_BYTES, 0
        while need:
            run = self._kinds[0]
            took = min(need, run[0])
            run[0] -= took
            need -= took
            lost += took * run[1]
            if not run[0]:
                self._kinds.popleft()
        return lost / (RATE * SAMPLE)

    def _hear(self, pcm: bytes, lost_s: float, found: list[Perception]) -> None:
        if lost_s > FRAME_S / 2:  # silence that was filled in tells nothing about voice or floor
            self._blind += 1
            seen = self._last if self._last and self._blind <= frames(BLIND_S) else Frame(False, False, 0.0, 0.0)
        else:
            self._blind = 0
            seen = self._last = self._activity.look(pcm)
        self._kept.append(_Heard(pcm, seen, lost_s))
        if self._state == "held":
            self._while_held(found)
        elif self._state == "taking":
            self._while_taking(found)
        else:
            self._while_waiting(found)

    def _while_held(self, found: list[Perception]) -> None:
        self._spoken += self._kept[-1].seen.raw
        if len(self._kept) >= frames(LONGEST_S):
            found.append(self._utterance(cut=True))
            self._forget_speech()
            self._kept.clear()

    def _while_waiting(self, found: list[Perception]) -> None:
        blind = 0 < self._blind <= frames(BLIND_S)
        if self._state == "idle":
            if not blind and self._begins():
                found.append(Onset())
                self._state, self._quiet = "hearing", 0
                self._start_spotting(found)
                if self._expected and self._state == "hearing":
                    self._take("expected", 0)
        else:
            self._quiet = 0 if self._kept[-1].seen.voice else self._quiet + (not blind)
            self._while_strangers_speak(found)
        if self._state in ("idle", "hearing"):
            self._drop(PREROLL_S if self._state == "idle" else SPAN_S)
            self._await(found)

    def _while_strangers_speak(self, found: list[Perception]) -> None:
        """Until the phrase is found or it is quiet."""
        if self._rises():
            self._stop_spotting(found)
            if self._state == "hearing":
                self._drop(PREROLL_S)
                self._start_spotting(found)
        else:
            self._spot(found)
        if self._state == "hearing" and self._quiet >= frames(STRANGER_S):
            self._stop_spotting(found)
            if self._state == "hearing":
                self._state = "idle"

    def _await(self, found: list[Perception]) -> None:
        """Count the time in which an expected answer may begin."""
        if self._expected:
            self._awaiting -= 1
            if self._awaiting <= 0:
                self._expected = False
                found.append(Nothing())

    def _drop(self, length_s: float) -> None:
        """Keep no more than the last so many seconds."""
        while len(self._kept) > frames(length_s):
            self._kept.popleft()

    def _begins(self) -> bool:
        need, among = ONSET
        recent = [self._kept[-1 - back].seen.voice for back in range(min(among, len(self._kept)))]
        return recent[0] and sum(recent) >= need

    def _rises(self) -> bool:
        """Whether somebody begins to speak over others: louder than all of the last moment."""
        width = frames(RISE_S)
        if self._since < frames(PREROLL_S) or len(self._kept) < width + 2:
            return False
        now, just = self._kept[-1].seen, self._kept[-2].seen
        if not (now.voice and just.voice):
            return False
        before = max(self._kept[-3 - back].seen.level for back in range(width))
        need = RISE_AMONG_DB if now.level - now.floor <= AMONG_DB else RISE_DB
        return min(now.level, just.level) >= before + need

    def _while_taking(self, found: list[Perception]) -> None:
        heard = self._kept[-1]
        blind = 0 < self._blind <= frames(BLIND_S)
        if self._mine(heard.seen):
            self._run += 1
            if not blind and len(self._kept) > self._phrase + frames(PHRASE_TAIL_S):
                self._spoken += 1
            if self._run >= 2:
                self._quiet = 0
        else:
            self._run = 0
            self._quiet += not blind
        if self._by == "expected" and self._spotting:
            self._spot(found)
            if self._by != "expected":
                return
        started = self._spoken >= (WORD if self._by == "wake" else WORD // 2)
        if len(self._kept) >= frames(LONGEST_S):
            self._finish(self._utterance(cut=True), found)
        elif started and self._quiet >= frames(ENDED_S):
            self._finish(self._utterance(), found)
        elif started and self._quiet == frames(PAUSE_S) and not blind:
            found.append(Pause(self._utterance()))
        elif not started and self._by == "wake" and len(self._kept) - self._phrase >= frames(FIRST_WORD_S):
            self._finish(Nothing(), found)
        elif (
            not started and self._by == "expected" and self._quiet >= frames(ENDED_S)
        ):  # a click, no answer: await it further
            self._awaiting -= len(self._kept)
            self._stop_spotting(found)
            if self._by == "expected":
                self._forget_speech()
                self._kept.clear()

    def _mine(self, seen: Frame) -> bool:
        """Whether this is the voice that said the phrase, rather than others behind it: it is louder than half-way, in dB, between
        the floor and that voice."""
        return seen.voice and seen.level >= max(seen.floor, (seen.floor + self._loud) / 2 if self._loud else 0.0)

    # ------------------------------------------------------------------------------------------------ the phrase

    def _start_spotting(self, found: list[Perception]) -> None:
        self._since = 0
        if self._spotter is None:
            return
        self._spotter.begin()
        self._spotting = True
        self._heard_by_spotter(b"".join(heard.pcm for heard in self._kept), len(self._kept), found)

    def _spot(self, found: list[Perception]) -> None:
        if self._spotting:
            self._heard_by_spotter(self._kept[-1].pcm, 1, found)

    def _heard_by_spotter(self, pcm: bytes, count: int, found: list[Perception]) -> None:
        assert self._spotter is not None
        self._since += count
        spotted = self._spotter.hear(pcm)
        if spotted is not None:
            self._wake(spotted, found)

    def _stop_spotting(self, found: list[Perception]) -> None:
        if self._spotting and self._spotter is not None:
            self._spotting = False
            spotted = self._spotter.end()
            if spotted is not None:
                self._wake(spotted, found)

    def _wake(self, spotted: Spotted, found: list[Perception]) -> None:
        """From here on the kept sound is the utterance, from a little before the phrase."""
        end = min(self._since, frames(spotted.end_s))
        start = max(0, min(end, frames(spotted.start_s - LEAD_S)))
        while len(self._kept) > max(1, self._since - start):
            self._kept.popleft()
        phrase = max(0, len(self._kept) - (self._since - end))
        levels = sorted(heard.seen.level for heard in list(self._kept)[:phrase] if not heard.lost_s)
        found.append(Woken(spotted.score, (self._since - end) * FRAME_S))
        self._expected, self._awaiting = False, 0
        if self._spotting and self._spotter is not None:
            self._spotting = False
            self._spotter.end()
        self._take("wake", phrase, levels[int(0.8 * (len(levels) - 1))] if levels else 0.0)

    def _take(self, by: By, phrase: int, loud: float = 0.0) -> None:
        """Begin to take down; what is already kept after the phrase counts."""
        self._state, self._by, self._phrase, self._loud = "taking", by, phrase, loud
        voiced = [self._mine(heard.seen) for heard in self._kept]
        self._spoken = sum(voiced[phrase + (frames(PHRASE_TAIL_S) if phrase else 0) :])
        self._run = self._quiet = 0
        for voice in reversed(voiced):
            if voice:
                break
            self._quiet += 1

    # ------------------------------------------------------------------------------------------------ the end

    def _utterance(self, *, cut: bool = False) -> Utterance:
        kept = list(self._kept)[: frames(LONGEST_S)]
        if self._by != "button" and not cut:
            kept = kept[: max(1, len(kept) - max(0, self._quiet - frames(TAIL_S)))]
        return Utterance(
            b"".join(heard.pcm for heard in kept),
            self._by,
            phrase_s=self._phrase * FRAME_S if self._by == "wake" else 0.0,
            lost_s=sum(heard.lost_s for heard in kept),
            cut=cut,
        )

    def _finish(self, said: Perception, found: list[Perception]) -> None:
        found.append(said)
        self._forget_speech()
        self._kept.clear()
        self._expected, self._awaiting = False, 0

    def _forget_speech(self) -> None:
        if self._spotting and self._spotter is not None:
            self._spotter.end()
        self._spotting = False
        self._state, self._by = "idle", "wake"
        self._spoken = self._quiet = self._run = self._phrase = self._since = 0
        self._loud = 0.0
