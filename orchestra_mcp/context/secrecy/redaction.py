"""Takes secrets out of text, so that no line moves and equal secrets stay recognisably equal. Pure.

All that is found in one look (known values, private keys, vendors' keys, values beside telling names) is replaced at once.
A secret becomes `«redacted:github-token#1»`; the same secret has the same number everywhere, as long as one `Redactor`
is used. Line breaks inside a secret are kept. It is looked at again what the replacements left, until nothing is found.

Placeholders that are in a text already are taken for placeholders only when their kind is one of ours: what hides between
`«redacted:` and `»` otherwise is text like any other. Numbers that a foreign placeholder has used are not given again.

Secrets are never restored. Personal data, when its redaction is asked for, can be restored for the person at this machine.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from orchestra_mcp.context.secrecy.keyblocks import Pieces, kubernetes_secrets, private_keys
from orchestra_mcp.context.secrecy.knownvalues import KnownValues, secret_values
from orchestra_mcp.context.secrecy.personal import PERSONAL, personal_data
from orchestra_mcp.context.secrecy.secretlooks import entropy, looks_random
from orchestra_mcp.context.secrecy.secretnames import named_secrets
from orchestra_mcp.context.secrecy.secretrules import KEYS, KINDS, LOOSE, PLACES, Rule
from orchestra_mcp.context.secrecy.unveiling import Plain, unveil

TOKEN = re.compile(rf"«redacted:({'|'.join(sorted(KINDS, key=lambda kind: (-len(kind), kind)))})#([1-9]\d{{0,4}})»")
_ESCAPE_BEFORE = re.compile(r"(?:\\[nrtbf0]|%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|[\d;\[]m)$")
"""Ends in a letter or digit, but is no part of the word behind it."""
_BREAKS = re.compile(r"\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_REST_OF_LINE = re.compile(r"[A-Za-z0-9_.+/=-]{1,400}(?=\r?\n)")
_NEXT_LINE = re.compile(r"\r?\n([ \t>|+]{0,8})([A-Za-z0-9_.+/-]{4,400}={0,2})(?=[\s\"'`),;]|$)")
_ANCHORS = tuple(anchor for rule in KEYS for anchor in rule.anchors if len(anchor) > 2)
_MOST_LOOKS = 4
_MOST_LEARNT = 200


class _Found(NamedTuple):
    """A secret: what it is, and where it stands in the plain text."""

    kind: str
    rank: int
    """The lower, the more is known about it."""
    pieces: Pieces
    value: str


class Redactor:
    """Replaces secrets and remembers which number each one got, so that one secret has one name in all texts.

    Args:
        exact: values to take out wherever they occur, also encoded; too short or too common ones are ignored.
        personal: take out personal data too.
    """

    def __init__(self, exact: Iterable[str] = (), *, personal: bool = False) -> None:
        self._lock = threading.RLock()  # files are redacted in several threads
        self._names: dict[str, tuple[str, int]] = {}
        self._used: Counter[str] = Counter()
        self._foreign: set[tuple[str, int]] = set()
        self._known = KnownValues()
        self._learnt = 0
        self._personal = personal
        self.learn(exact)

    def learn(self, exact: Iterable[str], *, sure: bool = False) -> None:
        """Add values that must never be shown; `sure`: as `secret_values` gives them, also those that look like words."""
        with self._lock:
            self._known.add(exact, sure=sure)

    def holds_known(self, text: str) -> bool:
        """Whether one of the learnt values stands in a text, in whatever form."""
        return next(iter(self._known.find(text)), None) is not None

    def redact(self, text: str) -> str:
        """The text without secrets; it has as many lines as before."""
        for _ in range(_MOST_LOOKS):
            plain = unveil(text)
            ours = [match.span() for match in TOKEN.finditer(plain.text)] if "«redacted:" in plain.text else []
            self._reserve(plain.text, ours)
            found = _without_overlap(self._look(plain), ours, plain.text)
            if not found:
                break
            text = self._replaced(text, plain, found)
        return text

    def restore(self, text: str) -> str:
        """The text with its personal data, for this machine's terminal and dashboard only; secrets stay out.

        Nothing is restored inside an address: whoever could make a model write one could have it carried away by a click.
        """
        with self._lock:
            values = {name: value for value, name in self._names.items() if name[0] in PERSONAL}

        def put_back(match: re.Match[str]) -> str:
            word = re.search(r"\S*$", match.string[max(0, match.start() - 2000) : match.start()])
            in_address = word and re.search(r"://|\]\(|(?:src|href)=|^www\.", word[0])
            return match[0] if in_address else values.get((match[1], int(match[2])), match[0])

        return TOKEN.sub(put_back, text)

    def count(self, texts: Iterable[str]) -> dict[str, int]:
        """How many different secrets of each kind this redactor took out of what is in these texts."""
        with self._lock:
            issued = set(self._names.values())
        seen = {(kind, int(number)) for text in texts for kind, number in TOKEN.findall(text)} & issued
        return dict(sorted(Counter(kind for kind, _ in seen).items()))

    # ------------------------------------------------------------------------------------------------ looking

    def _look(self, plain: Plain) -> Iterator[_Found]:
        text = plain.text
        low = text.lower()
        for start, end, value in (*self._known.find(text), *self._known.find_wrapped(text)):
            yield _Found(_kind(value), 0, ((start, end),), value)
        for pieces in private_keys(text):
            yield _Found("private-key", 1, pieces, "".join(text[a:b] for a, b in pieces))
        for rank, rule in enumerate((*KEYS, *PLACES), 10):
            for start, end in _matches(rule, plain, low):
                yield _Found(rule.kind, rank, ((start, end),), text[start:end])
        for kind, pattern, believe in LOOSE:
            for match in pattern.finditer(text):
                if believe(match[0]):
                    yield _Found(kind, 5, (match.span(),), match[0])
        for pieces in kubernetes_secrets(text):
            yield _Found("kubernetes-secret", 900, pieces, "".join(text[a:b] for a, b in pieces))
        for kind, start, end in named_secrets(text, low):
            yield _Found(kind, 800, ((start, end),), text[start:end])
        if self._personal:
            for kind, start, end in personal_data(text):
                yield _Found(kind, 999, ((start, end),), text[start:end])

    # ---------------------------------------------------------------------------------------------- replacing

    def _replaced(self, text: str, plain: Plain, found: Sequence[_Found]) -> str:
        parts: list[tuple[int, int, str]] = []
        for secret in found:
            name = self._name(secret)
            for start, end in secret.pieces:
                begin, stop = plain.origin(start, end)
                parts.append((begin, stop, name + "".join(_BREAKS.findall(text[begin:stop]))))
                name = ""
        at, out = 0, []
        for begin, stop, new in sorted(parts):
            out += [text[at:begin], new]
            at = stop
        return "".join([*out, text[at:]])

    def _name(self, secret: _Found) -> str:
        value = re.sub(r"\s+", "", secret.value) if "\n" in secret.value else secret.value
        with self._lock:
            if value not in self._names:
                self._used[secret.kind] += 1
                while (secret.kind, self._used[secret.kind]) in self._foreign:
                    self._used[secret.kind] += 1
                self._names[value] = (secret.kind, self._used[secret.kind])
                if self._learnt < _MOST_LEARNT and _unmistakable(secret, value):
                    self._learnt += 1  # then it goes elsewhere too, where nothing beside it tells
                    self._known.add([value])
            kind, number = self._names[value]
        return f"«redacted:{kind}#{number}»"

    def _reserve(self, text: str, ours: Sequence[tuple[int, int]]) -> None:
        """Numbers in placeholders that another redactor, or somebody, wrote are not given again."""
        for start, end in ours:
            if match := TOKEN.fullmatch(text, start, end):
                with self._lock:
                    self._foreign.add((match[1], int(match[2])))


def redact(text: str, exact: Sequence[str] = ()) -> tuple[str, dict[str, int]]:
    """Take all secrets out of a text.

    Args:
        text: any text: code, diff, log, question.
        exact: values that are known to be secret.

    Returns:
        The text with tokens such as `«redacted:github-token#1»`, with its number of lines unchanged, and how many
        different secrets of each kind were found.
    """
    redactor = Redactor(exact)
    clean = redactor.redact(text)
    return clean, redactor.count((clean,))


def _matches(rule: Rule, plain: Plain, low: str) -> Iterator[tuple[int, int]]:
    """Where a rule's secrets stand."""
    text = plain.text
    for anchor in rule.anchors:
        at = (low if rule.fold else text).find(anchor)
        while at >= 0:
            after = at + len(anchor)
            span = _match_key(rule, plain, at) if rule.key else _match_place(rule, text, at)
            if span and rule.believe(text[span[0] : span[1]]):
                yield span
                after = max(after, span[1])
            at = (low if rule.fold else text).find(anchor, after)


