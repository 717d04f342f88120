"""How soon a broken 4 MP camera is noticed, and what becomes of the next truck. Prints JSON.

A whole station runs here; four cameras of 2272 x 1704 in a process of their own break on demand.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from virtual import machine, standard_station, station_config

from edge_agent.cameras.frames import GRADED_CAMERA
from edge_agent.station import Station
from edge_agent.status import CameraState

FAULTS = ("freeze", "stall", "resize", "disconnect", "refuse_password", "black")
NOT_SEEN_IDLE = ("black",)
"""Found by the content checks, when a truck's frames are decoded: an idle agent decodes nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    about = machine()
    with standard_station() as virtual, tempfile.TemporaryDirectory() as folder:
        result = measure(virtual, Path(folder), options.rounds)
    print(json.dumps({"faults": result, "rounds": options.rounds, "machine": about}, indent=2))


def measure(virtual: dict[str, Any], folder: Path, rounds: int) -> dict[str, Any]:
    station = Station(station_config(virtual, folder))
    station.start()
    with httpx.Client(base_url=virtual["control"], timeout=60.0) as control:
        result: dict[str, Any] = {}
        for fault in FAULTS:
            noticed, trucks = [], []
            for number in range(rounds):
                # A fault at another place of the group of pictures each time.
                wait_until_well(station)
                time.sleep(2.5 + 0.37 * number)
                noticed.append(break_graded(station, control, fault))
                trucks.append(outcome(station, f"{fault}-{number}"))
                control.put(f"/cameras/{GRADED_CAMERA}/fault", json={"fault": "none"})
            seen = [s for s in noticed if s is not None]
            result[fault] = {
                "noticed_s_worst": max(seen) if len(seen) == rounds else None,
                "next_truck": trucks,
            }
    station.stop()
    return result


def wait_until_well(station: Station) -> None:
    deadline = time.monotonic() + 400.0
    while not all(s.state is CameraState.STREAMING for s in station.status().cameras):
        assert time.monotonic() < deadline, station.status().problems
        time.sleep(0.05)


def break_graded(station: Station, control: httpx.Client, fault: str) -> float | None:
    """Seconds from the camera's breaking to the problem in the status; None if never."""
    control.put(f"/cameras/{GRADED_CAMERA}/fault", json={"fault": fault}).raise_for_status()
    began = time.monotonic()
    while time.monotonic() - began < (1.0 if fault in NOT_SEEN_IDLE else 8.0):
        camera = next(c for c in station.status().cameras if c.camera == GRADED_CAMERA)
        if camera.problem is not None:
            return round(time.monotonic() - began, 2)
        time.sleep(0.01)
    return None


def outcome(station: Station, ticket: str) -> str:
    """What the station records of a truck that comes now."""
    arrival, _ = station.announce(source="ticket", ticket=ticket)
    done = station.wait_for(arrival.id, 30.0)
    assert done is not None
    assert done.grading is not None
    return f"{done.grading.outcome}: {done.grading.reason or done.grading.grade}"


if __name__ == "__main__":
    main()
