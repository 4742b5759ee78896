"""Asking in the browser and watching the council, from click to verdict, in real Chromium.

Every expert waits at a gate before each of its replies, so that each state of the page lasts until the test lets go.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import browser
import httpx2
import pytest
from conftest import SOURCE, git
from doors import ROOT
from scripting import expert, kind_of
from upstream import Call, Expert, Upstream

from orchestra_mcp.web.events import LISTENERS_EACH

NEWLINE = "The slice drops the last line of a file that does not end in a newline"
ENDING = "Nothing is dropped when the file ends in a newline"
HOSTILE = '<img src=x onerror=document.title="taken"><script>document.title="taken"</script> **a\u202elock\u200b**'
REFUSED = "No <b>key</b> of yours."
QUESTION = "Why does `read_lines` in src/parser.py lose the last line?"
HELD = {"text": "the slice drops it", "path": "src/parser.py", "line": 7, "quote": "return lines[:-1]"}
WRONG = {"text": "it closes the file twice", "path": "src/parser.py", "line": 4, "quote": "file.close()"}


@dataclass
class Gated:
    """Experts that say nothing before they are let go, each once for each reply."""

    gates: dict[str, threading.Event] = field(default_factory=dict)
    open: bool = False
    """No expert waits any more."""

    def expert(self, name: str, says: Callable[[str, int], str], **more: Any) -> Expert:
        """An expert behind its gate."""
        gate = self.gates[name] = threading.Event()

        def shut_behind(prompt: str, call: int) -> str:
            if not self.open:
                gate.clear()
            return says(prompt, call)

        return Expert(shut_behind, gate=gate, **more)

    def refused(self, name: str) -> Expert:
        """One whose key the vendor does not know."""
        return Expert(fault="401", gate=self.gates.setdefault(name, threading.Event()), message=REFUSED)

    def let_go(self, *names: str) -> None:
        """Let these say one thing; without names all of them, from now on."""
        self.open = self.open or not names
        for name in names or self.gates:
            self.gates[name].set()

    def let_go_of(self, calls: Sequence[Call]) -> None:
        """Let these calls be answered, each once."""
        for call in calls:
            self.gates[call.expert].set()

    def hold(self) -> None:
        """Everyone waits again."""
        self.open = False
        for gate in self.gates.values():
            gate.clear()


GATED = Gated()
SPEAKERS = ("fay", "gus", "hal", "ivy", "jan")
EXPERTS = {
    "ada": GATED.expert("ada", expert(NEWLINE, [HELD, WRONG], later=NEWLINE)),
    "bob": GATED.expert("bob", expert(ENDING, [HELD])),
    "cleo": GATED.expert("cleo", expert(NEWLINE, [HELD])),
    # Each for one test: an expert whose key was refused rests.
    **{name: GATED.refused(name) for name in ("dan", "dot")},
    "eva": GATED.expert("eva", expert(HOSTILE)),
    **{name: GATED.expert(name, expert("Keep the slice", later="Drop the slice")) for name in SPEAKERS},
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.House]:
    with (
        Upstream({"far": Expert(expert("The far model says so too"))}) as remote,
        browser.house(tmp_path_factory.mktemp("home"), EXPERTS, _far(remote), admin=True) as opened,
    ):
        yield opened


def _far(remote: Upstream) -> str:
    """An expert whose provider sees what is sent, so that it needs consent."""
    return (
        f'\n[models.far]\nwire = "openai"\nbase_url = "{remote.url}/v1"\nmodel = "far"\nprovider = "acme"\n'
        '[[seats]]\nname = "far"\nmodel = "far"\n'
    )


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Any]:
    async with browser.chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("work") / "records"
    (root / "src").mkdir(parents=True)
    (root / "src" / "parser.py").write_text(SOURCE)
    (root / "pyproject.toml").write_text('[project]\nname = "records"\nversion = "1"\n')
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "Add the parser")
    return root


@pytest.fixture(autouse=True)
def gates(house: browser.House) -> Iterator[None]:
    """Everyone waits at first; at the end nothing runs any more that could go through a later test's gates."""
    GATED.hold()
    yield
    GATED.let_go()
    with httpx2.Client(base_url=house.url, trust_env=False) as client:
        while client.get("/api/status", headers={"authorization": f"Bearer {house.token}"}).json()["running"]:
            pass


