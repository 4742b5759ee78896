"""Alerts that last and that are over, for all processes: who opens or closes one, and only they, tell people.

What is still to be told stands in the table `turns` beside the turns of all processes: a row's time says from when on
somebody may take it. A process that takes a telling and dies before it was told loses nothing: the turn comes again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple, Protocol, TypeVar, cast, get_args

from orchestra_mcp.store import rows
from orchestra_mcp.store.alertfacts import Facts
from orchestra_mcp.store.database import Unit
from orchestra_mcp.types import Alert, AlertKind

T = TypeVar("T")
Channel = Literal["log", "webhook", "desktop"]

SECOND: Final = 1_000_000
KEPT: Final = 400 * 86_400 * SECOND
"""Alerts that were over before that are forgotten."""
WATCHED_S: Final = 600.0
"""A rule that nobody has watched for so long is no rule any more."""
TOLD_WITHIN: Final = 3600 * SECOND
MOST_TOLD: Final = 20
"""So many are told at a time."""
COLUMNS: Final = "rule, kind, subject, message, value, bound, since, over"
BEGIN: Final = f"INSERT INTO alerts ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, NULL) ON CONFLICT DO NOTHING"
TAKE: Final = "INSERT INTO turns (name, at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET at = excluded.at"
# Between these two lie all names that begin with the first: `0` is the character after `/`.
WITHIN: Final = "name >= ? || '/' AND name < ? || '0'"


class Run(Protocol):
    """Runs a unit of work in the store's thread."""

    def __call__(self, unit: Unit[T], /) -> Awaitable[T]:
        """What the unit returns. Raises StoreError."""
        ...


class Telling(NamedTuple):
    """That an alert began, or is over, and where that is still to be told."""

    name: str
    id: int
    """Of the alert."""
    alert: Alert
    over: bool
    to: Channel


