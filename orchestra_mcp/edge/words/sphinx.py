"""The embedded engine at work: pocketsphinx over the templates, with the names of one project. Blocking; see `child.py`.

Two language models hear the same sound. One knows the templates and nothing else, so it always finds some question; the other
strings together any of the commonest words, so it comes near to whatever was said. Both results are aligned with the
sound, and how much better the second fits, per frame, tells how far the first may be believed (a likelihood ratio against a
background model: Rose and Paul, "A hidden Markov model based keyword recognition system", ICASSP 1990).

Both are class models: templates are counted with their slots (`why is [identifier] [state]`), and the words of a class share
its probability, so that a project's three hundred names cost a fraction of a second.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, product
from pathlib import Path
from typing import Any, Final

from orchestra_mcp.edge.nouns import Vocabulary
from orchestra_mcp.edge.wake.pronunciation import model_directory, pronounce, spoken
from orchestra_mcp.edge.words import templates
from orchestra_mcp.edge.words.common import common_words
from orchestra_mcp.edge.words.decoded import Decoded, Word
from orchestra_mcp.edge.words.pronouncing import Pronouncer

FRAMES: Final = 100
"""Per second."""
_QUICK: Final = {"fwdflat": False, "bestpath": False, "maxhmmpf": 2000, "maxwpf": 20}
"""Of the common words only the sound's fit counts, so that their second and third passes can be saved."""
_RIVALRY: Final = 40
"""So many near words together are as likely as one command."""
COMMON: Final = 1500
"""Common words that compete with the templates."""
SILENT: Final = ("<s>", "</s>", "<sil>", "[NOISE]", "[SPEECH]")
COPIES: Final = 40
"""How often the sentences of commands are counted, since there are so few."""
_ACCENTS: Final = 24
_PEAK: Final = 16_384.0
_NOISE: Final = 50.0
"""Of full scale 32768: 50 dB below the peak."""
_FAINT: Final = 30.0
_SEED: Final = 7
_LOUDNESS: Final = 20
"""Keeps the rarest of the common words possible: weights are 1 / (rank + this)."""


class Model:
    """The engine with one project's names. Building takes about half a second.

    Args:
        phrase: the wake phrase, which may come first.
        vocabulary: the names.

    Raises:
        VoiceError: pocketsphinx is not installed.
    """

    def __init__(self, phrase: str, vocabulary: Vocabulary) -> None:
        model = model_directory()
        import pocketsphinx

        self._lexicon = _Lexicon(Pronouncer())
        self._lexicon.fill(phrase, vocabulary)
        have = set(self._lexicon.classes) - {"any", "near"}
        questions = _possible(templates.sentences(), have)
        orders = {tuple(said.split()): name for name, each in templates.COMMANDS.items() for said in each}
        self._grammar = templates.Grammar(questions)
        self._orders = orders
        for word in {word for sentence in (*questions, *orders) for word in sentence if word[0] != "["}:
            self._lexicon.literal(word)
        with tempfile.TemporaryDirectory(prefix="orchestra-words-") as place:
            files = Path(place)
            _write_model(files / "question.lm", (*questions, *(order for order in orders for _ in range(COPIES))))
            rivals = (("[near]",),) * (len(self._lexicon.classes["near"]) // _RIVALRY)
            _write_model(files / "order.lm", (*orders, *rivals))
            _write_model(
                files / "any.lm", [("[any]",) * n for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16)], wake=False
            )
            self._lexicon.write(files / "words.dict", files / "words.classes")
            named = " ".join(f"[{name}]" for name in sorted(have))
            (files / "models.ctl").write_text(
                "{ words.classes }\n"
                f"question.lm question {{ {named} }}\norder.lm order {{ [near] [wake] }}\nany.lm any {{ [any] }}\n",
                "utf-8",
            )
            given = {
                "hmm": str(model / "en-us"), "dict": str(files / "words.dict"), "lmctl": str(files / "models.ctl"),
                "cmn": "batch", "loglevel": "FATAL",
            }  # fmt: skip
            self._decoder: Any = pocketsphinx.Decoder(lmname="question", **given)
            self._rival: Any = pocketsphinx.Decoder(lmname="any", **given, **_QUICK)
            # Scores only compare where every sound is scored in every frame, which would double the time of a search.
            self._scorer: Any = pocketsphinx.Decoder(lmname="any", compallsen=True, **given)

    def hear(self, pcm: bytes, *, order: bool = False) -> Decoded | None:
        """The likeliest template for some sound, and how likely; None where there is none.

        Args:
            order: only commands are expected.
        """
        pcm = prepared(pcm)
        best = _decode(self._decoder, pcm, "order" if order else "question")
        if best is None:
            return None
        tokens = [token for token, *_ in best if token not in SILENT]
        if not tokens or not self._known(tokens):
            return self._unfit(tokens, len(pcm) / 32_000)
        mine = _aligned(self._decoder, self._scorer, pcm)
        theirs = _aligned(self._rival, self._scorer, pcm) if _decode(self._rival, pcm, "any") else None
        return self._compared(best, mine, theirs, len(pcm) / 32_000) if mine else None

    def _known(self, tokens: list[str]) -> bool:
        shapes = self._shapes(tokens)
        return tuple(shapes) in self._orders or self._grammar.parses(shapes)

    def _shapes(self, tokens: list[str]) -> list[str]:
        """Words of classes by their class, without the wake phrase."""
        meant = [self._lexicon.meaning(token) for token in tokens]
        return [f"[{kind}]" if kind else text for text, kind in meant if kind != "wake"]

    def _unfit(self, tokens: list[str], length: float) -> Decoded:
        words = tuple(Word(*self._lexicon.meaning(token), 0, 0.0, 0.0, 0.0, 0) for token in tokens)
        return Decoded(words, gap=0.0, score=0.0, any_score=0.0, parsed=False, command="", silence=0.0, seconds=length)

    def _compared(
        self, best: list[tuple[str, int, float]], fit: _Aligned, other: _Aligned | None, length: float
    ) -> Decoded | None:
        spoken = [word for word in fit.words if word[0] not in SILENT]
        spoken_any = [word for word in other.words if word[0] not in SILENT] if other else []
        if not spoken:
            return None
        mine, theirs = fit.cost(), other.cost() if other else fit.cost()
        posteriors = {start: share for token, start, share in best if token not in SILENT}
        words = []
        for token, start, frames, score in spoken:
            text, kind = self._lexicon.meaning(token)
            gap = (theirs(start, start + frames) - mine(start, start + frames)) / max(1, frames)
            near = posteriors[min(posteriors, key=lambda at: abs(at - start))]
            phones = fit.count(start, start + frames)
            words.append(Word(text, kind, frames, score / max(1, frames), gap, near, phones))
        begin = min(word[1] for word in (*spoken, *spoken_any))
        end = max(word[1] + word[2] for word in (*spoken, *spoken_any))
        inner = spoken[-1][1] + spoken[-1][2] - spoken[0][1] - sum(word[2] for word in spoken)
        shapes = self._shapes([token for token, *_ in spoken])
        return Decoded(
            words=tuple(words),
            gap=(theirs(begin, end) - mine(begin, end)) / max(1, end - begin),
            score=mine(begin, end) / max(1, end - begin),
            any_score=theirs(begin, end) / max(1, end - begin),
            parsed=self._grammar.parses(shapes),
            command=self._orders.get(tuple(shapes), ""),
            silence=inner / FRAMES,
            seconds=length,
        )


