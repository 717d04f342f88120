"""Scale, tickets and the button tell of the same truck at the same moment: one arrival."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from virtual import station_without_cameras, virtual_station, wait_until

from edge_agent.records.store import Query
from edge_agent.station import Station
from simulator.station import VirtualStation

Setup = tuple[VirtualStation, Station]


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    """A scale and a station without cameras: its trucks are refused, but each has its record."""
    with virtual_station() as virtual:
        station = station_without_cameras(
            tmp_path,
            weighbridge={
                "indicator": {"host": "127.0.0.1", "port": virtual.scale.port},
                "ticket_grace_s": 0.0,
            },
        )
        station.start()
        try:
            yield virtual, station
        finally:
            station.stop()


def phase(station: Station) -> str | None:
    scale = station.status().scale
    return scale.phase if scale else None


def test_ticket_and_scale_at_once(setup: Setup) -> None:
    virtual, station = setup
    for number in range(6):
        virtual.put_on_scale(31_000.0, rest_after_s=0.4)
        # Some trucks' tickets come before the weight rests, the others' with the scale's own word.
        wait_for_phase = "rising" if number % 2 else "on_scale"
        wait_until(lambda: phase(station) == wait_for_phase)  # noqa: B023
        with ThreadPoolExecutor(8) as pool:
            posts = [
                pool.submit(station.announce, source="ticket", ticket=f"T-{number}")
                for _ in range(24)
            ]
        assert len({post.result()[0].id for post in posts}) == 1
        wait_until(lambda: phase(station) == "on_scale")
        virtual.take_off_scale()
        wait_until(lambda: phase(station) == "empty")
    assert sorted(str(a.ticket) for a in station.store.find(Query())) == [
        f"T-{number}" for number in range(6)
    ]
