"""Stage 1: blends of a clean and a trashy load of the same kind, at levels from 0 to 100.

The study blends fresh_clean with fresh_trash and burn_clean with burn_trash. Level L is

    alpha     x = (1 - L/100) * clean + L/100 * trash           as the study does: a transparency
    segment   x = clean, and on it L % of the leaf and trash pixels of the other load, in clumps

so that by segment a level is a share of trash, and nothing is half transparent. At level 0 both
give the clean load. By alpha a level stands for the trashy grade from `BOUNDARY` on: a convention,
half of what one sees is from the trashy load. By segment the masks say how much trash there is in
the end (`trash_share`), and `boundary` what that counts as: half the trash of a very trashy load
on another that was nearly trashy itself is more than what makes a load trashy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.grades import GRADES, Grade
from training.data.dataset import ImageSet
from training.data.trash import STALK, TRASH
from training.errors import DataError

Image = npt.NDArray[np.uint8]
Method = Literal["alpha", "segment"]

PAIRS: Final[Mapping[Grade, Grade]] = MappingProxyType(
    {Grade.FRESH_CLEAN: Grade.FRESH_TRASH, Grade.BURN_CLEAN: Grade.BURN_TRASH}
)
"""The trashy grade of each clean one."""
LEVELS: Final[tuple[int, ...]] = tuple(range(0, 101, 10))
BOUNDARY: Final = 50
"""From this level on a blend by alpha counts as the trashy grade, and any that is as trashy as
that, in percent."""
NEIGHBOURS: Final = 5
_EDGE_PX: Final = 1.0
"""Pasted clumps are softened by a Gaussian of this sigma, as a lens would."""
_CLUMP: Final = 0.05
"""Sigma of the field that makes clumps, as a share of the image's shorter side."""


@dataclass(frozen=True)
class Blend:
    """What a blend is made of: positions of its two loads in their ImageSet, and the level.

    same_region: False where no trashy load of the clean one's region was to be had.
    """

    clean: int
    trash: int
    level: int
    method: Method
    same_region: bool


def grade_at(clean: Grade, level: float) -> Grade:
    """The grade a blend counts as. `clean` is the clean grade of its pair. level: how trashy it is,
    0 to 100; by alpha, its level."""
    return PAIRS[clean] if level >= BOUNDARY else clean


def plan(
    loads: ImageSet,
    count: int,
    clean: Grade,
    levels: Sequence[int],
    *,
    seed: int,
    method: Method = "alpha",
) -> list[Blend]:
    """`count` blends of a clean grade with its trashy one, their levels spread evenly.

    Each takes a clean load at random, and of the same region the `NEIGHBOURS` trashy loads nearest
    to it in light (mean and spread of lightness, mean colour), and of these one at random; from
    all regions where its own has none. All loads must be from the training split.

    Raises DataError when a grade has fewer than two loads, or a load is not for training.
    """
    foreign = next((row for row in loads.rows if row.split != "train"), None)
    if foreign is not None:
        raise DataError(
            f"{foreign.image}: is in split {foreign.split}; blends take training images"
        )
    ours = np.flatnonzero(loads.labels == GRADES.index(clean))
    theirs = np.flatnonzero(loads.labels == GRADES.index(PAIRS[clean]))
    for grade, found in ((clean, ours), (PAIRS[clean], theirs)):
        if len(found) < 2:
            raise DataError(
                f"grade {grade} has {len(found)} training images, blends need two at least; "
                "add images or leave the grade out"
            )
    rng = np.random.default_rng([seed, GRADES.index(clean)])
    light = _light(loads.images)
    regions = np.array([row.region for row in loads.rows])
    blends = []
    for number in range(count):
        first = int(rng.choice(ours))
        same = theirs[regions[theirs] == regions[first]]
        among = same if len(same) else theirs
        distance = np.linalg.norm(light[among] - light[first], axis=1)
        second = int(rng.choice(among[np.argsort(distance, kind="stable")[:NEIGHBOURS]]))
        level = levels[number % len(levels)]
        blends.append(Blend(first, second, level, method, bool(len(same))))
    return blends


def alpha(clean: Image, trash: Image, level: int) -> Image:
    """Images uint8 (height, width, 3): the study's blend, cut-off free and rounded."""
    share = level / 100
    return np.asarray(cv2.addWeighted(clean, 1 - share, trash, share, 0.0), np.uint8)


def by_segment(
    clean: Image,
    clean_mask: Image,
    trash: Image,
    trash_mask: Image,
    level: int,
    rng: np.random.Generator,
) -> tuple[Image, Image]:
    """A clean load with clumps of another load's trash on it, and the mask of the result.

    Masks are uint8 (height, width) of 0 other, 1 stalk, 2 leaf and trash. `level` % of the other's
    trash pixels are taken, in clumps as trash lies; under the same `rng` a higher level has all
    that a lower one has. Their lightness is moved by the difference between the stalks of the two
    loads, so that a leaf from the sun does not shine in the shade.

    Raises DataError when sizes differ.
    """
    shapes = {clean.shape[:2], clean_mask.shape, trash.shape[:2], trash_mask.shape}
    if len(shapes) > 1:
        raise DataError(f"images and masks of a blend have sizes {sorted(shapes)}; make them alike")
    mask, chosen = segment_mask(clean_mask, trash_mask, level, rng)
    lit = cv2.cvtColor(trash, cv2.COLOR_RGB2LAB).astype(np.float32)
    lit[..., 0] += _lightness(clean, clean_mask) - _lightness(trash, trash_mask)
    clumps = cv2.cvtColor(np.clip(lit, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)
    weight = cv2.GaussianBlur(chosen.astype(np.float32), (0, 0), _EDGE_PX)[..., None]
    weight *= chosen[..., None]  # softened inwards: what is not trash in the other stays out
    mixed = clean * (1 - weight) + clumps * weight
    return np.rint(mixed).astype(np.uint8), mask


def segment_mask(
    clean_mask: Image, trash_mask: Image, level: int, rng: np.random.Generator
) -> tuple[Image, npt.NDArray[np.bool_]]:
    """The mask of the blend that `by_segment` makes of loads with these masks, under an `rng` of
    the same state; and which pixels come from the trashy load."""
    chosen = _clumps(trash_mask == TRASH, level / 100, rng)
    # Trash lies on the load: beside it, on deck and yard, it would hang in the air.
    chosen &= clean_mask != 0
    return np.where(chosen, np.uint8(TRASH), clean_mask), chosen


def _clumps(
    trash: npt.NDArray[np.bool_], share: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """That share of the pixels, where a smooth random field is lowest: more of it holds the less.

    Connected pieces would not do: in a picture of a load most trash hangs together.
    """
    noise = rng.standard_normal(trash.shape).astype(np.float32)
    field = cv2.GaussianBlur(noise, (0, 0), _CLUMP * min(trash.shape))
    if share <= 0 or not trash.any():
        return np.zeros_like(trash)
    return np.asarray(trash & (field <= np.quantile(field[trash], share)))


def _light(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """(n, 4): mean and spread of lightness, mean of both colours, each scaled over the set."""
    found = []
    for image in images:
        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float64)
        found.append(
            [lab[..., 0].mean(), lab[..., 0].std(), lab[..., 1].mean(), lab[..., 2].mean()]
        )
    light = np.array(found)
    return np.asarray((light - light.mean(0)) / np.maximum(light.std(0), 1e-9))


def _lightness(image: Image, mask: Image) -> float:
    """Median lightness of the stalks, of all pixels where there are none."""
    lightness = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[..., 0]
    stalks = lightness[mask == STALK]
    return float(np.median(stalks if stalks.size else lightness))
