from __future__ import annotations

import random
import string
from pathlib import Path

import pytest
from conftest import SOURCE, git
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_mcp.context.collector import clean_question, collect
from orchestra_mcp.context.environment import manifests
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.packing import OVERHEAD, Candidate, cut_text, estimate_tokens, pack_scored
from orchestra_mcp.context.reading import signals
from orchestra_mcp.identifiers import subwords
from orchestra_mcp.paths import aside, kind_of
from orchestra_mcp.types import Dossier, Evidence, Excerpt, Question, Syntax

SECRET = "ghp_" + "".join(random.Random(3).choices(string.ascii_letters + string.digits, k=36))


async def dossier(root: Path | None, text: str, budget: int = 8000, **more: object) -> Dossier:
    question = Question(text=text, **more)  # type: ignore[arg-type]
    return await collect(question, root, ProjectEvidence(root) if root else None, budget=budget)


def span(excerpt: Excerpt) -> tuple[str, int, int]:
    return excerpt.path, excerpt.start, excerpt.end


# ------------------------------------------------------------------------------------------------------- evidence


async def test_the_eyes_fulfil_their_protocol_on_a_real_repository(repo: Path) -> None:
    eyes: Evidence = ProjectEvidence(repo)
    assert await eyes.files() == ("pyproject.toml", "src/parser.py")
    assert await eyes.read("src/parser.py", 7, 8) == ("    return lines[:-1]", "")
    names = [(d.qualified, d.start, d.end) for d in await eyes.definitions("src/parser.py")]
    assert names == [("read_lines", 4, 7), ("total", 10, 11)]
    inner = await eyes.enclosing("src/parser.py", 6)
    assert inner is not None
    assert inner.name == "read_lines"
    assert [d.path for d in await eyes.locate("read_lines")] == ["src/parser.py"]
    assert [d.start for d in await eyes.locate("parser.total()")] == [10]
    assert await eyes.locate("Ledger.total") == ()
    assert [(p, n) for p, n, _ in await eyes.mentions("read_lines")] == [("src/parser.py", 4), ("src/parser.py", 11)]
    (change,) = await eyes.changes()
    assert (change.path, change.status) == ("src/parser.py", "modified")
    assert (await eyes.before("src/parser.py"))[6] == "    return lines"
    syntax = await eyes.syntax("src/parser.py")
    assert syntax is not None
    assert syntax.language == "python"


@pytest.mark.parametrize("path", ["../x.py", "/etc/passwd", "nothing.py", "", "src", "\0", ".git/config", "a" * 5000])
async def test_the_eyes_see_nothing_where_there_is_nothing_and_never_raise(repo: Path, path: str) -> None:
    (repo.parent / "x.py").write_text("outside\n")
    eyes = ProjectEvidence(repo)
    assert await eyes.read(path) == ()
    assert await eyes.syntax(path) is None
    assert await eyes.definitions(path) == ()
    assert await eyes.locate("x", path or "?") == ()
    assert await eyes.enclosing(path, 1) is None
    assert await eyes.before(path) == ()
    assert await eyes.blame(path, 1, 2) == ()
    assert await eyes.log(path or "?") == ()
    assert await eyes.commit_changes(path or "?") == ()


async def test_secrets_are_seen_nowhere(repo: Path) -> None:
    (repo / ".env").write_text("DB_TOKEN=plainwordsecretvalue9\n")
    (repo / ".env.local").write_text("X=1\n")
    (repo / "conf.py").write_text(f"A = 1\nTOKEN = '{SECRET}'\nOTHER = 'plainwordsecretvalue9'\n")
    git(repo, "add", "-fA")
    git(repo, "commit", "-qm", f"Use {SECRET}")
    (repo / ".env").write_text("DB_TOKEN=plainwordsecretvalue9\nNEW=changed-line-of-env\n")
    (repo / "conf.py").write_text(f"A = 2\nTOKEN = '{SECRET}'\nOTHER = 'plainwordsecretvalue9'\n")
    eyes = ProjectEvidence(repo)
    seen = [
        await eyes.read("conf.py"), await eyes.read(".env"), await eyes.before("conf.py"), await eyes.before(".env"),
        await eyes.mentions("TOKEN"), await eyes.changes(), await eyes.blame("conf.py", 1, 3), await eyes.log("conf.py"),
        await eyes.recent(), await eyes.commit_changes("HEAD"), (await eyes.syntax("conf.py")), await eyes.files(),
    ]  # fmt: skip
    text = repr([s.source.decode() if isinstance(s, Syntax) else s for s in seen])
    assert SECRET not in text
    assert "plainwordsecretvalue9" not in text
    assert "changed-line-of-env" not in text
    assert ".env" not in repr(await eyes.files())
    assert text.count("«redacted:github-token#1»") >= 6


