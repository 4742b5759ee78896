"""The council's hands on one project: running programs of answers, trying patches on a copy."""

from __future__ import annotations

import os
import tempfile
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import anyio
import anyio.to_thread

from orchestra_mcp.context.code.languages import language_of, markup_of
from orchestra_mcp.context.code.parsing import MAX_BYTES, parse, parse_markup
from orchestra_mcp.context.project import read_bytes
from orchestra_mcp.context.trial import deciding, forms, patches, programs, removal, tree, verifying
from orchestra_mcp.foreign import plain
from orchestra_mcp.telemetry import names
from orchestra_mcp.telemetry.spans import span
from orchestra_mcp.types import Behaviour, Probe, SpanValue, Syntax, Trial

MAX_PATCHED = 4_000_000
"""Bytes of a file that a patch may change."""
MAX_NOTE = 800
AT_ONCE = 2
"""Children that run at the same time; more would only make each other late."""

_SWITCHED_OFF = "Programs of answers are not run: `run_answers` is off."


class ProjectWorkbench:
    """Implements `types.Workbench` for the directory `root`.

    Close it (`aclose`, or `async with`) when the consultation is over: it keeps one copy of the project from the first
    verified patch on.

    Args:
        root: the project's root, None where the question is about none.
        verify: the command that the user has allowed for this project; empty for none.
        verify_s: longest time of one run of it, in seconds.
        run_answers: False when the user does not want programs of answers to be run.
        hidden: directories and files of which a verify command must see nothing: our own, those with keys.
        clean: takes the project's secrets out of a text.
    """

    def __init__(
        self,
        root: Path | None,
        verify: str = "",
        verify_s: float = 120,
        run_answers: bool = True,
        *,
        clean: Callable[[str], Awaitable[str]],
        hidden: Sequence[Path] = (),
    ) -> None:
        self.root = root.resolve() if root is not None else None
        self._verify = verify.strip()
        self._verify_s = verify_s
        self._clean = clean
        self._hidden = tuple(dict.fromkeys(place.resolve() for place in hidden))
        self._refusal = "" if run_answers else _SWITCHED_OFF
        self._turn = anyio.Semaphore(AT_ONCE)
        self._lock = anyio.Lock()
        self._base: Path | None = None
        self._linked: tuple[str, ...] = ()
        self._before: verifying.Run | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Remove the copy of the project. Nothing happens when there is none."""
        base, self._base, self._before = self._base, None, None
        if base is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(removal.remove, base)

    @property
    def refusal(self) -> str:
        """Why programs of answers are not run, as a sentence; empty while nothing speaks against it."""
        return self._refusal

    # ---------------------------------------------------------------------------------------------------- programs

    async def behave(self, code: str, language: str, probes: Sequence[Probe]) -> Behaviour | None:
        """Run a Python program on probes; None for other languages, and where `refusal` says why not."""
        if self._refusal or language.strip().lower() not in programs.PYTHON:
            return None
        try:
            async with self._turn:
                with span("execute_tool run_program", attributes=_tool("run_program")) as doing:
                    doing.set(names.PROBES, len(probes))
                    done = await programs.behave(code, probes)
        except Exception as error:  # noqa: BLE001 - one program's fault must not become another's
            return Behaviour(loaded=False, note=f"it could not be tried ({type(error).__name__})")
        if isinstance(done, str):
            self._refusal = done
            return None
        return done

    async def normal_form(self, code: str, language: str) -> str:
        """The code without comments, layout and names of locals; empty when it does not parse."""
        return forms.normal_form(code, language)

    # ----------------------------------------------------------------------------------------------------- patches

    async def try_patch(self, patch: str) -> Trial:
        """Apply a patch to a copy, parse what it changes and, where the user has allowed a command, run that before
        and after."""
        started = time.monotonic()
        try:
            with span("execute_tool try_patch", attributes=_tool("try_patch")) as doing:
                trial = await self._try(patch)
                doing.set(names.RESULT, trial.verdict)
            note, output = await self._clean(_one_line(trial.note)), await self._clean(plain(trial.output))
        except Exception as error:  # noqa: BLE001 - one patch's fault must not become another's
            return Trial(applies=False, note=f"The patch could not be tried ({type(error).__name__}).")
        return trial.model_copy(update={"note": note, "output": output, "seconds": time.monotonic() - started})

    async def _try(self, patch: str) -> Trial:
        root = self.root
        if root is None:
            return Trial(applies=False, note="There is no project to which the patch could be applied.")
        try:
            applied = await anyio.to_thread.run_sync(
                patches.apply, patch, lambda path: read_bytes(root, path, MAX_PATCHED)
            )
        except patches.Misfit as reason:
            return Trial(applies=False, note=f"The patch does not apply: {reason}.")
        parses, broken = await anyio.to_thread.run_sync(_check, applied)
        done = "; ".join((f"It applies ({_files(len(applied.files))})", *applied.notes))
        if parses is False:
            return Trial(applies=True, parses=False, note=f"{done}, but leaves a syntax error in {broken}.")
        done += " and parses" if parses else ""
        if not self._verify:
            return Trial(applies=True, parses=parses, note=f"{done}; no verify command is set for this project.")
        return await self._judged(root, applied, Trial(applies=True, parses=parses, note=done))

    async def _judged(self, root: Path, applied: patches.Applied, trial: Trial) -> Trial:
        """What the verify command says of a patch that applies, and parses where it can."""
        done = trial.note
        out = await anyio.to_thread.run_sync(self._deciding, root, applied)
        if out:
            done += f"; left out, as a patch must not decide about itself: {_named(out)}"
            trial = trial.model_copy(update={"tampered": True})
        files = {path: data for path, data in applied.files.items() if path not in out}
        if not files:
            return trial.model_copy(update={"note": f"{done}; nothing else is changed, so that nothing was run."})
        try:
            before = await self._baseline(root)
            if before.result == "not run":
                return trial.model_copy(update={"note": f"{done}; {before.why}.", "output": before.output})
            after = await self._verified(root, files)
        except (tree.TooLarge, OSError, RecursionError) as error:
            why = str(error) if isinstance(error, tree.TooLarge) else f"{type(error).__name__} while copying"
            return trial.model_copy(update={"note": f"{done}; the verify command was not run: {why}."})
        ran = after.why or f"the verify command {before.result} without it and {after.result} with it ({after.limits})"
        found: dict[str, object] = {
            "before": before.result,
            "after": after.result,
            "note": f"{done}; {ran}.",
            "output": after.output,
        }
        if after.result == "passed" and not deciding.reported(before.output, after.output):
            ended = (
                "the verify command ended well with it, but without the report of its runner, so that it says nothing"
            )
            found |= {"after": "not run", "tampered": True, "note": f"{done}; {ended}."}
        return trial.model_copy(update=found)

    def _deciding(self, root: Path, applied: patches.Applied) -> tuple[str, ...]:
        linked = [str(root / name) for name in tree.DEPENDENCIES]
        found = deciding.installed(self._verify, linked, os.environ)
        return deciding.left_out(root, applied.files, applied.before, self._verify, found)

    async def _baseline(self, root: Path) -> verifying.Run:
        """The verify command on the project as it is: run once, whoever asks first."""
        async with self._lock:
            if self._before is None:
                base = await self._copy(root)
                async with self._turn, self._area(base) as area:
                    self._before = await self._run(root, area)
            return self._before

    async def _copy(self, root: Path) -> Path:
        """The untouched copy from which each trial gets its own."""
        if self._base is None:
            base = Path(tempfile.mkdtemp(prefix="orchestra-"))
            # Should nobody close this object; silently, and also at the interpreter's end.
            weakref.finalize(self, removal.remove, base)
            try:
                listed = await tree.listing(root)
                self._linked = await anyio.to_thread.run_sync(tree.fill, root, listed, base, self._hidden)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(removal.remove, base)
                raise
            self._base = base
        return self._base

    @asynccontextmanager
    async def _area(self, base: Path) -> AsyncIterator[Path]:
        """A directory of one trial's own, with a copy in it, removed afterwards."""
        area = Path(tempfile.mkdtemp(prefix="orchestra-"))
        try:
            (area / "work").mkdir()
            await anyio.to_thread.run_sync(tree.duplicate, base, area / "work" / "tree")
            yield area
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(removal.remove, area)

    async def _verified(self, root: Path, files: Mapping[str, bytes | None]) -> verifying.Run:
        base = await self._copy(root)
        async with self._turn, self._area(base) as area:
            copy = area / "work" / "tree"
            stuck = await anyio.to_thread.run_sync(tree.write, copy, files)
            if stuck:
                return verifying.Run("not run", f"{stuck} cannot be written in a copy of the project")
            return await self._run(root, area)

    async def _run(self, root: Path, area: Path) -> verifying.Run:
        return await verifying.run(self._verify, root, area, self._linked, self._verify_s, self._hidden)


