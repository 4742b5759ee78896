"""The index of a project: real repositories, real files of SQLite, real processes."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import string
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio.to_thread
import pytest
from conftest import git

from orchestra_mcp.context import builder
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.index import indexing
from orchestra_mcp.context.index.projectindex import ProjectIndex
from orchestra_mcp.context.index.retrieval import Clues
from orchestra_mcp.context.index.units import MAX_UNITS, FileUnits, divide
from orchestra_mcp.context.reading import signals
from orchestra_mcp.context.repository.git import Git
from orchestra_mcp.errors import StoreError
from orchestra_mcp.identifiers import parts_of
from orchestra_mcp.store.index import MAX_SEGMENTS, Index, IndexDamaged, Indexed, Stamp, length_class, place_of

HERE = str(Path(__file__).parent.parent)


def stamps_of(root: Path) -> dict[str, Stamp]:
    return {
        path.relative_to(root).as_posix(): Stamp.of(path.lstat())
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(root).parts
    }


def whole(index: Index, root: Path, name: str = "") -> indexing.Corpus:
    """The corpus with nothing left for later."""
    stamps = stamps_of(root)
    indexing.finish(index, name or str(root), stamps, indexing.reader(root), time.monotonic() + 60)
    found = indexing.corpus(index, name or str(root), stamps, indexing.reader(root), {})
    assert found.pending == 0
    return found


def having(corpus: indexing.Corpus, word: str) -> list[str]:
    return sorted({corpus.paths[posting >> 24] for posting in corpus.postings([word]).get(word, ())})


def counted(units: FileUnits, word: str) -> dict[tuple[str, int, int], int]:
    """Name, first and last line of the units that have the word, and how often."""
    found = [(units.units[number], count) for number, count in units.postings.get(word, ())]
    return {(unit.name, unit.start, unit.end): count for unit, count in found}


def old(root: Path) -> None:
    """Date all files back, so that none was written just now."""
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, ns=(10**18 + 7, 10**18 + 7))


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    old(root)
    return root


def generated(root: Path, files: int, functions: int = 12) -> Path:
    """A project whose file number n defines `work_n` and `common`."""
    body = "".join(f"\n\ndef step{n}(value):\n    return value + {n}\n" for n in range(functions))
    return write(root, {f"pkg{n % 7}/m{n}.py": f"def work_{n}():\n    return common\n{body}" for n in range(files)})


# ------------------------------------------------------------------------------------------------ units of a file


def test_a_word_is_counted_in_the_innermost_definition_and_lines_are_right_with_windows_line_ends() -> None:
    text = "import os\r\n\r\n\r\nclass Cart:\r\n    size = 1\r\n\r\n    def total(self):\r\n        return parse_header(os)\r\n"
    units = divide("shop/cart.py", text)
    assert [(u.name, u.kind, u.start, u.end) for u in units.units] == [
        ("", "file", 1, 9), ("Cart", "class", 4, 8), ("Cart.total", "method", 7, 8), ("", "block", 1, 1),
    ]  # fmt: skip
    assert counted(units, "os") == {("Cart.total", 7, 8): 1, ("", 1, 1): 1}
    assert counted(units, "header") == counted(units, "parse_header") == {("Cart.total", 7, 8): 1}
    assert counted(units, "d:total") == {("Cart.total", 7, 8): 1}
    assert set(counted(units, "n:cart")) == {("Cart", 4, 8), ("Cart.total", 7, 8)}
    assert set(counted(units, "p:shop")) == set(counted(units, "p:cart")) == {("", 1, 9)}


def test_a_mark_at_the_beginning_and_bytes_of_another_encoding_do_no_harm(tmp_path: Path) -> None:
    root = write(
        tmp_path / "p",
        {
            "mark.py": b"\xef\xbb\xbfdef marked():\n    pass\n",
            "latin.py": "def caf\xe9():\n    return grumble\n".encode("latin-1"),
            "wide.py": "def wide():\n    pass\n".encode("utf-16"),
            "nul.py": b"def nul():\n\0\n",
            "empty.py": b"",
            "list.min.js": "function minified(){}",
            "one.js": "var a=" + "x1(y,z)," * 110_000 + "tail",
            "large.py": b"def large():\n    pass\n" * 250_000,
        },
    )
    corpus = whole(Index(None, 1), root)
    assert having(corpus, "d:marked") == ["mark.py"]
    assert having(corpus, "grumble") == ["latin.py"]
    assert [having(corpus, f"p:{word}") for word in ("wide", "nul", "empty", "one", "large")] == [
        ["wide.py"], ["nul.py"], ["empty.py"], ["one.js"], ["large.py"],
    ]  # fmt: skip
    for word in ("d:wide", "d:nul", "d:minified", "tail", "d:large"):
        assert having(corpus, word) == []


@pytest.mark.parametrize("definitions", [5000, 60_000])
def test_a_file_of_thousands_of_definitions_and_blocks_stays_inside_the_fields_of_a_posting(definitions: int) -> None:
    text = "".join(f"def f{n}():g\n" if n % 2 else f"x{n} = 1\n\n\n" * 3 for n in range(definitions))[
        :960_000
    ].rpartition("\n")[0]
    units = divide("many.py", text)
    assert len(units.units) <= MAX_UNITS == 1 << 12
    codes = [code for codes in units.codes.values() for code in codes]
    assert all(0 < code < 1 << 24 for code in codes)
    assert all((code >> 7 & 31) == length_class(units.units[code >> 12].words) for code in codes)
    assert set(re.findall(r"\b[fx]\d+\b", text)) - {"f", "x"} <= units.postings.keys()


def test_a_posting_has_room_for_the_last_unit_and_the_longest_and_for_no_more() -> None:
    assert place_of(4095, 10**30) + 127 == (1 << 24) - 1
    with pytest.raises(ValueError, match="4096"):
        place_of(4096, 1)
    text = "word " * 500
    assert divide("a.txt", text).postings["word"] == [(1, 127)]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("deep.py", "x = " + "(" * 100_000),
        ("deep.js", "function a(){" * 20_000),
        ("deep.json", "[" * 200_000),
        ("deep.c", "{" * 100_000),
        ("nested.py", "".join(" " * n + f"def f{n}():\n" for n in range(900))),
    ],
)
def test_what_is_nested_without_end_is_still_divided(path: str, text: str) -> None:
    units = divide(path, text)
    assert units.units[0].end == text.count("\n") + 1
    assert sum(len(unit.name) for unit in units.units) < 3_000_000
    assert "p:" + path.partition(".")[0] in units.postings


# ---------------------------------------------------------------------------------------------- words and secrets

BASE62 = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
LIKE: Mapping[str, Callable[[Callable[[str, int], str]], str]] = {
    "aws": lambda drawn: "AKIA" + drawn(string.ascii_uppercase + "234567", 16),
    "aws secret": lambda drawn: drawn(BASE62 + "+/", 40),
    "github": lambda drawn: "ghp_" + drawn(BASE62, 36),
    "github fine-grained": lambda drawn: "github_pat_" + drawn(BASE62, 22) + "_" + drawn(BASE62, 59),
    "gitlab": lambda drawn: "glpat-" + drawn(BASE62, 20),
    "slack": lambda drawn: "xoxb-" + drawn(string.digits, 12) + "-" + drawn(BASE62, 24),
    "stripe": lambda drawn: "sk_live_" + drawn(BASE62, 24),
    "google": lambda drawn: "AIza" + drawn(BASE62, 35),
    "openai": lambda drawn: "sk-proj-" + drawn(BASE62, 48),
    "anthropic": lambda drawn: "sk-ant-api03-" + drawn(BASE62, 93) + "AA",
    "hugging face": lambda drawn: "hf_" + drawn(string.ascii_letters, 34),
    "npm": lambda drawn: "npm_" + drawn(BASE62, 36),
    "pypi": lambda drawn: "pypi-AgEIcHlwaS5vcmc" + drawn(BASE62, 80),
    "sendgrid": lambda drawn: "SG." + drawn(BASE62, 22) + "." + drawn(BASE62, 43),
    "twilio": lambda drawn: "SK" + drawn(HEX, 32),
    "mailgun": lambda drawn: "key-" + drawn(HEX, 32),
    "digital ocean": lambda drawn: "dop_v1_" + drawn(HEX, 64),
    "shopify": lambda drawn: "shpat_" + drawn(HEX, 32),
    "docker": lambda drawn: "dckr_pat_" + drawn(BASE62, 27),
    "telegram": lambda drawn: drawn(string.digits, 10) + ":AA" + drawn(BASE62, 33),
    "json web token": lambda drawn: "eyJhbGciOiJIUzI1NiJ9.eyJ" + drawn(BASE62, 40) + "." + drawn(BASE62, 43),
    "sha-1": lambda drawn: drawn(HEX, 40),
    "base64 line": lambda drawn: drawn(BASE62, 64),
}


def kept_words(path: Path) -> tuple[set[str], str]:
    """All words of an index, and all names of units."""
    with sqlite3.connect(path) as db:
        words = {row[0] for row in db.execute("SELECT word FROM posting")}
        names = [zlib.decompress(row[0]).decode() for row in db.execute("SELECT units FROM file")]
    db.close()
    return words, "\n".join(names)


def test_keys_of_more_than_twenty_vendors_leave_no_long_piece_in_the_index(tmp_path: Path) -> None:
    source = random.Random(3)
    planted = {
        f"{vendor} {n}": make(lambda letters, size: "".join(source.choices(letters, k=size)))
        for vendor, make in LIKE.items()
        for n in range(20)
    }
    rows = "\n".join(f'def use_{n}():\n    connect("{key}")\n' for n, key in enumerate(planted.values()))
    root = write(tmp_path / "p", {"keys.py": rows, "notes.md": "\n\n".join(planted.values())})
    path = tmp_path / "i.db"
    index = Index(path, 1)
    whole(index, root)
    index.close()
    words, names = kept_words(path)
    assert {"connect", "use"} <= words
    kept: dict[str, str] = {}
    for vendor, key in planted.items():
        low = key.lower()
        for word in words:
            # A piece of sixteen characters is worth something; the rest of a key between two marks may be shorter.
            if len(word) >= 16 and word in low:
                kept[vendor] = word
    assert len(kept) <= 0.02 * len(planted), kept
    assert not any(key in names for key in planted.values())


@pytest.mark.parametrize(
    "name",
    """getElementsByTagNameNS isTypeOrSubTypeOf toBeLessThanOrEqual test_sha256_of_utf8mb4 XMLHttpRequestUpload
    ManyToManyRawIdWidget internationalization base64url_decode AbstractSingletonProxyFactoryBean x86_64_linux_gnu
    lastFetchStartAtMsByClientId oauth2client ec2_describe_instances UnicodeDecodeError verify_ed25519_signature
    MAXIMUM_CONNECTIONS ssl_ctx_set_tlsext_servername i18n_l10n KeyValuePair OneToOneRel ipv6_to_ipv4 TagM2MTest
    configure_h264_encoder deadbeef CONNECTIONREFUSED""".split(),
)
def test_names_that_people_give_are_words_as_a_whole(name: str) -> None:
    assert parts_of(name)[0] == name.lower()


async def test_files_that_hold_credentials_are_not_in_the_index_at_all(tmp_path: Path) -> None:
    root = write(
        tmp_path / "p", {"a.py": "def visible(): pass\n", ".env": "HIDDENWORD=1\n", "tls/server.pem": "hiddenword\n"}
    )
    git(root, "init", "-q")
    git(root, "add", "-Af")
    eyes = ProjectEvidence(root, (), tmp_path / "home")
    await eyes.refresh({})
    words, _ = kept_words(indexing.place(tmp_path / "home", root))
    assert "d:visible" in words
    assert not {word for word in words if "hidden" in word or "pem" in word or word in ("p:server", "p:tls")}


async def test_keys_in_commit_messages_are_not_kept(repo: Path, tmp_path: Path) -> None:
    key = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"
    git(repo, "commit", "-q", "--allow-empty", "-m", f"Use {key} for now")
    opened, _ = await Git.open(repo)
    assert opened is not None
    index = ProjectIndex(repo, tmp_path / "home")
    past = await index.past(opened)
    assert past == await index.past(opened)
    assert [message for message, _ in past] == ["Use  for now", "Do not return the empty last line", "Add the parser"]


# ------------------------------------------------------------------------------------------------- what changes


def test_only_what_changed_is_divided_again(tmp_path: Path) -> None:
    root = write(tmp_path / "p", {f"m{n}.py": f"def old{n}(): pass\n" for n in range(5)})
    index = Index(tmp_path / "i.db", 1)
    before = {path: file for file, path in whole(index, root).paths.items()}
    (root / "m0.py").write_text("def renewed(): pass\n")
    (root / "m1.py").unlink()
    (root / "m2.py").rename(root / "moved.py")
    os.utime(root / "m3.py", ns=(2 * 10**18, 2 * 10**18))
    (root / "extra.py").write_text("def extra(): pass\n")
    corpus = indexing.corpus(index, str(root), stamps_of(root), indexing.reader(root), {})
    after = {path: file for file, path in corpus.paths.items()}
    assert sorted(after) == ["extra.py", "m0.py", "m3.py", "m4.py", "moved.py"]
    assert {path for path in after if before.get(path) == after[path]} == {"m3.py", "m4.py"}
    assert index.files() == 5 + 3
    assert [having(corpus, f"d:{word}") for word in ("old0", "old1", "renewed", "old2", "old3", "extra")] == [
        [], [], ["m0.py"], ["moved.py"], ["m3.py"], ["extra.py"],
    ]  # fmt: skip


def test_another_content_of_the_same_size_and_time_is_noticed(tmp_path: Path) -> None:
    root = write(tmp_path / "p", {"a.py": "def first(): pass\n"})
    index = Index(None, 1)
    whole(index, root)
    (root / "a.py").write_text("def other(): pass\n")
    old(root)  # the time stamp of before: only the time of the last change of its attributes tells
    corpus = indexing.corpus(index, str(root), stamps_of(root), indexing.reader(root), {})
    assert having(corpus, "d:other") == ["a.py"]
    assert having(corpus, "d:first") == []


def test_a_file_that_was_written_just_before_it_was_read_is_read_again(tmp_path: Path) -> None:
    root = tmp_path / "p"
    root.mkdir()
    index = Index(None, 1)
    now = time.time_ns()
    stamp = {"a.py": Stamp(now, 18, 1)}  # a coarse clock: both contents have one stamp
    contents = [b"def other(): pass\n", b"def first(): pass\n"]
    indexing.corpus(index, "r", stamp, lambda _: contents.pop(), {})
    corpus = indexing.corpus(index, "r", stamp, lambda _: contents.pop(), {})
    assert having(corpus, "d:other") == ["a.py"]


def test_a_file_that_is_old_or_dated_into_the_far_future_is_not_read_again(tmp_path: Path) -> None:
    index = Index(None, 1)
    day = 86_400 * 10**9
    stamps = {"a.py": Stamp(time.time_ns() - day, 5, 1), "b.py": Stamp(time.time_ns() + day, 5, 1)}
    indexing.corpus(index, "r", stamps, lambda _: b"words", {})
    assert len(indexing.corpus(index, "r", stamps, lambda path: pytest.fail(path), {}).paths) == 2


def test_a_branch_that_is_come_back_to_is_found_by_its_contents(repo: Path, tmp_path: Path) -> None:
    index = Index(tmp_path / "i.db", 1)
    first = dict(whole(index, repo).paths)
    git(repo, "checkout", "-qb", "other")
    (repo / "src/parser.py").write_text("def elsewhere(): pass\n")
    git(repo, "commit", "-qam", "Elsewhere")
    assert having(whole(index, repo), "d:elsewhere") == ["src/parser.py"]
    contents = index.files()
    git(repo, "checkout", "-q", "main")
    assert dict(whole(index, repo).paths) == first
    assert index.files() == contents


async def test_two_work_trees_share_an_index_and_each_has_its_own_answers(repo: Path, tmp_path: Path) -> None:
    git(repo, "worktree", "add", "-q", "-b", "second", str(tmp_path / "second"))
    (tmp_path / "second/src/parser.py").write_text("def second_only(): pass\n")
    home = tmp_path / "home"
    assert indexing.place(home, repo) == indexing.place(home, tmp_path / "second")
    one, two = ProjectEvidence(repo, (), home), ProjectEvidence(tmp_path / "second", (), home)
    await one.refresh({})
    with_both = Index(indexing.place(home, repo), indexing.VERSION)
    contents = with_both.files()
    await two.refresh({})
    assert with_both.files() == contents + 1
    assert await one.index.defining(["second_only", "total"]) == {"second_only": (), "total": ("src/parser.py",)}
    assert await two.index.defining(["second_only", "total"]) == {"second_only": ("src/parser.py",), "total": ()}
    with_both.close()


def test_projects_of_their_own_have_indexes_of_their_own(repo: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    odd = tmp_path / "odd"
    odd.mkdir()
    (odd / ".git").write_text("gitdir: /nowhere/at/all\n")
    assert len({indexing.place(tmp_path, root) for root in (repo, plain, odd)}) == 3


async def test_a_rebase_with_conflicts_a_submodule_and_a_sparse_checkout_are_indexed_as_they_lie_there(
    repo: Path, tmp_path: Path
) -> None:
    inner = write(tmp_path / "inner", {"deep.py": "def inside(): pass\n"})
    git(inner, "init", "-q", "-b", "main")
    git(inner, "add", "-A")
    git(inner, "commit", "-qm", "Inner")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "lib/inner")
    write(repo, {"aside/left.py": "def left(): pass\n"})
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "Add inner")
    git(repo, "sparse-checkout", "set", "--no-cone", "/*", "!/aside/")
    git(repo, "checkout", "-qb", "topic")
    (repo / "src/parser.py").write_text("def theirs(): pass\n")
    git(repo, "commit", "-qam", "Theirs")
    git(repo, "checkout", "-q", "main")
    (repo / "src/parser.py").write_text("def ours(): pass\n")
    git(repo, "commit", "-qam", "Ours")
    with pytest.raises(subprocess.CalledProcessError):
        git(repo, "rebase", "main", "topic")
    eyes = ProjectEvidence(repo, (), tmp_path / "home")
    await eyes.refresh({})
    found = await eyes.index.defining(["ours", "theirs", "inside", "left"])
    assert found == {
        "ours": ("src/parser.py",),
        "theirs": ("src/parser.py",),
        "inside": ("lib/inner/deep.py",),
        "left": (),
    }
    assert eyes.index.pending == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no links without rights, no pipes in directories")
def test_what_took_a_files_place_is_neither_followed_nor_waited_for(tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("def outside(): pass\n")
    root = write(tmp_path / "p", {"link.py": "x = 1", "pipe.py": "x = 1", "gone.py": "x = 1", "dir.py": "x = 1"})
    stamps = stamps_of(root)
    for name in stamps:
        (root / name).unlink()
    (root / "link.py").symlink_to(tmp_path / "outside.py")
    os.mkfifo(root / "pipe.py")
    (root / "dir.py").mkdir()
    corpus = indexing.corpus(Index(None, 1), "r", stamps, indexing.reader(root), {})
    assert corpus.postings(["outside", "x"]) == {}
    assert corpus.pending == 0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such names")
def test_names_that_are_no_utf8_or_hold_line_feeds_do_no_harm(tmp_path: Path) -> None:
    root = write(tmp_path / "p", {"a.py": "def fine(): pass\n", "with\nfeed.py": "def feed(): pass\n"})
    (Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.py"))).write_text("def latin(): pass\n")
    index = Index(tmp_path / "i.db", 1)
    corpus = indexing.corpus(index, str(root), stamps_of(root), indexing.reader(root), {"fine": 1.0})
    assert (having(corpus, "d:fine"), having(corpus, "d:feed"), corpus.pending) == (["a.py"], ["with\nfeed.py"], 0)
    indexing.finish(index, str(root), stamps_of(root), indexing.reader(root), time.monotonic() + 60)


# --------------------------------------------------------------------------------------- a tree that is not known


def test_without_time_those_are_divided_first_that_hold_the_words_of_the_question(tmp_path: Path) -> None:
    root = generated(tmp_path / "p", 120, functions=700)
    write(root, {"pkg0/zz.py": "def thread_the_eye():\n    return haystack\n"})
    index = Index(tmp_path / "i.db", 1)
    stamps = stamps_of(root)
    corpus = indexing.corpus(index, "r", stamps, indexing.reader(root), {"haystack": 3.0}, seconds=0.0)
    assert 0 < len(corpus.paths) < 40
    assert corpus.pending + len(corpus.paths) == len(stamps)
    assert having(corpus, "haystack") == ["pkg0/zz.py"]
    assert corpus.unread["haystack"] >= 1
    indexing.finish(index, "r", stamps, indexing.reader(root), time.monotonic() + 60)
    corpus = indexing.corpus(index, "r", stamps, lambda path: pytest.fail(path), {})
    assert (corpus.pending, len(corpus.paths), corpus.unread) == (0, 121, {})


async def test_the_builder_finishes_what_the_first_question_left_and_keeps_the_answers(tmp_path: Path) -> None:
    root = generated(tmp_path / "p", 40)
    home = tmp_path / "home"
    said = signals.read("Why does work_17 fail in m17?")
    direct = ProjectEvidence(root)
    expected = await direct.rank(said, Clues())
    assert direct.index.pending == 0
    assert expected.files[0].path == "pkg3/m17.py"
    path = indexing.place(home, root)
    path.parent.mkdir(parents=True)
    run_builder(root, path).wait(60)
    stamps = await direct.stamps()
    index = Index(path, indexing.VERSION)
    corpus = indexing.corpus(index, str(root.resolve()), stamps, lambda name: pytest.fail(name), {})
    assert (corpus.pending, len(corpus.paths)) == (0, 40)
    index.close()
    assert await ProjectEvidence(root, (), home).rank(said, Clues()) == expected


def run_builder(root: Path, path: Path) -> subprocess.Popen[bytes]:
    code = "from orchestra_mcp.context.builder import main; main()"
    return subprocess.Popen([sys.executable, "-c", code, str(root.resolve()), str(path)], cwd=HERE)


def test_a_builder_that_was_killed_leaves_a_sound_index_and_the_next_one_goes_on(tmp_path: Path) -> None:
    root = generated(tmp_path / "p", 2600, functions=2)
    path = tmp_path / "i.db"
    first = run_builder(root, path)
    while first.poll() is None:  # until something is kept, and more is to come
        if path.exists() and (index := Index(path, indexing.VERSION)).files():
            break
    first.kill()
    first.wait()
    index = Index(path, indexing.VERSION)
    begun = index.files()
    assert begun
    kept = {known.file for known in index.tree(str(root.resolve())).values()}
    run_builder(root, path).wait(120)
    tree = index.tree(str(root.resolve()))
    assert len(tree) == index.files() == 2600
    assert kept <= {known.file for known in tree.values()}


# ----------------------------------------------------------------------------------------------- many processes

OPEN = """
import sys
from pathlib import Path
from orchestra_mcp.store.index import Index

