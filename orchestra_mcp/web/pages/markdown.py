"""What experts wrote, as HTML in which nothing loads, runs, restyles or calls home.

Markdown is read without raw HTML (CommonMark by markdown-it-py), links lead to http and https only, images become their
words, code is coloured with classes, and what comes out passes an allow-list once more (nh3, which is ammonia).

Readers of Markdown take their time over purpose-made text, so there are bounds for one text and for all texts of a page
(`one_page`); what is beyond them is shown as it is. Nothing that was made is kept: what is forgotten should be gone from
here too.
"""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from orchestra_mcp.foreign import plain
from orchestra_mcp.web.pages.colouring import coloured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token

MARKDOWN_CHARS = 20_000
"""Of one text; the rest follows as plain text."""
BRACKETS = 500
"""A text with more of `[` is not read as Markdown: for each of them all that follows is looked through."""
CODE_CHARS = 20_000
"""Longer blocks of code are not coloured."""
PAGE_MARKDOWN_CHARS = 200_000
PAGE_MARKDOWN_S = 2.0
"""After so many seconds of reading, the texts of a page that are left are shown as they are."""
PAGE_CODE_CHARS = 100_000
"""So much code of a page is coloured."""
PIECE_CHARS = 100_000
"""Text is cleaned in such pieces, since one search in a long one holds up all other threads."""
NESTING = 50
"""Lists and quotes within each other; what is nested deeper would be left out, so such a text is not read as Markdown."""
COLUMNS = 100
"""A text with a wider table is not read as Markdown: filling up its rows takes too long."""
SHOWN_CHARS = 2_000_000
"""Of all texts of a page; more than that nobody reads."""

TAGS = {
    "p", "br", "hr", "em", "strong", "del", "code", "pre", "span", "blockquote", "ul", "ol", "li", "a", "h3", "h4",
    "h5", "h6", "table", "thead", "tbody", "tr", "th", "td", "div",
}  # fmt: skip
ATTRIBUTES = {"a": {"href"}, "span": {"class"}, "code": {"class"}, "pre": {"class"}, "ol": {"start"}, "div": {"class"}}
CLASSES = re.compile(r"(?:[a-z][a-z0-9]{0,2}|code|scroll|taken-out)", re.ASCII)
"""Those of `colouring`, and others of ours."""
SCHEMES = {"http", "https"}
DEEP = re.compile(r"^(?:[ \t]{40}|(?:[ \t]{0,4}(?:>|[-+*]|\d{1,9}[.)])){20})[ \t]*(?:[-+*>]|\d+[.)])", re.MULTILINE)
"""A line that may stand within more lists and quotes than are read: each takes two columns or a mark."""
LINK = re.compile(r"https?://[^\s]", re.IGNORECASE)


@dataclass
class _Left:
    """What may still be read, coloured and shown, of one page."""

    markdown: int = PAGE_MARKDOWN_CHARS
    code: int = PAGE_CODE_CHARS
    shown: int = SHOWN_CHARS
    until: float = field(default_factory=lambda: time.monotonic() + PAGE_MARKDOWN_S)


_LEFT: ContextVar[_Left | None] = ContextVar("orchestra_page_left", default=None)


@contextmanager
def one_page() -> Iterator[None]:
    """All texts that are made in here share the bounds of one page; alone, each has them for itself."""
    token = _LEFT.set(_Left())
    try:
        yield
    finally:
        _LEFT.reset(token)


def markdown(text: str) -> str:
    """Untrusted Markdown as harmless HTML."""
    import nh3

    left = _LEFT.get() or _Left()
    shown, missing = _shown(text, left)
    read, rest = _cut(shown)
    if len(read) > left.markdown or time.monotonic() > left.until:
        read, rest = "", shown
    left.markdown -= len(read)
    made = nh3.clean(
        _reader().render(read, {"left": left}),
        tags=TAGS,
        attributes=ATTRIBUTES,
        attribute_filter=_attribute,
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    )
    if rest:
        made += f'<pre class="code">{html.escape(rest)}</pre>'
    if missing:
        made += f"<p><em>{missing}</em></p>"
    return made


