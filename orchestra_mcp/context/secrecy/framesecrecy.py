"""What source maps may tell about a trace: places and names, never text. Pure.

A built file and its map are often ignored by git and hold whatever went into the bundle, also what may not be read. So
of a frame that a map has moved, the new place counts; the source line that the map carries is dropped, and names are
redacted.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestra_mcp.types import Frame, Trace


def places_only(moved: Trace, given: Trace, redact: Callable[[str], str]) -> Trace:
    """The trace with its moved frames, but without text that was not in the one that was given.

    Args:
        moved: as `sourcemaps.unbuilt` returns it: the same frames, some of them with other places.
        given: the trace before, which is clean.
        redact: takes secrets out of a text.
    """
    chain: list[tuple[Trace, Trace]] = []
    after: Trace | None = moved
    before: Trace | None = given
    while after is not None and before is not None:
        chain.append((after, before))
        after, before = after.cause, before.cause
    result: Trace | None = None
    for after, before in reversed(chain):
        frames = tuple(_place(new, old, redact) for new, old in zip(after.frames, before.frames, strict=True))
        result = after.model_copy(update={"frames": frames, "cause": result})
    return result or given


def _place(new: Frame, old: Frame, redact: Callable[[str], str]) -> Frame:
    if new == old:
        return old
    update = {"raw_path": redact(new.raw_path), "function": redact(new.function), "code": old.code}
    return new.model_copy(update=update)
