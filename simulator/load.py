"""A load of cane: stalks, leaves and soil settled into a heap on the truck's bed.

The load depends on the truck alone, so that all cameras see one and the same heap.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.items import TONES, Floats, Items, Kind, join_items, make_items
from simulator.truth import Truck
from simulator.viewpoints import LOAD_TOP_Z

BED: Final = (7.5, 2.3)
"""Length and width of the bed in metres."""

LEAF_AREA: Final = {"billets": 0.0043, "whole": 0.0046}
"""What one leaf hides, m2; measured, so that trash_share is what the mask shows."""

_CELL: Final = 0.025
_BATCHES: Final = 26


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


def _stalk_tones(truck: Truck, rng: np.random.Generator, n: int) -> Floats:
    """Appearance of n stalks; columns as in textures.stalk_colours."""
    d = truck.difficulty
    tone = np.zeros((n, TONES), np.float32)
    variety = rng.normal(0, 1, 3)  # one field, one variety: neighbours look alike
    yellow = 0.45 + (0.16 + 0.10 * d) * variety[0]
    purple = 0.12 + (0.12 + 0.08 * d) * variety[1]
    if truck.look == "other":
        yellow, purple = 0.65 + 0.1 * variety[0], 0.40 + 0.15 * variety[1]
    tone[:, 0] = np.clip(yellow + rng.normal(0, 0.20, n), 0, 1)
    tone[:, 1] = np.clip(purple + rng.normal(0, 0.14, n), 0, 1)
    tone[:, 2] = np.clip(0.45 + 0.12 * variety[2] + rng.normal(0, 0.2, n), 0, 1)
    burnt = rng.random(n) < truck.burnt_share
    char = rng.beta(3.2, 2.2 + 0.9 * d, n)
    # A cool fire only browns the rind: how black a burnt load is says little on a hard set.
    heat = 1 - 0.45 * d * rng.random()
    tone[:, 3] = np.where(burnt, heat * (0.25 + 0.75 * char), 0.0)
    # Sooty mould on green cane is what makes a fresh load look burnt.
    mould = np.clip(rng.normal(0.18 + 0.38 * d * rng.random(), 0.15, n), 0, 1)
    tone[:, 4] = mould
    tone[:, 6] = rng.uniform(0.085, 0.16, n)
    tone[:, 7] = rng.random(n)
    tone[:, 8] = np.exp(rng.normal(0, 0.16, n))
    tone[:, 9:11] = rng.uniform(0, 4096, (n, 2))
    # Stalks whose dead sheath is still on.
    tone[:, 11] = (rng.random(n) < 0.05 + 0.002 * truck.trash_share) * rng.uniform(0.4, 1, n)
    return tone


def _stalks(truck: Truck, rng: np.random.Generator) -> Items:
    other = truck.look == "other"
    if truck.form == "billets":
        n = 8200
        length = rng.normal(0.27 if other else 0.235, 0.05, n).clip(0.10, 0.40)
        angle = rng.uniform(-np.pi, np.pi, n)
        # The elevator throws billets a little more along the truck than across it.
        angle = np.where(rng.random(n) < 0.3, rng.normal(0, 0.5, n), angle)
        x = rng.uniform(-0.05, BED[0] + 0.05, n)
        y = rng.uniform(-BED[1] / 2, BED[1] / 2, n)
    else:
        n = 1650
        bundles = 60
        length = rng.normal(2.1, 0.38, n).clip(0.7, 2.9)
        bundle = rng.integers(bundles, size=n)
        turned = rng.normal(np.pi / 2 if other else 0.0, 0.10, bundles)
        angle = (
            turned[bundle]
            + rng.normal(0, 0.055, n)
            + (rng.random(n) < 0.06) * rng.normal(0, 0.5, n)
        )
        bx = rng.uniform(0.9, BED[0] - 0.9, bundles)
        by = rng.uniform(-BED[1] / 2, BED[1] / 2, bundles)
        loose = rng.random(n) < 0.45
        x = np.where(loose, rng.uniform(0.6, BED[0] - 0.6, n), bx[bundle] + rng.normal(0, 0.7, n))
        y = np.where(
            loose, rng.uniform(-BED[1] / 2, BED[1] / 2, n), by[bundle] + rng.normal(0, 0.16, n)
        )
        if other:
            length = length.clip(0.7, 2.2)
            y = rng.normal(0, 0.3, n)
            x = rng.uniform(-0.05, BED[0] + 0.05, n)
        angle += np.where(rng.random(n) < 0.5, np.pi, 0.0)
    items = make_items(n, Kind.STALK)
    direction = np.stack([np.cos(angle), np.sin(angle)], 1)
    items.start[:, :2] = np.stack([x, y], 1) - direction * length[:, None] / 2
    items.end[:, :2] = np.stack([x, y], 1) + direction * length[:, None] / 2
    thickness = rng.normal(0.0145, 0.001) * (1.12 if other else 1.0)
    radius = thickness * np.exp(rng.normal(0, 0.13, n))
    items.half[:] = radius[:, None] * np.stack([np.ones(n), rng.uniform(0.78, 1.0, n)], 1)
    bow = 0.006 if truck.form == "billets" else 0.035
    items.bend[:] = rng.normal(0, 1, (n, 2)) * length[:, None] * [bow, bow / 3]
    ragged = 0.010 if truck.form == "billets" else 0.007
    items.ends[:] = rng.gamma(1.2, ragged, (n, 6)).clip(0, 0.05)
    items.tone[:] = _stalk_tones(truck, rng, n)
    return items


def _trash_spots(rng: np.random.Generator, n: int) -> Floats:
    """Trash falls in clumps: x, y of n pieces, half of them around a few centres."""
    centres = rng.uniform((0, -BED[1] / 2), BED, (26, 2)) - (0, 0)
    centres[:, 1] = rng.uniform(-BED[1] / 2, BED[1] / 2, 26)
    spots = centres[rng.integers(26, size=n)] + rng.normal(0, 0.24, (n, 2))
    even = np.stack([rng.uniform(0, BED[0], n), rng.uniform(-BED[1] / 2, BED[1] / 2, n)], 1)
    return np.where(rng.random((n, 1)) < 0.45, spots, even).astype(np.float32)


def _leaves(truck: Truck, rng: np.random.Generator, cover: float) -> Items:
    """Leaves, tops and sheaths that cover about this share of the load's surface."""
    area = BED[0] * BED[1]
    n = int(-np.log(max(1 - cover, 0.02)) * area / LEAF_AREA[truck.form])
    sheath = rng.random(n) < 0.14
    items = make_items(n, Kind.LEAF)
    items.kind[sheath] = Kind.SHEATH
    length = np.where(sheath, rng.uniform(0.10, 0.26, n), rng.gamma(6.0, 0.105, n).clip(0.2, 1.3))
    spot = _trash_spots(rng, n)
    angle = rng.uniform(-np.pi, np.pi, n)
    if truck.form == "whole":
        along = rng.normal(0, 0.45, n) + np.where(rng.random(n) < 0.5, np.pi, 0)
        angle = np.where(rng.random(n) < 0.65, along, angle)
    else:
        length = np.where(sheath, length, length * 0.62)
    # A top is a fan of leaves from one point: pull groups of leaves to a common foot.
    fan = (rng.random(n) < 0.4) & ~sheath
    group = np.arange(n) // 7 * 7
    spot[fan] = spot[group[fan]] + rng.normal(0, 0.012, (int(fan.sum()), 2))
    angle[fan] = angle[group[fan]] + rng.normal(0, 0.30, int(fan.sum()))
    direction = np.stack([np.cos(angle), np.sin(angle)], 1)
    items.start[:, :2] = spot
    items.end[:, :2] = spot + direction * length[:, None]
    half = np.where(
        sheath, rng.uniform(0.010, 0.024, n), rng.gamma(8, 0.0016, n).clip(0.004, 0.024)
    )
    items.half[:] = half[:, None]
    items.bend[:] = rng.normal(0, 1, (n, 2)) * length[:, None] * [0.085, 0.03]
    items.ends[:] = rng.gamma(1.0, 0.010, (n, 6)).clip(0, 0.05)
    items.taper[:, 0] = np.where(sheath, 0.9, rng.uniform(0.35, 0.9, n))
    items.taper[:, 1] = np.where(sheath, 0.7, rng.uniform(0.02, 0.3, n))
    items.tone[:] = _leaf_tones(truck, rng, n)
    return items


