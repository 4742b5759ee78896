"""What secrets look like: one table of rules, and the judgements that keep false alarms rare. Pure.

Every pattern is linear: bounded repetition, no nested quantifiers, anchored on a literal. Add here: one row in `RULES`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

_EDGE = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2})|(?<=\\u00[0-9A-Fa-f]{2})|(?<=[\d;\[]m))"
"""What a key may follow: no letter or digit, but for those that end an escape: of a string, an address, a terminal."""
_TEMPLATE = re.compile(
    r"\*\*\*|\.\.\.|…|<[^>]*>|\$\{|\{\{|^\{.*\}$|^\$|^%|^@|x{4}|\(\?[:=!]|\]\{\d|(.)\1{7}", re.IGNORECASE
)
_FILLER = re.compile(
    r"your|example|placeholder|change.?me|replace|dummy|sample|redacted|insert|todo|foobar|secret|password|token|key|here",
    re.IGNORECASE,
)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_WORDS = re.compile(r"[A-Za-z_]*(?:[A-Z]?[a-z]+|[A-Z]+)\d{0,2}(?:[-_./: ][A-Za-z]+\d{0,2})*")
_DIGEST = re.compile(r"(?:sha\d+[-:].*|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{7,12})", re.IGNORECASE)


def entropy(text: str) -> float:
    """Shannon entropy in bits per character; 0 for an empty text."""
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts) if text else 0.0


def placeholder(value: str) -> bool:
    """A template, or made of filler words with little else: `your-api-key-here`, `changeme123`."""
    return bool(_TEMPLATE.search(value)) or (bool(_FILLER.search(value)) and len(_FILLER.sub("", value)) < 8)


def _always(_value: str) -> bool:
    return True


def _not_template(value: str) -> bool:
    return not re.search(r"[{}$<>*«]|^%|^x+$|^\.+$", value)


def _mixed(value: str) -> bool:
    """At least two kinds of characters: what a made-up word never has."""
    return bool(re.search(r"\d", value)) or bool(re.search(r"[a-z][A-Z]+[a-z]*[A-Z]", value))


def _camel(value: str) -> bool:
    """An identifier of several words, such as `Ed25519PrivateKey`: generated text changes its case far more often."""
    runs = re.findall(r"[A-Z]*[a-z]+|[A-Z]+", value)
    letters = sum(map(len, runs))
    both = bool(re.search(r"[a-z]", value)) and bool(re.search(r"[A-Z]", value))
    return (
        both and bool(re.fullmatch(r"[\w.:-]+", value)) and letters / len(runs) >= 3.5 and letters >= 0.6 * len(value)
    )


def looks_random(value: str) -> bool:
    """Looks generated: long, of mixed characters and high entropy; no placeholder, no words, no identifier.

    Digests of 40 and 64 hex digits pass only where the name says that they are secret (`_credential`).
    """
    if len(value) < 12 or placeholder(value) or _UUID.search(value) or "«" in value:
        return False
    if _WORDS.fullmatch(value) or _camel(value) or not re.search(r"[A-Za-z]", value) or not _mixed(value):
        return False
    return entropy(value) >= (2.6 if len(value) < 20 else 3.0)


def _random_not_digest(value: str) -> bool:
    return len(value) >= 20 and not _DIGEST.fullmatch(value) and looks_random(value) and entropy(value) >= 3.3


def _password(value: str) -> bool:
    """Could be a password that a person chose: some digit or sign among letters, or digits alone."""
    if len(value) < 6 or placeholder(value) or "«" in value or re.search(r"\s", value):
        return False
    if re.fullmatch(
        r"[\w.]*[a-z_]\w*[(\[].*|[A-Z][A-Z_]+\d{0,2}|[\w-]+(?:\.[A-Za-z_]\w*)+|[./~].*|https?:.*|[a-z_]+", value
    ):
        return False  # a call, a constant's name, a dotted name, a path, an address, an identifier
    return bool(re.search(r"\d", value)) or bool(re.search(r"[^\w\s.,:;'\"/\[\](){}=-]", value))


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of secret: where to look, what it looks like, and whether a match is believed."""

    kind: str
    keywords: tuple[str, ...]
    """Lower case; the rule runs only on text that contains one of them."""
    pattern: re.Pattern[str]
    """Group 1, if there is one, is the secret; else the whole match."""
    believe: Callable[[str], bool] = _always


