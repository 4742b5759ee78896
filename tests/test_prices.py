"""What calls cost: the settings' price table, tiers, dates, hours, and tokens that are counted once."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_mcp.gateway.money.budgets import Budgets
from orchestra_mcp.gateway.money.estimates import FOR_TOOLS, IMAGE_TOKENS, PER_MESSAGE, size_of
from orchestra_mcp.gateway.money.metered import micros
from orchestra_mcp.gateway.money.prices import FREE, KeptPrice, Price, Rates, price, table_date
from orchestra_mcp.gateway.provider import AnswerSchema, ChatRequest, Media, Message, Text, Tool, ToolCall, ToolResult
from orchestra_mcp.settings import ModelSpec, PriceRow
from orchestra_mcp.types import Usage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
OPENAI = "https://api.openai.com/v1"


def row(model: str, input: str, output: str, **more: Any) -> PriceRow:
    return PriceRow(model=model, input_usd_per_mtok=Decimal(input), output_usd_per_mtok=Decimal(output), **more)


def paid(spec: ModelSpec, *table: PriceRow, at: datetime = NOON) -> Decimal | None:
    found = price(spec, at, table)
    return None if found is None else found.base.input


# ------------------------------------------------------------------------------------------------ the settings' table


def test_the_settings_table_goes_before_the_bundled_list_and_after_the_models_own_price() -> None:
    spec = ModelSpec(base_url=OPENAI, model="gpt-6.1-sol")
    assert paid(spec) == 2  # the bundled list
    assert paid(spec, row("gpt-6*", "1.5", "7")) == Decimal("1.5")
    own = spec.model_copy(update={"input_usd_per_mtok": Decimal(9), "output_usd_per_mtok": Decimal(9)})
    assert paid(own, row("gpt-6*", "1.5", "7")) == 9


def test_the_narrowest_row_counts_wherever_it_stands() -> None:
    spec = ModelSpec(vendor="acme", base_url="https://llm.acme.example/v1", model="Big-2")
    wide, by_name, by_vendor = row("*", "1", "1"), row("big-*", "2", "2"), row("*", "3", "3", vendor="acme")
    host = row("big-2", "4", "4", vendor="llm.acme.example")
    assert paid(spec, wide) == 1
    assert paid(spec, by_name, wide) == 2
    assert paid(spec, by_vendor, by_name, wide) == 3
    assert paid(spec, wide, by_vendor, host, by_name) == 4
    assert paid(spec, row("big", "5", "5"), row("other*", "6", "6")) is None


def test_a_row_holds_from_its_first_moment_to_its_last() -> None:
    spec = ModelSpec(base_url="https://llm.example/v1", model="m")
    table = (
        row("m", "1", "1"),
        row("m", "2", "2", since=datetime(2026, 12, 1)),
        row("m", "3", "3", since=datetime(2027, 1, 1, tzinfo=UTC), until=datetime(2027, 2, 1, tzinfo=UTC)),
    )
    for at, expected in (
        (datetime(2026, 11, 30, 23, 59, tzinfo=UTC), 1),
        (datetime(2026, 12, 1, tzinfo=UTC), 2),
        (datetime(2027, 1, 1, tzinfo=UTC), 3),
        (datetime(2027, 2, 1, tzinfo=UTC), 2),
    ):
        assert paid(spec, *table, at=at) == expected


def test_tiers_of_the_table_hold_for_the_whole_call() -> None:
    spec = ModelSpec(base_url="https://llm.example/v1", model="m")
    found = price(spec, NOON, (row("m", "4", "12", above_tokens=200_000), row("m", "2", "10")))
    assert found is not None
    assert found.cost(Usage(input_tokens=200_000, output_tokens=1000)) == Decimal("0.41")
    assert found.cost(Usage(input_tokens=200_001, output_tokens=0)) == Decimal("0.800004")


def test_a_model_on_this_machine_is_free_unless_the_table_names_it() -> None:
    spec = ModelSpec(base_url="http://127.0.0.1:11434/v1", model="m")
    assert price(spec, NOON, (row("*", "1", "1"),)) is FREE
    assert paid(spec, row("*", "1", "1", vendor="local")) == 1


# ------------------------------------------------------------------------------------------------ the bundled list


def test_prices_that_change_with_the_hour_are_looked_up_again() -> None:
    # DeepSeek's price page: full price from 01:00 to 04:00 and from 06:00 to 10:00 UTC, half of it otherwise
    spec = ModelSpec(base_url="https://api.deepseek.com", model="deepseek-v4-pro")
    hours = iter((0, 2))
    now = [0.0]
    kept = KeptPrice(lambda: price(spec, datetime(2026, 11, 21, next(hours), tzinfo=UTC)), lambda: now[0], ttl_s=60)
    assert not kept.known
    first = kept.now()
    assert first is not None
    assert first.base.input == Decimal("0.66")
    now[0] = 59.0
    assert kept.now() is first
    now[0] = 60.0
    second = kept.now()
    assert second is not None
    assert second.base.input == Decimal("1.32")


def test_the_bundled_list_says_how_old_it_is() -> None:
    name, newest = table_date()
    assert name.startswith("genai-prices ")
    assert newest is not None
    assert date(2026, 1, 1) <= newest <= datetime.now(UTC).date()


def test_a_long_prompt_costs_what_geminis_price_list_says() -> None:
    # ai.google.dev/gemini-api/docs/pricing, Gemini 2.5 Pro: $1.25 and $10, above 200k tokens of prompt $2.50 and $15
    spec = ModelSpec(wire="gemini", base_url="https://generativelanguage.googleapis.com", model="gemini-2.5-pro")
    found = price(spec, NOON)
    assert found is not None
    assert found.cost(Usage(input_tokens=200_000, output_tokens=1_000)) == Decimal("0.26")
    assert found.cost(Usage(input_tokens=300_000, output_tokens=1_000)) == Decimal("0.765")


# ------------------------------------------------------------------------------------------------ what a call costs

SONNET = Price(base=Rates(input=Decimal(3), output=Decimal(15), cache_read=Decimal("0.3"), cache_write=Decimal("3.75")))


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        # Dollars for a million tokens of each kind: every bucket is paid once, at its own rate.
        (Usage(input_tokens=1_000_000), "3"),
        (Usage(cache_read_tokens=1_000_000), "0.3"),
        (Usage(cache_write_tokens=1_000_000), "3.75"),
        (Usage(output_tokens=1_000_000), "15"),
        (Usage(reasoning_tokens=1_000_000), "15"),
        # Anthropic's example of a cached book: 188,086 tokens written, 21 new, 393 said
        (Usage(input_tokens=21, cache_write_tokens=188_086, output_tokens=393), "0.7112805"),
        # … and read the second time: 188,086 × 0.3 + 21 × 3 + 393 × 15 millionths
        (Usage(input_tokens=21, cache_read_tokens=188_086, output_tokens=393), "0.0623838"),
        # OpenAI's example: 2,006 tokens of prompt, of which 1,920 were cached, 300 said; 86 are new
        (Usage(input_tokens=86, cache_read_tokens=1_920, output_tokens=300), "0.005334"),
        (Usage(), "0"),
    ],
)
def test_each_token_is_paid_once(usage: Usage, usd: str) -> None:
    assert SONNET.cost(usage) == Decimal(usd)


rates = st.builds(
    Rates,
    input=st.decimals(0, 100, places=3),
    output=st.decimals(0, 100, places=3),
    cache_read=st.decimals(0, 100, places=3),
    cache_write=st.decimals(0, 100, places=3),
)
prices = st.builds(
    lambda base, tiers: Price(base=base, tiers=tuple(sorted(tiers.items()))),
    rates,
    st.dictionaries(st.integers(1, 300_000), rates, max_size=3),
)


@given(prices, st.integers(0, 400_000), st.integers(0, 50_000), st.data())
def test_no_call_costs_more_than_its_worst_case(found: Price, tokens: int, output: int, data: st.DataObject) -> None:
    used = data.draw(st.integers(0, tokens))
    read = data.draw(st.integers(0, used))
    written = data.draw(st.integers(0, used - read))
    said = data.draw(st.integers(0, output))
    thought = data.draw(st.integers(0, said))
    usage = Usage(
        input_tokens=used - read - written,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=said - thought,
        reasoning_tokens=thought,
    )
    worst = found.worst(Usage(input_tokens=tokens, output_tokens=output))
    assert found.cost(usage) <= worst
    affords = found.affords(tokens, worst)
    assert affords >= output
    assert found.worst(Usage(input_tokens=tokens, output_tokens=min(affords, 10**9))) <= worst


@given(st.decimals(0, 10_000, places=9))
def test_micro_dollars_are_rounded_up(usd: Decimal) -> None:
    assert Decimal(micros(usd)) / 1_000_000 - usd < Decimal("0.000001")
    assert Decimal(micros(usd)) / 1_000_000 >= usd


# ------------------------------------------------------------------------------------------------ how large a request is


def test_everything_that_is_sent_is_in_the_upper_bound() -> None:
    def size(*parts: Any, **more: Any) -> int:
        return size_of(
            ChatRequest(model="m", messages=(Message(role="user", text="häß", parts=parts),), **more)
        ).at_most()

    alone = PER_MESSAGE + 5  # ä and ß have two bytes each
    assert size() == alone
    assert size(Text(text="abc")) == alone + PER_MESSAGE + 3
    assert size(ToolCall(id="1", name="ls", arguments='{"a":1}')) == alone + PER_MESSAGE + 9
    inner = ToolResult(id="1", name="ls", parts=(Text(text="four"),))
    assert size(inner) == alone + PER_MESSAGE + 2 + PER_MESSAGE + 4
    assert size(Media(media_type="image/png", data="A" * 90_000)) == alone + PER_MESSAGE + IMAGE_TOKENS
    assert size(Media(media_type="application/pdf", data="A" * 90_000)) == alone + PER_MESSAGE + 90_000
    tool = Tool(name="ls", description="Lists.", parameters={"type": "object"})
    assert size(tools=(tool,)) == alone + FOR_TOOLS + PER_MESSAGE + 2 + 6 + len('{"type": "object"}')
    assert size(answer=AnswerSchema(json_schema={})) == alone + FOR_TOOLS + 2


def test_no_prompt_is_larger_than_the_window() -> None:
    size = size_of(ChatRequest(model="m", messages=(Message(role="user", text="x" * 300_000),)))
    assert size.at_most(128_000) == 128_000
    assert size.at_most(1_000_000) == 300_000 + PER_MESSAGE


def test_without_budgets_nothing_is_claimed() -> None:
    from orchestra_mcp.gateway.provider import Caller

    assert Budgets((), None).claims(Caller(key="a", workspace="b"), "p", "m") == ()
