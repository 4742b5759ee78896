"""Answers that were given before: identical requests get them at once, similar ones by the rules of `similar`."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from orchestra_mcp.gateway.caching.kept import Gathering, Kept, Memory
from orchestra_mcp.gateway.caching.keys import key_of
from orchestra_mcp.gateway.caching.replies import Replies
from orchestra_mcp.gateway.caching.similar import Similar
from orchestra_mcp.gateway.provider import CallObserver, ChatEvent, ChatRequest, Finish, Provider
from orchestra_mcp.types import CallRecord, Usage


class Cached:
    """Wraps a provider; keeps and plays back complete answers of ways that cache.

    Reads `request.way` (`cache`, `cache_ttl_s`), `request.cache` and `request.caller`; writes `receipt.cache`,
    `cache_age_s` and `offer`, and for an answer that was kept `model`, `model_id` and `provider`.

    Args:
        inner: what is asked when nothing is kept.
        replies: keeps answers over restarts; None: only in memory.
        memory: the answers that were used last.
        similar: what is done about similar questions; None: nothing.
        on_call: told of every answer that was not asked for, with `cache` set and no cost.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        inner: Provider,
        replies: Replies | None = None,
        *,
        memory: Memory | None = None,
        similar: Similar | None = None,
        on_call: CallObserver | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._inner = inner
        self._replies = replies
        self._memory = Memory() if memory is None else memory
        self._similar = similar
        self._on_call = on_call
        self._clock = clock

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; see `Provider.chat`."""
        way = request.way
        if way is None or way.cache == "off":
            async with aclosing(self._inner.chat(request)) as events:
                async for event in events:
                    yield event
            return
        key = key_of(request)
        found = await self._known(key, request) if request.cache.read else None
        if found is not None:
            for event in found:
                yield event
            return
        request.receipt.cache = request.receipt.cache or "miss"
        gathering = Gathering()
        async with aclosing(self._inner.chat(request)) as events:
            async for event in events:
                gathering.see(event)
                if isinstance(event, Finish):
                    break  # kept before the last event is given: whoever got it may go away at once
                yield event
        if request.cache.write:
            self._keep(key, request, gathering)
        if gathering.finish is not None:
            yield gathering.finish

    async def _known(self, key: bytes, request: ChatRequest) -> tuple[ChatEvent, ...] | None:
        found = await self._find(key, request)
        if found is None and request.way is not None and request.way.cache == "similar":
            found = await self._find_similar(request)
        return found

    async def _find(self, key: bytes, request: ChatRequest) -> tuple[ChatEvent, ...] | None:
        row = self._memory.get(key)
        if row is None and self._replies is not None:
            body = await self._replies.get(key)
            kept = Kept.from_bytes(body) if body else None
            if kept is not None:
                row = kept, self._memory.put(key, kept)
        if row is None:
            return None
        kept, events = row
        now = self._clock()
        if now >= kept.until:
            self._memory.drop(key)
            return None
        if not self._fresh(kept, request, now):
            return None
        self._tell(request, kept, "hit", now)
        return events

    async def _find_similar(self, request: ChatRequest) -> tuple[ChatEvent, ...] | None:
        similar = self._similar
        if similar is None:
            return None
        for found in await similar.look(request):
            row = self._memory.get(found.key)
            kept = row[0] if row else None
            if kept is None and self._replies is not None:
                body = await self._replies.get(found.key)
                kept = Kept.from_bytes(body) if body else None
            now = self._clock()
            if kept is None or now >= kept.until or kept.tool_calls or not self._fresh(kept, request, now):
                continue
            receipt = request.receipt
            receipt.offer = {
                "id": found.offer, "question": found.question, "text": kept.text,
                "similarity": round(found.similarity, 4), "age_s": round(now - kept.at, 1),
            }  # fmt: skip
            receipt.cache = "offered"
            similar.offered(found, request)
            if found.trusted or request.cache.prefer_similar:
                self._tell(request, kept, "similar", now)
                return kept.play()
            return None
        return None

    @staticmethod
    def _fresh(kept: Kept, request: ChatRequest, now: float) -> bool:
        most = request.cache.max_age_s
        return most is None or now - kept.at <= most

    def _tell(self, request: ChatRequest, kept: Kept, how: str, now: float) -> None:
        receipt = request.receipt
        receipt.cache = how
        receipt.cache_age_s = max(0.0, now - kept.at)
        receipt.model, receipt.model_id, receipt.provider = kept.name, kept.model, kept.provider
        if self._on_call is not None:
            caller = request.caller
            self._on_call(
                CallRecord(
                    run=request.run, purpose=request.purpose, model=kept.name, provider=kept.provider,
                    usage=Usage(), model_id=kept.model, key=caller.key, workspace=caller.workspace, tier=caller.tier,
                    route=receipt.route or (request.way.route if request.way else ""), use_case=request.use_case,
                    cache=how,
                )
            )  # fmt: skip

    def _keep(self, key: bytes, request: ChatRequest, gathering: Gathering) -> None:
        kept = gathering.kept()
        way = request.way
        if kept is None or way is None:
            return
        if request.receipt.cache == "shared" and key in self._memory:
            return  # who asked for it, or another one who joined, has kept it
        now = self._clock()
        ttl = way.cache_ttl_s if request.cache.ttl_s is None else min(request.cache.ttl_s, way.cache_ttl_s)
        if ttl <= 0:
            return
        receipt = request.receipt
        update = {"at": now, "until": now + ttl, "name": receipt.model, "provider": receipt.provider}
        kept = kept.model_copy(update=update)
        self._memory.put(key, kept)
        if self._replies is not None:
            self._replies.put(key, kept.to_bytes(), now, kept.until)
        if self._similar is not None and way.cache == "similar" and not kept.tool_calls:
            self._similar.learn(request, key, kept.until)
