"""Which language a file is written in, and the grammar and query that read it.

One row per language. A row names the file's suffixes, the module of the tree-sitter grammar (imported on first use)
and the query file in `queries/` that finds definitions, calls and imports, or the sections of data and markup. The
captures that a query may use are described in `symbols`. Grammars marked `extra` are large and seldom wanted; they come
with the extra `languages`. A grammar that is not installed is no error: the file is text then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
    markup: bool = False
    """True for data and markup, of which sections are known and no definitions."""
    extra: bool = False
    """True when the grammar comes with the extra `languages` only."""


Section = Literal["definitions", "sections", "calls", "imports"]

_SECTION = re.compile(r"^; (definitions|sections|calls|imports)$", re.MULTILINE)
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
    Language(
        "cpp",
        (".cc", ".cpp", ".cxx", ".c++", ".hh", ".hpp", ".hxx", ".ipp", ".tcc", ".tpp", ".inl", ".cu"),
        "tree_sitter_cpp",
    ),
    Language("c_sharp", (".cs", ".csx"), "tree_sitter_c_sharp"),
    Language("ruby", (".rb", ".rake", ".gemspec", ".ru"), "tree_sitter_ruby", ("rakefile", "gemfile", "vagrantfile")),
    Language("php", (".php", ".phtml"), "tree_sitter_php", loader="language_php"),
    Language("kotlin", (".kt", ".kts"), "tree_sitter_kotlin"),
    Language("swift", (".swift",), "tree_sitter_swift"),
    Language("scala", (".scala", ".sc", ".sbt"), "tree_sitter_scala"),
    Language("groovy", (".groovy", ".gradle"), "tree_sitter_groovy", ("jenkinsfile",)),
    Language("dart", (".dart",), "tree_sitter_dart"),
    Language("elixir", (".ex", ".exs"), "tree_sitter_elixir"),
    Language("lua", (".lua",), "tree_sitter_lua"),
    Language("zig", (".zig",), "tree_sitter_zig"),
    Language("bash", (".sh", ".bash"), "tree_sitter_bash", (".bashrc", ".bash_profile", ".profile")),
    Language("powershell", (".ps1", ".psm1"), "tree_sitter_powershell"),
    Language("haskell", (".hs",), "tree_sitter_haskell", extra=True),
    Language("julia", (".jl",), "tree_sitter_julia", extra=True),
    Language("objc", (".m", ".mm"), "tree_sitter_objc", extra=True),
    Language("ocaml", (".ml",), "tree_sitter_ocaml", loader="language_ocaml", extra=True),
    Language("sql", (".sql",), "tree_sitter_sql", extra=True),
    Language("html", (".html", ".htm", ".xhtml"), "tree_sitter_html", markup=True),
    Language("css", (".css",), "tree_sitter_css", markup=True),
    Language("json", (".json", ".jsonc", ".json5"), "tree_sitter_json", markup=True),
    Language("yaml", (".yaml", ".yml"), "tree_sitter_yaml", markup=True),
    Language("toml", (".toml",), "tree_sitter_toml", ("pipfile",), markup=True),
    Language("markdown", (".md", ".markdown"), "tree_sitter_markdown", markup=True),
    Language("hcl", (".hcl", ".tf", ".tfvars"), "tree_sitter_hcl", markup=True),
    Language("make", (".mk",), "tree_sitter_make", ("makefile", "gnumakefile"), markup=True),
)

# Suffixes of files whose `<script>` is code and whose other parts are not, with the language of a script that names
# none. Add here.
COMPONENTS = {".vue": "javascript", ".svelte": "javascript"}

_CODE, _MARKUP = (
    {key: row.name for row in LANGUAGES if row.markup is markup for key in (*row.suffixes, *row.filenames)}
    for markup in (False, True)
)
_CODE |= COMPONENTS
_BY_NAME = {row.name: row for row in LANGUAGES}


def language_of(path: str) -> str | None:
    """Name of the programming language that a path's file name stands for, or None when no row claims it."""
    return _claimed(path, _CODE)


def markup_of(path: str) -> str | None:
    """Name of the data or markup language that a path's file name stands for, or None when no row claims it."""
    return _claimed(path, _MARKUP)


def _claimed(path: str, by_ending: Mapping[str, str]) -> str | None:
    name = path.replace("\\", "/").rpartition("/")[2].lower()
    stem, dot, ending = name.rpartition(".")
    return by_ending.get(name) or (by_ending.get(dot + ending) if stem else None)


def language(name: str) -> Language:
    """The row of a language; raises KeyError for a name that stands in no row."""
    return _BY_NAME[name]


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
    """One section of a language's query file, compiled once; None when the grammar or the section is missing.

    A section starts with a comment line such as `; calls` and ends at the next one.
    """
    import tree_sitter

    compiled = grammar(name)
    if compiled is None:
        return None
    stem = language(name).query or name
    source = resources.files("orchestra_mcp.context.code").joinpath("queries", f"{stem}.scm").read_text("utf-8")
    sections = dict(zip(*[iter(_SECTION.split(source)[1:])] * 2, strict=True))
    return tree_sitter.Query(compiled, sections[section]) if section in sections else None
