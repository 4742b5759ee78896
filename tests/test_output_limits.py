"""The longest answer of a model: what is known of it, what vendors say of it, and what is asked for then.

Messages are those of the vendors' documentation and public reports of errors; figures are of the pages that are named in
`models.toml`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from upstream import Expert, Upstream

from orchestra_mcp.errors import Refused
from orchestra_mcp.gateway import Backing, Gateway, build, open_http
from orchestra_mcp.gateway.dialects.failures import output_limit, unsupported
from orchestra_mcp.gateway.money.metered import Ledger
from orchestra_mcp.gateway.provider import ChatRequest, Message, fold
from orchestra_mcp.gateway.vendors.quirks import most_output_of
from orchestra_mcp.settings import Keys, Limits, ModelSpec, Settings
from orchestra_mcp.settings.gateway import Budget
from orchestra_mcp.store import open_store

ANTHROPIC = (
    "max_tokens: 32768 > 32000, which is the maximum allowed number of output tokens for claude-opus-4-1-20250805"
)
OPENAI = (
    "max_tokens is too large: 32768. This model supports at most 16384 completion tokens, whereas you provided 32768."
)
GROQ = (
    "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the "
    "`context_window` for this model"
)
VERTEX = (
    "Unable to submit request because it has a maxOutputTokens value of 100000 but the supported range is from 1 "
    "(inclusive) to 65537 (exclusive). Update the value and try again."
)


def failed(message: str, **more: Any) -> str:
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", **more}})


@pytest.mark.parametrize(
    ("message", "sent", "most"),
    [
        (ANTHROPIC, 32_768, 32_000),
        (OPENAI, 32_768, 16_384),
        (GROQ, 32_768, 8_192),
        (VERTEX, 100_000, 65_536),
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", 32_768, 8_192),
        (
            "Invalid 'max_output_tokens': integer above maximum value. Expected a value <= 128000, but got 200000 instead.",
            200_000,
            128_000,
        ),
        ("The maximum tokens you requested exceeds the model limit of 4096. Try again.", 32_768, 4_096),
        ("max_tokens: 64,000 > 32,000, which is the maximum allowed number of output tokens", 64_000, 32_000),
        # no limit of answers
        ("input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000", 210_000, None),
        ("This model's maximum context length is 8192 tokens. However, you requested 32868 tokens", 32_768, None),
        ("Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.", 32_768, None),
        ("temperature must be less than or equal to 2", 32_768, None),
        ("max_tokens must be at most 8", 32_768, None),
    ],
)
def test_the_number_that_a_vendor_names(message: str, sent: int, most: int | None) -> None:
    assert output_limit(400, failed(message), sent) == most
    assert output_limit(500, failed(message), sent) is None


def test_a_value_that_is_too_high_is_no_unknown_parameter() -> None:
    sent = ("max_tokens", "temperature")
    assert unsupported(400, failed(OPENAI, param="max_tokens"), sent) == ""
    assert unsupported(400, failed("Unsupported parameter: 'max_tokens' is not supported."), sent) == "max_tokens"
    assert unsupported(400, failed("temperature must be at most 1"), sent) == "temperature"


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("claude-opus-4-1-20250805", 32_000),
        ("anthropic/claude-opus-4", 32_000),
        ("claude-sonnet-4-20250514", 64_000),
        ("claude-haiku-4-5", 64_000),
        ("claude-opus-4-5-20251101", 64_000),
        ("us.anthropic.claude-3-haiku-20240307-v1:0", 4_096),
        ("claude-3-5-sonnet-20241022", 8_192),
        ("gpt-4o-2024-08-06", 16_384),
        ("gpt-4.1-mini", 32_768),
        ("gpt-4-turbo", 4_096),
        ("gpt-5", 128_000),
        ("o1", 100_000),
        ("o1-mini", 65_536),
        ("gemini-2.5-pro", 65_536),
        ("gemini-2.0-flash", 8_192),
        ("gpt-oss-120b", None),
        ("house-70b", None),
    ],
)
def test_what_is_known(model: str, most: int | None) -> None:
    assert most_output_of(ModelSpec(model=model, base_url="https://api.example.com/v1")) == most


def test_a_server_on_this_machine_decides_itself() -> None:
    assert most_output_of(ModelSpec(model="gpt-4o", base_url="http://127.0.0.1:1/v1")) is None


@asynccontextmanager
async def gateway(
    upstream: Upstream, home: Path, model: str, wire: str = "openai", **more: Any
) -> AsyncIterator[Gateway]:
    """A gateway over one model that counts as a vendor's, with a budget."""
    base = upstream.url + ("/v1" if wire == "openai" else "")
    price: dict[str, Any] = {"input_usd_per_mtok": Decimal(1), "output_usd_per_mtok": Decimal(1)}
    spec = ModelSpec(wire=wire, base_url=base, model=model, provider="vendor", **price, **more)
    async with open_store(home) as store, open_http() as http:
        yield build(
            {"m": spec},
            Keys({"K1": "k-1", "K2": "k-2"}),
            Limits(),
            ledger=Ledger(Limits()),
            on_call=store.note,
            http=http,
            settings=Settings(budgets=(Budget(per="all", usd=Decimal(5)),)),
            backing=Backing(purse=store.purses),
        )


