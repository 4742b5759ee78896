"""Text for the eye, Markdown and code, made into words that a voice can read. Pure.

What comes from experts is untrusted: only letters, digits and simple punctuation are left of it, so that no markup of a speech
engine (SSML, `[[…]]`), no link and no command gets through.
"""

from __future__ import annotations

import re
from typing import Final

from orchestra_mcp.foreign import plain

MOST_CHARS: Final = 2_000
"""Of a text; what comes after them is not read. (Some patterns below take time with the square of the length.)"""
BLOCK: Final = re.compile(r"(```|~~~).*?(?:\1|\Z)", re.DOTALL)
IMAGE_OR_LINK: Final = re.compile(r"!?\[([^\[\]]{0,200})\]\([^()\s]{0,1000}[^()]{0,200}\)")
URL: Final = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://\S{1,2000}|\bwww\.\S{1,2000}", re.IGNORECASE)
TAG: Final = re.compile(r"</?[a-zA-Z!][^<>]{0,500}>")
MARGIN: Final = re.compile(r"^\s*(?:#{1,6}\s+|>\s?|[-*+]\s+|\d{1,3}[.)]\s+)+", re.MULTILINE)
CODE: Final = re.compile(r"`{1,2}([^`\n]{1,200})`{1,2}")
HASH: Final = re.compile(r"\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}\b")
UUID: Final = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
FILE: Final = re.compile(
    r"(?<![\w.-])(?:[A-Za-z]:)?(?P<dirs>(?:[\w.~@-]{0,80}[/\\]){0,40})(?P<name>[\w-][\w-]*(?:\.[\w-]+)*)\.(?P<kind>[A-Za-z][A-Za-z0-9]{0,7})"
    r"(?::(?P<line>\d{1,7})(?::\d{1,5})?(?:-(?P<last>\d{1,7}))?)?(?![\w/\\])"
)
KINDS: Final = frozenset(
    "py pyi pyx js jsx mjs cjs ts tsx java kt kts scala go rs c h cc cpp cxx hpp hh cs fs rb php pl lua swift dart ex exs erl hs ml r jl "
    "sql sh bash zsh ps1 bat html htm css scss sass vue svelte json jsonl yaml yml toml ini cfg conf env lock md rst txt csv tsv xml "
    "proto graphql tf hcl gradle cmake mk log diff patch ipynb db sqlite png svg wav so dll exe zip tar gz whl jar".split()
)
"""Endings of files: a name that ends otherwise is an attribute, as in `self.cache`."""
DIRECTORY: Final = re.compile(r"(?<![\w<])(?:[A-Za-z]:)?(?:[\w.~@-]{0,80}[/\\]){2,40}[\w.~@-]{0,80}")
CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
WORD: Final = re.compile(r"[A-Za-z_$][\w$]*(?:(?:\.|::|->|#)[A-Za-z_$][\w$]*)*(?:\(\))?")
INDEX: Final = re.compile(r"(?<=\w)\[[^\[\]\w]*(?:[\w.]{0,40}[^\[\]\w.]+){0,5}[\w.]{0,40}\]")
"""Between brackets after a name: an index, a slice, a type. What it says is seldom what is meant by the sentence."""
SHORT: Final = (
    (re.compile(r"\b(?:e\.\s?g\.)", re.IGNORECASE), "for example"),
    (re.compile(r"\b(?:i\.\s?e\.)", re.IGNORECASE), "that is"),
    (re.compile(r"\b(?:vs\.?)(?=\s)", re.IGNORECASE), "versus"),
    (re.compile(r"\betc\.", re.IGNORECASE), "and so on"),
)
SIGNS: Final = (
    (re.compile(r"\s\(([^()]{1,200})\)"), r", \1, "),
    (re.compile(r"=>|->|→|⇒"), " to "),
    (re.compile(r"!==?|≠|<>"), " is not "),
    (re.compile(r"===?"), " equals "),
    (re.compile(r"<=|≤"), " at most "),
    (re.compile(r">=|≥"), " at least "),
    (re.compile(r"(?<=\s)<(?=\s)"), " is less than "),
    (re.compile(r"(?<=\s)>(?=\s)"), " is more than "),
    (re.compile(r"(?<=\w)\s*=\s*(?=\w)"), " equals "),
    (re.compile(r"&&|&"), " and "),
    (re.compile(r"\|\|"), " or "),
    (re.compile(r"(?<=\d)\s*%|(?<=\s)%(?=\s)"), " percent"),
    (re.compile(r"\$(?=\d)"), " dollars "),
    (re.compile(r"(?<=[\w)])\s*\+\s*(?=[\w(])"), " plus "),
    (re.compile(r"(?<![\w-])-(?=\d)"), " minus "),
    (re.compile(r"(?<=\d)\s?[–-]\s?(?=\d)"), " to "),
    (re.compile(r"\s[–—-]+\s|—"), ", "),
)
UNREADABLE: Final = re.compile(r"[^\w\s.,;:'’?!-]|_")
LONE_MARKS: Final = re.compile(r"(?<!\S)[.,;:'’?!-]+(?!\S)")
REPEATED: Final = re.compile(r"([.,;:?!])[.,;:?!]+")


