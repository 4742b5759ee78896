"""What the official conformance suite calls: our own server, runner and guard, plus the tools with the names it expects.

The suite describes each fixture ("implement a tool `test_simple_text` that returns …"); these are ours. Its requests
carry no bearer token, so one is put on in front of the guard; hosts and origins are checked as always.

    python tests/conformance/fixture_server.py        # prints its URL on standard error
"""

from __future__ import annotations

import base64
import os
import socket
import struct
import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.shared.exceptions import MCPError
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    ClientCapabilities,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    MissingRequiredClientCapabilityErrorData,
    SamplingCapability,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel, Field
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestra_mcp.tools.http import build_app, serve
from orchestra_mcp.tools.server import Server, build_server

Ctx = Context[Any, Any]
TOKEN = "conformance"


def _png() -> str:
    """One red pixel, put together by the book (PNG specification, chapters 5 and 11)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\x00\xff\x00\x00")
    whole = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return base64.b64encode(whole).decode()


def _wav() -> str:
    """Eight samples of silence, 8 kHz mono."""
    data = b"\x80" * 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(data)) + data
    return base64.b64encode(struct.pack("<4sI", b"RIFF", len(body)) + body).decode()


PNG, WAV = _png(), _wav()


def _resource(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def _image() -> ImageContent:
    return ImageContent(type="image", data=PNG, mime_type="image/png")


# ------------------------------------------------------------------------------------------------ plain tools


async def test_simple_text() -> str:
    """Return a simple text."""
    return "This is a simple text response for testing."


async def test_image_content() -> ImageContent:
    """Return an image."""
    return _image()


async def test_audio_content() -> AudioContent:
    """Return a sound."""
    return AudioContent(type="audio", data=WAV, mime_type="audio/wav")


async def test_embedded_resource() -> EmbeddedResource:
    """Return an embedded resource."""
    return _resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")


async def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
    """Return text, an image and a resource."""
    text = TextContent(type="text", text="Multiple content types test:")
    mixed = _resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    return [text, _image(), mixed]


async def test_error_handling() -> str:
    """Fail in the way that a tool should."""
    raise ToolError("This tool intentionally returns an error for testing")


async def test_tool_with_progress(ctx: Ctx) -> str:
    """Report progress three times."""
    for step in (0, 50, 100):
        await ctx.report_progress(step, 100, f"step {step}")
        await anyio.sleep(0.05)
    return "Progress was reported three times."


async def test_tool_with_logging(ctx: Ctx) -> str:
    """Send three log messages (a deprecated capability that the suite still asks about)."""
    for text in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message(level="info", data=text, related_request_id=ctx.request_id)
        await anyio.sleep(0.05)
    return "Three messages were logged."


async def test_logging_tool(ctx: Ctx) -> str:
    """Log something, which must not arrive at a client that did not ask for logs."""
    return await test_tool_with_logging(ctx)


async def test_missing_capability(ctx: Ctx) -> str:
    """Need a capability that the client has not declared."""
    declared = ctx.client_capabilities
    if declared is None or declared.sampling is None:
        needed = ClientCapabilities(sampling=SamplingCapability())
        raise MCPError(
            code=MISSING_REQUIRED_CLIENT_CAPABILITY,
            message="This tool needs the client's sampling capability.",
            data=MissingRequiredClientCapabilityErrorData(required_capabilities=needed).model_dump(
                by_alias=True, mode="json", exclude_none=True
            ),
        )
    return "The client can sample."


# -------------------------------------------------------------------------- asking the client, up to 2025-11-25


class Reply(BaseModel):
    """The form of `test_elicitation`."""

    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


async def test_elicitation(ctx: Ctx, message: str) -> str:
    """Ask the user for a name and an address."""
    answer = await ctx.session.elicit_form(message, Reply.model_json_schema(), related_request_id=ctx.request_id)
    return f"User response: action={answer.action}, content={answer.content}"


async def test_sampling(ctx: Ctx, prompt: str) -> str:
    """Ask the client's model."""
    answer = await ctx.session.send_request(_sample(prompt), CreateMessageResult)
    return f"LLM response: {answer.content.text if isinstance(answer.content, TextContent) else answer.content}"


async def _form(ctx: Ctx, properties: dict[str, Any]) -> str:
    schema = {"type": "object", "properties": properties, "required": []}
    answer = await ctx.session.elicit_form("Please fill this in", schema, related_request_id=ctx.request_id)
    return f"Elicitation completed: action={answer.action}, content={answer.content}"


