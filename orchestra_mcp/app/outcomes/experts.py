"""Each expert's track record: how often it was right by mode, on how many cases that rests, what it cost and how quick it is.

A rate is Beta-distributed: the model's prior, worth `PRIOR_COUNT` cases as in `council/scales/experience.py`, and the cases, weighed by
certainty and age. In one mode these are the cases of that mode alone, so that what is shown rests on what is counted
beside it; the council itself also goes by what is known of the other modes, and by how hard the questions were.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import anyio.to_thread

from orchestra_mcp.council.minutes import RESIDENT_PRIOR
from orchestra_mcp.council.residents import RESIDENTS
from orchestra_mcp.council.scales.confidence import sigmoid
from orchestra_mcp.council.scales.experience import JUDGE_COUNT, PRIOR_COUNT
from orchestra_mcp.council.scales.intervals import credible
from orchestra_mcp.council.scales.records import Record, age, hits_of, model_key, model_of
from orchestra_mcp.council.scales.weights import logit
from orchestra_mcp.gateway.vendors.catalog import family_of, prior_of
from orchestra_mcp.report import place
from orchestra_mcp.store.base import Store
from orchestra_mcp.store.costs import CostRow
from orchestra_mcp.types import ExpertRecord, Label, Latency, ModeRecord, Seat

CALLS = timedelta(days=90)
"""Over which calls, costs and times are counted."""
ALL, JUDGING = "all", "judging"
"""What stands in place of a mode: all of them, and how often a judge put what proved right before the rest."""


@dataclass
class _Known:
    """What the labels say of one model."""

    id: str
    overall: Record = field(default_factory=Record)
    modes: defaultdict[str, Record] = field(default_factory=lambda: defaultdict(Record))
    judged: Record = field(default_factory=Record)


async def experts(seats: Sequence[Seat], store: Store) -> tuple[ExpertRecord, ...]:
    """The records of those who sit, then of those who sat once, in the order of `report.place`; residents last.

    Args:
        seats: who sits now.
        store: has the outcomes and the calls.

    Raises:
        StoreError: the store cannot be used.
    """
    now = datetime.now(UTC)
    labels = await store.labels()
    spent = await store.costs("model_id", now - CALLS)
    paces = await store.latency("model_id", now - CALLS)
    return await anyio.to_thread.run_sync(records, seats, labels, spent, paces, now)


def records(
    seats: Sequence[Seat], labels: Sequence[Label], spent: Sequence[CostRow], paces: Sequence[Latency], now: datetime
) -> tuple[ExpertRecord, ...]:
    """As `experts`, from what the store has. Pure."""
    known = _known(labels, now)
    named: dict[str, list[Seat]] = defaultdict(list)
    for seat in seats:
        named[model_of(seat)].append(seat)
    calls, times = _calls(spent, seats), _times(paces)
    made = []
    for key in dict.fromkeys((*named, *known)):
        found = _record(known.get(key) or _Known(named[key][0].model_id or named[key][0].model), named.get(key, []))
        answered, failed, cost = calls.get(key, (0, 0, Decimal(0)))
        update = {"answered": answered, "failed": failed, "cost_usd": cost, "p50_s": times.get(key)}
        made.append(found.model_copy(update=update))
    return tuple(sorted(made, key=lambda record: place(record, record.records[0])))


def _known(labels: Iterable[Label], now: datetime) -> dict[str, _Known]:
    """What labels say, by the name under which a model's record is kept."""
    found: dict[str, _Known] = {}
    for label in labels:
        share = age(label, now)
        for id in (id for cluster in label.clusters for id in cluster):
            found.setdefault(model_key(id), _Known(id))
        for hit in hits_of(label):
            found[hit.model].overall.add(hit, share)
            found[hit.model].modes[label.mode].add(hit, share)
        for judge, pairs, right in _pairs(label):
            record = found.setdefault(model_key(judge), _Known(judge)).judged
            record.total += label.weight * share * pairs
            record.hits += label.weight * share * right
    return found


def _pairs(label: Label) -> Iterator[tuple[str, int, int]]:
    """Each judge, how many solutions it compared with the right one, and before how many of them it put that one."""
    for judge, order in label.rankings:
        if label.right is not None and label.right in order:
            yield judge, len(order) - 1, len(order) - 1 - order.index(label.right)


def _record(known: _Known, seats: Sequence[Seat]) -> ExpertRecord:
    resident = not seats and known.id in RESIDENTS
    prior = seats[0].prior if seats else RESIDENT_PRIOR if resident else prior_of(known.id)
    prior = min(0.99, max(0.01, prior))
    overall = _mode(ALL, known.overall, prior, PRIOR_COUNT)
    modes = [_mode(mode, record, prior, PRIOR_COUNT) for mode, record in known.modes.items()]
    modes.sort(key=lambda made: (-made.cases, made.mode))
    if known.judged.total:
        modes.append(_mode(JUDGING, known.judged, sigmoid(0.5 * logit(overall.rate)), JUDGE_COUNT))
    return ExpertRecord(
        model_id=known.id,
        seats=tuple(seat.name for seat in seats),
        provider="resident" if resident else seats[0].provider if seats else "",
        family="" if resident else seats[0].family if seats else family_of(known.id),
        prior=prior,
        records=(overall, *(made for made in modes if made.cases)),
    )


def _mode(mode: str, record: Record, mean: float, worth: float) -> ModeRecord:
    hits, total = min(record.hits, record.total), record.total
    low, high = credible(hits, total - hits, mean, worth)
    return ModeRecord(
        mode=mode, cases=total, right=hits, rate=(worth * mean + hits) / (worth + total), low=low, high=high
    )


def _calls(spent: Iterable[CostRow], seats: Sequence[Seat]) -> Mapping[str, tuple[int, int, Decimal]]:
    """Model → its answered calls, failed ones and their cost."""
    names = {seat.model: model_of(seat) for seat in seats}
    found: dict[str, tuple[int, int, Decimal]] = {}
    for row in spent:
        key = model_key(row.value) if row.value else names.get(row.model, model_key(row.model))
        answered, failed, cost = found.get(key, (0, 0, Decimal(0)))
        found[key] = (answered + row.answered, failed + row.errors, cost + row.cost_usd)
    return found


def _times(paces: Iterable[Latency]) -> Mapping[str, float]:
    """Model → median seconds of its answered calls, where several spellings have some that of most calls."""
    best: dict[str, Latency] = {}
    for pace in paces:
        key = model_key(pace.value)
        if pace.value and (key not in best or best[key].calls < pace.calls):
            best[key] = pace
    return {key: pace.p50_s for key, pace in best.items()}
