"""A short piece of code as words for the ear; nothing at all where two meanings would sound alike. Pure.

A sign is read by its own name (`==` is "double equals", `=` "equals"), brackets only where no other place of them could be
meant. What is not covered is not read: the caller says "some code" instead.
"""

from __future__ import annotations

import re
from typing import Final

MOST_TOKENS: Final = 40
MOST_WORDS: Final = 14
"""Of a piece of code; what is longer cannot be followed by ear."""
MOST_SIGNS: Final = 5
CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
GENERIC: Final = re.compile(r"(?<!\w)([A-Za-z_]\w*)<([A-Za-z_][\w\s,.⟨⟩]*)>(?!\s?\w)")
KEBAB: Final = re.compile(r"[A-Za-z]\w+(?:-\w{2,})+")
TAG: Final = re.compile(r"<(/?)([A-Za-z][\w-]{0,30})\s*/?>")
TOKEN: Final = re.compile(
    r"(?P<gap>\s+)"
    r"|(?P<text>\"[\w .-]{0,30}\"|'[\w .-]{0,30}')"
    r"|(?P<flag>(?<![^\s,=])--?[A-Za-z][\w-]*)"
    r"|(?P<number>(?<![\w.])\.\d+|\d[\w]*(?:\.\w+)*)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<sign><=>|===|!==|\*\*=|>>=|<<=|\?\?=|\|\|=|&&=|\.\.\.|->|=>|==|!=|~=|:=|<=|>=|<<|>>|\+\+|--|\+=|-=|\*=|/=|%=|\|=|&="
    r"|&&|\|\||\*\*|//|\?\?|\?\.|::|\|>|\.\.|[-+*/%<>=!?:.,|&^~@$#()\[\]⟨⟩{};])"
    r"|(?P<other>.)",
    re.DOTALL,
)
BETWEEN: Final = {
    "=": "equals", "==": "double equals", "===": "triple equals", "!=": "is not equal to", "!==": "is strictly not equal to",
    "<": "less than", ">": "greater than", "<=": "at most", ">=": "at least", "<=>": "spaceship", "~=": "compatible with",
    ":=": "colon equals", "+=": "plus equals", "-=": "minus equals", "*=": "times equals", "/=": "slash equals",
    "%=": "percent equals", "|=": "pipe equals", "&=": "ampersand equals", "**=": "double star equals", "??=": "double question mark equals",
    "||=": "or equals", "&&=": "and equals", "<<": "left shift", ">>": "right shift", "&&": "and", "||": "or", "&": "ampersand",
    "|": "pipe", "|>": "pipe to", "??": "double question mark", "?.": "question mark dot", "?": "question mark", "->": "arrow",
    "=>": "fat arrow", "+": "plus", "-": "minus", "*": "times", "**": "to the power of", "//": "double slash", "%": "modulo",
    "^": "caret", "~": "tilde", "@": "at", "$": "dollar", "#": "hash", ".": "dot", "..": "dot dot", "...": "dot dot dot",
    "::": "double colon", ":": "colon", "++": "plus plus", "--": "minus minus",
}  # fmt: skip
"""Of a sign after a name or a number."""
BEFORE: Final = BETWEEN | {
    "==": "exactly", "*": "star", "**": "double star", "!": "not", "%": "percent", "^": "caret", "--": "minus minus",
}  # fmt: skip
"""Of a sign at the beginning, or after another sign."""
COMPARING: Final = frozenset("= == === != !== < > <= >= && || =>".split())
HEADS: Final = frozenset("if while for return switch catch assert elif until match with when".split())
CONTAINERS: Final = frozenset("list dict tuple set type frozenset vec map array slice box option result".split())
ENDS: Final = {"(": ")", "[": "]", "⟨": "⟩"}


class _Unsayable(Exception):
    """It would sound like something else."""


