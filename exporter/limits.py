"""How far a bundle may be off the trained network. What is checked and what is made share them."""

from __future__ import annotations

from typing import Final

from edge_agent.inference.manifest import Precision

MAX_DIFFERENCE: Final = 1e-4
"""Between torch and ONNX Runtime with the same weights, in probability."""
MAX_LEVEL_DIFFERENCE: Final = 0.01
"""The same share of the level's range, in points."""

GOLDEN_TOLERANCE: Final[dict[Precision, float]] = {
    "fp32": 0.002,
    "fp16-weights": 0.002,
    "int8": 0.05,
}
"""CPUs sum in different orders. In 32 bits that stays under 1e-4. In 8 bits a value at the edge of
two steps falls to the other side: ONNX Runtime with and without its optimisations was up to 0.042
apart on 585 images (no decision differed). A wrong model is far off."""
GOLDEN_LEVEL_TOLERANCE: Final[dict[Precision, float]] = {
    "fp32": 0.2,
    "fp16-weights": 0.2,
    "int8": 5.0,
}
"""In points: the same share of the range as is allowed of probabilities."""

MIN_AGREEMENT: Final = 0.98
MAX_F1_LOSS: Final = 0.005
"""What a smaller form may cost. A form may keep the accuracy and grade other loads wrong."""
MAX_ERROR_LOSS: Final = 0.25
"""What a smaller form may add to the level's mean absolute error, in points."""
MAX_BOUNDS_MOVED: Final = 1.0
"""And how far it may move the interval's bounds on average, in points. The share of loads within
would be no measure: calibration has laid the bound on one of them, which any change pushes out."""

SMALL_TENSOR: Final = 64
"""Tensors with fewer values stay in 32 bits: halving them saves nothing."""
