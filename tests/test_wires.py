"""The three dialects against what the vendors document, without any network.

Payloads are quoted from the vendors' public references (named at each); expected values are derived from their words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_mcp.errors import BadReply, ProviderError, RateLimited, Refused, Unavailable
from orchestra_mcp.gateway.dialects import anthropic, failures, gemini, openai
from orchestra_mcp.gateway.dialects.dialect import Decoder, Dialect
from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.sse import ServerEvent, SseParser
from orchestra_mcp.gateway.provider import (
    ChatEvent,
    ChatRequest,
    Finish,
    Message,
    ReasoningDelta,
    Spent,
    TextDelta,
)
from orchestra_mcp.gateway.vendors.quirks import quirks_of
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.types import JsonObject, Usage

SOURCE = Source("m at p", "SOME_KEY", ("sk-very-secret-0123456789",))
ASK = ChatRequest(
    model="m",
    messages=(Message(role="system", text="Be brief."), Message(role="user", text="Hello!")),
    max_tokens=256,
)

# https://platform.openai.com/docs/api-reference/chat-streaming, with the usage chunk that
# `stream_options.include_usage` adds and the figures of the chat completion object's own example.
OPENAI_STREAM = """\
data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini", "system_fingerprint": "fp_44709d6fcb", "choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini", "system_fingerprint": "fp_44709d6fcb", "choices":[{"index":0,"delta":{"content":"Hello"},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini", "system_fingerprint": "fp_44709d6fcb", "choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini", "system_fingerprint": "fp_44709d6fcb", "choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}

data: [DONE]

"""

# https://platform.openai.com/docs/api-reference/chat/object
OPENAI_WHOLE: dict[str, Any] = {
    "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
    "object": "chat.completion",
    "created": 1741569952,
    "model": "gpt-4.1-2025-04-14",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hello! How can I assist you today?",
                "refusal": None,
                "annotations": [],
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 19,
        "completion_tokens": 10,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    },
    "service_tier": "default",
}

# https://docs.anthropic.com/en/api/messages-streaming, "Basic streaming request"
ANTHROPIC_STREAM = """\
event: message_start
data: {"type": "message_start", "message": {"id": "msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY", "type": "message", "role": "assistant", "content": [], "model": "claude-opus-4-20250514", "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 25, "output_tokens": 1}}}

event: content_block_start
data: {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "!"}}

event: content_block_stop
data: {"type": "content_block_stop", "index": 0}

event: message_delta
data: {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence":null}, "usage": {"output_tokens": 15}}

event: message_stop
data: {"type": "message_stop"}

"""

# The same page, "Streaming request with extended thinking" (without usage, as printed there)
ANTHROPIC_THINKING = """\
event: message_start
data: {"type": "message_start", "message": {"id": "msg_01...", "type": "message", "role": "assistant", "content": [], "model": "claude-sonnet-4-5", "stop_reason": null, "stop_sequence": null}}

event: content_block_start
data: {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Let me solve this step by step:\\n\\n1. First break down 27 * 453"}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds..."}}

event: content_block_stop
data: {"type": "content_block_stop", "index": 0}

event: content_block_start
data: {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "27 * 453 = 12,231"}}

event: content_block_stop
data: {"type": "content_block_stop", "index": 1}

event: message_delta
data: {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}}

event: message_stop
data: {"type": "message_stop"}

"""

# A stream of streamGenerateContent?alt=sse as recorded from Google's API (March 2026, public)
GEMINI_STREAM = """\
data: {"candidates": [{"content": {"role": "model","parts": [{"text": "Hello!"}]}}],"usageMetadata": {"trafficType": "ON_DEMAND"},"modelVersion": "gemini-3.1-flash-lite-preview","createTime": "2026-03-10T14:54:45.066123Z","responseId": "tTCwacuEBMvnitYP06qsgQY"}

data: {"candidates": [{"content": {"role": "model","parts": [{"text": " How can I help you today"}]}}],"usageMetadata": {"trafficType": "ON_DEMAND"},"modelVersion": "gemini-3.1-flash-lite-preview","createTime": "2026-03-10T14:54:45.066123Z","responseId": "tTCwacuEBMvnitYP06qsgQY"}

