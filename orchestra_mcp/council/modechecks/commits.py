"""`commits`: whether the commits that an answer names exist and changed what is said."""

from __future__ import annotations

import re

from orchestra_mcp.council.modechecks.places import listed, said
from orchestra_mcp.types import Change, Check, Dossier, Evidence, Opinion

MAX_COMMITS = 8
MAX_LOG = 200
"""Commits of a file's log that are looked through where a commit knew it by another name."""

# Only what is called a commit is taken for one: hexadecimal digits may be anything.
_CALLED = re.compile(
    r"(?i)\b(?:commits?|changeset|reverts?|introduced (?:in|by|with)|added (?:in|by)|fixed (?:in|by)|broken by)"
    r"[\s:`(\[*]{1,4}((?=[0-9]{0,40}[a-f])[0-9a-f]{7,40})(?![\w-])"
)
_HEX = re.compile(r"(?<![\w#/.-])(?=[0-9]{0,40}[a-f])(?=[a-f]{0,40}[0-9])[0-9a-f]{7,40}(?![\w-])")
_ELSEWHERE = re.compile(r"\b(?:upstream|github|gitlab|librar|dependenc|package)", re.I)
_DID = re.compile(
    r"\b(?:chang|touch|introduc|add|remov|modif|broke|break|rewrote|rewrit|renam|drop|delet|edit|replac|alter)", re.I
)
_DID_NOT = re.compile(
    r"\b(?:not|never|without|miss\w*|forgot\w*|overlook\w*|neither|nor|no|should|before|after)\b|n't\b", re.I
)


async def check_commits(opinion: Opinion, dossier: Dossier, evidence: Evidence) -> Check | None:
    """Verified when all commits that are named exist and those of claims changed the claimed file; refuted when not."""
    text = said(opinion)
    matches = [m for m in _CALLED.finditer(text) if not _ELSEWHERE.search(text[max(0, m.start() - 60) : m.start()])]
    called = dict.fromkeys(match[1].lower() for match in matches)
    names = list(dict.fromkeys((*called, *(match[0] for match in _HEX.finditer(text)))))[:MAX_COMMITS]
    if not names or not await _has_git(dossier, evidence):
        return None
    changes = {name: await evidence.commit_changes(name) for name in names}
    known = [name for name in names if changes[name] or _listed(name, dossier)]
    unknown = [name for name in names if name not in known and name in called]
    if unknown and any("shallow" in note for note in dossier.notes):
        return Check(outcome="unchecked", note=f"history is cut off here; not in it: {listed(unknown)}")
    if unknown:
        return Check(outcome="refuted", note=f"git knows no commit {listed(unknown)}, or it changed nothing")
    if not known:
        return None
    refuted, open_, done = await _of_claims(opinion, changes, evidence)
    if refuted:
        return Check(outcome="refuted", note=listed(refuted))
    if open_:
        return Check(outcome="unchecked", note=listed(open_))
    also = f"; {listed(done)}" if done else ""
    return Check(outcome="verified", note=f"in this repository: {listed(known)}{also}")


async def _of_claims(
    opinion: Opinion, changes: dict[str, tuple[Change, ...]], evidence: Evidence
) -> tuple[list[str], list[str], list[str]]:
    """What claims say that a commit did to a file: what is not so, what cannot be told, and what is so."""
    refuted, unclear, done = list[str](), list[str](), list[str]()
    for claim in opinion.claims[:40]:
        text = claim.text[:4000]
        named = [name for name in changes if re.search(rf"(?<!\w){name}(?!\w)", text.lower()) and changes[name]]
        if len(named) != 1 or not claim.path or not _DID.search(text) or _DID_NOT.search(text):
            continue
        name, path = named[0], claim.path
        touched = [p for change in changes[name] for p in (change.path, change.old_path) if p]
        if path in touched or any(path.endswith("/" + p) or p.endswith("/" + path) for p in touched):
            done.append(f"{name} changed {path}")
        elif any(commit.id[:7] == name[:7] for commit in await evidence.log(path, limit=MAX_LOG)):
            done.append(f"{name} changed {path}, under another name")
        elif path not in await evidence.files():
            unclear.append(f"whether {name} changed {path} cannot be told: there is no such file now")
        else:
            refuted.append(f"{name} did not change {path}, but {listed(list(dict.fromkeys(touched)), 3)}")
    return refuted, unclear, done


def _listed(name: str, dossier: Dossier) -> bool:
    """True for a commit that the dossier's own history names: it may have changed nothing that is shown."""
    return any(name[:7] in excerpt.text for excerpt in dossier.excerpts if excerpt.source == "history")


async def _has_git(dossier: Dossier, evidence: Evidence) -> bool:
    if dossier.head or dossier.changes:
        return bool(dossier.head) or any(change.where != "given diff" for change in dossier.changes)
    if await evidence.changes():
        return True
    return any([await evidence.log(path, limit=1) for path in (await evidence.files())[:3]])
