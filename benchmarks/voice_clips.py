"""Clips of synthetic speech for `voice.py`, as they come out of the device's codec. Two splits that share no voice, no
variant, no phrase and no stretch of noise: `tune` is for making the spotter, `final` for its figure.

    for clip in clips("tune", "wake", "10dB"):
        clip.pcm, clip.packets, clip.phrase_end_s, clip.params

A clip is made once, by espeak-ng, flite and sox with numbers drawn from seeds, encoded to Opus frames as the firmware does, and
kept as these frames under `folder(home)`: HOME/voice, HOME being the argument, else ORCHESTRA_BENCH, else the machine's directory
for temporary files. `python benchmarks/voice_clips.py tune wake 10dB` makes one set and prints what is in it. Every sound is
synthetic: no figure on these clips says how people fare.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import struct
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import voice_sound as sound
import voice_texts as texts
from voice_speech import NEEDED, PHRASE, RATE, Samples, Voice, missing, speak
from voice_texts import VERSION, Split, edition
from voice_voices import festival, one_of, voices

Kind = Literal["wake", "near", "prose", "talk", "chatter", "words", "free", "festival"]
"""`wake`: the phrase and a question. `near`: near-miss phrases. `prose`, `talk`, `chatter`: minutes of other speech (docstrings;
coding talk; hostile). `words`, `free`: the phrase and an everyday question, or any other. `festival`: as `wake`."""
Condition = Literal["quiet", "20dB", "10dB", "babble", "mixed"]
"""Pink noise so many dB below what is spoken; `babble`: five other voices at 10 dB; `mixed`: by turns quiet, 20dB, quiet, 10dB."""
CONDITIONS: tuple[Condition, ...] = ("quiet", "20dB", "10dB", "babble")
STREAM_S: dict[Split, dict[str, int]] = {
    "tune": {"prose": 1_200, "talk": 1_200, "chatter": 480},
    "final": {"prose": 3_600, "talk": 3_600, "chatter": 600},
}
"""At least so many seconds in which somebody speaks; pauses come on top."""
BABBLERS, BABBLE_S = 5, 120
MINUTE_S = 60
"""Of a clip of a stream."""


@dataclass(frozen=True)
class Clip:
    """Some sound from the device."""

    packets: tuple[bytes, ...] = field(repr=False)
    """Opus frames."""
    frame: int
    """Samples of a frame: 160 (Dev Kit 2) or 320 (Omi)."""
    text: str
    phrase_end_s: float | None
    """Where the phrase ends in the sound; None where it is not said."""
    speech_end_s: float
    """Where the last word ends: the last 20 ms within 35 dB of the loudest."""
    active_s: float
    """Seconds in which somebody speaks."""
    params: dict[str, object]
    """How it was made; fit for JSON."""

    @cached_property
    def pcm(self) -> bytes:
        """16-bit mono at 16 kHz, decoded by libopus."""
        return sound.decoded(list(self.packets), self.frame)

    @property
    def engine(self) -> str:
        """Which synthesiser spoke; empty for a stream of many."""
        return str(self.params.get("engine", ""))


def folder(home: str | os.PathLike[str] | None = None) -> Path:
    """Where clips are kept."""
    return Path(home or os.environ.get("ORCHESTRA_BENCH") or Path(tempfile.gettempdir()) / "orchestra-bench") / "voice"


def clips(
    split: Split, kind: Kind, condition: Condition = "quiet", home: str | os.PathLike[str] | None = None
) -> Iterator[Clip]:
    """All clips of a set, in order; made first if they are not there.

    Raises:
        SystemExit: a synthesiser is missing; what to install.
    """
    place = folder(home) / f"v{VERSION[split]}-{split}-{kind}-{condition}"
    if not (place / "index.jsonl").is_file():
        _make(place, split, kind, condition)
    for line in (place / "index.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        data = (place / row.pop("file")).read_bytes()
        yield Clip(packets=tuple(_unpacked(data)), **row)


def _make(place: Path, split: Split, kind: Kind, condition: Condition) -> None:
    if lacking := missing():
        raise SystemExit(f"There is no {', '.join(lacking)}. {NEEDED}")
    print(f"making {place.name} in {place.parent} …", file=sys.stderr, flush=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".making-", dir=place.parent))
    try:
        with (work / "index.jsonl").open("w", encoding="utf-8") as index:
            for number, clip in enumerate(_made(split, kind, condition, place.parent.parent)):
                name = f"{number:04}.opus"
                (work / name).write_bytes(b"".join(struct.pack("<H", len(one)) + one for one in clip.packets))
                row = {"file": name, "frame": clip.frame, "text": clip.text, "phrase_end_s": clip.phrase_end_s}
                row |= {"speech_end_s": clip.speech_end_s, "active_s": clip.active_s, "params": clip.params}
                index.write(json.dumps(row) + "\n")
        try:
            work.rename(place)
        except OSError:  # somebody else has just made the same
            if not (place / "index.jsonl").is_file():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _made(split: Split, kind: Kind, condition: Condition, home: Path) -> Iterator[Clip]:
    if kind in ("prose", "talk", "chatter"):
        yield from _stream(split, kind, condition, home)
        return
    for number, (voice, text) in enumerate(_said(split, kind)):
        dice = random.Random(f"{edition(split)} {kind} {number}")
        spoken, end, form = _phrased(voice, text, number, dice)
        lead, tail = dice.uniform(1.0, 2.5), dice.uniform(1.6, 2.2)
        params: dict[str, object] = {
            **voice.params(),
            "split": split,
            "kind": kind,
            "condition": condition,
            "number": number,
        }
        params |= {"form": form, "lead_s": round(lead, 3), "tail_s": round(tail, 3)}
        before = np.zeros(round(lead * RATE), np.float32)
        whole = np.concatenate((before, spoken, np.zeros(round(tail * RATE), np.float32)))
        begin = None if end is None else round(lead + end, 4)
        yield _clip(whole, text, begin, _noise_of(condition, number), params, dice, home)


def _said(split: Split, kind: Kind) -> Iterator[tuple[Voice, str]]:
    """Who says what."""
    questions = itertools.cycle(texts.QUESTIONS[split])
    if kind == "wake":
        for voice in voices(split):
            yield voice, f"{PHRASE}, {next(questions)}"
    elif kind == "festival":
        for voice in festival():
            yield voice, f"{PHRASE}, {next(questions)}"
    elif kind == "near":
        for at, phrase in enumerate(texts.NEAR[split]):
            for nth in range(5):
                yield one_of(split, at, nth), f"{phrase}, {next(questions)}" if (at + nth) % 2 else phrase
    else:
        for at, question in enumerate((texts.TEMPLATED if kind == "words" else texts.FREE)[split]):
            for nth in range(5):
                yield one_of(split, at, nth), f"{PHRASE}, {question}"


def _phrased(voice: Voice, text: str, number: int, dice: random.Random) -> tuple[Samples, float | None, str]:
    """The phrase and the question: with the synthesiser's own pause at the comma, in one breath, or with a pause of ours."""
    phrase, _, question = text.partition(", ")
    form = ("comma", "one breath", "pause")[number % 3] if phrase == PHRASE else "comma"
    if form != "pause":
        spoken = speak(voice, f"{phrase} {question}" if form == "one breath" else text)
        return spoken.samples, spoken.phrase_end_s, form
    alone = speak(voice, phrase)
    if alone.phrase_end_s is None:
        raise SystemExit(f"{voice.name} does not tell where its phrase ends")
    pause = dice.uniform(0.2, 1.0)
    first = alone.samples[: round((alone.phrase_end_s + 0.04) * RATE)]
    silence = np.zeros(round(pause * RATE), np.float32)
    return (
        np.concatenate((first, silence, speak(voice, question).samples)),
        alone.phrase_end_s,
        f"pause of {pause:.2f} s",
    )


