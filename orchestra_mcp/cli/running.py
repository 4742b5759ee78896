"""From a command line to an exit code: runs the command, opens Orchestra for it, and puts errors and signals in words.

Ctrl-C: the event loop cancels the command, the command's consultation is aborted and recorded, and the exit code is
130. SIGTERM and SIGHUP take the same way (143 and 129), so that a killed `orchestra ask` leaves no child process behind.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from orchestra_mcp.cli.arguments import COMMANDS, USAGE_ERROR, parse
from orchestra_mcp.cli.terminal import Desk

if TYPE_CHECKING:
    from orchestra_mcp.app import Orchestra

T = TypeVar("T")

FAILED = 1
CONSENT_NEEDED = 3
INTERRUPTED = 130


class Usage(Exception):
    """The arguments do not fit together; the message says how to mend them. Exit code 2."""


class _Signals:
    """Remembers which signal ended the command."""

    def __init__(self) -> None:
        self.code = INTERRUPTED

    def listen(self) -> None:
        """Let the signals that ask a process to end take the way of Ctrl-C."""
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # no SIGHUP on Windows
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, self._heed)

    def _heed(self, number: int, _frame: FrameType | None) -> None:
        self.code = 128 + number
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))  # see `run_async`
        signal.raise_signal(signal.SIGINT)


def run_command(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a code page without `→` must not end a consultation
    try:
        args = parse(argv)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else USAGE_ERROR
    if args.version:
        from orchestra_mcp import __version__

        sys.stdout.write(f"orchestra {__version__}\n")
        return 0
    desk = Desk(args.json, args.quiet)
    signals = _Signals()
    try:
        signals.listen()
        module, function = COMMANDS[args.command].target.split(":")
        code: int = getattr(import_module(module), function)(args, desk)
        sys.stdout.flush()
    except KeyboardInterrupt:
        desk.fail("interrupted", "interrupted; what had been answered is kept: orchestra show latest")
        return signals.code
    except BrokenPipeError:
        # The reader has gone (`orchestra history | head`); keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except BaseExceptionGroup as several:
        if several.subgroup(KeyboardInterrupt) is None:
            return report_failure(several, desk, args.debug)
        desk.fail("interrupted", "interrupted")  # a second time, while it cleaned up
        return signals.code
    except Exception as error:  # noqa: BLE001 - the door: whatever happened, the user gets a sentence
        return report_failure(error, desk, args.debug)
    return code


def report_failure(error: BaseException, desk: Desk, debug: bool) -> int:
    """Put an error in words and choose the exit code; a group counts as its first leaf."""
    from orchestra_mcp.errors import ConsentNeeded, OrchestraError

    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if debug:
        import traceback

        from orchestra_mcp.context.secrecy.redaction import Redactor
        from orchestra_mcp.settings import Keys

        secrets = Keys(os.environ).secrets()
        sys.stderr.write(Redactor(secrets).redact("".join(traceback.format_exception(error))))
    if isinstance(error, KeyboardInterrupt):
        desk.fail("interrupted", "interrupted")
        return INTERRUPTED
    if isinstance(error, Usage):
        desk.fail("usage", str(error))
        return USAGE_ERROR
    if isinstance(error, OrchestraError):
        desk.fail(type(error).__name__, str(error))
        return CONSENT_NEEDED if isinstance(error, ConsentNeeded) else FAILED
    advice = "run it again with --debug to see where, and please report it"
    desk.fail("unexpected", f"something unexpected went wrong ({type(error).__name__}); {advice}")
    return FAILED


def run_async(work: Callable[[], Awaitable[T]]) -> T:
    """Do some work in an event loop, which SIGTERM and SIGHUP end as Ctrl-C does.

    A shell starts the background jobs of a script with SIGINT ignored, to keep the terminal's Ctrl-C from them; then the event
    loop would take no notice of SIGINT at all, nor of what is turned into it. So it is blocked in place of ignored: what
    comes from outside is kept off as before, and a signal that asks us to end lifts the block.

    Raises:
        KeyboardInterrupt: a signal came; the work was cancelled first and had time to clean up.
    """
    import anyio

    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN and hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return anyio.run(work)


def with_orchestra(work: Callable[[Orchestra], Awaitable[T]]) -> T:
    """Open Orchestra, do the work in an event loop, close it again.

    Raises:
        OrchestraError: what the work raised, never inside an exception group.
        KeyboardInterrupt: Ctrl-C; the work was cancelled first and had time to clean up.
    """
    from orchestra_mcp.app import Orchestra
    from orchestra_mcp.errors import OrchestraError
    from orchestra_mcp.tools.logs import log_to_stderr

    log_to_stderr(os.environ)

    async def opened() -> T | OrchestraError:
        async with Orchestra.open() as orchestra:
            # Caught inside, because the task group behind `open` would wrap what leaves its body.
            try:
                return await work(orchestra)
            except OrchestraError as error:
                return error

    result = run_async(opened)
    if isinstance(result, OrchestraError):
        raise result
    return result
