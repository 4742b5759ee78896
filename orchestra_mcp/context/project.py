"""Which directory is the project, and which of its files may be read.

The root comes from the user, the client or the place where the process was started, never from a model. `confine` is
the only way from a name to a file: it follows symbolic links first and judges afterwards, so that neither `..` nor a
link nor a device leads out, and it never hands out files that hold credentials by their name.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatch, translate
from pathlib import Path
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname

from orchestra_mcp.errors import ProjectError

MANIFESTS = (
    "pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile", "tox.ini",
    "package.json", "deno.json", "tsconfig.json", "go.mod", "Cargo.toml", "pom.xml",
    "build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts", "build.sbt",
    "Gemfile", "composer.json", "mix.exs", "pubspec.yaml", "Package.swift", "stack.yaml",
    "CMakeLists.txt", "Makefile", "makefile", "GNUmakefile", "meson.build", "WORKSPACE", "BUILD.bazel",
    "Dockerfile", "justfile", "flake.nix", "*.sln", "*.csproj", "*.cabal", "*.gemspec",
)  # fmt: skip
"""Files whose presence says that a directory is a project. Add here."""

DENIED_FILES = (
    ".env*", "*.env", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk",
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".npmrc", ".netrc", "_netrc", ".pypirc", ".pgpass",
    ".htpasswd", ".git-credentials", "credentials*", ".dockercfg", ".vault-token",
    "client_secret*.json", "service-account*.json", "service_account*.json", "*.tfstate", "*.tfstate.backup", "*.ovpn",
)  # fmt: skip
"""Names of files that are never read or shown, in lower case; a match anywhere below the root. Add here."""

DENIED_DIRS = (".git", ".ssh", ".aws", ".gnupg", ".kube", ".docker", ".azure", ".gcloud", ".password-store")
"""Directories whose content is never read or shown."""

PRIVATE_DIRS = (
    *DENIED_DIRS,
    ".config",
    ".local/share",
    ".mozilla",
    ".thunderbird",
    ".claude",
    ".codex",
    ".gemini",
    "Library",
    "AppData/Roaming",
)
"""Directories below the home directory that are never a project, nor is anything in them."""

SYSTEM_DIRS = ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/run", "/sbin", "/sys", "/usr", "/var/lib", "/System")
"""Directories of the operating system that are never a project, nor (but for `/usr/src`, `/usr/local`) is anything in them."""

SOURCE_SUFFIXES = (
    ".py", ".pyi", ".js", ".jsx", ".mjs", ".ts", ".tsx", ".go", ".rs", ".java", ".kt", ".scala", ".rb", ".php",
    ".cs", ".c", ".cc", ".cpp", ".h", ".hpp", ".swift", ".ex", ".exs", ".dart", ".lua", ".vue", ".md",
)  # fmt: skip
"""`credentials.py` is code about credentials, not credentials."""

_DENIED_DIRS = frozenset(DENIED_DIRS)
_DENIED_NAME = re.compile("|".join(translate(pattern) for pattern in DENIED_FILES))
_UNSET = re.compile(r"\$\{.*\}|\$[A-Z_]+", re.DOTALL)


def find_root(
    given: str | None,
    environ: Mapping[str, str],
    client_roots: Sequence[str] = (),
    cwd: Path | None = None,
    allowed_roots: Sequence[str] = (),
) -> Path | None:
    """Find the project's root; inside a git work tree, that is its top level.

    The first of these that is set decides: `given`, `ORCHESTRA_PROJECT_DIR`, `CLAUDE_PROJECT_DIR`, the roots that the
    client declared (paths or `file://` addresses), and `cwd` if it looks like a project. Empty values and a literal
    `${NAME}` (what clients pass for an unset variable) count as unset. What a person named (the first two) must be
    usable; what only a client or a shell happened to say is passed over when it is not.

    Raises:
        ProjectError: the directory that was named does not exist, is a file, is no project directory (such as the
            home directory), or lies outside `allowed_roots`.
    """
    here = cwd or Path.cwd()
    if _is_set(given):
        return _judge(str(given), "The project directory", environ, here, allowed_roots)
    if _is_set(value := environ.get("ORCHESTRA_PROJECT_DIR")):
        return _judge(str(value), "ORCHESTRA_PROJECT_DIR", environ, here, allowed_roots)
    ambient = [environ.get("CLAUDE_PROJECT_DIR"), *client_roots]
    if cwd is not None and looks_like_project(cwd):
        ambient.append(str(cwd))
    for value in ambient:
        if _is_set(value):
            try:
                return _judge(str(value), "The client's directory", environ, here, allowed_roots)
            except ProjectError:
                continue
    return None


def looks_like_project(directory: Path) -> bool:
    """True inside a git work tree, or where a manifest such as `pyproject.toml` lies."""
    if git_top(directory) is not None:
        return True
    try:
        names = [entry.name for entry in os.scandir(directory)]
    except OSError:
        return False
    return any(fnmatch(name, manifest) for name in names for manifest in MANIFESTS)


def git_top(directory: Path) -> Path | None:
    """The nearest directory at or above this one that holds a `.git`, without asking git."""
    try:
        start = directory.resolve()
    except (OSError, RuntimeError):
        return None
    for place in (start, *start.parents):
        mark = place / ".git"
        try:
            if (mark / "HEAD").exists() or (mark.is_file() and mark.stat().st_size < 10_000):
                return place
        except OSError:
            continue
    return None


def confine(root: Path, path: str) -> Path | None:
    """The real file behind a name inside the project, or None when it may not be read.

    None for: a name that leaves the root (by `..`, an absolute path, a network path or a symbolic link), one that does
    not exist, anything but a regular file, and names on the deny list, also when a link hides them.
    """
    if not path or "\0" in path or path.startswith(("\\\\", "//")):
        return None
    if os.name == "nt" and ":" in path[2:]:  # alternate data streams
        return None
    try:
        top = root.resolve(strict=True)
        named = Path(path)
        if ".." in named.parts:
            return None
        lexical = named if named.is_absolute() else top / named
        real = lexical.resolve(strict=True)
        if not real.is_relative_to(top) or not stat.S_ISREG(real.stat().st_mode):
            return None
    except (OSError, RuntimeError, ValueError):  # RuntimeError: a loop of links before Python 3.13
        return None
    as_named = named.parts if not named.is_absolute() else _below(top, root, named)
    if denied("/".join(as_named)) or denied(real.relative_to(top).as_posix()):
        return None
    return real


def denied(path: str) -> bool:
    """True when a relative path names a file that holds credentials, or lies in a directory that does."""
    *directories, name = path.replace("\\", "/").lower().rstrip("/").split("/")
    if name in DENIED_DIRS or not _DENIED_DIRS.isdisjoint(directories):
        return True
    if not _DENIED_NAME.match(name):
        return False
    return not (name.startswith("credentials") and name.endswith(SOURCE_SUFFIXES))


def read_bytes(root: Path, path: str, limit: int = 1_000_000) -> bytes | None:
    """The content of a confined file of at most `limit` bytes, else None. Blocking: call it in a thread."""
    real = confine(root, path)
    if real is None:
        return None
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(real, flags), "rb") as file:  # noqa: PTH123  (needs the flags: no link swapped in meanwhile)
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode) or info.st_size > limit:
                return None
            data = file.read(limit + 1)
    except OSError:
        return None
    return data if len(data) <= limit else None


def _is_set(value: str | None) -> bool:
    return bool(value and value.strip()) and not _UNSET.fullmatch(str(value).strip())


def _below(top: Path, root: Path, named: Path) -> tuple[str, ...]:
    for base in (top, root):
        if named.is_relative_to(base):
            return named.relative_to(base).parts
    return named.parts


def _judge(value: str, what: str, environ: Mapping[str, str], cwd: Path, allowed: Sequence[str]) -> Path:
    """The root that `value` names, after all refusals. `what` begins the error's sentence."""
    path = _to_path(value.strip(), what)
    try:
        real = (path if path.is_absolute() else cwd / path).resolve()
        is_dir, exists = real.is_dir(), real.exists()
    except (OSError, RuntimeError, ValueError):
        raise ProjectError(f"{what} {value!r} cannot be read; give an existing directory.") from None
    if not exists:
        raise ProjectError(f"{what} {value!r} does not exist; give the absolute path of an existing directory.")
    if not is_dir:
        raise ProjectError(f"{what} {value!r} is a file; give the directory that contains it.")
    if reason := _refusal(real, environ, allowed):
        raise ProjectError(f"{what} {value!r} {reason}")
    top = git_top(real)
    return top if top is not None and not _refusal(top, environ, allowed) else real


