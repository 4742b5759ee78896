"""What secrets look like: one table of rules, a row per kind. Pure data.

A rule is tried only where one of its anchors occurs, and from there: its pattern starts with the anchor. Every pattern is
linear: bounded repetition, no nested quantifiers. The published formats are met with some slack in length, because
vendors lengthen their keys. Add here: one row in `KEYS` for a key that is known by its own beginning, in `PLACES` for a
secret that is known by the text around it. Names such as `api_key` and `password` are the business of `secretnames`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from orchestra_mcp.context.secrecy.secretlooks import (
    basic_auth,
    credential,
    dummy_key,
    is_digest,
    looks_random,
    mixed,
    password,
    url_password,
    wordy,
)


def _no_dummy(value: str) -> bool:
    return not dummy_key(value)


def _mixed(value: str) -> bool:
    return mixed(value) and not dummy_key(value)


def _odd(value: str) -> bool:
    """For beginnings that ordinary names have as well."""
    return _mixed(value) and not wordy(value)


def _generated(value: str) -> bool:
    return looks_random(value) and not is_digest(value)


def _slack(value: str) -> bool:
    """With the numbers of a workspace and a user in it, or long: not `xoxb-my-bot-token`."""
    return not dummy_key(value) and (len(re.findall(r"\d", value)) > 5 or (len(value) > 40 and mixed(value)))


def _aws_id(value: str) -> bool:
    """Not `AKIAXXXX…`, nor words that happen to begin so and to be as long."""
    few_vowels = sum(c in "AEIOU" for c in value) < 0.35 * len(value)
    return not re.search(r"X{5}", value) and (mixed(value) or few_vowels or value.startswith("AKIA"))


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of secret: where to look, what it looks like, and whether a match is believed."""

    kind: str
    anchors: tuple[str, ...]
    """Where the pattern is tried."""
    pattern: re.Pattern[str]
    """Matches from the anchor on. The last group, if there is one, is the secret; else the whole match."""
    believe: Callable[[str], bool] = _no_dummy
    key: bool = True
    """A key with a beginning of its own: may not follow a letter or digit, and may be wrapped over two lines."""
    fold: bool = False
    """Anchors are lower case and found in text of any case."""
    before: re.Pattern[str] | None = None
    """What must stand just before the anchor; it belongs to the secret."""


def _key(kind: str, body: str, *anchors: str, believe: Callable[[str], bool] = _no_dummy, before: str = "") -> Rule:
    pattern = re.compile(f"(?:{'|'.join(map(re.escape, anchors))}){body}")
    return Rule(kind, anchors, pattern, believe, before=re.compile(f"(?:{before})$") if before else None)


def _place(kind: str, pattern: str, *anchors: str, believe: Callable[[str], bool] = _no_dummy) -> Rule:
    return Rule(kind, anchors, re.compile(pattern, re.IGNORECASE), believe, key=False, fold=True)


_W = r"[A-Za-z0-9_-]"  # base64url without padding
_A = r"[A-Za-z0-9]"
_H = r"[a-fA-F0-9]"
_END = r"(?![A-Za-z0-9])"

