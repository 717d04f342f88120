"""What a validation split as scarce as the training split would have chosen."""

from __future__ import annotations

import json
import sys
from pathlib import Path

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
TRAIN = np.repeat(np.arange(5), [400, 300, 12, 8, 100])
VALIDATION = np.repeat(np.arange(5), [100, 75, 40, 2, 25])


def seen(better: float, seed: int) -> Seed:
    """Of a model that tells the scarce grade better, or worse, than it tells others."""
    random = np.random.default_rng(seed)
    both = []
    for labels in (VALIDATION, np.repeat(np.arange(5), 60)):
        logits = random.normal(0, 1, (len(labels), 5))
        logits[np.arange(len(labels)), labels] += 2.0
        logits[labels == SCARCE, SCARCE] += better
        scores = np.exp(logits)
        both.append(Answers(scores / scores.sum(1, keepdims=True), labels))
    return Seed(*both)


def test_draws_have_the_training_images_mixture() -> None:
    kept = scarce_validation.kept_of(TRAIN, VALIDATION)
    assert kept.tolist() == [100, 75, 3, 2, 25]
    few, again = (list(scarce_validation.drawn(VALIDATION, kept, 20, 1)) for _ in range(2))
    assert all(np.bincount(VALIDATION[rows]).tolist() == kept.tolist() for rows in few)
    assert all(len(set(rows)) == len(rows) for rows in few)
    assert all((a == b).all() for a, b in zip(few, again, strict=True))
    assert len({tuple(sorted(rows)) for rows in few}) > 10


def test_a_set_that_helps_is_chosen_by_most_draws_and_one_that_harms_by_few() -> None:
    for better, chosen in ((1.5, True), (-1.5, False)):
        found = scarce_validation.measured((seen(0.0, 1), seen(better, 1)), TRAIN, 40, 1)
        assert found["half"]["whole"]["burn_clean"] is chosen
        often = found["half"]["draws_pct"]["burn_clean"]
        assert (often > 80) if chosen else (often < 20)
        low, middle, high = found["gain"]["macro_f1"]["draws"]
        assert low <= middle <= high
        assert (middle > 0) is chosen


def test_a_run_gains_nothing_over_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = labelled_folder(tmp_path / "data", 150)
    other = labelled_folder(tmp_path / "other", seed=2)
    (other / "images" / "7.png").write_bytes(b"broken otherwise")
    run = tmp_path / "run"
    train(*FIT, "--data", data, "--out", run, "--classifier", "simple_dcnn")
    of = ("--data", data, "--test", other, "--without", run, "--with", run)

    def asked(*options: str | Path) -> None:
        monkeypatch.setattr(sys, "argv", ["scarce_validation.py", *map(str, options)])
        scarce_validation.main()

    asked(*of, "--draws", "5")
    found = json.loads(capsys.readouterr().out)
    assert found["gain"]["accuracy"]["draws"] == [0.0, 0.0, 0.0]
    assert set(found["half"]["draws_pct"].values()) == {0.0}
    assert found["test"]["images"] == 59  # one of 60 cannot be read
    with pytest.raises(SystemExit, match="give 1 or more"):
        asked(*of, "--draws", "0")
    with pytest.raises(SystemExit, match="no-run"):
        asked(*of[:-1], tmp_path / "no-run")
