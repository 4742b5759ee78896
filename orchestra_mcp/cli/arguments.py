"""The table of commands and their options; nothing heavy is imported before a command is chosen.

Add a command here: a row of `COMMANDS`, and a function `(args, desk) -> exit code` in the module that it names.
`docs/cli.md` is made from this table (`python -m orchestra_mcp.cli.reference > docs/cli.md`) and checked by a test.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

# Copies of the literals in `types`, whose import would cost `--help` its speed; a test compares them.
MODES = (
    "auto", "debug", "architecture", "performance", "quality", "security",
    "integration", "testing", "learning", "refactoring", "communication",
)  # fmt: skip
EFFORTS = ("quick", "standard", "deep", "auto")
DETAILS = ("brief", "standard", "full")
OUTCOMES = ("worked", "partly", "wrong")
ROLES = ("admin", "member", "viewer")
CLIENTS = ("claude-code", "claude-desktop", "cursor", "vscode", "codex", "gemini", "print")

USAGE_ERROR = 2


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors come as JSON when `--json` was given, and suggest what was probably meant."""

    def error(self, message: str) -> NoReturn:
        """Report a usage error and leave with exit code 2."""
        if wrong := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
            known = [word.strip("'\" ") for word in wrong[2].split(",")]
            if close := difflib.get_close_matches(wrong[1], known, 1):
                message += f"; did you mean {close[0]!r}?"
        if "unrecognized arguments" in message:
            message += "; put a question of several words in quotes, and see --help for the options"
        if "--json" in sys.argv:
            import json

            sys.stdout.write(json.dumps({"error": {"kind": "usage", "message": message}}) + "\n")
        else:
            self.print_usage(sys.stderr)
            sys.stderr.write(f"{self.prog}: {message}\n")
        raise SystemExit(USAGE_ERROR)


@dataclass(frozen=True)
class Command:
    """One sub-command: what it is for, where its function lives, and which arguments it takes."""

    summary: str
    target: str
    """`module:function`, imported when the command runs."""
    arguments: tuple[Callable[[Parser], None], ...]
    about: str = ""


def positive(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def money(text: str) -> str:
    """An amount in US dollars, 0 or more, kept as text because it becomes a Decimal."""
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount in US dollars such as 0.50")
    return text


def count(text: str) -> int:
    """A whole number from 1 to 1000."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 1000")
    return int(text)


def positive_count(text: str) -> int:
    """A whole number from 1 to a thousand million."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:10]) <= 1_000_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def rounds(text: str) -> int:
    """How many rounds a debate may take, 1 to 6 (what the MCP tool accepts)."""
    if text not in {"1", "2", "3", "4", "5", "6"}:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rounds from 1 to 6")
    return int(text)


def share(text: str) -> float:
    """A share from 0 to 0.9."""
    if not re.fullmatch(r"0|0?\.\d{1,4}", text) or float(text) > 0.9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 0.9, such as 0.1")
    return float(text)


def port(text: str) -> int:
    """A TCP port; 0 lets the system choose."""
    if not text.isascii() or not text.isdigit() or int(text[:9]) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def common(parser: Parser) -> None:
    """Options of every command."""
    parser.add_argument("--json", action="store_true", help="print exactly one JSON document on standard output")
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress on standard error")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an unexpected error")


def project(parser: Parser) -> None:
    """Which project is meant."""
    parser.add_argument("--project", metavar="DIR", help="the project's directory (default: the one you are in)")


def question(parser: Parser) -> None:
    """The question itself."""
    parser.add_argument(
        "question", metavar="QUESTION", help="what you want to know, or - to read it from standard input"
    )


def proposition(parser: Parser) -> None:
    """What is debated."""
    parser.add_argument(
        "question", metavar="PROPOSITION", help="what is to be debated, or - to read it from standard input"
    )
    parser.add_argument(
        "--position", dest="positions", action="append", default=[], metavar="TEXT",
        help="a position to choose between, repeatable (default: for and against)",
    )  # fmt: skip
    parser.add_argument(
        "--rounds", type=rounds, default=3, metavar="N", help="at most so many rounds, 1 to 6 (default: 3)"
    )


