"""Runs of `cane-train synthesize` on drawn loads, and what lies in their folders."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import thumbnails
from typer.testing import CliRunner, Result

from training import baselines
from training.cli import app as cane_train
from training.console import RichReport
from training.synthesis.config import (
    PRESETS,
    AdaptSection,
    DiffuseSection,
    SegmentSection,
    SynthesisConfig,
)
from training.synthesis.pipeline import synthesize

FAST = PRESETS["fast"]
CONFIG = FAST.model_copy(
    update={
        "segment": SegmentSection(widths=(8, 16), steps=20, batch=8),
        "diffuse": DiffuseSection(widths=(32, 64), attention=1, steps=8, batch=4),
    }
)
"""The smallest that does everything."""
ADAPTED = CONFIG.model_copy(
    update={
        "diffuse": CONFIG.diffuse.model_copy(update={"regions": False}),
        "adapt": AdaptSection(rank=2, steps=4),
    }
)


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(cane_train, [str(a) for a in arguments])


def conditioning(data: Path, folder: Path, out: Path) -> tuple[dict[str, Any], str]:
    """What `cane-train conditioning` measures of a folder's model, written in OUT, and says."""
    file = out / "conditioning.json"
    options = ("--data", data, "--set", folder, "--images", 4, "--threads", 1)
    result = run("conditioning", *options, "--out", file)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found, result.stdout


def finished(data: Path, out: Path, config: SynthesisConfig) -> Path:
    """A finished run, judged by thumbnails."""
    with pytest.MonkeyPatch.context() as patch, RichReport(quiet=True) as report:
        patch.setattr(baselines, "frozen_features", thumbnails.features)
        assert synthesize(data, out, config, report, threads=1)
    return out


def undrawn(out: Path, copy: Path) -> Path:
    """A copy of a finished run in which nothing is drawn yet, nor judged by anybody."""
    copied = shutil.copytree(out, copy)
    for stage in ("generate", "features", "set"):
        shutil.rmtree(folder(copied, stage))
    return copied


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def folder(out: Path, stage: str) -> Path:
    (found,) = out.glob(f"{stage}-*")
    return found


def done(out: Path, stage: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder(out, stage) / "done.json").read_text("utf-8"))
    return content


def drawn(out: Path) -> dict[str, np.ndarray]:
    files = sorted((folder(out, "generate") / "images").glob("*.png"))
    return {file.name: np.asarray(cv2.imread(str(file))) for file in files}


def assert_same_images(one: Path, other: Path) -> None:
    """Of two runs, which drew them in other batches, where sums are rounded otherwise."""
    ours, theirs = drawn(one), drawn(other)
    assert ours.keys() == theirs.keys()
    for name, image in ours.items():
        assert np.abs(image.astype(int) - theirs[name]).max() <= 2, name


def blends_only() -> SynthesisConfig:
    still = CONFIG.generate.model_copy(update={"strength": 0.0})
    return CONFIG.model_copy(update={"generate": still})


def told_of(data: Path, folder: Path, region: str) -> Path:
    """A copy whose loads are all from there."""
    rows = table(data / "manifest.csv")
    return _copied(data, folder, [{**row, "region": region} for row in rows])


def of_other_trucks(data: Path, folder: Path) -> Path:
    """A copy whose trucks have other names."""
    rows = table(data / "manifest.csv")
    return _copied(data, folder, [{**row, "truck": f"other {row['truck']}"} for row in rows])


def with_one_of(data: Path, folder: Path, grade: str) -> Path:
    """A copy with one training image of a grade."""
    rows = table(data / "manifest.csv")
    ours = [row for row in rows if row["grade"] == grade and row["split"] == "train"]
    return _copied(data, folder, [row for row in rows if row not in ours[1:]])


def _copied(data: Path, folder: Path, rows: list[dict[str, str]]) -> Path:
    copied = shutil.copytree(data, folder)
    with (copied / "manifest.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return copied
