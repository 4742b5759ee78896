"""Manifests that are tables: TOML, JSON, INI and YAML. Pure; a table of another shape than expected says nothing."""

from __future__ import annotations

import configparser
import json
import re
import tomllib

from orchestra_mcp.context.environment.dependencies import (
    Facts,
    Need,
    named,
    outline,
    requirement,
    table,
    texts,
    version_text,
)


def pyproject(text: str) -> Facts:
    """`pyproject.toml` by PEP 621 and PEP 735, of Poetry, PDM and uv."""
    whole = tomllib.loads(text)
    project, tool = table(whole.get("project")), table(whole.get("tool"))
    poetry = table(tool.get("poetry"))
    lines = [("", line) for line in texts(project.get("dependencies"))]
    for source in (project.get("optional-dependencies"), whole.get("dependency-groups"), _dev(tool, "pdm")):
        lines += [(str(group), line) for group, some in table(source).items() for line in texts(some)]
    lines += [("dev", line) for line in texts(table(tool.get("uv")).get("dev-dependencies"))]
    needs = [need for group, line in lines if (need := requirement(line, group))]
    own = named(poetry.get("dependencies"))
    needs += [need for need in own if need.name != "python"] + named(poetry.get("dev-dependencies"), "dev")
    for group, content in table(poetry.get("group")).items():
        needs += named(table(content).get("dependencies"), str(group))
    python = version_text(project.get("requires-python")) or version_text(
        table(poetry.get("dependencies")).get("python")
    )
    runner = next((cmd for key, cmd in (("tox", "tox"), ("nox", "nox"), ("pytest", "pytest")) if key in tool), "")
    return Facts(
        "Python project", version_text(project.get("name") or poetry.get("name")),
        version_text(project.get("version") or poetry.get("version")), f"Python {python}" if python else "",
        tuple(needs), runner,
    )  # fmt: skip


def _dev(tool: dict[str, object], name: str) -> object:
    return table(tool.get(name)).get("dev-dependencies")


def pipfile(text: str) -> Facts:
    """Pipenv's manifest."""
    whole = tomllib.loads(text)
    python = version_text(table(whole.get("requires")).get("python_version"))
    needs = (*named(whole.get("packages")), *named(whole.get("dev-packages"), "dev"))
    needs = tuple(Need(n.name, "" if n.wanted == "*" else n.wanted, n.group) for n in needs)
    return Facts("Pipenv project", requires=f"Python {python}" if python else "", needs=needs)


def setup_cfg(text: str) -> Facts:
    """Setuptools' declarative configuration."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ValueError(str(error)) from error
    python = parser.get("options", "python_requires", fallback="")
    lines = [("", line) for line in (parser.get("options", "install_requires", fallback="") or "").splitlines()]
    if parser.has_section("options.extras_require"):
        extras = parser.items("options.extras_require")
        lines += [(group, line) for group, some in extras for line in (some or "").splitlines()]
    needs = tuple(need for group, line in lines if (need := requirement(line, group)))
    name = parser.get("metadata", "name", fallback="") or ""
    runner = "pytest" if parser.has_section("tool:pytest") else "tox" if parser.has_section("tox:tox") else ""
    version = parser.get("metadata", "version", fallback="") or ""
    if not needs and not name and not runner:
        raise ValueError("only settings of tools")
    return Facts(
        "Python project", name, "" if version.startswith(("attr:", "file:")) else version,
        f"Python {python}" if python else "", needs, runner,
    )  # fmt: skip


def conda(text: str) -> Facts:
    """A conda environment, with what pip installs into it."""
    needs, name, python = [], "", ""
    for keys, value in outline(text):
        if keys == ("name",):
            name = value
        elif keys[:1] == ("dependencies",) and value:
            plain = value.rpartition("::")[2]
            parts = re.split(r"\s*(?==|<|>|!|~)", plain, maxsplit=1) if len(plain) < 200 else [plain]
            need = Need(parts[0].strip(), re.sub(r"^=(?==*\d)", "=", parts[1]).split(" ")[0] if len(parts) > 1 else "")
            if need.name == "python":
                python = need.wanted.lstrip("=")
            elif need.name and need.name != "pip":
                needs.append(need)
    return Facts("conda environment", name, requires=f"Python {python}" if python else "", needs=tuple(needs))


def package_json(text: str) -> Facts:
    """npm, yarn, pnpm and bun alike."""
    whole = json.loads(text)
    needs = [*named(whole.get("dependencies")), *named(whole.get("peerDependencies"), "peer")]
    needs += [*named(whole.get("optionalDependencies"), "optional"), *named(whole.get("devDependencies"), "dev")]
    seen: dict[str, Need] = {}
    for need in needs:
        seen.setdefault(need.name, need)
    script = version_of_script(whole)
    node = version_text(table(whole.get("engines")).get("node"))
    kind = "Node.js workspace root" if whole.get("workspaces") else "Node.js package"
    return Facts(
        kind, version_text(whole.get("name")), version_text(whole.get("version")), f"Node {node}" if node else "",
        tuple(seen.values()), f"npm test ({script})" if script else "",
    )  # fmt: skip


def version_of_script(whole: dict[str, object]) -> str:
    """What the script `test` runs, empty for npm's placeholder."""
    script = table(whole.get("scripts")).get("test")
    return script[:120] if isinstance(script, str) and "no test specified" not in script else ""


