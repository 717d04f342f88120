"""Draws the picture of docs/simulator.md: grades, regions and hours, and one truck's cameras."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.grades import GRADES, Grade
from simulator.render import render_view
from simulator.truth import Cause, Form, draw_truck
from simulator.viewpoints import CAMERAS

_SIZE: Final = (264, 198)
_DIFFICULTY: Final = 0.6
_STATIONS: Final = ("KK1", "SB1", "KC1", "NS1", "SK1")
_HOURS: Final = (8.0, 11.0, 14.0, 16.5, 20.5)
_CAUSES: Final[tuple[Cause, ...]] = ("tarpaulin", "tarpaulin", "empty", "unreadable", "unreadable")
_FORMS: Final[tuple[Form, ...]] = ("whole", "billets")


@dataclass(frozen=True)
class Cell:
    """One picture of the sheet."""

    seed: int
    grade: Grade
    station: str
    hour: float
    form: Form = "whole"
    camera: str = "C301"
    cause: Cause | None = None

    def draw(self) -> npt.NDArray[np.uint8]:
        """The thumbnail with what it shows written below it."""
        rng = np.random.default_rng(self.seed)
        truck = draw_truck(
            rng, _DIFFICULTY, self.grade, station=self.station, hour=self.hour, form=self.form
        )
        truck = replace(truck, cause=self.cause)
        width, height = _SIZE
        image = render_view(truck, self.camera, (width * 3, height * 3)).image
        image = np.asarray(cv2.resize(image, _SIZE, interpolation=cv2.INTER_AREA), np.uint8)
        cv2.rectangle(image, (0, height - 17), _SIZE, (0, 0, 0), -1)
        kind = f"{self.cause}" if self.cause else f"{self.grade.value}, {self.form}"
        clock = f"{int(self.hour)}:{round(self.hour % 1 * 60):02d}"
        text = f"{self.camera}: {kind}, {self.station} {clock}"
        place = (5, height - 5)
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255,) * 3, 1, cv2.LINE_AA)
        return image


def cells() -> list[Cell]:
    """Six rows of five."""
    sheet = [
        Cell(500 + g * 10 + i, grade, station, _HOURS[(i + g) % 5], _FORMS[(i + g) % 2])
        for g, grade in enumerate(GRADES[:4])
        for i, station in enumerate(_STATIONS)
    ]
    sheet += [
        Cell(562 + i, Grade.UNDEFINED, station, hour, cause=cause)
        for i, (station, hour, cause) in enumerate(zip(_STATIONS, _HOURS, _CAUSES, strict=True))
    ]
    sheet += [Cell(580, Grade.FRESH_TRASH, "KK1", 9.5, camera=camera) for camera in CAMERAS]
    return [*sheet, Cell(581, Grade.FRESH_CLEAN, "SB1", 20.5, "billets", "C101")]


def main() -> None:
    """Draw the sheet into the file named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images/simulator.jpg"))
    out = parser.parse_args().out
    drawn = [cell.draw() for cell in cells()]
    rows = [np.hstack(drawn[i : i + 5]) for i in range(0, len(drawn), 5)]
    if not cv2.imwrite(str(out), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 66]):
        raise SystemExit(f"cannot write {out}: is its folder there?")


if __name__ == "__main__":
    main()
