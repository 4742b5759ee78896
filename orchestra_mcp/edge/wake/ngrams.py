"""A small language model out of weighted sentences, as the text that pocketsphinx reads.

Words are counted in threes, and a share of each count's mass is given to what was not seen (linear discounting with back-off:
Katz, "Estimation of probabilities from sparse data", IEEE ASSP 35, 1987; the weights are the only thing that is added).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

UNSEEN: Final = 0.1
"""Share of the mass that is left for words that never followed these."""
LEAST: Final = 1e-9
NEVER: Final = 1e-30
"""The share of what is forbidden: a logarithm needs some."""

Row = tuple[float, tuple[str, ...]]
"""Weight and words of a sentence."""


def arpa(rows: Iterable[Row], never: tuple[str, str] | None = None) -> str:
    """The model in the ARPA format; every weight is more than 0.

    Args:
        never: two words that must not follow one another.
    """
    one: dict[str, float] = defaultdict(float)
    two: dict[tuple[str, str], float] = defaultdict(float)
    three: dict[tuple[str, str, str], float] = defaultdict(float)
    after_one: dict[str, float] = defaultdict(float)
    after_two: dict[tuple[str, str], float] = defaultdict(float)
    for weight, words in rows:
        said = ("<s>", *words, "</s>")
        for at, word in enumerate(said):
            one[word] += weight
            if at:
                two[said[at - 1], word] += weight
                after_one[said[at - 1]] += weight
            if at > 1:
                three[said[at - 2], said[at - 1], word] += weight
                after_two[said[at - 2], said[at - 1]] += weight
    total = sum(one.values()) - one["<s>"]
    single = {word: weight / total for word, weight in one.items()}
    pairs = {pair: weight / after_one[pair[0]] * (1 - UNSEEN) for pair, weight in two.items()}
    if never is not None and never[0] in after_one and never[1] in single:
        pairs[never] = 0.0
    seen_one: dict[str, float] = defaultdict(float)
    for before, word in pairs:
        seen_one[before] += single[word]
    back_one = {word: UNSEEN / max(LEAST, 1 - seen_one[word]) for word in after_one}
    threes = {row: weight / after_two[row[:2]] * (1 - UNSEEN) for row, weight in three.items()}
    seen_two: dict[tuple[str, str], float] = defaultdict(float)
    for row in threes:
        seen_two[row[:2]] += pairs[row[1:]]
    back_two = {pair: UNSEEN / max(LEAST, 1 - seen_two[pair]) for pair in after_two}
    text = ["\\data\\", f"ngram 1={len(single)}", f"ngram 2={len(pairs)}", f"ngram 3={len(threes)}", "", "\\1-grams:"]
    text += [
        f"{-99.0 if word == '<s>' else _log(single[word]):.4f} {word} {_log(back_one.get(word, 1.0)):.4f}"
        for word in sorted(single)
    ]
    text += ["", "\\2-grams:"]
    text += [f"{_log(pairs[pair]):.4f} {' '.join(pair)} {_log(back_two.get(pair, 1.0)):.4f}" for pair in sorted(pairs)]
    text += ["", "\\3-grams:", *(f"{_log(threes[row]):.4f} {' '.join(row)}" for row in sorted(threes))]
    return "\n".join([*text, "", "\\end\\", ""])


def _log(share: float) -> float:
    return math.log10(max(share, NEVER))
