"""`versions`: whether the versions that an answer takes for granted are those of the manifests and lock files.

A simple look-up: the name of a package and its version, as each kind of file writes them. What an answer wants the
version to become, or since when something holds, is no claim about the project and is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from orchestra_mcp.council.modechecks.places import listed, said
from orchestra_mcp.paths import kind_of
from orchestra_mcp.types import Check, Dossier, Evidence, Opinion

MAX_NAMED = 16
MAX_FILES = 24
MAX_LINES = 80_000

_VERSION = r"v?(?P<v>\d{1,6}(?:\.\d{1,6}){1,3}(?:[-.]?(?:a|b|rc|alpha|beta|post|dev)\.?\d{0,4})?)"


class Format(NamedTuple):
    """How a kind of file says which version of a package it has."""

    files: str
    """The file's name."""
    head: str
    """How the package's name stands there; `{n}` is the name."""
    version: str
    """How its version stands behind the name, with the group `v`."""
    within: int = 0
    """How many lines further down the version may stand."""
    exact: bool = True
    """False where it is what is asked for, not what is there, unless it is written as the only one."""


FORMATS = (
    # Add here. What is resolved comes before what is asked for.
    Format(r"(?:poetry|uv|pdm|Cargo)\.lock|pylock.*\.toml", r"^name = \"{n}\"", rf"^version = \"{_VERSION}\"", 3),
    Format(r"(?:package-lock|npm-shrinkwrap)\.json", r"\"(?:[^\"]{0,300}node_modules/)?{n}\": \{", rf"\"version\": \"{_VERSION}\"", 3),
    Format(r"Pipfile\.lock", r"\"{n}\": \{", rf"\"version\": \"=={_VERSION}\"", 120),
    Format(r"composer\.lock", r"\"name\": \"{n}\"", rf"\"version\": \"{_VERSION}\"", 2),
    Format(r"yarn\.lock", r"^\"?{n}@", rf"^\s+version:? \"?{_VERSION}", 4),
    Format(r"pnpm-lock\.yaml", r"^\s+'?/?{n}[@/]", _VERSION),
    Format(r"Gemfile\.lock", r"^    {n} \(", _VERSION),
    Format(r"go\.(?:mod|sum)", r"(?:^|[\s/]){n}(?:/v\d{1,3})? ", _VERSION),
    Format(r"(?:requirements|constraints)[\w.-]{0,60}\.(?:txt|in)", r"^\s{0,20}{n}(?:\[[^\]]{0,80}\])?\s{0,5}", rf"[<>=!~^]{{0,3}}\s{{0,5}}{_VERSION}", exact=False),
    Format(r"pyproject\.toml|Pipfile|setup\.(?:py|cfg)|environment\.ya?ml|Cargo\.toml|tox\.ini", r"(?:^|[\"'\s]){n}(?:\[[^\]]{0,80}\])?[\"']?\s{0,5}(?:= ?(?=[\"'{]))?[\"'(\s{]{0,4}(?:version = \")?", rf"[<>=!~^]{{0,3}}\s{{0,5}}{_VERSION}", exact=False),
    Format(r"(?:package|composer)\.json", r"\"{n}\": \"", rf"[<>=!~^]{{0,3}}{_VERSION}", exact=False),
    Format(r"pom\.xml", r"<artifactId>{n}</artifactId>", rf"<version>{_VERSION}</version>", 2),
    Format(r"build\.gradle(?:\.kts)?|libs\.versions\.toml", r"[\"':]{n}[\"':]\s{0,5}", rf"[:=\s\"']{{0,6}}{_VERSION}"),
    Format(r"[^/]{1,100}\.(?:cs|fs|vb)proj|Directory\.Packages\.props|packages\.config", r"(?:Include|id|Update)=\"{n}\"\s{0,5}", rf"[vV]ersion=\"{_VERSION}\""),
    Format(r"mix\.(?:exs|lock)", r"[\"{:\s]{n}[\",:]", rf"[^\d\n]{{0,60}}{_VERSION}", exact=False),
)  # fmt: skip

_NAMED = re.compile(
    rf"(?<![\w@/.-])`?(?P<n>@?[A-Za-z][A-Za-z0-9_.-]{{0,60}}(?:/[A-Za-z0-9_.-]{{1,60}}){{0,4}})`?"
    rf"(?:[ \t]{{0,3}}(?:==|@|=|:)[ \t]{{0,3}}|[ \t]{{1,3}}(?:(?:is|at|version|release|in)[ \t]){{0,3}})`?{_VERSION}(?![\w-]|\.\d)"
)
_PRESENT = re.compile(
    r"\b(?:you(?:r project)? (?:have|use|run|are on)|uses?|using|installed|locks?|locked|pinned|pins|resolve[sd]|declare[sd]?"
    r"|is (?:at|on)|currently|(?:project|repository|manifest|lock ?file) (?:has|is|says|holds|lists)|runs? (?:on|with))\b", re.I
)  # fmt: skip
_WISHED = re.compile(
    r"\b(?:since|until|before|after|as of|than|to|from|if|not|should|would|could|at least|needs?|requires?|instead of|starting"
    r"|in|latest|earlier|later|newer|older|install)\b|n't\b|[<>^~]", re.I
)  # fmt: skip
_LATER = re.compile(
    r"[`,)]{0,2}(?:\+|[ \t]{1,3}(?:(?:or|and)[ \t]+(?:later|newer|older|up|above|below|earlier)|to\b|added|introduced|removed|changed"
    r"|deprecated|fixed|fixes|requires|needs|dropped))", re.I
)  # fmt: skip
_MOVING = re.compile(r"\b(?:up(?:grad|dat)|downgrad|bump|migrat|switch|pin (?:it )?to|move to)", re.I)
_NO_PACKAGES = frozenset("version release line step section figure page chapter rfc tls http v".split())
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n")