class AlertBook:
    """Which rules have fired.

    Args:
        write: runs a unit as one transaction in the writer's thread.
        read: runs a unit on one consistent state.
        standing_in: these are not the records that all processes share, so that nobody is told but whoever reads our log:
            each process would tell the same again.
    """

    def __init__(self, write: Run, read: Run, *, standing_in: bool = False) -> None:
        self._write, self._read = write, read
        self._channels: tuple[Channel, ...] = ("log",) if standing_in else get_args(Channel)

    async def look(self, at: Callable[[Facts], T]) -> T:
        """What is seen of the records, as they are at one moment."""
        return await self._read(lambda connection: at(Facts(connection)))

    async def turn(self, name: str, every_s: float) -> bool:
        """Take a turn that comes only so often, in seconds, among all processes; False when another one had it."""
        every = int(every_s * SECOND)

        def free(connection: sqlite3.Connection) -> bool:
            found = connection.execute("SELECT at FROM turns WHERE name = ?", (name,)).fetchone()
            # A time far ahead was written before the clock was set back.
            return found is None or not rows.now() < found[0] <= rows.now() + 2 * every

        def take(connection: sqlite3.Connection) -> bool:
            if not free(connection):
                return False
            connection.execute(TAKE, (name, rows.now() + every))
            return True

        return await self._read(free) and await self._write(take)

    async def fire(self, alert: Alert, to: Sequence[Channel] = ()) -> bool:
        """Note that a rule has fired and where that is to be told; False when it lasts already, so that nobody is told twice."""
        said = rows.clean(alert.rule), alert.kind, rows.clean(alert.subject), rows.clean(alert.message)

        def unit(connection: sqlite3.Connection) -> bool:
            begun = connection.execute(BEGIN, (*said, alert.value, alert.limit, rows.stamp(alert.since)))
            if begun.rowcount != 1:
                return False
            connection.execute("DELETE FROM alerts WHERE over < ?", (rows.now() - KEPT,))
            self._tell(connection, begun.lastrowid or 0, "began", to)
            return True

        return await self._write(unit)

    async def end(self, rule: str, subject: str, at: datetime, to: Sequence[Channel] = ()) -> Alert | None:
        """Note that it is over and where that is to be told; the alert that ended, None when there was none."""

        def unit(connection: sqlite3.Connection) -> Alert | None:
            found = connection.execute(
                f"SELECT id, {COLUMNS} FROM alerts WHERE rule = ? AND subject = ? AND over IS NULL",
                (rows.clean(rule), rows.clean(subject)),
            ).fetchone()
            if found is None:
                return None
            connection.execute("UPDATE alerts SET over = ? WHERE id = ?", (rows.stamp(at), found[0]))
            self._tell(connection, found[0], "over", to)
            return _alert((*found[1:-1], rows.stamp(at)))

        return await self._write(unit)

    async def watch(self, rules: Sequence[str]) -> None:
        """Note that these rules are watched; end without a word what rules left that nobody watches any more, and give up
        what could not be told for an hour.
        """

        def unit(connection: sqlite3.Connection) -> None:
            now = rows.now()
            connection.executemany(TAKE, [(f"rule/{rows.clean(rule)}", now) for rule in rules])
            connection.execute(
                f"DELETE FROM turns WHERE {WITHIN} AND at < ?", ("rule", "rule", now - int(WATCHED_S * SECOND))
            )
            for (name,) in connection.execute(f"SELECT name FROM turns WHERE {WITHIN}", ("tell", "tell")).fetchall():
                telling = _telling(connection, name)
                if telling is None or rows.stamp(telling.alert.over or telling.alert.since) < now - TOLD_WITHIN:
                    connection.execute("DELETE FROM turns WHERE name = ?", (name,))
            connection.execute(
                "UPDATE alerts SET over = ? WHERE over IS NULL AND 'rule/' || rule NOT IN (SELECT name FROM turns)",
                (now,),
            )

        await self._write(unit)

    async def lasting(self) -> tuple[Alert, ...]:
        """Alerts that are not over, newest first."""
        return await self._alerts("WHERE over IS NULL", 1000)

    async def newest(self, limit: int = 100) -> tuple[Alert, ...]:
        """The newest alerts, over or not."""
        return await self._alerts("", limit)

    async def _alerts(self, condition: str, limit: int) -> tuple[Alert, ...]:
        sql = f"SELECT {COLUMNS} FROM alerts {condition} ORDER BY since DESC, id DESC LIMIT ?"

        def unit(connection: sqlite3.Connection) -> tuple[Alert, ...]:
            found = connection.execute(sql, (max(0, limit),))
            return tuple(_alert(row) for row in found if row[1] in get_args(AlertKind))

        return await self._read(unit)

    # ------------------------------------------------------------------------------------------------- telling

    async def due(self, lease_s: float, mine: Callable[[Telling], bool]) -> tuple[Telling, ...]:
        """What is to be told, has not been, and is `mine` to tell; it is so for `lease_s` seconds, then anybody's again."""

        def open_ones(connection: sqlite3.Connection) -> list[Telling]:
            sql = f"SELECT name FROM turns WHERE {WITHIN} AND at <= ? ORDER BY at LIMIT 500"
            names = connection.execute(sql, ("tell", "tell", rows.now())).fetchall()
            found = [telling for (name,) in names if (telling := _telling(connection, name)) and mine(telling)]
            return found[:MOST_TOLD]

        def take(connection: sqlite3.Connection) -> tuple[Telling, ...]:
            found = open_ones(connection)
            until = rows.now() + int(lease_s * SECOND)
            connection.executemany(TAKE, [(telling.name, until) for telling in found])
            return tuple(found)

        return await self._write(take) if await self._read(open_ones) else ()

    async def leave(self, telling: Telling) -> None:
        """It could not be told here; another process may."""
        await self._write(lambda connection: connection.execute(TAKE, (telling.name, rows.now())).rowcount)

    async def told(self, telling: Telling) -> None:
        """It was told, or never will be."""
        await self._forget_turns("name = ?", telling.name)

    async def here(self, address: str) -> None:
        """Note that this process shows the dashboard at an address; to be said again every minute."""

        def unit(connection: sqlite3.Connection) -> None:
            connection.execute(TAKE, (f"dashboard/{rows.clean(address)}", rows.now()))

        await self._write(unit)

    async def dashboard(self) -> str:
        """Where a dashboard was shown a moment ago; empty when none was."""

        def unit(connection: sqlite3.Connection) -> str:
            found = connection.execute(
                f"SELECT name FROM turns WHERE {WITHIN} AND at > ? ORDER BY at DESC LIMIT 1",
                ("dashboard", "dashboard", rows.now() - 90 * SECOND),
            ).fetchone()
            return str(found[0]).partition("/")[2] if found else ""

        return await self._read(unit)

    async def gone(self, address: str) -> None:
        """The dashboard there has closed."""
        await self._forget_turns("name = 'dashboard/' || ?", rows.clean(address))

    async def _forget_turns(self, condition: str, value: str) -> None:
        def unit(connection: sqlite3.Connection) -> None:
            connection.execute(f"DELETE FROM turns WHERE {condition}", (value,))

        await self._write(unit)

    def _tell(
        self, connection: sqlite3.Connection, id: int, what: Literal["began", "over"], to: Sequence[Channel]
    ) -> None:
        channels = [channel for channel in dict.fromkeys(to) if channel in self._channels]
        connection.executemany(TAKE, [(f"tell/{id}/{what}/{channel}", rows.now()) for channel in channels])


def _telling(connection: sqlite3.Connection, name: str) -> Telling | None:
    _, id, what, channel = (*name.split("/"), "", "", "")[:4]
    found = connection.execute(f"SELECT {COLUMNS} FROM alerts WHERE id = ?", (id,)).fetchone()
    if found is None or channel not in get_args(Channel) or found[1] not in get_args(AlertKind):
        return None
    alert = _alert(found)
    if what == "began":  # as it was told then
        alert = alert.model_copy(update={"over": None})
    return Telling(name, int(id), alert, what == "over", cast("Channel", channel))


def _alert(row: rows.Row) -> Alert:
    rule, kind, subject, message, value, bound, since, over = row
    return Alert(
        rule=rule,
        kind=kind,
        subject=subject,
        message=message,
        value=value,
        limit=bound,
        since=rows.moment(since),
        over=None if over is None else rows.moment(over),
    )
