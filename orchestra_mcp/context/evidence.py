"""The council's eyes on one project: everything it may see, confined to the root and free of secrets.

One object serves one consultation: what was listed, read, parsed or asked of git once is remembered. Files are read
and parsed in worker threads. What is parsed is the redacted text, which has the same lines as the file.
"""

from __future__ import annotations

import itertools
import os
import re
import stat
import time
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import anyio
import anyio.to_thread

from orchestra_mcp.context.code import symbols
from orchestra_mcp.context.environment import instructions, manifests
from orchestra_mcp.context.index import precedents
from orchestra_mcp.context.index.projectindex import ProjectIndex
from orchestra_mcp.context.index.retrieval import Clues, Ranking
from orchestra_mcp.context.project import confine, denied, read_bytes
from orchestra_mcp.context.reading.signals import Signals
from orchestra_mcp.context.repository import history
from orchestra_mcp.context.repository.git import Git
from orchestra_mcp.context.secrecy.redaction import Redactor, secret_values
from orchestra_mcp.paths import aside
from orchestra_mcp.store.index import Stamp
from orchestra_mcp.types import BlameLine, Change, Commit, Definition, Hunk, Syntax

T = TypeVar("T")
ChangesKind = Literal["working tree", "branch", "commit", "none"]

MAX_FILES = 50_000
MAX_UNTRACKED = 100
"""Of so many untracked files the text is given; of the rest the names."""
MAX_UNTRACKED_BYTES = 100_000
MAX_CHANGED = 600_000
"""Characters of changed lines that are kept; of further files only the names are."""
MAX_BUILT = 6_000_000
"""Bytes of a built file or a source map."""
MAX_ENV_FILES = 60
ENV_DEPTH = 3
"""Directories below the root in which `.env` files are looked for."""
MAX_PARSED = 40
"""Files that are parsed to find a symbol in the whole project."""

_MAY_HOLD = re.compile(r"\d[^\d./]*\d|[@=:%&?«]|[^\W_]{20}")
"""Only such parts of a path can be taken for a secret by their looks."""

IGNORED_DIRS = frozenset(
    (
        ".git", ".hg", ".svn", ".jj", "node_modules", "bower_components", "__pycache__", ".venv", "venv", ".tox", ".nox",
        ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".eggs", "site-packages", "target", "dist", "build",
        "out", ".gradle", ".idea", ".vs", ".next", ".nuxt", ".svelte-kit", ".turbo", ".parcel-cache", "coverage",
        "htmlcov", ".cache", ".terraform", "Pods", "DerivedData", "_build", "deps", ".dart_tool", ".direnv",
    )
)  # fmt: skip
"""What git would ignore in most projects; used where there is no git. Add here."""

BINARY_SUFFIXES = frozenset(
    f".{name}"
    for name in """png jpg jpeg gif bmp ico webp avif tif tiff psd svgz pdf ps eps doc docx xls xlsx ppt pptx odt ods zip gz
    bz2 xz zst 7z rar tar tgz jar war ear class pyc pyo pyd so dylib dll exe o a obj lib bin dat db sqlite sqlite3 mo pack
    idx wasm woff woff2 ttf otf eot mp3 mp4 m4a wav ogg flac avi mov mkv webm parquet arrow feather h5 hdf5 npy npz pkl
    pickle pt pth onnx safetensors gguf ckpt model weights iso img dmg deb rpm apk aab ipa whl egg nupkg keystore""".split()
)
"""Files that hold no text. Add here."""

_DEFINING = (
    r"\b(?:def|class|func|fn|fun|function|interface|struct|enum|trait|type|object|record|module|impl|macro_rules!)\b"
)


