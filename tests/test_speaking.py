"""The spoken answer: two honest sentences, a voice that can be stopped, ways that do not hinder each other, a beep.

What a voice should say is written by hand; espeak-ng, flite and the shell are the real ones.
"""

from __future__ import annotations

import re
import shutil
import sys
import wave
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_mcp.edge.audio.tones import tone
from orchestra_mcp.edge.nouns import Cue, Reply
from orchestra_mcp.edge.speaking.delivery import Delivery, DesktopMouth
from orchestra_mcp.edge.speaking.devicesound import beep
from orchestra_mcp.edge.speaking.readable import readable
from orchestra_mcp.edge.speaking.summary import cost, details, notification, spoken, sure
from orchestra_mcp.edge.speaking.voice import ENGINES, ComputerVoice, Engine, speakable
from orchestra_mcp.errors import VoiceError
from orchestra_mcp.telemetry.notifying import Desktop
from orchestra_mcp.types import Absence, Check, Claim, Dissent, Solution, Status, Usage, Verdict

HEARD = "why is my test failing?"


def verdict(position: str = "The parser drops the last line", confidence: float = 0.71, **more: Any) -> Verdict:
    solution = Solution(
        rank=1, position=position, answer="…", score=1, probability=confidence, seats=("Ada", "Cy"), plan=("Fix it.",)
    )
    given: dict[str, Any] = {
        "id": "c1", "question": HEARD, "headline": "3 of 3 experts answered: Ada, Bo, Cy.", "answer": "…",
        "solutions": (solution,) if position else (), "confidence": confidence, "answered": ("Ada", "Bo", "Cy"),
    }  # fmt: skip
    return Verdict(**(given | more))


def minority(*seats: str, position: str = "It is the fixture") -> Dissent:
    return Dissent(position=position, argument="…", seats=seats, probability=0.2)


