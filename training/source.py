"""A finished run of `cane-train fit` with the data it was trained on, to be worked on further."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data.dataset import Dataset
from training.data.description import DESCRIPTION_NAME
from training.data.labels import AGREEMENT
from training.errors import RunError
from training.model import TrainedModel
from training.subject import area_of


@dataclass(frozen=True)
class Source:
    """A trained model and its data, whose splits are those it was trained with."""

    model: TrainedModel
    dataset: Dataset

    @classmethod
    def open(cls, checkpoint: Path, data: Path) -> Source:
        """Raises TrainingError, also for a run that is not finished, or other data."""
        model = TrainedModel.load(checkpoint)
        run = model.card.training
        if run.get("ended_by") == "time":  # written so by cane-train 0.1.0
            raise RunError(
                f"{checkpoint}: its training was stopped by --max-time after {run.get('steps')} "
                "steps; give cane-train fit the same command again until it ends by itself"
            )
        agreement = run.get("config", {}).get("agreement", AGREEMENT)
        dataset = Dataset.open(data, agreement=agreement)
        trained_on = str(run.get("data", {}).get("digest"))
        if dataset.digest != trained_on:
            raise RunError(
                f"{dataset.manifest.folder}: is not the data that {checkpoint} was trained on "
                f"(digest {dataset.digest[:12]}, not {trained_on[:12]}), so its splits are not the "
                "network's; give the folder given to cane-train fit"
            )
        _require_alike(dataset, run.get("data", {}), checkpoint)
        return cls(model, dataset)


def _require_alike(dataset: Dataset, learned: Mapping[str, Any], checkpoint: Path) -> None:
    """Raises RunError where dataset.json, which no digest covers, says otherwise than when the
    run learned from it. learned: what the run wrote of it; earlier versions wrote less."""
    now = {
        "classes": {name: str(grade) for name, grade in dataset.description.renamed.items()},
        "graded_area": dataset.graded_area,
    }
    then = {"classes": learned.get("classes"), "graded_area": area_of(learned)}
    for name, found in now.items():
        if then[name] is not None and then[name] != found:
            raise RunError(
                f"{dataset.manifest.folder}/{DESCRIPTION_NAME}: {name} is {found}, and was "
                f"{then[name]} when {checkpoint} learned from it; write it as it was, or train "
                "again"
            )
