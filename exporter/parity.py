"""Does the exported graph decide what the trained network decides?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from sklearn.metrics import f1_score  # type: ignore[import-untyped]

from exporter.errors import ExportError
from exporter.graph import INPUT_NAME, OUTPUT_NAME, Graph
from training.data.dataset import ImageSet
from training.model import TrainedModel

MAX_GRAPH_DIFFERENCE: Final = 1e-4
"""Between torch and ONNX Runtime with the same weights, in probability."""
MIN_AGREEMENT: Final = 0.98
MAX_F1_LOSS: Final = 0.005
"""What a smaller form of the weights may cost: share of equal decisions, and macro F1."""


@dataclass(frozen=True)
class Parity:
    """How close the graph is to the trained network, on n real images.

    graph_difference: max |dp| between torch and ONNX Runtime, both with the stored weights.
    weights_difference: max |dp| that storing the weights in 16 bits makes.
    agreement: share of decisions equal to those of the trained network.
    f1_change: macro F1 of the graph less that of the trained network.
    """

    images: int
    graph_difference: float
    weights_difference: float
    agreement: float
    f1_change: float

    def __str__(self) -> str:
        return (
            f"on {self.images} images: max |dp| to torch {self.graph_difference:.1e}, through "
            f"16-bit weights {self.weights_difference:.1e}; {self.agreement:.2%} of decisions "
            f"the same, macro F1 {self.f1_change:+.4f}"
        )


def compare(model: TrainedModel, graph: Graph, images: ImageSet) -> Parity:
    """Runs all three. Raises ExportError when the graph may not stand for the network."""
    trained = model.probabilities(images.images)
    reference = _reference(graph, images.images)
    served = run(graph.model, images.images)
    decisions = served.argmax(1)
    parity = Parity(
        images=len(images),
        graph_difference=float(np.abs(served - reference).max()),
        weights_difference=float(np.abs(reference - trained).max()),
        agreement=float((decisions == trained.argmax(1)).mean()),
        f1_change=_f1(images.labels, decisions) - _f1(images.labels, trained.argmax(1)),
    )
    if not parity.graph_difference <= MAX_GRAPH_DIFFERENCE:
        raise ExportError(
            f"ONNX Runtime is {parity.graph_difference:.1e} off torch, allowed is "
            f"{MAX_GRAPH_DIFFERENCE:.0e}; the versions of torch and onnxruntime do not fit"
        )
    if (decisions != reference.argmax(1)).any():
        raise ExportError("ONNX Runtime decides otherwise than torch with the same weights")
    if parity.agreement < MIN_AGREEMENT or parity.f1_change < -MAX_F1_LOSS:
        raise ExportError(
            f"the stored weights decide too differently ({parity}); export with --precision fp32"
        )
    return parity


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


def _f1(labels: npt.NDArray[np.int64], guesses: npt.NDArray[np.int64]) -> float:
    return float(f1_score(labels, guesses, average="macro", zero_division=0.0))
