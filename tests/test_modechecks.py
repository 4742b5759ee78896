"""The checks of each mode, on real repositories: what they show, what they refute, and what they leave open."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from time import process_time
from typing import get_args

import pytest

from orchestra_mcp.context.collector import collect
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.council.answers.citations import check_claims
from orchestra_mcp.council.modechecks import MODE_CHECKS, check_for_mode
from orchestra_mcp.council.modechecks.commits import check_commits
from orchestra_mcp.council.modechecks.edits import edits_of
from orchestra_mcp.council.modechecks.inputs import FAMILIES, INPUTS, entry_in
from orchestra_mcp.council.modechecks.versions import mentions_in
from orchestra_mcp.council.prompts.files import CHECKS, mode_spec
from orchestra_mcp.types import Check, Claim, Dossier, Excerpt, Mode, Opinion, Question

SHOP = {
    "shop/web.py": """\
from flask import request
from shop.store import save


@app.post("/orders")
def create():
    order = request.json
    return place(order)


def place(order):
    return save(order)
""",
    "shop/store.py": """\
def save(order):
    query = "insert into orders values (" + order + ")"
    return run_sql(query)


def total_of(rows):
    result = 0
    for row in rows:
        result += price(row)
    return result


def price(row):
    return row.amount * row.each


def banner():
    # set from request.args by the front end
    return "see request.args for help"
""",
    "shop/jobs.py": """\
from shop.store import total_of


def nightly(rows):
    return total_of(rows)


def weekly(rows):
    return total_of(rows) * 7
