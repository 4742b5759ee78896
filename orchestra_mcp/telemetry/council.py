"""What the root span of a consultation tells: how it was asked, and how it ended."""

from __future__ import annotations

from orchestra_mcp.telemetry import names
from orchestra_mcp.telemetry.spans import Attributes, Doing, kind_of
from orchestra_mcp.types import Dossier, Question, SpanValue, Status, Verdict

ROOT = "invoke_workflow council"


def opened(id: str, question: Question, workspace: str = "") -> Attributes:
    """What is known of a consultation when it begins."""
    found: dict[str, SpanValue] = {
        names.OPERATION: "invoke_workflow",
        names.WORKFLOW: "council",
        names.CONSULTATION: id,
        names.STRATEGY: question.strategy,
        names.MODE: question.mode,
    }
    if question.continues:
        found[names.CONVERSATION] = question.continues
    if workspace:
        found[names.WORKSPACE] = workspace
    return found


def abroad(id: str, question: Question) -> Attributes:
    """What viewers of traces want to know besides."""
    return {names.OPENINFERENCE_KIND: "CHAIN", names.SESSION: question.continues or id}


def gathered(doing: Doing, dossier: Dossier) -> None:
    """Note what evidence was found, in numbers."""
    doing.set(names.EXCERPTS, len(dossier.excerpts))
    doing.set(names.TOKENS, dossier.tokens)
    doing.set(names.FILES, len(dossier.shown))
    doing.set(names.TRACES, len(dossier.traces))
    doing.set(names.CHANGES, len(dossier.changes))
    doing.set(names.GUARD, "redaction")
    doing.set(names.FINDINGS, sum(dossier.redactions.values()))
    doing.set(names.FINDING_KINDS, tuple(sorted(dossier.redactions)) or None)


def closed(root: Doing, verdict: Verdict | None, status: Status, failure: BaseException | None) -> None:
    """Note how a consultation ended."""
    root.set(names.STATUS, status)
    root.error = kind_of(failure) if failure else "cancelled" if status == "cancelled" else ""
    if verdict is None:
        return
    root.set(names.MODE, verdict.mode)
    root.set(names.EFFORT, verdict.effort)
    root.set(names.MEMBERS, len({*verdict.answered, *(absence.seat for absence in verdict.absent)}))
    root.set(names.ANSWERED, len(verdict.answered))
    root.set(names.ABSENT, len(verdict.absent))
    root.set(names.SOLUTIONS, len(verdict.solutions))
    root.set(names.AGREEMENT, round(verdict.agreement.share, 4))
    root.set(names.CONFIDENCE, round(verdict.confidence, 4))
    root.set(names.DEGRADED, verdict.status == "degraded")
    root.set(names.QUORUM_S, verdict.quorum_s)
