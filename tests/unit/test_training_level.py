"""The second head: its loss, its interval, its worth, and a network that has one."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from straw import FIT, SIZE, straw_folder
from trained import told, train

from edge_agent.grades import GRADES, Grade
from training.config import LEVEL_COVERAGE
from training.data.dataset import ImageSet
from training.data.manifest import Row
from training.level import (
    QUANTILES,
    LevelCard,
    card_of,
    estimates,
    figures,
    pinball,
    shares,
)
from training.model import TrainedModel

CLEAN, TRASHY = GRADES.index(Grade.FRESH_CLEAN), GRADES.index(Grade.FRESH_TRASH)


def loads(true: np.ndarray, labels: np.ndarray) -> ImageSet:
    rows = tuple(
        Row(image=f"{i}.png", truck=f"T{i}", trash_share=None if math.isnan(share) else share)
        for i, share in enumerate(true)
    )
    return ImageSet(np.zeros((len(true), 1, 1, 3), np.uint8), labels, rows, ())


def test_the_loss_is_least_at_the_quantiles() -> None:
    values = torch.arange(1001) / 1000
    best = torch.tensor(QUANTILES)
    least = float(pinball(best.expand(1001, 3), values))
    for index in range(3):
        for step in (-0.02, 0.02):
            other = best.clone()
            other[index] += step
            assert float(pinball(other.expand(1001, 3), values)) > least


def test_a_load_of_unknown_share_counts_for_nothing() -> None:
    found = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], requires_grad=True)
    loss = pinball(found, torch.tensor([0.25, math.nan]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == pytest.approx(0.05 * 0.15 + 0.5 * 0.05 + 0.05 * 0.05)
    assert found.grad is not None
    assert (found.grad[1] == 0).all()
    assert float(pinball(found.detach(), torch.full((2,), math.nan))) == 0


def test_undefined_loads_have_no_share() -> None:
    both = loads(np.array([10.0, 20.0]), np.array([CLEAN, GRADES.index(Grade.UNDEFINED)]))
    assert np.isnan(shares(both)).tolist() == [False, True]


@pytest.mark.parametrize("narrow", [True, False])
def test_the_interval_holds_its_share_of_new_loads(narrow: bool) -> None:
    """Whether the raw quantiles are far too narrow or far too wide."""
    rng = np.random.default_rng(1)

    def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
        true = rng.uniform(10, 90, count)
        middle = true + rng.normal(0, 6, count)
        width = 1 if narrow else 40
        return true, np.stack([middle - width, middle, middle + width], axis=1)

    covered, widths = [], []
    for _ in range(60):
        true, raw = drawn(150)
        known = loads(true, np.full(len(true), CLEAN))
        card = card_of(raw, known, known, known)
        new, new_raw = drawn(400)
        low, _, high = estimates(new_raw, card).T
        covered.append(((new >= low) & (new <= high)).mean())
        widths.append((high - low).mean())
    assert np.mean(covered) == pytest.approx(LEVEL_COVERAGE, abs=0.02)
    # 90 % of a normal error of 6 lie within 1.645 x 6.
    assert np.mean(widths) == pytest.approx(2 * 1.645 * 6, rel=0.1)


@given(
    arrays(np.float64, (5, 3), elements=st.floats(-300, 300)),
    st.floats(-100, 100),
)
def test_estimates_are_in_order_and_in_range(raw: np.ndarray, margin: float) -> None:
    low, middle, high = estimates(raw, LevelCard(margin=margin, grade_medians=(0.0,) * 5)).T
    assert ((low >= 0) & (low <= middle) & (middle <= high) & (high <= 100)).all()


def test_it_earns_its_place_by_what_the_grade_does_not_say() -> None:
    rng = np.random.default_rng(2)
    labels = np.tile([CLEAN, TRASHY], 100)
    true = np.where(labels == CLEAN, 15, 55) + rng.uniform(-14, 14, 200)
    known = loads(true, labels)
    sure = np.eye(5, dtype=np.float32)[labels]
    card = LevelCard(margin=0.0, grade_medians=(15.0, 55.0, 0.0, 0.0, 30.0))

    def worth(middle: np.ndarray) -> dict[str, float]:
        found = np.stack([middle - 5, middle, middle + 5], axis=1)
        result = figures(found, sure, known, card)
        assert result is not None
        return result

    good = worth(true + rng.normal(0, 2, 200))
    assert good["earns_its_place"]
    assert good["of_the_guess_by_grade"] == pytest.approx(7, abs=1)
    assert good["mean_absolute_error"] == pytest.approx(1.6, abs=0.4)
    assert good["within_the_interval"] > 0.95
    assert good["mean_width"] == pytest.approx(10)
    same = worth(np.where(labels == CLEAN, 15.0, 55.0))
    assert same["better_by"] == pytest.approx(0)
    assert not same["earns_its_place"]
    assert figures(np.zeros((1, 3)), sure[:1], loads(true[:1], labels[:1]), card) is None


def test_the_guess_is_of_real_loads_where_any_is_known() -> None:
    of_clean = loads(np.array([10.0, 12.0, math.nan]), np.array([CLEAN, CLEAN, TRASHY]))
    strewn = [50.0] * 9 + [80.0]
    learned = loads(
        np.array([10.0, 12.0, math.nan, *strewn]),
        np.array([CLEAN, CLEAN, TRASHY, *[CLEAN] * 9, TRASHY]),
    )
    card = card_of(np.zeros((3, 3)), of_clean, of_clean, learned)
    assert card.grade_medians[CLEAN] == 11
    assert card.grade_medians[TRASHY] == 80
    assert card.grade_medians[GRADES.index(Grade.UNDEFINED)] == 50


def test_a_network_learns_it_and_keeps_it(tmp_path: Path, one_thread: None) -> None:
    data, run = straw_folder(tmp_path / "data"), tmp_path / "run"
    train(*FIT, "--data", data, "--out", run, "--level-weight", 3)
    metrics = json.loads((run / "metrics.json").read_text())
    for key in ("validation_level", "test_level"):
        assert metrics[key]["mean_absolute_error"] < 0.6 * metrics[key]["of_the_guess_by_grade"]
        assert metrics[key]["earns_its_place"]
    model = TrainedModel.load(run)
    assert model.card.level is not None
    pixels = np.full((2, SIZE, SIZE, 3), (70, 140, 50), np.uint8)
    pixels[1] = (215, 180, 90)
    found = model.says(pixels).levels
    assert found is not None
    assert found[0, 1] < 25 < 75 < found[1, 1]
    assert model.probabilities(pixels).shape == (2, 5)
    # On another folder it is measured too.
    answer = json.loads(train("evaluate", "--checkpoint", run, "--data", data))
    assert any(name.endswith("_level") for name in answer)
    # Another one can start from it.
    again = ("--weights", run / "model.safetensors", "--steps", "2")
    train(*FIT, "--data", data, "--out", tmp_path / "next", *again)
    alone = model.without_level()
    assert alone.card.level is None
    assert alone.says(pixels).levels is None
    assert np.array_equal(alone.probabilities(pixels), model.probabilities(pixels))


def test_it_learns_from_synthetic_loads_too(tmp_path: Path, one_thread: None) -> None:
    data = straw_folder(tmp_path / "data")
    train("data", "split", "--data", data)
    with (data / "manifest.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        # Nobody has said how much trash the trashy ones have.
        if row["split"] == "train" and row["grade"] in ("fresh_trash", "burn_trash"):
            row["trash_share"] = ""
    with (data / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    made = straw_folder(tmp_path / "made", 200, seed=4)
    errors = []
    for out, further in (("alone", ()), ("more", ("--synthetic", made))):
        run = tmp_path / out
        train(*FIT, "--data", data, "--out", run, "--level-weight", 3, *further)
        metrics = json.loads((run / "metrics.json").read_text())
        errors.append(metrics["test_level"]["mean_absolute_error"])
    assert metrics["config"]["synthetic_shares"] == [0.5] * 5
    # They are learned from, and evaluation knows them.
    found = json.loads(train("evaluate", "--checkpoint", run, "--data", made))
    assert found["learned_from"] == 200
    assert errors[1] < 0.6 * errors[0]
    # Images of the data itself are none to learn from beside it, nor is a set of other data.
    again = (*FIT, "--data", data, "--out", tmp_path / "none")
    assert "take other images" in told(*again, "--synthetic", data, code=2)
    manifest = made / "manifest.csv"
    text = manifest.read_text()
    manifest.write_text("\n".join(f"{line},parents" for line in text.splitlines()) + "\n")
    assert "it is not finished, or a copy that" in told(*again, "--synthetic", made, code=2)
    (made / "done.json").write_text('{"data": "other"}')
    said = told(*again, "--synthetic", made, code=2)
    assert f"{made}: was made of other images, labels or splits than those of" in said


def test_shares_that_nobody_knows_are_told_in_a_line(tmp_path: Path, one_thread: None) -> None:
    data = straw_folder(tmp_path / "data", 60, known=False)
    said = told(*FIT, "--data", data, "--out", tmp_path / "run", "--level-weight", 3, code=2)
    assert "0 loads of 0 trucks whose trash_share is known, the level needs 20 of 10" in said
    assert "leave --level-weight out" in said
