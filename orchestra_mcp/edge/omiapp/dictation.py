"""Takes a question down from a transcript: from the wake phrase to the pause after it. Pure; the time is handed in.

Of talk that is not for the council nothing is kept but what came in the last seconds, since the phrase may be spread over
segments and segments may come in the wrong order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from orchestra_mcp.edge.nouns import LONGEST_S, Segment
from orchestra_mcp.edge.omiapp.segments import Fresh
from orchestra_mcp.edge.words.phrase import STRONG, Call, Phrase, rest_of

QUIET_S: Final = 2.0
"""A pause of so many seconds ends a question, in the speaker's time and in ours."""
UNFINISHED_S: Final = 4.0
"""The same where the words do not end as a sentence does: Omi posts once a second, and engines split sentences."""
FIRST_S: Final = 6.0
"""So long somebody may think between the phrase and the first word."""
KEPT_S: Final = 5.0
"""Talk that is not for us is forgotten after so many seconds."""
KEPT_CHARS: Final = 600
"""Of such talk, at most; of more the newest."""
WORDS: Final = 120
"""Of a question: as many as are said in `LONGEST_S` by who speaks fast."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asked."""

    text: str = field(repr=False)
    sure: bool
    """False when the wake phrase was only half heard."""
    cut: bool = False
    """It was longer than what is taken."""


@dataclass(slots=True)
class _Open:
    """A question that is being taken down."""

    sure: bool
    start: float
    """Of the segment in which the phrase ends, in the speaker's time."""
    heard_at: float
    last_at: float
    """When something of it came last, in our time."""
    end: float
    speaker: str
    parts: list[tuple[float, str]]
    """Where each part begins, and its words."""

    @property
    def text(self) -> str:
        return " ".join(words for _, words in self.parts).strip()


class Dictation:
    """One session of one speaker's transcript.

    Args:
        phrase: what wakes.
        quiet_s: the pause that ends a question; other waits are in proportion to it.
    """

    def __init__(self, phrase: Phrase, quiet_s: float = QUIET_S) -> None:
        self._phrase, self._quiet_s, self._slow = phrase, quiet_s, quiet_s / QUIET_S
        self._fresh = Fresh()
        self._knows_user = False
        """Omi knows the wearer's voice, so that only theirs counts."""
        self._recent: list[tuple[float, Segment]] = []
        self._open: _Open | None = None

    @property
    def kept(self) -> str:
        """All words that it holds at this moment."""
        return " ".join([segment.text for _, segment in self._recent] + ([self._open.text] if self._open else []))

    @property
    def due_at(self) -> float | None:
        """When `due` has something to do next; None when it holds nothing."""
        times = [at + KEPT_S for at, _ in self._recent[:1]]
        if self._open:
            times.append(self._ends_at(self._open))
        return min(times, default=None)

    def hear(self, segments: Sequence[Segment], now: float) -> tuple[Asked, ...]:
        """Take segments, in their order; questions that have ended by them.

        Args:
            segments: as they came.
            now: the time in seconds.
        """
        asked = list(self.due(now))
        self._knows_user = self._knows_user or any(segment.is_user for segment in segments)
        fresh = [one for one in self._fresh.of(segments, now) if one.is_user or not self._knows_user]
        while fresh:
            if self._open is None:
                fresh = self._listen(fresh, now)
            elif not self._goes_on(self._open, fresh[0]):
                asked += self._close()
            else:
                self._add(self._open, fresh.pop(0), now)
            if self._open and self._too_long(self._open):
                asked += self._close()
        return tuple(asked)

    def due(self, now: float) -> tuple[Asked, ...]:
        """Forget what is old; a question after which nothing came for long enough."""
        self._recent = [(at, segment) for at, segment in self._recent if now - at < KEPT_S]
        return self._close() if self._open and now >= self._ends_at(self._open) else ()

    def _ends_at(self, open: _Open) -> float:
        text = open.text
        if not text:
            return open.last_at + FIRST_S * self._slow
        finished = bool(STRONG.search(text[-2:]))
        quiet = open.last_at + (self._quiet_s if finished else UNFINISHED_S * self._slow)
        return min(quiet, open.heard_at + LONGEST_S)

    def _goes_on(self, open: _Open, segment: Segment) -> bool:
        gap = segment.start - open.end
        return gap < self._quiet_s if open.text else gap < FIRST_S

    def _add(self, open: _Open, segment: Segment, now: float) -> None:
        if segment.start < open.start:
            return  # said before the phrase, and late
        if not self._knows_user and open.speaker and segment.speaker and segment.speaker != open.speaker:
            return
        if call := self._phrase.find((segment,)):  # once more, with what is meant
            self._begin(call, segment, now)
            return
        open.speaker = open.speaker or segment.speaker
        open.parts.append((segment.start, segment.text))
        open.parts.sort(key=lambda part: part[0])
        open.end, open.last_at = max(open.end, segment.end), now

    def _listen(self, segments: Sequence[Segment], now: float) -> list[Segment]:
        """Look for the phrase; the segments after it."""
        self._recent += [(now, segment) for segment in segments]
        said = sorted((one for _, one in self._recent), key=lambda one: one.start)
        call = self._phrase.find(said)
        if call is None:
            while len(self._recent) > 1 and sum(len(one.text) for _, one in self._recent) > KEPT_CHARS:
                del self._recent[0]
            return []
        self._recent.clear()
        self._begin(call, said[call.segment], now)
        return said[call.segment + 1 :]

    def _begin(self, call: Call, segment: Segment, now: float) -> None:
        """From the phrase on; of several in the same segment the last counts."""
        call = self._phrase.last(segment.text, call)
        rest = rest_of(segment.text, call.end)
        # Where the phrase stands alone, whoever speaks next may be taken for another voice.
        self._open = _Open(
            call.sure, segment.start, now, now, segment.end, segment.speaker if rest else "",
            [(segment.start, rest)] if rest else [],
        )  # fmt: skip

    def _too_long(self, open: _Open) -> bool:
        return open.end - open.start >= LONGEST_S or len(open.text.split()) >= WORDS

    def _close(self) -> tuple[Asked, ...]:
        open, self._open = self._open, None
        if open is None or not open.text:
            return ()
        words = open.text.split()
        cut = self._too_long(open)
        return (Asked(" ".join(words[:WORDS]), open.sure, cut),)
