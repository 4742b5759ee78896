"""The routing: what names stand for, rules, filters, strategies, what is learnt from traffic, and intents.

Expected values are worked out by hand in the comments.
"""

from __future__ import annotations

import json
import random
import tomllib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upstream import Expert, Upstream

from orchestra_mcp.errors import BudgetExceeded, NotFound, Refused, Unavailable
from orchestra_mcp.gateway import build, open_http
from orchestra_mcp.gateway.money.dollars import dollars
from orchestra_mcp.gateway.money.metered import Ledger
from orchestra_mcp.gateway.money.prices import Price, Rates
from orchestra_mcp.gateway.provider import (
    AnswerSchema,
    Caller,
    ChatEvent,
    ChatRequest,
    Finish,
    Media,
    Message,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    fold,
)
from orchestra_mcp.gateway.routing.asked import last_question, measure
from orchestra_mcp.gateway.routing.doubts import doubts
from orchestra_mcp.gateway.routing.facts import Facts, facts_of, tariff_of
from orchestra_mcp.gateway.routing.intents import Intents
from orchestra_mcp.gateway.routing.quality import Quality
from orchestra_mcp.gateway.routing.routed import Routed
from orchestra_mcp.gateway.routing.router import Router
from orchestra_mcp.gateway.routing.stats import UNSEEN, Counted, Stats
from orchestra_mcp.settings import Keys, Limits, Settings, load
from orchestra_mcp.settings.gateway import Gateway, ModelSpec, Route, Rule, StrategyName, Target, When
from orchestra_mcp.types import CallRecord, Usage

STRATEGIES: tuple[StrategyName, ...] = get_args(StrategyName)
CODE = Message(role="user", text="x" * 3_500)
"""3,500 bytes at 3.5 a token and 4 for the message: 1,004 tokens."""


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def half(model_id: str, domain: str) -> float:
    return 0.5


def usd(input: str, output: str) -> Price:
    return Price.flat(Decimal(input), Decimal(output))


def models(*names: str, **facts: Facts) -> dict[str, Facts]:
    return {**{name: Facts(name, "vendor") for name in names}, **facts}


def router(facts: dict[str, Facts], routes: dict[str, Route] | None = None, **more: Any) -> Router:
    quality = Quality(half)
    given = {"routes": routes or {}, "gateway": Gateway(explore_seed=1), "stats": Stats(Clock()), "quality": quality}
    return Router(facts, **{**given, **more})


def ask(model: str, **more: Any) -> ChatRequest:
    return ChatRequest(**{"model": model, "messages": (Message(role="user", text="Why does it hang?"),), **more})


def call(model: str, seconds: float, first: float | None = None, tokens: int = 0, **more: Any) -> CallRecord:
    usage = Usage(output_tokens=tokens)
    return CallRecord(run="", purpose="", model=model, provider="v", usage=usage, seconds=seconds, first_token_s=first, **more)  # fmt: skip


def certain(**more: Any) -> Route:
    """A route that never explores."""
    return Route(**{"explore": 0, **more})


# --------------------------------------------------------------------------------------------------------- names


async def test_a_name_is_a_model_an_alias_a_route_a_use_case_or_a_vendor_and_model_id() -> None:
    there = router(
        models("sol", "opus"),
        {"mine": certain(targets=("opus", "sol"))},
        gateway=Gateway(aliases={"gpt-4o": "sol", "best": "mine", "a": "b", "b": "gpt-4o", "round": "round"}),
        resolve={"openai/gpt-6": "sol"}.get,
    )
    assert (await there.plan(ask("sol"))).targets == ("sol",)
    assert (await there.plan(ask("gpt-4o"))).targets == ("sol",)
    assert (await there.plan(ask("a"))).targets == ("sol",)  # an alias of an alias of an alias
    assert (await there.plan(ask("mine"))).targets == ("opus", "sol")
    assert (await there.plan(ask("best"))).route == "mine"
    assert (await there.plan(ask("openai/gpt-6"))).targets == ("sol",)
    for use_case in ("code", "analysis", "chat", "fast", "cheap", "long"):
        assert sorted((await there.plan(ask(use_case))).targets) == ["opus", "sol"]
    with pytest.raises(NotFound):  # a circle ends
        await there.plan(ask("round"))


async def test_an_unknown_name_is_refused_with_those_that_there_are_or_goes_to_the_default() -> None:
    facts = models("sol", "opus", "secret")
    there = router(facts, {"mine": certain(targets=("sol",))}, allowed=lambda caller, name: name != "secret")
    with pytest.raises(NotFound, match=r"There is no model, alias or route 'opsu'; there are: opus, sol, mine, code"):
        await there.plan(ask("opsu"))
    with pytest.raises(NotFound) as error:
        await there.plan(ask("x" * 10_000))
    assert "secret" not in str(error.value)  # what a caller may not ask is not listed for it
    assert len(str(error.value)) < 600
    default = router(facts, gateway=Gateway(default="fast"))
    plan = await default.settle(ask("gpt-9"))
    assert plan.way.route == "fast"
    assert "default fast" in plan.why[0]


async def test_the_users_route_replaces_the_use_case_of_the_same_name() -> None:
    there = router(models("sol", "opus"), {"code": certain(targets=("opus",))})
    assert (await there.plan(ask("code"))).targets == ("opus",)


async def test_coding_clis_take_part_in_no_use_case_unless_there_is_nothing_else() -> None:
    cli = facts_of(ModelSpec(wire="agent", model="claude"), price=usd("0", "0"))
    assert (await router(models("sol", cli=cli)).plan(ask("cheap"))).targets == ("sol",)
    assert (await router({"cli": cli}).plan(ask("cheap"))).targets == ("cli",)


async def test_the_use_case_long_takes_the_models_with_large_windows() -> None:
    facts = models(small=Facts("s", window=128_000), large=Facts("l", window=1_000_000), unknown=Facts("u"))
    assert (await router(facts).plan(ask("long"))).targets == ("large",)


