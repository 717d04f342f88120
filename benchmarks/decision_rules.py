"""How much of what an arm gains is seen better, and how much is only said sooner?

A network that has seen few images of a grade says it seldom, and images of another source make it
say it oftener, whether it tells it better or not. Two things show which:

- rules: models are asked as they are (`as_it_is`), and with each probability divided by (share of
  the grade among the training images)^tau (`adjusted`; Menon et al. 2021, "Long-tail learning via
  logit adjustment", arXiv:2007.07314), with the tau under which the validation split has the best
  macro F1. tau below 0 says scarce grades seldomer.
- mixtures: images count alike (`tested`), and by how common their grade is among the training
  images (`training`). What a grade is taken for stays the same; accuracy and precision do not.

Takes finished runs of `cane-train study` or `cane-train fit`, several of an --arm being its seeds,
and prints one JSON object. burnt: precision and recall of "burnt" of all loads.
average_precision: of each grade, and of "burnt", by its probability under the rule, whatever the
threshold on that; the mean of the seeds. against_first: differences from the first --arm.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from refusals import in_one_line
from sklearn.metrics import average_precision_score  # type: ignore[import-untyped]

from edge_agent.grades import GRADES
from training import provenance, rates
from training.adjustment import Adjustment, adjusted, shares_of
from training.bootstrap import TruckBootstrap
from training.data.dataset import Dataset, ImageSet
from training.data.overlap import require_disjoint
from training.errors import DataError
from training.learned import known_to, learned
from training.model import TrainedModel
from training.rates import QUESTIONS, Rates
from training.subject import subject_of

_BURNT: Final = [question.name for question in QUESTIONS].index("burnt")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """What a model says of a dataset's images. scores: float (n, 5). labels: (n,)."""

    scores: npt.NDArray[np.floating]
    labels: npt.NDArray[np.int64]

    def under(self, shares: Floats, tau: float) -> Answers:
        """What it says under a rule."""
        return Answers(adjusted(self.scores, shares, tau), self.labels)

    def cells(self) -> Floats:
        """The confusion matrix of each image, (n, 5, 5)."""
        return rates.cells(self.labels, self.scores.argmax(1))


@dataclass(frozen=True)
class Seed:
    """One model's answers."""

    validation: Answers
    test: Answers

    def tau(self, shares: Floats, mixture: Floats | None) -> float:
        """Of the rule that the validation split chooses."""
        said = self.validation
        return Adjustment.chosen(said.scores, said.labels, shares, mixture).tau


def figures_of(
    arms: Mapping[str, Sequence[Seed]],
    trucks: Sequence[str],
    shares: Floats,
    mixture: Floats | None,
) -> dict[str, Any]:
    """Of every arm, under both rules. trucks: of the test images. shares: of training images."""
    found: dict[str, Any] = {arm: {} for arm in arms}
    for rule in ("as_it_is", "adjusted"):
        first: tuple[Rates, ...] | None = None
        for arm, seeds in arms.items():
            taus = [0.0] * len(seeds)
            if rule == "adjusted":
                taus = [seed.tau(shares, mixture) for seed in seeds]
            said = [seed.test.under(shares, tau) for seed, tau in zip(seeds, taus, strict=True)]
            resampled, now = together(said, trucks, mixture)
            found[arm][rule] = {
                "tau": taus,
                **measured(resampled, now),
                "average_precision": average_precision(said, mixture),
            }
            if first is None:
                first = now
            else:
                found[arm][rule]["against_first"] = apart(resampled, now, first)
    return found


def together(
    several: Sequence[Answers], trucks: Sequence[str], mixture: Floats | None
) -> tuple[TruckBootstrap, tuple[Rates, ...]]:
    """Rates of what several models say of the same images: of all, and of each round. trucks: of
    the images, whose views by all models stay one cluster."""
    cells = np.concatenate([answers.cells() for answers in several])
    resampled = TruckBootstrap(list(trucks) * len(several))
    confusions = cells.sum(0), resampled.sums(cells)
    return resampled, tuple(rates.of(rates.at(mixture, found)) for found in confusions)


def measured(resampled: TruckBootstrap, of: tuple[Rates, ...]) -> dict[str, Any]:
    """Of all images, and of each round."""
    found, drawn = of
    once, often = found.questions, drawn.questions
    return {
        **resampled.figure("accuracy", found.accuracy, drawn.accuracy),
        **resampled.figure("macro_f1", found.macro_f1, drawn.macro_f1),
        "burnt": {
            **resampled.figure("precision", once.precision[_BURNT], often.precision[:, _BURNT]),
            **resampled.figure("recall", once.recall[_BURNT], often.recall[:, _BURNT]),
        },
        "recall": dict(zip(GRADES, found.grades.recall.round(4).tolist(), strict=True)),
    }


