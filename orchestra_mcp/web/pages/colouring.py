"""Code as HTML with classes for its colours: comments, strings, numbers, keywords and the names that they define.

One line at a time by one regular expression for a family of languages, and lines that nobody wrote by hand are left as
they are. So the longest single match is bounded, however the code was made: a lexer of a real grammar can hold the
interpreter's lock for seconds over a few thousand blanks, and a whole server with it. Add a language here: a name in
`FAMILIES`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final

LINE_CHARS: Final = 300
"""Longer lines are not coloured."""
NAME_CHARS: Final = 40
"""Of a language."""

COMMENT, STRING, NUMBER, KEYWORD, FUNCTION, CLASS, TAG = "c", "s", "m", "k", "nf", "nc", "nt"
"""Classes of spans, by the short names of pygments (https://pygments.org/docs/tokens/)."""
FUNCTIONS: Final = frozenset({"def", "fn", "func", "function", "fun", "sub", "defn", "defun"})
CLASSES: Final = frozenset({"class", "struct", "trait", "interface", "enum", "type", "module", "impl", "record"})
"""Words after which a name is defined."""


@dataclass(frozen=True)
class Family:
    """What languages that look alike have in common."""

    line: tuple[str, ...] = ()
    """Marks that make the rest of a line a comment."""
    blocks: tuple[tuple[str, str], ...] = ()
    """Marks of comments over several lines."""
    long: tuple[str, ...] = ()
    """Marks of strings over several lines."""
    quotes: str = "\"'"
    """Marks of strings within a line."""
    words: frozenset[str] = frozenset()
    """Keywords; small ones where case does not count."""
    caseless: bool = False
    tags: bool = False
    """`<name` and `</name` are tags."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


C: Final = Family(
    ("//",), (("/*", "*/"),), ("`",), words=_words(
        "abstract as async await auto bool boolean break byte case catch chan char class const constexpr continue crate debugger"
        " default defer delete do double dyn else enum explicit export extends extern false final finally float fn for func"
        " function go goto guard if impl implements import in inline instanceof int interface internal is let long loop match"
        " mod move mut namespace native new nil null nullptr object of operator override package private protected pub public"
        " readonly record ref require return sealed select self short signed sizeof static string struct super switch"
        " synchronized template this throw throws trait true try type typedef typename typeof undefined union unsafe unsigned"
        " use using val var virtual void volatile when where while with yield fun include echo foreach mixin"
    )
)  # fmt: skip
RUST: Final = replace(C, long=(), quotes='"')
"""An apostrophe begins the name of a lifetime there."""
PYTHON: Final = Family(
    ("#",), (), ('"""', "'''"), words=_words(
        "False None True and as assert async await break class continue def del elif else except finally for from global if"
        " import in is lambda match case nonlocal not or pass raise return self try type while with yield"
    )
)  # fmt: skip
SHELL: Final = Family(
    ("#",), words=_words(
        "if then else elif fi for while until do done case esac in function return local export readonly declare set unset"
        " shift source trap exit break continue select time eval exec"
    )
)  # fmt: skip
SCRIPT: Final = Family(
    ("#",), words=_words(
        "alias and begin break case class def defmodule defp do else elsif elseif end ensure false fn for foreach fun function"
        " if in include is last let library local module my new next nil not null or our package raise redo repeat require"
        " rescue return self source sub super then true undef unless until use when where while with yield FALSE NULL TRUE"
    )
)  # fmt: skip
DATA: Final = Family(("#",), words=_words("true false null yes no on off inf nan"))
INI: Final = Family(("#", ";"), words=_words("true false yes no on off"))
JSON: Final = Family(("//",), (("/*", "*/"),), quotes='"', words=_words("true false null"))
BUILD: Final = Family(
    ("#",), words=_words(
        "FROM RUN CMD COPY ADD ARG ENV EXPOSE ENTRYPOINT VOLUME USER WORKDIR LABEL HEALTHCHECK AS define endef else endif"
        " export ifdef ifeq ifndef ifneq include override foreach function if elseif set variable resource module provider"
    )
)  # fmt: skip
SQL: Final = Family(
    ("--",), (("/*", "*/"),), caseless=True, words=_words(
        "add all alter and any as asc begin between by case cast check column commit constraint create cross database default"
        " delete desc distinct drop else end except exists explain false fetch for foreign from full function grant group"
        " having if in index inner insert intersect into is join key left like limit natural not null offset on or order outer"
        " over partition primary references returning right rollback row select set table then transaction trigger true union"
        " unique update using values view when where window with without"
    )
)  # fmt: skip
DASHES: Final = Family(
    ("--",), (("{-", "-}"), ("--[[", "]]")), words=_words(
        "and begin break case class data deriving do else elseif end false for function goto if import in instance is let"
        " local module newtype nil not of or procedure repeat return then true type until where while"
    )
)  # fmt: skip
LISP: Final = Family(
    (";",), quotes='"', words=_words("def define defmacro defn defun do fn if in-ns lambda let loop ns nil quote recur when")
)  # fmt: skip
HTML: Final = Family((), (("<!--", "-->"),), tags=True)
CSS: Final = Family((), (("/*", "*/"),))
DIFF: Final = Family()
"""Coloured by how lines begin."""

