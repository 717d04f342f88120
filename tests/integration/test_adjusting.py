"""A trained model whose decisions are adjusted: the model itself, its bundle, and refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from labelled import SIZE, labelled_folder
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from trained import FIT, export, told, train

from edge_agent.grades import GRADES
from edge_agent.inference.bundle import Bundle
from edge_agent.inference.manifest import Manifest
from exporter.claims import faults
from exporter.model_card import render
from training.adjustment import LEAST_SHARE, MixtureAdjustment, adjusted
from training.calibration import confidence_threshold, temperature
from training.data.dataset import Dataset
from training.data.manifest import Manifest as TrainingManifest
from training.model import TrainedModel, logits
from training.predictions import Predictions

MIXTURE = (0.55, 0.3, 0.1, 0.05, 0.0)
FOR = tuple(
    part
    for grade, share in zip(GRADES, MIXTURE, strict=True)
    for part in ("--mixture", f"{grade}={share}")
)


def metrics_of(folder: Path) -> Any:
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def moved(data: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, its common grade said much later, so that decisions change."""
    folder = tmp_path_factory.mktemp("adjusted") / "run"
    said = told(
        *("adjust", "--checkpoint", run, "--data", data, "--out", folder, *FOR, "--tau", 4.0)
    )
    assert "tau 4, toward 0, for 55.0% fresh_clean, 30.0% fresh_trash, 10.0% burn_clean" in said
    assert "% before, " in said
    return folder


def test_the_model_itself_says_what_the_rule_says(data: Path, run: Path, moved: Path) -> None:
    before, now = TrainedModel.load(run), TrainedModel.load(moved)
    images = np.random.default_rng(1).integers(0, 255, (20, SIZE, SIZE, 3), np.uint8)
    shares = np.array(metrics_of(run)["adjustment"]["shares"])
    by_rule = adjusted(before.probabilities(images).astype(np.float64), shares, 4.0)
    # T is another one since: p^(T / T') makes what it says comparable.
    found = now.probabilities(images).astype(np.float64)
    found **= now.card.temperature / before.card.temperature
    assert found / found.sum(1, keepdims=True) == pytest.approx(by_rule, abs=1e-4)
    # What is written of the test split is what it says, and the run is as it was.
    again = json.loads(train("evaluate", "--checkpoint", moved, "--data", data, "--split", "test"))
    metrics = metrics_of(moved)
    assert again["test"] == metrics["test"]
    assert again["test_at_mixture"] == metrics["test_at_mixture"]
    assert metrics["adjusted_for"]["sha256"] == before.sha256
    assert list(metrics["adjusted_for"]["mixture"].values()) == pytest.approx(MIXTURE)
    assert "adjustment" not in metrics
    assert (moved / "learned_from.txt").read_text() == (run / "learned_from.txt").read_text()
    assert metrics["command"].count(" && ") == 1


