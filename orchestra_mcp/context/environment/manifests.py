"""What kind of project this is: languages, direct dependencies with versions, how its tests are run. Pure.

Each kind of manifest is one row in `READERS`: a file name, a function from its text to facts, and the files that know
which versions were resolved. A file that cannot be read counts as empty. Add here: one function and one row.
"""

from __future__ import annotations

import json
import re
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from typing import TypeVar

from orchestra_mcp.context.code.languages import language_of
from orchestra_mcp.context.environment import codemanifests, datamanifests, lockfiles, running
from orchestra_mcp.context.environment.dependencies import Facts, Lock, Need, table
from orchestra_mcp.context.packing import estimate_tokens
from orchestra_mcp.identifiers import subwords

MAX_MANIFESTS = 12
MAX_TEXT = 400_000
MAX_LOCK = 12_000_000
"""Characters of a manifest and of a lock file; a larger one says nothing."""
MAX_TOKENS = 220
"""For the text that a reader gets."""
DEPTH = 2
"""Manifests deeper than this count only when the question is about files below them."""

_SCRIPTS = ("javascript", "typescript", "tsx", "vue", "svelte")

T = TypeVar("T")
Read = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Reader:
    """How one kind of manifest is read."""

    read: Callable[[str], Facts]
    locks: tuple[str, ...] = ()
    """Keys of `lockfiles.LOCKS`, looked for beside the manifest and in the directories above; wishes first."""


_NODE = ("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock")
_PYTHON = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock")
_NET = ("Directory.Packages.props", "packages.lock.json")
_GRADLE = ("gradle/libs.versions.toml", "gradle.properties", "gradle.lockfile")
_JAVA_PARENT = ("pom.xml",)

READERS: dict[str, Reader] = {
    "pyproject.toml": Reader(datamanifests.pyproject, _PYTHON),
    "setup.cfg": Reader(datamanifests.setup_cfg, _PYTHON),
    "setup.py": Reader(codemanifests.setup_py, _PYTHON),
    "Pipfile": Reader(datamanifests.pipfile, _PYTHON),
    "package.json": Reader(datamanifests.package_json, _NODE),
    "go.mod": Reader(codemanifests.go_mod),
    "Cargo.toml": Reader(datamanifests.cargo, ("Cargo.toml", "Cargo.lock")),
    "pom.xml": Reader(codemanifests.pom, _JAVA_PARENT),
    "build.gradle": Reader(codemanifests.gradle, _GRADLE),
    "build.gradle.kts": Reader(codemanifests.gradle, _GRADLE),
    "*.csproj": Reader(codemanifests.csproj, _NET),
    "*.fsproj": Reader(codemanifests.csproj, _NET),
    "*.vbproj": Reader(codemanifests.csproj, _NET),
    "Gemfile": Reader(codemanifests.gemfile, ("Gemfile.lock",)),
    "*.gemspec": Reader(codemanifests.gemspec, ("Gemfile.lock",)),
    "composer.json": Reader(datamanifests.composer, ("composer.lock",)),
    "mix.exs": Reader(codemanifests.mix, ("mix.lock",)),
    "pubspec.yaml": Reader(datamanifests.pubspec, ("pubspec.lock",)),
    "Package.swift": Reader(codemanifests.package_swift, ("Package.resolved",)),
    "build.sbt": Reader(codemanifests.sbt),
    "CMakeLists.txt": Reader(codemanifests.cmake),
    "conanfile.txt": Reader(codemanifests.conan),
    "conanfile.py": Reader(codemanifests.conan),
    "vcpkg.json": Reader(datamanifests.vcpkg),
    "requirements*.txt": Reader(codemanifests.requirements),
    "*-requirements.txt": Reader(codemanifests.requirements),
    "environment*.yml": Reader(datamanifests.conda),
    "environment*.yaml": Reader(datamanifests.conda),
    "Dockerfile": Reader(codemanifests.dockerfile),
    "Containerfile": Reader(codemanifests.dockerfile),
    "docker-compose*.yml": Reader(datamanifests.compose),
    "docker-compose*.yaml": Reader(datamanifests.compose),
    "compose.y*ml": Reader(datamanifests.compose),
}
"""Manifests by file name, the most telling first. Add here."""