def _decode(decoder: Any, pcm: bytes, search: str) -> list[tuple[str, int, float]] | None:
    """The words of the best reading, where they begin, and their posteriors."""
    decoder.activate_search(search)
    _process(decoder, pcm)
    if decoder.hyp() is None:
        return None
    return [(_plain(each.word), each.start_frame, each.prob) for each in decoder.seg()]


def _aligned(decoder: Any, scorer: Any, pcm: bytes) -> _Aligned | None:
    """How a decoder's last reading fits, state by state. It is left in a search for the alignment."""
    decoder.set_alignment()
    scorer.set_alignment(decoder.get_alignment())
    _process(scorer, pcm)
    alignment = scorer.get_alignment()
    if alignment is None:
        return None
    return _Aligned(
        [(_plain(each.name), each.start, each.duration, each.score) for each in alignment.words()],
        [(each.start, each.duration, each.score) for each in alignment.states()],
        [each.start for each in alignment.phones()],
    )


def _process(decoder: Any, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, False, True)
    decoder.end_utt()


def prepared(pcm: bytes) -> bytes:
    """The sound at an even level, over a faint noise: absolute silence, which no microphone gives, disturbs the features."""
    import numpy

    sound = numpy.frombuffer(pcm[: len(pcm) // 2 * 2], numpy.int16).astype(numpy.float32)
    peak = float(numpy.abs(sound).max()) if len(sound) else 0.0
    if peak < _FAINT:
        return pcm
    noise = numpy.random.default_rng(_SEED).standard_normal(len(sound)).astype(numpy.float32) * _NOISE
    even: bytes = (sound * (_PEAK / peak) + noise).clip(-32768, 32767).astype(numpy.int16).tobytes()
    return even


@dataclass(frozen=True, slots=True)
class _Aligned:
    words: list[tuple[str, int, int, int]]
    states: list[tuple[int, int, int]]
    phones: list[int]

    def cost(self) -> Any:
        """A function that tells the score of the frames from one to another."""
        each = [score / max(1, frames) for _, frames, score in self.states for _ in range(frames)]
        sums = [0.0, *accumulate(each)]
        last = len(sums) - 1
        return lambda start, end: sums[min(end, last)] - sums[min(start, last)]

    def count(self, start: int, end: int) -> int:
        """How many phones begin in some frames."""
        return bisect_right(self.phones, end - 1) - bisect_right(self.phones, start - 1)


class _Lexicon:
    """The words of a model: their sounds, their classes, and what they stand for."""

    def __init__(self, pronouncer: Pronouncer) -> None:
        self._pronouncer = pronouncer
        self._sounds: dict[str, tuple[str, ...]] = {}
        self._texts: dict[str, tuple[str, str]] = {}
        self.classes: dict[str, list[tuple[str, float]]] = {}

    def fill(self, phrase: str, vocabulary: Vocabulary) -> None:
        self.member("wake", phrase, 1, _accents(phrase))
        if vocabulary.project:
            self.member("project", vocabulary.project, 1, self._pronouncer.ways(vocabulary.project))
        for kind in templates.CLASSES:
            for word in templates.members(kind):
                self.member(kind, word, 1, self._pronouncer.ways(word))
        for kind, names in zip(
            templates.PROJECT_CLASSES, (vocabulary.identifiers, vocabulary.files, vocabulary.branches), strict=True
        ):
            taken: set[tuple[str, ...]] = set()
            for rank, name in enumerate(names):
                base = name.rsplit("/", 1)[-1] if kind == "file" else name
                ways = self._pronouncer.ways(base)
                if kind == "file" and len(stem := base.rsplit(".", 1)[0]) > 3:
                    ways += self._pronouncer.ways(stem)
                if ways and ways not in taken and len(ways[0].split()) > 2:
                    taken.add(ways)
                    self.member(kind, base, 1 / (rank + _LOUDNESS), ways)
        for word, way in self._near():
            self.member("near", word, 1, (way,))
        for rank, word in enumerate(common_words()[:COMMON]):
            self.member("any", word, 1 / (rank + _LOUDNESS), self._pronouncer.ways(word))

    def member(self, kind: str, text: str, weight: float, ways: tuple[str, ...]) -> None:
        if ways:
            listed = self.classes.setdefault(kind, [])
            token = f"{len(listed)}@{kind}"
            listed.append((token, weight))
            self._sounds[token] = ways
            self._texts[token] = (text, kind)

    def _near(self) -> Iterator[tuple[str, str]]:
        """Common words that differ from a command of one word by one sound, such as `guess` and `mess` from `yes`."""
        alone = {word for each in templates.COMMANDS.values() for word in each if " " not in word}
        orders = {way for word in alone for way in self._pronouncer.ways(word)}
        around = {variant for way in orders for variant in _variants(way)}
        for word in common_words():
            ways = self._pronouncer.listed(word)
            if ways and orders.isdisjoint(ways) and not around.isdisjoint(_variants(ways[0])):
                yield word, ways[0]

    def literal(self, word: str) -> None:
        self._sounds[word] = self._pronouncer.ways(word)
        self._texts[word] = (word, "")

    def meaning(self, token: str) -> tuple[str, str]:
        """A word as it is written, and its class."""
        return self._texts.get(token, (token, ""))

    def write(self, dictionary: Path, classes: Path) -> None:
        rows = [
            f"{token}{f'({number})' if number > 1 else ''} {way}\n"
            for token, ways in self._sounds.items()
            for number, way in enumerate(ways, 1)
        ]
        dictionary.write_text("".join(rows), "utf-8")
        parts = []
        for name, listed in self.classes.items():
            total = sum(weight for _, weight in listed)
            shares = "".join(f"{token} {weight / total:.8f}\n" for token, weight in listed)
            parts.append(f"LMCLASS [{name}]\n{shares}END [{name}]\n\n")
        classes.write_text("".join(parts), "utf-8")


def _variants(way: str) -> set[str]:
    """A pronunciation with any one sound taken out, left open, or put in somewhere: two that differ by one sound share one."""
    sounds = way.split()
    places = range(len(sounds))
    opened = {" ".join((*sounds[:at], "*", *sounds[at + 1 :])) for at in places}
    return opened | {" ".join((*sounds[:at], "*", *sounds[at:])) for at in range(len(sounds) + 1)}


def _accents(phrase: str) -> tuple[str, ...]:
    """The wake phrase as people with different accents say it."""
    each = [
        tuple(dict.fromkeys(" ".join(way) for known in pronounce(word) for way in spoken(known)))
        for word in phrase.split()
    ]
    return tuple(" ".join(way) for way in islice(product(*each), _ACCENTS))


def _possible(sentences: Iterable[tuple[str, ...]], have: set[str]) -> tuple[tuple[str, ...], ...]:
    """Those whose slots can be filled."""
    slots = {f"[{name}]" for name in have}
    return tuple(one for one in sentences if all(word[0] != "[" or word in slots for word in one))


def _write_model(path: Path, sentences: Sequence[tuple[str, ...]], *, wake: bool = True) -> None:
    from pocketsphinx.lm import ArpaBoLM

    said = [" ".join(sentence) for sentence in sentences]
    lines = [f"<s> {one} </s>" for one in said] + [f"<s> [wake] {one} </s>" for one in said if wake]
    model = ArpaBoLM(text="\n".join(lines))
    model.compute()
    with path.open("w", encoding="utf-8") as file:
        model.write(file)


def _plain(token: str) -> str:
    return token.rsplit("(", 1)[0] if token.endswith(")") else token
