"""Does ONNX Runtime compute what torch computes?"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from edge_agent.inference.manifest import Parity
from exporter.errors import ExportError
from exporter.graph import INPUT_NAME, LEVEL_NAME, OUTPUT_NAME, Serving, ServingLevel
from exporter.limits import MAX_DIFFERENCE, MAX_LEVEL_DIFFERENCE
from training.data.dataset import ImageSet
from training.model import Said


def compare(model: bytes, reference: Said, images: ImageSet) -> Parity:
    """Runs a graph on real images and holds it against what torch says of them.

    reference: what the trained network itself says, so that a fault of any step of the export
    shows; for a graph with rounded weights, what the network rounded alike says.
    Raises ExportError when the graph may not stand for the network.
    """
    served = run(model, images.images)
    difference = float(np.abs(served.probabilities - reference.probabilities).max())
    others = int((served.probabilities.argmax(1) != reference.probabilities.argmax(1)).sum())
    if not difference <= MAX_DIFFERENCE or others:
        raise ExportError(
            f"model.onnx is up to {difference:.1e} off torch in probability (allowed is "
            f"{MAX_DIFFERENCE:.0e}) and decides otherwise on {others} of {len(images)} validation "
            f"images; {_CURE}"
        )
    level = level_difference(served, reference)
    if level is not None and not level <= MAX_LEVEL_DIFFERENCE:
        raise ExportError(
            f"the level of model.onnx is up to {level:.1e} points off torch on {len(images)} "
            f"validation images, allowed is {MAX_LEVEL_DIFFERENCE}; {_CURE}"
        )
    return Parity(images=len(images), max_difference=difference, max_level_difference=level)


_CURE: Final = (
    "the export is at fault, do not use it: install the pinned versions of torch, onnx and "
    "onnxruntime, and report it if it stays"
)


def level_difference(one: Said, other: Said) -> float | None:
    """The largest difference of low, middle or high, in points; None where neither has a level.

    Raises ExportError where only one has: the second output is missing, or should not be there.
    """
    if one.levels is None and other.levels is None:
        return None
    if one.levels is None or other.levels is None:
        raise ExportError(f"only one of model.onnx and the trained network has a level; {_CURE}")
    return float(np.abs(one.levels - other.levels).max())


def run(model: bytes, images: npt.NDArray[np.uint8], *, batch: int = 64) -> Said:
    """What ONNX Runtime makes of uint8 RGB images (n, size, size, 3)."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    has_level = LEVEL_NAME in {output.name for output in session.get_outputs()}
    names = [OUTPUT_NAME, LEVEL_NAME] if has_level else [OUTPUT_NAME]
    parts = [
        session.run(names, {INPUT_NAME: images[start : start + batch]})
        for start in range(0, len(images), batch)
    ]
    probabilities, *levels = (np.concatenate(found) for found in zip(*parts, strict=True))
    return _said(probabilities, levels)


@torch.inference_mode()
def by_torch(module: Serving | ServingLevel, images: npt.NDArray[np.uint8]) -> Said:
    """The same by the torch module that was exported."""
    parts = []
    for start in range(0, len(images), 64):
        found = module(torch.from_numpy(images[start : start + 64]))
        parts.append((found,) if isinstance(found, torch.Tensor) else found)
    probabilities, *levels = (torch.cat(found).numpy() for found in zip(*parts, strict=True))
    return _said(probabilities, levels)


def _said(probabilities: npt.NDArray[np.float32], levels: list[npt.NDArray[np.float32]]) -> Said:
    return Said(probabilities.astype(np.float32), levels[0].astype(np.float64) if levels else None)
