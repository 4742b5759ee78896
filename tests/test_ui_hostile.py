"""What hostile answers, pages, keys and processes can do to the dashboard: hold it up, lock others out, or hear of what is gone."""

from __future__ import annotations

import csv
import gc
import html
import io
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import browser
import httpx2
import pytest
from browser import House
from scripting import expert
from upstream import Expert

from orchestra_mcp.app.keys.keyfile import saved_keys, write_key
from orchestra_mcp.cli.costs import as_csv
from orchestra_mcp.store.costs import CostLine
from orchestra_mcp.store.locks import WriterLock
from orchestra_mcp.types import Consultation, Opinion, Question
from orchestra_mcp.web.answering import reply, reply_whole
from orchestra_mcp.web.events import Places, Standing, while_allowed
from orchestra_mcp.web.pages.colouring import FAMILIES, LINE_CHARS, coloured
from orchestra_mcp.web.pages.markdown import (
    BRACKETS,
    CODE_CHARS,
    MARKDOWN_CHARS,
    PAGE_CODE_CHARS,
    PAGE_MARKDOWN_CHARS,
    SHOWN_CHARS,
    code,
    markdown,
    one_page,
)
from orchestra_mcp.web.pages.sessions import EACH, MOST, OWNERS, TICKETS, Sessions, cookie_name

PROGRAM = 'def total(rows):  # of all\n    return sum(row["usd"] * 2 for row in rows)\n'


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with browser.house(
        tmp_path_factory.mktemp("home"), {"alpha": Expert(expert("zqmark it is"))}, admin=True
    ) as opened:
        yield opened


@pytest.fixture
def client(house: House) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=house.url, trust_env=False, timeout=30) as opened:
        yield opened


@pytest.fixture
def entered(client: httpx2.Client, house: House) -> httpx2.Client:
    client.post("/login", data={"key": house.token}, headers={"origin": house.url})
    return client


def ask(house: House, question: str) -> str:
    made = httpx2.post(
        f"{house.url}/api/consultations",
        json={"question": question, "wait_s": 30},
        headers={"authorization": f"Bearer {house.token}"},
        trust_env=False,
        timeout=40,
    )
    assert made.status_code == 200, made.text
    return str(made.json()["id"])


# ------------------------------------------------------------------------------------------------- colours of code

FAMILY_NAMES = sorted({id(family): name for name, family in FAMILIES.items()}.values())
HOSTILE = (
    " ", '"', "'", "`", "\\", "\\'", '\\"', "/*", "*/", "//", "#", "<!--", "<", "</a", "a", "1.", "{-", "--[[", ";", "((",
    '"""', "'''", "\"'", "a ", "+ ", "x$", "é", "\t",
)  # fmt: skip


