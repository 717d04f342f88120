"""Files that are whole or not there, and places where none can be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from training.errors import RunError
from training.outputs import make_way, whole, write_json
from training.synthesis.stages import save_weights


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


def test_two_may_write_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "study.json"
    code = "import sys; from pathlib import Path; from training.outputs import write_json; "
    code += "write_json(Path(sys.argv[1]), {'rows': 2})"
    with whole(file) as new:
        new.write_text("1")
        subprocess.run([sys.executable, "-c", code, str(file)], check=True)
        assert json.loads(file.read_text("utf-8")) == {"rows": 2}
        new.write_text("12")
    assert file.read_text("utf-8") == "12"
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_kill_has_left_goes_when_it_is_old(tmp_path: Path) -> None:
    file, old, new = (tmp_path / name for name in ("model", ".model.123.new", ".model.124.new"))
    for left in (old, new):
        left.write_text("half")
    os.utime(old, (time.time() - 25 * 3600,) * 2)
    with whole(file) as unfinished:
        unfinished.write_text("all of it")
    assert {there.name for there in tmp_path.iterdir()} == {file.name, new.name}


def test_whoever_may_read_other_files_may_read_weights(tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.touch()
    save_weights(tmp_path / "model.safetensors", {"w": torch.zeros(1)})
    assert (tmp_path / "model.safetensors").stat().st_mode == usual.stat().st_mode


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
