"""From a request to the way that it takes: what its name stands for, the first rule that fits, the targets that can take
it, and their order. Nothing here speaks to a model; only rules with intents wait, and those briefly.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from orchestra_mcp.errors import Refused
from orchestra_mcp.gateway.provider import Caller, ChatRequest, Way
from orchestra_mcp.gateway.routing.asked import Asked, measure
from orchestra_mcp.gateway.routing.facts import Facts
from orchestra_mcp.gateway.routing.filters import (
    Allowed,
    Left,
    Resting,
    Sieved,
    Terms,
    affordable,
    nothing_left,
    sieve,
    unable,
)
from orchestra_mcp.gateway.routing.intents import Intents
from orchestra_mcp.gateway.routing.names import Names, Resolve
from orchestra_mcp.gateway.routing.orders import SCORES, by_score, drawn
from orchestra_mcp.gateway.routing.quality import Quality
from orchestra_mcp.gateway.routing.rules import USE_CASES, Branch, Course, built_in, fits, ready
from orchestra_mcp.gateway.routing.stats import Stats
from orchestra_mcp.settings.gateway import Gateway, Route

SURELY = 0.5
"""Share of the estimated prompt that is in it for sure; a model that was named is refused only for what is sure."""
MOST_NAMED = 1_000


class Plan(NamedTuple):
    """What was settled for one request."""

    way: Way
    use_case: str
    max_tokens: int | None
    """The limit of the answer: the request's own, or what `max_usd_per_call` pays."""
    why: tuple[str, ...]
    """How the first target was chosen, for the receipt."""