""",
    "requirements.txt": "flask==2.3.2\nrequests>=2.20\n",
    "poetry.lock": '[[package]]\nname = "requests"\nversion = "2.31.0"\n\n[[package]]\nname = "six"\nversion = "1.16.0"\n',
}


class Repository:
    """A real repository with the shop in it."""

    def __init__(self, root: Path, files: dict[str, str], git: bool = True) -> None:
        self.root = root
        root.mkdir()
        if git:
            self.git("init", "-q", "-b", "main")
        self.write(files)

    def git(self, *args: str) -> str:
        env = {"PATH": os.environ["PATH"], "HOME": str(self.root), "GIT_CONFIG_NOSYSTEM": "1"}
        for who in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{who}_NAME": "Ada", f"GIT_{who}_EMAIL": "ada@example.org"}
        command = ["git", "-C", str(self.root), *args]
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")

    def commit(self, subject: str, files: dict[str, str] | None = None) -> str:
        self.write(files or {})
        self.git("add", "-A")
        self.git("commit", "-qm", subject)
        return self.git("rev-parse", "--short=9", "HEAD").strip()

    async def dossier(self, text: str = "What do you think?", error: str = "", diff: str = "") -> Dossier:
        question = Question(text=text, error=error, diff=diff, mode="quality", project=str(self.root))
        return await collect(question, self.root, ProjectEvidence(self.root), budget=8000)

    async def check(self, name: str, answer: Opinion, dossier: Dossier | None = None) -> Check | None:
        """One check, after the claims have been looked at as the council does."""
        evidence = ProjectEvidence(self.root)
        checked = answer.model_copy(update={"claims": await check_claims(answer.claims, evidence)})
        return await MODE_CHECKS[name](checked, dossier or Dossier(), evidence)


@pytest.fixture
def shop(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "project", SHOP)
    repository.commit("A shop")
    return repository


def says(
    *claims: Claim, position: str = "It is so", answer: str = "", patch: str = "", plan: tuple[str, ...] = ()
) -> Opinion:
    return Opinion(seat="a", position=position, answer=answer, claims=claims, patch=patch, plan=plan)


def replaced(repository: Repository, path: str, old: str, new: str) -> str:
    """A patch as git writes it, of one replacement; the file itself is left as it was."""
    file = repository.root / path
    before = file.read_text("utf-8")
    assert before.count(old) == 1
    file.write_text(before.replace(old, new), encoding="utf-8", newline="\n")
    patch = repository.git("diff")
    file.write_text(before, encoding="utf-8", newline="\n")
    return patch


# ------------------------------------------------------------------------------------------------ untrusted-input


async def test_a_finding_is_reached_from_the_route_two_calls_further_out(shop: Repository) -> None:
    found = await shop.check("untrusted-input", says(Claim(text="injection", path="shop/store.py", line=2)))
    assert found is not None
    assert found.outcome == "verified"
    assert "a route at shop/web.py:5" in found.note
    assert "through create → place" in found.note


async def test_a_finding_that_no_input_reaches_stays_unchecked(shop: Repository) -> None:
    found = await shop.check("untrusted-input", says(Claim(text="overflow", path="shop/store.py", symbol="total_of")))
    assert found is not None
    assert found.outcome == "unchecked", found.note


async def test_input_that_only_a_comment_or_a_text_speaks_of_does_not_enter(shop: Repository) -> None:
    found = await shop.check("untrusted-input", says(Claim(text="reflected", path="shop/store.py", symbol="banner")))
    assert found is not None
    assert found.outcome == "unchecked", found.note


async def test_a_finding_without_a_place_in_code_gives_no_check_of_input(shop: Repository) -> None:
    assert await shop.check("untrusted-input", says(Claim(text="passwords are weak"))) is None
    assert await shop.check("untrusted-input", says(Claim(text="old", path="requirements.txt", line=1))) is None


async def test_a_name_that_two_functions_have_leads_nowhere(shop: Repository) -> None:
    shop.write({"shop/other.py": "def save(order):\n    return order\n"})
    found = await shop.check("untrusted-input", says(Claim(text="injection", path="shop/store.py", line=2)))
    assert found is not None
    assert found.outcome == "unchecked", found.note


HANDLERS = {
    "web.js": ('app.get("/x", show)\nfunction show(a, b) {\n  return a\n}\n', 3, "a route"),
    "web.go": ("package web\nfunc Show(w Writer, r *Request) {\n\tx := r.FormValue(\"q\")\n\tuse(x)\n}\n", 4, "request data"),
    "Web.java": ("class Web {\n  String show(Req req) {\n    return req.getParameter(\"q\");\n  }\n}\n", 3, "request data"),
    "web.php": ("<?php\nfunction show() {\n  echo $_GET['q'];\n}\n", 3, "request data"),
    "web.rb": ("def show\n  render params[:q]\nend\n", 2, "request data"),
    "web.rs": ("fn show() {\n    let a = std::env::args();\n    run(a);\n}\n", 3, "arguments"),
    "web.c": ("int main(int argc, char **argv) {\n  return run(argv[1]);\n}\n", 2, "arguments"),
    "Web.cs": ("class Web {\n  string Show() {\n    return Request.Query[\"q\"];\n  }\n}\n", 3, "request data"),
}  # fmt: skip


@pytest.mark.parametrize("name", HANDLERS)
async def test_each_family_of_languages_has_its_ways_in(name: str, tmp_path: Path) -> None:
    text, line, kind = HANDLERS[name]
    project = Repository(tmp_path / "project", {name: text})
    found = await project.check("untrusted-input", says(Claim(text="echoed", path=name, line=line)))
    assert found is not None
    assert found.outcome == "verified", found.note
    assert found.note.startswith(f"{kind} at {name}:")


def test_every_family_of_files_has_inputs() -> None:
    assert set(FAMILIES) == set(INPUTS)


# --------------------------------------------------------------------------------------------------------- in-diff

CHANGED = SHOP["shop/store.py"].replace("row.amount * row.each", "row.amount * row.each - row.rebate")


async def test_findings_in_the_change_and_in_its_caller_are_in_the_diff(shop: Repository) -> None:
    shop.write({"shop/store.py": CHANGED})
    answer = says(
        Claim(text="rebate may be missing", path="shop/store.py", line=14),
        Claim(text="sums up negative prices", path="shop/store.py", line=9),
    )
    found = await shop.check("in-diff", answer, await shop.dossier())
    assert found is not None
    assert found.outcome == "verified"
    assert "total_of (shop/store.py:9) calls the changed price at line 9" in found.note


async def test_a_finding_elsewhere_is_left_open_with_the_nearest_change(shop: Repository) -> None:
    shop.write({"shop/store.py": CHANGED})
    answer = says(
        Claim(text="rebate may be missing", path="shop/store.py", line=14),
        Claim(text="no validation", path="shop/web.py", line=7),
    )
    found = await shop.check("in-diff", answer, await shop.dossier())
    assert found is not None
    assert found.outcome == "unchecked", found.note
    assert "1 of 2 places" in found.note
    assert "create (shop/web.py:7) (nearest change: shop/store.py)" in found.note


async def test_without_any_change_nothing_is_said_of_the_diff(tmp_path: Path) -> None:
    plain = Repository(tmp_path / "project", SHOP, git=False)
    assert await plain.check("in-diff", says(Claim(text="wrong", path="shop/store.py", line=2))) is None


async def test_a_deletion_changes_the_lines_beside_it(shop: Repository) -> None:
    shop.write({"shop/store.py": SHOP["shop/store.py"].replace("    result = 0\n", "")})
    found = await shop.check("in-diff", says(Claim(text="unbound", path="shop/store.py", line=8)))
    assert found is not None
    assert found.outcome == "verified"
    far = await shop.check("in-diff", says(Claim(text="no filter", path="shop/store.py", line=18)))
    assert far is not None
    assert far.outcome == "unchecked"


async def test_a_given_diff_that_is_not_applied_yet_is_found_by_its_old_lines(shop: Repository) -> None:
    head = "# one\n# two\n# three\n# four\n# five\n# six\n# seven\n# eight\n"
    moved = head + CHANGED
    (shop.root / "shop/store.py").write_text(moved, encoding="utf-8")
    diff = shop.git("diff")
    (shop.root / "shop/store.py").write_text(SHOP["shop/store.py"], encoding="utf-8")
    dossier = await shop.dossier(diff=diff)
    assert dossier.changes[0].where == "given diff"
    price = await shop.check("in-diff", says(Claim(text="rebate", path="shop/store.py", line=14)), dossier)
    assert price is not None
    assert price.outcome == "verified"


async def test_a_new_file_lies_in_the_diff_as_a_whole(shop: Repository) -> None:
    shop.write({"shop/new.py": "def fresh():\n    return 1\n"})
    found = await shop.check("in-diff", says(Claim(text="constant", path="shop/new.py", line=2)), await shop.dossier())
    assert found is not None
    assert found.outcome == "verified"


# --------------------------------------------------------------------------------------------------------- callers


async def test_all_callers_are_named_by_function_or_by_file(shop: Repository) -> None:
    patch = replaced(shop, "shop/store.py", "    result = 0\n", "    result = zero()\n")
    answer = says(patch=patch, answer="`nightly` and weekly(…) keep working.")
    found = await shop.check("callers", answer)
    assert found is not None
    assert (found.outcome, found.note) == ("verified", "names all 2 callers of `total_of`")
    by_file = await shop.check("callers", says(patch=patch, answer="The only caller is shop/jobs.py."))
    assert by_file is not None
    assert by_file.outcome == "verified"


async def test_callers_that_are_not_named_are_listed(shop: Repository) -> None:
    patch = replaced(shop, "shop/store.py", "    result = 0\n", "    result = zero()\n")
    found = await shop.check("callers", says(patch=patch, answer="`nightly` keeps working, every night and weekly."))
    assert found is not None
    assert found.outcome == "unchecked", found.note
    assert found.note == "does not name 1 of 2 callers of `total_of`: shop/jobs.py:9"


async def test_a_call_that_the_new_signature_does_not_take_refutes(shop: Repository) -> None:
    patch = replaced(shop, "shop/store.py", "def total_of(rows):", "def total_of(rows, currency):")
    found = await shop.check("callers", says(patch=patch, answer="All of shop/jobs.py keeps working."))
    assert found is not None
    assert found.outcome == "refuted"
    assert "shop/jobs.py:5 calls total_of, and it does not give `currency`, which is required" in found.note


async def test_calls_that_the_patch_mends_itself_do_not_refute(shop: Repository) -> None:
    shop.write({
        "shop/store.py": SHOP["shop/store.py"].replace("def total_of(rows):", "def total_of(rows, currency):"),
        "shop/jobs.py": SHOP["shop/jobs.py"].replace("total_of(rows)", "total_of(rows, EUR)"),
    })  # fmt: skip
    patch = shop.git("diff")
    shop.write(SHOP)
    found = await shop.check("callers", says(patch=patch))
    assert found is not None
    assert found.outcome == "verified"


async def test_a_default_for_the_new_parameter_leaves_callers_fitting(shop: Repository) -> None:
    patch = replaced(shop, "shop/store.py", "def total_of(rows):", 'def total_of(rows, currency="EUR"):')
    found = await shop.check("callers", says(patch=patch))
    assert found is not None
    assert found.outcome == "unchecked", found.note


async def test_a_renamed_function_that_is_still_called_refutes(shop: Repository) -> None:
    patch = replaced(shop, "shop/store.py", "def total_of(rows):", "def summed(rows):")
    found = await shop.check("callers", says(patch=patch))
    assert found is not None
    assert found.outcome == "refuted"
    assert "shop/jobs.py:5 calls total_of, which is gone then" in found.note
    kept = replaced(shop, "shop/store.py", "def price(row):", "total_of = summed\n\n\ndef price(row):")
    found = await shop.check("callers", says(patch=patch + kept))
    assert found is not None
    assert found.outcome == "unchecked", found.note


async def test_a_plan_changes_the_claimed_functions_that_it_names(shop: Repository) -> None:
    claims = (
        Claim(text="sums", path="shop/store.py", symbol="total_of"),
        Claim(text="calls it", path="shop/jobs.py", symbol="nightly"),
    )
    steps = ("Split `total_of` in two.", "Move nightly over, then weekly().")
    named = await shop.check("callers", says(*claims, plan=steps))
    assert named is not None
    assert (named.outcome, named.note) == ("verified", "names all 2 callers of `total_of`")
    nothing = await shop.check("callers", says(*claims, plan=("Think again.",)))
    assert nothing is None


async def test_callers_of_a_name_that_is_not_alone_cannot_be_told(shop: Repository) -> None:
    shop.write({"shop/other.py": "def total_of(rows):\n    return len(rows)\n"})
    patch = replaced(shop, "shop/store.py", "    result = 0\n", "    result = zero()\n")
    found = await shop.check("callers", says(patch=patch))
    assert found is not None
    assert (found.outcome, found.note) == ("unchecked", "who calls total_of cannot be told by name")


async def test_a_function_put_behind_another_does_not_change_it(shop: Repository) -> None:
    patch = """\
