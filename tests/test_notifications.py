"""Alerts on the desktop: a real session bus with a notification service, and none at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DAEMON = shutil.which("dbus-daemon")
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="desktops of other systems cannot be started here"),
    pytest.mark.skipif(find_spec("desktop_notifier") is None, reason="pip install 'orchestra-council[desktop]'"),
]
needs_bus = pytest.mark.skipif(DAEMON is None, reason="apt-get install dbus-daemon")


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a session with a bus of its own."""
    assert DAEMON is not None
    program = [DAEMON, "--session", "--nofork", "--print-address=1", f"--address=unix:path={tmp_path / 'bus'}"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        try:
            address = daemon.stdout.readline().strip()
            yield {**os.environ, "DBUS_SESSION_BUS_ADDRESS": address}
        finally:
            daemon.kill()


def show(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, str(HERE / "alarm_child.py"), "-", "desktop"]
    return subprocess.run(program, env=environ, capture_output=True, text=True, timeout=60, cwd=HERE.parent, check=True)


@needs_bus
def test_an_alert_is_shown_on_the_desktop_with_a_link(bus: dict[str, str]) -> None:
    service = [sys.executable, str(HERE / "notification_service.py")]
    with subprocess.Popen(service, env=bus, stdout=subprocess.PIPE, text=True) as desktop:
        assert desktop.stdout is not None
        try:
            assert desktop.stdout.readline() == "ready\n"
            done = show(bus)
            shown = [json.loads(desktop.stdout.readline()) for _ in range(2)]
        finally:
            desktop.kill()
    assert done.stdout.split() == ["True", "True"]
    assert done.stderr == ""
    text = "sol does not answer\nhttp://127.0.0.1:9/"
    assert shown[0] == {"app": "Orchestra", "title": "Orchestra: outage", "body": text, "urgency": 2}


@needs_bus
def test_a_session_without_a_notification_service_is_said_once(bus: dict[str, str]) -> None:
    done = show(bus)
    assert done.stdout.split() == ["False", "False"]
    assert done.stderr.count("cannot be shown on the desktop") == 1
    assert "Traceback" not in done.stderr


def test_a_machine_without_a_desktop_is_said_once(tmp_path: Path) -> None:
    done = show({**os.environ, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path / 'nowhere'}"})
    assert done.stdout.split() == ["False", "False"]
    assert done.stderr.count("cannot be shown on the desktop") == 1
    assert "Traceback" not in done.stderr


def test_without_the_extra_its_name_is_said(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hides:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'desktop_notifier': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hides())\n"
    )
    done = show({**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.stdout.split() == ["False", "False"]
    assert "orchestra-council[desktop]" in done.stderr