async def test_elicitation_sep1034_defaults(ctx: Ctx) -> str:
    """Ask with a default for each primitive type."""
    return await _form(
        ctx,
        {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": True},
        },
    )


async def test_elicitation_sep1330_enums(ctx: Ctx) -> str:
    """Ask with every kind of choice."""
    plain = ["option1", "option2", "option3"]
    titled = [
        {"const": f"value{n}", "title": f"{word} Option"} for n, word in enumerate(("First", "Second", "Third"), 1)
    ]
    return await _form(
        ctx,
        {
            "untitledSingle": {"type": "string", "enum": plain},
            "titledSingle": {"type": "string", "oneOf": titled},
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled}},
        },
    )


# ------------------------------------------------------------------------------- asking the client, 2026-07-28


def _ask(message: str, **properties: str) -> ElicitRequest:
    schema = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "required": list(properties),
    }
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(prompt: str) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=100))


def _field(ctx: Ctx, key: str, name: str) -> Any:
    """A field of what the user entered under `key`, or None when that has not been answered properly."""
    answer = (ctx.input_responses or {}).get(key)
    if isinstance(answer, ElicitResult) and answer.action == "accept" and answer.content:
        return answer.content.get(name)
    return None


async def test_input_required_result_elicitation(ctx: Ctx) -> str | InputRequiredResult:
    """Ask for a name, then greet."""
    if name := _field(ctx, "user_name", "name"):
        return f"Hello, {name}!"
    return InputRequiredResult(input_requests={"user_name": _ask("What is your name?", name="string")})


async def test_streaming_elicitation(ctx: Ctx) -> str | InputRequiredResult:
    """Report progress, then ask."""
    await ctx.report_progress(1, 2, "about to ask")
    return await test_input_required_result_elicitation(ctx)


async def test_input_required_result_sampling(ctx: Ctx) -> str | InputRequiredResult:
    """Ask the client's model."""
    answer = (ctx.input_responses or {}).get("capital_question")
    if isinstance(answer, CreateMessageResult):
        return f"The model said: {answer.content}"
    return InputRequiredResult(input_requests={"capital_question": _sample("What is the capital of France?")})


async def test_input_required_result_list_roots(ctx: Ctx) -> str | InputRequiredResult:
    """Ask for the client's roots."""
    answer = (ctx.input_responses or {}).get("client_roots")
    if isinstance(answer, ListRootsResult):
        return f"Roots: {', '.join(str(root.uri) for root in answer.roots)}"
    return InputRequiredResult(input_requests={"client_roots": ListRootsRequest()})


async def test_input_required_result_request_state(ctx: Ctx) -> str | InputRequiredResult:
    """Ask, and check that the state comes back."""
    if ctx.request_state == "asked" and ctx.input_responses:
        return "state-ok"
    return InputRequiredResult(input_requests={"confirm": _ask("Please confirm", ok="boolean")}, request_state="asked")


async def test_input_required_result_tampered_state(ctx: Ctx) -> str | InputRequiredResult:
    """Ask with a state that is sealed by the SDK's boundary."""
    return await test_input_required_result_request_state(ctx)


async def test_input_required_result_multiple_inputs(ctx: Ctx) -> str | InputRequiredResult:
    """Ask three things at once."""
    if ctx.input_responses:
        return f"Thank you for {len(ctx.input_responses)} answers."
    return InputRequiredResult(
        input_requests={
            "user_name": _ask("What is your name?", name="string"),
            "greeting": _sample("Generate a greeting"),
            "client_roots": ListRootsRequest(),
        },
        request_state="three questions",
    )


async def test_input_required_result_multi_round(ctx: Ctx) -> str | InputRequiredResult:
    """Ask twice, one after the other."""
    if ctx.request_state == "round 2" and (color := _field(ctx, "step2", "color")):
        return f"You like {color}."
    if ctx.request_state == "round 1" and _field(ctx, "step1", "name"):
        ask = _ask("What is your favourite colour?", color="string")
        return InputRequiredResult(input_requests={"step2": ask}, request_state="round 2")
    ask = _ask("What is your name?", name="string")
    return InputRequiredResult(input_requests={"step1": ask}, request_state="round 1")


async def test_input_required_result_capabilities(ctx: Ctx) -> str | InputRequiredResult:
    """Ask only what the client can answer."""
    declared = ctx.client_capabilities or ClientCapabilities()
    requests: dict[str, Any] = {}
    if declared.elicitation is not None:
        requests["user_name"] = _ask("What is your name?", name="string")
    if declared.sampling is not None:
        requests["greeting"] = _sample("Generate a greeting")
    if declared.roots is not None:
        requests["client_roots"] = ListRootsRequest()
    if ctx.input_responses or not requests:
        return "Nothing more to ask."
    return InputRequiredResult(input_requests=requests)


