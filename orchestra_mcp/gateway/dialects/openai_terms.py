"""What OpenAI's two dialects share: how a request's wishes are put into words, and how a body is finished."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from urllib.parse import quote

from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.dialects.translation import ANSWER_TOOL
from orchestra_mcp.gateway.provider import ChatRequest, Effort, Media, Message, Text, Tool, ToolResult
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.types import JsonObject

MAX_TOOL_ID = 40
"""Characters of a tool call's id that OpenAI accepts; other vendors' ids can be longer."""
MISTRAL_ID = re.compile(r"[a-zA-Z0-9]{9}")
DEFAULT_THOUGHTS = 32_768
"""Tokens of which a thinking budget is a share, when the request sets no limit."""

# How much thinking each word means; only the distances count. `medium` lies nearer to `high` than to `low`, and `xhigh`
# nearer to `high` than to `max`, as https://api-docs.deepseek.com/guides/thinking_mode maps them.
_EFFORTS = {
    "none": 0,
    "minimal": 1,
    "low": 2,
    "medium": 3.1,
    "default": 3.1,
    "high": 4,
    "xhigh": 5,
    "max": 7,
    "ultra": 8,
}
# Shares of the output limit: https://openrouter.ai/docs/use-cases/reasoning-tokens, "Reasoning Effort Level"
_SHARES = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95}


def effort_of(effort: Effort, known: tuple[str, ...]) -> str:
    """The vendor's word that is nearest to an effort; empty when the vendor's words are all strange."""
    if not known or effort in known:
        return effort
    words = [word for word in known if word in _EFFORTS]
    return min(words, key=lambda word: (abs(_EFFORTS[word] - _EFFORTS[effort]), -_EFFORTS[word]), default="")


def thinking_budget(effort: Effort, max_tokens: int | None) -> int:
    """Tokens to think with, for vendors that want a number."""
    return max(128, int(_SHARES.get(effort, 0.5) * (max_tokens or DEFAULT_THOUGHTS)))


def tool_id(id: str, quirks: Quirks) -> str:
    """An id of a tool call that the vendor accepts; the same one for a call and its result."""
    if quirks.tool_id == "mistral" and not MISTRAL_ID.fullmatch(id):
        return hashlib.sha256(id.encode("utf-8", "replace")).hexdigest()[:9]
    if len(id) > MAX_TOOL_ID:
        return "call_" + hashlib.sha256(id.encode("utf-8", "replace")).hexdigest()[:24]
    return id


# ------------------------------------------------------------------------------------------------ instructions


def instructed(request: ChatRequest, quirks: Quirks, *, in_words: bool) -> tuple[Message, ...]:
    """The messages, with the schema among the instructions where it is asked for `in_words`, and with the instructions
    in the user's words where the model has no other place for them."""
    messages = request.messages
    if in_words and request.answer is not None:
        schema = json.dumps(request.answer.json_schema, ensure_ascii=False)
        wish = f"Answer with nothing but one JSON object that follows this JSON Schema:\n{schema}"
        first = next((i for i, message in enumerate(messages) if message.role != "system"), len(messages))
        messages = (*messages[:first], Message(role="system", text=wish), *messages[first:])
    return _as_user(messages) if quirks.system_role == "user" else messages


