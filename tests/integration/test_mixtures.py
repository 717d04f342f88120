"""By which rule a model best decides for a mill's mixture of loads."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from labelled import SIZE, labelled_folder
from trained import FIT, train

from edge_agent.grades import GRADES

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))
import mixtures  # noqa: E402
from decision_rules import Answers, Seed  # noqa: E402


def test_the_rule_that_fits_the_fault_mends_it() -> None:
    """Of the grade that most loads are of, one of two is taken for another by a little."""
    labels = np.repeat(np.arange(len(GRADES)), 2)
    scores = np.full((len(labels), len(GRADES)), 0.05)
    scores[np.arange(len(labels)), labels] = 0.8
    scores[1] = 0.35, 0.5, 0.05, 0.05, 0.05
    said = Answers(scores, labels)
    trucks = [f"T{i}" for i in range(len(labels))]
    mixture = np.array([0.9, 0.04, 0.02, 0.02, 0.02])
    found = mixtures.under_rules([Seed(said, said)], trucks, np.full(5, 0.2), mixture)
    assert found["as_it_is"]["accuracy"] == pytest.approx(0.55)
    assert found["as_it_is"]["against_as_it_is"]["accuracy"] == 0
    # Training images that come evenly move nothing, the mixture does.
    assert found["tau"]["accuracy"] == pytest.approx(0.55)
    assert found["toward"]["accuracy"] == found["both"]["accuracy"] == 1
    assert found["both"]["toward"] == [0.25]
    assert found["both"]["against_as_it_is"]["accuracy"] == pytest.approx(0.45)
    means = mixtures.means({"a": found, "b": found})
    assert means["both"] == {"accuracy": 1.0, "macro_f1": 1.0}


def test_finished_runs_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, test = labelled_folder(tmp_path / "set"), labelled_folder(tmp_path / "test", 40, seed=2)
    (test / "images" / "7.png").write_bytes(b"broken in another way")
    run = tmp_path / "run"
    train(*FIT, "--data", data, "--out", run, "--epochs", 2)
    asked = ["mixtures.py", "--data", str(data), "--test", str(test), str(run)]
    monkeypatch.setattr(sys, "argv", asked)
    mixtures.main()
    found = json.loads(capsys.readouterr().out)
    assert found["runs"] == ["run"]
    assert set(found["mixtures"]) == {"training", *mixtures.MIXTURES}
    assert set(found["mean"]) == set(mixtures.RULES)
    assert (found["data"]["name"], found["test"]["name"], SIZE) == ("set", "test", 32)
    monkeypatch.setattr(sys, "argv", [*asked[:4], str(data), str(run)])
    with pytest.raises(SystemExit, match="take other images"):
        mixtures.main()
