"""The mixture of loads that a model's decisions are adjusted for, in a bundle's manifest.

It lies among `training.metrics`, which agents of every version take: the share of each grade, and
under SPLIT_at_mixture_X the figures as if grades had come so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.grades import GRADES
from edge_agent.inference.manifest import Manifest


def figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """What goes into the manifest of a run's metrics.json; nothing where it is not adjusted."""
    if "adjusted_for" not in metrics:
        return {}
    mixture = metrics["adjusted_for"]["mixture"]
    found = {f"mixture_{grade}": float(mixture[grade]) for grade in GRADES}
    for split in ("validation", "test"):
        of = metrics.get(f"{split}_at_mixture", {})
        for name in ("accuracy", "macro_f1", "asks_a_person"):
            if of.get(name) is not None:
                found[f"{split}_at_mixture_{name}"] = float(of[name])
    return found


def of(manifest: Manifest) -> npt.NDArray[np.float64] | None:
    """The share of each grade, (5,), 0 where none is told; None where none is of any grade."""
    metrics = manifest.training.metrics
    shares = {grade: metrics.get(f"mixture_{grade}") for grade in GRADES}
    if all(share is None for share in shares.values()):
        return None
    return np.array([share or 0.0 for share in shares.values()])
