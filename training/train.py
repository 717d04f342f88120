"""From a labelled folder to a calibrated, evaluated classifier: the story of `cane-train fit`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Protocol

from training import parallel, progress, provenance
from training.adjustment import Adjustment, shares_of
from training.alone import alone
from training.augmentation import revision
from training.calibration import calibrated
from training.classifiers.pixels import Pixels
from training.config import ABSENT, LATER, FitConfig
from training.data.coverage import require_grades
from training.data.dataset import Dataset, ImageSet
from training.data.manifest import tidied
from training.data.overlap import copies_apart
from training.errors import RunError
from training.evaluation import (
    METRICS_NAME,
    describe_data,
    evaluate_on,
    figures_of,
    load_split,
)
from training.evaluation import Report as EvaluationReport
from training.learned import LEARNED_NAME, known_to, learned, remember
from training.level import card_of, digest, require
from training.loop import End, Loop
from training.mixture import Synthetic
from training.model import (
    MODEL_NAME,
    ModelCard,
    TrainedModel,
    grades_of,
    levels_of,
    outputs,
)
from training.outputs import write_json
from training.predictions import Predictions
from training.start import Weights, initial_network
from training.subject import level_figures, subject_of

CHECKPOINT_NAME: Final = "last.pt"
HISTORY_NAME: Final = "history.json"


class Report(EvaluationReport, progress.Report, Protocol):
    """Whoever wants to know how it goes."""


def fit(
    data: Path,
    out: Path,
    config: FitConfig,
    report: Report,
    *,
    weights: str | None = None,
    pixels: Pixels | None = None,
    synthetic: Synthetic | None = None,
    threads: int | None = None,
    max_seconds: float = math.inf,
    save_every: float = 60.0,
    tensorboard: Path | None = None,
) -> dict[str, Any] | None:
    """Trains, calibrates and evaluates; returns what it also writes to OUT/metrics.json.

    OUT gets last.pt (to resume from) and history.json; when training is done model.safetensors
    (calibrated), predictions.csv (of the test split), learned_from.txt (see `learned`; not where
    `weights` are a model's that does not say what it has learned from) and metrics.json. A second
    call with the same arguments resumes; of a finished run it returns the figures it has. Raises
    TrainingError.

    weights, pixels: see `Weights.find`. synthetic: learned from beside the training split.
    max_seconds: from now; training then stops at the next step. save_every: seconds between
    checkpoints. tensorboard: folder for its events.
    Returns None where time was up, and in processes other than the main one.
    """
    deadline = time.monotonic() + max_seconds
    parallel.use_threads(threads)
    with parallel.accelerator(config.precision, tensorboard) as accelerator, ExitStack() as held:
        # The main process writes splits and folder, and downloads weights, where there are none.
        def prepare() -> tuple[Dataset, Weights | None]:
            dataset = Dataset.open(data, agreement=config.agreement).split(config.seed)
            given = Weights.find(weights, config.classifier, pixels) if weights else None
            out.mkdir(parents=True, exist_ok=True)
            held.enter_context(alone(out, report.say, deadline=deadline))
            return dataset, given

        dataset, given = parallel.main_first(prepare)
        report.say(_describe(dataset))
        if synthetic is not None:
            synthetic.require_of(dataset)
        before = known_to(given.file.parent) if given else None
        warnings = _warnings(dataset, given, before)
        for warning in warnings:
            report.say(f"warning: {warning}")
        if given is not None and given.assumed:
            report.say(given.assumed)
        config = resolved(config, dataset, given, synthetic, processes=accelerator.num_processes)
        done_before = finished(out, config.model_dump(exclude={"data_digest"}), dataset)
        if done_before is not None:
            report.say(
                f"{out}: finished on {done_before['date']}, its figures stand; to train again give "
                "another --out"
            )
            return done_before if accelerator.is_main_process else None
        train = load_split(dataset, "train", config.size, report)
        validation = load_split(dataset, "val", config.size, report)
        require_grades(dataset, report, {"train": train, "val": validation})
        level = config.level_weight is not None
        if level:
            require(train, "train", dataset.manifest.path)
            require(validation, "val", dataset.manifest.path)
        mixture = synthetic.mixed_with(train, config) if synthetic else None
        network = initial_network(config.classifier, config.seed, train, given, level=level)
        loop = Loop(
            accelerator,
            network,
            train,
            validation,
            config,
            out / CHECKPOINT_NAME,
            mixture=mixture,
            save_every=save_every,
        )
        done = len(loop.progress.losses)
        report.say(
            f"{config.classifier} on {accelerator.device.type}, {config.precision}, processes: "
            f"{config.processes}, {loop.total} steps of {config.batch} images"
        )
        if done:
            report.say(f"goes on after step {done} of {loop.total}")
        # A killed run may have logged steps that come again now: purge_step hides them.
        purge = {"tensorboard": {"purge_step": done + 1}}
        accelerator.init_trackers(out.resolve().name, init_kwargs=purge)
        ended = loop.run(report, deadline=deadline)
        if not accelerator.is_main_process:
            return None
        write_json(
            out / HISTORY_NAME,
            {"epochs": loop.progress.history, "step_losses": loop.progress.losses},
        )
        if ended == "time":
            report.say(
                f"time is up after step {len(loop.progress.losses)} of {loop.total}; the same "
                "command goes on from here"
            )
            return None
        if not _is_unknown(given, before):
            seen = [dataset.manifest.folder / r.image for r in (*train.rows, *validation.rows)]
            remember([*seen, *(synthetic.files if synthetic else ())], out, before=before or ())
        every = train if mixture is None else mixture.images
        return _finish(loop, ended, dataset, train, validation, every, warnings, out, report)


def _is_unknown(given: Weights | None, before: Collection[str] | None) -> bool:
    """Does the run begin with a model of ours that does not say what it has learned from?"""
    return given is not None and given.ours and before is None


def _warnings(dataset: Dataset, given: Weights | None, before: Collection[str] | None) -> list[str]:
    """What makes figures on the test split too good. before: `known_to` the model given."""
    found = []
    if copies := copies_apart(dataset):
        found.append(
            f"equal images in two splits: {len(copies)}, as {' and '.join(copies[0])}; figures on "
            "them are too good, and cane-train data check lists them"
        )
    if given is not None and _is_unknown(given, before):
        found.append(
            f"{given.file}: no {LEARNED_NAME} beside it says what it has learned from; if test "
            "images are among that, figures are too good: copy the file there, from its run folder"
        )
    if given is not None and (known := learned(dataset, "test", before)):
        found.append(
            f"{given.file} has learned from {known} of the images in the test split; figures on "
            "them are too good: start from other weights, or keep the splits that it was trained "
            "with"
        )
    return found


def resolved(
    config: FitConfig,
    dataset: Dataset,
    given: Weights | None,
    synthetic: Synthetic | None,
    *,
    processes: int = 1,
) -> FitConfig:
    """The configuration with all that decides what a run comes to: a checkpoint is of one such."""
    return config.model_copy(
        update={
            "data_digest": dataset.digest,
            "augment_revision": revision(config.augment),
            **(given.described() if given else {}),
            "processes": processes,
            "level_sha256": digest(dataset.manifest.rows) if config.level_weight else None,
            **(synthetic.described() if synthetic else {}),
        }
    )


def finished(out: Path, wanted: Mapping[str, Any], dataset: Dataset) -> dict[str, Any] | None:
    """The metrics.json of a run that is done, None where there is none in OUT.

    wanted: what its configuration must be. Raises RunError when OUT holds another run, or one of
    other data: the test split is read once, and not for each choice of options. Also where test
    images have got other names, trucks or another order since: intervals are of trucks, and runs
    are compared image by image.
    """
    file = out / METRICS_NAME
    if not file.exists():
        return None
    cure = "give another --out or delete that folder"
    try:
        metrics: dict[str, Any] = json.loads(file.read_text("utf-8"))
        found, of_data = dict(metrics["config"]), metrics["data"]["digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file}: not readable as a run's figures; {cure}") from error
    for name in dict.fromkeys((*wanted, *sorted(ABSENT))):
        if name in LATER and name not in found:
            continue
        before, value = found.get(name), wanted.get(name)
        if before != (list(value) if isinstance(value, tuple) else value):
            raise RunError(f"{out}: holds a run with {name} {before}, now it is {value}; {cure}")
    if of_data != dataset.digest:
        raise RunError(f"{out}: holds a run on other images, labels or splits; {cure}")
    if "adjusted_for" in metrics:
        raise RunError(f"{out}: holds what cane-train adjust has made of a run; {cure}")
    # Earlier versions wrote figures, marked so, whenever time was up.
    if metrics.get("ended_by") == "time":
        return None
    said = Predictions.read(out)
    measured = set(said.images)  # disputed and unreadable ones are not
    tested = (row for row in dataset.manifest.rows if row.split == "test")
    now = [(row.image, row.truck) for row in tested if row.image in measured]
    # Earlier versions wrote trucks as they were spelled.
    if list(zip(said.images, map(tidied, said.trucks), strict=True)) != now:
        raise RunError(
            f"{out}: holds a run whose test images had other names, trucks or another order in the "
            f"manifest; {cure}"
        )
    return metrics


def train_summary(metrics: dict[str, Any]) -> str:
    """One line on a finished run."""
    test = metrics["test"]
    return (
        f"test accuracy {test['accuracy']:.4f}, macro F1 {test['macro_f1']:.4f} on {test['n']} "
        f"images (labels from {test['labels']}); ended by {metrics['ended_by']} "
        f"after {metrics['epochs']} epochs"
    )


def _finish(
    loop: Loop,
    ended: End,
    dataset: Dataset,
    train: ImageSet,
    validation: ImageSet,
    learned_from: ImageSet,
    warnings: list[str],
    out: Path,
    report: Report,
) -> dict[str, Any]:
    """The network is fixed. Calibration sees the validation split, figures the test split.

    learned_from: the training split, with further images where there are any.
    """
    config, network = loop.config, loop.kept_network()
    on_validation = outputs(network, validation.images)
    t, threshold = calibrated(grades_of(on_validation), validation.labels)
    card = ModelCard(
        classifier=config.classifier,
        size=config.size,
        temperature=t,
        confidence_threshold=threshold,
        level=(
            card_of(levels_of(on_validation), validation, train, learned_from)
            if config.level_weight is not None
            else None
        ),
        training={},
    )
    model = TrainedModel(network, card)
    said = model.read(on_validation)
    of_level = level_figures(card, said, validation)
    on_test = evaluate_on(subject_of(model), dataset, "test", report, folder=out)
    skipped = len(train.skips) + len(validation.skips) + on_test["test"]["skipped"]
    metrics = {
        **provenance.of_result(),
        "config": config.model_dump(exclude={"data_digest"}),
        "data": describe_data(dataset, skipped=skipped),
        "warnings": warnings,
        "ended_by": ended,
        "epochs": loop.progress.epoch,
        "steps": len(loop.progress.losses),
        "kept_epoch": loop.kept_epoch + 1,
        "temperature": t,
        "confidence_threshold": threshold,
        "adjustment": Adjustment.chosen(
            said.probabilities, validation.labels, shares_of(train.labels)
        ).model_dump(),
        "validation": figures_of(card, said, validation),
        **({} if of_level is None else {"validation_level": of_level}),
        **on_test,
    }
    TrainedModel(network, card.model_copy(update={"training": metrics})).save(out / MODEL_NAME)
    write_json(out / METRICS_NAME, metrics)  # the last file: with it the run is finished
    return metrics


def _describe(dataset: Dataset) -> str:
    labels = dataset.labels
    counts = ", ".join(f"{grade} {count}" for grade, count in dataset.counts().items())
    return (
        f"{len(dataset.manifest.rows)} images, labels from {labels.source}: {counts}; set aside: "
        f"{labels.disputed} disputed, {labels.unlabelled} unlabelled"
    )
