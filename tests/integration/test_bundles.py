"""From a run to a bundle the agent grades with, and every way in which a bundle is refused."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from labelled import SIZE, labelled_folder
from PIL import Image
from pydantic import ValidationError
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from trained import FIT, export, train

from edge_agent.errors import BundleError
from edge_agent.grades import GRADES
from edge_agent.inference.bundle import Bundle
from edge_agent.inference.grader import Grader
from edge_agent.inference.manifest import Manifest
from exporter.check import check
from exporter.limits import GOLDEN_TOLERANCE
from exporter.model_card import render
from exporter.parity import run as served
from training.data.manifest import Manifest as TrainingManifest

BROKEN = {"images/7.png"}


@pytest.fixture(scope="module")
def exported(
    data: Path, run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Path, str]]:
    """The run's bundle in a precision, and what was said of it; each is made once."""

    @functools.cache
    def make(precision: str) -> tuple[Path, str]:
        out = tmp_path_factory.mktemp(precision) / "tiny.bundle"
        command = ("bundle", "--checkpoint", run, "--data", data, "--out", out)
        return out, export(*command, "--precision", precision)

    return make


@pytest.fixture(scope="module")
def bundle(exported: Callable[[str], tuple[Path, str]]) -> Path:
    return exported("auto")[0]


def test_the_bundle_is_one_the_agent_takes(data: Path, run: Path, bundle: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    found = check(bundle)
    manifest = found.bundle.manifest
    assert manifest.name == "tiny"
    assert manifest.precision_gate is not None
    assert manifest.precision_gate.tried == "int8"
    assert manifest.precision == ("int8" if manifest.precision_gate.passed else "fp32")
    assert manifest.parity is not None
    assert manifest.parity.images == metrics["validation"]["n"]
    assert {golden.split for golden in manifest.golden} == {"val"}
    held = {row.image for row in TrainingManifest.read(data).rows if row.split == "val"} - BROKEN
    pictures = [np.asarray(Image.open(data / name).convert("RGB")) for name in sorted(held)]
    for golden in found.bundle.golden:
        assert any(np.array_equal(golden, picture) for picture in pictures)
    assert manifest.input.graded_area.top == 0.04
    assert {golden.grade for golden in manifest.golden} == set(GRADES)
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


def test_what_cannot_be_read_is_told_on_export_too(
    data: Path, run: Path, exported: Callable[[str], tuple[Path, str]]
) -> None:
    out, said = exported("fp32")
    (broken,) = BROKEN
    skipped = f"skipped 1 images; the first: {data / broken}: "
    assert f"val: {skipped}" in " ".join(said.split())
    again = export("check", out, "--checkpoint", run, "--data", data)
    assert skipped in " ".join(again.split())


def test_other_data_than_the_runs_is_refused(run: Path, tmp_path: Path) -> None:
    other = labelled_folder(tmp_path / "other", 40)
    train("data", "split", "--data", other)
    out = tmp_path / "b.bundle"
    said = export("bundle", "--checkpoint", run, "--data", other, "--out", out, code=2)
    assert "is not the data" in said
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("classes", {"glass": "fresh_clean"}), ("graded_area", [0.3, 0.3, 0.7, 0.7])],
)
def test_what_the_data_is_said_to_show_has_to_be_as_the_run_learned_it(
    data: Path, run: Path, bundle: Path, tmp_path: Path, name: str, value: object
) -> None:
    told = shutil.copytree(data, tmp_path / "data")
    described = json.loads((told / "dataset.json").read_text())
    (told / "dataset.json").write_text(json.dumps({**described, name: value}))
    out = tmp_path / "b.bundle"
    source = ("--checkpoint", run, "--data", told)
    for command in (("bundle", *source, "--out", out), ("check", bundle, *source)):
        said = " ".join(export(*command, code=2).split())
        assert f"dataset.json: {name} is " in said
        assert "write it as it was, or train again" in said
    assert not out.exists()


def test_a_bundle_appears_only_when_it_is_good(
    data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "exporter.bundle.GOLDEN_TOLERANCE", dict.fromkeys(GOLDEN_TOLERANCE, 1.0)
    )  # the agent allows 0.05 at most
    out = tmp_path / "b.bundle"
    command = ("bundle", "--checkpoint", run, "--data", data, "--out", out, "--precision", "fp32")
    said = export(*command, code=2)
    assert "golden_tolerance" in said
    assert list(tmp_path.iterdir()) == []


