"""The figures of a trained model on labelled images: the story of `cane-train evaluate`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from edge_agent.grades import GRADES
from training import breakdown, metrics, provenance
from training.data.agreement import fleiss_kappa
from training.data.dataset import Dataset, ImageSet
from training.data.images import Skip
from training.data.labels import label
from training.data.manifest import SPLITS, Split, is_guessed
from training.errors import RunError
from training.learned import known_to, learned
from training.model import MODEL_NAME, ModelCard, Said
from training.outputs import make_way, write_json
from training.predictions import PREDICTIONS_NAME, Predictions
from training.subject import Subject

METRICS_NAME: Final = "metrics.json"

Asked = Split | Literal["all"]


class Report(Protocol):
    """Whoever wants to know how it goes."""

    def loading(self, what: str, count: int) -> Callable[[], None]:
        """`count` images are about to be read; the answer is called once for each."""

    def say(self, text: str) -> None:
        """A line for people."""


def evaluate_on(
    subject: Subject,
    dataset: Dataset,
    split: Split | None,
    report: Report,
    *,
    key: str = "test",
    folder: Path | None = None,
    by: Sequence[str] = (),
) -> dict[str, Any]:
    """Figures against the dataset's labels and, where the truth is known too, against that.

    The truth also covers the images that the experts dispute: the harder ones. What the model said
    of each image goes to FOLDER/predictions.csv. by: columns, see `figures_against`.
    """
    images = load_split(with_truth(dataset), split, subject.size, report, what=key)
    probabilities, of_level = subject.answers(images)
    predictions = predictions_on(dataset, images, probabilities)
    if folder is not None:
        predictions.write(folder / PREDICTIONS_NAME)
    against = figures_against(
        predictions,
        dataset,
        images.skips,
        key=key,
        threshold=subject.threshold,
        by=by,
        mixture=subject.mixture,
    )
    return against | ({} if of_level is None else {f"{key}_level": of_level})


def figures_against(
    predictions: Predictions,
    dataset: Dataset,
    skips: Sequence[Skip],
    *,
    key: str,
    threshold: float,
    by: Sequence[str] = (),
    mixture: npt.NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """What metrics.json says under KEY and, where the truth is known beside votes, KEY_truth; with
    columns of the manifest to tell images apart `by`, under KEY_by (see `breakdown.by`) too; as if
    grades had come in a mixture (5,), under KEY_at_mixture."""
    results: dict[str, Any] = {
        key: {
            "labels": dataset.labels.source,
            "skipped": len(skips),
            "skipped_files": {_seen_from(dataset, skip.path): skip.reason for skip in skips},
            **predictions.figures(threshold),
        }
    }
    if dataset.labels.source == "votes" and any(predictions.truth):
        results[f"{key}_truth"] = {
            "labels": "truth",
            **predictions.figures(threshold, against="truth"),
        }
    if mixture is not None:
        results[f"{key}_at_mixture"] = predictions.figures(threshold, mixture=mixture)
    if by:
        results[f"{key}_by"] = breakdown.by(predictions, dataset, by, threshold=threshold)
    return results


def _seen_from(dataset: Dataset, file: Path) -> str:
    folder = dataset.manifest.folder
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)


def with_truth(dataset: Dataset) -> Dataset:
    """The dataset with the images too whose experts disagree, where their true grade is known.

    To be predicted, never to be learned from.
    """
    labels = dataset.labels
    known = tuple(
        grade or row.grade for row, grade in zip(dataset.manifest.rows, labels.grades, strict=True)
    )
    return replace(dataset, labels=replace(labels, grades=known))


def predictions_on(
    dataset: Dataset, images: ImageSet, probabilities: npt.NDArray[np.float32]
) -> Predictions:
    """Probabilities (n, 5) of these images, with what the dataset knows of each."""
    labels = dict(
        zip((row.image for row in dataset.manifest.rows), dataset.labels.grades, strict=True)
    )
    return Predictions(
        tuple(row.image for row in images.rows),
        tuple(row.truck for row in images.rows),
        tuple(labels[row.image] for row in images.rows),
        tuple(row.grade for row in images.rows),
        probabilities,
    )


def evaluate(
    subject: Subject,
    dataset: Dataset,
    asked: Asked | None,
    report: Report,
    *,
    run: Path | None = None,
    out: Path | None = None,
    by: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """The story of `cane-train evaluate`: the figures of one model on one folder.

    run: the folder of the model, which tells what it has learned from; None where that is not
    known, but for the digest of the dataset.
    asked: which images; None for all of them, or for the test split of the data that the model was
    trained on. Figures on its other images come with a warning, told and in the result.
    out: file for what is returned; predictions.csv goes beside it, so that it is to be no run's
    folder: RunError. by: columns of the manifest
    whose values have figures of their own. warnings: told already, for the result.
    """
    breakdown.require_columns(dataset, by)
    if out is not None:
        make_way(out)
        _require_no_run(out)
    own = is_training_data(dataset, subject.data_digest, agreement=subject.agreement)
    chosen, of_split = choose(asked, report, own=own)
    split = split_of(chosen)
    known = None if run is None else learned(dataset, split, known_to(run))
    if known and not of_split:
        of_split.append(
            f"{known} of these images are among those that the model was trained or calibrated "
            "on, so the figures are too good; measure on others"
        )
        report.say(f"warning: {of_split[0]}")
    found = (
        _of_other_classes(subject, dataset),
        _of_another_area(subject, dataset),
        _of_guessed_trucks(dataset, split),
    )
    further = [warning for warning in found if warning is not None]
    for warning in further:
        report.say(f"warning: {warning}")
    folder = None if out is None else out.parent
    figures = evaluate_on(subject, dataset, split, report, key=chosen, folder=folder, by=by)
    results = {
        **provenance.of_result(*subject.packages),
        "model": subject.described,
        "data": describe_data(dataset, skipped=figures[chosen]["skipped"]),
        "split": chosen,
        "learned_from": known,
        "warnings": [*warnings, *of_split, *further],
        "confidence_threshold": subject.threshold,
        **figures,
    }
    if out is not None:
        write_json(out, results)
    return results


def _require_no_run(out: Path) -> None:
    """Raises RunError for a file in the folder of a run, whose figures and predictions are of its
    own test split."""
    there = {file.name for file in out.parent.iterdir()}
    if MODEL_NAME in there or (METRICS_NAME in there and _is_of_run(out.parent / METRICS_NAME)):
        raise RunError(
            f"{out}: lies in the folder of a run, whose {PREDICTIONS_NAME} would be lost; give an "
            "--out in another folder"
        )


def _is_of_run(file: Path) -> bool:
    """Has a run written this metrics.json? One that cannot be read may be a run's."""
    try:
        return "config" in json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return True