def _stream(split: Split, kind: Kind, condition: Condition, home: Path) -> Iterator[Clip]:
    """Minutes of talk: turns of one voice with pauses, until there is enough of it."""
    dice = random.Random(f"{edition(split)} {kind}")
    wanted, have = STREAM_S[split][kind], 0.0
    shuffled = list(texts.CHATTER[split] if kind == "chatter" else texts.prose(split))
    if kind != "chatter":
        dice.shuffle(shuffled)
    lines = itertools.cycle(shuffled)
    for number in itertools.count():
        if have >= wanted:
            return
        pieces: list[Samples] = []
        said: list[str] = []
        who: list[str] = []
        while sum(map(len, pieces)) < MINUTE_S * RATE:
            voice = dice.choice(voices(split, seed=dice.random()))
            who.append(f"{voice.engine} {voice.name} {voice.speed:.2f} {voice.pitch:.2f} {voice.tract:.2f}")
            level = np.float32(10 ** (dice.uniform(-16, -3) / 20))
            for _ in range(dice.randint(2, 6)):
                sentence = texts.sentence_of_talk(split, dice) if kind == "talk" else next(lines)
                pause = dice.uniform(0.25, 1.2) if dice.random() < 0.85 else dice.uniform(1.2, 4.0)
                pieces += [speak(voice, sentence).samples * level, np.zeros(round(pause * RATE), np.float32)]
                said.append(sentence)
        one = _noise_of(condition, number)
        params: dict[str, object] = {"split": split, "kind": kind, "condition": one, "number": number, "voices": who}
        clip = _clip(np.concatenate(pieces), ". ".join(said), None, one, params, dice, home)
        have += clip.active_s
        yield clip


