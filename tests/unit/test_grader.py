"""The grader with real networks: when a person must look, and what it refuses to answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper
from tiny_bundle import (
    LEVEL,
    SIDE,
    SURE,
    level_spec,
    table_model,
    with_manifest,
    write_table_bundle,
)

from edge_agent.errors import BundleError
from edge_agent.inference.bundle import Bundle
from edge_agent.inference.grader import Grader
from edge_agent.inference.level import Level

BUNDLE = Path(__file__).parents[2] / "deploy" / "models" / "sim-mobilenetv2.bundle"
NAN = float("nan")


def table_grader(folder: Path, rows: Sequence[Sequence[float]], **manifest: object) -> Grader:
    plain = write_table_bundle(folder / "plain.bundle", rows)
    return Grader(Bundle.read(with_manifest(plain, folder / "table.bundle", **manifest)))


def grey(level: int) -> npt.NDArray[np.uint8]:
    """A picture of the table's input size."""
    return np.full((SIDE, SIDE, 3), level, np.uint8)


def test_the_threshold_decides_who_needs_a_person(tmp_path: Path) -> None:
    def asking(limit: float) -> Grader:
        changed = with_manifest(BUNDLE, tmp_path / f"{limit}.bundle", confidence_threshold=limit)
        return Grader(Bundle.read(changed))

    lax = asking(0.2)
    half = float(np.median([lax.grade(image).confidence for image in lax.bundle.golden]))
    strict = asking(half)
    asked = []
    for image in strict.bundle.golden:
        seen, passed = strict.grade(image), lax.grade(image)
        assert (seen.grade, seen.probabilities) == (passed.grade, passed.probabilities)
        assert not passed.needs_person
        assert seen.needs_person == (seen.confidence < half)
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


UNDEFINED = (0.025, 0.025, 0.025, 0.025, 0.9)


def level_grader(folder: Path, rows: Sequence[Sequence[float]], levels: object) -> Grader:
    file = write_table_bundle(folder / "level.bundle", rows, levels=levels)  # type: ignore[arg-type]
    return Grader(Bundle.read(file))


def test_the_level_is_told_of_loads_that_have_one(tmp_path: Path) -> None:
    grader = level_grader(tmp_path, [SURE, SURE, UNDEFINED], [LEVEL, (40, 61.5, 70), LEVEL])
    assert grader.grade(grey(10)).level == Level(5.0, 12.0, 22.5, coverage=0.9)
    assert grader.grade(grey(100)).level == Level(40.0, 61.5, 70.0, coverage=0.9)
    undefined = grader.grade(grey(140))
    assert (undefined.grade, undefined.level) == ("undefined", None)
    assert table_grader(tmp_path, [SURE]).grade(grey(10)).level is None


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.tuples(*[st.floats(-20, 120, width=32) | st.sampled_from([NAN, float("inf")])] * 3))
def test_a_level_is_three_numbers_in_order_or_the_load_is_not_graded(
    tmp_path: Path, row: tuple[float, ...]
) -> None:
    """Of an undefined load too, although nobody is told its level."""
    low, middle, high = row
    for probabilities in (SURE, UNDEFINED):
        grader = level_grader(tmp_path, [SURE, probabilities], [LEVEL, row])
        if 0 <= low <= middle <= high <= 100:
            found = grader.grade(grey(100)).level
            assert found == (Level(*row, coverage=0.9) if probabilities is SURE else None)
        else:
            with pytest.raises(BundleError, match="level is not three numbers in order"):
                grader.grade(grey(100))


@pytest.mark.parametrize("first", [(5.0, 12.5, 22.5), (NAN, 12.0, 22.5)])
def test_a_golden_level_that_comes_out_differently_is_refused(
    tmp_path: Path, first: tuple[float, ...]
) -> None:
    good = write_table_bundle(tmp_path / "good.bundle", levels=[LEVEL])
    Grader(Bundle.read(good))
    file = write_table_bundle(tmp_path / "other.bundle", levels=[first])
    golden = {"path": "golden/black.png", "grade": "undefined", "probabilities": SURE}
    changed = [golden | {"level": LEVEL}]
    other = with_manifest(file, tmp_path / "changed.bundle", golden=changed)
    with pytest.raises(BundleError, match=r"the level of golden/black\.png comes out .* off"):
        Grader(Bundle.read(other))
    if first[0] == first[0]:
        lax = level_spec(golden_tolerance=0.6)
        Grader(Bundle.read(with_manifest(other, tmp_path / "lax.bundle", level=lax)))
