"""What kind of project this is: languages, direct dependencies with versions, how its tests are run. Pure.

Each ecosystem is one row in `READERS`: the manifest's name and a function from its text to facts. A manifest that
cannot be parsed counts as empty. Add here: one function and one row.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from orchestra_mcp.context.languages import language_of

MAX_DEPENDENCIES = 30
MAX_MANIFESTS = 8


@dataclass(frozen=True, slots=True)
class Facts:
    """What one manifest says."""

    kind: str
    name: str = ""
    version: str = ""
    requires: str = ""
    """The runtime's version: `Python >=3.11`."""
    dependencies: tuple[str, ...] = ()
    """`httpx >=0.27`, direct ones only."""
    tests: str = ""
    """How tests are run, as far as the manifest tells."""


@dataclass(frozen=True, slots=True)
class Project:
    """What all manifests and the list of files say together."""

    languages: tuple[tuple[str, int], ...] = ()
    """Language and number of files, most files first."""
    facts: tuple[tuple[str, Facts], ...] = ()
    """Path of each manifest and what it says, nearest to the root first."""
    tests: str = ""

    @property
    def text(self) -> str:
        """About 200 tokens for a reader; empty when nothing is known."""
        lines = []
        if self.languages:
            lines.append("Languages: " + ", ".join(f"{name} ({count} files)" for name, count in self.languages[:6]))
        for path, fact in self.facts:
            title = " ".join(filter(None, (fact.name, fact.version)))
            head = f"{path}: {fact.kind}" + (f" “{title}”" if title else "")
            lines.append(head + (f", {fact.requires}" if fact.requires else ""))
            if fact.dependencies:
                more = len(fact.dependencies) - MAX_DEPENDENCIES
                shown = ", ".join(fact.dependencies[:MAX_DEPENDENCIES]) + (f" and {more} more" if more > 0 else "")
                lines.append(f"  depends on {shown}")
        if self.tests:
            lines.append(f"Tests (best guess): {self.tests}")
        return "\n".join(lines)


def describe(files: Sequence[str], read: Callable[[str], str]) -> Project:
    """Describe a project.

    Args:
        files: its paths, relative to the root.
        read: a file's text; empty when it cannot be read.
    """
    counts = Counter(name for path in files if (name := language_of(path)))
    manifests = sorted(
        (path for path in files if _reader(path) and path.count("/") <= 2 and "node_modules/" not in path),
        key=lambda path: (path.count("/"), path),
    )
    facts = []
    for path in manifests[:MAX_MANIFESTS]:
        reader = _reader(path)
        if reader and (fact := _safely(reader, read(path))):
            facts.append((path, fact))
    return Project(tuple(counts.most_common()), tuple(facts), _tests(files, [f for _, f in facts], read))


def _reader(path: str) -> Callable[[str], Facts] | None:
    name = PurePosixPath(path).name
    if re.fullmatch(r"(dev-|test-)?requirements([-_.]\w+)?\.txt", name):
        return _requirements
    return READERS.get(name)


def _safely(reader: Callable[[str], Facts], text: str) -> Facts | None:
    """A manifest is foreign data of any shape; whatever it is, it must not stop the question."""
    if not text.strip():
        return None
    try:
        return reader(text)
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError):
        return None


def _pyproject(text: str) -> Facts:
    table = tomllib.loads(text)
    project, poetry = table.get("project", {}), table.get("tool", {}).get("poetry", {})
    python = str(project.get("requires-python", ""))
    needs = [_requirement(str(line)) for line in project.get("dependencies", [])]
    needs += [f"{name} {_version(v)}".strip() for name, v in poetry.get("dependencies", {}).items() if name != "python"]
    tool = table.get("tool", {})
    runner = next((cmd for key, cmd in (("tox", "tox"), ("nox", "nox"), ("pytest", "pytest")) if key in tool), "")
    return Facts(
        kind="Python project", name=str(project.get("name") or poetry.get("name") or ""),
        version=str(project.get("version") or poetry.get("version") or ""),
        requires=f"Python {python}" if python else "", dependencies=tuple(needs), tests=runner,
    )  # fmt: skip


def _requirements(text: str) -> Facts:
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return Facts("Python requirements", dependencies=tuple(_requirement(x) for x in lines if x and x[0] not in "-."))


def _package_json(text: str) -> Facts:
    table = json.loads(text)
    needs = [f"{name} {version}" for name, version in table.get("dependencies", {}).items()]
    tools = [
        f"{name} {version} (dev)"
        for name, version in table.get("devDependencies", {}).items()
        if re.search(r"jest|vitest|mocha|typescript$|webpack|vite|next|react|eslint$|playwright", name)
    ]
    script = str(table.get("scripts", {}).get("test", ""))
    node = str(table.get("engines", {}).get("node", ""))
    tests = f"npm test ({script})" if script and "no test specified" not in script else ""
    return Facts(
        "Node.js package", str(table.get("name", "")), str(table.get("version", "")), f"Node {node}" if node else "",
        tuple(needs + tools), tests,
    )  # fmt: skip


