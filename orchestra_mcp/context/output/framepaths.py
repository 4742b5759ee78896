"""Which file of the project a frame of a stack trace belongs to.

Traces come from other machines, containers and build directories, so a path is compared from its end: the longest
common run of components decides (research: two components, a basename that only one file bears, or the file's whole
path). Code that is obviously foreign (installed packages, runtimes) is only accepted when all that follows the
installation directory is found in the project: the project itself, installed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from orchestra_mcp.context.output import unmapped
from orchestra_mcp.context.output.installed import Installed, composed, installed, key
from orchestra_mcp.types import Frame, Trace

# Add here: what is printed as the place of code that no project holds.
_RUNTIME = re.compile(
    r"<|(?:/?rustc/|.*/rustc/[0-9a-f]{40}/)|node:|internal/|/usr/(?:local/)?(?:lib|lib32|lib64|libexec|include|bin|go|sdk|share)/|/lib(?:32|64|x32)?/|/usr/src/(?:python|ruby|linux|debug)|"
    r".*/lib/python\d|.*/Python\d*/Lib/|.*/(?:go|golang|goroot|GoRoot|libexec)(?:/go)?/src/(?:runtime|testing|net|reflect|sync|internal|os|fmt|io|syscall)/|"
    r"dart:|\[native|native$|anonymous|eval code|chrome-extension:|moz-extension:|/build/glibc|.*/rustlib/src/|.*/toolchains/|"
    r"(?:Cell |Input )?In ?\[\d|\((?:eval|irb|pry)|org/jruby/|wasm:|/_/src/(?:libraries|coreclr|mono|Hosting|Http|Servers|Middleware|Mvc|Shared)/|bootstrap_node\.js"
)
_RUNTIME_PACKAGES = re.compile(
    r"(?:java|javax|jakarta|jdk|sun|com\.sun|kotlin|kotlinx|scala|groovy|android|androidx|dalvik|org\.junit|junit|"
    r"org\.gradle|org\.apache\.maven|System|Microsoft|Xunit|NUnit|MS\.Internal|UnityEngine)\."
)
_SCHEME = re.compile(
    r"(?:webpack-internal|webpack|turbopack|rsc|file|https?|vite|app|ng|blob|capacitor|ionic|metro|resource|about|"
    r"sourcemap|rollup|bun|deno|server)(?:\+\w+)?:(?://)?/*",
    re.IGNORECASE,
)
_HOSTED = ("http", "webpack:", "app:", "capacitor", "ionic", "ng:", "turbopack", "rsc", "sourcemap")
_JVM = (".java", ".kt", ".kts", ".scala", ".groovy", ".clj")
# Add here: names that so many projects use that the name alone says nothing.
_COMMON_NAMES = frozenset(
    "__init__.py __main__.py main.py app.py utils.py util.py test.py tests.py setup.py conftest.py run.py models.py views.py "
    "base.py core.py types.py config.py settings.py urls.py exceptions.py errors.py helpers.py common.py constants.py "
    "index.js index.ts index.jsx index.tsx index.mjs index.cjs main.js main.ts app.js app.ts server.js test.js utils.js "
    "utils.ts types.ts config.js bundle.js main.go util.go utils.go types.go errors.go doc.go lib.rs main.rs mod.rs error.rs "
    "main.c main.cpp main.cc util.c utils.c utils.cpp main.rb app.rb index.php functions.php main.dart main.swift "
    "Program.cs Main.java Main.kt Utils.java Utils.kt application.ex router.ex".split()
)
# Add here: modules of Elixir's own applications, whose files are printed as `lib/enum.ex`.
_ELIXIR_OWN = frozenset(
    "Access Agent Application Calendar Code Config DynamicSupervisor EEx Enum Enumerable ExUnit File GenServer IEx IO Kernel "
    "Keyword List Logger Macro Map Mix Module Process Protocol Regex Registry Stream String Supervisor System Task".split()
)


@dataclass(slots=True)
class _Project:
    """The project's files by name, and the directories that a trace has shown to be its root."""

    by_name: dict[str, list[tuple[str, ...]]]
    files: frozenset[str]
    packages: dict[str, str]
    """The packages that the project declares, by `installed.key`, and their directories."""
    roots: set[str] = field(default_factory=set)
    unbuilt: set[str] = field(default_factory=set)
    """Printed paths of built files, of which only the source is in the project: their lines are not the source's."""


