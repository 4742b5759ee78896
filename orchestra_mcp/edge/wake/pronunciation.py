"""How words sound: phones from the CMU dictionary of pocketsphinx, by rule for a word that is not in it, and what sounds like them.

Phones are the 39 of ARPAbet without stress marks, as the acoustic model has them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice, product
from pathlib import Path
from typing import Final

from orchestra_mcp.errors import VoiceError

Phones = tuple[str, ...]

VOWELS: Final = frozenset("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split())
CONSONANTS: Final = frozenset("B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split())
MISSING: Final = "the wake phrase needs packages (pocketsphinx, numpy): pip install 'orchestra-council[omi]'"

# Letters to sounds, longest first; good enough for a name, and a wrong one is heard in `orchestra omi calibrate`.
# Add here what a name is read wrongly for.
RULES: Final = (
    ("tion", "SH AH N"), ("sion", "ZH AH N"), ("ough", "AO"), ("augh", "AO"), ("eigh", "EY"), ("tch", "CH"), ("sch", "SH"),
    ("igh", "AY"), ("dge", "JH"), ("eau", "OW"), ("ch", "CH"), ("sh", "SH"), ("th", "TH"), ("ph", "F"), ("gh", "G"),
    ("ck", "K"), ("ng", "NG"), ("qu", "K W"), ("kn", "N"), ("wr", "R"), ("wh", "W"), ("ee", "IY"), ("ea", "IY"), ("ie", "IY"),
    ("oo", "UW"), ("ou", "AW"), ("ow", "OW"), ("oa", "OW"), ("oi", "OY"), ("oy", "OY"), ("ai", "EY"), ("ay", "EY"),
    ("ei", "EY"), ("ey", "IY"), ("au", "AO"), ("aw", "AO"), ("ue", "UW"), ("ui", "UW"), ("ew", "UW"), ("er", "ER"),
    ("ir", "ER"), ("ur", "ER"), ("ar", "AA R"), ("or", "AO R"), ("bb", "B"), ("cc", "K"), ("dd", "D"), ("ff", "F"), ("gg", "G"),
    ("kk", "K"), ("ll", "L"), ("mm", "M"), ("nn", "N"), ("pp", "P"), ("rr", "R"), ("ss", "S"), ("tt", "T"), ("zz", "Z"),
    ("ce", "S EH"), ("ci", "S IH"), ("cy", "S IY"), ("ge", "JH EH"), ("a", "AE"), ("b", "B"), ("c", "K"), ("d", "D"), ("e", "EH"),
    ("f", "F"), ("g", "G"), ("h", "HH"), ("i", "IH"), ("j", "JH"), ("k", "K"), ("l", "L"), ("m", "M"), ("n", "N"), ("o", "AA"),
    ("p", "P"), ("q", "K"), ("r", "R"), ("s", "S"), ("t", "T"), ("u", "AH"), ("v", "V"), ("w", "W"), ("x", "K S"), ("y", "Y"),
    ("z", "Z"), ("'", ""),
)  # fmt: skip
ENDINGS: Final = (("a", "AH"), ("e", ""), ("ie", "IY"), ("y", "IY"), ("o", "OW"), ("i", "IY"), ("u", "UW"))


def model_directory() -> Path:
    """Where pocketsphinx keeps its American English model.

    Raises:
        VoiceError: pocketsphinx is not installed.
    """
    try:
        import pocketsphinx
    except ImportError as missing:
        raise VoiceError(MISSING) from missing
    return Path(pocketsphinx.get_model_path()) / "en-us"


@lru_cache(maxsize=1)
def dictionary() -> dict[str, tuple[Phones, ...]]:
    """All words of the dictionary with their pronunciations, the usual one first; read once (about 0.3 s, 40 MB).

    Raises:
        VoiceError: pocketsphinx is not installed.
    """
    words: dict[str, tuple[Phones, ...]] = {}
    for line in (model_directory() / "cmudict-en-us.dict").read_text("utf-8").splitlines():
        name, _, sounds = line.partition(" ")
        word = name.partition("(")[0]
        words[word] = (*words.get(word, ()), tuple(sounds.split()))
    return words


def pronounce(word: str) -> tuple[Phones, ...]:
    """How a word is said: from the dictionary, as two words of it, or by rule.

    Raises:
        VoiceError: it has letters that nobody can read.
    """
    word = word.lower()
    known = dictionary()
    if word in known:
        return known[word]
    if not re.fullmatch(r"[a-z']+", word):
        raise VoiceError(f"nobody can say {word!r}: write the wake phrase in small letters a to z, as it sounds")
    cuts = [(min(at, len(word) - at), at) for at in range(3, len(word) - 2)]
    for _, at in sorted(cuts, reverse=True):
        if word[:at] in known and word[at:] in known:
            return (known[word[:at]][0] + known[word[at:]][0],)
    return (by_rule(word),)


def by_rule(word: str) -> Phones:
    """A guess at how a word is read, letter group by letter group.

    Raises:
        VoiceError: no vowel came out of it, so that it cannot be spoken.
    """
    phones: list[str] = []
    rest = word
    silent_e = bool(re.search(r"[aeiou][^aeiouwxy]e$", word))
    while rest:
        ending = next((sounds for letters, sounds in ENDINGS if rest == letters and len(word) > len(letters) + 1), None)
        letters, sounds = next(rule for rule in RULES if rest.startswith(rule[0]))
        if ending is not None:
            letters, sounds = rest, ending
        elif letters == "y" and phones and (len(rest) == 1 or rest[1] not in "aeiou"):
            sounds = "IH"
        elif silent_e and len(rest) == 3 and letters in "aeiou":
            sounds = {"a": "EY", "e": "IY", "i": "AY", "o": "OW", "u": "UW"}[letters]
        phones += sounds.split()
        rest = rest[len(letters) :]
    if not VOWELS.intersection(phones):
        raise VoiceError(f'{word!r} has no vowel: choose a wake phrase that can be spoken, such as "hey orchestra"')
    return tuple(phones)


def syllables(phones: Phones) -> int:
    """How many vowels there are."""
    return sum(phone in VOWELS for phone in phones)


def spoken(phones: Phones, most: int = 48) -> tuple[Phones, ...]:
    """The same word as people of other regions say it, the given way first: weak vowels that change; an r that is not spoken before
    a consonant or at the end; the vowel of "hey" as one pure vowel (Scotland, the Caribbean); an open last a."""
    choices: list[tuple[str, ...]] = []
    for at, phone in enumerate(phones):
        after = phones[at + 1] if at + 1 < len(phones) else ""
        before = phones[at - 1] if at else ""
        if phone == "AH" and 0 < at < len(phones) - 1:
            choices.append(("AH", "IH", "EH"))
        elif phone == "AH" and not after:
            choices.append(("AH", "AA"))
        elif phone == "R" and before in VOWELS and (after in CONSONANTS or not after):
            choices.append(("R", ""))
        elif phone == "ER" and not after:
            choices.append(("ER", "AH"))
        elif phone == "EY" and not after:
            choices.append(("EY", "EH"))
        elif phone == "AO" and after == "R":
            choices.append(("AO", "OW"))
        else:
            choices.append((phone,))
    found = [tuple(phone for phone in way if phone) for way in islice(product(*choices), most)]
    return tuple(dict.fromkeys(found))


CLASSES: Final = (VOWELS, frozenset("M N NG L R W Y".split()), CONSONANTS - frozenset("M N NG L R W Y".split()))
"""Sounds that noise, an accent or a weak model takes for one another: vowels; sonorants; the other consonants."""


def alike(one: Phones, other: Phones) -> bool:
    """Whether two words have sounds of the same classes in the same order."""
    return _classes(one) == _classes(other)


def _classes(phones: Phones) -> list[int]:
    return [next(number for number, sounds in enumerate(CLASSES) if phone in sounds) for phone in phones]


def distance(one: Phones, other: Phones, most: int = 99) -> int:
    """Phones to put in, take out or replace to make one out of the other (Levenshtein); stops counting above `most`."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    row = list(range(len(other) + 1))
    for at, phone in enumerate(one, 1):
        last, row[0] = row[0], at
        for col, there in enumerate(other, 1):
            last, row[col] = row[col], min(row[col] + 1, row[col - 1] + 1, last + (phone != there))
        if min(row) > most:
            return most + 1
    return row[-1]
