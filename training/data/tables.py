"""Tables of text cells, in CSV and Parquet files: what a manifest is stored as."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from training.errors import DataError
from training.outputs import whole

SUFFIXES: Final = (".csv", ".parquet")

Cells = dict[str, str]
"""One row: the text of each column, "" where a cell is empty."""


def read(file: Path) -> tuple[tuple[str, ...], tuple[Cells, ...]]:
    """Column names and rows of a table. Typed Parquet cells become text, times in ISO 8601.

    Raises DataError when there is no such file, it is no table, or its rows do not fit its columns.
    """
    columns, rows = _read_parquet(file) if _is_parquet(file) else _read_csv(file)
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{file}: column {twice!r} is there twice; rename one")
    return columns, rows


def columns_of(file: Path) -> tuple[str, ...]:
    """The column names of a table, whatever its rows are; none where it is no such table.

    Raises DataError when there is no such file, or Parquet cannot be read here.
    """
    try:
        if _is_parquet(file):
            pa, parquet = _pyarrow()
            try:
                return tuple(parquet.read_schema(file).names)
            except pa.ArrowException:
                return ()
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            return tuple(next(csv.reader(stream), ()))
    except OSError as error:
        raise _missing(file, error) from error
    except csv.Error:
        return ()


def write(file: Path, columns: Sequence[str], rows: Sequence[Cells]) -> None:
    """Replaces the file at once.

    Columns that the Parquet file to be replaced has keep their types, new ones are text.
    """
    with whole(file) as new:
        if _is_parquet(file):
            _write_parquet(file, new, columns, rows)
            return
        with new.open("w", encoding="utf-8", newline="") as stream:
            # The default line end quotes a carriage return within a cell as well.
            writer = csv.DictWriter(stream, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)


def _is_parquet(file: Path) -> bool:
    return file.suffix.lower() == ".parquet"


def _read_csv(file: Path) -> tuple[tuple[str, ...], tuple[Cells, ...]]:
    rows: list[Cells] = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = tuple(reader.fieldnames or ())
            for row in reader:
                # DictReader puts cells too many under None, and None where one is missing.
                if None in row or None in row.values():
                    raise DataError(
                        f"{file}: line {reader.line_num} has more or fewer cells than the "
                        f"{len(columns)} columns of the first line; correct it"
                    )
                rows.append(row)
    except OSError as error:
        raise _missing(file, error) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: not a CSV file in UTF-8 ({error}); save it as one") from error
    return columns, tuple(rows)


def _read_parquet(file: Path) -> tuple[tuple[str, ...], tuple[Cells, ...]]:
    pa, parquet = _pyarrow()
    try:
        table = parquet.ParquetFile(file).read()
    except OSError as error:
        raise _missing(file, error) from error
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{file}: not a Parquet file ({reason}); write it again") from error
    nested = [field.name for field in table.schema if pa.types.is_nested(field.type)]
    if nested:
        raise DataError(
            f"{file}: column {nested[0]!r} holds lists or records; "
            "give every value a column of its own"
        )
    columns = tuple(table.column_names)
    values = [[_text(value) for value in column.to_pylist()] for column in table.columns]
    return columns, tuple(dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True))


def _write_parquet(file: Path, new: Path, columns: Sequence[str], rows: Sequence[Cells]) -> None:
    pa, parquet = _pyarrow()
    types = {f.name: f.type for f in parquet.read_schema(file)} if file.exists() else {}
    arrays = []
    for name in columns:
        text = pa.array([row.get(name) or None for row in rows], pa.string())
        try:
            arrays.append(text.cast(types.get(name, pa.string())))
        except pa.ArrowException:
            arrays.append(text)
    parquet.write_table(pa.table(arrays, names=list(columns)), new)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime | date) else str(value)


def _pyarrow() -> tuple[Any, Any]:
    """pyarrow and its Parquet module, which is large and needed for Parquet files only."""
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        import pyarrow.parquet as parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise DataError("Parquet files need the package pyarrow; install it or use CSV") from error
    return pa, parquet


def _missing(file: Path, error: OSError) -> DataError:
    return DataError(f"{file}: {error.strerror or error}; check the path")
