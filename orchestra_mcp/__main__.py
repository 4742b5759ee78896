"""`python -m orchestra_mcp` is the `orchestra` command."""

from orchestra_mcp.cli import main

if __name__ == "__main__":
    main()
