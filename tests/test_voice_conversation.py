"""What a speaker and the council say to each other, with a real council over loopback, a real repository, a real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from scripting import expert
from upstream import Expert, Upstream

from orchestra_mcp.app import Orchestra
from orchestra_mcp.edge.conversation import CANCELLED, NOTHING_WAITS, NOTHING_YET, WAIT_S, Conversation
from orchestra_mcp.edge.nouns import Heard, Reply
from orchestra_mcp.errors import NotFound
from orchestra_mcp.settings.voice import Voice
from orchestra_mcp.types import Question

CITED = {"claim": "it cuts the last element", "path": "src/parser.py", "line": 7, "quote": "return lines[:-1]"}


class Told:
    """A mouth that remembers."""

    def __init__(self) -> None:
        self.replies: list[tuple[Reply, str]] = []

    async def tell(self, reply: Reply, link: str = "") -> bool:
        self.replies.append((reply, link))
        return True


@pytest.fixture
def council(environ: dict[str, str], tmp_path: Path) -> Iterator[Upstream]:
    with Upstream(
        {name: Expert(expert("Do not cut the last element", claims=[CITED])) for name in ("ada", "bob")}
    ) as it:
        config = tmp_path / "orchestra.toml"
        config.write_text(it.models_toml())
        environ["ORCHESTRA_CONFIG"] = str(config)
        yield it


def heard(text: str, doubt: str = "") -> Heard:
    return Heard(text, "test", 0.9, doubt)


def asked(upstream: Upstream) -> int:
    return len(upstream.calls)


async def test_a_sure_question_is_asked_about_the_project_and_answered_in_two_sentences(
    environ: dict[str, str], council: Upstream, repo: Path
) -> None:
    async with Orchestra.open(environ) as orchestra:
        mouth = Told()
        talk = Conversation(orchestra, Voice(), mouth, project=str(repo), link=lambda id: f"http://here/{id}")
        reply = await talk.hear(heard("why does read lines drop the last line"))
        assert mouth.replies == [(reply, f"http://here/{reply.consultation}")]
        assert "why does read lines drop the last line" in reply.spoken.lower()
        assert "last element" in reply.spoken
        kept = await orchestra.consultation("voice")
        assert (kept.id, kept.question.spoken, kept.question.project) == (reply.consultation, True, str(repo))
        assert any(note.startswith("You asked aloud: why does read lines") for note in kept.verdict.notes)  # type: ignore[union-attr]
    assert all("transcribed" in call.prompt for call in council.calls)


async def test_a_doubtful_question_is_read_back_and_sent_only_after_a_yes(
    environ: dict[str, str], council: Upstream, repo: Path
) -> None:
    async with Orchestra.open(environ) as orchestra:
        talk = Conversation(orchestra, Voice(), Told(), project=str(repo))
        reply = await talk.hear(heard("why is my nest sailing", doubt="it was unclear"))
        assert reply.expects
        assert "why is my nest sailing" in reply.spoken
        assert asked(council) == 0
        assert (await talk.hear(heard("no"))).spoken == CANCELLED
        assert (await talk.hear(heard("yes"))).spoken == NOTHING_WAITS
        assert asked(council) == 0
        await talk.hear(heard("why is my test failing", doubt="it was unclear"))
        answer = await talk.hear(heard("yes"))
        assert answer.consultation
        assert asked(council) > 0


async def test_with_confirm_always_every_question_is_read_back(
    environ: dict[str, str], council: Upstream, repo: Path
) -> None:
    async with Orchestra.open(environ) as orchestra:
        talk = Conversation(orchestra, Voice(confirm="always"), Told(), project=str(repo))
        assert (await talk.hear(heard("why is my test failing"))).expects
        assert talk.waiting
        assert asked(council) == 0
        assert (await talk.confirm()).consultation


async def test_an_unknown_project_is_asked_about_and_its_name_is_enough_for_an_answer(
    environ: dict[str, str], council: Upstream, repo: Path
) -> None:
    async with Orchestra.open(environ) as orchestra:
        await orchestra.ask(Question(text="What is this?", project=str(repo), effort="quick"))
        before = asked(council)
        talk = Conversation(orchestra, Voice(), Told())
        reply = await talk.hear(heard("in project zebra why is it slow"))
        assert reply.expects
        assert "zebra" in reply.spoken
        assert asked(council) == before
        answer = await talk.hear(heard(f"the project {repo.name}"))
        assert (await orchestra.consultation(answer.consultation)).question.project == str(repo)


async def test_the_project_last_asked_about_is_meant_where_none_is_named(
    environ: dict[str, str], council: Upstream, repo: Path
) -> None:
    async with Orchestra.open(environ) as orchestra:
        talk = Conversation(orchestra, Voice(), Told())
        assert await talk.project() == ""
        nobody = await talk.hear(heard("why is it slow"))
        assert nobody.failed
        assert asked(council) == 0
        await orchestra.ask(Question(text="What is this?", project=str(repo), effort="quick"))
        assert await talk.project() == str(repo)


async def test_repeat_and_more_tell_of_the_last_answer(environ: dict[str, str], council: Upstream, repo: Path) -> None:
    async with Orchestra.open(environ) as orchestra:
        talk = Conversation(orchestra, Voice(), Told(), project=str(repo))
        assert (await talk.hear(heard("repeat"))).spoken == NOTHING_YET
        assert (await talk.hear(heard("more"))).spoken == NOTHING_YET
        answer = await talk.hear(heard("why does it drop lines"))
        assert await talk.hear(heard("repeat")) == answer
        assert "It cost" in (await talk.hear(heard("more"))).spoken


async def test_cancel_stops_the_council_and_nothing_is_answered(
    environ: dict[str, str], tmp_path: Path, repo: Path
) -> None:
    with Upstream({"ada": Expert(fault="hang")}) as upstream:
        (tmp_path / "orchestra.toml").write_text(upstream.models_toml())
        environ["ORCHESTRA_CONFIG"] = str(tmp_path / "orchestra.toml")
        async with Orchestra.open(environ) as orchestra, anyio.create_task_group() as group:
            mouth = Told()
            talk = Conversation(orchestra, Voice(), mouth, project=str(repo))
            group.start_soon(talk.hear, heard("why does it drop lines"))
            with anyio.fail_after(20):
                while not upstream.calls:  # noqa: ASYNC110 - the upstream is in a thread
                    await anyio.sleep(0.01)
                assert talk.busy
                second = await talk.hear(heard("and another question"))
                assert second.failed
                await talk.cancel()
                while talk.busy:  # noqa: ASYNC110 - for a moment
                    await anyio.sleep(0.01)
            assert [reply.spoken for reply, _ in mouth.replies][-1] == CANCELLED
            assert (await orchestra.consultation("voice")).status == "cancelled"


async def test_without_consent_nothing_is_sent_and_the_speaker_is_told_what_to_do(
    environ: dict[str, str], council: Upstream, repo: Path, tmp_path: Path
) -> None:
    config = tmp_path / "orchestra.toml"
    config.write_text(council.models_toml().replace("family =", 'provider = "acme"\nfamily ='))
    async with Orchestra.open(environ) as orchestra:
        talk = Conversation(orchestra, Voice(), Told(), project=str(repo))
        reply = await talk.hear(heard("why does it drop lines"))
        assert reply.failed
        assert "nothing was sent" in reply.spoken
        assert asked(council) == 0


async def test_a_question_that_waits_too_long_is_dropped(
    environ: dict[str, str], council: Upstream, repo: Path
) -> None:
    async with Orchestra.open(environ) as orchestra:
        talk = Conversation(orchestra, Voice(), Told(), project=str(repo))
        await talk.hear(heard("why is my nest sailing", doubt="unclear"))
        waits = talk._pending
        assert waits is not None
        assert 0 < waits.until - anyio.current_time() <= WAIT_S
        talk._pending = type(waits)(waits.text, anyio.current_time() - 1, waits.project, waits.doubt)
        assert (await talk.confirm()).spoken == NOTHING_WAITS
        assert asked(council) == 0


async def test_voice_is_no_consultation_before_anything_was_asked_aloud(environ: dict[str, str]) -> None:
    async with Orchestra.open(environ) as orchestra:
        with pytest.raises(NotFound):
            await orchestra.consultation("voice")


@pytest.mark.parametrize("after_s", [0.0, 0.001])
async def test_cancelled_means_that_nothing_is_sent_however_early_it_is_said(
    environ: dict[str, str], council: Upstream, repo: Path, after_s: float
) -> None:
    async with Orchestra.open(environ) as orchestra:
        mouth = Told()
        talk = Conversation(orchestra, Voice(), mouth, project=str(repo))
        async with anyio.create_task_group() as group:
            group.start_soon(talk.hear, heard("why does it drop lines"))
            await anyio.sleep(after_s)
            while not talk.busy:
                await anyio.lowlevel.checkpoint()
            await talk.cancel()
        assert [reply.spoken for reply, _ in mouth.replies] == [CANCELLED]
        assert not talk.busy
        assert asked(council) == 0


async def test_talk_of_others_is_no_answer_and_no_question(
    environ: dict[str, str], council: Upstream, repo: Path
) -> None:
    async with Orchestra.open(environ) as orchestra:
        mouth = Told()
        talk = Conversation(orchestra, Voice(), mouth, project=str(repo))
        await talk.hear(heard("why is my nest sailing", doubt="unclear"))
        reply = await talk.hear(heard("did you see that bob was fired yesterday"), answer=True)
        assert (reply.spoken, reply.expects) == ("", False)
        assert len(mouth.replies) == 1
        assert talk.waiting
        assert asked(council) == 0
        assert (await talk.hear(heard("no"), answer=True)).spoken == CANCELLED


async def test_a_sentence_with_a_projects_name_in_it_is_not_the_answer_to_which_project(
    environ: dict[str, str], council: Upstream, repo: Path
) -> None:
    async with Orchestra.open(environ) as orchestra:
        await orchestra.ask(Question(text="What is this?", project=str(repo), effort="quick"))
        before = asked(council)
        talk = Conversation(orchestra, Voice(), Told())
        assert (await talk.hear(heard("in project zebra why are the salaries wrong"))).expects
        for said in (f"how do I boil eggs near {repo.name} at lunch", f"{repo.name} is nice"):
            reply = await talk.hear(heard(said), answer=True)
            assert not reply.consultation
            assert not reply.expects
        assert asked(council) == before


async def test_a_yes_or_a_name_that_was_not_heard_for_certain_sends_nothing(
    environ: dict[str, str], council: Upstream, repo: Path
) -> None:
    async with Orchestra.open(environ) as orchestra:
        await orchestra.ask(Question(text="What is this?", project=str(repo), effort="quick"))
        before = asked(council)
        talk = Conversation(orchestra, Voice(), Told())
        await talk.hear(heard("why is my nest sailing", doubt="unclear"))
        again = await talk.hear(heard("yes", doubt="half heard"))
        assert again.expects
        assert repo.name in again.spoken
        await talk.cancel()
        await talk.hear(heard("in project zebra why is it slow"))
        named = await talk.hear(heard(repo.name, doubt="half heard"), answer=True)
        assert named.expects
        assert asked(council) == before
        assert (await talk.hear(heard("yes"), answer=True)).consultation
