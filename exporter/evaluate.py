"""The figures of a bundle on labelled images, as a station would grade them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edge_agent.errors import BundleError
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
    is_training_data,
    load_split,
    predictions_on,
    split_of,
    with_truth,
)
from training.model import write_json
from training.predictions import PREDICTIONS_NAME

_BATCH: Final = 32


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
    dataset. Raises ExportError for a dataset that shows another part of the camera's frame than a
    station would show the model, and where the model fails on it, BundleError for a model that a
    station would not believe, DataError for images or columns that are not there.
    """
    manifest = bundle.manifest
    dataset, warnings = _as_a_station_shows_it(bundle, dataset, report)
    require_columns(dataset, by)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
    grader = Grader(bundle)
    # A bundle does not tell the agreement by which its data were labelled: the usual one.
    own = is_training_data(dataset, manifest.training.data_digest, agreement=0.6)
    chosen, of_split = choose(asked, report, own=own)
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
        "learned_from": None,
        "warnings": [*warnings, *of_split],
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
        predictions.write(out.parent / PREDICTIONS_NAME)
        write_json(out, results)
    return results


def _as_a_station_shows_it(
    bundle: Bundle, dataset: Dataset, report: Report
) -> tuple[Dataset, list[str]]:
    """The dataset, whole frames of which nobody said what to cut cut to the bundle's area; and what
    to warn of. Raises ExportError for another area."""
    ours = bundle.manifest.input.graded_area
    described, folder = dataset.description, dataset.manifest.folder
    if described.graded_area is None and described.shows == "frame":
        area = (ours.left, ours.top, ours.right, ours.bottom)
        cut = described.model_copy(update={"graded_area": area})
        return replace(dataset, described=cut), []
    if described.graded_area is None:
        warning = (
            f"{folder}: does not say which part of the frame its images show; they are taken to "
            "show what a station shows this model"
        )
        report.say(f"warning: {warning}")
        return dataset, [warning]
    left, top, right, bottom = described.graded_area
    if GradedArea(left=left, top=top, right=right, bottom=bottom) != ours:
        raise ExportError(
            f"{folder}: its images show the part {described.graded_area} of the frame, a station "
            f"shows this model {(ours.left, ours.top, ours.right, ours.bottom)}; give images of "
            "that part"
        )
    return dataset, []


def _answers(
    grader: Grader, images: npt.NDArray[np.uint8], report: Report
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
    tick = report.loading("images (grading)", len(images))
    parts = []
    for start in range(0, len(images), _BATCH):
        try:
            parts.append(grader.trusted_answers(images[start : start + _BATCH]))
        except BundleError:
            raise
        except Exception as error:  # ONNX Runtime's have no common ancestor
            raise ExportError(
                f"{grader.bundle.path}: fails on these images ({' '.join(str(error).split())[:200]}"
                "); do not use it"
            ) from error
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
    near = level.closeness(levels[known].astype(np.float64), true[known])
    return {f"{key}_level": {"n": int(known.sum()), **near}}
