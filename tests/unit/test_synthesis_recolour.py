"""A load in another's colours: class by class, its shapes kept."""

from __future__ import annotations

from typing import get_args

import cv2
import numpy as np
import pytest

from training.data.trash import STALK, TRASH
from training.synthesis.blend import Image
from training.synthesis.recolour import Transfer, recoloured

SIZE = 32


def load(
    stalk: tuple[int, int, int], trash: tuple[int, int, int], seed: int
) -> tuple[Image, Image]:
    """Stripes of stalk and of trash, in these colours and a little of noise, and their mask."""
    rng = np.random.default_rng(seed)
    mask = np.full((SIZE, SIZE), STALK, np.uint8)
    mask[np.arange(SIZE) % 4 == seed % 4] = TRASH
    colours = np.where((mask == TRASH)[..., None], trash, stalk)
    return (colours + rng.normal(0, 6, colours.shape)).clip(0, 255).astype(np.uint8), mask


FRESH = load((90, 140, 60), (200, 190, 120), 0)
BURNT = load((70, 50, 40), (120, 100, 60), 1)


by_either = pytest.mark.parametrize("transfer", get_args(Transfer))


def means(image: Image, mask: Image) -> np.ndarray:
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(float)
    return np.array([lab[mask == kind].mean(0) for kind in (STALK, TRASH)])


@by_either
def test_each_class_gets_the_colours_of_the_same_class(transfer: Transfer) -> None:
    drawn = recoloured(*FRESH, *BURNT, transfer=transfer)
    assert means(drawn, FRESH[1]) == pytest.approx(means(*BURNT), abs=1.5)
    # By the whole image, stalks would be of the colours between.
    together = recoloured(FRESH[0], FRESH[1] * 0, BURNT[0], BURNT[1] * 0)
    assert np.abs(means(together, FRESH[1]) - means(*BURNT)).max() > 4


@by_either
def test_shapes_stay(transfer: Transfer) -> None:
    drawn = recoloured(*FRESH, *BURNT, transfer=transfer)
    grey, ours = (cv2.cvtColor(i, cv2.COLOR_RGB2GRAY) for i in (drawn, FRESH[0]))
    assert np.corrcoef(grey.ravel(), ours.ravel())[0, 1] > 0.8


def test_by_its_distribution_as_much_is_black_as_there() -> None:
    (dim, fresh_mask), (image, mask) = load((90, 130, 60), (120, 110, 70), 0), BURNT
    glints = np.random.default_rng(2).exponential(40, (SIZE, SIZE, 1))
    fresh = (dim + glints).clip(0, 255).astype(np.uint8)
    charred = image.copy()
    charred[:, : SIZE // 4] = 8
    ways = [recoloured(fresh, fresh_mask, charred, mask, transfer=t) for t in get_args(Transfer)]
    dark = [cv2.cvtColor(drawn, cv2.COLOR_RGB2GRAY) < 16 for drawn in ways]
    assert [found.mean() for found in dark] == pytest.approx([0.0, 0.25], abs=0.03)


@by_either
def test_a_load_in_its_own_colours_is_itself(transfer: Transfer) -> None:
    drawn = recoloured(*FRESH, *FRESH, transfer=transfer)
    assert np.abs(drawn.astype(int) - FRESH[0]).max() <= 1


@by_either
def test_a_class_that_the_other_has_not_gets_the_colours_of_all(transfer: Transfer) -> None:
    image, mask = BURNT
    only_stalk = np.where(mask == TRASH, np.uint8(0), mask)
    drawn = recoloured(*FRESH, image, only_stalk, transfer=transfer)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(float).mean((0, 1))
    assert means(drawn, FRESH[1])[1] == pytest.approx(lab, abs=1.5)


@by_either
def test_flat_colours_do_not_blow_up_noise(transfer: Transfer) -> None:
    flat = np.full((SIZE, SIZE, 3), 120, np.uint8)
    flat[0, 0] = 121
    nothing = np.zeros((SIZE, SIZE), np.uint8)
    drawn = recoloured(flat, nothing, *BURNT[:1], nothing, transfer=transfer)
    assert np.ptp(drawn.astype(int), axis=(0, 1)).max() <= 4


@by_either
def test_what_is_of_one_colour_stays_so(transfer: Transfer) -> None:
    flat, mask = np.full_like(FRESH[0], 200), FRESH[1] * 0
    drawn = recoloured(flat, mask, *BURNT, transfer=transfer)
    assert np.ptp(drawn.astype(int), axis=(0, 1)).max() <= 1


@by_either
def test_a_single_pixel_gets_a_colour_from_the_middle(transfer: Transfer) -> None:
    image, mask = FRESH[0], np.full_like(FRESH[1], STALK)
    mask[5, 7] = TRASH
    drawn = recoloured(image, mask, *BURNT, transfer=transfer)
    middle = means(*BURNT)[1]
    lab = cv2.cvtColor(drawn, cv2.COLOR_RGB2LAB).astype(float)[5, 7]
    assert lab == pytest.approx(middle, abs=3)
