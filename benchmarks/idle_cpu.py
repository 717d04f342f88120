"""CPU of four 4 MP streams with nobody on the scale, beside OpenCV decoding all four.

Prints one JSON object; percentages are of one core. Each way runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from virtual import cameras_section, login_urls, machine, uniform_station

_SETTLE_S = 8.0


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
        ours = measure("ours", station, options.seconds)
        decode_all = measure("decode_all", station, min(20.0, options.seconds))
        server = cpu_seconds(station["pid"])
    result = {
        "ours_pct": ours["pct"],
        "decode_all_pct": decode_all["pct"],
        "ratio": round(decode_all["pct"] / ours["pct"], 1),
        "rss_mb_start": ours["rss_mb_start"],
        "rss_mb_end": ours["rss_mb_end"],
        "seconds": options.seconds,
        "server_cpu_s": round(server, 1),
        "machine": about,
    }
    print(json.dumps(result, indent=2))


def measure(way: str, station: dict[str, Any], seconds: float) -> dict[str, float]:
    """CPU and memory of a process that reads all four cameras one way."""
    command = [sys.executable, __file__, "--way", way, "--station", json.dumps(station)]
    with subprocess.Popen(command) as process:
        try:
            time.sleep(_SETTLE_S)
            cpu, memory, began = cpu_seconds(process.pid), rss_mb(process.pid), time.monotonic()
            time.sleep(seconds)
            used = cpu_seconds(process.pid) - cpu
            return {
                "pct": round(100 * used / (time.monotonic() - began), 2),
                "rss_mb_start": memory,
                "rss_mb_end": rss_mb(process.pid),
            }
        finally:
            process.terminate()


def read_all(way: str, station: dict[str, Any]) -> None:
    """Reads until terminated."""
    if way == "ours":
        from edge_agent.cameras.group import Cameras

        with tempfile.TemporaryDirectory() as folder:
            Cameras(cameras_section(station, Path(folder))).start()
            while True:
                time.sleep(60)
    import threading

    import cv2

    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"

    def read(url: str) -> None:
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
        while True:
            capture.read()

    for url in login_urls(station).values():
        threading.Thread(target=read, args=(url,), daemon=True).start()
    while True:
        time.sleep(60)


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
