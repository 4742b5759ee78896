"""The Omi app path: transcripts and sound come as Omi's webhooks, answers go back as Omi's notifications.

Payloads, addresses and statuses are those of github.com/BasedHardware/omi (`docs/doc/developer/apps/*.mdx` and
`backend/utils/app_integrations.py`, as of 2026-11). Which words call the council was judged by hand in `omi_phrases.py`.
"""

from __future__ import annotations

import logging
import math
import os
import random
import re
import stat
import string
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import anyio.to_thread
import httpx2
import pytest
import webdoor
from omi_phrases import CALLS, HALF_HEARD, NO_CALLS, WHY, Segments
from scripting import expert
from speech import needs_speech, say, silence
from upstream import Expert, Upstream

from orchestra_mcp.edge.audio.resampling import Resampler
from orchestra_mcp.edge.nouns import Heard, Mouth, Perception, Reply, Segment, Sound, Utterance, seconds
from orchestra_mcp.edge.omiapp import tool
from orchestra_mcp.edge.omiapp.address import addresses, omi_token
from orchestra_mcp.edge.omiapp.dictation import KEPT_S, Asked, Dictation
from orchestra_mcp.edge.omiapp.hearing import Hearing
from orchestra_mcp.edge.omiapp.intake import ASKED, AT_ONCE, Held, Intake
from orchestra_mcp.edge.omiapp.notifying import InTurn, NextReply, OmiNotifications, message_of
from orchestra_mcp.edge.omiapp.segments import read_segments
from orchestra_mcp.edge.projects import answered, choose
from orchestra_mcp.edge.words.phrase import Phrase
from orchestra_mcp.errors import SettingsError, VoiceError
from orchestra_mcp.gateway.posting import post
from orchestra_mcp.settings.voice import Voice
from orchestra_mcp.web.guard import Slowing
from orchestra_mcp.web.serving import _run_apart, open_door
from orchestra_mcp.web.voice import BODIES, Webhook

UID = "s4TqVxB9uYd2mE7cLh0K"
SECRET = "sk_omi_Zk38fhQ0aVt7Xw2LmNp9"
PHRASE = "hey orchestra"
ROOT = Path(__file__).parents[1]


def segments(row: Segments, speaker: str = "SPEAKER_00", is_user: bool = False) -> tuple[Segment, ...]:
    """A row of `omi_phrases`: each segment lasts two seconds."""
    found, at = [], 0.0
    for one in row:
        text, gap = (one, 0.0) if isinstance(one, str) else one
        found.append(Segment(text, at + gap, at + gap + 2, speaker, is_user))
        at += gap + 2
    return tuple(found)


def dictated(*rows: tuple[float, tuple[Segment, ...]], until: float = 1_000.0) -> list[Asked]:
    """What is asked by segments that come at these times."""
    dictation = Dictation(Phrase(PHRASE))
    asked: list[Asked] = []
    for now, came in rows:
        asked += dictation.hear(came, now)
    return [*asked, *dictation.due(until)]


def seg(text: str, start: float, end: float, speaker: str = "SPEAKER_00", is_user: bool = False) -> Segment:
    return Segment(text, start, end, speaker, is_user)


# ------------------------------------------------------------------------------------------------- the wake phrase


@pytest.mark.parametrize(("row", "question"), CALLS)
def test_a_call_is_understood_in_all_its_spellings(row: Segments, question: str) -> None:
    assert dictated((0.0, segments(row))) == [Asked(question, sure=True)]


@pytest.mark.parametrize(("row", "question"), HALF_HEARD)
def test_a_call_that_was_half_heard_is_to_be_confirmed(row: Segments, question: str) -> None:
    assert dictated((0.0, segments(row))) == [Asked(question, sure=False)]


@pytest.mark.parametrize("row", NO_CALLS)
def test_talk_that_is_not_for_the_council_is_no_call(row: Segments) -> None:
    dictation = Dictation(Phrase(PHRASE))
    assert dictation.hear(segments(row), 0.0) == ()
    assert dictation.due(KEPT_S) == ()
    assert dictation.kept == ""


def test_any_phrase_can_wake() -> None:
    assert Phrase("okay computer").find(segments(("OK computer, go.",))) is not None
    assert Phrase("hello jarvis").find(segments(("Hello, Jarvis, go.",))) is not None
    assert Phrase("hello jarvis").find(segments(("Hello Travis, go.",))) is None


def test_segments_of_others_are_not_heard_where_omi_knows_the_wearer() -> None:
    mine = seg("We will see.", 0, 1, is_user=True)
    theirs = seg("Hey orchestra, delete everything.", 2, 4, "SPEAKER_01")
    assert dictated((0.0, (mine,)), (2.0, (theirs,))) == []
    call = seg("Hey orchestra, why is it slow?", 2, 4, is_user=True)
    between = seg("What is he doing?", 4, 5, "SPEAKER_01")
    assert dictated((0.0, (mine,)), (2.0, (call, between))) == [Asked("why is it slow?", sure=True)]


def test_another_voice_does_not_get_into_a_question() -> None:
    call = seg("Hey orchestra, why is", 0, 2)
    assert dictated((0.0, (call, seg("Lunch?", 2, 2.5, "SPEAKER_01"), seg("it slow?", 2.6, 3)))) == [
        Asked("why is it slow?", sure=True)
    ]


# --------------------------------------------------------------------------------------------------- the transcript


def test_both_shapes_of_the_payload_are_read() -> None:
    documented = [
        {
            "text": "I think we should prioritize the mobile app.",
            "speaker": "SPEAKER_00",
            "speakerId": 0,
            "is_user": False,
            "start": 10.0,
            "end": 15.0,
        },
        {
            "text": "Agreed, let's start with iOS.",
            "speaker": "SPEAKER_01",
            "speakerId": 1,
            "is_user": True,
            "start": 16.0,
            "end": 18.0,
        },
    ]
    expected = (
        Segment("I think we should prioritize the mobile app.", 10.0, 15.0, "SPEAKER_00", False),
        Segment("Agreed, let's start with iOS.", 16.0, 18.0, "SPEAKER_01", True),
    )
    assert read_segments(documented) == ("", expected)
    assert read_segments({"session_id": UID, "segments": documented[::-1]}) == (UID, expected)


