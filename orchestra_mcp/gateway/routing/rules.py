"""Routes made ready: their rules as conditions and branches, worked out once; and the use cases that need no settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from orchestra_mcp.gateway.provider import ChatRequest, Way
from orchestra_mcp.gateway.routing.asked import Asked
from orchestra_mcp.gateway.routing.facts import Facts
from orchestra_mcp.gateway.routing.orders import Turn
from orchestra_mcp.settings.gateway import Route, StrategyName, Target, When

LONG_TOKENS = 200_000
"""A window that counts as large, for the use case `long`."""
MOST_WAYS = 256

USE_CASES: dict[str, StrategyName] = {
    "code": "quality",
    "analysis": "quality",
    "chat": "balanced",
    "fast": "speed",
    "cheap": "cost",
    "long": "quality",
    # add here
}
"""Names that may be asked for without a route in the settings; a route of the same name replaces one."""


class Branch:
    """Some targets and a strategy: a route itself, or what one of its rules makes of it."""

    __slots__ = ("_ways", "identities", "partition", "strategy", "targets", "turn", "weights")

    def __init__(self, targets: Sequence[Target], strategy: StrategyName, facts: Mapping[str, Facts]) -> None:
        self.weights = {target.model: target.weight for target in targets}
        self.targets = tuple(self.weights)
        self.strategy: StrategyName = strategy
        self.turn = Turn()
        self.identities = {name: known.identity for name in self.targets if (known := facts.get(name)) is not None}
        self.partition = self.partition_of(self.targets)
        self._ways: dict[tuple[tuple[str, ...], str], Way] = {}

    def partition_of(self, names: Sequence[str]) -> str:
        """What tells answers of these targets apart from those of others, in whatever order they are asked.

        The strategy belongs to it where there is a choice: who asks for quality is not answered with what was cheap.
        """
        parts = sorted(self.identities.get(name, name) for name in names)
        return " ".join([self.strategy, *parts]) if len(parts) > 1 else "".join(parts)

    def way(self, targets: tuple[str, ...], partition: str, make: Callable[[], Way]) -> Way:
        """The way over these targets, made once: there are few orders, and a way never changes."""
        key = (targets, partition)
        way = self._ways.get(key)
        if way is None:
            if len(self._ways) >= MOST_WAYS:
                self._ways.clear()
            way = self._ways[key] = make()
        return way


class Turnoff(NamedTuple):
    """One rule: when it fits, its branch is taken, or the request refused."""

    when: When
    branch: Branch
    deny: str


class Course(NamedTuple):
    """A route, ready."""

    name: str
    route: Route
    use_case: str
    branch: Branch
    rules: tuple[Turnoff, ...]
    cap: float | None


def ready(name: str, route: Route, facts: Mapping[str, Facts], rename: Callable[[str], str]) -> Course:
    """A route with its rules, worked out.

    Args:
        name: of the route.
        route: as the settings have it.
        facts: of all models.
        rename: what a target's name stands for (an alias, `vendor/model id`).
    """

    def branch(targets: Sequence[str | Target], strategy: StrategyName) -> Branch:
        named = [target if isinstance(target, Target) else Target(model=target) for target in targets or route.targets]
        if not named:
            named = [Target(model=model) for model in everyone(facts)]
        return Branch([target.model_copy(update={"model": rename(target.model)}) for target in named], strategy, facts)

    base = branch(route.targets, route.strategy)
    rules = tuple(
        Turnoff(
            rule.when,
            branch(rule.targets, rule.strategy or route.strategy) if rule.targets or rule.strategy else base,
            rule.deny,
        )
        for rule in route.rules
    )
    cap = None if route.max_usd_per_call is None else float(route.max_usd_per_call)
    return Course(name, route, route.use_case or name, base, rules, cap)


def everyone(facts: Mapping[str, Facts]) -> tuple[str, ...]:
    """Models of routes that name none: the general ones, or all when there is no general one."""
    return tuple(name for name, known in facts.items() if known.general) or tuple(facts)


def built_in(facts: Mapping[str, Facts]) -> dict[str, Route]:
    """Routes for the use cases that need no settings."""
    names = everyone(facts)
    large = tuple(name for name in names if (facts[name].window or 0) >= LONG_TOKENS)
    return {
        name: Route(strategy=strategy, targets=large if name == "long" else names)
        for name, strategy in USE_CASES.items()
    }


def fits(when: When, request: ChatRequest, asked: Asked, use_case: str) -> bool:
    """Do all conditions hold, but the intent's?"""
    caller = request.caller
    return not (
        (when.min_tokens is not None and asked.tokens < when.min_tokens)
        or (when.max_tokens is not None and asked.tokens > when.max_tokens)
        or (when.private is not None and when.private is not request.private)
        or not _among(use_case, when.use_case)
        or not _among(caller.tier, when.tier)
        or not _among(caller.workspace, when.workspace)
        or not _among(caller.key, when.key)
        or (when.needs and not asked.all_needs.issuperset(when.needs))
    )


def _among(value: str, wanted: tuple[str, ...]) -> bool:
    return not wanted or value in wanted