_GLOBS = tuple((key, re.compile(translate(key))) for key in READERS if "*" in key)
_ORDER = {key: place for place, key in enumerate(READERS)}
_ASIDE = re.compile(
    r"(?:^|/)(?:tests?|testdata|__tests__|specs?|fixtures?|examples?|samples?|demos?|docs?|templates?|benchmarks?|vendor|third_party"
    r"|extern|dist|build|ci|\.[^/]+)/"
)
_AROUND = ("services", "container image")
"""Kinds whose entries are not the product's own dependencies."""
_NEVER = re.compile(r"(?:^|/)(?:node_modules|site-packages|Pods|\.venv|venv)/")

# Add here: file name, runtime, and how the version is found in it (None: its first line).
PINS: dict[str, tuple[str, Callable[[str], str] | None]] = {
    ".python-version": ("Python", None),
    "runtime.txt": ("", None),
    ".nvmrc": ("Node", None),
    ".node-version": ("Node", None),
    ".ruby-version": ("Ruby", None),
    ".java-version": ("Java", None),
    ".go-version": ("Go", None),
    ".swift-version": ("Swift", None),
    "rust-toolchain": ("Rust", None),
    "rust-toolchain.toml": ("Rust", lambda text: "".join(re.findall(r'channel\s*=\s*"([^"\n]{1,40})"', text)[:1])),
    "global.json": (".NET SDK", lambda text: str(table(json.loads(text).get("sdk")).get("version", ""))),
    ".tool-versions": ("", lambda text: ", ".join(line.split("#")[0].strip() for line in text.split("\n")[:6] if line)),
    "project/build.properties": ("", lambda text: " ".join(re.findall(r"(sbt)\.version\s*=\s*(\S+)", text)[0])),
}

IMPORTED_AS = {
    "sklearn": "scikit-learn", "cv2": "opencv-python", "pil": "pillow", "bs4": "beautifulsoup4", "yaml": "pyyaml",
    "dateutil": "python-dateutil", "jwt": "pyjwt", "dotenv": "python-dotenv", "psycopg2": "psycopg2-binary",
    "mysqldb": "mysqlclient", "rest_framework": "djangorestframework", "attr": "attrs", "grpc": "grpcio",
    "google.protobuf": "protobuf", "serial": "pyserial", "usb": "pyusb", "zmq": "pyzmq", "openssl": "pyopenssl",
}  # fmt: skip
"""Packages that are imported under a name that is no part of theirs. Add here."""

_COMMON = frozenset(
    """api app apache base client cli code com common config core data dev framework github go golang google
    http io java js json kotlin lib log logging main net node org plugin py python rs rust sdk server service
    spec starter support system test tests testing tools types util utils v2 v3 version web www""".split()
)
"""Parts of package names that are in every question too; only the whole name counts then."""


