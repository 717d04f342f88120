"""What each synthetic image starts from: one or two training images, a level and a grade."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from edge_agent.grades import GRADES, Grade
from training.data.dataset import ImageSet
from training.errors import DataError
from training.synthesis import blend
from training.synthesis.blend import PAIRS, Image, Method

LEAST: Final = 2
"""So many training images a grade must have to be enriched."""
SINGLE: Final = "single"
"""What stands for the method of a candidate that is no blend."""

Way = Literal["alpha", "segment", "single"]
"""How candidates begin: with a blend, or each with one load of its grade."""


@dataclass(frozen=True)
class Base:
    """Where a synthetic image comes from.

    number: of the image in its run, and of its random numbers. parents: positions in the training
    ImageSet, one or two. level: of trash, 0 to 100. method: of blending; None for one parent.
    region: of the first parent. same_region: whether the second one is from there too.
    """

    number: int
    grade: Grade
    parents: tuple[int, ...]
    level: int
    method: Method | None
    region: str
    same_region: bool

    @property
    def soft_label(self) -> npt.NDArray[np.float32]:
        """See `soft_label`."""
        return soft_label(self.grade, self.level, self.method or SINGLE)


def soft_label(grade: Grade, level: int, method: str) -> npt.NDArray[np.float32]:
    """(5,) in the order of GRADES, sums to one. method: as `provenance` calls it."""
    clean = _clean_of(grade)
    if method != SINGLE and clean is not None:
        return blend.soft_label(clean, level)
    label = np.zeros(len(GRADES), np.float32)
    label[GRADES.index(grade)] = 1.0
    return label


def lacking(labels: npt.NDArray[np.int64], surplus: float) -> dict[Grade, int]:
    """How many candidates each grade gets: `surplus` for every image it has less than the
    commonest grade. Raises DataError for a grade that has images, but fewer than LEAST, and where
    none lacks any."""
    counts = np.bincount(labels, minlength=len(GRADES))
    poor = [f"{g} has {n}" for g, n in zip(GRADES, counts, strict=True) if 0 < n < LEAST]
    if poor:
        raise DataError(
            f"grade {', '.join(poor)} training image; synthesis needs {LEAST} of a grade at least: "
            "add images of it"
        )
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


def plan(
    train: ImageSet,
    wanted: dict[Grade, int],
    *,
    method: Way,
    levels: Sequence[int],
    seed: int,
) -> list[Base]:
    """Bases for so many images of each grade; a function of its arguments.

    Grades of a pair come from blends at those levels that count as the grade, unless the method is
    `single`; undefined, and a grade whose partner has too few images, from single images. Raises
    DataError for images that are not for training.
    """
    foreign = next((row for row in train.rows if row.split != "train"), None)
    if foreign is not None:
        raise DataError(
            f"{foreign.image}: is in split {foreign.split}; synthesis takes training images"
        )
    counts = np.bincount(train.labels, minlength=len(GRADES))
    found: list[Base] = []
    for grade, count in wanted.items():
        clean = _clean_of(grade)
        pair = () if clean is None else (clean, PAIRS[clean])
        paired = clean is not None and all(counts[GRADES.index(g)] >= LEAST for g in pair)
        kind: Method | None = None
        if clean is not None and paired and method != SINGLE:
            ours = [level for level in levels if blend.grade_at(clean, level) is grade]
            # Of a seed of its own: the two grades of a pair draw from the same loads.
            drawn = blend.plan(
                train,
                count,
                clean,
                ours,
                seed=seed * len(GRADES) + GRADES.index(grade),
                method=method,
            )
            parts: Iterator[tuple[tuple[int, ...], int, bool]] = (
                ((b.clean, b.trash), b.level, b.same_region) for b in drawn
            )
            kind = method
        else:
            rng = np.random.default_rng([seed, GRADES.index(grade)])
            ours = np.flatnonzero(train.labels == GRADES.index(grade)).tolist()
            level = 100 if grade.has_trash else 0
            parts = (((int(i),), level, True) for i in rng.choice(ours, count))
        for parents, level, same in parts:
            region = train.rows[parents[0]].region
            found.append(Base(len(found), grade, parents, level, kind, region, same))
    return found


def draw(base: Base, train: ImageSet, classes: npt.NDArray[np.uint8], seed: int) -> Image:
    """The blend itself, or the single image, mirrored at random: uint8 RGB (size, size, 3).

    classes: (n, size, size), of all training images, as the U-Net predicts them.
    """
    rng = np.random.default_rng([seed, base.number])
    first = train.images[base.parents[0]]
    if base.method is None:
        image = first
    elif base.method == "alpha":
        image = blend.alpha(first, train.images[base.parents[1]], base.level)
    else:
        other = base.parents[1]
        image, _ = blend.by_segment(
            first, classes[base.parents[0]], train.images[other], classes[other], base.level, rng
        )
    for axis in (0, 1):
        if rng.random() < 0.5:
            image = np.flip(image, axis)
    return np.ascontiguousarray(image)


def provenance(base: Base, train: ImageSet) -> dict[str, Any]:
    """What a manifest says of it: parents by image and truck, level, method."""
    rows = [train.rows[i] for i in base.parents]
    return {
        "level": base.level,
        "method": base.method or SINGLE,
        "parents": " ".join(row.image for row in rows),
        "parent_trucks": " ".join(row.truck for row in rows),
        "same_region": base.same_region,
    }


def _clean_of(grade: Grade) -> Grade | None:
    """The clean grade of the pair that a grade belongs to; None for undefined."""
    return next((clean for clean, trash in PAIRS.items() if grade in (clean, trash)), None)