def test_what_can_never_work_is_told_at_the_start() -> None:
    there = router(
        models("sol"),
        {
            "sol": certain(),
            "r": certain(targets=("sol", "ops"), rules=(Rule(when=When(intent=("law",)), targets=("sol",)),)),
        },
        gateway=Gateway(aliases={"gpt": "gone"}, default="r"),
    )
    assert there.warnings == (
        "[routes.sol] is never asked: a model has the same name; rename one of them.",
        "[routes.r] names 'ops', which is not a model here; correct it.",
        "[gateway] gpt stands for 'gone', which is neither a model nor a route; correct it.",
    )


# ---------------------------------------------------------------------------------------------------- what is asked


def test_the_prompt_is_estimated_from_its_bytes() -> None:
    assert measure(ask("x", messages=(CODE,))).tokens == 1_004
    # 700 letters of two bytes each: 1,400 / 3.5 = 400, and 4.
    assert measure(ask("x", messages=(Message(role="user", text="é" * 700),))).tokens == 404
    image = Message(role="user", parts=(Media(media_type="image/png", data="AAAA"),))
    assert measure(ask("x", messages=(image,))).tokens == 1_604


@pytest.mark.parametrize(
    ("more", "needs"),
    [
        ({}, set()),
        ({"tools": (Tool(name="f"),)}, {"tools"}),
        ({"messages": (Message(role="assistant", parts=(ToolCall(id="1", name="f"),)),)}, {"tools"}),
        ({"json_only": True}, {"json"}),
        ({"answer": AnswerSchema(json_schema={}), "json_only": True}, {"schema"}),
        ({"messages": (Message(role="user", parts=(Media(url="https://example.org/a"),)),)}, {"images"}),
        ({"messages": (Message(role="user", parts=(Media(media_type="audio/wav", data="AAAA"),)),)}, {"audio"}),
        (
            {
                "messages": (
                    Message(
                        role="user",
                        parts=(ToolResult(id="1", parts=(Media(media_type="application/pdf", data="AA"),)),),
                    ),
                )
            },
            {"tools", "documents"},
        ),
    ],
)
def test_what_a_model_must_be_able_to_do_is_read_off_the_request(more: dict[str, Any], needs: set[str]) -> None:
    assert measure(ask("x", **more)).needs == needs


def test_the_last_question_is_the_users_last_words_and_no_tools_result() -> None:
    asked = ask(
        "x",
        messages=(
            Message(role="user", text="First."),
            Message(role="user", text="Second.", parts=(Text(text="More."),)),
            Message(role="assistant", parts=(ToolCall(id="1", name="f"),)),
            Message(role="user", parts=(ToolResult(id="1", parts=(Text(text="42"),)),)),
        ),
    )
    assert last_question(asked) == "Second.\nMore."


# ----------------------------------------------------------------------------------------------------------- rules


@pytest.mark.parametrize(
    ("when", "more", "holds"),
    [
        (When(min_tokens=1_004), {"messages": (CODE,)}, True),
        (When(min_tokens=1_005), {"messages": (CODE,)}, False),
        (When(max_tokens=1_004), {"messages": (CODE,)}, True),
        (When(max_tokens=1_003), {"messages": (CODE,)}, False),
        (When(use_case=("tests", "r")), {}, True),  # the route is the use case, where the request names none
        (When(use_case=("r",)), {"use_case": "tests"}, False),
        (When(tier=("free",)), {"caller": Caller(tier="free")}, True),
        (When(tier=("free",)), {"caller": Caller(tier="pro")}, False),
        (When(workspace=("a",), key=("k",)), {"caller": Caller(workspace="a", key="k")}, True),
        (When(workspace=("a",), key=("k",)), {"caller": Caller(workspace="a", key="j")}, False),
        (When(needs=("tools", "json")), {"json_only": True, "tools": (Tool(name="f"),)}, True),
        (When(needs=("tools", "json")), {"json_only": True}, False),
        (When(needs=("reasoning",)), {"effort": "high"}, True),
        (When(needs=("reasoning",)), {"effort": "minimal"}, False),
        (When(private=True), {"private": True}, True),
        (When(private=True), {}, False),
        (When(private=False), {}, True),
        (When(), {}, True),
    ],
)
async def test_a_rule_fits_when_all_of_its_conditions_hold(when: When, more: dict[str, Any], holds: bool) -> None:
    route = certain(targets=("sol",), rules=(Rule(when=when, targets=("opus",)),))
    plan = await router(models("sol", "opus"), {"r": route}).settle(ask("r", **more))
    assert plan.way.targets == (("opus",) if holds else ("sol",))
    assert ("rule 1 of r" in plan.why) is holds


async def test_the_first_rule_that_fits_decides_and_may_change_only_the_strategy() -> None:
    facts = models(a=Facts("a", tariff=tariff_of(usd("2", "2"))), b=Facts("b", tariff=tariff_of(usd("1", "1"))))
    rules = (
        Rule(when=When(tier=("free",)), strategy="cost"),
        Rule(when=When(tier=("free", "pro")), targets=("b",)),
    )
    there = router(facts, {"r": certain(targets=("a", "b"), rules=rules)})
    assert (await there.plan(ask("r", caller=Caller(tier="free")))).targets == ("b", "a")
    assert (await there.plan(ask("r", caller=Caller(tier="pro")))).targets == ("b",)
    assert (await there.plan(ask("r"))).targets == ("a", "b")


async def test_a_rule_can_refuse_with_its_reason() -> None:
    rule = Rule(when=When(private=True), deny="no code leaves the house")
    there = router(models("sol"), {"r": certain(targets=("sol",), rules=(rule,))})
    with pytest.raises(Refused, match="The route 'r' refuses this request: no code leaves the house") as error:
        await there.plan(ask("r", private=True))
    assert error.value.kind == "policy"


# --------------------------------------------------------------------------------------------------------- filters


