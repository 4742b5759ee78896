"""A verdict in words where no model wrote them: the merged answer, and what the confidence rests on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestra_mcp.council.answers.reading import clip
from orchestra_mcp.council.headlines import count
from orchestra_mcp.council.minutes import Minutes
from orchestra_mcp.council.ranking import Ranked, counted_ballots, open_accusations, tied
from orchestra_mcp.types import Agreement, Claim, EvidenceKind, Opinion

RESIDENT_CHARS = 1_600
"""Of each resident's answer, in the answer that they give together."""
NO_RULING = "There is no ruling: a debate needs language models, and none took part. This is only what static analysis can show."
HOW: dict[EvidenceKind, str] = {
    "executed": "by behaving alike on every shared input",
    "exact": "in the same words",
    "same-code": "on the same code",
    "cited": "on the same cited code",
    "entailed": "in what their positions mean",
    "reviewed": "in the reviewers' eyes",
    "text-only": "in wording only",
}


def merge(ranked: Sequence[Ranked], minutes: Minutes) -> str:
    """The answer without a chair: the best expert's own words, or what all residents saw, since each looks elsewhere."""
    if not ranked:
        return no_answer(minutes)
    if minutes.opinions:
        return "\n\n".join((ranked[0].opinions[0].answer, *_beside(ranked)))
    # Their next steps are in the plan.
    heard = [NO_RULING] if minutes.question.strategy == "debate" else []
    heard += [opinion.answer.split("\n\n**Next steps**")[0] for r in ranked for opinion in r.opinions]
    return "\n\n".join(clip(answer, RESIDENT_CHARS) for answer in heard)


def _beside(ranked: Sequence[Ranked]) -> Iterator[str]:
    """What a chair would have added to the first answer: what others who agree can show, and what speaks against it."""
    first, others = ranked[0].opinions[0], ranked[0].opinions[1:]
    known = {(claim.path, claim.line) for claim in first.claims}
    more = [
        f"- `{claim.path}:{claim.line}`: {claim.text}"
        for claim in merge_claims(others)
        if claim.check and claim.check.outcome == "verified" and (claim.path, claim.line) not in known
    ]
    if more:
        yield "**Others who agree add**\n\n" + "\n".join(more[:4])
    against = [c for c in open_accusations(ranked[0]) if c.check and c.check.outcome == "verified"]
    if against:
        yield "**What holds against it**\n\n" + "\n".join(f"- {claim.text}" for claim in against[:3])


def merge_claims(opinions: Sequence[Opinion]) -> tuple[Claim, ...]:
    """The claims of several opinions, each place once."""
    seen: dict[tuple[str, int, str], Claim] = {}
    for claim in (claim for opinion in opinions for claim in opinion.claims):
        seen.setdefault((claim.path, claim.line, claim.text if not claim.path else claim.quote), claim)
    return tuple(seen.values())[:12]


def basis(ranked: Sequence[Ranked], agreed: Agreement, minutes: Minutes) -> str:
    """What the confidence rests on, in one line."""
    if not ranked:
        return "nobody answered"
    best = ranked[0]
    parts = [checked(merge_claims(best.opinions))]
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
        how = HOW.get(best.evidence, "")
        families = len({o.family or o.seat for o in best.opinions})
        parts.insert(
            0,
            f"{len(best.opinions)} experts of {families} model families agree {how}"
            f" ({agreed.independent_votes:.1f} independent votes, {agreed.share:.0%} of the weight)",
        )
    if len(ranked) > 1 and tied(ranked[0], ranked[1]):
        parts.insert(0, "a tie: nothing decides between the first two")
    if best.shown:
        parts.append(best.shown)
    if verified := sum(c.check is not None and c.check.outcome == "verified" for c in open_accusations(best)):
        parts.append(f"{count(verified, 'verified defect')} against it")
    if remark := minutes.experience.remarks.get("confidence"):
        parts.append(remark)
    if ballots := counted_ballots(minutes, ranked):
        parts.append(count(ballots, "blind ballot"))
    return "; ".join(parts)


def checked(claims: Sequence[Claim]) -> str:
    """How many of the citations hold."""
    outcomes = [claim.check.outcome for claim in claims if claim.check]
    if not (looked := [o for o in outcomes if o != "unchecked"]):
        return "no citation that could be checked"
    return f"{outcomes.count('verified')} of {len(looked)} citations hold"


def no_answer(minutes: Minutes) -> str:
    """What is said in place of an answer."""
    if minutes.seats:
        return "No expert gave a usable answer, so there is no verdict. The reasons are in the first line; `orchestra doctor` checks every part."
    return (
        "There is nothing to report: no language model is seated and static analysis found nothing that it can point at. "
        "Attach the stack trace (`error`), name the files, or add a model with `orchestra setup`."
    )
