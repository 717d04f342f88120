"""A run of training: what it writes, measured again on any folder, stopped and refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from labelled import SIZE, labelled_folder
from safetensors.torch import load_file, save_file
from trained import FIT, told, train

from edge_agent.grades import GRADES
from training.alone import LOCK_NAME
from training.data.manifest import Manifest as TrainingManifest


def test_a_run_says_what_it_did(data: Path, run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["data"]["images"] == 60
    assert metrics["test"]["n"] + metrics["data"]["disputed"] >= 8
    assert set(metrics["test"]["grades"]) == set(GRADES)
    assert metrics["test_truth"]["n"] >= metrics["test"]["n"]
    assert metrics["versions"]["torch"]
    assert metrics["config"]["seed"] == 1
    assert metrics["data"]["skipped"] == 1
    manifest = TrainingManifest.read(data)
    assert all(row.split for row in manifest.rows)
    assert manifest.cells[0]["plate"] == "60-1234"


def test_evaluate_prints_the_same_figures_for_any_folder(
    data: Path, run: Path, tmp_path: Path
) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    again = json.loads(train("evaluate", "--checkpoint", run, "--data", data, "--split", "test"))
    assert again["test"] == metrics["test"]
    other = labelled_folder(tmp_path / "other", 20, seed=2)
    out = tmp_path / "metrics.json"
    printed = json.loads(train("evaluate", "--checkpoint", run, "--data", other, "--out", out))
    assert printed["all"]["n"] + printed["data"]["disputed"] == 19
    assert json.loads(out.read_text()) == printed
    assert (printed["learned_from"], printed["warnings"]) == (0, [])


def test_the_predictions_of_a_run_are_not_overwritten(
    data: Path, run: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(run, tmp_path / "run")
    before = {file: file.read_bytes() for file in copied.iterdir()}
    for name in ("metrics.json", "other.json"):
        asked = ("evaluate", "--checkpoint", run, "--data", data, "--out", copied / name)
        assert "lies in the folder of a run" in train(*asked, code=2)
    assert {file: file.read_bytes() for file in copied.iterdir()} == before
    # A baseline's folder has no model.
    (copied / "model.safetensors").unlink()
    assert "lies in the folder of a run" in train(*asked, code=2)


def test_images_learned_from_are_told_wherever_they_lie(
    data: Path, run: Path, tmp_path: Path
) -> None:
    # The same images by grade, without splits and by other names, and new ones beside them.
    rows = TrainingManifest.read(data).rows
    for i, row in enumerate(rows):
        if row.image != "images/7.png":
            file = tmp_path / "sorted" / str(row.grade) / f"{i:03d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(data / row.image, file)
    seen = sum(row.split != "test" and row.image != "images/7.png" for row in rows)
    asked = (
        *("evaluate", "--checkpoint", run, "--data", tmp_path / "sorted"),
        *("--truck-pattern", r"(?P<truck>\d+)\.png"),
    )
    found = json.loads(train(*asked))
    assert found["learned_from"] == seen
    assert f"{seen} of these images are among those that the model was" in found["warnings"][0]
    assert found["warnings"][0] in told(*asked)
    # A model that lies alone cannot say.
    shutil.copy(run / "model.safetensors", tmp_path)
    alone = ("evaluate", "--checkpoint", tmp_path / "model.safetensors", *asked[3:])
    found = json.loads(train(*alone))
    assert (found["learned_from"], found["warnings"]) == (None, [])
    # Nor can images that do not say their truck.
    (warning,) = json.loads(train(*alone[:-2]))["warnings"]
    unnamed = len(rows) - 1
    assert f"{unnamed} of {unnamed} images do not say their truck" in warning


@pytest.mark.usefixtures("run")  # it makes the splits
def test_copies_in_two_splits_are_told(data: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(data, tmp_path / "data")
    rows = TrainingManifest.read(copied).rows
    one, other = (next(r.image for r in rows if r.split == split) for split in ("train", "test"))
    shutil.copy(copied / one, copied / other)
    said = told(*FIT, "--data", copied, "--out", tmp_path / "run", "--max-time", "0s")
    pair = [row.image for row in rows if row.image in (one, other)]
    assert f"warning: equal images in two splits: 1, as {' and '.join(pair)}" in said


@pytest.mark.parametrize(
    ("split_of", "says"),
    [
        (lambda day, _: ("train", "val")[day % 5 == 4], "readable image is in the test split"),
        (lambda _, number: ("train", "val", "test")[number % 3], "is in two splits"),
    ],
)
def test_splits_that_would_tell_nothing_are_refused_before_training(
    tmp_path: Path, split_of: Callable[[int, int], str], says: str
) -> None:
    data = labelled_folder(tmp_path / "set")
    head, *lines = (data / "manifest.csv").read_text().splitlines()
    rows = [f"{line},{split_of(number // 4, number)}" for number, line in enumerate(lines)]
    (data / "manifest.csv").write_text("\n".join([f"{head},split", *rows]) + "\n")
    for command in (FIT, ("study", "--fast", "--models", "simple_dcnn")):
        assert says in told(*command, "--data", data, "--out", tmp_path / "out", code=2)
    assert {file.name for file in tmp_path.glob("out/*")} <= {LOCK_NAME}


def test_grades_that_stood_for_other_things_in_training_are_told(
    data: Path, run: Path, tmp_path: Path
) -> None:
    other = labelled_folder(tmp_path / "other", 40, seed=5)
    described = json.loads((other / "dataset.json").read_text())

    def warned(classes: dict[str, str]) -> list[str]:
        (other / "dataset.json").write_text(json.dumps({**described, "classes": classes}))
        found = json.loads(train("evaluate", "--checkpoint", run, "--data", other))
        return list(found["warnings"])

    by_name = {str(grade): str(grade) for grade in GRADES[1:]}
    (warning,) = warned({f"glass {grade}": str(grade) for grade in GRADES})
    assert "learned grades by name, this data has glass fresh_clean as fresh_clean" in warning
    assert warned({"clean": "fresh_clean", **by_name}) == []  # another name of the same grade


@pytest.mark.usefixtures("run")  # which splits the data
def test_a_test_split_that_cannot_be_read_is_told_before_training(
    data: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(data, tmp_path / "data")
    for row in TrainingManifest.read(copied).rows:
        if row.split == "test":
            (copied / row.image).write_bytes(b"broken")
    said = told(*FIT, "--data", copied, "--out", tmp_path / "out", code=2)
    assert "no labelled, readable image is in the test split" in said
    assert [file.name for file in tmp_path.glob("out/*")] == [LOCK_NAME]


def test_the_models_own_data_are_told(data: Path, run: Path, tmp_path: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    asked = ("evaluate", "--checkpoint", run, "--data", data)
    by_default = json.loads(train(*asked))
    assert by_default["test"] == metrics["test"]
    assert (by_default["split"], by_default["warnings"]) == ("test", [])
    assert "its test split is measured" in told(*asked)
    # They are its own also where their labels are asked for otherwise.
    assert json.loads(train(*asked, "--labels", "truth"))["split"] == "test"
    out = tmp_path / "metrics.json"
    for split in ("val", "all"):
        found = json.loads(train(*asked, "--split", split, "--out", out))
        assert f"--split {split}: the model was trained" in found["warnings"][0]
        assert found["warnings"][0] in told(*asked, "--split", split)
    train("report", out)
    assert "the figures are too good" in (tmp_path / "report" / "report.html").read_text()


def test_a_run_stopped_by_the_clock_goes_on_later(data: Path, tmp_path: Path) -> None:
    command = (
        *("fit", "--data", data, "--out", tmp_path, "--size", SIZE, "--steps", 4, "--batch", 16),
        *("--classifier", "simple_dcnn", "--precision", "fp32", "--augment", "none"),
    )
    said = told(*command, "--max-time", "0s")
    assert "time is up after step 0 of 4; the same command goes on from here" in said
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        *(LOCK_NAME, "history.json", "last.pt")
    ]
    train(*command)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["ended_by"], metrics["steps"]) == ("steps", 4)
    assert "weights_pixels" not in metrics["config"]
    # The next run starts from this one's weights, whose pixels need no folding.
    next_run = (
        *("fit", "--data", data, "--out", tmp_path / "next", "--size", SIZE, "--steps", 1),
        *("--classifier", "simple_dcnn", "--precision", "fp32", "--learning-rate", 1e-9),
    )
    said = told(*next_run, "--weights", tmp_path / "model.safetensors")
    assert "taken as trained" not in said
    assert "has learned from" not in said
    state = load_file(tmp_path / "model.safetensors")
    stem = load_file(tmp_path / "next" / "model.safetensors")["stages.0.conv.weight"]
    assert torch.allclose(stem, state["stages.0.conv.weight"], atol=1e-6)
    file = tmp_path / "next" / "metrics.json"
    assert json.loads(file.read_text())["config"]["weights_pixels"] == "unit"
    again = (*next_run, "--weights", tmp_path / "model.safetensors")
    said = told(*again, "--weights-pixels", "symmetric", code=2)
    assert "holds a run with weights_pixels unit, now it is symmetric" in said
    # Runs of earlier versions do not say what pixels they took, and may have begun otherwise.
    older = json.loads(file.read_text())
    del older["config"]["weights_pixels"]
    file.write_text(json.dumps(older))
    said = told(*again, "--weights-pixels", "symmetric", code=2)
    assert "holds a run with weights_pixels None, now it is symmetric" in said
    # A file of unknown origin is taken for ImageNet's, and that is said.
    save_file(state, tmp_path / "foreign.safetensors")
    said = told(*next_run, "--weights", tmp_path / "foreign.safetensors", code=2)
    assert "foreign.safetensors: taken as trained on ImageNet-normalised pixels" in said
    assert "holds a run with weights_sha256" in said


def test_what_weights_to_start_from_have_learned_is_not_forgotten(
    data: Path, run: Path, tmp_path: Path
) -> None:
    again = shutil.copytree(data, tmp_path / "data")
    train("data", "split", "--data", again, "--again", "--seed", 7)
    command = (*FIT, "--data", again, "--out", tmp_path / "next", "--epochs", 1)
    said = told(*command, "--weights", run / "model.safetensors")
    now, then = (
        {row.image for row in TrainingManifest.read(folder).rows if row.split == "test"}
        for folder in (again, data)
    )
    count = len(now - then)
    assert f"has learned from {count} of the images in the test split" in " ".join(said.split())
    found = json.loads(train("evaluate", "--checkpoint", tmp_path / "next", "--data", again))
    assert found["learned_from"] == count
    assert "the figures are too good" in found["warnings"][-1]


def test_what_nobody_knows_of_weights_to_start_from_is_not_made_up(
    data: Path, run: Path, tmp_path: Path
) -> None:
    weights = shutil.copy(run / "model.safetensors", tmp_path)
    command = (*FIT, "--data", data, "--out", tmp_path / "next", "--epochs", 1)
    said = told(*command, "--weights", weights)
    assert "warning: " in said
    assert "no learned_from.txt beside it says what it has learned from" in said
    assert not (tmp_path / "next" / "learned_from.txt").exists()
    found = json.loads(train("evaluate", "--checkpoint", tmp_path / "next", "--data", data))
    assert found["learned_from"] is None


def test_a_finished_run_keeps_its_figures_and_reads_no_test_image_again(
    data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    before = {file: file.read_bytes() for file in folder.iterdir()}
    monkeypatch.setattr("training.train.evaluate_on", None)  # to call it would be an error
    command = (*FIT, "--data", data, "--out", folder)
    said = told(*command)
    metrics = json.loads((run / "metrics.json").read_text())
    assert f"finished on {metrics['date']}" in said
    assert f"test accuracy {metrics['test']['accuracy']:.4f}" in said
    assert {file: file.read_bytes() for file in folder.iterdir()} == before
    assert "holds a run with batch 16, now it is 8" in told(*command, "--batch", 8, code=2)
    content = json.loads((folder / "metrics.json").read_text())
    content["config"]["synthetic_norms"] = "auxiliary"  # which is not written where there are none
    (folder / "metrics.json").write_text(json.dumps(content))
    assert "a run with synthetic_norms auxiliary, now it is None" in told(*command, code=2)
    shutil.copy(run / "metrics.json", folder)
    other = labelled_folder(tmp_path / "other", 40)
    train("data", "split", "--data", other)
    said = told(*FIT, "--data", other, "--out", folder, code=2)
    assert "holds a run on other images, labels or splits" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["evaluate", "--checkpoint", "{tmp}", "--data", "{data}"], "No such file"),
        (["evaluate", "--checkpoint", "{data}/manifest.csv", "--data", "{data}"], "not a model"),
        (["fit", "--data", "{tmp}", "--out", "{tmp}/run"], "manifest.csv"),
        (["fit", "--data", "{data}", "--out", "{tmp}/r", "--classifier", "vgg"], "mobilenetv2"),
        (["fit", "--data", "{data}", "--out", "{tmp}/r", "--max-time", "soon"], "no duration"),
        (["fit", "--data", "{data}", "--out", "{tmp}/r", "--weights", "{tmp}/w.pt"], "w.pt"),
        (["fit", "--data", "{data}", "--out", "{tmp}/r", "--steps", "5", "--epochs", "5"], "one"),
        (["fit", "--data", "{data}", "--out", "{tmp}/r", "--augment", "all"], "study, camera"),
        (
            [
                *("fit", "--data", "{data}", "--out", "{tmp}/r"),
                *("--classifier", "simple_dcnn", "--weights", "hub"),
            ],
            "none are published for simple_dcnn",
        ),
        (
            [
                *("fit", "--data", "{data}", "--out", "{tmp}/r"),
                *("--classifier", "resnet50v2", "--weights", "{run}/model.safetensors"),
            ],
            "made for mobilenetv2",
        ),
        (["fit", "--data", "{data}", "--out", "{tmp}/r", "--learning-rate", "-1"], "than 0; give"),
        (["fit", "--data", "{data}", "--out", "{tmp}/r", "--learning-rate", "0"], "-rate 0.0: "),
        (["fit", "--data", "{data}", "--out", "{tmp}/r", "--learning-rate", "nan"], "-rate nan: "),
        (["fit", "--data", "{data}", "--out", "{tmp}/r", "--size", "7"], "--size"),
        (["fit", "--data", "{data}"], "Missing option '--out'; --help lists"),
        (["fit", "--data", "{data}", "--out", "{tmp}/file"], "/file: File exists; give another"),
        (["fit", "--data", "{data}", "--out", "{tmp}/file/r"], "/file/r: Not a directory; give"),
        (["study", "--data", "{data}", "--out", "{tmp}/file/s", "--fast"], "Not a directory"),
        (["study", "--data", "{data}", "--out", "{tmp}/s", "--learning-rate", "-1"], "--learning"),
        (["report", "{run}", "--out", "{tmp}/file"], "/file: File exists; choose another --out"),
        (
            [
                *("evaluate", "--checkpoint", "{run}", "--data", "{data}"),
                *("--out", "{tmp}/file/metrics.json"),
            ],
            "/file/metrics.json: nothing can be written there (File exists); choose another --out",
        ),
        (
            ["fit", "--data", "{data}", "--out", "{tmp}/r", "--synthetic-share", "0.3"],
            "--synthetic-share is of the images of --synthetic; give these",
        ),
        (
            ["fit", "--data", "{data}", "--out", "{tmp}/r", "--synthetic-norms", "auxiliary"],
            "--synthetic-norms is of the images of --synthetic; give these",
        ),
        (
            [
                *("fit", "--data", "{data}", "--out", "{tmp}/r"),
                *("--synthetic", "{data}", "--synthetic-norms", "none"),
            ],
            "--synthetic-norms is 'none'; choose one of auxiliary",
        ),
        (
            ["fit", "--data", "{data}", "--out", "{tmp}/r", "--weights-pixels", "unit"],
            "--weights-pixels says of which pixels --weights are; give these",
        ),
        (
            [
                *("synthesize", "--data", "{data}", "--out", "{tmp}/s"),
                *("--strength", "0", "--control", "none"),
            ],
            "with --strength 0 no model draws",
        ),
        (
            ["data", "check", "--data", "{data}", "--out", "{tmp}"],
            "{tmp}: is a folder; choose another --out",
        ),
    ],
)
def test_bad_input_is_one_line_and_code_two(
    data: Path, run: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "file").write_text("")
    filled = [argument.format(tmp=tmp_path, data=data, run=run) for argument in arguments]
    said = train(*filled, code=2)
    assert says.replace("{tmp}", str(tmp_path)) in said.splitlines()[-1]
    assert not re.search("Traceback|Usage:", said)


def test_a_folder_whose_images_are_all_gone_is_refused(run: Path, tmp_path: Path) -> None:
    folder = labelled_folder(tmp_path / "gone", 10)
    shutil.rmtree(folder / "images")
    assert "no such file" in train("evaluate", "--checkpoint", run, "--data", folder, code=2)