async def test_targets_that_cannot_take_a_request_are_passed_over_and_named() -> None:
    facts = models(
        small=Facts("s", window=2_000),
        short=Facts("o", most_output=1_000),
        blind=Facts("b", abilities=frozenset({"tools"})),
        secret=Facts("x"),
        good=Facts("g", window=6_000, most_output=4_096, abilities=frozenset({"tools", "images"})),
        open=Facts("u"),
    )
    route = certain(targets=("gone", "small", "short", "blind", "secret", "open", "good"))
    there = router(facts, {"r": route}, allowed=lambda caller, name: name != "secret")
    picture = Message(role="user", text="What?", parts=(Media(media_type="image/png", data="AAAA"),))
    plan = await there.settle(ask("r", messages=(picture,)))
    assert plan.way.targets == ("open", "good")  # what is unknown of a model excludes nothing
    assert plan.why[-1] == (
        "passed over: gone (unknown), small (window), short (output), blind (ability), secret (policy)"
    )


async def test_when_no_target_is_left_the_error_says_which_filter_took_out_which_and_how_to_mend_it() -> None:
    facts = models(small=Facts("s", window=5_000), blind=Facts("b", abilities=frozenset()), secret=Facts("x"))
    there = router(
        facts, {"r": certain(targets=("small", "blind", "secret"))}, allowed=lambda _, name: name != "secret"
    )
    picture = Message(role="user", parts=(Media(media_type="image/png", data="AAAA"),))
    with pytest.raises(Refused) as error:  # 1,604 tokens and 4,096 of the answer
        await there.plan(ask("r", messages=(picture,)))
    text = str(error.value)
    assert "the route 'r'" in text
    assert "small has a window of 5,000 tokens and about 5,700 are needed" in text
    assert "blind takes no images" in text
    assert "secret is not allowed for this key" in text
    assert "shorten the prompt or lower max_tokens" in text
    assert error.value.kind == "request"


async def test_only_the_policy_in_the_way_is_an_error_of_the_policy_and_only_money_one_of_the_budget() -> None:
    facts = models("sol", dear=Facts("d", tariff=tariff_of(usd("10", "50"))))
    there = router(facts, {"r": certain(targets=("sol",))}, allowed=lambda caller, name: False)
    for name in ("r", "sol"):
        with pytest.raises(Refused) as refused:
            await there.plan(ask(name))
        assert refused.value.kind == "policy"
    capped = router(facts, {"r": certain(targets=("dear",), max_usd_per_call=Decimal("0.01"))})
    # 1,004 tokens at $10 and 1,000 at $50 for a million: .01004 + .05 = .06004.
    with pytest.raises(BudgetExceeded, match=r"dear could cost \$0\.06004 and \$0\.0100 is the most"):
        await capped.plan(ask("r", messages=(CODE,), max_tokens=1_000))


async def test_a_model_that_was_named_is_refused_only_for_what_is_sure() -> None:
    there = router(models(small=Facts("s", window=5_000, abilities=frozenset())))
    # The estimate is 1,004 tokens; half of it and 4,498 of the answer are 5,000.
    assert (await there.plan(ask("small", messages=(CODE,), max_tokens=4_498))).targets == ("small",)
    with pytest.raises(Refused, match="window of 5,000 tokens and about 5,001 are needed"):
        await there.plan(ask("small", messages=(CODE,), max_tokens=4_499))
    with pytest.raises(Refused, match="small takes no tools"):
        await there.plan(ask("small", tools=(Tool(name="f"),)))


async def test_what_could_cost_more_than_a_call_may_is_passed_over_at_the_worst_price() -> None:
    written = Price(base=Rates(input=Decimal(2), output=Decimal(4), cache_read=Decimal(1), cache_write=Decimal(10)))
    facts = models("unpriced", plain=Facts("p", tariff=tariff_of(usd("2", "4"))), cached=Facts("c", tariff=tariff_of(written)))  # fmt: skip
    targets = ("unpriced", "cached", "plain")
    # 1,004 tokens and an answer of 1,000: plain .002008 + .004 = .006008, cached .01004 + .004 = .01404,
    # unpriced, at the ceiling of $10 and $50: .01004 + .05 = .06004.
    for cap, left in (("0.07", targets), ("0.0601", targets), ("0.06", targets[1:]), ("0.006008", targets[2:])):
        there = router(facts, {"r": certain(targets=targets, max_usd_per_call=Decimal(cap))})
        assert (await there.plan(ask("r", messages=(CODE,), max_tokens=1_000))).targets == left
    strict = Gateway(unknown_prices="refuse")
    there = router(facts, {"r": certain(targets=targets, max_usd_per_call=Decimal(1))}, gateway=strict)
    assert (await there.plan(ask("r"))).targets == targets[1:]
    # Without a limit no budget applies, and unknown prices are nobody's concern here.
    assert (await router(facts, {"r": certain(targets=targets)}, gateway=strict).plan(ask("r"))).targets == targets


async def test_a_model_whose_purse_is_empty_leaves_the_call_to_another() -> None:
    facts = models(a=Facts("a", tariff=tariff_of(usd("1", "1"))), b=Facts("b", tariff=tariff_of(usd("1", "1"))))
    purse = {"a": Decimal("0.001"), "b": None}
    there = router(facts, {"r": certain(targets=("a", "b"))}, left=lambda request, name: purse[name])
    assert (await there.plan(ask("r", messages=(CODE,)))).targets == ("b",)


async def test_what_rests_comes_last_and_the_one_that_is_back_soonest_is_asked_when_all_rest() -> None:
    resting: dict[str, float] = {"a": 20.0, "c": 5.0, "b": 0.0}
    there = router(models("a", "b", "c"), {"r": certain(targets=("a", "b", "c"))}, resting=resting.get)
    assert (await there.plan(ask("r"))).targets == ("b", "c", "a")
    resting["b"] = 60.0
    plan = await there.settle(ask("r"))
    assert plan.way.targets == ("c", "a", "b")
    assert plan.why[0].startswith("r: c is back soonest")
    assert (await there.plan(ask("a"))).targets == ("a",)  # a model that was named has no others


# ------------------------------------------------------------------------------------------------------ strategies


