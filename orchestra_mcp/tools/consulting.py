"""The tools that think: consult the council, hold a debate, or see what would be sent.

The docstring of a tool is what assistants read to decide whether to call it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from orchestra_mcp.report import plan_report, verdict_report
from orchestra_mcp.tools import arguments as arg
from orchestra_mcp.tools.consent import Consent, heed
from orchestra_mcp.tools.door import Result, ToolContext, answer, cancelling, follow, host_of, patience_s
from orchestra_mcp.tools.project import Roots, locate
from orchestra_mcp.types import Detail, Question


async def consult_expert_council(
    ctx: ToolContext,
    consent: Consent,
    roots: Roots,
    question: arg.QuestionText,
    mode: arg.ModeName = "auto",
    files: arg.Files = (),
    error: arg.ErrorText = "",
    diff: arg.Diff = "",
    experts: arg.Experts = (),
    effort: arg.EffortName = "auto",
    max_cost_usd: arg.MaxCost = None,
    deadline_s: arg.Deadline = None,
    detail: arg.DetailName = "standard",
    consultation_id: arg.Continues = "",
    project_dir: arg.ProjectDir = "",
) -> Result:
    """Ask several independent experts (other vendors' models and local code analysts) one hard question
    about this project. Call it when stuck: a bug that resisted two attempts, a design choice, a risky
    change, a security or performance doubt. It gathers the context itself (git state, stack trace,
    functions involved), checks every claim against the code, and returns a ranked verdict with dissent
    and plan. Takes 10-120 s.
    """
    return await _ask(
        ctx,
        consent,
        roots,
        detail,
        text=question,
        mode=mode,
        files=files,
        error=error,
        diff=diff,
        experts=experts,
        effort=effort,
        max_cost_usd=max_cost_usd,
        deadline_s=deadline_s,
        continues=consultation_id or None,
        project=project_dir,
    )


async def debate(
    ctx: ToolContext,
    consent: Consent,
    roots: Roots,
    proposition: arg.Proposition,
    positions: arg.Positions = (),
    rounds: arg.Rounds = 3,
    files: arg.Files = (),
    experts: arg.Experts = (),
    max_cost_usd: arg.MaxCost = None,
    deadline_s: arg.Deadline = None,
    detail: arg.DetailName = "standard",
    consultation_id: arg.Continues = "",
    project_dir: arg.ProjectDir = "",
) -> Result:
    """Let the experts argue over a decision with real alternatives (library A or B, rewrite or patch).
    Each sees the others' unsigned arguments; it stops early on convergence and ends with a ruling, the
    strongest argument of each side, and what would change the ruling. Costs several calls per expert; for
    a bug or an open question use consult_expert_council.
    """
    return await _ask(
        ctx,
        consent,
        roots,
        detail,
        strategy="debate",
        text=proposition,
        positions=positions,
        rounds=rounds,
        files=files,
        experts=experts,
        max_cost_usd=max_cost_usd,
        deadline_s=deadline_s,
        continues=consultation_id or None,
        project=project_dir,
    )


async def collect_context(
    ctx: ToolContext,
    roots: Roots,
    question: arg.QuestionText,
    mode: arg.ModeName = "auto",
    files: arg.Files = (),
    error: arg.ErrorText = "",
    diff: arg.Diff = "",
    experts: arg.Experts = (),
    project_dir: arg.ProjectDir = "",
) -> Result:
    """Preview, free of charge: which excerpts of the project would go to which experts, with estimated
    cost and redactions. Asks no model and sends nothing.
    """
    orchestra = await host_of(ctx).orchestra()
    asked = Question(
        text=question,
        mode=mode,
        files=files,
        error=error,
        diff=diff,
        experts=experts,
        project=locate(orchestra, project_dir, roots),
    )
    return answer(plan_report(await orchestra.plan(asked)))


async def _ask(ctx: ToolContext, consent: Consent, roots: Roots, detail: Detail, **given: Any) -> Result:
    """Start a run, follow it as long as the client is patient, and report what there is by then."""
    orchestra = await host_of(ctx).orchestra()
    project = locate(orchestra, given.pop("project"), roots)
    cost = given.pop("max_cost_usd")
    question = Question(**given, project=project, max_cost_usd=None if cost is None else Decimal(str(cost)))
    await heed(ctx, consent, project, question.experts)
    run = await orchestra.start(question)
    async with cancelling(run):
        done = await follow(ctx, run, patience_s(ctx))
    verdict = run.verdict if done and run.verdict else run.so_far()
    report = verdict_report(verdict, detail)
    if not done:
        report = (
            f"**Still running.** This is the verdict so far; the experts go on. Call "
            f'`get_consultation(id="{run.id}", wait_s=40)` for the rest.\n\n{report}'
        )
    return answer(
        report,
        status=verdict.status if done else "running",
        consultation_id=run.id,
        confidence=verdict.confidence,
        cost_usd=float(verdict.usage.cost_usd),
        is_error=verdict.status == "failed",
    )
