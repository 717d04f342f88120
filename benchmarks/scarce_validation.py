"""What would a validation split have chosen that is as scarce as the training split?

`cane-train data thin` thins training images alone, so that recall can be measured. Then more images
of scarce grades choose the shares of synthetic images, and the tau of adjusted decisions, than a
mill with so few would have. This draws validation splits with the training images' mixture from
the whole one, with replacement, has each choose anew, and prints one JSON object:

- half: in how many draws, in %, a grade takes half of its images from the set, and whether it does
  by the whole split: by the study's rule (`grades_alike`, see `training.experiments.shares`), and
  were all images to count alike (`images_alike`).
- tau: what each run is adjusted by, over the draws, and by the whole split, which counts images
  there by how common their grade is among the training images.
- gain: of the run with the set over that without, on the test images, counted so too: as they are,
  and each adjusted by the taus of one draw. The two runs are as they are: where a draw leaves a
  grade without synthetic images, no network was trained so.

Ranges are the middle 90 % of the draws. Images are drawn, and not trucks: where a truck has several
views, ranges are too narrow. Takes the two runs of `cane-train study` that are its trials, of the
seed that chooses, such as augmented-1 and matched-single-1, the latter with half in all grades that
have synthetic images. See decision_rules.py for what is adjusted.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from decision_rules import Answers, Seed, about, asked, loaded, opened, size_of
from refusals import in_one_line

from edge_agent.grades import GRADES
from training import rates
from training.adjustment import Adjustment, shares_of
from training.augmentation import is_balanced
from training.errors import DataError
from training.experiments.config import HALF
from training.experiments.shares import choose, losses_of, weights_of
from training.model import TrainedModel

MIDDLE: Final = (5, 50, 95)
TRAINED_ALIKE: Final = ("classifier", "size", "seed", "steps", "batch", "augment")
_LEAST: Final = 1e-30  # in float32 a probability may be 0, which has no logarithm

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

RULES: Final[dict[str, Callable[[Labels], torch.Tensor]]] = {
    "grades_alike": weights_of,
    "images_alike": lambda labels: torch.ones(len(labels), dtype=torch.float64),
}


def kept_of(train: Labels, validation: Labels) -> Labels:
    """How many validation images of each grade, (5,), make up the training images' mixture: all of
    the grade that is commonest there for its validation images, and one of each at least."""
    learned, there = (np.bincount(labels, minlength=len(GRADES)) for labels in (train, validation))
    often = learned / there
    kept: Labels = np.maximum(1, np.round(there * often / often.max())).astype(np.int64)
    return kept


def drawn(labels: Labels, kept: Labels, draws: int, seed: int) -> Iterator[Labels]:
    """Indices of so many images of each grade, some of them several times, `draws` times."""
    rng = np.random.default_rng(seed)
    of = [np.flatnonzero(labels == grade) for grade in range(len(GRADES))]
    for _ in range(draws):
        picked = [rng.choice(rows, n) for rows, n in zip(of, kept, strict=True)]
        yield np.concatenate(picked)


def chosen(said: Sequence[Answers], weights_of: Callable[[Labels], torch.Tensor]) -> Bools:
    """Which grades take half, (5,). said: of a validation split, a model without and one with half.
    weights_of: see `training.experiments.shares.weights_of`."""
    labels = said[0].labels
    losses = {
        share: losses_of(
            torch.from_numpy(np.log(of.scores.clip(_LEAST))), labels, weights_of(labels)
        )
        for share, of in zip((0.0, HALF), said, strict=True)
    }
    return np.array(choose(losses, labels)) > 0


def gain(seeds: Sequence[Seed], taus: Sequence[float], shares: Floats) -> list[float]:
    """Of accuracy and of macro F1, in points: the second's over the first's, on the test images."""
    of = []
    for seed, tau in zip(seeds, taus, strict=True):
        answers = seed.test.under(shares, tau)
        found = rates.of(rates.at(shares, answers.cells().sum(0)))
        of.append((float(found.accuracy), float(found.macro_f1)))
    return [100 * (b - a) for a, b in zip(*of, strict=True)]


def measured(
    seeds: Sequence[Seed], made: Bools, train: Labels, draws: int, seed: int
) -> dict[str, Any]:
    """The figures. seeds: without and with the set. made: (5,), grades with synthetic images.
    train: labels."""
    shares = shares_of(train)
    labels = seeds[0].validation.labels
    kept = kept_of(train, labels)
    half: dict[str, list[Bools]] = {rule: [] for rule in RULES}
    taus, gains = [], []
    for rows in drawn(labels, kept, draws, seed):
        said = [Answers(of.validation.scores[rows], labels[rows]) for of in seeds]
        for rule, weights in RULES.items():
            half[rule].append(chosen(said, weights) & made)
        taus.append([Adjustment.chosen(a.scores, a.labels, shares).tau for a in said])
        gains.append(gain(seeds, taus[-1], shares))
    whole = [of.tau(shares, shares) for of in seeds]
    return {
        "validation_images": {
            "whole": _by_grade(np.bincount(labels, minlength=len(GRADES))),
            "drawn": _by_grade(kept),
        },
        "half": {
            rule: {
                "whole": _by_grade(chosen([of.validation for of in seeds], weights) & made),
                "draws_pct": _by_grade((100 * np.mean(half[rule], axis=0)).round(1)),
            }
            for rule, weights in RULES.items()
        },
        "tau": {
            name: {"whole": whole[i], "draws": _middle(np.array(taus)[:, i])}
            for i, name in enumerate(("without", "with"))
        },
        "gain": {
            name: {
                "as_it_is": round(gain(seeds, (0.0, 0.0), shares)[i], 1),
                "whole": round(gain(seeds, whole, shares)[i], 1),
                "draws": _middle(np.array(gains)[:, i]),
                "draws_above_0_pct": round(float((np.array(gains)[:, i] > 0).mean() * 100), 1),
            }
            for i, name in enumerate(("accuracy", "macro_f1"))
        },
    }


def made_for(without: TrainedModel, enriched: TrainedModel) -> Bools:
    """The grades that the second model has half of its images of from a set, (5,). Raises DataError
    where the two are not trials of one study."""
    first, second = (model.card.training["config"] for model in (without, enriched))
    differ = [key for key in TRAINED_ALIKE if first[key] != second[key]]
    if differ:
        raise DataError(f"the two runs differ in {', '.join(differ)}; name two of one study")
    if not is_balanced(first["augment"]):
        raise DataError("--without draws no grades evenly, as trials do; name the run augmented")
    if first["synthetic_shares"] is not None or second["synthetic_shares"] is None:
        raise DataError("--without has a set, or --with has none; name a run of each kind")
    return np.array(second["synthetic_shares"]) > 0


def _by_grade(values: npt.NDArray[Any]) -> dict[str, Any]:
    return dict(zip(map(str, GRADES), values.tolist(), strict=True))


def _middle(values: Floats) -> list[float]:
    return [round(float(value), 2) for value in np.percentile(values, MIDDLE)]


def main() -> None:
    """Prints the JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="what the runs learned from")
    parser.add_argument("--test", type=Path, required=True, help="another dataset, all of it")
    parser.add_argument("--without", type=Path, required=True, help="the run without the set")
    parser.add_argument("--with", dest="enriched", type=Path, required=True, help="that with it")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.draws < 1:
        raise SystemExit("--draws: give 1 or more")
    runs = (options.without, options.enriched)
    with in_one_line():
        models = {run: TrainedModel.load(run) for run in runs}
        made = made_for(models[options.without], models[options.enriched])
        data, other = opened(options.data, options.test)
        train, validation, test = loaded(data, other, size_of(models, data, other))
    seeds = [asked(models[run], validation, test) for run in runs]
    content = {
        **about("scarce_validation", data, other, test),
        "draws": options.draws,
        "seed": options.seed,
        **measured(seeds, made, train.labels, options.draws, options.seed),
    }
    print(json.dumps(content, indent=2))


if __name__ == "__main__":
    main()
