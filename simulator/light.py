"""Light, weather and dust at a station: shared by trucks of one day, changing with the hour."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.noise import linear
from simulator.regions import REGIONS
from simulator.truth import Truck

Floats = npt.NDArray[np.float32]


def scenery_rng(truck: Truck, topic: str) -> np.random.Generator:
    """Random numbers that all trucks of one station and day share."""
    key = f"{truck.look}/{truck.station}/{truck.day.isoformat()}/{topic}"
    return np.random.default_rng(zlib.crc32(key.encode()))


def station_rng(truck: Truck, topic: str) -> np.random.Generator:
    """Random numbers that belong to the station on every day."""
    return np.random.default_rng(zlib.crc32(f"{truck.look}/{truck.station}/{topic}".encode()))


@dataclass(frozen=True)
class Lamp:
    """A flood light: position in station coordinates, linear colour at 4 m."""

    position: Floats
    colour: Floats


@dataclass(frozen=True)
class Light:
    """What shines on the load. Colours are linear RGB irradiance."""

    to_sun: Floats
    """Unit vector towards the sun (or the main lamp at night), station coordinates."""
    sun: Floats
    sky: Floats
    lamps: tuple[Lamp, ...]
    softness: float
    """Penumbra: 0 hard to 1 very soft."""
    night: bool
    haze: float
    dust: float
    """Strength of the dust film on this load, 0 to 1."""
    dust_colour: Floats
    soil_colour: Floats
    beams: tuple[tuple[float, float, float], ...]
    """Shadows of roof beams: direction (rad), offset (m), half width (m)."""


def light_of(truck: Truck) -> Light:
    """The light this truck stands in."""
    region = REGIONS[truck.region]
    weather = scenery_rng(truck, "weather")
    cloudy = weather.random() < region.cloud
    haze = region.haze * weather.uniform(0.3, 1.2)
    turn = station_rng(truck, "turn").uniform(0, 2 * np.pi)
    rng = np.random.default_rng([truck.seed, 6])
    d = truck.difficulty
    # Burnt cane is cut and hauled dry; dust pales it and hides the char.
    dust = region.dustiness * rng.beta(1.6, 2.0) * (0.35 + 0.9 * d) * (1 - 0.8 * truck.wet)
    beams = _beams(truck) if d > 0 else ()
    day = np.sin(np.pi * (truck.hour - 6.0) / 12.0) if 6.0 < truck.hour < 18.0 else -1.0
    common: dict[str, Any] = {
        "haze": haze,
        "dust": float(np.clip(dust, 0, 0.85)),
        "dust_colour": linear(region.dust),
        "soil_colour": linear(region.soil) * (1 - 0.45 * truck.wet),
    }
    if day <= 0.08:
        return _night(truck, turn, common)
    elevation = np.arcsin(np.clip(day, 0.16, 1)) * 0.72
    azimuth = turn + np.pi * (truck.hour - 6.0) / 12.0
    to_sun = np.array(
        [
            np.cos(azimuth) * np.cos(elevation),
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
        ],
        np.float32,
    )
    low = np.clip(1 - day, 0, 1)
    sun = np.array([1.0, 0.93 - 0.22 * low**2, 0.82 - 0.45 * low**2], np.float32)
    strength = 0.10 if cloudy else 1.0 - 0.35 * haze
    sky = np.array([0.30, 0.345, 0.42], np.float32) * (1.35 if cloudy else 0.75 + 0.3 * haze)
    return Light(
        to_sun=to_sun,
        sun=sun * np.float32(1.35 * strength * (0.45 + 0.55 * day)),
        sky=sky * np.float32(0.5 + 0.5 * day),
        lamps=(),
        softness=0.9 if cloudy else 0.12,
        night=False,
        beams=() if cloudy else beams,
        **common,
    )


def _night(truck: Truck, turn: float, common: dict[str, Any]) -> Light:
    """Two flood lights on poles; old sodium, cold LED or a mix, as the station has them."""
    rng = station_rng(truck, "lamps")
    kinds = (linear((255, 214, 150)), linear((236, 244, 255)), linear((255, 236, 206)))
    lamps = []
    for i in range(2):
        angle = turn + np.pi * i + rng.normal(0, 0.4)
        reach = rng.uniform(2.6, 4.2)
        position = (
            3.75 + reach * np.cos(angle) * 1.3,
            reach * np.sin(angle),
            rng.uniform(4.6, 6.2),
        )
        strength = (1.0, 0.35)[i] * rng.uniform(0.7, 1.3)
        colour = kinds[int(rng.integers(3))] * np.float32(strength)
        lamps.append(Lamp(np.array(position, np.float32), colour))
    towards = lamps[0].position - np.array([3.75, 0, 2.0], np.float32)
    return Light(
        to_sun=(towards / np.linalg.norm(towards)).astype(np.float32),
        sun=np.zeros(3, np.float32),
        sky=np.array([0.035, 0.036, 0.042], np.float32),
        lamps=tuple(lamps),
        softness=0.25,
        night=True,
        beams=(),
        **common,
    )


def _beams(truck: Truck) -> tuple[tuple[float, float, float], ...]:
    """Shadows of the station's roof; they wander with the sun."""
    rng = station_rng(truck, "roof")
    if rng.random() > 0.25 + 0.5 * truck.difficulty:
        return ()
    angle = rng.uniform(0, np.pi)
    drift = 0.5 * (truck.hour - 12.0)
    return tuple(
        (angle, offset + drift % 1.7, rng.uniform(0.05, 0.35))
        for offset in np.arange(-5.0, 9.0, rng.uniform(1.3, 2.4))
    )
