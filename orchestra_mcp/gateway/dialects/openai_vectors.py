"""Embeddings: OpenAI's way, which most vendors share.

Reference: https://platform.openai.com/docs/api-reference/embeddings. `encoding_format` is left out: servers that do not
know it reject it, and OpenAI's default is numbers.
"""

from __future__ import annotations

import base64
import struct
from typing import Any

from orchestra_mcp.gateway.dialects import openai_terms as terms
from orchestra_mcp.gateway.dialects.dialect import Embeddings, Vectors
from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.openai_decoder import usage_of
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.provider import EmbedRequest
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.types import JsonObject


def url(spec: ModelSpec, _quirks: Quirks) -> str:
    """Where to post."""
    return terms.place(spec, "embeddings")


def to_wire(request: EmbedRequest, spec: ModelSpec, quirks: Quirks) -> JsonObject:
    """The body of the request."""
    body: JsonObject = {"model": spec.model, "input": list(request.texts)}
    if request.dimensions is not None and "dimensions" not in quirks.omit:
        body["dimensions"] = request.dimensions
    return body


def from_wire(body: JsonObject, source: Source) -> Vectors:
    """The vectors in the order of the texts.

    Raises:
        ProviderError: the reply carries an error, or no vectors.
        ValueError, TypeError, KeyError: it has another shape.
    """
    if body.get("error"):
        raise source.from_event(body)
    if not isinstance(body.get("data"), list):
        raise source.garbage("JSON without data")
    rows = sorted(body["data"], key=lambda row: int(row.get("index") or 0))
    return Vectors(
        vectors=tuple(_numbers(row["embedding"]) for row in rows),
        usage=usage_of(body.get("usage")),
        model=str(body.get("model") or ""),
    )


def _numbers(raw: Any) -> tuple[float, ...]:
    """Numbers, or base64 of little-endian floats of 32 bits."""
    if isinstance(raw, str):
        data = base64.b64decode(raw, validate=True)
        if len(data) % 4:
            raise ValueError("no whole number of floats")
        return struct.unpack(f"<{len(data) // 4}f", data)
    return tuple(map(float, raw))


EMBEDDINGS = Embeddings(url=url, to_wire=to_wire, from_wire=from_wire)