def code(written: str, *, spell: bool = False) -> str:
    """A piece of code as words, without marks that end a sentence or a clause, but for commas.

    Args:
        written: on one line.
        spell: say what is mute else (underscores, capitals, empty parentheses), to tell apart what would sound alike.

    Returns:
        Empty where nothing can be said that would not be taken for something else.
    """
    written = written.strip()
    if found := TAG.fullmatch(written):
        return f"{'closing ' if found[1] else ''}{name(found[2], spell=spell)} tag"
    if written == "!important":
        return "bang important"
    if re.fullmatch(r"\\[a-z]", written):
        return f"backslash {written[1]}"
    if written == "==":
        return BETWEEN[written]
    if KEBAB.fullmatch(written):
        return written.replace("-", " dash ") if spell else written.replace("_", " ")
    for _ in range(4):
        written, found_any = GENERIC.subn(r"\1⟨\2⟩", written)
        if not found_any:
            break
    tokens = [(str(found.lastgroup), found[0]) for found in TOKEN.finditer(written)]
    if not tokens or len(tokens) > MOST_TOKENS:
        return ""
    try:
        said = _Reader(tokens, spell).read(0, len(tokens))
    except _Unsayable:
        return ""
    words = " ".join(said).replace(" ,", ",").strip(" ,")
    signs = sum(kind == "sign" and text not in ".,()[]⟨⟩" for kind, text in tokens)
    return words if len(words.split()) <= MOST_WORDS + (6 if spell else 0) and signs <= MOST_SIGNS else ""


def name(written: str, *, spell: bool = False) -> str:
    """A name without dots: `get_user_by_id` and `getUserById` as "get user by id", `_foo` as "underscore foo".

    Words of capitals stay (HTTP), others become small, as in speech.
    """
    bare = written.strip("_")
    if not bare:
        return " ".join(["underscore"] * len(written))
    front = len(written) - len(written.lstrip("_"))
    back = len(written) - len(written.rstrip("_"))
    if front == back == 2:
        lead, tail = "dunder ", ""
    else:
        marks = {0: "", 1: "underscore", 2: "double underscore"}
        lead = f"{marks.get(front, 'underscores')} " if front else ""
        tail = f" {marks.get(back, 'underscores')}" if back else ""
    return f"{lead}{_spelled(bare) if spell else _words(bare)}{tail}"


def _words(bare: str) -> str:
    parts = [part for piece in re.split(r"[_$-]+", bare) for part in CAMEL.split(piece) if part]
    if len(parts) <= 1:
        return parts[0] if parts else ""
    if all(part.isupper() for part in parts) and "_" in bare:
        return " ".join(parts).lower()
    return " ".join(part if part.isupper() and len(part) > 1 else part.lower() for part in parts)


def _spelled(bare: str) -> str:
    said: list[str] = []
    for at, piece in enumerate(re.split(r"[_$-]", bare)):
        said += ["underscore"] * (at > 0)
        for part in filter(None, CAMEL.split(piece)):
            if part[0].isupper() and not (len(part) > 1 and part.isupper() and not bare.isupper()):
                said += ["capitals" if part.isupper() and len(part) > 1 else "capital"]
                said += [part if len(said) == 1 else part.lower()]
            else:
                said += [part]
    return " ".join(said)


