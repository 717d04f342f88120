"""What a graph really is, whatever its manifest says: how its weights lie in it, T, the margin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto

from edge_agent.inference.manifest import Manifest, Precision
from exporter.limits import SMALL_TENSOR
from exporter.metadata import stored_values

WEIGHTED: Final = ("Conv", "Gemm", "MatMul")
"""Operators with weights, their second input."""

_STORED: Final[dict[Precision, frozenset[str]]] = {
    "fp32": frozenset({"float", "int64"}),
    "fp16-weights": frozenset({"float", "float16", "int64"}),
    "int8": frozenset({"float", "int8", "uint8", "int32", "int64"}),
}
"""int64: shapes and axes. uint8: zero points of activations. int32: biases in 8-bit layers."""


def faults(proto: onnx.ModelProto, manifest: Manifest) -> Iterator[str]:
    """In what the graph is another one than the manifest says."""
    declared = manifest.precision
    odd = set(stored_values(proto)) - _STORED[declared]
    if odd:
        yield f"precision is {declared}, but model.onnx stores {', '.join(sorted(odd))} values"
    quantised = [n.op_type for n in proto.graph.node if n.op_type in _QUANTISING]
    if declared != "int8" and quantised:
        yield f"precision is {declared}, but model.onnx computes in 8 bits ({quantised[0]})"
    narrow = {a.i for n in proto.graph.node if n.op_type == "Cast" for a in n.attribute} - {
        TensorProto.FLOAT
    }
    if narrow:
        kinds = ", ".join(TensorProto.DataType.Name(kind).lower() for kind in sorted(narrow))
        yield f"precision is {declared}, but model.onnx casts to {kinds} and not to 32 bits alone"
    yield from _weight_faults(proto, manifest)
    found = temperature(proto, manifest.output_name)
    if not np.isclose(found, manifest.temperature, rtol=1e-6, atol=0.0):
        yield f"temperature is {manifest.temperature}, but model.onnx divides by {found:.7g}"
    if manifest.level is not None:
        widened = margin(proto, manifest.level.output_name)
        if not np.isclose(widened, manifest.level.margin, rtol=1e-6, atol=1e-6):
            yield (
                f"level.margin is {manifest.level.margin}, but model.onnx widens by {widened:.7g}"
            )


def _weight_faults(proto: onnx.ModelProto, manifest: Manifest) -> Iterator[str]:
    if (manifest.precision == "int8") != (manifest.int8 is not None):
        yield f"precision is {manifest.precision}, but int8 is {manifest.int8}"
    kinds = weight_kinds(proto)
    in_float: Sequence[str] = manifest.int8.float_operators if manifest.int8 else ()
    for name, kind in kinds:
        expected: str = manifest.precision
        if expected == "int8" and name in in_float:
            expected = "fp32"
        if kind not in (expected, "small"):
            yield f"precision is {manifest.precision}, but the weights of {name} lie in {kind}"
    if manifest.precision == "int8" and "int8" not in {kind for _, kind in kinds}:
        yield "precision is int8, but model.onnx has no layer in 8 bits"
    unknown = set(in_float) - {node.name for node in proto.graph.node}
    if unknown:
        yield f"int8.float_operators names {min(unknown)}, which model.onnx does not have"


def weight_kinds(proto: onnx.ModelProto) -> list[tuple[str, str]]:
    """Name of each operator with weights, and how they lie in the file.

    That is fp32, fp16-weights, int8, small, or in words what it is otherwise.

    int8: weights dequantised from int8, activations from uint8, as ONNX Runtime needs it to compute
    in 8 bits. small: in 32 bits, too few to be halved.
    """
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    made_by = {output: node for node in proto.graph.node for output in node.output}
    kinds = []
    for node in (node for node in proto.graph.node if node.op_type in WEIGHTED):
        data, weights = (made_by.get(name) for name in node.input[:2])
        source = weights.input[0] if weights is not None and weights.input else node.input[1]
        kind = TensorProto.DataType.Name(stored[source].data_type) if source in stored else "none"
        way = (kind, weights.op_type if weights is not None else "")
        found: str = _KINDS.get(way, f"{kind.lower()} {way[1]}".strip())
        if way == _IN_8_BITS and (data is None or data.op_type != "DequantizeLinear"):
            found = "int8, computed in 32 bits"
        if way == ("FLOAT", "") and np.prod(stored[source].dims) < SMALL_TENSOR:
            found = "small"
        kinds.append((node.name, found))
    return kinds


def temperature(proto: onnx.ModelProto, output: str) -> float:
    """T of softmax(logits / T) at that output, from the graph itself; 1 where nothing is divided.

    nan where the output is no softmax or the divisor no single number.
    """
    made_by = {output: node for node in proto.graph.node for output in node.output}
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    softmax = made_by.get(output)
    if softmax is None or softmax.op_type != "Softmax":
        return float("nan")
    division = made_by.get(softmax.input[0])
    if division is None or division.op_type != "Div":
        return 1.0
    divisor = stored.get(division.input[1])
    if divisor is None or np.prod(divisor.dims) != 1:
        return float("nan")
    return float(onnx.numpy_helper.to_array(divisor).item())


def margin(proto: onnx.ModelProto, output: str) -> float:
    """Points by which the interval of the level at that output is widened, from the graph itself.

    nan where it is not done by one addition of (-margin, 0, margin).
    """
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    added = [
        onnx.numpy_helper.to_array(stored[name]).ravel()
        for node in behind_the_weights(proto, output)
        if node.op_type == "Add"
        for name in node.input
        if name in stored
    ]
    if len(added) != 1 or added[0].shape != (3,):
        return float("nan")
    low, middle, high = map(float, added[0])
    return high if middle == 0.0 and low == -high else float("nan")


def behind_the_weights(proto: onnx.ModelProto, output: str) -> list[onnx.NodeProto]:
    """The last operator with weights on the way to an output and all behind it, in order."""
    made_by = {output: node for node in proto.graph.node for output in node.output}
    found: set[str] = set()
    waiting = [output]
    while waiting:
        name = waiting.pop()
        node = made_by.get(name)
        if node is None or node.output[0] in found:
            continue
        found.add(node.output[0])
        if node.op_type not in WEIGHTED:
            waiting.extend(node.input)
    return [node for node in proto.graph.node if node.output[0] in found]


_IN_8_BITS: Final = ("INT8", "DequantizeLinear")
_KINDS: Final[dict[tuple[str, str], Precision]] = {
    ("FLOAT", ""): "fp32",
    ("FLOAT16", "Cast"): "fp16-weights",
    _IN_8_BITS: "int8",
}
_QUANTISING: Final = (
    *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"),
    *("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"),
)
