"""How many of a grade's images are synthetic: chosen on the validation split.

Trainings of half the study's steps with each share of SHARES for all grades alike. Each grade then
takes the share under which it is told best from the rest, see `losses_of`, if that is better than
without synthetic images by more than one standard error; else, or where it has none, it goes
without. One choice serves all seeds, see `Run.chooser`: they show what chance does to a training,
not to its recipe.
"""

from __future__ import annotations

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
from training.calibration import temperature
from training.config import FitConfig
from training.data.dataset import Dataset, ImageSet
from training.errors import RunError
from training.evaluation import load_split
from training.experiments.config import ARMS, Run, StudyConfig
from training.loop import Loop
from training.mixture import Mixture, Synthetic, load, mix
from training.model import logits, write_json
from training.start import Weights, initial_network
from training.synthesis.run import Report as SynthesisReport
from training.train import Report as FitReport

SHARES: Final = (0.0, 0.25, 0.5, 0.75)
TRIAL_PART: Final = 2
"""Trials have the study's steps divided by this."""
MIX_NAME: Final = "mix.json"

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
    was tried goes to the chooser's folder: MIX_NAME, and the losses under each share. Raises
    TrainingError.
    """
    run = run.chooser(config.seeds)
    trial = config.fit(run).model_copy(update={"steps": max(1, config.steps // TRIAL_PART)})
    # All that decides the trials; the sets themselves by their digest.
    key = {
        **trial.model_dump(mode="json"),
        "synthetic_sha256": Synthetic(folder, ()).sha256,
        **(given.described() if given else {}),
    }
    file = run.folder(out) / MIX_NAME
    tried = _tried(file, key)
    train = load_split(dataset, "train", config.size, report)
    validation = load_split(dataset, "val", config.size, report)
    further = load(folder, config.size)
    shuffled_by = trial.seed if ARMS[run.arm].shuffled else None
    file.parent.mkdir(parents=True, exist_ok=True)
    trucks = [row.truck for row in validation.rows]
    for share in SHARES:
        if share in tried:
            continue
        report.begin(f"{run.name}, {share:.0%} synthetic on trial")
        mixture = mix(train, further, (share,) * len(GRADES), shuffled_by=shuffled_by)
        found = _on_trial(trial, train, validation, mixture, given, file.parent, report, deadline)
        if found is None:
            report.say(f"time is up in a trial of {run.name}; the same command goes on from here")
            return None
        tried[share] = found
        np.save(_losses_file(file, share), found)
        write_json(file, {"key": key, "shares": _summary(tried, trucks)})
    shares = tuple(
        share if index in further.labels else 0.0
        for index, share in enumerate(choose(tried, trucks))
    )
    report.say(
        f"{run.name}: share of synthetic images, chosen on validation: "
        + ", ".join(f"{g} {s:.0%}" for g, s in zip(GRADES, shares, strict=True))
    )
    return shares


def choose(losses: Mapping[float, Floats], trucks: Sequence[str]) -> tuple[float, ...]:
    """The share of each grade, (5,).

    losses: by share, 0 among them, (n, 5), as of `losses_of` for the same images. trucks: (n,).
    """
    chosen = []
    for grade in range(len(GRADES)):
        best = min(losses, key=lambda share: (float(losses[share][:, grade].mean()), share))
        gain, error = _gain(losses[0.0][:, grade] - losses[best][:, grade], trucks)
        chosen.append(best if gain > error else 0.0)
    return tuple(chosen)


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


def _gain(gains: Floats, trucks: Sequence[str]) -> tuple[float, float]:
    """Mean and its standard error, of images (n,) whose trucks are drawn and not they."""
    _, of = np.unique(trucks, return_inverse=True)
    count = int(of.max()) + 1
    strays = np.bincount(of, gains - gains.mean())
    if count < 2:
        return float(gains.mean()), float("inf")
    error = np.sqrt(count / (count - 1) * (strays**2).sum()) / len(gains)
    return float(gains.mean()), float(error)


def _summary(tried: Mapping[float, Floats], trucks: Sequence[str]) -> dict[str, Any]:
    """For people: mean loss of each grade, and the gain over no synthetic images."""
    found = {}
    for share, losses in tried.items():
        gains = [_gain(tried[0.0][:, g] - losses[:, g], trucks) for g in range(len(GRADES))]
        found[str(share)] = {
            "validation_loss": [round(float(loss), 5) for loss in losses.mean(0)],
            "gain": [round(gain, 5) for gain, _ in gains],
            "standard_error": [round(error, 5) for _, error in gains],
        }
    return found


def _losses_file(file: Path, share: float) -> Path:
    return file.with_name(f"trial-{share}.npy")


def _tried(file: Path, key: dict[str, Any]) -> dict[float, Floats]:
    """Trials that an earlier call has finished, in the order of SHARES."""
    if not file.exists():
        return {}
    try:
        content = json.loads(file.read_text("utf-8"))
        if content["key"] != key:
            return {}
        return {float(share): np.load(_losses_file(file, share)) for share in content["shares"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file}: not readable; delete it") from error


def _on_trial(
    config: FitConfig,
    train: ImageSet,
    validation: ImageSet,
    mixture: Mixture,
    given: Weights | None,
    folder: Path,
    report: Report,
    deadline: float,
) -> Floats | None:
    """`losses_of` the validation split after a training; None where time was up."""
    checkpoint = folder / "trial.pt"
    with parallel.accelerator(config.precision) as accelerator:
        network = initial_network(config.classifier, config.seed, train, given)
        checkpoint.unlink(missing_ok=True)  # of another share: trials are too short to be resumed
        loop = Loop(accelerator, network, train, validation, config, checkpoint, mixture=mixture)
        ended = loop.run(report, deadline=deadline)
        checkpoint.unlink(missing_ok=True)
        if ended == "time":
            return None
        said = logits(loop.kept_network(), validation.images)
    return losses_of(said, validation.labels)