class Mention(NamedTuple):
    """A package with a version, as an answer names it."""

    name: str
    version: str
    present: bool
    """True when it is said to be what the project has."""


class Known(NamedTuple):
    """What a file of the project says of a package."""

    version: str
    spot: str
    exact: bool


async def check_versions(opinion: Opinion, dossier: Dossier, evidence: Evidence) -> Check | None:  # noqa: ARG001
    """Verified when all versions that can be compared agree; refuted when one that is said to be there is another."""
    mentions = mentions_in(said(opinion))
    if not mentions:
        return None
    known = await _known(dict.fromkeys(mention.name for mention in mentions), evidence)
    same, other, unclear = list[str](), list[str](), list[str]()
    for mention in mentions:
        found = known.get(mention.name, [])
        if not found:
            continue
        exact = [one for one in found if one.exact]
        hit = next((one for one in exact or found if _agrees(mention.version, one.version)), None)
        shown = listed([f"{one.version} ({one.spot})" for one in exact or found], 2)
        if hit is not None:
            same.append(f"{mention.name} {mention.version} ({hit.spot})")
        elif mention.present and exact:
            other.append(f"says {mention.name} {mention.version}; the project has {shown}")
        else:
            unclear.append(f"{mention.name} {mention.version}: the project has {shown}")
    if other:
        return Check(outcome="refuted", note=listed(other, 3))
    if unclear and not same:
        return Check(outcome="unchecked", note=listed(unclear, 3))
    return Check(outcome="verified", note=f"as the project has it: {listed(same)}") if same else None


def mentions_in(text: str) -> list[Mention]:
    """Packages with versions in a text, each pair once; what is wished for or only compared with is left out."""
    found: dict[tuple[str, str], Mention] = {}
    for sentence in _SENTENCE.split(text):
        if _MOVING.search(sentence[:2000]):
            continue
        for match in _NAMED.finditer(sentence[:2000]):
            before, after = sentence[max(0, match.start() - 30) : match.start()], sentence[match.end() :][:20]
            if _WISHED.search(before) or _LATER.match(after) or match["n"].lower() in _NO_PACKAGES:
                continue
            if len(found) >= MAX_NAMED:
                return list(found.values())
            near = sentence[max(0, match.start() - 80) : match.end() + 40].replace(match[0], " ")
            present = _PRESENT.search(near) is not None
            key = (match["n"].strip(".-"), match["v"])
            found[key] = Mention(*key, present or (key in found and found[key].present))
    return list(found.values())


async def _known(names: dict[str, None], evidence: Evidence) -> dict[str, list[Known]]:
    """What manifests and lock files near the root say of these packages, resolved versions first."""
    whole = re.compile("|".join(form.files for form in FORMATS))
    aside = ("test", "example", "foreign")
    files = [p for p in await evidence.files() if whole.fullmatch(p.rpartition("/")[2]) and kind_of(p) not in aside]
    files.sort(key=lambda path: (path.count("/"), path))
    found: dict[str, list[Known]] = {}
    for form in FORMATS:
        for path in files[:MAX_FILES]:
            if not re.fullmatch(form.files, path.rpartition("/")[2]):
                continue
            rows = (await evidence.read(path))[:MAX_LINES]
            text = "\n".join(rows).lower()
            for name in names:
                if _start(name) in text:
                    found.setdefault(name, []).extend(_in_file(form, name, path, rows))
    return found


def _start(name: str) -> str:
    """The beginning of a name that every spelling of it shares."""
    return re.split(r"[-_.]", name.lower())[0]


def _in_file(form: Format, name: str, path: str, rows: Sequence[str]) -> list[Known]:
    spelled = re.sub(r"\\?[-_.]+", "[-_.]{1,2}", re.escape(name))
    head = re.compile(form.head.replace("{n}", spelled), re.IGNORECASE)
    version = re.compile(form.version)
    start = _start(name)
    found: list[Known] = []
    for at, row in enumerate(rows):
        if start not in row[:2000].lower() or (match := head.search(row[:2000])) is None:
            continue
        rest = row[match.end() : match.end() + 300]
        hit = version.search(rest) if form.within else version.match(rest)
        for further in rows[at + 1 : at + 1 + form.within] if hit is None else ():
            hit = version.search(further[:300])
            if hit is not None or further.strip() in ("}", "},"):
                break
        if hit is not None:
            sure = (
                form.exact
                or re.match(r"\s*={2,3}", hit[0]) is not None
                or (path.endswith("package.json") and hit[0][:1].isdigit())
            )
            found.append(Known(hit["v"], f"{path}:{at + 1}", sure))
    return found


def _agrees(said_version: str, version: str) -> bool:
    """True for the same version, and for one that leaves out the last parts: 2.28 is 2.28.1."""
    one, other = said_version.split("."), version.split(".")
    return one == other[: len(one)] or re.sub(r"(?:\.0)+$", "", said_version) == re.sub(r"(?:\.0)+$", "", version)
