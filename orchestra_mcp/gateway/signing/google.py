"""Google Cloud: an access token for Vertex AI from application default credentials.

Reference: https://google.aip.dev/auth/4110 (where credentials are looked for), 4112 (service accounts), 4113 (a user's).
The credentials are the file named by GOOGLE_APPLICATION_CREDENTIALS (or by the model's `key_env`, which may also hold
its text), else whatever google-auth finds. Tokens of service accounts and users are fetched over our own connections;
only for the other kinds google-auth uses its own, in a thread.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from orchestra_mcp.errors import ProviderError, Refused, Unavailable
from orchestra_mcp.gateway.signing.tokens import DEFAULT_LIFE_S, FETCH_S, MAX_BODY, Token, TokenKeeper, post_for_token
from orchestra_mcp.gateway.transports.transport import Transport
from orchestra_mcp.settings import Keys, ModelSpec
from orchestra_mcp.types import JsonObject

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URL = "https://oauth2.googleapis.com/token"
FILE_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
INSTALL = 'pip install "orchestra-council[vertex]"'
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_S = 3600
"""How long the proof that fetches a token holds; Google allows no more."""


class GoogleSigner:
    """See `Signer`. One token serves all requests until shortly before it ends."""

    def __init__(self, spec: ModelSpec, key: str, keys: Keys, transport: Transport) -> None:
        self._transport = transport
        self._given = key or keys.get(FILE_VARIABLE).strip()
        self._name = spec.key_env or FILE_VARIABLE
        self._quota = spec.options.get("quota_project", "")
        self._found: Any = None
        self._hidden: tuple[str, ...] = ()
        self._keeper = TokenKeeper(self._fetch)

    async def headers(self, method: str, url: str, headers: Mapping[str, str], content: bytes) -> dict[str, str]:  # noqa: ARG002
        """The token in an `authorization` header. Raises as `Signer.headers`."""
        shown = {"authorization": f"Bearer {await self._keeper.get()}"}
        return {**shown, "x-goog-user-project": self._quota} if self._quota else shown

    @property
    def secrets(self) -> tuple[str, ...]:
        """The token, and what fetches it."""
        return (*self._hidden, *self._keeper.secrets)

    async def _fetch(self) -> Token:
        info = await to_thread.run_sync(self._info)
        match info.get("type"):
            case "service_account":
                url = _text(info, "token_uri") or TOKEN_URL
                assertion = await to_thread.run_sync(_assertion, info, url)
                form = {"grant_type": JWT_BEARER, "assertion": assertion}
                self._hidden = ()  # the private key is never sent, so nobody can echo it
            case "authorized_user":
                url = _text(info, "token_uri") or TOKEN_URL
                self._hidden = tuple(filter(None, (_text(info, "refresh_token"), _text(info, "client_secret"))))
                form = {
                    "grant_type": "refresh_token",
                    "client_id": _text(info, "client_id"),
                    "client_secret": _text(info, "client_secret"),
                    "refresh_token": _text(info, "refresh_token"),
                }
            case _:
                return await self._by_library(info)
        advice = f"check the credentials in {self._name}"
        return await post_for_token(
            self._transport, url, form, issuer="Google", advice=advice, secrets=(*form.values(), *self._hidden)
        )

    def _info(self) -> JsonObject:
        """The credentials that are named; empty when none are."""
        text = self._given
        if not text:
            return {}
        if not text.lstrip().startswith("{"):
            try:
                with Path(text).expanduser().open("rb") as file:
                    text = file.read(MAX_BODY).decode("utf-8", "replace")
            except OSError as error:
                # The path is not told: it is outside the project.
                why = error.strerror or type(error).__name__
                raise Refused(f"The file named by {self._name} cannot be read ({why}).", "auth") from None
        try:
            info = json.loads(text)
        except (ValueError, RecursionError):
            info = None
        if not isinstance(info, dict) or not isinstance(info.get("type"), str):
            raise Refused(f"{self._name} names no credentials of Google Cloud: JSON with a `type`.", "auth")
        return info

    async def _by_library(self, info: JsonObject) -> Token:
        try:
            with anyio.fail_after(FETCH_S):
                return await to_thread.run_sync(self._library_token, info, abandon_on_cancel=True)
        except TimeoutError:
            raise Unavailable("No token from Google: it cannot be reached in time.", "timeout") from None

    def _library_token(self, info: JsonObject) -> Token:
        try:
            library = import_module("google.auth")
            errors = import_module("google.auth.exceptions")
            requests = import_module("google.auth.transport.requests")
        except ImportError:
            raise _missing() from None
        try:
            if self._found is None:
                self._found = _load(info) if info else library.default(scopes=[SCOPE])[0]
            self._found.refresh(requests.Request())
        except errors.DefaultCredentialsError:
            raise Refused(
                f"No credentials of Google Cloud were found; set {FILE_VARIABLE}, "
                "or run: gcloud auth application-default login",
                "auth",
            ) from None
        except errors.GoogleAuthError as error:
            raise _library_failed(error) from None
        except (ValueError, KeyError, TypeError):
            raise Refused(f"The credentials named by {self._name} are broken.", "auth") from None
        expiry = self._found.expiry  # in UTC, though it does not say so
        life = expiry.replace(tzinfo=UTC).timestamp() - time.time() if expiry else DEFAULT_LIFE_S
        return Token(str(self._found.token), max(1.0, life))


def _load(info: JsonObject) -> Any:
    """Credentials of a kind whose tokens google-auth has to fetch. Those that run a program are not among them."""
    kind, source = str(info["type"]), info.get("credential_source")
    if kind == "impersonated_service_account":
        made = import_module("google.auth.impersonated_credentials").Credentials
        return made.from_impersonated_service_account_info(info, scopes=[SCOPE])
    if kind == "external_account" and isinstance(source, dict) and "executable" not in source:
        module = "aws" if str(source.get("environment_id", "")).startswith("aws") else "identity_pool"
        return import_module(f"google.auth.{module}").Credentials.from_info(info, scopes=[SCOPE])
    raise Refused(f"Credentials of Google Cloud of the type {kind[:40]!r} cannot be used here.", "auth")


def _library_failed(error: Exception) -> ProviderError:
    # Only the kind of error is told: its text can hold paths and replies of the metadata server.
    if getattr(error, "retryable", False):
        return Unavailable(f"No token from Google ({type(error).__name__}).", "network")
    return Refused(f"Google Cloud's credentials cannot be used ({type(error).__name__}).", "auth")


def _missing() -> Refused:
    return Refused(f"Vertex AI needs google-auth for these credentials; run: {INSTALL}", "auth")


def _text(info: JsonObject, name: str) -> str:
    value = info.get(name)
    return value if isinstance(value, str) else ""


def _assertion(info: JsonObject, audience: str) -> str:
    """A service account's signed proof of who it is (RFC 7523 §2.1). Takes a millisecond or two; call it in a thread."""
    try:
        crypt, jwt = import_module("google.auth.crypt"), import_module("google.auth.jwt")
    except ImportError:
        raise _missing() from None
    now = int(time.time())
    try:
        signer = crypt.RSASigner.from_service_account_info(info)
        claims = {
            "iss": info["client_email"],
            "sub": info["client_email"],
            "aud": audience,
            "scope": SCOPE,
            "iat": now,
            "exp": now + ASSERTION_S,
        }
        made: bytes = jwt.encode(signer, claims)
    except (ValueError, TypeError, KeyError):
        raise Refused("The service account's file is broken: it needs client_email and private_key.", "auth") from None
    return made.decode("ascii")


def google(spec: ModelSpec, key: str, keys: Keys, transport: Transport) -> GoogleSigner:
    """See `SignerMaker`."""
    return GoogleSigner(spec, key, keys, transport)
