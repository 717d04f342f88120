"""The manifest: one CSV row an image, checked before anything is trained on it."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_agent.grades import Grade
from training.errors import DataError

Split = Literal["train", "val", "test"]
SPLITS: Final[tuple[Split, ...]] = get_args(Split)

MANIFEST_NAME: Final = "manifest.csv"
_VOTE_COLUMN = re.compile(r"vote_\d+")


class Row(BaseModel):
    """One image. Columns it does not know are allowed and kept in the file.

    image: path of the image, relative to the manifest's folder.
    captured_at: ISO 8601 with a time zone.
    split: None until splits are assigned.
    grade: the true grade where somebody knows it, as a simulator does.
    votes: what the experts said (columns vote_1, vote_2, ...; empty cells are no vote).
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    image: str = Field(min_length=1)
    truck: str = Field(min_length=1)
    captured_at: AwareDatetime
    camera: str = "C301"
    station: str = ""
    region: str = ""
    split: Split | None = None
    grade: Grade | None = None
    votes: tuple[Grade, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _from_cells(cls, cells: Any) -> Any:
        """An empty cell says nothing; the vote columns become one tuple."""
        if not isinstance(cells, Mapping):
            return cells
        filled = {name: cell for name, cell in cells.items() if cell not in ("", None)}
        votes = [cell for name, cell in filled.items() if _VOTE_COLUMN.fullmatch(str(name))]
        return {**filled, "votes": votes} if votes else filled


@dataclass(frozen=True)
class Manifest:
    """A manifest that has been checked.

    cells: every column of every row as text, so that writing back loses nothing.
    """

    path: Path
    columns: tuple[str, ...]
    cells: tuple[dict[str, str], ...]
    rows: tuple[Row, ...]

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Reads DIR/manifest.csv, or the CSV file itself.

        Raises DataError that names the file, the row, the fault and the cure.
        """
        file = path / MANIFEST_NAME if path.is_dir() else path
        try:
            with file.open(encoding="utf-8-sig", newline="") as stream:
                reader = csv.DictReader(stream, restkey="", restval="")
                cells = tuple(reader)
                columns = tuple(reader.fieldnames or ())
        except OSError as error:
            raise DataError(
                f"{file}: {error.strerror or error}; give a folder with {MANIFEST_NAME} "
                "(cane-sim dataset writes one)"
            ) from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{file}: not a CSV file in UTF-8 ({error}); save it as one") from error
        missing = [name for name in ("image", "truck", "captured_at") if name not in columns]
        if missing:
            raise DataError(
                f"{file}: column {', '.join(missing)} is missing; "
                "add it to the first line and fill it for every image"
            )
        if not cells:
            raise DataError(f"{file}: has no rows; put at least one image into it")
        return cls(file, columns, cells, _checked_rows(file, cells))

    @property
    def folder(self) -> Path:
        """The folder that the image paths are relative to."""
        return self.path.parent

    @property
    def name(self) -> str:
        """What reports call this data."""
        return self.folder.resolve().name

    def with_splits(self, splits: Sequence[Split]) -> Manifest:
        """The same manifest with these splits, one a row, in row order. Writes nothing."""
        columns = self.columns if "split" in self.columns else (*self.columns, "split")
        pairs = zip(self.cells, splits, strict=True)
        return replace(
            self,
            columns=columns,
            cells=tuple({**cells, "split": split} for cells, split in pairs),
            rows=tuple(
                row.model_copy(update={"split": split})
                for row, split in zip(self.rows, splits, strict=True)
            ),
        )

    def write(self) -> None:
        """Replaces the file at once: a kill leaves the old one or the new one, never half."""
        temporary = self.path.with_name(f".{self.path.name}.new")
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(
                stream, self.columns, extrasaction="ignore", lineterminator="\n"
            )
            writer.writeheader()
            writer.writerows(self.cells)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self.path)


def _checked_rows(file: Path, cells: Sequence[dict[str, str]]) -> tuple[Row, ...]:
    rows: list[Row] = []
    faults: list[str] = []
    seen: dict[str, int] = {}
    for number, row_cells in enumerate(cells, start=2):  # the header is line 1
        try:
            row = Row.model_validate(row_cells)
        except ValidationError as error:
            first = error.errors()[0]
            column = str(first["loc"][0]) if first["loc"] else "row"
            given = "" if first["type"] == "missing" else f" {str(first['input'])[:60]!r}"
            faults.append(f"row {number}, {column}{given}: {first['msg']}")
            continue
        if row.image in seen:
            faults.append(f"row {number}, image {row.image!r}: is in row {seen[row.image]} already")
        seen[row.image] = number
        rows.append(row)
    if faults:
        more = f" (and {len(faults) - 1} more bad rows)" if len(faults) > 1 else ""
        raise DataError(f"{file}: {faults[0]}{more}; correct the cell or remove the row")
    return tuple(rows)
