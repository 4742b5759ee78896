"""`orchestra omi` as people and scripts meet it, and what its doctor finds; nothing is heard here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

pytest.importorskip("bleak", reason="pip install 'orchestra-council[omi]'")

from orchestra_mcp.cli.arguments import parse
from orchestra_mcp.cli.omi import omi
from orchestra_mcp.cli.running import Usage
from orchestra_mcp.cli.terminal import Desk
from orchestra_mcp.cli.voicechecks import check_bluetooth, check_words
from orchestra_mcp.edge.audio.resampling import Resampler
from orchestra_mcp.edge.audio.vad import Activity
from orchestra_mcp.errors import VoiceError

HERE = Path(__file__).parent
ORCHESTRA = str(Path(sys.executable).parent / "orchestra")
MODELS = """
discover = false
[models.ada]
base_url = "http://127.0.0.1:9"
model = "ada"
wire = "anthropic"
[models.scribe]
base_url = "http://127.0.0.1:9/v1"
model = "whisper-1"
wire = "openai"
[routes.ears]
targets = ["ada", "scribe"]
[voice]
speak = false
"""
"""By their wires: /audio/transcriptions is of OpenAI's interface (https://platform.openai.com/docs/api-reference/audio)."""
posix = pytest.mark.skipif(os.name != "posix", reason="background jobs of a POSIX shell")