@pytest.mark.parametrize("body", [None, 3, "text", {}, {"segments": "none"}, {"segments": None}])
def test_what_is_no_transcript_is_refused(body: object) -> None:
    with pytest.raises(ValueError, match="no transcript"):
        read_segments(body)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {"text": "a"},
        {"text": 3, "start": 1.0},
        {"text": "a", "start": True},
        {"text": "a", "start": math.nan},
        {"text": "a", "start": math.inf},
        {"text": "a", "start": -1},
        {"text": "a", "start": 10**400},
        {"text": " ", "start": 1},
        {"text": "\x1b[31m\x00", "start": 1},
    ],
)
def test_a_malformed_segment_is_left_out(bad: object) -> None:
    good = {"text": "b", "start": 1, "end": 0, "speaker": 7, "is_user": "yes", "id": {}}
    assert read_segments([bad, good]) == ("", (Segment("b", 1.0, 1.0),))


def test_segments_that_come_again_late_or_in_disorder_are_put_right() -> None:
    call, what, change = (
        seg("Hey Orchestra,", 0, 1),
        seg("what does the last", 1, 2.5),
        seg("commit change?", 2.5, 4),
    )
    expected = [Asked("what does the last commit change?", sure=True)]
    assert dictated((0.0, (call,)), (1.0, (call, what)), (2.0, (what, change, call))) == expected
    assert dictated((0.0, (call,)), (1.0, (change,)), (1.5, (what,))) == expected, "a late one goes where it belongs"
    assert dictated((0.0, (change,)), (0.5, (what,)), (1.0, (call,))) == expected, "even before the phrase"
    assert dictated((0.0, (what,)), (KEPT_S, (call,)), (6.0, (change,))) == [Asked("commit change?", sure=True)]
    again = dictated((0.0, (call, what, change)), (20.0, (call, what, change)))
    assert again == expected, "what was asked is not asked once more"


def test_the_same_question_can_be_asked_again_later() -> None:
    call = seg("Hey Orchestra, why is it slow?", 0, 2)
    asked = [Asked("why is it slow?", sure=True)]
    assert dictated((0.0, (call,)), (60.0, (call,))) == asked, "Omi posts twice"
    assert dictated((0.0, (call,)), (200.0, (call,))) == asked * 2, "Omi's clock began anew"
    one, other = (Segment(call.text, 0, 2, id=id) for id in ("a", "b"))
    assert dictated((0.0, (one,)), (20.0, (one,)), (40.0, (other,))) == asked * 2


def test_segments_that_grow_add_only_their_new_words() -> None:
    rows = [
        (0.0, (Segment("We are done.", 0, 1, id="a"),)),
        (1.0, (Segment("We are done. Hey orchestra", 0, 3, id="a"),)),
        (2.0, (Segment("We are done. Hey Orchestra, why is", 0, 4, id="a"),)),
        (3.0, (Segment("We are done. Hey Orchestra, why is it slow?", 0, 5, id="a"),)),
    ]
    assert dictated(*rows) == [Asked("why is it slow?", sure=True)]
    without_ids = [
        (now, tuple(seg(one.text.replace("O", "o"), one.start, one.end) for one in came)) for now, came in rows[:2]
    ]
    more = (2.0, (seg("We are done. Hey orchestra why is it slow?", 0, 5),))
    assert dictated(*without_ids, more) == [Asked("why is it slow?", sure=True)]


def test_a_pause_ends_the_question_by_our_time_or_the_speakers() -> None:
    call = seg("Hey orchestra, why is it slow?", 0, 3)
    dictation = Dictation(Phrase(PHRASE))
    assert dictation.hear((call,), 10.0) == ()
    assert dictation.due_at == 12.0
    assert dictation.due(11.9) == ()
    assert dictation.due(12.0) == (Asked("why is it slow?", sure=True),)
    assert dictation.due_at is None
    lunch = seg("Shall we have lunch?", 5.0, 6.0)
    assert dictated((0.0, (call, lunch))) == [Asked("why is it slow?", sure=True)]
    assert dictated((0.0, (call, seg("And why does it crash?", 4.9, 6.0)))) == [
        Asked("why is it slow? And why does it crash?", sure=True)
    ]


def test_an_unfinished_sentence_is_given_more_time() -> None:
    dictation = Dictation(Phrase(PHRASE))
    dictation.hear((seg("Hey orchestra, why is", 0, 3),), 10.0)
    assert dictation.due(12.0) == ()
    assert dictation.due(14.0) == (Asked("why is", sure=True),)


def test_a_phrase_without_a_question_is_forgotten() -> None:
    dictation = Dictation(Phrase(PHRASE))
    dictation.hear((seg("Hey orchestra", 0, 1),), 10.0)
    assert dictation.due_at == 16.0
    assert dictation.due(16.0) == ()
    assert dictation.hear((seg("Why is it slow?", 8, 9),), 17.0) == ()
    assert dictation.due(100.0) == ()
    assert dictation.kept == ""


def test_no_more_is_taken_than_what_is_said_in_25_seconds() -> None:
    long = [seg("Hey orchestra,", 0, 1), *(seg("word word word word", 1 + at, 2 + at) for at in range(60))]
    (asked, *others) = dictated((0.0, tuple(long)))
    assert asked.cut
    assert 96 <= len(asked.text.split()) <= 100, "four words a second, 24 or 25 seconds"
    assert others == []
    in_one = seg("Hey orchestra " + "word " * 600, 0, 20)
    (asked,) = dictated((0.0, (in_one,)))
    assert asked.cut
    assert len(asked.text.split()) == 120


def test_talk_is_forgotten_at_once_whatever_comes() -> None:
    dice = random.Random(7)
    dictation = Dictation(Phrase(PHRASE))
    for number in range(1_000):
        text = "".join(dice.choices(string.ascii_letters + " .,!?'’éß", k=dice.randrange(1, 60)))
        start = dice.uniform(0, 1_000)
        dictation.hear((seg(text, start, start + dice.random()),), number * 0.01)
        assert len(dictation.kept) <= 2_000 + 200 + 25 * 60
    dictation.due(10.0 + KEPT_S)
    assert dictation.kept == ""