async def test_cost_takes_the_cheapest_for_this_prompt_tiers_included() -> None:
    base = Rates(input=Decimal(1), output=Decimal(4), cache_read=Decimal(1), cache_write=Decimal(1))
    dearer = Rates(input=Decimal(4), output=Decimal(8), cache_read=Decimal(4), cache_write=Decimal(4))
    facts = models(
        "unknown",
        tiered=Facts("t", tariff=tariff_of(Price(base=base, tiers=((2_000, dearer),)))),
        flat=Facts("f", tariff=tariff_of(usd("2", "4"))),
    )
    there = router(facts, {"r": certain(targets=("unknown", "flat", "tiered"), strategy="cost")})
    # 1,004 tokens, an answer of 400 (the prior): tiered .001004 + .0016 = .002604, flat .002008 + .0016 = .003608,
    # unknown at the ceiling .01004 + .02 = .03004.
    plan = await there.settle(ask("r", messages=(CODE,)))
    assert plan.way.targets == ("tiered", "flat", "unknown")
    assert plan.why == ("r: tiered by cost ($0.002604 expected)",)
    # 3,012 tokens: tiered .012048 + .0032 = .015248, flat .006024 + .0016 = .007624.
    assert (await there.plan(ask("r", messages=(CODE,) * 3))).targets == ("flat", "tiered", "unknown")


async def test_a_model_that_writes_longer_answers_is_dearer_at_the_same_price() -> None:
    facts = models(brief=Facts("b", tariff=tariff_of(usd("1", "5"))), windy=Facts("w", tariff=tariff_of(usd("1", "4"))))
    stats = Stats(Clock())
    there = router(facts, {"r": certain(targets=("brief", "windy"), strategy="cost")}, stats=stats)
    assert (await there.plan(ask("r"))).targets[0] == "windy"
    stats.observe(call("windy", 9, 1, tokens=4_000))
    # (4,000 + 400 · 0.5) / 1.5 = 2,800 tokens at $4 against 400 at $5 …
    assert (await there.plan(ask("r"))).targets[0] == "brief"
    # … but 300 at $4 against 300 at $5, where no answer may have more.
    assert (await there.plan(ask("r", max_tokens=300))).targets[0] == "windy"


async def test_speed_takes_the_shortest_time_to_the_end_of_the_answer() -> None:
    stats = Stats(Clock())
    for _ in range(30):
        stats.observe(call("eager", 1 + 400 * 0.05, 1, tokens=400))  # at once, then 20 tokens a second
        stats.observe(call("steady", 3 + 400 * 0.01, 3, tokens=400))  # late, then 100 a second
    there = router(
        models("eager", "steady"), {"r": certain(targets=("eager", "steady"), strategy="speed")}, stats=stats
    )
    assert (await there.plan(ask("r"))).targets == ("steady", "eager")  # about 7 s against 21 s
    assert (await there.plan(ask("r", max_tokens=20))).targets == ("eager", "steady")  # about 2 s against 3.2 s


async def test_quality_goes_by_the_prior_and_then_by_outcomes() -> None:
    priors = {"a": 0.7, "b": 0.6}
    quality = Quality(lambda model_id, domain: priors[model_id])
    there = router(
        models("a", "b", own=Facts("a", prior=0.65)),
        {"r": certain(targets=("b", "own", "a"), strategy="quality")},
        quality=quality,
    )
    assert (await there.plan(ask("r"))).targets == ("a", "own", "b")
    quality.learn([("b", "r", 1.0, 1.0)] * 5 + [("a", "elsewhere", 0.0, 1.0)] * 50)
    # (10 · .6 + 5) / 15 = .733 against .7: what happened elsewhere is another matter.
    assert quality.rate("b", "r") == pytest.approx(11 / 15)
    assert (await there.plan(ask("r"))).targets == ("b", "a", "own")
    assert (await there.plan(ask("r", use_case="elsewhere"))).targets == ("b", "a", "own")  # a 7 / 60, own 6.5 / 60
    quality.learn([("b", "r", 0.5, 1.0), ("b", "r", 7.0, 1.0)])  # halfway, and no more than wholly
    assert quality.rate("b", "r") == pytest.approx(12.5 / 17)
    quality.learn([("b", "elsewhere", 1.0, 0.5)] * 4)  # a commit's word counts half: (6 + 2) / (10 + 2)
    assert quality.rate("b", "elsewhere") == pytest.approx(8 / 12)
    assert quality.outcomes("b", "r") == 7


async def test_balanced_weighs_the_probability_of_being_right_against_money_and_time() -> None:
    facts = models(
        strong=Facts("strong", prior=0.80, tariff=tariff_of(usd("0", "100"))),
        fair=Facts("fair", prior=0.75, tariff=tariff_of(usd("0", "10"))),
        weak=Facts("weak", prior=0.55, tariff=tariff_of(usd("0", "0"))),
    )
    there = router(facts, {"r": certain(targets=("weak", "strong", "fair"), strategy="balanced")})
    # 400 tokens: $.04, $.004 and nothing, which counts as $.0001; all take (1.5 + 6) / .98 = 7.653 s, .153 points.
    # strong 8 - .25 ln .04 = 8.805, fair 7.5 - .25 ln .004 = 8.880, weak 5.5 - .25 ln .0001 = 7.803.
    plan = await there.settle(ask("r"))
    assert plan.way.targets == ("fair", "strong", "weak")
    assert "8.73 points" in plan.why[0]
    facts["strong"] = facts["strong"]._replace(prior=0.81)  # 8.905
    assert (await there.plan(ask("r"))).targets[0] == "strong"


async def test_weighted_draws_by_the_weights_and_orders_the_others_likewise() -> None:
    targets = (Target(model="a", weight=6), Target(model="b", weight=3), "c")
    there = router(models("a", "b", "c"), {"r": Route(targets=targets, strategy="weighted", explore=0.2)})
    orders = Counter([(await there.plan(ask("r"))).targets for _ in range(4_000)])
    first = Counter(order[0] for order in orders.elements())
    # .6, .3, .1; three standard deviations of 4,000 draws are .023 at most.
    assert [first[name] / 4_000 for name in "abc"] == pytest.approx([0.6, 0.3, 0.1], abs=0.025)
    # b then a: .3 · 6/7 = .257.
    assert orders["b", "a", "c"] / 4_000 == pytest.approx(0.257, abs=0.025)
    assert not there.explored


