"""Text for the eye, Markdown and code, made into words that a voice can read. Pure.

What is heard says what is written: signs are read by name, two names that would sound alike are told apart, and code that cannot
be said is called "some code". What comes from experts is untrusted: only letters, digits and simple punctuation are left of it,
so that no markup of a speech engine (SSML, `[[…]]`), no link and no command gets through.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from orchestra_mcp.edge.speaking.codewords import BEFORE, BETWEEN, code, name
from orchestra_mcp.foreign import plain

MOST_CHARS: Final = 2_000
"""Of a text; what comes after them is not read. (Some patterns below take time with the square of the length.)"""
SOME_CODE: Final = "some code"
BLOCK: Final = re.compile(r"(```|~~~).*?(?:\1|\Z)", re.DOTALL)
IMAGE_OR_LINK: Final = re.compile(r"!?\[([^\[\]]{0,200})\]\([^()\s]{0,1000}[^()]{0,200}\)")
URL: Final = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://\S{1,2000}|\bwww\.\S{1,2000}", re.IGNORECASE)
TAG: Final = re.compile(
    r"(?:</|(?<![\w<])<)([a-zA-Z][\w-]{0,30})(?:\s+[\w:-]+=(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s<>\"']+))*\s*/?>|<!--.{0,500}?-->"
)
LAYOUT: Final = frozenset(
    "b i em strong u s p br hr span sub sup code pre tt kbd small speak voice prosody break emphasis".split()
)
"""Tags that only say how it looks or sounds."""
MARGIN: Final = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]|[-*+][ \t]+(?!\d)|\d{1,3}[.)][ \t]+)+", re.MULTILINE)
STRUCK: Final = re.compile(r"~~(?![\s~])[^~\n]{1,300}~~")
STRESS: Final = (
    re.compile(r"(?<![*\w])\*{3}(?![\s*])([^*\n]{1,300}?)(?<![\s*])\*{3}(?![*\w])"),
    re.compile(r"(?<![*\w])\*\*(?![\s*])([^*\n]{1,300}?)(?<![\s*])\*\*(?![*\w])"),
    re.compile(r"(?<![*\w])\*(?![\s*])([^*\n]{1,300}?)(?<![\s*])\*(?![*\w])"),
    re.compile(r"(?<!\w)_(?![\s_])([^_\n]{1,300}?)(?<![\s_])_(?!\w)"),
    re.compile(r"(?<!\w)__(?![\s_])([A-Z][^_\n]{0,300}|[^_\n]{1,150} [^_\n]{1,150})(?<![\s_])__(?!\w)"),
)
CODE: Final = re.compile(r"(`{1,2})([^`\n]{1,200})\1")
HASH: Final = re.compile(r"\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}\b")
UUID: Final = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
FILE: Final = re.compile(
    r"(?<![\w.-])(?:[A-Za-z]:)?(?P<dirs>(?:[\w.~@-]{0,80}[/\\]){0,40})(?P<name>[\w-][\w-]*(?:\.[\w-]+)*)\.(?P<kind>[A-Za-z][A-Za-z0-9]{0,7})"
    r"(?::(?P<line>\d{1,7})(?::\d{1,5})?(?:-(?P<last>\d{1,7}))?)?(?![\w/\\(])"
)
KINDS: Final = frozenset(
    "py pyi pyx js jsx mjs cjs ts tsx java kt kts scala go rs c h cc cpp cxx hpp hh cs fs rb php pl lua swift dart ex exs erl hs ml r jl "
    "sql sh bash zsh ps1 bat html htm css scss sass vue svelte json jsonl yaml yml toml ini cfg conf env lock md rst txt csv tsv xml "
    "proto graphql tf hcl gradle cmake mk log diff patch ipynb db sqlite png svg wav so dll exe zip tar gz whl jar".split()
)
"""Endings of files: a name that ends otherwise is an attribute, as in `self.cache`."""
DIRECTORY: Final = re.compile(r"(?<![\w<])(?:[A-Za-z]:)?(?:[\w.~@-]{0,80}[/\\]){2,40}[\w.~@-]{0,80}")
HELD: Final = "\ue000-\uf8ff"
"""Private characters stand for pieces that are read already."""
PIECE: Final = re.compile(
    r"(?<![\w.])[A-Za-z_][\w.]{0,80}(?:<[^\s<>\n]{1,40}(?:<[^<>\n]{1,40}>)?[^<>\n]{0,20}>|\[[^\[\]\n]{1,60}\]|\([^()\n]{1,80}\))(?!\w)"
)
"""A name with brackets right after it."""
WORD: Final = re.compile(r"(?<![\w])[A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_$][\w$]*)*(?:\(\))?")
CODED: Final = re.compile(r"[_$.:>]|[a-z0-9][A-Z]|[A-Z]{2}[a-z]|\(\)$")
MONTHS: Final = "January February March April May June July August September October November December".split()
MONEY: Final = {"$": "dollars", "€": "euros", "£": "pounds"}
FIXED: Final = (
    (re.compile(r"\be\.\s?g\.", re.IGNORECASE), "for example"),
    (re.compile(r"\bi\.\s?e\.", re.IGNORECASE), "that is"),
    (re.compile(r"\bvs\.?(?=\s)", re.IGNORECASE), "versus"),
    (re.compile(r"\betc\.", re.IGNORECASE), "and so on"),
    (re.compile(r"\bw/(?=\s)"), "with"),
    (re.compile(r"\bw/o(?=\s)"), "without"),
    (re.compile(r"\bb/c(?=\s)"), "because"),
    (re.compile(r"\band/or\b", re.IGNORECASE), "and or"),
    (re.compile(r"(?<=\w)\((?:s|es)\)"), "s"),
    (re.compile(r"(?<![\w\"'])(?:\"\"|'')(?![\w\"'])"), " the empty string "),
    (re.compile(r"(?<=[A-Za-z])&(?=[A-Za-z])"), " and "),
    (re.compile(r"(?<=\d)\.{2,3}(?=\d)"), " to "),
    (re.compile(r"\b(\w*[A-Za-z])\+\+"), r"\1 plus plus "),
    (re.compile(r"\b([CFJ])#"), r"\1 sharp"),
    (re.compile(r"(?<![\w.])\.NET\b"), "dot net"),
    (re.compile(r"(?<!\w)\.(?=[a-z_]\w)"), "dot "),
    (re.compile(r"(?<!\w)\.(?=\d)"), "point "),
    (re.compile(r"(?<![\w-])([A-Z]{2,})-(\d{1,6})-(\d{1,9})(?![\w-])"), r"\1 \2 \3"),
    (re.compile(r"(?<![\w.-])(\d+\.\d[\w.]*)\+(?![\w+])"), r"\1 or later"),
    (re.compile(r"(?<![\w.,-])(\d[\d,]*)\+(?![\w+])"), r"\1 or more"),
    (re.compile(r"(?<![\w.])(-?)(\d+(?:\.\d+)?)[eE]([+-]?)(\d+)\b"), r"\1\2 times 10 to the power of \g<3>\4"),
    (re.compile(r"(?<=\d)\s%\s(?=\d)|(?<=\w)\s%\s(?=\w\b)"), " modulo "),
    (re.compile(r"(?<=\d)\s?%"), " percent"),
    (re.compile(r"(?<=\d) - (?=\d)"), " minus "),
    (re.compile(r"(?<![\w.,-])(\d[\d.,]*)(\spercent)?(?:\s?–\s?|-)(?=\d[\d.,]*(?:\s|[A-Za-z]{1,3}\b|$|[),;:?!]))"), r"\1\2 to "),
    (re.compile(r"(?<!\S)--(?=[A-Za-z])"), "double dash "),
    (re.compile(r"(?<!\S)-(?=[A-Za-z]\b)"), "dash "),
    (re.compile(r"(?<![\w-])[-−](?=\d)"), "minus "),
    (re.compile(r"(?<=to the power of )\+"), ""),
    (re.compile(r"(?<=[\w)])/(?=s\b|sec\b|min\b|h\b|hour\b|day\b|month\b|year\b)"), " per "),
    (re.compile(r"\b(TCP|CI|HTTP|[A-Z])/(IP|CD|[A-Z\d])\b"), r"\1 \2"),
    (re.compile(r"(?<!\w)#(?=\d)"), "number "),
    (re.compile(r"(?<![\w~])[~≈]\s?(?=\d)"), "about "),
    (re.compile(r"\s\(([^()]{1,200})\)"), r", \1, "),
    (re.compile(r"[→⇒]"), " to "),
    (re.compile(r"≠"), " is not equal to "),
    (re.compile(r"≤"), " at most "),
    (re.compile(r"≥"), " at least "),
    (re.compile(r"×"), " times "),
    (re.compile(r"±"), " plus or minus "),
    (re.compile(r"[✅✓✔]"), " check mark "),
    (re.compile(r"[❌✗✘]"), " cross mark "),
    (re.compile(r"\s[–—-]+\s|—"), ", "),
)  # fmt: skip
"""In this order."""
PRICE: Final = re.compile(r"([$€£])(\d[\d,]*(?:\.\d+)?)(?:\s?([kKMB])\b)?(?:/(?=\w))?")
SCALES: Final = {"k": " thousand", "m": " million", "b": " billion"}
DATE: Final = re.compile(r"(?<![\w./-])(\d{4})([-/])(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?![\w/-])")
MONTH: Final = re.compile(r"(?<![\w./-])((?:19|20)\d\d)-(0[1-9]|1[0-2])(?![\w/-])")
CHAIN: Final = re.compile(r"(?<![\w.-])\d+(?:-\d+){2,}(?![\w-])")
EDGE_BEFORE: Final = "(\"'“‘[{«"
EDGE_AFTER: Final = ")\"'”’]}».,;:!?…"
SIGNED: Final = re.compile(r"[<>{}|\\^~=+*#$@/&%!?()\[\]:_]")
"""A word that has one of these within is code."""
UNJOINED: Final = frozenset(". .. ... : ? - -- #".split())
"""Punctuation, where it stands between words."""
JOINING: Final = re.compile(
    "|".join(re.escape(sign) for sign in sorted(BETWEEN.keys() - UNJOINED, key=len, reverse=True))
)
UNREADABLE: Final = re.compile(rf"[^\w\s.,;:'’?!{HELD}-]|_")
LONE_MARKS: Final = re.compile(r"(?<!\S)[.,;:'’?!-]+(?!\S)")
REPEATED: Final = re.compile(r"([.,;:?!])[.,;:?!]+")


def readable(text: str) -> str:
    """The text as words and simple punctuation, on one line. Code blocks, addresses and hashes are named, not read."""
    pieces = _Pieces()
    text = re.sub(f"[{HELD}]", "", plain(text[:MOST_CHARS]))
    text = BLOCK.sub(f" {SOME_CODE} ", text)
    text = CODE.sub(lambda found: pieces.hold(found[2].strip()), text)
    text = IMAGE_OR_LINK.sub(r" \1 ", text)
    text = URL.sub(" a link ", text)
    text = UUID.sub(" an id ", text)
    text = MARGIN.sub("", text)
    text = TAG.sub(lambda found: _tag(found, pieces), text)
    text = STRUCK.sub(" ", text)
    for stress in STRESS:
        text = stress.sub(r"\1", text)
    text = HASH.sub(" a hash ", text)
    text = DATE.sub(lambda found: f"{int(found[4])} {MONTHS[int(found[3]) - 1]} {found[1]}", text)
    text = MONTH.sub(lambda found: f"{MONTHS[int(found[2]) - 1]} {found[1]}", text)
    text = CHAIN.sub(lambda found: found[0].replace("-", " "), text)
    text = FILE.sub(lambda found: pieces.hold(found[0]) if _is_file(found) else found[0], text)
    text = DIRECTORY.sub(lambda found: pieces.hold(found[0]), text)
    text = PRICE.sub(_price, text)
    text = PIECE.sub(lambda found: found[0] if found[0].endswith(("(s)", "(es)")) else pieces.hold(found[0]), text)
    for sign, word in FIXED:
        text = sign.sub(word, text)
    text = WORD.sub(lambda found: pieces.hold(found[0]) if CODED.search(found[0]) else found[0], text)
    text = _signs(text, pieces)
    text = UNREADABLE.sub(" ", text)
    text = pieces.told(text)
    text = re.sub(r"(?<=\w)\s{1,9}([.,;:?!])(?!\w)", r"\1", text)
    text = LONE_MARKS.sub(" ", text)
    return " ".join(REPEATED.sub(r"\1", text).split())


class _Pieces:
    """Pieces of code in a text, each held by a private character until all are known."""

    def __init__(self) -> None:
        self._written: list[str] = []

    def hold(self, written: str) -> str:
        """What stands in the text for this piece."""
        self._written.append(written)
        return chr(0xE000 + len(self._written) - 1)

    def told(self, text: str) -> str:
        """The text with all pieces as words: those that would sound alike and are not are spelled, or not said at all."""
        plainly = {written: _said(written, spell=False) for written in self._written}
        spelled = {written: _said(written, spell=True) for written in self._written}
        heard = [said.lower() for said in plainly.values()]
        told = {
            written: said if heard.count(said.lower()) == 1 else spelled[written] for written, said in plainly.items()
        }
        # A shorter form may be taken where it sounds like no other: only one of two needs its capitals spelled.
        for written, said in plainly.items():
            if written == said and sum(other.lower() == said.lower() for other in told.values()) == 0:
                told[written] = said
        heard = [said.lower() for said in told.values()]
        told = {written: said if heard.count(said.lower()) == 1 else "" for written, said in told.items()}
        text = re.sub(f"[{HELD}]", lambda found: f" {told[self._written[ord(found[0]) - 0xE000]] or SOME_CODE} ", text)
        return re.sub(
            rf"\b(?:the|an?)\s+{SOME_CODE}\b", SOME_CODE, re.sub(r"\s+(['’]s\b)", r"\1", text), flags=re.IGNORECASE
        )


def _said(written: str, *, spell: bool) -> str:
    found = FILE.fullmatch(written)
    if found and _is_file(found):
        said = _file(found, spell=spell)
    elif DIRECTORY.fullmatch(written):
        said = _directory(written, spell=spell)
    else:
        said = code(written, spell=spell)
    return " ".join(UNREADABLE.sub(" ", said).split())


def _signs(text: str, pieces: _Pieces) -> str:
    """Words with signs in them as pieces of code; signs that stand alone by name."""
    chunks = text.split()
    said: list[str] = []
    for at, chunk in enumerate(chunks):
        alone = _alone(chunk, chunks[at - 1] if at else "", chunks[at + 1] if at + 1 < len(chunks) else "")
        if alone is not None:
            said.append(alone)
            continue
        inner = chunk.lstrip(EDGE_BEFORE)
        begin = chunk[: len(chunk) - len(inner)]
        core = inner.rstrip(EDGE_AFTER)
        # Brackets that belong to the word are not its edge.
        for opening, closing in ("()", "[]", "{}"):
            if core.count(opening) > core.count(closing) and inner[len(core) :].startswith(closing):
                core += closing
        end = inner[len(core) :]
        held = re.search(f"[{HELD}]", core) is not None
        if (
            core
            and not held
            and SIGNED.search(core.replace("’", "").rstrip(":"))
            and not re.fullmatch(r"\d[\d:.,]*", core)
        ):
            core = pieces.hold(core)
        else:
            core = JOINING.sub(lambda found: f" {BETWEEN[found[0]]} ", core) if held else core
            core = "".join(_sign_name(sign) for sign in core)
        said.append(f"{begin}{core}{end}")
    return " ".join(said)


def _alone(chunk: str, before: str, after: str) -> str | None:
    """A sign between two words, or None."""
    if chunk == "*" and any(len(word) > 2 and word.isupper() for word in (before, after)):
        return "star"  # SELECT * FROM
    if chunk in ("&", "%"):
        return "and" if chunk == "&" else "percent"
    if chunk in BETWEEN and chunk not in UNJOINED:
        return BETWEEN[chunk] if after else BEFORE[chunk]
    return {"/": "slash", "{": "open brace", "}": "close brace", "'": "a single quote", '"': "a double quote"}.get(
        chunk
    )


def _sign_name(sign: str) -> str:
    """A sign of mathematics by its Unicode name; all else as it is."""
    if sign.isascii() or unicodedata.category(sign) != "Sm":
        named = {
            "+": "plus",
            "<": "less than",
            ">": "greater than",
            "=": "equals",
            "*": "times",
            "/": "slash",
            "&": "and",
        }.get(sign)
        return f" {named} " if named else sign
    return f" {unicodedata.name(sign, '').lower()} "


def _tag(found: re.Match[str], pieces: _Pieces) -> str:
    tag = (found[1] or "").lower()
    return " " if not tag or tag in LAYOUT else pieces.hold(f"<{'/' if found[0].startswith('</') else ''}{found[1]}>")


def _price(found: re.Match[str]) -> str:
    scale = SCALES.get((found[3] or "").lower(), "")
    per = " per " if found[0].endswith("/") else ""
    return f"{found[2]}{scale} {MONEY[found[1]]}{per}"


def _is_file(found: re.Match[str]) -> bool:
    kind = found["kind"].lower()
    return kind in KINDS and not (not found["dirs"] and kind == "env" and found["name"] == "process")


def _file(found: re.Match[str], *, spell: bool) -> str:
    said = " dot ".join(name(part) for part in found["name"].split("."))
    if spell:
        parts = [name(part) for part in re.split(r"[/\\]", found["dirs"]) if part.strip(".~")]
        said = " slash ".join((*parts[-2:], said))
    line = f" line {found['line']}" if found["line"] else ""
    if found["last"]:
        line += f" to {found['last']}"
    return f"{said} dot {found['kind'].lower()}{line}"


def _directory(written: str, *, spell: bool) -> str:
    parts = [name(part) for part in re.split(r"[/\\]", written) if part.strip(".~")]
    # The last two say which it is among long ones; a short one may be the path of an address.
    return " slash ".join(parts) if spell or len(parts) <= 3 else " ".join(parts[-2:])
