"""What went wrong at a provider, in the words of `errors.py`: pure functions from status, headers and body.

A message is one sentence that names model and status and says what to do. Of the provider's own words it carries
at most a short piece, with everything taken out that could be a key (providers echo keys in their errors).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from orchestra_mcp.errors import BadReply, ProviderError, RateLimited, Refused, Unavailable

MAX_QUOTE = 160
_LOOKS_SECRET = re.compile(
    r"(?i)\b(bearer|basic)\s+\S+"  # an Authorization header
    r"|\S*\*{2,}\S*"  # a masked key: its visible rest is still a piece of it
    r"|\b(sk|pk|rk|xai|gsk|csk|fw|pplx|hf|or|tgp|key|aiza|ya29|ghp|eyj)[-_.][\w\-.=+/]{6,}"
    r"|\bAIza[\w-]{10,}"
    r"|\b(?=[\w\-]*\d)(?=[\w\-]*[a-zA-Z])[\w\-+/=]{24,}"  # long and mixed: assume the worst
)
_OUT_OF_CREDIT = re.compile(r"insufficient[_ ](quota|balance|credit|funds)|credit balance|out of credit", re.I)
_RETRY_DELAY = re.compile(r'"retryDelay"\s*:\s*"(\d+(?:\.\d+)?)s"')  # Google's, in the body: google.rpc.RetryInfo
_BAD_KEY = re.compile(r"API_KEY_INVALID|api key (not valid|expired|not found)|invalid[_ ](x-)?api[_ -]?key", re.I)
_TOO_LONG = re.compile(r"context[_ ](length|window)|prompt is too long|too many tokens|maximum context", re.I)
_POLICY = re.compile(r"content[_ ](policy|filter)|flagged|moderation|PROHIBITED_CONTENT", re.I)


def quote(text: str, secrets: Iterable[str] = ()) -> str:
    """A short piece of a provider's message that is fit to show: one line, no markup, nothing like a key."""
    text = re.sub(r"<[^>]*>|[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]+", " ", text[:4000])
    for secret in secrets:
        text = _without(text, secret)
    text = _LOOKS_SECRET.sub("[…]", text)
    text = " ".join(text.split())
    return text if len(text) <= MAX_QUOTE else text[: MAX_QUOTE - 1].rstrip() + "…"


def _without(text: str, secret: str) -> str:
    """Take out every word that shares eight characters in a row with the secret."""
    if not secret:
        return text
    text = text.replace(secret, "[…]")
    if len(secret) < 8:
        return text
    pieces = {secret[i : i + 8].lower() for i in range(len(secret) - 7)}

    def leaks(word: str) -> bool:
        low = word.lower()
        return any(low[i : i + 8] in pieces for i in range(len(low) - 7))

    return " ".join("[…]" if leaks(word) else word for word in text.split(" "))


def said(body: Any) -> str:
    """The provider's own error message, from the places where the vendors put it; else an empty string."""
    if isinstance(body, list):
        body = body[0] if body else {}
    if not isinstance(body, dict):
        return ""
    error = body.get("error")
    if isinstance(error, str):
        return error
    source = error if isinstance(error, dict) else body
    message = source.get("message") or source.get("detail") or source.get("msg")
    if isinstance(message, str):
        return message
    return json.dumps(message)[:1000] if message else ""


def parse(text: str) -> Any:
    """JSON, or None when it is none, or nested deeper than anybody means it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait from a `Retry-After` header: a number or an HTTP date (RFC 9110 §10.2.3); never negative."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds())


@dataclass(frozen=True)
class Source:
    """Where a reply came from, and so what its errors say."""

    who: str
    """Model and provider, such as `gpt-6 at api.openai.com`."""
    key_env: str = ""
    """Variable that holds the key, for the advice."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Values that must not show up in a message."""

    def from_status(
        self, status: int, headers: Mapping[str, str], text: str, now: datetime | None = None
    ) -> ProviderError:
        """The error for a reply with a status that is no success; `text` is its body."""
        words = quote(said(parse(text)), self.secrets)
        tail = f": {words}" if words else "."
        return _permanent(self, status, text[:20_000], tail) or _passing(self, status, headers, text, tail, now)

    def from_event(self, body: Any) -> ProviderError:
        """The error for an error object inside a stream, or inside a reply with status 200."""
        error = body.get("error") if isinstance(body, dict) else None
        details = error if isinstance(error, dict) else {}
        code = details.get("code")
        names = (str(details.get(name) or "").lower() for name in ("type", "status", "code"))
        known = next((_STATUS_OF[name] for name in names if name in _STATUS_OF), 500)
        status = code if isinstance(code, int) and 400 <= code < 600 else known
        return self.from_status(status, {}, json.dumps(body))

    def garbage(self, what: str) -> BadReply:
        """The error for a reply that is not what the API promises."""
        return BadReply(f"{self.who} sent {what} instead of a reply; check base_url.", "garbage")

    def declined(self) -> Refused:
        """The error for a model or provider that will not answer this question."""
        return Refused(f"{self.who} declined to answer by its content policy.", "policy")


