"""Loads whose share of trash can be seen: straw on a known share of the pixels."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from edge_agent.grades import GRADES, Grade

SIZE: Final = 32


def straw_folder(folder: Path, count: int = 150, *, known: bool = True, seed: int = 3) -> Path:
    """Green loads with straw on a known share of their pixels; from 50 % on they are trashy."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    names = ["image", "truck", "captured_at", "grade", "trash_share"]
    with (folder / "manifest.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        for i in range(count):
            share = float(rng.uniform(0, 100))
            pixels = np.empty((SIZE, SIZE, 3))
            pixels[:] = (70, 140, 50) if i % 2 else (45, 40, 36)
            pixels[rng.random((SIZE, SIZE)) < share / 100] = (215, 180, 90)
            pixels = rng.normal(pixels, 8).clip(0, 255).astype(np.uint8)
            grade = GRADES[(0 if i % 2 else 2) + (share >= 50)]
            if i % 10 == 9:
                pixels[:] = rng.integers(120, 140, (SIZE, SIZE, 1), np.uint8)
                grade = Grade.UNDEFINED
            Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
            at = datetime(2026, 1, 1, 3, tzinfo=UTC) + timedelta(days=i)
            said = f"{share:.2f}" if known else ""
            writer.writerow([f"images/{i}.png", f"T{i}", at.isoformat(), grade, said])
    (folder / "dataset.json").write_text(json.dumps({"graded_area": [0.0, 0.04, 1.0, 0.96]}))
    return folder


FIT: Final = (
    *("fit", "--classifier", "simple_dcnn", "--size", SIZE, "--steps", 60, "--batch", 32),
    *("--precision", "fp32", "--seed", 1, "--augment", "none", "--threads", 1),
)
"""A run on it of seconds."""
