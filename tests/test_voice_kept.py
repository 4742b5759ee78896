"""What the voice keeps between runs: a damaged file is told of with the mend, and never waited for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from orchestra_mcp.edge.kept import FILE, LARGEST, Kept, load, save
from orchestra_mcp.edge.opening import open_spotter
from orchestra_mcp.errors import VoiceError
from orchestra_mcp.settings.voice import Voice


def test_what_is_kept_is_there_again(tmp_path: Path) -> None:
    kept = Kept(device="AA:BB", device_name="Omi", calibration={"phrase": "hey orchestra"}, not_me=("hey orchid",))
    assert load(tmp_path) == Kept()
    save(tmp_path, kept)
    assert load(tmp_path) == kept


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 400_000,
        b'{"calibration": ' + b'{"a":' * 100_000,
        b'{"calibration": 3}',
        b'{"device": []}',
        b" " * (LARGEST + 1),
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_damaged_file_is_told_of_with_the_mend(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(VoiceError, match=r"move it away, then .* calibrate again"):
        load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE)
    with pytest.raises(VoiceError, match="move it away"):
        load(tmp_path)
    save(tmp_path, Kept(device="AA:BB"))
    assert load(tmp_path).device == "AA:BB"


def test_a_damaged_calibration_is_told_of_with_the_mend() -> None:
    pytest.importorskip("moonshine_voice", reason="pip install 'orchestra-council[omi]'")
    damages: tuple[dict[str, Any], ...] = ({"x": 1}, {"phrase": "hey orchestra", "shift": "much"}, {"phrase": []})
    for damaged in damages:
        with pytest.raises(VoiceError, match="orchestra omi calibrate"):
            open_spotter(Voice(), Kept(calibration=damaged))
