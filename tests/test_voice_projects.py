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
