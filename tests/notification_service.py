"""A notification service as a desktop has one: owns `org.freedesktop.Notifications` and prints what it is shown.

https://specifications.freedesktop.org/notification-spec/latest/protocol.html
"""

# No `from __future__ import annotations`: dbus-fast reads the signatures out of the annotations.
import asyncio
import json
import sys
from typing import Annotated

from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusDict, DBusInt32, DBusSignature, DBusStr, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method

Strings = Annotated[list[str], DBusSignature("as")]
FourStrings = Annotated[list[str], DBusSignature("ssss")]


class Notifications(ServiceInterface):
    def __init__(self) -> None:
        super().__init__("org.freedesktop.Notifications")

    @dbus_method()
    def GetCapabilities(self) -> Strings:
        return ["body", "actions"]

    @dbus_method()
    def Notify(
        self,
        app_name: DBusStr,
        replaces_id: DBusUInt32,
        app_icon: DBusStr,
        summary: DBusStr,
        body: DBusStr,
        actions: Strings,
        hints: DBusDict,
        expire_timeout: DBusInt32,
    ) -> DBusUInt32:
        said = {"app": app_name, "title": summary, "body": body, "urgency": hints["urgency"].value}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
        return 7

    @dbus_method()
    def GetServerInformation(self) -> FourStrings:
        return ["test", "orchestra", "1", "1.2"]

    @dbus_method()
    def CloseNotification(self, id: DBusUInt32) -> None:
        return


async def main() -> None:
    bus = await MessageBus().connect()
    bus.export("/org/freedesktop/Notifications", Notifications())
    await bus.request_name("org.freedesktop.Notifications")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


asyncio.run(main())
