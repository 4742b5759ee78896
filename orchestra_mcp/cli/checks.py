"""What `orchestra doctor` looks at, apart from the models: each check says what it found and how to mend it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
import sys
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

import anyio
import anyio.to_thread

from orchestra_mcp import __version__
from orchestra_mcp.errors import SettingsError
from orchestra_mcp.settings import Keys, config_file, home_dir, load
from orchestra_mcp.types import Question

MIN_GIT = (2, 30)
"""The oldest git whose `rev-parse` knows `--end-of-options`, behind which foreign text is put."""
PROGRAM_S = 10
MOST_TOOLS = 6


class Finding(NamedTuple):
    """What one check found."""

    name: str
    state: Literal["ok", "warn", "fail"]
    detail: str
    mend: str = ""


Check = Callable[[Mapping[str, str]], Awaitable[list[Finding]]]


async def check_python(_environ: Mapping[str, str]) -> list[Finding]:
    """The interpreter."""
    detail = f"{platform.python_version()} on {platform.system()}"
    return [Finding("python", "ok", detail)]


async def check_package(_environ: Mapping[str, str]) -> list[Finding]:
    """Our distribution, and the versions of what it stands on."""
    try:
        installed = metadata.version("orchestra-council")
    except metadata.PackageNotFoundError:
        mend = "install it, for example: pip install -e . in a checkout"
        return [Finding("package", "fail", "orchestra-council is not installed, only its sources are there", mend)]
    parts = ", ".join(f"{name} {metadata.version(name)}" for name in ("mcp", "httpx2", "pydantic", "anyio"))
    if installed != __version__:
        mend = "install again: pip install -e . in a checkout"
        return [Finding("package", "warn", f"installed as {installed}, but the code says {__version__}", mend)]
    return [Finding("package", "ok", f"orchestra-council {__version__} ({parts})")]


async def check_config(environ: Mapping[str, str]) -> list[Finding]:
    """The user's orchestra.toml."""
    file = config_file(environ)
    try:
        settings = load(environ)
    except SettingsError as error:
        return [Finding("configuration", "fail", str(error), "correct the file, or move it away")]
    if settings.source is None:
        return [Finding("configuration", "ok", f"no file ({file}); experts come from what is found")]
    detail = f"{file}: {len(settings.models)} models, {len(settings.seats)} seats"
    return [Finding("configuration", "ok", detail), *(Finding("configuration", "warn", w) for w in settings.warnings)]


async def check_keys(environ: Mapping[str, str]) -> list[Finding]:
    """keys.env and which keys there are, by name."""
    from orchestra_mcp.gateway.vendors.catalog import providers

    home = home_dir(environ)
    file = home / "keys.env"
    try:
        keys = Keys(environ, file)
    except SettingsError as error:
        return [Finding("keys", "fail", str(error), f"run: chmod 600 {file}")]
    names = list(dict.fromkeys(name for row in providers() for name in row.key_env if keys.get(name)))
    kept = f"{file.name} is private" if file.is_file() else f"no {file.name}"
    findings = [Finding("keys", "ok", f"{', '.join(names) or 'none found'} ({kept})")]
    if os.name == "posix" and home.is_dir() and stat.S_IMODE(home.stat().st_mode) & 0o077:
        findings.append(Finding("data directory", "warn", f"{home} can be read by others", f"run: chmod 700 {home}"))
    return findings


async def check_store(environ: Mapping[str, str]) -> list[Finding]:
    """The data directory takes a whole consultation and gives it back; the real history can be read."""
    from orchestra_mcp.store import open_store

    home = home_dir(environ)
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch = Path(tempfile.mkdtemp(prefix="doctor-", dir=home))
    except OSError as error:
        mend = "make it writable, or let ORCHESTRA_HOME name another directory"
        return [Finding("store", "fail", f"{home} cannot be written ({error.strerror})", mend)]
    try:
        async with open_store(scratch, strict=True) as store:
            probe = uuid.uuid4().hex
            await store.begin(probe, Question(text="doctor"), probe)
            await store.finish(probe, "complete", None)
            if (await store.get(probe)).question.text != "doctor":
                return [Finding("store", "fail", "what was written was not read back", "check the disk")]
    finally:
        await anyio.to_thread.run_sync(lambda: shutil.rmtree(scratch, ignore_errors=True))
    async with open_store(home, strict=True) as store:
        newest = await store.list(1)
    kept = f"newest consultation of {newest[0].started:%Y-%m-%d}" if newest else "no consultations yet"
    return [Finding("store", "ok", f"{home}: writes and reads; {kept}")]


