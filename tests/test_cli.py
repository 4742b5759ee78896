"""The `orchestra` command as people and scripts meet it: the real console script in a child process."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from scripting import expert
from upstream import Expert, Upstream

from orchestra_mcp.cli import arguments, progress, reference
from orchestra_mcp.foreign import plain
from orchestra_mcp.types import Detail, Effort, Event, Mode

BIN = Path(sys.executable).parent
POSITION = "read_lines drops the last record when the file lacks a final newline"
CLAIM = {"claim": "the last item is cut off", "path": "src/parser.py", "line": 7, "quote": "return lines[:-1]"}
posix = pytest.mark.skipif(os.name != "posix", reason="signals and pseudo-terminals are POSIX")


class Shell:
    """Runs `orchestra` in a repository, with an environment of its own."""

    def __init__(self, repo: Path, environ: dict[str, str]) -> None:
        self.repo = repo
        self.environ = environ

    def command(self, *args: str) -> list[str]:
        return [str(BIN / "orchestra"), *args]

    def run(
        self, *args: str, stdin: str = "", cwd: Path | None = None, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*args), cwd=cwd or self.repo, env={**self.environ, **extra}, input=stdin,
            capture_output=True, text=True, encoding="utf-8", timeout=90, check=False,
        )  # fmt: skip

    def json(self, *args: str, stdin: str = "") -> Any:
        done = self.run(*args, "--json", stdin=stdin)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def configure(self, toml: str) -> None:
        file = Path(self.environ["HOME"]) / "orchestra.toml"
        file.write_text("discover = false\n" + toml)
        self.environ["ORCHESTRA_CONFIG"] = str(file)

    def start(self, *args: str, **kinds: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(*args), cwd=self.repo, env=self.environ, **kinds)


@pytest.fixture
def shell(repo: Path, environ: dict[str, str]) -> Shell:
    """Orchestra without any model."""
    shell = Shell(repo, environ)
    shell.configure("")
    return shell


@pytest.fixture
def council(shell: Shell) -> Iterator[Upstream]:
    """Two scripted experts of different families that agree."""
    with Upstream({"ada": Expert(expert(POSITION, [CLAIM])), "bob": Expert(expert(POSITION, [CLAIM]))}) as upstream:
        shell.configure(upstream.models_toml())
        yield upstream


# --------------------------------------------------------------------------------------------------------- asking


def test_ask_prints_a_markdown_report_and_progress_apart_from_it(shell: Shell, council: Upstream) -> None:
    done = shell.run("ask", "Why is the last record missing?")
    assert done.returncode == 0, done.stderr
    assert POSITION in done.stdout
    assert "## Action plan" in done.stdout
    assert "answered" in done.stderr
    assert "ada" in done.stderr
    assert "collecting the context" in done.stderr
    assert "collecting the context" not in done.stdout


def test_ask_as_json_is_the_verdict_and_nothing_else(shell: Shell, council: Upstream) -> None:
    verdict = shell.json("ask", "Why is the last record missing?", "--mode", "debug", "--max-cost", "0.25")
    assert verdict["status"] == "complete"
    assert verdict["mode"] == "debug"
    assert {"ada", "bob"} <= set(verdict["answered"])
    assert verdict["solutions"][0]["position"] == POSITION


def test_quiet_leaves_standard_error_empty(shell: Shell, council: Upstream) -> None:
    done = shell.run("ask", "Why is the last record missing?", "--quiet")
    assert done.returncode == 0
    assert done.stderr == ""


def test_the_question_and_the_diff_can_come_from_standard_input_and_a_file(shell: Shell, council: Upstream) -> None:
    log = shell.repo / "test.log"
    log.write_text("AssertionError: 41 != 42")
    shell.run("ask", "-", "--error", "@test.log", stdin="Why is the WEDNESDAY record missing?\n")
    prompts = [call.prompt for call in council.calls]
    assert any("WEDNESDAY" in prompt and "41 != 42" in prompt for prompt in prompts)


def test_named_experts_only_are_asked(shell: Shell, council: Upstream) -> None:
    shell.run("ask", "Why?? It fails.", "--expert", "ada")
    assert council.calls_to("ada")
    assert not council.calls_to("bob")


def test_a_debate_ends_with_a_ruling(shell: Shell, council: Upstream) -> None:
    done = shell.run("debate", "Use a generator here", "--rounds", "1", "--position", "yes", "--position", "no")
    assert done.returncode == 0, done.stderr
    assert "## Ruling" in done.stdout


def test_without_any_model_the_residents_answer_and_the_exit_code_is_0(shell: Shell) -> None:
    done = shell.run(
        "ask", "Why does total() fail?", "--error", "ValueError: invalid literal for int() with base 10: ''"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_continued_consultation_knows_the_earlier_one(shell: Shell, council: Upstream) -> None:
    first = shell.json("ask", "Why is the FIRSTQUESTION record missing?")
    second = shell.json("ask", "And with two workers?", "--continue", "latest")
    assert second["continues"] in (first["id"], "latest")
    assert any("FIRSTQUESTION" in call.prompt for call in council.calls if "two workers" in call.prompt)


def test_when_all_experts_fail_the_report_says_so(shell: Shell) -> None:
    with Upstream({"ada": Expert(fault="401"), "bob": Expert(fault="empty")}) as upstream:
        shell.configure(upstream.models_toml())
        done = shell.run("ask", "Why is the last record missing?")
    assert "ada" in done.stdout.splitlines()[0]
    assert "bob" in done.stdout.splitlines()[0]


# -------------------------------------------------------------------------------------------------- looking at things


def test_context_lists_ranked_files_and_spans_and_asks_nobody(shell: Shell, council: Upstream) -> None:
    plan = shell.json("context", "-", stdin="Why does read_lines in src/parser.py drop the last line?")
    assert plan["files"][0] == "src/parser.py"
    span = next(span for span in plan["spans"] if span["path"] == "src/parser.py")
    assert 1 <= span["start"] <= span["end"]
    assert span["why"]
    assert plan["tokens"] > 0
    assert {seat["name"] for seat in plan["plan"]["openers"] + plan["plan"]["reserve"]} == {"ada", "bob"}
    assert {"left_out", "notes", "redacted"} <= plan.keys()
    assert council.calls == []


def test_context_as_text_says_that_nothing_was_sent(shell: Shell, council: Upstream) -> None:
    assert "Nothing was sent" in shell.run("context", "Why does read_lines drop a line?").stdout


def test_status_names_the_seats(shell: Shell, council: Upstream) -> None:
    assert {"ada", "bob"} <= {seat["name"] for seat in shell.json("status")["seats"]}
    assert "ada" in shell.run("status").stdout


def test_history_and_show_know_what_was_asked(shell: Shell, council: Upstream) -> None:
    verdict = shell.json("ask", "Why is the last record missing?")
    listed = shell.json("history")
    assert [row["id"] for row in listed] == [verdict["id"]]
    assert verdict["id"] in shell.run("history").stdout
    assert shell.json("show", "latest")["verdict"]["id"] == verdict["id"]
    assert {o["seat"] for o in shell.json("show", verdict["id"][:6])["opinions"]} >= {"ada", "bob"}
    assert POSITION in shell.run("show").stdout
    assert "## Context that was sent" in shell.run("show", "latest", "--detail", "full").stdout


def test_history_is_that_of_the_project_unless_all_are_wanted(shell: Shell, tmp_path: Path) -> None:
    shell.run("ask", "Why is the last record missing?")
    other = tmp_path / "other"
    other.mkdir()
    (other / "pyproject.toml").write_text("")
    here = shell.run("history", "--json", cwd=other)
    assert json.loads(here.stdout) == []
    assert len(json.loads(shell.run("history", "--all", "--json", cwd=other).stdout)) == 1


@pytest.mark.parametrize("command", [["status"], ["history"], ["context", "What is this about?"]])
def test_every_command_prints_one_json_document(shell: Shell, command: list[str]) -> None:
    assert json.loads(shell.run(*command, "--json").stdout) is not None


# ------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["aks", "x"], "did you mean 'ask'"),
        (["ask", "why", "does", "it"], "in quotes"),
        (["ask", "why", "--mode", "debgu"], "did you mean 'debug'"),
        (["ask", "why", "--max-cost", "-1"], "--max-cost"),
        (["ask", "why", "--max-cost", "lots"], "US dollars"),
        (["ask", "why", "--deadline", "0"], "above 0"),
        (["ask", "   "], "empty"),
        (["ask", "-"], "empty"),
        (["ask", "-", "--error", "-"], "standard input"),
        (["ask", "why", "--error", "@nowhere.log"], "nowhere.log"),
        (["debate", "this", "--rounds", "9"], "from 1 to 6"),
        (["history", "--limit", "0"], "from 1 to 1000"),
        (["serve", "--port", "99999"], "65535"),
        (["doctor", "--cal"], "unrecognized arguments: --cal"),
        ([], "usage"),
    ],
)
def test_a_usage_error_is_2_and_names_what_to_do(shell: Shell, args: list[str], named: str) -> None:
    done = shell.run(*args)
    assert done.returncode == 2
    assert named in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("args", "code", "named"),
    [
        (["ask", "why", "--mode", "x"], 2, "choose from"),
        (["ask", " "], 2, "empty"),
        (["show", "nosuchid"], 1, "ask a question first"),
        (["ask", "why does it fail", "--project", "nowhere-at-all"], 1, "nowhere-at-all"),
        (["ask", "why does it fail", "--expert", "zoe"], 1, "zoe"),
    ],
)
def test_errors_as_json_are_one_document_with_kind_and_message(
    shell: Shell, args: list[str], code: int, named: str
) -> None:
    done = shell.run(*args, "--json")
    assert done.returncode == code
    error = json.loads(done.stdout)["error"]
    assert named in error["message"]
    assert error["kind"]
    assert "Traceback" not in done.stderr


def test_a_broken_configuration_is_named_with_its_place(shell: Shell) -> None:
    Path(shell.environ["ORCHESTRA_CONFIG"]).write_text('[models.ada]\nwire = "telegraph"\nmodel = "x"\n')
    done = shell.run("status")
    assert done.returncode == 1
    assert "models.ada: wire = 'telegraph' is not known" in done.stderr
    assert "Traceback" not in done.stderr


@posix
def test_a_reader_that_goes_away_is_no_error(shell: Shell) -> None:
    shell.run("ask", "Why is the last record missing?")
    reading, writing = os.pipe()
    os.close(reading)
    child = shell.start("show", "latest", "--detail", "full", stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    _, said = child.communicate(timeout=60)
    assert b"Traceback" not in said
    assert b"BrokenPipe" not in said


# -------------------------------------------------------------------------------------------------------- consent

REMOTE = """
[models.far]
base_url = "http://127.0.0.1.nip.invalid:9/v1"
model = "gpt-x"
provider = "acme"
[[seats]]
name = "far"
model = "far"
"""


def test_without_a_terminal_missing_consent_is_3_and_names_both_ways(shell: Shell) -> None:
    shell.configure(REMOTE)
    done = shell.run("ask", "Why is the last record missing?")
    assert done.returncode == 3
    assert "--allow acme" in done.stderr
    assert 'allow = ["acme"]' in done.stderr
    again = shell.run("ask", "Why is the last record missing?", "--json")
    assert again.returncode == 3
    assert json.loads(again.stdout)["error"]["kind"] == "ConsentNeeded"


@pytest.mark.parametrize("option", [["--allow", "acme"], ["--yes"]])
def test_consent_that_was_given_is_remembered(shell: Shell, option: list[str]) -> None:
    shell.configure(REMOTE)
    assert shell.json("context", "Why is the last record missing?")["plan"]["needs_consent"] == ["acme"]
    assert shell.run("ask", "Why is the last record missing?", *option).returncode != 3
    assert shell.json("context", "Why is the last record missing?")["plan"]["needs_consent"] == []


def test_an_expert_that_nobody_allowed_is_not_called_in_any_role(shell: Shell) -> None:
    with Upstream({"ada": Expert(expert(POSITION))}) as upstream:
        shell.configure(upstream.models_toml() + REMOTE)
        assert shell.run("ask", "Why is it missing?", "--expert", "ada").returncode == 0
    assert {call["provider"] for call in shell.json("show", "latest")["calls"]} == {"local"}


class Screen:
    """A pseudo-terminal with a child of `orchestra` behind it."""

    def __init__(self, shell: Shell, *args: str) -> None:
        import pty

        self.outer, inner = pty.openpty()
        shell.environ |= {"TERM": "xterm-256color", "COLUMNS": "150", "LINES": "50"}
        self.child = shell.start(*args, stdin=inner, stdout=inner, stderr=inner, start_new_session=True)
        os.close(inner)
        self.seen = b""

    def read_until(self, wanted: bytes | None = None) -> str:
        """Read until some text has come, or to the end."""
        while wanted is None or wanted not in self.seen:
            try:
                piece = os.read(self.outer, 65_536)
            except OSError:  # Linux says EIO when the other side is closed
                break
            if not piece:
                break
            self.seen += piece
        return self.seen.decode("utf-8", "replace")

    def type(self, text: str) -> None:
        os.write(self.outer, text.encode())

    def end(self) -> int:
        """Read to the end and return the exit code."""
        self.read_until()
        os.close(self.outer)
        return self.child.wait(timeout=30)


@posix
def test_on_a_terminal_the_user_is_asked_and_no_means_that_nothing_is_sent(shell: Shell) -> None:
    shell.configure(REMOTE)
    screen = Screen(shell, "ask", "Why is the last record missing?")
    screen.read_until(b"[y/N]")
    assert "Send code of records to acme?" in screen.seen.decode()
    screen.type("n\n")
    assert screen.end() == 3
    assert shell.json("context", "Why is it missing?")["plan"]["needs_consent"] == ["acme"]


@posix
def test_on_a_terminal_yes_goes_on_and_is_remembered(shell: Shell) -> None:
    shell.configure(REMOTE)
    screen = Screen(shell, "ask", "Why is the last record missing?")
    screen.read_until(b"[y/N]")
    screen.type("y\n")
    assert screen.end() != 3
    assert shell.json("context", "Why is it missing?")["plan"]["needs_consent"] == []


# ------------------------------------------------------------------------------------------------- the screen is safe

NASTY = (
    "\x1b]0;owned\x07\x1b[2J\x1b]8;;https://evil.example/\x1b\\click\x1b]8;;\x1b\\ \x9b31m\x08\x1bPq#\x1b\\ \u202egnorw"
)


def test_escape_sequences_of_experts_reach_neither_pipe_nor_json(shell: Shell) -> None:
    with Upstream({"ada": Expert(expert(POSITION + NASTY, chair=NASTY))}) as upstream:
        shell.configure(upstream.models_toml())
        texts = [
            shell.run("ask", "Why is it missing?"),
            shell.run("show", "--detail", "full"),
            shell.run("show", "--json"),
        ]
    for done in texts:
        assert done.returncode == 0
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", done.stdout + done.stderr)


@posix
def test_escape_sequences_of_experts_do_not_reach_a_terminal(shell: Shell) -> None:
    with Upstream({"ada": Expert(expert(POSITION + NASTY, chair="[x](file:///etc/passwd) " + NASTY))}) as upstream:
        shell.configure(upstream.models_toml())
        screen = Screen(shell, "ask", "Why is it missing?")
        code = screen.end()
    assert code == 0
    assert b"\x1b]" not in screen.seen
    assert b"\x1b[2J" not in screen.seen
    assert b"\x07" not in screen.seen
    assert b"owned" not in screen.seen


@posix
def test_a_terminal_shows_who_is_thinking_while_they_think(shell: Shell) -> None:
    import threading

    gate = threading.Event()
    with Upstream({"ada": Expert(expert(POSITION), gate=gate)}) as upstream:
        shell.configure(upstream.models_toml())
        screen = Screen(shell, "ask", "Why is it missing?")
        screen.read_until(b"thinking")
        gate.set()
        assert screen.end() == 0
    assert "ada" in screen.seen.decode()


@posix
def test_no_color_is_respected(shell: Shell) -> None:
    shell.environ["NO_COLOR"] = "1"
    screen = Screen(shell, "status")
    assert screen.end() == 0
    assert not re.search(rb"\x1b\[[0-9;]*3[0-9]m", screen.seen)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a\x1b[31mb\x1b[0m", "ab"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
        ("a\x9d0;title\x9cb", "ab"),
        ("a\x1bP1$r\x1b\\b", "ab"),
        ("a\x1b(0b", "ab"),
        ("a\x1bcb", "ab"),
        ("a\x1b", "a"),
        ("a\x1b[", "a"),
        ("tab\there\nline\r\nend\r", "tab\there\nline\nend"),
        ("\u202eabc\u2066d\u200f", "abcd"),
        ("naïve 日本語 👩‍💻 → ok", "naïve 日本語 👩‍💻 → ok"),
    ],
)
def test_only_plain_text_is_left(given: str, kept: str) -> None:
    assert plain(given) == kept


# ------------------------------------------------------------------------------------------------------ interruption


@posix
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_aborts_the_calls_records_the_end_and_sets_the_exit_code(shell: Shell, sent: int, code: int) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child inherits only what is ignored
    try:
        with Upstream({"ada": Expert(fault="hang"), "bob": Expert(fault="hang")}) as upstream:
            shell.configure(upstream.models_toml())
            child = shell.start(
                "ask", "Why is it missing?", stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
            )
            upstream.wait_for_calls_sync(2, 30)
            child.send_signal(sent)
            _, said = child.communicate(timeout=20)
            upstream.wait_until_sync(lambda: all(call.aborted for call in upstream.calls))
    finally:
        signal.signal(signal.SIGINT, before)
    assert child.returncode == code
    assert b"interrupted" in said
    assert b"Traceback" not in said
    assert shell.json("show", "latest")["status"] == "cancelled"


# ------------------------------------------------------------------------------------------------------------ doctor


def test_the_doctor_finds_everything_well_on_this_machine(shell: Shell, council: Upstream) -> None:
    report = shell.json("doctor")
    assert report["ok"]
    assert not [check for check in report["checks"] if check["state"] == "fail"]
    names = {check["name"] for check in report["checks"]}
    assert {
        "python",
        "package",
        "configuration",
        "keys",
        "store",
        "git",
        "grammars",
        "mcp server",
        "model ada",
    } <= names
    assert council.calls == []


def test_the_doctor_lets_every_model_speak_when_told_to(shell: Shell, council: Upstream) -> None:
    report = shell.json("doctor", "--call")
    assert "answers after" in next(check["detail"] for check in report["checks"] if check["name"] == "model ada")
    assert len(council.calls) == 2


def test_the_doctor_names_what_is_broken_and_the_exit_code_is_1(shell: Shell) -> None:
    shell.configure('[models.far]\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "x"\nkey_env = "FAR_KEY"\n')
    keys = Path(shell.environ["ORCHESTRA_HOME"]) / "keys.env"
    keys.parent.mkdir(parents=True, exist_ok=True)
    keys.write_text("A=b\n")
    keys.chmod(0o600)
    done = shell.run("doctor")
    assert done.returncode == 1
    assert "FAIL model far: FAR_KEY is not set" in done.stdout
    assert "→ set FAR_KEY" in done.stdout
    unreachable = shell.run("doctor", FAR_KEY="k")
    assert "does not answer" in unreachable.stdout


@posix
def test_the_doctor_sees_keys_that_others_can_read(shell: Shell) -> None:
    keys = Path(shell.environ["ORCHESTRA_HOME"]) / "keys.env"
    keys.parent.mkdir(parents=True)
    keys.write_text("A=b\n")
    keys.chmod(0o644)
    done = shell.run("doctor")
    assert done.returncode == 1
    assert "chmod 600" in done.stdout


def test_the_doctor_survives_a_broken_configuration_and_a_data_directory_that_is_a_file(shell: Shell) -> None:
    Path(shell.environ["ORCHESTRA_CONFIG"]).write_text("nonsense = [")
    Path(shell.environ["ORCHESTRA_HOME"]).write_text("")
    done = shell.run("doctor", "--json")
    assert done.returncode == 1
    states = {check["name"]: check["state"] for check in json.loads(done.stdout)["checks"]}
    assert states["configuration"] == "fail"
    assert states["store"] == "fail"
    assert states["git"] == "ok"


# ------------------------------------------------------------------------------------------------------- other parts


def test_the_server_shows_its_token_and_makes_it_only_once(shell: Shell) -> None:
    first, second = shell.run("serve", "--show-token"), shell.json("serve", "--show-token")
    assert len(first.stdout.strip()) >= 32
    assert second == {"token": first.stdout.strip()}


def test_the_version_is_printed_by_both_commands(shell: Shell) -> None:
    from orchestra_mcp import __version__

    assert shell.run("--version").stdout.strip() == f"orchestra {__version__}"
    done = subprocess.run([BIN / "orchestra-mcp", "--version"], capture_output=True, text=True, check=True, timeout=60)
    assert __version__ in done.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from orchestra_mcp.cli import main\n"
        "try: main(['ask', '--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('pydantic', 'anyio', 'mcp', 'rich', 'httpx2', 'sqlite3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_choices_of_options_are_those_of_the_nouns() -> None:
    assert get_args(Mode) == arguments.MODES
    assert set(arguments.EFFORTS) == set(get_args(Effort))
    assert get_args(Detail) == arguments.DETAILS


def test_the_page_about_the_command_line_is_what_the_table_of_commands_says() -> None:
    page = Path(__file__).parent.parent / "docs" / "cli.md"
    assert page.read_text("utf-8") == reference.reference()


def test_amounts_of_money_become_exact_decimals() -> None:
    assert Decimal(arguments.money("0.10")) == Decimal("0.10")
    for bad in ("1e3", "nan", "-1", "", "0.12345678"):
        with pytest.raises(argparse.ArgumentTypeError):
            arguments.money(bad)


def test_a_board_knows_how_long_each_expert_took() -> None:
    board = progress.Board()
    board.heed(Event(run="r", kind="asked", seat="ada", seconds=1))
    board.heed(Event(run="r", kind="asked", seat="bob", seconds=1))
    board.heed(Event(run="r", kind="answered", seat="ada", detail="yes\x1b[2J\nno", seconds=4))
    assert list(board.rows(now=9)) == [("ada", "answered", 3, "yes no"), ("bob", "thinking", 8, "")]
    board.heed(Event(run="r", kind="absent", seat="bob", detail="timeout", seconds=11))
    assert list(board.rows(now=20))[1] == ("bob", "absent", 10, "timeout")


def test_a_line_of_progress_is_one_line() -> None:
    said = progress.sentence(Event(run="r", kind="answered", seat="a\nda", detail="x\ny" * 300, seconds=2))
    assert "\n" not in said.replace("a\nda", "")
    assert len(said) < 300
