"""The loop: resuming exactly, stopping early, refusing another run's checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st

from training import parallel
from training.augmentation import Augmentation
from training.classifiers.mobilenetv2 import MobileNetV2
from training.config import Augment, FitConfig, Keep
from training.data.dataset import ImageSet
from training.data.manifest import Row
from training.errors import RunError
from training.loop import Loop
from training.mixture import mix
from training.progress import EpochRecord
from training.sampling import balanced, epoch_order, reseed, share, step_images, steps_an_epoch

SIZE = 32
REAL = 48


def image_set(count: int, seed: int) -> ImageSet:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 5
    images = rng.integers(0, 60, (count, SIZE, SIZE, 3)) + 40 * labels[:, None, None, None]
    row = Row(image="x", truck="T", captured_at=datetime(2026, 1, 1, tzinfo=UTC))
    return ImageSet(images.astype(np.uint8), labels.astype(np.int64), (row,) * count, ())


pytestmark = pytest.mark.usefixtures("one_thread")


class KilledError(Exception):
    """Stands for a kill."""


class Listener:
    """Counts steps and, if told to, kills the run after some of them."""

    def __init__(self, kill_after: int | None = None) -> None:
        self.steps = 0
        self.epochs: list[EpochRecord] = []
        self.kill_after = kill_after

    def step(self, done: int, total: int, loss: float) -> None:
        self.steps += 1
        if self.steps == self.kill_after:
            raise KilledError

    def epoch(self, record: EpochRecord) -> None:
        self.epochs.append(record)


@pytest.fixture(params=["fp32"])
def accelerator(request: pytest.FixtureRequest) -> Iterator[Accelerator]:
    with parallel.accelerator(request.param) as made:
        yield made


def loop(
    accelerator: Accelerator, folder: Path, *, save_every: float = 0.0, **settings: object
) -> Loop:
    config = FitConfig.model_validate(
        {"size": SIZE, "epochs": 2, "batch": 8, "seed": 3, "patience": 9, **settings}
    )
    reseed(config.seed, 0, 0)
    return Loop(
        accelerator,
        MobileNetV2(5),
        image_set(24, 1),
        image_set(10, 2),
        config,
        folder / "last.pt",
        save_every=save_every,
    )


@pytest.mark.parametrize(
    ("accelerator", "save_every"),
    [("fp32", 0.0), ("fp32", 1e9), ("bf16", 0.0)],
    indirect=["accelerator"],
    ids=["within an epoch", "at its end", "in bf16"],
)
def test_a_killed_run_computes_the_same_losses(
    accelerator: Accelerator, tmp_path: Path, save_every: float
) -> None:
    whole = loop(accelerator, tmp_path, save_every=1e9)
    whole.run(Listener())
    (tmp_path / "last.pt").unlink()
    with pytest.raises(KilledError):
        loop(accelerator, tmp_path, save_every=save_every).run(Listener(kill_after=5))
    rest = loop(accelerator, tmp_path, save_every=save_every)
    assert rest.progress.losses
    rest.run(Listener())
    assert rest.progress.losses == whole.progress.losses
    losses = [record["val_loss"] for record in whole.progress.history]
    assert [record["val_loss"] for record in rest.progress.history] == losses
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(rest.network.state_dict()[name], tensor), name


def test_a_run_killed_while_it_validates_for_the_last_time_ends_that_epoch(
    accelerator: Accelerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = loop(accelerator, tmp_path, save_every=1e9)
    whole.run(Listener())
    (tmp_path / "last.pt").unlink()
    killed = loop(accelerator, tmp_path)
    validate = Loop._validate

    def kill_at_the_end(self: Loop) -> tuple[float, float]:
        if len(self.progress.losses) == self.total:
            raise KilledError
        return validate(self)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_validate", kill_at_the_end)
        with pytest.raises(KilledError):
            killed.run(Listener())
    rest, listener = loop(accelerator, tmp_path), Listener()
    assert rest.run(listener) == "epochs"
    assert (listener.steps, len(listener.epochs)) == (0, 1)
    untimed = [
        [{k: v for k, v in record.items() if k != "seconds"} for record in run.progress.history]
        for run in (rest, whole)
    ]
    assert untimed[0] == untimed[1]
    assert rest.kept_epoch == whole.kept_epoch


def test_time_is_kept_and_the_run_goes_on_later(accelerator: Accelerator, tmp_path: Path) -> None:
    listener = Listener()
    assert loop(accelerator, tmp_path).run(listener, deadline=0.0) == "time"
    assert listener.steps <= 1
    assert loop(accelerator, tmp_path).run(Listener()) == "epochs"


def test_patience_ends_a_run_that_does_not_improve(
    accelerator: Accelerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Loop, "_validate", lambda self: (1.0 + self.progress.epoch, 0.5))
    run = loop(accelerator, tmp_path, epochs=50, patience=2)
    assert run.run(Listener()) == "patience"
    assert run.progress.epoch == 3
    assert run.progress.best_epoch == 0


def test_another_runs_checkpoint_is_refused(accelerator: Accelerator, tmp_path: Path) -> None:
    loop(accelerator, tmp_path).run(Listener(), deadline=0.0)
    with pytest.raises(RunError, match="holds a run with seed 3, now it is 4"):
        loop(accelerator, tmp_path, seed=4)
    # One that does not say which pixels its weights took is none of a run that says it.
    with pytest.raises(RunError, match="weights_pixels None, now it is imagenet"):
        loop(accelerator, tmp_path, weights_pixels="imagenet")
    (tmp_path / "last.pt").write_bytes(b"junk")
    with pytest.raises(RunError, match="not readable"):
        loop(accelerator, tmp_path)


def test_learning_rate_warms_up_and_falls_to_zero(accelerator: Accelerator, tmp_path: Path) -> None:
    run = loop(accelerator, tmp_path, epochs=10)
    rates = [run.learning_rate(done) for done in range(30)]
    assert rates[0] == pytest.approx(1e-3 / 3)
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] < 2e-5
    assert rates[3:] == sorted(rates[3:], reverse=True)


@pytest.mark.parametrize("augment", ["none", "study"])
def test_a_number_of_steps_is_kept_whatever_the_arm(
    accelerator: Accelerator, tmp_path: Path, augment: Augment
) -> None:
    listener = Listener()
    run = loop(accelerator, tmp_path, epochs=None, steps=4, patience=None, augment=augment)
    assert run.run(listener) == "steps"
    assert listener.steps == 4
    assert [record.epoch for record in listener.epochs] == [0, 1]
    again = Listener()
    assert (
        loop(accelerator, tmp_path, epochs=None, steps=4, patience=None, augment=augment).run(again)
        == "steps"
    )
    assert again.steps == 0


def mixed(accelerator: Accelerator, file: Path, config: FitConfig) -> Loop:
    """A run that learns from REAL images and 20 synthetic ones, half of each grade."""
    train = image_set(REAL, 1)
    return Loop(
        accelerator,
        MobileNetV2(5),
        train,
        image_set(10, 2),
        config,
        file,
        mixture=mix(train, image_set(20, 3), (0.5,) * 5),
        save_every=0.0,
    )


def test_synthetic_images_are_drawn_until_their_part_of_the_steps_is_over(
    accelerator: Accelerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four epochs of three steps; taken up within the third, it goes on as it would have."""
    drawn: list[float] = []

    def listening(count: int, *, seed: int, epoch: int, weights: torch.Tensor | None) -> Any:
        order = epoch_order(count, seed=seed, epoch=epoch, weights=weights)
        drawn.append(float((order >= REAL).float().mean()))
        return order

    monkeypatch.setattr("training.loop.sampling.epoch_order", listening)
    config = FitConfig(
        size=SIZE, epochs=None, steps=12, batch=16, patience=None, synthetic_until=0.5
    )

    def run(name: str, listener: Listener, **changes: float | None) -> list[float]:
        loop = mixed(accelerator, tmp_path / name, config.model_copy(update=changes))
        loop.run(listener)
        return loop.progress.losses

    whole = run("whole", Listener())
    first, later = drawn[:2], drawn[2:]
    assert all(0.25 < share < 0.75 for share in first)
    assert later == [0.0, 0.0]
    with pytest.raises(KilledError):
        run("killed", Listener(kill_after=8))
    assert len(run("killed", Listener())) == len(whole)
    assert drawn[4:] == [*first, 0.0, 0.0, 0.0]
    drawn.clear()
    run("throughout", Listener(), synthetic_until=None)
    assert all(0.25 < share < 0.75 for share in drawn)


