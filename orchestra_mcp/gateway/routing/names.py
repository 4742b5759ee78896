"""What a name in a request stands for: a model, an alias, a route, a use case, or `vendor/model id`, in this order."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping

from orchestra_mcp.errors import NotFound
from orchestra_mcp.gateway.routing.facts import Facts
from orchestra_mcp.gateway.routing.rules import USE_CASES, Course

MOST_HOPS = 8
"""Aliases of aliases; a circle ends here."""
MOST_LISTED = 12
MOST_COMPARED = 200
MAX_SHOWN = 100
"""Characters of a name that somebody gave."""

MAX_RESOLVED = 300
"""Longer names are no vendor's."""

Resolve = Callable[[str], str | None]


class Names:
    """The names that may be asked for.

    Args:
        models: facts by name; may grow.
        aliases: `[gateway.aliases]`.
        resolve: the name of the model that `vendor/model id` stands for, made known by this; None when there is none.
    """

    def __init__(self, models: Mapping[str, Facts], aliases: Mapping[str, str], resolve: Resolve) -> None:
        self._models = models
        self._aliases = aliases
        self._resolve = resolve
        self.courses: dict[str, Course] = {}
        """Routes and use cases by name."""

    def look(self, name: str) -> str | Course | None:
        """The model (its name) or route that a name stands for, None when it stands for nothing."""
        name = self._behind(name)
        if name in self._models:
            return name
        return self.courses.get(name) or self._vendors(name)

    def model(self, name: str) -> str:
        """The model that a route's target stands for; the same word when it stands for none."""
        name = self._behind(name)
        return name if name in self._models else self._vendors(name) or name

    def unknown(self, name: str, models: Iterable[str]) -> NotFound:
        """The error for a name that stands for nothing.

        Args:
            name: what was asked for.
            models: those that the caller may know of.
        """
        asked = name[:MAX_SHOWN]
        if name in self._aliases:
            behind = self._behind(name)
            what = "itself, by a circle of aliases" if behind in self._aliases else f"{behind[:MAX_SHOWN]!r}"
            return NotFound(
                f"The alias {asked!r} stands for {what}, which is no model or route; correct [gateway.aliases] in "
                "orchestra.toml."
            )
        routes = [*(route for route in self.courses if route not in USE_CASES), *USE_CASES]
        every = [*models, *self._aliases, *routes]
        near = difflib.get_close_matches(asked, every[:MOST_COMPARED], n=3)
        listed = list(dict.fromkeys([*near, *every]))
        shown = ", ".join(listed[:MOST_LISTED]) + (", …" if len(listed) > MOST_LISTED else "")
        return NotFound(
            f"There is no model, alias or route {asked!r}; there are: {shown}. "
            "Or name one as vendor/model id, or set `default` in [gateway]."
        )

    def _vendors(self, name: str) -> str | None:
        return self._resolve(name) if "/" in name and len(name) <= MAX_RESOLVED else None

    def _behind(self, name: str) -> str:
        for _ in range(MOST_HOPS):
            if name in self._models or name not in self._aliases:
                break
            name = self._aliases[name]
        return name
