"""What is kept and who sits: consultations, their outcomes, the state of the council, resources and completions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, get_args

from mcp.server.mcpserver import ListRoots, Resolve
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from mcp.types import Completion, CompletionArgument, ListRootsResult, PromptReference, ResourceTemplateReference

from orchestra_mcp.errors import NotFound, OrchestraError
from orchestra_mcp.foreign import one_line
from orchestra_mcp.report import found_report, status_report, transcript, verdict_report
from orchestra_mcp.tools import arguments as arg
from orchestra_mcp.tools.door import URI, Progress, Result, ToolContext, answer, follow, host_of, patience_s
from orchestra_mcp.tools.project import RootsAnyway, client_roots, locate
from orchestra_mcp.types import Mode

if TYPE_CHECKING:
    from orchestra_mcp.app import Orchestra
    from orchestra_mcp.tools.host import Host
    from orchestra_mcp.types import Consultation

SLICE_S = 2.0
"""How often a consultation of another process is looked up while somebody waits for it, in seconds."""
COMPLETIONS = 20
FOUND = 10
"""Matches of a search."""


async def search_roots(ctx: ToolContext, query: arg.SearchQuery = "") -> ListRoots | ListRootsResult | None:
    """Resolver: the client's roots, which only a search needs."""
    return await client_roots(ctx) if query.strip() else None


RootsToSearch = Annotated[ListRootsResult | None, Resolve(search_roots)]


async def get_consultation(
    ctx: ToolContext,
    roots: RootsToSearch,
    id: arg.ConsultationId = "latest",
    query: arg.SearchQuery = "",
    wait_s: arg.Wait = 0,
    detail: arg.DetailName = "standard",
) -> Result:
    """Status or result of a past or running consultation by its id, "latest" or "voice" (asked aloud); with `query`, a search of past ones.

    detail="full" gives the whole transcript.
    """
    from orchestra_mcp.app.outcomes.followup import as_it_stands  # here: the app is not loaded before it is needed

    orchestra = await host_of(ctx).orchestra()
    if query.strip():
        ignored = [name for name, given in (("id", id != "latest"), ("detail", detail != "standard")) if given]
        return await _search(orchestra, query, locate(orchestra, "", roots), ignored)
    patience = patience_s(ctx)
    wait = wait_s if patience is None else min(wait_s, patience)
    run = orchestra.run(id)
    if run is not None and not run.done and not await follow(ctx, run, wait):
        verdict = run.so_far()
        said = f"**Still running**: {run.progress}. Call again with wait_s=40."
        report = f"{said}\n\n{verdict_report(verdict, 'brief')}"
        return answer(report, "running", run.id, cost_usd=float(verdict.usage.cost_usd))
    kept = await orchestra.consultation(run.id if run else id)
    progress, ends = Progress(ctx), time.monotonic() + wait
    while kept.status == "running" and (left := ends - time.monotonic()) > 0:
        await progress.beat(f"{kept.id} runs in another process, {len(kept.opinions)} answered so far")
        kept = await orchestra.consultation(kept.id, min(SLICE_S, left))
    return answer(
        _report(await as_it_stands(kept, orchestra.consultation), detail),
        kept.status,
        kept.id,
        kept.verdict.confidence if kept.verdict else None,
        float(kept.usage.cost_usd),
    )


async def _search(orchestra: Orchestra, query: str, here: str | None, ignored: Sequence[str] = ()) -> Result:
    """The best matches of the project that is asked from; of all where the user's settings say so.

    `ignored`: what was given beside the query and has no meaning for a search, which is said.
    """
    everywhere = orchestra.user_settings.memory.across_projects
    found = await orchestra.search(query, None if everywhere else here or "", FOUND)
    report = found_report(found, await orchestra.told(), projects=everywhere)
    if found:
        report += (
            f'\n\nOpen one: `get_consultation(id="{found[0].summary.id}")`, with detail="full" for all that was said.'
        )
    if ignored:
        names = " and ".join(f"`{name}`" for name in ignored)
        report = f"A search takes no {names}; leave `query` out to open one consultation.\n\n{report}"
    return answer(report)


