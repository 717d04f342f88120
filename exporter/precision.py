"""In which form the weights go into the bundle: measured on validation images, then decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import onnx
from sklearn.metrics import f1_score  # type: ignore[import-untyped]

from edge_agent.inference.manifest import Int8Record, Parity, Precision, PrecisionGate
from exporter.errors import ExportError
from exporter.gate import Smaller, verdict
from exporter.graph import export
from exporter.level import measured
from exporter.parity import by_torch, compare, run
from exporter.quantization import quantize
from training.data.dataset import ImageSet
from training.model import Said, TrainedModel

Wanted = Literal["auto", "fp32", "fp16-weights", "int8"]
"""auto: int8 where it passes the gate, else fp32."""

FLOAT_CONVOLUTIONS: Final = (0, 3, 5, 7)
"""How many of the first convolutions int8 leaves in 32 bits; the first count that passes ships."""


@dataclass(frozen=True)
class Form:
    """A graph as it goes into the bundle, and what was measured of it.

    model: the ONNX file's bytes. gate: of the smaller form that was tried, if any.
    int8: how it was quantised, where it was.
    """

    precision: Precision
    model: bytes
    parity: Parity
    gate: PrecisionGate | None = None
    int8: Int8Record | None = None


def choose(
    model: TrainedModel,
    wanted: Wanted,
    validation: ImageSet,
    calibration: Callable[[], ImageSet],
    *,
    say: Callable[[str], None] = lambda _: None,
) -> Form:
    """The form that was asked for, or the best that passes.

    validation: images of the validation split. calibration: loads those of the training split,
    called only for int8. Raises ExportError when a form asked for by name does not pass.
    """
    trained = model.says(validation.images)
    fp32 = export(model, half_weights=False).model
    # Whatever ships: the export as such must not change the trained network.
    parity = compare(fp32, trained, validation)
    of_level = parity.max_level_difference
    say(
        f"parity with torch on {parity.images} validation images: max |dp| "
        f"{parity.max_difference:.1e}, all decisions equal"
        + ("" if of_level is None else f"; level within {of_level:.1e} points")
    )
    if wanted == "fp32":
        return Form("fp32", fp32, parity)
    if wanted == "fp16-weights":
        half = export(model, half_weights=True)
        parity = compare(half.model, by_torch(half.reference, validation.images), validation)
        gate = judge(wanted, trained, run(half.model, validation.images), validation)
        say(gate.reason)
        insist(gate)
        return Form(wanted, half.model, parity, gate)
    form = _int8(fp32, parity, trained, validation, calibration(), say)
    if form.precision != "int8" and wanted == "int8":
        assert form.gate is not None  # noqa: S101 - int8 was tried
        insist(form.gate)
    return form


def judge(tried: Smaller, trained: Said, served: Said, images: ImageSet) -> PrecisionGate:
    """Holds what a smaller form says of these images against what the trained network says."""
    decisions = served.probabilities.argmax(1), trained.probabilities.argmax(1)
    agreement = float((decisions[0] == decisions[1]).mean())
    after, before = (_macro_f1(images.labels, guesses) for guesses in decisions)
    level = measured(trained, served, images)
    return verdict(tried, len(images), agreement, before, after, level)


def _int8(
    fp32: bytes,
    parity: Parity,
    trained: Said,
    validation: ImageSet,
    calibration: ImageSet,
    say: Callable[[str], None],
) -> Form:
    """int8 with as few operators in 32 bits as pass, else fp32 with the gate of the best try."""
    refused: list[PrecisionGate] = []
    total = sum(n.op_type == "Conv" for n in onnx.load_model_from_string(fp32).graph.node)
    for count in (count for count in FLOAT_CONVOLUTIONS if count < total):
        model, record = quantize(fp32, calibration, float_convolutions=count)
        gate = judge("int8", trained, run(model, validation.images), validation)
        say(f"{gate.reason} (first {count} convolutions in 32 bits)")
        if gate.passed:
            return Form("int8", model, parity, gate, record)
        refused.append(gate)
    return Form("fp32", fp32, parity, max(refused, key=lambda g: (g.agreement, g.macro_f1)))


def _macro_f1(labels: npt.NDArray[np.int64], guesses: npt.NDArray[np.int64]) -> float:
    """Over the grades that occur in the labels, as in metrics.json."""
    occurring = np.unique(labels)
    return float(f1_score(labels, guesses, labels=occurring, average="macro", zero_division=0.0))


def insist(gate: PrecisionGate) -> None:
    """Raises ExportError for a form that does not pass."""
    if not gate.passed:
        raise ExportError(f"{gate.reason}; export with --precision auto or fp32")
