"""What augmentation does to pixels."""

from __future__ import annotations

import pytest
import torch

from training.augmentation import Augmentation, revision
from training.sampling import reseed


@pytest.mark.parametrize("grey", [0.1, 0.6])
def test_brightness_is_a_factor(grey: float) -> None:
    """A dark load stays a dark load: added, a quarter of the range would make it black."""
    reseed(1, 0, 0)
    even = torch.full((256, 3, 32, 32), grey)
    factors = Augmentation("study", 32)(even.clone()).mean((1, 2, 3)) / grey
    assert 0.75 <= factors.min() < 0.8
    assert 1.2 < factors.max() <= 1.25
    assert ((factors - 1).abs() < 1e-3).float().mean() == pytest.approx(0.3, abs=0.1)


def test_runs_say_which_augmentation_they_saw() -> None:
    assert revision("none") is None
    assert revision("oversample") is None
    assert revision("study") == revision("camera") == 2
