"""study.json: one row a run, from the files the runs have left, and comparisons between them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from edge_agent.grades import GRADES
from training.comparison import accuracy_difference, compare, difference
from training.data.dataset import Dataset
from training.evaluation import METRICS_NAME, describe_data
from training.experiments import published
from training.experiments.config import ARMS, Run
from training.predictions import Predictions, means, pooled
from training.train import HISTORY_NAME

ALARM: Final = 0.10
"""A gain that synthetic images are not believed without an explanation."""

_KEPT = (
    *("n", "trucks", "calibration_error", "calibration_error_ci"),
    *("hierarchy", "confusion_matrix", "intervals"),
)
_BY_GRADE = (
    *("recall", "recall_ci", "precision", "precision_ci"),
    *("average_precision", "average_precision_ci"),
)


def summary(out: Path, predictions: dict[Run, Predictions], dataset: Dataset) -> dict[str, Any]:
    """data, published and `figures` of study.json; its rows say besides how each run went.

    Figures are made from predictions.csv, so that all rows are of this version of the code.
    """
    runs = list(predictions)
    found = figures(predictions)
    told = [json.loads((run.folder(out) / METRICS_NAME).read_text("utf-8")) for run in runs]
    # Every run has met the same images; earlier versions did not count those of the test split.
    skipped = max((metrics["data"]["skipped"] for metrics in told), default=None)
    rows = zip(runs, told, found["rows"], strict=True)
    return {
        "data": describe_data(dataset, skipped=skipped),
        "published": {"source": published.SOURCE, "accuracy": published.ACCURACY},
        **found,
        "rows": [_row(run, run.folder(out), metrics, row) for run, metrics, row in rows],
    }


def figures(predictions: dict[Run, Predictions]) -> dict[str, Any]:
    """rows, pooled, comparisons, pooled_comparisons and alarms, of runs on the same images.

    rows: one a run. pooled: one a model and arm, over its seeds; intervals keep a truck's images of
    all seeds together, and do not cover how seeds differ: `accuracy_of_seeds` shows that, as far
    as trainings go: synthetic images and their shares are the same for all seeds, but for judged
    arms.
    comparisons: McNemar's tests on the images' labels. p-values are not corrected for their
    number. pooled_comparisons: differences in accuracy over the seeds that both sides have, and of
    each of them alone. alarms: synthetic images that gain more than ALARM over the same training
    without them, or over any where there is none such; a leak would explain that too.
    """
    runs = list(predictions)
    measured = {run: _measured(found) for run, found in predictions.items()}
    both = over_seeds(predictions, measured)
    return {
        "rows": [{**_names(run), **measured[run]} for run in runs],
        "pooled": both["pooled"],
        "comparisons": [
            {
                "first": _names(first),
                "second": _names(second),
                **compare(predictions[first], predictions[second]),
            }
            for first, second in _pairs(runs)
        ],
        "pooled_comparisons": both["pooled_comparisons"],
        "alarms": list(_alarms(both["pooled"], both["pooled_comparisons"])),
    }


def over_seeds(
    predictions: dict[Run, Predictions], measured: dict[Run, dict[str, Any]] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """pooled and pooled_comparisons of `figures` alone. measured: each run's, where it is known."""
    if measured is None:
        measured = {run: _measured(found) for run, found in predictions.items()}
    return {
        "pooled": list(_pooled(list(predictions), measured, predictions)),
        "pooled_comparisons": list(_pooled_comparisons(predictions)),
    }


def _row(
    run: Run, folder: Path, metrics: dict[str, Any], measured: dict[str, Any]
) -> dict[str, Any]:
    row = {
        **_names(run),
        "steps": metrics.get("steps"),
        **measured,
        "synthetic": _synthetic(metrics["config"]),
        "folder": run.name,
        "command": metrics["command"],
        "date": metrics["date"],
        "machine": metrics["machine"],
        "code": metrics["versions"].get("canegrade"),
        **{name: metrics["config"].get(name) for name in ("augment_revision", "weights_pixels")},
    }
    if (folder / HISTORY_NAME).exists():
        history = json.loads((folder / HISTORY_NAME).read_text("utf-8"))
        row["kept_epoch"] = metrics["kept_epoch"]
        row["curve"] = _curve(history["epochs"])
    return row


