"""Splits that keep together what would let a network recognise a test image.

Views of one truck show the same load, and trucks of one day at one station share soil, weather and
light. A network that has seen the one in training knows something about the other. A grouping says
what must lie on one side:

    truck-and-day  neither a truck nor a station's day is in two splits. Whatever hangs together
                   by truck or by day, over however many steps, is one group.
    truck          no truck is in two splits. A day may be.
    station-day    no station's day is in two splits. A truck that comes again may be.

Groups are dealt out whole. Near-duplicates can be kept together as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import timedelta, timezone
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold  # type: ignore[import-untyped]

from edge_agent.grades import GRADES, Grade
from training.data.connected import components
from training.data.description import Grouping
from training.data.manifest import SPLITS, Row, Split
from training.errors import DataError

THAI_TIME = timezone(timedelta(hours=7))
"""Where the mills are. Thailand has no summer time."""

FOLDS: Final = 5
"""One fold of five is the test split, one of five of the rest the validation split: 64/16/20."""

MAX_GROUP_SHARE: Final = 0.4
"""A larger group leaves too little for the other splits: it must go to training, and the other two
take 36 of the remaining 60 %."""

_SHARE_TOLERANCE: Final = 0.05
"""A fold may be so much larger than its share of one in FOLDS."""

Pairs = Sequence[tuple[int, int]]
"""Row numbers of images that must share a split whatever the grouping, as near-duplicates."""


def groups(
    rows: Sequence[Row], grouping: Grouping = "truck-and-day", alike: Pairs = ()
) -> npt.NDArray[np.int64]:
    """Group numbers (rows,): what the grouping keeps together has one number.

    Rows without a capture time have no day; only their truck keeps them together. Raises DataError
    when the grouping needs the day of such a row.
    """
    links: list[tuple[int, int]] = list(alike)
    if grouping != "station-day":
        links += _links([f"truck {row.truck}" for row in rows])
    if grouping != "truck":
        days = [day_of(row) for row in rows]
        if grouping == "station-day" and None in days:
            raise DataError(
                f"{days.count(None)} images have no capture time, so no station's day; "
                "fill captured_at or use --grouping truck"
            )
        links += _links(days)
    component = components(len(rows), links)
    # Numbered by name, so that the order of the rows does not change the splits of a seed.
    by_name = sorted(range(len(rows)), key=lambda i: (rows[i].truck, rows[i].image))
    _, first = np.unique(component[by_name], return_index=True)
    return np.asarray(np.argsort(np.argsort(first))[component], dtype=np.int64)


def day_of(row: Row) -> str | None:
    """Station and calendar day in Thailand of a row; None where the time is not known."""
    if row.captured_at is None:
        return None
    return f"{row.station}/{row.captured_at.astimezone(THAI_TIME).date().isoformat()}"


def largest_share(group: npt.NDArray[np.int64]) -> float:
    """The share of images, 0..1, in the largest group."""
    return float(np.bincount(group).max() / len(group))


def assign(
    rows: Sequence[Row],
    labels: Sequence[Grade | None],
    *,
    seed: int,
    grouping: Grouping = "truck-and-day",
    alike: Pairs = (),
) -> tuple[Split, ...]:
    """A split for every row: 64 % train, 16 % val, 20 % test, by group, grades spread evenly.

    Raises DataError when there are too few groups to make three splits of, or one is too large.
    """
    group = groups(rows, grouping, alike)
    fault = cannot_split(group, grouping)
    if fault is not None:
        raise DataError(fault)
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
    check(rows, tuple(splits.tolist()), grouping)
    return tuple(splits.tolist())


def in_two(
    names: Sequence[str | None], splits: Sequence[Split | None]
) -> dict[str, tuple[Split, ...]]:
    """Names (of trucks, days) found in more than one split, with those splits."""
    homes: dict[str, dict[Split, None]] = {}
    for name, split in zip(names, splits, strict=True):
        if name is not None and split is not None:
            homes.setdefault(name, {})[split] = None
    return {name: tuple(found) for name, found in homes.items() if len(found) > 1}


def leaks(rows: Sequence[Row], splits: Sequence[Split | None], grouping: Grouping) -> list[str]:
    """What the grouping keeps together and is in two splits all the same, a line each."""
    found: dict[str, tuple[Split, ...]] = {}
    if grouping != "station-day":
        found |= in_two([f"truck {row.truck}" for row in rows], splits)
    if grouping != "truck":
        days = [day_of(row) for row in rows]
        found |= in_two([day and f"station/day {day}" for day in days], splits)
    return [f"{name} is in two splits, {home[0]} and {home[1]}" for name, home in found.items()]


def check(
    rows: Sequence[Row],
    splits: Sequence[Split | None],
    grouping: Grouping = "truck-and-day",
) -> None:
    """Raises DataError that names the first truck or day found in two splits."""
    found = leaks(rows, splits, grouping)
    if found:
        more = f" (and {len(found) - 1} more leaks)" if len(found) > 1 else ""
        raise DataError(
            f"{found[0]}{more}; make leak-free splits with cane-train data split --again, "
            "or name another --grouping there"
        )


def cannot_split(group: npt.NDArray[np.int64], grouping: Grouping) -> str | None:
    """Why three splits cannot be made of these groups, and what to do; None if they can."""
    count, share = len(np.unique(group)), largest_share(group)
    keeps = {
        "truck-and-day": "share no truck and no station's day",
        "truck": "share no truck",
        "station-day": "share no station's day",
    }[grouping]
    if count >= FOLDS and share <= MAX_GROUP_SHARE:
        return None
    way_out = "add trucks of other days"
    if grouping == "truck-and-day":
        way_out += (
            "; where the same trucks come every day, choose what must be kept apart: "
            "cane-train data split --grouping truck or --grouping station-day"
        )
    if count < FOLDS:
        return (
            f"leak-free splits need {FOLDS} groups of images that {keeps}, found {count}; {way_out}"
        )
    return (
        f"the largest of the {count} groups that {keeps} holds {share:.0%} of the images, "
        f"{MAX_GROUP_SHARE:.0%} at most leave enough for three splits; {way_out}"
    )


def _links(names: Sequence[str | None]) -> list[tuple[int, int]]:
    """Pairs of row numbers, each row with the first of the same name."""
    first: dict[str, int] = {}
    return [(first.setdefault(n, i), i) for i, n in enumerate(names) if n is not None]


def _one_fold(
    rows: npt.NDArray[np.int64],
    classes: npt.NDArray[np.int64],
    group: npt.NDArray[np.int64],
    seed: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(the rest, about one of FOLDS parts) of these row numbers."""
    sizes = np.bincount(group[rows])
    is_large = sizes / len(rows) > 1 / FOLDS + _SHARE_TOLERANCE
    # A group larger than a fold is left for training; the others are dealt out in fewer folds.
    dealt = ~is_large[group[rows]]
    if not dealt.any():
        dealt[:] = True
    count = len(np.unique(group[rows][dealt]))
    folds = min(max(2, round(FOLDS * dealt.mean())), count)
    if folds < 2:
        return rows[~dealt], rows[dealt]
    candidates = rows[dealt]
    folder = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A grade with fewer images than folds cannot be spread evenly. The report counts grades.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        try:
            _, fold = next(folder.split(candidates, classes[candidates], group[candidates]))
        except ValueError as error:
            raise DataError(f"the images cannot be split: {error}; add images") from error
    return np.setdiff1d(rows, candidates[fold]), candidates[fold]