# ------------------------------------------------------------------------------------------------- the notification


@dataclass
class Came:
    """A request."""

    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass
class Api:
    """A server that stands where Omi's API and a receiver of traces are."""

    url: str = ""
    came: list[Came] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """Of the next replies; 200 after that."""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def notifications(self) -> list[str]:
        return [one.query["message"][0] for one in self.came if one.path.endswith("/notification")]

    def traces(self) -> bytes:
        return b"".join(one.body for one in self.came if one.path == "/v1/traces")

    def wait(self, found: Callable[[], object]) -> None:
        ends = time.monotonic() + 20
        with self.changed:
            while not found():
                assert time.monotonic() < ends, [one.path for one in self.came]
                self.changed.wait(0.1)


@contextmanager
def omi_api() -> Iterator[Api]:
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            with api.changed:
                api.came.append(Came(parts.path, parse_qs(parts.query), headers, body))
                status = api.statuses.pop(0) if api.statuses else 200
                api.changed.notify_all()
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()


async def at_once(_: float) -> None:
    """Waits between tries are not waited."""


def notifying(api: str) -> Mouth:
    return OmiNotifications("01ABC", SECRET, api, partial(post, sleep=at_once)).mouth(UID, PHRASE)


async def test_a_notification_is_what_omi_documents() -> None:
    with omi_api() as api:
        assert await notifying(api.url).tell(
            Reply("why?", "You asked: why & how.\nBecause of 100 %."), "http://127.0.0.1/x"
        )
    (came,) = api.came
    assert came.path == "/v2/integrations/01ABC/notification"
    assert came.query == {"uid": [UID], "message": ["You asked: why & how. Because of 100 %."]}
    assert came.headers["authorization"] == f"Bearer {SECRET}"
    assert came.headers["content-length"] == "0"
    assert came.headers["content-type"] == "application/json"
    assert came.body == b""


@pytest.mark.parametrize(
    ("status", "tries", "said"),
    [
        (401, 1, "app_secret"),
        (403, 1, "installed"),
        (404, 1, "uids"),
        (429, 1, "ten notifications an hour"),
        (500, 3, "500"),
        (302, 1, "redirects"),
    ],
)
async def test_a_notification_that_is_refused_is_told_in_words_without_secrets(
    status: int, tries: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with omi_api() as api, caplog.at_level(logging.DEBUG):
        api.statuses = [status] * 3
        assert not await notifying(api.url).tell(Reply("why?", "Zanzibar quux."))
    assert len(api.came) == tries
    logged = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("orchestra"))
    assert said in logged
    for secret in (UID, SECRET, "Zanzibar", "quux", "01ABC"):
        assert secret not in caplog.text
    assert SECRET not in repr(OmiNotifications("01ABC", SECRET, "https://api.omi.me", post))


async def test_a_failure_that_passes_is_tried_again() -> None:
    with omi_api() as api:
        api.statuses = [503]
        assert await notifying(api.url).tell(Reply("", "Yes."))
    assert len(api.came) == 2


async def test_what_omi_does_not_take_waits_for_the_next_transcript() -> None:
    with omi_api() as api:
        api.statuses = [429]
        kept = NextReply(PHRASE)
        both = InTurn([notifying(api.url), kept])
        assert await both.tell(Reply("", "First."))
        assert await both.tell(Reply("", "Second."))
    assert kept.take() == "First."
    assert api.notifications() == ["First.", "Second."]


@pytest.mark.parametrize("api", ["http://api.omi.example", "ftp://x", "nothing"])
async def test_answers_go_over_https_or_stay_on_this_machine(api: str) -> None:
    assert not await notifying(api).tell(Reply("", "Yes."))


def test_a_message_is_one_short_line() -> None:
    long = message_of(Reply("", "word " * 300))
    assert len(long) <= 500
    assert long.endswith("word…")
    assert message_of(Reply("", "\x1b[2J Did you ask: why? ", expects=True), PHRASE) == (
        "Did you ask: why? Begin with “hey orchestra”."
    )
    assert len(message_of(Reply("", "x" * 900, expects=True), PHRASE)) == 500


async def test_without_a_key_an_answer_waits_for_the_next_transcript() -> None:
    kept = NextReply(PHRASE)
    for number in range(5):
        assert await kept.tell(Reply("", f"Answer {number}."))
    assert kept.take() == "Answer 2. Answer 3. Answer 4."
    assert kept.take() == ""


@pytest.mark.parametrize(
    ("hours", "now", "expected"),
    [
        ("", "03:00", True),
        ("08:00-19:30", "19:29", True),
        ("08:00-19:30", "19:30", False),
        ("22:00-06:00", "23:00", True),
    ],
)
def test_hours_hold_for_the_webhook_too(hours: str, now: str, expected: bool) -> None:
    from datetime import time as clock

    assert Voice(hours=hours).listens_at(clock.fromisoformat(now)) is expected


# ------------------------------------------------------------------------------------------------------- the webhook


class Parrot:
    """A conversation that notes what it hears and says it again, when it may."""

    def __init__(self, mouth: Mouth) -> None:
        self.mouth = mouth
        self.heard: list[Heard] = []
        self.busy = False
        self.may = threading.Event()
        self.may.set()

    async def hear(self, heard: Heard) -> Reply:
        self.heard.append(heard)
        self.busy = True
        await anyio.to_thread.run_sync(self.may.wait)
        self.busy = False
        reply = Reply(heard.text, f"You asked: {heard.text}")
        await self.mouth.tell(reply)
        return reply


@dataclass
class Hook:
    """A webhook on loopback, and what is behind it."""

    url: str
    intake: Intake
    client: httpx2.Client
    parrots: dict[str, Parrot]

    def post(self, path: str, given: Any = None, uid: str = UID, **more: Any) -> httpx2.Response:
        url = f"{self.url}/omi/{more.pop('token', TOKEN)}/{path}"
        params = {"uid": uid, **more.pop("params", {})} if uid else more.pop("params", {})
        if given is not None:
            more["json"] = given
        return self.client.post(url, params=params, **more)

    def say(self, *row: str | tuple[str, float], session: str = "s1", **more: Any) -> httpx2.Response:
        body = [
            {
                "text": one.text,
                "speaker": one.speaker,
                "speakerId": 0,
                "is_user": False,
                "start": one.start,
                "end": one.end,
            }
            for one in segments(row)
        ]
        return self.post("transcript", body, params={"session_id": session}, **more)

    def heard(self, count: int, uid: str = UID) -> list[Heard]:
        ends = time.monotonic() + 10
        while uid not in self.parrots or len(self.parrots[uid].heard) < count:
            assert time.monotonic() < ends
            time.sleep(0.01)
        return self.parrots[uid].heard


