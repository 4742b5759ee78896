"""Frames that belong to no cause: what a language runs between the failing line and the printed trace. Pure."""

from __future__ import annotations

import re

from orchestra_mcp.types import Frame, Trace

# Language → functions that raise or recover a panic, or check what fails; add here. Only frames of foreign files count.
MACHINERY: dict[str, re.Pattern[str]] = {
    "go": re.compile(r"^(?:panic$|runtime\.|testing\.tRunner)"),
    "rust": re.compile(
        r"rust_begin_unwind$|rust_panic|^(?:core|std)::panicking::|^std::sys(?:_common)?::backtrace::|^std::rt::"
        r"|^core::(?:option|result)::(?:unwrap_failed|expect_failed|expect_none_failed)"
        r"|^core::(?:option::Option|result::Result)<.*>::(?:unwrap|expect)\w*$"
        r"|^core::(?:slice::index|str::slice_error_fail)| as core::ops::index::Index(?:Mut)?<.*>::index(?:_mut)?$"
        r"|SliceIndex<.*>::index(?:_mut)?$"
    ),
}


def failing_frames(trace: Trace) -> tuple[Frame, ...]:
    """The frames up to the one that fails: without the machinery that follows it."""
    frames = trace.frames
    pattern = MACHINERY.get(trace.language.lower())
    while pattern is not None and frames and not frames[-1].path and pattern.search(frames[-1].function):
        frames = frames[:-1]
    return frames
