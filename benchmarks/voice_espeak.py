"""Says one text with libespeak-ng and tells when each sound begins. Run as a program, one text a process: the library
keeps state between texts, so that a second one would depend on the first.

Reads JSON from standard input: `voice` (such as `en-us+f3`), `text`, `rate` (words a minute), `pitch` (0 to 99). Writes a line of
JSON, `rate` (samples per second) and `phones` (character position, sample, name), then the samples, 16-bit mono.
Source: espeak-ng's `speak_lib.h` (espeak_EVENT, espeak_Initialize, espeak_Synth).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import sys
from typing import Any

SYNCHRONOUS = 2
PHONES = 0x0001
DONT_EXIT = 0x8000
PHONE = 7
RATE, PITCH = 1, 3
UTF8 = 1


class Event(ctypes.Structure):
    """`espeak_EVENT`."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )


def main() -> None:
    asked: dict[str, Any] = json.load(sys.stdin)
    name = ctypes.util.find_library("espeak-ng")
    library = ctypes.CDLL(name or "libespeak-ng.so.1")
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, None, PHONES | DONT_EXIT)
    pcm = bytearray()
    phones: list[tuple[int, int, str]] = []
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))

    def take(samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            pcm.extend(ctypes.string_at(samples, count * 2))
        at = 0
        while events[at].type:
            if events[at].type == PHONE:
                phones.append((events[at].text_position, events[at].sample, events[at].name.decode("utf-8", "replace")))
            at += 1
        return 0

    callback = kind(take)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(str(asked["voice"]).encode()):
        raise SystemExit(f"espeak-ng has no voice {asked['voice']}")
    library.espeak_SetParameter(RATE, int(asked["rate"]), 0)
    library.espeak_SetParameter(PITCH, int(asked["pitch"]), 0)
    text = str(asked["text"]).encode()
    library.espeak_Synth(text, len(text) + 1, 0, 1, 0, UTF8, None, None)
    sys.stdout.buffer.write(json.dumps({"rate": rate, "phones": phones}).encode() + b"\n" + bytes(pcm))


if __name__ == "__main__":
    main()
