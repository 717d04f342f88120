"""Records in a real SQLite file."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from alembic import command
from sqlalchemy import create_engine

from edge_agent.errors import RecordConflictError, RecordError
from edge_agent.records import migrate
from edge_agent.records.evidence import RESERVE_BYTES, EvidenceFolder
from edge_agent.records.lock import FolderLock
from edge_agent.records.store import FrameRecord, NewArrival, Outcome, Query, Store

NOW = datetime(2026, 1, 15, 3, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with Store(tmp_path / "records.sqlite") as opened:
        yield opened  # type: ignore[misc]


def arrival(ticket: str | None = None, *, minutes: int = 0, plate: str | None = None) -> NewArrival:
    return NewArrival("KK1", "ticket", NOW + timedelta(minutes=minutes), ticket, plate)


def test_the_file_is_durable_and_migrated(store: Store) -> None:
    with sqlite3.connect(store.file) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("0004",)
    raw.close()
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_a_ticket_is_accepted_once_however_many_ask(store: Store) -> None:
    results = []
    barrier = threading.Barrier(8)

    def announce() -> None:
        barrier.wait()
        results.append(store.accept(arrival("T-1")))

    threads = [threading.Thread(target=announce) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(created for _, created in results) == 1
    assert len({a.id for a, _ in results}) == 1


@pytest.mark.parametrize("ticket", [None, "T-2"])
def test_an_arrival_that_is_not_stored_is_never_another_truck(
    store: Store, ticket: str | None
) -> None:
    store.accept(arrival())
    store.accept(arrival("T-1"))
    with store._engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE INSERT ON arrivals BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with pytest.raises(RecordError, match="arrival not stored: no;"):
        store.accept(arrival(ticket))
    known, created = store.accept(arrival("T-1"))
    assert (known.ticket, created) == ("T-1", False)
    assert store.count(Query()) == 2


def test_open_until_recorded_and_never_twice(store: Store) -> None:
    accepted, _ = store.accept(arrival())
    assert [a.id for a in store.open_arrivals()] == [accepted.id]
    outcome = Outcome("graded", grade="burn_clean", frames=(FrameRecord("C301", clock="rtcp"),))
    store.record(accepted.id, outcome)
    done = store.get(accepted.id)
    assert done is not None
    assert done.grading is not None
    assert done.grading.frames[0].camera == "C301"
    assert store.open_arrivals() == []
    with pytest.raises(RecordConflictError, match="already graded"):
        store.record(accepted.id, outcome)


def test_finds_by_grade_outcome_text_and_time(store: Store) -> None:
    for n, (grade, outcome) in enumerate(
        [("fresh_clean", "graded"), ("burn_trash", "graded"), (None, "refused")]
    ):
        accepted, _ = store.accept(arrival(f"A-{n}", minutes=n, plate=f"82-100{n}"))
        store.record(accepted.id, Outcome(outcome, grade=grade, needs_person=n == 1))
    store.accept(arrival("B_%", minutes=3))

    def tickets(**query: object) -> list[str | None]:
        return [a.ticket for a in store.find(Query(**query))]  # type: ignore[arg-type]

    assert tickets() == ["B_%", "A-2", "A-1", "A-0"]
    assert tickets(grade="burn_trash") == tickets(outcome="needs_person") == ["A-1"]
    assert tickets(outcome="open") == tickets(text="_%") == ["B_%"]
    assert tickets(text="82-1002") == tickets(outcome="refused") == ["A-2"]
    since, until = NOW + timedelta(minutes=1), NOW + timedelta(minutes=3)
    assert tickets(since=since, until=until) == ["A-2", "A-1"]
    assert store.count(Query(outcome="graded")) == 2
    assert [a.ticket for a in store.find(Query(), limit=2, offset=1)] == ["A-2", "A-1"]


def test_naive_times_are_refused(store: Store) -> None:
    with pytest.raises(RecordError, match="naive datetime"):
        store.accept(NewArrival("KK1", "ticket", datetime(2026, 1, 1)))  # noqa: DTZ001


def test_what_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "records.sqlite"
    file.write_bytes(b"not a database, " * 100)
    with pytest.raises(RecordError, match="not a database"):
        Store(file)


def test_pictures_leave_room_for_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, frame = EvidenceFolder(tmp_path), np.zeros((48, 64, 3), np.uint8)
    usage = shutil.disk_usage(tmp_path)
    for free, room in ((RESERVE_BYTES + 100_000, True), (RESERVE_BYTES, False)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, f=free: usage._replace(free=f))
        if room:
            folder.write("a", NOW, "C301", frame)
        else:
            with pytest.raises(RecordError, match="No space left on device; free space"):
                folder.write("b", NOW, "C301", frame)
    assert [file.name for file in tmp_path.rglob("*.*")] == ["C301.jpg"]


def test_evidence_is_whole_and_stays_in_its_folder(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path / "evidence")
    kept = folder.write("id-1", NOW, "C301", np.full((48, 64, 3), 99, np.uint8))
    assert kept.path == "2026/01/15/id-1/C301.jpg"
    file = folder.resolve(kept.path)
    assert file is not None
    assert not list(file.parent.glob("*.part"))
    (tmp_path / "secret").write_text("x", encoding="utf-8")
    assert folder.resolve("../secret") is None
    assert folder.resolve("2026/none.jpg") is None


def test_order_is_that_of_acceptance_whatever_the_clock_did(store: Store) -> None:
    for n, minutes in enumerate([0, 1440, 1]):
        accepted, _ = store.accept(arrival(f"C-{n}", minutes=minutes))
        assert accepted.sequence == n + 1
        assert accepted.grading is None
    assert [a.ticket for a in store.find(Query())] == ["C-2", "C-1", "C-0"]
    assert [a.ticket for a in store.open_arrivals()] == ["C-0", "C-1", "C-2"]


KILLED: Final = """
import os, sys, importlib
from pathlib import Path
from edge_agent.records.store import Store
step = importlib.import_module("edge_agent.records.migrations.versions." + sys.argv[2])
step.op.execute = lambda *_, **__: os._exit(9)
Store(Path(sys.argv[1]))
"""


def test_a_database_is_of_one_version_or_the_next_whenever_power_goes(tmp_path: Path) -> None:
    """Killed in the second step of four, of a new database and of one of the first version."""
    new, old = tmp_path / "new.sqlite", tmp_path / "old.sqlite"
    engine = create_engine(f"sqlite:///{old}")
    with engine.begin() as connection:
        command.upgrade(migrate.alembic_config(connection), "0001")
        connection.exec_driver_sql(
            "INSERT INTO arrivals (id, station, source, instant, accepted_at) "
            "VALUES ('a', 'KK1', 'button', '2026-01-15 03:00:00', '2026-01-15 03:00:00')"
        )
    engine.dispose()
    for file, kept in ((new, []), (old, ["a"])):
        killed = subprocess.run([sys.executable, "-c", KILLED, file, "0002_sequence"], check=False)
        assert killed.returncode == 9
        with Store(file) as store:
            assert [known.id for known in store.find(Query())] == kept


def test_older_database_keeps_its_order(tmp_path: Path) -> None:
    file = tmp_path / "records.sqlite"
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        command.upgrade(migrate.alembic_config(connection), "0001")
        for name in "BAC":
            connection.exec_driver_sql(
                "INSERT INTO arrivals (id, station, source, ticket, instant, accepted_at) "
                "VALUES (?, 'KK1', 'ticket', ?, '2026-01-01', '2026-01-01')",
                (name, name),
            )
    engine.dispose()
    with Store(file) as store:
        store.accept(arrival("D"))
        assert [a.ticket for a in store.find(Query())] == ["D", "C", "A", "B"]


def test_older_gradings_stay_as_they_are_without_an_estimate(tmp_path: Path) -> None:
    file = tmp_path / "records.sqlite"
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        command.upgrade(migrate.alembic_config(connection), "0002")
        connection.exec_driver_sql(
            "INSERT INTO arrivals (id, station, source, ticket, instant, accepted_at, sequence) "
            "VALUES ('A', 'KK1', 'ticket', 'T-1', '2026-01-01', '2026-01-01', 1)"
        )
        connection.exec_driver_sql(
            "INSERT INTO gradings (id, arrival_id, outcome, needs_person, grade, confidence, "
            "timings_ms, recorded_at) "
            "VALUES (7, 'A', 'graded', 0, 'burn_trash', 0.9, '{}', '2026-01-01')"
        )
        connection.exec_driver_sql("INSERT INTO frames (grading_id, camera) VALUES (7, 'C301')")
    engine.dispose()
    estimate = {"trash_low": 5.0, "trash_middle": 12.0, "trash_high": 22.5, "trash_coverage": 0.9}
    with Store(file) as store:
        old = store.get("A")
        assert old is not None
        assert old.grading is not None
        assert (old.grading.grade, old.grading.frames[0].camera) == ("burn_trash", "C301")
        assert {getattr(old.grading, name) for name in estimate} == {None}
        new, _ = store.accept(arrival("T-2"))
        store.record(new.id, Outcome("graded", grade="fresh_trash", **estimate))
        kept = store.get(new.id)
        assert kept is not None
        assert {name: getattr(kept.grading, name) for name in estimate} == estimate
    # Back again: what older agents know is all still there.
    with engine.begin() as connection:
        command.downgrade(migrate.alembic_config(connection), "0002")
        rows = connection.exec_driver_sql("SELECT grade FROM gradings ORDER BY id").all()
        columns = connection.exec_driver_sql("SELECT * FROM gradings").keys()
    engine.dispose()
    assert [row[0] for row in rows] == ["burn_trash", "fresh_trash"]
    assert not set(estimate) & set(columns)


def test_gradings_come_in_the_order_of_their_commits(store: Store) -> None:
    assert store.last_grading_id() == 0
    first, _ = store.accept(arrival("A"))
    second, _ = store.accept(arrival("B"))
    store.record(second.id, Outcome("refused", reason="black"))
    seen = store.last_grading_id()
    store.record(first.id, Outcome("graded", grade="burn_clean"))
    assert [g.arrival_id for g in store.gradings_after(0, 10)] == [second.id, first.id]
    assert [g.arrival_id for g in store.gradings_after(seen, 10)] == [first.id]


def test_one_agent_for_a_folder(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with pytest.raises(RecordError, match="another edge-agent"):
        FolderLock(tmp_path)
    lock.release()
    FolderLock(tmp_path).release()
