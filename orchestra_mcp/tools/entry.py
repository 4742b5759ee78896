"""The command line of `orchestra-mcp`: nothing is imported that the chosen way of serving does not need."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

USAGE = """\
usage: orchestra-mcp [--http | --sse] [--host HOST] [--port PORT]

Serve Orchestra to an MCP client: over standard input and output, or

  --http        streamable HTTP on http://HOST:PORT/mcp, with a bearer token
  --sse         the older HTTP+SSE transport on http://HOST:PORT/sse, for clients that know nothing else
  --host HOST   address to listen on (default: 127.0.0.1)
  --port PORT   port to listen on (default: 8321; 0: any free port)
  --version     print the version and exit
  --help        print this and exit

`orchestra setup` writes the configuration of your MCP client; `orchestra doctor` checks everything.
"""
DEFAULT_PORT = 8321


def main(argv: Sequence[str]) -> int:
    """Serve as the arguments (without the program's name) say; returns the exit code."""
    if not argv:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        from orchestra_mcp.tools import stdio

        return stdio.run(os.environ)
    try:
        given = _parse(argv)
    except ValueError as error:
        sys.stderr.write(f"orchestra-mcp: {error}\n{USAGE}")
        return 2
    if "--help" in given:
        sys.stdout.write(USAGE)
        return 0
    if "--version" in given:
        from orchestra_mcp import __version__

        sys.stdout.write(f"orchestra-mcp {__version__}\n")
        return 0
    from orchestra_mcp.tools import http

    port = int(given.get("--port", DEFAULT_PORT))
    return http.serve_http(os.environ, given.get("--host", "127.0.0.1"), port, sse="--sse" in given)


def _parse(argv: Sequence[str]) -> dict[str, str]:
    """Options with their values; flags have an empty one.

    Raises:
        ValueError: an unknown option, a missing value, or options that do not go together.
    """
    given: dict[str, str] = {}
    words = [part for word in argv for part in (word.split("=", 1) if word.startswith("--") else [word])]
    rest = iter(words)
    for word in rest:
        option = {"-h": "--help"}.get(word, word)
        if option in ("--http", "--sse", "--help", "--version"):
            given[option] = ""
        elif option in ("--host", "--port"):
            given[option] = next(rest, "")
            if not given[option]:
                raise ValueError(f"{option} needs a value")
        else:
            raise ValueError(f"unknown argument {word!r}")
    if not given.get("--port", "0").isdecimal() or int(given.get("--port", "0")) > 65_535:
        raise ValueError(f"--port must be a number from 0 to 65535, not {given['--port']!r}")
    if "--http" in given and "--sse" in given:
        raise ValueError("--http and --sse exclude each other")
    if not given.keys() & {"--http", "--sse", "--help", "--version"}:
        raise ValueError("--host and --port need --http or --sse")
    return given


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