def _leaf_tones(truck: Truck, rng: np.random.Generator, n: int) -> Floats:
    """Appearance of n leaves; columns as in textures.leaf_colours."""
    tone = np.zeros((n, TONES), np.float32)
    # Fire takes the green leaves first; a freshly cut load may be all straw, too.
    dry_share = 1 - (1 - truck.burnt_share) ** 1.2 * rng.uniform(0.15, 0.85)
    dry = rng.random(n) < dry_share
    tone[:, 0] = np.where(dry, rng.uniform(0.65, 1.0, n), rng.beta(1.4, 4.0, n))
    singed = rng.random(n) < 0.75 * truck.burnt_share
    tone[:, 3] = np.where(singed, rng.uniform(0.3, 1.0, n), 0.0)
    tone[:, 2] = rng.normal(0, 0.6, n)
    tone[:, 5] = rng.random(n)
    tone[:, 8] = np.exp(rng.normal(0, 0.22, n))
    tone[:, 9:11] = rng.uniform(0, 4096, (n, 2))
    return tone


def _clods(truck: Truck, rng: np.random.Generator, cover: float) -> Items:
    """Soil clods and a few stones that cover about this share of the surface."""
    n = int(cover * BED[0] * BED[1] / 0.0005)
    items = make_items(n, Kind.CLOD)
    items.kind[rng.random(n) < 0.03] = Kind.STONE
    size = rng.gamma(1.3, 0.009, n).clip(0.003, 0.05)
    spot = _trash_spots(rng, n)
    angle = rng.uniform(-np.pi, np.pi, n)
    direction = np.stack([np.cos(angle), np.sin(angle)], 1)
    items.start[:, :2] = spot - direction * size[:, None] * 0.65
    items.end[:, :2] = spot + direction * size[:, None] * 0.65
    items.half[:] = (size * rng.uniform(0.55, 1.0, n))[:, None]
    items.taper[:] = rng.uniform(0.3, 0.9, (n, 2))
    items.ends[:] = rng.uniform(0, 0.3, (n, 6)) * size[:, None]
    items.tone[:, 8] = np.exp(rng.normal(0, 0.18, n))
    items.tone[:, 9:11] = rng.uniform(0, 4096, (n, 2))
    return items


