"""The manifest: one row an image in a CSV or Parquet file, checked before anything is trained."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from edge_agent.grades import Grade
from training.data import moments, tables
from training.digest import sha256
from training.errors import DataError

Split = Literal["train", "val", "test"]
SPLITS: Final[tuple[Split, ...]] = get_args(Split)

MANIFEST_NAME: Final = "manifest.csv"
MANIFEST_NAMES: Final = tuple(f"manifest{suffix}" for suffix in tables.SUFFIXES)
GUESSED_TRUCK: Final = "alike-"
"""How the truck of an image begins that does not say it: its near-duplicates have the same."""
PATHS: Final = ("image", "mask")
"""Columns that hold paths relative to the manifest."""
REQUIRED: Final = ("image", "truck", "captured_at")
MAX_VOTES: Final = 5
VOTE_COLUMN: Final = re.compile(r"vote_\d+")
_OURS: Final = ("votes", "voters")
"""What rows call the vote columns taken together; no column can have these names."""
_LIKE_VOTES: Final = re.compile(
    r"vote.*|(?:annotator|expert|grader|labell?er|rater|reviewer)s?[\W_]*\d+", re.IGNORECASE
)
"""What people call columns of votes. A further column is kept and never looked at."""


def tidied(name: str) -> str:
    """A name by which trucks or days are told apart, of the spellings that look the same one.

    Unicode's NFC, one blank for several, none at the ends, no characters that cannot be seen.
    """
    seen = "".join(c for c in name if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFC", " ".join(seen.split()))


def _tidied(cell: Any) -> Any:
    return tidied(cell) if isinstance(cell, str) else cell


def _moment(cell: Any) -> Any:
    """Pydantic itself would take bare digits for seconds since 1970."""
    return moments.parse_zoned(cell) if isinstance(cell, str) else cell


class Row(BaseModel):
    """One image. Columns it does not know are allowed and kept in the file.

    image: path of the image, relative to the manifest's folder.
    truck, station: `tidied`, whatever the file has.
    captured_at: ISO 8601 with a time zone; None where nobody knows it any more.
    split: None until splits are assigned.
    grade: the true grade where somebody knows it, as a simulator does.
    mask: path of a mask of the image (see `training.synthesis.segment`), relative to the folder.
    trash_share: leaf and trash of the load, 0 to 100, where it is known.
    votes: what up to five experts said (columns vote_1, vote_2, ...; empty cells are no vote).
    voters: the columns of those votes. A column is one expert in all rows.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    image: str = Field(min_length=1)
    truck: Annotated[str, BeforeValidator(_tidied)] = Field(min_length=1)
    captured_at: Annotated[AwareDatetime | None, BeforeValidator(_moment)] = None
    camera: str = "C301"
    station: Annotated[str, BeforeValidator(_tidied)] = ""
    region: str = ""
    split: Split | None = None
    grade: Grade | None = None
    mask: str | None = None
    trash_share: float | None = Field(default=None, ge=0, le=100)
    votes: tuple[Grade, ...] = Field(default=(), max_length=MAX_VOTES)
    voters: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _from_cells(cls, cells: Any) -> Any:
        """An empty cell says nothing; the vote columns become one tuple."""
        if not isinstance(cells, Mapping):
            return cells
        filled = {name: cell for name, cell in cells.items() if cell not in ("", None)}
        votes = {n: cell for n, cell in filled.items() if VOTE_COLUMN.fullmatch(str(n))}
        if not votes:
            return filled
        return {**filled, "votes": tuple(votes.values()), "voters": tuple(votes)}


@dataclass(frozen=True)
class Manifest:
    """A manifest that has been checked.

    cells: every column of every row as text, so that writing back loses nothing.
    sha256: of the file that was read; None of a manifest that was made.
    """

    path: Path
    columns: tuple[str, ...]
    cells: tuple[tables.Cells, ...]
    rows: tuple[Row, ...]
    sha256: str | None = field(default=None, compare=False)

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Reads manifest.csv or manifest.parquet of a folder, or the file itself.

        Raises DataError that names the file, the row, the fault and the cure.
        """
        file = manifest_file(path) if path.is_dir() else path
        try:
            content = sha256(file)
        except OSError as error:
            raise DataError(
                f"{file}: {error.strerror or error}; give a folder with a manifest (cane-train "
                "data import makes one, cane-sim dataset too)"
            ) from error
        columns, cells = tables.read(file)
        missing = missing_columns(columns)
        if missing:
            raise DataError(
                f"{file}: column {', '.join(missing)} is missing; "
                "add it to the first line and fill it for every image"
            )
        refuse_reserved(file, columns)
        if not cells:
            raise DataError(f"{file}: has no rows; put at least one image into it")
        return cls(file, columns, cells, checked_rows(file, cells), content)

    @property
    def folder(self) -> Path:
        """The folder that the image paths are relative to."""
        return self.path.parent

    @property
    def name(self) -> str:
        """What reports call this data."""
        return self.folder.resolve().name

    @property
    def images(self) -> list[Path]:
        """The image file of every row, in row order."""
        return [self.folder / row.image for row in self.rows]

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

    def cells_seen_from(self, folder: Path) -> list[tables.Cells]:
        """Every row's cells, its paths made relative to another folder."""
        return [
            {
                **row,
                **{
                    column: seen_from(folder, self.folder / row[column])
                    for column in PATHS
                    if row.get(column)
                },
            }
            for row in self.cells
        ]

    def write(self) -> None:
        """Replaces the file at once: a kill leaves the old one or the new one, never half.

        Raises DataError where somebody has changed it since it was read: nothing of that is lost.
        """
        if self.sha256 is not None and self.path.exists() and sha256(self.path) != self.sha256:
            raise DataError(
                f"{self.path}: has been changed meanwhile, by another command or by hand; run this "
                "command again"
            )
        tables.write(self.path, self.columns, self.cells)


