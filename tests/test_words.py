"""From an utterance to a question: engines over HTTP and offline, and what is believed of them.

Sound is made by espeak-ng and flite, but for two recordings of people that come with the speech model. The vendor is a real HTTP
server on loopback.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import re
import sys
import time
import wave
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from email import message_from_bytes
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from speech import MISSING, needs_speech, noise, noisy, say, silence, tone
from webdoor import Vendor

from orchestra_mcp.edge.acoustic.moonshine import model_directory, moonshine, samples_of
from orchestra_mcp.edge.acoustic.tokens import END, Tokens
from orchestra_mcp.edge.nouns import Heard, Utterance, Vocabulary
from orchestra_mcp.edge.words import open_transcriber
from orchestra_mcp.edge.words.coarse import coarse
from orchestra_mcp.edge.words.commands import COMMANDS, command_in
from orchestra_mcp.edge.words.common import common_words
from orchestra_mcp.edge.words.judging import Piece, Waking, judge, pieces_of
from orchestra_mcp.edge.words.likely import BONUS, NOTHING, NOWHERE, Likely, likely
from orchestra_mcp.edge.words.offline import Offline, _sounds_like, beginnings_of, fit_to_say
from orchestra_mcp.edge.words.remote import Remote
from orchestra_mcp.edge.words.search import Found, agreed, search
from orchestra_mcp.edge.words.whisper import Whisper
from orchestra_mcp.errors import VoiceError
from orchestra_mcp.gateway import open_http
from orchestra_mcp.gateway.provider import Caller
from orchestra_mcp.gateway.transcription import Transcribing, Transcript, TranscriptionRequest
from orchestra_mcp.settings import Keys, Limits, ModelSpec
from orchestra_mcp.settings.voice import Voice

PHRASE = "hey orchestra"
SHOP = Vocabulary(
    "shop",
    ("test_login", "UserService", "get_user_by_id", "retry_with_backoff", "OrderRepository"),
    ("src/main.py", "src/useAuth.ts"),
    ("fix/retry-loop",),
)
SIX_SECONDS = Utterance(silence(6.0), "wake", phrase_s=1.0)


# ------------------------------------------------------------------------------------------------- a vendor over HTTP


@asynccontextmanager
async def remote(url: str, patience_s: float = 20.0) -> AsyncIterator[Remote]:
    """The engine over the product's own gateway part, whose model is at `url`."""

    async def targets(_name: str, _caller: Caller) -> Sequence[tuple[str, ModelSpec]]:
        return [("speech", ModelSpec(base_url=f"{url}/v1", model="whisper-1", provider="vendor"))]

    async with open_http() as http:
        there = Transcribing(targets, Keys({}), Limits(), http, on_call=lambda _: None)
        yield Remote("speech", there.transcribe, phrase=PHRASE, patience_s=patience_s)


def verbose(text: str, logprob: float = -0.2, no_speech: float = 0.01) -> tuple[int, str, bytes]:
    """As in https://platform.openai.com/docs/api-reference/audio/verbose-json-object"""
    segment = {
        "id": 0, "seek": 0, "start": 0.0, "end": 3.32, "text": f" {text}", "tokens": [50364], "temperature": 0.0,
        "avg_logprob": logprob, "compression_ratio": 1.23, "no_speech_prob": no_speech,
    }  # fmt: skip
    body = {"task": "transcribe", "language": "english", "duration": 8.47, "text": text, "segments": [segment]}
    return 200, "application/json", json.dumps(body).encode()


def plain(text: str) -> tuple[int, str, bytes]:
    return 200, "application/json", json.dumps({"text": text}).encode()


def form_of(vendor: Vendor, number: int = -1) -> dict[str, bytes]:
    """The fields of a form that a vendor received."""
    kind = vendor.headers[number]["content-type"]
    message = message_from_bytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + vendor.raw[number])
    parts: Any = message.get_payload()
    return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parts}


async def test_a_vendor_gets_a_wav_file_and_the_project_s_names_and_its_words_are_repaired() -> None:
    vendor = Vendor([verbose("Hey Orchestra, why is test log in failing?")])
    with vendor.open() as url:
        async with remote(url) as engine:
            heard = await engine.transcribe(SIX_SECONDS, SHOP)
    assert heard == Heard("why is test_login failing?", "speech", round(math.exp(-0.2), 3), "", True)
    form = form_of(vendor)
    with wave.open(io.BytesIO(form["file"])) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert file.readframes(10**6) == SIX_SECONDS.pcm
    assert form["model"] == b"whisper-1"
    assert form["response_format"] == b"verbose_json"
    assert b"test_login" in form["prompt"]
    assert b"rchestra" not in form["prompt"]  # an engine writes what it was told: the phrase must come from the sound


