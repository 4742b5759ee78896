"""Who speaks in the clips. The splits share no voice, no accent and no variant, and nobody of `final` was among those on whom the
spotter's network of sounds was trained."""

from __future__ import annotations

import random

from voice_speech import Voice
from voice_texts import Split, edition

ACCENTS: dict[Split, tuple[str, ...]] = {
    "tune": ("en-us", "en-gb-x-gbclan", "en-029", "en-us"),
    "final": ("en-us-nyc", "en-gb-x-rp", "en-gb-scotland", "en"),
}
DROPS_H: dict[Split, tuple[str, bool]] = {"tune": ("en-gb-x-gbcwmd", True), "final": ("en", False)}
"""Accents that drop their aitches: "'ey orchestra". West Midlands does by itself; no other of espeak-ng does, so that `final` has
the usual British one without the h of "hey". Two clips of forty."""
VARIANTS: dict[Split, tuple[str, ...]] = {
    "tune": ("f1", "f3", "f5", "m1", "m3", "m5", "m7", "Andrea", "Alex", "john", "linda", "Lee", "Gene"),
    "final": ("f2", "f4", "m2", "m4", "m6", "m8", "Annie", "Michael", "anika", "steph", "adam", "belinda", "rob"),
}
"""Of espeak-ng; robots and whisperers are left out."""
FLITE: dict[Split, tuple[str, ...]] = {"tune": ("kal", "kal16", "rms"), "final": ("slt", "awb")}
FESTIVAL = ("ked_diphone", "cmu_us_slt_arctic_hts")
"""Packages festvox-kdlpc16k and festvox-us-slt-hts, if they are there; figures on them are told apart."""
ESPEAK_CLIPS, FLITE_CLIPS, FESTIVAL_CLIPS = 40, 20, 12


def voices(split: Split, seed: float = 0.0) -> list[Voice]:
    """Sixty ways of speaking, a third of them flite's; another seed gives other rates and pitches."""
    dice = random.Random(f"voices {edition(split)} {seed}")
    found = []
    for number in range(ESPEAK_CLIPS):
        accent, aitch = DROPS_H[split] if number % 20 == 7 else (ACCENTS[split][number % 4], True)
        variant = VARIANTS[split][number % len(VARIANTS[split])]
        found.append(
            Voice(
                "espeak",
                f"{accent}+{variant}",
                _near(dice, 0.85, 1.2),
                _near(dice, 0.7, 1.3),
                _near(dice, 0.96, 1.05),
                aitch,
            )
        )
    for number in range(FLITE_CLIPS):
        name = FLITE[split][number % len(FLITE[split])]
        found.append(Voice("flite", name, _near(dice, 0.85, 1.2), _near(dice, 0.86, 1.16), _near(dice, 0.94, 1.07)))
    return found


def festival() -> list[Voice]:
    """Ways of speaking of the two voices of festival."""
    dice = random.Random("voices festival")
    return [
        Voice("festival", FESTIVAL[number % 2], _near(dice, 0.85, 1.2), 1.0, _near(dice, 0.94, 1.07))
        for number in range(FESTIVAL_CLIPS)
    ]


def one_of(split: Split, row: int, nth: int) -> Voice:
    """Five voices for a phrase: two of flite, three of espeak-ng, others for each phrase."""
    all_of_them = voices(split, seed=row + 1)
    if nth < 2:
        return all_of_them[ESPEAK_CLIPS + (row * 2 + nth) % FLITE_CLIPS]
    return all_of_them[(row * 3 + nth) % ESPEAK_CLIPS]


def _near(dice: random.Random, low: float, high: float) -> float:
    return round(dice.uniform(low, high), 3)
