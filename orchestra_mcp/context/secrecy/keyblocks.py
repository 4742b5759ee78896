"""Secrets over several lines: private keys of all notations, whole or cut, and the data of Kubernetes Secrets. Pure.

Found is what is secret on each line, so that what stands before it (the sign of a diff, an indentation, a line number)
stays, and no line moves.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from orchestra_mcp.context.secrecy.secretlooks import dummy_password

Pieces = tuple[tuple[int, int], ...]
"""Places in the text, in order, that together are one secret."""

_BEGIN = re.compile(r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_END = re.compile(r"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_INLINE = re.compile(
    r"(?:(?:\\{1,4}[nrt]|[A-Za-z0-9+/=]|[ \t](?=[A-Za-z0-9+/=-])|(?:Proc-Type|DEK-Info|Version|Comment): [\w,.:@ /()-]{0,120}(?=\\)){0,20000}+)"
)
_INLINE_BACKWARDS = re.compile(r"(?:\\{1,4}[nr]|[A-Za-z0-9+/=]){0,8000}$")
_LINE = re.compile(
    r"(?P<lead>[\s+\-#>|*/\"'`\d:]{0,24}?)(?P<key>(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset|Subject|X-[\w-]{1,40})\b[^\n]{0,200}"
    r"|[A-Za-z0-9+/=]{16,4000}|[A-Za-z0-9+/]{0,63}={1,2}|=[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2,15}(?=\W{0,12}$))?(?P<tail>(?:\\[nr]){0,2}[\s\"'`,;+\\)]{0,8})"
)
_HEADS = (
    "b3BlbnNzaC1rZXktdjEAAAA", "MHcCAQEEI", "MIGHAgEAMBMGByqGSM49", "MIGTAgEAMBMGByqGSM49", "MIG2AgEAMBAGByqGSM49", "MC4CAQAwBQYDK2VwBCIEI",
    "MIHcAgEBBEI", "MIGkAgEBBD", "LS0tLS1CRUdJTiBSU0EgUFJJVkFURS", "LS0tLS1CRUdJTiBQUklWQVRFIEtFW", "LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUg",
    "LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFW", "LS0tLS1CRUdJTiBFTkNSWVBURUQgUFJJVkFURS", "LS0tLS1CRUdJTiBQR1AgUFJJVkFURS",
)  # fmt: skip
"""How private keys begin in base64: DER structures and whole PEM files. Add here."""
_HEAD_ANCHORS = {
    "IBAAKCA": re.compile(r"MII[A-Za-z0-9+/]{2,3}$"),
    "IBADANBgkqhkiG9w0BAQEFAASC": re.compile(r"MII[A-Za-z0-9+/]{2,3}$"),
}
"""PKCS #1 and PKCS #8 keys of RSA: what follows the length, and what precedes it."""
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]|\\{1,2}n){24,20000}+={0,2}")
_LETTER = re.compile(r"[A-Za-z0-9+/]")


def private_keys(text: str) -> Iterator[Pieces]:
    """All private keys, as the places of their lines."""
    if "PRIVATE KEY" in text or "Private-Lines" in text:
        yield from _armoured(text)
    lines, done = None, -1
    for head, start in sorted(_heads(text), key=lambda found: found[1]):
        if start < done or (_LETTER.match(text, max(0, start - 1), start) and text[start - 1] != "+"):
            continue
        body = _BASE64.match(text, start)
        if body and len(body[0]) > len(head) + 20:
            lines = lines or _Lines(text)
            at = lines.at(start)
            rest = lines.body(at + 1, lines.signed(at)) if body.end() >= lines.end(at) else ()
            yield ((body.start(), body.end()), *rest)
            done = rest[-1][1] if rest else body.end()


def _heads(text: str) -> Iterator[tuple[str, int]]:
    for head in _HEADS:
        at = text.find(head)
        while at >= 0:
            yield head, at
            at = text.find(head, at + len(head))
    for anchor, before in _HEAD_ANCHORS.items():
        at = text.find(anchor)
        while at >= 0:
            if found := before.search(text, max(0, at - 6), at):
                yield anchor, found.start()
            at = text.find(anchor, at + len(anchor))


