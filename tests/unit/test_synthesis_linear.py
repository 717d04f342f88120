"""The linear denoiser: it computes the expectation it claims, and is better than one variance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.synthesis.linear import LinearDenoiser
from training.synthesis.schedule import noise_schedule
from training.synthesis.space import to_signal

SIZE = 16

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


def fitted() -> LinearDenoiser:
    linear = LinearDenoiser(SIZE)
    linear.fit(textures(300, 1))
    return linear


@pytest.mark.parametrize("at", [20, 200, 500, 800, 990])
def test_it_is_the_best_that_is_linear(at: int) -> None:
    """No regression on the noisy pixels does better on new images than by its own noise."""
    linear = fitted()
    noisy, t, true = velocity(textures(400, 2), at)
    ours = float(((linear(noisy, t) - true) ** 2).mean())
    flat = LinearDenoiser(SIZE)
    with torch.no_grad():
        flat.mean.copy_(linear.mean)
        flat.power.fill_(float(linear.power.mean()))
    of_one_variance = float(((flat(noisy, t) - true) ** 2).mean())
    assert ours <= of_one_variance * 1.001
    if 100 < at < 600:
        assert ours < 0.9 * of_one_variance
    # Nothing that a multiple of its own answer, or of its input, adds makes it better.
    left = true - linear(noisy, t)
    for other in (linear(noisy, t), noisy - noisy.mean((0, 2, 3), keepdim=True)):
        gain = float((left * other).mean() / (other**2).mean())
        assert abs(gain) < 0.02


def test_white_noise_has_its_variance_at_every_frequency() -> None:
    rng = np.random.default_rng(1)
    images = rng.normal(127.5, 25.5, (2000, SIZE, SIZE, 3)).round().clip(0, 255).astype(np.uint8)
    linear = LinearDenoiser(SIZE)
    linear.fit(images)
    assert linear.power.numpy() == pytest.approx(0.2**2, rel=0.25)
    assert float(linear.power.mean()) == pytest.approx(0.2**2, rel=0.01)
    assert linear.mean.numpy() == pytest.approx(0, abs=0.002)


def test_its_state_is_saved_and_nothing_of_it_is_trained() -> None:
    linear = fitted()
    other = LinearDenoiser(SIZE)
    other.load_state_dict(linear.state_dict())
    noisy, t, _ = velocity(textures(2, 3), 400)
    assert torch.equal(other(noisy, t), linear(noisy, t))
    assert list(linear.parameters()) == []
