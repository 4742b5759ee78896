"""What is said to Orchestra itself: yes, no, cancel, repeat, more, mute. Pure.

Only a text that is nothing but a command counts: `stop` is one, `stop the server when the test fails?` is a question.
"""

from __future__ import annotations

import re
from typing import Final, Literal

Command = Literal["yes", "no", "cancel", "repeat", "more", "mute"]

COMMANDS: Final[dict[Command, tuple[str, ...]]] = {
    "yes": ("yes", "yeah", "yep", "yes please", "send it", "correct", "that is right", "okay", "sure"),
    "no": ("no", "nope", "no thanks", "wrong", "that is wrong", "do not send it"),
    "cancel": ("cancel", "cancel that", "never mind", "forget it", "stop", "stop it", "be quiet"),
    "repeat": ("repeat", "repeat that", "say that again", "say it again", "again", "pardon"),
    "more": ("more", "tell me more", "more please", "go on", "the details", "read the details"),
    "mute": ("mute", "mute yourself", "stop listening", "go to sleep"),
}
"""What can be said to Orchestra itself, by what it means. Add here."""

ALSO: Final[dict[Command, tuple[str, ...]]] = {
    "yes": ("yup", "aye", "ok", "right", "exactly", "please do", "do it", "go ahead", "ask it", "ask that", "that's right", "that is correct",
            "that's correct", "yes it is", "yes i did", "yes i do", "of course", "absolutely", "confirm", "confirmed"),
    "no": ("nah", "not that", "that's wrong", "don't send it", "don't", "no i did not", "no i didn't", "no it is not", "not at all"),
    "cancel": ("abort", "cancel it", "forget that", "nevermind", "quiet", "shut up", "stop that", "stop talking", "that's enough", "enough"),
    "repeat": ("say it once more", "once more", "repeat it", "repeat the answer", "what did you say", "come again", "what was that"),
    "more": ("tell me the details", "details", "the rest", "read the rest", "continue", "go ahead and read", "more details", "read on"),
    "mute": ("be mute", "mute the microphone", "mute mic", "stop recording", "don't listen"),
}  # fmt: skip
"""Further ways to write or say them. Add here."""

MOST: Final = 6
"""Words of two commands."""
_IDLE: Final = re.compile(r"\b(?:please|thanks|thank you|uh|um|er|well|oh|now|hey|orchestra)\b")
_ORDERS: Final = {said: name for rows in (COMMANDS, ALSO) for name, listed in rows.items() for said in listed}


def command_in(text: str) -> Command | None:
    """The command that a text is; None for anything else, also for a question that has such a word in it."""
    said = re.sub(r"[^a-z' ]+", " ", text.lower().replace("\u2019", "'"))
    for form in (said, _IDLE.sub(" ", said)):
        words = form.split()
        if len(words) > 1 and len(set(words)) == 1:
            words = words[:1]  # yes, yes
        if found := _ORDERS.get(" ".join(words)):
            return found
        if len(words) <= MOST and (both := _twice(words)):
            return both
    return None


def _twice(words: list[str]) -> Command | None:
    """Two commands of the same meaning, one after the other: `yes, send it`."""
    for at in range(1, len(words)):
        first = _ORDERS.get(" ".join(words[:at]))
        if first is not None and first == _ORDERS.get(" ".join(words[at:])):
            return first
    return None
