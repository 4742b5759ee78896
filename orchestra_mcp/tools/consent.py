"""Nothing leaves unseen: before a project's code goes to a provider for the first time, the user is asked.

Where the client can show a question the SDK's resolver asks it, in both protocol eras; where it cannot,
the call fails with the settings line that allows it. Local and resident experts need no consent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from mcp.server.mcpserver import AcceptedElicitation, Elicit, ElicitationResult, Resolve
from pydantic import BaseModel, Field

from orchestra_mcp.errors import ConsentNeeded
from orchestra_mcp.tools.arguments import Experts, ProjectDir
from orchestra_mcp.tools.door import ToolContext, asks_by_result, host_of
from orchestra_mcp.tools.project import Roots, locate


class Permission(BaseModel):
    """The form that the user sees."""

    allow: bool = Field(
        default=True,
        title="Allow",
        description="Send excerpts of this project's code, with secrets taken out",
    )


def can_ask(ctx: ToolContext) -> bool:
    """True when the client can show a form; an empty `elicitation` capability means forms."""
    declared = ctx.client_capabilities
    form = declared.elicitation if declared else None
    if form is None or (form.form is None and form.url is not None):
        return False
    return asks_by_result(ctx) or ctx.session.can_send_request


async def permission(
    ctx: ToolContext, roots: Roots, project_dir: ProjectDir = "", experts: Experts = ()
) -> Elicit[Permission] | Permission:
    """Resolver: the question to the user, or permission at once when there is nothing or nobody to ask.

    With nobody to ask `Orchestra.start` refuses what needs consent, and names the settings line.
    """
    orchestra = await host_of(ctx).orchestra()
    project = locate(orchestra, project_dir, roots)
    providers = sorted(await orchestra.needs_consent(project, experts))
    if not providers or not can_ask(ctx):
        return Permission(allow=True)
    return Elicit(
        f"The expert council wants to send excerpts of this project's code to {', '.join(providers)}, "
        "which has not seen this project before. Secrets are taken out first. Allow it for this project?",
        Permission,
    )


Consent = Annotated[ElicitationResult[Permission], Resolve(permission)]


async def heed(
    ctx: ToolContext, consent: ElicitationResult[Permission], project: str | None, experts: Sequence[str]
) -> None:
    """Remember what the user allowed.

    Raises:
        ConsentNeeded: the user said no, so nothing may be sent.
    """
    orchestra = await host_of(ctx).orchestra()
    if not (providers := await orchestra.needs_consent(project, experts)):
        return
    if not (isinstance(consent, AcceptedElicitation) and consent.data.allow):
        raise ConsentNeeded(
            f"The user declined to send this project's code to {', '.join(sorted(providers))}. Nothing was sent. "
            "Do not ask again for this question: go on without these experts, or name experts that run on this "
            "machine, such as the resident analysts, which need no consent (council_status lists all).",
            tuple(providers),
        )
    if can_ask(ctx):
        await orchestra.allow(project or "", providers)
