"""Which sounds of English were said, every 24 ms, out of Moonshine's features.

A small network over the features: a layer that narrows, a convolution over five frames, and one output for each sound, trained with connectionist
temporal classification (Graves et al., ICML 2006) on synthetic speech and on a game's actors (`training/sounds`). How it fares with other people is
measured in `benchmarks/voice_people.py`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestra_mcp.edge.acoustic.moonshine import session
from orchestra_mcp.edge.acoustic.pronunciation import CONSONANTS, VOWELS

if TYPE_CHECKING:
    from orchestra_mcp.edge.acoustic.moonshine import Floats

NONE: Final = 0
"""The output for silence, and for a sound that goes on."""
SOUNDS: Final = {name: number for number, name in enumerate(sorted(VOWELS | CONSONANTS), 1)}
"""Outputs by the names of their sounds."""
FILE: Final = Path(__file__).parent / "sounds.onnx"


class Sounds:
    """The network. For several threads at a time.

    Raises:
        VoiceError: a package is missing.
    """

    def __init__(self, file: Path = FILE) -> None:
        self._network = session(file)

    def logprobs(self, hidden: Floats) -> Floats:
        """Natural logarithms of the probabilities, a row for each frame, a column for each output."""
        import numpy as np

        if not len(hidden):
            return np.zeros((0, len(SOUNDS) + 1), np.float32)
        (found,) = self._network.run(None, {"hidden": hidden[None]})
        return np.asarray(found[0], np.float32)


@lru_cache(maxsize=1)
def sounds() -> Sounds:
    """The network, read once."""
    return Sounds()