def _to_path(value: str, what: str) -> Path:
    if value.lower().startswith("file:"):
        parts = urlparse(value)
        if parts.netloc not in ("", "localhost"):
            raise ProjectError(f"{what} {value!r} lies on another machine; give a local directory.")
        value = url2pathname(parts.path) if os.name == "nt" else unquote(parts.path)
    elif re.match(r"[a-z][a-z0-9+.-]+://", value, re.IGNORECASE):
        raise ProjectError(f"{what} {value!r} is not a local directory; give a path or a file:// address.")
    if "\0" in value or value.startswith(("\\\\", "//")):
        raise ProjectError(f"{what} {value!r} is not a local directory; give an ordinary path.")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        return Path(value)


def _refusal(path: Path, environ: Mapping[str, str], allowed: Sequence[str]) -> str:
    """Why a directory may not be a project, as the end of a sentence; empty when it may."""
    inside = "give a directory inside it that is one project."
    if path.parent == path:
        return f"is the root of the file system; {inside}"
    for home in _homes(environ):
        if path == home:
            return f"is the home directory; {inside}"
        if home.is_relative_to(path) and not looks_like_project(path):
            return f"contains the home directory; {inside}"
        if any(path.is_relative_to(home / private) for private in PRIVATE_DIRS):
            return "holds private settings or keys and is never read; give a project directory."
    open_ = (Path("/usr/src"), Path("/usr/local"))
    if any(path.is_relative_to(d) for d in SYSTEM_DIRS) and not any(d in path.parents for d in open_):
        return "belongs to the operating system; give a project directory."
    if any(part in DENIED_DIRS for part in path.parts):
        return "lies in a directory for keys or git's own data; give the project directory itself."
    roots = [Path(root).expanduser().resolve() for root in allowed]
    if roots and not any(path.is_relative_to(root) for root in roots):
        return "lies outside the directories that `roots` in orchestra.toml allows; add it there or give another."
    return ""


def _homes(environ: Mapping[str, str]) -> tuple[Path, ...]:
    named = [environ.get("HOME"), environ.get("USERPROFILE")]
    with suppress(RuntimeError):
        named.append(str(Path.home()))
    homes = (Path(name).resolve() for name in named if name)
    return tuple(dict.fromkeys(home for home in homes if home.parent != home))
