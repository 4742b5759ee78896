"""The OpenAPI 3.1 document of `/api`, made from the nouns, so that it cannot say anything else than they do.

Add an endpoint here: a row of `OPERATIONS`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic.json_schema import models_json_schema

from orchestra_mcp import __version__
from orchestra_mcp.store.costs import VALUES
from orchestra_mcp.types import (
    Alert,
    Consultation,
    CouncilStatus,
    Event,
    ExpertRecord,
    JsonObject,
    Label,
    Noun,
    Summary,
)
from orchestra_mcp.web.nouns import Ask, Asked, Judgement, Mark, Me, Percentiles, Spending

REF = "#/components/schemas/{model}"
Parameter = tuple[str, JsonObject, str]


@dataclass(frozen=True)
class Operation:
    """One endpoint: what it is for, what it takes, what it gives."""

    method: Literal["get", "post", "delete"]
    path: str
    name: str
    summary: str
    gives: type[Noun] | str | None = None
    """A noun; `[name] noun list` as JSON schema is in `LISTS`; a media type; or None for a small object."""
    takes: type[Noun] | None = None
    query: tuple[Parameter, ...] = ()
    status: str = "200"
    also: tuple[tuple[str, str], ...] = ()
    """Further statuses with the same body."""


TEXT: JsonObject = {"type": "string"}
DETAIL: Parameter = ("detail", {"type": "string", "enum": ["brief", "standard", "full"]}, "how much of it")
LISTS: dict[str, tuple[str, type[Noun] | None]] = {
    "history": ("consultations", Summary), "models": ("models", None), "experts": ("experts", ExpertRecord),
    "alerts": ("alerts", Alert),
}  # fmt: skip
ONE = "/api/consultations/{id}"

OPERATIONS: tuple[Operation, ...] = (
    Operation("get", "/api/me", "me", "Who is calling, and what they may do", Me),
    Operation(
        "get", "/api/consultations", "history", "The newest consultations, newest first",
        query=(
            ("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, "at most so many"),
            ("project", TEXT, "only of this project (a directory); for the owner"),
            ("query", TEXT, "those that fit these words, best first; `found` then says where, and how well"),
            ("offset", {"type": "integer", "minimum": 0, "maximum": 1000, "default": 0}, "with `query`: how many to skip"),
        ),
    ),
    Operation(
        "post", "/api/consultations", "ask", "Start a consultation", Asked, Ask,
        also=(("202", "It runs; follow its events or come back"),),
    ),
    Operation(
        "get", ONE, "consultation", "One consultation; `latest` is an id", Consultation,
        query=(DETAIL, ("wait_s", {"type": "number", "minimum": 0, "maximum": 600}, "wait so long for its end")),
    ),
    Operation("delete", ONE, "forget", "Remove it with all that was said in it; for the owner and who may manage"),
    Operation(
        "get", "/api/export", "export", "Whole consultations as JSON lines, oldest first; for the owner",
        "application/x-ndjson",
        query=(
            ("project", TEXT, "only of this project (a directory)"),
            ("since", TEXT, "begun then or later: a date or time, ISO 8601"),
            ("before", TEXT, "begun before that"),
        ),
    ),
    Operation("get", f"{ONE}/report", "report", "Its report in Markdown", "text/markdown", query=(DETAIL,)),
    Operation("post", f"{ONE}/cancel", "cancel", "Stop it"),
    Operation("post", f"{ONE}/outcome", "mark", "Say what became of a solution", Label, Mark),
    Operation(
        "get", f"{ONE}/events", "events",
        "What happens in it, as Server-Sent Events whose data are `Event` objects with a `number`; what happened before "
        "comes first, or what came after the header `Last-Event-ID`", "text/event-stream",
        query=(("after", {"type": "integer"}, "number of the last event that is known already"),),
    ),
    Operation(
        "get", "/api/spending", "spending", "What was spent, and what may be", Spending,
        query=(("by", {"type": "string", "enum": list(VALUES)}, "this month's calls by that; for the owner"),),
    ),
    Operation(
        "get", "/api/latency", "latency", "How long answered calls took: percentiles; for the owner", Percentiles,
        query=(
            ("by", {"type": "string", "enum": list(VALUES), "default": "model"}, "what calls are told apart by"),
            ("hours", {"type": "number", "minimum": 0.01, "maximum": 8784, "default": 24}, "looking back so far"),
        ),
    ),
    Operation(
        "get", "/api/alerts", "alerts", "The newest alerts, over or not; for the owner",
        query=(("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, "at most so many"),),
    ),
    Operation("get", "/api/models", "models", "Names that may be asked for"),
    Operation("get", "/api/status", "status", "Who sits in the council, and why", CouncilStatus),
    Operation("get", "/api/experts", "experts", "How often each expert was right, and on how many cases that rests"),
    Operation("post", "/api/offers/{id}", "judge", "Say whether an offered answer was right", None, Judgement),
    Operation("get", "/api/openapi.json", "openapi", "This document"),
)  # fmt: skip

ABOUT = """\
Consultations of the council, live events, spending and models. Errors come as `{"error": {"message", "type", "code"}}`.
`/api/events` is a WebSocket that sends the events of all consultations that the caller may see, or with `run=ID` of
one, as JSON texts; `after=NUMBER` leaves out what is known already, and `{"kind": "dropped", "count": n}` tells a slow
reader what it lost. The models themselves are under `/v1`, as OpenAI and Anthropic document it."""


@cache
def document() -> JsonObject:
    """The whole document."""
    takes = {operation.takes for operation in OPERATIONS if operation.takes}
    gives: set[type[Noun]] = {Summary, Event, ExpertRecord, Alert}
    gives |= {operation.gives for operation in OPERATIONS if isinstance(operation.gives, type)}
    wanted: list[tuple[type[Noun], Literal["validation", "serialization"]]] = []
    wanted += [(noun, "validation") for noun in sorted(takes, key=_name)]
    wanted += [(noun, "serialization") for noun in sorted(gives, key=_name)]
    refs, schemas = models_json_schema(wanted, ref_template=REF)
    by_noun: dict[Any, Any] = {noun: ref for (noun, _), ref in refs.items()}
    paths: dict[str, JsonObject] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, by_noun)
    error = {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "code"],
                "properties": {"message": TEXT, "type": TEXT, "code": TEXT, "param": {"type": ["string", "null"]}},
            }
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Orchestra", "version": __version__, "description": ABOUT},
        "paths": paths,
        "components": {
            "schemas": {**schemas.get("$defs", {}), "Error": error},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        "security": [{"bearer": []}, {"key": []}],
    }


def _operation(operation: Operation, refs: dict[Any, Any]) -> JsonObject:
    content = {_media(operation): {"schema": _schema(operation, refs)}}
    responses: JsonObject = {operation.status: {"description": operation.summary, "content": content}}
    for status, why in operation.also:
        responses[status] = {"description": why, "content": content}
    refused = {"application/json": {"schema": {"$ref": REF.format(model="Error")}}}
    responses["default"] = {"description": "It went wrong", "content": refused}
    found: JsonObject = {"operationId": operation.name, "summary": operation.summary, "responses": responses}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": TEXT}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": schema, "description": why}
        for name, schema, why in operation.query
    ]
    if parameters:
        found["parameters"] = parameters
    if operation.takes:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": refs[operation.takes]}}}
    return found


def _media(operation: Operation) -> str:
    return operation.gives if isinstance(operation.gives, str) else "application/json"


def _schema(operation: Operation, refs: dict[Any, Any]) -> JsonObject:
    if isinstance(operation.gives, str):
        return TEXT
    if operation.gives:
        found: JsonObject = refs[operation.gives]
        return found
    if operation.name not in LISTS:
        return {"type": "object"}
    name, noun = LISTS[operation.name]
    items = refs[noun] if noun else {"type": "object"}
    return {"type": "object", "required": [name], "properties": {name: {"type": "array", "items": items}}}


def _name(noun: type[Noun]) -> str:
    return noun.__name__
