"""What is not the truck: the weighbridge deck, the yard behind it, and a tarpaulin on top."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from simulator.items import Floats
from simulator.light import scenery_rng, station_rng
from simulator.load import BED
from simulator.noise import BLOTCH, CLOUD, GRAIN, STREAK, linear, noise_at, smooth
from simulator.shade import Surface
from simulator.textures import mix
from simulator.truth import Truck
from simulator.viewpoints import DECK_Z, LOAD_TOP_Z, Viewpoint

_TARPS: Final = ((40, 84, 150), (46, 96, 60), (58, 60, 62), (190, 96, 36), (150, 150, 146))
_STRIP: Final = 200_000


def shade_ground(
    surface: Surface, bare: npt.NDArray[np.bool_], truck: Truck, view: Viewpoint, width: int
) -> None:
    """Concrete deck with joints, tracks, stains and litter; trees and sheds beyond it."""
    w = surface.mask.shape[1]
    pixels = np.flatnonzero(bare)
    typical = 9.0 if view.name == "C101" else view.position[2] - DECK_Z
    texels = 1000.0 * float(typical) / (view.focal * width)
    for first in range(0, len(pixels), _STRIP):
        some = pixels[first : first + _STRIP]
        x = ((some % w) + 0.5) / width - 0.5
        y = ((some // w) + 0.5) / width - 0.375
        ray = (
            view.forward
            + (x / view.focal)[:, None].astype(np.float32) * view.right
            + (y / view.focal)[:, None].astype(np.float32) * view.down
        )
        reach = np.where(ray[:, 2] < -0.02, (DECK_Z - view.position[2]) / ray[:, 2], 1e3)
        point = view.position + ray * np.minimum(reach, 60.0)[:, None].astype(np.float32)
        colour = _deck(point, truck, texels)
        far = reach > 30
        if far.any():
            colour[far] = _horizon(ray[far], truck)
        surface.albedo.reshape(-1, 3)[some] = colour
        surface.height.reshape(-1)[some] = -np.minimum(reach, 60.0)
        towards = np.array([0, 0, 1], np.float32)
        up = np.array([view.right[2], view.down[2], -view.forward[2]], np.float32)
        surface.normal.reshape(-1, 3)[some] = np.where(far[:, None], towards, up)
        surface.gloss.reshape(-1)[some] = 0.05


def _deck(point: Floats, truck: Truck, texels: float) -> Floats:
    rng = station_rng(truck, "deck")
    today = scenery_rng(truck, "deck")
    ox, oy = rng.uniform(0, 4096, 2)
    tx, ty = today.uniform(0, 4096, 2)
    x, y = point[:, 0], point[:, 1]
    fine = noise_at(x * 1000 + ox, y * 1000 + oy, texels)
    broad = noise_at(x * 130 + oy, y * 130 + ox, texels * 0.13)
    daily = noise_at(x * 200 + tx, y * 700 + ty, texels * 0.4)
    grey = linear((140, 136, 128)) * np.float32(rng.uniform(0.75, 1.15))
    light = np.exp(0.10 * fine[:, GRAIN] + 0.07 * fine[:, CLOUD] + 0.10 * broad[:, CLOUD])
    colour = grey[None] * light[:, None]
    colour = mix(
        colour,
        linear((62, 58, 54)),
        0.4 * smooth(0.8, 2.4, broad[:, BLOTCH] + 0.5 * daily[:, CLOUD]),
    )
    for lane in (-0.95, 0.95):
        track = np.exp(-(((y - lane) / 0.26) ** 2)) * (0.45 + 0.15 * daily[:, STREAK])
        colour = mix(colour, linear((58, 54, 50)), np.clip(track, 0, 0.8))
    joint = np.minimum(np.abs((x + 0.4) % 3.0 - 1.5), np.abs(np.abs(y) - 1.62))
    colour = mix(colour, linear((30, 28, 27)), 0.85 * smooth(0.014, 0.006, joint))
    litter = noise_at(x * 420 + tx, y * 420 - ty, texels * 0.4)
    straw = smooth(2.9, 3.5, litter[:, CLOUD] + 0.8 * litter[:, STREAK])
    return mix(colour, linear((186, 160, 112)), 0.8 * straw)


def _horizon(ray: Floats, truck: Truck) -> Floats:
    """Sky above sheds and trees, as albedo under the sky's light."""
    rng = station_rng(truck, "horizon")
    slope = np.asarray(ray[:, 2] / np.hypot(ray[:, 0], ray[:, 1]), np.float32)
    turn = np.asarray(np.arctan2(ray[:, 1], ray[:, 0]), np.float32)
    noise = noise_at(turn * 160, np.full_like(turn, rng.uniform(0, 999)), 4.0)
    trees = 0.10 + 0.03 * noise[:, CLOUD]
    sky = mix(
        np.array([[0.75, 0.78, 0.82]], np.float32), linear((170, 196, 226)), smooth(0, 0.5, slope)
    )
    wood = mix(linear((50, 62, 40))[None], linear((84, 90, 66)), smooth(-1, 1, noise[:, BLOTCH]))
    # The sky shines by itself: brighter than any surface under it.
    return mix(sky * np.float32(2.6), wood, smooth(0.01, -0.01, slope - trees))


