"""What may stand in a transcript and whether it calls the council, judged by hand before the code was written.

A row: the segments, as texts (each begins when the one before ends) or as (text, seconds of silence before it); what is
asked, None where nobody called; whether the phrase is only half heard, so that the question has to be confirmed.
"""

from __future__ import annotations

Segments = tuple[str | tuple[str, float], ...]
WHY = "why is my test failing?"
WHAT = "what does the last commit change?"
ST = "explain the stack trace."

CALLS: tuple[tuple[Segments, str], ...] = (
    ((f"Hey Orchestra, {WHY}",), WHY),
    (("hey orchestra why is my test failing",), "why is my test failing"),
    ((f"HEY ORCHESTRA! {WHY}",), WHY),
    ((f"Hey, Orchestra. {WHY}",), WHY),
    ((f"Hey. Orchestra, {WHY}",), WHY),
    ((f"hay orchestra {WHY}",), WHY),
    ((f"Hay, orchestra, {WHY}",), WHY),
    ((f"Hei orchestra, {WHAT}",), WHAT),
    ((f"Hey or kestra, {WHY}",), WHY),
    ((f"Hay or kestra {WHY}",), WHY),
    ((f"Hey orchestrah, {ST}",), ST),
    ((f"heyorchestra {ST}",), ST),
    ((f"Heyorchestra. {ST}",), ST),
    ((f"Hey Orkestra, {ST}",), ST),
    ((f"Hey Okestra, {ST}",), ST),
    ((f"Hey Orquestra, {ST}",), ST),
    ((f"Ｈｅｙ Ｏｒｃｈｅｓｔｒａ {ST}",), ST),
    ((f"Um, hey orchestra, {ST}",), ST),
    ((f"So hey orchestra {ST}",), ST),
    ((f"okay so hey orchestra {ST}",), ST),
    ((f"Okay. Hey orchestra, {ST}",), ST),
    ((f"I think it's done. Hey orchestra, {ST}",), ST),
    ((f"Is it done? Hey orchestra, {ST}",), ST),
    ((f"Wait, hey orchestra, {WHAT}",), WHAT),
    ((f"That is what she said. Hey orchestra, {WHAT}",), WHAT),
    ((f"Hey Orchestra... {WHAT}",), WHAT),
    ((f"hey orchestra - {WHAT}",), WHAT),
    (("Hey", f"orchestra {WHAT}"), WHAT),
    (("hey or", f"kestra, {WHAT}"), WHAT),
    (("Hey Orchestra.", WHAT), WHAT),
    (("Hey Orchestra,", "what does", "the last commit change?"), WHAT),
    (("we should go", (f"hey orchestra {WHAT}", 0.8)), WHAT),
    (("We should go.", f"hey orchestra {WHAT}"), WHAT),
    (("Hey Orchestra", (WHAT, 1.5)), WHAT),
    ((f"Hey orchestra, hey orchestra, {WHAT}",), WHAT),
)
"""Sure calls."""

HALF_HEARD: tuple[tuple[Segments, str], ...] = (
    ((f"He orchestra, {WHY}",), WHY),
    ((f"Hi orchestra, {WHY}",), WHY),
    ((f"Hey orcastra, {WHY}",), WHY),
    ((f"Hey orca star, {WHY}",), WHY),
    ((f"Hey orchester, {WHY}",), WHY),
    ((f"Hey orchestre, {WHY}",), WHY),
    ((f"Hey orchestras, {WHY}",), WHY),
)
"""Calls that have to be confirmed."""

NO_CALLS: tuple[Segments, ...] = (
    ("I told the boss hey orchestra tickets are on sale",),
    ("the orchestra was great last night",),
    ("Pay orchestra fees by Friday.",),
    ("gray orchestra pits are dull",),
    ("May orchestra members leave early?",),
    ("a day orchestra rehearsals start",),
    ("They orchestrate the deployment.",),
    ("he orchestrates the deployment",),
    ("Hey Oscar, why is my test failing?",),
    ("Hey, or just stay home.",),
    ("or kestrels, hey",),
    ("Hey, orchestrate the deployment.",),
    ("heyorchestrate the deployment",),
    ("Hey orchestral music is lovely.",),
    ("Hey, orchestration is hard.",),
    ("she said hey orchestra why is it so loud",),
    ("He says, hey orchestra, play louder.",),
    ('They call it "hey orchestra", I think.',),
    ("The phrase is: hey orchestra, and then you ask.",),
    ("Just say hey orchestra and ask.",),
    ("orchestra why is my test failing",),
    ("Hey, why is my test failing?",),
    ("Hooray, orchestra!",),
    ("Hey, okay, extra cheese please.",),
    ("Hey Chester, why is that?",),
    ("Hey Kestra, run the flow.",),
    ("heyday orchestra records",),
    ("obey orchestra rules",),
    ("Hey, the orchestra is playing.",),
    ("Hey, our orchestra is playing.",),
    ("Hey, you orchestra people are loud.",),
    ("How orchestra members practise is up to them.",),
    ("hey", ("orchestra tickets are on sale", 5.0)),
    ("I told the boss", "hey orchestra tickets are on sale"),
    ("",),
    ("hey",),
)
"""What is not for the council."""
