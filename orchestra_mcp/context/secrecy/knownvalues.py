"""Values that are known to be secret: read from `.env` files, and found again in whatever form they were written. Pure."""

from __future__ import annotations

import base64
import html
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from orchestra_mcp.context.secrecy.secretlooks import filler, is_uuid, looks_random, mixed, wordy

_SECRET_NAME = re.compile(
    r"KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL|AUTH|DSN|_URL$|_URI$|CONNECTION|PRIVATE|SALT|COOKIE|SESSION|SIGNATURE|WEBHOOK|_PAT$"
    r"|CREDS|ENCRYPT|HMAC|MNEMONIC|(?:^|_)(?:PW|PSK|PIN|SEED)(?:_|$)",
    re.IGNORECASE,
)
_IS_SECRET = re.compile(
    r"(?:PASSWORD|PASSWD|PASSPHRASE|PASSCODE|PASS|PWD|(?:^|_)PW|SECRET|TOKEN|(?:API|SECRET|ACCESS|PRIVATE|ENCRYPTION|SIGNING|MASTER)_?KEY)"
    r"(?:_(?:PROD\w*|DEV\w*|TEST\w*|STAG\w*|LIVE|LOCAL|MAIN|ROOT|OLD|NEW|VALUE|\d+))?\d*$",
    re.IGNORECASE,
)
"""Ends in a word for the secret itself: what such a variable holds is secret even when it is a plain word."""
_COMMON = re.compile(
    r"[a-z]{1,11}|\d{1,8}|(.)\1+|true|false|(?:~|\.{0,2})/[\w./ -]*|[A-Za-z]:\\[^\n]*|https?://[^@\s]*|[\w.-]+:\d{1,5}|[\d.,: -]+|[A-Z][a-z]{1,11}"
)
"""What may be the value of a variable with a secret-looking name and yet be all over the code: words, paths, addresses."""
_NO_SECRET = re.compile(
    r"\d{1,8}|[\d.,: -]+|(.)\1+|true|false|yes|none|null|(?:~|\.{0,2})/[\w./ -]*|[A-Za-z]:\\[^\n]*|https?://[^@\s]*"
    r"|[\w-]+(?:\.[\w-]+)*:\d{2,5}|\$\{?\w+\}?|\$\(.*|<[^<>]*>|\{\{.*\}\}|[xX*.]+",
    re.IGNORECASE,
)
"""What is no secret whatever its variable is called: numbers, booleans, places, and what stands for a value."""
_TECHNICAL = re.compile(
    r"(?:sha|md|hs|rs|es|ps|aes|rsa|dsa|ed|utf|iso|latin|cp|base|oauth|tls|ssl|http|ipv|python|py|node|es|bcrypt|argon|pbkdf|scrypt|version|v|redis|mysql"
    r"|postgres|psql|s|ec|p|secp|x)[-_.]?[\d.-]{1,6}(?:[-_.]?[a-z]{1,8}\d{0,4})?",
    re.IGNORECASE,
)
"""Algorithms, encodings and versions."""
# What people write where a secret belongs, and what code is full of for that reason. Never learnt. Add here.
_VOCABULARY = frozenset(
    """
    password passwords password1 password12 password123 password1234 passwd passw0rd p@ssw0rd p@ssword passphrase passcode pass pass123 pass1234 pwd
    secret secrets secret1 secret123 mysecret mypassword yourpassword yoursecret supersecret topsecret verysecret secretkey secretpassword
    token tokens mytoken yourtoken accesstoken access_token refreshtoken refresh_token apikey api_key api-key secret_key secret-key
    client_secret client-secret clientsecret private_key private-key privatekey public_key signing_key encryption_key
    key keys auth oauth bearer basic session sessions cookie cookies credential credentials authorization authentication
    user users user123 username root admin admin123 administrator guest owner anonymous login signin signup toor
    postgres postgresql postgres123 mysql mariadb mongo mongodb redis sqlite rabbit rabbitmq minio minioadmin kafka elastic elasticsearch
    oracle sqlserver database db docker kubernetes vault keycloak supabase firebase
    test tests test123 test1234 test12345 testing tester testuser testpass testpassword testing123 dev development develop prod production staging local
    localhost changeme change_me change-me changeit changethis replaceme replace_me placeholder example examples sample demo dummy default defaults
    fake mock foobar foobared foobarbaz letmein welcome qwerty qwerty123 abc123 abcd1234 trustno1
    server service services client application string number boolean object function method module package import export return
    value values field fields option options config configuration settings environment header headers request response message
    email mailer account accounts profile provider providers plugin plugins adapter handler controller middleware component
    system public private internal external enabled disabled required optional undefined unknown custom memory storage backend frontend
    """.split()
)
_TEMPLATE_PARTS = frozenset(
    {"example", "examples", "sample", "samples", "template", "tmpl", "tpl", "dist", "default", "defaults"}
)
"""One of these in the name of a `.env` file makes it one that is filled in elsewhere. Add here."""
LEAST, LEAST_WORD = 6, 8
"""Characters of a known value, and of one without digits or signs; shorter ones would be found everywhere."""


