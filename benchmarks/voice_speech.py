"""Speech by espeak-ng, flite and, where it is installed, festival; the moment at which the wake phrase ends is the synthesiser's.

Exact to a few milliseconds: espeak-ng tells the sample at which each sound begins (`voice_espeak.py`), flite and festival
the end of each sound (`-psdur`, `utt.save.segs`). The phrase ends where its last sound does; a following silence is not part of it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

RATE = 16_000
PHRASE = "hey orchestra"
PHONES = ("hh", "ey", "ao", "r", "k", "ax", "s", "t", "r", "ax")
"""Of the phrase, as the dictionaries of flite and festival have it."""
WITHOUT_H = "eigh"
"""What espeak-ng reads as "hey" without its h."""
NEEDED = "The clips are made by espeak-ng, flite and sox: apt-get install espeak-ng flite sox"
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Voice:
    """One way of speaking."""

    engine: Literal["espeak", "flite", "festival"]
    name: str
    speed: float = 1.0
    pitch: float = 1.0
    tract: float = 1.0
    """Of the vocal tract: all is played so many times faster, after it was spoken so many times slower."""
    aitch: bool = True
    """Whether "hey" has its h; of espeak-ng only."""

    def params(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text in sound, full scale 1."""

    samples: Samples
    phrase_end_s: float | None
    """None when the text does not begin with the phrase."""


def missing() -> list[str]:
    """Programs that are not installed."""
    return [name for name in ("espeak-ng", "flite", "sox") if not shutil.which(name)]


def speak(voice: Voice, text: str) -> Spoken:
    """A text as this voice says it, loudest sample at 1."""
    say = {"espeak": _espeak, "flite": _flite, "festival": _festival}[voice.engine]
    raw, rate, end = say(voice, text)
    effects = ["speed", str(voice.tract)] if voice.tract != 1 else []
    source = ["-t", "raw", "-r", str(rate), "-c", "1", "-b", "16", "-e", "signed", "-"]
    out = ["-t", "raw", "-r", str(RATE), "-c", "1", "-b", "16", "-e", "signed", "-"]
    done = run(["sox", "-R", "-G", *source, *out, *effects], raw)
    samples = np.frombuffer(done, np.int16).astype(np.float32) / 32_768
    loudest = float(np.max(np.abs(samples), initial=0.0)) or 1.0
    spoken = text.lower().startswith(PHRASE)
    return Spoken((samples / loudest).astype(np.float32), end / voice.tract if spoken and end is not None else None)


def run(command: list[str], given: bytes = b"") -> bytes:
    """What a program writes.

    Raises:
        SystemExit: it failed; its words.
    """
    done = subprocess.run(command, input=given, capture_output=True, timeout=60, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]}: {done.stderr.decode(errors='replace').strip()[-300:]}")
    return done.stdout


def _espeak(voice: Voice, text: str) -> tuple[bytes, int, float | None]:
    said = text if voice.aitch else re.sub(r"\bhey\b", WITHOUT_H, text)
    asked = {
        "voice": voice.name,
        "text": said,
        "rate": round(165 * voice.speed / voice.tract),
        "pitch": min(99, max(0, round(50 * voice.pitch))),
    }
    child = [sys.executable, "-I", "-S", str(Path(__file__).with_name("voice_espeak.py"))]
    head, _, pcm = run(child, json.dumps(asked).encode()).partition(b"\n")
    told = json.loads(head)
    inside, end = False, None
    last = said.find(" ") + 2  # where the phrase's second word begins; characters are counted from 1
    for position, sample, name in told["phones"]:
        if inside and (position != last or name.startswith("_")):
            end = sample / told["rate"]
            break
        inside = inside or position == last
    return pcm, told["rate"], end


def _flite(voice: Voice, text: str) -> tuple[bytes, int, float | None]:
    mean = {"kal": 105, "kal16": 105, "rms": 90, "slt": 160, "awb": 120}[voice.name] * voice.pitch
    with tempfile.TemporaryDirectory() as place:
        wav = Path(place) / "a.wav"
        shape = [
            "--setf",
            f"duration_stretch={voice.tract / voice.speed:.4f}",
            "--setf",
            f"int_f0_target_mean={mean:.1f}",
        ]
        told = run(["flite", "-voice", voice.name, *shape, "-t", text, "-o", str(wav), "-psdur"]).decode()
        pcm, rate = _wav(wav)
    return pcm, rate, _end([(name, float(end)) for name, end in re.findall(r"(\S+):([\d.]+)", told)])


def _festival(voice: Voice, text: str) -> tuple[bytes, int, float | None]:
    with tempfile.TemporaryDirectory() as place:
        wav, labels, script = (Path(place) / name for name in ("a.wav", "a.lab", "a.scm"))
        words = text.replace("\\", "").replace('"', "")
        script.write_text(
            f"(voice_{voice.name})\n(Parameter.set 'Duration_Stretch {voice.tract / voice.speed:.4f})\n"
            f'(set! said (utt.synth (Utterance Text "{words}")))\n'
            f'(utt.save.wave said "{wav}" \'riff)\n(utt.save.segs said "{labels}")\n',
            encoding="utf-8",
        )
        run(["festival", "-b", str(script)])
        rows = [line.split() for line in labels.read_text(encoding="utf-8").splitlines() if line.count(" ") >= 2]
        pcm, rate = _wav(wav)
    return pcm, rate, _end([(row[2], float(row[0])) for row in rows if row[0] != "#"])


def _end(sounds: list[tuple[str, float]]) -> float | None:
    spoken = [sound for sound in sounds if sound[0] not in ("pau", "#", "sil")]
    if tuple(name for name, _ in spoken[: len(PHONES)]) != PHONES:
        return None
    return spoken[len(PHONES) - 1][1]


def _wav(path: Path) -> tuple[bytes, int]:
    rate = int(run(["soxi", "-r", str(path)]))
    return run(["sox", str(path), "-t", "raw", "-c", "1", "-b", "16", "-e", "signed", "-"]), rate


def missing_festival() -> list[str]:
    """What festival's two voices lack."""
    if not shutil.which("festival"):
        return ["festival"]
    told = subprocess.run(
        ["festival", "--pipe"], input=b"(print (voice.list))\n", capture_output=True, timeout=20, check=False
    )
    return [name for name in ("ked_diphone", "cmu_us_slt_arctic_hts") if name not in told.stdout.decode()]
