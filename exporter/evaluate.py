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
from exporter import mixture
from exporter.errors import ExportError
from training import evaluation, level
from training.data.dataset import Dataset, ImageSet
from training.data.labels import AGREEMENT
from training.evaluation import Asked, Report
from training.subject import Subject

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
    """What `cane-train evaluate` says of a checkpoint, see there, of the bundle by ONNX Runtime.

    A bundle does not tell which images its model has learned from, but for the digest of their
    dataset. Raises ExportError for a dataset that shows another part of the camera's frame than a
    station would show the model, and where the model fails on it, BundleError for a model that a
    station would not believe, DataError for images or columns that are not there.
    """
    dataset, warnings = _as_a_station_shows_it(bundle, dataset, report)
    subject = _subject_of(bundle, report)
    return evaluation.evaluate(subject, dataset, asked, report, out=out, by=by, warnings=warnings)


def _subject_of(bundle: Bundle, report: Report) -> Subject:
    manifest, grader = bundle.manifest, Grader(bundle)

    def answers(images: ImageSet) -> tuple[npt.NDArray[np.float32], dict[str, Any] | None]:
        probabilities, levels = _answers(grader, images.images, report)
        return probabilities, _level_figures(levels, images)

    return Subject(
        {
            "classifier": f"{manifest.name} {manifest.version}",
            "size": manifest.input.width,
            "sha256": bundle.digest,
            "precision": manifest.precision,
            "seed": manifest.training.seed,
            "data_digest": manifest.training.data_digest,
        },
        manifest.input.width,
        manifest.confidence_threshold,
        manifest.training.data_digest,
        AGREEMENT,  # a bundle does not tell it: the usual one
        {name: str(grade) for name, grade in manifest.training.classes.items()},
        answers,
        ("onnxruntime",),
        mixture=mixture.of(manifest),
    )


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
    levels: npt.NDArray[np.float32] | None, images: ImageSet
) -> dict[str, Any] | None:
    """Of the loads whose share of trash is known. A bundle lacks what tells the guess by grade."""
    true = level.shares(images)
    known = np.isfinite(true)
    if levels is None or not known.any():
        return None
    near = level.closeness(levels[known].astype(np.float64), true[known])
    return {"n": int(known.sum()), **near}
