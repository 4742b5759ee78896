"""What `orchestra.toml` says of the gateway: models, routes and their rules, caches, budgets and limits.

[models.sol]                      # a model, by a name of your choice
vendor = "openai"
model = "gpt-6.1-sol"

[routes.code]                     # a name that requests may ask for, and who answers then
targets = ["sol", "opus"]
strategy = "quality"

[[routes.code.rules]]             # the first rule that fits decides
when = { min_tokens = 150_000 }
targets = ["gemini"]

[[budgets]]
per = "workspace"
usd = 10.00
window = "day"
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from orchestra_mcp.types import JsonObject, Noun

WireName = str
"""A dialect: `openai`, `responses`, `anthropic`, `gemini`, `cohere`, `bedrock`, `agent`, or that of a plugin."""
StrategyName = Literal[
    "ordered", "cost", "speed", "quality", "balanced", "weighted", "round_robin", "least_busy"
]  # fmt: skip
Window = Literal["hour", "day", "month"]
Scope = Literal["all", "key", "workspace", "provider", "model"]
Ability = Literal["tools", "images", "documents", "audio", "json", "schema", "reasoning"]

FINEST = Decimal("1e-12")
"""No amount of money is told apart more finely, in US dollars."""


def plain(amount: Decimal) -> Decimal:
    """The amount with at most twelve decimal places and no positive exponent, as a person would write it.

    `1e-99999999` is a number of two digits whose ratio of integers has a hundred million.
    """
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -12:
        return amount.quantize(FINEST) or Decimal(0)
    return amount.quantize(Decimal(1)) if isinstance(exponent, int) and exponent > 0 else amount


MOST_USD = Decimal(1_000_000_000)
Usd = Annotated[Decimal, Field(ge=0, le=MOST_USD), AfterValidator(plain)]
"""Money, in US dollars; what anybody may send us is of this type, so that reckoning with it stays quick."""

LOOPBACK = re.compile(r"^https?://(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?(/|$)", re.IGNORECASE)


class ModelSpec(Noun):
    """How one model is reached: a `[models.NAME]` table, or a row that discovery found."""

    vendor: str = ""
    """A row of the provider table (`openai`, `groq`, …, or that of a plugin); gives wire, base_url, key_env and quirks,
    where they are not set here."""
    wire: WireName = "openai"
    base_url: str = ""
    """What precedes `/chat/completions`, `/v1/messages` or `/v1beta/models`; unused by coding CLIs."""
    model: str
    """The vendor's id of the model; for `wire = "agent"` the CLI: `claude`, `codex` or `gemini`."""
    key_env: str = ""
    """Name of the variable that holds the key; empty when none is needed."""
    more_keys: tuple[str, ...] = ()
    """Variables with further keys for the same model, used in turn and instead of one that is dead or limited."""
    auth: str = ""
    """How the key is shown to the vendor; default: as the wire does it. Others: see docs/providers.md."""
    provider: str = ""
    """Who receives the text; default: the host of `base_url`, or `local` on loopback. Name it when a proxy on this
    machine passes the text on, so that consent is asked for."""
    family: str = ""
    """Who trained the model; default: guessed from the model's id."""
    prior: float | None = Field(default=None, ge=0.05, le=0.95)
    """Probability of being right, from public benchmarks; default: by the model's id."""
    context_tokens: int | None = Field(default=None, ge=1000)
    abilities: tuple[Ability, ...] | None = None
    """What it can take; default: by vendor and model id. A request that needs more is not sent to it."""
    input_usd_per_mtok: Usd | None = None
    output_usd_per_mtok: Usd | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    """Extra HTTP headers; a value `$NAME` is taken from the environment."""
    quirks: JsonObject = Field(default_factory=dict)
    """What differs from the dialect, by name (docs/providers.md); beside those of the vendor's row."""
    options: dict[str, str] = Field(default_factory=dict)
    """What the vendor's address needs: `region`, `project`, `location`, `resource`, `account`, `api_version`, …"""
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    concurrent: int | None = Field(default=None, ge=1)

    @property
    def local(self) -> bool:
        """True when the text stays on this machine: a loopback address, unless `provider` says who is behind it."""
        return self.wire != "agent" and self.provider in ("", "local") and bool(LOOPBACK.match(self.base_url))

    @property
    def host(self) -> str:
        """Host of the model's address, in lower case; empty when there is none."""
        return (urlsplit(self.base_url).hostname or "").lower()

    @property
    def recipient(self) -> str:
        """Who receives the text: what the settings say, else `local`, the CLI's name, or the address's host.

        `local` is only what is on this machine, whatever the settings call it.
        """
        if self.provider and (self.local or self.provider.strip().lower() != "local"):
            return self.provider
        if self.wire == "agent":
            return self.model
        return "local" if self.local else self.host


class Target(Noun):
    """One model of a route."""

    model: str
    weight: float = Field(default=1.0, gt=0)
    """Its share, for `weighted`."""


