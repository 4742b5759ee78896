from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestra_mcp.context.project import confine, denied, find_root, read_bytes
from orchestra_mcp.errors import ProjectError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "home" / "ada"
    place.mkdir(parents=True)
    return place


@pytest.fixture
def project(home: Path) -> Path:
    root = home / "code" / "ledger"
    (root / "src").mkdir(parents=True)
    (root / "pyproject.toml").write_text("[project]\nname='ledger'\n")
    (root / "src" / "app.py").write_text("print('hi')\n")
    return root


def test_what_was_given_comes_before_the_environment_and_the_client(home: Path, project: Path) -> None:
    others = [home / name for name in ("a", "b", "c")]
    for other in others:
        other.mkdir()
        (other / "Makefile").write_text("test:\n")
    environ = {"HOME": str(home), "ORCHESTRA_PROJECT_DIR": str(others[0]), "CLAUDE_PROJECT_DIR": str(others[1])}
    roots = [others[2].as_uri()]
    assert find_root(str(project), environ, roots, others[2]) == project
    assert find_root(None, environ, roots, project) == others[0]
    del environ["ORCHESTRA_PROJECT_DIR"]
    assert find_root("", environ, roots, project) == others[1]
    del environ["CLAUDE_PROJECT_DIR"]
    assert find_root(None, environ, roots, project) == others[2]
    assert find_root(None, environ, [], project) == project


def test_a_literal_variable_and_an_empty_value_count_as_unset(home: Path, project: Path) -> None:
    environ = {"HOME": str(home), "ORCHESTRA_PROJECT_DIR": "${WORKSPACE}", "CLAUDE_PROJECT_DIR": "  "}
    assert find_root("${PROJECT:-}", environ, ["${workspaceFolder}"], project) == project


def test_a_current_directory_that_looks_like_nothing_is_no_project(home: Path) -> None:
    empty = home / "downloads"
    empty.mkdir()
    assert find_root(None, {"HOME": str(home)}, [], empty) is None
    assert find_root(None, {"HOME": str(home)}, [], Path("/")) is None


def test_a_directory_inside_a_work_tree_means_its_top_level(home: Path, project: Path) -> None:
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    assert find_root(str(project / "src"), {"HOME": str(home)}) == project
    assert find_root(None, {"HOME": str(home)}, [], project / "src") == project


def test_a_home_directory_under_version_control_does_not_become_the_project(home: Path, project: Path) -> None:
    subprocess.run(["git", "init", "-q", str(home)], check=True)
    assert find_root(str(project), {"HOME": str(home)}) == project


def test_a_file_address_with_escapes_is_understood(home: Path) -> None:
    odd = home / "my code ü"
    odd.mkdir()
    (odd / "Makefile").write_text("")
    assert find_root(odd.as_uri(), {"HOME": str(home)}) == odd


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("missing", "does not exist"),
        ("code/ledger/pyproject.toml", "is a file"),
        (".", "home directory"),
        ("..", "contains the home directory"),
        (".ssh", "private"),
        (".config/app", "private"),
        (".aws", "private"),
        ("code/ledger/.git/hooks", "git's own data"),
        ("https://example.com/x", "not a local directory"),
        ("file://server/share", "another machine"),
        ("//server/share", "ordinary path"),
        ("a\0b", "ordinary path"),
    ],
)
def test_what_cannot_be_a_project_is_refused_with_the_way_out(
    home: Path, project: Path, given: str, words: str
) -> None:
    for place in (".ssh", ".config/app", ".aws", "code/ledger/.git/hooks"):
        (home / place).mkdir(parents=True)
    with pytest.raises(ProjectError, match=words) as caught:
        find_root(given, {"HOME": str(home)}, [], home)
    assert "give" in str(caught.value)


@pytest.mark.parametrize("place", ["/", "/etc", "/proc/self", "/usr/bin"])
@pytest.mark.skipif(os.name != "posix", reason="names of POSIX directories")
def test_the_system_s_own_directories_are_refused(home: Path, place: str) -> None:
    with pytest.raises(ProjectError):
        find_root(place, {"HOME": str(home)})