async def test_without_names_nothing_of_the_project_is_sent() -> None:
    vendor = Vendor([plain("hey orchestra why is my test failing")])
    with vendor.open() as url:
        async with remote(url) as engine:
            await engine.transcribe(SIX_SECONDS, Vocabulary())
    assert "prompt" not in form_of(vendor)


async def test_a_vendor_that_refuses_the_verbose_form_is_asked_for_the_plain_one_and_that_is_remembered() -> None:
    # https://platform.openai.com/docs/api-reference/audio/createTranscription: gpt-4o-transcribe supports only json
    refusal = {
        "error": {
            "message": "response_format 'verbose_json' is not compatible with this model",
            "type": "invalid_request_error",
        }
    }
    vendor = Vendor([(400, "application/json", json.dumps(refusal).encode()), plain("hey orchestra review my changes")])
    with vendor.open() as url:
        async with remote(url) as engine:
            first = await engine.transcribe(SIX_SECONDS, SHOP)
            second = await engine.transcribe(SIX_SECONDS, SHOP)
    assert first.text == second.text == "review my changes"
    assert [form_of(vendor, n)["response_format"] for n in range(3)] == [b"verbose_json", b"json", b"json"]


@pytest.mark.parametrize(
    "reply",
    [(500, "application/json", b"{}"), (401, "application/json", b"{}"), (200, "application/json", b'{"no": 1}')],
)
async def test_a_vendor_that_fails_is_an_error_that_says_so(reply: tuple[int, str, bytes]) -> None:
    vendor = Vendor([reply])
    with vendor.open() as url:
        async with remote(url) as engine:
            with pytest.raises(VoiceError, match="speech"):
                await engine.transcribe(SIX_SECONDS, SHOP)


async def test_a_vendor_that_does_not_answer_is_given_up_and_a_cancelled_question_leaves_no_connection() -> None:
    ended = anyio.Event()

    async def ask(_request: TranscriptionRequest) -> Transcript:
        try:
            await anyio.sleep_forever()
            raise AssertionError
        finally:
            ended.set()

    with pytest.raises(VoiceError, match=r"longer than 0\.05 s"):
        await Remote("slow", ask, phrase=PHRASE, patience_s=0.05).transcribe(SIX_SECONDS, SHOP)
    assert ended.is_set()
    ended = anyio.Event()
    with anyio.move_on_after(0.05):
        await Remote("slow", ask, phrase=PHRASE).transcribe(SIX_SECONDS, SHOP)
    assert ended.is_set()


# ------------------------------------------------------------------------------------------- what is believed of words


MANY = (
    "could you please look at every single place where somebody reads our settings before their file was loaded because three "
    "customers told us yesterday evening that nothing works any more after they had changed one value and then went back home"
).split()
"""More than anybody says in six seconds."""


def heard_as(text: str, utterance: Utterance = SIX_SECONDS, prompt: str = "") -> Heard:
    return judge(pieces_of(plain(text)[2]), utterance, SHOP, engine="x", phrase=PHRASE, prompt=prompt)


@pytest.mark.parametrize(
    "text",
    ["Hey Orchestra, why is it red?", "hay orchestra why is it red?", "Hey, or kestra, why is it red?", "Heyorchestra why is it red?",
     "HEY ORCHESTRA! why is it red?", "um, hey orchestra: why is it red?"],
)  # fmt: skip
def test_the_wake_phrase_is_found_in_what_engines_write_for_it(text: str) -> None:
    heard = heard_as(text)
    assert (heard.text, heard.woken, heard.doubt) == ("why is it red?", True, "")


def test_words_without_the_phrase_were_not_meant_for_us_and_by_the_button_nobody_asks() -> None:
    assert heard_as("why is it red?").woken is False
    assert heard_as("why is it red?", Utterance(silence(3), "button")).woken is None


