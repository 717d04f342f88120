"""The page of a study: Table I, Table II, comparisons, from study.json."""

from __future__ import annotations

from typing import Any

from training.report import course_table, study_plots
from training.report.page import Page, Plot, Section
from training.report.parts import CALIBRATION, INTERVALS, data_section, facts
from training.report.tables import (
    NONE,
    Cell,
    Table,
    grade_name,
    model_name,
    percent,
    percent_of,
    points,
    probability,
    signed,
    table,
)


def page(study: dict[str, Any]) -> Page:
    """From the content of a study.json."""
    config, data = study["config"], study["data"]
    classes = data["classes"]
    best = max(study["pooled"], key=lambda one: float(one["accuracy"]))
    arm = "" if best["seeds"][0] is None else f", {best['arm']}"
    course = study_plots.courses(study)
    in_figures = course_table.courses(study)
    seeds = ", ".join(map(str, config["seeds"]))
    starts = [
        f"{model_name(m)} from {s if s == 'random' else 'given'} weights"
        for m, s in study["start"].items()
    ]
    each = (
        f"{config['steps']} steps of at most {config['batch']} images, {config['size']} x "
        f"{config['size']} px, {config['precision']}, seeds {seeds}; the last "
        "epoch's weights count"
    )
    missing = [("still missing", ", ".join(study["missing"]))] if study["missing"] else []
    left_out = [("left out", f"{model_name(m)}: {why}") for m, why in study["left_out"].items()]
    sections = _alarms(study)
    sections += [
        Section(
            "Table I",
            INTERVALS,
            [_table_1(study, classes)],
            [Plot("accuracy", study_plots.accuracies(study), "Accuracy and macro F1")],
        ),
        Section(
            "Table II",
            "What augmentation gains, beside what the study published. Its figures are from its "
            "own images and say nothing of these; what can be compared is the order and the gains.",
            [_table_2(study)],
        ),
        Section("The hierarchy's questions", CALIBRATION, [_hierarchy(study)]),
    ]
    if any("truth" in one for one in study["pooled"]):
        text = (
            "The same models against the true grades, on the disputed images too, which are the "
            "harder ones."
        )
        sections.append(Section("Against the true grades", text, [_truth(study, classes)]))
    if adjusted := _adjusted(study):
        text = (
            "Images of a scarce grade make a network say it sooner, whether it tells it better or "
            "not. Here every run's decisions are adjusted: each probability is divided by the "
            "grade's share of the training images to the power of τ, which has the best macro F1 "
            "on the validation split (logit adjustment). A gain that is gone here was in where the "
            "line is drawn. Intervals cover other trucks, not other seeds, nor another choice of τ."
        )
        if without := study["adjusted"]["not_adjusted"]:
            text += f" Of earlier versions, and not among them: {', '.join(without)}."
        sections.append(Section("Said sooner, or seen better?", text, adjusted))
    sections += _external(study)
    sections += [
        Section(
            "Where they err",
            "Numbers of test images, over all seeds. Each run's folder has a page of its own, with "
            "precision-recall curves and reliability.",
            (),
            [
                Plot(
                    "confusion-matrices",
                    study_plots.confusion_matrices(study, classes),
                    "Colour: share of the label's images",
                )
            ],
        ),
        Section(
            "Comparisons",
            "McNemar's exact test on the same test images, and the difference in accuracy (second "
            "less first) with its interval by truck. The test takes images as independent and is "
            "not corrected for the number of comparisons. Over several seeds there is only the "
            "difference: its interval covers other trucks, not other seeds.",
            [_comparisons(study), *_over_seeds(study)],
        ),
    ]
    if course is not None and in_figures is not None:
        plot = Plot("courses", course, "Dots: the epoch whose weights were measured")
        text = (
            "Has every arm converged? The learning rate falls to zero, and every curve flattens "
            "with it: a flat end does not show it. A training loss near zero shows that a network "
            "has learnt its images; one still high, or a validation accuracy that rose until the "
            "end, that more steps may help. Whether they do, only a run with more --steps shows. "
            "Where the validation loss was lowest long before the end, stopping early, as the "
            "study did, would have ended there at the latest."
        )
        sections.append(Section("Courses of training", text, [in_figures], [plot]))
    return Page(
        title=f"Study on {data['name']}",
        summary=f"{len(study['rows'])} runs. Best: {model_name(best['model'])}{arm}, "
        f"accuracy {100 * best['accuracy']:.1f} % on {best['n'] // len(best['seeds'])} test images "
        f"of {best['trucks']} trucks.",
        facts=[
            ("each run", each),
            ("start", ", ".join(starts)),
            *missing,
            *left_out,
            *facts(study),
            ("published figures", study["published"]["source"]),
        ],
        sections=[*sections, data_section(data)],
    )


