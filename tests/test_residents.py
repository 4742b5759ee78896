"""The resident analysts on real repositories: what they must find, and what they must not say."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, NoReturn

import anyio
import pytest
from conftest import git
from hypothesis import given
from hypothesis import strategies as st

from orchestra_mcp.context.collector import collect
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.council.answers.citations import check_claims
from orchestra_mcp.council.residents import RESIDENTS, hear_residents
from orchestra_mcp.council.residents.asking import as_written, asks_for_place
from orchestra_mcp.council.residents.callers import Call, why_not
from orchestra_mcp.council.residents.flakes import signatures
from orchestra_mcp.council.residents.forms import only_form
from orchestra_mcp.council.residents.leads import Reason, rank, since_of, taken_back, words_of
from orchestra_mcp.council.residents.lineup import Case, Lineup
from orchestra_mcp.council.residents.messages import common_words
from orchestra_mcp.council.residents.places import names_in, plain_name
from orchestra_mcp.types import Absence, Change, Claim, Commit, Dossier, Hunk, Opinion, Question


class Project:
    """A repository under construction: write files, commit, ask."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *args: str) -> str:
        env = {"PATH": os.environ["PATH"], "HOME": str(self.root), "GIT_CONFIG_NOSYSTEM": "1"}
        for who in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{who}_NAME": "Ada", f"GIT_{who}_EMAIL": "ada@example.org"}
        command = ["git", "-C", str(self.root), *args]
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout

    def write(self, **files: str) -> None:
        """Write files; a name's double underscores stand for `/`, its last single one for `.`."""
        for name, text in files.items():
            path = self.root / ".".join(name.replace("__", "/").rsplit("_", 1))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).lstrip("\n"))

    def commit(self, subject: str, **files: str) -> str:
        self.write(**files)
        self.git("add", "-A")
        self.git("commit", "-qm", subject)
        return self.git("rev-parse", "HEAD").strip()

    async def hear(self, text: str, error: str = "", diff: str = "") -> dict[str, Opinion]:
        question = Question(text=text, error=textwrap.dedent(error), diff=diff, mode="debug", project=str(self.root))
        evidence = ProjectEvidence(self.root)
        dossier = await collect(question, self.root, evidence, budget=8000)
        heard = await hear_residents(question, dossier, evidence, timeout_s=60)
        assert not [absence for absence in heard if isinstance(absence, Absence)]
        opinions = [opinion for opinion in heard if isinstance(opinion, Opinion)]
        for opinion in opinions:
            checked = await check_claims(opinion.claims, evidence)
            assert [claim for claim in checked if claim.check is None or claim.check.outcome != "verified"] == []
        return {opinion.seat: opinion for opinion in opinions}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "shop")


def spots(opinion: Opinion, words: str) -> list[tuple[str, int]]:
    """Where the claims point whose text contains `words`."""
    return [(claim.path, claim.line) for claim in opinion.claims if words in claim.text]


USERS = """
    def find_user(users, name):
        for user in users:
            if user.name == name:
                return user


    def greeting(users, name):
        user = find_user(users, name)
        return "Hello " + user.title
"""
TRACE = """
    Traceback (most recent call last):
      File "/srv/shop/main.py", line 4, in <module>
        print(greeting([], "ada"))
      File "/srv/shop/users.py", line {line}, in greeting
        return "Hello " + user.title
    AttributeError: 'NoneType' object has no attribute 'title'
"""


async def test_the_walker_follows_none_to_the_function_that_returned_it(project: Project) -> None:
    project.commit("Users", users_py=USERS, main_py='from users import greeting\n\n\nprint(greeting([], "ada"))\n')
    said = (await project.hear("Why does this fail?", TRACE.format(line=9)))["walker"]
    assert (said.claims[0].path, said.claims[0].line, said.claims[0].symbol) == ("users.py", 4, "find_user")
    assert said.claims[0].text == "`find_user` can give back nothing: its end can be reached without `return`"
    assert (said.claims[1].path, said.claims[1].line, said.claims[1].symbol) == ("users.py", 9, "greeting")
    assert said.position.startswith(f"{said.claims[0].text} (users.py:4)")
    assert spots(said, "`.title` is taken from `user`") == [("users.py", 9)]
    assert spots(said, "`user` is last assigned above that line") == [("users.py", 8)]
    assert "users.py:9" in said.position
    assert "not a language model" in said.answer


async def test_a_line_number_of_another_version_is_replaced_by_the_line_found(project: Project) -> None:
    project.commit("Users", users_py=USERS)
    said = (await project.hear("Why does this fail?", TRACE.format(line=190)))["walker"]
    assert (said.claims[1].path, said.claims[1].line) == ("users.py", 9)
    assert said.claims[1].quote == 'return "Hello " + user.title'
    assert "the trace says line 190" in said.claims[1].text


async def test_where_only_the_function_is_left_nothing_is_said_about_its_lines(project: Project) -> None:
    project.commit("Users", users_py=USERS.replace("user.title", "user.name.upper()"))
    said = (await project.hear("Why does this fail?", TRACE.format(line=9)))["walker"]
    assert (said.claims[0].path, said.claims[0].line) == ("users.py", 7)
    assert "reads differently here" in said.claims[0].text
    assert spots(said, "is taken from") == []


async def test_a_trace_of_foreign_code_gives_the_walker_nothing_to_say(project: Project) -> None:
    project.commit("Users", users_py=USERS)
    trace = 'Traceback (most recent call last):\n  File "/usr/lib/python3/xml/sax.py", line 9, in parse\nKeyError: 1\n'
    assert "walker" not in await project.hear("And this?", trace)


async def test_the_root_cause_of_a_chain_comes_first(project: Project) -> None:
    project.commit(
        "Load",
        load_py="""
        def read(path):
            return settings[path]


        def start(path):
            try:
                read(path)
            except KeyError as error:
                raise RuntimeError("no settings") from error
    """,
    )
    said = (await project.hear("?", """
        Traceback (most recent call last):
          File "load.py", line 7, in start
            read(path)
          File "load.py", line 2, in read
            return settings[path]
        KeyError: 'a.toml'

        The above exception was the direct cause of the following exception:

        Traceback (most recent call last):
          File "load.py", line 9, in start
            raise RuntimeError("no settings") from error
        RuntimeError: no settings
    """))["walker"]  # fmt: skip
    assert (said.claims[0].symbol, said.claims[0].line) == ("read", 2)
    assert spots(said, "`settings` is indexed with `path`") == [("load.py", 2)]
    assert spots(said, "`path` is a parameter") == []


