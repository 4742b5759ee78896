"""How a resident analyst puts its findings: claims that point at a line, and an answer made of those claims. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from orchestra_mcp.types import Claim, Evidence, Opinion

MAX_CLAIMS = 14
MAX_POSITION = 230


async def point(evidence: Evidence, text: str, path: str, line: int, symbol: str = "") -> Claim:
    """A claim about one line, with the line itself as its quote."""
    lines = await evidence.read(path, line, line) if line else ()
    return Claim(text=text, path=path, line=line, symbol=symbol, quote=lines[0].strip() if lines else "")


def opinion(
    seat: str,
    *,
    position: str,
    does: str,
    sections: Sequence[tuple[str, Sequence[Claim | str]]],
    plan: Sequence[str],
    risks: Sequence[str] = (),
    assumptions: Sequence[str] = (),
    would_change: str = "",
    confidence: float | None = None,
) -> Opinion:
    """One structured opinion; its answer lists the claims of each section under the section's title.

    Args:
        does: what this analyst did, to follow "I am a resident analyst …".
        sections: (title, claims and plain sentences); empty ones are left out.
        confidence: how useful such an answer is beside the other residents', 0 to 1; a rank, not a measured probability.
    """
    parts = [f"*Resident analyst `{seat}`: plain code, not a language model. {does}*"]
    claims: list[Claim] = []
    for title, items in sections:
        shown = []
        for item in items:
            if isinstance(item, str):
                shown.append(f"- {item}")
            elif len(claims) < MAX_CLAIMS and item not in claims:
                claims.append(item)
                shown.append(f"- {item.text} ({where(item)})" + (f": `{item.quote[:120]}`" if item.quote else ""))
        if shown:
            parts.append(f"**{title}**\n" + "\n".join(shown))
    if plan:
        parts.append("**Next steps**\n" + "\n".join(f"{n}. {step}" for n, step in enumerate(plan, 1)))
    return Opinion(
        seat=seat,
        kind="resident",
        family="resident",
        model=seat,
        position=position if len(position) <= MAX_POSITION else position[: MAX_POSITION - 1] + "…",
        answer="\n\n".join(parts),
        claims=tuple(claims),
        plan=tuple(plan),
        risks=tuple(risks),
        assumptions=tuple(assumptions),
        would_change=would_change,
        confidence=confidence,
    )


def where(claim: Claim) -> str:
    """`path:line` of a claim, in code quotes."""
    return f"`{claim.path}:{claim.line}`" if claim.line else f"`{claim.path}`"
