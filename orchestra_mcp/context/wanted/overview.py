"""The project from above: which part imports which."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import anyio.to_thread

from orchestra_mcp.context.code import uses
from orchestra_mcp.context.code.languages import language_of
from orchestra_mcp.context.packing import Candidate
from orchestra_mcp.context.wanted.scene import Scene, listing
from orchestra_mcp.paths import aside

MAX_PARSED = 60
"""Files whose imports are read: those of the best functions first, then those highest up."""
MAX_PARTS = 24
"""A map with more parts than this shows nothing; directories are joined until there are no more."""
ROOTS = ("src", "lib", "app", "pkg", "source", "python", "js", "packages", "src/main/java", "src/main/kotlin")
"""Directories that names of modules leave out. Add here."""


async def module_map(scene: Scene) -> list[Candidate]:
    """The parts of the project (directories, or files where there is one) with the parts that each imports."""
    code = [path for path in await scene.eyes.files() if language_of(path) and not aside(path)]
    near = [path for path in scene.near if path in set(code)]
    chosen = list(dict.fromkeys([*near, *sorted(code, key=lambda path: (path.count("/"), path))]))[:MAX_PARSED]
    named: dict[str, Sequence[str]] = {}
    for path in chosen:
        if (syntax := await scene.eyes.syntax(path)) is not None:
            named[path] = await anyio.to_thread.run_sync(uses.imports, syntax)
    part_of = parts(code)
    known = modules(code)
    edges: dict[str, Counter[str]] = defaultdict(Counter)
    for path, names in named.items():
        for target in {found for name in names if (found := resolve(name, path, known))}:
            if part_of[target] != part_of[path]:
                edges[part_of[path]][part_of[target]] += 1
    sizes = Counter(part_of.values())
    lines = [_row(part, sizes[part], edges[part]) for part in sorted(sizes, key=lambda p: (-len(edges[p]), p))]
    if len(code) > len(named):
        lines.append(f"(imports were read of {len(named)} of {len(code)} files)")
    return listing(lines, "parts of the project and what each imports", scene.room) if len(sizes) > 1 else []


def _row(part: str, size: int, imported: Counter[str]) -> str:
    files = f" ({size} files)" if size > 1 else ""
    used = ", ".join(name for name, _ in imported.most_common(6))
    return part + files + (f" imports {used}" if used else "")


def parts(paths: Sequence[str]) -> dict[str, str]:
    """Path → the part that it belongs to: the deepest directories, or files, of which there are not too many."""
    for depth in range(8, -1, -1):
        found = {path: _at(path, depth) for path in paths}
        if len(set(found.values())) <= MAX_PARTS:
            return found
    return {path: path.partition("/")[0] if "/" in path else "." for path in paths}


def _at(path: str, depth: int) -> str:
    pieces = path.split("/")
    return path if len(pieces) <= depth else "/".join(pieces[: max(1, depth)])


def modules(paths: Iterable[str]) -> dict[str, str]:
    """How files and directories can be named in an import, with slashes → a file."""
    known: dict[str, str] = {}
    for path in sorted(paths, key=lambda p: (p.count("/"), p), reverse=True):
        stem = path.rpartition(".")[0] or path
        folder, _, last = stem.rpartition("/")
        names = [stem, path, folder] if last not in ("__init__", "index", "mod", "lib") else [folder, stem]
        for name in filter(None, names):
            for root in ("", *ROOTS):
                if name.startswith(root):
                    known[name.removeprefix(root).strip("/") if root else name] = path
    known.pop("", None)
    return known


def resolve(name: str, path: str, known: dict[str, str]) -> str:
    """The project's file that an import in `path` means; empty for one from elsewhere."""
    folder = path.rpartition("/")[0].split("/") if "/" in path else []
    if dots := re.match(r"(\.+)(?=\w|$)", name):  # Python: from ..a.b
        up = len(dots[1]) - 1
        pieces = [*(folder[: len(folder) - up] if up else folder), *filter(None, name[len(dots[1]) :].split("."))]
    elif name.startswith("."):  # ./a, ../a/b
        pieces = list(folder)
        for piece in name.split("/"):
            if piece == "..":
                pieces = pieces[:-1]
            elif piece != ".":
                pieces.append(piece)
        pieces = [*pieces[:-1], pieces[-1].partition(".")[0]] if pieces else []
    else:
        slashed = "/" in name
        pieces = [piece for piece in re.split(r"/" if slashed else r"\.|::|\\", name) if piece]
        if slashed and pieces:
            pieces[-1] = pieces[-1].partition(".")[0] if not pieces[-1].startswith(".") else pieces[-1]
    for end in range(len(pieces), 0, -1):  # a.b.Name: the longest beginning that is a module
        if (found := known.get("/".join(pieces[:end]), "")) and found != path:
            return found
    for start in range(1, len(pieces)):  # example.com/project/internal/store, crate::store
        if (found := known.get("/".join(pieces[start:]), "")) and found != path:
            return found
    return ""
