"""A study from the command line: all runs alike, resumed, and drawn from its files alone."""

from __future__ import annotations

import json
import re
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled import SIZE, labelled_folder
from matplotlib.colors import to_hex
from PIL import Image
from typer.testing import CliRunner

from edge_agent.grades import GRADES
from training import baselines
from training.cli import app
from training.data import tables
from training.data.dataset import Dataset
from training.experiments.config import ARMS
from training.predictions import Predictions
from training.report.study_plots import courses
from training.report.tables import points


def train(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


def command(data: Path, out: Path) -> tuple[str | Path, ...]:
    return (
        *("study", "--data", data, "--out", out, "--fast", "--models", "simple_dcnn"),
        *("--size", str(SIZE), "--steps", "5", "--batch", "16", "--precision", "fp32"),
        *("--threads", "1"),
    )


@pytest.fixture(scope="module", autouse=True)
def no_imagenet() -> Any:
    """The features of ImageNet would take longer than all the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "has_frozen_features", lambda: False)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled_folder(tmp_path_factory.mktemp("data") / "set", 80)


@pytest.fixture(scope="module")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was stopped at once, then taken up, with two seeds."""
    folder = tmp_path_factory.mktemp("study")
    seeds = ("--seeds", "1,2")
    said = train(*command(data, folder), *seeds, "--max-time", "0s")
    assert "time is up" in said
    assert "1 runs, 4 missing" in said
    assert not list(folder.glob("simple_dcnn-*/m*"))  # neither a model nor figures
    assert "frozen_features-baseline is left out: its packages are not installed" in said
    train(*command(data, folder), *seeds)
    return folder


@pytest.fixture(scope="module")
def study(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "study.json").read_text())
    return found


def test_all_runs_have_the_same_steps_and_their_own_row(
    data: Path, out: Path, study: dict[str, Any]
) -> None:
    assert study["missing"] == []
    names = [(row["model"], row["arm"], row["seed"]) for row in study["rows"]]
    assert names == [
        ("colour_histogram", "baseline", None),
        *(("simple_dcnn", arm, seed) for seed in (1, 2) for arm in ("baseline", "augmented")),
    ]
    assert {row["steps"] for row in study["rows"][1:]} == {5}
    dataset = Dataset.open(data)
    assert study["data"]["digest"] == dataset.digest
    assert (study["data"]["images"], study["data"]["trucks"]) == (80, 40)
    assert study["data"]["skipped"] == 1
    assert "1 images could not be read" in (out / "report" / "report.html").read_text()
    for row in study["rows"]:
        low, high = row["accuracy_ci"]
        assert 0 <= low <= row["accuracy"] <= high <= 1
        assert set(row["recall"]) == set(GRADES)
    augment = {
        arm: json.loads((out / f"simple_dcnn-{arm}-1" / "metrics.json").read_text())["config"]
        for arm in ("baseline", "augmented")
    }
    differing = {
        name for name, value in augment["baseline"].items() if augment["augmented"][name] != value
    }
    assert differing == {"augment"}


def test_figures_can_be_had_again_from_the_predictions(out: Path, study: dict[str, Any]) -> None:
    for row in study["rows"]:
        metrics = json.loads((out / row["folder"] / "metrics.json").read_text())
        figures = Predictions.read(out / row["folder"]).figures(metrics["confidence_threshold"])
        assert figures == {name: metrics["test"][name] for name in figures}
        assert row["accuracy"] == figures["accuracy"]


def test_seeds_are_pooled_and_arms_compared(study: dict[str, Any]) -> None:
    plain = [row for row in study["rows"] if row["arm"] == "baseline" and row["seed"]]
    pooled = next(one for one in study["pooled"] if one["seeds"] == [1, 2])
    assert pooled["accuracy_of_seeds"] == [row["accuracy"] for row in plain]
    mean = sum(row["accuracy"] for row in plain) / 2
    assert pooled["accuracy"] == pytest.approx(mean, abs=1e-4)
    # Four runs with the histogram, and two seeds of one arm with the other.
    assert len(study["comparisons"]) == 6
    for one in study["comparisons"]:
        assert 0 < one["p_value"] <= 1
        assert None in (seeds := {one["first"]["seed"], one["second"]["seed"]}) or len(seeds) == 1


