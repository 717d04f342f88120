"""Figures, temperature and threshold on hand-made probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.calibration import confidence_threshold, temperature
from training.metrics import calibration_error, evaluate


def sure_of(guesses: list[int], confidence: float = 0.9) -> np.ndarray:
    rows = np.full((len(guesses), 5), (1 - confidence) / 4, np.float32)
    rows[np.arange(len(guesses)), guesses] = confidence
    return rows


def test_figures_of_a_known_case() -> None:
    labels = np.array([0, 0, 1, 2, 3, 4])
    found = evaluate(sure_of([0, 1, 1, 2, 2, 4]), labels, threshold=0.5)
    assert found["accuracy"] == pytest.approx(4 / 6, abs=1e-4)
    assert found["grades"]["fresh_clean"] == {"precision": 1, "recall": 0.5, "f1": 0.6667, "n": 2}
    assert found["confusion_matrix"]["counts"][3] == [0, 0, 1, 0, 0]
    # All burnt ones are called burnt; two of five cane loads are wrong about trash.
    assert found["hierarchy_accuracy"] == {"sugarcane": 1.0, "burnt": 1.0, "trash": 0.6}
    assert found["asks_a_person"] == 0.0


def test_grades_that_do_not_occur_do_not_lower_macro_f1() -> None:
    found = evaluate(sure_of([0, 1]), np.array([0, 1]), threshold=0.95)
    assert found["macro_f1"] == 1.0
    assert found["asks_a_person"] == 1.0
    assert found["accuracy_when_sure"] is None


def test_calibration_error_is_the_gap() -> None:
    confidence = np.full(100, 0.9, np.float32)
    right = np.arange(100) < 70
    assert calibration_error(confidence, right) == pytest.approx(0.2, abs=1e-6)


def test_temperature_undoes_overconfidence() -> None:
    generator = torch.Generator().manual_seed(1)
    honest = torch.randn((4000, 5), generator=generator)
    labels = torch.multinomial(honest.softmax(1), 1, generator=generator).squeeze(1)
    assert temperature(honest * 3, labels) == pytest.approx(3.0, rel=0.1)
    assert temperature(5 * torch.eye(5), torch.arange(5)) == pytest.approx(0.25)


def test_threshold_keeps_accuracy_or_the_limit() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.3, 1.0, 2000)
    right = rng.random(2000) < confidence
    guesses = np.zeros(2000, int)
    labels = np.where(right, 0, 1)
    rows = np.stack([sure_of([g], c)[0] for g, c in zip(guesses, confidence, strict=True)])
    rows = rows.astype(np.float32)
    loose = confidence_threshold(rows, labels, accuracy=0.7, most_to_a_person=0.9)
    kept = confidence >= loose
    assert right[kept].mean() >= 0.7
    strict = confidence_threshold(rows, labels, accuracy=0.999, most_to_a_person=0.15)
    assert (confidence < strict).mean() == pytest.approx(0.15, abs=0.01)
    assert confidence_threshold(sure_of([0, 1]), np.array([0, 1])) == 0.0
