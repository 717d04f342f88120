"""`cane-export check` on forged bundles: their own limits, types and figures prove nothing."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_agent.inference.manifest import Manifest
from exporter import form, metadata, model_card
from exporter.check import check
from exporter.errors import ExportError

DEMO = Path(__file__).parents[2] / "deploy/models/sim-mobilenetv2.bundle"


def members() -> dict[str, bytes]:
    with zipfile.ZipFile(DEMO) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def forged(
    out: Path,
    change: Callable[[dict[str, Any]], object],
    graph: Callable[[onnx.ModelProto], object] = lambda _: None,
) -> Path:
    """The demo's bundle with another manifest or graph; all that can be made to fit is."""
    files = members()
    proto = onnx.load_model_from_string(files["model.onnx"])
    graph(proto)
    content = json.loads(files["manifest.json"])
    content["stored_values"] = metadata.stored_values(proto)
    change(content)
    manifest = Manifest.model_validate_json(json.dumps(content))
    files["model.onnx"] = metadata.stamped(proto.SerializeToString(), manifest)
    digest = hashlib.sha256(files["model.onnx"]).hexdigest()
    manifest = manifest.model_copy(update={"model_sha256": digest})
    files["manifest.json"] = manifest.model_dump_json().encode()
    files[model_card.NAME] = model_card.render(manifest).encode()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out


def as_fp32(manifest: dict[str, Any]) -> None:
    manifest.update(precision="fp32", precision_gate=None)


def as_int8(manifest: dict[str, Any]) -> None:
    manifest["precision"] = "int8"
    gate = manifest["precision_gate"]
    gate.update(tried="int8", reason=gate["reason"].replace("fp16-weights", "int8"))
    manifest["int8"] = {"calibration_images": 200, "float_operators": ["node_linear"]}


def loosened(manifest: dict[str, Any]) -> None:
    manifest["precision_gate"].update(agreement=0.6, min_agreement=0.5)


def of_int8(manifest: dict[str, Any]) -> None:
    as_int8(manifest)
    manifest.update(precision="fp16-weights", int8=None)


def without_burnt(manifest: dict[str, Any]) -> None:
    manifest["golden"] = [g for g in manifest["golden"] if g["grade"] != "burn_trash"]


def test_the_demos_bundle_passes(tmp_path: Path) -> None:
    assert check(DEMO).golden_difference < 0.002
    # What is forged below fails for what is changed, and not for being packed anew.
    check(forged(tmp_path / "same.bundle", lambda manifest: None))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (loosened, "or the limits of cane-export"),
        (
            lambda m: m["precision_gate"].update(max_macro_f1_loss=0.5),
            "or the limits of cane-export",
        ),
        (lambda m: m["precision_gate"].update(reason="fine"), "contradicts its own figures"),
        (lambda m: m["precision_gate"].update(images=5, reason="x"), "contradicts"),
        (of_int8, "precision is fp16-weights, but precision_gate is of a passed int8"),
        (lambda m: m["parity"].update(max_difference=0.3), "parity.max_difference is 0.3, allowed"),
        (lambda m: m["parity"].update(images=1), "parity is of 1 validation images"),
        (lambda m: m.update(golden_tolerance=0.05), "golden_tolerance is 0.05, allowed for fp16"),
        (lambda m: m["golden"][3].update(split="train"), "golden images are of split train"),
        (without_burnt, "no golden image shows burn_trash"),
        (lambda m: m["training"]["metrics"].update(test_accuracy=98.4), "not within 0 and 1"),
        (lambda m: m["training"]["metrics"].update(test_n=0.5), "not a number of images"),
        (lambda m: m.update(precision="fp32"), "precision is fp32, but precision_gate is of a"),
        (as_fp32, "precision is fp32, but model.onnx stores float16 values"),
        (as_int8, "precision is int8, but model.onnx stores float16 values"),
        (
            lambda m: m.update(temperature=0.7),
            "temperature is 0.7, but model.onnx divides by 0.6256338",
        ),
    ],
)
def test_claims_are_held_against_the_exporters_limits_and_the_graph(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    with pytest.raises(ExportError) as caught:
        check(forged(tmp_path / "forged.bundle", change))
    assert says in str(caught.value)
    assert "export it again" in str(caught.value)
    assert "\n" not in str(caught.value)


def in_float(proto: onnx.ModelProto) -> None:
    """Stores all weights in 32 bits."""
    casts = {
        n.input[0]: n for n in proto.graph.node if n.op_type == "Cast" and n.input[0] != "image"
    }
    for tensor in proto.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            cast = casts[tensor.name]
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, cast.output[0]))
            proto.graph.node.remove(cast)


def through_half(proto: onnx.ModelProto) -> None:
    """Computes the logits' last step in 16 bits."""
    softmax = next(node for node in proto.graph.node if node.op_type == "Softmax")
    proto.graph.node.remove(softmax)
    proto.graph.node.extend(
        [
            helper.make_node("Cast", [softmax.input[0]], ["half"], to=TensorProto.FLOAT16),
            helper.make_node("Cast", ["half"], ["full"], to=TensorProto.FLOAT),
            helper.make_node("Softmax", ["full"], list(softmax.output), name=softmax.name),
        ]
    )


@pytest.mark.parametrize(
    ("graph", "change", "says"),
    [
        (in_float, lambda m: None, "but the weights of node_conv2d lie in fp32"),
        (in_float, as_int8, "precision is int8, but the weights of node_conv2d lie in fp32"),
        (through_half, lambda m: None, "but model.onnx casts to float16"),
    ],
)
def test_a_graph_in_another_form_than_declared_is_refused(
    tmp_path: Path,
    graph: Callable[[onnx.ModelProto], object],
    change: Callable[[dict[str, Any]], object],
    says: str,
) -> None:
    with pytest.raises(ExportError) as caught:
        check(forged(tmp_path / "forged.bundle", change, graph))
    assert says in str(caught.value)


def test_a_float_graph_that_is_said_to_be_one_passes(tmp_path: Path) -> None:
    check(forged(tmp_path / "float.bundle", as_fp32, in_float))


def test_weights_in_8_bits_before_a_float_convolution_are_no_8_bit_layer() -> None:
    stored = [
        numpy_helper.from_array(np.ones((1, 64, 1, 1), np.int8), "w8"),
        numpy_helper.from_array(np.array(0.1, np.float32), "scale"),
    ]
    nodes = [
        helper.make_node("DequantizeLinear", ["w8", "scale"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["y"], name="conv"),
    ]
    shape = [1, 64, 1, 1]
    value = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    out = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, 1])]
    proto = helper.make_model(helper.make_graph(nodes, "g", value, out, stored))
    assert form.weight_kinds(proto) == [("conv", "int8, computed in 32 bits")]
    assert np.isnan(form.temperature(proto, "y"))  # no softmax, no temperature
