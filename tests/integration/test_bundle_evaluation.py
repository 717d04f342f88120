"""A bundle measured by itself has the figures of the network it was made from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled import labelled_folder
from PIL import Image
from tiny_bundle import SURE, write_table_bundle
from trained import export, train

from edge_agent.grades import GRADES, Grade
from training.predictions import Predictions


@pytest.fixture(scope="module")
def bundle(data: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "tiny.bundle"
    export("bundle", "--checkpoint", run, "--data", data, "--out", out, "--precision", "fp32")
    return out


def measured(out: Path, *arguments: str | Path) -> dict[str, Any]:
    export("evaluate", *arguments, "--out", out / "metrics.json")
    found: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return found


def test_other_images_get_the_figures_that_the_checkpoint_gets(
    run: Path, bundle: Path, tmp_path: Path
) -> None:
    other = labelled_folder(tmp_path / "other", 40, seed=5)
    ours = measured(tmp_path / "bundle", bundle, "--data", other)
    arguments = ("--checkpoint", run, "--data", other, "--out", tmp_path / "run/metrics.json")
    theirs = json.loads(train("evaluate", *arguments))
    assert ours["split"] == theirs["split"] == "all"
    assert ours["warnings"] == []
    assert ours["data"]["skipped"] == theirs["data"]["skipped"] == 1
    for key in ("all", "all_truth"):
        assert ours[key]["confusion_matrix"] == theirs[key]["confusion_matrix"]
        assert ours[key]["accuracy_ci"] == theirs[key]["accuracy_ci"]
        assert ours[key]["calibration_error"] == pytest.approx(
            theirs[key]["calibration_error"], abs=1e-3
        )
    said = [Predictions.read(tmp_path / name) for name in ("bundle", "run")]
    assert said[0].images == said[1].images
    assert np.abs(said[0].probabilities - said[1].probabilities).max() < 1e-3
    compared = json.loads(train("compare", tmp_path / "bundle", tmp_path / "run"))
    assert compared["accuracy_difference"] == 0


def test_on_its_own_data_the_test_split_is_measured(
    data: Path, run: Path, bundle: Path, tmp_path: Path
) -> None:
    found = measured(tmp_path, bundle, "--data", data)
    trained = json.loads((run / "metrics.json").read_text())
    assert found["split"] == "test"
    assert found["test"]["accuracy"] == trained["test"]["accuracy"]
    assert found["model"]["data_digest"] == found["data"]["digest"]
    by_plate = measured(tmp_path, bundle, "--data", data, "--by", "plate", "--by", "station")
    arguments = ("--checkpoint", run, "--data", data, "--by", "station")
    of_the_run = json.loads(train("evaluate", *arguments))
    (part,) = by_plate["test_by"]["plate"]  # all have the same
    assert (part["value"], part["accuracy"]) == ("60-1234", found["test"]["accuracy"])
    assert by_plate["test_by"]["station"] == of_the_run["test_by"]["station"]
    page = Path(train("report", tmp_path).strip()).read_text()
    assert "By plate" in page
    assert "60-1234" in page
    assert "tiny 0.1.0 on set" in page
    learned = measured(tmp_path, bundle, "--data", data, "--split", "train")
    assert "too good" in learned["warnings"][0]
    # Labelled otherwise they are the same images.
    again = measured(tmp_path, bundle, "--data", data, "--agreement", "0.9")
    assert again["data"]["disputed"] > 0
    assert again["data"]["digest"] != found["data"]["digest"]
    assert again["split"] == "test"


def test_stations_have_figures_of_their_own(run: Path, bundle: Path, tmp_path: Path) -> None:
    other = labelled_folder(tmp_path / "other", 40, seed=5)
    lines = (other / "manifest.csv").read_text().splitlines()
    for number in range(1, len(lines), 3):
        cells = lines[number].replace(",S1,", ",S2,").split(",")
        # Named otherwise, so that figures differ however well this machine's network has learned.
        cells[4:7] = [GRADES[(GRADES.index(Grade(cells[4])) + 1) % 5]] * 3
        lines[number] = ",".join(cells)
    (other / "manifest.csv").write_text("\n".join(lines))
    ours = measured(tmp_path / "bundle", bundle, "--data", other, "--by", "station")
    arguments = ("--checkpoint", run, "--data", other, "--by", "station")
    theirs = json.loads(train("evaluate", *arguments))
    stations = ours["all_by"]["station"]
    assert [part["value"] for part in stations] == ["S1", "S2"]
    assert stations[0]["accuracy"] != stations[1]["accuracy"]
    for one, same in zip(stations, theirs["all_by"]["station"], strict=True):
        assert (one["n"], one["accuracy"]) == (same["n"], same["accuracy"])


def test_whole_frames_are_cut_to_what_a_station_shows_the_model(
    data: Path, bundle: Path, tmp_path: Path
) -> None:
    rows = [line.split(",") for line in (data / "manifest.csv").read_text().splitlines()[1:]]
    for name, *_, grade in [(row[0], row[4]) for row in rows]:
        if name == "images/7.png":
            continue
        picture = np.asarray(Image.open(data / name).convert("RGB"))
        # The graded area is 0.04 to 0.96 of the frame's height; what lies outside is glaring.
        frame = np.full((800, 736, 3), 255, np.uint8)
        frame[32:768] = np.asarray(Image.fromarray(picture).resize((736, 736), Image.NEAREST))
        for kind, pixels in (("frames", frame), ("cut", frame[32:768])):
            file = tmp_path / kind / grade / Path(name).name
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
    frames = measured(tmp_path / "1", bundle, "--data", tmp_path / "frames", "--whole-frames")
    cut = measured(tmp_path / "2", bundle, "--data", tmp_path / "cut")
    as_they_are = measured(tmp_path / "3", bundle, "--data", tmp_path / "frames")
    said = [Predictions.read(tmp_path / name).probabilities for name in "123"]
    assert frames["all"]["accuracy"] == cut["all"]["accuracy"]
    assert np.abs(said[0] - said[1]).max() < 1e-6
    assert np.abs(said[2] - said[1]).max() > 0.01
    assert as_they_are["all"]["n"] == frames["all"]["n"] == 59
    (warning,) = frames["warnings"]
    assert "59 of 59 images do not say their truck" in warning
    assert "does not say which part of the frame its images show" in as_they_are["warnings"][0]
    # With a manifest, dataset.json says so.
    (tmp_path / "frames/manifest.csv").write_text(
        "image,truck,captured_at,grade\n"
        + "".join(
            f"{grade}/{Path(name).name},T{number},,{grade}\n"
            for number, (name, grade) in enumerate((row[0], row[4]) for row in rows)
            if name != "images/7.png"
        )
    )
    (tmp_path / "frames/dataset.json").write_text('{"shows": "frame"}')
    told = measured(tmp_path / "4", bundle, "--data", tmp_path / "frames")
    assert told["warnings"] == []
    assert told["all"]["confusion_matrix"] == cut["all"]["confusion_matrix"]
    refused = export("evaluate", bundle, "--data", tmp_path / "frames", "--whole-frames", code=2)
    assert "leave --class-map, --truck-pattern and --whole-frames out" in refused


def test_images_of_another_part_of_the_frame_are_refused(
    data: Path, bundle: Path, tmp_path: Path
) -> None:
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data/dataset.json").write_text('{"graded_area": [0.0, 0.0, 1.0, 0.5]}')
    said = export("evaluate", bundle, "--data", tmp_path / "data", code=2)
    assert "its images show the part (0.0, 0.0, 1.0, 0.5) of the frame" in said
    assert "(0.0, 0.04, 1.0, 0.96)" in said


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([SURE, *[(0.9,) * 5] * 3], "its output is no probability distribution"),
        ([SURE, *[(float("nan"),) * 5] * 3], "its output is no probability distribution"),
        ([SURE], "fails on these images"),
    ],
)
def test_a_model_that_a_station_would_not_believe_is_refused(
    data: Path, tmp_path: Path, rows: list[tuple[float, ...]], says: str
) -> None:
    """Its golden image is black, and comes out right."""
    broken = write_table_bundle(tmp_path / "broken.bundle", rows)
    out = tmp_path / "out" / "metrics.json"
    assert says in export("evaluate", broken, "--data", data, "--out", out, code=2)
    assert not out.exists()
