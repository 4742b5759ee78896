"""Answers to similar questions, on labelled pairs: how many are offered, how many offers are right, what a hit costs.

    python benchmarks/similar.py [--onnx DIR]         # figures, those of the held-out half included
    python benchmarks/similar.py --fit [--onnx DIR]   # fit the weights on the other half, and show only that half

`similar_pairs.jsonl` says in its first line how the pairs were made. Which half a pair is in follows from a hash of it.
Pairs go through the code that a request goes through: `question_of` first, then `judge`. The second table asks a real
cache that holds one question of every held-out pair, where what is near is found by vectors, all topics beside each other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from orchestra_mcp.gateway.caching.cached import Cached
from orchestra_mcp.gateway.caching.judging import (
    FEATURES,
    SERVED,
    family,
    features,
    judge,
    kind_of,
    lower,
    weights_for,
)
from orchestra_mcp.gateway.caching.likeness import compare
from orchestra_mcp.gateway.caching.similar import Similar, question_of
from orchestra_mcp.gateway.embedding import Engine, Recent, onnx, sentence
from orchestra_mcp.gateway.embedding.export import installed_model
from orchestra_mcp.gateway.embedding.lexical import Lexical
from orchestra_mcp.gateway.provider import ChatRequest, Finish, Message, Receipt, TextDelta, Way, fold
from orchestra_mcp.store.replies import SqliteReplies

np: Any = import_module("numpy")
KINDS = ("plain", "filler", "synonym", "reworded")
PAIRS = Path(__file__).with_name("similar_pairs.jsonl")
WEIGHTS = Path(__file__).parent.parent / "orchestra_mcp/gateway/caching/weights.json"
RECALL = {"semantic": 0.67, "lexical": 0.45}
"""Share of the dev half's paraphrases that is to be offered: .6 and some margin for the held-out half. With vectors of
letters, which do not keep strangers away, more than half would be too many wrong offers."""


class Pair(NamedTuple):
    """Two questions."""

    same: bool
    topic: str
    a: str
    b: str

    @property
    def held(self) -> bool:
        """Kept for the final figure."""
        return sha256(f"{self.a}\n{self.b}".encode()).digest()[0] % 2 == 1


def pairs() -> list[Pair]:
    """All of them; the first line of the file is about them."""
    return [Pair(**json.loads(line)) for line in PAIRS.read_text("utf-8").splitlines()[1:]]


def request(text: str) -> ChatRequest:
    way = Way(route="faq", targets=("m",), cache="similar")
    return ChatRequest(model="faq", messages=(Message(role="user", text=text),), way=way, receipt=Receipt())


def auc(good: Sequence[float], bad: Sequence[float]) -> float:
    """Probability that a paraphrase scores above a near-miss."""
    return statistics.fmean((g > b) + 0.5 * (g == b) for g in good for b in bad)


async def cosines(engine: Engine, rows: Sequence[Pair]) -> list[float]:
    texts = list(dict.fromkeys(t for row in rows for t in (row.a, row.b)))
    vectors: dict[str, tuple[float, ...]] = {}
    for i in range(0, len(texts), 64):
        part = tuple(texts[i : i + 64])
        vectors.update(zip(part, await engine.embed(part), strict=True))
    return [sum(x * y for x, y in zip(vectors[row.a], vectors[row.b], strict=True)) for row in rows]


def kin(rows: Sequence[Pair]) -> dict[str, str]:
    """Question → one question that stands for all that are known to mean the same."""
    first: dict[str, str] = {}

    def find(text: str) -> str:
        while first.setdefault(text, text) != text:
            text = first[text]
        return text

    for row in rows:
        a, b = find(row.a), find(row.b)
        if row.same:
            first[a] = b
    return {text: find(text) for text in list(first)}


async def strangers(engine: Engine, rows: Sequence[Pair], count: int = 2) -> list[Pair]:
    """Each `b` with those `a` of other pairs that come nearest to it: what a cache meets most of the time."""
    same = kin(rows)
    one, other = list(dict.fromkeys(r.a for r in rows)), list(dict.fromkeys(r.b for r in rows))
    vectors = [np.array([(await engine.embed((text,)))[0] for text in texts]) for texts in (one, other)]
    near = vectors[1] @ vectors[0].T
    out, known = [], {(r.a, r.b) for r in rows} | {(r.b, r.a) for r in rows}
    for text, line in zip(other, near, strict=True):
        places = [i for i in np.argsort(-line) if same[one[i]] != same[text] and (one[i], text) not in known]
        out += [Pair(False, "", one[i], text) for i in places[:count]]
    return out


# ----------------------------------------------------------------------------------------------- fitting


def regress(x: Any, y: Any, penalty: float = 3.0) -> tuple[Any, float]:
    """Weights and intercept of a logistic regression with an L2 penalty on standardised features (Newton's method)."""
    mean, spread = x.mean(0), x.std(0) + 1e-9
    z = np.c_[(x - mean) / spread, np.ones(len(x))]
    keep = np.full(z.shape[1], penalty)
    keep[-1] = 0
    w = np.zeros(z.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-z @ w))
        gradient = z.T @ (p - y) + keep * w
        hessian = (z * (p * (1 - p))[:, None]).T @ z + np.diag(keep + 1e-9)
        w -= np.linalg.solve(hessian, gradient)
    weights = w[:-1] / spread
    return weights, float(w[-1] - weights @ mean)