PYTHON_CASES = {
    "an unfitting call": (
        "def pay(amount, currency):\n    return amount\n\n\ndef checkout():\n    return pay(1)\n",
        ("checkout", 6, "return pay(1)", "TypeError: pay() missing 1 required positional argument: 'currency'"),
        {"The only definition of `pay`": 1, "`pay` is called on this line as `pay(1)`": 6},
    ),
    "a variable without value": (
        "def total(rows):\n    for row in rows:\n        last = row\n    return last\n",
        ("total", 4, "return last", "UnboundLocalError: cannot access local variable 'last' where it is not associated with a value"),
        {"`last` is assigned here, inside the `for` of line 2": 3},
    ),
    "a divisor": (
        "def mean(rows):\n    count = len(rows)\n    return sum(rows) / count\n",
        ("mean", 3, "return sum(rows) / count", "ZeroDivisionError: division by zero"),
        {"The divisor on this line is `count`": 3, "`count` is last assigned above": 2},
    ),
    "an index": (
        "def first(rows):\n    kept = [r for r in rows if r]\n    return kept[0]\n",
        ("first", 3, "return kept[0]", "IndexError: list index out of range"),
        {"The only index on this line is `0`, into `kept`": 3, "`kept` is last assigned": 2},
    ),
    "an exception on purpose": (
        'def check(age):\n    if age < 0:\n        raise ValueError("negative")\n    return age\n',
        ("check", 3, 'raise ValueError("negative")', "ValueError: negative"),
        {"raised on purpose when `age < 0` holds": 2, "`age` is a parameter": 1},
    ),
    "a name that nobody defines": (
        "def area(r):\n    return pi * r * r\n",
        ("area", 2, "return pi * r * r", "NameError: name 'pi' is not defined"),
        {"`pi` occurs in this file only here": 2},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PYTHON_CASES)
async def test_the_walker_reads_the_failing_line(project: Project, name: str) -> None:
    source, (function, line, code, message), expected = PYTHON_CASES[name]
    project.commit("Code", code_py=source)
    trace = f'Traceback (most recent call last):\n  File "code.py", line {line}, in {function}\n    {code}\n{message}\n'
    said = (await project.hear("What is wrong here?", trace))["walker"]
    assert (said.claims[0].symbol, said.claims[0].line) == (function, line)
    assert {words: spots(said, words) for words in expected} == {w: [("code.py", n)] for w, n in expected.items()}


OTHER_CASES = {
    "javascript": (
        {"cart_js": "function total(cart) {\n  const last = cart.items.pop();\n  return last.price;\n}\n"},
        ("TypeError: Cannot read properties of undefined (reading 'price')\n    at total (/srv/shop/cart.js:3:15)\n"),
        ("cart.js", 3, "total", "`.price` is taken from `last`"),
    ),
    "go": (
        {"cart_go": "package shop\n\nfunc total(c *Cart) int {\n\towner := c.find()\n\treturn owner.Count\n}\n"},
        ("panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV]\n\n"
        "goroutine 1 [running]:\nshop.total(0x0)\n\t/srv/shop/cart.go:5 +0x1d\n"),
        ("cart.go", 5, "total", "whose member is used on this line is `owner`"),
    ),
    "java": (
        {"src__shop__Cart_java": "package shop;\n\nclass Cart {\n  int total() {\n    Item last = find();\n    return last.price();\n  }\n}\n"},
        ('Exception in thread "main" java.lang.NullPointerException: Cannot invoke "shop.Item.price()" because "last" is null\n'
        "\tat shop.Cart.total(Cart.java:6)\n"),
        ("src/shop/Cart.java", 6, "Cart.total", "`.price` is taken from `last`"),
    ),
    "rust": (
        {"src__main_rs": "fn main() {\n    let first = std::env::args().nth(7);\n    println!(\"{}\", 1);\n    let x = first.unwrap();\n}\n"},
        ("thread 'main' panicked at src/main.rs:4:19:\ncalled `Option::unwrap()` on a `None` value\n"
        "stack backtrace:\n   0: shop::main\n             at ./src/main.rs:4:19\n"),
        ("src/main.rs", 4, "main", "The only `unwrap` on this line is applied to `first`"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("language", OTHER_CASES)
async def test_the_walker_reads_other_languages(project: Project, language: str) -> None:
    files, trace, (path, line, symbol, words) = OTHER_CASES[language]
    project.commit("Code", **files)
    said = (await project.hear("It crashes.", trace))["walker"]
    assert (said.claims[0].path, said.claims[0].line, said.claims[0].symbol) == (path, line, symbol)
    assert spots(said, words) == [(path, line)]


async def test_without_a_trace_the_quoted_message_leads_to_its_condition_and_callers(project: Project) -> None:
    project.commit("Stock", stock_py="""
        def reserve(count, left):
            if count > left:
                raise ValueError(f"cannot reserve {count} pieces of an article")
            return left - count


        def order(basket):
            return reserve(basket.count, basket.left)
    """)  # fmt: skip
    said = (await project.hear('Customers see "cannot reserve 3 pieces of an article" sometimes.'))["walker"]
    assert (said.claims[0].path, said.claims[0].line, said.claims[0].symbol) == ("stock.py", 3, "reserve")
    assert spots(said, "raised on purpose when `count > left` holds") == [("stock.py", 2)]
    assert spots(said, "`order` calls `reserve`") == [("stock.py", 8)]


async def test_the_historian_names_the_commit_of_the_failing_line(project: Project) -> None:
    first = project.commit("Users", users_py=USERS.replace("user.title", "user.name"))
    second = project.commit("Greet by title", users_py=USERS)
    said = (await project.hear("Why?", TRACE.format(line=9)))["historian"]
    line = next(claim for claim in said.claims if "it last changed the failing line" in claim.text)
    assert (line.path, line.line) == ("users.py", 9)
    assert second.startswith(line.text.removeprefix("1. ").split()[0])
    assert "Greet by title" in line.text
    assert first[:7] not in line.text
    assert [claim for claim in said.claims if second[:7] in claim.text and "last changed" in claim.text] == [line]


async def test_the_historian_says_what_is_not_committed(project: Project) -> None:
    project.commit("Users", users_py=USERS.replace("user.title", "user.name"))
    project.write(users_py=USERS)
    said = (await project.hear("Why?", TRACE.format(line=9)))["historian"]
    assert spots(said, "not committed yet, the first one here") == [("users.py", 9)]
    assert "compare it with what was there before" in said.position


async def test_without_git_the_historian_is_silent(tmp_path: Path) -> None:
    (tmp_path / "users.py").write_text(textwrap.dedent(USERS))
    question = Question(text="Why?", error=textwrap.dedent(TRACE.format(line=10)), project=str(tmp_path))
    evidence = ProjectEvidence(tmp_path)
    dossier = await collect(question, tmp_path, evidence, budget=8000)
    heard = await hear_residents(question, dossier, evidence, timeout_s=60)
    assert [opinion.seat for opinion in heard] == ["walker", "inspector"]


# name of the file → (source, line of the defect, words that the statement contains)
DEFECTS: dict[str, tuple[str, int, str]] = {
    "swallow_py": ("def f():\n    try:\n        g()\n    except Exception:\n        pass\n\n\ndef g(): ...\n", 4, "drops whatever it catches"),
    "default_py": ("def f(item, seen=[]):\n    seen.append(item)\n    return seen\n", 1, "is made once for all calls"),
    "leak_py": ("def f(path):\n    file = open(path)\n    text = file.read()\n    return text\n", 2, "never closed in this function"),
    "oneshot_py": ("def f(path):\n    return open(path).read()\n", 2, "nothing closes it but the garbage collector"),
    "await_py": ("async def save(x):\n    return x\n\n\nasync def f(x):\n    save(x)\n", 6, "so it never runs"),
    "undefined_py": ("def f():\n    return missing_name\n", 2, "undefined name 'missing_name'"),
    "unused_py": ("import json\n\n\ndef f():\n    return 1\n", 1, "'json' imported but unused"),
    "manyimports_py": ("from json import (\n    dumps,\n    loads,\n)\n\n\ndef f(x):\n    return dumps(x)\n", 3, "'json.loads' imported but unused"),
    "tuple_py": ('def f(x):\n    assert (x, "x is needed")\n    return x\n', 2, "assertion is always true"),
    "literal_py": ('def f(x):\n    return x is "yes"\n', 2, "compare constant literals"),
    "format_py": ('def f(x):\n    return "%s %s" % (x,)\n', 2, "'...' % ... has 2 placeholder(s) but 1 substitution(s)"),
    "dead_py": ("def f(x):\n    return x\n    x += 1\n", 3, "never reached"),
    "branch_py": ("def f(x):\n    if x == 1:\n        return 2\n    elif x == 1:\n        return 3\n    return 4\n", 4, "was already tested in line 2"),
    "same_py": ("def f(a, b):\n    return a.x and a.x\n", 2, "both sides of `and` are the same"),
    "swallow_js": ("function f() {\n  try { g(); } catch (e) {}\n}\n", 2, "this `catch` block is empty"),
    "await_js": ("async function save() {}\nasync function f() {\n  save();\n}\n", 3, "a failure goes unhandled"),
    "Swallow_java": ("class A {\n  void f() {\n    try { g(); } catch (Exception e) { }\n  }\n}\n", 3, "this `catch` block is empty"),
    "defer_go": ("package a\n\nfunc f(ps []string) {\n\tfor _, p := range ps {\n\t\tx := open(p)\n\t\tdefer x.Close()\n\t}\n}\n", 6, "runs only when the function returns"),
    "err_go": ("package a\n\nfunc f() error {\n\ta, err := g()\n\tb, err := h()\n\tuse(a, b)\n\treturn err\n}\n", 4, "overwritten in line 5"),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
async def test_the_inspector_shows_a_defect_in_changed_code(project: Project, name: str) -> None:
    source, line, words = DEFECTS[name]
    path = ".".join(name.rsplit("_", 1))
    project.commit("Start", readme_md="# Shop\n")
    project.write(**{name: source})
    said = (await project.hear("Please review my changes."))["inspector"]
    assert spots(said, words) == [(path, line)]


INNOCENT = {
    "narrow_py": "def f(d):\n    try:\n        del d[1]\n    except KeyError:\n        pass\n",
    "told_py": "def f():\n    try:\n        g()\n    except Exception:  # g is best effort\n        pass\n\n\ndef g(): ...\n",
    "default_py": "def f(item, seen=[]):\n    seen = list(seen)\n    seen.append(item)\n    return seen\n\n\ndef g(x=()):\n    return x\n",
    "closed_py": "def f(path):\n    file = open(path)\n    try:\n        return file.read()\n    finally:\n        file.close()\n",
    "handed_py": "def f(path):\n    file = open(path)\n    return wrap(file)\n\n\ndef wrap(x):\n    return x\n",
    "kept_py": "class A:\n    def f(self, path):\n        self.file = open(path)\n        return self\n",
    "task_py": "import asyncio\n\n\nasync def save():\n    return 1\n\n\nasync def f():\n    t = asyncio.create_task(save())\n    await save()\n    await t\n",
    "other_py": "async def save():\n    return 1\n\n\nasync def f(store):\n    store.save()\n",
    "generator_py": "def f():\n    return\n    yield\n",
    "nan_py": "def f(x):\n    return x != x\n",
    "reflexive_py": "def f(a):\n    assert a is a\n    assert not a < a\n",
    "import_py": "try:\n    import ujson as json\nexcept ImportError:\n    json = None\n",
    "imports_py": "try:\n    from ujson import (\n        dumps,\n        loads,\n    )\nexcept ImportError:\n    pass\n",
    "star_py": "from os.path import *\n\n\ndef f(x):\n    return join(x, x)\n",
    "export_py": "from json import dumps\n\n__all__ = ['dumps']\n",
    "hoist_js": "function f() {\n  return g();\n  function g() { return 1; }\n}\n",
    "void_js": "async function save() {}\nasync function f() {\n  void save();\n  save().catch(console.error);\n  const p = save();\n  await p;\n}\n",
    "told_js": "function f() {\n  try { g(); } catch (e) { /* best effort */ }\n}\n",
    "Ignored_java": "class A {\n  void f() {\n    try { g(); } catch (Exception ignored) { }\n  }\n}\n",
    "defer_go": "package a\n\nfunc f(ps []string) {\n\tfor _, p := range ps {\n\t\tfunc() {\n\t\t\tx := open(p)\n\t\t\tdefer x.Close()\n\t\t}()\n\t}\n}\n",
    "err_go": "package a\n\nfunc f() error {\n\ta, err := g()\n\tb, err := h(a, err)\n\tuse(b)\n\treturn err\n}\n",
}  # fmt: skip


async def test_the_inspector_is_silent_about_code_that_only_looks_like_a_defect(project: Project) -> None:
    project.commit("Start", readme_md="# Shop\n")
    project.write(**INNOCENT)
    said = (await project.hear("Please review my changes.")).get("inspector")
    shown = [] if said is None else [claim for claim in said.claims if not claim.text[0].isdigit()]
    assert shown == []


async def test_old_defects_outside_the_changes_are_not_reported(project: Project) -> None:
    old = "import json\n\n\ndef f(seen=[]):\n    seen.append(1)\n\n\ndef g():\n    return 1\n"
    project.commit("Old", code_py=old)
    project.write(code_py=old.replace("return 1", "return 2"))
    said = (await project.hear("Please review my changes.")).get("inspector")
    assert said is None or spots(said, "json") + spots(said, "made once") == []


async def test_a_call_that_no_longer_fits_a_changed_signature_is_shown(project: Project) -> None:
    use = "from pay import charge\n\n\ndef order():\n    charge(1)\n    charge(1, currency='EUR')\n    return charge\n"
    project.commit("Pay", pay_py="def charge(amount, currency='USD'):\n    return amount, currency\n", use_py=use)
    project.write(pay_py="def charge(amount, currency):\n    return amount, currency\n")
    said = (await project.hear("Is my change complete?"))["inspector"]
    assert spots(said, "no longer does: it does not give `currency`") == [("use.py", 5)]
    assert "use.py:5" in said.position


async def test_a_changed_function_without_test_is_stated_as_a_fact(project: Project) -> None:
    test = "from pay import known\n\n\ndef test_known():\n    assert known() == 1\n"
    project.commit(
        "Pay", pay_py="def known():\n    return 1\n\n\ndef charge():\n    return 1\n", tests__test_pay_py=test
    )
    project.write(pay_py="def known():\n    return 0 + 1\n\n\ndef charge():\n    return 2\n")
    said = (await project.hear("Is my change complete?"))["inspector"]
    assert spots(said, "no test file changed with it") == [("pay.py", 5)]


async def test_a_given_diff_that_is_not_applied_is_not_inspected(project: Project) -> None:
    project.commit("Code", code_py="def f():\n    return 1\n")
    diff = "--- a/code.py\n+++ b/code.py\n@@ -1,2 +1,2 @@\n-def f():\n+def f(seen=[]):\n     return 1\n"
    said = (await project.hear("Is this right?", diff=diff)).get("inspector")
    assert said is None or not any("changed (" in claim.text for claim in said.claims)


async def test_functions_that_the_question_names_are_ranked(project: Project) -> None:
    project.commit("Code", code_py="def apply_discount(price):\n    return price\n\n\ndef other():\n    return 1\n")
    said = (await project.hear("Why does `apply_discount` give the full price?"))["inspector"]
    assert (said.claims[0].symbol, said.claims[0].path, said.claims[0].line) == ("apply_discount", "code.py", 1)
    assert said.position.startswith("`apply_discount` (code.py:1)")


async def test_of_overloads_the_one_with_the_code_is_meant(project: Project) -> None:
    project.commit("Code", code_py="""
        from typing import overload


        @overload
        def apply_discount(price: int) -> int: ...
        @overload
        def apply_discount(price: str) -> str: ...
        def apply_discount(price):
            rebate = price
            return rebate
    """)  # fmt: skip
    said = (await project.hear("Why does `apply_discount` give no rebate?"))["inspector"]
    assert (said.claims[0].symbol, said.claims[0].line) == ("apply_discount", 8)


class Blind:
    """Evidence that can answer nothing: it breaks, or never comes back."""

    def __init__(self, breaks: bool) -> None:
        self.breaks = breaks

    async def _fail(self, *args: Any, **options: Any) -> NoReturn:
        if self.breaks:
            raise RuntimeError("secret detail")
        await anyio.sleep_forever()
        raise AssertionError

    files = read = syntax = definitions = locate = enclosing = mentions = changes = before = blame = log = _fail
    commit_changes = _fail


@pytest.mark.parametrize("breaks", [True, False], ids=["breaks", "never answers"])
async def test_an_analyst_that_fails_is_absent_and_nobody_is_disturbed(breaks: bool) -> None:
    heard = await hear_residents(Question(text="Why?"), Dossier(), Blind(breaks), timeout_s=0.05)
    assert [(type(one), one.seat) for one in heard] == [(Absence, name) for name in RESIDENTS]
    assert {one.kind for one in heard} == {"resident"}
    assert not any("secret detail" in one.reason for one in heard if isinstance(one, Absence))


async def test_an_empty_project_leaves_them_with_nothing_to_say(project: Project) -> None:
    assert await project.hear("Should we use Kafka?") == {}


@given(st.data())
def test_whether_a_call_fits_agrees_with_the_interpreter(data: st.DataObject) -> None:
    names = ["a", "b", "c", "d"]
    count = data.draw(st.integers(0, 3))
    defaults = data.draw(st.integers(0, count))
    slash = data.draw(st.integers(0, count))
    parts: list[str] = []
    for n, name in enumerate(names[:count]):
        parts.append(name + ("=0" if n >= count - defaults else ""))
        if slash and n == slash - 1:
            parts.append("/")
    rest = data.draw(st.booleans())
    keyword = data.draw(st.sampled_from(["", "d", "d=0"]))
    parts += ["*rest"] if rest else ["*"] if keyword else []
    parts += [keyword] if keyword else []
    parts += ["**more"] if data.draw(st.booleans()) else []
    source = f"def f({', '.join(parts)}): pass"
    scope: dict[str, Any] = {}
    exec(source, scope)
    call = Call(data.draw(st.integers(0, 4)), tuple(data.draw(st.lists(st.sampled_from([*names, "e"]), unique=True))))
    try:
        scope["f"](*[None] * call.positional, **dict.fromkeys(call.keywords))
        fits = True
    except TypeError:
        fits = False
    said = why_not(call, signatures(ast.parse(source))["f"], 0)
    twice = set(call.keywords) & set(names[slash : min(count, call.positional)])  # given twice: we keep silent
    assert (said == "") == fits or (said == "" and twice)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("Ledger.reserve", "reserve"),
        ("github.com/x/shop.(*Cart).total(0xc000, 0x1)", "total"),
        ("main.run.func1", "run"),
        ("shop::cart::total::{{closure}}", "total"),
        ("shop::cart::total::h0123456789abcdef", "total"),
        ("Object.handle [as run]", "handle"),
        ("<module>", ""),
        ("<listcomp>", ""),
        ("shop.Cart.<init>", "Cart"),
        ("shop.Cart$Row.<init>", "Row"),
        ("shop.Cart$1.<init>", ""),
        ("shop.Cart.<clinit>", ""),
        ("shop.Cart$1.run", "run"),
        ("shop.Cart.lambda$total$0", "total"),
        ("shop.Cart.lambda$new$0", ""),
        ("ShopKt$main$1.invoke", "main"),
        ("Object.<anonymous>", ""),
        ("<shop::Money as core::fmt::Display>::fmt", "fmt"),
        ("shop::cart::total::<i32>", "total"),
        ("main.(*Server).ServeHTTP-fm", "ServeHTTP"),
        ("main.init.0", "init"),
        ("main.glob..func1", ""),
        ("$on", "$on"),
    ],
)
def test_the_plain_name_of_a_frame_s_function(function: str, name: str) -> None:
    assert plain_name(function) == name


def test_names_in_prose_are_those_that_look_like_code() -> None:
    found = names_in("When I call `Cart.total` with an OrderLine, parse_price() fails in the Total of version 2.1.")
    assert set(found) == {"Cart.total", "OrderLine", "parse_price"}


@pytest.mark.parametrize(
    ("message", "line", "run"),
    [
        ("cannot open file 'x.txt' for writing", 'raise OSError(f"cannot open file {name!r} for writing")', "cannot open file"),
        ("it is not what it was", 'say("it is not what it was")', ""),  # no telling words
        ("value too large", "limit = 3  # values", ""),
    ],
)  # fmt: skip
def test_the_common_words_of_a_message_and_a_line(message: str, line: str, run: str) -> None:
    assert common_words(message, line) == run


def test_a_claim_has_a_place_to_look_at(project: Project) -> None:
    project.commit("Users", users_py=USERS)
    opinions: Sequence[Opinion] = list(anyio.run(project.hear, "Why?", TRACE.format(line=9)).values())
    claims: list[Claim] = [claim for opinion in opinions for claim in opinion.claims]
    assert claims
    assert all(claim.path and claim.line and claim.quote for claim in claims)


async def test_a_question_about_the_changes_is_told_what_changed_and_what_hangs_on_it(project: Project) -> None:
    cart = "from price import net\n\n\ndef total(items):\n    return sum(net(i) for i in items)\n"
    project.commit("Begin", price_py="def net(gross):\n    return gross / 1.2\n", cart_py=cart)
    project.commit("Lower the tax", price_py="def net(gross):\n    return gross / 1.19\n")
    said = (await project.hear("What does the last commit change, and what could break?"))["historian"]
    # `net` stands in cart.py twice, in the import and in the call, both outside its definition.
    assert said.claims[0].text == (
        "`net`: 1 line changed; its name occurs at 2 other places, 0 of them in tests, and in 1 other source file"
    )
    assert (said.claims[0].path, said.claims[0].line) == ("price.py", 2)
    assert "Lower the tax" in said.answer


JAVA = """
    package shop;

    class Cart {
      static int limit = Integer.parseInt("x");
      Cart(java.util.Map<String, String> m) {
        m.get("name").isEmpty();
      }
      void start(java.util.Map<String, String> m) {
        new Runnable() {
          public void run() {
            m.get("host").trim();
          }
        }.run();
      }
      void init() {}
    }
"""
SCRIPT = """
    class Cart {
      constructor(items) {
        this.first = items[0].name;
      }
    }
    module.exports = (rows) => rows.map((row) => row.price.amount);
    const settings = load(undefined.port);
"""
MONEY = """
    struct Money(Vec<i32>);

    impl std::fmt::Display for Money {
        fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            write!(f, "{}", self.0[3])
        }
    }

    fn parse(text: &str) -> i32 {
        text.parse::<i32>().unwrap()
    }
"""
GO = "package shop\n\nfunc total(rows []int) int {\n\treturn rows[0]\n}\n\ntype S struct{}\n\nfunc (s *S) Serve(rows []int) int {\n\treturn rows[1]\n}\n"
NPE = 'Exception in thread "main" java.lang.NullPointerException: Cannot invoke "String.trim()" because it is null\n'
UNDEFINED = "TypeError: Cannot read properties of undefined (reading '{}')\n"
RUST_END = (
    "   0: __rustc::rust_begin_unwind\n             at /rustc/5980/library/std/src/panicking.rs:689:5\n"
    "   1: core::panicking::panic_fmt\n             at /rustc/5980/library/core/src/panicking.rs:80:14\n"
)
GO_END = (
    "goroutine 19 [running]:\ntesting.tRunner.func1.2({0x7a0b40, 0xc00001c0d8})\n\t/usr/local/go/src/testing/testing.go:1545 +0x238\n"
    "panic({0x7a0b40?, 0xc00001c0d8?})\n\t/usr/local/go/src/runtime/panic.go:914 +0x21f\n"
)
# what is tried → (files, trace, line and function that the first step must lead to, words that must follow about that line)
FRAMES: dict[str, tuple[dict[str, str], str, tuple[int, str], str]] = {
    "a Java constructor": (
        {"shop__Cart_java": JAVA},
        NPE + "\tat shop.Cart.<init>(Cart.java:6)\n",
        (6, "Cart.Cart"),
        "",
    ),
    "a Java initialiser": (
        {"shop__Cart_java": JAVA},
        (
            'java.lang.NumberFormatException: For input string: "x"\n\tat java.base/java.lang.Integer.parseInt(Integer.java:668)\n'
            "\tat shop.Cart.<clinit>(Cart.java:4)\n"
        ),
        (4, "Cart"),
        "",
    ),
    "an anonymous Java class": (
        {"shop__Cart_java": JAVA},
        NPE + "\tat shop.Cart$1.run(Cart.java:11)\n\tat shop.Cart.start(Cart.java:13)\n",
        (11, "Cart.start.run"),
        "",
    ),
    "a JavaScript constructor": (
        {"cart_js": SCRIPT},
        UNDEFINED.format("name") + "    at new Cart (/srv/cart.js:3:29)\n",
        (3, "Cart.constructor"),
        "`.name` is taken from `items[0]`",
    ),
    "an anonymous function": (
        {"cart_js": SCRIPT},
        UNDEFINED.format("amount") + "    at /srv/cart.js:6:56\n    at Array.map (<anonymous>)\n",
        (6, "exports"),
        "`.amount` is taken from `row.price`",
    ),
    "a script itself": (
        {"cart_js": SCRIPT},
        UNDEFINED.format("port") + "    at Object.<anonymous> (/srv/cart.js:7:33)\n",
        (7, ""),
        "`.port` is taken from `undefined`",
    ),
    "a Rust trait": (
        {"src__main_rs": MONEY},
        "thread 'main' panicked at src/main.rs:5:31:\nindex out of bounds: the len is 1 but the index is 3\nstack backtrace:\n"
        + RUST_END
        + "   2: <usize as core::slice::index::SliceIndex<[T]>>::index\n             at /rustc/5980/library/core/src/slice/index.rs:272:10\n"
        "   3: <shop::Money as core::fmt::Display>::fmt\n             at ./src/main.rs:5:31\n",
        (5, "Money.fmt"),
        "",
    ),
    "a Rust unwrap": (
        {"src__main_rs": MONEY},
        "thread 'main' panicked at src/main.rs:10:25:\ncalled `Result::unwrap()` on an `Err` value: ParseIntError\nstack backtrace:\n"
        + RUST_END
        + "   2: core::result::Result<T,E>::unwrap\n             at /rustc/5980/library/core/src/result.rs:1233:23\n"
        "   3: shop::parse\n             at ./src/main.rs:10:25\n",
        (10, "parse"),
        "The only `unwrap` on this line is applied to",
    ),
    "a recovered Go panic": (
        {"cart_go": GO},
        "panic: runtime error: index out of range [0] with length 0 [recovered]\n\n"
        + GO_END
        + "shop.total({0x0, 0x0, 0x0})\n\t/srv/shop/cart.go:4 +0x9f4\n",
        (4, "total"),
        "The only index on this line is `0`",
    ),
    "a Go method value": (
        {"cart_go": GO},
        (
            "panic: runtime error: index out of range [1] with length 0\n\ngoroutine 1 [running]:\n"
            "shop.(*S).Serve-fm({0x0, 0x0})\n\t/srv/shop/cart.go:10 +0x1d\n"
        ),
        (10, "S.Serve"),
        "The only index on this line is `1`",
    ),
}


@pytest.mark.parametrize("name", FRAMES)
async def test_frames_without_a_plain_name_lead_to_their_line(project: Project, name: str) -> None:
    files, trace, (line, symbol), words = FRAMES[name]
    project.commit("Code", **files)
    said = (await project.hear("It crashes.", trace))["walker"]
    first = next(claim for claim in said.claims if "is the innermost frame of this project" in claim.text)
    assert (first.line, first.symbol) == (line, symbol)
    assert "Integer.parseInt" in trace or "outside this project" not in said.answer
    assert not words or [spot[1] for spot in spots(said, words)] == [line]


async def test_an_outer_frame_is_not_called_the_innermost_when_that_is_gone(project: Project) -> None:
    project.commit("Code", code_py="def outer(d):\n    return d['a']\n")
    said = (await project.hear("?", """
        Traceback (most recent call last):
          File "code.py", line 2, in outer
            return d['a']
          File "code.py", line 9, in gone
            return d['a']['b']
        KeyError: 'a'
    """))["walker"]  # fmt: skip
    assert said.claims[0].text.startswith("`outer` is 1 own frame further out")
    assert "is not in this version as the trace has it" in said.answer
    assert spots(said, "is indexed with") == []


async def test_a_trace_that_was_given_is_not_asked_for_again(project: Project) -> None:
    project.commit("Users", users_py=USERS)
    heard = await project.hear("Why does `greeting` fail?", TRACE.format(line=9))
    assert "Attach the stack trace" not in heard["inspector"].answer
    assert "Attach the stack trace" in (await project.hear("Why does `greeting` fail?"))["inspector"].answer


async def test_what_a_function_can_return_is_no_cause_where_nothing_was_none(project: Project) -> None:
    project.commit("Users", users_py=USERS)
    trace = TRACE.format(line=9).replace("'NoneType'", "'str'")
    said = (await project.hear("Why?", trace))["walker"]
    assert "can give back nothing" not in said.answer


async def test_a_test_that_changed_beyond_the_files_looked_at_counts(project: Project) -> None:
    files = {f"m{n:02}_py": f"def func{n}():\n    return 1\n" for n in range(15)}
    project.commit("Begin", **files, tests__test_z_py="def test_z():\n    assert True\n")
    for name, text in files.items():
        project.write(**{name: text.replace("return 1", "return 2")})
    project.write(tests__test_z_py="def test_z():\n    assert 1\n")
    heard = await project.hear("Is my change complete?")
    assert "inspector" not in heard or spots(heard["inspector"], "no test file changed") == []
    assert (
        "touches 16 files (1 of them a test), with 12 functions in the 12 of them that I read"
        in heard["historian"].position
    )


BROKEN: dict[str, tuple[str, str, int, str]] = {
    "code_py": ("def f(x):\n    return x\n", "def f(x:\n    return x\n", 1, "does not parse as Python 3."),
    "code_js": ("function f(a) {\n  return a;\n}\n", "function f(a) {\n  return = a;\n}\n", 2, "does not parse as JavaScript"),
    "code_go": ("package a\n\nfunc f() {\n\tx()\n}\n", "package a\n\nfunc f() {\n\tx := = 1\n}\n", 4, "does not parse as Go"),
    "Code_java": ("class A {\n  int f() {\n    return 1;\n  }\n}\n", "class A {\n  int f() {\n    return 1 +;\n  }\n}\n", 3, "does not parse as Java"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
async def test_a_syntax_error_in_changed_lines_is_the_first_finding(project: Project, name: str) -> None:
    before, after, line, words = BROKEN[name]
    project.commit("Begin", **{name: before})
    project.write(**{name: after})
    said = (await project.hear("Please review my changes."))["inspector"]
    assert [spot[1] for spot in spots(said, words)] == [line]
    assert words in said.position
    assert said.confidence == 0.55
    assert "No defect" not in said.answer


async def test_a_file_that_never_parsed_is_not_held_against_the_change(project: Project) -> None:
    old = 'print "two"\n\n\ndef f():\n    return 1\n'
    script = "type A = {| b: number |};\n\nfunction f() {\n  return 1;\n}\n"
    project.commit("Old", code_py=old, code_js=script)
    project.write(code_py=old.replace("return 1", "return 2"), code_js=script.replace("return 1", "return 2"))
    said = (await project.hear("Please review my changes.")).get("inspector")
    assert said is None or ("parse" not in said.answer and "No defect" not in said.answer)


async def test_the_line_in_question_is_a_changed_one(project: Project) -> None:
    body = "".join(f"    x{n} = {n}\n" for n in range(12))
    project.commit("Begin", code_py=f"def compute():\n{body}    return x0\n")
    project.write(code_py=f"def compute():\n{body}    return x0\n".replace("x8 = 8", "x8 = 9"))
    said = (await project.hear("Does `compute` give the wrong sum?"))["historian"]
    # line 1 is the `def`, so `x8` stands in line 10; the hunk's context begins at line 7
    assert spots(said, "The line in question is not committed yet") == [("code.py", 10)]


async def test_the_headline_of_the_history_speaks_of_the_function(project: Project) -> None:
    project.commit("Begin", code_py="def compute():\n    x = 1\n    y = 2\n    return x + y\n")
    second = project.commit("More", code_py="def compute(a):\n    x = 2\n    y = 3\n    return x * y\n")
    project.commit("Other", other_md="# Other\n")
    said = (await project.hear("Does `compute` give the wrong sum?"))["historian"]
    assert said.position.startswith(f"The newest lines of the function `compute` (code.py:1) are from {second[:7]}")
    assert "git bisect" in said.answer


async def test_the_first_commit_adds_and_changes_nothing(project: Project) -> None:
    first = project.commit("Begin", code_py="def compute():\n    return 1\n")
    heard = await project.hear("Does `compute` give the wrong sum?")
    said = heard["historian"]
    assert f"(code.py:1) was added by {first[:7]}" in said.position
    assert "compare it with what was there before" not in said.answer
    assert "bisect" not in said.answer
    assert "changed (" not in heard["inspector"].answer


async def test_a_function_that_is_new_in_an_old_file_is_said_to_be_new(project: Project) -> None:
    project.commit("Begin", code_py="def old():\n    return 1\n")
    project.write(code_py="def old():\n    return 1\n\n\ndef compute():\n    return 2\n")
    said = (await project.hear("Does `compute` give the wrong sum?"))["historian"]
    assert "`compute` (code.py:5) is new (unstaged)" in said.position


async def test_the_words_of_the_question_are_shown_as_written(project: Project) -> None:
    project.commit(
        "Begin", cache_py="def refresh(redis):\n    # redis keeps what was fetched\n    return redis.flush()\n"
    )
    project.commit("Other", other_md="# Other\n")
    said = (await project.hear("Redis loses entries after a refresh"))["inspector"]
    assert "Redis" in said.position
    assert "redi," not in said.answer
    assert "by words alone" in said.position


async def test_a_function_is_only_said_to_have_the_words_that_it_has_itself(project: Project) -> None:
    """Neighbours share one excerpt, whose ground names the words of both."""
    project.commit(
        "Begin",
        stock_py="def reserve(crate):\n    return crate.pallet\n\n\ndef release(parcel):\n    return parcel.barrel\n",
        other_py="def other():\n    return 1\n",
    )
    project.commit("Other", other_py="def other():\n    return 2\n")
    said = (await project.hear("The crate loses its pallet and the parcel its barrel when stock moves"))["inspector"]
    told = {claim.symbol: claim.text for claim in said.claims}
    assert set(told) >= {"reserve", "release"}
    for name, own, foreign in (
        ("reserve", ("crate", "pallet"), ("parcel", "barrel")),
        ("release", ("parcel", "barrel"), ("crate", "pallet")),
    ):
        assert all(word in told[name] for word in own)
        assert not any(word in told[name] for word in foreign)


async def test_a_function_without_a_word_of_the_question_is_not_said_to_have_one(project: Project) -> None:
    project.commit(
        "Begin",
        stock_py="def reserve(crate):\n    return crate.pallet\n\n\ndef unrelated():\n    return 1\n",
        other_py="def other():\n    return 1\n",
    )
    project.commit("Other", other_py="def other():\n    return 2\n")
    said = (await project.hear("The crate loses its pallet"))["inspector"]
    told = {claim.symbol: claim.text for claim in said.claims}
    assert next(iter(told)) == "reserve"
    assert "it has the question's words" in told["reserve"]
    assert "it has" not in told.get("unrelated", "")


async def test_a_method_inside_a_shown_class_is_a_suspect_too(project: Project) -> None:
    body = "class Depot:\n    shelves = 4  # a depot with shelves\n\n    def sweep(self, broom):\n        return broom.dust\n"
    project.commit("Begin", depot_py=body)
    project.commit("Other", other_md="# Other\n")
    said = (await project.hear("The depot's shelves get dust from the broom"))["inspector"]
    assert "Depot.sweep" in {claim.symbol for claim in said.claims}


def test_a_merge_counts_less_than_the_commit_that_it_brought() -> None:
    at = datetime(2025, 3, 1, tzinfo=UTC)
    merge = Commit(id="a" * 7, at=at, subject="Merge branch 'faster' into main")
    brought = Commit(id="b" * 7, at=at, subject="Cache the totals")
    named = Commit(id="c" * 7, at=at, subject="Merge two loops into one")
    why = Reason("touched", "it changed `total`", "shop.py", 3)
    leads = rank([(merge, why), (brought, why), (named, why)], [], "")
    assert [lead.commit for lead in leads] == [brought, named, merge]


async def test_the_functions_are_lined_up_once_for_all_residents(project: Project) -> None:
    project.commit("Users", users_py=USERS)
    question = Question(text="Why?", error=textwrap.dedent(TRACE.format(line=9)), mode="debug")
    evidence = ProjectEvidence(project.root)
    case = Case(question, await collect(question, project.root, evidence, budget=8000), evidence)
    lineups: list[Lineup | None] = [None, None]

    async def ask(number: int) -> None:
        lineups[number] = await case.lineup()

    async with anyio.create_task_group() as group:
        group.start_soon(ask, 0)
        group.start_soon(ask, 1)
    assert lineups[0] is not None
    assert lineups[0] is lineups[1]


async def test_what_is_near_by_the_change_is_not_said_to_be_so_by_words_alone(project: Project) -> None:
    other = "def keep(redis, entries):\n    # a refresh must not lose entries\n    return redis.put(entries)\n"
    project.commit("Begin", cache_py="def refresh(redis):\n    return redis.flush()\n", keep_py=other)
    project.write(cache_py="def refresh(redis):\n    return redis.flush(1)\n")
    said = (await project.hear("Redis loses entries after a refresh"))["inspector"]
    if "`refresh`" in said.position:
        assert "by the change" in said.position
    else:
        assert "by words alone" in said.position
    assert ("by words alone" in said.position) != ("changed (" in said.position)


PLACES = [
    ("Where is Basket implemented?", "`Basket` is defined at shop/basket.py:1"),
    ("How does apply_discount work?", "`apply_discount` is defined at shop/basket.py:6"),
    ("What does `Basket.total` do?", "`Basket.total` is defined at shop/basket.py:2"),
]


@pytest.mark.parametrize(("question", "position"), PLACES)
async def test_a_question_of_place_is_answered_with_the_place(project: Project, question: str, position: str) -> None:
    source = "class Basket:\n    def total(self):\n        return 1\n\n\ndef apply_discount(price):\n    return price\n"
    project.commit("Begin", shop__basket_py=source)
    project.commit("Change", shop__basket_py=source.replace("return 1", "return 2"))
    heard = await project.hear(question)
    assert set(heard) == {"inspector"}
    assert heard["inspector"].position == position
    assert "failing case" not in heard["inspector"].answer
    assert "stack trace" not in heard["inspector"].answer


async def test_for_a_question_of_place_more_of_its_words_rank_higher(project: Project) -> None:
    source = (
        "def redirect(url):\n    return url\n\n\n"
        "def resolve_redirects(response):\n    # follow each redirect and keep its cookies\n    return response.cookies\n"
    )
    project.commit("Begin", web_py=source)
    said = (await project.hear("How are cookies handled when a response redirects?"))["inspector"]
    assert said.claims[0].symbol == "resolve_redirects"
    assert "is defined at" not in said.position


async def test_imports_of_a_renamed_module_are_shown(project: Project) -> None:
    project.commit(
        "Begin",
        pkg____init___py="",
        pkg__hooks_py="def default_hooks():\n    return {}\n\n\ndef dispatch(key):\n    return key\n",
        pkg__models_py="from .hooks import default_hooks\n\n\ndef make():\n    return default_hooks()\n",
        pkg__safe_py="try:\n    from .hooks import dispatch\nexcept ImportError:\n    dispatch = None\n",
        run_py="import pkg.hooks\n\n# from .hooks import x\nprint(pkg.hooks.dispatch(1))\n",
        other__run_py="import hooks\n\nhooks.run()\n",
        web__lib_js="module.exports = function lib() {\n  return 1;\n};\n",
        web__main_js="const lib = require('./lib');\nlib();\n",
    )
    project.git("mv", "pkg/hooks.py", "pkg/hooking.py")
    project.git("mv", "web/lib.js", "web/library.js")
    said = (await project.hear("Is my change complete?"))["inspector"]
    found = spots(said, "was renamed to `pkg/hooking.py` (staged) and no file has its place")
    assert sorted(found) == [("pkg/models.py", 1), ("run.py", 1)]
    assert spots(said, "was renamed to `web/library.js`") == [("web/main.js", 1)]
    project.write(pkg__hooks_py="from .hooking import *\n")
    again = (await project.hear("Is my change complete?")).get("inspector")
    assert again is None or spots(again, "was renamed to `pkg") == []


async def test_how_useful_an_answer_is_said_with_it(project: Project) -> None:
    project.commit("Users", users_py=USERS)
    project.commit("Other", other_md="# Other\n")
    heard = await project.hear("Why?", TRACE.format(line=9))
    assert {seat: said.confidence for seat, said in heard.items()} == {
        "walker": 0.5, "historian": 0.35, "inspector": 0.3,
    }  # fmt: skip
    assert (await project.hear("What did the last commits change?"))["historian"].confidence == 0.45


async def test_a_frame_at_a_comment_belongs_to_another_version(project: Project) -> None:
    project.commit("Code", cart_go=GO.replace("\treturn rows[0]", "\t// the first one\n\treturn rows[0]"))
    trace = (
        "panic: runtime error: index out of range [0] with length 0\n\ngoroutine 1 [running]:\n"
        "shop.total({0x0, 0x0})\n\t/srv/shop/cart.go:4 +0x1d\n"
    )
    said = (await project.hear("Why?", trace))["walker"]
    assert (said.claims[0].line, said.claims[0].symbol) == (3, "total")
    assert "the trace's line 4 holds no code here" in said.claims[0].text


async def test_a_member_is_found_as_it_is_written_and_not_in_tests_of_that_name(project: Project) -> None:
    project.commit(
        "Begin",
        lib__response_js="res.json = function json(obj) {\n  return this.send(obj);\n};\n",
        **{"test__res.format_js": "const f = {\n  json: function () {\n    return 1;\n  },\n};\n"},
    )
    said = (await project.hear("How does res.json work?"))["inspector"]
    assert said.position == "`res.json` is defined at lib/response.js:1"


@pytest.mark.parametrize(
    ("question", "place"),
    [
        ("Where is the session made?", True),
        ("How does the parser handle quotes?", True),
        ("Explain the retry policy.", True),
        ("Where is the bug?", False),
        ("How do I speed this up?", False),
        ("How does my last commit work?", False),
        ("What does the parser do wrong?", False),
        ("Why is it slow?", False),
        ("Should we use Kafka?", False),
    ],
)
def test_a_question_of_place_is_told_from_others(question: str, place: bool) -> None:
    assert asks_for_place(Question(text=question), Dossier()) is place
    assert not asks_for_place(Question(text=question, error="KeyError: 1"), Dossier())


def test_search_terms_are_shown_as_they_stand_in_the_question() -> None:
    assert as_written(["redi", "redis", "session"], "Redis drops getSession() and redis keys") == (
        "Redis",
        "Session",  # only this part was looked for, so no more of the name is claimed
    )


# ------------------------------------------------------------------------------- which commit broke the failing path


class Story(Project):
    """A project with a commit a day, whose program is run to get the real traceback."""

    day = 0
    month = 3

    def git(self, *args: str) -> str:
        when = f"2026-{self.month:02}-{1 + self.day:02}T12:00:00Z"
        env = {"PATH": os.environ["PATH"], "HOME": str(self.root), "GIT_CONFIG_NOSYSTEM": "1"}
        for who in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{who}_NAME": "Ada", f"GIT_{who}_EMAIL": "ada@example.org", f"GIT_{who}_DATE": when}
        command = ["git", "-C", str(self.root), *args]
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout

    def commit(self, subject: str, **files: str) -> str:
        self.day += 1
        return super().commit(subject, **files)[:7]

    def change(self, subject: str, file: str, old: str, new: str) -> str:
        text = (self.root / file).read_text()
        assert text.count(old) == 1, (file, old)
        (self.root / file).write_text(text.replace(old, new))
        return self.commit(subject)

    def fail(self) -> str:
        """The traceback that the program really gives."""
        done = subprocess.run([sys.executable, "main.py"], cwd=self.root, capture_output=True, text=True, timeout=60)
        assert "Traceback" in done.stderr, done
        return done.stderr

    def pass_days(self, number: int, first: int = 0) -> None:
        """Commits of others, far from the failing path."""
        for n in range(first, first + number):
            self.commit(f"Other work {n}", **{f"other{n}_py": f"def other{n}(a):\n    return a + {n}\n"})


SHOP = {
    "main_py": """
        from shop.report import show
        from shop.store import load

        print(show(load("ada")))
    """,
    "shop__store_py": """
        PRICES = {"tea": 3, "pot": 20}


        def find_price(name):
            if name not in PRICES:
                raise LookupError(f"no price of {name}")
            return PRICES[name]


        def load(customer):
            names = ["tea", "pot"]
            return {"customer": customer, "total": sum(find_price(n) for n in names), "lines": names}
    """,
    "shop__report_py": """
        def average(order):
            lines = order["lines"]
            if not lines:
                return 0
            return order["total"] / len(lines)


        def show(order):
            head = order["customer"].title()
            return f"{head}: {average(order):.2f}"
    """,
    "README_md": "# Shop\n",
}


@pytest.fixture
def story(tmp_path: Path) -> Story:
    made = Story(tmp_path / "shop")
    made.commit("Begin the shop", **SHOP)
    made.pass_days(6)
    return made


def accused(said: Opinion) -> list[str]:
    """The commits that the historian names, the likeliest first."""
    ranked = [claim.text for claim in said.claims if re.match(r"\d\. [0-9a-f]{7} of ", claim.text)]
    return list(dict.fromkeys(text.split()[1] for text in ranked))


def _wrong_key(story: Story) -> str:
    return story.change("Tidy the report", "shop/report.py", 'order["total"]', 'order["sum"]')


def _renamed_at_its_source(story: Story) -> str:
    return story.change("Better names", "shop/store.py", '"total":', '"amount":')


def _returns_none(story: Story) -> str:
    return story.change(
        "No exception for unknown names", "shop/store.py",
        '    if name not in PRICES:\n        raise LookupError(f"no price of {name}")\n    return PRICES[name]',
        "    if name == \"tea\":\n        return None\n    return PRICES[name]",
    )  # fmt: skip


def _guard_removed(story: Story) -> str:
    story.change("Fewer things", "shop/store.py", 'names = ["tea", "pot"]', "names = []")
    story.pass_days(2, 20)
    return story.change("Simplify", "shop/report.py", "    if not lines:\n        return 0\n", "")


def _signature(story: Story) -> str:
    return story.change("Ask for a currency", "shop/report.py", "def average(order):", "def average(order, currency):")


def _moved_out(story: Story) -> str:
    return story.change(
        "Indent", "shop/report.py",
        "    if not lines:\n        return 0\n", "    if not lines:\n        return 0\n    if len(lines) < 99:\n        return lines[99]\n",
    )  # fmt: skip


PLANTED = [_wrong_key, _renamed_at_its_source, _returns_none, _guard_removed, _signature, _moved_out]


@pytest.mark.parametrize("plant", PLANTED)
@pytest.mark.parametrize("later", [0, 9])
async def test_the_historian_names_the_commit_that_broke_it(
    story: Story, plant: Callable[[Story], str], later: int
) -> None:
    broken = plant(story)
    story.pass_days(later, 30)
    story.change("Say more", "README.md", "# Shop\n", "# Shop\n\nIt sells tea.\n")
    said = (await story.hear("It worked before. Why does it fail now?", story.fail()))["historian"]
    assert accused(said)[0] == broken
    assert said.position.startswith(f"{broken} of 2026-03-")
    assert "first commit to look at" in said.position


async def test_a_commit_that_only_reformatted_the_failing_line_is_looked_behind(story: Story) -> None:
    broken = _wrong_key(story)
    story.pass_days(1, 40)
    form = story.change(
        "Run the formatter", "shop/report.py", '    return order["sum"] / len(lines)\n',
        "    return order['sum'] / len(\n        lines,\n    )\n",
    )  # fmt: skip
    said = (await story.hear("Why?", story.fail()))["historian"]
    assert accused(said)[0] == broken
    assert form not in accused(said)
    assert f"it last changed the failing line but for its form ({form} only reformatted it)" in said.answer


async def test_a_line_that_moved_out_of_its_block_did_change(story: Story) -> None:
    """Its text is the same but for blanks, and in Python these have a meaning."""
    story.change(
        "Long orders", "shop/report.py", '    return order["total"]',
        '    if len(lines) > 5:\n        lines = lines[:5]\n        order = order["parts"]\n    return order["total"]',
    )  # fmt: skip
    story.pass_days(1, 40)
    broken = story.change(
        "Indent", "shop/report.py", '        order = order["parts"]\n', '    order = order["parts"]\n'
    )
    said = (await story.hear("Why?", story.fail()))["historian"]
    assert accused(said)[0] == broken


async def test_a_fault_as_old_as_the_code_is_blamed_on_no_later_commit(tmp_path: Path) -> None:
    story = Story(tmp_path / "shop")
    first = story.commit(
        "Begin the shop", **{**SHOP, "shop__store_py": SHOP["shop__store_py"].replace('"total"', '"sum"')}
    )
    story.pass_days(14)
    said = (await story.hear("Why does it fail?", story.fail()))["historian"]
    assert accused(said) == [first]
    assert said.position.startswith(
        f"No commit changed the failing path since {first} of 2026-03-02, “Begin the shop” wrote it"
    )


async def test_a_path_that_nothing_recent_touched_is_said_to_be_so(tmp_path: Path) -> None:
    story = Story(tmp_path / "shop")
    story.commit("Begin the shop", **SHOP)
    old = _wrong_key(story)
    story.month = 11
    story.pass_days(1)
    said = (await story.hear("Why?", story.fail()))["historian"]
    assert said.position.startswith(
        f"No recent commit touched the failing path; the likeliest of the older ones is {old} of 2026-03-"
    )


async def test_a_new_version_of_a_package_in_the_trace_is_named(story: Story) -> None:
    story.commit("Depend", requirements_txt="teapot==1.0\nother==2.0\n", shop__report_py="""
        import teapot


        def show(order):
            return teapot.brew(order["total"])
    """)  # fmt: skip
    story.pass_days(2, 40)
    broken = story.change("Newer parts", "requirements.txt", "teapot==1.0", "teapot==2.0")
    trace = f"""
        Traceback (most recent call last):
          File "{story.root}/main.py", line 4, in <module>
            print(show(load("ada")))
          File "{story.root}/shop/report.py", line 5, in show
            return teapot.brew(order["total"])
          File "/usr/lib/python3/site-packages/teapot/core.py", line 9, in brew
            raise TypeError("brew takes cups")
        TypeError: brew takes cups
    """
    said = (await story.hear("It fails since the update.", trace))["historian"]
    assert broken in accused(said)
    assert spots(said, f"{broken} of 2026-03-") == [("requirements.txt", 1)]


async def test_a_commit_that_was_taken_back_is_hardly_suspected(story: Story) -> None:
    broken = _guard_removed(story)
    bad = story.change(
        "Average of lines", "shop/report.py", "    lines = order", "    lines = order  # all\n    lines = order"
    )
    story.git("revert", "--no-edit", "HEAD")
    story.day += 1
    said = (await story.hear("Why?", story.fail()))["historian"]
    assert accused(said)[0] == broken
    assert bad not in accused(said)[:1]


async def test_uncommitted_changes_of_the_failing_line_come_before_all_commits(story: Story) -> None:
    _wrong_key(story)
    file = story.root / "shop" / "report.py"
    file.write_text(file.read_text().replace('order["sum"]', 'order["wrong"]'))
    said = (await story.hear("Why?", story.fail()))["historian"]
    assert "is touched by the latest change (unstaged)" in said.position


async def test_who_asks_which_commit_broke_a_function_is_told_without_a_trace(story: Story) -> None:
    broken = _guard_removed(story)
    story.pass_days(3, 30)
    said = (await story.hear("`average` worked last week. Which commit broke it?"))["historian"]
    assert accused(said)[0] == broken
    assert said.position.startswith(f"{broken} of 2026-03-")


# ------------------------------------------------------------------------------------------ its parts, without a project


FORMS: tuple[tuple[str, str, bool], ...] = (
    ("a.py", "-x = f(a,b)\n+x = f(a, b)", True),
    ("a.py", "-x = f(a, b)\n+x = f(\n+    a,\n+    b,\n+)", True),
    ("a.py", "-x = 'a'\n+x = \"a\"", True),
    ("a.py", "-x = f(a, b)\n+x = f(b, a)", False),
    ("a.py", " for a in b:\n-    c()\n-    d()\n+    c()\n+d()", False),
    ("a.js", " for (a of b) {\n-    c()\n-    d()\n+    c()\n+  d()", True),
    ("a.py", "-if a:\n-\tb()\n-\tc()\n+if a:\n+    b()\n+    c()", True),
    ("a.js", "-f(a)\n+f(a);", True),
    ("a.py", "-x = 1\n+x = 10", False),
    ("a.py", "-x = a - b\n+x = a + b", False),
    ("a.py", "+x = 1", False),
)


@pytest.mark.parametrize(("path", "text", "form"), FORMS)
def test_a_change_of_form_is_told_from_one_of_meaning(path: str, text: str, form: bool) -> None:
    made = Hunk(old_start=1, old_lines=1, new_start=1, new_lines=1, text=text)
    assert only_form(Change(path=path, status="modified", hunks=(made,))) is form


def test_the_time_that_a_question_speaks_of_bounds_the_suspects() -> None:
    newest = datetime(2026, 3, 20, 12, tzinfo=UTC)
    assert since_of("It worked yesterday.", newest) == datetime(2026, 3, 18, 12, tzinfo=UTC)
    assert since_of("Broken since 2026-03-05, why?", newest) == datetime(2026, 3, 4, tzinfo=UTC)
    assert since_of("It fails after 2026-13-45.", newest) is None
    assert since_of("Why is it slow?", newest) is None


def test_of_two_equal_suspects_the_one_in_the_time_of_the_question_comes_first() -> None:
    def one(number: int, day: int) -> tuple[Commit, Reason]:
        return Commit(id=f"{number:07x}", at=datetime(2026, 3, day, tzinfo=UTC), subject=f"c{number}"), Reason(
            "touched", "", "a.py", 1
        )

    old, new = one(1, 2), one(2, 19)
    stronger = (old[0], Reason("guard", "", "a.py", 1))
    assert [lead.commit.id for lead in rank([old, stronger, new], [], "Why?")] == ["0000001", "0000002"]
    assert [lead.commit.id for lead in rank([old, stronger, new], [], "It fails since yesterday.")] == [
        "0000002",
        "0000001",
    ]


def test_a_commit_that_was_reverted_and_reapplied_counts_again() -> None:
    def logged(*subjects: str) -> list[Commit]:
        return [Commit(id=f"{n:07x}", at=datetime(2026, 3, 1, tzinfo=UTC), subject=s) for n, s in enumerate(subjects)]

    assert taken_back(logged("A", 'Revert "A"', "B")) == ("A",)
    assert taken_back(logged("A", 'Revert "A"', 'Revert "Revert "A""')) == ('Revert "A"',)


def test_an_error_names_quoted_words_and_code_but_no_common_types() -> None:
    assert words_of("'NoneType' object has no attribute 'title'") == ("title",)
    assert words_of("KeyError: 'total'") == ("total",)
    assert words_of("unexpected keyword argument 'max_retries' for connect_all()") == ("max_retries", "connect_all")
    assert words_of("division by zero") == ()


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "(" * 100_000, "\n" * 100_000, "'" * 100_000, "_a" * 50_000, ", " * 50_000 + ")"]
)
def test_hostile_text_costs_no_time_worth_speaking_of(text: str) -> None:
    with_time = monotonic()
    words_of(text)
    since_of(text, datetime(2026, 3, 1, tzinfo=UTC))
    only_form(
        Change(
            path="a.py",
            status="modified",
            hunks=(Hunk(old_start=1, old_lines=1, new_start=1, new_lines=1, text="-" + text),),
        )
    )
    assert monotonic() - with_time < 5


async def test_of_a_commit_that_touches_tests_only_the_tests_are_told(repo: Path) -> None:
    (repo / "tests").mkdir(exist_ok=True)
    (repo / "tests" / "test_parser.py").write_text("def test_total_of_nothing():\n    assert sum([]) == 0\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "A test of nothing")
    evidence = ProjectEvidence(repo)
    question = Question(text="What do the latest commits change, and what could break?", project=str(repo))
    dossier = await collect(question, repo, evidence, budget=6_000)
    heard = await hear_residents(question, dossier, evidence, timeout_s=30)
    [said] = [one for one in heard if one.seat == "historian"]
    assert isinstance(said, Opinion)
    assert "1 function in 1 file (1 of them a test)" in said.position
    assert [claim.path for claim in said.claims] == ["tests/test_parser.py"]
