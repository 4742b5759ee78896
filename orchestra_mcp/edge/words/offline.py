"""The embedded engine: Moonshine tiny on this machine, with the project's names made likelier; no download, no network.

Its confidence is the mean probability of a token, times how much of the likelihood of the four best texts is on the words that it
chose. Below `DOUBTFUL` a question is read back. A short answer that was awaited is looked for among the commands first, where words
that mean the same count together; what is not sure is no command, and a yes that is not sure asks again.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter
from statistics import fmean
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from orchestra_mcp.edge.acoustic.matching import matcher
from orchestra_mcp.edge.acoustic.moonshine import FRAME_S, model_directory, moonshine, samples_of
from orchestra_mcp.edge.acoustic.sounds import sounds
from orchestra_mcp.edge.nouns import Heard, Utterance, Vocabulary
from orchestra_mcp.edge.words.coarse import coarse
from orchestra_mcp.edge.words.commands import command_in
from orchestra_mcp.edge.words.judging import Piece, Waking, judge
from orchestra_mcp.edge.words.likely import NOTHING, likely
from orchestra_mcp.edge.words.nearly import DOUBT
from orchestra_mcp.edge.words.search import Found, agreed, bare_words, search
from orchestra_mcp.errors import VoiceError

if TYPE_CHECKING:
    from orchestra_mcp.edge.acoustic.moonshine import Floats, Moonshine

PATIENCE_S: Final = 20.0
ELSEWHERE: Final = (
    "there are packages for Linux on x86-64 and ARM, Windows on x64, and macOS 15 on Apple's processors; "
    "elsewhere name a model that transcribes (transcriber = … under [voice])"
)
DOUBTFUL: Final = 0.85
"""Set on synthetic speech and on recordings of people; see docs/voice.md."""
PHRASE: Final = -4.25
"""The wake phrase was heard for sure: mean logarithm of its tokens' probabilities. Of synthetic voices in quiet 99 % are above it."""
NO_PHRASE: Final = -6.0
"""It was not said: below this is no voice that said it, in quiet or in noise, and 95 % of other speech of people."""
TOKENS_PER_S: Final = 7
"""More than this nobody says, and some to begin with."""
SHORT_S: Final = 4.0
"""An awaited answer of at most so many seconds may be a command."""
WIDE: Final = 8
"""Texts that a search for a command follows."""
SURE: Final = 0.7
"""From this share of the likelihood on it is one."""
SURE_YES: Final = 0.9
"""The same for a yes, which sends something."""
SOUNDS_LIKE: Final = 3.0
"""And what the sounds of a yes may cost (`acoustic/matching.py`)."""
UNSURE: Final = "it was not heard clearly"


