"""Canny's edges, and which shape they belong to."""

from __future__ import annotations

import numpy as np
import pytest
from grey_loads import masked

from training.data.trash import TRASH
from training.synthesis.edges import canny, shapes


@pytest.mark.parametrize("gain", [1.0, 0.25])
def test_dark_images_have_as_many_edges_as_bright_ones(gain: float) -> None:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (12, 12, 3)).astype(np.uint8)
    image = (np.kron(coarse, np.ones((8, 8, 1))) * gain).astype(np.uint8)
    share = (canny(image) > 0).mean()
    assert 0.04 < share < 0.15


def test_noise_has_no_edges() -> None:
    rng = np.random.default_rng(3)
    flat = (100 + rng.integers(0, 2, (64, 64, 3))).astype(np.uint8)
    assert not canny(flat).any()


def test_shapes_share_the_edges_among_them() -> None:
    image, mask = masked(4)
    edges = canny(image)
    stalk, trash, other = planes = shapes(edges, mask)
    assert np.array_equal(planes.max(0), edges)
    assert not ((planes > 0).sum(0) > 1).any()
    assert (mask[stalk > 0] == 1).all()
    assert (mask[trash > 0] == TRASH).all()
    assert (mask[other > 0] == 0).all()
