"""Blends keep their promises: of training images only, levels are shares, labels sum to one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.grades import GRADES, Grade
from training.data.dataset import ImageSet
from training.data.manifest import Row, Split
from training.data.trash import STALK, trash_share
from training.errors import DataError
from training.synthesis import bases
from training.synthesis.blend import (
    LEVELS,
    PAIRS,
    TRASH,
    Image,
    alpha,
    by_segment,
    grade_at,
    plan,
)
from training.synthesis.boundary import Boundary
from training.synthesis.edges import canny, shapes
from training.synthesis.planner import Planner

SIZE = 48
BURNT = (Grade.BURN_CLEAN, Grade.BURN_TRASH)


def loads(count: int = 40, split: Split = "train") -> ImageSet:
    """Two regions: R0 is dark, R1 is bright. Within each, lightness grows with the number."""
    rng = np.random.default_rng(1)
    images, rows = [], []
    for i in range(count):
        grey = 30 + 150 * (i % 2) + i / 4
        images.append(np.clip(rng.normal(grey, 8, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8))
        rows.append(Row(image=f"{i}.png", truck=f"T{i}", region=f"R{i % 2}", split=split))
    labels = np.array([(i // 2) % len(GRADES) for i in range(count)], np.int64)
    return ImageSet(np.stack(images), labels, tuple(rows), ())


def masked(seed: int) -> tuple[Image, Image]:
    """A load with all three classes, by rows and at random."""
    rng = np.random.default_rng(seed)
    mask = np.ones((SIZE, SIZE), np.uint8)
    mask[rng.random(mask.shape) < 0.4] = TRASH
    mask[:6] = 0
    image = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    return image, mask


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


def test_without_blends_each_candidate_is_one_load_of_its_grade() -> None:
    found = loads()
    wanted = {Grade.BURN_CLEAN: 12, Grade.BURN_TRASH: 7}
    planner = Planner(found, None, seed=1)
    single = planner.plan(wanted, method="single", levels=LEVELS)
    assert [base.number for base in single] == list(range(19))
    for base in single:
        (parent,) = base.parents
        assert found.labels[parent] == GRADES.index(base.grade)
        assert base.level == (100 if base.grade is Grade.BURN_TRASH else 0)
        assert base.soft_label.tolist() == [float(grade is base.grade) for grade in GRADES]
        assert bases.provenance(base, found)["method"] == "single"
    assert {grade: sum(base.grade is grade for base in single) for grade in wanted} == wanted
    blended = planner.plan(wanted, method="alpha", levels=LEVELS)
    assert all(len(base.parents) == 2 for base in blended)


def scarce(left: int) -> ImageSet:
    """Of burnt loads so many of each grade are left."""
    every = loads(200)
    few = [np.flatnonzero(every.labels == GRADES.index(g))[:left] for g in BURNT]
    fresh = np.flatnonzero(~np.isin(every.labels, [GRADES.index(g) for g in BURNT]))
    return every[np.concatenate([fresh, *few])]


@pytest.mark.parametrize("with_masks", [True, False])
def test_translated_the_shapes_are_of_the_commoner_cane_and_the_look_is_of_the_grade(
    with_masks: bool,
) -> None:
    found = scarce(4)
    planner = Planner(found, covered(found) if with_masks else None, seed=1)
    wanted = {Grade.FRESH_TRASH: 5, Grade.BURN_CLEAN: 20, Grade.BURN_TRASH: 20, Grade.UNDEFINED: 3}
    planned = planner.plan(wanted, method="translate", levels=LEVELS)
    assert [base.number for base in planned] == list(range(48))
    assert {grade: sum(base.grade is grade for base in planned) for grade in wanted} == wanted
    for base in planned:
        parents = [GRADES[found.labels[parent]] for parent in base.parents]
        if base.grade is Grade.UNDEFINED:
            assert (parents, base.look) == ([Grade.UNDEFINED], None)
            continue
        assert parents == [Grade.FRESH_CLEAN, Grade.FRESH_TRASH]
        assert base.soft_label[GRADES.index(base.grade)] >= 0.5
        if base.grade is Grade.FRESH_TRASH:  # the commoner kind itself
            assert base.look is None
            continue
        assert base.look is not None
        assert GRADES[found.labels[base.look]] is base.grade
        assert base.region == found.rows[base.look].region
        # Both are of one grey all over; what is drawn has that of the look.
        look = found.images[base.look]
        assert planner.draw(base).mean() == pytest.approx(look.mean(), abs=3)
        told = bases.provenance(base, found)
        assert told["method"] == f"translate {base.method}"
        assert base.method == ("segment" if with_masks else "alpha")
        assert told["parent_trucks"].split()[-1] == found.rows[base.look].truck
    looks = {base.look for base in planned if base.grade is Grade.BURN_TRASH}
    assert len(looks) == 4
    # The grade whose shapes these are has other pairs of its own.
    of = {g: [b.parents for b in planned if b.grade is g] for g in wanted}
    assert of[Grade.BURN_TRASH][:5] != of[Grade.FRESH_TRASH]


def test_where_no_other_cane_is_commoner_nothing_is_translated() -> None:
    found = loads(200)  # as many of all
    planner = Planner(found, covered(found), seed=1)
    wanted = {Grade.BURN_CLEAN: 6, Grade.BURN_TRASH: 6}
    planned = planner.plan(wanted, method="translate", levels=LEVELS)
    assert planned == planner.plan(wanted, method="segment", levels=LEVELS)


@pytest.mark.parametrize("with_masks", [True, False])
def test_recoloured_one_by_one_the_commoner_cane_lends_its_loads(with_masks: bool) -> None:
    found = scarce(4)
    planner = Planner(found, half_covered(found) if with_masks else None, seed=1)
    wanted = {Grade.FRESH_TRASH: 5, Grade.BURN_CLEAN: 20, Grade.BURN_TRASH: 20, Grade.UNDEFINED: 3}
    planned = planner.plan(wanted, method="translate-single", levels=LEVELS)
    assert [base.number for base in planned] == list(range(48))
    assert {grade: sum(base.grade is grade for base in planned) for grade in wanted} == wanted
    shapes = {Grade.BURN_CLEAN: Grade.FRESH_CLEAN, Grade.BURN_TRASH: Grade.FRESH_TRASH}
    for base in planned:
        (parent,) = base.parents
        assert base.look is not None
        assert base.look != parent
        assert GRADES[found.labels[parent]] is shapes.get(base.grade, base.grade)
        assert GRADES[found.labels[base.look]] is base.grade
        assert base.soft_label.tolist() == [float(grade is base.grade) for grade in GRADES]
        look = found.images[base.look]
        assert planner.draw(base).mean() == pytest.approx(look.mean(), abs=3)
        assert planner.trash_shown(base) is None  # nothing here tells it
        assert bases.provenance(base, found)["method"] == "translate single"
    of = {g: [b.parents for b in planned if b.grade is g] for g in wanted}
    assert of[Grade.BURN_TRASH][:5] != of[Grade.FRESH_TRASH]


def test_told_apart_by_masks_the_ground_keeps_to_the_ground_of_the_look() -> None:
    found = scarce(4)
    masks = half_covered(found)
    grounds = found.images.copy()
    grounds[masks == 0] = 3  # lit or not, the ground is black
    found = ImageSet(grounds, found.labels, found.rows, ())
    planner = Planner(found, masks, seed=1)
    for base in planner.plan({Grade.BURN_CLEAN: 8}, method="translate-single", levels=LEVELS):
        assert base.look is not None
        drawn = planner.draw(base)
        black = (drawn == 3).all(-1)
        assert black.mean() == pytest.approx(0.5)
        thing = found.images[base.look][masks[base.look] == 1]
        assert drawn[~black].mean() == pytest.approx(thing.mean(), abs=3)


def test_recoloured_one_by_one_a_load_shows_the_trash_that_its_own_mask_shows() -> None:
    found = scarce(4)
    masks = covered(found)
    planner = Planner(found, masks, seed=1)
    for base in planner.plan({Grade.BURN_TRASH: 8}, method="translate-single", levels=LEVELS):
        assert base.look is not None
        assert planner.trash_shown(base) == trash_share(masks[base.parents[0]])
        look = found.images[base.look]
        assert planner.draw(base).mean() == pytest.approx(look.mean(), abs=3)


def test_a_stray_pixel_is_no_trash() -> None:
    found = loads(200)
    masks = half_covered(found)
    masks[7, 3, 3] = TRASH  # as a network's mistake
    assert not Planner(found, masks, seed=1).has_trash


def test_masks_without_any_trash_say_nothing_of_it() -> None:
    found = loads(200)
    with_masks, without = Planner(found, half_covered(found), seed=1), Planner(found, None, seed=1)
    wanted = {Grade.BURN_CLEAN: 6, Grade.BURN_TRASH: 6}
    # By segment nothing would be laid on, whatever the level says.
    planned = with_masks.plan(wanted, method="segment", levels=LEVELS)
    assert planned == without.plan(wanted, method="segment", levels=LEVELS)
    assert {base.method for base in planned} == {"alpha"}
    assert with_masks.boundary is None


def half_covered(found: ImageSet) -> Image:
    """Masks of single things: stalk on the left, ground on the right."""
    masks = np.zeros((len(found), SIZE, SIZE), np.uint8)
    masks[:, :, : SIZE // 2] = STALK
    return masks


def covered(found: ImageSet) -> Image:
    """Masks of loads, in squares: clean ones have 0 to 20 % of trash, trashy ones 40 to 90."""
    rng = np.random.default_rng(7)
    masks = np.ones((len(found), SIZE, SIZE), np.uint8)
    for mask, label in zip(masks, found.labels, strict=True):
        share = rng.uniform(40, 90) if GRADES[label].has_trash else rng.uniform(0, 20)
        squares = rng.random((6, 6)) < share / 100
        mask[np.kron(squares, np.ones((SIZE // 6, SIZE // 6), bool))] = TRASH
    return masks


def test_by_segment_the_mask_says_what_a_blend_counts_as() -> None:
    found = loads(200)
    planner = Planner(found, covered(found), seed=1)
    assert planner.boundary is not None
    assert 20 < planner.boundary.share < 45
    wanted = {Grade.BURN_CLEAN: 40, Grade.BURN_TRASH: 60, Grade.UNDEFINED: 5}
    planned = planner.plan(wanted, method="segment", levels=LEVELS)
    assert [base.number for base in planned] == list(range(105))
    assert {grade: sum(base.grade is grade for base in planned) for grade in wanted} == wanted
    blends = [base for base in planned if base.method == "segment"]
    for base in blends:
        assert (base.trash >= planner.boundary.share) == base.grade.has_trash
        assert base.trashy == pytest.approx(planner.boundary.trashy(base.trash))
        assert base.soft_label[GRADES.index(base.grade)] >= 0.5
        assert base.soft_label.sum() == pytest.approx(1.0)
    # Half of a heap is a heap, and a little of a little is none: a level alone does not tell.
    assert {base.level for base in blends if base.grade.has_trash} >= {30, 100}
    assert {base.level for base in blends if not base.grade.has_trash} >= {0, 30}


def test_the_trash_told_is_what_is_drawn() -> None:
    found = loads(200)
    masks = covered(found)
    planner = Planner(found, masks, seed=1)
    for base in planner.plan({Grade.FRESH_TRASH: 20}, method="segment", levels=LEVELS):
        ours, theirs = base.parents
        image, mask = by_segment(
            *(found.images[ours], masks[ours], found.images[theirs], masks[theirs]),
            *(base.level, np.random.default_rng([1, base.number])),
        )
        assert trash_share(mask) == base.trash
        turned = [image, image[::-1], image[:, ::-1], image[::-1, ::-1]]
        assert any(np.array_equal(planner.draw(base), one) for one in turned)


def test_a_load_as_it_is_counts_as_what_it_is_labelled() -> None:
    found = loads(200)
    masks = covered(found)
    masks[np.flatnonzero(found.labels == 2)[:5]] = TRASH  # clean ones, labelled so by mistake
    planner = Planner(found, masks, seed=1)
    planned = planner.plan({Grade.BURN_TRASH: 60}, method="segment", levels=(0, 100))
    assert {base.level for base in planned} == {100}
    assert planner.plan({Grade.BURN_TRASH: 9}, method="segment", levels=(0,)) == []


def test_a_transparency_shows_a_part_of_both_loads_trash() -> None:
    found = loads(200)
    masks = covered(found)
    planner = Planner(found, masks, seed=1)
    for base in planner.plan({Grade.BURN_TRASH: 22}, method="alpha", levels=LEVELS):
        clean, trashy = (trash_share(masks[parent]) for parent in base.parents)
        share = base.level / 100
        assert base.trash == pytest.approx((1 - share) * clean + share * trashy)
        assert (base.level >= 50, base.trashy) == (True, share)
    without = Planner(found, None, seed=1)
    for base in without.plan({Grade.BURN_TRASH: 22}, method="alpha", levels=LEVELS):
        assert base.trash == pytest.approx(base.level)


def test_where_no_load_is_seen_its_trash_is_not_known() -> None:
    found = loads(200)
    masks = covered(found)
    known = Planner(found, masks, seed=1).boundary
    dark = np.flatnonzero(found.labels == 3)[:10]
    without = [i for i in range(200) if i not in set(dark)]
    rows = tuple(found.rows[i] for i in without)
    fewer = ImageSet(found.images[without], found.labels[without], rows, ())
    masks[dark] = 0
    assert Planner(found, masks, seed=1).boundary != known
    assert Planner(found, masks, seed=1).boundary == Planner(fewer, masks[without], seed=1).boundary


def test_masks_that_tell_nothing_are_not_believed() -> None:
    found = loads(200)
    rng = np.random.default_rng(1)
    masks = rng.integers(1, 3, (200, SIZE, SIZE)).astype(np.uint8)
    planner = Planner(found, masks, seed=1)
    assert planner.boundary is None
    for base in planner.plan({Grade.BURN_TRASH: 22}, method="segment", levels=LEVELS):
        assert (base.level >= 50, base.trashy) == (True, base.level / 100)


@settings(deadline=None)
@given(
    clean=st.lists(st.floats(0, 40), min_size=10, max_size=30),
    trashy=st.lists(st.floats(45, 100), min_size=10, max_size=30),
)
def test_a_boundary_lies_between_loads_that_are_apart(
    clean: list[float], trashy: list[float]
) -> None:
    shares = np.array(clean + trashy)
    labels = np.array([False] * len(clean) + [True] * len(trashy))
    found = Boundary.of(shares, labels)
    assert found is not None
    assert found.accuracy > 0.75
    assert found.trashy(found.share) == pytest.approx(0.5)
    assert found.trashy(0) < 0.5 < found.trashy(100)
    # Which grade is the scarcer one moves nothing: each load of the one ten times over.
    tenfold = Boundary.of(
        np.repeat(shares, np.where(labels, 10, 1)), np.repeat(labels, np.where(labels, 10, 1))
    )
    assert tenfold is not None
    assert tenfold.share == pytest.approx(found.share, abs=3)


def test_too_few_loads_or_the_wrong_way_round_make_no_boundary() -> None:
    shares, trashy = np.repeat([1.0, 90.0], 10), np.repeat([False, True], 10)
    assert Boundary.of(shares, trashy) is not None
    assert Boundary.of(shares[1:], trashy[1:]) is None
    assert Boundary.of(shares[:10], trashy[:10]) is None
    assert Boundary.of(shares, ~trashy) is None


def test_partners_get_as_many_as_the_scarcer_one() -> None:
    wanted = {Grade.FRESH_TRASH: 7, Grade.BURN_CLEAN: 3, Grade.BURN_TRASH: 5, Grade.UNDEFINED: 2}
    labels = loads().labels
    assert bases.with_partners(wanted, labels) == {
        Grade.FRESH_CLEAN: 7,
        Grade.FRESH_TRASH: 7,
        Grade.BURN_CLEAN: 5,
        Grade.BURN_TRASH: 5,
        Grade.UNDEFINED: 2,
    }
    assert bases.with_partners({Grade.UNDEFINED: 2}, labels) == {Grade.UNDEFINED: 2}
    alone = {Grade.FRESH_TRASH: 7}
    assert bases.with_partners(alone, labels[labels != 0]) == alone


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
