"""The U-Net learns masks, resumes bit for bit, and refuses what is no mask."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from accelerate import Accelerator

from training.console import RichReport
from training.data.dataset import ImageSet
from training.data.manifest import Row
from training.errors import DataError, RunError
from training.synthesis.segment import (
    CLASSES,
    Masks,
    SegmentationLoss,
    UNet,
    iou,
    predict,
    read_mask,
)
from training.synthesis.steps import Steps

SIZE = 32
COLOURS = np.array([(60, 60, 70), (150, 170, 90), (190, 140, 60)])


def scenes(count: int, seed: int) -> Masks:
    """Rectangles of the three classes, each in a colour of its own, with noise."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, SIZE, SIZE), np.uint8)
    for mask in masks:
        for value in (1, 2, 1, 2):
            left, top = rng.integers(0, SIZE - 10, 2)
            mask[top : top + 10, left : left + 10] = value
    noisy = rng.normal(COLOURS[masks], 12)
    return Masks(np.clip(noisy, 0, 255).astype(np.uint8), masks)


def steps(
    accelerator: Accelerator, folder: Path, total: int = 30, *, seed: int = 1, ema: float = 0.9
) -> Steps:
    torch.manual_seed(1)
    folder.mkdir(exist_ok=True)
    data = scenes(24, 1)
    return Steps(
        accelerator,
        UNet((8, 16, 24)),
        SegmentationLoss(data, 8, accelerator.device),
        folder / "last.pt",
        total=total,
        seed=seed,
        learning_rate=1e-2,
        config={"seed": seed, "total": total},
        ema=ema,
        save_every=0.0,
    )


def test_it_learns_masks_of_scenes_it_has_not_seen(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    run = steps(accelerator, tmp_path, 60)
    assert run.run(RichReport(quiet=True))
    held_out = scenes(8, 2)
    found = iou(predict(run.network, held_out.images), held_out.masks)
    assert set(found) == set(CLASSES)
    assert min(value or 0.0 for value in found.values()) > 0.8
    assert run.losses[-1] < run.losses[0] / 3


def test_light_that_it_has_not_seen_misleads_it_little(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    run = steps(accelerator, tmp_path, 60)
    run.run(RichReport(quiet=True))
    held_out = scenes(8, 2)
    for gain, offset in ((0.35, 0), (0.5, 120)):
        lit = (held_out.images * gain + offset).astype(np.uint8)
        found = iou(predict(run.network, lit), held_out.masks)
        assert min(value or 0.0 for value in found.values()) > 0.7


def test_a_killed_run_goes_on_with_the_same_numbers(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    whole = steps(accelerator, tmp_path / "whole", 6)
    whole.run(RichReport(quiet=True))

    class Kill(RichReport):
        def step(self, done: int, total: int, loss: float) -> None:
            if done == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        steps(accelerator, tmp_path / "killed", 6).run(Kill(quiet=True))
    again = steps(accelerator, tmp_path / "killed", 6)
    assert len(again.losses) == 3  # the checkpoint after the third step is the last whole one
    again.run(RichReport(quiet=True))
    assert again.losses == whole.losses
    assert again.ema is not None
    assert whole.ema is not None
    for name, tensor in whole.ema.weights.items():
        assert torch.equal(tensor, again.ema.weights[name])


def test_a_loss_that_is_no_number_ends_the_run(accelerator: Accelerator, tmp_path: Path) -> None:
    run = steps(accelerator, tmp_path)
    with torch.no_grad():
        next(run.network.parameters()).fill_(torch.nan)
    with pytest.raises(RunError, match=r"the loss is nan at step 1; delete this folder and run"):
        run.run(RichReport(quiet=True))


def test_time_is_kept_and_another_runs_checkpoint_refused(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    assert not steps(accelerator, tmp_path).run(RichReport(quiet=True), deadline=0.0)
    with pytest.raises(RunError, match="holds a run with seed 1, now it is 2"):
        steps(accelerator, tmp_path, seed=2)


def test_the_average_follows_the_weights(accelerator: Accelerator, tmp_path: Path) -> None:
    run = steps(accelerator, tmp_path, 10, ema=0.5)
    run.run(RichReport(quiet=True))
    assert run.ema is not None
    state = run.network.state_dict()
    same = [torch.equal(run.ema.weights[name], state[name]) for name in state]
    assert not all(same)
    near = run.ema.weights["head.weight"] - state["head.weight"]
    assert near.abs().max() < 0.05


def image(path: Path, width: int = 8, height: int = 8) -> Path:
    write(path, np.zeros((height, width, 3), np.uint8))
    return path


def write(path: Path, mask: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), mask)
    return path


def test_masks_come_from_the_manifest_and_are_made_as_small_as_the_images(tmp_path: Path) -> None:
    mask = np.kron(np.array([[0, 1], [2, 1]], np.uint8), np.ones((40, 40), np.uint8))
    write(tmp_path / "masks" / "a.png", mask)
    image(tmp_path / "a.png", 80, 80)
    rows = (
        Row(image="a.png", truck="T1", mask="masks/a.png"),
        Row(image="b.png", truck="T2"),
    )
    loads = ImageSet(np.zeros((2, 8, 8, 3), np.uint8), np.zeros(2, np.int64), rows, ())
    found = Masks.of(loads, tmp_path)
    assert len(found) == 1
    assert np.array_equal(found.masks[0], mask[::10, ::10])


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (np.full((8, 8), 255, np.uint8), "has the value 255; there are 0 other, 1 stalk"),
        (np.zeros((8, 8, 3), np.uint8), "not a grey image of 8 bits"),
        (np.zeros((8, 8), np.uint16), "not a grey image of 8 bits"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path: Path, mask: np.ndarray, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_mask(write(tmp_path / "mask.png", mask), 8, image(tmp_path / "image.png"))


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    mask = write(tmp_path / "mask.png", np.zeros((8, 9), np.uint8))
    with pytest.raises(DataError, match=r"is 9 x 8, its image image\.png 8 x 8"):
        read_mask(mask, 8, image(tmp_path / "image.png"))


def test_a_mask_of_a_whole_frame_is_cut_as_the_frame_is(tmp_path: Path) -> None:
    mask = np.repeat(np.array([2, 1, 1, 2], np.uint8), 4)[:, None].repeat(8, axis=1)
    file = write(tmp_path / "mask.png", mask)
    found = read_mask(file, 8, image(tmp_path / "image.png", 8, 16), (0.0, 0.25, 1.0, 0.75))
    assert np.array_equal(found, np.ones((8, 8), np.uint8))


def test_a_missing_mask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"mask .*none\.png: missing or no image"):
        read_mask(tmp_path / "none.png", 8, image(tmp_path / "image.png"))


def test_one_mask_is_not_enough() -> None:
    with pytest.raises(DataError, match="1 training images have a mask"):
        SegmentationLoss(scenes(1, 1), 4, torch.device("cpu"))


def test_a_class_that_is_nowhere_has_no_iou() -> None:
    empty = np.zeros((1, 4, 4), np.uint8)
    assert iou(empty, empty) == {"other": 1.0, "stalk": None, "leaf and trash": None}


def test_any_size_is_told_apart() -> None:
    network = UNet((4, 8, 16)).eval()
    images = np.random.default_rng(1).integers(0, 256, (1, 30, 21, 3), np.uint8)
    assert predict(network, images).shape == (1, 30, 21)
