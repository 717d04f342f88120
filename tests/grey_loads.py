"""Grey images of loads of two regions, a dark and a bright one, and masks for them."""

from __future__ import annotations

import numpy as np

from edge_agent.grades import GRADES, Grade
from training.data.dataset import ImageSet
from training.data.manifest import Row, Split
from training.data.trash import STALK, TRASH
from training.synthesis.blend import Image

SIZE = 48
BURNT = (Grade.BURN_CLEAN, Grade.BURN_TRASH)


def loads(count: int = 40, split: Split = "train") -> ImageSet:
    """Two regions: R0 is dark, R1 is bright. Within each, lightness grows with the number."""
    rng = np.random.default_rng(1)
    images, rows = [], []
    for i in range(count):
        grey = 30 + 150 * (i % 2) + i / 4
        images.append(np.clip(rng.normal(grey, 8, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8))
        rows.append(Row(image=f"{i}.png", truck=f"T{i}", region=f"R{i % 2}", split=split))
    labels = np.array([(i // 2) % len(GRADES) for i in range(count)], np.int64)
    return ImageSet(np.stack(images), labels, tuple(rows), ())


def scarce(left: int) -> ImageSet:
    """Of burnt loads so many of each grade are left."""
    every = loads(200)
    few = [np.flatnonzero(every.labels == GRADES.index(g))[:left] for g in BURNT]
    fresh = np.flatnonzero(~np.isin(every.labels, [GRADES.index(g) for g in BURNT]))
    return every[np.concatenate([fresh, *few])]


def half_covered(found: ImageSet) -> Image:
    """Masks of single things: stalk on the left, ground on the right."""
    masks = np.zeros((len(found), SIZE, SIZE), np.uint8)
    masks[:, :, : SIZE // 2] = STALK
    return masks


def covered(found: ImageSet) -> Image:
    """Masks of loads, in squares: clean ones have 0 to 20 % of trash, trashy ones 40 to 90."""
    rng = np.random.default_rng(7)
    masks = np.ones((len(found), SIZE, SIZE), np.uint8)
    for mask, label in zip(masks, found.labels, strict=True):
        share = rng.uniform(40, 90) if GRADES[label].has_trash else rng.uniform(0, 20)
        squares = rng.random((6, 6)) < share / 100
        mask[np.kron(squares, np.ones((SIZE // 6, SIZE // 6), bool))] = TRASH
    return masks


def masked(seed: int) -> tuple[Image, Image]:
    """A load with all three classes, by rows and at random."""
    rng = np.random.default_rng(seed)
    mask = np.ones((SIZE, SIZE), np.uint8)
    mask[rng.random(mask.shape) < 0.4] = TRASH
    mask[:6] = 0
    image = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    return image, mask
