"""All nouns of the house, in the order in which a question meets them.

Question → Dossier (Excerpt, Trace, Change) → Seat → Opinion (Claim, Behaviour, Trial) → Ballot → Verdict (Solution,
Stance, Dissent) → Label. Around them: Usage and CallRecord (money), Event and Span (what observers see), Consultation
(what the store keeps), Found and Memory (what is remembered), Alert, and the only eyes and hands that the council has: `Evidence` and `Workbench`.

Every class is a frozen pydantic model, so that one class serves as MCP schema, JSON body and stored document.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from tree_sitter import Node

Mode = Literal[
    "auto", "debug", "architecture", "performance", "quality", "security",
    "integration", "testing", "learning", "refactoring", "communication",
]  # fmt: skip
Effort = Literal["quick", "standard", "deep", "auto"]
Detail = Literal["brief", "standard", "full"]
StrategyName = Literal["consult", "debate"]
EvidenceKind = Literal[
    "executed", "exact", "same-code", "cited", "entailed", "reviewed", "text-only", "single", "none"
]  # fmt: skip
"""By what it is known that answers say the same, strongest first; `single`: one answer, `none`: none at all."""
OutcomeName = Literal["worked", "partly", "wrong"]
"""What became of a solution when it was tried."""
Status = Literal["running", "complete", "degraded", "failed", "cancelled", "interrupted"]


OutcomeSource = Literal["user", "verify", "commit"]
"""Who says so: the user, the tests of the verify command, or a later commit that took the suggested lines over."""
SpanValue = str | int | float | bool | tuple[str, ...]


class Noun(BaseModel):
    """Base of all nouns: frozen, no unknown fields, built on first use (start-up time)."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


# ------------------------------------------------------------------------------------------------- the question


class Question(Noun):
    """What a developer asks, with everything that was attached to it."""

    text: str
    strategy: StrategyName = "consult"
    mode: Mode = "auto"
    files: tuple[str, ...] = ()
    """Paths or globs, relative to the project, that must be in the dossier."""
    error: str = ""
    """Stack trace, test output or log that was attached."""
    diff: str = ""
    """A unified diff, or a git range such as `main...HEAD`."""
    positions: tuple[str, ...] = ()
    """For a debate: the positions to choose between; empty means for and against."""
    rounds: int = 3
    experts: tuple[str, ...] = ()
    """Names of the seats to ask; empty means: the council chooses."""
    local_only: bool = False
    """Ask only experts on this machine, so that nothing leaves it."""
    effort: Effort = "auto"
    max_cost_usd: Decimal | None = None
    deadline_s: float | None = None
    project: str | None = None
    """Absolute path of the project root, already resolved by `context.project`; None means no project."""
    continues: str | None = None
    """Id of the consultation that this one follows."""
    spoken: bool = False
    """It was asked aloud and transcribed: names in it may be misheard."""


class Turn(Noun):
    """One earlier question and its outcome, when a consultation is continued."""

    id: str
    question: str
    outcome: str
    at: datetime
    local_only: bool = False
    """It was asked for this machine only, and so stays here."""


# -------------------------------------------------------------------------------------------------- the dossier


class Excerpt(Noun):
    """A piece of evidence: lines of a file, a diff, a trace, a log, a commit, or a fact about the project."""

    source: Literal["diff", "trace", "file", "symbol", "log", "history", "project", "note"]
    path: str = ""
    """Relative to the project root, with forward slashes; empty when the excerpt is not from a file."""
    start: int = 0
    """First line, counted from 1; 0 when lines mean nothing here."""
    end: int = 0
    symbol: str = ""
    text: str
    tokens: int
    why: str
    """Why it is here, in a few words: `frame 3 of the trace`, `changed in the working tree`."""
    score: float = 0.0
    """How useful it is thought to be; only comparable within one dossier."""


class Frame(Noun):
    """One frame of a stack trace."""

    raw_path: str
    path: str = ""
    """The file of this project that the frame maps to, relative to the root; empty when it is foreign code."""
    line: int = 0
    column: int = 0
    """Counted from 1, where the runtime prints it and it matters (JavaScript); else 0."""
    function: str = ""
    code: str = ""
    """The source line that the trace itself printed, if any."""


