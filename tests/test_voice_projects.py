"""Which project a spoken question is about: the expectations were written by hand, before the code was run on them."""

from __future__ import annotations

import pytest

from orchestra_mcp.edge.projects import answered, choose

ROOTS = ("/w/shop-api", "/w/orchestra", "/x/todo", "/y/todo", "/w/web.site")


@pytest.mark.parametrize(
    ("said", "project", "left"),
    [
        ("why is my test failing", "/w/shop-api", "why is my test failing"),
        ("in project orchestra why is it slow", "/w/orchestra", "why is it slow"),
        ("In the project shop api, is it safe?", "/w/shop-api", "Is it safe?"),
        ("why does login fail in the orchestra project?", "/w/orchestra", "why does login fail?"),
        ("explain the last commit of the repo web site", "/w/web.site", "explain the last commit"),
        ("in orchestra, what changed", "/w/orchestra", "what changed"),
        ("in production, what changed", "/w/shop-api", "in production, what changed"),
        ("which classes in this project are slow", "/w/shop-api", "which classes in this project are slow"),
        ("why is the build in the repository failing", "/w/shop-api", "why is the build in the repository failing"),
        ("what does the whole project do", "/w/shop-api", "what does the whole project do"),
    ],
)
def test_the_project_that_is_named_counts_and_else_the_last_one(said: str, project: str, left: str) -> None:
    choice = choose(said, ROOTS)
    assert (choice.project, choice.text, choice.ask) == (project, left, "")


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("in project billing why is it slow", "no project called billing"),
        ("why is it slow in the billing project", "no project called"),
        ("in project shock api why is it slow", "Do you mean the project shop api"),
        ("in project todo why is it slow", "several projects called todo"),
    ],
)
def test_a_name_that_is_not_one_known_project_is_asked_about_and_nothing_is_chosen(said: str, asked: str) -> None:
    choice = choose(said, ROOTS)
    assert choice.project is None
    assert asked in choice.ask


def test_what_was_chosen_in_settings_comes_before_the_last_one_and_a_name_before_both() -> None:
    assert choose("why", ROOTS, "/w/orchestra").project == "/w/orchestra"
    assert choose("in project web site why", ROOTS, "/w/orchestra").project == "/w/web.site"
    assert choose("in project new thing why", ROOTS, "/n/new_thing").project == "/n/new_thing"


def test_without_any_project_the_speaker_is_asked() -> None:
    assert choose("why is it slow", ()).project is None
    assert choose("why is it slow", ()).ask


def test_the_answer_to_which_project_is_a_name_in_a_sentence() -> None:
    assert answered("I mean the shop API project", ROOTS).project == "/w/shop-api"
    assert answered("it's web site", ROOTS).project == "/w/web.site"
    assert answered("todo", ROOTS).project is None
    assert "I know" in answered("something else", ROOTS).ask


NAMELESS = (
    "what is the purpose of the invoice repository class",
    "who calls load in the user repository",
    "is the method in customer repository thread safe",
    "what does a repository pattern do",
    "in the user project settings page, why is the button grey",
    "what do you think of the project structure",
    "what files are in the project directory",
    "in the project root there is a makefile, what is it for",
    "how do I pin versions in a python project",
    "how do I start a new project",
    "what is in the codebase that leaks",
)


@pytest.mark.parametrize("said", NAMELESS)
def test_a_word_for_a_project_after_another_noun_names_none(said: str) -> None:
    choice = choose(said, ROOTS)
    assert (choice.project, choice.text, choice.ask, choice.named) == ("/w/shop-api", said, "", False)


def test_a_class_called_repository_is_no_project_even_where_one_is_called_so() -> None:
    assert choose("what is the purpose of the invoice repository class", ("/w/shop", "/w/invoice")).project == "/w/shop"
    assert choose("what is in the invoice repository", ("/w/shop", "/w/invoice")).project == "/w/invoice"


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("in project nothere why is it slow", "nothere"),  # no word of the question
        ("in project not here, why is it slow", "not here"),
        ("In the project billing why is it slow", "billing"),
        ("In the project billing, why is it slow?", "billing"),
        ("in the billing project why is it slow", "billing"),
        ("in the billing project, why is it slow", "billing"),
        ("why is it slow in project billing?", "billing"),
        ("why is it slow in the billing project?", "billing"),
        ("why is it in project billing so slow", "billing"),
        ("in repo billing, why is it slow", "billing"),
        ("in the project called structure why is it slow", "structure"),
        ("why is it slow in the other project", "other"),
    ],
)
@pytest.mark.parametrize("names", [True, False])
def test_an_unknown_project_that_is_clearly_named_is_asked_about(said: str, name: str, names: bool) -> None:
    choice = choose(said, ROOTS, names=names)
    assert choice.project is None
    assert choice.ask.startswith(f"I know no project called {name}.")
    assert ("orchestra" in choice.ask) == names


@pytest.mark.parametrize(
    "said",
    [
        "what is wrong in project orchestra and in project web site",
        "what is wrong in project orchestra and web site",
        "why is it slow in the orchestra project and in the web site project",
        "in orchestra, why is it slow in project web site",
    ],
)
def test_of_two_projects_none_is_chosen(said: str) -> None:
    choice = choose(said, ROOTS)
    assert (choice.project, choice.text) == (None, said)
    assert choice.ask.startswith("Which project do you mean: ")
    assert "orchestra" in choice.ask
    assert "web site" in choice.ask
    assert "orchestra" not in choose(said, ROOTS, names=False).ask


def test_one_known_and_one_unknown_project_are_asked_about() -> None:
    assert choose("why is it slow in project orchestra and in project billing", ROOTS).project is None
    assert choose("in project orchestra why is it slow in project orchestra", ROOTS).project == "/w/orchestra"


@pytest.mark.parametrize("names", [True, False])
def test_a_name_that_sounds_like_a_known_one_is_not_passed_over(names: bool) -> None:
    for said in ("why is it slow in the shock api repo", "in the project shock api why is it slow"):
        choice = choose(said, ROOTS, "/w/orchestra", names=names)
        assert choice.project is None
        assert ("shop api" in choice.ask) == names
