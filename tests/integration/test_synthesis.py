"""The whole synthesis on drawn loads: what it writes, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scenes import COUNTS, SIZE, scene_folder
from synthesis_runs import (
    ADAPTED,
    CONFIG,
    blends_only,
    conditioning,
    done,
    drawn,
    finished,
    folder,
    of_other_trucks,
    run,
    table,
    told_of,
    undrawn,
    with_one_of,
)

from edge_agent.grades import GRADES
from training import baselines
from training.alone import LOCK_NAME
from training.config import FitConfig
from training.console import RichReport
from training.data.dataset import Dataset
from training.digest import sha256
from training.errors import DataError
from training.synthesis.config import SynthesisConfig
from training.synthesis.denoiser import Denoiser
from training.synthesis.pipeline import synthesize
from training.synthesis.run import CANDIDATES_NAME
from training.train import fit

pytestmark = pytest.mark.usefixtures("one_thread", "quick_judge")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene_folder(tmp_path_factory.mktemp("scenes") / "data")


@pytest.fixture(scope="module")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the fast preset, judged by the features of ImageNet."""
    out = tmp_path_factory.mktemp("run") / "synthesis"
    result = run("synthesize", "--data", data, "--out", out, "--preset", "fast", "--threads", 1)
    assert result.exit_code == 0, result.output
    return out


def test_scarce_grades_get_what_they_lack(out: Path) -> None:
    rows = table(folder(out, "generate") / CANDIDATES_NAME)
    found = [sum(row["grade"] == grade for row in rows) for grade in GRADES]
    assert found == [max(COUNTS) - count for count in COUNTS]
    assert len(drawn(out)) == len(rows)
    boundary = done(out, "generate")["boundary"]["share"]
    trash = {row["grade"]: set() for row in rows}
    for row in rows:
        trash[row["grade"]].add(float(row["trash"]))
    assert max(trash["burn_clean"]) < boundary <= min(trash["burn_trash"])
    assert {row["method"] for row in rows if row["grade"] == "undefined"} == {"single"}
    assert {row["method"] for row in rows if row["grade"] != "undefined"} == {"segment"}


def test_scarce_cane_begins_with_commoner_cane_recoloured(
    data: Path, out: Path, tmp_path: Path
) -> None:
    copied = undrawn(out, tmp_path / "run")
    arguments = ("--data", data, "--out", copied, "--preset", "fast", "--method", "translate")
    result = run("synthesize", *arguments, "--threads", 1)
    assert result.exit_code == 0, result.output
    assert done(copied, "diffuse") == done(out, "diffuse")  # the same model
    rows = table(folder(copied, "generate") / CANDIDATES_NAME)
    grades = {row["truck"]: row["grade"] for row in table(data / "manifest.csv")}
    for row in rows:
        if row["grade"].startswith("burn"):
            *shapes, look = (grades[truck] for truck in json.loads(row["parent_trucks"]))
            assert shapes == ["fresh_clean", "fresh_trash"]
            assert look == row["grade"]
    ways = [{row["method"] for row in rows if row["grade"] == grade} for grade in GRADES[1:]]
    assert ways == [{"segment"}, {"translate segment"}, {"translate segment"}, {"single"}]


def test_what_is_kept_is_a_dataset_for_training(out: Path) -> None:
    kept = folder(out, "set")
    rows = table(kept / "manifest.csv")
    loaded = Dataset.open(kept).load("train", SIZE)
    assert len(loaded) == len(rows) > 0
    assert {row.split for row in loaded.rows} == {"train"}
    verdicts = [row["verdict"] for row in table(kept / "verdicts.csv")]
    assert verdicts.count("kept") == len(rows)
    report = done(out, "set")
    assert sum(g["candidates"] for g in report["grades"].values()) == len(verdicts)
    assert sum(g["kept"] for g in report["grades"].values()) == len(rows)
    assert report["judge"]["validation_accuracy"] > 0.8
    assert {"segment", "diffuse", "generate", "filter"} <= set(report["config"])


def test_no_truck_outside_the_training_split_is_anybodys_parent(data: Path, out: Path) -> None:
    splits = {row["truck"]: row["split"] for row in table(data / "manifest.csv")}
    rows = table(folder(out, "set") / "verdicts.csv")
    parents = {truck for row in rows for truck in json.loads(row["parent_trucks"])}
    assert {splits[truck] for truck in parents} == {"train"}
    images = {row["image"]: row["truck"] for row in table(data / "manifest.csv")}
    for row in rows:
        named, trucks = json.loads(row["parents"]), json.loads(row["parent_trucks"])
        assert [images[image] for image in named] == trucks
        assert row["truck"] == trucks[0]