class _Reader:
    """Reads tokens from left to right; raises `_Unsayable`."""

    def __init__(self, tokens: list[tuple[str, str]], spell: bool) -> None:
        self._tokens = tokens
        self._spell = spell

    def read(self, at: int, end: int) -> list[str]:
        said: list[str] = []
        operand = False
        """True after a name, a number or a bracket that closes."""
        while at < end:
            kind, text = self._tokens[at]
            following = self._next(at + 1, end)
            if kind == "name":
                said.append(name(text, spell=self._spell))
                operand = True
            elif kind == "number":
                said.append(f"point {text[1:]}" if text.startswith(".") else text)
                operand = True
            elif kind == "text":
                said.append(
                    f"the string {' '.join(text[1:-1].split())}".strip() if text[1:-1].strip() else "the empty string"
                )
                operand = True
            elif kind == "flag":
                dashes = "double dash" if text.startswith("--") else "dash"
                said += [dashes, text.lstrip("-").replace("-", " ").replace("_", " ")]
                operand = True
            elif kind == "other" or (kind == "sign" and text in "{};)]⟩"):
                raise _Unsayable
            elif kind == "sign" and text in ENDS:
                at, words = self._group(at, end, operand)
                said += words
                operand = True
                continue
            elif kind == "sign":
                said.append(self._sign(at, text, operand, following))
                operand = text in ("++", "--") and operand
            at += 1
        return said

    def _sign(self, at: int, text: str, operand: bool, following: str) -> str:
        spaced = at > 0 and self._tokens[at - 1][0] == "gap"
        if text == ",":
            return ","
        if text not in BEFORE and text != "/":
            raise _Unsayable
        if text == "!":
            return "bang" if self._spell or (operand and not spaced) else "not"
        if text == "/":
            return "divided by" if operand and spaced and following == "gap" else "slash"
        if self._spell and text in ("&&", "||"):
            return "double ampersand" if text == "&&" else "double pipe"
        if not operand or (text in ("*", "**", "&", "-") and spaced and following not in ("gap", "")):
            return BEFORE[text]
        if text == "%" and following == "":
            return "percent"
        if text == "*" and spaced and self._shouted(at):
            return "star"  # SELECT * FROM
        if text == "^" and not spaced and following == "number":
            return "to the power of"
        return BETWEEN[text]

    def _shouted(self, at: int) -> bool:
        around = self._tokens[max(0, at - 2) : at + 3]
        return any(kind == "name" and len(text) > 2 and text.isupper() for kind, text in around)

    def _next(self, at: int, end: int) -> str:
        return self._tokens[at][0] if at < end else ""

    def _group(self, at: int, end: int, operand: bool) -> tuple[int, list[str]]:
        """What is between brackets, and the place after them."""
        opening = self._tokens[at][1]
        depth, close = 0, at
        while close < end:
            text = self._tokens[close][1]
            depth += (text == opening) - (text == ENDS[opening])
            if not depth:
                break
            close += 1
        if close >= end:
            raise _Unsayable
        inner = self._tokens[at + 1 : close]
        rest = [text for kind, text in self._tokens[close + 1 :] if kind != "gap"]
        closed = all(text in ")]⟩," or text == ":" for text in rest)
        solid = [kind for kind, _ in inner if kind != "gap"]
        follows_name = operand and at > 0 and self._tokens[at - 1][0] in ("name", "sign")
        after_head = operand and self._before(at) in HEADS
        if opening == "(" and not solid:
            if not (follows_name and self._tokens[at - 1][0] != "gap"):
                raise _Unsayable
            return close + 1, ["with parentheses"] if self._spell else []
        if opening == "[" and not solid and not operand:
            return close + 1, ["an empty list"]
        # Who only hears it cannot tell where a bracket ends, but at the end of all, or before a comparison.
        if not closed and not (len(solid) == 1 and rest[0] in COMPARING):
            raise _Unsayable
        if "," in rest:
            raise _Unsayable
        words = self.read(at + 1, close)
        if after_head and closed:
            return close + 1, words
        if not follows_name or not words or any(text in (":", "::") for _, text in inner if opening == "["):
            raise _Unsayable
        if opening != "[":
            return close + 1, ["of", *words]
        owner = self._tokens[at - 1][1]
        typed = owner[:1].isupper() or owner.lower() in CONTAINERS or any(text == "," for _, text in inner)
        return close + 1, ["of" if typed else "at", *words]

    def _before(self, at: int) -> str:
        texts = [text for kind, text in self._tokens[:at] if kind != "gap"]
        return texts[-1] if texts else ""
