"""`orchestra cost`: what calls cost, by any dimension, and which cheaper targets are known to do as well."""

from __future__ import annotations

import argparse
import csv
import io
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from orchestra_mcp.app.costing import discounts
from orchestra_mcp.cli.running import Usage
from orchestra_mcp.cli.terminal import Desk
from orchestra_mcp.council.scales.records import TRUST, hits_of, model_key
from orchestra_mcp.gateway.money.advice import ENOUGH, Advice, Paid, Tried, advise
from orchestra_mcp.gateway.money.prices import table_date
from orchestra_mcp.report import dollars
from orchestra_mcp.settings import Settings, load
from orchestra_mcp.store.costs import TIMES, CostLine, CostRow, lines, total
from orchestra_mcp.types import Label

UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
SHOWN = 5
"""Recommendations on a terminal; `--json` has all of them."""


def cost(args: argparse.Namespace, desk: Desk) -> int:
    """Sum up what calls cost."""
    import anyio

    now = datetime.now(UTC)
    since = moment(args.since, now)
    until = moment(args.until, now) if args.until else now + timedelta(seconds=1)
    if since >= until:
        raise Usage(f"--since {args.since} is not before --until {args.until or 'now'}")
    settings = load(os.environ)
    found, answers, labels = anyio.run(_read, settings, args.by, since, until)
    made = lines(found, discounts(settings, settings.models), by_time=args.by in TIMES)
    advices = advise(paid(answers, settings), tried(labels))
    if args.csv:
        desk.text(as_csv(args.by, made))
    elif desk.as_json:
        desk.document(document(args.by, since, until, made, advices))
    else:
        desk.markdown(report(args.by, since, made, advices))
    return 0


async def _read(
    settings: Settings, by: str, since: datetime, until: datetime
) -> tuple[tuple[CostRow, ...], tuple[CostRow, ...], tuple[Label, ...]]:
    from orchestra_mcp.store import open_store

    async with open_store(settings.home, strict=True) as store:
        found = await store.costs(by, since, until)  # type: ignore[arg-type]
        return found, await store.costs("use_case", since, until, "opinion"), await store.labels()


def moment(text: str, now: datetime) -> datetime:
    """When `7d` ago was, or the midnight of a date (UTC).

    Raises:
        Usage: it is neither.
    """
    if span := re.fullmatch(r"(\d{1,4})([hdw])", text.strip()):
        return now - int(span[1]) * UNITS[span[2]]
    try:
        given = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Usage(f"{text!r} is no time; give 12h, 7d, 4w, or a date such as 2026-11-01") from None
    return given if given.tzinfo else given.replace(tzinfo=UTC)


# ------------------------------------------------------------------------------------- what is compared