def both(x: Any, y: Any, pairs: int, rows: Any = None) -> list[tuple[Any, float]]:
    """Weights against near-misses (negatives among the first rows, the labelled pairs) and against strangers (after)."""
    rows = np.arange(len(y)) if rows is None else rows
    near, far = rows[rows < pairs], rows[(rows >= pairs) | (y[rows] == 1)]
    return [regress(x[part], y[part]) for part in (near, far)]


def crossed(x: Any, y: Any, pairs: int, folds: int = 8) -> Any:
    """Scores of a cross-validation: every row by weights that have not seen it."""
    order = np.random.default_rng(1).permutation(len(y))
    scores = np.ones(len(y))
    for part in range(folds):
        out = order[part::folds]
        for weights, intercept in both(x, y, pairs, np.setdiff1d(order, out)):
            scores[out] /= 1 + np.exp(-(x[out] @ weights + intercept))
    return scores


async def fit(engines: Sequence[Engine]) -> None:
    dev = [row for row in pairs() if not row.held]
    found: dict[str, Any] = {
        "about": "Made by benchmarks/similar.py --fit from the dev half of benchmarks/similar_pairs.jsonl; do not edit."
    }
    for engine in engines:
        name = family(engine.tag)
        if name in found:
            continue
        rows = [*dev, *await strangers(engine, dev)]
        near = await cosines(engine, rows)
        x = np.array([features(compare(r.b, r.a), c) for r, c in zip(rows, near, strict=True)])
        y = np.array([float(r.same) for r in rows])
        parts = dict(zip(("near", "far"), both(x, y, len(dev)), strict=True))
        scores, near = crossed(x, y, len(dev))[: len(dev)], near[: len(dev)]
        y = y[: len(dev)]
        fits = np.array([question_of(request(r.a)) is not None and question_of(request(r.b)) is not None for r in dev])
        best = np.sort(np.where(fits, scores, 0)[y == 1])[::-1]
        least = float(best[int(RECALL[name] * len(best))])
        cosine = float(np.quantile(np.array(near)[y == 1], 0.02))
        found[name] = {
            "engine": engine.tag, "pairs": len(dev), "strangers": len(rows) - len(dev), "auc_cross_validated": round(auc(scores[y == 1], scores[y == 0]), 3),
            "least": round(least, 3), "cosine": round(cosine, 2),
        }  # fmt: skip
        for part, (weights, intercept) in parts.items():
            numbers = [intercept, *map(float, weights)]
            found[name][part] = {f: round(w, 4) for f, w in zip(("intercept", *FEATURES), numbers, strict=True)}
    WEIGHTS.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    weights_for.cache_clear()


# ----------------------------------------------------------------------------------------------- figures


