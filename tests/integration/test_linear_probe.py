"""What a set of synthetic images would be worth, told without training a network."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from labelled import COLOURS, labelled_folder
from PIL import Image

from edge_agent.grades import GRADES, Grade
from training import baselines
from training.data.dataset import Dataset, ImageSet
from training.mixture import load

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import linear_probe

SCARCE = GRADES.index(Grade.BURN_CLEAN)


@pytest.fixture(autouse=True)
def _thumbnails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two by two pixels an image."""

    def features(images: np.ndarray) -> np.ndarray:
        small = [cv2.resize(image, (2, 2), interpolation=cv2.INTER_AREA) for image in images]
        return np.stack(small).reshape(len(images), -1).astype(np.float32)

    monkeypatch.setattr(baselines, "frozen_features", features)


def folder(path: Path, counts: dict[str, list[int]], seed: int, *, dealt: bool = False) -> Path:
    """Images of each grade in each split, in noise that hides most of their colour, one a truck.

    dealt: what is called SCARCE has the colour of any grade.
    """
    rng = np.random.default_rng(seed)
    path.mkdir()
    rows = ["image,truck,captured_at,grade,split"]
    for month, (split, of) in enumerate(counts.items(), start=1):  # no day in two splits
        for label, count in enumerate(of):
            for i in range(count):
                colour = int(rng.integers(len(GRADES))) if dealt and label == SCARCE else label
                light = rng.normal(0, 40, 3)
                pixels = rng.normal(np.array(COLOURS[colour]) + light, 30, (8, 8, 3))
                name = f"{split}-{label}-{i}"
                square = pixels.clip(0, 255).astype(np.uint8).repeat(2, 0).repeat(2, 1)
                Image.fromarray(square).save(path / f"{name}.png")
                truck, at = f"{path.name}-{name}", f"2026-{month:02d}-01T03:00:00+00:00"
                rows.append(f"{name}.png,{truck},{at},{GRADES[label]},{split}")
    (path / "manifest.csv").write_text("\n".join(rows))
    return path


def asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str | Path
) -> dict[str, Any]:
    arguments = ["linear_probe.py", "--size", "32", "--threads", "1", *map(str, options)]
    monkeypatch.setattr(sys, "argv", arguments)
    linear_probe.main()
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_set_of_a_scarce_grade_is_worth_what_is_on_its_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [40, 40, 3, 40, 40]
    data = folder(tmp_path / "data", {"train": few, "val": [20] * 5, "test": [2] * 5}, 1)
    test = folder(tmp_path / "test", {"": [60] * 5}, 2)
    only_scarce = [60 if label == SCARCE else 0 for label in range(len(GRADES))]
    good = folder(tmp_path / "good", {"train": only_scarce}, 3)
    dealt = folder(tmp_path / "dealt", {"train": only_scarce}, 4, dealt=True)
    sets = ("--set", "good", good, "--set", "dealt", dealt)
    found = asked(monkeypatch, capsys, "--data", data, "--test", test, *sets)
    assert found["sets"]["good"]["images"] == dict(zip(GRADES, only_scarce, strict=True))
    assert found["test"]["images"] == 300
    seen = {
        name: of["as_it_is"]["average_precision"]["burn_clean"]
        for name, of in found["mixtures"]["tested"].items()
    }
    assert seen["dealt"] + 0.1 < seen["real"] < seen["good"]
    loss = found["mixtures"]["tested"]["dealt"]["as_it_is"]["against_first"]
    assert loss["macro_f1_ci"][1] < 0
    assert set(found["penalties_c"]) == {"real", "good", "dealt"}


def test_half_counts_whatever_the_number_of_images(tmp_path: Path) -> None:
    counts = {"train": [20, 20, 3, 20, 20], "val": [10] * 5, "test": [10] * 5}
    data = Dataset.open(folder(tmp_path / "data", counts, 1))
    split = [data.load(name, 32) for name in counts]
    made = load(folder(tmp_path / "made", {"train": [0, 0, 30, 0, 0]}, 2), 32, agreement=0.6)
    twice = ImageSet(
        *(np.concatenate([part, part]) for part in (made.images, made.labels)), made.rows * 2, ()
    )
    said, penalties = linear_probe.probes(*split, {"once": made, "twice": twice})
    once, again = (said[name].test.scores for name in ("once", "twice"))
    assert once == pytest.approx(again, abs=1e-3)
    assert penalties["once"] == penalties["twice"]
    assert np.abs(once - said["real"].test.scores).max() > 0.1


def test_what_cannot_be_probed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = labelled_folder(tmp_path / "data", 150)
    Dataset.open(data).split(1)
    other = labelled_folder(tmp_path / "other", seed=2)
    (other / "images" / "7.png").write_bytes(b"broken otherwise")
    further = labelled_folder(tmp_path / "further", seed=3)
    (further / "images" / "7.png").write_bytes(b"broken again")
    asking = ("--data", data, "--test", other)
    refused: dict[str, tuple[str | Path, ...]] = {
        "give each a name of its own": (*asking, *("--set", "one", other) * 2),
        "other than real": (*asking, "--set", "real", further),
        "make it again, or delete its row": (*asking, "--set", "broken", further),
        "No such file": (*asking, "--set", "none", tmp_path / "none"),
        "other/images/0.png": (*asking, "--set", "leak", other),
        "take other images": ("--data", data, "--test", data, "--set", "one", further),
    }
    for reason, options in refused.items():
        with pytest.raises(SystemExit, match=re.escape(reason)) as refusal:
            asked(monkeypatch, capsys, *options)
        assert "\n" not in str(refusal.value)
