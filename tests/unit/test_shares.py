"""Which share of synthetic images a grade takes, from what trials said of validation images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.experiments.config import Run
from training.experiments.shares import SHARES, choose, losses_of

ONE_EACH = [f"T{number}" for number in range(200)]


def test_a_grade_is_told_apart_by_how_far_it_is_from_the_rest_not_by_loudness() -> None:
    random = torch.Generator().manual_seed(1)
    labels = np.arange(400) % 5
    right = torch.nn.functional.one_hot(torch.from_numpy(labels), 5)
    said = 2.0 * right + torch.randn(400, 5, generator=random)
    plain = losses_of(said, labels).mean(0)
    assert losses_of(said * 0.5, labels).mean(0) == pytest.approx(plain, rel=1e-3)
    # Grades 0 and 1 moved towards each other: they suffer, the others do not.
    near = said.clone()
    near[labels == 0, 1] += 1.5
    near[labels == 1, 0] += 1.5
    blurred = losses_of(near, labels).mean(0)
    assert min(blurred[:2] / plain[:2]) > 1.3
    assert max(blurred[2:] / plain[2:]) < 1.3


def losses(*better: float) -> dict[float, np.ndarray]:
    """Of trials with each share; better: by how much each but 0 is than that, in all grades."""
    random = np.random.default_rng(1)
    without = random.exponential(0.3, (200, 5))
    noisy = {
        share: without - gain + random.normal(0, 0.2, (200, 5))
        for share, gain in zip(SHARES[1:], better, strict=True)
    }
    return {0.0: without, **noisy}


def test_the_best_share_is_taken_where_it_is_better_than_none_by_more_than_chance() -> None:
    assert choose(losses(0.1, 0.2, 0.05), ONE_EACH) == (0.5,) * 5
    assert choose(losses(-0.1, -0.2, -0.3), ONE_EACH) == (0.0,) * 5
    # A standard error is 0.2 / sqrt(200) = 0.014: of nothing but noise most grades take none.
    found = [choose({**losses(0, 0, 0)}, ONE_EACH)]
    assert np.count_nonzero(found) <= 2


def test_each_grade_chooses_for_itself() -> None:
    found = losses(0.1, 0.1, 0.1)
    found[0.75][:, 3] -= 0.2
    found[0.25][:, 1] += 1.0
    found[0.5][:, 1] += 1.0
    found[0.75][:, 1] += 1.0
    chosen = choose(found, ONE_EACH)
    assert (chosen[1], chosen[3]) == (0.0, 0.75)


def test_many_images_of_few_trucks_say_less() -> None:
    """Four trucks: three gain a little, one much; 50 images each say the same."""
    of = np.repeat(np.arange(4), 50)
    gain = np.array([0.01, -0.01, 0.0, 0.1])[of][:, None].repeat(5, 1)
    without = np.full((200, 5), 0.5)
    tried = {0.0: without, 0.5: without - gain}
    assert choose(tried, ONE_EACH) == (0.5,) * 5
    assert choose(tried, [f"T{truck}" for truck in of]) == (0.0,) * 5
    assert choose(tried, ["T0"] * 200) == (0.0,) * 5


def test_the_first_seed_chooses_unless_another_run_judges() -> None:
    assert Run("mobilenetv2", "synthesized", 3).chooser((1, 2, 3)).seed == 1
    assert Run("mobilenetv2", "rendered", 1).chooser((1, 2, 3)).seed == 1
    assert Run("mobilenetv2", "judged", 3).chooser((1, 2, 3)).seed == 3
