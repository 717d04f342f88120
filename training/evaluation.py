"""The figures of a trained model on a labelled folder: the story of `cane-train evaluate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from training import metrics as figures
from training import provenance
from training.data.dataset import Dataset, ImageSet
from training.data.manifest import Split
from training.model import TrainedModel, write_json


class Report(Protocol):
    """Whoever wants to know how it goes."""

    def loading(self, what: str, count: int) -> Callable[[], None]:
        """`count` images are about to be read; the answer is called once for each."""

    def say(self, text: str) -> None:
        """A line for people."""


def evaluate_on(
    model: TrainedModel,
    dataset: Dataset,
    split: Split | None,
    report: Report,
    *,
    key: str = "test",
) -> dict[str, Any]:
    """Figures against the dataset's labels and, where the truth is known too, against that.

    The truth also covers the images that the experts dispute: the harder ones.
    """
    images = load_split(dataset, split, model.card.size, report, what=key)
    results = {
        key: {
            "labels": dataset.labels.source,
            "skipped": _skips([images]),
            **figures_of(model, images),
        }
    }
    if dataset.labels.source == "votes" and any(row.grade for row in dataset.manifest.rows):
        truth = Dataset.open(dataset.manifest.path, source="truth")
        images = load_split(truth, split, model.card.size, report, what=f"{key}, truth")
        results[f"{key}_truth"] = {
            "labels": truth.labels.source,
            **figures_of(model, images),
        }
    return results


def evaluate(
    model: TrainedModel,
    dataset: Dataset,
    split: Split | None,
    report: Report,
    *,
    out: Path | None = None,
) -> dict[str, Any]:
    """The story of `cane-train evaluate`: the figures of one model on one folder."""
    metrics = {
        "command": provenance.command_line(),
        "date": provenance.now(),
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "model": {
            "classifier": model.card.classifier,
            "size": model.card.size,
            "seed": model.card.training.get("config", {}).get("seed"),
            "data_digest": model.card.training.get("data", {}).get("digest"),
        },
        "data": describe_data(dataset),
        "confidence_threshold": model.card.confidence_threshold,
        **evaluate_on(model, dataset, split, report, key=split or "all"),
    }
    if out is not None:
        write_json(out, metrics)
    return metrics


def describe_data(dataset: Dataset, loaded: tuple[ImageSet, ...] = ()) -> dict[str, Any]:
    """What metrics.json says of the data."""
    rows = dataset.manifest.rows
    return {
        "name": dataset.manifest.name,
        "digest": dataset.digest,
        "images": len(rows),
        "trucks": len({row.truck for row in rows}),
        "labels": dataset.labels.source,
        "disputed": dataset.labels.disputed,
        "unlabelled": dataset.labels.unlabelled,
        "skipped": _skips(loaded),
        "grades": {grade.value: count for grade, count in dataset.counts().items()},
        "splits": dict(sorted(Counter(str(row.split) for row in rows).items())),
    }


def load_split(
    dataset: Dataset, split: Split | None, size: int, report: Report, *, what: str | None = None
) -> ImageSet:
    """The images of one split, or of all, with a word on those that cannot be read."""
    on_image = report.loading(what or split or "images", dataset.count(split))
    loaded = dataset.load(split, size, on_image=on_image)
    if loaded.skips:
        first = loaded.skips[0]
        report.say(f"skipped {len(loaded.skips)} images; the first: {first.path}: {first.reason}")
    return loaded


def figures_of(model: TrainedModel, images: ImageSet) -> dict[str, Any]:
    """The figures of a model on these images."""
    return figures.evaluate(
        model.probabilities(images.images),
        images.labels,
        threshold=model.card.confidence_threshold,
    )


def _skips(loaded: tuple[ImageSet, ...] | list[ImageSet]) -> int:
    return sum(len(images.skips) for images in loaded)