data: {"candidates": [{"content": {"role": "model","parts": [{"text": "?"}]}}],"usageMetadata": {"trafficType": "ON_DEMAND"},"modelVersion": "gemini-3.1-flash-lite-preview","createTime": "2026-03-10T14:54:45.066123Z","responseId": "tTCwacuEBMvnitYP06qsgQY"}

data: {"candidates": [{"content": {"role": "model","parts": [{"text": "","thoughtSignature": "AY89a18iOcFus5wr5bW5xN6zZ4aUiCyhgmg6HE2YjtYDV/dwZ5oZlZHeTmiUKv34qq0="}]},"finishReason": "STOP"}],"usageMetadata": {"promptTokenCount": 1,"candidatesTokenCount": 9,"totalTokenCount": 10,"trafficType": "ON_DEMAND","promptTokensDetails": [{"modality": "TEXT","tokenCount": 1}],"candidatesTokensDetails": [{"modality": "TEXT","tokenCount": 9}]},"modelVersion": "gemini-3.1-flash-lite-preview","createTime": "2026-03-10T14:54:45.066123Z","responseId": "tTCwacuEBMvnitYP06qsgQY"}

"""


def decode(dialect: Dialect, stream: str) -> tuple[list[ChatEvent], Finish | None]:
    decoder = dialect.decoder(SOURCE)
    parser = SseParser()
    events = [e for s in (*parser.feed(stream.encode()), *parser.end()) for e in decoder.feed(s)]
    return events, decoder.finish()


def text_of(events: Iterable[ChatEvent]) -> str:
    return "".join(e.text for e in events if isinstance(e, TextDelta))


def one(dialect: Dialect, data: Any) -> tuple[list[ChatEvent], Decoder]:
    decoder = dialect.decoder(SOURCE)
    return list(decoder.feed(ServerEvent("message", json.dumps(data)))), decoder


# ------------------------------------------------------------------------------------- replies


def test_the_documented_openai_stream_gives_its_text_usage_and_end() -> None:
    events, finish = decode(openai.DIALECT, OPENAI_STREAM)
    assert text_of(events) == "Hello"
    assert finish == Finish(reason="stop", usage=Usage(input_tokens=19, output_tokens=10), model="gpt-4o-mini")


def test_the_documented_whole_chat_completion_is_read_like_a_stream() -> None:
    decoder = openai.DIALECT.decoder(SOURCE)
    assert text_of(decoder.whole(OPENAI_WHOLE)) == "Hello! How can I assist you today?"
    finish = decoder.finish()
    assert finish is not None
    assert finish.reason == "stop"
    assert finish.usage == Usage(input_tokens=19, output_tokens=10)


def test_the_documented_anthropic_stream_gives_its_text_usage_and_end() -> None:
    events, finish = decode(anthropic.DIALECT, ANTHROPIC_STREAM)
    assert text_of(events) == "Hello!"
    assert events[0] == Spent(usage=Usage(input_tokens=25, output_tokens=1))
    # "The token counts shown in the usage field of the message_delta event are cumulative."
    assert finish == Finish(
        reason="stop", usage=Usage(input_tokens=25, output_tokens=15), model="claude-opus-4-20250514"
    )


def test_anthropic_thinking_is_a_sign_of_life_and_no_part_of_the_text() -> None:
    events, finish = decode(anthropic.DIALECT, ANTHROPIC_THINKING)
    assert text_of(events) == "27 * 453 = 12,231"
    assert any(isinstance(e, ReasoningDelta) and "27 * 453" in e.text for e in events)
    assert finish is not None
    assert finish.reason == "stop"


def test_the_recorded_gemini_stream_gives_its_text_usage_and_end() -> None:
    events, finish = decode(gemini.DIALECT, GEMINI_STREAM)
    assert text_of(events) == "Hello! How can I help you today?"
    assert finish == Finish(
        reason="stop",
        usage=Usage(input_tokens=1, output_tokens=9),
        model="gemini-3.1-flash-lite-preview",
    )


@pytest.mark.parametrize(
    ("dialect", "stream", "last"),
    [
        (openai.DIALECT, OPENAI_STREAM, '"finish_reason":"stop"'),
        (anthropic.DIALECT, ANTHROPIC_STREAM, "event: message_delta"),
        (gemini.DIALECT, GEMINI_STREAM, '"thoughtSignature"'),
    ],
    ids=lambda v: getattr(v, "name", ""),
)
def test_a_stream_without_its_last_events_has_no_finish(dialect: Dialect, stream: str, last: str) -> None:
    blocks = stream.split("\n\n")
    end = next(i for i, block in enumerate(blocks) if last in block)
    events, finish = decode(dialect, "\n\n".join(blocks[:end]) + "\n\n")
    assert text_of(events)
    assert finish is None


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=60), ends=st.sampled_from(["\n", "\r\n", "\r"]))
def test_a_stream_means_the_same_however_its_bytes_are_cut(sizes: list[int], ends: str) -> None:
    data = (": comment\n\n" + ANTHROPIC_STREAM + "data: é😀\ndata: two\n\n").replace("\n", ends).encode()
    whole = SseParser()
    expected = [*whole.feed(data), *whole.end()]
    assert expected[-1].data == "é😀\ntwo"
    parser = SseParser()
    events: list[ServerEvent] = []
    start = 0
    while start < len(data):
        size = sizes[start % len(sizes)]
        events += parser.feed(data[start : start + size])
        start += size
    assert [*events, *parser.end()] == expected


def test_an_event_without_its_blank_line_is_still_delivered_at_the_end() -> None:
    parser = SseParser()
    assert parser.feed(b'data: {"a": 1}') == []
    assert parser.end() == [ServerEvent("message", '{"a": 1}')]


def test_reasoning_of_deepseek_and_of_openrouter_is_a_sign_of_life() -> None:
    for name in ("reasoning_content", "reasoning"):
        chunk = {"choices": [{"index": 0, "delta": {"content": None, name: "Hmm"}, "finish_reason": None}]}
        assert one(openai.DIALECT, chunk)[0] == [ReasoningDelta(text="Hmm")]


def test_gemini_thoughts_are_no_part_of_the_text() -> None:
    # https://ai.google.dev/gemini-api/docs/thinking: parts with `thought: true`
    parts = [{"text": "Weighing it", "thought": True}, {"text": "Yes."}]
    events, _ = one(gemini.DIALECT, {"candidates": [{"content": {"parts": parts, "role": "model"}}]})
    assert events == [ReasoningDelta(text="Weighing it"), TextDelta(text="Yes.")]


# ------------------------------------------------------------------------------------- usage


def test_openai_prompt_tokens_include_the_cached_and_completion_tokens_the_reasoning() -> None:
    # https://platform.openai.com/docs/guides/prompt-caching gives 2006 prompt tokens of which 1920 are cached,
    # https://platform.openai.com/docs/guides/reasoning counts reasoning tokens as part of the completion.
    usage = openai.usage_of(
        {
            "prompt_tokens": 2006,
            "completion_tokens": 300,
            "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920},
            "completion_tokens_details": {"reasoning_tokens": 256},
        }
    )
    assert usage == Usage(input_tokens=86, cache_read_tokens=1920, output_tokens=44, reasoning_tokens=256)
    assert usage.tokens == 2306


def test_reasoning_that_a_vendor_counts_apart_is_not_taken_off_the_output() -> None:
    usage = openai.usage_of(
        {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 420,
            "completion_tokens_details": {"reasoning_tokens": 300},
        }
    )
    assert (usage.output_tokens, usage.reasoning_tokens, usage.tokens) == (20, 300, 420)


def test_openrouter_tells_the_cost_and_what_was_written_to_a_cache() -> None:
    # https://openrouter.ai/docs/use-cases/usage-accounting, "Response format"
    usage = openai.usage_of(
        {
            "completion_tokens": 2,
            "completion_tokens_details": {"reasoning_tokens": 0},
            "cost": 0.95,
            "cost_details": {"upstream_inference_cost": 19},
            "prompt_tokens": 194,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 100, "audio_tokens": 0},
            "total_tokens": 196,
        }
    )
    assert usage == Usage(input_tokens=94, cache_write_tokens=100, output_tokens=2, cost_usd=Decimal("0.95"))


def test_anthropic_input_tokens_exclude_what_is_read_from_or_written_to_a_cache() -> None:
    # https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching: total input is the sum of the three
    decoder = anthropic.DIALECT.decoder(SOURCE)
    body = {
        "type": "message",
        "content": [{"type": "text", "text": "ok"}],
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": 50,
            "cache_read_input_tokens": 100000,
            "cache_creation_input_tokens": 248,
            "output_tokens": 503,
        },
    }
    assert text_of(decoder.whole(body)) == "ok"
    finish = decoder.finish()
    assert finish is not None
    assert finish.usage == Usage(input_tokens=50, cache_read_tokens=100000, cache_write_tokens=248, output_tokens=503)


def test_gemini_prompt_includes_the_cached_and_candidates_exclude_the_thoughts() -> None:
    # https://ai.google.dev/api/generate-content#UsageMetadata
    usage = gemini.usage_of(
        {
            "promptTokenCount": 900,
            "cachedContentTokenCount": 512,
            "candidatesTokenCount": 200,
            "thoughtsTokenCount": 150,
            "totalTokenCount": 1250,
        }
    )
    assert usage == Usage(input_tokens=388, cache_read_tokens=512, output_tokens=200, reasoning_tokens=150)
    assert usage.tokens == 1250


@given(
    raw=st.recursive(
        st.none() | st.integers(-5, 10**6) | st.text(max_size=5) | st.floats(0, 10, allow_nan=False),
        lambda inner: st.dictionaries(
            st.sampled_from(
                ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "cost",
                 "completion_tokens_details", "cached_tokens", "reasoning_tokens", "promptTokenCount"]
            ),
            inner,
        ),
        max_leaves=12,
    )
)  # fmt: skip
def test_no_usage_object_makes_negative_counts_or_an_exception(raw: Any) -> None:
    for usage in (openai.usage_of(raw), gemini.usage_of(raw)):
        assert min(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) >= 0
        assert usage.cost_usd >= 0


# ------------------------------------------------------------------------------------- ends and errors


@pytest.mark.parametrize(
    ("dialect", "data", "reason"),
    [
        (openai.DIALECT, {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}, "length"),
        (openai.DIALECT, {"choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]}, "filter"),
        (anthropic.DIALECT, {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}}, "length"),
        (anthropic.DIALECT, {"type": "message_delta", "delta": {"stop_reason": "refusal"}}, "filter"),
        (gemini.DIALECT, {"candidates": [{"finishReason": "MAX_TOKENS"}]}, "length"),
        (gemini.DIALECT, {"candidates": [{"finishReason": "SAFETY"}]}, "filter"),
        (gemini.DIALECT, {"candidates": [{"finishReason": "SOMETHING_NEW"}]}, "unknown"),
    ],
)
def test_every_documented_end_has_a_meaning(dialect: Dialect, data: Any, reason: str) -> None:
    finish = one(dialect, data)[1].finish()
    assert finish is not None
    assert finish.reason == reason


def test_a_blocked_gemini_prompt_is_refused_by_policy() -> None:
    with pytest.raises(Refused) as caught:
        one(gemini.DIALECT, {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})
    assert caught.value.kind == "policy"


@pytest.mark.parametrize(
    ("dialect", "data"),
    [
        # https://docs.anthropic.com/en/api/messages-streaming, "Error events"
        (anthropic.DIALECT, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        # https://openrouter.ai/docs/api-reference/errors, "Mid-stream errors"
        (
            openai.DIALECT,
            {
                "id": "cmpl-abc123",
                "object": "chat.completion.chunk",
                "created": 1234567890,
                "model": "gpt-3.5-turbo",
                "provider": "openai",
                "error": {"code": "server_error", "message": "Provider disconnected"},
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
            },
        ),
        (gemini.DIALECT, {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}),
    ],
)
def test_an_error_inside_a_stream_is_a_passing_failure_of_the_server(dialect: Dialect, data: Any) -> None:
    with pytest.raises(Unavailable) as caught:
        one(dialect, data)
    assert caught.value.kind == "server"


def test_an_event_that_is_no_json_is_garbage() -> None:
    for dialect in (openai.DIALECT, anthropic.DIALECT, gemini.DIALECT):
        with pytest.raises(BadReply) as caught:
            list(dialect.decoder(SOURCE).feed(ServerEvent("message", "<html>")))
        assert caught.value.kind == "garbage"


@pytest.mark.parametrize(
    ("status", "body", "error", "kind"),
    [
        (401, {"error": {"message": "Incorrect API key provided."}}, Refused, "auth"),
        (403, {"error": {"message": "Country not supported"}}, Refused, "auth"),
        # Google answers a wrong key with 400: https://ai.google.dev/gemini-api/docs/troubleshooting
        (400, {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.",
                         "status": "INVALID_ARGUMENT"}}, Refused, "auth"),
        (402, {"error": {"message": "Insufficient Balance"}}, Refused, "auth"),
        # https://platform.openai.com/docs/guides/error-codes: 429 has two causes; only one passes by itself
        (429, {"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}}, Refused, "auth"),
        (429, {"error": {"message": "Rate limit reached for requests"}}, RateLimited, "rate_limit"),
        (404, {"error": {"message": "The model `x` does not exist"}}, Refused, "model"),
        (400, {"error": {"message": "messages: roles must alternate"}}, Refused, "request"),
        (422, {"detail": "bad"}, Refused, "request"),
        (413, {"error": {"type": "request_too_large", "message": "too large"}}, Refused, "window"),
        (500, {"error": {"message": "x"}}, Unavailable, "server"),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, Unavailable, "server"),
    ],
)  # fmt: skip
def test_every_status_has_its_place_in_the_taxonomy(
    status: int, body: Any, error: type[ProviderError], kind: str
) -> None:
    made = SOURCE.from_status(status, {}, json.dumps(body))
    assert type(made) is error
    assert made.kind == kind
    assert str(made).startswith("m at p ")
    assert str(status) in str(made)


def test_google_says_in_the_body_how_long_to_wait_and_its_word_quota_means_a_passing_limit() -> None:
    # https://ai.google.dev/gemini-api/docs/rate-limits; details as google.rpc.RetryInfo
    body = {
        "error": {
            "code": 429,
            "message": "You exceeded your current quota, please check your plan and billing details.",
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}],
        }
    }
    error = SOURCE.from_status(429, {}, json.dumps(body))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 34


def test_the_advice_for_a_refused_key_names_its_variable() -> None:
    assert "SOME_KEY" in str(SOURCE.from_status(401, {}, "{}"))


def test_retry_after_is_read_as_seconds_and_as_an_http_date() -> None:
    # The date's form is the example of RFC 9110 §10.2.3.
    now = datetime(1999, 12, 31, 23, 59, 29, tzinfo=UTC)
    assert failures.retry_after({"retry-after": "120"}, now) == 120
    assert failures.retry_after({"retry-after": "1.5"}, now) == 1.5
    assert failures.retry_after({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, now) == 30
    assert failures.retry_after({"retry-after": "Fri, 31 Dec 1999 23:00:00 GMT"}, now) == 0
    assert failures.retry_after({"retry-after": "soon"}, now) is None
    assert failures.retry_after({}, now) is None


KEYS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=16, max_size=80)
ECHOES = st.sampled_from(
    [
        "Incorrect API key provided: {key}. You can find your API key at https://example.org.",
        "Incorrect API key provided: {start}********{end}.",
        "Incorrect API key provided: {start}...{end}",
        'invalid header: "Authorization: Bearer {key}"',
        "<p>key=<b>{key}</b></p>",
        "https://host/v1?api_key={key}&x=1\nnext line",
        "{key}{key}",
        "upper {upper}",
    ]
)


@given(key=KEYS, echo=ECHOES, known=st.booleans(), status=st.sampled_from([400, 401, 403, 404, 429, 500, 529]))
def test_no_error_text_carries_a_key_that_a_provider_echoes(key: str, echo: str, known: bool, status: int) -> None:
    said = echo.format(key=key, start=key[:10], end=key[-4:], upper=key.upper())
    source = Source("m at p", "SOME_KEY", (key,))
    for body in (json.dumps({"error": {"message": said}}), json.dumps({"error": said})):
        text = str(source.from_status(status, {}, body)) if known else str(source.from_event(json.loads(body)))
        low, secret = text.lower(), key.lower()
        assert not any(secret[i : i + 8] in low for i in range(len(secret) - 7))
    assert key not in repr(source)


def test_a_key_of_a_known_look_is_taken_out_even_when_it_is_not_ours() -> None:
    for key in ("sk-proj-ab12...sQoA", "AIzaSyA1234567890abcdefghijklmnopq", "Bearer abc.def", "gsk_abcdef123456"):
        assert failures.quote(f"bad key {key} given").count(key) == 0


def test_a_quote_is_one_short_line_without_markup() -> None:
    quoted = failures.quote("<h1>Oops</h1>\n\x1b[31mred " + "word " * 100)
    assert "\n" not in quoted
    assert "\x1b" not in quoted
    assert "<" not in quoted
    assert len(quoted) <= failures.MAX_QUOTE


# ------------------------------------------------------------------------------------- requests


def spec(base_url: str, model: str = "some-model") -> ModelSpec:
    return ModelSpec(base_url=base_url, model=model)


def body_of(dialect: Dialect, request: ChatRequest, model: ModelSpec) -> JsonObject:
    return dialect.to_wire(request, model, quirks_of(model), frozenset())


def url_of(dialect: Dialect, model: ModelSpec) -> str:
    return dialect.url(ASK, model, quirks_of(model), frozenset())


def has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(has_null(v) for v in value.values())
    if isinstance(value, list):
        return any(has_null(v) for v in value)
    return value is None


def test_openai_itself_gets_the_new_name_of_the_limit_and_others_the_old_one() -> None:
    new = body_of(openai.DIALECT, ASK, spec("https://api.openai.com/v1", "gpt-6.1-sol"))
    old = body_of(openai.DIALECT, ASK, spec("https://api.deepseek.com"))
    assert new["max_completion_tokens"] == 256
    assert "max_tokens" not in new
    assert old["max_tokens"] == 256
    # A host that only looks like it is another host.
    assert "max_tokens" in body_of(openai.DIALECT, ASK, spec("https://evil.example/api.openai.com/v1"))


def test_an_openai_request_has_the_documented_form() -> None:
    assert body_of(openai.DIALECT, ASK, spec("https://api.groq.com/openai/v1")) == {
        "model": "some-model",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello!"},
        ],
        "max_tokens": 256,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert url_of(openai.DIALECT, spec("https://api.groq.com/openai/v1/")) == (
        "https://api.groq.com/openai/v1/chat/completions"
    )


def test_openrouter_is_asked_for_the_cost() -> None:
    assert body_of(openai.DIALECT, ASK, spec("https://openrouter.ai/api/v1"))["usage"] == {"include": True}
    assert "usage" not in body_of(openai.DIALECT, ASK, spec("https://api.groq.com/openai/v1"))


def test_an_anthropic_request_has_the_documented_form() -> None:
    assert body_of(anthropic.DIALECT, ASK, spec("https://api.anthropic.com")) == {
        "model": "some-model",
        "max_tokens": 256,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Hello!"}],
        "stream": True,
    }
    assert url_of(anthropic.DIALECT, spec("https://api.anthropic.com")) == ("https://api.anthropic.com/v1/messages")
    assert (anthropic.DIALECT.auth, anthropic.DIALECT.headers) == ("x-api-key", {"anthropic-version": "2023-06-01"})


def test_a_gemini_request_has_the_documented_form() -> None:
    request = ASK.model_copy(update={"json_only": True, "temperature": 0.5})
    assert body_of(gemini.DIALECT, request, spec("https://generativelanguage.googleapis.com")) == {
        "contents": [{"role": "user", "parts": [{"text": "Hello!"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {
            "maxOutputTokens": 256,
            "temperature": 0.5,
            "responseMimeType": "application/json",
        },
    }
    assert url_of(gemini.DIALECT, spec("https://generativelanguage.googleapis.com", "gemini-4-argon")) == (
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-4-argon:streamGenerateContent?alt=sse"
    )


@given(
    turns=st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text(max_size=8)), min_size=1),
    temperature=st.none() | st.floats(0, 1),
    json_only=st.booleans(),
)
def test_no_request_carries_a_null_and_roles_alternate_where_they_must(
    turns: list[tuple[Any, str]], temperature: float | None, json_only: bool
) -> None:
    messages = tuple(Message(role=role, text=text) for role, text in turns)
    request = ChatRequest(model="m", messages=messages, temperature=temperature, json_only=json_only)
    bodies = [body_of(d, request, spec("https://h.example/v1")) for d in
              (openai.DIALECT, anthropic.DIALECT, gemini.DIALECT)]  # fmt: skip
    assert not any(has_null(body) for body in bodies)
    for roles in ([m["role"] for m in bodies[1]["messages"]], [c["role"] for c in bodies[2]["contents"]]):
        assert all(a != b for a, b in pairwise(roles))
