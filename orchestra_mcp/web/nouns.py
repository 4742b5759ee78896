"""What clients of `/api` and `/admin` send and get, beside the nouns of the house."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from orchestra_mcp.settings.gateway import Usd
from orchestra_mcp.store.costs import CostLine
from orchestra_mcp.store.tenants import Allowance, Permission, Role, Terms, VirtualKey
from orchestra_mcp.types import Effort, JsonObject, Latency, Mode, Noun, OutcomeName, Status, StrategyName, Verdict

Short = Annotated[str, Field(max_length=4096)]


class Ask(Noun):
    """A question to the council."""

    question: Annotated[str, Field(min_length=1, max_length=100_000)]
    strategy: StrategyName = "consult"
    mode: Mode = "auto"
    files: tuple[Short, ...] = Field(default=(), max_length=100)
    """Paths or globs, relative to the project, that must be read."""
    error: Annotated[str, Field(max_length=400_000)] = ""
    """Stack trace, test output or log."""
    diff: Annotated[str, Field(max_length=400_000)] = ""
    positions: tuple[Short, ...] = Field(default=(), max_length=10)
    """For a debate: what to choose between."""
    rounds: int = Field(default=3, ge=1, le=6)
    experts: tuple[Short, ...] = Field(default=(), max_length=50)
    local_only: bool = False
    effort: Effort = "auto"
    max_cost_usd: Usd | None = None
    deadline_s: float | None = Field(default=None, gt=0)
    project_dir: Short = ""
    """Directory of the project on the server's machine; only what the key's workspace allows."""
    consultation_id: Short = ""
    """Go on from this consultation."""
    wait_s: float = Field(default=0, ge=0, le=600)
    """Wait for the verdict at most so long, in seconds."""


class Asked(Noun):
    """A consultation that was started, with its verdict as far as it is known."""

    id: str
    status: Status
    progress: str
    verdict: Verdict


class Mark(Noun):
    """What became of a solution."""

    outcome: OutcomeName
    solution: int = Field(default=1, ge=1)
    """Its rank in the report."""


class Judgement(Noun):
    """Whether an offered answer to a similar question would have been right."""

    right: bool


class Me(Noun):
    """Who is calling, and what they may do."""

    owner: bool
    key: str = ""
    name: str = ""
    workspace: str = ""
    role: str = "owner"
    permissions: tuple[Permission, ...]
    terms: Terms = Terms()


class Spending(Noun):
    """What was spent, as far as the caller may see it."""

    today_usd: Decimal
    """All calls since midnight (UTC): by everybody for the owner, else by the caller's workspace."""
    month_usd: Decimal
    """The same since the first of the month."""
    daily_limit_usd: Decimal | None = None
    """Of the whole server; only the owner sees it."""
    consultations_usd: Decimal
    """By the newest consultations that the caller may see."""
    budgets: tuple[JsonObject, ...] = ()
    """Those of the caller's key and workspace."""
    by: str = ""
    lines: tuple[CostLine, ...] = ()
    """This month's calls by that dimension, the dearest first; only for the owner."""


class Percentiles(Noun):
    """How long answered calls took since a time."""

    by: str
    since: datetime
    lines: tuple[Latency, ...]


class NewKey(Noun):
    """A key to be made."""

    name: str
    role: Role = "member"
    member: str = ""
    expires: datetime | None = None
    terms: Terms = Terms()


class MadeKey(Noun):
    """A key that was made; `secret` is shown this once."""

    key: VirtualKey
    secret: str


class NewWorkspace(Noun):
    """A workspace to be made."""

    id: str
    name: str = Field(default="", max_length=200)
    budgets: tuple[Allowance, ...] = Field(default=(), max_length=3)
    roots: tuple[Short, ...] = Field(default=(), max_length=50)


class WorkspaceChange(Noun):
    """What is to be different about a workspace; what is not given stays."""

    name: str | None = Field(default=None, max_length=200)
    budgets: tuple[Allowance, ...] | None = Field(default=None, max_length=3)
    roots: tuple[Short, ...] | None = Field(default=None, max_length=50)


class NewMember(Noun):
    """A member, or a new role of one."""

    role: Role
