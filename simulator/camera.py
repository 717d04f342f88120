"""What the camera makes of the light: lens, exposure, colour, noise, and its failures."""

from __future__ import annotations

import zlib

import cv2
import numpy as np
import numpy.typing as npt

from simulator.light import Floats, Light, station_rng
from simulator.truth import Truck
from simulator.viewpoints import FULL_SIZE


def expose(radiance: Floats, truck: Truck, camera: str, light: Light) -> npt.NDArray[np.uint8]:
    """A frame (h, w, 3), BGR, from linear RGB light.

    Lens and noise are defined at full size and scaled, so that a small frame has the statistics
    of a full one resized by area.
    """
    h, w = radiance.shape[:2]
    scale = w / FULL_SIZE[0]
    rng = np.random.default_rng([truck.seed, 8, zlib.crc32(camera.encode())])
    station = station_rng(truck, f"camera {camera}")
    d = truck.difficulty
    gain = _auto_gain(radiance, light) * float(np.exp(rng.normal(0, 0.10 + 0.18 * d)))
    sharpness = 0.65 * (1 + 0.8 * d * station.random())
    veil = 0.015 + 0.05 * light.haze * (0.4 + 0.6 * d)
    fault = np.random.default_rng([truck.seed, 9])
    if truck.cause == "unreadable":
        radiance, gain, veil = _spoil(radiance, gain, veil, fault, d, scale)
    sigma = sharpness * scale
    image = np.asarray(radiance, np.float32)
    if sigma > 0.25:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)
    image = image * _vignette(h, w, station) * np.float32(gain)
    image = image * _white_balance(station, rng, light, d)
    level = np.float32(0.16 * veil / 0.05)
    image = image * np.float32(1 - veil) + level * np.float32(0.3) * light.dust_colour
    coded = _tone(np.asarray(image, np.float32))
    noise = (0.006 + 0.020 * light.night + 0.004 * d) * min(scale, 1.0)
    luma = rng.standard_normal((h, w, 1), np.float32)
    chroma = rng.standard_normal((h, w, 3), np.float32)
    grain = luma * np.float32(0.8) + chroma * np.float32(0.6)
    coded = np.asarray(coded + grain * np.float32(noise), np.float32)
    return np.asarray(np.clip(coded[..., ::-1] * 255 + 0.5, 0, 255), np.uint8)


def _auto_gain(radiance: Floats, light: Light) -> float:
    """The camera pulls the frame towards a mid grey, but not all the way, nor far at night."""
    luma = radiance[::8, ::8] @ np.array([0.21, 0.72, 0.07], np.float32)
    level = 0.7 * float(luma.mean()) + 0.3 * float(np.exp(np.log(luma + 1e-4).mean()))
    gain = (0.19 / max(level, 1e-3)) ** 0.72
    return float(np.clip(gain, 0.3, 9.0 if light.night else 4.0))


def _white_balance(
    station: np.random.Generator, rng: np.random.Generator, light: Light, d: float
) -> Floats:
    """Automatic balance takes out most of the light's colour; station and moment add theirs."""
    source = light.sky + light.sun + sum((lamp.colour for lamp in light.lamps), np.zeros(3))
    source = source / source.mean()
    own = np.exp(station.normal(0, 0.025 + 0.10 * d, 3) + rng.normal(0, 0.06 * d, 3))
    return np.asarray(own / own.mean() / source**0.75, np.float32)


def _vignette(h: int, w: int, station: np.random.Generator) -> Floats:
    x = np.linspace(-1, 1, w, dtype=np.float32)
    y = np.linspace(-0.75, 0.75, h, dtype=np.float32)
    amount = np.float32(station.uniform(0.10, 0.24))
    return (1 - amount * (x[None] ** 2 + y[:, None] ** 2))[..., None]


def _tone(image: Floats) -> Floats:
    """Linear light to display values 0 to 1, with a shoulder and a little contrast."""
    x = np.maximum(image, 0)
    x = x * (1 + x * np.float32(0.12)) / (1 + x * np.float32(0.85))
    coded = x ** np.float32(1 / 2.2)
    bend = (coded - np.float32(0.45)) * coded * (1 - coded)
    return np.asarray(coded + np.float32(0.64) * bend)


def _spoil(
    radiance: Floats, gain: float, veil: float, rng: np.random.Generator, d: float, scale: float
) -> tuple[Floats, float, float]:
    """Faults that make a frame unreadable: out of focus, too dark, too bright, fogged lens."""
    fault = int(rng.integers(4))
    severity = float(rng.uniform(1 - 0.6 * d, 1.3))
    h, w = radiance.shape[:2]
    if fault == 0:
        blurred = cv2.GaussianBlur(radiance, (0, 0), max(0.4, (10 + 26 * severity) * scale))
        return np.asarray(blurred), gain, veil
    if fault == 1:
        return radiance, gain * 0.05 / severity, veil
    if fault == 2:
        return radiance, gain * (5 + 7 * severity), veil
    spots = cv2.resize(rng.random((9, 12), np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    fog = np.clip(spots * 0.9 + 0.25 * severity, 0, 0.97)[..., None]
    blurred = cv2.GaussianBlur(radiance, (0, 0), max(0.4, 16 * scale))
    grey = np.float32(radiance.mean() * 1.6)
    return np.asarray(blurred * (1 - fog) + grey * fog, np.float32), gain, veil + 0.04
