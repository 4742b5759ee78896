"""From minutes to a verdict, at any moment and without a model. Pure.

The order is that of `ranking`, never the chair's; the chair's words, when there are any, become the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest

from orchestra_mcp.council.answers.likeness import normal, word_overlap
from orchestra_mcp.council.answers.sides import FOR_AND_AGAINST
from orchestra_mcp.council.checks import next_check, what_would_decide
from orchestra_mcp.council.headlines import count, headline, status_of
from orchestra_mcp.council.matrix import matrix
from orchestra_mcp.council.minutes import RESIDENT_PRIOR, Minutes
from orchestra_mcp.council.prompts.fencing import unstamped
from orchestra_mcp.council.prompts.files import versions
from orchestra_mcp.council.ranking import Ranked, defects, model_of, open_accusations, rank, tied
from orchestra_mcp.council.scales import confidence as sureness
from orchestra_mcp.council.scales.weights import soundness
from orchestra_mcp.council.wording import basis, checked, merge, merge_claims
from orchestra_mcp.types import Agreement, Argument, Claim, Dissent, Dossier, Opinion, Sent, Solution, Status, Verdict

NOBODY_RIGHT = 0.5
"""Where the first solution is wrong, the chance that none of the others is right either (measured .35 to .56)."""
MINORITY = 0.15
"""Probability from which a minority report is due."""
UNSURE = 0.6
"""Confidence below which the report names the cheapest check that would settle it."""
JUDGES_LETTER = re.compile(r"\b(?:answer|candidate|option|expert)\s+[A-J]\b", re.IGNORECASE)
"""A letter means another answer to every judge, and to the chair."""
LOWER_MEANT = 0.6
"""Share of common words from which a chair's line is taken to mean a lower solution (a design choice)."""


def conclude(minutes: Minutes, final: bool = False, cancelled: bool = False) -> Verdict:
    """The best verdict that the minutes allow.

    Args:
        minutes: what has happened so far.
        final: whether the council is closed; otherwise the verdict's status is `running`.
        cancelled: whether it was closed before its time.
    """
    opinions = minutes.standing() or tuple(minutes.residents)
    ranked, agreed = rank(opinions, minutes) if minutes.opinions else line_up(opinions)
    x, sure = _confidence(ranked, agreed, minutes)
    solutions = _solutions(ranked, sure, minutes)
    sure = solutions[0].probability if solutions and minutes.opinions else sure
    synthesis = minutes.synthesis
    status: Status = "cancelled" if cancelled else status_of(minutes, final)
    shifts = minutes.shifts()
    return Verdict(
        id=minutes.id,
        question=minutes.question.text,
        strategy=minutes.question.strategy,
        mode=minutes.mode,
        domain=minutes.domain,
        effort=minutes.effort,
        seating=minutes.seating,
        prompts=versions(),
        status=status,
        headline=headline(minutes, status),
        answer=synthesis.answer if synthesis else merge(ranked, minutes),
        plan=(synthesis.plan if synthesis else ()) or _merge_plans(ranked),
        solutions=solutions,
        dissent=_dissent(ranked, solutions, minutes),
        confidence=round(sure, 3),
        confidence_basis=basis(ranked, agreed, minutes),
        features=tuple(round(value, 6) for value in x),
        proof=round(offset(ranked[0]), 6) if x else 0.0,
        next_check=next_check(ranked, minutes) if minutes.opinions and sure < UNSURE else "",
        agreement=agreed,
        matrix=matrix(ranked, minutes) if minutes.opinions else (),
        shifts=shifts,
        arguments=_arguments(ranked) if minutes.question.strategy == "debate" and minutes.opinions else (),
        would_change=(synthesis.would_change if synthesis else "")
        or next((o.would_change for r in ranked for o in r.opinions if o.would_change), ""),
        rounds=max((o.round for o in minutes.opinions), default=1),
        stopped=minutes.stopped,
        answered=minutes.answered(),
        absent=tuple(minutes.absences),
        chair=synthesis.seat if synthesis else "",
        findings=_findings(minutes.residents, opinions),
        notes=tuple(dict.fromkeys((*minutes.dossier.notes, *_past(minutes.dossier), *minutes.notes))),
        sent=_sent(minutes),
        usage=minutes.usage,
        seconds=round(minutes.seconds, 1),
        quorum_s=None if minutes.quorum_s is None else round(minutes.quorum_s, 3),
        follow_up=minutes.follow_up,
        continues=minutes.question.continues,
    )


