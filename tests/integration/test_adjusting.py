"""A trained model whose decisions are adjusted: the model itself, its bundle, and refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled import SIZE
from trained import FIT, export, told, train

from edge_agent.grades import GRADES
from edge_agent.inference.bundle import Bundle
from training.adjustment import adjusted
from training.model import TrainedModel
from training.predictions import Predictions

MIXTURE = (0.5, 0.3, 0.1, 0.06, 0.04)
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
    assert "tau 4 for 50.0% fresh_clean, 30.0% fresh_trash, 10.0% burn_clean" in said
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
    assert metrics_of(moved)["temperature"] == now.card.temperature
    # What is written of the test split is what it says, and the run is as it was.
    again = json.loads(train("evaluate", "--checkpoint", moved, "--data", data, "--split", "test"))
    metrics = metrics_of(moved)
    assert again["test"] == metrics["test"]
    assert again["test_at_mixture"] == metrics["test_at_mixture"]
    assert metrics["adjusted"]["sha256"] == before.sha256
    assert list(metrics["adjusted"]["mixture"].values()) == pytest.approx(MIXTURE)
    assert (moved / "learned_from.txt").read_text() == (run / "learned_from.txt").read_text()
    assert metrics["command"].count(" && ") == 1


def test_what_has_changed_stands_beside_it(run: Path, moved: Path) -> None:
    metrics = metrics_of(moved)
    worth = metrics["adjusted"]["test"]
    difference = metrics["test_at_mixture"]["accuracy"] - worth["before_at_mixture"]["accuracy"]
    assert worth["accuracy_difference"] == pytest.approx(difference, abs=2e-4)
    before, now = Predictions.read(run), Predictions.read(moved)
    assert before.images == now.images
    train("report", moved)
    tables = (moved / "report" / "tables.md").read_text()
    assert "| difference, points |" in tables
    assert "| burn clean | 10.0 |" in tables
    shutil.rmtree(moved / "report")


def test_without_a_mixture_it_is_the_one_that_the_run_has_found(
    data: Path, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "adjusted"
    said = told("adjust", "--checkpoint", run, "--data", data, "--out", out)
    metrics = metrics_of(out)
    assert metrics["adjusted"]["tau"] == metrics_of(run)["adjustment"]["tau"]
    counts = metrics["data"]["splits"]["val"]["grades"]
    few = [grade for grade in GRADES if counts[grade] < 10]
    assert "warning: few validation images to choose tau by" in said
    assert all(f"of {grade}" in metrics["warnings"][-1] for grade in few)


def test_the_bundle_decides_so_too(data: Path, moved: Path, tmp_path: Path) -> None:
    out = tmp_path / "adjusted.bundle"
    export("bundle", "--checkpoint", moved, "--data", data, "--out", out, "--precision", "fp32")
    assert "done again from" in export("check", out, "--checkpoint", moved, "--data", data)
    export("evaluate", out, "--data", data, "--split", "test", "--out", tmp_path / "metrics.json")
    found, metrics = metrics_of(tmp_path), metrics_of(moved)
    assert found["test_at_mixture"]["accuracy"] == metrics["test_at_mixture"]["accuracy"]
    recorded = Bundle.read(out).manifest.training.metrics
    assert recorded["test_at_mixture_accuracy"] == metrics["test_at_mixture"]["accuracy"]
    assert recorded["mixture_burn_clean"] == 0.1


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("--mixture", "burn_clean=0.5"), "sums to 0.5"),
        (("--mixture", "burn_clean=1.5", "--mixture", "fresh_clean=-0.5"), "none below 0"),
        (("--mixture", "burnt=1"), "write GRADE=SHARE"),
        (("--mixture", "burn_clean=nan"), "sums to nan"),
        (("--tau", "9"), "less than or equal to 5"),
    ],
)
def test_a_mixture_that_is_none_is_refused(
    data: Path, run: Path, tmp_path: Path, asked: tuple[str, ...], says: str
) -> None:
    out = tmp_path / "out"
    command = ("adjust", "--checkpoint", run, "--data", data, "--out", out)
    assert says in train(*command, *asked, code=2)
    assert not (out / "metrics.json").exists()


def test_what_cannot_be_adjusted_is_refused(
    data: Path, run: Path, moved: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for checkpoint, says in (
        (moved, "is adjusted already"),
        (run / "model.safetensors", "give the run's folder"),
    ):
        command = ("adjust", "--checkpoint", checkpoint, "--data", data, "--out", out)
        assert says in train(*command, code=2)
    command = ("adjust", "--checkpoint", run, "--data", data, "--out", moved)
    assert "is not empty" in train(*command, code=2)
    # It is not the run that the same training would leave.
    assert "cane-train adjust has made" in train(*FIT, "--data", data, "--out", moved, code=2)
