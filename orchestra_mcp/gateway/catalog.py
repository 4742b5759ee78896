"""What is known of vendors and models: rows of data, and look-ups in them.

A vendor that speaks one of the three dialects is one row of `PROVIDERS`. Prices and context windows come from the
data that is bundled with genai-prices (never from its network updater).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple

from orchestra_mcp.gateway.wire import host_of
from orchestra_mcp.settings import ModelSpec, WireName
from orchestra_mcp.types import Noun, Usage

Role = Literal["strong", "quick"]
MTOK = Decimal(1_000_000)


class DefaultSeat(Noun):
    """A model of a vendor that is worth a seat."""

    name: str
    model: str
    role: Role = "strong"


class ProviderRow(Noun):
    """One vendor."""

    id: str
    title: str
    key_env: tuple[str, ...]
    """Variables that may hold the key, the usual one first."""
    wire: WireName
    base_url: str
    seats: tuple[DefaultSeat, ...]
    """Best first."""


def _row(id: str, title: str, key_env: str, base_url: str, *seats: str, wire: WireName = "openai") -> ProviderRow:
    """A row from short strings: `key_env` alternatives are separated by blanks, a seat is `name model [quick]`."""
    parsed = [seat.split() for seat in seats]
    return ProviderRow(
        id=id,
        title=title,
        key_env=tuple(key_env.split()),
        wire=wire,
        base_url=base_url,
        seats=tuple(
            DefaultSeat(name=name, model=model, role="quick" if rest else "strong") for name, model, *rest in parsed
        ),
    )


# Model ids and addresses: vendors' documentation and public model lists of August to November 2026.
# fmt: off
PROVIDERS: tuple[ProviderRow, ...] = (
    _row("openrouter", "OpenRouter", "OPENROUTER_API_KEY", "https://openrouter.ai/api/v1",
         "claude ~anthropic/claude-opus-latest", "gpt openai/gpt-6.1-sol", "gemini ~google/gemini-pro-latest",
         "deepseek deepseek/deepseek-v4-pro", "grok ~x-ai/grok-latest", "haiku ~anthropic/claude-haiku-latest quick"),
    _row("anthropic", "Anthropic", "ANTHROPIC_API_KEY", "https://api.anthropic.com",
         "claude claude-opus-5-5", "sonnet claude-sonnet-5-5", "haiku claude-haiku-5-5 quick", wire="anthropic"),
    _row("openai", "OpenAI", "OPENAI_API_KEY", "https://api.openai.com/v1",
         "gpt gpt-6.1-sol", "terra gpt-6.1-terra", "luna gpt-6-luna quick"),
    _row("google", "Google Gemini", "GEMINI_API_KEY GOOGLE_API_KEY GOOGLE_GENERATIVE_AI_API_KEY",
         "https://generativelanguage.googleapis.com",
         "gemini gemini-4-argon", "flash gemini-3.8-flash quick", wire="gemini"),
    _row("deepseek", "DeepSeek", "DEEPSEEK_API_KEY", "https://api.deepseek.com",
         "deepseek deepseek-v4-pro", "deepseek-flash deepseek-flash quick"),
    _row("xai", "xAI", "XAI_API_KEY", "https://api.x.ai/v1",
         "grok grok-4.7", "grok-4.3 grok-4.3 quick"),
    _row("mistral", "Mistral", "MISTRAL_API_KEY", "https://api.mistral.ai/v1",
         "mistral mistral-large-4", "mistral-medium mistral-medium-3-5 quick"),
    _row("moonshot", "Moonshot (Kimi)", "MOONSHOT_API_KEY", "https://api.moonshot.ai/v1",
         "kimi kimi-k3.1-pro", "kimi-code kimi-k2.7-code quick"),
    _row("zai", "Z.ai (GLM)", "ZAI_API_KEY ZHIPU_API_KEY", "https://api.z.ai/api/paas/v4",
         "glm glm-5.3", "glm-flash glm-5.3-flash quick"),
    _row("together", "Together", "TOGETHER_API_KEY TOGETHERAI_API_KEY", "https://api.together.ai/v1",
         "deepseek deepseek-ai/DeepSeek-V4-Pro-0813", "kimi moonshotai/Kimi-K3.1-Pro"),
    _row("fireworks", "Fireworks", "FIREWORKS_API_KEY", "https://api.fireworks.ai/inference/v1",
         "kimi accounts/fireworks/models/kimi-k3p1-pro", "glm accounts/fireworks/models/glm-5p3"),
    _row("groq", "Groq", "GROQ_API_KEY", "https://api.groq.com/openai/v1",
         "gpt-oss openai/gpt-oss-120b", "qwen qwen/qwen3.8-27b quick"),
    _row("cerebras", "Cerebras", "CEREBRAS_API_KEY", "https://api.cerebras.ai/v1",
         "gpt-oss gpt-oss-120b", "qwen qwen-3.8-27b quick"),
    # Portkey routes by a virtual key or by `@provider-slug/model`; which ones exist is known to its owner only, so
    # the row is seated only when PORTKEY_VIRTUAL_KEY names one. See docs/configuration.md for headers of one's own.
    _row("portkey", "Portkey", "PORTKEY_API_KEY", "https://api.portkey.ai/v1", "portkey gpt-6.1-sol"),
    # add here
)
# fmt: on

PORTKEY_KEY_HEADER = "x-portkey-api-key"
PORTKEY_ROUTES = {"PORTKEY_VIRTUAL_KEY": "x-portkey-virtual-key", "PORTKEY_CONFIG": "x-portkey-config"}
"""Variables that tell Portkey where to route, and the headers that carry them."""

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
    id = _plain_id(model_id)
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
    import tomllib

    table = tomllib.loads(files(__package__).joinpath("priors.toml").read_text("utf-8"))
    rows = (_Prior(re.compile(row["match"]), row["prior"], row.get("code", row["prior"])) for row in table["rows"])
    return frozenset(table["code_domains"]), tuple(rows)


def _plain_id(model_id: str) -> str:
    """An id as the patterns expect it: `meta-llama/Llama-3.1-70B` → `llama-3-1-70b`."""
    tail = model_id[-MAX_ID:].lower().rsplit("/", 1)[-1]
    return re.sub(r"[\s._:@]|(?<=\d)p(?=\d)", "-", tail)


# ------------------------------------------------------------------------------------ prices and windows


class Rates(Noun):
    """US dollars for a million tokens of each kind."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal

    def cost(self, usage: Usage) -> Decimal:
        """What a call costs; reasoning is billed as output."""
        return (
            usage.input_tokens * self.input
            + usage.cache_read_tokens * self.cache_read
            + usage.cache_write_tokens * self.cache_write
            + (usage.output_tokens + usage.reasoning_tokens) * self.output
        ) / MTOK