_NAMES: Final = (
    (C, "c h cc cpp c++ cxx hpp objc objective-c java javascript js jsx mjs typescript ts tsx go golang zig d v"),
    (C, "kotlin kt swift scala csharp c# cs dart php groovy proto protobuf solidity glsl"),
    (RUST, "rust rs"),
    (PYTHON, "python py python3 pyi pycon starlark bzl"),
    (SHELL, "bash sh shell zsh fish ksh console shell-session"),
    (SCRIPT, "ruby rb perl pl r elixir ex exs julia jl crystal nix powershell ps1 awk tcl"),
    (DATA, "yaml yml toml properties env dotenv gitignore graphql"),
    (INI, "ini cfg conf asm nasm"),
    (JSON, "json json5 jsonc jsonl"),
    (BUILD, "dockerfile docker make makefile cmake hcl terraform tf"),
    (SQL, "sql postgresql postgres mysql sqlite plsql"),
    (DASHES, "lua haskell hs elm ada vhdl"),
    (LISP, "lisp clojure clj scheme racket elisp"),
    (HTML, "html xml svg vue svelte xhtml"),
    (CSS, "css scss sass less"),
    (DIFF, "diff patch udiff"),
)
FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(
    {name: family for family, names in _NAMES for name in names.split()}
)
"""By the names that stand behind a fence; small letters."""
BEGINNINGS: Final = (
    ("+++", "gh"),
    ("---", "gh"),
    ("diff ", "gh"),
    ("index ", "gh"),
    ("@@", "gu"),
    ("+", "gi"),
    ("-", "gd"),
)
"""Of lines of a diff, the first that fits."""


def coloured(code: str, language: str) -> str:
    """Code as HTML without a block around it; of a language that is not known, escaped only.

    Without its tags and escapes it is the code, letter by letter.
    """
    family = FAMILIES.get(language[:NAME_CHARS].lower())
    if family is None:
        return html.escape(code)
    if family is DIFF:
        return "\n".join(map(_changed, code.split("\n")))
    made, within = [], ("", "")
    for line in code.split("\n"):
        if len(line) > LINE_CHARS:
            made.append(html.escape(line))
            if within[0] and within[0] in line:
                within = ("", "")
            continue
        pieces: list[str] = []
        for kind, text, after in _tokens(line, family, within):
            pieces.append(_span(kind, text))
            within = after
        made.append("".join(pieces))
    return "\n".join(made)


def _tokens(line: str, family: Family, within: tuple[str, str]) -> Iterator[tuple[str, str, tuple[str, str]]]:
    """The pieces of a line: class, text, and what the piece after it stands in: the mark that ends it and its class."""
    at, before = 0, ""
    if within[0]:
        end = line.find(within[0])
        at = len(line) if end < 0 else end + len(within[0])
        after = within if end < 0 else ("", "")
        yield within[1], line[:at], after
    pattern = _pattern(family)
    while found := pattern.search(line, at):
        if found.start() > at:
            yield "", line[at : found.start()], ("", "")
        kind, text = found.lastgroup or "", found[0]
        at = found.end()
        if kind == "open":
            mark, sort = _closing(family, text)
            end = line.find(mark, at)
            if end < 0:
                yield sort, line[found.start() :], (mark, sort)
                return
            at = end + len(mark)
            yield sort, line[found.start() : at], ("", "")
        elif kind == "word":
            known = (text.lower() if family.caseless else text) in family.words
            sort = KEYWORD if known else FUNCTION if before in FUNCTIONS else CLASS if before in CLASSES else ""
            before = text if known else ""
            yield sort, text, ("", "")
        else:
            yield kind, text, ("", "")
    if at < len(line):
        yield "", line[at:], ("", "")


@lru_cache(maxsize=32)
def _pattern(family: Family) -> re.Pattern[str]:
    """What is looked for in a line; its groups are classes, `open`, `word`, `pair`. No part of it looks back (`++`)."""
    parts = []
    if opens := [mark for mark, _ in family.blocks] + list(family.long):
        parts.append(f"(?P<open>{'|'.join(re.escape(mark) for mark in opens)})")
    # Before it a blank or a bracket, or `$#` and the end of an address would be a comment.
    marks = [(r"(?<![^\s;,({\[])" if len(mark) == 1 else r"(?<!:)") + re.escape(mark) for mark in family.line]
    if marks:
        parts.append(f"(?P<{COMMENT}>(?:{'|'.join(marks)}).*)")
    parts.append(r"(?P<pair>\\.)")
    strings = (rf"{quote}(?:[^{quote}\\]|\\.)*+{quote}" for quote in family.quotes)
    parts.append(f"(?P<{STRING}>{'|'.join(strings)})")
    if family.tags:
        parts.append(rf"(?P<{TAG}></?[A-Za-z][\w:.-]*+)")
    parts.append(rf"(?P<{NUMBER}>\d[\w.]*+)")
    parts.append(r"(?P<word>[^\W\d][\w$]*+)")
    return re.compile("|".join(parts))


def _closing(family: Family, mark: str) -> tuple[str, str]:
    """The mark that ends what a mark opens, and the class of what is between."""
    return next(((end, COMMENT) for begin, end in family.blocks if begin == mark), (mark, STRING))


def _changed(line: str) -> str:
    return _span(next((kind for beginning, kind in BEGINNINGS if line.startswith(beginning)), ""), line)


def _span(kind: str, text: str) -> str:
    escaped = html.escape(text)
    return f'<span class="{kind}">{escaped}</span>' if kind in SHOWN and text else escaped


SHOWN: Final = frozenset({COMMENT, STRING, NUMBER, KEYWORD, FUNCTION, CLASS, TAG, "gh", "gi", "gd", "gu"})