class Router:
    """Settles the way of each request. For one event loop.

    Args:
        facts: what is known of each model, by name; may grow while `resolve` makes models known.
        routes: `[routes]`.
        gateway: `[gateway]`.
        stats: speed, failures and load, kept by who sees the calls.
        quality: how often models are right.
        resolve: see `Names`.
        allowed: may this caller ask this model? Called for every target, so it must be quick.
        resting: seconds until a model may be asked again; None or 0 when it may be asked now.
        left: money that is left for a call, None where no budget applies; the exact look is the meter's.
        intents: for rules that go by intent.
    """

    def __init__(
        self,
        facts: Mapping[str, Facts],
        *,
        routes: Mapping[str, Route],
        gateway: Gateway,
        stats: Stats,
        quality: Quality,
        resolve: Resolve | None = None,
        allowed: Allowed | None = None,
        resting: Resting | None = None,
        left: Left | None = None,
        intents: Intents | None = None,
    ) -> None:
        self._facts = facts
        self._listed = tuple(facts)  # what somebody names as vendor/model later is nobody else's business
        self._gateway = gateway
        self._stats = stats
        self._quality = quality
        self._allowed = allowed or _everyone
        self._terms = Terms(self._allowed, resting or _awake, left, None, gateway.unknown_prices == "refuse")
        self._intents = intents
        self._dice = random.Random(gateway.explore_seed)
        self._names = Names(facts, gateway.aliases, resolve or _nothing)
        self._named: dict[str, Way] = {}
        self.explored: Counter[str] = Counter()
        """Route → calls whose first target was drawn."""
        for name, route in {**built_in(facts), **routes}.items():
            self._names.courses[name] = ready(name, route, facts, self._names.model)
        self.warnings = tuple(self._doubts(routes))
        """What in the settings can never work, one line each."""

    @property
    def routes(self) -> tuple[str, ...]:
        """All routes and use cases that may be asked for."""
        return tuple(self._names.courses)

    async def plan(self, request: ChatRequest) -> Way:
        """The way that a request takes; see `settle`."""
        return (await self.settle(request)).way

    async def settle(self, request: ChatRequest) -> Plan:
        """The way, the use case, and why.

        Raises:
            NotFound: the name stands for nothing; the message lists what there is.
            Refused: a rule denies the request, or no target can take it; the message says which filter took out
                which target, and how to mend it.
            BudgetExceeded: only money stands in the way of all targets.
        """
        found = self._names.look(request.model)
        why: list[str] = []
        if found is None and self._gateway.default:
            found = self._names.look(self._gateway.default)
            why.append(f"default {self._gateway.default}: the name that was asked for is unknown")
        if found is None:
            raise self._names.unknown(
                request.model, (name for name in self._listed if self._allowed(request.caller, name))
            )
        if isinstance(found, str):
            return Plan(self._to_model(found, request), request.use_case, request.max_tokens, tuple(why))
        return await self._by_route(found, request, why)

    # ------------------------------------------------------------------------------------------- a model was named

    def _to_model(self, name: str, request: ChatRequest) -> Way:
        if not self._allowed(request.caller, name):
            raise Refused(
                f"The model {name!r} is not allowed for this key; ask an administrator to allow it.", "policy"
            )
        known = self._facts.get(name)
        if known is not None and known.limited:
            short = unable(name, known, request, measure(request), SURELY)
            # A limit that is too high is lowered by the wire, to what the vendor names.
            if short is not None and short.filter != "output":
                raise nothing_left(f"the name {request.model!r}", [short])
        way = self._named.get(name)
        if way is None:
            if len(self._named) >= MOST_NAMED:
                self._named.clear()
            way = self._named[name] = Way(
                targets=(name,),
                total_s=self._gateway.total_s,
                partition=name if known is None else known.identity,
            )
        return way

    # ------------------------------------------------------------------------------------------ a route was named

    async def _by_route(self, course: Course, request: ChatRequest, why: list[str]) -> Plan:
        asked = measure(request)
        use_case = request.use_case or course.use_case
        branch = await self._branch(course, request, asked, use_case, why)
        terms = self._terms if course.cap is None else self._terms._replace(cap=course.cap)
        sieved = sieve(branch.targets, self._facts, request, asked, terms)
        targets, how = self._order(course, branch, request, asked, use_case, sieved)
        why.append(how)
        if sieved.passed or sieved.resting:
            over = ", ".join(f"{each.name} ({each.filter})" for each in (*sieved.passed, *sieved.resting))
            why.append(f"passed over: {over}")
        limit = request.max_tokens
        if limit is None and course.cap is not None:
            limit = affordable(targets, self._facts, asked, course.cap)
            if limit is not None:
                why.append(f"answers of {limit:,} tokens at most, so that a call costs no more than the route allows")
        return Plan(self._way(course, branch, targets, sieved), use_case, limit, tuple(why))

    async def _branch(
        self, course: Course, request: ChatRequest, asked: Asked, use_case: str, why: list[str]
    ) -> Branch:
        """The branch of the first rule that fits, else the route's own."""
        intent: str | None = None
        for number, rule in enumerate(course.rules, 1):
            if not fits(rule.when, request, asked, use_case):
                continue
            if rule.when.intent:
                if intent is None:
                    intent = await self._intent(request, why)
                if intent not in rule.when.intent:
                    continue
            if rule.deny:
                raise Refused(f"The route {course.name!r} refuses this request: {rule.deny}", "policy")
            why.append(f"rule {number} of {course.name}")
            return rule.branch
        return course.branch

    async def _intent(self, request: ChatRequest, why: list[str]) -> str:
        if self._intents is None:
            why.append("no intent: there is no embedder, or there are no examples")
            return ""
        found = await self._intents.of(request)
        why.append(found.remark)
        return found.name

    def _order(
        self, course: Course, branch: Branch, request: ChatRequest, asked: Asked, use_case: str, sieved: Sieved
    ) -> tuple[list[str], str]:
        """All targets that may be asked, those that rest last (the one that is back soonest before the others)."""
        fit = sieved.fit
        back = [each.name for each in sorted(sieved.resting, key=lambda each: each.limit)]
        if not fit:
            if not back:
                raise nothing_left(f"the route {course.name!r}", sieved.passed)
            return back, f"{course.name}: {back[0]} is back soonest, all others rest or cannot take it"
        strategy = branch.strategy
        words = ""
        if strategy in SCORES:
            ordered, words = by_score(
                strategy,
                fit,
                self._facts,
                asked,
                use_case=use_case,
                most=request.max_tokens,
                stats=self._stats,
                quality=self._quality,
            )
            if len(ordered) > 1 and self._dice.random() < course.route.explore:
                self.explored[course.name] += 1
                ordered.insert(0, ordered.pop(self._dice.randrange(1, len(ordered))))
                return ordered + back, f"{course.name}: {ordered[0]}, drawn to learn of it"
        elif strategy == "weighted":
            ordered = drawn(fit, branch.weights, self._dice)
        elif strategy == "round_robin":
            ordered = branch.turn.order(fit, branch.targets)
        else:
            ordered = fit
        return ordered + back, f"{course.name}: {ordered[0]} by {strategy}" + (f" ({words})" if words else "")

    def _way(self, course: Course, branch: Branch, targets: list[str], sieved: Sieved) -> Way:
        # Whoever may not ask a model is not given its answers out of a cache either.
        out = {each.name for each in sieved.passed if each.filter == "policy"}
        partition = (
            branch.partition_of([name for name in branch.targets if name not in out]) if out else branch.partition
        )
        route = course.route
        return branch.way(
            tuple(targets),
            partition,
            lambda: Way(
                route=course.name,
                targets=tuple(targets),
                attempts=route.attempts,
                hedge_s=route.hedge_s,
                slow_s=route.slow_s,
                cache=route.cache,
                cache_ttl_s=route.cache_ttl_s,
                total_s=self._gateway.total_s,
                partition=partition,
            ),
        )

    # ------------------------------------------------------------------------------------------------- doubts

    def _doubts(self, routes: Mapping[str, Route]) -> list[str]:
        """Lines for what the settings name and nothing is called."""
        found = [
            f"[routes.{name}] is never asked: a model has the same name; rename one of them."
            for name in routes
            if name in self._facts
        ]
        for name in routes:
            course = self._names.courses[name]
            branches = dict.fromkeys([course.branch, *(rule.branch for rule in course.rules)])
            missing = dict.fromkeys(t for branch in branches for t in branch.targets if t not in self._facts)
            found += [f"[routes.{name}] names {target!r}, which is not a model here; correct it." for target in missing]
        stands = {**self._gateway.aliases, **({"default": self._gateway.default} if self._gateway.default else {})}
        found += [
            f"[gateway] {alias} stands for {name!r}, which is neither a model nor a route; correct it."
            for alias, name in stands.items()
            if self._names.look(name) is None
        ]
        return found


def _everyone(_: Caller, __: str) -> bool:
    return True


def _awake(_: str) -> None:
    return None


def _nothing(_: str) -> None:
    return None


__all__ = ["USE_CASES", "Plan", "Router"]