def test_the_test_split_is_not_read(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test images that are broken are not even noticed."""
    copied = shutil.copytree(data, tmp_path / "data")
    for row in table(copied / "manifest.csv"):
        if row["split"] == "test":
            (copied / row["image"]).write_bytes(b"broken")
            (copied / row["mask"]).write_bytes(b"broken")
    said: list[str] = []
    monkeypatch.setattr(RichReport, "say", lambda _, text: said.append(text))
    assert synthesize(copied, tmp_path / "run", blends_only(), RichReport(quiet=True))
    assert not [line for line in said if "skipped" in line or "broken" in line]


def test_a_judge_of_other_images_or_another_size_is_refused(data: Path, tmp_path: Path) -> None:
    other = scene_folder(tmp_path / "other", seed=9)
    for of, size in ((other, SIZE), (data, 2 * SIZE)):
        asked = FitConfig(classifier="simple_dcnn", size=size, epochs=None, steps=1, batch=8)
        fit(of, tmp_path / f"{of.name}-{size}", asked, RichReport(quiet=True), threads=1)
    for judge, says in (
        (f"other-{SIZE}", "was trained on other images, labels or splits"),
        (f"data-{2 * SIZE}", f"sees {2 * SIZE} px, the images have {SIZE}"),
        ("nowhere", "model"),
    ):
        result = run(
            *("synthesize", "--data", data, "--out", tmp_path / "run", "--preset", "fast"),
            *("--judge", tmp_path / judge),
        )
        assert result.exit_code == 2, result.output
        assert says in " ".join(result.output.split())
    assert not list(tmp_path.glob("run/*"))


@pytest.fixture(scope="module")
def measured(
    data: Path, out: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], str]:
    """What is measured of the set's model, and what is said of it."""
    return conditioning(data, folder(out, "set"), tmp_path_factory.mktemp("conditioning"))


def test_conditioning_is_measured_by_a_command(
    data: Path, out: Path, measured: tuple[dict[str, Any], str], tmp_path: Path
) -> None:
    found, said = measured
    assert found["data"] == json.loads((out / "run.json").read_text("utf-8"))["data"]
    assert found["edges"]["images"] == 4
    assert set(found["levels"]) == {"fresh_clean to fresh_trash", "burn_clean to burn_trash"}
    assert set(found["regions"]["regions"]) == {"east", "north"}
    assert "edges: samples agree with their own by" in said
    other = scene_folder(tmp_path / "other", seed=9)
    options = ("conditioning", "--data", data, "--set", folder(out, "set"), "--images", 4)
    for changed, says in (
        (("--data", other), "is not of the data in"),
        (("--set", tmp_path), "no set of cane-train synthesize"),
    ):
        refused = run(*options, "--out", tmp_path / "conditioning.json", *changed)
        assert refused.exit_code == 2
        assert says in refused.output


def test_a_model_can_be_looked_at_before_anything_is_drawn(
    data: Path, out: Path, measured: tuple[dict[str, Any], str], tmp_path: Path
) -> None:
    copied = undrawn(out, tmp_path / "run")
    asked = ("synthesize", "--data", data, "--out", copied, "--preset", "fast", "--model-only")
    asked += ("--judge", tmp_path / "not trained yet")
    of_model = Path(run(*asked, "--threads", 1).stdout.strip())
    assert of_model == folder(copied, "diffuse")
    with RichReport(quiet=True) as report:
        of_adapters = synthesize(data, copied, ADAPTED, report, threads=1, model_only=True)
    assert of_adapters == folder(copied, "adapt")
    assert not list(copied.glob("generate-*"))
    assert not list(copied.glob("set-*"))

    alone, _ = conditioning(data, of_model, tmp_path)
    adapted, _ = conditioning(data, of_adapters, tmp_path)
    for name in ("edges", "levels", "regions"):
        assert alone[name] == measured[0][name]
    assert adapted["regions"] != alone["regions"]


def test_blends_as_they_are_have_no_model_to_look_at(data: Path, tmp_path: Path) -> None:
    options = ("--data", data, "--out", tmp_path / "run", "--strength", 0, "--model-only")
    result = run("synthesize", *options)
    assert result.exit_code == 2
    assert "blends as they are need no diffusion model" in result.stderr
    assert not (tmp_path / "run").exists()


def test_what_drew_an_image_is_named_by_digest(out: Path) -> None:
    files = [folder(out, stage) / "model.safetensors" for stage in ("segment", "diffuse")]
    rows = table(folder(out, "set") / "manifest.csv")
    drawn_by = " ".join(map(sha256, files))
    assert {(row["model_sha256"], row["seed"]) for row in rows} == {(drawn_by, "1")}
    assert done(out, "generate")["model_sha256"] == {
        f"{file.parent.name}/{file.name}": sha256(file) for file in files
    }


def test_each_stage_says_where_it_comes_from(out: Path) -> None:
    of = json.loads((out / "run.json").read_text("utf-8"))["data"]
    for stage in ("segment", "diffuse", "generate", "features", "set"):
        found = done(out, stage)
        assert found["data"] == of
        assert found["config"]["size"] == SIZE
        assert {"command", "date", "machine", "versions"} <= set(found)


def test_images_drawn_with_other_weights_are_not_mixed(
    data: Path, out: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(out, tmp_path / "run")
    for stage in ("generate", "features", "set"):
        (folder(copied, stage) / "done.json").unlink()
    weights = folder(copied, "diffuse") / "model.safetensors"
    network = Denoiser.load(weights)
    network.save(weights, {name: w * 1.01 for name, w in network.state_dict().items()})
    arguments = ("--data", data, "--out", copied, "--preset", "fast", "--threads", 1)
    result = run("synthesize", *arguments)
    assert result.exit_code == 2
    drawn_before = folder(copied, "generate")
    said = f"{drawn_before}: holds images drawn with other weights; delete it and run again"
    assert result.stderr.splitlines()[-1].endswith(said)
    shutil.rmtree(drawn_before)
    result = run("synthesize", *arguments)
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def small(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of few steps."""
    return finished(data, tmp_path_factory.mktemp("small") / "synthesis", CONFIG)


def variant(data: Path, of: Path, out: Path, **changes: dict[str, Any]) -> Path:
    """Another run that shares what it has in common with this one; its set."""
    shutil.copytree(of, out)
    asked = CONFIG.model_dump()
    for section, values in changes.items():
        asked[section] |= values
    with RichReport(quiet=True) as report:
        made = synthesize(data, out, SynthesisConfig.model_validate(asked), report, threads=1)
    assert made is not None
    for stage in ("segment", *(() if "diffuse" in changes else ("diffuse",))):
        assert len(list(out.glob(f"{stage}-*"))) == 1, stage
    assert made not in [out / found.name for found in of.glob("set-*")]
    assert len(list(out.glob("features-*"))) == 1  # of the real images, whatever is judged
    return made


def test_less_strength_leaves_more_of_a_blend(data: Path, small: Path, tmp_path: Path) -> None:
    sets = {
        strength: variant(data, small, tmp_path / str(strength), generate={"strength": strength})
        for strength in (0.0, 0.5)
    }
    sets[1.0] = folder(small, "set")
    images = {
        strength: [
            cv2.imread(str(made / row["image"])).astype(float)
            for row in table(made / "verdicts.csv")
        ]
        for strength, made in sets.items()
    }
    away = {
        strength: np.mean([abs(a - b).mean() for a, b in zip(found, images[0.0], strict=True)])
        for strength, found in images.items()
    }
    assert 0 < away[0.5] < 0.8 * away[1.0]


def test_partners_get_as_many(data: Path, small: Path, tmp_path: Path) -> None:
    made = variant(data, small, tmp_path / "run", generate={"partners": True, "strength": 0.0})
    counts = Counter(row["grade"] for row in table(made / "verdicts.csv"))
    assert counts["fresh_clean"] == counts["fresh_trash"] > 0
    assert counts["burn_clean"] == counts["burn_trash"] > counts["fresh_clean"]
    # Of blends as they are the masks say what one sees, where there is a load; of what a model
    # draws nothing does.
    for row in table(made / "manifest.csv"):
        assert row["trash_share"] == ("" if row["grade"] == "undefined" else row["trash"])
    assert "trash_share" not in table(folder(small, "set") / "manifest.csv")[0]


def test_unfiltered_all_candidates_are_kept(data: Path, small: Path, tmp_path: Path) -> None:
    made = variant(data, small, tmp_path / "run", filter={"overlap": 0.0, "copies": "keep"})
    verdicts = [row["verdict"] for row in table(made / "verdicts.csv")]
    assert verdicts == ["kept"] * len(table(made / "manifest.csv"))
    assert len(table(folder(small, "set") / "manifest.csv")) < len(verdicts)


@pytest.mark.parametrize(
    "changes", [{"control": "none"}, {"regions": False}], ids=["uncontrolled", "regionless"]
)
def test_a_model_lacks_what_it_is_not_to_have(
    data: Path, small: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    made = variant(data, small, tmp_path / "run", diffuse=changes)
    (stage,) = set((tmp_path / "run").glob("diffuse-*")) - {
        tmp_path / "run" / found.name for found in small.glob("diffuse-*")
    }
    network = Denoiser.load(stage / "model.safetensors")
    has_regions = bool(network.architecture.vocabulary.regions)
    assert (network.controlnet is not None, has_regions) == (
        "control" not in changes,
        "regions" not in changes,
    )
    report = json.loads((stage / "done.json").read_text("utf-8"))
    assert ("edge_agreement" in report) == ("control" not in changes)
    assert len(Dataset.open(made).load("train", SIZE)) > 0


def test_a_size_that_cannot_be_halved_is_refused_at_once(data: Path, tmp_path: Path) -> None:
    result = run("synthesize", "--data", data, "--out", tmp_path / "run", "--size", 100)
    assert result.exit_code == 2
    assert "must be a multiple of 16, such as 96 or 112" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("by", ["trash", "level"])
def test_a_sheet_shows_real_and_synthetic_images(
    data: Path, out: Path, tmp_path: Path, by: str
) -> None:
    file = tmp_path / "sheet.png"
    kept = folder(out, "set")
    result = run("sheet", "--data", data, "--set", kept, "--out", file, "--across", 6, "--by", by)
    assert result.exit_code == 0, result.output
    drawn_sheet = np.asarray(cv2.imread(str(file)))

    def band_of(row: dict[str, str]) -> float:
        return 0 if row["grade"] == "undefined" else float(row[by]) // (20 if by == "trash" else 1)

    rows = {
        (r["grade"], band_of(r) if r["verdict"] == "kept" else None)
        for r in table(kept / "verdicts.csv")
    }
    grades = {grade for grade, _ in rows}
    assert drawn_sheet.shape[0] == pytest.approx(96 * (len(rows) + len(grades)), abs=2)


def test_a_sheet_is_of_a_sets_own_data(data: Path, out: Path, tmp_path: Path) -> None:
    kept = folder(out, "set")
    other = scene_folder(tmp_path / "other", seed=9)
    for of, made, file, says in (
        (other, kept, "sheet.png", f"{kept}: is not of the data in {other}"),
        (data, tmp_path, "sheet.png", f"{tmp_path}: no set of cane-train synthesize"),
        (data, kept, "sheet.pdx", "sheet.pdx: name it .png or .jpg or .jpeg"),
    ):
        result = run("sheet", "--data", of, "--set", made, "--out", tmp_path / file)
        assert result.exit_code == 2
        assert says in result.stderr
        assert not (tmp_path / file).exists()


def test_a_run_of_other_data_is_refused(out: Path, tmp_path: Path) -> None:
    other = scene_folder(tmp_path / "other", seed=2)
    result = run("synthesize", "--data", other, "--out", out, "--preset", "fast")
    assert result.exit_code == 2
    assert "holds a synthesis with data" in result.stderr


@pytest.mark.parametrize("what", ["regions", "trucks"])
def test_a_run_of_other_regions_or_trucks_is_refused(
    data: Path, out: Path, tmp_path: Path, what: str
) -> None:
    if what == "regions":
        moved = told_of(data, tmp_path / "moved", "south")
    else:
        moved = of_other_trucks(data, tmp_path / "moved")
    result = run("synthesize", "--data", moved, "--out", out, "--preset", "fast")
    assert result.exit_code == 2
    assert f"holds a synthesis with {what}" in result.stderr
    # A run of before this was written down goes on.
    copied = shutil.copytree(out, tmp_path / "run")
    before = json.loads((copied / "run.json").read_text())
    older = {name: value for name, value in before.items() if name != what}
    (copied / "run.json").write_text(json.dumps(older))
    result = run("synthesize", "--data", data, "--out", copied, "--preset", "fast")
    assert result.exit_code == 0, result.output
    assert json.loads((copied / "run.json").read_text())[what] == before[what]


@pytest.mark.parametrize("file", ["model.safetensors", "classes.npy"])
def test_a_broken_stage_is_told_in_a_line(data: Path, out: Path, tmp_path: Path, file: str) -> None:
    copied = shutil.copytree(out, tmp_path / "run")
    broken = folder(copied, "segment") / file
    broken.write_bytes(broken.read_bytes()[:200])
    options = ("--data", data, "--set", folder(copied, "set"), "--out", tmp_path / "c.json")
    result = run("conditioning", *options)
    assert result.exit_code == 2
    said = f"{broken}: missing or broken; delete {broken.parent} and run again"
    assert result.stderr.splitlines()[-1].endswith(said)


def test_a_folder_of_something_else_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("mine")
    result = run("synthesize", "--data", data, "--out", tmp_path, "--preset", "fast")
    assert result.exit_code == 2
    assert "not empty" in result.stderr
    assert (tmp_path / "letters").read_text() == "mine"


def test_a_grade_with_one_image_is_refused(data: Path, tmp_path: Path) -> None:
    copied = with_one_of(data, tmp_path / "data", "burn_trash")
    with (
        pytest.raises(DataError, match="burn_trash has 1 training image"),
        RichReport(quiet=True) as report,
    ):
        synthesize(copied, tmp_path / "run", CONFIG, report)
    assert {file.name for file in (tmp_path / "run").iterdir()} == {"run.json", LOCK_NAME}


def test_without_the_judge_s_packages_nothing_is_begun_and_what_is_done_stands(
    data: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines, "has_frozen_features", lambda: False)
    asked = ("synthesize", "--data", data, "--preset", "fast")
    result = run(*asked, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "the filter needs EfficientNet-Lite0's packages" in " ".join(result.stderr.split())
    assert {file.name for file in (tmp_path / "run").iterdir()} == {"run.json", LOCK_NAME}
    # Nor is it asked for what only judging needs, such as runs of earlier versions do not have.
    older = shutil.copytree(out, tmp_path / "older")
    shutil.rmtree(folder(older, "features"))
    assert run(*asked, "--out", older).stdout.strip() == str(folder(older, "set"))
    assert not list(older.glob("features-*"))


def test_a_mask_of_another_size_is_told_before_anything_is_trained(
    data: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(data, tmp_path / "data")
    row = next(row for row in table(copied / "manifest.csv") if row["split"] == "val")
    cv2.imwrite(str(copied / row["mask"]), np.zeros((SIZE, SIZE - 1), np.uint8))
    result = run("synthesize", "--data", copied, "--out", tmp_path / "run", "--preset", "fast")
    assert result.exit_code == 2
    assert Path(row["mask"]).name in " ".join(result.stderr.split())
    assert not list(tmp_path.glob("run/*/last.pt"))


def test_a_sheet_of_a_model_alone_is_refused_and_nothing_is_to_be_deleted(
    data: Path, out: Path, tmp_path: Path
) -> None:
    of_model = ("sheet", "--data", data, "--set", folder(out, "diffuse"))
    result = run(*of_model, "--out", tmp_path / "sheet.png")
    assert result.exit_code == 2
    assert "it is no set" in result.stderr
    assert "delete" not in result.stderr


def test_without_masks_blends_are_transparencies(data: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(data, tmp_path / "data")
    text = (copied / "manifest.csv").read_text().replace("mask,", "no_mask,", 1)
    (copied / "manifest.csv").write_text(text)
    with RichReport(quiet=True) as report:
        assert synthesize(copied, tmp_path / "run", blends_only(), report)
    rows = table(folder(tmp_path / "run", "generate") / CANDIDATES_NAME)
    assert {row["method"] for row in rows} == {"alpha", "single"}


def test_a_half_written_stage_is_not_taken_for_whole(out: Path, data: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(out, tmp_path / "run")
    file = folder(copied, "set") / "done.json"
    file.write_text(file.read_text()[:50])
    result = run("synthesize", "--data", data, "--out", copied, "--preset", "fast")
    assert result.exit_code == 2
    assert "not readable; delete" in result.stderr
