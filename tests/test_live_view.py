"""What the live view shows of a council at each moment, and how events of other processes are retold."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from orchestra_mcp.council.verdicts import conclude
from orchestra_mcp.types import (
    Absence,
    Ballot,
    CallRecord,
    Claim,
    Consultation,
    Dossier,
    Event,
    Excerpt,
    Opinion,
    Question,
    Usage,
)
from orchestra_mcp.web.events import Retelling, remembered
from orchestra_mcp.web.pages.askform import Form, again, ask_of, read
from orchestra_mcp.web.pages.live import parts
from orchestra_mcp.web.pages.livefeed import minutes_of
from orchestra_mcp.web.pages.livenouns import Sight, View
from orchestra_mcp.web.pages.liveview import view

RUN = "abcdefghijkl"


def event(kind: str, seat: str = "", seconds: float = 0.0, detail: str = "") -> Event:
    return Event.model_validate({"run": RUN, "kind": kind, "seat": seat, "seconds": seconds, "detail": detail})


def opinion(seat: str, position: str, round: int = 1, *checks: str) -> Opinion:
    claims = tuple(
        Claim.model_validate({"text": "so it is", "path": "a.py", "line": 1, "check": {"outcome": check}})
        for check in checks
    )
    return Opinion(
        seat=seat, family="x" + seat, position=position, answer="Because.", round=round, claims=claims, seconds=2.0
    )


def kept(*events: Event, **more: Any) -> Consultation:
    given = {"id": RUN, "thread": RUN, "question": Question(text="Why?"), "status": "running", **more}
    return Consultation(started=datetime(2026, 11, 21, tzinfo=UTC), events=events, **given)


def seen(found: Consultation, elapsed: float = 9.0, **more: Any) -> View:
    verdict = conclude(minutes_of(found)) if any(o.kind == "model" for o in found.opinions) else None
    return view(Sight(kept=found, elapsed=elapsed, verdict=found.verdict or verdict, **more))


ASKED = (event("collecting"), event("collected"), event("asked", "ada", 1.0), event("asked", "bob", 1.5))


def steps(found: View) -> list[str]:
    return [stage.step for stage in found.stages]


def test_before_anybody_is_asked_the_evidence_is_collected() -> None:
    found = seen(kept(event("collecting"), dossier=Dossier()))
    assert found.stages[0].note == "", "whether there is any is not known yet"
    assert steps(found) == ["now", "later", "later", "later", "later"]
    assert found.now == "Collecting the evidence"
    assert found.said == "The council is collecting the evidence."
    assert found.cards == ()


def test_who_was_asked_thinks_until_it_answers_or_is_absent() -> None:
    away = Absence(seat="bob", kind="server", reason="bob failed", seconds=3.0)
    found = seen(kept(*ASKED))
    assert [(card.name, card.state, card.since) for card in found.cards] == [
        ("ada", "thinking", 1.0),
        ("bob", "thinking", 1.5),
    ]
    found = seen(
        kept(*ASKED, opinions=(opinion("ada", "It is the slice", 1, "verified", "refuted"),), absences=(away,))
    )
    ada, bob = found.cards
    assert (ada.state, ada.position, ada.took) == ("answered", "It is the slice", 2.0)
    assert (ada.claims.verified, ada.claims.refuted, ada.claims.unchecked) == (1, 1, 0)
    assert (bob.state, bob.reason, bob.since) == ("absent", "bob failed", None)
    assert (found.answered, found.asked) == (1, 2)
    assert found.said == "1 of 2 experts have answered. bob is absent."


def test_an_opinion_counts_before_its_event_was_written_down() -> None:
    """Entries of other processes may come to the store ahead of the events that go with them."""
    found = seen(kept(event("collecting"), opinions=(opinion("ada", "It is the slice"),)))
    assert [(card.name, card.state) for card in found.cards] == [("ada", "answered")]
    assert found.stages[1].step != "later"


def test_the_matrix_fills_in_and_what_is_not_known_stays_open() -> None:
    one = seen(kept(*ASKED, opinions=(opinion("ada", "It is the slice"),)))
    assert [(name, [cell.mark for cell in cells]) for name, cells in one.matrix.rows] == [
        ("ada", ["✓"]),
        ("bob", ["—"]),
    ]
    two = seen(kept(*ASKED, opinions=(opinion("ada", "It is the slice"), opinion("bob", "Nothing is dropped at all"))))
    cells = {name: [cell.stance for cell in row] for name, row in two.matrix.rows}
    assert sorted(cells["ada"]) == sorted(cells["bob"]) == ["doubts", "supports"]
    assert cells["ada"] == cells["bob"][::-1], "each holds its own and doubts the other's"
    assert [column.rank for column in two.matrix.columns] == [1, 2]


def test_a_changed_mind_and_a_second_round_are_shown() -> None:
    again_asked = (*ASKED, event("asked", "ada", 4.0))
    first = opinion("ada", "It is the slice")
    found = seen(kept(*again_asked, opinions=(first,)))
    assert (found.cards[0].state, found.cards[0].doing, found.cards[0].since) == (
        "answered",
        "thinking again, round 2",
        4.0,
    )
    found = seen(kept(*again_asked, opinions=(first, opinion("ada", "It is the split", 2))))
    card = found.cards[0]
    assert (card.position, card.before, card.round, card.doing) == ("It is the split", "It is the slice", 2, "")


def test_reviews_and_the_synthesis_are_shown_on_the_seat_that_does_them() -> None:
    both = (opinion("ada", "It is the slice"), opinion("bob", "Nothing is dropped at all"))
    events = (*ASKED, event("answered", "ada", 3), event("answered", "bob", 3), event("reviewing", "eva", 5.0))
    found = seen(kept(*events, opinions=both))
    eva = found.cards[-1]
    assert (eva.name, eva.state, eva.doing, eva.since) == ("eva", "judging", "reviewing the others, unsigned", 5.0)
    assert steps(found) == ["done", "done", "skipped", "now", "later"], "nothing was run or compared"
    assert found.asked == 2, "a judge was not asked for an answer"
    ballot = Ballot(judge="eva", shown=("ada", "bob"), ranking=("bob", "ada"))
    found = seen(kept(*events, event("voted", "eva", 6), event("ruling", "bob", 7.0), opinions=both, ballots=(ballot,)))
    bob, eva = found.cards[1], found.cards[-1]
    assert (bob.doing, bob.since) == ("writing the synthesis", 7.0)
    assert (eva.doing, eva.ranked) == ("", ("bob", "ada"))
    assert steps(found)[-2:] == ["done", "now"]


def test_who_was_told_to_stop_is_neither_absent_nor_awaited() -> None:
    found = seen(kept(*ASKED, opinions=(opinion("ada", "It is the slice"),)), awaited=(), stage="hearing the experts")
    assert found.cards[1].state == "spared"
    assert (found.answered, found.asked) == (1, 1)


def test_when_it_is_closed_nobody_is_at_anything() -> None:
    closed = (*ASKED, event("reviewing", "ada", 4), event("closed", "", 5, "cancelled"))
    found = seen(kept(*closed, status="cancelled", opinions=(opinion("ada", "It is the slice"),)))
    assert found.closed
    assert found.said == "The consultation has ended: cancelled."
    assert [(card.state, card.doing) for card in found.cards] == [("answered", ""), ("spared", "")]
    assert "now" not in steps(found)


def test_what_it_costs_is_the_sum_of_all_calls() -> None:
    usage = Usage(calls=1, input_tokens=100, output_tokens=50, cost_usd=Decimal("0.01"))
    call = CallRecord(run=RUN, purpose="opinion", model="ada", provider="x", usage=usage)
    failed = CallRecord(
        run=RUN, purpose="opinion", model="bob", provider="x", usage=Usage(calls=1, unpriced=1), error="server"
    )
    found = seen(kept(*ASKED, calls=(call, call, failed)))
    assert (found.money.usd, found.money.tokens, found.money.calls, found.money.unpriced) == (
        Decimal("0.02"),
        300,
        3,
        1,
    )


def test_a_part_changes_only_with_its_facts() -> None:
    first = parts(seen(kept(*ASKED), elapsed=3.0))
    later = parts(seen(kept(*ASKED), elapsed=8.0))
    assert later == first, "clocks tick in the browser"
    answered = parts(seen(kept(*ASKED, opinions=(opinion("ada", "It is the slice"),))))
    changed = {a.id for a, b in zip(first, answered, strict=True) if a != b}
    assert first[3].id not in changed, "bob still thinks"
    assert {first[2].id, "live-facts", "live-stages", "live-matrix"} == changed


@pytest.mark.parametrize(
    "text", ['<b onclick="x()">bold</b>', "</article><script>1</script>", "a\u202eb\u200bc\x1b[31m"]
)
def test_what_experts_say_is_text(text: str) -> None:
    hostile = opinion(text, text)
    away = Absence(seat="bob", kind="server", reason=text)
    html = "".join(part.html for part in parts(seen(kept(*ASKED, opinions=(hostile,), absences=(away,)))))
    assert not [mark for mark in ("<b ", "<script", 'onclick="') if mark in html]
    assert not {"\u202e", "\u200b", "\x1b"} & set(html)


def test_the_evidence_is_counted() -> None:
    dossier = Dossier(excerpts=(Excerpt(source="file", path="a.py", text="x", tokens=1, why="asked for"),) * 2)
    assert seen(kept(*ASKED, dossier=dossier)).stages[0].note == "2 excerpts of 1 file"
    assert seen(kept(*ASKED, dossier=Dossier())).stages[0].note == "none needed"


# ---------------------------------------------------------------------------------------- events of other processes


def test_events_that_were_written_down_are_retold_each_once() -> None:
    telling = Retelling()
    assert telling.fresh(kept(*ASKED[:2])) == ASKED[:2]
    assert telling.fresh(kept(*ASKED[:2])) == ()
    assert telling.fresh(kept(*ASKED)) == ASKED[2:]
    again_asked = event("asked", "ada", 5.0)
    assert telling.fresh(kept(*ASKED, again_asked)) == (again_asked,), "the same words, another round"


def test_an_entry_ahead_of_its_event_is_not_told_twice() -> None:
    telling = Retelling()
    said = opinion("ada", "It is the slice")
    assert [e.kind for e in telling.fresh(kept(opinions=(said,)))] == ["answered"]
    answered = event("answered", "ada", 3.0, "It is the slice")
    assert telling.fresh(kept(*ASKED, answered, opinions=(said,))) == ASKED


def test_a_consultation_that_died_is_closed_all_the_same() -> None:
    assert [e.kind for e in remembered(kept(*ASKED, status="interrupted"))][-1] == "closed"
    whole = (*ASKED, event("closed", "", 5, "complete"))
    assert remembered(kept(*whole, status="complete")) == whole


# ------------------------------------------------------------------------------------------------------- the form


def test_a_form_makes_the_question_that_was_typed() -> None:
    given = {
        "question": ["  Why?\r\nReally. "], "project": ["other"], "folder": [" /srv/records "], "effort": ["deep"],
        "experts": ["ada", "bob", "ada"], "files": ["a.py\r\n\r\n tests/*.py "], "max_cost": ["$1,50"],
        "positions": ["ignored"], "local_only": ["yes"],
    }  # fmt: skip
    ask, faults = ask_of(read(given))
    assert not faults
    assert ask is not None
    assert (ask.question, ask.project_dir, ask.effort) == ("Why?\nReally.", "/srv/records", "deep")
    assert (ask.experts, ask.files, ask.max_cost_usd) == (("ada", "bob"), ("a.py", "tests/*.py"), Decimal("1.50"))
    assert (ask.positions, ask.local_only) == ((), True), "positions are for debates"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("question", " \n"), ("mode", "loud"), ("effort", "more"), ("strategy", "war"), ("max_cost", "1e999"),
        ("max_cost", "-1"), ("max_cost", "NaN"), ("error", "x" * 400_001), ("continues", "x" * 5000),
    ],
)  # fmt: skip
def test_what_cannot_be_is_blamed_on_its_field(field: str, value: str) -> None:
    ask, faults = ask_of(read({"question": ["Why?"], field: [value]}))
    assert ask is None
    assert list(faults) == [field]


def test_rounds_matter_in_a_debate() -> None:
    given = {"question": ["Which?"], "strategy": ["debate"], "rounds": ["9"], "positions": ["A\nB"]}
    assert list(ask_of(read(given))[1]) == ["rounds"]
    ask, _ = ask_of(read({**given, "rounds": ["2"]}))
    assert ask is not None
    assert (ask.rounds, ask.positions) == (2, ("A", "B"))


def test_asking_again_fills_in_the_same_question() -> None:
    asked = Question(
        text="Why?", mode="debug", files=("a.py",), error="boom", effort="quick", max_cost_usd=Decimal("0.5")
    )
    ask, faults = ask_of(again(asked))
    assert not faults
    assert ask is not None
    assert (ask.question, ask.mode, ask.files, ask.error) == ("Why?", "debug", ("a.py",), "boom")
    assert (ask.effort, ask.max_cost_usd) == ("quick", Decimal("0.5"))
    assert Form(project="/a", folder="/b").project_dir == "/a"
