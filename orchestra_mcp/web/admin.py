"""`/admin`: workspaces, members and virtual keys. Off unless the server was started with `--admin`.

The owner's token may do everything; a key with the role `admin` what concerns its own workspace, which is the only
one that there is for it.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from orchestra_mcp.errors import NotFound
from orchestra_mcp.store.access import AccessStore
from orchestra_mcp.store.tenants import Scope, within
from orchestra_mcp.web.access import Access, Forbidden
from orchestra_mcp.web.answering import answering, body, principal_of, reply
from orchestra_mcp.web.nouns import MadeKey, NewKey, NewMember, NewWorkspace, WorkspaceChange


class Admin:
    """The handlers of `/admin`."""

    def __init__(self, store: AccessStore, access: Access) -> None:
        self._store, self._access = store, access

    def routes(self) -> list[BaseRoute]:
        """All routes below `/admin`."""
        rows = (
            ("", "GET", self.workspaces),
            ("", "POST", self.create_workspace),
            ("/{workspace}", "PATCH", self.change_workspace),
            ("/{workspace}", "DELETE", self.delete_workspace),
            ("/{workspace}/keys", "GET", self.keys),
            ("/{workspace}/keys", "POST", self.create_key),
            ("/{workspace}/keys/{key}", "DELETE", self.revoke),
            ("/{workspace}/members", "GET", self.members),
            ("/{workspace}/members/{name}", "PUT", self.set_member),
            ("/{workspace}/members/{name}", "DELETE", self.remove_member),
        )
        return [Route(f"/admin/workspaces{path}", answering(run), methods=[method]) for path, method, run in rows]

    async def workspaces(self, request: Request) -> Response:
        """The workspaces that the caller may see."""
        return reply({"workspaces": await self._store.workspaces(_scope(request))})

    async def create_workspace(self, request: Request) -> Response:
        """Make a workspace."""
        given = await body(request, NewWorkspace)
        made = await self._store.create_workspace(_scope(request), given.id, given.name, given.budgets, given.roots)
        return reply(made, 201)

    async def change_workspace(self, request: Request) -> Response:
        """Change a workspace's name, budgets or roots."""
        given = await body(request, WorkspaceChange)
        id = request.path_params["workspace"]
        changed = await self._store.change_workspace(_scope(request), id, given.name, given.budgets, given.roots)
        self._access.forget()
        return reply(changed)

    async def delete_workspace(self, request: Request) -> Response:
        """Delete a workspace with its members and keys."""
        await self._store.delete_workspace(_scope(request), request.path_params["workspace"])
        self._access.forget()
        return Response(status_code=204)

    async def keys(self, request: Request) -> Response:
        """The keys of a workspace; never their secrets."""
        return reply({"keys": await self._store.keys(await self._within(request))})

    async def create_key(self, request: Request) -> Response:
        """Make a key; the answer is the only one that shows its secret."""
        given = await body(request, NewKey)
        scope, workspace = await self._within(request), request.path_params["workspace"]
        terms, member, expires = given.terms, given.member, given.expires
        if maker := principal_of(request.scope).key:
            terms, member, expires = within(maker, terms, member, expires)
        key, secret = await self._store.create_key(scope, workspace, given.name, given.role, terms, member, expires)
        return reply(MadeKey(key=key, secret=secret), 201)

    async def revoke(self, request: Request) -> Response:
        """End a key, by its id or name."""
        revoked = await self._store.revoke(await self._within(request), request.path_params["key"])
        self._access.forget()
        return reply(revoked)

    async def members(self, request: Request) -> Response:
        """The members of a workspace."""
        return reply({"members": await self._store.members(await self._within(request))})

    async def set_member(self, request: Request) -> Response:
        """Add a member, or change a role."""
        given = await body(request, NewMember)
        workspace, name = request.path_params["workspace"], request.path_params["name"]
        member = await self._store.set_member(_scope(request), workspace, name, given.role)
        self._access.forget()
        return reply(member)

    async def remove_member(self, request: Request) -> Response:
        """Remove a member and revoke their keys."""
        await self._store.remove_member(_scope(request), request.path_params["workspace"], request.path_params["name"])
        self._access.forget()
        return Response(status_code=204)

    async def _within(self, request: Request) -> Scope:
        """The workspace of the path, and nothing else. Raises NotFound where the caller may manage none of that name."""
        workspace: str = request.path_params["workspace"]
        if all(each.id != workspace for each in await self._store.workspaces(_scope(request))):
            raise NotFound(f"There is no workspace {workspace[:60]!r} here.")
        return Scope(workspace)


def _scope(request: Request) -> Scope:
    """What the caller may manage. Raises Forbidden."""
    who = principal_of(request.scope)
    if not who.may("manage"):
        raise Forbidden("The role of this key may not manage.")
    return who.scope
