"""Words that stand for a secret are none: what `.env` files and their templates teach, and what a project's source keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.secrecy.knownvalues import is_template
from orchestra_mcp.context.secrecy.redaction import Redactor, redact, secret_values

EXAMPLE = """\
DATABASE_URL=postgres://user:password@localhost:5432/better_auth
MYSQL_URL="mysql://root:secret@localhost:3306/app"
REDIS_URL=redis://default:token@cache:6379
DB_PASSWORD=password
AUTH_SECRET=secret
API_TOKEN=token
ADMIN_PASSWORD=changeme
"""
SOURCE = """\
import { hashPassword, verifyPassword } from "./password";
// user, password: the token is made from the secret; see postgres://user:password@localhost:5432/better_auth
export async function signIn(user, password, token = "token") {
  const secret = ctx.secret ?? "secret";
  if (!password) throw new APIError("password is required", { field: "password", secret: 'secret' });
  return token === 'token' ? changeme(user, "password") : verifyPassword({ password, secret });
}
test("password", () => expect(signIn("root", "password", "token")).toEqual({ password: "password", default: 1 }));
"""
RANDOM = "kQ7vX2mR9tLz4WbN8pHs"


@pytest.mark.parametrize("name", [".env.example", ".env.dev", ".env", "docker.env"])
async def test_a_project_s_own_words_are_not_hidden_because_an_env_file_holds_them(tmp_path: Path, name: str) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "sign-in.ts").write_text(SOURCE)
    (tmp_path / name).write_text(EXAMPLE)
    eyes = ProjectEvidence(tmp_path)
    assert await eyes.files() == ("src/sign-in.ts",)
    assert list(await eyes.read("src/sign-in.ts")) == SOURCE.splitlines()


async def test_beside_such_words_a_real_value_of_the_same_file_is_still_hidden(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_text(f'const password = "password"; // {RANDOM}\n')
    (tmp_path / ".env.dev").write_text(EXAMPLE + f"MAIL_PASSWORD={RANDOM}\n")
    eyes = ProjectEvidence(tmp_path)
    assert list(await eyes.read("a.ts")) == ['const password = "password"; // «redacted:known-value#1»']


@pytest.mark.parametrize(
    ("line", "hidden"),
    [
        ("URL=postgres://user:password@db/x", ()),
        ("URL=postgres://user:PassWord@db/x", ()),
        ("URL=postgres://app:password123@db/x", ()),
        ("URL=postgres://ledgers:ledgers@db/x", ()),  # no secret to whoever knows the user
        # a single word stands in the source as well, so only the address as a whole is known
        ("URL=postgres://app:swordfish@db/x", ("postgres://app:swordfish@db/x",)),
        ("URL=postgres://app:bird_house@db/bird_house", ("postgres://app:bird_house@db/bird_house",)),
        # a long one, or one with a digit, stands nowhere else
        (
            "URL=postgres://app:swordfishandchips@db/x",
            ("postgres://app:swordfishandchips@db/x", "swordfishandchips"),
        ),
        ("URL=postgres://app:Sommer2024@db/x", ("postgres://app:Sommer2024@db/x", "Sommer2024")),
        ("DB_PASSWORD=Sommer2024", ("Sommer2024",)),
        ("DB_PASSWORD=plainwordsecretvalue9", ("plainwordsecretvalue9",)),
        ("DB_PASSWORD=swordfish", ("swordfish",)),
        ("DB_PASSWORD=Passw0rd", ()),
        ("SESSION_SECRET=component", ()),
    ],
)
def test_of_a_real_env_file_all_but_the_vocabulary_of_secrets_is_learnt(line: str, hidden: tuple[str, ...]) -> None:
    assert secret_values(line) == hidden


def test_of_a_template_only_what_looks_generated_is_learnt() -> None:
    words = "DB_PASSWORD=Sommer2024\nURL=postgres://app:Sommer2024@db/x\nAUTH_SECRET=plainwordsecretvalue9\n"
    slip = f"API_TOKEN={RANDOM}\nQUEUE=amqp://app:{RANDOM}@mq/\n"
    assert secret_values(words + slip, ".env.example") == (RANDOM, f"amqp://app:{RANDOM}@mq/")
    assert set(secret_values(words + slip, ".env.local")) >= {"Sommer2024", "plainwordsecretvalue9", RANDOM}


@pytest.mark.parametrize(
    ("name", "template"),
    [
        *((f".env.{end}", True) for end in ("example", "sample", "template", "dist", "defaults", "EXAMPLE")),
        *((name, True) for name in ("prod.example.env", ".env.local.example", ".env-sample")),
        *((name, False) for name in (".env", ".env.local", ".env.dev", ".env.production", "prod.env", ".env.distant")),
    ],
)
def test_a_template_is_known_by_its_name(name: str, template: bool) -> None:
    assert is_template(name) is template


def test_a_vocabulary_word_is_not_learnt_from_whoever_is_sure_of_it() -> None:
    redactor = Redactor()
    redactor.learn(["password", "changeme", "Sommer2024"], sure=True)
    assert redactor.redact("password changeme Sommer2024") == "password changeme «redacted:known-value#1»"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"SIGNING_SECRET={RANDOM}", RANDOM),
        (f"SLACK_SIGNING_SECRET: '{RANDOM}'", RANDOM),
        (f"JWT_SIGNING_KEY = '{RANDOM}'", RANDOM),
        ("Kennwort: Sommer2024", "Sommer2024"),
        ('password = (\n    "Kz9pq7Xw"\n)', "Kz9pq7Xw"),
        (f"API_KEY: str = (\r\n    r'{RANDOM}'\r\n)", RANDOM),
        ("requirepass Kz9pq7Xw\n", "Kz9pq7Xw"),
        ('masterauth "Kz9pq7Xw"', "Kz9pq7Xw"),
        ("command: redis-server --requirepass Kz9pq7Xw --appendonly yes", "Kz9pq7Xw"),
        ("mysql -p'Kz9pq7Xw'", "Kz9pq7Xw"),
        ("HRKU-8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e"),
    ],
)
def test_these_places_hold_secrets(text: str, secret: str) -> None:
    clean, found = redact(text)
    assert secret not in clean
    assert sum(found.values()) == 1
    assert len(clean.splitlines()) == len(text.splitlines())


@pytest.mark.parametrize(
    "text",
    [
        "# requirepass foobared", "`requirepass` option2 is read", 'requirepass "$REDIS_PASS2"', "--requirepass ${REDIS_PASSWORD1}",
        "signin_token_field = 'signin-token-2'", "Kennwort: vergessen?", "Password: forgotten?", 'password = (\n    "Enter your 2nd password"\n)',
        'password_label = (\n    "Password2"\n)', "HRKU-your-key-here", "token = (\n    tokens2\n)", "designs: signin_secret2 = get_secret2()",
    ],
)  # fmt: skip
def test_what_only_resembles_them_survives(text: str) -> None:
    assert redact(text) == (text, {})
