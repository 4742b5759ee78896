"""Pages whose figures take a while: their frame is sent at once, the figures follow in the same answer as soon as they are
known. Browsers show what has come so far, with or without scripts.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from orchestra_mcp.errors import OrchestraError
from orchestra_mcp.web.errors import trouble
from orchestra_mcp.web.pages.visit import Visit

MARK: Final = b"<!-- later -->"
"""Where a template has this comment, its figures will stand."""


async def page_then(
    visit: Visit, template: str, title: str, piece: str, figures: Callable[[], Awaitable[dict[str, Any]]], **values: Any
) -> Response:
    """A page whose frame comes first.

    Args:
        visit: who asks.
        template: the frame, with the mark in it.
        title: as `Visit.page`.
        piece: the template of what follows; it gets `values` too.
        figures: what takes a while; what goes wrong there is told in its place.
        values: for both templates.
    """
    frame = await visit.page(template, title, **values)
    before, _, after = bytes(frame.body).partition(MARK)

    async def parts() -> AsyncGenerator[bytes, None]:
        yield before
        try:
            made = await visit.piece(piece, **{**values, **await figures()})
        except Exception as error:  # noqa: BLE001 - the frame is out: each error is told in it, unforeseen ones are logged
            told = trouble(error)
            title = "The figures cannot be read" if isinstance(error, OrchestraError) else "Something went wrong here"
            made = await visit.piece("_error.html", title=title, message=told.message, status=told.status)
        yield bytes(made.body)
        yield after

    headers = {name: value for name, value in frame.headers.items() if name not in ("content-length", "content-type")}
    return StreamingResponse(parts(), frame.status_code, headers=headers, media_type="text/html")