for number in range(40):
    Index(Path(sys.argv[1]) / f"{number}.db", 1).close()
"""


def test_processes_that_open_new_indexes_at_once_wait_for_each_other(tmp_path: Path) -> None:
    opening = [
        subprocess.Popen([sys.executable, "-c", OPEN, str(tmp_path)], stderr=subprocess.PIPE, cwd=HERE)
        for _ in range(5)
    ]
    assert [process.communicate(timeout=120)[1] for process in opening] == [b""] * 5


ASK = """
import anyio, json, sys
from pathlib import Path
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.index.retrieval import Clues
from orchestra_mcp.context.reading import signals

async def main():
    root, home = Path(sys.argv[1]), Path(sys.argv[2])
    for number in map(int, sys.argv[3:]):
        (root / f"new{number}.py").write_text(f"def brand_new_{number}(): pass\\n")
        eyes = ProjectEvidence(root, (), home)
        found = await eyes.rank(signals.read(f"Why does brand_new_{number} fail?"), Clues())
        print(json.dumps([found.files[0].path, eyes.index._path is not None]))

anyio.run(main)
"""


def test_six_processes_that_ask_edit_and_build_at_once_agree_with_one(tmp_path: Path) -> None:
    root, home = generated(tmp_path / "p", 150), tmp_path / "home"
    path = indexing.place(home, root)
    path.parent.mkdir(parents=True)
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", ASK, str(root), str(home), *map(str, range(n, 20, 5))],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=HERE,
        )
        for n in range(5)
    ]  # fmt: skip
    building = run_builder(root, path)
    for n, process in enumerate(asking):
        out, err = process.communicate(timeout=120)
        assert (err, process.returncode) == (b"", 0)
        # Each found its own newest file, and found it in the common index rather than in one of its own.
        assert [json.loads(row) for row in out.splitlines()] == [[f"new{m}.py", True] for m in range(n, 20, 5)]
    assert building.wait(60) == 0
    run_builder(root, path).wait(60)
    shared, alone = Index(path, indexing.VERSION), Index(None, 1)
    one, two = whole(shared, root.resolve()), whole(alone, root.resolve())
    words = [f"d:brand_new_{n}" for n in range(20)] + [f"work_{n}" for n in range(150)] + ["common", "value", "p:pkg3"]
    assert len(one.paths) == 170
    for word in words:
        assert having(one, word) == having(two, word)
        assert len(one.postings([word])[word]) == len(two.postings([word])[word])
    shared.close()


def test_two_processes_that_add_one_content_give_it_one_number(tmp_path: Path) -> None:
    one, two = Index(tmp_path / "i.db", 1), Index(tmp_path / "i.db", 1)
    file = Indexed("a.py", b"x" * 20, 3, [("", "file", 1, 1, 3)], {"word": [place_of(0, 3) + 1]})
    assert one.add([file]) == two.add([file]) == {("a.py", b"x" * 20): (1, 3)}
    assert (one.files(), one.segments()) == (1, 1)
    one.close()
    two.close()


@pytest.mark.skipif(sys.platform == "win32", reason="stops a process by a signal")
def test_a_builder_keeps_nobody_waiting_for_the_end_of_the_output_of_who_started_it(tmp_path: Path) -> None:
    root, path = generated(tmp_path / "p", 300), tmp_path / "home/i.db"
    path.parent.mkdir()
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom orchestra_mcp.context.index import background as b\n"
        "root, path = map(Path, sys.argv[1:])\nb.start_builder(root, path)\nb.start_builder(root, path)\n"
        "[process] = b._running.values()\nos.kill(process.pid, signal.SIGSTOP)\nprint(process.pid)"
    )
    asking = subprocess.run(
        [sys.executable, "-c", code, str(root), str(path)], capture_output=True, cwd=HERE, timeout=60
    )  # fmt: skip
    # Here the output has ended, though the builder is still there and cannot run.
    assert asking.stderr == b""
    pid = int(asking.stdout)
    os.kill(pid, signal.SIGCONT)
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            break
        if sys.platform == "linux" and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":  # nobody adopts orphans
            break
    assert len(Index(path, indexing.VERSION).tree(str(root))) == 300


def test_a_builder_loads_no_code_from_the_project_nor_from_where_it_was_started(tmp_path: Path) -> None:
    evil = "from pathlib import Path; Path(__file__).with_suffix('.ran').touch()"
    root = write(
        tmp_path / "p", {f"{name}.py": evil for name in ("anyio", "sqlite3", "json", "orchestra_mcp", "sitecustomize")}
    )
    path = tmp_path / "home/i.db"
    path.parent.mkdir()
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom orchestra_mcp.context.index import background as b\n"
        "root, path = map(Path, sys.argv[1:])\nos.chdir(root)\nb.start_builder(root, path)\n"
        "[process] = b._running.values()\nsys.exit(process.wait())"
    )
    environ = {
        "PATH": "",
        "PYTHONPATH": os.pathsep.join(["", HERE, "."]),
        "SYSTEMROOT": os.environ.get("SYSTEMROOT", ""),
    }
    subprocess.run([sys.executable, "-c", code, str(root), str(path)], cwd=HERE, check=True, env=environ, timeout=120)
    assert len(Index(path, indexing.VERSION).tree(str(root))) == 5
    assert list(root.glob("*.ran")) == []


# ------------------------------------------------------------------------------------------------------- damage


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def scribble(path: Path) -> None:
    """Noise from the second page to the end."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(random.Random(5).randbytes(size - 4096))


