"""The doctor's look at the models: is there a key, does the address answer, does it list the model; with `--call`, does it speak.

Listing models is free with every vendor of the three dialects; nothing else is asked without `--call`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import anyio

from orchestra_mcp.cli.checks import Finding
from orchestra_mcp.errors import OrchestraError, ProviderError
from orchestra_mcp.settings import Keys, ModelSpec, Settings, home_dir, load

Http = Any
"""The gateway's HTTP client; only the gateway knows its class."""
WORD_S = 90


async def check_models(environ: Mapping[str, str], call: bool) -> list[Finding]:
    """Every configured model, or every one that was found; and what else could be added."""
    from orchestra_mcp.gateway import open_http
    from orchestra_mcp.gateway.vendors.discovery import discover

    settings = load(environ)
    keys = Keys(environ, home_dir(environ) / "keys.env")
    async with open_http() as http:
        models: Mapping[str, ModelSpec] = settings.models
        if not models and settings.discover:
            models = (await discover(keys, http)).models
        if not models:
            mend = "set a vendor's key, start a local server, or log in to a coding CLI (orchestra status names them)"
            return [Finding("models", "warn", "none; the resident analysts answer alone", mend)]
        findings: dict[str, Finding] = {}

        async def look(name: str, spec: ModelSpec) -> None:
            finding = await _listed(name, spec, keys, http)
            if call and finding.state != "fail":
                finding = await _spoken(name, settings, models, keys, http)
            findings[name] = finding

        async with anyio.create_task_group() as tasks:
            for name, spec in models.items():
                tasks.start_soon(look, name, spec)
    return [findings[name] for name in models]


async def _listed(name: str, spec: ModelSpec, keys: Keys, http: Http) -> Finding:
    """Ask the model's address which models it has; costs nothing."""
    title = f"model {name}"
    if spec.wire == "agent":
        return Finding(title, "ok", f"the {spec.model} CLI; not asked without --call")
    if spec.key_env and not keys.get(spec.key_env):
        return Finding(
            title,
            "fail",
            f"{spec.key_env} is not set",
            f"set {spec.key_env}, or: orchestra setup --save-key {spec.key_env}",
        )
    from orchestra_mcp.gateway.vendors.listing import list_models

    host = urlsplit(spec.base_url).netloc
    try:
        status, known = await list_models(spec, keys, http)
    except ProviderError as error:
        mend = "start the server" if spec.local else "check base_url, the network and the proxy"
        return Finding(title, "fail", str(error), mend)
    if status in (401, 403):
        return Finding(
            title, "fail", f"{host} does not accept the key in {spec.key_env or 'headers'} ({status})", "renew the key"
        )
    if status >= 500:
        return Finding(title, "warn", f"{host} answers with an error ({status})", "try again later")
    if known and spec.model not in known:
        return Finding(
            title, "warn", f"{host} does not list {spec.model!r} among its {len(known)} models",
            f"see what it lists; perhaps {_closest(spec.model, known)!r}; or try --call",
        )  # fmt: skip
    return Finding(title, "ok", f"{spec.model} at {host}: {'listed' if known else 'answers'}")


def _closest(wanted: str, known: Sequence[str]) -> str:
    import difflib

    return (difflib.get_close_matches(wanted, known, 1, 0) or known)[0]


async def _spoken(name: str, settings: Settings, models: Mapping[str, ModelSpec], keys: Keys, http: Http) -> Finding:
    """Have the model say one word."""
    from orchestra_mcp.gateway import build
    from orchestra_mcp.gateway.money.metered import Ledger
    from orchestra_mcp.gateway.provider import ChatRequest, Message, fold

    ledger = Ledger(settings.limits)
    gateway = build(models, keys, settings.limits, ledger=ledger, on_call=lambda _: None, http=http)
    request = ChatRequest(
        model=name,
        messages=(Message(role="user", text="Reply with the word ready."),),
        max_tokens=1000,
        purpose="doctor",
    )
    began = datetime.now(UTC)
    try:
        with anyio.fail_after(WORD_S):
            reply = await fold(gateway, request)
    except TimeoutError:
        return Finding(f"model {name}", "fail", f"no answer within {WORD_S} s", "see whether it is overloaded")
    except OrchestraError as error:
        return Finding(f"model {name}", "fail", str(error), "mend what the message names")
    seconds = (datetime.now(UTC) - began).total_seconds()
    return Finding(
        f"model {name}",
        "ok",
        f"answers after {seconds:.1f} s, ${reply.usage.cost_usd:.5f}: {reply.text.strip()[:40]!r}",
    )
