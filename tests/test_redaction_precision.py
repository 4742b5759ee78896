"""What must survive redaction: code, documentation, identifiers, digests, templates, and what only looks like a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

import orchestra_mcp
from orchestra_mcp.context.secrecy.redaction import Redactor, redact

CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBhTCCASugAwIBAgIQIRi6zePL6mKjOipn+dNuaTAKBggqhkjOPQQDAjASMRAw
DgYDVQQKEwdBY21lIENvMB4XDTE3MTAyMDE5NDMwNloXDTE4MTAyMDE5NDMwNlow
-----END CERTIFICATE-----
"""

SURVIVES = [
    # names and calls
    "token = tokens[index2]", "api_key = get_api_key(provider1)", "secret=settings.SECRET_KEY", "password=password1,",
    "def check(password: str, token2: Token2) -> None: ...", "const { accessToken2 } = useAuth2();", "auth, extractWWWAuthenticateParams,",
    "if (cid === AS1_CLIENT_ID) sawToken = true;", "clientSecret: oauthClient.client_secret!,", "hasSecret: !!bodyClientSecret2,",
    "PromptTokensDetails: &openai.PromptTokensDetails{", "default_credentials: &ProviderTypeDefaultCredentials,",
    'password_hash = make_password_hash("secret", "sha256")', 'key = "users/123/avatar-large.png"', "primary_key=True, max_length=128",
    "<input type=\"password\" name=\"password1\" id=\"id_password1\">", "csrfmiddlewaretoken: csrftoken2", '"@scope/passkey": "workspace:*",',
    "just pass `NODE_DEBUG=koa*` and see", "(b\":authority\", b\"example.com:443\"),", "self.session_key = self._get_new_session_key2()",
    "monkey = 'a1b2c3d4e5f6a7b8c9d0'", "keyboard: 'us-intl-2024-variant7'", "SELECT token_id, password_hash FROM user_tokens WHERE id = 42;",
    # dummies and templates
    'password="secret"', "password: changeme", 'PASSWORD = "changeme123"', 'api_key="xxxxxxxxxxxxxxxxxxxxxxxx"', "token: <your-token-here-12345>",
    "API_KEY=${API_KEY:-default}", 'api_key = os.environ["API_KEY_2"]', "export TOKEN=$(cat /run/secrets/token1)", "password: {{ vault_password2 }}",
    "AUTH_TOKEN=%AUTH_TOKEN%", 'password="test1234"', "https://user:pass@example.com/", "postgres://postgres:postgres@localhost/db",
    "http://username:password@host:8080", "amqp://guest:guest@localhost", "postgresql://${USER}:${PASSWORD}@db/app", 'Authorization: Basic dXNlcjpwYXNz',
    "Authorization: Bearer <token>", 'curl -H "Authorization: Bearer $TOKEN2"', "curl -u user:password https://x", "sk-...", "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "glpat-XXXXXXXXXXXXXXXXXXXX", "sk-ant-api03-your-key-here-abcdef", "AKIAXXXXXXXXXXXXXXXX", "xoxb-your-token-goes-here", 'secret = "smoke-test-password-1"',
    # what rules for keys look like
    r'Rule("github", re.compile(r"ghp_[A-Za-z0-9]{36}"))', r"regex = '''\b(sk_live_[0-9a-zA-Z]{24})'''", 'keywords = ["ghp_", "glpat-", "sk-ant-"]',
    "-----BEGIN RSA PRIVATE KEY-----", 'if "-----BEGIN PRIVATE KEY-----" in text:', "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7v8k2Zp1XqLm9 me@host", CERTIFICATE,
    # numbers, digests, ids
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", '"integrity": "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=="',
    "cache_key = '9f86d081884c7d659a2feaa0c55ad015'", 'ETag: "33a64df551425fcc55e4d42a148795d9f25f89d4"', "request_id=7b1c2a90-1f5e-4f0a-9f6e-2a3b4c5d6e7f",
    "Signature: 8a477f597d28d172789f06886806bc55", "'price_key': 'cache_audio_write_1h_mtok',", "spwd: 3.0-3.12",
    "https://example.org/images/2018-250-xoxo-party-1.jpg", "xoxb-my-bot-token", "trace_id: 4bf92f3577b34da6a3ce929d0e0e4736", "commit 3f786850e387550fdab836ed7e6dc881de23001b", 'hash = "sha256-4TSBHsg0Ew2rLTSNm0IoIVtJYl6wtCYa0bYZ7aVYwqk="',
    "SEC-WEBSOCKET-KEY: dGhlIHNhbXBsZSBub25jZQ==", "max_tokens=128000, timeout=30.5", "token_count: 1234567", "idempotency-key: 8e03978e-40d5-43e8-bc93-6894a57f9324",
    "src=\"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==\"",
    # other languages of the world and of the web
    '"password_reset": "Passwort zurücksetzen?"', 'msgid "Your password must contain at least 8 characters."', ".token-2xl { width: 24px; key-frames: spin2 }",
    "kind: ConfigMap\ndata:\n  mode: cHJvZHVjdGlvbg==\n", "kind: Secret\nmetadata:\n  name: app\ndata:\n  password: {{ .Values.password | b64enc }}\n",
]  # fmt: skip


@pytest.mark.parametrize("text", SURVIVES)
def test_what_is_no_secret_survives(text: str) -> None:
    assert redact(text) == (text, {})


def test_our_own_sources_survive_rules_included() -> None:
    package = Path(orchestra_mcp.__file__).parent
    changed = [str(path) for path in sorted(package.rglob("*.py")) if redact(path.read_text())[1]]
    assert changed == []


def test_the_standard_library_s_text_modules_survive() -> None:
    import json
    import tokenize

    for module in (json, tokenize):
        text = Path(str(module.__file__)).read_text()
        assert Redactor(personal=False).redact(text) == text
