"""A study whose arms learn from synthetic images: the whole of it, on drawn loads."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import thumbnails
from scenes import SIZE, scene_folder
from synthesis_runs import table, with_one_of
from typer.testing import CliRunner

from edge_agent.grades import GRADES
from training import baselines
from training.cli import app
from training.config import FitConfig
from training.console import RichReport
from training.data.dataset import Dataset, ImageSet
from training.data.manifest import Row
from training.digest import sha256
from training.errors import DataError
from training.experiments import shares, simple_runs
from training.experiments.config import Run, StudyConfig
from training.experiments.trials import Trials
from training.mixture import Synthetic, load, mix
from training.report.build import draw

pytestmark = pytest.mark.usefixtures("one_thread")

SHARES = (0.0, 0.5)
ARMS = ("augmented", "synthesized", "blended", "shuffled", "rendered")


WITH_SETS = ("synthesized", "shuffled")


def suffixes(folder: Path) -> list[str]:
    """Of the files in it that are not hidden."""
    return sorted(file.suffix for file in folder.iterdir() if not file.name.startswith("."))


def study(data: Path, out: Path, *further: str | Path, code: int = 0) -> str:
    arguments = (
        *("study", "--data", data, "--out", out, "--fast", "--models", "simple_dcnn"),
        *("--size", SIZE, "--steps", 8, "--batch", 16, "--precision", "fp32", "--threads", 1),
        *further,
    )
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Judge and baseline see thumbnails, and nothing is drawn: other tests see to both."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "frozen_features", thumbnails.features)
        patch.setitem(simple_runs.BASELINES, simple_runs.FROZEN, thumbnails.features)
        patch.setattr("training.experiments.cli.draw", lambda folder, out: out)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene_folder(tmp_path_factory.mktemp("scenes") / "data")


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Further images, none of them with a split."""
    folder = scene_folder(tmp_path_factory.mktemp("more") / "data", seed=2)
    manifest = folder / "manifest.csv"
    lines = manifest.read_text().splitlines()
    manifest.write_text(
        "\n".join([lines[0], *(line.rpartition(",")[0] + "," for line in lines[1:])])
    )
    return folder


@pytest.fixture(scope="module")
def out(data: Path, more: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    arms = ("--arms", ",".join(ARMS), "--rendered", str(more))
    said = study(data, folder, *arms, "--max-time", "0s")
    assert "time is up" in said
    study(data, folder, *arms)
    return folder


@pytest.fixture(scope="module")
def found(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "study.json").read_text())
    return content


def config(out: Path, arm: str, seed: int = 1) -> dict[str, Any]:
    metrics = json.loads((out / f"simple_dcnn-{arm}-{seed}" / "metrics.json").read_text())
    return dict(metrics["config"])


def test_every_arm_takes_the_same_steps_and_has_its_row(found: dict[str, Any]) -> None:
    assert found["missing"] == []
    rows = [row for row in found["rows"] if row["seed"] is not None]
    assert [row["arm"] for row in rows] == list(ARMS)
    assert {row["steps"] for row in rows} == {8}
    assert all(low <= row["accuracy"] <= high for row in rows for low, high in [row["accuracy_ci"]])
    pairs = {(pair["first"]["arm"], pair["second"]["arm"]) for pair in found["comparisons"]}
    assert ("augmented", "synthesized") in pairs


def test_rows_say_what_else_was_learned_from(out: Path, found: dict[str, Any]) -> None:
    rows = {row["arm"]: row for row in found["rows"] if row["seed"] is not None}
    assert rows["augmented"]["synthetic"] is None
    assert rows["shuffled"]["synthetic"]["shuffled"]
    said = rows["synthesized"]["synthetic"]
    assert said["sha256"] == config(out, "synthesized")["synthetic_sha256"]
    assert list(said["shares"].values()) == config(out, "synthesized")["synthetic_shares"]
    assert list(said["shares"]) == [str(grade) for grade in GRADES]


