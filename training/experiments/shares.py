"""How many of a grade's images are synthetic: chosen on the validation split.

After a trial with each share (`trials`) each grade takes the one under which it is told best from
the rest, where all grades count alike, see `trials.losses_of`; one that has no synthetic images
goes without. One choice serves all seeds, see `Run.chooser`: they show what chance does to a
training, not to its recipe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edge_agent.grades import GRADES
from training.data.dataset import Dataset
from training.evaluation import load_split
from training.experiments.config import Run, StudyConfig
from training.experiments.report import Report
from training.experiments.trials import SHARES, Floats, Trials
from training.outputs import write_json
from training.start import Weights

MIX_NAME: Final = "mix.json"


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
    tried: dict[float, Floats] = {}
    for share in SHARES:
        losses = trials.losses(share)
        if losses is None:
            report.say(f"time is up in a trial of {run.name}; the same command goes on")
            return None
        tried[share] = losses
    trucks = [row.truck for row in validation.rows]
    run.folder(out).mkdir(exist_ok=True)
    write_json(run.folder(out) / MIX_NAME, summary(tried, trucks))
    shares = trials.possible(choose(tried))
    report.say(
        f"{run.name}: share of synthetic images, chosen on validation: "
        + ", ".join(f"{g} {s:.0%}" for g, s in zip(GRADES, shares, strict=True))
    )
    trials.hand_over(shares)
    return shares


def choose(losses: Mapping[float, Floats]) -> tuple[float, ...]:
    """The share of each grade, (5,), the smaller one where two are as good.

    losses: by share, (n, 5), as of `losses_of` for the same images.
    """
    means = {share: found.mean(0) for share, found in losses.items()}
    return tuple(
        min(means, key=lambda share: (float(means[share][grade]), share))
        for grade in range(len(GRADES))
    )


def summary(tried: Mapping[float, Floats], trucks: Sequence[str]) -> dict[str, Any]:
    """For people, in the order of GRADES: mean loss under each share, and the gain over no
    synthetic images with its standard error, None of a single truck.

    tried: as `choose` takes it. trucks: (n,); they are drawn, and not their images.
    """
    _, of = np.unique(trucks, return_inverse=True)
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
    return {"grades": [str(grade) for grade in GRADES], "shares": found}


def _rounded(figures: npt.NDArray[Any]) -> list[float]:
    return [round(float(figure), 5) for figure in figures]
