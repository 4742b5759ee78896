"""What experts wrote, as HTML in which nothing loads, runs, restyles or calls home.

Markdown is read without raw HTML (CommonMark by markdown-it-py), links lead to http and https only, images become their
words, code is coloured with classes, and what comes out passes an allow-list once more (nh3, which is ammonia).
Markdown is read up to `MARKDOWN_CHARS`; what is longer is shown as it is, since readers of Markdown take their time.
Colouring stops after `COLOUR_S`: some lexers are slow on purpose-made code.
"""

from __future__ import annotations

import html
import io
import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from orchestra_mcp.foreign import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token

MARKDOWN_CHARS = 40_000
"""Of one text; the rest follows as plain text."""
CODE_CHARS = 20_000
"""Longer blocks of code are not coloured."""
COLOUR_S = 0.3
"""Colouring all the code of one text takes no longer, in seconds; the rest of it stays plain."""
NESTING = 50
"""Lists and quotes within each other; what is nested deeper would be left out, so such a text is not read as Markdown."""
COLUMNS = 100
"""A text with a wider table is not read as Markdown: filling up its rows takes too long."""
SHOWN_CHARS = 2_000_000
"""Of one text; more than that nobody reads."""

TAGS = {
    "p", "br", "hr", "em", "strong", "del", "code", "pre", "span", "blockquote", "ul", "ol", "li", "a", "h3", "h4",
    "h5", "h6", "table", "thead", "tbody", "tr", "th", "td", "div",
}  # fmt: skip
ATTRIBUTES = {"a": {"href"}, "span": {"class"}, "code": {"class"}, "pre": {"class"}, "ol": {"start"}, "div": {"class"}}
CLASSES = re.compile(r"(?:[a-z][a-z0-9]{0,2}|code|scroll|taken-out)", re.ASCII)
"""Those of pygments, and ours."""
SCHEMES = {"http", "https"}
DEEP = re.compile(r"^(?:[ \t]{40}|(?:[ \t]{0,4}(?:>|[-+*]|\d{1,9}[.)])){20})[ \t]*(?:[-+*>]|\d+[.)])", re.MULTILINE)
"""A line that may stand within more lists and quotes than are read: each takes two columns or a mark."""
LINK = re.compile(r"https?://[^\s]", re.IGNORECASE)


def markdown(text: str) -> str:
    """Untrusted Markdown as harmless HTML."""
    import nh3

    shown = plain(text[:SHOWN_CHARS])
    read, rest = _cut(shown)
    made = _reader().render(read, {"until": time.monotonic() + COLOUR_S})
    made = nh3.clean(
        made,
        tags=TAGS,
        attributes=ATTRIBUTES,
        attribute_filter=_attribute,
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    )
    if rest:
        made += f'<pre class="code">{html.escape(rest)}</pre>'
    if len(text) > SHOWN_CHARS:
        made += f"<p><em>{len(text) - SHOWN_CHARS:,} further characters are not shown.</em></p>"
    return made


def inline(text: str, limit: int = 400) -> str:
    """One line of untrusted Markdown: only code and emphasis of it are kept."""
    import nh3

    shown = " ".join(plain(text[: 4 * limit]).split())
    if len(shown) > limit:
        shown = shown[: limit - 1].rstrip() + "…"
    return str(nh3.clean(_reader().renderInline(shown), tags={"code", "em", "strong"}, attributes={}))


def coloured(code: str, language: str = "", until: float | None = None) -> str:
    """Code as HTML with classes for its colours, without a block around it; `until` is on the monotonic clock."""
    if len(code) > CODE_CHARS or not language:
        return html.escape(code)
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name
    from pygments.token import Text
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language[:40], stripnl=False, ensurenl=False)
    except (ClassNotFound, ValueError):
        return html.escape(code)
    end = time.monotonic() + COLOUR_S if until is None else until
    tokens: list[tuple[Any, str]] = []
    read = 0
    for kind, text in lexer.get_tokens(code):
        tokens.append((kind, text))
        read += len(text)
        if time.monotonic() > end:
            tokens.append((Text, code[read:]))
            break
    out = io.StringIO()
    HtmlFormatter(nowrap=True).format(tokens, out)
    return out.getvalue().rstrip("\n")


def _cut(text: str) -> tuple[str, str]:
    """What is read as Markdown, up to the end of a line, and what is not."""
    head = text[:MARKDOWN_CHARS]
    if DEEP.search(head) or any(line.count("|") > COLUMNS for line in head.split("\n")):
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
    return f'<pre class="code"><code>{coloured(token.content, language, env["until"])}</code></pre>\n'


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
