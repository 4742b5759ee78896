"""The measures of `voice.py` that are about the wake phrase: found, false, how soon; and people's own recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import anyio
from voice_clips import CONDITIONS, Condition, Kind
from voice_driving import Run
from voice_figures import rate, share, table, times
from voice_hearing import Bench, Listened
from voice_sound import encoded

from orchestra_mcp.edge.audio.wavfile import WavSource
from orchestra_mcp.edge.nouns import RATE, Signal, Sound, seconds

FOUND: dict[Condition, float] = {"quiet": 0.97, "20dB": 0.98, "10dB": 0.92, "babble": 0.75}
"""Targets."""
WORDS_FOR: dict[Condition, str] = {
    "quiet": "quiet",
    "20dB": "20 dB pink",
    "10dB": "10 dB pink",
    "babble": "10 dB babble",
    "mixed": "mixed",
}
ENGINES = ("espeak", "flite")


def found_in(heard: Sequence[Listened], engine: str = "") -> tuple[int, int]:
    """How many woke it by their phrase, and of how many."""
    mine = [one for one in heard if engine in ("", one.clip.engine)]
    return sum(one.run.found(one.clip.phrase_end_s or 0.0) for one in mine), len(mine)


def show_wake(bench: Bench, kind: Kind = "wake") -> None:
    """Table: phrase found."""
    rows = []
    for condition in CONDITIONS:
        heard = bench.heard(kind, condition)
        hits, of = found_in(heard)
        stray = sum(one.run.stray(one.clip.phrase_end_s) for one in heard)
        engines = [share(*found_in(heard, engine)) for engine in ENGINES] if kind == "wake" else []
        verdict = f"≥ {FOUND[condition]:.2f} {'met' if of and hits / of >= FOUND[condition] - 5e-4 else 'missed'}"
        rows.append((WORDS_FOR[condition], share(hits, of), *engines, verdict, str(stray)))
    names = [f"{engine}" for engine in ENGINES] if kind == "wake" else []
    title = "Wake phrase found" if kind == "wake" else "Wake phrase found, two voices of festival (apart)"
    print(table(title, ("condition", "all", *names, "target", "woken elsewhere in the clip"), rows), flush=True)
    for condition in CONDITIONS:
        missed = [one.clip for one in bench.heard(kind, condition) if not one.run.found(one.clip.phrase_end_s or 0.0)]
        if missed:
            print(
                f"missed, {WORDS_FOR[condition]}: "
                + ", ".join(f"{clip.params['name']} ({clip.params['form']})" for clip in missed)
            )


def show_false(bench: Bench) -> None:
    """Tables: false wakes in other speech, and by near-misses."""
    rows = []
    total, hours = 0, 0.0
    kinds: tuple[Kind, ...] = ("prose", "talk", "chatter")
    for kind in kinds:
        heard = bench.heard(kind, "mixed")
        count = sum(len(one.run.woken) for one in heard)
        spoken, long = sum(one.clip.active_s for one in heard) / 3600, sum(one.run.sound_s for one in heard) / 3600
        name = {"prose": "prose", "talk": "coding talk", "chatter": "hostile chatter (apart)"}[kind]
        rows.append((name, f"{spoken:.2f} h spoken in {long:.2f} h", rate(count, spoken), ""))
        if kind != "chatter":
            total, hours = total + count, hours + spoken
    met = "met" if hours and total / hours <= 0.5 else "missed"
    rows.insert(2, ("prose and coding talk", "", rate(total, hours), f"≤ 0.5/h {met}"))
    print(
        table(
            "False wakes: other speech (quiet, 20 dB, quiet, 10 dB by turns)",
            ("what", "how much", "false wakes per hour in which somebody speaks", "target"),
            rows,
        )
    )
    for kind in kinds:
        for one in bench.heard(kind, "mixed"):
            if one.run.woken:
                print(
                    f"{kind} {one.clip.params['number']}: woken at " + ", ".join(f"{at:.1f} s" for at in one.run.woken)
                )
    heard = bench.heard("near", "quiet")
    woken = [one for one in heard if one.run.woken]
    cells = []
    for engine in ("", *ENGINES):
        of = [one for one in heard if engine in ("", one.clip.engine)]
        cells.append(share(sum(bool(one.run.woken) for one in of), len(of)))
    met = "met" if len(woken) <= 0.05 * len(heard) else "missed"
    print(table("False wakes: near-miss phrases", ("all", *ENGINES, "target"), [(*cells, f"≤ 5 % {met}")]))
    by = Counter(one.clip.text.split(",")[0] for one in woken)
    print(
        "woken by: " + (", ".join(f"{phrase} ({count} of 5)" for phrase, count in by.most_common()) or "none"),
        flush=True,
    )


def show_latency(bench: Bench) -> None:
    """Table: end of phrase to feedback."""
    rows, ends = [], []
    together: list[float] = []
    for condition in CONDITIONS:
        heard = bench.heard("wake", condition)
        cells = []
        for engine in ("", *ENGINES):
            mine = [one for one in heard if engine in ("", one.clip.engine)]
            cells.append(
                times([delay for one in mine if (delay := one.run.delay(one.clip.phrase_end_s or 0.0)) is not None])
            )
        sound = [
            at - (one.clip.phrase_end_s or 0.0)
            for one in heard
            for at in one.run.woken_in_sound[:1]
            if one.run.found(one.clip.phrase_end_s or 0.0)
        ]
        together += (
            [delay for one in heard if (delay := one.run.delay(one.clip.phrase_end_s or 0.0)) is not None]
            if condition != "babble"
            else []
        )
        rows.append((WORDS_FOR[condition], *cells, times(sound)))
        ends.append((WORDS_FOR[condition], *_ends(heard)))
    rows.append(("all but babble", times(together), "", "", "target: < 0.15 / < 0.5 / stated"))
    heads = ("condition", "all: median / 95 % / worst, s", *ENGINES, "of it waiting for sound")
    print(table("End of phrase to feedback", heads, rows))
    print(
        table(
            "End of speech to the end of the utterance (the ear's 0.8 s of quiet)",
            ("condition", "median / 95 % / worst, s", "cut short", "no question taken down"),
            ends,
        ),
        flush=True,
    )


def _ends(heard: Sequence[Listened]) -> tuple[str, str, str]:
    """How long after the last word the utterance was handed over; how often before it."""
    found = [one for one in heard if one.run.found(one.clip.phrase_end_s or 0.0)]
    after, early, none = [], 0, 0
    for one in found:
        said = [at for at, what in one.run.said if hasattr(what, "pcm")]
        if not said:
            none += 1
        elif said[0] < one.clip.speech_end_s:
            early += 1
        else:
            after.append(said[0] - one.clip.speech_end_s)
    return times(after), share(early, len(found)), share(none, len(found))


def show_recordings(bench: Bench, place: Path) -> None:
    """Table: recordings of real people, `wake_*.wav` with one phrase each and `other_*.wav` without any."""
    files = sorted(place.glob("*.wav"))
    runs = {path: _run_of(bench, path) for path in files if path.name.startswith(("wake_", "other_"))}
    if not runs:
        raise SystemExit(f"There is no wake_*.wav and no other_*.wav in {place}.")
    wake = [(path, run) for path, run in runs.items() if path.name.startswith("wake_")]
    other = [(path, run) for path, run in runs.items() if path.name.startswith("other_")]
    hours = sum(run.sound_s for _, run in other) / 3600
    rows = [
        ("phrase found (wake_*.wav)", share(sum(bool(run.woken) for _, run in wake), len(wake))),
        ("woken more than once by one of them", str(sum(len(run.woken) > 1 for _, run in wake))),
        ("false wakes (other_*.wav)", rate(sum(len(run.woken) for _, run in other), hours)),
    ]
    print(table(f"Recordings in {place}", ("what", "measured"), rows))
    for path, run in runs.items():
        at = ", ".join(
            f"{moment:.2f} s (score {score:.2f})" for moment, score in zip(run.woken, run.scores, strict=True)
        )
        print(f"{path.name}: {run.sound_s:.1f} s; {'woken at ' + at if at else 'not woken'}")


def _run_of(bench: Bench, path: Path) -> Run:
    """A recording through the codec of the device and the parts."""
    pcm = anyio.run(_sound_of, path)
    spoken = pcm + bytes(RATE * 2 * 2)
    run = bench.listener.hear(encoded(spoken, 160), 160)
    run.sound_s = seconds(pcm)
    return run


async def _sound_of(path: Path) -> bytes:
    pieces: list[bytes] = []

    def note(signal: Signal) -> None:
        if isinstance(signal, Sound):
            pieces.append(signal.pcm)

    await WavSource(path).run(note)
    return b"".join(pieces)