def apart(
    resampled: TruckBootstrap, now: tuple[Rates, ...], first: tuple[Rates, ...]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("accuracy", "macro_f1"):
        value, drawn = (
            getattr(a, name) - getattr(b, name) for a, b in zip(now, first, strict=True)
        )
        found |= resampled.figure(name, value, drawn)
    return found


def average_precision(several: Sequence[Answers], mixture: Floats | None) -> dict[str, float]:
    """Of each grade, and of "burnt"."""
    found = []
    for said in several:
        labels, scores = said.labels, said.scores
        often = np.ones(len(GRADES))
        if mixture is not None:
            often = mixture / np.bincount(labels, minlength=len(GRADES))
        sets = {str(grade): [i] for i, grade in enumerate(GRADES)}
        sets["burnt"] = np.flatnonzero(QUESTIONS[_BURNT].yes).tolist()
        found.append(
            {
                name: average_precision_score(
                    np.isin(labels, grades),
                    scores[:, grades].sum(1),
                    sample_weight=often[labels],
                )
                for name, grades in sets.items()
            }
        )
    return {name: round(float(np.mean([one[name] for one in found])), 4) for name in found[0]}


def asked(model: TrainedModel, validation: ImageSet, test: ImageSet) -> Seed:
    """A model, asked about both."""
    both = (
        Answers(model.says(images.images).probabilities.astype(np.float64), images.labels)
        for images in (validation, test)
    )
    return Seed(*both)


def size_of(models: Mapping[Path, TrainedModel], data: Dataset, test: Dataset) -> int:
    """Of the images that all these runs' models take. Raises TrainingError for models that cannot
    be compared, or have seen what they would be tested on."""
    sizes = set()
    for run, model in models.items():
        subject = subject_of(model)
        if subject.data_digest != data.digest:
            raise DataError(f"{run}: did not learn from {data.manifest.path}; name its own --data")
        if learned(test, None, known_to(run)):
            raise DataError(f"{run}: has learned from images of {test.manifest.path}; take others")
        sizes.add(subject.size)
    if len(sizes) > 1:
        raise DataError(f"the models take images of {sorted(sizes)} px; name models of one size")
    return sizes.pop()


def opened(data: Path, test: Path) -> tuple[Dataset, Dataset]:
    """What was learned from, and what is measured on. Raises TrainingError where they share
    images."""
    require_disjoint(data, test)
    return Dataset.open(data), Dataset.open(test)


def loaded(data: Dataset, test: Dataset, size: int) -> tuple[ImageSet, ImageSet, ImageSet]:
    """Training and validation split, and all test images. Raises TrainingError where one of them
    has not all grades."""
    found = (data.load("train", size), data.load("val", size), test.load(None, size))
    names = ("training split", "validation split", str(test.manifest.path))
    for images, name in zip(found, names, strict=True):
        if len(set(images.labels.tolist())) < len(GRADES):
            raise DataError(f"{name}: has not all grades; name other data")
    return found


def about(benchmark: str, data: Dataset, test: Dataset, tested: ImageSet) -> dict[str, Any]:
    """What a benchmark's JSON object begins with. tested: the images of `test`."""
    return {
        "benchmark": benchmark,
        **provenance.of_result(),
        "data": {"name": data.manifest.name, "digest": data.digest},
        "test": {"name": test.manifest.name, "digest": test.digest, "images": len(tested)},
    }


def print_figures(
    benchmark: str,
    data: Dataset,
    test: Dataset,
    train: ImageSet,
    tested: ImageSet,
    arms: Mapping[str, Sequence[Seed]],
    **further: Any,
) -> None:
    """The JSON object. tested: the images of `test`. further: what else it says."""
    shares = shares_of(train.labels)
    trucks = [row.truck for row in tested.rows]
    mixtures = {"tested": None, "training": shares}
    content = {
        **about(benchmark, data, test, tested),
        **further,
        "training_mixture": dict(zip(GRADES, shares.round(4).tolist(), strict=True)),
        "mixtures": {
            name: figures_of(arms, trucks, shares, mixture) for name, mixture in mixtures.items()
        },
    }
    print(json.dumps(content, indent=2))


def main() -> None:
    """Prints the JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="what the runs learned from")
    parser.add_argument("--test", type=Path, required=True, help="another dataset, all of it")
    parser.add_argument(
        "--arm",
        nargs="+",
        action="append",
        required=True,
        metavar=("NAME", "RUN"),
        help="a name, and folders of finished runs",
    )
    options = parser.parse_args()
    runs = {name: [Path(run) for run in folders] for name, *folders in options.arm}
    if len(runs) < len(options.arm):
        raise SystemExit("two --arm have one name; give each another, or name their runs together")
    if empty := [name for name, folders in runs.items() if not folders]:
        raise SystemExit(f"--arm {empty[0]}: name folders of finished runs after it")
    with in_one_line():
        data, other = opened(options.data, options.test)
        models = {run: TrainedModel.load(run) for folders in runs.values() for run in folders}
        train, validation, test = loaded(data, other, size_of(models, data, other))
    arms = {
        name: [asked(models[run], validation, test) for run in folders]
        for name, folders in runs.items()
    }
    print_figures("decision_rules", data, other, train, test, arms)


if __name__ == "__main__":
    main()
