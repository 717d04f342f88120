"""Fills the surface: what each pixel of a thing or panel looks like, kind by kind."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from simulator import textures
from simulator.items import MASK_CLASS, TONES, Floats, Kind
from simulator.light import Light
from simulator.noise import CLOUD, STREAK, linear, noise_at
from simulator.raster import Panel, Placed, centre_line, panel_coordinates, profile
from simulator.sprites import Sprites
from simulator.surface import Surface
from simulator.viewpoints import Viewpoint

_STRIP: Final = 60_000  # pixels shaded at once: stays in the cache
_STEEL: Final = linear((112, 104, 98))


def shade_things(
    surface: Surface,
    numbers: npt.NDArray[np.int32],
    placed: Placed,
    view: Viewpoint,
    light: Light,
    sprites: Sprites | None = None,
) -> None:
    """Fill in all pixels that show a thing."""
    width = surface.mask.shape[1]
    n = len(placed.items)
    table = _table(placed)
    flat = numbers.reshape(-1)
    kinds = np.concatenate([[255], placed.items.kind, [255]]).astype(np.uint8)
    shown = kinds[np.minimum(flat, n + 1)]
    for kind in np.unique(shown):
        if kind == 255:
            continue
        pixels = np.flatnonzero(shown == kind)
        for first in range(0, len(pixels), _STRIP):
            some = pixels[first : first + _STRIP]
            _shade_kind(
                surface, some, flat[some] - 1, Kind(int(kind)), table, view, light, width, sprites
            )


def _table(placed: Placed) -> Floats:
    """What shading needs to know of each thing, one row a property, to be looked up by number."""
    items = placed.items
    return np.ascontiguousarray(
        np.concatenate(
            [
                *(placed.start, placed.along, placed.side, placed.bend, placed.half),
                *(placed.depth, placed.metres[:, None], placed.base),
                *(items.half.mean(1, keepdims=True), items.taper, items.tone),
            ],
            axis=1,
        ).T,
        np.float32,
    )


def _shade_kind(
    surface: Surface,
    pixels: npt.NDArray[np.intp],
    rows: npt.NDArray[np.int32],
    kind: Kind,
    table: Floats,
    view: Viewpoint,
    light: Light,
    width: int,
    sprites: Sprites | None,
) -> None:
    row = iter(table.take(rows, axis=1, mode="clip"))

    def some(count: int) -> Floats:
        return np.stack([next(row) for _ in range(count)])

    x = (pixels % width + 0.5).astype(np.float32) - next(row)
    y = (pixels // width + 0.5).astype(np.float32) - next(row)
    u = np.clip(x * next(row) + y * next(row), 0, 1)
    side_x, side_y = next(row), next(row)
    across = x * side_x + y * side_y - centre_line(u, next(row), next(row))
    half_start, half_end = next(row), next(row)
    near, far = next(row), next(row)
    metres = next(row)
    base_x, base_y, base_z = next(row), next(row), next(row)
    metres_half, taper_start, taper_end = next(row), next(row), next(row)
    tone = some(TONES)

    v = np.clip(across / (half_start + (half_end - half_start) * u), -1, 1)
    if kind in (Kind.LEAF, Kind.SHEATH):
        v = np.clip(v / np.maximum(profile(u, taper_start, taper_end), 0.05), -1, 1)
    s = u * metres
    texels = 1000.0 / (view.focal * width / float(0.5 * (near + far).mean()))
    height = -(near + (far - near) * u)
    lean, rise, gloss = v, None, 0.06

    if kind is Kind.STALK:
        to_end = np.minimum(s, metres - s)
        if sprites is None:
            colour = textures.stalk_colours(s, to_end, v, metres_half, tone, texels)
        else:
            across_px = float((half_start + half_end).mean())
            colour = textures.photo_colours(sprites, u, s, v, metres, tone, across_px, texels)
        gloss = 0.22
    elif kind is Kind.FACE:
        colour = textures.face_colours(u, v, tone, texels)
        lean = v * np.float32(0.1)
    elif kind is Kind.LEAF:
        colour = textures.leaf_colours(u, v, s, tone, texels)
        # A leaf rolls about its length and folds along its midrib.
        lean = np.sin(tone[2] * 0.8 + 1.5 * (u - 0.5) * tone[2]) * 0.8 + 0.28 * np.sign(v)
        lean = np.clip(lean, -0.9, 0.9)
        rise = metres_half * (0.15 + 0.25 * np.abs(v))
        gloss = 0.14
    elif kind is Kind.SHEATH:
        colour = textures.sheath_colours(u, v, s, tone, texels)
        lean = v * np.float32(0.8)
    elif kind in (Kind.CLOD, Kind.STONE):
        colour = textures.soil_colours(
            light.soil_colour, s, v * metres_half, tone, kind is Kind.STONE, texels
        )
        lean = v * np.float32(0.7)
    else:
        grain = noise_at(s * 300 + tone[9], v * 40 + tone[10], texels)
        colour = np.exp(0.25 * grain[CLOUD] + 0.2 * grain[STREAK]) * _STEEL[:, None]
        gloss = 0.2
    up = np.sqrt(np.maximum(1 - lean * lean, 0))
    height = height + (metres_half * up if rise is None else rise)
    surface.put("albedo", pixels, colour)
    normal = np.stack([base_x * up + side_x * lean, base_y * up + side_y * lean, base_z * up])
    surface.put("normal", pixels, normal)
    surface.height.reshape(-1)[pixels] = height
    surface.gloss.reshape(-1)[pixels] = gloss
    surface.mask.reshape(-1)[pixels] = MASK_CLASS[kind]


def shade_panels(
    surface: Surface,
    numbers: npt.NDArray[np.int32],
    panels: list[Panel],
    first: int,
    view: Viewpoint,
) -> None:
    """Fill in all pixels that show a panel; panel j has number first + j."""
    width = surface.mask.shape[1]
    for j, panel in enumerate(panels):
        rows, columns = np.nonzero(numbers == first + j)
        if len(rows) == 0:
            continue
        x, y = columns.astype(np.float32) + 0.5, rows.astype(np.float32) + 0.5
        u, v = panel_coordinates(panel, view, width, x, y)
        picture = panel.texture()
        h, w = picture.shape[:2]
        # Look up in a picture no finer than the frame shows it.
        seen = np.sqrt(len(rows) / max(float(np.ptp(u) * np.ptp(v)), 1e-3) / (h * w))
        if seen < 0.7:
            h, w = max(2, round(h * seen)), max(2, round(w * seen))
            picture = np.asarray(
                cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA), np.uint8
            )
        texels = np.asarray((picture.astype(np.float32) / 255) ** np.float32(2.2), np.float32)
        pixels = rows * width + columns
        surface.put("albedo", pixels, _bilinear(texels, u * w - 0.5, v * h - 0.5).T)
        a, b, d = panel.corners[0], panel.corners[1], panel.corners[3]
        point = a + u[:, None] * (b - a) + v[:, None] * (d - a)
        surface.height[rows, columns] = -((point - view.position) @ view.forward)
        n = np.cross(b - a, d - a)
        n = n / (np.linalg.norm(n) + 1e-9)
        n = np.array([n @ view.right, n @ view.down, -(n @ view.forward)], np.float32)
        n = n if n[2] > 0 else -n
        surface.put("normal", pixels, np.broadcast_to(n[:, None], (3, len(pixels))))
        surface.gloss[rows, columns] = panel.gloss


def _bilinear(texels: Floats, x: Floats, y: Floats) -> Floats:
    h, w = texels.shape[:2]
    i = np.clip(x, 0, w - 1.001).astype(np.int32)
    j = np.clip(y, 0, h - 1.001).astype(np.int32)
    i, j = np.minimum(i, w - 2), np.minimum(j, h - 2)
    fx = np.clip(x - i, 0, 1)[:, None]
    fy = np.clip(y - j, 0, 1)[:, None]
    top = texels[j, i] * (1 - fx) + texels[j, i + 1] * fx
    bottom = texels[j + 1, i] * (1 - fx) + texels[j + 1, i + 1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy)
