"""The table of priors says what public boards said, for every way in which an id is written."""

from __future__ import annotations

import re
import time
import tomllib
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest

from orchestra_mcp.gateway.vendors.catalog import DEFAULT_PRIOR, PROVIDERS, prior_of

TABLE: dict[str, Any] = tomllib.loads(files("orchestra_mcp.gateway.vendors").joinpath("priors.toml").read_text("utf-8"))

# The mini-leaderboard in the repository of MMLU-Pro (2024), in percent.
MMLU_PRO = {
    "claude-3-5-sonnet-20240620": 76.12,
    "gpt-4o": 72.55,
    "gemini-1.5-pro": 69.03,
    "claude-3-opus-20240229": 68.45,
    "gpt-4-turbo-2024-04-09": 63.71,
    "gemini-1.5-flash": 59.12,
    "yi-large": 57.53,
    "claude-3-sonnet-20240229": 56.80,
    "Meta-Llama-3-70B-Instruct": 56.20,
    "Phi-3-medium-4k-instruct": 53.48,
    "deepseek-v2-chat": 54.81,
    "Qwen1.5-72B-Chat": 52.64,
    "Yi-1.5-34B-Chat": 52.29,
}
# HumanEval+ of the EvalPlus board of June 2024, in percent, best first.
EVALPLUS = {
    "gpt-4-turbo-2024-04-09": 86.6,
    "DeepSeek-Coder-V2-Instruct": 82.3,
    "gpt-4-1106-preview": 81.7,
    "gpt-4-0314": 79.3,
    "CodeQwen1.5-7B-Chat": 78.7,
    "claude-3-opus-20240229": 77.4,
    "deepseek-coder-33b-instruct": 75.0,
    "WizardCoder-33B-V1.1": 73.2,
    "Meta-Llama-3-70B-Instruct": 72.0,
    "gpt-3.5-turbo-1106": 70.7,
    "claude-3-haiku-20240307": 68.9,
    "CodeLlama-70b-Instruct-hf": 65.9,
    "WizardCoder-Python-34B-V1.0": 64.6,
    "claude-3-sonnet-20240229": 64.0,
    "mistral-large-2402": 62.2,
}


@pytest.mark.parametrize("model", MMLU_PRO)
def test_a_prior_is_the_published_accuracy_with_its_top_pressed_together(model: str) -> None:
    accuracy = MMLU_PRO[model] / 100
    pressed = min(accuracy, 0.72 + 0.4 * (accuracy - 0.72))
    assert prior_of(model) == pytest.approx(pressed, abs=0.011)


def test_questions_about_code_are_ranked_as_the_coding_board_ranked_them() -> None:
    priors = [prior_of(model, "python") for model in EVALPLUS]
    assert priors == sorted(priors, reverse=True)
    for model, prior in zip(EVALPLUS, priors, strict=True):
        assert prior == pytest.approx(0.7 * EVALPLUS[model] / 100, abs=0.011), model


def test_only_domains_about_programs_look_at_coding_boards() -> None:
    assert prior_of("WizardCoder-33B-V1.1", "rust") > prior_of("gpt-3.5-turbo", "rust")
    for domain in ("", "general", "law", "never heard of"):
        assert prior_of("WizardCoder-33B-V1.1", domain) < prior_of("gpt-3.5-turbo", domain)


@pytest.mark.parametrize(
    ("one", "others"),
    [
        (
            "meta-llama/Llama-3.1-70B-Instruct",
            "Meta-Llama-3_1-70B-Instruct llama3.1:70b accounts/fireworks/models/llama-v3p1-70b-instruct llama-3.1-70b",
        ),
        ("meta-llama/Llama-2-7b-chat-hf", "llama2:7b meta/llama-2-7b @cf/meta/llama-2-7b-chat-int8"),
        ("claude-3-opus-20240229", "anthropic/claude-3-opus anthropic.claude-3-opus-20240229-v1:0"),
        ("gpt-3.5-turbo", "openai/gpt-3.5-turbo-0613 gpt-35-turbo GPT-3.5-Turbo"),
        ("gemini-1.5-pro", "google/gemini-pro-1.5 models/gemini-1.5-pro-001"),
        ("Mixtral-8x7B-Instruct-v0.1", "open-mixtral-8x7b mistralai/mixtral-8x7b-instruct mixtral"),
        ("kimi-k3.1-pro", "moonshotai/Kimi-K3.1-Pro accounts/fireworks/models/kimi-k3p1-pro"),
        ("phi3:medium", "microsoft/Phi-3-medium-128k-instruct phi-3-medium"),
        ("deepseek-ai/DeepSeek-Coder-V2-Instruct", "DeepSeek-Coder-V2 deepseek-coder-v2:236b"),
    ],
)
def test_an_id_means_the_same_model_at_every_provider(one: str, others: str) -> None:
    for other in others.split():
        assert (prior_of(other), prior_of(other, "python")) == (prior_of(one), prior_of(one, "python")), other


