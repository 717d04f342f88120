"""Scarce cane in the colours of its own loads, by their moments or by their distribution."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scenes import scene_folder
from synthesis_runs import done, folder, run, table

from training.synthesis import pipeline
from training.synthesis.run import CANDIDATES_NAME

pytestmark = pytest.mark.usefixtures("one_thread", "quick_judge")


def test_loads_get_the_colours_of_their_looks_as_asked(tmp_path: Path) -> None:
    data = scene_folder(tmp_path / "data")
    command = ("synthesize", "--data", data, "--preset", "fast", "--threads", 1)
    how = ("--method", "translate-single", "--strength", 0)
    plans, images = [], []
    for colours in ("moments", "distribution"):
        out = tmp_path / colours
        result = run(*command, *how, "--colours", colours, "--out", out)
        assert result.exit_code == 0, result.output
        generated = folder(out, "generate")
        plans.append(table(generated / CANDIDATES_NAME))
        images.append([cv2.imread(str(generated / row["image"])) for row in plans[-1]])
        asked = done(out, "generate")["config"]["generate"]["colours"]
        assert asked == (None if colours == "moments" else colours)
    assert plans[0] == plans[1]  # the same loads, the same looks
    assert not any(np.array_equal(one, other) for one, other in zip(*images, strict=True))


def test_a_set_half_drawn_by_another_transfer_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = scene_folder(tmp_path / "data"), tmp_path / "out"
    command = ("synthesize", "--data", data, "--out", out, "--preset", "fast", "--threads", 1)
    how = (*command, "--method", "translate-single", "--strength", 0)
    assert run(*how, "--colours", "distribution").exit_code == 0
    assert run(*how).exit_code == 0  # by moments
    before = {path.name for path in out.iterdir()}
    monkeypatch.setattr(pipeline, "DISTRIBUTION", "another")
    assert run(*how, "--colours", "distribution").exit_code == 0
    assert run(*how).exit_code == 0
    new = sorted(path.name.partition("-")[0] for path in out.iterdir() if path.name not in before)
    assert new == ["generate", "set"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--colours", "sepia"), "sepia"),
        (("--colours", "distribution"), "translate-single"),
    ],
)
def test_colours_that_nobody_gets_are_refused(
    options: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    data = scene_folder(tmp_path / "data")
    result = run("synthesize", "--data", data, "--out", tmp_path / "synthesis", *options)
    assert result.exit_code == 2
    assert said in result.output
    assert len(result.output.splitlines()) == 1
    assert not (tmp_path / "synthesis").exists()
