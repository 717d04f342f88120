"""What would these synthetic images be worth? An answer in minutes, without training a network.

Logistic regressions on the frozen features of an EfficientNet-Lite0 (a linear probe, Alain and
Bengio 2016, arXiv:1610.01644), one fitted to the training split (`real`), others to that and to a
set of cane-train synthesize, drawn as a study draws them: each grade as often as any other, and of
a grade that has synthetic images half. Their penalties are chosen on the validation split.

Prints one JSON object: of each the figures of `decision_rules`, under its rules and mixtures, on
another dataset; against_first is against `real`. What gains here need not gain in a network, which
finds features of its own. Whoever chooses by it takes other images for the test.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch
from decision_rules import Answers, Seed, loaded, opened, print_figures
from refusals import in_one_line

from edge_agent.grades import GRADES
from training import baselines, sampling
from training.data.dataset import ImageSet
from training.data.labels import AGREEMENT
from training.data.overlap import require_disjoint
from training.experiments.config import HALF
from training.mixture import Synthetic, load, mix
from training.synthesis.features import require_features

REAL: Final = "real"

Featured = tuple[baselines.Features, ImageSet]


def answers(
    train: Featured, validation: Featured, test: Featured, weights: np.ndarray
) -> tuple[Seed, float]:
    """What a probe says that was fitted to these images, and its penalty. weights: (n,)."""
    model, c = baselines.fitted(train, validation, weights=weights)
    said = (
        Answers(baselines.probabilities(model, features).astype(np.float64), images.labels)
        for features, images in (validation, test)
    )
    return Seed(*said), c


def probes(
    train: ImageSet, validation: ImageSet, test: ImageSet, sets: Mapping[str, ImageSet]
) -> tuple[dict[str, Seed], dict[str, float]]:
    """Of the real images, and of them with each set: what it says, and its penalty."""
    real, validated, tested = (
        (baselines.frozen_features(images.images), images) for images in (train, validation, test)
    )
    # So that one penalty means the same in all, their weights have one sum.
    alone = sampling.balanced(torch.from_numpy(train.labels)).numpy()
    scale = len(train) / alone.sum()
    found = {REAL: answers(real, validated, tested, scale * alone)}
    for name, synthetic in sets.items():
        mixture = mix(train, synthetic, (HALF,) * len(GRADES))
        features = np.concatenate([real[0], baselines.frozen_features(synthetic.images)])
        found[name] = answers(
            (features, mixture.images), validated, tested, scale * mixture.weights
        )
    return {name: said for name, (said, _) in found.items()}, {n: c for n, (_, c) in found.items()}


def main() -> None:
    """Prints the JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="what the sets were made of")
    parser.add_argument("--test", type=Path, required=True, help="another dataset, all of it")
    parser.add_argument("--size", type=int, default=96, help="of images, px")
    parser.add_argument("--threads", type=int, help="of torch; all by default")
    parser.add_argument(
        "--set",
        nargs=2,
        action="append",
        required=True,
        metavar=("NAME", "FOLDER"),
        help="a name, and what cane-train synthesize printed",
    )
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    folders = {name: Path(folder) for name, folder in options.set}
    if len(folders) < len(options.set) or REAL in folders:
        raise SystemExit(f"--set: give each a name of its own, other than {REAL}")
    with in_one_line():
        require_features()
        data, other = opened(options.data, options.test)
        for folder in folders.values():
            Synthetic(folder, ()).require_of(data)
            require_disjoint(folder, options.test)
        train, validation, test = loaded(data, other, options.size)
        sets = {
            name: load(folder, options.size, agreement=AGREEMENT)
            for name, folder in folders.items()
        }
    said, penalties = probes(train, validation, test, sets)
    print_figures(
        "linear_probe",
        data,
        other,
        train,
        test,
        {name: [seed] for name, seed in said.items()},
        sets={
            name: {
                "sha256": Synthetic(folder, ()).sha256,
                "images": dict(zip(GRADES, _counts(sets[name]), strict=True)),
            }
            for name, folder in folders.items()
        },
        penalties_c=penalties,
    )


def _counts(images: ImageSet) -> list[int]:
    return [int(n) for n in np.bincount(images.labels, minlength=len(GRADES))]


if __name__ == "__main__":
    main()
