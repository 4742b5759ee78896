"""What it costs to have a recording transcribed: by the minute, or by tokens of sound and text. Pure, but for the price list.

How long a recording is at most is known before it is sent: exactly of a WAV file that is not compressed, of all others by
their size, since hardly anything is spoken at less than 8 kbit/s.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from orchestra_mcp.gateway.money.prices import FREE, MTOK, found_in_list, said_by_settings
from orchestra_mcp.settings import ModelSpec, PriceRow
from orchestra_mcp.types import Usage

LEAST_BYTES = 1_000
"""Bytes of a second of speech in the tightest usual compression, 8 kbit/s."""
USUAL_BYTES = 8_000
"""The same in usual compression, 64 kbit/s; for rate limits."""
MOST_S = 4 * 3600.0
"""No recording counts as longer; it is also more than vendors take."""
CEILING = Decimal("0.024")
"""US dollars for a minute where the price is unknown: Amazon Transcribe's list price for the first minutes of a month, the
dearest of the usual services (https://aws.amazon.com/transcribe/pricing/)."""
SOUND_TOKENS = 600
"""Tokens of a minute of sound: one for 100 ms (https://platform.openai.com/docs/guides/audio)."""
TEXT_TOKENS = 600
"""Tokens of a minute of speech, at most: quick speakers say 250 words, which are some 350 tokens."""
PCM = (1, 3, 6, 7, 0xFFFE)
"""Formats of WAV whose seconds are counted by their bytes (RFC 2361): PCM, floats, A-law, µ-law, and PCM with more fields."""

MOST_RATE = 192_000 * 8 * 4
"""Bytes of a second of any WAV that somebody means: 192 kHz, eight channels, four bytes each."""


class Tariff(NamedTuple):
    """US dollars for a minute; or for a million tokens, and what a minute costs then at most."""

    minute: Decimal
    sound: Decimal | None = None
    text: Decimal = Decimal(0)
    """Of a prompt."""
    output: Decimal = Decimal(0)


def seconds_at_most(audio: bytes) -> float:
    """How long a recording is, at most."""
    exact = _of_wav(audio)
    return min(MOST_S, len(audio) / LEAST_BYTES if exact is None else exact)


def seconds_usual(audio: bytes) -> float:
    """How long a recording probably is."""
    exact = _of_wav(audio)
    return min(MOST_S, len(audio) / USUAL_BYTES if exact is None else exact)


def tariff_of(spec: ModelSpec, table: Sequence[PriceRow] = (), at: datetime | None = None) -> Tariff | None:
    """What a model takes for speech, None when it is unknown. May import the price list, which takes a third of a second.

    The order is that of `prices.price`: the model's own table, the settings' table, nothing on this machine, the list.
    """
    at = at or datetime.now(UTC)
    said = said_by_settings(spec, at, table)
    if said is FREE:
        return Tariff(Decimal(0))
    if said is not None:
        return _by_tokens(said.base.input, said.base.input, said.base.output)
    found = found_in_list(spec)
    return None if found is None else _from_list(found.get_prices(at))


def at_most(tariff: Tariff, seconds: float, prompt: int = 0) -> Decimal:
    """US dollars that a recording costs at most, with so many bytes of prompt."""
    text = prompt * tariff.text / MTOK if tariff.sound is not None else Decimal(0)
    return tariff.minute * Decimal(str(seconds)) / 60 + text


def told(body: bytes, tariff: Tariff | None) -> tuple[Usage, Decimal | None]:
    """The tokens and the cost that a reply tells; the cost is None when it does not tell enough.

    Reference: https://platform.openai.com/docs/api-reference/audio/json-object (`usage` of tokens or of seconds),
    …/verbose-json-object (`duration`).
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return Usage(), None
    if not isinstance(found, dict):
        return Usage(), None
    given = found.get("usage")
    usage: dict[str, Any] = given if isinstance(given, dict) else {}
    tokens = Usage(input_tokens=_count(usage, "input_tokens"), output_tokens=_count(usage, "output_tokens"))
    if isinstance(cost := usage.get("cost"), int | float) and not isinstance(cost, bool) and 0 < cost < 1000:
        return tokens, Decimal(str(cost))
    if tariff is None:
        return tokens, None
    if tokens.tokens and tariff.sound is not None:
        details = usage.get("input_token_details")
        text = min(tokens.input_tokens, _count(details, "text_tokens") if isinstance(details, dict) else 0)
        sound = tokens.input_tokens - text
        return tokens, (sound * tariff.sound + text * tariff.text + tokens.output_tokens * tariff.output) / MTOK
    try:
        length = float(usage.get("seconds") or found.get("duration") or 0)
    except (TypeError, ValueError, OverflowError):
        return tokens, None
    return tokens, at_most(tariff, length) if 0 < length <= 10 * MOST_S else None


# ------------------------------------------------------------------------------------------------ inside


def _count(table: dict[str, Any], name: str) -> int:
    value = table.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9 else 0


def _by_tokens(sound: Decimal, text: Decimal, output: Decimal) -> Tariff:
    return Tariff((SOUND_TOKENS * sound + TEXT_TOKENS * output) / MTOK, sound, text, output)


def _from_list(raw: Any) -> Tariff | None:
    """From a `ModelPrice` of genai-prices; None when it has no rate for sound."""

    def rate(name: str) -> Decimal | None:
        value = getattr(raw, name, None)
        value = getattr(value, "base", value)
        return value if isinstance(value, Decimal) else None

    hour = rate("input_audio_hours") or rate("audio_hours")
    if hour is not None:
        return Tariff(hour / 60)
    sound, output = rate("input_audio_mtok"), rate("output_mtok")
    return _by_tokens(sound, rate("input_mtok") or sound, output) if sound is not None and output is not None else None


def _of_wav(audio: bytes) -> float | None:
    """Seconds of a WAV file by its own header; None when it is none, or compressed.

    Reference: Multimedia Programming Interface and Data Specifications 1.0 (IBM and Microsoft, 1991). Everything behind
    the beginning of the data counts as data, since writers of streams leave its size open.
    """
    if len(audio) < 44 or audio[:4] != b"RIFF" or audio[8:12] != b"WAVE":
        return None
    at, rate = 12, 0
    while at + 8 <= len(audio):
        name, size = audio[at : at + 4], int.from_bytes(audio[at + 4 : at + 8], "little")
        at += 8
        if name == b"fmt " and size >= 16 and at + 16 <= len(audio):
            form, _, hertz, each_s, block, _ = struct.unpack_from("<HHIIHH", audio, at)
            if form not in PCM:
                return None
            rate = min(each_s, hertz * block)
        elif name == b"data":
            return (len(audio) - at) / rate if 0 < rate <= MOST_RATE else None
        at += size + size % 2
    return None
