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
    """A frame (h, w, 3), BGR, from linear RGB light (3, h, w).

    Lens and noise are defined at full size and scaled, so that a small frame has the statistics
    of a full one resized by area.
    """
    h, w = radiance.shape[1:]
    scale = w / FULL_SIZE[0]
    d = truck.difficulty
    rng = np.random.default_rng([truck.seed, 8, zlib.crc32(camera.encode())])
    # One recorder, one light: what the moment does to exposure it does to all cameras alike.
    moment = np.random.default_rng([truck.seed, 8])
    station = station_rng(truck, f"camera {camera}")
    gain = _auto_gain(radiance, light)
    gain *= float(np.exp(moment.normal(0, 0.10 + 0.18 * d) + rng.normal(0, 0.03)))
    sharpness = 0.65 * (1 + 0.8 * d * station.random())
    veil = 0.015 + 0.05 * light.haze * (0.4 + 0.6 * d)
    fault = np.random.default_rng([truck.seed, 9])
    if truck.cause == "unreadable":
        radiance, gain, veil = _spoil(radiance, gain, veil, fault, d, scale)
    sigma = sharpness * scale
    balance = _white_balance(truck, station, moment, light) * np.float32(gain * (1 - veil))
    vignette = _vignette(h, w, station)
    glare = np.float32(0.96 * veil) * light.dust_colour
    noise = np.float32((0.006 + 0.020 * light.night + 0.004 * d) * min(scale, 1.0))
    luma = rng.standard_normal((h, w), np.float32) * np.float32(0.8)
    frame = np.empty((h, w, 3), np.uint8)
    for c in range(3):
        plane = radiance[c]
        if sigma > 0.25:
            plane = np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)
        coded = _tone(plane * (vignette * balance[c]) + glare[c])
        grain = luma + np.float32(0.6) * rng.standard_normal((h, w), np.float32)
        frame[..., 2 - c] = np.clip((coded + grain * noise) * 255 + np.float32(0.5), 0, 255)
    return frame


def _auto_gain(radiance: Floats, light: Light) -> float:
    """The camera pulls the frame towards a mid grey, but not all the way, nor far at night."""
    red, green, blue = radiance[:, ::8, ::8]
    luma = 0.21 * red + 0.72 * green + 0.07 * blue
    level = 0.7 * float(luma.mean()) + 0.3 * float(np.exp(np.log(luma + 1e-4).mean()))
    gain = (0.23 / max(level, 1e-3)) ** 0.72
    return float(np.clip(gain, 0.3, 9.0 if light.night else 4.0))


def _white_balance(
    truck: Truck, camera: np.random.Generator, moment: np.random.Generator, light: Light
) -> Floats:
    """Automatic balance takes out most of the light's colour; station and moment add theirs.

    It errs along the colours of daylight, blue to yellow, more than from green to magenta, and
    the cameras of one station, being of one make, err alike but for a little.
    """
    d = truck.difficulty
    source = light.sky + light.sun + sum((lamp.colour for lamp in light.lamps), np.zeros(3))
    source = source / source.mean()
    station = station_rng(truck, "colour")
    warm = station.normal(0, 0.02 + 0.10 * d) + moment.normal(0, 0.07 * d)
    green = station.normal(0, 0.01 + 0.05 * d) + moment.normal(0, 0.03 * d)
    own = np.exp(np.array([warm, green, -warm]) + camera.normal(0, 0.008, 3))
    return np.asarray(own / own.mean() / source**0.75, np.float32)


def _vignette(h: int, w: int, station: np.random.Generator) -> Floats:
    x = np.linspace(-1, 1, w, dtype=np.float32)
    y = np.linspace(-0.75, 0.75, h, dtype=np.float32)
    amount = np.float32(station.uniform(0.10, 0.24))
    return 1 - amount * (x[None] ** 2 + y[:, None] ** 2)


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
    h, w = radiance.shape[1:]

    def blurred(sigma: float) -> Floats:
        planes = [cv2.GaussianBlur(p, (0, 0), max(0.4, sigma * scale)) for p in radiance]
        return np.stack(planes).astype(np.float32)

    if fault == 0:
        return blurred(10 + 26 * severity), gain, veil
    if fault == 1:
        return radiance, gain * 0.05 / severity, veil
    if fault == 2:
        return radiance, gain * (5 + 7 * severity), veil
    spots = cv2.resize(rng.random((9, 12), np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    fog = np.clip(spots * 0.9 + 0.25 * severity, 0, 0.97).astype(np.float32)
    grey = np.float32(radiance.mean() * 1.6)
    return blurred(16) * (1 - fog) + grey * fog, gain, veil + 0.04
