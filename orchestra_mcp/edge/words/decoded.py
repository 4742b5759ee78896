"""What the embedded engine found out about some sound, before anybody judges it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a result, as it fits the sound."""

    text: str = field(repr=False)
    kind: str
    """Its class; empty for a word of a template."""
    frames: int
    score: float
    """How well it fits, per frame; 0 is best."""
    gap: float
    """How much better the common words fit the same frames, per frame; negative where they fit worse."""
    posterior: float
    """Of all readings with the templates' words, how much of the weight is on those that have this word here, 0 to 1."""
    phones: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the templates' model made of some sound."""

    words: tuple[Word, ...] = field(repr=False)
    gap: float
    """Over all frames of speech; see `Word.gap`."""
    score: float
    any_score: float
    """Of the best common words, per frame."""
    parsed: bool
    """Whether it is one of the templates as a whole."""
    command: str
    """Which command it is; empty for none."""
    silence: float
    """Seconds without words between the first and the last."""
    seconds: float