class Trace(Noun):
    """A parsed stack trace; frames run from the outermost call to the innermost."""

    language: str
    exception: str = ""
    message: str = ""
    frames: tuple[Frame, ...] = ()
    cause: Trace | None = None


class Hunk(Noun):
    """A changed range of lines. Starts count from 1; a length of 0 means pure insertion or deletion there."""

    old_start: int
    old_lines: int
    new_start: int
    new_lines: int
    text: str = ""
    """The hunk's own lines, each with its leading `+`, `-` or blank."""


class Change(Noun):
    """What happened to one file in the working tree, in a given diff, or in a commit."""

    path: str
    old_path: str = ""
    """The earlier path of a renamed file, else empty."""
    status: Literal["added", "modified", "deleted", "renamed", "untracked"]
    where: str = "working tree"
    """`staged`, `unstaged`, `untracked`, `given diff`, or the commit or range that it comes from."""
    hunks: tuple[Hunk, ...] = ()


class PastCase(Noun):
    """An earlier consultation of the same project that may be alike; the code that it speaks of is as it was then."""

    id: str
    question: str
    outcome: str
    """What the council held then, cut to size."""
    at: datetime
    told: str = ""
    """What became of it, as `Label.told`; empty when nobody said."""
    confidence: float | None = None
    local_only: bool = False
    """It was asked for this machine only, and so stays here."""


class Dossier(Noun):
    """The evidence that goes to every expert, already redacted and cut to the budget."""

    project: str = ""
    """The project's directory name; never its absolute path."""
    head: str = ""
    """Branch and commit, such as `main 1a2b3c4`, or empty outside git."""
    files: tuple[str, ...] = ()
    """The files most likely to matter, best first; of some of them nothing may be shown."""
    excerpts: tuple[Excerpt, ...] = ()
    traces: tuple[Trace, ...] = ()
    changes: tuple[Change, ...] = ()
    history: tuple[Turn, ...] = ()
    past: tuple[PastCase, ...] = ()
    """Similar consultations of the past; neither evidence nor part of this conversation."""
    left_out: tuple[str, ...] = ()
    """What did not fit, one line each."""
    notes: tuple[str, ...] = ()
    """Warnings for the reader: no git, file not found, binary skipped, partial index."""
    tokens: int = 0
    budget: int = 0
    redactions: dict[str, int] = Field(default_factory=dict)
    """How many secrets of each kind were taken out."""

    @property
    def shown(self) -> tuple[str, ...]:
        """The project files whose text is in the dossier, each once, best first."""
        return tuple(dict.fromkeys(e.path for e in self.excerpts if e.path))

    def fitted(self, budget: int) -> Dossier:
        """The same evidence for a reader with room for `budget` tokens: the most useful excerpts that fit."""
        if self.tokens <= budget:
            return self
        kept: list[Excerpt] = []
        missing: list[str] = []
        left = budget
        for excerpt in self.excerpts:
            if excerpt.tokens <= left:
                kept.append(excerpt)
                left -= excerpt.tokens
            else:
                place = f"{excerpt.path}:{excerpt.start}-{excerpt.end}" if excerpt.start else excerpt.path
                missing.append(f"{place or excerpt.source} ({excerpt.tokens} tokens): {excerpt.why}")
        return self.model_copy(
            update={
                "excerpts": tuple(kept),
                "left_out": (*missing, *self.left_out),
                "tokens": budget - left,
                "budget": budget,
            }
        )


# --------------------------------------------------------------------------------------------- what can be seen


class Definition(Noun):
    """A function, method or class as the syntax tree sees it, or a section of a data or markup file."""

    name: str
    qualified: str
    """Name with its enclosing scopes, joined by dots: `Ledger.reserve`."""
    kind: Literal["function", "method", "class", "section"]
    path: str
    start: int
    end: int
    signature: str = ""


class Commit(Noun):
    """A commit that touched the lines in question."""

    id: str
    """Abbreviated hash."""
    author: str = ""
    at: datetime
    subject: str


class BlameLine(Noun):
    """Who last changed a line; `commit` is None for a line that is not committed yet."""

    line: int
    text: str
    commit: Commit | None


