"""How many of a grade's images are synthetic: chosen on the validation split.

After a trial with each share (`trials`) each grade takes the one under which it is told best from
the rest, where all grades count alike, see `losses_of`. One that has no synthetic images, or no
validation images, goes without. One choice serves all seeds, see `Run.chooser`: they show what
chance does to a training, not to its recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, one_hot

from edge_agent.grades import GRADES
from training import provenance
from training.calibration import temperature
from training.data.dataset import Dataset, ImageSet
from training.evaluation import load_split
from training.experiments.config import METHOD, Run, StudyConfig
from training.experiments.report import Report
from training.experiments.trials import Trials
from training.outputs import write_json
from training.sampling import balanced
from training.start import Weights

MIX_NAME: Final = "mix.json"
FEWEST: Final = 5
"""Validation images of a grade that count as much together as those of any other: a single one,
perhaps mislabelled, is not to outweigh a hundred."""

Floats = npt.NDArray[np.float64]


def chosen_shares(
    run: Run,
    dataset: Dataset,
    folder: Path,
    out: Path,
    config: StudyConfig,
    report: Report,
    given: Weights | None,
    deadline: float,
) -> tuple[float, ...] | None:
    """The share of each grade, (5,); None where time was up.

    folder: of the synthetic set. given: what the network starts from; None: random weights. What
    was tried is told in the chooser's MIX_NAME. Raises TrainingError.
    """
    run = run.chooser(config.seeds)
    train = load_split(dataset, "train", config.size, report)
    validation = load_split(dataset, "val", config.size, report)
    trials = Trials(run, dataset, folder, out, config, report, given, deadline, train, validation)
    weights = weights_of(validation.labels)
    tried: dict[float, Floats] = {}
    for share in config.tried_shares:
        said = trials.said(share)
        if said is None:
            report.say(f"time is up in a trial of {run.name}; the same command goes on")
            return None
        tried[share] = losses_of(said, validation.labels, weights)
    run.folder(out).mkdir(exist_ok=True)
    told = {
        "run": run.name,
        **provenance.of_result(),
        "data": {"name": dataset.manifest.name, "digest": dataset.digest},
        **summary(tried, validation),
    }
    write_json(run.folder(out) / MIX_NAME, told)
    shares = trials.possible(choose(tried, validation.labels))
    report.say(
        f"{run.name}: share of synthetic images, chosen on validation: "
        + ", ".join(f"{g} {s:.0%}" for g, s in zip(GRADES, shares, strict=True))
    )
    trials.hand_over(shares)
    return shares


def weights_of(labels: npt.NDArray[np.int64]) -> Tensor:
    """How much each validation image counts, (n,): those of each grade as much together, but for
    grades with fewer than FEWEST. Their mean is 1.

    Were images to count alike, how common grades are among them would choose: where a grade has
    few, saying it ever costs more by what is taken for it than it brings.
    """
    weights = balanced(torch.from_numpy(labels), fewest=FEWEST)
    return weights / weights.mean()


def losses_of(said: Tensor, labels: npt.NDArray[np.int64], weights: Tensor) -> Floats:
    """How badly each grade is told from all others on each image: binary cross-entropy in nats
    times the image's weight, (n, 5).

    said: logits (n, 5), calibrated on these images first, so that no share wins by less confidence
    alone. weights: (n,).
    """
    truth = torch.from_numpy(labels)
    likely = torch.softmax(said.double() / temperature(said, truth, weights), dim=1)
    right = one_hot(truth, len(GRADES)).double()
    losses = binary_cross_entropy(likely, right, reduction="none")
    return (weights[:, None] * losses).numpy()


def choose(losses: Mapping[float, Floats], labels: npt.NDArray[np.int64]) -> tuple[float, ...]:
    """The share of each grade, (5,), the smaller one where two are as good; 0 without an image.

    losses: by share, (n, 5), as of `losses_of` for the same images. labels: theirs, (n,).
    """
    means = {share: found.mean(0) for share, found in losses.items()}
    there = np.bincount(labels, minlength=len(GRADES)) > 0
    return tuple(
        min(means, key=lambda share: (float(means[share][grade]), share)) if there[grade] else 0.0
        for grade in range(len(GRADES))
    )


def summary(tried: Mapping[float, Floats], validation: ImageSet) -> dict[str, Any]:
    """For people, in the order of GRADES: mean loss under each share, where all grades count alike,
    and the gain over no synthetic images with its standard error, None of a single truck.

    Trucks are taken as drawn, and not their images; weights as given, which makes errors a little
    too large where a grade has dozens of images, and too small where it has one or two. tried: as
    `choose` takes it.
    """
    _, of = np.unique([row.truck for row in validation.rows], return_inverse=True)
    count = int(of.max()) + 1
    found = {}
    for share, losses in tried.items():
        gains = tried[0.0] - losses
        strays = np.zeros((count, len(GRADES)))
        np.add.at(strays, of, gains - gains.mean(0))
        errors = np.sqrt(count / max(1, count - 1) * (strays**2).sum(0)) / len(gains)
        found[str(share)] = {
            "validation_loss": _rounded(losses.mean(0)),
            "gain": _rounded(gains.mean(0)),
            "standard_error": _rounded(errors) if count > 1 else None,
        }
    counts = np.bincount(validation.labels, minlength=len(GRADES))
    return {
        "grades": [str(grade) for grade in GRADES],
        "method": METHOD,
        "validation_images": counts.tolist(),
        "shares": found,
    }


def _rounded(figures: npt.NDArray[Any]) -> list[float]:
    return [round(float(figure), 5) for figure in figures]
