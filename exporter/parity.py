"""Does ONNX Runtime compute what torch computes?"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from edge_agent.inference.manifest import Parity
from exporter.errors import ExportError
from exporter.graph import INPUT_NAME, OUTPUT_NAME, Serving
from training.data.dataset import ImageSet

MAX_DIFFERENCE: Final = 1e-4
"""Between torch and ONNX Runtime with the same weights, in probability."""

Probabilities = npt.NDArray[np.float32]


def compare(model: bytes, reference: Probabilities, images: ImageSet) -> Parity:
    """Runs a graph on real images and holds it against what torch says of them.

    reference (n, 5): the trained network's own probabilities, so that a fault of any step of the
    export shows; for a graph with rounded weights, those of the network rounded alike.
    Raises ExportError when the graph may not stand for the network.
    """
    served = run(model, images.images)
    difference = float(np.abs(served - reference).max())
    others = int((served.argmax(1) != reference.argmax(1)).sum())
    if not difference <= MAX_DIFFERENCE or others:
        raise ExportError(
            f"model.onnx is up to {difference:.1e} off torch in probability (allowed is "
            f"{MAX_DIFFERENCE:.0e}) and decides otherwise on {others} of {len(images)} validation "
            "images; the export is at fault, do not use it: install the pinned versions of torch, "
            "onnx and onnxruntime, and report it if it stays"
        )
    return Parity(images=len(images), max_difference=difference)


def run(model: bytes, images: npt.NDArray[np.uint8], *, batch: int = 64) -> Probabilities:
    """Probabilities (n, 5) by ONNX Runtime of uint8 RGB images (n, size, size, 3)."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    parts = [
        session.run([OUTPUT_NAME], {INPUT_NAME: images[start : start + batch]})[0]
        for start in range(0, len(images), batch)
    ]
    return np.concatenate(parts).astype(np.float32)


@torch.inference_mode()
def by_torch(module: Serving, images: npt.NDArray[np.uint8]) -> Probabilities:
    """The same by the torch module that was exported."""
    starts = range(0, len(images), 64)
    parts = [module(torch.from_numpy(images[start : start + 64])) for start in starts]
    return torch.cat(parts).numpy()
