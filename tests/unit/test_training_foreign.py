"""`cane-train evaluate` on folders that are no manifest: somebody else's, as they come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from edge_agent.grades import GRADES, Grade
from training.classifiers.registry import classifier
from training.cli import app
from training.errors import DataError
from training.foreign import open_labelled
from training.model import ModelCard, TrainedModel

SIZE = 32
BILLETS = {"a_good": "fresh_clean", "a_damaged": "fresh_trash", "c": "undefined"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network that says it has learned the classes of `BILLETS`."""
    card = ModelCard(
        classifier="simple_dcnn",
        size=SIZE,
        temperature=1.0,
        confidence_threshold=0.5,
        training={"data": {"classes": BILLETS}},
    )
    torch.manual_seed(1)
    file = tmp_path_factory.mktemp("run") / "model.safetensors"
    TrainedModel(classifier("simple_dcnn").build(len(GRADES)).eval(), card).save(file)
    return file


class Heard:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def save(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def billets(folder: Path) -> Path:
    """Class folders beside a manifest.csv with columns of its own."""
    names = [f"{name}/{k}.png" for name in BILLETS for k in range(2)]
    for seed, name in enumerate(names):
        save(folder / name, seed)
    (folder / "manifest.csv").write_text("\n".join(["file,variety", *(f"{n},x" for n in names)]))
    return folder


def evaluated(checkpoint: Path, data: Path, *options: str | Path) -> tuple[dict[str, Any], str]:
    """metrics.json as printed, and what was said beside it."""
    command = ("evaluate", "--checkpoint", checkpoint, "--data", data, *options)
    result = CliRunner().invoke(app, list(map(str, command)))
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), result.stderr


def refused(checkpoint: Path, data: Path, *options: str) -> str:
    command = ("evaluate", "--checkpoint", checkpoint, "--data", data, *options)
    result = CliRunner().invoke(app, list(map(str, command)))
    assert result.exit_code == 2, result.output
    return result.output


def test_somebody_elses_manifest_is_none_and_classes_are_the_checkpoints(
    checkpoint: Path, tmp_path: Path
) -> None:
    data = billets(tmp_path / "billets")
    files = sorted(data.rglob("*"))
    metrics, said = evaluated(checkpoint, data)
    assert "manifest.csv: has no column image, truck, captured_at, so it is no manifest of" in said
    assert "a_good=fresh_clean, a_damaged=fresh_trash, c=undefined" in said
    assert f"{data}: 6 images of 6 trucks" in said
    assert metrics["all"]["n"] == 6
    assert metrics["all"]["skipped"] == 0
    assert metrics["data"]["classes"] == BILLETS
    assert metrics["data"]["grades"]["undefined"] == 2
    assert sorted(data.rglob("*")) == files
    # Given classes replace the checkpoint's.
    metrics, said = evaluated(
        *(checkpoint, data, "--class-map", "a_good=burn_clean"),
        *("--class-map", "a_damaged=", "--class-map", "c=undefined"),
    )
    assert metrics["data"]["grades"]["burn_clean"] == 2
    assert metrics["all"]["skipped"] == 2
    assert "classes as in" not in said


