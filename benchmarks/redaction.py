"""How many planted secrets are taken out, how much of real source is taken for one, and how fast.

    python benchmarks/redaction.py [--seeds 3] [--hits FILE] [--part I/N] [folder or git directory ...]

Secrets of every kind in `PLANTED` are made from the vendors' published formats with a seeded generator, put into every
place of `PLACES` inside real source of this repository, and looked for in what is left: one is found when no run of 12 of
its characters remains. The second figure counts every replacement in the given folders and (bare) git directories, dummies
and test keys that somebody committed included, so it is an upper bound on false ones; `--hits` writes each with its
surroundings, to be judged by eye. `--part 1/2` takes every second file, so that rules can be made on one half and
measured on the other. Without folders: the packages that are installed for the running Python.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import random
import re
import string
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestra_mcp.context.secrecy.redaction import TOKEN, Redactor

HEX = "0123456789abcdef"
LOWER = string.ascii_lowercase + string.digits
UPPER = string.ascii_uppercase + string.digits
ALNUM = string.ascii_letters + string.digits
URL64 = ALNUM + "-_"
B64 = ALNUM + "+/"


class Maker:
    """Makes random text of given characters."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def __call__(self, alphabet: str, length: int) -> str:
        return "".join(self.random.choice(alphabet) for _ in range(length))

    def uuid(self) -> str:
        return "-".join(self(HEX, n) for n in (8, 4, 4, 4, 12))

    def word(self) -> str:
        """A password as people are made to choose them: letters, digits, a sign."""
        letters = self(string.ascii_letters, self.random.randint(6, 10))
        return letters + self.random.choice("!#%*+?") + self(string.digits, 2) + self(string.ascii_lowercase, 3)


def _jwt(m: Maker) -> str:
    def part(text: str) -> str:
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    return f'{part("""{"alg":"HS256","typ":"JWT"}""")}.{part(f"""{{"sub":"{m(string.digits, 10)}","name":"{m(ALNUM, 8)}"}}""")}.{m(URL64, 43)}'


def _pem(kind: str, m: Maker, newline: str = "\n") -> str:
    body = newline.join(m(B64, 64) for _ in range(8))
    return f"-----BEGIN {kind}PRIVATE KEY-----{newline}{body}{newline}{m(B64, 30)}=={newline}-----END {kind}PRIVATE KEY-----"