def test_within_a_family_larger_and_newer_models_are_thought_better() -> None:
    for ladder in (
        "llama-2-7b llama-2-13b llama-2-70b llama-3-70b llama-3.1-70b llama-3.3-70b llama-3.1-405b llama-4-maverick",
        "mistral-7b mixtral-8x7b mixtral-8x22b mistral-large-2407 mistral-medium-3-5 mistral-large-4",
        "gpt-3.5-turbo gpt-4-0613 gpt-4-turbo gpt-4o gpt-4.1 gpt-5 gpt-5.5 gpt-6.1-sol",
        "qwen1.5-7b qwen1.5-72b qwen2-72b qwen2.5-72b qwen3-32b qwen3-235b qwen3.8-max",
        "gemma-2b gemma-7b gemma-2-9b gemma-2-27b gemma-3-27b gemini-1.5-pro-002 gemini-2.0-flash gemini-2.5-pro gemini-4",
        "claude-3-haiku claude-3-sonnet claude-3-opus claude-3-5-sonnet claude-3-7-sonnet claude-opus-4 claude-opus-5-5",
        "deepseek-coder-6.7b-instruct deepseek-v2-chat deepseek-v2.5 deepseek-v3 deepseek-r1 deepseek-v4-pro",
        "phi-3-mini-4k-instruct phi-3-medium-4k-instruct phi-4",
    ):
        priors = [prior_of(model) for model in ladder.split()]
        assert all(a < b for a, b in pairwise(priors)), dict(zip(ladder.split(), priors, strict=True))


def test_an_unknown_model_is_judged_by_its_size_or_stands_in_the_middle() -> None:
    assert prior_of("acme/brain-70b") > prior_of("acme/brain-13b") > prior_of("acme/brain-3b")
    assert prior_of("acme/superbrain") == DEFAULT_PRIOR == 0.65
    assert prior_of("") == DEFAULT_PRIOR


def test_every_row_is_a_probability_with_a_source_and_none_is_hidden_by_an_earlier_one() -> None:
    rows = TABLE["rows"]
    assert len(rows) < 150
    for row in rows:
        assert set(row) <= {"match", "prior", "code", "from"}
        assert 0.05 <= row["prior"] <= 0.9
        assert 0.05 <= row.get("code", 0.5) <= 0.9
        assert set(row["from"].split(", ")) <= set(TABLE["sources"])
    assert len({row["match"] for row in rows}) == len(rows)
    # What a row is for must not be taken by a row before it; the plain rows are words that match themselves.
    plain = [row["match"] for row in rows if re.fullmatch(r"[\w-]+", row["match"])]
    for word in plain:
        first = next(row["match"] for row in rows if re.search(row["match"], word))
        assert first == word, f"{first} hides {word}"


def test_every_seat_of_the_catalogue_has_a_row_of_its_own() -> None:
    for row in PROVIDERS:
        for seat in row.seats:
            assert prior_of(seat.model) != DEFAULT_PRIOR, seat.model


@pytest.mark.parametrize("hostile", ["a" * 100_000, "llama-3" * 20_000, "(" * 100_000, "\n" * 100_000, "-" * 100_000])
def test_a_hostile_id_costs_no_time(hostile: str) -> None:
    prior_of("warm up")
    begun = time.process_time()
    assert 0 < prior_of(hostile) < 1
    assert time.process_time() - begun < 0.5
