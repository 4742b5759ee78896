"""How a project's tests are run, as its own files say. Pure; where nothing says anything, there is no guess."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from orchestra_mcp.context.environment.dependencies import Facts, outline

MAX_TEXT = 200_000
MAX_WORKFLOWS = 6


@dataclass(frozen=True, slots=True)
class Run:
    """A command that runs tests."""

    command: str
    source: str
    """The file that says so; empty when it follows from the kind of project."""
    detail: str = ""
    """What the command does in turn, if the source shows it."""

    @property
    def text(self) -> str:
        """One line for a reader."""
        return (
            self.command + (f" → {self.detail}" if self.detail else "") + (f" ({self.source})" if self.source else "")
        )


# Add here: file name, pattern whose group `target` is a task for tests, command for it. The recipe is the next line.
TASKS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("Makefile", re.compile(r"(?m)^(?P<target>tests?|check|unit[-_]?tests?)[ \t]*:(?!=)"), "make"),
    ("makefile", re.compile(r"(?m)^(?P<target>tests?|check|unit[-_]?tests?)[ \t]*:(?!=)"), "make"),
    ("GNUmakefile", re.compile(r"(?m)^(?P<target>tests?|check|unit[-_]?tests?)[ \t]*:(?!=)"), "make"),
    ("justfile", re.compile(r"(?m)^@?(?P<target>tests?|check)(?: [^:\n]{0,200})?:(?!=)"), "just"),
    ("Justfile", re.compile(r"(?m)^@?(?P<target>tests?|check)(?: [^:\n]{0,200})?:(?!=)"), "just"),
    ("Taskfile.yml", re.compile(r"(?m)^  (?P<target>tests?|check):"), "task"),
)

# Add here: a file that says which runner is used, where no manifest does.
SIGNS: tuple[tuple[str, str], ...] = (
    ("tox.ini", "tox"), ("noxfile.py", "nox"), ("pytest.ini", "pytest"), ("conftest.py", "pytest"),
    ("tests/conftest.py", "pytest"), ("manage.py", "python manage.py test"), ("build.gradle", "gradle test"),
    ("build.gradle.kts", "gradle test"), ("mix.exs", "mix test"), ("Package.swift", "swift test"),
    (".rspec", "bundle exec rspec"), ("phpunit.xml", "vendor/bin/phpunit"), ("phpunit.xml.dist", "vendor/bin/phpunit"),
    ("pubspec.yaml", "dart test"), ("deno.json", "deno test"), ("deno.jsonc", "deno test"), ("dune-project", "dune test"),
    ("stack.yaml", "stack test"), ("meson.build", "meson test -C build"), ("Rakefile", ""),
)  # fmt: skip

# Add here: a file beside the manifest, and what it makes of a conventional command.
WRAPPERS: tuple[tuple[str, str, str], ...] = (
    ("gradlew", "gradle ", "./gradlew "), ("mvnw", "mvn ", "./mvnw "), ("pnpm-lock.yaml", "npm ", "pnpm "),
    ("yarn.lock", "npm ", "yarn "), ("bun.lock", "npm ", "bun run "), ("bun.lockb", "npm ", "bun run "),
)  # fmt: skip

WORKFLOWS = re.compile(
    r"\.github/workflows/[^/]+\.ya?ml|\.gitlab-ci\.ya?ml|\.circleci/config\.ya?ml|azure-pipelines\.ya?ml|\.travis\.ya?ml|"
    r"\.woodpecker\.ya?ml|\.drone\.ya?ml|bitbucket-pipelines\.ya?ml|appveyor\.ya?ml"
)
_NAMED_FOR_TESTS = re.compile(r"test|ci|check|build|main|unit", re.IGNORECASE)
_STEPS = frozenset("run script before_script test_script command commands bash powershell pwsh".split())
"""Keys under which continuous integration keeps its commands."""
_TESTING = re.compile(
    r"(?<![\w./-])(?:pytest|py\.test|tox|nox|(?:python3? (?:-m unittest|-m pytest|manage\.py test|(?:tests/)?runtests\.py))"
    r"|go test|gotestsum|cargo (?:test|nextest run)|(?:npm|pnpm|yarn|bun|deno)(?: run)? (?:test|t)(?![\w-])[\w:-]{0,40}"
    r"|(?:npx |pnpm exec )?(?:jest|vitest|mocha|playwright test|cypress run)|dotnet test|mix test|rspec|rake(?: test)?|"
    r"rails test|bin/rails test|ctest|swift test|dart test|flutter test|sbt [^\n]{0,80}test|(?:make|just) (?:test|check)\S*|"
    r"composer test|phpunit|xcodebuild test|mvn [^\n]{0,120}(?:test|verify)|gradle [^\n]{0,120}(?:test|check|build))(?![\w-])"
    r"|(?<!\S)\./(?:gradlew [^\n]{0,120}(?:test|check|build)|mvnw [^\n]{0,120}(?:test|verify)|runtests\.py)|vendor/bin/(?:phpunit|pest)"
)
_INSTALLING = re.compile(r"\b(?:install|add|ci|sync|apt-get|brew|echo|cache|upload|grep)\b")


def find(
    files: Collection[str],
    read: Callable[[str], str],
    facts: Sequence[tuple[str, Facts]],
    near: Sequence[str] = (),
) -> tuple[Run, ...]:
    """How tests are run: at most one command that people use, and one that continuous integration runs.

    Args:
        files: the project's paths.
        read: a file's text.
        facts: the manifests, most important first.
        near: paths that the question is about.
    """
    places = [*dict.fromkeys(folder for path in near[:20] for folder in _folders(path))] or [""]
    own = next(_own(files, read, facts, places), None)
    said = own.command if own else ""
    automatic = next((run for run in _integration(files, read) if run.command != said), None)
    return tuple(run for run in (own, automatic) if run is not None)


def _own(
    files: Collection[str], read: Callable[[str], str], facts: Sequence[tuple[str, Facts]], places: Sequence[str]
) -> Iterator[Run]:
    for place in places:
        for name, pattern, command in TASKS:
            path = _join(place, name)
            if path in files:
                yield from _tasks(read(path)[:MAX_TEXT], pattern, command, place, path)
    yield from _manifests(files, facts, bool(places[0]))
    for place in places:
        for name, command in SIGNS:
            if _join(place, name) in files and command:
                yield Run(_wrapped(command, place, files) + _inside(place), _join(place, name), _tox(name, place, read))
    if all(fact.kind.startswith(("Python", "Pipenv", "conda")) for _, fact in facts):
        yield from _python(files, read)
    if "Rakefile" in files and any(path.startswith("test/") for path in files):
        yield Run("bundle exec rake test", "Rakefile")


def _tasks(text: str, pattern: re.Pattern[str], command: str, place: str, path: str) -> Iterator[Run]:
    """Targets for tests; `check` only when its recipe tests something, since elsewhere it means linting."""
    runs = []
    for found in pattern.finditer(text):
        recipe = _recipe(text, found.end())
        if found["target"] != "check" or _TESTING.search(recipe):
            runs.append(Run(f"{command} {found['target']}{_inside(place)}", path, recipe))
    yield from sorted(runs, key=lambda run: " check" in run.command)


def _manifests(files: Collection[str], facts: Sequence[tuple[str, Facts]], located: bool) -> Iterator[Run]:
    """What manifests say; of those below the root only where there are few and the root says nothing."""
    told = [(path, fact) for path, fact in facts if fact.tests]
    below = [path for path, _ in told if "/" in path]
    if not located and (len(below) < len(told) or len(below) > 2):
        told = [(path, fact) for path, fact in told if "/" not in path]
    for path, fact in told:
        folder = path.rpartition("/")[0]
        yield Run(_wrapped(fact.tests, folder, files) + _inside(folder), path)


def _recipe(text: str, at: int) -> str:
    """The line of a recipe that tests, else its first, without the marks that make it silent."""
    steps = []
    for line in text[at : at + 3_000].split("\n", 9)[1:9]:
        if line.strip() and line[:1] not in (" ", "\t"):
            break
        step = line.strip().removeprefix("cmds:").strip().removeprefix("- ").lstrip("@-")
        if step and not step.startswith(("#", "desc:", "deps:", "echo", "$(info")):
            steps.append(step[:120])
    return next((step for step in steps if _TESTING.search(step)), steps[0] if steps else "")


def _tox(name: str, place: str, read: Callable[[str], str]) -> str:
    if name != "tox.ini":
        return ""
    found = re.search(r"(?m)^commands[ \t]*=[ \t]*(?:\n[ \t]+)?([^\n]{1,120})", read(_join(place, name))[:MAX_TEXT])
    return found[1].strip() if found else ""


def _python(files: Iterable[str], read: Callable[[str], str]) -> Iterator[Run]:
    """Files that are named like tests: one of them tells which library it is written for."""
    tests = sorted(p for p in files if re.search(r"(?:^|/)(?:test_\w+|\w+_test)\.py$", p))
    for path in tests[:1]:
        text = read(path)[:MAX_TEXT]
        plain = "pytest" not in text and re.search(r"(?m)^(?:import unittest|from unittest)", text)
        yield Run("python -m unittest" if plain else "pytest", path)


def _wrapped(command: str, folder: str, files: Collection[str]) -> str:
    """`gradle test` → `./gradlew test` where there is a wrapper; npm becomes the manager whose lock file is there."""
    for name, plain, better in WRAPPERS:
        if command.startswith(plain) and any(_join(place, name) in files for place in (folder, *_folders(folder))):
            return better + command[len(plain) :]
    return command


def _integration(files: Iterable[str], read: Callable[[str], str]) -> Iterator[Run]:
    """Test commands in the steps of continuous integration."""
    found = sorted(
        (path for path in files if WORKFLOWS.fullmatch(path)),
        key=lambda path: (not _NAMED_FOR_TESTS.search(path.rpartition("/")[2]), len(path), path),
    )
    for path in found[:MAX_WORKFLOWS]:
        for keys, value in outline(read(path)[:MAX_TEXT]):
            line = value.strip()[:300]
            if not _STEPS.intersection(keys[-2:]) or line.startswith("#"):
                continue
            if _TESTING.search(line) and not _INSTALLING.search(line.split("&&")[0]):
                yield Run(re.sub(r"\s+", " ", line)[:140], path)


def _inside(folder: str) -> str:
    return f" (in {folder}/)" if folder else ""


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _folders(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path