def cover_with_tarpaulin(
    surface: Surface, truck: Truck, view: Viewpoint, width: int, camera: str
) -> None:
    """A wrinkled sheet over most of the load; the harder the set, the more cane peeps out."""
    h, w = surface.mask.shape
    rng = np.random.default_rng([truck.seed, 11])
    paint = linear(_TARPS[int(rng.integers(len(_TARPS)))])
    cover = rng.uniform(0.75 - 0.2 * truck.difficulty, 1.25)
    edge = rng.uniform(0, BED[0])
    ox, oy = rng.uniform(0, 4096, 2)
    scale = view.focal * width / (view.position[2] - LOAD_TOP_Z if camera != "C101" else 5.5)
    x = view.position[0] + (np.arange(w, dtype=np.float32) - w / 2) / np.float32(scale)
    y = (np.arange(h, dtype=np.float32) - h / 2) / np.float32(scale)
    if camera == "C101":
        return
    gx, gy = np.meshgrid(x, y)
    texels = 1000 / scale
    fold = noise_at((gx * 130 + ox).ravel(), (gy * 190 + oy).ravel(), texels * 0.2)
    fine = noise_at((gx * 1000 + ox).ravel(), (gy * 1000 + oy).ravel(), texels)
    fold, fine = fold.reshape(h, w, 4), fine.reshape(h, w, 4)
    reach = np.abs(gx - edge) / BED[0] * 1.6 + 0.05 * fold[..., CLOUD] + 0.25 * np.abs(gy)
    under = (reach < cover) & (surface.height > -(view.position[2] + 0.2))
    smooth_heap = cv2.GaussianBlur(surface.height, (0, 0), max(0.5, 0.10 * scale))
    sheet = smooth_heap + 0.03 + 0.006 * fold[..., STREAK] + 0.022 * fold[..., CLOUD]
    sheet = cv2.GaussianBlur(sheet.astype(np.float32), (0, 0), max(0.3, 0.016 * scale))
    sx = cv2.Sobel(sheet, cv2.CV_32F, 1, 0, scale=scale / 8)
    sy = cv2.Sobel(sheet, cv2.CV_32F, 0, 1, scale=scale / 8)
    normal = np.stack([-sx, -sy, np.ones_like(sx)], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    light = np.exp(0.05 * fine[..., GRAIN] + 0.10 * fold[..., CLOUD])[..., None]
    surface.albedo[under] = (paint * light)[under]
    surface.normal[under] = normal[under]
    surface.height[under] = sheet[under]
    surface.gloss[under] = 0.35
    surface.mask[under] = 0
