"""Writes ONNX files small enough to say what they give: unit scores that are means of colours, faces that are white."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def mean_net(
    path: Path,
    weights: list[list[float]],
    *,
    size: tuple[int | str, int | str] = (32, 32),
    batch: int | str = 1,
    last: tuple[str, ...] = (),
    outputs: tuple[str, ...] = ("scores",),
    weights_as_input: bool = False,
    second_input: bool = False,
) -> Path:
    """Write a net from a picture (batch x channels x height x width) to `len(weights)` numbers.

    `weights` is units x channels: a 1 x 1 convolution, the mean over the picture, then the operations `last`. Further
    `outputs` after `scores` are its negatives.
    """
    table = np.array(weights, np.float32)[:, :, None, None]
    chain = ["picture", "mixed", "pooled", *(f"step{at}" for at in range(len(last))), "scores"]
    kinds = ["Conv", "GlobalAveragePool", "Flatten", *last]
    nodes = [
        helper.make_node(kind, [source, "weights"] if kind == "Conv" else [source], [target])
        for kind, source, target in zip(kinds, chain[:-1], chain[1:], strict=True)
    ]
    nodes += [helper.make_node("Neg", ["scores"], [name]) for name in outputs[1:]]
    shape = [batch, table.shape[1], *size]
    inputs = [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)]
    if weights_as_input:
        inputs.append(helper.make_tensor_value_info("weights", TensorProto.FLOAT, table.shape))
    if second_input:
        inputs.append(helper.make_tensor_value_info("age", TensorProto.FLOAT, [1]))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, len(weights)]) for name in outputs]
    graph = helper.make_graph(nodes, "mean", inputs, ends, [numpy_helper.from_array(table, "weights")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


CELL = 16
"""Pixels of a cell in which `scrfd_net` finds a face when it is white."""


def scrfd_net(path: Path, box: tuple[float, ...], points: tuple[float, ...], *, with_points: bool = True) -> Path:
    """Write a net with the inputs and outputs of SCRFD: every bright cell of the middle stride is a face.

    Its score is the cell's brightness, 0..1. `box` is left, top, right and bottom of the cell's corner, and `points`
    five times x and y from it, all in cells.
    """
    nodes = [helper.make_node("ReduceMean", ["picture"], ["grey"], axes=[1])]
    values = {"column": np.array([-1, 1], np.int64), "zero": np.float32(0), "one": np.float32(1)}
    parts = {"score": (1.0,), "box": box} | ({"points": points} if with_points else {})
    ends = []
    for stride in (8, CELL, 32):
        bright = f"bright{stride}"
        nodes += [
            helper.make_node(
                "AveragePool", ["grey"], [f"mean{stride}"], kernel_shape=[stride] * 2, strides=[stride] * 2
            ),
            helper.make_node("Clip", [f"mean{stride}", "zero", "one"], [f"cell{stride}"]),
            helper.make_node("Reshape", [f"cell{stride}", "column"], [f"flat{stride}"]),
            helper.make_node("Concat", [f"flat{stride}"] * 2, [f"anchors{stride}"], axis=1),
            helper.make_node("Reshape", [f"anchors{stride}", "column"], [bright]),
            helper.make_node("Mul", [bright, "zero"], [f"none{stride}"]),
            helper.make_node("Add", [f"none{stride}", "one"], [f"all{stride}"]),
        ]
        for part, numbers in parts.items():
            name = f"{part}{stride}"
            values[f"{name}_by"] = np.array([numbers if stride == CELL else [0.0] * len(numbers)], np.float32)
            nodes.append(helper.make_node("Mul", [bright if part == "score" else f"all{stride}", f"{name}_by"], [name]))
    for part, numbers in parts.items():
        ends += [
            helper.make_tensor_value_info(f"{part}{stride}", TensorProto.FLOAT, [None, len(numbers)])
            for stride in (8, CELL, 32)
        ]
    inputs = [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, None, None])]
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "scrfd", inputs, ends, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
