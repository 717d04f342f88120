"""The grader with real networks: when a person must look, and what it refuses to answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from onnx import helper
from tiny_bundle import SIDE, SURE, table_model, with_manifest, write_table_bundle

from edge_agent.errors import BundleError
from edge_agent.inference.bundle import Bundle
from edge_agent.inference.grader import Grader

BUNDLE = Path(__file__).parents[2] / "deploy" / "models" / "sim-mobilenetv2.bundle"
NAN = float("nan")


def table_grader(folder: Path, rows: Sequence[Sequence[float]], **manifest: object) -> Grader:
    plain = write_table_bundle(folder / "plain.bundle", rows)
    return Grader(Bundle.read(with_manifest(plain, folder / "table.bundle", **manifest)))


def grey(level: int) -> npt.NDArray[np.uint8]:
    """A picture of the table's input size."""
    return np.full((SIDE, SIDE, 3), level, np.uint8)


def test_the_threshold_decides_who_needs_a_person(tmp_path: Path) -> None:
    strict, lax = (
        Grader(
            Bundle.read(
                with_manifest(BUNDLE, tmp_path / f"{limit}.bundle", confidence_threshold=limit)
            )
        )
        for limit in (0.999, 0.2)
    )
    asked = []
    for image in strict.bundle.golden:
        seen, passed = strict.grade(image), lax.grade(image)
        assert (seen.grade, seen.probabilities) == (passed.grade, passed.probabilities)
        assert not passed.needs_person
        assert seen.needs_person == (seen.confidence < 0.999)
        asked.append(seen.needs_person)
    assert 0 < sum(asked) < len(asked)


@pytest.mark.parametrize(("threshold", "needs_person"), [(0.875, False), (0.8751, True)])
def test_a_confidence_at_the_threshold_is_enough(
    tmp_path: Path, threshold: float, needs_person: bool
) -> None:
    row = (0.03125, 0.03125, 0.875, 0.03125, 0.03125)
    graded = table_grader(tmp_path, [row], confidence_threshold=threshold).grade(grey(9))
    assert (graded.grade, graded.confidence) == ("burn_clean", 0.875)
    assert graded.needs_person is needs_person


@pytest.mark.parametrize(
    "row", [(0.9, 0.9, 0.9, 0.9, 0.9), (0.0,) * 5, (NAN, 0.1, 0.2, 0.3, 0.4), (float("inf"),) * 5]
)
def test_what_is_no_distribution_is_not_graded(tmp_path: Path, row: tuple[float, ...]) -> None:
    grader = table_grader(tmp_path, [SURE, row])
    assert grader.grade(grey(10)).grade == "fresh_clean"
    with pytest.raises(BundleError, match="no probability distribution"):
        grader.grade(grey(100))


@pytest.mark.parametrize("first", [(0.89, 0.035, 0.025, 0.025, 0.025), (NAN, 0.1, 0.1, 0.4, 0.4)])
def test_a_golden_image_that_comes_out_differently_is_refused(
    tmp_path: Path, first: tuple[float, ...]
) -> None:
    golden = [{"path": "golden/black.png", "grade": "undefined", "probabilities": SURE}]
    with pytest.raises(BundleError, match=r"golden/black\.png comes out .* off"):
        table_grader(tmp_path, [first], golden=golden)


def test_a_network_that_fails_on_its_golden_images_is_refused(tmp_path: Path) -> None:
    graph = table_model([SURE])
    # Row -9 of a table with one.
    graph.graph.node[3].input[0] = "offset"
    graph.graph.node.insert(3, helper.make_node("Sub", ["steps", "nine"], ["offset"]))
    graph.graph.initializer.append(helper.make_tensor("nine", 1, [], [9.0]))
    bundle = Bundle.read(write_table_bundle(tmp_path / "fails.bundle", model=graph))
    with pytest.raises(BundleError, match="fails on its golden images"):
        Grader(bundle)


def test_a_network_that_does_not_load_is_refused(tmp_path: Path) -> None:
    graph = table_model([SURE])
    graph.graph.node[2].op_type = "NoSuchOperator"
    bundle = Bundle.read(write_table_bundle(tmp_path / "strange.bundle", model=graph))
    with pytest.raises(BundleError, match="ONNX Runtime cannot load it"):
        Grader(bundle)