class ProjectEvidence:
    """Implements `types.Evidence` for the directory `root`.

    Args:
        root: the project's root, as `project.find_root` gives it.
        secrets: values that must never be shown, such as the keys in the environment. Values of the project's `.env`
            files are added.
        home: the data directory, in which the project's index is kept; without one, it lives as long as this object.
        redactor: that of the consultation, so that a secret has one number in all that is said in it.
    """

    def __init__(
        self, root: Path, secrets: Sequence[str] = (), home: Path | None = None, redactor: Redactor | None = None
    ) -> None:
        self.root = root.resolve()
        self.index = ProjectIndex(self.root, home)
        self.redactor = redactor or Redactor()
        self.redactor.learn(secrets)
        self._memo: dict[Hashable, Any] = {}
        self._locks: dict[Hashable, anyio.Lock] = {}

    # -------------------------------------------------------------------------------------------------- files

    async def files(self) -> tuple[str, ...]:
        """All text files that belong to the project, ignoring what git ignores."""
        return await self._once("files", self._names)

    async def stamps(self) -> Mapping[str, Stamp]:
        """The same files, each with what tells that it has changed."""
        return await self._once("stamps", self._list)

    async def read(self, path: str, start: int = 1, end: int | None = None) -> tuple[str, ...]:
        """Lines `start` to `end` (both included, from 1) without line ends, redacted; empty when there is no such file."""
        lines = await self._lines(path)
        return lines[max(0, start - 1) : end]

    async def syntax(self, path: str) -> Syntax | None:
        """The parsed file, or None when it does not exist or its language has no grammar."""
        return await self._once(("syntax", path), partial(self._parse, path))

    async def definitions(self, path: str) -> tuple[Definition, ...]:
        """All functions, methods and classes of a file, in order of their first line."""
        return await self._once(("definitions", path), partial(self._define, path))

    async def enclosing(self, path: str, line: int) -> Definition | None:
        """The innermost function or class around a line."""
        return symbols.enclosing(await self.definitions(path), line)

    async def locate(self, symbol: str, path: str = "") -> tuple[Definition, ...]:
        """Definitions of a symbol (`name` or `Class.name`), in one file or in the whole project."""
        symbol = symbol.strip().removesuffix("()")
        name = re.split(r"\.|::|#|/", symbol)[-1]
        if not re.fullmatch(r"\w{1,200}[?!]?", name):
            return ()
        parts = [part for part in re.split(r"\.|::|#|/", symbol) if part]
        places = (path,) if path else await self._defining_files(name)
        found = [d for place in places for d in await self.definitions(place) if _is(d, parts)]
        return tuple(found)

    async def mentions(self, word: str, limit: int = 50) -> tuple[tuple[str, int, str], ...]:
        """Where an identifier occurs as a whole word: (path, line, text)."""
        hits = await self._grep(word)
        found = []
        for path, line, _ in hits[:limit]:
            text = await self.read(path, line, line)
            if text:
                found.append((path, line, text[0]))
        return tuple(found)

    # ---------------------------------------------------------------------------------------------------- git

    async def changes(self) -> tuple[Change, ...]:
        """Staged, unstaged and untracked changes; on a clean tree, those of the last commit."""
        return (await self._changed())[0]

    async def before(self, path: str) -> tuple[str, ...]:
        """The lines of a file as they were before `changes()`; empty for a new file."""
        changes, base, _ = await self._changed()
        change = next((c for c in changes if c.path == path), None)
        earlier = change.old_path or path if change else path
        git = await self._git()
        if git is None or not base or denied(earlier) or _leaves(earlier):
            return ()
        data = await git.show(base, earlier)
        return _split(await self.clean(_decode(data))) if data else ()

    async def blame(self, path: str, start: int, end: int) -> tuple[BlameLine, ...]:
        """Who last changed these lines."""
        git, lines = await self._git(), await self._lines(path)
        end = min(end, len(lines))
        if git is None or not 1 <= start <= end:
            return ()
        blamed = await git.blame(path, start, end)
        shown = [(b, b.commit and await self._commit(b.commit)) for b in blamed if b.line <= len(lines)]
        return tuple(b.model_copy(update={"text": lines[b.line - 1], "commit": commit}) for b, commit in shown)

    async def log(self, path: str, start: int = 0, end: int = 0, limit: int = 5) -> tuple[Commit, ...]:
        """Recent commits on a file, or on a range of its lines, newest first."""
        git = await self._git()
        if git is None or denied(path) or _leaves(path) or _is_dir(self.root, path):
            return ()
        if start:
            changes, base, _ = await self._changed()
            change = next((c for c in changes if c.path == path and base == "HEAD"), None)
            start, end = _committed(change, start), _committed(change, max(start, end))
        return tuple([await self._commit(c) for c in await git.log(path, start, end, limit)])

    async def commit_changes(self, commit: str) -> tuple[Change, ...]:
        """What one commit changed."""
        git = await self._git()
        return await self._guarded(await git.commit_changes(commit)) if git else ()

    # ----------------------------------------------------------------------- for the collector, beyond the protocol

    async def head(self) -> str:
        """Branch and commit, empty outside git."""
        git = await self._git()
        return await self.clean(await git.head()) if git else ""

    async def git_note(self) -> str:
        """Why there is no git, or an empty string."""
        return (await self._opened())[1]

    async def git_notes(self) -> tuple[str, ...]:
        """What is under way in the repository: a merge, a rebase, conflicts, a shallow clone."""
        git = await self._git()
        return tuple([await self.clean(note) for note in await git.notes()]) if git else ()

    async def recent(self, limit: int = 5) -> tuple[Commit, ...]:
        """The project's last commits, newest first."""
        git = await self._git()
        return tuple([await self._commit(c) for c in await git.log(limit=limit)]) if git else ()

    async def range_changes(self, given: str) -> tuple[Change, ...] | None:
        """What a git range changed; None when git does not know it."""
        git = await self._git()
        changes = await git.range_changes(given) if git else None
        return None if changes is None else await self._guarded(changes)

    async def kind_of_changes(self) -> ChangesKind:
        """Whether `changes()` are those of the working tree, of the branch since it began, or of the last commit."""
        return (await self._changed())[2]

    async def changed_together(self, paths: Sequence[str]) -> dict[str, float]:
        """Path → in which share of the last commits on these files it changed too."""
        git = await self._git()
        if git is None or not paths:
            return {}
        logged = await git.history(limit=40 * len(paths), paths=paths)
        shares: dict[str, float] = {}
        for path in paths:
            for other in history.changed_together(logged, path):
                shares[other.path] = max(shares.get(other.path, 0.0), other.times / other.of)
        return shares

    async def describe(self, words: Collection[str] = (), near: Sequence[str] = ()) -> manifests.Project:
        """What kind of project it is; packages that `words` name and manifests near these paths come first."""
        return await _in_thread(manifests.describe, await self.files(), self._manifest, words, near)

    async def instructions(self, words: Collection[str], near: Sequence[str]) -> tuple[instructions.Section, ...]:
        """What the project asks of those who work on it, as far as it bears on these words and paths."""
        files = await self.files()
        return await _in_thread(partial(instructions.select, words=words, near=near), files, self._raw)

    async def refresh(self, words: Mapping[str, float]) -> None:
        """Bring the index up to date, once; `words` say which files matter first when there is no time for all."""
        await self._once("refreshed", partial(self._refresh, words))

    async def defining(self, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Name (without scopes) → the files that define it, as far as the index knows."""
        await self.refresh({name.lower(): 1.0 for name in names})
        return await self.index.defining(names)

    async def rank(self, signals: Signals, clues: Clues) -> Ranking:
        """The files and places that a question may be about."""
        await self.refresh(signals.terms)
        return await self.index.rank(signals, clues)

    async def precedents(self, terms: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
        """What `precedents.similar` says of this project's last commits."""
        git = await self._git()
        return await _in_thread(precedents.similar, terms, await self.index.past(git)) if git else ({}, {})

    async def clean(self, text: str) -> str:
        """Any text without this project's secrets."""
        await self._once("env", self._learn)
        return self.redactor.redact(text) if len(text) < 20_000 else await _in_thread(self.redactor.redact, text)

    def read_built(self, path: str) -> str | None:
        """A built file or its source map, which git may ignore; None when there is none. Blocking."""
        data = read_bytes(self.root, path, MAX_BUILT)
        return None if data is None else data.decode("utf-8", "replace")

    def exists(self, path: str) -> bool:
        """True for a file that may be read."""
        return confine(self.root, path) is not None

    # ------------------------------------------------------------------------------------------------- inside

    async def _once(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """The result of `make`, made only once for a key also when several ask at the same time."""
        if key not in self._memo:
            async with self._locks.setdefault(key, anyio.Lock()):
                if key not in self._memo:
                    self._memo[key] = await make()
        return cast("T", self._memo[key])

    async def _opened(self) -> tuple[Git | None, str]:
        return await self._once("git", partial(Git.open, self.root))

    async def _git(self) -> Git | None:
        return (await self._opened())[0]

    async def _learn(self) -> None:
        self.redactor.learn(await _in_thread(_env_values, self.root), sure=True)

    async def _names(self) -> tuple[str, ...]:
        return tuple(await self.stamps())

    async def _list(self) -> Mapping[str, Stamp]:
        git = await self._git()
        names = await git.ls_files() if git else await _in_thread(_walk, self.root)
        stamps = await _in_thread(_text_files, self.root, names)
        return {name: stamps[name] for name in await self._presentable(tuple(stamps))}

    async def _refresh(self, words: Mapping[str, float]) -> None:
        await self.index.refresh(await self.stamps(), words)

    async def _presentable(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Without files whose very name holds a secret: a redacted name would be the name of no file."""
        await self._once("env", self._learn)
        parts = dict.fromkeys(part for name in names for part in name.rpartition("/")[::2])
        whole = self.redactor.holds_known("\0\n".join(parts))  # then any part may be one of them
        asked = [part for part in parts if whole or _MAY_HOLD.search(part)]
        hidden = set(asked) - set((await self.clean("\0\n".join(asked))).split("\0\n"))
        return tuple(name for name in names if hidden.isdisjoint(name.rpartition("/")[::2]))

    def _raw(self, path: str) -> str:
        """A file's text as it is, for counting words; never shown. Blocking."""
        return _decode(read_bytes(self.root, path))

    def _manifest(self, path: str) -> str:
        return _decode(read_bytes(self.root, path, manifests.MAX_LOCK))

    async def _lines(self, path: str) -> tuple[str, ...]:
        return await self._once(("lines", path), partial(self._load, path))

    async def _load(self, path: str) -> tuple[str, ...]:
        await self._once("env", self._learn)
        return await _in_thread(lambda: _split(self.redactor.redact(self._raw(path))))

    async def _parse(self, path: str) -> Syntax | None:
        source = "\n".join(await self._lines(path)).encode("utf-8", "replace")
        return await _in_thread(symbols.parse, path, source) if source else None

    async def _define(self, path: str) -> tuple[Definition, ...]:
        syntax = await self.syntax(path)
        return await _in_thread(symbols.definitions, syntax, path) if syntax else ()

    async def _defining_files(self, name: str) -> tuple[str, ...]:
        """Files that may define a name: those of the index; where it is not whole, also those that look like it."""
        await self.refresh({name.lower(): 1.0})
        indexed = (await self.index.defining([name]))[name]
        if self.index.pending:
            like = re.compile(rf"{_DEFINING}.*\b{re.escape(name)}|\b{re.escape(name)}\s*(?:=|:|\()")
            indexed += tuple(path for path, _, text in await self._grep(name) if like.search(text))
        return tuple(sorted(dict.fromkeys(indexed), key=aside))[:MAX_PARSED]

    async def _grep(self, word: str) -> tuple[tuple[str, int, str], ...]:
        if not word.strip() or len(word) > 200 or "\n" in word or "\0" in word:
            return ()
        return await self._once(("grep", word), partial(self._search, word))

    async def _search(self, word: str) -> tuple[tuple[str, int, str], ...]:
        git, files = await self._git(), await self.files()
        if git is None:
            return await _in_thread(_scan, word, files, self._raw)
        known = frozenset(files)
        return tuple(hit for hit in await git.grep(word) if hit[0] in known)

    async def _changed(self) -> tuple[tuple[Change, ...], str, ChangesKind]:
        """The changes, the revision that they are to be compared with, and what they are."""
        return await self._once("changes", self._find_changes)

    async def _find_changes(self) -> tuple[tuple[Change, ...], str, ChangesKind]:
        git = await self._git()
        if git is None:
            return (), "", "none"
        own = await git.own_changes()
        changes = await self._guarded(own.changes)
        if changes or own.kind != "working tree":
            return changes, own.base, own.kind
        return await self._guarded(await git.commit_changes("HEAD")), await git.parent("HEAD"), "commit"

    async def _guarded(self, changes: Iterable[Change]) -> tuple[Change, ...]:
        """Without what must not be shown: secrets, the text of denied files, untracked denied files."""
        kept: list[Change] = []
        with_text, room = 0, MAX_CHANGED
        changes = tuple(changes)
        presentable = frozenset(await self._presentable(tuple(p for c in changes for p in (c.path, c.old_path))))
        for change in changes:
            if change.path not in presentable:
                continue
            if change.old_path not in presentable:
                change = change.model_copy(update={"old_path": ""})
            secret = denied(change.path) or denied(change.old_path)
            if change.status == "untracked":
                if secret or not self.exists(change.path):
                    continue
                with_text += 1
                hunks = await self._new_file(change.path) if with_text <= MAX_UNTRACKED else ()
            else:
                room -= sum(len(hunk.text) for hunk in change.hunks)
                shown = () if secret or room < 0 else change.hunks
                hunks = tuple([await self._hunk(hunk) for hunk in shown])
            kept.append(change.model_copy(update={"hunks": hunks}))
        return tuple(kept)

    async def _hunk(self, hunk: Hunk) -> Hunk:
        return hunk.model_copy(update={"text": await self.clean(hunk.text)})

    async def _new_file(self, path: str) -> tuple[Hunk, ...]:
        lines = await self._lines(path)
        text = "\n".join("+" + line for line in lines)
        if not lines or len(text) > MAX_UNTRACKED_BYTES:
            return ()
        return (Hunk(old_start=0, old_lines=0, new_start=1, new_lines=len(lines), text=text),)

    async def _commit(self, commit: Commit) -> Commit:
        subject, author = await self.clean(commit.subject), await self.clean(commit.author)
        return commit.model_copy(update={"subject": subject, "author": author})


async def _in_thread(work: Callable[..., T], *args: Any) -> T:
    """Run blocking work in a thread; a cancelled caller does not wait for it (nothing in it writes)."""
    return await anyio.to_thread.run_sync(partial(work, *args), abandon_on_cancel=True)


def _decode(data: bytes | None) -> str:
    """Text of a file, empty for binary files; a mark at its beginning is dropped."""
    if not data or b"\0" in data[:8000]:
        return ""
    return data.decode("utf-8-sig", "replace")


def _split(text: str) -> tuple[str, ...]:
    """Lines as editors and git count them: only at line feeds."""
    if not text:
        return ()
    return tuple(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n"))


def _is(definition: Definition, parts: Sequence[str]) -> bool:
    """True when a dotted name means this definition; leading parts may also be names of its directories or file."""
    qualified = definition.qualified.split(".")
    same = 0
    while same < min(len(parts), len(qualified)) and parts[-1 - same] == qualified[-1 - same]:
        same += 1
    if same == 0:
        return False
    places = re.split(r"[/.\\]", definition.path)
    return all(part in places for part in parts[: len(parts) - same])


def _leaves(path: str) -> bool:
    return not path or path.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", path) or "\0" in path


def _is_dir(root: Path, path: str) -> bool:
    try:
        return (root / path).is_dir()
    except OSError:
        return False


def _committed(change: Change | None, line: int) -> int:
    """The number that a line of the working tree has in the last commit, or that of its nearest neighbour there."""
    shift = 0
    for hunk in change.hunks if change else ():
        if line < hunk.new_start:
            break
        if line < hunk.new_start + hunk.new_lines:
            return max(1, hunk.old_start + min(line - hunk.new_start, max(0, hunk.old_lines - 1)))
        shift = (hunk.old_start + hunk.old_lines) - (hunk.new_start + hunk.new_lines)
    return max(1, line + shift)


def _walk(root: Path) -> tuple[str, ...]:
    """All files below a directory without git, links not followed."""
    if (root / "HEAD").is_file() and (root / "objects").is_dir() and (root / "refs").is_dir():
        return ()  # a bare repository: nothing in it is the project's text
    found: list[str] = []
    until = time.monotonic() + 10
    for place, directories, names in os.walk(root, followlinks=False):
        directories[:] = sorted(d for d in directories if d not in IGNORED_DIRS and not d.endswith(".egg-info"))
        base = place[len(str(root)) :].replace(os.sep, "/").strip("/")
        found += [f"{base}/{name}" if base else name for name in names if name.isprintable()]
        if len(found) > MAX_FILES or time.monotonic() > until:
            break
    return tuple(sorted(found))


def _text_files(root: Path, names: Sequence[str]) -> dict[str, Stamp]:
    """Those that exist, are regular files below the root, and hold text that may be shown."""
    kept: dict[str, Stamp] = {}
    base = str(root)

    @cache
    def inside(directory: str) -> bool:
        """False for a directory that is a link now, where git's index knows a real one: it may lead anywhere."""
        if not directory:
            return True
        return not os.path.islink(f"{base}/{directory}") and inside(directory.rpartition("/")[0])  # noqa: PTH114

    for name in names[: 2 * MAX_FILES]:
        if os.path.splitext(name)[1].lower() in BINARY_SUFFIXES or denied(name):  # noqa: PTH122  (20,000 names)
            continue
        try:
            info = os.lstat(f"{base}/{name}")
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(info.st_mode) and inside(name.rpartition("/")[0]):
            kept[name] = Stamp.of(info)
        if len(kept) == MAX_FILES:
            break
    return kept


def _scan(word: str, files: Sequence[str], read: Callable[[str], str]) -> tuple[tuple[str, int, str], ...]:
    """Whole-word search without git; gives up after a few seconds."""
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    hits: list[tuple[str, int, str]] = []
    until = time.monotonic() + 3
    for path in files:
        if len(hits) > 2000 or time.monotonic() > until:
            break
        text = read(path)
        if word in text:
            hits += [(path, n, line) for n, line in enumerate(text.split("\n"), 1) if pattern.search(line)]
    return tuple(hits)


def _env_values(root: Path) -> tuple[str, ...]:
    """What the project's `.env` files hold: these files are never shown, and neither are their values elsewhere.

    But for a developer's password that is the name of the project: with it, every path would be hidden.
    """
    values: list[str] = []
    for file in itertools.islice(_env_files(root), MAX_ENV_FILES):
        try:
            if file.is_file() and file.resolve().is_relative_to(root) and file.stat().st_size < 65_536:
                values += secret_values(file.read_text("utf-8", "replace"), file.name)
        except (OSError, RuntimeError):
            continue
    return tuple(value for value in dict.fromkeys(values) if value.casefold() != root.name.casefold())


def _env_files(root: Path) -> Iterator[Path]:
    """Files called `.env`, `.env.local`, `prod.env` and the like, down to a service's directory in a monorepo."""
    until = time.monotonic() + 2
    for place, directories, names in os.walk(root, followlinks=False):
        deep = place.count(os.sep) - str(root).count(os.sep) >= ENV_DEPTH
        directories[:] = [] if deep else sorted(d for d in directories if d not in IGNORED_DIRS)
        yield from (Path(place, name) for name in sorted(names) if name.startswith(".env") or name.endswith(".env"))
        if time.monotonic() > until:
            return