def test_gains_are_measured_over_all_seeds(out: Path, study: dict[str, Any]) -> None:
    pairs = {
        (one["first"]["model"], one["second"]["arm"], *one["second"]["seeds"]): one
        for one in study["pooled_comparisons"]
    }
    assert set(pairs) == {
        ("colour_histogram", "baseline", 1, 2),
        ("colour_histogram", "augmented", 1, 2),
        ("simple_dcnn", "augmented", 1, 2),
    }
    gain = pairs["simple_dcnn", "augmented", 1, 2]
    by_seed = [
        one["accuracy_difference"]
        for one in study["comparisons"]
        if one["first"]["model"] == one["second"]["model"] == "simple_dcnn"
    ]
    assert len(by_seed) == 2
    assert gain["accuracy_difference"] == pytest.approx(sum(by_seed) / 2, abs=1e-4)
    low, high = gain["accuracy_difference_ci"]
    assert low <= gain["accuracy_difference"] <= high
    text = points(gain, "accuracy_difference")
    tables = (out / "report" / "tables.md").read_text()
    row = next(line for line in tables.split("Table II.")[1].splitlines() if "SimpleDCNN" in line)
    assert f"{text.text} ({text.interval})" in row
    assert "Over all seeds" in tables


def test_decisions_are_adjusted_as_the_validation_split_has_it(
    out: Path, study: dict[str, Any]
) -> None:
    found = study["adjusted"]
    assert found["not_adjusted"] == []
    assert [(one["arm"], one["seeds"]) for one in found["pooled"]] == [
        ("baseline", [1, 2]),
        ("augmented", [1, 2]),
    ]
    for one in found["pooled"]:
        right = []
        for seed, tau in zip(one["seeds"], one["tau"], strict=True):
            run = out / f"simple_dcnn-{one['arm']}-{seed}"
            how = json.loads((run / "metrics.json").read_text())["adjustment"]
            assert how["tau"] == tau
            assert sum(how["shares"]) == pytest.approx(1, abs=1e-5)
            said = Predictions.read(run)
            guesses = (said.probabilities[said.known()] / np.array(how["shares"]) ** tau).argmax(1)
            right += (guesses == said.indices()).tolist()
        assert one["accuracy"] == pytest.approx(np.mean(right), abs=1e-4)
    (gain,) = found["pooled_comparisons"]
    plain, augmented = (one["accuracy"] for one in found["pooled"])
    assert gain["accuracy_difference"] == pytest.approx(augmented - plain, abs=2e-4)
    tables = (out / "report" / "tables.md").read_text()
    (row, *_) = [
        line
        for line in tables.split("Adjusted decisions**")[1].splitlines()
        if "SimpleDCNN | augmented" in line
    ]
    assert " / ".join(f"{tau:.2f}" for tau in found["pooled"][1]["tau"]).replace("-", "−") in row


def test_runs_that_do_not_know_how_to_adjust_are_named(
    data: Path, out: Path, study: dict[str, Any], tmp_path: Path
) -> None:
    folder = shutil.copytree(out, tmp_path / "study")
    older = folder / "simple_dcnn-baseline-1" / "metrics.json"
    metrics = json.loads(older.read_text())
    del metrics["adjustment"]
    older.write_text(json.dumps(metrics))
    train(*command(data, folder), "--seeds", "1,2")
    found = json.loads((folder / "study.json").read_text())
    assert found["rows"] == study["rows"]
    assert found["adjusted"]["not_adjusted"] == ["simple_dcnn-baseline-1"]
    plain, augmented = found["adjusted"]["pooled"]
    assert (plain["seeds"], augmented["seeds"]) == ([2], [1, 2])
    (gain,) = found["adjusted"]["pooled_comparisons"]
    assert gain["second"]["seeds"] == [2]
    page = (folder / "report" / "report.html").read_text()
    assert "not among them: simple_dcnn-baseline-1" in page


