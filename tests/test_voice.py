"""A question asked aloud, from the first Bluetooth packet to the spoken answer: a simulated Omi on the bumble stack, our own client
through bleak, real Opus, the real ear, the embedded engine, and a real council with scripted experts behind loopback HTTP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from scripting import expert
from speech import needs_speech, noisy, say, silence
from upstream import Expert, Upstream

pytest.importorskip("bumble", reason="the simulated device: pip install 'orchestra-council[omi,omi-sim]'")

from orchestra_mcp.app import Orchestra
from orchestra_mcp.edge import kept
from orchestra_mcp.edge.listening import Listener
from orchestra_mcp.edge.nouns import Reply, State, Status
from orchestra_mcp.edge.omi.air import Air
from orchestra_mcp.edge.omi.pace import Pace
from orchestra_mcp.edge.omi.protocol import CONSUMER, DEV_KIT, Kind
from orchestra_mcp.edge.omi.simulator import SimulatedOmi
from orchestra_mcp.edge.omi.virtual import virtual_adapter
from orchestra_mcp.edge.opening import omi_source, open_listener
from orchestra_mcp.settings.voice import Voice

pytestmark = needs_speech

QUESTION = "hey orchestra, why is my test failing"
CITED = {"claim": "it cuts the last element", "path": "src/parser.py", "line": 7, "quote": "return lines[:-1]"}


@dataclass
class Scene:
    """Everything between a wearer and the council."""

    omi: SimulatedOmi
    listener: Listener
    orchestra: Orchestra
    upstream: Upstream
    home: Path
    replies: list[tuple[Reply, str]] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    async def until(self, holds: Callable[[], object], what: str) -> None:
        try:
            with anyio.fail_after(60):
                while not holds():  # noqa: ASYNC110 - what is waited for happens in many places
                    await anyio.sleep(0.02)
        except TimeoutError:
            pytest.fail(f"not {what}; states: {self.states}, replies: {self.replies}, details: {self.details}")

    async def says(
        self, *sentences: str, voice: str = "rms", quiet_s: float = 1.6, snr_db: float | None = None
    ) -> None:
        """Speak as a wearer does, in real time."""
        for sentence in sentences:
            pcm = silence(0.7) + say(sentence, voice) + silence(quiet_s)
            await self.omi.play(pcm if snr_db is None else noisy(pcm, snr_db))


@asynccontextmanager
async def scene(
    environ: dict[str, str], tmp_path: Path, repo: Path, kind: Kind = CONSUMER, voice: Voice | None = None
) -> AsyncIterator[Scene]:
    says = expert("Do not cut the last element", claims=[CITED])
    voice = voice or Voice()
    voice = voice.model_copy(update={"speak": False, "notify": False})
    with Upstream({"ada": Expert(says), "bob": Expert(says)}) as upstream:
        (tmp_path / "orchestra.toml").write_text(upstream.models_toml())
        environ["ORCHESTRA_CONFIG"] = str(tmp_path / "orchestra.toml")
        air = Air()
        async with (
            Orchestra.open(environ) as orchestra,
            virtual_adapter(air) as adapter,
            SimulatedOmi(kind).on(air) as omi,
        ):
            replies: list[tuple[Reply, str]] = []
            states: list[State] = []
            details: list[str] = []

            def show(status: Status) -> None:
                if not states or states[-1] != status.state:
                    states.append(status.state)
                details.append(status.detail)

            source = omi_source("", backends=adapter.backends, pace=Pace(first_s=0.1, most_s=0.3, scan_s=0.3))
            listener = await open_listener(
                orchestra, source, voice, project=str(repo), link=lambda id: f"http://127.0.0.1/{id}",
                show=show, told=lambda reply, link: replies.append((reply, link)),
            )  # fmt: skip
            async with anyio.create_task_group() as group:
                group.start_soon(listener.run)
                with anyio.fail_after(20):
                    await omi.until(lambda o: "button" in o.subscriptions)
                home = Path(environ["ORCHESTRA_HOME"])
                yield Scene(omi, listener, orchestra, upstream, home, replies, states, details)
                group.cancel_scope.cancel()


@pytest.mark.parametrize("kind", [CONSUMER, DEV_KIT], ids=["consumer", "dev-kit"])
async def test_a_question_after_the_wake_phrase_is_answered_and_kept(
    environ: dict[str, str], tmp_path: Path, repo: Path, kind: Kind
) -> None:
    async with scene(environ, tmp_path, repo, kind) as on:
        await on.omi.until(lambda o: "audio" in o.subscriptions)
        await on.says(QUESTION)
        await on.until(lambda: on.replies, "answered")
        reply, link = on.replies[0]
        if reply.expects:  # the embedded engine was not sure enough: then nothing was sent, and a yes sends it
            assert not on.upstream.calls
            await on.until(lambda: on.listener.status.state == "confirming", "waiting for a yes")
            await on.says("yes")
            await on.until(lambda: len(on.replies) > 1, "answered")
            reply, link = on.replies[1]
        assert "test failing" in reply.heard
        assert "last element" in reply.spoken
        assert link.endswith(reply.consultation)
        asked = await on.orchestra.consultation("voice")
        assert (asked.id, asked.status, asked.question.project) == (reply.consultation, "complete", str(repo))
        assert {"idle", "listening", "thinking"} <= set(on.states)
        assert on.omi.haptics, "the wearer was told that it listens"


async def test_other_talk_is_neither_transcribed_nor_sent_nor_kept(
    environ: dict[str, str], tmp_path: Path, repo: Path
) -> None:
    async with scene(environ, tmp_path, repo) as on:
        await on.omi.until(lambda o: "audio" in o.subscriptions)
        await on.says("the meeting about the release was moved to friday afternoon", "who has the keys of the office")
        assert not on.replies
        assert set(on.states) <= {"away", "idle"}
        assert not on.upstream.calls
        assert await on.orchestra.history() == ()


@pytest.mark.parametrize("kind", [CONSUMER, DEV_KIT], ids=["consumer", "dev-kit"])
async def test_the_button_needs_no_phrase_and_in_button_mode_no_sound_is_sent_before(
    environ: dict[str, str], tmp_path: Path, repo: Path, kind: Kind
) -> None:
    async with scene(environ, tmp_path, repo, kind, Voice(mode="button")) as on:
        await on.says("why is this so slow", quiet_s=0.3)
        assert "audio" not in on.omi.subscriptions
        await on.omi.press(kind.talk)
        await on.omi.until(lambda o: "audio" in o.subscriptions)
        await on.says("why is my test failing", quiet_s=0.3)
        await on.omi.press("release" if kind.held else kind.talk)
        await on.until(lambda: on.replies, "answered")
        assert "failing" in on.replies[0][0].heard
        if on.replies[0][0].expects:
            await on.omi.press("double")
        await on.omi.until(lambda o: "audio" not in o.subscriptions)


async def test_mute_stops_the_sound_at_once_and_from_another_process_too(
    environ: dict[str, str], tmp_path: Path, repo: Path
) -> None:
    async with scene(environ, tmp_path, repo) as on:
        await on.omi.until(lambda o: "audio" in o.subscriptions)
        (on.home / kept.MUTED).touch()
        await on.omi.until(lambda o: "audio" not in o.subscriptions)
        await on.until(lambda: on.listener.status.state == "muted", "muted")
        await on.says(QUESTION, quiet_s=0.2)
        assert not on.replies
        await on.omi.press("double")
        await on.until(lambda: not (on.home / kept.MUTED).exists(), "unmuted by the button")
        await on.omi.until(lambda o: "audio" in o.subscriptions)


async def test_a_low_battery_is_told_and_sound_is_sent_only_for_the_button(
    environ: dict[str, str], tmp_path: Path, repo: Path
) -> None:
    async with scene(environ, tmp_path, repo) as on:
        await on.omi.until(lambda o: "audio" in o.subscriptions)
        await on.omi.set_battery(9)
        await on.omi.until(lambda o: "audio" not in o.subscriptions)
        await on.until(lambda: any("9 %" in detail for detail in on.details), "told")
        await on.omi.press("single")
        await on.omi.until(lambda o: "audio" in o.subscriptions)


async def test_a_question_with_ten_per_cent_of_the_packets_lost_is_still_heard(
    environ: dict[str, str], tmp_path: Path, repo: Path
) -> None:
    async with scene(environ, tmp_path, repo) as on:
        await on.omi.until(lambda o: "audio" in o.subscriptions)
        on.omi.mischief.drop(0.10, seed=4)
        await on.says(QUESTION, QUESTION)
        await on.until(lambda: on.replies or "listening" in on.states, "woken")


async def test_out_of_range_in_mid_question_what_arrived_is_used_or_the_rest_comes_later(
    environ: dict[str, str], tmp_path: Path, repo: Path
) -> None:
    async with scene(environ, tmp_path, repo) as on:
        await on.omi.until(lambda o: "audio" in o.subscriptions)
        async with anyio.create_task_group() as group:
            group.start_soon(on.says, QUESTION)
            await on.until(lambda: "listening" in on.states, "woken")
            await on.omi.disconnect()
        await on.until(lambda: "thinking" in on.states, "taken as it is")
        await on.omi.until(lambda o: "audio" in o.subscriptions)
