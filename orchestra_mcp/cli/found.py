"""What `orchestra setup` finds: keys by name, local servers, coding CLIs, and which clients are connected."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Literal, TypedDict

from orchestra_mcp.cli import clients, merging
from orchestra_mcp.cli.files import read_text
from orchestra_mcp.cli.terminal import Desk
from orchestra_mcp.errors import SettingsError
from orchestra_mcp.settings import Keys, config_file, home_dir, load

if TYPE_CHECKING:
    from orchestra_mcp.gateway.vendors.discovery import Found


def key_names(keys: Keys) -> list[str]:
    """Names of the variables that hold a vendor's key."""
    from orchestra_mcp.gateway.vendors.catalog import providers

    # Only of vendors that are seated by their key alone: a GITHUB_TOKEN says nothing of models.
    rows = [row for row in providers() if row.seats]
    routes = [row.optional_headers[name].removeprefix("$") for row in rows for name in row.needs_header]
    wanted = dict.fromkeys([*(name for row in rows for name in row.key_env), *routes])
    return [name for name in wanted if keys.get(name)]


class ClientState(TypedDict):
    """What is known of one client on this machine."""

    client: str
    title: str
    state: Literal["connected", "other command", "unreadable", "not connected", "not found", "ask it"]
    file: str


def show_found(desk: Desk, places: clients.Places, keys: Keys) -> None:
    """Print what was found on this machine, which clients are connected, and what comes next."""
    import anyio

    found = anyio.run(_discover, keys)
    local = sorted({f"{spec.model} at {spec.base_url}" for spec in found.models.values() if spec.local})
    agents = sorted(spec.model for spec in found.models.values() if spec.wire == "agent")
    names = key_names(keys)
    user = load(places.environ)
    seats = [seat.name for seat in user.seats] or list(user.models) or [seat.name for seat in found.seats]
    try:
        launch: clients.Launch | None = clients.launch_for(None, places.environ)
    except SettingsError:
        launch = None
    states = [_state(name, client, places, launch) for name, client in clients.KNOWN.items()]
    config, home = config_file(places.environ), home_dir(places.environ)
    if desk.as_json:
        document = {
            "keys": names,
            "local_models": local,
            "coding_clis": agents,
            "seats": seats,
            "missing": list(found.missing),
            "clients": states,
            "server": {"command": launch.command, "args": list(launch.args)} if launch else None,
            "config": str(config),
            "home": str(home),
        }
        desk.document(document)
        return
    named = ", ".join(seats) or "none; the resident analysts answer alone"
    parts = [
        "**What was found on this machine** (keys by name only)",
        f"- Keys: {', '.join(names) or 'none'}",
        f"- Local models: {', '.join(local) or 'none'}",
        f"- Coding CLIs, logged in: {', '.join(agents) or 'none'}",
        "- Resident analysts: always there, no key needed",
        f"- Configuration: {config}{'' if config.is_file() else ' (none; seats come from what was found)'}",
        f"- Data: {home}\n",
        f"Model experts that would sit: {named}.\n",
        "| client | state | file |",
        "|---|---|---|",
        *(f"| {s['client']} | {s['state']} | {s['file']} |" for s in states),
        "\nConnect one with `orchestra setup --client NAME` (see first: `--dry-run`).",
    ]
    if not names and not local and not agents:
        parts.append("\nTo add experts, one of:\n" + "\n".join(f"- {line}" for line in found.missing))
    desk.markdown("\n".join(parts))


async def _discover(keys: Keys) -> Found:
    from orchestra_mcp.gateway import open_http
    from orchestra_mcp.gateway.vendors.discovery import discover

    async with open_http() as http:
        return await discover(keys, http)


def _state(name: str, client: clients.Client, places: clients.Places, launch: clients.Launch | None) -> ClientState:
    file = client.user(places) if client.user else None
    row: ClientState = {"client": name, "title": client.title, "state": "not connected", "file": str(file or "")}
    if file is None:
        there = shutil.which(client.adds_by) is not None
        return {**row, "state": "ask it" if there else "not found", "file": f"{client.adds_by} mcp list"}
    if not file.is_file():
        return row if file.parent.is_dir() else {**row, "state": "not found"}
    try:
        text = read_text(file)
        table = merging.read_json(text) if client.format == "json" else merging.read_toml(text)
        entry = table.get(client.section, {}).get(clients.NAME)
    except (merging.CannotMerge, SettingsError, AttributeError):
        return {**row, "state": "unreadable"}
    if not isinstance(entry, dict):
        return row
    ours = launch is not None and (entry.get("command"), entry.get("args", [])) == (launch.command, list(launch.args))
    return {**row, "state": "connected" if ours else "other command"}