--- a/shop/store.py
+++ b/shop/store.py
@@ -3,1 +3,4 @@
     return run_sql(query)
+
+def helper():
+    return 1
"""
    assert await shop.check("callers", says(patch=patch)) is None


async def test_hunks_are_found_by_their_text_where_their_numbers_are_wrong(shop: Repository) -> None:
    patch = """\
--- shop/store.py
+++ shop/store.py
@@ -90,4 +90,4 @@
 def price(row):
-    return row.amount * row.each
+    return row.amount * row.each * 2
"""
    (edit,) = await edits_of(patch, ProjectEvidence(shop.root))
    assert edit.removed == {14}
    assert edit.added == ((14, ("    return row.amount * row.each * 2",)),)
    assert "\n".join(edit.after) + "\n" == SHOP["shop/store.py"].replace("row.each\n", "row.each * 2\n")


# -------------------------------------------------------------------------------------------------------- hot-path

CPROFILE = """\
         2000 function calls in 10.000 seconds

   Ordered by: internal time

   ncalls  tottime  percall  cumtime  percall filename:lineno(function)
      100    9.500    0.095    9.500    0.095 /srv/shop/store.py:13(price)
        1    0.450    0.450    9.950    9.950 /srv/shop/store.py:6(total_of)
        1    0.050    0.050    0.050    0.050 /srv/shop/store.py:1(save)
        1    0.000    0.000   10.000   10.000 /srv/shop/jobs.py:4(nightly)
