"""What an ONNX file says it takes and gives, read from the file itself.

An engine runs a picture of the wrong shape without a word and gives numbers that mean nothing, so a unit model's
entry is held against this before its first face.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ferbuild.builders.errors import FerError
from ferbuild.builders.sources.plain import read_plain

MAX_BYTES = 1 << 31
"""Protobuf holds no more in one file."""

GRAPH = 7
INITIALIZER, INPUT, OUTPUT = 5, 11, 12
TENSOR_NAME = 8

Field = tuple[int, "int | memoryview"]


class Tensor(NamedTuple):
    """A named input or output."""

    name: str
    shape: tuple[int | None, ...]
    """None: any size."""

    def __str__(self) -> str:
        return f"{self.name} ({' x '.join('any' if size is None else str(size) for size in self.shape)})"


class Declared(NamedTuple):
    """What stands at both ends of a graph."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def declared(path: Path) -> Declared:
    """Return the inputs (weights left out) and outputs of an ONNX file; FerError where it is none."""
    try:
        model = memoryview(read_plain(path, MAX_BYTES))
        graph = list(_fields(_one(model, GRAPH)))
        weights = {_name(data, TENSOR_NAME) for number, data in graph if number == INITIALIZER}
        inputs = [_tensor(data) for number, data in graph if number == INPUT]
        outputs = [_tensor(data) for number, data in graph if number == OUTPUT]
    except OSError as err:
        raise FerError(path, "cannot be read", err.strerror or str(err)) from None
    except (ValueError, IndexError) as err:
        raise FerError(path, f"is no ONNX file: {err}", "export the model again, as one .onnx file") from None
    return Declared(tuple(one for one in inputs if one.name not in weights), tuple(outputs))


def _tensor(data: int | memoryview) -> Tensor:
    """Return a ValueInfoProto: name 1, type 2 (tensor 1 (shape 2 (dimensions 1 (a number 1))))."""
    shape = _path(_message(data), 2, 1, 2)
    dimensions = [dict(_fields(_message(one))) for number, one in _fields(shape) if number == 1]
    sizes = [dimension.get(1) for dimension in dimensions]
    return Tensor(_name(data, 1), tuple(size if isinstance(size, int) and size > 0 else None for size in sizes))


def _name(data: int | memoryview, number: int) -> str:
    return str(_path(_message(data), number), "utf-8", "replace")


def _path(data: memoryview, *numbers: int) -> memoryview:
    """Return the message that lies behind field after field; empty where one is missing."""
    for number in numbers:
        data = next((_message(value) for at, value in _fields(data) if at == number), memoryview(b""))
    return data


def _one(data: memoryview, number: int) -> memoryview:
    found = _path(data, number)
    if not found:
        raise ValueError("it holds no graph")
    return found


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message should be")
    return value


def _fields(data: memoryview) -> Iterator[Field]:
    """Yield number and value of a protobuf message's fields; fixed-size numbers are passed over."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
        elif kind == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("it is cut short")
            yield key >> 3, data[at : at + size]
            at += size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("its bytes are no protobuf")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return a number of 7 bits a byte, lowest first, and where it ends."""
    value = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("it is cut short")
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("its bytes are no protobuf")
