"""Manifests written in a language of their own or in XML. Pure: they are read as text and never run.

XML with a document type is refused, since only there can entities be declared: nothing expands, nothing is fetched.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from orchestra_mcp.context.environment.datamanifests import image
from orchestra_mcp.context.environment.dependencies import Facts, Need, requirement

_STRING = re.compile(r"#[^\n]*|'([^'\n]*)'|\"([^\"\n]*)\"|([\[\](){}])")


def requirements(text: str) -> Facts:
    """pip's requirement files; `-r` and `-c` lines become includes."""
    lines = [line.strip() for line in text.replace("\\\n", " ").split("\n")]
    includes = tuple(m[1] for line in lines if (m := re.match(r"(?:-r|-c|--requirement|--constraint)[ =]*(\S+)", line)))
    needs = tuple(need for line in lines if line[:1] not in ("-", ".", "#") and (need := requirement(line)))
    return Facts("Python requirements", needs=needs, includes=includes)


def setup_py(text: str) -> Facts:
    """Setuptools' script: the literal lists and strings in it."""
    if "setup(" not in text:
        raise ValueError("no setup script")
    needs = [need for line in _list_after(text, "install_requires") if (need := requirement(line))]
    name, version, python = (_assigned(text, key) for key in ("name", "version", "python_requires"))
    return Facts("Python project", name, version, f"Python {python}" if python else "", tuple(needs))


def _assigned(text: str, key: str) -> str:
    found = re.search(rf"(?<![\w.]){key}\s{{0,20}}=\s{{0,20}}[\"']([^\"'\n]{{1,60}})[\"']", text)
    return found[1] if found else ""


def _list_after(text: str, key: str) -> list[str]:
    """The strings of a literal list that a keyword or a variable is set to."""
    found = re.search(rf"(?<![\w.]){key}\s{{0,20}}=\s{{0,20}}(\[|\w+)", text)
    if found and found[1] != "[":
        found = re.search(rf"(?m)^[ \t]*{found[1]}\s{{0,20}}=\s{{0,20}}(\[)", text)
    if not found:
        return []
    strings, depth = [], 1
    for token in _STRING.finditer(text, found.end(), found.end() + 20_000):
        if token[3]:
            depth += 1 if token[3] in "[({" else -1
            if depth == 0:
                break
        elif token[1] is not None or token[2] is not None:
            strings.append(token[1] if token[1] is not None else token[2])
    return strings


def go_mod(text: str) -> Facts:
    """A Go module; its versions are the resolved ones (minimal version selection)."""
    name = go = block = ""
    needs: dict[str, Need] = {}
    for raw in text.split("\n"):
        code, _, comment = raw.partition("//")
        words = code.split()
        if not words:
            continue
        if words == [")"]:
            block = ""
            continue
        verb = block or words.pop(0)
        if words == ["("]:
            block = verb
        elif verb == "module" and words:
            name = words[0]
        elif verb == "go" and words:
            go = words[0]
        elif verb == "require" and len(words) == 2 and "indirect" not in comment:
            needs[words[0]] = Need(words[0], words[1])
        elif verb == "replace" and "=>" in words and words[0] in needs:
            to = words[words.index("=>") + 1 :]
            needs[words[0]] = Need(words[0], f"replaced by {' '.join(to)}")
    if not name:
        raise ValueError("no module")
    return Facts("Go module", name, "", f"Go {go}" if go else "", tuple(needs.values()), "go test ./...")


def _xml(text: str) -> ElementTree.Element:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("document types are refused")
    try:
        root = ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]{0,200}\?>", "", text))
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from error
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    return root


