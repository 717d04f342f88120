"""Which thing does a pixel show, and where on the thing does it lie?

Things are painted far to near as polygons of their number (the visibility buffer). From the
number alone every pixel then finds its place along and across the thing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from simulator.items import Floats, Items
from simulator.viewpoints import Viewpoint

_STATIONS: Final = np.array(
    [0.0, 0.04, 0.12, 0.22, 0.34, 0.46, 0.58, 0.70, 0.81, 0.90, 0.96, 1.0], np.float32
)
_SHIFT: Final = 4


@dataclass
class Panel:
    """A flat textured rectangle: bed, walls, cab, plate. Corners in texture order, metres."""

    corners: Floats
    """(4, 3): top left, top right, bottom right, bottom left of the texture."""
    texture: Callable[[], npt.NDArray[np.uint8]]
    """Draws the (h, w, 3) RGB picture, sRGB-coded; called only when the panel shows."""
    gloss: float = 0.1


@dataclass
class Placed:
    """Things as one camera sees them, in pixels; row i belongs to number i + 1."""

    items: Items
    start: Floats
    """(n, 2) start of the axis in pixels."""
    along: Floats
    """(n, 2) multiplied with (pixel - start) gives u."""
    side: Floats
    """(n, 2) unit vector across."""
    bend: Floats
    """(n, 2) bow and S in pixels."""
    half: Floats
    """(n, 2) half widths in pixels."""
    depth: Floats
    """(n, 2) distance from the camera at both ends, metres."""
    metres: Floats
    """(n,) true length of the axis."""
    base: Floats
    """(n, 3) unit vector from the axis towards the camera: right, down, towards."""
    outline: Floats
    """(n, m, 2) polygon in pixels."""


def profile(u: Floats, start: Floats, end: Floats) -> Floats:
    """Width at u as a share of the full width; start and end are what is left at the ends."""
    rise = np.minimum(u * 4.0, 1.0)
    rise = rise * (2 - rise)
    return np.asarray((start + (1 - start) * rise) * (end + (1 - end) * (1 - u * u)))


def centre_line(u: Floats, bow: Floats, wave: Floats) -> Floats:
    """Sideways offset of the axis at u: a bow and an S, in any unit."""
    return np.asarray(bow * 4 * u * (1 - u) + wave * 10.4 * u * (1 - u) * (1 - 2 * u))


def place(items: Items, view: Viewpoint, width: int) -> Placed:
    """Project things into a frame of this width, drop those outside it, sort far to near."""
    start, depth_start = view.project(items.start)
    end, depth_end = view.project(items.end)
    middle = 0.5 * (start + end)
    reach = np.linalg.norm(end - start, axis=1) * 0.65 + 0.05
    offset = items.start - view.position
    seen = (
        (middle[:, 0] > -reach)
        & (middle[:, 0] < 1 + reach)
        & (middle[:, 1] > -reach)
        & (middle[:, 1] < 0.75 + reach)
        & (offset @ view.forward > 0.2)
    )
    order = np.argsort(-(depth_start + depth_end), kind="stable")
    rows = order[seen[order]]
    items = items.take(rows)
    start, end = start[rows] * width, end[rows] * width
    depth = np.stack([depth_start[rows], depth_end[rows]], 1)

    chord = end - start
    length = np.linalg.norm(chord, axis=1, keepdims=True) + 1e-3
    unit = chord / length
    side = np.stack([unit[:, 1], -unit[:, 0]], 1)
    scale = view.focal * width / depth
    half = (items.half * scale).astype(np.float32)
    bend = items.bend * scale.mean(1, keepdims=True)

    axis = items.end - items.start
    metres = np.linalg.norm(axis, axis=1) + 1e-6
    axis = axis / metres[:, None]
    axis = np.stack([axis @ view.right, axis @ view.down, -(axis @ view.forward)], 1)
    base = np.array([0, 0, 1], np.float32) - axis * axis[:, 2:]
    base /= np.linalg.norm(base, axis=1, keepdims=True) + 1e-6
    return Placed(
        items=items,
        start=start,
        along=chord / length**2,
        side=side,
        bend=bend,
        half=half,
        depth=depth,
        metres=metres.astype(np.float32),
        base=base.astype(np.float32),
        outline=_outlines(items, start, chord, side, bend, half, metres.astype(np.float32)),
    )


def _outlines(
    items: Items,
    start: Floats,
    chord: Floats,
    side: Floats,
    bend: Floats,
    half: Floats,
    metres: Floats,
) -> Floats:
    cut = np.minimum(items.ends / metres[:, None], 0.35)
    n, m = len(items), len(_STATIONS)
    left = cut[:, :1] + _STATIONS * (1 - cut[:, :1] - cut[:, 3:4])
    right = cut[:, 2:3] + _STATIONS * (1 - cut[:, 2:3] - cut[:, 5:6])
    u = np.concatenate([left, 1 - cut[:, 4:5], right[:, ::-1], cut[:, 1:2]], 1)
    v = np.concatenate(
        [np.full((n, m), -1.0), np.zeros((n, 1)), np.full((n, m), 1.0), np.zeros((n, 1))], 1
    )
    width = half[:, :1] + (half[:, 1:] - half[:, :1]) * u
    width = width * profile(u, items.taper[:, :1], items.taper[:, 1:])
    across = v * width + centre_line(u, bend[:, :1], bend[:, 1:])
    return np.asarray(
        start[:, None] + chord[:, None] * u[..., None] + side[:, None] * across[..., None],
        np.float32,
    )


def paint(
    placed: Placed, panels: list[Panel], view: Viewpoint, size: tuple[int, int], panels_first: bool
) -> npt.NDArray[np.int32]:
    """The visibility buffer (h, w): 0 nothing, i + 1 thing i, n + 1 + j panel j.

    Panels come before all things, or sorted among them by distance.
    """
    width, height = size
    numbers = np.zeros((height, width), np.int32)
    n = len(placed.items)
    corners = [view.project(p.corners)[0] * width for p in panels]
    far = [float((p.corners.mean(0) - view.position) @ view.forward) for p in panels]
    things = np.round((placed.outline - 0.5) * (1 << _SHIFT)).astype(np.int32)
    flats = [np.round((c - 0.5) * (1 << _SHIFT)).astype(np.int32) for c in corners]
    waiting = sorted(range(len(panels)), key=lambda j: -far[j])
    if panels_first:
        for j in waiting:
            cv2.fillConvexPoly(numbers, flats[j], n + 1 + j, shift=_SHIFT)
        waiting = []
    distance = placed.depth.mean(1)
    for i in range(n):
        while waiting and far[waiting[0]] > distance[i]:
            j = waiting.pop(0)
            cv2.fillConvexPoly(numbers, flats[j], n + 1 + j, shift=_SHIFT)
        cv2.fillPoly(numbers, [things[i]], i + 1, shift=_SHIFT)
    for j in waiting:
        cv2.fillConvexPoly(numbers, flats[j], n + 1 + j, shift=_SHIFT)
    return numbers


def panel_coordinates(
    panel: Panel, view: Viewpoint, width: int, x: Floats, y: Floats
) -> tuple[Floats, Floats]:
    """Texture coordinates (0 to 1 each) of pixels on a panel."""
    corners = (view.project(panel.corners)[0] * width).astype(np.float32)
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    m = cv2.getPerspectiveTransform(corners, unit)
    w = m[2, 0] * x + m[2, 1] * y + m[2, 2]
    u = (m[0, 0] * x + m[0, 1] * y + m[0, 2]) / w
    v = (m[1, 0] * x + m[1, 1] * y + m[1, 2]) / w
    return np.clip(u, 0, 1).astype(np.float32), np.clip(v, 0, 1).astype(np.float32)