@pytest.mark.parametrize(
    "text",
    ["Orchestra, why is it red?", "A orchestra, why is it red?", "Hey, Oxtra, why is it red?", "orchestra why is it red?",
     "They orchestrate. Why is it red?", "Um, the orchestra, why is it red?", "Or chest or why is it red?"],
)  # fmt: skip
def test_a_phrase_that_an_engine_half_wrote_is_asked_about_and_not_dropped(text: str) -> None:
    heard = heard_as(text)
    assert (heard.text.lower(), heard.woken) == ("why is it red?", None)
    assert "phrase" in heard.doubt
    by_button = heard_as(text, Utterance(silence(6), "button"))
    assert "red" in by_button.text
    assert by_button.doubt == ""  # there it had not to be said


@pytest.mark.parametrize(
    "text",
    ["Hey Siri, why is it red?", "The orchestra was playing while it rained.", "our kitchen is red", "how strange, why is it red?",
     "why is it red in the orchestra?", "Hey.", "I like the orchestra, why is it red?"],
)  # fmt: skip
def test_what_is_nothing_like_the_phrase_was_not_meant_for_us(text: str) -> None:
    assert heard_as(text).woken is False


@pytest.mark.parametrize(
    "text",
    ["", ".", "Thank you for watching!", "Thanks for watching.", "Please subscribe.", "you", "[Music]", "(silence)", "♪ ♪",
     "Thank you. Bye.", "Subtitles by the Amara.org community", "© transcript Emily Beynon", "Thank you so much for watching and see you in the next video"],
)  # fmt: skip
def test_what_engines_invent_for_silence_is_nothing(text: str) -> None:
    heard = heard_as(text)
    assert heard.text == ""
    assert heard.doubt
    assert heard.confidence == 0


def test_a_prompt_that_comes_back_is_nothing() -> None:
    prompt = "A developer asks about code. Names in it: shop, test_login, UserService."
    assert heard_as("Names in it: shop, test_login", prompt=prompt).text == ""


def test_words_that_repeat_or_cannot_be_said_in_time_or_were_lost_are_doubtful() -> None:
    assert "repeat" in heard_as("hey orchestra why why is it is it is it is it is it is it failing").doubt
    assert "time" in heard_as("hey orchestra " + " ".join(MANY)).doubt
    assert "lost" in heard_as("hey orchestra why is it red", Utterance(silence(5), "wake", lost_s=2)).doubt
    assert "cut off" in heard_as("hey orchestra why is it red", Utterance(silence(25), "wake", cut=True)).doubt
    assert heard_as("hey orchestra why is it very very slow").doubt == ""


def test_confidence_is_the_mean_probability_and_an_unlikely_silence_is_nothing() -> None:
    # Whisper's own rule (openai/whisper, transcribe.py): no_speech_prob > 0.6 and avg_logprob < -1 is silence.
    def told(logprob: float, no_speech: float) -> Heard:
        pieces = pieces_of(verbose("hey orchestra why is it red", logprob, no_speech)[2])
        return judge(pieces, SIX_SECONDS, SHOP, engine="x", phrase=PHRASE)

    assert told(math.log(0.9), 0.0).confidence == 0.9
    assert told(math.log(0.9), 0.0).doubt == ""
    assert "clearly" in told(math.log(0.4), 0.0).doubt
    assert told(-1.5, 0.9).text == ""
    assert told(-0.5, 0.9).text == "why is it red"


def test_what_is_said_is_in_no_representation() -> None:
    assert "secret" not in repr(heard_as("hey orchestra tell my secret"))


@given(st.binary(max_size=200))
def test_any_reply_is_words_or_no_transcript(body: bytes) -> None:
    with suppress(ValueError):
        judge(pieces_of(body), SIX_SECONDS, SHOP, engine="x", phrase=PHRASE)


# -------------------------------------------------------------------------------------------------------- the commands


@pytest.mark.parametrize(
    ("said", "command"),
    [("Yes.", "yes"), ("Yes, please!", "yes"), ("yeah, send it", "yes"), ("That's right.", "yes"), ("No.", "no"), ("no thanks", "no"),
     ("Cancel that", "cancel"), ("Stop!", "cancel"), ("never mind", "cancel"), ("Tell me more.", "more"), ("More", "more"),
     ("say that again please", "repeat"), ("Repeat.", "repeat"), ("mute", "mute"), ("yes yes", "yes")],
)  # fmt: skip
def test_commands_are_known_as_engines_write_them(said: str, command: str) -> None:
    assert command_in(said) == command


