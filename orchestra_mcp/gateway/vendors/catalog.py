"""What is known of vendors and models: rows of data, and look-ups in them.

A vendor that speaks a known dialect is one row of `PROVIDERS`.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

from orchestra_mcp.settings import WireName
from orchestra_mcp.types import Noun

Role = Literal["strong", "quick"]


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
