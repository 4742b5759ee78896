"""A process of its own that watches alerts: `python alarm_child.py HOME WHAT`.

`look`: waits for a line on standard input, looks at the rules once, and leaves. `die`: opens alerts, and ends without
having told anybody. `desktop`: shows an alert on the desktop and prints whether it could.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import anyio

from orchestra_mcp.telemetry.notifying import Desktop


async def main(home: Path, what: str) -> None:
    if what == "desktop":
        desktop = Desktop()
        for _ in range(2):
            print(await desktop.show("Orchestra: outage", "sol does not answer", "http://127.0.0.1:9/", urgent=True))
        return
    # Not above: the whole house is a second's import, and a desktop needs none of it.
    from orchestra_mcp import settings
    from orchestra_mcp.app.alerts.alarms import Alarms
    from orchestra_mcp.app.alerts.rules import rules_of
    from orchestra_mcp.gateway.posting import post
    from orchestra_mcp.store import open_store

    rules = rules_of(settings.load(os.environ))
    async with open_store(home) as store:
        if what == "look":
            print("ready", flush=True)
            sys.stdin.readline()
            await Alarms(store.alerts, rules, lambda _: "", post).look(0.001)
        else:

            async def never(*_: object, **__: object) -> None:
                os._exit(9)

            await Alarms(store.alerts, rules, lambda _: "", never).look()


logging.basicConfig(level=logging.WARNING, format="%(message)s")
anyio.run(main, Path(sys.argv[1]), sys.argv[2])