def test_what_could_not_be_drawn_is_said_before_anything_is_trained(
    data: Path, tmp_path: Path
) -> None:
    copied = with_one_of(data, tmp_path / "data", "burn_trash")
    said = study(copied, tmp_path / "out", "--arms", "augmented,blended", code=2)
    assert "grade burn_trash has 1 training image" in " ".join(said.split())
    assert list((tmp_path / "out").iterdir()) == []


def test_runs_before_one_that_fails_have_their_rows(data: Path, tmp_path: Path) -> None:
    rendered, out = scene_folder(tmp_path / "rendered", seed=8), tmp_path / "out"
    asked = ("--arms", "augmented,rendered", "--rendered", rendered)
    said = study(data, out, *asked, code=2)
    assert "is in split val; synthetic images are for training only" in " ".join(said.split())
    found = json.loads((out / "study.json").read_text())
    assert found["missing"] == ["simple_dcnn-rendered-1"]
    assert [row["arm"] for row in found["rows"] if row["seed"] == 1] == ["augmented"]


def test_arms_share_the_stages_they_have_in_common(out: Path) -> None:
    synthesis = out / "synthesis"
    assert len(list(synthesis.glob("segment-*"))) == 1
    assert len(list(synthesis.glob("diffuse-*"))) == 1
    assert (
        len(list(synthesis.glob("set-*"))) == 2
    )  # synthesized and blended; shuffled uses the first
    assert (
        config(out, "shuffled")["synthetic_sha256"]
        == config(out, "synthesized")["synthetic_sha256"]
    )
    assert (
        config(out, "blended")["synthetic_sha256"] != config(out, "synthesized")["synthetic_sha256"]
    )


def test_the_run_of_another_arm_can_judge(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = study(data, out, "--arms", "unblended-judged", code=2)
    assert "is judged by simple_dcnn-baseline-1, which is not finished" in " ".join(said.split())
    # Whoever judges comes first, in whatever order they are named.
    study(data, out, "--arms", "unblended-judged,baseline")
    study(data, out, "--arms", "unblended-judged")  # which finds its judge finished
    said = study(data, out, "--arms", "unblended-judged", "--steps", 9, code=2)
    assert "holds a run with steps 8, now it is 9" in " ".join(said.split())
    (folder,) = (out / "synthesis").glob("set-*")
    done = json.loads((folder / "done.json").read_text())
    model = out / "simple_dcnn-baseline-1" / "model.safetensors"
    assert done["judge"]["model"] == "simple_dcnn"
    assert done["config"]["filter"]["judge_digest"] == sha256(model)
    baseline = json.loads(model.with_name("metrics.json").read_text())
    assert done["judge"]["validation_accuracy"] == pytest.approx(
        baseline["validation"]["accuracy"], abs=1e-4
    )
    assert config(out, "unblended-judged")["synthetic_sha256"] == Synthetic(folder, ()).sha256
    # What draws images as often as they occur is no trial: those draw grades evenly.
    said = study(data, out, "--arms", "unblended-judged-plain")
    assert "is that" not in " ".join(said.split())


def test_shares_are_chosen_by_each_grade_on_the_validation_split(out: Path) -> None:
    made = {
        Synthetic(folder, ()).sha256: set(load(folder, SIZE, agreement=0.6).labels)
        for folder in (out / "synthesis").glob("set-*")
    }
    assert all(0 not in grades for grades in made.values())  # nothing is made of the commonest
    for arm in ARMS[1:]:
        has = made.get(config(out, arm)["synthetic_sha256"], set(range(len(GRADES))))
        tried = json.loads((out / f"simple_dcnn-{arm}-1" / "mix.json").read_text())
        assert list(tried["shares"]) == [str(share) for share in SHARES]
        losses = [tried["shares"][str(share)]["validation_loss"] for share in SHARES]
        best = [SHARES[found.index(min(found))] for found in map(list, zip(*losses, strict=True))]
        expected = [share if grade in has else 0.0 for grade, share in enumerate(best)]
        assert config(out, arm)["synthetic_shares"] == expected
    # What there is without synthetic images is found out once, and nothing is left to resume from.
    assert suffixes(out / "trials") == [".npy"] * (1 + len(ARMS[1:]) * (len(SHARES) - 1))


def test_more_shares_than_one_can_be_tried(data: Path, out: Path, tmp_path: Path) -> None:
    ours = shutil.copytree(out, tmp_path / "out")
    asked = ("--arms", "blended", "--shares", "0.25,0.5")
    said = study(data, ours, *asked, code=2)
    assert "holds a run with synthetic_recipe" in " ".join(said.split())
    shutil.rmtree(ours / "simple_dcnn-blended-1")
    said = study(data, ours, *asked, "--max-time", "0s")
    assert "time is up in a trial of simple_dcnn-blended-1" in " ".join(said.split())
    study(data, ours, *asked)
    tried = json.loads((ours / "simple_dcnn-blended-1" / "mix.json").read_text())["shares"]
    before = json.loads((out / "simple_dcnn-blended-1" / "mix.json").read_text())["shares"]
    # The others have been tried already.
    assert {share: tried[share] for share in before} == before
    losses = {float(share): told["validation_loss"] for share, told in tried.items()}
    assert list(losses) == [0.0, 0.25, 0.5]
    best = [min(losses, key=lambda share: losses[share][grade]) for grade in range(len(GRADES))]
    taken = config(ours, "blended")["synthetic_shares"]
    assert [s for s in taken if s] == [s for s, t in zip(best, taken, strict=True) if t]


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        ("0,0.5", "greater than 0"),
        ("1", "less than 1"),
        ("a", "valid number"),
        ("0.5,0.5", "twice"),
    ],
)
def test_shares_that_are_none_are_refused(
    data: Path, tmp_path: Path, shares: str, says: str
) -> None:
    assert says in study(data, tmp_path / "out", "--arms", "blended", "--shares", shares, code=2)


