"""The log of a process of ours: structured lines on standard error, without secrets and without anybody's words."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestra_mcp.telemetry.logs import OURS, line, wanted

if TYPE_CHECKING:
    from orchestra_mcp.context.secrecy.redaction import Redactor


class Discreet(logging.Formatter):
    """One structured line for each entry (`telemetry.logs`), without secrets. Made ready by the first line only."""

    def __init__(self, environ: Mapping[str, str], *, as_json: bool = False) -> None:
        super().__init__()
        self._environ = environ
        self._as_json = as_json
        self._redactor: Redactor | None = None

    def format(self, record: logging.LogRecord) -> str:
        """The whole entry; an exception by its kind and its places."""
        if self._redactor is None:
            from orchestra_mcp.context.secrecy.redaction import Redactor

            self._redactor = Redactor(_keys(self._environ))
        return self._redactor.redact(line(record, as_json=self._as_json))


def _keys(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Keys of the environment and of `keys.env`; without the latter when it cannot be used."""
    from orchestra_mcp.errors import SettingsError
    from orchestra_mcp.settings import Keys, home_dir

    try:
        return Keys(environ, home_dir(environ) / "keys.env").secrets()
    except (SettingsError, OSError, ValueError):
        return Keys(environ).secrets()


def log_to_stderr(environ: Mapping[str, str]) -> None:
    """Warnings and errors as structured lines without secrets; standard output belongs to the protocol.

    `ORCHESTRA_LOG` asks for more of our own lines (`info`, `debug`) or for JSON; libraries stay quiet.
    """
    level, as_json = wanted(environ)
    handler = logging.StreamHandler()
    handler.setFormatter(Discreet(environ, as_json=as_json))
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler])
    logging.getLogger(OURS).setLevel(level)
