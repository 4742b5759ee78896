"""Nouns to rows and back: JSON bodies, money, times. No database in here.

A body may have been written by a newer Orchestra with the same schema: what it says beyond what we know is left out
when reading, never an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError, from_json, to_json

from orchestra_mcp.errors import StoreError
from orchestra_mcp.types import (
    Absence,
    Ballot,
    CallRecord,
    Dossier,
    Grounds,
    Label,
    Mode,
    Noun,
    Opinion,
    OutcomeName,
    Question,
    Status,
    StrategyName,
    Turn,
    Usage,
    Verdict,
    Watched,
)

N = TypeVar("N", bound=Noun)
Row = tuple[Any, ...]

# Entries that are kept as a JSON body, by the word in their `kind` column. Add a kind of entry here.
ENTRY_KINDS: Final[dict[str, type[Dossier | Opinion | Absence | Ballot | Watched | Grounds]]] = {
    "dossier": Dossier,
    "opinion": Opinion,
    "absence": Absence,
    "ballot": Ballot,
    "watched": Watched,
    "grounds": Grounds,
}
KIND_OF: Final = {noun: kind for kind, noun in ENTRY_KINDS.items()}

CALL_COLUMNS: Final = (
    "consultation", "at", "provider", "model", "model_id", "key", "workspace", "tier", "route", "use_case", "cache",
    "purpose", "attempt", "error", "seconds", "first_token_s", "calls", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
    "cost_micro_usd", "unpriced",
)  # fmt: skip
CALL_WORD_CHARS: Final = 200
"""Of a name in a call; vendors' and callers' names are not trusted to be short."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
LARGEST: Final = 2**53
"""No count or cost is larger: a nonsensical one from a provider must neither fail to be stored nor spoil a sum."""
OUTCOME_CHARS: Final = 1500