async def test_definitions_are_found_in_the_file_even_when_many_files_mention_the_name(repo: Path) -> None:
    for n in range(60):
        (repo / f"user_{n:02}.py").write_text("from src.parser import read_lines\nread_lines('x')\n")
    (repo / "zzz.py").write_text("class Zed:\n    def read_lines(self):\n        return 1\n")
    found = await ProjectEvidence(repo).locate("read_lines")
    assert {(d.path, d.qualified) for d in found} == {("src/parser.py", "read_lines"), ("zzz.py", "Zed.read_lines")}
    only = await ProjectEvidence(repo).locate("Zed.read_lines")
    assert [d.path for d in only] == ["zzz.py"]


async def test_history_of_lines_is_right_although_lines_moved_since_the_last_commit(repo: Path) -> None:
    file = repo / "src" / "parser.py"
    file.write_text("# a\n# b\n# c\n" + file.read_text())
    eyes = ProjectEvidence(repo)
    assert [c.subject for c in await eyes.log("src/parser.py", 10, 10)] == [
        "Do not return the empty last line",
        "Add the parser",
    ]
    blamed = await eyes.blame("src/parser.py", 3, 4)
    assert [b.commit is None for b in blamed] == [True, False]


async def test_a_project_without_git_can_be_searched_too(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def spam():\n    return 1\n")
    (tmp_path / "b.py").write_text("import a\na.spam()\nspammer = 1\n")
    eyes = ProjectEvidence(tmp_path)
    assert [(p, n) for p, n, _ in await eyes.mentions("spam")] == [("a.py", 1), ("b.py", 2)]
    assert [d.path for d in await eyes.locate("spam")] == ["a.py"]


# -------------------------------------------------------------------------------------------------------- packing


def pack(candidates: list[Candidate], budget: int) -> tuple[tuple[Excerpt, ...], tuple[str, ...]]:
    """What is chosen, without the scores."""
    scored, left_out = pack_scored(candidates, budget)
    return tuple(excerpt for _, excerpt in scored), left_out


def numbered(path: str, start: int, end: int, score: float, focus: tuple[int, ...] = (), limit: int = 0) -> Candidate:
    text = "\n".join(f"{path} line {n}" for n in range(start, end + 1))
    return Candidate("file", text, f"why {start}", score, path=path, start=start, focus=focus, limit=limit)


CANDIDATES = st.lists(
    st.builds(
        lambda path, start, size, score, focus: numbered(path, start, start + size, score, tuple(start + f for f in focus)),
        st.sampled_from(["a.py", "b.py"]), st.integers(1, 200), st.integers(0, 150), st.floats(0, 100),
        st.lists(st.integers(0, 150), max_size=3),
    ),
    max_size=8,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(CANDIDATES, st.integers(0, 3000))
def test_excerpts_fit_show_each_line_once_and_are_the_file_s_own_lines(
    candidates: list[Candidate], budget: int
) -> None:
    excerpts, left_out = pack(candidates, budget)
    assert sum(e.tokens for e in excerpts) <= budget
    shown: list[tuple[str, int]] = []
    for e in excerpts:
        lines = e.text.split("\n")
        for n in range(e.start, e.end + 1):
            assert lines[n - e.start] == f"{e.path} line {n}"
            shown.append((e.path, n))
        rest = lines[e.end - e.start + 1 :]
        assert len(rest) <= 1
        assert all(line.startswith("… ") and line.endswith(" left out …") for line in rest)
    assert len(shown) == len(set(shown))
    wanted = {(c.path, n) for c in candidates for n in range(c.start, c.end + 1)}
    assert set(shown) <= wanted
    if wanted - set(shown):
        assert left_out


def test_overlapping_pieces_become_one_and_keep_both_reasons() -> None:
    excerpts, left_out = pack([numbered("a.py", 1, 20, 5), numbered("a.py", 15, 30, 9)], 5000)
    assert [span(e) for e in excerpts] == [("a.py", 1, 30)]
    assert excerpts[0].why == "why 15; why 1"
    assert left_out == ()


def test_the_most_useful_comes_first_and_what_is_too_long_is_cut_around_its_important_lines() -> None:
    long = numbered("a.py", 1, 1000, 9, focus=(500,))
    excerpts, left_out = pack([numbered("b.py", 1, 5, 3), long], 1500)
    assert [e.path for e in excerpts] == ["a.py", "a.py", "b.py"]
    assert excerpts[0].start == 1
    assert excerpts[1].start <= 500 <= excerpts[1].end
    gap = excerpts[1].start - excerpts[0].end - 1
    assert excerpts[0].text.endswith(f"\n… {gap} lines left out …")
    assert left_out[0].startswith("a.py:1-1000 (")


def test_what_does_not_fit_is_listed_and_smaller_things_still_come() -> None:
    small, big = numbered("s.py", 1, 3, 1), numbered("b.py", 1, 400, 2, limit=10)
    excerpts, left_out = pack([small, big], 300)
    assert [e.path for e in excerpts] == ["s.py"]
    assert left_out == ("b.py:1-400 (400 lines): why 1",)


def test_a_cut_log_keeps_the_lines_of_the_error_and_says_what_is_missing() -> None:
    lines = [f"step {n} went well and took some time" for n in range(500)]
    lines[250] = "ERROR: disk full"
    short = cut_text("\n".join(lines), 300, focus=(251,))
    assert "ERROR: disk full" in short
    assert "lines left out …" in short
    assert estimate_tokens(short) <= 300


def test_tokens_are_estimated_by_the_pieces_of_a_text() -> None:
    """Words, digits by three, signs together, line breaks with their indentation, and runs of blanks."""
    assert estimate_tokens("") == 0
    assert estimate_tokens("hello world") == 2
    assert estimate_tokens("x = 12345") == 4  # x, =, 123, 45
    assert estimate_tokens("def add(a, b):\n    return a + b") == 12  # def add ( a , b ): ⏎ return a + b


# ------------------------------------------------------------------------------------------------------- manifests


def described(files: dict[str, str]) -> manifests.Project:
    return manifests.describe(sorted(files), lambda path: files.get(path, ""))


@pytest.mark.parametrize(
    ("name", "text", "dependencies", "tests"),
    [
        ("pyproject.toml", '[project]\nname="x"\ndependencies=["httpx[http2]>=0.27; python_version<\'3.13\'","rich"]\n[tool.pytest.ini_options]\n',
         ("httpx >=0.27", "rich"), "pytest"),
        ("requirements.txt", "flask==3.0 # web\n-r other.txt\n\nattrs\n", ("flask ==3.0", "attrs"), ""),
        ("package.json", '{"name":"w","dependencies":{"react":"^19"},"devDependencies":{"vitest":"2"},"scripts":{"test":"vitest run"}}',
         ("react ^19", "vitest 2 (dev)"), "npm test (vitest run)"),
        ("go.mod", "module ex.org/m\n\ngo 1.23\n\nrequire (\n\tgithub.com/a/b v1.2.3\n\tgithub.com/c/d v0.1.0 // indirect\n)\n",
         ("github.com/a/b v1.2.3",), "go test ./..."),
        ("Cargo.toml", '[package]\nname="c"\nversion="0.1.0"\n[dependencies]\nserde={version="1",features=["derive"]}\nanyhow="1"\n',
         ("serde 1", "anyhow 1"), "cargo test"),
        ("pom.xml", "<project><artifactId>app</artifactId><dependencies><dependency><groupId>org.x</groupId><artifactId>y</artifactId>\n<version>3.1</version></dependency></dependencies></project>", ("org.x:y 3.1",), "mvn test"),
        ("Gemfile", "source 'https://rubygems.org'\ngem 'rails', '~> 8.0'\ngem \"rspec-rails\"\n", ("rails ~> 8.0", "rspec-rails"),
         "bundle exec rspec"),
        ("composer.json", '{"name":"a/b","require":{"php":">=8.3","monolog/monolog":"^3"},"require-dev":{"phpunit/phpunit":"^11"}}',
         ("monolog/monolog ^3", "phpunit/phpunit ^11 (dev)"), "vendor/bin/phpunit"),
    ],
)  # fmt: skip
def test_direct_dependencies_and_the_way_to_test_are_read(
    name: str, text: str, dependencies: tuple[str, ...], tests: str
) -> None:
    project = described({name: text})
    assert project.facts[0][1].dependencies == dependencies
    assert project.tests == tests


@pytest.mark.parametrize("name", sorted(manifests.READERS))
@pytest.mark.parametrize(
    "text", ["{", "[]", "[project", "null", "\0\1", '{"dependencies": 5}', "project = 5", "a" * 1000]
)
def test_a_broken_manifest_says_nothing_and_breaks_nothing(name: str, text: str) -> None:
    described({name: text})


def test_a_make_target_is_how_tests_are_run() -> None:
    assert described({"Makefile": "all:\n\ntest: build\n\tpytest\n", "go.mod": "module x\n"}).tests == "make test"


# -------------------------------------------------------------------------------------------------------- ranking


def test_words_of_a_question_are_split_like_code() -> None:
    assert subwords("parseHTTPReply_v2") == ["parse", "http", "reply", "v2"]
    found = signals.read("Why does the reserve_budget function fail for Timeouts?").terms
    assert found["reserve_budget"] > found["budget"] > 0
    assert not {"why", "the", "does"} & set(found)


def test_tests_and_documentation_are_demoted_but_helpers_of_products_are_not() -> None:
    for path in ("tests/test_x.py", "src/x_test.go", "web/x.spec.ts", "docs/conf.py", "vendor/a/b.go", "x.min.js"):
        assert aside(path)
    for path in ("src/testimony.py", "src/latest/x.py", "documents/x.py", "contest.py"):
        assert kind_of(path) == "code"


# ------------------------------------------------------------------------------------------------------- collector

TRACE = """Traceback (most recent call last):
  File "/home/bob/app/src/parser.py", line 11, in total
    return sum(int(line) for line in read_lines(path))
  File "/home/bob/app/src/parser.py", line 6, in read_lines
    lines = file.read().split("\\n")
ValueError: invalid literal for int() with base 10: ''
"""


async def test_a_trace_leads_to_its_functions_innermost_first(repo: Path) -> None:
    found = await dossier(repo, "Why does this fail?", error=TRACE)
    code = [e for e in found.excerpts if e.source == "symbol"]
    assert [(e.symbol, *span(e)) for e in code][:2] == [
        ("read_lines", "src/parser.py", 4, 7),
        ("total", "src/parser.py", 10, 11),
    ]
    assert code[0].why.startswith("innermost frame of the trace")
    assert "frame 1 of 2" in code[1].why
    assert [f.path for f in found.traces[0].frames] == ["src/parser.py", "src/parser.py"]
    assert found.excerpts[0].source == "trace"
    assert found.head.startswith("main ")
    assert found.project == "records"


async def test_a_frame_of_another_version_is_found_by_its_function_s_name(repo: Path) -> None:
    file = repo / "src" / "parser.py"
    file.write_text("# new\n" * 40 + file.read_text())
    found = await dossier(repo, "Why?", error=TRACE)
    assert ("src/parser.py", 44, 47) in [span(e) for e in found.excerpts]


async def test_changes_in_the_working_tree_come_with_their_functions(repo: Path) -> None:
    file = repo / "src" / "parser.py"
    file.write_text(file.read_text().replace("int(line)", "float(line)"))
    (repo / "src" / "extra.py").write_text("def extra():\n    return 5\n")
    found = await dossier(repo, "Please review my changes")
    kinds = {(e.source, e.path, e.symbol) for e in found.excerpts}
    assert ("diff", "src/parser.py", "") in kinds
    assert ("symbol", "src/parser.py", "total") in kinds
    assert ("file", "src/extra.py", "") in kinds
    assert {c.path for c in found.changes} == {"src/parser.py", "src/extra.py"}


async def test_a_given_diff_and_a_given_range_are_shown(repo: Path) -> None:
    ranged = await dossier(repo, "What do you think?", diff="HEAD~1..HEAD")
    text = git(repo, "diff", "HEAD~1..HEAD")
    pasted = await dossier(repo, "What do you think?", diff=text)
    for found in (ranged, pasted):
        assert [c.path for c in found.changes] == ["src/parser.py"]
        first = found.excerpts[0]
        assert first.source == "diff"
        assert "-    return lines\n+    return lines[:-1]" in first.text
        assert "read_lines" in {e.symbol for e in found.excerpts}
    unknown = await dossier(repo, "What do you think?", diff="nosuch...HEAD")
    assert any("nosuch...HEAD" in note for note in unknown.notes)


async def test_named_files_globs_and_lines_are_shown_and_missing_ones_named(repo: Path) -> None:
    (repo / "src" / "deep").mkdir()
    (repo / "src" / "deep" / "one.py").write_text("ONE = 1\n")
    names = ("src/**/*.py", "src/parser.py:11", "src/prser.py", "../outside.txt", "/etc/passwd", ".env", "*.rb")
    (repo / ".env").write_text("A=1")
    found = await dossier(repo, "What is this?", files=names)
    assert {"src/parser.py", "src/deep/one.py"} <= set(found.files)
    notes = "\n".join(found.notes)
    assert "src/prser.py: not found in the project; nearest: src/parser.py." in notes
    assert "outside.txt: lies outside the project" in notes
    assert "passwd: lies outside the project" in notes
    assert ".env: may hold credentials" in notes
    assert "*.rb: no file of the project matches" in notes
    assert "root:" not in "".join(e.text for e in found.excerpts)


async def test_paths_and_identifiers_in_the_question_are_looked_up(repo: Path) -> None:
    found = await dossier(repo, "What does `read_lines` do?")
    assert any(e.symbol == "read_lines" and "defines read_lines" in e.why for e in found.excerpts)
    found = await dossier(repo, "Look at src/parser.py:11 please")
    assert any(e.symbol == "total" and "line 11" in e.why for e in found.excerpts)
    found = await dossier(repo, "See parser.py::total")
    assert any(e.symbol == "total" for e in found.excerpts)


async def test_a_plain_question_finds_code_by_its_words(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    (root / "shop").mkdir(parents=True)
    (root / "tests").mkdir()
    (root / "shop" / "cart.py").write_text(
        "class Cart:\n    def apply_discount(self, percentage):\n        self.total *= 1 - percentage / 100\n\n"
        "    def add(self, item):\n        self.items.append(item)\n"
    )
    (root / "shop" / "mail.py").write_text("def send(message):\n    return message.deliver()\n")
    (root / "tests" / "test_cart.py").write_text(
        "def test_discount():\n    cart.apply_discount(10)\n    cart.apply_discount(20)  # discount of a percentage\n"
    )
    found = await dossier(root, "Why is the discount percentage of a cart wrong?")
    code = [e for e in found.excerpts if e.path]
    assert code[0].path == "shop/cart.py"
    assert "def apply_discount" in code[0].text
    assert "discount" in code[0].why
    assert "shop/mail.py" not in {e.path for e in code}
    assert any("not a git repository" in note for note in found.notes)


async def test_secrets_planted_everywhere_reach_no_excerpt(repo: Path) -> None:
    (repo / "src" / "keys.py").write_text(f"def connect():\n    token = '{SECRET}'\n    return token\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", f"Rotate {SECRET}")
    (repo / "src" / "keys.py").write_text(f"def connect():\n    token = '{SECRET}'\n    return token + ''\n")
    error = TRACE.replace("invalid literal", f"bad token {SECRET}").replace("int(line)", f"int('{SECRET}')")
    found = await dossier(repo, f"Why does `connect` refuse {SECRET}?", error=error, files=("src/keys.py",))
    text = found.model_dump_json()
    assert SECRET not in text
    assert found.redactions == {"github-token": 1}
    assert "ada@example.org" not in text
    assert str(repo) not in text
    question = Question(text=f"Why {SECRET}?", error=error, positions=(SECRET,))
    clean = await clean_question(question, ProjectEvidence(repo))
    assert SECRET not in clean.model_dump_json()
    assert clean.text == "Why «redacted:github-token#1»?"


async def test_values_of_the_environment_are_never_shown(repo: Path) -> None:
    (repo / "conf.py").write_text("NAME = 'my unusual pass-phrase'\n")
    question = Question(text="Look at conf.py", files=("conf.py",))
    found = await collect(question, repo, None, budget=4000, secrets=("my unusual pass-phrase",))
    assert "conf.py" in found.files
    assert "unusual" not in found.model_dump_json()


async def test_without_a_project_only_what_was_attached_is_there(repo: Path) -> None:
    found = await dossier(None, "Why?", error=TRACE, diff=git(repo, "diff", "HEAD~1..HEAD"))
    assert {e.source for e in found.excerpts} == {"trace", "diff"}
    assert found.project == found.head == ""
    assert [c.path for c in found.changes] == ["src/parser.py"]
    assert (await dossier(None, "What is a monad?")).excerpts == ()


@pytest.mark.parametrize("budget", [0, 50, 200, 500, 1000, 3000])
async def test_the_budget_holds(repo: Path, budget: int) -> None:
    (repo / "src" / "long.py").write_text("def long():\n" + "".join(f"    step_{n}()\n" for n in range(2000)))
    log = "\n".join(f"line {n} of a log" for n in range(5000)) + "\n" + TRACE
    found = await dossier(repo, "Why does `long` in src/long.py fail?", budget, error=log, files=("src/long.py",))
    assert found.tokens == sum(e.tokens for e in found.excerpts) <= budget
    assert all(e.tokens >= estimate_tokens(e.text) + OVERHEAD for e in found.excerpts)
    assert found.left_out


async def test_odd_projects_give_a_dossier_and_a_note(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert any("no readable text" in note for note in (await dossier(empty, "Why?")).notes)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    git(fresh, "init", "-q", "-b", "main")
    (fresh / "naïve name.py").write_text(SOURCE)
    (fresh / "broken.py").write_bytes(b"def x(:\n\xff\xfe\n")
    (fresh / "image.py").write_bytes(b"\0\1\2")
    found = await dossier(fresh, "What does read_lines do, and broken.py?", files=("image.py",))
    assert found.head == "main (no commits)"
    assert "naïve name.py" in found.files
    assert any(note.startswith("image.py: empty, binary") for note in found.notes)


# ------------------------------------------------------------------------------------------------- for one reader


def test_a_reader_with_a_small_window_gets_the_most_useful_excerpts_and_a_list_of_the_rest() -> None:
    def excerpt(path: str, tokens: int) -> Excerpt:
        return Excerpt(source="file", path=path, start=1, end=2, text="x", tokens=tokens, why="because")

    whole = Dossier(excerpts=(excerpt("a.py", 50), excerpt("b.py", 60), excerpt("c.py", 30)), tokens=140, budget=200)
    small = whole.fitted(90)
    assert [e.path for e in small.excerpts] == ["a.py", "c.py"]
    assert small.tokens == 80
    assert small.left_out == ("b.py:1-2 (60 tokens): because",)
    assert whole.fitted(140) is whole