def _as_user(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Instructions are put before the next words of the user, since such models also want the roles to alternate."""
    told: list[Message] = []
    waiting: list[Text] = []
    for message in messages:
        if message.role == "system":
            waiting += [part for part in message.content if isinstance(part, Text)]
        elif message.role == "user" and waiting:
            results = tuple(part for part in message.parts if isinstance(part, ToolResult))
            others = tuple(part for part in message.parts if not isinstance(part, ToolResult))
            text = "\n\n".join([*(part.text for part in waiting), *([message.text] if message.text else [])])
            told.append(Message(role="user", text=text, parts=(*results, *others)))
            waiting = []
        else:
            told.append(message)
    if waiting:
        told.append(Message(role="user", text="\n\n".join(part.text for part in waiting)))
    return tuple(told)


def tells_schema(request: ChatRequest, quirks: Quirks, without: frozenset[str], parameter: str) -> bool:
    """True when the schema of the answer has to be told in words: the vendor has no other way, or rejected it."""
    if request.answer is None or quirks.schema_output == "tool":
        return False
    return quirks.schema_output != "json_schema" or parameter in without or parameter in quirks.omit


def tools_of(request: ChatRequest, quirks: Quirks) -> tuple[tuple[Tool, ...], str, str | None]:
    """The tools to offer, the one that has to be called (or empty), and else how free the model is to choose.

    Where the answer itself is given through a tool, the model has to call that one or another.
    """
    tools, named, choice = request.tools, request.tool, request.tool_choice
    if request.answer is None or quirks.schema_output != "tool":
        return tools, named, choice
    answer = Tool(
        name=ANSWER_TOOL,
        description=request.answer.description or "Give the answer.",
        parameters=request.answer.json_schema,
        strict=request.answer.strict,
    )
    if not tools or choice == "none":
        return (*tools, answer), ANSWER_TOOL, None
    return (*tools, answer), named, "required"


# ------------------------------------------------------------------------------------------------ media


def kind_of(media: Media) -> str:
    """`image`, `audio`, `video`, `text` or `document`; an address of unknown type counts as an image."""
    kind = media.media_type.partition("/")[0].lower()
    if kind in ("image", "audio", "video"):
        return kind
    if kind == "text" and media.data:
        return "text"
    if not media.media_type and not media.url.lower().partition("?")[0].endswith(".pdf"):
        return "image"
    return "document"


def address(media: Media) -> str:
    """Where the vendor finds it: its address, or a data URL (RFC 2397) with its bytes."""
    if not media.data:
        return media.url
    default = "image/png" if kind_of(media) == "image" else "application/pdf"
    return f"data:{media.media_type or default};base64,{media.data}"


def filename(media: Media) -> str:
    """A name for a document; vendors want one."""
    return media.name or "document.pdf"


def inlined(media: Media) -> str:
    """A document of plain text, in words: vendors take only PDF as files."""
    try:
        text = base64.b64decode(media.data).decode("utf-8", "replace")
    except ValueError:
        return left_out("a document")
    return f"{media.name}:\n{text}" if media.name else text


def left_out(what: str) -> str:
    """What stands in place of something that the model cannot take; the model can say so."""
    return f"[{what} that this model cannot take was left out here]"


def joined(texts: Iterable[str]) -> str:
    """Pieces of text as one."""
    return "\n\n".join(text for text in texts if text)


def said_by_tool(result: ToolResult) -> str:
    """The text of a tool's result; OpenAI's dialects have no field for failure."""
    text = joined(part.text for part in result.parts if isinstance(part, Text))
    if result.error and not text.lower().startswith("error"):
        return f"Error: {text}" if text else "Error"
    return text


# ------------------------------------------------------------------------------------------------ the body


def sampling(request: ChatRequest, quirks: Quirks) -> JsonObject:
    """`temperature` and `top_p`, as far as the model takes them."""
    found: JsonObject = {}
    if not quirks.temperature:
        return found
    if request.temperature is not None:
        most = quirks.temperature_max
        found["temperature"] = request.temperature if most is None else min(request.temperature, most)
    if request.top_p is not None:
        found["top_p"] = request.top_p
    return found


def finished(
    body: JsonObject, request: ChatRequest, dialect: str, quirks: Quirks, without: frozenset[str], own: frozenset[str]
) -> JsonObject:
    """The body with the client's further parameters and the vendor's fixed ones, without those that must not be sent.

    What the request itself says wins over `extra`; objects are joined, and lists of tools and `include` made longer.

    Args:
        own: parameters that are never taken over from the client.
    """
    if request.extra and request.extra_dialect == dialect:
        for name, value in request.extra.items():
            if value is None or name in own:
                continue
            mine = body.get(name)
            if isinstance(value, dict):
                given = {key: inner for key, inner in value.items() if inner is not None}
                body[name] = given | mine if isinstance(mine, dict) else mine if name in body else given
            elif isinstance(value, list) and isinstance(mine, list) and name in ("tools", "include"):
                body[name] = [*mine, *(inner for inner in value if inner not in mine)]
            elif name not in body:
                body[name] = value
    for name, value in quirks.static.items():
        mine = body.get(name)
        body[name] = mine | value if isinstance(mine, dict) and isinstance(value, dict) else value
    if not without and not quirks.omit:
        return body
    return {name: value for name, value in body.items() if name not in without and name not in quirks.omit}


def place(spec: ModelSpec, path: str, *, deployment: bool = True) -> str:
    """Address of an operation such as `chat/completions`.

    Azure has two forms: `/openai/v1/…`, and `/openai/deployments/NAME/…?api-version=…` when the options say
    `deployment` and `api_version` (https://learn.microsoft.com/azure/ai-foundry/openai/reference).

    Args:
        deployment: False for operations that are not below a deployment.
    """
    base = spec.base_url.rstrip("/")
    options = spec.options
    version = options.get("api_version", "")
    if version and (name := options.get("deployment", "")):
        root = base.removesuffix("/v1").removesuffix("/openai")
        below = f"deployments/{quote(name, safe='')}/" if deployment else ""
        return f"{root}/openai/{below}{path}?api-version={quote(version, safe='')}"
    return f"{base}/{path}?api-version={quote(version, safe='')}" if version else f"{base}/{path}"
