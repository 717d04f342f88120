"""`cane-train data check`: every kind of fault is found, counted and told."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from edge_agent.grades import GRADES
from training.cli import app
from training.data.check import check
from training.data.coverage import require_grades
from training.data.dataset import Dataset
from training.data.description import Description
from training.data.manifest import Manifest
from training.errors import DataError

SIZE = 64


def load_of(seed: int) -> np.ndarray:
    """A picture of its own: lines in all directions."""
    rng = np.random.default_rng(seed)
    canvas = np.full((SIZE, SIZE, 3), 60, np.uint8)
    for _ in range(60):
        ends, colour = rng.integers(0, SIZE, 4).tolist(), rng.integers(30, 230, 3).tolist()
        cv2.line(canvas, ends[:2], ends[2:], colour, 2)
    return canvas


def dataset(folder: Path, splits: bool = True) -> list[dict[str, str]]:
    """Rows of a sound set: 75 trucks on 15 days, five experts, all grades in all splits."""
    rows = []
    for i in range(75):
        Image.fromarray(load_of(i)).save(folder / f"{i}.png")
        grade = GRADES[i % 5]
        day = i // 5
        rows.append(
            {
                "image": f"{i}.png",
                "truck": f"T{i}",
                "captured_at": f"2026-01-{day + 1:02}T03:00:00+00:00",
                "station": "S1",
                "split": ("train", "train", "val", "train", "test")[day % 5] if splits else "",
                **{f"vote_{k}": grade for k in range(1, 6)},
            }
        )
    return rows


def write(folder: Path, rows: list[dict[str, str]]) -> Path:
    columns = tuple(rows[0])
    Manifest(folder / "manifest.csv", columns, tuple(rows), ()).write()
    return folder


def run(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["data", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_a_sound_set_has_no_faults(tmp_path: Path) -> None:
    folder = write(tmp_path, dataset(tmp_path))
    said = run("check", "--data", folder)
    assert "All images can be read." in said
    assert "Fleiss' kappa of the experts 1.000" in said
    assert "No faults." in said


def test_every_kind_of_fault_is_found(tmp_path: Path) -> None:
    rows = dataset(tmp_path)
    (tmp_path / "0.png").write_bytes(b"no image")
    (tmp_path / "1.png").unlink()
    # 2 and 7 (both training): the same pixels with another label. 3 (train) is nearly 13 (val).
    Image.fromarray(load_of(2)).save(tmp_path / "7.png")
    rows[7] = {**rows[7], **{f"vote_{k}": rows[3]["vote_1"] for k in range(1, 6)}}
    Image.fromarray(load_of(3)).save(tmp_path / "13.png", quality=50)
    cv2.imwrite(str(tmp_path / "13.png"), cv2.convertScaleAbs(load_of(3)[..., ::-1], alpha=0.8))
    # A truck on a training and a test day; an image the experts dispute; one nobody looked at.
    rows[4]["truck"] = rows[24]["truck"] = "T4"
    for k, vote in enumerate(("fresh_clean", "fresh_clean", "burn_clean", "burn_clean", ""), 1):
        rows[5][f"vote_{k}"] = vote
    rows[6] = {**rows[6], **{f"vote_{k}": "" for k in range(1, 6)}}
    folder = write(tmp_path, rows)
    out = tmp_path / "report.json"
    said = run("check", "--data", folder, "--out", out, code=1)
    assert (
        "1 x not an image in a format that is read (JPEG, PNG, BMP, TIFF, WEBP, GIF), as 0.png"
        in said
    )
    assert "1 x no such file, as 1.png" in said
    assert "Set aside: 1 disputed, 1 without a vote." in said
    found = json.loads(out.read_text())
    assert {skip["image"] for skip in found["skipped"]} == {"0.png", "1.png"}
    pairs = {tuple(pair["images"]): pair for pair in found["duplicates"]}
    assert set(pairs) == {("2.png", "7.png"), ("3.png", "13.png")}
    assert pairs["2.png", "7.png"]["same_pixels"]
    assert pairs["2.png", "7.png"]["labels"] == ["burn_clean", "burn_trash"]
    assert not pairs["3.png", "13.png"]["same_pixels"]
    assert found["labels"]["disputed"] == ["5.png"]
    assert len(found["faults"]) == 2
    assert "truck T4 is in two splits, train and test" in found["faults"][0]
    assert "in train and val: 3.png and 13.png" in found["faults"][1]
    assert "burn_clean and burn_trash: 2.png and 7.png: the same pixels" in said


@pytest.mark.parametrize("missing", ["val", "test"])
def test_a_split_without_any_image_is_a_fault(tmp_path: Path, missing: str) -> None:
    rows = [row for row in dataset(tmp_path) if row["split"] != missing]
    folder = write(tmp_path, rows)
    fault = f"no labelled, readable image is in the split {missing}"
    assert fault in check(Dataset.open(folder)).faults
    assert fault in run("check", "--data", folder, code=1)


def test_empty_grades_are_faults_unless_the_set_does_not_use_them(tmp_path: Path) -> None:
    rows = [row for row in dataset(tmp_path) if row["vote_1"] != "undefined"]
    rows = [row for row in rows if not (row["split"] == "val" and row["vote_1"] == "burn_clean")]
    folder = write(tmp_path, rows)
    faults = check(Dataset.open(folder)).faults
    assert faults == (
        "grade burn_clean has no image in val",
        "grade undefined has no labelled, readable image",
    )
    used = {f"my {grade}": grade for grade in GRADES[:4]}
    Description(classes=used).write(folder)
    assert check(Dataset.open(folder)).faults == faults[:1]


def test_names_of_classes_are_no_markup(tmp_path: Path) -> None:
    names = ("wet [/old]", "[red]dry", ":smile:", "[link=x]a", "[")
    Description(classes=dict(zip(names, GRADES, strict=True))).write(tmp_path)
    said = run("check", "--data", write(tmp_path, dataset(tmp_path)))
    for grade, name in zip(GRADES, names, strict=True):
        assert f"{grade} {name} " in " ".join(said.split())


def test_images_that_show_nothing_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = dataset(tmp_path)
    for name, size in (("0", (1, 1)), ("1", (5000, 3))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    folder = write(tmp_path, rows)
    assert "2 x a side is shorter than 16 px, as 0.png" in run("check", "--data", folder)
    loaded = Dataset.open(folder).load("train", 32)
    assert [skip.path.name for skip in loaded.skips] == ["0.png", "1.png"]
    assert len(loaded) == 43
    # Where all test images are such, nothing would be measured.
    for row in rows:
        if row["split"] == "test":
            Image.new("RGB", (15, 40)).save(tmp_path / row["image"])
    with pytest.raises(DataError, match="no labelled, readable image is in the test split"):
        require_grades(Dataset.open(folder), Heard())


class Heard:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_a_grade_that_nothing_is_learned_of_is_refused_and_others_are_warned_of(
    tmp_path: Path,
) -> None:
    rows = [row for row in dataset(tmp_path) if row["split"] != "val" or row["vote_1"] != GRADES[3]]
    heard = Heard()
    require_grades(Dataset.open(write(tmp_path, rows)), heard)
    assert heard.lines == ["warning: no validation image of burn_trash"]
    rows = [row for row in rows if row["split"] != "train" or row["vote_1"] != GRADES[4]]
    folder = write(tmp_path, rows)
    refused = "no labelled, readable training image of undefined; add some, split anew"
    for command in ("fit", "study", "synthesize"):
        result = CliRunner().invoke(
            app, [command, "--data", str(folder), "--out", str(tmp_path / command)]
        )
        assert result.exit_code == 2, result.output
        assert result.output.count("warning: no training image of undefined\n") == 1
        assert "warning: no validation image of burn_trash\n" in result.output
        assert refused in result.output.splitlines()[-1]
    # Unless dataset.json says that the grade is not used; the network is still trained without it.
    Description(classes={f"my {grade}": grade for grade in GRADES[:4]}).write(folder)
    heard = Heard()
    require_grades(Dataset.open(folder), heard)
    assert heard.lines[0] == "warning: no validation image of burn_trash"
    assert heard.lines[1].startswith("warning: no training image of undefined, not named among")
    assert len(heard.lines) == 2


def test_images_that_cannot_be_read_are_nothing_to_learn_from(tmp_path: Path) -> None:
    rows = dataset(tmp_path)
    for row in rows:
        if row["split"] == "train" and row["vote_1"] == "burn_clean":
            (tmp_path / row["image"]).write_bytes(b"broken")
    found = Dataset.open(write(tmp_path, rows))
    heard = Heard()
    require_grades(found, heard)  # the labels are there
    loaded = {split: found.load(split, 32) for split in ("train", "val")}
    with pytest.raises(DataError, match="readable training image of burn_clean"):
        require_grades(found, heard, loaded)
    assert heard.lines == ["warning: no training image of burn_clean"]


def test_rows_without_a_split_among_others_are_a_fault(tmp_path: Path) -> None:
    rows = dataset(tmp_path)
    rows[0]["split"] = ""
    assert check(Dataset.open(write(tmp_path, rows))).faults == ("1 of 75 rows have no split",)


def test_what_cannot_be_split_is_a_fault_before_it_is_tried(tmp_path: Path) -> None:
    rows = [{**row, "truck": "T1"} for row in dataset(tmp_path, splits=False)]
    folder = write(tmp_path, rows)
    (fault,) = check(Dataset.open(folder)).faults
    assert fault in run("split", "--data", folder, code=2)
    run("split", "--data", folder, "--grouping", "station-day")
    assert check(Dataset.open(folder)).faults == ()


def test_what_a_grouping_allows_is_counted_and_not_a_fault(tmp_path: Path) -> None:
    rows = dataset(tmp_path)
    for i, row in enumerate(rows):
        row["truck"] = f"T{i % 5}"
    folder = write(tmp_path, rows)
    assert len(check(Dataset.open(folder)).leaks) == 5
    run("split", "--data", folder, "--grouping", "station-day")
    said = run("check", "--data", folder)
    assert "In two splits, as this grouping allows: 5 trucks." in said
    assert "No faults." in said


def test_split_keeps_near_duplicates_together_and_remembers_its_choices(tmp_path: Path) -> None:
    rows = dataset(tmp_path, splits=False)
    for i in range(0, 70, 10):  # every second day's first picture is the next day's too
        Image.fromarray(load_of(i)).save(tmp_path / f"{i + 5}.png")
    folder = write(tmp_path, rows)
    run("split", "--data", folder, "--grouping", "truck", "--label-method", "dawid-skene")
    described = Description.read(folder)
    assert (described.grouping, described.label_method) == ("truck", "dawid-skene")
    dataset_again = Dataset.open(folder)
    assert dataset_again.labels.method == "dawid-skene"
    found = check(dataset_again)
    assert len(found.duplicates) == 7
    assert not any(pair.is_leak for pair in found.duplicates)
    before = [row.split for row in dataset_again.manifest.rows]
    run("split", "--data", folder, "--seed", "2", "--again")
    assert [row.split for row in Manifest.read(folder).rows] != before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[]", "not a JSON object"),
        ("{", "not readable"),
        ('{"graded_area": [0, 0.5, 1]}', "graded_area"),
        ('{"graded_area": [0, 0.5, 1, 0.5]}', "smaller than a tenth"),
        ('{"grouping": "lorry"}', "grouping lorry"),
    ],
)
def test_a_broken_description_is_one_line(tmp_path: Path, content: str, says: str) -> None:
    folder = write(tmp_path, dataset(tmp_path)[:1])
    (folder / "dataset.json").write_text(content)
    said = run("check", "--data", folder, code=2)
    assert says in said
    assert len(said.strip().splitlines()) == 1
