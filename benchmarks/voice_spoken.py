"""The measure of `voice.py` that is about words: what the embedded engine makes of everyday questions, of any others, and of people.

What is transcribed is what the ear took down, so that clips that did not wake it are left out (and counted). The target, under 1.5 s
from the end of speech to the transcript, covers the quiet that the ear waits for and the engine's work by the clock, which begins at the
ear's first pause, as in the product. Its processor time says what the clock would show if nothing else ran here.

Recordings of people are a directory with `index.jsonl`, a line for each: {"file": …, "text": …, "source": …}; WAV, 16 kHz, mono. What has
fewer than four words, numbers or marks in its text is left out, half of the rest gets pink noise at 20 dB; each is taken for a question
after the button. Ways to write the same (`it's`, `it is`) count as the same there.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import time
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import voice_sound as sound
from voice_clips import Clip, Condition, Kind, folder
from voice_figures import share, table, times, word_errors
from voice_hearing import Bench
from voice_measures import ENGINES, WORDS_FOR
from voice_texts import identifiers

from orchestra_mcp.edge.nouns import LONGEST_S, RATE, SAMPLE, Heard, Pause, Transcriber, Utterance, Vocabulary
from orchestra_mcp.edge.words import open_transcriber
from orchestra_mcp.gateway.transcription import Transcript, TranscriptionRequest
from orchestra_mcp.settings.voice import Voice

NAMES = 60
"""Identifiers of the project that is talked about; it is as easy to hear one of them wrongly as in life."""
EACH = 120
"""Recordings of people of each source."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A question and what was understood."""

    clip: Clip
    heard: Heard
    waited_s: float
    begun_s: float
    """When the engine could begin, in seconds after the end of speech: at the ear's first pause, where nothing came after it."""
    worked_s: float
    processor_s: float | None

    @property
    def said(self) -> str:
        return plain(self.clip.text.partition(", ")[2])

    @property
    def right(self) -> bool:
        return plain(self.heard.text) == self.said


@dataclass(frozen=True, slots=True)
class Person:
    """What somebody said, and what was understood."""

    source: str
    said: str
    heard: Heard
    worked_s: float

    @property
    def right(self) -> bool:
        return alike(self.heard.text) == alike(self.said)


SAME = (
    ("won't", "will not"), ("can't|cannot", "can not"), ("n't", " not"), ("'re", " are"), ("'s", " is"), ("'ve", " have"), ("'m", " am"),
    ("'ll", " will"), ("'d", " would"), (r"\bmister\b", "mr"), (r"\bdoctor\b", "dr"), ("alright", "all right"), (r"\bokay\b", "ok"),
)  # fmt: skip
"""Ways to write the same."""


def alike(text: str) -> str:
    """A text as `plain` has it, written in one way."""
    text = text.lower().replace("\u2019", "'").replace("-", " ")
    for pattern, written in SAME:
        text = re.sub(pattern, written, text)
    return plain(text)


def plain(text: str) -> str:
    """Small letters and blanks only."""
    return " ".join(re.sub(r"[^a-z0-9' ]", " ", text.lower()).split())


def show_words(bench: Bench, conditions: Sequence[Condition], people: Path | None = None) -> None:
    """Tables: words; of people too, where a directory of recordings is given."""
    rows: list[tuple[str, ...]] = []
    wrong: list[str] = []
    kinds: tuple[Kind, ...] = ("words", "free")
    for kind in kinds:
        for condition in conditions:
            heard = bench.heard(kind, condition)
            answers = anyio.run(_answers, bench, kind, condition)
            for engine in ("", *ENGINES):
                mine = [one for one in answers if engine in ("", one.clip.engine)]
                of = [one for one in heard if engine in ("", one.clip.engine)]
                name = f"{'everyday' if kind == 'words' else 'other'} questions, {WORDS_FOR[condition]}"
                rows.append((f"{name}, {engine or 'all'}", *_row(mine, len(of))))
            wrong += [
                f"{one.clip.params['name']}, {condition}: {one.said!r} as {one.heard.text!r}"
                for one in answers
                if not one.right and not one.heard.doubt
            ]
    heads = (
        "questions",
        "taken down",
        "word errors",
        "right word for word",
        "doubtful",
        "wrong and not doubtful (target: about none)",
        "quiet waited for",
        "engine, by the clock",
        "engine, processor",
        "end of speech to transcript, s (target < 1.5)",
    )
    print(table("Words, embedded engine; times: median / 95 % / worst, s", heads, rows))
    print("\n".join(["wrong and not doubtful:", *wrong]) if wrong else "wrong and not doubtful: none", flush=True)
    if people is not None:
        show_people(bench, people)