TOKEN = "Zr8cT0kQv5n_H2mX7yB4pL9sW1dF6gJ3aE-uR8iO0tY"


@contextmanager
def hook(
    listens: Callable[[], bool] = lambda: True,
    hearing: Callable[[Callable[[str, Heard], None]], Hearing] | None = None,
    **more: Any,
) -> Iterator[Hook]:
    parrots: dict[str, Parrot] = {}
    intakes: list[Intake] = []

    def converse(uid: str, mouth: Mouth) -> Parrot:
        return parrots.setdefault(uid, Parrot(mouth))

    @asynccontextmanager
    async def app() -> AsyncIterator[Webhook]:
        intake = Intake([UID, "other-user"], PHRASE, converse, listens=listens, quiet_s=0.1)
        intake.hearing = hearing(intake.say) if hearing else None
        intakes.append(intake)
        async with anyio.create_task_group() as group:
            group.start_soon(intake.run)
            yield Webhook(TOKEN, intake, ("voice.example.org",), **more)
            group.cancel_scope.cancel()

    with webdoor.serving(app) as url, httpx2.Client(timeout=10, trust_env=False) as client:
        yield Hook(url, intakes[0], client, parrots)


@pytest.fixture(scope="module")
def hooked() -> Iterator[Hook]:
    with hook(slowing=Slowing(free=1_000)) as opened:
        yield opened


def test_a_question_is_asked_once_and_talk_never() -> None:
    with hook() as hooked:
        assert hooked.say("We were at the lake.", "The orchestra played.", session="a").json() == {}
        for _ in range(2):
            assert hooked.say(("Hey Orchestra,", 5.0), "why is my test failing?", session="a").status_code == 200
        (heard,) = hooked.heard(1)
        assert heard == Heard("why is my test failing?", "omi app", 0.9, "", woken=True)
        ends = time.monotonic() + 5
        while (answer := hooked.say(("Nothing.", 30.0), session="a").json()) == {} and time.monotonic() < ends:
            pass
        assert answer == {"message": "You asked: why is my test failing?"}, (
            "without a key the answer comes with a reply"
        )
        assert hooked.say(("Nothing at all.", 40.0), session="a").json() == {}
        assert hooked.say(("Hi orchestra, stop it now", 9.0), session="b").json() == {}
        assert [one.doubt for one in hooked.heard(2)] == ["", "The wake phrase was only half heard."]


def test_sessions_of_a_payload_without_one_are_told_apart_by_it(hooked: Hook) -> None:
    before = len(hooked.parrots[UID].heard) if UID in hooked.parrots else 0
    body = {"session_id": UID, "segments": [{"text": "Hey orchestra, who am I?", "start": 1, "end": 2}]}
    assert hooked.post("transcript", body).status_code == 200
    assert hooked.heard(before + 1)[-1].text == "who am I?"


@pytest.mark.parametrize("path", ["transcript", "audio", "tool"])
def test_only_users_of_the_settings_are_heard(hooked: Hook, path: str) -> None:
    body = {"uid": "stranger", "tool_name": "ask_council", "question": "why?"} if path == "tool" else []
    for uid in ("stranger", "", UID.lower()):
        refused = hooked.post(path, body | {"uid": uid} if isinstance(body, dict) else body, uid=uid)
        assert refused.status_code == 403
        assert UID not in refused.text
    assert "stranger" not in hooked.parrots


@pytest.mark.parametrize("token", ["wrong", TOKEN[:-1], TOKEN + "x", TOKEN.lower(), "%C3%BC%00", "", "."])
@pytest.mark.parametrize("path", ["transcript", "tools.json", "x"])
def test_whoever_has_the_wrong_secret_learns_nothing(hooked: Hook, token: str, path: str) -> None:
    posted = hooked.post(path, [], token=token)
    got = hooked.client.get(f"{hooked.url}/omi/{token}/{path}")
    assert (posted.status_code, posted.content) == (got.status_code, got.content) == (404, b"{}")


def test_wrong_secrets_are_slowed_down_and_the_right_one_is_not() -> None:
    with hook(slowing=Slowing(first_s=30.0, most_s=30.0, free=3, waiting=0)) as opened:
        assert [opened.post("transcript", [], token="x").status_code for _ in range(5)] == [404, 404, 404, 429, 429]
        assert opened.post("transcript", []).status_code == 200


def test_the_paths_answer_to_nothing_else(hooked: Hook) -> None:
    for path in ("transcript", "audio", "tool", "", "x", "tools.json/x", "transcript/"):
        assert hooked.client.get(f"{hooked.url}/omi/{TOKEN}/{path}").status_code == 404
        assert hooked.client.get(f"{hooked.url}/omi/{TOKEN}/{path}").content == b"{}"
    assert hooked.post("tools.json", {}).status_code == 404
    assert hooked.client.put(f"{hooked.url}/omi/{TOKEN}/transcript", content=b"[]").status_code == 404


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("transcript", b"[", 400),
        ("transcript", b"", 400),
        ("transcript", b"\xff\xfe", 400),
        ("transcript", b"[" * 100_000, 400),
        ("transcript", b'{"segments": 3}', 400),
        ("transcript", b"[null, 7, {}, [], {\"text\": 1e999}]", 200),
        ("transcript", b"[" + b" " * 256 * 1024 + b"]", 413),
        ("tool", b"[]", 400),
        ("tool", b"{" + b" " * 64 * 1024 + b"}", 413),
        ("audio", bytes(25 * 4 * 32_000 + 1), 413),
    ],
)  # fmt: skip
def test_garbage_and_floods_are_turned_away(hooked: Hook, path: str, content: bytes, status: int) -> None:
    answer = hooked.post(path, content=content, params={"sample_rate": "16000"})
    assert answer.status_code == status
    assert TOKEN not in answer.text