def _tool(name: str) -> dict[str, SpanValue]:
    return {names.OPERATION: "execute_tool", names.TOOL: name, names.TOOL_TYPE: "function"}


def _named(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(path[:100] for path in paths[:3]) + more


def _one_line(text: str) -> str:
    line = " ".join(plain(text).split())
    return line if len(line) <= MAX_NOTE else line[: MAX_NOTE - 1] + "…"


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number} files"


def _check(applied: patches.Applied) -> tuple[bool | None, str]:
    """Do the changed files parse that did so before? None when none has a grammar; else also the first bad place."""
    seen = False
    for path, made in applied.files.items():
        if made is None or len(made) > MAX_BYTES or not (language_of(path) or markup_of(path)):
            continue
        old = applied.before.get(path)
        if old is not None and _fault(path, old):
            continue  # it had errors before, or is in a dialect that the grammar does not know
        seen = True
        if line := _fault(path, made):
            return False, f"{path}:{line}"
    return (True, "") if seen else (None, "")


def _fault(path: str, source: bytes) -> int:
    """The line of the first syntax error, 0 when there is none."""
    syntax = parse(path, source) if language_of(path) else parse_markup(path, source)
    if syntax is None:
        return 1 if source.strip() and b"\0" not in source[:8192] and _has_grammar(path) else 0
    if syntax.root.has_error:
        return _first_error(syntax)
    if language_of(path) == "python":
        return forms.python_fault(source.decode("utf-8", "replace"))
    return 0


def _has_grammar(path: str) -> bool:
    return (parse(path, b"") if language_of(path) else parse_markup(path, b"")) is not None


def _first_error(syntax: Syntax) -> int:
    node = syntax.root
    while not (node.is_error or node.is_missing):
        inner = next((one for one in node.children if one.has_error or one.is_missing), None)
        if inner is None:
            break
        node = inner
    return node.start_point[0] + 1
