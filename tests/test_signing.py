"""How clouds are shown who asks: real token servers on loopback, and botocore and google-auth as independent checks."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import Answer, loopback
from upstream import Request

from orchestra_mcp.errors import ProviderError, Refused, Unavailable
from orchestra_mcp.gateway import open_http
from orchestra_mcp.gateway.dialects import anthropic
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.provider import ChatRequest, Message, fold
from orchestra_mcp.gateway.signing import SIGNERS, Signer, signer
from orchestra_mcp.gateway.signing.aws import AwsKeys, AwsSigner, signature
from orchestra_mcp.gateway.signing.google import GoogleSigner
from orchestra_mcp.gateway.signing.tokens import Token, TokenKeeper
from orchestra_mcp.gateway.wire import HttpWire
from orchestra_mcp.settings import Keys, Limits, ModelSpec
from orchestra_mcp.types import Usage

# The credentials of AWS's documentation and its Signature Version 4 test suite
ACCESS, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
THEN = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
BEDROCK = ModelSpec(model="anthropic.claude-fable-5-2-v1:0", wire="bedrock")
URL = "https://bedrock-runtime.us-west-2.amazonaws.com/model/anthropic.claude-fable-5-2-v1%3A0/converse"


async def shown(by: Signer, url: str = URL) -> dict[str, str]:
    return await by.headers("POST", url, {"content-type": "application/json"}, b"{}")


# --------------------------------------------------------------------------------------------- one for all keys


async def test_a_token_is_fetched_once_for_all_that_wait_and_again_in_good_time() -> None:
    now = 1000.0
    fetched = 0
    gate = anyio.Event()

    async def fetch() -> Token:
        nonlocal fetched
        fetched += 1
        await gate.wait()
        return Token(f"token-{fetched}", 3600)

    keeper = TokenKeeper(fetch, clock=lambda: now)
    got: list[str] = []

    async def get() -> None:
        got.append(await keeper.get())

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(get)
        await anyio.wait_all_tasks_blocked()
        gate.set()
    assert got == ["token-1"] * 20
    now += 3600 - 301
    assert await keeper.get() == "token-1"
    now += 2  # less than five minutes are left
    assert await keeper.get() == "token-2"
    assert keeper.secrets == ("token-2",)


async def test_a_cancelled_fetch_leaves_the_next_one_to_another() -> None:
    started: list[anyio.Event] = [anyio.Event(), anyio.Event()]
    calls = 0

    async def fetch() -> Token:
        nonlocal calls
        calls += 1
        started[calls - 1].set()
        if calls == 1:
            await anyio.sleep_forever()
        return Token("second", 60)

    keeper = TokenKeeper(fetch)
    got: list[str] = []

    async def first(scope: anyio.CancelScope) -> None:
        with scope:
            await keeper.get()

    async def second() -> None:
        got.append(await keeper.get())

    async with anyio.create_task_group() as tasks:
        scope = anyio.CancelScope()
        tasks.start_soon(first, scope)
        await started[0].wait()
        tasks.start_soon(second)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
    assert got == ["second"]


async def test_a_token_that_still_holds_bridges_an_outage_of_its_issuer() -> None:
    now, up = 0.0, True

    async def fetch() -> Token:
        if not up:
            raise Unavailable("down")
        return Token("first", 1000)

    keeper = TokenKeeper(fetch, clock=lambda: now)
    assert await keeper.get() == "first"
    now, up = 900.0, False  # within the last fifth of its life
    assert await keeper.get() == "first"
    now = 1001.0
    with pytest.raises(Unavailable):
        await keeper.get()


# --------------------------------------------------------------------------------------------------------- AWS


def test_the_signature_of_the_published_test_suite_is_made() -> None:
    # aws-sig-v4-test-suite, case "get-vanilla"
    made = signature(
        "GET", "https://example.amazonaws.com/", {}, b"", AwsKeys(ACCESS, SECRET), "us-east-1", "service", THEN
    )
    assert made == {
        "x-amz-date": "20150830T123600Z",
        "authorization": (
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
            "SignedHeaders=host;x-amz-date, "
            "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        ),
    }


# A segment that is dots alone would be a step in the path, which signers take out; no model is called so.
MODELS = st.text("abcdefghijklmnopqrstuvwxyz0123456789.-:/ %é", min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..")
)


@settings(deadline=None, max_examples=60)
@given(
    model=MODELS,
    content=st.binary(max_size=50),
    token=st.sampled_from(["", "IQoJb3JpZ2luX2VjEXAMPLETOKEN=="]),
    query=st.sampled_from(["", "?b=2&a=1&c="]),
    port=st.sampled_from(["", ":443", ":8443"]),
)
def test_botocore_makes_the_same_signature(model: str, content: bytes, token: str, query: str, port: str) -> None:
    auth = pytest.importorskip("botocore.auth")
    credentials = pytest.importorskip("botocore.credentials").Credentials(ACCESS, SECRET, token or None)
    requests = pytest.importorskip("botocore.awsrequest")
    quoted = quote(model, safe="")
    url = f"https://bedrock-runtime.us-east-1.amazonaws.com{port}/model/{quoted}/converse{query}"
    made = signature(
        "POST",
        url,
        {"content-type": "application/json"},
        content,
        AwsKeys(ACCESS, SECRET, token),
        "us-east-1",
        "bedrock",
        THEN,
    )
    theirs = auth.SigV4Auth(credentials, "bedrock", "us-east-1")
    headers = {"Content-Type": "application/json", "X-Amz-Date": made["x-amz-date"]}
    if token:
        headers["X-Amz-Security-Token"] = token
    request = requests.AWSRequest("POST", url, headers=headers, data=content)
    request.context["timestamp"] = made["x-amz-date"]
    canonical = theirs.canonical_request(request)
    expected = theirs.signature(theirs.string_to_sign(request, canonical), request)
    assert made["authorization"].endswith(f"Signature={expected}")
    assert made.get("x-amz-security-token", "") == token


@pytest.mark.parametrize(
    ("options", "environ", "url", "region"),
    [
        ({"region": "eu-west-1"}, {"AWS_REGION": "us-east-2"}, URL, "eu-west-1"),
        ({}, {"AWS_REGION": "us-east-2"}, URL, "us-west-2"),
        ({}, {"AWS_REGION": "us-east-2"}, "https://proxy.example.org/model/x/converse", "us-east-2"),
        ({}, {}, "https://bedrock-runtime.us-gov-west-1.amazonaws.com/x", "us-gov-west-1"),
        ({}, {}, "http://127.0.0.1:9/x", "us-east-1"),
    ],
)
async def test_the_region_is_that_of_the_options_else_of_the_address_else_of_the_environment(
    options: dict[str, str], environ: dict[str, str], url: str, region: str
) -> None:
    keys = Keys({"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, **environ})
    made = AwsSigner(BEDROCK.model_copy(update={"options": options}), "", keys, lambda: THEN)
    assert f"/20150830/{region}/bedrock/aws4_request" in (await shown(made, url))["authorization"]


async def test_a_bearer_key_goes_before_access_keys_and_an_access_keys_id_is_no_bearer_key() -> None:
    environ = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}
    async with open_http({}) as http:
        make = signer("aws")
        both = make(BEDROCK, "", Keys({**environ, "AWS_BEARER_TOKEN_BEDROCK": "ABSKQmVkcm9jaw"}), http)
        assert await shown(both) == {"authorization": "Bearer ABSKQmVkcm9jaw"}
        assert both.secrets[0] == "ABSKQmVkcm9jaw"
        named = BEDROCK.model_copy(update={"key_env": "AWS_ACCESS_KEY_ID"})
        signed = make(named, ACCESS, Keys(environ), http)
        assert (await shown(signed))["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
        assert SECRET in signed.secrets
        assert SECRET not in repr(AwsKeys(ACCESS, SECRET))


async def test_a_profile_is_read_by_botocore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("botocore")
    file = tmp_path / "credentials"
    file.write_text(f"[work]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    profiled = AwsSigner(BEDROCK.model_copy(update={"options": {"profile": "work"}}), "", Keys({}))
    assert "Credential=AKIDPROFILE/" in (await shown(profiled))["authorization"]
    assert SECRET in profiled.secrets
    for options in ({"profile": "other"}, {}):
        with pytest.raises(Refused) as caught:
            await shown(AwsSigner(BEDROCK.model_copy(update={"options": options}), "", Keys({})))
        assert caught.value.kind == "auth"
        assert str(tmp_path) not in str(caught.value)


async def test_without_keys_and_botocore_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("botocore", "botocore.session", "botocore.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)  # what the import system makes of a missing package
    with pytest.raises(Refused, match=r"AWS_BEARER_TOKEN_BEDROCK.*orchestra-council\[bedrock\]"):
        await shown(AwsSigner(BEDROCK, "", Keys({})))


# ------------------------------------------------------------------------------------------------------- Entra

# https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow: success and error responses
ENTRA_GIVES = {
    "token_type": "Bearer",
    "expires_in": 3599,
    "access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiIsIng1dCI6",
}
ENTRA_REFUSES = {
    "error": "invalid_client",
    "error_description": "AADSTS7000215: Invalid client secret provided. Given: qWgdYAmab0YSkuL1qKv5bPX.",
    "error_codes": [7000215],
}
AZURE = {
    "AZURE_TENANT_ID": "contoso.onmicrosoft.com",
    "AZURE_CLIENT_ID": "00001111-aaaa-2222-bbbb-3333cccc4444",
    "AZURE_CLIENT_SECRET": "qWgdYAmab0YSkuL1qKv5bPX",
}
AZURE_MODEL = ModelSpec(model="gpt-6", base_url="https://r.openai.azure.com/openai/v1", auth="entra")


def json_answer(status: int, body: Any) -> Answer:
    return status, {"content-type": "application/json"}, json.dumps(body).encode()


async def test_entra_is_asked_with_the_documented_form_and_only_once() -> None:
    async with loopback(lambda _r: json_answer(200, ENTRA_GIVES)) as server, open_http({}) as http:
        made = signer("entra")(AZURE_MODEL, "", Keys({**AZURE, "AZURE_AUTHORITY_HOST": server.url}), http)
        headers = [await shown(made), await shown(made)]
    assert headers == [{"authorization": f"Bearer {ENTRA_GIVES['access_token']}"}] * 2
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/contoso.onmicrosoft.com/oauth2/v2.0/token")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(request.raw.decode()) == {
        "client_id": [AZURE["AZURE_CLIENT_ID"]],
        "scope": ["https://cognitiveservices.azure.com/.default"],
        "client_secret": [AZURE["AZURE_CLIENT_SECRET"]],
        "grant_type": ["client_credentials"],
    }
    assert set(made.secrets) == {AZURE["AZURE_CLIENT_SECRET"], ENTRA_GIVES["access_token"]}


async def failure(make: Any, answer: Answer) -> ProviderError:
    async with loopback(lambda _r: answer) as server, open_http({}) as http:
        with pytest.raises(ProviderError) as caught:
            await shown(make(server.url, http))
    return caught.value


def at_entra(url: str, http: Any) -> Signer:
    return signer("entra")(AZURE_MODEL, "", Keys({**AZURE, "AZURE_AUTHORITY_HOST": url}), http)


async def test_a_refused_secret_is_told_without_the_secret() -> None:
    error = await failure(at_entra, json_answer(401, ENTRA_REFUSES))
    assert isinstance(error, Refused)
    assert error.kind == "auth"
    assert "AZURE_CLIENT_SECRET" in str(error)
    assert "Invalid client secret" in str(error)
    assert AZURE["AZURE_CLIENT_SECRET"] not in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        json_answer(503, {"error": "temporarily_unavailable"}),
        (200, {"content-type": "text/html"}, b"<html>captive portal</html>"),
        json_answer(200, {"access_token": 7}),
        json_answer(200, {"access_token": "a\nb"}),
        json_answer(200, ["[" * 50]),
        (200, {}, b"x" * 200_000),
        (302, {"location": "https://evil.example/"}, b""),
    ],
)
async def test_an_issuer_that_answers_nonsense_is_unavailable(answer: Answer) -> None:
    assert isinstance(await failure(at_entra, answer), Unavailable)


async def test_an_issuer_that_cannot_be_reached_is_unavailable_and_missing_settings_are_named() -> None:
    async with open_http({}) as http:
        with pytest.raises(Unavailable, match="Entra ID"):
            await shown(at_entra("http://127.0.0.1:9", http))
        with pytest.raises(Refused, match="AZURE_CLIENT_ID, AZURE_CLIENT_SECRET"):
            await shown(signer("entra")(AZURE_MODEL, "", Keys({"AZURE_TENANT_ID": "t"}), http))


# ------------------------------------------------------------------------------------------------------ Google

# https://developers.google.com/identity/protocols/oauth2/service-account, "Handling the response"
GOOGLE_GIVES = {
    "access_token": "1/8xbJqaOZXSUZbHLl5EOtu1pxz3fmmetKx9W8CV4t79M",
    "scope": "https://www.googleapis.com/auth/cloud-platform",
    "token_type": "Bearer",
    "expires_in": 3600,
}
VERTEX = ModelSpec(
    model="gemini-3.8-flash", wire="gemini", auth="google", options={"project": "p", "location": "global"}
)


@pytest.fixture(scope="module")
def account() -> dict[str, str]:
    """A service account with a key made for this test."""
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    forms = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    pytest.importorskip("google.auth")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    public = key.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    return {
        "type": "service_account",
        "client_email": "orchestra@p.iam.gserviceaccount.com",
        "private_key_id": "0123456789abcdef",
        "private_key": pem.decode(),
        "public": public.decode(),
    }


def google_keys(tmp_path: Path, info: Mapping[str, str]) -> Keys:
    file = tmp_path / "account.json"
    file.write_text(json.dumps(dict(info)))
    return Keys({"GOOGLE_APPLICATION_CREDENTIALS": str(file)})


async def test_a_service_account_proves_itself_as_documented(account: dict[str, str], tmp_path: Path) -> None:
    async with loopback(lambda _r: json_answer(200, GOOGLE_GIVES)) as server, open_http({}) as http:
        info = {k: v for k, v in account.items() if k != "public"} | {"token_uri": f"{server.url}/token"}
        made = signer("google")(VERTEX, "", google_keys(tmp_path, info), http)
        headers: list[dict[str, str]] = []

        async def get() -> None:
            headers.append(await shown(made))

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(get)
    assert headers == [{"authorization": f"Bearer {GOOGLE_GIVES['access_token']}"}] * 10
    (request,) = server.requests
    form = parse_qs(request.raw.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    # Another library checks the proof: signature, audience, times.
    jwt = pytest.importorskip("jwt")
    claims = jwt.decode(form["assertion"][0], account["public"], algorithms=["RS256"], audience=f"{server.url}/token")
    assert claims["iss"] == "orchestra@p.iam.gserviceaccount.com"
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    assert claims["exp"] - claims["iat"] == 3600
    head = json.loads(base64.urlsafe_b64decode(form["assertion"][0].split(".")[0] + "=="))
    assert head["kid"] == "0123456789abcdef"
    assert made.secrets == (GOOGLE_GIVES["access_token"],)


async def test_a_user_of_gcloud_refreshes_a_token_and_the_quota_project_is_named(tmp_path: Path) -> None:
    async with loopback(lambda _r: json_answer(200, GOOGLE_GIVES)) as server, open_http({}) as http:
        info = {
            "type": "authorized_user",
            "client_id": "764086051850.apps.googleusercontent.com",
            "client_secret": "d-FL95Q19q7MQmFpd7hHD0Ty",
            "refresh_token": "1//0refresh",
            "token_uri": f"{server.url}/token",
        }
        spec = VERTEX.model_copy(update={"options": {**VERTEX.options, "quota_project": "bills"}})
        made = signer("google")(spec, "", google_keys(tmp_path, info), http)
        assert await shown(made) == {
            "authorization": f"Bearer {GOOGLE_GIVES['access_token']}",
            "x-goog-user-project": "bills",
        }
    form = parse_qs(server.requests[0].raw.decode())
    assert (form["grant_type"], form["refresh_token"]) == (["refresh_token"], ["1//0refresh"])
    assert "1//0refresh" in made.secrets


async def test_credentials_may_be_given_as_text_and_refusals_name_their_variable(account: dict[str, str]) -> None:
    refused = json_answer(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
    async with loopback(lambda _r: refused) as server, open_http({}) as http:
        text = json.dumps({**account, "token_uri": server.url})
        spec = VERTEX.model_copy(update={"key_env": "VERTEX_JSON"})
        with pytest.raises(Refused, match=r"VERTEX_JSON: Invalid JWT Signature"):
            await shown(signer("google")(spec, text, Keys({}), http))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "names no credentials"),
        ("{broken", "names no credentials"),
        ('{"type": "service_account"}', "client_email and private_key"),
        ("/nowhere/at-all.json", "cannot be read"),
    ],
)
async def test_broken_credentials_are_told_without_paths(text: str, words: str) -> None:
    async with open_http({}) as http:
        with pytest.raises(Refused, match=words) as caught:
            await shown(GoogleSigner(VERTEX, text, Keys({}), http))
    assert "/nowhere" not in str(caught.value)


async def test_other_kinds_of_credentials_are_left_to_google_auth(tmp_path: Path) -> None:
    pytest.importorskip("google.auth.transport.requests")
    subject = tmp_path / "subject"
    subject.write_text("a-token-of-the-other-side")
    sts = {"access_token": "federated", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
           "token_type": "Bearer", "expires_in": 3600}  # fmt: skip

    def answer(_request: Request) -> Answer:
        return json_answer(200, sts)

    async with loopback(answer) as server, open_http({}) as http:
        info = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{server.url}/v1/token",
            "credential_source": {"file": str(subject)},
        }
        made = GoogleSigner(VERTEX, json.dumps(info), Keys({}), http)
        assert await shown(made) == {"authorization": "Bearer federated"}
    assert len(server.requests) == 1


async def test_claude_answers_at_vertex_with_a_fetched_token(account: dict[str, str], tmp_path: Path) -> None:
    message = {"type": "message", "model": "claude-opus-5-5", "content": [{"type": "text", "text": "Bonjour"}],
               "stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 2}}  # fmt: skip

    def answer(request: Request) -> Answer:
        return json_answer(200, GOOGLE_GIVES if request.path == "/token" else message)

    async with loopback(answer) as server, open_http({}) as http:
        keys = google_keys(tmp_path, account | {"token_uri": f"{server.url}/token"})
        options = {"project": "p", "location": "us-east5"}
        spec = ModelSpec(model="claude-opus-5-5", wire="anthropic", base_url=server.url, options=options)
        wire = HttpWire(
            anthropic.DIALECT,
            spec,
            Quirks(),
            keys,
            Limits(first_token_s=10, idle_s=10),
            http,
            key_env="",
            signer=signer("google")(spec, "", keys, http),
            without=set(),
        )
        asked = ChatRequest(model="m", messages=(Message(role="user", text="Hi"),), stream=False)
        replies = [await fold(wire, asked), await fold(wire, asked)]
    assert [(reply.text, reply.usage) for reply in replies] == [("Bonjour", Usage(input_tokens=3, output_tokens=2))] * 2
    path = "/v1/projects/p/locations/us-east5/publishers/anthropic/models/claude-opus-5-5:rawPredict"
    assert [request.path for request in server.requests] == ["/token", path, path]
    assert server.requests[1].headers["authorization"] == f"Bearer {GOOGLE_GIVES['access_token']}"


@pytest.mark.parametrize("source", [{"executable": {"command": "/bin/true"}}, None])
async def test_credentials_that_run_a_program_are_refused(source: Any) -> None:
    info = {"type": "external_account", "credential_source": source}
    async with open_http({}) as http:
        with pytest.raises(Refused, match="external_account"):
            await shown(GoogleSigner(VERTEX, json.dumps(info), Keys({}), http))


async def test_without_any_credentials_the_message_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("google.auth.transport.requests")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    async with open_http({}) as http:
        with pytest.raises(Refused, match="gcloud auth application-default login"):
            await shown(GoogleSigner(VERTEX, "", Keys({}), http))
        for name in ("google.auth", "google.auth.exceptions", "google.auth.transport.requests"):
            monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(Refused, match=r"orchestra-council\[vertex\]"):
            await shown(GoogleSigner(VERTEX, "", Keys({}), http))


def test_every_cloud_has_its_signer() -> None:
    assert {"aws", "google", "entra"} <= set(SIGNERS)
