"""Contact sheets: synthetic images below real ones, a row a grade and band of trash, or level."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from edge_agent.grades import GRADES, Grade
from training.data import images, tables
from training.data.dataset import Dataset, evenly
from training.data.images import Skip
from training.errors import RunError
from training.synthesis.keep import VERDICTS_NAME, read_config

_CELL_INCHES: Final = 1.1
_BAND: Final = 20
"""Points of trash that share a row."""
By = Literal["trash", "level"]
_SUFFIXES: Final = (".png", ".jpg", ".jpeg")
_MISSING: Final = 235
"""Grey of a cell without an image."""


@dataclass(frozen=True)
class Row:
    """One row of a sheet. images: uint8 RGB (n, size, size, 3), n from 0 up to the width."""

    title: str
    images: npt.NDArray[np.uint8]


def contact_sheet(
    data: Path,
    folder: Path,
    file: Path,
    *,
    by: By = "trash",
    across: int = 10,
    size: int = 96,
) -> list[Skip]:
    """Draws a picture of a set of `cane-train synthesize`: of each grade real training images, then
    candidates that were kept, by their share of trash or by their level, then some that were not
    kept.

    file: a PNG, or a JPEG by its suffix. by: what parts the rows of a grade; a level says how much
    of the trashy load a blend has, and less of what is seen: its loads may have had little trash,
    or much. across: images a row. size: of an image, in pixels.
    Returns the real images that cannot be read, and are not shown. Raises TrainingError.
    """
    if file.suffix.lower() not in _SUFFIXES:
        raise RunError(f"{file}: name it {' or '.join(_SUFFIXES)}")
    config, digest = read_config(folder)
    dataset = Dataset.open(data, agreement=config.agreement)
    if dataset.digest != digest:
        raise RunError(f"{folder}: is not of the data in {data}; give the data it was made of")
    verdicts = folder / VERDICTS_NAME
    if not verdicts.exists():
        raise RunError(
            f"{folder}: has no {VERDICTS_NAME}: it is no set, or not a whole one; give the folder "
            "that cane-train synthesize printed without --model-only"
        )
    _, cells = tables.read(verdicts)
    by_row: dict[tuple[Grade, int | None], list[Path]] = defaultdict(list)
    for cell in cells:
        grade = Grade(cell["grade"])
        # On a deck without cane a few leaves are all there is, and their share says nothing.
        share = 0.0 if grade.has_trash is None else float(cell[by])
        row = min(int(share) // _BAND * _BAND, 100 - _BAND) if by == "trash" else int(share)
        key = (grade, row if cell["verdict"] == "kept" else None)
        by_row[key].append(folder / cell["image"])
    rows = []
    skipped: list[Skip] = []
    pairs = list(zip(dataset.manifest.rows, dataset.labels.grades, strict=True))
    keys = sorted(by_row, key=_order)
    for grade in dict.fromkeys(grade for grade, _ in keys):
        files = [
            dataset.manifest.folder / r.image for r, g in pairs if g is grade and r.split == "train"
        ]
        real, _, skips = images.load(_spread(files, across), size, cut=dataset.description.cut)
        skipped += skips
        rows.append(Row(f"{_name(grade)}\nreal", real))
        for key in keys:
            if key[0] is grade:
                drawn, _, broken = images.load(_spread(by_row[key], across), size)
                if broken:
                    raise RunError(
                        f"{broken[0].path}: {broken[0].reason}; delete {folder} and its "
                        "candidates, and make them again"
                    )
                rows.append(Row(_title(key, by), drawn))
    _draw(rows, across, size).savefig(file, dpi=size / _CELL_INCHES)
    return skipped


def _order(key: tuple[Grade, int | None]) -> tuple[int, int]:
    grade, least = key
    return GRADES.index(grade), 101 if least is None else least


def _title(key: tuple[Grade, int | None], by: By) -> str:
    grade, least = key
    if least is None:
        return f"{_name(grade)}\nnot kept"
    if grade.has_trash is None:
        return f"{_name(grade)}\nkept"
    if by == "level":
        return f"{_name(grade)}\nlevel {least}"
    return f"{_name(grade)}\n{least} – {least + _BAND} % trash"


def _name(grade: Grade) -> str:
    return grade.value.replace("_", " ")


def _spread(files: list[Path], count: int) -> list[Path]:
    """So many of them, evenly over the list."""
    return [files[i] for i in evenly(len(files), count)]


def _draw(rows: list[Row], across: int, size: int) -> Figure:
    """A grid, titles to the left."""
    figure = Figure(figsize=((across + 1.3) * _CELL_INCHES, len(rows) * _CELL_INCHES))
    for number, row in enumerate(rows):
        strip = np.full((size, across * size, 3), _MISSING, np.uint8)
        for place, image in enumerate(row.images):
            strip[:, place * size : (place + 1) * size] = image
        bottom = 1 - (number + 1) / len(rows)
        left = 1.3 / (across + 1.3)
        axes = figure.add_axes((left, bottom, 1 - left, 1 / len(rows)))
        axes.imshow(strip, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        figure.text(left * 0.95, bottom + 0.5 / len(rows), row.title, ha="right", va="center")
    return figure