PLANTED: dict[str, tuple[str, Callable[[Maker], str]]] = {
    # kind: (name of a variable that holds it, one made of its published format). Add here.
    "openai": ("OPENAI_API_KEY", lambda m: f"sk-{m(ALNUM, 20)}T3BlbkFJ{m(ALNUM, 20)}"),
    "openai project": ("OPENAI_API_KEY", lambda m: f"sk-proj-{m(URL64, 74)}T3BlbkFJ{m(URL64, 74)}"),
    "openai service account": ("OPENAI_API_KEY", lambda m: f"sk-svcacct-{m(URL64, 58)}T3BlbkFJ{m(URL64, 58)}"),
    "anthropic": ("ANTHROPIC_API_KEY", lambda m: f"sk-ant-api03-{m(URL64, 93)}AA"),
    "openrouter": ("OPENROUTER_API_KEY", lambda m: f"sk-or-v1-{m(HEX, 64)}"),
    "google api": ("GOOGLE_API_KEY", lambda m: f"AIza{m(URL64, 35)}"),
    "google oauth secret": ("GOOGLE_CLIENT_SECRET", lambda m: f"GOCSPX-{m(URL64, 28)}"),
    "google access token": ("GOOGLE_TOKEN", lambda m: f"ya29.{m(URL64, 120)}"),
    "groq": ("GROQ_API_KEY", lambda m: f"gsk_{m(ALNUM, 52)}"),
    "xai": ("XAI_API_KEY", lambda m: f"xai-{m(ALNUM, 80)}"),
    "perplexity": ("PERPLEXITY_API_KEY", lambda m: f"pplx-{m(ALNUM, 48)}"),
    "deepseek": ("DEEPSEEK_API_KEY", lambda m: f"sk-{m(HEX, 32)}"),
    "mistral": ("MISTRAL_API_KEY", lambda m: m(ALNUM, 32)),
    "cohere": ("COHERE_API_KEY", lambda m: m(ALNUM, 40)),
    "together": ("TOGETHER_API_KEY", lambda m: m(HEX, 64)),
    "fireworks": ("FIREWORKS_API_KEY", lambda m: f"fw_{m(ALNUM, 24)}"),
    "replicate": ("REPLICATE_API_TOKEN", lambda m: f"r8_{m(ALNUM, 37)}"),
    "hugging face": ("HF_TOKEN", lambda m: f"hf_{m(string.ascii_letters, 34)}"),
    "azure openai": ("AZURE_OPENAI_API_KEY", lambda m: m(HEX, 32)),
    "azure storage": ("AZURE_STORAGE_CONNECTION_STRING", lambda m: f"DefaultEndpointsProtocol=https;AccountName=ledger;AccountKey={m(B64, 86)}=="),
    "azure client secret": ("AZURE_CLIENT_SECRET", lambda m: f"{m(ALNUM, 3)}8Q~{m(ALNUM + '_.-', 34)}"),
    "aws id": ("AWS_ACCESS_KEY_ID", lambda m: f"AKIA{m(string.ascii_uppercase + '234567', 16)}"),
    "aws secret": ("AWS_SECRET_ACCESS_KEY", lambda m: m(B64, 40)),
    "aws session token": ("AWS_SESSION_TOKEN", lambda m: f"IQoJb3JpZ2luX2Vj{m(B64, 300)}="),
    "github classic": ("GITHUB_TOKEN", lambda m: f"ghp_{m(ALNUM, 36)}"),
    "github app": ("GITHUB_TOKEN", lambda m: f"ghs_{m(ALNUM, 36)}"),
    "github fine-grained": ("GITHUB_TOKEN", lambda m: f"github_pat_{m(ALNUM, 22)}_{m(ALNUM, 59)}"),
    "gitlab": ("GITLAB_TOKEN", lambda m: f"glpat-{m(URL64, 20)}"),
    "gitlab runner": ("RUNNER_TOKEN", lambda m: f"glrt-{m(URL64, 20)}"),
    "bitbucket": ("BITBUCKET_APP_PASSWORD", lambda m: f"ATBB{m(ALNUM, 32)}"),
    "atlassian": ("JIRA_API_TOKEN", lambda m: f"ATATT3xFfGF0{m(URL64, 170)}={m(UPPER, 8)}"),
    "slack bot": ("SLACK_TOKEN", lambda m: f"xoxb-{m(string.digits, 12)}-{m(string.digits, 12)}-{m(ALNUM, 24)}"),
    "slack app": ("SLACK_APP_TOKEN", lambda m: f"xapp-1-A{m(UPPER, 10)}-{m(string.digits, 13)}-{m(HEX, 64)}"),
    "slack webhook": ("SLACK_URL", lambda m: f"https://hooks.slack.com/services/T{m(UPPER, 10)}/B{m(UPPER, 10)}/{m(ALNUM, 24)}"),
    "discord bot": ("DISCORD_TOKEN", lambda m: f"M{m(ALNUM, 23)}.{m(ALNUM, 6)}.{m(URL64, 38)}"),
    "discord webhook": ("DISCORD_URL", lambda m: f"https://discord.com/api/webhooks/{m('123456789', 18)}/{m(URL64, 68)}"),
    "telegram": ("TELEGRAM_BOT_TOKEN", lambda m: f"{m('123456789', 10)}:AA{m(URL64, 33)}"),
    "twilio key": ("TWILIO_API_KEY", lambda m: f"SK{m(HEX, 32)}"),
    "twilio auth token": ("TWILIO_AUTH_TOKEN", lambda m: m(HEX, 32)),
    "sendgrid": ("SENDGRID_API_KEY", lambda m: f"SG.{m(URL64, 22)}.{m(URL64, 43)}"),
    "mailgun": ("MAILGUN_API_KEY", lambda m: f"key-{m(HEX, 32)}"),
    "mailchimp": ("MAILCHIMP_API_KEY", lambda m: f"{m(HEX, 32)}-us12"),
    "postmark": ("POSTMARK_SERVER_TOKEN", lambda m: m.uuid()),
    "stripe live": ("STRIPE_SECRET_KEY", lambda m: f"sk_live_{m(ALNUM, 99)}"),
    "stripe test": ("STRIPE_SECRET_KEY", lambda m: f"sk_test_{m(ALNUM, 24)}"),
    "stripe webhook": ("STRIPE_WEBHOOK_SECRET", lambda m: f"whsec_{m(ALNUM, 32)}"),
    "square": ("SQUARE_TOKEN", lambda m: f"sq0atp-{m(URL64, 22)}"),
    "braintree": ("BRAINTREE_PRIVATE_KEY", lambda m: m(HEX, 32)),
    "paypal": ("PAYPAL_CLIENT_SECRET", lambda m: f"E{m(URL64, 79)}"),
    "shopify": ("SHOPIFY_TOKEN", lambda m: f"shpat_{m(HEX, 32)}"),
    "npm": ("NPM_TOKEN", lambda m: f"npm_{m(ALNUM, 36)}"),
    "pypi": ("TWINE_PASSWORD", lambda m: f"pypi-AgEIcHlwaS5vcmc{m(URL64, 150)}"),
    "rubygems": ("GEM_HOST_API_KEY", lambda m: f"rubygems_{m(HEX, 48)}"),
    "nuget": ("NUGET_API_KEY", lambda m: f"oy2{m(LOWER, 43)}"),
    "crates.io": ("CARGO_REGISTRY_TOKEN", lambda m: f"cio{m(ALNUM, 32)}"),
    "docker hub": ("DOCKERHUB_TOKEN", lambda m: f"dckr_pat_{m(URL64, 27)}"),
    "artifactory": ("ARTIFACTORY_API_KEY", lambda m: f"AKCp{m(ALNUM, 69)}"),
    "databricks": ("DATABRICKS_TOKEN", lambda m: f"dapi{m(HEX, 32)}"),
    "digitalocean": ("DIGITALOCEAN_TOKEN", lambda m: f"dop_v1_{m(HEX, 64)}"),
    "heroku": ("HEROKU_API_KEY", lambda m: m.uuid()),
    "heroku new": ("HEROKU_API_KEY", lambda m: f"HRKU-AA{m(URL64, 58)}"),
    "cloudflare": ("CLOUDFLARE_API_TOKEN", lambda m: m(URL64, 40)),
    "vercel": ("VERCEL_TOKEN", lambda m: m(ALNUM, 24)),
    "netlify": ("NETLIFY_AUTH_TOKEN", lambda m: f"nfp_{m(ALNUM, 36)}"),
    "fly.io": ("FLY_API_TOKEN", lambda m: f"fm2_{m(B64, 160)}"),
    "supabase": ("SUPABASE_ACCESS_TOKEN", lambda m: f"sbp_{m(HEX, 40)}"),
    "planetscale": ("PLANETSCALE_TOKEN", lambda m: f"pscale_tkn_{m(URL64, 43)}"),
    "linear": ("LINEAR_API_KEY", lambda m: f"lin_api_{m(ALNUM, 40)}"),
    "notion": ("NOTION_TOKEN", lambda m: f"ntn_{m(string.digits, 11)}{m(ALNUM, 35)}"),
    "figma": ("FIGMA_TOKEN", lambda m: f"figd_{m(URL64, 40)}"),
    "airtable": ("AIRTABLE_TOKEN", lambda m: f"pat{m(ALNUM, 14)}.{m(HEX, 64)}"),
    "asana": ("ASANA_TOKEN", lambda m: f"1/{m('123456789', 16)}:{m(HEX, 32)}"),
    "datadog": ("DD_API_KEY", lambda m: m(HEX, 32)),
    "new relic": ("NEW_RELIC_API_KEY", lambda m: f"NRAK-{m(UPPER, 27)}"),
    "grafana": ("GRAFANA_TOKEN", lambda m: f"glsa_{m(ALNUM, 32)}_{m(HEX, 8)}"),
    "sentry": ("SENTRY_AUTH_TOKEN", lambda m: f"sntrys_eyJpYXQiO{m(B64, 120)}=_{m(B64, 43)}"),
    "sentry dsn": ("SENTRY_DSN", lambda m: f"https://{m(HEX, 32)}:{m(HEX, 32)}@sentry.io/{m('123456789', 7)}"),
    "pagerduty": ("PAGERDUTY_API_KEY", lambda m: f"u+{m(URL64, 18)}"),
    "okta": ("OKTA_API_TOKEN", lambda m: f"00{m(URL64, 40)}"),
    "auth0": ("AUTH0_CLIENT_SECRET", lambda m: m(URL64, 64)),
    "terraform cloud": ("TFE_TOKEN", lambda m: f"{m(ALNUM, 14)}.atlasv1.{m(URL64, 67)}"),
    "vault": ("VAULT_TOKEN", lambda m: f"hvs.{m(URL64, 96)}"),
    "doppler": ("DOPPLER_TOKEN", lambda m: f"dp.pt.{m(ALNUM, 43)}"),
    "1password": ("OP_SERVICE_ACCOUNT_TOKEN", lambda m: f"ops_eyJ{m(B64, 260)}"),
    "age": ("AGE_KEY", lambda m: f"AGE-SECRET-KEY-1{m('QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L', 58)}"),
    "jwt": ("ACCESS_TOKEN", _jwt),
    "django key": ("SECRET_KEY", lambda m: m(LOWER + "!@#%^&*-_=+", 50)),
    "hex 64": ("ENCRYPTION_KEY", lambda m: m(HEX, 64)),
    "postgres url": ("DATABASE_URL", lambda m: f"postgresql://ledger:{m(ALNUM, 16)}@db.internal:5432/ledger"),
    "mongodb url": ("MONGO_URL", lambda m: f"mongodb+srv://ledger:{m(ALNUM, 12)}@c0.mongodb.net/app?retryWrites=true"),
    "redis url": ("REDIS_URL", lambda m: f"redis://:{m(ALNUM, 20)}@cache:6379/0"),
    "amqp url": ("BROKER_URL", lambda m: f"amqps://ledger:{m.word()}@mq:5671/v"),
    "jdbc": ("JDBC_URL", lambda m: f"jdbc:mysql://db:3306/app?user=ledger&password={m(ALNUM, 14)}"),
    "sql server": ("SQL_CONNECTION_STRING", lambda m: f"Server=tcp:db,1433;Database=app;User Id=ledger;Password={m(ALNUM, 14)};Encrypt=true"),
    "password": ("DB_PASSWORD", Maker.word),
    "pem one line": ("PRIVATE_KEY", lambda m: _pem("RSA ", m, "\\n")),
}  # fmt: skip
PLACES: dict[str, str] = {
    # where it stands: {name}, {lower} (its name in small letters) and {secret} are put in. Add here.
    "env file": "LOG_LEVEL=info\n{name}={secret}\nPORT=8080\n",
    "env file, crlf": "LOG_LEVEL=info\r\nexport {name}='{secret}'\r\nPORT=8080\r\n",
    "python": 'client = Client(timeout=30)\n{lower} = "{secret}"\nclient.connect()\n',
    "python dict": "config = {{\n    'retries': 3,\n    '{lower}': '{secret}',\n}}\n",
    "json": '{{\n  "port": 8080,\n  "{lower}": "{secret}",\n  "debug": false\n}}\n',
    "json in a string": '"body": "{{\\"{lower}\\": \\"{secret}\\"}}",\n',
    "yaml": "services:\n  app:\n    {lower}: {secret}\n    port: 80\n",
    "yaml, quoted": 'env:\n  - name: MODE\n    value: x\n  {name}: "{secret}"\n',
    "log": "2026-05-04 12:01:09,113 ERROR app.client request failed {lower}={secret} status=401\n",
    "header": "GET /v1 HTTP/1.1\nHost: api.internal\nX-{dashed}: {secret}\n",
    "url": "see https://api.internal/v1/items?page=2&{lower}={secret}\n",
    "markdown": "Then set `{name}` to `{secret}` and restart, it worked for me.\n",
    "markdown code": "Run it like this:\n\n```sh\nexport {name}={secret}\n```\n",
    "diff": " retries = 3\n+{name} = '{secret}'\n-timeout = 3\n",
    "traceback": "  File \"app.py\", line 3, in f\n    raise Bad(x)\napp.Bad: refused: {lower}='{secret}'\n",
    "shell": "docker run -e {name}={secret} app:latest\n",
    "flag": "app serve --{flag} {secret} --port 80\n",
    "typescript": 'const {camel}: string = "{secret}";\nexport default {camel};\n',
    "java": 'private static final String {name} = "{secret}";\n',
    "go": '\tcfg := Config{{\n\t\t{pascal}: "{secret}",\n\t}}\n',
    "xml": "<settings>\n  <{lower}>{secret}</{lower}>\n</settings>\n",
    "assertion": "E       AssertionError: assert {{'{lower}': '{secret}'}} == {{}}\n",
}  # fmt: skip
BLOCKS: dict[str, Callable[[Maker], tuple[str, tuple[str, ...]]]] = {
    # what does not fit into one value: (text, its secrets). Add here.
    "pem": lambda m: _block(_pem("RSA ", m)),
    "pem, openssh": lambda m: _block(_pem("OPENSSH ", m)),
    "pem, indented": lambda m: _block(_pem("EC ", m).replace("\n", "\n    ")),
    "pem, diff": lambda m: _block("+" + _pem("", m).replace("\n", "\n+")),
    "pem, cut": lambda m: _block("\n".join(_pem("", m).split("\n")[:-2])),
    "pem, cut before": lambda m: _block("\n".join(_pem("", m).split("\n")[3:])),
    "pem, crlf": lambda m: _block(_pem("RSA ", m, "\r\n")),
    "service account": lambda m: _block('{"type": "service_account", "private_key": "' + _pem("", m, "\\n") + '\\n"}', "\\n"),
    "bearer": lambda m: (f"Authorization: Bearer {(t := m(URL64, 40))}\n", (t,)),
    "bearer, curl": lambda m: (f"curl -H 'Authorization: Bearer {(t := m(ALNUM, 32))}' https://x.internal\n", (t,)),
    "basic": lambda m: (f"Authorization: Basic {(t := base64.b64encode(f'ledger:{m.word()}'.encode()).decode())}\n", (t,)),
    "cookie": lambda m: (f"Cookie: theme=dark; sessionid={(t := m(LOWER, 32))}; lang=en\n", (t,)),
    "set-cookie": lambda m: (f"Set-Cookie: session={(t := m(URL64, 60))}; Path=/; HttpOnly\n", (t,)),
    "curl user": lambda m: (f"curl -u ledger:{(t := m.word())} https://x.internal/v1\n", (t,)),
    "mysql -p": lambda m: (f"mysql -h db -u ledger -p{(t := m(ALNUM, 14))} app\n", (t,)),
    "password flag": lambda m: (f"app login --user ledger --password {(t := m.word())}\n", (t,)),
    "netrc": lambda m: (f"machine api.internal login ledger password {(t := m(ALNUM, 16))}\n", (t,)),
    "pgpass": lambda m: (f"db.internal:5432:app:ledger:{(t := m(ALNUM, 16))}\n", (t,)),
    "htpasswd": lambda m: (f"ledger:$apr1${m(ALNUM, 8)}${(t := m(ALNUM, 22))}\n", (t,)),
    "bcrypt": lambda m: (f"ledger:$2y$10${(t := m(ALNUM, 53))}\n", (t,)),
    "npmrc": lambda m: (f"//registry.internal/:_authToken={(t := m.uuid())}\n", (t,)),
    "docker auth": lambda m: (
        f'{{"auths": {{"registry.internal": {{"auth": "{(t := base64.b64encode(f"ledger:{m.word()}".encode()).decode())}"}}}}}}\n', (t,),
    ),
    "kubernetes": lambda m: (
        f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\ndata:\n  value: {(t := base64.b64encode(m(ALNUM, 15).encode()).decode())}\n", (t,),
    ),
    "azure sas": lambda m: (f"https://x.blob.core.windows.net/c?sv=2024-01-01&se=2026&sp=r&sig={(t := m(ALNUM, 43))}%3D\n", (t,)),
    "sql": lambda m: (f"CREATE USER ledger WITH PASSWORD '{(t := m.word())}';\n", (t,)),
    "prose": lambda m: (f"My database password is {(t := m(ALNUM, 10) + '7x')} and it does not work.\n", (t,)),
    "aws csv": lambda m: (f"AKIA{m(string.ascii_uppercase + '234567', 16)},{(t := m(B64, 40))}\n", (t,)),
}  # fmt: skip


