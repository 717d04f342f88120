"""The whole synthesis on drawn loads: what it writes, killed in any stage, and by two processes."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import thumbnails
from accelerate import Accelerator
from scenes import COUNTS, SIZE, scene_folder
from typer.testing import CliRunner, Result

from edge_agent.grades import GRADES
from training.cli import app as cane_train
from training.config import FitConfig
from training.console import RichReport
from training.data.dataset import Dataset
from training.errors import DataError
from training.experiments import baselines
from training.synthesis import adapters
from training.synthesis.config import (
    PRESETS,
    AdaptSection,
    DiffuseSection,
    SegmentSection,
    SynthesisConfig,
)
from training.synthesis.denoiser import Denoiser
from training.synthesis.optimise import Steps
from training.synthesis.pipeline import Stages, load_run, synthesize
from training.synthesis.run import CANDIDATES_NAME
from training.synthesis.train_adapters import train_adapters
from training.train import fit

ROOT = Path(__file__).parents[2]
FAST = PRESETS["fast"]
CONFIG = FAST.model_copy(
    update={
        "segment": SegmentSection(widths=(8, 16), steps=20, batch=8),
        "diffuse": DiffuseSection(widths=(32, 64), attention=1, steps=8, batch=4),
    }
)


ADAPTED = CONFIG.model_copy(
    update={
        "diffuse": CONFIG.diffuse.model_copy(update={"regions": False}),
        "adapt": AdaptSection(rank=2, steps=4),
    }
)

pytestmark = pytest.mark.usefixtures("one_thread", "quick_judge")


@pytest.fixture
def quick_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge sees thumbnails."""
    monkeypatch.setattr(baselines, "frozen_features", thumbnails.features)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene_folder(tmp_path_factory.mktemp("scenes") / "data")


@pytest.fixture(scope="module")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the fast preset, judged by the features of ImageNet."""
    out = tmp_path_factory.mktemp("run") / "synthesis"
    result = run("synthesize", "--data", data, "--out", out, "--preset", "fast", "--threads", 1)
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def adapted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with adapters by region, of few steps, judged by thumbnails."""
    out = tmp_path_factory.mktemp("adapted") / "synthesis"
    with pytest.MonkeyPatch.context() as patch, RichReport(quiet=True) as report:
        patch.setattr(baselines, "frozen_features", thumbnails.features)
        assert synthesize(data, out, ADAPTED, report, threads=1)
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
    boundary = done(out, "generate")["boundary"]["share"]
    trash = {row["grade"]: set() for row in rows}
    for row in rows:
        trash[row["grade"]].add(float(row["trash"]))
    assert max(trash["burn_clean"]) < boundary <= min(trash["burn_trash"])
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


def test_a_judge_of_other_images_or_another_size_is_refused(data: Path, tmp_path: Path) -> None:
    other = scene_folder(tmp_path / "other", seed=9)
    for of, size in ((other, SIZE), (data, 2 * SIZE)):
        asked = FitConfig(classifier="simple_dcnn", size=size, epochs=None, steps=1, batch=8)
        fit(of, tmp_path / f"{of.name}-{size}", asked, RichReport(quiet=True), threads=1)
    for judge, says in (
        (f"other-{SIZE}", "was trained on other images, labels or splits"),
        (f"data-{2 * SIZE}", f"sees {2 * SIZE} px, the images have {SIZE}"),
        ("nowhere", "model"),
    ):
        result = run(
            *("synthesize", "--data", data, "--out", tmp_path / "run", "--preset", "fast"),
            *("--judge", tmp_path / judge),
        )
        assert result.exit_code == 2, result.output
        assert says in " ".join(result.output.split())
    assert not list(tmp_path.glob("run/*"))


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


def test_what_drew_an_image_is_named_by_digest(out: Path, adapted: Path) -> None:
    def digest(file: Path) -> str:
        return hashlib.sha256(file.read_bytes()).hexdigest()

    model = digest(folder(out, "diffuse") / "model.safetensors")
    rows = table(folder(out, "set") / "manifest.csv")
    assert {(row["model_sha256"], row["seed"]) for row in rows} == {(model, "1")}
    # Adapters by region have a part in it.
    files = [
        folder(adapted, "diffuse") / "model.safetensors",
        *sorted(folder(adapted, "adapt").glob("region-*.safetensors")),
    ]
    assert len(files) == 3
    drawn_by = {row["model_sha256"] for row in table(folder(adapted, "set") / "verdicts.csv")}
    assert drawn_by == {" ".join(map(digest, files))}


