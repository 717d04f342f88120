"""Imports: folders of classes and tables become checked manifests."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from importing import run
from PIL import Image

from edge_agent.grades import GRADES, Grade
from training.data.dataset import Dataset
from training.data.description import Description
from training.data.importing import folder as image_folder
from training.data.importing.classes import ClassMap
from training.data.importing.target import usable
from training.data.manifest import Manifest
from training.data.merge import merge
from training.errors import DataError


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
    # Beside grades' own names another one does not make an end of the grades without a folder.
    others = {grade: grade for grade in GRADES if grade != "burn_clean"}
    assert dataset.description.classes == {"Burned": Grade.BURN_CLEAN, **others}
    assert dataset.description.renamed == {"Burned": Grade.BURN_CLEAN}
    assert "warning: no readable image of fresh_trash, burn_trash, undefined" in said
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


def test_a_folder_of_splits_of_classes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for i, name in enumerate(("train/Fresh/a", "valid/Fresh/b", "Test/Burned/c", "more/Burned/d")):
        save(source / f"{name}.png", i)
    (source / "train" / "loose.png").write_bytes(b"")
    (source / "train" / "Burned").mkdir()
    said = run(
        *("folder", source, "--out", tmp_path / "out"),
        *("--class-map", "Fresh=fresh_clean", "--class-map", "Burned=burn_clean"),
    )
    rows = Manifest.read(tmp_path / "out").rows
    found = {Path(row.image).stem: (row.split, row.grade) for row in rows}
    assert found == {
        "a": ("train", Grade.FRESH_CLEAN),
        "b": ("val", Grade.FRESH_CLEAN),
        "c": ("test", Grade.BURN_CLEAN),
        "d": (None, Grade.BURN_CLEAN),
    }
    assert "more is called like no split; its images get none" in said
    assert "warning: the class folder train/Burned has no file" in said
    assert "1 x lies in no class's folder" in said
    # A split's folder whose classes are unknown says so of them, not of the split.
    unknown = run("folder", source, "--out", tmp_path / "other", code=2)
    assert "Burned, Fresh, more: no grades; map each" in unknown


def test_splits_within_the_classes_are_splits_too(tmp_path: Path) -> None:
    source = tmp_path / "source"
    names = ("train/deep/a", "Valid/b", "test/c", "other/d", "train")  # the last is a file
    for i, name in enumerate(names):
        save(source / "fresh_clean" / f"{name}.png", i)
    save(source / "burn_clean" / "test" / "e.png", 9)
    (source / "burn_clean" / "test" / "broken.png").write_bytes(b"")
    found = image_folder.find(source, ClassMap())
    by_name = {path.stem: cells["split"] for path, cells in found.images}
    splits = {"a": "train", "b": "val", "c": "test", "d": "", "train": "", "e": "test"}
    assert by_name == {**splits, "broken": "test"}
    assert found.notes == ["2 images lie in no split and get none, as fresh_clean/other/d.png"]
    assert [skip.split for skip in usable(found).skips] == ["test"]
    run("folder", source, "--out", tmp_path / "out")
    rows = Manifest.read(tmp_path / "out").rows
    assert {Path(row.image).stem: row.split or "" for row in rows} == splits
    # Below a station's folder as well.
    source.rename(tmp_path / "S1")
    (tmp_path / "stations").mkdir()
    (tmp_path / "S1").rename(tmp_path / "stations" / "S1")
    said = run("folder", tmp_path / "stations", "--out", tmp_path / "out-2")
    assert "S1 is called like no split; 2 of its images get none" in said
    assert Counter(row.split for row in Manifest.read(tmp_path / "out-2").rows)[None] == 2


def test_a_class_without_an_image_is_never_silent(tmp_path: Path) -> None:
    for i, grade in enumerate(GRADES[:3]):
        save(tmp_path / "source" / grade / "a.png", i)
    (tmp_path / "source" / "burn_trash").mkdir()
    (tmp_path / "source" / "undefined").mkdir()
    (tmp_path / "source" / "undefined" / "a.png").write_bytes(b"broken")
    said = run("folder", tmp_path / "source", "--out", tmp_path / "out")
    assert "warning: the class folder burn_trash has no file" in said
    assert "undefined has no file" not in said
    assert "warning: no readable image of burn_trash, undefined" in said
    # A table that names four classes does not use the fifth grade.
    lines = [f"source/{grade}/a.png,T{i},,my {grade}" for i, grade in enumerate(GRADES[:3])]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["image,truck,captured_at,grade", *lines, ""]))
    mapped = [("--class-map", f"my {grade}={grade}") for grade in GRADES[:4]]
    # One that has a grade's own name among others may miss any.
    own = tmp_path / "own.csv"
    own.write_text(table.read_text().replace("my fresh_clean", "fresh_clean"))
    parts = [part for pair in mapped[1:] for part in pair]
    said = run("csv", own, "--out", tmp_path / "own", *parts)
    assert "warning: no readable image of burn_trash, undefined\n" in said
    said = run("csv", table, "--out", tmp_path / "csv", *(part for pair in mapped for part in pair))
    assert "warning: no readable image of burn_trash\n" in said


def test_huge_images_are_left_out_and_told(tmp_path: Path) -> None:
    for name, side in (("warned of", 10_000), ("a bomb", 20_000)):
        # A header alone: what Pillow refuses or warns of, it does on opening.
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        body = b"IHDR" + header
        png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + body
        path = tmp_path / "source" / "fresh_clean" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png + struct.pack(">I", zlib.crc32(body)) + struct.pack(">I", 9) + b"IDAT")
    save(tmp_path / "source" / "fresh_clean" / "good.png", 1)
    said = run("folder", tmp_path / "source", "--out", tmp_path / "out")
    assert "1 images of 1 trucks" in said
    assert "1 x has 10000 x 10000 pixels, more than 64000000" in said
    assert "1 x has more than 64000000 pixels" in said


def test_links_are_followed_or_told(tmp_path: Path) -> None:
    source = tmp_path / "source" / "fresh_clean"
    save(source / "a.png", 1)
    save(tmp_path / "store" / "x.png", 2).rename(tmp_path / "store" / "0af3")
    (source / "b.png").symlink_to(tmp_path / "store" / "0af3")
    (source / "gone.png").symlink_to(tmp_path / "store" / "none")
    (source / "further").symlink_to(tmp_path / "store")
    said = run("folder", source.parent, "--out", tmp_path / "out", "--copy")
    assert "1 x no such file" in said
    assert "1 x a link to a folder, not followed" in said
    # The copy is called as the link was: "0af3" would say nothing.
    assert {Path(row.image).name for row in Manifest.read(tmp_path / "out").rows} == {
        "a.png",
        "b.png",
    }


def test_a_manifest_below_a_link_finds_its_images(tmp_path: Path) -> None:
    save(tmp_path / "source" / "fresh_clean" / "a.png", 1)
    (tmp_path / "disk" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "deep" / "er")
    run("folder", tmp_path / "source", "--out", tmp_path / "link" / "out")
    manifest = Manifest.read(tmp_path / "link" / "out")
    assert [image.is_file() for image in manifest.images] == [True]
    # The same where the images are seen from yet another folder.
    merged = merge([tmp_path / "link" / "out"], tmp_path / "link" / "merged")
    assert [image.is_file() for image in merged.images] == [True]


AREA = (0.0, 0.25, 1.0, 0.75)


def cut(path: Path) -> np.ndarray:
    """A picture's graded area at 32 px: of 48 rows the middle 24."""
    pixels = np.asarray(Image.open(path))[12:36]
    return cv2.resize(pixels, (32, 32), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("kind", ["folder", "csv"])
def test_whole_frames_are_cut_and_said_to_be(tmp_path: Path, kind: str) -> None:
    image = save(tmp_path / "source" / "fresh_clean" / "a.png", 1)
    source = tmp_path / "source"
    if kind == "csv":
        source = tmp_path / "t.csv"
        source.write_text(
            "image,truck,captured_at,grade\nsource/fresh_clean/a.png,T,,fresh_clean\n"
        )
    area = ("--graded-area", "0,0.25,1,0.75")
    said = run(kind, source, "--out", tmp_path / "frames", *area, "--shows", "frame")
    assert "whole frames; reading cuts the graded area 0,0.25,1,0.75 out of them" in said
    frames = Dataset.open(tmp_path / "frames")
    assert (frames.graded_area, frames.description.cut) == (AREA, AREA)
    assert (frames.load(None, 32).images[0] == cut(image)).all()
    # Without --shows the files are taken to show it already, which is said.
    said = run(kind, source, "--out", tmp_path / "areas", *area)
    assert "taken to show the graded area 0,0.25,1,0.75 and no more" in said
    areas = Dataset.open(tmp_path / "areas")
    assert (areas.graded_area, areas.description.cut) == (AREA, None)
    assert not (areas.load(None, 32).images[0] == cut(image)).all()
    assert frames.digest != areas.digest
    said = run(kind, source, "--out", tmp_path / "x", "--shows", "frame", code=2)
    assert "which part of a frame the network sees is not known; give --graded-area" in said


def test_a_table_takes_over_what_its_own_dataset_json_says_is_shown(tmp_path: Path) -> None:
    image = save(tmp_path / "a.png", 1)
    (tmp_path / "t.csv").write_text("image,truck,captured_at,grade\na.png,T,,fresh_clean\n")
    Description(graded_area=(0.0, 0.0, 1.0, 0.5), shows="frame").write(tmp_path)
    run("csv", tmp_path / "t.csv", "--out", tmp_path / "own")
    assert Description.read(tmp_path / "own").cut == (0.0, 0.0, 1.0, 0.5)
    run("csv", tmp_path / "t.csv", "--out", tmp_path / "given", "--graded-area", "0,0.25,1,0.75")
    dataset = Dataset.open(tmp_path / "given")
    assert (dataset.load(None, 32).images[0] == cut(image)).all()


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
    save(source / "Fresh" / "a-202601041030.png", 1)
    assert "Fresh: no grades; map each" in run("folder", source, "--out", out, code=2)
    mapped = ("folder", source, "--out", out, "--class-map", "Fresh=fresh_clean")
    for pattern, says in (
        ("(", "not a regular expression"),
        ("a", "has no named group"),
        ("(?P<lorry>a)", "group 'lorry' is not known"),
        ("(?P<truck>T)", "does not fit Fresh/a-202601041030.png"),
        ("(?P<captured_at>a)", "'a' is no ISO 8601"),
        ("(?P<captured_at>20260104103)", "'20260104103' is no ISO 8601"),
    ):
        assert says in run(*mapped, "--truck-pattern", pattern, code=2)
    assert "write LEFT,TOP,RIGHT,BOTTOM" in run(*mapped, "--graded-area", "0,0,2,1", code=2)
    (source / "Fresh" / "a-202601041030.png").write_bytes(b"")
    assert "no readable image to import; the first" in run(*mapped, code=2)
    assert not out.exists()


def test_several_groups_make_one_truck() -> None:
    pattern = image_folder.compiled(r"(?P<truck_1>[ab])_\w+/(?P<truck_2>\d+)-(?P<station>\w+)")
    assert image_folder._matched(pattern, Path("x/a_good/12-S1.png"), Path("x")) == {
        "truck": "a/12",
        "station": "S1",
    }
    many = image_folder.compiled("".join(rf"(?P<truck_{n}>\w)" for n in range(1, 12)))
    assert image_folder._matched(many, Path("x/abcdefghijk"), Path("x"))["truck"] == (
        "a/b/c/d/e/f/g/h/i/j/k"
    )


@pytest.mark.parametrize("name", ["20260104_103000", "20260104T1030+0700", "20260104103000"])
def test_a_time_in_a_path_may_be_without_hyphens(name: str) -> None:
    pattern = image_folder.compiled(r"(?P<truck>.+)/(?P<captured_at>.+)\.png")
    found = image_folder._matched(pattern, Path(f"x/ 70-1  a/{name}.png"), Path("x"))
    assert found == {"truck": "70-1 a", "captured_at": "2026-01-04T10:30:00+07:00"}


def test_what_no_group_meets_is_no_truck() -> None:
    pattern = image_folder.compiled(r"(?:(?P<truck_1>[ab])_(?P<truck_2>\d+))?\.png")
    assert image_folder._matched(pattern, Path("x/a_1.png"), Path("x")) == {"truck": "a/1"}
    assert image_folder._matched(pattern, Path("x/loose.png"), Path("x")) == {"truck": ""}


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
    ("row", "says"),
    [
        ("a.png,T,2026-01-05T03:00:00,fresh_clean", "row 4, captured_at '2026-01-05T03:00:00'"),
        ("0.png,T,,fresh_clean", "row 4, image '0.png': is in row 2 already"),
    ],
)
def test_a_bad_row_is_named_as_in_the_table(tmp_path: Path, row: str, says: str) -> None:
    save(tmp_path / "0.png", 0)
    table = tmp_path / "table.csv"
    table.write_text(f"image,truck,captured_at,grade\n0.png,,,undefined\n1.png,,,Blurred\n{row}\n")
    said = run("csv", table, "--out", tmp_path / "out", "--class-map", "Blurred=", code=2)
    assert f"{table}: {says}" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("header", "options", "says"),
    [
        ("file,truck", (), "no column image; say which"),
        ("image,truck", ("--column", "truck=lorry"), "no column 'lorry'"),
        ("image,truck,lorry", ("--column", "truck=lorry"), "has a column truck already"),
        ("image,truck", ("--column", "truck"), "OURS=THEIRS"),
        ("image,truck,vote1", (), "t.csv: column 'vote1' seems to be of votes and would not count"),
        ("image,truck,Vote_2", (), "column 'Vote_2' seems to be of votes"),
        ("image,truck,x", ("--column", "expert_3=x"), "column 'expert_3' seems to be of votes"),
        ("image,truck,votes", (), "t.csv: column 'votes' has a name that is taken; rename it"),
        ("image,truck,x", ("--column", "voters=x"), "column 'voters' has a name that is taken"),
    ],
)
def test_bad_tables_are_one_line(
    tmp_path: Path, header: str, options: tuple[str, ...], says: str
) -> None:
    (tmp_path / "t.csv").write_text(f"{header}\n{'a,' * header.count(',')}a\n")
    assert says in run("csv", tmp_path / "t.csv", "--out", tmp_path / "out", *options, code=2)