# ------------------------------------------------------------------------------------------------- words for the ear


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("`get_user_by_id` fails", "get user by id fails"),
        ("getUserById() fails", "get user by id fails"),
        ("HTTPServer and parseJSON", "HTTP server and parse JSON"),
        ("MAX_RETRY_COUNT is 0", "max retry count is 0"),
        ("`__init__` of `self._cache`", "dunder init of self dot underscore cache"),
        ("see auth.py:42", "see auth dot py line 42"),
        ("in src/web/auth.py:42-45", "in auth dot py line 42 to 45"),
        (r"in C:\work\app\main.cpp:10:3", "in main dot cpp line 10"),
        ("test_auth.py fails", "test auth dot py fails"),
        ("under /home/ada/src/parsers", "under src parsers"),
        ("`x <= 3 && y != 4`", "x at most 3 and y is not equal to 4"),
        ("a **bold** _word_ and `code`", "a bold word and code"),
        ("# Heading\n- one\n- two", "Heading one two"),
        ("see [the docs](https://example.org/a?b=c) or https://example.org", "see the docs or a link"),
        ("![pixel](https://example.org/p.png) done", "pixel done"),
        ("before\n```py\nos.remove('x')\n```\nafter", "before some code after"),
        ("commit 4f2a9c1b broke it", "commit a hash broke it"),
        ("e.g. 50% of them, i.e. half", "for example 50 percent of them, that is half"),
        ("`lines[:-1]` drops one", "some code drops one"),
        ("[[slnc 9000]] <speak>hi</speak>", "slnc 9000 hi"),
        ("a\x1b]0;title\x07b\u202ec", "abc"),
        ("don't retry; it's Python 3.12", "don't retry; it's Python 3.12"),
        ("größer als 日本", "größer als 日本"),
    ],
)
def test_what_is_written_is_read_as_words(written: str, read: str) -> None:
    assert readable(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("should we use C++ or C#?", "should we use C plus plus or C sharp?"),
        ("F# on .NET 8", "F sharp on dot net 8"),
        ("C++17, not C", "C plus plus 17, not C"),
        ("Pin numpy to >=1.26,<2.0", "Pin numpy to at least 1.26, less than 2.0"),
        ("pin it to <3.0", "pin it to less than 3.0"),
        ("`numpy>=1.26`", "numpy at least 1.26"),
        ("Python 3.11+", "Python 3.11 or later"),
        ("Python 3.11+.", "Python 3.11 or later."),
        ("with 10+ workers", "with 10 or more workers"),
        ("pin `requests==2.31.0`", "pin requests double equals 2.31.0"),
        ("`~=1.4`", "compatible with 1.4"),
        ("Upgrade to v2.0.0-rc.1 from 1.9.12", "Upgrade to v2.0.0-rc.1 from 1.9.12"),
        ("Replace `a = b` by `a == b`", "Replace a equals b by a double equals b"),
        ("Replace a = b by a == b", "Replace a equals b by a double equals b"),
        ("use `===`", "use triple equals"),
        ("`a != b`", "a is not equal to b"),
        ("a != b", "a is not equal to b"),
        ("a!=b", "a is not equal to b"),
        ("`x is not None`, not `x != None`", "x is not None, not x is not equal to None"),
        ("`!ready` rather than `ready`", "not ready rather than ready"),
        ("Use !x", "Use not x"),
        ("`x ?? y` is lazy", "x double question mark y is lazy"),
        ("x ?? y is lazy", "x double question mark y is lazy"),
        ("`user?.name`", "user question mark dot name"),
        ("`a & b` is not `a && b`", "a ampersand b is not a and b"),
        ("`str | None`", "str pipe None"),
        ("`i++`", "i plus plus"),
        ("`x += 1`", "x plus equals 1"),
        ("`n - 1`, not `n + 1`", "n minus 1, not n plus 1"),
        ("`2 ** 8`", "2 to the power of 8"),
        ("pass **kwargs and *args", "pass double star kwargs and star args"),
        ("`**kwargs`", "double star kwargs"),
        ("it is annotated `-> None`", "it is annotated arrow None"),
        ("`p->x` is not `p.x`", "p arrow x is not p dot x"),
        ("x < 3 and y > 4", "x less than 3 and y greater than 4"),
        ("p99 < 5 ms", "p99 less than 5 ms"),
        ("Return `Optional[str]` instead of `str`", "Return Optional of str instead of str"),
        ("List[int]", "List of int"),
        ("`dict[str, int]`", "dict of str, int"),
        ("`Arc<Mutex<T>>` is dropped early", "Arc of Mutex of T is dropped early"),
        ("List<String> leaks", "List of String leaks"),
        ("`x[0]`", "x at 0"),
        ("`x[-1]`", "x at minus 1"),
        ("`items.filter(user=u)` is slow", "items dot filter of user equals u is slow"),
        ("`O(n^2)`", "O of n to the power of 2"),
        ("O(n^2)", "O of n to the power of 2"),
        ("Rename `_foo` to `foo`", "Rename underscore foo to foo"),
        ("Rename `getUser` to `get_user`", "Rename get capital user to get underscore user"),
        ("Rename `foo` to `Foo`", "Rename foo to capital Foo"),
        ("Pass `save`, not `save()`", "Pass save, not save with parentheses"),
        ("`__init__.py` shadows `utils/__init__.py`", "dunder init dot py shadows utils slash dunder init dot py"),
        ("the file a/models.py, not b/models.py", "the file a slash models dot py, not b slash models dot py"),
        ("Pass `--no-verify`", "Pass double dash no verify"),
        ("Use `-O0`, not `-O2`", "Use dash O0, not dash O2"),
        ("-5 % 3 is 1", "minus 5 modulo 3 is 1"),
        ("`-5 % 3` is 1", "minus 5 modulo 3 is 1"),
        ("it fell by -3.5", "it fell by minus 3.5"),
        ("50% of 5-10%", "50 percent of 5 to 10 percent"),
        ("50 % of it", "50 percent of it"),
        ("10-20 ms", "10 to 20 ms"),
        ("lines 3–7", "lines 3 to 7"),
        ("5 - 3 is 2", "5 minus 3 is 2"),
        ("Since 2026-11-03", "Since 3 November 2026"),
        ("CVE-2024-3094 in xz", "CVE 2024 3094 in xz"),
        ("$0.05 per call", "0.05 dollars per call"),
        ("€3/M", "3 euros per M"),
        ("10k req/s", "10k req per s"),
        ("1.5e-3 s", "1.5 times 10 to the power of minus 3 s"),
        ("about ~20ms", "about about 20ms"),
        ("see #1234", "see number 1234"),
        ("N+1 query", "N plus 1 query"),
        ("not on null/undefined", "not on null slash undefined"),
        ("only w/ HTTP/2", "only with HTTP 2"),
        ("misses `.5`", "misses point 5"),
        ("the file(s) in .env", "the files in dot env"),
        ("x ∈ S, x ≥ 3 ± 1", "x element of S, x at least 3 plus or minus 1"),
        (r"`\d+(\.\d+)?` misses", "some code misses"),
        ("`(a + b) * c` is", "some code is"),
        ("`f(x) + y` is", "some code is"),
        ("The `<Button onClick={() => f()}>` leaks", "some code leaks"),
        ("Use `a[1:]`, not `a[:-1]`", "Use some code, not some code"),
        ("The regex `^(a+)+$` backtracks", "The regex some code backtracks"),
        ("close the <div> in it", "close the div tag in it"),
        ('null, 0 or ""', "null, 0 or the empty string"),
        ("the **`foo`** is `a`->`b`", "the foo is a arrow b"),
        ("***really*** __Bad__ and __init__", "really Bad and dunder init"),
        ("SELECT * FROM t", "SELECT star FROM t"),
        ("2 * 3", "2 times 3"),
        ("Q&A about I/O and TCP/IP", "Q and A about I O and TCP IP"),
        ("GET/POST", "GET slash POST"),
        ("from 1..10 and 1-2-3", "from 1 to 10 and 1 2 3"),
        ("in 2026-11 or on 2026/11/03", "in November 2026 or on 3 November 2026"),
        ("GET `/api/v1/users`", "GET api slash v1 slash users"),
        ("C++'s and `foo`'s", "C plus plus's and foo's"),
        (">50% or +5%", "greater than 50 percent or plus 5 percent"),
        ("Python 3.9-3.12", "Python 3.9 to 3.12"),
        ("needs >= 3.11 but < 4", "needs at least 3.11 but less than 4"),
        (
            "move src/a/b/models to lib/a/b/models",
            "move src slash a slash b slash models to lib slash a slash b slash models",
        ),
        ("`a or b`, not `a || b`", "a or b, not a double pipe b"),
        ("the `==` in `a == b` is right", "the double equals in a double equals b is right"),
        ("3,5 % (of 5 % 3)", "3,5 percent, of 5 modulo 3,"),
        ("replace ' with \"", "replace a single quote with a double quote"),
        (r"the `\n` is stripped", "the backslash n is stripped"),
        ("-x or --no-verify", "dash x or double dash no-verify"),
        ("it is ~~safe~~ unsafe", "it is unsafe"),
        ("bind to ::1", "bind to double colon 1"),
        ("`x <<= 1` and `{}`", "some code and some code"),
    ],
)
def test_what_is_heard_says_what_is_written(written: str, read: str) -> None:
    assert readable(written) == read


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a = b", "a == b"),
        ("a == b", "a === b"),
        ("a & b", "a && b"),
        ("x", "!x"),
        ("x?", "x"),
        ("foo", "_foo"),
        ("foo", "foo()"),
        ("fooBar", "foo_bar"),
        ("a.b", "a->b"),
        ("a.b", "a::b"),
        ("*a", "**a"),
        ("a[0]", "a[-1]"),
        ("a[1:]", "a[:1]"),
        ("f(x) + y", "f(x + y)"),
        ("(a + b) * c", "a + b * c"),
        ("List[int]", "List<int>"),
        ("str", "Optional[str]"),
        ("-5", "5"),
        ("<2", "<=2"),
        ("-v", "--v"),
        ("not x", "!x"),
        ("my-pkg", "my_pkg"),
        ("a/x.py", "b/x.py"),
    ],
)
def test_two_pieces_of_code_do_not_sound_alike(one: str, other: str) -> None:
    """Together in a sentence they are told apart, or it is said that they are code."""
    first, second = readable(f"Write `{one}` rather than `{other}`").removeprefix("Write ").split(" rather than ")
    assert first
    assert second
    assert first.lower() != second.lower() or first == "some code"