def cargo(text: str) -> Facts:
    """A crate or a workspace of crates."""
    whole = tomllib.loads(text)
    package, workspace = table(whole.get("package")), table(whole.get("workspace"))
    needs: list[Need] = []
    places = [whole, *table(whole.get("target")).values(), workspace]
    for place in places:
        for key, group in (("dependencies", ""), ("dev-dependencies", "dev"), ("build-dependencies", "build")):
            for name, value in table(table(place).get(key)).items():
                real = version_text(table(value).get("package")) or name
                needs.append(Need(real, version_text(value), group))
    edition, rust = version_text(package.get("edition")), version_text(package.get("rust-version"))
    requires = ", ".join(filter(None, (f"edition {edition}" if edition else "", f"Rust {rust}" if rust else "")))
    return Facts(
        "Rust crate" if package else "Rust workspace", version_text(package.get("name")),
        version_text(package.get("version")), requires, tuple(needs), "cargo test",
    )  # fmt: skip


def composer(text: str) -> Facts:
    """PHP's Composer."""
    whole = json.loads(text)
    needs = [*named(whole.get("require")), *named(whole.get("require-dev"), "dev")]
    php = next((need.wanted for need in needs if need.name == "php"), "")
    needs = [need for need in needs if "/" in need.name]
    script = "test" in table(whole.get("scripts"))
    runners = (("pestphp/pest", "vendor/bin/pest"), ("phpunit/phpunit", "vendor/bin/phpunit"))
    names = {need.name for need in needs}
    tests = "composer test" if script else next((command for name, command in runners if name in names), "")
    return Facts(
        "PHP project", version_text(whole.get("name")), version_text(whole.get("version")),
        f"PHP {php}" if php else "", tuple(needs), tests,
    )  # fmt: skip


def pubspec(text: str) -> Facts:
    """Dart and Flutter."""
    tops: dict[str, str] = {}
    needs: list[Need] = []
    sdk = ""
    for keys, value in outline(text):
        if len(keys) == 1:
            tops.setdefault(keys[0], value)
        elif keys == ("environment", "sdk"):
            sdk = value
        elif keys[:1] in (("dependencies",), ("dev_dependencies",)):
            group = "dev" if keys[0].startswith("dev") else ""
            if len(keys) == 2:
                needs.append(Need(keys[1], value if value != "any" else "", group))
            elif keys[-1] in ("sdk", "git", "path", "ref", "version") and value and needs:
                needs[-1] = Need(keys[1], needs[-1].wanted or f"{keys[-1]} {value.rpartition('/')[2]}", group)
    flutter = any(need.name == "flutter" for need in needs)
    return Facts(
        "Flutter app" if flutter else "Dart package", tops.get("name", ""), tops.get("version", ""),
        f"Dart {sdk}" if sdk else "", tuple(n for n in needs if n.name != "flutter"),
        ("flutter test" if flutter else "dart test") if any("test" in need.name for need in needs) else "",
    )  # fmt: skip


def vcpkg(text: str) -> Facts:
    """vcpkg's manifest."""
    whole = json.loads(text)
    pins = {str(p.get("name")): version_text(p) for p in whole.get("overrides", []) if isinstance(p, dict)}
    needs = []
    for entry in whole.get("dependencies", []):
        name = entry if isinstance(entry, str) else version_text(table(entry).get("name"))
        least = version_text(table(entry).get("version>="))
        if name:
            needs.append(Need(name, pins.get(name, "") or (f">={least}" if least else "")))
    version = next((version_text(whole[k]) for k in ("version", "version-string", "version-semver") if k in whole), "")
    return Facts("C/C++ packages (vcpkg)", version_text(whole.get("name")), version, needs=tuple(needs))


def compose(text: str) -> Facts:
    """Images that Docker Compose starts."""
    images = [value for keys, value in outline(text) if keys[:1] == ("services",) and keys[-1] == "image" and value]
    return Facts("services", needs=tuple(dict.fromkeys(image(value) for value in images)))


def image(text: str, group: str = "") -> Need:
    """`ghcr.io/org/app:1.2@sha256:…` → ghcr.io/org/app, 1.2."""
    plain = text.partition("@")[0]
    name, colon, tag = plain.rpartition(":")
    return Need(name, tag, group) if colon and "/" not in tag else Need(plain, "", group)
