"""What differs between vendors and models of one dialect, as data: read by the dialects, kept in the provider table.

Found for a model in three steps, the later ones win: the vendor's row, the first fitting row of the model table, and
`quirks` of the model in `orchestra.toml`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestra_mcp.types import JsonObject, Noun


class Quirks(Noun):
    """Everything that a vendor or model may do in its own way. Defaults are the plain dialect."""

    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """OpenAI chat completions: what the output limit is called."""
    system_role: Literal["system", "developer", "user"] = "system"
    """The role that carries instructions; `user` where there is none."""
    usage_in_stream: bool = True
    """Chat completions: streams tell their usage when asked with `stream_options`."""
    tells_cost: bool = False
    """OpenRouter: the cost of a call is told when asked for."""
    temperature: bool = True
    """False: the model rejects `temperature` (and `top_p`)."""
    temperature_max: float | None = None
    effort: Literal["", "reasoning_effort", "reasoning", "thinking", "adaptive", "enable_thinking", "budget"] = ""
    """How the vendor is told how long to think; empty: it cannot be told."""
    efforts: tuple[str, ...] = ()
    """Efforts that the vendor knows, lowest first; others are moved to the nearest. Empty: all of the dialect."""
    give_back_thoughts: bool = False
    """Chat completions: earlier thinking must be sent again as `reasoning_content` (DeepSeek, Kimi with tools)."""
    strict_tools: bool = True
    """False: `strict` of a tool is left out."""
    schema_output: Literal["json_schema", "json_object", "tool", ""] = "json_schema"
    """How JSON of a schema is asked for; `json_object`: the schema is put into the instructions; `tool`: a forced tool."""
    images: bool = True
    text_parts: bool = True
    """False: content must be one string, not a list of parts."""
    tool_id: Literal["", "mistral"] = ""
    """`mistral`: ids of tool calls must be nine letters and digits."""
    cache_marks: Literal["", "anthropic"] = ""
    """`anthropic`: marks for the prompt cache are sent as `cache_control`."""
    store: bool | None = None
    """OpenAI: whether to send `store`; None leaves it out."""
    session_header: str = ""
    """Header that keeps a conversation on one server, for its prompt cache."""
    max_tokens_needed: int | None = None
    """The output limit that is sent when the caller gave none, where the vendor wants one."""
    static: JsonObject = Field(default_factory=dict)
    """Sent in every body."""
    omit: tuple[str, ...] = ()
    """Parameters that are never sent."""
