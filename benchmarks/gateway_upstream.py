"""A model server for benchmarks: canned replies of OpenAI's dialect, as cheap as Python can give them.

    python benchmarks/gateway_upstream.py [--port N]

One process, one loop, no framework. The model's name says how it behaves: `steady` always answers; `chaos` hangs, fails
or talks nonsense, a tenth of the calls each (seeded, so that every subject of a run meets the same); `wait-50` takes
50 ms. A stream has 53 chunks, each written on its own. The address is printed on the first line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import signal
import sys

WORDS = 53
TEXT = ("The lock is taken twice on this path: once by the caller and once below it, so that the thread waits for "
        "itself. Move the second one out, or make the lock re-entrant. ") * 4  # fmt: skip


def whole(model: str) -> bytes:
    body = {
        "id": "chatcmpl-9a1b2c3d4e5f", "object": "chat.completion", "created": 1763683200, "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []},
                     "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 57, "completion_tokens": 154, "total_tokens": 211,
                  "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                  "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0}},
        "service_tier": "default", "system_fingerprint": "fp_44709d6fcb",
    }  # fmt: skip
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


def chunks(model: str) -> list[bytes]:
    base = {"id": "chatcmpl-9a1b2c3d4e5f", "object": "chat.completion.chunk", "created": 1763683200, "model": model}
    words = (TEXT.split(" ") * 2)[: WORDS - 3]
    deltas: list[object] = [{"role": "assistant", "content": ""}, *({"content": f"{w} "} for w in words)]
    events: list[dict[str, object]] = [
        {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    events.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    usage = {"prompt_tokens": 57, "completion_tokens": 50, "total_tokens": 107}
    events.append({**base, "choices": [], "usage": usage})
    sent = [f"data: {json.dumps(event)}\n\n".encode() for event in events]
    sent[-1] += b"data: [DONE]\n\n"
    assert len(sent) == WORDS
    return [b"%x\r\n%b\r\n" % (len(data), data) for data in sent]


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FAILURE = b"HTTP/1.1 500 Oops\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
NONSENSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 14\r\n\r\n<html>hi</html>"[:-1]
MODEL = re.compile(rb'"model": ?"([^"]*)"')
STREAM = re.compile(rb'"stream": ?true')
LENGTH = re.compile(rb"(?i)content-length: *(\d+)")


class Server:
    """Counts what it is asked, and answers."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._whole: dict[str, bytes] = {}
        self._chunks: dict[str, list[bytes]] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                named = MODEL.search(body)
                await self._answer(named[1].decode() if named else "steady", bool(STREAM.search(body)), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, model: str, stream: bool, writer: asyncio.StreamWriter) -> None:
        if model.startswith("chaos"):
            luck = self._dice.random()
            if luck < 0.1:
                await asyncio.sleep(3600)
            if luck < 0.3:
                writer.write(FAILURE if luck < 0.2 else NONSENSE)
                return
        elif model.startswith("wait-"):
            await asyncio.sleep(int(model[5:]) / 1000)
        if not stream:
            if model not in self._whole:
                self._whole[model] = whole(model)
            writer.write(self._whole[model])
            return
        if model not in self._chunks:
            self._chunks[model] = chunks(model)
        writer.write(STREAM_HEAD)
        for chunk in self._chunks[model]:
            writer.write(chunk)
            await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")


async def main(port: int, seed: int) -> None:
    server = await asyncio.start_server(Server(seed).serve, "127.0.0.1", port, limit=2**20)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    async with server:
        await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    asyncio.run(main(given.port, given.seed))
    sys.exit(0)
