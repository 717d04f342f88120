"""Checking a bundle: what a station will do with it, and whether it keeps what it says."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx

from edge_agent.inference.bundle import Bundle
from edge_agent.inference.grader import Grader
from exporter import metadata, model_card
from exporter.errors import ExportError

BATCHES: Final = (1, 2, 7)
_BATCH_TOLERANCE: Final = 1e-4
_FORMS: Final = ("stored_values", "parity")


@dataclass(frozen=True)
class Checked:
    """What was found of a bundle that passed.

    golden_difference: max |dp| of its golden images on this machine.
    """

    bundle: Bundle
    size_bytes: int
    golden_difference: float


def check(path: Path) -> Checked:
    """Repeats every check of a bundle.

    As a station does it: members, manifest and labels, digest, operator domains, no tensor outside
    the file, input and output with a free batch size, golden images. Beyond that: ONNX's checker,
    metadata_props, what is stored, the model card, the precision gate, and that one image alone and
    the same in company come out the same. Raises BundleError or ExportError that says which failed.
    """
    bundle = Bundle.read(path)
    proto = onnx.load_model_from_string(bundle.model)
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        fault = " ".join(str(error).split())[:160]
        raise ExportError(f"{path}: ONNX's checker refuses model.onnx: {fault}") from error
    _check_manifest(bundle)
    _check_metadata(bundle, proto)
    grader = Grader(bundle)
    _check_batches(bundle, grader)
    for image in bundle.golden:
        grader.grade(image)
    expected = np.array([golden.probabilities for golden in bundle.manifest.golden])
    together = grader.probabilities(np.stack(bundle.golden))
    return Checked(bundle, path.stat().st_size, float(np.abs(together - expected).max()))


def _check_manifest(bundle: Bundle) -> None:
    """What the agent does not need and a new bundle must have all the same."""
    manifest = bundle.manifest
    missing = [name for name in _FORMS if not getattr(manifest, name)]
    if manifest.precision != "fp32" and manifest.precision_gate is None:
        missing.append("precision_gate")
    if any(golden.split is None for golden in manifest.golden):
        missing.append("golden.split")
    if missing:
        raise ExportError(
            f"{bundle.path}: manifest.json does not say {', '.join(missing)}; export it again"
        )
    gate = manifest.precision_gate
    if gate is not None:
        passes = (
            gate.agreement >= gate.min_agreement
            and gate.macro_f1_trained - gate.macro_f1 <= gate.max_macro_f1_loss + 1e-9
        )
        if passes != gate.passed or (gate.tried == manifest.precision and not passes):
            raise ExportError(
                f"{bundle.path}: precision_gate contradicts its own figures; export it again"
            )
    with zipfile.ZipFile(bundle.path) as archive:
        if model_card.NAME not in archive.namelist():
            raise ExportError(f"{bundle.path}: {model_card.NAME} is missing; export it again")
        if archive.read(model_card.NAME).decode("utf-8", "replace") != model_card.render(manifest):
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
    together = grader.probabilities(images)
    for batch in BATCHES:
        parts = [
            grader.probabilities(images[start : start + batch])
            for start in range(0, len(images), batch)
        ]
        worst = float(np.abs(np.concatenate(parts) - together).max())
        if not worst <= _BATCH_TOLERANCE:
            raise ExportError(
                f"{bundle.path}: in batches of {batch} the result is {worst:.1e} off, allowed is "
                f"{_BATCH_TOLERANCE:.0e}; export it again"
            )
