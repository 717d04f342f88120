"""From a labelled folder to a calibrated, evaluated classifier: the story of `cane-train fit`."""

from __future__ import annotations

import hashlib
import math
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import cv2
import torch
from torch import nn

from edge_agent.grades import GRADES
from training import metrics as figures
from training import provenance
from training.augmentation import reseed
from training.calibration import confidence_threshold, temperature
from training.classifiers import weights as published
from training.classifiers.registry import classifier
from training.data.dataset import Dataset, ImageSet
from training.data.manifest import Split
from training.errors import WeightsError
from training.loop import FitConfig, Loop
from training.loop import Report as LoopReport
from training.model import MODEL_NAME, ModelCard, TrainedModel, logits, to_input, write_json

CHECKPOINT_NAME: Final = "last.pt"
METRICS_NAME: Final = "metrics.json"
HISTORY_NAME: Final = "history.json"


class Report(LoopReport, Protocol):
    """Whoever wants to know how it goes."""

    def loading(self, what: str, count: int) -> Callable[[], None]:
        """`count` images are about to be read; the answer is called once for each."""

    def say(self, text: str) -> None:
        """A line for people."""


def fit(
    data: Path,
    out: Path,
    config: FitConfig,
    report: Report,
    *,
    weights: Path | None = None,
    pixels: published.Pixels = published.Pixels.IMAGENET,
    threads: int | None = None,
    max_seconds: float = math.inf,
) -> dict[str, Any]:
    """Trains, calibrates and evaluates; returns what it also writes to OUT/metrics.json.

    OUT gets last.pt (to resume from), model.safetensors (the best epoch, calibrated), metrics.json
    and history.json. A second call with the same arguments resumes. Raises TrainingError.
    """
    if threads is not None:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    dataset = Dataset.open(data, agreement=config.agreement).split(config.seed)
    report.say(_describe(dataset))
    config = config.model_copy(
        update={
            "data_digest": dataset.digest,
            "weights_sha256": _sha256(weights) if weights else None,
        }
    )
    train = _load(dataset, "train", config.size, report)
    validation = _load(dataset, "val", config.size, report)
    out.mkdir(parents=True, exist_ok=True)
    network = _build(config, train, weights, pixels)
    loop = Loop(network, train, validation, config, out / CHECKPOINT_NAME)
    if loop.progress.losses:
        report.say(f"goes on at epoch {loop.progress.epoch + 1}, step {loop.progress.step + 1}")
    ended = loop.run(report, max_seconds=max_seconds)
    if loop.progress.best_weights:
        network.load_state_dict(loop.progress.best_weights)
    network.cpu()

    # From here on the network is fixed. Calibration sees the validation split, figures the test.
    val_logits = logits(network, validation.images)
    t = temperature(val_logits, torch.from_numpy(validation.labels))
    threshold = confidence_threshold((val_logits / t).softmax(1).numpy(), validation.labels)
    card = ModelCard(
        classifier=config.classifier,
        size=config.size,
        temperature=t,
        confidence_threshold=threshold,
        training={},
    )
    model = TrainedModel(network, card)
    metrics = {
        "command": command_line(),
        "date": provenance.now(),
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "config": config.model_dump(exclude={"data_digest"}),
        "data": describe_data(dataset, (train, validation)),
        "ended_by": ended,
        "epochs": loop.progress.epoch,
        "steps": len(loop.progress.losses),
        "best_epoch": loop.progress.best_epoch + 1,
        "temperature": t,
        "confidence_threshold": threshold,
        "validation": _figures(model, validation),
        **evaluate_on(model, dataset, "test", report, key="test"),
    }
    TrainedModel(network, card.model_copy(update={"training": metrics})).save(out / MODEL_NAME)
    write_json(out / METRICS_NAME, metrics)
    write_json(
        out / HISTORY_NAME,
        {"epochs": loop.progress.history, "step_losses": loop.progress.losses},
    )
    return metrics


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
    images = _load(dataset, split, model.card.size, report, what=key)
    results = {
        key: {
            "labels": dataset.labels.source,
            "skipped": _skips([images]),
            **_figures(model, images),
        }
    }
    if dataset.labels.source == "votes" and any(row.grade for row in dataset.manifest.rows):
        truth = Dataset.open(dataset.manifest.path, source="truth")
        images = _load(truth, split, model.card.size, report, what=f"{key}, truth")
        results[f"{key}_truth"] = {
            "labels": truth.labels.source,
            **_figures(model, images),
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
        "command": command_line(),
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


def train_summary(metrics: dict[str, Any]) -> str:
    """One line on a finished run."""
    test = metrics["test"]
    return (
        f"test accuracy {test['accuracy']:.4f}, macro F1 {test['macro_f1']:.4f} on {test['n']} "
        f"images (labels from {test['labels']}); ended by {metrics['ended_by']} "
        f"after {metrics['epochs']} epochs"
    )


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


def best_precision() -> Literal["fp32", "bf16"]:
    """The faster one here: bf16 where the CPU (or GPU) multiplies it in hardware."""
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    flags = torch.cpu.get_capabilities()
    return "bf16" if flags.get("amx_bf16") or flags.get("avx512_bf16") else "fp32"


def command_line() -> str:
    """The command as it was typed, without the folder the program lies in."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _build(
    config: FitConfig, train: ImageSet, weights: Path | None, pixels: published.Pixels
) -> nn.Module:
    """The network before the first step: a function of the seed and of the weights, if any."""
    kind = classifier(config.classifier)
    reseed(config.seed, 0, 0)
    network = kind.build(len(GRADES))
    if weights is not None:
        published.load(network, kind, weights, pixels)
        if published.has_folded_batch_norm(network):
            sample = torch.from_numpy(train.images[:: max(1, len(train) // 128)])
            published.recalibrate_batch_norm(network, to_input(sample, torch.device("cpu")))
    return network


def _load(
    dataset: Dataset, split: Split | None, size: int, report: Report, *, what: str | None = None
) -> ImageSet:
    on_image = report.loading(what or split or "images", dataset.count(split))
    loaded = dataset.load(split, size, on_image=on_image)
    if loaded.skips:
        first = loaded.skips[0]
        report.say(f"skipped {len(loaded.skips)} images; the first: {first.path}: {first.reason}")
    return loaded


def _figures(model: TrainedModel, images: ImageSet) -> dict[str, Any]:
    return figures.evaluate(
        model.probabilities(images.images),
        images.labels,
        threshold=model.card.confidence_threshold,
    )


def _skips(loaded: tuple[ImageSet, ...] | list[ImageSet]) -> int:
    return sum(len(images.skips) for images in loaded)


def _describe(dataset: Dataset) -> str:
    labels = dataset.labels
    counts = ", ".join(f"{grade} {count}" for grade, count in dataset.counts().items())
    return (
        f"{len(dataset.manifest.rows)} images, labels from {labels.source}: {counts}; set aside: "
        f"{labels.disputed} disputed, {labels.unlabelled} unlabelled"
    )


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"weights {path}: {error.strerror or error}; check the path") from error
