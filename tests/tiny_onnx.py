"""Writes ONNX files small enough to say what they give: each unit scores a weighted mean of the colours."""

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
