"""The command line: `orchestra` for people and scripts, `orchestra-mcp` for the MCP clients that start it.

`arguments` is the table of commands; each command is a function in a module that is imported when the command is run:
`asking` (ask, debate, context), `records` (status, history, show, outcome), `setup` with `found`, `clients`,
`merging` and `files`, `doctor` with `checks` and `models`, `serving`. `terminal` decides what reaches the screen, `progress` shows a council at work, `running` opens
Orchestra and turns errors and signals into exit codes.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """The `orchestra` command; always ends with `SystemExit` (0 ok, 1 failed, 2 usage, 3 consent, 130 interrupted)."""
    from orchestra_mcp.cli.running import run_command

    raise SystemExit(run_command(argv))


def serve_main() -> None:
    """The `orchestra-mcp` command: nothing but the server's own command line, so that a client waits as little as possible."""
    import sys

    from orchestra_mcp.tools.entry import main as serve

    raise SystemExit(serve(sys.argv[1:]))