def _clip(
    speech: Samples,
    text: str,
    end: float | None,
    condition: Condition,
    params: dict[str, object],
    dice: random.Random,
    home: Path,
) -> Clip:
    """Gain, noise, codec."""
    split: Split = params["split"]  # type: ignore[assignment]
    gain = 0.0 if "voices" in params else dice.uniform(-20, -4)
    frame = dice.choice((160, 320))
    seed = f"{edition(split)} {params['kind']} {params['number']} {condition}"
    speech = speech * np.float32(10 ** (gain / 20))
    noise = _noise(split, condition, len(speech), random.Random(seed), home)
    snr = 20.0 if condition == "20dB" else 10.0
    out = sound.mixed(speech, noise, snr, random.Random(seed + " floor"))
    params |= {"gain_db": round(gain, 2), "frame": frame, "noise_seed": seed}
    return Clip(
        packets=tuple(sound.encoded(sound.pcm_of(out), frame)),
        frame=frame,
        text=text,
        phrase_end_s=end,
        speech_end_s=round(sound.last_active_s(speech), 4),
        active_s=round(sound.active_s(speech), 2),
        params=params,
    )


def _noise_of(condition: Condition, number: int) -> Condition:
    turns: tuple[Condition, ...] = ("quiet", "20dB", "quiet", "10dB")
    return turns[number % 4] if condition == "mixed" else condition


def _noise(split: Split, condition: Condition, count: int, dice: random.Random, home: Path) -> Samples | None:
    if condition == "quiet":
        return None
    if condition == "babble":
        return sound.stretch(_babble(split, home), count, dice)
    half = len(sound.pink()) // 2
    return sound.stretch(sound.pink()[half:] if split == "final" else sound.pink()[:half], count, dice)


def _babble(split: Split, home: Path) -> Samples:
    """Five voices of the split that talk all the time, each as loud as the others."""
    kept = folder(home) / f"v{VERSION[split]}-babble-{split}.npy"
    if kept.is_file():
        loaded: Samples = np.load(kept)
        return loaded
    dice = random.Random(f"babble {edition(split)}")
    total = np.zeros(BABBLE_S * RATE, np.float32)
    for voice in dice.sample(voices(split, seed=dice.random()), BABBLERS):
        pieces: list[Samples] = []
        while sum(map(len, pieces)) < len(total):
            pieces.append(speak(voice, dice.choice(texts.prose(split))).samples)
        track = np.concatenate(pieces)[: len(total)]
        total += track / np.float32(np.sqrt(sound.active_power(track)))
    part = kept.with_name(f".{kept.stem}-{os.getpid()}.npy")
    np.save(part, total)
    part.rename(kept)
    return total


def _unpacked(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 2], "little")
        yield data[at + 2 : at + 2 + size]
        at += 2 + size


def main() -> None:
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in ("tune", "final") or sys.argv[2] not in get_args(Kind):
        raise SystemExit(__doc__)
    split: Split = sys.argv[1]  # type: ignore[assignment]
    kind: Kind = sys.argv[2]  # type: ignore[assignment]
    condition: Condition = sys.argv[3] if len(sys.argv) > 3 else "quiet"  # type: ignore[assignment]
    for clip in clips(split, kind, condition):
        print(json.dumps({"text": clip.text, "phrase_end_s": clip.phrase_end_s, **clip.params}))


if __name__ == "__main__":
    main()