def _match_place(rule: Rule, text: str, at: int) -> tuple[int, int] | None:
    match = rule.pattern.match(text, at)
    return match.span(match.re.groups) if match else None


def _match_key(rule: Rule, plain: Plain, at: int) -> tuple[int, int] | None:
    text, start = plain.text, at
    if rule.before:
        before = rule.before.search(text, max(0, at - 40), at)
        if not before:
            return None
        start = before.start()
    if not _edge(plain, start):
        return None
    match = rule.pattern.match(text, at)
    end = match.end() if match else at
    if rest := _REST_OF_LINE.match(text, max(at, end - 1) if match else at):
        end = _wrapped(rule, text, at, rest.end(), end)
    if end <= at or (text[end : end + 1] in ("+", "/") and text[at : at + 4].isalnum()):
        return None  # nothing, or the middle of something in base64
    return start, end


def _edge(plain: Plain, at: int) -> bool:
    """Whether a key may begin here: not inside a word."""
    before = plain.text[at - 1 : at]
    if not before.isalnum() or not before.isascii() or at in plain.seams:
        return True
    return bool(_ESCAPE_BEFORE.search(plain.text, max(0, at - 6), at))


def _wrapped(rule: Rule, text: str, at: int, line_end: int, end: int) -> int:
    """Where a key ends that goes on in the next line, because a terminal or a mail program broke it."""
    if line_end - text.rfind("\n", 0, at) < 60 or (end > at and end != line_end):
        return end
    rest = _NEXT_LINE.match(text, line_end)
    if not rest or rest[2].startswith(_ANCHORS) or not (re.search(r"\d", rest[2]) and re.search(r"[A-Za-z]", rest[2])):
        return end
    joined = text[at:line_end] + rest[2]
    match = rule.pattern.match(joined)
    if match and match.end() > line_end - at and rule.believe(match[0]) and looks_random(rest[2] + joined[-16:]):
        return rest.start(2) + match.end() - (line_end - at)
    return end