def _batched(items: Items, rng: np.random.Generator, late: float) -> list[Items]:
    """Split into batches in random order; `late` > 1 puts most things near the top."""
    when = (rng.random(len(items)) ** (1 / late) * _BATCHES).astype(int)
    return [items.take(when == batch) for batch in range(_BATCHES)]


def build_load(truck: Truck) -> Items:
    """Everything that lies on this truck's bed, in truck coordinates, settled.

    An empty truck has a handful of leftovers on the floor.
    """
    rng = np.random.default_rng([truck.seed, 1])
    soil_part = rng.beta(1.2, 4.5)
    cover = truck.trash_share / 100
    stalks = _stalks(truck, rng)
    leaves = _leaves(truck, rng, cover * (1 - soil_part))
    clods = _clods(truck, rng, cover * soil_part)
    if truck.cause == "empty":
        keep = rng.uniform(0.0, 0.02 + 0.08 * truck.difficulty)
        stalks, leaves, clods = (
            part.take(rng.random(len(part)) < share)
            for part, share in ((stalks, keep), (leaves, 0.1 + 2 * keep), (clods, 0.5))
        )
        heap = Heap(rng, 0.0)
        heap.height[:] = 0.0
    else:
        heap = Heap(rng, LOAD_TOP_Z - 0.30 + rng.normal(0, 0.05))
    settled: list[Items] = []
    parts = (
        _batched(stalks, rng, 1.0),
        _batched(leaves, rng, 5.0),
        _batched(clods, rng, 5.0),
    )
    for stalk_batch, leaf_batch, clod_batch in zip(*parts, strict=True):
        for batch, limp in ((stalk_batch, False), (leaf_batch, True), (clod_batch, False)):
            heap.rest(batch, limp)
            settled.append(batch)
    return join_items(settled)