"""


async def test_an_excerpt_that_the_profile_led_to_counts_for_its_own_function_only(shop: Repository) -> None:
    rows = "\n".join(SHOP["shop/store.py"].splitlines()[12:14])
    hot = Excerpt(
        source="symbol", path="shop/store.py", start=13, end=14, text=rows, tokens=20, why="95% of the time (perf report)"
    )  # fmt: skip
    dossier = Dossier(excerpts=(hot,))
    found = await shop.check("hot-path", says(Claim(text="slow", path="shop/store.py", line=14)), dossier)
    assert found is not None
    assert found.note.startswith("the profile points at price (shop/store.py:14): 95% of the time")
    other = await shop.check("hot-path", says(Claim(text="slow", path="shop/web.py", line=8)), dossier)
    assert other is not None
    assert other.outcome == "unchecked"


async def test_the_hot_spot_of_an_attached_profile_is_verified(shop: Repository) -> None:
    dossier = await shop.dossier("Why is this slow?", CPROFILE)
    found = await shop.check("hot-path", says(Claim(text="slow", path="shop/store.py", line=14)), dossier)
    assert found is not None
    assert found.outcome == "verified"
    assert "the profile lists price (shop/store.py:14)" in found.note
    assert "95.0 %" in found.note


async def test_what_the_profile_measured_as_cheap_is_refuted(shop: Repository) -> None:
    dossier = await shop.dossier("Why is this slow?", CPROFILE)
    found = await shop.check("hot-path", says(Claim(text="slow", path="shop/store.py", symbol="save")), dossier)
    assert found is not None
    assert found.outcome == "refuted", found.note
    assert "0.5 %" in found.note


async def test_what_the_profile_does_not_list_stays_open_though_it_loops(shop: Repository) -> None:
    rows = [line for line in CPROFILE.splitlines() if "total_of" not in line]
    dossier = await shop.dossier("Why is this slow?", "\n".join(rows))
    found = await shop.check("hot-path", says(Claim(text="slow", path="shop/store.py", line=9)), dossier)
    assert found is not None
    assert found.outcome == "unchecked", found.note
    assert "price (/srv/shop/store.py:13)" in found.note


async def test_without_a_profile_a_loop_makes_a_suspect(shop: Repository) -> None:
    inside = await shop.check("hot-path", says(Claim(text="slow", path="shop/store.py", line=9)))
    assert inside == Check(outcome="verified", note="shop/store.py:9 stands in the loop of line 8")
    called = await shop.check("hot-path", says(Claim(text="slow", path="shop/store.py", line=14)))
    assert called is not None
    assert called.outcome == "verified"
    assert called.note == "price (shop/store.py:14) is called at shop/store.py:9, in the loop of line 8"
    holds = await shop.check("hot-path", says(Claim(text="slow", path="shop/store.py", symbol="total_of")))
    assert holds is not None
    assert holds.note == "total_of (shop/store.py:6) holds the loop of line 8"
    nowhere = await shop.check("hot-path", says(Claim(text="slow", path="shop/web.py", line=7)))
    assert nowhere is not None
    assert nowhere.outcome == "unchecked"
    assert await shop.check("hot-path", says(Claim(text="the network is slow"))) is None


LOOPING = {
    "a.ts": "function f(xs: X[]) {\n  xs.forEach((x) => {\n    send(x)\n  })\n}\n",
    "a.go": "package a\nfunc F(xs []int) {\n\tfor _, x := range xs {\n\t\tsend(x)\n\t}\n}\n",
    "A.java": "class A {\n  void f() {\n    for (X x : xs) {\n      send(x);\n    }\n  }\n}\n",
    "a.rs": "fn f() {\n    loop {\n        send();\n    }\n}\n",
    "a.rb": "def f(xs)\n  while more\n    send_it(xs)\n  end\nend\n",
    "a.c": "int f(void) {\n  do {\n    send();\n  } while (more());\n  return 0;\n}\n",
}


@pytest.mark.parametrize("name", LOOPING)
async def test_loops_are_known_in_every_grammar(name: str, tmp_path: Path) -> None:
    project = Repository(tmp_path / "project", {name: LOOPING[name]})
    line = next(n for n, row in enumerate(LOOPING[name].splitlines(), 1) if "send" in row)
    found = await project.check("hot-path", says(Claim(text="slow", path=name, line=line)))
    assert found == Check(outcome="verified", note=f"{name}:{line} stands in the loop of line {line - 1}")


# -------------------------------------------------------------------------------------------------------- versions


async def test_a_version_that_the_lock_file_has_is_verified(shop: Repository) -> None:
    found = await shop.check("versions", says(answer="The project uses requests 2.31, and flask 2.3.2 is installed."))
    assert found is not None
    assert found.outcome == "verified"
    assert "requests 2.31 (poetry.lock:3)" in found.note or "requests 2.31 (poetry.lock:2)" in found.note
    assert "flask 2.3.2 (requirements.txt:1)" in found.note


async def test_a_version_that_is_said_to_be_there_and_is_not_is_refuted(shop: Repository) -> None:
    found = await shop.check("versions", says(answer="You have requests 2.28.1 installed, which drops the header."))
    assert found is not None
    assert found.outcome == "refuted"
    assert "says requests 2.28.1; the project has 2.31.0 (poetry.lock:" in found.note


@pytest.mark.parametrize(
    "answer",
    [
        "Upgrade requests to 2.32.0.",
        "Since requests 2.32.0 the header is kept.",
        "It needs requests 2.32.0 or later.",
        "requests 2.32.0 fixed this.",
        "You have numpy 1.26.0 installed.",
        "See section 4.2 and version 3.1.",
    ],
)
async def test_what_says_nothing_of_this_project_is_no_claim_about_its_versions(shop: Repository, answer: str) -> None:
    assert await shop.check("versions", says(answer=answer)) is None


async def test_a_version_without_a_word_about_the_project_stays_open(shop: Repository) -> None:
    found = await shop.check("versions", says(answer="requests 2.28.1 drops the header."))
    assert found is not None
    assert (found.outcome, "2.31.0" in found.note) == ("unchecked", True)


LOCKED = {
    "package-lock.json": ('{"packages": {\n "node_modules/@babel/core": {\n  "version": "7.22.1"\n }}}\n', "@babel/core 7.22.1"),
    "yarn.lock": ('lodash@^4.17.0:\n  version "4.17.21"\n', "lodash 4.17.21"),
    "pnpm-lock.yaml": ("packages:\n  /lodash@4.17.21:\n    dev: true\n", "lodash@4.17.21"),
    "Cargo.lock": ('[[package]]\nname = "serde"\nversion = "1.0.190"\n', "serde 1.0.190"),
    "go.mod": ("module x\n\nrequire github.com/gin-gonic/gin v1.9.1\n", "github.com/gin-gonic/gin v1.9.1"),
    "Gemfile.lock": ("GEM\n  specs:\n    rails (7.0.4)\n", "rails 7.0.4"),
    "composer.lock": ('{"packages": [{\n "name": "symfony/console",\n "version": "v6.3.0"\n}]}\n', "symfony/console 6.3.0"),
    "Pipfile.lock": ('{"default": {\n "six": {\n  "hashes": [\n   "a"\n  ],\n  "version": "==1.16.0"\n }}}\n', "six 1.16.0"),
    "package.json": ('{"dependencies": {"left-pad": "1.3.0"}}\n', "left-pad 1.3.0"),
    "pom.xml": ("<a>\n<artifactId>guava</artifactId>\n<version>32.1.2</version>\n</a>\n", "guava 32.1.2"),
    "pyproject.toml": ('[project]\ndependencies = ["httpx==0.27.0"]\n', "httpx 0.27.0"),
    "shop.csproj": ('<Project><PackageReference Include="Serilog" Version="3.0.1" /></Project>\n', "Serilog 3.0.1"),
    "build.gradle": ("implementation 'com.google.guava:guava:32.1.2'\n", "guava 32.1.2"),
}  # fmt: skip


@pytest.mark.parametrize("name", LOCKED)
async def test_each_kind_of_lock_file_or_manifest_can_be_looked_up(name: str, tmp_path: Path) -> None:
    text, claimed = LOCKED[name]
    project = Repository(tmp_path / "project", {name: text})
    found = await project.check("versions", says(answer=f"The project uses {claimed} now."))
    assert found is not None
    assert found.outcome == "verified", found.note
    wrong = await project.check("versions", says(answer=f"The project uses {claimed[:-1]}8 now."))
    assert wrong is not None
    assert wrong.outcome == "refuted", wrong.note


# --------------------------------------------------------------------------------------------------------- commits


async def test_a_commit_that_changed_the_claimed_file_is_verified(shop: Repository) -> None:
    rebate = shop.commit("Rebates", {"shop/store.py": CHANGED})
    claim = Claim(text=f"Commit {rebate} introduced the rebate", path="shop/store.py", line=14)
    found = await shop.check("commits", says(claim), await shop.dossier())
    assert found is not None
    assert found.outcome == "verified"
    assert f"{rebate} changed shop/store.py" in found.note


async def test_a_commit_that_left_the_claimed_file_alone_is_refuted(shop: Repository) -> None:
    rebate = shop.commit("Rebates", {"shop/store.py": CHANGED})
    claim = Claim(text=f"Commit {rebate} changed the jobs", path="shop/jobs.py", line=5)
    found = await shop.check("commits", says(claim), await shop.dossier())
    assert found is not None
    assert (found.outcome, found.note) == ("refuted", f"{rebate} did not change shop/jobs.py, but shop/store.py")
    missed = claim.model_copy(update={"text": f"Commit {rebate} changed the store and missed this"})
    found = await shop.check("commits", says(missed), await shop.dossier())
    assert found is not None
    assert found.outcome == "verified"


async def test_a_commit_that_git_does_not_know_is_refuted_unless_history_is_cut_off(shop: Repository) -> None:
    answer = says(answer="It broke with commit 0badcafe1.")
    found = await shop.check("commits", answer, await shop.dossier())
    assert found is not None
    assert found.outcome == "refuted"
    assert "0badcafe1" in found.note
    shallow = Dossier(head="main 1a2b3c4", notes=("The clone is shallow: history ends where it was cut off.",))
    found = await shop.check("commits", answer, shallow)
    assert found is not None
    assert found.outcome == "unchecked", found.note


async def test_other_hexadecimal_words_are_no_commits(shop: Repository) -> None:
    dossier = await shop.dossier()
    assert await shop.check("commits", says(answer="The image 3f2a9c1d07 and the colour a1b2c3d."), dossier) is None
    assert await shop.check("commits", says(answer="Nothing is named."), dossier) is None
    assert await shop.check("commits", says(answer="Fixed upstream with commit 0badcafe1."), dossier) is None


async def test_without_git_commits_cannot_be_looked_up(tmp_path: Path) -> None:
    plain = Repository(tmp_path / "project", SHOP, git=False)
    assert await check_commits(says(answer="See commit 0badcafe1."), Dossier(), ProjectEvidence(plain.root)) is None


# ----------------------------------------------------------------------------------------------------- all of them


def all_modes() -> tuple[Mode, ...]:
    return tuple(mode for mode in get_args(Mode) if mode != "auto")


async def test_the_ten_modes_run_different_checks_on_one_repository(shop: Repository) -> None:
    rebate = shop.commit("Rebates", {"shop/store.py": CHANGED})
    evidence, dossier = ProjectEvidence(shop.root), await shop.dossier("Why is this slow?", CPROFILE)
    claims = (
        Claim(text=f"Commit {rebate} changed the price", path="shop/store.py", line=14, symbol="price"),
        Claim(text="it is saved as it comes in", path="shop/store.py", line=2),
    )
    answer = says(
        *await check_claims(claims, evidence),
        answer="The project uses requests 2.31.0. Only `total_of` calls it.",
        plan=("Give price() a default for the rebate.",),
    )
    ran = {mode: await check_for_mode(answer, mode, dossier, evidence) for mode in all_modes()}
    names = {mode: tuple(check.name for check in checks) for mode, checks in ran.items()}
    assert names == {
        "debug": (),
        "architecture": ("callers",),
        "performance": ("hot-path",),
        "quality": ("in-diff",),
        "security": ("untrusted-input",),
        "integration": ("versions",),
        "testing": (),
        "learning": (),
        "refactoring": ("callers",),
        "communication": ("commits",),
    }
    outcomes = {check.name: check.outcome for checks in ran.values() for check in checks}
    assert outcomes == {
        "callers": "verified", "hot-path": "verified", "in-diff": "unchecked", "untrusted-input": "verified",
        "versions": "verified", "commits": "verified",
    }  # fmt: skip
    assert len({mode_spec(mode).checks for mode in all_modes()}) == 10
    assert all(check.note and "\n" not in check.note for checks in ran.values() for check in checks)


def test_every_check_here_is_one_that_modes_can_ask_for() -> None:
    assert set(MODE_CHECKS) <= set(CHECKS)
    assert set(MODE_CHECKS) == {name for mode in all_modes() for name in mode_spec(mode).checks} & set(MODE_CHECKS)


async def test_without_a_project_or_a_mode_nothing_is_checked(shop: Repository) -> None:
    answer = says(Claim(text="x", path="shop/store.py", line=2))
    assert await check_for_mode(answer, "security", Dossier(), None) == ()
    assert await check_for_mode(answer, "auto", Dossier(), ProjectEvidence(shop.root)) == ()


async def test_claims_that_were_refuted_are_passed_over(shop: Repository) -> None:
    assert (
        await shop.check("untrusted-input", says(Claim(text="x", path="shop/store.py", line=2, quote="never there")))
        is None
    )


HOSTILE = [
    "a" * 100_000,
    "a1" * 50_000,
    "\n" * 100_000,
    "(" * 100_000,
    "commit " * 15_000,
    "a 1.1 " * 17_000,
    "a/" * 50_000,
    "@@ -1 +1 @@\n" * 8_000,
    "--- a\n+++ b\n" * 8_000,
    "--- shop/store.py\n+++ shop/store.py\n@@ -1 +1 @@\n" + "-def save(order):\n" * 6_000,
    "\ud800 ../../etc/passwd:1 \x00 `x` 1.2.3 commit 0badcafe1",
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
async def test_odd_answers_raise_nothing_and_take_no_time(shop: Repository, number: int) -> None:
    text = HOSTILE[number]
    claims = (
        Claim(text=text, path=text[:5000], line=-3, symbol=text[:5000]),
        Claim(text=text, path="shop/store.py", line=10**9, symbol="("),
        Claim(text=text, path="../../etc/passwd", line=1),
        Claim(text=text, symbol="save"),
    )
    answer = Opinion(seat="a", position=text, answer=text, claims=claims, plan=(text, text), patch=text)
    evidence, dossier = ProjectEvidence(shop.root), await shop.dossier()
    began = process_time()
    for mode in all_modes():
        await check_for_mode(answer, mode, dossier, evidence)
    # Quadratic time on these would be minutes; this only tells the two apart.
    assert process_time() - began < 20


async def test_long_lines_of_code_are_looked_through_in_linear_time(tmp_path: Path) -> None:
    rows = [f"x = {'(' * 60_000}", "y = '" + "request." * 10_000 + "'", "z = " + "a." * 40_000]
    project = Repository(tmp_path / "project", {"a.py": "\n".join(rows) + "\n"})
    assert await entry_in("a.py", 1, 3, ProjectEvidence(project.root)) is None


def test_mentions_of_versions_are_read_with_the_words_around_them() -> None:
    found = mentions_in(
        "You have requests==2.31.0 pinned. See flask 2.3.2; upgrade six to 1.17.0. urllib3 at version 2.0.7"
    )
    assert [(m.name, m.version, m.present) for m in found] == [
        ("requests", "2.31.0", True), ("flask", "2.3.2", False), ("urllib3", "2.0.7", False),
    ]  # fmt: skip
