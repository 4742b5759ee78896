"""What Omi posts of a transcript, read and freed of what came before. Pure.

Source: `docs/doc/developer/apps/Integrations.mdx` of github.com/BasedHardware/omi (an array of segments, the session in the
query), and its `backend/utils/{app_integrations,webhooks}.py`, which send `{"session_id": …, "segments": […]}`; as of
2026-11. A segment may come twice, late, or once more with words added to it.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from orchestra_mcp.edge.nouns import Segment
from orchestra_mcp.foreign import plain

MOST: Final = 60
"""Segments of one request; of more the last are read."""
TEXT_CHARS: Final = 2_000
"""Of one segment, of which the rest is not read."""
REQUEST_CHARS: Final = 4_000
"""Of one request, some minutes of talk; of more the last are read. They are looked through in the event loop."""
NAME_CHARS: Final = 200
REMEMBERED: Final = 400
"""Segments of a session that are known when they come again."""
REPEAT_S: Final = 120.0
"""After so many seconds the same words at the same place are said anew."""
WORD_S: Final = 0.4
"""About how long a word takes; says when words began that were added to a segment."""


def read_segments(body: object) -> tuple[str, tuple[Segment, ...]]:
    """The session (empty when it is not in the body) and the segments in order; what is malformed is left out.

    Raises:
        ValueError: it is no transcript.
    """
    session, listed = "", body
    if isinstance(body, dict):
        session, listed = _name(body.get("session_id")), body.get("segments")
    if not isinstance(listed, list):
        raise ValueError("no transcript: send an array of segments, or an object with `segments`")
    found, length = [], 0
    for one in reversed(listed[-MOST:]):
        if segment := _segment(one):
            length += len(segment.text)
            if length > REQUEST_CHARS:
                break
            found.append(segment)
    return session, tuple(sorted(found, key=lambda segment: (segment.start, segment.end)))


def _segment(given: object) -> Segment | None:
    if not isinstance(given, dict):
        return None
    text, start, end = given.get("text"), _seconds(given.get("start")), _seconds(given.get("end"))
    if not isinstance(text, str) or start is None:
        return None
    text = " ".join(plain(text[:TEXT_CHARS]).split())
    if not text:
        return None
    speaker = given.get("speaker")
    if not isinstance(speaker, str):
        number = given.get("speaker_id", given.get("speakerId"))
        speaker = str(number) if isinstance(number, int) else ""
    return Segment(
        text, start, max(start, start if end is None else end), _name(speaker), given.get("is_user") is True,
        _name(given.get("id")),
    )  # fmt: skip


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) and 0 <= seconds < 1e9 else None


def _name(value: object) -> str:
    return value[:NAME_CHARS] if isinstance(value, str) else ""


class Fresh:
    """Tells what is new of the segments of one session. Keeps no words, only marks of them that cannot be turned back."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(16)
        self._came: OrderedDict[bytes, float] = OrderedDict()
        """Marks of what came, and when."""
        self._grows: OrderedDict[bytes, _Known] = OrderedDict()
        """By the mark of a segment's id, or else of its place."""

    def of(self, segments: Sequence[Segment], now: float) -> tuple[Segment, ...]:
        """The segments, or the parts of them, that have not come before; `now` is the time in seconds."""
        return tuple(new for segment in segments if (new := self._new(segment, now)))

    def _new(self, segment: Segment, now: float) -> Segment | None:
        # Omi counts seconds from zero again after a pause, so that only an id, or a short time, makes two of them one.
        where = f"id {segment.id}" if segment.id else f"at {segment.start:.2f} {segment.speaker}"
        came, place = self._mark(f"{where} {segment.text}"), self._mark(where)
        again = now - self._came.get(came, -REPEAT_S) < REPEAT_S
        _remember(self._came, came, now)
        if again:
            return None
        words, known = segment.text.split(), self._grows.get(place)
        if known is not None and (now - known.at >= REPEAT_S or not self._grown(segment, words, known)):
            known = None
        count, end = (known.count, known.end) if known else (0, 0.0)
        more = words[count:]
        mark = self._mark(" ".join(words))
        _remember(self._grows, place, _Known(max(count, len(words)), mark, max(end, segment.end), now))
        if known is None or not more:
            return segment if known is None else None
        start = max(end, segment.end - WORD_S * len(more))
        return replace(segment, text=" ".join(more), start=start, end=max(start, segment.end))

    def _grown(self, segment: Segment, words: Sequence[str], known: _Known) -> bool:
        """With an id it is the same segment, whose words may have been mended; without one it must begin as it did."""
        return bool(segment.id) or self._mark(" ".join(words[: known.count])) == known.mark

    def _mark(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16, key=self._salt).digest()


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a segment that may come again with more words."""

    count: int
    """Of its words."""
    mark: bytes
    """Of all of them."""
    end: float
    at: float
    """When it came."""


T = TypeVar("T")


def _remember(among: OrderedDict[bytes, T], key: bytes, value: T) -> None:
    among[key] = value
    among.move_to_end(key)
    if len(among) > REMEMBERED:
        among.popitem(last=False)
