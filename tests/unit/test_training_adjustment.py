"""Decisions are adjusted by how common grades are, and not where that helps nobody."""

from __future__ import annotations

import numpy as np
import pytest

from edge_agent.grades import GRADES
from training.adjustment import (
    LEAST_SHARE,
    TAUS,
    Adjustment,
    MixtureAdjustment,
    adjusted,
    shares_of,
)
from training.predictions import Predictions

LEARNED = np.repeat(np.arange(5), (60, 15, 5, 10, 10))
"""Labels of a training split: the third grade is a twelfth as common as the first."""


def sure_of(labels: np.ndarray, guesses: np.ndarray) -> np.ndarray:
    """0.5 for the guess, 0.35 for the label, where they differ."""
    scores = np.full((len(labels), 5), 0.05, np.float32)
    scores[np.arange(len(labels)), labels] = 0.35
    scores[np.arange(len(labels)), guesses] = 0.5
    return scores / scores.sum(1, keepdims=True)


def test_what_is_seen_and_said_too_seldom_is_said_sooner() -> None:
    labels = np.repeat(np.arange(5), 4)
    guesses = labels.copy()
    guesses[8:11] = 0  # of the scarce grade three of four
    scores = sure_of(labels, guesses)
    found = Adjustment.chosen(scores, labels, shares_of(LEARNED))
    # (0.6 / 0.05)^0.15 is the first power above 0.5 / 0.35.
    assert found.tau == 0.15
    assert found.shares == (0.6, 0.15, 0.05, 0.1, 0.1)
    names = tuple(map(str, range(len(labels))))
    said = Predictions(names, names, tuple(GRADES[i] for i in labels), (None,) * 20, scores)
    now = found.of(said)
    assert now.guesses().tolist() == labels.tolist()
    assert now.probabilities.dtype == np.float32
    assert now.probabilities.sum(1) == pytest.approx(1)
    assert said.guesses().tolist() == guesses.tolist()


def test_what_is_right_stays_as_it_is() -> None:
    labels = np.repeat(np.arange(5), 4)
    assert Adjustment.chosen(sure_of(labels, labels), labels, shares_of(LEARNED)).tau == 0


def test_scarce_grades_can_be_said_later() -> None:
    labels = np.repeat(np.arange(5), 4)
    guesses = labels.copy()
    guesses[:3] = 2  # common loads are called the scarce grade
    assert -1 <= Adjustment.chosen(sure_of(labels, guesses), labels, shares_of(LEARNED)).tau < 0


def test_a_grade_that_is_not_in_use_changes_nothing() -> None:
    labels = np.repeat(np.arange(4), 4)
    guesses = labels.copy()
    guesses[8:11] = 0
    found = Adjustment.chosen(sure_of(labels, guesses), labels, shares_of(LEARNED[LEARNED < 4]))
    assert found.tau == 0.15
    assert found.shares[4] == 0


def test_the_number_divides_by_a_power_of_the_share() -> None:
    shares = np.array([0.4, 0.3, 0.1, 0.1, 0.1])
    even = np.full((1, 5), 0.2)
    assert adjusted(even, shares, 0.0) == pytest.approx(even)
    assert adjusted(even, shares, -1.0)[0] == pytest.approx(shares)
    assert 0.0 in TAUS


def test_where_a_grade_comes_often_it_is_said_sooner() -> None:
    """Training images that come evenly tell nothing: the mixture does."""
    labels = np.repeat(np.arange(5), 4)
    guesses = labels.copy()
    guesses[:3] = 1  # of the grade that nearly all loads are of, three of four
    scores = sure_of(labels, guesses)
    even, mixture = np.full(5, 0.2), np.array([0.9, 0.04, 0.02, 0.02, 0.02])
    found = MixtureAdjustment.chosen_for(scores, labels, even, mixture)
    # (0.9 / 0.04)^0.25 is above 0.5 / 0.35.
    assert (found.tau, found.toward) == (0.0, 0.25)
    places = tuple(map(str, range(20)))
    said = Predictions(places, places, tuple(GRADES[i] for i in labels), (None,) * 20, scores)
    assert found.of(said).guesses().tolist() == labels.tolist()
    assert found.offsets == pytest.approx(0.25 * np.log(mixture))


def test_what_a_mixture_leaves_as_it_is_stays() -> None:
    labels = np.repeat(np.arange(5), 4)
    mixture = np.array([0.9, 0.1, 0.0, 0.0, 0.0])
    found = MixtureAdjustment.chosen_for(
        sure_of(labels, labels), labels, shares_of(LEARNED), mixture
    )
    assert not found.offsets.any()


def test_a_grade_that_is_not_to_come_can_be_said_all_the_same() -> None:
    mixture = (0.5, 0.5, 0.0, 0.0, 0.0)
    how = MixtureAdjustment(tau=0.0, toward=1.0, shares=(0.2,) * 5, mixture=mixture)
    assert how.offsets[2:] == pytest.approx(np.log(LEAST_SHARE))