def _block(text: str, newline: str = "\n") -> tuple[str, tuple[str, ...]]:
    lines = (line.strip(" +\r") for line in text.split(newline))
    return text + "\n", tuple(line for line in lines if re.fullmatch(r"[A-Za-z0-9+/]{40,}", line))


def secret_part(value: str) -> str:
    """What of a planted value must go: of an address or a connection string only the password or key in it."""
    inner = re.search(r"(?i)://[^:@/]*:([^@/]+)@|(?:password|accountkey)=([^;&]+)|(?:services|webhooks)/(.+)", value)
    return next((group for group in inner.groups() if group), value) if inner else value


def remains(secret: str, clean: str) -> bool:
    """Whether a run of 12 characters of the secret (the whole, if it is shorter) is still there."""
    length = min(12, len(secret))
    return any(secret[i : i + length] in clean for i in range(len(secret) - length + 1))


def planted(seeds: int, around: list[str]) -> tuple[Counter[str], Counter[str], list[str]]:
    """Found and all, by kind; and what was missed."""
    found: Counter[str] = Counter()
    total: Counter[str] = Counter()
    missed: list[str] = []

    def look(kind: str, place: str, text: str, secrets: tuple[str, ...], seed: int) -> None:
        before, after = random.Random(f"{kind}{place}{seed}").sample(around, 2)
        whole = f"{before}\n{text}{after}"
        clean = Redactor().redact(whole)
        good = not any(remains(s, clean) for s in secrets) and clean.count("\n") == whole.count("\n")
        total[kind] += 1
        found[kind] += good
        if not good:
            left = [line for line in clean.split("\n") if any(remains(s, line) for s in secrets)]
            missed.append(f"{kind} | {place} | {text.strip()!r} | {left[:2]}")

    for seed in range(seeds):
        for kind, (name, make) in PLANTED.items():
            words = name.lower().split("_")
            camel = words[0] + "".join(map(str.capitalize, words[1:]))
            names = {
                "name": name, "lower": name.lower(), "dashed": "-".join(map(str.capitalize, words)), "camel": camel,
                "pascal": camel[0].upper() + camel[1:], "flag": "-".join(words),
            }  # fmt: skip
            for place, template in PLACES.items():
                value = make(Maker(f"{kind}{place}{seed}"))
                look(kind, place, template.format(secret=value, **names), (secret_part(value),), seed)
        for kind, make_block in BLOCKS.items():
            for n in range(8):
                look(kind, "block", *make_block(Maker(f"{kind}{seed}{n}")), seed * 8 + n)
    return found, total, missed