def material(parser: Parser) -> None:
    """What is attached to a question, and who is asked."""
    parser.add_argument("--mode", choices=MODES, default="auto", help="the kind of being stuck (default: auto)")
    parser.add_argument(
        "--file", "-f", dest="files", action="append", default=[], metavar="PATH",
        help="a file or glob that must be read, repeatable",
    )  # fmt: skip
    parser.add_argument("--error", default="", metavar="TEXT|@FILE|-", help="stack trace, test output or log")
    parser.add_argument(
        "--diff", default="", metavar="TEXT|@FILE|-|RANGE", help="unified diff, or a git range such as main...HEAD"
    )
    parser.add_argument(
        "--expert", dest="experts", action="append", default=[], metavar="SEAT",
        help="ask this seat, repeatable (default: the council chooses)",
    )  # fmt: skip
    parser.add_argument("--local", action="store_true", help="only experts on this machine, so that nothing leaves it")


def limits(parser: Parser) -> None:
    """Effort, money, time, and how the answer is shown."""
    parser.add_argument("--effort", choices=EFFORTS, default="auto", help="how hard to try (default: auto)")
    parser.add_argument("--max-cost", type=money, metavar="USD", help="spend at most so many US dollars")
    parser.add_argument("--deadline", type=positive, metavar="SECONDS", help="then answer with what there is")
    parser.add_argument(
        "--detail", choices=DETAILS, default="standard", help="length of the report (default: standard)"
    )
    parser.add_argument(
        "--continue", dest="continues", metavar="ID", help="continue this consultation (latest: the newest)"
    )
    parser.add_argument(
        "--allow", action="append", default=[], metavar="PROVIDER",
        help="let this provider see the project's code, now and later, repeatable",
    )  # fmt: skip
    parser.add_argument("--yes", "-y", action="store_true", help="allow every provider that would be asked about")


def history_options(parser: Parser) -> None:
    """Which consultations are listed."""
    parser.add_argument(
        "--search", default="", metavar="WORDS",
        help='those that fit best: words, "words in quotes" for a phrase, beginnings with * at the end',
    )  # fmt: skip
    parser.add_argument("--limit", type=count, default=20, metavar="N", help="at most so many (default: 20)")
    parser.add_argument("--all", action="store_true", help="of all projects, not only this one")


def export_options(parser: Parser) -> None:
    """Which consultations are exported, in which form, and where to."""
    parser.add_argument(
        "--format", choices=("jsonl", "markdown"), default="jsonl",
        help="jsonl: a whole consultation in each line; markdown: transcripts (default: jsonl)",
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help="of all projects, not only this one")
    parser.add_argument(
        "--since", default="", metavar="WHEN", help="begun then or later: 12h, 7d, 4w, or 2026-11-01 (UTC)"
    )
    parser.add_argument("--before", default="", metavar="WHEN", help="begun before that, in the same form")
    parser.add_argument("--output", "-o", metavar="FILE", help="write to this file, which only you can read")


def forget_options(parser: Parser) -> None:
    """Which consultations are forgotten."""
    parser.add_argument("ids", metavar="ID", nargs="*", help="their ids, or beginnings of them")
    parser.add_argument(
        "--project", nargs="?", const=".", metavar="DIR",
        help="all of a project (default: the one you are in), with what was learnt of its code and cached answers",
    )  # fmt: skip
    parser.add_argument("--before", default="", metavar="WHEN", help="begun before that: 90d, 52w, or 2026-11-01 (UTC)")
    parser.add_argument("--all", action="store_true", help="everything; cached answers of the time always go too")
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")


def show_options(parser: Parser) -> None:
    """Which consultation is shown, and how much of it."""
    parser.add_argument(
        "id", metavar="ID", nargs="?", default="latest", help="its id, the beginning of one, or latest (the default)"
    )
    parser.add_argument("--detail", choices=DETAILS, default="standard", help="full: everything that was said and sent")


def trace_options(parser: Parser) -> None:
    """Whose trace is shown."""
    parser.add_argument(
        "id", metavar="ID", nargs="?", default="latest", help="its id, the beginning of one, or latest (the default)"
    )


def outcome_options(parser: Parser) -> None:
    """Which solution is meant, and what became of it."""
    parser.add_argument(
        "id", metavar="ID", nargs="?", default="latest", help="its id, the beginning of one, or latest (the default)"
    )
    parser.add_argument("outcome", metavar="OUTCOME", choices=OUTCOMES, help="worked, partly or wrong")
    parser.add_argument(
        "--solution", type=count, default=1, metavar="N", help="the solution's rank in the report (default: 1)"
    )


def experts_options(parser: Parser) -> None:
    """Of which kind of question the records are."""
    parser.add_argument("--mode", choices=MODES, help="only the record in this kind of question")