def test_no_test_image_is_read_before_shares_are_chosen(
    data: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = shutil.copytree(out, tmp_path / "out")
    for folder in ("simple_dcnn-blended-1", "synthesis", "trials"):
        shutil.rmtree(ours / folder)
    load_as_ever, choose_as_ever = Dataset.load, shares.choose
    read: set[str | None] = set()
    chosen: list[tuple[float, ...]] = []

    def spied(self: Dataset, split: Any, *args: Any, **options: Any) -> ImageSet:
        if not chosen and self.manifest.folder == data:
            read.add(split)
        return load_as_ever(self, split, *args, **options)

    def choose(losses: Any, labels: Any) -> tuple[float, ...]:
        chosen.append(choose_as_ever(losses, labels))
        return chosen[-1]

    monkeypatch.setattr(Dataset, "load", spied)
    monkeypatch.setattr(shares, "choose", choose)
    study(data, ours, "--arms", "blended")
    assert (len(chosen), read) == (1, {"train", "val"})


def test_a_trial_goes_on_where_it_was(data: Path, out: Path, tmp_path: Path) -> None:
    ours = shutil.copytree(out, tmp_path / "out")
    shutil.rmtree(ours / "simple_dcnn-blended-1")
    for file in (ours / "trials").iterdir():
        file.unlink()
    shutil.copytree(ours, tmp_path / "with")
    shutil.rmtree(ours / "simple_dcnn-augmented-1")
    said = study(data, ours, "--arms", "blended", "--max-time", "0s")
    assert "time is up in a trial of simple_dcnn-blended-1" in " ".join(said.split())
    assert suffixes(ours / "trials") == [".pt"]
    # The finished run `augmented` stands for the trial without synthetic images.
    said = study(data, tmp_path / "with", "--arms", "blended", "--max-time", "0s")
    assert "on trial: simple_dcnn-augmented-1 is that" in " ".join(said.split())
    assert suffixes(tmp_path / "with" / "trials") == [".npy", ".pt"]
    study(data, ours, "--arms", "blended")
    assert suffixes(ours / "trials") == [".npy"] * len(SHARES)
    # The same logits as of trials that were not cut, or of the run that stood for one.
    for file in (ours / "trials").glob("*.npy"):
        assert file.read_bytes() == (out / "trials" / file.name).read_bytes()
    assert config(ours, "blended") == config(out, "blended")
    file.write_bytes(b"")
    shutil.rmtree(ours / "simple_dcnn-blended-1")
    said = study(data, ours, "--arms", "blended", code=2)
    assert "not readable; delete it" in " ".join(said.split())


def test_a_trial_with_norms_of_their_own_is_another_one(data: Path, out: Path) -> None:
    config = StudyConfig(size=SIZE, steps=8, batch=16)
    dataset = Dataset.open(data).split(1)
    train, validation = (dataset.load(split, SIZE) for split in ("train", "val"))
    made = next((out / "synthesis").glob("set-*"))

    def file(arm: str, share: float) -> Path:
        of = (Run("simple_dcnn", arm, 1), dataset, made, out, config, RichReport(quiet=True))
        return Trials(*of, None, math.inf, train, validation)._file(share)

    arms = ("blended", "synthesized-norms", "synthesized-first", "synthesized")
    assert len({file(arm, 0.0) for arm in arms}) == 1
    assert len({file(arm, 0.5) for arm in arms}) == 3
    assert file("blended", 0.5) == file("synthesized", 0.5)  # of the same images


def test_a_trial_that_has_learnt_as_the_run_will_is_not_trained_again(
    data: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "choose", lambda *_: (SHARES[-1],) * len(GRADES))
    ours, again = shutil.copytree(out, tmp_path / "ours"), tmp_path / "again"
    shutil.rmtree(ours / "trials")
    shutil.rmtree(ours / "simple_dcnn-blended-1")
    said = study(data, ours, "--arms", "blended")
    assert "its trial has learnt so, and is not trained again" in " ".join(said.split())
    assert "goes on after step 8 of 8" in " ".join(said.split())
    assert suffixes(ours / "trials") == [".npy"] * len(SHARES)
    # What the trials said is there already, so that the run has to be trained.
    shutil.copytree(ours, again)
    shutil.rmtree(again / "simple_dcnn-blended-1")
    said = study(data, again, "--arms", "blended")
    assert "is not trained again" not in " ".join(said.split())
    for file in ("predictions.csv", "learned_from.txt"):
        first, second = (o / "simple_dcnn-blended-1" / file for o in (ours, again))
        assert first.read_text() == second.read_text()
    losses = [
        json.loads((o / "simple_dcnn-blended-1" / "history.json").read_text())["step_losses"]
        for o in (ours, again)
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 8
    assert config(ours, "blended") == config(again, "blended")


def test_all_finished_runs_are_asked_about_an_external_test_set(
    data: Path, more: Path, out: Path, tmp_path: Path
) -> None:
    ours = shutil.copytree(out, tmp_path / "out")
    test = scene_folder(tmp_path / "test", seed=3)
    options = ("--rendered", more, "--external-test", test)
    labelled = sum(grade is not None for grade in Dataset.open(test).labels.grades)
    # Whatever arms the command names, and whatever splits the dataset has; as time allows.
    said = study(data, ours, "--arms", "augmented", *options, "--max-time", "0s")
    assert "time is up before all runs were asked" in " ".join(said.split())
    assert json.loads((ours / "study.json").read_text())["external_tests"] == []
    study(data, ours, "--arms", "augmented", *options)
    (found,) = json.loads((ours / "study.json").read_text())["external_tests"]
    networks = [row for row in found["rows"] if row["model"] == "simple_dcnn"]
    assert [row["arm"] for row in networks] == list(ARMS)
    assert {row["n"] for row in found["rows"]} == {labelled}
    assert found["data"]["digest"] == Dataset.open(test).digest
    model = ours / "simple_dcnn-blended-1"
    alone = CliRunner().invoke(app, ["evaluate", "--checkpoint", str(model), "--data", str(test)])
    figures = json.loads(alone.stdout)["all"]
    assert networks[2]["arm"] == "blended"
    assert networks[2]["accuracy"] == figures["accuracy"]
    # The baselines too, which are fitted again for that.
    known, size = (
        Dataset.open(data),
        json.loads((ours / "study.json").read_text())["config"]["size"],
    )
    train, val, asked = known.load("train", size), known.load("val", size), Dataset.open(test)
    features = [baselines.colour_histogram(images.images) for images in (train, val)]
    fit, _ = baselines.fitted((features[0], train), (features[1], val))
    unseen = asked.load(None, size)
    guesses = baselines.probabilities(fit, baselines.colour_histogram(unseen.images)).argmax(1)
    row = next(row for row in found["rows"] if row["model"] == "colour_histogram")
    assert row["accuracy"] == pytest.approx((guesses == unseen.labels).mean(), abs=1e-4)
    page = draw(ours, tmp_path / "report")
    assert "External test set test" in page.read_text()
    tables = page.with_name("tables.md").read_text()
    assert "External test set test: accuracy" in tables
    assert "published, synthesized |" in tables
    assert "published, blended" not in tables  # the study has no such arm
    # Another command keeps them, and asks again only about a model that is another one.
    (file,) = model.glob("external-*/metrics.json")
    asked = file.stat().st_mtime_ns
    study(data, ours, "--arms", "augmented", *options)
    assert file.stat().st_mtime_ns == asked
    study(data, ours, "--arms", "augmented")
    assert json.loads((ours / "study.json").read_text())["external_tests"] == [found]
    shutil.copy(ours / "simple_dcnn-augmented-1" / "model.safetensors", model)
    study(data, ours, "--arms", "augmented")
    (left,) = json.loads((ours / "study.json").read_text())["external_tests"]
    left_over = [row["arm"] for row in left["rows"] if row["model"] == "simple_dcnn"]
    assert left_over == [arm for arm in ARMS if arm != "blended"]
    study(data, ours, "--arms", "augmented", *options)
    assert file.stat().st_mtime_ns > asked


def test_an_external_test_set_has_nothing_that_runs_learn_from(
    data: Path, more: Path, out: Path, tmp_path: Path
) -> None:
    ours = shutil.copytree(out, tmp_path / "out")
    for options, says in (
        (("--external-test", data), "take other images"),
        (("--external-test", more, "--rendered", more), "take other images"),
        (("--external-test", more), "name their --rendered too"),
    ):
        said = study(data, ours, "--arms", "augmented", *options, code=2)
        assert says in " ".join(said.split())
    unlabelled = shutil.copytree(more, tmp_path / "unlabelled")
    manifest = unlabelled / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",grade", ",note", 1))
    for image in (unlabelled / "images").iterdir():
        image.write_bytes(image.read_bytes() + b"another file")
    said = study(data, ours, "--arms", "augmented", "--external-test", unlabelled, code=2)
    assert "no image has a label" in " ".join(said.split())


