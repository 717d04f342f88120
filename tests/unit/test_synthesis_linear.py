"""The linear denoiser: it computes the expectation it claims, and is better than one variance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge_agent.grades import GRADES
from training.synthesis.conditions import LIGHTS, Conditions
from training.synthesis.linear import LinearDenoiser
from training.synthesis.schedule import noise_schedule
from training.synthesis.space import to_signal

SIZE = 16
REGIONS = 2
TINTS = np.array([[20, 0, -20], [-20, 0, 20]])
"""Of the regions, number 1 and 2."""

pytestmark = pytest.mark.usefixtures("one_thread")


def textures(count: int, seed: int) -> np.ndarray:
    """Grey waves of few frequencies around a colour: much grey, little colour."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(count, SIZE, SIZE, 1))
    smooth = (noise + np.roll(noise, 1, 1) + np.roll(noise, 1, 2)) * 25
    tint = rng.normal(size=(count, SIZE, SIZE, 3)) * 3
    return (smooth + tint + (150, 120, 80)).clip(0, 255).astype(np.uint8)


def velocity(images: np.ndarray, at: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noisy images, their t, and the true velocities."""
    clean = to_signal(torch.from_numpy(images))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(at))
    t = torch.full((len(clean),), at)
    schedule = noise_schedule()
    return schedule.add_noise(clean, noise, t), t, schedule.get_velocity(clean, noise, t)


def told(regions: np.ndarray) -> Conditions:
    """Of images that otherwise are alike."""
    count = len(regions)
    grade = np.eye(len(GRADES), dtype=np.float32)[np.zeros(count, int)]
    return Conditions.of(grade, [0.0] * count, regions.tolist(), [1] * count)


def unsaid(count: int) -> Conditions:
    return told(np.zeros(count, int)).without(torch.ones(count, dtype=torch.bool))


def fitted() -> LinearDenoiser:
    linear = LinearDenoiser(SIZE, REGIONS)
    linear.fit(textures(300, 1), unsaid(300))
    return linear


def tinted(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Textures in the colours of their regions, three of four of them of the first."""
    regions = np.where(np.arange(count) % 4 < 3, 1, 2)
    moved = textures(count, seed) + TINTS[regions - 1][:, None, None]
    return moved.clip(0, 255).astype(np.uint8), regions


@pytest.mark.parametrize("at", [20, 200, 500, 800, 990])
def test_it_is_the_best_that_is_linear(at: int) -> None:
    """No regression on the noisy pixels does better on new images than by its own noise."""
    linear = fitted()
    noisy, t, true = velocity(textures(400, 2), at)
    said = unsaid(400)
    expected = linear(noisy, t, said)
    ours = float(((expected - true) ** 2).mean())
    flat = LinearDenoiser(SIZE, REGIONS)
    with torch.no_grad():
        flat.mean.copy_(linear.mean)
        flat.power.fill_(float(linear.power.mean()))
    of_one_variance = float(((flat(noisy, t, said) - true) ** 2).mean())
    assert ours <= of_one_variance * 1.001
    if 100 < at < 600:
        assert ours < 0.9 * of_one_variance
    # Nothing that a multiple of its own answer, or of its input, adds makes it better.
    left = true - expected
    for other in (expected, noisy - noisy.mean((0, 2, 3), keepdim=True)):
        gain = float((left * other).mean() / (other**2).mean())
        assert abs(gain) < 0.02


def test_white_noise_has_its_variance_at_every_frequency() -> None:
    rng = np.random.default_rng(1)
    images = rng.normal(127.5, 25.5, (2000, SIZE, SIZE, 3)).round().clip(0, 255).astype(np.uint8)
    linear = LinearDenoiser(SIZE, REGIONS)
    linear.fit(images, unsaid(2000))
    assert linear.power.numpy() == pytest.approx(0.2**2, rel=0.25)
    assert float(linear.power.mean()) == pytest.approx(0.2**2, rel=0.01)
    assert linear.mean.numpy() == pytest.approx(0, abs=0.002)


def test_its_state_is_saved_and_nothing_of_it_is_trained() -> None:
    linear = fitted()
    other = LinearDenoiser(SIZE, REGIONS)
    other.load_state_dict(linear.state_dict())
    noisy, t, _ = velocity(textures(2, 3), 400)
    assert torch.equal(other(noisy, t, unsaid(2)), linear(noisy, t, unsaid(2)))
    assert list(linear.parameters()) == []


def test_it_expects_the_colours_of_what_it_is_told() -> None:
    images, regions = tinted(400, 1)
    linear = LinearDenoiser(SIZE, REGIONS)
    linear.fit(images, told(regions))
    noise = torch.randn(400, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    t = torch.full((400,), 999)

    def colour(said: Conditions) -> np.ndarray:
        """Of the image that pure noise is taken for, 0 to 255: v is -x0 there."""
        return np.asarray((1 - linear(noise, t, said).mean((0, 2, 3))) * 127.5)

    first, second = (colour(told(np.full(400, number))) for number in (1, 2))
    assert first - second == pytest.approx(TINTS[0] - TINTS[1], abs=5)
    # What is not said is what it usually is, and the rest counts all the same.
    usual = images.mean((0, 1, 2))
    assert colour(unsaid(400)) == pytest.approx(usual, abs=1)
    assert colour(told(np.zeros(400, int))) == pytest.approx(usual, abs=1)


def test_being_told_helps_most_where_there_is_most_noise() -> None:
    images, regions = tinted(400, 1)
    linear = LinearDenoiser(SIZE, REGIONS)
    linear.fit(images, told(regions))
    images, regions = tinted(400, 2)
    worth = []
    for at in (100, 600, 950):
        noisy, t, true = velocity(images, at)
        losses = [
            float(((linear(noisy, t, said) - true) ** 2).mean())
            for said in (told(regions), told(3 - regions), unsaid(400))
        ]
        assert losses[0] <= min(losses[1:]) * 1.001
        worth.append((losses[2] - losses[0]) / losses[0])
    assert worth[0] < worth[1] < worth[2]


def test_what_nobody_says_is_not_expected() -> None:
    """Untold, mean colours differ by more than they do among images that are told the same."""
    images, regions = tinted(400, 1)
    linear = LinearDenoiser(SIZE, REGIONS)
    linear.fit(images, told(regions))
    noisy, t, true = velocity(tinted(400, 2)[0], 100)
    right = float(((linear(noisy, t, unsaid(400)) - true) ** 2).mean())
    linear.untold.zero_()
    certain = float(((linear(noisy, t, unsaid(400)) - true) ** 2).mean())
    assert right < 0.9 * certain


def test_a_region_of_few_images_hardly_counts() -> None:
    images, regions = tinted(400, 1)
    few = np.where(np.arange(400) < 4, regions, 1)  # one image of the second
    linear = LinearDenoiser(SIZE, REGIONS)
    linear.fit(images, told(few))
    many = LinearDenoiser(SIZE, REGIONS)
    many.fit(images, told(regions))
    second = -LIGHTS - 1
    assert float(linear.adds[second].norm()) < 0.2 * float(many.adds[second].norm())


def test_it_settles_on_a_regions_colour_that_it_cannot_be_told() -> None:
    images, regions = tinted(400, 1)
    linear = LinearDenoiser(SIZE, REGIONS)
    linear.fit(images, unsaid(400))
    second = images[regions == 2]
    noisy, t, true = velocity(second, 950)
    before = float(((linear(noisy, t, unsaid(100)) - true) ** 2).mean())
    shared = linear.mean.clone()
    linear.settle(second[:1], unsaid(1))
    by_one = float((linear.mean - shared).norm())
    linear.mean.copy_(shared)
    linear.settle(second, unsaid(100))
    assert (linear.mean.numpy() + 1) * 127.5 == pytest.approx(second.mean((0, 1, 2)), abs=3)
    assert by_one < 0.15 * float((linear.mean - shared).norm())  # one image tells little
    assert float(((linear(noisy, t, unsaid(100)) - true) ** 2).mean()) < 0.9 * before
