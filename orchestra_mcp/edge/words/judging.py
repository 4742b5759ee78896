"""What an engine's transcript is worth: the wake phrase taken out, and why it must not be believed. Pure.

Engines write something for any sound: sentences of their training for silence, their prompt, the same words for ever
(Koenecke et al., "Careless Whisper: Speech-to-Text Hallucination Harms", FAccT 2024). The thresholds of log-probability, of
silence and of repetition are those of the reference implementation (openai/whisper, `transcribe.py`).
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestra_mcp.edge.nouns import Heard, Segment, Utterance, Vocabulary, seconds
from orchestra_mcp.edge.words.nearly import DOUBT, after_nearly
from orchestra_mcp.edge.words.phrase import Call, Phrase, rest_of
from orchestra_mcp.edge.words.repair import repair
from orchestra_mcp.foreign import plain

UNKNOWN: Final = 0.7
"""Confidence of an engine that tells none."""
DOUBTFUL: Final = 0.5
"""Below this confidence a question has to be confirmed; the mean probability of a token."""
NO_SPEECH: Final = 0.6
UNLIKELY: Final = -1.0
"""Mean log-probability below which a segment that may be silence is taken for it."""
REPETITIVE: Final = 2.4
"""Ratio of compression, from which on a text repeats itself."""
WORDS_PER_S: Final = 5.5
"""More than this nobody says."""
LONGEST: Final = 2_000
"""Characters of a question; 25 seconds hold a quarter of it."""
LOST: Final = 0.2
"""Share of the sound that may be lost before the words are doubted."""

INVENTED: Final = re.compile(
    r"(?:thank you(?: so much| very much)?|thanks)(?: for (?:watching|listening|viewing)| for your attention)"
    r"|(?:please |don't forget to )?(?:like and )?subscribe(?: to (?:my|our|the) channel)?|see you (?:in the )?next (?:time|video)"
    r"|(?:subtitles|captions|transcription|transcribed|translated|sous-titres|untertitel)(?: \w+){0,3} (?:by|par|von|der|des) .*"
    r"|\[?\(?(?:music|applause|laughter|silence|blank_?audio|inaudible|noise|beep|typing|keyboard clicking|foreign|no audio)\)?\]?"
    r"|©.*|you|bye(?: bye)?|thank you|thanks|the end|so|oh|hmm|mm|uh|amara\.? ?org.*|www\..*|https?://.*",
    re.I,
)  # fmt: skip
"""What engines write for silence and noise. Add here."""
ALWAYS_INVENTED: Final = re.compile(
    r"(?:for (?:watching|viewing)|subscribe to (?:my|our|the) channel|amara\.org)", re.I
)
_LOOP: Final = re.compile(r"(?:^|\W)(\w[\w' ,.]{0,60}?)(?:[\s,.!?]+\1){3,}(?!\w)", re.I)
_BRACKETED: Final = re.compile(r"[\[(*♪][^\])*♪]{0,40}[\])*♪]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a transcript as an engine gave it."""

    text: str
    seconds: float = 0.0
    logprob: float | None = None
    """Mean natural logarithm of its tokens' probabilities."""
    no_speech: float | None = None
    """How likely nobody spoke."""


def pieces_of(body: bytes) -> tuple[Piece, ...]:
    """The parts of a vendor's reply, in `json`, `verbose_json` or (where it answers so) plain text.

    Reference: https://platform.openai.com/docs/api-reference/audio/verbose-json-object

    Raises:
        ValueError: it is no transcript.
    """
    text = body.decode("utf-8", "replace").strip()
    if not text.startswith(("{", "[", '"')):
        return (Piece(text),)
    found: Any = json.loads(text)
    if not isinstance(found, dict) or not isinstance(found.get("text"), str):
        raise ValueError("no text")
    segments = found.get("segments")
    if (
        isinstance(segments, list)
        and segments
        and all(isinstance(s, dict) and isinstance(s.get("text"), str) for s in segments)
    ):
        return tuple(
            Piece(
                segment["text"],
                max(0.0, (_number(segment.get("end")) or 0.0) - (_number(segment.get("start")) or 0.0)),
                _number(segment.get("avg_logprob")),
                _number(segment.get("no_speech_prob")),
            )
            for segment in segments[:200]
        )
    return (Piece(found["text"]),)


@dataclass(frozen=True, slots=True)
class Waking:
    """What an engine that listens for the wake phrase by itself found of it; its transcript begins after the phrase."""

    woken: bool | None
    """As in `Heard`."""
    doubt: str = ""
    """Why that is not sure."""