def _alarms(study: dict[str, Any]) -> list[Section]:
    """Gains that are to be explained; older studies name none."""
    rows = [
        [
            found["data"]["name"],
            model_name(one["model"]),
            f"{one['arm']} over {one['over']}",
            signed(one["accuracy_gain"]),
            signed(one["macro_f1_gain"]),
        ]
        for found in (study, *study.get("external_tests", []))
        for one in found.get("alarms", [])
    ]
    if not rows:
        return []
    text = (
        "Further images gain more than ten points here over the same training without them. A "
        "leak would do that too. Before this is reported: are all parents training images (columns "
        "parents and parent_trucks of the set's verdicts.csv)? How many candidates are near-copies "
        "(its done.json)? Is the gain in the scarce grades, and does it last on an external test "
        "set? What does the same set gain with its grades shuffled (arms shuffled and "
        "recoloured-shuffled)? How much is left of it where decisions are adjusted?"
    )
    columns = ["test images", "model", "arm", "accuracy, points", "macro F1, points"]
    return [Section("Leakage alarm", text, [table("Leakage alarm", columns, rows, names=3)])]


def _arm(one: dict[str, Any]) -> str:
    return NONE if one["seeds"][0] is None else str(one["arm"])


def _figures(one: dict[str, Any]) -> list[Cell]:
    recalls = [percent_of(one, "recall", grade) for grade in one["recall"]]
    return [percent(one, "accuracy"), percent(one, "macro_f1"), *recalls]


def _columns(study: dict[str, Any], classes: dict[str, str]) -> list[str]:
    grades = [f"recall {grade_name(grade, classes)}" for grade in study["pooled"][0]["recall"]]
    return ["model", "arm", "accuracy", "macro F1", *grades]


def _table_1(study: dict[str, Any], classes: dict[str, str]) -> Table:
    published = study["published"]["accuracy"]
    rows: list[list[Cell | str]] = []
    for one in study["pooled"]:
        theirs = published.get(one["model"], {}).get(one["arm"])
        row: list[Cell | str] = [model_name(one["model"]), _arm(one), *_figures(one)]
        row += _of_seeds(study, one)
        rows.append([*row, NONE if theirs is None else f"{100 * theirs:.1f}"])
    return table(
        "Table I. Test split, all arms with equally many optimiser steps",
        [*_columns(study, classes), *_seeds_column(study), "published accuracy"],
        rows,
        names=2,
        note="Colour histogram, frozen features: logistic regression on 512 colours, and on the "
        "features of an EfficientNet-Lite0 trained on ImageNet.",
    )


def _seeds_column(study: dict[str, Any]) -> list[str]:
    return ["accuracy of each seed"] if len(study["config"]["seeds"]) > 1 else []


def _of_seeds(study: dict[str, Any], one: dict[str, Any]) -> list[str]:
    """The cell of that column; none where there is no such column."""
    found = " / ".join(f"{100 * accuracy:.1f}" for accuracy in one["accuracy_of_seeds"])
    return [found] if _seeds_column(study) else []


def _external(study: dict[str, Any]) -> list[Section]:
    """One for each external test set; older studies have none."""
    sections = []
    for found in study.get("external_tests", []):
        name = f"External test set {found['data']['name']}"
        seen = {**found, "config": study["config"]}
        first = found["rows"][0]
        rows: list[list[Cell | str]] = [
            [model_name(one["model"]), _arm(one), *_figures(one), *_of_seeds(study, one)]
            for one in found["pooled"]
        ]
        columns = [*_columns(found, found["data"]["classes"]), *_seeds_column(study)]
        text = (
            f"{first['n']} labelled images of {first['trucks']} trucks, none of them the study's; "
            f"digest {found['data']['digest']}. Runs that were not asked about them are missing."
        )
        tables = [
            table(f"{name}: accuracy and recall", columns, rows, names=2),
            _comparisons(seen, of=f"{name}: "),
            *_over_seeds(seen, of=f"{name}: "),
            *_adjusted(seen, of=f"{name}: "),
        ]
        sections.append(Section(name, text, tables))
    return sections


def _truth(study: dict[str, Any], classes: dict[str, str]) -> Table:
    rows: list[list[Cell | str]] = [
        [model_name(one["model"]), _arm(one), *_figures(one["truth"])]
        for one in study["pooled"]
        if "truth" in one
    ]
    return table("Test split with disputed images", _columns(study, classes), rows, names=2)


def _table_2(study: dict[str, Any]) -> Table:
    published = study["published"]["accuracy"]
    arms = study["config"]["arms"]
    published_arms = [arm for arm in arms if any(arm in theirs for theirs in published.values())]
    rows: list[list[Cell | str]] = []
    for model in study["config"]["models"]:
        found = {one["arm"]: one for one in study["pooled"] if one["model"] == model}
        if not found:
            continue
        row: list[Cell | str] = [model_name(model)]
        row += [percent(found[arm], "accuracy") if arm in found else NONE for arm in arms]
        row += [_gain(study, model, arms[0], arm) for arm in arms[1:]]
        theirs = published.get(model, {})
        row += [f"{100 * theirs[arm]:.1f}" if arm in theirs else NONE for arm in published_arms]
        rows.append(row)
    return table(
        "Table II. Accuracy by model and arm",
        [
            "model",
            *arms,
            *(f"gain of {arm}, points" for arm in arms[1:]),
            *(f"published, {arm}" for arm in published_arms),
        ],
        rows,
    )


