"""A load of cane: stalks, leaves and soil settled into a heap on the truck's bed.

The load depends on the truck alone, so that all cameras see one and the same heap.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from simulator.heap import BED, Heap
from simulator.items import TONES, Floats, Items, Kind, join_items, make_items
from simulator.trash import draw_clods, draw_leaves, fold_leaves
from simulator.truth import Truck
from simulator.viewpoints import LOAD_TOP_Z

_BATCHES: Final = 26


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
    # Knives cut aslant; one end in four splinters.
    slant = rng.normal(0, 0.004, (n, 2, 1)) * np.array([-1, 0, 1])
    splinters = rng.gamma(1.2, ragged, (n, 2, 3)).clip(0, 0.05) * (rng.random((n, 2, 1)) < 0.25)
    cut = slant - slant.min(axis=2, keepdims=True) + splinters + rng.gamma(1.0, 0.001, (n, 2, 3))
    items.ends[:] = cut.reshape(n, 6)
    items.tone[:] = _stalk_tones(truck, rng, n)
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
    leaves = draw_leaves(truck, rng, cover * (1 - soil_part))
    clods = draw_clods(truck, rng, cover * soil_part)
    if truck.cause == "empty":
        keep = rng.uniform(0.0, 0.01 + 0.04 * truck.difficulty)
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
        [fold_leaves(batch, rng) for batch in _batched(leaves, rng, 5.0)],
        _batched(clods, rng, 5.0),
    )
    for stalk_batch, leaf_batch, clod_batch in zip(*parts, strict=True):
        for batch, limp in ((stalk_batch, False), (leaf_batch, True), (clod_batch, False)):
            heap.rest(batch, limp)
            settled.append(batch)
    return join_items(settled)