def test_data_that_names_no_graded_area_needs_the_option(
    data: Path, run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    (folder / "dataset.json").write_text(json.dumps({"classes": {"glass": "fresh_clean"}}))
    out, learned = tmp_path / "b.bundle", tmp_path / "run"
    train(*FIT, "--data", folder, "--out", learned, "--classifier", "simple_dcnn", "--epochs", 1)
    source = ("--checkpoint", learned, "--data", folder)
    command = ("bundle", *source, "--out", out, "--precision", "fp32")
    assert "names no graded_area" in export(*command, code=2)
    for area in ("all", "0,0,0.05,1", "0,0,1"):
        said = export(*command, "--graded-area", area, code=2)
        assert f"--graded-area '{area}': write LEFT,TOP,RIGHT,BOTTOM" in said
        assert len(said.splitlines()) == 1
    assert not out.exists()
    assert "glass as fresh_clean" in export(*command, "--graded-area", "0,0.1,1,0.9")
    manifest = check(out).bundle.manifest
    assert manifest.input.graded_area.top == 0.1
    assert manifest.training.classes == {"glass": "fresh_clean"}
    assert "within" in export("check", out, *source)
    with zipfile.ZipFile(out) as archive:
        assert "this model grades no cane" in archive.read("model-card.md").decode()
    said = export(
        *("bundle", "--checkpoint", run, "--data", data, "--out", out),
        *("--graded-area", "0,0,1,1"),
        code=2,
    )
    assert "contradicts" in said


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda m, p: m.pop("model-card.md"), "model-card.md is missing"),
        (lambda m, p: m.update({"model-card.md": b"# other"}), "model-card.md is not the manifest"),
        (lambda m, p: p["stored_values"].update(float=1), "the manifest says"),
        (lambda m, p: p.update(temperature=9.0), "metadata_props of model.onnx say temperature"),
        (lambda m, p: p["labels"].reverse(), "labels must be"),
        (lambda m, p: p.pop("parity"), "does not say parity"),
        (lambda m, p: p["precision_gate"].update(agreement=0.1), "contradicts its own figures"),
        (lambda m, p: p["input"].update(width=64), "must be UINT8 [batch, 32, 64, 3]"),
        (lambda m, p: m.pop(p["golden"][0]["path"]), "is missing"),
        (lambda m, p: p["golden"][0].pop("split"), "golden.split"),
        (lambda m, p: p.update(int8=None), "but int8 is None"),
        (
            lambda m, p: p["int8"]["float_operators"].remove("node_linear"),
            "but the weights of node_linear lie in fp32",
        ),
        (
            lambda m, p: p["int8"]["float_operators"].append("node_x"),
            "float_operators names node_x",
        ),
    ],
)
def test_check_repeats_every_check(
    bundle: Path, tmp_path: Path, spoil: Callable[[dict[str, bytes], Any], object], says: str
) -> None:
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    assert manifest["precision_gate"]["passed"], "this data is made so that int8 passes"
    card = members["model-card.md"]
    spoil(members, manifest)
    members["manifest.json"] = json.dumps(manifest).encode()
    if members.get("model-card.md") == card:  # another manifest has another card
        with contextlib.suppress(ValidationError):
            members["model-card.md"] = render(Manifest.model_validate(manifest)).encode()
    file = tmp_path / "spoiled.bundle"
    _pack(file, members)
    said = export("check", file, code=2)
    assert says in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize("precision", ["int8", "fp32", "fp16-weights"])
def test_check_does_parity_and_gate_again(
    data: Path,
    run: Path,
    exported: Callable[[str], tuple[Path, str]],
    tmp_path: Path,
    precision: str,
) -> None:
    bundle, _ = exported("auto" if precision == "int8" else precision)
    source = ("--checkpoint", run, "--data", data)
    n = json.loads((run / "metrics.json").read_text())["validation"]["n"]
    said = export("check", bundle, *source)
    assert f"parity on {n} validation images" in said
    assert (f"{precision} decides as the trained network" in said) == (precision != "fp32")
    # Another network, with golden outputs of its own, passes all that needs no data.
    forged = _with_other_weights(bundle, tmp_path / "forged.bundle")
    assert "good" in export("check", forged)
    said = export("check", forged, *source, code=2)
    assert ("refused, too many other" if precision == "int8" else "off torch") in said
    assert len(said.splitlines()) == 1
    assert "go together" in export("check", bundle, "--data", data, code=2)


