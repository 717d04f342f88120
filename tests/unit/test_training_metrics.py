"""Figures, temperature and threshold on hand-made probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    classification_report,
    f1_score,
    recall_score,
)
from torch.nn.functional import cross_entropy

from edge_agent.grades import GRADES
from training.calibration import confidence_threshold, temperature
from training.metrics import at_mixture, evaluate
from training.reliability import calibration_error


def sure_of(guesses: list[int], confidence: float = 0.9) -> np.ndarray:
    rows = np.full((len(guesses), 5), (1 - confidence) / 4, np.float32)
    rows[np.arange(len(guesses)), guesses] = confidence
    return rows


def test_figures_of_a_known_case() -> None:
    labels = np.array([0, 0, 1, 2, 3, 4])
    found = evaluate(sure_of([0, 1, 1, 2, 2, 4]), labels, list("AABBCC"), threshold=0.5)
    assert found["accuracy"] == pytest.approx(4 / 6, abs=1e-4)
    fresh = found["grades"]["fresh_clean"]
    assert [fresh[key] for key in ("precision", "recall", "f1", "n")] == [1, 0.5, 0.6667, 2]
    assert (found["trucks"], fresh["trucks"]) == (3, 1)
    assert found["confusion_matrix"]["counts"][3] == [0, 0, 1, 0, 0]
    # All burnt ones are called burnt; two of five cane loads are wrong about trash.
    hierarchy = found["hierarchy"]
    assert {q: hierarchy[q]["accuracy"] for q in hierarchy} == {
        "sugarcane": 1.0,
        "burnt": 1.0,
        "trash": 0.6,
    }
    assert (hierarchy["trash"]["recall"], hierarchy["trash"]["precision"]) == (0.5, 0.5)
    assert (hierarchy["burnt"]["n"], hierarchy["burnt"]["yes"]) == (5, 2)
    assert found["asks_a_person"] == 0.0


def test_grades_that_do_not_occur_do_not_lower_macro_f1() -> None:
    found = evaluate(sure_of([0, 1]), np.array([0, 1]), ["A", "B"], threshold=0.95)
    assert found["macro_f1"] == 1.0
    assert found["asks_a_person"] == 1.0
    assert found["accuracy_when_sure"] is None


def test_what_is_not_defined_is_null_and_not_zero() -> None:
    """Of three burnt clean loads none is recognised; "burnt with trash" is said, but never true."""
    labels = np.array([0, 0, 2, 2, 2, 1])
    found = evaluate(sure_of([0, 0, 3, 0, 0, 1]), labels, list("ABCDEF"), threshold=0.5)
    figures = {
        grade: [found["grades"][grade][name] for name in ("precision", "recall", "f1")]
        for grade in GRADES
    }
    assert figures["burn_clean"] == [None, 0.0, 0.0]
    assert figures["burn_trash"] == [0.0, None, None]
    assert figures["undefined"] == [None, None, None]
    assert found["grades"]["undefined"]["recall_ci"] is None
    known = f1_score(labels, [0, 0, 3, 0, 0, 1], labels=[0, 1, 2], average="macro")
    assert found["macro_f1"] == pytest.approx(known, abs=6e-5)
    assert found["hierarchy"]["trash"]["recall"] == 1.0
    only_waste = evaluate(sure_of([4, 4]), np.array([4, 4]), ["A", "B"], threshold=0.5)
    assert only_waste["hierarchy"]["burnt"]["accuracy"] is None


def test_one_truck_says_nothing_about_others() -> None:
    found = evaluate(sure_of([0, 1, 1]), np.array([0, 1, 0]), ["A"] * 3, threshold=0.0)
    assert found["accuracy_ci"] is None
    assert found["grades"]["burn_clean"]["recall_ci"] is None
    assert found["calibration_error_ci"] is None


def random_case(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Probabilities that are right about half the time, in steps, so that some are equal."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(5, n, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    logits = rng.normal(size=(n, 5)) + 1.2 * np.eye(5)[labels]
    rows = np.exp(logits).round(1) + 0.1
    return (
        (rows / rows.sum(1, keepdims=True)).astype(np.float32),
        labels,
        [f"T{i // 3}" for i in range(n)],
    )


def test_figures_are_those_of_scikit_learn() -> None:
    probabilities, labels, trucks = random_case(1)
    found = evaluate(probabilities, labels, trucks, threshold=0.5, rounds=50)
    guesses = probabilities.argmax(1)
    report = classification_report(labels, guesses, target_names=GRADES, output_dict=True)
    assert found["accuracy"] == pytest.approx(report["accuracy"], abs=6e-5)
    assert found["macro_f1"] == pytest.approx(report["macro avg"]["f1-score"], abs=6e-5)
    for i, grade in enumerate(GRADES):
        figures = found["grades"][grade]
        for ours, theirs in (("precision",) * 2, ("recall",) * 2, ("f1", "f1-score")):
            assert figures[ours] == pytest.approx(report[grade][theirs], abs=6e-5)
        area = average_precision_score(labels == i, probabilities[:, i])
        assert figures["average_precision"] == pytest.approx(area, abs=6e-5)
        low, high = figures["average_precision_ci"]
        assert low < area < high
    burnt = np.isin(labels, [2, 3]), np.isin(guesses, [2, 3])
    assert found["hierarchy"]["burnt"]["recall"] == pytest.approx(recall_score(*burnt), abs=6e-5)


def test_a_curve_starts_and_ends_where_it_must() -> None:
    probabilities, labels, trucks = random_case(2)
    curve = evaluate(probabilities, labels, trucks, threshold=0, rounds=10)["pr_curves"][
        "undefined"
    ]
    assert curve["recall"][0] == 0
    assert curve["recall"][-1] == 1
    assert curve["recall"] == sorted(set(curve["recall"]))
    assert curve["precision"][-1] >= round(float((labels == 4).mean()), 4)


def test_calibration_error_is_the_gap() -> None:
    confidence = np.full(100, 0.9, np.float32)
    right = np.arange(100) < 70
    assert calibration_error(confidence, right) == pytest.approx(0.2, abs=1e-6)


def test_temperature_undoes_overconfidence() -> None:
    generator = torch.Generator().manual_seed(1)
    honest = torch.randn((4000, 5), generator=generator)
    labels = torch.multinomial(honest.softmax(1), 1, generator=generator).squeeze(1)
    assert temperature(honest * 3, labels) == pytest.approx(3.0, rel=0.1)


@pytest.mark.parametrize("margin", [0.1, 5.0, 10.0, 50.0])
def test_without_a_mistake_the_temperature_is_the_lowest_whatever_the_margin(margin: float) -> None:
    assert temperature(margin * torch.eye(5), torch.arange(5)) == 0.25
    assert temperature(-margin * torch.eye(5), torch.arange(5)) == 8.0


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 7.0))
def test_no_other_temperature_fits_better(seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    honest = torch.randn((200, 5), generator=generator)
    labels = torch.multinomial(honest.softmax(1), 1, generator=generator).squeeze(1)
    logits = honest.double() * scale
    found = temperature(logits, labels)
    least = cross_entropy(logits / found, labels)
    for other in (0.25, found * 0.99, found * 1.01, 8.0):
        if 0.25 <= other <= 8.0:
            assert cross_entropy(logits / other, labels) >= least


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
    strict = confidence_threshold(rows, labels, accuracy=0.999, most_to_a_person=0.15, least=0.0)
    assert (confidence < strict).mean() == pytest.approx(0.15, abs=0.01)
    assert confidence_threshold(rows, labels, accuracy=0.999, most_to_a_person=0.15) == 0.5
    assert confidence_threshold(sure_of([0, 1]), np.array([0, 1])) == 0.5


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 3), min_size=60, max_size=60))
def test_an_image_that_counts_often_calibrates_as_often(seed: int, counts: list[int]) -> None:
    """Threshold and temperature are those of the images so often over."""
    times = np.array([1, *counts[1:]])
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((60, 5), generator=generator).double()
    labels = torch.randint(5, (60,), generator=generator)
    once, often = torch.from_numpy(times.astype(np.float64)), torch.from_numpy(times)
    assert temperature(logits, labels, once) == pytest.approx(
        temperature(logits.repeat_interleave(often, 0), labels.repeat_interleave(often)), rel=1e-6
    )
    scores = logits.softmax(1).float().numpy()
    for accuracy in (0.3, 0.98):
        found = confidence_threshold(
            scores, labels.numpy(), once.numpy(), accuracy=accuracy, least=0.0
        )
        repeated = confidence_threshold(
            scores.repeat(times, 0), labels.numpy().repeat(times), accuracy=accuracy, least=0.0
        )
        # Copies of one image cannot be parted, so that one image less may go to a person.
        between = (scores.max(1) >= repeated) & (scores.max(1) < found) & (times > 0)
        assert found >= repeated
        assert between.sum() <= 1


def test_figures_at_a_mixture_count_grades_as_often_as_they_come() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    said = sure_of([0, 0, 0, 1, 1, 1, 2, 0])
    said[0] = [0.4, 0.2, 0.2, 0.1, 0.1]  # right, and less sure than 0.5
    mixture = np.array([0.5, 0.4, 0.1, 0.0, 0.0])
    found = at_mixture(said, labels, list("AABBCCDD"), mixture, threshold=0.5)
    assert found["accuracy"] == pytest.approx(0.5 * 0.75 + 0.4 + 0.1 * 0.5)
    assert found["accuracy_ci"][0] < found["accuracy"] <= found["accuracy_ci"][1]
    assert found["asks_a_person"] == pytest.approx(0.5 * 0.25)
    fresh = found["grades"]["fresh_clean"]
    assert fresh["precision"] == pytest.approx(0.375 / (0.375 + 0.05), abs=1e-4)
    assert fresh["recall"] == 0.75
    assert found["grades"]["burn_trash"] == {"precision": None, "recall": None, "n": 0}
    # As often as they are: the figures as such.
    same = at_mixture(said, labels, list("AABBCCDD"), np.array([4, 2, 2, 0, 0]) / 8, threshold=0.5)
    plain = evaluate(said, labels, list("AABBCCDD"), threshold=0.5)
    for name in ("accuracy", "macro_f1", "asks_a_person"):
        assert same[name] == pytest.approx(plain[name], abs=1e-4)


def test_nothing_is_said_of_a_mixture_with_a_grade_that_nobody_has_seen() -> None:
    mixture = np.array([0.5, 0.4, 0.1, 0.0, 0.0])
    found = at_mixture(sure_of([0, 1]), np.array([0, 1]), ["A", "B"], mixture, threshold=0.5)
    assert (found["accuracy"], found["accuracy_ci"], found["asks_a_person"]) == (None, None, None)
