"""The form of `/ask`: what was typed, what is wrong with it, and the question that it makes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final, get_args

from pydantic import ValidationError

from orchestra_mcp.foreign import plain
from orchestra_mcp.types import Mode, Question
from orchestra_mcp.web.nouns import Ask

NONE: Final = ""
OTHER: Final = "other"
"""What the list of projects says for a folder that is typed in."""
MODES: tuple[tuple[str, str], ...] = tuple(
    (mode, "choose for me" if mode == "auto" else mode) for mode in get_args(Mode)
)
EFFORTS: tuple[tuple[str, str, str], ...] = (
    ("auto", "Auto", "as deep as the question needs"),
    ("quick", "Quick", "one or two experts, no review"),
    ("standard", "Standard", "several experts, blind review"),
    ("deep", "Deep", "more experts, critique, a devil's advocate"),
)
SENTENCES: Mapping[str, str] = {
    "question": "Say what you are stuck on, in a sentence or two.",
    "max_cost": "Give a number of US dollars, such as 0.50.",
    "rounds": "Give a number of rounds from 1 to 6.",
}
"""What is said of a field that cannot be read."""
FIELDS: Mapping[str, str] = {"project_dir": "project", "consultation_id": "continues", "max_cost_usd": "max_cost"}
"""Names that differ between the API's noun and the form."""


@dataclass(frozen=True, slots=True)
class Form:
    """What stands in the form, as it was typed."""

    question: str = ""
    project: str = NONE
    """As the list has it: a path, `OTHER`, or nothing."""
    folder: str = ""
    """The path that was typed in."""
    strategy: str = "consult"
    mode: str = "auto"
    effort: str = "auto"
    experts: tuple[str, ...] = ()
    files: str = ""
    """One path or glob a line."""
    error: str = ""
    positions: str = ""
    """Of a debate, one a line; empty: for and against."""
    rounds: str = "3"
    max_cost: str = ""
    local_only: bool = False
    continues: str = ""
    faults: Mapping[str, str] = field(default_factory=dict)
    """Field → what is wrong with it; `form`: what no field is to blame for."""

    @property
    def project_dir(self) -> str:
        """The directory that was chosen; empty without a project."""
        return self.folder if self.project == OTHER else self.project


def read(given: Mapping[str, Sequence[str]]) -> Form:
    """The form as it was sent. Nothing is judged yet."""

    def last(name: str, default: str = "") -> str:
        values = given.get(name, ())
        return values[-1].replace("\r\n", "\n") if values else default

    project, folder = last("project"), last("folder").strip()
    if folder and project == NONE:
        project = OTHER  # without a script both are there to be filled in
    return Form(
        question=last("question"),
        project=project,
        folder=folder,
        strategy=last("strategy", "consult"),
        mode=last("mode", "auto"),
        effort=last("effort", "auto"),
        experts=tuple(dict.fromkeys(name for name in given.get("experts", ()) if name)),
        files=last("files"),
        error=last("error"),
        positions=last("positions"),
        rounds=last("rounds", "3"),
        max_cost=last("max_cost"),
        local_only=bool(last("local_only")),
        continues=last("continues"),
    )


def ask_of(form: Form) -> tuple[Ask | None, dict[str, str]]:
    """What is asked, or what is wrong with each field."""
    faults: dict[str, str] = {}
    if not form.question.strip():
        faults["question"] = SENTENCES["question"]
    if form.project == OTHER and not form.folder:
        faults["project"] = "Give the folder's absolute path, or choose another entry of the list."
    cost = _money(form.max_cost)
    if cost is None and form.max_cost.strip():
        faults["max_cost"] = SENTENCES["max_cost"]
    raw: dict[str, Any] = {
        "question": form.question.strip(),
        "strategy": form.strategy,
        "mode": form.mode,
        "effort": form.effort,
        "experts": form.experts,
        "files": _lines(form.files),
        "error": form.error.strip("\n"),
        "positions": _lines(form.positions) if form.strategy == "debate" else (),
        "rounds": form.rounds.strip() or "3",
        "max_cost_usd": cost,
        "local_only": form.local_only,
        "project_dir": form.project_dir,
        "consultation_id": form.continues,
    }
    try:
        ask = Ask.model_validate(raw)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            place = str(fault["loc"][0])
            name = FIELDS.get(place, place)
            faults.setdefault(name, SENTENCES.get(name, _sentence(fault["msg"])))
        return None, faults
    return (None if faults else ask), faults


def question_of(ask: Ask) -> Question:
    """The question, still without its project."""
    left = ask.model_dump(exclude={"question", "project_dir", "consultation_id", "wait_s"})
    return Question(text=ask.question, continues=ask.consultation_id or None, **left)


def again(asked: Question) -> Form:
    """The form filled in as an earlier question was."""
    return Form(
        question=plain(asked.text),
        strategy=asked.strategy,
        mode=asked.mode,
        effort=asked.effort,
        experts=asked.experts,
        files="\n".join(asked.files),
        error=asked.error,
        positions="\n".join(asked.positions),
        rounds=str(asked.rounds),
        max_cost="" if asked.max_cost_usd is None else f"{asked.max_cost_usd:f}",
        local_only=asked.local_only,
    )


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in re.split(r"[\n\r]+", text) if line.strip())


def _money(text: str) -> Decimal | None:
    """US dollars, with or without the sign, with a point or a comma; None when that is no amount."""
    given = text.strip().removeprefix("$").strip().replace(",", ".")
    if not re.fullmatch(r"\d{1,6}(\.\d{0,6})?|\.\d{1,6}", given):
        return None
    try:
        return Decimal(given)
    except InvalidOperation:
        return None


def _sentence(message: str) -> str:
    return f"{message[:1].upper()}{message[1:]}".rstrip(".") + "."