class Offline:
    """Transcribes on this machine with what the extra `omi` brings.

    Args:
        phrase: the wake phrase.

    Raises:
        VoiceError: a package is missing.
    """

    name = "offline"
    offline = True

    def __init__(self, *, phrase: str, patience_s: float = PATIENCE_S) -> None:
        try:
            model_directory()
        except VoiceError as error:
            raise VoiceError(f"{error}; {ELSEWHERE}") from None
        self._phrase = phrase
        self._beginnings = beginnings_of(phrase)
        self._patience_s = patience_s
        self._one = anyio.CapacityLimiter(1)
        self._work_alone = threading.Lock()
        """A thread whose call was cancelled is no longer counted by the limiter while it comes to its end."""

    async def prepare(self, vocabulary: Vocabulary) -> None:
        """Load the model and warm it up.

        Raises:
            VoiceError: it cannot be loaded, or took too long.
        """
        await self.transcribe(Utterance(bytes(32_000), "button"), vocabulary)

    async def transcribe(self, utterance: Utterance, vocabulary: Vocabulary) -> Heard:
        """The words.

        Raises:
            VoiceError: the engine failed or took too long.
        """
        nobody_waits = threading.Event()
        work = partial(self._alone, utterance, vocabulary, nobody_waits.is_set)
        try:
            with anyio.fail_after(self._patience_s):
                return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._one)
        except TimeoutError:
            raise VoiceError("The embedded engine took too long; the computer may be busy. Ask again.") from None
        finally:
            nobody_waits.set()

    async def aclose(self) -> None:
        """Nothing to end: the model is shared."""

    def _alone(self, utterance: Utterance, vocabulary: Vocabulary, given_up: Callable[[], bool]) -> Heard:
        with self._work_alone:
            return self._work(utterance, vocabulary, given_up)

    def _work(self, utterance: Utterance, vocabulary: Vocabulary, given_up: Callable[[], bool]) -> Heard:
        if given_up():
            return Heard("", self.name, 0.0, UNSURE)
        model = moonshine()
        hidden = model.encode(samples_of(utterance.pcm))
        length = len(hidden) * FRAME_S
        most = 12 + int(TOKENS_PER_S * length)
        if utterance.by == "expected" and length <= SHORT_S and (order := self._order(model, hidden, most, given_up)):
            return order
        waking, beginning = Waking(None), ""
        if utterance.by == "wake" and not given_up():
            waking, beginning = self._waking(model, hidden)
        names = likely(vocabulary, model.tokens.said)
        found = fit_to_say(search(model, hidden, names, beginning=beginning, most=most, given_up=given_up))
        pieces = []
        if found:
            mean = sum(found[0].logprobs) / max(1, len(found[0].logprobs))
            pieces = [Piece(found[0].text, length, mean + math.log(agreed(found)))]
            if not found[0].complete:
                waking = Waking(waking.woken, "it did not come to an end")
        heard = judge(
            pieces, utterance, vocabulary, engine=self.name, phrase=self._phrase, doubtful=DOUBTFUL, waking=waking
        )
        # What only became a command since some words were made likelier is none.
        return replace(heard, text="") if utterance.by == "expected" and command_in(heard.text) else heard

    def _order(self, model: Moonshine, hidden: Floats, most: int, given_up: Callable[[], bool]) -> Heard | None:
        """The command that some sound is, without text where it may be one; None for anything else."""
        found = search(model, hidden, NOTHING, most=most, width=WIDE, given_up=given_up)
        command = command_in(found[0].text) if found else None
        if command is None:
            return None
        share = agreed(found, command_in)
        if command == "yes":
            sure = share >= SURE_YES and _sounds_like(found[0].text, hidden)
            return Heard(found[0].text, self.name, share, "" if sure else UNSURE)
        return Heard(found[0].text if share >= SURE else "", self.name, share, "" if share >= SURE else UNSURE)

    def _waking(self, model: Moonshine, hidden: Floats) -> tuple[Waking, str]:
        """Whether the wake phrase comes first, and how the model writes it; nothing where it does not."""
        if not len(hidden):
            return Waking(None), ""
        means = {form: fmean(model.likelihood(hidden, model.tokens.of(form))) for form in self._beginnings}
        form, mean = max(means.items(), key=itemgetter(1))
        if mean < NO_PHRASE:
            return Waking(False), ""
        return (Waking(True) if mean >= PHRASE else Waking(None, DOUBT)), form


def _sounds_like(text: str, hidden: Floats) -> bool:
    """Whether the sounds are those of a text: the words are what the decoder expects to hear, `yes` for `guess` too."""
    try:
        found = matcher(" ".join(bare_words(text))).match(sounds().logprobs(hidden))
    except VoiceError:  # such as "Yes, 100%.": nobody knows how that is said
        return False
    return found is not None and found.cost <= SOUNDS_LIKE


def fit_to_say(found: Sequence[Found]) -> tuple[Found, ...]:
    """What was found, with the likeliest first that has no coarse word in it; none when all have."""
    first = next((one for one in found if not coarse(one.text)), None)
    return () if first is None else (first, *(one for one in found if one is not first))


def beginnings_of(phrase: str) -> tuple[str, ...]:
    """The wake phrase as the model may write it: ` Hey, Orchestra,` and ` Hey Orchestra,`; ` Listen to me now,`.

    Two words are a name and what comes before it. With the name in small letters nearly everything fits: of 100 synthetic questions
    after a phrase that is nearly `hey orchestra` 4 were refused, and 13 without that form.
    """
    words = phrase.split()
    great = [word[:1].upper() + word[1:] for word in words]
    inside = great if len(words) == 2 else [great[0], *words[1:]]
    forms = (f" {great[0]}, {' '.join(great[1:])},", f" {' '.join(inside)},", f" {', '.join(great)},")
    return tuple(dict.fromkeys(forms))
