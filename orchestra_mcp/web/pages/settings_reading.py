"""The settings in force as rows for a page: what holds, where it comes from, where it is explained; never a secret. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from orchestra_mcp.settings import MADE_BY_US, Settings
from orchestra_mcp.types import Noun

DOCS: Final = {
    "models": "docs/providers.md",
    "routes": "docs/routing.md",
    "intents": "docs/routing.md",
    "budgets": "docs/costs.md",
    "rate_limits": "docs/costs.md",
    "prices": "docs/costs.md",
    "embedding": "docs/caching.md",
    "privacy": "docs/privacy.md",
    "verify": "docs/verifying.md",
    "memory": "docs/outcomes.md",
    "alerts": "docs/observability.md",
    "telemetry": "docs/observability.md",
}
"""Table → where it is explained; all others: `docs/configuration.md`. Add one here."""
PLAIN: Final = "docs/configuration.md"
LONGEST: Final = 300
UNSET: Final = "not set"
HIDDEN: Final = "set, not shown"
ADDRESSES: Final = frozenset({"url", "otlp", "base_url"})


class Value(Noun):
    """One setting."""

    name: str
    value: str
    from_file: bool
    """The user's file says so; else it is the default."""


class Table(Noun):
    """The settings of one table of the file."""

    name: str
    docs: str
    values: tuple[Value, ...]
    from_file: bool

    @property
    def mixed(self) -> bool:
        """Some of it stands in the file, some does not."""
        return len({value.from_file for value in self.values}) > 1


def tables(settings: Settings) -> tuple[Table, ...]:
    """All tables; those that the user's file has first."""
    found = []
    loose = []
    for name in Settings.model_fields:
        if name in MADE_BY_US:
            continue
        value, given = getattr(settings, name), name in settings.model_fields_set
        docs = DOCS.get(name, PLAIN)
        if isinstance(value, Noun):
            made = tuple(_fields(value))
            found.append(Table(name=f"[{name}]", docs=docs, values=made, from_file=any(v.from_file for v in made)))
        elif isinstance(value, Mapping) or (isinstance(value, tuple) and name not in ("roots",)):
            found.append(Table(name=_heading(name), docs=docs, values=tuple(_entries(value, given)), from_file=given))
        else:
            loose.append(Value(name=name, value=words(value, name), from_file=given))
    found.append(
        Table(name="before all tables", docs=PLAIN, values=tuple(loose), from_file=any(v.from_file for v in loose))
    )
    return tuple(sorted(found, key=lambda table: not table.from_file))


def _heading(name: str) -> str:
    if name in ("models", "routes"):
        return f"[{name}.NAME]"
    return f"[{name}]" if name in ("intents", "verify") else f"[[{name}]]"


def _fields(noun: Noun) -> Iterator[Value]:
    for name in type(noun).model_fields:
        yield Value(name=name, value=words(getattr(noun, name), name), from_file=name in noun.model_fields_set)


def _entries(value: Any, given: bool) -> Iterator[Value]:
    """The rows of a table that there are several of, each in one line."""
    if isinstance(value, Mapping):
        for name, entry in value.items():
            yield Value(name=str(name), value=words(entry, ""), from_file=given)
        return
    for number, entry in enumerate(value, 1):
        name = str(getattr(entry, "name", "") or number)
        yield Value(name=name, value=words(entry, ""), from_file=given)


def words(value: Any, name: str) -> str:
    """A value in one line, without what could be a secret in it."""
    return _cut(_words(value, name))


def _words(value: Any, name: str) -> str:
    if value is None or value in ("", (), {}):
        return UNSET
    match value:
        case bool():
            return "yes" if value else "no"
        case Decimal() | int() | float():
            return f"{value:,}" if name.endswith("tokens") else str(value)
        case Noun():
            fields = type(value).model_fields
            told = [each for each in fields if each in value.model_fields_set and each != "name"]
            return ", ".join(f"{each} = {words(getattr(value, each), each)}" for each in told) or "as the defaults say"
        case Mapping():
            return ", ".join(f"{key} = {_entry(str(key), each, name)}" for key, each in value.items())
        case tuple() | list():
            return ", ".join(words(each, name) for each in value)
    if isinstance(value, SecretStr):
        return HIDDEN
    return _address(str(value)) if name in ADDRESSES else str(value)


def _entry(key: str, value: Any, name: str) -> str:
    """A value of a table within a table: a header may be a key, unless it names the variable that holds it."""
    if name == "headers" and not str(value).startswith("$"):
        return HIDDEN
    return words(value, key)


def _address(url: str) -> str:
    """An address without what may be a secret in it: who enters, and what follows the host of a webhook."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return HIDDEN
    if not parts.hostname:
        return url
    path = parts.path if len(parts.path) < 20 and not parts.query else "/…"
    return f"{parts.scheme}://{parts.hostname}{port}{path}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
