"""Imports that still name a module which the present change has renamed or removed."""

from __future__ import annotations

import posixpath
import re
import sys
from typing import TYPE_CHECKING, NamedTuple

from orchestra_mcp.council.residents import trees
from orchestra_mcp.types import Change, Evidence

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_MODULES = 8
MAX_LINES = 400  # on which a module's name is looked up
SCRIPT = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts")
PYTHON_IMPORTS = frozenset({"import_statement", "import_from_statement"})
GUARDS = frozenset({"try_statement", "if_statement"})  # an import in them may be meant to fail


class Orphan(NamedTuple):
    """A line that imports a module which is gone."""

    path: str
    line: int
    text: str


async def orphans(changes: tuple[Change, ...], evidence: Evidence) -> list[Orphan]:
    """Lines that import, under its old name, a module that the changes renamed or deleted."""
    gone = {c.old_path: c for c in changes if c.status == "renamed" and c.old_path}
    gone |= {c.path: c for c in changes if c.status == "deleted"}
    files = await evidence.files()
    found: list[Orphan] = []
    for old, change in list(gone.items())[:MAX_MODULES]:
        stem, suffix = posixpath.splitext(old)
        if suffix not in (".py", *SCRIPT) or await evidence.read(old) or _exists(stem, files):
            continue
        what = f"renamed to `{change.path}`" if change.status == "renamed" else "deleted"
        for path, line, _ in await evidence.mentions(posixpath.basename(stem), MAX_LINES):
            same = path.endswith(".py") if suffix == ".py" else path.endswith(SCRIPT)
            syntax = await evidence.syntax(path) if same else None
            if syntax is None or any((o.path, o.line) == (path, line) for o in found):
                continue
            nodes = [node for node in trees.walk_at(syntax.root, line) if trees.line_of(node) <= line]
            if suffix == ".py":
                name = await _python_name(nodes, path, stem, files, evidence)
            else:
                name = _script_name(nodes, path, line, old)
            if name:
                text = f"`{name}` is imported here, but `{old}` was {what} ({change.where}) and no file has its place"
                found.append(Orphan(path, line, text))
    return found


def _exists(stem: str, files: tuple[str, ...]) -> bool:
    """True when a file or package can still be imported under the old name."""
    return any(file.startswith((f"{stem}.", f"{stem}/")) for file in files)


async def _python_name(nodes: list[Node], importer: str, stem: str, files: tuple[str, ...], evidence: Evidence) -> str:
    """The module name by which one of these nodes imports `stem`; empty when it cannot be shown."""
    for node in nodes:
        if node.type not in PYTHON_IMPORTS or any(parent.type in GUARDS for parent in trees.above(node)):
            continue
        if node.type == "import_statement":
            modules = [child.child_by_field_name("name") or child for child in node.named_children]
            named = [trees.text(module) for module in modules]
            return next((name for name in named if _means(name, importer, stem, files)), "")
        module = trees.text(node.child_by_field_name("module_name"))
        if _means(module, importer, stem, files):
            return module
        names = [child.child_by_field_name("name") or child for child in node.children_by_field_name("name")]
        package, _, last = stem.rpartition("/")
        if last in [trees.text(name) for name in names] and _means(module, importer, package, files):
            init = "\n".join(await evidence.read(f"{package}/__init__.py"))
            if package and not re.search(rf"\b{re.escape(last)}\b|__getattr__|__path__|sys\.modules|import \*", init):
                return f"{module}{'' if module.endswith('.') else '.'}{last}"
    return ""


def _means(module: str, importer: str, stem: str, files: tuple[str, ...]) -> bool:
    """True when a module name, as `importer` writes it, can only mean the file or package at `stem`."""
    if not module or not stem:
        return False
    dots = len(module) - len(module.lstrip("."))
    parts = [part.strip() for part in module[dots:].split(".") if part.strip()]
    if dots:
        base = importer.split("/")[:-1]
        if dots - 1 > len(base):
            return False
        return "/".join(base[: len(base) - (dots - 1)] + parts) == stem
    tail = "/".join(parts)
    if stem != tail and not stem.endswith(f"/{tail}"):
        return False
    if len(parts) == 1 and (
        parts[0] in sys.stdlib_module_names or posixpath.dirname(importer) != posixpath.dirname(stem)
    ):
        return False
    root = stem.removesuffix(tail).rstrip("/")
    if f"{root}/__init__.py".lstrip("/") in files:
        return False  # the name begins inside a package: it means something else
    others = [
        f for f in files if f"/{f}".endswith((f"/{tail}.py", f"/{tail}/__init__.py")) and not f.startswith(f"{stem}/")
    ]
    return not others


def _script_name(nodes: list[Node], importer: str, line: int, old: str) -> str:
    """The relative path by which one of these nodes imports the old file; empty when none does."""
    for node in nodes:
        if node.type != "string" or trees.line_of(node) != line or node.parent is None:
            continue
        given = trees.text(node).strip("'\"`")
        parent = node.parent
        caller = parent.parent.child_by_field_name("function") if parent.type == "arguments" and parent.parent else None
        imports = parent.type in ("import_statement", "export_statement") or trees.text(caller) in ("require", "import")
        if not imports or not given.startswith((".", "..")) or any(p.type in GUARDS for p in trees.above(node)):
            continue
        target = posixpath.normpath(posixpath.join(posixpath.dirname(importer), given))
        stem = posixpath.splitext(old)[0]
        if target in (old, stem) or (target.endswith(SCRIPT) and posixpath.splitext(target)[0] == stem):
            return given
    return ""
