"""A small BERT in 8 bits, run by onnxruntime in a thread of its own: about 1 ms for a question.

Needs `onnxruntime` and `tokenizers`, and a directory that `export` has made.
"""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio

from orchestra_mcp.errors import Unavailable
from orchestra_mcp.gateway.embedding.engine import MAX_CHARS, Vector

LOAD_S = 60.0
"""Longest time to load, and to wait for one text."""


class Onnx:
    """Runs the exported model.

    Args:
        directory: holds `model.onnx`, `tokenizer.json` and `about.json`.

    Raises:
        OSError, ValueError, KeyError: `about.json` is missing or damaged.
    """

    def __init__(self, directory: Path) -> None:
        about = json.loads((directory / "about.json").read_text("utf-8"))
        self._directory = directory
        self._tag = str(about["tag"])
        self._tokens = int(about["tokens"])
        self._pool: ThreadPoolExecutor | None = None
        self._loading: Future[tuple[Any, Any]] | None = None

    @property
    def tag(self) -> str:
        """Engine, model and version."""
        return self._tag

    @property
    def ready(self) -> bool:
        """Whether the model is loaded."""
        return self._loading is not None and self._loading.done() and self._loading.exception() is None

    def start(self) -> None:
        """Begin to load in the background."""
        if self._loading is None:
            self._pool = ThreadPoolExecutor(1, "embedding")
            self._loading = self._pool.submit(self._load)

    async def embed(self, texts: tuple[str, ...]) -> tuple[Vector, ...]:
        """One vector of unit length for each text.

        Raises:
            Unavailable: the model cannot be loaded or run.
        """
        self.start()
        loading, pool = self._loading, self._pool
        if loading is None or pool is None:
            raise Unavailable("The embedding model was closed.", "server")

        def run() -> tuple[Vector, ...]:
            model, tokenizer = loading.result()
            return tuple(self._one(model, tokenizer, text) for text in texts)

        try:
            with anyio.fail_after(LOAD_S):
                return await _wait(pool.submit(run))
        except TimeoutError:
            raise Unavailable("The embedding model took too long.", "timeout") from None
        except Exception as error:  # whatever the libraries raise
            raise Unavailable(f"The embedding model failed: {type(error).__name__}.", "server") from error

    def _load(self) -> tuple[Any, Any]:
        onnxruntime = import_module("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a question is too short to be shared out
        options.inter_op_num_threads = 1
        file = str(self._directory / "model.onnx")
        model = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        tokenizer = import_module("tokenizers").Tokenizer.from_file(str(self._directory / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(self._tokens)
        self._one(model, tokenizer, "warm up")
        return model, tokenizer

    @staticmethod
    def _one(model: Any, tokenizer: Any, text: str) -> Vector:
        numpy = import_module("numpy")
        ids = numpy.array(tokenizer.encode(text[:MAX_CHARS]).ids, dtype=numpy.int64)
        return tuple(model.run(None, {"ids": ids})[0].tolist())

    async def aclose(self) -> None:
        """Let the model go."""
        pool, self._pool, self._loading = self._pool, None, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


async def _wait(future: Future[tuple[Vector, ...]]) -> tuple[Vector, ...]:
    import asyncio

    return await asyncio.wrap_future(future)


def installed() -> bool:
    """Whether what this engine needs is installed; imports nothing."""
    return all(find_spec(name) is not None for name in ("onnxruntime", "tokenizers", "numpy"))