def ask(**more: Any) -> ChatRequest:
    return ChatRequest(**{"model": "m", "messages": (Message(role="user", text="Hi"),), "max_tokens": None, **more})


@pytest.mark.parametrize(("model", "most"), [("gpt-4o", 16_384), ("gpt-5", 32_768), ("house-70b", 32_768)])
async def test_a_request_without_a_limit_gets_that_of_the_model(tmp_path: Path, model: str, most: int) -> None:
    with Upstream({model: Expert("Hello.")}) as upstream:
        async with gateway(upstream, tmp_path, model) as there:
            await fold(there, ask())
    assert upstream.calls[0].body["max_tokens"] == most


@pytest.mark.parametrize(("wire", "message"), [("openai", OPENAI), ("anthropic", ANTHROPIC)])
async def test_a_limit_that_is_too_high_is_asked_for_again_with_the_vendors_number(
    tmp_path: Path, wire: str, message: str
) -> None:
    most = 16_384 if wire == "openai" else 32_000
    expert = Expert("Hello.", fault="400", faults_left=1, message=message)
    with Upstream({"house-70b": expert}) as upstream:
        async with gateway(upstream, tmp_path, "house-70b", wire, key_env="K1", more_keys=("K2",)) as there:
            assert (await fold(there, ask())).text == "Hello."
            for _ in range(3):  # both keys have learnt it
                await fold(there, ask())
            await fold(there, ask(max_tokens=100))
    assert [call.body["max_tokens"] for call in upstream.calls] == [32_768, most, most, most, most, 100]
    assert not any("max_completion_tokens" in call.body for call in upstream.calls)
    assert len({call.headers.get("authorization", call.headers.get("x-api-key")) for call in upstream.calls}) > 1


async def test_a_vendor_that_refuses_its_own_number_is_not_asked_for_ever(tmp_path: Path) -> None:
    with Upstream({"house-70b": Expert(fault="400", message=OPENAI)}) as upstream:
        async with gateway(upstream, tmp_path, "house-70b") as there:
            with pytest.raises(Refused, match="16384"):
                await fold(there, ask(max_tokens=32_768))
    assert [call.body["max_tokens"] for call in upstream.calls] == [32_768, 16_384]


async def test_a_model_that_is_named_is_asked_though_the_limit_is_higher_than_it_is_known_to_take(
    tmp_path: Path,
) -> None:
    with Upstream({"gpt-4o": Expert("Hello.", fault="400", faults_left=1, message=OPENAI)}) as upstream:
        async with gateway(upstream, tmp_path, "gpt-4o") as there:
            assert (await fold(there, ask(max_tokens=32_768))).text == "Hello."
    assert [call.body["max_tokens"] for call in upstream.calls] == [32_768, 16_384]
