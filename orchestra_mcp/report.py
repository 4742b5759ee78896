"""Verdicts, plans and transcripts as Markdown: the one place that decides what people and models read. Pure."""

from __future__ import annotations

from orchestra_mcp.types import Consultation, CouncilStatus, Detail, Plan, Summary, Verdict


def verdict_report(verdict: Verdict, detail: Detail = "standard") -> str:
    """The report of a verdict; `standard` is at most about 2,000 tokens, its first line says who answered."""
    raise NotImplementedError


def transcript(consultation: Consultation) -> str:
    """Everything that was said, by whom, with the context that was sent."""
    raise NotImplementedError


def plan_report(plan: Plan) -> str:
    """What would be sent, to whom, at what estimated cost."""
    raise NotImplementedError


def status_report(status: CouncilStatus) -> str:
    """Who is seated and why, what is missing and how to add it."""
    raise NotImplementedError


def history_report(summaries: tuple[Summary, ...]) -> str:
    """Past consultations, one line each."""
    raise NotImplementedError