class Scored(NamedTuple):
    """A pair and what the code says of it."""

    pair: Pair
    cosine: float
    score: float
    """0: never offered."""
    kind: str
    frame: float


async def scored(engine: Engine, rows: Sequence[Pair]) -> list[Scored]:
    weights = weights_for(family(engine.tag))
    out = []
    for row, cosine in zip(rows, await cosines(engine, rows), strict=True):
        difference = compare(row.b, row.a)
        fit = question_of(request(row.a)) is not None and question_of(request(row.b)) is not None
        verdict = judge(row.b, row.a, cosine, weights) if fit and cosine >= weights.cosine else None
        out.append(Scored(row, cosine, verdict.score if verdict else 0.0, kind_of(difference), difference.frame))
    return out


def line(name: str, rows: Sequence[Scored], least: float) -> str:
    good = [r for r in rows if r.pair.same]
    bad = [r for r in rows if not r.pair.same]
    hits, wrong = sum(r.score >= least for r in good), sum(r.score >= least for r in bad)
    bare = auc([r.cosine for r in good], [r.cosine for r in bad])
    ours = auc([r.score for r in good], [r.score for r in bad])
    precision = f"{hits / (hits + wrong):.3f} (≥ {lower(hits, hits + wrong):.2f})" if hits + wrong else "-"
    return (
        f"| {name} | {len(good)}/{len(bad)} | {bare:.2f} | {ours:.3f} | {hits / max(1, len(good)):.2f} | {precision} |"
    )


def served(dev: Sequence[Scored], held: Sequence[Scored], least: float) -> list[str]:
    """What would be served of the held-out half, in three readings.

    Distinct: every pair of the dev half is judged once, as the code counts them. Carried over: as if a workspace had
    made 1,000 offers of each class like those of the dev half, and its trust were used for the held-out half: what
    *not* to do, trust belongs to one scope. Grown: workspaces whose questions are drawn from the held-out half, each
    draw a pair of its own, every offer judged, until 20,000 questions were asked; means over 50 of them.
    """
    dice = random.Random(5)
    lines = []
    for name in ("distinct", "carried over"):
        kinds = []
        for kind in KINDS:
            judged = [r.pair.same for r in dev if r.kind == kind and r.score >= least]
            if name == "carried over" and judged:
                judged = [dice.choice(judged) for _ in range(1000)]
            if lower(sum(judged), len(judged)) >= SERVED:
                kinds.append(kind)
        shown = [r for r in held if r.kind in kinds and r.score >= least]
        right, all_right = sum(r.pair.same for r in shown), sum(r.pair.same for r in held)
        precision = f"{right / len(shown):.3f} (≥ {lower(right, len(shown)):.2f})" if shown else "-"
        lines.append(
            f"| {name} | {', '.join(kinds) or 'none'} | {len(shown)} | {right / all_right:.2f} | {precision} |"
        )
    grown = [grow(held, least, dice) for _ in range(50)]
    count, right, possible = (sum(numbers) for numbers in zip(*(run[:3] for run in grown), strict=True))
    opened = sorted({kind for run in grown for kind in run[3]})
    worst = min((run[1] / run[0] for run in grown if run[0]), default=1.0)
    precision = f"{right / count:.4f}, worst workspace {worst:.4f}" if count else "-"
    lines.append(f"| grown | {', '.join(opened) or 'none'} | {count / 50:.0f} | {right / possible:.2f} | {precision} |")
    return lines


def grow(held: Sequence[Scored], least: float, dice: random.Random) -> tuple[int, int, int, set[str]]:
    """One workspace: answers served, how many of them were right, questions that had a right answer, trusted classes."""
    right, judged = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
    count = good = possible = 0
    kinds = set()
    for row in dice.choices(held, k=20_000):
        possible += row.pair.same
        if row.score < least:
            continue
        trusted = lower(right[row.kind], judged[row.kind]) >= SERVED
        if trusted and dice.random() >= 0.02:
            kinds.add(row.kind)
            count += 1
            good += row.pair.same
        else:
            judged[row.kind] += 1
            right[row.kind] += row.pair.same
    return count, good, possible, kinds


