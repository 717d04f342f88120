"""What each synthetic image starts from: training images, a level and a grade."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from edge_agent.grades import GRADES, Grade
from training.data.dataset import ImageSet
from training.data.trash import trash_share
from training.errors import DataError
from training.synthesis.blend import PAIRS, Method

LEAST: Final = 2
"""So many training images a grade must have to be enriched."""
SINGLE: Final = "single"
"""What stands for the method of a candidate that is no blend."""
TRANSLATE: Final = "translate"
TRANSLATE_SINGLE: Final = "translate-single"

Way = Literal["alpha", "segment", "single", "translate", "translate-single"]
"""How candidates begin: with a blend, or each with one load of its grade; or with a blend, or one
load, of the commoner kind of cane in the colours of the scarce kind."""


@dataclass(frozen=True)
class Base:
    """Where a synthetic image comes from.

    number: of the image in its run, and of its random numbers. parents: positions in the training
    ImageSet, one or two. level: of the blend, 0 to 100. method: of blending; None for one parent.
    trash: share of leaf and trash on the load, 0 to 100, as masks show it; where none do, the
    level. trashy: how trashy it counts as, 0 to 1. look: a load of the grade, by position, whose
    colours and region the image gets; None where it keeps its own. region: of the look;
    without one, of the first parent. same_region: whether the parents are of one region.
    """

    number: int
    grade: Grade
    parents: tuple[int, ...]
    level: int
    method: Method | None
    trash: float
    trashy: float
    region: str
    same_region: bool
    look: int | None = None

    @property
    def soft_label(self) -> npt.NDArray[np.float32]:
        """See `soft_label`."""
        return soft_label(self.grade, self.trashy)


def soft_label(grade: Grade, trashy: float) -> npt.NDArray[np.float32]:
    """(5,) in the order of GRADES, sums to one: how much of an image is of each grade of the pair
    that `grade` belongs to."""
    label = np.zeros(len(GRADES), np.float32)
    clean = clean_of(grade)
    if clean is None:
        label[GRADES.index(grade)] = 1.0
    else:
        label[GRADES.index(clean)] = 1 - trashy
        label[GRADES.index(PAIRS[clean])] = trashy
    return label


def require_enough(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many images each grade has, (5,). Raises DataError for a grade that has some, but fewer
    than LEAST."""
    counts = np.bincount(labels, minlength=len(GRADES))
    poor = [f"{g} has {n}" for g, n in zip(GRADES, counts, strict=True) if 0 < n < LEAST]
    if poor:
        raise DataError(
            f"grade {', '.join(poor)} training image; synthesis needs {LEAST} of a grade at least: "
            "add images of it"
        )
    return counts


def lacking(labels: npt.NDArray[np.int64], surplus: float) -> dict[Grade, int]:
    """How many candidates each grade gets: `surplus` for every image it has less than the
    commonest grade. Raises DataError for a grade that has too few, and where none lacks any."""
    counts = require_enough(labels)
    found = {
        grade: math.ceil(surplus * (counts.max() - count))
        for grade, count in zip(GRADES, counts, strict=True)
        if 0 < count < counts.max()
    }
    if not found:
        raise DataError(
            f"all grades have {counts.max()} training images: none is scarce, there is nothing to "
            "synthesize"
        )
    return found


def with_partners(wanted: dict[Grade, int], labels: npt.NDArray[np.int64]) -> dict[Grade, int]:
    """As many for each grade of a pair as for the one that wants more, in the order of GRADES; a
    grade without images gets none.

    A grade of which nothing is made is told by that: whatever looks made is not of it.
    """
    found = dict(wanted)
    for pair in PAIRS.items():
        most = max(wanted.get(grade, 0) for grade in pair)
        if most and all(GRADES.index(grade) in labels for grade in pair):
            found |= dict.fromkeys(pair, most)
    return {grade: found[grade] for grade in GRADES if grade in found}


def trash_of(
    labels: npt.NDArray[np.int64], masks: npt.NDArray[np.uint8] | None
) -> npt.NDArray[np.float64]:
    """Share of trash on each load, 0 to 100, (n,), by its mask; without masks, 0 or 100 by its
    grade. masks: (n, size, size), which show trash, see `shows_trash`."""
    if masks is None:
        return np.array([100.0 if GRADES[label].has_trash else 0.0 for label in labels])
    return np.array([trash_share(mask) for mask in masks])


def provenance(base: Base, train: ImageSet) -> dict[str, Any]:
    """What a manifest says of it: parents (a look is the last of them) by image and truck, as JSON
    lists, level, method, trash."""
    looks = () if base.look is None else (base.look,)
    rows = [train.rows[i] for i in (*base.parents, *looks)]
    how = base.method or SINGLE
    return {
        "level": base.level,
        "method": f"{TRANSLATE} {how}" if looks else how,
        "trash": f"{base.trash:.2f}",
        "trashy": f"{base.trashy:.4f}",
        "parents": json.dumps([row.image for row in rows], ensure_ascii=False),
        "parent_trucks": json.dumps([row.truck for row in rows], ensure_ascii=False),
        "same_region": base.same_region,
    }


def clean_of(grade: Grade) -> Grade | None:
    """The clean grade of the pair that a grade belongs to; None for undefined."""
    return next((clean for clean, trash in PAIRS.items() if grade in (clean, trash)), None)