def line_up(residents: Sequence[Opinion]) -> tuple[tuple[Ranked, ...], Agreement]:
    """Residents in the order of how much each found, by its own reckoning: they are our code, and look at different things."""
    ordered = sorted(residents, key=lambda o: -(o.confidence or 0.0))
    ranked = tuple(
        Ranked((o,), soundness(o.claims), 0.0, 0.0, soundness(o.claims), "single", "", (), False) for o in ordered
    )
    return ranked, Agreement(share=1.0, evidence="single", independent_votes=1.0) if ranked else Agreement()


def follows_the_order(position: str, solutions: Sequence[Solution]) -> bool:
    """False when a chair's line says what a lower solution says, and not what the first one says."""

    def nearness(solution: Solution) -> float:
        said, held = normal(position), normal(solution.position)
        if held and f"{said} ".startswith(f"{held} "):
            return 1.0
        overlap, strict = word_overlap(position, solution.position)
        return overlap if strict else 0.0

    if len(solutions) < 2:
        return True
    other = max(nearness(solution) for solution in solutions[1:])
    return other < LOWER_MEANT or other <= nearness(solutions[0])


def notes_for_chair(verdict: Verdict, minutes: Minutes) -> str:
    """The settled order and what reviewers hold against whom, without names."""
    letters = {seat: letter for letter, s in zip("ABC", verdict.solutions, strict=False) for seat in s.seats}
    lines = [
        f"{letter} stands {place}: probability {solution.probability:.0%}, {count(len(solution.seats), 'expert')}, {checked(solution.claims)}."
        for letter, place, solution in zip("ABC", ("first", "second", "third"), verdict.solutions, strict=False)
    ]
    for letter, solution in zip("ABC", verdict.solutions, strict=False):
        lines += [f"Running {letter} showed: {solution.shown}."] if solution.shown else []
    for defect in defects(minutes):
        if defect.candidate in letters:
            check = f" [{defect.claim.check.outcome}]" if defect.claim.check else ""
            text = unstamped(JUDGES_LETTER.sub("another answer", defect.claim.text))
            lines.append(f"A reviewer holds against {letters[defect.candidate]}: {text}{check}")
    return "\n".join(lines[:16])


def _confidence(ranked: Sequence[Ranked], agreed: Agreement, minutes: Minutes) -> tuple[tuple[float, ...], float]:
    """What the confidence rests on, as the x of its logistic, and the confidence."""
    if not ranked:
        return (), 0.0
    if ranked[0].opinions[0].kind == "resident":
        # They read the same few lines, so that agreeing proves little: never surer than what was measured.
        best = max(soundness(o.claims) for o in ranked[0].opinions)
        return (), min(RESIDENT_PRIOR, RESIDENT_PRIOR * min(1.0, best / 0.85))
    skills = [_skills(r, minutes) for r in ranked]
    x = sureness.features(skills, agreed.evidence)
    best = max(soundness(o.claims) for o in ranked[0].opinions)
    coefficients = minutes.experience.coefficients
    return x, sureness.probability(x, agreed.evidence, max(skills[0]), best, coefficients, offset(ranked[0]))


def offset(first: Ranked) -> float:
    """What tests and verified defects say of the first solution beside the agreement, in log-odds."""
    return first.proof - first.lost


def _skills(ranked: Ranked, minutes: Minutes) -> list[float]:
    """How often those who gave a solution are right; one model that sits twice counts once."""
    return list({model_of(o, minutes): minutes.skill(o.seat) for o in ranked.opinions}.values())


def _solutions(ranked: Sequence[Ranked], sure: float, minutes: Minutes) -> tuple[Solution, ...]:
    chances = _chances(ranked, sure, minutes)
    return tuple(
        Solution(
            rank=place,
            position=r.opinions[0].position,
            answer=r.opinions[0].answer,
            score=r.score,
            probability=round(chances[place - 1], 3),
            seats=r.seats,
            families=tuple(dict.fromkeys(o.family for o in r.opinions if o.family)),
            claims=merge_claims(r.opinions),
            risks=r.opinions[0].risks,
            assumptions=r.opinions[0].assumptions,
            plan=r.opinions[0].plan,
            patch=next((o.patch for o in r.opinions if o.patch), ""),
            code=r.opinions[0].code,
            evidence=r.evidence,
            shown=r.shown,
            defects=open_accusations(r)[:6],
            checks=minutes.found.checks.get((r.opinions[0].seat, r.opinions[0].round), ()),
        )
        for place, r in enumerate(ranked, 1)
    )


