"""`keys.env`: names and values of keys checked, lines of the file read and replaced.

A value goes one way only, into the file. What is read out of it here are names, and since when each is there.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestra_mcp.errors import SettingsError, UserError

if TYPE_CHECKING:
    from orchestra_mcp.gateway.vendors.catalog import ProviderRow

FILE: Final = "keys.env"
MOST_CHARS: Final = 8_192
LOCK_S: Final = 10.0
"""So long is waited for others who write the file, in seconds."""
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
LOOKS_SECRET: Final = re.compile(r"KEY|TOKEN|SECRET|PASS(?:WORD|WD|PHRASE)?(?:_|$)|CREDENTIAL|_PAT$", re.IGNORECASE)
"""As `Keys.secrets` knows them: a value of another name would not be taken out of texts."""
SINCE: Final = re.compile(r"# ([A-Za-z_][A-Za-z0-9_]*) since (\S+)")
"""A comment before a line of the file: when the key was saved."""


def checked(name: str) -> str:
    """The name itself.

    Raises:
        UserError: no key can be called so. What was given is not in the message: people paste keys into the wrong
            field.
    """
    if not NAME.fullmatch(name):
        raise UserError("That is not the name of a variable, such as OPENROUTER_API_KEY.")
    if not LOOKS_SECRET.search(name) and all(name not in row.key_env for row in vendor_rows()):
        raise UserError(
            "A key's variable has KEY, TOKEN or SECRET in its name, such as OPENROUTER_API_KEY: by that its value is "
            "known as a secret and kept out of texts."
        )
    return name


def usable(value: str, name: str) -> str:
    """The value without what comes along when it is pasted: blanks and quotes around it, `NAME=` before it.

    Raises:
        UserError: it cannot be a key.
    """
    value = value.strip().removeprefix("export ").strip().removeprefix(f"{name}=").strip().strip("'\"")
    if not value:
        raise UserError("The key is empty.")
    if not value.isascii() or not value.isprintable() or len(value.split()) != 1 or len(value) > MOST_CHARS:
        raise UserError("That cannot be a key: it has blanks, line ends or letters that no key has. Copy it once more.")
    return value


def vendor_rows() -> tuple[ProviderRow, ...]:
    """What is known of vendors."""
    from orchestra_mcp.gateway.vendors.catalog import providers

    return providers()


def write_key(file: Path, name: str, value: str) -> None:
    """Set or remove one line of the file, which only its owner may read; everything else in it stays.

    Processes that do so at the same time wait for each other, at most `LOCK_S`. May block.

    Args:
        file: `keys.env`; made when it is missing.
        name: the variable.
        value: empty: remove it.

    Raises:
        SettingsError: it cannot be read or written; the old file is as it was.
    """
    target = file.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(target):
            kept = [line for line, about in _lines(file) if about != name]
            if value:
                kept += [f"# {name} since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", f"{name}={value}"]
            _replace(target, kept)
    except OSError as error:
        why = "others write it" if isinstance(error, TimeoutError) else error.strerror
        raise SettingsError(f"{file.name} cannot be written ({why}); check the data directory.") from None


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """No other process changes the file meanwhile. Raises OSError."""
    from orchestra_mcp.store.locks import WriterLock

    lock = WriterLock(target.with_name(f".{target.name}.lock"))
    try:
        with lock.held(LOCK_S):
            yield
    finally:
        lock.close()


def _replace(target: Path, lines: Sequence[str]) -> None:
    """Write a file anew, as a whole or not at all. Raises OSError."""
    handle, draft = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write("".join(f"{line}\n" for line in lines))
            stream.flush()
            os.fsync(stream.fileno())
        Path(draft).chmod(0o600)
        Path(draft).replace(target)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def saved_keys(file: Path) -> dict[str, datetime | None]:
    """The names in the file, and when each was saved where that was noted."""
    found: dict[str, datetime | None] = {}
    noted: dict[str, datetime] = {}
    for line, about in _lines(file):
        if not about:
            continue
        if since := SINCE.fullmatch(line):
            try:
                noted[about] = datetime.fromisoformat(since[2])
            except ValueError:
                continue
        else:
            found[about] = noted.get(about)
    return found


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    """The lines of the file, each with the variable that it is about."""
    try:
        text = file.read_text("utf-8") if file.is_file() else ""
        if text and os.name == "posix" and stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise SettingsError(f"{file.name} can be read by other users; run: chmod 600 {file.name}")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file.name} cannot be read ({type(error).__name__}).") from None
    for line in text.splitlines():
        since = SINCE.fullmatch(line)
        name = (
            since[1] if since else "" if line.startswith("#") else line.split("=", 1)[0].strip() if "=" in line else ""
        )
        yield line, name