def judge(
    pieces: Sequence[Piece],
    utterance: Utterance,
    vocabulary: Vocabulary,
    *,
    engine: str,
    phrase: str,
    prompt: str = "",
    doubtful: float = DOUBTFUL,
    waking: Waking | None = None,
) -> Heard:
    """What was asked, and how far that can be believed.

    Args:
        phrase: the wake phrase.
        prompt: what the engine was told beforehand; it may come back as a transcript.
        doubtful: below this confidence of the engine it has to be confirmed.
        waking: the wake phrase, where the engine knows of it; None: it is looked for in the text. Where it is surely in the text,
            that counts for more.
    """
    kept = [piece for piece in pieces if not _silent(piece)]
    text = _clean(" ".join(piece.text for piece in kept))
    confidence = _confidence(kept)
    call = Phrase(phrase).find((Segment(text, 0.0, 0.0),)) if text else None
    surely = utterance.by == "wake" and call is not None and call.sure
    text, woken, unsure = _without_phrase(text, phrase, call, by_phrase=utterance.by == "wake" and waking is None)
    if waking is not None:
        woken = True if surely else waking.woken
        unsure = "" if surely and waking.doubt == DOUBT else waking.doubt
    if not text or _invented(text, utterance) or _echo(text, prompt):
        return Heard("", engine, 0.0, "nothing that can be understood was heard", woken if text else (woken or None))
    doubt = _doubt(text, utterance, confidence, doubtful) or unsure
    text = _without_loops(text)
    return Heard(repair(text, vocabulary).text, engine, confidence, doubt, woken)


def _doubt(text: str, utterance: Utterance, confidence: float, doubtful: float) -> str:
    length = seconds(utterance.pcm)
    if _without_loops(text) != text or _compressed(text) > REPETITIVE:
        return "the words repeat themselves"
    if len(text.split()) > WORDS_PER_S * length + 3:
        return "there are more words than can be said in that time"
    if utterance.lost_s > LOST * length:
        return "part of it was lost on the way"
    if utterance.cut:
        return "it was too long and was cut off"
    if confidence < doubtful:
        return "it was not heard clearly"
    return ""


def _silent(piece: Piece) -> bool:
    unlikely = piece.logprob is not None and piece.logprob < UNLIKELY
    return piece.no_speech is not None and piece.no_speech > NO_SPEECH and (piece.logprob is None or unlikely)


def _confidence(pieces: Iterable[Piece]) -> float:
    """The mean probability of a token, weighted by the length of the parts."""
    told = [(max(piece.seconds, 0.1), piece.logprob) for piece in pieces if piece.logprob is not None]
    if not told:
        return UNKNOWN
    mean = sum(weight * logprob for weight, logprob in told) / sum(weight for weight, _ in told)
    return round(min(1.0, math.exp(min(0.0, mean))), 3)


def _without_phrase(text: str, phrase: str, call: Call | None, *, by_phrase: bool) -> tuple[str, bool | None, str]:
    """The text after the wake phrase; whether it was there, as in `Heard`; and why it is in doubt whether it was.

    Args:
        text: what was written.
        phrase: the wake phrase.
        call: where it is in the text.
        by_phrase: whether the phrase has to be in it.
    """
    if call:
        return rest_of(text, call.end), True if by_phrase else None, ""
    if not by_phrase:
        return text, None, ""
    end = after_nearly(text, phrase)
    return (text, False, "") if end is None else (rest_of(text, end), None, DOUBT)


def _clean(text: str) -> str:
    return " ".join(_BRACKETED.sub(" ", plain(text)).split())[:LONGEST].strip(" \"'-–—…")


def _invented(text: str, utterance: Utterance) -> bool:
    bare = text.strip(" .,!?…*♪-\"'").lower()
    if not re.search(r"\w", bare) or ALWAYS_INVENTED.search(bare):
        return True
    if utterance.by == "expected" and bare in ("thanks", "thank you", "oh", "so"):
        return True
    parts = [part.strip(" ,\"'") for part in re.split(r"[.!?]+", bare) if part.strip(" ,\"'")]
    return bool(parts) and all(INVENTED.fullmatch(part) for part in parts)


def _echo(text: str, prompt: str) -> bool:
    """Whether a text is a piece of the prompt and nothing else."""
    words = re.findall(r"\w+", text.lower())
    return len(words) >= 3 and bool(prompt) and " ".join(words) in " ".join(re.findall(r"\w+", prompt.lower()))


def _without_loops(text: str) -> str:
    return " ".join(_LOOP.sub(lambda match: f" {match[1]}", text).split())


def _compressed(text: str) -> float:
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if len(data) > 60 else 1.0


def _number(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