async def said(page: Any, selector: str) -> str:
    """What stands there, in one line."""
    return " ".join((await page.inner_text(selector)).split())


async def fill(page: Any, house: browser.House, question: str, *experts: str, project: Path | None = None) -> None:
    """The form, filled in."""
    await page.goto(f"{house.url}/ask")
    await page.fill("#question", question)
    await page.select_option("#project", "other" if project else "")
    if project:
        await page.fill("#folder", str(project))
    if experts:
        await page.click("summary:has-text('More')")
    for name in experts:
        await page.check(f"input[name=experts][value={name}]")


async def ask(page: Any, house: browser.House, question: str, *experts: str, project: Path | None = None) -> str:
    """Ask, and come to the live page; returns its address."""
    await fill(page, house, question, *experts, project=project)
    await page.click("[data-send]")
    await page.wait_for_url(re.compile(r"/consultations/\w{12}$"))
    await page.wait_for_selector("#live")
    url: str = page.url
    return url


async def card(page: Any, name: str, state: str) -> str:
    """What stands on a seat's card, once it is in that state."""
    return await said(page, f".seat.{state}[aria-label={name}]")


async def verdict(page: Any) -> None:
    """Wait until the live view has made way."""
    await page.wait_for_selector("#live", state="detached", timeout=20_000)


# -------------------------------------------------------------------------------------------------------- the form


async def test_a_form_with_mistakes_comes_back_with_all_that_was_typed(house: browser.House, chromium: Any) -> None:
    before = len(house.upstream.calls)
    async with browser.entered(chromium, house, wrong=("422",)) as page:
        await fill(page, house, "", "ada", "eva")
        await page.select_option("#project", "other")
        await page.fill("#folder", "/nowhere/at all")
        await page.fill("#files", "src/*.py\ntests/a.py")
        await page.fill("#max_cost", "a lot")
        await page.click("[data-send]")
        assert "sentence or two" in await page.inner_text("#fault-question")
        assert "0.50" in await page.inner_text("#fault-max_cost")
        assert await page.get_attribute("#max_cost", "aria-describedby") == "fault-max_cost"
        assert await page.evaluate("document.activeElement.id") == "question"
        assert await page.input_value("#files") == "src/*.py\ntests/a.py"
        assert await page.input_value("#folder") == "/nowhere/at all"
        assert await page.is_checked("input[value=eva]")
        await page.fill("#question", QUESTION)
        await page.fill("#max_cost", "0,25")
        await page.keyboard.press("Control+Enter")
        assert "does not exist" in await page.inner_text("#fault-project")
        assert await page.input_value("#question") == QUESTION
        assert await browser.unlabelled(page) == []
    assert len(house.upstream.calls) == before


async def test_looking_first_says_who_and_what_and_how_much_and_sends_nothing(
    house: browser.House, chromium: Any, project: Path
) -> None:
    before = len(house.upstream.calls)
    async with browser.entered(chromium, house) as page:
        await fill(page, house, QUESTION, "ada", "far", project=project)
        await page.click("[data-look]")
        told = await page.inner_text(".plan")
        assert "nothing was sent" in told
        assert "ada · local" in told
        assert "far · acme" in told
        assert re.search(r"tokens of evidence from \d+ files? and the question, to acme", told)
        assert "nobody has allowed that yet" in told
        await page.click(".plan > details > summary")
        await page.click(".excerpts code:has-text('src/parser.py')")
        assert "def read_lines(path):" in await page.inner_text(".excerpts")
        await page.click("text=Allow it for this project")
        await page.wait_for_selector(".plan .consent", state="detached")
        await browser.shot(page, "live-ask-allowed")
    assert len(house.upstream.calls) == before