def resolve(trace: Trace, files: Sequence[str], names: Mapping[str, str] | None = None) -> Trace:
    """The same trace with `Frame.path` filled for each frame, also of its causes, that belongs to one of the files.

    `files` are relative to the project's root, with forward slashes. A frame stays unresolved when two files fit
    equally well: no path is better than a wrong one. `names` are the packages that the project declares
    (`installed.declared_names`): their installed copies are the project, other packages are not. A built file of which
    only the source is there loses its line, which is that of the built file.
    """
    by_name: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for file in files:
        parts = tuple(file.split("/"))
        by_name[parts[-1]].append(parts)
    packages = {key(name): directory for name, directory in (names or {}).items()}
    project = _Project(dict(by_name), frozenset(files), packages)
    chain: list[Trace] = []
    node: Trace | None = trace
    while node is not None:
        chain.append(node)
        node = node.cause
    found = [[_find(frame, link.language, project) for frame in link.frames] for link in chain]
    result: Trace | None = None
    for link, paths in zip(reversed(chain), reversed(found), strict=True):
        frames = tuple(
            frame.model_copy(update=_place(frame, path or _below_root(frame, project), project))
            for frame, path in zip(link.frames, paths, strict=True)
        )
        result = link.model_copy(update={"frames": frames, "cause": result})
    assert result is not None
    return result


def _place(frame: Frame, path: str, project: _Project) -> dict[str, str | int]:
    if path and frame.raw_path in project.unbuilt:
        return {"path": path, "line": 0, "column": 0}
    return {"path": path}


def _find(frame: Frame, language: str, project: _Project) -> str:
    raw = frame.raw_path
    if not raw:
        return _find_class(frame, language, project)
    if raw.endswith(_JVM) and "/" not in raw and "\\" not in raw:
        return _find_jvm(frame, project) if "." in frame.function else _only(project.by_name.get(raw, []))
    path = normal(raw)
    if path in project.files:
        return path
    if raw.startswith("package:"):  # Dart names the package; `lib` is left out
        return _find_dart(raw, project)
    place = installed(path)
    if place is not None:
        return _find_installed(place, raw, project)
    if (place := composed(path)) is not None and (found := _declared(place, raw, project)):
        return found
    if _RUNTIME.match(path) or _elixirs_own(frame, language, project):
        return ""
    if source := unmapped.source(path, project.files, project.by_name):
        project.unbuilt.add(raw)
        return source
    return _longest(path, project)


def normal(raw: str) -> str:
    """A printed path with forward slashes, without scheme, host, drive, query and leading `./`."""
    path = raw.strip().strip("\"'").replace("\\", "/")
    scheme = _SCHEME.match(path)
    if scheme is not None and path[1:2] != ":":
        rest = path[scheme.end() :]
        if scheme.group().lower().startswith(_HOSTED) and "///" not in scheme.group():
            rest = rest.partition("/")[2] or rest
        path = unquote(rest.partition("?")[0].partition("#")[0])
        if scheme.group().lower().startswith("file:") and path[1:2] != ":":
            path = "/" + path
    if path.startswith(("(", "[")) and path[1:].partition(")" if path[0] == "(" else "]")[2].startswith("/"):
        path = path.partition("/")[2]  # Next.js: `(app-pages-browser)/./src/page.tsx`, `[project]/src/page.tsx`
    if path.startswith("package:"):
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
    if best < 2 and (len(candidates) > 1 or (len(parts) > 1 and len(file) > 1 and file[-1] in _COMMON_NAMES)):
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


def _find_installed(place: Installed, raw: str, project: _Project) -> str:
    """An installed file: of a declared package, or `shop/cart.py`, or below a directory that bears the package's name."""
    found = _declared(place, raw, project) or _whole(place.whole, project)
    if not found and place.name and place.kind != "python" and _may_be_own(place, project):
        found = _whole(f"{place.short}/{place.rest}", project) or _whole(place.rest, project)
        above = found.split("/")[:-1]
        if project.packages and not place.rest.startswith("lib/"):  # gems repeat their name below `lib`
            above = above[: -place.rest.count("/") or None]
        if key(place.short) not in {key(part) for part in above}:
            found = ""
    return "" if _of_another(place, found, project) else found


