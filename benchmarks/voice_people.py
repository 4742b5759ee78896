"""How does the wake phrase fare with people? Recordings of actors and speakers through the product's own ear and spotter.

    python benchmarks/voice_people.py [PEOPLE] [--quick] [--all] [--only false,phrases] [--jobs N] [--log FILE]

PEOPLE is the folder that `people_make.py` made (which says how and under which licences); else ORCHESTRA_BENCH/people.

a. `false`: nobody in them says "hey orchestra". Clips of a source, one after another with pauses of .6 to 2 s, are heard for a quarter
   of an hour (--all: all of them); how often that wakes, at three sensitivities.
b. `phrases`: nobody in them says "hey orchestra", but a clip's first two to four words are a phrase as well, where they are all in the
   dictionary and have 3 syllables and 8 to 12 sounds, as "hey orchestra" has 4 and 10. A spotter made for them should find them
   in this clip and not in three others. Nobody says these words as a call: they run on into the sentence, which is harder.

Both are heard as they are and with pink noise 15 dB below the voice; every clip is brought to the same level before, so that this holds
for each. No codec is between. The spotter never wakes here: what the phrase cost at the least in each stretch of speech tells at which
sensitivities it would have. After a real wake the ear listens to the question for a while in place of the next stretches.

The sounds of the spotter were trained on `queen`, which is told apart; on no other of these people. Moonshine, whose features they are made of,
was trained on recordings of people that are not told one by one. Read speech, acting and one telephone voice are not talk at a table.
Intervals are of 95 %: Wilson's of shares, Garwood's of counts.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import sys
import time
import wave
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import voice_sound as sound
from people_make import folder
from voice_figures import quantile, rate, share, table
from voice_speech import RATE, Samples

from orchestra_mcp.edge.acoustic import pronunciation as say
from orchestra_mcp.edge.acoustic.moonshine import moonshine
from orchestra_mcp.edge.calibration import Gauge
from orchestra_mcp.edge.wake.spotter import Spotter, bound_at

PHRASE = "hey orchestra"
TRAINED = ("queen",)
UNSURE = ("drascula",)
"""Texts that are not what is said."""
STEPS = (0.25, 0.5, 0.75)
NOISES: tuple[float, ...] = (math.inf, 15.0)
"""Decibels between voice and noise."""
LEVEL = 10 ** (-26 / 20)
"""Of what is spoken, of full scale."""
PAUSES_S = (0.6, 2.0)
MINUTE_S = 60
HEARD_S = 2.5
"""Of a clip in `phrases`: the phrase is at its beginning."""
OTHERS = 3
WORST = 8


@dataclass(frozen=True, slots=True)
class Recording:
    """One clip of somebody."""

    file: str
    source: str
    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Job:
    """Some clips, one after another, and the phrases that are listened for."""

    clips: tuple[Recording, ...]
    noise_db: float
    phrases: tuple[str, ...]
    longest_s: float | None
    """Of each clip; None: all of it."""
    home: Path
    seed: str


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a job."""

    job: Job
    seconds: float
    prices: tuple[tuple[tuple[float, str], ...], ...]
    """For each phrase: of each stretch the price, and in which file it was."""


def heard(job: Job) -> Heard:
    """Hears a job. The features of the same sound are made once for all phrases."""
    pcm, begins = _laid(job)
    kept: dict[bytes, Samples] = {}
    model = moonshine()
    encode = type(model).encode

    def once(samples: Samples) -> Samples:
        key = samples.tobytes()
        if key not in kept:
            kept[key] = encode(model, samples)
        return kept[key]

    if len(job.phrases) > 1:
        vars(model)["encode"] = once
    try:
        every = [Gauge(Spotter(phrase)).stretches(pcm) for phrase in job.phrases]
    finally:
        vars(model).pop("encode", None)
    prices = tuple(
        tuple((one.cost, _file_at(begins, one.at_s)) for one in found if one.cost < math.inf) for found in every
    )
    return Heard(job, len(pcm) / 2 / RATE, prices)


