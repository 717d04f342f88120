"""A small virtual station for tests: real RTSP and Toledo on loopback, small pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.config import CAMERA_IDS, CamerasSection, StationConfig
from edge_agent.station import Station
from simulator import frameclock
from simulator.feed import CameraSpec
from simulator.station import VirtualStation
from simulator.video import Clip, Codec, encode

WIDTH, HEIGHT = 640, 480

SPECS = (
    CameraSpec("C101", 101, "h264", 12.0, 24, 120.0, phase_ms=5.0),
    CameraSpec("C201", 201, "hevc", 12.0, 24, 180.0, phase_ms=20.0),
    CameraSpec("C301", 301, "h264", 25.0, 50, 250.0, phase_ms=11.0),
    CameraSpec("C401", 401, "h264", 25.0, 25, 400.0, phase_ms=30.0),
)


def clock_pictures(seconds: float, fps: float) -> Iterator[npt.NDArray[np.uint8]]:
    """I420 pictures with texture, noise and the frame clock in milliseconds."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(40, 200, (HEIGHT // 8, WIDTH // 8)).astype(np.uint8)
    base = np.kron(coarse, np.ones((8, 8), np.uint8))
    for index in range(round(seconds * fps)):
        picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        picture[:HEIGHT] = base + rng.integers(0, 6, base.shape).astype(np.uint8)
        frameclock.draw(picture[:HEIGHT], round(index / fps * 1000))
        yield picture


@cache
def clock_clip(codec: Codec, fps: float, gop: int, seconds: float = 4.0) -> Clip:
    """A looping clip with the frame clock."""
    return encode([], list(clock_pictures(seconds, fps)), codec=codec, fps=fps, gop=gop)


def virtual_station(specs: tuple[CameraSpec, ...] = SPECS, **options: Any) -> VirtualStation:
    """A station whose cameras show the frame clock."""
    clips = {s.camera: clock_clip(s.codec, s.fps, s.gop) for s in specs}
    return VirtualStation(specs, clips, **options)


def cameras_section(station: VirtualStation, password_file: str, **changes: Any) -> CamerasSection:
    """The settings for an agent's cameras at that station."""
    data: dict[str, Any] = {camera: {"url": station.url(camera)} for camera in station.feeds} | {
        "width": WIDTH,
        "height": HEIGHT,
    }
    data["credentials"] = {"username": "station", "password_file": password_file}
    return CamerasSection.model_validate(data | changes)


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Returns as soon as the condition holds; fails the test if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "condition did not come true in time"
        time.sleep(0.02)


def station_without_cameras(folder: Path, **sections: Any) -> Station:
    """A whole station whose cameras are not there: its trucks are refused, but each is recorded."""
    data: dict[str, Any] = {
        "station": {"id": "KK1", "name": "Weighbridge 1"},
        "data_dir": folder,
        "cameras": {camera: {"url": "rtsp://127.0.0.1:1/x"} for camera in CAMERA_IDS},
        "model": {"bundle": folder / "none.bundle"},
    }
    return Station(StationConfig.model_validate(data | sections))
