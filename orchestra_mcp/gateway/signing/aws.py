"""Amazon Web Services: a bearer key for Bedrock, or Signature Version 4.

Reference: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. Keys are those of
AWS's own tools: AWS_BEARER_TOKEN_BEDROCK, else AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, else
whatever botocore finds (profiles, single sign-on, roles of machines), when it is installed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from importlib import import_module
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

from orchestra_mcp.errors import ProviderError, Refused, Unavailable
from orchestra_mcp.gateway.transports.transport import Transport
from orchestra_mcp.settings import Keys, ModelSpec

SERVICE = "bedrock"
ALGORITHM = "AWS4-HMAC-SHA256"
LOOKUP_S = 20.0
INSTALL = 'pip install "orchestra-council[bedrock]"'
_REGION_IN_HOST = re.compile(r"^[a-z0-9-]+\.([a-z]{2}(?:-[a-z0-9]+)+-\d)\.amazonaws\.com")


class AwsKeys(NamedTuple):
    """What signs a request."""

    access: str
    secret: str
    session: str = ""

    def __repr__(self) -> str:
        return "AwsKeys(…)"


class AwsSigner:
    """See `Signer`.

    Args:
        bearer: a key for Bedrock; when it is empty, requests are signed.
        clock: the time, for tests.
    """

    def __init__(
        self, spec: ModelSpec, bearer: str, keys: Keys, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._bearer = bearer
        self._keys = keys
        self._clock = clock
        self._region = spec.options.get("region", "")
        self._profile = spec.options.get("profile", "")
        self._service = spec.options.get("service", SERVICE)
        self._found: Any = None
        self._last = AwsKeys("", "")

    async def headers(self, method: str, url: str, headers: Mapping[str, str], content: bytes) -> dict[str, str]:
        """The bearer key, or date and signature. Raises as `Signer.headers`."""
        if self._bearer:
            return {"authorization": f"Bearer {self._bearer}"}
        self._last = keys = self._named() or await self._looked_up()
        signed = {"content-type": headers["content-type"]} if "content-type" in headers else {}
        return signature(method, url, signed, content, keys, self._region_of(url), self._service, self._clock())

    @property
    def secrets(self) -> tuple[str, ...]:
        """All keys that are in use."""
        named = self._named() or self._last
        return tuple(value for value in (self._bearer, named.secret, named.session) if value)

    def _named(self) -> AwsKeys | None:
        """The keys in our own environment; a model that names a profile wants that instead."""
        access, secret = (self._keys.get(n).strip() for n in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
        if self._profile or not (access and secret):
            return None
        return AwsKeys(access, secret, self._keys.get("AWS_SESSION_TOKEN").strip())

    async def _looked_up(self) -> AwsKeys:
        """What botocore finds, in a thread: it reads files and may ask the network. It renews what ends."""
        import anyio
        from anyio import to_thread

        try:
            with anyio.fail_after(LOOKUP_S):
                return await to_thread.run_sync(self._look_up, abandon_on_cancel=True)
        except TimeoutError:
            raise Unavailable("AWS credentials could not be found in time.", "timeout") from None

    def _look_up(self) -> AwsKeys:
        try:
            sessions = import_module("botocore.session")
            failed = import_module("botocore.exceptions").BotoCoreError
        except ImportError:
            raise Refused(
                "Bedrock needs AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; "
                f"for profiles and roles: {INSTALL}",
                "auth",
            ) from None
        try:
            if self._found is None:
                profile = self._profile or self._keys.get("AWS_PROFILE").strip() or None
                self._found = sessions.Session(profile=profile).get_credentials()
            frozen = self._found.get_frozen_credentials() if self._found is not None else None
        except failed as error:
            raise _lookup_failed(error) from None
        if frozen is None or not frozen.access_key:
            raise Refused(
                "No AWS credentials were found; set AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or a profile.",
                "auth",
            )
        return AwsKeys(frozen.access_key, frozen.secret_key, frozen.token or "")

    def _region_of(self, url: str) -> str:
        if self._region:
            return self._region
        if found := _REGION_IN_HOST.match((urlsplit(url).hostname or "").lower()):
            return found[1]
        return self._keys.get("AWS_REGION").strip() or self._keys.get("AWS_DEFAULT_REGION").strip() or "us-east-1"


def _lookup_failed(error: Exception) -> ProviderError:
    # Only the kind of error is told: its text can hold paths and names of accounts.
    return Refused(f"AWS credentials cannot be used ({type(error).__name__}); check the profile.", "auth")


def signature(
    method: str,
    url: str,
    headers: Mapping[str, str],
    content: bytes,
    keys: AwsKeys,
    region: str,
    service: str,
    now: datetime,
) -> dict[str, str]:
    """The headers that sign a request by Signature Version 4: `authorization`, `x-amz-date`, `x-amz-security-token`.

    Args:
        headers: those to be signed beside `host` and the ones made here; their names in lower case.
        now: in UTC.
    """
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    made = {"x-amz-date": stamp, **({"x-amz-security-token": keys.session} if keys.session else {})}
    parts = urlsplit(url)
    signed = {**headers, "host": _host(url), **made}
    names = ";".join(sorted(signed))
    request = "\n".join(
        (
            method.upper(),
            quote(parts.path or "/", safe="/~"),  # once more: all services but S3 sign the path encoded twice
            _query(parts.query),
            *(f"{name}:{' '.join(signed[name].split())}" for name in sorted(signed)),
            "",
            names,
            sha256(content).hexdigest(),
        )
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = "\n".join((ALGORITHM, stamp, scope, sha256(request.encode()).hexdigest()))
    key = f"AWS4{keys.secret}".encode()
    for part in (stamp[:8], region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    proof = hmac.digest(key, text.encode(), "sha256").hex()
    made["authorization"] = f"{ALGORITHM} Credential={keys.access}/{scope}, SignedHeaders={names}, Signature={proof}"
    return made


def _host(url: str) -> str:
    """The `host` header that goes out with a request: without a port that is the scheme's own."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else (parts.hostname or "")
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"


def _query(query: str) -> str:
    pairs = [(quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in parse_qsl(query, keep_blank_values=True)]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def aws(spec: ModelSpec, key: str, keys: Keys, _transport: Transport) -> AwsSigner:
    """See `SignerMaker`. A key counts as a bearer key unless its variable is the one of an access key's id."""
    named = key if spec.key_env != "AWS_ACCESS_KEY_ID" else ""
    bearer = named or (keys.get("AWS_BEARER_TOKEN_BEDROCK").strip() if not spec.key_env else "")
    return AwsSigner(spec, bearer, keys)