async def test_round_robin_takes_turns_and_keeps_its_turn_when_one_is_passed_over() -> None:
    resting: dict[str, float] = {}
    there = router(
        models("a", "b", "c"), {"r": Route(targets=("a", "b", "c"), strategy="round_robin")}, resting=resting.get
    )
    assert [(await there.plan(ask("r"))).targets for _ in range(4)] == [
        ("a", "b", "c"), ("b", "c", "a"), ("c", "a", "b"), ("a", "b", "c"),
    ]  # fmt: skip
    resting["b"] = 9
    assert [(await there.plan(ask("r"))).targets for _ in range(3)] == [
        ("c", "a", "b"),
        ("a", "c", "b"),
        ("c", "a", "b"),
    ]


async def test_least_busy_takes_the_model_with_the_most_free_places() -> None:
    stats = Stats(Clock())
    facts = models(one=Facts("1", concurrent=2), many=Facts("m", concurrent=20))
    there = router(facts, {"r": certain(targets=("one", "many"), strategy="least_busy")}, stats=stats)
    assert (await there.plan(ask("r"))).targets == ("one", "many")
    stats.begin("one")  # 1 of 2 against 9 of 20
    for _ in range(9):
        stats.begin("many")
    assert (await there.plan(ask("r"))).targets == ("many", "one")
    stats.end("one")
    assert (await there.plan(ask("r"))).targets == ("one", "many")


async def test_calls_in_flight_are_counted_until_they_end_however_they_do() -> None:
    stats = Stats(Clock())
    busy: list[int] = []

    class Vendor:
        async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
            busy.append(stats.busy("sol"))
            if request.seed == 1:
                raise Unavailable("down")
            yield Finish(reason="stop")

    counted = Counted(Vendor(), "sol", stats)
    await fold(counted, ask("sol"))
    with pytest.raises(Unavailable):
        await fold(counted, ask("sol", seed=1))
    stream = counted.chat(ask("sol"))
    await anext(stream)
    assert stats.busy("sol") == 1
    await stream.aclose()
    assert busy == [1, 1, 1]
    assert stats.busy("sol") == 0


async def test_a_share_of_the_calls_explores_and_is_counted_but_not_where_the_order_is_fixed() -> None:
    facts = models(a=Facts("a", prior=0.9), b=Facts("b", prior=0.5), c=Facts("c", prior=0.6))
    routes = {str(name): Route(strategy=name, targets=("a", "b", "c"), explore=0.2) for name in STRATEGIES}
    there = router(facts, routes)
    orders = Counter([(await there.plan(ask("quality"))).targets for _ in range(2_000)])
    # Three standard deviations: 2,000 · .2 ± 54, and half of that for each.
    assert there.explored["quality"] == pytest.approx(400, abs=54)
    assert orders["a", "c", "b"] == 2_000 - there.explored["quality"]
    assert orders["b", "a", "c"] + orders["c", "a", "b"] == there.explored["quality"]
    assert orders["b", "a", "c"] == pytest.approx(200, abs=42)
    for name in ("ordered", "weighted", "round_robin"):
        for _ in range(200):
            await there.plan(ask(name))
        assert not there.explored[name]


FLAWS = st.dictionaries(st.sampled_from("abcde"), st.sampled_from(["policy", "window", "ability", "resting", "price"]))


@given(FLAWS, st.sampled_from(STRATEGIES), st.integers(0, 1_000), st.integers(1, 12))
def test_a_passed_over_target_is_never_first_and_the_order_is_one_of_the_others(
    flaws: dict[str, str], strategy: StrategyName, seed: int, calls: int
) -> None:
    cheap, dear = tariff_of(usd("1", "1")), tariff_of(usd("1000", "1000"))
    facts = {
        name: Facts(
            name,
            window=100 if flaws.get(name) == "window" else None,
            abilities=frozenset() if flaws.get(name) == "ability" else None,
            tariff=dear if flaws.get(name) == "price" else cheap,
        )
        for name in "abcde"
    }
    weights = tuple(Target(model=name, weight=1 + index) for index, name in enumerate("abcde"))
    route = Route(targets=weights, strategy=strategy, explore=0.2, max_usd_per_call=Decimal("0.1"))

    def one() -> Router:
        return router(
            facts,
            {"r": route},
            gateway=Gateway(explore_seed=seed),
            allowed=lambda caller, name: flaws.get(name) != "policy",
            resting=lambda name: 10.0 if flaws.get(name) == "resting" else None,
        )

    async def run(there: Router) -> list[tuple[str, ...]]:
        return [(await there.plan(ask("r", tools=(Tool(name="f"),)))).targets for _ in range(calls)]

    resting = {name for name, flaw in flaws.items() if flaw == "resting"}
    fit = set("abcde") - flaws.keys()
    if not fit | resting:
        with pytest.raises((Refused, BudgetExceeded)):
            anyio.run(run, one())
        return
    orders = anyio.run(run, one())
    for order in orders:
        assert set(order) == fit | resting
        assert len(order) == len(fit | resting)
        assert set(order[: len(fit)]) == fit
    assert anyio.run(run, one()) == orders  # the same seed, the same draws


amounts = st.decimals(0, 1_000, places=4)
some_rates = st.builds(Rates, input=amounts, output=amounts, cache_read=amounts, cache_write=amounts)


@given(some_rates, st.dictionaries(st.integers(1, 500_000), some_rates, max_size=3), st.integers(0, 600_000), st.integers(0, 40_000))  # fmt: skip
def test_the_tariff_is_the_price_in_plain_numbers(
    base: Rates, tiers: dict[int, Rates], tokens: int, answer: int
) -> None:
    price = Price(base=base, tiers=tuple(sorted(tiers.items())))
    used = Usage(input_tokens=tokens, output_tokens=answer)
    assert tariff_of(price).cost(tokens, answer) == pytest.approx(float(price.cost(used)))
    assert tariff_of(price).worst(tokens, answer) == pytest.approx(float(price.worst(used)))