def test_validation_images_choose_as_often_as_their_grade_comes(
    data: Path, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "adjusted"
    said = told("adjust", "--checkpoint", run, "--data", data, "--out", out, *FOR)
    metrics, before = metrics_of(out), TrainedModel.load(run)
    validation = Dataset.open(data).load("val", SIZE)
    shares, mixture = np.array(metrics_of(run)["adjustment"]["shares"]), np.array(MIXTURE)
    how = MixtureAdjustment.chosen_for(
        before.probabilities(validation.images), validation.labels, shares, mixture
    )
    assert (metrics["adjusted_for"]["tau"], metrics["adjusted_for"]["toward"]) == (
        how.tau,
        how.toward,
    )
    counts = np.bincount(validation.labels, minlength=5)
    weights = (np.maximum(mixture, LEAST_SHARE) / counts)[validation.labels]
    raw = logits(before.network, validation.images)
    raw = raw + torch.from_numpy(how.offsets * before.card.temperature).float()
    t = temperature(raw, torch.from_numpy(validation.labels), torch.from_numpy(weights))
    threshold = confidence_threshold((raw / t).softmax(1).numpy(), validation.labels, weights)
    card = TrainedModel.load(out).card
    assert (card.temperature, card.confidence_threshold) == (
        pytest.approx(t, rel=1e-4),
        pytest.approx(threshold, abs=1e-3),
    )
    assert (metrics["temperature"], metrics["confidence_threshold"]) == (
        card.temperature,
        card.confidence_threshold,
    )
    few = [grade for grade in GRADES if counts[GRADES.index(grade)] < 10]
    assert "warning: chosen by few validation images" in said
    assert all(f"of {grade}" in said for grade in few)
    assert "seldom said: undefined" in said


def test_what_has_changed_stands_beside_it(run: Path, moved: Path) -> None:
    metrics = metrics_of(moved)
    worth, after = metrics["adjusted_for"]["test"], metrics["test_at_mixture"]
    # As the run itself has said it.
    before, mixture = Predictions.read(run), np.array(MIXTURE)
    asked = metrics_of(run)["confidence_threshold"]
    expected = before.figures(asked, mixture=mixture)
    assert worth["before_at_mixture"]["accuracy"] == expected["accuracy"]
    assert worth["before_at_mixture"]["asks_a_person"] == pytest.approx(
        expected["asks_a_person"], abs=0.02
    )
    difference = after["accuracy"] - expected["accuracy"]
    assert worth["accuracy_difference"] == pytest.approx(difference, abs=2e-4)
    train("report", moved)
    tables = (moved / "report" / "tables.md").read_text()
    assert "| difference, points |" in tables
    assert "| burn clean | 10.0 |" in tables
    shutil.rmtree(moved / "report")


def test_the_bundle_decides_so_too(data: Path, moved: Path, tmp_path: Path) -> None:
    out = tmp_path / "adjusted.bundle"
    export("bundle", "--checkpoint", moved, "--data", data, "--out", out, "--precision", "fp32")
    assert "done again from" in export("check", out, "--checkpoint", moved, "--data", data)
    export("evaluate", out, "--data", data, "--split", "test", "--out", tmp_path / "metrics.json")
    found, metrics = metrics_of(tmp_path), metrics_of(moved)
    assert found["test_at_mixture"]["accuracy"] == metrics["test_at_mixture"]["accuracy"]
    manifest = Bundle.read(out).manifest
    recorded = manifest.training.metrics
    assert recorded["test_at_mixture_accuracy"] == metrics["test_at_mixture"]["accuracy"]
    assert "chosen for loads that come as 55.0% fresh_clean" in render(manifest)
    for changed, says in (({"mixture_burn_clean": 0.2}, "sum to 1.1"), ({}, "sum to 0.9")):
        rest = {k: v for k, v in recorded.items() if k != "mixture_burn_clean"}
        forged = manifest.model_dump(mode="json")
        forged["training"]["metrics"] = rest | changed
        assert any(says in fault for fault in faults(Manifest.model_validate(forged)))


def test_a_killed_call_can_be_given_again(
    data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    command = ("adjust", "--checkpoint", run, "--data", data, "--out", out)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("training.adjusting.write_json", killed)
        train(*command, code=130)
    assert (out / "model.safetensors").exists()
    assert not (out / "metrics.json").exists()
    train(*command)
    assert metrics_of(out)["test"]["n"]
    assert "holds metrics.json" in train(*command, code=2)


def test_runs_of_earlier_versions_and_parts_of_a_run(data: Path, run: Path, tmp_path: Path) -> None:
    """Some did not write warnings; a model alone does not know what it has learned from."""
    with safe_open(run / "model.safetensors", framework="pt") as file:
        card = json.loads(file.metadata()["canegrade"])
    del card["training"]["warnings"]
    file = tmp_path / "model.safetensors"
    save_file(load_file(run / "model.safetensors"), file, {"canegrade": json.dumps(card)})
    out = tmp_path / "out"
    train("adjust", "--checkpoint", file, "--data", data, "--out", out)
    assert not (out / "learned_from.txt").exists()
    found = json.loads(train("evaluate", "--checkpoint", out, "--data", data, "--split", "all"))
    assert found["learned_from"] is None
    del card["training"]["adjustment"]
    save_file(load_file(run / "model.safetensors"), file, {"canegrade": json.dumps(card)})
    command = ("adjust", "--checkpoint", file, "--data", data, "--out", tmp_path / "none")
    assert "being of an earlier version; train it again" in train(*command, code=2)


def test_where_the_test_split_lacks_a_grade_the_report_says_nothing_of_the_mixture(
    tmp_path: Path,
) -> None:
    folder = labelled_folder(tmp_path / "set")
    train("data", "split", "--data", folder)
    manifest = TrainingManifest.read(folder)
    kept = tuple(
        cell
        for cell, row in zip(manifest.cells, manifest.rows, strict=True)
        if not (row.split == "test" and row.grade == "burn_clean")
    )
    TrainingManifest(manifest.path, manifest.columns, kept, ()).write()
    run = tmp_path / "run"
    train(*FIT, "--data", folder, "--out", run, "--epochs", 1)
    out = tmp_path / "out"
    said = told("adjust", "--checkpoint", run, "--data", folder, "--out", out, *FOR)
    assert "accuracy unknown before, unknown now" in said
    train("report", out)
    assert "| difference, points | – | – | – |" in (out / "report" / "tables.md").read_text()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("--mixture", "burn_clean=0.5"), "sums to 0.5"),
        (("--mixture", "burn_clean=1.5", "--mixture", "fresh_clean=-0.5"), "none below 0"),
        (("--mixture", "burnt=1"), "write GRADE=SHARE"),
        (("--mixture", "burn_clean=nan"), "sums to nan"),
        (("--mixture", "burn_clean=.5", "--mixture", "burn_clean=.5"), "a second time"),
        (("--tau", "9"), "less than or equal to 5"),
    ],
)
def test_a_mixture_that_is_none_is_refused(
    data: Path, run: Path, tmp_path: Path, asked: tuple[str, ...], says: str
) -> None:
    out = tmp_path / "out"
    command = ("adjust", "--checkpoint", run, "--data", data, "--out", out)
    assert says in train(*command, *asked, code=2)
    assert not out.exists()


def test_what_cannot_be_adjusted_is_refused(
    data: Path, run: Path, moved: Path, tmp_path: Path
) -> None:
    command = ("adjust", "--data", data, "--checkpoint")
    assert "is adjusted already" in train(*command, moved, "--out", tmp_path / "out", code=2)
    assert "holds metrics.json; give another" in train(*command, run, "--out", moved, code=2)
    # It is not the run that the same training would leave.
    assert "cane-train adjust has made" in train(*FIT, "--data", data, "--out", moved, code=2)