def test_a_finished_adapter_stands_and_nothing_of_it_is_held(
    data: Path,
    adapted: Path,
    accelerator: Accelerator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copied = shutil.copytree(adapted, tmp_path / "run")
    report = RichReport(quiet=True)
    work = load_run(Dataset.open(data), ADAPTED, accelerator, report)
    stages = Stages.of(work, copied)
    assert stages.adapted is not None
    assert stages.diffused is not None
    before = done(copied, "adapt")
    assert set(before["loss_of_last_50_steps"]) == {"east", "north"}
    networks: list[weakref.ref[Denoiser]] = []
    load = Denoiser.load

    def counted(path: Path) -> Denoiser:
        assert [network() for network in networks] == [None] * len(networks)
        found = load(path)
        networks.append(weakref.ref(found))
        return found

    monkeypatch.setattr(Denoiser, "load", counted)
    east, north = (adapters.file_of(stages.adapted.folder, number) for number in (0, 1))
    for gone, trained in (((north,), 1), ((east, north), 2)):
        networks.clear()
        for file in (*gone, stages.adapted.folder / "done.json"):
            file.unlink()
        assert train_adapters(work, stages.adapted, stages.segmented, stages.diffused)
        assert len(networks) == trained
        assert done(copied, "adapt") == before
    assert {file.name for file in stages.adapted.folder.iterdir()} == {
        *(east.name, north.name, "done.json")
    }


def test_adapters_without_regions_are_refused_before_anything_is_trained(
    data: Path, tmp_path: Path
) -> None:
    copied = told_of(data, tmp_path / "data", "")
    out = tmp_path / "run"
    refused = run("synthesize", "--data", copied, "--out", out, "--regions", "adapters")
    assert refused.exit_code == 2
    assert "no region has 2 training images" in refused.output
    assert not out.exists()


def test_blends_alone_need_no_diffusion_and_share_the_rest(
    data: Path, adapted: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(adapted, tmp_path / "run")
    shutil.rmtree(folder(out, "diffuse"))
    shutil.rmtree(folder(out, "adapt"))
    before = done(out, "segment"), (folder(out, "segment") / "done.json").stat().st_mtime_ns
    with RichReport(quiet=True) as report:
        assert synthesize(data, out, blends_only(), report)
    assert not list(out.glob("diffuse-*"))
    after = done(out, "segment"), (folder(out, "segment") / "done.json").stat().st_mtime_ns
    assert before == after
    assert len(list(out.glob("generate-*"))) == 2


class KilledError(Exception):
    pass


class KilledIn(RichReport):
    """Dies at the n-th sign of life of what is being done."""

    def __init__(self, what: str, sign: int) -> None:
        super().__init__(quiet=True)
        self.what, self.left, self.begun = what, sign, ""

    def begin(self, what: str) -> None:
        self.begun = what

    def step(self, done: int, total: int, loss: float) -> None:
        self.tick(self.begun)

    def loading(self, what: str, count: int) -> Any:
        return lambda: self.tick(what)

    def tick(self, what: str) -> None:
        self.left -= what == self.what
        if self.left == 0:
            raise KilledError


def test_killed_in_any_stage_it_goes_on_to_the_same_images(
    data: Path, adapted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint after each step: what was trained before a kill counts."""
    monkeypatch.setitem(Steps.__init__.__kwdefaults__, "save_every", 0.0)
    broken = tmp_path / "broken"
    kills = (
        *(("train", 30), ("U-Net", 12), ("diffusion", 3), ("diffusion", 3)),
        *(("adapter of east", 2), ("adapter of north", 3), ("adapter of north", 1)),
        *(("candidates (drawing)", 20), ("candidates", 30)),
    )
    for what, sign in kills:
        with pytest.raises(KilledError):
            synthesize(data, broken, ADAPTED, KilledIn(what, sign))
        # Of a finished region nothing to go on from is kept.
        left = {"0-last.pt"} if what == "adapter of east" else {"1-last.pt"}
        if what.startswith("adapter"):
            assert {file.name for file in broken.glob("adapt-*/*.pt")} == left
    with RichReport(quiet=True) as report:
        assert synthesize(data, broken, ADAPTED, report)
    for stage in ("segment", "diffuse", "adapt"):
        assert done(broken, stage) == done(adapted, stage)
    ours, theirs = drawn(adapted), drawn(broken)
    assert ours.keys() == theirs.keys()
    for name, image in ours.items():
        # Drawn in other batches, where sums are rounded otherwise.
        assert np.abs(image.astype(int) - theirs[name]).max() <= 2, name
    assert [r["parents"] for r in table(folder(adapted, "set") / "manifest.csv")]
    assert not list(broken.rglob(".*.new"))
    assert not list(broken.rglob("*.pt"))


def test_time_is_kept(data: Path, tmp_path: Path) -> None:
    with RichReport(quiet=True) as report:
        assert synthesize(data, tmp_path / "run", CONFIG, report, max_seconds=0.0) is None


def test_two_processes_share_the_work_and_a_clock(
    data: Path, adapted: Path, tmp_path: Path
) -> None:
    """Drawn anew by two processes from the same model, images are the same."""
    copied = shutil.copytree(adapted, tmp_path / "run")
    shutil.rmtree(folder(copied, "generate"))
    shutil.rmtree(folder(copied, "set"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tests = ROOT / "tests"
    # What a launcher sets; that ours can be launched, trainings of classifiers show.
    together = {
        **os.environ,
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, tests))),
    }
    script = tests / "integration" / "drawn_by_two.py"
    both = [
        subprocess.Popen(
            [sys.executable, script, data, copied, ADAPTED.model_dump_json()],
            env={**together, "RANK": rank, "LOCAL_RANK": rank},
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    try:
        for process in both:
            _, said = process.communicate(timeout=300)
            assert process.returncode == 0, said[-2000:]
    finally:
        for process in both:
            process.kill()
            process.wait()
    ours, theirs = drawn(adapted), drawn(copied)
    assert ours.keys() == theirs.keys()
    for name, image in ours.items():
        assert np.abs(image.astype(int) - theirs[name]).max() <= 2, name
    assert list(copied.glob("set-*/manifest.csv"))


def test_a_sheet_shows_real_and_synthetic_images(data: Path, out: Path, tmp_path: Path) -> None:
    file = tmp_path / "sheet.png"
    kept = folder(out, "set")
    result = run("sheet", "--data", data, "--set", kept, "--out", file, "--across", 6)
    assert result.exit_code == 0, result.output
    drawn_sheet = np.asarray(cv2.imread(str(file)))
    rows = {
        (r["grade"], float(r["trash"]) // 20 if r["verdict"] == "kept" else None)
        for r in table(kept / "verdicts.csv")
    }
    grades = {grade for grade, _ in rows}
    assert drawn_sheet.shape[0] == pytest.approx(96 * (len(rows) + len(grades)), abs=2)


def test_a_run_of_other_data_is_refused(out: Path, tmp_path: Path) -> None:
    other = scene_folder(tmp_path / "other", seed=2)
    result = run("synthesize", "--data", other, "--out", out, "--preset", "fast")
    assert result.exit_code == 2
    assert "holds a synthesis with data" in result.stderr


def told_of(data: Path, folder: Path, region: str) -> Path:
    """A copy whose loads are all from there."""
    copied = shutil.copytree(data, folder)
    manifest = copied / "manifest.csv"
    rows = table(manifest)
    with manifest.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "region": region} for row in rows)
    return copied


def test_a_run_of_other_regions_is_refused(data: Path, out: Path, tmp_path: Path) -> None:
    moved = told_of(data, tmp_path / "moved", "south")
    result = run("synthesize", "--data", moved, "--out", out, "--preset", "fast")
    assert result.exit_code == 2
    assert "holds a synthesis with regions" in result.stderr
    # A run of before this was written down goes on.
    copied = shutil.copytree(out, tmp_path / "run")
    before = json.loads((copied / "run.json").read_text())
    older = {name: value for name, value in before.items() if name != "regions"}
    (copied / "run.json").write_text(json.dumps(older))
    result = run("synthesize", "--data", data, "--out", copied, "--preset", "fast")
    assert result.exit_code == 0, result.output
    assert json.loads((copied / "run.json").read_text())["regions"] == before["regions"]


@pytest.mark.parametrize("file", ["model.safetensors", "classes.npy"])
def test_a_broken_stage_is_told_in_a_line(data: Path, out: Path, tmp_path: Path, file: str) -> None:
    copied = shutil.copytree(out, tmp_path / "run")
    broken = folder(copied, "segment") / file
    broken.write_bytes(broken.read_bytes()[:200])
    options = ("--data", data, "--set", folder(copied, "set"), "--out", tmp_path / "c.json")
    result = run("conditioning", *options)
    assert result.exit_code == 2
    said = f"{broken}: missing or broken; delete {broken.parent} and run again"
    assert result.stderr.splitlines()[-1].endswith(said)


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