class Says:
    """Answers every question with itself."""

    async def chat(self, request: ChatRequest) -> Any:
        yield TextDelta(text=request.messages[-1].text)
        yield Finish(reason="stop")


async def in_one_cache(engine: Engine, rows: Sequence[Pair]) -> tuple[float, float, float, float]:
    """Recall and precision of offers, and milliseconds of CPU and of time for one look, with all `a` in one cache."""
    with tempfile.TemporaryDirectory() as home:
        replies = SqliteReplies(Path(home))
        tasks: list[asyncio.Task[None]] = []
        similar = Similar(
            engine, replies, begin=lambda f, *a: tasks.append(asyncio.create_task(f(*a))), dice=lambda: 1.0
        )
        gateway = Cached(Says(), replies, similar=similar)
        for row in rows:
            await fold(gateway, request(row.a))
            await asyncio.gather(*tasks)
            tasks.clear()
        await replies.flush()
        answers = {row.a for row in rows}
        same = kin(rows)
        right = offered = asked = 0
        wall, cpu = time.perf_counter(), time.process_time()
        for row in rows:
            if row.b in answers:  # would be an exact hit
                continue
            ask = request(row.b).model_copy(update={"cache": request("").cache.model_copy(update={"write": False})})
            await fold(gateway, ask)
            asked += row.same
            if ask.receipt.offer:
                offered += 1
                right += row.same and same[ask.receipt.offer["question"]] == same[row.a]
        n = len(rows)
        cost = (time.process_time() - cpu) / n * 1000, (time.perf_counter() - wall) / n * 1000
        await replies.aclose()
    return right / asked, right / max(1, offered), *cost


async def main(given: argparse.Namespace) -> None:
    engines: list[Engine] = []
    if given.onnx and onnx.installed():
        engines.append(Recent(onnx.Onnx(given.onnx)))
    if not given.quick and sentence.installed() and (place := installed_model()) is not None:
        engines.append(Recent(sentence.Sentence(place)))
    engines.append(Recent(Lexical()))
    for engine in engines:
        await engine.embed(("warm up",))
    if given.fit:
        await fit(engines)
    everything = pairs()
    dev, held = [p for p in everything if not p.held], [p for p in everything if p.held]
    for engine in engines:
        weights = weights_for(family(engine.tag))
        print(f"\n{engine.tag}: offered from score {weights.least}, looked at from cosine {weights.cosine}\n")
        print(
            "| pairs | same/not | AUC cosine | AUC | offered: recall | offered: precision (95 %) |\n|---|---|---|---|---|---|"
        )
        seen = await scored(engine, dev)
        print(line("dev (fitted on them)", seen, weights.least))
        if given.fit:
            recall, precision, *_ = await in_one_cache(engine, dev)
            print(f"\nall dev questions in one cache: recall {recall:.2f}, precision {precision:.2f}")
            continue
        final = await scored(engine, held)
        print(line("held out", final, weights.least))
        for name, part in (
            ("reworded", [r for r in final if r.frame < 0.4]),
            ("edited", [r for r in final if r.frame >= 0.4]),
        ):
            print(line(f"held out, {name}", part, weights.least))
        code = [r for r in final if r.pair.topic not in ("general",)]
        print(line("held out, developers' questions", code, weights.least))
        print("\n| judged offers | classes served | served | recall | precision (95 %) |\n|---|---|---|---|---|")
        print("\n".join(served(seen, final, weights.least)))
        fresh = Recent(engine.inner, most=1) if isinstance(engine, Recent) else engine  # no vector is remembered
        recall, precision, cpu, wall = await in_one_cache(fresh, held)
        print(f"\nall held-out questions in one cache: recall {recall:.2f}, precision {precision:.2f}")
        print(f"one question, its vector made anew: {wall:.1f} ms, {cpu:.1f} ms of CPU in this process")
    for engine in engines:
        await engine.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--quick", action="store_true", help="without sentence-transformers, which takes long to load")
    parser.add_argument("--onnx", type=Path, help="directory that orchestra_mcp.gateway.embedding.export has made")
    sys.exit(asyncio.run(main(parser.parse_args())))
