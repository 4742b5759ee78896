"""What is said in the clips. Nothing of one split is in the other; the phrases of `final` were in no list that the spotter was
made or trained with. Prose and coding talk come from the docstrings of the standard library (half of its modules for each split), so
they depend on the version of Python.
"""

from __future__ import annotations

import ast
import random
import re
import sysconfig
import warnings
import zlib
from functools import cache
from pathlib import Path
from typing import Literal

Split = Literal["tune", "final"]
VERSION: dict[Split, int] = {"tune": 1, "final": 2}
"""Raise one whenever other clips of that split would come out. `final` is used up by its first figures: before the spotter is measured
anew, its phrases and questions are replaced and its number is raised, which draws all else anew too."""

QUESTIONS: dict[Split, tuple[str, ...]] = {
    "tune": (
        "why is my test failing",
        "explain the stack trace",
        "what does the last commit change",
        "is it safe to delete this branch",
        "how do I make the parser faster",
        "review my changes",
        "should we use postgres or sqlite",
        "where is the login handler defined",
        "what is wrong with this function",
        "why does the build hang",
    ),
    "final": (
        "why do we hold this lock so long",
        "which service writes to this queue",
        "is the cache ever cleared",
        "what happens when the token expires",
        "show me who calls this method",
        "should this be a class or a function",
        "how can I shrink the docker image",
        "did the migration finish on staging",
        "why is the second page empty",
        "what would make this loop shorter",
    ),
}
"""After the wake phrase."""

TEMPLATED: dict[Split, tuple[str, ...]] = {
    "tune": QUESTIONS["tune"],
    "final": (
        "why is the database so slow",
        "summarize the last commit",
        "should I use redis or kafka",
        "what broke the build",
        "is this function thread safe",
        "how do I debug this error",
        "where is the exception coming from",
        "what is wrong with my query",
        "explain the error message",
        "how do we make the pipeline simpler",
        "can we delete this table",
        "review this pull request",
    ),
}
"""Everyday ones."""

FREE: dict[Split, tuple[str, ...]] = {
    "tune": (
        "I changed the retry logic yesterday and now half of the workers never come back",
        "please look at how we count the tokens before we send them",
        "tell me whether the customer data could end up in a log file",
        "my colleague says that the second index is useless",
        "walk me through the way a request reaches the billing code",
        "how many people would notice if we switched the old interface off",
        "the tests pass on my laptop but not on the machine in the office",
        "what would you do first if you had one afternoon for this",
    ),
    "final": (
        "we get twice as many rows as we should after the second join",
        "who would be angry if I renamed the column for the price",
        "the window stays white until I move the mouse over it",
        "compare the two ways of signing a message and tell me the weaker one",
        "is there any reason left to support the old phones",
        "somebody merged a change on friday that made the start three times slower",
        "which of these five files would you throw away",
        "how should I explain to my boss that the estimate was wrong",
        "could an attacker guess the number of the next invoice",
        "the garbage collector runs all the time since we upgraded",
        "put the numbers from the last load test into words for me",
        "does it matter in which order the plugins are loaded",
    ),
}
"""As people ask when nobody has told them how."""

NEAR: dict[Split, tuple[str, ...]] = {
    "tune": (
        "pay orchestra", "may orchestra", "gray orchestra", "a day orchestra", "the orchestra", "an orchestra",
        "say orchestra", "my orchestra", "hey orca star", "hey oscar", "or kestrel", "hey or just stay home",
        "orchestrate the build", "the orchestration layer", "hey or chess", "hey awkward", "hey organist",
        "hey all just right", "day orchestra", "hey forecast her", "stay orchestra", "he or chester",
        "hay or kestrels", "hey Chester", "hey hold the extra", "hey or cast a", "way orchestra", "head orchestra",
    ),
    "final": (
        "the relay orchestra won", "parquet orchestra floor", "sleigh orchestra bells", "matinee orchestra seats",
        "tray orchestra", "Norway orchestra tour", "a cafe orchestra in Vienna", "X-ray orchestra pictures",
        "nay orchestra members", "hoy orchestra", "haze orchestra", "hail orchestra players", "who hired the orchestra",
        "our old school orchestra", "conduct an orchestra once", "one man orchestra", "a mainstay orchestra",
        "orchestral samples please", "orchestrators need memory", "re-orchestrate the jobs", "the orchestrations differ",
        "hey Orkney straw", "hey ordered a truck", "hey Cleopatra", "hey order extra", "hey walk as straight",
        "hey corkscrew", "hey awful stretch", "hey Electra", "hey Oscar traps her", "hey palestra", "hey caught extra",
        "hey what a stretch", "hey our guest Rob",
    ),
}  # fmt: skip
"""Near the phrase, and not it. Half of the clips go on as if a question followed."""