def test_a_question_mark_in_code_ends_no_sentence() -> None:
    said = spoken(verdict("`x = y ?? z` short-circuits only on null"), "is it C++ or C#?")
    assert said == (
        "You asked: is it C plus plus or C sharp. Most likely: x equals y double question mark z short-circuits only on null, "
        "71 percent sure."
    )


def test_of_a_list_it_is_said_that_there_is_more() -> None:
    said = spoken(verdict("1. The loop is off by one. 2. The lock is missing."), "")
    assert said == "Most likely: the loop is off by one, and more, 71 percent sure."


def claim(path: str, line: int, outcome: str) -> Claim:
    return Claim(text="…", path=path, line=line, check=Check(outcome=outcome))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("position", "claims", "told"),
    [
        ("It is in config.py:42", [claim("src/config.py", 42, "verified")], "it is in config dot py line 42"),
        ("It is in config.py:42", [claim("src/config.py", 42, "refuted")], "it is in a place that proved wrong"),
        ("It is in `config.py` line 42", [claim("src/config.py", 42, "refuted")], "it is in a place that proved wrong"),
        ("Line 42 of config.py is late", [claim("config.py", 42, "refuted")], "a place that proved wrong is late"),
        ("It is in config.py:42", [claim("config.py", 42, "unchecked")], "it is in config dot py line 42, unconfirmed"),
        ("See `config.py:42` first", [], "See config dot py line 42, unconfirmed, first"),
        ("It is in config.py:42", [claim("config.py", 0, "verified")], "it is in config dot py line 42, unconfirmed"),
        ("It is in config.py:42", [claim("other.py", 42, "verified")], "it is in config dot py line 42, unconfirmed"),
        ("It is in config.py", [claim("config.py", 42, "refuted")], "it is in config dot py, unconfirmed"),
        ("It is in config.py", [claim("config.py", 0, "refuted")], "it is in a place that proved wrong"),
        ("It is in config.py", [], "it is in config dot py"),
    ],
)
def test_a_place_that_was_not_confirmed_is_not_told_as_a_fact(position: str, claims: list[Claim], told: str) -> None:
    whole = verdict(position)
    solution = whole.solutions[0].model_copy(update={"claims": tuple(claims), "plan": (position,)})
    judged = whole.model_copy(update={"solutions": (solution,)})
    assert spoken(judged, "") == f"Most likely: {told}, 71 percent sure."
    step = told[0].upper() + told[1:] if position[0].isupper() else told
    assert f"First step: {step}." in details(judged) or "a place that proved wrong" in details(judged)
    assert ("42" in notification(judged, "")[1]) == ("42" in position and "proved wrong" not in told)