class Syntax:
    """A parsed file: its language, its bytes and the root node of its tree-sitter tree."""

    __slots__ = ("language", "root", "source")

    def __init__(self, language: str, source: bytes, root: Node) -> None:
        self.language = language
        self.source = source
        self.root = root


class Evidence(Protocol):
    """The council's eyes on the project. Paths are relative to the root, with forward slashes.

    `context/` implements it, confined to the root; the council gets it handed in and knows no repository.
    All methods return something empty, never raise, for a path, line or symbol that does not exist; a path that
    leaves the root counts as one that does not exist.
    """

    async def files(self) -> tuple[str, ...]:
        """All text files that belong to the project, ignoring what git ignores."""
        ...

    async def read(self, path: str, start: int = 1, end: int | None = None) -> tuple[str, ...]:
        """Lines `start` to `end` (both included, from 1) without line ends, redacted; empty when there is no such file."""
        ...

    async def syntax(self, path: str) -> Syntax | None:
        """The parsed file, or None when it does not exist or its language has no grammar."""
        ...

    async def definitions(self, path: str) -> tuple[Definition, ...]:
        """All functions, methods and classes of a file, in order of their first line."""
        ...

    async def locate(self, symbol: str, path: str = "") -> tuple[Definition, ...]:
        """Definitions of a symbol (`name` or `Class.name`), in one file or in the whole project."""
        ...

    async def enclosing(self, path: str, line: int) -> Definition | None:
        """The innermost function or class around a line."""
        ...

    async def mentions(self, word: str, limit: int = 50) -> tuple[tuple[str, int, str], ...]:
        """Where an identifier occurs as a whole word: (path, line, text)."""
        ...

    async def changes(self) -> tuple[Change, ...]:
        """Staged, unstaged and untracked changes; on a clean tree, those of the last commit."""
        ...

    async def before(self, path: str) -> tuple[str, ...]:
        """The lines of a file as they were before `changes()`; empty for a new file."""
        ...

    async def blame(self, path: str, start: int, end: int) -> tuple[BlameLine, ...]:
        """Who last changed these lines."""
        ...

    async def log(self, path: str, start: int = 0, end: int = 0, limit: int = 5) -> tuple[Commit, ...]:
        """Recent commits on a file, or on a range of its lines, newest first."""
        ...

    async def commit_changes(self, commit: str) -> tuple[Change, ...]:
        """What one commit changed."""
        ...


# ---------------------------------------------------------------------------------------------------- the seats


class Seat(Noun):
    """A place at the table: a model (or a resident analyst) with a brief."""

    name: str
    kind: Literal["model", "resident"] = "model"
    model: str = ""
    """Name of a model that the gateway knows; for a resident, the analyst's name."""
    model_id: str = ""
    """The vendor's id of the model; its track record is kept by it, whatever the seat is called."""
    family: str = ""
    """Who trained the model (`openai`, `anthropic`, `google`, …); errors of one family are correlated."""
    provider: str = ""
    """Who receives the text; `local` when it stays on this machine."""
    brief: str = ""
    prior: float = 0.6
    """Probability that this seat is right before anything is known, from public benchmarks; 0 to 1."""
    local: bool = False
    """True when nothing leaves this machine, so that no consent is needed."""


class Check(Noun):
    """What comparing a claim with the code gave."""

    outcome: Literal["verified", "refuted", "unchecked"]
    note: str = ""
    name: str = ""
    """Of a check of a whole answer: which one of its mode it is (`council.prompts.files.CHECKS`)."""


class Probe(Noun):
    """One input on which programs are compared: a call, or what is typed into them."""

    kind: Literal["call", "stdin"]
    text: str
    """`call`: statements of which the last one is an expression; `stdin`: the whole standard input."""
    expected: str | None = None
    """What the question says must come out: the value as the language prints it, or the standard output."""
    source: str = ""
    """`question`, or the seat that gave it."""


class Behaviour(Noun):
    """What one program did on shared probes, in their order."""

    loaded: bool = True
    """False when it could not even be loaded; then there are no outcomes."""
    outcomes: tuple[str, ...] = ()
    """Canonical text of each result: the value's `repr`, the standard output, `EXC:Type`, `TIMEOUT`, or `UNSTABLE`
    where two runs on an expert's input differ."""
    note: str = ""
    """Why it did not load, or what is worth knowing."""