# ------------------------------------------------------------------------------------------- what traffic teaches


def test_means_forget_by_calls_and_by_time() -> None:
    clock = Clock()
    stats = Stats(clock, half_calls=1, half_s=60)
    assert stats.pace("sol") == UNSEEN == (1.5, 0.015, 0.02, 400)
    stats.observe(call("sol", seconds=12, first=2, tokens=100))
    # First token: (2 + 1.5 · .5) / 1.5; each token 10 s / 100: (.1 + .015 · .5) / 1.5; no failure: (0 + .02 · .5) / 1.5.
    assert stats.pace("sol") == pytest.approx((2.75 / 1.5, 0.1075 / 1.5, 0.01 / 1.5, 300 / 1.5))
    stats.observe(call("sol", seconds=14, first=4, tokens=200))
    # With one call the older one counts half: s = 2 · .5 + 4 = 5, n = 1.5. Tokens: s = .05 + .05, n = 1.5.
    assert stats.pace("sol") == pytest.approx((5.75 / 2, 0.1075 / 2, 0.01 / 2, 450 / 2))
    clock.now += 120
    # With two half-lives of time a quarter of it: s = 1.25, n = .375.
    assert stats.pace("sol").first_s == pytest.approx((1.25 + 0.75) / 0.875)
    stats.observe(call("sol", seconds=5, first=1, tokens=1))
    # s = 1.25 / 2 + 1 = 1.625, n = .375 / 2 + 1 = 1.1875. One token says nothing of speed: only time has passed.
    assert stats.pace("sol").first_s == pytest.approx((1.625 + 0.75) / 1.6875)
    assert stats.pace("sol").token_s == pytest.approx((0.1 / 4 + 0.0075) / 0.875)
    clock.now += 1e6
    assert stats.pace("sol") == pytest.approx(UNSEEN)  # what is old is not known


def test_failures_count_against_a_model_only_where_they_are_its_own() -> None:
    stats = Stats(Clock(), half_calls=1, half_s=60)
    for kind in ("request", "policy", "refusal", "too_long", "cancelled"):
        stats.observe(call("sol", 0.5, error=kind))
    stats.observe(call("sol", 0.1, 0.1, tokens=50, cache="hit"))
    assert stats.pace("sol") == UNSEEN
    stats.observe(call("sol", 0.5, error="server"))
    assert stats.pace("sol") == pytest.approx((1.5, 0.015, 1.01 / 1.5, 400))
    # 7.5 s, and each failure costs another try: over 1 - 1.01 / 1.5.
    assert stats.pace("sol").seconds(None) == pytest.approx(7.5 / (1 - 1.01 / 1.5))


def test_a_silence_that_was_ended_is_at_least_so_slow() -> None:
    stats = Stats(Clock(), half_calls=1, half_s=60)
    stats.observe(call("timed-out", 30, error="timeout"))
    stats.observe(call("outrun", 30, error="cancelled"))  # another target was faster
    stats.observe(call("left", 1.0, error="cancelled"))  # too early to tell
    stats.observe(call("begun", 30, 0.5, error="cancelled"))  # the caller had enough
    firsts = [stats.pace(name).first_s for name in ("timed-out", "outrun", "left", "begun")]
    assert firsts == pytest.approx([30.75 / 1.5, 30.75 / 1.5, 1.5, 1.25 / 1.5])
    assert stats.pace("outrun").fails == 0.02


def test_a_reply_in_one_piece_tells_the_time_of_its_tokens() -> None:
    stats = Stats(Clock(), half_calls=1, half_s=60)
    stats.observe(call("sol", 11.5, 11.5, tokens=100))
    # 1.5 s until the first token are expected; the other 10 s are for 100 tokens.
    assert stats.pace("sol").first_s == 1.5
    assert stats.pace("sol").token_s == pytest.approx((0.1 + 0.0075) / 1.5)


def test_stats_are_kept_over_a_restart_and_what_is_broken_is_left_out() -> None:
    clock = Clock()
    stats = Stats(clock)
    stats.observe(call("sol", 12, 2, tokens=100, model_id="gpt-6"))
    kept = json.loads(json.dumps(stats.to_json()))
    again = Stats(clock)
    kept["models"]["odd"] = {"at": "yesterday"}
    kept["models"]["worse"] = {**kept["models"]["sol"], "first": [float("nan"), 1]}
    again.load(kept)
    assert again.to_json() == stats.to_json()
    assert again.calls("sol") == 1
    unfit: tuple[object, ...] = (None, [], {"version": 2}, {"version": 1, "models": []})
    for broken in unfit:
        again.load(broken)
    assert again.pace("sol") == stats.pace("sol")
    again.observe(call("sol", 6, 1, tokens=100, model_id="gpt-7"))  # the name stands for another model now
    assert again.pace("sol").first_s == pytest.approx((1 + 0.75) / 1.5)


async def test_a_model_that_turns_slow_loses_its_traffic_and_regains_it_by_exploration() -> None:
    clock = Clock()
    stats = Stats(clock)
    there = router(models("a", "b"), {"r": Route(targets=("a", "b"), strategy="speed", explore=0.05)}, stats=stats)
    dice = random.Random(7)
    first_s = {"a": 0.5, "b": 1.2}

    async def share_of_a(calls: int) -> float:
        asked: Counter[str] = Counter()
        for _ in range(calls):
            name = (await there.plan(ask("r"))).targets[0]
            asked[name] += 1
            first = first_s[name] * dice.uniform(0.8, 1.25)
            stats.observe(call(name, first + 4, first, tokens=400))
            clock.now += 1
        return asked["a"] / calls

    await share_of_a(100)
    assert await share_of_a(300) > 0.9
    first_s["a"] = 10.0
    assert await share_of_a(20) < 0.5  # after few slow calls
    assert await share_of_a(300) < 0.15
    first_s["a"] = 0.5
    await share_of_a(600)
    assert await share_of_a(300) > 0.9


# --------------------------------------------------------------------------------------------------------- intents


