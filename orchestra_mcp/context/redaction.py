"""Takes secrets out of text, so that no line moves and equal secrets stay recognisably equal. Pure.

Three passes: exact values that are known to be secret (from the environment and `.env` files), private key blocks, and
the table of rules. A secret becomes `«redacted:github-token#1»`; the same secret has the same number everywhere,
as long as one `Redactor` is used. Line breaks inside a secret are kept.

What vendors' keys and the like look like is the table in `secretrules`. A rule runs only on text that contains one of
its keywords, which is what makes it fast.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from orchestra_mcp.context.secretrules import RULES, Rule, looks_random, placeholder

TOKEN = re.compile(r"«redacted:([a-z0-9-]+)#(\d+)»")


class Redactor:
    """Replaces secrets and remembers which number each one got, so that one secret has one name in all texts.

    Args:
        exact: values to take out wherever they occur; too short or too common ones are ignored.
    """

    def __init__(self, exact: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()  # files are redacted in several threads
        self._numbers: dict[str, dict[str, int]] = {}
        self._exact: dict[str, None] = {}
        self._pattern: re.Pattern[str] | None = None
        self.learn(exact)

    def learn(self, exact: Iterable[str]) -> None:
        """Add values that must never be shown."""
        for value in exact:
            value = value.strip()
            if len(value) >= 8 and not re.fullmatch(r"[a-z]{1,11}|\d{1,8}|(.)\1+", value):
                self._exact |= dict.fromkeys((value, quote(value, safe=""), value.replace("\n", "\\n")))
        self._pattern = _alternation(self._exact)

    def redact(self, text: str) -> str:
        """The text without secrets; it has as many lines as before."""
        if self._pattern is not None:
            text = self._pattern.sub(lambda m: self._token(_kind(m[0]), m[0]), text)
        text = self._private_keys(text)
        low = text.lower()
        for rule in RULES:
            if any(word in low for word in rule.keywords):
                text = rule.pattern.sub(lambda m, rule=rule: self._replace(rule, m), text)  # type: ignore[misc]
        return text

    def _replace(self, rule: Rule, match: re.Match[str]) -> str:
        group = match.re.groups  # the secret is the last group, or the whole match
        value = match[group]
        if "«" in value or not rule.believe(value):
            return match[0]
        start, end = match.start(group) - match.start(), match.end(group) - match.start()
        return match[0][:start] + self._token(rule.kind, value) + match[0][end:]

    def _token(self, kind: str, value: str) -> str:
        with self._lock:
            numbers = self._numbers.setdefault(kind, {})
            number = numbers.setdefault(value, len(numbers) + 1)
        return f"«redacted:{kind}#{number}»" + "\n" * value.count("\n")

    def _private_keys(self, text: str) -> str:
        if "PRIVATE KEY" not in text:
            return text
        text = _ONE_LINE.sub(lambda m: self._token("private-key", m[0]), text)
        lines = text.split("\n")
        at, column = 0, 0
        while at < len(lines):
            if begin := _BEGIN.search(lines[at], column):
                at, column = self._from_begin(lines, at, begin)
                continue
            if end := _END.search(lines[at], column):
                self._before_end(lines, at, end)
            at, column = at + 1, 0
        return "\n".join(lines)

    def _from_begin(self, lines: list[str], at: int, begin: re.Match[str]) -> tuple[int, int]:
        """Take out a block that starts here, as far as it goes; gives the line and column where it ended."""
        line = lines[at]
        head = line[: begin.start()]
        same_line = _KEY_TEXT.match(line, begin.end())
        stop = same_line.end() if same_line else begin.end()
        last, tail = at, ""
        for index in range(at + 1, len(lines)) if _KEY_LINE.fullmatch(line, stop) else ():
            end = _END.search(lines[index])
            if end and _KEY_LINE.fullmatch(lines[index][: end.start()]):
                last, tail = index, lines[index][end.end() :]
                break
            if not _KEY_LINE.fullmatch(lines[index]):
                break
            if lines[index].strip():
                last = index
        if stop == begin.end() and last == at:
            return at, stop  # only the marker, as in a program that looks for keys
        secret = "\n".join([line[begin.start() : stop], *lines[at + 1 : last + 1]])
        head += self._token("private-key", secret).rstrip("\n")
        lines[at] = head + line[stop:]
        for index in range(at + 1, last + 1):
            lines[index] = ""
        if last == at:
            return at, len(head)
        lines[last] = tail
        return last, 0

    def _before_end(self, lines: list[str], at: int, end: re.Match[str]) -> None:
        """Take out what precedes an end without a beginning: an excerpt may start inside a block."""
        first = at
        while first > 0 and lines[first - 1].strip() and _KEY_LINE.fullmatch(lines[first - 1]):
            first -= 1
        start = _KEY_TEXT_BACKWARDS.search(lines[at][: end.start()])
        if first == at and not (start and start[0]):
            return
        secret = "\n".join([*lines[first:at], lines[at][: end.end()]])
        keep = lines[at][: start.start()] if start else lines[at][: end.start()]
        token = self._token("private-key", secret).rstrip("\n")
        tail = lines[at][end.end() :]
        lines[first:at] = [""] * (at - first)
        lines[at] = tail
        lines[first] = keep + token + (tail if first == at else "")


_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_ONE_LINE = re.compile(rf"{_BEGIN.pattern}(?:[^-\n]|-(?!----)){{1,20000}}+{_END.pattern}")
_KEY_TEXT = re.compile(r"(?:\\+[nr]|[A-Za-z0-9+/=]){0,20000}")
_KEY_TEXT_BACKWARDS = re.compile(r"(?:\\n|[A-Za-z0-9+/=]){0,8000}$")
_KEY_LINE = re.compile(
    r"[\s+\-#>|*/\"'`\d:]{0,24}(?:(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset)\b[^\n]{0,200}"
    r"|[A-Za-z0-9+/=]{16,400}|[A-Za-z0-9+/]{0,60}={1,2}|=[A-Za-z0-9+/]{4})?(?:\\[nr]){0,2}[\s\"'`,;+\\)]{0,8}"
)


def redact(text: str, exact: Sequence[str] = ()) -> tuple[str, dict[str, int]]:
    """Take all secrets out of a text.

    Args:
        text: any text: code, diff, log, question.
        exact: values that are known to be secret.

    Returns:
        The text with tokens such as `«redacted:github-token#1»`, with its number of lines unchanged, and how many
        different secrets of each kind were found.
    """
    clean = Redactor(exact).redact(text)
    return clean, count((clean,))


def count(texts: Iterable[str]) -> dict[str, int]:
    """How many different secrets of each kind were taken out of these texts, by the tokens that are left."""
    seen = {(kind, number) for text in texts for kind, number in TOKEN.findall(text)}
    return dict(sorted(Counter(kind for kind, _ in seen).items()))


def secret_values(dotenv: str) -> tuple[str, ...]:
    """The values in a `.env` file that are worth hiding: secret by name, random by look, or with a password inside."""
    named = re.compile(
        r"KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL|AUTH|DSN|_URL$|_URI$|CONNECTION|PRIVATE|SALT", re.IGNORECASE
    )
    found: list[str] = []
    for line in dotenv.splitlines()[:2000]:
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        value = _unquoted(value.strip())
        if not equals or name.startswith("#") or len(value) < 8 or placeholder(value):
            continue
        if password := re.search(r"://[^:@/\s]*:([^@/\s]{4,})@", value):
            found += [value, password[1]]
        elif (named.search(name) and not re.match(r"https?://|/|\./", value)) or looks_random(value):
            found.append(value)
    return tuple(dict.fromkeys(found))


def _unquoted(value: str) -> str:
    """A value of a `.env` file without its quotes and the remark behind it."""
    quoted = re.match(r"(['\"])(.*?)\1\s*(?:#.*)?$", value)
    return quoted[2] if quoted else re.sub(r"\s+#.*$", "", value).strip("'\"")


def _kind(value: str) -> str:
    for rule in RULES:
        if rule.pattern.groups == 0 and rule.pattern.fullmatch(value):
            return rule.kind
    return "known-value"


def _alternation(values: Iterable[str]) -> re.Pattern[str] | None:
    """One pattern for all values, longest first; a value that could be part of a word must stand alone."""
    parts = []
    for value in sorted(values, key=len, reverse=True):
        bare = re.escape(value)
        parts.append(bare if looks_random(value) else rf"(?<![A-Za-z0-9]){bare}(?![A-Za-z0-9])")
    return re.compile("|".join(parts)) if parts else None
