"""Transcription by a vendor, or a whisper server at hand, through the gateway: `POST /v1/audio/transcriptions`.

Reference: https://platform.openai.com/docs/api-reference/audio/createTranscription
"""

from __future__ import annotations

import io
import wave
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from orchestra_mcp.edge.nouns import RATE, SAMPLE, Heard, Utterance, Vocabulary
from orchestra_mcp.edge.words.judging import judge, pieces_of
from orchestra_mcp.edge.words.prompts import prompt_of
from orchestra_mcp.errors import OrchestraError, Refused, VoiceError
from orchestra_mcp.gateway.transcription import Transcript, TranscriptionRequest

PATIENCE_S: Final = 30.0
"""For all attempts together."""

Ask = Callable[[TranscriptionRequest], Awaitable[Transcript]]


class Remote:
    """Transcribes through the gateway.

    Args:
        model: a model or route of the settings.
        ask: `Orchestra.transcribe`.
        phrase: the wake phrase.
        patience_s: how long a vendor may take, in seconds.
    """

    offline = False

    def __init__(self, model: str, ask: Ask, *, phrase: str, patience_s: float = PATIENCE_S) -> None:
        self.name = model
        self._ask = ask
        self._phrase = phrase
        self._patience_s = patience_s
        self._plain = False
        """True once the vendor has refused to tell how sure it is."""

    async def prepare(self, vocabulary: Vocabulary) -> None:
        """Nothing to do: a vendor is always ready."""

    async def aclose(self) -> None:
        """Nothing to end."""

    async def transcribe(self, utterance: Utterance, vocabulary: Vocabulary) -> Heard:
        """The words. The names of `vocabulary` are sent along: hand in an empty one where they must not leave.

        Raises:
            VoiceError: the vendor failed, was not allowed, or took too long.
        """
        prompt = prompt_of(vocabulary)
        try:
            with anyio.fail_after(self._patience_s):
                body = (await self._asked(wav_of(utterance.pcm), prompt)).body
        except TimeoutError:
            raise VoiceError(
                f"{self.name} took longer than {self._patience_s:g} s to transcribe; try another model."
            ) from None
        except VoiceError:
            raise
        except OrchestraError as error:
            raise VoiceError(f"{self.name} could not transcribe: {error}") from error
        try:
            pieces = pieces_of(body)
        except ValueError:
            raise VoiceError(
                f"{self.name} answered with something else than a transcript; check its base_url."
            ) from None
        return judge(pieces, utterance, vocabulary, engine=self.name, phrase=self._phrase, prompt=prompt)

    async def _asked(self, audio: bytes, prompt: str) -> Transcript:
        if not self._plain:
            try:
                return await self._ask(self._request(audio, prompt, "verbose_json"))
            except Refused as refused:
                if refused.kind != "request":
                    raise
        answer = await self._ask(self._request(audio, prompt, "json"))
        self._plain = True  # only now is it known that the form was at fault, not the sound
        return answer

    def _request(self, audio: bytes, prompt: str, form: str) -> TranscriptionRequest:
        fields = (("response_format", form), ("temperature", "0"), *((("prompt", prompt),) if prompt else ()))
        return TranscriptionRequest(self.name, audio, "question.wav", "audio/wav", fields)


def wav_of(pcm: bytes) -> bytes:
    """Some sound as a WAV file, in memory."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(SAMPLE)
        file.setframerate(RATE)
        file.writeframes(pcm)
    return out.getvalue()
