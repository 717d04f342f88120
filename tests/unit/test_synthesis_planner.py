"""Plans keep to what is asked: grades, numbers, trash and looks are what they are said to be."""

from __future__ import annotations

import json

import numpy as np
import pytest
from grey_loads import SIZE, covered, half_covered, loads, scarce

from edge_agent.grades import GRADES, Grade
from training.data.dataset import ImageSet
from training.data.trash import TRASH, trash_share
from training.synthesis import bases
from training.synthesis.blend import LEVELS, by_segment
from training.synthesis.planner import Planner


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
        assert json.loads(told["parent_trucks"])[-1] == found.rows[base.look].truck
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