def readable(text: str) -> str:
    """The text as words and simple punctuation, on one line. Code blocks, addresses and hashes are named, not read."""
    text = BLOCK.sub(" some code ", plain(text[:MOST_CHARS]))
    text = IMAGE_OR_LINK.sub(r" \1 ", text)
    text = URL.sub(" a link ", text)
    text = UUID.sub(" an id ", text)
    text = MARGIN.sub("", text)
    text = TAG.sub(" ", text)
    text = CODE.sub(lambda found: f" {found[1]} ", text)
    text = HASH.sub(" a hash ", text)
    text = FILE.sub(_file, text)
    text = DIRECTORY.sub(_directory, text)
    text = INDEX.sub(" ", text)
    for sign, word in SHORT:
        text = sign.sub(word, text)
    text = WORD.sub(lambda found: identifier(found[0]), text)
    for sign, word in SIGNS:
        text = sign.sub(word, text)
    text = UNREADABLE.sub(" ", text)
    text = re.sub(r"(?<=\w)\s{1,9}([.,;:?!])(?!\w)", r"\1", text)
    text = LONE_MARKS.sub(" ", text)
    return " ".join(REPEATED.sub(r"\1", text).split())


def identifier(name: str) -> str:
    """A name from code as words: `get_user_by_id` and `getUserById` as "get user by id", `self.cache` as "self dot cache"."""
    name = name.removesuffix("()")
    if not re.search(r"[_$.:#>]|[a-z0-9][A-Z]|[A-Z]{2}[a-z]", name):
        return name
    parts = [part for part in re.split(r"\.|::|->|#", name) if part]
    return " dot ".join(filter(None, (_words(part) for part in parts)))


def _words(name: str) -> str:
    """One name without dots. Words of capitals stay (HTTP), others become small, as in speech."""
    parts = [part for piece in re.split(r"[_$\-]+", name) for part in CAMEL.split(piece) if part]
    if len(parts) <= 1:
        return parts[0] if parts else ""
    if all(part.isupper() for part in parts) and "_" in name:
        return " ".join(parts).lower()
    return " ".join(part if part.isupper() and len(part) > 1 else part.lower() for part in parts)


def _file(found: re.Match[str]) -> str:
    kind = found["kind"].lower()
    if kind not in KINDS or (not found["dirs"] and kind == "env" and found["name"] == "process"):
        return found[0]
    name = " dot ".join(_words(part) for part in found["name"].split("."))
    line = f" line {found['line']}" if found["line"] else ""
    if found["last"]:
        line += f" to {found['last']}"
    return f" {name} dot {found['kind'].lower()}{line} "


def _directory(found: re.Match[str]) -> str:
    parts = [_words(part) for part in re.split(r"[/\\]", found[0]) if part.strip(".~")]
    return " " + " ".join(parts[-2:]) + " "
