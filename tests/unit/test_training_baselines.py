"""The baselines: features of known images, and the choice on the validation split."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from training import baselines
from training.data.dataset import ImageSet
from training.data.manifest import Row


def image_set(count: int, seed: int, grades: int = 3) -> ImageSet:
    """Noise around a grey that tells the grade."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % grades
    images = rng.normal(60.0 + 50 * labels[:, None, None, None], 12, (count, 16, 16, 3))
    row = Row(image="x", truck="T")
    pixels = images.clip(0, 255).astype(np.uint8)
    return ImageSet(pixels, labels.astype(np.int64), (row,) * count, ())


def test_a_histogram_holds_the_shares_of_colours() -> None:
    image = np.zeros((1, 4, 4, 3), np.uint8)
    image[0, 0, :] = (255, 0, 31)  # a quarter of the pixels
    found = baselines.colour_histogram(image)[0].reshape(8, 8, 8)
    assert found[7, 0, 0] == pytest.approx(0.5)
    assert found[0, 0, 0] == pytest.approx(np.sqrt(0.75))
    assert (found > 0).sum() == 2


def test_logistic_regression_learns_and_knows_what_it_has_not_seen() -> None:
    train, validation, test = image_set(60, 1), image_set(30, 2), image_set(30, 3)
    features = [baselines.colour_histogram(s.images) for s in (train, validation, test)]
    model, c = baselines.fitted((features[0], train), (features[1], validation))
    assert c in baselines.PENALTIES
    found = baselines.probabilities(model, features[2])
    assert (found.argmax(1) == test.labels).mean() > 0.9
    assert found.sum(1) == pytest.approx(np.ones(30), abs=1e-5)
    assert found[:, 3:].max() < 1e-30


def test_features_of_imagenet_tell_a_chessboard_from_a_wall() -> None:
    if not baselines.has_frozen_features():
        pytest.skip("needs canegrade[benchmarks]")
    wall = np.full((64, 64, 3), 128, np.uint8)
    board = (np.indices((64, 64)).sum(0) // 8 % 2 * 255).astype(np.uint8)
    board = np.repeat(board[..., None], 3, 2)
    found = baselines.frozen_features(np.stack([wall, board, cv2.flip(board, 1)]))
    assert found.shape == (3, 1280)
    distance = np.linalg.norm(found[:, None] - found, axis=2)
    assert distance[0, 1] > 2 * distance[1, 2]