def _laid(job: Job) -> tuple[bytes, list[tuple[float, str]]]:
    """The sound of a job, and when which file begins in it."""
    dice = random.Random(job.seed)
    pieces, begins, at = [np.zeros(RATE, np.float32)], [], RATE
    for clip in job.clips:
        samples = _samples(job.home / clip.file)[: job.longest_s and round(job.longest_s * RATE)]
        power = sound.active_power(samples)
        begins.append((at / RATE, clip.file))
        pause = np.zeros(round(dice.uniform(*PAUSES_S) * RATE), np.float32)
        pieces += [samples * np.float32(LEVEL / math.sqrt(power) if power else 0.0), pause]
        at += len(samples) + len(pause)
    speech = np.concatenate(pieces)
    noise = (
        None if job.noise_db == math.inf else sound.stretch(sound.pink()[sound.PINK_S * RATE // 2 :], len(speech), dice)
    )
    return sound.pcm_of(sound.mixed(speech, noise, job.noise_db, dice)), begins


def _samples(file: Path) -> Samples:
    with wave.open(str(file), "rb") as opened:
        return np.frombuffer(opened.readframes(opened.getnframes()), "<i2").astype(np.float32) / np.float32(32_768)


def _file_at(begins: Sequence[tuple[float, str]], at_s: float) -> str:
    return max((one for one in begins if one[0] <= at_s + 0.5), default=begins[0])[1]


def recordings(home: Path) -> list[Recording]:
    """All of the folder; those whose text has the phrase are left out.

    Raises:
        SystemExit: there is no such folder; how to make it.
    """
    index = home / "index.jsonl"
    if not index.is_file():
        raise SystemExit(
            f"There are no recordings of people in {home}: python benchmarks/people_make.py --help says how."
        )
    rows = [json.loads(line) for line in index.read_text("utf-8").splitlines()]
    found = [Recording(row["file"], row["source"], row["text"] or "", row["seconds"]) for row in rows]
    clean = [one for one in found if PHRASE not in " ".join(re.findall(r"[a-z']+", one.text.lower()))]
    print(f"{len(found)} recordings, {sum(bool(one.text) for one in found)} with text; "
          f'{len(found) - len(clean)} with "{PHRASE}" in it')  # fmt: skip
    return clean


def phrase_of(text: str) -> str:
    """The fewest first words that make a wake phrase; none: an empty one."""
    words = re.findall(r"[a-z']+", re.split(r"[.!?…;]", text.lower())[0])
    known = say.dictionary()
    for count in (2, 3, 4):
        first = words[:count]
        if len(first) == count and all(word in known for word in first):
            phones = [phone for word in first for phone in known[word]]
            if 8 <= len(phones) <= 12 and say.syllables(tuple(phones)) >= 3:
                return " ".join(first)
    return ""


def sources(every: Sequence[Recording]) -> Iterator[tuple[str, list[Recording]]]:
    """Those that nobody was trained on first."""
    for source in sorted({one.source for one in every}, key=lambda name: (name in TRAINED, name)):
        yield source, [one for one in every if one.source == source]


def minutes(clips: Sequence[Recording], noise_db: float, longest_s: float, home: Path) -> Iterator[Job]:
    """Clips in any order, about a minute to a job, until there is enough of them."""
    order, total, some = list(clips), 0.0, list[Recording]()
    random.Random(clips[0].source).shuffle(order)
    for number, clip in enumerate(order):
        some.append(clip)
        last = total + sum(one.seconds for one in some) >= longest_s or number == len(order) - 1
        if last or sum(one.seconds + sum(PAUSES_S) / 2 for one in some) >= MINUTE_S:
            yield Job(tuple(some), noise_db, (PHRASE,), None, home, f"{some[0].file} {noise_db}")
            total, some = total + sum(one.seconds for one in some), []
        if last:
            return


def show_false(
    every: Sequence[Recording], home: Path, longest_s: float, pool: ProcessPoolExecutor, log: Path | None
) -> None:
    """Table: false wakes per hour."""
    for noise_db in NOISES:
        rows, sums, hours = list[tuple[str, ...]](), [0] * len(STEPS), 0.0
        worst: list[tuple[float, str]] = []
        for source, clips in sources(every):
            done = list(pool.map(heard, minutes(clips, noise_db, longest_s, home)))
            found = [one for each in done for one in each.prices[0]]
            spoken = sum(clip.seconds for each in done for clip in each.job.clips) / 3600
            counts = [sum(price <= bound_at(step) for price, _ in found) for step in STEPS]
            name = f"{source} (trained on)" if source in TRAINED else source
            length = f"{spoken:.2f} h in {sum(each.seconds for each in done) / 3600:.2f} h"
            rows.append((name, length, *(rate(count, spoken) for count in counts)))
            _record(log, [{"part": "false", "source": source, "noise_db": noise_db, "price": price, "file": file} for price, file in found])  # fmt: skip
            if source not in TRAINED:
                sums, hours = [a + b for a, b in zip(sums, counts, strict=True)], hours + spoken
                worst += found
        rows.append(("all not trained on", f"{hours:.2f} h", *(rate(count, hours) for count in sums)))
        heads = ("source", "recordings, in so much sound", *(f"per hour of them, at {step}" for step in STEPS))
        print(table(f'"{PHRASE}" that nobody said, {_noise(noise_db)}', heads, rows))
        nearest = ", ".join(f"{file} {price:.1f}" for price, file in sorted(worst)[:WORST])
        print(f"nearest, not trained on (the bound at .5 is {bound_at(0.5):g}): {nearest}", flush=True)


def show_phrases(
    every: Sequence[Recording], home: Path, most: int, pool: ProcessPoolExecutor, log: Path | None
) -> None:
    """Table: first words as wake phrases."""
    asked: dict[str, list[Recording]] = {}
    for source, clips in sources(every):
        fit = [one for one in clips if source not in UNSURE and one.seconds > 1 and phrase_of(one.text)]
        random.Random(f"phrases {source}").shuffle(fit)
        if fit:
            asked[source] = fit[:most]
    everybody = [clip for clips in asked.values() for clip in clips]
    wanted: dict[Recording, list[str]] = {clip: [phrase_of(clip.text)] for clip in everybody}
    dice = random.Random("others")
    for clip in everybody:
        phrase = phrase_of(clip.text)
        others = [one for one in asked[clip.source] if phrase not in " ".join(re.findall(r"[a-z']+", one.text.lower()))]
        for other in dice.sample(others, min(OTHERS, len(others))):
            wanted[other].append(phrase)
    bounds = ", ".join(f"{bound_at(step):g} at {step}" for step in STEPS)
    for noise_db in NOISES:
        jobs = [Job((clip,), noise_db, tuple(all_of_them), HEARD_S, home, f"{clip.file} {noise_db}") for clip, all_of_them in wanted.items()]  # fmt: skip
        done = list(pool.map(heard, jobs, chunksize=4))
        rows, prices = list[tuple[str, ...]](), list[tuple[str, ...]]()
        for source in asked:
            mine = [
                [min((price for price, _ in found), default=math.inf) for found in one.prices]
                for one in done
                if one.job.clips[0].source == source
            ]
            hits = [sum(one[0] <= bound_at(step) for one in mine) for step in STEPS]
            wrong = [price for one in mine for price in one[1:]]
            name = f"{source} (trained on)" if source in TRAINED else source
            false = [sum(price <= bound_at(step) for price in wrong) for step in STEPS]
            rows.append((name, *(share(hit, len(mine)) for hit in hits), *(share(one, len(wrong)) for one in false)))
            low = quantile(wrong, 0.01)
            own = [one[0] for one in mine]
            quarters = " / ".join(f"{max(0.0, quantile(own, part)):.1f}" for part in (0.25, 0.5, 0.75))
            prices.append(
                (
                    name,
                    quarters,
                    f"{low:.1f}" if wrong else "-",
                    share(sum(one <= low for one in own), len(own) if wrong else 0),
                )
            )
        heads = ("source", *(f"found at {step}" for step in STEPS), *(f"in another clip at {step}" for step in STEPS))
        print(table(f"First words of a clip as wake phrase, {_noise(noise_db)}", heads, rows))
        heads = ("source", "said: 25 / 50 / 75 %", "not said: 1 %", "found at that price")
        print(table(f"What they cost (the bounds: {bounds})", heads, prices), flush=True)
        _record(log, [
            {"part": "phrases", "noise_db": noise_db, "file": one.job.clips[0].file, "phrase": phrase, "own": number == 0, "price": min((price for price, _ in found), default=None)}
            for one in done for number, (phrase, found) in enumerate(zip(one.job.phrases, one.prices, strict=True))
        ])  # fmt: skip


def _noise(noise_db: float) -> str:
    return "quiet" if noise_db == math.inf else f"pink noise {noise_db:g} dB below"


def _record(log: Path | None, rows: Sequence[dict[str, object]]) -> None:
    if log is not None:
        with log.open("a", encoding="utf-8") as file:
            file.writelines(
                json.dumps({key: str(one) if one == math.inf else one for key, one in row.items()}) + "\n"
                for row in rows
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("people", nargs="?", type=Path, help="folder of the recordings")
    parser.add_argument("--only", default="false,phrases", help="which parts")
    parser.add_argument("--quick", action="store_true", help="two minutes: 90 s and 20 phrases of each source")
    parser.add_argument("--all", action="store_true", help="all recordings in `false`: hours of processor time")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1), help="processes")
    parser.add_argument("--log", type=Path, help="file of JSON lines")
    args = parser.parse_args()
    home, began = folder(args.people), time.monotonic()
    every = recordings(home)
    longest_s = math.inf if args.all else 90.0 if args.quick else 900.0
    if args.log:
        args.log.unlink(missing_ok=True)
    with ProcessPoolExecutor(args.jobs) as pool:
        if "false" in args.only:
            show_false(every, home, longest_s, pool, args.log)
        if "phrases" in args.only:
            show_phrases(every, home, 20 if args.quick else 200, pool, args.log)
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes with {args.jobs} processes", file=sys.stderr)


if __name__ == "__main__":
    main()
