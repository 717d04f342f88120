"""Plans which training images each synthetic image starts from, and draws blends of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_agent.grades import GRADES, Grade
from training.data.dataset import ImageSet
from training.data.trash import shows_trash, trash_share
from training.errors import DataError
from training.synthesis import blend
from training.synthesis.bases import (
    LEAST,
    SINGLE,
    TRANSLATE,
    TRANSLATE_SINGLE,
    Base,
    Way,
    clean_of,
    trash_of,
)
from training.synthesis.blend import PAIRS, Blend, Image, Method
from training.synthesis.boundary import Boundary
from training.synthesis.recolour import Transfer, recoloured

_OTHER_KIND: Final = {
    Grade.FRESH_CLEAN: Grade.BURN_CLEAN,
    Grade.FRESH_TRASH: Grade.BURN_TRASH,
    Grade.BURN_CLEAN: Grade.FRESH_CLEAN,
    Grade.BURN_TRASH: Grade.FRESH_TRASH,
}
"""The same of the other kind of cane."""
_TRIES: Final = 8
"""Blends tried for each candidate that is wanted."""


class Planner:
    """Plans what is drawn from some training images.

    masks: (n, size, size), see `run.masks_of`. has_trash: do they show leaf and trash? boundary:
    see the module of that name; None where they do not, or are not to be believed. transfer: how
    a load gets the colours of another, see `recolour`.
    """

    def __init__(
        self,
        train: ImageSet,
        masks: npt.NDArray[np.uint8] | None,
        *,
        seed: int,
        transfer: Transfer = "moments",
    ) -> None:
        """Raises DataError for images that are not for training."""
        foreign = next((row for row in train.rows if row.split != "train"), None)
        if foreign is not None:
            raise DataError(
                f"{foreign.image}: is in split {foreign.split}; synthesis takes training images"
            )
        self.train, self._masks, self._seed = train, masks, seed
        self._transfer = transfer
        self.has_trash = shows_trash(masks)
        self.trash = trash_of(train.labels, masks if self.has_trash else None)
        self.boundary: Boundary | None = None
        if masks is not None and self.has_trash:
            graded = np.array([clean_of(GRADES[label]) is not None for label in train.labels])
            graded &= (masks != 0).any((1, 2))  # where no load is seen, its trash is not known
            trashy = np.array([bool(GRADES[label].has_trash) for label in train.labels])
            self.boundary = Boundary.of(self.trash[graded], trashy[graded])

    def plan(self, wanted: dict[Grade, int], *, method: Way, levels: Sequence[int]) -> list[Base]:
        """Bases for so many images of each grade; a function of its arguments.

        Grades of a pair come from blends that count as the grade, unless the method is of single
        images; undefined, and a grade whose partner has too few images, from single images. By
        `translate` the blends are of the other pair, where that has more images. By
        `translate-single` each is one load, of the other kind of cane where that has more of them,
        in the colours of a load of its grade. Where masks show no trash, and without any, all
        blends are by alpha. Fewer than wanted only where too few blends of any level count as the
        grade.
        """
        blending: Method = "segment" if self.has_trash and method != "alpha" else "alpha"
        found: list[Base] = []
        for grade, count in wanted.items():
            first, shapes = len(found), grade
            if method == TRANSLATE_SINGLE:
                shapes = max(grade, _OTHER_KIND.get(grade, grade), key=self._loads)
                singles = self._singles(shapes, count, first, drawn_for=grade)
                found += self._translated(singles, grade)
                continue
            if method == TRANSLATE:
                shapes = max(grade, _OTHER_KIND.get(grade, grade), key=self._pairs)
            if method == SINGLE or not self._pairs(shapes):
                found += self._singles(grade, count, first, drawn_for=grade)
                continue
            blends = self._blends(shapes, count, first, blending, levels, drawn_for=grade)
            found += blends if shapes is grade else self._translated(blends, grade)
        return found

    def of_blend(self, number: int, clean: Grade, drawn: Blend) -> Base:
        """The base of a blend of the pair that this clean grade begins."""
        parents = (drawn.clean, drawn.trash)
        trashy = drawn.level / 100
        # Without masks the two loads count as 0 and 100 %, and this is the level.
        trash = float((1 - trashy) * self.trash[drawn.clean] + trashy * self.trash[drawn.trash])
        if drawn.method == "segment" and self._masks is not None:
            ours, theirs = (self._masks[parent] for parent in parents)
            mask, _ = blend.segment_mask(ours, theirs, drawn.level, self._rng(number))
            trash = trash_share(mask)
            if self.boundary is not None:
                trashy = self.boundary.trashy(trash)
        return Base(
            number,
            blend.grade_at(clean, 100 * trashy),
            parents,
            drawn.level,
            drawn.method,
            trash,
            trashy,
            self.train.rows[drawn.clean].region,
            drawn.same_region,
        )

    def trash_shown(self, base: Base) -> float | None:
        """Share of trash that the base's own mask shows, 0 to 100. None where masks show no trash
        at all, or its own no load, and of transparencies."""
        if self._masks is None or not self.has_trash or base.method == "alpha":
            return None
        return base.trash if self._masks[list(base.parents)].any((1, 2)).all() else None

    def draw(self, base: Base) -> Image:
        """The blend itself, or the single image, in the colours of its look where it has one,
        mirrored at random: uint8 RGB (size, size, 3)."""
        rng = self._rng(base.number)
        first, *others = base.parents
        image = self.train.images[first]
        # In a transparency nothing is told apart.
        masks = None if base.method == "alpha" else self._masks
        mask = np.zeros(image.shape[:2], np.uint8) if masks is None else masks[first]
        if base.method == "alpha":
            image = blend.alpha(image, self.train.images[others[0]], base.level)
        elif base.method == "segment":
            assert masks is not None  # noqa: S101 - without masks nothing is cut out
            image, mask = blend.by_segment(
                image, mask, self.train.images[others[0]], masks[others[0]], base.level, rng
            )
        if base.look is not None:
            look_mask = mask if masks is None else masks[base.look]
            image = recoloured(
                image, mask, self.train.images[base.look], look_mask, transfer=self._transfer
            )
        for axis in (0, 1):
            if rng.random() < 0.5:
                image = np.flip(image, axis)
        return np.ascontiguousarray(image)

    def _blends(
        self,
        grade: Grade,
        count: int,
        first: int,
        method: Method,
        levels: Sequence[int],
        *,
        drawn_for: Grade,
    ) -> list[Base]:
        """drawn_for: what is made of them, and so the seed: no two grades get the same blends."""
        clean = clean_of(grade)
        assert clean is not None  # noqa: S101 - `plan` blends what has a pair
        by_mask = method == "segment" and self.boundary is not None
        # Whose grade only the mask tells, is drawn at all levels; half of them are of the other.
        ours = levels if by_mask else [v for v in levels if blend.grade_at(clean, v) is grade]
        drawn = blend.plan(
            self.train,
            _TRIES * count if by_mask else count,
            clean,
            ours,
            seed=self._seed * len(GRADES) + GRADES.index(drawn_for),
            method=method,
        )
        found: list[Base] = []
        for one in drawn:
            if one.level == 0 and grade is not clean:
                continue  # the clean load itself, whatever its mask shows
            base = self.of_blend(first + len(found), clean, one)
            if base.grade is grade:
                found.append(base)
            if len(found) == count:
                break
        return found

    def _translated(self, shapes: Sequence[Base], grade: Grade) -> list[Base]:
        """Blends, or loads, of either kind of cane, each to look like another load of the grade."""
        rng = np.random.default_rng([self._seed, GRADES.index(grade), 1])
        ours = np.flatnonzero(self.train.labels == GRADES.index(grade)).tolist()
        looks = [int(look) for look in rng.choice(ours, len(shapes))]
        for place, base in enumerate(shapes):
            if looks[place] in base.parents:  # in its own colours it would be what it is
                others = [load for load in ours if load not in base.parents]
                looks[place] = int(rng.choice(others or ours))
        return [
            replace(base, grade=grade, look=look, region=self.train.rows[look].region)
            for base, look in zip(shapes, looks, strict=True)
        ]

    def _loads(self, grade: Grade) -> int:
        """How many of a grade there are."""
        return int((self.train.labels == GRADES.index(grade)).sum())

    def _pairs(self, grade: Grade) -> int:
        """How many pairs of loads there are to blend to a grade; 0 where one of its two grades has
        too few, and of undefined."""
        clean = clean_of(grade)
        if clean is None:
            return 0
        both = [self._loads(g) for g in (clean, PAIRS[clean])]
        return math.prod(both) if min(both) >= LEAST else 0

    def _singles(self, grade: Grade, count: int, first: int, *, drawn_for: Grade) -> list[Base]:
        """drawn_for: see `_blends`."""
        rng = np.random.default_rng([self._seed, GRADES.index(drawn_for)])
        ours = np.flatnonzero(self.train.labels == GRADES.index(grade)).tolist()
        trashy = bool(grade.has_trash)
        return [
            Base(
                first + place,
                grade,
                (int(parent),),
                100 * trashy,
                None,
                float(self.trash[parent]),
                float(trashy),
                self.train.rows[parent].region,
                True,
            )
            for place, parent in enumerate(rng.choice(ours, count))
        ]

    def _rng(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, number])
