"""What the study that this project follows has published, to stand beside one's own figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SOURCE: Final = (
    "Chayatummagoon and Chongstitvatana, 'Enhanced Image Classification Quality using Diffusion "
    "Synthesis: a Case Study in Sugar Industry'"
)

ACCURACY: Final[Mapping[str, Mapping[str, float]]] = {
    "simple_dcnn": {"baseline": 0.648, "augmented": 0.669, "synthesized": 0.907},
    "resnet50v2": {"baseline": 0.727, "augmented": 0.825, "synthesized": 0.949},
    "mobilenetv2": {"baseline": 0.752, "augmented": 0.862, "synthesized": 0.980},
}
"""Accuracy by model and arm, on the study's own images: not on those measured here."""