@pytest.mark.parametrize(
    "said",
    ["stop the server when a test fails", "why is there no answer", "should I cancel the build", "yes or no", "yes, no", "more tests",
     "repeat the last commit", "is it okay to mute the log", "", "orchestra", "no why is it failing"],
)  # fmt: skip
def test_a_question_with_such_a_word_is_no_command(said: str) -> None:
    assert command_in(said) is None


# --------------------------------------------------------------------------------------------------- choosing an engine


async def _no_vendor(_request: TranscriptionRequest) -> Transcript:
    raise AssertionError("nobody is asked")


def test_settings_choose_the_engine(tmp_path: Path) -> None:
    assert open_transcriber(Voice(), _no_vendor, tmp_path).offline
    assert open_transcriber(Voice(), _no_vendor, tmp_path).name == "offline"
    vendor = open_transcriber(Voice(transcriber="groq/whisper-large-v3"), _no_vendor, tmp_path)
    assert (vendor.name, vendor.offline) == ("groq/whisper-large-v3", False)
    with pytest.raises(VoiceError, match="directory of a model"):
        open_transcriber(Voice(transcriber="whisper"), _no_vendor, tmp_path)
    with pytest.raises(VoiceError, match="downloads none"):
        open_transcriber(Voice(whisper_model=str(tmp_path)), _no_vendor, tmp_path)


async def test_a_broken_whisper_model_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper", reason="pip install 'orchestra-council[whisper]'")
    (tmp_path / "model.bin").write_bytes(b"no model")
    with pytest.raises(VoiceError, match="whisper_model"):
        await Whisper(tmp_path, phrase=PHRASE).transcribe(SIX_SECONDS, SHOP)


# ------------------------------------------------------------------------------------------- the embedded engine, pure


def test_every_command_is_known_as_it_is_listed() -> None:
    assert all(command_in(said) == name for name, each in COMMANDS.items() for said in each)


def test_the_common_words_are_eight_thousand_and_begin_with_the_commonest() -> None:
    assert len(set(common_words())) == 8_000
    assert "the" in common_words()[:10]


def test_an_engine_may_have_a_threshold_of_its_own_and_know_of_the_phrase_itself() -> None:
    def told(probability: float, waking: Waking | None) -> Heard:
        pieces = (Piece("why is it red", 3.0, math.log(probability)),)
        return judge(pieces, SIX_SECONDS, SHOP, engine="x", phrase=PHRASE, doubtful=0.8, waking=waking)

    assert told(0.9, Waking(True)) == Heard("why is it red", "x", 0.9, "", True)
    assert "clearly" in told(0.7, Waking(True)).doubt
    assert told(0.9, Waking(None, "hardly heard")).doubt == "hardly heard"
    assert told(0.9, Waking(False)).woken is False
    assert told(0.9, None).woken is False  # then it has to be in the text


def test_a_phrase_that_is_surely_in_the_text_counts_for_more_than_what_the_engine_found_of_it() -> None:
    def told(text: str, waking: Waking, by: Any = "wake") -> Heard:
        return judge(
            (Piece(text, 3.0, -0.1),), Utterance(silence(6), by), SHOP, engine="x", phrase=PHRASE, waking=waking
        )

    heard = told("Hey Orchestra, why is it red?", Waking(False))
    assert (heard.text, heard.woken, heard.doubt) == ("why is it red?", True, "")
    unsure = told("Hey Orchestra, why is it red?", Waking(None, "it did not come to an end"))
    assert (unsure.woken, unsure.doubt) == (True, "it did not come to an end")
    assert told("Orchestra, why is it red?", Waking(False)).woken is False
    assert told("Hey Orchestra, why is it red?", Waking(None), "button").woken is None  # there it had not to be said


def test_a_phrase_is_worth_more_with_each_piece_and_what_is_not_finished_is_taken_back() -> None:
    pieces = (" stack", " trace", " st", "ack", "ing", " the")
    tree = Likely(("stack trace",), pieces)
    place, gained = NOWHERE, 0.0
    for token in (2, 3, 1):  # st|ack| trace
        place, more = tree.after(place, token)
        gained += more
    assert gained == pytest.approx(BONUS * len("stacktrace"))
    assert tree.after(place, 5) == (NOWHERE, 0.0)
    place, more = tree.after(NOWHERE, 0)
    assert (more, tree.after(place, 4)) == (BONUS * 5, (NOWHERE, -BONUS * 5))  # stacking
    assert tree.after(NOWHERE, 3) == (NOWHERE, 0.0)  # within another word


