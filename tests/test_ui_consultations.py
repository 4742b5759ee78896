"""The pages of consultations in a real browser: the list, search, one whole consultation, hostile answers, keys, phones."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import browser
import pytest
from browser import House
from scripting import expert
from upstream import Expert

from orchestra_mcp.store.base import Store
from orchestra_mcp.store.memorywords import project_token
from orchestra_mcp.types import (
    Absence,
    Agreement,
    Ballot,
    CallRecord,
    Check,
    Claim,
    Defect,
    Dissent,
    Dossier,
    Excerpt,
    Opinion,
    PastCase,
    Question,
    Sent,
    Solution,
    Span,
    Stance,
    Usage,
    Verdict,
    Watched,
)
from orchestra_mcp.web.pages.case import diff, redactions, snippet
from orchestra_mcp.web.pages.flame import flame
from orchestra_mcp.web.pages.markdown import markdown

PATCH = """--- a/src/parser.py
+++ b/src/parser.py
@@ -3,5 +3,6 @@ def read_lines(path):
     with open(path) as file:
-        lines = file.read().split("\\n")
-    return lines[:-1]
+        text = file.read()
+    lines = text.split("\\n")
+    return lines[:-1] if text.endswith("\\n") else lines
"""
SOURCE = """def read_lines(path):
    with open(path) as file:
        lines = file.read().split("\\n")
    token = "«redacted:github-token#1»"
    return lines[:-1]"""
ANSWER = """`read_lines` always drops the last element. That is right only when the file **ends with a newline**.

1. A file without a final newline loses its last line.
2. An empty file is read as no lines at all, which hides the first case.

```python
def read_lines(path):
    # keep the last line when there is no newline after it
    return Path(path).read_text().splitlines()
```

| file | today | right |
|---|---|---|
| `a\\nb\\n` | a, b | a, b |
| `a\\nb` | a | a, b |

