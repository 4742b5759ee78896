"""Text from outside (models, repositories, providers) made harmless to show: on a terminal, as one line, as Markdown. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Whole escape sequences first, so that their payload goes too: OSC, DCS, SOS, PM and APC strings (ECMA-48 §5.6, also
# with their 8-bit introducers), then CSI, then the two- and three-byte ones.
ESCAPES = re.compile(
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|(?=\x1b)|$)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)
# Control characters but tab and newline, and the invisible ones by which text can hide or reorder itself: zero-width
# space, bidirectional marks (Unicode TR36 §3.1), tags. Joiners stay: scripts and emoji are made with them.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)
# Halves of a character, as JSON can spell them: no text that holds one can be written to a stream or a store.
LONE = re.compile("[\ud800-\udfff]")
# No bracket within and a bound, so that a text of nothing but beginnings is read once; what is left becomes text anyway.
IMAGE = re.compile(r"!\[([^\[\]]{0,500})\]\([^)]{0,2000}\)|<img\b[^<>]*>", re.IGNORECASE)
# HTML that could load, run or restyle something: declarations, a tag with an attribute (HTML takes a slash for a blank
# before one), and tags that act without any. `List<String>` is left as it is.
LIVE_HTML = re.compile(
    r"<(?=[!?]|/?[a-z][^<>\s/]*[\s/][^>]*=|/?(?:script|style|iframe|svg|math|plaintext|textarea|title|xmp|no\w+|h[1-6]|[abipsu]|br|hr|div)\b)",
    re.IGNORECASE,
)
FENCE = re.compile(r"^(`{3,})[^`]*$")
FENCE_LIKE = re.compile(r"^[\s>*+\-\d.)]*(?:```|~~~)")


def plain(text: str) -> str:
    """The text without escape sequences, control and invisible characters; line ends become `\\n`."""
    return LONE.sub("\ufffd", UNSEEN.sub("", ESCAPES.sub("", text.replace("\r\n", "\n"))))


def one_line(text: str, limit: int = 240) -> str:
    """Untrusted text as one line that cannot open a heading, a table cell, an image, a link, or end our bold type."""
    line = _disarmed(" ".join(plain(text).split()), "[image taken out]")
    line = line.replace("|", "\\|").replace("](", "]\\(").replace("**", "\\*\\*")
    return line if len(line) <= limit else line[: limit - 1].rstrip(" \\*") + "…"


def inert(text: str) -> str:
    """Untrusted Markdown in which nothing loads or runs: images are taken out, live HTML is spelled out; code stays.

    Only plain fences at the margin count as code. Where others are in the text, Markdown readers may differ on what is
    inside and what is not, so then nothing is taken for code.
    """
    lines = plain(text).splitlines()
    plain_fences = all(FENCE.match(line) for line in lines if FENCE_LIKE.match(line))
    blocks: list[tuple[bool, list[str]]] = [(False, [])]
    fence = ""
    for line in lines:
        if not fence and plain_fences and (opening := FENCE.match(line)):
            fence = opening[1]
            blocks.append((True, [line]))
        elif fence:
            blocks[-1][1].append(line)
            if _closes(line, fence):
                fence = ""
                blocks.append((False, []))
        else:
            blocks[-1][1].append(line)
    return "\n".join(
        "\n".join(block) if code else _disarmed("\n".join(block), r"[image \1 taken out]")
        for code, block in blocks
        if block
    )


def open_fence(lines: Sequence[str]) -> str:
    """The fence of the code block that is still open at the end of these lines, or an empty string."""
    fence = ""
    for line in lines:
        if fence:
            fence = "" if _closes(line, fence) else fence
        elif opening := re.match(r"^\s*(`{3,}|~{3,})", line):
            fence = opening[1]
    return fence


def _closes(line: str, fence: str) -> bool:
    bare = line.strip()
    return len(bare) >= len(fence) and set(bare) == {fence[0]}


def _disarmed(text: str, image: str) -> str:
    # What remains of images (by reference, or with brackets inside) becomes text.
    return LIVE_HTML.sub("&lt;", IMAGE.sub(image, text).replace("![", "!\\["))
