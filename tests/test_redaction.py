from __future__ import annotations

import random
import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_mcp.context.redaction import Redactor, redact, secret_values
from orchestra_mcp.context.secretrules import entropy


def made(alphabet: str, length: int, seed: int = 7) -> str:
    """A secret that nobody uses, with every kind of character of its alphabet."""
    chooser = random.Random(seed)
    text = [chooser.choice(alphabet) for _ in range(length - 3)]
    return "".join(text) + next(c for c in alphabet if c.isalpha()) + "7" + alphabet[-1]


BASE62 = string.ascii_letters + string.digits
HEX = "0123456789abcdef"

KEYS = {
    "openai-key": "sk-proj-" + made(BASE62 + "_-", 60),
    "sk-key": "sk-" + made(HEX, 32),
    "anthropic-key": "sk-ant-api03-" + made(BASE62, 90) + "-AA",
    "openrouter-key": "sk-or-v1-" + made(HEX, 64),
    "google-key": "AIza" + made(BASE62, 35),
    "github-token": "ghp_" + made(BASE62, 36),
    "gitlab-token": "glpat-" + made(BASE62, 20),
    "aws-key-id": "AKIA" + made(string.ascii_uppercase + "234567", 16).upper(),
    "slack-token": "xoxb-" + made(string.digits + "a", 24),
    "stripe-key": "sk_live_" + made(BASE62, 24),
    "sendgrid-key": "SG." + made(BASE62, 22) + "." + made(BASE62, 43, 8),
    "huggingface-token": "hf_" + made(BASE62, 34),
    "groq-key": "gsk_" + made(BASE62, 52),
    "xai-key": "xai-" + made(BASE62, 80),
    "perplexity-key": "pplx-" + made(BASE62, 48),
    "npm-token": "npm_" + made(BASE62, 36),
    "pypi-token": "pypi-AgEIcHlwaS5vcmc" + made(BASE62, 60),
    "jwt": "eyJ" + made(BASE62, 20) + ".eyJ" + made(BASE62, 40, 8) + "." + made(BASE62, 43, 9),
}
PLACES = [
    "{}", 'key = "{}"', "export X={}", "headers: {{'x-api-key': '{}'}}", "+    token: {}", "failed with {} at line 3",
    "https://api.example.com/v1?key={}&n=1", "E   AssertionError: '{}' != None", "<value>{}</value>",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", sorted(KEYS))
def test_a_vendor_s_key_is_taken_out_wherever_it_stands(kind: str, place: str) -> None:
    clean, found = redact(place.format(KEYS[kind]))
    assert KEYS[kind] not in clean
    assert sum(found.values()) == 1
    if place == "{}":
        assert found == {kind: 1}
        assert clean == f"«redacted:{kind}#1»"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
        ("MISTRAL_API_KEY=" + made(BASE62, 32), made(BASE62, 32)),
        ("AZURE_OPENAI_KEY='" + made(HEX, 32) + "'", made(HEX, 32)),
        ("AccountKey=" + made(BASE62, 86) + "==;", made(BASE62, 86)),
        ("postgres://admin:hunter2@db:5432/app", "hunter2"),
        ("redis://:p4ss@cache:6379", "p4ss"),
        ("Authorization: Bearer " + made(BASE62, 24), made(BASE62, 24)),
        ("authorization: Basic YWRtaW46aHVudGVyMg==", "YWRtaW46"),
        ('"password": "hunter2!"', "hunter2"),
        ('password: str = "Tr0ub4dor&3"', "Tr0ub4dor"),
        ("DB_PASSWORD=s3cr3tpw", "s3cr3tpw"),
        ("mysql --password=s3cr3tpw -h db", "s3cr3tpw"),
        ("my password is hunter2x", "hunter2x"),
        ("<password>hunter2</password>", "hunter2"),
        ('{"client_secret": "' + made(BASE62, 40) + '"}', made(BASE62, 40)),
        ('("X-Api-Key", "' + made(BASE62, 24) + '")', made(BASE62, 24)),
        ("https://hooks.slack.com/services/T000/B000/" + made(BASE62, 24), made(BASE62, 24)),
    ],
)
def test_a_secret_is_known_by_what_stands_before_it(text: str, secret: str) -> None:
    assert secret not in redact(text)[0]


@pytest.mark.parametrize(
    "text",
    [
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
        'id = "550e8400-e29b-41d4-a716-446655440000"',
        '"integrity": "sha512-9vK8xk2rQmX3bY7n1p0Zq4w5e6r7t8y9u0i1o2p3a4s5d6f7g8h9j0k1l2z3x4c5v6b7n8m9=="',
        'api_key="your-api-key"',
        'api_key = "<YOUR_API_KEY_HERE_123>"',
        'api_key = os.environ["OPENAI_API_KEY"]',
        "OPENAI_API_KEY=${OPENAI_API_KEY}",
        'password = getpass.getpass("Password: ")',
        'password = request.form["password1"]',
        "token = self._next_token2()",
        'token_type = "identifier2"',
        "max_tokens = 4096",
        "if token == Token.IDENTIFIER_V2:",
        'headers["Authorization"] = f"Bearer {token}"',
        "Bearer authentication is required",
        'raise ValueError("password must be at least 12 characters")',
        "key: Ed25519PrivateKey | Ed448PrivateKey",
        'cache_key = "3f786850e387550fdab836ed7e6dc881de23001b"',
        "password: Annotated[str, Field(min_length=8)]",
        "task-abcdefghijklmnopqrstuvwx12345",
        '_START = b"-----BEGIN OPENSSH PRIVATE KEY-----"\n_END = b"-----END OPENSSH PRIVATE KEY-----"',
        "https://example.com:8080/path@v2",
        'TOKEN = re.compile(r"npm_[A-Za-z0-9]{30,}")',
        "version 1.2.3.4, trace 4bf92f3577b34da6a3ce929d0e0e4736",
    ],
)
def test_code_and_identifiers_that_are_no_secret_survive(text: str) -> None:
    assert redact(text) == (text, {})


