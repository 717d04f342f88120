"""predictions.csv and McNemar's test between two of them."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binom
from sklearn.metrics import f1_score

from edge_agent.grades import GRADES, Grade
from training.comparison import compare, difference, mcnemar
from training.errors import DataError, RunError
from training.experiments.config import Run
from training.experiments.results import alarms, figures
from training.predictions import Predictions, pooled
from training.report.study_page import _alarms
from training.report.tables import markdown

TEXT = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\0"), min_size=1
)
GRADE = st.none() | st.sampled_from(GRADES)


@st.composite
def predictions(draw: st.DrawFn) -> Predictions:
    rows = draw(st.lists(st.tuples(TEXT, TEXT, GRADE, GRADE), min_size=1, max_size=8))
    scores = draw(
        hnp.arrays(np.float32, (len(rows), 5), elements=st.floats(0, 1, width=32, allow_nan=False))
    )
    images, trucks, label, truth = zip(*rows, strict=True)
    return Predictions(images, trucks, label, truth, scores)


def guessing(guesses: str, labels: str = "00112233") -> Predictions:
    """Digits are class indices; two images a truck."""
    n = len(labels)
    return Predictions(
        tuple(f"{i}.png" for i in range(n)),
        tuple(f"T{i // 2}" for i in range(n)),
        tuple(GRADES[int(c)] for c in labels),
        (None,) * n,
        np.eye(5, dtype=np.float32)[[int(c) for c in guesses]],
    )


@settings(deadline=None, max_examples=60)
@given(predictions())
def test_a_file_gives_back_every_bit(
    tmp_path_factory: pytest.TempPathFactory, written: Predictions
) -> None:
    file = tmp_path_factory.mktemp("p") / "predictions.csv"
    written.write(file)
    found = Predictions.read(file.parent)
    assert found.probabilities.tobytes() == written.probabilities.tobytes()
    assert replace(found, probabilities=written.probabilities) == written


@settings(deadline=None, max_examples=60)
@given(
    cell=st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=8),
    column=st.integers(0, 8),
)
def test_a_bad_cell_is_told_and_never_taken(
    tmp_path_factory: pytest.TempPathFactory, cell: str, column: int
) -> None:
    file = tmp_path_factory.mktemp("p") / "predictions.csv"
    guessing("01234", "01234").write(file)
    rows = list(csv.reader(file.read_text("utf-8").splitlines()))
    rows[2][column] = cell
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    file.write_text(text.getvalue(), "utf-8", newline="")
    try:
        found = Predictions.read(file)
    except DataError as error:
        fault = str(error)
        found = None
    if found is None:
        assert "row 3" in fault
        assert column > 1
        assert "\n" not in fault
        return
    assert np.isfinite(found.probabilities).all()
    assert found.probabilities.max() <= 1.001
    assert all(grade is None or isinstance(grade, Grade) for grade in found.label + found.truth)


def test_other_tables_are_refused(tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").write_text("image,truck\na,b\n")
    with pytest.raises(DataError, match="column label, truth, p_fresh_clean"):
        Predictions.read(tmp_path)
    with pytest.raises(DataError, match="No such file"):
        Predictions.read(tmp_path / "none.csv")


def test_unlabelled_predictions_have_no_figures() -> None:
    with pytest.raises(DataError, match="none of 8 images has a truth"):
        guessing("00112233").figures(0.5, against="truth")


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_mcnemar_is_the_binomial_test_of_those_that_differ(b: int, c: int, same: int) -> None:
    first = np.array([True] * b + [False] * c + [True] * same, dtype=bool)
    second = np.array([False] * b + [True] * c + [True] * same, dtype=bool)
    p = mcnemar(first, second)
    assert p == pytest.approx(min(1.0, 2 * binom.cdf(min(b, c), b + c, 0.5)), rel=1e-6)
    assert p == mcnemar(second, first)


def test_two_models_are_compared_image_by_image() -> None:
    found = compare(guessing("00112244"), guessing("00112233"))
    assert (found["only_first_right"], found["only_second_right"]) == (0, 2)
    assert found["p_value"] == 0.5
    assert found["accuracy_difference"] == 0.25
    low, high = found["accuracy_difference_ci"]
    assert low == 0.0
    assert high > 0.25


def test_a_scarce_grade_counts_for_macro_f1_as_much_as_a_common_one() -> None:
    """Ten of the first grade and two of the second: one model knows the first alone."""
    labels = "0" * 10 + "11"
    blind, seeing = guessing("0" * 12, labels), guessing("0" * 8 + "1111", labels)
    found = difference(blind, seeing)
    assert found["accuracy_difference"] == 0.0  # two more right, two more wrong
    before, after = (
        f1_score(one.indices(), one.guesses(), average="macro") for one in (blind, seeing)
    )
    gain = after - before
    assert found["macro_f1_difference"] == pytest.approx(gain, abs=1e-4)
    assert gain > 0.3
    low, high = found["macro_f1_difference_ci"]
    assert low < gain < high


def test_other_images_cannot_be_compared() -> None:
    one = guessing("00112233")
    with pytest.raises(RunError, match=r"not the same images \(such as 7.png\)"):
        compare(one, guessing("0011223", "0011223"))
    with pytest.raises(RunError, match="order, truck or label"):
        compare(one, replace(one, label=one.label[::-1]))


def test_a_difference_over_seeds_is_their_mean_and_no_surer_than_the_trucks() -> None:
    first, second = guessing("00112244"), guessing("00112233")
    one = difference(first, second)
    assert one["accuracy_difference"] == 0.25
    thrice = difference(pooled([first] * 3), pooled([second] * 3))
    assert thrice == one  # the same trucks again say nothing new
    mixed = difference(pooled([first, second]), pooled([second, second]))
    assert mixed["accuracy_difference"] == 0.125
    with pytest.raises(RunError, match="not the same images"):
        difference(pooled([first]), pooled([second] * 2))


def test_pooled_runs_give_the_mean_and_keep_trucks_together() -> None:
    runs = [guessing("00112233"), guessing("00112244"), guessing("44112244")]
    figures = pooled(runs).figures(0.0)
    assert figures["accuracy"] == pytest.approx(np.mean([1, 0.75, 0.5]))
    assert figures["trucks"] == 4


def test_beside_plain_images_any_training_without_further_ones_is_compared_with() -> None:
    labels = "01234" * 12
    plain, better = guessing(labels.replace("2", "0"), labels), guessing(labels, labels)
    for arm in ("baseline", "oversampled"):
        found = figures(
            {Run("mobilenetv2", arm, 1): plain, Run("mobilenetv2", "blended-plain", 1): better}
        )
        assert [one["over"] for one in found["alarms"]] == [arm]
    # With another training only where there is none such.
    arms = (("augmented", plain), ("blended-plain", better))
    runs = {Run("mobilenetv2", arm, 1): said for arm, said in arms}
    assert [one["over"] for one in figures(runs)["alarms"]] == ["augmented"]
    found = figures({Run("mobilenetv2", "baseline", 1): better, **runs})
    assert found["alarms"] == []


def test_what_ranks_or_bins_images_is_a_mean_over_seeds() -> None:
    """One run is too sure and another not sure enough; each ranks images by itself alone."""
    labels = "01234" * 12
    right = guessing(labels, labels).probabilities
    wrong = guessing(labels[1:] + labels[0], labels).probabilities
    first = np.arange(len(labels)) % 3 == 0
    said = [  # a third wrong, and all of it at 0.95; all right, and all of it at 0.4
        np.where(first[:, None], wrong, right) * 0.9375 + 0.0125,
        right * 0.25 + 0.15,
    ]
    runs = [replace(guessing(labels, labels), probabilities=one.astype(np.float32)) for one in said]
    found = figures({Run("mobilenetv2", "augmented", k): one for k, one in enumerate(runs)})
    (both,), rows = found["pooled"], found["rows"]
    assert [row["calibration_error"] for row in rows] == pytest.approx([0.283, 0.6], abs=1e-3)
    assert both["calibration_error"] == pytest.approx(0.4417, abs=1e-3)
    low, high = both["calibration_error_ci"]
    assert low < 0.4417 < high
    for grade in GRADES:
        each = [row["average_precision"][grade] for row in rows]
        assert each[0] < each[1] == 1
        assert both["average_precision"][grade] == pytest.approx(sum(each) / 2, abs=1e-4)
        low, high = both["average_precision_ci"][grade]
        assert low < both["average_precision"][grade] < high
    assert both["accuracy"] == pytest.approx(sum(row["accuracy"] for row in rows) / 2, abs=1e-4)


def test_seeds_that_only_one_arm_has_set_off_no_alarm() -> None:
    labels = "01234" * 12
    # Of the twelve images of one grade none is told, or eight.
    poor, good = (
        guessing(labels.replace("2", "0").replace("0103", "0123", told), labels) for told in (0, 8)
    )
    arms = {Run("mobilenetv2", "augmented", 1): good, Run("mobilenetv2", "augmented", 2): poor}
    found = figures({**arms, Run("mobilenetv2", "recoloured", 1): good})
    assert found["alarms"] == []
    found = figures({**arms, Run("mobilenetv2", "recoloured", 2): good})
    assert [one["over"] for one in found["alarms"]] == ["augmented"]


def test_without_the_same_training_or_seed_any_gain_is_a_gain() -> None:
    labels = "01234" * 12
    poor, good = (
        guessing(labels.replace("2", "0").replace("0103", "0123", told), labels) for told in (0, 8)
    )
    for plain, seed in (("baseline", 1), ("augmented", 2)):
        runs = {Run("mobilenetv2", plain, seed): poor, Run("mobilenetv2", "recoloured", 1): good}
        (one,) = figures(runs)["alarms"]
        assert (one["arm"], one["over"]) == ("recoloured", plain)
        assert one["accuracy_gain"] == pytest.approx(8 / 60, abs=1e-4)


def test_a_gain_that_a_leak_would_explain_sets_off_the_alarm() -> None:
    labels = "01234" * 12
    # Of the twelve images of one grade none is told, one, or eight.
    plain, hardly, better = (
        guessing(labels.replace("2", "0").replace("0103", "0123", told), labels)
        for told in (0, 1, 8)
    )
    found = figures(
        {
            Run("mobilenetv2", "baseline", 1): plain,
            Run("mobilenetv2", "augmented", 1): plain,
            Run("mobilenetv2", "recoloured", 1): better,
            Run("mobilenetv2", "synthesized", 1): hardly,
            Run("simple_dcnn", "recoloured", 1): better,
        }
    )
    # Neither against a training that is not the same otherwise, nor against another model.
    (one,) = found["alarms"]
    assert (one["model"], one["arm"], one["over"]) == ("mobilenetv2", "recoloured", "augmented")
    assert one["accuracy_gain"] == pytest.approx(8 / 60, abs=1e-4)
    study = {**found, "data": {"name": "season"}, "external_tests": []}
    (line,) = alarms(study)
    assert line.startswith("leakage alarm: on season mobilenetv2 gains +13.3 points of accuracy")
    assert line.endswith("by recoloured over augmented; explain it before you report it")
    assert "season" in markdown(_alarms(study)[0].tables)
    assert _alarms({**study, "alarms": []}) == []
