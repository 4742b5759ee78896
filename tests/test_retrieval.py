"""From a question to ranked places: what the question says, what the index holds, and how both are weighed."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from conftest import git

from orchestra_mcp.context import neighbours, searching
from orchestra_mcp.context.collector import collect
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.index import precedents, retrieval
from orchestra_mcp.context.index.units import divide
from orchestra_mcp.context.reading import signals
from orchestra_mcp.context.reading.mentions import Mention, mentions, stem, subject_of
from orchestra_mcp.paths import kind_of
from orchestra_mcp.types import Change, Frame, Hunk, Question, Trace

# ----------------------------------------------------------------------------------------------- what a question says

REPORT = """Coupons vanish from the basket
### Search before asking
- [X] I searched the issues
### Version Information
shop==1.2.3

When a coupon expires, `Basket.total` still counts it.

```python
from shop.pricing import apply_coupon

class MyBasket(Basket):
    pass

apply_coupon(MyBasket(), "X")
```

Traceback (most recent call last):
  File "shop/pricing.py", line 3, in apply_coupon
ValueError: coupon has expired already
"""


def test_lines_of_a_report_are_told_apart() -> None:
    kinds = {line.strip(): kind for kind, line in signals.classified(REPORT)}
    assert kinds["Coupons vanish from the basket"] == "title"
    assert kinds["### Search before asking"] == "noise"
    assert kinds["- [X] I searched the issues"] == "noise"
    assert kinds["shop==1.2.3"] == "noise"
    assert kinds["When a coupon expires, `Basket.total` still counts it."] == "prose"
    assert kinds["class MyBasket(Basket):"] == "code"
    assert kinds["ValueError: coupon has expired already"] == "output"


def test_a_word_of_the_title_weighs_more_than_one_of_the_prose_and_that_more_than_one_of_a_snippet() -> None:
    terms = signals.read(REPORT).terms
    assert terms["vanish"] > terms["expires"] > terms["apply"] > 0
    assert "searched" not in terms
    assert "when" not in terms


def test_what_a_snippet_defines_itself_is_not_a_name_of_the_project() -> None:
    said = signals.read(REPORT)
    assert said.own == {"MyBasket"}
    assert "MyBasket" not in said.names
    assert {"Basket.total", "apply_coupon"} <= set(said.names)


def test_a_class_in_prose_is_not_taken_for_the_askers_own() -> None:
    assert signals.read("class Basket loses its items").own == frozenset()


@pytest.mark.parametrize("text", ["", "\n\n", "```", "<!-- only a comment -->", "the of and"])
def test_a_question_that_says_nothing_gives_no_words(text: str) -> None:
    assert signals.read(text).terms == {}


FILES = ("src/CartTest.java", "shop/pricing.py", "shop/basket.py", "web/basket.py", "tests/test_pricing.py", "Makefile")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see shop/pricing.py:12 for it", [Mention("shop/pricing.py", 12)]),
        ("`pricing.py` is wrong", [Mention("shop/pricing.py")]),
        ("basket.py is wrong", [Mention("shop/basket.py", sure=0.5), Mention("web/basket.py", sure=0.5)]),
        ("/usr/lib/python3/site-packages/shop/pricing.py", [Mention("shop/pricing.py")]),
        ("C:\\work\\shop\\basket.py", [Mention("shop/basket.py")]),
        ("tests/test_pricing.py::TestIt::test_total[a-1] fails", [Mention("tests/test_pricing.py", test="test_total")]),
        ("FAIL: test_total (tests.test_pricing.TestIt)", [Mention("tests/test_pricing.py", test="test_total")]),
        ("https://github.com/a/shop/blob/v1.2/shop/pricing.py#L7-L9", [Mention("shop/pricing.py", 7)]),
        ("[ERROR] CartTest#adds:12 expected 1", [Mention("src/CartTest.java", test="adds")]),
        ("a.b.CartTest > adds FAILED", [Mention("src/CartTest.java", test="adds")]),
        ("the Makefile says so", [Mention("Makefile")]),
        ("other/pricing.py and e.g. this", []),
        ("version 1.2.py", []),
    ],
)
def test_files_that_a_text_names_are_found(text: str, expected: list[Mention]) -> None:
    assert [m for m in mentions(text, FILES) if m.path in FILES] == expected


def test_a_path_that_a_trace_printed_is_no_mention() -> None:
    assert mentions("in shop/pricing.py it fails", FILES, ["shop/pricing.py"]) == ()


@pytest.mark.parametrize(
    ("path", "tested"),
    [
        ("tests/test_pricing.py", "pricing"), ("pkg/parser_test.go", "parser"), ("src/Cart.spec.ts", "cart"),
        ("a/CartTest.java", "cart"), ("a/cart_tests.rs", "cart"), ("tests/conftest.py", ""), ("src/pricing.py", ""),
    ],
)  # fmt: skip
def test_a_test_file_names_what_it_tests(path: str, tested: str) -> None:
    assert subject_of(path) == tested


def test_a_files_stem_is_its_name_alone() -> None:
    assert stem("a/_Cart.spec.ts") == "cart"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("src/app.py", "code"), ("src/latest/x.py", "code"), ("contest.py", "code"), ("tests/x.py", "test"),
        ("src/integrationTest/java/A.java", "test"), ("pkg/a_test.go", "test"), ("web/a.test.tsx", "test"),
        ("docs/conf.py", "docs"), ("README.md", "docs"), ("examples/a.py", "example"), ("vendor/a/b.go", "foreign"),
        ("api/v1_pb2.py", "foreign"), ("static/x.min.js", "foreign"), ("package.json", "data"), ("a/config.yaml", "data"),
        ("Makefile", "data"), ("schema.sql", "code"),
        ("Shop.UnitTests/Helper.cs", "test"), ("Tests/ShopTests/A.swift", "test"), ("src/cart_unittest.cc", "test"),
        ("src/IntegrationTests/A.cs", "test"), ("latest/contests/x.rb", "code"), ("benches/a.rs", "example"),
        ("web/Button.stories.tsx", "example"), ("lib/attest.ex", "code"), ("Greatest.java", "code"),
    ],
)  # fmt: skip
def test_the_kind_of_a_file_is_told_by_its_path(path: str, kind: str) -> None:
    assert kind_of(path) == kind


# ---------------------------------------------------------------------------------------------- what the index holds

SOURCE = '''"""Prices."""

RATES = {
    "EUR": 1,
}


class Basket:
    currency = "EUR"

    def total(self):
        return sum(self.prices)


def apply_coupon(basket, code):
    def inner():
        return code
    return inner()
'''


def test_a_file_is_divided_into_its_definitions_and_the_blocks_between() -> None:
    units = divide("shop/pricing.py", SOURCE).units
    assert [(u.name, u.kind, u.start, u.end) for u in units] == [
        ("", "file", 1, 19),
        ("Basket", "class", 8, 12),
        ("Basket.total", "method", 11, 12),
        ("apply_coupon", "function", 15, 18),
        ("apply_coupon.inner", "function", 16, 17),
        ("", "block", 1, 5),
    ]


def test_each_word_is_counted_where_it_stands_whole_and_in_parts() -> None:
    postings = divide("shop/pricing.py", SOURCE).postings
    assert postings["apply_coupon"] == [(3, 1)]
    assert postings["coupon"] == [(3, 1)]
    assert postings["code"] == [(3, 1), (4, 1)]  # the inner function's own use is not the outer one's
    assert postings["rates"] == [(5, 1)]
    assert postings["eur"] == [(1, 1), (5, 1)]
    assert postings["d:total"] == [(2, 1)]
    assert postings["n:basket"] == [(1, 1), (2, 1)]
    assert postings["p:pricing"] == [(0, 1)]


def test_a_file_in_no_known_language_is_cut_at_blank_lines() -> None:
    text = "\n".join(["alpha"] * 9 + [""] + ["beta"] * 3 + [""] + ["gamma"] * 9)
    found = divide("notes.xyz", text)
    assert [(u.start, u.end) for u in found.units[1:]] == [(1, 9), (11, 23)]
    assert found.postings["beta"] == [(2, 3)]


@pytest.mark.parametrize("text", ["x" * 2_000_000, "var a=1;" * 2000])
def test_of_generated_and_huge_files_only_the_path_counts(text: str) -> None:
    assert set(divide("web/bundle.js", text).postings) == {"p:web", "p:bundle"}


# ------------------------------------------------------------------------------------------------- how it is weighed


class Small:
    """A corpus from texts, by the same division as the real one."""

    def __init__(self, **files: str) -> None:
        self.divided = {name.replace("__", "/") + ".py": text for name, text in files.items()}
        self.paths = dict(enumerate(self.divided, 1))
        self.parts = {number: divide(path, self.divided[path]) for number, path in self.paths.items()}
        self.words = {number: sum(u.words for u in part.units) for number, part in self.parts.items()}
        self.unread: dict[str, int] = {}

    def postings(self, words: list[str]) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number, part in self.parts.items():
            for word in words:
                for unit, count in part.postings.get(word, ()):
                    length = part.units[unit].words
                    size = min(31, int(2 * math.log2(length))) if length > 1 else 0
                    found.setdefault(word, []).append(number << 24 | unit << 12 | size << 7 | count)
        return found

    def units(self, files: list[int]) -> dict[int, list[tuple[str, str, int, int, int]]]:
        return {f: [(u.name, u.kind, u.start, u.end, u.words) for u in self.parts[f].units] for f in files}


def rank(question: str, corpus: Small, **clues: object) -> retrieval.Ranking:
    return retrieval.rank(signals.read(question), retrieval.Clues(**clues), corpus)  # type: ignore[arg-type]


CORPUS = Small(
    shop__pricing="def apply_coupon(basket):\n    return basket.total - 1\n\n\ndef round_price(price):\n    return price\n",
    shop__mail="def send(message):\n    return message.deliver()\n",
    shop__stock="def reserve(item):\n    return item.count - 1\n",
    tests__test_pricing="def test_coupon():\n    apply_coupon(coupon)  # coupon coupon coupon\n",
)


def test_the_function_that_the_words_mean_comes_first_and_its_test_after_the_code() -> None:
    found = rank("The coupon is not applied", CORPUS)
    assert found.files[0].path == "shop/pricing.py"
    assert found.places[0].name == "apply_coupon"
    assert [hit.path for hit in found.files].index("tests/test_pricing.py") > 0


def test_tests_are_welcome_where_the_question_is_about_them() -> None:
    found = rank("coupon test", CORPUS, welcome=frozenset({"code", "test"}))
    assert found.files[0].path == "tests/test_pricing.py"
    only = rank("coupon", CORPUS, only="test")
    assert [hit.path for hit in only.files] == ["tests/test_pricing.py"]


def test_a_frame_outweighs_words() -> None:
    found = rank("The coupon is not applied", CORPUS, frames={"shop/stock.py": 1.0})
    plain = rank("The coupon is not applied", CORPUS)
    assert "shop/stock.py" not in [hit.path for hit in plain.files]
    assert [hit.path for hit in found.files[:2]] == ["shop/pricing.py", "shop/stock.py"]
    assert found.files[1].why == "in the stack trace"


def test_a_name_that_the_question_spells_finds_its_definition() -> None:
    assert rank("`round_price` is off by one", CORPUS).places[0].name == "round_price"


def test_the_reason_names_the_words_that_were_found() -> None:
    assert "coupon" in rank("The coupon is not applied", CORPUS).places[0].why


@pytest.mark.parametrize("question", ["", "zebra quagga", "!!!"])
def test_nothing_is_found_where_nothing_matches(question: str) -> None:
    assert rank(question, CORPUS) == retrieval.Ranking((), ())


def test_bm25_of_a_posting_follows_the_formula() -> None:
    """count 2 in a unit of 64 words: class ⌊2·log₂ 64⌋ = 12; 2·2.2 / (2 + 1.2·(0.25 + 0.75·64/60)) = 1.3514."""
    assert retrieval._IMPACT[12 << 7 | 2] == pytest.approx(4.4 / (2 + 1.2 * (0.25 + 0.75 * 64 / 60)))


def test_a_class_is_shown_by_its_head() -> None:
    corpus = Small(
        a="class Basket:\n    '''Holds coupons.'''\n    size = 3\n\n    def total(self):\n        return 1\n"
    )
    (head,) = [p for p in rank("basket coupons", corpus).places if p.kind == "class"]
    assert (head.start, head.end) == (1, 4)


def test_files_of_similar_commits_are_precedents_and_wide_commits_are_none() -> None:
    wide = ("Rename coupon", [f"f{n}.py" for n in range(40)])
    log = [("Fix expired coupon", ["a.py", "b.py"]), ("Tidy the mail", ["c.py"]), ("coupon", ["a.py"]), wide]
    near, history = precedents.similar({"coupon": 1.0, "expired": 1.0}, log)
    assert set(near) == {"a.py", "b.py"}
    assert near["a.py"] > near["b.py"]
    assert history["a.py"] > 0
    assert "c.py" not in history
    assert "f1.py" not in near


# ------------------------------------------------------------------------------------------------- a real repository


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    (root / "shop").mkdir(parents=True)
    (root / "tests").mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "shop" / "pricing.py").write_text(
        "from shop.rates import rate\n\n\ndef price_of(item, currency):\n    return item.price * rate(currency)\n"
    )
    (root / "shop" / "rates.py").write_text("def rate(currency):\n    return {'EUR': 1}[currency]\n")
    (root / "shop" / "order.py").write_text(
        "from shop.pricing import price_of\n\n\ndef invoice(order):\n    return [price_of(i, 'EUR') for i in order]\n"
    )
    (root / "tests" / "test_rates.py").write_text(
        "from shop.rates import rate\n\n\ndef test_rate():\n    rate('USD')\n"
    )
    (root / "tests" / "test_mail.py").write_text("def test_mail():\n    assert True\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "Sell things")
    (root / "LICENSE").write_text("Free.\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "Give it away")
    return root


TRACE = (
    Trace(
        language="python", exception="KeyError", message="'USD'",
        frames=(Frame(raw_path="shop/pricing.py", path="shop/pricing.py", line=5, function="price_of"),),
    ),
)  # fmt: skip


async def test_what_a_failing_line_calls_is_shown(shop: Path) -> None:
    found = await neighbours.called(TRACE, ProjectEvidence(shop))
    assert [(c.path, c.symbol) for c in found] == [("shop/rates.py", "rate")]


async def test_it_is_told_who_last_changed_a_failing_line(shop: Path) -> None:
    (said,) = await neighbours.blamed(TRACE, ProjectEvidence(shop))
    assert said.startswith("shop/pricing.py:5 was last changed by: ")
    assert said.endswith("Sell things")


async def test_unchanged_callers_of_a_changed_signature_are_shown(shop: Path) -> None:
    path = shop / "shop" / "pricing.py"
    path.write_text(path.read_text().replace("(item, currency)", "(item, currency, date)"))
    eyes = ProjectEvidence(shop)
    (found,) = await neighbours.callers(await eyes.changes(), 60.0, eyes)
    assert (found.path, found.symbol) == ("shop/order.py", "invoice")
    assert found.why.startswith("calls price_of, whose signature changed (")


async def test_a_change_of_the_body_alone_has_no_callers_to_look_at(shop: Path) -> None:
    path = shop / "shop" / "pricing.py"
    path.write_text(path.read_text().replace("item.price *", "2 * item.price *"))
    eyes = ProjectEvidence(shop)
    assert await neighbours.callers(await eyes.changes(), 60.0, eyes) == []


async def test_the_tests_of_what_changed_are_found_by_name_and_words(shop: Path) -> None:
    change = Change(
        path="shop/rates.py", status="modified",
        hunks=(Hunk(old_start=2, old_lines=1, new_start=2, new_lines=1, text="-    return {}\n+    return {'EUR': 1}[currency]"),),
    )  # fmt: skip
    found = await searching.related_tests((change,), ProjectEvidence(shop))
    assert [place.path for place in found] == ["tests/test_rates.py"]


async def test_a_failing_test_leads_to_the_code_that_it_calls(shop: Path) -> None:
    question = Question(text="Why does tests/test_rates.py::test_rate fail?")
    found = await collect(question, shop, ProjectEvidence(shop), budget=4000)
    assert found.files[0] == "shop/rates.py"
    assert next(e.symbol for e in found.excerpts if e.path == "tests/test_rates.py") == "test_rate"


async def test_the_dossier_ranks_files_and_says_why_each_excerpt_is_there(shop: Path) -> None:
    found = await collect(Question(text="The rate of a currency is wrong"), shop, ProjectEvidence(shop), budget=4000)
    assert found.files[0] == "shop/rates.py"
    assert all(e.why for e in found.excerpts)
    assert sum(e.tokens for e in found.excerpts) == found.tokens <= 4000


async def test_no_line_of_a_file_is_shown_twice(shop: Path) -> None:
    found = await collect(Question(text="price rate currency order test"), shop, ProjectEvidence(shop), budget=6000)
    lines = [(e.path, n) for e in found.excerpts if e.path and e.start for n in range(e.start, e.end + 1)]
    assert len(lines) == len(set(lines))


async def test_the_index_is_kept_in_the_data_directory_and_found_again(shop: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    said = signals.read("currency rate")
    first = await ProjectEvidence(shop, (), home).rank(said, retrieval.Clues())
    (kept,) = (home / "index").glob("*.db")
    size = kept.stat().st_size
    again = await ProjectEvidence(shop, (), home).rank(said, retrieval.Clues())
    assert again == first
    assert kept.stat().st_size == size
    (shop / "shop" / "rates.py").write_text("def exchange(currency):\n    return 2\n")
    changed = await ProjectEvidence(shop, (), home).rank(said, retrieval.Clues())
    assert "exchange" in {place.name for place in changed.places}
    assert "rate" not in {place.name for place in changed.places}


# --------------------------------------------------------------------------------- what a reviewer found, once broken


async def test_of_a_long_named_file_whole_definitions_are_shown_the_relevant_ones_first(shop: Path) -> None:
    functions = "\n\n".join(
        f"def step_{n}(value):\n    '''Does step {n}.'''\n    return value + {n}\n" for n in range(900)
    )
    (shop / "shop" / "long.py").write_text(functions)
    question = Question(text="What is wrong with step_733?", files=("shop/long.py",))
    found = await collect(question, shop, ProjectEvidence(shop), budget=3000)
    shown = [e for e in found.excerpts if e.path == "shop/long.py"]
    assert shown[0].symbol == "step_733"
    assert all(e.end - e.start == 2 for e in shown if e.symbol)  # each with all of its three lines
    assert found.tokens > 2000


async def test_reasons_stay_short_however_many_there_are(shop: Path) -> None:
    found = await collect(
        Question(text="price rate currency order item invoice shop test USD"), shop, ProjectEvidence(shop), budget=4000
    )
    assert max(len(e.why) for e in found.excerpts) <= 200


async def test_a_review_names_the_changed_files_first_and_then_their_tests(shop: Path) -> None:
    (shop / "shop" / "rates.py").write_text("def rate(currency):\n    return {'EUR': 1, 'USD': 2}[currency]\n")
    found = await collect(Question(text="Please review my changes"), shop, ProjectEvidence(shop), budget=4000)
    assert found.files[:2] == ("shop/rates.py", "tests/test_rates.py")


async def test_a_caller_in_the_changed_file_itself_is_shown_unless_it_changed_too(shop: Path) -> None:
    path = shop / "shop" / "pricing.py"
    path.write_text(path.read_text() + "\n\ndef total(items):\n    return sum(price_of(i, 'EUR') for i in items)\n")
    git(shop, "commit", "-qam", "Sum up")
    path.write_text(path.read_text().replace("(item, currency)", "(item, currency, date)"))
    eyes = ProjectEvidence(shop)
    found = await neighbours.callers(await eyes.changes(), 60.0, eyes)
    assert {c.symbol for c in found} == {"invoice", "total"}


def test_a_placeholder_is_not_searched_for() -> None:
    assert not {"redacted", "known", "value"} & set(signals.read("the «redacted:known-value#1» is wrong").terms)


def test_a_test_inside_the_file_that_it_tests_comes_after_the_code() -> None:
    corpus = Small(
        a="class tests:\n    def coupon_expires(self):\n        return coupon\n\n\ndef use_coupon(coupon):\n    return coupon\n"
    )
    assert rank("the coupon", corpus).places[0].name == "use_coupon"


async def test_a_failure_in_the_middle_of_a_long_log_is_found(shop: Path) -> None:
    noise = "".join(f"GET /api/item/{n} 200 in {n % 97} ms\n" for n in range(4000))
    trace = (
        'Traceback (most recent call last):\n  File "/srv/shop/pricing.py", line 5, in price_of\n'
        "    return item.price * rate(currency)\nKeyError: 'USD'\n"
    )
    question = Question(text="Why did the worker die?", error=noise + trace + noise)
    found = await collect(question, shop, ProjectEvidence(shop), budget=6000)
    assert [frame.path for t in found.traces for frame in t.frames] == ["shop/pricing.py"]