def micros(cost: Decimal) -> int:
    """US dollars as whole micro-dollars, rounded up, so that a sum of costs is never too low."""
    numerator, denominator = cost.as_integer_ratio()
    return count(-(-numerator * 1_000_000 // denominator))


def dollars(amount: int) -> Decimal:
    """Micro-dollars as US dollars, exactly."""
    return Decimal(amount) / 1_000_000


def count(number: int) -> int:
    """A number that fits the database, and a few thousand times into a sum of it."""
    return min(number, LARGEST)


def stamp(moment: datetime) -> int:
    """Microseconds since 1970; a time without a zone counts as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // MICROSECOND


def now() -> int:
    """The stamp of this moment."""
    return stamp(datetime.now(UTC))


def moment(stamp: int) -> datetime:
    """The time of a stamp, in UTC."""
    return EPOCH + stamp * MICROSECOND


def clean(text: str) -> str:
    """The text with `?` for half surrogate pairs, which reach us in odd file names and which UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def encode(noun: Noun) -> str:
    """A noun as JSON that `decode` gives back as it was, infinities and all."""
    body = noun.model_dump()
    try:
        return to_json(body, inf_nan_mode="constants").decode()
    except PydanticSerializationError:
        return to_json(_cleaned(body), inf_nan_mode="constants").decode()


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(item) for item in value]
    return value


def decode(noun: type[N], body: str) -> N:
    """A noun from its JSON, without whatever a newer Orchestra has added to it.

    Raises:
        StoreError: something that we need is missing or of another kind.
    """
    try:
        return noun.model_validate_json(body)
    except ValidationError:
        data = from_json(body) if body.lstrip()[:1] == "{" else None
    # One round for each level: taking out an unknown word shows that its owner lacks it, which takes out the owner.
    for _ in range(5):
        try:
            return noun.model_validate(data)
        except ValidationError as error:
            places = {_unreadable(detail) for detail in error.errors(include_url=False, include_input=False)}
        if () in places:
            break
        for place in sorted(places, reverse=True):  # the later and deeper first, so that the indexes stay true
            _drop(data, place)
    raise StoreError(
        f"A stored {noun.__name__.lower()} cannot be read: it was written by a newer Orchestra, or is damaged. "
        "Upgrade orchestra and try again."
    )


def _unreadable(detail: ErrorDetails) -> tuple[int | str, ...]:
    """Where the smallest thing is that cannot be understood: an unknown field or word, or an item without its essence.

    The root, `()`, when nothing less than the whole is at fault.
    """
    if detail["type"] == "missing":
        return detail["loc"][:-1]
    return detail["loc"] if detail["type"] in {"extra_forbidden", "literal_error"} else ()


def _drop(data: Any, place: tuple[int | str, ...]) -> None:
    *path, last = place
    with suppress(LookupError, TypeError):  # gone already, together with what it was part of
        for step in path:
            data = data[step]
        del data[last]


def strategy_word(word: str) -> StrategyName:
    """A stored strategy; an unknown one, of a newer Orchestra, reads as `consult`."""
    return word if word in get_args(StrategyName) else "consult"  # type: ignore[return-value]


def mode_word(word: str) -> Mode:
    """A stored mode; an unknown one reads as `auto`."""
    return word if word in get_args(Mode) else "auto"  # type: ignore[return-value]


def status_word(word: str) -> Status:
    """A stored status; an unknown one reads as `degraded`."""
    return word if word in get_args(Status) else "degraded"  # type: ignore[return-value]


def entry_row(id: str, entry: Dossier | Opinion | Absence | Ballot | Watched | Grounds) -> dict[str, str | int]:
    """An entry as named values of its columns; the database gives it its place in the sequence."""
    seat = entry.judge if isinstance(entry, Ballot) else getattr(entry, "seat", "")
    return {"id": id, "kind": KIND_OF[type(entry)], "seat": clean(seat), "at": now(), "body": encode(entry)}


def call_row(id: str | None, call: CallRecord) -> Row:
    """A call as the values of `CALL_COLUMNS`; `id` is the consultation's, None when it belongs to none."""
    words = (
        call.provider, call.model, call.model_id, call.key, call.workspace, call.tier, call.route, call.use_case,
        call.cache, call.purpose,
    )  # fmt: skip
    usage = call.usage
    tokens = (
        usage.calls, usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.output_tokens,
        usage.reasoning_tokens,
    )  # fmt: skip
    return (
        id, stamp(call.at), *map(_word, words), count(call.attempt), clean(call.error), call.seconds,
        call.first_token_s, *map(count, tokens), micros(usage.cost_usd), count(usage.unpriced),
    )  # fmt: skip


def _word(text: str) -> str:
    return text if text.isascii() and len(text) <= CALL_WORD_CHARS else clean(text[:CALL_WORD_CHARS])


def call_from(row: Row) -> CallRecord:
    """The call of a row of `CALL_COLUMNS`."""
    id, at, provider, model, model_id, key, workspace, tier, route, use_case, cache, purpose, *rest = row
    attempt, error, seconds, first_token_s, *buckets, cost, unpriced = rest
    calls, fresh, read, written, output, reasoning = buckets
    return CallRecord(
        run=id or "",
        purpose=purpose,
        model=model,
        provider=provider,
        model_id=model_id,
        key=key,
        workspace=workspace,
        tier=tier,
        route=route,
        use_case=use_case,
        cache=cache,
        usage=Usage(
            calls=calls,
            input_tokens=fresh,
            cache_read_tokens=read,
            cache_write_tokens=written,
            output_tokens=output,
            reasoning_tokens=reasoning,
            cost_usd=dollars(cost),
            unpriced=unpriced,
        ),
        seconds=seconds or 0.0,  # NaN is NULL to SQLite
        first_token_s=first_token_s,
        attempt=attempt,
        error=error,
        at=moment(at),
    )


OUTCOME_COLUMNS: Final = ("consultation", "at", "source", "solution", "outcome", "label")


def outcome_row(label: Label, outcome: OutcomeName, solution: int) -> Row:
    """A mark as the values of `OUTCOME_COLUMNS`: the outcome in a column of its own, the label with the facts only."""
    facts = label.marked(())
    return (label.consultation, stamp(label.at), label.source, solution, outcome, encode(facts))


def label_from(row: Row) -> Label | None:
    """The label of one mark; None when it makes no sense to this version (an unknown word, a missing solution)."""
    return combined([row])


def combined(marks: Sequence[Row]) -> Label | None:
    """One label for all marks of one consultation, given oldest first; None when none of them can be read.

    The newest label gives the facts and the time; the user's word on a solution goes before that of the tests. What commits
    say counts only while nobody else has said anything of the consultation; their `wrong` only takes a `worked` back.
    """
    readable: list[tuple[Label, str, int, OutcomeName]] = []
    for _, at, source, solution, outcome, body in marks:
        with suppress(StoreError):
            facts = decode(Label, body).model_copy(update={"at": moment(at)})
            if outcome in get_args(OutcomeName) and 1 <= solution <= len(facts.clusters):
                readable.append((facts, source, solution, outcome))
    told = [mark for mark in readable if mark[1] != "commit"]
    readable = told or [mark for mark in readable if mark[3] != "wrong"]
    if not readable:
        return None
    facts = readable[-1][0]
    said = {solution: outcome for _, source, solution, outcome in readable if source != "user"}
    said |= {solution: outcome for _, source, solution, outcome in readable if source == "user"}
    source = "user" if any(by == "user" for _, by, _, _ in readable) else facts.source
    fitting = [(solution, outcome) for solution, outcome in said.items() if solution <= len(facts.clusters)]
    return facts.model_copy(update={"source": source}).marked(fitting)


def turn(id: str, question: Question, started: int, verdict: Verdict) -> Turn:
    """A finished consultation as one turn of its conversation: the winning position, then the answer, cut to size."""
    position = verdict.solutions[0].position.strip() if verdict.solutions else ""
    answer = verdict.answer.strip() or verdict.headline.strip()
    outcome = answer if answer.startswith(position) else f"{position}\n\n{answer}"
    return Turn(
        id=id,
        question=question.text,
        outcome=shortened(outcome, OUTCOME_CHARS),
        at=moment(started),
        local_only=question.local_only,
    )


def shortened(text: str, limit: int) -> str:
    """The text, cut between words if it is longer, to at most `limit` characters with its ellipsis."""
    if len(text) <= limit:
        return text
    head = text[: limit - 2]
    between_words = max(head.rfind(" "), head.rfind("\n"))
    return head[: between_words if between_words > limit // 2 else None].rstrip() + " …"