def _go_mod(text: str) -> Facts:
    name = re.search(r"^module\s+(\S+)", text, re.MULTILINE)
    go = re.search(r"^go\s+(\S+)", text, re.MULTILINE)
    needs = re.findall(r"^\s*(?:require\s+)?([\w.-]+\.[\w.-]+/\S+)\s+(v\S+)(?!.*//\s*indirect)\s*$", text, re.MULTILINE)
    return Facts(
        "Go module", name[1] if name else "", "", f"Go {go[1]}" if go else "", tuple(f"{n} {v}" for n, v in needs),
        "go test ./...",
    )  # fmt: skip


def _cargo(text: str) -> Facts:
    table = tomllib.loads(text)
    package = table.get("package", {})
    sections = (table.get("dependencies", {}), table.get("workspace", {}).get("dependencies", {}))
    needs = [f"{name} {_version(value)}".strip() for section in sections for name, value in section.items()]
    edition = package.get("edition", "")
    return Facts(
        "Rust crate" if package else "Rust workspace", str(package.get("name", "")), _version(package.get("version", "")),
        f"edition {edition}" if isinstance(edition, str) and edition else "", tuple(needs), "cargo test",
    )  # fmt: skip


def _pom(text: str) -> Facts:
    text = re.sub(r"<!--.{0,20000}?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"<dependencyManagement>.*?</dependencyManagement>", "", text, count=3, flags=re.DOTALL)
    own = re.sub(r"<(parent|dependencies|build|profiles)>.*?</\1>", "", text, flags=re.DOTALL)
    needs = []
    for block in re.findall(r"<dependency>(.{0,3000}?)</dependency>", text, re.DOTALL):
        parts = [_tag(block, tag) for tag in ("groupId", "artifactId", "version")]
        needs.append(f"{parts[0]}:{parts[1]} {parts[2]}".strip())
    java = _tag(text, "maven.compiler.release") or _tag(text, "maven.compiler.source") or _tag(text, "java.version")
    return Facts(
        "Maven project", _tag(own, "artifactId"), _tag(own, "version"), f"Java {java}" if java else "",
        tuple(dict.fromkeys(needs)), "mvn test",
    )  # fmt: skip


def _gemfile(text: str) -> Facts:
    gems = re.findall(r"""^\s*gem\s+["']([^"']+)["'](?:\s*,\s*["']([^"']+)["'])?""", text, re.MULTILINE)
    tests = "bundle exec rspec" if any(name.startswith("rspec") for name, _ in gems) else "bundle exec rake test"
    ruby = re.search(r"""^\s*ruby\s+["']([^"']+)["']""", text, re.MULTILINE)
    return Facts(
        "Ruby project", requires=f"Ruby {ruby[1]}" if ruby else "", dependencies=tuple(" ".join(g).strip() for g in gems),
        tests=tests,
    )  # fmt: skip


def _composer(text: str) -> Facts:
    table = json.loads(text)
    require = dict(table.get("require", {}))
    php = require.pop("php", "")
    tests = "vendor/bin/phpunit" if "phpunit/phpunit" in table.get("require-dev", {}) else ""
    return Facts(
        "PHP project", str(table.get("name", "")), str(table.get("version", "")), f"PHP {php}" if php else "",
        tuple(f"{name} {version}" for name, version in require.items()), tests,
    )  # fmt: skip


READERS: dict[str, Callable[[str], Facts]] = {
    "pyproject.toml": _pyproject,
    "package.json": _package_json,
    "go.mod": _go_mod,
    "Cargo.toml": _cargo,
    "pom.xml": _pom,
    "Gemfile": _gemfile,
    "composer.json": _composer,
}
"""Manifests by name. Add here."""


def _requirement(line: str) -> str:
    """`httpx[http2]>=0.27; python_version<"3.13"` → `httpx >=0.27`."""
    line = line.split(";")[0].split(" --")[0].strip()
    found = re.match(r"([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*(.*)$", line)
    return f"{found[1]} {found[2].replace(' ', '')}".strip() if found else line


def _version(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("version") or value.get("git") or value.get("path") or ""
    return value if isinstance(value, str) else ""


def _tag(text: str, tag: str) -> str:
    found = re.search(rf"<{re.escape(tag)}>\s*([^<]{{0,200}}?)\s*</", text)
    return found[1] if found else ""


def _tests(files: Iterable[str], facts: Sequence[Facts], read: Callable[[str], str]) -> str:
    """How the tests are run: a `test` target of the Makefile, else what manifests say, else what files suggest."""
    names = set(files)
    makefile = next((name for name in ("Makefile", "makefile", "GNUmakefile") if name in names), "")
    if makefile and re.search(r"^test\s*:(?!=)", read(makefile), re.MULTILINE):
        return "make test"
    if said := next((fact.tests for fact in facts if fact.tests), ""):
        return said
    signs = (
        ("tox.ini", "tox"), ("noxfile.py", "nox"), ("pytest.ini", "pytest"), ("conftest.py", "pytest"),
        ("tests/conftest.py", "pytest"), ("build.gradle", "./gradlew test"), ("build.gradle.kts", "./gradlew test"),
        ("mix.exs", "mix test"), ("Package.swift", "swift test"), ("pubspec.yaml", "dart test"),
    )  # fmt: skip
    for name, command in signs:
        if name in names:
            return command
    if any(re.search(r"(^|/)test_\w+\.py$", name) for name in names):
        return "pytest"
    return ""