def _without_overlap(found: Iterable[_Found], ours: Sequence[tuple[int, int]], text: str) -> list[_Found]:
    """Each place once: what overlaps is one secret, of the kind of which most is known; placeholders are left alone."""
    taken: list[_Found] = []
    for secret in sorted((s for s in found if s.pieces), key=lambda s: (s.pieces[0][0], -s.pieces[-1][1])):
        pieces = _outside(secret.pieces, ours)
        if not pieces:
            continue
        secret = secret._replace(pieces=pieces) if pieces != secret.pieces else secret
        if not taken or pieces[0][0] >= taken[-1].pieces[-1][1]:
            taken.append(secret)
            continue
        last = taken[-1]
        best = min(last, secret, key=lambda s: s.rank)
        if pieces[-1][1] > last.pieces[-1][1]:  # both go, as one
            start, end = last.pieces[-1]
            joined = (*last.pieces[:-1], (start, max(end, pieces[-1][1])))
            taken[-1] = _Found(best.kind, best.rank, joined, _value(best, "".join(text[a:b] for a, b in joined)))
        elif secret.rank < last.rank:
            taken[-1] = last._replace(kind=secret.kind, rank=secret.rank, value=_value(secret, last.value))
    return taken


def _value(best: _Found, whole: str) -> str:
    """By what a secret is known again: the key alone when a vaguer rule saw only signs more, as the end of a sentence."""
    return whole if any(map(str.isalnum, whole.replace(best.value, "", 1))) else best.value


def _outside(pieces: Pieces, ours: Sequence[tuple[int, int]]) -> Pieces:
    """What of these places is in no placeholder; placeholders come in order."""
    at = bisect_left(ours, (pieces[0][0], 0))
    for low, high in ours[max(0, at - 1) : bisect_left(ours, (pieces[-1][1], 0))]:
        cut = [part for a, b in pieces for part in ((a, min(b, low)), (max(a, high), b)) if part[0] < part[1]]
        pieces = tuple(cut)
    return pieces


def _unmistakable(secret: _Found, value: str) -> bool:
    """So peculiar that the same characters elsewhere are the same secret."""
    if secret.kind in PERSONAL or len(secret.pieces) > 1 or not 20 <= len(value) <= 200:
        return False
    return looks_random(value) and entropy(value) >= 3.6


def _kind(value: str) -> str:
    """A known value's kind, when it is a vendor's key as well."""
    for rule in KEYS:
        if rule.pattern.fullmatch(value):
            return rule.kind
    return "known-value"


__all__ = ["TOKEN", "Redactor", "redact", "secret_values"]
