"""Which versions a lock file resolved, and which versions manifests further up set for those below. Pure.

One function and one row of `LOCKS` per format. Add here. A lock file that cannot be read counts as none.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from orchestra_mcp.context.environment import codemanifests
from orchestra_mcp.context.environment.dependencies import Lock, Need, outline, table, version_text

Versions = Mapping[str, tuple[str, ...]]


def python_name(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _collect(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for name, version in pairs:
        if name and version and len(name) < 200:
            found[name][version[:60]] = None
    return {name: tuple(versions) for name, versions in found.items()}


def _blocks(text: str) -> Iterator[dict[str, str]]:
    """The `[[package]]` tables of a lock file with their plain `key = "value"` lines.

    Tools write them in one shape; the TOML reader of the standard library takes a second for a megabyte of it.
    """
    current: dict[str, str] = {}
    inside = False
    for line in text.split("\n"):
        if line.startswith("["):
            if current:
                yield current
            current, inside = {}, line.startswith("[[package]]")
        elif inside:
            key, equals, value = line.partition(" = ")
            if equals and value.startswith('"'):
                current[key.strip()] = value.strip().strip('"')
    if current:
        yield current


def _package_blocks(text: str) -> Lock:
    """uv, Poetry and PDM."""
    return Lock(_collect((python_name(b.get("name", "")), b.get("version", "")) for b in _blocks(text)))


def _pipfile_lock(text: str) -> Lock:
    whole = json.loads(text)
    entries = [*table(whole.get("develop")).items(), *table(whole.get("default")).items()]
    return Lock(_collect((python_name(n), version_text(v).removeprefix("==")) for n, v in entries))


def _cargo_lock(text: str) -> Lock:
    return Lock(_collect((b.get("name", ""), b.get("version", "")) for b in _blocks(text)))


def _cargo_workspace(text: str) -> Lock:
    shared = table(table(tomllib.loads(text).get("workspace")).get("dependencies"))
    return Lock(_collect((name, version_text(value)) for name, value in shared.items()), resolved=False)


def _package_lock(text: str) -> Lock:
    """npm's lock file, versions 1 to 3; a package's own `node_modules` decides before the common one."""
    whole = json.loads(text)
    exact: dict[tuple[str, str], str] = {}
    found: list[tuple[str, str]] = []
    for place, value in table(whole.get("packages")).items():
        folder, inside, name = place.rpartition("node_modules/")
        version = version_text(table(value).get("version"))
        if inside and version:
            found.append((name, version))
            if "node_modules/" not in folder:
                exact[folder.rstrip("/"), name] = version
    if not found:
        for name, value in table(whole.get("dependencies")).items():
            found.append((name, version_text(table(value).get("version"))))
            exact["", name] = found[-1][1]
    return Lock(_collect(found), exact)


def _yarn_lock(text: str) -> Lock:
    """yarn, both generations: `"react@^18.0.0", react@^18.2.0:` or `"react@npm:^18.0.0":`, then the version."""
    exact: dict[tuple[str, str], str] = {}
    found: list[tuple[str, str]] = []
    asked: list[tuple[str, str]] = []
    for line in text.split("\n"):
        if line and line[0] not in " #" and line.endswith(":"):
            asked = []
            for part in line[:-1].replace('"', "").split(", "):
                name, _, wanted = part[1:].partition("@")
                asked.append((part[:1] + name, wanted.removeprefix("npm:")))
        elif asked and line.startswith("  version"):
            version = line[len("  version") :].strip(": ").strip('"')
            exact.update({(wanted, name): version for name, wanted in asked})
            found += [(name, version) for name, _ in asked]
            asked = []
    return Lock(_collect(found), exact)


def _pnpm_lock(text: str) -> Lock:
    """pnpm: what each importer (directory) got; `18.2.0(peer@1)` and `18.2.0_peer` lose their tails."""
    exact: dict[tuple[str, str], str] = {}
    kinds = ("dependencies", "devDependencies", "optionalDependencies")
    for keys, value in outline(text):
        place = ""
        if keys[:1] == ("importers",) and len(keys) > 2:
            place, keys = ("" if keys[1] == "." else keys[1]), keys[2:]
        if keys[:1] == ("packages",):
            break
        if len(keys) >= 2 and keys[0] in kinds and value and (len(keys) == 2 or keys[2:] == ("version",)):
            exact[place, keys[1]] = re.split(r"[(_]", value, maxsplit=1)[0]
    return Lock(_collect((name, version) for (_, name), version in exact.items()), exact)


def _bun_lock(text: str) -> Lock:
    """bun's text format: JSON with trailing commas; `packages` maps a name to `[name@version, …]`."""
    whole = json.loads(re.sub(r",(\s*[}\]])", r"\1", text))
    found = []
    exact = {}
    for place, value in table(whole.get("packages")).items():
        name, _, version = str(value[0] if isinstance(value, list) and value else "")[1:].partition("@")
        found.append((str(value)[2:3] + name, version))
        exact["", place] = version
    return Lock(_collect(found), exact)


def _gradle_lock(text: str) -> Lock:
    lines = (line.partition("=")[0].split(":") for line in text.split("\n") if line and line[0] != "#")
    return Lock(_collect((f"{p[0]}:{p[1]}", p[2]) for p in lines if len(p) == 3))


def _catalogue(text: str) -> Lock:
    """Gradle's version catalogue: `libs.a.b` is the entry `a-b`."""
    whole = tomllib.loads(text)
    versions = table(whole.get("versions"))
    aliases = {}
    for key, prefix in (("libraries", "libs."), ("plugins", "libs.plugins.")):
        for alias, value in table(whole.get(key)).items():
            entry = table(value)
            parts = version_text(value).split(":") if isinstance(value, str) else []
            module = ":".join(parts[:2]) or _module(entry)
            version: Any = entry.get("version", parts[2] if len(parts) > 2 else "")
            if isinstance(version, dict):
                version = versions.get(str(version.get("ref")), version.get("strictly") or version.get("require"))
            if module:
                aliases[prefix + re.sub(r"[-_]", ".", alias)] = (module, version_text(version))
    return Lock(aliases=aliases, resolved=False)


