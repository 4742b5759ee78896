"""Lists as Markdown: experts' records, past consultations, what a search found. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath

from orchestra_mcp.foreign import one_line, plain
from orchestra_mcp.report.words import dollars
from orchestra_mcp.types import (
    ExpertRecord,
    Found,
    ModeRecord,
    Summary,
)

EXPERTS_NOTE = (
    "_Cases are marked consultations, weighed by age and by who said it: what half worked and what only a commit shows "
    "count by half. The interval is the middle 95 % of the Beta distribution that prior and cases make._"
)

BEGINS, ENDS = "\ue000", "\ue001"

"""Stand for the marks around a hit until the text around it is harmless; private characters, which `foreign` keeps."""

NOTHING_FITS = "Nothing that was asked before fits these words."


def experts_report(records: Sequence[ExpertRecord], mode: str = "") -> str:
    """Each expert's track record, in all modes or in one.

    Args:
        records: as `Orchestra.experts` gives them.
        mode: only this one, the most often right first.
    """
    if not records:
        return "No expert is seated, and none has a record. Add a model with `orchestra setup`."
    rows = [_expert(record, found, mode) for record, found in _by_mode(records, mode)]
    return "\n\n".join(
        (
            f"**How often each expert was right{f' ({mode})' if mode else ''}, as far as outcomes are known.**",
            "| expert | right | 95 % | cases | prior | other modes and judging | calls, 90 days | cost | median |\n"
            "|---|---|---|---|---|---|---|---|---|\n" + "\n".join(rows),
            EXPERTS_NOTE,
        )
    )


def _by_mode(records: Sequence[ExpertRecord], mode: str) -> list[tuple[ExpertRecord, ModeRecord]]:
    """Each expert with its record in a mode; where it has none there, that of all modes without its cases."""
    if not mode:
        return [(record, record.records[0]) for record in records]
    found = []
    for record in records:
        overall = record.records[0]
        nothing = overall.model_copy(update={"mode": mode, "cases": 0.0, "right": 0.0})
        found.append((record, next((r for r in record.records if r.mode == mode), nothing)))
    return sorted(found, key=lambda pair: place(*pair))


def place(record: ExpertRecord, shown: ModeRecord | None) -> tuple[bool, bool, bool, bool, float, str]:
    """The order of experts, wherever they are listed: seated ones before those who sit no more, residents last.

    Among these come those that never answer a call after all others, then those of whom no case is known; the most often
    right first.

    Args:
        record: the expert.
        shown: its record in what is shown; None when it has none there.
    """
    silent = bool(record.failed) and not record.answered
    rate = shown.rate if shown else record.prior
    unknown = shown is None or not shown.cases
    return record.provider == "resident", not record.seats, silent, unknown, -rate, record.model_id


def _expert(record: ExpertRecord, shown: ModeRecord, mode: str) -> str:
    model = one_line(record.model_id, 60)
    names = ", ".join(one_line(name, 40) for name in record.seats)
    who = "resident analyst" if record.provider == "resident" else names or "not seated now"
    cases = f"{shown.right:.3g} of {shown.cases:.3g}" if shown.cases else "none: prior only"
    if mode and not shown.cases and record.records[0].cases:
        cases = "none here: from all modes"
    others = [r for r in record.records[1:] if r.mode != shown.mode]
    more = ", ".join(f"{one_line(r.mode, 30)} {r.rate:.0%} ({r.right:.3g} of {r.cases:.3g})" for r in others)
    failed = f", {record.failed} failed" if record.failed else ""
    median = "" if record.p50_s is None else f"{record.p50_s:.1f} s"
    return (
        f"| {model} ({who}) | {shown.rate:.0%} | {shown.low:.0%} to {shown.high:.0%} | {cases} | {record.prior:.0%} | {more} "
        f"| {record.answered}{failed} | {dollars(record.cost_usd)} | {median} |"
    )


def history_report(summaries: Sequence[Summary]) -> str:
    """Past consultations, one line each."""
    if not summaries:
        return "No consultations yet."
    rows = [
        f"| {s.id} | {s.started:%Y-%m-%d %H:%M} | {s.status} | {s.strategy}/{s.mode} | "
        f"{'' if s.confidence is None else f'{s.confidence:.0%}'} | {dollars(s.cost_usd)} | {one_line(s.question, 80)} |"
        for s in summaries
    ]
    return (
        "| id | started (UTC) | status | kind | confidence | cost | question |\n|---|---|---|---|---|---|---|\n"
        + "\n".join(rows)
    )


def found_report(found: Sequence[Found], told: Mapping[str, str], *, projects: bool = False) -> str:
    """What a search found as Markdown, best first, each with what became of it (`told`, by id) and words around the hits.

    `projects`: say of which project each is.
    """
    if not found:
        return NOTHING_FITS
    rows = []
    for number, one in enumerate(found, 1):
        facts, summary = one_line(_facts(one, told, projects), 200), one.summary
        head = f"{number}. `{summary.id}` {facts}: {one_line(summary.question, 160)}"
        around = _highlighted(one_line(_hits(one.snippet), 400), "**", "**")
        rows.append(f"{head}  \n   {around}" if around else head)
    return "\n".join(rows)


def found_text(
    found: Sequence[Found], told: Mapping[str, str], projects: bool = False, begins: str = "", ends: str = ""
) -> str:
    """As `found_report`, for a terminal: what was said as it is, with `begins` and `ends` around the hits."""
    if not found:
        return NOTHING_FITS
    rows = []
    for number, one in enumerate(found, 1):
        facts, summary = _unmarked(_facts(one, told, projects), 200), one.summary
        rows.append(f"{number}. {summary.id} {facts}: {_unmarked(summary.question, 160)}")
        if around := _highlighted(_plain_line(_hits(one.snippet), 400), begins, ends):
            rows.append(f"   {around}")
    return "\n".join(rows)


def _facts(one: Found, told: Mapping[str, str], projects: bool) -> str:
    summary = one.summary
    facts = (
        f"{summary.started:%Y-%m-%d}",
        summary.status,
        "" if summary.confidence is None else f"confidence {summary.confidence:.0%}",
        told.get(summary.id, ""),
        PurePath(summary.project).name if projects else "",
        "by meaning" if one.by == "meaning" else "",
    )
    return ", ".join(filter(None, facts))


def _hits(snippet: str) -> str:
    """A snippet with marks around its hits that stay while the text around them is made harmless."""
    return snippet.replace(BEGINS, "").replace(ENDS, "").replace("\x02", BEGINS).replace("\x03", ENDS)


def _highlighted(line: str, begins: str, ends: str) -> str:
    line += ENDS * (line.count(BEGINS) - line.count(ENDS))  # it may have been cut within one
    return line.replace(BEGINS, begins).replace(ENDS, ends)


def _plain_line(text: str, limit: int) -> str:
    """Untrusted text as one line of plain text, cut."""
    line = " ".join(plain(text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _unmarked(text: str, limit: int) -> str:
    return _plain_line(text.replace(BEGINS, "").replace(ENDS, ""), limit)
