"""Transcription on this machine by faster-whisper (extra `whisper`), with a model that the user has; nothing is downloaded."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread

from orchestra_mcp.edge.nouns import Heard, Utterance, Vocabulary
from orchestra_mcp.edge.words.judging import Piece, judge
from orchestra_mcp.edge.words.prompts import names_of, prompt_of
from orchestra_mcp.errors import VoiceError

PATIENCE_S: Final = 60.0
HOTWORDS: Final = 40
"""Names that are made likelier."""


class Whisper:
    """Transcribes with a local model, which is loaded at the first question (some seconds).

    Args:
        model: the directory of a model in CTranslate2's format.
        phrase: the wake phrase.

    Raises:
        VoiceError: the directory holds no model, or the package is missing.
    """

    name = "whisper"
    offline = True

    def __init__(self, model: Path | None, *, phrase: str, patience_s: float = PATIENCE_S) -> None:
        if model is None or not (model / "model.bin").is_file():
            raise VoiceError(
                "voice.whisper_model must be the directory of a model for faster-whisper (with a model.bin); "
                "Orchestra downloads none by itself."
            )
        if find_spec("faster_whisper") is None or find_spec("numpy") is None:
            raise VoiceError("The transcriber `whisper` needs a package: pip install 'orchestra-council[whisper]'")
        self._place = model
        self._phrase = phrase
        self._patience_s = patience_s
        self._model: Any = None
        self._one = anyio.CapacityLimiter(1)

    async def prepare(self, vocabulary: Vocabulary) -> None:
        """Nothing to do: the model is loaded at the first question."""

    async def aclose(self) -> None:
        """Nothing to end."""

    async def transcribe(self, utterance: Utterance, vocabulary: Vocabulary) -> Heard:
        """The words.

        Raises:
            VoiceError: the model cannot be loaded, fails, or takes too long.
        """
        prompt = prompt_of(vocabulary)
        hotwords = ", ".join(names_of(vocabulary)[:HOTWORDS])
        work = partial(self._work, utterance.pcm, prompt, hotwords)
        try:
            with anyio.fail_after(self._patience_s):
                pieces = await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._one)
        except TimeoutError:
            raise VoiceError(f"whisper took longer than {self._patience_s:g} s; use a smaller model.") from None
        return judge(pieces, utterance, vocabulary, engine=self.name, phrase=self._phrase, prompt=prompt)

    def _work(self, pcm: bytes, prompt: str, hotwords: str) -> tuple[Piece, ...]:
        import numpy

        try:
            if self._model is None:
                from faster_whisper import WhisperModel

                self._model = WhisperModel(str(self._place), compute_type="auto", local_files_only=True)
            sound = numpy.frombuffer(pcm, numpy.int16).astype(numpy.float32) / 32768
            segments, _ = self._model.transcribe(
                sound,
                beam_size=5,
                initial_prompt=prompt or None,
                hotwords=hotwords or None,
                condition_on_previous_text=False,
            )
            return tuple(Piece(s.text, s.end - s.start, s.avg_logprob, s.no_speech_prob) for s in segments)
        except Exception as error:  # noqa: BLE001  (a native library under a file that anybody may have made)
            raise VoiceError(
                f"whisper failed ({type(error).__name__}); check the model in voice.whisper_model."
            ) from None
