"""What a vendor says that it has: its list of models. Free of charge everywhere."""

from __future__ import annotations

from typing import Any, NamedTuple

from orchestra_mcp.errors import Unavailable
from orchestra_mcp.gateway.dialects.failures import parse
from orchestra_mcp.gateway.transports.transport import Transport, TransportError, fetch
from orchestra_mcp.gateway.vendors.plugins import dialect_of, signer_of
from orchestra_mcp.settings import Keys, ModelSpec

LIST_S = 8.0
MAX_LIST_BYTES = 4_000_000


class Listing(NamedTuple):
    """The reply: its HTTP status, and the ids in it (none when it is of another shape)."""

    status: int
    ids: tuple[str, ...]


async def list_models(spec: ModelSpec, keys: Keys, transport: Transport, seconds: float = LIST_S) -> Listing:
    """Ask the vendor of a model for all of its models.

    Raises:
        Unavailable: no answer; the message says why.
        Refused: a token for it could not be had.
        SettingsError: the wire or auth of the model is not known.
    """
    dialect = dialect_of(spec.wire)
    if dialect.list_url is None:
        return Listing(200, ())
    url = dialect.list_url(spec)
    shown = await signer_of(spec.auth or dialect.auth)(spec, keys.get(spec.key_env).strip(), keys, transport).headers(
        "GET", url, {}, b""
    )
    own = {n.lower(): keys.get(v[1:]) if v.startswith("$") else v for n, v in spec.headers.items()}
    headers = {"accept": "application/json", **dialect.headers, **shown, **own}
    try:
        status, data = await fetch(transport, url, headers, seconds=seconds, most=MAX_LIST_BYTES)
    except TransportError as error:
        raise Unavailable(f"{spec.host} does not answer ({error.kind})", "network") from None
    return Listing(status, ids_in(parse(data.decode("utf-8", "replace"))))


def ids_in(body: Any) -> tuple[str, ...]:
    """Model ids in any dialect's list: `data[].id`, or `models[].name` with or without a `models/` prefix."""
    rows = (body.get("data") or body.get("models")) if isinstance(body, dict) else None
    if not isinstance(rows, list):
        return ()
    named = (row.get("id") or row.get("name") for row in rows if isinstance(row, dict))
    return tuple(name.removeprefix("models/") for name in named if isinstance(name, str))
