"""Training in processes of its own: killed for real, and computed by two at once."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from labelled import SIZE, labelled_folder
from launching import LAUNCH, ROOT, WITHOUT_GPU
from recorded_runs import EPOCHS, IMAGES, linear, record
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from training import parallel
from training.cli import app as cane_train
from training.sampling import reseed


def fit(data: Path, out: Path, *further: str) -> list[str]:
    return [
        *("fit", "--data", str(data), "--out", str(out), "--size", str(SIZE), "--batch", "2"),
        *("--classifier", "simple_dcnn", "--epochs", "2", "--precision", "fp32"),
        *("--threads", "1", "--save-every", "0s", *further),
    ]


def history(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "history.json").read_text("utf-8"))
    for epoch in content["epochs"]:
        del epoch["seconds"]
    return content


@pytest.mark.usefixtures("one_thread")
def test_a_run_killed_within_an_epoch_computes_the_same_losses(tmp_path: Path) -> None:
    data = labelled_folder(tmp_path / "data")
    whole, killed, events = tmp_path / "whole", tmp_path / "killed", tmp_path / "events"
    assert CliRunner().invoke(cane_train, fit(data, whole)).exit_code == 0

    arguments = fit(data, killed, "--tensorboard", str(events))
    command = (sys.executable, "-m", "training", *arguments)
    with subprocess.Popen(command, env=WITHOUT_GPU) as process:
        _await_step(killed / "last.pt", 3, process)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    progress = torch.load(killed / "last.pt", weights_only=True)["progress"]
    assert progress["step"] > 0
    assert not (killed / "history.json").exists()

    time.sleep(1.0)  # TensorBoard tells the order of its files by the second of their names
    assert CliRunner().invoke(cane_train, arguments).exit_code == 0
    assert history(killed) == history(whole)
    logged = EventAccumulator(str(events / "killed")).Reload().Scalars("loss/train")
    losses = history(whole)["step_losses"]
    assert [event.step for event in logged] == list(range(1, len(losses) + 1))
    assert [event.value for event in logged] == pytest.approx(losses, rel=1e-6)


def _await_step(checkpoint: Path, step: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(6000):
        if checkpoint.exists():
            progress = torch.load(checkpoint, weights_only=True)["progress"]
            if progress["epoch"] == 0 and progress["step"] >= step:
                return
            assert progress["epoch"] == 0
        assert process.poll() is None
        time.sleep(0.01)
    pytest.fail("no step was done in a minute")


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("two")
    script = ROOT / "tests" / "integration" / "recorded_runs.py"
    subprocess.run((*LAUNCH, script, out), env=WITHOUT_GPU, check=True, timeout=120)
    return [json.loads((out / f"{rank}.json").read_text("utf-8")) for rank in (0, 1)]


def test_two_processes_see_each_image_once_an_epoch(two_processes: list[dict[str, Any]]) -> None:
    steps = [run["simple_dcnn"]["seen"] for run in two_processes]
    assert [len(seen) for seen in steps] == [8, 8]
    orders = []
    for epoch in range(EPOCHS):
        shares = [seen[4 * epoch : 4 * epoch + 4] for seen in steps]
        order = list(itertools.chain.from_iterable(itertools.chain.from_iterable(shares)))
        assert sorted(order) == list(range(IMAGES))
        orders.append(order)
    assert orders[0] != orders[1]


def test_two_processes_end_with_equal_weights(two_processes: list[dict[str, Any]]) -> None:
    first, second = two_processes
    for name in ("linear", "simple_dcnn", "resumed", "norms"):
        for what in ("weights", "losses", "validation"):
            assert first[name][what] == second[name][what], (name, what)


def test_two_processes_have_norms_for_whatever_their_shares_hold(
    two_processes: list[dict[str, Any]],
) -> None:
    shares = [tuple(share) for run in two_processes for share in run["norms"]["real_and_made"]]
    assert any(min(share) > 1 for share in shares)
    assert any(made == 0 for _, made in shares)


def test_two_processes_resume_exactly(two_processes: list[dict[str, Any]]) -> None:
    for run in two_processes:
        assert run["resumed"]["losses"] == run["simple_dcnn"]["losses"]
        assert run["resumed"]["weights"] == run["simple_dcnn"]["weights"]


def test_two_processes_compute_what_one_does(
    two_processes: list[dict[str, Any]], tmp_path: Path
) -> None:
    with parallel.accelerator("fp32") as accelerator:
        reseed(1, 0, 0)
        alone = record(accelerator, linear(), tmp_path / "last.pt")
    together = two_processes[0]["linear"]
    assert together["losses"] == pytest.approx(alone["losses"], rel=1e-5)
    assert together["validation"] == pytest.approx(alone["validation"], rel=1e-5)


def test_two_processes_train_over_the_command_line(tmp_path: Path) -> None:
    data = labelled_folder(tmp_path / "data")
    command = (*LAUNCH, "-m", "training", *fit(data, tmp_path / "run", "--batch", "8"))
    done = subprocess.run(
        command, env=WITHOUT_GPU, check=True, timeout=120, capture_output=True, text=True
    )
    assert done.stderr.count("test accuracy") == 1
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))
    assert metrics["config"]["processes"] == 2
    assert metrics["command"].startswith("python -m training fit")


def test_two_processes_end_at_once_on_bad_input(tmp_path: Path) -> None:
    command = (*LAUNCH, "-m", "training", *fit(tmp_path / "nothing", tmp_path / "run"))
    failed = subprocess.run(command, env=WITHOUT_GPU, timeout=120, capture_output=True, text=True)
    assert failed.returncode != 0
    assert failed.stderr.count("No such file or directory; give a folder") == 1
    assert "training/train.py" not in failed.stderr  # no traceback of ours


def test_work_without_a_result_is_done_once() -> None:
    done: list[int] = []
    parallel.main_first(lambda: done.append(1))
    assert done == [1]
