"""Which quirks a model has: those of its vendor, then of its id, then what the settings say."""

from __future__ import annotations

from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.types import JsonObject

_BY_HOST: dict[str, JsonObject] = {
    "api.openai.com": {"limit_field": "max_completion_tokens"},
    "openrouter.ai": {"tells_cost": True},
}


def quirks_of(spec: ModelSpec) -> Quirks:
    """The quirks of one model."""
    return Quirks(**{**_BY_HOST.get(spec.host, {}), **spec.quirks})