def show_people(bench: Bench, place: Path) -> None:
    """Table: words of people."""
    heard = anyio.run(_people, bench, place)
    rows = []
    for source in ("", *sorted({one.source for one in heard})):
        mine = [one for one in heard if source in ("", one.source)]
        errors = [word_errors(alike(one.said), alike(one.heard.text)) for one in mine]
        sure = [one for one in mine if not one.heard.doubt]
        wrong = sum(not one.right for one in sure)
        rows.append((
            f"people, {source or 'all'}",
            f"{100 * sum(count for count, _ in errors) / max(1, sum(words for _, words in errors)):.1f} %",
            share(sum(one.right for one in mine), len(mine)),
            share(len(mine) - len(sure), len(mine)),
            f"{wrong}/{len(sure)}",
            times([one.worked_s for one in mine]),
        ))  # fmt: skip
    heads = ("who", "word errors", "right word for word", "doubtful", "wrong and not doubtful", "engine, by the clock")
    print(table(f"Words of people, recordings in {place.name}; half with pink noise at 20 dB", heads, rows))
    for one in heard:
        if not one.right and not one.heard.doubt:
            print(f"wrong and not doubtful, {one.source}: {one.said!r} as {one.heard.text!r}")


def recordings(place: Path) -> Iterator[tuple[str, str, bytes]]:
    """Source, text and sound of at most `EACH` recordings of each source, drawn with a seed.

    Raises:
        SystemExit: there is no index.
    """
    if not (place / "index.jsonl").is_file():
        raise SystemExit(f"There is no index.jsonl in {place}.")
    by: dict[str, list[dict[str, Any]]] = {}
    for line in (place / "index.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        text = row.get("text") or ""
        if len(plain(text).split()) >= 4 and not re.search(r'[\[\](*"#\d]|\.\.', text):
            by.setdefault(row.get("source", ""), []).append(row)
    dice = random.Random("people")
    for source, listed in sorted(by.items()):
        dice.shuffle(listed)
        for number, row in enumerate(listed[:EACH]):
            with wave.open(str(place / row["file"])) as file:
                pcm = file.readframes(file.getnframes())[: int(LONGEST_S) * RATE * SAMPLE]
            whole = np.concatenate(
                [np.zeros(RATE * 3 // 10), np.frombuffer(pcm, "<i2") / 32_768, np.zeros(RATE * 6 // 10)]
            ).astype(np.float32)
            noise = sound.stretch(sound.pink()[len(sound.pink()) // 2 :], len(whole), dice) if number % 2 else None
            yield source, row["text"], sound.pcm_of(sound.mixed(whole, noise, 20.0, dice))


async def _people(bench: Bench, place: Path) -> list[Person]:
    engine, vocabulary = _engine(folder(bench.home)), _vocabulary(bench)
    await engine.prepare(vocabulary)
    found = []
    for source, text, pcm in recordings(place):
        began = time.perf_counter()
        heard = await engine.transcribe(Utterance(pcm, "button"), vocabulary)
        found.append(Person(source, text, heard, time.perf_counter() - began))
    await engine.aclose()
    return found


def _row(answers: Sequence[Answer], of: int) -> tuple[str, ...]:
    errors = [word_errors(one.said, plain(one.heard.text)) for one in answers]
    total = max(1, sum(words for _, words in errors))
    sure = [one for one in answers if not one.heard.doubt]
    return (
        f"{len(answers)}/{of}",
        f"{100 * sum(count for count, _ in errors) / total:.0f} %",
        share(sum(one.right for one in answers), len(answers)),
        share(len(answers) - len(sure), len(answers)),
        str(sum(not one.right for one in sure)),
        times([one.waited_s for one in answers]),
        times([one.worked_s for one in answers]),
        times([one.processor_s for one in answers if one.processor_s is not None]),
        times([max(one.waited_s, one.begun_s + one.worked_s) for one in answers]),
    )


async def _answers(bench: Bench, kind: Kind, condition: Condition) -> list[Answer]:
    vocabulary = _vocabulary(bench)
    engine = _engine(folder(bench.home))
    found: list[Answer] = []
    try:
        for one in bench.heard(kind, condition):
            said = next(((at, what) for at, what in one.run.said if isinstance(what, Utterance)), None)
            if said is None or not one.run.found(one.clip.phrase_end_s or 0.0):
                continue
            if not found:
                await engine.transcribe(said[1], vocabulary)  # builds the model, as the product does when it starts
            began, used = time.perf_counter(), _used()
            heard = await engine.transcribe(said[1], vocabulary)
            took, spent = time.perf_counter() - began, _used() - used
            waited = said[0] - one.clip.speech_end_s
            paused = [at for at, what in one.run.said if isinstance(what, Pause) and what.so_far.pcm == said[1].pcm]
            begun = min((at - one.clip.speech_end_s for at in paused), default=waited)
            found.append(Answer(one.clip, heard, waited, begun, took, spent if spent > 0 else None))
    finally:
        if (close := getattr(engine, "aclose", None)) is not None:
            await close()
    return found


def _vocabulary(bench: Bench) -> Vocabulary:
    names = identifiers(bench.split)
    step = max(1, len(names) // NAMES)
    chosen = tuple(name.replace(" ", "_") for name in names[::step])[:NAMES]
    return Vocabulary(
        project="records", identifiers=chosen, files=("parser.py", "main.ts"), branches=("main", "fix-login")
    )


def _used() -> float:
    """Processor time of this process and its children, in seconds; children only where there is /proc."""
    total = time.process_time()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():  # proc(5): field 4 is the parent, 14 and 15 the ticks
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def _engine(home: Path) -> Transcriber:
    async def no_vendor(request: TranscriptionRequest) -> Transcript:
        raise AssertionError(f"the embedded engine sends nothing ({request.model})")

    return open_transcriber(Voice(transcriber="offline"), no_vendor, home)
