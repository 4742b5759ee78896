"""Lines for the log: structured, with the consultation and the trace they belong to, and without what people or models wrote.

An exception is told by its kind and the places that it passed, never by its message, which may quote anything. Of what a
library logs only so much is told as stands in its own source: the rest may be a request.
"""

from __future__ import annotations

import json
import linecache
import logging
import re
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from types import TracebackType
from typing import Final

from orchestra_mcp.telemetry.spans import current

VARIABLE: Final = "ORCHESTRA_LOG"
"""Environment variable: a level, `json`, or both with a comma between them."""
LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
OURS: Final = "orchestra_mcp"
PLACES: Final = 12
"""Frames of an exception that are told: the innermost ones."""
CHAIN: Final = 5
"""Exceptions behind an exception that are told."""

_USUAL = frozenset((*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"))
_BARE = re.compile(r"[\w.:/+@%,()<>*#-]+")
_CUT = re.compile(r"[:\n'\"`{\[<=(]|\d{4,}")


def wanted(environ: Mapping[str, str]) -> tuple[int, bool]:
    """Level, and whether lines are to be JSON, as `ORCHESTRA_LOG` says; words that mean nothing are passed over."""
    words = {word.strip().lower() for word in environ.get(VARIABLE, "").split(",")}
    return min((LEVELS[word] for word in words if word in LEVELS), default=logging.WARNING), "json" in words


def line(record: logging.LogRecord, *, as_json: bool) -> str:
    """One entry as one line; not yet without secrets."""
    fields = {name: value for name, value in _fields(record) if value not in (None, "")}
    if as_json:
        return json.dumps(fields, ensure_ascii=False)
    return " ".join(f"{name}={_quoted(value)}" for name, value in fields.items())


def places(error: BaseException | None) -> str:
    """An exception in one line: its kinds, and where each of them passed; no message, no source line."""
    told: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen and len(told) < CHAIN:
        seen.add(id(error))
        inner = f" of {len(error.exceptions)}" if isinstance(error, BaseExceptionGroup) else ""
        where = " > ".join(_frames(error.__traceback__))
        told.append(f"{type(error).__name__}{inner} at {where}" if where else type(error).__name__ + inner)
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        else:
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " | because of ".join(told)


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    ours = record.name == OURS or record.name.startswith(OURS + ".")
    yield "time", datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    yield "level", record.levelname.lower()
    yield "logger", record.name
    yield "message", record.getMessage() if ours else _foreign(record)
    if ours:
        for name, value in vars(record).items():
            if name not in _USUAL and isinstance(value, (str, int, float, bool)):
                yield name, value
    else:
        yield "at", f"{_place(record.pathname)}:{record.lineno}"
    if (doing := current()) is not None:
        if doing.watch is not None and not hasattr(record, "consultation"):
            yield "consultation", doing.watch.about
        yield "trace", doing.trace
    if record.exc_info and record.exc_info[1] is not None:
        yield "error", places(record.exc_info[1])


def _foreign(record: logging.LogRecord) -> str:
    """The beginning of a library's message, when it stands in its source; empty when it may be anything."""
    try:
        said = record.msg if isinstance(record.msg, str) else ""
        said = _CUT.split(said.replace("%s", "…").replace("%r", "…").replace("%d", "…"), maxsplit=1)[0]
        said = said.split("…", 1)[0].strip()[:80]
        source = "".join(linecache.getlines(record.pathname))
        return said if len(said) > 3 and said in source else ""
    except Exception:  # noqa: BLE001 - a log line must not fail
        return ""


def _frames(trace: TracebackType | None) -> list[str]:
    steps = list(traceback.walk_tb(trace))[-PLACES:]
    return [f"{_place(frame.f_code.co_filename)}:{number}" for frame, number in steps]


def _place(path: str) -> str:
    """A file without the directories of this machine."""
    parts = PurePath(path).parts
    for root in (OURS, "site-packages"):
        if root in parts:
            return "/".join(parts[parts.index(root) + (root != OURS) :])
    return "/".join(parts[-2:])


def _quoted(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) else str(value)
    text = str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)