@given(st.text(alphabet="ab_.C+#<>=!?&|*-/\\()[]{}`'\"%$^~0159, :;@\n", max_size=300))
@settings(deadline=None)
def test_signs_of_any_kind_are_read_or_left_out(text: str) -> None:
    assert not re.search(r"[`<>\[\]{}|\\/*#_~^$@&=+\ue000-\uf8ff]", readable(text))


@given(st.text(max_size=400))
def test_nothing_but_words_and_simple_punctuation_is_read(text: str) -> None:
    words = readable(text)
    assert not re.search(r"[`<>\[\]{}|\\/*#_~^$@&=+\x00-\x1f]", words)
    assert words == " ".join(words.split())


# ----------------------------------------------------------------------------------------------------- two sentences


def test_the_answer_repeats_the_question_and_says_how_sure_it_is_and_who_objects() -> None:
    assert spoken(verdict(dissent=(minority("Bo"),)), HEARD) == (
        "You asked: why is my test failing. Most likely: the parser drops the last line, 71 percent sure; Bo disagrees."
    )


@pytest.mark.parametrize(
    ("confidence", "opening", "sureness"),
    [
        (0.999, "Most likely:", "99 percent sure"),  # never rounded up
        (0.29, "Only a guess:", "29 percent sure"),
        (0.5, "Perhaps:", "50 percent sure"),
        (0.0, "Only a guess:", "hardly sure at all"),
    ],
)
def test_doubt_is_heard(confidence: float, opening: str, sureness: str) -> None:
    said = spoken(verdict(confidence=confidence), "")
    assert said == f"{opening} the parser drops the last line, {sureness}."


