"""The networks: size, shapes, and whether they are timm's, in name and in what they compute.

timm/*.json was recorded from timm 1.0.31: the names and shapes of a network's tensors, and four
logits of each of two pictures in double precision, after `fill`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from exporter.graph import export
from training.classifiers.registry import CLASSIFIERS
from training.model import ModelCard, TrainedModel

TIMM = Path(__file__).parent / "timm"
RECORDED = {"resnet50v2": "resnetv2_50", "mobilenetv2": "mobilenetv2_100"}


pytestmark = pytest.mark.usefixtures("one_thread")


def recorded(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((TIMM / f"{RECORDED[name]}.json").read_text("utf-8"))
    return content


def fill(state: dict[str, torch.Tensor]) -> None:
    """Numbers that look random, the same under any version of any library."""
    for number, (name, tensor) in enumerate(sorted(state.items())):
        if name.endswith("num_batches_tracked"):
            continue
        count = torch.arange(tensor.numel(), dtype=torch.float64)
        values = ((count * 12.9898 + number * 78.233).sin() * 43758.5453) % 1.0 * 2 - 1
        values = values.reshape(tensor.shape)
        if name.endswith("running_var"):
            values = 1 + 0.5 * values
        elif tensor.ndim > 1:
            values = values * math.sqrt(6.0 / tensor[0].numel())
        elif name.endswith("weight"):
            values = 1 + 0.3 * values
        else:
            values = 0.1 * values
        tensor.copy_(values)


def pictures() -> torch.Tensor:
    waves = (torch.arange(2 * 3 * 64 * 64, dtype=torch.float64) * 0.11).sin().reshape(2, 3, 64, 64)
    return waves.float().mul(0.5).add(0.5) * torch.tensor([1.0, 0.2]).view(2, 1, 1, 1)


def without_mean(name: str, network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A network's tensors, but for what its pixels lack of the publisher's, which is ours alone."""
    state = network.state_dict()
    del state[f"{CLASSIFIERS[name].stem}.mean"]
    return state


@pytest.mark.parametrize("name", RECORDED)
def test_names_and_shapes_are_timms(name: str) -> None:
    state = without_mean(name, CLASSIFIERS[name].build(1000))
    shapes = {key: list(tensor.shape) for key, tensor in state.items()}
    assert shapes == recorded(name)["shapes"]


@pytest.mark.parametrize("name", RECORDED)
@torch.inference_mode()
def test_the_network_computes_what_timms_does(name: str) -> None:
    model = CLASSIFIERS[name].build(1000).eval()
    fill(without_mean(name, model))
    logits = model.double()(pictures().double())[:, :4].flatten()
    assert logits.tolist() == pytest.approx(recorded(name)["logits"], rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("simple_dcnn", 1_901_093), ("resnet50v2", 23_510_597), ("mobilenetv2", 2_230_277)],
)
def test_size_and_output_for_five_grades(name: str, parameters: int) -> None:
    model = CLASSIFIERS[name].build(5).eval()
    assert sum(p.numel() for p in model.parameters()) == parameters
    for size in (32, 50, 128):
        assert model(torch.rand((2, 3, size, size))).shape == (2, 5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_new_network_learns(name: str) -> None:
    torch.manual_seed(1)
    model = CLASSIFIERS[name].build(5)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    labels = torch.arange(10) % 5
    images = torch.rand((10, 3, 32, 32)) * 0.2 + labels.view(-1, 1, 1, 1) * 0.15
    losses = []
    for _ in range(6):
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(math.log(5), abs=0.4)
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", ["simple_dcnn", "resnet50v2"])
def test_the_exported_network_is_the_same(name: str) -> None:
    network = CLASSIFIERS[name].build(5).eval()
    fill(network.state_dict())
    card = ModelCard(
        classifier=name, size=64, temperature=30.0, confidence_threshold=0.5, training={}
    )
    model = TrainedModel(network, card)
    images = (pictures() * 255).byte().permute(0, 2, 3, 1).contiguous()
    serving = export(model, half_weights=False).reference
    with torch.inference_mode():
        exported = serving(images).numpy()
    assert exported == pytest.approx(model.probabilities(images.numpy()), abs=1e-4)
    assert exported.max() < 0.999  # else any network would agree
