"""From minutes to a verdict, at any moment and without a model. Pure.

Ranking: weighted support of each cluster plus its strength in the blind review. The chair's words, when there are any,
become the answer; the order is never the chair's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

from orchestra_mcp.council import agreement as agree
from orchestra_mcp.council.minutes import Minutes
from orchestra_mcp.council.reading import clip, shorten
from orchestra_mcp.types import (
    Absence,
    Agreement,
    Argument,
    Claim,
    Dissent,
    Opinion,
    Sent,
    Solution,
    Status,
    Verdict,
)

KAPPA = 1.0
"""How much the blind review counts beside the votes (between 1 and 2 in simulation)."""
NOBODY_RIGHT = 0.5
"""Where the first solution is wrong, the chance that none of the others is right either (measured .35 to .56)."""
MINORITY = 0.15
"""Probability from which a minority report is due."""
RESIDENT_PRIOR = 0.3
"""How often the residents' first suspect is a function that the fix changed: .22 of 50 commits, .37 of 43 bug reports
(`benchmarks/residents.py`)."""


JUDGES_LETTER = re.compile(r"\b(?:answer|candidate|option|expert)\s+[A-J]\b", re.IGNORECASE)
"""A letter means another answer to every judge, and to the chair."""
LOWER_MEANT = 0.6
"""Share of common words from which a chair's line is taken to mean a lower solution (a design choice)."""
REASON_CHARS = 160
"""Of one absence's reason, in the first line."""
LEADS: dict[Status, str] = {"degraded": "Degraded: ", "cancelled": "Cancelled: "}
RESIDENT_CHARS = 1_600
"""Of each resident's answer, in the answer that they give together."""


NO_RULING = "There is no ruling: a debate needs language models, and none took part. This is only what static analysis can show."


class Ranked(NamedTuple):
    """A cluster in its place: its opinions (best first), its score, and whether it was the review that decided."""

    opinions: tuple[Opinion, ...]
    score: float
    evidence: agree.EvidenceKind


def conclude(minutes: Minutes, final: bool = False, cancelled: bool = False) -> Verdict:
    """The best verdict that the minutes allow.

    Args:
        minutes: what has happened so far.
        final: whether the council is closed; otherwise the verdict's status is `running`.
        cancelled: whether it was closed before its time.
    """
    opinions = minutes.standing() or tuple(minutes.residents)
    priors = {o.seat: minutes.seats[o.seat].prior if o.seat in minutes.seats else RESIDENT_PRIOR for o in opinions}
    ranked, agreed = rank(opinions, minutes, priors) if minutes.opinions else line_up(opinions)
    sure = _confidence(ranked, agreed, priors)
    solutions = _solutions(ranked, sure)
    synthesis = minutes.synthesis
    status: Status = "cancelled" if cancelled else _status(minutes, final)
    return Verdict(
        id=minutes.id,
        question=minutes.question.text,
        strategy=minutes.question.strategy,
        mode=minutes.mode,
        status=status,
        headline=headline(minutes, status),
        answer=synthesis.answer if synthesis else _merge(ranked, minutes),
        plan=(synthesis.plan if synthesis else ()) or _merge_plans(ranked),
        solutions=solutions,
        dissent=_dissent(ranked, solutions, priors),
        confidence=round(sure, 3),
        confidence_basis=_basis(ranked, agreed, minutes),
        agreement=agreed,
        arguments=_arguments(ranked) if minutes.question.strategy == "debate" and minutes.opinions else (),
        would_change=(synthesis.would_change if synthesis else "")
        or next((o.would_change for r in ranked for o in r.opinions if o.would_change), ""),
        rounds=max((o.round for o in minutes.opinions), default=1),
        stopped=minutes.stopped,
        answered=minutes.answered(),
        absent=tuple(minutes.absences),
        chair=synthesis.seat if synthesis else "",
        findings=_findings(minutes.residents, opinions),
        notes=tuple(dict.fromkeys((*minutes.dossier.notes, *minutes.notes))),
        sent=_sent(minutes),
        usage=minutes.usage,
        seconds=round(minutes.seconds, 1),
        continues=minutes.question.continues,
    )


