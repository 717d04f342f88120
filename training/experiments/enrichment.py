"""The arms that learn from further images: which ones, and from how many of each grade."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from training.classifiers.pixels import Pixels
from training.data.dataset import Dataset
from training.data.overlap import require_disjoint
from training.errors import RunError
from training.experiments.config import ARMS, Run, StudyConfig
from training.experiments.shares import Report, chosen_shares
from training.mixture import Synthetic
from training.start import Weights
from training.synthesis import pipeline
from training.synthesis.pipeline import synthesize

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


def check(run: Run, config: StudyConfig, dataset: Dataset) -> None:
    """Raises TrainingError where its images could not be made, before what comes first is trained.
    Its judge, which may not be there yet, is not looked at."""
    if ARMS[run.arm].synthesis is not None:
        pipeline.check(config.synthesis_of(run.arm), dataset)


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
        if folder is None:
            raise RunError(f"arm {run.arm}: needs --rendered, a dataset of further images")
        require_disjoint(data, folder)
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
    shares = chosen_shares(run, dataset, folder, out, config, report, weights, deadline)
    return None if shares is None else Synthetic(folder, shares, arm.shuffled)
