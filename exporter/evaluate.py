"""The figures of a bundle on labelled images, as a station would grade them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.inference.bundle import Bundle
from edge_agent.inference.grader import Grader
from edge_agent.inference.manifest import GradedArea
from exporter.errors import ExportError
from training import level, provenance
from training.breakdown import require_columns
from training.data.dataset import Dataset, ImageSet
from training.evaluation import (
    Asked,
    Report,
    choose,
    describe_data,
    figures_against,
    load_split,
    predictions_on,
    split_of,
    with_truth,
)
from training.model import write_json
from training.predictions import PREDICTIONS_NAME

_BATCH = 32


def evaluate(
    bundle: Bundle,
    dataset: Dataset,
    asked: Asked | None,
    report: Report,
    *,
    out: Path | None = None,
    by: Sequence[str] = (),
) -> dict[str, Any]:
    """What `cane-train evaluate` says of a checkpoint, of the bundle itself, by ONNX Runtime.

    asked: which images; None for all, or for the test split of the data that the model was trained
    on. out: file for what is returned; predictions.csv goes beside it, as `cane-train compare`
    takes it. by: columns of the manifest whose values have figures of their own.

    A bundle does not tell which images its model has learned from, but for the digest of their
    dataset. Raises ExportError for a dataset that shows another part of the camera's frame.
    """
    manifest = bundle.manifest
    _require_area(bundle, dataset)
    require_columns(dataset, by)
    grader = Grader(bundle)
    own = dataset.digest == manifest.training.data_digest
    chosen, warnings = choose(asked, report, own=own)
    images = load_split(with_truth(dataset), split_of(chosen), manifest.input.width, report)
    probabilities, levels = _answers(grader, images.images, report)
    predictions = predictions_on(dataset, images, probabilities)
    results: dict[str, Any] = {
        "command": provenance.command_line(),
        "date": provenance.now(),
        "machine": provenance.machine(),
        "versions": provenance.versions("onnxruntime"),
        "model": {
            "classifier": f"{manifest.name} {manifest.version}",
            "sha256": bundle.digest,
            "size": manifest.input.width,
            "precision": manifest.precision,
            "seed": manifest.training.seed,
            "data_digest": manifest.training.data_digest,
        },
        "data": describe_data(dataset),
        "split": chosen,
        "warnings": warnings,
        "confidence_threshold": manifest.confidence_threshold,
        **figures_against(
            predictions,
            dataset,
            images.skips,
            key=chosen,
            threshold=manifest.confidence_threshold,
            by=by,
        ),
        **_level_figures(levels, images, chosen),
    }
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        predictions.write(out.parent / PREDICTIONS_NAME)
        write_json(out, results)
    return results


def _require_area(bundle: Bundle, dataset: Dataset) -> None:
    area, ours = dataset.graded_area, bundle.manifest.input.graded_area
    if area is None:
        return  # nobody said
    left, top, right, bottom = area
    if GradedArea(left=left, top=top, right=right, bottom=bottom) != ours:
        raise ExportError(
            f"{dataset.manifest.folder}: its images show the part {area} of the frame, a station "
            f"shows this model {(ours.left, ours.top, ours.right, ours.bottom)}; give images of "
            "that part"
        )


def _answers(
    grader: Grader, images: npt.NDArray[np.uint8], report: Report
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
    tick = report.loading("images (grading)", len(images))
    parts = []
    for start in range(0, len(images), _BATCH):
        parts.append(grader.answers(images[start : start + _BATCH]))
        for _ in parts[-1][0]:
            tick()
    probabilities, levels = zip(*parts, strict=True)
    found = [part for part in levels if part is not None]
    return np.concatenate(probabilities), np.concatenate(found) if found else None


def _level_figures(
    levels: npt.NDArray[np.float32] | None, images: ImageSet, key: str
) -> dict[str, Any]:
    """Of the loads whose share of trash is known. A bundle lacks what tells the guess by grade."""
    true = level.shares(images)
    known = np.isfinite(true)
    if levels is None or not known.any():
        return {}
    low, middle, high = levels[known].astype(np.float64).T
    true = true[known]
    return {
        f"{key}_level": {
            "n": int(known.sum()),
            "mean_absolute_error": float(np.abs(middle - true).mean()),
            "within_the_interval": float(((true >= low) & (true <= high)).mean()),
            "mean_width": float((high - low).mean()),
        }
    }
