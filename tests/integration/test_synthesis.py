"""The whole synthesis on drawn loads: what it writes, killed in any stage, and by two processes."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scenes import COUNTS, SIZE, scene_folder
from typer.testing import CliRunner, Result

from edge_agent.grades import GRADES
from training.cli import app as cane_train
from training.console import RichReport
from training.data.dataset import Dataset
from training.errors import DataError
from training.synthesis.config import (
    PRESETS,
    AdaptSection,
    DiffuseSection,
    SegmentSection,
    SynthesisConfig,
)
from training.synthesis.pipeline import synthesize
from training.synthesis.run import CANDIDATES_NAME

ROOT = Path(__file__).parents[2]
FAST = PRESETS["fast"]
CONFIG = FAST.model_copy(
    update={
        "segment": SegmentSection(widths=(8, 16), steps=20, batch=8),
        "diffuse": DiffuseSection(widths=(32, 64), attention=1, steps=8, batch=4),
    }
)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene_folder(tmp_path_factory.mktemp("scenes") / "data")


@pytest.fixture(scope="module")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the fast preset."""
    out = tmp_path_factory.mktemp("run") / "synthesis"
    result = run("synthesize", "--data", data, "--out", out, "--preset", "fast", "--threads", 1)
    assert result.exit_code == 0, result.output
    return out


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(cane_train, [str(a) for a in arguments])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def folder(out: Path, stage: str) -> Path:
    (found,) = out.glob(f"{stage}-*")
    return found


def done(out: Path, stage: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder(out, stage) / "done.json").read_text("utf-8"))
    return content


def drawn(out: Path) -> dict[str, np.ndarray]:
    files = sorted((folder(out, "generate") / "images").glob("*.png"))
    return {file.name: np.asarray(cv2.imread(str(file))) for file in files}


def test_scarce_grades_get_what_they_lack(out: Path) -> None:
    rows = table(folder(out, "generate") / CANDIDATES_NAME)
    found = [sum(row["grade"] == grade for row in rows) for grade in GRADES]
    assert found == [max(COUNTS) - count for count in COUNTS]
    assert len(drawn(out)) == len(rows)
    levels = {row["grade"]: set() for row in rows}
    for row in rows:
        levels[row["grade"]].add(int(row["level"]))
    assert max(levels["burn_clean"]) < 50 <= min(levels["burn_trash"])
    assert {row["method"] for row in rows if row["grade"] == "undefined"} == {"single"}
    assert {row["method"] for row in rows if row["grade"] != "undefined"} == {"segment"}


def test_what_is_kept_is_a_dataset_for_training(out: Path) -> None:
    kept = folder(out, "set")
    rows = table(kept / "manifest.csv")
    loaded = Dataset.open(kept).load("train", SIZE)
    assert len(loaded) == len(rows) > 0
    assert {row.split for row in loaded.rows} == {"train"}
    verdicts = [row["verdict"] for row in table(kept / "verdicts.csv")]
    assert verdicts.count("kept") == len(rows)
    report = done(out, "set")
    assert sum(g["candidates"] for g in report["grades"].values()) == len(verdicts)
    assert sum(g["kept"] for g in report["grades"].values()) == len(rows)
    assert report["judge"]["validation_accuracy"] > 0.8
    assert {"segment", "diffuse", "generate", "filter"} <= set(report["config"])


def test_no_truck_outside_the_training_split_is_anybodys_parent(data: Path, out: Path) -> None:
    splits = {row["truck"]: row["split"] for row in table(data / "manifest.csv")}
    rows = table(folder(out, "set") / "verdicts.csv")
    parents = {truck for row in rows for truck in row["parent_trucks"].split()}
    assert {splits[truck] for truck in parents} == {"train"}
    images = {row["image"]: row["truck"] for row in table(data / "manifest.csv")}
    for row in rows:
        named = row["parents"].split()
        assert [images[image] for image in named] == row["parent_trucks"].split()
        assert row["truck"] == row["parent_trucks"].split()[0]


