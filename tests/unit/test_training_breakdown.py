"""Figures by the values of a column add up to the whole, and are in a readable order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.grades import GRADES, Grade
from training.breakdown import MOST, by
from training.data.dataset import Dataset
from training.data.labels import label
from training.data.manifest import Manifest, checked_rows
from training.errors import DataError
from training.predictions import Predictions

Load = tuple[str, Grade | None, int]
"""Of each image: its station, its label, and what the model says."""


def both(loads: list[Load]) -> tuple[Dataset, Predictions]:
    cells = tuple(
        {"image": f"{i}.png", "truck": f"T{i // 2}", "station": station, "grade": grade or ""}
        for i, (station, grade, _) in enumerate(loads)
    )
    path = Path("manifest.csv")
    manifest = Manifest(path, tuple(cells[0]), cells, checked_rows(path, cells))
    probabilities = np.full((len(loads), 5), 0.1, np.float32)
    for row, (_, _, guess) in zip(probabilities, loads, strict=True):
        row[guess] = 0.6
    predictions = Predictions(
        tuple(row.image for row in manifest.rows),
        tuple(row.truck for row in manifest.rows),
        tuple(grade for _, grade, _ in loads),
        tuple(grade for _, grade, _ in loads),
        probabilities,
    )
    return Dataset(manifest, label(manifest.rows, source="truth")), predictions


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["KK1", "KK2", ""]),
            st.sampled_from([*GRADES, None]),
            st.integers(0, 4),
        ),
        min_size=1,
        max_size=40,
    ).filter(lambda loads: any(grade for _, grade, _ in loads))
)
@settings(deadline=None, max_examples=40)
def test_the_parts_add_up(loads: list[Load]) -> None:
    dataset, predictions = both(loads)
    parts = by(predictions, dataset, ["station"], threshold=0.5)["station"]
    whole = predictions.figures(0.5)
    assert sum(part["n"] for part in parts) == whole["n"]
    right = sum(part["accuracy"] * part["n"] for part in parts)
    assert right == pytest.approx(whole["accuracy"] * whole["n"], abs=1e-4 * len(loads))
    of_stations = {station for station, grade, _ in loads if grade is not None}
    assert [part["value"] for part in parts] == sorted(of_stations)
    for part in parts:
        of_it = [(g, said) for station, g, said in loads if station == part["value"] and g]
        rights = sum(GRADES.index(grade) == said for grade, said in of_it)
        assert part["n"] == len(of_it)
        assert part["accuracy"] == pytest.approx(rights / len(of_it), abs=1e-4)


def test_numbers_come_in_the_order_of_numbers() -> None:
    loads: list[Load] = [(value, GRADES[0], 0) for value in ("10", "nan", "9", "0.45", "x", "")]
    dataset, predictions = both(loads)
    parts = by(predictions, dataset, ["station"], threshold=0.5)["station"]
    assert [part["value"] for part in parts] == ["0.45", "9", "10", "", "nan", "x"]


def test_what_tells_nothing_apart_is_refused() -> None:
    dataset, predictions = both([(f"S{i}", GRADES[0], 0) for i in range(MOST + 1)])
    with pytest.raises(DataError, match=rf"column 'station' has {MOST + 1} values"):
        by(predictions, dataset, ["station"], threshold=0.5)
    with pytest.raises(DataError, match="has no column 'plate'; choose among image, truck"):
        by(predictions, dataset, ["plate"], threshold=0.5)