def test_a_manifest_of_ours_is_read_and_needs_no_options(checkpoint: Path, tmp_path: Path) -> None:
    save(tmp_path / "a_good" / "a.png", 1)
    (tmp_path / "manifest.csv").write_text(
        "image,truck,captured_at,grade\na_good/a.png,T,,burn_trash\n"
    )
    metrics, said = evaluated(checkpoint, tmp_path)
    assert metrics["data"]["grades"]["burn_trash"] == 1  # the row's, not the folder's
    assert "classes as in" not in said
    for option in ("--graded-area=0,0.1,1,0.9", "--shows=frame", "--class-map=a_good=undefined"):
        assert "has a manifest, which says" in refused(checkpoint, tmp_path, option)
    # A fault in it is told, and not taken for somebody else's table.
    (tmp_path / "manifest.csv").write_text("image,truck,captured_at\na_good/a.png,T\n")
    assert "more or fewer cells" in refused(checkpoint, tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00,\x00", b"", '"ชื่อ,'.encode("cp874")])
def test_a_file_that_only_has_a_manifests_name_does_not_matter(
    tmp_path: Path, content: bytes
) -> None:
    save(tmp_path / "fresh_clean" / "a.png", 1)
    (tmp_path / "manifest.csv").write_bytes(content)
    (tmp_path / "manifest.parquet").write_bytes(content)
    heard = Heard()
    assert open_labelled(tmp_path, heard).labels.grades == (Grade.FRESH_CLEAN,)
    assert "manifest.csv: has no column image, truck" in heard.lines[0]
    assert "manifest.parquet: has no column image, truck" in heard.lines[1]


def test_splits_above_the_classes_are_splits(checkpoint: Path, tmp_path: Path) -> None:
    for seed, name in enumerate(("train/a_good/a", "test/a_good/b", "test/c/c", "val/c/d")):
        save(tmp_path / f"{name}.png", seed)
    (tmp_path / "test" / "c" / "broken.png").write_bytes(b"broken")
    (tmp_path / "train" / "c").mkdir()
    metrics, said = evaluated(checkpoint, tmp_path, "--split", "test")
    assert (metrics["test"]["n"], metrics["test"]["skipped"]) == (2, 1)
    assert "warning: the class folder train/c has no file" in said
    metrics, _ = evaluated(checkpoint, tmp_path, "--split", "val")
    assert (metrics["val"]["n"], metrics["val"]["skipped"]) == (1, 0)
    metrics, said = evaluated(checkpoint, tmp_path)
    assert (metrics["all"]["n"], metrics["all"]["skipped"]) == (4, 1)
    assert "warning: no readable image of fresh_trash" in said


def test_what_is_left_out_is_in_the_figures_and_on_the_terminal(
    checkpoint: Path, tmp_path: Path
) -> None:
    data = billets(tmp_path / "data")
    (data / "a_good" / "broken.png").write_bytes(b"broken")
    (data / "a_good" / "text.txt").write_text("notes")
    (data / "loose.png").write_bytes(b"loose")
    metrics, said = evaluated(checkpoint, data, "--out", tmp_path / "out" / "metrics.json")
    assert metrics["all"]["skipped"] == 3
    assert set(metrics["all"]["skipped_files"]) == {
        *("a_good/broken.png", "a_good/text.txt", "loose.png")
    }
    assert metrics["all"]["skipped_files"]["loose.png"] == "lies in no class's folder"
    assert "left out: 3\n" in said
    assert "2 x not an image in a format that is read" in said
    assert "1 x lies in no class's folder" in said
    assert "skipped.csv" not in said
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics


def test_whole_frames_are_cut_to_the_graded_area(checkpoint: Path, tmp_path: Path) -> None:
    image = save(tmp_path / "a_good" / "a.png", 1)
    area = (0.0, 0.25, 1.0, 0.75)
    heard = Heard()
    frames = open_labelled(
        tmp_path, heard, classes=["a_good=fresh_clean"], area=area, shows="frame"
    )
    expected = np.asarray(Image.open(image))[12:36]
    resized = cv2.resize(expected, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    assert (frames.load(None, SIZE).images[0] == resized).all()
    assert any("whole frames; reading cuts the graded area" in line for line in heard.lines)
    as_it_is = open_labelled(tmp_path, heard, classes=["a_good=fresh_clean"])
    assert frames.digest != as_it_is.digest
    options = ("--graded-area", "0,0.25,1,0.75", "--shows", "frame")
    metrics, _ = evaluated(checkpoint, tmp_path, *options)
    assert metrics["data"]["digest"] == frames.digest
    assert "give --graded-area" in refused(checkpoint, tmp_path, "--shows", "frame")
    assert "write LEFT,TOP,RIGHT,BOTTOM" in refused(checkpoint, tmp_path, "--graded-area", "0,1")


def test_a_link_to_the_folder_is_as_good_as_the_folder(tmp_path: Path) -> None:
    save(tmp_path / "deep" / "er" / "data" / "fresh_clean" / "a.png", 1)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "er" / "data")
    found = open_labelled(tmp_path / "link", Heard())
    assert [row.image for row in found.manifest.rows] == ["fresh_clean/a.png"]
    assert len(found.load(None, SIZE)) == 1


def test_a_dataset_json_without_a_manifest_is_said_not_to_count(tmp_path: Path) -> None:
    save(tmp_path / "fresh_clean" / "a.png", 1)
    (tmp_path / "dataset.json").write_text("[]")
    heard = Heard()
    assert open_labelled(tmp_path, heard).description.cut is None
    assert "dataset.json: not read, it needs a manifest beside it" in heard.lines[0]
    assert not any("left out" in line for line in heard.lines)


def test_what_is_neither_is_one_line(checkpoint: Path, tmp_path: Path) -> None:
    assert "has no sub-folders" in refused(checkpoint, tmp_path)
    save(tmp_path / "Fresh" / "a.png", 1)
    assert "Fresh: no grades; map each to one of" in refused(checkpoint, tmp_path)
    assert "No such file" in refused(checkpoint, tmp_path / "none")
    with pytest.raises(DataError, match="hence no votes"):
        open_labelled(tmp_path, Heard(), source="votes")
