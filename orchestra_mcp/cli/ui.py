"""`orchestra ui`: the same server as `orchestra serve`, with a browser opened on its dashboard."""

from __future__ import annotations

import argparse
import os
import threading
import webbrowser
from functools import partial

from orchestra_mcp.cli.terminal import Desk


def ui(args: argparse.Namespace, desk: Desk) -> int:
    """Serve until a signal comes; the address that is shown lets the owner in once, within two minutes."""
    from orchestra_mcp.web.serving import serve_door

    def show(address: str) -> None:
        if desk.as_json:
            desk.document({"address": address})
        else:
            desk.text(address)
        if not args.no_browser:
            # Some browsers of terminals do not come back before they are closed.
            threading.Thread(target=partial(_open, address), name="browser", daemon=True).start()

    return serve_door(os.environ, args.host, args.port, show=show)


def _open(address: str) -> None:
    """Open a browser; where there is none, the printed address is what there is."""
    try:
        webbrowser.open(address)
    except (webbrowser.Error, OSError):
        return
