"""The official conformance suite in both revisions and the Inspector, against our own server.

They come from npm into `.node/`; without npm these tests are skipped and say what to install.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "conformance"))

import peers as official

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def peers() -> dict[str, str]:
    try:
        return official.install()
    except official.Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with official.fixture_server(tmp_path_factory.mktemp("home")) as address:
        yield address


@pytest.mark.parametrize("revision", official.REVISIONS)
def test_every_required_scenario_of_the_revision_passes(revision: str, peers: dict[str, str], url: str) -> None:
    done = official.conformance(revision, url, peers)
    assert done.returncode == 0, official.summary(done.stdout) + done.stderr
    assert "tools-call-with-progress" in done.stdout


@pytest.mark.parametrize("era", official.ERAS)
def test_the_inspector_finds_every_schema_portable(era: str, peers: dict[str, str], tmp_path: Path) -> None:
    done = official.inspector(era, tmp_path, peers)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "consult_expert_council" in done.stdout