@dataclass(frozen=True, slots=True)
class Project:
    """What all manifests and the list of files say together."""

    languages: tuple[tuple[str, int], ...] = ()
    """Language and number of files, most files first."""
    facts: tuple[tuple[str, Facts], ...] = ()
    """Path of each manifest and what it says; nearest to the question first, else nearest to the root."""
    tests: str = ""
    """The command that runs the tests."""
    runs: tuple[running.Run, ...] = ()
    """How tests are run, with where that is said; the first one's command is `tests`."""
    pins: tuple[str, ...] = ()
    """`Python 3.12 (.python-version)`."""
    notes: tuple[str, ...] = ()
    """Manifests and lock files that could not be read."""
    words: frozenset[str] = frozenset()
    """Words of the question in lower case; packages that they name come first."""

    @property
    def text(self) -> str:
        """At most about `MAX_TOKENS` tokens for a reader; empty when nothing is known."""
        lines = []
        if self.languages:
            lines.append("Languages: " + ", ".join(f"{name} ({count} files)" for name, count in self.languages[:5]))
        if self.pins:
            lines.append("Pinned: " + ", ".join(self.pins[:5]))
        runs = [f"Tests: {run.text}" for run in self.runs[:2]]
        notes = [f"({note})" for note in self.notes[:2]]
        left = MAX_TOKENS - sum(estimate_tokens(line) + 1 for line in (*lines, *runs, *notes))
        return "\n".join([*lines, *self._manifests(left), *runs, *notes])

    def _manifests(self, limit: int) -> list[str]:
        heads = [_head(path, fact) for path, fact in self.facts]
        costs = [estimate_tokens(head) + 4 for head in heads]
        shown: dict[int, list[Need]] = {0: []} if self.facts and self.facts[0][1].name else {}
        left = limit - sum(costs[place] for place in shown)
        ranked = [
            (_weight(need, fact, self.words), -place, -row, need)
            for place, (_, fact) in enumerate(self.facts)
            for row, need in enumerate(fact.needs)
        ]
        for _, place, _, need in sorted(ranked, key=lambda entry: entry[:3], reverse=True):
            cost = estimate_tokens(need.text) + 1 + (0 if -place in shown else costs[-place])
            if cost <= left:
                shown.setdefault(-place, []).append(need)
                left -= cost
        for place, cost in enumerate(costs):
            if place not in shown and cost <= left and not self.facts[place][1].needs:
                shown[place] = []
                left -= cost
        lines = []
        for place in sorted(shown):
            lines.append(heads[place])
            if shown[place]:
                more = len(self.facts[place][1].needs) - len(shown[place])
                names = ", ".join(need.text for need in shown[place])
                lines.append(f"  uses {names}" + (f" and {more} more" if more else ""))
        return lines


def _head(path: str, fact: Facts) -> str:
    title = f"{fact.name} {fact.version}".strip() if fact.name else ""
    head = f"{path}: {fact.kind}" + (f" “{title}”" if title else "") + (f", {fact.requires}" if fact.requires else "")
    return head + (f" (versions: {fact.locked_by})" if fact.locked_by else "")


def _weight(need: Need, fact: Facts, words: Collection[str]) -> int:
    found = relevance(need, words)
    return 1 if fact.kind in _AROUND and found == 2 else found


def relevance(need: Need, words: Collection[str]) -> int:
    """How much a question that uses these words (lower case) is about a package: 4 named, 3 in part, 2 product, 1 other."""
    name = need.name.lower()
    last = re.split(r"[/:]", name)[-1]
    if {name, last, name.replace("-", "_"), last.replace("-", "_"), last.removeprefix("@")} & set(words):
        return 4
    if any(IMPORTED_AS.get(word) == name for word in words):
        return 4
    parts = {part for part in subwords(need.name) if len(part) > 2} - _COMMON
    if parts & set(words):
        return 3
    return 1 if need.group else 2


def describe(files: Sequence[str], read: Read, words: Collection[str] = (), near: Sequence[str] = ()) -> Project:
    """Describe a project.

    Args:
        files: its paths, relative to the root.
        read: a file's text; empty when it cannot be read.
        words: identifiers and words of the question; packages that they name are shown first.
        near: paths that the question is about; manifests in the directories above them count first.
    """

    def text(path: str) -> str:
        return read(path).replace("\r\n", "\n")

    counts = Counter(name for path in files if (name := language_of(path)))
    survey = _Survey(files, text)
    facts = survey.facts(near)
    small = (
        not near and 0 < sum(counts[name] for name in _SCRIPTS) < counts.total() / 10
    )  # a few scripts for a web page
    telling = [(path, fact) for path, fact in facts if not (small and fact.kind.startswith("Node.js"))]
    runs = running.find(survey.files, text, telling, near)
    low = frozenset(w.lower() for w in words) | {p for w in words for p in subwords(w) if len(p) > 2}
    return Project(
        languages=tuple(counts.most_common()), facts=facts, tests=runs[0].command if runs else "", runs=runs,
        pins=tuple(survey.pins(near)), notes=tuple(survey.notes), words=low,
    )  # fmt: skip


def folders(path: str) -> Iterator[str]:
    """The directories above a path, nearest first, at last the root as an empty string."""
    while path:
        path = path.rpartition("/")[0]
        yield path


