"""Broken and hostile bundles: one line that names the file, whatever is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tiny_bundle import (
    LEVEL,
    SURE,
    level_spec,
    table_model,
    with_manifest,
    with_members,
    write_table_bundle,
)

from edge_agent.errors import BundleError
from edge_agent.inference.bundle import Bundle
from edge_agent.inference.grader import Grader

GOOD = Path(__file__).parents[2] / "deploy" / "models" / "sim-mobilenetv2.bundle"
DATA = GOOD.read_bytes()


def test_the_committed_bundle_is_whole() -> None:
    bundle = Bundle.read(GOOD)
    assert len(bundle.golden) == len(bundle.manifest.golden)
    assert len(DATA) <= 5_000_000


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_damage_is_refused_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    spoiled = bytearray(DATA)
    at = data.draw(st.integers(0, len(DATA) - 64))
    spoiled[at : at + 64] = data.draw(st.binary(min_size=64, max_size=64))
    file = tmp_path / "spoiled.bundle"
    file.write_bytes(bytes(spoiled))
    said = None
    try:
        model = Bundle.read(file).model
    except BundleError as error:
        said = str(error)
    if said is None:
        # The damage lay where nothing is read: what grades is what was exported.
        assert model == Bundle.read(GOOD).model
    else:
        assert str(file) in said
        assert "\n" not in said


@pytest.mark.parametrize("length", [0, 10, len(DATA) // 2, len(DATA) - 1])
def test_a_cut_file_is_refused(tmp_path: Path, length: int) -> None:
    file = tmp_path / "cut.bundle"
    file.write_bytes(DATA[:length])
    with pytest.raises(BundleError, match="not a readable zip"):
        Bundle.read(file)


def refusal(path: Path, model: onnx.ModelProto) -> str:
    """What is said of a bundle with that graph."""
    write_table_bundle(path, model=model)
    with pytest.raises(BundleError) as caught:
        Bundle.read(path)
    said = str(caught.value)
    assert said.startswith(f"model bundle {path}: ")
    assert "\n" not in said
    return said


def outside(name: str, *, listed: bool = True, located: bool = True) -> TensorProto:
    """A tensor whose values are to be read from a file beside the agent, by both signs of it."""
    tensor = numpy_helper.from_array(np.array([1], np.int64), name)
    if listed:
        tensor.external_data.add(key="location", value="../../etc/passwd")
    if located:
        tensor.data_location = TensorProto.EXTERNAL
    return tensor


def branch(constant: TensorProto) -> onnx.GraphProto:
    """The graph of a branch that gives that constant."""
    value = helper.make_node("Constant", [], ["v"], value=constant)
    out = helper.make_tensor_value_info("v", TensorProto.INT64, [1])
    return helper.make_graph([value], "branch", [], [out])


def test_a_table_is_a_bundle_that_grades(tmp_path: Path) -> None:
    """What the refused ones below are made from is not refused itself."""
    grader = Grader(Bundle.read(write_table_bundle(tmp_path / "good.bundle", [SURE])))
    assert grader.grade(np.zeros((32, 32, 3), np.uint8)).grade == "fresh_clean"


@pytest.mark.parametrize("domain", ["com.microsoft", "com.example"])
def test_operators_of_a_foreign_domain_are_refused(tmp_path: Path, domain: str) -> None:
    model = table_model([SURE])
    model.opset_import.append(helper.make_opsetid(domain, 1))
    model.graph.node.append(helper.make_node("Own", ["mean"], ["unused"], domain=domain))
    said = refusal(tmp_path / "foreign.bundle", model)
    assert f"uses operators outside ONNX ({domain})" in said


def test_functions_of_the_models_own_are_refused(tmp_path: Path) -> None:
    """One in ONNX's own domain would change what its operators do."""
    model = table_model([SURE])
    body = [helper.make_node("Neg", ["x"], ["y"])]
    opset = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("", "Div", ["x", "z"], ["y"], body, opset))
    assert "uses operators outside ONNX" in refusal(tmp_path / "functions.bundle", model)


