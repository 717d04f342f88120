"""Figures at a mill's own mixture of grades, of models that were asked about another one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_agent.grades import GRADES, Grade
from training.predictions import PREDICTIONS_NAME, Predictions

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "at_mixture.py"
COMMON = {Grade.FRESH_CLEAN: 12, Grade.FRESH_TRASH: 3, Grade.BURN_CLEAN: 1}


def measured(*options: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def mill(tmp_path: Path) -> Path:
    """A manifest with 12, 3, 1, 2 and 2 training images of the grades; images are not read."""
    rows = [
        f"{grade}-{i}.png,{grade}-{i},,{grade},train"
        for grade in GRADES
        for i in range(COMMON.get(grade, 2))
    ]
    rows.append("other.png,other,,burn_clean,test")
    folder = tmp_path / "mill"
    folder.mkdir()
    lines = ["image,truck,captured_at,grade,split", *rows]
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def said(folder: Path, taken_for: dict[Grade, Grade], sure: float = 0.6) -> Path:
    """Two loads a grade; the first is told, the second taken for what is named, or told too."""
    labels = [grade for grade in GRADES for _ in range(2)]
    scores = np.full((len(labels), len(GRADES)), (1 - sure) / 4, np.float32)
    for i, label in enumerate(labels):
        guess = taken_for.get(label, label) if i % 2 else label
        scores[i, GRADES.index(guess)] = sure
    names = tuple(f"{i}.png" for i in range(len(labels)))
    folder.mkdir()
    told = Predictions(names, names, tuple(labels), (None,) * len(labels), scores)
    told.write(folder / PREDICTIONS_NAME)
    return folder


def test_every_grade_counts_by_how_common_it_is_there(mill: Path, tmp_path: Path) -> None:
    misses = said(tmp_path / "misses", {Grade.BURN_CLEAN: Grade.FRESH_CLEAN})
    cries = said(tmp_path / "cries", {Grade.FRESH_CLEAN: Grade.BURN_CLEAN})
    done = measured("--at", mill, "--arm", "misses", misses, misses, "--arm", "cries", cries)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["mixture"] == pytest.approx(
        dict(zip(GRADES, (0.6, 0.15, 0.05, 0.1, 0.1), strict=True))
    )
    missing, crying = found["arms"]["misses"], found["arms"]["cries"]
    assert missing["models"] == 2
    # Half of the 5 % are missed; half of the 60 % are called burnt, beside 15 % that are.
    assert missing["as_it_is"]["accuracy"] == pytest.approx(0.975)
    assert missing["as_it_is"]["burnt"]["recall"] == pytest.approx(0.125 / 0.15, abs=1e-4)
    assert missing["as_it_is"]["burnt"]["precision"] == 1
    assert crying["as_it_is"]["accuracy"] == pytest.approx(0.7)
    assert crying["as_it_is"]["burnt"]["recall"] == 1
    assert crying["as_it_is"]["burnt"]["precision"] == pytest.approx(0.15 / 0.45, abs=1e-4)
    assert crying["as_it_is"]["against_first"]["accuracy"] == pytest.approx(-0.275)
    # 0.6 of burn_clean weighs 0.03, 0.1 of fresh_clean 0.06: told how rare it is, it is not said.
    assert crying["told"]["accuracy"] == pytest.approx(0.95)
    assert crying["told"]["recall"]["burn_clean"] == 0
    assert missing["average_precision"]["fresh_clean"] == pytest.approx(0.6 / 0.625, abs=1e-4)


@pytest.mark.parametrize("other", ["other images", "no folder", "a grade less"])
def test_what_cannot_be_compared_is_refused(mill: Path, tmp_path: Path, other: str) -> None:
    one = said(tmp_path / "one", {})
    second: list[str | Path] = ["--arm", "second"]
    if other == "other images":
        text = (one / PREDICTIONS_NAME).read_text("utf-8")
        (tmp_path / "two").mkdir()
        moved = text.replace("3.png", "33.png")
        (tmp_path / "two" / PREDICTIONS_NAME).write_text(moved, "utf-8")
        second.append(tmp_path / "two")
    if other == "a grade less":
        second.append(one)
        manifest = mill / "manifest.csv"
        text = manifest.read_text("utf-8").replace("undefined,train", "undefined,val")
        manifest.write_text(text, "utf-8")
    done = measured("--at", mill, "--arm", "first", one, *second)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    reason = {
        "other images": "not of the same images",
        "no folder": "name folders with predictions.csv",
        "a grade less": "not all grades are in its training split",
    }
    assert reason[other] in done.stderr
