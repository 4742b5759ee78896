"""The names of a project: which ones are known, and how they get into a transcript. The pairs were written before the code."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from conftest import git
from hypothesis import given
from hypothesis import strategies as st

from orchestra_mcp.edge.nouns import Vocabulary
from orchestra_mcp.edge.words.prompts import ROOM, names_of, prompt_of
from orchestra_mcp.edge.words.repair import repair
from orchestra_mcp.edge.words.vocabulary import BRANCHES, FILES, IDENTIFIERS, vocabulary

SPOKEN_IDENTIFIERS = (
    "test_login", "useAuth", "get_user_by_id", "UserService", "parseHTTPReply", "retry_with_backoff", "load_settings",
    "OrderRepository", "is_valid", "fetchAll", "calculate_total", "session", "JsonEncoder", "on_close", "DB_TIMEOUT",
    "user_id", "write_json", "async_main", "TokenBucket", "kubectl_apply", "test_cache_key", "Cart", "pytest_plugins",
    "to_string", "handleSubmit", "SqliteStore", "run_in_thread", "__init__", "checkout2",
)  # fmt: skip
SPOKEN_FILES = (
    "src/useAuth.ts", "main.py", "src/app/settings.py", "docker-compose.yml", "tests/test_login.py", "package.json",
    "README.md", "src/order_repository.py", "public/index.html", "Makefile", "src/utils.js", "src/api/client.go",
)  # fmt: skip
SPOKEN_BRANCHES = ("feature/oauth-login", "main", "fix/retry-loop", "release-2.1")

CHANGED = (
    ("why is test log in failing", "why is test_login failing"),
    ("why is test login failing", "why is test_login failing"),
    ("why is test underscore login failing", "why is test_login failing"),
    ("What does use auth do?", "What does useAuth do?"),
    ("explain use auth dot ts", "explain useAuth.ts"),
    ("explain use auth hook dot ts", "explain useAuth.ts"),
    ("review main dot pie", "review main.py"),
    ("review main dot p y", "review main.py"),
    ("Review main.pie.", "Review main.py."),
    ("explain get user by id", "explain get_user_by_id"),
    ("explain get user by ID please", "explain get_user_by_id please"),
    ("why does get user by I D return none", "why does get_user_by_id return none"),
    ("is user service thread safe", "is UserService thread safe"),
    ("why is the userservice so slow", "why is the UserService so slow"),
    ("what does parse http reply do", "what does parseHTTPReply do"),
    ("what does parse h t t p reply do", "what does parseHTTPReply do"),
    ("why does retry with back off loop forever", "why does retry_with_backoff loop forever"),
    ("why does retry with backoff loop forever", "why does retry_with_backoff loop forever"),
    ("why does load settings fail", "why does load_settings fail"),
    ("explain settings dot pie", "explain settings.py"),
    ("what is wrong with order repository", "what is wrong with OrderRepository"),
    ("what is wrong with order repository dot py", "what is wrong with order_repository.py"),
    ("is the is valid function correct", "is the is_valid function correct"),
    ("why does fetch all time out", "why does fetchAll time out"),
    ("explain calculate total", "explain calculate_total"),
    ("explain calculate totel", "explain calculate_total"),
    ("why does jason encoder crash", "why does JsonEncoder crash"),
    ("why does the write jason function crash", "why does the write_json function crash"),
    ("is d b time out too small", "is DB_TIMEOUT too small"),
    ("does the token bucket leak", "does the TokenBucket leak"),
    ("why does a sink main hang", "why does async_main hang"),
    ("what does cube control apply do", "what does kubectl_apply do"),
    ("why is test cash key failing", "why is test_cache_key failing"),
    ("what are pie test plugins for", "what are pytest_plugins for"),
    ("why does handle submit run twice", "why does handleSubmit run twice"),
    ("is sequel light store safe", "is SqliteStore safe"),
    ("what is in docker compose dot yaml", "what is in docker-compose.yml"),
    ("is package dot jason valid", "is package.json valid"),
    ("what does index dot html load", "what does index.html load"),
    ("review the branch feature oauth login", "review the branch feature/oauth-login"),
    ("review the branch fix slash retry dash loop", "review the branch fix/retry-loop"),
    ("is release two point one ready", "is release-2.1 ready"),
    ("what does dunder init do", "what does __init__ do"),
    ("why is utils dot js so long", "why is utils.js so long"),
    ("what does client dot go import", "what does client.go import"),
)

UNCHANGED = (
    "how do I load settings faster",
    "should we use auth or sessions here",
    "what happens on close of the socket",
    "the token is valid but the server says no",
    "why is the session so slow",
    "what is the main reason for this failure",
    "is it safe to convert an integer to string here",
    "should I put this in a cart or a basket",
    "why is test logic failing",
    "can we run in threads instead",
    "how do I fetch all of the rows",
    "please write tests for the last change",
    "the customer wants to order repositories by size",
    "is the bucket of tokens refilled in time",
    "why is the user ideal for this",
    "retry with back pressure instead of a loop",
    "explain the stack trace",
    "what does the last commit change",
    "we get users by name and not by email",
    "I want to handle submissions twice",
    "should we use sqlite or postgres",
    "is this the right way to calculate the total",
    "why does the index grow so fast",
    "who was in the house before main street",
    "we need to get user by id and then by name",
    "the service for users is down",
    "is dot product faster in numpy",
    "",
)

SHOP = Vocabulary("shop", SPOKEN_IDENTIFIERS, SPOKEN_FILES, SPOKEN_BRANCHES)


# ------------------------------------------------------------------------------------------------------------ repair


@pytest.mark.parametrize(("heard", "meant"), CHANGED)
def test_a_name_that_was_written_as_words_becomes_the_name(heard: str, meant: str) -> None:
    assert repair(heard, SHOP).text == meant


@pytest.mark.parametrize("heard", UNCHANGED)
def test_ordinary_english_stays_as_it_is(heard: str) -> None:
    assert repair(heard, SHOP) == repair(heard, Vocabulary())
    assert repair(heard, SHOP).text == heard


def test_a_repair_tells_what_it_changed() -> None:
    repaired = repair("why is test log in failing in main dot pie", SHOP)
    assert repaired.changes == (("test log in", "test_login"), ("main dot pie", "main.py"))
    assert "login" not in repr(repaired)  # what was said is in no log


def test_a_name_that_is_written_rightly_is_left_alone() -> None:
    right = "why is test_login failing in src/useAuth.ts since release-2.1"
    assert repair(right, SHOP).text == right


@given(st.text(max_size=80))
def test_any_text_can_be_repaired_and_nothing_is_lost_without_names(text: str) -> None:
    assert repair(text, Vocabulary()).text == text
    repair(text, SHOP)


# -------------------------------------------------------------------------------------------------------- vocabulary


async def test_the_names_of_a_project_are_those_of_its_code_the_latest_changes_first(repo: Path) -> None:
    (repo / "src" / "billing.py").write_text("class InvoicePrinter:\n    def print_invoice(self):\n        pass\n")
    git(repo, "branch", "feature/print-invoices")
    found = await vocabulary(repo)
    assert found.project == "records"
    assert found.files[0] == "src/billing.py"  # not committed yet: the latest of all
    assert "src/parser.py" in found.files
    assert found.identifiers[:2] == ("InvoicePrinter", "print_invoice")
    assert "read_lines" in found.identifiers
    assert set(found.branches) == {"main", "feature/print-invoices"}


async def test_files_with_credentials_and_names_drawn_at_random_are_not_told(repo: Path) -> None:
    (repo / ".env").write_text("TOKEN=x\n")
    (repo / "id_rsa").write_text("x")
    (repo / "deploy.pem").write_text("x")
    (repo / "src" / "keys.py").write_text(
        "def ghp_x8Kd02mQz71LpV9sTb4RwE6yUc3NfA5hJg():\n    pass\n\ndef rotate_keys():\n    pass\n"
    )
    found = await vocabulary(repo)
    told = " ".join((*found.identifiers, *found.files, *found.branches))
    assert "rotate_keys" in told
    for secret in (".env", "id_rsa", "deploy.pem", "ghp_"):
        assert secret not in told


async def test_a_link_out_of_the_project_is_not_followed(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("def from_outside():\n    pass\n")
    (repo / "src" / "inside.py").symlink_to(tmp_path / "outside.py")
    assert "from_outside" not in (await vocabulary(repo)).identifiers


async def test_a_directory_without_git_has_names_too(tmp_path: Path) -> None:
    (tmp_path / "node_modules" / "left").mkdir(parents=True)
    (tmp_path / "node_modules" / "left" / "pad.js").write_text("function padLeft() {}\n")
    (tmp_path / "cart.ts").write_text("export function addToCart(item: string) { return item }\n")
    found = await vocabulary(tmp_path)
    assert found.identifiers == ("addToCart",)
    assert found.files == ("cart.ts",)
    assert found.branches == ()


async def test_a_large_project_gives_a_bounded_vocabulary(repo: Path) -> None:
    for number in range(400):
        names = "".join(f"def handle_case_{number}_{n}():\n    pass\n\n\n" for n in range(5))
        (repo / "src" / f"module_{number}.py").write_text(names)
    found = await vocabulary(repo)
    assert 0 < len(found.identifiers) <= IDENTIFIERS
    assert len(found.files) == FILES
    assert len(found.branches) <= BRANCHES


# ------------------------------------------------------------------------------------------------------------ prompt


def test_a_prompt_holds_the_best_names_of_each_kind_and_is_bounded() -> None:
    names = tuple(f"handle_request_{n}" for n in range(300))
    given_ = Vocabulary("shop", names, ("src/useAuth.ts", "main.py"), ("fix/retry-loop",))
    prompt = prompt_of(given_)
    assert len(prompt) <= ROOM
    for name in ("shop", "handle_request_0", "useAuth.ts", "fix/retry-loop"):
        assert name in prompt
    assert names_of(given_)[:3] == ("shop", "handle_request_0", "handle_request_1")
    assert prompt_of(Vocabulary()) == ""


def test_a_name_cannot_bring_control_characters_into_a_prompt() -> None:
    assert prompt_of(dataclasses.replace(SHOP, identifiers=("ok_name", "evil\nname\x1b[0m"))).isprintable()
