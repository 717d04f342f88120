"""The filter asks no more of candidates than the judge grants real images of their grade."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from edge_agent.grades import GRADES
from training.console import RichReport
from training.data.dataset import ImageSet
from training.data.manifest import Row
from training.model import TrainedModel
from training.synthesis.config import FilterSection
from training.synthesis.features import RealFeatures
from training.synthesis.filter import Judge

EACH = 20
QUIET = RichReport(quiet=True)


pytestmark = pytest.mark.usefixtures("quick_judge")


def loads(seed: int, grades: int = len(GRADES)) -> ImageSet:
    """Grey loads whose grade is a tenth of their grey; EACH of a grade."""
    labels = np.repeat(np.arange(grades), EACH)
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 9, (len(labels), 16, 16, 3)) + 10 * labels[:, None, None, None]
    rows = tuple(Row(image=f"{i}.png", truck=f"T{i}", split="train") for i in range(len(labels)))
    return ImageSet(images.astype(np.uint8), labels.astype(np.int64), rows, ())


def unsure_of(grade: int, granted: np.ndarray) -> TrainedModel:
    """Right and sure, but of one grade, of which it grants as much as is given."""

    def probabilities(images: np.ndarray) -> np.ndarray:
        labels = images.mean((1, 2, 3)).astype(int) // 10
        found = np.eye(len(GRADES), dtype=np.float32)[labels]
        ours = np.flatnonzero(labels == grade)
        found[ours, grade] = np.resize(granted, len(ours))
        found[ours, (grade + 1) % len(GRADES)] = 1 - found[ours, grade]
        return found

    card = SimpleNamespace(classifier="unsure")
    return cast("TrainedModel", SimpleNamespace(probabilities=probabilities, card=card))


def judge_of(train: ImageSet, validation: ImageSet, network: TrainedModel | None = None) -> Judge:
    return Judge(train, validation, RealFeatures.of(train, validation, QUIET), QUIET, network)


def test_a_grade_that_the_judge_seldom_grants_has_a_lower_bar() -> None:
    granted = np.linspace(0.05, 1, EACH)
    judge = judge_of(loads(1), loads(2), unsure_of(3, granted))
    bars = judge.bars(FilterSection(overlap=0.5, strictness=0.25))
    assert bars.tolist() == pytest.approx([0.5, 0.5, 0.5, np.quantile(granted, 0.25), 0.5])
    assert judge.bars(FilterSection(overlap=0.5, strictness=1)).tolist() == [0.5] * 5
    drawn = loads(3)
    asked = np.eye(len(GRADES), dtype=np.float32)[drawn.labels]
    config = FilterSection(copies="keep")
    judged = judge.judge(drawn.images, asked, drawn.labels, config)
    kept = np.array([verdict == "kept" for verdict in judged.verdicts])
    assert kept[drawn.labels != 3].all()
    assert kept[drawn.labels == 3].mean() == pytest.approx(0.75, abs=0.05)
    report = judge.report(judged, drawn.labels, config)
    assert report["grades"]["burn_trash"]["least_overlap"] == pytest.approx(bars[3])
    assert report["judge"]["model"] == "unsure"


def test_candidates_taken_for_another_grade_are_left_out() -> None:
    judge = judge_of(loads(1), loads(2))
    assert judge.validation_accuracy > 0.9
    drawn = loads(3)
    wrong = np.roll(np.eye(len(GRADES), dtype=np.float32), 1, 1)[drawn.labels]
    labels = (drawn.labels + 1) % len(GRADES)
    judged = judge.judge(drawn.images, wrong, labels, FilterSection(copies="keep"))
    assert judged.verdicts.count("judged otherwise") > 0.9 * len(drawn)


def test_a_grade_without_validation_images_has_the_bar_asked_for() -> None:
    judge = judge_of(loads(1), loads(2, grades=4))
    assert judge.bars(FilterSection(overlap=0.4))[4] == 0.4


@pytest.mark.parametrize("mirrored", [(), (1,), (2,), (1, 2)])
def test_near_copies_are_dropped_and_counted(mirrored: tuple[int, ...]) -> None:
    train = loads(1)
    judge = judge_of(train, loads(2))
    # Of each grade half are training images with a grey level changed, half new loads.
    images = loads(4).images
    copied = np.arange(len(images)) % 2 == 0
    images[copied] = np.flip(train.images, mirrored)[copied]
    images[copied, 0, 0] += 1
    asked = np.eye(len(GRADES), dtype=np.float32)[train.labels]
    config = FilterSection(overlap=0.0)
    judged = judge.judge(images, asked, train.labels, config)
    assert [verdict == "near-copy" for verdict in judged.verdicts] == copied.tolist()
    assert (judged.nearest[copied] < 1).all()
    assert (judged.nearest[~copied] > 1).all()
    report = judge.report(judged, train.labels, config)
    for grade in report["grades"].values():
        assert (grade["near_copies"], grade["kept"]) == (EACH // 2, EACH // 2)
        assert grade["memorisation_rate"] == 0.5
    # Kept, they still count.
    config = FilterSection(overlap=0.0, copies="keep")
    judged = judge.judge(images, asked, train.labels, config)
    assert set(judged.verdicts) == {"kept"}
    report = judge.report(judged, train.labels, config)
    for grade in report["grades"].values():
        assert (grade["near_copies"], grade["kept"]) == (0, EACH)
        assert grade["memorisation_rate"] == 0.5