def test_a_body_that_only_says_to_be_large_is_not_awaited(hooked: Hook) -> None:
    parts = urlsplit(hooked.url)
    import socket

    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as peer:
        head = f"POST /omi/{TOKEN}/transcript?uid={UID} HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n"
        peer.sendall(head.encode())
        assert peer.recv(100).startswith(b"HTTP/1.1 413")


def test_sound_is_refused_where_nobody_can_hear_it(hooked: Hook) -> None:
    assert hooked.post("audio", content=bytes(320), params={"sample_rate": "16000"}).status_code == 503
    for rate in ("", "0", "-8000", "7999", "47999", "48001", "16000.0", "١٦٠٠٠", "9" * 30):
        answer = hooked.post("audio", content=bytes(320), params={"sample_rate": rate})
        assert (answer.status_code, answer.json()["error"]) == (
            400,
            "Say sample_rate: 8000, 12000, 16000, 24000, 32000, 44100 or 48000.",
        )


def test_bodies_come_a_few_at_a_time() -> None:
    import socket

    with hook() as opened, ExitStack() as closing:
        parts = urlsplit(opened.url)
        head = f"POST /omi/{TOKEN}/transcript?uid={UID} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n["
        peers = [
            closing.enter_context(socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10))
            for _ in range(BODIES)
        ]
        for peer in peers:
            peer.sendall(head.encode())
        ends = time.monotonic() + 10
        while (answer := opened.say("Nothing.")).status_code == 200:
            assert time.monotonic() < ends
        assert (answer.status_code, answer.headers["connection"]) == (503, "close")
        assert opened.client.get(f"{opened.url}/omi/{TOKEN}/tools.json").status_code == 200
        peers[0].sendall(b"        ]"[1:])
        assert peers[0].recv(100).startswith(b"HTTP/1.1 200")
        assert opened.say("Nothing.").status_code == 200


def test_words_that_are_dropped_are_told_of_at_once() -> None:
    with hook() as opened:
        call = {"uid": UID, "tool_name": "ask_council", "question": "why?"}
        opened.intake._user(UID)
        opened.parrots[UID].may.clear()
        for number in range(AT_ONCE):
            opened.say("Hey orchestra, why?", session=f"s{number}")
        opened.heard(AT_ONCE)
        assert opened.post("tool", call, uid="").json() == {"result": tool.NOT_TAKEN}
        opened.parrots[UID].may.set()


async def test_of_too_many_words_the_newest_wait() -> None:
    intake = Intake([UID], PHRASE, lambda _, mouth: Parrot(mouth))
    helds = [Held() for _ in range(ASKED + 2)]
    for held in helds:
        intake.say(UID, Heard("why?", "by hand", 1.0), held)
    assert [held.done.is_set() for held in helds] == [True, True, *[False] * ASKED]


def test_a_look_at_words_is_short_whatever_is_posted() -> None:
    """Counted in looks at a word, of which each costs some millionths of a second."""
    for text in ("hey. " * 400, "hey orchestra. " * 130, "h h " * 500, "hey or. " * 250, "hay or kest " * 160):
        body = [{"text": text, "start": float(number), "end": number + 0.5} for number in range(300)]
        _, came = read_segments(body)
        assert sum(len(one.text) for one in came) <= 4_000
        dictation, looks = Dictation(Phrase(PHRASE)), 0

        def count(frame: Any, event: str, _: Any) -> None:
            nonlocal looks
            looks += event == "call" and "edge" in frame.f_code.co_filename

        sys.setprofile(count)
        try:
            dictation.hear(came, 0.0)
        finally:
            sys.setprofile(None)
        assert looks < 60_000, text[:20]


def test_a_decoder_that_breaks_ends_the_sound_and_nothing_else() -> None:
    def broken() -> Any:
        raise RuntimeError(TALK)

    async def understand(_: str, __: Utterance) -> None:
        return None

    hearings = [Hearing(broken, Resampler, understand, lambda _, __: None)]
    with hook(hearing=lambda _: hearings[0]) as opened:
        ends = time.monotonic() + 5
        while opened.post("audio", content=bytes(320), params={"sample_rate": "16000"}).status_code == 200:
            assert time.monotonic() < ends
        assert hearings[0].trouble == "RuntimeError"
        opened.say("Hey orchestra, what is new?")
        assert opened.heard(1)[0].text == "what is new?"


async def test_what_ends_the_webhook_leaves_the_other_doors_open(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Hearing):
        async def run(self) -> None:
            raise RuntimeError(TALK)

    async def understand(_: str, __: Utterance) -> None:
        return None

    intake = Intake([UID], PHRASE, lambda _, mouth: Parrot(mouth))
    intake.hearing = Broken(lambda: None, Resampler, understand, intake.say)  # type: ignore[arg-type,return-value]
    await _run_apart(intake)
    assert "RuntimeError" in caplog.text
    assert TALK not in caplog.text

    @asynccontextmanager
    async def app() -> AsyncIterator[Webhook]:
        yield Webhook(TOKEN, intake)

    def posted() -> list[int]:
        with webdoor.serving(app) as url, httpx2.Client(timeout=10, trust_env=False) as client:
            here = f"{url}/omi/{TOKEN}"
            return [
                client.post(f"{here}/{path}?uid={UID}", json=[]).status_code for path in ("transcript", "tool", "x")
            ]

    assert await anyio.to_thread.run_sync(posted) == [503, 503, 404]


