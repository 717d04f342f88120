"""From a labelled folder to a bundle the agent grades with, over the command lines."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled import SIZE, labelled_folder
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from edge_agent.errors import BundleError
from edge_agent.grades import GRADES
from edge_agent.inference.bundle import Bundle
from edge_agent.inference.grader import Grader
from exporter.check import check
from exporter.cli import app as cane_export
from training.cli import app as cane_train
from training.data.manifest import Manifest


def train(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(cane_train, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output if code else result.stdout


def export(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(cane_export, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled_folder(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(
        *("fit", "--data", data, "--out", folder, "--size", SIZE, "--epochs", 6, "--batch", 16),
        *("--patience", 6, "--precision", "fp32", "--seed", 1),
    )
    return folder


@pytest.fixture(scope="module")
def bundle(data: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "tiny.bundle"
    export("bundle", "--checkpoint", run, "--data", data, "--out", out)
    return out


def test_a_run_says_what_it_did(data: Path, run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["data"]["images"] == 60
    assert metrics["test"]["n"] + metrics["data"]["disputed"] >= 8
    assert set(metrics["test"]["grades"]) == set(GRADES)
    assert metrics["test_truth"]["n"] >= metrics["test"]["n"]
    assert metrics["versions"]["torch"]
    assert metrics["config"]["seed"] == 1
    skipped = metrics["data"]["skipped"] + metrics["test"]["skipped"]
    assert skipped == 1
    manifest = Manifest.read(data)
    assert all(row.split for row in manifest.rows)
    assert manifest.cells[0]["plate"] == "60-1234"


def test_evaluate_prints_the_same_figures_for_any_folder(
    data: Path, run: Path, tmp_path: Path
) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    again = json.loads(train("evaluate", "--checkpoint", run, "--data", data, "--split", "test"))
    assert again["test"] == metrics["test"]
    other = labelled_folder(tmp_path / "other", 20)
    out = tmp_path / "metrics.json"
    printed = json.loads(train("evaluate", "--checkpoint", run, "--data", other, "--out", out))
    assert printed["all"]["n"] + printed["data"]["disputed"] == 19
    assert json.loads(out.read_text()) == printed


def test_a_run_stopped_by_the_clock_goes_on_later(data: Path, tmp_path: Path) -> None:
    command = (
        *("fit", "--data", data, "--out", tmp_path, "--size", SIZE, "--steps", 4, "--batch", 16),
        *("--classifier", "simple_dcnn", "--precision", "fp32", "--augment", "none"),
    )
    train(*command, "--max-time", "0s")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["ended_by"], metrics["steps"]) == ("time", 0)
    train(*command)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["ended_by"], metrics["steps"]) == ("steps", 4)
    # The next run starts from this one's weights, whose pixels need no folding.
    train(
        *("fit", "--data", data, "--out", tmp_path / "next", "--size", SIZE, "--steps", 1),
        *("--classifier", "simple_dcnn", "--precision", "fp32", "--learning-rate", 1e-9),
        *("--weights", tmp_path / "model.safetensors"),
    )
    state = load_file(tmp_path / "model.safetensors")
    stem = load_file(tmp_path / "next" / "model.safetensors")["stages.0.conv.weight"]
    assert torch.allclose(stem, state["stages.0.conv.weight"], atol=1e-6)


def test_the_bundle_is_one_the_agent_takes(data: Path, run: Path, bundle: Path) -> None:
    found = check(bundle)
    manifest = found.bundle.manifest
    assert manifest.name == "tiny"
    assert manifest.precision == "fp16-weights"
    assert manifest.input.graded_area.top == 0.04
    assert {golden.grade for golden in manifest.golden} == set(GRADES)
    metrics = json.loads((run / "metrics.json").read_text())
    assert manifest.training.data_digest == metrics["data"]["digest"]
    assert manifest.training.metrics["test_accuracy"] == metrics["test"]["accuracy"]
    assert manifest.confidence_threshold == metrics["confidence_threshold"]
    prediction = Grader(found.bundle).grade(found.bundle.golden[0])
    assert sum(prediction.probabilities.values()) == pytest.approx(1.0, abs=1e-5)
    assert "good" in export("check", bundle)


def test_a_bundle_tells_when_it_is_damaged(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.bundle"
    whole = bundle.read_bytes()
    copy.write_bytes(whole[: len(whole) // 2])
    assert "not a readable zip file" in export("check", copy, code=2)

    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["model.onnx"] = members["model.onnx"][:-1] + b"\x00"
    _pack(copy, members)
    assert "SHA-256" in export("check", copy, code=2)


def test_a_golden_image_that_comes_out_differently_is_refused(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    other = io.BytesIO()
    Image.fromarray(np.full((SIZE, SIZE, 3), 7, np.uint8)).save(other, "PNG")
    sharpest = max(manifest["golden"], key=lambda golden: max(golden["probabilities"]))
    members[sharpest["path"]] = other.getvalue()
    sharpest["probabilities"] = [0.0, 0.0, 0.0, 0.0, 1.0]
    members["manifest.json"] = json.dumps(manifest).encode()
    _pack(tmp_path / "copy.bundle", members)
    with pytest.raises(BundleError, match="comes out"):
        Grader(Bundle.read(tmp_path / "copy.bundle"))


def test_other_data_than_the_runs_is_refused(run: Path, tmp_path: Path) -> None:
    other = labelled_folder(tmp_path / "other", 40)
    train("split", "--data", other)
    out = tmp_path / "b.bundle"
    said = export("bundle", "--checkpoint", run, "--data", other, "--out", out, code=2)
    assert "is not the data" in said
    assert not out.exists()


def test_a_bundle_appears_only_when_it_is_good(
    data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.bundle.GOLDEN_TOLERANCE", 1.0)  # the agent allows 0.05 at most
    out = tmp_path / "b.bundle"
    said = export("bundle", "--checkpoint", run, "--data", data, "--out", out, code=2)
    assert "golden_tolerance" in said
    assert list(tmp_path.iterdir()) == []


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
    ],
)
def test_bad_input_is_one_line_and_code_two(
    data: Path, run: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    filled = [argument.format(tmp=tmp_path, data=data, run=run) for argument in arguments]
    said = train(*filled, code=2)
    assert says in said
    assert "Traceback" not in said


def test_a_folder_whose_images_are_all_gone_is_refused(run: Path, tmp_path: Path) -> None:
    folder = labelled_folder(tmp_path / "gone", 10)
    shutil.rmtree(folder / "images")
    assert "no such file" in train("evaluate", "--checkpoint", run, "--data", folder, code=2)


def _pack(out: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
