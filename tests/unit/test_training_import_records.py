"""Imports of a station's records: evidence images, and people's reviews as the votes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from importing import run
from PIL import Image

from edge_agent.grades import GRADES
from edge_agent.records.evidence import EvidenceFolder
from edge_agent.records.store import FrameRecord, NewArrival, Outcome, Store
from training.data.dataset import Dataset
from training.data.description import Description

NOW = datetime(2026, 1, 15, 3, 0, tzinfo=UTC)


@pytest.fixture
def station(tmp_path: Path) -> tuple[Path, list[str]]:
    """A station's data folder with five trucks, and the records' ids."""
    data = tmp_path / "station"
    evidence = EvidenceFolder(data / "evidence")
    records = []
    with Store(data / "records.sqlite") as store:
        for i in range(5):
            at = NOW + timedelta(days=i)
            plate = f"70-{i % 4}" if i else None
            arrival, _ = store.accept(NewArrival("KK1", "ticket", at, f"W{i}", plate, "ขอนแก่น"))
            rng = np.random.default_rng(i)
            frame = rng.integers(0, 255, (100, 80, 3), dtype=np.uint8)
            stored = evidence.write(arrival.id, at, "C301", frame)
            problem = "blurred" if i == 4 else None
            shot = FrameRecord(
                "C301", problem=problem, captured_at=at, path=stored.path, sha256=stored.sha256
            )
            outcome = Outcome(
                "graded", grade="burn_trash", graded_area=[0.0, 0.04, 1.0, 0.96], frames=(shot,)
            )
            store.record(arrival.id, outcome)
            records.append(arrival.id)
        store.accept(NewArrival("KK1", "ticket", NOW, "open"))
    return data, records


def test_records_without_reviews_are_unlabelled(
    tmp_path: Path, station: tuple[Path, list[str]]
) -> None:
    data, records = station
    with Store(data / "records.sqlite"):  # a running station keeps it open
        said = run("records", data, "--out", tmp_path / "out", "--copy")
    assert "4 images of 4 trucks" in said
    assert "1 x failed the station's check: blurred" in said
    assert "1 records have no plate: each counts as a truck" in said
    assert "whole frames; reading cuts the graded area 0,0.04,1,0.96 out of them" in said
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.labels.unlabelled == 4  # the machine's grade is no label
    assert [row.truck for row in dataset.manifest.rows] == [
        records[0],
        *(f"70-{i} ขอนแก่น" for i in (1, 2, 3)),
    ]
    first = dataset.manifest.rows[0]
    assert (first.station, first.captured_at, first.camera) == ("KK1", NOW, "C301")
    assert dataset.manifest.cells[0]["machine_grade"] == "burn_trash"
    assert dataset.description.cut == (0.0, 0.04, 1.0, 0.96)


def test_a_plate_whose_province_was_not_always_read_is_one_truck(
    tmp_path: Path, station: tuple[Path, list[str]]
) -> None:
    data, _ = station
    seen = {"lacking": ("70-1", None), "other": ("70-1", "เลย"), "blanks": ("70-2 ", " ขอนแก่น")}
    with Store(data / "records.sqlite") as store:
        for ticket, (plate, province) in seen.items():
            arrival, _ = store.accept(NewArrival("KK1", "ticket", NOW, ticket, plate, province))
            frame = np.random.default_rng(len(ticket)).integers(0, 255, (40, 40, 3), np.uint8)
            stored = EvidenceFolder(data / "evidence").write(arrival.id, NOW, "C301", frame)
            shot = FrameRecord("C301", captured_at=NOW, path=stored.path, sha256=stored.sha256)
            store.record(arrival.id, Outcome("graded", grade="burn_trash", frames=(shot,)))
    said = run("records", data, "--out", tmp_path / "out")
    assert "1 plates lack their province in some records, as 70-1: each counts as one truck" in said
    manifest = Dataset.open(tmp_path / "out").manifest
    trucks = {
        cells["ticket"]: row.truck for row, cells in zip(manifest.rows, manifest.cells, strict=True)
    }
    assert trucks["W1"] == trucks["lacking"] == trucks["other"] == "70-1"
    assert trucks["W2"] == trucks["blanks"] == "70-2 ขอนแก่น"


def test_reviews_are_the_votes(tmp_path: Path, station: tuple[Path, list[str]]) -> None:
    data, _ = station
    (tmp_path / "reviews.csv").write_text(
        "ticket,grade,reviewer\n"
        "W0,fresh_clean,nok\nW0,fresh_clean,lek\nW1,burn_clean,lek\nW2,undefined,nok\n"
        "W2,burn_clean,lek\nW77,burn_clean,lek\n"
    )
    said = run("records", data, "--out", tmp_path / "out", "--reviews", tmp_path / "reviews.csv")
    assert "1 tickets with reviews are not in the records, as W77" in said
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.description.experts == {"vote_1": "lek", "vote_2": "nok"}
    assert dataset.labels.grades == (GRADES[0], GRADES[2], None, None)
    assert (dataset.labels.disputed, dataset.labels.unlabelled) == (1, 1)
    images = dataset.load(None, 32).images
    frame = np.asarray(Image.open(dataset.manifest.images[0]))
    assert (images[0] == cv2.resize(frame[4:96], (32, 32), interpolation=cv2.INTER_AREA)).all()


def test_changed_and_missing_evidence_is_left_out(
    tmp_path: Path, station: tuple[Path, list[str]]
) -> None:
    data, _ = station
    images = sorted((data / "evidence").rglob("*.jpg"))
    images[0].unlink()
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(images[1])
    said = run("records", data, "--out", tmp_path / "out")
    assert "1 x no such file" in said
    assert "1 x changed since it was recorded" in said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("ticket,grade\nW0,fresh_clean\n", "it needs grade, reviewer and one of"),
        ("ticket,grade,reviewer\nW0,fresh,nok\n", "row 2, grade: fresh: no grades"),
        ("ticket,grade,reviewer\nW0,,nok\n", "row 2: grade is empty"),
        (
            "ticket,grade,reviewer\nW0,undefined,nok\nW0,fresh_clean,nok\n",
            "row 3: nok graded ticket W0 in row 2 already",
        ),
    ],
)
def test_bad_reviews_are_one_line(
    tmp_path: Path, station: tuple[Path, list[str]], content: str, says: str
) -> None:
    file = tmp_path / "reviews.csv"
    file.write_text(content)
    assert says in run("records", station[0], "--out", tmp_path / "out", "--reviews", file, code=2)


def test_what_is_no_station_is_one_line(tmp_path: Path, station: tuple[Path, list[str]]) -> None:
    out = tmp_path / "out"
    assert "records.sqlite: no such file" in run("records", tmp_path, "--out", out, code=2)
    (tmp_path / "records.sqlite").write_text("no database at all, but text")
    assert "not a station's records" in run("records", tmp_path, "--out", out, code=2)
    said = run("records", station[0], "--out", out, "--camera", "C302", code=2)
    assert re.search(r"no frame of C302; there are: C301", said)


def test_records_graded_with_different_areas_need_a_choice(
    tmp_path: Path, station: tuple[Path, list[str]]
) -> None:
    data, _ = station
    with Store(data / "records.sqlite") as store:
        arrival, _ = store.accept(NewArrival("KK1", "ticket", NOW, "other"))
        frame = FrameRecord("C301", captured_at=NOW, path="x.jpg")
        other = [0.1, 0.1, 0.9, 0.9]
        store.record(arrival.id, Outcome("graded", graded_area=other, frames=(frame,)))
    out = tmp_path / "out"
    assert "2 areas of the frame (0,0.04,1,0.96; 0.1,0.1,0.9,0.9)" in run(
        "records", data, "--out", out, code=2
    )
    run("records", data, "--out", out, "--graded-area", "0.1,0.1,0.9,0.9")
    assert Description.read(out).graded_area == (0.1, 0.1, 0.9, 0.9)
