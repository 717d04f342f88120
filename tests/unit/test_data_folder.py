"""Looking at data_dir: what is wrong is told, and nothing is created, migrated or changed."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine

from edge_agent import data_folder
from edge_agent.errors import RecordError
from edge_agent.records.migrate import alembic_config
from edge_agent.records.store import NewArrival, Store

NOBODY = 65534


def traces(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        p.name: (p.stat().st_uid, p.stat().st_mtime_ns, p.read_bytes())
        for p in folder.iterdir()
        if p.is_file()
    }


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that other users can reach too."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def nobody(folder: Path) -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_to_be_created_is_not_created(folder: Path) -> None:
    assert data_folder.fault(folder / "a" / "b") is None
    assert list(folder.iterdir()) == []
    (folder / "file").touch()
    assert "is not a folder" in str(data_folder.fault(folder / "file"))


def test_another_user_is_told(folder: Path, nobody: None) -> None:
    assert "cannot write there" in str(data_folder.fault(folder))
    assert "cannot create it" in str(data_folder.fault(folder / "data"))
    assert "belongs to user root" in str(data_folder.warning(folder))


def test_a_database_of_another_user_is_told(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    Store(folder / "records.sqlite").close()
    os.chown(folder, NOBODY, NOBODY)
    assert "but this is user root" in str(data_folder.warning(folder))
    os.seteuid(NOBODY)
    try:
        assert "cannot write it" in str(data_folder.fault(folder))
        assert data_folder.warning(folder) is None
    finally:
        os.seteuid(0)


def test_a_closed_database_is_left_as_it_is(folder: Path) -> None:
    Store(folder / "records.sqlite").close()
    before = traces(folder)
    assert data_folder.fault(folder) is None
    assert data_folder.warning(folder) is None
    assert traces(folder) == before


def test_a_database_in_use_is_read_with_what_is_not_yet_in_its_file(folder: Path) -> None:
    with Store(folder / "records.sqlite") as store:
        now = datetime.now(UTC)
        store.accept(NewArrival(station="KK1", source="button", instant=now))
        assert (folder / "records.sqlite-wal").exists()
        before = set(traces(folder))
        assert data_folder.fault(folder) is None
        assert set(traces(folder)) == before
        store.accept(NewArrival(station="KK1", source="button", instant=now))


def test_an_older_database_is_well_and_not_migrated(folder: Path) -> None:
    file = folder / "records.sqlite"
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0001")
    engine.dispose()
    before = traces(folder)
    assert data_folder.fault(folder) is None
    assert traces(folder) == before


def test_a_newer_database_is_told(folder: Path) -> None:
    file = folder / "records.sqlite"
    Store(file).close()
    with sqlite3.connect(file) as database:
        database.execute("update alembic_version set version_num = '9999'")
    database.close()
    assert "written by a newer agent" in str(data_folder.fault(folder))


def test_what_is_no_database_is_told(folder: Path) -> None:
    (folder / "records.sqlite").write_text("this is not a database, but long enough to look at it")
    assert "file is not a database" in str(data_folder.fault(folder))


def test_a_damaged_database_is_told_by_check_and_by_the_store(folder: Path) -> None:
    """A page of the arrivals is overwritten, as disks of stations do after a power cut."""
    file = folder / "records.sqlite"
    with Store(file) as store:
        for number in range(200):
            now = datetime.now(UTC)
            store.accept(NewArrival("KK1", "ticket", now, f"T-{number}", grower="x" * 60))
    with sqlite3.connect(file) as database:
        (page,) = database.execute(
            "select rootpage from sqlite_master where name = 'arrivals'"
        ).fetchone()
        (size,) = database.execute("pragma page_size").fetchone()
    database.close()
    with file.open("r+b") as raw:
        raw.seek((page - 1) * size)
        raw.write(b"\xff" * size)
    assert "damaged" in str(data_folder.fault(folder)) or "malformed" in str(
        data_folder.fault(folder)
    )
    with pytest.raises(RecordError, match="malformed"), Store(file) as store:
        store.open_arrivals()
