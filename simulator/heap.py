"""The heap on the truck's bed: a map of heights on which one thing after another comes to rest."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.items import Floats, Items

BED: Final = (7.5, 2.3)
"""Length and width of the bed in metres."""

_CELL: Final = 0.025


class Heap:
    """Height of the load on a grid of cells of 2.5 cm, raised as things come to rest."""

    def __init__(self, rng: np.random.Generator, top: float) -> None:
        self.shape = (round((BED[0] + 1.2) / _CELL), round((BED[1] + 0.6) / _CELL))
        x = np.arange(self.shape[0], dtype=np.float32) * _CELL - 0.6
        y = np.arange(self.shape[1], dtype=np.float32) * _CELL - (BED[1] / 2 + 0.3)
        crown = rng.uniform(0.10, 0.28)
        across = -crown * np.abs(y / (BED[1] / 2)) ** 2.2
        along = sum(
            rng.normal(0, 0.05) * np.sin(2 * np.pi * (x / wave + rng.random()))
            for wave in (7.0, 3.1, 1.6)
        )
        lean = rng.normal(0, 0.05) * y
        ends = -0.5 * (np.clip(-x + 0.1, 0, 1) + np.clip(x - BED[0] + 0.1, 0, 1))
        self.height = (top + across[None] + along[:, None] + lean[None] + ends[:, None]).astype(
            np.float32
        )

    def cells(self, points: Floats) -> npt.NDArray[np.intp]:
        """Flat cell index of points (..., 3)."""
        i = np.clip((points[..., 0] + 0.6) / _CELL, 0, self.shape[0] - 1).astype(np.intp)
        j = np.clip((points[..., 1] + BED[1] / 2 + 0.3) / _CELL, 0, self.shape[1] - 1)
        return np.asarray(i * self.shape[1] + j.astype(np.intp))

    def rest(self, items: Items, limp: bool = False) -> None:
        """Lower things onto the heap, all at once, and raise the heap where they lie.

        Stiff things lie on the highest support of each half, as a rod does; limp ones drape.
        """
        steps = np.linspace(0.04, 0.96, 10, dtype=np.float32)
        axis = items.end - items.start
        points = items.start[:, None] + axis[:, None] * steps[:, None]
        side = np.stack([-axis[:, 1], axis[:, 0]], 1)
        side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-6
        points[..., :2] += side[:, None] * (items.bend[:, :1] * 4 * steps * (1 - steps))[..., None]
        cells = self.cells(points)
        ground = self.height.ravel()[cells]
        rows = np.arange(len(items))
        left, right = ground[:, :5].argmax(1), ground[:, 5:].argmax(1) + 5
        length = np.linalg.norm(axis[:, :2], axis=1) + 1e-3
        slope = (ground[rows, right] - ground[rows, left]) / (steps[right] - steps[left])
        # A steep rod slides until it lies; long ones bend under their own weight.
        slope = np.clip(slope, -0.22 * length, 0.22 * length)
        middle = 0.5 * (ground[rows, left] + ground[rows, right])
        if limp:
            # Drawn flat, a leaf shows where its highest support carries it.
            middle = ground.max(axis=1)
        radius = items.half.mean(1) * (0.12 if limp else 1.0)
        z = middle + radius
        items.start[:, 2] = z - 0.5 * slope
        items.end[:, 2] = z + 0.5 * slope
        top = (z[:, None] + slope[:, None] * (steps - 0.5)) + radius[:, None] * 0.6
        np.maximum.at(self.height.reshape(-1), cells.ravel(), top.ravel())
