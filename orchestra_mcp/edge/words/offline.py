"""The embedded engine: no download, no network; it knows templates of questions, commands, and the project's names.

How it listens is in `sphinx.py`, which runs in a `child.py`; whether it is believed is up to `gate.py`.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from orchestra_mcp.edge.nouns import Heard, Utterance, Vocabulary
from orchestra_mcp.edge.words.child import MISSING, Child
from orchestra_mcp.edge.words.gate import OFF, judged
from orchestra_mcp.errors import VoiceError

PATIENCE_S: Final = 20.0
LOST: Final = 0.1
"""Share of the sound that may be lost before a question is read back."""
LONGEST_S: Final = 15.0
"""No template is longer, with the wake phrase, a pause to think and the silence at the end."""
SHORT_S: Final = 3.0
"""An expected answer of at most so many seconds is tried as a command first."""


class Offline:
    """Transcribes on this machine with what the extra `omi` brings.

    Args:
        phrase: the wake phrase.

    Raises:
        VoiceError: a package is missing.
    """

    name = "offline"
    offline = True

    def __init__(self, *, phrase: str, patience_s: float = PATIENCE_S) -> None:
        if find_spec("pocketsphinx") is None or find_spec("numpy") is None:
            raise VoiceError(MISSING)
        self._child = Child(phrase)
        self._patience_s = patience_s

    async def prepare(self, vocabulary: Vocabulary) -> None:
        """Get ready for a project's questions, so that the first one is not slower than the others.

        Raises:
            VoiceError: the engine cannot start.
        """
        await self._child.hear(b"", vocabulary, order=False, patience_s=self._patience_s)

    async def transcribe(self, utterance: Utterance, vocabulary: Vocabulary) -> Heard:
        """The words: a question that fits a template, or a command; without text for all else.

        Raises:
            VoiceError: the engine failed or took too long.
        """
        length = len(utterance.pcm) / 32_000
        if utterance.by == "expected" and length <= SHORT_S:
            order = await self._child.hear(utterance.pcm, vocabulary, order=True, patience_s=self._patience_s)
            if (found := judged(order)).text:
                return Heard(found.text, self.name, found.confidence)
        if length > LONGEST_S:
            return Heard("", self.name, 0.0, OFF)
        decoded = await self._child.hear(utterance.pcm, vocabulary, order=False, patience_s=self._patience_s)
        result = judged(decoded)
        doubt = result.doubt
        if result.text and not doubt and utterance.lost_s > LOST * length:
            doubt = "part of it was lost on the way"
        if result.text and not doubt and utterance.cut:
            doubt = "it was too long and was cut off"
        return Heard(result.text, self.name, result.confidence, doubt)

    async def aclose(self) -> None:
        """End the process that listens."""
        await self._child.aclose()
