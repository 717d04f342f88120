"""What lies on the bed: settled, folded, and as much of it as the truth says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.grades import Grade
from simulator.heap import BED
from simulator.items import Items, Kind
from simulator.load import build_load
from simulator.trash import draw_leaves, fold_leaves
from simulator.truth import Form, Truck, draw_truck
from simulator.viewpoints import LOAD_TOP_Z


def a_truck(form: Form = "whole", **changes: object) -> Truck:
    truck = draw_truck(np.random.default_rng(3), 0.3, Grade.FRESH_TRASH, form=form)
    return replace(truck, **changes)  # type: ignore[arg-type]


def total_length(items: Items) -> float:
    return float(np.linalg.norm(items.end - items.start, axis=1).sum())


@given(seed=st.integers(0, 2**32 - 1), form=st.sampled_from(["whole", "billets"]))
def test_folding_keeps_every_leaf_in_one_piece_and_as_long(seed: int, form: Form) -> None:
    leaves = draw_leaves(a_truck(form), np.random.default_rng(seed), 0.02)
    before = leaves.take(np.arange(len(leaves)))
    folded = fold_leaves(leaves, np.random.default_rng(seed))
    assert total_length(folded) == pytest.approx(total_length(before), rel=1e-4)
    halves = len(folded) - len(before)
    bent = np.flatnonzero((folded.end[: len(before)] != before.end).any(axis=1))
    assert len(bent) == halves > 0
    assert np.array_equal(folded.start[len(before) :], folded.end[bent])
    assert np.all(folded.kind[len(before) :] == Kind.LEAF)


@pytest.mark.parametrize("form", ["whole", "billets"])
def test_more_trash_share_means_more_leaf(form: Form) -> None:
    amounts = []
    for cover in (0.05, 0.3, 0.7):
        leaves = draw_leaves(a_truck(form), np.random.default_rng(0), cover)
        widths = leaves.half.sum(axis=1)
        lengths = np.linalg.norm(leaves.end - leaves.start, axis=1)
        amounts.append(float((widths * lengths).sum()))
    assert amounts[0] < 0.3 * amounts[1] < 0.3 * amounts[2]


def test_a_load_rests_on_the_bed_and_an_empty_truck_holds_a_handful() -> None:
    load = build_load(a_truck())
    stalks = load.take(load.kind == Kind.STALK)
    middle = 0.5 * (stalks.start + stalks.end)
    assert len(stalks) > 1000
    assert np.all(np.abs(middle[:, 1]) < BED[1])
    assert LOAD_TOP_Z - 0.6 < middle[:, 2].max() < LOAD_TOP_Z + 0.8
    empty = build_load(a_truck(cause="empty"))
    assert (empty.kind == Kind.STALK).sum() < 0.05 * len(stalks)
    assert np.quantile(empty.start[:, 2], 0.9) < 0.5
