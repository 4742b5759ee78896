"""What a question is about and how deep to go, estimated from its words and the evidence. Pure.

The rules are few and plain, so that anyone can say beforehand what `auto` will do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from orchestra_mcp.types import Dossier, Effort, Mode, Question

DOMAINS: Mapping[str, str] = {
    # file suffix → what the track record calls it. Add here.
    "py": "python", "pyi": "python", "ipynb": "python",
    "js": "javascript", "jsx": "javascript", "mjs": "javascript", "cjs": "javascript", "vue": "javascript",
    "ts": "typescript", "tsx": "typescript", "mts": "typescript", "svelte": "typescript",
    "java": "java", "kt": "kotlin", "kts": "kotlin", "scala": "scala", "groovy": "java",
    "go": "go", "rs": "rust", "c": "c", "h": "c", "cc": "c++", "cpp": "c++", "hpp": "c++", "cxx": "c++",
    "cs": "c#", "rb": "ruby", "php": "php", "swift": "swift", "dart": "dart", "ex": "elixir", "exs": "elixir",
    "sql": "sql", "sh": "shell", "bash": "shell", "ps1": "shell", "tf": "infrastructure", "hcl": "infrastructure",
}  # fmt: skip
FENCED = re.compile(r"^```([A-Za-z+#]{1,12})\s*$", re.MULTILINE)
PYTHONIC = re.compile(r"^\s*(?:def|class)\s+\w+.*:\s*$|^>>> ", re.MULTILINE)
GENERAL = "general"

GRAVE = re.compile(
    r"\b(?:data loss|lost data|corrupt\w*|outage|in production|production is|irreversibl\w*|deadlock\w*|race condition|"
    r"breach|exploit\w*|double[- ](?:charg|spend)\w*|rewrite everything|migrat\w+ (?:the|our) (?:data\w*|production))\b",
    re.IGNORECASE,
)
"""Words of questions in which being wrong is dear."""
MANY_FILES = 12
"""Changed files from which a review is a deep one."""


def domain_of(question: Question, dossier: Dossier) -> str:
    """The programming language that most of the evidence is in, else that of the question's own code, else `general`."""
    votes: Counter[str] = Counter()
    for path in (*dossier.shown, *dossier.files[:10], *(change.path for change in dossier.changes[:20])):
        if name := DOMAINS.get(path.rpartition(".")[2].lower()):
            votes[name] += 1
    for trace in dossier.traces:
        votes[trace.language.lower()] += 2 if trace.language.lower() in DOMAINS.values() else 0
    if votes := +votes:
        return min(votes, key=lambda name: (-votes[name], name))
    for label in FENCED.findall(question.text):
        low = label.lower()
        if low in DOMAINS or low in DOMAINS.values():
            return DOMAINS.get(low, low)
    return "python" if PYTHONIC.search(question.text) else GENERAL


def effort_of(question: Question, dossier: Dossier, mode: Mode) -> tuple[Effort, str]:
    """How deep to go, and why; what the question says itself counts."""
    if question.effort != "auto":
        return question.effort, "as asked"
    if GRAVE.search(question.text):
        return "deep", "being wrong would be dear"
    if len(dossier.changes) >= MANY_FILES and mode in ("quality", "security"):
        return "deep", f"{len(dossier.changes)} changed files are to be reviewed"
    if len(dossier.traces) > 1 and len({trace.exception for trace in dossier.traces}) > 1:
        return "deep", "several different errors came with it"
    # Never `quick`: whoever asks a council wants a second opinion, and where two agree it ends with them.
    return "standard", "nothing speaks for more"
