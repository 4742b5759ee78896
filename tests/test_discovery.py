"""Who is found, who is seated, and what is said of those who are missing."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from upstream import Expert, Upstream

from orchestra_mcp.gateway import build, open_http
from orchestra_mcp.gateway.money.metered import Ledger
from orchestra_mcp.gateway.provider import ChatRequest, Message, fold
from orchestra_mcp.gateway.vendors.catalog import PROVIDERS, family_of, prior_of
from orchestra_mcp.gateway.vendors.discovery import Found, discover, models_in
from orchestra_mcp.settings import Keys, Limits

posix = pytest.mark.skipif(os.name != "posix", reason="the stand-ins are POSIX scripts")


async def find(
    tmp_path: Path, environ: Mapping[str, str] | None = None, ports: Mapping[str, int] | None = None
) -> Found:
    async with open_http() as http:
        keys = Keys({"HOME": str(tmp_path), "PATH": str(tmp_path / "bin"), **(environ or {})})
        return await discover(keys, http, ports=ports or {})


def families(found: Found) -> list[str]:
    return [found.models[seat.model].family for seat in found.seats]


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


@contextmanager
def web_server(status: int, body: bytes) -> Iterator[int]:
    """Something that is no model server."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# ------------------------------------------------------------------------------------- keys


async def test_with_nothing_at_all_nobody_sits_and_every_way_in_is_named(tmp_path: Path) -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = await find(tmp_path, ports={"Ollama": port})
    assert found.seats == ()
    assert found.models == {}
    missing = "\n".join(found.missing)
    for word in ("OPENROUTER_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "claude", "codex", f"{port}"):
        assert word in missing


async def test_one_openrouter_key_seats_several_families_with_two_strong_openers(tmp_path: Path) -> None:
    found = await find(tmp_path, {"OPENROUTER_API_KEY": "sk-or-1"})
    assert 3 <= len(found.seats) <= 5
    assert len(set(families(found))) == len(found.seats)
    specs = [found.models[seat.model] for seat in found.seats]
    assert all(s.provider == "openrouter" and s.key_env == "OPENROUTER_API_KEY" for s in specs)
    priors = [s.prior or 0 for s in specs]
    assert priors == sorted(priors, reverse=True)
    assert "OPENROUTER_API_KEY" not in "\n".join(found.missing)


async def test_many_keys_still_seat_few_and_no_family_twice(tmp_path: Path) -> None:
    found = await find(tmp_path, {row.key_env[0]: "k" for row in PROVIDERS if row.key_env})
    assert len(found.seats) == 5
    assert len(set(families(found))) == 5
    names = list(found.models)
    assert len(names) == len(set(names))


async def test_a_vendor_itself_is_asked_before_a_reseller(tmp_path: Path) -> None:
    found = await find(tmp_path, {"OPENROUTER_API_KEY": "k", "ANTHROPIC_API_KEY": "k"})
    by_family = {found.models[s.model].family: found.models[s.model].provider for s in found.seats}
    assert by_family["anthropic"] == "anthropic"
    assert by_family["openai"] == "openrouter"


async def test_a_single_vendor_seats_more_than_one_of_its_models(tmp_path: Path) -> None:
    found = await find(tmp_path, {"ANTHROPIC_API_KEY": "k"})
    assert len(found.seats) == 3
    assert {found.models[s.model].wire for s in found.seats} == {"anthropic"}


async def test_an_alternative_variable_is_the_one_that_is_used(tmp_path: Path) -> None:
    found = await find(tmp_path, {"GOOGLE_API_KEY": "k"})
    assert {spec.key_env for spec in found.models.values()} == {"GOOGLE_API_KEY"}


async def test_an_unexpanded_placeholder_is_no_key(tmp_path: Path) -> None:
    assert (await find(tmp_path, {"OPENAI_API_KEY": "${OPENAI_API_KEY}"})).seats == ()


async def test_portkey_is_seated_only_with_a_route_and_then_by_its_headers(tmp_path: Path) -> None:
    alone = await find(tmp_path, {"PORTKEY_API_KEY": "pk"})
    assert alone.seats == ()
    assert any("PORTKEY_VIRTUAL_KEY" in line for line in alone.missing)
    routed = await find(tmp_path, {"PORTKEY_API_KEY": "pk", "PORTKEY_VIRTUAL_KEY": "vk"})
    [seat] = routed.seats
    spec = routed.models[seat.model]
    assert spec.key_env == ""
    assert spec.headers == {
        "x-portkey-api-key": "$PORTKEY_API_KEY",
        "x-portkey-virtual-key": "$PORTKEY_VIRTUAL_KEY",
    }


# ------------------------------------------------------------------------------------- local servers


async def test_a_local_server_is_seated_and_answers(tmp_path: Path) -> None:
    ids = ("qwen3.8:27b", "nomic-embed-text:latest")
    with Upstream({name: Expert(f"I am {name}") for name in ids}) as upstream:
        found = await find(tmp_path, ports={"Ollama": port_of(upstream.url)})
        [seat] = found.seats
        spec = found.models[seat.model]
        assert (spec.model, spec.provider, spec.family) == ("qwen3.8:27b", "local", "alibaba")
        assert spec.local
        async with open_http() as http:
            limits = Limits()
            gateway = build(
                found.models, Keys({}), limits, ledger=Ledger(limits), on_call=lambda record: None, http=http
            )
            reply = await fold(gateway, ChatRequest(model=seat.model, messages=(Message(role="user", text="Who?"),)))
        assert reply.text == "I am qwen3.8:27b"
        assert "authorization" not in upstream.calls[0].headers


async def test_local_models_sit_behind_those_with_keys(tmp_path: Path) -> None:
    with Upstream({"gemma4:9b": Expert()}) as upstream:
        ports = {"Ollama": port_of(upstream.url)}
        found = await find(tmp_path, {"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k"}, ports)
    assert families(found)[:2] in (["anthropic", "openai"], ["openai", "anthropic"])
    assert families(found)[-1] == "google"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<!doctype html><title>My app</title>"),
        (200, b'{"data": [{"id": "x"}]}'),
        (200, b'{"object": "list", "data": [{"id": "x", "object": "user"}]}'),
        (200, b'{"object": "list", "data": "x"}'),
        (404, b'{"object": "list", "data": [{"id": "x", "object": "model"}]}'),
        (200, b'{"object": "list", "data": [{"id": "x", "object": "model"}], "pad": "' + b"x" * 1_100_000 + b'"}'),
    ],
)
async def test_what_only_listens_on_the_port_is_no_expert(tmp_path: Path, status: int, body: bytes) -> None:
    with web_server(status, body) as port:
        assert (await find(tmp_path, ports={"llama.cpp": port})).seats == ()


