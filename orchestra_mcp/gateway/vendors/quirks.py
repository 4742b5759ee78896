"""What a model has of its own: its quirks and its abilities, by vendor, then by id, then by what the settings say."""

from __future__ import annotations

import re
from functools import cache
from typing import get_args
from urllib.parse import urlsplit

from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.vendors.catalog import (
    PLACEHOLDER,
    ProviderRow,
    ability_rows,
    model_rows,
    output_rows,
    parse_quirks,
    plain_id,
    providers,
)
from orchestra_mcp.gateway.vendors.plugins import row_of
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.settings.gateway import Ability
from orchestra_mcp.types import JsonObject

ALL: frozenset[Ability] = frozenset(get_args(Ability))
LACKS_OF_WIRES: dict[str, frozenset[Ability]] = {
    "responses": frozenset({"audio"}),
    "anthropic": frozenset({"audio"}),
    "cohere": frozenset({"audio", "documents"}),
    "bedrock": frozenset({"audio"}),
    "agent": ALL - {"json", "reasoning"},  # text in, text out
    # add here
}
"""What no model can take over these wires."""
_SAME = ("openai", "responses")
"""Wires of one vendor that share its quirks."""


def quirks_of(spec: ModelSpec) -> Quirks:
    """The quirks of one model: of its vendor's row, of the first row of `models.toml` that fits, of its own table.

    A model without `vendor` is known by the host of its address.

    Raises:
        SettingsError: its own table names an unknown quirk or gives it an impossible value.
    """
    row = _row(spec)
    fields: JsonObject = {}
    if row is not None and (spec.wire == row.wire or {spec.wire, row.wire} <= {*_SAME}):
        fields |= row.quirks
    id, vendor = plain_id(spec.model), row.id if row is not None else ""
    for model in model_rows():
        if (
            (not model.vendors or vendor in model.vendors)
            and (not model.wires or spec.wire in model.wires)
            and model.match.search(id)
        ):
            fields |= model.quirks
            break
    return parse_quirks({**fields, **spec.quirks}, spec.model)


def abilities_of(spec: ModelSpec) -> frozenset[Ability]:
    """What a model can take. Models that no row knows are taken to be able to do all that their wire can.

    Raises:
        SettingsError: as `quirks_of`.
    """
    if spec.abilities is not None:
        return frozenset(spec.abilities)
    can = ALL - LACKS_OF_WIRES.get(spec.wire, frozenset())
    if spec.wire == "agent":
        return can
    row = _row(spec)
    if row is not None and row.abilities is not None and spec.wire == row.wire:
        can &= frozenset(row.abilities)
    id = plain_id(spec.model)
    can -= next((each.lacks for each in ability_rows() if each.match.search(id)), frozenset())
    quirks = quirks_of(spec)
    if not quirks.images:
        can -= {"images"}
    if not quirks.schema_output:
        can -= {"schema"}
    return can


def most_output_of(spec: ModelSpec) -> int | None:
    """Tokens that a model says at most, thinking among them; None when no row knows. On this machine and for coding CLIs
    the server decides."""
    if spec.local or spec.wire == "agent":
        return None
    id = plain_id(spec.model)
    return next((row.most_output for row in output_rows() if row.match.search(id)), None)


def _row(spec: ModelSpec) -> ProviderRow | None:
    if spec.vendor:
        return row_of(spec.vendor)
    if not spec.host:
        return None
    exact, patterns = _hosts()
    rows = exact.get(spec.host) or tuple(row for pattern, row in patterns if pattern.fullmatch(spec.host))
    return next((row for row in rows if row.wire == spec.wire), rows[0] if rows else None)


@cache
def _hosts() -> tuple[dict[str, tuple[ProviderRow, ...]], tuple[tuple[re.Pattern[str], ProviderRow], ...]]:
    """Rows by host; those whose host has a placeholder by a pattern. A host on this machine tells nothing."""
    exact: dict[str, tuple[ProviderRow, ...]] = {}
    patterns: list[tuple[re.Pattern[str], ProviderRow]] = []
    for row in providers():
        host = urlsplit(row.base_url).netloc
        if row.local or not host or PLACEHOLDER.fullmatch(host):
            continue
        if PLACEHOLDER.search(host):
            parts = PLACEHOLDER.split(host)[::2]
            patterns.append((re.compile("[a-z0-9-]+".join(re.escape(part) for part in parts)), row))
        else:
            exact[host] = (*exact.get(host, ()), row)
    return exact, tuple(patterns)
