"""Loads drawn as rectangles, with masks: a labelled folder that synthesis can learn in seconds."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

from edge_agent.grades import GRADES, Grade

SIZE = 32
GROUND = {
    Grade.FRESH_CLEAN: (60, 140, 60),
    Grade.FRESH_TRASH: (90, 150, 70),
    Grade.BURN_CLEAN: (70, 45, 30),
    Grade.BURN_TRASH: (95, 70, 50),
    Grade.UNDEFINED: (150, 150, 165),
}
COUNTS = (20, 16, 8, 6, 6)
"""Training images of each grade, in the order of GRADES; a third as many for each other split."""


def scene(grade: Grade, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An image, uint8 RGB, its mask: bright stalks, straw-coloured trash on trashy loads."""
    image = np.empty((SIZE, SIZE, 3))
    image[:] = GROUND[grade]
    mask = np.zeros((SIZE, SIZE), np.uint8)
    if grade is not Grade.UNDEFINED:
        for value in (1, 1, 1, *((2, 2, 2) if grade.has_trash else ())):
            left, top = rng.integers(0, SIZE - 12, 2)
            image[top : top + 12, left : left + 12] = (
                (200, 210, 120) if value == 1 else (210, 170, 60)
            )
            mask[top : top + 12, left : left + 12] = value
    return rng.normal(image, 6).clip(0, 255).astype(np.uint8), mask


def scene_folder(folder: Path, seed: int = 1) -> Path:
    """A dataset with splits, two regions, and a mask of every image."""
    rng = np.random.default_rng(seed)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    columns = ["image", "mask", "truck", "captured_at", "region", "grade", "split"]
    with (folder / "manifest.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        number = 0
        for grade, count in zip(GRADES, COUNTS, strict=True):
            for split, images in (("train", count), ("val", count // 3), ("test", count // 3)):
                for _ in range(images):
                    image, mask = scene(grade, rng)
                    name = f"{number:03d}.png"
                    cv2.imwrite(str(folder / "images" / name), image[..., ::-1])
                    cv2.imwrite(str(folder / "masks" / name), mask)
                    month = ("train", "val", "test").index(split) + 1  # no day in two splits
                    at = f"2026-{month:02d}-{1 + number % 28:02d}T03:00:00+00:00"
                    region = ("east", "north")[number % 2]
                    truck = f"{split}-{number}"
                    row = [f"images/{name}", f"masks/{name}", truck, at, region, grade, split]
                    writer.writerow(row)
                    number += 1
    return folder