def code(text: str, language: str = "") -> str:
    """Untrusted code as HTML with classes for its colours, without a block around it."""
    left = _LEFT.get() or _Left()
    shown, missing = _shown(text, left)
    return _coloured(shown, language, left) + (f"\n<em>{missing}</em>" if missing else "")


def inline(text: str, limit: int = 400) -> str:
    """One line of untrusted Markdown: only code and emphasis of it are kept."""
    import nh3

    shown = " ".join(plain(text[: 4 * limit]).split())
    if len(shown) > limit:
        shown = shown[: limit - 1].rstrip() + "…"
    return str(nh3.clean(_reader().renderInline(shown), tags={"code", "em", "strong"}, attributes={}))


def _shown(text: str, left: _Left) -> tuple[str, str]:
    """What is shown of a text, without the characters that hide or reorder others; and a sentence on what is not."""
    head = text[: left.shown]
    left.shown -= len(head)
    missing = len(text) - len(head)
    told = f"{missing:,} further characters are not shown here; the transcript has them." if missing else ""
    return "".join(plain(head[at : at + PIECE_CHARS]) for at in range(0, len(head), PIECE_CHARS)), told


def _coloured(text: str, language: str, left: _Left) -> str:
    if len(text) > min(CODE_CHARS, left.code):
        return html.escape(text)
    left.code -= len(text)
    return coloured(text, language)


def _cut(text: str) -> tuple[str, str]:
    """What is read as Markdown, up to the end of a line, and what is not."""
    head = text[:MARKDOWN_CHARS]
    if head.count("[") > BRACKETS or DEEP.search(head) or any(line.count("|") > COLUMNS for line in head.split("\n")):
        return "", text
    if len(text) <= MARKDOWN_CHARS:
        return text, ""
    end = text.rfind("\n", 0, MARKDOWN_CHARS) + 1
    if end == 0:
        return "", text
    return text[:end], text[end:]


@lru_cache(maxsize=1)
def _reader() -> MarkdownIt:
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False, "linkify": False, "maxNesting": NESTING})
    reader.enable(["table", "strikethrough"])
    reader.validateLink = lambda url: LINK.match(url) is not None  # type: ignore[method-assign]
    reader.add_render_rule("image", _image)
    reader.add_render_rule("fence", _fence)
    reader.add_render_rule("code_block", _fence)
    for name, rule in (("heading_open", _heading), ("heading_close", _heading), ("table_open", _table)):
        reader.add_render_rule(name, rule)
    reader.add_render_rule("table_close", _table)
    return reader


def _image(_self: RendererHTML, tokens: Sequence[Token], at: int, _options: Any, _env: Any) -> str:
    """An image becomes its words: showing it would call home."""
    return f'<span class="taken-out">[image taken out: {html.escape(tokens[at].content[:200])}]</span>'


def _fence(_self: RendererHTML, tokens: Sequence[Token], at: int, _options: Any, env: Any) -> str:
    token = tokens[at]
    language = token.info.strip().split(maxsplit=1)[0] if token.info.strip() else ""
    return f'<pre class="code"><code>{_coloured(token.content, language, env["left"])}</code></pre>\n'


def _heading(_self: RendererHTML, tokens: Sequence[Token], at: int, _options: Any, _env: Any) -> str:
    """Headings of a text stand below those of the page."""
    token = tokens[at]
    level = min(6, int(token.tag[1:]) + 3)
    return f"<{'/' if token.nesting < 0 else ''}h{level}>"


def _table(_self: RendererHTML, tokens: Sequence[Token], at: int, _options: Any, _env: Any) -> str:
    return '<div class="scroll"><table>' if tokens[at].nesting > 0 else "</table></div>"


def _attribute(_tag: str, name: str, value: str) -> str | None:
    """Classes that are ours, and links that lead out; nothing else."""
    if name == "class":
        kept = [word for word in value.split() if CLASSES.fullmatch(word)]
        return " ".join(kept) or None
    if name == "href":
        return value if LINK.match(value) else None
    return value
