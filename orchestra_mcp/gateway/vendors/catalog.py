"""What is known of vendors and models: rows of data, and look-ups in them.

A vendor that speaks a known dialect is one table of `providers.toml`; `models.toml` has what differs by model, and
`priors.toml` how good models are. Nothing is read before it is asked for.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from orchestra_mcp.errors import SettingsError
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.settings import WireName
from orchestra_mcp.settings.gateway import Ability
from orchestra_mcp.types import JsonObject, Noun

Role = Literal["strong", "quick"]
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
"""In a `base_url`: the name of an option."""


class DefaultSeat(Noun):
    """A model of a vendor that is worth a seat."""

    name: str
    model: str
    role: Role = "strong"


class ProviderRow(Noun):
    """One vendor."""

    id: str
    title: str
    wire: WireName = "openai"
    base_url: str = ""
    """What precedes the dialect's own path; `{name}` stands for an option. Empty for coding CLIs."""
    also: dict[WireName, str] = Field(default_factory=dict)
    """Other wires that the vendor speaks, with the `base_url` of each."""
    key_env: tuple[str, ...] = ()
    """Variables that may hold the key, the usual one first."""
    key_header: str = ""
    """The key is sent in this header alone, and not by `auth`."""
    auth: str = ""
    """How the key is shown (`signing.SIGNERS`); empty: as the wire does it."""
    keyless_auth: str = ""
    """The same, where no variable of `key_env` is set."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Always sent; a value `$NAME` is taken from the environment."""
    optional_headers: dict[str, str] = Field(default_factory=dict)
    """Sent when the variable `$NAME` is set."""
    needs_header: tuple[str, ...] = ()
    """One of these headers has to be there, unless the model's id begins with `@`."""
    options: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Options that the address or the dialect needs, each with the variables that may hold it."""
    defaults: dict[str, str] = Field(default_factory=dict)
    """Options that need not be given."""
    quirks: JsonObject = Field(default_factory=dict)
    """Fields of `dialects.quirks.Quirks` that differ from the plain dialect."""
    abilities: tuple[Ability, ...] | None = None
    """What its models can take at most; None: all that the wire can."""
    seats: tuple[DefaultSeat, ...] = ()
    """Models that are seated when only a key is there, best first; none: the vendor is asked only when it is named."""
    local: bool = False
    """A server on this machine; needs no key."""
    reseller: bool = False
    """Sells models of others; they themselves are asked first where there is a key for both."""
    notes: str = ""

    @property
    def port(self) -> int | None:
        """The port of a server on this machine."""
        return urlsplit(self.base_url).port if self.local else None


def parse_row(id: str, table: JsonObject) -> ProviderRow:
    """A row from its table in `providers.toml`; a seat is written as `name model [quick]`.

    Raises:
        SettingsError: the table has another form.
    """
    try:
        seats = [_seat(text) for text in table.get("seats", ())]
        return ProviderRow.model_validate({**table, "id": id, "seats": seats})
    except (ValidationError, ValueError, TypeError, AttributeError) as error:
        raise SettingsError(f"The row of provider {id!r} cannot be read: {str(error)[:300]}") from None


def _seat(text: str) -> JsonObject:
    name, model, *rest = text.split()
    return {"name": name, "model": model, "role": "quick" if rest == ["quick"] else "strong"}


def parse_quirks(fields: JsonObject, whose: str) -> Quirks:
    """Quirks from a table.

    Raises:
        SettingsError: it has an unknown name (the message says which there are), or a value that cannot be.
    """
    if unknown := sorted(fields.keys() - Quirks.model_fields.keys()):
        known = ", ".join(Quirks.model_fields)
        raise SettingsError(f"{whose}: there is no quirk called {unknown[0]!r}; there are: {known}.")
    try:
        return Quirks(**fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"{whose}: the quirk {name!r} cannot be read: {first['msg']}.") from None


@cache
def providers() -> tuple[ProviderRow, ...]:
    """All rows of `providers.toml`; read once, when they are first needed."""
    return tuple(parse_row(id, row) for id, row in _table("providers.toml").items())


@cache
def by_id() -> dict[str, ProviderRow]:
    """The same, by id."""
    return {row.id: row for row in providers()}


def local_servers() -> dict[str, int]:
    """Model servers that may run on this machine, by title, with their usual port."""
    return {row.title: row.port for row in providers() if row.port is not None}


PROVIDERS: tuple[ProviderRow, ...]
"""As `providers()`; importing this name reads the table."""


def __getattr__(name: str) -> Any:
    if name == "PROVIDERS":
        return providers()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _table(file: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(files(__package__).joinpath(file).read_text("utf-8"))


# ------------------------------------------------------------------------------------------------ model by model


class ModelRow(NamedTuple):
    """What differs from the dialect for the models that fit."""

    match: re.Pattern[str]
    """Searched in the id as `plain_id` gives it."""
    vendors: frozenset[str]
    """Only at these vendors; empty: at all."""
    wires: frozenset[str]
    """Only over these wires; empty: over all."""
    quirks: JsonObject


class AbilityRow(NamedTuple):
    """What the models that fit cannot take."""

    match: re.Pattern[str]
    lacks: frozenset[Ability]


class OutputRow(NamedTuple):
    """How long the answers of the models that fit can be."""

    match: re.Pattern[str]
    most_output: int
    """Tokens, thinking among them."""


@cache
def model_rows() -> tuple[ModelRow, ...]:
    """The quirks of `models.toml`; the first row that fits counts."""
    return tuple(
        ModelRow(
            re.compile(row["match"]), frozenset(row.get("vendors", ())), frozenset(row.get("wires", ())), row["quirks"]
        )
        for row in _table("models.toml")["quirks"]
    )


@cache
def ability_rows() -> tuple[AbilityRow, ...]:
    """The abilities of `models.toml`; the first row that fits counts."""
    return tuple(
        AbilityRow(re.compile(row["match"]), frozenset(row["lacks"])) for row in _table("models.toml")["abilities"]
    )


@cache
def output_rows() -> tuple[OutputRow, ...]:
    """The longest answers of `models.toml`; the first row that fits counts."""
    return tuple(OutputRow(re.compile(row["match"]), row["most_output"]) for row in _table("models.toml")["outputs"])


# ------------------------------------------------------------------------------------------------ who trained it


_FAMILIES: tuple[tuple[str, str], ...] = (
    # pattern on the model id, without a vendor's prefix → who trained it; first match counts
    (r"claude|~?anthropic", "anthropic"),
    (r"gpt|\bo[1345](-|$)|codex|davinci", "openai"),
    (r"gemini|gemma|learnlm", "google"),
    (r"deepseek", "deepseek"),
    (r"grok", "xai"),
    (r"mistral|mixtral|codestral|devstral|magistral|ministral|pixtral", "mistral"),
    (r"kimi|moonshot", "moonshot"),
    (r"glm|zai|z-ai", "zai"),
    (r"qwen|qwq", "alibaba"),
    (r"llama|muse", "meta"),
    (r"minimax", "minimax"),
    (r"phi-?\d", "microsoft"),
    (r"nemotron", "nvidia"),
    (r"command-?[ar]|cohere|aya", "cohere"),
    (r"granite", "ibm"),
    (r"mimo", "xiaomi"),
    # add here
)


def family_of(model_id: str) -> str:
    """Who trained a model, guessed from its id: `anthropic/claude-opus-5.5` → `anthropic`.

    A distilled model counts as its base (`deepseek-r1-distill-llama` errs like DeepSeek's outputs, which come first).
    Unknown ids give their vendor prefix, or else their first word.
    """
    low = model_id.lower().removeprefix("models/")
    tail = low.rsplit("/", 1)[-1]
    for text in (tail, low):
        for pattern, family in _FAMILIES:
            if re.search(pattern, text):
                return family
    if "/" in low:
        return low.lstrip("~").split("/", 1)[0]
    return re.split(r"[-_:.\d]", tail, maxsplit=1)[0] or tail


DEFAULT_PRIOR = 0.65
MAX_ID = 200
"""Characters of a model id that are looked at; servers on this machine may list anything."""


def prior_of(model_id: str, domain: str = "") -> float:
    """Probability that a model's answer to a hard technical question is right, before anything is known of it.

    From public benchmarks; `priors.toml` has the table with its sources. Unknown models get 0.65: most ids that no table knows are newer than the table.

    Args:
        model_id: the vendor's id, with or without prefixes such as `anthropic/`.
        domain: what the question is about, as in `Verdict.domain`; for programming languages coding boards count.
    """
    code_domains, rows = _priors()
    id = plain_id(model_id)
    row = next((row for row in rows if row.match.search(id)), None)
    if row is None:
        return DEFAULT_PRIOR
    return row.code if domain in code_domains else row.prior


class _Prior(NamedTuple):
    match: re.Pattern[str]
    prior: float
    code: float
    """As `prior` where coding boards say nothing else."""


@cache
def _priors() -> tuple[frozenset[str], tuple[_Prior, ...]]:
    """Domains that are about programs, and the rows of `priors.toml`; read once, when a prior is first needed."""
    table = _table("priors.toml")
    rows = (_Prior(re.compile(row["match"]), row["prior"], row.get("code", row["prior"])) for row in table["rows"])
    return frozenset(table["code_domains"]), tuple(rows)


def plain_id(model_id: str) -> str:
    """An id as the patterns expect it: `meta-llama/Llama-3.1-70B` → `llama-3-1-70b`."""
    tail = model_id[-MAX_ID:].lower().rsplit("/", 1)[-1]
    return re.sub(r"[\s._:@]|(?<=\d)p(?=\d)", "-", tail)
