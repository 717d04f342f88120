"""True skew of four frames: ours, and the naive way (the newest frame of an OpenCV thread each).

Truth is the frame clock drawn into every picture. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from virtual import cameras_section, login_urls, machine, percentile, spread_ms, uniform_station

from edge_agent.cameras.group import Cameras
from simulator import frameclock


class NewestFrame(threading.Thread):
    """What is usually done: a thread that reads as fast as it can and keeps the last frame."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.frame: Any = None
        self.stopping = False
        self._url = url

    def run(self) -> None:
        capture = cv2.VideoCapture(self._url, cv2.CAP_FFMPEG)
        while not self.stopping:
            ok, frame = capture.read()
            if ok:
                self.frame = frame
        capture.release()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grabs", type=int, default=50)
    grabs = parser.parse_args().grabs
    about = machine()
    with uniform_station() as station, tempfile.TemporaryDirectory() as folder:
        phases = {c: v["phase_ms"] for c, v in station["cameras"].items()}
        ours = measure_ours(station, Path(folder), phases, grabs)
        naive = measure_naive(station, phases, grabs)
    result = {"grabs": min(ours["grabs"], naive["grabs"]), "asked": grabs}
    print(json.dumps({**result, "ours": ours, "naive": naive, "machine": about}, indent=2))
    if result["grabs"] < grabs:
        sys.exit(f"only {result['grabs']} of {grabs} grabs had four readable frame clocks")


def measure_ours(
    station: dict[str, Any], folder: Path, phases: dict[str, float], grabs: int
) -> dict[str, Any]:
    cameras = Cameras(cameras_section(station, folder))
    cameras.start()
    while not all(s.clock == "rtcp" for s in cameras.status()):
        time.sleep(0.05)
    skews: list[float] = []
    errors: list[float] = []
    failures = 0
    while len(skews) < grabs and failures < grabs:
        time.sleep(random.uniform(0.1, 0.4))
        frames = cameras.frames_at(datetime.now(UTC))
        values = {
            c: frameclock.read(np.asarray(f.frame.to_ndarray()[: f.frame.height], np.uint8))
            for c, f in frames.frames.items()
        }
        times = [v + phases[c] for c, v in values.items() if v is not None]
        if len(times) < 4:
            failures += 1
            continue
        skews.append(spread_ms(times))
        errors += [abs(f.error_ms) for f in frames.frames.values()]
    cameras.stop()
    return {
        "grabs": len(skews),
        "skew_ms_p50": percentile(skews, 50),
        "skew_ms_p95": percentile(skews, 95),
        "error_to_instant_ms_p95": percentile(errors, 95),
        "incomplete": failures,
    }


def measure_naive(station: dict[str, Any], phases: dict[str, float], grabs: int) -> dict[str, Any]:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"
    threads = {}
    for camera, url in login_urls(station).items():
        threads[camera] = NewestFrame(url)
        threads[camera].start()
    while any(t.frame is None for t in threads.values()):
        time.sleep(0.05)
    skews: list[float] = []
    for _ in range(2 * grabs):
        if len(skews) == grabs:
            break
        time.sleep(random.uniform(0.3, 0.6))
        frames = {c: t.frame for c, t in threads.items()}
        values = {
            c: frameclock.read(np.asarray(cv2.cvtColor(f, cv2.COLOR_BGR2GRAY), np.uint8))
            for c, f in frames.items()
        }
        times = [v + phases[c] for c, v in values.items() if v is not None]
        if len(times) == 4:
            skews.append(spread_ms(times))
    for thread in threads.values():
        thread.stopping = True
    return {
        "grabs": len(skews),
        "skew_ms_p50": percentile(skews, 50),
        "skew_ms_p95": percentile(skews, 95),
    }


if __name__ == "__main__":
    main()
