"""What git knows, asked so that nothing that the repository configured is run.

A repository's own configuration can make a plain `git diff` or `git status` run programs: clean filters, fsmonitor,
text converters, external diffs, and (when objects are missing) transports. Therefore every call names and empties all
filter drivers first, turns the rest off by flags and environment, does not look into submodules, and pins the work
tree, which `core.worktree` could move elsewhere. Children get an argument list, no standard input, a deadline and a
cap on their output, and are killed when the caller is cancelled.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, Process

from orchestra_mcp.context import diffs
from orchestra_mcp.types import BlameLine, Change, Commit

FIXED = (
    "core.fsmonitor=false", "core.hooksPath=/dev/null", "core.pager=cat", "core.quotePath=true",
    "core.sshCommand=false", "core.gitProxy=", "credential.helper=", "protocol.allow=never",
    "log.showSignature=false", "blame.ignoreRevsFile=", "submodule.recurse=false", "color.ui=false",
)  # fmt: skip
"""Settings that override the repository's on every call. Add here."""

DIFF_FLAGS = (
    "--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=dirty", "--submodule=short", "--no-relative",
    "--src-prefix=a/", "--dst-prefix=b/", "--find-renames", "--unified=3", "--inter-hunk-context=0", "--full-index",
)  # fmt: skip

PASSED_ON = (
    "PATH", "HOME", "USERPROFILE", "HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA", "XDG_CONFIG_HOME",
    "SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT", "TEMP", "TMP", "TMPDIR",
)  # fmt: skip
"""Variables that git may see. No `GIT_*` and no keys."""

STORAGE = ("HEAD", "config", "index", "packed-refs", "objects", "refs", "reftable", "shallow", "commondir")
"""What in git's directory decides which commits and files are this repository's. Add here."""
MAX_REFS = 100_000
"""Loose refs that are looked at; git packs them long before there are so many."""

