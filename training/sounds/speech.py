"""Step 1: clips of synthetic speech. `python training/sounds/speech.py WORK [COUNT]`; clips that are there are kept.

Texts: the wake phrase, words near it, sentences of documentation, and common words in any order.
"""

from __future__ import annotations

import multiprocessing
import random
import re
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import voice_texts as texts
from voice_speech import Voice, speak

COUNT = 17_000
FIRST, SECOND = 7_000, 14_000
"""Of the clips before the first a third has the phrase, which `train.py` mostly leaves out again; of those before the second every sixteenth;
the others have words that differ from the phrase by a sound, and every tenth the phrase."""
ACCENTS = ("en-us", "en-us", "en-us", "en-gb-x-gbclan", "en-029", "en-gb-x-gbcwmd")
VARIANTS = (
    "f1 f3 f5 m1 m3 m5 m7 Andrea Alex john linda Lee Gene Alicia Andy antonio aunty benjamin boris caleb david Denis Diogo ed edward edward2 Gene2 "
    "gustave Henrique Hugo iven iven2 iven3 Jacky kaukovalta marcelo Marco Mario max michel Mike Mr Nguyen norbert pablo paul pedro quincy robert "
    "sandro shelby travis victor zac grandma grandpa klatt klatt2 klatt4"
).split()
LIKE_HEY = (
    "pay day say may way ray lay clay gray stay spray sway hey a eh hay head he hi huh hair had hell hen hex heck help health hang ham happy half hot "
    "home ache eight ate age able air as at an any every"
).split()
LIKE_ORCHESTRA = (
    "orchestra orchestra orchestra orchestra orchestras orchestral orchestrate orchestrated orchestration orchard orphan organ organize order ordinary "
    "oracle orange chorus corner forest august autumn office kestrel fiesta sequester semester minister register ancestor extra ask strap stronger "
    "forecast conquest request breakfast contest context protest"
).split()
AY = (
    "pay day say may way ray lay nay jay fay gay clay gray tray pray stay spray sway slay fray dray brae clay flay they weigh pay day say may way"
).split()
H = "he hi who how had head hi he hoe ha hay her him his has hot".split()
ODD = (
    "orpestra ortestra orchesta orchesna orchespra orchestro orchesty archestra orchella orchelda organza orchestrals orchester orchestrated order "
    "orphans orchids ornament orbiting oregon orlando oracles"
).split()
PHRASE = "hey orchestra"


@cache
def banned() -> frozenset[str]:
    """Words of the near-misses of split `final`, which nothing may be made with."""
    said = (word for phrase in texts.NEAR["final"] for word in re.findall(r"[a-z']+", phrase.lower()))
    return frozenset(said) - {"hey", "orchestra", "the", "or", "her", "he"}


@cache
def common() -> tuple[str, ...]:
    words = (ROOT / "orchestra_mcp/edge/words/common.txt").read_text("utf-8").split()
    return tuple(word for word in words if word.isalpha() and word not in banned())


@cache
def prose() -> tuple[str, ...]:
    return tuple(texts.prose("tune"))


def voice(dice: random.Random) -> Voice:
    engine = dice.random()
    if engine < 0.55:
        name = f"{dice.choice(ACCENTS)}+{dice.choice(VARIANTS)}"
        return Voice("espeak", name, dice.uniform(0.8, 1.3), dice.uniform(0.6, 1.4), dice.uniform(0.9, 1.1))
    if engine < 0.92:
        name = dice.choice(("kal", "kal16", "kal16", "rms", "rms", "rms"))
        return Voice("flite", name, dice.uniform(0.8, 1.3), dice.uniform(0.8, 1.35), dice.uniform(0.88, 1.16))
    return Voice("festival", "kal_diphone", dice.uniform(0.85, 1.25), 1.0, dice.uniform(0.9, 1.13))


def text(dice: random.Random, number: int) -> str:
    at = dice.random()
    question = dice.choice((*texts.QUESTIONS["tune"], *texts.FREE["tune"]))
    words = common()

    def more() -> str:
        return dice.choice(("", f" {' '.join(dice.choices(words, k=2))}", f", {question}"))

    def drawn(among: list[str]) -> str:
        return dice.choice([word for word in among if word not in banned()])

    if number >= SECOND:
        return near(at, drawn, more, dice)
    first = number < FIRST
    # Shares of the kinds of text, one after the other.
    shares = (0.10, 0.28, 0.34, 0.40, 0.44, 0.44, 0.75) if first else (0.02, 0.06, 0.13, 0.20, 0.24, 0.27, 0.65)
    kind = sum(at >= share for share in shares)
    if kind == 0:
        return PHRASE
    if kind == 1:
        return f"{PHRASE}{dice.choice((', ', ' '))}{question}"
    if kind == 2:
        return f"{drawn([*LIKE_HEY, *words[:400]])} orchestra{more()}"
    if kind == 3:
        return f"hey {drawn([*LIKE_ORCHESTRA[4:], *words])}{more()}"
    if kind == 4:
        return (
            dice.choice(texts.NEAR["tune"]) + more() if first else f"{drawn(LIKE_HEY)} {drawn(LIKE_ORCHESTRA)}{more()}"
        )
    if kind == 5:
        return f"{' '.join(dice.choices(words[:800], k=dice.randint(1, 3)))} orchestra{more()}"
    if kind == 6:
        sentence = re.findall(r"[A-Za-z']+", dice.choice(prose()))
        if len(sentence) > 3:
            count = dice.randint(3, min(9, len(sentence)))
            begin = dice.randint(0, len(sentence) - count)
            return " ".join(sentence[begin : begin + count])
    return " ".join(dice.choices(words, k=dice.randint(2, 7)))


def near(at: float, drawn: Callable[[list[str]], str], more: Callable[[], str], dice: random.Random) -> str:
    """Words that differ from the phrase by a sound."""
    if at < 0.5:
        return f"{drawn(AY)} orchestra{more()}"
    if at < 0.62:
        return f"{drawn(H)} orchestra{more()}"
    if at < 0.72:
        before = "a" if dice.random() < 0.5 else dice.choice(common()[:500])
        return f"{before} {drawn([*AY, 'hey'])} orchestra{more()}"
    if at < 0.9:
        return f"hey {drawn(ODD)}{more()}"
    return PHRASE + more()


def make(number: int, place: Path) -> None:
    """One clip."""
    file = place / f"{number:05}.npz"
    if file.exists():
        return
    dice = random.Random(f"train {number}")
    by, said = voice(dice), text(dice, number)
    samples = speak(by, said).samples
    np.savez(file, sound=(samples * 30_000).astype(np.int16), text=said, voice=by.name)


def main() -> None:
    place = Path(sys.argv[1]) / "speech"
    place.mkdir(parents=True, exist_ok=True)
    count = int(sys.argv[2]) if len(sys.argv) > 2 else COUNT
    with multiprocessing.Pool() as pool:
        for done, _ in enumerate(pool.imap_unordered(partial(make, place=place), range(count), chunksize=8), 1):
            if done % 1_000 == 0:
                print(done, flush=True)


if __name__ == "__main__":
    main()
