"""From a run with a second head to a bundle whose agent says how much trash there is."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from straw import FIT, straw_folder
from tiny_bundle import with_members
from trained import export, train

from edge_agent.errors import BundleError
from edge_agent.grades import Grade
from edge_agent.inference.bundle import Bundle
from edge_agent.inference.grader import Grader
from edge_agent.inference.manifest import Manifest
from exporter.check import check
from exporter.errors import ExportError
from exporter.model_card import NAME, render
from training.data.dataset import Dataset
from training.level import shares
from training.model import TrainedModel

Straw = tuple[Path, Path]
"""The data and the run."""


@pytest.fixture(scope="module")
def straw(tmp_path_factory: pytest.TempPathFactory) -> Straw:
    folder = tmp_path_factory.mktemp("straw")
    data, run = straw_folder(folder / "data"), folder / "run"
    train(*FIT, "--data", data, "--out", run, "--level-weight", 3)
    return data, run


@pytest.fixture(scope="module")
def bundle(straw: Straw, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "straw.bundle"
    said = exported(straw, out)
    assert "with the level: mean absolute error" in said
    return out


def exported(straw: Straw, out: Path, *options: str, code: int = 0) -> str:
    data, run = straw
    return export("bundle", "--checkpoint", run, "--data", data, "--out", out, *options, code=code)


def with_figures(straw: Straw, out: Path, **changes: Any) -> Straw:
    """The same run with other figures of its level on validation loads."""
    data, run = straw
    with safe_open(run / "model.safetensors", framework="pt") as file:
        card = json.loads(file.metadata()["canegrade"])
    card["training"]["validation_level"] |= changes
    save_file(load_file(run / "model.safetensors"), out, {"canegrade": json.dumps(card)})
    return data, out


@pytest.mark.parametrize("precision", ["fp32", "fp16-weights", "auto"])
def test_a_station_says_what_the_trained_network_says(
    straw: Straw, tmp_path: Path, precision: str
) -> None:
    out = tmp_path / "straw.bundle"
    said = exported(straw, out, "--precision", precision)
    found = check(out)
    manifest = found.bundle.manifest
    assert manifest.format == 2
    assert manifest.level is not None
    metrics = json.loads((straw[1] / "metrics.json").read_text())
    for worth, key in ((manifest.level.validation, "validation"), (manifest.level.test, "test")):
        assert worth is not None
        for name, value in worth.model_dump().items():
            expected = metrics[f"{key}_level"][name]
            assert (list(value) if isinstance(value, tuple) else value) == expected
    assert manifest.parity is not None
    assert manifest.parity.max_level_difference is not None
    assert manifest.parity.max_level_difference <= 0.01
    if precision == "auto":
        assert manifest.precision_gate is not None
        assert manifest.precision_gate.level is not None
        assert "level: mean absolute error" in said
        assert manifest.precision == ("int8" if manifest.precision_gate.passed else "fp32")
    # Held against torch, load by load, and against the truth.
    held = Dataset.open(straw[0]).load("val", manifest.input.width)
    trained = TrainedModel.load(straw[1]).says(held.images).levels
    assert trained is not None
    grader = Grader(found.bundle)
    _, levels = grader.answers(held.images)
    assert levels is not None
    assert np.abs(levels - trained).max() < (5 if manifest.precision == "int8" else 0.5)
    true = shares(held)
    known = np.isfinite(true)
    assert np.abs(levels[known, 1] - true[known]).mean() < 15
    answers = [grader.grade(image) for image in held.images]
    assert {answer.level is None for answer in answers if answer.grade != Grade.UNDEFINED} == {
        False
    }
    measured = tmp_path / "measured" / "metrics.json"
    export("evaluate", out, "--data", straw[0], "--out", measured)
    told = json.loads(measured.read_text())["test_level"]
    of_the_run = metrics["test_level"]
    assert told["n"] == of_the_run["n"]
    for name in ("mean_absolute_error", "mean_width"):
        assert told[name] == pytest.approx(of_the_run[name], abs=2)
    again = export("check", out, "--checkpoint", straw[1], "--data", straw[0])
    assert "their levels within" in again
    assert "of the level within" in again


def test_left_out_it_is_a_bundle_as_before(straw: Straw, tmp_path: Path) -> None:
    """What an agent of format 1 does not know is not there, not even as null."""
    out = tmp_path / "plain.bundle"
    said = exported(straw, out, "--precision", "fp32", "--without-level")
    assert "the level is left out: as --without-level asks" in said
    with zipfile.ZipFile(out) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        card = archive.read(NAME).decode()
    assert manifest["format"] == 1
    assert "level" not in manifest
    assert not any("level" in name for name in manifest["parity"])
    assert not any("level" in golden for golden in manifest["golden"])
    assert "trash" not in card.split("## What it is for")[1].split("## How good")[1].split("| ")[0]
    bundle = check(out).bundle
    assert [o.name for o in onnx.load_model_from_string(bundle.model).graph.output] == [
        "probabilities"
    ]
    assert Grader(bundle).grade(bundle.golden[0]).level is None
    export("check", out, "--checkpoint", straw[1], "--data", straw[0])


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        ({"better_by_ci": [-0.2, 9.0]}, "interval, -0.20 to 9.00, is not above 0"),
        ({"better_by_ci": [0.0, 9.0]}, "interval, 0.00 to 9.00, is not above 0"),
        ({"better_by_ci": None}, "interval, unknown, is not above 0"),
    ],
)
def test_a_level_no_better_than_a_guess_is_left_out_with_the_reason(
    straw: Straw, tmp_path: Path, figures: dict[str, Any], says: str
) -> None:
    poor = with_figures(straw, tmp_path / "poor.st", **figures)
    said = exported(poor, tmp_path / "b.bundle", "--precision", "fp32")
    (line,) = (line for line in said.splitlines() if "left out" in line)
    assert says in line
    assert check(tmp_path / "b.bundle").bundle.manifest.level is None


def test_other_shares_than_those_it_was_trained_on_are_refused(
    straw: Straw, tmp_path: Path
) -> None:
    """They are no part of the images' digest, and the gate would measure something else."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "images").symlink_to(straw[0] / "images")
    for file in straw[0].glob("*.json"):
        (data / file.name).write_bytes(file.read_bytes())
    table = (straw[0] / "manifest.csv").read_text().splitlines()
    column = table[0].split(",").index("trash_share")
    cells = table[1].split(",")
    cells[column] = "1.25"
    (data / "manifest.csv").write_text("\n".join([table[0], ",".join(cells), *table[2:], ""]))
    out = tmp_path / "b.bundle"
    said = exported((data, straw[1]), out, "--precision", "fp32", code=2)
    assert "its trash_share is not what the level was trained on" in said
    assert not out.exists()
    exported((data, straw[1]), out, "--precision", "fp32", "--without-level")


