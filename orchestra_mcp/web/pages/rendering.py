"""Templates to HTML: one environment with autoescape, the filters that pages share, and the headers of every page."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orchestra_mcp import __version__
from orchestra_mcp.foreign import plain
from orchestra_mcp.report import dollars
from orchestra_mcp.web.pages.markdown import code, inline, markdown, one_page
from orchestra_mcp.web.pages.static import address

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATES: Final = Path(__file__).parent / "templates"

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    # Tells other hosts nothing, as `no-referrer` would. With that one browsers send `Origin: null` with a form (Fetch,
    # "append a request Origin header"), and our own forms could not be told from foreign ones.
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""With every page and every piece of one."""


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates, compiled once; the first call takes a tenth of a second, so it belongs into a thread."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(static=address, version=__version__, now=lambda: datetime.now(UTC))
    made.filters.update(
        ago=ago,
        code=lambda text, language="": _safe(code(text, language)),
        count=count,
        day=day,
        duration=duration,
        inline=lambda text, limit=400: _safe(inline(text, limit)),
        json=as_json,
        markdown=lambda text: _safe(markdown(text)),
        moment=moment,
        money=money,
        percent=percent,
        plain=plain,
        line=line,
        short=short,
        folder=folder,
    )
    return made


def render(template: str, **values: Any) -> str:
    """A page or a piece of one."""
    with one_page():
        made = environment().get_template(template).render(**values)
    # Lone surrogates can stand in what others wrote, and in no page.
    return made.encode("utf-8", "replace").decode()


def _safe(made: str) -> Markup:
    """What was made here out of escaped text."""
    from markupsafe import Markup

    return Markup(made)


def money(usd: Decimal | float | None) -> str:
    """US dollars as in reports; `–` for None."""
    return "–" if usd is None else dollars(usd)


def percent(share: float | None) -> str:
    """A share of 0 to 1 as whole percent; `–` for None."""
    return "–" if share is None else f"{share:.0%}"


def duration(seconds: float | None) -> str:
    """Seconds in the unit that people would use; `–` for None."""
    if seconds is None:
        return "–"
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def count(number: float) -> str:
    """A whole number with commas; from a million on in millions."""
    if abs(number) >= 999_950:
        return f"{number / 1e6:.1f}M"
    return f"{number:,.0f}"


def ago(then: datetime, now: datetime | None = None) -> str:
    """How long ago that was, in one unit: `just now`, `5 min ago`, `3 days ago`; in the far past the day."""
    seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    if seconds < 45:
        return "just now"
    for size, unit, most in ((60, "min", 60), (3600, "h", 24), (86400, "day", 14)):
        number = max(1, round(seconds / size))
        if number < most:
            return f"{number} {unit}{'s' if unit == 'day' and number > 1 else ''} ago"
    return day(then)


def moment(then: datetime) -> str:
    """A time in UTC, to the second."""
    return then.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def day(then: datetime) -> str:
    """A day in UTC."""
    return then.astimezone(UTC).strftime("%Y-%m-%d")


def short(id: str, length: int = 8) -> str:
    """The beginning of an id, enough to tell it from others."""
    return id[:length]


def folder(path: str) -> str:
    """The last part of a path."""
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1] if path else ""


def line(text: str, limit: int = 200) -> str:
    """Untrusted text as one line of plain text, cut."""
    found = " ".join(plain(text[: 4 * limit]).split())
    return found if len(found) <= limit else found[: limit - 1].rstrip() + "…"


def as_json(value: Any) -> str:
    """A value as JSON for a `data-` attribute (escaped by the template like any text); nouns and decimals as numbers."""
    from pydantic_core import to_jsonable_python

    return json.dumps(to_jsonable_python(value, inf_nan_mode="null"), separators=(",", ":"))
