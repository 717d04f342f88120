"""Synthesis that stops and goes on, in any stage and by two processes; adapters by region."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
import stepped_by_two
import torch
from accelerate import Accelerator
from launching import LAUNCH, ROOT, WITHOUT_GPU
from scenes import scene_folder
from synthesis_runs import (
    ADAPTED,
    CONFIG,
    assert_same_images,
    blends_only,
    done,
    finished,
    folder,
    run,
    table,
    told_of,
)

from training.alone import LOCK_NAME
from training.console import RichReport
from training.data.dataset import Dataset
from training.digest import sha256
from training.synthesis import adapters
from training.synthesis.denoiser import Denoiser
from training.synthesis.pipeline import Stages, load_run, synthesize
from training.synthesis.stages import load_weights
from training.synthesis.steps import Steps
from training.synthesis.train_adapters import train_adapters

pytestmark = pytest.mark.usefixtures("one_thread", "quick_judge")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene_folder(tmp_path_factory.mktemp("scenes") / "data")


@pytest.fixture(scope="module")
def adapted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with adapters by region, of few steps."""
    return finished(data, tmp_path_factory.mktemp("adapted") / "synthesis", ADAPTED)


def found_by(out: Path, stage: str) -> dict[str, Any]:
    """What a stage says, but for when it was."""
    return {name: value for name, value in done(out, stage).items() if name != "date"}


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
        assert found_by(broken, stage) == found_by(adapted, stage)
    assert_same_images(adapted, broken)
    assert [r["parents"] for r in table(folder(adapted, "set") / "manifest.csv")]
    assert not list(broken.rglob(".*.new"))
    assert not list(broken.rglob("*.pt"))


def test_a_frozen_base_killed_at_any_time_is_the_same(
    data: Path, adapted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Steps.__init__.__kwdefaults__, "save_every", 0.0)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    frozen = CONFIG.diffuse.model_copy(update={"control": "frozen"})
    few = CONFIG.generate.model_copy(update={"steps": 1})
    config = CONFIG.model_copy(update={"diffuse": frozen, "generate": few})
    for out in (whole, broken):
        out.mkdir()
        shutil.copy(adapted / "run.json", out)
        shutil.copytree(folder(adapted, "segment"), out / folder(adapted, "segment").name)
    for what, sign in (("base", 3), ("base", 3), ("diffusion", 3)):
        with pytest.raises(KilledError):
            synthesize(data, broken, config, KilledIn(what, sign))
    with RichReport(quiet=True) as report:
        for out in (whole, broken):
            assert synthesize(data, out, config, report)
    assert found_by(broken, "diffuse") == found_by(whole, "diffuse")
    ours, theirs = (
        load_weights(folder(out, "diffuse") / "model.safetensors") for out in (whole, broken)
    )
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    base = load_weights(folder(whole, "diffuse") / "base.safetensors")
    assert all(torch.equal(tensor, ours[name]) for name, tensor in base.items())
    assert {name.partition(".")[0] for name in ours.keys() - base.keys()} == {"controlnet"}


def test_time_is_kept(data: Path, tmp_path: Path) -> None:
    with RichReport(quiet=True) as report:
        assert synthesize(data, tmp_path / "run", CONFIG, report, max_seconds=0.0) is None


def test_two_processes_share_the_work_and_a_clock(
    data: Path, adapted: Path, tmp_path: Path
) -> None:
    """Drawn anew by two processes from the same model, images are the same."""
    copied = shutil.copytree(adapted, tmp_path / "run")
    for stage in ("generate", "features", "set"):
        shutil.rmtree(folder(copied, stage))
    in_two_processes("drawn_by_two.py", data, copied, ADAPTED.model_dump_json())
    assert_same_images(adapted, copied)
    assert list(copied.glob("set-*/manifest.csv"))


def test_two_processes_average_their_gradients(accelerator: Accelerator, tmp_path: Path) -> None:
    """Each sees half of a batch; both end where one that sees all of it does."""
    in_two_processes("stepped_by_two.py", tmp_path)
    alone = stepped_by_two.trained(accelerator, tmp_path / "alone.pt", stepped_by_two.BATCH)
    start = stepped_by_two.network().weight
    assert not torch.allclose(alone.weight, start, atol=0.01)
    for rank in "01":
        found = torch.load(tmp_path / f"{rank}.weights", weights_only=True)
        assert torch.allclose(found, alone.weight, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("further", [("--regions", "adapters"), ("--control", "frozen")])
def test_a_launcher_s_two_processes_train_all_networks(
    data: Path, tmp_path: Path, further: tuple[str, str]
) -> None:
    command = (
        *(*LAUNCH, "-m", "training", "synthesize", "--data", data, "--out", tmp_path / "run"),
        *("--preset", "fast", "--diffusion-steps", "5", "--model-only", "--threads", "1", *further),
    )
    told = subprocess.run(
        command, env=WITHOUT_GPU, check=True, timeout=300, stdout=subprocess.PIPE, text=True
    )
    made = Path(told.stdout.strip())  # one of them talks
    stage = "adapt" if "adapters" in further else "diffuse"
    assert made == folder(tmp_path / "run", stage)
    model = folder(tmp_path / "run", "diffuse") / "model.safetensors"
    assert Denoiser.load(model).controlnet is not None
    assert done(tmp_path / "run", "segment")["processes"] == 2


def in_two_processes(name: str, *arguments: object) -> None:
    """A script beside this file, as a launcher starts it; that ours can be launched, trainings of
    classifiers show."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tests = ROOT / "tests"
    together = {
        **os.environ,
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, tests))),
    }
    command = [sys.executable, tests / "integration" / name, *map(str, arguments)]
    both = [
        subprocess.Popen(
            command,
            env={**together, "RANK": rank, "LOCAL_RANK": rank},
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


def test_adapters_bring_the_mean_of_their_region(adapted: Path) -> None:
    files = (
        folder(adapted, "diffuse") / "model.safetensors",
        *sorted(folder(adapted, "adapt").glob("region-*.safetensors")),
    )
    means = {tuple(load_weights(file)["linear.mean"].tolist()) for file in files}
    assert len(means) == 3  # everyone's, and of two regions


def test_adapters_by_region_are_named_beside_the_model(adapted: Path) -> None:
    files = [
        folder(adapted, "segment") / "model.safetensors",
        folder(adapted, "diffuse") / "model.safetensors",
        *sorted(folder(adapted, "adapt").glob("region-*.safetensors")),
    ]
    assert len(files) == 4
    drawn_by = {row["model_sha256"] for row in table(folder(adapted, "set") / "verdicts.csv")}
    assert drawn_by == {" ".join(map(sha256, files))}


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
    before = found_by(copied, "adapt")
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
        assert found_by(copied, "adapt") == before
    assert {file.name for file in stages.adapted.folder.iterdir()} == {
        *(east.name, north.name, "done.json", LOCK_NAME)
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