def is_guessed(truck: str) -> bool:
    """Is it the truck of an image that does not say its own, also among several folders'?"""
    return truck.rpartition("/")[2].startswith(GUESSED_TRUCK)


def missing_columns(columns: Sequence[str]) -> list[str]:
    """The columns that every manifest has and that are not among these."""
    return [name for name in REQUIRED if name not in columns]


def refuse_reserved(file: Path, columns: Sequence[str]) -> None:
    """Raises DataError for a column whose name would be mistaken for all votes together, or one
    that seems to be of votes and would not count as such."""
    taken = next((name for name in columns if name in _OURS), None)
    if taken is not None:
        raise DataError(
            f"{file}: column {taken!r} has a name that is taken; rename it, and if it holds votes, "
            "make it vote_1, vote_2, ... with a column for each expert"
        )
    unread = next((name for name in columns if _is_like_votes(name)), None)
    if unread is not None:
        raise DataError(
            f"{file}: column {unread!r} seems to be of votes and would not count; make it vote_1, "
            "vote_2, ... with a column for each expert, or rename it if it holds none"
        )


def _is_like_votes(column: str) -> bool:
    return not VOTE_COLUMN.fullmatch(column) and bool(_LIKE_VOTES.fullmatch(tidied(column)))


def seen_from(folder: Path, file: Path) -> str:
    """The path of a file as a manifest in this folder names it: relative, with slashes.

    Folders that are links are followed first, since ".." leads out of where a link leads to, not
    back to where it lies. The file's own name stays, even if it is a link.
    """
    real = file.parent.resolve() / file.name
    return Path(os.path.relpath(real, folder.resolve())).as_posix()


def manifest_file(folder: Path) -> Path:
    """The manifest in a folder; where there is none, the name it would have.

    Raises DataError when there are two.
    """
    found = [folder / name for name in MANIFEST_NAMES if (folder / name).exists()]
    if len(found) > 1:
        raise DataError(
            f"{folder}: has {' and '.join(MANIFEST_NAMES)}; "
            "move one away, or give the file instead of the folder"
        )
    return found[0] if found else folder / MANIFEST_NAME


def checked_rows(
    file: Path, cells: Sequence[tables.Cells], numbers: Sequence[int] | None = None
) -> tuple[Row, ...]:
    """The rows of a table, validated. Raises DataError that names the first fault.

    numbers: of the rows in the file, where some are left out.
    """
    rows: list[Row] = []
    faults: list[str] = []
    seen: dict[str, int] = {}
    numbers = numbers or range(2, len(cells) + 2)  # the header is line 1
    for number, row_cells in zip(numbers, cells, strict=True):
        try:
            row = Row.model_validate(row_cells)
        except ValidationError as error:
            faults.append(f"row {number}, {_fault(error, row_cells)}")
            continue
        if row.image in seen:
            faults.append(f"row {number}, image {row.image!r}: is in row {seen[row.image]} already")
        seen[row.image] = number
        rows.append(row)
    if faults:
        more = f" (and {len(faults) - 1} more bad rows)" if len(faults) > 1 else ""
        raise DataError(f"{file}: {faults[0]}{more}; correct the cell or remove the row")
    return tuple(rows)


def _fault(error: ValidationError, cells: tables.Cells) -> str:
    """Column, given text and message of the first fault of a row."""
    first = error.errors()[0]
    column = str(first["loc"][0]) if first["loc"] else "row"
    if first["type"] == "too_long":
        return f"{column}: {first['ctx']['actual_length']} votes, {MAX_VOTES} experts at most"
    if column == "votes":
        filled = [name for name in cells if VOTE_COLUMN.fullmatch(name) and cells[name]]
        column = filled[int(first["loc"][1])]
    given = "" if first["type"] == "missing" else f" {str(first['input'])[:60]!r}"
    return f"{column}{given}: {first['msg'].removeprefix('Value error, ')}"
