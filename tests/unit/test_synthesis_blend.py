"""Blends keep their promises: levels are shares, pairs are alike, labels sum to one."""

from __future__ import annotations

import numpy as np
import pytest
from grey_loads import loads, masked
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.grades import GRADES, Grade
from training.data.dataset import ImageSet
from training.data.trash import TRASH, trash_share
from training.errors import DataError
from training.synthesis import bases
from training.synthesis.blend import (
    LEVELS,
    PAIRS,
    alpha,
    by_segment,
    grade_at,
    plan,
)


def test_a_plan_pairs_loads_of_one_region_and_light() -> None:
    found = loads()
    blends = plan(found, 33, Grade.BURN_CLEAN, LEVELS, seed=5)
    assert [b.level for b in blends] == list(LEVELS) * 3
    for blend in blends:
        assert found.labels[blend.clean] == GRADES.index(Grade.BURN_CLEAN)
        assert found.labels[blend.trash] == GRADES.index(Grade.BURN_TRASH)
        assert blend.same_region
        assert found.rows[blend.clean].region == found.rows[blend.trash].region
    assert blends == plan(found, 33, Grade.BURN_CLEAN, LEVELS, seed=5)
    assert blends != plan(found, 33, Grade.BURN_CLEAN, LEVELS, seed=6)


def test_a_region_without_trash_takes_the_nearest_light_elsewhere() -> None:
    found = loads(120)
    alone = tuple(
        row.model_copy(update={"region": "R9"}) if label == 0 and row.region == "R0" else row
        for row, label in zip(found.rows, found.labels, strict=True)
    )
    found = ImageSet(found.images, found.labels, alone, ())
    blends = plan(found, 60, Grade.FRESH_CLEAN, [50], seed=1)
    strange = [blend for blend in blends if not blend.same_region]
    assert strange
    for blend in strange:
        assert found.rows[blend.clean].region == "R9"
        assert found.rows[blend.trash].region == "R0"  # as dark


def test_images_not_for_training_are_refused() -> None:
    with pytest.raises(DataError, match=r"0\.png: is in split test; blends take training images"):
        plan(loads(split="test"), 3, Grade.FRESH_CLEAN, LEVELS, seed=1)


def test_a_grade_with_one_image_is_refused() -> None:
    found = loads()
    keep = [i for i in range(40) if found.labels[i] != 1 or i == 2]
    few = ImageSet(found.images[keep], found.labels[keep], tuple(found.rows[i] for i in keep), ())
    with pytest.raises(DataError, match="grade fresh_trash has 1 training images"):
        plan(few, 3, Grade.FRESH_CLEAN, LEVELS, seed=1)


@pytest.mark.parametrize("clean", PAIRS)
@pytest.mark.parametrize("level", LEVELS)
def test_labels_are_shares_and_flip_at_the_boundary(clean: Grade, level: int) -> None:
    for grade in (clean, PAIRS[clean]):
        label = bases.soft_label(grade, level / 100)
        assert label.sum() == pytest.approx(1.0)
        assert label[GRADES.index(PAIRS[clean])] == pytest.approx(level / 100)
    assert grade_at(clean, level) is (clean if level < 50 else PAIRS[clean])


def test_alpha_runs_from_one_image_to_the_other() -> None:
    (first, _), (second, _) = masked(1), masked(2)
    assert np.array_equal(alpha(first, second, 0), first)
    assert np.array_equal(alpha(first, second, 100), second)
    half = alpha(first, second, 50).astype(int)
    assert np.abs(2 * half - first.astype(int) - second).max() <= 1


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), levels=st.tuples(st.integers(0, 100), st.integers(0, 100)))
def test_by_segment_a_level_is_a_share_of_trash(seed: int, levels: tuple[int, int]) -> None:
    clean, clean_mask = masked(seed)
    clean_mask[clean_mask == TRASH] = 1
    trash, trash_mask = masked(seed + 1)
    low, high = sorted(levels)
    results = {}
    for level in (low, high):
        rng = np.random.default_rng(seed)
        results[level] = by_segment(clean, clean_mask, trash, trash_mask, level, rng)
    for level, (image, mask) in results.items():
        got = (mask == TRASH).sum() / (trash_mask == TRASH).sum()
        assert got == pytest.approx(level / 100, abs=0.01)
        untouched = mask != TRASH
        assert np.array_equal(image[untouched], clean[untouched])
        assert np.array_equal(mask[untouched], clean_mask[untouched])
    assert ((results[low][1] == TRASH) <= (results[high][1] == TRASH)).all()
    assert trash_share(results[low][1]) <= trash_share(results[high][1])


def test_trash_does_not_hang_in_the_air() -> None:
    clean, clean_mask = masked(1)
    clean_mask[:24] = 0
    trash, trash_mask = masked(2)
    image, mask = by_segment(clean, clean_mask, trash, trash_mask, 100, np.random.default_rng(1))
    assert not mask[:24].any()
    assert np.array_equal(image[:24], clean[:24])


def test_masks_of_another_size_are_refused() -> None:
    image, mask = masked(1)
    with pytest.raises(DataError, match="sizes"):
        by_segment(image, mask, image, mask[:-1], 50, np.random.default_rng(1))


def test_empty_loads_have_no_trash() -> None:
    assert trash_share(np.zeros((4, 4), np.uint8)) == 0.0
