"""The measures of conditioning tell a painter that obeys from those that do not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from accelerate import Accelerator
from scenes import SIZE, scene_folder

from training.console import RichReport
from training.data.dataset import Dataset
from training.synthesis.config import PRESETS
from training.synthesis.diffuse import hints
from training.synthesis.painter import Asked, Painter
from training.synthesis.pipeline import load_run
from training.synthesis.planner import Planner
from training.synthesis.probe import LEVELS, Probe, summary
from training.synthesis.run import Run

TINTS = {"east": (40, 0, -40), "north": (-40, 0, 40), "": (0, 0, 0)}
STRAW = np.array((210, 170, 60))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Scenes that are reddish in the east and bluish in the north."""
    dataset = Dataset.open(scene_folder(tmp_path_factory.mktemp("scenes") / "data"))
    report = RichReport(quiet=True)
    found = load_run(dataset, PRESETS["fast"], Accelerator(cpu=True), report)
    for loads in (found.train, found.validation):
        for image, row in zip(loads.images, loads.rows, strict=True):
            image[:] = (image + np.array(TINTS[row.region])).clip(0, 255)
    return found


def straw(images: np.ndarray) -> np.ndarray:
    """Classes by colour, in the stead of a U-Net; all that is not straw is stalk."""
    is_straw = (np.abs(images.astype(int) - STRAW) < 70).all(3)
    return np.where(is_straw, 2, 1).astype(np.uint8)


class Obedient:
    """Draws what it was steered by, in the colour of the region, with trash as the level says."""

    def __init__(self, *, control: bool = True) -> None:
        self.network = SimpleNamespace(controlnet=object() if control else None)

    def classes(self, images: np.ndarray) -> np.ndarray:
        return straw(images)

    def hints(self, images: np.ndarray) -> np.ndarray:
        return hints(images, straw(images))

    def draw(
        self, asked: Asked, lit_as: np.ndarray, steering: np.ndarray | None, **_: Any
    ) -> np.ndarray:
        drawn = np.full_like(lit_as, 90)
        rows = np.arange(SIZE)[None, :] < asked.levels[:, None] / 100 * SIZE
        drawn[rows] = STRAW
        if steering is not None:
            drawn[steering[:, 0] > 0] = 250
        tints = np.array([TINTS[str(region)] for region in asked.regions])
        return (drawn + tints[:, None, None]).clip(0, 255).astype(np.uint8)


class Deaf(Obedient):
    """Draws the same whatever it is told."""

    def draw(
        self, asked: Asked, lit_as: np.ndarray, steering: np.ndarray | None, **_: Any
    ) -> np.ndarray:
        rng = np.random.default_rng(3)
        return rng.integers(60, 200, (1, *lit_as.shape[1:]), np.uint8).repeat(len(asked), 0)


def probe(run: Run, painter: Obedient) -> Probe:
    planner = Planner(run.train, straw(run.train.images), seed=run.config.seed)
    return Probe(run, cast("Painter", painter), planner, 8)


def test_one_that_obeys_is_told_from_one_that_does_not(run: Run) -> None:
    good, bad = probe(run, Obedient()), probe(run, Deaf())

    edges, without = good.edges(), bad.edges()
    assert edges is not None
    assert without is not None
    assert edges["own"] > edges["others"] + 0.2
    assert edges["share_nearer_to_own"] > 0.9
    assert abs(without["own"] - without["others"]) < 0.1

    levels, unheard = good.levels(), bad.levels()
    assert levels is not None
    assert unheard is not None
    assert set(levels) == {"fresh_clean to fresh_trash", "burn_clean to burn_trash"}
    for pair, measured in levels.items():
        assert measured["levels"] == list(LEVELS)
        assert measured["blends"]["monotone"]
        assert measured["told_only"]["monotone"]
        seen = measured["told_only"]["trash_share"]
        assert seen == pytest.approx(measured["told"], abs=5)
        assert measured["told_only"]["spearman"] > 0.95
        assert not unheard[pair]["told_only"]["monotone"]
        assert unheard[pair]["told_only"]["spearman"] == 0

    regions, same = good.regions(), bad.regions()
    assert regions is not None
    assert same is not None
    assert regions["nearest_is_the_one_told"] > 0.7
    assert same["nearest_is_the_one_told"] == regions["by_chance"] == 0.5
    assert regions["nearest_is_its_own_of_real_images"] > 0.9
    for name in ("east", "north"):
        assert regions["regions"][name]["moved_by_telling"] > 10
        assert same["regions"][name]["moved_by_telling"] == 0

    said = summary({"edges": edges, "levels": levels, "regions": regions})
    assert "fresh_clean to fresh_trash: trash seen by the U-Net at level 0, 25, 50" in said
    assert "the nearest region is the one told in" in said


def test_what_cannot_be_measured_is_left_out(run: Run) -> None:
    painter = Obedient(control=False)
    assert probe(run, painter).edges() is None
    unmasked = Planner(run.train, None, seed=run.config.seed)
    assert Probe(run, cast("Painter", painter), unmasked, 8).levels() is None
    assert summary({"edges": None, "levels": None, "regions": None}) == ""
