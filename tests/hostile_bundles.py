"""Bundles that a signer should never have signed: broken ones, and ones that attack the agent."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tiny_bundle import SIDE, SURE, table_model, with_manifest, with_members, write_table_bundle

from edge_agent.grades import GRADES


def _of(model: onnx.ModelProto) -> Callable[[Path], Path]:
    return lambda path: write_table_bundle(path, (SURE,) * 4, model)


def _good(path: Path) -> Path:
    return write_table_bundle(path, (SURE,) * 4)


def _manifest(**changes: object) -> Callable[[Path], Path]:
    return lambda path: with_manifest(_good(path.with_suffix(".good")), path, **changes)


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.write_bytes(change(_good(path).read_bytes()))
        return path

    return make


def _members(members: dict[str, bytes]) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        with_members(_good(path.with_suffix(".good")), path, members)
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            for name in members.keys() - set(archive.namelist()):
                archive.writestr(name, members[name])
        return path

    return make


def _bomb(path: Path) -> Path:
    """Few bytes that unpack to more than a bundle may have."""
    _good(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for part in range(3):
            archive.writestr(f"golden/bomb{part}.png", bytes(100 << 20))
    return path


def _lying_bomb(path: Path) -> Path:
    """The same, with a directory that says it is small."""
    content = bytearray(_bomb(path).read_bytes())
    size = (100 << 20).to_bytes(4, "little")
    at = content.find(size, content.find(b"PK\x01\x02"))
    while at >= 0:
        content[at : at + 4] = (1000).to_bytes(4, "little")
        at = content.find(size, at)
    path.write_bytes(bytes(content))
    return path


def _external() -> onnx.ModelProto:
    model = table_model((SURE,) * 4)
    tensor = next(t for t in model.graph.initializer if t.name == "table")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return model


def _before_the_answer(*nodes: onnx.NodeProto, **constants: np.ndarray) -> onnx.ModelProto:
    """The table's network with nodes that make a scalar `factor`, by which its answer is taken."""
    model = table_model((SURE,) * 4)
    next(n for n in model.graph.node if n.op_type == "Gather").output[0] = "answer"
    model.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
    model.graph.node.extend(nodes)
    model.graph.node.append(helper.make_node("Mul", ["answer", "factor"], ["probabilities"]))
    return model


def _four_gigabytes() -> onnx.ModelProto:
    ones = numpy_helper.from_array(np.array([1], np.uint8))
    return _before_the_answer(
        helper.make_node("ConstantOfShape", ["shape"], ["big"], value=ones),
        helper.make_node("ReduceMax", ["big"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["factor"], to=TensorProto.FLOAT),
        shape=np.array([4 << 30], np.int64),
    )


def _claims_four_gigabytes() -> onnx.ModelProto:
    """A constant that says it has 2^30 floats and brings none."""
    model = table_model((SURE,) * 4)
    tensor = next(t for t in model.graph.initializer if t.name == "table")
    del tensor.dims[:]
    tensor.dims.extend([1 << 28, 5])
    return model


def _takes_memory() -> onnx.ModelProto:
    """Less than its address space may be, more than its memory may be."""
    ones = numpy_helper.from_array(np.array([1], np.float32))
    return _before_the_answer(
        helper.make_node("ConstantOfShape", ["shape"], ["big"], value=ones),
        helper.make_node("Sqrt", ["big"], ["roots"]),
        helper.make_node("CumSum", ["roots", "axis"], ["sums"]),
        helper.make_node("ReduceMin", ["sums"], ["factor"], keepdims=0),
        shape=np.array([300 << 20], np.int64),
        axis=np.array(0, np.int64),
    )


def _hangs() -> onnx.ModelProto:
    scalar = lambda name, kind: helper.make_tensor_value_info(name, kind, [])  # noqa: E731
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["again"], ["again_out"]),
            helper.make_node("Mul", ["x", "x"], ["x_out"]),
        ],
        "body",
        [
            scalar("turn", TensorProto.INT64),
            scalar("again", TensorProto.BOOL),
            scalar("x", TensorProto.FLOAT),
        ],
        [scalar("again_out", TensorProto.BOOL), scalar("x_out", TensorProto.FLOAT)],
    )
    return _before_the_answer(
        helper.make_node("Loop", ["turns", "go_on", "one"], ["factor"], body=body),
        turns=np.array(2**62, np.int64),
        go_on=np.array(True),
        one=np.array(1, np.float32),
    )


def _not_a_number() -> onnx.ModelProto:
    return table_model(((float("nan"),) * len(GRADES),) * 4)


def _other_order() -> onnx.ModelProto:
    return table_model((SURE[::-1],) * 4)


def _foreign_operator() -> onnx.ModelProto:
    model = table_model((SURE,) * 4)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


def _shape(*, side: int = SIDE, kind: int = TensorProto.UINT8) -> onnx.ModelProto:
    model = table_model((SURE,) * 4)
    tensor = model.graph.input[0].type.tensor_type
    tensor.elem_type = kind
    tensor.shape.dim[1].dim_value = side
    return model


def _two_inputs() -> onnx.ModelProto:
    model = table_model((SURE,) * 4)
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["batch"]))
    return model


def _cut_zip(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _no_manifest(path: Path) -> Path:
    out = io.BytesIO()
    with zipfile.ZipFile(_good(path)) as old, zipfile.ZipFile(out, "w") as new:
        new.writestr("model.onnx", old.read("model.onnx"))
    path.write_bytes(out.getvalue())
    return path


HOSTILE: Final[dict[str, tuple[Callable[[Path], Path], str]]] = {
    "cut": (_bytes(_cut_zip), "zip file"),
    "empty": (_bytes(lambda _: b""), "zip file"),
    "bomb": (_bomb, "more or larger members"),
    "lying-bomb": (_lying_bomb, "zip file"),
    "no-manifest": (_no_manifest, "manifest.json is missing"),
    "cut-onnx": (_members({"model.onnx": b"\x08\x08"}), "SHA-256"),
    "external-data": (_of(_external()), "lies outside model.onnx"),
    "claims-4-gb": (_of(_claims_four_gigabytes()), "cannot load it"),
    "makes-4-gb": (_of(_four_gigabytes()), "fails on its golden images"),
    "takes-memory": (_of(_takes_memory()), "memory"),
    "hangs": (_of(_hangs()), "hangs|terminate flag"),
    "not-a-number": (_of(_not_a_number()), "nan off"),
    "order-in-graph": (_of(_other_order()), "off on this machine"),
    "order-in-manifest": (_manifest(labels=list(GRADES[::-1])), "labels must be"),
    "golden-elsewhere": (
        _manifest(
            golden=[{"path": "golden/../../x.png", "grade": "undefined", "probabilities": SURE}]
        ),
        "golden.0.path",
    ),
    "foreign-operator": (_of(_foreign_operator()), "operators outside ONNX"),
    "other-size": (_of(_shape(side=64)), "input image must be"),
    "other-type": (_of(_shape(kind=TensorProto.FLOAT)), "input image must be"),
    "two-inputs": (_of(_two_inputs()), "must have the input image"),
    "future-format": (_manifest(format=99), "format"),
}
"""How to make each, and what the station must say of it; | is or."""
