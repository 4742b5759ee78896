"""How secret a value looks: generated, chosen by a person, a dummy, or plain code. Pure.

These judgements keep false alarms rare: a place whose name says "secret" is only believed when its value looks like one.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections import Counter
from urllib.parse import unquote

# Words that stand-ins are made of. Add here.
DUMMY_WORDS = """
    your yours my our some any the this that new old first second third another other default demo dummy fake mock sample
    example examples placeholder changeme change replace redacted removed hidden masked insert enter todo fixme foobar foo bar baz
    qux quux hello world test testing tests tester unittest secret secrets password passwd passphrase passcode passwrd
    pass pwd token key keys apikey api auth oauth access refresh bearer basic session cookie client server service user users username
    admin administrator root guest owner login signin credential credentials private public shared master value string text
    here none null true false undefined unknown empty invalid valid wrong right bad good correct incorrect expired strong weak
    secure insecure super very long longer short enough least chars characters letmein qwerty welcome abc abcd abcdef xyz local
    localhost dev development prod production staging stage postgres postgresql mysql redis mongo mongodb rabbit mq database db
    sql app application name email mail org com net io id code data info const env environment config settings
    random generated unique safe only not for use with and or in on at to of is it must be do one two three alice bob
    upper aladdin open sesame explicit lower case min max length number special hash salt signing encryption jwt csrf xsrf better hex raw simple plain
