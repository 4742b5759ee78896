"""From what became of a verdict's solutions to a label that the council learns from. Pure.

A label speaks of models by their vendor's id, never of seats: a track record survives a change of names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from orchestra_mcp.errors import UserError
from orchestra_mcp.types import Consultation, Label, Opinion, OutcomeName, OutcomeSource, Verdict

T = TypeVar("T")

WORDS: dict[OutcomeName, str] = {"worked": "worked", "partly": "partly worked", "wrong": "was wrong"}


def label_of(
    consultation: Consultation,
    marks: Sequence[tuple[int, OutcomeName]],
    source: OutcomeSource = "user",
) -> Label:
    """What is to be learned from a consultation, once it is known what became of its solutions.

    Args:
        consultation: as the store keeps it, with its verdict.
        marks: pairs of a solution's rank (counted from 1) and what became of it; several make one label.
        source: whose word it is: the user's, that of a verify command, or a later commit's.

    Raises:
        UserError: it still runs, has no solutions, or none of that number; the message says what to do.
    """
    verdict = _verdict(consultation)
    for rank, _ in marks:
        if not 1 <= rank <= len(verdict.solutions):
            raise UserError(_no_such(consultation, verdict, rank))
    ids = _model_ids(consultation.opinions)
    clusters = tuple(_unique(ids.get(seat, seat) for seat in solution.seats) for solution in verdict.solutions)
    return Label(
        consultation=consultation.id,
        mode=verdict.mode,
        domain=verdict.domain,
        clusters=clusters,
        evidence=verdict.agreement.evidence,
        features=verdict.features,
        proof=verdict.proof,
        rankings=tuple(_rankings(consultation, verdict, ids)),
        source=source,
    ).marked(marks)


def noted(label: Label, outcome: OutcomeName, solution: int) -> str:
    """What was learned from a mark, in a sentence or two for whoever made it."""
    word = WORDS[outcome]
    topic = "/".join(part for part in (label.mode, label.domain) if part not in ("", "auto"))
    about = f" about {topic}" if topic else ""
    right = label.clusters[label.right] if label.right is not None else ()
    beside = (id for index, ids in enumerate(label.clusters) if index != label.right for id in ids)
    if label.right is None:
        beside = (id for index in label.wrong for id in label.clusters[index])
    others = tuple(id for id in _unique(beside) if id not in right)
    said = [f"Noted: solution {solution} {word}."]
    if label.told != f"solution {solution} {word}":
        said.append(f"Known so far: {label.told}.")
    if right:
        much = "count" if label.weight >= 1 else "count by half"
        rest = f", {', '.join(others)} as not" if others else ""
        said.append(f"{', '.join(right)} {much} as right{about}{rest}.")
    elif others:
        said.append(f"{', '.join(others)} count as not right{about}. If another solution worked, mark that one too.")
    return " ".join(said)


def _verdict(consultation: Consultation) -> Verdict:
    """The verdict, if its solutions can be marked."""
    id = consultation.id
    if consultation.status == "running":
        raise UserError(
            f'Consultation {id} is still running: wait for its end (get_consultation(id="{id}", wait_s=40), or '
            f"`orchestra show {id}`), try a solution, and mark it then."
        )
    if consultation.verdict is None or not consultation.verdict.solutions:
        raise UserError(
            f"Consultation {id} ({consultation.status}) ended without a solution, so there is nothing to mark: ask "
            f"again with consultation_id={id}, or name another consultation."
        )
    return consultation.verdict


def _no_such(consultation: Consultation, verdict: Verdict, rank: int) -> str:
    known = len(verdict.solutions)
    there_are = "only solution 1" if known == 1 else f"solutions 1 to {known}"
    return (
        f"Consultation {consultation.id} has no solution {rank}; it has {there_are}. The number is the one under "
        f"“Ranked solutions” in its report."
    )


def _model_ids(opinions: Iterable[Opinion]) -> dict[str, str]:
    """Seat → the id under which its record is kept; a resident analyst's is its name."""
    return {
        opinion.seat: opinion.seat if opinion.kind == "resident" else opinion.model_id or opinion.model or opinion.seat
        for opinion in opinions
    }


def _rankings(
    consultation: Consultation, verdict: Verdict, ids: Mapping[str, str]
) -> Iterable[tuple[str, tuple[int, ...]]]:
    """Each ballot as judge and order of solutions; a solution stands where the first of its seats stands.

    A ballot that ranks fewer than two solutions compares nothing and is left out.
    """
    place = {seat: index for index, solution in enumerate(verdict.solutions) for seat in solution.seats}
    for ballot in consultation.ballots:
        order = _unique(place[seat] for seat in ballot.ranking if seat in place)
        if len(order) > 1:
            yield ballot.model_id or ids.get(ballot.judge, ballot.judge), order


def _unique(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))