def test_check_tells_a_bundle_of_another_run(
    data: Path, bundle: Path, run: Path, tmp_path: Path
) -> None:
    other = labelled_folder(tmp_path / "other", 40)
    said = export("check", bundle, "--checkpoint", run, "--data", other, code=2)
    assert "is not the data that" in said
    for folder, says in ((other, "training.data_digest is"), (data, "temperature is")):
        checkpoint = tmp_path / says
        train(*FIT, "--data", folder, "--out", checkpoint, "--classifier", "simple_dcnn")
        said = export("check", bundle, "--checkpoint", checkpoint, "--data", folder, code=2)
        assert says in said


def test_a_run_that_is_not_finished_is_refused(data: Path, run: Path, tmp_path: Path) -> None:
    """As cane-train 0.1.0 left them when time was up."""
    with safe_open(run / "model.safetensors", framework="pt") as file:
        card = json.loads(file.metadata()["canegrade"])
    card["training"]["ended_by"] = "time"
    state = load_file(run / "model.safetensors")
    save_file(state, tmp_path / "m.st", {"canegrade": json.dumps(card)})
    out = tmp_path / "b.bundle"
    command = ("bundle", "--checkpoint", tmp_path / "m.st", "--data", data, "--out", out)
    assert "its training was stopped by --max-time" in export(*command, code=2)


@pytest.mark.parametrize(
    ("checkpoint", "says"),
    [
        ("last.pt", "not a model of cane-train fit"),
        ("metrics.json", "not a model"),
        ("x", "No such"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(
    data: Path, run: Path, tmp_path: Path, checkpoint: str, says: str
) -> None:
    out = tmp_path / "b.bundle"
    said = export("bundle", "--checkpoint", run / checkpoint, "--data", data, "--out", out, code=2)
    assert says in said


def test_weights_under_another_networks_name_are_refused(
    data: Path, run: Path, tmp_path: Path
) -> None:
    with safe_open(run / "model.safetensors", framework="pt") as file:
        card = json.loads(file.metadata()["canegrade"])
    state = load_file(run / "model.safetensors")
    for name, says in (("resnet50v2", "do not fit a resnet50v2"), ("vgg16", "choose one of")):
        save_file(state, tmp_path / "m.st", {"canegrade": json.dumps({**card, "classifier": name})})
        out = tmp_path / "b.bundle"
        command = ("bundle", "--checkpoint", tmp_path / "m.st", "--data", data, "--out", out)
        assert says in export(*command, code=2)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--out", "{tmp}/file/b.bundle", "file/b.bundle: nothing can be written there"),
        ("--out", "{tmp}", "is a folder; choose another --out"),
        ("--precision", "int4", "--precision int4: choose one of auto, fp32"),
        ("--name", "A B", "--name 'A B': may have"),
    ],
)
def test_a_bundle_that_cannot_be_is_refused_in_one_line(
    data: Path, run: Path, tmp_path: Path, option: str, value: str, says: str
) -> None:
    (tmp_path / "file").write_text("")
    command = ("bundle", "--checkpoint", run, "--data", data, "--out", tmp_path / "b.bundle")
    said = export(*command, "--precision", "fp32", option, value.format(tmp=tmp_path), code=2)
    assert says in said.splitlines()[-1]
    assert not re.search("Traceback|Usage:", said)


def _with_other_weights(bundle: Path, out: Path) -> Path:
    """The same bundle with the classes of its last layer turned round, and its golden outputs."""
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    proto = onnx.load_model_from_string(members["model.onnx"])
    for tensor in proto.graph.initializer:
        if re.fullmatch(r"network\.classifier\.(weight|bias)(\.half)?", tensor.name):
            turned = np.roll(onnx.numpy_helper.to_array(tensor), 1, axis=0)
            tensor.CopyFrom(onnx.numpy_helper.from_array(turned, tensor.name))
    content = proto.SerializeToString(deterministic=True)
    manifest = json.loads(members["manifest.json"])
    manifest["model_sha256"] = hashlib.sha256(content).hexdigest()
    pictures = np.stack(
        [np.asarray(Image.open(io.BytesIO(members[g["path"]]))) for g in manifest["golden"]]
    )
    rows = served(content, pictures).probabilities
    for golden, row in zip(manifest["golden"], rows, strict=True):
        golden["probabilities"] = [min(float(p), 1.0) for p in row]
    members |= {"model.onnx": content, "manifest.json": json.dumps(manifest).encode()}
    members["model-card.md"] = render(Manifest.model_validate(manifest)).encode()
    _pack(out, members)
    return out


def _pack(out: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
