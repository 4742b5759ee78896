"""What scripted experts say: an opinion, a review or a synthesis, by what they are asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

Says = Callable[[str, int], str]


def expert(
    position: str,
    claims: Sequence[dict[str, object]] = (),
    prefers: str = "",
    later: str = "",
    later_claims: Sequence[dict[str, object]] = (),
    chair: str = "The council's synthesis.",
) -> Says:
    """An expert that holds a position.

    Args:
        position: what it says when asked for its opinion.
        claims: evidence that it cites.
        prefers: as a reviewer, it ranks the answer that contains this text first, the others as they come.
        later: in a debate, what it says from the second round on.
        later_claims: evidence for that.
        chair: what it writes when it is asked for the synthesis.
    """

    def says(prompt: str, call: int) -> str:
        if "You judge answers" in prompt:
            answers = dict(re.findall(r'what="answer ([A-Z])">\n(.*?)\n</untrusted', prompt, re.DOTALL))
            ranking = (
                sorted(answers, key=lambda letter: (prefers not in answers[letter], letter))
                if prefers
                else list(answers)
            )
            return json.dumps({"ranking": ranking, "why": "its evidence holds"})
        if "You chair" in prompt:
            return json.dumps({"position": position, "answer": chair, "plan": ["Do the first thing", "Check it"]})
        now = bool(later) and "What you said last round" in prompt
        said, shown = (later, later_claims) if now else (position, claims)
        return json.dumps(
            {"position": said, "answer": f"Because {said}.", "evidence": list(shown), "plan": ["Do the first thing"]}
        )

    return says


def kind_of(prompt: str) -> str:
    """What a recorded prompt asked for."""
    if "You judge answers" in prompt:
        return "review"
    return "chair" if "You chair" in prompt else "opinion"