def _prefixed(kind: str, body: str, *keywords: str, believe: Callable[[str], bool] = _always) -> Rule:
    return Rule(kind, keywords, re.compile(_EDGE + body), believe)


_SECRET_NAMES = (
    r"(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|credentials?|api[_.-]?key|apikey|access[_.-]?key|private[_.-]?key"
    r"|auth[_.-]?key|secret[_.-]?key|client[_.-]?secret|encryption[_.-]?key|signing[_.-]?key|master[_.-]?key"
    r"|session[_.-]?id|sessionid|connection[_.-]?string|access[_.-]?code|auth)"
)
_PASSWORD_NAMES = r"(?:pass(?:word|wd|phrase|code)?|pwd|secret)"
_KEYWORDS = ("pass", "pwd", "secret", "token", "credential", "key", "session", "connection", "auth", "access")
_GAP = r"[A-Za-z0-9_.-]{0,24}[\"'`\])]{0,3}(?:\s{0,2}:\s{0,2}[A-Za-z_][\w\[\]| ]{0,20}(?==)|\s{0,4})"
_IS = r"(?:={1,3}|:=|=>|:|>|\bis\b)\s{0,4}(?:[bruf]{0,2})"
_IS_OR_COMMA = _IS.replace("|>", "|>|,")

RULES: tuple[Rule, ...] = (
    _prefixed("anthropic-key", r"sk-ant-[A-Za-z0-9_-]{16,}", "sk-ant-"),
    _prefixed("openrouter-key", r"sk-or-(?:v\d-)?[A-Za-z0-9_-]{16,}", "sk-or-"),
    _prefixed("openai-key", r"sk-(?:proj|svcacct|admin|None|service)-[A-Za-z0-9_-]{16,}", "sk-"),
    _prefixed("langfuse-key", r"sk-lf-[A-Za-z0-9-]{16,}", "sk-lf-"),
    _prefixed("openai-key", r"sk-(?=[A-Za-z]*\d)[A-Za-z0-9]{20,}T3BlbkFJ[A-Za-z0-9]{16,}", "t3blbkfj"),
    _prefixed("sk-key", r"sk-(?=[A-Za-z]{0,60}\d)[A-Za-z0-9]{20,}", "sk-"),
    _prefixed("google-key", r"AIza[0-9A-Za-z_-]{30,45}", "aiza"),
    _prefixed("google-key", r"AQ\.Ab[0-9A-Za-z_-]{30,}", "aq.ab"),
    _prefixed("google-oauth", r"(?:ya29\.[0-9A-Za-z_-]{20,}|GOCSPX-[0-9A-Za-z_-]{20,})", "ya29.", "gocspx-"),
    _prefixed("github-token", r"(?:gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255})", "gh", "github_pat_"),
    _prefixed("gitlab-token", r"gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat|ffct)-[A-Za-z0-9_.-]{16,}", "gl"),
    _prefixed("aws-key-id", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])", "akia", "asia", "abia", "acca"),
    Rule(
        "aws-secret", ("aws", "amazon", "secret", "akia"),
        re.compile(
            r"(?i)(?:aws|amazon|amz|secret|AKIA[A-Z0-9]{16})[a-z0-9_.\- ]{0,30}[\"'\]]{0,2}\s{0,3}(?:[:=,>]{1,3}|\s)\s{0,3}"
            r"[\"']?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"
        ),
        lambda value: not _DIGEST.fullmatch(value) and _mixed(value),
    ),
    _prefixed("slack-token", r"(?:xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-\d-[A-Za-z0-9-]{10,})", "xox", "xapp-"),
    Rule(
        "webhook", ("hooks.slack.com", "discord", "webhook.office"),
        re.compile(
            r"(?:hooks\.slack\.com/(?:services|workflows|triggers)|discord(?:app)?\.com/api/webhooks|webhook\.office\.com"
            r"/webhookb2)/([A-Za-z0-9+/_@-]{20,})"
        ),
    ),
    _prefixed("stripe-key", r"(?:[sr]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{16,})", "k_live_", "k_test_", "whsec_"),
    _prefixed("sendgrid-key", r"SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}", "sg."),
    _prefixed("huggingface-token", r"(?:hf|api_org)_[A-Za-z0-9]{28,}", "hf_", "api_org_", believe=_mixed),
    _prefixed("groq-key", r"gsk_[A-Za-z0-9]{20,}", "gsk_"),
    _prefixed("xai-key", r"xai-[A-Za-z0-9]{20,}", "xai-"),
    _prefixed("perplexity-key", r"pplx-[A-Za-z0-9]{20,}", "pplx-"),
    _prefixed("npm-token", r"npm_[A-Za-z0-9]{30,}", "npm_"),
    _prefixed("pypi-token", r"pypi-(?:AgE[A-Za-z0-9_-]{16,}|[A-Za-z0-9_-]{60,})", "pypi-"),
    _prefixed("digitalocean-token", r"do[opr]_v1_[a-f0-9]{32,}", "_v1_"),
    _prefixed("databricks-token", r"dapi[a-f0-9]{32}", "dapi"),
    _prefixed("shopify-token", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}", "shp"),
    _prefixed("telegram-token", r"\d{8,10}:AA[A-Za-z0-9_-]{30,40}", ":aa"),
    _prefixed("linear-key", r"lin_(?:api|oauth)_[A-Za-z0-9]{32,}", "lin_"),
    _prefixed("notion-token", r"(?:ntn_[A-Za-z0-9]{40,}|secret_[A-Za-z0-9]{43})", "ntn_", "secret_"),
    _prefixed("replicate-token", r"r8_[A-Za-z0-9]{30,}", "r8_"),
    _prefixed("vault-token", r"hv[sbr]\.[A-Za-z0-9_-]{24,}", "hv"),
    _prefixed("tailscale-key", r"tskey-[a-z]{2,10}-[A-Za-z0-9-]{16,}", "tskey-"),
    _prefixed("docker-token", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}", "dckr_"),
    _prefixed("atlassian-token", r"ATATT3[A-Za-z0-9_=-]{40,}", "atatt3"),
    _prefixed("supabase-key", r"sb(?:p|_secret)_[A-Za-z0-9_]{20,}", "sbp_", "sb_secret_"),
    _prefixed("grafana-token", r"gl(?:sa|c)_[A-Za-z0-9+/=_]{32,}", "glsa_", "glc_"),
    _prefixed("newrelic-key", r"NRAK-[A-Z0-9]{20,}", "nrak-"),
    _prefixed("mailgun-key", r"key-[a-f0-9]{32}", "key-"),
    _prefixed("twilio-key", r"SK[a-f0-9]{32}", "sk"),
    _prefixed("age-key", r"AGE-SECRET-KEY-1[0-9A-Z]{50,}", "age-secret-key-"),
    _prefixed("tavily-key", r"tvly-[A-Za-z0-9-]{20,}", "tvly-"),
    _prefixed("fireworks-key", r"fw_[A-Za-z0-9]{22,}", "fw_", believe=_mixed),
    _prefixed("jwt", r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{4,}", "eyj"),
    Rule("azure-key", ("accountkey", "sharedaccesskey"), re.compile(r"(?i)(?:Account|SharedAccess)Key=([A-Za-z0-9+/]{30,}={0,2})")),
    Rule("azure-signature", ("sig=",), re.compile(r"[?&]sig=([A-Za-z0-9%+/]{30,}(?:%3D|=){0,2})")),
    Rule("url-password", ("://",), re.compile(r"(?<=://)[^\s/:@'\"<>`]{0,80}:([^\s/@'\"<>`]{1,200})@"), _not_template),
    Rule("url-token", ("://",), re.compile(r"(?<=://)([A-Za-z0-9_.~-]{20,200})@"), looks_random),
    Rule(
        "authorization", ("authorization",),
        re.compile(
            r"(?i)authorization[\"'\]]{0,2}\s{0,3}[:=,]\s{0,3}[bf]?[\"']?(?:(?:bearer|basic|token|apikey|digest|bot)\s{1,3})?"
            r"([A-Za-z0-9._~+/=:-]{8,4000})(?![(\[\w])"
        ),
        lambda value: _credential(value) and not _WORDS.fullmatch(value),
    ),
    Rule("authorization", ("bearer", "basic"), re.compile(r"(?i)\b(?:bearer|basic)\s{1,3}([A-Za-z0-9._~+/=-]{12,4000})"), looks_random),
    Rule(
        "provider-key", ("azure", "mistral", "cohere", "deepseek", "together", "openai", "fireworks", "cerebras", "portkey"),
        re.compile(
            r"(?i)(?:azure|mistral|cohere|deepseek|together|openai|fireworks|cerebras|portkey)[a-z0-9_.\- ]{0,30}key[a-z0-9_]{0,10}"
            r"[\"'\]]{0,2}\s{0,3}(?:={1,2}|:|>|\bis\b)\s{0,3}[\"']?([A-Za-z0-9+/_-]{24,120}={0,2})"
        ),
        lambda value: _credential(value),
    ),
    Rule("secret", _KEYWORDS, re.compile(rf"(?i){_SECRET_NAMES}{_GAP}{_IS_OR_COMMA}([\"'`])([^\"'`\n«]{{6,400}})\1"), lambda v: _credential(v)),
    Rule(
        "secret", _KEYWORDS, re.compile(rf"(?i){_SECRET_NAMES}{_GAP}{_IS}([^\s\"'`,;(){{}}\[\]<>«]{{8,400}})(?![(\[\w])"),
        lambda v: _credential(v),
    ),
    Rule("password", ("pass", "pwd", "secret"), re.compile(rf"(?i){_PASSWORD_NAMES}{_GAP}{_IS}([\"'`])([^\"'`\n«]{{6,200}})\1"), _password),
    Rule(
        "password", ("pass", "pwd", "secret"),
        re.compile(rf"(?im)^[\s+\-#>|$]{{0,12}}(?:export\s+|set\s+|env\s+)?[\w.-]{{0,40}}?{_PASSWORD_NAMES}[A-Za-z_]{{0,12}}\s?[:=]\s?([^\s\"'`«]{{6,200}})\s*$"),
        _password,
    ),
    Rule("password", ("<pass", "<pwd"), re.compile(r"(?i)<(?:pass(?:word)?|pwd)>([^<>\s«]{4,200})</"), _not_template),
    Rule("password", ("--pass", "-pass"), re.compile(r"(?i)--?pass(?:word|wd|phrase)?[= ]([^\s\"'`«-][^\s\"'`«]{5,200})"), _password),
    Rule(
        "password", ("pass", "pwd"),
        re.compile(r"(?i)\b(?:pass(?:word|wd|phrase|code)|pwd)\s{1,2}(?:is|was)\s{1,2}[\"'`]?([^\s\"'`«]{6,100})"),
        lambda value: bool(re.search(r"\d", value)) and _password(value),
    ),
    Rule("secret", ("key",), re.compile(rf"(?i)\bkey{_GAP}{_IS}[\"']?([A-Za-z0-9+/_=-]{{24,200}})(?![(\[\w])"), _random_not_digest),
)  # fmt: skip
"""What secrets look like, most specific first. Add here."""


def _credential(value: str) -> bool:
    """Looks generated, in a place whose name says that it is secret."""
    value = value.strip().rstrip(":.!?")
    if re.fullmatch(r"[\w-]*[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+", value) and entropy(value) < 4:
        return False  # settings.oauth2.token
    if re.search(r"\s|://|^[./~]|[A-Za-z]\(|\\[nrt]$", value):
        return False
    return looks_random(value)
