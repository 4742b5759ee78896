"""The likeliest words for some features of a speech model: a search with a beam. Blocking; pure but for the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from orchestra_mcp.edge.acoustic.tokens import END
from orchestra_mcp.edge.words.likely import NOWHERE, Likely, Place

if TYPE_CHECKING:
    from orchestra_mcp.edge.acoustic.moonshine import Floats, Moonshine

WIDTH: Final = 4
"""Texts that are followed at a time. One: of synthetic questions .37 of the words are wrong, with four .32."""
TRIED: Final = 24
"""Tokens that a text may go on with."""


def bare_words(text: str) -> tuple[str, ...]:
    """The words of a text, in small letters and without marks."""
    return tuple("".join(letter if letter.isalnum() or letter == "'" else " " for letter in text.lower()).split())


@dataclass(frozen=True, slots=True)
class Found:
    """A text that fits the sound."""

    text: str = field(repr=False)
    score: float
    """How likely it is, as a natural logarithm, with what its words are worth here."""
    logprobs: tuple[float, ...]
    """How likely each token is, the end's included; those of a given beginning not."""
    complete: bool = True
    """False when it ended only because it grew too long."""


@dataclass(frozen=True, slots=True)
class _Text:
    score: float = 0.0
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    place: Place = NOWHERE


def search(
    model: Moonshine,
    hidden: Floats,
    likely: Likely,
    *,
    beginning: str = "",
    most: int = 200,
    width: int = WIDTH,
    given_up: Callable[[], bool] = lambda: False,
) -> tuple[Found, ...]:
    """What may have been said, the likeliest first; none for no features, or when it was given up.

    Args:
        hidden: features of some sound.
        beginning: what was said first, as is known; it is not in the results.
        most: tokens.
        given_up: whether nobody waits for it any more; it is asked before each step of the decoder.
    """
    if not len(hidden) or given_up():
        return ()
    state = model.begin(hidden, model.tokens.of(beginning))
    texts, ended = [_Text()], list[_Text]()
    for _ in range(most):
        grown: list[tuple[float, int, _Text]] = []
        for row, text in enumerate(texts):
            logprobs = state.logprobs[row]
            for token in logprobs.argpartition(-TRIED)[-TRIED:].tolist():
                logprob = float(logprobs[token])
                if token == END:
                    ended.append(_Text(text.score + logprob - text.place.lent, text.tokens, (*text.logprobs, logprob)))
                    continue
                place, gain = likely.after(text.place, token)
                score = text.score + logprob + gain
                grown.append((score, row, _Text(score, (*text.tokens, token), (*text.logprobs, logprob), place)))
        grown = sorted(grown, key=lambda one: -one[0])[:width]
        ended = sorted(ended, key=lambda one: -one.score)[:width]
        if not grown or (ended and ended[0].score > grown[0][0]):
            break
        if given_up():
            return ()
        texts = [text for _, _, text in grown]
        state = model.follow(state, [row for _, row, _ in grown], [text.tokens[-1] for text in texts])
    written = [Found(model.tokens.text(one.tokens).strip(), one.score, one.logprobs) for one in ended]
    if written:
        return tuple(written)
    return tuple(Found(model.tokens.text(one.tokens).strip(), one.score, one.logprobs, complete=False) for one in texts)


def agreed(found: Sequence[Found], meaning: Callable[[str], object] = bare_words) -> float:
    """How much of the likelihood of all that was found is on what means the same as the first, which need not be the likeliest.

    Args:
        meaning: of a text; its words, if nothing is said.
    """
    top, meant = found[0], meaning(found[0].text)
    weights = [math.exp(one.score - top.score) for one in found]
    return sum(w for w, one in zip(weights, found, strict=True) if meaning(one.text) == meant) / sum(weights)
