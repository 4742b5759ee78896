"""Profilers' and timing output → where the time goes, in files of this project. Pure.

`profiledialects.DIALECTS` is the table of formats; ordinary text and source match none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestra_mcp.context.output import framepaths
from orchestra_mcp.context.output.hotspots import Hotspot, Profile
from orchestra_mcp.context.output.profiledialects import DIALECTS
from orchestra_mcp.types import Frame, Trace

MAX_TEXT = 4_000_000
"""Characters; of a longer text nothing is read."""

# Add here: how a binary profile begins, what it is, and the command that prints it.
BINARY: tuple[tuple[bytes, str, str], ...] = (
    (b"PERFILE2", "perf data", "perf report --stdio -i FILE"),
    (b"FLR\0", "Java Flight Recorder data", "jfr print --events jdk.ExecutionSample FILE"),
    (b"\x1f\x8b", "a compressed (perhaps pprof) profile", "go tool pprof -top FILE"),
    (
        b"\xfb",
        "a cProfile dump",
        "python -c \"import pstats; pstats.Stats('FILE').sort_stats('tottime').print_stats(40)\"",
    ),
    (
        b"{(",
        "a cProfile dump",
        "python -c \"import pstats; pstats.Stats('FILE').sort_stats('tottime').print_stats(40)\"",
    ),
    (
        b"{\xa9",
        "a cProfile dump",
        "python -c \"import pstats; pstats.Stats('FILE').sort_stats('tottime').print_stats(40)\"",
    ),
)


def parse(text: str) -> Profile | None:
    """The first profile in a text, or None. Never raises."""
    text = text.replace("\r\n", "\n")
    if len(text) > MAX_TEXT:
        return None
    for dialect in DIALECTS:
        if dialect.detect.search(text) is None:
            continue
        try:
            profile = dialect.read(text)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError, OverflowError):
            continue
        if profile is not None:
            return profile
    return None


def resolve(profile: Profile, files: Sequence[str]) -> Profile:
    """The same profile with `Hotspot.path` filled where a hotspot lies in one of the project's files."""
    frames = tuple(Frame(raw_path=spot.raw_path, line=spot.line, function=spot.function) for spot in profile.hotspots)
    found = framepaths.resolve(Trace(language="", frames=frames), files).frames
    spots = (replace(spot, path=frame.path) for spot, frame in zip(profile.hotspots, found, strict=True))
    return replace(profile, hotspots=tuple(spots))


def places(profile: Profile, limit: int = 6) -> tuple[Hotspot, ...]:
    """The hotspots of a resolved profile whose code is worth showing, best first.

    Own cost counts, and a third of the total cost, since a project's function that calls a slow library is the place
    to mend; what merely contains the whole run (`main`) comes last.
    """

    def worth(spot: Hotspot) -> float:
        passing = profile.whole and spot.total > 0.95 * profile.whole and spot.own < 0.02 * profile.whole
        return spot.own + (0.0 if passing else spot.total / 3)

    own = [spot for spot in profile.hotspots if spot.path]
    return tuple(sorted(own, key=worth, reverse=True)[:limit])


def how_to_print(head: bytes, path: str) -> str:
    """For a binary profile: what it is and which command makes text of it; empty for anything else.

    Args:
        head: the file's first bytes.
        path: the file's name as the reader knows it.
    """
    for magic, what, command in BINARY:
        if head.startswith(magic):
            return f"{path} is {what}; attach the output of: {command.replace('FILE', path)}"
    return ""
