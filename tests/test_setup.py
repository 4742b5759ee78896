"""`orchestra setup`: clients' files are merged, never damaged, and never hold a key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_mcp.cli import clients, merging

SECRET = "sk-or-v1-do-not-write-me-anywhere"
ENTRY: dict[str, Any] = {"command": "/opt/o/bin/orchestra-mcp", "args": []}
FILES = {
    "claude-desktop": ".config/Claude/claude_desktop_config.json",
    "cursor": ".cursor/mcp.json",
    "vscode": ".config/Code/User/mcp.json",
    "codex": ".codex/config.toml",
    "gemini": ".gemini/settings.json",
}
SECTIONS = {"vscode": "servers", "codex": "mcp_servers"}
BIN = Path(sys.executable).parent


def run(home: Path, *args: str, extra: dict[str, str] | None = None, stdin: str = "", cwd: Path | None = None) -> Any:
    """The real console script, in a home of its own."""
    home.mkdir(exist_ok=True)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "ORCHESTRA_HOME": str(home / "data"),
        "OPENROUTER_API_KEY": SECRET,
        **(extra or {}),
    }
    command = [str(BIN / "orchestra"), "setup", *args]
    return subprocess.run(
        command, env=env, input=stdin, capture_output=True, text=True, timeout=60, cwd=cwd or home, check=False
    )


def entry_in(home: Path, name: str) -> dict[str, Any]:
    text = (home / FILES[name]).read_text()
    table = tomllib.loads(text) if FILES[name].endswith("toml") else json.loads(text)
    entry: dict[str, Any] = table[SECTIONS.get(name, "mcpServers")]["orchestra"]
    return entry


@pytest.mark.parametrize("name", FILES)
def test_a_client_without_a_file_gets_one_that_starts_our_own_command(tmp_path: Path, name: str) -> None:
    done = run(tmp_path / "home", "--client", name)
    assert done.returncode == 0, done.stderr
    entry = entry_in(tmp_path / "home", name)
    assert entry["command"] == str(BIN / "orchestra-mcp")
    assert entry["env"]["ORCHESTRA_HOME"] == str(tmp_path / "home" / "data")


@pytest.mark.parametrize("name", FILES)
def test_no_key_is_ever_written_or_shown(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    shown = [run(home, "--client", name, *more) for more in (("--dry-run",), (), ("--json",))] + [run(home)]
    assert SECRET not in "".join(done.stdout + done.stderr for done in shown)
    written = [file for file in home.rglob("*") if file.is_file()]
    assert written
    assert not [file for file in written if SECRET in file.read_text()]


def test_clients_that_filter_the_environment_are_given_the_names_of_keys(tmp_path: Path) -> None:
    run(tmp_path / "home", "--client", "codex")
    run(tmp_path / "home", "--client", "gemini")
    assert entry_in(tmp_path / "home", "codex")["env_vars"] == ["OPENROUTER_API_KEY"]
    assert entry_in(tmp_path / "home", "gemini")["env"]["OPENROUTER_API_KEY"] == "${OPENROUTER_API_KEY}"


def test_time_outs_leave_a_council_ten_minutes(tmp_path: Path) -> None:
    run(tmp_path / "home", "--client", "codex")
    run(tmp_path / "home", "--client", "gemini")
    assert entry_in(tmp_path / "home", "codex")["tool_timeout_sec"] == 600
    assert entry_in(tmp_path / "home", "gemini")["timeout"] == 600_000


@pytest.mark.parametrize("name", FILES)
def test_a_second_run_changes_nothing(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    run(home, "--client", name)
    before = (home / FILES[name]).read_bytes()
    again = run(home, "--client", name)
    assert "already" in again.stdout
    assert (home / FILES[name]).read_bytes() == before
    assert not list((home / FILES[name]).parent.glob("*.bak*"))


@pytest.mark.parametrize("name", [name for name in FILES if not FILES[name].endswith("toml")])
def test_an_existing_json_file_keeps_everything_and_is_backed_up(tmp_path: Path, name: str) -> None:
    home, section = tmp_path / "home", SECTIONS.get(name, "mcpServers")
    file = home / FILES[name]
    file.parent.mkdir(parents=True)
    old = f'{{\n\t// mine\n\t"theme": "dark",\n\t"{section}": {{\n\t\t"other": {{"command": "x"}}, // keep\n\t}},\n}}\n'
    file.write_text(old)
    file.chmod(0o640)
    done = run(home, "--client", name)
    assert done.returncode == 0, done.stderr
    text = file.read_text()
    assert merging.read_json(text)["theme"] == "dark"
    assert merging.read_json(text)[section]["other"] == {"command": "x"}
    assert merging.read_json(text)[section]["orchestra"]["command"] == str(BIN / "orchestra-mcp")
    assert "// mine" in text
    assert "// keep" in text
    assert file.with_name(file.name + ".bak").read_text() == old
    if os.name == "posix":
        assert file.stat().st_mode & 0o777 == 0o640


def test_an_existing_toml_file_keeps_everything_and_is_backed_up(tmp_path: Path) -> None:
    file = tmp_path / "home" / FILES["codex"]
    file.parent.mkdir(parents=True)
    old = '# mine\nmodel = "gpt"\n\n[mcp_servers.other]\ncommand = "x"\n\n[profiles.fast]\nmodel = "small" # keep\n'
    file.write_text(old)
    assert run(tmp_path / "home", "--client", "codex").returncode == 0
    assert file.read_text().startswith(old)
    assert tomllib.loads(file.read_text())["mcp_servers"]["other"] == {"command": "x"}
    assert file.with_name("config.toml.bak").read_text() == old


def test_an_older_entry_of_ours_is_brought_up_to_date_and_keeps_what_the_user_added(tmp_path: Path) -> None:
    file = tmp_path / "home" / FILES["codex"]
    file.parent.mkdir(parents=True)
    file.write_text(
        '[mcp_servers.orchestra] # ours\ncommand = "/gone/orchestra-mcp"\nargs = [\n  "old",\n]\n'
        'enabled_tools = ["debate"]\nenv_vars = ["MINE"]\n\n[mcp_servers.orchestra.env]\nA = "b"\n\n[tui]\ntheme = "x"\n'
    )
    done = run(tmp_path / "home", "--client", "codex", extra={"ORCHESTRA_HOME": ""})
    assert done.returncode == 0, done.stderr
    entry = entry_in(tmp_path / "home", "codex")
    assert entry["command"] == str(BIN / "orchestra-mcp")
    assert entry["args"] == []
    assert entry["enabled_tools"] == ["debate"]
    assert entry["env_vars"] == ["MINE", "OPENROUTER_API_KEY"]
    assert entry["env"] == {"A": "b"}
    assert "# ours" in file.read_text()


def test_a_second_backup_does_not_overwrite_the_first(tmp_path: Path) -> None:
    file = tmp_path / "home" / FILES["cursor"]
    file.parent.mkdir(parents=True)
    for text in ('{"a": 1}', '{"b": 2}'):
        file.write_text(text)
        run(tmp_path / "home", "--client", "cursor")
    assert [p.read_text() for p in sorted(file.parent.glob("*.bak*"))] == ['{"a": 1}', '{"b": 2}']


@pytest.mark.skipif(os.name != "posix", reason="symbolic links need rights on Windows")
def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    file = tmp_path / "home" / FILES["cursor"]
    file.parent.mkdir(parents=True)
    (tmp_path / "dotfiles.json").write_text("{}")
    file.symlink_to(tmp_path / "dotfiles.json")
    run(tmp_path / "home", "--client", "cursor")
    assert file.is_symlink()
    assert "orchestra" in json.loads((tmp_path / "dotfiles.json").read_text())["mcpServers"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("cursor", '{"mcpServers": '), ("cursor", "[]"), ("cursor", '{"mcpServers": 3}'), ("codex", "a = "),
     ("codex", "mcp_servers = {}\n"), ("cursor", '{"mcpServers": {"orchestra": {"url": "https://x"}}}')],
)  # fmt: skip
def test_a_file_that_cannot_be_merged_is_left_alone_and_the_block_is_shown(
    tmp_path: Path, name: str, text: str
) -> None:
    file = tmp_path / "home" / FILES[name]
    file.parent.mkdir(parents=True)
    file.write_text(text)
    done = run(tmp_path / "home", "--client", name)
    assert done.returncode == 1
    assert "left alone" in done.stderr
    assert "orchestra-mcp" in done.stderr
    assert file.read_text() == text
    assert len(list(file.parent.iterdir())) == 1


def test_a_dry_run_shows_the_change_without_neighbours_secrets_and_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "home" / FILES["cursor"]
    file.parent.mkdir(parents=True)
    old = '{\n  "mcpServers": {\n    "gh": {\n      "env": {\n        "GITHUB_TOKEN": "ghp_verysecret"\n      }\n    }\n  }\n}\n'
    file.write_text(old)
    done = run(tmp_path / "home", "--client", "cursor", "--dry-run")
    assert '+    "orchestra": {' in done.stdout
    assert "ghp_verysecret" not in done.stdout
    assert file.read_text() == old
    assert len(list(file.parent.iterdir())) == 1


def test_a_project_gets_its_own_files(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("claude-code", "cursor", "vscode"):
        assert run(tmp_path / "home", "--client", name, "--scope", "project", cwd=project).returncode == 0
    claude = json.loads((project / ".mcp.json").read_text())["mcpServers"]["orchestra"]
    assert claude["type"] == "stdio"
    assert claude["timeout"] == 600_000
    cursor = json.loads((project / ".cursor/mcp.json").read_text())["mcpServers"]["orchestra"]
    assert cursor["env"]["ORCHESTRA_PROJECT_DIR"] == "${workspaceFolder}"
    assert "orchestra" in json.loads((project / ".vscode/mcp.json").read_text())["servers"]


def test_claude_desktop_has_no_file_per_project(tmp_path: Path) -> None:
    done = run(tmp_path / "home", "--client", "claude-desktop", "--scope", "project")
    assert done.returncode == 2
    assert "leave --scope out" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_claude_code_is_told_by_its_own_command(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "claude"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$HOME/said"\n')
    program.chmod(0o755)
    done = run(tmp_path / "home", "--client", "claude-code", extra={"PATH": f"{program.parent}:{os.environ['PATH']}"})
    assert done.returncode == 0, done.stderr
    said = (tmp_path / "home" / "said").read_text().splitlines()
    assert said[:5] == ["mcp", "add", "--scope", "user", "orchestra"]
    assert said[-2:] == ["--", str(BIN / "orchestra-mcp")]


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_claude_code_that_knows_us_already_is_no_failure(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "claude"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "MCP server orchestra already exists in user config" >&2\nexit 1\n')
    program.chmod(0o755)
    done = run(tmp_path / "home", "--client", "claude-code", extra={"PATH": f"{program.parent}:{os.environ['PATH']}"})
    assert done.returncode == 0
    assert "mcp remove" in done.stdout


def test_without_the_claude_command_the_line_to_run_is_named(tmp_path: Path) -> None:
    git_only = tmp_path / "bin"
    git_only.mkdir()
    done = run(tmp_path / "home", "--client", "claude-code", extra={"PATH": str(git_only)})
    assert done.returncode == 1
    assert f"claude mcp add --scope user orchestra --env ORCHESTRA_HOME={tmp_path}/home/data -- " in done.stderr
    assert "--scope project" in done.stderr


def test_print_shows_the_standard_block_as_json(tmp_path: Path) -> None:
    done = run(tmp_path / "home", "--client", "print")
    assert json.loads(done.stdout)["mcpServers"]["orchestra"]["command"] == str(BIN / "orchestra-mcp")


def test_a_repository_is_installed_by_uvx_and_a_bare_name_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path / "home", "--client", "print", "--from", "git+https://example.org/orchestra")
    entry = json.loads(done.stdout)["mcpServers"]["orchestra"]
    assert [entry["command"], *entry["args"]] == ["uvx", "--from", "git+https://example.org/orchestra", "orchestra-mcp"]
    refused = run(tmp_path / "home", "--client", "print", "--from", "orchestra-mcp")
    assert refused.returncode == 1
    assert "git+https://" in refused.stderr


def test_without_a_client_it_lists_keys_by_name_and_clients_by_state(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run(home, "--client", "gemini")
    found = json.loads(run(home, "--json").stdout)
    assert found["keys"] == ["OPENROUTER_API_KEY"]
    assert found["seats"]
    states = {row["client"]: row["state"] for row in found["clients"]}
    assert states["gemini"] == "connected"
    assert states["vscode"] == "not found"


def test_options_without_a_client_are_a_usage_error(tmp_path: Path) -> None:
    done = run(tmp_path / "home", "--dry-run")
    assert done.returncode == 2
    assert "--client" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_a_saved_key_is_private_and_replaces_the_old_one(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert run(home, "--save-key", "XAI_API_KEY", stdin="first-value\n").returncode == 0
    assert run(home, "--save-key", "MISTRAL_API_KEY", stdin="other-value\n").returncode == 0
    done = run(home, "--save-key", "XAI_API_KEY", stdin="second-value\n")
    file = home / "data" / "keys.env"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("# ")]
    assert lines == ["MISTRAL_API_KEY=other-value", "XAI_API_KEY=second-value"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert "second-value" not in done.stdout + done.stderr
    assert "XAI_API_KEY" in json.loads(run(home, "--json").stdout)["keys"]


@pytest.mark.parametrize("given", ["sk-abc-def-123", "", "A B"])
def test_a_key_in_place_of_its_name_is_refused_without_repeating_it(tmp_path: Path, given: str) -> None:
    if not given:
        done = run(tmp_path / "home", "--save-key", "XAI_API_KEY", stdin="")
        assert done.returncode == 1
    else:
        done = run(tmp_path / "home", "--save-key", given)
        assert done.returncode == 2
        assert given not in done.stderr


def test_paths_of_other_systems_follow_their_conventions() -> None:
    mac = clients.Places(Path("/Users/ada"), {}, "darwin")
    windows = clients.Places(Path("C:/Users/ada"), {"APPDATA": "C:/Users/ada/AppData/Roaming"}, "win32")
    desktop, vscode = clients.KNOWN["claude-desktop"].user, clients.KNOWN["vscode"].user
    assert desktop
    assert vscode
    assert desktop(mac) == Path("/Users/ada/Library/Application Support/Claude/claude_desktop_config.json")
    assert desktop(windows) == Path("C:/Users/ada/AppData/Roaming/Claude/claude_desktop_config.json")
    assert vscode(mac) == Path("/Users/ada/Library/Application Support/Code/User/mcp.json")


def test_the_server_is_never_named_by_what_strangers_own() -> None:
    root = Path(__file__).parent.parent
    pages = [root / "mcp.json", root / ".mcp.json", root / "docs" / "clients.md", root / "docs" / "cli.md"]
    for page in pages:
        text = page.read_text("utf-8")
        for bad in ("uvx orchestra", "pip install orchestra", "pipx install orchestra", "uv tool install orchestra"):
            assert bad not in text, f"{page.name}: {bad}"
    assert json.loads((root / "mcp.json").read_text())["mcpServers"]["orchestra"]["args"][0] == "--from"


# ------------------------------------------------------------------------------------------------- merging is safe

scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@settings(max_examples=60, deadline=None)
@given(
    table=st.dictionaries(st.text(max_size=6), values, max_size=4),
    servers=st.none()
    | st.dictionaries(st.text(max_size=6).filter(lambda name: name != "orchestra"), values, max_size=3),
    indent=st.sampled_from([None, 2, "\t"]),
    crlf=st.booleans(),
)
def test_any_json_object_keeps_its_other_members(table: Any, servers: Any, indent: Any, crlf: bool) -> None:
    table = {**table, **({"mcpServers": servers} if servers is not None else {})}
    table.pop("mcpServers") if servers is None and "mcpServers" in table else None
    text = json.dumps(table, indent=indent, ensure_ascii=False)
    text = text.replace("\n", "\r\n") if crlf else text
    merged = merging.merge_json(text, "mcpServers", "orchestra", ENTRY)
    assert json.loads(merged) == {**table, "mcpServers": {**(servers or {}), "orchestra": ENTRY}}
    assert merging.merge_json(merged, "mcpServers", "orchestra", ENTRY) == merged


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "{ // nothing yet\n}", "\ufeff{}", '{"a": [1, 2,], /* x */ "b": "// no comment"}',
        '{\n  "mcpServers": {} // empty\n}', '{"mcpServers": {"x": {"a": 1} /* last */}}', '{"mcpServers": {"x": 1,\n},}',
    ],
)  # fmt: skip
def test_comments_and_trailing_commas_stay(text: str) -> None:
    merged = merging.merge_json(text, "mcpServers", "orchestra", ENTRY)
    before = merging.read_json(text)
    servers = {**before.get("mcpServers", {}), "orchestra": ENTRY}
    assert merging.read_json(merged) == {**before, "mcpServers": servers}
    for remark in ("// nothing yet", "/* x */", "// no comment", "// empty", "/* last */", "\ufeff"):
        assert (remark in text) == (remark in merged)


@pytest.mark.parametrize("text", ["{", '{"a" 1}', '{"a": 1 "b": 2}', "{} {}", '{"a": nope}', "{'a': 1}"])
def test_text_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(merging.CannotMerge):
        merging.merge_json(text, "mcpServers", "orchestra", ENTRY)