class Trial(Noun):
    """What trying a proposed patch gave, away from the user's files."""

    applies: bool
    parses: bool | None = None
    """None when no changed file has a grammar."""
    before: Literal["passed", "failed", "not run"] = "not run"
    """The verify command without the patch."""
    after: Literal["passed", "failed", "not run"] = "not run"
    """The verify command with it."""
    note: str = ""
    """One line: what was done and found, or why it could not be."""
    output: str = ""
    """The end of what the verify command printed, redacted."""
    seconds: float = 0.0
    tampered: bool = False
    """The patch touches what decides about it (tests, the runner's configuration): those files were left out of the
    run, or it kept the runner from reporting. Nothing is to be learnt from it."""

    @property
    def verdict(self) -> Literal["fixes", "keeps", "breaks", "fails", "broken", "untested"]:
        """`fixes`: red tests turn green; `keeps`: green ones stay so; `breaks`: green ones turn red; `fails`: red ones
        stay so; `broken`: it does not apply or not parse; `untested`: it applies and parses, no tests were run."""
        if not self.applies or self.parses is False:
            return "broken"
        if self.after == "not run" or self.before == "not run":
            return "untested"
        if self.after == "passed":
            return "fixes" if self.before == "failed" else "keeps"
        return "breaks" if self.before == "passed" else "fails"


class Workbench(Protocol):
    """The council's hands: what may be tried, in limited child processes, away from the user's files and the network.

    `context/` implements it; the council gets it handed in. Nothing raises for what a program or patch does wrong.
    """

    @property
    def refusal(self) -> str:
        """Why programs of answers are not run here, as a sentence; empty while nothing speaks against it."""
        ...

    async def behave(self, code: str, language: str, probes: Sequence[Probe]) -> Behaviour | None:
        """Run a program on probes, each in a limited time; None where it must not or cannot be run here."""
        ...

    async def normal_form(self, code: str, language: str) -> str:
        """The code without comments, layout and names of locals; empty when it does not parse."""
        ...

    async def try_patch(self, patch: str) -> Trial:
        """Apply a unified diff to a copy of the working tree, parse what it changes and, where the user has allowed a
        verify command, run it before and after."""
        ...


class Claim(Noun):
    """A statement that points at code, so that a machine can look."""

    text: str
    path: str = ""
    line: int = 0
    symbol: str = ""
    quote: str = ""
    calls: str = ""
    """A function that `symbol` is said to call; checked against the syntax tree."""
    raises: str = ""
    """An exception that is said to be raised at this place or on the trace's path."""
    test: str = ""
    """Of a defect in code: statements that end in an expression which must be true, and is not."""
    check: Check | None = None


class Usage(Noun):
    """Tokens in disjoint buckets and what they cost; `unpriced` counts calls whose price is unknown."""

    calls: int = 0
    input_tokens: int = 0
    """Input that was neither read from nor written to a cache."""
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    """Visible output, without reasoning."""
    reasoning_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    unpriced: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Sum of two usages, bucket by bucket."""
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})

    @property
    def tokens(self) -> int:
        """All tokens, in and out."""
        return (
            self.input_tokens + self.cache_read_tokens + self.cache_write_tokens
            + self.output_tokens + self.reasoning_tokens
        )  # fmt: skip


class Defect(Noun):
    """What a reviewer holds against a candidate, with the evidence that it gave."""

    candidate: str
    """Seat whose opinion is meant (the reviewer saw only a letter)."""
    critic: str = ""
    """Seat that holds it."""
    claim: Claim


class Opinion(Noun):
    """What one expert said, parsed; `position` is the one line by which opinions are compared."""

    seat: str
    kind: Literal["model", "resident"] = "model"
    family: str = ""
    model: str = ""
    model_id: str = ""
    """As `Seat.model_id`, so that its record survives a change of names."""
    round: int = 1
    position: str
    answer: str
    claims: tuple[Claim, ...] = ()
    assumptions: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()
    """Next steps, in order."""
    patch: str = ""
    inputs: tuple[str, ...] = ()
    """For code: example calls or a test by which answers can be compared."""
    option: str = ""
    """Where the question lists its options: the label of the one that was chosen."""
    code: str = ""
    """The program that the answer consists of, when it is one."""
    language: str = ""
    """Of `code`."""
    would_change: str = ""
    """What would change this expert's mind."""
    confidence: float | None = None
    """What the expert says of itself; logged, never trusted."""
    defects: tuple[Defect, ...] = ()
    """What it holds against others' answers, from the second round on."""
    advocate: bool = False
    """It speaks as the devil's advocate, which is nobody's vote."""
    structured: bool = True
    """False when the reply was prose and only its text could be read."""
    usage: Usage = Usage()
    seconds: float = 0.0


