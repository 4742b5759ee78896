"""Which file of the project a frame of a stack trace belongs to.

Traces come from other machines, containers and build directories, so a path is compared from its end: the longest
common run of components decides. Code that is obviously foreign (installed packages, runtimes) is only accepted when
all that follows the installation directory is found in the project: the project itself, installed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestra_mcp.types import Frame, Trace

_INSTALLED = re.compile(
    r".*(?:site-packages|dist-packages|node_modules|bower_components|pkg/mod|/gems|\.cargo/registry/src/[^/]+|"
    r"\.pub-cache/hosted/[^/]+|/deps|/vendor/bundle)/(?P<rest>.+)$"
)
_RUNTIME = re.compile(
    r"<|/rustc/|node:|internal/|/?(?:usr|lib|lib64)/(?:local/)?(?:lib|include|bin|go|sdk|src)?/?|"
    r".*/lib/python\d|.*/Python\d*/Lib/|.*/(?:go|golang|goroot)/src/(?:runtime|testing|net|reflect|sync)/|"
    r"dart:|\[native|native$|anonymous|eval code|chrome-extension:|/build/glibc|.*/rustlib/src/|.*/toolchains/"
)
_RUNTIME_PACKAGES = re.compile(
    r"(?:java|javax|jdk|sun|com\.sun|kotlin|kotlinx|scala|groovy|android|androidx|dalvik|org\.junit|junit|"
    r"org\.gradle|org\.apache\.maven|System|Microsoft)\."
)
_SCHEME = re.compile(r"(?:webpack-internal|webpack|file|https?|vite|app|ng|blob|capacitor)://+", re.IGNORECASE)
_JVM = (".java", ".kt", ".kts", ".scala", ".groovy")


@dataclass(slots=True)
class _Project:
    """The project's files by name, and the directories that a trace has shown to be its root."""

    by_name: dict[str, list[tuple[str, ...]]]
    files: frozenset[str]
    roots: set[str] = field(default_factory=set)


def resolve(trace: Trace, files: Sequence[str]) -> Trace:
    """The same trace with `Frame.path` filled for each frame, also of its causes, that belongs to one of the files.

    `files` are relative to the project's root, with forward slashes. A frame stays unresolved when two files fit
    equally well: no path is better than a wrong one.
    """
    by_name: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for file in files:
        parts = tuple(file.split("/"))
        by_name[parts[-1]].append(parts)
    project = _Project(dict(by_name), frozenset(files))
    chain: list[Trace] = []
    node: Trace | None = trace
    while node is not None:
        chain.append(node)
        node = node.cause
    found = [[_find(frame, project) for frame in link.frames] for link in chain]
    result: Trace | None = None
    for link, paths in zip(reversed(chain), reversed(found), strict=True):
        frames = tuple(
            frame.model_copy(update={"path": path or _below_root(frame, project)})
            for frame, path in zip(link.frames, paths, strict=True)
        )
        result = link.model_copy(update={"frames": frames, "cause": result})
    assert result is not None
    return result


def _find(frame: Frame, project: _Project) -> str:
    raw = frame.raw_path
    if not raw:
        return ""
    if raw.endswith(_JVM) and "/" not in raw and "." in frame.function:
        return _find_jvm(frame, project)
    path = normal(raw)
    if path in project.files:
        return path
    installed = _INSTALLED.match(path)
    if installed is not None:
        return _whole(installed["rest"], project)
    if _RUNTIME.match(path):
        return ""
    return _longest(path, project)


def normal(raw: str) -> str:
    """A printed path with forward slashes, without scheme, host, drive, query and leading `./`."""
    path = raw.strip().replace("\\", "/")
    scheme = _SCHEME.match(path)
    if scheme is not None:
        path = path[scheme.end() :]
        if scheme.group().lower().startswith(("http", "webpack:", "app")):
            path = path.partition("/")[2] or path
        path = path.partition("?")[0].partition("#")[0]
    if path.startswith("package:"):  # Dart: the package's name stands for its lib directory
        path = "lib/" + path.partition("/")[2]
    if path[1:2] == ":" and path[:1].isalpha():
        path = path[2:]
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts and parts[-1] not in ("", ".."):
            parts.pop()
        elif part not in (".", "..") and (part or not parts):
            parts.append(part)
    return "/".join(parts)


def _longest(path: str, project: _Project) -> str:
    parts = tuple(part for part in path.split("/") if part)
    candidates = project.by_name.get(parts[-1], []) if parts else []
    if not candidates:
        return ""
    scored = [(_common(parts, file), file) for file in candidates]
    best = max(score for score, _ in scored)
    fitting = [file for score, file in scored if score == best]
    if len(fitting) > 1:
        # The file whose whole path is in the printed one wins: what is before it was the root there.
        fitting = [file for file in fitting if len(file) == best] if best > 1 else []
    if len(fitting) != 1:
        return ""
    file = fitting[0]
    if best < 2 and len(candidates) > 1:
        return ""
    found = "/".join(file)
    if best == len(file) and best > 1 and path.startswith("/"):
        project.roots.add(path[: -len(found)])
    return found


def _whole(rest: str, project: _Project) -> str:
    """The one file of the project that ends with all of a path; the shallowest when several do."""
    parts = tuple(part for part in rest.split("/") if part)
    if not parts:
        return ""
    fitting = [file for file in project.by_name.get(parts[-1], []) if file[-len(parts) :] == parts]
    if len(parts) == 1:
        fitting = [file for file in fitting if file[:-1] in ((), ("src",))]
    fitting.sort(key=len)
    if not fitting or (len(fitting) > 1 and len(fitting[0]) == len(fitting[1])):
        return ""
    return "/".join(fitting[0])


def _find_jvm(frame: Frame, project: _Project) -> str:
    """The JVM prints a bare file name; the directories are the packages of the class."""
    if _RUNTIME_PACKAGES.match(frame.function):
        return ""
    packages: list[str] = []
    for part in frame.function.split(".")[:-1]:
        if part[:1].isupper() or "$" in part:
            break
        packages.append(part)
    candidates = project.by_name.get(frame.raw_path, [])
    wanted = (*packages, frame.raw_path)
    fitting = [file for file in candidates if file[-len(wanted) :] == wanted]
    if len(fitting) == 1:
        return "/".join(fitting[0])
    if not fitting and not frame.raw_path.endswith(".java"):
        # Kotlin and Scala may leave out the packages that all files of a project share.
        fitting = [file for file in candidates if _common(wanted, file) >= min(2, len(wanted))]
        return "/".join(fitting[0]) if len(fitting) == 1 else ""
    return ""


def _below_root(frame: Frame, project: _Project) -> str:
    """A frame that fits several files, or none by itself, below a directory that another frame showed to be the root."""
    path = normal(frame.raw_path) if frame.raw_path else ""
    for root in project.roots:
        if path.startswith(root) and path[len(root) :] in project.files:
            return path[len(root) :]
    return ""


def _common(left: tuple[str, ...], right: tuple[str, ...]) -> int:
    """How many components two paths have in common, from their ends."""
    count = 0
    for a, b in zip(reversed(left), reversed(right), strict=False):
        if a != b:
            break
        count += 1
    return count