def worth_hiding(value: str) -> bool:
    """Long and peculiar enough to be replaced wherever it occurs, when nothing else is known of it."""
    return len(value) >= LEAST_WORD and not _COMMON.fullmatch(value)


def _peculiar(value: str) -> bool:
    """What a variable that is certainly secret holds is hidden unless that is a number, a place, a dummy or very short."""
    if len(value) < LEAST or _NO_SECRET.fullmatch(value) or _TECHNICAL.fullmatch(value) or _vocabulary(value):
        return False
    return len(value) >= LEAST_WORD or (not value.isalpha() and bool(re.search(r"[A-Za-z]", value)))


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


def _vocabulary(value: str) -> bool:
    """A word that stands for a secret, or that code is full of: hidden, it would take the subject out of the project's source."""
    return value.casefold() in _VOCABULARY or filler(value)


def is_template(name: str) -> bool:
    """Whether a `.env` file of this name only shows what the real one looks like: `.env.example`, `prod.sample.env`."""
    return not _TEMPLATE_PARTS.isdisjoint(re.split(r"[._-]+", name.casefold()))


def secret_values(dotenv: str, file: str = ".env") -> tuple[str, ...]:
    """The values in a `.env` file that are to be hidden wherever they occur.

    What is called a password, token or key is believed whatever it looks like, with few exceptions: a number, a boolean,
    a place, a dummy, what is very short, and words that an open variable of the same file holds too (`DB_USER` and
    `DB_PASSWORD` are both `ledger` on many developers' machines). Where the name only sounds like a secret
    (`AUTH_PROVIDER`), single words are left too, and where it does not, all that does not look generated.

    Args:
        dotenv: the text of the file.
        file: its name; of a template (`is_template`) only what looks generated is believed: somebody's slip.
    """
    rows = [row for line in dotenv.splitlines()[:2000] if (row := _row(line))]
    public = {value for name, value in rows if not _SECRET_NAME.search(name)}
    template = is_template(file)
    found: list[str] = []
    for name, value in rows:
        if password := re.search(r"://[^:@/\s]*:([^@/\s]{4,})@", value):
            found += _of_address(value, password[1], template=template)
        elif template:
            found += [value] if looks_random(value) and not _NO_SECRET.fullmatch(value) else []
        elif _is_secret(name, value) and not (value in public and wordy(value)):
            found.append(value)
    return tuple(dict.fromkeys(found))


def _of_address(address: str, password: str, *, template: bool) -> list[str]:
    """An address with its password, and the password alone unless it is a word that stands elsewhere too."""
    same_as_user = f"//{password}:{password}@" in address and wordy(password)
    if _vocabulary(password) or same_as_user or (template and not looks_random(password)):
        return []
    common = re.fullmatch(r"[a-z]{1,11}", password) or (address.count(password) > 1 and wordy(password))
    return [address] if common else [address, password]


def _is_secret(name: str, value: str) -> bool:
    """By its look, or by its name: any that sounds secret for a peculiar value, only the clearest for a short one or a word."""
    if looks_random(value) or is_uuid(value):
        return True
    plain = len(value) < LEAST_WORD or _COMMON.fullmatch(value)
    return bool((_IS_SECRET if plain else _SECRET_NAME).search(name)) and _peculiar(value)


def _row(line: str) -> tuple[str, str] | None:
    name, equals, value = line.strip().removeprefix("export ").partition("=")
    name, value = name.strip(), _unquoted(value.strip())
    return (name, value) if equals and value and not name.startswith("#") else None


def _unquoted(value: str) -> str:
    """A value of a `.env` file without its quotes and the remark behind it."""
    quoted = re.match(r"(['\"])(.*?)\1\s*(?:#.*)?$", value)
    return quoted[2] if quoted else re.sub(r"\s+#.*$", "", value).strip("'\"")


class KnownValues:
    """Exact values in all their forms."""

    def __init__(self) -> None:
        self._forms: dict[str, tuple[str, bool]] = {}
        """Form → the value itself, and whether the form may stand inside a word."""

    def add(self, values: Iterable[str], *, sure: bool = False) -> None:
        """Values that must never be shown; too short or too common ones are ignored, unless the caller is `sure` of them."""
        known = dict(self._forms)
        for value in map(str.strip, values):
            peculiar = len(value) >= LEAST and not _vocabulary(value) if sure else worth_hiding(value)
            if peculiar and value not in known:
                for form in forms(value):
                    if len(form) >= min(LEAST_WORD, len(value)):
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