class Absence(Noun):
    """A seat that was asked and gave no usable answer."""

    seat: str
    kind: str
    """The stable word of `errors.ProviderError.kind`, or `late`, `cancelled`, `budget`."""
    reason: str
    seconds: float = 0.0
    stage: Literal["opinion", "compare", "review", "chair"] = "opinion"


class Ballot(Noun):
    """One blind review. The judge saw letters; `ranking` and `same` are translated back to seat names."""

    judge: str
    shown: tuple[str, ...]
    """Seats in the order in which this judge saw them."""
    ranking: tuple[str, ...]
    """Best first; may be partial."""
    same: tuple[tuple[str, ...], ...] = ()
    """Groups of opinions that say the same, in the judge's eyes."""
    defects: tuple[Defect, ...] = ()
    why: str = ""
    model_id: str = ""
    """As `Seat.model_id`, so that a judge's record survives a change of names."""
    usage: Usage = Usage()
    seconds: float = 0.0


# -------------------------------------------------------------------------------------------------- the verdict


class Solution(Noun):
    """One ranked answer, with those who support it."""

    rank: int
    position: str
    answer: str
    score: float
    """Weighted support after review and claim checks; only comparable within one verdict."""
    probability: float
    """Estimated probability that this is the right answer."""
    seats: tuple[str, ...]
    families: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    risks: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()
    patch: str = ""
    code: str = ""
    evidence: EvidenceKind = "none"
    """By what its experts are known to agree."""
    shown: str = ""
    """What running it showed: `passes 4 of 4 sample cases`, `the patch turns the tests green`."""
    defects: tuple[Claim, ...] = ()
    """What reviewers hold against it, each with its check; only verified ones count."""
    checks: tuple[Check, ...] = ()
    """What the checks of this kind of question found; shown, not counted."""


class Stance(Noun):
    """One cell of the agreement matrix: what one expert makes of one solution, and by which kind of evidence."""

    seat: str
    solution: int
    """Rank of the solution."""
    stance: Literal["supports", "doubts", "contradicts"]
    evidence: Literal["answer", "executed", "verified", "review", "claim"]
    """`answer`: it is or rivals its own answer; `executed`: programs or tests ran; `verified`: a checked defect;
    `review`: its ranking; `claim`: an accusation that could not be checked."""
    note: str = ""


class Shift(Noun):
    """A changed mind in a debate."""

    seat: str
    round: int
    before: str
    after: str
    counted: bool
    """True when it brought new verified evidence, so that its vote moved with it."""
    because: str = ""


class Dissent(Noun):
    """A minority report: what the others hold, and how to find out who is right."""

    position: str
    argument: str
    seats: tuple[str, ...]
    probability: float
    check: str = ""
    """The cheapest check that would decide."""


class Agreement(Noun):
    """How far the experts agree, and by which kind of evidence that was found."""

    share: float = 0.0
    """Weight of the winning cluster over the weight of all opinions, 0 to 1."""
    margin: float = 0.0
    evidence: EvidenceKind = "none"
    independent_votes: float = 0.0
    """n / (1 + (n − 1) ρ), since models err together; ρ = 0.47 where nothing better is known."""


class Sent(Noun):
    """What left this process, and to whom."""

    providers: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    tokens: int = 0
    redactions: dict[str, int] = Field(default_factory=dict)


class Argument(Noun):
    """For a debate: the strongest argument of one side."""

    position: str
    argument: str
    seats: tuple[str, ...] = ()


