"""The truck itself: bed, walls, rails and cab, as panels and ribbons in truck coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from simulator.heap import BED
from simulator.items import Floats, Items, Kind, join_items, make_items
from simulator.plate import PLATE_METRES, draw_plate_image
from simulator.raster import Panel
from simulator.truth import Truck
from simulator.viewpoints import DECK_Z, LOAD_TOP_Z

Picture = npt.NDArray[np.uint8]

_PAINTS: Final = (
    (168, 40, 36),
    (36, 70, 140),
    (214, 212, 204),
    (28, 110, 84),
    (226, 150, 36),
    (70, 120, 170),
)
_CAB: Final = (-2.2, -0.75, -0.80, 1.10)
"""Front and rear x, lower and upper z of the cab."""


def _clouds(rng: np.random.Generator, h: int, w: int, cell: int) -> Floats:
    small = rng.normal(0, 1, (h // cell + 2, w // cell + 2)).astype(np.float32)
    return np.asarray(cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC))


def _weathered(
    rng: np.random.Generator, rgb: tuple[int, int, int], h: int, w: int, rust: float
) -> Picture:
    """Painted steel with dirt and rust."""
    image = np.full((h, w, 3), rgb, np.float32)
    dirt = _clouds(rng, h, w, 60) + 0.6 * _clouds(rng, h, w, 17) + 0.4 * _clouds(rng, h, w, 5)
    image *= (1 + 0.09 * dirt)[..., None]
    spots = np.clip(dirt - 2.0 + 2.2 * rust, 0, 1)[..., None]
    image += (np.array((98, 62, 42), np.float32) - image) * spots
    return np.clip(image, 0, 255).astype(np.uint8)


def _planks(rng: np.random.Generator) -> Picture:
    """The floor of the bed: worn steel plates with ribs and rust."""
    h, w = 460, 1500
    image = _weathered(rng, (112, 104, 96), h, w, 0.75).astype(np.float32)
    for x in range(0, w, 100):
        image[:, x : x + 6] *= 0.62
        image[:, x + 6 : x + 9] *= 1.25
    image *= 1 + 0.05 * rng.normal(0, 1, (h, 1, 1))
    return np.clip(image, 0, 255).astype(np.uint8)


def _quad(a: tuple[float, ...], b: tuple[float, ...], c: tuple[float, ...]) -> Floats:
    """Corners of a parallelogram: top left a, top right b, bottom right c."""
    p, q, r = (np.array(v, np.float32) for v in (a, b, c))
    return np.stack([p, q, r, p + r - q])


def _front_picture(truck: Truck, rng: np.random.Generator, paint: tuple[int, int, int]) -> Picture:
    """The face of the cab, 500 pixels a metre."""
    h, w = 950, 1150
    image = _weathered(rng, paint, h, w, 0.10)
    across = np.linspace(-1, 1, w, dtype=np.float32)[None, :, None]
    image = np.asarray(image * (1 - 0.28 * across**6), np.uint8)  # the corners turn away
    _draw_windscreen(image, rng)
    cv2.rectangle(image, (0, 22), (w, 74), _PAINTS[int(rng.integers(len(_PAINTS)))], -1)
    cv2.rectangle(image, (210, 505), (w - 210, 665), (26, 27, 29), -1)
    for y in range(516, 660, 30):
        cv2.rectangle(image, (222, y), (w - 222, y + 8), (128, 130, 132), -1)
    cv2.rectangle(image, (505, 540), (645, 590), (196, 198, 200), -1)
    for x, turn in ((30, 1), (w - 200, -1)):
        cv2.rectangle(image, (x, 560), (x + 170, 690), (40, 41, 43), -1)
        lamp = (x + 85 + 22 * turn, 625)
        cv2.circle(image, lamp, 52, (150, 152, 150), -1, cv2.LINE_AA)
        cv2.circle(image, lamp, 40, (228, 230, 226), -1, cv2.LINE_AA)
        corner = x + 85 - 62 * turn
        cv2.rectangle(image, (corner - 18, 580), (corner + 18, 670), (206, 116, 34), -1)
    image[716:740] = 14  # the gap above the bumper
    steel = np.interp(np.arange(190), (0, 40, 70, 190), (120, 190, 168, 70)).astype(np.float32)
    bumper = _weathered(rng, (200, 202, 204), 190, w, 0.25) * steel[:, None, None] / 200
    image[740:930] = np.clip(bumper, 0, 255)
    image[930:] = 16
    dust = np.linspace(0, 0.45, h, dtype=np.float32)[:, None, None]
    dust = dust * (0.8 + 0.2 * _clouds(rng, h, w, 40)[..., None])
    return np.clip(image + (np.array((150, 132, 112)) - image) * dust, 0, 255).astype(np.uint8)


def _draw_windscreen(image: Picture, rng: np.random.Generator) -> None:
    """Glass that mirrors the sky above and shows a dark cab with its driver below."""
    h, w = 340, image.shape[1]
    rows = np.linspace(0, 1, h, dtype=np.float32)[:, None]
    mirror = np.clip(0.55 - 0.75 * rows + 0.10 * _clouds(rng, h, w, 170), 0.06, 1)
    glass = mirror[..., None] * np.array((150, 172, 190), np.float32)
    glass = np.ascontiguousarray(glass)
    cv2.ellipse(glass, (395, 190), (62, 78), 0, 0, 360, (52, 44, 40), -1, cv2.LINE_AA)
    cv2.ellipse(glass, (395, 350), (150, 110), 0, 0, 360, (44, 50, 62), -1, cv2.LINE_AA)
    glass[300:] = glass[300:] * 0.4 + 26
    glass = cv2.GaussianBlur(glass, (0, 0), 5)
    glass[:46] = glass[:46] * 0.45  # the visor
    shape = np.array([(120, 96), (w - 120, 96), (w - 78, 432), (78, 432)], np.int32)
    inside = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(inside, [shape], 1, cv2.LINE_8)
    image[94:434][inside[94:434] > 0] = glass[inside[94:434] > 0]
    cv2.polylines(image, [shape], True, (20, 20, 22), 16, cv2.LINE_AA)
    for x in (330, 720):
        cv2.line(image, (x, 428), (x + 200, 330), (16, 16, 16), 8, cv2.LINE_AA)


def _tread(rng: np.random.Generator, tyres: int) -> Picture:
    """Tyres from the front: ribs between grooves, dusty, dark gaps between tyres."""
    h, w = 200, 60 * tyres
    x = np.arange(w) % 60
    image = np.full((h, w, 3), (62, 57, 52), np.float32)
    image *= (0.8 + 0.2 * rng.random((h, w, 1))) * (1 - 0.5 * ((x % 12) < 4))[None, :, None]
    image *= np.sqrt(np.clip(1 - ((x - 29.5) / 32) ** 2, 0, 1))[None, :, None]
    image *= np.linspace(0.35, 1, h)[:, None, None]
    return np.clip(image, 0, 255).astype(np.uint8)


def _wheels(rng: np.random.Generator) -> list[Panel]:
    """What the front camera sees of wheels and axle under the truck."""
    panels = []
    for x, half, tyres, top in ((5.2, 0.30, 2, -0.30), (-1.75, 0.16, 1, -0.35)):
        for y in (-0.92, 0.92):
            corners = _quad((x, y + half, top), (x, y - half, top), (x, y - half, DECK_Z))
            panels.append(Panel(corners, partial(_tread, rng, tyres)))
    dark = partial(np.full, (8, 8, 3), 14, np.uint8)
    panels.append(Panel(_quad((-1.7, 1.0, -0.7), (-1.7, -1.0, -0.7), (-1.7, -1.0, -0.98)), dark))
    return panels


def truck_panels(truck: Truck, front: bool) -> list[Panel]:
    """The truck's flat parts: the bed seen from above, or what the front camera sees."""
    rng = np.random.default_rng([truck.seed, 2])
    paint = _PAINTS[int(rng.integers(len(_PAINTS)))]
    length, half, rail = BED[0], BED[1] / 2, rail_height(truck)

    def own(number: int) -> np.random.Generator:
        return np.random.default_rng([truck.seed, 2, number])

    @cache
    def wall() -> Picture:
        return _weathered(own(0), (110, 96, 84), 200, 1000, 0.6)

    if not front:
        floor = _quad((0, half, 0), (length, half, 0), (length, -half, 0))
        return [
            Panel(floor, partial(_planks, own(1))),
            Panel(_quad((0, half, rail), (length, half, rail), (length, half, 0)), wall),
            Panel(_quad((0, -half, rail), (length, -half, rail), (length, -half, 0)), wall),
            Panel(_quad((0, half, rail), (0, -half, rail), (0, -half, 0)), wall),
            Panel(_quad((length, half, rail), (length, -half, rail), (length, -half, 0)), wall),
        ]
    x, rear, low, top = _CAB
    w, h = PLATE_METRES
    face = partial(_front_picture, truck, own(2), paint)
    roof = partial(_weathered, own(3), paint, 300, 400, 0.2)
    dark = partial(np.full, (8, 8, 3), 12, np.uint8)
    head = rail if truck.form == "billets" else 0.9
    return [
        *_wheels(own(4)),
        Panel(_quad((0.5, half, 1.5), (0.5, -half, 1.5), (0.5, -half, 0)), dark),
        Panel(_quad((-0.06, half, head), (-0.06, -half, head), (-0.06, -half, -0.2)), wall),
        Panel(_quad((rear, 1.1, top), (rear, -1.1, top), (x + 0.25, -1.1, top)), roof, 0.3),
        Panel(_quad((x + 0.25, 1.1, top), (x + 0.25, -1.1, top), (x, -1.15, low)), face, 0.3),
        Panel(
            _quad((x - 0.06, w / 2, -0.5), (x - 0.06, -w / 2, -0.5), (x - 0.06, -w / 2, -0.5 - h)),
            partial(draw_plate_image, truck.plate, truck.province),
            0.2,
        ),
    ]