def _synthetic(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a run has learned from beside its training split, by its configuration; None without."""
    shares = config.get("synthetic_shares")
    if shares is None:
        return None
    return {
        "sha256": config["synthetic_sha256"],
        "shares": {grade.value: share for grade, share in zip(GRADES, shares, strict=True)},
        "shuffled": config["synthetic_shuffled"],
        "until": config.get("synthetic_until"),
        "norms": config.get("synthetic_norms"),
    }


def _measured(predictions: Predictions) -> dict[str, Any]:
    """What a table shows of a model; `truth`: against the true grades, where they differ."""
    found = _figures(predictions.figures(0.0))
    if any(predictions.truth) and predictions.truth != predictions.label:
        found["truth"] = _figures(predictions.figures(0.0, against="truth"))
    return found


def _measured_together(several: Sequence[Predictions]) -> dict[str, Any]:
    """`_measured` of several runs on the same images."""
    found = {**_measured(pooled(several)), **means(several)}
    if "truth" in found:
        found["truth"] = {**found["truth"], **means(several, "truth")}
    return found


def _figures(found: dict[str, Any]) -> dict[str, Any]:
    """Of one set of figures in metrics.json, what a table shows."""
    by_grade = {
        name: {grade.value: found["grades"][grade][name] for grade in GRADES} for name in _BY_GRADE
    }
    return {
        "accuracy": found["accuracy"],
        "accuracy_ci": found["accuracy_ci"],
        "macro_f1": found["macro_f1"],
        "macro_f1_ci": found["macro_f1_ci"],
        **by_grade,
        "images": {grade.value: found["grades"][grade]["n"] for grade in GRADES},
        **{name: found[name] for name in _KEPT},
    }


def _curve(epochs: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    """How training went, epoch by epoch: has it converged?"""
    return {
        name: [round(epoch[name], 4) for epoch in epochs]
        for name in ("train_loss", "val_loss", "val_accuracy", "seconds")
    }


def _pooled(
    runs: Sequence[Run], measured: dict[Run, dict[str, Any]], predictions: dict[Run, Predictions]
) -> Iterator[dict[str, Any]]:
    for (model, arm), same in _groups(runs).items():
        several = [predictions[run] for run in same]
        yield {
            "model": model,
            "arm": arm,
            "seeds": [run.seed for run in same],
            "accuracy_of_seeds": [measured[run]["accuracy"] for run in same],
            **(measured[same[0]] if len(same) == 1 else _measured_together(several)),
        }


def _pooled_comparisons(predictions: dict[Run, Predictions]) -> Iterator[dict[str, Any]]:
    """Arms of a model and models of an arm over their common seeds; baselines with everything."""
    sides = {
        names: {run.seed: predictions[run] for run in same}
        for names, same in _groups(list(predictions)).items()
    }
    for (first, one), (second, other) in combinations(sides.items(), 2):
        simple = None in one  # a baseline: it says the same beside every seed
        seeds = list(other) if simple else [seed for seed in one if seed in other]
        related = simple or (first[0] == second[0]) != (first[1] == second[1])
        if not related or not seeds:
            continue
        ours = [one[None if simple else seed] for seed in seeds]
        theirs = [other[seed] for seed in seeds]
        yield {
            "first": {"model": first[0], "arm": first[1], "seeds": [None] if simple else seeds},
            "second": {"model": second[0], "arm": second[1], "seeds": seeds},
            **difference(pooled(ours), pooled(theirs)),
            "accuracy_difference_of_seeds": [
                accuracy_difference(a, b) for a, b in zip(ours, theirs, strict=True)
            ],
        }


def _alarms(
    arms: Sequence[dict[str, Any]], pairs: Sequence[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """arms: as `pooled` has them. pairs: as `pooled_comparisons` has, of seeds that both have."""
    gained = {
        (pair["first"]["model"], pair["first"]["arm"], pair["second"]["arm"]): pair
        for pair in pairs
        if pair["first"]["model"] == pair["second"]["model"]
    }
    for enriched in arms:
        arm = ARMS[enriched["arm"]]
        if not arm.is_enriched:
            continue
        plain = [
            one
            for one in arms
            if one["model"] == enriched["model"] and not ARMS[one["arm"]].is_enriched
        ]
        # Grades are drawn evenly where further images are; without, plain runs mostly are not so.
        same = ("none", "oversample") if arm.augment == "none" else (arm.augment,)
        alike = [one for one in plain if ARMS[one["arm"]].augment in same]
        for one in alike or plain:
            names = {"model": one["model"], "arm": enriched["arm"], "over": one["arm"]}
            pair = gained.get((one["model"], one["arm"], enriched["arm"]))
            gains = {
                f"{figure}_gain": pair[f"{figure}_difference"]
                if pair is not None
                else enriched[figure] - one[figure]
                for figure in ("accuracy", "macro_f1")
            }
            if max(gains.values()) > ALARM:
                yield {**names, **gains}


def alarms(study: dict[str, Any]) -> Iterator[str]:
    """A line for people on each of a study's alarms."""
    for found in (study, *study["external_tests"]):
        for one in found["alarms"]:
            yield (
                f"leakage alarm: on {found['data']['name']} {one['model']} gains "
                f"{100 * one['accuracy_gain']:+.1f} points of accuracy and "
                f"{100 * one['macro_f1_gain']:+.1f} of macro F1 by {one['arm']} over "
                f"{one['over']}; explain it before you report it"
            )


def _groups(runs: Sequence[Run]) -> dict[tuple[str, str], list[Run]]:
    """The runs of each model and arm, arms in their usual order even where seeds lack some."""
    models = dict.fromkeys(run.model for run in runs)
    groups = {
        (model, arm): [run for run in runs if (run.model, run.arm) == (model, arm)]
        for model in models
        for arm in ARMS
    }
    return {names: same for names, same in groups.items() if same}


def _pairs(runs: Sequence[Run]) -> Iterator[tuple[Run, Run]]:
    """Arms of a model and models of an arm, both of the same seed; baselines with everything."""
    for first, second in combinations(runs, 2):
        if first.seed is not None and second.seed not in (None, first.seed):
            continue
        if first.seed is None or (first.model == second.model) != (first.arm == second.arm):
            yield first, second


def _names(run: Run) -> dict[str, Any]:
    return {"model": run.model, "arm": run.arm, "seed": run.seed}