def rank(
    opinions: Sequence[Opinion], minutes: Minutes, priors: dict[str, float]
) -> tuple[tuple[Ranked, ...], Agreement]:
    """Clusters by weighted support plus review, and how far the first one is agreed on."""
    by_seat = {opinion.seat: opinion for opinion in opinions}
    clusters = agree.cluster(opinions, minutes.ballots)
    weights = {seat: agree.weight(opinion, priors[seat]) for seat, opinion in by_seat.items()}
    merit = agree.tally(minutes.ballots, priors, tuple(by_seat))

    def score(cluster: agree.Cluster) -> float:
        reviewed = max(merit[seat] for seat in cluster.seats) if minutes.ballots else 0.0
        return sum(weights[seat] for seat in cluster.seats) + KAPPA * reviewed

    ordered = sorted(clusters, key=lambda c: (-score(c), [o.seat for o in opinions].index(c.seats[0])))
    ranked = tuple(
        Ranked(
            tuple(sorted((by_seat[seat] for seat in c.seats), key=lambda o: -(weights[o.seat] + merit[o.seat]))),
            round(score(c), 3),
            c.evidence,
        )
        for c in ordered
    )
    return ranked, agree.agreement(ordered, weights)


def line_up(residents: Sequence[Opinion]) -> tuple[tuple[Ranked, ...], Agreement]:
    """Residents in the order of how much each found, by its own reckoning: they are our code, and look at different things."""
    ordered = sorted(residents, key=lambda o: -(o.confidence or 0.0))
    ranked = tuple(Ranked((o,), agree.weight(o, RESIDENT_PRIOR), "single") for o in ordered)
    return ranked, Agreement(share=1.0, evidence="single", independent_votes=1.0) if ranked else Agreement()


def headline(minutes: Minutes, status: Status) -> str:
    """Who answered, who did not and why: the first line of every report."""
    answered = minutes.answered()
    residents = len(minutes.residents)
    beside = (
        f" {residents} resident analyst{'s' * (residents != 1)} (no language model) gave evidence." if residents else ""
    )
    if not minutes.seats:
        alone = "No language model was asked" if minutes.question.experts else "No language model is seated"
        if residents:
            names = ", ".join(opinion.seat for opinion in minutes.residents)
            return f"{alone}: this comes from {_count(residents, 'resident analyst')} ({names}), plain code that reads the evidence."
        return f"{alone}, and the resident analysts found nothing that they could show."
    waiting = [name for name in minutes.awaited if name not in answered]
    missing = _missing(minutes.absences, answered)
    asked = len(set(minutes.asked))
    if status == "running":
        after = f"; waiting for {', '.join(waiting)}" if waiting else ""
        return (
            f"Provisional: {len(answered)} of {asked} experts have answered so far{after}."
            f"{_reasons(missing, answered)}{beside}"
        )
    lead = LEADS.get(status, "")
    if not answered:
        tail = " This comes from resident analysts only." if residents else ""
        none = f"No expert answered ({asked} asked)." if asked else "No expert was asked."
        if not asked and minutes.stopped:
            none = f"No expert was asked: {minutes.stopped}."
        return f"{lead if status == 'cancelled' else ''}{none}{_reasons(missing, answered)}{tail}"
    who = f"{len(answered)} of {asked} experts answered: {', '.join(answered)}."
    return f"{lead}{who}{_reasons(missing, answered)}{beside}"


def follows_the_order(position: str, solutions: Sequence[Solution]) -> bool:
    """False when a chair's line says what a lower solution says, and not what the first one says."""

    def nearness(solution: Solution) -> float:
        said, held = agree.normal(position), agree.normal(solution.position)
        if held and f"{said} ".startswith(f"{held} "):
            return 1.0
        overlap, strict = agree.word_overlap(position, solution.position)
        return overlap if strict else 0.0

    if len(solutions) < 2:
        return True
    other = max(nearness(solution) for solution in solutions[1:])
    return other < LOWER_MEANT or other <= nearness(solutions[0])


