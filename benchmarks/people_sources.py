"""Recordings of people in packages of Debian and in a wheel: which there are, and how each is taken apart. `people_make.py` uses it.

A reader gets the unpacked package and the folder of downloads, and yields clips as they lie in it. What is doubtful about a source is
said in its docstring. Formats of games: the sources of ScummVM (engines/drascula, engines/queen, engines/sky).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

Sox = tuple[str, ...]
RAW8: Sox = ("-t", "raw", "-c", "1", "-r", "11025", "-e", "unsigned", "-b", "8")
RAW16: Sox = ("-t", "raw", "-c", "1", "-r", "16000", "-e", "signed", "-b", "16")
WAV: Sox = ("-t", "wav")
MP3: Sox = ("-t", "mp3")
G722: Sox = ()
"""No format of sox: ffmpeg decodes it."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording."""

    source: str
    name: str
    data: bytes
    kind: Sox
    """How sox reads the data."""
    licence: str
    speaker: str = ""
    text: str | None = None


Reader = Callable[[Path, Path], Iterator[Clip]]
"""Unpacked package, folder of downloads."""

CITIES = """It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was
the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of Darkness, it was the
spring of hope, it was the winter of despair, we had everything before us, we had nothing before us, we were all going direct
to Heaven, we were all going direct the other way - in short, the period was so far like the present period, that some of its
noisiest authorities insisted on its being received, for good or for evil, in the superlative degree of comparison only."""
"""Charles Dickens, 1859."""
BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."


def asterisk(tree: Path, downloads: Path) -> Iterator[Clip]:
    """Prompts of a telephone exchange, one speaker, 16 kHz; texts from upstream's list if it is there."""
    lines = "".join(path.read_text("utf-8", "replace") for path in downloads.glob("core-sounds-en.txt"))
    said = {name.removesuffix(".wav"): words.strip() for name, words in re.findall(r"(?m)^([^;:]+):(.*)$", lines)}
    for path in sorted(tree.rglob("*.g722")):
        where, name = str(path.relative_to(tree))[:-5].split("/sounds/")[1].split("/", 1)
        if not re.search(r"^silence/|beep|2tone|^confbridge-(join|leave)$|monkeys$", name):
            flat = name.replace("/", "_")
            yield Clip("asterisk-en", flat, path.read_bytes(), G722, "CC-BY-SA-3.0", where, said.get(name))


def pocketsphinx(tree: Path, _downloads: Path) -> Iterator[Clip]:
    """A chapter of LibriVox, digits, cards: little, of several speakers."""
    lines = "".join(path.read_text("utf-8", "replace") for path in sorted(tree.rglob("*transcription")))
    said = {name: words.strip() for words, name in re.findall(r"<s>(.*?)</s>\s*\((.*?)\)", lines)}
    for path in sorted([*tree.rglob("*.wav"), *tree.rglob("*.raw")]):
        kind, room = WAV if path.suffix == ".wav" else RAW16, path.parent.name
        yield Clip(
            "pocketsphinx", f"{room}_{path.stem}", path.read_bytes(), kind, "BSD-2-clause", room, said.get(path.stem)
        )


def moonshine(tree: Path, _downloads: Path) -> Iterator[Clip]:
    """The samples of the speech model's own wheel."""
    for name, words in (("two_cities", CITIES), ("beckett", BECKETT)):
        data = (tree / f"{name}.wav").read_bytes()
        yield Clip("moonshine", name, data, WAV, "MIT", "", " ".join(words.split()))


def drascula(tree: Path, _downloads: Path) -> Iterator[Clip]:
    """Actors of a comedy, 11 kHz, 8 bit. What is said differs often from the texts."""
    folder, at, said = next(tree.rglob("drascula.dat")).parent, 9, dict[str, str]()
    data = (folder / "drascula.dat").read_bytes()
    for width in (4, 4, 4, 2, 4, 2, 4, 2, 2, 20, 20, 10, 8):  # the game's tables: a count, then that many entries
        at += 2 + width * big(data, at)
    languages, at = big(data, at), at + 2
    for prefix in ("", "D", "B", "BJ", "E", "I", "L", "P", "T", "VB"):
        count, at, here = big(data, at), at + 2, at + 6
        for number in range(count):  # English is the first language
            said[f"{prefix}{number}"] = data[here + 2 : data.index(b"\0", here + 2)].decode("cp850").strip()
            here += big(data, here)
        for _ in range(languages):
            at += 2 + big(data, at)
    for path in sorted(folder.glob("*.ALS")):
        if words := said.get(path.stem):  # the rest: noises
            who = "drascula:" + (path.stem.rstrip("0123456789") or "hero")
            yield Clip("drascula", path.stem, path.read_bytes()[32:], RAW8, "Drascula licence", who, words)


def big(data: bytes, at: int) -> int:
    """Two bytes, the higher first."""
    return int.from_bytes(data[at : at + 2], "big")