def _of_other_classes(subject: Subject, dataset: Dataset) -> str | None:
    """A warning where grades stand for other things than they did in training, by their names."""
    ours, theirs = subject.classes, {n: str(g) for n, g in dataset.description.renamed.items()}
    if ours is None or ours == theirs:
        return None
    contrary = any(theirs.get(name, grade) != grade for name, grade in ours.items())
    # Where some labels are grades by name, the others are names of grades too.
    if not contrary and set(ours.values()) != set(GRADES) and dataset.description.is_of_grades:
        return None
    return (
        f"the model learned {_names(ours)}, this data has {_names(theirs)}; its figures mean "
        "something only where these are the same things"
    )


def _of_another_area(subject: Subject, dataset: Dataset) -> str | None:
    """A warning where the model has seen another part of the camera's frame, as far as known."""
    ours, theirs = subject.graded_area, dataset.graded_area
    if ours is None or theirs is None or ours == theirs:
        return None
    return (
        f"the model learned from the part {ours} of the camera's frame, this data shows {theirs}; "
        "at a station it would see what it learned from"
    )


def _of_guessed_trucks(dataset: Dataset, split: Split | None) -> str | None:
    """A warning where intervals rest on trucks that nobody has named."""
    rows = [row for row in dataset.manifest.rows if split in (None, row.split)]
    guessed = sum(is_guessed(row.truck) for row in rows)
    if not guessed:
        return None
    return (
        f"{guessed} of {len(rows)} images do not say their truck, near-duplicates count as one; "
        "where views of a truck look different, intervals are too narrow"
    )


