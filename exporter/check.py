"""Checking a bundle: what a station will do with it, and whether it keeps what it says."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx

from edge_agent.errors import BundleError
from edge_agent.inference.bundle import Bundle
from edge_agent.inference.grader import Grader
from exporter import claims, form, metadata, model_card
from exporter.errors import ExportError

BATCHES: Final = (1, 2, 7)
_BATCH_TOLERANCE: Final = 1e-4
"""In probability; of the level the same share of its range of 100 points."""


@dataclass(frozen=True)
class Checked:
    """What was found of a bundle that passed.

    golden_difference: max |dp| of its golden images on this machine. golden_level_difference: of
    their levels, in points; None of a bundle without.
    """

    bundle: Bundle
    size_bytes: int
    golden_difference: float
    golden_level_difference: float | None


def check(path: Path) -> Checked:
    """Repeats every check of a bundle.

    As a station does it: members, manifest and labels, digest, operator domains, no tensor outside
    the file, input and outputs with a free batch size, golden images. Beyond that: ONNX's checker,
    what the manifest claims against the limits of this exporter, metadata_props, what is stored and
    in which form, the temperature, the level's margin, the model card, and that one image alone and
    the same in company come out the same. Raises BundleError or ExportError that says which failed.
    """
    bundle = Bundle.read(path)
    proto = onnx.load_model_from_string(bundle.model)
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        fault = " ".join(str(error).split())[:160]
        raise ExportError(f"{path}: ONNX's checker refuses model.onnx: {fault}") from error
    for fault in claims.faults(bundle.manifest):
        raise ExportError(f"{path}: {fault}; export it again")
    _check_metadata(bundle, proto)
    for fault in form.faults(proto, bundle.manifest):
        raise ExportError(f"{path}: {fault}; export it again")
    _check_model_card(bundle)
    grader = Grader(bundle)
    try:
        _check_batches(bundle, grader)
        for image in bundle.golden:
            grader.grade(image)
        together, levels = grader.answers(np.stack(bundle.golden))
    except (BundleError, ExportError):
        raise
    except Exception as error:  # ONNX Runtime's have no common ancestor
        fault = " ".join(str(error).split())[:200]
        raise ExportError(
            f"{path}: fails on other numbers of images than all golden ones ({fault}); export it "
            "again"
        ) from error
    golden = bundle.manifest.golden
    return Checked(
        bundle,
        path.stat().st_size,
        _worst(together, np.array([image.probabilities for image in golden])),
        None if levels is None else _worst(levels, np.array([image.level for image in golden])),
    )


def _worst(found: npt.NDArray[np.float32], expected: npt.NDArray[Any]) -> float:
    return float(np.abs(found - expected).max())


def _check_model_card(bundle: Bundle) -> None:
    with zipfile.ZipFile(bundle.path) as archive:
        if model_card.NAME not in archive.namelist():
            raise ExportError(f"{bundle.path}: {model_card.NAME} is missing; export it again")
        found = archive.read(model_card.NAME).decode("utf-8", "replace")
    if found != model_card.render(bundle.manifest):
        raise ExportError(
            f"{bundle.path}: {model_card.NAME} is not the manifest's, or was written by another"
            " version of cane-export; export it again"
        )


def _check_metadata(bundle: Bundle, proto: onnx.ModelProto) -> None:
    found = {prop.key: prop.value for prop in proto.metadata_props}
    for key, value in metadata.expected(bundle.manifest).items():
        if found.get(key) != value:
            raise ExportError(
                f"{bundle.path}: metadata_props of model.onnx say {key} {found.get(key)!r}, "
                f"the manifest {value!r}; export it again"
            )
    stored = metadata.stored_values(proto)
    if stored != bundle.manifest.stored_values:
        raise ExportError(
            f"{bundle.path}: model.onnx stores {stored}, the manifest says "
            f"{bundle.manifest.stored_values}; export it again"
        )


def _check_batches(bundle: Bundle, grader: Grader) -> None:
    images = np.stack(bundle.golden)
    images = images[np.arange(2 * max(BATCHES)) % len(images)]
    # Both outputs on the scale of probabilities.
    together = _side_by_side(grader, images)
    for batch in BATCHES:
        parts = [
            _side_by_side(grader, images[start : start + batch])
            for start in range(0, len(images), batch)
        ]
        worst = _worst(np.concatenate(parts), together)
        if not worst <= _BATCH_TOLERANCE:
            raise ExportError(
                f"{bundle.path}: in batches of {batch} the result is {worst:.1e} off, allowed is "
                f"{_BATCH_TOLERANCE:.0e}; export it again"
            )


def _side_by_side(grader: Grader, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    probabilities, levels = grader.answers(images)
    return probabilities if levels is None else np.hstack([probabilities, levels / 100])