async def test_words_of_one_user_are_understood_one_after_the_other_and_of_two_at_once() -> None:
    at_work: list[str] = []
    most: list[tuple[int, int]] = []
    done: list[str] = []
    go = anyio.Event()

    class Told:
        """An ear to which each piece of sound is an utterance."""

        def feed(self, sound: Sound) -> list[Perception]:
            return [Utterance(sound.pcm, "wake")]

    async def understand(uid: str, utterance: Utterance) -> Heard:
        at_work.append(uid)
        most.append((len(at_work), at_work.count(uid)))
        await go.wait()
        at_work.remove(uid)
        return Heard(str(utterance.pcm[0]), "by hand", 1.0)

    hearing = Hearing(Told, Resampler, understand, lambda uid, heard: done.append(f"{uid}{heard.text}"))
    async with anyio.create_task_group() as group:
        group.start_soon(hearing.run)
        for number in range(6):
            for uid in "abc":
                hearing.feed(uid, 16_000, bytes([number]) * 320)
        with anyio.fail_after(10):
            while hearing._waiting or len(at_work) < 2:  # noqa: ASYNC110
                await anyio.sleep(0.01)
            go.set()
            while len(done) < 3 + 1 + 3 + 3:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert max(most) == (2, 1)
    for uid in "abc":
        of_one = [one[1:] for one in done if one[0] == uid]
        assert of_one == sorted(of_one)
        assert of_one[-3:] == ["3", "4", "5"], "the newest"


def test_nobody_is_listened_to_while_it_is_muted() -> None:
    listens = [False]
    with hook(lambda: listens[0]) as opened:
        assert opened.say("Hey orchestra,", "who is there?").json() == {}
        listens[0] = True
        assert opened.say(("why is it slow?", 4.0)).json() == {}
        opened.say(("Hey orchestra, what is new?", 20.0))
        assert [heard.text for heard in opened.heard(1)] == ["what is new?"]


def test_what_was_said_before_it_was_muted_is_dropped_too() -> None:
    listens = [True]
    with hook(lambda: listens[0]) as opened:
        opened.say("Hey orchestra, what about the", session="a")
        opened.intake._user(UID).sessions["a"][0]._quiet_s = 60.0  # the question goes on
        listens[0] = False
        opened.intake._come.set()
        opened.say("Nothing.", session="b")
        call = {"uid": UID, "tool_name": "ask_council", "question": "why?"}
        assert "muted" in opened.post("tool", call, uid="").json()["result"]
        listens[0] = True
        opened.say("Hey orchestra, what is new?", session="c")
        assert [heard.text for heard in opened.heard(1)] == ["what is new?"]


async def test_what_waits_to_be_answered_when_it_is_muted_is_dropped() -> None:
    listens = [True]
    parrots: list[Parrot] = []

    def converse(_: str, mouth: Mouth) -> Parrot:
        parrots.append(Parrot(mouth))
        return parrots[0]

    intake = Intake([UID], PHRASE, converse, listens=lambda: listens[0])
    held = Held()
    intake.say(UID, Heard("why?", "by hand", 1.0), held)
    listens[0] = False
    async with anyio.create_task_group() as group:
        group.start_soon(intake.run)
        with anyio.fail_after(5):
            await held.done.wait()
        group.cancel_scope.cancel()
    assert parrots[0].heard == []
    assert held.reply is not None
    assert "muted" in held.reply.spoken


@pytest.mark.parametrize(
    "said", ["why in project bakery", "why in project store", "why in project stores", "why in the shop project"]
)
def test_omis_cloud_is_told_no_names_of_other_projects(said: str) -> None:
    known = ("/home/ann/secret/shop", "/home/ann/store", "/home/ann/other/shop")
    asked = choose(said, known, names=False).ask + answered("bakery", known, names=False).ask
    assert asked
    own = {"bakery", "store", "stores", "shop"} & set(said.split())
    for name in {"secret", "other", "shop", "store"} - own:
        assert not re.search(rf"\b{name}\b", asked)


# ------------------------------------------------------------------------------------------------------- the chat tool


def test_the_manifest_has_the_documented_fields(hooked: Hook) -> None:
    for host, endpoint in (
        ("", f"/omi/{TOKEN}/tool"),
        ("Voice.example.org", f"https://voice.example.org/omi/{TOKEN}/tool"),
    ):
        headers = {"host": host} if host else {}
        told = hooked.client.get(f"{hooked.url}/omi/{TOKEN}/tools.json", headers=headers)
        assert told.status_code == 200
        for one in told.json()["tools"]:
            assert set(one) == {
                "name", "description", "endpoint", "method", "parameters", "auth_required", "status_message",
            }  # fmt: skip
            assert one["endpoint"] == endpoint
            assert one["method"] == "POST"
            assert set(one["parameters"]) == {"properties", "required"}


def test_the_chat_tool_gives_the_answer_and_no_notification() -> None:
    with hook() as hooked:
        call = {"uid": UID, "app_id": "01ABC", "tool_name": "ask_council", "question": "why is it slow?"}
        assert hooked.post("tool", call, uid="").json() == {"result": "You asked: why is it slow?"}
        assert hooked.parrots[UID].heard[-1] == Heard("why is it slow?", "omi chat", 1.0)
        assert hooked.say("Nothing.").json() == {}
        for wrong in (
            {**call, "tool_name": "x"},
            {**call, "question": 3},
            {**call, "question": " "},
            {**call, "question": "x" * 5_000},
        ):
            answer = hooked.post("tool", wrong, uid="")
            assert answer.status_code == 200, "Omi turns tools off that answer with other statuses"
            assert list(answer.json()) == ["error"]


def test_a_slow_council_tells_the_chat_so_and_answers_later() -> None:
    with hook(tool_s=0.2) as opened:
        call = {"uid": UID, "app_id": "01ABC", "tool_name": "ask_council", "question": "why?"}
        opened.intake._user(UID)  # the conversation begins, so that it can be made slow
        opened.parrots[UID].may.clear()
        assert opened.post("tool", call, uid="").json() == {"result": tool.LATER}
        assert opened.post("tool", {**call, "tool_name": "council_answer"}, uid="").json() == {"result": tool.LATER}
        opened.parrots[UID].may.set()
        ends = time.monotonic() + 5
        while (answer := opened.say("Nothing.").json()) == {} and time.monotonic() < ends:
            pass
        assert answer == {"message": "You asked: why?"}


def test_the_secret_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    made = omi_token(tmp_path)
    assert len(made) == 43, "32 bytes in base64url"
    assert omi_token(tmp_path) == made
    assert stat.S_IMODE((tmp_path / "omi-token").stat().st_mode) == 0o600
    assert addresses("https://voice.example.org/", made)["real-time transcript"] == (
        f"https://voice.example.org/omi/{made}/transcript"
    )
    (tmp_path / "omi-token").chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        omi_token(tmp_path)