def words_of(made: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", made))


def seconds(text: str, language: str) -> float:
    """Of this thread's own work, so that what else runs here counts little."""
    began = time.thread_time()
    coloured(text, language)
    return time.thread_time() - began


@pytest.mark.parametrize("language", FAMILY_NAMES)
def test_no_code_takes_much_longer_than_any_other(language: str) -> None:
    size = CODE_CHARS // 4
    usual = max(seconds((PROGRAM * size)[:size], "python") for _ in range(3))
    for piece in HOSTILE:
        one = "x" + (piece * size)[: size - 2] + "!"
        many = "\n".join([(piece * LINE_CHARS)[: LINE_CHARS - 1]] * (size // LINE_CHARS))
        for text in (one, many):
            assert words_of(coloured(text, language)) == text, "letter by letter"
            # A lexer that goes back took 300 times as long; one that has more to mark takes a few times as long.
            assert seconds(text, language) < 40 * usual, piece


def test_a_language_that_is_not_known_has_no_colours_and_long_lines_have_none() -> None:
    assert coloured("<b>def</b>", "klingon") == "&lt;b&gt;def&lt;/b&gt;"
    assert coloured("def f(): 1", "") == "def f(): 1"
    long = "x = 1 " * LINE_CHARS
    assert coloured(f"def f\n{long}\nclass A", "python") == (
        f'<span class="k">def</span> <span class="nf">f</span>\n{long}\n<span class="k">class</span> <span class="nc">A</span>'
    )


def test_what_goes_over_lines_is_coloured_over_lines() -> None:
    assert coloured("a /* b\nc */ d", "c") == 'a <span class="c">/* b</span>\n<span class="c">c */</span> d'
    assert coloured('x = """a\n\n# b""" # c', "python") == (
        'x = <span class="s">&quot;&quot;&quot;a</span>\n\n<span class="s"># b&quot;&quot;&quot;</span> <span class="c"># c</span>'
    )
    assert coloured("see http://example.org // so", "js").count("span") == 2, "an address is no comment"
    assert coloured("echo $# done", "bash") == 'echo $# <span class="k">done</span>'
    assert coloured("select A from b", "SQL") == '<span class="k">select</span> A <span class="k">from</span> b'
    assert coloured("&'a str", "rust") == "&amp;&#x27;a str"


# ------------------------------------------------------------------------------------------------ bounds of a page


def test_the_texts_of_a_page_share_its_bounds() -> None:
    text = ("**a** " * MARKDOWN_CHARS)[: MARKDOWN_CHARS - 1]
    fits = PAGE_MARKDOWN_CHARS // len(text)
    with one_page():
        made = ["<strong>" in markdown(text) for _ in range(fits + 3)]
    # By then the time for a page may be over too, on a slow machine.
    assert made[0]
    assert not any(made[fits:])
    assert "<strong>" in markdown(text), "the next page begins anew"
    program = PROGRAM * 100
    with one_page():
        coloured_ones = sum("<span" in code(program, "python") for _ in range(PAGE_CODE_CHARS // len(program) + 5))
    assert coloured_ones == PAGE_CODE_CHARS // len(program)
    with one_page():
        shown = sum(len(markdown("a" * (SHOWN_CHARS // 4))) for _ in range(8))
        assert shown < SHOWN_CHARS + 8 * 200
        assert "500,000 further characters are not shown here" in markdown("a" * (SHOWN_CHARS // 4))


def test_brackets_by_the_thousand_are_no_markdown() -> None:
    assert markdown("[" * (BRACKETS + 1)) == f'<pre class="code">{"[" * (BRACKETS + 1)}</pre>'
    assert markdown("*a* " + "[" * 10).startswith("<p><em>a</em>")


def test_a_fence_cannot_bring_an_element_along() -> None:
    made = markdown('```c\n</code></pre><script>alert(1)</script>"<b>"\n```\n```<b>\nx\n```')
    assert "<script" not in made
    assert "<b>" not in made


# --------------------------------------------------------------------------------------------------------- sessions


def test_nobodys_logging_in_ends_the_sessions_of_others() -> None:
    sessions = Sessions(lambda: 0.0)
    owner, mine = sessions.open(None), sessions.open(b"mine")
    flood = [sessions.open(b"flood") for _ in range(MOST + 1)]
    assert sessions.find(owner) == (None,)
    assert sessions.find(mine) == (b"mine",)
    assert [sessions.find(cookie) is not None for cookie in flood[-EACH - 1 :]] == [False] + [True] * EACH
    for _ in range(OWNERS):
        sessions.open(None)
    assert sessions.find(owner) is None, "of the owner's the one goes that was not used for longest"
    assert sessions.find(mine) == (b"mine",)
    for number in range(MOST):
        sessions.open(b"%d" % number)
    assert sessions.find(mine) is None
    assert len(sessions._sessions) == MOST + OWNERS
    assert b"flood" not in repr(list(sessions._sessions.values())).encode()


def test_tickets_that_nobody_uses_are_not_kept_for_ever() -> None:
    sessions = Sessions(lambda: 0.0)
    first = sessions.ticket()
    tickets = [sessions.ticket() for _ in range(TICKETS)]
    assert not sessions.redeem(first)
    assert sessions.redeem(tickets[0])


def test_planted_cookies_lock_nobody_out(entered: httpx2.Client, house: House) -> None:
    name = cookie_name({"server": ("127.0.0.1", int(house.url.rsplit(":", 1)[1]))})
    real = entered.cookies[name]
    planted = [f"{name}={'x' * 43}" for _ in range(20)] + [f"{name}=x{number}" for number in range(300)]
    header = "; ".join([*planted, f"{name}={real}"])
    assert httpx2.get(f"{house.url}/settings", headers={"cookie": header}, trust_env=False).status_code == 200


# ------------------------------------------------------------------------------------------------- what browsers get


@pytest.mark.parametrize("path", ["/", "/settings", "/login", "/static/app.js"])
def test_pages_of_other_origins_may_lead_here_and_not_fetch_or_embed(entered: httpx2.Client, path: str) -> None:
    def status(site: str, mode: str, dest: str) -> int:
        headers = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
        return entered.get(path, headers=headers).status_code

    for site in ("cross-site", "same-site"):
        assert status(site, "no-cors", "script") == 403
        assert status(site, "cors", "empty") == 403
        assert status(site, "navigate", "iframe") == 403
        assert status(site, "navigate", "document") == 200
    assert status("same-origin", "cors", "empty") == 200
    assert status("none", "navigate", "document") == 200


def test_what_api_answers_is_neither_kept_nor_run_by_a_browser(entered: httpx2.Client, house: House) -> None:
    id = ask(house, "What is kept?")
    one = f"/api/consultations/{id}"
    for path in (one, f"{one}?detail=full", f"{one}/report?detail=full", f"{one}/events", "/api/me", "/api/nothing/x", "/api/consultations/zz"):  # fmt: skip
        reply = entered.get(path)
        if path == "/api/nothing/x":
            assert reply.status_code == 404
            continue
        assert reply.headers["cache-control"] == "no-store", path
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert "sandbox" in reply.headers["content-security-policy"]
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"


def test_a_title_is_one_line_that_does_not_turn_around(entered: httpx2.Client, house: House) -> None:
    id = ask(house, "why\n\u202eis\u2066 it</title><b>")
    shown = entered.get(f"/consultations/{id}").text
    found = re.search(r"<title>(.*?)</title>", shown, re.DOTALL)
    assert found is not None
    assert "why is it&lt;/title&gt;&lt;b&gt;" in found[1]


async def test_a_large_consultation_is_written_as_a_small_one() -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    kept = Consultation(
        id="abc", thread="abc", question=Question(text='a"é'), status="running", started=now,
        opinions=(Opinion(seat="ada", answer="x", position="y"), Opinion(seat="bob", answer="\ud800".encode("utf-8", "replace").decode(), position="z")),
    )  # fmt: skip
    assert json.loads(bytes((await reply_whole(kept)).body)) == json.loads(bytes(reply(kept).body))


# ------------------------------------------------------------------------------------------------ what is forgotten


def test_what_another_process_has_forgotten_is_told_to_nobody(entered: httpx2.Client, house: House) -> None:
    id = ask(house, "zqquestion why?")
    events = f"/api/consultations/{id}/events"
    assert "zqmark" in entered.get(events).text
    done = subprocess.run(
        [sys.executable, "-m", "orchestra_mcp", "forget", id, "--yes"], env=house.environ, capture_output=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for _ in range(2):
        reply = entered.get(events)
        assert reply.status_code == 404
        assert "zqmark" not in reply.text
    assert "zqmark" not in entered.get(f"/consultations/{id}/live").text


def test_what_was_forgotten_here_is_told_to_nobody(entered: httpx2.Client, house: House) -> None:
    id = ask(house, "zqquestion again?")
    bearer = {"authorization": f"Bearer {house.token}"}
    assert entered.delete(f"/api/consultations/{id}", headers=bearer).json() == {"forgotten": True}
    assert entered.get(f"/api/consultations/{id}/events").status_code == 404


# ------------------------------------------------------------------------------------------------ places, keys, csv


async def test_a_place_is_taken_when_the_stream_is_made_and_free_when_it_is_never_read() -> None:
    places = Places(most=3, each=2)

    async def said() -> AsyncIterator[bytes]:
        yield b"x"

    async def stands() -> bool:
        return True

    def stream() -> Any:
        return while_allowed(said(), Standing(stands, 4), places, "k")  # type: ignore[arg-type]

    first, second = stream(), stream()
    assert places.full("k"), "before anybody has read"
    assert [piece async for piece in stream()] == []
    assert [piece async for piece in first] == [b"x"]
    assert not places.full("k")
    del second
    gc.collect()
    assert not places._taken, "its reader went away before it began"


def test_processes_that_save_keys_wait_for_each_other(tmp_path: Path) -> None:
    file = tmp_path / "keys.env"
    write_key(file, "ONE_API_KEY", "1")
    other = WriterLock(tmp_path / ".keys.env.lock")
    with other.held(5):
        saving = threading.Thread(target=write_key, args=(file, "TWO_API_KEY", "2"))
        saving.start()
        saving.join(0.2)
        assert saving.is_alive(), "it waits"
        file.write_text(file.read_text() + "THREE_API_KEY=3\n")
    saving.join(20)
    other.close()
    assert set(saved_keys(file)) == {"ONE_API_KEY", "TWO_API_KEY", "THREE_API_KEY"}


@pytest.mark.parametrize("beginning", ["=", "+", "-", "@", "\t=", "\r=", "\r\n+", " @"])
def test_no_name_is_a_formula_or_a_row_in_a_spreadsheet(beginning: str) -> None:
    # OWASP, CSV Injection: these characters begin what spreadsheets may run.
    made = as_csv("key", [CostLine(value=f"{beginning}1\r+1")])
    rows = list(csv.reader(io.StringIO(made, newline="")))
    assert len(rows) == 2
    assert rows[1][0] == f"'{beginning.strip()}1 +1"