def test_allowed_roots_bind_what_was_given_and_what_the_client_says(home: Path, project: Path) -> None:
    inside, outside = home / "code", home / "elsewhere"
    outside.mkdir()
    (outside / "Makefile").write_text("")
    environ = {"HOME": str(home)}
    assert find_root(str(project), environ, [], None, [str(inside)]) == project
    with pytest.raises(ProjectError, match="roots"):
        find_root(str(outside), environ, [], None, [str(inside)])
    (project / "way-out").symlink_to(outside, target_is_directory=True)
    with pytest.raises(ProjectError, match="roots"):
        find_root(str(project / "way-out"), environ, [], None, [str(inside)])
    assert find_root(None, environ, [str(outside)], outside, [str(inside)]) is None


def test_a_name_like_an_allowed_root_is_not_inside_it(home: Path) -> None:
    (home / "code").mkdir()
    twin = home / "code-private"
    twin.mkdir()
    with pytest.raises(ProjectError, match="roots"):
        find_root(str(twin), {"HOME": str(home)}, [], None, [str(home / "code")])


# ------------------------------------------------------------------------------------------------- confinement


def test_an_ordinary_file_is_found_by_relative_and_absolute_name(project: Path) -> None:
    assert confine(project, "src/app.py") == project / "src" / "app.py"
    assert confine(project, str(project / "src" / "app.py")) == project / "src" / "app.py"
    assert read_bytes(project, "src/app.py") == b"print('hi')\n"


@pytest.mark.parametrize(
    "name",
    ["", "..", "../x", "src/../../x", "src/../src/app.py", "/etc/passwd", "//host/share/x", "\\\\host\\share", "src",
     "src/app.py\0.txt", "nothing.py", "src/app.py/x", "~/.bashrc", "/dev/null", "a" * 5000],
)  # fmt: skip
def test_names_that_lead_out_or_nowhere_are_refused(project: Path, name: str) -> None:
    assert confine(project, name) is None
    assert read_bytes(project, name) is None


def test_links_may_stay_inside_but_never_lead_out(project: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("s")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f.txt").write_text("s")
    (project / "file-link").symlink_to(secret)
    (project / "dir-link").symlink_to(tmp_path / "outside")
    (project / "chain").symlink_to(project / "file-link")
    (project / "loop").symlink_to(project / "loop")
    (project / "good").symlink_to(project / "src" / "app.py")
    for name in ("file-link", "dir-link/f.txt", "chain", "loop"):
        assert confine(project, name) is None, name
    assert confine(project, "good") == project / "src" / "app.py"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system here")
def test_a_pipe_is_not_opened(project: Path) -> None:
    os.mkfifo(project / "pipe.txt")
    assert confine(project, "pipe.txt") is None


@pytest.mark.parametrize(
    "name",
    [".env", ".env.local", "conf/.envrc", "server.pem", "a/b/tls.key", "id_rsa", "id_ed25519.pub", "x.p12", ".npmrc",
     ".netrc", ".pypirc", "credentials", "credentials.json", "Credentials.JSON", ".git/config", "a/.ssh/known_hosts",
     ".aws/config", "SERVER.PEM", ".ENV"],
)  # fmt: skip
def test_files_for_credentials_are_denied_by_name_and_through_links(project: Path, name: str) -> None:
    file = project / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("secret")
    link = project / "harmless.txt"
    link.symlink_to(file)
    assert denied(name)
    assert confine(project, name) is None
    assert confine(project, "harmless.txt") is None
    innocent = project / "innocent"
    innocent.write_text("x")
    file.unlink()
    file.symlink_to(innocent)
    assert confine(project, name) is None


@pytest.mark.parametrize(
    "name", ["src/credentials.py", "environment.py", "keys.py", ".github/workflows/ci.yml", "pem.go"]
)
def test_code_about_credentials_is_not_denied(name: str) -> None:
    assert not denied(name)


PIECES = st.sampled_from(
    ["..", ".", "src", "app.py", "link", "/", "\\", "a b", "ü", "\0", "~", ".git", "C:", "//", "%2e%2e"]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES, max_size=7), st.sampled_from(["/", "\\", ""]))
def test_no_combination_of_pieces_escapes(project: Path, parts: list[str], joint: str) -> None:
    link = project / "link"
    if not link.is_symlink():
        link.symlink_to(project.parent)
    real = confine(project, joint.join(parts))
    assert real is None or (real.is_relative_to(project.resolve()) and real.is_file())


def test_a_file_over_the_limit_is_not_read(project: Path) -> None:
    (project / "big.txt").write_bytes(b"x" * 101)
    assert read_bytes(project, "big.txt", limit=100) is None
    assert read_bytes(project, "big.txt", limit=101) == b"x" * 101