def _child(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()[:120]


def pom(text: str) -> Facts:
    """Maven; a version that is not there or is a variable may come from a parent POM (`lockfiles.parent_pom`)."""
    root = _xml(text)
    variables = pom_variables(root)
    needs = []
    if root.find("parent") is not None:
        needs.append(_artifact(root, "parent/", variables, "parent"))
    for element in root.iterfind("dependencies/dependency"):
        scope = _child(element, "scope")
        needs.append(_artifact(element, "", variables, "" if scope in ("compile", "runtime") else scope))
    keys = ("maven.compiler.release", "java.version", "maven.compiler.source")
    java = next((variables[key] for key in keys if key in variables), "")
    java = substitute(java, variables)
    if root.tag != "project":
        raise ValueError("not a POM")
    return Facts(
        "Maven project", _child(root, "artifactId"), substitute(_child(root, "version"), variables),
        f"Java {java}" if java else "", tuple(dict.fromkeys(needs)), "mvn test",
    )  # fmt: skip


def pom_variables(root: ElementTree.Element) -> dict[str, str]:
    """The properties of a POM."""
    own = {str(e.tag): (e.text or "").strip()[:120] for e in root.iterfind("properties/*")}
    version = _child(root, "version") or _child(root, "parent/version")
    return own | ({"project.version": version} if version else {})


def managed_pom(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """What a POM sets for those below it: versions by artifact, and its properties."""
    root = _xml(text)
    variables = pom_variables(root)
    found = [_artifact(e, "", variables, "") for e in root.iterfind("dependencyManagement/dependencies/dependency")]
    return {need.name: need.wanted for need in found if need.wanted}, variables


def _artifact(element: ElementTree.Element, prefix: str, variables: dict[str, str], group: str) -> Need:
    name = ":".join(_child(element, prefix + key) for key in ("groupId", "artifactId"))
    return Need(name, substitute(_child(element, prefix + "version"), variables), group)


def substitute(text: str, variables: dict[str, str]) -> str:
    """`${x}` and `$x` replaced where known, at most five deep and 200 characters long."""
    for _ in range(5):
        done = re.sub(r"\$\{([\w.-]+)\}|\$([A-Za-z_]\w*)", lambda m: variables.get(m[1] or m[2], m[0]), text)[:200]
        if done == text:
            break
        text = done
    return text


def csproj(text: str) -> Facts:
    """An SDK-style project file of .NET."""
    root = _xml(text)
    needs = []
    for element in root.iter("PackageReference"):
        name = element.get("Include") or element.get("Update") or ""
        version = element.get("Version") or element.get("VersionOverride") or _child(element, "Version")
        if name:
            needs.append(Need(name, version))
    target = next(
        (t.strip() for e in root.iter() if e.tag in ("TargetFramework", "TargetFrameworks") and (t := e.text)), ""
    )
    names = {need.name for need in needs}
    tests = "dotnet test" if "Microsoft.NET.Test.Sdk" in names else ""
    return Facts(".NET project", requires=target, needs=tuple(needs), tests=tests)


def managed_packages(text: str) -> dict[str, str]:
    """Central package management of .NET: names and versions."""
    elements = _xml(text).iter("PackageVersion")
    return {e.get("Include", ""): e.get("Version") or _child(e, "Version") for e in elements if e.get("Include")}


_CONFIGURATION = (
    r"(?:(?:test|androidTest|debug|release|integrationTest|jvmTest|common(?:Main|Test))?(?:[iI]mplementation|[aA]pi|"
    r"[cC]ompileOnly|[rR]untimeOnly)|compile|testCompile|kapt|ksp|annotationProcessor|classpath|developmentOnly)"
)
_GRADLE = re.compile(
    rf"(?m)^[ \t]{{0,40}}(?P<conf>{_CONFIGURATION})[ \t]*\(?[ \t]*(?:(?:enforcedP|p)latform[ \t]*\(?[ \t]*|kotlin[ \t]*\([ \t]*)?"
    r"(?:[\"'](?P<coords>[^\"'\n]{1,200})[\"']|(?P<alias>libs\.[\w.]{1,120})"
    r"|group:[ \t]*[\"'](?P<g>[^\"'\n]+)[\"'],[ \t]*name:[ \t]*[\"'](?P<n>[^\"'\n]+)[\"'](?:,[ \t]*version:[ \t]*[\"'](?P<v>[^\"'\n]+)[\"'])?)"
)
_GRADLE_PLUGIN = re.compile(
    r"(?m)^[ \t]{0,40}id[ \t(]{1,4}[\"']([\w.-]+)[\"']\)?[ \t]+version[ \t(]{1,4}[\"']([^\"'\n]+)[\"']"
)
_VARIABLE = re.compile(
    r"(?m)^[ \t]{0,40}(?:(?:def|val|var|let)[ \t]+|ext\.)?(\w{1,80})[ \t]{0,9}=[ \t]{0,9}[\"']([^\"'\n]{1,60})[\"']"
)
_TOOLCHAIN = re.compile(
    r"JavaLanguageVersion\.of\((\d+)\)|jvmToolchain\((\d+)\)|sourceCompatibility[ \t]{0,9}=[ \t]{0,9}[^\n\d]{0,30}([\d._]+)"
)


def gradle(text: str) -> Facts:
    """Gradle in Groovy or Kotlin; `libs.x` is found in the version catalogue (`lockfiles.catalogue`)."""
    variables = dict(_VARIABLE.findall(text))
    needs = []
    for found in _GRADLE.finditer(text):
        group = "test" if "test" in found["conf"].lower() else "build" if found["conf"] == "classpath" else ""
        if found["alias"]:
            needs.append(Need(found["alias"], "", group))
            continue
        parts = (found["coords"] or ":".join(filter(None, (found["g"], found["n"], found["v"])))).split(":")
        if len(parts) > 1:
            wanted = substitute(parts[2], variables) if len(parts) > 2 else ""
            needs.append(Need(f"{parts[0]}:{parts[1]}", wanted, group))
    needs += [Need(name, substitute(version, variables), "plugin") for name, version in _GRADLE_PLUGIN.findall(text)]
    java = _TOOLCHAIN.search(text)
    requires = f"Java {next(filter(None, java.groups()))}" if java else ""
    return Facts("Gradle project", requires=requires, needs=tuple(dict.fromkeys(needs)))


def gemfile(text: str) -> Facts:
    """Bundler."""
    needs, group, ruby = [], "", ""
    for raw in text.split("\n"):
        line = raw.strip()
        if found := re.match(r"""ruby[ (]+["']([^"']+)["']""", line):
            ruby = found[1]
        elif found := re.match(r"group[ (]+:(\w+)", line):
            group = found[1]
        elif line == "end":
            group = ""
        elif found := re.match(r"""gem[ (]+["']([^"']+)["'](?:\s*,\s*["']([^"']+)["'])?(.*)""", line):
            own = re.search(r"group(?:s:|:|\s*=>)\s*\[?:(\w+)", found[3])
            needs.append(Need(found[1], found[2] or "", own[1] if own else group))
    tests = "bundle exec rspec" if any(n.name.startswith("rspec") for n in needs) else ""
    return Facts("Ruby project", requires=f"Ruby {ruby}" if ruby else "", needs=tuple(needs), tests=tests)


def gemspec(text: str) -> Facts:
    """A gem's own specification."""
    pattern = r"""\.add_(runtime_|development_)?dependency[ (]+["']([^"']+)["'](?:\s*,\s*["']([^"']+)["'])?"""
    needs = tuple(Need(n, v, "dev" if kind.startswith("dev") else "") for kind, n, v in re.findall(pattern, text))
    name = re.search(r"""\.name\s{0,9}=\s{0,9}["']([^"']+)["']""", text)
    ruby = re.search(r"""required_ruby_version\s{0,9}=[^"'\n]{0,40}["']([^"']+)["']""", text)
    return Facts("Ruby gem", name[1] if name else "", requires=f"Ruby {ruby[1]}" if ruby else "", needs=needs)


def mix(text: str) -> Facts:
    """Elixir's Mix."""
    needs = []
    for name, rest in re.findall(r"\{:(\w+),([^{}\n]{0,300})\}", text):
        version = re.match(r"""\s*"([^"]+)\"""", rest)
        where = re.search(r"""\b(?:path|git|github):\s*"([^"]+)\"""", rest)
        only = re.search(r"only:\s*\[?:(\w+)", rest)
        if version or where:
            wanted = version[1] if version else where[1].rpartition("/")[2] if where else ""
            needs.append(Need(name, wanted, only[1] if only else ""))
    app = re.search(r"\bapp:\s*:(\w+)", text)
    elixir = re.search(r"""\belixir:\s*"([^"]+)\"""", text)
    if not app and not needs:
        raise ValueError("no Mix project")
    requires = f"Elixir {elixir[1]}" if elixir else ""
    return Facts("Mix project", app[1] if app else "", requires=requires, needs=tuple(needs), tests="mix test")


def package_swift(text: str) -> Facts:
    """Swift's package manager."""
    pattern = r"""\.package\(\s*(?:name:\s*"[^"]+",\s*)?url:\s*"([^"]+)",\s*([^)\n]{0,120})"""
    needs = []
    for url, rest in re.findall(pattern, text):
        name = url.rstrip("/").rpartition("/")[2].removesuffix(".git")
        bounds = re.findall(r'"([^"]{1,60})"', rest)
        least = bool(re.match(r"from|\.upToNext", rest))
        needs.append(Need(name, f"{'>=' if least else ''}{'..<'.join(bounds)}"))
    name_found = re.search(r"""\bname:\s*"([^"]+)\"""", text)
    tools = re.search(r"swift-tools-version:\s*([\d.]+)", text)
    tests = "swift test" if ".testTarget(" in text else ""
    return Facts(
        "Swift package", name_found[1] if name_found else "", requires=f"Swift {tools[1]}" if tools else "",
        needs=tuple(needs), tests=tests,
    )  # fmt: skip


def sbt(text: str) -> Facts:
    """Scala's sbt."""
    variables = dict(_VARIABLE.findall(text))
    pattern = r'"([\w.-]+)"\s*%{1,3}\s*"([\w.-]+)"\s*%\s*(?:"([^"\n]+)"|(\w+))(?:\s*%\s*"?(\w+))?'
    needs = [
        Need(f"{org}:{name}", version or variables.get(variable, ""), scope.lower())
        for org, name, version, variable, scope in re.findall(pattern, text)
    ]
    scala = re.search(r'\bscalaVersion\s*:=\s*(?:"([^"]+)"|(\w+))', text)
    version = (scala[1] or variables.get(scala[2], "")) if scala else ""
    name_found = re.search(r'\bname\s*:=\s*"([^"]+)"', text)
    return Facts(
        "sbt project", name_found[1] if name_found else "", requires=f"Scala {version}" if version else "",
        needs=tuple(needs), tests="sbt test",
    )  # fmt: skip


def cmake(text: str) -> Facts:
    """CMake: packages that are looked for or fetched, and the language's standard."""
    text = re.sub(r"#[^\n]*", "", text)
    project = re.search(r"(?i)\bproject\s*\(\s*([\w.+-]+)(?:\s[^)]{0,200}?\bVERSION\s+([\d.]+))?", text)
    if not project:
        raise ValueError("no project")
    needs = [Need(n, v) for n, v in re.findall(r"(?i)\bfind_package\s*\(\s*([\w.+-]+)(?:[ \t]+(\d[\d.]*))?", text)]
    for name, rest in re.findall(r"(?i)\bfetchcontent_declare\s*\(\s*([\w.+-]+)([^)]{0,600})\)", text):
        tag = re.search(r"\bGIT_TAG\s+(\S+)", rest) or re.search(r"\bURL\s+\S*/([^/\s]+)", rest)
        needs.append(Need(name, tag[1] if tag else "", "fetched"))
    standards = re.findall(r"(?i)\bCMAKE_(C|CXX)_STANDARD\s+(\d+)", text)
    tests = "ctest" if re.search(r"(?i)\b(?:enable_testing|add_test|gtest_discover_tests)\s*\(", text) else ""
    return Facts(
        "CMake project", project[1], project[2] or "",
        ", ".join(f"{'C++' if name.upper() == 'CXX' else 'C'}{year}" for name, year in standards),
        tuple(dict.fromkeys(needs)), tests,
    )  # fmt: skip


def conan(text: str) -> Facts:
    """Conan's recipe (`conanfile.py`) or list (`conanfile.txt`)."""
    section, found = "", []
    for raw in text.split("\n"):
        line = raw.strip()
        if line.startswith("["):
            section = line
        elif section in ("[requires]", "[tool_requires]", "[build_requires]", "[test_requires]"):
            found.append(line)
    found += re.findall(r"""\brequires\(\s*["']([^"']+)["']""", text) + _list_after(text, "requires")
    split = [entry.partition("@")[0].partition("/") for entry in found if "/" in entry and entry[0] != "#"]
    return Facts("C/C++ packages (Conan)", needs=tuple(dict.fromkeys(Need(n, v[:60]) for n, _, v in split)))


def dockerfile(text: str) -> Facts:
    """Base images."""
    variables: dict[str, str] = {}
    stages: set[str] = set()
    needs = []
    for line in text.replace("\\\n", " ").split("\n"):
        if found := re.match(r"\s*ARG\s+(\w+)=[\"']?([^\s\"']+)", line):
            variables.setdefault(found[1], found[2])
        elif found := re.match(r"(?i)\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", line):
            base = substitute(re.sub(r"\$\{(\w+):-([^}]*)\}", r"\2", found[1]), variables)
            if base.lower() not in stages and base != "scratch":
                needs.append(image(base))
            stages.add((found[2] or "").lower())
    return Facts("container image", needs=tuple(dict.fromkeys(needs)))
