"""Golden images: a bundle's own test, repeated wherever the bundle is loaded."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from edge_agent.grades import GRADES
from edge_agent.inference.manifest import GoldenImage
from exporter.errors import ExportError
from exporter.parity import run
from training.data.dataset import ImageSet

PER_GRADE: Final = 2


@dataclass(frozen=True)
class Golden:
    """images: as the manifest names them. pictures: PNG files by name."""

    images: tuple[GoldenImage, ...]
    pictures: dict[str, bytes]


def golden(model: bytes, validation: ImageSet) -> Golden:
    """The first validation images of each grade, easy and hard as they come, and their outputs.

    Raises ExportError when an image is not of the validation split.
    """
    others = sorted({str(row.split) for row in validation.rows} - {"val"})
    if others or len(validation.rows) != len(validation):
        raise ExportError(
            f"golden images are of split {', '.join(others) or 'unknown'}; "
            "take them from the validation split"
        )
    chosen = [
        int(image)
        for grade in range(len(GRADES))
        for image in np.flatnonzero(validation.labels == grade)[:PER_GRADE]
    ]
    images, pictures = [], {}
    said = run(model, validation.images[chosen])
    for number, image in enumerate(chosen):
        grade = GRADES[int(validation.labels[image])]
        path = f"golden/{number:02d}-{grade.value}.png"
        images.append(
            GoldenImage(
                path=path,
                grade=grade,
                split="val",
                probabilities=tuple(_fraction(p) for p in said.probabilities[number]),
                level=None if said.levels is None else _level(said.levels[number]),
            )
        )
        pictures[path] = _png(validation.images[image])
    return Golden(tuple(images), pictures)


def _fraction(probability: float) -> float:
    """A float32 softmax may exceed 1 by a rounding error."""
    return min(max(round(float(probability), 7), 0.0), 1.0)


def _level(row: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    low, middle, high = (round(float(value), 4) for value in row)
    return low, middle, high


def _png(image: npt.NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", optimize=True)
    return stream.getvalue()
