"""Whether what the embedded engine found may be believed. Pure.

Off its templates the engine is fluent and wrong, so the burden of proof is on the question: it must be a template as a whole, fit
the sound about as well as the common words do, in all and in each of its words, leave no likely other reading of what matters,
and be said at a human pace. What misses one of these a little is read back for a yes; what misses it by far is not shown at all.

The bounds are set on synthetic speech (flite's kal, kal16 and rms, espeak-ng's en-us; half of it over pink noise). Of 112
sentences of other speech none passed the templates. Of 68 that differ from a template by a word (`the last comet`), two were
believed, which said `low settings` for `load settings`. Of 96 questions 20 were believed, all rightly, 62 read back, 57 of them
right, and 14 not understood. Speech of people was not available.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from orchestra_mcp.edge.words.decoded import Decoded, Word
from orchestra_mcp.edge.words.templates import PROJECT_CLASSES


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a result may be like."""

    gap: float
    """How much better the common words may fit, per frame."""
    word_gap: float
    """The same for any one word."""
    name: float
    """The least posterior of a name of the project, which others may resemble."""
    content: float
    """The same for other words of a class: things, what is done to them."""
    word: float
    """The least posterior of any word."""
    silence: float
    """Seconds without words within it."""


SURE: Final = Bounds(gap=4.0, word_gap=9.5, name=0.75, content=0.5, word=0.1, silence=0.8)
"""Within these a question is sent without being read back."""
LIKELY: Final = Bounds(gap=14.0, word_gap=45.0, name=0.0, content=0.0, word=0.0, silence=2.0)
"""Within these it is worth reading back."""
ORDER: Final = Bounds(gap=9.0, word_gap=22.0, name=0.0, content=0.0, word=0.5, silence=0.6)
"""Within these a command is obeyed."""
PACE: Final = (3.0, 22.0)
"""Frames that a sound of speech may take on average."""

OFF = "the embedded engine only understands set questions"
UNSURE = "the embedded engine is not sure of it"


@dataclass(frozen=True, slots=True)
class Judged:
    """What is left of a result."""

    text: str
    confidence: float
    doubt: str


def judged(found: Decoded | None) -> Judged:
    """The text that may be shown, how sure it is, and why it has to be confirmed."""
    if found is None:
        return Judged("", 0.0, "nothing that can be understood was heard")
    said = [word for word in found.words if word.kind != "wake"]
    text = " ".join(word.text for word in said)
    if found.command:
        return Judged(text, _confidence(found, said), "") if _within(found, said, ORDER) else Judged("", 0.0, UNSURE)
    if not found.parsed or not said or not _within(found, said, LIKELY):
        return Judged("", 0.0, OFF)
    doubt = "" if _within(found, said, SURE) else UNSURE
    return Judged(text, _confidence(found, said), doubt)


def _within(found: Decoded, said: list[Word], bounds: Bounds) -> bool:
    sounds = sum(word.phones for word in said)
    pace = sum(word.frames for word in said) / max(1, sounds)
    return (
        found.gap <= bounds.gap
        and all(word.gap <= bounds.word_gap for word in said)
        and all(word.posterior >= _least(word, bounds) for word in said)
        and found.silence <= bounds.silence
        and PACE[0] <= pace <= PACE[1]
    )


def _least(word: Word, bounds: Bounds) -> float:
    if word.kind in PROJECT_CLASSES:
        return bounds.name
    return bounds.content if word.kind else bounds.word


def _confidence(found: Decoded, said: list[Word]) -> float:
    """A figure for people: 1 where no common words fit better, 0 where they fit as they do to other speech."""
    fit = 1 - max(0.0, found.gap) / LIKELY.gap
    certain = min((word.posterior for word in said if word.kind), default=1.0)
    return round(max(0.0, min(1.0, 0.7 * fit + 0.3 * certain)), 3)
