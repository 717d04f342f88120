"""Does ONNX Runtime compute what torch computes with the same weights?"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from edge_agent.inference.manifest import Parity
from exporter.errors import ExportError
from exporter.graph import INPUT_NAME, OUTPUT_NAME, Graph
from training.data.dataset import ImageSet

MAX_DIFFERENCE: Final = 1e-4
"""Between torch and ONNX Runtime with the same weights, in probability."""


def compare(graph: Graph, images: ImageSet) -> Parity:
    """Runs both on real images. Raises ExportError when the graph may not stand for the network."""
    reference = _reference(graph, images.images)
    served = run(graph.model, images.images)
    difference = float(np.abs(served - reference).max())
    if not difference <= MAX_DIFFERENCE:
        raise ExportError(
            f"ONNX Runtime is {difference:.1e} off torch, allowed is {MAX_DIFFERENCE:.0e}; "
            "the versions of torch and onnxruntime do not fit"
        )
    others = int((served.argmax(1) != reference.argmax(1)).sum())
    if others:
        raise ExportError(
            f"ONNX Runtime decides otherwise than torch on {others} of {len(images)} images, with "
            "the same weights; the versions of torch and onnxruntime do not fit"
        )
    return Parity(images=len(images), max_difference=difference)


def run(model: bytes, images: npt.NDArray[np.uint8], *, batch: int = 64) -> npt.NDArray[np.float32]:
    """Probabilities (n, 5) by ONNX Runtime of uint8 RGB images (n, size, size, 3)."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    parts = [
        session.run([OUTPUT_NAME], {INPUT_NAME: images[start : start + batch]})[0]
        for start in range(0, len(images), batch)
    ]
    return np.concatenate(parts).astype(np.float32)


@torch.inference_mode()
def _reference(graph: Graph, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    starts = range(0, len(images), 64)
    parts = [graph.reference(torch.from_numpy(images[start : start + 64])) for start in starts]
    return torch.cat(parts).numpy()