def _names(classes: Mapping[str, str]) -> str:
    return ", ".join(f"{name} as {grade}" for name, grade in classes.items()) or "grades by name"


def choose(asked: Asked | None, report: Report, *, own: bool) -> tuple[Asked, list[str]]:
    """Which images to measure on, and what to warn of. own: the model was trained on this data."""
    chosen: Asked = asked or ("test" if own else "all")
    warnings = []
    if own and asked is None:
        report.say("the data that the model was trained on: its test split is measured")
    elif own and chosen != "test":
        warnings.append(
            f"--split {chosen}: the model was trained, or its epoch, temperature and threshold "
            "chosen, on such images, so the figures are too good; only --split test tells how "
            "good it is"
        )
        report.say(f"warning: {warnings[0]}")
    return chosen, warnings


def split_of(asked: Asked) -> Split | None:
    """As a dataset takes it: None for all."""
    return None if asked == "all" else asked


def is_training_data(dataset: Dataset, digest: str, *, agreement: float | None) -> bool:
    """Is this the data that a model was trained on, whatever its labels are made of here?

    digest: of that data. agreement: by which it was labelled; None where that is not known.
    """
    if dataset.digest == digest:
        return True
    labels = label(
        dataset.manifest.rows,
        agreement=dataset.labels.agreement if agreement is None else agreement,
        method=dataset.description.label_method or "majority",
    )
    if labels.grades == dataset.labels.grades:
        return False
    other = replace(dataset, labels=labels)
    # Of the same files, which need not be read again.
    vars(other)["contents"] = dataset.contents
    return other.digest == digest


def describe_data(dataset: Dataset, *, skipped: int | None) -> dict[str, Any]:
    """What metrics.json says of the data. skipped: images that could not be read, of all that were
    asked for; None where nobody knows."""
    rows, labels = dataset.manifest.rows, dataset.labels
    pairs = Counter(
        (grade, row.split) for row, grade in zip(rows, labels.grades, strict=True) if grade
    )
    trucks: dict[str, set[str]] = {}
    for row in rows:
        trucks.setdefault(row.split or "none", set()).add(row.truck)
    present = [split for split in (*SPLITS, None) if (split or "none") in trucks]
    return {
        "name": dataset.manifest.name,
        "digest": dataset.digest,
        "images": len(rows),
        "trucks": len({row.truck for row in rows}),
        "labels": labels.source,
        "label_method": labels.method if labels.source == "votes" else None,
        "agreement": labels.agreement if labels.source == "votes" else None,
        "fleiss_kappa": _rounded(fleiss_kappa([row.votes for row in rows])),
        "disputed": labels.disputed,
        "unlabelled": labels.unlabelled,
        "skipped": skipped,
        "classes": {name: str(grade) for name, grade in dataset.description.renamed.items()},
        "graded_area": dataset.graded_area,
        "grouping": dataset.grouping,
        "grades": {grade.value: count for grade, count in dataset.counts().items()},
        "splits": {
            split or "none": {
                "images": sum(row.split == split for row in rows),
                "trucks": len(trucks[split or "none"]),
                "grades": {grade.value: pairs[grade, split] for grade in GRADES},
            }
            for split in present
        },
    }


def load_split(
    dataset: Dataset, split: Split | None, size: int, report: Report, *, what: str | None = None
) -> ImageSet:
    """The images of one split, or of all, with a word on those that cannot be read."""
    on_image = report.loading(what or split or "images", dataset.count(split))
    loaded = dataset.load(split, size, on_image=on_image)
    if loaded.told_of_skips:
        report.say(loaded.told_of_skips)
    return loaded


def figures_of(card: ModelCard, said: Said, images: ImageSet) -> dict[str, Any]:
    """The figures of a model on these images, against the labels they were loaded with."""
    return metrics.evaluate(
        said.probabilities,
        images.labels,
        [row.truck for row in images.rows],
        threshold=card.confidence_threshold,
    )


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 4)
