"""A tarpaulin over the load: a sagging sheet with ropes, seams, and a hem with eyelets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from simulator.heap import BED
from simulator.items import Floats
from simulator.noise import BLOTCH, CLOUD, GRAIN, STREAK, linear, noise_at, smooth
from simulator.raster import Panel
from simulator.surface import Surface
from simulator.truth import Truck
from simulator.viewpoints import LOAD_TOP_Z, Viewpoint

_PAINTS: Final = ((44, 84, 140), (52, 92, 62), (66, 68, 70), (170, 92, 44), (128, 124, 112))
_ROPE: Final = linear((186, 172, 140))
_BRASS: Final = linear((150, 136, 96))


@dataclass(frozen=True)
class _Sheet:
    """How one truck is covered. Lengths in metres."""

    paint: tuple[int, int, int]
    edge: float
    """Where along the bed the middle of the sheet lies."""
    reach: float
    """How far it goes from there along the bed."""
    pitch: float
    """From rope to rope."""
    slant: float
    """How far a rope runs along the bed for each metre across."""


def _sheet_of(truck: Truck) -> _Sheet:
    rng = np.random.default_rng([truck.seed, 11])
    paint = _PAINTS[int(rng.integers(len(_PAINTS)))]
    # The harder the set, the more cane peeps out.
    cover = rng.uniform(0.75 - 0.2 * truck.difficulty, 1.25)
    return _Sheet(
        paint,
        edge=float(rng.uniform(0, BED[0])),
        reach=float(cover * BED[0] / 1.6),
        pitch=float(rng.uniform(0.7, 1.2)),
        slant=float(rng.uniform(-0.35, 0.35)),
    )


def covers_front(truck: Truck) -> bool:
    """Whether the front camera sees a tarpaulin instead of the load."""
    sheet = _sheet_of(truck)
    return truck.cause == "tarpaulin" and sheet.edge < sheet.reach


def front_panel(truck: Truck) -> Panel:
    """The sheet hanging down over the headboard, as the front camera sees it."""
    half, top = BED[1] / 2, LOAD_TOP_Z + 0.08
    corners = [(-0.12, half, top), (-0.12, -half, top), (-0.12, -half, 0.8), (-0.12, half, 0.8)]
    return Panel(np.array(corners, np.float32), partial(_front_picture, truck))


def _front_picture(truck: Truck) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng([truck.seed, 12])
    h, w = 130, 260
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    folds = rng.normal(0, 1, (h, w)).astype(np.float32)
    folds = np.asarray(cv2.GaussianBlur(folds, (0, 0), 5, sigmaY=28), np.float32)
    light = 1 + 0.16 * folds / folds.std() - 0.25 * (y / h)
    image = np.array(_sheet_of(truck).paint, np.float32) * light[..., None]
    image[np.abs((x + y * np.float32(0.6)) % 86 - 43) < 2] = (178, 164, 134)
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def cover_with_tarpaulin(surface: Surface, truck: Truck, view: Viewpoint, width: int) -> None:
    """Lay the sheet over what a camera straight above sees."""
    sheet = _sheet_of(truck)
    h, w = surface.mask.shape
    scale = view.focal * width / (view.position[2] - LOAD_TOP_Z)
    x, y = np.meshgrid(
        view.position[0] + (np.arange(w, dtype=np.float32) - w / 2) / np.float32(scale),
        (np.arange(h, dtype=np.float32) - h / 2) / np.float32(scale) - view.position[1],
    )
    x, y = x.astype(np.float32), y.astype(np.float32)
    ox, oy = np.random.default_rng([truck.seed, 13]).uniform(0, 4096, 2)
    texels = 1000 / scale

    def noise(fx: float, fy: float) -> Floats:
        u, v = (x * fx + ox).ravel(), (y * fy + oy).ravel()
        return noise_at(u.astype(np.float32), v.astype(np.float32), texels * fx / 1000).reshape(
            4, h, w
        )

    def calm(field: Floats, metres: float) -> Floats:
        return np.asarray(cv2.GaussianBlur(field, (0, 0), max(0.5, metres * scale)), np.float32)

    sag, folds, weave = noise(60, 60), noise(260, 44), noise(1000, 1000)
    inside = sheet.reach - np.abs(x - sheet.edge) - 0.9 * np.abs(y) + 0.12 * calm(sag[CLOUD], 0.08)
    # Where the ground shows beside the truck there is nothing to cover.
    under = (inside > 0) & (calm(surface.height, 0.02) > -(view.position[2] + 0.2))
    along = (x - sheet.slant * y) % np.float32(sheet.pitch) - np.float32(sheet.pitch / 2)
    bound = inside > 0.35  # a rope ends at an eyelet's tie, short of the hem
    height = calm(surface.height, 0.11) + 0.035 + 0.028 * calm(sag[CLOUD], 0.08)
    height = height + 0.011 * calm(folds[CLOUD], 0.022) + 0.008 * calm(weave[BLOTCH], 0.03)
    # Pulled tight, the sheet sinks under each rope and bulges between them.
    height = height - np.float32(0.045) * np.exp(-np.abs(along) / np.float32(0.09)) * bound
    height = calm(np.asarray(height, np.float32), 0.007)
    rope = bound & (np.abs(along) < 0.009)
    round_up = np.sqrt(np.maximum(1 - (along / np.float32(0.009)) ** 2, 0)) * rope
    height += np.float32(0.009) * round_up

    colour = linear(sheet.paint)[:, None, None] * np.exp(
        0.05 * weave[GRAIN] + 0.03 * folds[STREAK] + 0.06 * calm(sag[BLOTCH], 0.06)
    )
    seam = np.abs((x - sheet.edge + 0.75) % np.float32(1.5) - np.float32(0.75)) < 0.012
    hem = inside < 0.06
    colour = colour * (1 - 0.25 * (seam | hem))
    ring = np.hypot(inside - 0.03, (y * np.float32(1.3)) % np.float32(0.4) - np.float32(0.2))
    colour = np.where(ring < 0.020, _BRASS[:, None, None], colour)
    colour = np.where(ring < 0.011, np.float32(0.01), colour)
    twist = 0.8 + 0.3 * smooth(-0.3, 0.3, np.sin((y * 260 + along * 300).astype(np.float32)))
    colour = np.where(rope, _ROPE[:, None, None] * twist, colour)
    _lay(surface, np.flatnonzero(under), colour.astype(np.float32), height, scale)


def _lay(
    surface: Surface, pixels: npt.NDArray[np.intp], colour: Floats, height: Floats, scale: float
) -> None:
    sx = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=scale / 8)
    sy = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=scale / 8)
    slopes = np.stack([-sx, -sy, np.ones_like(sx)])
    normal: Floats = np.asarray(slopes / np.linalg.norm(slopes, axis=0), np.float32)
    surface.put("albedo", pixels, colour.reshape(3, -1)[:, pixels])
    surface.put("normal", pixels, normal.reshape(3, -1)[:, pixels])
    surface.height.reshape(-1)[pixels] = height.reshape(-1)[pixels]
    surface.gloss.reshape(-1)[pixels] = 0.05
    surface.mask.reshape(-1)[pixels] = 0
