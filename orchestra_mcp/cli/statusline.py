"""What a listener does, as one line that is always there on a terminal, or as a line for each change elsewhere."""

from __future__ import annotations

import json
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Final

from orchestra_mcp.cli.progress import Board, sentence
from orchestra_mcp.cli.terminal import Desk, console, write
from orchestra_mcp.edge.listening import POOR
from orchestra_mcp.edge.nouns import Reply, Status
from orchestra_mcp.foreign import plain
from orchestra_mcp.types import Event

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

COLOURS: Final = {
    "idle": "green", "listening": "bold red", "thinking": "yellow", "confirming": "bold red", "speaking": "cyan",
    "muted": "dim", "away": "magenta",
}  # fmt: skip


class StatusLine:
    """Shows a listener; answers go to standard output."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._status = Status()
        self._board = Board()
        self._live: Live | None = None
        self._said = ""

    def __enter__(self) -> StatusLine:
        if self._desk.lively:
            from rich.live import Live

            screen = console(sys.stderr)
            self._live = Live(get_renderable=self._drawn, console=screen, refresh_per_second=5, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, status: Status) -> None:
        """Take in a change."""
        self._status = status
        if self._live is None and (said := words(status)) != self._said:
            self._said = said
            self._desk.say(said)

    def heed(self, event: Event) -> None:
        """Take in what happens in the council."""
        self._board.heed(event)
        if self._live is None:
            self._desk.say(sentence(event))

    def told(self, reply: Reply, link: str) -> None:
        """Show a reply."""
        if self._desk.as_json:
            document = {
                "heard": reply.heard, "spoken": reply.spoken, "consultation": reply.consultation,
                "failed": reply.failed, "expects": reply.expects,
            }  # fmt: skip
            write(sys.stdout, json.dumps(document))
            return
        if self._live is None:
            link = link.partition("#")[
                0
            ]  # a ticket is for the person at the terminal, not for a file or another program
        lines = [reply.spoken]
        if reply.consultation:
            lines.append(f"  orchestra show {reply.consultation}" + (f"  ·  {link}" if link else ""))
        text = plain("\n".join(lines))
        if self._live is not None:
            self._live.console.print(text, soft_wrap=True)
        else:
            write(sys.stdout, text)

    def _drawn(self) -> Text:
        from rich.text import Text

        status = self._status
        said = words(status)
        if status.state == "thinking" and self._board.stage != "closed":
            said += f" · {self._board.stage}"
        head = Text("● ", style=COLOURS.get(status.state, ""))
        head.append(plain(said), style="")
        head.truncate(max(20, console(sys.stderr).width - 1), overflow="ellipsis")
        return head


def words(status: Status) -> str:
    """A status as one line."""
    parts: list[str] = [status.state, status.source]
    if status.link and status.link != "connected":
        parts.append(status.link)
    if status.battery is not None:
        parts.append(f"battery {status.battery} %" + (" (charging)" if status.charging else ""))
    if status.loss >= POOR:
        parts.append(f"{status.loss:.0%} lost")
    parts.append(status.why_not if status.state == "idle" else "")
    return " · ".join(filter(None, (*parts, " ".join(status.detail.split()))))
