"""One TOML file → one frozen `Settings`, read once and passed down.

Where it comes from: `ORCHESTRA_CONFIG` names the user's file (else `orchestra.toml` in the user's configuration
directory); `ORCHESTRA_HOME` names the data directory. A project may carry an `orchestra.toml` of its own, which can
only narrow: fewer providers, fewer seats, smaller limits. The environment holds only keys and these two paths.

Add a setting here: one field below or in `gateway.py` or `voice.py` beside it, one line in `docs/configuration.md`.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator

from orchestra_mcp.errors import SettingsError
from orchestra_mcp.settings.gateway import (
    LOOPBACK,
    Budget,
    Embedding,
    Gateway,
    ModelSpec,
    PriceRow,
    RateLimit,
    Route,
    Usd,
    WireName,
)
from orchestra_mcp.settings.voice import Voice
from orchestra_mcp.types import AlertKind, Noun

__all__ = [
    "AlertRule", "Budget", "Council", "Embedding", "Gateway", "Keys", "Limits", "Memory", "ModelSpec", "PriceRow", "Privacy",
    "RateLimit", "Route", "SeatSpec", "Settings", "Telemetry", "Voice", "WireName", "config_file", "home_dir", "load", "narrow",
]  # fmt: skip

MAX_PROJECT_FILE = 65_536
"""Bytes of a project's own configuration; more is not a configuration."""


class SeatSpec(Noun):
    """A `[[seats]]` table."""

    name: str = Field(min_length=1, max_length=60)
    model: str
    brief: str = ""
    prior: float | None = Field(default=None, ge=0.05, le=0.95)


class Limits(Noun):
    """`[limits]`: money, time and size. A project's file may lower them, never raise them."""

    max_cost_usd: Usd = Decimal("2.00")
    """For one consultation."""
    daily_cost_usd: Usd = Decimal("20.00")
    """For all consultations of a day (UTC)."""
    deadline_s: float = Field(default=600, gt=0)
    """A consultation ends with what it has after this many seconds."""
    seat_timeout_s: float = Field(default=240, gt=0)
    """One expert's longest time for one answer, in seconds."""
    verify_s: float = Field(default=120, gt=0)
    """One run of the verify command, in seconds."""
    first_token_s: float = Field(default=90, gt=0)
    """Longest silence before the first sign of life, in seconds."""
    idle_s: float = Field(default=60, gt=0)
    """Longest silence in mid-answer, in seconds."""
    dossier_tokens: int = Field(default=12_000, ge=500, le=400_000)


class Privacy(Noun):
    """`[privacy]`: who may see project code. Local and resident experts need no consent."""

    allow: tuple[str, ...] = ()
    """Provider names that may see code of any project without being asked for; `*` means all."""
    deny: tuple[str, ...] = ()
    """Provider names that are never seated."""
    redact_personal: bool = False
    """Take out mail addresses, phone, account and card numbers and public IP addresses too, not only secrets."""


class Council(Noun):
    """`[council]`: how a council works."""

    prefer: Literal["cost", "speed"] = "cost"
    """`speed` asks the next expert at the same time as the openers, before it is known whether they differ."""
    run_answers: bool = True
    """Run programs that answers consist of, in a sandbox without network, to see whether they behave alike."""


class Memory(Noun):
    """`[memory]`: what is kept of consultations, and what later ones are shown of it."""

    recall: bool = True
    """Show a council similar consultations of the past, as long as the code that they speak of is unchanged."""
    across_projects: bool = False
    """Also those of other projects; what was asked for this machine only stays here all the same."""
    keep_days: int | None = Field(default=None, ge=1, le=36_500)
    """Consultations that began longer ago are forgotten; unset keeps them."""
    ask_outcome: bool = True
    """Ask once, with the next verdict on the same code, what became of an earlier one."""
    learn_from_commits: bool = True
    """Lines of a suggested patch that appear in a later commit count as a good sign."""


class Telemetry(Noun):
    """`[telemetry]`: traces for OpenTelemetry; needs the extra `otel`."""

    otlp: str = ""
    """Address of an OTLP/HTTP receiver, such as `http://127.0.0.1:4318`; empty: that of `OTEL_EXPORTER_OTLP_ENDPOINT`, if any."""
    content: bool = False
    """Record prompts and answers in exported spans too."""