def key_block(lines: int = 6) -> list[str]:
    body = [made(BASE62 + "+/", 64, n) for n in range(lines)]
    return ["-----BEGIN RSA PRIVATE KEY-----", *body, "qR7=", "-----END RSA PRIVATE KEY-----"]


@pytest.mark.parametrize("prefix", ["", "+", "-", "    ", "> ", "  12 | ", "# "])
@pytest.mark.parametrize("part", ["whole", "no end", "no beginning"])
def test_a_private_key_goes_as_a_whole_also_when_it_is_cut(prefix: str, part: str) -> None:
    block = {"whole": key_block(), "no end": key_block()[:-2], "no beginning": key_block()[2:]}[part]
    text = "\n".join(["before = 1", *(prefix + line for line in block), "after = 2", "def f(): pass"])
    clean, found = redact(text)
    assert found == {"private-key": 1}
    assert not [line for line in block[1:-1] if len(line) > 20 and line in clean]
    assert clean.count("\n") == text.count("\n")
    assert clean.startswith("before = 1\n")
    assert clean.endswith("\nafter = 2\ndef f(): pass")


def test_a_private_key_in_one_line_of_json_goes_too() -> None:
    text = '{"private_key": "' + "\\n".join(key_block()) + '", "id": 5}'
    clean, found = redact(text)
    assert found == {"private-key": 1}
    assert clean == '{"private_key": "«redacted:private-key#1»", "id": 5}'


def test_equal_secrets_have_equal_names_and_others_do_not() -> None:
    one, two = KEYS["github-token"], "ghp_" + made(BASE62, 36, 99)
    redactor = Redactor()
    assert (
        redactor.redact(f"{one} {two} {one}")
        == "«redacted:github-token#1» «redacted:github-token#2» «redacted:github-token#1»"
    )
    assert redactor.redact(two) == "«redacted:github-token#2»"


def test_exact_values_go_wherever_they_occur_also_encoded_or_over_lines() -> None:
    value = "tr0ub/4dor & co"
    clean, found = redact(f"a {value} b tr0ub%2F4dor%20%26%20co c", [value])
    assert clean == "a «redacted:known-value#1» b «redacted:known-value#2» c"
    assert found == {"known-value": 2}
    lines, _ = redact("x first line 1\nsecond line 2 y", ["first line 1\nsecond line 2"])
    assert lines == "x «redacted:known-value#1»\n y"


def test_common_words_are_not_taken_for_exact_values() -> None:
    text = "in production the postgres password is test; 12345678"
    assert redact(text, ["production", "postgres", "test", "12345678"])[0] == text


def test_a_known_value_keeps_the_vendor_s_kind() -> None:
    assert redact(KEYS["groq-key"], [KEYS["groq-key"]])[1] == {"groq-key": 1}


def test_an_env_file_gives_its_secret_values_only() -> None:
    text = (
        "# comment\nexport API_KEY='Zx81qpLm'\nDEBUG=true\nMODE=development\nDATABASE_URL=postgres://u:pw4you@db/x\n"
        "NAME=ledger-service\nBASE_URL=https://example.com/app\nSECRET_KEY=your-secret-key\n"
    )
    assert secret_values(text) == ("Zx81qpLm", "postgres://u:pw4you@db/x", "pw4you")


PIECES = st.sampled_from(
    ["password", "=", ":", " ", "\n", '"', "'", "key", "token", "Bearer ", "Authorization: ", "://", "@", "sk-", "eyJ", ".",
     "abc123XYZ", "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----", "«", "»", "AKIA", "hunter2", "\r\n",
     *list(KEYS.values())[:6], key_block()[1]]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=30))
def test_lines_stay_where_they_are_and_redacting_twice_changes_nothing(parts: list[str]) -> None:
    text = "".join(parts)
    clean, _ = redact(text)
    assert clean.count("\n") == text.count("\n")
    assert redact(clean)[0] == clean
    for key in list(KEYS.values())[:6]:
        if f" {key} " in f" {text} ":
            assert f" {key} " not in f" {clean} "


@pytest.mark.parametrize(
    "unit",
    ["pass", "bearer ", "://", "://a:", "key_", "eyJ", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----\n", "a",
     "authorization:", "password ", "sk-a", "token:token ", "aws secret ", "eyJaaaaaaaa.", 'password="', "-----BEGIN PRIVATE KEY-----\n"],
)  # fmt: skip
def test_twice_the_text_takes_about_twice_the_time(unit: str) -> None:
    """No pattern may backtrack badly: with quadratic time the ratio would be near 4 (and 16 for the larger step)."""

    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        best = 1e9
        for _ in range(2):
            start = time.process_time()
            redact(text)
            best = min(best, time.process_time() - start)
        return best

    small, large = seconds(50_000), seconds(200_000)
    assert large < 9 * max(small, 0.01)


def test_entropy_of_known_distributions() -> None:
    assert entropy("") == 0
    assert entropy("aaaa") == 0
    assert entropy("abab") == 1
    assert entropy("abcdefgh") == 3
