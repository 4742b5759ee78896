"""Secrets that are known by the name beside them: `api_key = "…"`, `DB_PASSWORD=…`, `--token …`, `"secret": "…"`. Pure.

Where a part of such a name occurs, what follows is read: the rest of the name, a sign of assignment, a value. Whether
the value is believed depends on how much the whole name says, and on how the value looks (`secretlooks`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from orchestra_mcp.context.secrecy.secretlooks import (
    credential,
    is_digest,
    is_uuid,
    mixed,
    password,
    random_not_digest,
)

WORDS = ("pass", "pwd", "secret", "token", "credential", "key", "auth", "session", "cookie", "connection", "dsn", "jwt", "sig", "webhook", "salt", "kennwort")  # fmt: skip
"""Parts of names at which reading begins, in lower case. Add here."""
VENDORS = re.compile(
    r"azure|mistral|cohere|deepseek|together|openai|fireworks|cerebras|portkey|datadog|dd[_-]?(?:api|app)|okta|auth0|heroku|postmark"
    r"|algolia|cloudflare|mailchimp|mailgun|twilio|pagerduty|airtable|asana|jira|confluence|bitbucket|jfrog|artifactory|netlify|vercel"
    r"|discord|braintree|square|paypal|sentry|new[_-]?relic|grafana|snyk|sonar|codecov|travis|circle[_-]?ci|fastly|linode|vultr|hetzner"
    r"|stability|voyage|jina|serper|pinecone|qdrant|weaviate|langsmith|wandb|moonshot|zhipu|dashscope|minimax|nuget|rollbar|bugsnag|segment"
    r"|mixpanel|amplitude|intercom|zendesk|hubspot|zoom|dropbox|spotify|twitter|facebook|instagram|linkedin|google|gemini|aws|amazon",
    re.IGNORECASE,
)
"""With one of these in the name or just before it, any random value behind `key` is believed. Add here."""

_HUMAN = re.compile(
    r"passw|passphrase|passcode|secret|kennwort|(?:^|[_.\d-])(?:pass|pwd|pw)(?:$|[_.\d-])|pwd$|(?:db|my|user|root|admin|smtp|ftp|mail|sql|pg)_?pass$"
)
_STRONG = re.compile(
    r"token|credential|api[_.-]?key|(?:access|secret|private|auth|encrypt\w*|crypto|signing|sign|master|account|subscription|service|licen[cs]e|shared"
    r"|app|application|client|consumer|storage|admin|deploy|write|ingest\w*|integration|server|host|functions?|function|instrumentation|root|user"
    r"|ssh|rsa|hmac|jwt|session|cookie|webhook|routing|server|sas|bot)[_.-]?key|bearer|authorization|x-auth|_auth\b|^auth$|auth[_-]?key"
    r"|session[_.-]?(?:id|key|token|cookie)|sess(?:ion)?id|connect\.sid|sid$|connection[_.-]?string|cookie|jwt|dsn$|_pat$|signature|webhook|salt$|access[_.-]?code"
)
_NOT = re.compile(
    r"public|publishable|pubkey|key[_.-]?id|keyid|client[_.-]?id|token[_.-]?(?:type|name|id|count|kind|class|url|uri|endpoint|pos|len|limit|index)"
    r"|(?:secret|password|passwd|key|token|credentials?)[_.-]?(?:name|type|field|label|path|file|dir|url|uri|regex|pattern|re|prefix|suffix|header|param|parameter"
    r"|length|len|size|ref|arn|version|policy|hint|help|error|message|msg|text|title|template|format|format|expires?|expiry|ttl|algorithm|alg"
    r"|store|provider|manager|hash(?:er|ed|es)?|digest|checksum|validator\w*|reset\w*|input|placeholder|class|view|form|required)s?$"
    r"|fingerprint|thumbprint|checksum|integrity|(?:cache|primary|foreign|sort|partition|hash|object|row|index|lookup|group|dedup\w*|map|dict|registry|react"
    r"|translation|i18n|message|label|query|storage_?object|s3|file|path|resource|etag|node|data|state|config|settings?|attribute|attr)[_.-]?keys?$"
    r"|sec-websocket|idempotency|request|trace|span|nonce|author(?!iz)|keyword|keyboard|monkey|passag|passiv|bypass|compass|passeng|keyfram|hotkey|tokeniz"
    r"|authorit|keystroke|turkey|whiskey|hockey|jockey|donkey|passport|surpass|encompass|trespass|passes|passed|passing|secretar|tokens$|keys$|keypress|keydown"
    r"|keyup|keycode|keyof|signal|design|assign|sigma|sigmoid|significant|signed|signup|signin(?!g)|commit|revision|etag|^spwd$|csrf_?(?:field|header|cookie)_?name"
)
_SINGLE = frozenset(
    {"key", "auth", "signature", "sig", "salt", "cookie", "session", "token", "dsn", "jwt", "connection", "webhook"}
)

_SIGN = r"(?:={1,3}|:=|\?=|=>|::?|->|,|!=|<-|\bis\b|\bwas\b|\bto\b(?=\s{1,2}[\"'`]))"
_AFTER = re.compile(
    r"(?P<rest>[A-Za-z0-9_.-]{0,40}+)(?P<close>(?:\\{0,3}[\"'`]|[\])]|&quot;|\*{1,2}|\[\d{0,4}\]){0,3}+)"
    r"(?P<gap>\s{0,8}+)(?P<type>:\s?[&*]?[A-Za-z_][\w.\[\]|<>? ]{0,40}?(?=\s?=(?!=)))?\s{0,4}+"
    rf"(?P<sign>{_SIGN}(?:\s{{0,3}}[|>][-+]?\s{{1,40}})?|\((?=\s?[\"'`])|>(?=[^\s<>])|(?=\\{{0,3}}[\"'`])|(?<=\s)(?=[^\s\"'`<>(){{}}\[\]=:,|-][^\s\"'`]{{7}}))"
    r"\s{0,8}+(?P<paren>\(\s{0,4}\n\s{0,80}(?=[bBrRuUfF]{0,2}[\"'`]))?(?:(?:[Bb]earer|[Bb]asic|[Tt]oken|str|String)\s{1,3})?(?:[bBrRuUfF@$]{0,2}(?=\\{0,3}[\"'`]))?"
    r"(?:(?P<quote>[\"'`])(?P<quoted>(?:[^\"'`\\\n]|\\[^\n]|(?!(?P=quote))[\"'`]){4,4000}+)(?P=quote)"
    r"|(?P<escaped>\\{1,3}[\"'])(?P<inner>[^\"'\\\n]{4,4000}+)\\"
    r"|&quot;(?P<html>[^&\"'\n]{4,1000}+)&quot;"
    r"|(?P<bare>(?:[^\s\"'`,;(){}\[\]<>|&]|&(?!&|quot;|amp;|[\w.%\[\]-]{1,40}=)){4,2000}+)(?P<tail>[^\n]{0,200}))"
)
_LINE_START = re.compile(
    r"^[ \t+\-#>|$%\d.:*]{0,16}(?:(?:export|set|setx|env|ENV|ARG|declare|-e|--env|--build-arg|\$env:)\s{0,3})*[\"']?[\w.\[\]-]{0,60}$"
)
_WORD_BEFORE = re.compile(r"[A-Za-z0-9_.-]{0,40}$")
_FLAG = re.compile(r"(?:^|[\s\"'=`])--?[a-z][\w-]{0,40}$")


class Named(NamedTuple):
    """A secret and its place."""

    kind: str
    start: int
    end: int


def named_secrets(text: str, low: str) -> Iterator[Named]:
    """All values beside names that say that they are secret.

    Args:
        text: what to search.
        low: the same in lower case, with every character in its place.
    """
    seen: set[int] = set()
    for word in WORDS:
        at = low.find(word)
        while at >= 0:
            match = _AFTER.match(text, at + len(word))
            if match and (found := _judge(text, at, match)) and found.start not in seen:
                seen.add(found.start)
                yield found
            at = low.find(word, at + len(word))


def _judge(text: str, at: int, match: re.Match[str]) -> Named | None:
    group = next(g for g in ("quoted", "inner", "html", "bare") if match[g] is not None)
    start, end = match.span(group)
    if "\n" in match["gap"] or (
        not match["paren"]
        and match["rest"]
        and "\n" in text[match.end("rest") : start]
        and not re.search(r"[|>:]", match["sign"])
    ):
        return None
    before = _WORD_BEFORE.search(text, max(0, at - 40), at)
    lead = before[0] if before else ""
    name = (lead + text[at : match.end("rest")]).strip(".-").lower()
    if _NOT.search(name):
        return None
    sign = match["sign"]
    line = text[max(text.rfind("\n", 0, at) + 1, at - 400) : at]
    if group == "bare":
        end = _bare_end(match, start, line, sign)
        if escape := _ESCAPED_END.search(text, max(start, end - 12), end):
            end = escape.start()
    value = text[start:end]
    if "=" in value and group == "bare" and not match["rest"] and re.match(r"[A-Za-z_]+=", value):
        return None
    kind = _kind(name, value, sign, group, line, match)
    return Named(kind, start, end) if kind else None


_ESCAPED_END = re.compile(r"(?:\\{1,3}[nrt])+$")


def _bare_end(match: re.Match[str], start: int, line: str, sign: str) -> int:
    """Where a value without quotes ends: in a file of settings with the line, in a connection string at the semicolon."""
    tail = match["tail"]
    end = match.end("bare")
    if sign in ("=", ":", "?=", ":=") and _LINE_START.match(line):
        whole = match["bare"] + tail
        if not re.search(r"\s", whole.rstrip()) and not re.search(r"[({\[]$|\)[;,]?$|[{};]$|[\w\])]\(", whole.rstrip()):
            return start + len(whole.rstrip().rstrip(",;"))
    return end


def _kind(name: str, value: str, sign: str, group: str, line: str, match: re.Match[str]) -> str:
    """The kind of secret that this is, or nothing."""
    plain = re.sub(r"«redacted:[a-z0-9-]+#\d+»", "", value)
    bare = group == "bare"
    if not plain or (bare and sign == ","):
        return ""
    if bare and match["tail"].startswith(("(", "[", "{")):
        return ""
    if (
        sign in ("", "(", ",", ">", "is", "was")
        and bare
        and not (sign in ("is", "was", ">") or _FLAG.search(line + name))
    ):
        return _loose(name, plain)
    for judge in (_as_key, _as_password):
        if kind := judge(name, plain, sign, bare, line, match):
            return kind
    return ""


def _loose(name: str, value: str) -> str:
    """A value after a name and a blank, as in prose and logs: only what can be nothing else."""
    value = value.rstrip(".:!?")
    strong = bool(_STRONG.search(name) or _HUMAN.search(name)) or name == "key"
    return "secret" if strong and len(value) >= 20 and random_not_digest(value) and credential(value) else ""


def _as_key(name: str, value: str, sign: str, bare: bool, line: str, match: re.Match[str]) -> str:
    vendor = VENDORS.search(name) or VENDORS.search(line[-60:])
    human, strong = _HUMAN.search(name), _STRONG.search(name)
    aws = "aws" in name or "secret" in name or "amazon" in line.lower()
    if aws and re.fullmatch(r"[A-Za-z0-9/+]{40}", value) and not is_digest(value) and mixed(value):
        return "aws-secret"
    if name.endswith("signature") and is_digest(value):
        return ""
    if (strong or human) and (credential(value) or (is_uuid(value) and _takes_uuid(name, bool(vendor)))):
        if sign == "," and not _comma_means(name, match):
            return ""
        return "provider-key" if vendor else "secret"
    if name.endswith("key") and sign != ",":
        believed: Callable[[str], bool] = credential if vendor and len(value) >= 24 else random_not_digest
        if believed(value) and credential(value) and not re.search(r"[/:.]", value.rstrip("=")[:-1] if bare else value):
            return "provider-key" if vendor else "secret"
    return ""


def _takes_uuid(name: str, vendor: bool) -> bool:
    """A UUID is a secret only where nothing else is meant: it names so many harmless things."""
    return vendor or bool(re.search(r"api[_-]?key|secret|passw|(?:access|auth|server)[_-]?token", name))


def _comma_means(name: str, match: re.Match[str]) -> bool:
    """Whether a comma stands for an assignment: between two texts in quotes, as in `("X-Api-Key", "…")`."""
    return bool(match["close"]) and match["quoted"] is not None and bool(name)


def _as_password(name: str, value: str, sign: str, bare: bool, line: str, match: re.Match[str]) -> str:
    if not _HUMAN.search(name) or not password(value):
        return ""
    if not bare:
        if sign == "," and not (_comma_means(name, match) and len(value) >= 8 and re.search(r"\d", value)):
            return ""
        if sign == "" and (match["close"] or name == "pass"):
            return ""
        return "password" if _plausible(value) else ""
    if sign in ("is", "was"):
        return "password" if re.search(r"\d", value) and re.search(r"[A-Za-z]", value) else ""
    if _FLAG.search(line + name) and sign in ("", "="):
        return "password"
    at_start = bool(_LINE_START.match(line))
    alone = not match["tail"].strip(" \t\r,;") or match.end("bare") + len(match["tail"].rstrip()) == match.start(
        "bare"
    ) + len(value)
    if at_start and sign in ("=", ":", "?=", ":=", "=>") and alone:
        setting = sign == "=" and not match["gap"]
        return "password" if setting or not _identifier(value) or not value.islower() else ""
    tight = sign == "=" and not match["gap"] and match.start("bare") == match.end("sign")
    follows = match["tail"][:1]
    if tight and follows not in (")", ",", "(", "[", ".") and re.search(r"\d", value):
        return "password"
    return ""


def _identifier(value: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z_]\w*", value))


def _plausible(value: str) -> bool:
    """A quoted text beside `password` that is no field, no selector, no pattern."""
    return not re.search(
        r"^[.#][\w-]+$|^[\w-]+\[|\w+\(|^\w+:\w+$|^\^|\$$|^(?:[a-z]+[-_.])+[a-z]+\d?$|^[a-z]+(?:[A-Z][a-z]+)+\d?$|%[sdr]",
        value,
    )