@given(st.floats(min_value=0, max_value=1))
def test_it_never_sounds_surer_than_it_is(probability: float) -> None:
    percent = re.search(r"\d+", sure(probability))
    assert int(percent[0] if percent else 0) <= probability * 100 + 1e-6


def test_those_who_disagree_are_named_or_counted() -> None:
    assert "; Bo and Di disagree." in spoken(verdict(dissent=(minority("Bo", "Di"),)), "")
    assert "; 3 experts disagree." in spoken(verdict(dissent=(minority("Bo"), minority("Di", "Ed"))), "")


LATE = Absence(seat="Bo", kind="late", reason="too slow")


@pytest.mark.parametrize(
    ("status", "more", "begins"),
    [
        ("degraded", {"answered": ("Ada", "Cy"), "absent": (LATE,)}, "Only 2 of 3 experts answered; you asked: why"),
        (
            "degraded",
            {"answered": (), "absent": (LATE,)},
            "No expert answered, only plain code analysis; you asked: why",
        ),
        ("degraded", {}, "The council was not complete; you asked: why"),
        ("cancelled", {}, "The council was stopped early; you asked: why"),
        ("running", {}, "The council is not done yet; you asked: why"),
        ("interrupted", {}, "The council was interrupted; you asked: why"),
        ("complete", {"answered": ()}, "No expert answered, only plain code analysis; you asked: why"),
    ],
)
def test_a_council_that_was_not_whole_is_told_of_first(status: Status, more: dict[str, Any], begins: str) -> None:
    assert spoken(verdict(status=status, **more), HEARD).startswith(begins)
    assert notification(verdict(status=status, **more), HEARD)[1].startswith(begins.split(";")[0])


def test_no_answer_is_told_with_its_reason() -> None:
    failed = verdict("", 0.0, status="failed", answered=(), absent=(Absence(seat="Ada", kind="auth", reason="x"),))
    assert spoken(failed, HEARD) == (
        "The council has no answer; you asked: why is my test failing. The reason: a key was refused."
    )


def test_a_long_position_is_cut_where_a_clause_ends_and_says_that_there_is_more() -> None:
    position = (
        "The cache is shared by all workers, so one that dies in the middle of a write leaves half an entry behind it, which the "
        "next reader takes for a whole one unless it checks the length that was written before it and compares it, which none does"
    )
    said = spoken(verdict(position), HEARD)
    assert ": the cache is shared by all workers, so one that dies in the middle of a write" in said
    assert ", and more, 71 percent sure." in said
    assert len(said.split()) <= 46


