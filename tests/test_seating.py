"""Who opens, at what price, how deep to go, and who judges."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from orchestra_mcp.council.depth import domain_of, effort_of
from orchestra_mcp.council.scales.experience import Experience
from orchestra_mcp.council.seating import Prices, able, chairs, judges, seat_council
from orchestra_mcp.errors import NotFound
from orchestra_mcp.types import Change, Dossier, Excerpt, Question, Seat, Trace

ASKED = Question(text="Why?")
NOTHING = Experience()


def seats(**priors: float) -> tuple[Seat, ...]:
    """Seats by name, each of a family of its own unless the name says `family_name`."""
    return tuple(
        Seat(name=name, model_id=name, family=name.partition("_")[0], prior=prior) for name, prior in priors.items()
    )


def names(chosen: tuple[Seat, ...]) -> list[str]:
    return [seat.name for seat in chosen]


def prices(**usd: str) -> Prices:
    return Prices({name: Decimal(value) for name, value in usd.items()})


def test_a_cheap_pair_of_different_families_opens_and_the_strongest_waits() -> None:
    council = seats(best=0.74, good=0.70, fair=0.66, weak=0.40)
    seating = seat_council(council, ASKED, NOTHING, prices(best="1", good=".15", fair=".02", weak=".01"))
    assert names(seating.openers) == ["good", "fair"]
    assert names(seating.reserve) == ["best", "weak"]
    assert "good and fair opened" in seating.why


def test_the_strongest_pair_within_a_quarter_of_the_best_price_goes_before_the_cheapest() -> None:
    council = seats(best=0.74, a=0.72, b=0.70, c=0.66)
    seating = seat_council(council, ASKED, NOTHING, prices(best="1", a=".12", b=".12", c=".01"))
    assert names(seating.openers) == ["a", "b"]
    # Where no pair is that cheap, the cheapest near the best opens.
    dear = seat_council(council, ASKED, NOTHING, prices(best="1", a=".6", b=".5", c=".4"))
    assert names(dear.openers) == ["b", "c"]


def test_one_family_does_not_open_twice_where_another_is_there() -> None:
    council = seats(acme_large=0.74, acme_small=0.72, other=0.66)
    assert names(seat_council(council, ASKED, NOTHING).openers) == ["acme_large", "other"]
    alone = seats(acme_large=0.74, acme_small=0.72)
    seating = seat_council(alone, ASKED, NOTHING)
    assert names(seating.openers) == ["acme_large", "acme_small"]
    assert "different families" not in seating.why


def test_what_was_learned_goes_before_priors() -> None:
    council = seats(famous=0.8, proven=0.6, third=0.5)
    known = Experience(skill={"famous": 0.5, "proven": 0.8, "third": 0.5})
    assert names(seat_council(council, ASKED, known, effort="quick").openers) == ["proven"]


def test_neither_the_order_of_seats_nor_their_names_choose_between_equals() -> None:
    council = seats(alpha=0.6, beta=0.6, gamma=0.6)
    first = [seat.model_id for seat in seat_council(council, ASKED, NOTHING).openers]
    renamed = tuple(seat.model_copy(update={"name": f"z{i}"}) for i, seat in enumerate(reversed(council)))
    assert [seat.model_id for seat in seat_council(renamed, ASKED, NOTHING).openers] == first


def test_named_experts_all_open_and_an_unknown_name_is_refused() -> None:
    council = seats(a=0.8, b=0.4, c=0.6)
    question = Question(text="Why?", experts=("b", "c"))
    chosen = able(council, question)
    seating = seat_council(chosen, question, NOTHING, prices(a="1", b="1", c="1"))
    assert names(seating.openers) == ["b", "c"]
    assert seating.reserve == ()
    with pytest.raises(NotFound, match="no expert 'd'"):
        able(council, Question(text="Why?", experts=("d",)))


def test_exploring_is_rare_and_never_takes_the_strongest_seat() -> None:
    council = seats(best=0.8, second=0.75, third=0.74, fourth=0.7)
    tried = 0
    for number in range(2000):
        seating = seat_council(council, ASKED, NOTHING, dice=random.Random(number))
        assert seating.openers[0].name == "best"
        tried += names(seating.openers) != ["best", "second"]
    # 5 % of 2,000 with a standard deviation of √(2000 · .05 · .95) = 9.7
    assert 60 < tried < 140
    assert names(seat_council(council, ASKED, NOTHING, dice=None).openers) == ["best", "second"]


def test_judges_are_non_authors_first_and_none_in_quarantine() -> None:
    council = seats(author=0.8, free=0.6, crooked=0.9)
    known = Experience(judging={"author": 1.0, "free": 0.5, "crooked": 0.0})
    assert names(judges(council, ["author"], frozenset(), 2, known)) == ["free", "author"]


def test_a_neutral_chair_nearly_as_strong_goes_before_the_winner() -> None:
    council = seats(winner=0.8, neutral=0.77, weak=0.5)
    assert names(chairs(council, ["winner"], frozenset(), NOTHING)) == ["neutral", "winner", "weak"]
    assert names(chairs(council, ["winner"], frozenset({"neutral"}), NOTHING))[0] == "winner"


def excerpt(path: str) -> Excerpt:
    return Excerpt(source="file", path=path, text="x", tokens=1, why="named")


@pytest.mark.parametrize(
    ("question", "dossier", "domain"),
    [
        ("Why?", Dossier(excerpts=(excerpt("a.ts"), excerpt("b.tsx"), excerpt("c.py"))), "typescript"),
        ("Why?", Dossier(files=("x.go", "README.md")), "go"),
        ("It crashes.", Dossier(traces=(Trace(language="java"),)), "java"),
        ("Complete:\n```rust\nfn main() {}\n```", Dossier(), "rust"),
        ("def f(x):\n    ...\nWhat is missing?", Dossier(), "python"),
        ("Should we hire?", Dossier(), "general"),
    ],
)
def test_the_domain_is_that_of_the_evidence_else_of_the_question(question: str, dossier: Dossier, domain: str) -> None:
    assert domain_of(Question(text=question), dossier) == domain


def test_effort_is_what_was_asked_for_and_auto_goes_deep_where_being_wrong_is_dear() -> None:
    assert effort_of(Question(text="Data loss!", effort="quick"), Dossier(), "debug")[0] == "quick"
    assert effort_of(Question(text="We had data loss in production."), Dossier(), "debug")[0] == "deep"
    assert effort_of(Question(text="Why is this slow?"), Dossier(), "performance")[0] == "standard"
    many = Dossier(changes=tuple(Change(path=f"{i}.py", status="modified") for i in range(12)))
    assert effort_of(Question(text="Review my changes."), many, "quality")[0] == "deep"
    errors = Dossier(
        traces=(Trace(language="python", exception="KeyError"), Trace(language="python", exception="OSError"))
    )
    assert effort_of(Question(text="What happens here?"), errors, "debug")[0] == "deep"