def notes_for_chair(verdict: Verdict, minutes: Minutes) -> str:
    """The settled order and what reviewers hold against whom, without names."""
    letters = {seat: letter for letter, s in zip("ABC", verdict.solutions, strict=False) for seat in s.seats}
    lines = [
        f"{letter} stands {place}: probability {solution.probability:.0%}, {_count(len(solution.seats), 'expert')}, {_checked(solution.claims)}."
        for letter, place, solution in zip("ABC", ("first", "second", "third"), verdict.solutions, strict=False)
    ]
    for ballot in minutes.ballots:
        for defect in ballot.defects:
            if defect.candidate in letters:
                check = f" [{defect.claim.check.outcome}]" if defect.claim.check else ""
                text = JUDGES_LETTER.sub("another answer", defect.claim.text)
                lines.append(f"A reviewer holds against {letters[defect.candidate]}: {text}{check}")
    return "\n".join(lines[:16])


def _status(minutes: Minutes, final: bool) -> Status:
    if not final:
        return "running"
    if not (minutes.opinions or minutes.residents):
        return "failed"
    lost = any(a.stage == "opinion" for a in minutes.absences) or not minutes.opinions
    unruled = minutes.synthesis is None and any(a.stage != "opinion" for a in minutes.absences)
    unreviewed = not minutes.ballots and any(a.stage == "review" for a in minutes.absences)
    return "degraded" if lost or unruled or unreviewed else "complete"


def _confidence(ranked: Sequence[Ranked], agreed: Agreement, priors: dict[str, float]) -> float:
    if not ranked:
        return 0.0
    winners = [priors[o.seat] for o in ranked[0].opinions]
    best = max(agree.soundness(o.claims) for o in ranked[0].opinions)
    sure = agree.confidence(agreed, winners, list(priors.values()), best)
    if ranked[0].opinions[0].kind == "resident":
        # They read the same few lines, so that agreeing proves little: never surer than what was measured.
        return min(sure, RESIDENT_PRIOR)
    return sure


def _solutions(ranked: Sequence[Ranked], sure: float) -> tuple[Solution, ...]:
    rest = sum(max(0.05, r.score) for r in ranked[1:]) or 1.0
    return tuple(
        Solution(
            rank=place,
            position=r.opinions[0].position,
            answer=r.opinions[0].answer,
            score=r.score,
            probability=round(
                sure if place == 1 else min(sure, (1 - sure) * (1 - NOBODY_RIGHT) * max(0.05, r.score) / rest), 3
            ),
            seats=tuple(o.seat for o in r.opinions),
            families=tuple(dict.fromkeys(o.family for o in r.opinions if o.family)),
            claims=_merge_claims(r.opinions),
            risks=r.opinions[0].risks,
            assumptions=r.opinions[0].assumptions,
            plan=r.opinions[0].plan,
            patch=next((o.patch for o in r.opinions if o.patch), ""),
        )
        for place, r in enumerate(ranked, 1)
    )


def _dissent(ranked: Sequence[Ranked], solutions: Sequence[Solution], priors: dict[str, float]) -> tuple[Dissent, ...]:
    """Others' positions that are likely enough, or held by the strongest seat (which alone is right 37 % of the time)."""
    if len(ranked) < 2 or ranked[0].opinions[0].kind == "resident":
        return ()
    top = max(priors.values())
    strongest = (
        {seat for seat, prior in priors.items() if prior == top} if list(priors.values()).count(top) == 1 else set()
    )
    return tuple(
        Dissent(
            position=solution.position,
            argument=r.opinions[0].answer,
            seats=solution.seats,
            probability=solution.probability,
            check=r.opinions[0].would_change or ranked[0].opinions[0].would_change,
        )
        for r, solution in zip(ranked[1:], solutions[1:], strict=True)
        if solution.probability >= MINORITY or strongest & set(solution.seats) or len(ranked) == 2
    )


def _arguments(ranked: Sequence[Ranked]) -> tuple[Argument, ...]:
    return tuple(
        Argument(
            position=r.opinions[0].position,
            argument=r.opinions[0].answer,
            seats=tuple(o.seat for o in r.opinions),
        )
        for r in ranked
    )


def _findings(residents: Sequence[Opinion], counted: Sequence[Opinion]) -> tuple[Claim, ...]:
    if counted and counted[0].kind == "resident":
        return ()  # then the residents' claims stand with their solutions
    shown = [[c for c in o.claims if c.check and c.check.outcome == "verified"] for o in residents]
    # By turns, so that no analyst's best finding is crowded out by another's list.
    return tuple(claim for row in zip_longest(*shown) for claim in row if claim)[:12]


