"""Arrival to committed record at GOP 50, with where the time goes. Prints one JSON object.

The whole station runs here against four 4 MP cameras in a process of their own. Its cameras are
armed 2.5 s or more before each truck, as its scale does when weight appears.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from virtual import machine, percentile, station_config, uniform_station

from edge_agent.station import Station


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trucks", type=int, default=40)
    parser.add_argument("--unarmed", action="store_true", help="no weight announces the trucks")
    options = parser.parse_args()
    about = machine()
    with uniform_station() as virtual, tempfile.TemporaryDirectory() as folder:
        slowest = max(v["latency_ms"] for v in virtual["cameras"].values())
        result = measure(virtual, Path(folder), options.trucks, armed=not options.unarmed)
    result |= {"slowest_camera_ms": slowest, "armed": not options.unarmed, "machine": about}
    print(json.dumps(result, indent=2))


def measure(virtual: dict[str, Any], folder: Path, trucks: int, *, armed: bool) -> dict[str, Any]:
    station = Station(station_config(virtual, folder))
    station.start()
    while not all(s.clock == "rtcp" for s in station.status().cameras):
        time.sleep(0.05)
    totals: list[float] = []
    parts: dict[str, list[float]] = {}
    for number in range(trucks):
        # What the scale does when a truck drives on, some seconds before its weight is stable.
        station.cameras.arm(armed)
        time.sleep(2.5 + 0.037 * (number % 10))
        began = time.monotonic()
        arrival, _ = station.announce(source="ticket", ticket=f"B-{number}")
        done = station.wait_for(arrival.id, 30.0)
        totals.append((time.monotonic() - began) * 1000)
        assert done is not None
        assert done.grading is not None
        assert done.grading.outcome == "graded", done.grading.detail
        for name, value in done.grading.timings_ms.items():
            parts.setdefault(name, []).append(float(value))
        before_commit = done.grading.timings_ms["total"]
        parts.setdefault("commit", []).append(max(0.0, totals[-1] - before_commit))
    station.stop()
    return {
        "p50_ms": percentile(totals, 50),
        "p95_ms": percentile(totals, 95),
        "breakdown": {
            name: {"p50": percentile(values, 50), "p95": percentile(values, 95)}
            for name, values in parts.items()
            if name != "total"
        },
        "trucks": trucks,
    }


if __name__ == "__main__":
    main()
