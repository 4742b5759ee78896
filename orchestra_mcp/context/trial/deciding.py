"""Which files decide what a verify command says. A patch must not: whoever is tested does not write the test.

A patch's own tests, the runner's configuration, programs that the command names, and new modules that would be loaded
in place of the runner's own or of what is installed. Pure, but for the list of what is installed.

It is no proof against a patch whose own code ends the runner with a success; `reported` finds the plain ways to do so.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from orchestra_mcp.paths import is_test

# Files that configure runners, builds or interpreters, by their names in lower case. Add here.
_NAMES = frozenset(
    "conftest.py sitecustomize.py usercustomize.py pytest.ini .pytest.ini tox.ini setup.cfg setup.py pyproject.toml .coveragerc"
    " mypy.ini .mypy.ini .flake8 ruff.toml .ruff.toml noxfile.py manage.py pipfile .env .envrc .python-version"
    " package.json .npmrc .yarnrc .yarnrc.yml .babelrc .swcrc .nycrc .mocharc deno.json deno.jsonc bunfig.toml lerna.json nx.json"
    " turbo.json makefile gnumakefile justfile .justfile rakefile gemfile .rspec guardfile cakefile magefile.go"
    " cargo.toml build.rs go.mod go.work pom.xml build.gradle build.gradle.kts settings.gradle settings.gradle.kts gradle.properties"
    " gradlew mvnw build.sbt build.xml cmakelists.txt meson.build meson_options.txt configure configure.ac build workspace"
    " build.bazel workspace.bazel module.bazel .bazelrc build.zig mix.exs rebar.config composer.json package.swift"
    " directory.build.props directory.build.targets global.json nuget.config .runsettings dockerfile".split()
)  # fmt: skip
_PATTERNS = re.compile(
    r"\.(pth|egg-link|pyc|pyo|so|pyd|dll|dylib|jar|class|mk|bats|csproj|fsproj|sln|gemspec|snap)$"
    r"|(^|/)(jest|vitest|vite|karma|playwright|cypress|babel|webpack|rollup|ava|wdio|protractor|nightwatch|eslint|tsup)"
    r"[.-](config|conf|setup)\b[^/]*$"
    r"|(^|/)\.mocharc\.\w+$|(^|/)[tj]sconfig[^/]*\.json$|(^|/)phpunit[^/]*\.xml|(^|/)Taskfile\.ya?ml$"
    r"|(^|/)(setup|jest|vitest|test|spec)[._-]?(setup|helpers?|utils?)\.\w+$"
    r"|(^|/)(node_modules|bower_components|\.?venv|vendor|\.yarn|Pods|deps|site-packages|dist-packages|__pycache__|\.cargo|\.mvn"
    r"|gradle|buildSrc|\.github|\.husky)/",
    re.IGNORECASE,
)
# Top-level Python modules that test runners load, besides the standard library's and what is found installed. Add here.
_RUNNERS = frozenset(
    "pytest _pytest py pluggy iniconfig packaging pygments exceptiongroup tomli colorama attr attrs unittest2 nose nose2 tox nox"
    " coverage xdist execnet hypothesis sortedcontainers anyio trio mypy ruff typing_extensions setuptools pkg_resources"
    " twisted behave robot django".split()
)
_SOURCES = ("", "src/", "lib/")
"""Where the command finds modules first (`verifying`)."""
_WORD = re.compile(r"[\w./@+-]+")
# What a runner prints at its end, whether tests failed or not: pytest, unittest, cargo, jest and vitest, mocha, go, Maven,
# RSpec, PHPUnit, TAP. Add here.
_SUMMARIES = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"\b\d+ (?:passed|failed|errors?|skipped|xfailed|xpassed|deselected|warnings?)\b[^\n]{0,200} in \d+\.\d+s",
        r"^Ran \d+ tests? in \d",
        r"^test result: ",
        r"^ *Tests:? +\d+ \w+",
        r"^ *\d+ passing\b",
        r"^(?:ok|FAIL)[ \t]+\S+[ \t]+(?:[\d.]+s|\(cached\))",
        r"\bTests run: \d+",
        r"^\d+ examples?, \d+ failures?",
        r"^(?:OK \(\d+ tests?,|Tests: \d+, Assertions:)",
        r"^# tests? \d",
    )
)


def decides(path: str, fresh: bool, command: str, installed: Iterable[str] = ()) -> bool:
    """Whether a changed file decides what the command says, instead of being judged by it.

    Args:
        path: relative to the project, with forward slashes.
        fresh: the project does not have it yet.
        command: the verify command.
        installed: names of top-level Python modules, besides the standard library's.
    """
    name = path.rpartition("/")[2].lower()
    if is_test(path) or re.match(r"test.*\.py$", name) or name in _NAMES or _PATTERNS.search(path):
        return True
    words = {word.removeprefix("./").strip("/") for word in _WORD.findall(command)}
    if name in {word.lower() for word in words} or any(path == word or word.endswith(f"/{path}") for word in words):
        return True
    modules = {word.replace(".", "/") for word in words}
    if any(path in (f"{top}{m}.py", f"{top}{m}/__main__.py") for top in _SOURCES for m in modules if "/" in m):
        return True
    top = _module(path) if fresh else ""
    return bool(top) and (top in sys.stdlib_module_names or top in _RUNNERS or top in words or top in installed)


def _module(path: str) -> str:
    """The top-level Python module that a file belongs to; empty when it makes none."""
    if not path.endswith((".py", ".pyi")):
        return ""
    for source in _SOURCES[1:]:
        path = path.removeprefix(source)
    return path.partition("/")[0].partition(".")[0]


def left_out(
    root: Path, files: Mapping[str, bytes | None], before: Mapping[str, bytes], command: str, found: Iterable[str]
) -> tuple[str, ...]:
    """Those of a patch's files that decide, also by the name that a link of the project gives them. Blocking.

    Args:
        root: the project, a real path.
        files: what the patch makes.
        before: what of it the project has.
        command: the verify command.
        found: see `installed`.
    """
    known = frozenset(found)
    deciding = []
    for path in files:
        real = (root / path).parent.resolve() / path.rpartition("/")[2]
        names = {path, real.relative_to(root).as_posix() if real.is_relative_to(root) else path}
        if any(decides(name, path not in before, command, known) for name in names):
            deciding.append(path)
    return tuple(deciding)


def reported(before: str, after: str) -> bool:
    """Whether a run that says it succeeded ends with its runner's summary, where the run without the patch does.

    Runners that say nothing, and checkers that speak only of errors, count as having reported.
    """
    return all(pattern.search(after) for pattern in _SUMMARIES if pattern.search(before))


def installed(command: str, linked: Iterable[str], environment: Mapping[str, str]) -> frozenset[str]:
    """Top-level Python modules that the command's interpreters have: of linked environments, on the path, and named.

    Blocking: it lists directories.
    """
    prefixes = {Path(place) for place in linked}
    prefixes |= {Path(place) for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if (place := environment.get(name))}
    for word in {"python", "python3", "pytest", *re.findall(r"[^\s'\";&|()<>]+", command)}:
        if len(word) < 1000 and (found := shutil.which(word, path=environment.get("PATH"))):
            prefixes |= {Path(found).parent.parent, Path(found).resolve().parent.parent}
    prefixes |= {Path("/usr"), Path("/usr/local"), Path(environment.get("HOME", "/nonexistent")) / ".local"}
    names = set[str]()
    for prefix in prefixes:
        for pattern in ("lib*/python*/site-packages", "lib*/python*/dist-packages", "Lib/site-packages"):
            for packages in prefix.glob(pattern):
                with suppress(OSError):
                    names.update(one.name.partition(".")[0] for one in packages.iterdir() if "-" not in one.name)
    return frozenset(names)
