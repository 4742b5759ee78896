"""The cheapest check that would settle a question: an input on which answers part, the user's tests, or an observation. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from orchestra_mcp.council.answers.reading import shorten
from orchestra_mcp.council.minutes import Minutes
from orchestra_mcp.council.ranking import Ranked


def next_check(ranked: Sequence[Ranked], minutes: Minutes) -> str:
    """What to do first where the confidence is low: the check that tells most for least."""
    rival = ranked[1] if len(ranked) > 1 else None
    if rival and (parting := _parting_input(ranked[0], rival, minutes)):
        return parting
    trial = next((t for o in ranked[0].opinions if (t := minutes.found.trial(o))), None)
    if trial and trial.verdict == "untested":
        return (
            "Apply the proposed patch and run your tests; or allow a verify command for this project "
            "(`[verify]` in orchestra.toml), and the council tries patches by itself."
        )
    observed = [o.would_change for r in ranked[:2] for o in r.opinions if o.would_change]
    if observed:
        return f"Look for this: {observed[0]}"
    cited = next((c for o in ranked[0].opinions for c in o.claims if c.path and c.line), None)
    if cited:
        return f"Read {cited.path}:{cited.line} with the first answer in mind, before anything is changed."
    first = next((o.plan[0] for o in ranked[0].opinions if o.plan), "")
    return f"Begin with the first step, and look whether it shows what the answer says: {first}" if first else ""


def what_would_decide(first: Ranked, rival: Ranked, minutes: Minutes) -> str:
    """The cheapest check between two solutions."""
    if parting := _parting_input(first, rival, minutes):
        return parting
    if any(o.patch for o in first.opinions) and any(o.patch for o in rival.opinions):
        return "Apply each patch in turn and run the tests that fail now."
    return next((o.would_change for r in (rival, first) for o in r.opinions if o.would_change), "")


def _parting_input(first: Ranked, rival: Ranked, minutes: Minutes) -> str:
    """An input on which two programs part, with what each makes of it."""
    found = minutes.found
    one, two = found.behaviour(first.opinions[0]), found.behaviour(rival.opinions[0])
    if one is None or two is None:
        return ""
    for probe, mine, yours in zip(found.probes, one.outcomes, two.outcomes, strict=False):
        if mine != yours and probe.expected is None:
            given = " ".join(probe.text.split())
            return (
                f"On the input `{shorten(given, 120)}` the first gives `{shorten(mine, 60)}`, the other `{shorten(yours, 60)}`: "
                "which is right?"
            )
    return ""
