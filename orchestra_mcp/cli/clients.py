"""The MCP clients that `orchestra setup` knows: where each keeps its servers, and what it needs to be told.

Sources: the clients' own documentation of MCP servers (Claude Code, Claude Desktop, Cursor, VS Code, Codex, Gemini
CLI) as of November 2026. Time-outs are generous because a council may think for minutes.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from orchestra_mcp.errors import SettingsError

NAME = "orchestra"
"""What the server is called in every client. No underscore: Gemini CLI makes tool names from it."""
REPOSITORY = "git+https://github.com/OWNER/orchestra"
"""Placeholder until Orchestra is published."""
CALL_S = 600
START_S = 30
EPHEMERAL = ("archive-v0", "environments-v2", "builds-v0", ".cache")
"""Directories of uv's and pipx's caches: a command in there may be gone tomorrow."""


@dataclass(frozen=True)
class Places:
    """Where things are on this machine; given, so that other systems can be tried out."""

    home: Path
    environ: Mapping[str, str]
    platform: str = sys.platform

    @property
    def applications(self) -> Path:
        """Where desktop programs keep their settings."""
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        if self.platform == "win32":
            return Path(self.environ.get("APPDATA") or self.home / "AppData" / "Roaming")
        return Path(self.environ.get("XDG_CONFIG_HOME") or self.home / ".config")


@dataclass(frozen=True)
class Launch:
    """How a client starts our server."""

    command: str
    args: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)

    def line(self) -> str:
        """As one would type it."""
        return shlex.join((self.command, *self.args))


@dataclass(frozen=True)
class Client:
    """One MCP client."""

    title: str
    section: str = "mcpServers"
    format: Literal["json", "toml"] = "json"
    user: Callable[[Places], Path] | None = None
    """Its file for all projects; None when only its own command should write that."""
    project: str = ""
    """Its file for one project, relative to the root; empty when it has none."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What its entry holds besides command, args and env."""
    project_env: dict[str, str] = field(default_factory=dict)
    passes: Literal["all", "listed", "named", "none"] = "all"
    """Which variables of the shell reach the server: all; those in `env_vars`; those that `env` names; none."""
    adds_by: str = ""
    """The program that writes the user's file itself."""
    after: str = "Restart it, then look for the server in its list of MCP servers."


# Add here: a client.
KNOWN: dict[str, Client] = {
    "claude-code": Client(
        "Claude Code",
        project=".mcp.json",
        extra={"type": "stdio", "timeout": CALL_S * 1000},
        adds_by="claude",
        after="Start a new session; /mcp shows the server. A project's .mcp.json must be approved there once.",
    ),
    "claude-desktop": Client(
        "Claude Desktop",
        user=lambda at: at.applications / "Claude" / "claude_desktop_config.json",
        passes="none",
        after="Quit and start it again.",
    ),
    "cursor": Client(
        "Cursor",
        user=lambda at: at.home / ".cursor" / "mcp.json",
        project=".cursor/mcp.json",
        project_env={"ORCHESTRA_PROJECT_DIR": "${workspaceFolder}"},
        after="Cursor Settings, MCP: switch the server on.",
    ),
    "vscode": Client(
        "VS Code",
        section="servers",
        user=lambda at: at.applications / "Code" / "User" / "mcp.json",
        project=".vscode/mcp.json",
        extra={"type": "stdio"},
        project_env={"ORCHESTRA_PROJECT_DIR": "${workspaceFolder}"},
        after="Run `MCP: List Servers` from the command palette and start it.",
    ),
    "codex": Client(
        "Codex",
        section="mcp_servers",
        format="toml",
        user=lambda at: Path(at.environ.get("CODEX_HOME") or at.home / ".codex") / "config.toml",
        project=".codex/config.toml",
        extra={"startup_timeout_sec": START_S, "tool_timeout_sec": CALL_S},
        passes="listed",
        after="Start a new session; /mcp shows the server.",
    ),
    "gemini": Client(
        "Gemini CLI",
        user=lambda at: at.home / ".gemini" / "settings.json",
        project=".gemini/settings.json",
        extra={"timeout": CALL_S * 1000},
        passes="named",
        after="Start a new session; /mcp shows the server.",
    ),
}


def launch_for(source: str | None, environ: Mapping[str, str]) -> Launch:
    """How a client shall start the server: the absolute path of our own command, or uvx with an explicit repository.

    Never by a bare package name, since the names `orchestra` and `orchestra-mcp` on the index belong to strangers.

    Raises:
        SettingsError: `source` names no repository, or we run from a cache and do not know where we came from.
    """
    env = {
        name: str(Path(environ[name]).expanduser().absolute())
        for name in ("ORCHESTRA_HOME", "ORCHESTRA_CONFIG")
        if environ.get(name)
    }
    if source is None:
        command = _own_command()
        if command is not None:
            return Launch(str(command), (), env)
        source = _origin()
    if not source.startswith(("git+", "/", "./", "file:")):
        raise SettingsError(f"--from {source!r} names no repository; give its address, such as {REPOSITORY}.")
    return Launch("uvx", ("--from", source, "orchestra-mcp"), env)


def _own_command() -> Path | None:
    """The `orchestra-mcp` beside the running program; None when that lies in a cache."""
    name = "orchestra-mcp.exe" if os.name == "nt" else "orchestra-mcp"
    places = (Path(sys.argv[0]).absolute().parent, Path(sysconfig.get_path("scripts")), Path(sys.executable).parent)
    found = next((place / name for place in places if (place / name).is_file()), None)
    return None if found and set(EPHEMERAL) & set(found.resolve().parts) else found


def _origin() -> str:
    """The repository that this package was installed from (PEP 610)."""
    try:
        record = metadata.distribution("orchestra-council").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        record = None
    about = json.loads(record) if record else {}
    if "vcs_info" in about:
        return f"{about['vcs_info']['vcs']}+{about['url']}"
    raise SettingsError(
        "This orchestra runs from a temporary environment, so its path is no good for a client. "
        f"Name the repository: orchestra setup --client … --from {REPOSITORY}"
    )


def entry_for(client: Client, launch: Launch, keys: Iterable[str], scope: str) -> dict[str, Any]:
    """The client's entry for our server; `keys` are names of variables, whose values never get into it."""
    env = dict(launch.env)
    if scope == "project":
        env |= client.project_env
    if client.passes == "named":
        env |= {name: f"${{{name}}}" for name in keys}
    entry: dict[str, Any] = {"command": launch.command, "args": list(launch.args)}
    if env:
        entry["env"] = env
    if client.passes == "listed" and (names := list(keys)):
        entry["env_vars"] = names
    return {**({"type": "stdio"} if "type" in client.extra else {}), **entry, **client.extra}


def add_command(launch: Launch) -> list[str]:
    """The command line by which Claude Code writes its own file."""
    env = [part for name, value in launch.env.items() for part in ("--env", f"{name}={value}")]
    return ["claude", "mcp", "add", "--scope", "user", NAME, *env, "--", launch.command, *launch.args]