def test_what_takes_the_first_sentence_back_is_not_dropped_in_silence() -> None:
    said = spoken(verdict("It is safe to delete the file. But only after a backup."), "")
    assert said == "Most likely: it is safe to delete the file, and more, 71 percent sure."


ANY = st.text(max_size=300) | st.lists(st.sampled_from("a bb. ccc, word `x_y` src/a.py:3 ? ! e.g. But".split())).map(
    " ".join
)


@given(ANY, ANY, st.lists(st.text(min_size=1, max_size=40), max_size=3), st.sampled_from(get_args(Status)))
def test_the_answer_is_bounded_whatever_experts_write(
    position: str, heard: str, seats: list[str], status: Status
) -> None:
    said = spoken(verdict(position or "x", dissent=(minority(*seats),) if seats else (), status=status), heard)
    assert len(re.findall(r"[.?!](?=\s|$)", said)) <= 2
    assert len(said) <= 320
    assert len(said.split()) <= 50
    assert not re.search(r"[`<>\[\]{}|\\/*#_\n]", said)
    title, text = notification(verdict(position or "x", dissent=(minority(*seats),) if seats else ()), heard)
    assert 0 < len(title) <= 80
    assert len(text) <= 240
    assert not set("<>&\n") & set(title + text)


def test_more_tells_of_the_dissent_the_first_step_and_the_cost() -> None:
    whole = verdict(
        dissent=(minority("Bo", position="It is the `tmp_path` fixture"),),
        plan=("Run `pytest -x tests/test_auth.py`", "Then fix it."),
        usage=Usage(cost_usd=Decimal("0.034")),
        seconds=12.4,
    )
    assert details(whole) == (
        "Bo holds: It is the tmp path fixture. First step: Run pytest dash x tests slash test auth dot py. It cost 3 cents and took 12 seconds."
    )
    assert details(verdict(answered=("Ada",))).startswith("Only one expert answered. First step: Fix it.")


@pytest.mark.parametrize(
    ("usd", "unpriced", "told"),
    [
        ("0", 0, "nothing"),
        ("0", 2, "an unknown amount"),
        ("0.004", 0, "less than a cent"),
        ("0.01", 0, "1 cent"),
        ("0.125", 1, "at least 13 cents"),
        ("1.2", 0, "1 dollar 20"),
        ("2", 0, "2 dollars"),
    ],
)
def test_costs_are_told_in_words(usd: str, unpriced: int, told: str) -> None:
    assert cost(Usage(cost_usd=Decimal(usd), unpriced=unpriced)) == told


def test_a_notification_keeps_names_as_they_are_written() -> None:
    title, text = notification(verdict("`read_lines()` in parser.py:7 drops <b>x</b> -> fix it."), "why [x](y) & z")
    assert title == "why x and z"
    assert text == "read_lines() in parser.py:7 drops ‹b›x‹/b› → fix it (71 % sure)."


# ------------------------------------------------------------------------------------------------------------ voice


def shell(script: str, **more: Any) -> Engine:
    return Engine("script", ("/bin/sh", "-c", script), **({"least_word_s": 0.0} | more))


needs_shell = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")


async def test_a_real_engine_says_the_text(tmp_path: Path) -> None:
    lengths = []
    for name, command in {
        "espeak-ng": ("espeak-ng", "--stdin", "-w"),
        "flite": ("flite", "-f", "/dev/stdin", "-o"),
    }.items():
        if not shutil.which(name):
            pytest.skip(f"needs {name}: apt install {name}")
        for text in ("Yes.", "You asked: why is my test failing. Most likely: the parser drops the last line."):
            path = tmp_path / f"{name}.wav"
            voice = ComputerVoice([Engine(name, (*command, str(path)), least_word_s=0)])
            assert await voice.say(text)
            with wave.open(str(path)) as file:
                lengths.append(file.getnframes() / file.getframerate())
    # Fifteen words take some five seconds at 175 words a minute, one word less than one.
    assert all(3 < long < 8 and short < 1.5 for short, long in zip(lengths[::2], lengths[1::2], strict=True))