See [the documentation](https://docs.python.org/3/library/stdtypes.html#str.splitlines)."""
HOSTILE = """<script>document.title = "owned"</script><img src=x onerror="document.title='owned'">
[click me](javascript:document.title='owned') [data](data:text/html,<script>1</script>) [ok](https://example.org/x)
![pixel](https://evil.example/pixel.png) <style>body{display:none}</style> <iframe src="https://evil.example"></iframe>
<a href="https://evil.example" onclick="1" style="position:fixed">a</a> [a]( https://evil.example "x" onmouseover="1")
\u202ereversed\u202c zero\u200bwidth \x1b[31mred <div hx-get="/logout" hx-trigger="load">x</div>

```html
<script>document.title = "owned"</script>
```
```"><script>document.title="owned"</script>
x
```
"""
STARTED = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    says = expert("it is the newline")
    with browser.house(
        tmp_path_factory.mktemp("home"), {"alpha": Expert(says), "beta": Expert(says)}, admin=True
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
async def chromium(house: House) -> AsyncIterator[Any]:
    async with browser.chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
async def kept(house: House) -> str:
    """A consultation with everything in it."""
    async with house.store() as store:
        await keep(store, "fullcase0001", whole("fullcase0001"))
    return "fullcase0001"


def claim(text: str, outcome: str, note: str, **more: Any) -> Claim:
    return Claim(text=text, check=Check(outcome=outcome, note=note), path="src/parser.py", **more)  # type: ignore[arg-type]


def whole(id: str, answer: str = ANSWER, **more: Any) -> Verdict:
    """A verdict with everything that a page can show."""
    first = Solution(
        rank=1, position="The last line is dropped when the file has no final newline", answer=answer, score=2.1,
        probability=0.78, seats=("ada", "bob", "walker"), families=("openai", "anthropic"),
        claims=(
            claim("read_lines returns all but the last element", "verified", "line 5 reads so", line=5, symbol="read_lines", quote="    return lines[:-1]"),
            claim("total() calls read_lines with a default encoding", "refuted", "it passes none", line=9, symbol="total"),
            claim("Windows line ends are kept", "unchecked", "no test has such a file"),
        ),
        risks=("Callers may rely on the empty last line being cut",), assumptions=("Files are UTF-8",),
        plan=("Use splitlines", "Add a test"), patch=PATCH, evidence="same-code", shown="the patch turns the tests green",
        defects=(claim("splitlines also splits at form feeds", "verified", "str.splitlines documents it", line=5),),
        checks=(Check(outcome="verified", note="All changed lines are in the diff that was given", name="diff-lines"),),
    )  # fmt: skip
    second = Solution(
        rank=2, position="The file is read with the wrong encoding", answer="UTF-16 files would lose bytes.", score=0.8,
        probability=0.15, seats=("cleo",), evidence="single", plan=("Check the encoding",),
        claims=(claim("open() is called without encoding", "verified", "line 4", line=4),),
    )  # fmt: skip
    return Verdict(
        id=id, question="Why is the last line lost?", mode="debug", domain="python", effort="standard",
        headline="Degraded: 3 of 4 experts answered; dora did not (rate limit).", status="degraded", answer=answer,
        plan=("Use `splitlines`", "Add a test for a file without a final newline", "Run the suite"),
        solutions=(first, second), confidence=0.78, confidence_basis="two families agree on the same code",
        dissent=(Dissent(position="It is the encoding", argument="The file came from Windows.", seats=("cleo",), probability=0.15, check="Run `file data.txt`"),),
        next_check="Read a file that ends without a newline", would_change="A test in which the last line survives",
        agreement=Agreement(share=0.72, margin=0.5, evidence="same-code", independent_votes=1.6),
        matrix=(
            Stance(seat="ada", solution=1, stance="supports", evidence="answer"),
            Stance(seat="ada", solution=2, stance="doubts", evidence="review"),
            Stance(seat="bob", solution=1, stance="supports", evidence="executed", note="the patch turned the tests green"),
            Stance(seat="cleo", solution=1, stance="contradicts", evidence="answer"),
            Stance(seat="cleo", solution=2, stance="supports", evidence="answer"),
        ),
        seating="a debugging question on Python: the two best and a cheap second opinion", prompts="opinion 3, review 2",
        stopped="two families agree on the same code", answered=("ada", "bob", "cleo", "walker"),
        absent=(Absence(seat="dora", kind="limit", reason="429 from the vendor"),), chair="ada",
        findings=(claim("lines[:-1] drops the last element whatever it is", "verified", "syntax tree", line=5),),
        notes=("No verify command is set, so patches are only parsed.",), quorum_s=4.2, seconds=19.4,
        sent=Sent(providers=("openai", "anthropic"), files=("src/parser.py",), tokens=1830, redactions={"github-token": 1}),
        usage=Usage(calls=6, input_tokens=12_400, output_tokens=3_100, cost_usd=Decimal("0.0412")), **more,
    )  # fmt: skip


def opinion(seat: str, position: str, answer: str, **more: Any) -> Opinion:
    usage = Usage(calls=1, input_tokens=3000, output_tokens=700, cost_usd=Decimal("0.0091"))
    return Opinion(
        seat=seat, position=position, answer=answer, usage=usage, seconds=6.1, model=seat, family="acme", **more
    )


def entries(id: str, answer: str) -> list[Any]:
    usage = Usage(calls=1, input_tokens=3000, output_tokens=700, cost_usd=Decimal("0.0091"))
    dossier = Dossier(
        project="records", head="main 1a2b3c4", files=("src/parser.py",), tokens=1830, budget=24_000,
        excerpts=(
            Excerpt(source="symbol", path="src/parser.py", start=4, end=8, symbol="read_lines", text=SOURCE, tokens=60, why="named in the question"),
            Excerpt(source="diff", path="src/parser.py", text=PATCH, tokens=90, why="changed in the working tree"),
            Excerpt(source="log", text="IndexError: list index out of range", tokens=12, why="given with the question"),
        ),
        redactions={"github-token": 1}, left_out=("tests/data/big.txt (9000 tokens): too large",), notes=("1 file is binary",),
        past=(PastCase(id="oldcase00001", question="Why are blank lines counted?", outcome="The filter ran too late.", at=STARTED - timedelta(days=30), told="solution 1 worked", confidence=0.7),),
    )  # fmt: skip
    defect = Defect(
        candidate="bob", critic="cleo", claim=claim("splitlines splits at form feeds", "verified", "documented")
    )

    def at(seconds: float) -> datetime:
        return STARTED + timedelta(seconds=seconds)

    spans = (
        Span(id="1", name="invoke_workflow council", started=at(0), seconds=19.4, attributes={"orchestra.members": 4}),
        Span(id="2", parent="1", name="collect", started=at(0), seconds=1.1, attributes={"orchestra.tokens": 1830}),
        Span(id="3", parent="1", name="invoke_agent ada", started=at(1.1), seconds=6.1),
        Span(id="4", parent="3", name="chat acme-large", kind="client", started=at(1.2), seconds=6.0, attributes={"gen_ai.request.model": "acme-large", "orchestra.cost.amount": 0.0091}),
        Span(id="5", parent="1", name="invoke_agent dora", started=at(1.1), seconds=3.0, error="limit"),
        Span(id="6", parent="5", name="chat dora-1", kind="client", started=at(1.2), seconds=2.8, error="limit"),
        Span(id="7", parent="1", name="review", started=at(8), seconds=5),
        Span(id="8", parent="1", name="synthesis", started=at(14), seconds=5.2),
    )  # fmt: skip
    return [
        dossier,
        opinion("ada", "The last line is dropped", answer, claims=(claim("lines[:-1]", "verified", "line 5", line=5),), patch=PATCH),
        opinion("bob", "The last line is dropped", "Because `[:-1]`.", would_change="A passing test"),
        opinion("cleo", "The file is read with the wrong encoding", "UTF-16."),
        opinion("walker", "lines[:-1] drops the last element", "Seen in the tree.", kind="resident"),
        Absence(seat="dora", kind="limit", reason="429 from the vendor", seconds=3.0),
        Ballot(judge="ada", shown=("bob", "cleo"), ranking=("bob", "cleo"), why="bob cites the line", seconds=2.0),
        Ballot(judge="cleo", shown=("ada", "bob"), ranking=("ada",), why="shorter", defects=(defect,), seconds=2.4),
        CallRecord(run=id, purpose="opinion", model="ada", provider="acme", usage=usage, seconds=6.0, first_token_s=0.8, at=at(7)),
        CallRecord(run=id, purpose="opinion", model="dora", provider="acme", seconds=2.8, error="limit", attempt=2, at=at(4)),
        Watched(spans=spans),
    ]  # fmt: skip


async def keep(store: Store, id: str, verdict: Verdict, question: Question | None = None) -> None:
    """Put a finished consultation into a store."""
    question = question or Question(
        text="Why is the last line lost? read_lines drops it.", project="/srv/records", mode="debug"
    )
    await store.begin(id, question, id)
    await store.add(id, *entries(id, verdict.answer))
    await store.finish(id, verdict.status, verdict)


async def test_one_consultation_shows_all_of_it(house: House, chromium: Any, kept: str) -> None:
    async with browser.entered(chromium, house) as page:
        await page.goto(f"{house.url}/consultations/{kept}")
        await browser.shot(page, "case-light")
        text = re.sub(r"\s+", " ", await page.inner_text("main"))
        for words in (
            "Why is the last line lost?", "degraded", "Degraded: 3 of 4 experts answered", "78%", "Cheapest check", "written by ada",
            "Use splitlines", "The file is read with the wrong encoding", "Run file data.txt", "verified", "refuted", "unchecked",
            "src/parser.py:5", "the patch turns the tests green", "supports", "doubts", "contradicts", "lines[:-1] drops the last element",
            "429 from the vendor", "No verify command is set", "1 × github-token",
        ):  # fmt: skip
            assert words in text, words
        cells = await page.locator("#ballots tbody tr").all_inner_texts()
        # ada ranked bob before cleo; cleo ranked ada, saw bob and left him unranked.
        assert [cell.split("\t")[:4] for cell in cells] == [["ada", "own", "1", "2"], ["cleo", "1", "–", "own"]]
        await page.locator("#sent details summary").first.click()
        assert await page.locator("#sent mark").nth(1).inner_text() == "«redacted:github-token#1»"
        first = page.locator("#sent .lines").first.locator("tr")
        assert await first.nth(1).inner_text() == "4\tdef read_lines(path):"
        assert await page.locator(".flame a").count() == 8
        assert await page.locator(".flame a").nth(3).get_attribute("aria-label") == "chat acme-large: 6.0 s, from 1.2 s"
        await page.locator(".flame a").nth(3).focus()
        await page.keyboard.press("Enter")
        assert page.url.endswith("#span-4")
        assert await page.locator("#span-4").is_visible(), "the browser opens the table around it"
        assert await browser.unlabelled(page) == []


async def test_the_page_is_whole_without_scripts_and_on_a_phone_in_the_dark(
    house: House, chromium: Any, kept: str
) -> None:
    async with browser.entered(chromium, house, java_script_enabled=False) as page:
        await page.goto(f"{house.url}/consultations/{kept}")
        assert "Action plan" in await page.inner_text("main")
    phone: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
    async with browser.entered(chromium, house, **phone) as page:
        for path in (f"/consultations/{kept}", "/consultations", "/consultations?q=newline"):
            await page.goto(house.url + path)
            await browser.open_all(page)
            assert await browser.too_wide(page) == 0, path
            assert await browser.unlabelled(page) == [], path
            if path.endswith(kept):
                await browser.shot(page, "case-phone-dark")


async def test_what_became_of_a_solution_is_said_by_a_button(house: House, chromium: Any) -> None:
    async with house.store() as store:
        await keep(store, "markcase0001", whole("markcase0001"))
    async with browser.entered(chromium, house) as page:
        await page.goto(f"{house.url}/consultations/markcase0001")
        await page.locator("#solution-2").get_by_role("button", name="Wrong").click()
        await page.wait_for_url("**/consultations/markcase0001?marked=2#solution-2")
        assert "It was wrong, somebody said just now" in await page.locator("#solution-2").inner_text()
        await page.locator("#solution-1").get_by_role("button", name="Worked").click()
        await page.wait_for_url("**/consultations/markcase0001?marked=1#solution-1")
        assert "It worked" in await page.locator("#solution-1 .outcome").inner_text()
        pressed = page.locator('#solution-1 button[aria-pressed="true"]')
        assert await pressed.inner_text() == "Worked"
    async with house.store() as store:
        label = (await store.labels())[0]
    assert (label.consultation, label.right, label.wrong) == ("markcase0001", 0, (1,))


async def test_a_hostile_answer_is_shown_and_does_nothing(house: House, chromium: Any) -> None:
    long = (
        "x" * 700_000 + "\n" + ("[" * 2000 + "\n" + "> " * 2000 + "a\n" + "*a_ " * 3000 + "\n" + "`" * 1999 + "\n") * 8
    )
    hostile = whole("evilcase0001", HOSTILE)
    evil = '"><script>document.title="owned"</script>'
    first = hostile.solutions[0].model_copy(
        update={"position": evil, "patch": PATCH + evil, "code": evil, "risks": (HOSTILE,), "seats": (evil, "ada")}
    )
    stance = Stance(seat=evil, solution=1, stance="doubts", evidence="review", note=evil)
    hostile = hostile.model_copy(
        update={
            "solutions": (first, *hostile.solutions[1:]), "headline": evil, "matrix": (*hostile.matrix, stance),
            "notes": (evil,), "next_check": HOSTILE, "seating": evil, "stopped": evil, "domain": evil,
        }
    )  # fmt: skip
    async with house.store() as store:
        question = Question(text=evil + HOSTILE, project="/srv/records", error=evil, diff=PATCH + evil)
        await store.begin("evilcase0001", question, "evilcase0001")
        await store.add("evilcase0001", *entries("evilcase0001", HOSTILE))
        await store.add("evilcase0001", opinion(evil, evil, long), opinion("long", "long", HOSTILE * 30))
        await store.add("evilcase0001", Absence(seat=evil, kind=evil, reason=evil))
        await store.add(
            "evilcase0001",
            Watched(spans=(Span(id=evil, name=evil, started=STARTED, seconds=1, error=evil, attributes={evil: evil}),)),
        )
        await store.finish("evilcase0001", "complete", hostile)
    async with browser.entered(chromium, house) as page:
        await page.goto(f"{house.url}/consultations/evilcase0001")
        await browser.open_all(page)
        await page.wait_for_timeout(200)
        assert await page.title() != "owned"
        assert page.url == f"{house.url}/consultations/evilcase0001", "nothing has led away or logged out"
        answer = page.locator("#answer .prose")
        shown = await answer.inner_text()
        for words in ("<script>", "click me", "image taken out: pixel", "reversed", "zerowidth", "red"):
            assert words in shown, words
        links = await page.eval_on_selector_all("#answer .prose a", "(all) => all.map((a) => [a.href, a.rel])")
        # What CommonMark takes for links and leads to http or https; everything else stays text.
        assert links == [["https://example.org/x", "noopener noreferrer nofollow"]]
        found = await page.evaluate(
            """() => ({
              tags: [...new Set([...document.querySelectorAll(".prose *")].map((e) => e.tagName))].sort(),
              attributes: [...new Set([...document.querySelectorAll(".prose *")].flatMap((e) => e.getAttributeNames()))].sort(),
              hidden: /[\\u202a-\\u202e\\u200b\\u2066-\\u2069\\x1b]/.test(document.body.textContent),
              length: document.body.textContent.length,
            })"""
        )
        assert not {"SCRIPT", "IMG", "IFRAME", "STYLE", "FORM", "SVG", "OBJECT"} & set(found["tags"])
        assert set(found["attributes"]) <= {"href", "rel", "class", "start"}
        assert not found["hidden"], "no character that reorders or hides text is left"
        assert found["length"] > 700_000, "all of the long answer is there"
        await browser.shot(page, "case-hostile", whole=False)
        await page.goto(f"{house.url}/consultations?q=owned")
        await page.goto(house.url)
        assert await page.title() == "Overview · Orchestra"


async def test_search_as_one_types_and_open_with_the_keyboard(house: House, chromium: Any, kept: str) -> None:
    async with house.store() as store:
        question = Question(text="How do I rotate the flux capacitor credentials?", project="/srv/shop")
        verdict = whole("fluxcase0001", "Rotate them by the vault.").model_copy(update={"status": "complete"})
        await keep(store, "fluxcase0001", verdict, question)
    async with browser.entered(chromium, house) as page:
        await page.keyboard.press("/")
        await page.keyboard.type("capacitor")
        await page.keyboard.press("Enter")
        await page.wait_for_url(house.url + "/consultations?q=capacitor")
        assert await page.locator(".row-link").all_inner_texts() == ["How do I rotate the flux capacitor credentials?"]
        assert (await page.locator(".row-snippet mark").first.inner_text()).lower() == "capacitor"
        await page.fill("#q", "")
        await page.locator("#q").press_sequentially("newline", delay=20)
        await browser.until(page, "document.querySelector('.row-link')?.textContent.includes('last line lost')")
        await page.wait_for_url("**/consultations?q=newline**")
        await browser.shot(page, "search")
        await page.fill("#q", "nothinghasthisword")
        await page.get_by_role("heading", name="Nothing fits").wait_for()
        assert await page.get_by_role("status").first.inner_text() == "0 found"
        await page.fill("#q", "")
        await browser.until(page, "document.querySelectorAll('.row-link').length > 1")
        await page.select_option("#project", label="shop")
        await browser.until(page, "document.querySelectorAll('.row-link').length === 1")
        await page.evaluate("document.activeElement.blur()")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url(house.url + "/consultations/fluxcase0001")
        await page.go_back()
        await page.wait_for_url("**/consultations?**")
        assert await browser.unlabelled(page) == []


@pytest.mark.parametrize("query", ['"', "NEAR(", "a* OR", "-", "^:", "🎻", "%", "' --", "\\", "<b>"])
async def test_whatever_is_searched_for_is_no_error(house: House, chromium: Any, query: str) -> None:
    import httpx2

    bearer = {"authorization": f"Bearer {house.token}"}
    async with httpx2.AsyncClient(base_url=house.url, headers=bearer, trust_env=False, timeout=20) as client:
        reply = await client.get("/consultations", params={"q": query})
        assert reply.status_code == 200
        reply = await client.get("/consultations", params={"q": query, "after": "x", "project": query, "status": query})
        assert reply.status_code == 200


async def test_all_are_walked_through_page_by_page_each_once(tmp_path: Path, chromium: Any) -> None:
    with browser.house(tmp_path, {"alpha": Expert(expert("no"))}) as house:
        async with house.store() as store:
            for number in range(130):
                id = f"case{number:08d}"
                await store.begin(id, Question(text=f"Question number {number}", project="/srv/many"), id)
                await store.finish(id, "failed" if number % 3 else "complete", None)
        async with browser.entered(chromium, house) as page:
            await page.goto(house.url + "/consultations")
            assert await page.locator(".row:not(.more)").count() == 40
            await page.get_by_role("link", name="Older").click()
            await browser.until(page, "document.querySelectorAll('.row:not(.more)').length === 80")
            await page.get_by_role("link", name="Older").click()
            await browser.until(page, "document.querySelectorAll('.row:not(.more)').length === 120")
            await page.get_by_role("link", name="Older").click()
            await browser.until(page, "document.querySelectorAll('.row:not(.more)').length === 130")
            assert await page.locator(".row.more").count() == 0
            texts = await page.locator(".row-link").all_inner_texts()
            assert texts == [f"Question number {number}" for number in reversed(range(130))], "each once, in order"
            await page.goto(house.url + "/consultations?status=complete")
            assert await page.locator(".row:not(.more)").count() == 40
            await page.get_by_role("link", name="Older").click()
            # Of 0 … 129 every third is complete: 44.
            await browser.until(page, "document.querySelectorAll('.row:not(.more)').length === 44")


MANY = """
    INSERT INTO consultations (id, thread, project, strategy, mode, status, started, ended, owner, text, question)
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
    SELECT printf('bulk%08d', i), printf('bulk%08d', i), '/srv/many', 'consult', 'auto', 'failed', 1700000000000000 + i,
        1700000000000000 + i, '', printf('Question number %d', i), printf('{"text": "Question number %d"}', i) FROM n
"""


async def test_ten_thousand_consultations_are_listed_and_searched(tmp_path: Path, chromium: Any) -> None:
    with browser.house(tmp_path, {"alpha": Expert(expert("no"))}) as house:
        async with house.store() as store:
            where = house.home / "data" / "orchestra.db"
            assert await store.list() == ()
        with closing(sqlite3.connect(where)) as connection, connection:
            connection.execute(MANY)
            connection.execute(
                "INSERT INTO memories (consultation, project, at, scope, question, answer, names) "
                "SELECT id, project, started, ?, text, '', '' FROM consultations",
                (project_token("/srv/many"),),
            )
            connection.execute("UPDATE memories SET answer = ' '")  # they have ended, without an answer
        async with browser.entered(chromium, house) as page:
            await page.goto(house.url + "/consultations")
            assert await page.locator(".row-link").first.inner_text() == "Question number 9999"
            for pages in (2, 3, 4):
                await page.get_by_role("link", name="Older").click()
                await browser.until(page, f"document.querySelectorAll('.row:not(.more)').length === {40 * pages}")
            assert await page.locator(".row-link").nth(159).inner_text() == "Question number 9840"
            await page.goto(house.url + "/consultations?q=4711")
            assert await page.locator(".row-link").all_inner_texts() == ["Question number 4711"]
            await page.goto(house.url + "/")
            assert await page.locator(".row-link").first.inner_text() == "Question number 9999"


async def test_a_workspace_sees_its_own_and_no_paths(house: House, chromium: Any, kept: str) -> None:
    import httpx2

    bearer = {"authorization": f"Bearer {house.token}"}
    async with httpx2.AsyncClient(base_url=house.url, trust_env=False, timeout=30) as client:
        await client.post("/admin/workspaces", json={"id": "team"}, headers=bearer)
        made = await client.post("/admin/workspaces/team/keys", json={"name": "ann"}, headers=bearer)
        key = made.json()["secret"]
        asked = await client.post(
            "/api/consultations",
            json={"question": "Whose is the zebra?", "wait_s": 20},
            headers={"authorization": f"Bearer {key}"},
        )
        id = asked.json()["id"]
        entered = await client.post("/login", data={"key": key}, headers={"origin": house.url})
        assert entered.status_code == 303
        mine = (await client.get("/consultations")).text
        assert f"/consultations/{id}" in mine
        assert kept not in mine
        assert "/srv/records" not in mine
        assert (await client.get(f"/consultations/{id}")).status_code == 200
        for path in (f"/consultations/{kept}", f"/consultations/{kept[:6]}"):
            refused = await client.get(path)
            assert refused.status_code == 404
            assert "last line" not in refused.text
        searched = (await client.get("/consultations", params={"q": "newline"})).text
        assert kept not in searched
        assert id in (await client.get("/consultations", params={"q": "zebra"})).text


def test_a_diff_is_numbered_as_git_would() -> None:
    # Of the hunk `@@ -3,5 +3,6 @@`: the first line is 3 on both sides, then one goes on each side.
    rows = [(line.kind, line.old, line.new) for line in diff(PATCH)]
    assert rows == [
        ("head", None, None), ("head", None, None), ("hunk", None, None), ("same", 3, 3), ("cut", 4, None),
        ("cut", 5, None), ("add", None, 4), ("add", None, 5), ("add", None, 6),
    ]  # fmt: skip


@pytest.mark.parametrize("levels", [3, 12, 25, 60, 400])
def test_nothing_is_lost_however_deep_it_is_nested(levels: int) -> None:
    words = [f"item{number}" for number in range(levels)]
    for text in (
        "\n".join("  " * depth + f"- {word}" for depth, word in enumerate(words)),
        "\n\n".join("> " * depth + word for depth, word in enumerate(words)),
        "- " * levels + " ".join(words),
    ):
        made = markdown(text)
        assert all(word in made for word in words)


def test_markdown_that_would_take_long_is_shown_as_it_is() -> None:
    wide = "|" + "a|" * 300 + "\n|" + "-|" * 300 + "\n|x|"
    assert markdown(wide) == f'<pre class="code">{wide}</pre>'
    assert "<strong>" in markdown("**a**\n" + "b " * 10_000)
    assert markdown("a\n" * 30_000).endswith("a\na\n</pre>")


def test_code_is_coloured_by_classes() -> None:
    # Classes of pygments: `k` is a keyword, `nf` the name of a function (https://pygments.org/docs/tokens/).
    made = markdown("```python\ndef f(): pass\n```")
    assert '<span class="k">def</span>' in made
    assert '<span class="nf">f</span>' in made
    assert "style=" not in made


def test_links_lead_out_by_http_only() -> None:
    for target in (
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "/logout",
        "//evil.example",
        "file:///etc/passwd",
        "&#106;avascript:alert(1)",
    ):
        assert "<a" not in markdown(f"[x]({target}) <{target}>"), target
    assert markdown("[x](https://example.org)") == (
        '<p><a href="https://example.org" rel="noopener noreferrer nofollow">x</a></p>\n'
    )


async def test_what_another_process_begins_appears_by_itself(house: House, chromium: Any) -> None:
    async with house.store() as store, browser.entered(chromium, house) as page:
        await store.begin("runcase00001", Question(text="Is anybody there?"), "runcase00001")
        await page.locator("#running").get_by_role("link", name="Is anybody there?").wait_for()
        await store.finish("runcase00001", "cancelled", None)


def test_hits_are_marked_and_nothing_else_is_html() -> None:
    assert str(snippet("a \x02b\x03 <i>\x02c")) == "a <mark>b</mark> &lt;i&gt;<mark>c</mark>"
    assert str(redactions("k=«redacted:github-token#1»<x>«redacted:evil<b>#1»")) == (
        'k=<mark title="A secret was taken out here">«redacted:github-token#1»</mark>&lt;x&gt;«redacted:evil&lt;b&gt;#1»'
    )


def test_bars_stand_where_their_time_is() -> None:
    at = [STARTED + timedelta(seconds=second) for second in (0, 2, 5)]
    drawn = flame(
        [
            Span(id="c", parent="a", name="second", started=at[2], seconds=5),
            Span(id="a", name="all", started=at[0], seconds=10),
            Span(id="b", parent="a", name="first", started=at[1], seconds=3),
            Span(id="ring", parent="gnir", name="ring", started=at[0], seconds=1),
            Span(id="gnir", parent="ring", name="gnir", started=at[0], seconds=1),
        ]
    )
    assert drawn
    assert [(bar.span.name, bar.depth, bar.x, bar.width) for bar in drawn.bars] == [
        ("all", 0, 0, 100), ("first", 1, 20, 30), ("second", 1, 50, 50), ("ring", 0, 0, 10), ("gnir", 0, 0, 10),
    ]  # fmt: skip
    assert [seconds for _, seconds in drawn.ticks] == [0, 2, 4, 6, 8, 10]
