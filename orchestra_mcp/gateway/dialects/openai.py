"""Chat completions: OpenAI's dialect, and that of OpenRouter, Portkey, Ollama and most other vendors.

Reference: https://platform.openai.com/docs/api-reference/chat. What differs between vendors is data: `Quirks` for
requests, small tables in `openai_decoder` for replies.
"""

from __future__ import annotations

from orchestra_mcp.gateway.dialects import openai_terms as terms
from orchestra_mcp.gateway.dialects.dialect import STREAM, Dialect, streams
from orchestra_mcp.gateway.dialects.openai_decoder import Decoder, usage_of
from orchestra_mcp.gateway.dialects.openai_messages import messages_of, tool_of
from orchestra_mcp.gateway.dialects.openai_vectors import EMBEDDINGS
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.provider import AnswerSchema, ChatRequest, Effort
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.types import JsonObject

__all__ = ["DIALECT", "to_wire", "url", "usage_of"]

NAME = "openai"
OWN = frozenset({"model", "messages", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens"})
"""Parameters that a client's `extra` does not reach; of several choices (`n`) only the first would be read."""


def url(_request: ChatRequest, spec: ModelSpec, _quirks: Quirks, _without: frozenset[str]) -> str:
    """Where to post."""
    return terms.place(spec, "chat/completions")


def to_wire(request: ChatRequest, spec: ModelSpec, quirks: Quirks, without: frozenset[str]) -> JsonObject:
    """The body of the request. Nothing is ever sent as null: servers take that for a value."""
    in_words = terms.tells_schema(request, quirks, without, "response_format")
    messages = request.messages
    if in_words or quirks.system_role == "user":
        messages = terms.instructed(request, quirks, in_words=in_words)
    body: JsonObject = {"model": spec.model, "messages": messages_of(messages, spec, quirks)}
    if streams(request, without):
        body["stream"] = True
        if quirks.usage_in_stream:
            body["stream_options"] = {"include_usage": True}
    limit = quirks.max_tokens_needed if request.max_tokens is None else request.max_tokens
    if limit is not None:
        body[_limit_field(quirks, without)] = limit
    body |= terms.sampling(request, quirks)
    if request.stop:
        body["stop"] = list(request.stop)
    if request.seed is not None:
        body["seed"] = request.seed
    if request.tools or request.answer is not None or request.json_only:
        _shape(body, request, quirks)
    if request.effort is not None and quirks.effort:
        body |= _thinking(request.effort, limit, quirks)
    if quirks.tells_cost:
        body["usage"] = {"include": True}
    if quirks.store is not None:
        body["store"] = quirks.store
    return terms.finished(body, request, NAME, quirks, without, OWN)


def _limit_field(quirks: Quirks, without: frozenset[str]) -> str:
    """The other name where the server does not know the usual one."""
    names = ("max_tokens", "max_completion_tokens")
    usual, other = names if quirks.limit_field == "max_tokens" else names[::-1]
    return other if usual in without else usual


def _shape(body: JsonObject, request: ChatRequest, quirks: Quirks) -> None:
    """Tools, and the form that the answer is to have."""
    tools, named, choice = terms.tools_of(request, quirks)
    if tools:
        body["tools"] = [tool_of(tool, quirks) for tool in tools]
        if named:
            body["tool_choice"] = {"type": "function", "function": {"name": named}}
        elif choice is not None:
            body["tool_choice"] = choice
        if request.parallel_tools is not None:
            body["parallel_tool_calls"] = request.parallel_tools
    if request.answer is not None and quirks.schema_output == "json_schema":
        body["response_format"] = {"type": "json_schema", "json_schema": _schema(request.answer)}
    elif request.json_only or (request.answer is not None and quirks.schema_output == "json_object"):
        body["response_format"] = {"type": "json_object"}


def _schema(answer: AnswerSchema) -> JsonObject:
    form: JsonObject = {"name": answer.name, "schema": answer.json_schema}
    if answer.description:
        form["description"] = answer.description
    if answer.strict is not None:
        form["strict"] = answer.strict
    return form


def _thinking(effort: Effort, limit: int | None, quirks: Quirks) -> JsonObject:
    """How long to think, in the vendor's way.

    `reasoning_effort`: OpenAI, Groq, xAI, Mistral. `reasoning`: OpenRouter. `thinking` (and `adaptive`): DeepSeek, Z.ai,
    Kimi, with an effort where the vendor knows some. `enable_thinking` and `budget`: Qwen, SiliconFlow.
    """
    word = terms.effort_of(effort, quirks.efforts)
    thinks = effort != "none"
    match quirks.effort:
        case "reasoning_effort":
            return {"reasoning_effort": word} if word else {}
        case "reasoning":
            return {"reasoning": {"effort": word}} if word else {}
        case "thinking" | "adaptive":
            on = "enabled" if quirks.effort == "thinking" else "adaptive"
            found: JsonObject = {"thinking": {"type": on if thinks else "disabled"}}
            return found | ({"reasoning_effort": word} if thinks and quirks.efforts and word else {})
        case "budget" if thinks:
            return {"enable_thinking": True, "thinking_budget": terms.thinking_budget(effort, limit)}
        case _:
            return {"enable_thinking": thinks}


DIALECT = Dialect(
    name=NAME,
    url=url,
    auth="bearer",
    to_wire=to_wire,
    decoder=Decoder,
    list_url=lambda spec: f"{spec.base_url.rstrip('/')}/models",
    optional=frozenset(
        {
            "temperature", "top_p", "stop", "seed",
            "max_tokens", "max_completion_tokens", "stream_options", "response_format", "usage", "store",
            "reasoning_effort", "reasoning", "thinking", "enable_thinking", "thinking_budget", "parallel_tool_calls",
            "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "metadata", "verbosity",
            "service_tier", "prediction", "prompt_cache_key", "prompt_cache_retention", "safety_identifier",
            "web_search_options", STREAM,
            # add here
        }
    ),
    embeddings=EMBEDDINGS,
)  # fmt: skip
