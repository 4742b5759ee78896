"""Styles, scripts and the icon, from the package: named with their content's hash, so that browsers keep them for good."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

ROOT: Final = Path(__file__).parent / "static"
KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""What is served; everything else (licences, readmes) is not."""


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is served."""

    body: bytes
    kind: str
    version: str
    """The beginning of its SHA-256."""


@lru_cache(maxsize=1)
def files() -> dict[str, File]:
    """All files, by their path below `/static/`; read once."""
    found = {}
    for path in sorted(ROOT.rglob("*")):
        if kind := KINDS.get(path.suffix):
            body = path.read_bytes()
            name = path.relative_to(ROOT).as_posix()
            found[name] = File(body, kind, hashlib.sha256(body).hexdigest()[:12])
    return found


def address(name: str) -> str:
    """Where a file is found, with its version. Raises KeyError for a file that there is not."""
    return f"/static/{name}?v={files()[name].version}"


async def serve(request: Request) -> Response:
    """`/static/…`: with the right version it may be kept for a year, else it is asked for again."""
    name = request.path_params.get("name", "icon.svg")
    file = files().get(name)
    if file is None:
        return Response("There is no such file.\n", 404, media_type="text/plain")
    tag = f'"{file.version}"'
    keep = "public, max-age=31536000, immutable" if request.query_params.get("v") == file.version else "no-cache"
    headers = {
        "cache-control": keep,
        "etag": tag,
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-origin",
    }
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.body, headers={**headers, "content-type": file.kind})
