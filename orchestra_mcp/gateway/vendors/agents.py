"""Coding CLIs as experts: one question in, one answer out, no hands.

A CLI that its owner has logged in to is run read-only, in an empty temporary directory, with the question on its
standard input and an environment that holds what the CLI needs to find its own login, but none of our keys (see
`child.py` for how it is run and ended). The calls are paid by the user's subscription, so they count as free.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestra_mcp.errors import BadReply, ProviderError, Refused
from orchestra_mcp.gateway.dialects.failures import quote
from orchestra_mcp.gateway.provider import ChatEvent, ChatRequest, Finish, TextDelta
from orchestra_mcp.gateway.vendors.child import run
from orchestra_mcp.settings import Keys, Limits, ModelSpec
from orchestra_mcp.types import JsonObject, Usage

PASSED_ON = (
    "HOME", "PATH", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
    "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS",
    "CLAUDE_CONFIG_DIR", "CODEX_HOME",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR",
    # Windows
    "SYSTEMROOT", "SystemRoot", "WINDIR", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA",
    "PROGRAMDATA", "TEMP", "TMP",
    # add here
)  # fmt: skip
"""All that a CLI gets to see of our environment."""


@dataclass(frozen=True)
class Answer:
    """What a CLI said: its text, and either usage or the error that it reported."""

    text: str = ""
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    error: str = ""


@dataclass(frozen=True)
class Agent:
    """One coding CLI."""

    title: str
    provider: str
    """Who receives the text."""
    family: str
    prior: float
    """As `catalog.prior_of`, for the model that it runs by default."""
    command: tuple[str, ...]
    """How to run it read-only; the flags that see to that are all in here."""
    optional: tuple[tuple[str, ...], ...]
    """Flags that older versions do not know, and that are left out when it says so."""
    read: Callable[[str], Answer]
    login: tuple[tuple[str, str], ...]
    """Signs that its owner has logged in: a file below HOME, and a word that it must hold."""


# ------------------------------------------------------------------------------------- what they print


def _lines(output: str) -> Iterable[JsonObject]:
    for line in output.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def _int(raw: Any, name: str) -> int:
    value = raw.get(name) if isinstance(raw, dict) else None
    return value if isinstance(value, int) and value > 0 else 0


def read_claude(output: str) -> Answer:
    """The `result` line of `--output-format stream-json`: https://docs.anthropic.com/en/docs/claude-code/sdk."""
    answer = Answer()
    model = ""
    for line in _lines(output):
        if line.get("type") == "system":
            model = str(line.get("model") or model)
        if line.get("type") != "result":
            continue
        usage = line.get("usage")
        text = str(line.get("result") or "")
        answer = Answer(
            text="" if line.get("is_error") else text,
            error=(text or str(line.get("subtype"))) if line.get("is_error") else "",
            model=model,
            usage=Usage(
                input_tokens=_int(usage, "input_tokens"),
                cache_read_tokens=_int(usage, "cache_read_input_tokens"),
                cache_write_tokens=_int(usage, "cache_creation_input_tokens"),
                output_tokens=_int(usage, "output_tokens"),
            ),
        )
    return answer


def read_codex(output: str) -> Answer:
    """The events of `codex exec --json`: https://developers.openai.com/codex/noninteractive."""
    text, error, usage = "", "", Usage()
    for line in _lines(output):
        item = line.get("item")
        if line.get("type") == "item.completed" and isinstance(item, dict):
            # Earlier messages tell what it is about to do; the last one is the answer.
            if item.get("type") in ("agent_message", "assistant_message"):
                text = str(item.get("text") or "")
        elif line.get("type") == "turn.completed":
            raw = line.get("usage")
            cached, thought = _int(raw, "cached_input_tokens"), _int(raw, "reasoning_output_tokens")
            usage += Usage(
                input_tokens=max(0, _int(raw, "input_tokens") - cached),
                cache_read_tokens=cached,
                output_tokens=max(0, _int(raw, "output_tokens") - thought),
                reasoning_tokens=thought,
            )
        elif line.get("type") == "turn.failed" and isinstance(line.get("error"), dict):
            error = str(line["error"].get("message") or "the turn failed")
    return Answer(text="" if error else text, usage=usage, error=error)


def read_gemini(output: str) -> Answer:
    """The object of `--output-format json`: https://geminicli.com/docs/cli/headless."""
    start = output.find("{")
    try:
        body, _ = json.JSONDecoder().raw_decode(output[start:]) if start >= 0 else ({}, 0)
    except (ValueError, RecursionError):
        return Answer()
    error = body.get("error")
    models = (body.get("stats") or {}).get("models") or {}
    usage = Usage()
    for stats in models.values():
        tokens = stats.get("tokens")
        cached = _int(tokens, "cached")
        usage += Usage(
            input_tokens=max(0, _int(tokens, "prompt") - cached),
            cache_read_tokens=cached,
            output_tokens=_int(tokens, "candidates"),
            reasoning_tokens=_int(tokens, "thoughts"),
        )
    message = str(error.get("message") or "it failed") if isinstance(error, dict) else ""
    return Answer(text=str(body.get("response") or ""), usage=usage, error=message, model=next(iter(models), ""))