class Verdict(Noun):
    """What the council returns; the report that people and models read is made from it."""

    id: str
    question: str
    strategy: StrategyName = "consult"
    mode: Mode = "auto"
    domain: str = ""
    """What the question is about, for track records: a programming language, or `general`."""
    effort: Effort = "auto"
    """How deep the council went, or was asked to go."""
    seating: str = ""
    """Why these experts were asked, in one line."""
    prompts: str = ""
    """With which versions of the prompts."""
    status: Status = "complete"
    headline: str
    """First line of every report: who answered, who did not and why."""
    answer: str
    plan: tuple[str, ...] = ()
    solutions: tuple[Solution, ...] = ()
    dissent: tuple[Dissent, ...] = ()
    confidence: float = 0.0
    """Probability that the first solution is right, estimated from evidence and agreement; 0 to 1."""
    confidence_basis: str = ""
    features: tuple[float, ...] = ()
    """The x of the logistic behind the confidence (`council/scales/confidence.py`), kept so that it can be refitted."""
    proof: float = 0.0
    """What running the first solution showed, in log-odds, by which the logistic was moved; 0 where nothing was run."""
    next_check: str = ""
    """Where confidence is low: the cheapest check that would settle it."""
    agreement: Agreement = Agreement()
    matrix: tuple[Stance, ...] = ()
    shifts: tuple[Shift, ...] = ()
    arguments: tuple[Argument, ...] = ()
    would_change: str = ""
    rounds: int = 1
    stopped: str = ""
    """Why the council stopped where it did."""
    answered: tuple[str, ...] = ()
    absent: tuple[Absence, ...] = ()
    chair: str = ""
    """Seat that wrote the synthesis; empty when it was merged without a model."""
    findings: tuple[Claim, ...] = ()
    """What the resident analysts can show, each with a path and a line."""
    notes: tuple[str, ...] = ()
    sent: Sent = Sent()
    usage: Usage = Usage()
    seconds: float = 0.0
    quorum_s: float | None = None
    """Seconds until a quorum of the openers had answered; None when there never was one."""
    follow_up: str = ""
    """A question to the user about an earlier consultation on the same code, asked once; empty when there is none."""
    continues: str | None = None


# -------------------------------------------------------------------------------------- what watchers and store see


class CallRecord(Noun):
    """One attempt at one model, successful or not."""

    run: str
    purpose: str
    """`opinion`, `repair`, `review`, `chair`, `debate`."""
    model: str
    provider: str
    usage: Usage = Usage()
    seconds: float = 0.0
    first_token_s: float | None = None
    attempt: int = 1
    error: str = ""
    """Empty on success, else the error's kind."""
    model_id: str = ""
    """The vendor's own name of the model."""
    key: str = ""
    """Id of the virtual key that asked."""
    workspace: str = ""
    tier: str = ""
    route: str = ""
    use_case: str = ""
    cache: str = ""
    """As `Receipt.cache`; a cached answer cost nothing."""
    reason: Literal["", "retry", "fallback", "hedge"] = ""
    """Why it was a further attempt."""
    finish: str = ""
    """As `Finish.reason`; not stored, and neither are the three below."""
    max_tokens: int | None = None
    temperature: float | None = None
    server: str = ""
    """Host and port that were asked."""
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class Event(Noun):
    """Something that happened in a consultation, for progress lines, logs and dashboards."""

    run: str
    kind: Literal[
        "collecting", "collected", "seated", "asked", "answered", "absent", "agreed",
        "checking", "reviewing", "voted", "ruling", "closed", "note",
    ]  # fmt: skip
    seat: str = ""
    detail: str = ""
    seconds: float = 0.0
    """Since the consultation began."""


Observer = Callable[[Event], None]


class Span(Noun):
    """A piece of work in a consultation: a step, an expert, one attempt at a model."""

    id: str
    parent: str = ""
    """Id of the span around it; empty for the outermost."""
    trace: str = ""
    """32 hexadecimal digits, as W3C Trace Context has them."""
    name: str
    kind: Literal["internal", "client", "server"] = "internal"
    started: datetime
    seconds: float
    error: str = ""
    """A stable word; empty when it went well."""
    attributes: dict[str, SpanValue] = Field(default_factory=dict)
    """By the names of `telemetry/names.py`; no prompts, no answers, unless the user asked for them."""


