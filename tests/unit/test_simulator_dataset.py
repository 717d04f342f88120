"""Datasets on disk: complete, repeatable, resumable."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.grades import Grade
from simulator.dataset import COLUMNS, digest, draw_fleet, write_dataset
from simulator.sprites import load_sprites


def write(out: Path, **changes: object) -> Path:
    arguments: dict[str, object] = {"seed": 1, "difficulty": 0.6, "size": 48, **changes}
    return write_dataset(4, out, workers=1, quiet=True, **arguments)  # type: ignore[arg-type]


def rows_of(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_a_dataset_is_complete(tmp_path: Path) -> None:
    manifest = write(tmp_path, cameras=("C201", "C301"))
    rows = rows_of(manifest)
    assert len(rows) == 8
    assert tuple(rows[0]) == COLUMNS
    for row in rows:
        image = cv2.imread(str(tmp_path / row["image"]))
        mask = cv2.imread(str(tmp_path / row["mask"]), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        assert mask is not None
        assert image.shape == (48, 48, 3)
        assert mask.shape == (48, 48)
        assert mask.max() <= 2
        assert datetime.fromisoformat(row["captured_at"]).tzinfo is not None
        assert row["split"] == ""
        assert {row["grade"], *(row[f"vote_{k}"] for k in range(1, 6))} <= set(Grade)
    summary = json.loads((tmp_path / "dataset.json").read_text())
    assert summary["images"] == 8
    assert summary["sha256"] == digest(manifest)


def test_a_dataset_does_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    alone = write(tmp_path / "a")
    together = write_dataset(
        4, tmp_path / "b", seed=1, difficulty=0.6, size=48, workers=2, quiet=True
    )
    assert digest(alone) == digest(together)


def test_an_interrupted_dataset_goes_on(tmp_path: Path) -> None:
    manifest = write(tmp_path)
    before = digest(manifest)
    first = rows_of(manifest)[0]
    manifest.unlink()
    (tmp_path / first["image"]).unlink()
    assert digest(write(tmp_path)) == before


def test_a_folder_with_another_dataset_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(ValueError, match="other arguments"):
        write(tmp_path, seed=2)


def test_what_others_have_made_is_not_overwritten(tmp_path: Path) -> None:
    for name in ("manifest.csv", "manifest.parquet", "dataset.json"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("a mill's")
        with pytest.raises(ValueError, match="none of cane-sim's"):
            write(folder)
        assert (folder / name).read_text() == "a mill's"


def test_a_finished_dataset_keeps_what_it_was_given(tmp_path: Path) -> None:
    manifest = write(tmp_path)
    given = manifest.read_text().replace(",,fresh", ",train,fresh")
    manifest.write_text(given)
    images = sorted(tmp_path.glob("images/*.png"))
    before = images[0].read_bytes()
    images[0].unlink()
    images[1].write_bytes(b"")  # as a power cut may leave it
    others = {file: file.stat().st_mtime_ns for file in images[2:]}
    assert write(tmp_path) == manifest
    assert manifest.read_text() == given
    assert images[0].read_bytes() == before
    assert images[1].stat().st_size > 0
    assert {file: file.stat().st_mtime_ns for file in others} == others


def test_a_worker_that_is_killed_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.dataset._one_thread", killed)
    with pytest.raises(RuntimeError, match="a worker process has died"):
        write_dataset(4, tmp_path, seed=1, difficulty=0.6, size=48, workers=2, quiet=True)
    monkeypatch.undo()
    assert len(rows_of(write(tmp_path))) == 4


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    "wrong",
    [{"cameras": ("C999",)}, {"cameras": ()}, {"size": 8}, {"imbalance": (1, 1)}, {"look": "x"}],
)
def test_bad_arguments_are_refused_before_anything_is_written(
    tmp_path: Path, wrong: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"must be|need at least"):
        write(tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_trucks_are_spread_over_stations_and_days() -> None:
    fleet = draw_fleet(120, 0, 0.5)
    assert len({t.station for t in fleet}) >= 4
    assert len({t.day for t in fleet}) >= 2


def test_imbalance_sets_the_shares_of_the_grades() -> None:
    fleet = draw_fleet(200, 0, 0.5, imbalance=(1, 0, 0, 0, 1))
    assert {t.grade for t in fleet} == {Grade.FRESH_CLEAN, Grade.UNDEFINED}


def test_sprites_are_cut_out_and_used(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "stalks"
    folder.mkdir()
    for i in range(3):
        picture = rng.integers(0, 12, (600, 110, 3), np.uint8)
        picture[20:580, 30:80] = (40 + 60 * i, 160, 200)
        cv2.imwrite(str(folder / f"{i}.png"), picture)
    assert len(load_sprites(folder)) == 3
    drawn, photographed = write(tmp_path / "a"), write(tmp_path / "b", sprites=folder)
    assert digest(drawn) != digest(photographed)
    # Other photographs in a folder of the same name make another dataset.
    other = tmp_path / "other" / "stalks"
    shutil.copytree(folder, other)
    cv2.imwrite(str(other / "3.png"), picture)
    with pytest.raises(ValueError, match="other arguments"):
        write(tmp_path / "b", sprites=other)


def test_a_folder_without_stalks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no photograph"):
        load_sprites(tmp_path)
