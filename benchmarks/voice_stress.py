"""The measures of `voice.py` that are not about the wake phrase: what is lost, what it costs, and words."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import numpy as np
from voice_clips import clips
from voice_driving import Run, codec_of, notified
from voice_figures import share, table
from voice_hearing import LOSS_FIRST, Bench, Listened, Loss
from voice_measures import found_in
from voice_sound import FLOOR_DB, encoded, pcm_of, pink
from voice_speech import RATE, Samples

from orchestra_mcp.edge.audio.codecs import open_decoder
from orchestra_mcp.edge.nouns import SAMPLE
from orchestra_mcp.edge.omi.assembler import Assembler, Gap
from orchestra_mcp.edge.omi.flow import Flow
from orchestra_mcp.edge.omi.protocol import IDS

BACK_TO_BACK = 70_000
LOSSES = (Loss(0.2, False, 1), Loss(0.2, False, 2), Loss(0.2, True, 1), Loss(0.2, True, 2))
IDLE_S, TALK_S = 60, 180
PAUSES_S = (0.2, 0.7, 4.0)
"""Longest pauses of the talk; what is longer is cut out. After 0.7 s every sentence is a new beginning, which costs most."""


def show_loss(bench: Bench) -> None:
    """Tables: packets lost, reordered, wrapped, back to back."""
    rows = [_lossy(bench, "none", [bench.heard("wake", "20dB")])]
    for bursts, name in ((False, "20 %, each by itself"), (True, "20 %, in bursts of 5 on average")):
        rows.append(
            _lossy(bench, name, [bench.heard("wake", "20dB", loss) for loss in LOSSES if loss.bursts == bursts])
        )
    heads = ("packets lost, 20 dB", "phrase found", "against no loss (target: within 3 points)", "loss told exactly")
    print(table("Loss on the way", heads, rows))
    checks = [(what, "as it was sent" if good else "WRONG") for what, good in _assembled()]
    checks += _through_codec(bench)
    print(table(f"{BACK_TO_BACK:,} packets back to back", ("what", "measured"), checks), flush=True)


def _lossy(bench: Bench, name: str, sets: Sequence[list[Listened]]) -> tuple[str, str, str, str]:
    hits = sum(found_in(heard)[0] for heard in sets)
    of = sum(len(heard) for heard in sets)
    clean, all_clean = found_in(bench.heard("wake", "20dB"))
    points = 100 * (hits / max(1, of) - clean / max(1, all_clean))
    exact = sum(_told(one) for heard in sets for one in heard)
    return name, share(hits, of), f"{points:+.1f} points", f"{exact} of {of} clips"


def _told(one: Listened) -> bool:
    """Whether what was reported is what was dropped between the first and the last packet that came."""
    count = sum(1 for _ in notified(one.clip.packets))
    came = [place for place in range(count) if place not in one.dropped]
    lost = came[-1] - came[0] + 1 - len(came)
    return (one.run.received, one.run.lost) == (len(came), lost)


def _assembled() -> list[tuple[str, bool]]:
    """Numbered frames through the assembler: what comes out is what went in, with gaps where packets were dropped."""
    dice = random.Random("back to back")
    sent = list(notified((number.to_bytes(4, "little") for number in range(BACK_TO_BACK)), LOSS_FIRST))
    whole = list(range(BACK_TO_BACK))
    found = [("in order, the counter wraps", _frames(sent) == (whole, 0, 0))]
    swapped = sent.copy()
    for at in range(7, BACK_TO_BACK - 4, 7):  # nobody can know what came before the first
        other = at + dice.choice((1, 2, 3))
        swapped[at], swapped[other] = swapped[other], swapped[at]
    frames, lost, late = _frames(swapped)
    found.append(
        (f"every seventh overtaken by up to 3 others ({late:,} told late)", frames == whole and not lost and late > 0)
    )
    doubled = [packet for packet in sent for _ in range(1 + (dice.random() < 0.1))]
    frames, lost, late = _frames(doubled)
    found.append(("a tenth sent twice", frames == whole and not lost and late == len(doubled) - BACK_TO_BACK))
    for bursts in (False, True):
        drops = Loss(0.2, bursts, 3).drops(BACK_TO_BACK, 0) - {0, BACK_TO_BACK - 1}
        expected = [-1 if number in drops else number for number in whole]
        frames, lost, _ = _frames([packet for number, packet in enumerate(sent) if number not in drops])
        found.append(
            (
                f"{len(drops):,} lost{' in bursts' if bursts else ''}: gaps where they were",
                frames == expected and lost == len(drops),
            )
        )
    junk = [dice.randbytes(dice.randrange(0, 40)) for _ in range(BACK_TO_BACK)]
    _frames(junk)
    return [*found, ("random bytes: no exception", True)]


def _frames(packets: Sequence[bytes]) -> tuple[list[int], int, int]:
    """Numbers of the frames in the order in which they come out, -1 for each that is missing; lost, late."""
    assembler, out = Assembler(), []
    for packet in packets:
        out += assembler.feed(packet)
    out += assembler.flush()
    numbers: list[int] = []
    for piece in out:
        numbers += [-1] * piece.frames if isinstance(piece, Gap) else [int.from_bytes(piece[:4], "little")]
    return numbers, assembler.counts.lost, assembler.counts.late


def _through_codec(bench: Bench) -> list[tuple[str, str]]:
    """Real frames through the assembler and the codec as quickly as they can be taken."""
    frames: list[bytes] = []
    for clip in clips(bench.split, "wake", "20dB", bench.home):
        frames += clip.packets if clip.frame == 160 else ()
    frames = (frames * (BACK_TO_BACK // len(frames) + 1))[:BACK_TO_BACK]
    codec, length, cost = codec_of(160), 0, time.process_time()
    flow = Flow(codec, open_decoder(codec), 0.0, lambda: None)
    flow.begin()
    for packet in notified(frames, LOSS_FIRST):
        flow.put(packet)
        if flow.waiting >= 32:
            length += sum(len(sound.pcm) for sound in flow.drain())
    length += sum(len(sound.pcm) for sound in (*flow.drain(), *flow.drain(), *flow.finish()))
    cost, seen = time.process_time() - cost, flow.reception()
    flow.close()
    sent_s, got_s = BACK_TO_BACK * codec.frame_s, length / SAMPLE / RATE
    right = "exact" if abs(sent_s - got_s) < 1e-6 and seen.received == BACK_TO_BACK and not seen.lost else "WRONG"
    return [
        ("through assembler and Opus", f"{got_s:.2f} s of {sent_s:.2f} s sent, {seen.lost} lost: {right}"),
        (
            "their processor time",
            f"{1e6 * cost / BACK_TO_BACK:.0f} µs a packet; the counter wrapped {(LOSS_FIRST + BACK_TO_BACK) // IDS} times",
        ),
    ]


def show_cpu(bench: Bench) -> None:
    """Table: what listening costs, with assembler and codec."""
    quiet = np.random.default_rng(7).standard_normal(IDLE_S * RATE).astype(np.float32) * np.float32(
        10 ** (FLOOR_DB / 20)
    )
    rows = []
    sounds: list[tuple[str, Samples, float]] = [("silence (the microphone's own noise)", quiet, 3.0)]
    for level in (-50, -30):
        noise = pink()[: IDLE_S * RATE] * np.float32(10 ** (level / 20))
        sounds.append((f"steady pink noise, {level} dB of full scale", noise, 3.0))
    sounds += [(f"talk, no pause above {pause} s", _talk(bench, pause), 12.0) for pause in PAUSES_S]
    for name, samples, target in sounds:
        for frame in (160, 320):
            run = bench.listener.hear(encoded(pcm_of(samples), frame), frame)
            percent = 100 * run.processor_s / run.sound_s
            rows.append(
                (
                    name,
                    f"{frame // 16} ms",
                    f"{percent:.1f} %",
                    f"< {target:.0f} % {'met' if percent < target else 'missed'}",
                    _woke(run),
                )
            )
    heads = ("what is heard", "packets", "of one core", "target", "false wakes")
    print(table(f"Processor; the spotter is built in {bench.listener.building_s:.1f} s", heads, rows), flush=True)


def _woke(run: Run) -> str:
    return str(len(run.woken))


def _talk(bench: Bench, pause: float) -> Samples:
    """Prose of many voices without its longer pauses."""
    size = RATE // 50
    kept: list[Samples] = []
    for clip in clips(bench.split, "prose", "mixed", bench.home):
        if clip.params["condition"] != "quiet":
            continue
        samples = np.frombuffer(clip.pcm, "<i2").astype(np.float32) / np.float32(32_768)
        windows = samples[: len(samples) // size * size].reshape(-1, size)
        power = np.mean(windows.astype(np.float64) ** 2, axis=1)
        still = 0
        for window, loud in zip(windows, power > np.max(power) * 10**-4.5, strict=True):
            still = 0 if loud else still + 1
            if still * size <= pause * RATE:
                kept.append(window)
        if len(kept) * size >= TALK_S * RATE:
            break
    return np.concatenate(kept)[: TALK_S * RATE]
