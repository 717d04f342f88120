"""Scale, tickets and the button tell of the same truck at the same moment: one arrival."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from virtual import station_without_cameras, virtual_station, wait_until

from edge_agent.errors import RecordError
from edge_agent.records.models import Arrival
from edge_agent.records.store import NewArrival, Query
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


def test_a_late_ticket_does_not_get_the_next_truck_s_record(setup: Setup) -> None:
    virtual, station = setup
    virtual.put_on_scale(41_000.0, rest_after_s=0.2)
    wait_until(lambda: station.store.count(Query()) == 1)
    (second,) = station.store.find(Query())
    a_minute_ago = datetime.now(UTC) - timedelta(seconds=60)
    first, created = station.announce(
        source="ticket", ticket="T-1", plate="82-1111", weighed_at=a_minute_ago
    )
    assert created
    assert first.id != second.id
    assert (first.instant, first.weight_kg) == (a_minute_ago, None)
    named, created = station.announce(source="ticket", ticket="T-2", plate="82-2222")
    assert (named.id, named.plate, named.weight_kg, created) == (
        *(second.id, "82-2222", 41_000.0),
        False,
    )


def test_a_late_ticket_does_not_keep_the_scale_from_announcing(setup: Setup) -> None:
    virtual, station = setup
    virtual.put_on_scale(41_000.0, rest_after_s=3.0)
    wait_until(lambda: phase(station) == "rising")
    a_minute_ago = datetime.now(UTC) - timedelta(seconds=60)
    station.announce(source="ticket", ticket="T-1", weighed_at=a_minute_ago)
    wait_until(lambda: station.store.count(Query()) == 2)
    assert [arrival.source for arrival in station.store.find(Query())] == ["scale", "ticket"]


def test_only_a_weight_at_rest_is_recorded(setup: Setup) -> None:
    virtual, station = setup
    virtual.put_on_scale(41_000.0, rest_after_s=5.0)
    wait_until(lambda: phase(station) == "rising")
    moving, _ = station.announce(source="button")
    assert moving.weight_kg is None
    # The weighbridge's own counts, also where the scale has announced the truck before.
    told, created = station.announce(source="ticket", ticket="T-1", weight_kg=40_980.0)
    assert (told.id, told.weight_kg, created) == (moving.id, 40_980.0, False)


def test_a_truck_whose_record_could_not_be_written_is_announced_again(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    virtual, station = setup
    accept, tries = station.store.accept, []

    def refuse_once(new: NewArrival) -> tuple[Arrival, bool]:
        tries.append(new)
        if len(tries) == 1:
            raise RecordError("records: database is locked")
        return accept(new)

    monkeypatch.setattr(station.store, "accept", refuse_once)
    monkeypatch.setattr("edge_agent.station._RETRY_S", (0.1, 0.3))
    virtual.put_on_scale(41_000.0, rest_after_s=0.2)
    wait_until(lambda: station.store.count(Query()) == 1)
    assert len(tries) == 2
