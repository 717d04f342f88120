"""How hard are the simulator's images? Colour alone must fail, knowing the truth must not.

Renders a set for each difficulty and prints one JSON object:

- histogram_pct: 8 x 8 x 8 colour histogram and logistic regression, five folds by truck;
- oracle_pct: how often the rule on the true shares gives the experts' majority grade;
- expert_pct: how often one expert gives the true grade;
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
from scipy.optimize import minimize  # type: ignore[import-untyped]

from edge_agent.grades import GRADES
from simulator.dataset import VOTERS, digest, write_dataset

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.intp]


def histogram(path: Path) -> Floats:
    """Square roots of the shares of 512 colours: (512,)."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit(f"{path} is not an image")
    counts = cv2.calcHist([image], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3).ravel()
    return np.asarray(np.sqrt(counts / counts.sum()), np.float64)


def fit(x: Floats, y: Labels, classes: int, strength: float) -> Floats:
    """Weights (features, classes) of a multinomial logistic regression with an L2 penalty."""
    target = np.eye(classes)[y]

    def loss(flat: Floats) -> tuple[float, Floats]:
        w = flat.reshape(x.shape[1], classes)
        score = x @ w
        score -= score.max(1, keepdims=True)
        p = np.exp(score)
        p /= p.sum(1, keepdims=True)
        value = -np.log((p * target).sum(1) + 1e-12).mean() + strength * float((w**2).sum())
        return value, (x.T @ (p - target) / len(x) + 2 * strength * w).ravel()

    start = np.zeros(x.shape[1] * classes)
    return np.asarray(
        minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    ).reshape(-1, classes)


def cross_validated(x: Floats, y: Labels, trucks: list[str], seed: int) -> float:
    """Best mean accuracy over penalties, five folds; no truck is in two folds."""
    names = sorted(set(trucks))
    folds = dict(zip(names, np.random.default_rng(seed).permutation(len(names)) % 5, strict=True))
    fold = np.array([folds[t] for t in trucks])
    best = 0.0
    for strength in (3e-4, 1e-3, 3e-3):
        right = 0
        for k in range(5):
            train = fold != k
            mean, spread = x[train].mean(0), x[train].std(0) + 1e-3
            scaled = np.c_[(x - mean) / spread, np.ones(len(x))]
            w = fit(scaled[train], y[train], len(GRADES), strength)
            right += int(((scaled[~train] @ w).argmax(1) == y[~train]).sum())
        best = max(best, right / len(y))
    return best


def fleiss_kappa(votes: npt.NDArray[np.intp]) -> float:
    """Agreement beyond chance of votes (n, raters)."""
    raters = votes.shape[1]
    counts = np.stack([(votes == k).sum(1) for k in range(len(GRADES))], 1)
    agree = ((counts**2).sum(1) - raters) / (raters * (raters - 1))
    chance = float(((counts.sum(0) / counts.sum()) ** 2).sum())
    return (float(agree.mean()) - chance) / (1 - chance)


def measure(
    folder: Path, trucks: int, seed: int, difficulty: float, size: int
) -> dict[str, object]:
    """One set's figures."""
    manifest = write_dataset(trucks, folder, seed=seed, difficulty=difficulty, size=size)
    with manifest.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    index = {grade.value: k for k, grade in enumerate(GRADES)}
    truth = np.array([index[row["grade"]] for row in rows])
    votes = np.array([[index[row[f"vote_{k + 1}"]] for k in range(VOTERS)] for row in rows])
    majority = np.array([Counter(v.tolist()).most_common(1)[0][0] for v in votes])
    x = np.stack([histogram(folder / row["image"]) for row in rows])
    return {
        "difficulty": difficulty,
        "images": len(rows),
        "histogram_pct": round(
            100 * cross_validated(x, majority, [row["truck"] for row in rows], seed), 1
        ),
        "oracle_pct": round(100 * float((majority == truth).mean()), 1),
        "expert_pct": round(100 * float((votes == truth[:, None]).mean()), 1),
        "kappa": round(fleiss_kappa(votes), 3),
        "sha256": digest(manifest),
    }


def main() -> None:
    """Parse arguments, measure, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trucks", type=int, default=500)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--difficulties", type=float, nargs="+", default=[0.0, 0.3, 0.6, 1.0])
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