class Compass:
    """An embedder for which a text is a direction in degrees: `30 Why?`."""

    tag = "compass"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.seconds = 0.0
        self.down = False

    async def embed(self, texts: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
        from math import cos, radians, sin

        self.asked += texts
        await anyio.sleep(self.seconds)
        if self.down:
            raise Unavailable("down", "network")
        angles = [radians(float(text.split()[0])) for text in texts]
        return tuple((cos(angle), sin(angle)) for angle in angles)


async def compass(embedder: Compass, here: bool = True, **more: Any) -> Intents:
    intents = Intents({"east": ("0 Where?", "20 Who?"), "north": ("90 How?",)}, embedder, here=here, **more)
    assert await intents.warm()
    return intents


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("5 What?", "east"),
        ("80 What?", "north"),
        ("54 What?", ""),  # cos 34° = .829 to east's second example, cos 36° = .809 to north
        ("180 What?", ""),  # far from both
        ("", ""),
    ],
)
async def test_the_intent_is_that_of_the_nearest_example_unless_two_are_as_near_or_none_is(
    text: str, name: str
) -> None:
    intents = await compass(Compass())
    assert (await intents.of(ask("x", messages=(Message(role="user", text=text),)))).name == name


async def test_rules_go_by_the_intent_of_the_last_question_and_ask_for_it_once() -> None:
    embedder = Compass()
    rules = (Rule(when=When(intent=("west",)), targets=("a",)), Rule(when=When(intent=("north",)), targets=("b",)))
    there = router(models("a", "b"), {"r": certain(targets=("a",), rules=rules)}, intents=await compass(embedder))
    embedder.asked.clear()
    earlier = Message(role="user", text="0 Where?")
    plan = await there.settle(ask("r", messages=(earlier, Message(role="user", text="88 How now?"))))
    assert plan.way.targets == ("b",)
    assert plan.why[:2] == ("intent north (1.00)", "rule 2 of r")
    assert embedder.asked == ["88 How now?"]
    await there.settle(ask("r", messages=(Message(role="user", text="88 How now?"),)))
    assert embedder.asked == ["88 How now?"]  # remembered
    await there.settle(ask("a"))
    assert embedder.asked == ["88 How now?"]  # where no rule wants to know, nobody is asked


async def test_without_an_embedder_that_answers_in_time_there_is_no_intent_and_the_call_goes_on() -> None:
    embedder = Compass()
    rules = (Rule(when=When(intent=("north",)), targets=("b",)),)
    route = {"r": certain(targets=("a",), rules=rules)}
    question = ask("r", messages=(Message(role="user", text="88 How?"),))

    async def why(intents: Intents | None, request: ChatRequest = question) -> str:
        plan = await router(models("a", "b"), route, intents=intents).settle(request)
        assert plan.way.targets == ("a",)
        return plan.why[0]

    assert "no embedder" in await why(None)
    assert "not ready" in await why(Intents({"north": ("90 How?",)}, embedder, here=True))
    private = question.model_copy(update={"private": True})
    embedder.asked.clear()
    assert "is private" in await why(await compass(embedder, here=False), private)
    assert "88 How?" not in embedder.asked
    slow = await compass(embedder, wait_s=0.01)
    embedder.seconds = 30
    assert "longer than 0.01 s" in await why(slow)
    embedder.seconds, embedder.down = 0, True
    assert "failed (network)" in await why(slow)
    assert not await slow.warm()


# ------------------------------------------------------------------------------------------------------- the layer


