"""Words that nobody wants to be told to have said: an engine writes them for noise, and its words are read aloud. Pure."""

from __future__ import annotations

import re
import zlib
from typing import Final

STRUCK: Final = frozenset((
    4228108, 100789435, 208799393, 270014096, 409826008, 473818942, 478544099, 762954438, 1035958843, 1186385747,
    1203479779, 1629054164, 1933643797, 1946027313, 1970122805, 2068476598, 2614727131, 2790017002, 2851435436, 3058770543,
    3129281188, 3145792061, 3203638454, 3222177319, 3244644833, 3403718610, 3522089170, 3639468995, 3756821336, 3798658863,
    3906419056, 3911874954, 4020398583, 4143701574, 4186136012, 4250742589,
))  # fmt: skip
"""CRC-32 of coarse words that are common, in small letters."""


def coarse(text: str) -> bool:
    """Whether such a word is in a text."""
    written = text.lower().replace("\u2019", "'")
    words = {*re.findall(r"[a-z]+", written), *re.findall(r"[a-z']+", written)}
    return any(zlib.crc32(word.encode()) in STRUCK for word in words)