def test_a_command_for_some_runs_keeps_the_rows_of_all(
    data: Path, out: Path, study: dict[str, Any], tmp_path: Path
) -> None:
    """As two commands on one OUT, of which the later one writes study.json last."""
    shared = tmp_path / "study"
    shutil.copytree(out, shared)
    unfinished = shared / "resnet50v2-baseline-1"
    unfinished.mkdir()
    (unfinished / "last.pt").write_bytes(b"of another command that still trains")
    said = train(*command(data, shared), "--seeds", "2", "--arms", "augmented")
    assert "5 runs, 0 missing" in said
    found = json.loads((shared / "study.json").read_text())
    assert found["rows"] == study["rows"]
    assert found["pooled_comparisons"] == study["pooled_comparisons"]
    assert (found["config"], found["start"]) == (study["config"], study["start"])
    # A run that is not alike stays out, and that is said.
    other = shared / "simple_dcnn-baseline-1" / "metrics.json"
    metrics = json.loads(other.read_text())
    metrics["config"]["steps"] = 9
    other.write_text(json.dumps(metrics))
    said = train(*command(data, shared), "--seeds", "2", "--arms", "augmented")
    assert "4 runs, 0 missing" in said
    left_out = json.loads((shared / "study.json").read_text())["left_out"]
    assert "holds a run with steps 9, now it is 5" in left_out["simple_dcnn-baseline-1"]
    assert "simple_dcnn-baseline-1 is left out: " in said
    # Nor does one that has been damaged cost the others their rows.
    (shared / "simple_dcnn-augmented-1" / "predictions.csv").write_text("image\n")
    said = train(*command(data, shared), "--seeds", "2", "--arms", "augmented")
    assert "3 runs, 0 missing" in said
    assert "simple_dcnn-augmented-1 is left out: " in said


def test_a_finished_study_is_not_trained_again(data: Path, out: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in out.glob("*/model.safetensors")}
    assert len(before) == 4
    assert not list(out.glob("*/last.pt"))
    said = train(*command(data, out), "--seeds", "1,2")
    assert "run 1" not in said
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_another_study_in_the_folder_is_refused(data: Path, out: Path, tmp_path: Path) -> None:
    said = train(*command(data, out), "--steps", "6", code=2)
    assert re.search(r"holds a run with steps 5, now it is 6; give another --out", said)
    other = labelled_folder(tmp_path / "other", 60)
    assert "other images, labels or splits" in train(*command(other, out), code=2)
    broken = tmp_path / "study" / "colour_histogram-baseline"
    broken.mkdir(parents=True)
    (broken / "metrics.json").write_text("{")
    assert "not readable as a run's figures" in train(*command(data, tmp_path / "study"), code=2)


@pytest.mark.parametrize("change", ["a truck", "the order", "a name"])
def test_a_study_of_other_trucks_names_or_order_is_refused_before_anything_is_trained(
    data: Path, out: Path, tmp_path: Path, change: str
) -> None:
    """Digests leave them out. But intervals are of trucks, and runs are compared image by image."""
    copied = shutil.copytree(data, tmp_path / "data")
    columns, rows = tables.read(copied / "manifest.csv")
    tested = [row for row in rows if row["split"] == "test"]
    if change == "a truck":
        truck = tested[0]["truck"]
        for row in rows:
            row["truck"] = "another" if row["truck"] == truck else row["truck"]
    elif change == "the order":
        rows = rows[::-1]
    else:
        renamed = tested[0]["image"].replace(".png", "-1.png")
        (copied / tested[0]["image"]).rename(copied / renamed)
        tested[0]["image"] = renamed
    tables.write(copied / "manifest.csv", columns, rows)
    assert Dataset.open(copied).digest == Dataset.open(data).digest
    said = train(*command(copied, out), "--seeds", "1,2,3", code=2)
    assert "test images had other names, trucks or another order" in said
    assert not (out / "simple_dcnn-baseline-3").exists()


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--arms", "baseline,magic", "no arm is called 'magic'"),
        ("--models", "alexnet", "no classifier is called 'alexnet'"),
        ("--seeds", "1,1", "--seeds"),
        ("--seeds", "one", "--seeds"),
        ("--size", "7", "--size 7"),
        ("--weights", "mobilenetv2=hub", "--weights 'mobilenetv2=hub'"),
        ("--weights-pixels", "unit", "give these"),
        ("--preset", "gpu", "--fast and --preset gpu contradict each other"),
    ],
)
def test_bad_options_are_told_in_one_line(
    data: Path, tmp_path: Path, option: str, value: str, told: str
) -> None:
    said = train(*command(data, tmp_path), option, value, code=2)
    assert told in said
    assert len(said.strip().splitlines()) == 1


def test_the_page_needs_nothing_beside_it(out: Path, study: dict[str, Any]) -> None:
    page = (out / "report" / "report.html").read_text()
    page = re.sub(r'src="data:image/png;base64,[^"]+"', "", page)
    assert not re.search(r"https?:|//[a-z]|src=|href=|@import|url\(", page)
    assert "64.8" in page  # published for the plain SimpleDCNN
    assert f"{100 * study['pooled'][1]['accuracy']:.1f}" in page
    assert study["data"]["digest"] in page
    for name in ("accuracy", "confusion-matrices", "courses"):
        with Image.open(out / "report" / f"{name}.png") as image:
            assert image.width > 500
    tables = (out / "report" / "tables.md").read_text()
    assert tables.index("Table I.") < tables.index("Table II.")
    run = out / "simple_dcnn-baseline-1" / "report"
    assert (run / "test-precision-recall.png").stat().st_size > 1000
    assert "precision of yes" in (run / "report.html").read_text()


