"""The figures of parts of the images: of each station, camera, or whatever a column tells apart."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from training.data.dataset import Dataset
from training.data.manifest import tidied
from training.errors import DataError
from training.predictions import Predictions

MOST: Final = 50
"""So many values a column may have: of more, each has hardly an image."""
_FIGURES: Final = ("accuracy", "macro_f1", "calibration_error", "asks_a_person")


def require_columns(dataset: Dataset, columns: Sequence[str]) -> None:
    """Raises DataError for a column that the manifest has not, or with more than MOST values."""
    manifest = dataset.manifest
    for column in columns:
        if column not in manifest.columns:
            raise DataError(
                f"{manifest.path}: has no column {column!r}; choose among "
                f"{', '.join(manifest.columns)}"
            )
        values = {tidied(cells[column]) for cells in manifest.cells}
        if len(values) > MOST:
            raise DataError(
                f"{manifest.path}: column {column!r} has {len(values)} values, {MOST} at most can "
                "be told apart; choose another, such as station or camera"
            )


def by(
    predictions: Predictions, dataset: Dataset, columns: Sequence[str], *, threshold: float
) -> dict[str, list[dict[str, Any]]]:
    """Of each column a list, one entry a value, in the order of numbers or else of the alphabet.

    An entry has the value ("" where the cell is empty), images, trucks, and figures against the
    labels, see `training.metrics`, with their intervals. Values without a labelled image are left
    out. threshold: below it a person is asked. Raises DataError, see `require_columns`.
    """
    require_columns(dataset, columns)
    manifest = dataset.manifest
    cells = {row.image: found for row, found in zip(manifest.rows, manifest.cells, strict=True)}
    result = {}
    for column in columns:
        places: dict[str, list[int]] = defaultdict(list)
        for place in predictions.known().tolist():
            places[tidied(cells[predictions.images[place]][column])].append(place)
        result[column] = [
            {"value": value, **_part(predictions.at(places[value]), threshold)}
            for value in sorted(places, key=_order)
        ]
    return result


def _part(predictions: Predictions, threshold: float) -> dict[str, Any]:
    found = predictions.figures(threshold)
    return {
        "n": found["n"],
        "trucks": found["trucks"],
        **{key: found[key] for name in _FIGURES for key in (name, f"{name}_ci")},
    }


def _order(value: str) -> tuple[float, str]:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    return number if math.isfinite(number) else math.inf, value
