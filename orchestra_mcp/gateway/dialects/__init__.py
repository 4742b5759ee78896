"""Translation between the gateway and the vendors: one module for each API, pure, and what all of them share.

Add a dialect here: a module with a `DIALECT`, and its entry in `DIALECTS`.
"""

from __future__ import annotations

from orchestra_mcp.gateway.dialects import anthropic, bedrock, cohere, gemini, openai, responses
from orchestra_mcp.gateway.dialects.dialect import Dialect

DIALECTS: dict[str, Dialect] = {
    "openai": openai.DIALECT,
    "responses": responses.DIALECT,
    "anthropic": anthropic.DIALECT,
    "gemini": gemini.DIALECT,
    "cohere": cohere.DIALECT,
    "bedrock": bedrock.DIALECT,
    # add here
}
