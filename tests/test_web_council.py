"""The council as a model: asked through `/v1` by clients that know nothing of councils."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from doors import Door, serving
from scripting import expert
from upstream import Expert

from orchestra_mcp.errors import UserError
from orchestra_mcp.gateway.provider import ChatRequest, Media, Message
from orchestra_mcp.web.council import asked, pieces

SAYS = expert("it is the newline")
QUESTION = "Why is the last line lost?"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    experts = {"alpha": Expert(SAYS, usage=(100, 50)), "beta": Expert(SAYS, usage=(100, 50))}
    with serving(tmp_path_factory.mktemp("home"), experts, "--admin") as opened:
        yield opened


@pytest.fixture
def client(door: Door) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{door.url}/v1", api_key=door.token, max_retries=0) as opened:
        yield opened


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_a_client_that_knows_only_models_gets_a_verdict(door: Door, client: openai.OpenAI) -> None:
    before = len(door.upstream.calls)
    reply = client.chat.completions.create(model="orchestra/council", messages=user(QUESTION))
    said = reply.choices[0].message.content or ""
    assert said.startswith("**2 of 2 experts answered")
    assert "it is the newline" in said
    assert reply.choices[0].finish_reason == "stop"
    calls = len(door.upstream.calls) - before
    assert calls == 3, "two opinions and the chair"
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (calls * 100, calls * 50)


def test_progress_is_streamed_as_thinking_and_the_verdict_as_text(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="orchestra/council", messages=user(QUESTION), stream=True, stream_options={"include_usage": True}
    )
    thinking, text, order, usage = "", "", "", None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            more = getattr(choice.delta, "reasoning_content", None)
            if more:
                thinking += more
                order += "r"
            elif choice.delta.content:
                text += choice.delta.content
                order += "t"
    assert order == "r" * order.count("r") + "t" * order.count("t"), "all thinking comes first"
    assert order.count("t") > 1, "the report comes in pieces"
    assert "alpha answered: it is the newline" in thinking
    assert text.startswith("**2 of 2 experts answered")
    id = thinking.split()[1]
    assert f"Consultation `{id}`" in text
    assert usage is not None
    assert usage.prompt_tokens == 300


def test_the_other_dialects_may_ask_the_council_too(door: Door) -> None:
    message = door.post(
        "/v1/messages", {"model": "orchestra/council", "max_tokens": 9000, "messages": user(QUESTION)}
    ).json()
    assert any("experts answered" in block.get("text", "") for block in message["content"])
    response = door.post("/v1/responses", {"model": "orchestra/council", "input": QUESTION}).json()
    assert "experts answered" in json.dumps(response["output"])


def test_a_debate_ends_with_a_ruling(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="orchestra/debate", messages=user("Tabs or spaces?"), metadata={"rounds": "2"}
    )
    assert "## Ruling" in (reply.choices[0].message.content or "")


def test_both_are_listed_among_the_models(client: openai.OpenAI) -> None:
    names = {model.id for model in client.models.list()}
    assert {"alpha", "beta", "orchestra/council", "orchestra/debate"} <= names


def test_the_conversation_so_far_is_shown_to_the_experts(door: Door, client: openai.OpenAI) -> None:
    turns: Any = [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "Which parser do we use?"},
        {"role": "assistant", "content": "The gravel parser."},
        *user("Does it lose the last line?"),
    ]
    before = len(door.upstream.calls)
    client.chat.completions.create(model="orchestra/council", messages=turns)
    prompt = door.upstream.calls[before].prompt
    for words in ("Does it lose the last line?", "assistant: The gravel parser.", "system: You are terse."):
        assert words in prompt


def test_a_consultation_is_continued_by_its_id(door: Door, client: openai.OpenAI) -> None:
    first = door.post("/api/consultations", {"question": QUESTION, "wait_s": 30}).json()["id"]
    client.chat.completions.create(
        model="orchestra/council", messages=user("And twice?"), metadata={"consultation_id": first}
    )
    kept = door.get("/api/consultations/latest").json()
    assert (kept["question"]["continues"], kept["thread"]) == (first, first)


def test_a_project_is_read_only_for_those_who_may(door: Door, client: openai.OpenAI, repo: Path) -> None:
    before = len(door.upstream.calls)
    metadata = {"project_dir": str(repo)}
    client.chat.completions.create(model="orchestra/council", messages=user(QUESTION), metadata=metadata)
    assert "read_lines" in door.upstream.calls[before].prompt, "the owner's council has seen the code"
    key = door.new_key("team", "no-roots")
    asked_for = {"model": "orchestra/council", "messages": user(QUESTION), "metadata": metadata}
    refused = door.post("/v1/chat/completions", asked_for, key)
    assert refused.status_code == 403
    assert "may not ask about that project" in refused.json()["error"]["message"]


def test_a_budget_of_the_key_bounds_the_consultation(door: Door) -> None:
    key = door.new_key("team", "thrifty", terms={"budgets": [{"usd": "0.25", "window": "day"}]})
    door.post("/v1/chat/completions", {"model": "orchestra/council", "messages": user(QUESTION)}, key)
    kept = door.get("/api/consultations/latest", key).json()
    assert kept["question"]["max_cost_usd"] == "0.25"


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ({"mode": "magic"}, "metadata.mode"),
        ({"rounds": "9"}, "metadata.rounds"),
        ({"max_cost_usd": "-1"}, "metadata.max_cost_usd"),
        ({"max_cost_usd": "NaN"}, "metadata.max_cost_usd"),
        ({"consultation_id": "zzzzzzzzzzzz"}, "consultation"),
    ],
)
def test_metadata_that_make_no_sense_are_refused(door: Door, metadata: dict[str, str], named: str) -> None:
    reply = door.post(
        "/v1/chat/completions", {"model": "orchestra/council", "messages": user("Why?"), "metadata": metadata}
    )
    assert reply.status_code in (400, 404)
    assert named in reply.json()["error"]["message"]


def test_a_council_is_no_expert_of_a_council(door: Door, tmp_path: Path) -> None:
    body = {"model": "orchestra/council", "messages": user("Why?")}
    asked_by_council = door.post("/v1/chat/completions", body, **{"x-orchestra-depth": "1"})
    assert asked_by_council.status_code == 400
    assert "no expert of a council" in asked_by_council.json()["error"]["message"]
    plain = {"model": "alpha", "messages": user("Why?")}
    assert door.post("/v1/chat/completions", plain, **{"x-orchestra-depth": "1"}).status_code == 200
    loop = f'\n[models.loop]\nwire = "openai"\nbase_url = "{door.url}/v1"\nmodel = "orchestra/council"\n'
    with serving(tmp_path, {"alpha": Expert(SAYS)}, more_toml=loop) as other:
        reply = other.post("/v1/chat/completions", body)
    assert reply.status_code == 400
    assert "'loop'" in reply.json()["error"]["message"]


def test_who_hangs_up_ends_the_consultation_and_its_calls(tmp_path: Path) -> None:
    with serving(tmp_path, {"alpha": Expert(fault="hang"), "beta": Expert(fault="hang")}, "--admin") as door:
        body = {"model": "orchestra/council", "messages": user("Why?"), "stream": True}
        bearer = {"authorization": f"Bearer {door.token}"}
        with httpx2.stream("POST", f"{door.url}/v1/chat/completions", json=body, headers=bearer, timeout=20) as reply:
            lines = reply.iter_lines()  # whoever drops it hangs up
            assert next(lines)
            door.upstream.wait_for_calls_sync(2)
        door.upstream.wait_until_sync(lambda: all(call.aborted for call in door.upstream.calls))
        kept = door.get("/api/consultations/latest?wait_s=10").json()
        assert kept["status"] == "cancelled"
        key = door.new_key("team", "one-at-a-time", terms={"concurrent": 1})
        answers = [door.post("/api/consultations", {"question": "Why?"}, key).status_code for _ in range(2)]
        assert answers == [202, 429], "a key's limit of concurrent calls holds for its consultations"


# ------------------------------------------------------------------------------------------ reading the request


def test_the_question_is_the_last_word_of_the_user() -> None:
    image = Media(media_type="image/png", data="AAAA")
    request = ChatRequest(
        model="orchestra/council",
        messages=(Message(role="user", text="What is this?", parts=(image,)),),
        extra={"metadata": {"mode": "debug", "detail": "brief", "project_dir": "/p", "max_cost_usd": "0.5"}},
    )
    question, project, detail = asked(request)
    assert (question.text, question.mode, str(question.max_cost_usd)) == ("What is this?", "debug", "0.5")
    assert (project, detail) == ("/p", "brief")
    for turns in ((), (Message(role="assistant", text="Hello."),), (Message(role="user", parts=(image,)),)):
        with pytest.raises(UserError, match="last message"):
            asked(ChatRequest(model="orchestra/council", messages=turns))


def test_a_long_conversation_is_cut_and_a_continued_one_is_not_told_twice() -> None:
    turns = tuple(Message(role="user", text=f"turn {n} " + "x" * 5000) for n in range(20))
    last = Message(role="user", text="And now?")
    question, _, _ = asked(ChatRequest(model="orchestra/council", messages=(*turns, last)))
    assert question.text.startswith("And now?")
    assert "turn 13 " not in question.text
    assert "turn 14 " in question.text
    assert len(question.text) < 6 * 2_100 + 200
    going_on = ChatRequest(
        model="orchestra/council", messages=(*turns, last), extra={"metadata": {"consultation_id": "abc"}}
    )
    question, _, _ = asked(going_on)
    assert (question.text, question.continues) == ("And now?", "abc")


def test_a_report_in_pieces_is_the_report() -> None:
    text = "\n".join("line " + "x" * (n % 90) for n in range(100)) + "\nthe end"
    assert "".join(pieces(text)) == text
    assert len(pieces(text)) > 5
    assert pieces("") == []
