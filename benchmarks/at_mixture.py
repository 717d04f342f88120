"""How good are models where grades come as often as at a mill, and not as often as in a test set?

Takes what `cane-train evaluate`, or a study, left beside its metrics, and counts every image by how
common its label is in the training split of --at: what every grade is taken for stays the same, and
accuracy, precision and F1 do not. Prints one JSON object. Models with the same --arm are seeds of
it, and all have to be asked about the same images.

- as_it_is: the likeliest grade, as models say it. One that drew all grades equally often says
  scarce ones as if they were common.
- told: probabilities multiplied by how common each grade is, which is right for models that drew
  all grades equally often (Saerens, Latinne and Decaestecker, "Adjusting the outputs of a
  classifier to new a priori probabilities", Neural Computation 14, 2002).

burnt: precision and recall of "burnt" of all loads. average_precision: of each grade, whatever the
line is drawn at; the mean of the seeds. against_first: differences from the first --arm.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score  # type: ignore[import-untyped]

from edge_agent.grades import GRADES
from training import provenance, rates
from training.bootstrap import TruckBootstrap
from training.data.dataset import Dataset
from training.errors import TrainingError
from training.predictions import Predictions, pooled
from training.rates import QUESTIONS, Rates

Floats = npt.NDArray[np.float64]

_BURNT: Final = [question.name for question in QUESTIONS].index("burnt")


def mixture_of(dataset: Dataset) -> Floats:
    """Shares (5,) of the grades among a dataset's labelled training images."""
    labels = zip(dataset.manifest.rows, dataset.labels.grades, strict=True)
    found = [grade for row, grade in labels if grade is not None and row.split == "train"]
    return np.array([found.count(grade) for grade in GRADES]) / max(1, len(found))


def at(mixture: Floats, confusion: Floats) -> Rates:
    """The rates of confusion matrices (..., 5, 5), if labels came in these shares (5,)."""
    labelled = confusion.sum(-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return rates.of(confusion / labelled * mixture[:, None])


def decided(
    said: Predictions, mixture: Floats, weights: Floats | float, resampled: TruckBootstrap
) -> tuple[dict[str, Any], tuple[Rates, Rates]]:
    """The figures if the grade of the largest p * weights is said, and what they are made of: the
    rates of all images, and those of each round."""
    known = said.known()
    guesses = (said.probabilities[known] * weights).argmax(1)
    cells = rates.cells(said.indices(), guesses)
    found, drawn = at(mixture, cells.sum(0)), at(mixture, resampled.sums(cells))
    burnt, often = found.questions, drawn.questions
    figures = {
        **resampled.figure("accuracy", found.accuracy, drawn.accuracy),
        **resampled.figure("macro_f1", found.macro_f1, drawn.macro_f1),
        "burnt": {
            **resampled.figure("precision", burnt.precision[_BURNT], often.precision[:, _BURNT]),
            **resampled.figure("recall", burnt.recall[_BURNT], often.recall[:, _BURNT]),
        },
        "recall": dict(zip(GRADES, np.round(found.grades.recall, 4).tolist(), strict=True)),
    }
    return figures, (found, drawn)


def average_precision(several: Sequence[Predictions], mixture: Floats) -> dict[str, float]:
    """Of each grade, the mean over models."""
    found = []
    for said in several:
        labels, scores = said.indices(), said.probabilities[said.known()]
        often = mixture[labels] / np.bincount(labels, minlength=len(GRADES))[labels]
        found.append(
            [
                average_precision_score(labels == i, scores[:, i], sample_weight=often)
                for i in range(len(GRADES))
            ]
        )
    return dict(zip(GRADES, np.mean(found, 0).round(4).tolist(), strict=True))


def figures_of(arms: Mapping[str, Sequence[Predictions]], mixture: Floats) -> dict[str, Any]:
    """The figures of every arm."""
    found: dict[str, Any] = {}
    first: dict[str, tuple[Rates, Rates]] = {}
    for arm, several in arms.items():
        said = pooled(several)
        resampled = TruckBootstrap([said.trucks[i] for i in said.known()])
        ways: dict[str, Any] = {"models": len(several)}
        for way, weights in (("as_it_is", 1.0), ("told", mixture)):
            ways[way], made_of = decided(said, mixture, weights, resampled)
            if arm == next(iter(arms)):
                first[way] = made_of
                continue
            ways[way]["against_first"] = {}
            for name in ("accuracy", "macro_f1"):
                value, drawn = (
                    getattr(now, name) - getattr(before, name)
                    for now, before in zip(made_of, first[way], strict=True)
                )
                ways[way]["against_first"] |= resampled.figure(name, value, drawn)
        found[arm] = {**ways, "average_precision": average_precision(several, mixture)}
    return found


def main() -> None:
    """Prints the JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--at", type=Path, required=True, help="dataset with these shares")
    parser.add_argument(
        "--arm",
        nargs="+",
        action="append",
        required=True,
        metavar=("NAME", "FOLDER"),
        help="a name, and folders with predictions.csv",
    )
    asked = parser.parse_args()
    try:
        dataset = Dataset.open(asked.at)
        arms = {
            name: [Predictions.read(Path(folder)) for folder in folders]
            for name, *folders in asked.arm
        }
    except TrainingError as error:
        raise SystemExit(str(error)) from error
    mixture = mixture_of(dataset)
    if not mixture.all():
        raise SystemExit(f"{asked.at}: not all grades are in its training split; name another --at")
    for name, several in arms.items():
        if not several:
            raise SystemExit(f"--arm {name}: name folders with predictions.csv after it")
    one, *others = (said for several in arms.values() for said in several)
    if any((said.images, said.label) != (one.images, one.label) for said in others):
        raise SystemExit("the folders' predictions are not of the same images; name others")
    if set(GRADES) - set(one.label):
        raise SystemExit("not all grades are among the images' labels; evaluate other images")
    print(
        json.dumps(
            {
                "benchmark": "at_mixture",
                "command": provenance.command_line(),
                "date": provenance.now(),
                "machine": provenance.machine(),
                "at": {"name": dataset.manifest.name, "digest": dataset.digest},
                "mixture": dict(zip(GRADES, mixture.round(4).tolist(), strict=True)),
                "images": len(one.known()),
                "arms": figures_of(arms, mixture),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
