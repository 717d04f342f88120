"""What augmentation does to pixels."""

from __future__ import annotations

import pytest
import torch

from training.augmentation import Augmentation, revision
from training.config import Augment
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


RAMP = torch.linspace(0.2, 0.8, 32)


def varied(image: torch.Tensor, augment: Augment = "study", count: int = 256) -> torch.Tensor:
    """One grey image (32, 32), varied so many times, (count, 32, 32)."""
    reseed(1, 0, 0)
    found = torch.cat(
        [Augmentation(augment, 32)(image.expand(8, 3, 32, 32).clone()) for _ in range(count // 8)]
    )
    assert found.min() >= 0
    assert found.max() <= 1
    return found.mean(1)


def slope(images: torch.Tensor, along: int) -> torch.Tensor:
    """How much brighter the far half is, relative to the image's mean."""
    near, far = images.chunk(2, along)
    return (far.mean((1, 2)) - near.mean((1, 2))) / images.mean((1, 2))


def test_loads_are_turned_upside_down_and_not_mirrored() -> None:
    """A camera above the load sees it from either end, as trucks come."""
    down = slope(varied(RAMP[:, None].expand(32, 32)), 1)
    assert (down < 0).float().mean() == pytest.approx(0.5, abs=0.1)
    assert (slope(varied(RAMP.expand(32, 32)), 2) > 0).all()
    mirrored = slope(varied(RAMP.expand(32, 32), "camera"), 2) < 0
    assert mirrored.float().mean() == pytest.approx(0.5, abs=0.1)


def test_a_crop_shows_a_part_and_scales_it() -> None:
    """Of a ramp a part is flatter, by as much as the crop is narrower."""
    whole = float(slope(RAMP.expand(1, 32, 32), 2))
    shares = slope(varied(RAMP.expand(32, 32)), 2) / whole
    assert 0.6 <= shares.min() < 0.85
    assert shares.max() <= 1.3  # what lies to the dark side is darker, and the part steeper for it
    centres = varied(RAMP.expand(32, 32)).mean((1, 2))
    assert centres.std() > 0.03  # not always the same part


def test_a_third_of_the_images_is_sheared_and_no_further_than_ten_degrees() -> None:
    bar = torch.zeros(32, 32)
    bar[:, 14:18] = 1.0
    rows = varied(bar)
    places = (rows * torch.arange(32.0)).sum(2) / rows.sum(2).clamp_min(1e-6)
    lean = (places[:, 24] - places[:, 8]).abs() / 16
    sheared = lean > 0.02
    assert sheared.float().mean() == pytest.approx(0.3, abs=0.1)
    # tan(10 degrees), times what a crop of another ratio makes of it.
    assert lean.max() < 0.1763 * 1.25


def test_only_the_camera_changes_colours() -> None:
    reseed(1, 0, 0)
    grey = torch.full((64, 3, 32, 32), 0.5)
    plain, camera = (
        Augmentation("study", 32)(grey.clone()),
        Augmentation("camera", 32)(grey.clone()),
    )
    assert (plain.std(1) < 1e-5).all()
    tinted = camera.mean((2, 3)).std(1) > 0.005
    assert 0.2 < tinted.float().mean() < 0.8


def test_without_augmentation_images_stay_as_they_are() -> None:
    images = torch.rand(4, 3, 32, 32)
    for augment in ("none", "oversample"):
        assert torch.equal(Augmentation(augment, 32)(images.clone()), images)
