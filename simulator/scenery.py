"""What is not the truck: the weighbridge deck, its shadow, the yard, sheds and trees."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.items import Floats
from simulator.light import Light, scenery_rng, station_rng
from simulator.noise import BLOTCH, CLOUD, GRAIN, STREAK, linear, noise_at, smooth
from simulator.surface import Surface
from simulator.textures import mix
from simulator.truth import Truck
from simulator.viewpoints import DECK_Z, Viewpoint

_STRIP: Final = 100_000
_BOX: Final = ((-2.1, 7.6), (-1.15, 1.15), (DECK_Z + 0.5, 1.7))
"""The truck as a box that casts a shadow: x, y and z in truck coordinates."""


def shade_ground(
    surface: Surface,
    bare: npt.NDArray[np.bool_],
    truck: Truck,
    light: Light,
    view: Viewpoint,
    width: int,
    stop: tuple[float, float, float] | None,
) -> None:
    """Concrete deck with joints, tracks, stains and litter; the yard, trees and sheds beyond it.

    `stop` is where the truck stands (shift x, y in m, turn in rad), None when there is none.
    """
    w = surface.mask.shape[1]
    pixels = np.flatnonzero(bare)
    typical = 9.0 if view.name == "C101" else view.position[2] - DECK_Z
    texels = 1000.0 * float(typical) / (view.focal * width)
    for first in range(0, len(pixels), _STRIP):
        some = pixels[first : first + _STRIP]
        x = ((some % w) + 0.5) / width - 0.5
        y = ((some // w) + 0.5) / width - 0.375
        ray = (
            view.forward[:, None]
            + (x / view.focal).astype(np.float32) * view.right[:, None]
            + (y / view.focal).astype(np.float32) * view.down[:, None]
        )
        reach = np.where(ray[2] < -0.02, (DECK_Z - view.position[2]) / ray[2], 1e3)
        reach = reach.astype(np.float32)
        point = view.position[:, None] + ray * np.minimum(reach, 60.0)
        colour = _deck(point, truck, light, texels)
        if stop is not None:
            colour = colour * _shadow(point, light, stop)
        if light.night and view.name == "C101":  # the lamps do not reach far into the yard
            colour = colour * np.minimum((6.0 / reach) ** 1.3, 1.0)
        far = reach > 30
        if far.any():
            colour[:, far] = _horizon(ray[:, far], truck, light, view.focal * width)
        surface.put("albedo", some, colour)
        surface.height.reshape(-1)[some] = -np.minimum(reach, 60.0)
        towards = np.array([0, 0, 1], np.float32)[:, None]
        up = np.array([view.right[2], view.down[2], -view.forward[2]], np.float32)[:, None]
        surface.put("normal", some, np.where(far, towards, up))
        surface.gloss.reshape(-1)[some] = 0.05


def _shadow(point: Floats, light: Light, stop: tuple[float, float, float]) -> Floats:
    """Share of the light that reaches points on the deck past the truck, 0 to 1."""
    x, y = point[0] - np.float32(stop[0]), point[1] - np.float32(stop[1])
    enter, leave = np.zeros_like(x), np.full_like(x, 1e3)
    for start, step, (low, high) in zip((x, y, point[2]), light.to_sun, _BOX, strict=True):
        step = np.float32(step if abs(step) > 1e-4 else 1e-4)
        a, b = (low - start) / step, (high - start) / step
        enter, leave = np.maximum(enter, np.minimum(a, b)), np.minimum(leave, np.maximum(a, b))
    depth = smooth(-0.05 - light.softness, 0.05 + light.softness, leave - enter)
    beside = np.hypot(
        np.maximum(np.maximum(_BOX[0][0] - x, x - _BOX[0][1]), 0),
        np.maximum(np.maximum(_BOX[1][0] - y, y - _BOX[1][1]), 0),
    )
    sky = float(light.sky.mean())
    source = light.sun if not light.night else sum(lamp.colour for lamp in light.lamps)
    sun = float(np.mean(source)) * float(max(light.to_sun[2], 0.05))
    open_sky = 1 - 0.85 * np.exp(-beside / 0.55)
    return np.asarray((sky * open_sky + sun * (1 - 0.95 * depth)) / (sky + sun), np.float32)


def _deck(point: Floats, truck: Truck, light: Light, texels: float) -> Floats:
    rng = station_rng(truck, "deck")
    today = scenery_rng(truck, "deck")
    ox, oy = rng.uniform(0, 4096, 2)
    tx, ty = today.uniform(0, 4096, 2)
    x, y = point[0], point[1]
    fine = noise_at(x * 1000 + ox, y * 1000 + oy, texels)
    broad = noise_at(x * 130 + oy, y * 130 + ox, texels * 0.13)
    daily = noise_at(x * 200 + tx, y * 700 + ty, texels * 0.4)
    grey = linear((140, 136, 128)) * np.float32(rng.uniform(0.75, 1.15))
    bright = np.exp(0.10 * fine[GRAIN] + 0.07 * fine[CLOUD] + 0.10 * broad[CLOUD])
    colour = grey[:, None] * bright
    colour = mix(
        colour,
        linear((62, 58, 54)),
        0.4 * smooth(0.8, 2.4, broad[BLOTCH] + 0.5 * daily[CLOUD]),
    )
    for lane in (-0.95, 0.95):
        track = np.exp(-(((y - lane) / 0.26) ** 2)) * (0.45 + 0.15 * daily[STREAK])
        colour = mix(colour, linear((58, 54, 50)), np.clip(track, 0, 0.8))
    joint = np.minimum(np.abs((x + 0.4) % 3.0 - 1.5), np.abs(np.abs(y) - 1.62))
    colour = mix(colour, linear((30, 28, 27)), 0.85 * smooth(0.014, 0.006, joint))
    # Beside the deck lies the yard: trodden soil and gravel.
    yard = mix(light.soil_colour, grey, np.clip(0.55 + 0.12 * broad[CLOUD], 0, 1))
    yard = yard * np.exp(0.18 * fine[GRAIN] + 0.08 * broad[CLOUD] + 0.06 * daily[CLOUD])
    kerb = np.abs(y).astype(np.float32) + 0.06 * broad[CLOUD]
    colour = mix(colour, yard, smooth(1.75, 1.95, kerb))
    litter = noise_at(x * 420 + tx, y * 420 - ty, texels * 0.4)
    straw = smooth(2.6, 3.3, litter[CLOUD] + 0.8 * litter[STREAK])
    return mix(colour, linear((186, 160, 112)), 0.8 * straw)


def _horizon(ray: Floats, truck: Truck, light: Light, pixels_per_radian: float) -> Floats:
    """Sky above sheds and trees, as albedo under the sky's light."""
    rng = station_rng(truck, "horizon")
    slope = np.asarray(ray[2] / np.hypot(ray[0], ray[1]), np.float32)
    turn = np.asarray(np.arctan2(ray[1], ray[0]), np.float32)
    # Crowns of trees: a broad line of tops, finer and finer bumps on it.
    tops = np.zeros_like(turn)
    for count, height in ((40, 0.016), (160, 0.010), (700, 0.005), (3000, 0.0025)):
        curve = rng.normal(0, height, count)
        tops += np.interp(turn, np.linspace(-np.pi, np.pi, count), curve).astype(np.float32)
    trees = 0.055 + tops
    texels = 1500.0 / pixels_per_radian
    leaves = noise_at(turn * 1500, slope * 1500, texels)
    clouds = noise_at(turn * 90, slope * 300, texels * 0.1)
    zenith = mix(linear((208, 212, 214)), linear((142, 180, 224)), smooth(0, 0.45, slope))
    sky = mix(zenith, linear((222, 222, 222)), 0.5 * smooth(-0.5, 1.8, clouds[CLOUD]))
    wood = mix(linear((46, 60, 36)), linear((104, 116, 76)), smooth(-1.2, 1.4, leaves[CLOUD]))
    wood = mix(wood, linear((170, 180, 190)), np.full_like(turn, 0.12 + 0.3 * light.haze))
    # By day the sky shines by itself, brighter than any surface under it.
    sky = sky * np.float32(0.05 if light.night else 2.4)
    wood = wood * np.float32(0.35 if light.night else 1.0)
    colour = mix(sky, wood, smooth(0.003, -0.003, slope - trees))
    middle, half = rng.uniform(-0.7, 0.3), rng.uniform(0.12, 0.22)
    eaves, ridge = rng.uniform(0.07, 0.10), rng.uniform(0.02, 0.05)
    across = np.abs(turn - np.float32(middle)) / np.float32(half)
    roof = eaves + ridge * (1 - across)
    ribs = 0.9 + 0.1 * np.sin(turn * 900)
    sheet = linear((172, 176, 176))[:, None] * (ribs * np.where(slope > eaves, 1.25, 0.8))
    wall = mix(
        sheet.astype(np.float32),
        linear((60, 58, 56)),
        (slope < 0.55 * eaves) * smooth(0.8, 0.75, across),
    )
    colour = mix(colour, wall, ((slope < roof) & (across < 1)).astype(np.float32))
    stack = np.abs(turn - np.float32(middle + 1.5 * half)) < 0.006 + 0.02 * np.maximum(
        0.16 - slope, 0
    )
    return mix(colour, linear((150, 146, 142)), (stack & (slope < 0.16)).astype(np.float32))
