"""The child process of `sentence`: texts in, vectors out, one line of JSON each.

Importing torch takes seconds, during which the interpreter lets nobody else run: so it happens here. Run as a file, so
that it imports nothing of ours. The first line out says that the model is loaded; it ends when its input ends.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from array import array
from importlib import import_module
from typing import Any, BinaryIO


def main() -> int:
    """Load the model that is named on the command line, then answer until nobody asks any more."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries may print; only we answer
    try:
        model, width = load(sys.argv[1])
    except Exception as error:  # noqa: BLE001 - the parent is told, whatever it was
        say(out, {"error": type(error).__name__})
        return 1
    say(out, {"ready": True, "width": width})
    for line in sys.stdin.buffer:
        try:
            vectors = model.encode(
                json.loads(line)["texts"], normalize_embeddings=True, show_progress_bar=False, batch_size=16
            )
            say(out, {"vectors": [base64.b64encode(array("f", v.tolist()).tobytes()).decode() for v in vectors]})
        except Exception as error:  # noqa: BLE001
            say(out, {"error": type(error).__name__})
    return 0


def load(place: str) -> tuple[Any, int]:
    """The model and the length of its vectors."""
    import_module("torch").set_num_threads(1)
    model = import_module("sentence_transformers").SentenceTransformer(place, device="cpu")
    return model, len(model.encode("warm up", show_progress_bar=False))


def say(out: BinaryIO, what: dict[str, Any]) -> None:
    """Write one line."""
    out.write(json.dumps(what).encode() + b"\n")
    out.flush()


if __name__ == "__main__":
    sys.exit(main())
