"""`orchestra setup`: show what was found, connect an MCP client, keep a key for clients that pass no environment.

Keys are shown by name and never written into a client's file; a client's file is merged, backed up and replaced in one
step, and nothing is written when it says the right thing already.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from orchestra_mcp.app.keys.keyfile import write_key
from orchestra_mcp.cli import clients, merging
from orchestra_mcp.cli.files import back_up, read_text, replace
from orchestra_mcp.cli.found import key_names, show_found
from orchestra_mcp.cli.running import FAILED, Usage
from orchestra_mcp.cli.terminal import Desk
from orchestra_mcp.errors import SettingsError
from orchestra_mcp.settings import Keys, home_dir

ADD_S = 60
"""Longest wait for a client's own command, in seconds."""


def setup(args: argparse.Namespace, desk: Desk) -> int:
    """Run `orchestra setup`."""
    if args.save_key:
        return save_key(args.save_key, desk)
    environ = os.environ
    places = clients.Places(Path.home(), environ)
    if args.client is None:
        if args.dry_run or args.source or args.scope == "project":
            raise Usage("--dry-run, --from and --scope need --client; without it nothing is written")
        show_found(desk, places, Keys(environ, home_dir(environ) / "keys.env"))
        return 0
    launch = clients.launch_for(args.source, environ)
    if args.client == "print":
        return _print(desk, launch)
    return _connect(args, desk, places, launch, key_names(Keys(environ)))


# ---------------------------------------------------------------------------------------------------- a client's file


def _print(desk: Desk, launch: clients.Launch) -> int:
    entry = clients.entry_for(clients.Client("any"), launch, (), "user")
    desk.document({"mcpServers": {clients.NAME: entry}})
    return 0


def _connect(
    args: argparse.Namespace, desk: Desk, places: clients.Places, launch: clients.Launch, keys: list[str]
) -> int:
    client = clients.KNOWN[args.client]
    if args.scope == "user" and client.user is None:
        return _add_by_command(args, desk, client, launch)
    file = _file(args, client, places)
    entry = clients.entry_for(client, launch, keys, args.scope)
    before = read_text(file) if file.is_file() else ""
    merge = merging.merge_json if client.format == "json" else merging.merge_toml
    try:
        after = merge(before, client.section, clients.NAME, entry)
    except merging.CannotMerge as error:
        block = _block(client, entry)
        raise SettingsError(f"{file} was left alone: {error}. Add this to it by hand:\n{block}") from None
    diff = "".join(
        difflib.unified_diff(
            before.splitlines(True), after.splitlines(True), f"{file.name} (now)", f"{file.name} (then)"
        )
    )
    changed, backup = before != after, None
    if changed and not args.dry_run:
        backup = back_up(file)
        replace(file, after)
    if desk.as_json:
        # The diff is left out: a file's other entries may hold secrets, and logs keep what scripts print.
        report = {"client": args.client, "file": str(file), "changed": changed, "written": changed and not args.dry_run}
        desk.document({**report, "backup": str(backup) if backup else None, "entry": entry})
        return 0
    if not changed:
        desk.text(f"{client.title} is connected already: {file}")
    elif args.dry_run:
        desk.text(f"{file} would change:\n{mask(diff)}")
    else:
        kept = f" The old file is kept as {backup.name}." if backup else ""
        desk.text(f"{client.title} is connected: {file}.{kept}\n{client.after}")
        _advise(desk, client, keys)
    return 0


def _file(args: argparse.Namespace, client: clients.Client, places: clients.Places) -> Path:
    if args.scope == "user":
        assert client.user is not None  # _connect has seen to it
        return client.user(places)
    if not client.project:
        raise Usage(f"{client.title} has no configuration per project; leave --scope out")
    root = Path(args.project or ".").resolve()
    if not root.is_dir():
        raise Usage(f"--project {args.project!r} is no directory")
    return root / client.project


def _block(client: clients.Client, entry: dict[str, Any]) -> str:
    if client.format == "toml":
        return merging.toml_block(client.section, clients.NAME, entry)
    return json.dumps({client.section: {clients.NAME: entry}}, indent=2)


def _advise(desk: Desk, client: clients.Client, keys: list[str]) -> None:
    """Say which variables will not reach the server."""
    if client.passes == "none":
        keep = "".join(f"\n  orchestra setup --save-key {name}" for name in keys)
        desk.text(f"{client.title} passes no variables of your shell; keep the keys in keys.env:{keep}" if keep else "")
    elif client.passes in ("listed", "named") and keys:
        desk.text(f"Passed on by name: {', '.join(keys)}. After adding another key, run this again.")


MASKED = re.compile(
    r'((?:KEY|TOKEN|SECRET|PASSWORD|AUTHORIZATION|BEARER)[^"=:]*"?\s*[:=]\s*")([^"$]{4,})(")', re.IGNORECASE
)


def mask(diff: str) -> str:
    """A diff without its neighbours' secrets, which it may show as context."""
    from orchestra_mcp.context.secrecy.redaction import redact

    return redact(MASKED.sub(r"\1…\3", diff))[0]


def _add_by_command(args: argparse.Namespace, desk: Desk, client: clients.Client, launch: clients.Launch) -> int:
    """Let the client's own command write its file, which is also its state and must not be edited under it."""
    command = clients.add_command(launch)
    line = shlex.join(command)
    program = shutil.which(client.adds_by)
    report: dict[str, Any] = {"client": args.client, "command": command, "written": False}
    if args.dry_run:
        desk.document(report) if desk.as_json else desk.text(f"Would run: {line}")
        return 0
    if program is None:
        raise SettingsError(
            f"there is no `{client.adds_by}` on PATH. Where it is, run\n  {line}\n"
            f"or write the project's own file: orchestra setup --client {args.client} --scope project"
        )
    try:
        done = subprocess.run(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ADD_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SettingsError(
            f"`{client.adds_by} mcp add` did not work ({type(error).__name__}); run it yourself:\n  {line}"
        ) from None
    said = (done.stdout + done.stderr).strip()
    there = "already exists" in said
    if done.returncode and not there:
        raise SettingsError(
            f"`{client.adds_by} mcp add` failed: {said[:400] or done.returncode}. The line was:\n  {line}"
        )
    if desk.as_json:
        desk.document({**report, "written": not there})
    elif there:
        desk.text(
            f"{client.title} knows a server called {clients.NAME} already. To replace it: "
            f"{client.adds_by} mcp remove --scope user {clients.NAME}, then this again."
        )
    else:
        desk.text(f"{client.title} is connected: {line}\n{client.after}")
    return 0


# --------------------------------------------------------------------------------------------------------- keys.env


def save_key(name: str, desk: Desk) -> int:
    """Keep one key in `keys.env` of the data directory, mode 0600; its value comes from the environment or is asked for."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise Usage("--save-key takes the name of a variable, such as OPENROUTER_API_KEY, never the key itself")
    value = os.environ.get(name, "").strip() or _ask_for(name)
    if not value or not value.isascii() or not value.isprintable() or len(value.split()) != 1:
        desk.fail("usage", f"no usable value for {name}; set it in the environment, or pipe it in")
        return FAILED
    file = home_dir(os.environ) / "keys.env"
    write_key(file, name, value)
    if desk.as_json:
        desk.document({"saved": name, "file": str(file)})
    else:
        desk.text(f"{name} is kept in {file} (readable by you only).")
    return 0


def _ask_for(name: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    from getpass import getpass

    return getpass(f"{name} (not shown): ").strip()
