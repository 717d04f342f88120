"""Synthesis in other processes: two at once, and killed for real at every kind of file it writes.

That nothing done before a kill is done again, `test_synthesis_resume.py` looks at.
"""

from __future__ import annotations

import signal
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

import killed_synthesis
import pytest
import torch
from scenes import scene_folder
from synthesis_runs import ADAPTED, assert_same_images, blends_only, finished, folder, table

from training.synthesis.stages import load_weights

pytestmark = pytest.mark.usefixtures("one_thread", "quick_judge")


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    """Where processes start with what takes long to import."""
    found = get_context("forkserver")
    found.set_forkserver_preload(["training.synthesis.pipeline", "training.console"])
    return found


def test_two_commands_at_once_make_one_set(tmp_path: Path, context: ForkServerContext) -> None:
    data, out = scene_folder(tmp_path / "data"), tmp_path / "run"
    whole = finished(data, tmp_path / "whole", blends_only())
    told = tmp_path / "told.txt"
    asked = (data, out, blends_only(), told)
    both = [context.Process(target=killed_synthesis.unharmed, args=asked) for _ in range(2)]
    for process in both:
        process.start()
    try:
        for process in both:
            process.join(120)
    finally:
        for process in both:
            process.kill()
    assert [process.exitcode for process in both] == [0, 0]
    assert told.read_text("utf-8") == "a U-Net\n"
    assert_same_images(out, whole)
    assert table(folder(out, "set") / "verdicts.csv") == table(
        folder(whole, "set") / "verdicts.csv"
    )


@pytest.mark.slow
def test_killed_at_any_file_it_goes_on_to_the_same_set(
    tmp_path: Path, context: ForkServerContext
) -> None:
    data, out = scene_folder(tmp_path / "data"), tmp_path / "broken"
    survived = tmp_path / "survived.txt"
    survived.touch()
    kills = 0
    while True:
        process = context.Process(target=killed_synthesis.main, args=(data, out, ADAPTED, survived))
        process.start()
        try:
            process.join(240)
        finally:
            if process.exitcode is None:
                process.kill()
        if process.exitcode != -signal.SIGKILL:
            break
        kills += 1
        assert len(survived.read_text("utf-8").splitlines()) == kills
    assert process.exitcode == 0
    deaths = survived.read_text("utf-8").splitlines()
    for kind in (
        *(".run.json", "segment-", "diffuse-", "adapt-", "generate-", "features-", "set-"),
        *(".last.pt", ".model.safetensors", ".done.json", "an image", ".manifest.csv"),
    ):
        for when in ("not yet named", "named"):
            assert any(kind in line and line.endswith(f" {when}") for line in deaths)
    whole = finished(data, tmp_path / "whole", ADAPTED)
    assert_same_images(out, whole)
    for name in ("manifest.csv", "verdicts.csv"):
        made, expected = (table(folder(of, "set") / name) for of in (out, whole))
        assert [row["image"] for row in made] == [row["image"] for row in expected]
    for stage in ("segment", "diffuse", "adapt"):
        for file in sorted(folder(whole, stage).glob("*.safetensors")):
            found = load_weights(folder(out, stage) / file.name)
            expected = load_weights(file)
            assert found.keys() == expected.keys()
            assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
