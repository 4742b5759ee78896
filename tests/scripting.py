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
    alike: Sequence[str] = (),
    defects: Sequence[dict[str, object]] = (),
    **more: object,
) -> Says:
    """An expert that holds a position.

    Args:
        position: what it says when asked for its opinion.
        claims: evidence that it cites.
        prefers: as a reviewer, it ranks the answer that contains this text first, the others as they come.
        later: in a debate, what it says from the second round on.
        later_claims: evidence for that.
        chair: what it writes when it is asked for the synthesis.
        alike: when it compares positions, those that contain one of these words mean the same.
        defects: what it holds against others in reviews and later rounds; `candidate` is a word of the accused answer.
        more: further fields of its opinion, such as `patch`.
    """

    def says(prompt: str, call: int) -> str:
        if "You judge answers" in prompt:
            answers = dict(re.findall(r'what="answer ([A-Z])">\n(.*?)\n</untrusted', prompt, re.DOTALL))
            ranking = (
                sorted(answers, key=lambda letter: (prefers not in answers[letter], letter))
                if prefers
                else list(answers)
            )
            held = [
                {**defect, "candidate": letter}
                for defect in defects
                for letter, text in answers.items()
                if str(defect["candidate"]) in text
            ]
            return json.dumps({"ranking": ranking, "why": "its evidence holds", "defects": held})
        if "You compare positions" in prompt:
            lines = dict(re.findall(r'what="position ([A-Z])">\n(.*?)\n</untrusted', prompt, re.DOTALL))
            together = [letter for letter, line in lines.items() if any(word in line for word in alike)]
            groups = [[letter] for letter in lines if letter not in together] + ([together] if together else [])
            return json.dumps({"groups": groups})
        if "You chair" in prompt:
            return json.dumps({"position": position, "answer": chair, "plan": ["Do the first thing", "Check it"]})
        now = bool(later) and "What you said last round" in prompt
        said, shown = (later, later_claims) if now else (position, claims)
        others = dict(re.findall(r'what="(argument \d+)">\n(.*?)\n</untrusted', prompt, re.DOTALL))
        held = [
            {**defect, "candidate": name}
            for defect in defects
            for name, text in others.items()
            if str(defect["candidate"]) in text
        ]
        table = {
            "position": said,
            "answer": f"Because {said}.",
            "evidence": list(shown),
            "plan": ["Do the first thing"],
        }
        return json.dumps({**table, "defects": held, **more})

    return says


def kind_of(prompt: str) -> str:
    """What a recorded prompt asked for."""
    if "You judge answers" in prompt:
        return "review"
    if "You compare positions" in prompt:
        return "compare"
    return "chair" if "You chair" in prompt else "opinion"