def test_another_seed_takes_the_shares_that_the_first_has_chosen(
    data: Path, out: Path, tmp_path: Path
) -> None:
    ours = shutil.copytree(out, tmp_path / "out")
    study(data, ours, "--arms", "blended", "--seeds", "1,2")
    assert not (ours / "simple_dcnn-blended-2" / "mix.json").exists()
    assert (
        config(ours, "blended", 2)["synthetic_shares"]
        == config(ours, "blended")["synthetic_shares"]
    )
    (pair,) = [
        pair
        for pair in json.loads((ours / "study.json").read_text())["pooled_comparisons"]
        if (pair["first"]["arm"], pair["second"]["arm"]) == ("blended", "shuffled")
    ]
    assert len(pair["accuracy_difference_of_seeds"]) == 1  # shuffled has no second seed


def test_a_finished_study_is_not_trained_again(
    data: Path, more: Path, out: Path, tmp_path: Path
) -> None:
    before = {file: file.stat().st_mtime_ns for file in out.rglob("m*.json")}
    # A command for other arms need not know what was rendered to keep its row.
    study(data, out, "--arms", "augmented")
    assert json.loads((out / "study.json").read_text())["left_out"] == {}
    study(data, out, "--arms", ",".join(ARMS), "--rendered", more)
    assert before == {file: file.stat().st_mtime_ns for file in out.rglob("m*.json")}


