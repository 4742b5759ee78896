"""Answers to similar questions: what is seen in the words, who may have them, and when they are trusted."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestra_mcp.errors import Unavailable
from orchestra_mcp.gateway.caching.cached import Cached
from orchestra_mcp.gateway.caching.judging import judge, kind_of, lower, threshold, weights_for
from orchestra_mcp.gateway.caching.likeness import compare
from orchestra_mcp.gateway.caching.similar import Similar, question_of
from orchestra_mcp.gateway.embedding.engine import Engine, Vector
from orchestra_mcp.gateway.embedding.lexical import Lexical
from orchestra_mcp.gateway.provider import (
    CacheTerms,
    Caller,
    ChatEvent,
    ChatRequest,
    Finish,
    Media,
    Message,
    Receipt,
    TextDelta,
    Tool,
    ToolCall,
    Way,
    fold,
)
from orchestra_mcp.store.replies import SqliteReplies

PAIRS = Path(__file__).parent.parent / "benchmarks" / "similar_pairs.jsonl"
FAQ = Way(route="faq", targets=("ada",), cache="similar")
ASKED = "How do I make a shell script executable?"
AGAIN = "Which command turns a shell script into an executable one?"


def request(text: str = ASKED, **more: Any) -> ChatRequest:
    return ChatRequest(
        **{"model": "faq", "messages": (Message(role="user", text=text),), "way": FAQ, "receipt": Receipt(), **more}
    )


class Says:
    """Answers every question with its number and itself."""

    def __init__(self) -> None:
        self.calls = 0

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        self.calls += 1
        request.receipt.model = "ada"
        yield TextDelta(text=f"{self.calls}: {request.messages[-1].text}")
        yield Finish(reason="stop")


@dataclass
class Desk:
    gateway: Cached
    similar: Similar
    replies: SqliteReplies
    says: Says

    async def ask(self, text: str = ASKED, **more: Any) -> ChatRequest:
        """Ask, and wait until what is kept is kept."""
        ask = request(text, **more)
        reply = await fold(self.gateway, ask)
        await anyio.wait_all_tasks_blocked()
        await self.replies.flush()
        ask.receipt.why.append(reply.text)
        return ask


@asynccontextmanager
async def desk(
    home: Path, engine: Engine | None = None, dice: Callable[[], float] = lambda: 1.0
) -> AsyncIterator[Desk]:
    replies, says = SqliteReplies(home), Says()
    async with anyio.create_task_group() as tasks:
        similar = Similar(engine or Lexical(), replies, begin=tasks.start_soon, dice=dice)
        yield Desk(Cached(says, replies, similar=similar), similar, replies, says)
        tasks.cancel_scope.cancel()
    await replies.aclose()


# -------------------------------------------------------------------------------------- what is seen


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Convert an int to a string in Go", "Convert a string to an int in Go"),
        ("How do I upgrade from React 17 to React 18?", "How do I upgrade from React 18 to React 19?"),
        ("What does `git reset --soft HEAD~1` do?", "What does `git reset --hard HEAD~1` do?"),
        ("Why does fetch_user() return None?", "Why does fetch_group() return None?"),
        ("What is in src/app/main.py?", "What is in src/app/models.py?"),
        ("How do I show staged changes?", "How do I show unstaged changes?"),
        ("When should I use a queue?", "When should I not use a queue?"),
        ("Which rows of table A are not in table B?", "Which rows of table B are not in table A?"),
        ("How do I lose 5 kg?", "How do I lose 5 pounds?"),
        ("How do I redirect HTTP to HTTPS?", "How do I redirect HTTPS to HTTP?"),
        ('What does "connection refused" mean?', 'What does "connection reset" mean?'),
        ("How do I enable swap?", "How do I disable swap?"),
        ("How do I turn `list` into `tuple`?", "How do I turn `tuple` into `list`?"),
        ("How do I reverse a string in C?", "How do I reverse a string in C++?"),
        ("How do I reverse a string in C#?", "How do I reverse a string in F#?"),
    ],
)
def test_a_word_that_changes_the_answer_is_seen(one: str, other: str) -> None:
    for name in ("semantic", "lexical"):
        verdict = judge(one, other, 0.99, weights_for(name))
        assert verdict is None or verdict.score < weights_for(name).least


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        ("What is dependency injection?", "please: what's dependency injection", "plain"),
        ("What does `a` do?", "What does `b` do?", "reworded"),
        ("Convert `a` to `b`", "Convert `b` to `a`", "reworded"),
        ("How do I rename a branch?", "Please tell me the way to rename a branch, thanks!", "filler"),
        ("How do I delete a folder?", "How can I remove a directory?", "synonym"),
        ("How do I delete a folder?", "How do I delete a file?", "reworded"),
        ("Why do I rename a branch?", "How do I rename a branch?", "reworded"),
        ("Copy a to B or B to C", "Copy B to C", "reworded"),
    ],
)
def test_differences_have_a_class(one: str, other: str, kind: str) -> None:
    assert kind_of(compare(one, other)) == kind


def test_the_same_words_are_always_offered() -> None:
    verdict = judge("What is CORS?", "what is CORS", 0.99, weights_for("semantic"))
    assert verdict is not None
    assert verdict.score >= weights_for("semantic").least


def test_a_difference_is_the_same_from_both_sides() -> None:
    for line in PAIRS.read_text("utf-8").splitlines()[1:200]:
        row = json.loads(line)
        one, other = compare(row["a"], row["b"]), compare(row["b"], row["a"])
        assert (one.hard, one.negation, one.swapped, sum(one.only)) == (
            other.hard, other.negation, other.swapped, sum(other.only)
        )  # fmt: skip


def test_the_labelled_pairs_are_as_the_issue_asks() -> None:
    rows = [json.loads(line) for line in PAIRS.read_text("utf-8").splitlines()[1:]]
    assert sum(r["same"] for r in rows) >= 300
    assert sum(not r["same"] for r in rows) >= 300
    assert len({(r["a"], r["b"]) for r in rows}) == len(rows)
    assert all(r["a"] != r["b"] for r in rows)


# ------------------------------------------------------------------------------------------ who may


@pytest.mark.parametrize(
    "more",
    [
        {"private": True},
        {"tools": (Tool(name="t"),)},
        {"temperature": 0.7},
        {"messages": (Message(role="user", text=ASKED, parts=(Media(url="https://x.example/a.png"),)),)},
        {
            "messages": (
                Message(role="assistant", parts=(ToolCall(id="1", name="f"),)),
                Message(role="user", text=ASKED),
            )
        },
        {"messages": tuple(Message(role=r, text=ASKED) for r in ("user", "assistant", "user", "assistant", "user"))},
        {"messages": (Message(role="user", text=ASKED), Message(role="assistant", text="Well"))},
        {"messages": ()},
    ],
    ids=["project code", "tools", "creative", "media", "tool call", "three turns", "prefill", "nothing"],
)
def test_some_requests_are_not_fit_for_similar_answers(more: dict[str, Any]) -> None:
    assert question_of(request(**more)) is None


@pytest.mark.parametrize(
    "text",
    [
        "What is the weather like in Oslo?",
        "Who is the president now?",
        "What is the latest version of Node?",
        "What happened yesterday in Rome?",
        "What does this function do?",
        "Explain the code above, please",
        "why",
        "x" * 1001,
    ],
)
def test_questions_about_now_about_something_else_and_very_short_or_long_ones_are_not_fit(text: str) -> None:
    assert question_of(request(text)) is None


def test_a_plain_question_is_fit() -> None:
    assert question_of(request(temperature=0.3)) == ASKED
    turns = tuple(Message(role=r, text=ASKED) for r in ("system", "user", "assistant", "user"))
    assert question_of(request(messages=turns)) == ASKED


# ------------------------------------------------------------------------------------------- offers


async def test_an_answer_to_a_similar_question_is_offered_beside_the_new_one(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.ask()
        again = await at.ask(AGAIN)
        assert at.says.calls == 2
        assert again.receipt.cache == "offered"
        assert again.receipt.why == [f"2: {AGAIN}"]
        offer = again.receipt.offer
        assert (offer["question"], offer["text"]) == (ASKED, f"1: {ASKED}")
        assert set(offer) == {"id", "question", "text", "similarity", "age_s"}
        # the same question once more is an exact hit
        assert (await at.ask(AGAIN)).receipt.cache == "hit"


async def test_an_offer_is_taken_when_the_caller_prefers_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.ask()
        again = await at.ask(AGAIN, cache=CacheTerms(prefer_similar=True))
        assert at.says.calls == 1
        assert (again.receipt.cache, again.receipt.why, again.receipt.model) == ("similar", [f"1: {ASKED}"], "ada")
        assert again.receipt.offer["id"]


@pytest.mark.parametrize(
    "more",
    [
        {"cache": CacheTerms(similar=False)},
        {"cache": CacheTerms(read=False)},
        {"cache": CacheTerms(max_age_s=-1)},
        {"way": FAQ.model_copy(update={"cache": "exact"})},
        {"way": FAQ.model_copy(update={"partition": "new"})},
        {"private": True},
        {"max_tokens": 9},
        {"caller": Caller(workspace="other")},
        {"messages": (Message(role="system", text="In verse."), Message(role="user", text=AGAIN))},
    ],
    ids=["unwanted", "no reading", "too old", "exact", "partition", "private", "parameters", "workspace", "system"],
)
async def test_only_the_last_text_may_differ(tmp_path: Path, more: dict[str, Any]) -> None:
    async with desk(tmp_path) as at:
        await at.ask()
        assert not (await at.ask(AGAIN, **more)).receipt.offer
        assert (await at.ask(AGAIN + " Please")).receipt.offer  # such a question is there, for those who may have it


async def test_a_question_of_its_own_is_not_offered_anything(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.ask()
        assert (await at.ask("How do I make a shell script stop at the first error?")).receipt.cache == "miss"
        assert (await at.ask("How do I keep basil alive indoors?")).receipt.cache == "miss"


async def test_vectors_of_another_engine_are_not_compared(tmp_path: Path) -> None:
    class Other(Lexical):
        tag = "lexical:256:2"

    async with desk(tmp_path) as at:
        await at.ask()
    async with desk(tmp_path, Other()) as at:
        assert (await at.ask(AGAIN)).receipt.cache == "miss"
        assert (await at.ask(AGAIN + " Thanks!")).receipt.cache == "offered"


async def test_offers_outlive_the_process(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.ask()
    async with desk(tmp_path) as at:
        assert (await at.ask(AGAIN)).receipt.offer["text"] == f"1: {ASKED}"


class Loading(Lexical):
    """Is not ready before it is told so; then it fails, or hangs."""

    ready = False

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.started = 0

    def start(self) -> None:
        self.started += 1

    async def embed(self, texts: tuple[str, ...]) -> tuple[Vector, ...]:
        if self.fault == "hangs":
            await anyio.sleep_forever()
        if self.fault:
            raise Unavailable("no")
        return await super().embed(texts)


async def test_nobody_waits_for_an_engine_that_is_not_ready_or_fails(tmp_path: Path) -> None:
    for fault in ("", "fails", "hangs"):
        engine = Loading(fault)
        async with desk(tmp_path / fault, engine) as at:
            assert (await at.ask()).receipt.cache == "miss"
            assert engine.started == 1
            engine.ready = bool(fault)
            with anyio.fail_after(5):
                assert (await at.ask(AGAIN)).receipt.cache == "miss"


# ------------------------------------------------------------------------------------------ judging


def test_the_lower_bound_is_wilsons() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table I (Wilson's score without continuity correction, 95 %):
    # 81 of 263: .2553; 15 of 148: .0624; 0 of 20: 0; 1 of 29: .0061
    for right, judged, expected in ((81, 263, 0.2553), (15, 148, 0.0624), (0, 20, 0.0), (1, 29, 0.0061)):
        assert lower(right, judged) == pytest.approx(expected, abs=5e-5)
    # all right: n / (n + z²), with z² = 3.8416: 380.3 offers
    assert lower(380, 380) < 0.99 <= lower(381, 381)
    assert lower(0, 0) == 0


def test_a_wrong_offer_lifts_the_threshold_of_its_question() -> None:
    assert threshold([], 0.7) == 0.7
    assert threshold([(0.9, True)], 0.7) == 0.7
    assert threshold([(0.8, False)], 0.7) == pytest.approx(0.9)
    assert threshold([(0.8, False), (0.95, False)], 0.7) == pytest.approx(0.975)
    assert threshold([(0.8, False), *[(0.9, True)] * 9], 0.7) == 0.7  # nine in ten were right


async def test_after_381_right_answers_they_are_served_and_one_wrong_one_ends_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.ask()
        kind = "lexical:256:1 plain"
        for number in range(380):  # told to the store itself, which is quicker
            offered = (f"o{number}", 1, str(number).encode(), kind, "", 0.95)
            at.replies.offer(offered)
            assert await at.replies.judge(f"o{number}", True)
        terms = CacheTerms(write=False)
        one = await at.ask("How do I make a shell script executable, please?", cache=terms)
        assert one.receipt.cache == "offered"
        assert await at.similar.judge(one.receipt.offer["id"], True)
        calls = at.says.calls
        two = await at.ask("Please, how do I make a shell script executable?")
        assert (two.receipt.cache, two.receipt.why, at.says.calls) == ("similar", [f"1: {ASKED}"], calls)
        # not in another workspace, and not for another class of difference
        other: dict[str, Any] = {"caller": Caller(workspace="other")}
        await at.ask(**other)
        assert (await at.ask("How do I make a shell script executable, please?", **other)).receipt.cache == "offered"
        assert (await at.ask(AGAIN)).receipt.cache == "offered"
        assert await at.similar.judge(two.receipt.offer["id"], False)
        assert (await at.ask("How do I, please, make a shell script executable?")).receipt.cache != "similar"


async def test_some_trusted_answers_are_offered_all_the_same(tmp_path: Path) -> None:
    async with desk(tmp_path, dice=lambda: 0.01) as at:
        await at.ask()
        for number in range(400):
            at.replies.offer((f"o{number}", 1, str(number).encode(), "lexical:256:1 plain", "", 0.95))
            await at.replies.judge(f"o{number}", True)
        assert (await at.ask("How do I make a shell script executable, please?")).receipt.cache == "offered"


async def test_one_pair_counts_once_and_the_last_word_counts(tmp_path: Path) -> None:
    terms = CacheTerms(write=False)
    async with desk(tmp_path) as at:
        await at.ask()
        ids = set()
        for right in (True, True, False):
            again = await at.ask(AGAIN, cache=terms)
            ids.add(again.receipt.offer["id"])
            assert await at.similar.judge(again.receipt.offer["id"], right)
        assert len(ids) == 1
        assert await at.replies.tally("lexical:256:1 reworded", "") == (0, 1)
        # it was wrong, so that this question is not offered to that one again
        assert (await at.ask(AGAIN, cache=terms)).receipt.cache == "miss"


async def test_an_offer_can_be_judged_only_in_its_own_scope(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        mine: dict[str, Any] = {"caller": Caller(workspace="mine")}
        await at.ask(**mine)
        offer = (await at.ask(AGAIN, **mine)).receipt.offer["id"]
        assert not await at.similar.judge("unknown", True)
        assert not await at.similar.judge(offer, False, "workspace:other")
        assert await at.similar.judge(offer, True, "workspace:mine")