class When(Noun):
    """Conditions of a rule; all that are given must hold."""

    min_tokens: int | None = None
    """The prompt has at least so many tokens (estimated)."""
    max_tokens: int | None = None
    use_case: tuple[str, ...] = ()
    tier: tuple[str, ...] = ()
    workspace: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    needs: tuple[Ability, ...] = ()
    """The request needs all of these."""
    private: bool | None = None
    """The prompt holds code of a project."""
    intent: tuple[str, ...] = ()
    """The question is of one of these intents (`[intents]`)."""


class Rule(Noun):
    """A `[[routes.NAME.rules]]` table: where the conditions hold, this replaces what the route says."""

    when: When = When()
    targets: tuple[str | Target, ...] = ()
    strategy: StrategyName | None = None
    deny: str = ""
    """Refuse the request, with this reason."""


class Route(Noun):
    """A `[routes.NAME]` table: a name that may be asked for, and who answers then."""

    targets: tuple[str | Target, ...] = ()
    """Names of models; empty: all of them."""
    strategy: StrategyName = "ordered"
    """How the first target is chosen; the others follow when it fails."""
    rules: tuple[Rule, ...] = ()
    use_case: str = ""
    """What is asked here, for records and quality; default: the route's name."""
    explore: float = Field(default=0.02, ge=0, le=0.2)
    """Share of the calls whose first target is drawn at random, so that what is known of the others stays true."""
    attempts: int = Field(default=4, ge=1, le=10)
    """Targets that are tried at most."""
    hedge_s: float | None = Field(default=None, gt=0)
    """Ask the next target as well when the first has shown no sign of life for so many seconds; the first to answer wins."""
    slow_s: float | None = Field(default=None, gt=0)
    """Give up a target that has said no word for so many seconds, and go to the next one."""
    cache: Literal["off", "exact", "similar"] = "off"
    cache_ttl_s: float = Field(default=86_400, gt=0)
    max_usd_per_call: Usd | None = Field(default=None, gt=0)
    """Targets whose worst case costs more are passed over."""


class Budget(Noun):
    """A `[[budgets]]` table: what may be spent in a window of time."""

    per: Scope = "all"
    """Each key (workspace, provider, model) has its own purse of this size, or all calls share one."""
    name: str = "*"
    """Only the key (workspace, …) of this name; `*`: each of them."""
    usd: Usd
    window: Window = "day"
    """Windows begin at the full hour, at midnight, on the first of the month (UTC)."""


class RateLimit(Noun):
    """A `[[rate_limits]]` table: how much may be asked at once."""

    per: Scope = "key"
    name: str = "*"
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    concurrent: int | None = Field(default=None, ge=1)


class PriceRow(Noun):
    """A `[[prices]]` table: what a model costs, where the bundled price list is wrong or silent."""

    vendor: str = "*"
    """Provider name or host, `*` for any."""
    model: str
    """The vendor's id; a `*` at its end stands for anything."""
    input_usd_per_mtok: Usd
    output_usd_per_mtok: Usd
    cache_read_usd_per_mtok: Usd | None = None
    cache_write_usd_per_mtok: Usd | None = None
    above_tokens: int = Field(default=0, ge=0)
    """The row holds for prompts of more tokens than this; the row with the highest that fits counts."""
    since: datetime | None = None
    until: datetime | None = None


class Embedding(Noun):
    """The `[embedding]` table: what makes vectors of questions, for caches by meaning and intents."""

    engine: Literal["auto", "lexical", "onnx", "sentence-transformers", "provider"] = "auto"
    """`auto`: the best that is installed."""
    model: str = ""
    """For `provider` a name of `[models]`; else a directory with the model's files, empty for the installed one."""


class Gateway(Noun):
    """The `[gateway]` table."""

    aliases: dict[str, str] = Field(default_factory=dict)
    """Name that clients ask for (such as `gpt-4o`) → model or route."""
    default: str = ""
    """Model or route for names that are not known; empty: they are refused."""
    transport: Literal["auto", "httpx2", "aiohttp"] = "auto"
    """The HTTP library below: `auto` takes aiohttp for `orchestra serve` where the extra `fast` is installed."""
    total_s: float = Field(default=600, gt=0)
    """Longest time for one call, retries and other targets included, in seconds."""
    connect_s: float = Field(default=10, gt=0)
    probe_s: float | None = Field(default=None, gt=0)
    """Ask providers that failed for their list of models, every so many seconds; costs nothing, off by default."""
    unknown_prices: Literal["ceiling", "refuse"] = "ceiling"
    """Calls whose price is unknown, where a budget applies: reserve and book the price of the dearest models, or refuse."""
    coalesce: bool = True
    """Identical calls that are in flight at the same time, asked with temperature 0 or through a caching route, share one."""
    explore_seed: int | None = None
    """Makes drawn targets repeatable, for tests."""
