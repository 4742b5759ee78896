"""What kind of question is asked, by its likeness to examples: for rules with `when = { intent = … }`.

Only the last text of the user is compared. Where two intents are about as near, or none is near, there is no intent;
nor where the embedder is not ready, fails or takes longer than `WAIT_S`: a rule must never cost a call its patience.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import mul
from typing import NamedTuple

import anyio

from orchestra_mcp.errors import ProviderError
from orchestra_mcp.gateway.provider import ChatRequest, Embedder
from orchestra_mcp.gateway.routing.asked import last_question

WAIT_S = 0.3
WARM_S = 120.0
LEAST = 0.35
"""A question is not near an intent whose likeness (a cosine) is less."""
MARGIN = 0.05
"""The best intent has to be nearer than the second by this."""
MAX_CHARS = 2_000
"""Of a question that are compared; embedders read little more."""
MAX_EXAMPLES = 64
"""For each intent."""
NEAREST = 3
"""Intents with the nearest centroids, whose examples are compared one by one."""
REMEMBERED = 512
"""Questions whose intent is remembered: an agent asks with the same last text many times."""

Vector = tuple[float, ...]


class Intent(NamedTuple):
    """What was found: the intent, empty when there is none, and a remark for the receipt."""

    name: str
    remark: str


class _Kind(NamedTuple):
    name: str
    centroid: Vector
    examples: tuple[Vector, ...]


class Intents:
    """Knows intents by their examples; `warm` must have been awaited once, else there are none.

    Args:
        examples: intent → questions of its kind.
        embedder: makes vectors of unit length.
        here: the embedder runs on this machine. Else private questions are not given to it, and have no intent.
        least: see `LEAST`; depends on the embedder.
        margin: see `MARGIN`.
        wait_s: longest time for one question.
    """

    def __init__(
        self,
        examples: Mapping[str, Sequence[str]],
        embedder: Embedder,
        *,
        here: bool,
        least: float = LEAST,
        margin: float = MARGIN,
        wait_s: float = WAIT_S,
    ) -> None:
        self._examples = {name: tuple(texts[:MAX_EXAMPLES]) for name, texts in examples.items() if texts}
        self._embedder = embedder
        self._here = here
        self._least, self._margin, self._wait_s = least, margin, wait_s
        self._kinds: tuple[_Kind, ...] = ()
        self._known: dict[int, Intent] = {}

    @property
    def names(self) -> frozenset[str]:
        """All intents that have examples."""
        return frozenset(self._examples)

    async def warm(self) -> bool:
        """Embed the examples; to be run in the background at the start, and again after it failed.

        Returns:
            Whether intents can be told now.
        """
        texts = [text[:MAX_CHARS] for examples in self._examples.values() for text in examples]
        vectors: Sequence[Vector] = ()
        with anyio.move_on_after(WARM_S):
            try:
                vectors = await self._embedder.embed(tuple(texts))
            except ProviderError:
                return False
        if len(vectors) != len(texts) or len({len(vector) for vector in vectors}) > 1:
            return False
        left = iter(vectors)
        kinds = []
        for name, examples in self._examples.items():
            own = tuple(next(left) for _ in examples)
            kinds.append(_Kind(name, _centroid(own), own))
        self._known.clear()
        self._kinds = tuple(kinds)
        return bool(kinds)

    async def of(self, request: ChatRequest) -> Intent:
        """The intent of a request's last question; never raises, and takes `wait_s` at most."""
        if not self._kinds:
            return Intent("", "no intent: the embedder is not ready")
        if request.private and not self._here:
            return Intent("", "no intent: the question is private and the embedder is not on this machine")
        text = last_question(request)[:MAX_CHARS]
        if not text:
            return Intent("", "no intent: there is no text")
        key = hash(text)  # not the text: what is private is not kept
        known = self._known.get(key)
        if known is not None:
            return known
        vectors: Sequence[Vector] | None = None
        try:
            with anyio.move_on_after(self._wait_s):
                vectors = await self._embedder.embed((text,))
        except ProviderError as error:
            return Intent("", f"no intent: the embedder failed ({error.kind})")
        if vectors is None:
            return Intent("", f"no intent: the embedder took longer than {self._wait_s:g} s")
        if len(vectors) != 1 or len(vectors[0]) != len(self._kinds[0].centroid):
            return Intent("", "no intent: the embedder gave something else than one vector")
        found = self._nearest(vectors[0])
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[key] = found
        return found

    def _nearest(self, vector: Vector) -> Intent:
        by_centroid = sorted(((_dot(vector, kind.centroid), kind) for kind in self._kinds), key=lambda pair: -pair[0])
        likeness = sorted(
            (
                (max(near, *(_dot(vector, example) for example in kind.examples)), kind.name)
                for near, kind in by_centroid[:NEAREST]
            ),
            key=lambda pair: -pair[0],
        )
        best, name = likeness[0]
        if best < self._least:
            return Intent("", f"no intent: {name} is nearest with {best:.2f}, too far")
        if len(likeness) > 1 and best - likeness[1][0] < self._margin:
            return Intent("", f"no intent: {name} and {likeness[1][1]} are about as near ({best:.2f})")
        return Intent(name, f"intent {name} ({best:.2f})")


def _dot(one: Vector, other: Vector) -> float:
    total: float = sum(map(mul, one, other))
    return total


def _centroid(vectors: Sequence[Vector]) -> Vector:
    """The mean, made of unit length again."""
    total = [sum(column) for column in zip(*vectors, strict=True)]
    length = math.sqrt(sum(value * value for value in total)) or 1.0
    return tuple(value / length for value in total)
