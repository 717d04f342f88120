"""Synthesis whose networks are trained in 16 bits, and measured and drawn from in 32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from scenes import scene_folder
from synthesis_runs import ADAPTED, done, run
from torch import Tensor

from training.console import RichReport
from training.synthesis.denoiser import Denoiser
from training.synthesis.pipeline import synthesize
from training.synthesis.segment import UNet

pytestmark = pytest.mark.usefixtures("one_thread")


def spied(seen: list[tuple[bool, bool]], forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`forward`, noting of each call whether it trains, and whether it computes in 16 bits."""

    def call(network: torch.nn.Module, *given: Any, **named: Any) -> Tensor:
        seen.append(
            (network.training and torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"))
        )
        return forward(network, *given, **named)

    return call


@pytest.mark.parametrize("precision", ["bf16", None])
def test_networks_are_trained_as_asked_and_measured_in_full_precision(
    precision: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[type, list[tuple[bool, bool]]] = {UNet: [], Denoiser: []}
    for kind, calls in seen.items():
        monkeypatch.setattr(kind, "forward", spied(calls, kind.forward))
    data, out = scene_folder(tmp_path / "data"), tmp_path / "synthesis"
    config = ADAPTED.model_copy(update={"precision": precision})
    with RichReport(quiet=True) as report:
        assert synthesize(data, out, config, report, threads=1, model_only=True)
    for calls in seen.values():
        assert set(calls) == {(True, precision == "bf16"), (False, False)}
    loss = done(out, "diffuse")["loss_of_last_50_steps"]
    assert 0 < loss < 2


def test_a_model_of_another_precision_is_another_one(tmp_path: Path) -> None:
    data, out = scene_folder(tmp_path / "data"), tmp_path / "synthesis"
    command = ("synthesize", "--data", data, "--out", out, "--preset", "fast", "--model-only")
    options = ("--diffusion-steps", 1, "--threads", 1)
    folders = []
    for precision in ("fp32", "bf16"):
        result = run(*command, *options, "--precision", precision)
        assert result.exit_code == 0, result.output
        folders.append(result.stdout.strip())
    assert len(set(folders)) == 2


def test_a_precision_that_there_is_not_is_refused(tmp_path: Path) -> None:
    data, out = scene_folder(tmp_path / "data"), tmp_path / "synthesis"
    result = run("synthesize", "--data", data, "--out", out, "--precision", "int8")
    assert result.exit_code == 2
    assert "int8" in result.output
    assert len(result.output.splitlines()) == 1
