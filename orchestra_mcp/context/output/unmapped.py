"""The source of a built file without a source map, when the project has just one that it can be."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

# Add here: directories of built files, and what the compiler was given for a suffix.
_BUILT = frozenset({"dist", "build", "out", "lib"})
_UNBUILT = {
    ".js": (".ts", ".tsx", ".mts", ".cts"), ".mjs": (".mts", ".ts", ".tsx"), ".cjs": (".cts", ".ts", ".tsx"),
}  # fmt: skip
_MAX_DEPTH = 40
"""So many components of a built file's path are looked at."""


def beside(path: str, files: Collection[str]) -> str:
    """The one source beside the build directory of a path below the root: `worker/dist/a.js` is `worker/src/a.ts`."""
    stem, dot, suffix = path.rpartition(".")
    parts = stem.split("/")
    built = next((at for at in range(len(parts) - 2, -1, -1) if parts[at] in _BUILT), -1)
    if built < 0 or path in files:
        return ""
    parts[built] = "src"
    fitting = ["/".join(parts) + new for new in _UNBUILT.get(dot + suffix, ())]
    fitting = [file for file in fitting if file in files]
    return fitting[0] if len(fitting) == 1 else ""


def source(path: str, files: Collection[str], by_name: Mapping[str, Sequence[tuple[str, ...]]]) -> str:
    """The source of a printed path whose built file is not in the project; `by_name` are the files' parts by file name."""
    if path[path.rfind(".") :] not in _UNBUILT:
        return ""
    parts = [part for part in path.split("/") if part][-_MAX_DEPTH:]
    for start in range(len(parts) - 1):
        tail = "/".join(parts[start:])
        if tail in files:
            return ""
        # A package's directory says which one; without it the project must have none of the name before `dist`.
        found = beside(tail, files)
        if found and any(file[start - len(parts) :] == tuple(parts[start:]) for file in by_name.get(parts[-1], [])):
            return ""
        if found and (parts[start] not in _BUILT or not start or not _has_directory(parts[start - 1], files)):
            return found
    return ""


def _has_directory(name: str, files: Collection[str]) -> bool:
    return any(f"{name}/" in file and name in file.split("/")[:-1] for file in files)
