from __future__ import annotations

import base64
import json
import random
import string
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_mcp.context.secrecy.redaction import Redactor, redact, secret_values
from orchestra_mcp.context.secrecy.secretlooks import entropy


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
    "langfuse-key": "sk-lf-" + made(HEX + "-", 36),
    "google-oauth": "GOCSPX-" + made(BASE62, 28),
    "replicate-token": "r8_" + made(BASE62, 37),
    "fireworks-key": "fw_" + made(BASE62, 24),
    "atlassian-token": "ATATT3xFfGF0" + made(BASE62 + "_-", 170) + "=1A2B3C4D",
    "discord-token": "M" + made(BASE62, 25) + ".GaBcD2." + made(BASE62 + "_-", 38),
    "telegram-token": "7123456789:AA" + made(BASE62 + "_-", 33),
    "twilio-key": "SK" + made(HEX, 32),
    "mailchimp-key": made(HEX, 32) + "-us12",
    "square-token": "sq0atp-" + made(BASE62, 22),
    "shopify-token": "shpat_" + made(HEX, 32),
    "rubygems-key": "rubygems_" + made(HEX, 48),
    "nuget-key": "oy2" + made(string.ascii_lowercase + string.digits, 43),
    "docker-token": "dckr_pat_" + made(BASE62, 27),
    "jfrog-token": "AKCp" + made(BASE62, 69),
    "databricks-token": "dapi" + made(HEX, 32),
    "digitalocean-token": "dop_v1_" + made(HEX, 64),
    "heroku-key": "HRKU-AA" + made(BASE62, 58),
    "netlify-token": "nfp_" + made(BASE62, 36),
    "fly-token": "fm2_" + made(BASE62 + "+/", 160),
    "supabase-key": "sbp_" + made(HEX, 40),
    "planetscale-token": "pscale_tkn_" + made(BASE62, 43),
    "linear-key": "lin_api_" + made(BASE62, 40),
    "notion-token": "ntn_" + made(BASE62, 46),
    "figma-token": "figd_" + made(BASE62, 40),
    "airtable-token": "pat" + made(BASE62, 14) + "." + made(HEX, 64),
    "asana-token": "1/1234509876543210:" + made(HEX, 32),
    "newrelic-key": "NRAK-" + made(string.ascii_uppercase + string.digits, 27),
    "grafana-token": "glsa_" + made(BASE62, 32) + "_1a2b3c4d",
    "sentry-token": "sntryu_" + made(HEX, 64),
    "terraform-token": made(BASE62, 14) + ".atlasv1." + made(BASE62, 67, 8),
    "vault-token": "hvs." + made(BASE62, 96),
    "doppler-token": "dp.pt." + made(BASE62, 43),
    "1password-token": "ops_eyJ" + made(BASE62 + "+/", 260),
    "age-key": "AGE-SECRET-KEY-1" + made("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 56) + "QQ",
    "azure-secret": "Ab38Q~" + made(BASE62 + "_.-", 34),
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
        ("mysql -h db -u app -phunter2x ledger", "hunter2x"),
        ("curl -u app:hunter2x https://x.internal", "hunter2x"),
        ("machine x.internal login app password hunter2x", "hunter2x"),
        ("db.internal:5432:ledger:app:hunter2x", "hunter2x"),
        ("CREATE USER app WITH PASSWORD 'hunter2x';", "hunter2x"),
        ("CREATE USER 'app'@'%' IDENTIFIED BY 'hunter2x';", "hunter2x"),
        ("Server=db,1433;User Id=app;Password=hunterxyz;Encrypt=true", "hunterxyz"),
        ("jdbc:mysql://db:3306/app?user=app&password=hunterxyz&ssl=1", "hunterxyz"),
        ("jdbc:oracle:thin:scott/hunter2x@//db:1521/x", "hunter2x"),
        ("mongodb+srv://app:hunter2x@c0.mongodb.net/app", "hunter2x"),
        ("postgres://app:hunt@er2x@db/app", "hunt@er2x"),
        ("app:$apr1$a1b2c3d4$" + made(BASE62, 22), made(BASE62, 22)),
        ("app:$2y$10$" + made(BASE62, 53), made(BASE62, 53)),
        ("//npm.example.org/:_authToken=8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e"),
        ("HEROKU_API_KEY=8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e"),
        ('{"auths": {"x": {"auth": "YXBwOmh1bnRlcjJ4MzM="}}}', "YXBwOmh1bnRlcjJ4"),
        ("Cookie: theme=dark; sessionid=" + made(HEX, 32), made(HEX, 32)),
        ("https://x.blob.core.windows.net/c?sv=2024&sig=" + made(BASE62, 43) + "%3D", made(BASE62, 43)),
        ("AKIA2QK4XJ7LMN8PRSTV," + made(BASE62 + "/+", 40), made(BASE62 + "/+", 40)),
        ('{\\"api_key\\": \\"' + made(BASE62, 32) + '\\"}', made(BASE62, 32)),
        ("Set `DATADOG_API_KEY` to `" + made(HEX, 32) + "`", made(HEX, 32)),
        ("deploy --token " + made(BASE62, 32), made(BASE62, 32)),
        ('.withApiKey("' + made(BASE62, 32) + '")', made(BASE62, 32)),
        ("$env:CLIENT_SECRET = '" + made(BASE62, 32) + "'", made(BASE62, 32)),
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


@pytest.mark.parametrize(
    "head",
    [
        "MIIEowIBAAKCAQEA", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw", "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU", "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQ",
    ],
)  # fmt: skip
def test_a_private_key_without_its_first_line_is_known_by_its_first_bytes(head: str) -> None:
    body = [head + made(BASE62 + "+/", 64 - len(head)), made(BASE62 + "+/", 64, 3), made(BASE62 + "+/", 44, 4)]
    clean, found = redact("key:\n    " + "\n    ".join(body) + "\nend: 1")
    assert found == {"private-key": 1}
    assert clean == "key:\n    «redacted:private-key#1»\n    \n    \nend: 1"


def test_a_key_keeps_the_signs_of_a_diff_before_its_lines() -> None:
    clean, _ = redact("@@ -0,0 +1,8 @@\n+" + "\n+".join(key_block()) + "\n context")
    assert clean == "@@ -0,0 +1,8 @@\n+«redacted:private-key#1»" + "\n+" * 8 + "\n context"


def test_the_data_of_a_kubernetes_secret_goes_and_that_of_a_config_map_stays() -> None:
    text = (
        "kind: ConfigMap\ndata:\n  mode: cHJvZHVjdGlvbg==\n---\nkind: Secret\nmetadata:\n  name: app\n"
        "data:\n  user: bGVkZ2VyMQ==\n  pw: aHVudGVyMng=\ntype: Opaque\n"
    )
    assert redact(text)[0] == text.replace("bGVkZ2VyMQ==", "«redacted:kubernetes-secret#1»").replace(
        "aHVudGVyMng=", "«redacted:kubernetes-secret#2»"
    )


# ------------------------------------------------------------------------------------------------ placeholders


def test_what_only_poses_as_a_placeholder_hides_no_secret() -> None:
    key = "sk-" + made(HEX, 32)
    assert key not in redact(f"«redacted:{key}#1»")[0]
    assert key not in redact(f"«redacted:jwt#1 {key}»")[0]
    assert "Tr0ub4dor" not in redact('password = "«redacted:jwt#1»Tr0ub4dor&3"')[0]
    assert key not in redact(f"«redacted:jwt#1»{key}«redacted:jwt#2»")[0]


def test_a_number_that_stands_in_the_text_already_is_not_given_to_another_secret() -> None:
    old = "«redacted:github-token#1»"
    assert Redactor().redact(f"{old} {KEYS['github-token']}") == f"{old} «redacted:github-token#2»"


def test_placeholders_that_somebody_wrote_are_not_counted() -> None:
    redactor = Redactor()
    clean = redactor.redact(f"«redacted:jwt#7» {KEYS['groq-key']}")
    assert redactor.count((clean,)) == {"groq-key": 1}


def test_a_secret_once_known_goes_where_nothing_beside_it_tells() -> None:
    value = made(BASE62, 32)
    redactor = Redactor()
    redactor.redact(f"MISTRAL_API_KEY={value}")
    assert redactor.redact(f"got 401 for ({value})") == "got 401 for («redacted:provider-key#1»)"


def test_a_known_value_goes_in_every_form_under_one_name() -> None:
    value = 'Zx81"q/pL m&9+'
    forms = [
        value,
        quote(value, safe=""),
        json.dumps(value)[1:-1],
        json.dumps(json.dumps(value)[1:-1])[1:-1],
        value.replace("&", "&amp;").replace('"', "&quot;"),
    ]
    for form in forms:
        assert Redactor([value]).redact(f"a ({form}) b") == "a («redacted:known-value#1») b"


@pytest.mark.parametrize("before", ["", "u:", "us:", "use:"])
def test_a_known_value_goes_when_it_is_part_of_something_in_base64(before: str) -> None:
    value = "correct-Horse-9-battery"
    encoded = base64.b64encode(f"{before}{value}:end".encode()).decode()
    clean = Redactor([value]).redact(f"x {encoded} y")
    assert "«redacted:" in clean
    rest = clean.replace("«redacted:known-value#1»", "").split()[1]
    assert len(rest) < len(encoded) - 4 * (len(value) - 3) // 3


def test_paths_addresses_and_words_are_not_taken_for_known_values() -> None:
    text = "open /run/secrets/db_password at https://auth.internal/login on localhost:8080 in Production"
    values = ["/run/secrets/db_password", "https://auth.internal/login", "localhost:8080", "Production"]
    assert redact(text, values)[0] == text


# ------------------------------------------------------------------------------------------------- hostile text


@pytest.mark.parametrize(
    "veil", ["\u200b", "\u2060", "\ufeff", "\u00ad", "\x00", "\x1b[31m", "\x1b[0m\x1b[1m", "\u202e", "\U000e0041"]
)
def test_a_key_with_something_invisible_in_it_goes_as_a_whole(veil: str) -> None:
    key = KEYS["anthropic-key"]
    assert redact(f"x {key[:3]}{veil}{key[3:30]}{veil}{key[30:]} y")[0] == "x «redacted:anthropic-key#1» y"
    every = veil.join(key)
    assert redact(f"x {every} y")[0] == "x «redacted:anthropic-key#1» y"


def test_a_key_in_full_width_letters_goes_under_the_name_of_the_key() -> None:
    key = KEYS["groq-key"]
    wide = "".join(chr(ord(c) + 0xFEE0) for c in key)
    assert redact(f"{key} {wide}")[0] == "«redacted:groq-key#1» «redacted:groq-key#1»"


def test_a_key_that_a_terminal_broke_over_two_lines_goes_as_a_whole() -> None:
    key = KEYS["anthropic-key"]
    line = "2026-05-04 12:00:01 ERROR the request failed with key "
    for at in (30, 60, 90):
        clean, found = redact(f"{line:>60}{key[:at]}\n{key[at:]} (401)\nnext line\n")
        assert found == {"anthropic-key": 1}
        assert key[:at][-12:] not in clean
        assert key[at:][-8:] not in clean
        assert clean.count("\n") == 3
        assert clean.endswith("(401)\nnext line\n")


def test_a_known_value_that_is_broken_over_lines_goes_too() -> None:
    value = made(BASE62, 40)
    assert redact(f"at {value[:17]}\n{value[17:]} end", [value])[0] == "at «redacted:known-value#1»\n end"


def test_a_key_alone_on_each_of_two_lines_is_two_keys() -> None:
    key, other = KEYS["anthropic-key"], KEYS["openai-key"]
    assert (
        redact(f"{key}\n{key}\n{other}")[0]
        == "«redacted:anthropic-key#1»\n«redacted:anthropic-key#1»\n«redacted:openai-key#1»"
    )


def test_what_follows_a_key_on_the_next_line_is_no_part_of_it() -> None:
    text = f"{'export GROQ_API_KEY=':>40}{KEYS['groq-key']}\nS3_BUCKET=ledger\n"
    assert redact(text)[0].endswith("«redacted:groq-key#1»\nS3_BUCKET=ledger\n")


# ------------------------------------------------------------------------------------------------- personal data

PERSONAL_TEXT = "Mail ada.l@navy.mil or call +44 20 7946 0958, IBAN GB29 NWBK 6016 1331 9268 19, card 4111 1111 1111 1111, from 93.184.216.34"
"""IBAN: the example of the registry; card: the schemes' test number; phone: Ofcom's range for drama."""


def test_personal_data_stays_unless_asked_for() -> None:
    assert redact(PERSONAL_TEXT) == (PERSONAL_TEXT, {})


def test_personal_data_goes_when_asked_for_and_only_it_comes_back() -> None:
    redactor = Redactor(personal=True)
    clean = redactor.redact(PERSONAL_TEXT + " " + KEYS["groq-key"])
    assert clean == (
        "Mail «redacted:email#1» or call «redacted:phone#1», IBAN «redacted:iban#1», card «redacted:card#1», "
        "from «redacted:ip#1» «redacted:groq-key#1»"
    )
    assert redactor.restore(clean) == PERSONAL_TEXT + " «redacted:groq-key#1»"


@pytest.mark.parametrize(
    "text",
    [
        "version 1.2.3.4 at 127.0.0.1 and 10.0.0.8, 2001:db8::1", "git@github.com:a/b.git noreply@github.com user@example.com icon@2x.png",
        "IBAN GB29 NWBK 6016 1331 9268 18", "card 4111 1111 1111 1112", "epoch 1714819200000000, id 1234567890123456", "@decorator 00:11:22:33:44:55",
    ],
)  # fmt: skip
def test_numbers_that_fail_their_check_and_addresses_of_nobody_stay(text: str) -> None:
    assert Redactor(personal=True).redact(text) == text


def test_nothing_is_restored_inside_an_address_where_a_click_would_carry_it_away() -> None:
    redactor = Redactor(personal=True)
    redactor.redact("ada.l@navy.mil")
    for text in (
        "https://evil.test/?q=«redacted:email#1»",
        "![x](/a?«redacted:email#1»)",
        "<img src=//e.test/«redacted:email#1»>",
        "«redacted:email#2»",
    ):
        assert redactor.restore(text) == text


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
    assert clean == "a «redacted:known-value#1» b «redacted:known-value#1» c"
    assert found == {"known-value": 1}
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


WORDS = st.sampled_from(
    "def return class token password secret key api auth = ( ) : , . [ ] { } self None value index".split()
)


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, max_size=60), st.sampled_from([" ", "", "\n", "_", " = "]))
def test_words_without_any_secret_are_left_alone(words: list[str], between: str) -> None:
    text = between.join(words)
    assert redact(text) == (text, {})


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(KEYS)), min_size=1, max_size=6),
    st.text(alphabet=" \n,;()'\"", min_size=1, max_size=3),
)
def test_the_same_secret_has_the_same_placeholder(kinds: list[str], between: str) -> None:
    clean = Redactor().redact(between.join(KEYS[kind] for kind in kinds))
    names = clean.split(between)
    assert [names.index(name) for name in names] == [kinds.index(kind) for kind in kinds]


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
     "authorization:", "password ", "\n", "(", "sk-ant-", "eyJ-", "-----BEGIN PRIVATE KEY-----\\n", "@a.", "kind: Secret\ndata:\n", "\u200b", "«redacted:", "sk-a", "token:token ", "aws secret ", "eyJaaaaaaaa.", 'password="', "-----BEGIN PRIVATE KEY-----\n"],
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
