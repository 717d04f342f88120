"""Adapters by region: what each learns, what they leave alone, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from edge_agent.grades import GRADES, Grade
from training.console import RichReport
from training.data.dataset import ImageSet
from training.data.manifest import Row
from training.errors import WeightsError
from training.synthesis import adapters
from training.synthesis.adapters import Adapters
from training.synthesis.conditions import Conditions, Vocabulary
from training.synthesis.denoiser import Architecture, Denoiser
from training.synthesis.diffuse import DiffusionLoss, Examples
from training.synthesis.steps import Steps

SIZE = 16
GROUNDS = {"east": (170, 80, 60), "north": (70, 90, 170)}


@pytest.fixture(autouse=True)
def _seeded(one_thread: None) -> None:
    torch.manual_seed(1)


def examples(count: int, regions: tuple[str, ...]) -> Examples:
    """A bright square on ground in the colour of the region, which nobody is told."""
    rng = np.random.default_rng(1)
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)
    rows = []
    for i, image in enumerate(images):
        region = regions[i % len(regions)]
        image[:] = GROUNDS[region]
        left, top = rng.integers(0, SIZE - 6, 2)
        image[top : top + 6, left : left + 6] = 220
        rows.append(Row(image=f"{i}.png", truck=f"T{i}", split="train", region=region))
    labels = np.full(count, GRADES.index(Grade.FRESH_CLEAN))
    loads = ImageSet(images, labels, tuple(rows), ())
    dark = Vocabulary(regions=(), lights=(255.0, 255.0, 255.0))
    said = Conditions.of_loads(loads, np.zeros(count), dark)
    return Examples(images, np.zeros((count, 4, SIZE, SIZE), np.uint8), said, np.ones(count))


def trained(
    network: Denoiser, data: Examples, folder: Path, total: int, learning_rate: float = 2e-3
) -> Steps:
    folder.mkdir(parents=True)
    steps = Steps(
        Accelerator(cpu=True),
        network,
        DiffusionLoss(data, 16, torch.device("cpu"), weight=0.0, space=network.space),
        folder / "last.pt",
        total=total,
        seed=1,
        learning_rate=learning_rate,
        config={},
        ema=0.95,
    )
    assert steps.run(RichReport(quiet=True))
    return steps


@torch.no_grad()
def loss(network: Denoiser, region: str) -> float:
    """Of denoising that region's images, always under the same noise."""
    torch.manual_seed(7)
    of = DiffusionLoss(
        examples(16, (region,)), 96, torch.device("cpu"), weight=0.0, space=network.space
    )
    return float(of(network.eval(), 0))


def test_each_adapter_draws_its_region_and_the_shared_model_stays(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    vocabulary = Vocabulary(regions=(), lights=(255.0, 255.0, 255.0))
    network = Denoiser(
        Architecture(size=SIZE, widths=(32, 32), attention=1, control="none", vocabulary=vocabulary)
    )
    base = trained(network, examples(32, tuple(GROUNDS)), tmp_path / "base", 30)
    network.save(tmp_path / "model", base.averaged)
    (tmp_path / "adapters").mkdir()
    means = {}
    for number, region in enumerate(GROUNDS):
        adapted = Denoiser.load(tmp_path / "model")
        ours = examples(16, (region,))
        adapted.linear.settle(ours.images, ours.conditions)
        means[region] = adapted.linear.mean.clone()
        adapters.add(adapted, 4)
        before = {n: t.clone() for n, t in adapted.state_dict().items()}
        steps = trained(adapted, ours, tmp_path / region, 20, 1e-2)
        changed = {n for n, t in adapted.state_dict().items() if not torch.equal(t, before[n])}
        assert changed
        assert all("lora" in name for name in changed)
        weights = adapters.weights_of(adapted, steps.averaged)
        file = adapters.file_of(tmp_path / "adapters", number)
        adapters.save(file, weights, region, 4, steps.losses[-1])
        assert adapters.loss_of(file) == steps.losses[-1]

    shared = Denoiser.load(tmp_path / "model")
    plain = {region: loss(shared, region) for region in GROUNDS}
    own = shared.linear.mean.clone()
    chosen = Adapters.load(shared, tmp_path / "adapters")
    found = {}
    for region in GROUNDS:
        chosen.choose(region)
        assert torch.equal(shared.linear.mean, means[region])
        found[region] = {of: loss(shared, of) for of in GROUNDS}
    for region, other in (("east", "north"), ("north", "east")):
        assert found[region][region] < plain[region]
        assert found[region][region] < found[other][region]
    assert not torch.equal(means["east"], means["north"])
    chosen.choose("south")  # has none
    assert torch.equal(shared.linear.mean, own)
    assert loss(shared, "east") == plain["east"]
    chosen.choose("east")
    assert loss(shared, "east") == found["east"]["east"]


def test_a_new_adapter_changes_nothing() -> None:
    vocabulary = Vocabulary(regions=(), lights=(100.0, 120.0, 140.0))
    network = Denoiser(
        Architecture(size=SIZE, patch=2, widths=(32, 64), attention=1, vocabulary=vocabulary)
    ).eval()
    torch.nn.init.normal_(network.unet.conv_out.weight, std=0.1)
    data = examples(2, ("east",))
    x, t = torch.randn(2, 3, SIZE, SIZE), torch.tensor([10, 500])
    steering = torch.rand(2, 4, SIZE, SIZE)
    with torch.no_grad():
        before = network(x, t, data.conditions, steering)
        adapters.add(network, 2)
        assert torch.equal(network(x, t, data.conditions, steering), before)
        # Its second factor begins at zero; anything else there shows.
        for name, weight in network.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight)
        assert not torch.equal(network(x, t, data.conditions, steering), before)


def test_files_that_are_no_adapters_are_told_in_a_line(tmp_path: Path) -> None:
    vocabulary = Vocabulary(regions=(), lights=(100.0, 120.0, 140.0))
    network = Denoiser(
        Architecture(
            size=SIZE, patch=2, widths=(32, 64), attention=1, control="none", vocabulary=vocabulary
        )
    )
    with pytest.raises(WeightsError, match="none, or of several ranks"):
        Adapters.load(network, tmp_path)
    file = adapters.file_of(tmp_path, 0)
    unsettled = {"down.lora_A.weight": torch.zeros(1)}  # as before regions had means
    adapters.save(file, unsettled, "east", 2, 0.1)
    with pytest.raises(WeightsError, match=r"region-0.safetensors: broken or no adapter"):
        Adapters.load(network, tmp_path)
    network.save(file, network.state_dict())
    with pytest.raises(WeightsError, match=r"region-0.safetensors: broken or no adapter"):
        Adapters.load(network, tmp_path)
    file.write_bytes(b"cut")
    with pytest.raises(WeightsError, match="broken or no adapter"):
        Adapters.load(network, tmp_path)
