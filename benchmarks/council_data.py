"""Stored answers of real models with known correctness, read from the files of a data folder.

Nothing here knows what is in the files beyond their columns: other questions and other models can take their place.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestra_mcp.council.answers.options import options_of
from orchestra_mcp.gateway.vendors.catalog import family_of, prior_of
from orchestra_mcp.types import Seat

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NEEDED = ("mmlu_pro_matrix.csv.gz", "mmlu_pro_questions.jsonl.gz", "mmlu_pro_answers.jsonl.gz", "prices.csv")

# Name → models. A council of which a model is missing is replaced by `standing_in`. Add here.
COUNCILS: Mapping[str, tuple[str, ...]] = {
    "A": ("gpt-4o-2024-05-13", "gemini-1.5-pro-002", "gemini-1.5-flash-002", "Meta-Llama-3_1-70B-Instruct", "DeepSeek-Coder-V2"),
    "B": ("gpt-4o-2024-05-13", "gemini-1.5-pro-002", "Meta-Llama-3_1-70B-Instruct"),
    "C": ("gpt-4o-2024-05-13", "Meta-Llama-3-8B-Instruct", "Mistral-7B-Instruct-v0.2", "Yi-6b-Chat", "Qwen1.5-7B-Chat"),
    "D": (
        "Qwen1.5-72B-Chat", "Mixtral-8x7B-Instruct-v0.1", "jamba-1.5-large", "Qwen1.5-110B", "Meta-Llama-3-70B",
        "Phi-3-mini-4k-instruct", "Yi-34B",
    ),
    "E": ("Phi-3-mini-4k-instruct", "Meta-Llama-3_1-8B-Instruct", "Meta-Llama-3-8B-Instruct", "mathstral-7B", "gemma-7b"),
    "F": ("gemini-1.5-flash-002", "DeepSeek-Coder-V2", "Meta-Llama-3_1-70B-Instruct"),
}  # fmt: skip
RANKS: Mapping[str, tuple[int, ...]] = {
    # Which models stand in, by their place in the order of accuracy (0 = best). Add here.
    "A": (0, 1, 2, 3, 4), "B": (0, 1, 2), "C": (0, -1, -2, -3, -4), "D": (5, 6, 7, 8, 9, 10, 11), "E": (-5, -6, -7, -8, -9), "F": (1, 2, 3),
}  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One question with what each model answered and whether that was right."""

    id: str
    text: str
    """As it is asked, with options or starter code."""
    split: str
    replies: Mapping[str, str]
    """Model → its reply."""
    right: Mapping[str, bool]
    gold: str = ""
    """The right option, where there are options."""


