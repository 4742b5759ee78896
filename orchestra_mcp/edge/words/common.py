"""Common English words: what competes with the templates of the embedded engine, and what a repair must not touch.

`common.txt` is drawn from the American English language model and dictionary in the wheel of pocketsphinx 5 (licence:
`common.LICENSE.txt`) and kept here since a repair needs it without that package too. `python -m orchestra_mcp.edge.words.common`
prints it anew.
"""

from __future__ import annotations

import re
import sys
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

MOST: Final = 8_000
STRUCK: Final = frozenset((
    4228108, 100789435, 208799393, 270014096, 409826008, 473818942, 478544099, 762954438, 1035958843, 1186385747,
    1203479779, 1629054164, 1933643797, 1946027313, 1970122805, 2068476598, 2614727131, 2790017002, 2851435436, 3058770543,
    3129281188, 3145792061, 3203638454, 3222177319, 3244644833, 3403718610, 3522089170, 3639468995, 3756821336, 3798658863,
    3906419056, 3911874954, 4020398583, 4143701574, 4186136012, 4250742589,
))  # fmt: skip
"""CRC-32 of coarse words that are common enough, and that nobody wants to be told to have said."""


@lru_cache(maxsize=1)
def common_words() -> tuple[str, ...]:
    """Eight thousand words, the commonest first."""
    return tuple((Path(__file__).parent / "common.txt").read_text("utf-8").split())


@lru_cache(maxsize=1)
def common_set() -> frozenset[str]:
    """The same, for looking up."""
    return frozenset(common_words())


def drawn_anew() -> tuple[str, ...]:
    """The words by the unigrams of the model that is installed, those of equal weight in the order of the alphabet.

    Raises:
        VoiceError: pocketsphinx is not installed.
    """
    from orchestra_mcp.edge.wake.pronunciation import dictionary, model_directory

    place = model_directory()
    from pocketsphinx import Config, LogMath, NGramModel

    model: Any = NGramModel(Config(), LogMath(), str(place / "en-us.lm.bin"))
    words = [word for word in dictionary() if re.fullmatch(r"[a-z][a-z']*", word)]
    kept = [word for word in words if zlib.crc32(word.encode()) not in STRUCK]
    return tuple(sorted(kept, key=lambda word: (-model.prob([word]), word))[:MOST])


if __name__ == "__main__":
    sys.stdout.write("\n".join(drawn_anew()) + "\n")
