"""What an engine is told beforehand: the project's names, so that it writes them as they are written. Pure."""

from __future__ import annotations

from typing import Final

from orchestra_mcp.edge.nouns import Vocabulary

ROOM: Final = 560
"""Characters; about 200 tokens, since names take more of them than prose. Whisper reads no more than its last 224."""


def prompt_of(vocabulary: Vocabulary, room: int = ROOM) -> str:
    """A sentence with the names that matter most, in at most `room` characters; empty without names."""
    names = names_of(vocabulary)
    begin = "A developer asks about code. Names in it: "
    taken: list[str] = []
    for name in names:
        if len(begin) + sum(len(one) + 2 for one in taken) + len(name) + 1 > room:
            break
        taken.append(name)
    return f"{begin}{', '.join(taken)}." if taken else ""


def names_of(vocabulary: Vocabulary) -> tuple[str, ...]:
    """All names, best first: two identifiers, a file, a branch, and again."""
    kinds = (
        iter([name for name in vocabulary.identifiers if 2 < len(name) <= 40]),
        iter([path.rsplit("/", 1)[-1] for path in vocabulary.files]),
        iter(vocabulary.branches),
    )
    most = max(len(vocabulary.identifiers), len(vocabulary.files), len(vocabulary.branches))
    turns = (next(kinds[kind], "") for _ in range(most) for kind in (0, 0, 1, 2))
    return tuple(dict.fromkeys(name for name in (vocabulary.project, *turns) if name and name.isprintable()))
