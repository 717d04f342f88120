"""The demo's own repository, made and kept by `cane-export` for real."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from simulator.demo_models import SignedModel

BUNDLE = Path(__file__).parents[2] / "deploy" / "models" / "sim-mobilenetv2.bundle"


def listed(model: SignedModel) -> set[str]:
    return {file.name.partition(".")[0] for file in (model.repository / "targets").iterdir()}


def test_the_repository_outlives_restarts_and_begins_anew_for_another_bundle(
    tmp_path: Path,
) -> None:
    bundle = Path(shutil.copy(BUNDLE, tmp_path / "demo.bundle"))
    model = SignedModel(bundle, tmp_path / "run")
    settings = model.settings()
    root = Path(settings["model"]["updates"]["root"])
    first = root.read_bytes()
    digests = listed(model)
    assert SignedModel(bundle, tmp_path / "run").settings()["model"] == settings["model"]
    assert root.read_bytes() == first
    # Stopped before anything was published: the keys and what they signed are made again.
    (model.repository / "metadata" / "timestamp.json").unlink()
    model.settings()
    assert root.read_bytes() != first
    assert listed(model) == digests
    # The project ships another one under the same name and version.
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.comment = b"another"
    (tmp_path / "run" / "models" / "tuf").mkdir(parents=True)
    model.settings()
    assert len(listed(model)) == 1
    assert listed(model) != digests
    assert not (tmp_path / "run" / "models" / "tuf").exists()


def test_a_bundle_that_is_none_is_told_in_a_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.bundle"
    broken.write_bytes(b"no zip file")
    with pytest.raises(RuntimeError, match=r"broken\.bundle") as told:
        SignedModel(broken, tmp_path / "run").settings()
    assert "\n" not in str(told.value)