def test_runs_that_learned_from_a_set_by_other_masks_are_of_another_study(
    data: Path, out: Path, tmp_path: Path
) -> None:
    ours, masked = shutil.copytree(out, tmp_path / "out"), shutil.copytree(data, tmp_path / "data")
    row = next(r for r in table(masked / "manifest.csv") if r["split"] == "train" and r["mask"])
    (masked / row["mask"]).write_bytes(cv2.imencode(".png", np.ones((SIZE, SIZE), np.uint8))[1])
    said = study(masked, ours, "--arms", "augmented,blended", "--seeds", "1,2", code=2)
    assert "simple_dcnn-blended-1: holds a run with masks_regions_trucks" in " ".join(said.split())
    # Those without synthetic images are of the same.
    study(masked, ours, "--arms", "augmented")
    left_out = json.loads((ours / "study.json").read_text())["left_out"]
    assert set(left_out) == {"simple_dcnn-blended-1", *(f"simple_dcnn-{a}-1" for a in WITH_SETS)}


def test_further_images_that_the_study_has_are_refused(data: Path, tmp_path: Path) -> None:
    said = study(
        data,
        tmp_path / "out",
        "--arms",
        "rendered",
        "--rendered",
        shutil.copytree(data, tmp_path / "d"),
        code=2,
    )
    assert "take other images" in " ".join(said.split())
    assert "needs --rendered" in study(data, tmp_path / "out", "--arms", "rendered", code=2)