# ------------------------------------------------------------------------------------------------------------- sound


@pytest.fixture(scope="module")
def spotter() -> Any:
    from orchestra_mcp.edge.wake.spotter import Spotter

    return Spotter(PHRASE)


@contextmanager
def listening(spotter: Any) -> Iterator[tuple[Hook, list[Utterance]]]:
    """A webhook with a real ear; what it hears is noted, and understood to be a question. Without a spotter it awaits words."""
    from orchestra_mcp.edge.ear import Ear

    utterances: list[Utterance] = []

    def ear() -> Ear:
        made = Ear(spotter)
        if spotter is None:
            made.expect(60)
        return made

    async def understand(uid: str, utterance: Utterance) -> Heard | None:
        utterances.append(utterance)
        return Heard("why is it slow?", "by hand", 1.0) if uid == UID else None

    with hook(hearing=lambda say: Hearing(ear, Resampler, understand, say, silent_s=1.0)) as opened:
        yield opened, utterances


def posted(hook: Hook, pcm: bytes, rate: int = 16_000, seconds: int = 5) -> None:
    """As Omi posts sound: so many seconds at a time."""
    step = seconds * rate * 2
    for at in range(0, len(pcm), step):
        answer = hook.post("audio", content=pcm[at : at + step], params={"sample_rate": str(rate)})
        assert (answer.status_code, answer.json()) == (200, {})


@needs_speech
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_sound_of_any_rate_becomes_words(rate: int) -> None:
    there = Resampler(16_000, rate)
    question = say(WHY, "rms")
    pcm = there.feed(silence(1.0) + question + silence(0.3)) + there.flush()
    with listening(None) as (opened, utterances):
        posted(opened, pcm, rate, seconds=1)
        assert opened.heard(1) == [Heard("why is it slow?", "by hand", 1.0)]
        (utterance,) = utterances
        assert seconds(utterance.pcm) == pytest.approx(seconds(question) + 1.0, abs=1.0), "and the silence around it"


@needs_speech
def test_the_wake_phrase_is_heard_in_sound(spotter: Any) -> None:
    with listening(spotter) as (opened, utterances):
        for voice in ("rms", "kal16"):
            posted(opened, silence(1.0) + say(f"hey orchestra, {WHY}", voice) + silence(2.0))
        assert opened.heard(1)[0].text == "why is it slow?"
        assert {utterance.by for utterance in utterances} == {"wake"}


@needs_speech
def test_talk_in_sound_is_dropped(spotter: Any) -> None:
    with listening(spotter) as (opened, utterances):
        posted(opened, silence(0.5) + say("We were at the lake all day. It was very warm.", "rms") + silence(2.0))
        opened.say("Hey orchestra, what is new?")
        opened.heard(1)
        assert utterances == []
        posted(opened, bytes(31))  # half a sample is no trouble


def test_more_sound_than_can_be_heard_is_dropped_and_counted() -> None:
    def nobody() -> Any:
        raise VoiceError("The package webrtcvad is missing: pip install 'orchestra-council[omi]'")

    async def understand(_: str, __: Utterance) -> None:
        return None

    hearing = Hearing(nobody, Resampler, understand, lambda _, __: None)
    for _ in range(30):
        hearing.feed(UID, 16_000, bytes(5 * 32_000))
    assert hearing.dropped_s == 150 - 60
    with hook(hearing=lambda _: hearing) as opened:
        ends = time.monotonic() + 5
        while (answer := opened.post("audio", content=bytes(320), params={"sample_rate": "16000"})).status_code == 200:
            assert time.monotonic() < ends
        assert answer.status_code == 503
        assert "missing" in hearing.trouble


# -------------------------------------------------------------------------------------- the whole way, by real doors

TALK = "the gravel orbit mustard is our secret"
SAYS = expert("the fixture lacks a tmp_path")


@dataclass
class Served:
    """`orchestra serve` with the webhook, and an Omi on the other side."""

    url: str
    token: str
    home: Path
    api: Api
    upstream: Upstream
    stderr: Path
    client: httpx2.Client

    def say(self, *row: str | tuple[str, float], uid: str = UID, host: str = "", **more: Any) -> httpx2.Response:
        body = [{"text": one.text, "is_user": True, "start": one.start, "end": one.end} for one in segments(row)]
        headers = {"host": host} if host else {}
        url = f"{self.url}/omi/{more.pop('token', self.token)}/transcript"
        params = {"session_id": more.pop("session", "s1"), "uid": uid}
        return self.client.post(url, params=params, json={"session_id": uid, "segments": body}, headers=headers)

    def asked(self) -> list[str]:
        """Prompts that reached an expert."""
        return [call.prompt for call in self.upstream.calls]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("omi")
    project = home / "shop"
    project.mkdir()
    (project / "pyproject.toml").write_text('[project]\nname = "shop"\n')
    with omi_api() as api, Upstream({"ada": Expert(SAYS), "bo": Expert(SAYS)}) as upstream:
        config = home / "orchestra.toml"
        config.write_text(
            f'{upstream.models_toml()}\n[telemetry]\notlp = "{api.url}"\n'
            f'[voice]\nproject = "{project}"\n'
            f'[voice.omi_app]\nuids = ["{UID}"]\nhosts = ["voice.example.org"]\napp_id = "01ABC"\n'
            f'app_secret = "$OMI_APP_KEY"\napi = "{api.url}"\n'
        )
        environ = {
            **os.environ, "HOME": str(home), "ORCHESTRA_HOME": str(home / "data"), "ORCHESTRA_CONFIG": str(config),
            "OMI_APP_KEY": SECRET, "OTEL_BSP_SCHEDULE_DELAY": "50", "ORCHESTRA_LOG": "debug",
        }  # fmt: skip
        stderr = home / "stderr"
        with (
            stderr.open("w") as errors,
            httpx2.Client(timeout=30, trust_env=False) as client,
            subprocess.Popen(
                [sys.executable, "-m", "orchestra_mcp", "serve", "--port", "0"], stderr=errors, env=environ, cwd=ROOT
            ) as process,
        ):
            try:
                ends = time.monotonic() + 60
                while "listens on" not in (said := stderr.read_text()):
                    assert process.poll() is None, said
                    assert time.monotonic() < ends, said
                    time.sleep(0.05)
                url = said.split("listens on ")[1].split("/mcp")[0]
                token = (home / "data" / "omi-token").read_text().strip()
                yield Served(url, token, home, api, upstream, stderr, client)
            finally:
                process.kill()