class Watched(Noun):
    """What was seen of a consultation since the last time it was written down."""

    events: tuple[Event, ...] = ()
    spans: tuple[Span, ...] = ()


class Place(Noun):
    """Lines of the project on which a verdict rests, so that it is later known whether they are still there."""

    path: str
    lines: int
    """How many."""
    digest: str
    """Of those lines without the blanks at their ends, joined by line ends: SHA-256, its first 16 hexadecimal digits."""


class Grounds(Noun):
    """The code that a verdict speaks of."""

    places: tuple[Place, ...] = ()


Entry = Dossier | Opinion | Absence | Ballot | CallRecord | Watched | Grounds
"""What is appended to a consultation while it runs."""


class Label(Noun):
    """One consultation whose outcome is known, as the council learns from it."""

    consultation: str
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    mode: Mode = "auto"
    domain: str = ""
    clusters: tuple[tuple[str, ...], ...]
    """For each solution in its rank, the model ids of those who gave it."""
    right: int | None = None
    """Index of the solution that proved right; None when only wrong ones are known."""
    wrong: tuple[int, ...] = ()
    """Indexes of solutions that proved wrong."""
    weight: float = 1.0
    """1 for the user's or the tests' word, less for what was only partly right."""
    evidence: EvidenceKind = "none"
    features: tuple[float, ...] = ()
    """As `Verdict.features`."""
    proof: float = 0.0
    """As `Verdict.proof`."""
    rankings: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Each judge's model id and its ranking of the solutions by index, best first."""
    source: OutcomeSource = "user"

    def marked(self, marks: Sequence[tuple[int, OutcomeName]]) -> Label:
        """The same facts with what became of the solutions, as (rank counted from 1, outcome) pairs.

        One label can name one right solution. Where several worked, the best ranked one is it, and those who gave the
        others are counted with it: they were right too. What worked only in part is right with half the weight, as long
        as nothing worked whole.
        """
        worked = sorted({rank - 1 for rank, outcome in marks if outcome == "worked"})
        partly = sorted({rank - 1 for rank, outcome in marks if outcome == "partly"})
        held = worked or partly
        clusters = list(self.clusters)
        for other in held[1:]:
            clusters[held[0]] = tuple(dict.fromkeys((*clusters[held[0]], *clusters[other])))
            clusters[other] = ()
        return self.model_copy(
            update={
                "clusters": tuple(clusters),
                "right": held[0] if held else None,
                "wrong": tuple(sorted({rank - 1 for rank, outcome in marks if outcome == "wrong"} - set(held))),
                "weight": 0.5 if partly and not worked else 1.0,
            }
        )

    @property
    def told(self) -> str:
        """What is known, in words: `solution 1 was wrong, solution 2 worked`."""
        known = [(index, "was wrong") for index in self.wrong]
        if self.right is not None:
            known.append((self.right, "worked" if self.weight >= 1 else "partly worked"))
        return ", ".join(f"solution {index + 1} {what}" for index, what in sorted(known))


class Consultation(Noun):
    """Everything the store knows of one consultation."""

    id: str
    thread: str
    """Id of the first consultation of this conversation."""
    question: Question
    status: Status
    started: datetime
    ended: datetime | None = None
    dossier: Dossier | None = None
    opinions: tuple[Opinion, ...] = ()
    absences: tuple[Absence, ...] = ()
    ballots: tuple[Ballot, ...] = ()
    calls: tuple[CallRecord, ...] = ()
    verdict: Verdict | None = None
    labels: tuple[Label, ...] = ()
    """What became of it: one label for each mark, oldest first (`Store.labels` gives one for all of them)."""
    failure: str = ""
    events: tuple[Event, ...] = ()
    spans: tuple[Span, ...] = ()
    """In the order in which they ended."""
    places: tuple[Place, ...] = ()

    @property
    def usage(self) -> Usage:
        """What all calls of this consultation took together."""
        return sum((c.usage for c in self.calls), Usage())