KEYS: tuple[Rule, ...] = (
    # --- models
    _key("anthropic-key", _W + r"{16,400}", "sk-ant-"),
    _key("openrouter-key", r"(?:v\d-)?" + _W + r"{16,200}", "sk-or-"),
    _key("openai-key", _W + r"{16,400}", "sk-proj-", "sk-svcacct-", "sk-admin-", "sk-None-", "sk-service-"),
    _key("langfuse-key", r"[A-Za-z0-9-]{16,80}", "sk-lf-"),
    _key("litellm-key", _W + r"{20,80}", "sk-litellm-", "sk-master-", believe=_odd),
    _key("sk-key", r"(?=[A-Za-z]{0,60}\d)" + _A + r"{20,200}", "sk-"),
    _key("sk-key", r"(?=[A-Za-z_-]{0,60}\d)" + _A + r"{1,12}[-_]" + _W + r"{24,200}", "sk-", believe=_odd),
    _key("google-key", _W + r"{30,60}", "AIza"),
    _key("google-key", _W + r"{30,200}", "AQ.Ab"),
    _key("google-oauth", r"[0-9A-Za-z._-]{20,2000}", "ya29."),
    _key("google-oauth", _W + r"{20,60}", "GOCSPX-"),
    _key("google-oauth", _W + r"{30,200}", "1//0", believe=_odd),
    _key("groq-key", _A + r"{20,100}", "gsk_"),
    _key("xai-key", _A + r"{20,200}", "xai-"),
    _key("perplexity-key", _A + r"{20,100}", "pplx-"),
    _key("huggingface-token", _A + r"{28,100}", "hf_", "api_org_", believe=_mixed),
    _key("replicate-token", _A + r"{30,80}", "r8_"),
    _key("fireworks-key", _A + r"{16,100}", "fw_", "fpk_", believe=_odd),
    _key("together-key", _W + r"{30,100}", "tgp_v1_"),
    _key("cerebras-key", _A + r"{30,100}", "csk-"),
    _key("nvidia-key", _W + r"{40,100}", "nvapi-"),
    _key("tavily-key", r"[A-Za-z0-9-]{20,80}", "tvly-"),
    _key("elevenlabs-key", r"[a-f0-9]{40,60}" + _END, "sk_"),
    _key("pinecone-key", r"[A-Za-z0-9]{4,8}_[A-Za-z0-9]{40,80}", "pcsk_"),
    _key("langsmith-key", r"[a-f0-9]{32}_[a-f0-9]{10}", "lsv2_pt_", "lsv2_sk_"),
    _key("friendli-key", _A + r"{40,100}", "flp_", believe=_odd),
    _key("azure-openai-key", _A + r"{30,80}(?:AAA|ACO)[A-Z0-9][A-Za-z0-9]{4,40}" + _END, "AzureOpenAI-"),
    # --- forges and packages
    _key("github-token", r"[A-Za-z0-9_]{20,255}", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", believe=_mixed),
    _key(
        "gitlab-token", r"[A-Za-z0-9_.-]{16,400}", "glpat-", "gldt-", "glrt-", "glrtr-", "glcbt-", "glptt-", "glft-", "glimt-",
        "glagent-", "gloas-", "glsoat-", "glffct-", "glwt-", "GR1348941", believe=_mixed,
    ),
    _key("bitbucket-token", r"[A-Za-z0-9_=-]{20,400}", "ATBB", "BBDC-", believe=_odd),
    _key("atlassian-token", r"[A-Za-z0-9_=-]{40,400}", "ATATT3", "ATCTT3", "ATSTT3"),
    _key("npm-token", _A + r"{30,80}", "npm_", believe=_mixed),
    _key("pypi-token", r"(?:AgE[A-Za-z0-9_-]{16,1000}|AgN[A-Za-z0-9_-]{16,1000}|[A-Za-z0-9_-]{60,1000})", "pypi-"),
    _key("rubygems-key", r"[a-f0-9]{32,80}", "rubygems_"),
    _key("nuget-key", r"[a-z0-9]{43}" + _END, "oy2", believe=_odd),
    _key("crates-token", _A + r"{28,60}", "cio", believe=_mixed),
    _key("clojars-token", r"[a-z0-9]{50,70}", "CLOJARS_"),
    _key("docker-token", _W + r"{20,80}", "dckr_pat_", "dckr_oat_"),
    _key("jfrog-token", _A + r"{56,100}", "AKCp", "cmVmd"),
    _key("sourcegraph-token", r"(?:(?:[a-fA-F0-9]{16}|local)_)?[a-fA-F0-9]{40}", "sgp_"),
    _key("sonar-token", r"[A-Za-z0-9]{40}", "squ_", "sqp_", "sqa_"),
    _key("circleci-token", r"[A-Za-z0-9]{22}_[a-f0-9]{40}", "CCIPAT_", "CCIPRJ_"),
    _key("buildkite-token", r"[a-z0-9]{32,60}", "bkua_", "bkaj_", believe=_mixed),
    # --- clouds
    _key("aws-key-id", r"[A-Z0-9]{16}" + _END, "AKIA", "ASIA", "ABIA", "ACCA", believe=_aws_id),
    _key("aws-bedrock-key", r"[A-Za-z0-9+/]{40,400}={0,2}", "ABSK"),
    _key("aws-bedrock-key", r"[A-Za-z0-9+/]{20,2000}={0,2}", "bedrock-api-key-"),
    _key("aws-session-token", r"[A-Za-z0-9+/]{60,4000}={0,2}", "IQoJb3JpZ2lu", "FwoGZXIvYXdz", "FQoGZXIvYXdz", "AQoDYXdz", "AQoEXAMPLE"),
    _key("azure-secret", r"[A-Za-z0-9_.~-]{30,40}", *(f"{n}Q~" for n in range(10)), before=r"[A-Za-z0-9_~.]{3}"),
    _key("digitalocean-token", r"[a-f0-9]{32,80}", "dop_v1_", "doo_v1_", "dor_v1_"),
    _key("databricks-token", r"[a-f0-9]{32}(?:-\d)?", "dapi"),
    _key("heroku-key", _W + r"{36,80}", "HRKU-"),
    _key("cloudflare-key", r"[a-f0-9]{24}-[a-f0-9]{100,160}", "v1.0-"),
    _key("cloudflare-key", _W + r"{36,60}", "cfut_", "cfat_", "cfk_"),
    _key("vercel-token", _A + r"{20,80}", "vcp_", "vci_", "vca_", "vcr_", "vck_", "vercel_blob_rw_", believe=_odd),
    _key("netlify-token", _A + r"{30,80}", "nfp_", "nfc_", "nfo_", "nfu_", "nfb_", believe=_mixed),
    _key("fly-token", r"[A-Za-z0-9_+/=-]{40,2000}", "fo1_", "fm1_", "fm1a_", "fm1r_", "fm2_", "fm2a_"),
    _key("supabase-key", r"[A-Za-z0-9_-]{20,100}", "sbp_", "sb_secret_", "sba_", believe=_mixed),
    _key("planetscale-token", r"[A-Za-z0-9_=.-]{32,80}", "pscale_tkn_", "pscale_oauth_", "pscale_pw_"),
    _key("neon-key", r"[a-z0-9]{50,80}", "napi_", believe=_odd),
    _key("render-key", _A + r"{20,60}", "rnd_", believe=_odd),
    _key("railway-token", _W + r"{30,80}", "rw_Fe26"),
    _key("alibaba-key", r"[a-zA-Z0-9]{12,30}" + _END, "LTAI", believe=_odd),
    _key("tencent-key", r"[a-zA-Z0-9]{32}" + _END, "AKID", believe=_odd),
    _key("yandex-key", _W + r"{35,60}", "AQVN", believe=_odd),
    _key("openshift-token", _W + r"{43}", "sha256~"),
    _key("tailscale-key", r"[a-z]{2,10}-[A-Za-z0-9-]{16,100}", "tskey-"),
    _key("pulumi-token", r"[a-f0-9]{40}", "pul-"),
    _key("terraform-token", r"[A-Za-z0-9_=-]{40,100}", ".atlasv1.", before=r"[A-Za-z0-9]{8,20}"),
    _key("vault-token", r"[A-Za-z0-9_-]{20,400}", "hvs.", "hvb.", "hvr.", believe=_odd),
    _key("vault-token", _A + r"{24}" + _END, "s.", believe=lambda v: looks_random(v[2:]) and bool(re.search(r"\d.*[A-Z]|[A-Z].*\d", v))),
    _key("doppler-token", r"(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}", "dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.said.", "dp.scim.", "dp.audit."),
    _key("1password-token", r"[A-Za-z0-9+/=_-]{40,2000}", "ops_eyJ"),
    _key("1password-key", r"[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}", "A3-"),
    _key("age-key", r"[0-9A-Z]{50,70}", "AGE-SECRET-KEY-1", "AGE-SECRET-KEY-PQ-1"),
    _key("prefect-key", _A + r"{36}", "pnu_", "pnb_"),
    _key("scaleway-key", r"[A-Z0-9]{17}" + _END, "SCW", believe=_odd),
    # --- chat and mail
    _key("slack-token", r"[A-Za-z0-9-]{10,300}", "xoxb-", "xoxa-", "xoxe-", "xoxp-", "xoxr-", "xoxs-", "xoxc-", "xoxd-", "xoxe.xoxb-", "xoxe.xoxp-", believe=_slack),
    _key("slack-token", r"\d-[A-Za-z0-9-]{10,200}", "xapp-"),
    _key("discord-token", _W + r"{50,100}", "mfa."),
    _key("sendgrid-key", r"[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}", "SG."),
    _key("sendinblue-key", r"[a-f0-9]{64}-[A-Za-z0-9]{16}", "xkeysib-", "xsmtpsib-"),
    _key("mailgun-key", r"[a-f0-9]{32}(?:-[a-f0-9]{8}-[a-f0-9]{8})?", "key-", "private-key-"),
    _key("resend-key", r"[A-Za-z0-9]{8}_[A-Za-z0-9]{20,40}", "re_", believe=_odd),
    _key("twilio-key", r"[a-f0-9]{32}" + _END, "SK"),
    # --- money and shops
    _key(
        "stripe-key", _A + r"{10,250}", "sk_live_", "sk_test_", "rk_live_", "rk_test_", "sk_prod_", "rk_prod_", "sk_org_live_", "sk_org_test_",
        believe=lambda v: mixed(v) and not dummy_key(v),
    ),
    _key("stripe-key", r"[A-Za-z0-9+/=_]{16,100}", "whsec_", believe=_mixed),
    _key("square-token", _W + r"{20,100}", "sq0atp-", "sq0csp-", "sq0idp-"),
    _key("square-token", _W + r"{56,70}" + _END, "EAAA", believe=_odd),
    _key("paypal-token", r"\$[a-z0-9]{16}\$[a-f0-9]{32}", "access_token$production", "access_token$sandbox"),
    _key("shopify-token", r"[a-fA-F0-9]{32}", "shpat_", "shpca_", "shppa_", "shpss_", "shptka_"),
    _key("shippo-token", r"[a-fA-F0-9]{40}", "shippo_live_", "shippo_test_"),
    _key("razorpay-key", _A + r"{14,30}", "rzp_live_", "rzp_test_"),
    _key("facebook-token", _A + r"{80,400}", "EAAC", "EAAM", "EAAG"),
    # --- work and watching
    _key("linear-key", _A + r"{32,80}", "lin_api_", "lin_oauth_", "lin_wh_"),
    _key("notion-token", _A + r"{40,80}", "ntn_"),
    _key("notion-token", _A + r"{43}" + _END, "secret_", believe=_odd),
    _key("figma-token", _W + r"{36,80}", "figd_", "figo_", "figu_", "figor_"),
    _key("airtable-token", r"[A-Za-z0-9]{14}\.[a-f0-9]{64}", "pat"),
    _key("airtable-key", _A + r"{14}" + _END, "key", believe=lambda v: bool(re.search(r"\d", v) and re.search(r"[A-Z]", v)) and looks_random(v)),
    _key("asana-token", r"\d{10,20}(?:/\d{10,20})?:[a-f0-9]{32}", "1/", "2/", "0/"),
    _key("dropbox-token", _W + r"{60,1500}", "sl.", "sl.u.", believe=_odd),
    _key("newrelic-key", r"[A-Za-z0-9-]{18,60}", "NRAK-", "NRII-", "NRJS-", "NRIQ-", "NRAA-", "NRRA-", "NRSP-"),
    _key("grafana-token", r"[A-Za-z0-9+/=_]{32,500}", "glsa_", "glc_", "glsa-"),
    _key("sentry-token", r"[A-Za-z0-9+/=_.-]{40,600}", "sntrys_", "sntryu_", "sntrya_", "sntryi_"),
    _key("dynatrace-token", r"[A-Z0-9]{24}\.[A-Z0-9]{64}", "dt0c01.", "dt0s16.", "dt0s01."),
    _key("honeycomb-key", _A + r"{50,80}", "hcaik_", "hcbik_", "hcamk_"),
    _key("posthog-key", _A + r"{30,80}", "phx_", believe=_odd),
    _key("postman-key", r"[a-f0-9]{24}-[a-f0-9]{34}", "PMAK-"),
    _key("pagerduty-key", _W + r"{18}" + _END, "u+", believe=lambda v: not wordy(v[2:]) and len(set(v)) > 9),
    _key("launchdarkly-key", r"[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}", "sdk-"),
    _key("typeform-token", r"[A-Za-z0-9_.=-]{40,80}", "tfp_", believe=_odd),
    _key("contentful-token", _W + r"{40,60}", "CFPAT-"),
    _key("readme-key", r"[a-z0-9]{70}", "rdme_"),
    _key("clickhouse-key", _A + r"{38}" + _END, "4b1d", believe=_odd),
    _key("easypost-key", _A + r"{54}", "EZAK", "EZTK"),
    _key("duffel-token", r"[A-Za-z0-9_=-]{40,60}", "duffel_test_", "duffel_live_"),
    _key("octopus-key", r"[A-Z0-9]{26,40}" + _END, "API-", believe=_odd),
    _key("telegram-token", _W + r"{28,40}" + r"(?![\w-])", ":AA", before=r"\d{8,10}", believe=_mixed),
    # --- formats
    _key("jwt", r"[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{10,8000}(?:\.[A-Za-z0-9_-]{2,2000}){0,3}", "eyJ", believe=lambda v: v.count(".") > 1 and not re.search(r"\.\.\.|x{6}", v)),
)  # fmt: skip
"""Keys that are known by how they begin, most specific first."""

LOOSE: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("discord-token", re.compile(r"(?<![A-Za-z0-9_-])[MNO][A-Za-z0-9_-]{22,27}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,45}(?![A-Za-z0-9_-])"), _mixed),
    ("mailchimp-key", re.compile(r"(?<![A-Za-z0-9])[a-f0-9]{32}-us\d{1,2}(?![A-Za-z0-9])"), _no_dummy),
)  # fmt: skip
"""Keys without a fixed beginning but with a shape of their own; looked for in the whole text."""