def test_the_test_split_is_not_read(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test images that are broken are not even noticed."""
    copied = shutil.copytree(data, tmp_path / "data")
    for row in table(copied / "manifest.csv"):
        if row["split"] == "test":
            (copied / row["image"]).write_bytes(b"broken")
            (copied / row["mask"]).write_bytes(b"broken")
    said: list[str] = []
    monkeypatch.setattr(RichReport, "say", lambda _, text: said.append(text))
    assert synthesize(copied, tmp_path / "run", blends_only(), RichReport(quiet=True))
    assert not [line for line in said if "skipped" in line or "broken" in line]


def blends_only() -> SynthesisConfig:
    still = CONFIG.generate.model_copy(update={"strength": 0.0})
    return CONFIG.model_copy(update={"generate": still})


def test_conditioning_is_measured_by_a_command(data: Path, out: Path, tmp_path: Path) -> None:
    file = tmp_path / "conditioning.json"
    options = ("conditioning", "--data", data, "--set", folder(out, "set"), "--images", 4)
    result = run(*options, "--out", file, "--threads", 1)
    assert result.exit_code == 0, result.output
    found = json.loads(file.read_text("utf-8"))
    assert found["data"] == json.loads((out / "run.json").read_text("utf-8"))["data"]
    assert found["edges"]["images"] == 4
    assert set(found["levels"]) == {"fresh_clean to fresh_trash", "burn_clean to burn_trash"}
    assert set(found["regions"]["regions"]) == {"east", "north"}
    assert "edges: samples agree with their own by" in result.stdout
    other = scene_folder(tmp_path / "other", seed=9)
    for changed, says in (
        (("--data", other), "is not of the data in"),
        (("--set", tmp_path), "no set of cane-train synthesize"),
    ):
        refused = run(*options, "--out", file, *changed)
        assert refused.exit_code == 2
        assert says in refused.output


def test_what_drew_an_image_is_named_by_digest(data: Path, out: Path, tmp_path: Path) -> None:
    def digest(file: Path) -> str:
        return hashlib.sha256(file.read_bytes()).hexdigest()

    model = digest(folder(out, "diffuse") / "model.safetensors")
    rows = table(folder(out, "set") / "manifest.csv")
    assert {(row["model_sha256"], row["seed"]) for row in rows} == {(model, "1")}
    # With adapters by region these have a part in it.
    adapted = CONFIG.model_copy(
        update={
            "diffuse": CONFIG.diffuse.model_copy(update={"regions": False}),
            "adapt": AdaptSection(rank=2, steps=2),
        }
    )
    with RichReport(quiet=True) as report:
        assert synthesize(data, tmp_path / "run", adapted, report)
    files = [
        folder(tmp_path / "run", "diffuse") / "model.safetensors",
        *sorted(folder(tmp_path / "run", "adapt").glob("region-*.safetensors")),
    ]
    assert len(files) == 3
    drawn_by = {
        row["model_sha256"] for row in table(folder(tmp_path / "run", "set") / "verdicts.csv")
    }
    assert drawn_by == {" ".join(map(digest, files))}


def test_adapters_without_regions_are_refused_before_anything_is_trained(
    data: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(data, tmp_path / "data")
    manifest = copied / "manifest.csv"
    rows = table(manifest)
    with manifest.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "region": ""} for row in rows)
    out = tmp_path / "run"
    refused = run("synthesize", "--data", copied, "--out", out, "--regions", "adapters")
    assert refused.exit_code == 2
    assert "no region has 2 training images" in refused.output
    assert not out.exists()


def test_blends_alone_need_no_diffusion_and_share_the_rest(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with RichReport(quiet=True) as report:
        assert synthesize(data, out, blends_only(), report)
        assert not list(out.glob("diffuse-*"))
        before = folder(out, "segment")
        assert synthesize(data, out, CONFIG, report)
    assert folder(out, "segment") == before
    assert len(list(out.glob("generate-*"))) == 2


class KilledError(Exception):
    pass


class KilledAt(RichReport):
    """Dies at the n-th sign of life."""

    def __init__(self, moment: int) -> None:
        super().__init__(quiet=True)
        self.left = moment

    def step(self, done: int, total: int, loss: float) -> None:
        self.tick()

    def loading(self, what: str, count: int) -> Any:
        return self.tick

    def say(self, text: str) -> None:
        self.tick()

    def tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KilledError


def test_killed_anywhere_it_goes_on_to_the_same_images(data: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with RichReport(quiet=True) as report:
        assert synthesize(data, whole, CONFIG, report)
    kills = 0
    for moment in range(30, 4000, 20):
        try:
            with KilledAt(moment) as report:
                assert synthesize(data, broken, CONFIG, report)
            break
        except KilledError:
            kills += 1
    assert kills > 4
    ours, theirs = drawn(whole), drawn(broken)
    assert ours.keys() == theirs.keys()
    for name, image in ours.items():
        # Drawn in other batches, where sums are rounded otherwise.
        assert np.abs(image.astype(int) - theirs[name]).max() <= 2, name
    assert [r["parents"] for r in table(folder(whole, "set") / "manifest.csv")]
    assert not list(broken.rglob(".*.new"))


def test_time_is_kept(data: Path, tmp_path: Path) -> None:
    with RichReport(quiet=True) as report:
        assert synthesize(data, tmp_path / "run", CONFIG, report, max_seconds=0.0) is None


def test_two_processes_share_the_work(data: Path, out: Path, tmp_path: Path) -> None:
    """Drawn anew by two processes from the same model, images are the same."""
    copied = shutil.copytree(out, tmp_path / "run")
    shutil.rmtree(folder(copied, "generate"))
    shutil.rmtree(folder(copied, "set"))
    arguments = ("--data", data, "--out", copied, "--preset", "fast", "--threads", "1")
    launched = subprocess.run(
        [
            *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"),
            *("--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"),
            *("--dynamo_backend", "no", "--main_process_port", "0"),
            *("-m", "training", "synthesize", *map(str, arguments)),
        ],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert launched.returncode == 0, launched.stderr[-2000:]
    ours, theirs = drawn(out), drawn(copied)
    assert ours.keys() == theirs.keys()
    for name, image in ours.items():
        assert np.abs(image.astype(int) - theirs[name]).max() <= 2, name


def test_a_sheet_shows_real_and_synthetic_images(data: Path, out: Path, tmp_path: Path) -> None:
    file = tmp_path / "sheet.png"
    kept = folder(out, "set")
    result = run("sheet", "--data", data, "--set", kept, "--out", file, "--across", 6)
    assert result.exit_code == 0, result.output
    drawn_sheet = np.asarray(cv2.imread(str(file)))
    rows = {(r["grade"], r["level"], r["verdict"] == "kept") for r in table(kept / "verdicts.csv")}
    grades = {grade for grade, _, _ in rows}
    assert drawn_sheet.shape[0] == pytest.approx(96 * (len(rows) + len(grades)), abs=2)


def test_a_run_of_other_data_is_refused(out: Path, tmp_path: Path) -> None:
    other = scene_folder(tmp_path / "other", seed=2)
    result = run("synthesize", "--data", other, "--out", out, "--preset", "fast")
    assert result.exit_code == 2
    assert "holds a synthesis with data" in result.stderr


def test_a_folder_of_something_else_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("mine")
    result = run("synthesize", "--data", data, "--out", tmp_path, "--preset", "fast")
    assert result.exit_code == 2
    assert "not empty" in result.stderr
    assert (tmp_path / "letters").read_text() == "mine"


def test_a_grade_with_one_image_is_refused(data: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(data, tmp_path / "data")
    rows = table(copied / "manifest.csv")
    ours = [r for r in rows if r["grade"] == "burn_trash" and r["split"] == "train"]
    kept = [row for row in rows if row not in ours[1:]]
    with (copied / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(kept)
    with (
        pytest.raises(DataError, match="burn_trash has 1 training image"),
        RichReport(quiet=True) as report,
    ):
        synthesize(copied, tmp_path / "run", blends_only(), report)


def test_without_masks_blends_are_transparencies(data: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(data, tmp_path / "data")
    text = (copied / "manifest.csv").read_text().replace("mask,", "no_mask,", 1)
    (copied / "manifest.csv").write_text(text)
    with RichReport(quiet=True) as report:
        assert synthesize(copied, tmp_path / "run", blends_only(), report)
    rows = table(folder(tmp_path / "run", "generate") / CANDIDATES_NAME)
    assert {row["method"] for row in rows} == {"alpha", "single"}


def test_a_half_written_stage_is_not_taken_for_whole(out: Path, data: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(out, tmp_path / "run")
    file = folder(copied, "set") / "done.json"
    file.write_text(file.read_text()[:50])
    result = run("synthesize", "--data", data, "--out", copied, "--preset", "fast")
    assert result.exit_code == 2
    assert "not readable; delete" in result.stderr