def paid(answers: Iterable[CostRow], settings: Settings) -> list[Paid]:
    """What the answers of each model cost, by use case, under the names that labels use; unpriced ones tell nothing."""
    sums: dict[tuple[str, str], tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
    for row in answers:
        if row.unpriced or not row.paid:
            continue
        spec = settings.models.get(row.model)
        who = row.value, model_key(row.model_id or (spec.model if spec else row.model))
        count, usd = sums[who]
        sums[who] = count + row.paid, usd + row.paid_usd
    return [Paid(use_case, model, count, usd) for (use_case, model), (count, usd) in sums.items()]


def tried(labels: Iterable[Label]) -> list[Tried]:
    """What became of each model's answers, by mode."""
    sums: dict[tuple[str, str], tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for label in labels:
        trust = TRUST.get(label.source, 1.0)
        for hit in hits_of(label):
            right, known = sums[label.mode, hit.model]
            weight = trust * hit.weight
            sums[label.mode, hit.model] = right + weight * hit.right, known + weight
    return [Tried(mode, model, right, known) for (mode, model), (right, known) in sums.items()]


# ------------------------------------------------------------------------------------- what is shown


def report(by: str, since: datetime, made: Sequence[CostLine], advices: Sequence[Advice]) -> str:
    """The whole report as Markdown."""
    title = f"**What calls cost since {since:%Y-%m-%d %H:%M} UTC, by {by.replace('_', ' ')}**"
    if not made:
        return f"{title}\n\nNo call was made in this time."
    summed = total(made)
    table = [
        f"| {by.replace('_', ' ')} | calls | failed | cached | tokens in | out | cost | share |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
        *(_row(line.value or "(none)", line, summed) for line in made),
        *([_row("**all**", summed, summed)] if len(made) > 1 else []),
    ]
    remarks = []
    if summed.unpriced:
        remarks.append(f"Calls without a known price, which are not in the cost: {summed.unpriced:,} (see [[prices]]).")
    if summed.cached:
        remarks.append(f"Answers from our caches saved about {dollars(summed.cache_saved_usd)}.")
    if summed.discount_usd:
        remarks.append(f"The vendors' prompt caches saved {dollars(summed.discount_usd)}, at today's prices.")
    remarks.append(f"Prices: {_prices()}; what was paid then stays as it was booked.")
    return "\n".join([title, "", *table, "", *(f"- {remark}" for remark in remarks), "", *_advice(advices)])


def _row(name: str, line: CostLine, summed: CostLine) -> str:
    share = f"{line.cost_usd / summed.cost_usd:.0%}" if summed.cost_usd else ""
    name = name.replace("|", "\\|")
    unpriced = " +?" if line.unpriced else ""
    return (
        f"| {name} | {line.attempts:,} | {line.errors or ''} | {line.cached or ''} | {line.input_tokens:,} | "
        f"{line.output_tokens:,} | {dollars(line.cost_usd)}{unpriced} | {share} |"
    )


def _prices() -> str:
    name, day = table_date()
    return f"{name}, newest of {day}" if day else name


def _advice(advices: Sequence[Advice]) -> list[str]:
    if not advices:
        return ["No cheaper target is worth naming among the models that answered the same kind of question."]
    known = [advice for advice in advices if advice.difference is not None]
    unknown = [advice for advice in advices if advice.difference is None]
    said = ["**Where less would do**", ""]
    said += [f"- {told(advice)}" for advice in (*known, *unknown)[:SHOWN]]
    if unknown:
        said += ["", f"A comparison takes {ENOUGH} known outcomes of each model: mark them with `orchestra outcome`."]
    return said


def told(advice: Advice) -> str:
    """A recommendation in words."""
    start = (
        f"{advice.use_case or 'all'}: {advice.cheap} in place of {advice.dear} costs {dollars(advice.cheap_usd)} an answer "
        f"against {dollars(advice.dear_usd)}, {dollars(advice.saves_usd)} less in this time"
    )
    shares = (
        f"right in {advice.cheap_tried[0]:g} of {advice.cheap_tried[1]:g} against "
        f"{advice.dear_tried[0]:g} of {advice.dear_tried[1]:g}"
    )
    if advice.difference is None:
        return f"{start}; not enough outcomes to tell whether it does as well ({shares})."
    value, low, high = (f"{100 * share:+.0f}" for share in advice.difference)
    verdict = {
        "as good": "take it where that is good enough",
        "not told apart": "too few outcomes to rule out that it is worse",
    }[advice.verdict]
    return f"{start}; {shares}: {value} points (90 % interval {low} to {high}); {verdict}."


def document(
    by: str, since: datetime, until: datetime, made: Sequence[CostLine], advices: Sequence[Advice]
) -> dict[str, object]:
    """The whole report for `--json`; money is text, so that no digit is lost."""
    return {
        "by": by,
        "since": since.isoformat(),
        "until": until.isoformat(),
        "lines": [line.model_dump(mode="json") for line in made],
        "total": total(made).model_dump(mode="json", exclude={"value"}),
        "prices": _prices(),
        "recommendations": [
            {**advice._asdict(), "difference": advice.difference and advice.difference._asdict()} for advice in advices
        ],
    }


def as_csv(by: str, made: Sequence[CostLine]) -> str:
    """The lines for a spreadsheet; a name that looks like a formula gets an apostrophe before it."""
    written = io.StringIO()
    names = [name for name in CostLine.model_fields if name != "value"]
    table = csv.writer(written, lineterminator="\n")
    table.writerow([by, *names])
    for line in made:
        # One line without blanks before it: a carriage return would not be quoted, and blanks hide a formula.
        value = " ".join(line.value.split())
        value = f"'{value}" if value[:1] in ("=", "+", "-", "@") else value
        table.writerow([value, *(getattr(line, name) for name in names)])
    return written.getvalue().rstrip("\n")