async def check_git(_environ: Mapping[str, str]) -> list[Finding]:
    """git, from which most evidence comes."""
    said = await output_of(["git", "--version"])
    found = re.search(r"(\d+)\.(\d+)[.\d]*", said or "")
    if said is None or found is None:
        mend = "install git; without it there are no diffs, no history and no ignored files"
        return [Finding("git", "warn", "not found", mend)]
    if (int(found[1]), int(found[2])) < MIN_GIT:
        return [Finding("git", "warn", f"{found[0]} is old", "install git 2.30 or newer")]
    return [Finding("git", "ok", found[0])]


async def check_grammars(_environ: Mapping[str, str]) -> list[Finding]:
    """Every language's grammar loads."""
    from orchestra_mcp.context.code.languages import LANGUAGES, grammar

    def missing() -> list[str]:
        return [row.name for row in LANGUAGES if not row.extra and grammar(row.name) is None]

    if lost := await anyio.to_thread.run_sync(missing):
        mend = "install Orchestra again; code in these languages is read as plain text until then"
        return [Finding("grammars", "warn", f"not loading: {', '.join(lost)}", mend)]
    return [Finding("grammars", "ok", f"{len(LANGUAGES)} languages")]


async def check_agents(environ: Mapping[str, str]) -> list[Finding]:
    """The coding CLIs that can sit as experts; none is needed."""
    from orchestra_mcp.gateway.vendors.agents import AGENTS

    findings = []
    for name, agent in AGENTS.items():
        program = shutil.which(name, path=environ.get("PATH"))
        if program is None:
            findings.append(Finding(f"cli {name}", "ok", f"{agent.title} is not installed (not needed)"))
            continue
        said = await output_of([program, "--version"])
        mend = f"run `{name} --version` and see what it says"
        findings.append(
            Finding(f"cli {name}", "ok", said.splitlines()[0][:80] if said.strip() else "there")
            if said is not None
            else Finding(f"cli {name}", "warn", "installed, but does not run", mend)
        )
    return findings


async def check_server(environ: Mapping[str, str]) -> list[Finding]:
    """Our own MCP server, as a client would start it: it greets and lists its tools."""
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client

    parameters = StdioServerParameters(
        command=sys.executable, args=["-m", "orchestra_mcp.tools.entry"], env=dict(environ)
    )
    with tempfile.TemporaryFile("w+") as log:
        try:
            async with Client(stdio_client(parameters, errlog=log)) as client:
                tools = (await client.list_tools()).tools
        except Exception as error:  # noqa: BLE001 - whatever a client meets here is the finding
            log.seek(0)
            said = " ".join(log.read()[-300:].split())
            return [
                Finding(
                    "mcp server",
                    "fail",
                    f"no greeting ({_leaf(error)}) {said}",
                    "run orchestra-mcp and see what it says",
                )
            ]
    if not 0 < len(tools) <= MOST_TOOLS:
        return [Finding("mcp server", "warn", f"{len(tools)} tools", "install Orchestra again")]
    return [Finding("mcp server", "ok", f"greets, {len(tools)} tools: {', '.join(tool.name for tool in tools)}")]


# In the order in which they are run. Add here.
CHECKS: dict[str, Check] = {
    "python": check_python,
    "package": check_package,
    "configuration": check_config,
    "keys": check_keys,
    "store": check_store,
    "git": check_git,
    "grammars": check_grammars,
    "clis": check_agents,
    "mcp server": check_server,
}


async def output_of(command: list[str]) -> str | None:
    """What a program says on standard output; None when it cannot be run, fails, or takes more than 10 s."""
    from subprocess import DEVNULL, PIPE

    try:
        with anyio.fail_after(PROGRAM_S):
            done = await anyio.run_process(command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, check=False)
    except (OSError, TimeoutError):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def _leaf(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:200]
