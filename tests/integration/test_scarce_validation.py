"""What a validation split as scarce as the training split would have chosen."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled import labelled_folder
from trained import FIT, train

from edge_agent.grades import GRADES, Grade

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))
import scarce_validation  # noqa: E402
from decision_rules import Answers, Seed  # noqa: E402

SCARCE = GRADES.index(Grade.BURN_CLEAN)
TRAIN = np.repeat(np.arange(5), [400, 300, 12, 1, 100])
VALIDATION = np.repeat(np.arange(5), [100, 75, 40, 20, 25])
ALL = np.ones(5, bool)


def seen(better: float, seed: int, *, sooner: float = 0.0) -> Seed:
    """Of a model that tells the scarce grade better than it tells others, or says it sooner of any
    load."""
    random = np.random.default_rng(seed)
    both = []
    for labels in (VALIDATION, np.repeat(np.arange(5), 60)):
        logits = random.normal(0, 1, (len(labels), 5))
        logits[np.arange(len(labels)), labels] += 2.0
        logits[labels == SCARCE, SCARCE] += better
        logits[:, SCARCE] += sooner
        scores = np.exp(logits)
        both.append(Answers(scores / scores.sum(1, keepdims=True), labels))
    return Seed(*both)


def measured(*seeds: Seed, made: np.ndarray = ALL, draws: int = 40) -> dict[str, Any]:
    return scarce_validation.measured(seeds, made, TRAIN, draws, 1)


def test_draws_have_the_training_images_mixture_and_one_of_each_grade() -> None:
    kept = scarce_validation.kept_of(TRAIN, VALIDATION)
    assert kept.tolist() == [100, 75, 3, 1, 25]
    few, again = (list(scarce_validation.drawn(VALIDATION, kept, 20, 1)) for _ in range(2))
    assert all(np.bincount(VALIDATION[rows]).tolist() == kept.tolist() for rows in few)
    assert all((a == b).all() for a, b in zip(few, again, strict=True))
    assert len({tuple(sorted(rows)) for rows in few}) == 20


def test_a_set_that_helps_is_chosen_by_most_draws_and_one_that_harms_by_few() -> None:
    for better, chosen in ((1.5, True), (-1.5, False)):
        found = measured(seen(0.0, 1), seen(better, 1))
        assert found["validation_images"]["drawn"]["burn_clean"] == 3
        assert found["half"]["grades_alike"]["whole"]["burn_clean"] is chosen
        often = found["half"]["grades_alike"]["draws_pct"]["burn_clean"]
        assert (often > 80) if chosen else (often < 20)
        low, middle, high = found["gain"]["macro_f1"]["draws"]
        assert low <= middle <= high
        assert (middle > 0) is chosen
        above = found["gain"]["macro_f1"]["draws_above_0_pct"]
        assert (above > 50) is chosen


def test_where_images_count_alike_a_scarce_grade_is_better_not_said() -> None:
    """By the study's rule it is said, as in the whole split."""
    found = measured(seen(0.0, 1, sooner=-3.0), seen(0.0, 1))
    assert found["tau"]["without"]["whole"] > found["tau"]["with"]["whole"]
    half = found["half"]
    assert half["grades_alike"]["whole"]["burn_clean"]
    assert half["grades_alike"]["draws_pct"]["burn_clean"] > 80
    assert half["images_alike"]["draws_pct"]["burn_clean"] < 60


def test_a_grade_without_synthetic_images_takes_none() -> None:
    made = np.arange(5) != SCARCE
    half = measured(seen(0.0, 1), seen(1.5, 1), made=made)["half"]["grades_alike"]
    assert half["whole"]["burn_clean"] is False
    assert half["draws_pct"]["burn_clean"] == 0


def test_gains_are_of_adjusted_decisions_at_the_training_images_mixture() -> None:
    labels = np.repeat(np.arange(5), 2)
    scores = np.full((10, 5), 0.1)
    scores[np.arange(10), labels] = 0.6
    scores[2 * SCARCE + 1] = [0.45, 0.05, 0.4, 0.05, 0.05]  # taken for fresh_clean
    right = Answers(np.where(np.arange(5) == labels[:, None], 0.6, 0.1), labels)
    told, missed = Seed(right, right), Seed(right, Answers(scores, labels))
    shares = np.array([0.6, 0.2, 0.1, 0.05, 0.05])
    assert scarce_validation.gain((missed, told), (0.0, 0.0), shares)[0] == pytest.approx(5.0)
    # Said sooner, the scarce grade is told by both.
    assert scarce_validation.gain((missed, told), (0.3, 0.0), shares) == pytest.approx([0.0, 0.0])


def test_two_trials_of_one_study_are_asked_and_others_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = labelled_folder(tmp_path / "data", 150)
    further = labelled_folder(tmp_path / "further", 40, seed=3)
    shutil.copy(further / "images" / "2.png", further / "images" / "7.png")  # which is broken
    other = labelled_folder(tmp_path / "other", seed=2)
    (other / "images" / "7.png").write_bytes(b"broken otherwise")
    runs = {name: tmp_path / name for name in ("plain", "without", "with", "seed")}
    of = (*FIT, "--epochs", "2", "--data", data, "--classifier", "simple_dcnn")
    balanced = (*of, "--augment", "oversample")
    train(*of, "--out", runs["plain"], "--augment", "none")
    train(*balanced, "--out", runs["without"])
    train(*balanced, "--out", runs["seed"], "--seed", "7")
    train(*balanced, "--out", runs["with"], "--synthetic", further)

    def asked(first: str, second: str, *options: str) -> None:
        arguments = ["--data", data, "--test", other, "--without", runs[first]]
        arguments += ["--with", runs[second], "--draws", "5", *options]
        monkeypatch.setattr(sys, "argv", ["scarce_validation.py", *map(str, arguments)])
        scarce_validation.main()

    asked("without", "with")
    found = json.loads(capsys.readouterr().out)
    assert found["test"]["images"] == 59  # one of 60 cannot be read
    assert found["draws"] == 5
    runs["none"] = tmp_path / "no-run"
    refused = {
        "differ in seed": ("seed", "with"),
        "differ in augment": ("plain", "with"),
        "--without has a set": ("with", "without"),
        "or --with has none": ("without", "without"),
        "draws no grades evenly": ("plain", "plain"),
        "no-run": ("none", "with"),
        "give 1 or more": ("without", "with", "--draws", "0"),
    }
    for reason, options in refused.items():
        with pytest.raises(SystemExit, match=reason) as refusal:
            asked(*options)
        assert "\n" not in str(refusal.value)
