"""Which parameters of a client's request go on to a vendor, of those that no field of ours holds.

A key's budget is reckoned from the model that was asked for, its price and `max_tokens`, and its list of models by the
name. A parameter that changes any of these behind our back (another model, a dearer tier, a tool that the vendor runs
itself, a second limit of tokens) would make both worth nothing; so what comes with a key goes on only if it is known to
change nothing but the words of the answer. The owner may send everything, save what was never meant for a vendor.

References: https://platform.openai.com/docs/api-reference/chat/create and …/responses/create,
https://docs.anthropic.com/en/api/messages, https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
(sampling beyond OpenAI's), https://openrouter.ai/docs/api-reference/parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from orchestra_mcp.types import JsonObject

MOST_LEFT_OUT: Final = 50
"""So many parameters that were left out are named."""
MARKS: Final = frozenset({"metadata", "prompt_cache_key", "safety_identifier", "user"})
"""Marks for the vendor's own records."""
ALLOWED: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "openai": MARKS | {
            "frequency_penalty", "logit_bias", "min_p", "modalities", "prediction", "presence_penalty",
            "repetition_penalty", "top_a", "top_k", "typical_p", "verbosity",
        },
        "responses": MARKS | {"truncation"},
        "anthropic": frozenset({"cache_control", "metadata", "top_k"}),
        # add here
    }
)  # fmt: skip
"""What a key may send, by the dialect of the client."""
NEVER: Final = frozenset(
    {
        "api_base", "api_key", "api_version", "azure_endpoint", "base_url", "custom_llm_provider", "deployment_id",
        "engine", "extra_body", "extra_headers", "fallbacks", "headers", "model_list", "models",
    }
)  # fmt: skip
"""What chooses another model, address or key: arguments of clients' libraries, and lists of models that a router tries.
Routes of this server do that, and know what they spend."""
VALUES: Final[Mapping[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "modalities": lambda value: value == ["text"],  # sound and pictures have prices of their own
        "cache_control": lambda value: value == {"type": "ephemeral"},  # keeping it for an hour costs more
    }
)
"""Parameters of which only some values are allowed."""


def sift(dialect: str, extra: JsonObject, *, owner: bool) -> tuple[JsonObject, list[str]]:
    """What goes on, and the names of what is left out, sorted."""
    if owner:
        if extra.keys().isdisjoint(NEVER):
            return extra, []
        kept = {name: value for name, value in extra.items() if name not in NEVER}
    else:
        known = ALLOWED.get(dialect, frozenset())
        kept = {
            name: value
            for name, value in extra.items()
            if name in known and (name not in VALUES or VALUES[name](value))
        }
    return kept, sorted(extra.keys() - kept.keys())[:MOST_LEFT_OUT]
