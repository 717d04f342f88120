"""Labels from votes: agreement, kappa, and experts weighed by how they err."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge_agent.grades import GRADES, Grade
from training.data.agreement import fleiss_kappa
from training.data.dawid_skene import Votes, posterior
from training.data.labels import label
from training.data.manifest import Row

# Fourteen raters, ten subjects, five categories: the usual worked example, kappa 0.210.
WORKED_EXAMPLE = [
    (0, 0, 0, 0, 14),
    (0, 2, 6, 4, 2),
    (0, 0, 3, 5, 6),
    (0, 3, 9, 2, 0),
    (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0),
    (3, 2, 6, 3, 0),
    (2, 5, 3, 2, 2),
    (6, 5, 2, 1, 0),
    (0, 2, 2, 3, 7),
]


def votes_of(counts: tuple[int, ...]) -> list[Grade]:
    return [grade for grade, n in zip(GRADES, counts, strict=True) for _ in range(n)]


def test_kappa_of_the_worked_example() -> None:
    kappa = fleiss_kappa([votes_of(counts) for counts in WORKED_EXAMPLE])
    assert kappa == pytest.approx(0.210, abs=5e-4)


def test_kappa_is_one_for_agreement_and_undefined_without_contrast() -> None:
    fresh, burnt = Grade.FRESH_CLEAN, Grade.BURN_CLEAN
    assert fleiss_kappa([[fresh] * 3, [burnt] * 5]) == 1.0
    assert fleiss_kappa([[fresh] * 3, [fresh] * 3]) is None
    assert fleiss_kappa([[fresh], [], [burnt]]) is None


def test_single_votes_say_nothing_of_agreement() -> None:
    votes = [votes_of(counts) for counts in WORKED_EXAMPLE]
    assert fleiss_kappa([*votes, [Grade.UNDEFINED], []]) == fleiss_kappa(votes)


NO_VOTE = -1


def votes_in(table: np.ndarray) -> Votes:
    """From a table of images by experts, in which NO_VOTE stands for none."""
    images, experts = np.nonzero(table != NO_VOTE)
    return Votes(images, experts, table[images, experts])


def simulated(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """600 images; two good experts and three who call every second burnt load fresh."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, 600)
    votes = np.empty((600, 5), np.int64)
    for expert in range(5):
        seen = np.where(rng.random(600) < 0.95, truth, rng.integers(0, 5, 600))
        misled = (expert >= 2) & (seen >= 2) & (seen <= 3) & (rng.random(600) < 0.6)
        votes[:, expert] = np.where(misled, seen - 2, seen)
    votes[rng.random((600, 5)) < 0.1] = NO_VOTE
    votes[:, 0] = np.where((votes == NO_VOTE).all(1), truth, votes[:, 0])
    return truth, votes


def test_dawid_skene_sees_through_a_misled_majority() -> None:
    truth, votes = simulated(1)
    shares = (votes[:, :, None] == np.arange(5)).sum(1)
    by_majority = (shares.argmax(1) == truth).mean()
    probabilities = posterior(votes_in(votes), 5)
    assert probabilities.sum(1) == pytest.approx(1.0)
    assert by_majority < 0.9
    assert (probabilities.argmax(1) == truth).mean() > 0.96


def test_dawid_skene_does_not_care_for_the_order_of_experts_and_images() -> None:
    _, votes = simulated(2)
    order = np.random.default_rng(0).permutation(len(votes))
    there = posterior(votes_in(votes[order][:, ::-1]), 5)
    assert there == pytest.approx(posterior(votes_in(votes), 5)[order], abs=1e-6)


@pytest.mark.parametrize("iterations", [1, 5])
def test_dawid_skene_is_that_of_crowd_kit(iterations: int) -> None:
    # Recorded from crowd-kit 1.4.2, DawidSkene(n_iter=..., tol=-inf), to six digits.
    recorded = json.loads((Path(__file__).parent / "crowdkit" / "dawid_skene.json").read_text())
    found = posterior(
        votes_in(np.array(recorded["votes"])), len(GRADES), max_iterations=iterations, tolerance=0
    )
    assert found == pytest.approx(np.array(recorded["after"][str(iterations)]), abs=1e-6)
    # Five iterations move what one says, so neither could stand for the other.
    assert np.abs(np.subtract(*map(np.array, recorded["after"].values()))).max() > 0.3


def test_rows_are_labelled_by_either_method() -> None:
    truth, votes = simulated(3)
    rows = [
        Row.model_validate(
            {
                "image": f"{i}.png",
                "truck": f"T{i}",
                **{f"vote_{k}": GRADES[v] for k, v in enumerate(cast) if v != NO_VOTE},
            }
        )
        for i, cast in enumerate(votes)
    ]
    rows.append(Row(image="silent.png", truck="T"))
    by_majority = label(rows)
    by_model = label(rows, method="dawid-skene")
    assert (by_majority.method, by_model.method) == ("majority", "dawid-skene")
    assert by_majority.unlabelled == by_model.unlabelled == 1
    assert by_model.grades[-1] is None
    right = [
        sum(grade == GRADES[t] for grade, t in zip(labels.grades, truth, strict=False))
        for labels in (by_majority, by_model)
    ]
    assert right[1] > right[0] + 50
    assert by_model.disputed < by_majority.disputed
    assert label(rows, method="dawid-skene", agreement=1.0).disputed > by_model.disputed
