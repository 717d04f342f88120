"""What the station benchmarks share: a virtual station in a process of its own, and the machine."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from edge_agent.config import CamerasSection, StationConfig
from simulator.scenes import CLOCK_LOOP_S

BUNDLE = Path(__file__).parents[1] / "deploy" / "models" / "sim-mobilenetv2.bundle"
LOOP_MS = CLOCK_LOOP_S * 1000


@contextlib.contextmanager
def uniform_station() -> Iterator[dict[str, Any]]:
    """Four 2272 x 1704, 25 fps, GOP 50 cameras with latencies of 120 to 400 ms, frame clock on."""
    with _station("--cameras", "uniform", "--clock") as about:
        yield about


@contextlib.contextmanager
def standard_station() -> Iterator[dict[str, Any]]:
    """Four 2272 x 1704 cameras of several makes, as in the demo."""
    with _station() as about:
        yield about


@contextlib.contextmanager
def _station(*options: str) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "simulator", "station", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield {**json.loads(process.stdout.readline()), "pid": process.pid}
        finally:
            process.terminate()


def cameras_section(station: dict[str, Any], folder: Path) -> CamerasSection:
    """The agent's settings for those cameras; the password file goes into `folder`."""
    password = folder / "password"
    password.write_text(station["password"], encoding="utf-8")
    data: dict[str, Any] = {c: {"url": v["url"]} for c, v in station["cameras"].items()}
    data["credentials"] = {"username": station["username"], "password_file": str(password)}
    return CamerasSection.model_validate(data)


def station_config(station: dict[str, Any], folder: Path) -> StationConfig:
    """A whole agent's settings at those cameras, with the demo's model; it keeps its data there."""
    return StationConfig.model_validate(
        {
            "station": {"id": "bench", "name": "Benchmark"},
            "data_dir": folder,
            "cameras": cameras_section(station, folder),
            "model": {"bundle": BUNDLE},
        }
    )


def login_urls(station: dict[str, Any]) -> dict[str, str]:
    """The cameras' addresses with user name and password, as OpenCV wants them."""
    login = f"{quote(station['username'], safe='')}:{quote(station['password'], safe='')}@"
    parts = {camera: urlsplit(about["url"]) for camera, about in station["cameras"].items()}
    return {c: urlunsplit(p._replace(netloc=login + p.netloc)) for c, p in parts.items()}


def spread_ms(times: list[float]) -> float:
    """Latest less earliest of times that run around the loop of the frame clock."""
    around = [(t - times[0] + LOOP_MS / 2) % LOOP_MS for t in times]
    return max(around) - min(around)


def machine() -> dict[str, Any]:
    """Where and when this was measured."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def percentile(values: list[float], q: float) -> float:
    """The q-th percentile (0 to 100), by linear interpolation."""
    import numpy as np

    return round(float(np.percentile(values, q)), 2)
