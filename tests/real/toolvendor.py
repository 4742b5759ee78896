"""A vendor of chat completions whose model calls tools: what it says is a function of the request.

    with vendor(answer) as running:
        ...running.url, running.bodies

Payload shapes: https://platform.openai.com/docs/api-reference/chat and …/chat-streaming.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
Answer = Callable[[Json], "str | Wanted"]


@dataclass
class Wanted:
    """A tool that the model calls."""

    name: str
    arguments: Json
    says: str = ""
    """Text before the call."""


@dataclass
class Running:
    url: str
    bodies: list[Json] = field(default_factory=list)


def _chunks(said: str | Wanted, number: int, model: str) -> Iterator[Json]:
    def chunk(delta: Json, finish: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        head = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1741569952, "model": model}
        return {**head, "choices": [choice], "usage": None}

    yield chunk({"role": "assistant", "content": "" if isinstance(said, str) or said.says else None})
    text = said if isinstance(said, str) else said.says
    for at in range(0, len(text), 7):
        yield chunk({"content": text[at : at + 7]})
    if isinstance(said, Wanted):
        call = {"index": 0, "id": f"call_{number}", "type": "function"}
        yield chunk({"tool_calls": [{**call, "function": {"name": said.name, "arguments": ""}}]})
        arguments = json.dumps(said.arguments)
        for at in range(0, len(arguments), 9):
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments[at : at + 9]}}]})
    yield chunk({}, "stop" if isinstance(said, str) else "tool_calls")
    yield {**chunk({}), "choices": [], "usage": USAGE}


USAGE = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}


def _whole(said: str | Wanted, number: int, model: str) -> Json:
    message: Json = {"role": "assistant", "content": said if isinstance(said, str) else said.says or None}
    if isinstance(said, Wanted):
        function = {"name": said.name, "arguments": json.dumps(said.arguments)}
        message["tool_calls"] = [{"id": f"call_{number}", "type": "function", "function": function}]
    finish = "stop" if isinstance(said, str) else "tool_calls"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    head = {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1741569952, "model": model}
    return {**head, "choices": [choice], "usage": USAGE}


@contextmanager
def vendor(answer: Answer) -> Iterator[Running]:
    """Serve until the block ends."""
    running = Running("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            running.bodies.append(body)
            said, number = answer(body), len(running.bodies)
            if body.get("stream"):
                frames = [json.dumps(chunk) for chunk in _chunks(said, number, body["model"])]
                data = "".join(f"data: {frame}\n\n" for frame in [*frames, "[DONE]"]).encode()
            else:
                data = json.dumps(_whole(said, number, body["model"])).encode()
            self.send_response(200)
            self.send_header("content-type", "text/event-stream" if body.get("stream") else "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    running.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
