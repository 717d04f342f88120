"""From labelled loads to a set of synthetic ones: the story of `cane-train synthesize`.

    segment   a U-Net learns the masks that there are, and tells all training images apart
    diffuse   a diffusion model learns the training images, steered by their edges
    adapt     where asked for, adapters of it learn one region each
    generate  candidates are drawn for the grades that lack images
    features  of the real images, by which candidates are judged
    filter    what a judge agrees with, and what is no copy, is kept

Each stage is a folder (see `stages`), can be killed at any moment, and goes on where it was. Only
the training split is learned from and blended; the validation split chooses the judge's penalty
and measures the U-Net; the test split is not read.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import Accelerator  # type: ignore[import-untyped]
from pydantic import BaseModel

from training import parallel
from training.alone import alone
from training.data.coverage import require_learnable
from training.data.dataset import Dataset, ImageSet
from training.data.manifest import Split
from training.digest import sha256
from training.errors import DataError, RunError
from training.evaluation import load_split
from training.model import model_file
from training.synthesis import backbone
from training.synthesis.bases import LEAST, lacking
from training.synthesis.config import FilterSection, SynthesisConfig
from training.synthesis.features import MIRRORS, SPACE, find, require_features
from training.synthesis.filter import COPIES
from training.synthesis.generate import generate
from training.synthesis.keep import keep, read_judge
from training.synthesis.recolour import DISTRIBUTION
from training.synthesis.run import Report, Run
from training.synthesis.segment import masks_digest
from training.synthesis.stages import Stage, open_run
from training.synthesis.train_adapters import train_adapters
from training.synthesis.train_diffusion import train_diffusion
from training.synthesis.train_segment import train_segment


@dataclass(frozen=True)
class Stages:
    """Where the stages of a run lie. diffused, adapted: None where the run has no such stage."""

    segmented: Stage
    diffused: Stage | None
    adapted: Stage | None
    drawn: Stage
    features: Stage
    kept: Stage

    def model_in(self, folder: Path) -> tuple[Stage, Stage | None] | None:
        """The diffusion model behind a folder, and its adapters: of a set, or of the model alone,
        which need not have them. None where the folder is another one."""
        name = folder.resolve().name
        if self.diffused is None:
            return None
        if name == self.diffused.folder.name:
            return self.diffused, None
        of_both = [stage for stage in (self.adapted, self.kept) if stage is not None]
        if name in (stage.folder.name for stage in of_both):
            return self.diffused, self.adapted
        return None

    @classmethod
    def of(cls, run: Run, out: Path) -> Stages:
        """Those of a run in its directory."""
        config = run.config
        # What is not asked for decides nothing, nor does the place where something given lies.
        section = config.model_dump(
            mode="json", exclude_none=True, exclude={"diffuse": {"backbone"}, "filter": {"judge"}}
        )
        shared = {"seed": config.seed, "data": run.dataset.digest}
        if config.precision is not None:
            shared["precision"] = config.precision
        masks = masks_digest(run.train.rows, run.dataset.manifest.folder)
        seen = {"masks": masks, "colours": "standardised"}
        segmented = Stage.of(out, "segment", section["segment"] | shared | seen)
        # What blends count as, and models are told.
        masked = any(row.mask for row in run.train.rows)
        shared |= {"trash": "by masks" if masked else "by level"}
        before = [segmented]
        diffused, adapted = None, None
        if config.generate.strength > 0:  # blends as they are need no diffusion model
            told, adapts = {"tokens": "by attention and by step"}, {}
            if config.diffuse.backbone is None:
                told["colours"] = "expected of what is told"
                adapts["mean"] = "of the region"
            diffused = Stage.of(out, "diffuse", section["diffuse"] | shared | told, segmented)
            before.append(diffused)
            if config.adapt is not None:
                adapted = Stage.of(out, "adapt", section["adapt"] | shared | adapts, diffused)
                before.append(adapted)
        by_distribution = config.generate.colours == "distribution"
        colours = {"distribution": DISTRIBUTION} if by_distribution else {}
        drawn = Stage.of(out, "generate", section["generate"] | shared | colours, *before)
        copies = {"near_copies": COPIES} if config.filter.copies == "drop" else {}
        kept = Stage.of(out, "set", section["filter"] | shared | copies, drawn)
        # These images in this order, however they are drawn from.
        images = _digest([row.image for row in (*run.train.rows, *run.validation.rows)])
        of_images = {"images": images, "space": SPACE, "ways": list(MIRRORS.values())}
        features = Stage.of(out, "features", {"data": run.dataset.digest} | of_images)
        return cls(segmented, diffused, adapted, drawn, features, kept)


def _check(config: SynthesisConfig, dataset: Dataset) -> None:
    """Raises TrainingError for what only a later stage would find out, hours later."""
    if config.adapt is not None:
        regions = Counter(
            r.region for r in dataset.manifest.rows if r.split == "train" and r.region
        )
        if not any(count >= LEAST for count in regions.values()):
            raise DataError(
                f"{dataset.manifest.path}: no region has {LEAST} training images, adapters need "
                "them: fill the column region, or take --regions none"
            )
    if config.filter.judge is not None:
        read_judge(Path(config.filter.judge), dataset, config.size)
    if config.diffuse.backbone is not None and config.generate.strength > 0:
        backbone.describe(config.diffuse.backbone).check_size(config.size)


def _look_ahead(run: Run, stages: Stages) -> None:
    """The same of stages that are not finished, by the images that were read."""
    if stages.drawn.done() is None:
        lacking(run.train.labels, run.config.generate.surplus)
    if stages.kept.done() is None:
        require_features()


def guidance_digest(dataset: Dataset) -> str:
    """Of all that a synthesis is guided by and the dataset's digest does not tell apart: masks,
    regions and trucks of the labelled training images."""
    pairs = zip(dataset.manifest.rows, dataset.labels.grades, strict=True)
    rows = [row for row, grade in pairs if grade is not None and row.split == "train"]
    rows.sort(key=lambda row: row.image)
    masks = masks_digest(rows, dataset.manifest.folder)
    return _digest([masks, *(f"{row.image} {row.region} {row.truck}" for row in rows)])


def _identity(config: SynthesisConfig, dataset: Dataset) -> dict[str, Any]:
    """What all stages of a run directory rest on, as JSON types."""
    rows = [row for row in dataset.manifest.rows if row.split == "train"]
    return {
        "size": config.size,
        "agreement": config.agreement,
        "data": dataset.digest,
        # Which the dataset's digest does not tell apart:
        "regions": _digest(sorted(f"{row.image} {row.region}" for row in rows)),
        "trucks": _digest(sorted(f"{row.image} {row.truck}" for row in rows)),
    }


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _with_digests(config: SynthesisConfig) -> SynthesisConfig:
    """With the content of what is given from elsewhere."""
    changes: dict[str, BaseModel] = {}
    source, judge = config.diffuse.backbone, config.filter.judge
    if source is not None and config.generate.strength > 0:
        found = {"backbone_digest": backbone.digest(source)}
        changes["diffuse"] = config.diffuse.model_copy(update=found)
    if judge is not None:
        found = {"judge_digest": sha256(model_file(Path(judge)))}
        changes["filter"] = config.filter.model_copy(update=found)
    return config.model_copy(update=changes)


def load_run(
    dataset: Dataset,
    config: SynthesisConfig,
    accelerator: Accelerator,
    report: Report,
    deadline: float = math.inf,
) -> Run:
    """Reads the training and the validation split. Raises DataError."""
    return Run(
        dataset,
        load_split(dataset, "train", config.size, report),
        load_split(dataset, "val", config.size, report),
        config,
        accelerator,
        report,
        deadline,
    )


def synthesize(
    data: Path,
    out: Path,
    config: SynthesisConfig,
    report: Report,
    *,
    threads: int | None = None,
    max_seconds: float = math.inf,
    model_only: bool = False,
) -> Path | None:
    """Runs what is missing of all stages; the folder with the synthetic set's manifest.csv.

    model_only: stops at the diffusion model, or its adapters, and that is their folder.

    None where time was up (the same call goes on), and in processes other than the main one.
    Raises TrainingError.
    """
    if model_only and config.generate.strength == 0:
        raise RunError("blends as they are need no diffusion model; take a strength above 0")
    # What judges has no part in the model, and need not be there yet.
    asked = config.model_copy(update={"filter": FilterSection()}) if model_only else config
    deadline = time.monotonic() + max_seconds
    parallel.use_threads(threads)
    with parallel.accelerator(config.precision or "fp32") as accelerator:

        def prepare() -> tuple[Dataset, SynthesisConfig]:
            dataset = Dataset.open(data, agreement=config.agreement).split(config.seed)
            _check(asked, dataset)
            open_run(out, _identity(config, dataset), report.say, deadline)
            return dataset, _with_digests(asked)

        dataset, known = parallel.main_first(prepare)
        run = load_run(dataset, known, accelerator, report, deadline)
        read: dict[Split, ImageSet] = {"train": run.train, "val": run.validation}
        parallel.main_first(partial(require_learnable, dataset, report, read))
        stages = Stages.of(run, out)
        segmented, diffused, adapted = stages.segmented, stages.diffused, stages.adapted
        drawn, kept = stages.drawn, stages.kept
        if not model_only:
            parallel.main_first(partial(_look_ahead, run, stages))
        work: dict[Stage, Callable[[], bool]] = {segmented: lambda: train_segment(run, segmented)}
        if diffused is not None:
            work[diffused] = lambda: train_diffusion(run, diffused, segmented)
            if adapted is not None:
                work[adapted] = lambda: train_adapters(run, adapted, segmented, diffused)
        if not model_only:
            work[drawn] = lambda: generate(run, drawn, segmented, diffused, adapted)
            if parallel.main_first(kept.done) is None:  # nothing else needs them
                work[stages.features] = lambda: find(run, stages.features)
            work[kept] = lambda: keep(run, kept, drawn, stages.features)
        for stage, compute in work.items():
            if parallel.main_first(stage.done) is not None:
                continue
            parallel.main_first(partial(stage.folder.mkdir, exist_ok=True))
            with ExitStack() as held:
                mine = alone(stage.folder, report.say, deadline=deadline)
                parallel.main_first(partial(held.enter_context, mine))
                if parallel.main_first(stage.done) is not None:
                    continue  # another command has made it meanwhile
                if not compute():
                    report.say(f"time is up in {stage.folder.name}; the same command goes on here")
                    return None
            # Nothing of this stage's network and optimiser is needed by the next one.
            accelerator.free_memory()
            accelerator.wait_for_everyone()
        return stage.folder if accelerator.is_main_process else None