def test_norms_of_synthetic_images_are_resumed_and_not_kept(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    config = FitConfig(
        size=SIZE, epochs=None, steps=6, batch=16, patience=None, synthetic_norms="auxiliary"
    )

    def run(name: str, listener: Listener, **changes: str | None) -> Loop:
        torch.manual_seed(0)
        loop = mixed(accelerator, tmp_path / name, config.model_copy(update=changes))
        loop.run(listener)
        return loop

    whole = run("whole", Listener())
    with pytest.raises(KilledError):
        run("killed", Listener(kill_after=4))
    again = run("killed", Listener())
    assert again.progress.losses == whole.progress.losses
    kept, same = (one.kept_network().state_dict() for one in (whole, again))
    assert kept.keys() == MobileNetV2(5).state_dict().keys()
    assert all(torch.equal(kept[name], same[name]) for name in kept)
    without = run("without", Listener(), synthetic_norms=None)
    assert without.progress.losses != whole.progress.losses


def test_the_kept_norms_are_those_of_the_real_images(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    """Real images are dark here, synthetic ones bright."""
    dark, light = image_set(48, 1), image_set(48, 3)
    dark, light = (
        replace(one, images=one.images // 8 + add) for one, add in ((dark, 0), (light, 200))
    )
    config = FitConfig(
        size=SIZE,
        epochs=None,
        steps=6,
        batch=16,
        patience=None,
        augment="none",
        keep="last",
        learning_rate=1e-6,
        synthetic_norms="auxiliary",
    )
    network = MobileNetV2(5)
    with torch.no_grad():
        bright = network.conv_stem(torch.from_numpy(light.images).permute(0, 3, 1, 2) / 255)
    loop = Loop(
        accelerator,
        network,
        dark,
        dark,
        config,
        tmp_path / "run",
        mixture=mix(dark, light, (0.5,) * 5),
    )
    loop.run(Listener())
    seen = loop.kept_network().get_submodule("bn1").running_mean
    assert isinstance(seen, torch.Tensor)
    assert seen.norm() < 0.2 * bright.mean((0, 2, 3)).norm()


@pytest.mark.parametrize(("keep", "epoch"), [("best", 0), ("last", 1)])
def test_the_weights_of_the_best_or_the_last_epoch_count(
    accelerator: Accelerator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keep: Keep,
    epoch: int,
) -> None:
    monkeypatch.setattr(Loop, "_validate", lambda self: (1.0 + self.progress.epoch, 0.5))
    run = loop(accelerator, tmp_path, keep=keep)
    run.run(Listener())
    final = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
    weights = run.kept_network().state_dict()
    assert run.kept_epoch == epoch
    assert all(torch.equal(weights[name], final[name]) for name in final) == (keep == "last")


@pytest.mark.parametrize("accelerator", ["fp32", "bf16"], indirect=True)
def test_the_result_is_the_best_epochs_network_in_full_precision(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    run = loop(accelerator, tmp_path)
    run.run(Listener())
    network = run.kept_network().eval()
    assert network(torch.rand((2, 3, SIZE, SIZE))).dtype == torch.float32
    plain = MobileNetV2(5).eval()
    plain.load_state_dict(run.progress.best_weights)
    images = torch.rand((4, 3, SIZE, SIZE))
    assert torch.allclose(network(images), plain(images), atol=1e-6)


def test_a_loss_that_is_no_number_ends_the_run(accelerator: Accelerator, tmp_path: Path) -> None:
    run = loop(accelerator, tmp_path, learning_rate=1e30, schedule="constant")
    with pytest.raises(RunError, match=r"the loss is nan at step \d+; start again with a smaller"):
        run.run(Listener())


def test_a_validation_loss_that_is_no_number_ends_the_run(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    # Of the only step the loss is still that of the first weights.
    run = loop(accelerator, tmp_path, epochs=None, steps=1, learning_rate=1e30, schedule="constant")
    with pytest.raises(RunError, match=r"the validation loss is (nan|inf) at step 1; start again"):
        run.run(Listener())


def test_too_few_images_for_batch_norm_are_refused(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    config = FitConfig(size=SIZE, batch=2)
    with pytest.raises(RunError, match="leave 1 image"):
        Loop(
            accelerator,
            MobileNetV2(5),
            image_set(5, 1),
            image_set(5, 2),
            config,
            tmp_path / "last.pt",
        )


def test_fp16_without_a_gpu_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(RunError, match="fp16 needs a GPU"), parallel.accelerator("fp16"):
        pass


@pytest.mark.parametrize("augment", ["study", "camera"])
def test_augmentation_depends_on_seed_epoch_step_and_rank_only(augment: Augment) -> None:
    augmentation = Augmentation(augment, SIZE)
    images = torch.rand((16, 3, SIZE, SIZE))
    results = []
    for key in [(1, 2, 3), (1, 2, 3, 0), (1, 2, 4), (1, 3, 3), (2, 2, 3), (1, 2, 3, 1)]:
        torch.rand(7)
        reseed(*key)
        results.append(augmentation(images))
    assert torch.equal(results[0], results[1])
    assert not any(torch.equal(results[0], other) for other in results[2:])
    assert results[0].shape == images.shape
    assert results[0].min() >= 0
    assert results[0].max() <= 1


def test_no_augmentation_leaves_images_alone() -> None:
    images = torch.rand((4, 3, SIZE, SIZE))
    assert torch.equal(Augmentation("none", SIZE)(images.clone()), images)


def test_a_balanced_order_gives_rare_grades_their_share() -> None:
    labels = torch.tensor([0] * 1800 + [1] * 200)
    drawn = labels[epoch_order(2000, seed=1, epoch=0, weights=balanced(labels))]
    assert len(drawn) == len(labels)
    assert (drawn == 1).float().mean() == pytest.approx(0.5, abs=0.05)


@settings(deadline=None)  # no timings: the machine may be busy
@given(
    images=st.integers(1, 300),
    batch=st.integers(1, 64),
    processes=st.integers(1, 4),
    epoch=st.integers(0, 3),
)
def test_a_plain_epoch_shows_each_image_once_over_all_processes(
    images: int, batch: int, processes: int, epoch: int
) -> None:
    order = epoch_order(images, seed=7, epoch=epoch)
    steps = steps_an_epoch(images, batch)
    sizes = [len(step_images(order, step, steps)) for step in range(steps)]
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1
    seen = [
        number
        for step in range(steps)
        for rank in range(processes)
        for number in share(step_images(order, step, steps), rank, processes).tolist()
    ]
    assert sorted(seen) == list(range(images))
