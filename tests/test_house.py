"""The house keeps its own promises: documentation that is made from code stays true, prompts are whole."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from orchestra_mcp.council.prompts import MODES, load, mode_brief, pick_mode
from orchestra_mcp.settings import (
    MADE_BY_US,
    AlertRule,
    Limits,
    Memory,
    ModelSpec,
    Privacy,
    SeatSpec,
    Settings,
    Telemetry,
)
from orchestra_mcp.settings.gateway import Budget, Embedding, Gateway, PriceRow, RateLimit, Route, Rule, Target, When
from orchestra_mcp.types import Mode, Noun, Question

ROOT = Path(__file__).resolve().parent.parent
TEXT = {path.name: path.read_text("utf-8") for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]}


def test_every_mode_has_signs_and_a_section() -> None:
    modes = set(get_args(Mode)) - {"auto"}
    assert set(MODES) == modes
    assert all(mode_brief(mode) for mode in MODES)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("Why does test_login fail with KeyError? It crashes on start.", "debug"),
        ("Should we split the service?", "architecture"),
        ("The import is slow on large files", "performance"),
        ("Review what I changed.", "quality"),
        ("Is this open to SQL injection?", "security"),
    ],
)
def test_a_question_is_heard_in_the_mode_that_it_sounds_like(text: str, mode: str) -> None:
    assert pick_mode(Question(text=text)) == mode


def test_an_attached_error_means_debugging_and_a_given_mode_is_kept() -> None:
    assert pick_mode(Question(text="What now?", error="Traceback …")) == "debug"
    assert pick_mode(Question(text="It crashes", mode="learning")) == "learning"


@pytest.mark.parametrize("name", ["rules", "opinion", "debate", "repair", "review", "chair", "chair_debate", "modes"])
def test_every_prompt_is_there(name: str) -> None:
    assert len(load(name)) > 60


GATEWAY = [Route, Rule, When, Target, Budget, RateLimit, PriceRow, Embedding, Gateway]
WATCHING = [Memory, Telemetry, AlertRule]


@pytest.mark.parametrize("noun", [ModelSpec, SeatSpec, Limits, Privacy, Settings, *GATEWAY, *WATCHING])
def test_every_setting_is_documented(noun: type[Noun]) -> None:
    made_by_us = MADE_BY_US
    for field in set(noun.model_fields) - made_by_us:
        assert re.search(rf"\b{field}\b", TEXT["configuration.md"]), f"docs/configuration.md does not mention {field}"


def test_the_example_configuration_is_valid() -> None:
    example = re.search(r"```toml\n(.*?)```", TEXT["configuration.md"], re.DOTALL)
    assert example
    Settings(**tomllib.loads(example.group(1)))


def test_every_path_that_the_documentation_names_exists() -> None:
    for name in ("ARCHITECTURE.md", "AGENTS.md"):
        for path in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|md))", TEXT[name]):
            assert (ROOT / "orchestra_mcp" / path).exists() or (ROOT / path).exists(), f"{name} names {path}"


def test_links_between_documents_lead_somewhere() -> None:
    for name, text in TEXT.items():
        folder = ROOT if (ROOT / name).exists() else ROOT / "docs"
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text):
            assert (folder / target).exists(), f"{name} links to {target}"


def test_no_line_leads_to_a_strangers_package() -> None:
    wrong = re.compile(
        r"(?:pip|pipx|uv tool|uvx|uv)\s+(?:install\s+|run\s+)?(?:-\S+\s+)*[\"']?(?:orchestra|orchestra-mcp)[\"']?(?:\s|$|\[)"
    )
    for name, text in TEXT.items():
        assert not wrong.search(text), f"{name}: {wrong.search(text)}"