def test_a_golden_level_that_comes_out_differently_is_refused(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    manifest["golden"][0]["level"] = [90.0, 95.0, 100.0]
    members = {"manifest.json": json.dumps(manifest).encode()}
    changed = Bundle.read(with_members(bundle, tmp_path / "changed.bundle", members))
    with pytest.raises(BundleError, match=r"the level of golden/00-.* comes out .* off"):
        Grader(changed)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m["level"].update(margin=9.5), "level.margin is 9.5, but model.onnx widens by"),
        (lambda m: m["level"].update(coverage=0.99), "level.coverage is 0.99, cane-train"),
        (lambda m: m["parity"].update(max_level_difference=3.0), "max_level_difference is 3.0"),
        (lambda m: m["parity"].pop("max_level_difference"), "parity and level are not of the same"),
        (lambda m: m["precision_gate"].pop("level"), "contradicts its own figures"),
        (
            lambda m: m["precision_gate"]["level"].update(max_error_loss=9.0),
            "precision_gate.level has other limits",
        ),
        (
            lambda m: m["precision_gate"]["level"].update(mean_absolute_error=40.0),
            "contradicts its own figures, or the limits",
        ),
        (
            lambda m: m["precision_gate"]["level"].update(bounds_moved=4.0),
            "contradicts its own figures, or the limits",
        ),
        (lambda m: m["level"]["validation"].update(better_by=50.0), "other figures contradict"),
        (lambda m: m["level"]["test"].update(mean_absolute_error=0.5), "level.test.better_by is"),
        (lambda m: m["level"]["validation"].update(n=3), "of another network or other loads"),
    ],
)
def test_check_holds_what_is_said_of_the_level_against_limits_and_graph(
    bundle: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    with zipfile.ZipFile(bundle) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    change(manifest)
    content = json.dumps(manifest)
    card = render(Manifest.model_validate_json(content))
    members = {"manifest.json": content.encode(), NAME: card.encode()}
    with pytest.raises(ExportError) as caught:
        check(with_members(bundle, tmp_path / "changed.bundle", members))
    assert says in str(caught.value) or "level_margin" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_check_tells_a_level_that_is_not_the_runs(
    straw: Straw, bundle: Path, tmp_path: Path
) -> None:
    other = with_figures(straw, tmp_path / "other.st", mean_width=12.5)
    said = export("check", bundle, "--checkpoint", other[1], "--data", straw[0], code=2)
    assert "level is {" in said
    assert "export it again" in said
