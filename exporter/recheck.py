"""Doing again what a bundle says was done with its training data: parity, gate, golden images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.inference.bundle import Bundle
from edge_agent.inference.level import LevelSpec
from exporter.errors import ExportError
from exporter.graph import export, reference
from exporter.level import decided, spec
from exporter.parity import by_torch, compare, run
from exporter.precision import insist, judge
from training.data.dataset import Dataset, ImageSet
from training.model import TrainedModel
from training.source import Source


def recheck(bundle: Bundle, checkpoint: Path, data: Path) -> str:
    """Holds a bundle against the run and the data it says it comes from; one line on the outcome.

    fp32: its graph against the trained network. fp16-weights: its graph against torch with the
    weights rounded alike, and the gate. int8: the gate, and the parity of a new export, since the
    graph that was quantised is not in the bundle.
    Raises ExportError where it does not hold or for another run, RunError for other data.
    """
    source = Source.open(checkpoint, data)
    manifest = bundle.manifest
    model = decided(source, leave_out=manifest.level is None)
    _check_origin(bundle, model, source.dataset, checkpoint)
    validation = source.dataset.load("val", model.card.size)
    _check_golden(bundle, validation)
    trained = model.says(validation.images)
    graph, expected = bundle.model, trained
    if manifest.precision == "fp16-weights":
        expected = by_torch(reference(model, half_weights=True), validation.images)
    if manifest.precision == "int8":
        graph = export(model, half_weights=False).model
    try:
        parity = compare(graph, expected, validation)
        said = f"parity on {parity.images} validation images within {parity.max_difference:.1e}"
        if parity.max_level_difference is not None:
            said += f", of the level within {parity.max_level_difference:.1e} points"
        if validation.told_of_skips:
            said += f" ({validation.told_of_skips})"
        if manifest.precision != "fp32":
            served = run(bundle.model, validation.images)
            gate = judge(manifest.precision, trained, served, validation)
            insist(gate)
            said += f"; {gate.reason}"
    except ExportError as error:
        raise ExportError(f"{bundle.path}: {error}") from error
    return said


def _check_origin(bundle: Bundle, model: TrainedModel, dataset: Dataset, checkpoint: Path) -> None:
    manifest, card = bundle.manifest, model.card
    # Where dataset.json names no area, the bundle's was given by hand.
    area = manifest.input.graded_area
    shown = (area.left, area.top, area.right, area.bottom)
    for what, ours, theirs in (
        ("training.data_digest", manifest.training.data_digest, dataset.digest),
        ("training.classes", manifest.training.classes, dataset.description.renamed),
        ("input.graded_area", shown, dataset.graded_area or shown),
        ("temperature", manifest.temperature, card.temperature),
        ("confidence_threshold", manifest.confidence_threshold, card.confidence_threshold),
        ("input.width", manifest.input.width, card.size),
        ("input.height", manifest.input.height, card.size),
        ("level", _of_the_run(manifest.level), _of_the_run(spec(model, manifest.precision))),
    ):
        if ours != theirs:
            raise ExportError(
                f"{bundle.path}: {what} is {ours}, of {checkpoint} {theirs}; give the run and the "
                "data it was exported from, or export it again"
            )


def _of_the_run(level: LevelSpec | None) -> dict[str, Any] | None:
    """What of a manifest's level comes from training."""
    return None if level is None else level.model_dump(include={"margin", "validation", "test"})


def _check_golden(bundle: Bundle, validation: ImageSet) -> None:
    """Each golden image is a validation image, with that image's label."""
    for golden, pixels in zip(bundle.manifest.golden, bundle.golden, strict=True):
        # One by one: comparing all at once takes as much memory as they do.
        pairs = zip(validation.images, validation.labels.tolist(), strict=True)
        labels = {label for image, label in pairs if np.array_equal(image, pixels)}
        if bundle.manifest.labels.index(golden.grade) not in labels:
            raise ExportError(
                f"{bundle.path}: {golden.path} is no validation image of grade {golden.grade}; "
                "export it again"
            )
    shown = {golden.grade for golden in bundle.manifest.golden}
    absent = [
        bundle.manifest.labels[int(label)]
        for label in np.unique(validation.labels)
        if bundle.manifest.labels[int(label)] not in shown
    ]
    if absent:
        raise ExportError(
            f"{bundle.path}: no golden image shows {', '.join(absent)}; export it again"
        )
