"""Records that cannot be written for a while: nothing is lost, and it is said."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from virtual import station_without_cameras, wait_until

from edge_agent.errors import RecordError
from edge_agent.records.store import Store
from edge_agent.station import Station


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    """Without cameras: its trucks are refused, but each has its record."""
    station = station_without_cameras(tmp_path)
    station.start()
    try:
        yield station
    finally:
        station.stop()


def test_outcome_is_committed_when_the_database_is_free_again(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocker = sqlite3.connect(station.store.file, check_same_thread=False)
    grading, blocked = threading.Event(), threading.Event()
    grade = station._pipeline.grade

    def grade_late(arrival: object, no_model: object) -> object:
        grading.set()
        assert blocked.wait(10)
        return grade(arrival)  # type: ignore[arg-type]

    monkeypatch.setattr(station._pipeline, "grade", grade_late)
    arrival, _ = station.announce(source="ticket", ticket="T-1")
    assert grading.wait(10)
    blocker.execute("BEGIN IMMEDIATE")
    blocked.set()
    # SQLite itself waits five seconds before it gives up.
    wait_until(lambda: any("outcome not stored" in p for p in station.status().problems), 20.0)
    assert not station.status().ready
    with pytest.raises(RecordError, match="arrival not stored"):
        station.announce(source="ticket", ticket="T-2")
    blocker.rollback()
    blocker.close()
    done = station.wait_for(arrival.id, 20.0)
    assert done is not None
    assert done.grading is not None
    assert not any("not stored" in p for p in station.status().problems)


def test_whatever_goes_wrong_the_next_truck_is_graded(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Store.record
    failures = iter([RuntimeError("something nobody thought of")])

    def record_or_fail(self: Store, *args: object) -> None:
        for failure in failures:
            raise failure
        record(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "record", record_or_fail)
    station.announce(source="ticket", ticket="T-1")
    second, _ = station.announce(source="ticket", ticket="T-2")
    assert station.wait_for(second.id, 20.0) is not None