class _Lines:
    """The lines of a text by number, as places in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = [0, *(m.end() for m in re.finditer("\n", text))]

    def at(self, place: int) -> int:
        return bisect_right(self.starts, place) - 1

    def end(self, line: int) -> int:
        stop = self.starts[line + 1] - 1 if line + 1 < len(self.starts) else len(self.text)
        return stop - 1 if self.text[stop - 1 : stop] == "\r" else stop

    def signed(self, line: int) -> bool:
        """Whether it begins with the plus of a diff, which could as well be base64."""
        return self.text.startswith("+", self.starts[line])

    def match(self, line: int, signed: bool) -> re.Match[str] | None:
        """What of a line is key text."""
        if line >= len(self.starts):
            return None
        start = self.starts[line]
        return _LINE.fullmatch(self.text, start + (signed and self.signed(line)), self.end(line))

    def body(self, line: int, signed: bool) -> Pieces:
        """The pieces of key text from this line on, until something else comes."""
        found: list[tuple[int, int]] = []
        while (match := self.match(line, signed)) and (match["key"] or line + 1 < len(self.starts)):
            if match["key"]:
                found.append(match.span("key"))
            line += 1
        return tuple(found)


def _armoured(text: str) -> Iterator[Pieces]:
    lines = _Lines(text)
    done = -1
    for marker in re.finditer(rf"{_BEGIN.pattern}|{_END.pattern}|Private-Lines: \d{{1,3}}(?=\r?\n)", text):
        if marker.start() < done:
            continue
        pieces = _after(text, lines, marker) if "END" not in marker[0][:10] else _before(text, lines, marker, done)
        if pieces:
            done = pieces[-1][1]
            yield pieces


def _after(text: str, lines: _Lines, begin: re.Match[str]) -> Pieces:
    """A block from its beginning, as far as it goes."""
    inline = _INLINE.match(text, begin.end())
    stop = inline.end() if inline else begin.end()
    if end := _END.match(text, stop):
        return ((begin.start(), end.end()),) if stop - begin.end() > 12 else ()
    at = lines.at(begin.start())
    body: Pieces = ()
    if re.compile(r"(?:\\{1,4}[nr]){0,2}[\s\"'`,;+\\)]{0,8}").fullmatch(text, stop, lines.end(at)):
        body = lines.body(at + 1, lines.signed(at))
        last = lines.at(body[-1][1]) + 1 if body else at + 1
        while last < len(lines.starts) and not text[lines.starts[last] : lines.end(last)].strip():
            last += 1
        if body and last < len(lines.starts) and (end := _END.search(text, lines.starts[last], lines.end(last))):
            body = (*body, end.span())
    if stop - begin.end() < 16 and sum(b - a for a, b in body) < 16:
        return ()  # only the marker, as in a program that looks for keys
    return ((begin.start(), stop), *body)


def _before(text: str, lines: _Lines, end: re.Match[str], done: int) -> Pieces:
    """What precedes an end without a beginning: an excerpt may start inside a block."""
    at = lines.at(end.start())
    same = _INLINE_BACKWARDS.search(text, max(lines.starts[at], done, end.start() - 8000), end.start())
    pieces = [(same.start() if same else end.start(), end.end())]
    inline = pieces[0][1] - pieces[0][0] > len(end[0]) + 8
    if not inline:
        pieces = [end.span()]
    first = at
    while (
        not inline
        and first > 0
        and lines.starts[first - 1] > done
        and (match := lines.match(first - 1, lines.signed(at)))
        and match["key"]
    ):
        first -= 1
        pieces.insert(0, match.span("key"))
    return tuple(pieces) if inline or sum(b - a for a, b in pieces[:-1]) >= 16 else ()


_SECRET_KIND = re.compile(r"(?im)^[ \t+\-]{0,4}[\"']?kind[\"']?\s?:\s?[\"']?Secret[\"']?,?\s*$")
_DATA = re.compile(r"(?m)^(?P<indent>[ \t+-]{0,8})[\"']?(?:data|stringData)[\"']?\s?:\s?\{?[ \t]*\r?$")
_LEAD = re.compile(r"[+-]?[ \t]*")
_ENTRY = re.compile(
    r"[+-]?[ \t]*[\"']?[\w.-]{1,253}[\"']?\s?:\s?(?P<quote>[\"']?)(?P<value>[^\r\n]*?)(?P=quote),?(?:\s+#[^\r\n]*)?\s*"
)
_NO_VALUE = re.compile(r"[A-Z][A-Z_]+|.*(?:\{\{|\$\{|^<|\$\().*")
_BLOCK = re.compile(r"[|>][-+]?\d?")


def kubernetes_secrets(text: str) -> Iterator[Pieces]:
    """The values under `data` and `stringData` of Kubernetes Secrets in YAML, and in JSON with a line for each."""
    if "kind" not in text or "Secret" not in text:
        return
    lines: _Lines | None = None
    stop = -1
    for kind in _SECRET_KIND.finditer(text):
        if kind.start() < stop:
            continue  # the same document
        start = max(text.rfind("\n---", 0, kind.start()), 0)
        stop = text.find("\n---", kind.end())
        stop = len(text) if stop < 0 else stop
        lines = lines or _Lines(text)
        for data in _DATA.finditer(text, start, stop):
            yield from _entries(text, lines, lines.at(data.start("indent")), len(data["indent"]), stop)


def _entries(text: str, lines: _Lines, at: int, indent: int, stop: int) -> Iterator[Pieces]:
    block: list[tuple[int, int]] | None = None
    depth = 0
    for line in range(at + 1, len(lines.starts)):
        begin, end = lines.starts[line], lines.end(line)
        lead = _LEAD.match(text, begin, end)
        content = lead.end() if lead else begin
        if content >= end:
            continue
        if begin >= stop or content - begin <= indent:
            break
        if block is not None and content - begin > depth:
            block.append((content, end))
            continue
        if block:
            yield tuple(block)
        block = None
        entry = _ENTRY.fullmatch(text, begin, end)
        if entry is None:
            break
        if _BLOCK.fullmatch(entry["value"]):
            block, depth = [], content - begin
        elif (
            len(entry["value"]) >= 4 and not _NO_VALUE.fullmatch(entry["value"]) and not dummy_password(entry["value"])
        ):
            yield (entry.span("value"),)
    if block:
        yield tuple(block)