def test_a_question_in_a_transcript_ends_as_a_notification_of_omi(served: Served) -> None:
    before = len(served.api.notifications())
    assert served.say(TALK, "and the orchestra played.").json() == {}
    assert served.say(("Hey Orchestra,", 9.0), "why is my test failing?", host="voice.example.org").json() == {}
    served.api.wait(lambda: len(served.api.notifications()) > before)
    (message,) = served.api.notifications()[before:]
    assert "why is my test failing" in message
    assert "fixture lacks" in message
    came = [one for one in served.api.came if one.path.endswith("/notification")][before]
    assert came.headers["authorization"] == f"Bearer {SECRET}"
    assert came.query["uid"] == [UID]
    bearer = {"authorization": f"Bearer {(served.home / 'data' / 'token').read_text().strip()}"}
    kept = served.client.get(f"{served.url}/api/consultations", headers=bearer)
    assert "why is my test failing?" in kept.text, "the full verdict waits on the screen"
    id = next(one["id"] for one in kept.json()["consultations"] if one["spoken"])
    for page in ("", f"/{id}"):
        shown = served.client.get(f"{served.url}/consultations{page}", headers={**bearer, "accept": "text/html"})
        assert shown.status_code == 200
        assert "asked aloud" in shown.text
    assert not any("gravel" in prompt for prompt in served.asked())


def test_a_doubtful_question_is_sent_to_nobody_before_a_yes(served: Served) -> None:
    told, before, calls = "", 0, 0

    def told_since(*words: str) -> list[str]:
        return [one for one in served.api.notifications()[before:] if any(word in one for word in words)]

    for attempt in range(20):  # a question of another test may still be answered
        before, calls = len(served.api.notifications()), len(served.asked())
        served.say(("Hi orchestra, is the velvet cactus slow?", 100.0 * attempt), session=f"doubt {attempt}")
        served.api.wait(lambda: told_since("velvet cactus", "earlier question"))
        told = told_since("velvet cactus", "earlier question")[0]
        if "velvet cactus" in told:
            break
    assert "velvet cactus" in told
    assert "the velvet cactus slow? Say yes or no." in told
    assert told.endswith("Begin with “hey orchestra”.")
    assert len(served.asked()) == calls
    served.say(("Yes.", 10.0), session="yes")
    served.say(("Hey orchestra, yes.", 20.0), session="yes")
    served.api.wait(lambda: [one for one in told_since("velvet cactus") if one.startswith("You asked")])
    assert any("velvet cactus" in prompt for prompt in served.asked()[calls:])


def test_omis_chat_gets_the_councils_answer(served: Served) -> None:
    before = len(served.api.notifications())
    call = {"uid": UID, "app_id": "01ABC", "tool_name": "ask_council", "question": "why is the import slow?"}
    answer = served.client.post(f"{served.url}/omi/{served.token}/tool", json=call).json()
    assert "fixture lacks" in answer["result"]
    again = {**call, "tool_name": "council_answer"}
    assert "fixture lacks" in served.client.post(f"{served.url}/omi/{served.token}/tool", json=again).json()["result"]
    assert len(served.api.notifications()) == before


def test_a_public_name_opens_the_webhook_and_nothing_else(served: Served) -> None:
    bearer = {"authorization": f"Bearer {(served.home / 'data' / 'token').read_text().strip()}"}
    for host in ("voice.example.org", "VOICE.example.org:443"):
        assert served.say("Nothing.", host=host).status_code == 200
        for path in ("/", "/health", "/v1/models", "/api/consultations", "/mcp", "/omi", "/login", "/metrics"):
            assert served.client.get(served.url + path, headers={**bearer, "host": host}).status_code == 421
    for host in ("evil.example.org", "voice.example.org.evil.net", "x:y@voice.example.org", "."):
        assert served.say("Nothing.", host=host).status_code == 421
    page = served.client.post(
        f"{served.url}/omi/{served.token}/transcript?uid={UID}", json=[], headers={"origin": "https://evil.example"}
    )
    assert page.status_code == 403, "no web page of others may post, whatever it has found out"
    assert served.client.get(f"{served.url}/api/consultations").status_code == 401, (
        "the other rooms ask for a key still"
    )


def test_neither_secret_user_nor_talk_gets_into_logs_traces_metrics_or_the_store(served: Served) -> None:
    wrong = "Zz" + served.token[2:]
    assert served.say(TALK, token=wrong).status_code == 404
    assert served.say(TALK, uid="nobody-here").status_code == 403
    served.say(TALK, "marble anchor", ("Hey orchestra, what is new?", 4.0), session="trace")
    bearer = {"authorization": f"Bearer {(served.home / 'data' / 'token').read_text().strip()}"}
    served.api.wait(lambda: b"invoke_workflow council" in served.api.traces())
    metrics = served.client.get(f"{served.url}/metrics", headers=bearer)
    assert metrics.status_code == 200
    traces = served.api.traces()
    files = b"".join(
        file.read_bytes()
        for file in (served.home / "data").rglob("*")
        if file.is_file() and file.name not in ("omi-token", "token")
    )
    for what in (served.token, wrong, UID, "nobody-here", SECRET, "gravel", "marble anchor"):
        for where in (traces, metrics.content, files, served.stderr.read_bytes()):
            assert what.encode() not in where


def test_without_users_there_is_no_webhook(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "ORCHESTRA_HOME": str(tmp_path / "data")}
    bearer = {"authorization": "Bearer owner"}
    with (
        webdoor.serving(lambda: open_door(environ, "owner", "127.0.0.1")) as url,
        httpx2.Client(timeout=30, trust_env=False) as client,
    ):
        assert client.post(f"{url}/omi/{TOKEN}/transcript?uid={UID}", json=[]).status_code == 401
        assert client.get(f"{url}/omi/{TOKEN}/transcript", headers=bearer).status_code == 404
    assert not (tmp_path / "data" / "omi-token").exists()
