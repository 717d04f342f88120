"""What a bundle is made from: a finished run of `cane-train fit` and the data it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exporter.errors import ExportError
from training.data.dataset import Dataset
from training.data.labels import AGREEMENT
from training.model import TrainedModel


@dataclass(frozen=True)
class Source:
    """A trained model and its data, whose splits are those it was trained with."""

    model: TrainedModel
    dataset: Dataset

    @classmethod
    def open(cls, checkpoint: Path, data: Path) -> Source:
        """Raises ExportError for a run that is not finished or other data, else TrainingError."""
        model = TrainedModel.load(checkpoint)
        run = model.card.training
        if run.get("ended_by") == "time":  # written so by cane-train 0.1.0
            raise ExportError(
                f"{checkpoint}: its training was stopped by --max-time after {run.get('steps')} "
                "steps; give cane-train fit the same command again until it ends by itself"
            )
        agreement = run.get("config", {}).get("agreement", AGREEMENT)
        dataset = Dataset.open(data, agreement=agreement)
        trained_on = str(run.get("data", {}).get("digest"))
        if dataset.digest != trained_on:
            raise ExportError(
                f"{dataset.manifest.folder}: is not the data that {checkpoint} was trained on "
                f"(digest {dataset.digest[:12]}, not {trained_on[:12]}), so its splits are not the "
                "network's; give the folder given to cane-train fit"
            )
        return cls(model, dataset)
