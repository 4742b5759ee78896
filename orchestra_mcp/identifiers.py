"""Identifiers of code and the words that they are made of. Pure."""

from __future__ import annotations

import re

PART = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")
"""One part of a compound name."""


def subwords(identifier: str) -> list[str]:
    """`parseHTTPReply_v2` → parse, http, reply, v2; in lower case."""
    return [part.lower() for part in PART.findall(identifier)]
