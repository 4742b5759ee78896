"""How a vendor is shown the key: most want one header; clouds want a token that has to be fetched, or a signature.

Add one here: a maker in a module of its own, and its name in `SIGNERS`. Makers are called once for each key of a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from orchestra_mcp.errors import SettingsError
from orchestra_mcp.gateway.signing.aws import aws
from orchestra_mcp.gateway.signing.entra import entra
from orchestra_mcp.gateway.signing.google import google
from orchestra_mcp.gateway.transports.transport import Transport
from orchestra_mcp.settings import Keys, ModelSpec


class Signer(Protocol):
    """Makes the headers that let a request in. May fetch and keep a token; called before each request."""

    async def headers(self, method: str, url: str, headers: Mapping[str, str], content: bytes) -> dict[str, str]:
        """Headers to add to the request.

        Raises:
            Refused: no key, or it cannot be used (`auth`).
            Unavailable: a token could not be fetched now.
        """
        ...

    @property
    def secrets(self) -> tuple[str, ...]:
        """All that must not show up in a message or a reply."""
        ...


SignerMaker = Callable[[ModelSpec, str, Keys, Transport], Signer]
"""From the model, the value of its key (may be empty), all keys, and the way to the network."""


class HeaderSigner:
    """One header with the key in it."""

    def __init__(self, name: str, prefix: str, key: str) -> None:
        self._headers = {name: prefix + key} if key else {}
        self.secrets = (key,) if key else ()

    async def headers(self, method: str, url: str, headers: Mapping[str, str], content: bytes) -> dict[str, str]:  # noqa: ARG002
        """That header."""
        return self._headers


def _header(name: str, prefix: str = "") -> SignerMaker:
    return lambda _spec, key, _keys, _transport: HeaderSigner(name, prefix, key)


SIGNERS: dict[str, SignerMaker] = {
    "bearer": _header("authorization", "Bearer "),
    "x-api-key": _header("x-api-key"),
    "x-goog-api-key": _header("x-goog-api-key"),
    "api-key": _header("api-key"),
    "none": _header("authorization"),
    "aws": aws,
    "google": google,
    "entra": entra,
    # add here
}


def signer(name: str) -> SignerMaker:
    """The maker of that name.

    Raises:
        SettingsError: there is none; the message names those that there are.
    """
    if name not in SIGNERS:
        raise SettingsError(f"auth = {name!r} is not known; known are: {', '.join(sorted(SIGNERS))}.")
    return SIGNERS[name]