class Price(Noun):
    """What a model costs; long inputs may have a dearer tier, whose rates then hold for all tokens of the call."""

    base: Rates
    tiers: tuple[tuple[int, Rates], ...] = ()
    """Above so many input tokens these rates hold; in ascending order."""

    @classmethod
    def flat(cls, input: Decimal, output: Decimal) -> Price:
        """Two rates only; cached input is counted as input."""
        return cls(base=Rates(input=input, output=output, cache_read=input, cache_write=input))

    def cost(self, usage: Usage) -> Decimal:
        """What a call costs in US dollars."""
        size = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        rates = self.base
        for above, dearer in self.tiers:
            if size > above:
                rates = dearer
        return rates.cost(usage)

    def worst(self, usage: Usage) -> Decimal:
        """What a call costs at most, if all of its input is written to a cache where that is dearer."""
        written = usage.model_copy(update={"input_tokens": 0, "cache_write_tokens": usage.input_tokens})
        return max(self.cost(usage), self.cost(written))


FREE = Price.flat(Decimal(0), Decimal(0))
UNKNOWN = Price.flat(Decimal(10), Decimal(50))
"""Stands in for an unknown price in budgets: that of the dearest models in common use at the end of 2026."""


def price(spec: ModelSpec, at: datetime | None = None) -> Price | None:
    """What a model costs at a time (default: now; some vendors are cheaper at night), None when unknown.

    The settings' own prices come first; models on this machine and coding CLIs (paid by subscription) are free; all
    others are looked up in genai-prices, by address and model id. The first call imports that package (about 0.3 s).
    """
    if spec.input_usd_per_mtok is not None and spec.output_usd_per_mtok is not None:
        return Price.flat(spec.input_usd_per_mtok, spec.output_usd_per_mtok)
    if spec.local or spec.wire == "agent":
        return FREE
    found = _find(spec)
    if found is None:
        return None
    return _price_of(found.get_prices(at or datetime.now(UTC)))


def context_window(spec: ModelSpec) -> int | None:
    """How many tokens a model reads at most, None when unknown. Imports as `price`."""
    if spec.context_tokens is not None:
        return spec.context_tokens
    if spec.local or spec.wire == "agent":
        return None
    found = _find(spec)
    return found.context_window if found is not None else None


_PRICE_ADDRESS = {"api.together.ai": "https://api.together.xyz"}
"""Addresses that genai-prices knows under another name. Add here."""


def _find(spec: ModelSpec) -> Any:
    """The model in the bundled data, looked up at its own vendor only: elsewhere it may cost something else."""
    from genai_prices.data_snapshot import get_snapshot

    address = _PRICE_ADDRESS.get(host_of(spec), spec.base_url)
    try:
        _, model = get_snapshot().find_provider_model(spec.model, None, None, address)
    except LookupError:
        return None
    return model


def _price_of(raw: Any) -> Price | None:
    """Our price from a `ModelPrice`; None when it lacks a rate or is 0/0, which public tables use for unknown."""

    def rate(name: str, size: int) -> Decimal | None:
        value = getattr(raw, name, None)
        if value is None or isinstance(value, Decimal):
            return value
        found: Decimal = next((t.price for t in reversed(value.tiers) if size > t.start), value.base)
        return found

    def rates(size: int) -> Rates | None:
        one, other = rate("input_mtok", size), rate("output_mtok", size)
        if one is None or other is None or not (one or other):
            return None
        read, write = rate("cache_read_mtok", size), rate("cache_write_mtok", size)
        return Rates(
            input=one,
            output=other,
            cache_read=one if read is None else read,
            cache_write=one if write is None else write,
        )

    base = rates(0)
    if base is None:
        return None
    starts = {tier.start for value in vars(raw).values() for tier in getattr(value, "tiers", ())}
    tiers = [(start, found) for start in sorted(starts) if (found := rates(start + 1))]
    return Price(base=base, tiers=tuple(tiers))
