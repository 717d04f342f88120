"""What is on a load besides stalks: leaves, tops, sheaths and soil."""

from __future__ import annotations

from typing import Final

import numpy as np

from simulator.heap import BED
from simulator.items import TONES, Floats, Items, Kind, join_items, make_items
from simulator.truth import Truck

_HIDES: Final = {"billets": (0.66, 0.50), "whole": (0.41, 0.40)}
"""Share of a leaf's length times width that hides load, and how much more leaf a thick cover
takes, as leaves fall in clumps; both measured, so that trash_share is what the mask shows."""


def _trash_spots(rng: np.random.Generator, n: int) -> Floats:
    """Trash falls in clumps: x, y of n pieces, half of them around a few centres."""
    low, high = (0, -BED[1] / 2), (BED[0], BED[1] / 2)
    centres = rng.uniform(low, high, (26, 2))
    spots = centres[rng.integers(26, size=n)] + rng.normal(0, 0.24, (n, 2))
    even = rng.uniform(low, high, (n, 2))
    return np.where(rng.random((n, 1)) < 0.45, spots, even).astype(np.float32)


def draw_leaves(truck: Truck, rng: np.random.Generator, cover: float) -> Items:
    """Leaves, tops and sheaths that cover about this share of the load's surface."""
    hides, clumped = _HIDES[truck.form]
    wanted = -np.log(max(1 - cover, 0.02)) * BED[0] * BED[1] / hides * (1 + clumped * cover)
    n = int(wanted / (0.0035 if truck.form == "billets" else 0.0075)) + 8
    tone = _leaf_tones(truck, rng, n)
    sheath = rng.random(n) < 0.14
    length = np.where(sheath, rng.uniform(0.10, 0.26, n), rng.gamma(6.0, 0.105, n).clip(0.2, 1.3))
    if truck.form == "billets":  # the harvester has chopped them, too
        length = np.where(sheath, length, length * 0.55)
    half = np.where(
        sheath, rng.uniform(0.010, 0.024, n), rng.gamma(8, 0.0016, n).clip(0.004, 0.024)
    )
    # Drying, a leaf rolls up along its midrib.
    rolled = np.where(sheath, 0.0, tone[:, 0] * rng.uniform(0.15, 0.75, n))
    half = half * (1 - rolled)
    n = int(np.searchsorted(np.cumsum(2 * half * length), wanted))
    sheath, length, half = sheath[:n], length[:n], half[:n]

    spot = _trash_spots(rng, n)
    angle = rng.uniform(-np.pi, np.pi, n)
    if truck.form == "whole":
        along = rng.normal(0, 0.45, n) + np.where(rng.random(n) < 0.5, np.pi, 0)
        angle = np.where(rng.random(n) < 0.65, along, angle)
    # A top is a fan of leaves from one point: pull groups of leaves to a common foot.
    fan = (rng.random(n) < 0.4) & ~sheath
    group = np.arange(n) // 7 * 7
    spot[fan] = spot[group[fan]] + rng.normal(0, 0.012, (int(fan.sum()), 2))
    angle[fan] = angle[group[fan]] + rng.normal(0, 0.30, int(fan.sum()))
    direction = np.stack([np.cos(angle), np.sin(angle)], 1)
    items = make_items(n, Kind.LEAF)
    items.kind[sheath] = Kind.SHEATH
    items.start[:, :2] = spot
    items.end[:, :2] = spot + direction * length[:, None]
    items.half[:] = half[:, None]
    items.bend[:] = rng.normal(0, 1, (n, 2)) * length[:, None] * [0.085, 0.03]
    items.ends[:] = rng.gamma(1.0, 0.010, (n, 6)).clip(0, 0.05)
    items.taper[:, 0] = np.where(sheath, 0.9, rng.uniform(0.35, 0.9, n))
    items.taper[:, 1] = np.where(sheath, 0.7, rng.uniform(0.02, 0.3, n))
    items.tone[:] = tone[:n]
    return items


def fold_leaves(leaves: Items, rng: np.random.Generator) -> Items:
    """Long leaves broken in two at a knee, some folded double; each half then drapes by itself."""
    axis = leaves.end - leaves.start
    length = np.linalg.norm(axis, axis=1)
    limp = (leaves.kind == Kind.LEAF) & (length > 0.18) & (rng.random(len(leaves)) < 0.75)
    knee = rng.uniform(0.3, 0.7, (int(limp.sum()), 1)).astype(np.float32)
    turn = rng.normal(0, 0.35, len(knee)) + np.pi * (rng.random(len(knee)) < 0.08)
    rest = leaves.take(limp)
    c, s = np.cos(turn), np.sin(turn)
    way = axis[limp] * (1 - knee)
    rest.start = rest.start + axis[limp] * knee
    rest.end = rest.start.copy()
    rest.end[:, 0] += c * way[:, 0] - s * way[:, 1]
    rest.end[:, 1] += s * way[:, 0] + c * way[:, 1]
    leaves.end[limp] = rest.start
    leaves.bend[limp] *= knee
    rest.bend *= 1 - knee
    leaves.taper[limp, 1] = rest.taper[:, 0] = 1.0
    leaves.ends[limp, 3:] = rest.ends[:, :3] = 0.0
    # Leaves dry from the tip, and each half rolls its own way.
    leaves.tone[limp, 0] -= 0.09
    rest.tone[:, 0] += 0.09
    rest.tone[:, 2] = rng.normal(0, 0.6, len(rest))
    return join_items([leaves, rest])


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


def draw_clods(truck: Truck, rng: np.random.Generator, cover: float) -> Items:
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
