"""One attempt at a model as a `chat` span, made from its record when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from orchestra_mcp.telemetry import names
from orchestra_mcp.telemetry.content import Said, messages_in, messages_out
from orchestra_mcp.telemetry.spans import Attributes, Doing, current, lasted, watched
from orchestra_mcp.types import CallRecord, SpanValue

FINISHES = {"filter": "content_filter", "tool": "tool_calls"}
"""Our word for why a model stopped → that of most vendors, where they differ."""

_SAID: ContextVar[Said | None] = ContextVar("orchestra_said", default=None)


@contextmanager
def saying(said: Said) -> Iterator[None]:
    """What was said in the call that is reported inside; only where `spans.wants_content` says so."""
    token = _SAID.set(said)
    try:
        yield
    finally:
        _SAID.reset(token)


def note_call(call: CallRecord, redact: Callable[[str], str], under: Doing | None = None) -> None:
    """Note an attempt below the span in whose context it was made.

    Args:
        call: what is known of it.
        redact: takes secrets out of what is exported of its words.
        under: the root of its consultation; counts where the context's span belongs to another one, or to none.
    """
    if under is None and not watched():
        return
    above = current()
    if under is not None and (above is None or above.watch is not under.watch):
        above = under
    usage = call.usage
    inputs = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    outputs = usage.output_tokens + usage.reasoning_tokens
    if above is not None and not call.cache:
        above.count(inputs, outputs, float(usage.cost_usd), call.reason == "retry")
    attributes = _attributes(call, inputs, outputs)
    only_out: dict[str, SpanValue] = {names.USAGE_COST: float(usage.cost_usd)} if usage.cost_usd else {}
    said = _SAID.get()

    def content() -> Attributes:
        assert said is not None
        return {
            names.INPUT_MESSAGES: messages_in(said, redact),
            names.OUTPUT_MESSAGES: messages_out(said, redact, FINISHES.get(call.finish, call.finish)),
        }

    lasted(
        f"{attributes[names.OPERATION]} {attributes[names.MODEL]}",
        call.seconds,
        # What a cache answers asks nobody.
        kind="client" if call.cache in ("", "miss") else "internal",
        attributes=attributes,
        error=call.error,
        under=above,
        only_out=only_out,
        content=content if said is not None else None,
    )


def _attributes(call: CallRecord, inputs: int, outputs: int) -> dict[str, SpanValue]:
    host, port = _place(call.server)
    usage = call.usage
    found: dict[str, SpanValue | None] = {
        names.OPERATION: names.OPERATIONS.get(call.purpose, "chat"),
        names.PROVIDER: names.provider(call.provider),
        names.MODEL: call.model_id or call.model,
        names.MODEL_NAME: call.model,
        names.SERVER: host or None,
        names.SERVER_PORT: port or None,
        names.MAX_TOKENS: call.max_tokens,
        names.TEMPERATURE: call.temperature,
        names.FINISH_REASONS: (FINISHES.get(call.finish, call.finish),) if call.finish else None,
        names.FIRST_CHUNK: call.first_token_s,
        names.INPUT_TOKENS: inputs or None,
        names.OUTPUT_TOKENS: outputs or None,
        names.CACHE_READ: usage.cache_read_tokens or None,
        names.CACHE_WRITE: usage.cache_write_tokens or None,
        names.REASONING: usage.reasoning_tokens or None,
        names.COST: float(usage.cost_usd),
        names.CURRENCY: "USD",
        names.UNPRICED: True if usage.unpriced else None,
        names.PURPOSE: call.purpose,
        names.CONSULTATION: call.run or None,
        names.WORKSPACE: call.workspace or None,
        names.KEY: call.key or None,
        names.ROUTE: call.route or None,
        names.USE_CASE: call.use_case or None,
        names.ATTEMPT: call.attempt,
        names.REASON: call.reason or None,
        names.CACHE: call.cache or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _place(server: str) -> tuple[str, int]:
    """Host and port; 0 where it is not known."""
    host, _, port = server.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdigit() else (server, 0)
