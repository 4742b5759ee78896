"""Which project a call is about: the argument, the environment, the client's roots, or the directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from mcp.server.mcpserver import ListRoots, Resolve
from mcp.shared.exceptions import MCPError
from mcp.types import ListRootsRequest, ListRootsResult

from orchestra_mcp.tools.arguments import ProjectDir
from orchestra_mcp.tools.door import ToolContext, asks_by_result, host_of

if TYPE_CHECKING:
    from orchestra_mcp.app import Orchestra

ROOTS_S = 3.0
"""A client that declares roots and then does not answer is not waited for any longer than this."""


async def client_roots(ctx: ToolContext, project_dir: ProjectDir = "") -> ListRoots | ListRootsResult | None:
    """Resolver: the client's roots, asked for only when neither argument nor environment names a project."""
    environ = host_of(ctx).environ
    if project_dir or environ.get("ORCHESTRA_PROJECT_DIR") or environ.get("CLAUDE_PROJECT_DIR"):
        return None
    declared = ctx.client_capabilities
    if declared is None or declared.roots is None:
        return None
    if asks_by_result(ctx):
        return ListRoots()
    if not ctx.session.can_send_request:
        return None
    try:
        roots: ListRootsResult = await ctx.session.send_request(
            ListRootsRequest(), ListRootsResult, request_read_timeout_seconds=ROOTS_S
        )
    except MCPError:
        return None
    return roots


async def client_roots_anyway(ctx: ToolContext) -> ListRoots | ListRootsResult | None:
    """Resolver: as `client_roots`, for tools that have no `project_dir`."""
    return await client_roots(ctx)


Roots = Annotated[ListRootsResult | None, Resolve(client_roots)]
RootsAnyway = Annotated[ListRootsResult | None, Resolve(client_roots_anyway)]


def root_paths(roots: ListRootsResult | None) -> tuple[str, ...]:
    """The local directories among a client's roots."""
    paths = []
    for root in roots.roots if roots else ():
        parts = urlsplit(str(root.uri))
        if parts.scheme == "file":
            paths.append(url2pathname(parts.path) if os.name == "nt" else unquote(parts.path))
    return tuple(paths)


def locate(orchestra: Orchestra, project_dir: str, roots: ListRootsResult | None) -> str | None:
    """Absolute path of the project, or None when there is none.

    Raises:
        ProjectError: what was given is not a directory, or not allowed.
    """
    found = orchestra.project(project_dir or None, root_paths(roots))
    return str(found) if found else None