def setup_options(parser: Parser) -> None:
    """Which client is set up, and how."""
    parser.add_argument("--client", choices=CLIENTS, help="write this client's MCP configuration; print: only show it")
    parser.add_argument(
        "--scope", choices=("user", "project"), default="user",
        help="for all your projects, or for this one only (default: user)",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="show what would change, change nothing")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="GIT_URL",
        help="let uvx install the server from this repository (git+https://…)",
    )
    parser.add_argument(
        "--save-key", metavar="VARIABLE", help="keep this key in keys.env for clients that pass no environment"
    )


def doctor_options(parser: Parser) -> None:
    """How deep the check goes."""
    parser.add_argument("--call", action="store_true", help="ask every model for one word; this may cost a little")


def serve_options(parser: Parser) -> None:
    """Where the HTTP server listens."""
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--port", type=port, default=8321, metavar="N", help="TCP port, 0 for any free one (default: 8321)"
    )
    parser.add_argument("--sse", action="store_true", help="the older SSE transport, for MCP clients that need it")
    parser.add_argument("--admin", action="store_true", help="with the admin API for keys and workspaces (/admin)")
    parser.add_argument("--show-token", action="store_true", help="print the owner's token and leave")


def ui_options(parser: Parser) -> None:
    """Where the dashboard is served, and whether a browser is opened."""
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default: 127.0.0.1)"
    )
    parser.add_argument("--port", type=port, default=0, metavar="N", help="TCP port (default: 0, any free one)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address, which lets you in once")


def budget_options(parser: Parser) -> None:
    """What may be spent."""
    for window in ("hour", "day", "month"):
        parser.add_argument(
            f"--usd-per-{window}", type=money, metavar="USD", help=f"US dollars that may be spent per {window}"
        )


def key_options(parser: Parser) -> None:
    """Virtual keys: what is done, to which, on what terms."""
    parser.add_argument("action", choices=("create", "list", "revoke"), help="create prints the key, this once")
    parser.add_argument("key", metavar="KEY", nargs="?", help="revoke: its id or name")
    parser.add_argument("--name", metavar="NAME", help="create: its name, unique in the workspace")
    parser.add_argument(
        "--workspace", metavar="ID", help="whose it is (default for create: default; it is made if need be)"
    )
    parser.add_argument("--role", choices=ROLES, default="member", help="what it may do (default: member)")
    parser.add_argument("--member", metavar="NAME", help="the member whose key it is")
    parser.add_argument(
        "--models",
        metavar="NAMES",
        help="models, routes and aliases it may use, with commas; * stands for anything (default: all)",
    )
    parser.add_argument("--tier", metavar="NAME", help="for the rules of routes")
    parser.add_argument(
        "--priority", type=int, default=0, metavar="N", help="higher goes first where calls have to wait (default: 0)"
    )
    parser.add_argument("--rpm", type=positive_count, metavar="N", help="requests per minute")
    parser.add_argument("--tpm", type=positive_count, metavar="N", help="tokens per minute")
    parser.add_argument("--concurrent", type=positive_count, metavar="N", help="calls at the same time")
    parser.add_argument("--expires", metavar="WHEN", help="30d, 12h, 2w, or a date such as 2027-01-31 (default: never)")
    parser.add_argument("--all", action="store_true", help="list: revoked ones too")


def workspace_options(parser: Parser) -> None:
    """Workspaces: what is done, to which."""
    parser.add_argument(
        "action",
        choices=("create", "list", "change", "delete", "add-member", "remove-member"),
        help="what is to be done",
    )
    parser.add_argument("workspace", metavar="WORKSPACE", nargs="?", help="its id: small letters, digits, dots, dashes")
    parser.add_argument("--name", metavar="TEXT", help="its name for people")
    parser.add_argument(
        "--root", dest="roots", action="append", default=[], metavar="DIR",
        help="a directory whose projects its keys may ask about, repeatable (default: none)",
    )  # fmt: skip
    parser.add_argument("--member", metavar="NAME", help="add-member, remove-member: who")
    parser.add_argument(
        "--role", choices=ROLES, default="member", help="add-member: what they may do (default: member)"
    )


# Copies of `store.costs.Dimension`, for the same reason as those above; a test compares.
DIMENSIONS = (
    "provider", "model", "model_id", "key", "workspace", "tier", "route", "use_case", "purpose", "project",
    "hour", "day", "month", "error", "cache",
)  # fmt: skip


