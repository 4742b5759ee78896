"""Any model of sentence-transformers, in a child process (`worker`): about 11 ms for a question, 10 s to load.

Needs the extra `semantic`. The child has no keys in its environment and does not go to the network for its model.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from array import array
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio

from orchestra_mcp.errors import Unavailable
from orchestra_mcp.gateway.embedding.engine import MAX_CHARS, Vector

LOAD_S = 180.0
"""Longest time to load."""
ANSWER_S = 20.0
"""Longest time for one request."""
_PASSED_ON = (
    "PATH", "HOME", "USERPROFILE", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR",
    "TEMP", "TMP",
)  # fmt: skip


class Sentence:
    """A model of sentence-transformers.

    Args:
        place: directory of the model's files.
        name: names the model in the tag; default: that of the directory.
    """

    def __init__(self, place: Path, name: str = "") -> None:
        self._place = place
        self._tag = f"sentence-transformers:{name or place.name}"
        self._pool: ThreadPoolExecutor | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._loading: Future[None] | None = None
        self._closed = False

    @property
    def tag(self) -> str:
        """Engine and model."""
        return self._tag

    @property
    def ready(self) -> bool:
        """Whether the child has loaded the model and lives."""
        done = self._loading is not None and self._loading.done() and self._loading.exception() is None
        return done and self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Begin to load in the background. A child that has failed is not begun again."""
        if self._loading is None and not self._closed:
            self._pool = ThreadPoolExecutor(1, "embedding")
            self._loading = self._pool.submit(self._load)

    async def embed(self, texts: tuple[str, ...]) -> tuple[Vector, ...]:
        """One vector of unit length for each text.

        Raises:
            Unavailable: the model cannot be loaded, or its process has ended or hangs.
        """
        self.start()
        loading, pool = self._loading, self._pool
        if loading is None or pool is None:
            raise Unavailable("The embedding model was closed.", "server")
        loaded = loading.done()
        cut = tuple(text[:MAX_CHARS] for text in texts)
        asked = asyncio.wrap_future(pool.submit(self._ask, loading, cut))
        try:
            with anyio.fail_after(ANSWER_S if loaded else LOAD_S + ANSWER_S):
                # Shielded: an answer that nobody waits for has to be read all the same, or the next one would get it.
                return await asyncio.shield(asked)
        except TimeoutError:
            self._kill()
            raise Unavailable("The process of the embedding model hangs; it was ended.", "timeout") from None
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise Unavailable(f"The process of the embedding model failed: {error}", "server") from error

    def _load(self) -> None:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        # -P: the directory of the script would put modules of ours before libraries of the same name.
        command = [sys.executable, "-P", str(Path(__file__).with_name("worker.py")), str(self._place)]
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        if self._closed:
            self._kill()
        self._line()

    def _ask(self, loading: Future[None], texts: tuple[str, ...]) -> tuple[Vector, ...]:
        loading.result()
        child = self._child
        if child is None or child.stdin is None:
            raise RuntimeError("closed")
        child.stdin.write(json.dumps({"texts": texts}).encode() + b"\n")
        child.stdin.flush()
        rows = self._line()["vectors"]
        if len(rows) != len(texts):
            raise ValueError("it sent another number of vectors")
        return tuple(tuple(array("f", base64.b64decode(row))) for row in rows)

    def _line(self) -> dict[str, Any]:
        child = self._child
        line = child.stdout.readline() if child and child.stdout else b""
        said = json.loads(line) if line else {"error": "it ended"}
        if "error" in said:
            raise RuntimeError(str(said["error"]))
        return dict(said)

    def _kill(self) -> None:
        if self._child is not None:
            with suppress(OSError):
                self._child.kill()

    async def aclose(self) -> None:
        """End the child, also one that is still loading."""
        self._closed = True
        self._kill()
        pool, self._pool = self._pool, None
        if pool is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._bury, pool)

    def _bury(self, pool: ThreadPoolExecutor) -> None:
        pool.shutdown(wait=True, cancel_futures=True)  # soon: nobody answers it any more
        child = self._child
        if child is None:
            return
        self._kill()
        with suppress(subprocess.TimeoutExpired):
            child.wait(5)
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with suppress(OSError, ValueError):
                    pipe.close()


def installed() -> bool:
    """Whether what this engine needs is installed; imports nothing."""
    return find_spec("sentence_transformers") is not None and find_spec("torch") is not None