def rail_height(truck: Truck) -> float:
    """Height of the side rails above the floor in metres."""
    return 1.45 + 0.2 * float(np.random.default_rng([truck.seed, 3]).random())


def _bars(ends: Sequence[tuple[tuple[float, ...], tuple[float, ...]]], half: float) -> Items:
    items = make_items(len(ends), Kind.BOARD)
    items.start[:] = [a for a, _ in ends]
    items.end[:] = [b for _, b in ends]
    items.half[:] = half
    return items


def truck_bars(truck: Truck, front: bool) -> Items:
    """Rails, stakes, mirrors: the truck's long thin parts."""
    rng = np.random.default_rng([truck.seed, 4])
    length, half, rail = BED[0], BED[1] / 2 + 0.03, rail_height(truck)
    stake = LOAD_TOP_Z - 0.05
    rails = [((-0.03, s * half, rail), (length + 0.03, s * half, rail)) for s in (-1.0, 1.0)]
    rails += [((x, -half, rail), (x, half, rail)) for x in (-0.03, length + 0.03)]
    posts = [
        ((x, s * half, 0.0), (x, s * half, stake + rng.normal(0, 0.03)))
        for s in (-1.0, 1.0)
        for x in np.linspace(0.1, length - 0.1, 8)
    ]
    parts = [_bars(rails, 0.035), _bars(posts, 0.03)]
    if front:
        x = _CAB[0]
        uprights = [((-0.1, y, 0.0), (-0.1, y, 1.9)) for y in np.linspace(-1.15, 1.15, 7)]
        mirrors = [((x + 0.2, s * 1.28, 0.75), (x + 0.2, s * 1.28, 0.3)) for s in (-1.0, 1.0)]
        arms = [((x + 0.2, s * 1.1, 0.72), (x + 0.2, s * 1.3, 0.72)) for s in (-1.0, 1.0)]
        parts += [_bars(uprights, 0.028), _bars(mirrors, 0.09), _bars(arms, 0.015)]
    items = join_items(parts)
    items.tone[:, 0] = 0.9
    items.tone[:, 8] = 1.0
    items.tone[:, 9:11] = rng.uniform(0, 4096, (len(items), 2))
    return items


def front_faces(truck: Truck, stalk_tones: Floats) -> Items:
    """Cut ends of the cane behind the headboard, as only the front camera sees them."""
    rng = np.random.default_rng([truck.seed, 5])
    n = 4200 if truck.form == "whole" and truck.cause != "empty" else 0
    items = make_items(n, Kind.FACE)
    if n == 0:
        return items
    centre = np.stack(
        [
            rng.uniform(-0.02, 0.10, n),
            rng.uniform(-BED[1] / 2, BED[1] / 2, n),
            rng.uniform(0.6, LOAD_TOP_Z - 0.15, n),
        ],
        1,
    ).astype(np.float32)
    radius = rng.normal(0.0145, 0.002, n).clip(0.008, 0.022)
    items.start[:], items.end[:] = centre, centre
    items.start[:, 2] -= radius
    items.end[:, 2] += radius
    items.half[:] = radius[:, None]
    items.taper[:] = 0.35
    items.tone[:] = stalk_tones[rng.integers(len(stalk_tones), size=n)]
    return items