def _permanent(source: Source, status: int, text: str, tail: str) -> ProviderError | None:
    """The error when asking again cannot help; None when it may."""
    who = source.who
    if status in (401, 403) or (status == 400 and _BAD_KEY.search(text)):
        key = f"; check {source.key_env}" if source.key_env else ""
        return Refused(f"{who} refused the key ({status}{key}){tail}", "auth")
    if status == 402 or (status in (400, 429) and _OUT_OF_CREDIT.search(text)):
        return Refused(f"{who} has no credit or quota left ({status}); top up the account{tail}", "auth")
    if status == 404:
        return Refused(f"{who} does not know this model or address (404); check model and base_url{tail}", "model")
    if status == 413 or (status == 400 and _TOO_LONG.search(text)):
        return Refused(f"{who} says that the question is too long for it ({status}){tail}", "window")
    if 300 <= status < 400:
        why = "redirects are not followed, so that the key goes nowhere else; set base_url to the final address"
        return Refused(f"{who} answered with a redirect ({status}); {why}.", "request")
    if status == 400 and _POLICY.search(text):
        return Refused(f"{who} declined the question by its content policy ({status}){tail}", "policy")
    if status < 500 and status not in (408, 409, 424, 425, 429):
        return Refused(f"{who} did not accept the request ({status}){tail}", "request")
    return None


def _passing(
    source: Source, status: int, headers: Mapping[str, str], text: str, tail: str, now: datetime | None
) -> ProviderError:
    """The error when another try or another model may help."""
    if status == 429:
        wait = retry_after(headers, now or datetime.now(UTC))
        if wait is None and (delay := _RETRY_DELAY.search(text[:20_000])):
            wait = float(delay[1])
        asks = f" and asks to wait {wait:.0f} s" if wait is not None else ""
        return RateLimited(f"{source.who} is limiting the rate of calls (429){asks}{tail}", wait)
    return Unavailable(f"{source.who} failed with status {status}{tail}", "server")


_STATUS_OF = {
    # Anthropic's error types: https://docs.anthropic.com/en/api/errors
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "overloaded_error": 529,
    # Google's canonical codes: https://cloud.google.com/apis/design/errors
    "invalid_argument": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "resource_exhausted": 429,
    "unavailable": 503,
    # OpenAI
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    # add here
}


def unsupported(status: int, text: str, sent: Iterable[str]) -> str:
    """The parameter that a 400 or 422 complains about, if we sent it; else an empty string."""
    if status not in (400, 422):
        return ""
    body = parse(text)
    error = body.get("error") if isinstance(body, dict) else None
    param = error.get("param") if isinstance(error, dict) else None
    if isinstance(error, dict) and str(error.get("code") or "").startswith("invalid_"):
        return ""  # the parameter is known, its value is wrong
    message = said(body) or text[:2000]
    if _VALUE.search(message):  # about the size of the limit, which another name would not change
        sent = [name for name in sent if not _LIMIT.search(name)]
    names = sorted(sent, key=len, reverse=True)
    if isinstance(param, str) and param.split(".")[0] in names:
        return param.split(".")[0]
    return next((name for name in names if re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", message)), "")


LEAST_LIMIT = 16
"""No model says fewer tokens than this at most; smaller numbers in a message are something else."""
_LIMIT = re.compile(r"max_?(new_?|completion_?|output_?)?tokens|(completion|output|maximum) tokens", re.I)
_VALUE = re.compile(
    r"too (large|high|big|many)|at most|maximum (allowed|value)|above maximum|less than or equal|lower than"
    r"|(supported|valid|allowed) range|between \d+ and|must be in|exceeds? the (model )?(limit|maximum)|<=|\d > \d",
    re.I,
)
_WITH_PROMPT = re.compile(r"context (length|limit)|prompt is too long|input length|tokens`? \+", re.I)
"""Prompt and answer together are too long: the number in the message is no limit of answers."""
_NUMBER = re.compile(r"(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+)(?![\w]|\.\d)(\s*\(exclusive\))?")


def output_limit(status: int, text: str, sent: int) -> int | None:
    """The most tokens of output that a model has, when a 400 or 422 says that `sent` are too many; else None.

    That is the largest number in the vendor's message that is smaller than `sent`.

    Args:
        status: of the reply.
        text: its body.
        sent: the limit of the request.
    """
    if status not in (400, 422):
        return None
    message = (said(parse(text)) or text)[:2000]
    if not (_LIMIT.search(message) and _VALUE.search(message)) or _WITH_PROMPT.search(message):
        return None
    numbers = (int(found[1].replace(",", "")) - bool(found[2]) for found in _NUMBER.finditer(message))
    return max((number for number in numbers if LEAST_LIMIT <= number < sent), default=None)


LIMITS = frozenset({"maxtokens", "maxcompletiontokens", "maxoutputtokens"})
"""Names of the output limit in all dialects, without marks and in small letters."""


def limit_of(body: Mapping[str, object]) -> int:
    """The output limit in the body of a request, nested objects included; 0 when it has none."""
    for name, value in body.items():
        if isinstance(value, dict) and (found := limit_of(value)):
            return found
        if name.lower().replace("_", "") in LIMITS and isinstance(value, int):
            return value
    return 0