def _module(entry: Mapping[str, Any]) -> str:
    known = version_text(entry.get("module")) or version_text(entry.get("id"))
    return known or ":".join(filter(None, (version_text(entry.get("group")), version_text(entry.get("name")))))


def _properties(text: str) -> Lock:
    pairs = (line.partition("=") for line in text.split("\n") if line[:1] not in ("#", "!", ""))
    return Lock(variables={key.strip(): value.strip()[:60] for key, _, value in pairs if value}, resolved=False)


def parent_pom(text: str) -> Lock:
    """What a POM in a directory further up sets for the modules below it."""
    versions, variables = codemanifests.managed_pom(text)
    return Lock({name: (version,) for name, version in versions.items()}, variables=variables, resolved=False)


def _nuget_lock(text: str) -> Lock:
    frameworks = table(json.loads(text).get("dependencies")).values()
    return Lock(_collect((n, str(table(v).get("resolved", ""))) for f in frameworks for n, v in table(f).items()))


def _central_packages(text: str) -> Lock:
    found = codemanifests.managed_packages(text)
    return Lock({name: (version,) for name, version in found.items()}, resolved=False)


def _gemfile_lock(text: str) -> Lock:
    return Lock(_collect(re.findall(r"(?m)^ {4}([\w.-]+) \(([\w.-]+)\)$", text)))


def _composer_lock(text: str) -> Lock:
    whole = json.loads(text)
    entries = [table(e) for key in ("packages", "packages-dev") for e in whole.get(key) or []]
    return Lock(_collect((version_text(e.get("name")), version_text(e.get("version")).lstrip("v")) for e in entries))


def _mix_lock(text: str) -> Lock:
    return Lock(_collect(re.findall(r'(?m)^ {0,8}"([\w-]+)": \{:(?:hex|git), *[^,\n]{1,200}, *"([^"\n]+)"', text)))


def _pubspec_lock(text: str) -> Lock:
    lines = outline(text)
    return Lock(_collect((k[1], v) for k, v in lines if len(k) == 3 and k[0] == "packages" and k[2] == "version"))


def _package_resolved(text: str) -> Lock:
    whole = json.loads(text)
    found = []
    for pin in whole.get("pins") or table(whole.get("object")).get("pins") or []:
        state = table(table(pin).get("state"))
        address = str(pin.get("location") or pin.get("repositoryURL") or pin.get("identity"))
        name = address.rstrip("/").rpartition("/")[2].removesuffix(".git")
        found.append((name, str(state.get("version") or state.get("branch") or str(state.get("revision"))[:10])))
    return Lock(_collect(found))


LOCKS: dict[str, Callable[[str], Lock]] = {
    "uv.lock": _package_blocks,
    "poetry.lock": _package_blocks,
    "pdm.lock": _package_blocks,
    "Pipfile.lock": _pipfile_lock,
    "package-lock.json": _package_lock,
    "npm-shrinkwrap.json": _package_lock,
    "yarn.lock": _yarn_lock,
    "pnpm-lock.yaml": _pnpm_lock,
    "bun.lock": _bun_lock,
    "Cargo.lock": _cargo_lock,
    "Cargo.toml": _cargo_workspace,
    "pom.xml": parent_pom,
    "gradle.lockfile": _gradle_lock,
    "gradle/libs.versions.toml": _catalogue,
    "gradle.properties": _properties,
    "packages.lock.json": _nuget_lock,
    "Directory.Packages.props": _central_packages,
    "Gemfile.lock": _gemfile_lock,
    "composer.lock": _composer_lock,
    "mix.lock": _mix_lock,
    "pubspec.lock": _pubspec_lock,
    "Package.resolved": _package_resolved,
}


def resolve(need: Need, lock: Lock, folder: str) -> Need:
    """A need with what a lock says of it.

    Args:
        need: as the manifest has it.
        lock: one lock file.
        folder: the manifest's directory, relative to the lock file's; empty when they are beside each other.
    """
    name, wanted = need.name, need.wanted
    if name in lock.aliases:
        name, wanted = lock.aliases[name]
    if lock.variables and "$" in wanted:
        wanted = codemanifests.substitute(wanted, dict(lock.variables))
    need = Need(name, wanted, need.group, need.locked)
    if need.locked:
        return need
    key = name if name in lock.versions else python_name(name)
    version = (
        lock.exact.get((folder, name)) or lock.exact.get(("", name)) or lock.exact.get((wanted, name))
    )  # fmt: skip
    version = version or _among(lock.versions.get(key, ()), wanted)
    if not version:
        return need
    if lock.resolved:
        return Need(name, wanted, need.group, version)
    return need if wanted and "$" not in wanted else Need(name, version, need.group)


def _among(versions: tuple[str, ...], wanted: str) -> str:
    """The version that fits a wish such as `^1.2`, by its leading number; all of them when that does not decide."""
    if len(versions) < 2:
        return "".join(versions)
    found = re.search(r"(\d+)(?:\.(\d+))?", wanted)
    prefixes = [f"{found[1]}.{found[2]}.", f"{found[1]}."] if found and found[2] else [f"{found[1]}."] if found else []
    for prefix in prefixes:
        fitting = [version for version in versions if version.startswith(prefix)]
        if len(fitting) == 1:
            return fitting[0]
    return " or ".join(versions[:3])
