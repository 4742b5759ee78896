"""Shared parts: a real repository, an environment of one's own, and the asyncio backend."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("shared machine", deadline=None)  # how long a case takes says more of the neighbours
settings.load_profile("shared machine")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # aiosqlite runs on nothing else


SOURCE = '''"""Reads records."""


def read_lines(path):
    with open(path) as file:
        lines = file.read().split("\\n")
    return lines[:-1]


def total(path):
    return sum(int(line) for line in read_lines(path))
'''


def git(repo: Path, *args: str) -> str:
    """Run git in a repository with a fixed identity and no configuration of the user's."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(repo),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
    }
    return subprocess.run(["git", "-C", str(repo), *args], env=env, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A small Python project with two commits."""
    root = tmp_path / "records"
    (root / "src").mkdir(parents=True)
    git(root, "init", "-q", "-b", "main")
    (root / "pyproject.toml").write_text('[project]\nname = "records"\nversion = "1"\ndependencies = ["httpx2>=2"]\n')
    (root / "src" / "parser.py").write_text(SOURCE.replace("[:-1]", ""))
    git(root, "add", "-A")
    git(root, "commit", "-qm", "Add the parser")
    (root / "src" / "parser.py").write_text(SOURCE)
    git(root, "commit", "-qam", "Do not return the empty last line")
    return root


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment with nothing of the user's in it; add `ORCHESTRA_CONFIG` for models."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "ORCHESTRA_HOME": str(tmp_path / "data"),
        "XDG_CONFIG_HOME": str(home),
    }
