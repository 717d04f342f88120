"""Trucks for a look at the console: every grade and outcome, long names, missing pictures.

Run it (`python tests/console_trucks.py --port 8090`) to look at the console in every state.
"""

from __future__ import annotations

import argparse
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp

import uvicorn
from console_states import scale_status, troubled_status
from console_station import ConsoleStation, config

from edge_agent.api import create_app
from edge_agent.console import mount
from edge_agent.errors import RecordError
from edge_agent.grades import GRADES, Grade
from edge_agent.reasons import Reason
from edge_agent.records.models import Arrival

STATES = ("filled", "new", "open", "empty", "rising", "troubled")


def fill(station: ConsoleStation, size: tuple[int, int] = (2272, 1704)) -> dict[str, str]:
    """Trucks in every state, the newest last; returns arrival ids by a name for each."""
    ids: dict[str, str] = {}
    now = datetime.now(UTC)

    def come(name: str, minutes: float, **known: object) -> Arrival:
        arrival = station.came(now - timedelta(minutes=minutes), **known)
        ids[name] = arrival.id
        return arrival

    for number in reversed(range(40)):
        truck = come(
            f"old-{number}",
            200 + 31 * number,
            ticket=f"T-2026-{100 + number:06d}",
            plate=f"82-{1000 + 7 * number}",
            province="ขอนแก่น",
            weight_kg=29000.0 + 10 * number,
        )
        trash = (3.2 + number, 8.4 + number, 19.5 + number) if number % 3 else None
        sure = 0.8 + 0.004 * number
        station.grade(truck, GRADES[number % 4], sure, trash=trash, size=(320, 240))
    long = come(
        "long-names",
        64,
        ticket="WEIGHBRIDGE-NORTH-2026/01/15-SHIFT-B-000000000000123456789-ABCDE",
        plate="ตจ-82-1234 ข้อความยาวมาก",
        province="พระนครศรีอยุธยา",
        grower="กลุ่มชาวไร่อ้อยอำเภอบ้านไผ่ สหกรณ์การเกษตร",
        weight_kg=38412.5,
    )
    station.grade(long, Grade.FRESH_TRASH, 0.71, trash=(81.5, 91.2, 100.0), size=size)
    for minutes, grade in enumerate(GRADES):
        truck = come(
            grade.value,
            50 - 7 * minutes,
            ticket=f"T-2026-{500 + minutes:06d}",
            plate=f"7{minutes}-482{minutes}",
            province="อุดรธานี",
            grower="G-00417",
            weight_kg=31240.0,
        )
        trash = None if grade is Grade.UNDEFINED else (4.7, 12.3, 21.6)
        station.grade(truck, grade, 0.93 + 0.01 * minutes, trash=trash, size=size)
    nameless = come("nameless", 14, source="button")
    station.grade(nameless, Grade.BURN_CLEAN, 0.88, missing=("C101", "C401"), size=size)
    dark = come("refused", 9, ticket="T-2026-000600", plate="83-0042", province="ชัยภูมิ")
    station.refuse(dark, Reason.NO_FRAME, "no picture within 2.0 s", size=size)
    unsure = come("needs-person", 4, ticket="T-2026-000601", plate="81-7780", weight_kg=30110.0)
    station.grade(unsure, Grade.BURN_TRASH, 0.47, needs_person=True, size=size)
    return ids


def main() -> None:
    """Serves the console on a filled station until interrupted."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--state", default="filled", choices=STATES)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    station = ConsoleStation(config(Path(mkdtemp(prefix="console-"))))
    if args.state != "new":
        fill(station)
    if args.state == "open":
        station.announce(
            source="ticket", ticket="T-2026-000700", plate="70-1111", province="ขอนแก่น"
        )
    if args.state in ("empty", "rising"):
        station.state = scale_status(args.state)
    if args.state == "troubled":
        station.state = troubled_status()
        station.fault = RecordError("records: disk is full; free space on the data disk")
    app = create_app(station)
    mount(app, station)
    uvicorn.run(app, host="127.0.0.1", port=args.port, log_level="warning")


if __name__ == "__main__":
    main()
