"""Identifiers of code that prose mentions. Pure."""

from __future__ import annotations

import re

from orchestra_mcp.context.code.languages import language_of

_PROSE_CHARS = 65_536
_NO_WORD = re.compile(r"\S{400,}")
"""Longer than any name with its module: encoded data, which would take seconds to look through for names."""
_URL = re.compile(r"\b[a-zA-Z][\w+.-]{1,20}://\S+")
_TICKED = re.compile(r"`{1,2}([^`\n]{1,120})`{1,2}")
_WORD = re.compile(r"(?<![\w.@/\\-])[A-Za-z_$][\w$]*(?:(?:\.|::|#)[A-Za-z_$][\w$]*)*(?:\(\))?")
_HUMPS = re.compile(r"[a-z0-9][A-Z]|[A-Z]{2,}[a-z]")
_FILE = re.compile(r"\.(?:md|txt|json|ya?ml|toml|html?|css|log|lock|cfg|ini|com|org|net|io|dev|xml|csv|png|svg)$", re.I)
_ENGLISH = frozenset(
    """and or not the a an is are was be if else for while in of on at to it its this that these those with from by as
    do does did has have had can could should would will may might must no yes true false null none undefined nil ok
    error errors function class method file line code test tests value values type types name string int float bool
    list dict set object array number e.g i.e etc vs then when but however i we you he she they so also after before here there now
    what why how which who thanks please since because though using instead any all some each github gitlab javascript typescript stackoverflow postgresql mysql
    macos ios iphone youtube openai node.js next.js vue.js react.js asp.net todo fixme note readme""".split()
)


def identifiers(text: str) -> tuple[str, ...]:
    """Identifiers of code that a text mentions, most specific first, each once.

    Order: dotted names, names in backticks, calls, then snake_case, camelCase, PascalCase and CONSTANT_CASE words.
    Only the first 64 Ki characters are read. Call brackets are dropped; `::` and `#` between names become dots.
    """
    text = _NO_WORD.sub(" ", _URL.sub(" ", text[:_PROSE_CHARS]))
    ranked: dict[str, int] = {}
    ticked = [match.group(1).strip() for match in _TICKED.finditer(text)]
    for rank, source, trusted in ((1, "\n".join(ticked), True), (2, text, False)):
        for match in _WORD.finditer(source):
            word = match.group()
            name = word.removesuffix("()").replace("::", ".").replace("#", ".")
            # A backticked phrase is code as a whole only when it is a single name.
            alone = trusted and (word in ticked or name in ticked)
            if name.lower() in _ENGLISH or len(name) < 2 or not _code_like(name, word, alone):
                continue
            score = 0 if "." in name else rank + (0 if trusted or word.endswith("()") else 1)
            ranked[name] = min(score, ranked.get(name, score))
    return tuple(sorted(ranked, key=lambda name: ranked[name]))


def _code_like(name: str, word: str, alone: bool) -> bool:
    if "." in name:
        parts = name.split(".")
        if _FILE.search(name) or (language_of(name) is not None and not word.endswith("()")):
            return False
        return alone or (all(len(part) > 1 for part in parts) and not _sentence(parts))
    return alone or word.endswith("()") or "_" in name.strip("_") or bool(_HUMPS.search(name)) or name[0] == "_" != name


def _sentence(parts: list[str]) -> bool:
    """True for a missing space after a full stop: `works.Then`."""
    return len(parts) == 2 and parts[0].islower() and parts[1].istitle() and parts[1].lower() in _ENGLISH
