"""From a name to a model that can be asked: what the settings leave out comes from the vendor's row.

What the settings say wins. A vendor's key goes only to the vendor's own address: where `base_url` names another scheme,
host or port, nothing secret is filled in, and the key has to be named by `key_env`.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from urllib.parse import urlsplit

from orchestra_mcp.errors import SettingsError
from orchestra_mcp.gateway.vendors.catalog import PLACEHOLDER, ProviderRow, by_id
from orchestra_mcp.gateway.vendors.plugins import AGENT, dialect_of, load, row_of
from orchestra_mcp.gateway.vendors.quirks import quirks_of
from orchestra_mcp.settings import Keys, ModelSpec

MODEL_ID = re.compile(r"[@~A-Za-z0-9][A-Za-z0-9_.:@~+=-]*(/[A-Za-z0-9_.:@~+=-]+)*")
"""What may follow `vendor/`: nothing that could lead to another address, since some dialects put it there."""
MAX_ID = 200
_OPTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,200}")
_HOST_OPTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")


def settle(spec: ModelSpec, keys: Keys) -> ModelSpec:
    """A model with everything that its vendor's row knows; unchanged, but looked at, when it names no vendor. Twice is
    as once.

    Whether the key is there is not looked at: the call says so, and other models go on.

    Raises:
        SettingsError: an unknown vendor, wire or quirk, or something that is missing; the message says what to set.
    """
    if not spec.vendor:
        if spec.wire != AGENT:
            dialect_of(spec.wire)
        quirks_of(spec)
        return spec
    row = row_of(spec.vendor)
    if row is None:
        raise SettingsError(_unknown(spec.vendor))
    given = spec.model_fields_set
    wire = spec.wire if "wire" in given else row.wire
    if wire != AGENT:
        dialect_of(wire)
    options = _options(row, spec, keys)
    own = _address(row, wire, options)
    base_url = spec.base_url if "base_url" in given else own
    if not base_url and wire != AGENT:
        raise SettingsError(_lack(row, spec, wire, options))
    trusted = bool(own) and _origin(base_url) == _origin(own)
    key_env = spec.key_env if "key_env" in given else (_key_env(row, keys) if trusted else "")
    auth = spec.auth if "auth" in given else _auth(row, key_env, trusted)
    headers = _headers(row, spec, keys, trusted)
    if row.key_header and key_env:
        headers.setdefault(row.key_header, f"${key_env}")
        key_env = ""
    if trusted and row.needs_header and not spec.model.startswith("@") and not headers.keys() & {*row.needs_header}:
        variables = " or ".join(row.optional_headers[name].removeprefix("$") for name in row.needs_header)
        raise SettingsError(f"{spec.model} at {row.title}: set {variables}, or a header in [models.NAME.headers].")
    settled = spec.model_copy(
        update={
            "wire": wire,
            "base_url": base_url,
            "key_env": key_env,
            "auth": auth,
            "headers": headers,
            "options": options,
            "provider": spec.provider or _provider(row, spec, trusted),
        }
    )
    quirks_of(settled)  # raises for unknown ones
    return settled


def named(name: str, keys: Keys) -> ModelSpec | None:
    """The model that a name such as `groq/openai/gpt-oss-120b` means; None when it begins with no vendor.

    Raises:
        SettingsError: the vendor's row needs something that is not set.
    """
    vendor, slash, model = name.partition("/")
    if not slash or len(model) > MAX_ID or not MODEL_ID.fullmatch(model) or ".." in model:
        return None
    if row_of(vendor) is None:
        return None
    return settle(ModelSpec(vendor=vendor, model=model), keys)


# ------------------------------------------------------------------------------------------------ piece by piece


def _options(row: ProviderRow, spec: ModelSpec, keys: Keys) -> dict[str, str]:
    """The model's own options, and what the environment and the row say of those that the row needs."""
    options = dict(spec.options)
    in_address = {*PLACEHOLDER.findall(" ".join((row.base_url, *row.also.values())))}
    for name, variables in row.options.items():
        found = options.get(name) or next((value for v in variables if (value := keys.get(v).strip())), "")
        value = (found or row.defaults.get(name, "")).removeprefix("https://").rstrip("/")
        if not value:
            if name in in_address and "base_url" in spec.model_fields_set:
                continue
            raise SettingsError(
                f"{spec.model} at {row.title} needs {name!r}: set {' or '.join(variables)}, or options.{name} in its table."
            )
        if not (_HOST_OPTION if name in in_address else _OPTION).fullmatch(value):
            raise SettingsError(f"{spec.model} at {row.title}: {value[:60]!r} cannot be a {name}.")
        options[name] = value
    return options


