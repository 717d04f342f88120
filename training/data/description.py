"""dataset.json: what holds for a whole labelled folder rather than for one image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final, Literal, Self, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_agent.grades import GRADES, Grade
from training.errors import DataError
from training.outputs import write_json

DESCRIPTION_NAME: Final = "dataset.json"

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Area = tuple[Fraction, Fraction, Fraction, Fraction]
"""left, top, right, bottom as fractions of the camera's frame."""

Shows = Literal["graded_area", "frame"]
"""What image files show: the graded area alone, or the camera's whole frame."""

Grouping = Literal["truck-and-day", "truck", "station-day"]
"""Which images must stay in one split; `training.data.splits` says what each protects from."""
GROUPINGS: Final[tuple[Grouping, ...]] = get_args(Grouping)

LabelMethod = Literal["majority", "dawid-skene"]


class Description(BaseModel):
    """The content of dataset.json. Keys it does not know are kept.

    graded_area: the part of the camera's frame that a network sees; None where nobody said.
    shows: whether the files show that part already, or the whole frame, to be cut on reading.
    classes: what the labels were called where they came from, and the grade each became; empty
        where all were called as the grades are. In studies on other pictures than graded loads, the
        five grades are five slots; this tells what lies in them.
    experts: who voted in which column (vote_1, ...).
    grouping, label_method: how splits and labels are made; None for the defaults.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    graded_area: Area | None = None
    shows: Shows = "graded_area"
    classes: dict[str, Grade] = {}
    experts: dict[str, str] = {}
    grouping: Grouping | None = None
    label_method: LabelMethod | None = None

    @model_validator(mode="after")
    def _area_is_not_empty(self) -> Self:
        if self.graded_area is not None:
            left, top, right, bottom = self.graded_area
            if right - left < 0.1 or bottom - top < 0.1:
                raise ValueError("graded_area is smaller than a tenth of the frame")
        return self

    @classmethod
    def read(cls, folder: Path) -> Description:
        """From dataset.json in a folder; without one, all defaults. Raises DataError."""
        file = folder / DESCRIPTION_NAME
        if not file.exists():
            return cls()
        try:
            content = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{file}: not readable ({error}); make it again") from error
        if not isinstance(content, dict):
            raise DataError(f"{file}: not a JSON object; make it again")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            where = f"{key} {str(content.get(str(first['loc'][0])))[:60]}: " if key else ""
            raise DataError(f"{file}: {where}{first['msg']}; correct it") from error

    def write(self, folder: Path) -> None:
        """Replaces dataset.json in a folder at once. Defaults are left out."""
        write_json(folder / DESCRIPTION_NAME, self.model_dump(mode="json", exclude_defaults=True))

    def showing(self, area: Area | None, shows: Shows | None) -> Description:
        """The same where people said what the files show; None where they said nothing.

        Raises DataError for whole frames without the part of them that is graded.
        """
        graded_area = area or self.graded_area
        if shows == "frame" and graded_area is None:
            raise DataError(
                "--shows frame: which part of a frame the network sees is not known; give "
                "--graded-area LEFT,TOP,RIGHT,BOTTOM (0,0,1,1 is the whole frame)"
            )
        return self.model_copy(update={"graded_area": graded_area, "shows": shows or self.shows})

    @property
    def renamed(self) -> dict[str, Grade]:
        """The classes that had another name than their grade's."""
        return {name: grade for name, grade in self.classes.items() if name != grade}

    @property
    def is_of_grades(self) -> bool:
        """Are labels grades, and not other things that take their places?"""
        return not self.classes or any(name == grade for name, grade in self.classes.items())

    @property
    def grades_in_use(self) -> tuple[Grade, ...]:
        """The grades that `classes` names; all five where it names none."""
        named = set(self.classes.values())
        return tuple(grade for grade in GRADES if grade in named or not named)

    @property
    def cut(self) -> Area | None:
        """What is to be cut out of every image on reading; None where nothing is."""
        return self.graded_area if self.shows == "frame" else None


def parse_area(text: str) -> Area:
    """From "0,0.04,1,0.96" to fractions. Raises DataError for anything else."""
    try:
        edges = cast("Area", tuple(float(part) for part in text.split(",")))
        Description(graded_area=edges)  # knows what an area may be
    except ValueError as error:
        raise DataError(
            f"--graded-area {text!r}: write LEFT,TOP,RIGHT,BOTTOM as fractions of the frame from "
            "0 to 1, such as 0,0.04,1,0.96"
        ) from error
    return edges