def _declared(place: Installed, raw: str, project: _Project) -> str:
    """The file of a package that the project declares, below the directory of its manifest."""
    directory = project.packages.get(key(place.name)) if place.name else None
    if directory is None:
        return ""
    for below in (place.whole, "src/" + place.whole) if place.kind == "python" else (place.rest,):
        path = f"{directory}/{below}".lstrip("/")
        if path in project.files:
            return path
        if place.kind == "node" and (sources := unmapped.beside(path, project.files)):
            project.unbuilt.add(raw)
            return sources
    return ""


def _may_be_own(place: Installed, project: _Project) -> bool:
    """Not a package of npm whose scope is not the project's, nor a file that any package of that name could have."""
    if place.kind != "node":
        return True
    if "/" not in place.rest or place.rest.rpartition("/")[2] in _COMMON_NAMES:
        return False
    scope = key(place.name.partition("/")[0]) + "/"
    return not (project.packages and scope.startswith("@")) or any(name.startswith(scope) for name in project.packages)


def _of_another(place: Installed, found: str, project: _Project) -> bool:
    """True for a file of a member of the workspace that is published under another name."""
    if not found or not place.name or key(place.name) in project.packages or place.kind == "python":
        return False
    directories = found.split("/")[:-1]
    above = {"/".join(directories[:end]) for end in range(1, len(directories) + 1)}
    return any(directory in above for directory in project.packages.values())


def _elixirs_own(frame: Frame, language: str, project: _Project) -> bool:
    own = language == "elixir" and frame.function.partition(".")[0] in _ELIXIR_OWN
    return own and "lib/elixir/lib/kernel.ex" not in project.files


def _only(candidates: list[tuple[str, ...]]) -> str:
    return "/".join(candidates[0]) if len(candidates) == 1 else ""


def _find_dart(raw: str, project: _Project) -> str:
    """`package:shop/cart.dart` is `lib/cart.dart` of the package `shop`, which is the project or a directory in it."""
    package, _, rest = raw.removeprefix("package:").partition("/")
    wanted = ("lib", *rest.split("/"))
    fitting = [file for file in project.by_name.get(wanted[-1], []) if file[-len(wanted) :] == wanted]
    named = [file for file in fitting if file[-len(wanted) - 1 : -len(wanted)] == (package,)]
    return _only(named) or _only(fitting)


def _packages(function: str) -> list[str]:
    """`com.example.Cart$Item.price` → `com`, `example`."""
    packages: list[str] = []
    for part in function.split(".")[:-1]:
        if part[:1].isupper() or "$" in part:
            break
        packages.append(part)
    return packages


def _find_jvm(frame: Frame, project: _Project) -> str:
    """The JVM prints a bare file name; the directories are the packages of the class."""
    if _RUNTIME_PACKAGES.match(frame.function):
        return ""
    packages = _packages(frame.function)
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


# Add here: languages whose class names tell the file, and the file's suffixes.
_CLASS_FILES = {
    "java": (".java", ".kt"), "kotlin": (".kt", ".java"), "scala": (".scala",), "groovy": (".groovy", ".java"),
    "c_sharp": (".cs", ".fs", ".vb"),
}  # fmt: skip


def _find_class(frame: Frame, language: str, project: _Project) -> str:
    """A frame without a file: the class names it, when just one file bears that name and lies where the name says."""
    if language not in _CLASS_FILES or _RUNTIME_PACKAGES.match(frame.function):
        return ""
    names = re.split(r"[.+$/>]", frame.function)
    for suffix in _CLASS_FILES[language]:
        for at in range(len(names) - 2, -1, -1):
            candidates = project.by_name.get(names[at] + suffix, []) if names[at] else []
            if not candidates:
                continue
            spaces = [name for name in names[:at] if name]
            if language == "c_sharp":
                spaces = [part.lower() for part in spaces]
                fitting = [file for file in candidates if _in_namespace(file, spaces)]
            else:
                wanted = (*spaces, candidates[0][-1])
                fitting = [file for file in candidates if file[-len(wanted) :] == wanted]
            return _only(fitting)
    return ""


def _in_namespace(file: tuple[str, ...], spaces: list[str]) -> bool:
    """A namespace of C# follows the directories, more or less: one of its parts must be there."""
    there = {part for directory in file[:-1] for part in directory.lower().split(".")}
    return not spaces or not there or any(space in there for space in spaces)


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