def images(labels: list[int], split: str = "train") -> ImageSet:
    rows = tuple(Row(image=f"{i}.png", truck=f"T{i}", split=split) for i in range(len(labels)))
    pixels = np.zeros((len(labels), 4, 4, 3), np.uint8)
    return ImageSet(pixels, np.array(labels, np.int64), rows, ())


def test_shares_are_of_the_images_drawn_of_a_grade() -> None:
    mixed = mix(images([0, 0, 0, 1, 4]), images([1, 1, 1, 0]), (0.25, 0.75, 0.5, 0.5, 0.5))
    labels, weights = mixed.images.labels, mixed.weights
    synthetic = np.arange(9) >= 5
    per_grade = [weights[labels == grade].sum() for grade in (0, 1, 4)]
    assert per_grade == pytest.approx([1, 1, 1])
    assert weights[synthetic & (labels == 0)].sum() == pytest.approx(0.25)
    assert weights[synthetic & (labels == 1)].sum() == pytest.approx(0.75)
    # Nothing synthetic of undefined: all of it is real.
    assert weights[labels == 4].tolist() == [1.0]
    # Without synthetic images the real ones of each grade are as likely as that.
    assert mixed.real_weights[synthetic].sum() == 0
    real = [mixed.real_weights[labels == grade].sum() for grade in (0, 1, 4)]
    assert real == pytest.approx([1, 1, 1])


def test_shuffled_labels_are_the_same_ones_in_another_order() -> None:
    further = images([0] * 20 + [1] * 20)
    mixed = mix(images([0, 1]), further, (0.5,) * 5, shuffled_by=1)
    dealt = mixed.images.labels[2:]
    assert sorted(dealt) == sorted(further.labels)
    assert not np.array_equal(dealt, further.labels)


def test_a_validation_image_is_not_learned_from(data: Path) -> None:
    with pytest.raises(DataError, match="is in split val; synthetic images are for training only"):
        Synthetic(data, (0.5,) * len(GRADES)).mixed_with(
            Dataset.open(data).load("train", SIZE), FitConfig(size=SIZE)
        )