def _gain(study: dict[str, Any], model: str, first: str, second: str) -> Cell | str:
    """Over the seeds that both arms have, with its interval by truck."""
    for one in study["pooled_comparisons"]:
        if one["first"]["model"] == one["second"]["model"] == model and (
            (one["first"]["arm"], one["second"]["arm"]) == (first, second)
        ):
            return points(one, "accuracy_difference")
    return NONE


def _hierarchy(study: dict[str, Any]) -> Table:
    rows: list[list[Cell | str]] = [
        [
            model_name(one["model"]),
            _arm(one),
            percent(one["hierarchy"]["sugarcane"], "accuracy"),
            *(percent(one["hierarchy"]["burnt"], n) for n in ("accuracy", "precision", "recall")),
            *(percent(one["hierarchy"]["trash"], n) for n in ("accuracy", "precision", "recall")),
            percent(one, "calibration_error"),
        ]
        for one in study["pooled"]
    ]
    questions = [
        f"{q}? {what}" for q in ("burnt", "trash") for what in ("right", "precision", "recall")
    ]
    columns = ["model", "arm", "sugarcane? right", *questions, "calibration error"]
    return table("Right answers, and precision and recall of “yes”", columns, rows, names=2)


_POINTS = ("accuracy, points", "macro F1, points")


def _differences(one: dict[str, Any]) -> list[Cell | str]:
    """Under _POINTS, of a pair; earlier versions have said nothing of macro F1."""
    name = "macro_f1_difference"
    return [points(one, "accuracy_difference"), points(one, name) if name in one else NONE]


def _comparisons(study: dict[str, Any], *, of: str = "") -> Table:
    several = len(study["config"]["seeds"]) > 1
    rows: list[list[Cell | str]] = [
        [
            _name(one["first"], several=several),
            _name(one["second"], several=several),
            str(one["only_first_right"]),
            str(one["only_second_right"]),
            *_differences(one),
            probability(one["p_value"]),
        ]
        for one in study["comparisons"]
    ]
    columns = ["first", "second", "only first right", "only second right", *_POINTS, "p"]
    return table(f"{of}{len(rows)} comparisons", columns, rows, names=2)


def _over_seeds(study: dict[str, Any], *, of: str = "") -> list[Table]:
    """Nothing where there is one seed: the table above has the same differences."""
    if len(study["config"]["seeds"]) == 1:
        return []
    return [_differences_of_seeds(study, f"{of}over all seeds" if of else "Over all seeds")]


def _differences_of_seeds(found: dict[str, Any], caption: str) -> Table:
    """Its pooled_comparisons."""
    rows: list[list[Cell | str]] = [
        [
            _name(one["first"]),
            _name(one["second"]),
            ", ".join(NONE if seed is None else str(seed) for seed in one["second"]["seeds"]),
            *_differences(one),
            " / ".join(map(signed, one.get("accuracy_difference_of_seeds", []))),
        ]
        for one in found["pooled_comparisons"]
    ]
    columns = ["first", "second", "seeds", *_POINTS, "accuracy, points of each seed"]
    return table(caption, columns, rows, names=3)


def _adjusted(study: dict[str, Any], *, of: str = "") -> list[Table]:
    """Figures and differences of adjusted runs; none of older studies."""
    found = study.get("adjusted", {})
    if not found.get("pooled"):
        return []
    rows: list[list[Cell | str]] = [
        [
            model_name(one["model"]),
            _arm(one),
            ", ".join(map(str, one["seeds"])),
            " / ".join(f"{tau:.2f}".replace("-", "−") for tau in one["tau"]),
            *_figures(one),
        ]
        for one in found["pooled"]
    ]
    model, arm, *figures = _columns(found, study["data"]["classes"])
    caption = f"{of}adjusted decisions" if of else "Adjusted decisions"
    tables = [table(caption, [model, arm, "seeds", "τ of each", *figures], rows, names=4)]
    if found["pooled_comparisons"]:
        tables.append(_differences_of_seeds(found, f"{caption}: differences"))
    return tables


def _name(one: dict[str, Any], *, several: bool = False) -> str:
    """Of a run, or of a model and arm over its seeds."""
    seeds = one["seeds"] if "seeds" in one else [one["seed"]]
    if seeds[0] is None:  # a baseline
        return model_name(one["model"])
    return f"{model_name(one['model'])}, {one['arm']}" + (f", seed {seeds[0]}" if several else "")
