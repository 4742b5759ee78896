"""What in the settings of the gateway can never work: names that stand for nothing, or that something else hides. Pure.

`Router.warnings` has what concerns names, routes and rules; this has the rest. The roster makes errors of both where the
settings name their models themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase

from orchestra_mcp.settings import Settings


def doubts(settings: Settings, models: Collection[str]) -> list[str]:
    """One line for each table that can never do anything, with what to change.

    Args:
        settings: as they were read.
        models: names of all models.
    """
    return [
        *_aliases(settings, models),
        *_budgets(settings, models),
        *_limits(settings, models),
        *_others(settings, models),
    ]


def _aliases(settings: Settings, models: Collection[str]) -> Iterator[str]:
    for alias in settings.gateway.aliases:
        if alias in models:
            yield f"[gateway.aliases] {alias!r} is never asked: a model has the same name; rename one of them."
        elif alias in settings.routes:
            yield f"[routes.{alias}] is never asked: an alias has the same name; rename one of them."


def _budgets(settings: Settings, models: Collection[str]) -> Iterator[str]:
    for number, budget in enumerate(settings.budgets, 1):
        if budget.per == "model" and not _meant(budget.name, models):
            yield f"[[budgets]] {number} is for the model {budget.name!r}, which is not a model here; correct its name."
    yield from _twice("[[budgets]]", ((each.per, each.name, each.window) for each in settings.budgets))


def _limits(settings: Settings, models: Collection[str]) -> Iterator[str]:
    for number, limit in enumerate(settings.rate_limits, 1):
        if limit.requests_per_minute is None and limit.tokens_per_minute is None and limit.concurrent is None:
            yield (
                f"[[rate_limits]] {number} limits nothing; set requests_per_minute, tokens_per_minute or concurrent, "
                "or leave it out."
            )
        if limit.per == "model" and not _meant(limit.name, models):
            yield f"[[rate_limits]] {number} is for the model {limit.name!r}, which is not a model here; correct its name."
    yield from _twice("[[rate_limits]]", ((each.per, each.name) for each in settings.rate_limits))


def _others(settings: Settings, models: Collection[str]) -> Iterator[str]:
    embedding = settings.embedding
    if embedding.engine == "provider" and embedding.model not in models and "/" not in embedding.model:
        yield f"[embedding] model names {embedding.model!r}, which is not a model here; name one of [models]."
    for name, route in settings.routes.items():
        for number, rule in enumerate(route.rules, 1):
            for intent in rule.when.intent:
                if not settings.intents.get(intent):
                    yield (
                        f"[[routes.{name}.rules]] {number} asks for intent {intent!r}, which has no examples in [intents]: "
                        "the rule would never fit."
                    )
        models_of = [target if isinstance(target, str) else target.model for target in route.targets]
        yield from _twice(f"[routes.{name}] targets", models_of)
    yield from _twice("[[seats]]", (seat.name for seat in settings.seats))


def _twice(where: str, names: Iterator[object] | list[str]) -> Iterator[str]:
    for name, times in Counter(names).items():
        if times > 1:
            shown = " ".join(map(str, name)) if isinstance(name, tuple) else str(name)
            yield f"{where}: {shown!r} stands there {times} times; leave one."


def _meant(pattern: str, models: Collection[str]) -> bool:
    """Whether some model is meant; `vendor/model id` need not be known before it is asked."""
    return "/" in pattern or any(fnmatchcase(name, pattern) for name in models)