@needs_shell
async def test_text_goes_in_by_standard_input_and_nothing_of_it_is_run(tmp_path: Path) -> None:
    nasty = f"$(touch {tmp_path}/run) `touch {tmp_path}/run`; touch {tmp_path}/run -- --help [[slnc 1]]"
    assert await ComputerVoice([shell(f"cat > {tmp_path}/heard")]).say(nasty)
    assert (tmp_path / "heard").read_text().split() == nasty.replace("[[", "").replace("]]", "").split()
    assert not (tmp_path / "run").exists()


@needs_shell
async def test_what_is_said_is_in_no_list_of_processes(tmp_path: Path) -> None:
    """Each engine of this list is a program that notes its arguments and its input; `spd-say -e` reads lines (its manual)."""
    for engine in ENGINES["linux"]:
        program = f'for word; do printf "%s|" "$word"; done > {tmp_path}/words; cat > {tmp_path}/heard'
        noting = replace(engine, command=("/bin/sh", "-c", program, *engine.command), least_word_s=0)
        assert await ComputerVoice([noting]).say("!-! quit. The salaries are wrong.\n!-!set self volume 1")
        assert "salaries" not in (tmp_path / "words").read_text()
        said = (tmp_path / "heard").read_text()
        assert said == "quit. The salaries are wrong. set self volume 1\n", "`!-!` begins a command to spd-say"


@needs_shell
async def test_an_engine_is_given_no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-1")
    monkeypatch.setenv("SOME_VOICE", "slt")
    assert await ComputerVoice([shell(f"cat; env > {tmp_path}/env")]).say("Hello.")
    seen = (tmp_path / "env").read_text()
    assert "SOME_VOICE=slt" in seen
    assert "SOME_API_KEY" not in seen


@needs_shell
async def test_an_engine_that_cannot_be_heard_is_followed_by_the_next(tmp_path: Path) -> None:
    engines = [
        Engine("gone", ("/nonexistent/engine",)),
        shell("exit 1"),
        shell("cat; echo 'flite: failed to open audio device default' >&2"),
        shell("cat", least_word_s=10),  # done far too soon
        shell(f"cat > {tmp_path}/heard"),
    ]
    voice = ComputerVoice(engines)
    assert await voice.say("Hello there.")
    assert (tmp_path / "heard").read_text() == "Hello there.\n"
    assert voice.engine == "script"
    assert not await ComputerVoice(engines[:4]).say("Hello.")
    assert not await voice.say(" \n")


@needs_shell
async def test_speech_can_be_stopped_and_cancelled_and_leaves_nothing_behind(tmp_path: Path) -> None:
    deaf: list[bool] = []

    async def deafen(on: bool) -> None:
        deaf.append(on)

    script = f"sleep 600 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/pid; wait"
    voice = ComputerVoice([shell(script, hush=("/bin/sh", "-c", f"touch {tmp_path}/hushed"))], deafen)

    async def begun() -> None:
        while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip()):  # noqa: ASYNC110
            await anyio.sleep(0.01)

    said: list[bool] = []

    async def say() -> None:
        said.append(await voice.say("Something long."))

    with anyio.fail_after(20):
        assert not voice.stop()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(say)
            await begun()
            assert voice.stop()
        assert said == [False]
        assert deaf == [False, True]
        assert (tmp_path / "hushed").exists()
        await gone(tmp_path)
        (tmp_path / "pid").unlink()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(say)
            await begun()
            tasks.cancel_scope.cancel()
        assert said == [False]
        assert deaf == [False, True, False, True]
        await gone(tmp_path)


async def gone(tmp_path: Path) -> None:
    """Until neither the engine nor its child lives (a zombie whose parent has gone does not)."""
    while any(alive((tmp_path / name).read_text().strip()) for name in ("pid", "child")):  # noqa: ASYNC110
        await anyio.sleep(0.01)