def call_options(parser: Parser) -> None:
    """Which calls are looked at, and what they are told apart by."""
    parser.add_argument(
        "--by", choices=DIMENSIONS, default="model", metavar="WHAT", help=f"{', '.join(DIMENSIONS)} (default: model)"
    )
    parser.add_argument(
        "--since", default="7d", metavar="WHEN", help="12h, 7d, 4w, or a date such as 2026-11-01 (UTC; default: 7d)"
    )
    parser.add_argument("--until", default="", metavar="WHEN", help="in the same form; default: now")


def cost_options(parser: Parser) -> None:
    """Which calls are summed up, and how."""
    call_options(parser)
    parser.add_argument("--csv", action="store_true", help="print comma-separated lines for a spreadsheet")


OMI_ACTIONS = (
    "scan", "choose", "doctor", "calibrate", "mute", "unmute", "not-me", "webhook", "simulate", "forget",
)  # fmt: skip


def listen_options(parser: Parser) -> None:
    """Where questions are heard."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--mic", action="store_true", help="this computer's microphone in place of an Omi")
    where.add_argument("--file", metavar="WAV", help="a recording, once, from its beginning to its end")
    where.add_argument(
        "--simulated", metavar="ADDRESS", help="the device that `orchestra omi simulate` shows the address of"
    )
    parser.add_argument(
        "--device", metavar="ADDRESS", help="the Omi that is listened to (default: the one chosen last)"
    )
    parser.add_argument(
        "--no-dashboard", action="store_true", help="do not serve the dashboard, to which answers link, beside it"
    )


def spoken_project(parser: Parser) -> None:
    """Which project questions are about."""
    parser.add_argument(
        "--project", metavar="DIR",
        help="the project that questions are about when none is named in them (default: the one last asked about, else the one you are in)",
    )  # fmt: skip


def omi_options(parser: Parser) -> None:
    """What is done with the device, or for the voice."""
    parser.add_argument(
        "action", metavar="ACTION", choices=OMI_ACTIONS,
        help="scan: which Omis are near · choose: listen to this one from now on · doctor: what is missing on this computer · "
        "calibrate: to your own voice · mute, unmute: also while `orchestra listen` runs · not-me: a phrase that woke it by "
        "mistake · webhook: the address for the Omi app · simulate: a device without a device · forget: device and calibration",
    )  # fmt: skip
    parser.add_argument("what", metavar="WHAT", nargs="?", help="choose: the address; not-me: the phrase")
    parser.add_argument("--mic", action="store_true", help="calibrate: by this computer's microphone")
    parser.add_argument(
        "--file", dest="files", action="append", default=[], metavar="WAV",
        help="calibrate: a recording of the phrase, repeatable; simulate: what is said",
    )  # fmt: skip
    parser.add_argument("--say", metavar="TEXT", help="simulate: what is said, with a voice of espeak-ng or flite")
    parser.add_argument(
        "--kind", choices=("consumer", "dev-kit"), default="consumer", help="simulate: which device (default: consumer)"
    )
    parser.add_argument("--loss", type=share, default=0.0, metavar="SHARE", help="simulate: lost packets, 0 to 0.9")
    parser.add_argument(
        "--port", type=port, default=0, metavar="PORT", help="simulate: of the virtual radio (default: any free one)"
    )


CLI = "orchestra_mcp.cli"
COMMANDS: dict[str, Command] = {
    "ask": Command(
        "ask the council and print its verdict",
        f"{CLI}.asking:ask",
        (question, material, limits, project, common),
        "Gathers the evidence, asks the experts, checks their claims against the code and prints the verdict.",
    ),
    "debate": Command(
        "let the experts argue over a proposition",
        f"{CLI}.asking:debate",
        (proposition, material, limits, project, common),
        "Each expert sees the others' latest arguments unsigned; it ends with a ruling and what would change it.",
    ),
    "context": Command(
        "show what would be sent, to whom, at what cost",
        f"{CLI}.asking:context",
        (question, material, project, common),
        "Asks nobody and sends nothing. With --json: the ranked files and line ranges.",
    ),
    "status": Command(
        "who is seated and why, what is missing, what was spent", f"{CLI}.records:status", (project, common)
    ),
    "history": Command(
        "past consultations, newest first, or those that fit a search",
        f"{CLI}.records:history",
        (history_options, project, common),
    ),
    "show": Command("one consultation", f"{CLI}.records:show", (show_options, common)),
    "trace": Command(
        "what was done when in a consultation, and what it cost",
        f"{CLI}.trace:trace",
        (trace_options, common),
        "The tree of its spans: context steps, experts, each attempt at a model. Traces can also be sent to a receiver of "
        "OpenTelemetry: docs/observability.md.",
    ),
    "outcome": Command(
        "say what became of a solution, so that the council learns",
        f"{CLI}.records:outcome",
        (outcome_options, common),
        "The last word on each solution counts. Experts that were right weigh more in later questions of that kind.",
    ),
    "export": Command(
        "past consultations as JSON lines or Markdown",
        f"{CLI}.memory:export",
        (export_options, project, common),
        "Of this project, or of all outside of one; oldest first. Each line of JSON is a whole consultation.",
    ),
    "forget": Command(
        "remove past consultations for good",
        f"{CLI}.memory:forget",
        (forget_options, common),
        "Removes those that fit all that is given, with everything that was said, sent and learnt in them. Their costs "
        "stay, without a reason; what still runs is left alone. It asks before it does so; --yes where nobody can answer.",
    ),
    "experts": Command(
        "how often each expert was right, by mode, and on how many cases that rests",
        f"{CLI}.experts:experts",
        (experts_options, project, common),
        "With 95 % intervals, priors, and the calls, costs and times of the last 90 days. With --json: all modes of each expert.",
    ),
    "cost": Command(
        "what calls cost, by any dimension, and where less would do",
        f"{CLI}.costs:cost",
        (cost_options, common),
        "Counts every call through this installation. Cheaper targets are named with the measured difference in outcome.",
    ),
    "latency": Command(
        "how long calls took: p50, p95, p99 by any dimension",
        f"{CLI}.latency:latency",
        (call_options, common),
        "Exact, from the records of all calls that were answered by a model.",
    ),
    "grafana": Command(
        "print a dashboard for Grafana that rests on /metrics", f"{CLI}.latency:grafana", (common,)
    ),
    "setup": Command(
        "show what was found, connect an MCP client",
        f"{CLI}.setup:setup",
        (setup_options, project, common),
        "Without --client it changes nothing. Keys are shown by name and never written into a client's file.",
    ),
    "doctor": Command("check every part and say how to mend it", f"{CLI}.doctor:doctor", (doctor_options, common)),
    "serve": Command(
        "models, council and MCP over HTTP on this machine",
        f"{CLI}.serving:serve",
        (serve_options, common),
        "Binds to loopback and needs a key: the owner's token, which is made on first use, or one of `orchestra keys`. "
        "MCP clients usually start orchestra-mcp instead.",
    ),
    "ui": Command(
        "the dashboard, in your browser",
        f"{CLI}.ui:ui",
        (ui_options, common),
        "Serves what `orchestra serve` serves, on a free port, and opens a browser that need not show a key. "
        "It ends with Ctrl+C.",
    ),
    "listen": Command(
        "ask the council aloud: through an Omi, a microphone or a recording",
        f"{CLI}.listening:listen",
        (listen_options, spoken_project, common),
        "Say the wake phrase and your question, or hold the button; the answer is read aloud and waits in the dashboard. "
        "Needs the extra `omi`. docs/voice.md. With --json: one document for each answer.",
    ),
    "omi": Command(
        "the Omi wearable and the voice: find, choose, calibrate, mute, simulate",
        f"{CLI}.omi:omi",
        (omi_options, common),
    ),
    "keys": Command(
        "virtual keys for the HTTP server",
        f"{CLI}.keys:keys",
        (key_options, budget_options, common),
        "A key is shown once, when it is made; kept is only a keyed hash of it.",
    ),
    "workspaces": Command(
        "who shares budgets and consultations on the HTTP server",
        f"{CLI}.keys:workspaces",
        (workspace_options, budget_options, common),
    ),
}  # fmt: skip


def build_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(
        prog="orchestra",
        description="A council of language models and resident code analysts for a developer who is stuck.",
        epilog="First steps: orchestra setup, then orchestra ask 'why does this fail?' in your project.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.summary, description=command.about or None, allow_abbrev=False)
        for add in command.arguments:
            add(sub)
    return parser


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse a command line; leaves with exit code 2 on a usage error, 0 after `--help`."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.command is None and not args.version:
        parser.print_help(sys.stderr)
        raise SystemExit(USAGE_ERROR)
    return args
