"""From surface to light: sky, sun or lamps, gaps between things, and cast shadows."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from simulator.items import Floats
from simulator.light import Light
from simulator.noise import smooth
from simulator.surface import Surface
from simulator.viewpoints import Viewpoint

_BACKDROP = -8.0  # metres: what lies farther from the front camera is no part of the truck


def lit(surface: Surface, light: Light, view: Viewpoint, width: int, ground: float) -> Floats:
    """Linear RGB (3, h, w) of the lit frame. `ground` is the distance to the main surface, m."""
    scale = view.focal * width / ground
    axes = np.stack([view.right, view.down, -view.forward])
    up = axes @ np.array([0, 0, 1], np.float32)
    deep = view.name == "C101"
    open_sky = _openness(surface.height, scale)
    if deep:  # a deep scene is no relief: keep the crevices of the truck only
        open_sky = np.where(surface.height < _BACKDROP, 1, 0.55 + 0.45 * open_sky)
    ambient = open_sky * (0.62 + 0.38 * _dot(surface.normal, up))
    # Light that has bounced off the cane itself warms the gaps.
    bounced = (1 - open_sky) * np.float32(0.25)
    radiance = np.empty_like(surface.albedo)
    for c in range(3):
        albedo = surface.albedo[c]
        fill = bounced * (light.sky[c] + np.float32(0.4) * light.sun[c])
        radiance[c] = albedo * (ambient * light.sky[c] + albedo * fill)
    if light.sun.max() > 0:
        towards = axes @ light.to_sun
        shadow = np.ones_like(surface.height)
        if not deep:
            shadow = _shadow(surface.height, towards, scale, light.softness)
        for angle, offset, half in () if deep else light.beams:
            shadow *= _beam(surface.mask.shape, view, scale, angle, offset, half)
        shadow *= 0.35 + 0.65 * open_sky
        _add_source(radiance, surface, towards, light.sun, shadow)
    for i, lamp in enumerate(light.lamps):
        direction, fall = _lamp_field(surface, lamp.position, view, axes, scale, ground)
        shadow = fall * (0.3 + 0.7 * open_sky)
        if i == 0 and not deep:
            shadow *= _shadow(surface.height, axes @ light.to_sun, scale, light.softness)
        _add_source(radiance, surface, direction, lamp.colour, shadow)
    return radiance


def soften_edges(radiance: Floats, numbers: npt.NDArray[np.int32]) -> None:
    """Blur a little where one thing ends and the next begins, as a lens does: no stairs."""
    edge = np.zeros(numbers.shape, np.uint8)
    edge[:, 1:] = numbers[:, 1:] != numbers[:, :-1]
    edge[1:] |= numbers[1:] != numbers[:-1]
    rows, columns = np.nonzero(cv2.dilate(edge, np.ones((2, 2), np.uint8), anchor=(1, 1)))
    for plane in radiance:
        plane[rows, columns] = cv2.GaussianBlur(plane, (0, 0), 0.9)[rows, columns]


def _dot(planes: Floats, vector: Floats) -> Floats:
    """Scalar product (h, w) of vectors (3, h, w) with one vector (3,) or as many (3, h, w)."""
    return np.asarray(planes[0] * vector[0] + planes[1] * vector[1] + planes[2] * vector[2])


def _add_source(
    radiance: Floats, surface: Surface, towards: Floats, colour: Floats, share: Floats
) -> None:
    halfway = towards.copy()
    halfway[2] += 1
    halfway /= np.sqrt(_dot(halfway, halfway))
    strength = share * np.maximum(_dot(surface.normal, towards), 0)
    mirror = np.maximum(_dot(surface.normal, halfway), 0)
    for _ in range(3):
        mirror *= mirror
    mirror = mirror * mirror * mirror  # to the power of 24
    mirror *= share * surface.gloss * np.float32(0.35)
    for c in range(3):
        radiance[c] += (surface.albedo[c] * strength + mirror) * colour[c]


def _lamp_field(
    surface: Surface, position: Floats, view: Viewpoint, axes: Floats, scale: float, ground: float
) -> tuple[Floats, Floats]:
    """Unit vectors to a lamp and its fall-off (1 at 4 m), taking the frame as a flat sheet."""
    h, w = surface.mask.shape
    lamp = axes @ (position - view.position)
    to = np.empty((3, h, w), np.float32)
    to[0] = lamp[0] - ((np.arange(w, dtype=np.float32) + 0.5 - w / 2) / scale)[None]
    to[1] = lamp[1] - ((np.arange(h, dtype=np.float32) + 0.5 - h / 2) / scale)[:, None]
    to[2] = lamp[2] + ground
    squared = _dot(to, to)
    to /= np.sqrt(squared)
    return to, np.asarray(np.float32(16.0) / squared)


def _beam(
    shape: tuple[int, ...], view: Viewpoint, scale: float, angle: float, offset: float, half: float
) -> Floats:
    h, w = shape
    x = view.position[0] + (np.arange(w, dtype=np.float32) - w / 2) / np.float32(scale)
    y = view.position[1] - (np.arange(h, dtype=np.float32) - h / 2) / np.float32(scale)
    across = (np.cos(angle) * x)[None] + (np.sin(angle) * y)[:, None] - np.float32(offset)
    return np.asarray(
        1 - 0.9 * smooth(half + 0.015, half - 0.015, np.abs(across).astype(np.float32)), np.float32
    )


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
    h, w = height.shape
    distances = 0.006 * 1.38 ** np.arange(15)  # up to 0.55 m
    reach = int(distances[-1] * scale) + 1
    padded = cv2.copyMakeBorder(height, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    for distance in distances.tolist():
        dx, dy = round(ux * distance * scale), round(uy * distance * scale)
        if dx or dy:
            there = padded[reach + dy : reach + dy + h, reach + dx : reach + dx + w]
            over = there - height - np.float32(distance * climb)
            blur = np.float32(0.003 + distance * (0.05 + 0.6 * softness))
            np.maximum(cover, np.clip(over / blur + 0.15, 0, 1), out=cover)
    return np.asarray(1 - cover * np.float32(1 - 0.35 * softness))
