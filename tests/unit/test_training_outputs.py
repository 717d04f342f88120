"""Files that are whole or not there, and places where none can be written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.errors import RunError
from training.outputs import make_way, whole, write_json


def test_a_file_that_could_not_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "study.json"
    write_json(file, {"rows": 1})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(file, {"rows": object()})
    with pytest.raises(KeyboardInterrupt):
        _interrupted(file)
    assert json.loads(file.read_text("utf-8")) == {"rows": 1}
    assert list(tmp_path.iterdir()) == [file]


def test_until_it_is_finished_a_file_has_not_its_name(tmp_path: Path) -> None:
    file = tmp_path / "model"
    with whole(file) as new:
        new.write_text("all of it")
        assert not file.exists()
    assert file.read_text() == "all of it"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("", "is a folder; choose"),
        ("file/x.json", "nothing can be written there (File exists); choose"),
        ("file/x/y.json", "nothing can be written there (Not a directory); choose"),
    ],
)
def test_where_nothing_can_be_written_is_told_before_the_work(
    tmp_path: Path, out: str, says: str
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError) as refused:
        make_way(tmp_path / out)
    assert str(refused.value) == f"{tmp_path / out}: {says} another --out"


def test_a_folder_that_takes_nothing_is_told() -> None:
    with pytest.raises(RunError, match="nothing can be written there"):
        make_way(Path("/proc/metrics.json"))


def test_the_way_is_made(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b.json"
    make_way(out)
    assert list(out.parent.iterdir()) == []


def _interrupted(file: Path) -> None:
    with whole(file) as new:
        new.write_text("half")
        raise KeyboardInterrupt
