"""Microsoft Entra ID: a token for Azure in place of its key, by the client credentials flow.

Reference: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow. Who asks is said by
AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, as in Azure's own SDKs; AZURE_AUTHORITY_HOST names another
cloud than the public one.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from orchestra_mcp.errors import Refused
from orchestra_mcp.gateway.signing.tokens import Token, TokenKeeper, post_for_token
from orchestra_mcp.gateway.transports.transport import Transport
from orchestra_mcp.settings import Keys, ModelSpec

AUTHORITY = "https://login.microsoftonline.com"
SCOPE = "https://cognitiveservices.azure.com/.default"
"""What a token for Azure OpenAI is asked for; `options.scope` of the model says otherwise."""
NAMES = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")


class EntraSigner:
    """See `Signer`. One token serves all requests until shortly before it ends."""

    def __init__(self, spec: ModelSpec, keys: Keys, transport: Transport) -> None:
        self._keys = keys
        self._transport = transport
        self._scope = spec.options.get("scope", SCOPE)
        self._keeper = TokenKeeper(self._fetch)

    async def headers(self, method: str, url: str, headers: Mapping[str, str], content: bytes) -> dict[str, str]:  # noqa: ARG002
        """The token in an `authorization` header. Raises as `Signer.headers`."""
        return {"authorization": f"Bearer {await self._keeper.get()}"}

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secret of the client, and the token."""
        secret = self._keys.get("AZURE_CLIENT_SECRET").strip()
        return (*((secret,) if secret else ()), *self._keeper.secrets)

    async def _fetch(self) -> Token:
        tenant, client, secret = (self._keys.get(name).strip() for name in NAMES)
        if missing := [name for name in NAMES if not self._keys.get(name).strip()]:
            raise Refused(f"Azure needs {', '.join(missing)} in the environment for a token of Entra ID.", "auth")
        authority = self._keys.get("AZURE_AUTHORITY_HOST").strip().rstrip("/") or AUTHORITY
        if "://" not in authority:
            authority = f"https://{authority}"
        return await post_for_token(
            self._transport,
            f"{authority}/{quote(tenant, safe='')}/oauth2/v2.0/token",
            {
                "client_id": client,
                "scope": self._scope,
                "client_secret": secret,
                "grant_type": "client_credentials",
            },
            issuer="Entra ID",
            advice="check AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
            secrets=(secret,),
        )


def entra(spec: ModelSpec, _key: str, keys: Keys, transport: Transport) -> EntraSigner:
    """See `SignerMaker`."""
    return EntraSigner(spec, keys, transport)
