"""The provider table is sound, a model gets from it what it leaves out, and a key goes only where it belongs."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from orchestra_mcp.errors import SettingsError
from orchestra_mcp.gateway import open_http
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.provider import ChatRequest, Message
from orchestra_mcp.gateway.signing import SIGNERS
from orchestra_mcp.gateway.vendors.agents import AGENTS
from orchestra_mcp.gateway.vendors.catalog import (
    PLACEHOLDER,
    PROVIDERS,
    ProviderRow,
    ability_rows,
    by_id,
    local_servers,
    model_rows,
    parse_row,
)
from orchestra_mcp.gateway.vendors.plugins import dialect_of, signer_of
from orchestra_mcp.gateway.vendors.quirks import abilities_of, quirks_of
from orchestra_mcp.gateway.vendors.settling import named, settle
from orchestra_mcp.settings import Keys, ModelSpec

ASK = ChatRequest(model="x", messages=(Message(role="user", text="Hello!"),))
DOC = (Path(__file__).resolve().parent.parent / "docs" / "providers.md").read_text("utf-8")
HTTP = [row for row in PROVIDERS if row.wire != "agent"]


def environ(row: ProviderRow) -> dict[str, str]:
    """Everything that the row may ask for."""
    options = {variables[0]: "place-1" for variables in row.options.values()}
    headers = {value[1:]: "h" for value in row.optional_headers.values()}
    return {**dict.fromkeys(row.key_env, "k"), **options, **headers}


def settled(row: ProviderRow, **more: Any) -> ModelSpec:
    return settle(ModelSpec(vendor=row.id, model="some-model", **more), Keys(environ(row)))


# ------------------------------------------------------------------------------------- the table


def test_there_are_many_providers_and_every_dialect_has_one() -> None:
    assert len(HTTP) >= 54
    wires = {wire for row in PROVIDERS for wire in (row.wire, *row.also)}
    assert wires == {"openai", "responses", "anthropic", "gemini", "cohere", "bedrock", "agent"}


@pytest.mark.parametrize("row", HTTP, ids=lambda row: row.id)
def test_every_row_is_well_formed(row: ProviderRow) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9-]*", row.id)
    assert row.title
    for base_url in (row.base_url, *row.also.values()):
        parts = urlsplit(base_url)
        assert parts.scheme == ("http" if row.local else "https")
        assert parts.hostname
        assert not parts.username
        assert not parts.query
        assert not base_url.endswith("/")
        assert set(PLACEHOLDER.findall(base_url)) <= row.options.keys()
    assert (row.port is not None) == row.local
    assert row.local or row.key_env or row.auth
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in row.key_env)
    assert row.defaults.keys() <= row.options.keys()
    assert set(row.needs_header) <= row.optional_headers.keys()
    assert all(re.fullmatch(r"\$[A-Z_]+", value) for value in row.optional_headers.values())
    assert not {*row.headers, *row.optional_headers} & {"authorization", "x-api-key"}
    assert {row.auth, row.keyless_auth} <= {"", *SIGNERS}
    assert row.quirks.keys() <= Quirks.model_fields.keys()
    Quirks(**row.quirks)
    assert not row.seats or row.seats[0].role == "strong"


def test_no_key_is_that_of_another_vendor() -> None:
    def domain(row: ProviderRow) -> str:
        return ".".join((urlsplit(row.base_url).netloc).split(".")[-2:])

    for one, other in combinations(PROVIDERS, 2):
        if {*one.key_env} & {*other.key_env}:
            assert domain(one) == domain(other), f"{one.id} and {other.id}"


def test_the_tables_of_models_are_sound() -> None:
    for row in model_rows():
        assert row.vendors <= by_id().keys()
        assert row.wires <= {"openai", "responses", "anthropic", "gemini", "cohere", "bedrock"}
        assert row.vendors or row.wires
        Quirks(**row.quirks)
    assert all(row.lacks for row in ability_rows())


def test_a_row_of_another_form_is_refused_by_its_name() -> None:
    with pytest.raises(SettingsError, match="'acme'"):
        parse_row("acme", {"title": "ACME", "colour": "red"})
    with pytest.raises(SettingsError, match="'acme'"):
        parse_row("acme", {"title": "ACME", "seats": ["lonely"]})


@pytest.mark.parametrize("row", HTTP, ids=lambda row: row.id)
def test_every_row_leads_to_an_address_of_its_own_host(row: ProviderRow) -> None:
    for wire in (row.wire, *row.also):
        spec = settled(row, **({} if wire == row.wire else {"wire": wire}))
        dialect = dialect_of(spec.wire)
        url = dialect.url(ASK, spec, quirks_of(spec), frozenset())
        signer_of(spec.auth or dialect.auth)
        assert "{" not in url
        assert url.startswith(spec.base_url)
        assert spec.host == urlsplit(url).hostname
        assert dialect.to_wire(ASK, spec, quirks_of(spec), frozenset())
        assert spec.local == row.local
        assert spec.recipient == ("local" if row.local else row.id)
        assert settle(spec, Keys(environ(row))) == spec


# Addresses as the vendors' documentation writes them.
@pytest.mark.parametrize(
    ("spec", "variables", "url"),
    [
        ({"vendor": "groq"}, {}, "https://api.groq.com/openai/v1/chat/completions"),
        ({"vendor": "openai-responses"}, {}, "https://api.openai.com/v1/responses"),
        ({"vendor": "openai", "wire": "responses"}, {}, "https://api.openai.com/v1/responses"),
        ({"vendor": "minimax"}, {}, "https://api.minimax.io/anthropic/v1/messages"),
        ({"vendor": "vercel", "wire": "anthropic"}, {}, "https://ai-gateway.vercel.sh/v1/messages"),
        ({"vendor": "cohere"}, {}, "https://api.cohere.com/v2/chat"),
        (
            {"vendor": "google", "wire": "openai"},
            {},
            "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
        ),
        (
            {"vendor": "azure", "options": {"resource": "contoso"}},
            {"AZURE_RESOURCE_NAME": "other"},
            "https://contoso.openai.azure.com/openai/v1/chat/completions",
        ),
        (
            {"vendor": "bedrock"},
            {"AWS_DEFAULT_REGION": "eu-central-1"},
            "https://bedrock-runtime.eu-central-1.amazonaws.com/model/m/converse-stream",
        ),
        (
            {"vendor": "cloudflare"},
            {"CLOUDFLARE_ACCOUNT_ID": "0123abc"},
            "https://api.cloudflare.com/client/v4/accounts/0123abc/ai/v1/chat/completions",
        ),
        (
            {"vendor": "databricks"},
            {"DATABRICKS_HOST": "https://adb-1.2.azuredatabricks.net/"},
            "https://adb-1.2.azuredatabricks.net/ai-gateway/mlflow/v1/chat/completions",
        ),
        (
            {"vendor": "vertex"},
            {"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_VERTEX_LOCATION": "europe-west4"},
            (
                "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4"
                "/publishers/google/models/m:streamGenerateContent?alt=sse"
            ),
        ),
        (
            {"vendor": "vertex-anthropic"},
            {"GOOGLE_CLOUD_PROJECT": "p"},
            (
                "https://aiplatform.googleapis.com/v1/projects/p/locations/global"
                "/publishers/anthropic/models/m:streamRawPredict"
            ),
        ),
    ],
)
def test_addresses_are_those_of_the_documentation(spec: dict[str, Any], variables: dict[str, str], url: str) -> None:
    made = settle(ModelSpec(model="m", **spec), Keys(variables))
    assert dialect_of(made.wire).url(ASK, made, quirks_of(made), frozenset()) == url


# ------------------------------------------------------------------------------------- what is filled in


def test_a_model_without_a_vendor_stays_as_it_is_but_must_make_sense() -> None:
    spec = ModelSpec(base_url="https://h.example/v1", model="m")
    assert settle(spec, Keys({})) is spec
    with pytest.raises(SettingsError, match=r"telegraph.*openai"):
        settle(ModelSpec(base_url="https://h.example/v1", model="m", wire="telegraph"), Keys({}))


def test_what_the_settings_say_wins() -> None:
    spec = settle(
        ModelSpec(vendor="openai", model="m", key_env="MY_KEY", provider="our-proxy", headers={"X-A": "1"}),
        Keys({"OPENAI_API_KEY": "k"}),
    )
    assert (spec.key_env, spec.provider, spec.headers) == ("MY_KEY", "our-proxy", {"x-a": "1"})
    assert settle(ModelSpec(vendor="openai", model="m", key_env=""), Keys({"OPENAI_API_KEY": "k"})).key_env == ""


def test_the_first_variable_that_is_set_is_used_and_the_usual_one_is_named_when_none_is() -> None:
    spec = ModelSpec(vendor="google", model="m")
    assert settle(spec, Keys({"GOOGLE_API_KEY": "k"})).key_env == "GOOGLE_API_KEY"
    assert settle(spec, Keys({"GOOGLE_API_KEY": "k", "GEMINI_API_KEY": "k"})).key_env == "GEMINI_API_KEY"
    assert settle(spec, Keys({})).key_env == "GEMINI_API_KEY"


@pytest.mark.parametrize(
    "base_url",
    [
        "https://evil.example/v1",
        "https://evil.example/api.openai.com/v1",
        "https://api.openai.com.evil.example/v1",
        "https://api.openai.com@evil.example/v1",
        "https://evil.example#api.openai.com",
        "http://api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "https://[bad",
        "",
    ],
)
def test_a_vendors_key_is_not_sent_to_another_address(base_url: str) -> None:
    keys = Keys({"OPENAI_API_KEY": "k"})
    try:
        spec = settle(ModelSpec(vendor="openai", model="m", base_url=base_url), keys)
    except (SettingsError, ValueError):
        assert base_url in ("", "https://[bad")
        return
    assert spec.key_env == ""
    assert spec.provider == ""
    mine = settle(ModelSpec(vendor="openai", model="m", base_url=base_url, key_env="PROXY_KEY"), keys)
    assert mine.key_env == "PROXY_KEY"


def test_another_path_of_the_vendors_own_host_gets_the_key() -> None:
    spec = ModelSpec(vendor="openai", model="m", base_url="https://API.openai.com:443/v2")
    assert settle(spec, Keys({"OPENAI_API_KEY": "k"})).key_env == "OPENAI_API_KEY"


@pytest.mark.parametrize("vendor", ["portkey", "vertex", "vertex-anthropic", "bedrock", "azure", "openrouter"])
async def test_neither_headers_nor_tokens_of_a_cloud_go_to_another_address(vendor: str) -> None:
    row = by_id()[vendor]
    everything = {
        **environ(row), "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_BEARER_TOKEN_BEDROCK": "t",
        "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s",
    }  # fmt: skip
    url = "https://evil.example/v1"
    async with open_http() as http:
        for variables in (everything, {k: v for k, v in everything.items() if k not in row.key_env}):
            keys = Keys(variables)
            spec = settle(ModelSpec(vendor=vendor, model="m", base_url=url), keys)
            assert (spec.key_env, spec.headers, spec.provider) == ("", {}, "")
            made = signer_of(spec.auth or dialect_of(spec.wire).auth)(spec, keys.get(spec.key_env), keys, http)
            assert await made.headers("POST", url, {}, b"") == {}
            assert settle(spec, keys) == spec


@pytest.mark.parametrize("value", ["evil.example/x", "evil.example#", "a b", "a@b", "[x]", "..", "a:1"])
def test_an_option_cannot_lead_to_another_host(value: str) -> None:
    with pytest.raises(SettingsError, match="cannot be a resource"):
        settle(ModelSpec(vendor="azure", model="m", options={"resource": value}), Keys({}))


def test_what_is_missing_is_named_with_what_to_set() -> None:
    with pytest.raises(SettingsError, match=r"'resource': set AZURE_RESOURCE_NAME, or options.resource"):
        settle(ModelSpec(vendor="azure", model="m"), Keys({"AZURE_API_KEY": "k"}))
    with pytest.raises(SettingsError, match=r"GOOGLE_VERTEX_PROJECT or GOOGLE_CLOUD_PROJECT"):
        settle(ModelSpec(vendor="vertex", model="m"), Keys({}))
    with pytest.raises(SettingsError, match=r"speaks openai, responses, not 'gemini'"):
        settle(ModelSpec(vendor="openai", model="m", wire="gemini"), Keys({}))
    with pytest.raises(SettingsError, match=r"'opnai' is not known; did you mean openai"):
        settle(ModelSpec(vendor="opnai", model="m"), Keys({}))


def test_clouds_are_signed_for_where_there_is_no_key() -> None:
    region = {"AWS_REGION": "eu-west-1"}
    bearer = settle(ModelSpec(vendor="bedrock", model="m"), Keys({**region, "AWS_BEARER_TOKEN_BEDROCK": "t"}))
    assert (bearer.auth, bearer.key_env) == ("bearer", "AWS_BEARER_TOKEN_BEDROCK")
    signed = settle(ModelSpec(vendor="bedrock", model="m"), Keys({**region, "AWS_ACCESS_KEY_ID": "a"}))
    assert (signed.auth, signed.key_env) == ("aws", "")
    assert signed.options == {"region": "eu-west-1"}


def test_openrouter_is_told_who_asks_only_when_its_owner_says_so() -> None:
    spec = ModelSpec(vendor="openrouter", model="m")
    assert settle(spec, Keys({"OPENROUTER_API_KEY": "k"})).headers == {}
    told = settle(spec, Keys({"OPENROUTER_API_KEY": "k", "OPENROUTER_X_TITLE": "Orchestra"}))
    assert told.headers == {"x-title": "$OPENROUTER_X_TITLE"}
    assert quirks_of(told).tells_cost


def test_portkey_gets_its_key_and_its_route_in_headers() -> None:
    keys = Keys({"PORTKEY_API_KEY": "pk", "PORTKEY_CONFIG": "pc-1"})
    spec = settle(ModelSpec(vendor="portkey", model="gpt-6.1-sol"), keys)
    assert spec.key_env == ""
    assert spec.headers == {"x-portkey-config": "$PORTKEY_CONFIG", "x-portkey-api-key": "$PORTKEY_API_KEY"}
    alone = Keys({"PORTKEY_API_KEY": "pk"})
    with pytest.raises(SettingsError, match="PORTKEY_VIRTUAL_KEY or PORTKEY_CONFIG"):
        settle(ModelSpec(vendor="portkey", model="gpt-6.1-sol"), alone)
    by_slug = named("portkey/@openai-prod/gpt-6.1-sol", alone)
    assert by_slug is not None
    assert by_slug.headers == {"x-portkey-api-key": "$PORTKEY_API_KEY"}
    own = {"X-Portkey-Virtual-Key": "$TEAM_KEY"}
    assert settle(ModelSpec(vendor="portkey", model="m", headers=own), alone).headers == {
        "x-portkey-virtual-key": "$TEAM_KEY",
        "x-portkey-api-key": "$PORTKEY_API_KEY",
    }


def test_a_server_on_this_machine_needs_no_key_but_takes_one() -> None:
    spec = ModelSpec(vendor="vllm", model="m")
    assert settle(spec, Keys({})).key_env == ""
    assert settle(spec, Keys({"VLLM_API_KEY": "k"})).key_env == "VLLM_API_KEY"
    away = settle(spec.model_copy(update={"base_url": "https://gpu.example/v1"}), Keys({"VLLM_API_KEY": "k"}))
    assert (away.key_env, away.recipient) == ("", "gpu.example")
    assert local_servers() == {"Ollama": 11434, "LM Studio": 1234, "llama.cpp": 8080, "vLLM": 8000}


def test_a_coding_cli_is_named_by_who_receives_the_text() -> None:
    for name, agent in AGENTS.items():
        spec = named(f"cli/{name}", Keys({}))
        assert spec is not None
        assert (spec.wire, spec.model, spec.recipient, spec.local) == ("agent", name, agent.provider, False)


# ------------------------------------------------------------------------------------- names


def test_a_name_is_a_vendor_and_the_rest() -> None:
    spec = named("groq/openai/gpt-oss-120b", Keys({"GROQ_API_KEY": "k"}))
    assert spec is not None
    assert (spec.base_url, spec.model, spec.key_env) == (
        "https://api.groq.com/openai/v1",
        "openai/gpt-oss-120b",
        "GROQ_API_KEY",
    )
    for id in ("~anthropic/claude-opus-latest", "@cf/meta/llama", "gpt-oss:120b", "arn:aws:bedrock:x:1:y/z"):
        found = named(f"ollama/{id}", Keys({}))
        assert found is not None
        assert found.model == id


@pytest.mark.parametrize(
    "name",
    [
        "groq", "groq/", "/x", "nobody/x", "OpenAI/x", "", "/", "google/../../v1/x", "google/a/../b", "google/a//b",
        "google/x?y=1", "google/x#y", "google/x%2e", "google/x y", "google/x\n", "google/" + "x" * 201, "google/ü",
    ],
)  # fmt: skip
def test_other_names_mean_nothing(name: str) -> None:
    assert named(name, Keys({"GEMINI_API_KEY": "k"})) is None


# ------------------------------------------------------------------------------------- quirks and abilities


def quirks(vendor: str, model: str, **more: Any) -> Quirks:
    return quirks_of(settle(ModelSpec(vendor=vendor, model=model, **more), Keys(environ(by_id()[vendor]))))


@pytest.mark.parametrize(
    ("vendor", "model", "temperature", "effort"),
    [
        # https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking and …/extended-thinking
        ("anthropic", "claude-opus-5-5", False, "adaptive"),
        ("anthropic", "claude-sonnet-5", False, "adaptive"),
        ("anthropic", "claude-fable-5-2", False, "adaptive"),
        ("anthropic", "claude-opus-4-7", False, "adaptive"),
        ("bedrock", "eu.anthropic.claude-opus-4-8-v1:0", False, "adaptive"),
        ("vertex-anthropic", "claude-opus-4-7@20260416", False, "adaptive"),
        ("anthropic", "claude-opus-4-6", True, "adaptive"),
        ("anthropic", "claude-sonnet-4-5-20250929", True, "thinking"),
        ("anthropic", "claude-opus-4-20250514", True, "thinking"),
        ("anthropic", "claude-3-7-sonnet-20250219", True, "thinking"),
        ("anthropic", "claude-3-haiku-20240307", True, ""),
        # https://platform.openai.com/docs/guides/reasoning
        ("openai", "gpt-6.1-sol", False, "reasoning_effort"),
        ("openai", "gpt-5-2025-08-07", False, "reasoning_effort"),
        ("openai-responses", "gpt-5.3-codex", False, "reasoning_effort"),
        ("azure", "o3", False, "reasoning_effort"),
        ("openai", "gpt-5-chat-latest", True, ""),
        ("openai", "gpt-4.1", True, ""),
        ("groq", "openai/gpt-oss-120b", True, "reasoning_effort"),
        # resellers translate by themselves
        ("openrouter", "openai/gpt-6.1-sol", True, "reasoning"),
        ("openrouter", "~anthropic/claude-opus-latest", True, "reasoning"),
        # https://ai.google.dev/gemini-api/docs/thinking
        ("google", "gemini-2.5-flash", True, "budget"),
        ("google", "gemini-4-argon", True, "reasoning_effort"),
        # https://platform.kimi.ai/docs
        ("moonshot", "kimi-k3.1-pro", False, "reasoning_effort"),
        ("moonshot", "kimi-k2.6", False, "thinking"),
        ("moonshot", "kimi-k2.7-code", False, ""),
        ("moonshot", "moonshot-v1-8k", True, ""),
        # https://api-docs.deepseek.com/guides/thinking_mode
        ("deepseek", "deepseek-v4-pro", True, "thinking"),
    ],
)
def test_temperature_and_thinking_go_by_the_model(vendor: str, model: str, temperature: bool, effort: str) -> None:
    found = quirks(vendor, model)
    assert (found.temperature, found.effort) == (temperature, effort)


def test_other_quirks_go_by_vendor_and_model() -> None:
    sol = quirks("openai", "gpt-6.1-sol")
    assert (sol.limit_field, sol.system_role) == ("max_completion_tokens", "developer")
    assert quirks("openai", "gpt-4.1").system_role == "system"
    assert quirks("openai", "o1-mini").system_role == "user"
    # https://platform.openai.com/docs/models/gpt-5: minimal, but no none; from 5.1 on the other way round
    assert "minimal" in quirks("openai", "gpt-5-mini").efforts
    assert "none" in quirks("openai", "gpt-5.1").efforts
    assert quirks("mistral", "mistral-large-4").tool_id == "mistral"
    assert quirks("vllm", "mistralai/Devstral-Small").tool_id == "mistral"
    for vendor, model in (("deepseek", "deepseek-flash"), ("together", "deepseek-ai/DeepSeek-V4-Pro-0813")):
        assert quirks(vendor, model).give_back_thoughts
    assert quirks("anthropic", "claude-3-opus-20240229").max_tokens_needed == 4096
    # The quirks of its usual dialect are not those of another one.
    assert quirks("deepseek", "m", wire="anthropic") == Quirks()


def test_the_settings_have_the_last_word_on_quirks() -> None:
    found = quirks("openai", "gpt-6.1-sol", quirks={"temperature": True, "static": {"service_tier": "flex"}})
    assert found.temperature
    assert found.static == {"service_tier": "flex"}
    assert found.system_role == "developer"


def test_a_model_without_vendor_is_known_by_its_host() -> None:
    def of(base_url: str, model: str = "gpt-6.1-sol") -> Quirks:
        return quirks_of(ModelSpec(base_url=base_url, model=model))

    assert of("https://api.openai.com/v1").limit_field == "max_completion_tokens"
    assert of("https://contoso.openai.azure.com/openai/v1").limit_field == "max_completion_tokens"
    assert of("https://openrouter.ai/api/v1").tells_cost
    assert of("https://evil.example/openrouter.ai/api/v1") == Quirks()
    assert of("http://127.0.0.1:11434/v1") == Quirks()


def test_wrong_quirks_are_named() -> None:
    with pytest.raises(SettingsError, match=r"'temprature'; there are: limit_field, .*temperature"):
        quirks("openai", "m", quirks={"temprature": False})
    with pytest.raises(SettingsError, match="'effort' cannot be read"):
        quirks("openai", "m", quirks={"effort": "much"})


def abilities(vendor: str, model: str, **more: Any) -> frozenset[str]:
    return abilities_of(settle(ModelSpec(vendor=vendor, model=model, **more), Keys(environ(by_id()[vendor]))))


def test_abilities_go_by_wire_and_model_and_unknown_models_can_do_everything() -> None:
    everything = {"tools", "images", "documents", "audio", "json", "schema", "reasoning"}
    assert abilities("together", "acme/superbrain-9") == everything
    assert abilities("google", "gemini-4-argon") == everything
    assert abilities("anthropic", "claude-opus-5-5") == everything - {"audio"}
    assert abilities("groq", "openai/gpt-oss-120b") == everything - {"images", "documents", "audio"}
    assert abilities("cli", "claude") == {"json", "reasoning"}
    assert "tools" not in abilities("perplexity", "sonar-pro")
    assert abilities("groq", "m", abilities=("tools",)) == {"tools"}
    assert "images" not in abilities("together", "m", quirks={"images": False})
    assert "schema" not in abilities("together", "m", quirks={"schema_output": ""})


@pytest.mark.parametrize(
    ("model", "sees"),
    [
        # https://models.dev, July 2026: input modalities
        ("deepseek-v4-pro", False), ("glm-5.2", False), ("glm-4.5v", True), ("glm-5v-turbo", True), ("kimi-k2.6", True),
        ("kimi-k2-thinking", False), ("MiniMax-M2.7", False), ("MiniMax-M3", True), ("mistral-large-2512", True),
        ("codestral-latest", False), ("qwen3.7-max", False), ("qwen3.7-plus", True), ("mimo-v2.5-pro", False),
        ("mimo-v2.5", True), ("llama-3.3-70b-instruct", False), ("llama-4-scout-17b-16e-instruct", True),
        ("grok-4.3", True), ("gpt-oss-20b", False), ("magistral-medium-latest", False), ("gpt-5.5", True),
        ("nemotron-3-ultra-550b-a55b", False), ("command-a-03-2025", False), ("command-a-vision-07-2025", True),
    ],
)  # fmt: skip
def test_who_takes_images(model: str, sees: bool) -> None:
    assert ("images" in abilities("requesty", f"any/{model}")) is sees


# ------------------------------------------------------------------------------------- the documentation


def line(row: ProviderRow) -> str:
    """A row of the table in docs/providers.md."""
    wires = ", ".join((row.wire, *row.also))
    options = [f"`{name}` ({' or '.join(variables)})" for name, variables in row.options.items()]
    keys = " or ".join(row.key_env) if row.key_env else ("" if row.local or not row.auth else f"auth {row.auth}")
    needs = "; ".join(filter(None, (keys, *options)))
    address = row.base_url.removeprefix("https://")
    cells = (f"`{row.id}`", row.title, wires, address, needs, row.notes)
    return re.sub(" +", " ", f"| {' | '.join(cells)} |")


def test_the_documentation_shows_the_table() -> None:
    rows = DOC.split("## The table\n")[1].strip().splitlines()
    assert [text for text in rows if text.startswith("| `")] == [
        line(row) for row in sorted(PROVIDERS, key=lambda row: row.id)
    ]


def test_the_documentation_names_every_quirk_and_every_auth() -> None:
    for name in (*Quirks.model_fields, *SIGNERS):
        assert f"`{name}`" in DOC, name


@pytest.mark.parametrize("vendor", ["vertex", "vertex-anthropic"])
@pytest.mark.parametrize(
    ("location", "host"),
    [
        # https://docs.cloud.google.com/gemini-enterprise-agent-platform/resources/locations
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("us-east5", "us-east5-aiplatform.googleapis.com"),
    ],
)
def test_vertex_has_a_host_for_each_kind_of_location(vendor: str, location: str, host: str) -> None:
    spec = ModelSpec(vendor=vendor, model="m-1", options={"project": "p", "location": location})
    settled = settle(spec, Keys({}))
    assert settled.base_url.startswith(f"https://{host}")
    assert settled.auth == "google"


def test_rows_say_what_vendors_document() -> None:
    # https://openrouter.ai/docs/use-cases/reasoning-tokens: thoughts are given back where tools were called
    assert quirks("openrouter", "openai/gpt-6.1-sol").give_back_thoughts
    # https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking: thinking can be left out
    assert quirks("anthropic", "claude-opus-4-7").efforts[0] == "none"
    assert quirks("anthropic", "claude-opus-4-6").efforts[0] == "none"
    # https://api-docs.deepseek.com/guides/thinking_mode: a switch and an effort
    request = ChatRequest(model="m", messages=(Message(role="user", text="Hi"),))
    deepseek = ModelSpec(vendor="deepseek", model="deepseek-v4-pro")

    def sent(effort: Any) -> dict[str, Any]:
        asked = request.model_copy(update={"effort": effort})
        body = dialect_of("openai").to_wire(asked, deepseek, quirks_of(deepseek), frozenset())
        return {name: body[name] for name in ("thinking", "reasoning_effort") if name in body}

    assert sent("none") == {"thinking": {"type": "disabled"}}
    assert sent("medium") == {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}
    assert sent("low") == {"thinking": {"type": "enabled"}, "reasoning_effort": "low"}