def _merge(ranked: Sequence[Ranked], minutes: Minutes) -> str:
    """The answer without a chair: the best expert's own words, or what all residents saw, since each looks elsewhere."""
    if not ranked:
        return _no_answer(minutes)
    if minutes.opinions:
        return ranked[0].opinions[0].answer
    # Their next steps are in the plan.
    heard = [NO_RULING] if minutes.question.strategy == "debate" else []
    heard += [opinion.answer.split("\n\n**Next steps**")[0] for r in ranked for opinion in r.opinions]
    return "\n\n".join(clip(answer, RESIDENT_CHARS) for answer in heard)


def _merge_plans(ranked: Sequence[Ranked]) -> tuple[str, ...]:
    best = [opinion for r in ranked for opinion in r.opinions]
    if best and best[0].kind == "model":
        best = best[:1]
    return tuple(dict.fromkeys(step for opinion in best for step in opinion.plan))[:8]


def _merge_claims(opinions: Sequence[Opinion]) -> tuple[Claim, ...]:
    seen: dict[tuple[str, int, str], Claim] = {}
    for claim in (claim for opinion in opinions for claim in opinion.claims):
        seen.setdefault((claim.path, claim.line, claim.text if not claim.path else claim.quote), claim)
    return tuple(seen.values())[:12]


def _basis(ranked: Sequence[Ranked], agreed: Agreement, minutes: Minutes) -> str:
    if not ranked:
        return "nobody answered"
    best = ranked[0]
    parts = [_checked(_merge_claims(best.opinions))]
    if best.opinions[0].kind == "resident":
        parts.insert(0, "static analysis only")
    elif len(best.opinions) == 1:
        parts.insert(
            0,
            "one expert's answer"
            if len(ranked) == 1
            else f"{len(ranked)} experts with {len(ranked)} different answers",
        )
    else:
        how = {
            "exact": "in the same words",
            "cited": "on the same cited code",
            "reviewed": "in the reviewers' eyes",
            "text-only": "in wording only",
        }[best.evidence]
        families = len({o.family or o.seat for o in best.opinions})
        parts.insert(
            0,
            f"{len(best.opinions)} experts of {families} model families agree {how}"
            f" ({agreed.independent_votes:.1f} independent votes, {agreed.share:.0%} of the weight)",
        )
    if minutes.ballots:
        parts.append(f"{_count(len(minutes.ballots), 'blind review')}")
    return "; ".join(parts)


def _checked(claims: Sequence[Claim]) -> str:
    outcomes = [claim.check.outcome for claim in claims if claim.check]
    if not (looked := [o for o in outcomes if o != "unchecked"]):
        return "no citation that could be checked"
    return f"{outcomes.count('verified')} of {len(looked)} citations hold"


def _missing(absences: Sequence[Absence], answered: Sequence[str]) -> list[Absence]:
    """The last absence of each seat; of one that answered, only what it lost later (a review, the chair)."""
    last = {
        absence.seat: absence for absence in absences if not (absence.seat in answered and absence.stage == "opinion")
    }
    later = {a.seat: a for a in absences if a.seat in answered and a.stage == "opinion"}
    return [*last.values(), *(a for seat, a in later.items() if seat not in last)]


_STAGES = {
    "opinion": "did not answer",
    "review": "gave no usable review",
    "chair": "could not write the synthesis",
}


def _reasons(missing: Sequence[Absence], answered: Sequence[str]) -> str:
    """What those who are missing did not do, and why; the same reason of several is told once."""
    seats: dict[tuple[str, str], list[str]] = {}
    for absence in missing:
        later = absence.stage == "opinion" and absence.seat in answered
        what = "left the debate" if later else _STAGES[absence.stage]
        seats.setdefault((what, absence.reason), []).append(absence.seat)
    told = (
        f"{', '.join(names)} {what}: {shorten(reason.rstrip('.'), REASON_CHARS)}"
        for (what, reason), names in seats.items()
    )
    line = "; ".join(told)
    return f" {line}." if line else ""


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


def _no_answer(minutes: Minutes) -> str:
    if minutes.seats:
        return "No expert gave a usable answer, so there is no verdict. The reasons are in the first line; `orchestra doctor` checks every part."
    return (
        "There is nothing to report: no language model is seated and static analysis found nothing that it can point at. "
        "Attach the stack trace (`error`), name the files, or add a model with `orchestra setup`."
    )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"