class AlertRule(Noun):
    """An `[[alerts]]` table."""

    name: str = Field(min_length=1, max_length=60)
    on: AlertKind
    above: float = Field(gt=0)
    """`spend`: US dollars; `errors`: share of failed calls, 0 to 1; `latency`: p95 in seconds; `outage`: failed calls in
    a row of one model, so many or more; `calibration`: difference between stated confidence and what proved right, 0 to 1."""
    window: Literal["5m", "15m", "1h", "24h", "day", "7d", "month", "30d"] = "1h"
    """Over which time; `day` and `month` begin at midnight and on the first (UTC). `calibration` looks at the last
    outcomes instead, whenever they came."""
    provider: str = ""
    """Only calls of this provider; empty: of all."""
    model: str = ""
    workspace: str = ""
    at_least: int | None = Field(default=None, ge=1)
    """Calls (`calibration`: outcomes) that there must be before a share says anything; default: 5, for outcomes 20."""
    to: tuple[Literal["log", "webhook", "desktop"], ...] = ("log",)
    """Where people are told; MCP status and the dashboard always say so."""
    url: SecretStr = SecretStr("")
    """Of the webhook: https, or on this machine; `$NAME` is taken from the environment or `keys.env`."""
    allow_http: bool = False
    """Post to `url` over plain http on other machines too."""

    @model_validator(mode="after")
    def _fits(self) -> AlertRule:
        url = self.url.get_secret_value()
        if self.on in ("errors", "calibration") and self.above >= 1:
            raise ValueError(f"above is a share for {self.on}, less than 1")
        if ("webhook" in self.to) != bool(url):
            raise ValueError('a webhook takes both `to = ["webhook"]` and its `url`')
        if url and not re.match(r"https://[^/]|\$\w+$", url, re.IGNORECASE) and not LOOPBACK.match(url):
            if not url.lower().startswith("http://"):
                raise ValueError("url is no address; give https://…, or $NAME for one that a variable holds")
            if not self.allow_http:
                raise ValueError("url is neither https nor on this machine; allow_http = true allows it")
        return self


class Settings(Noun):
    """All settings, after the project's file has narrowed the user's."""

    models: dict[str, ModelSpec] = Field(default_factory=dict)
    routes: dict[str, Route] = Field(default_factory=dict)
    budgets: tuple[Budget, ...] = ()
    rate_limits: tuple[RateLimit, ...] = ()
    prices: tuple[PriceRow, ...] = ()
    intents: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Intent → examples of questions, for rules that ask for an intent."""
    embedding: Embedding = Embedding()
    gateway: Gateway = Gateway()
    seats: tuple[SeatSpec, ...] = ()
    limits: Limits = Limits()
    privacy: Privacy = Privacy()
    council: Council = Council()
    memory: Memory = Memory()
    telemetry: Telemetry = Telemetry()
    alerts: tuple[AlertRule, ...] = ()
    voice: Voice = Voice()
    verify: dict[str, str] = Field(default_factory=dict)
    """Project directory → the command whose tests decide about a proposed patch, such as `pytest -q`. Only the user's
    own file can allow one."""
    roots: tuple[str, ...] = ()
    """When set, only directories below one of these may be consulted about."""
    only: tuple[str, ...] = ()
    """When a project's file names seats: only these may sit."""
    discover: bool = True
    """With no `[models]`: seat what is found (keys, local servers, coding CLIs)."""
    home: Path = Path()
    """Data directory."""
    source: Path | None = None
    """The file that was read, if any."""
    warnings: tuple[str, ...] = ()


MADE_BY_US = frozenset({"only", "home", "source", "warnings"})
"""Fields of `Settings` that no file may set."""


class Keys:
    """Keys by the name of their variable: from the environment, else from `keys.env` in the data directory.

    An empty value and a literal `${NAME}` (what some clients pass for an unset variable) count as unset.
    """

    def __init__(self, environ: Mapping[str, str], file: Path | None = None) -> None:
        self._values = {k: v for k, v in environ.items() if v and not re.fullmatch(r"\$\{.*\}", v)}
        for name, value in _key_file(file).items():
            self._values.setdefault(name, value)

    def get(self, name: str) -> str:
        """The key, or an empty string."""
        return self._values.get(name, "") if name else ""

    def secrets(self) -> tuple[str, ...]:
        """Values of variables whose name looks secret, for exact redaction."""
        named = re.compile(
            r"KEY|TOKEN|SECRET|PASS(?:WORD|WD|PHRASE)?(?:_|$)|CREDENTIAL|_PAT$|_DSN$|^DATABASE_URL$", re.IGNORECASE
        )
        return tuple(v for k, v in self._values.items() if named.search(k) and len(v) >= 8)

    def __repr__(self) -> str:
        return f"Keys({len(self._values)} variables)"


def _key_file(file: Path | None) -> dict[str, str]:
    if file is None or not file.is_file():
        return {}
    if os.name == "posix" and stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise SettingsError(f"{file.name} can be read by other users; run: chmod 600 {file}")
    pairs = (line.split("=", 1) for line in file.read_text("utf-8").splitlines() if "=" in line and line[0] != "#")
    return {name.strip(): value.strip().strip("'\"") for name, value in pairs}


