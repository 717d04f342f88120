"""The networks of all presets, also those that take hours to learn: they can be built, and fit."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from training.classifiers.registry import CLASSIFIERS
from training.experiments.config import PRESETS as STUDIES
from training.synthesis.conditions import VECTOR, Conditions, Vocabulary
from training.synthesis.config import PRESETS, Preset
from training.synthesis.denoiser import Architecture, Denoiser
from training.synthesis.diffuse import HINTS
from training.synthesis.segment import CLASSES, UNet

LOADS = 2
REGIONS = Vocabulary(regions=("east", "north"), lights=(80.0, 110.0, 140.0))


@pytest.fixture(params=get_args(Preset))
def preset(request: pytest.FixtureRequest) -> Preset:
    name: Preset = request.param
    return name


@pytest.mark.parametrize("control", ["joint", "frozen", "none"])
def test_diffusion_models_say_something_of_every_pixel_and_all_is_learned(
    preset: Preset, control: str
) -> None:
    config = PRESETS[preset]
    shape = config.diffuse.model_dump(include={"patch", "widths", "layers", "attention"})
    with no_computing():
        network = Denoiser(
            Architecture(size=config.size, vocabulary=REGIONS, control=control, **shape)
        )
        whole = torch.zeros(LOADS, dtype=torch.int64)
        said = network(
            images(config.size),
            whole,
            Conditions(torch.rand(LOADS, VECTOR), whole, whole),
            None if control == "none" else torch.rand(LOADS, HINTS, config.size, config.size),
        )
        assert said.shape == (LOADS, 3, config.size, config.size)
        said.sum().backward()
    learned = {name: p.grad for name, p in network.named_parameters() if p.requires_grad}
    assert learned
    assert [name for name, gradient in learned.items() if gradient is None] == []
    assert all(name.startswith("controlnet.") for name in learned) is (control == "frozen")


def test_unets_tell_all_classes_apart_at_every_pixel(preset: Preset) -> None:
    config = PRESETS[preset]
    with no_computing():
        said = UNet(config.segment.widths)(torch.rand(LOADS, 4, config.size, config.size))
    assert said.shape == (LOADS, len(CLASSES), config.size, config.size)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_classifiers_say_a_grade_at_a_study_s_size(preset: Preset, classifier: str) -> None:
    with no_computing():
        said = CLASSIFIERS[classifier].build(5)(images(STUDIES[preset].size))
    assert said.shape == (LOADS, 5)


def no_computing() -> FakeTensorMode:
    """Tensors have shapes alone, but for the few constants that are there already."""
    return FakeTensorMode(allow_non_fake_inputs=True)


def images(size: int) -> Tensor:
    return torch.rand(LOADS, 3, size, size)
