"""How many of a grade's images are synthetic: chosen on the validation split.

A training with each share of SHARES, for all grades alike, of as many steps as the study's: shorter
ones never come to where a network knows its real images by heart, and others are wanted. Each grade
then takes the share under which it is told best from the rest, see `losses_of`; one that has no
synthetic images goes without. A run that has learnt as a trial would stands for it, and a trial
that has learnt as the run would is not trained again. One choice serves all seeds, see
`Run.chooser`: they show what chance does to a training, not to its recipe.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, one_hot

from edge_agent.grades import GRADES
from training import parallel
from training.augmentation import is_balanced
from training.calibration import temperature
from training.config import FitConfig
from training.data.dataset import Dataset, ImageSet
from training.errors import RunError, WeightsError
from training.evaluation import load_split
from training.experiments.config import ARMS, METHOD, Run, StudyConfig
from training.experiments.finished_runs import finished_run
from training.loop import Loop
from training.mixture import Mixture, Synthetic, load
from training.model import TrainedModel, logits
from training.outputs import write_json
from training.start import Weights, initial_network
from training.synthesis.run import Report as SynthesisReport
from training.synthesis.stages import save_array
from training.train import CHECKPOINT_NAME, METRICS_NAME, resolved
from training.train import Report as FitReport

SHARES: Final = (0.0, 0.5)
MIX_NAME: Final = "mix.json"
TRIALS_NAME: Final = "trials"
"""Of the folder for what trials said: that without synthetic images serves many arms."""

Floats = npt.NDArray[np.float32]


class Report(FitReport, SynthesisReport, Protocol):
    """Whoever wants to know how it goes."""


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
    made = set(load(folder, config.size, agreement=config.agreement).labels)
    digest = Synthetic(folder, ()).sha256
    (out / TRIALS_NAME).mkdir(exist_ok=True)
    start = given.described() if given else {}
    tried: dict[float, Floats] = {}
    learnt: dict[tuple[float, ...], Path] = {}  # checkpoints of trials
    for share in SHARES:
        without = {"synthetic_recipe": None} | ({} if share else {"synthetic_until": None})
        trial = config.fit(run).model_copy(update=without)
        # All that decides what it comes to; the images themselves by their digests.
        key = {
            **trial.model_dump(mode="json"),
            **start,
            "data": dataset.digest,
            "share": share,
            "synthetic_sha256": digest if share else None,
            "shuffled": ARMS[run.arm].shuffled if share else None,
            "method": METHOD,
        }
        file = out / TRIALS_NAME / f"{_digest(key)}.npy"
        shares = tuple(share if grade in made else 0.0 for grade in range(len(GRADES)))
        if not file.exists():
            said = None
            if not share:
                said = _said_by_twin(trial, run, dataset, validation, out, config, start, report)
            if said is None:
                report.begin(f"{run.name}, {share:.0%} synthetic on trial")
                synthetic = Synthetic(folder, shares, ARMS[run.arm].shuffled)
                asked = resolved(config.fit(run), dataset, given, synthetic) if share else trial
                mixture = synthetic.mixed_with(train, asked)
                said = _on_trial(asked, train, validation, mixture, given, file, report, deadline)
            if said is None:
                report.say(f"time is up in a trial of {run.name}; the same command goes on")
                return None
            save_array(file, losses_of(said, validation.labels))
        learnt[shares] = _checkpoint(file)
        tried[share] = _load(file)
    trucks = [row.truck for row in validation.rows]
    run.folder(out).mkdir(exist_ok=True)
    write_json(run.folder(out) / MIX_NAME, summary(tried, trucks))
    shares = tuple(share if grade in made else 0.0 for grade, share in enumerate(choose(tried)))
    report.say(
        f"{run.name}: share of synthetic images, chosen on validation: "
        + ", ".join(f"{g} {s:.0%}" for g, s in zip(GRADES, shares, strict=True))
    )
    if any(shares):
        _hand_over(learnt.get(shares), run, out, report)
    for checkpoint in learnt.values():
        checkpoint.unlink(missing_ok=True)
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


def losses_of(said: Tensor, labels: npt.NDArray[np.int64]) -> Floats:
    """How badly each grade is told from all others on each image: binary cross-entropy in nats,
    float32 (n, 5).

    said: logits (n, 5), calibrated on these images first, so that no share wins by less confidence
    alone.
    """
    truth = torch.from_numpy(labels)
    likely = torch.softmax(said.double() / temperature(said, truth), dim=1)
    right = one_hot(truth, len(GRADES)).double()
    return binary_cross_entropy(likely, right, reduction="none").float().numpy()


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


def _digest(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]


def _checkpoint(file: Path) -> Path:
    return file.with_suffix(".pt")


def _hand_over(learnt: Path | None, run: Run, out: Path, report: Report) -> None:
    """The checkpoint of the trial that has learnt as `run` will becomes the run's own."""
    folder = run.folder(out)
    begun = any((folder / name).exists() for name in (CHECKPOINT_NAME, METRICS_NAME))
    if learnt is not None and learnt.exists() and not begun:
        learnt.replace(folder / CHECKPOINT_NAME)
        report.say(f"{run.name}: its trial has learnt so, and is not trained again")


def _load(file: Path) -> Floats:
    try:
        found: Floats = np.load(file)
    except (OSError, ValueError, EOFError) as error:
        raise RunError(f"{file}: not readable; delete it") from error
    return found


def _said_by_twin(
    trial: FitConfig,
    run: Run,
    dataset: Dataset,
    validation: ImageSet,
    out: Path,
    config: StudyConfig,
    start: Mapping[str, str],
    report: Report,
) -> Tensor | None:
    """Logits on the validation split of a finished run that learnt as a trial without synthetic
    images would; None where there is none. Trials draw grades evenly, so such a run must too."""
    for arm in ARMS:
        twin = Run(run.model, arm, run.seed)
        if ARMS[arm].is_enriched or not is_balanced(ARMS[arm].augment) or config.fit(twin) != trial:
            continue
        try:
            if finished_run(twin, out, config, start, dataset) is None:
                continue
            network = TrainedModel.load(twin.folder(out)).network
        except (RunError, WeightsError):
            continue  # of another study, or broken
        report.say(f"{run.name}, no synthetic images on trial: {twin.name} is that")
        return logits(network, validation.images)
    return None


def _on_trial(
    config: FitConfig,
    train: ImageSet,
    validation: ImageSet,
    mixture: Mixture,
    given: Weights | None,
    file: Path,
    report: Report,
    deadline: float,
) -> Tensor | None:
    """Logits on the validation split after a training, which can be resumed; None where time was
    up. file: of the trial's result."""
    with parallel.accelerator(config.precision) as accelerator:
        network = initial_network(config.classifier, config.seed, train, given)
        loop = Loop(
            accelerator, network, train, validation, config, _checkpoint(file), mixture=mixture
        )
        if loop.run(report, deadline=deadline) == "time":
            return None
        return logits(loop.kept_network(), validation.images)
