"""What tools accept: parameter types with lean schemas, and sentences for arguments that do not fit.

The schemas are written for many clients: no `null` unions, no titles, no references. What is accepted is
wider than what is advertised, because models send lists as comma-separated or JSON text and `null` for
"not given".
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from orchestra_mcp.types import Detail, Effort, Mode, OutcomeName

if TYPE_CHECKING:
    from pydantic import ValidationError

MAX_QUESTION = 50_000
"""Characters; more belongs into `error`, `diff` or `files`."""


def split(value: object) -> object:
    """A list given as text, JSON or separated by commas or lines; anything else is left for validation."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            text = text.strip("[]")
    return [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]


def split_lines(value: object) -> object:
    """As `split`, but commas stay, since a position is a sentence."""
    if isinstance(value, str) and not value.strip().startswith("["):
        return [line.strip() for line in value.splitlines() if line.strip()]
    return split(value)


def lower(value: object) -> object:
    """Choices are accepted in any case."""
    return value.strip().lower() if isinstance(value, str) else value


QuestionText = Annotated[
    str,
    Field(
        min_length=3,
        max_length=MAX_QUESTION,
        description="The whole question: goal, what happens, what was tried",
    ),
]
Proposition = Annotated[
    str,
    Field(min_length=3, max_length=MAX_QUESTION, description="Claim or choice to be debated, with context"),
]
Positions = Annotated[
    tuple[str, ...], Field(max_length=7, description="Default: for and against"), BeforeValidator(split_lines)
]
Rounds = Annotated[int, Field(ge=1, le=6)]
ModeName = Annotated[Mode, BeforeValidator(lower), Field(description="Kind of being stuck")]
Files = Annotated[tuple[str, ...], BeforeValidator(split), Field(description="Paths or globs that must be read")]
ErrorText = Annotated[str, Field(description="Stack trace, test output or log, verbatim")]
Diff = Annotated[str, Field(description="Unified diff or git range (main...HEAD)")]
Experts = Annotated[
    tuple[str, ...],
    BeforeValidator(split),
    Field(description="Seats to ask, by name; default: the council chooses"),
]
EffortName = Annotated[Effort, BeforeValidator(lower)]
DetailName = Annotated[Detail, BeforeValidator(lower)]
MaxCost = Annotated[float | None, Field(ge=0, le=1000)]
Deadline = Annotated[float | None, Field(gt=0, le=86_400, description="Then answer with what there is")]
Continues = Annotated[str, Field(description="Earlier consultation to continue")]
ProjectDir = Annotated[str, Field(description="Absolute path, if the server runs elsewhere")]
ConsultationId = Annotated[str, Field(min_length=1, max_length=200)]
SearchQuery = Annotated[str, Field(max_length=2000, description="List past consultations with these words instead")]
SolutionRank = Annotated[int, Field(ge=1, le=1000, description="Its rank in the report")]
OutcomeWord = Annotated[OutcomeName, BeforeValidator(lower)]
Wait = Annotated[float, Field(ge=0, le=3600, description="Wait up to so many seconds for the end")]


def lean(schema: dict[str, Any]) -> dict[str, Any]:
    """The same JSON schema without titles, `null` alternatives and empty defaults: fewer tokens."""
    return {
        "type": "object",
        "properties": {name: _lean_property(value) for name, value in schema.get("properties", {}).items()},
        **({"required": schema["required"]} if schema.get("required") else {}),
    }


BULKY = {"title", "maxLength", "minLength", "maxItems", "exclusiveMinimum", "minimum", "maximum"}
"""Keywords that are checked but not advertised, except for integers, whose range a model must know."""


def _lean_property(schema: dict[str, Any]) -> dict[str, Any]:
    whole = dict(schema)
    for option in whole.pop("anyOf", ()):
        if option.get("type") != "null":
            whole = {**option, **whole}
    dropped = {"title"} if whole.get("type") == "integer" else BULKY
    return {k: v for k, v in whole.items() if k not in dropped and not (k == "default" and not v)}


def unknown_argument(given: Iterable[str], known: Iterable[str]) -> str | None:
    """A sentence about the first argument that the tool does not have, or None."""
    names = list(known)
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(names) or 'no arguments'}."
            return f"There is no argument {name!r}; {hint}"
    return None


def explain(error: ValidationError, properties: Mapping[str, Any]) -> str:
    """Findings as short sentences that name the argument and what it accepts, never what was given."""
    sentences = []
    for finding in error.errors(include_url=False, include_input=False, include_context=False):
        name = str(finding["loc"][0]) if finding["loc"] else "arguments"
        about = properties.get(name, {})
        if finding["type"] == "missing":
            sentences.append(f"{name} is missing: {about.get('description', 'it is required')}.")
        elif "enum" in about:
            sentences.append(f"{name} must be one of {', '.join(map(str, about['enum']))}.")
        else:
            sentences.append(f"{name}: {finding['msg'].removeprefix('Input ').removeprefix('Value ')}.")
    return " ".join(dict.fromkeys(sentences))
