"""`orchestra serve`: models, council and MCP over HTTP, behind one guard."""

from __future__ import annotations

import argparse
import os

from orchestra_mcp.cli.terminal import Desk
from orchestra_mcp.settings import home_dir
from orchestra_mcp.store.secretfile import secret_file


def serve(args: argparse.Namespace, desk: Desk) -> int:
    """Serve until a signal comes, or only show the owner's token."""
    if args.show_token:
        token = secret_file(home_dir(os.environ) / "token")
        if desk.as_json:
            desk.document({"token": token})
        else:
            desk.text(token)
        return 0
    from orchestra_mcp.web.serving import serve_door

    return serve_door(os.environ, args.host, args.port, sse=args.sse, admin=args.admin)
