"""Money that is fetched in advance: exact near the end of a budget, given back, never spent twice."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestra_mcp.gateway.money.allowances import Allowances
from orchestra_mcp.settings import Budget
from orchestra_mcp.store import open_store
from orchestra_mcp.store.base import Store

DOLLAR = Budget(per="all", usd=Decimal(1), window="month")


async def take(purse: Allowances, amount: int, *claims: Budget) -> int:
    hold = await purse.reserve(claims or (DOLLAR,), amount, amount, 0, 60)
    if hold.short is not None:
        return 0
    hold.settle(amount)
    return amount


async def held_and_spent(store: Store) -> int:
    await store.purses.flush()
    hold = await store.purses.reserve((DOLLAR,), 2_000_000, 2_000_000, 0, 60)  # more than there can be
    assert hold.short is not None
    return 1_000_000 - hold.left


async def test_many_small_calls_cost_few_transactions_and_are_booked_to_the_micro_dollar(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        purse = Allowances(store.purses)
        for _ in range(400):
            assert await take(purse, 1_000) == 1_000
        # 10,000 at a time, ten calls each, and the first one exactly
        assert store.purses.batches < 2 * 42
        purse.close()
        assert await held_and_spent(store) == 400_000


async def test_near_its_end_a_budget_is_spent_to_the_last_call_by_two_processes_at_once(tmp_path: Path) -> None:
    async with open_store(tmp_path) as one, open_store(tmp_path) as two:
        purses = Allowances(one.purses), Allowances(two.purses)
        spent = 0

        async def spend(purse: Allowances) -> None:
            nonlocal spent
            for _ in range(600):
                taken = await take(purse, 1_000)
                spent += taken

        async with anyio.create_task_group() as tasks:
            for purse in purses:
                tasks.start_soon(spend, purse)
        assert spent == 1_000_000


async def test_what_is_not_used_goes_back_by_itself(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        purse = Allowances(store.purses)
        for _ in range(3):
            await take(purse, 1_000)
        with anyio.fail_after(10):
            while await held_and_spent(store) != 3_000:  # noqa: ASYNC110 - it is the database that changes
                await anyio.sleep(0.1)


async def test_a_call_larger_than_a_hundredth_is_held_exactly(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        purse = Allowances(store.purses)
        for _ in range(2):
            hold = await purse.reserve((DOLLAR,), 50_000, 50_000, 0, 60)
            hold.settle(50_000)
        assert await held_and_spent(store) == 100_000


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(st.tuples(st.integers(1, 30_000), st.integers(0, 30_000)), max_size=120))
def test_never_more_is_granted_than_there_is(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[int, int]]
) -> None:
    async def main() -> None:
        async with open_store(tmp_path_factory.mktemp("purse")) as store:
            purse = Allowances(store.purses)
            open_holds, spent, held = [], 0, 0
            for amount, cost in calls:
                hold = await purse.reserve((DOLLAR,), amount, amount, 0, 60)
                if hold.short is None:
                    open_holds.append((hold, amount, min(cost, amount)))
                    held += amount
                assert spent + held <= 1_000_000
                if len(open_holds) > 5:
                    done, amount, cost = open_holds.pop(0)
                    done.settle(cost)
                    held, spent = held - amount, spent + cost
            for done, _, cost in open_holds:
                done.settle(cost)
                spent += cost
            purse.close()
            assert await held_and_spent(store) == spent

    anyio.run(main)
