"""Intervals by truck: they cover, they widen with dependence, they agree with SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from training import bootstrap as bootstraps
from training import precision_recall, reliability
from training.bootstrap import TruckBootstrap


def width(values: np.ndarray, trucks: list[str]) -> float:
    resampled = TruckBootstrap(trucks)
    found = resampled.interval(resampled.sums(values) / resampled.sums(np.ones(len(values))))
    assert found is not None
    return found[1] - found[0]


def test_the_interval_of_a_mean_is_scipys() -> None:
    values = np.random.default_rng(1).normal(size=80)
    resampled = TruckBootstrap([f"T{i}" for i in range(80)], rounds=20_000)
    ours = resampled.interval(resampled.sums(values) / 80)
    theirs = bootstrap((values,), np.mean, method="percentile", rng=2, n_resamples=20_000)
    assert ours == pytest.approx(list(theirs.confidence_interval), abs=0.01)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    trucks = [f"T{i // 4}" for i in range(4 * 120)]
    covered = 0
    for seed in range(200):
        # Each truck has a chance of its own; its four views share it.
        chance = rng.beta(7, 3, 120).repeat(4)
        right = rng.random(480) < chance
        resampled = TruckBootstrap(trucks, rounds=500, seed=seed)
        low, high = resampled.interval(resampled.sums(right) / 480) or (1.0, 0.0)
        covered += low <= 0.7 <= high
    # 95 % of 200 with a standard deviation of 3.1; an interval by image covers about 80 %.
    assert 178 <= covered <= 199


@settings(deadline=None, max_examples=25)
@given(views=st.integers(3, 12), seed=st.integers(0, 1000))
def test_many_views_of_a_truck_say_less_than_as_many_trucks(views: int, seed: int) -> None:
    right = np.random.default_rng(seed).permutation(np.arange(60) % 3 > 0).repeat(views)
    by_truck = width(right, [f"T{i // views}" for i in range(60 * views)])
    by_image = width(right, [f"T{i}" for i in range(60 * views)])
    assert by_truck > 1.3 * by_image
    # The views add nothing: as wide as with one view of each truck.
    assert by_truck == pytest.approx(width(right[::views], [f"T{i}" for i in range(60)]), abs=0.06)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from("ABCDE"), st.integers(0, 3)), min_size=1, max_size=30))
def test_a_round_has_as_many_trucks_whole(rows: list[tuple[str, int]]) -> None:
    trucks = [truck for truck, _ in rows]
    values = np.array([value for _, value in rows])
    resampled = TruckBootstrap(trucks, rounds=20)
    assert resampled.trucks == len(set(trucks))
    order = np.random.default_rng(len(rows)).permutation(len(rows))
    times = resampled.weighted(lambda weights: (weights * values[order]).sum(1), order)
    assert resampled.sums(values).tolist() == times.tolist()
    for truck in set(trucks):
        of_it = np.array([name == truck for name in trucks])
        # All images of a truck come together: their number is a multiple of the truck's.
        assert not (resampled.sums(of_it) % of_it.sum()).any()


def test_the_same_seed_gives_the_same_interval() -> None:
    trucks = [f"T{i}" for i in range(30)]
    values = np.arange(30) % 2
    same = [TruckBootstrap(trucks, seed=3).sums(values) for _ in range(2)]
    assert np.array_equal(same[0], same[1])
    assert not np.array_equal(same[0], TruckBootstrap(trucks, seed=4).sums(values))


def test_rounds_are_the_same_however_many_are_drawn_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trucks, values = [f"T{i}" for i in range(31)], np.arange(31.0)
    at_once = TruckBootstrap(trucks, rounds=50, seed=5).sums(values)
    monkeypatch.setattr(bootstraps, "_CHUNK", 100)
    bootstraps._draws.cache_clear()
    few_at_a_time = TruckBootstrap(trucks, rounds=50, seed=5)
    assert np.array_equal(few_at_a_time.sums(values), at_once)
    times = few_at_a_time.weighted(lambda weights: weights @ values, np.arange(31))
    assert np.array_equal(times, at_once)


def test_average_precision_of_every_draw_is_scikit_learns() -> None:
    rng = np.random.default_rng(3)
    positive = rng.random(60) < 0.3
    scores = (rng.random(60) + 0.4 * positive).round(1).astype(np.float32)
    trucks = [f"T{i // 2}" for i in range(60)]
    resampled = TruckBootstrap(trucks, rounds=40)
    drawn: list[np.ndarray] = []
    resampled.weighted(
        lambda weights: drawn.append(weights) or weights[:, 0],  # type: ignore[func-returns-value]
        np.arange(60),
    )
    expected = np.array(
        [
            precision_recall.average_precision_score(positive, scores, sample_weight=weights)
            for weights in np.concatenate(drawn)
        ]
    )
    found = precision_recall.interval(scores, positive, resampled)
    assert found == pytest.approx(resampled.interval(expected), abs=1e-4)


@pytest.mark.parametrize("gap", [0.0, 0.03, 0.1])
def test_a_calibration_errors_interval_covers_it(gap: float) -> None:
    """The model is `gap` too sure of everything: that is its calibration error."""
    rng = np.random.default_rng(7)
    trucks = [f"T{i // 2}" for i in range(400)]
    covered, above_zero, widths = 0, 0, []
    for seed in range(150):
        confidence = rng.uniform(0.3, 1.0, 400).astype(np.float32)
        right = rng.random(400) < confidence - gap
        resampled = TruckBootstrap(trucks, rounds=200, seed=seed)
        low, high = reliability.interval(confidence, right, resampled) or (1.0, 0.0)
        covered += low <= gap <= high
        above_zero += low > 0
        widths.append(high - low)
    # 95 % of 150 is 142. Where the error is 0, percentiles of the bootstrap hold it 0 times, and
    # the basic interval 70 times.
    assert covered >= 135
    assert np.mean(widths) < 0.18
    if gap == 0.1:
        assert above_zero > 120  # wide, and yet it tells a model that is too sure


def test_one_truck_has_no_interval() -> None:
    resampled = TruckBootstrap(["T"] * 4, rounds=10)
    assert resampled.interval_of_norm(np.zeros((10, 2)), np.zeros(2)) is None
