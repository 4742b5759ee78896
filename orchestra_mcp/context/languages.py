"""Which language a file is written in, and the grammar and query that read it.

One row per language. A row names the file's suffixes, the module of the tree-sitter grammar (imported on first use)
and the query file in `queries/` that finds definitions, calls and imports. The captures that a query may use are
described in `symbols`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import import_module, resources
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import tree_sitter


@dataclass(frozen=True, slots=True)
class Language:
    """One language: how its files are recognised and which grammar reads them."""

    name: str
    suffixes: tuple[str, ...]
    module: str
    """Import name of the grammar's package."""
    filenames: tuple[str, ...] = ()
    """Whole file names, lower case, that mean this language whatever their suffix."""
    loader: str = "language"
    """Function of the module that returns the grammar."""
    query: str = ""
    """Stem of the query file; empty means the language's own name."""
    instead: str = ""
    """Language to read the file with when `instead_when` is found in it."""
    instead_when: re.Pattern[bytes] | None = None


Section = Literal["definitions", "calls", "imports"]

_SECTION = re.compile(r"^; (definitions|calls|imports)$", re.MULTILINE)
_CPLUSPLUS = re.compile(rb"^[ \t]*(?:class|namespace|template|using|public:|private:)\b", re.MULTILINE)

# Add here: a row, and queries/<name>.scm.
LANGUAGES: tuple[Language, ...] = (
    Language("python", (".py", ".pyi", ".pyw"), "tree_sitter_python", ("sconstruct", "wscript")),
    Language("javascript", (".js", ".jsx", ".mjs", ".cjs"), "tree_sitter_javascript", ("jakefile",)),
    Language("typescript", (".ts", ".mts", ".cts"), "tree_sitter_typescript", loader="language_typescript"),
    Language("tsx", (".tsx",), "tree_sitter_typescript", loader="language_tsx", query="typescript"),
    Language("go", (".go",), "tree_sitter_go"),
    Language("rust", (".rs",), "tree_sitter_rust"),
    Language("java", (".java",), "tree_sitter_java"),
    Language("c", (".c", ".h"), "tree_sitter_c", instead="cpp", instead_when=_CPLUSPLUS),
    Language("cpp", (".cc", ".cpp", ".cxx", ".c++", ".hh", ".hpp", ".hxx", ".ipp"), "tree_sitter_cpp"),
    Language("c_sharp", (".cs", ".csx"), "tree_sitter_c_sharp"),
    Language("ruby", (".rb", ".rake", ".gemspec", ".ru"), "tree_sitter_ruby", ("rakefile", "gemfile", "vagrantfile")),
    Language("php", (".php", ".phtml"), "tree_sitter_php", loader="language_php"),
    Language("kotlin", (".kt", ".kts"), "tree_sitter_kotlin"),
    Language("swift", (".swift",), "tree_sitter_swift"),
    Language("bash", (".sh", ".bash"), "tree_sitter_bash", (".bashrc", ".bash_profile", ".profile")),
)


def language_of(path: str) -> str | None:
    """Name of the language that a path's file name stands for, or None when no row claims it."""
    name = path.replace("\\", "/").rpartition("/")[2].lower()
    stem, dot, ending = name.rpartition(".")
    suffix = dot + ending if stem else ""
    for row in LANGUAGES:
        if suffix in row.suffixes or name in row.filenames:
            return row.name
    return None


def language(name: str) -> Language:
    """The row of a language; raises KeyError for a name that `language_of` never returns."""
    for row in LANGUAGES:
        if row.name == name:
            return row
    raise KeyError(name)


@cache
def grammar(name: str) -> tree_sitter.Language | None:
    """The compiled grammar of a language, loaded once; None when its package is not installed or does not load."""
    import tree_sitter

    row = language(name)
    try:
        return tree_sitter.Language(getattr(import_module(row.module), row.loader)())
    except (ImportError, AttributeError, ValueError):  # not installed, renamed, or of another binary version
        return None


@cache
def query(name: str, section: Section) -> tree_sitter.Query | None:
    """One section of a language's query file, compiled once; None when the grammar is missing.

    A section starts with a comment line such as `; calls` and ends at the next one.
    """
    import tree_sitter

    compiled = grammar(name)
    if compiled is None:
        return None
    stem = language(name).query or name
    source = resources.files("orchestra_mcp.context").joinpath("queries", f"{stem}.scm").read_text("utf-8")
    sections = dict(zip(*[iter(_SECTION.split(source)[1:])] * 2, strict=True))
    return tree_sitter.Query(compiled, sections[section])