def home_dir(environ: Mapping[str, str]) -> Path:
    """The data directory: `ORCHESTRA_HOME`, else the platform's place for user data."""
    if given := environ.get("ORCHESTRA_HOME"):
        return Path(given).expanduser()
    from platformdirs import user_data_path

    return user_data_path("orchestra", appauthor=False)


def config_file(environ: Mapping[str, str]) -> Path:
    """The user's configuration file: `ORCHESTRA_CONFIG`, else the platform's place for it."""
    if given := environ.get("ORCHESTRA_CONFIG"):
        return Path(given).expanduser()
    from platformdirs import user_config_path

    return user_config_path("orchestra", appauthor=False) / "orchestra.toml"


def load(environ: Mapping[str, str]) -> Settings:
    """Read the user's settings.

    Raises:
        SettingsError: the file cannot be read or says something unknown; the message names file, place and fix.
    """
    file = config_file(environ)
    if not file.is_file():
        if environ.get("ORCHESTRA_CONFIG"):
            raise SettingsError(f"ORCHESTRA_CONFIG names {file}, which does not exist.")
        return Settings(home=home_dir(environ))
    try:
        table = tomllib.loads(file.read_text("utf-8"))
        given = {name: value for name, value in table.items() if name not in MADE_BY_US}
        if given.keys() != table.keys():
            raise SettingsError(f"{file}: {sorted(table.keys() - given.keys())[0]} is not a setting.")
        settings = Settings(**given, home=home_dir(environ), source=file)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from None
    except (ValidationError, TypeError) as error:
        raise SettingsError(f"{file}: {_explain(error)}") from None
    for seat in settings.seats:
        if seat.model not in settings.models:
            known = ", ".join(settings.models) or "none"
            raise SettingsError(f"{file}: seat {seat.name!r} names model {seat.model!r}, but the models are: {known}.")
    names = [seat.name for seat in settings.seats]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SettingsError(f"{file}: two seats are called {sorted(twice)[0]!r}; names must differ.")
    rules = [rule.name for rule in settings.alerts]
    if twice := {name for name in rules if rules.count(name) > 1}:
        raise SettingsError(f"{file}: two alerts are called {sorted(twice)[0]!r}; names must differ.")
    return settings


def narrow(settings: Settings, project: Path) -> Settings:
    """Apply a project's own `orchestra.toml`, which can only take away.

    Understood: `[limits]` (the smaller value counts), `[privacy] deny` and `redact_personal = true`, and
    `seats = ["name", …]` (only these).
    Everything else in it is ignored, with a warning that says so; a broken file is a warning too, never an error.
    """
    file = project / "orchestra.toml"
    if not file.is_file() or (settings.source and file.samefile(settings.source)):
        return settings
    try:
        if file.is_symlink() or file.stat().st_size > MAX_PROJECT_FILE:
            raise ValueError("a link, or too large")
        table = tomllib.loads(file.read_text("utf-8"))
        asked = Limits(**{**settings.limits.model_dump(), **table.pop("limits", {})})
        privacy: dict[str, Any] = table.pop("privacy", {})
        asked_privacy = Privacy(**{name: privacy.pop(name) for name in ("deny", "redact_personal") if name in privacy})
        only = {str(name) for name in table.pop("seats", ()) if isinstance(name, str)}
    except (OSError, ValueError, RecursionError, TypeError, AttributeError):
        warning = "The project's orchestra.toml cannot be read and was ignored."
        return settings.model_copy(update={"warnings": (*settings.warnings, warning)})
    ignored = [*table, *(f"privacy.{key}" for key in privacy)]
    warnings = settings.warnings
    if ignored:
        warnings += (f"The project's orchestra.toml may only narrow; ignored: {', '.join(sorted(ignored))}.",)
    lowest = {name: min(getattr(settings.limits, name), getattr(asked, name)) for name in Limits.model_fields}
    return settings.model_copy(
        update={
            "limits": Limits(**lowest),
            "privacy": Privacy(
                allow=settings.privacy.allow,
                deny=(*settings.privacy.deny, *asked_privacy.deny),
                redact_personal=settings.privacy.redact_personal or asked_privacy.redact_personal,
            ),
            "only": tuple(sorted(only)),
            "warnings": warnings,
        }
    )


def _explain(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"{where}: {first['msg']}"
    tables: dict[str, type[Noun]] = {
        "models": ModelSpec,
        "seats": SeatSpec,
        "limits": Limits,
        "privacy": Privacy,
        "council": Council,
        "routes": Route,
        "budgets": Budget,
        "rate_limits": RateLimit,
        "prices": PriceRow,
        "embedding": Embedding,
        "gateway": Gateway,
        "memory": Memory,
        "telemetry": Telemetry,
        "alerts": AlertRule,
    }
    table = tables.get(str(first["loc"][0]), Settings) if len(first["loc"]) > 1 else Settings
    known = [name for name in table.model_fields if name not in MADE_BY_US]
    return f"{where} is not a setting; known here: {', '.join(known)}"