def texts(place: Path) -> Iterator[tuple[str, str]]:
    """The text files of a folder, or of the last commit of a git directory."""
    if (place / "HEAD").is_file() and (place / "objects").is_dir():
        yield from _blobs(place)
        return
    for path in sorted(place.rglob("*")):
        source = path.is_file() and path.suffix not in (".pyc", ".so") and ".git" not in path.parts
        text = _text(path.read_bytes()) if source and path.stat().st_size < 1_000_000 else None
        if text is not None:
            yield str(path.relative_to(place)), text


def _blobs(place: Path) -> Iterator[tuple[str, str]]:
    git = ("git", "--git-dir", str(place))
    listed = subprocess.run((*git, "ls-tree", "-r", "-l", "HEAD"), capture_output=True, text=True, check=True).stdout
    rows = [line.split("\t", 1) for line in listed.splitlines()]
    wanted = [
        (path, meta.split()[2]) for meta, path in rows if meta.split()[1] == "blob" and int(meta.split()[3]) < 1_000_000
    ]
    data = subprocess.run(
        (*git, "cat-file", "--batch"),
        input="".join(f"{sha}\n" for _, sha in wanted).encode(),
        capture_output=True,
        check=True,
    ).stdout
    at = 0
    for path, _ in wanted:
        end = data.index(b"\n", at)
        size = int(data[at:end].split()[2])
        if (text := _text(data[end + 1 : end + 1 + size])) is not None:
            yield path, text
        at = end + 2 + size