async def test_a_server_that_says_nothing_is_waited_for_half_a_second_only(tmp_path: Path) -> None:
    with closing(socket.socket()) as silent, Upstream({"qwen3.8:27b": Expert()}) as upstream:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        ports = {"LM Studio": silent.getsockname()[1], "vLLM": port_of(upstream.url)}
        found = await find(tmp_path, ports=ports)
    assert len(found.seats) == 1
    assert any(line.startswith("LM Studio") for line in found.missing)


def test_the_documented_models_list_is_understood() -> None:
    # https://platform.openai.com/docs/api-reference/models/list
    body = {
        "object": "list",
        "data": [
            {"id": "model-id-0", "object": "model", "created": 1686935002, "owned_by": "organization-owner"},
            {"id": "model-id-1", "object": "model", "created": 1686935002, "owned_by": "organization-owner"},
            {"id": "text-embedding-3-small", "object": "model", "created": 1, "owned_by": "openai"},
        ],
        "object_extra": None,
    }
    assert models_in(body) == ("model-id-0", "model-id-1")
    assert models_in(json.loads("[]")) == ()


# ------------------------------------------------------------------------------------- coding CLIs


def install(tmp_path: Path, name: str, login: str = "", content: str = "{}") -> None:
    program = tmp_path / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    if login:
        (tmp_path / login).parent.mkdir(exist_ok=True)
        (tmp_path / login).write_text(content)


@posix
async def test_a_cli_is_seated_only_when_its_owner_has_logged_in(tmp_path: Path) -> None:
    install(tmp_path, "claude", ".claude/.credentials.json")
    install(tmp_path, "codex", ".codex/auth.json")
    install(tmp_path, "gemini")
    found = await find(tmp_path)
    specs = [found.models[seat.model] for seat in found.seats]
    assert [(s.wire, s.model, s.provider) for s in specs] == [
        ("agent", "claude", "anthropic"),
        ("agent", "codex", "openai"),
    ]
    assert not any(s.local for s in specs)  # the text leaves this machine
    assert any("Gemini CLI" in line and "not logged in" in line for line in found.missing)


@posix
async def test_a_login_that_is_kept_in_the_keychain_shows_in_the_settings(tmp_path: Path) -> None:
    install(tmp_path, "claude", ".claude.json", '{"numStartups": 3}')
    assert (await find(tmp_path)).seats == ()
    install(tmp_path, "claude", ".claude.json", '{"oauthAccount": {"emailAddress": "a@example.org"}}')
    assert len((await find(tmp_path)).seats) == 1


@posix
async def test_a_key_is_preferred_to_a_cli_of_the_same_family(tmp_path: Path) -> None:
    install(tmp_path, "claude", ".claude/.credentials.json")
    found = await find(tmp_path, {"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k"})
    assert {found.models[s.model].wire for s in found.seats} == {"anthropic", "openai"}
    assert "claude-cli" in found.models


# ------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("claude-opus-5-5", "anthropic"),
        ("~anthropic/claude-opus-latest", "anthropic"),
        ("openai/gpt-oss-120b", "openai"),
        ("o3-mini", "openai"),
        ("models/gemini-3.8-flash", "google"),
        ("deepseek-r1-distill-llama-70b", "deepseek"),
        ("accounts/fireworks/models/kimi-k3p1-pro", "moonshot"),
        ("zai-org/GLM-5.3", "zai"),
        ("qwen/qwen3.8-27b", "alibaba"),
        ("Mistral-Large-4", "mistral"),
        ("acme/superbrain-9", "acme"),
        ("superbrain-9", "superbrain"),
    ],
)
def test_a_model_id_tells_its_family(model: str, family: str) -> None:
    assert family_of(model) == family


def test_priors_keep_the_order_of_the_leaderboards() -> None:
    ladder = ["gpt-6-astra", "claude-opus-5-5", "deepseek-v4-pro", "gpt-oss-120b", "qwen3:8b", "llama3.2:3b"]
    priors = [prior_of(model) for model in ladder]
    assert priors == sorted(priors, reverse=True)
    assert len(set(priors)) == len(priors)
    assert all(0.05 <= p <= 0.9 for p in priors)


async def test_vendors_without_seats_are_neither_seated_nor_missed(tmp_path: Path) -> None:
    quiet = [row for row in PROVIDERS if not row.seats]
    found = await find(tmp_path, {name: "k" for row in quiet for name in row.key_env})
    seated = {name for row in PROVIDERS if row.seats for name in row.key_env}
    assert {spec.key_env for spec in found.models.values()} <= seated
    assert not any("GITHUB_TOKEN" in line or "HF_TOKEN" in line for line in found.missing)
    assert (await find(tmp_path, {"GITHUB_TOKEN": "k", "HF_TOKEN": "k"})).models == {}
