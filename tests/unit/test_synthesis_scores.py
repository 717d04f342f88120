"""Scores of a set of images are what their papers define, counted out one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.synthesis import scores as module
from training.synthesis.scores import LEAST, NEIGHBOURS, fid, kid, nearest, scores


def cloud(seed: int, count: int, dimensions: int = 3, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    # Features are of 32 bits; what is computed of them here is to be as exact as there.
    return rng.normal(shift, 1, (count, dimensions)).astype(np.float32).astype(np.float64)


def ball(point: np.ndarray, among: np.ndarray) -> float:
    """The distance to the fifth nearest of the others."""
    apart = sorted(float(np.linalg.norm(point - other)) for other in among)
    return apart[NEIGHBOURS]  # the first is the point itself


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(LEAST, 12), st.integers(LEAST, 12), st.floats(0, 3))
def test_manifolds_are_counted_as_defined(seed: int, n: int, m: int, shift: float) -> None:
    real, made = cloud(seed, n), cloud(seed + 1, m, shift=shift)
    apart = [[float(np.linalg.norm(r - s)) for s in made] for r in real]
    around_real = [ball(r, real) for r in real]
    around_made = [ball(s, made) for s in made]
    inside = [[apart[i][j] < around_real[i] for j in range(m)] for i in range(n)]
    found = scores(real, made)
    assert found is not None
    assert found["precision"] == pytest.approx(
        sum(any(inside[i][j] for i in range(n)) for j in range(m)) / m
    )
    assert found["density"] == pytest.approx(sum(map(sum, inside)) / (NEIGHBOURS * m))
    assert found["recall"] == pytest.approx(
        sum(any(apart[i][j] < around_made[j] for j in range(m)) for i in range(n)) / n
    )
    assert found["coverage"] == pytest.approx(
        sum(min(apart[i]) < around_real[i] for i in range(n)) / n
    )


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 20), st.integers(3, 20))
def test_distances_of_distributions_are_as_defined(seed: int, n: int, m: int) -> None:
    # Of more features than images too.
    real, made = cloud(seed, n, 6), cloud(seed + 1, m, 6, 0.5)
    a, b = np.cov(real, rowvar=False), np.cov(made, rowvar=False)
    between = ((real.mean(0) - made.mean(0)) ** 2).sum()
    # The trace of a matrix's root is the sum of the roots of its eigenvalues.
    roots = np.sqrt(np.linalg.eigvals(a @ b).real.clip(0))
    expected = between + np.trace(a + b) - 2 * roots.sum()
    assert fid(real, made) == pytest.approx(expected, rel=1e-3, abs=1e-3)

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / 6 + 1) ** 3)

    within = [
        np.mean([kernel(x[i], x[j]) for i in range(len(x)) for j in range(len(x)) if i != j])
        for x in (real, made)
    ]
    crossed = np.mean([kernel(x, y) for x in real for y in made])
    assert kid(real, made) == pytest.approx(sum(within) - 2 * crossed)


def test_scores_are_the_same_however_many_rows_are_taken_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, made = cloud(1, 40), cloud(2, 50, shift=0.5)
    at_once = scores(real, made)
    monkeypatch.setattr(module, "_ROWS", 7)
    assert scores(real, made) == pytest.approx(at_once)


def test_one_image_many_times_is_precise_and_covers_nothing() -> None:
    real = cloud(1, 60)
    found = scores(real, real[:1] + cloud(2, 60) * 1e-3)
    assert found is not None
    assert found["precision"] == 1
    assert found["recall"] < 0.1
    assert found["coverage"] < 0.3
    far = scores(real, cloud(2, 60, shift=50))
    assert far is not None
    assert [far[name] for name in ("precision", "recall", "density", "coverage")] == [0, 0, 0, 0]
    assert far["kid"] > 100 * abs(kid(real, cloud(3, 60)))


def test_of_few_images_nothing_is_said() -> None:
    assert scores(cloud(1, LEAST - 1), cloud(2, 60)) is None
    assert scores(cloud(1, 60), cloud(2, LEAST - 1)) is None


def test_the_nearest_is_measured() -> None:
    among = np.array([[0, 0], [10, 0]], np.float32)
    assert nearest(np.array([[3, 4], [10, 1]], np.float32), among).tolist() == [5, 1]


def test_the_nearest_of_another_truck_is_measured_in_any_number() -> None:
    n = 2500  # more than are taken at a time
    features, among = (cloud(seed, n).astype(np.float32) for seed in (1, 2))
    rng = np.random.default_rng(3)
    ours, theirs = (rng.integers(0, 40, n) for _ in range(2))
    found = nearest(features, among, apart=(ours, theirs))
    for i in (0, 1023, 1024, n - 1):
        others = among[theirs != ours[i]].astype(np.float64)
        assert found[i] == pytest.approx(np.linalg.norm(others - features[i], axis=1).min())
    alone = nearest(features[:2], among[:2], apart=(np.zeros(2, int), np.zeros(2, int)))
    assert np.isinf(alone).all()
