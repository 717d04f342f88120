"""From what each pixel shows to the light it sends: surface by surface, then all light at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from simulator import textures
from simulator.items import MASK_CLASS, Floats, Kind
from simulator.light import Light
from simulator.noise import BLOTCH, CLOUD, GRAIN, STREAK, linear, noise_at, smooth
from simulator.raster import Panel, Placed, centre_line, panel_coordinates, profile
from simulator.sprites import Sprites
from simulator.viewpoints import Viewpoint

_STRIP: Final = 200_000  # pixels shaded at once: stays in the cache
_STEEL: Final = linear((112, 104, 98))
_WOOD: Final = linear((126, 104, 80))


@dataclass
class Surface:
    """The frame before light. h x w arrays."""

    albedo: Floats
    """(h, w, 3) linear RGB."""
    normal: Floats
    """(h, w, 3) unit vectors: right, down, towards the camera."""
    height: Floats
    """(h, w) metres towards the camera; only differences matter."""
    gloss: Floats
    """(h, w) 0 matt to 1 wet."""
    mask: npt.NDArray[np.uint8]
    """(h, w) 0 other, 1 stalk, 2 leaf and trash."""


def new_surface(height: int, width: int) -> Surface:
    """An empty frame of flat black."""
    surface = Surface(
        np.zeros((height, width, 3), np.float32),
        np.zeros((height, width, 3), np.float32),
        np.full((height, width), -30.0, np.float32),
        np.zeros((height, width), np.float32),
        np.zeros((height, width), np.uint8),
    )
    surface.normal[..., 2] = 1
    return surface


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
                surface, some, flat[some] - 1, Kind(int(kind)), placed, view, light, width, sprites
            )


def _shade_kind(
    surface: Surface,
    pixels: npt.NDArray[np.intp],
    rows: npt.NDArray[np.int32],
    kind: Kind,
    placed: Placed,
    view: Viewpoint,
    light: Light,
    width: int,
    sprites: Sprites | None,
) -> None:
    x = (pixels % width + 0.5).astype(np.float32) - placed.start[rows, 0]
    y = (pixels // width + 0.5).astype(np.float32) - placed.start[rows, 1]
    along, side = placed.along[rows], placed.side[rows]
    u = np.clip(x * along[:, 0] + y * along[:, 1], 0, 1)
    half = placed.half[rows]
    across = x * side[:, 0] + y * side[:, 1] - centre_line(u, placed.bend[rows])
    width_here = half[:, 0] + (half[:, 1] - half[:, 0]) * u
    metres_half = placed.items.half[rows].mean(1)
    tone = placed.items.tone[rows]
    v = np.clip(across / width_here, -1, 1)
    if kind in (Kind.LEAF, Kind.SHEATH):
        v = np.clip(v / np.maximum(profile(u, placed.items.taper[rows]), 0.05), -1, 1)
    s = u * placed.metres[rows]
    texels = 1000.0 / (view.focal * width / float(placed.depth[rows].mean()))
    depth = placed.depth[rows]
    height = -(depth[:, 0] + (depth[:, 1] - depth[:, 0]) * u)
    base, flank = placed.base[rows], placed.flank[rows]
    lean, rise, gloss = v, None, 0.06

    if kind is Kind.STALK:
        to_end = np.minimum(s, placed.metres[rows] - s)
        if sprites is None:
            colour = textures.stalk_colours(s, to_end, v, metres_half, tone, texels)
        else:
            across_px = 2 * float(half.mean())
            colour = textures.photo_colours(
                sprites, u, s, v, placed.metres[rows], tone, across_px, texels
            )
        gloss = 0.22
    elif kind is Kind.FACE:
        colour = textures.face_colours(u, v, tone, texels)
        lean = v * 0.1
    elif kind is Kind.LEAF:
        colour = textures.leaf_colours(u, v, s, tone, texels)
        # A leaf rolls about its length and folds along its midrib.
        lean = np.sin(tone[:, 2] * 0.8 + 1.5 * (u - 0.5) * tone[:, 2]) * 0.8 + 0.28 * np.sign(v)
        lean = np.clip(lean, -0.9, 0.9)
        rise = metres_half * (0.15 + 0.25 * np.abs(v))
        gloss = 0.14
    elif kind is Kind.SHEATH:
        colour = textures.sheath_colours(u, v, s, tone, texels)
        lean = v * 0.8
    elif kind in (Kind.CLOD, Kind.STONE):
        colour = textures.soil_colours(
            light.soil_colour, s, v * metres_half, tone, kind is Kind.STONE, texels
        )
        lean = v * 0.7
    else:
        grain = noise_at(s * 300 + tone[:, 9], v * 40 + tone[:, 10], texels)
        colour = np.exp(0.25 * grain[:, CLOUD] + 0.2 * grain[:, STREAK])[:, None] * _STEEL
        gloss = 0.2
    up = np.sqrt(np.maximum(1 - lean * lean, 0))
    height = height + (metres_half * up if rise is None else rise)
    surface.albedo.reshape(-1, 3)[pixels] = colour
    surface.normal.reshape(-1, 3)[pixels] = base * up[:, None] + flank * lean[:, None]
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
        h, w = panel.texture.shape[:2]
        picture = panel.texture
        # Look up in a picture no finer than the frame shows it.
        seen = np.sqrt(len(rows) / max(float(np.ptp(u) * np.ptp(v)), 1e-3) / (h * w))
        if seen < 0.7:
            h, w = max(2, round(h * seen)), max(2, round(w * seen))
            picture = np.asarray(
                cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA), np.uint8
            )
        texels = np.asarray((picture.astype(np.float32) / 255) ** np.float32(2.2), np.float32)
        surface.albedo[rows, columns] = _bilinear(texels, u * w - 0.5, v * h - 0.5)
        a, b, d = panel.corners[0], panel.corners[1], panel.corners[3]
        point = a + u[:, None] * (b - a) + v[:, None] * (d - a)
        surface.height[rows, columns] = -((point - view.position) @ view.forward)
        n = np.cross(b - a, d - a)
        n = n / (np.linalg.norm(n) + 1e-9)
        n = np.array([n @ view.right, n @ view.down, -(n @ view.forward)], np.float32)
        surface.normal[rows, columns] = n if n[2] > 0 else -n
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


def dirty(surface: Surface, light: Light, wet: float, pixels_per_metre: float, seed: int) -> None:
    """Lay dust on what looks up, and rain on everything."""
    h, w = surface.mask.shape
    rng = np.random.default_rng([seed, 7])
    ox, oy = rng.uniform(0, 4096, 2).astype(np.float32)
    step = 1000.0 / pixels_per_metre
    x = np.arange(w, dtype=np.float32) * step * 0.35 + ox
    y = np.arange(h, dtype=np.float32) * step * 0.35 + oy
    for top in range(0, h, max(1, _STRIP // w)):
        rows = slice(top, min(h, top + max(1, _STRIP // w)))
        gx, gy = np.meshgrid(x, y[rows])
        noise = noise_at(gx.ravel(), gy.ravel(), step * 0.35).reshape(*gx.shape, 4)
        albedo = surface.albedo[rows]
        if light.dust > 0:
            patch = 0.55 + 0.3 * noise[..., CLOUD] + 0.12 * noise[..., GRAIN]
            film = light.dust * patch * (0.25 + 0.75 * surface.normal[rows][..., 2])
            film = np.clip(film, 0, 0.9)[..., None] * np.float32(0.85)
            albedo += (light.dust_colour - albedo) * film
        if wet > 0:
            soak = wet * np.clip(0.75 + 0.35 * noise[..., BLOTCH], 0, 1)
            albedo *= (1 - 0.5 * soak)[..., None]
            surface.gloss[rows] += 0.55 * soak


def lit(surface: Surface, light: Light, view: Viewpoint, width: int, ground: float) -> Floats:
    """Linear RGB (h, w, 3) of the lit frame. `ground` is the distance to the main surface, m."""
    scale = view.focal * width / ground
    axes = np.stack([view.right, view.down, -view.forward])
    up = axes @ np.array([0, 0, 1], np.float32)
    deep = view.name == "C101"
    open_sky = _openness(surface.height, scale)
    if deep:  # a deep scene is no relief: keep its crevices only
        open_sky = 0.55 + 0.45 * open_sky
    facing_up = surface.normal @ up
    ambient = open_sky * (0.62 + 0.38 * facing_up)
    radiance = surface.albedo * ambient[..., None] * light.sky
    # Light that has bounced off the cane itself warms the gaps.
    radiance += (
        surface.albedo
        * surface.albedo
        * ((1 - open_sky) * 0.25)[..., None]
        * (light.sky + 0.4 * light.sun)
    )
    if light.sun.max() > 0:
        towards = axes @ light.to_sun
        shadow = np.ones_like(surface.height)
        if not deep:
            shadow = _shadow(surface.height, towards, scale, light.softness)
        for angle, offset, half in () if deep else light.beams:
            shadow *= _beam(surface.mask.shape, view, scale, angle, offset, half)
        shadow *= 0.35 + 0.65 * open_sky
        _add_source(radiance, surface, towards[None, None], light.sun, shadow)
    for i, lamp in enumerate(light.lamps):
        direction, fall = _lamp_field(surface, lamp.position, view, axes, scale, ground)
        shadow = fall * (0.3 + 0.7 * open_sky)
        if i == 0 and not deep:
            shadow *= _shadow(surface.height, axes @ light.to_sun, scale, light.softness)
        _add_source(radiance, surface, direction, lamp.colour, shadow)
    return np.asarray(radiance)


def _add_source(
    radiance: Floats, surface: Surface, towards: Floats, colour: Floats, share: Floats
) -> None:
    cos = np.maximum((surface.normal * towards).sum(-1), 0)
    halfway = towards + np.array([0, 0, 1], np.float32)
    halfway = halfway / np.linalg.norm(halfway, axis=-1, keepdims=True)
    mirror = np.maximum((surface.normal * halfway).sum(-1), 0) ** 24
    strength = share * cos
    radiance += surface.albedo * strength[..., None] * colour
    radiance += (share * mirror * surface.gloss * 0.35)[..., None] * colour


def _lamp_field(
    surface: Surface, position: Floats, view: Viewpoint, axes: Floats, scale: float, ground: float
) -> tuple[Floats, Floats]:
    """Unit vectors to a lamp and its fall-off (1 at 4 m), taking the frame as a flat sheet."""
    h, w = surface.mask.shape
    lamp = axes @ (position - view.position)
    x = (np.arange(w, dtype=np.float32) + 0.5 - w / 2) / scale
    y = (np.arange(h, dtype=np.float32) + 0.5 - h / 2) / scale
    to = np.empty((h, w, 3), np.float32)
    to[..., 0] = lamp[0] - x[None]
    to[..., 1] = lamp[1] - y[:, None]
    to[..., 2] = lamp[2] + ground
    distance = np.linalg.norm(to, axis=-1)
    return to / distance[..., None], np.float32(16.0) / distance**2


def _beam(
    shape: tuple[int, ...], view: Viewpoint, scale: float, angle: float, offset: float, half: float
) -> Floats:
    h, w = shape
    x = view.position[0] + (np.arange(w, dtype=np.float32) - w / 2) / np.float32(scale)
    y = view.position[1] - (np.arange(h, dtype=np.float32) - h / 2) / np.float32(scale)
    across = np.cos(angle) * x[None] + np.sin(angle) * y[:, None] - offset
    return np.asarray(1 - 0.9 * smooth(half + 0.015, half - 0.015, np.abs(across)), np.float32)


def _openness(height: Floats, scale: float) -> Floats:
    """How much sky each pixel sees: 1 on top, towards 0 in gaps between things."""
    h, w = height.shape
    total = np.zeros((h, w), np.float32)
    # Across a drop of more than a hand's breadth it is a different scene, not a gap.
    broad = cv2.blur(height, (max(3, round(0.3 * scale) | 1),) * 2)
    floor = np.clip(height, broad - np.float32(0.2), broad + np.float32(0.12))
    for radius, weight in ((0.008, 14.0), (0.025, 9.0), (0.07, 4.5), (0.2, 1.6)):
        sigma = radius * scale
        shrink = max(1, int(sigma / 2.5))
        small = floor
        if shrink > 1:
            shape = (max(2, w // shrink), max(2, h // shrink))
            small = np.asarray(cv2.resize(floor, shape, interpolation=cv2.INTER_AREA), np.float32)
        blurred = cv2.GaussianBlur(
            small, (0, 0), max(sigma / shrink, 0.3), borderType=cv2.BORDER_REFLECT
        )
        if shrink > 1:
            blurred = cv2.resize(blurred, (w, h), interpolation=cv2.INTER_LINEAR)
        total += np.maximum(np.asarray(blurred, np.float32) - floor, 0) * np.float32(weight)
    return np.asarray(np.exp(-total * np.float32(1.7)))


def _shadow(height: Floats, towards: Floats, scale: float, softness: float) -> Floats:
    """1 where the source is seen, 0 where something stands in its way."""
    flat = float(np.hypot(towards[0], towards[1]))
    if flat < 1e-3 or towards[2] <= 0.02:
        return np.ones_like(height) if towards[2] > 0.02 else np.zeros_like(height)
    ux, uy = towards[0] / flat, towards[1] / flat
    climb = float(towards[2]) / flat
    cover = np.zeros_like(height)
    distance = 0.006
    while distance < 0.6:
        dx, dy = round(ux * distance * scale), round(uy * distance * scale)
        if dx or dy:
            over = _shifted(height, dx, dy) - height - np.float32(distance * climb)
            blur = np.float32(0.003 + distance * (0.05 + 0.6 * softness))
            np.maximum(cover, np.clip(over / blur + 0.15, 0, 1), out=cover)
        distance *= 1.38
    return 1 - cover * np.float32(1 - 0.35 * softness)


def _shifted(image: Floats, dx: int, dy: int) -> Floats:
    """image[y + dy, x + dx], with the edge repeated."""
    h, w = image.shape
    rows = np.clip(np.arange(h) + dy, 0, h - 1)
    columns = np.clip(np.arange(w) + dx, 0, w - 1)
    return np.asarray(image[rows[:, None], columns[None]])
