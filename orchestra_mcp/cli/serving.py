"""`orchestra serve`: the MCP server over HTTP, the same that `orchestra-mcp --http` starts."""

from __future__ import annotations

import argparse
import os

from orchestra_mcp.cli.terminal import Desk
from orchestra_mcp.settings import home_dir


def serve(args: argparse.Namespace, desk: Desk) -> int:
    """Serve until a signal comes, or only show the bearer token."""
    from orchestra_mcp.tools.http import bearer_token, serve_http

    if args.show_token:
        token = bearer_token(home_dir(os.environ))
        if desk.as_json:
            desk.document({"token": token})
        else:
            desk.text(token)
        return 0
    return serve_http(os.environ, args.host, args.port, sse=args.sse)
