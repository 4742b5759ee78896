"""Notifications of the desktop, by the extra `desktop`. Where there is no desktop, that is said once."""

from __future__ import annotations

import importlib
import logging
import webbrowser
from importlib.util import find_spec
from typing import Any

import anyio
import anyio.to_thread

logger = logging.getLogger(__name__)

SHOW_S = 5.0
"""Longest time for a notification, in seconds."""
MISSING = "install the extra: pip install 'orchestra-council[desktop]'"
NOBODY = "no notification service answers in this session"


class Desktop:
    """The desktop of the user, as far as this process can reach it."""

    def __init__(self) -> None:
        self._notifier: Any = None
        self.reachable = True
        """False once it is known that there is none."""

    async def show(self, title: str, text: str, link: str = "", *, urgent: bool = False) -> bool:
        """Show a notification; a click opens the link. False where there is no desktop to show it on; never raises."""
        if not self.reachable:
            return False
        try:
            with anyio.move_on_after(SHOW_S):
                if await self._show(title, text, link, urgent):
                    return True
                self._give_up(NOBODY)
                return False
            self._give_up(NOBODY)
        except ImportError:
            self._give_up(MISSING)
        except Exception as error:  # noqa: BLE001 - a desktop has many ways to fail, and none of them matters to a council
            self._give_up(f"{NOBODY} ({type(error).__name__})")
        return False

    async def _show(self, title: str, text: str, link: str, urgent: bool) -> bool:
        if find_spec("desktop_notifier") is None:
            raise ImportError
        library = await anyio.to_thread.run_sync(importlib.import_module, "desktop_notifier")
        # It logs what fails with a traceback; we say it in one line.
        logging.getLogger("desktop_notifier").setLevel(logging.CRITICAL)
        if importlib.import_module("desktop_notifier.main").get_backend_class().__name__.startswith("Dummy"):
            return False  # it would take everything and show nothing
        if self._notifier is None:
            self._notifier = library.DesktopNotifier(app_name="Orchestra", app_icon=None)
        shown: list[bool] = []
        await self._notifier.send(
            title,
            f"{text}\n{link.partition('#')[0]}" if link else text,  # a ticket is for the click only
            urgency=library.Urgency.Critical if urgent else library.Urgency.Normal,
            on_dispatched=lambda: shown.append(True),
            on_clicked=(lambda: webbrowser.open(link)) if link else None,
        )
        return bool(shown)

    def _give_up(self, why: str) -> None:
        self.reachable, self._notifier = False, None
        logger.warning("Notifications cannot be shown on the desktop: %s", why)
