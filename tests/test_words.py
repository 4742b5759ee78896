"""From an utterance to a question: engines over HTTP and offline, and what is believed of them.

Sound is made by espeak-ng and flite; there is no human speech here. The vendor is a real HTTP server on loopback.
"""

from __future__ import annotations

import io
import json
import math
import re
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from email import message_from_bytes
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from speech import needs_speech, noisy, say, silence
from webdoor import Vendor

from orchestra_mcp.edge.nouns import Heard, Utterance, Vocabulary
from orchestra_mcp.edge.words import open_transcriber
from orchestra_mcp.edge.words.commands import command_in
from orchestra_mcp.edge.words.common import common_words, drawn_anew
from orchestra_mcp.edge.words.decoded import Decoded, Word
from orchestra_mcp.edge.words.gate import judged
from orchestra_mcp.edge.words.judging import judge, pieces_of
from orchestra_mcp.edge.words.pronouncing import Pronouncer, spoken_parts
from orchestra_mcp.edge.words.remote import Remote
from orchestra_mcp.edge.words.templates import COMMANDS, Grammar, expand, sentences
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
     "Thank you. Bye.", "Subtitles by the Amara.org community", "Thank you so much for watching and see you in the next video"],
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


def test_templates_are_written_out() -> None:
    assert expand("(a|the|) x (b|c)") == ["a x b", "a x c", "the x b", "the x c", " x b", " x c"]
    grammar = Grammar(sentences())
    assert grammar.parses("why is my [thing] [state]".split())
    assert grammar.parses("why is [identifier] [state] in project [project]".split())
    assert not grammar.parses("why is my [thing]".split())
    assert not grammar.parses("why is my [state] [thing]".split())


def test_every_command_of_the_embedded_engine_is_a_command() -> None:
    assert all(command_in(said) == name for name, each in COMMANDS.items() for said in each)


def test_names_are_said_by_their_words_letters_and_developers_habits() -> None:
    pytest.importorskip("pocketsphinx", reason="pip install 'orchestra-council[omi]'")
    ways = Pronouncer().ways
    # From http://www.speech.cs.cmu.edu/cgi-bin/cmudict: TEST T EH1 S T, USER Y UW1 Z ER0, BY B AY1, GET G EH1 T, MAIN M EY1 N
    assert ways("test_user") == ("T EH S T Y UW Z ER",)
    assert ways("getUser")[0] == "G EH T Y UW Z ER"
    assert ways("main.py")[0] == "M EY N D AA T P AY"
    assert ways("userID")[0] == "Y UW Z ER AY D IY"
    assert ways("db")[0] == "D IY B IY"
    assert ways("xk")[0] == "EH K S K EY"
    assert ways("日本") == ()
    assert spoken_parts("parseHTTPReply_v2") == ("parse", "http", "reply", "v", "2")


def test_the_common_words_are_those_of_the_model_that_is_installed() -> None:
    pytest.importorskip("pocketsphinx", reason="pip install 'orchestra-council[omi]'")
    assert drawn_anew() == common_words()


def found(
    gap: float = 0.0, worst: float = 0.0, posterior: float = 1.0, *, parsed: bool = True, command: str = ""
) -> Decoded:
    words = (
        Word("why", "", 20, -30.0, 0.0, 1.0, 2), Word("is", "", 20, -30.0, 0.0, 1.0, 2),
        Word("test_login", "identifier", 70, -30.0, worst, posterior, 8), Word("failing", "state", 50, -30.0, 0.0, 1.0, 6),
    )  # fmt: skip
    return Decoded(words, gap, -30.0, -30.0, parsed, command, 0.0, 3.0)


def test_a_question_is_sure_doubtful_or_not_shown() -> None:
    assert judged(found()).text == "why is test_login failing"
    assert judged(found()).doubt == ""
    assert judged(found(gap=8)).doubt
    assert judged(found(gap=8)).text
    assert judged(found(posterior=0.4)).doubt  # another name is about as likely
    for far_off in (found(parsed=False), found(gap=25), found(worst=60), None):
        assert judged(far_off).text == ""
        assert judged(far_off).doubt
    assert judged(found(gap=12, command="yes")).text == ""  # a yes sends something: it has to be one


# ---------------------------------------------------------------------------------------- the embedded engine, by sound


@asynccontextmanager
async def embedded() -> AsyncIterator[Any]:
    pytest.importorskip("pocketsphinx", reason="pip install 'orchestra-council[omi]'")
    engine: Any = open_transcriber(Voice(transcriber="offline"), _no_vendor, Path())
    try:
        yield engine
    finally:
        await engine.aclose()


def spoken(text: str, by: Any = "wake") -> Utterance:
    return Utterance(noisy(silence(0.3) + say(text, "rms") + silence(0.6), 25), by)


@needs_speech
async def test_questions_of_the_templates_are_understood_and_other_speech_is_not_believed() -> None:
    asked = {
        "hey orchestra, what does the last commit change": "what does the last commit change",
        "why does order repository crash": "why does OrderRepository crash",
    }
    other = ("my dog likes to eat the carpet every morning",)
    async with embedded() as engine:
        right = [(await engine.transcribe(spoken(said), SHOP)).text == meant for said, meant in asked.items()]
        heard = [await engine.transcribe(spoken(said), SHOP) for said in other]
        told = {
            said: await engine.transcribe(spoken(said, "expected"), SHOP) for said in ("yes", "cancel", "maybe later")
        }
    assert any(right)
    assert all(one.doubt for one in heard)
    commands = {said: command_in(one.text) for said, one in told.items()}
    assert commands["maybe later"] is None
    assert commands["yes"] in ("yes", None)
    assert commands["cancel"] in ("cancel", None)
    assert commands["yes"] or commands["cancel"]


async def test_silence_and_strange_names_break_nothing_and_a_cancelled_question_ends_the_process_that_listens() -> None:
    strange = Vocabulary(
        "日本", ("x" * 59, "日本語", "a(b", "[any]", "foo@bar", "</s>", "__", "ok_name"), ("a b.py", ".x"), ("ü/ö",)
    )
    async with embedded() as engine:
        assert (await engine.transcribe(Utterance(silence(1.0), "button"), strange)).text == ""
        process = engine._child._process
        with anyio.move_on_after(0.01):
            await engine.transcribe(Utterance(silence(12.0), "button"), strange)
        assert process.returncode is not None
        assert (
            await engine.transcribe(Utterance(silence(0.5), "button"), strange)
        ).text == ""  # a new one serves the next


def test_nouns_and_rules_need_no_package_of_the_extra() -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "import orchestra_mcp.edge.words.judging, orchestra_mcp.edge.words.repair, orchestra_mcp.edge.words.commands\n"
        "import orchestra_mcp.edge.words.remote, orchestra_mcp.edge.words.whisper, orchestra_mcp.edge.words.offline\n"
        "print([m for m in ('pocketsphinx', 'numpy', 'faster_whisper', 'ctranslate2') if m in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert re.fullmatch(r"\[\]\s*", ran.stdout)