def other_version(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


def other_tables(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE posting")
    db.close()


def spoilt_rows(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE posting SET data = x'0100'")
        db.execute("UPDATE file SET units = x'00'")
    db.close()


DAMAGES = [
    cut, scribble, other_version, other_tables, spoilt_rows, Path.unlink,
    lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"garbage" * 9999),
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_index_is_made_anew_before_and_during_a_consultation(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    root, home = generated(tmp_path / "p", 60), tmp_path / "home"
    said = signals.read("Why does work_23 fail?")
    expected = await ProjectEvidence(root, (), home).rank(said, Clues())
    path = indexing.place(home, root)
    settle(path)
    eyes = ProjectEvidence(root, (), home)
    await eyes.refresh(said.terms)
    settle(path)
    damage(path)
    assert await eyes.rank(said, Clues()) == expected  # it had been opened and asked before
    assert await ProjectEvidence(root, (), home).rank(said, Clues()) == expected
    again = ProjectEvidence(root, (), home)
    assert await again.rank(said, Clues()) == expected
    assert again.index._path is not None  # the new one is in use, not one in memory
    assert await anyio.to_thread.run_sync(builder.build, root.resolve(), path)


def settle(path: Path) -> None:
    """All of it in the one file, as when the last process has closed it."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


@pytest.mark.parametrize("obstacle", ["a file", "a directory"])
async def test_where_no_index_can_be_kept_there_is_one_in_memory(obstacle: str, tmp_path: Path) -> None:
    root, home = generated(tmp_path / "p", 30), tmp_path / "home"
    if obstacle == "a file":
        home.write_text("")
    else:
        indexing.place(home, root).mkdir(parents=True)
    eyes = ProjectEvidence(root, (), home)
    assert (await eyes.rank(signals.read("work_7"), Clues())).files[0].path == "pkg0/m7.py"
    assert await eyes.index.defining(["work_8"]) == {"work_8": ("pkg1/m8.py",)}


async def test_a_full_disk_and_an_index_that_others_hold_cost_the_index_and_not_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, home = generated(tmp_path / "p", 30), tmp_path / "home"
    path = indexing.place(home, root)
    Index(path, indexing.VERSION).close()
    monkeypatch.setattr("orchestra_mcp.store.index.WAIT_S", 0.05)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    eyes = ProjectEvidence(root, (), home)
    assert (await eyes.rank(signals.read("work_7"), Clues())).files[0].path == "pkg0/m7.py"
    holder.execute("ROLLBACK")
    holder.close()
    full = Index(path, indexing.VERSION)
    full._db.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StoreError, match="full") as error:
        whole(full, root)
    assert not isinstance(error.value, IndexDamaged)
    full.close()


def test_whoever_has_a_damaged_index_open_goes_on_beside_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "i.db"
    file = Indexed("a.py", b"x" * 20, 3, [("", "file", 1, 1, 3)], {"word": [place_of(0, 3) + 1]})
    one, two = Index(path, indexing.VERSION), Index(path, indexing.VERSION)
    one.add([file])
    two.abandon()
    three = Index(path, indexing.VERSION)
    assert three.files() == 0
    assert three.identity != one.identity
    one.settle("r", {"a.py": (Stamp(1, 2, 3), 1)})
    assert (one.files(), three.files()) == (1, 0)
    three.add([file])
    assert Index(path, indexing.VERSION).identity == three.identity
    one.close()
    three.close()
    assert builder.build(tmp_path / "empty", path)
    assert [found.name for found in tmp_path.glob("*.db")] == ["i~1.db"]


# ------------------------------------------------------------------------------------------------ what it grows to


def test_merging_changes_no_answer_and_leaves_few_segments(tmp_path: Path) -> None:
    root = generated(tmp_path / "p", 60)
    stamps = stamps_of(root)
    index = Index(tmp_path / "i.db", 1)
    for path in stamps:
        indexing.finish(index, "r", {path: stamps[path]}, indexing.reader(root), time.monotonic() + 60)
    indexing.corpus(index, "r", stamps, indexing.reader(root), {})  # each call before was told that all others are gone
    words = [*(f"work_{n}" for n in range(60)), "common", "d:step3", "p:pkg2", "value"]
    corpus = indexing.corpus(index, "r", stamps, indexing.reader(root), {})
    before = {word: sorted(found) for word, found in corpus.postings(words).items()}
    assert len(before) == len(words)
    assert index.segments() == 60
    while index.merge():
        pass
    assert index.segments() <= 6  # about log₂ 60
    assert {word: sorted(found) for word, found in corpus.postings(words).items()} == before
    assert not index.merge()
    index.close()


def test_a_day_of_edits_leaves_few_segments_and_no_more_stale_contents_than_live_ones(tmp_path: Path) -> None:
    root, home = generated(tmp_path / "p", 10), tmp_path / "home"
    path = indexing.place(home, root)
    name = str(root.resolve())
    index = Index(path, indexing.VERSION)
    for number in range(120):
        (root / "pkg0/m0.py").write_text(f"def edit_{number}():\n    return {number}\n" + "words and words\n" * number)
        corpus = indexing.corpus(index, name, stamps_of(root), indexing.reader(root), {})
        assert having(corpus, f"d:edit_{number}") == ["pkg0/m0.py"]
        if index.segments() > MAX_SEGMENTS:
            assert builder.build(root, path)
    assert index.segments() <= MAX_SEGMENTS
    assert index.files() <= 10 + 10 + MAX_SEGMENTS
    assert having(indexing.corpus(index, name, stamps_of(root), indexing.reader(root), {}), "d:edit_119") == [
        "pkg0/m0.py"
    ]
    words, _ = kept_words(path)
    assert "d:edit_3" not in words
    index.close()


def test_a_number_of_a_file_is_never_given_again(tmp_path: Path) -> None:
    index = Index(tmp_path / "i.db", 1)
    made = []
    for number in range(6):
        file = Indexed("a.py", bytes([number]) * 20, 9, [("", "file", 1, 1, 9)], {"word": [place_of(0, 9) + 1]})
        made += [found[0] for found in index.add([file]).values()]
        index.merge()
    assert made == sorted(set(made))
    assert index.files() < 6
    index.close()


def test_work_trees_that_are_no_more_are_forgotten(repo: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    git(repo, "worktree", "add", "-q", "-b", "second", str(second))
    path = indexing.place(tmp_path / "home", repo)
    path.parent.mkdir(parents=True)
    for root in (repo, second):
        assert builder.build(root, path)
    index = Index(path, indexing.VERSION)
    assert index.roots() == sorted([str(repo), str(second)])
    git(repo, "worktree", "remove", "--force", str(second))
    assert builder.build(repo, path)
    assert index.roots() == [str(repo)]
    assert sorted(index.tree(str(repo))) == ["pyproject.toml", "src/parser.py"]
    index.close()


def test_indexes_that_nobody_used_for_months_are_deleted_with_their_journals(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    months_ago = time.time() - 90 * 86_400
    for name in ("unused-2.db", "unused-2.db-wal", "unused-2~1.db", "used-2.db", "used-2.db-wal"):
        (tmp_path / name).write_bytes(b"")
        if name != "used-2.db-wal":
            os.utime(tmp_path / name, (months_ago, months_ago))
    assert builder.build(tmp_path / "p", tmp_path / "own-2.db")
    left = {path.name for path in tmp_path.glob("*.db*")} - {"own-2.db", "own-2.db-wal", "own-2.db-shm"}
    assert left == {"used-2.db", "used-2.db-wal"}
