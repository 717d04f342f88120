"""Does the diffusion model do as it is told? Edges, trash level and region, each measured.

edges   samples steered by the edges of validation loads: agreement with the load their edges
        came from, and with another one (`diffuse.obedience`)
levels  samples from blends at five levels: the share of trash that the U-Net sees in them,
        beside what they were told, what it sees in the blends, and in samples told grade and
        share of trash but no edges
regions samples that differ in nothing but the region they are told: how far their mean colour
        is from the region's training images, and how often that region's is the nearest
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr  # type: ignore[import-untyped]

from edge_agent.grades import GRADES, Grade
from training import parallel
from training.data.dataset import Dataset, ImageSet, evenly
from training.data.trash import trash_share
from training.errors import DataError, RunError
from training.synthesis import bases, blend
from training.synthesis.bases import trash_of
from training.synthesis.blend import PAIRS
from training.synthesis.diffuse import obedience
from training.synthesis.generate import asked_of, planner_of
from training.synthesis.keep import read_config
from training.synthesis.painter import Asked, Painter
from training.synthesis.pipeline import Stages, load_run
from training.synthesis.planner import Planner
from training.synthesis.run import Report, Run

LEVELS: Final = (0, 25, 50, 75, 100)
_BATCH: Final = 16


def probe_set(
    data: Path, folder: Path, count: int, report: Report, *, threads: int | None = None
) -> dict[str, Any]:
    """All three measures of a model, as JSON types; None where there is nothing to measure.

    folder: what `cane-train synthesize` printed, with `--model-only` or without. count: images
    drawn of each kind (edges, pair of grades and level, region). Raises TrainingError.
    """
    config, _ = read_config(folder)
    if config.generate.strength == 0:
        raise RunError(f"{folder}: is of blends alone; there is no diffusion model to look at")
    parallel.use_threads(threads)
    with parallel.accelerator("fp32") as accelerator:
        dataset = Dataset.open(data, agreement=config.agreement).split(config.seed)
        run = load_run(dataset, config, accelerator, report)
        stages = Stages.of(run, folder.resolve().parent)
        model = stages.model_in(folder)
        if model is None:
            raise RunError(
                f"{folder}: is not of the data in {data}, or another version made it, or it is "
                "neither a set nor a diffusion model; give what cane-train synthesize printed, and "
                "the data it was made of"
            )
        painter = Painter(run, stages.segmented, *model)
        found = Probe(run, painter, planner_of(run, stages.segmented), count)
        return {
            **run.provenance(),
            "model_sha256": painter.model_sha256,
            "images": count,
            "edges": found.edges(),
            "levels": found.levels(),
            "regions": found.regions(),
        }


def summary(found: dict[str, Any]) -> str:
    """Some lines for people, of what `probe_set` found."""
    lines = []
    if edges := found["edges"]:
        lines.append(
            f"edges: samples agree with their own by {edges['own']:.2f}, with others' by "
            f"{edges['others']:.2f}"
        )
    for pair, measured in (found["levels"] or {}).items():
        lines.append(f"{pair}: trash seen by the U-Net at level {_list(measured['levels'], '.0f')}")
        lines.append(f"  told: {_list(measured['told'], '.1f')} %")
        for kind in ("blends", "samples", "told_only"):
            shares = _list(measured[kind]["trash_share"], ".1f")
            how = "rising" if measured[kind]["monotone"] else "not rising throughout"
            lines.append(f"  {kind.replace('_', ' ')}: {shares} % ({how})")
    if regions := found["regions"]:
        for name, measured in regions["regions"].items():
            lines.append(
                f"region {name}: mean colour {measured['delta_e_of_mean_told']:.1f} from its own "
                f"when told, {measured['delta_e_of_mean_untold']:.1f} when not (delta E)"
            )
        lines.append(
            f"the nearest region is the one told in {regions['nearest_is_the_one_told']:.0%}, by "
            f"chance {regions['by_chance']:.0%}"
        )
    return "\n".join(lines)


def _list(values: list[float], form: str) -> str:
    return ", ".join(format(value, form) for value in values)


class Probe:
    """The measures of one model. See `probe_set`."""

    def __init__(self, run: Run, painter: Painter, planner: Planner, count: int) -> None:
        self._run, self._painter, self._planner, self._count = run, painter, planner, count

    @property
    def _steers(self) -> bool:
        """Does the model heed edges?"""
        network = self._painter.network
        return network is not None and network.controlnet is not None

    def edges(self) -> dict[str, Any] | None:
        """None for a model without a ControlNet."""
        if not self._steers:
            return None
        real = _spread(self._run.validation, self._count)
        drawn = self._draw(self._as(real), real.images, self._painter.hints(real.images), "edges")
        own, others = obedience(drawn, real.images)
        return {
            "images": len(real),
            "own": float(own.mean()),
            "others": float(others.mean()),
            "share_nearer_to_own": float((own > others).mean()),
        }

    def levels(self) -> dict[str, Any] | None:
        """Of each pair whose grades both have images; None where no mask shows any trash."""
        if not self._planner.has_trash:
            return None
        found = {}
        counts = np.bincount(self._run.train.labels, minlength=len(GRADES))
        for clean, trashy in PAIRS.items():
            if all(counts[GRADES.index(grade)] >= bases.LEAST for grade in (clean, trashy)):
                found[f"{clean} to {trashy}"] = self._pair(clean)
        return found or None

    def _pair(self, clean: Grade) -> dict[str, Any]:
        run = self._run
        planned = blend.plan(
            run.train,
            self._count,
            clean,
            (0,),
            seed=run.config.seed,
            # Levels are of blends, also where the set has none; and there are masks.
            method="alpha" if run.config.generate.method == "alpha" else "segment",
        )
        # The same loads, clumps, turns and noise at every level: nothing but the level differs.
        drawn_from = [
            self._planner.of_blend(number, clean, replace(b, level=level))
            for number, b in enumerate(planned)
            for level in LEVELS
        ]
        blends = np.stack([self._planner.draw(base) for base in drawn_from])
        # Light is a condition of its own: that of level 0 for all levels.
        lit_as = blends[:: len(LEVELS)].repeat(len(LEVELS), axis=0)
        asked = asked_of(drawn_from, run.config.seed)
        what = f"levels of {clean}"
        told_only = self._draw(asked, lit_as, None, f"{what}, without edges")
        samples = told_only
        if self._steers:
            samples = self._draw(asked, lit_as, self._painter.hints(blends), what)
        pictures = {"blends": blends, "samples": samples, "told_only": told_only}
        levels = np.array([base.level for base in drawn_from])
        told = np.array([base.trash for base in drawn_from])
        result: dict[str, Any] = {
            "levels": list(LEVELS),
            "told": [float(told[levels == level].mean()) for level in LEVELS],
        }
        for name, images in pictures.items():
            shares = np.array([trash_share(mask) for mask in self._painter.classes(images)])
            means = [float(shares[levels == level].mean()) for level in LEVELS]
            result[name] = {
                "trash_share": means,
                "monotone": bool(np.all(np.diff(means) > 0)),
                "spearman": _spearman(told, shares),
            }
        return result

    def regions(self) -> dict[str, Any] | None:
        """None where fewer than two regions have images."""
        train = self._run.train
        of = np.array([row.region for row in train.rows])
        names = [str(name) for name in np.unique(of[of != ""])]
        if len(names) < 2:
            return None
        colours = _colours(train.images)
        homes = np.stack([colours[of == name].mean(0) for name in names])
        real = _spread(self._run.validation, self._count)
        hints = self._painter.hints(real.images)
        asked = self._as(real)

        def drawn(told: str) -> npt.NDArray[np.float64]:
            elsewhere = replace(asked, regions=np.full(len(asked), told))
            what = f"region {told or 'not told'}"
            return _colours(self._draw(elsewhere, real.images, hints, what))

        untold = drawn("")
        found: dict[str, Any] = {}
        nearest = []
        for index, name in enumerate(names):
            told = drawn(name)
            apart = np.linalg.norm(told[:, None] - homes[None], axis=2)
            nearest.append(apart.argmin(1) == index)
            found[name] = {
                "delta_e_of_mean_told": float(np.linalg.norm(told.mean(0) - homes[index])),
                "delta_e_of_mean_untold": float(np.linalg.norm(untold.mean(0) - homes[index])),
                "moved_by_telling": float(np.linalg.norm(told - untold, axis=1).mean()),
            }
        apart = np.linalg.norm(colours[:, None] - homes[None], axis=2).argmin(1)
        return {
            "regions": found,
            "nearest_is_the_one_told": float(np.concatenate(nearest).mean()),
            "nearest_is_its_own_of_real_images": float(
                (np.array(names)[apart[of != ""]] == of[of != ""]).mean()
            ),
            "by_chance": 1 / len(names),
        }

    def _as(self, real: ImageSet) -> Asked:
        """As these images are."""
        known = {row.region for row in self._run.train.rows}
        regions = [row.region if row.region in known else "" for row in real.rows]
        masks = None
        if self._planner.has_trash:
            masks = self._run.as_drawn(real, self._painter.classes(real.images))
        seeds = np.random.SeedSequence([self._run.config.seed, 2]).generate_state(len(real))
        return Asked(
            np.eye(len(GRADES), dtype=np.float32)[real.labels],
            trash_of(real.labels, masks),
            np.array(regions),
            seeds.astype(np.int64),
        )

    def _draw(
        self,
        asked: Asked,
        lit_as: npt.NDArray[np.uint8],
        steering: npt.NDArray[np.uint8] | None,
        what: str,
    ) -> npt.NDArray[np.uint8]:
        config = self._run.config.generate
        tick = self._run.report.loading(what, len(asked))
        parts = []
        for start in range(0, len(asked), _BATCH):
            part = slice(start, start + _BATCH)
            parts.append(
                self._painter.draw(
                    asked[part],
                    lit_as[part],
                    None if steering is None else steering[part],
                    steps=config.steps,
                    guidance=config.guidance,
                )
            )
            for _ in parts[-1]:
                tick()
        return np.concatenate(parts)


def _spread(loads: ImageSet, count: int) -> ImageSet:
    """So many of them, evenly over the set. Raises DataError where there is none."""
    if not len(loads):
        raise DataError("the validation split has no image: give it one with cane-train data split")
    return loads[evenly(len(loads), count)]


def _colours(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Mean CIE L*a*b* of each image, (n, 3)."""
    return np.array(
        [
            cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB).mean((0, 1))
            for image in images
        ],
        np.float64,
    )


def _spearman(told: npt.NDArray[np.float64], seen: npt.NDArray[np.float64]) -> float:
    if np.ptp(seen) == 0 or np.ptp(told) == 0:
        return 0.0
    return float(spearmanr(told, seen).statistic)