class _Survey:
    """One look at a project's manifests; every file is read at most once."""

    def __init__(self, files: Sequence[str], read: Read) -> None:
        self.files = frozenset(files)
        self.read = read
        self.notes: list[str] = []
        self.locks: dict[str, Lock | None] = {}

    def facts(self, near: Sequence[str]) -> tuple[tuple[str, Facts], ...]:
        above = {folder for path in near[:50] for folder in folders(path)}
        found = [(path, key) for path in self.files if (key := _kind(path)) and self._counts(path, above)]
        found.sort(key=lambda pair: (*_rank(pair[0], above, near), _ORDER[pair[1]], pair[0]))
        queue = deque(found)
        done: dict[str, Facts] = {}
        seen: set[str] = set()
        while queue and len(seen) < 2 * MAX_MANIFESTS and len(done) < MAX_MANIFESTS:
            path, key = queue.popleft()
            if path in seen:
                continue
            seen.add(path)
            fact = self._safely(READERS[key].read, path, MAX_TEXT)
            if fact is None:
                continue
            done[path] = self._resolved(path, fact, READERS[key])
            included = (_beside(path, name) for name in fact.includes[:5])
            queue.extendleft((name, "requirements*.txt") for name in included if name in self.files)
        return tuple(
            (path, fact) for path, fact in done.items() if fact.needs or fact.name or fact.requires or fact.tests
        )

    def pins(self, near: Sequence[str]) -> Iterator[str]:
        """Runtimes that are pinned at the root or nearer to the question."""
        for name, (runtime, find) in PINS.items():
            above = dict.fromkeys([*(f for path in near[:20] for f in folders(path)), ""])
            path = next((p for f in above if (p := _join(f, name)) in self.files), "")
            if path and (value := self._safely(find or _first_line, path, 4_000)):
                yield f"{runtime} {value[:80]} ({path})".strip()

    def _counts(self, path: str, above: set[str]) -> bool:
        return not _NEVER.search(path) and (path.count("/") <= DEPTH or path.rpartition("/")[0] in above)

    def _resolved(self, path: str, fact: Facts, reader: Reader) -> Facts:
        needs, by = fact.needs, ""
        for name in reader.locks:
            for folder in folders(path):
                place = _join(folder, name)
                lock = self._lock(place, name) if place in self.files else None
                if lock is None:
                    continue
                below = path.rpartition("/")[0].removeprefix(folder).strip("/")
                before, needs = needs, tuple(lockfiles.resolve(need, lock, below) for need in needs)
                by = by or (place if lock.resolved and needs != before else "")
        return replace(fact, needs=needs, locked_by=by)

    def _lock(self, path: str, name: str) -> Lock | None:
        if path not in self.locks:
            self.locks[path] = self._safely(lockfiles.LOCKS[name], path, MAX_LOCK)
        return self.locks[path]

    def _safely(self, use: Callable[[str], T], path: str, limit: int) -> T | None:
        """A manifest is foreign data of any shape; whatever it is, it must not stop the question."""
        text = self.read(path)
        if not text.strip():
            return None
        try:
            if len(text) > limit:
                raise ValueError("too large")
            return use(text)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError):
            if "/" not in path:
                self.notes.append(f"{path} could not be read")
            return None


def _first_line(text: str) -> str:
    return text.strip().split("\n")[0].split("#")[0].strip().removeprefix("v")


def _kind(path: str) -> str:
    name = path.rpartition("/")[2]
    if name in READERS:
        return name
    if not name.endswith(("proj", ".txt", ".yml", ".yaml", ".gemspec")) and "*" not in name:
        return ""
    return next((key for key, pattern in _GLOBS if pattern.match(name)), "")


def _rank(path: str, above: set[str], near: Sequence[str]) -> tuple[bool, int]:
    """Manifests above the question's files come first, the nearest at the front; then those near the root."""
    folder, depth = path.rpartition("/")[0], path.count("/")
    if near:
        return bool(folder not in above), -depth if folder in above else depth
    return bool(_ASIDE.search(path)), depth


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _beside(path: str, name: str) -> str:
    """A path that a file names, from that file's directory; empty when it leaves the project."""
    parts = path.split("/")[:-1]
    for part in name.split("/"):
        if part == "..":
            if not parts:
                return ""
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
