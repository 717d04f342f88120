"""Tables keep every cell, in CSV and in Parquet, and say what is wrong with them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import tables
from training.errors import DataError

cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@settings(deadline=None)
@given(
    st.lists(st.text("abcอ_ 1", min_size=1, max_size=5), min_size=2, max_size=4, unique=True),
    st.lists(st.lists(cells, min_size=4, max_size=4), max_size=4),
    st.sampled_from(tables.SUFFIXES),
)
def test_what_is_written_is_read_again(
    columns: list[str], rows: list[list[str]], suffix: str
) -> None:
    written = tuple(dict(zip(columns, row, strict=False)) for row in rows)
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"table{suffix}"
        tables.write(file, columns, written)
        assert tables.read(file) == (tuple(columns), written)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a,b\n1,2,3\n", "line 2 has more or fewer cells than the 2 columns"),
        ("a,b\n1,2\n1\n", "line 3 has more or fewer"),
        ("a,a\n1,2\n", "column 'a' is there twice"),
        ("a\n\xff", "not a CSV file in UTF-8"),
    ],
)
def test_bad_csv_is_one_line(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "t.csv").write_text(content, "latin-1")
    with pytest.raises(DataError, match=says):
        tables.read(tmp_path / "t.csv")


def test_typed_parquet_columns_become_text_and_stay_typed(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    at = datetime(2026, 1, 5, 3, tzinfo=UTC)
    table = pa.table({"n": [1, None], "at": pa.array([at, None], pa.timestamp("us", "UTC"))})
    pq.write_table(table, file)
    columns, rows = tables.read(file)
    assert rows == ({"n": "1", "at": "2026-01-05T03:00:00+00:00"}, {"n": "", "at": ""})
    tables.write(file, (*columns, "split"), tuple({**row, "split": "val"} for row in rows))
    again = pq.read_table(file)
    assert again.schema.types == [pa.int64(), pa.timestamp("us", "UTC"), pa.string()]
    assert again.column("at").to_pylist() == [at, None]


def test_bad_parquet_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(DataError, match=r"text\.parquet: not a Parquet file"):
        tables.read(tmp_path / "text.parquet")
    pq.write_table(pa.table({"votes": [["a", "b"]]}), tmp_path / "nested.parquet")
    with pytest.raises(DataError, match="'votes' holds lists"):
        tables.read(tmp_path / "nested.parquet")
    with pytest.raises(DataError, match="No such file"):
        tables.read(tmp_path / "none.parquet")
