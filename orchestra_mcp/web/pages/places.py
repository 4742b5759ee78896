"""The navigation: which pages there are to go to, by which key, and who sees them."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra_mcp.store.tenants import Permission
from orchestra_mcp.web.access import Principal


@dataclass(frozen=True)
class Place:
    """One entry of the navigation."""

    path: str
    name: str
    key: str
    """After `g`."""
    icon: str
    """Its name in `templates/icons.html`."""
    needs: Permission = "read"


PLACES: tuple[Place, ...] = (
    Place("/", "Overview", "h", "home"),
    Place("/ask", "Ask", "a", "ask", "ask"),
    Place("/consultations", "Consultations", "c", "list"),
    Place("/experts", "Experts", "e", "experts"),
    Place("/costs", "Costs", "m", "costs", "own"),
    Place("/providers", "Providers", "p", "pulse", "own"),
    Place("/alerts", "Alerts", "l", "bell", "own"),
    Place("/settings", "Settings", "s", "settings", "own"),
)
"""In the order of the navigation."""
ROOMS = frozenset({place.path[1:] for place in PLACES} | {"login", "logout", "static", "favicon.ico"})
"""First words of the paths of pages."""
OPEN_ROOMS = frozenset({"login", "static", "favicon.ico"})
"""Nobody need have entered for these."""


def places(who: Principal | None) -> tuple[Place, ...]:
    """The entries that somebody may use."""
    return tuple(place for place in PLACES if who is not None and who.may(place.needs))
