"""Installed packages: what a path below an installation directory says, and which packages the project itself declares.

A bug report to a library shows the library where it was installed (`pkg/mod/github.com/gin-gonic/gin@v1.10.0/tree.go`),
so its own files are found by the name under which the project publishes them. Pure: manifests are read by the caller.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_MANIFESTS = 40
MAX_CHARS = 400_000
"""Characters of a manifest; a longer one says nothing."""

_INSTALLED = re.compile(
    r".*(?:(?P<python>site-packages|dist-packages)|(?P<node>node_modules|bower_components)|(?P<go>pkg/mod)|"
    r"(?P<versioned>/gems|cargo/registry/src/[^/]+|\.pub-cache/hosted/[^/]+)|"
    r"cargo/git/checkouts/[^/]+/[^/]+|\.pub-cache/git|(?:^|/)deps|/vendor/bundle)/(?P<rest>.+)$"
)
_TRIMMED = re.compile(r"[\w-]+(?:\.[\w-]+)+/[^@]*@v\d")
"""Go leaves only the module's path when it builds with `-trimpath`."""
_COMPOSER = re.compile(r"(?:.*/)?vendor/(?P<rest>[\w.-]+/[\w.-]+/.+)$")
# Add here: where a package's name ends and the path below its directory begins.
_FORMS = {
    "python": re.compile(r"(?P<name>[^/]+)/(?P<rest>.+)$"),
    "node": re.compile(r"(?P<name>@[^/]+/[^/]+|[^@/][^/]*)/(?P<rest>.+)$"),
    "go": re.compile(r"(?P<name>[^@]+)@v\d[^/]*/(?P<rest>.+)$"),
    "versioned": re.compile(r"(?P<name>[^/]+?)-(?:v?\d+\.[^/]*|[0-9a-f]{12})/(?P<rest>.+)$"),
    "composer": re.compile(r"(?P<name>[^/]+/[^/]+)/(?P<rest>.+)$"),
}
_MAJOR = re.compile(r"/v\d+$")


@dataclass(frozen=True, slots=True)
class Installed:
    """A path below an installation directory; `name` is empty when the path does not tell the package."""

    whole: str
    kind: str = ""
    name: str = ""
    rest: str = ""
    """The path below the package's directory."""

    @property
    def short(self) -> str:
        """The last part of the name: without scope, host, owner and major version."""
        return _MAJOR.sub("", self.name).rpartition("/")[2]


def installed(path: str) -> Installed | None:
    """What a normalized path says about the package that it lies in; None when it is in no installation directory."""
    match = _INSTALLED.match(path)
    if match is not None:
        return _named(_kind(match), match["rest"])
    return _named("go", path) if _TRIMMED.match(path) else None


def composed(path: str) -> Installed | None:
    """The same for Composer's `vendor`, which may also be the name of a directory of the project."""
    match = _COMPOSER.match(path) if path.endswith(".php") else None
    return None if match is None else _named("composer", match["rest"])


def _kind(match: re.Match[str]) -> str:
    return next((kind for kind in ("python", "node", "go", "versioned") if match[kind]), "")


def _named(kind: str, whole: str) -> Installed:
    match = _FORMS[kind].match(whole) if kind else None
    return Installed(whole) if match is None else Installed(whole, kind, match["name"], match["rest"])


def key(name: str) -> str:
    """A package's name in the form in which two spellings of it are equal (`!` marks a capital letter in Go's cache)."""
    return _MAJOR.sub("", name.replace("!", "").lower().replace("_", "-"))


# ------------------------------------------------------------------------------------------------------- manifests

_MODULE = re.compile(r'^module[ \t]+"?([^\s"]+)', re.MULTILINE)
_GEM = re.compile(r"^\s{0,40}\w{1,40}\.name[ \t]*=[ \t]*[\"']([\w.-]+)[\"']", re.MULTILINE)


def _json(text: str) -> object:
    data = json.loads(text)
    return data.get("name") if isinstance(data, dict) else None


def _toml(*tables: tuple[str, ...]) -> Callable[[str], object]:
    def name(text: str) -> object:
        data = tomllib.loads(text)
        for table in tables:
            found: object = data
            for part in (*table, "name"):
                found = found.get(part) if isinstance(found, dict) else None
            if found:
                return found
        return None

    return name


def _first(pattern: re.Pattern[str]) -> Callable[[str], object]:
    def name(text: str) -> object:
        match = pattern.search(text)
        return match and match[1]

    return name


# Add here: manifests that name the package which they belong to.
_MANIFESTS: dict[str, Callable[[str], object]] = {
    "go.mod": _first(_MODULE),
    "package.json": _json,
    "composer.json": _json,
    "Cargo.toml": _toml(("package",)),
    "pyproject.toml": _toml(("project",), ("tool", "poetry")),
    ".gemspec": _first(_GEM),
}
# Add here: directories whose manifests do not describe the project.
_FOREIGN = frozenset("node_modules vendor fixtures __fixtures__ testdata third_party".split())


def declared_names(files: Sequence[str], read: Callable[[str], str | None]) -> dict[str, str]:
    """The packages that a project declares: name → its directory relative to the root, empty for the root itself.

    `read` gives a file's text, or None. Only manifests are read, those nearest to the root first, at most
    `MAX_MANIFESTS`; what cannot be read counts as absent. Of two packages with one name that nearer to the root is kept.
    """
    manifests = [
        (file.count("/"), file)
        for file in files
        if _reader(file) is not None and not _FOREIGN.intersection(file.split("/")[:-1])
    ]
    names: dict[str, str] = {}
    for _, file in sorted(manifests)[:MAX_MANIFESTS]:
        reader, text = _reader(file), read(file)
        if reader is None or not text or len(text) > MAX_CHARS:
            continue
        try:
            name = reader(text.removeprefix("\ufeff"))
        except (ValueError, RecursionError):  # not JSON, not TOML, or nested without end
            continue
        if isinstance(name, str) and name:
            names.setdefault(name, file.rpartition("/")[0])
    return names


def _reader(file: str) -> Callable[[str], object] | None:
    name = file.rpartition("/")[2]
    return _MANIFESTS.get(".gemspec" if name.endswith(".gemspec") else name)