def _text(data: bytes) -> str | None:
    if b"\0" in data[:8000]:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def survey(places: list[Path], part: int, parts: int, hits: list[str]) -> None:
    """Count replacements in real source, and measure the time."""
    size = count = 0
    seconds = 0.0
    kinds: Counter[str] = Counter()
    for place in places:
        own_size = own_count = 0
        for path, text in texts(place):
            if hashlib.sha256(path.encode()).digest()[0] % parts != part - 1:
                continue
            began = time.process_time()
            clean = Redactor().redact(text)
            seconds += time.process_time() - began
            own_size += len(text.encode())
            if clean != text:
                for number, (old, new) in enumerate(zip(text.split("\n"), clean.split("\n"), strict=True), 1):
                    fresh = [kind for kind, _ in TOKEN.findall(new)] if old != new else []
                    kinds.update(fresh)
                    own_count += len(fresh)
                    if fresh:
                        hits.append(f"{','.join(fresh)}\t{place}:{path}:{number}\t{old.strip()[:240]}")
        size, count = size + own_size, count + own_count
        print(f"  {own_size / 1e6:7.1f} MB {own_count:5} replaced  {place}")
    print(
        f"\nreal source: {size / 1e6:.1f} MB, {count} replacements (dummies and committed keys too), {count / max(size, 1) * 2e5:.3f} per 200 KB"
    )
    print(f"by kind: {dict(kinds.most_common())}")
    print(f"speed: {size / 1e6 / max(seconds, 1e-9):.1f} MB per CPU second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--hits", type=Path, help="where to write what was replaced")
    parser.add_argument("--part", default="1/1", help="which part of the files, as 1/2")
    parser.add_argument("--planted-only", action="store_true")
    given = parser.parse_args()
    around = [path.read_text()[:3000] for path in sorted(Path(__file__).parent.parent.glob("orchestra_mcp/*.py"))]
    found, total, missed = planted(given.seeds, around)
    for kind in total:
        print(f"  {kind:24} {found[kind]:4}/{total[kind]:<4} {found[kind] / total[kind]:.3f}")
    print(
        f"\nplanted: {len(total)} kinds, {sum(total.values())} secrets, recall {sum(found.values()) / sum(total.values()):.4f}"
    )
    for line in missed[:200]:
        print("  missed:", line, file=sys.stderr)
    hits: list[str] = []
    if not given.planted_only:
        part, _, parts = given.part.partition("/")
        survey(given.places or [Path(sysconfig.get_paths()["purelib"])], int(part), int(parts), hits)
    if given.hits:
        given.hits.write_text("\n".join(hits) + "\n")


if __name__ == "__main__":
    main()