CHATTER: dict[Split, tuple[str, ...]] = {
    "tune": (
        "hey, or just stay at home today",
        "the orchestra plays at eight and the hall is full",
        "hey everyone, orchestration is broken again",
        "I think the orchestrator lost the job",
        "hey Oscar, did you push the branch",
        "an orchestra of little services, that is what it is",
        "or else we ask a stranger for help",
        "hey, all the stress about the release is for nothing",
        "they say orchestras are loud",
        "he orchestrated the whole migration",
    ),
    "final": (
        "hey, are coasters still in the drawer",
        "my brother plays the horn in a railway orchestra",
        "hey Sandra, the orchestrator wants a restart",
        "by Tuesday orchestras have to send their programme",
        "hey, all of us trust the old script",
        "they may orchestrate it by hand again",
        "hey, walk us through the trace please",
        "an away game and an orchestra in one weekend",
        "hey Oskar, the straw broke",
        "the essay, Orchestra and Audience, is on my desk",
        "we pay orchestral players by the hour",
        "hey, order the extra disk before noon",
        "anyway, orchestration moved to another team",
        "hey, your desk drawer is open",
        "hey Astrid, what did the auditor say",
        "once a day our cluster asks for attention",
        "hey, August was worse than that",
        "she used to stay, orchestra after orchestra, until midnight",
        "hey, or ask the trainee, she wrote it",
        "the birthday orchestra surprised everybody",
        "hey Chris, the orchard path is closed",
        "some display orchestras on their posters",
        "hey, a court case takes longer",
        "I say, our kestrel is back on the roof",
        "hey, are you sure the key string is right",
        "every highway or kerb stone has a number there",
        "hey, it was the orchestra that came late",
        "the gateway orchestrates nothing by itself",
        "hey Costa, restart the second one too",
        "no delay, or Custer would have won",
    ),
}
"""Worse than life: one sentence after another with a piece of the phrase in it."""

NAMES: dict[Split, tuple[str, ...]] = {
    "tune": ("Anna", "Peter", "Carla", "Omar", "Jim", "Nora"),
    "final": ("Sam", "Julia", "Victor", "Lena", "Tom", "Priya"),
}

TALK: dict[Split, tuple[str, ...]] = {
    "tune": (
        "so I looked at {a} and it does not even check {b}",
        "if you call {a} twice the second one just hangs",
        "can somebody explain why {a} needs {b} at all",
        "I moved {a} into its own module yesterday",
        "we should really write a test for {a}",
        "no, the problem is that {a} returns nothing when {b} is empty",
        "okay, then let us rename {a} to {b}",
        "there is a comment that says {a} is not thread safe",
        "it worked until somebody upgraded {a}",
        "the reviewer wants {a} to be split",
    ),
    "final": (
        "right, what happens is that {a} runs before {b} is ready",
        "I would rather not touch {a} this close to the release",
        "you can see in the log that {a} was called with the wrong {b}",
        "did you try it without {a}",
        "my guess is that {a} keeps a reference to {b}",
        "the pipeline went red again, and it is {a} again",
        "we could cache the result of {a} for a minute",
        "well, {a} was meant to be temporary",
        "then the client gives up and {a} is never closed",
        "let me share my screen, here is {a}, and below it {b}",
        "I have a branch where {a} is gone completely",
        "sorry, I was on mute, I said that {a} depends on {b}",
    ),
}

SELDOM: dict[Split, tuple[str, ...]] = {
    "tune": (
        "hey {n}, do you have a minute",
        "we could ask Orchestra about that",
        "the orchestration layer retries anyway",
        "hey, that is not what I meant",
    ),
    "final": (
        "hey {n}, could you look at this",
        "I asked Orchestra and it said the same",
        "that is a question of orchestration, not of code",
        "hey, nice, it is green",
        "hey guys, lunch in ten minutes",
        "Orchestra thinks that the lock is wrong",
    ),
}
"""One sentence in thirty of the coding talk: the words as they come up among people who use the product."""


def edition(split: Split) -> str:
    """The name of a split in seeds; that of version 1 is older than the numbers."""
    return split if VERSION[split] == 1 else f"{split} v{VERSION[split]}"


@cache
def prose(split: Split) -> tuple[str, ...]:
    """Sentences of the standard library's docstrings."""
    found: dict[str, None] = {}
    for path in _sources(split):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                for sentence in _sentences(ast.get_docstring(node) or ""):
                    found[sentence] = None
    other = frozenset(prose("tune")) if split == "final" else frozenset()
    return tuple(sentence for sentence in found if sentence not in other)


@cache
def identifiers(split: Split) -> tuple[str, ...]:
    """Names of functions and classes of the standard library, as they are spoken."""
    found: dict[str, None] = {}
    for path in _sources(split):
        for name in re.findall(r"^ *(?:def|class) ([A-Za-z]\w{3,24})\b", path.read_text(encoding="utf-8"), re.M):
            words = re.sub(r"([a-z])([A-Z])", r"\1 \2", name).replace("_", " ").lower().split()
            if words and all(len(word) > 1 for word in words):
                found[" ".join(words)] = None
    return tuple(found)


def sentence_of_talk(split: Split, dice: random.Random) -> str:
    """As developers speak: half of it made of templates, half of what they write into their code."""
    if dice.random() < 1 / 30:
        return dice.choice(SELDOM[split]).format(n=dice.choice(NAMES[split]))
    if dice.random() < 0.5:
        names = identifiers(split)
        return dice.choice(TALK[split]).format(a=dice.choice(names), b=dice.choice(names))
    return dice.choice(prose(split))


def _sources(split: Split) -> list[Path]:
    root = Path(sysconfig.get_path("stdlib"))
    files = [path for path in root.glob("*.py") if not path.name.startswith("_")]
    files += [
        path
        for room in ("asyncio", "email", "http", "json", "logging", "unittest", "xml")
        for path in (root / room).rglob("*.py")
    ]
    return sorted(
        path for path in files if (zlib.crc32(path.relative_to(root).as_posix().encode()) & 1) == (split == "final")
    )


def _sentences(text: str) -> list[str]:
    plain = re.sub(r"[`*\"'_<>]", " ", text)
    found = []
    for piece in re.split(r"(?<=[.!?])\s+|\n\s*\n", plain):
        words = " ".join(piece.split()).strip(" .,-").replace("--", "").replace(" - ", ", ")
        letters = sum(char.isalpha() or char in " ,-" for char in words)
        if 5 <= len(words.split()) <= 28 and letters == len(words):
            found.append(words)
    return found
