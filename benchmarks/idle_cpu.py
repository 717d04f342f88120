"""CPU of four 4 MP streams with nobody on the scale, beside OpenCV decoding all four.

Prints one JSON object; percentages are of one core. Each way runs in a process of its own and
counts what it got: a way that missed pictures would look cheap, and ends the benchmark instead.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from virtual import cameras_section, login_urls, machine, uniform_station

_SETTLE_S = 8.0
_LEAST_FPS = 97.0
"""Of the 100 pictures a second that four cameras send."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="for ours; the rest takes 20")
    parser.add_argument("--way", choices=["ours", "decode_all"], help=argparse.SUPPRESS)
    parser.add_argument("--station", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        read_all(options.way, json.loads(options.station))
        return
    about = machine()
    with uniform_station() as station:
        began, before = time.monotonic(), cpu_seconds(station["pid"])
        ours = measure("ours", station, options.seconds)
        decode_all = measure("decode_all", station, min(20.0, options.seconds))
        server = cpu_seconds(station["pid"]) - before
        served = time.monotonic() - began
    result = {
        "ours_pct": ours["pct"],
        "decode_all_pct": decode_all["pct"],
        "ratio": round(decode_all["pct"] / ours["pct"], 1),
        "rss_mb_start": ours["rss_mb_start"],
        "rss_mb_end": ours["rss_mb_end"],
        "pictures_s": {"ours": ours["fps"], "decode_all": decode_all["fps"]},
        "seconds": options.seconds,
        "server_pct": round(100 * server / served, 2),
        "machine": about,
    }
    print(json.dumps(result, indent=2))
    starved = [way for way, fps in result["pictures_s"].items() if fps < _LEAST_FPS]
    if starved:
        sys.exit(f"{' and '.join(starved)} missed pictures: no fair comparison; is the PC busy?")


def measure(way: str, station: dict[str, Any], seconds: float) -> dict[str, float]:
    """CPU and memory of a process that reads all four cameras one way."""
    command = [sys.executable, __file__, "--way", way, "--station", json.dumps(station)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            time.sleep(_SETTLE_S)
            cpu, memory, began = cpu_seconds(process.pid), rss_mb(process.pid), time.monotonic()
            pictures = count(process)
            time.sleep(seconds)
            used, took = cpu_seconds(process.pid) - cpu, time.monotonic() - began
            return {
                "pct": round(100 * used / took, 2),
                "fps": round((count(process) - pictures) / took, 1),
                "rss_mb_start": memory,
                "rss_mb_end": rss_mb(process.pid),
            }
        finally:
            process.terminate()


def count(process: subprocess.Popen[bytes]) -> int:
    """How many pictures a reading process has got so far: it tells for each line it is sent."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    return int(process.stdout.readline())


def read_all(way: str, station: dict[str, Any]) -> None:
    """Reads until terminated; for each line on stdin says how many pictures there were."""
    with tempfile.TemporaryDirectory() as folder:
        start = start_agent if way == "ours" else start_opencv
        pictures = start(station, Path(folder))
        for _ in sys.stdin:
            print(pictures(), flush=True)


def start_agent(station: dict[str, Any], folder: Path) -> Callable[[], int]:
    """The agent's four readers, counting what goes into their rings."""
    from edge_agent.cameras.group import Cameras

    cameras = Cameras(cameras_section(station, folder))
    cameras.start()
    return lambda: sum(reader.packets() for reader in cameras.readers.values())


def start_opencv(station: dict[str, Any], _: Path) -> Callable[[], int]:
    """A thread a camera that decodes everything."""
    import cv2

    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"
    counts = dict.fromkeys(station["cameras"], 0)

    def read(camera: str, url: str) -> None:
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
        while capture.read()[0]:
            counts[camera] += 1

    for camera, url in login_urls(station).items():
        threading.Thread(target=read, args=(camera, url), daemon=True).start()
    return lambda: sum(counts.values())


def cpu_seconds(pid: int) -> float:
    """User and system time of a process (proc(5), /proc/PID/stat fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident memory in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


if __name__ == "__main__":
    main()
