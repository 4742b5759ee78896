"""Writes a computation as an ONNX file: as much of the format as `export` needs.

Messages and numbers of fields are those of onnx.proto3 (github.com/onnx/onnx), in the protocol buffers wire format.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

OPSET = 20
"""The first with `Gelu`."""
IR_VERSION = 9
_TENSOR_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int64": 7}
_FLOAT, _INT64 = 1, 7


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1  # negative ones in two's complement
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    body = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(body)) + body


def _attribute(name: str, value: float | Sequence[int]) -> bytes:
    if isinstance(value, float):
        body, kind = _varint(2 << 3 | 5) + struct.pack("<f", value), 1
    elif isinstance(value, int):
        body, kind = _number(3, value), 2
    else:
        body, kind = b"".join(_number(8, one) for one in value), 7
    return _bytes(1, name) + body + _number(20, kind)


def _value(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(_bytes(1, _number(1, d) if isinstance(d, int) else _bytes(2, d)) for d in shape)
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, dims)))


class Graph:
    """A computation, put together node by node. Every method that makes a value returns its name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []
        self._count = 0

    def _new(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def input(self, name: str, shape: Sequence[int | str]) -> str:
        """An input of 64-bit integers."""
        self._inputs.append(_value(name, _INT64, shape))
        return name

    def output(self, name: str, shape: Sequence[int | str]) -> None:
        """Make a value (of floats) an output."""
        self._outputs.append(_value(name, _FLOAT, shape))

    def constant(self, array: Any) -> str:
        """A numpy array."""
        name = self._new()
        dims = b"".join(_number(1, d) for d in array.shape)
        kind = _TENSOR_TYPES[str(array.dtype)]
        raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
        self._constants.append(dims + _number(2, kind) + _bytes(8, name) + _bytes(9, raw))
        return name

    def node(self, kind: str, inputs: Sequence[str], **attributes: float | Sequence[int]) -> str:
        """An operation with one result."""
        return self.nodes(kind, inputs, 1, **attributes)[0]

    def nodes(self, kind: str, inputs: Sequence[str], results: int, **attributes: float | Sequence[int]) -> list[str]:
        """An operation with several results."""
        names = [self._new() for _ in range(results)]
        body = b"".join(_bytes(1, name) for name in inputs) + b"".join(_bytes(2, name) for name in names)
        body += _bytes(4, kind) + b"".join(_bytes(5, _attribute(k, v)) for k, v in attributes.items())
        self._nodes.append(body)
        return names

    def to_bytes(self) -> bytes:
        """The file."""
        graph = b"".join(_bytes(1, node) for node in self._nodes) + _bytes(2, self._name)
        graph += b"".join(_bytes(5, constant) for constant in self._constants)
        graph += b"".join(_bytes(11, value) for value in self._inputs)
        graph += b"".join(_bytes(12, value) for value in self._outputs)
        opset = _bytes(8, _bytes(1, "") + _number(2, OPSET))
        return _number(1, IR_VERSION) + _bytes(2, "orchestra") + _bytes(7, graph) + opset
