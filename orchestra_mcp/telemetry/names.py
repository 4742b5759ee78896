"""All names of spans' attributes, in one place, by the semantic conventions for generative AI (revision in `SCHEMA_URL`).

The conventions have left OpenTelemetry's own packages (their constants are marked as moved), so that the names stand here.
Whatever they have no name for begins with `orchestra.`. Tokens and costs stand on the `chat` spans only; the spans around
them carry sums under `orchestra.rollup.`, or a backend that adds up would count them twice.
"""

from __future__ import annotations

from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai/1.42.0"
SCOPE: Final = "orchestra"
"""Name of our tracer."""

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
CONVERSATION: Final = "gen_ai.conversation.id"
WORKFLOW: Final = "gen_ai.workflow.name"
AGENT: Final = "gen_ai.agent.name"
TOOL: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
DATA_SOURCE: Final = "gen_ai.data_source.id"
MODEL: Final = "gen_ai.request.model"
MAX_TOKENS: Final = "gen_ai.request.max_tokens"
TEMPERATURE: Final = "gen_ai.request.temperature"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
"""Seconds."""
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
"""Those read from and written to the vendor's cache are among them."""
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE: Final = "gen_ai.usage.cache_write.input_tokens"
REASONING: Final = "gen_ai.usage.reasoning.output_tokens"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
USAGE_COST: Final = "gen_ai.usage.cost"
"""No convention: what backends read today. Exported only."""

ERROR: Final = "error.type"
SERVER: Final = "server.address"
SERVER_PORT: Final = "server.port"
HTTP_METHOD: Final = "http.request.method"
HTTP_STATUS: Final = "http.response.status_code"
HTTP_ROUTE: Final = "http.route"
URL_SCHEME: Final = "url.scheme"
OPENINFERENCE_KIND: Final = "openinference.span.kind"
"""By it Phoenix knows what a workflow is. Exported only."""
SESSION: Final = "session.id"
"""Exported only."""

CONSULTATION: Final = "orchestra.consultation.id"
WORKSPACE: Final = "orchestra.workspace.id"
STRATEGY: Final = "orchestra.strategy"
MODE: Final = "orchestra.mode"
EFFORT: Final = "orchestra.effort"
STATUS: Final = "orchestra.status"
MEMBERS: Final = "orchestra.members"
"""Experts that were asked."""
ANSWERED: Final = "orchestra.answered"
ABSENT: Final = "orchestra.absent"
QUORUM_S: Final = "orchestra.quorum_s"
AGREEMENT: Final = "orchestra.agreement"
CONFIDENCE: Final = "orchestra.confidence"
DEGRADED: Final = "orchestra.degraded"
STAGE: Final = "orchestra.stage"
"""`answer`, `revise`, `compare`, `review`, `synthesis`."""
ROUND: Final = "orchestra.round"
LABELS: Final = "orchestra.blind_labels"
"""Under which letter a judge saw whose answer, such as `A=ada`."""
RANKING: Final = "orchestra.ranking"
KIND: Final = "orchestra.agent.kind"
"""`model` or `resident`."""
PURPOSE: Final = "orchestra.purpose"
MODEL_NAME: Final = "orchestra.model"
"""The gateway's own name of the model."""
ROUTE: Final = "orchestra.route"
USE_CASE: Final = "orchestra.use_case"
ATTEMPT: Final = "orchestra.attempt"
REASON: Final = "orchestra.attempt.reason"
"""`retry`, `fallback` or `hedge`."""
KEY: Final = "orchestra.key.id"
"""Of the virtual key; never a key."""
CACHE: Final = "orchestra.cache"
COST: Final = "orchestra.cost.amount"
CURRENCY: Final = "orchestra.cost.currency"
UNPRICED: Final = "orchestra.cost.unknown"
GUARD: Final = "orchestra.guard.name"
FINDINGS: Final = "orchestra.guard.findings"
FINDING_KINDS: Final = "orchestra.guard.kinds"
EXCERPTS: Final = "orchestra.excerpts"
TOKENS: Final = "orchestra.tokens"
"""Of the evidence."""
FILES: Final = "orchestra.files"
CHANGES: Final = "orchestra.changes"
TRACES: Final = "orchestra.traces"
CLAIMS: Final = "orchestra.claims"
VERIFIED: Final = "orchestra.claims.verified"
REFUTED: Final = "orchestra.claims.refuted"
PROBES: Final = "orchestra.probes"
RESULT: Final = "orchestra.result"
"""Of a trial, a stable word."""
SOLUTIONS: Final = "orchestra.solutions"
ROLLUP_INPUT: Final = "orchestra.rollup.input_tokens"
ROLLUP_OUTPUT: Final = "orchestra.rollup.output_tokens"
ROLLUP_COST: Final = "orchestra.rollup.cost_usd"
ROLLUP_CALLS: Final = "orchestra.rollup.calls"
ROLLUP_RETRIES: Final = "orchestra.rollup.retries"

ROLLUPS: Final = (ROLLUP_INPUT, ROLLUP_OUTPUT, ROLLUP_COST, ROLLUP_CALLS, ROLLUP_RETRIES)

NAMES: Final = frozenset(
    value for name, value in tuple(globals().items()) if name.isupper() and isinstance(value, str)
) - {SCHEMA_URL, SCOPE}
"""All attributes that may be emitted."""

PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "azure-foundry": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "google": "gcp.gemini",
    "gemini": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "vertex-anthropic": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "moonshot-cn": "moonshot_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""Our name of a vendor → that of the conventions, where they differ. Add here."""

OPERATIONS: Final = {"embedding": "embeddings", "transcription": "transcription"}
"""Purpose of a call → its operation; all others are `chat`."""


def provider(name: str) -> str:
    """The conventions' name of a vendor."""
    return PROVIDERS.get(name, name)