_REV = re.compile(r"[\w./@{}^~#+=,%-]{1,250}")
_FORMAT = "%h%x1f%an%x1f%at%x1f%s"
_EMPTY_TREES = {40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904"}
_SHA256_EMPTY_TREE = "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"


@dataclass(frozen=True, slots=True)
class Output:
    """What a git command gave; `ok` is False for an error, a time-out, or when git could not be started."""

    data: bytes = b""
    error: str = ""
    ok: bool = False
    cut: bool = False
    """True when the output was longer than the cap; `data` is its beginning."""

    @property
    def text(self) -> str:
        """The output decoded; bytes that are not UTF-8 become `�`."""
        return self.data.decode("utf-8", "replace")


class Git:
    """Read-only questions to git about one work tree. All methods give something empty when git has no answer."""

    def __init__(self, root: Path, program: str, environ: Mapping[str, str], neutral: Sequence[str] = ()) -> None:
        self.root = root
        self._program = program
        self._environ = environ
        self._neutral = tuple(neutral)

    @classmethod
    async def open(cls, root: Path, environ: Mapping[str, str] | None = None) -> tuple[Git | None, str]:
        """Git on a work tree whose top is `root`; or None and the reason, fit for a note."""
        seen = os.environ if environ is None else environ
        program = _find_git(root, seen.get("PATH", ""))
        if program is None:
            return None, "git is not installed; history and changes are not available."
        if not (root / ".git").exists():
            return None, "The project is not a git repository; history and changes are not available."
        git = cls(root, program, _environment(root, seen))
        drivers = await git.run("config", "-z", "--name-only", "--get-regexp", r"^(filter|diff)\..*\..*")
        where = await git.run("rev-parse", "--absolute-git-dir", "--git-common-dir", "--is-inside-work-tree")
        if not where.ok:
            hint = " (git says the directory belongs to another user)" if "dubious" in where.error else ""
            return None, f"git cannot read this repository{hint}; history and changes are not available."
        if not await anyio.to_thread.run_sync(_belongs, root, where.text.split("\n")):
            return None, "The repository's .git leads to another repository; history and changes are not used."
        neutral = _neutralise(drivers.data)
        if neutral is None:
            return None, "The repository configures a filter with an unsafe name; git is not asked about it."
        return cls(root, program, git._environ, neutral), ""

    async def run(self, *args: str, timeout_s: float = 20, max_bytes: int = 8_000_000) -> Output:
        """Run one git command with all precautions; never raises for what git says.

        Args:
            args: the command and its arguments; callers put `--end-of-options` and `--` before foreign text.
            timeout_s: after so many seconds git is killed and the result is not ok.
            max_bytes: git is killed after so much output; the result is ok but `cut`.
        """
        settings = [part for pair in (*FIXED, *self._neutral) for part in ("-c", pair)]
        command = [self._program, "--no-pager", "--literal-pathspecs", *settings, *args]
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        try:
            process = await anyio.open_process(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                cwd=self.root, env=self._environ, start_new_session=os.name == "posix", creationflags=flags,
            )  # fmt: skip
        except (OSError, ValueError):
            return Output(error="git cannot be started")
        out, err = _Sink(max_bytes), _Sink(20_000, keep_reading=True)
        timed_out = True
        try:
            with anyio.move_on_after(timeout_s):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(err.drain, process.stderr)
                    await out.drain(process.stdout)
                    if out.cut:
                        _kill(process)
                await process.wait()
                timed_out = False
        finally:
            await _end(process)
        error = "git took too long" if timed_out else err.data.decode("utf-8", "replace").strip()
        return Output(bytes(out.data), error, ok=not timed_out and (out.cut or process.returncode == 0), cut=out.cut)

    # ---------------------------------------------------------------------------------------------- where we are

    async def head(self) -> str:
        """Branch and abbreviated commit, such as `main 1a2b3c4`."""
        branch = (await self.run("symbolic-ref", "--quiet", "--short", "HEAD")).text.strip() or "detached"
        commit = (await self.run("rev-parse", "--quiet", "--verify", "--short", "HEAD")).text.strip()
        return f"{branch} {commit or '(no commits)'}"

    async def resolve(self, rev: str) -> str:
        """The full id of the commit that a revision names, or an empty string."""
        if not _REV.fullmatch(rev) or rev.startswith("-"):
            return ""
        found = await self.run("rev-parse", "--quiet", "--verify", "--end-of-options", f"{rev}^{{commit}}")
        name = found.text.strip()
        return name if found.ok and re.fullmatch(r"[0-9a-f]{40,64}", name) else ""

    async def ls_files(self) -> tuple[str, ...]:
        """All tracked files, and untracked ones that are not ignored, sorted; some may not exist any more."""
        listed = await self.run("ls-files", "-z", "--cached", "--others", "--exclude-standard", max_bytes=32_000_000)
        return tuple(sorted({name for name in _names(listed.data) if not name.endswith("/")}))

    # -------------------------------------------------------------------------------------------------- changes

    async def working_changes(self) -> tuple[Change, ...]:
        """Staged and unstaged changes against HEAD, one `Change` for each file, so that line numbers are today's.

        `where` says `staged`, `unstaged`, or `working tree` for both. Untracked files come without their text.
        """
        base = await self.resolve("HEAD") or await self._empty_tree()
        diff = await self._diff("working tree", base)
        staged = set(_names((await self.run("diff", *DIFF_FLAGS, "--cached", "--name-only", "-z")).data))
        unstaged = set(_names((await self.run("diff", *DIFF_FLAGS, "--name-only", "-z")).data))
        others = await self.run("ls-files", "-z", "--others", "--exclude-standard")
        changes = [c.model_copy(update={"where": _where(c.path, staged, unstaged)}) for c in diff]
        untracked = [name for name in _names(others.data) if not name.endswith("/")]
        changes += [Change(path=name, status="untracked", where="untracked") for name in untracked]
        return tuple(changes)

    async def range_changes(self, given: str) -> tuple[Change, ...] | None:
        """What a range (`main...HEAD`, `v1..v2`) or a revision against the working tree changed; None if unknown."""
        left, dots, right = (part.strip() for part in _split_range(given))
        start = await self.resolve(left or "HEAD")
        end = await self.resolve(right or "HEAD") if dots else ""
        if not start or (dots and not end):
            return None
        return await self._diff(given.strip(), f"{start}{dots}{end}" if dots else start)

    async def commit_changes(self, rev: str) -> tuple[Change, ...]:
        """What one commit changed against its first parent; the first commit changed everything that it holds."""
        commit = await self.resolve(rev)
        if not commit:
            return ()
        parent = await self.parent(commit)
        return await self._diff(commit[:7], parent, commit) if parent else ()

    async def parent(self, rev: str) -> str:
        """The first parent's id, the empty tree for a first commit, empty when history is cut off there."""
        commit = await self.resolve(rev)
        if not commit:
            return ""
        if parent := await self.resolve(f"{commit}^1"):
            return parent
        header = (await self.run("cat-file", "commit", commit)).text.split("\n\n", 1)[0]
        return "" if re.search(r"^parent ", header, re.MULTILINE) else await self._empty_tree()

    async def show(self, rev: str, path: str) -> bytes | None:
        """A file's content in a commit, or None when it was not there."""
        commit = await self.resolve(rev)
        if not commit or not path:
            return None
        blob = await self.run("cat-file", "blob", f"{commit}:{path}", max_bytes=2_000_000)
        return blob.data if blob.ok and not blob.cut else None

    # -------------------------------------------------------------------------------------------------- history

    async def blame(self, path: str, start: int, end: int) -> tuple[BlameLine, ...]:
        """Who last changed the lines from `start` to `end` (counted from 1), as they are in the working tree."""
        if start < 1 or end < start:
            return ()
        span = f"-L{start},{end}"
        blamed = await self.run("blame", "--porcelain", "--no-textconv", span, "--", path)
        return _blame_lines(blamed.text) if blamed.ok else ()

    async def log(self, path: str = "", start: int = 0, end: int = 0, limit: int = 5) -> tuple[Commit, ...]:
        """Recent commits, newest first: of the project, of a file, or of a range of its lines."""
        args = ["log", "-z", f"--max-count={max(1, limit)}", f"--format={_FORMAT}", "--no-mailmap", "--encoding=UTF-8"]
        args += ["--no-patch", "--no-ext-diff", "--no-textconv", "--no-color"]
        if path and start:
            args += [f"-L{start},{max(start, end)}:{path}"]
        elif path:
            args += ["--follow", "--", path]
        logged = await self.run(*args)
        return tuple(c for line in logged.text.split("\0") if (c := _commit(line.strip("\n"))) is not None)

    async def grep(self, word: str, limit: int = 2000) -> tuple[tuple[str, int, str], ...]:
        """Where a whole word occurs in tracked and untracked files of the working tree: (path, line, text)."""
        found = await self.run(
            "grep", "-z", "-n", "-I", "-w", "-F", "--no-textconv", "--no-color", "--untracked", "--no-recurse-submodules",
            "-e", word, max_bytes=4_000_000,
        )  # fmt: skip
        hits = []
        for line in found.text.split("\n")[:limit]:
            parts = line.split("\0", 2)
            if len(parts) == 3 and parts[1].isdigit():
                hits.append((parts[0], int(parts[1]), parts[2]))
        return tuple(hits)

    async def _diff(self, where: str, *revs: str) -> tuple[Change, ...]:
        got = await self.run("diff", *DIFF_FLAGS, "--end-of-options", *revs, "--", max_bytes=3_000_000)
        text = got.text
        if got.cut:  # the last section may end in the middle of a line
            text = text[: text.rfind("\ndiff --git ") + 1]
        return diffs.parse(text, where)

    async def _empty_tree(self) -> str:
        kind = await self.run("rev-parse", "--show-object-format")
        return _SHA256_EMPTY_TREE if kind.text.strip() == "sha256" else _EMPTY_TREES[40]


class _Sink:
    """Takes bytes up to a cap."""

    def __init__(self, cap: int, *, keep_reading: bool = False) -> None:
        self.data = bytearray()
        self.cut = False
        self._cap = cap
        self._keep_reading = keep_reading

    async def drain(self, stream: ByteReceiveStream | None) -> None:
        if stream is None:
            return
        try:
            async for chunk in stream:
                room = self._cap - len(self.data)
                self.data += chunk[: max(0, room)]
                self.cut = self.cut or len(chunk) > room
                if self.cut and not self._keep_reading:
                    return
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()


async def _end(process: Process) -> None:
    """Kill what still runs and reap it, within two seconds even when cancelled."""
    with anyio.move_on_after(2, shield=True):
        if process.returncode is None:
            _kill(process)
        await process.aclose()


def _find_git(root: Path, path: str) -> str | None:
    """Git on PATH, but never one that the project brought along: PATH may hold `.`, and Windows looks there anyway."""
    places = [place for place in path.split(os.pathsep) if Path(place).is_absolute()]
    program = shutil.which("git", path=os.pathsep.join(places)) if places else None
    if program is None or not Path(program).is_absolute() or Path(program).is_relative_to(root):
        return None
    return program


def _environment(root: Path, seen: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name in PASSED_ON if (value := seen.get(name))}
    return kept | {
        "GIT_WORK_TREE": str(root), "GIT_CEILING_DIRECTORIES": str(root.parent), "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1", "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none", "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C", "LANGUAGE": "C",
    }  # fmt: skip


def _neutralise(listed: bytes) -> tuple[str, ...] | None:
    """Settings that empty every filter and diff driver that any configuration names; None if a name cannot be given.

    `-c` splits at the first `=`, so that a driver called `a=b` could not be overridden.
    """
    settings: dict[str, None] = {}
    for key in _names(listed):
        section, _, rest = key.partition(".")
        name = rest.rpartition(".")[0]
        if "=" in name or "\n" in name:
            return None
        if section.lower() == "filter":
            settings |= dict.fromkeys(f"filter.{name}.{what}=" for what in ("clean", "smudge", "process"))
            settings[f"filter.{name}.required=false"] = None
    return tuple(settings)


def _belongs(root: Path, lines: list[str]) -> bool:
    """True when git's directory is inside the project, or itself names this project as its work tree.

    A `.git` file or link may come with an unpacked archive and point at any repository of the user.
    """
    if len(lines) < 3 or lines[2] != "true":
        return False
    try:
        git_dir = Path(lines[0]).resolve()
        common = (root / lines[1]).resolve()
        if git_dir.is_relative_to(root):
            return common.is_relative_to(root) and not any(_linked(place) for place in {git_dir, common})
        back = git_dir / "gitdir"  # a linked work tree
        if back.is_file():
            named = Path(back.read_text("utf-8").strip())
            named = named if named.is_absolute() else git_dir / named
            return named.resolve() == (root / ".git").resolve() and git_dir.is_relative_to(common)
        config = (git_dir / "config").read_text("utf-8", "replace")  # a submodule
        tree = re.search(r'^\s*worktree\s*=\s*"?([^"\n]+)"?\s*$', config, re.MULTILINE)
        return tree is not None and (git_dir / tree[1].strip()).resolve() == root
    except (OSError, UnicodeDecodeError, RuntimeError):
        return False


def _linked(git_dir: Path) -> bool:
    """True when a link in git's directory could make another repository's commits look like this one's."""
    if any((git_dir / name).is_symlink() for name in STORAGE):
        return True
    links = (
        os.path.islink(os.path.join(place, name))  # noqa: PTH114, PTH118  (many refs)
        for place, directories, names in os.walk(git_dir / "refs")
        for name in (*directories, *names)
    )
    return any(itertools.islice(links, MAX_REFS)) or next(links, None) is not None


def _names(data: bytes) -> list[str]:
    return [name.decode("utf-8", "replace") for name in data.split(b"\0") if name]


def _where(path: str, staged: set[str], unstaged: set[str]) -> str:
    if path in staged and path in unstaged:
        return "working tree"
    return "staged" if path in staged else "unstaged"


def _split_range(given: str) -> tuple[str, str, str]:
    for dots in ("...", ".."):
        left, found, right = given.partition(dots)
        if found:
            return left, dots, right
    return given, "", ""


def _commit(line: str) -> Commit | None:
    fields = line.split("\x1f")
    if len(fields) != 4 or not fields[2].lstrip("-").isdigit():
        return None
    return Commit(id=fields[0], author=_author(fields[1]), at=_time(fields[2]), subject=fields[3])


def _author(name: str) -> str:
    """A name; never an address."""
    return re.sub(r"\s*<?\S+@\S+>?", "", name).strip()


def _time(seconds: str) -> datetime:
    value = float(seconds)
    return datetime.fromtimestamp(value if math.isfinite(value) and 0 <= value < 2e11 else 0, UTC)


def _blame_lines(text: str) -> tuple[BlameLine, ...]:
    """Parse `git blame --porcelain`: a commit's facts are printed only the first time."""
    facts: dict[str, dict[str, str]] = {}
    sha, number, lines = "", 0, list[BlameLine]()
    for row in text.split("\n"):
        if row.startswith("\t"):
            lines.append(BlameLine(line=number, text=row[1:].rstrip("\r"), commit=_blamed(sha, facts[sha])))
        elif header := re.fullmatch(r"([0-9a-f]{40,64}) \d+ (\d+)(?: \d+)?", row):
            sha, number = header[1], int(header[2])
            facts.setdefault(sha, {})
        elif sha:
            key, _, value = row.partition(" ")
            facts[sha][key] = value
    return tuple(lines)


def _blamed(sha: str, fact: Mapping[str, str]) -> Commit | None:
    if not sha.strip("0"):
        return None
    at = _time(fact.get("author-time", "0"))
    return Commit(id=sha[:7], author=_author(fact.get("author", "")), at=at, subject=fact.get("summary", ""))
