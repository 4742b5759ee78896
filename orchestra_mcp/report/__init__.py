"""Markdown that people and models read: verdicts, plans and transcripts (`verdicts`), lists (`lists`). Pure."""

from orchestra_mcp.report.lists import BEGINS, ENDS, experts_report, found_report, found_text, history_report, place
from orchestra_mcp.report.verdicts import LIMITS, plan_report, status_report, transcript, verdict_report
from orchestra_mcp.report.words import dollars

__all__ = [
    "BEGINS",
    "ENDS",
    "LIMITS",
    "dollars",
    "experts_report",
    "found_report",
    "found_text",
    "history_report",
    "place",
    "plan_report",
    "status_report",
    "transcript",
    "verdict_report",
]
