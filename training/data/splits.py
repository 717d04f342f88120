"""Splits that share neither a truck nor a station's day.

Views of one truck show the same load, and trucks of one day at one station share soil, weather and
light. A network that has seen the one in training knows something about the other, so both stay on
one side. Whatever hangs together by truck or by day, over however many steps, is one group; groups
are dealt out whole.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import timedelta, timezone

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array  # type: ignore[import-untyped]
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]
from sklearn.model_selection import StratifiedGroupKFold  # type: ignore[import-untyped]

from edge_agent.grades import GRADES, Grade
from training.data.manifest import SPLITS, Row, Split
from training.errors import DataError

THAI_TIME = timezone(timedelta(hours=7))
"""Where the mills are. Thailand has no summer time."""

FOLDS = 5
"""One fold of five is the test split, one of five of the rest the validation split: 64/16/20."""


def groups(rows: Sequence[Row]) -> npt.NDArray[np.int64]:
    """Group numbers (rows,) such that no truck and no station's day lies in two groups."""
    trucks = _numbers([row.truck for row in rows])
    days = _numbers([day_of(row) for row in rows]) + trucks.max() + 1
    nodes = int(days.max()) + 1
    edges = coo_array((np.ones(len(rows)), (trucks, days)), shape=(nodes, nodes))
    _, component = connected_components(edges, directed=False)
    return np.asarray(component[trucks], dtype=np.int64)


def day_of(row: Row) -> str:
    """Station and calendar day in Thailand of a row."""
    return f"{row.station}/{row.captured_at.astimezone(THAI_TIME).date().isoformat()}"


def assign(rows: Sequence[Row], labels: Sequence[Grade | None], *, seed: int) -> tuple[Split, ...]:
    """A split for every row: 64 % train, 16 % val, 20 % test, by group, grades spread evenly.

    Raises DataError when there are too few groups to make three splits of.
    """
    group = groups(rows)
    if len(np.unique(group)) < FOLDS:
        raise DataError(
            f"the images fall into {len(np.unique(group))} groups that share no truck and no "
            f"station's day, {FOLDS} are needed for leak-free splits; add trucks of other days"
        )
    # Disputed images go where their group goes; they count as one more class.
    classes = np.array([len(GRADES) if g is None else GRADES.index(g) for g in labels])
    splits: npt.NDArray[np.str_] = np.full(len(rows), "train", dtype="<U5")
    everything = np.arange(len(rows))
    rest, test = _one_fold(everything, classes, group, seed)
    splits[test] = "test"
    _, validation = _one_fold(rest, classes, group, seed + 1)
    splits[validation] = "val"
    empty = [name for name in SPLITS if name not in splits]
    if empty:
        raise DataError(f"no group is left for the {empty[0]} split; add trucks of other days")
    check(rows, tuple(splits.tolist()))
    return tuple(splits.tolist())


def check(rows: Sequence[Row], splits: Sequence[Split | None]) -> None:
    """Raises DataError that names the first truck or day found in two splits."""
    for what, name_of in (("truck", lambda row: row.truck), ("station/day", day_of)):
        home: dict[str, Split | None] = {}
        for row, split in zip(rows, splits, strict=True):
            name = name_of(row)
            if home.setdefault(name, split) != split:
                raise DataError(
                    f"{what} {name} is in two splits, {home[name]} and {split}; "
                    "empty the column split to have leak-free ones made"
                )


def _numbers(names: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.unique(np.asarray(names), return_inverse=True)[1].astype(np.int64)


def _one_fold(
    rows: npt.NDArray[np.int64],
    classes: npt.NDArray[np.int64],
    group: npt.NDArray[np.int64],
    seed: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(the rest, one fold of FOLDS) of these row numbers."""
    folds = min(FOLDS, len(np.unique(group[rows])))
    folder = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A grade with fewer images than folds cannot be spread evenly. The report counts grades.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        try:
            rest, fold = next(folder.split(rows, classes[rows], group[rows]))
        except ValueError as error:
            raise DataError(f"the images cannot be split: {error}; add images") from error
    return rows[rest], rows[fold]
