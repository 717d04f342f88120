"""By which rule should `cane-train adjust` have a model decide for a mill's mixture of loads?

Takes finished runs of one dataset, alike but for their arms or seeds, and prints one JSON object:
for that of the training images and each of MIXTURES, and the mean of all, accuracy and macro F1 on
another dataset, whose images count as often as their grade comes in the mixture, under four rules:

- as_it_is: as the models say it.
- tau: each probability divided by (share of the grade among the training images)^tau.
- toward: each multiplied by (share of the grade in the mixture)^toward.
- both: what `cane-train adjust` does.

The numbers are chosen by the macro F1 of the validation split, counted by the mixture. A run counts
as a further set of images of the same trucks. against_as_it_is: the differences.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from decision_rules import (
    Answers,
    Seed,
    about,
    apart,
    asked,
    loaded,
    measured,
    opened,
    size_of,
    together,
)
from refusals import in_one_line

from edge_agent.grades import GRADES
from training import rates
from training.adjustment import TAUS, MixtureAdjustment, best, moved, shares_of
from training.model import TrainedModel

Floats = npt.NDArray[np.float64]

MIXTURES: Final = {
    "even": (0.2, 0.2, 0.2, 0.2, 0.2),
    "usual": (0.45, 0.35, 0.09, 0.06, 0.05),
    "little_burnt": (0.6, 0.3, 0.02, 0.02, 0.06),
    "much_burnt": (0.15, 0.2, 0.3, 0.3, 0.05),
    "trashy": (0.08, 0.8, 0.02, 0.05, 0.05),
    "clean": (0.9, 0.05, 0.02, 0.01, 0.02),
}
"""What mills may have; shares in the order of GRADES."""

Rule = Callable[[Answers, Floats, Floats], MixtureAdjustment]


def by_tau(said: Answers, shares: Floats, mixture: Floats) -> MixtureAdjustment:
    """The best tau on what was said of the validation split."""
    return _best(said, shares, mixture, [(tau, 0.0) for tau in TAUS])


def by_mixture(said: Answers, shares: Floats, mixture: Floats) -> MixtureAdjustment:
    """The best `toward`, of as many values."""
    return _best(said, shares, mixture, [(0.0, toward) for toward in TAUS])


def by_both(said: Answers, shares: Floats, mixture: Floats) -> MixtureAdjustment:
    """As `cane-train adjust` chooses."""
    return MixtureAdjustment.chosen_for(said.scores, said.labels, shares, mixture)


def as_it_is(_: Answers, shares: Floats, mixture: Floats) -> MixtureAdjustment:
    """Nothing is moved."""
    return _made(shares, mixture, 0.0, 0.0)


RULES: Final[Mapping[str, Rule]] = {
    "as_it_is": as_it_is,
    "tau": by_tau,
    "toward": by_mixture,
    "both": by_both,
}


def _made(shares: Floats, mixture: Floats, tau: float, toward: float) -> MixtureAdjustment:
    return MixtureAdjustment(
        tau=tau, toward=toward, shares=tuple(shares.tolist()), mixture=tuple(mixture.tolist())
    )


def _best(
    said: Answers, shares: Floats, mixture: Floats, numbers: Sequence[tuple[float, float]]
) -> MixtureAdjustment:
    tried = [_made(shares, mixture, *pair) for pair in numbers]
    return best(tried, said.scores, said.labels, mixture)


def under_rules(
    seeds: Sequence[Seed], trucks: Sequence[str], shares: Floats, mixture: Floats
) -> dict[str, Any]:
    """Figures under each of RULES. trucks: of the test images. shares: of the training images."""
    found: dict[str, Any] = {}
    first: tuple[rates.Rates, ...] | None = None
    for name, rule in RULES.items():
        hows = [rule(seed.validation, shares, mixture) for seed in seeds]
        said = [
            Answers(moved(seed.test.scores, how.offsets), seed.test.labels)
            for seed, how in zip(seeds, hows, strict=True)
        ]
        resampled, now = together(said, trucks, mixture)
        found[name] = {
            "tau": [how.tau for how in hows],
            "toward": [how.toward for how in hows],
            **measured(resampled, now),
        }
        first = first or now
        found[name]["against_as_it_is"] = apart(resampled, now, first)
    return found


def means(by_mixture: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Of accuracy and macro F1 over the mixtures, under each rule."""
    return {
        rule: {
            name: round(float(np.mean([found[rule][name] for found in by_mixture.values()])), 4)
            for name in ("accuracy", "macro_f1")
        }
        for rule in RULES
    }


def main() -> None:
    """Prints the JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="what the runs learned from")
    parser.add_argument("--test", type=Path, required=True, help="another dataset, all of it")
    parser.add_argument("run", nargs="+", type=Path, help="folder of a finished run")
    options = parser.parse_args()
    with in_one_line():
        data, other = opened(options.data, options.test)
        models = {run: TrainedModel.load(run) for run in options.run}
        train, validation, test = loaded(data, other, size_of(models, data, other))
    seeds = [asked(model, validation, test) for model in models.values()]
    shares, trucks = shares_of(train.labels), [row.truck for row in test.rows]
    mixtures = {"training": tuple(shares.tolist()), **MIXTURES}
    found = {
        name: under_rules(seeds, trucks, shares, np.array(mixture))
        for name, mixture in mixtures.items()
    }
    content = {
        **about("mixtures", data, other, test),
        "runs": [run.name for run in options.run],
        "validation_images": len(validation),
        "mean": means(found),
        "mixtures": {
            name: {"shares": dict(zip(GRADES, mixture, strict=True)), **found[name]}
            for name, mixture in mixtures.items()
        },
    }
    print(json.dumps(content, indent=2))


if __name__ == "__main__":
    main()
