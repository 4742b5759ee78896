"""What every reply tells of the way it took, in headers `x-orchestra-…`; and what a client's headers ask for.

| header | what it tells |
|---|---|
| `-provider`, `-model`, `-route` | who answered, or was asked last; through which route |
| `-attempts` | calls that were made for it, failed ones included |
| `-cache` | `hit`, `shared`, `similar`, `offered`, `miss`, or `off` |
| `-cost-usd` | what it cost; of a stream it stands in the last usage (`cost_usd`), since headers have gone by then |
| `-price` | `unknown` where the price is not known, so that the cost is not either |
| `-added-ms` | milliseconds spent here: all but the waiting for vendors; of a stream, until its first word |
| `-offer-id` | an answer to a similar question is offered, in the field `orchestra` of the body |
| `-left-out` | what the request asked for and could not be passed on |
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from orchestra_mcp.gateway.provider import CacheTerms, Receipt
from orchestra_mcp.types import Usage

if TYPE_CHECKING:
    from starlette.types import Scope

Headers = list[tuple[bytes, bytes]]

DEFAULT_TERMS = CacheTerms()
SECONDS = re.compile(r"(?:max-age|ttl)\s*=\s*\"?(\d{1,9})\"?")
UNFIT = re.compile(r"[^\x20-\x7e]")


class Head:
    """What is known of a request before its body has been read."""

    __slots__ = ("began", "encoding", "length", "only_kept", "terms", "version")

    def __init__(self, scope: Scope) -> None:
        self.began = time.perf_counter()
        self.length = 0
        """Of the body in bytes, as announced."""
        self.encoding = ""
        """Of the body."""
        self.version = ""
        """`anthropic-version`: the client speaks Anthropic's API."""
        control = ours = ""
        for name, value in scope["headers"]:
            if name == b"content-length":
                self.length = int(value[:18]) if value.isdigit() else 0
            elif name == b"cache-control":
                control = value.decode("latin-1").lower()
            elif name == b"x-orchestra-cache":
                ours = value.decode("latin-1").lower()
            elif name == b"anthropic-version":
                self.version = value.decode("latin-1")
            elif name == b"content-encoding":
                self.encoding = value.decode("latin-1").strip().lower()
        self.only_kept = "only-if-cached" in control
        """The client wants what a cache keeps, or nothing."""
        self.terms = terms(control, ours) if control or ours else DEFAULT_TERMS


def terms(control: str, ours: str) -> CacheTerms:
    """What `cache-control` and `x-orchestra-cache` allow the caches; words that mean nothing here are passed over."""
    words = {word.strip() for word in control.split(",")}
    own = {word.strip() for word in ours.split(",")}
    off = bool(own & {"off", "bypass"})
    age, ttl = SECONDS.search(control), SECONDS.search(ours)
    return CacheTerms(
        read=not off and not words & {"no-cache", "no-store"},
        write=not off and "no-store" not in words,
        similar=not off and not words & {"no-cache", "no-store"} and "exact" not in own,
        prefer_similar="prefer-similar" in own and not off,
        ttl_s=float(ttl[1]) if ttl else None,
        max_age_s=float(age[1]) if age else None,
    )


def merged(receipts: list[Receipt]) -> Receipt:
    """One receipt for the samples of one request, which ran at the same time."""
    if len(receipts) == 1:
        return receipts[0]
    first = receipts[0]
    return Receipt(
        route=first.route,
        model=first.model,
        model_id=first.model_id,
        provider=first.provider,
        attempts=sum(each.attempts for each in receipts),
        cache=first.cache if len({each.cache for each in receipts}) == 1 else "miss",
        cost_usd=sum((each.cost_usd for each in receipts), Decimal(0)),
        unpriced=any(each.unpriced for each in receipts),
        upstream_s=max(each.upstream_s for each in receipts),
        queued_s=max(each.queued_s for each in receipts),
        offer=next((each.offer for each in receipts if each.offer), {}),
        why=[why for each in receipts for why in each.why],
    )


def headers(
    head: Head, receipt: Receipt, usage: Usage | None = None, *, stream: bool = False, left_out: Iterable[str] = ()
) -> Headers:
    """The headers of one reply.

    Args:
        usage: what the reply says that it took; its cost counts where no layer has written one.
        stream: the reply has only begun, so that its cost is not known yet.
        left_out: what the request asked for and could not be passed on.
    """
    added = max(0.0, time.perf_counter() - head.began - receipt.upstream_s)
    found = [
        (b"x-orchestra-attempts", b"%d" % receipt.attempts),
        (b"x-orchestra-cache", _fit(receipt.cache or "off")),
        (b"x-orchestra-added-ms", b"%.2f" % (added * 1000)),
    ]
    if receipt.provider:
        found.append((b"x-orchestra-provider", _fit(receipt.provider)))
    if receipt.model:
        found.append((b"x-orchestra-model", _fit(receipt.model)))
    if receipt.route:
        found.append((b"x-orchestra-route", _fit(receipt.route)))
    if not stream:
        cost = receipt.cost_usd or (usage.cost_usd if usage else Decimal(0))
        found.append((b"x-orchestra-cost-usd", f"{cost.normalize():f}".encode()))
    if receipt.unpriced or (usage is not None and usage.unpriced):
        found.append((b"x-orchestra-price", b"unknown"))
    if receipt.offer:
        found.append((b"x-orchestra-offer-id", _fit(str(receipt.offer.get("id", "")))))
    if left := ", ".join(left_out):
        found.append((b"x-orchestra-left-out", _fit(left)))
    return found


def _fit(value: str) -> bytes:
    """A value that can stand in a header."""
    return UNFIT.sub("?", value[:500]).encode()