@pytest.mark.parametrize(
    "place", ["initialiser", "listed", "located", "attribute", "branch", "sparse"]
)
def test_a_tensor_outside_the_file_is_refused_wherever_it_is(tmp_path: Path, place: str) -> None:
    model = table_model([SURE])
    graph = model.graph
    if place == "initialiser":
        graph.initializer.append(outside("w"))
    elif place == "listed":
        graph.initializer.append(outside("w", located=False))
    elif place == "located":
        graph.initializer.append(outside("w", listed=False))
    elif place == "attribute":
        graph.node.append(helper.make_node("Constant", [], ["c"], value=outside("w")))
    elif place == "branch":
        branches = {f"{name}_branch": branch(outside("w")) for name in ("then", "else")}
        graph.node.append(helper.make_node("If", ["is"], ["c"], **branches))
    else:
        indices = numpy_helper.from_array(np.array([0], np.int64), "indices")
        sparse = helper.make_sparse_tensor(outside("w"), indices, [4])
        graph.sparse_initializer.append(sparse)
    said = refusal(tmp_path / "outside.bundle", model)
    assert "tensor w lies outside model.onnx" in said


def test_another_graph_than_the_manifests_is_refused(tmp_path: Path) -> None:
    good = write_table_bundle(tmp_path / "good.bundle", [SURE])
    graph = table_model([SURE[::-1]]).SerializeToString()
    swapped = with_members(good, tmp_path / "swapped.bundle", {"model.onnx": graph})
    with pytest.raises(BundleError, match="not the file its manifest names"):
        Bundle.read(swapped)


def test_a_graph_has_the_outputs_its_manifest_names_and_no_others(tmp_path: Path) -> None:
    two = write_table_bundle(tmp_path / "two.bundle", levels=[LEVEL])
    assert Bundle.read(two).manifest.level is not None
    said = refusal(tmp_path / "unnamed.bundle", table_model([SURE], [LEVEL]))
    assert "must have the output probabilities, has probabilities, level" in said
    write_table_bundle(tmp_path / "lacking.bundle", model=table_model([SURE]), levels=[LEVEL])
    with pytest.raises(BundleError, match="must have the output probabilities, level, has prob"):
        Bundle.read(tmp_path / "lacking.bundle")
    narrow = table_model([SURE], [LEVEL[:2]])
    narrow.graph.output[1].type.tensor_type.shape.dim[1].dim_value = 2
    write_table_bundle(tmp_path / "narrow.bundle", model=narrow, levels=[LEVEL])
    with pytest.raises(BundleError, match=r"output level must be FLOAT \[batch, 3\], is .* 2\]"):
        Bundle.read(tmp_path / "narrow.bundle")


WORTHLESS = level_spec()["validation"] | {"better_by_ci": [-0.1, 5.0]}
GOLDEN = {"path": "golden/black.png", "grade": "undefined", "probabilities": SURE}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 1}, "format must be 2 of a bundle with a level, not 1"),
        ({"level": None}, "format must be 1 of a bundle with no level, not 2"),
        ({"format": 3}, "format: Input should be 1 or 2"),
        ({"golden": [GOLDEN]}, "each golden image must have a level"),
        ({"golden": [GOLDEN | {"level": [9, 4, 20]}]}, "must be low, middle and high in this"),
        ({"golden": [GOLDEN | {"level": [9, 14, 120]}]}, "less than or equal to 100"),
        ({"level": level_spec(validation=WORTHLESS)}, "no better than a guess by the grade"),
        ({"level": level_spec(output_name="probabilities")}, "level.output_name is prob"),
        ({"level": level_spec(margin=float("nan"))}, "level.margin"),
        ({"level": level_spec(golden_tolerance=50)}, "level.golden_tolerance"),
    ],
)
def test_a_manifest_that_contradicts_itself_on_its_level_is_refused(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    two = write_table_bundle(tmp_path / "two.bundle", levels=[LEVEL])
    with pytest.raises(BundleError) as caught:
        Bundle.read(with_manifest(two, tmp_path / "changed.bundle", **change))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