def _address(row: ProviderRow, wire: str, options: dict[str, str]) -> str:
    """The vendor's own address; empty when it has none for this wire, or an option of it is not known."""
    template = row.base_url if wire == row.wire else row.also.get(wire, "")
    if not all(name in options for name in PLACEHOLDER.findall(template)):
        return ""
    found = PLACEHOLDER.sub(lambda match: options[match[1]], template)
    return _GOOGLE.get(found.removeprefix("https://"), found)


_GOOGLE = {
    # https://docs.cloud.google.com/gemini-enterprise-agent-platform/resources/locations: locations whose host is made in
    # another way, by what the template makes of them
    "global-aiplatform.googleapis.com": "https://aiplatform.googleapis.com",
    "us-aiplatform.googleapis.com": "https://aiplatform.us.rep.googleapis.com",
    "eu-aiplatform.googleapis.com": "https://aiplatform.eu.rep.googleapis.com",
}


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return ("", url, None)
    return (parts.scheme, (parts.hostname or "").lower(), port)


def _key_env(row: ProviderRow, keys: Keys) -> str:
    """The first variable that is set, else the usual one, so that the call can say what to set."""
    found = next((name for name in row.key_env if keys.get(name).strip()), "")
    return found or ("" if row.local or row.keyless_auth else next(iter(row.key_env), ""))


def _auth(row: ProviderRow, key_env: str, trusted: bool) -> str:
    if key_env:
        return row.auth
    # Clouds' tokens are keys too, and made without one being named.
    return (row.keyless_auth or row.auth) if trusted else "none"


def _headers(row: ProviderRow, spec: ModelSpec, keys: Keys, trusted: bool) -> dict[str, str]:
    headers = {name: value for name, value in row.headers.items() if trusted or not value.startswith("$")}
    if trusted:
        headers |= {name: value for name, value in row.optional_headers.items() if keys.get(value[1:]).strip()}
    return {**headers, **{name.lower(): value for name, value in spec.headers.items()}}


def _provider(row: ProviderRow, spec: ModelSpec, trusted: bool) -> str:
    """Who receives the text, for consent: the vendor only when it goes to the vendor."""
    if row.wire == AGENT:
        from orchestra_mcp.gateway.vendors.agents import AGENTS

        agent = AGENTS.get(spec.model)
        return agent.provider if agent else ""
    return row.id if trusted and not row.local else ""


def _lack(row: ProviderRow, spec: ModelSpec, wire: str, options: dict[str, str]) -> str:
    spoken = [row.wire, *row.also]
    if wire not in spoken:
        return f"{spec.model}: {row.title} speaks {', '.join(spoken)}, not {wire!r}; set another wire, or base_url."
    missing = ", ".join(name for name in row.options if name not in options)
    return f"{spec.model} at {row.title} needs base_url{f', or the options {missing}' if missing else ''}."


def _unknown(vendor: str) -> str:
    known = [*by_id(), *load().providers]
    near = get_close_matches(vendor.lower(), known, 3)
    hint = f"did you mean {', '.join(near)}?" if near else "docs/providers.md lists them."
    left_out = "".join(f" The plugin {p.name!r} was left out: {p.error}" for p in load().problems)
    return f"vendor = {vendor[:60]!r} is not known; {hint}{left_out}"
