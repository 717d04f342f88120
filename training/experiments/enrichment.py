"""The arms that learn from further images: which ones, and from how many of each grade."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from edge_agent.grades import GRADES
from training.alone import alone
from training.classifiers.pixels import Pixels
from training.data.dataset import Dataset
from training.data.overlap import require_disjoint
from training.errors import RunError
from training.experiments.config import ARMS, Run, StudyConfig
from training.experiments.report import Report
from training.experiments.shares import chosen_shares
from training.experiments.trials import TRIALS_NAME
from training.mixture import Synthetic
from training.start import Weights
from training.synthesis.bases import require_enough
from training.synthesis.features import require_features
from training.synthesis.pipeline import synthesize
from training.synthesis.stages import DONE_NAME

SYNTHESIS_NAME: Final = "synthesis"


@dataclass(frozen=True)
class Start:
    """What a study starts from, beside its data.

    weights: published weights by model, a file or "hub"; others start from random ones. pixels: see
    `training.start.Weights.find`. rendered: dataset that the arm `rendered` learns from.
    """

    weights: Mapping[str, str] = field(default_factory=dict)
    pixels: Pixels | None = None
    rendered: Path | None = None

    def weights_of(self, model: str) -> Weights | None:
        """What a model starts from; None for random weights. Raises WeightsError."""
        source = self.weights.get(model)
        return None if source is None else Weights.find(source, model, self.pixels)

    def described(self, model: str) -> dict[str, str]:
        """What a run's configuration says of it; {} for random weights. Raises WeightsError."""
        weights = self.weights_of(model)
        return {} if weights is None else weights.described()


def look_ahead(runs: Sequence[Run], data: Path, out: Path, dataset: Dataset, start: Start) -> None:
    """Raises TrainingError where further images of these runs could not be had, before anything is
    trained. What depends on which files can be read is left to the stages."""
    rendered = [run for run in runs if ARMS[run.arm].rendered]
    if rendered:
        if start.rendered is None:
            raise RunError(f"arm {rendered[0].arm}: needs --rendered, a dataset of further images")
        require_disjoint(data, start.rendered)
    if all(ARMS[run.arm].synthesis is None for run in runs):
        return
    rows = zip(dataset.manifest.rows, dataset.labels.grades, strict=True)
    grades = [GRADES.index(grade) for row, grade in rows if grade and row.split == "train"]
    require_enough(np.array(grades, np.int64))
    if not any((out / SYNTHESIS_NAME).glob(f"set-*/{DONE_NAME}")):
        require_features()


def synthetic_for(
    run: Run,
    data: Path,
    out: Path,
    config: StudyConfig,
    report: Report,
    *,
    start: Start,
    threads: int | None,
    deadline: float,
) -> Synthetic | None:
    """What a run learns from beside its training split; None where time was up.

    All arms share the stages of OUT/synthesis that they have in common. Raises TrainingError.
    """
    arm = ARMS[run.arm]
    if arm.rendered:
        folder = start.rendered
        if folder is None:  # as `look_ahead` has said
            raise RunError(f"arm {run.arm}: needs --rendered")
    else:
        asked = config.synthesis_of(run.arm)
        if run.judge is not None:
            given = asked.filter.model_copy(update={"judge": str(run.judge.folder(out))})
            asked = asked.model_copy(update={"filter": given})
        folder = synthesize(
            data,
            out / SYNTHESIS_NAME,
            asked,
            report,
            threads=threads,
            max_seconds=deadline - time.monotonic(),
        )
        if folder is None:
            return None
    dataset = Dataset.open(data, agreement=config.agreement).split(config.seeds[0])
    weights = start.weights_of(run.model)
    trials = out / TRIALS_NAME
    trials.mkdir(exist_ok=True)
    # All arms of a model share its trial without synthetic images.
    with alone(trials, report.say, name=f".{run.model}.lock", deadline=deadline):
        shares = chosen_shares(run, dataset, folder, out, config, report, weights, deadline)
    return None if shares is None else Synthetic(folder, shares, arm.shuffled)
