"""dataset.json: what holds for a whole labelled folder rather than for one image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_agent.grades import Grade
from training.errors import DataError

DESCRIPTION_NAME: Final = "dataset.json"

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Area = tuple[Fraction, Fraction, Fraction, Fraction]
"""left, top, right, bottom as fractions of the camera's frame."""

Grouping = Literal["truck-and-day", "truck", "station-day"]
"""Which images must stay in one split; `training.data.splits` says what each protects from."""
GROUPINGS: Final[tuple[Grouping, ...]] = get_args(Grouping)

LabelMethod = Literal["majority", "dawid-skene"]
LABEL_METHODS: Final[tuple[LabelMethod, ...]] = get_args(LabelMethod)


class Description(BaseModel):
    """The content of dataset.json. Keys it does not know are kept.

    graded_area: the part of the camera's frame that a network sees; None where nobody said.
    shows: whether the files show that part already, or the whole frame, to be cut on reading.
    classes: what the labels were called where they came from, and the grade each became. In
        studies on other pictures than graded loads, the five grades are five slots; this tells
        what lies in them.
    experts: who voted in which column (vote_1, ...).
    grouping, label_method: how splits and labels are made; None for the defaults.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    graded_area: Area | None = None
    shows: Literal["graded_area", "frame"] = "graded_area"
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
        file = folder / DESCRIPTION_NAME
        temporary = file.with_name(f".{file.name}.new")
        content = self.model_dump(mode="json", exclude_defaults=True)
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
        temporary.replace(file)

    @property
    def cut(self) -> Area | None:
        """What is to be cut out of every image on reading; None where nothing is."""
        return self.graded_area if self.shows == "frame" else None
