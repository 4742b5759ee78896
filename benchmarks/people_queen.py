"""The recordings of "Flight of the Amazon Queen" and what is said in them: one file, `queen.1c`. `people_make.py` uses it.

Format: ScummVM, engines/queen (resource.cpp, talk.cpp, cutaway.cpp).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

from people_sources import MP3, Clip, big

LICENCE = "Flight of the Amazon Queen licence"


def queen(tree: Path, _downloads: Path) -> Iterator[Clip]:
    """Actors of an adventure, as MP3; half of it one hero's."""
    files = _files(next(tree.rglob("queen.1c")).read_bytes())
    said, who = _texts(files)
    for stem, raw in ((name[:-3], files[name]) for name in sorted(files) if name[:-3] in said):  # the rest: noises
        person = "JOE" if stem[-2] == "J" else who.get(stem[:2], "")
        yield Clip("queen", stem, raw, MP3, LICENCE, f"queen:{person}" * bool(person), said[stem])


def _files(data: bytes) -> dict[str, bytes]:
    found = {}
    for at in range(15, 15 + 21 * big(data, 13), 21):
        name, _, offset, size = struct.unpack_from(">12sBII", data, at)
        found[name.rstrip(b"\0").decode()] = data[offset : offset + size]
    return found


def _texts(files: dict[str, bytes]) -> tuple[dict[str, str], dict[str, str]]:
    """What is said in each file, and whose talk a number is."""
    said, who = dict[str, str](), {"JO": "JOE"}
    for name, body in ((name, raw[20:]) for name, raw in files.items()):
        if name.endswith(".DOG"):
            said |= _talk(body)
            who[f"{big(body, 4):02d}"] = re.sub(r"\d*\.DOG", "", name)
        elif name.endswith(".CUT"):  # a scene
            at = _words_at(body, big(body, 8))[1]
            for number in range(1, min(big(body, 2), 65_536 - big(body, 2)) + 1):
                words, at = _words_at(body, at)
                said |= _parts(f"{name[:-4]:_<5}{number:02d}", words)
    rooms, names, _, things = struct.unpack_from(">4H", files["QUEEN.JAS"], 20)
    lines = files["QUEEN2.JAS"].decode("cp850").splitlines()
    for number, line in enumerate(lines[things + names + rooms + 12 :][:40] + lines[:things], 1):
        said |= _parts(f"JOE{number:04d}", line)
    return said, who


def _talk(body: bytes) -> dict[str, str]:
    """What can be said in one talk: the hero's lines (J), the other person's (P)."""
    said: dict[str, str] = {}
    levels, key = min(big(body, 0), 65_536 - big(body, 0)), f"{big(body, 4):2d}"
    joe = 32 + levels * 96
    for begin, count, side in ((joe, big(body, 6), "J"), (big(body, 22), big(body, 8), "P")):
        at = begin
        for _ in range(count):
            number, (words, at) = big(body, at + 2), _words_at(body, at + 4, 4)
            said |= _parts(f"{key}{number:4x}{side}", words)
    words, at = _words_at(body, big(body, 26))
    first, again = "" if big(body, joe + 2) else _words_at(body, joe + 4)[0], _words_at(body, at)[0]
    return said | _parts(key + "SSSSJ", first) | _parts(key + "XXXXP", words) | _parts(key + "XXXXJ", again)


def _words_at(data: bytes, at: int, align: int = 2) -> tuple[str, int]:
    length, at = data[at], at + 1
    return data[at : at + length].decode("cp850"), (at + length + align - 1) & -align if length else at


def _parts(prefix: str, sentence: str) -> dict[str, str]:
    """A text is cut at stage directions (*FL, *XY00(237,112)): a file each."""
    return {
        f"{prefix.replace(' ', '0')}{number:X}".upper(): " ".join(part.split())
        for number, part in enumerate(re.split(r"\*(?:XY.{11}|..?)", sentence), 1)
        if part.strip()
    }
