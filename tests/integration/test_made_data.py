"""Scripts about data for measurements: masks of things on a dark ground, unknown shares."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scenes import scene_folder
from straw import straw_folder

from training.data.dataset import Dataset

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def made(script: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, BENCHMARKS / script, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_the_largest_bright_piece_is_the_thing_with_its_holes(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    picture = rng.normal(15, 3, (120, 60, 3))
    picture[20:100, 10:50] = rng.normal(140, 10, (80, 40, 3))
    picture[50:60, 25:35] = 12  # a dark spot in it
    picture[5:9, 2:6] = 200  # a crumb beside it
    cv2.imwrite(str(tmp_path / "a.png"), picture.clip(0, 255).astype(np.uint8))
    (tmp_path / "manifest.csv").write_text(
        "image,truck,captured_at,grade,trash_share\na.png,T1,,fresh_clean,\n"
    )
    done = made("masks_on_dark.py", "--data", tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = rows_of(tmp_path)
    assert row["trash_share"] == ""
    mask = cv2.imread(str(tmp_path / row["mask"]), cv2.IMREAD_UNCHANGED)
    thing = np.zeros((120, 60), np.uint8)
    thing[20:100, 10:50] = 1
    assert mask.shape == thing.shape
    assert (mask != thing).mean() < 0.02
    assert mask[55, 30] == 1
    assert mask[7, 4] == 0

    drawn = mask.copy()
    drawn[:] = 2
    cv2.imwrite(str(tmp_path / row["mask"]), drawn)
    refused = made("masks_on_dark.py", "--data", tmp_path)
    assert refused.returncode == 1
    assert "1 rows have a mask already; they stay" in refused.stderr
    kept = cv2.imread(str(tmp_path / row["mask"]), cv2.IMREAD_UNCHANGED)
    assert (kept == 2).all()


def test_most_training_loads_forget_their_share_and_no_other(tmp_path: Path) -> None:
    data, out = straw_folder(tmp_path / "data"), tmp_path / "out"
    Dataset.open(data).split(1)
    done = made("forget_shares.py", "--data", data, "--out", out, "--keep", "0.25")
    assert done.returncode == 0, done.stderr
    before, after = rows_of(data), rows_of(out)
    training = [i for i, row in enumerate(before) if row["split"] == "train"]
    kept = [i for i in training if after[i]["trash_share"]]
    assert len(kept) == round(0.25 * len(training))
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        assert (out / new["image"]).samefile(data / old["image"])
        if i not in training or i in kept:
            assert new["trash_share"] == old["trash_share"]
    assert Dataset.open(out).digest == Dataset.open(data).digest


def test_asked_to_keep_masks_all_loads_keep_theirs(tmp_path: Path) -> None:
    data = scene_folder(tmp_path / "data")
    head, *lines = (data / "manifest.csv").read_text().splitlines()
    shares = [f"{line},{number % 100}" for number, line in enumerate(lines)]
    (data / "manifest.csv").write_text("\n".join([f"{head},trash_share", *shares]) + "\n")
    done = made("forget_shares.py", "--data", data, "--out", tmp_path / "out", "--keep-masks")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "out")
    for old, new in zip(rows_of(data), rows, strict=True):
        assert (tmp_path / "out" / new["mask"]).samefile(data / old["mask"])
    assert 0 < sum(row["split"] == "train" and row["trash_share"] != "" for row in rows) < 10


def test_shares_of_blends_stand_beside_those_of_loads(tmp_path: Path) -> None:
    folder = straw_folder(tmp_path / "data", 60)
    head, *lines = (folder / "manifest.csv").read_text().splitlines()
    rows = [f"{line},{('train', 'val')[number % 4 == 3]}" for number, line in enumerate(lines)]
    (folder / "manifest.csv").write_text("\n".join([f"{head},split", *rows]) + "\n")
    done = made("blend_shares.py", "--data", folder, "--set", folder)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["sets"] == {"data": found["loads"]}
    ours = [
        float(row["trash_share"])
        for row in rows_of(folder)
        if (row["split"], row["grade"]) == ("train", "burn_trash")
    ]
    assert found["loads"]["burn_trash"]["n"] == len(ours) > 0
    assert found["loads"]["burn_trash"]["trash"][2] == pytest.approx(np.median(ours), abs=0.06)


@pytest.mark.parametrize("keep", ["0", "-0.5", "10"])
def test_a_share_that_is_none_is_refused(tmp_path: Path, keep: str) -> None:
    done = made("forget_shares.py", "--data", tmp_path, "--out", tmp_path, f"--keep={keep}")
    assert done.returncode == 1
    assert "write a share above 0 and at most 1" in done.stderr
