"""Renders a truck: one load, one light, four cameras.

The main path is `render_view`: place things, paint their numbers, shade what shows, lay on dust,
light everything at once, expose.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from simulator import body, scenery, tarpaulin
from simulator.camera import expose
from simulator.items import Items, Kind, join_items
from simulator.light import light_of, station_rng
from simulator.load import build_load
from simulator.radiance import lit, soften_edges
from simulator.raster import Panel, paint, place
from simulator.shade import shade_panels, shade_things
from simulator.sprites import Sprites
from simulator.surface import dirty, new_surface
from simulator.truth import Truck
from simulator.viewpoints import (
    CAMERA_Z,
    FULL_SIZE,
    LOAD_TOP_Z,
    Viewpoint,
    graded_rows,
    viewpoint,
)

Image = npt.NDArray[np.uint8]

_SUPERSAMPLING: Final = 3
_FINE: Final = 1200
"""Frames at least this wide are seen pixel by pixel; smaller ones are reduced by area."""


@dataclass(frozen=True)
class View:
    """What one camera sees."""

    image: Image
    """(h, w, 3) BGR."""
    mask: Image
    """(h, w) 0 other, 1 stalk, 2 leaf and trash."""


def render_view(
    truck: Truck,
    camera: str,
    size: tuple[int, int] = FULL_SIZE,
    sprites: Sprites | None = None,
) -> View:
    """One camera's frame of this truck, width x height pixels, the same for equal arguments.

    `sprites` are photographed stalks to use in place of drawn ones. Frames are 4:3; another shape
    is stretched. Raises ValueError for an unknown camera or a size under 32 x 24.
    """
    return _render(truck, camera, size, sprites, loaded=True)


def render_empty(truck: Truck, camera: str, size: tuple[int, int] = FULL_SIZE) -> View:
    """The same station in the same light before this truck has arrived."""
    return _render(truck, camera, size, None, loaded=False)


def render_graded(truck: Truck, camera: str, size: int, sprites: Sprites | None = None) -> View:
    """The graded area as (size, size), as if cut from a full frame and resized by area."""
    width = min(FULL_SIZE[0], -(-size * _SUPERSAMPLING // 4) * 4)
    view = render_view(truck, camera, (width, width * 3 // 4), sprites)
    top, bottom = graded_rows(view.mask.shape[0])
    image = cv2.resize(view.image[top:bottom], (size, size), interpolation=cv2.INTER_AREA)
    rows = ((np.arange(size) + 0.5) * (bottom - top) / size).astype(int) + top
    columns = ((np.arange(size) + 0.5) * width / size).astype(int)
    return View(np.asarray(image, np.uint8), view.mask[rows[:, None], columns[None]])


@lru_cache(maxsize=2)
def _cached_load(truck: Truck) -> Items:
    return build_load(truck)


def _parked(truck: Truck) -> tuple[float, float, float]:
    """Where the truck stopped: shift x, y (m) and turn (rad)."""
    rng = np.random.default_rng([truck.seed, 10])
    return float(rng.normal(0, 0.15)), float(rng.normal(0, 0.10)), float(rng.normal(0, 0.012))


def _park(points: npt.NDArray[np.float32], stop: tuple[float, float, float]) -> None:
    """Truck coordinates to station coordinates, in place."""
    c, s = np.cos(stop[2]), np.sin(stop[2])
    x = points[..., 0] - 3.75
    y = points[..., 1].copy()
    points[..., 0] = c * x - s * y + 3.75 + stop[0]
    points[..., 1] = s * x + c * y + stop[1]


def _stand(truck: Truck, camera: str) -> tuple[Items, list[Panel]]:
    """All things and panels of the truck as it stands on the scale."""
    load = _cached_load(truck)
    front = camera == "C101"
    hidden = front and tarpaulin.covers_front(truck)
    load = load.take(np.arange(0 if hidden else len(load)))
    parts = [load, body.truck_bars(truck, front)]
    if front and not hidden:
        stalks = load.tone[load.kind == Kind.STALK]
        parts.append(body.front_faces(truck, stalks))
    things = join_items(parts)
    stop = _parked(truck)
    _park(things.start, stop)
    _park(things.end, stop)
    panels = [replace(p, corners=p.corners.copy()) for p in body.truck_panels(truck, front)]
    if hidden:
        panels.append(tarpaulin.front_panel(truck))
    for panel in panels:
        _park(panel.corners, stop)
    return things, panels


def _camera(truck: Truck, camera: str) -> Viewpoint:
    rng = station_rng(truck, f"mount {camera}")
    wobble = (rng.normal(0, 0.03), rng.normal(0, 0.03), rng.normal(0, 0.012))
    view = viewpoint(camera, wobble)
    if truck.look == "other" and camera != "C101":
        view = replace(
            view,
            position=view.position + np.array([0, 0, 0.5], np.float32),
            focal=view.focal * 1.12,
        )
    return view


def _render(
    truck: Truck, camera: str, size: tuple[int, int], sprites: Sprites | None, loaded: bool
) -> View:
    if min(size[0], size[1] * 4 // 3) < 32:
        raise ValueError(f"size must be at least 32 x 24, not {size[0]} x {size[1]}")
    view = _camera(truck, camera)
    light = light_of(truck)
    width, height = size[0], round(size[0] * 0.75)
    surface = new_surface(height, width)
    things, panels = _stand(truck, camera) if loaded else (None, [])
    ground = CAMERA_Z - LOAD_TOP_Z if loaded else CAMERA_Z
    if camera == "C101":
        ground = 5.0
    if things is None:
        numbers = np.zeros((height, width), np.int32)
    else:
        placed = place(things, view, width)
        numbers = paint(placed, panels, view, (width, height), panels_first=camera != "C101")
        shade_things(surface, numbers, placed, view, light, sprites)
        shade_panels(surface, numbers, panels, len(placed.items) + 1, view)
    stop = _parked(truck) if loaded else None
    scenery.shade_ground(surface, numbers == 0, truck, light, view, width, stop)
    if loaded and truck.cause == "tarpaulin" and camera != "C101":
        tarpaulin.cover_with_tarpaulin(surface, truck, view, width)
    # The cab's own picture has its dirt, and the sky has none.
    scale = view.focal * width / ground
    wet = truck.wet * (0.25 if truck.cause == "tarpaulin" else 1.0)  # water runs off a sheet
    dirty(surface, light, wet, scale, truck.seed, cane_only=camera == "C101")
    radiance = lit(surface, light, view, width, ground)
    if width >= _FINE:
        soften_edges(radiance, numbers)
    image = expose(radiance, truck, camera, light)
    mask = surface.mask
    if size != (width, height):
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return View(image, mask)