AGENTS: dict[str, Agent] = {
    "claude": Agent(
        title="Claude Code",
        provider="anthropic",
        family="anthropic",
        prior=0.77,
        command=(
            "claude", "-p", "--output-format", "stream-json", "--verbose",
            "--tools", "", "--strict-mcp-config",
        ),
        optional=(("--setting-sources", "local"), ("--no-session-persistence",)),
        read=read_claude,
        login=((".claude/.credentials.json", ""), (".claude.json", '"oauthAccount"')),
    ),
    "codex": Agent(
        title="Codex CLI",
        provider="openai",
        family="openai",
        prior=0.76,
        # Its sandbox keeps it from writing, not from reading all of the disk: without a shell it cannot.
        command=(
            "codex", "exec", "--json", "--sandbox", "read-only", "--skip-git-repo-check", "--color", "never",
            "-c", "features.shell_tool=false", "-c", "tools.view_image=false", "-c", 'web_search="disabled"',
        ),
        optional=(("--ephemeral",), ("--ignore-user-config",)),
        read=read_codex,
        login=((".codex/auth.json", ""),),
    ),
    "gemini": Agent(
        title="Gemini CLI",
        provider="google",
        family="google",
        prior=0.74,
        command=("gemini", "--output-format", "json", "--approval-mode", "default"),
        optional=(("--extensions", "none"), ("--allowed-mcp-server-names", "none")),
        read=read_gemini,
        login=((".gemini/oauth_creds.json", ""),),
    ),
    # add here
}  # fmt: skip

_LOGIN = re.compile(r"log ?in|login|logged|auth|credential|unauthori[sz]ed|\b401\b", re.I)
_LIMIT = re.compile(r"usage limit|rate.?limit|quota|\b429\b|limit reached", re.I)
_UNKNOWN_FLAG = re.compile(r"(unknown|unexpected|unrecogni[sz]ed|invalid) (option|argument|flag)", re.I)


# ------------------------------------------------------------------------------------- running them


class AgentWire:
    """A `Provider` that asks a coding CLI; `spec.model` is its row in `AGENTS`."""

    def __init__(self, spec: ModelSpec, keys: Keys, limits: Limits) -> None:
        self._spec = spec
        self._environment = {name: value for name in PASSED_ON if (value := keys.get(name))}
        self._timeout_s = limits.seat_timeout_s
        self._without: frozenset[tuple[str, ...]] = frozenset()

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Run the CLI to its end, then give its answer; see `Provider.chat`."""
        agent = AGENTS.get(self._spec.model)
        if agent is None:
            known = ", ".join(AGENTS)
            raise Refused(f"There is no coding CLI called {self._spec.model!r}; known are: {known}.", "model")
        answer = await self._ask(agent, prompt_of(request))
        yield TextDelta(text=answer.text)
        yield Finish(reason="stop", usage=answer.usage, model=answer.model)

    async def _ask(self, agent: Agent, prompt: str) -> Answer:
        program = _find(agent.command[0], self._environment.get("PATH", ""))
        if program is None:
            raise Refused(f"{agent.title} is not installed: no {agent.command[0]!r} on PATH.", "model")
        while True:
            flags = [flag for flags in agent.optional if flags not in self._without for flag in flags]
            command = [program, *agent.command[1:], *flags]
            code, output, complaint = await run(command, prompt, self._environment, self._timeout_s, agent.title)
            unknown = next((f for f in agent.optional if f not in self._without and f[0] in complaint), None)
            if code == 0 or unknown is None or not _UNKNOWN_FLAG.search(complaint):
                break
            self._without |= {unknown}
        answer = agent.read(output)
        if answer.error or (code != 0 and not answer.text):
            raise _failure(agent, code, answer.error or complaint or output)
        if not answer.text.strip():
            raise BadReply(f"{agent.title} ended without an answer.", "empty")
        return answer


def _find(program: str, path: str) -> str | None:
    """A program on PATH, but never in the current directory, which is a project: PATH may hold `.`, and Windows looks
    there anyway."""
    places = os.pathsep.join(place for place in path.split(os.pathsep) if Path(place).is_absolute())
    found = shutil.which(program, path=places) if places else None
    return found if found and Path(found).is_absolute() else None


def _failure(agent: Agent, code: int, said: str) -> ProviderError:
    """Never `Unavailable`: starting a CLI again is slow, and another seat can take its place."""
    words = quote(said[-2000:]) or f"exit code {code}"
    if _LIMIT.search(said):
        return Refused(f"{agent.title} has reached the limit of its plan: {words}", "rate_limit")
    if _LOGIN.search(said):
        return Refused(f"{agent.title} is not logged in; run `{agent.command[0]}` once: {words}", "auth")
    return Refused(f"{agent.title} failed: {words}", "server")


def prompt_of(request: ChatRequest) -> str:
    """The conversation as one text."""
    titles = {"system": "", "user": "", "assistant": "Your earlier answer:\n"}
    parts = [titles[m.role] + m.text for m in request.messages]
    rules = "Answer from what is given here alone; run no tools and change no files."
    return "\n\n".join((*parts, rules))