def alive(pid: str) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@needs_shell
async def test_only_one_thing_is_said_at_a_time(tmp_path: Path) -> None:
    script = f"test ! -e {tmp_path}/speaking && touch {tmp_path}/speaking && cat >> {tmp_path}/heard && rm {tmp_path}/speaking"
    voice = ComputerVoice([shell(script)])
    async with anyio.create_task_group() as tasks:
        for word in ("one", "two", "three"):
            tasks.start_soon(voice.say, word)
    assert sorted((tmp_path / "heard").read_text().split()) == ["one", "three", "two"]


async def test_a_computer_without_a_voice_says_what_to_install() -> None:
    voice = ComputerVoice([])
    assert not await voice.say("Hello.")
    assert voice.engine == ""
    with pytest.raises(VoiceError, match=r"No speech engine .* speak = false"):
        voice.require()


def test_orders_to_an_engine_are_taken_out() -> None:
    assert speakable("a [[slnc 5000]] b <break/> c\nd\x00") == "a slnc 5000 b break/ c d"


# --------------------------------------------------------------------------------------------------------- delivery


class Ear:
    """A way that works, fails, raises or never ends."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.heard: list[tuple[Reply, str]] = []

    async def tell(self, reply: Reply, link: str = "") -> bool:
        self.heard.append((reply, link))
        if self.how == "raises":
            raise RuntimeError(reply.spoken)
        if self.how == "hangs":
            await anyio.sleep_forever()
        return self.how == "works"


async def test_all_ways_are_told_and_none_hinders_another(caplog: pytest.LogCaptureFixture) -> None:
    ears = {how: Ear(how) for how in ("raises", "works", "fails", "hangs")}
    reply = Reply(heard="a secret question", spoken="A secret answer.")
    with anyio.fail_after(10):
        told = await Delivery(ears | {"also": Ear("works")}, longest_s=0.2).tell(reply, "https://example.org/c1")
    assert told == ("works", "also")
    assert all(ear.heard == [(reply, "https://example.org/c1")] for ear in ears.values())
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text
    assert await Delivery({}).tell(reply) == ()


async def test_without_a_desktop_its_way_says_so() -> None:
    desktop = Desktop()
    desktop.reachable = False
    assert not await DesktopMouth(desktop).tell(Reply(heard="why", spoken="Because."), "https://example.org")


# --------------------------------------------------------------------------------------------- the device's loudspeaker


class Speaker:
    """What `speak()` in `omi/firmware/devkit/src/speaker.c` does with writes, without the sound."""

    def __init__(self) -> None:
        self.left = 0
        self.buffer = b""
        self.played: list[bytes] = []

    def write(self, data: bytes) -> None:
        if len(data) == 4:
            self.left = int.from_bytes(data, "little")
            self.buffer = b""
        elif self.left > 400:
            self.left -= 400
            self.buffer += data
        elif self.left < 400:
            self.buffer += data
            self.played.append(self.buffer)


@pytest.mark.parametrize("room", [400, 244, 182, 64, 101])
@pytest.mark.parametrize("cue", get_args(Cue))
def test_the_firmware_plays_a_beep_once_and_whole(cue: Cue, room: int) -> None:
    speaker = Speaker()
    writes = beep(cue, room)
    for data in writes:
        assert len(data) <= room
        speaker.write(data)
    (played,) = speaker.played
    pcm = tone(cue, 8_000)
    assert pcm.startswith(played)
    assert len(pcm) - len(played) < 8
    assert len(played) <= 5_000  # of mono, in a buffer of 10,000 bytes for two channels
    if room == 400:
        assert int.from_bytes(writes[0], "little") == len(played)


def test_a_link_that_is_too_narrow_does_not_beep() -> None:
    assert beep("done", 20) == []
