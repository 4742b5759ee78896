"""Values that are known to be secret: read from `.env` files, and found again in whatever form they were written. Pure."""

from __future__ import annotations

import base64
import html
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from orchestra_mcp.context.secrecy.secretlooks import looks_random, mixed, placeholder

_SECRET_NAME = re.compile(
    r"KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL|AUTH|DSN|_URL$|_URI$|CONNECTION|PRIVATE|SALT|COOKIE|SESSION|SIGNATURE|WEBHOOK|_PAT$",
    re.IGNORECASE,
)
_COMMON = re.compile(
    r"[a-z]{1,11}|\d{1,8}|(.)\1+|true|false|(?:~|\.{0,2})/[\w./ -]*|[A-Za-z]:\\[^\n]*|https?://[^@\s]*|[\w.-]+:\d{1,5}|[\d.,: -]+|[A-Z][a-z]{1,11}"
)
"""What may be the value of a variable with a secret-looking name and yet be all over the code: words, paths, addresses."""


def worth_hiding(value: str) -> bool:
    """Long and peculiar enough to be replaced wherever it occurs."""
    return len(value) >= 8 and not _COMMON.fullmatch(value)


def forms(value: str) -> Iterator[str]:
    """A value as it is, and as it is written in addresses, JSON, HTML, shell and base64."""
    yield value
    yield quote(value, safe="")
    yield quote(value, safe="").lower() if "%" in quote(value, safe="") and value.lower() == value else quote(value)
    yield quote_plus(value)
    yield value.replace("\n", "\\n")
    text = json.dumps(value, ensure_ascii=False)[1:-1]
    yield text
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield json.dumps(value)[1:-1]
    yield html.escape(value)
    yield html.escape(value, quote=False)
    yield re.sub(r"([^\w@%+=:,./-])", r"\\\1", value)
    if len(value) >= 12:
        yield from _base64(value)


def _base64(value: str) -> Iterator[str]:
    """The parts of a base64 text that the value alone decides, for each of its three possible offsets in it."""
    data = value.encode("utf-8", "surrogatepass")
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + data).decode().rstrip("=")
        first = (offset * 8 + 5) // 6
        last = (offset + len(data)) * 8 // 6
        yield encoded[first:last]
        yield encoded[first:last].replace("+", "-").replace("/", "_")


def secret_values(dotenv: str) -> tuple[str, ...]:
    """The values in a `.env` file that are worth hiding: secret by name, random by look, or with a password inside."""
    found: list[str] = []
    for line in dotenv.splitlines()[:2000]:
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        value = _unquoted(value.strip())
        if not equals or name.startswith("#") or len(value) < 8 or placeholder(value):
            continue
        if password := re.search(r"://[^:@/\s]*:([^@/\s]{4,})@", value):
            found += [value, password[1]]
        elif (_SECRET_NAME.search(name) and not re.match(r"https?://|/|\./", value)) or looks_random(value):
            found.append(value)
    return tuple(dict.fromkeys(found))


def _unquoted(value: str) -> str:
    """A value of a `.env` file without its quotes and the remark behind it."""
    quoted = re.match(r"(['\"])(.*?)\1\s*(?:#.*)?$", value)
    return quoted[2] if quoted else re.sub(r"\s+#.*$", "", value).strip("'\"")


class KnownValues:
    """Exact values in all their forms."""

    def __init__(self) -> None:
        self._forms: dict[str, tuple[str, bool]] = {}
        """Form → the value itself, and whether the form may stand inside a word."""

    def add(self, values: Iterable[str]) -> None:
        """Values that must never be shown; too short or too common ones are ignored."""
        known = dict(self._forms)
        for value in map(str.strip, values):
            if worth_hiding(value) and value not in known:
                for form in forms(value):
                    if len(form) >= 8:
                        known.setdefault(form, (value, looks_random(form) or (len(form) >= 16 and mixed(form))))
        self._forms = known  # replaced, never changed: other threads may be reading it

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Where they stand: start, end, and the value itself."""
        for form, (value, anywhere) in self._forms.items():
            at = text.find(form)
            while at >= 0:
                end = at + len(form)
                if anywhere or not (text[at - 1 : at].isalnum() or text[end : end + 1].isalnum()):
                    yield at, end, value
                at = text.find(form, end)

    def find_wrapped(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Where one is split by line breaks, as by a terminal; only long values without a break of their own."""
        long = [
            (form, value)
            for form, (value, anywhere) in self._forms.items()
            if anywhere and len(form) >= 16 and "\n" not in form
        ]
        if not long or "\n" not in text:
            return
        pieces = text.split("\n")
        flat = "".join(pieces)
        hits = [(at, form, value) for form, value in long if (at := flat.find(form)) >= 0]
        if not hits:
            return
        ends: list[int] = []
        for piece in pieces:
            ends.append((ends[-1] if ends else 0) + len(piece))
        for at, form, value in hits:
            start, end = at + bisect_right(ends, at), at + len(form) - 1
            end += bisect_right(ends, end) + 1
            if "\n" in text[start:end]:
                yield start, end, value
