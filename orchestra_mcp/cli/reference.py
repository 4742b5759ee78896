"""The page `docs/cli.md`, made from the table of commands: `python -m orchestra_mcp.cli.reference > docs/cli.md`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator

from orchestra_mcp.cli.arguments import COMMANDS, Parser, common

INTRODUCTION = """\
# The `orchestra` command

<!-- Made by `python -m orchestra_mcp.cli.reference > docs/cli.md`; a test compares. Edit the table of commands instead. -->

| command | what it does |
|---|---|
{overview}

Results go to standard output, progress and remarks to standard error. On a terminal a table shows what every expert is
doing, and the report is rendered; through a pipe the report is plain Markdown and progress is plain lines. `NO_COLOR` is
respected. Control and escape sequences in what experts wrote are taken out, and links are never live.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | it failed, or no expert could answer; the message says why and what to do |
| 2 | the arguments are wrong; the message names the right ones |
| 3 | project code would go to a provider that nobody has allowed yet |
| 130 | interrupted with Ctrl-C; calls in flight are aborted, what had been answered is kept (143, 129: SIGTERM, SIGHUP) |

With `--json` exactly one JSON document is printed, for errors `{{"error": {{"kind": …, "message": …}}}}`: `ask` and
`debate` print the verdict, `context` an object with `files` (best first), `spans` (`path`, `start`, `end`, `symbol`,
`source`, `tokens`, `why`), `tokens`, `budget`, `left_out`, `notes`, `redacted` and `plan`; `status` the council's
status, `history` a list, `show` the whole consultation, `setup` what was found or written, `doctor` its checks.

Options of every command:

{shared}
"""

AFTER = """
## Examples

```sh
orchestra ask "why does the cart test fail since yesterday?" --error @test.log
git diff main...HEAD | orchestra ask "what did I break?" --diff - --mode quality
orchestra ask - --json < question.txt | jq -r .answer
orchestra debate "Move the queue from Redis to PostgreSQL" --position "move now" --position "stay"
orchestra context "where are prices rounded?" --json | jq -r '.files[]'
orchestra ask "and if two workers do it at once?" --continue latest
orchestra show latest --detail full
```
"""


def reference() -> str:
    """The whole page."""
    overview = "\n".join(f"| [`{name}`](#orchestra-{name}) | {c.summary} |" for name, c in COMMANDS.items())
    page = INTRODUCTION.format(overview=overview, shared="\n".join(_rows([common])))
    for name, command in COMMANDS.items():
        parts = [part for part in command.arguments if part is not common]
        about = f"{command.about}\n\n" if command.about else ""
        page += f"\n## `orchestra {name}`\n\n{about}" + "\n".join(_rows(parts)) + "\n"
    return page + AFTER


def _rows(parts: Iterable[Callable[[Parser], None]]) -> Iterator[str]:
    parser = Parser(add_help=False)
    for part in parts:
        part(parser)
    yield "| argument | meaning |\n|---|---|"
    for action in parser._actions:
        yield f"| {_spelled(action)} | {str(action.help).replace('|', chr(92) + '|')} |"


def _spelled(action: argparse.Action) -> str:
    if action.choices:
        value = " ".join(str(choice) for choice in action.choices)
    else:
        value = str(action.metavar or "")
    names = ", ".join(f"`{name}`" for name in action.option_strings)
    shown = f"`{value}`".replace("|", "\\|") if value and action.nargs != 0 else ""
    return " ".join(part for part in (names, shown) if part)


if __name__ == "__main__":
    sys.stdout.write(reference())
