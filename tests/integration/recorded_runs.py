"""Trains in each of several processes and writes down what each saw: OUT/RANK.json.

Started by accelerate for test_training_processes.py. Image number i is all of one colour, 10 i, so
that a network can tell which images it is shown.
"""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from training import parallel
from training.auxiliary_norms import AuxiliaryNorms
from training.classifiers.simple_dcnn import SimpleDCNN
from training.config import FitConfig
from training.data.dataset import ImageSet
from training.data.manifest import Row
from training.loop import Loop
from training.mixture import mix
from training.progress import EpochRecord
from training.sampling import reseed

SIZE = 32
IMAGES = 23
BATCH = 7
NORMS_BATCH = 12
EPOCHS = 2


class Recorder(nn.Module):
    """A network that notes the images it is trained on."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.seen: list[list[int]] = []

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.seen.append((images[:, 0, 0, 0] * 25.5).round().int().tolist())
        result: Tensor = self.network(images)
        return result


class Killer:
    """Ends a run after some steps, or never."""

    def __init__(self, after: int = 0) -> None:
        self.after = after

    def step(self, done: int, total: int, loss: float) -> None:
        if done == self.after:
            raise KeyboardInterrupt

    def epoch(self, record: EpochRecord) -> None:
        pass


def image_set(count: int) -> ImageSet:
    numbers = np.arange(count)
    images = np.broadcast_to(10 * numbers[:, None, None, None], (count, SIZE, SIZE, 3))
    row = Row(image="x", truck="T", captured_at=datetime(2026, 1, 1, tzinfo=UTC))
    return ImageSet(images.astype(np.uint8), numbers % 5, (row,) * count, ())


def linear() -> nn.Module:
    """No batch norm and no dropout: any number of processes must compute the same."""
    return nn.Sequential(nn.AvgPool2d(SIZE), nn.Flatten(), nn.Linear(3, 5))


def make(accelerator: Accelerator, network: nn.Module, file: Path) -> Loop:
    config = FitConfig(
        size=SIZE, batch=BATCH, epochs=EPOCHS, augment="none", processes=accelerator.num_processes
    )
    return Loop(accelerator, network, image_set(IMAGES), image_set(9), config, file, save_every=0.0)


def record(accelerator: Accelerator, network: nn.Module, file: Path) -> dict[str, Any]:
    recorder = Recorder(network)
    loop = make(accelerator, recorder, file)
    loop.run(Killer())
    return {"seen": recorder.seen, **result_of(loop)}


def record_norms(accelerator: Accelerator, file: Path) -> dict[str, Any]:
    """Of a run whose synthetic images have norms of their own. In a process's share of a step there
    are none, one, or several beside several real ones, and in the second epoch none at all."""
    config = FitConfig(
        size=SIZE,
        batch=NORMS_BATCH,
        epochs=EPOCHS,
        augment="none",
        processes=accelerator.num_processes,
        synthetic_norms="auxiliary",
        synthetic_until=0.5,
    )
    train = image_set(IMAGES)
    mixture = mix(train, image_set(10), (0.5,) * 5)
    loop = Loop(accelerator, SimpleDCNN(5), train, image_set(9), config, file, mixture=mixture)
    made: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        forward = AuxiliaryNorms.forward

        def noting(self: AuxiliaryNorms, images: Tensor, is_synthetic: Tensor) -> Tensor:
            made.append((int((~is_synthetic).sum()), int(is_synthetic.sum())))
            return forward(self, images, is_synthetic)

        patch.setattr(AuxiliaryNorms, "forward", noting)
        loop.run(Killer())
    return {"real_and_made": made, **result_of(loop)}


def result_of(loop: Loop) -> dict[str, Any]:
    tensors = loop.network.state_dict().values()
    return {
        "losses": loop.progress.losses,
        "validation": [epoch["val_loss"] for epoch in loop.progress.history],
        "weights": hashlib.sha256(b"".join(t.numpy().tobytes() for t in tensors)).hexdigest(),
    }


def main(out: Path) -> None:
    torch.set_num_threads(1)
    with parallel.accelerator("fp32") as accelerator:
        result = {}
        for name, build in (("linear", linear), ("simple_dcnn", lambda: SimpleDCNN(5))):
            reseed(1, 0, 0)
            result[name] = record(accelerator, build(), out / f"{name}.pt")
        reseed(1, 0, 0)
        try:
            make(accelerator, Recorder(SimpleDCNN(5)), out / "killed.pt").run(Killer(after=3))
        except KeyboardInterrupt:
            result["resumed"] = record(accelerator, SimpleDCNN(5), out / "killed.pt")
        reseed(1, 0, 0)
        result["norms"] = record_norms(accelerator, out / "norms.pt")
        file = out / f"{accelerator.process_index}.json"
    file.write_text(json.dumps(result), "utf-8")
    parallel.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
