"""The embedded engine in a process of its own.

pocketsphinx does not let go of the interpreter while it decodes, half a second at a time, in which no event loop of this
process could turn; and what runs in another process can be stopped at any moment. Its life: started at the first question, kept
for the next, ended with the engine or when a question is cancelled.

On the wire, both ways: four bytes with a length, that many bytes of JSON; a request goes on with four bytes and its sound.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

import orchestra_mcp
from orchestra_mcp.edge.nouns import Vocabulary
from orchestra_mcp.edge.words.decoded import Decoded, Word
from orchestra_mcp.errors import VoiceError

_RUN: Final = "import sys; sys.path.append(sys.argv.pop(1)); from orchestra_mcp.edge.words.child import main; main()"
_LENGTH: Final = struct.Struct(">I")
_LARGEST: Final = 4_000_000
"""Bytes of one message; 25 seconds of sound are 800,000."""
MISSING: Final = "The embedded engine needs packages: pip install 'orchestra-council[omi]'"
_PACKAGE: Final = str(Path(orchestra_mcp.__file__).resolve().parent.parent)


class Child:
    """Asks a child process; one question at a time, the others wait.

    Args:
        phrase: the wake phrase.
    """

    def __init__(self, phrase: str) -> None:
        self._phrase = phrase
        self._process: Process | None = None
        self._replies: BufferedByteReceiveStream | None = None
        self._lock = anyio.Lock()

    async def hear(self, pcm: bytes, vocabulary: Vocabulary, *, order: bool, patience_s: float) -> Decoded | None:
        """What the engine makes of some sound; None for nothing.

        Args:
            pcm: the sound; empty only builds the model.
            order: only commands are expected.
            patience_s: after so many seconds the child is given up.

        Raises:
            VoiceError: it failed or took too long.
        """
        async with self._lock:
            done = False
            try:
                with anyio.fail_after(patience_s):
                    reply = await self._asked(pcm, vocabulary, order)
                done = True
            except TimeoutError:
                raise VoiceError("The embedded engine took too long; the computer may be busy. Ask again.") from None
            except (
                OSError,
                anyio.EndOfStream,
                anyio.IncompleteRead,
                anyio.BrokenResourceError,
                anyio.ClosedResourceError,
            ):
                raise VoiceError("The embedded engine ended unexpectedly; ask again.") from None
            finally:
                if not done:
                    await self._end()
        if problem := reply.get("error"):
            raise VoiceError(str(problem))
        return Decoded(**{**reply, "words": tuple(Word(**word) for word in reply["words"])}) if reply else None

    async def aclose(self) -> None:
        """End the child."""
        await self._end()

    async def _asked(self, pcm: bytes, vocabulary: Vocabulary, order: bool) -> dict[str, Any]:
        process, replies = await self._started()
        request = json.dumps({"phrase": self._phrase, "order": order, "vocabulary": asdict(vocabulary)}).encode()
        assert process.stdin is not None
        await process.stdin.send(_LENGTH.pack(len(request)) + request + _LENGTH.pack(len(pcm)) + pcm)
        size = _LENGTH.unpack(await replies.receive_exactly(4))[0]
        reply: dict[str, Any] = json.loads(await replies.receive_exactly(min(size, _LARGEST)))
        return reply

    async def _started(self) -> tuple[Process, BufferedByteReceiveStream]:
        if self._process is not None and self._replies is not None and self._process.returncode is None:
            return self._process, self._replies
        # -P: nothing is imported from the directory that we happen to be in.
        process = await anyio.open_process([sys.executable, "-P", "-c", _RUN, _PACKAGE], stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        self._process, self._replies = process, BufferedByteReceiveStream(process.stdout)
        return process, self._replies

    async def _end(self) -> None:
        process, self._process, self._replies = self._process, None, None
        if process is None:
            return
        with anyio.CancelScope(shield=True):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            with anyio.move_on_after(5):
                await process.aclose()


# ----------------------------------------------------------------------------------------------------- in the child


def main() -> None:
    """Answer requests from standard input until it ends."""
    models: dict[str, Any] = {}
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the parent's end closes standard input
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints gets among the replies
    while (request := _read(sys.stdin.buffer)) is not None:
        pcm = _read(sys.stdin.buffer)
        reply = json.dumps(answer(json.loads(request), pcm or b"", models)).encode()
        replies.write(_LENGTH.pack(len(reply)) + reply)
        replies.flush()


def answer(request: dict[str, Any], pcm: bytes, models: dict[str, Any]) -> dict[str, Any]:
    """What the engine makes of some sound: `Decoded` as a table, an empty table for nothing, `error` for people."""
    from orchestra_mcp.edge.words.sphinx import Model

    try:
        given = request["vocabulary"]
        identifiers, files, branches = (tuple(given[kind]) for kind in ("identifiers", "files", "branches"))
        # Not by the order of the names, which changes with every file that is touched.
        key = repr((request["phrase"], given["project"], sorted(identifiers), sorted(files), sorted(branches)))
        if key not in models:
            models.clear()  # some 100 MB
            models[key] = Model(request["phrase"], Vocabulary(given["project"], identifiers, files, branches))
        model = models[key]
        found = model.hear(pcm, order=request["order"]) if pcm else None
        return asdict(found) if found else {}
    except VoiceError as error:
        return {"error": str(error)}
    except ImportError:
        return {"error": MISSING}
    except Exception as error:  # noqa: BLE001  (the parent must hear of it; its text could hold what was said)
        return {"error": f"The embedded engine failed ({type(error).__name__})."}


def _read(stream: IO[bytes]) -> bytes | None:
    head = stream.read(4)
    if len(head) < 4:
        return None
    size = _LENGTH.unpack(head)[0]
    return stream.read(size) if size <= _LARGEST else None