class Summary(Noun):
    """One line of `orchestra history`."""

    id: str
    question: str
    strategy: StrategyName
    mode: Mode
    project: str
    status: Status
    started: datetime
    confidence: float | None = None
    cost_usd: Decimal = Decimal(0)
    spoken: bool = False
    """As `Question.spoken`."""


class Found(Noun):
    """One consultation that a search found."""

    summary: Summary
    snippet: str = ""
    """Words around what was found, with `\x02` before and `\x03` after each hit."""
    by: Literal["words", "meaning"] = "words"
    score: float = 0.0
    """Higher is better; only comparable within one answer."""


class Memory(Noun):
    """What is remembered of a finished consultation, to be shown to later councils."""

    id: str
    project: str
    workspace: str = ""
    """Whose key asked; empty for the owner of the machine."""
    question: str
    outcome: str
    """What the council held, cut to size."""
    at: datetime
    confidence: float | None = None
    local_only: bool = False
    places: tuple[Place, ...] = ()
    told: str = ""
    """As `Label.told`."""
    score: float = 0.0


class ModeRecord(Noun):
    """How often one expert was right, in one mode."""

    mode: str
    """A mode, `all`, or `judging` (pairs of solutions that it ranked as a judge)."""
    cases: float
    """Marked consultations it rests on, weighted (a commit counts less than the user's word)."""
    right: float
    rate: float
    """Estimated probability of being right, 0 to 1, with the prior."""
    low: float
    high: float
    """The 95 % interval of the rate."""


class ExpertRecord(Noun):
    """The track record of one expert, by the vendor's id of its model."""

    model_id: str
    seats: tuple[str, ...] = ()
    """Names under which it sits now; empty when it no longer does."""
    provider: str = ""
    family: str = ""
    prior: float
    records: tuple[ModeRecord, ...] = ()
    """`all` first, then the modes with most cases first."""
    answered: int = 0
    """Of its calls of the last 90 days."""
    failed: int = 0
    cost_usd: Decimal = Decimal(0)
    p50_s: float | None = None


class Latency(Noun):
    """How long answered calls took, for one value of a dimension; seconds, by the nearest-rank method."""

    value: str
    calls: int
    p50_s: float
    p95_s: float
    p99_s: float
    first_p50_s: float | None = None
    """Until the first word."""
    first_p95_s: float | None = None


AlertKind = Literal["spend", "errors", "latency", "outage", "calibration"]


class Alert(Noun):
    """A rule that has fired."""

    rule: str
    """Its name."""
    kind: AlertKind
    subject: str = ""
    """What it is about: a provider, a model, a workspace; empty for everything."""
    message: str
    value: float
    limit: float
    since: datetime
    over: datetime | None = None
    """When it ended; None while it lasts."""


class Plan(Noun):
    """What would happen if a question were asked now; nothing has been sent."""

    dossier: Dossier
    openers: tuple[Seat, ...]
    """Who would be asked first."""
    reserve: tuple[Seat, ...]
    """Who would be asked when the openers differ or fail."""
    why: str = ""
    """Why these open, and how deep it would go."""
    estimated_cost_usd: Decimal
    """For the openers, one review and the chair; an upper estimate from prices and the dossier's size."""
    unpriced: tuple[str, ...] = ()
    """Seats whose price is unknown, and so not in the estimate."""
    needs_consent: tuple[str, ...] = ()
    """Providers that may not see this project's code yet."""


class SeatStatus(Noun):
    """One expert, or one that could be there."""

    name: str
    state: Literal["seated", "failing", "denied", "missing"]
    provider: str = ""
    model: str = ""
    why: str
    """Why it is seated, or why not and how to mend that."""


class CouncilStatus(Noun):
    """Who sits, who could, what was spent, where things are kept."""

    version: str
    seats: tuple[SeatStatus, ...]
    can_be_added: tuple[str, ...]
    """One line for each kind of expert that is missing, with the variable or command that adds it."""
    spent_today_usd: Decimal
    daily_limit_usd: Decimal
    running: tuple[str, ...] = ()
    """Ids of the consultations that run in this process."""
    config: str = ""
    home: str = ""
    project: str = ""
    warnings: tuple[str, ...] = ()
    alerts: tuple[Alert, ...] = ()
    """Those that last."""


JsonObject = dict[str, Any]