def test_the_report_is_drawn_from_study_json_alone(out: Path, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text((out / "study.json").read_text())
    train("report", tmp_path)
    again = (tmp_path / "report" / "report.html").read_text()
    assert again == (out / "report" / "report.html").read_text()


def test_the_courses_of_all_arms_there_are_can_be_drawn(study: dict[str, Any]) -> None:
    row = next(row for row in study["rows"] if "curve" in row)
    figure = courses({"rows": [{**row, "arm": arm} for arm in ARMS]})
    assert figure is not None
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [*ARMS, "validation", "training"]
    colours = {to_hex(line.get_color()) for line in legend.get_lines()[: len(ARMS)]}
    assert len(colours) == len(ARMS)


def test_a_course_is_the_mean_of_the_seeds(study: dict[str, Any]) -> None:
    row = deepcopy(next(row for row in study["rows"] if "curve" in row))
    row["curve"]["train_loss"][-1] = 0.0
    other = {name: [2 * value for value in values] for name, values in row["curve"].items()}
    figure = courses({"rows": [row, {**row, "seed": 2, "curve": other}]})
    assert figure is not None
    losses, accuracies = figure.axes
    (drawn,) = [line.get_ydata() for line in losses.lines if line.get_linestyle() == ":"]
    assert np.allclose(drawn[:-1], np.multiply(1.5, row["curve"]["train_loss"][:-1]))
    assert losses.get_yscale() == "log"
    assert 0 < drawn[-1] < 1e-4  # so that it has a place there
    dots = [line.get_ydata() for line in accuracies.lines if line.get_marker() == "o"]
    assert np.allclose(dots, 1.5 * row["curve"]["val_accuracy"][row["kept_epoch"] - 1])


def test_runs_are_compared_on_the_command_line(out: Path, tmp_path: Path) -> None:
    runs = (out / "simple_dcnn-baseline-1", out / "simple_dcnn-augmented-1")
    found = json.loads(train("compare", *runs))
    assert found["n"] == 16
    assert json.loads(train("compare", *runs, "--truth"))["n"] == 16
    assert "No such file" in train("compare", out, tmp_path / "none.csv", code=2)


def test_a_folder_without_a_manifest_is_evaluated_as_it_is(out: Path, tmp_path: Path) -> None:
    for i, name in enumerate(("Fresh", "burn_clean", "blurred")):
        (tmp_path / "new" / name).mkdir(parents=True)
        for k in range(3):
            image = Image.effect_noise((40, 40), 10 + 30 * i + 9 * k).convert("RGB")
            image.save(tmp_path / "new" / name / f"T{k}-a.png")
    (tmp_path / "new" / "Fresh" / "broken.png").write_bytes(b"broken")
    checkpoint = out / "simple_dcnn-baseline-1"
    files = sorted((tmp_path / "new").rglob("*"))
    asked = ("evaluate", "--checkpoint", checkpoint, "--data", tmp_path / "new")
    classes = ("--class-map", "Fresh=fresh_clean", "--class-map", "blurred=")
    pattern = ("--truck-pattern", r"(?P<truck>T\d)|broken")
    results = tmp_path / "results" / "metrics.json"
    train(*asked, *classes, *pattern, "--out", results)
    metrics = json.loads(results.read_text())
    assert (metrics["all"]["n"], metrics["all"]["trucks"]) == (6, 3)
    assert metrics["data"]["name"] == "new"
    assert metrics["all"]["grades"]["burn_clean"]["n"] == 3
    written = Predictions.read(results.parent)
    assert min(written.images) == "Fresh/T0-a.png"
    assert sorted((tmp_path / "new").rglob("*")) == files
    said = train("report", results)
    assert (results.parent / "report" / "all-reliability.png").exists(), said
    assert "Fresh, blurred: no grades" not in train(*asked, *classes)
    assert "no grades; map each to one of" in train(*asked, code=2)
    assert "has no manifest, hence no votes" in train(*asked, "--labels", "votes", code=2)