_USER = r"[^\s/:@'\"<>`]{0,80}"
_B64 = r"[A-Za-z0-9+/]"

PLACES: tuple[Rule, ...] = (
    _place("webhook", r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/_-]{20,120})", "hooks.slack.com"),
    _place("webhook", r"/api/(?:v\d+/)?webhooks/(\d{10,22}/[A-Za-z0-9_-]{30,100})", "/api/webhooks/", "/api/v"),
    _place("webhook", r"webhook\.office\.com/webhookb2/([A-Za-z0-9/@_-]{30,300})", "webhook.office.com"),
    _place("webhook", r"/v1/spaces/[\w-]{6,20}/messages\?key=([\w%&=-]{30,300})", "/v1/spaces/"),
    _place("telegram-token", r"/bot(\d{8,10}:[A-Za-z0-9_-]{30,40})", "/bot"),
    _place("url-password", rf"://({_USER}):(?!\1@)([^\s/'\"<>`]{{1,200}})@(?=[\w\[-]|\.\w)", "://", believe=url_password),
    _place("url-password", r"jdbc:oracle:thin:[\w.-]{1,60}/([^\s@'\"]{3,100})@", "jdbc:oracle:thin:", believe=url_password),
    _place("url-token", r"://([A-Za-z0-9_.~-]{20,200})@", "://", believe=looks_random),
    _place("azure-key", rf"(?:Account|SharedAccess)Key=({_B64}{{30,}}={{0,2}})", "accountkey=", "sharedaccesskey="),
    _place("signature", r"sig=([A-Za-z0-9%+/]{30,200}(?:%3D|=){0,2})", "sig="),
    _place("signature", r"X-Goog-Signature=([a-f0-9]{64,1024})", "x-goog-signature="),
    _place("signature", r"X-Amz-Signature=([a-f0-9]{64})", "x-amz-signature="),
    _place("aws-session-token", r"X-Amz-Security-Token=([A-Za-z0-9%+/=]{60,4000})", "x-amz-security-token="),
    _place("authorization", r"basic[ +]{1,3}([A-Za-z0-9+/_-]{8,2000}={0,2})(?![\w(])", "basic ", "basic+", believe=basic_auth),
    _place("authorization", r"(?:bearer|token|apikey|splunk|sso-key|genie-?key|bot)[ ]{1,3}([A-Za-z0-9._~+/=:|-]{12,4000})(?![(\[\w])", "bearer ", believe=credential),
    _place(
        "authorization",
        r"authorization[\\\"'\])]{0,4}\s{0,3}[:=,]\s{0,3}[bf]?[\\\"'`]{0,3}(?:[A-Za-z-]{2,20} {1,3})?([A-Za-z0-9._~+/=:|-]{12,4000})(?![(\[\w])",
        "authorization", believe=credential,
    ),
    _place("password", r"(?:curl|wget|http|https)\b[^\n]{0,300}?\s(?:-u|--user|--proxy-user|-a)[= ]{0,2}[\"']?[^\s:\"'/]{0,80}:[\"']?([^\s\"']{1,100})", "curl ", believe=url_password),
    _place("password", r"(?:mysql|mysqldump|mysqladmin|mariadb|sshpass)\b[^\n]{0,200}?\s-p[\"']?([^\s\"'-][^\s\"']{3,100})", "mysql", "mariadb", "sshpass", believe=url_password),
    _place("password", r"(?:redis-cli|mongosh?|htpasswd)\b[^\n]{0,200}?\s(?:-a|-p|-b \S+ \S+)\s{1,2}[\"']?([^\s\"'-][^\s\"']{3,100})", "redis-cli", "mongo", believe=lambda v: mixed(v) and url_password(v)),
    _place("password", r"(?:requirepass|masterauth)\s{1,4}[\"']?([^\s\"'`]{6,200})", "requirepass", "masterauth", believe=lambda v: mixed(v) and password(v) and url_password(v)),
    _place("password", r"docker login\b[^\n]{0,200}?\s-p\s{0,2}[\"']?([^\s\"'-][^\s\"']{3,400})", "docker login", believe=url_password),
    _place("password", r"[?&;](?:password|passwd|pwd)=([^;&\s\"'`<>]{4,200})", *(f"{sign}{name}=" for sign in "?&;" for name in ("password", "passwd", "pwd")), believe=url_password),
    _place("netrc-password", r"machine\s{1,4}\S{1,200}\s{1,8}login\s{1,4}\S{1,200}\s{1,8}password\s{1,4}(\S{1,300})", "machine", believe=url_password),
    _place("password", r":(?:[56]43\d|\*):[\w*-]{1,80}:[\w.@*-]{1,80}:(\S{4,200})(?!\S)", *(f":{port}:" for port in (5432, 5433, 5434, 6432, "*")), believe=url_password),
    _place("password", r"identified\s(?:with\s\w{1,40}\s)?by\s{1,3}(?:password\s)?['\"]([^'\"\n]{3,200})['\"]", "identified ", believe=url_password),
    _place("password-hash", r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}", "$2a$", "$2b$", "$2x$", "$2y$"),
    _place("password-hash", r"\$apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}", "$apr1$"),
    _place("password-hash", r"(?<=:)\$[156]\$[^\s$]{1,16}\$[./A-Za-z0-9]{22,86}", "$1$", "$5$", "$6$"),
    _place("password-hash", r"(?<=:)\{SSHA?\}[A-Za-z0-9+/]{26,60}={0,2}", "{sha}", "{ssha}"),
    _place("password", r"<(?:\w{0,20}pass(?:word|phrase)?|pwd|secret|secretkey|api-?key|token)>([^<>\s]{4,200})</", "<pass", "<pwd", "<secret", "<api", "<token", "<server", believe=url_password),
    _place("password", r"add key=[\"'](?:cleartext)?password[\"']\s{1,4}value=[\"']([^\"']{4,300})[\"']", "add key=", believe=url_password),
    _place("aws-secret", rf"(?:AKIA|ASIA)[A-Z0-9]{{16}}[\"']?\s{{0,4}}[,:;|/ ]\s{{0,4}}[\"']?({_B64}{{40}})(?![A-Za-z0-9+/=])", "akia", "asia", believe=_generated),
)  # fmt: skip
"""Secrets that are known by the text around them."""

KINDS = frozenset(
    {rule.kind for rule in (*KEYS, *PLACES)}
    | {kind for kind, _, _ in LOOSE}
    | {"private-key", "kubernetes-secret", "known-value", "provider-key", "password", "secret", "aws-secret", "cookie"}
    | {"email", "phone", "iban", "card", "ip"}
)
"""All kinds that a placeholder may name; the last row are those of personal data."""