@pytest.fixture
def configured(environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """This process in an environment with nothing of the user's in it."""
    (tmp_path / "orchestra.toml").write_text(MODELS)
    nowhere = f"unix:path={tmp_path / 'nowhere'}"
    more = {
        "ORCHESTRA_CONFIG": str(tmp_path / "orchestra.toml"),
        "DBUS_SYSTEM_BUS_ADDRESS": nowhere,
        "DBUS_SESSION_BUS_ADDRESS": nowhere,
    }
    for name, value in {**environ, **more}.items():
        monkeypatch.setenv(name, value)
    return {**environ, **more}


def run(*args: str) -> int:
    """A command that writes nothing but what it is to keep."""
    return omi(parse(["omi", *args]), Desk(as_json=False, quiet=True))


# ------------------------------------------------------------------------------------------------- device and phrases


@pytest.mark.parametrize(
    "address", ["nonsense", "E2:4F:00:00:00", "E2:4F:00:00:00:0G", "4F1B2A3C-0000-1111-2222-01234567"]
)
def test_only_an_address_can_be_chosen(configured: dict[str, str], address: str, tmp_path: Path) -> None:
    with pytest.raises(Usage, match="AA:BB:CC:DD:EE:FF"):
        run("choose", address)
    assert not (tmp_path / "data" / "voice.json").exists()


@pytest.mark.parametrize("address", ["E2:4F:00:00:00:01", "4F1B2A3C-0000-1111-2222-0123456789AB"])
def test_addresses_of_linux_and_of_macs_are_taken(configured: dict[str, str], address: str, tmp_path: Path) -> None:
    assert run("choose", address) == 0
    assert json.loads((tmp_path / "data" / "voice.json").read_text())["device"] == address


@pytest.mark.parametrize(
    "said", ["Hey, Orchestra!", "hay orchestra why", "hey or kestra", "...", "one two three four five six"]
)
def test_the_wake_phrase_itself_and_what_is_none_cannot_be_told_apart_from_it(
    configured: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(Usage):
        run("not-me", said)
    assert not (tmp_path / "data" / "voice.json").exists()


def test_a_phrase_that_is_like_it_can(configured: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("moonshine_voice", reason="pip install 'orchestra-council[omi]'")
    assert run("not-me", "Hey, Oscar") == 0
    assert json.loads((tmp_path / "data" / "voice.json").read_text())["not_me"] == ["hey oscar"]


# ------------------------------------------------------------------------------------------------------- the doctor


@pytest.mark.parametrize(
    ("transcriber", "state", "words"),
    [
        ("scribe", "ok", "scribe"),
        ("ears", "ok", "scribe"),
        ("ada", "fail", "does not transcribe"),
        ("bob", "fail", "no model or route"),
    ],
)
def test_the_doctor_knows_who_can_transcribe(
    configured: dict[str, str], transcriber: str, state: str, words: str
) -> None:
    Path(configured["ORCHESTRA_CONFIG"]).write_text(f'{MODELS}\ntranscriber = "{transcriber}"\n')
    [finding] = anyio.run(check_words, configured)
    assert finding.state == state
    assert words in finding.detail


@pytest.mark.skipif(sys.platform != "linux", reason="the bus that is missing is one of Linux")
def test_no_bluetooth_is_a_warning_unless_a_device_was_chosen(configured: dict[str, str]) -> None:
    [finding] = anyio.run(check_bluetooth, configured)
    assert finding.state == "warn"
    assert finding.mend == "only needed for an Omi over Bluetooth"
    run("choose", "E2:4F:00:00:00:01")
    with pytest.raises(VoiceError, match="D-Bus"):
        anyio.run(check_bluetooth, configured)


@contextmanager
def desktop(place: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a bus with somebody on it who shows notifications."""
    daemon = shutil.which("dbus-daemon")
    if daemon is None:
        pytest.skip("apt-get install dbus-daemon")
    pytest.importorskip("desktop_notifier", reason="pip install 'orchestra-council[desktop]'")
    program = [daemon, "--session", "--nofork", "--print-address=1", f"--address=unix:path={place / 'bus'}"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as bus:
        try:
            assert bus.stdout is not None
            address = bus.stdout.readline().strip()
            service = [sys.executable, str(HERE / "notification_service.py")]
            environ = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": address}
            with subprocess.Popen(service, env=environ, stdout=subprocess.PIPE, text=True) as shows:
                try:
                    assert shows.stdout is not None
                    assert shows.stdout.readline() == "ready\n"
                    yield address, shows
                finally:
                    shows.kill()
        finally:
            bus.kill()


ASKED = """
import anyio, os
from orchestra_mcp.cli.voicechecks import check_voice
[finding] = anyio.run(check_voice, dict(os.environ))
print(finding.state)
"""


def notifications(environ: Mapping[str, str]) -> str:
    """What the doctor finds of them, in a process of its own: the library keeps its connection for ever."""
    done = subprocess.run(
        [sys.executable, "-c", ASKED], env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""  # what is wrong is a finding, and said once
    return done.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="D-Bus is of Linux")
def test_the_doctor_shows_a_notification_to_see_whether_anybody_does(
    configured: dict[str, str], tmp_path: Path
) -> None:
    assert notifications(configured) == "warn"
    with desktop(tmp_path) as (address, shows):
        assert notifications({**configured, "DBUS_SESSION_BUS_ADDRESS": address}) == "ok"
        assert shows.stdout is not None
        assert json.loads(shows.stdout.readline())["title"] == "Orchestra"


# ----------------------------------------------------------------------------------------------- packages and signals


def test_without_numpy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    for part in (lambda: Resampler(8_000), Activity):
        with pytest.raises(VoiceError, match=r"numpy.*pip install 'orchestra-council\[omi\]'"):
            part()


@posix
def test_in_the_background_of_a_script_it_ends_by_sigterm_and_not_by_sigint(
    configured: dict[str, str], tmp_path: Path
) -> None:
    pytest.importorskip("bumble", reason="pip install 'orchestra-council[omi-sim]'")
    wav = tmp_path / "quiet.wav"
    # 16-bit mono at 16 kHz: https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html
    fmt = b"fmt " + (16).to_bytes(4, "little") + bytes.fromhex("0100 0100 803e0000 007d0000 0200 1000")
    data = b"data" + (320).to_bytes(4, "little") + bytes(320)
    wav.write_bytes(b"RIFF" + (4 + len(fmt) + len(data)).to_bytes(4, "little") + b"WAVE" + fmt + data)
    script = """
    "$1" omi simulate --file "$2" --quiet >"$3" & child=$!
    until grep -q tcp: "$3"; do sleep 0.05; done
    kill -INT $child
    sleep 0.3
    kill -0 $child && echo "alive after SIGINT"
    kill -TERM $child
    wait $child
    echo "ended with $?"
    """
    done = subprocess.run(
        ["sh", "-c", script, "sh", ORCHESTRA, str(wav), str(tmp_path / "said")],
        env=configured, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["alive after SIGINT", "ended with 143"]  # 128 + 15, as POSIX shells count
    assert "Traceback" not in done.stderr