def _report(kept: Consultation, detail: str) -> str:
    if detail == "full":
        return transcript(kept)
    if kept.verdict is not None:
        return verdict_report(kept.verdict, "brief" if detail == "brief" else "standard")
    counts = f"{len(kept.opinions)} answered, {len(kept.absences)} absent"
    said = f"Consultation {kept.id} is {kept.status}: {counts}."
    why = f" {kept.failure}" if kept.failure else ""
    return f'{said}{why} Everything that was said so far: `get_consultation(id="{kept.id}", detail="full")`.'


async def mark_outcome(
    ctx: ToolContext,
    roots: RootsAnyway,
    outcome: arg.OutcomeWord,
    id: arg.ConsultationId = "latest",
    solution: arg.SolutionRank = 1,
) -> Result:
    """Say what became of a solution once it was tried, so that the council learns whom to trust."""
    from orchestra_mcp.council.labels import noted  # here, since the council is not loaded before it is needed

    orchestra = await host_of(ctx).orchestra()
    kept = await orchestra.consultation(id)
    here = locate(orchestra, "", roots)
    if orchestra.run(kept.id) is None and kept.question.project and here and kept.question.project != here:
        # Whoever speaks for one project has no say in what another one's council learns; what was asked through this
        # very server may be marked through it.
        raise ToolError(
            f"Consultation {kept.id} is about another project than this one. Mark it from there, or with "
            f"`orchestra outcome {kept.id} {outcome}`."
        )
    label = await orchestra.mark(kept.id, solution, outcome)
    return answer(one_line(noted(label, outcome, solution), 2_000), "ok", label.consultation)


async def council_status(ctx: ToolContext, roots: RootsAnyway) -> Result:
    """Which experts are seated and why, their health, what was spent, what is missing and how to add it.

    Call it when a council had too few experts.
    """
    orchestra = await host_of(ctx).orchestra()
    return answer(status_report(await orchestra.status(locate(orchestra, "", roots))))


async def full_transcript(host: Host, id: str) -> str:
    """The full transcript of a consultation; `latest` is an id.

    Raises:
        ResourceNotFoundError: there is no such consultation.
        ResourceError: it cannot be read.
    """
    from orchestra_mcp.app.outcomes.followup import as_it_stands

    try:
        orchestra = await host.orchestra()
        return transcript(await as_it_stands(await orchestra.consultation(id), orchestra.consultation))
    except NotFound as error:
        raise ResourceNotFoundError(str(error)) from None
    except OrchestraError as error:
        raise ResourceError(str(error)) from None


async def latest_transcript(host: Host, id: str = "latest") -> str:
    """As `full_transcript`; a resource that is listed can always be read, even before the first consultation."""
    try:
        return await full_transcript(host, id)
    except ResourceNotFoundError as error:
        return str(error)


async def _recent(host: Host) -> list[str]:
    try:
        orchestra = await host.orchestra()
        return [past.id for past in await orchestra.history(COMPLETIONS)]
    except OrchestraError:
        return []  # a completion is a convenience; whatever is wrong will be said by the next call


async def complete(
    host: Host, ref: PromptReference | ResourceTemplateReference, argument: CompletionArgument
) -> Completion | None:
    """Ids of recent consultations, newest first, and the names of modes."""
    if isinstance(ref, PromptReference):
        values = list(get_args(Mode)) if argument.name == "mode" else []
    elif ref.uri.startswith(URI):
        values = ["latest", "voice", *await _recent(host)]
    else:
        return None
    matching: list[Any] = [value for value in values if value.startswith(argument.value)]
    return Completion(values=matching[:100], total=len(matching), has_more=False)
