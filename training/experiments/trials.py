"""Trainings with each share of synthetic images, for all grades alike, before one is chosen.

Of as many steps as the study's: in shorter ones a network never knows its real images by heart,
which is when further ones help. A run that has learnt as a trial would stands for it, and a trial
that has learnt as the run will is not trained again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from edge_agent.grades import GRADES
from training import parallel
from training.augmentation import is_balanced
from training.config import FitConfig
from training.data.dataset import Dataset, ImageSet
from training.errors import DataError, RunError, WeightsError
from training.evaluation import METRICS_NAME
from training.experiments.config import ARMS, Run, StudyConfig
from training.experiments.finished_runs import finished_run
from training.experiments.report import Report
from training.loop import Loop
from training.mixture import Synthetic, load, mix
from training.model import TrainedModel, logits
from training.start import Weights, initial_network
from training.synthesis.stages import save_array
from training.train import CHECKPOINT_NAME, resolved

TRIALS_NAME: Final = "trials"
"""Of the folder for what trials said: that without synthetic images serves many arms."""


@dataclass(frozen=True)
class Trials:
    """Of one run, which chooses for its own seed or for all.

    folder: of the synthetic set. out: of the study. given: what the network starts from; None:
    random weights. deadline: of time.monotonic(). train, validation: splits of `dataset`.
    """

    run: Run
    dataset: Dataset
    folder: Path
    out: Path
    config: StudyConfig
    report: Report
    given: Weights | None
    deadline: float
    train: ImageSet
    validation: ImageSet

    def said(self, share: float) -> Tensor | None:
        """What a trial has said of the validation split, logits (n, 5); None where time was up.
        Raises TrainingError."""
        file = self._file(share)
        if not file.exists():
            said = None if share else self._said_by_twin()
            if said is None:
                said = self._said_on_trial(share)
            if said is None:
                return None
            save_array(file, said.float().numpy())
        try:
            return torch.from_numpy(np.load(file))
        except (OSError, ValueError, EOFError) as error:
            raise RunError(f"{file}: not readable; delete it") from error

    def possible(self, shares: Sequence[float]) -> tuple[float, ...]:
        """These shares, (5,); 0 for grades that have no synthetic images."""
        made = set(self._made.labels.tolist())
        return tuple(s if grade in made else 0.0 for grade, s in enumerate(shares))

    def hand_over(self, shares: tuple[float, ...]) -> None:
        """Where a trial was trained exactly as the run with these shares would be, and that has not
        begun, its checkpoint becomes the run's. All others are deleted."""
        folder = self.run.folder(self.out)
        begun = any((folder / name).exists() for name in (CHECKPOINT_NAME, METRICS_NAME))
        for share in self.config.tried_shares:
            checkpoint = self._checkpoint(share)
            same = share > 0 and self._configs[share].synthetic_shares == shares
            if same and not begun and checkpoint.exists():
                checkpoint.replace(folder / CHECKPOINT_NAME)
                self.report.say(
                    f"{self.run.name}: its trial has learnt so, and is not trained again"
                )
            checkpoint.unlink(missing_ok=True)

    @cached_property
    def _made(self) -> ImageSet:
        """The synthetic images."""
        return load(self.folder, self.config.size, agreement=self.config.agreement)

    @cached_property
    def _configs(self) -> dict[float, FitConfig]:
        """By share, what a trial's checkpoint is of: with synthetic images that is the run with all
        of these shares."""
        shares = self.config.tried_shares
        return {share: self._with(share) if share else self._without() for share in shares}

    def _with(self, share: float) -> FitConfig:
        shares = self.possible((share,) * len(GRADES))
        synthetic = Synthetic(self.folder, shares, ARMS[self.run.arm].shuffled)
        return resolved(self.config.fit(self.run), self.dataset, self.given, synthetic)

    def _without(self) -> FitConfig:
        """What decides a trial without synthetic images, apart from data and start: such as for
        other arms."""
        free = ("synthetic_recipe", "synthetic_until", "synthetic_norms", "masks_regions_trucks")
        return self.config.fit(self.run).model_copy(update=dict.fromkeys(free))

    def _file(self, share: float) -> Path:
        # All that decides what it comes to; the images themselves by their digests.
        arm = ARMS[self.run.arm]
        of_arm = {"synthetic_until": arm.until, "synthetic_norms": arm.norms} if share else {}
        asked = self._without().model_copy(update=of_arm)
        key = {
            **asked.model_dump(mode="json"),
            **self._start,
            "data": self.dataset.digest,
            "share": share,
            "synthetic_sha256": self._configs[share].synthetic_sha256,
            "shuffled": arm.shuffled if share else None,
            "kept": "logits",  # losses, before
        }
        return self.out / TRIALS_NAME / f"{_digest(key)}.npy"

    def _checkpoint(self, share: float) -> Path:
        """Named by all that it is of: trials with equal results may be of different runs."""
        file = self._file(share)
        name = _digest(self._configs[share].model_dump(mode="json")) if share else file.stem
        return file.with_name(f"{name}.pt")

    @property
    def _start(self) -> dict[str, str]:
        return self.given.described() if self.given else {}

    def _said_on_trial(self, share: float) -> Tensor | None:
        """Logits on the validation split after a training, which can be resumed; None where time
        was up."""
        self.report.begin(f"{self.run.name}, {share:.0%} synthetic on trial")
        config, file = self._configs[share], self._checkpoint(share)
        shuffled_by = config.seed if ARMS[self.run.arm].shuffled else None
        shares = (share,) * len(GRADES)
        mixture = mix(self.train, self._made, shares, shuffled_by=shuffled_by)
        with parallel.accelerator(config.precision) as accelerator:
            network = initial_network(config.classifier, config.seed, self.train, self.given)
            loop = Loop(
                accelerator, network, self.train, self.validation, config, file, mixture=mixture
            )
            if loop.run(self.report, deadline=self.deadline) == "time":
                return None
            return logits(loop.kept_network(), self.validation.images)

    def _said_by_twin(self) -> Tensor | None:
        """Logits on the validation split of a finished run that learnt as a trial without synthetic
        images would; None where there is none. Trials draw grades evenly, so such a run must too.
        """
        run, config, out = self.run, self.config, self.out
        for arm in ARMS:
            twin = Run(run.model, arm, run.seed)
            if ARMS[arm].is_enriched or not is_balanced(ARMS[arm].augment):
                continue
            if config.fit(twin) != self._without():
                continue
            try:
                if finished_run(twin, out, config, self._start, self.dataset) is None:
                    continue
                network = TrainedModel.load(twin.folder(out)).network
            except (DataError, RunError, WeightsError):
                continue  # of another study, or broken
            self.report.say(f"{run.name}, no synthetic images on trial: {twin.name} is that")
            return logits(network, self.validation.images)
        return None


def _digest(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
