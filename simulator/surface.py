"""The frame before light: what every pixel shows, with dust and rain laid over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.items import Floats
from simulator.light import Light
from simulator.noise import BLOTCH, CLOUD, GRAIN, noise_at


@dataclass
class Surface:
    """What a frame of h x w pixels shows. Colours and vectors are planes, channel first."""

    albedo: Floats
    """(3, h, w) linear RGB."""
    normal: Floats
    """(3, h, w) unit vectors: right, down, towards the camera."""
    height: Floats
    """(h, w) metres towards the camera; only differences matter."""
    gloss: Floats
    """(h, w) 0 matt to 1 wet."""
    mask: npt.NDArray[np.uint8]
    """(h, w) 0 other, 1 stalk, 2 leaf and trash."""

    def put(self, name: str, pixels: npt.NDArray[np.intp], planes: Floats) -> None:
        """Write (3, k) planes of "albedo" or "normal" at k flat pixel numbers."""
        for target, plane in zip(getattr(self, name).reshape(3, -1), planes, strict=True):
            target[pixels] = plane


def new_surface(height: int, width: int) -> Surface:
    """An empty frame of flat black."""
    surface = Surface(
        np.zeros((3, height, width), np.float32),
        np.zeros((3, height, width), np.float32),
        np.full((height, width), -30.0, np.float32),
        np.zeros((height, width), np.float32),
        np.zeros((height, width), np.uint8),
    )
    surface.normal[2] = 1
    return surface


def dirty(
    surface: Surface,
    light: Light,
    wet: float,
    pixels_per_metre: float,
    seed: int,
    cane_only: bool = False,
) -> None:
    """Lay dust on what looks up and rain on everything, or both on the cane only."""
    h, w = surface.mask.shape
    rng = np.random.default_rng([seed, 7])
    ox, oy = rng.uniform(0, 4096, 2).astype(np.float32)
    step = 1000.0 / pixels_per_metre
    x = np.arange(w, dtype=np.float32) * np.float32(step * 0.35) + ox
    y = np.arange(h, dtype=np.float32) * np.float32(step * 0.35) + oy
    if light.dust <= 0 and wet <= 0:
        return
    strip = max(1, 100_000 // w)  # rows at once: stays in the cache
    for top in range(0, h, strip):
        rows = slice(top, min(h, top + strip))
        gx, gy = np.meshgrid(x, y[rows])
        noise = noise_at(gx.ravel(), gy.ravel(), step * 0.35).reshape(4, *gx.shape)
        albedo = surface.albedo[:, rows]
        exposed = surface.mask[rows] > 0 if cane_only else np.float32(1)
        if light.dust > 0:
            patch = 0.55 + 0.3 * noise[CLOUD] + 0.12 * noise[GRAIN]
            film = light.dust * exposed * patch * (0.25 + 0.75 * surface.normal[2, rows])
            film = np.clip(film, 0, 0.9) * np.float32(0.85)
            albedo += (light.dust_colour[:, None, None] - albedo) * film
        if wet > 0:
            soak = wet * exposed * np.clip(0.75 + 0.35 * noise[BLOTCH], 0, 1)
            albedo *= 1 - 0.5 * soak
            surface.gloss[rows] += 0.55 * soak