@dataclass
class Data:
    """A data folder, read when first asked for."""

    folder: Path
    _cache: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def missing(self) -> list[str]:
        """Files without which nothing can be measured."""
        return [name for name in NEEDED if not (self.folder / name).is_file()]

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The lines of `name.jsonl.gz`; empty when there is no such file."""
        if name not in self._cache:
            path = self.folder / f"{name}.jsonl.gz"
            if not path.is_file():
                return []
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                self._cache[name] = [json.loads(line) for line in lines]
        return self._cache[name]

    def matrix(self) -> list[Item]:
        """Choices only: the reply is one sentence that names the stored choice."""
        with gzip.open(self.folder / "mmlu_pro_matrix.csv.gz", "rt", encoding="utf-8", newline="") as lines:
            table = list(csv.DictReader(lines))
        known = {"question_id", "category", "gold"}
        listed = "\n".join(f"{letter}. option {letter}" for letter in LETTERS[:10])
        items = []
        for row in table:
            choices = {model: choice for model, choice in row.items() if model not in known and choice}
            replies = {
                model: f"The answer is ({choice})."
                if choice in LETTERS
                else f"None of the listed ones fits what {model} finds."
                for model, choice in choices.items()
            }
            right = {model: choice == row["gold"] for model, choice in choices.items()}
            text = f"Question {row['question_id']} ({row['category']}): which option is right?\n\n{listed}"
            items.append(Item(row["question_id"], text, split_of(row["question_id"]), replies, right, row["gold"]))
        return items

    def answers(self) -> list[Item]:
        """Whole questions with lettered options and whole answers."""
        answers = _by_question(self.rows("mmlu_pro_answers"))
        items = []
        for row in self.rows("mmlu_pro_questions"):
            listed = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, row["options"], strict=False))
            text = f"{row['question']}\n\nOptions:\n{listed}"
            given = answers.get(row["qid"], {})
            if len(options_of(text)) != len(row["options"]):
                continue
            items.append(
                Item(
                    row["qid"],
                    text,
                    row.get("split", "") or split_of(row["qid"]),
                    {model: a["answer_text"] for model, a in given.items()},
                    {model: bool(a["correct"]) for model, a in given.items()},
                    row["gold"],
                )
            )
        return items

    def code(self, name: str) -> list[Item]:
        """`classeval` or `livecodebench`: statements with their starter code, and programs."""
        answers = _by_question(self.rows(f"{name}_answers"))
        items = []
        for row in self.rows(f"{name}_questions"):
            if "prompt" in row:
                text = f"Complete this class; reply with the whole class.\n\n{row['prompt']}"
            else:
                text = (
                    f"Write a program that solves this.\n\n{row['question']}\n\n{row.get('starter') or ''}".rstrip()
                    + "\n"
                )
            given = answers.get(row["qid"], {})
            replies = {model: a["answer_text"] for model, a in given.items()}
            right = {model: bool(a["correct"]) for model, a in given.items()}
            # Halves for cross-fitting: half of the questions teach, the others are judged, and the other way round.
            items.append(Item(row["qid"], text, split_of(row["qid"]), replies, right))
        return items

    def prices(self) -> dict[str, tuple[float, float]]:
        """Model → US dollars for a million tokens in and out."""
        with (self.folder / "prices.csv").open(encoding="utf-8", newline="") as lines:
            return {
                row["model"]: (float(row["input_usd_per_mtok"]), float(row["output_usd_per_mtok"]))
                for row in csv.DictReader(lines)
            }

    def costs(self) -> dict[str, float]:
        """Model → mean US dollars of one stored answer; four characters are taken for a token."""
        asked = [len(item.text) / 4 for item in self.answers()]
        question = sum(asked) / max(1, len(asked))
        said: dict[str, list[float]] = {}
        for row in self.rows("mmlu_pro_answers"):
            said.setdefault(row["model"], []).append((row.get("answer_chars") or len(row["answer_text"])) / 4)
        return {
            model: (question * inward + sum(said[model]) / len(said[model]) * outward) / 1e6
            for model, (inward, outward) in self.prices().items()
            if model in said
        }


def split_of(id: str) -> str:
    """`tune` or `test`, half and half, the same in every run."""
    return "tune" if hashlib.sha256(id.encode()).digest()[0] % 2 else "test"


def accuracy(items: Iterable[Item], model: str) -> float:
    """Share of right answers of one model, of those that it gave."""
    known = [item.right[model] for item in items if model in item.right]
    return sum(known) / max(1, len(known))


def council(name: str, items: Sequence[Item]) -> tuple[str, ...]:
    """The models of a council; where one of them is not in the data, others of the same places in the order."""
    present = {model for item in items for model in item.right}
    if set(COUNCILS[name]) <= present:
        return COUNCILS[name]
    ordered = sorted(present, key=lambda model: (-accuracy(items, model), model))
    picked = (ordered[i] for i in RANKS[name] if -len(ordered) <= i < len(ordered))
    return tuple(dict.fromkeys(picked))


def complete(items: Iterable[Item], models: Sequence[str]) -> list[Item]:
    """The questions that all of these models were asked."""
    return [item for item in items if all(model in item.replies for model in models)]


def seats_of(models: Sequence[str], domain: str = "general") -> tuple[Seat, ...]:
    """A seat for each model, with the prior and family that the product's catalog gives it."""
    return tuple(
        Seat(
            name=model,
            model=model,
            model_id=model,
            family=family_of(model),
            provider="replay",
            prior=prior_of(model, domain),
        )
        for model in models
    )


def drawn(items: Sequence[Item], n: int, seed: str) -> list[Item]:
    """At most `n` items in an order that is random and the same in every run."""
    shuffled = sorted(items, key=lambda item: item.id)
    random.Random(seed).shuffle(shuffled)
    return shuffled[:n]


def _by_question(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Mapping[str, Any]]]:
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["qid"], {}).setdefault(row["model"], row)
    return found
