"""`/v1/audio/transcriptions`: a recording in a multipart form, passed on to a vendor who transcribes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from anyio.lowlevel import checkpoint

from orchestra_mcp.gateway.provider import Receipt
from orchestra_mcp.gateway.transcription import TranscriptionRequest
from orchestra_mcp.web.dialects.dialect import dumps
from orchestra_mcp.web.dialects.fields import Invalid
from orchestra_mcp.web.errors import Declined, trouble
from orchestra_mcp.web.exchange import Gone, read, refuse, reply, watched
from orchestra_mcp.web.overhead import Head, headers

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from orchestra_mcp.web.desk import Desk

MAX_AUDIO = 26 * 1024 * 1024
"""Longest form, in bytes; OpenAI's own limit for a recording is 25 MB."""
PIECE = 256 * 1024
MAX_FIELD = 100_000
MOST_FIELDS = 64


class Transcriptions:
    """ASGI: speech to text."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        head, receipt = Head(scope), Receipt()
        try:
            if scope["method"] != "POST":
                raise Declined(405, "method_not_allowed", "Only POST is answered here.")
            request, stream = await self._request(scope, await read(receive, head, MAX_AUDIO), receipt)
            found = await watched(receive, self._desk.deadline_s, lambda: self._desk.words(request))
        except Gone:
            return
        except Exception as error:  # noqa: BLE001 - told to the client
            await refuse(send, trouble(error), head, receipt)
            return
        kind, body = found.media_type, found.body
        if stream:
            kind, body = "text/event-stream; charset=utf-8", _as_stream(body)
        await reply(send, 200, body, [(b"content-type", kind.encode("latin-1", "replace")), *headers(head, receipt)])

    async def _request(
        self, scope: Scope, data: bytes | bytearray, receipt: Receipt
    ) -> tuple[TranscriptionRequest, bool]:
        from starlette.datastructures import UploadFile
        from starlette.formparsers import MultiPartException
        from starlette.requests import Request

        given = memoryview(data)
        at = 0

        async def again() -> Message:  # in pieces, so that reading a long form lets others work in between
            nonlocal at
            await checkpoint()
            piece, at = bytes(given[at : at + PIECE]), at + PIECE
            return {"type": "http.request", "body": piece, "more_body": at < len(given)}

        form_of = Request(scope, again).form(max_files=1, max_fields=MOST_FIELDS, max_part_size=MAX_FIELD)
        try:
            async with form_of as form:
                file = form.get("file")
                if not isinstance(file, UploadFile):
                    raise Invalid("`file` must be a recording, in a multipart form.", "file")
                audio, name, kind = await file.read(), file.filename or "audio", file.content_type or ""
                rows = [(key, value) for key, value in form.multi_items() if isinstance(value, str)]
        except Exception as error:
            if type(error).__name__ in (MultiPartException.__name__, "HTTPException"):
                raise Invalid("The body is no multipart form that can be read.") from None
            raise
        model = next((value for key, value in rows if key == "model"), "")
        if not model or len(model) > 300:
            raise Invalid("`model` must be given.", "model")
        stream = ("stream", "true") in [(key, value.lower()) for key, value in rows]
        if stream and any(key == "response_format" and value not in ("json", "text") for key, value in rows):
            raise Invalid("`response_format` of a stream must be json.", "response_format")
        request = TranscriptionRequest(
            model=model,
            audio=audio,
            filename=name,
            media_type=kind,
            fields=tuple((key, value) for key, value in rows if key not in ("model", "stream")),
            caller=self._desk.caller(scope),
            receipt=receipt,
        )
        return request, stream


def _as_stream(body: bytes) -> bytes:
    """A transcript as the events of a stream; the vendor is asked for it whole."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    text = str(found.get("text", "")) if isinstance(found, dict) else body.decode("utf-8", "replace").strip()
    events = ({"type": "transcript.text.delta", "delta": text}, {"type": "transcript.text.done", "text": text})
    return "".join(f"event: {each['type']}\ndata: {dumps(each)}\n\n" for each in events).encode()
