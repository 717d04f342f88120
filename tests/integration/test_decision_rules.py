"""What an arm gains, told apart from where its models draw the line."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled import labelled_folder
from trained import FIT, train

from edge_agent.grades import GRADES, Grade
from training.data.dataset import Dataset

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))
import decision_rules  # noqa: E402

SHARES = np.array([0.6, 0.15, 0.05, 0.1, 0.1])
TRUCKS = [f"T{i}" for i in range(2 * len(GRADES))]
FRESH, BURNT = GRADES.index(Grade.FRESH_CLEAN), GRADES.index(Grade.BURN_CLEAN)


def answers(taken_for: dict[Grade, Grade], sure: float = 0.6) -> decision_rules.Answers:
    """Two loads a grade; the first is told, the second taken for what is named, or told too."""
    labels = np.repeat(np.arange(len(GRADES)), 2)
    scores = np.full((len(labels), len(GRADES)), (1 - sure) / 4)
    for i, label in enumerate(labels):
        guess = taken_for.get(GRADES[label], GRADES[label]) if i % 2 else GRADES[label]
        scores[i, GRADES.index(guess)] = sure
    return decision_rules.Answers(scores, labels)


def measured(
    mixture: np.ndarray | None, **arms: decision_rules.Answers
) -> dict[str, dict[str, Any]]:
    """Each arm one model, whose validation images are its test images."""
    seeds = {name: [decision_rules.Seed(said, said)] for name, said in arms.items()}
    found: dict[str, dict[str, Any]] = decision_rules.figures_of(seeds, TRUCKS, SHARES, mixture)
    return found


def test_every_grade_counts_by_how_common_it_is() -> None:
    found = measured(
        SHARES,
        misses=answers({Grade.BURN_CLEAN: Grade.FRESH_CLEAN}),
        cries=answers({Grade.FRESH_CLEAN: Grade.BURN_CLEAN}),
    )
    missing, crying = (found[arm]["as_it_is"] for arm in ("misses", "cries"))
    # Half of the 5 % are missed; half of the 60 % are called burnt, beside 15 % that are.
    assert missing["accuracy"] == pytest.approx(0.975)
    assert missing["burnt"]["recall"] == pytest.approx(0.125 / 0.15, abs=1e-4)
    assert missing["burnt"]["precision"] == 1
    assert crying["accuracy"] == pytest.approx(0.7)
    assert crying["burnt"]["recall"] == 1
    assert crying["burnt"]["precision"] == pytest.approx(0.15 / 0.45, abs=1e-4)
    assert crying["against_first"]["accuracy"] == pytest.approx(-0.275)
    assert missing["average_precision"]["fresh_clean"] == pytest.approx(0.6 / 0.625, abs=1e-4)


def test_loads_that_count_alike_are_counted() -> None:
    found = measured(None, misses=answers({Grade.BURN_CLEAN: Grade.FRESH_CLEAN}))["misses"]
    assert found["as_it_is"]["accuracy"] == pytest.approx(0.9)
    assert found["as_it_is"]["average_precision"]["fresh_clean"] == pytest.approx(2 / 3, abs=1e-4)


def test_what_is_seen_and_said_too_seldom_is_said_by_another_rule() -> None:
    """One of the two scarce loads is called fresh, with the right grade a close second."""
    said = answers({Grade.BURN_CLEAN: Grade.FRESH_CLEAN})
    said.scores[2 * BURNT + 1] = 0.05
    said.scores[2 * BURNT + 1, [FRESH, BURNT]] = 0.5, 0.35
    found = measured(None, shy=said)["shy"]
    assert found["as_it_is"]["tau"] == [0]
    assert found["as_it_is"]["recall"]["burn_clean"] == 0.5
    assert found["adjusted"]["tau"] == [0.15]  # (0.6 / 0.05)^0.15 is the first above 0.5 / 0.35
    assert found["adjusted"]["macro_f1"] == 1


def test_a_rule_is_chosen_for_the_mixture_that_counts() -> None:
    """Two of three scarce loads are called fresh, and one of three fresh ones is called scarce."""
    labels = np.array([FRESH] * 3 + [BURNT] * 3 + [1, 3, 4])
    scores = np.full((len(labels), len(GRADES)), 0.02)
    scores[np.arange(len(labels)), labels] = 0.92
    scores[2, [FRESH, BURNT]] = 0.4, 0.54
    scores[3:5, FRESH], scores[3:5, BURNT] = 0.54, 0.4
    said = decision_rules.Answers(scores, labels)
    trucks = [f"T{i}" for i in range(len(labels))]
    (alike, as_common) = (
        decision_rules.figures_of(
            {"one": [decision_rules.Seed(said, said)]}, trucks, SHARES, mixture
        )["one"]["adjusted"]
        for mixture in (None, SHARES)
    )
    assert alike["tau"][0] > 0
    assert alike["recall"]["burn_clean"] == 1
    assert as_common["tau"][0] < 0
    assert as_common["recall"]["fresh_clean"] == 1


def test_a_model_that_is_right_as_it_is_stays_so() -> None:
    found = measured(None, right=answers({}))["right"]
    assert found["adjusted"] == found["as_it_is"]


def test_finished_runs_are_asked_and_what_cannot_be_compared_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = labelled_folder(tmp_path / "data", 150)
    other = labelled_folder(tmp_path / "other", seed=2)
    (other / "images" / "7.png").write_bytes(b"broken otherwise")
    run = tmp_path / "run"
    train(*FIT, "--data", data, "--out", run, "--classifier", "simple_dcnn")

    def asked(*options: str | Path) -> None:
        monkeypatch.setattr(sys, "argv", ["decision_rules.py", *map(str, options)])
        decision_rules.main()

    asked("--data", data, "--test", other, "--arm", "one", run, run)
    found = json.loads(capsys.readouterr().out)
    assert found["test"]["images"] == 59  # one of 60 cannot be read
    assert found["mixtures"]["tested"]["one"]["as_it_is"]["accuracy"] > 0.5
    assert len(found["mixtures"]["training"]["one"]["adjusted"]["tau"]) == 2
    third = labelled_folder(tmp_path / "third", 150, seed=3)
    (third / "images" / "7.png").write_bytes(b"broken again")
    Dataset.open(third).split(1)
    refused = {
        "two --arm have one name": (
            *("--data", data, "--test", other, "--arm", "one", run, "--arm", "one", run),
        ),
        "name folders of finished runs": ("--data", data, "--test", other, "--arm", "none"),
        "no-run": ("--data", data, "--test", other, "--arm", "one", tmp_path / "no-run"),
        "did not learn from": ("--data", third, "--test", other, "--arm", "one", run),
        "take other images": ("--data", data, "--test", data, "--arm", "one", run),
    }
    for reason, options in refused.items():
        with pytest.raises(SystemExit, match=re.escape(reason)) as refusal:
            asked(*options)
        assert "\n" not in str(refusal.value)
