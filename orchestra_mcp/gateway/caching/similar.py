"""Answers to similar questions: which requests may have them, which earlier questions come near, and who is trusted.

Only the text of the last user message may differ; everything else has to be equal (`keys.partition_of`). A similar
answer is *offered*. It is *served* in place of a new one only when judged offers of its class, in the caller's own
scope, show that such answers are right: the lower end of Wilson's interval has to reach .99, which takes some 380
clean offers. A class that is served is still offered now and then, so that judging goes on.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

import anyio

from orchestra_mcp.errors import ProviderError
from orchestra_mcp.gateway.caching.judging import SERVED, family, judge, lower, threshold, weights_for
from orchestra_mcp.gateway.caching.keys import key_of, partition_of, scope_of
from orchestra_mcp.gateway.caching.likeness import MAX_WORDS
from orchestra_mcp.gateway.caching.replies import Offered, Questions
from orchestra_mcp.gateway.embedding.engine import Engine
from orchestra_mcp.gateway.provider import ChatRequest, Text

_LOG = logging.getLogger(__name__)
PATIENCE_S = 0.5
"""Longest time that looking for a similar question may take."""
NEIGHBOURS = 12
MAX_CHARS = 1000
MAX_USER_TURNS = 2
MAX_TEMPERATURE = 0.3
MOST_LEARNING = 64
"""Questions that wait for their vector; more are not learnt."""

_TIMELY = re.compile(
    r"\b(today|tonight|tomorrow|yesterday|now|nowadays|currently?|right now|latest|newest|recent(?:ly)?|upcoming|news|"
    r"this (?:week|month|year|morning|evening|weekend)|(?:last|next) (?:week|month|year|night|weekend)|ago|so far|"
    r"at the moment|these days|weather|forecast|(?:stock|exchange) (?:price|rate)s?|up.to.date|what time|what date)\b",
    re.IGNORECASE,
)
_DEICTIC = re.compile(
    r"\b(above|below|attached|this (?:file|code|repo\w*|function|class|image|text)|the following|previous answer)\b",
    re.I,
)


class Found(NamedTuple):
    """An earlier question that comes near enough."""

    offer: str
    key: bytes
    """Of its reply."""
    number: int
    question: str
    similarity: float
    score: float
    kind: str
    trusted: bool
    """Its answer may be served."""


class Similar:
    """Finds earlier questions for `Cached`.

    Args:
        engine: makes vectors; while it is not ready nothing is similar.
        questions: where earlier questions and judged offers are.
        begin: runs a function in the background, as `TaskGroup.start_soon` does.
        audit: share of trusted answers that are offered all the same, so that they go on being judged.
        dice: a random number from 0 to 1.
    """

    def __init__(
        self,
        engine: Engine,
        questions: Questions,
        *,
        begin: Callable[..., object],
        audit: float = 0.02,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._engine = engine
        self._questions = questions
        self._begin = begin
        self._audit = audit
        self._dice = dice
        self._learning = 0

    async def look(self, request: ChatRequest) -> list[Found]:
        """Earlier questions whose answers may answer this one, the best first. Never raises, never waits for long."""
        text = question_of(request)
        if text is None or not request.cache.similar:
            return []
        if not self._engine.ready:
            self._engine.start()
            return []
        with anyio.move_on_after(PATIENCE_S):
            try:
                return await self._look(request, text)
            except ProviderError as error:
                _LOG.debug("no vector for a question: %s", error)
        return []

    async def _look(self, request: ChatRequest, text: str) -> list[Found]:
        tag, scope = self._engine.tag, scope_of(request)
        (vector,) = await self._engine.embed((text,))
        weights = weights_for(family(tag))
        near = await self._questions.nearest(partition_of(request), tag, vector, NEIGHBOURS, weights.cosine)
        found = []
        for number, cosine, question, key, _ in near:
            verdict = judge(text, question, cosine, weights)
            if verdict is None or verdict.score < weights.least:
                continue
            judged = await self._questions.judged(number)
            if verdict.score < threshold([(score, good) for _, score, good in judged], weights.least):
                continue
            kind = f"{tag} {verdict.kind}"
            trusted = lower(*await self._questions.tally(kind, scope)) >= SERVED and self._dice() >= self._audit
            offer = blake2b(key + key_of(request), digest_size=12).hexdigest()
            found.append(Found(offer, key, number, question, cosine, verdict.score, kind, trusted))
        return sorted(found, key=lambda f: -f.score)

    def offered(self, found: Found, request: ChatRequest) -> None:
        """Remember that an answer was offered, so that it can be judged."""
        asked = key_of(request)
        self._questions.offer(Offered(found.offer, found.number, asked, found.kind, scope_of(request), found.score))

    def learn(self, request: ChatRequest, key: bytes, until: float) -> None:
        """Keep a question whose answer was kept under `key`; returns at once."""
        text = question_of(request)
        if text is None or not self._engine.ready or self._learning >= MOST_LEARNING:
            return
        self._learning += 1
        self._begin(self._learn, partition_of(request), text, key, until)

    async def _learn(self, partition: bytes, text: str, key: bytes, until: float) -> None:
        try:
            with anyio.move_on_after(10):
                (vector,) = await self._engine.embed((text,))
                self._questions.note(partition, self._engine.tag, text, vector, key, until)
        except ProviderError as error:
            _LOG.debug("a question was not learnt: %s", error)
        finally:
            self._learning -= 1

    async def judge(self, offer: str, right: bool, scope: str | None = None) -> bool:
        """Say whether an offered answer was right; a later word replaces an earlier one.

        Args:
            offer: its `id`.
            right: whether it answered the question that was asked.
            scope: only an offer to this one (`keys.scope_of`); None: to anybody.

        Returns:
            False when there is no such offer.
        """
        return await self._questions.judge(offer, right, scope)


def question_of(request: ChatRequest) -> str | None:
    """The text that may be worded in another way; None when the request is not fit for similar answers.

    Not fit are project code, tools and what they said, media, structured answers' further turns, more than two user
    turns, creative temperatures, questions about now, questions about something that stands elsewhere in the prompt,
    and long texts, of which a vector sees only the beginning.
    """
    if request.private or request.tools or request.tool or not request.messages:
        return None
    if request.temperature is not None and request.temperature > MAX_TEMPERATURE:
        return None
    last = request.messages[-1]
    if last.role != "user" or not 8 <= len(last.text) <= MAX_CHARS or last.parts:
        return None
    turns = 0
    for message in request.messages:
        turns += message.role == "user"
        if any(not isinstance(part, Text) for part in message.parts):
            return None
    if turns > MAX_USER_TURNS or len(last.text.split()) > MAX_WORDS:
        return None
    if _TIMELY.search(last.text) or _DEICTIC.search(last.text):
        return None
    return last.text
