"""Sound to words: one protocol (`nouns.Transcriber`), three engines, and the names of the project.

`remote.py` asks a vendor through the gateway, `whisper.py` a local model, `offline.py` the embedded one, whose search for words is in
`search.py` and `likely.py`. What they write is judged in `judging.py`; `repair.py` puts the project's names in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra_mcp.edge.nouns import Transcriber

if TYPE_CHECKING:
    from orchestra_mcp.gateway.transcription import Transcript, TranscriptionRequest
    from orchestra_mcp.settings.voice import Voice


def engine_of(voice: Voice) -> str:
    """Which engine the settings mean: `offline`, `whisper`, or the name of a model or route."""
    return voice.transcriber or ("whisper" if voice.whisper_model else "offline")


def open_transcriber(
    voice: Voice, transcribe: Callable[[TranscriptionRequest], Awaitable[Transcript]], home: Path
) -> Transcriber:
    """The engine that the settings name.

    Args:
        transcribe: `Orchestra.transcribe`, which knows models and routes.
        home: Orchestra's directory, below which a relative `whisper_model` is looked for.

    Raises:
        VoiceError: a package or a model is missing.
    """
    name = engine_of(voice)
    if name == "offline":
        from orchestra_mcp.edge.words.offline import Offline

        return Offline(phrase=voice.wake_phrase)
    if name == "whisper":
        from orchestra_mcp.edge.words.whisper import Whisper

        model = home / Path(voice.whisper_model).expanduser() if voice.whisper_model else None
        return Whisper(model, phrase=voice.wake_phrase)
    from orchestra_mcp.edge.words.remote import Remote

    return Remote(name, transcribe, phrase=voice.wake_phrase)