def _chances(ranked: Sequence[Ranked], sure: float, minutes: Minutes) -> list[float]:
    """Probability of each solution: what is left by the first goes to the others by their scores, half of it to none.

    In a debate between two sides one of them is right; solutions of equal score are equally probable.
    """
    sides = minutes.question.strategy == "debate" and len(minutes.question.positions or FOR_AND_AGAINST) == 2
    nobody = 0.0 if sides and len(ranked) == 2 else NOBODY_RIGHT
    rest = sum(max(0.05, r.score) for r in ranked[1:]) or 1.0
    left = [min(sure, (1 - sure) * (1 - nobody) * max(0.05, r.score) / rest) for r in ranked[1:]]
    if nobody == 0.0:
        left = [1 - sure]
    chances = [sure, *left]
    level = [index for index, r in enumerate(ranked) if tied(ranked[0], r)]
    if len(level) > 1:
        for index in level:
            chances[index] = sum(chances[i] for i in level) / len(level) if index == level[0] else chances[level[0]]
    return chances


def _dissent(ranked: Sequence[Ranked], solutions: Sequence[Solution], minutes: Minutes) -> tuple[Dissent, ...]:
    """Others' positions that are likely enough, or held by the strongest seat (which alone is right 37 % of the time),
    or all of them while a verified defect stands against the first."""
    if len(ranked) < 2 or ranked[0].opinions[0].kind == "resident":
        return ()
    seats = [seat for r in ranked for seat in r.seats]
    top = max(minutes.skill(seat) for seat in seats)
    best = [seat for seat in seats if minutes.skill(seat) == top]
    strongest = set(best) if len(best) == 1 else set()
    shaken = any(claim.check and claim.check.outcome == "verified" for claim in open_accusations(ranked[0]))
    return tuple(
        Dissent(
            position=solution.position,
            argument=r.opinions[0].answer,
            seats=solution.seats,
            probability=solution.probability,
            check=what_would_decide(ranked[0], r, minutes),
        )
        for r, solution in zip(ranked[1:], solutions[1:], strict=True)
        if solution.probability >= MINORITY or strongest & set(solution.seats) or len(ranked) == 2 or shaken
    )


def _arguments(ranked: Sequence[Ranked]) -> tuple[Argument, ...]:
    return tuple(
        Argument(
            position=r.opinions[0].position,
            argument=r.opinions[0].answer,
            seats=r.seats,
        )
        for r in ranked
    )


def _findings(residents: Sequence[Opinion], counted: Sequence[Opinion]) -> tuple[Claim, ...]:
    if counted and counted[0].kind == "resident":
        return ()  # then the residents' claims stand with their solutions
    shown = [[c for c in o.claims if c.check and c.check.outcome == "verified"] for o in residents]
    # By turns, so that no analyst's best finding is crowded out by another's list.
    return tuple(claim for row in zip_longest(*shown) for claim in row if claim)[:12]


def _past(dossier: Dossier) -> tuple[str, ...]:
    """Which past consultations the experts were shown."""
    if not dossier.past:
        return ()
    listed = ", ".join(
        f"{case.id} ({case.at:%Y-%m-%d}{f', {case.told}' if case.told else ''})" for case in dossier.past
    )
    return (f"The experts were shown, as past and not as evidence, what was held in {listed}.",)


def _merge_plans(ranked: Sequence[Ranked]) -> tuple[str, ...]:
    best = [opinion for r in ranked for opinion in r.opinions]
    if best and best[0].kind == "model":
        best = best[:1]
    return tuple(dict.fromkeys(step for opinion in best for step in opinion.plan))[:8]


def _sent(minutes: Minutes) -> Sent:
    # Who was called, and who is being called now; a seat that its budget kept from being asked has seen nothing.
    called = {call.model for call in minutes.calls}
    cut = {name for name, _ in minutes.cut_off}
    reached = [
        seat for name, seat in minutes.seats.items() if seat.model in called or name in minutes.awaited or name in cut
    ]
    usage = minutes.usage
    counted = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    return Sent(
        providers=tuple(sorted({seat.provider or "unknown" for seat in reached if not seat.local})),
        files=minutes.dossier.shown if reached else (),
        # A call that never ended tells no usage, but the evidence went out.
        tokens=max(counted, minutes.dossier.tokens) if reached else 0,
        redactions=minutes.dossier.redactions,
    )
