"""The one seam below the council and below every door: `chat` as a stream of events whose fold is the reply.

A wire, a wrapper (budget, retry, breaker, cache, route) and the whole gateway all have the shape of `Provider`.
`Embedder` is a seam of the same kind for vectors.

The nouns here are the gateway's own dialect, into which every client's and every vendor's dialect is translated: turns
of system, user and assistant; tool results stand in the user's turn; tool arguments stay the JSON text that the model
wrote. Whatever is None or empty is omitted on a wire, never sent as null.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Literal, Protocol

from pydantic import Field

from orchestra_mcp.errors import BadReply
from orchestra_mcp.types import CallRecord, JsonObject, Noun, Usage

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "filter", "tool", "unknown"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
MAX_REPLY_CHARS = 400_000


# ------------------------------------------------------------------------------------------------ what is said


class Text(Noun):
    """Some text within a message."""

    kind: Literal["text"] = "text"
    text: str
    cache: bool = False
    """Ask the vendor to cache the prompt up to here, where it wants to be asked."""


class Media(Noun):
    """An image, a document or a sound: its bytes, or an address that the vendor fetches."""

    kind: Literal["media"] = "media"
    media_type: str = ""
    """Such as `image/png`; may be empty for an address."""
    data: str = Field(default="", repr=False)
    """Base64."""
    url: str = ""
    name: str = ""
    detail: str = ""
    """How closely an image is to be looked at (`low`, `high`, …), where the vendor can be told."""


class ToolCall(Noun):
    """A tool that the model wants to be called."""

    kind: Literal["tool_call"] = "tool_call"
    id: str
    name: str
    arguments: str = "{}"
    """JSON text, as the model wrote it."""
    signature: str = ""
    """What the vendor wants to see again with it (Gemini's `thoughtSignature`)."""


class ToolResult(Noun):
    """What a tool said; stands in a user's message."""

    kind: Literal["tool_result"] = "tool_result"
    id: str
    """Of the call."""
    name: str = ""
    parts: tuple[Text | Media, ...] = ()
    error: bool = False


class Thought(Noun):
    """Earlier thinking of the model, given back to the vendor who signed it; other vendors are not sent it."""

    kind: Literal["thought"] = "thought"
    text: str = ""
    signature: str = ""
    hidden: str = ""
    """Thinking that only the vendor can read (Anthropic's `redacted_thinking`, OpenAI's `encrypted_content`)."""
    id: str = ""


Part = Annotated[Text | Media | ToolCall | ToolResult | Thought, Field(discriminator="kind")]


class Message(Noun):
    """One message of a conversation with a model: its text, then its other parts."""

    role: Role
    text: str = ""
    parts: tuple[Part, ...] = ()
    name: str = ""
    """Tells several speakers of one role apart, where the vendor can be told."""

    @property
    def content(self) -> tuple[Part, ...]:
        """All parts in order, the text as one of them."""
        return (Text(text=self.text), *self.parts) if self.text else self.parts


class Tool(Noun):
    """A function that the model may ask for."""

    name: str
    description: str = ""
    parameters: JsonObject = Field(default_factory=dict)
    """JSON Schema of the arguments."""
    strict: bool | None = None


class AnswerSchema(Noun):
    """The JSON Schema that the answer has to follow."""

    name: str = "answer"
    json_schema: JsonObject
    strict: bool | None = None
    description: str = ""


# ------------------------------------------------------------------------------------------------ who asks, and how


class Caller(Noun):
    """On whose behalf a call is made; what budgets, limits, rules and caches go by."""

    key: str = ""
    """Id of the virtual key (never the key); empty for this machine's own user."""
    workspace: str = ""
    tier: str = ""
    priority: int = 0
    """Higher goes first where calls have to wait."""


NOBODY = Caller()
ASKING: ContextVar[Caller] = ContextVar("asking", default=NOBODY)
"""On whose behalf this task works; a door sets it, so that what a council asks is charged to whoever asked the council."""


class CacheTerms(Noun):
    """What the caller allows the caches, from `cache-control` and `x-orchestra-cache`."""

    read: bool = True
    write: bool = True
    similar: bool = True
    """May an answer to a similar question be offered or served, where the route caches by meaning."""
    prefer_similar: bool = False
    """Take an offered answer to a similar question in place of a new one."""
    ttl_s: float | None = None
    max_age_s: float | None = None


class Way(Noun):
    """The way that a request takes, settled by the routing for the layers below it."""

    route: str = ""
    """The route's name; empty when a model was named."""
    targets: tuple[str, ...]
    """Names of models, the first to be asked first."""
    attempts: int = 4
    """Targets that are tried at most."""
    hedge_s: float | None = None
    slow_s: float | None = None
    cache: Literal["off", "exact", "similar"] = "off"
    cache_ttl_s: float = 86_400
    total_s: float = 600
    partition: str = ""
    """What tells answers of this way apart from those of others, for caches: targets and their versions."""


@dataclass(eq=False, slots=True)
class Receipt:
    """What became of one call, written by the layers that it goes through; also told when it fails."""

    route: str = ""
    model: str = ""
    """The gateway's name of the model that answered, or was asked last."""
    model_id: str = ""
    provider: str = ""
    attempts: int = 0
    cache: str = ""
    """`hit`, `shared` (joined a call in flight), `similar`, `offered`, `miss`; empty where nothing is cached."""
    cache_age_s: float = 0.0
    cost_usd: Decimal = Decimal(0)
    unpriced: bool = False
    """The price is unknown; `cost_usd` is not what the call cost."""
    upstream_s: float = 0.0
    """Seconds spent waiting for vendors."""
    queued_s: float = 0.0
    """Seconds spent waiting for a free place."""
    offer: JsonObject = field(default_factory=dict)
    """An answer to a similar question: `id`, `question`, `text`, `similarity`, `age_s`."""
    why: list[str] = field(default_factory=list)
    """How the target was chosen, and what went wrong on the way."""


class ChatRequest(Noun):
    """What is asked of a model."""

    model: str
    """A name that the gateway knows (a model, an alias, a use case), or `vendor/model id`."""
    messages: tuple[Message, ...]
    max_tokens: int | None = 4096
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    effort: Effort | None = None
    """How long a reasoning model may think."""
    tools: tuple[Tool, ...] = ()
    tool_choice: Literal["auto", "none", "required"] | None = None
    tool: str = ""
    """The one tool that has to be called."""
    parallel_tools: bool | None = None
    json_only: bool = False
    """Ask for a JSON object, where the dialect has a switch for it."""
    answer: AnswerSchema | None = None
    """Ask for JSON of this schema."""
    stream: bool = True
    """False: the vendor is asked for one whole reply, which costs less work but shows no sign of life before it."""
    as_is: bool = False
    """Pass on a reply that the vendor cut off or declined, in place of raising an error."""
    extra: JsonObject = Field(default_factory=dict)
    """Parameters of the client's own dialect that have no field here; sent only to vendors of that dialect."""
    extra_dialect: str = ""

    run: str = ""
    """Consultation that pays for the call."""
    purpose: str = "opinion"
    attempt: int = 1
    """Counted by `retrying`; callers leave it alone."""
    caller: Caller = Field(default_factory=lambda: ASKING.get())
    use_case: str = ""
    """For rules and records; a route that is a use case fills it in."""
    sample: int = 0
    """Tells several samples of one prompt apart, so that no cache makes one of them."""
    private: bool = False
    """Holds code of a project: never answered from, or kept for, similar questions."""
    cache: CacheTerms = CacheTerms()
    deadline_s: float | None = None
    """Seconds for the whole call, retries and other targets included."""
    way: Way | None = None
    """Settled by the routing; callers leave it alone."""
    patient: bool = True
    """Ask the same model again when it fails; False where another target waits. Settled by the failover."""
    receipt: Receipt = Field(default_factory=Receipt, exclude=True, repr=False)


# ------------------------------------------------------------------------------------------------ what comes back


class TextDelta(Noun):
    """Some more visible text."""

    text: str


class ReasoningDelta(Noun):
    """Some more of the model's thinking; a sign of life, not part of the reply."""

    text: str = ""
    signature: str = ""
    """Ends a thought: what the vendor wants to see again with it."""
    hidden: str = ""
    """A thought that only the vendor can read, in one piece."""
    id: str = ""


class ToolDelta(Noun):
    """Some more of a tool call. The first one of an index has its id and name; arguments come in pieces of JSON."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    signature: str = ""


class Spent(Noun):
    """What the call has used so far, when the vendor says so before the end; the meter keeps it to itself."""

    usage: Usage


class Finish(Noun):
    """The last event of every complete stream."""

    reason: FinishReason
    usage: Usage = Usage()
    model: str = ""
    """The vendor's own name of the model that answered."""
    stopped_by: str = ""
    """The stop sequence that ended it, where the vendor tells."""


ChatEvent = TextDelta | ReasoningDelta | ToolDelta | Spent | Finish


class ChatReply(Noun):
    """The fold of a stream of events."""

    text: str
    finish: FinishReason
    usage: Usage
    model: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


class Provider(Protocol):
    """Anything that can answer a chat request."""

    def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; ends with exactly one `Finish`.

        Raises:
            ProviderError: Refused, Unavailable, RateLimited or BadReply.
            BudgetExceeded: before anything is sent.
        """
        ...


class EmbedRequest(Noun):
    """Texts to be turned into vectors."""

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    caller: Caller = Caller()
    receipt: Receipt = Field(default_factory=Receipt, exclude=True, repr=False)


class Embedder(Protocol):
    """Texts to vectors."""

    @property
    def tag(self) -> str:
        """Names what makes vectors comparable: engine, model, version."""
        ...

    async def embed(self, texts: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
        """One vector of unit length for each text.

        Raises:
            ProviderError: it cannot be done now.
        """
        ...


CallObserver = Callable[[CallRecord], None]
"""Told of every attempt at a model, successful or not."""


async def fold(provider: Provider, request: ChatRequest) -> ChatReply:
    """Run a chat to its end and put the pieces together.

    Raises:
        BadReply: the stream ended without `Finish` (`truncated`) or grew over `MAX_REPLY_CHARS` (`too_long`).
        ProviderError, BudgetExceeded: as `Provider.chat`.
    """
    parts: list[str] = []
    calls: dict[int, ToolCall] = {}
    size = 0
    async with aclosing(provider.chat(request)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                parts.append(event.text)
                size += len(event.text)
            elif isinstance(event, ToolDelta):
                calls[event.index] = joined(calls.get(event.index), event)
                size += len(event.arguments)
            elif isinstance(event, Finish):
                return ChatReply(
                    text="".join(parts),
                    finish=event.reason,
                    usage=event.usage,
                    model=event.model,
                    tool_calls=tuple(calls[index] for index in sorted(calls)),
                )
            if size > MAX_REPLY_CHARS:
                raise BadReply(f"the reply grew over {MAX_REPLY_CHARS:,} characters", "too_long")
    raise BadReply("the stream ended before the model had finished", "truncated")


def joined(call: ToolCall | None, more: ToolDelta) -> ToolCall:
    """A tool call and one more piece of it."""
    if call is None:
        return ToolCall(id=more.id, name=more.name, arguments=more.arguments, signature=more.signature)
    return call.model_copy(
        update={
            "id": call.id or more.id,
            "name": call.name or more.name,
            "arguments": call.arguments + more.arguments,
            "signature": call.signature or more.signature,
        }
    )
