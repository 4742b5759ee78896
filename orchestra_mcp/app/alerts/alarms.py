"""Watches the rules of alerts while any process is open, and tells people once that something began and once that it is over.

All processes of a data directory share one turn (`store/alerts.py`). Whoever has it reads the records, opens and closes
alerts, and notes in the same transaction where that is to be told; telling takes it off that list. So a process that dies
in the midst of it leaves the rest to the others.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import anyio

from orchestra_mcp.app.alerts.rules import LONG, Reading, read
from orchestra_mcp.errors import ProviderError, Refused, StoreError
from orchestra_mcp.settings import AlertRule
from orchestra_mcp.store.alerts import AlertBook, Telling
from orchestra_mcp.telemetry.notifying import Desktop
from orchestra_mcp.types import Alert

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)  # that something is over is said too, however quiet the rest is

FIRST_S: Final = 2.0
"""A process looks first so long after it was opened, in seconds."""
EVERY_S: Final = 30.0
LONG_EVERY_S: Final = 600.0
"""Rules over a week or more are looked at so often, in seconds; and those of calibration."""
WATCH_S: Final = 240.0
LEASE_S: Final = 90.0
"""What could not be told is tried again after so long, in seconds; longer than all tries of one take."""
STATES: Final = {False: "began", True: "over"}

Post = Callable[..., Awaitable[None]]


class Alarms:
    """The rules, watched. `run` has to be kept running.

    Args:
        book: where alerts are kept.
        rules: what is watched.
        variable: the value of a variable that a webhook's address names.
        post: posts a message to an address; raises ProviderError.
        desktop: shows notifications.
    """

    def __init__(
        self,
        book: AlertBook,
        rules: Sequence[AlertRule],
        variable: Callable[[str], str],
        post: Post,
        desktop: Desktop | None = None,
    ) -> None:
        self._book, self.rules, self._variable, self._post = book, tuple(rules), variable, post
        self._desktop = desktop or Desktop()
        self._by_name = {rule.name: rule for rule in rules}
        # Processes with other rules, such as those opened before a change of the settings, have a turn of their own.
        told = json.dumps([rule.model_dump(mode="json") for rule in rules])
        self._kind = hashlib.sha256(told.encode()).hexdigest()[:12]
        self._trouble = False
        self.dashboard = ""
        """Address of the dashboard that this process shows; empty when it shows none."""

    async def run(self, first_s: float = FIRST_S, every_s: float = EVERY_S) -> None:
        """Look at the rules now and then, until cancelled. A store in trouble is said once."""
        try:
            await anyio.sleep(first_s)
            while True:
                try:
                    await self.look(every_s)
                    self._trouble = False
                except StoreError as error:
                    if not self._trouble:
                        logger.warning("Alerts are not watched: %s", error)
                    self._trouble = True
                except Exception as error:  # noqa: BLE001 - what watches must not fall with one bad look
                    if not self._trouble:
                        logger.error("Alerts could not be looked at: %s", type(error).__name__)
                    self._trouble = True
                await anyio.sleep(every_s)
        finally:
            if self.dashboard:
                with anyio.move_on_after(0.5, shield=True):
                    await _quietly(partial(self._book.gone, self.dashboard))

    async def look(self, every_s: float = EVERY_S) -> None:
        """Look at the rules, if it is this process's turn, and tell what is to be told.

        Raises:
            StoreError: the records cannot be read or written.
        """
        if self.dashboard:
            await self._book.here(self.dashboard)
        if await self._book.turn(f"alerts/{self._kind}", 0.9 * every_s):
            if await self._book.turn(f"watch/{self._kind}", WATCH_S):
                await self._book.watch([rule.name for rule in self.rules])
            seldom = await self._book.turn(f"seldom/{self._kind}", LONG_EVERY_S)
            lasting = await self._book.lasting()
            for rule in self.rules:
                if seldom or not (rule.window in LONG or rule.on == "calibration"):
                    await self._judge(rule, [alert for alert in lasting if alert.rule == rule.name])
        await self.tell()

    async def _judge(self, rule: AlertRule, lasting: Sequence[Alert]) -> None:
        now = datetime.now(UTC)
        readings = {one.subject: one for one in await self._book.look(lambda facts: read(facts, rule, now))}
        known = {alert.subject for alert in lasting}
        for subject, reading in readings.items():
            if reading.says == "on" and subject not in known:
                await self._book.fire(_alert(rule, reading, now), rule.to)
        for subject in known:
            # What is not spoken of any more, such as an expert that nobody asks, is over too.
            if subject not in readings or readings[subject].says == "off":
                await self._book.end(rule.name, subject, now, rule.to)

    # ------------------------------------------------------------------------------------------------- telling

    async def tell(self) -> None:
        """Tell what is to be told and nobody has told yet. Raises StoreError."""
        tellings = await self._book.due(LEASE_S, self._mine)
        if not tellings:
            return
        link = await self._book.dashboard() or self.dashboard
        failures: list[StoreError] = []

        async def one(telling: Telling) -> None:
            try:
                await self._tell(telling, link)
            except StoreError as error:
                failures.append(error)

        async with anyio.create_task_group() as group:
            for telling in tellings:
                group.start_soon(one, telling)
        if failures:
            raise failures[0]

    def _mine(self, telling: Telling) -> bool:
        if telling.to == "webhook":
            rule = self._by_name.get(telling.alert.rule)
            return rule is not None and bool(rule.url.get_secret_value())
        return telling.to == "log" or self._desktop.reachable

    async def _tell(self, telling: Telling, link: str) -> None:
        if telling.to == "log":
            logger.log(
                logging.INFO if telling.over else logging.WARNING,
                "alert %s %s",
                STATES[telling.over],
                sentence(telling),
            )
        elif telling.to == "desktop":
            title = f"Orchestra: {telling.alert.rule}{' is over' if telling.over else ''}"
            if not await self._desktop.show(title, sentence(telling), link, urgent=not telling.over):
                await self._book.leave(telling)
                return
        elif not await self._posted(telling, link):
            return
        await self._book.told(telling)

    async def _posted(self, telling: Telling, link: str) -> bool:
        rule = self._by_name[telling.alert.rule]
        url = rule.url.get_secret_value()
        if url.startswith("$") and not (url := self._variable(url[1:])):
            logger.warning("The webhook of the alert %r names a variable that is not set.", rule.name)
            return True
        try:
            await self._post(url, json.dumps(message(telling, link)).encode(), allow_http=rule.allow_http)
        except Refused as error:
            logger.warning("The alert %r was not posted, and will not be: %s", rule.name, error)
        except ProviderError as error:
            logger.warning("The alert %r was not posted yet: %s", rule.name, error)
            return False
        return True


def sentence(telling: Telling) -> str:
    """An alert in one line."""
    alert = telling.alert
    if not telling.over or alert.over is None:
        return f"{alert.rule}: {alert.message}"
    return f"{alert.rule}: over after {_lasted((alert.over - alert.since).total_seconds())} ({alert.message})"


def message(telling: Telling, link: str) -> dict[str, Any]:
    """The body that a webhook gets; `text` is what chat services show. docs/observability.md describes it."""
    alert = telling.alert
    return {
        # With the moment of its beginning: numbers begin anew in a new database.
        "id": f"{alert.since:%Y%m%dT%H%M%S%f}-{telling.id}-{STATES[telling.over]}",
        "state": STATES[telling.over],
        **alert.model_dump(mode="json"),
        "text": f"Orchestra {sentence(telling)}" + (f" {link}" if link else ""),
        "link": link,
    }


def _lasted(seconds: float) -> str:
    for size, word in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{max(0, seconds):.0f} s"


def _alert(rule: AlertRule, reading: Reading, now: datetime) -> Alert:
    return Alert(
        rule=rule.name,
        kind=rule.on,
        subject=reading.subject,
        message=reading.message,
        value=reading.value,
        limit=rule.above,
        since=now,
    )


async def _quietly(act: Callable[[], Awaitable[None]]) -> None:
    try:
        await act()
    except StoreError:
        return
