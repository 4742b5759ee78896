"""What makes two requests the same: a hash of everything that shapes the answer, and nothing else.

Left out are how the answer is carried (`stream`), who pays for it (`run`), what it is for, and how long it may take.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from orchestra_mcp.gateway.provider import ChatRequest, Message
from orchestra_mcp.types import Noun

VERSION = 2
"""Part of every key; raise it when the meaning of what is kept changes."""
_encode = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode


def scope_of(request: ChatRequest) -> str:
    """Whose answers may be used: those of the caller's workspace, else of its key, else of this machine's own user."""
    caller = request.caller
    if caller.workspace:
        return "workspace:" + caller.workspace
    return "key:" + caller.key if caller.key else ""


def key_of(request: ChatRequest) -> bytes:
    """The hash by which an answer to exactly this request is found; 32 bytes."""
    return _hash(request, request.messages, "")


def partition_of(request: ChatRequest) -> bytes:
    """The same without the last message's text: only requests of one partition can be similar; 32 bytes."""
    *earlier, last = request.messages
    return _hash(request, (*earlier, last.model_copy(update={"text": ""})), "similar")


def flight_of(request: ChatRequest) -> bytes:
    """The hash by which a request joins one in flight: also what would make their errors differ; 32 bytes."""
    return _hash(request, request.messages, f"flight {request.as_is} {request.deadline_s} {request.private}")


def _hash(request: ChatRequest, messages: tuple[Message, ...], kind: str) -> bytes:
    way = request.way
    payload = (
        VERSION,
        kind,
        scope_of(request),
        (way.route, way.partition or way.targets) if way else request.model,
        [(m.role, m.text, m.name, *[_dump(p) for p in m.parts]) for m in messages],
        request.max_tokens,
        request.temperature,
        request.top_p,
        request.stop,
        request.seed,
        request.effort,
        [_dump(t) for t in request.tools],
        request.tool_choice,
        request.tool,
        request.parallel_tools,
        request.json_only,
        _dump(request.answer) if request.answer else None,
        request.extra,
        request.extra_dialect,
        request.sample,
    )
    # JSON with escapes: any text is fit to be hashed, a lone surrogate too.
    return sha256(_encode(payload).encode("ascii")).digest()


def _dump(noun: Noun) -> dict[str, Any]:
    return noun.model_dump()
