"""How words sound: sounds from the CMU dictionary, and by rule for a word that is not in it.

Sounds are the 39 of ARPAbet without stress marks.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Final

from orchestra_mcp.errors import VoiceError

Phones = tuple[str, ...]
Slot = tuple[Phones, bool]
"""Sounds of which any will do, and whether it may be left out."""

VOWELS: Final = frozenset("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split())
CONSONANTS: Final = frozenset("B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split())

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


@lru_cache(maxsize=1)
def dictionary() -> dict[str, Phones]:
    """Eight thousand common words and how each is usually said, from the CMU dictionary (licence: `words.LICENSE.txt`)."""
    lines = (Path(__file__).parent / "words.txt").read_text("utf-8").splitlines()
    return {word: tuple(sounds.split()) for word, _, sounds in (line.partition(" ") for line in lines)}


def pronounce(word: str) -> Phones:
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
            return known[word[:at]] + known[word[at:]]
    return by_rule(word)


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


def slots(phones: Phones) -> tuple[Slot, ...]:
    """The same word as people of several regions say it, sound by sound: weak vowels that change; an r that is not spoken
    before a consonant or at the end; the vowel of "hey" as one pure vowel (Scotland, the Caribbean); an open last a."""
    found: list[Slot] = []
    for at, phone in enumerate(phones):
        after = phones[at + 1] if at + 1 < len(phones) else ""
        before = phones[at - 1] if at else ""
        if phone == "AH" and 0 < at < len(phones) - 1:
            found.append((("AH", "IH", "EH"), False))
        elif phone == "AH" and not after:
            found.append((("AH", "AA"), False))
        elif phone == "R" and before in VOWELS and (after in CONSONANTS or not after):
            found.append((("R",), True))
        elif phone == "ER" and not after:
            found.append((("ER", "AH"), False))
        elif phone == "EY" and not after:
            found.append((("EY", "EH"), False))
        elif phone == "AO" and after == "R":
            found.append((("AO", "OW"), False))
        else:
            found.append(((phone,), False))
    return tuple(found)