def worth(tree: Likely, *tokens: int) -> float:
    """What a text gains by all of its tokens, when it ends there."""
    place, total = NOWHERE, 0.0
    for token in tokens:
        place, more = tree.after(place, token)
        total += more
    return total - place.lent


def test_what_one_phrase_was_lent_is_not_paid_by_the_next() -> None:
    tree = Likely(("stack trace", "race", "the branch"), (" stack", " trace", " race", " the", " branch"))
    assert worth(tree, 0, 2) == pytest.approx(BONUS * 4)  # stack race: nothing for stack
    assert worth(tree, 3, 0, 1) == pytest.approx(BONUS * 10)  # the stack trace: nothing for the
    assert worth(tree, 3, 0) == pytest.approx(0)
    assert worth(tree, 3, 4) == pytest.approx(BONUS * 9)


def test_a_phrase_ends_where_its_last_word_does() -> None:
    tree = Likely(
        ("class", "test", "testing", "test suite"), (" class", "ic", ".", " test", "ing", "ify", " suite", "", "'s")
    )
    assert worth(tree, 0) == worth(tree, 0, 2) == worth(tree, 0, 8) == pytest.approx(BONUS * 5)
    assert (
        worth(tree, 0, 1) == worth(tree, 0, 7, 1) == pytest.approx(0)
    )  # classic, with a part of a letter in it or not
    assert worth(tree, 3, 4) == pytest.approx(BONUS * 7)
    assert worth(tree, 3, 5) == pytest.approx(0)  # testify
    assert worth(tree, 3, 6) == pytest.approx(BONUS * 9)
    assert worth(tree, 3, 0, 1) == pytest.approx(BONUS * 4)  # test classic


def test_names_are_likely_as_they_are_spoken_and_ordinary_words_are_not() -> None:
    pieces = (" test", " login", " main", " dot", " py", ".py", " house")
    tree = likely(Vocabulary("shop", ("test_login", "house"), ("src/main.py",)), pieces)
    assert worth(tree, 0, 1) == pytest.approx(BONUS * 9)
    assert worth(tree, 2, 3, 4) == pytest.approx(BONUS * 9)
    assert worth(tree, 2, 5) == pytest.approx(BONUS * 7)
    assert worth(tree, 6) == 0


def test_files_without_an_ending_have_names_too() -> None:
    pieces = (" justfile", " zshrc", " jenkinsfile", " house")
    tree = likely(Vocabulary("shop", (), ("Justfile", ".zshrc", "src/Jenkinsfile", "docs/house")), pieces)
    assert [worth(tree, token) for token in range(4)] == pytest.approx([BONUS * 8, BONUS * 5, BONUS * 11, 0])


def test_texts_that_mean_the_same_agree() -> None:
    found = (Found("Yes.", math.log(0.5), ()), Found("Yeah!", math.log(0.25), ()), Found("Guess.", math.log(0.25), ()))
    assert agreed(found) == pytest.approx(0.5)
    assert agreed(found, command_in) == pytest.approx(0.75)


def test_the_phrase_is_given_as_people_write_it() -> None:
    assert beginnings_of("hey orchestra") == (" Hey, Orchestra,", " Hey Orchestra,")
    assert beginnings_of("what's up doctor") == (" What's, Up Doctor,", " What's up doctor,", " What's, Up, Doctor,")


COARSE = codecs.decode("fuvg", "rot13")
"""A word that nobody wants to read here either."""


def test_a_text_with_a_coarse_word_gives_way_to_the_next_without_one() -> None:
    assert coarse(f"Why is my {COARSE.upper()} failing?")
    assert coarse(f"my {COARSE}'s gone")
    assert not any(coarse(text) for text in ("Why is my test failing?", "", "classic", "it's Postgres"))
    bad, good, worse = (
        Found(f"my {COARSE}.", math.log(0.5), ()), Found("My test.", math.log(0.25), ()), Found(COARSE, math.log(0.25), ())
    )  # fmt: skip
    assert fit_to_say((bad, good, worse)) == (good, bad, worse)
    assert agreed(fit_to_say((bad, good, worse))) == pytest.approx(
        0.25
    )  # as likely as it is, so that it is asked about
    assert fit_to_say((bad, worse)) == fit_to_say(()) == ()
    assert not [word for word in common_words() if coarse(word)]


