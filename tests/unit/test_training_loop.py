"""The loop: resuming exactly, stopping early, refusing another run's checkpoint."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from training.augmentation import Augmentation, balanced_order, reseed
from training.classifiers.mobilenetv2 import MobileNetV2
from training.data.dataset import ImageSet
from training.data.manifest import Row
from training.errors import RunError
from training.loop import EpochRecord, FitConfig, Loop

SIZE = 32


def image_set(count: int, seed: int) -> ImageSet:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 5
    images = rng.integers(0, 60, (count, SIZE, SIZE, 3)) + 40 * labels[:, None, None, None]
    row = Row(image="x", truck="T", captured_at=datetime(2026, 1, 1, tzinfo=UTC))
    return ImageSet(images.astype(np.uint8), labels.astype(np.int64), (row,) * count, ())


class KilledError(Exception):
    """Stands for a kill."""


class Listener:
    """Counts steps and, if told to, kills the run after some of them."""

    def __init__(self, kill_after: int | None = None) -> None:
        self.steps = 0
        self.epochs: list[EpochRecord] = []
        self.kill_after = kill_after

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        self.steps += 1
        if self.steps == self.kill_after:
            raise KilledError

    def epoch(self, record: EpochRecord) -> None:
        self.epochs.append(record)


def loop(folder: Path, *, save_every: float = 0.0, **settings: object) -> Loop:
    config = FitConfig.model_validate(
        {"size": SIZE, "epochs": 2, "batch": 8, "seed": 3, "patience": 9, **settings}
    )
    reseed(config.seed, 0, 0)
    return Loop(
        MobileNetV2(5),
        image_set(24, 1),
        image_set(10, 2),
        config,
        folder / "last.pt",
        save_every=save_every,
    )


@pytest.mark.parametrize("save_every", [0.0, 1e9], ids=["within an epoch", "at its end"])
def test_a_killed_run_computes_the_same_losses(tmp_path: Path, save_every: float) -> None:
    whole = loop(tmp_path, save_every=1e9)
    whole.run(Listener())
    (tmp_path / "last.pt").unlink()
    with pytest.raises(KilledError):
        loop(tmp_path, save_every=save_every).run(Listener(kill_after=5))
    rest = loop(tmp_path, save_every=save_every)
    assert rest.progress.losses
    rest.run(Listener())
    assert rest.progress.losses == whole.progress.losses
    losses = [record["val_loss"] for record in whole.progress.history]
    assert [record["val_loss"] for record in rest.progress.history] == losses
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(rest.network.state_dict()[name], tensor), name


def test_time_is_kept_and_the_run_goes_on_later(tmp_path: Path) -> None:
    listener = Listener()
    assert loop(tmp_path).run(listener, max_seconds=0.0) == "time"
    assert listener.steps <= 1
    assert loop(tmp_path).run(Listener()) == "epochs"


def test_patience_ends_a_run_that_does_not_improve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Loop, "_validate", lambda self: (1.0 + self.progress.epoch, 0.5))
    run = loop(tmp_path, epochs=50, patience=2)
    assert run.run(Listener()) == "patience"
    assert run.progress.epoch == 3
    assert run.progress.best_epoch == 0


def test_another_runs_checkpoint_is_refused(tmp_path: Path) -> None:
    loop(tmp_path).run(Listener(), max_seconds=0.0)
    with pytest.raises(RunError, match="holds a run with seed 3, now it is 4"):
        loop(tmp_path, seed=4)
    (tmp_path / "last.pt").write_bytes(b"junk")
    with pytest.raises(RunError, match="not readable"):
        loop(tmp_path)


def test_learning_rate_warms_up_and_falls_to_zero(tmp_path: Path) -> None:
    run = loop(tmp_path, epochs=10)
    rates = []
    for epoch in range(10):
        for step in range(3):
            run.progress.epoch, run.progress.step = epoch, step
            rates.append(run.learning_rate())
    assert rates[0] == pytest.approx(1e-3 / 3)
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] < 2e-5
    assert rates[3:] == sorted(rates[3:], reverse=True)


def test_augmentation_depends_on_seed_epoch_and_step_only() -> None:
    augment = Augmentation(SIZE)
    images = torch.rand((16, 3, SIZE, SIZE))
    results = []
    for key in [(1, 2, 3), (1, 2, 3), (1, 2, 4), (1, 3, 3), (2, 2, 3)]:
        torch.rand(7)
        reseed(*key)
        results.append(augment(images))
    assert torch.equal(results[0], results[1])
    assert not any(torch.equal(results[0], other) for other in results[2:])
    assert results[0].shape == images.shape
    assert results[0].min() >= 0
    assert results[0].max() <= 1


def test_order_gives_rare_grades_their_share() -> None:
    torch.manual_seed(1)
    labels = torch.tensor([0] * 90 + [1] * 10)
    drawn = labels[balanced_order(labels, 2000)]
    assert (drawn == 1).float().mean() == pytest.approx(0.5, abs=0.05)