""".split()
_WORDS = frozenset(DUMMY_WORDS)
_TELLING = {
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "test",
    "example",
    "sample",
    "dummy",
    "fake",
    "mock",
    "demo",
}
"""One of these among plain words makes a dummy of them."""
_DUMMY = re.compile("|".join(sorted(map(re.escape, DUMMY_WORDS), key=lambda word: (-len(word), word))))
_TEMPLATE = re.compile(
    r"\*\*\*|\.\.\.|…|<[^>]*>|\$\{|\{\{|\$\(|%\(|#\{|%[A-Z_]+%|^\{.*\}$|^\$\w|^%[sdv]|^@\w+$|x{4}|X{4}|\(\?[:=!]|\]\{\d|\]\+|\[\^"
    r"|\\[wdsSWD][+*{]|(.)\1{7}|0123456|1234567|bcdefgh|BCDEFGH|qwerty|deadbeef|DEADBEEF"
)
_ROWS = re.compile(r"(?:0123456789|1234567890|abcdefghij|ABCDEFGHIJ|qwertyuiop)|(.)\1{9}|x{6}|X{6}|\*{3}|\.{3}|…")
_ENOUGH = 400
"""Characters of a long value that are judged."""
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_RUN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
"""A word in an identifier."""
_UNSPEAKABLE = re.compile(r"[bcdfghjklmnpqrstvwxz]{5}|[aeiou]{4}|(?!www)([a-z])\1\1", re.IGNORECASE)
"""What hardly a word has; letters drawn at random do soon."""
_PIECE = re.compile(r"(?:[A-Z]?[a-z]++\d{0,2}|[A-Z]++(?![a-z])\d{0,2}){1,8}\d{0,6}|v?\d{1,5}[a-z]{0,2}")
_DIGITS_INSIDE = re.compile(r"[A-Za-z]\d+(?=[A-Za-z])")
_DIGEST = re.compile(
    r"sha\d+[-:].*|[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{56}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128}", re.IGNORECASE
)
_CODE = re.compile(
    r"""[\w.:$@>-]*[A-Za-z_]\w*!?[(\[{].*      # a call, an index, a literal of a type
      | [A-Z][A-Z_]+\d{0,2}                    # the name of a constant
      | [&*!$@]+[A-Za-z_]\w*[!?;,]*
      | [&*!$@]*[A-Za-z_]\w*(?:(?:\.|::|->|\?\.|/)[A-Za-z_]\w*)+[!?;,]*   # a dotted name
      | \.{0,2}/.* | ~/.* | [A-Za-z]:\\.*      # a path
      | \w+://.*
      | [a-z_]+ | [a-z]+(?:[A-Z][a-z]+)+[!?;]* | [A-Z][a-z]+(?:[A-Z][a-z]+)+
      | [\w.-]+:\d{2,5} | (?:\d{1,3}\.){3}\d{1,3}
      | [-+]?[\d.,_]+(?:px|em|rem|ms|s|kb|mb|gb|%)?
      | .*(?:=>|</).*
    """,
    re.VERBOSE,
)


def entropy(text: str) -> float:
    """Shannon entropy in bits per character; 0 for an empty text."""
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts) if text else 0.0


def placeholder(value: str) -> bool:
    """A template, a row of a keyboard, or made of filler words with little else: `your-api-key-here`, `changeme123`."""
    if _TEMPLATE.search(value):
        return True
    rest, words = _DUMMY.subn("", value.lower())
    return bool(words) and sum(map(str.isalnum, rest)) < 8


def filler(value: str) -> bool:
    """Made of filler words and nothing else, not even a digit: `changeme`, `your-secret-key`, `localhost`, `postgres`."""
    rest = _DUMMY.sub("", value.lower())
    return rest != value.lower() and not any(map(str.isalnum, rest))


def dummy_key(value: str) -> bool:
    """What documentation shows instead of a vendor's key: `ghp_xxxxxxxx`, `sk-1234567890`, `gsk_your_key_here`."""
    return bool(_ROWS.search(value)) or bool(
        re.search(r"(?i)(?:your|example|dummy|fake|sample|insert)[-_]|[-_](?:here|example|test[-_]?key)$", value)
    )


def dummy_password(value: str) -> bool:
    """A password of filler words, with or without digits behind them: `secret`, `new-password1`, `foo`, `123456`."""
    plain = unquote(value)
    letters = "".join(filter(str.isalpha, _DUMMY.sub("", plain.lower())))
    if plain.isdigit():
        return len(set(plain)) < 4 or plain in "01234567890123456789" or plain in "9876543210"
    if len(letters) <= 2 and (bool(_DUMMY.search(plain.lower())) or len(plain) < 4):
        return True
    words = re.findall(r"[a-z]+", plain.lower())
    if len(words) > 1 and _TELLING & set(words) and wordy(value):
        return True
    return len(set(plain)) == 1 or (len(words) > 3 and sum(word in _WORDS for word in words) * 2 >= len(words))


def is_uuid(value: str) -> bool:
    """In the usual notation with four dashes."""
    return bool(_UUID.fullmatch(value))


def is_digest(value: str) -> bool:
    """Of the length and characters of a common hash sum."""
    return bool(_DIGEST.fullmatch(value))


def mixed(value: str) -> bool:
    """At least two kinds of characters: what a made-up word never has."""
    return bool(re.search(r"\d", value)) or bool(re.search(r"[a-z][A-Z]+[a-z]*[A-Z]", value))


def wordy(value: str) -> bool:
    """Made of words and small numbers, or one identifier in camel case: generated text is not."""
    pieces = [piece for piece in re.split(r"[-_./: @+,!?;&*]+", value) if piece]
    if not pieces:
        return True
    runs = _RUN.findall(value)
    letters, inside = sum(map(len, runs)), len(_DIGITS_INSIDE.findall(value))
    if letters < 0.6 * sum(map(len, pieces)) or letters < (3.4 if inside else 3) * len(runs) or inside > 2:
        return False
    if any(_UNSPEAKABLE.search(run) for run in runs if not run.isupper()):
        return False
    return all(_PIECE.fullmatch(piece) for piece in pieces) or bool(
        re.search(r"[a-z][A-Z]", value) and re.fullmatch(r"[\w.:-]+", value)
    )


def looks_random(value: str) -> bool:
    """Looks generated: long, of mixed characters and high entropy; no placeholder, no words, no identifier.

    Digests pass only where the name says that they are secret (`credential`).
    """
    value = value[:_ENOUGH]
    if len(value) < 12 or not re.search(r"[A-Za-z]", value) or not mixed(value) or _UUID.search(value):
        return False
    return entropy(value) >= (2.6 if len(value) < 20 else 2.8) and not wordy(value) and not placeholder(value)


def random_not_digest(value: str) -> bool:
    """As `looks_random`, for places that may as well hold a hash sum."""
    return len(value) >= 20 and not is_digest(value) and looks_random(value) and entropy(value) >= 3.3


def credential(value: str) -> bool:
    """Looks generated, in a place whose name says that it is secret."""
    value = re.sub(r"(?<!\.)[:.!?]$", "", value[:_ENOUGH].strip())
    if re.search(r"\s|://|[A-Za-z_]\(|\\[nrt]$|\\r\\n", value) or (
        value[:1] in "./~" and len(value) != 40 and "+" not in value
    ):
        return False
    if re.search(r"\.\w+@|@[\w-]+\.|^[\w.-]+:\d{1,5}$|[\[{]$", value) or (
        re.match(r"[A-Za-z_]{2,20}=[^=]", value) and not _dense(value)
    ):
        return False
    if re.fullmatch(r"[&*]+[A-Za-z_][\w.]*", value):
        return False  # a reference to a type
    return looks_random(value) and (_dense(value) or not _CODE.fullmatch(value)) and not encoded_dummy(value)


def _dense(value: str) -> bool:
    return len(value) >= 24 and entropy(value) >= (4 if re.fullmatch(r"[A-Za-z0-9+/_-]{24,}={0,2}", value) else 4.3)


def password(value: str) -> bool:
    """Could be a password that a person chose: some digit or sign among letters; no dummy, no piece of code."""
    if not 6 <= len(value) <= 200 or re.search(r"\s|^\w+=", value) or _TEMPLATE.search(value) or dummy_password(value):
        return False
    if (
        _CODE.fullmatch(value)
        or is_uuid(value)
        or encoded_dummy(value)
        or re.fullmatch(r"(?i)sha-?\d+|md5|utf-?\d+|base64|[^\W\d_]+\?", value)
    ):
        return False
    if value.isdigit():
        return True
    return bool(re.search(r"\d", value)) or bool(re.search(r"[^\w\s.,:;'\"/\[\](){}=<>|\\-]", value))


def url_password(value: str) -> bool:
    """Stands between `:` and `@` in an address: anything but a dummy or a template."""
    if re.search(r"[{}<>]|\$\(|^\$|^\*+$|\*{3}|^%[sdv]$|^\[|^:|\.\.\.|…", value):
        return False
    return (
        not dummy_password(value)
        and (len(value) >= 4 or (len(value) > 2 and mixed(value)))
        and not re.fullmatch(r"(?i)x+", value)
    )


def basic_auth(value: str) -> bool:
    """The base64 of `user:password`, with a password that is no dummy; other random text too."""
    user, colon, word = _decoded(value).partition(":")
    return (url_password(word) and user.isprintable() and user != word) if colon else looks_random(value)


def encoded_dummy(value: str) -> bool:
    """The base64 of `user:password` with a dummy for a password, or of a few words."""
    text = _decoded(value)
    user, colon, word = text.partition(":")
    if not text.isprintable() or len(text) < 6 or "\ufffd" in text:
        return False
    return dummy_password(word) or user == word if colon else text.isascii() and wordy(text) and placeholder(text)


def _decoded(value: str) -> str:
    """What a base64 text says; empty when it is none."""
    if not re.fullmatch(r"[A-Za-z0-9+/_-]{8,400}={0,2}", value):
        return ""
    try:
        return base64.urlsafe_b64decode(value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4)).decode(
            "utf-8", "replace"
        )
    except (binascii.Error, ValueError):
        return ""
