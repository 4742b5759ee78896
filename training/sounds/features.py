"""Step 2: features of the clips. `python training/sounds/features.py WORK [PEOPLE]`, PEOPLE as `benchmarks/people_sources.py` makes it.

Each clip is heard twice: with silence around it, pink or white noise, or five other voices; at another level; through the device's codec.
"""

from __future__ import annotations

import json
import multiprocessing
import pickle
import random
import re
import sys
import wave
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import voice_sound as sound

from orchestra_mcp.edge.acoustic.moonshine import moonshine
from orchestra_mcp.edge.acoustic.pronunciation import by_rule
from orchestra_mcp.edge.acoustic.sounds import SOUNDS
from orchestra_mcp.errors import VoiceError

Samples = npt.NDArray[np.float32]
COPIES = 2
RATE = 16_000
LONGEST_S = 9.0
PACE = (6, 22)
"""Sounds a second that people make; outside of this a transcript is not what is said."""
PEOPLE = "queen"


@cache
def dictionary() -> dict[str, tuple[str, ...]]:
    """All words of pocketsphinx's dictionary as they are usually said."""
    import pocketsphinx

    lines = (Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict").read_text("utf-8").splitlines()
    return {word: tuple(said.split()) for word, _, said in (line.partition(" ") for line in lines) if "(" not in word}


def sounds_of(words: list[str]) -> list[int]:
    return [SOUNDS[name] for word in words for name in dictionary().get(word) or by_rule(word)]


def babble(pool: list[Samples], count: int, dice: random.Random) -> Samples:
    whole = np.zeros(count, np.float32)
    for _ in range(5):
        one = np.concatenate([dice.choice(pool) for _ in range(4)])
        one = one / (np.sqrt(np.mean(one**2)) + 1e-9)
        whole += np.take(one, np.arange(count) + dice.randrange(len(one)), mode="wrap")
    return whole


def heard(samples: Samples, pool: list[Samples], dice: random.Random) -> Samples:
    """The clip as it may come in."""
    kind = dice.random()
    lead, tail = (np.zeros(int(dice.uniform(low, 0.6) * RATE), np.float32) for low in (0.05, 0.0))
    whole = np.concatenate((lead, samples, tail))
    noise, ratio = None, 99.0
    if kind >= 0.62:
        noise, ratio = babble(pool, len(whole), dice), dice.uniform(5, 20)
    elif kind >= 0.55:
        white = np.random.default_rng(dice.getrandbits(32)).standard_normal(len(whole))
        noise, ratio = white.astype(np.float32), dice.uniform(8, 30)
    elif kind >= 0.25:
        pink = sound.pink()
        noise, ratio = sound.stretch(pink[: len(pink) // 2], len(whole), dice), dice.uniform(5, 25)
    whole = sound.mixed(whole, noise, ratio, dice) * np.float32(10 ** (dice.uniform(-24, 0) / 20))
    if dice.random() < 0.5:
        frame = dice.choice((160, 320))
        pcm = sound.decoded(sound.encoded(sound.pcm_of(whole), frame), frame)
        whole = np.frombuffer(pcm, "<i2").astype(np.float32) / 32_768
    return whole


def clips(work: Path, people: Path | None) -> list[tuple[str, str]]:
    """Files and their texts; for synthetic ones the text is in the file."""
    found = [(str(file), "") for file in sorted((work / "speech").glob("*.npz"))]
    if people is not None:
        rows = [json.loads(line) for line in (people / "index.jsonl").read_text("utf-8").splitlines()]
        found += [(str(people / row["file"]), row["text"]) for row in rows if row["source"] == PEOPLE and row["text"]]
    return found


def features(clip: tuple[str, str], pool: list[Samples]) -> list[tuple[str, int, Any, Any]]:
    """Name, copy, features and sounds of each copy of a clip."""
    file, text = clip
    if file.endswith(".npz"):
        kept = np.load(file)
        samples, text = kept["sound"].astype(np.float32) / 32_768, str(kept["text"])
    else:
        with wave.open(file) as opened:
            samples = np.frombuffer(opened.readframes(opened.getnframes()), "<i2").astype(np.float32) / 32_768
    words = [word.strip("'") for word in re.findall(r"[a-z']+", text.lower()) if word.strip("'")]
    if not file.endswith(".npz") and (not words or re.search(r"\d", text) or any(w not in dictionary() for w in words)):
        return []
    try:
        said = sounds_of(words)
    except VoiceError:  # letters that nobody can read
        return []
    if not file.endswith(".npz") and not PACE[0] < len(said) / (len(samples) / RATE) < PACE[1]:
        return []
    found = []
    for copy in range(COPIES):
        whole = heard(samples, pool, random.Random(f"{Path(file).name} {copy}"))
        hidden = moonshine().encode(whole).astype(np.float16)
        if len(whole) <= LONGEST_S * RATE and len(hidden) >= len(said) + 2:
            found.append((Path(file).name, copy, hidden, np.array(said, np.int16)))
    return found


def main() -> None:
    work, people = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None
    files = clips(work, people)
    babblers = random.Random(1).sample([file for file, _ in files if file.endswith(".npz")], 60)
    pool = [np.load(file)["sound"].astype(np.float32) / 32_768 for file in babblers]
    with multiprocessing.Pool() as workers:
        found = [one for some in workers.imap(partial(features, pool=pool), files, chunksize=32) for one in some]
    with (work / "features.pkl").open("wb") as file:
        pickle.dump(found, file)
    print(f"{len(found)} clips, {sum(len(hidden) for _, _, hidden, _ in found) * 0.024 / 3600:.1f} h")


if __name__ == "__main__":
    main()