# ------------------------------------------------------------------------------- the search, over a model made by hand


def tokenizer(place: Path, *pieces: bytes) -> Tokens:
    """A file in the format that `tokens.py` describes, with the three tokens that mean no text before these."""
    rows = (b"<unk>", b"<s>", b"</s>", *pieces)
    lengths = [bytes([len(row)]) if len(row) < 128 else bytes([128 + len(row) % 128, len(row) // 128]) for row in rows]
    (place / "tokenizer.bin").write_bytes(b"".join(length + row for length, row in zip(lengths, rows, strict=True)))
    return Tokens(place / "tokenizer.bin")


def test_tokens_are_read_and_texts_are_made_of_the_fewest(tmp_path: Path) -> None:
    blank = "\u2581".encode()
    tokens = tokenizer(tmp_path, blank, b"c", b"a", b"t", b"cat", blank + b"cat", b"x" * 300, b"\xc3", b"\xbc", b"at")
    assert tokens.said[2:] == ("</s>", " ", "c", "a", "t", "cat", " cat", "x" * 300, "", "", "at")
    assert tokens.of(" cat") == (8,)
    assert tokens.of("tcat cat") == (6, 7, 8)
    assert tokens.of("\u00fc") == (10, 11)  # in two bytes, C3 BC
    assert tokens.text((1, 8, 10, 11, 5, 10, 2)) == " cat\u00fca"  # half a letter is none


@pytest.mark.parametrize(
    ("text", "made"), [("zzz", ()), ("cat!", (7,)), ("!cat", (7,)), ("ca?t", (4, 5, 6)), ("", ()), ("\ud800c", (4,))]
)
def test_what_no_token_makes_is_left_out(text: str, made: tuple[int, ...], tmp_path: Path) -> None:
    assert tokenizer(tmp_path, b" ", b"c", b"a", b"t", b"cat").of(text) == made


class ByHand:
    """A model whose next token hangs on the text so far: `rows` has, for texts, the probabilities of some tokens."""

    def __init__(self, tokens: Tokens, rows: dict[tuple[int, ...], dict[int, float]]) -> None:
        self.tokens = tokens
        self.rows = rows
        self.steps = 0

    def _state(self, texts: list[tuple[int, ...]]) -> Any:
        import numpy as np

        self.texts, self.steps = texts, self.steps + 1
        self.logprobs = np.full((len(texts), 40), -30.0)
        for row, text in enumerate(texts):
            for token, probability in self.rows.get(text, {3: 1.0}).items():
                self.logprobs[row, token] = math.log(probability)
        return self

    def begin(self, _hidden: object, beginning: Sequence[int] = ()) -> Any:
        return self._state([tuple(beginning)])

    def follow(self, _state: object, rows: Sequence[int], tokens: Sequence[int]) -> Any:
        return self._state([(*self.texts[row], token) for row, token in zip(rows, tokens, strict=True)])


A, B, C = 4, 5, 6


@pytest.fixture
def letters(tmp_path: Path) -> Tokens:
    pytest.importorskip("numpy", reason="pip install 'orchestra-council[omi]'")
    return tokenizer(
        tmp_path, b"-", *(f"\u2581{letter}".encode() for letter in "abc"), *(f"{n}".encode() for n in range(40))
    )


ROWS: dict[tuple[int, ...], dict[int, float]] = {
    (): {A: 0.6, B: 0.4},
    (A,): {B: 0.5, C: 0.5}, (A, B): {END: 0.5, C: 0.5}, (A, C): {END: 0.5, C: 0.5},
    (B,): {END: 0.9, C: 0.1},
}  # fmt: skip


def test_the_likeliest_text_is_found_where_the_likeliest_first_word_leads_elsewhere(letters: Tokens) -> None:
    model: Any = ByHand(letters, ROWS)
    found = search(model, [0], NOTHING)  # type: ignore[arg-type]
    assert found[0].text == "b"  # .4 * .9 is more than .6 * .5 * .5
    assert found[0].score == pytest.approx(math.log(0.36))
    assert found[0].logprobs == pytest.approx((math.log(0.4), math.log(0.9)))
    assert found[0].complete
    narrow: Any = ByHand(letters, ROWS)
    assert search(narrow, [0], NOTHING, width=1)[0].text in ("a b", "a c")  # type: ignore[arg-type]


def test_a_likelier_phrase_wins_where_it_is_finished_and_a_beginning_is_not_told_again(letters: Tokens) -> None:
    model: Any = ByHand(letters, {(C, *text): row for text, row in ROWS.items()})
    tree = Likely(("a c",), letters.said)
    found = search(model, [0], tree, beginning=" c")  # type: ignore[arg-type]
    worth = {one.text: one.score for one in found}
    assert worth["a c"] == pytest.approx(math.log(0.15) + 2 * BONUS)
    assert worth["b"] == pytest.approx(math.log(0.36))


def test_a_search_ends_after_so_many_tokens_or_when_nobody_waits(letters: Tokens) -> None:
    endless: Any = ByHand(letters, {})
    (*_, last) = search(endless, [0], NOTHING, most=5, width=1)  # type: ignore[arg-type]
    assert (last.text, last.complete) == ("-----", False)
    assert search(endless, [], NOTHING) == ()  # type: ignore[arg-type]
    given_up: Any = ByHand(letters, {})
    assert search(given_up, [0], NOTHING, given_up=lambda: given_up.steps >= 3) == ()  # type: ignore[arg-type]
    assert given_up.steps == 3


# ---------------------------------------------------------------------------------------- the embedded engine, by sound


def needs_the_model() -> None:
    """Skips without it; its package is not imported, which would load libraries of its own."""
    try:
        model_directory()
    except VoiceError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def embedded() -> Any:
    needs_the_model()
    return open_transcriber(Voice(transcriber="offline"), _no_vendor, Path())


def spoken(text: str, by: Any = "wake", snr_db: float = 25) -> Utterance:
    return Utterance(noisy(silence(0.3) + say(text, "rms") + silence(0.6), snr_db), by, phrase_s=1.1)


def recorded(name: str, seconds: float) -> Utterance:
    """The beginning of a recording of somebody who reads, which comes with the model."""
    with wave.open(str(model_directory().parent / name)) as file:
        step = file.getframerate() // 16_000
        data = array("h", file.readframes(round(seconds * file.getframerate())))
    # The mean of neighbours is filter enough for speech.
    low = array("h", (sum(data[at : at + step]) // step for at in range(0, len(data) - step + 1, step)))
    return Utterance(low.tobytes(), "button")


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


async def test_people_who_read_aloud_are_understood_word_for_word(embedded: Any) -> None:
    beckett = await embedded.transcribe(recorded("beckett.wav", 20), Vocabulary())
    assert words(beckett.text)[:12] == words("Ever tried. Ever failed. No matter. Try again. Fail again. Fail better.")
    dickens = await embedded.transcribe(recorded("two_cities.wav", 12), Vocabulary())
    assert words(dickens.text)[:12] == words("It was the best of times, it was the worst of times,")
    assert beckett.woken is dickens.woken is None


@needs_speech
async def test_a_question_is_understood_without_its_phrase_and_other_speech_was_not_meant_for_us(embedded: Any) -> None:
    asked = await embedded.transcribe(spoken("hey orchestra, what does the last commit change"), SHOP)
    assert (words(asked.text), asked.woken) == (words("what does the last commit change"), True)
    other = await embedded.transcribe(spoken("my dog likes to eat the carpet every morning"), SHOP)
    assert other.woken is False


@needs_speech
async def test_a_name_of_the_project_is_written_as_the_project_writes_it(embedded: Any) -> None:
    heard = await embedded.transcribe(spoken("hey orchestra, why does order repository crash"), SHOP)
    assert heard.text == "why does OrderRepository crash?"


@needs_speech
async def test_an_awaited_yes_is_one_and_what_only_has_it_in_it_is_none(embedded: Any) -> None:
    for said, command in (
        ("yes", "yes"),
        ("cancel", "cancel"),
        ("yesterday", None),
        ("maybe later", None),
        ("shop", None),
    ):
        heard = await embedded.transcribe(spoken(said, "expected"), SHOP)
        assert command_in(heard.text) == command, said


async def test_silence_noise_and_tones_are_no_words(embedded: Any) -> None:
    sounds = [silence(0.0), silence(0.05), silence(3.0), tone(2.0)]
    if not MISSING:
        sounds += [noise(4.0, -30), noise(6.0, -20)]
    for pcm in sounds:
        for by in ("wake", "button", "expected"):
            assert (await embedded.transcribe(Utterance(pcm, by), SHOP)).text == ""


async def test_strange_names_break_nothing_and_a_cancelled_question_does_not_hold_up_the_next(embedded: Any) -> None:
    strange = Vocabulary(
        "日本", ("x" * 59, "日本語", "a(b", "[any]", "foo@bar", "</s>", "__", "ok_name"), ("a b.py", ".x"), ("ü/ö",)
    )
    with anyio.move_on_after(0.01) as scope:
        await embedded.transcribe(Utterance(silence(20.0), "button"), strange)
    assert scope.cancelled_caught
    assert (await embedded.transcribe(Utterance(silence(1.0), "button"), strange)).text == ""


def at_work(code: Any) -> int:
    """How many threads are in some code just now."""
    count = 0
    for frame in sys._current_frames().values():
        while frame is not None and frame.f_code is not code:
            frame = frame.f_back  # type: ignore[assignment]
        count += frame is not None
    return count


async def test_the_work_of_cancelled_questions_ends_before_the_next_begins(embedded: Any) -> None:
    for _ in range(3):
        with anyio.move_on_after(0.02):
            await embedded.transcribe(recorded("beckett.wav", 24), SHOP)
    await embedded.transcribe(Utterance(silence(0.2), "button"), SHOP)
    assert not at_work(Offline._work.__code__)


async def test_a_cancelled_question_is_not_searched_to_its_end(embedded: Any) -> None:
    asked = recorded("two_cities.wav", 24)
    await embedded.transcribe(asked, SHOP)  # what is made once is made
    began = time.process_time()
    await embedded.transcribe(asked, SHOP)
    whole, began = time.process_time() - began, time.process_time()
    async with anyio.create_task_group() as group:
        group.start_soon(embedded.transcribe, asked, SHOP)
        while not at_work(search.__code__):  # noqa: ASYNC110 - a thread tells nobody when it begins
            await anyio.sleep(0.005)
        group.cancel_scope.cancel()
    await embedded.transcribe(Utterance(silence(0.2), "button"), SHOP)
    assert time.process_time() - began < whole / 2


@needs_speech
@pytest.mark.parametrize("phrase", ["listen to me now", "wake up house"])
async def test_a_phrase_of_one_s_own_is_known_as_said_by_several_voices(phrase: str) -> None:
    needs_the_model()
    engine = Offline(phrase=phrase)
    for voice in ("rms", "en-us+f3"):
        said = say(f"{phrase}, why is my test failing", voice)
        heard = await engine.transcribe(Utterance(noisy(silence(0.3) + said + silence(0.6), 25), "wake"), SHOP)
        assert heard.woken is not False, voice
    other = await engine.transcribe(spoken("my dog likes to eat the carpet every morning"), SHOP)
    assert other.woken is not True


@needs_speech
def test_a_yes_with_something_that_nobody_can_say_is_none() -> None:
    needs_the_model()
    hidden = moonshine().encode(samples_of(spoken("yes").pcm))
    assert _sounds_like("Yes.", hidden)
    assert not _sounds_like("Yes, 100%.", hidden)


async def test_half_a_sample_at_the_end_is_left_out(embedded: Any) -> None:
    assert samples_of(b"\x00\x40\x01").tolist() == [0.5]
    assert (await embedded.transcribe(Utterance(silence(1.0) + b"\x00", "button"), SHOP)).text == ""


async def test_an_engine_that_takes_too_long_says_so(embedded: Any) -> None:
    hasty: Any = type(embedded)(phrase=PHRASE, patience_s=0.001)
    with pytest.raises(VoiceError, match="too long"):
        await hasty.transcribe(Utterance(silence(10.0), "button"), SHOP)


def test_nouns_and_rules_need_no_package_of_the_extra() -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "import orchestra_mcp.edge.words.judging, orchestra_mcp.edge.words.repair, orchestra_mcp.edge.words.commands\n"
        "import orchestra_mcp.edge.words.remote, orchestra_mcp.edge.words.whisper, orchestra_mcp.edge.words.offline\n"
        "print([m for m in ('moonshine_voice', 'onnxruntime', 'numpy', 'faster_whisper', 'ctranslate2') if m in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert re.fullmatch(r"\[\]\s*", ran.stdout)