async def test_missing_consent_is_asked_for_before_anything_is_sent(
    house: browser.House, chromium: Any, tmp_path: Path
) -> None:
    (tmp_path / "secret.py").write_text("def rates():\n    return 1\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "rates"\n')
    async with browser.entered(chromium, house, wrong=("422",)) as page:
        await fill(page, house, "Why is rates() in secret.py 1?", "far", project=tmp_path)
        await page.click("[data-send]")
        await page.wait_for_selector(".consent")
        assert "acme" in await page.inner_text(".consent")
        assert await page.input_value("#question") == "Why is rates() in secret.py 1?"
        await browser.shot(page, "live-ask-consent")
        await page.click("text=Allow and ask")
        await page.wait_for_url(re.compile(r"/consultations/\w{12}$"))
        await page.wait_for_selector("text=The far model says so too")


async def test_the_last_project_is_offered_and_nothing_is_guessed(house: browser.House, chromium: Any) -> None:
    """It stands in the list for everybody to see; whoever picks no project sends none."""
    async with browser.entered(chromium, house) as page:
        GATED.let_go("ada")
        url = await ask(page, house, "What is a newline?", "ada")
        await verdict(page)
        assert "no project" not in await page.inner_text("h1")
        await page.goto(f"{house.url}/ask?again={url.rsplit('/', 1)[1]}")
        assert await page.input_value("#question") == "What is a newline?"
        assert await page.input_value("#project") == ""


# -------------------------------------------------------------------------------------------- from click to verdict


async def test_from_click_to_verdict_every_state_is_seen(house: browser.House, chromium: Any, project: Path) -> None:
    names = ("ada", "bob", "cleo", "dan", "eva")
    async with browser.entered(chromium, house) as page:
        await ask(page, house, QUESTION, *names, project=project)
        for name in names:
            assert "thinking" in await card(page, name, "thinking")
        assert "0 of 5" in await said(page, "#live-facts")
        assert "Hearing the experts" in await page.inner_text("#live-stages h2")
        assert await said(page, ".stages [aria-current=step] .what") == "Experts : now 0 of 5 answered"
        assert "fills in" in await page.inner_text("#live-matrix")
        clock = await page.inner_text("[data-since='0'][data-clock]")
        await page.wait_for_selector(f"[data-since='0'][data-clock]:not(:text-is('{clock}'))")

        GATED.let_go("ada", "dan")
        told = await card(page, "ada", "answered")
        assert NEWLINE in told
        assert "1 verified" in told, "the slice stands in line 7"
        assert "1 refuted" in told, "nothing closes the file twice"
        assert "No key of yours" in await card(page, "dan", "absent"), "as plain text"
        assert await page.inner_text("#live-matrix tbody tr:has-text('ada') .cell.supports") == "✓holds it"
        assert "—" in await page.inner_text("#live-matrix tbody tr:has-text('bob') .cell")
        assert "absent" in await page.inner_text("#live-matrix tbody tr:has-text('dan') .cell")
        await page.wait_for_selector(
            "#live-said:has-text('1 of 5 experts have answered. dan is absent.')", state="attached"
        )
        assert (await page.title()).startswith("1/5 · ")
        await browser.shot(page, "live-some")

        GATED.let_go("bob", "cleo", "eva")
        await page.wait_for_selector("#live-stages h2:has-text('Comparing the positions')")
        assert HOSTILE.startswith("<img src=x"), "and so it is shown, as text:"
        assert '<img src=x onerror=document.title="taken">' in await card(page, "eva", "answered")
        assert "\u202e" not in await page.inner_text("#seats")
        assert await page.locator("#live img, #live script").count() == 0
        assert "4 of 5" in await said(page, "#live-facts")
        assert "comparing the positions" in await page.inner_text(".seat.busy")
        await browser.shot(page, "live-comparing")

        GATED.let_go_of(_calls(house, "compare"))
        await page.wait_for_selector("#live-stages h2:has-text('Reviewing blind')")
        await page.wait_for_selector(".seat.busy:has-text('reviewing the others, unsigned')")
        await browser.shot(page, "live-reviewing")
        await house.upstream.wait_until(lambda: len(_calls(house, "review")) == 2)
        GATED.let_go_of(_calls(house, "review"))
        await page.wait_for_selector("#live-stages h2:has-text('Writing the synthesis')")
        assert "2 ballots" in await page.inner_text("#live-stages")
        assert "writing the synthesis" in await page.inner_text(".seat.busy")
        await browser.shot(page, "live-synthesis")

        await page.evaluate("window.same = true")
        question = await page.locator("h1").bounding_box()
        GATED.let_go()
        await verdict(page)
        assert await page.locator("h1").bounding_box() == question, "nothing jumps"
        assert await page.evaluate("window.same"), "the page was not loaded anew"
        assert await page.inner_text("#live-said") == "The verdict is there."
        assert "degraded" in await page.inner_text("main")
        assert "taken" not in await page.title()
        assert await browser.unlabelled(page) == []


def _calls(house: browser.House, kind: str = "") -> list[Call]:
    """Calls that wait at a gate, all or of one kind."""
    calls = [call for call in house.upstream.calls if not (call.finished or call.aborted)]
    return [
        call for call in calls if call.expert in GATED.gates and kind_of(call.prompt) == (kind or kind_of(call.prompt))
    ]


def _waiting(house: browser.House) -> set[str]:
    """Experts at whose gate a call waits."""
    return {call.expert for call in _calls(house)}


async def test_whoever_comes_in_the_middle_or_reloads_sees_how_things_stand(
    house: browser.House, chromium: Any, project: Path
) -> None:
    async with browser.entered(chromium, house) as page:
        url = await ask(page, house, QUESTION, "ada", "bob", "cleo", project=project)
        GATED.let_go("ada")
        await page.wait_for_selector(".seat.answered")
        await page.reload()
        assert NEWLINE in await card(page, "ada", "answered")
        assert "thinking" in await card(page, "bob", "thinking")
        async with browser.entered(chromium, house, java_script_enabled=False) as plain:
            await plain.goto(url)
            assert NEWLINE in await card(plain, "ada", "answered")
            assert "1 of 3" in await said(plain, "#live-facts")
            assert await plain.locator("meta[http-equiv=refresh]").count() == 1, "it loads itself again"
            await plain.click("text=Cancel")
            await plain.wait_for_selector("text=cancelled")
        await verdict(page)


class Line:
    """A line between browser and house that can be cut."""

    def __init__(self, url: str) -> None:
        self._to = int(url.rsplit(":", 1)[1])
        self._ends: set[asyncio.StreamWriter] = set()
        self.is_cut = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Its address."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        """End all connections, and let no new one through."""
        self.is_cut = True
        for end in self._ends:
            end.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        ends = {writer, far_writer}
        self._ends |= ends
        await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
        self._ends -= ends

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


async def test_a_lost_connection_is_taken_up_again(house: browser.House, chromium: Any) -> None:
    line = Line(house.url)
    async with (
        line.open() as url,
        browser.entered(chromium, replace(house, url=url), wrong=("Failed to load resource",)) as page,
    ):
        await ask(page, replace(house, url=url), "What is lost?", "ada", "bob", "cleo")
        await page.wait_for_selector(".seat.thinking")
        line.cut()
        await page.wait_for_selector("#live-lost:visible")
        GATED.let_go("ada")
        await house.upstream.wait_until(lambda: "ada" not in _waiting(house))
        assert await page.locator(".seat.answered").count() == 0
        line.is_cut = False
        assert NEWLINE in await card(page, "ada", "answered")
        await page.wait_for_selector("#live-lost", state="hidden")
        GATED.let_go()
        await verdict(page)


async def test_cancel_keeps_what_was_answered(house: browser.House, chromium: Any) -> None:
    async with browser.entered(chromium, house) as page:
        await ask(page, house, "Shall I stop?", "ada", "bob", "cleo")
        GATED.let_go("ada")
        await page.wait_for_selector(".seat.answered")
        assert _waiting(house) == {"bob", "cleo"}
        await page.click("text=Cancel")
        await verdict(page)
        assert "cancelled" in await page.inner_text("main")
        assert NEWLINE in await page.inner_text("main")
    await house.upstream.wait_until(lambda: not _waiting(house))


# ------------------------------------------------------------------------------------------------- other processes


@contextmanager
def elsewhere(house: browser.House, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`orchestra ask` in a process of its own, on the same data directory."""
    program = [sys.executable, "-m", "orchestra_mcp", "ask", *arguments, "--quiet"]
    environ = {**house.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        program, env=environ, cwd=house.home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_a_council_of_another_process_is_live_too(house: browser.House, chromium: Any, project: Path) -> None:
    named = ("--expert", "ada", "--expert", "bob", "--expert", "dan")
    async with browser.entered(chromium, house) as page:
        with elsewhere(house, "Who runs this?", "--project", str(project), *named) as process:
            await house.upstream.wait_until(lambda: {"ada", "bob"} <= _waiting(house), 20)
            await page.goto(house.url)
            await page.click("a:has-text('Who runs this?')")
            await page.wait_for_selector(".tag:has-text('in another process')")
            assert await page.locator("[data-cancel]").count() == 0
            await card(page, "ada", "thinking")
            GATED.let_go("ada", "dan")
            assert "1 verified" in await card(page, "ada", "answered")
            await card(page, "dan", "absent")
            await card(page, "bob", "thinking")
            assert await page.inner_text("#live-matrix tbody tr:has-text('ada') .cell.supports") == "✓holds it"
            await browser.shot(page, "live-elsewhere")
            GATED.let_go()
            await verdict(page)
            assert await anyio.to_thread.run_sync(process.wait) == 0


async def test_events_of_another_process_come_through_the_api(house: browser.House) -> None:
    """In the order in which they happened, each once, with who was asked."""
    owner = {"authorization": f"Bearer {house.token}"}
    async with httpx2.AsyncClient(base_url=house.url, trust_env=False, headers=owner, timeout=30) as client:
        with elsewhere(house, "Who hears this?", "--expert", "ada", "--expert", "bob"):
            await house.upstream.wait_until(lambda: {"ada", "bob"} <= _waiting(house), 20)
            listed = (await client.get("/api/consultations")).json()["consultations"]
            id = next(row["id"] for row in listed if row["question"] == "Who hears this?")
            told: list[tuple[str, str]] = []
            async with client.stream("GET", f"/api/consultations/{id}/events") as reply:
                async for line in reply.aiter_lines():
                    if line.startswith("data: "):
                        body = json.loads(line.removeprefix("data: "))
                        told.append((body["kind"], body["seat"]))
                        if told[-1] == ("asked", "bob"):
                            GATED.let_go()
    assert [pair for pair in told if pair[0] in ("collecting", "asked", "closed")] == [
        ("collecting", ""),
        ("asked", "ada"),
        ("asked", "bob"),
        ("closed", ""),
    ]
    assert sorted(pair for pair in told if pair[0] == "answered") == [("answered", "ada"), ("answered", "bob")]


async def test_a_process_that_dies_ends_its_council(house: browser.House, chromium: Any) -> None:
    async with browser.entered(chromium, house) as page:
        with elsewhere(house, "Who dies here?", "--expert", "ada", "--expert", "bob") as process:
            await house.upstream.wait_until(lambda: {"ada", "bob"} <= _waiting(house), 20)
            await page.goto(f"{house.url}/consultations")
            await page.click("a:has-text('Who dies here?')")
            await card(page, "bob", "thinking")
            os.kill(process.pid, signal.SIGKILL)
            await verdict(page)
            assert "interrupted" in await page.inner_text("main")


# ------------------------------------------------------------------------------------------------ sizes and looks


async def test_a_debate_of_nine_over_two_rounds_on_a_phone_in_the_dark(house: browser.House, chromium: Any) -> None:
    seats = ("ada", "bob", "cleo", "dot", *SPEAKERS)
    phone: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
    async with browser.entered(chromium, house, **phone) as page:
        await fill(page, house, "Shall read_lines keep the slice?", *seats)
        await page.check("input[name=strategy][value=debate]")
        await page.fill("#positions", "Keep the slice\nDrop the slice")
        await page.fill("#rounds", "2")
        assert await browser.too_wide(page) == 0
        await browser.shot(page, "live-ask-phone-dark")
        await page.click("[data-send]")
        await page.wait_for_selector(".seat.thinking")
        assert await page.locator(".seat").count() == 9
        GATED.let_go(*seats)
        await page.wait_for_selector(".seat.answered .doing:has-text('thinking again, round 2')")
        assert await page.locator(".seat.answered").count() == 8
        assert "round 2" in await page.inner_text("#live-stages")
        assert await browser.too_wide(page) == 0
        assert await browser.unlabelled(page) == []
        await browser.shot(page, "live-debate-phone-dark")
        GATED.let_go(*SPEAKERS)
        await page.wait_for_selector(".seat.answered .before:has-text('Keep the slice')")
        GATED.let_go()
        await verdict(page)
        assert await browser.too_wide(page) == 0


# -------------------------------------------------------------------------------------------------- who may do what


async def new_key(client: httpx2.AsyncClient, house: browser.House, workspace: str, role: str) -> str:
    """A virtual key."""
    owner = {"authorization": f"Bearer {house.token}"}
    await client.post("/admin/workspaces", json={"id": workspace}, headers=owner)
    given = {"name": f"{role}{len(house.upstream.calls)}", "role": role}
    made = await client.post(f"/admin/workspaces/{workspace}/keys", json=given, headers=owner)
    secret: str = made.json()["secret"]
    return secret


async def test_so_many_may_watch_with_one_key(house: browser.House) -> None:
    limits = httpx2.Limits(max_connections=40)
    async with (
        httpx2.AsyncClient(base_url=house.url, trust_env=False, limits=limits) as client,
        AsyncExitStack() as open,
    ):
        key = await new_key(client, house, "crowd", "member")
        bearer = {"authorization": f"Bearer {key}"}
        await client.post("/login", data={"key": key}, headers={"origin": house.url})
        asked = await client.post(
            "/api/consultations", json={"question": "How many?", "experts": ["ada"]}, headers=bearer
        )
        path = f"/consultations/{asked.json()['id']}/live"
        listening = []
        for _ in range(LISTENERS_EACH):
            reply = await open.enter_async_context(client.stream("GET", path))
            assert reply.headers["content-type"].startswith("text/event-stream")
            lines = reply.aiter_lines()
            assert await anext(lines) == "retry: 1500"
            listening.append(lines)  # whose end would close the connection
        assert (await client.get(path)).status_code == 429


async def test_a_viewer_watches_its_workspace_and_nobody_elses(house: browser.House, chromium: Any) -> None:
    async with httpx2.AsyncClient(base_url=house.url, trust_env=False) as client:
        member, viewer = await new_key(client, house, "team", "member"), await new_key(client, house, "team", "viewer")
        stranger = await new_key(client, house, "far", "viewer")
        asked = await client.post(
            "/api/consultations",
            json={"question": "Whose is this?", "experts": ["ada", "bob"]},
            headers={"authorization": f"Bearer {member}"},
        )
        here = f"{house.url}/consultations/{asked.json()['id']}"

        async def enter(page: Any, secret: str) -> None:
            await page.goto(house.url)
            await page.fill("#key", secret)
            await page.click("button.main")
            await page.wait_for_url(f"{house.url}/")

        async with browser.visitor(chromium, house, wrong=("403",)) as page:
            await enter(page, viewer)
            await page.goto(here)
            await card(page, "ada", "thinking")
            assert await page.locator("[data-cancel]").count() == 0
            GATED.let_go("ada")
            await card(page, "ada", "answered")
            refused = await page.evaluate("u => fetch(u + '/cancel', {method: 'POST'}).then(r => r.status)", here)
            assert refused == 403
    async with browser.visitor(chromium, house, wrong=("404", "403")) as page:
        await enter(page, stranger)
        for path in (here, f"{here}/live"):
            reply = await page.goto(path)
            assert reply.status == 404
        assert (await page.goto(f"{house.url}/ask")).status == 403
