"""The council as a tool of Omi's own chat: "ask Orchestra why …".

Source: `docs/doc/developer/apps/ChatTools.mdx` of github.com/BasedHardware/omi (manifest, payload, `result` or `error`), and
`backend/utils/retrieval/tools/app_tools.py`: it waits 120 s, and counts every status but 2xx as a fault of the server, of
which a few in a row turn the tool off. So what the model at the other end did wrong is told with 200. As of 2026-11.
"""

from __future__ import annotations

from typing import Final

from orchestra_mcp.edge.nouns import Heard
from orchestra_mcp.edge.omiapp.intake import Intake
from orchestra_mcp.edge.omiapp.notifying import cut
from orchestra_mcp.foreign import plain
from orchestra_mcp.types import JsonObject

ENGINE: Final = "omi chat"
PATIENCE_S: Final = 90.0
"""Omi waits 120 s; tunnels and proxies in between often give up at 100."""
LATEST_S: Final = 10.0
QUESTION_CHARS: Final = 4_000
RESULT_CHARS: Final = 1_000
COMES: Final = "The council is still at it. Its answer comes as a notification; the tool council_answer gives it later."
LATER: Final = "The council is still at it. Ask the tool council_answer in a minute or two."
NOT_TAKEN: Final = "The question was not taken; too much is being asked at once. Try again in a minute."


def manifest(endpoint: str) -> JsonObject:
    """What Omi is told of the tools; `endpoint` is where it calls them."""
    return {
        "tools": [
            {
                "name": "ask_council",
                "description": (
                    "Asks Orchestra, the user's council of experts for programming, who read the user's own project. Use it "
                    "when the user wants Orchestra or the council to be asked, or has a question about their code, tests, "
                    "errors or design. Pass a yes, a no or the name of a project in the same way when Orchestra asked for it."
                ),
                "endpoint": endpoint,
                "method": "POST",
                "parameters": {
                    "properties": {
                        "question": {"type": "string", "description": "The question, in the user's own words."}
                    },
                    "required": ["question"],
                },
                "auth_required": False,
                "status_message": "Asking the council…",
            },
            {
                "name": "council_answer",
                "description": "Gives Orchestra's latest answer again, for a question that was still being worked on.",
                "endpoint": endpoint,
                "method": "POST",
                "parameters": {"properties": {}, "required": []},
                "auth_required": False,
                "status_message": "Looking for the council's answer…",
            },
        ]
    }


async def call(intake: Intake, uid: str, body: JsonObject, patience_s: float = PATIENCE_S) -> JsonObject:
    """Answer one call of a user who is allowed: `result` or `error`."""
    name = body.get("tool_name")
    if name == "council_answer":
        if intake.busy(uid):
            return {"result": COMES if intake.notifies else LATER}
        reply = await intake.ask(uid, Heard("repeat", ENGINE, 1.0), LATEST_S)
        return {"result": _said(reply.spoken if reply else "") or NOT_TAKEN}
    if name != "ask_council":
        return {"error": "There are two tools here: ask_council and council_answer."}
    question = body.get("question")
    if not isinstance(question, str) or not question.strip():
        return {"error": "Missing required parameter: question"}
    if len(question) > QUESTION_CHARS:
        return {"error": f"The question has more than {QUESTION_CHARS:,} characters; shorten it."}
    reply = await intake.ask(uid, Heard(plain(question), ENGINE, 1.0), patience_s)
    if reply is None:
        return {"result": COMES if intake.notifies else LATER}
    return {"result": _said(reply.spoken) or NOT_TAKEN}


def _said(text: str) -> str:
    return cut(" ".join(plain(text).split()), RESULT_CHARS)