# ------------------------------------------------------------------------------------- changes of what there is


async def test_trigger_tool_change(ctx: Ctx) -> str:
    """Say that the list of tools has changed."""
    await ctx.notify_tools_changed()
    return "done"


async def test_trigger_prompt_change(ctx: Ctx) -> str:
    """Say that the list of prompts has changed."""
    await ctx.notify_prompts_changed()
    return "done"


TOOLS: tuple[Callable[..., Any], ...] = (
    test_simple_text,
    test_image_content,
    test_audio_content,
    test_embedded_resource,
    test_multiple_content_types,
    test_error_handling,
    test_tool_with_progress,
    test_tool_with_logging,
    test_logging_tool,
    test_missing_capability,
    test_elicitation,
    test_sampling,
    test_elicitation_sep1034_defaults,
    test_elicitation_sep1330_enums,
    test_input_required_result_elicitation,
    test_streaming_elicitation,
    test_input_required_result_sampling,
    test_input_required_result_list_roots,
    test_input_required_result_request_state,
    test_input_required_result_tampered_state,
    test_input_required_result_multiple_inputs,
    test_input_required_result_multi_round,
    test_input_required_result_capabilities,
    test_trigger_tool_change,
    test_trigger_prompt_change,
)


def add_resources(server: Server) -> None:
    """The resources that the suite reads and subscribes to."""

    @server.resource("test://static-text", description="A static text", mime_type="text/plain")
    async def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", description="A static image", mime_type="image/png")
    async def static_binary() -> bytes:
        return base64.b64decode(PNG)

    @server.resource("test://watched-resource", description="One to subscribe to", mime_type="text/plain")
    async def watched() -> str:
        return "This is watched."

    @server.resource("test://template/{id}/data", description="A template", mime_type="application/json")
    async def template(id: str) -> str:
        return f'{{"id":"{id}","templateTest":true,"data":"Data for ID: {id}"}}'

    async def nothing(_: Any, __: Any) -> EmptyResult:
        return EmptyResult()

    methods: Mapping[str, Any] = {
        "resources/subscribe": SubscribeRequestParams,
        "resources/unsubscribe": UnsubscribeRequestParams,
        "logging/setLevel": SetLevelRequestParams,
    }
    for method, params in methods.items():
        server._lowlevel_server.add_request_handler(method, params, nothing)


def add_prompts(server: Server) -> None:
    """The prompts that the suite gets."""

    @server.prompt(description="A simple prompt")
    async def test_simple_prompt() -> str:
        return "This is a simple prompt for testing."

    @server.prompt(description="A prompt with two arguments")
    async def test_prompt_with_arguments(
        arg1: Annotated[str, Field(description="First")], arg2: Annotated[str, Field(description="Second")]
    ) -> str:
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt(description="A prompt with a resource")
    async def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:
        embedded = _resource(resourceUri, "text/plain", "Embedded resource content for testing.")
        return [UserMessage(embedded), UserMessage("Please process the embedded resource above.")]

    @server.prompt(description="A prompt with an image")
    async def test_prompt_with_image() -> list[UserMessage]:
        return [UserMessage(_image()), UserMessage("Please analyze the image above.")]

    @server.prompt(description="A prompt that asks first")
    async def test_input_required_result_prompt(ctx: Ctx) -> str | InputRequiredResult:
        if context := _field(ctx, "user_context", "context"):
            return f"The context is: {context}"
        ask = _ask("What context should the prompt use?", context="string")
        return InputRequiredResult(input_requests={"user_context": ask})


class LettingIn:
    """ASGI: put the token on each request, since the suite cannot."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            token = (b"authorization", f"Bearer {TOKEN}".encode())
            scope = {**scope, "headers": [*scope["headers"], token]}
        await self._app(scope, receive, send)


def fixture_server() -> Server:
    """Our server with everything that the suite calls."""
    server = build_server(os.environ)
    for tool in TOOLS:
        server.add_tool(tool, structured_output=False)
    add_resources(server)
    add_prompts(server)
    return server


def main() -> Literal[0]:
    """Serve on a free port until a signal comes."""
    server = fixture_server()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stderr.write(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp\n")
        sys.stderr.flush()
        serve(LettingIn(build_app(server, TOKEN, "127.0.0.1")), server.host, listener)
    return 0


if __name__ == "__main__":
    sys.exit(main())
