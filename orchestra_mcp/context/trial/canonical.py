"""The same text for values that are the same: how the results of different programs are compared. Pure; no I/O.

It runs inside of the sandbox, so that it uses the standard library only, and trusts no object to be well-behaved.
"""

from __future__ import annotations

import re
from contextlib import suppress

MAX_RESULT = 300
"""Characters of a value."""
MAX_PRINTED = 20_000
"""Characters of a standard output."""
MAX_DEPTH = 60
DIGITS = 6

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]{4,16}")
_MODULE = re.compile(r"<(class '|function |bound method |enum ')?(?:__main__|program)\.")


def canonical(value: object, depth: int = 0) -> str:
    """A value as Python prints it, but floats rounded to six digits, sets and dictionaries sorted, and no addresses.

    Subclasses of dict and set are written as their base: `Counter(a=1) == {"a": 1}` holds for Python too.
    """
    if depth > MAX_DEPTH:
        return "…"
    if isinstance(value, float):
        return repr(round(value, DIGITS) + 0.0)  # no negative zero
    if isinstance(value, complex):
        return f"({canonical(value.real)}+{canonical(value.imag)}j)"
    if isinstance(value, dict):
        pairs = sorted((canonical(k, depth + 1), canonical(v, depth + 1)) for k, v in dict.items(value))
        return "{" + ", ".join(f"{k}: {v}" for k, v in pairs) + "}"
    if isinstance(value, (set, frozenset)):
        members = sorted(canonical(one, depth + 1) for one in value)
        return "{" + ", ".join(members) + "}" if members else "set()"
    if isinstance(value, list):
        return "[" + ", ".join(canonical(one, depth + 1) for one in list.__iter__(value)) + "]"
    if isinstance(value, tuple):
        members = [canonical(one, depth + 1) for one in tuple.__iter__(value)]
        return "(" + ", ".join(members) + ("," if len(members) == 1 else "") + ")"
    return _MODULE.sub(r"<\1", _ADDRESS.sub("", repr(value)))


def shortened(text: str, limit: int) -> str:
    """Text of at most `limit` characters; what is cut off still counts, by its digest."""
    if len(text) <= limit:
        return text
    import hashlib  # seldom needed, and it loads OpenSSL

    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
    return f"{text[: limit - len(digest) - 1]}…{digest}"


def printed(text: str) -> str:
    """Standard output without trailing blanks: of each line, and of the whole."""
    return shortened("\n".join(line.rstrip() for line in text.splitlines()).rstrip(), MAX_PRINTED)


def exception(error: BaseException) -> str:
    """The outcome of a program that raised: `EXC:` and the type's own name."""
    return f"EXC:{type(error).__name__}"[:MAX_RESULT]


def complaint(error: BaseException) -> str:
    """Type and message of an exception in one line, for a note."""
    message = ""
    with suppress(Exception):  # the program's own exception may fail to print itself
        message = str(error.msg if isinstance(error, SyntaxError) else error)
    return " ".join(f"{type(error).__name__}: {message}".split()).rstrip(":")[:MAX_RESULT]
