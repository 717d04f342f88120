"""Imports: folders of classes, tables and stations' records become checked manifests."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from edge_agent.grades import GRADES, Grade
from edge_agent.records.evidence import EvidenceFolder
from edge_agent.records.store import FrameRecord, NewArrival, Outcome, Store
from training.cli import app
from training.data.dataset import Dataset
from training.data.description import Description
from training.data.importing import folder as image_folder
from training.data.importing.classes import ClassMap
from training.data.manifest import Manifest
from training.errors import DataError

NOW = datetime(2026, 1, 15, 3, 0, tzinfo=UTC)


def run(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["data", "import", *map(str, arguments)])
    assert result.exit_code == code, result.output
    if code:
        assert len(result.output.strip().splitlines()) == 1
    return result.output


def save(path: Path, seed: int, exif: Image.Exif | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, exif=Image.Exif() if exif is None else exif)
    return path


@given(st.lists(st.text(max_size=20), max_size=4))
def test_a_class_map_is_understood_or_refused(options: list[str]) -> None:
    try:
        classes = ClassMap.parse(options)
    except DataError:
        return
    assert len(classes.names) == len(options)
    assert all(name in classes for name in classes.names)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["Burned"], "NAME=GRADE"),
        (["Burned=burnt"], "'burnt' is no grade"),
        (["a=undefined", "a="], "names 'a' twice"),
    ],
)
def test_bad_class_maps(options: list[str], says: str) -> None:
    with pytest.raises(DataError, match=says):
        ClassMap.parse(options)


def test_a_folder_of_classes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2026:01:05 10:00:00"  # DateTimeOriginal, no zone
    save(source / "fresh_clean" / "T1-a.jpg", 1, exif)
    save(source / "fresh_clean" / "T1-b.png", 2)
    save(source / "Burned" / "deep" / "T2-a.png", 3)
    save(source / "Blurred" / "T9-a.png", 4)
    (source / "Burned" / "T3-a.png").write_bytes(b"none")
    (source / "notes.txt").write_text("loose")
    said = run(
        *("folder", source, "--out", tmp_path / "out", "--class-map", "Burned=burn_clean"),
        *("--class-map", "Blurred=", "--truck-pattern", r"(?P<truck>T\d)-", "--copy"),
    )
    assert "3 images of 2 trucks" in said
    assert "left out: 3, listed in skipped.csv" in said
    for reason in ("lies in no class's folder", "class Blurred is left out", "not an image"):
        assert f"1 x {reason}" in said
        assert reason in (tmp_path / "out" / "skipped.csv").read_text()
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.description.classes == {"Burned": Grade.BURN_CLEAN}
    rows = {Path(row.image).name: row for row in dataset.manifest.rows}
    assert rows["T1-a.jpg"].captured_at == datetime(2026, 1, 5, 3, tzinfo=UTC)
    assert rows["T1-b.png"].captured_at is None
    assert (rows["T2-a.png"].truck, rows["T2-a.png"].grade) == ("T2", "burn_clean")
    assert len(dataset.load(None, 32)) == 3
    assert "exists; choose another --out" in run(
        *("folder", source, "--out", tmp_path / "out", "--class-map", "Burned=burn_clean"),
        *("--class-map", "Blurred="),
        code=2,
    )


def test_without_a_pattern_near_duplicates_are_one_truck(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for i, name in enumerate(("fresh_clean/a", "fresh_clean/b", "burn_clean/c")):
        Image.open(save(source / f"{name}.png", i)).save(source / f"{name}.jpg", quality=90)
    said = run("folder", source, "--out", tmp_path / "out", "--format", "parquet")
    assert "6 images do not say their truck: each of 3 clusters" in said
    manifest = Manifest.read(tmp_path / "out")
    assert manifest.path.name == "manifest.parquet"
    trucks = {Path(row.image).stem: set() for row in manifest.rows}
    for row in manifest.rows:
        trucks[Path(row.image).stem].add(row.truck)
    assert all(len(found) == 1 for found in trucks.values())
    assert len({row.truck for row in manifest.rows}) == 3
    assert all(path.is_file() for path in manifest.images)


def test_bad_folders_are_one_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "no such folder" in run("folder", tmp_path / "no", "--out", out, code=2)
    (tmp_path / "empty").mkdir()
    assert "no sub-folders" in run("folder", tmp_path / "empty", "--out", out, code=2)
    source = tmp_path / "source"
    save(source / "Fresh" / "a.png", 1)
    assert "Fresh: no grades; map each" in run("folder", source, "--out", out, code=2)
    mapped = ("folder", source, "--out", out, "--class-map", "Fresh=fresh_clean")
    for pattern, says in (
        ("(", "not a regular expression"),
        ("a", "has no named group"),
        ("(?P<lorry>a)", "group 'lorry' is not known"),
        ("(?P<truck>T)", "does not fit Fresh/a.png"),
        ("(?P<captured_at>a)", "'a' is no ISO 8601"),
    ):
        assert says in run(*mapped, "--truck-pattern", pattern, code=2)
    assert "write LEFT,TOP,RIGHT,BOTTOM" in run(*mapped, "--graded-area", "0,0,2,1", code=2)
    (source / "Fresh" / "a.png").write_bytes(b"")
    assert "no readable image to import; the first" in run(*mapped, code=2)
    assert not out.exists()


def test_several_groups_make_one_truck() -> None:
    pattern = image_folder.compiled(r"(?P<truck_1>[ab])_\w+/(?P<truck_2>\d+)-(?P<station>\w+)")
    assert image_folder._matched(pattern, Path("x/a_good/12-S1.png"), Path("x")) == {
        "truck": "a/12",
        "station": "S1",
    }


def test_a_table_with_names_of_its_own(tmp_path: Path) -> None:
    for i in range(4):
        save(tmp_path / "pictures" / f"{i}.png", i)
    table = tmp_path / "table.csv"
    table.write_text(
        "file,lorry,captured_at,vote_1,vote_2,note\n"
        "0.png,A,2026-01-05T03:00:00Z,Fresh,?,x\n"
        "1.png,B,,Burned,Burned,y\n"
        "2.png,C,,?,?,\n"
        "gone.png,D,,Fresh,Fresh,\n",
        "utf-8",
    )
    command = (
        *("csv", table, "--out", tmp_path / "out", "--images", tmp_path / "pictures"),
        *("--column", "image=file", "--column", "truck=lorry"),
        *("--class-map", "Fresh=fresh_clean", "--class-map", "Burned=burn_clean"),
    )
    assert "row 2, vote_2: ?: no grades" in run(*command, code=2)
    said = run(*command, "--class-map", "?=")
    assert "3 images of 3 trucks" in said
    assert "1 x no such file" in said
    assert "3 votes for classes that are left out do not count" in said
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.labels.grades == (Grade.FRESH_CLEAN, Grade.BURN_CLEAN, None)
    assert dataset.manifest.cells[1]["note"] == "y"


@pytest.mark.parametrize(
    ("header", "options", "says"),
    [
        ("file,truck", (), "no column image; say which"),
        ("image,truck", ("--column", "truck=lorry"), "no column 'lorry'"),
        ("image,truck,lorry", ("--column", "truck=lorry"), "has a column truck already"),
        ("image,truck", ("--column", "truck"), "OURS=THEIRS"),
    ],
)
def test_bad_tables_are_one_line(
    tmp_path: Path, header: str, options: tuple[str, ...], says: str
) -> None:
    (tmp_path / "t.csv").write_text(f"{header}\n{'a,' * header.count(',')}a\n")
    assert says in run("csv", tmp_path / "t.csv", "--out", tmp_path / "out", *options, code=2)


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
    save(images[1], 99)
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