class Seen:
    """Ends the stack and keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[ChatRequest] = []

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        self.requests.append(request)
        yield Finish(reason="stop")


async def test_the_layer_settles_way_and_use_case_and_writes_the_receipt() -> None:
    seen = Seen()
    route = certain(
        targets=("a", "b"), attempts=2, hedge_s=1.5, slow_s=8, cache="exact", cache_ttl_s=60, use_case="tests"
    )
    gateway = Routed(seen, router(models("a", "b"), {"r": route}, gateway=Gateway(total_s=45)))
    request = ask("r")
    await fold(gateway, request)
    (settled,) = seen.requests
    way = settled.way
    assert way is not None
    assert (way.route, way.targets, way.attempts, way.hedge_s, way.slow_s) == ("r", ("a", "b"), 2, 1.5, 8)
    assert (way.cache, way.cache_ttl_s, way.total_s) == ("exact", 60, 45)
    assert settled.use_case == "tests"
    assert request.receipt.route == "r"
    assert request.receipt.why == ["r: a by ordered"]
    await fold(gateway, ask("r", use_case="mine"))
    assert seen.requests[-1].use_case == "mine"
    await fold(gateway, ask("a"))
    assert seen.requests[-1].way.targets == ("a",)  # type: ignore[union-attr]
    with pytest.raises(NotFound):
        await fold(gateway, ask("nobody"))
    assert len(seen.requests) == 3


async def test_caches_are_parted_by_who_may_answer_and_not_by_the_order_of_today() -> None:
    async def partition(there: Router, name: str, **more: Any) -> str:
        return (await there.plan(ask(name, **more))).partition

    facts = models("a", "b", "c")
    routes = {
        "ring": Route(targets=("a", "b"), strategy="round_robin"),
        "other": Route(targets=("a", "c"), strategy="round_robin"),
        "best": Route(targets=("a", "b"), strategy="quality"),
        "one": Route(targets=("a",)),
    }
    there = router(facts, routes, allowed=lambda caller, name: caller.tier != "free" or name != "b")
    assert await partition(there, "ring") == await partition(there, "ring")
    parts: Sequence[str] = [await partition(there, name) for name in ("ring", "other", "best", "a")]
    assert len(set(parts)) == 4
    assert await partition(there, "one") == await partition(there, "a") == "vendor/a"
    # Who may not ask b is not given what b has answered.
    assert await partition(there, "ring", caller=Caller(tier="free")) == "vendor/a"


# ------------------------------------------------------------------------------------------------- with real parts


@asynccontextmanager
async def gateway(upstream: Upstream, routes: dict[str, Route]) -> AsyncIterator[tuple[Routed, list[CallRecord]]]:
    """Routing over the stacks of all experts of an upstream, learning from every call."""
    limits = Limits(first_token_s=10, idle_s=10)
    specs = {name: ModelSpec(base_url=f"{upstream.url}/v1", model=name) for name in upstream.experts}
    stats = Stats()
    records: list[CallRecord] = []

    def note(record: CallRecord) -> None:
        records.append(record)
        stats.observe(record)

    async def sleep(seconds: float) -> None:
        await anyio.lowlevel.checkpoint()

    async with open_http() as http:
        inner = build(specs, Keys({}), limits, ledger=Ledger(limits), on_call=note, http=http, sleep=sleep)
        facts = {name: facts_of(spec, price=usd("0", "0")) for name, spec in specs.items()}
        yield Routed(inner.targets, router(facts, routes, stats=stats)), records


async def test_over_http_the_quicker_model_is_found_and_a_failed_one_is_followed_by_the_next() -> None:
    experts = {"late": Expert("Later.", latency_s=0.15), "soon": Expert("Soon."), "down": Expert(fault="500")}
    routes = {
        "try": Route(targets=("late", "soon"), strategy="round_robin"),
        "fast": certain(targets=("late", "soon"), strategy="speed"),
        "chain": certain(targets=("down", "soon")),
    }
    with Upstream(experts) as upstream:
        async with gateway(upstream, routes) as (routed, records):
            for _ in range(4):
                await fold(routed, ask("try"))
            assert (await fold(routed, ask("fast"))).text == "Soon."
            request = ask("chain")
            assert (await fold(routed, request)).text == "Soon."
            assert request.receipt.route == "chain"
            assert request.receipt.why[0] == "chain: down by ordered"
    assert [record.model for record in records[:4]] == ["late", "soon", "late", "soon"]
    assert records[-1].model == "soon"
    assert {record.error for record in records if record.model == "down"} == {"server"}


def test_the_settings_in_the_documentation_are_settings(tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent / "docs" / "routing.md").read_text("utf-8")
    file = tmp_path / "orchestra.toml"
    file.write_text(text.partition("```toml")[2].partition("```")[0], "utf-8")
    settings = load({"ORCHESTRA_CONFIG": str(file), "ORCHESTRA_HOME": str(tmp_path)})
    there = router(models("sol", "opus", "local", "gemini"), dict(settings.routes), gateway=settings.gateway)
    assert there.warnings == ()
    assert doubts(settings, ("sol", "opus", "local", "gemini")) == []
    assert set(there.routes) == {"code", "analysis", "chat", "fast", "cheap", "long", "spread"}


# ------------------------------------------------------------------------------------ limits that a cap pays


async def test_a_cap_lowers_the_limit_of_a_request_that_has_none() -> None:
    # 1,004 tokens at $10 for a million are $0.01004; what is left of $0.05 pays 799.2 tokens at $50, of $0.02 199.2.
    facts = models(
        "free", dear=Facts("d", tariff=tariff_of(usd("10", "50"))), free=Facts("f", tariff=tariff_of(usd("0", "0")))
    )

    def capped(cap: str, *targets: str) -> Router:
        return router(facts, {"r": certain(targets=targets, max_usd_per_call=Decimal(cap))})

    asked = ask("r", messages=(CODE,), max_tokens=None)
    plan = await capped("0.05", "dear").settle(asked)
    assert (plan.way.targets, plan.max_tokens) == (("dear",), 799)
    assert any("799" in line for line in plan.why)
    with pytest.raises(BudgetExceeded, match="dear could cost"):
        await capped("0.02", "dear").settle(asked)
    assert (await capped("0.02", "dear", "free").settle(asked)).way.targets == ("free",)
    assert (await capped("0.02", "free").settle(asked)).max_tokens is None
    assert (await capped("0.05", "dear", "free").settle(asked)).max_tokens == 799, "all targets keep to it"
    assert (await capped("9", "dear").settle(asked)).max_tokens is None, "32,768 tokens are paid"
    with pytest.raises(BudgetExceeded):  # a limit that somebody has set stays
        await capped("0.05", "dear").settle(asked.model_copy(update={"max_tokens": 800}))
    assert (await capped("0.05", "dear").settle(asked.model_copy(update={"max_tokens": 790}))).max_tokens == 790


async def test_what_a_cap_pays_reaches_the_vendor() -> None:
    with Upstream({"ada": Expert("Hello.")}) as upstream:
        price: dict[str, Any] = {"input_usd_per_mtok": Decimal(0), "output_usd_per_mtok": Decimal(10)}
        spec = ModelSpec(base_url=f"{upstream.url}/v1", model="ada", **price)
        told = load_text("[routes.r]\ntargets = ['ada']\nmax_usd_per_call = 0.01\n")
        async with open_http() as http:
            limits = Limits()
            there = build(
                {"ada": spec}, Keys({}), limits, ledger=Ledger(limits), on_call=lambda _: None, http=http, settings=told
            )
            await fold(there, ask("r", max_tokens=None))
    assert upstream.calls[0].body["max_tokens"] == 1_000  # $0.01 at $10 for a million


async def test_an_alias_that_stands_for_nothing_says_so() -> None:
    there = router(models("sol"), gateway=Gateway(aliases={"old": "gone", "round": "about", "about": "round"}))
    with pytest.raises(NotFound, match="The alias 'old' stands for 'gone', which is no model or route"):
        await there.plan(ask("old"))
    with pytest.raises(NotFound, match="The alias 'round' stands for itself"):
        await there.plan(ask("round"))


def load_text(text: str) -> Settings:
    """Settings from a file's text."""
    return Settings.model_validate(tomllib.loads(text))


def test_money_has_as_many_digits_as_it_takes() -> None:
    assert [dollars(Decimal(each)) for each in ("5", "0.0002", "0.000011", "1234.5")] == [
        "$5.00", "$0.0002", "$0.000011", "$1,234.50",
    ]  # fmt: skip
    assert dollars(0.1, 4) == "$0.1000"
    assert dollars(0) == "$0.00"
    assert dollars(1e-9) == "less than $0.000001"
