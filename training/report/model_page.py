"""The page of one model, from its metrics.json."""

from __future__ import annotations

from typing import Any, Final

from training.report import plots
from training.report.page import Page, Plot, Section
from training.report.parts import CALIBRATION, INTERVALS, data_section, facts
from training.report.tables import (
    NONE,
    Cell,
    Table,
    grade_name,
    model_name,
    percent,
    points,
    table,
)

_TITLES: Final = {
    "train": "Training split",
    "val": "Validation split",
    "test": "Test split",
    "all": "All images",
}
_QUESTIONS: Final = {
    "sugarcane": "sugarcane at all?",
    "burnt": "burnt?",
    "trash": "trash?",
}


def page(metrics: dict[str, Any]) -> Page:
    """From the content of a metrics.json of `cane-train fit`, `evaluate` or a study's baseline."""
    model = metrics.get("model", metrics.get("config", {}))
    keys = [key for key in _TITLES if key in metrics]
    first = metrics[keys[0]]
    classes = metrics["data"]["classes"]
    sections = []
    for key in keys:
        sections += [_section(key, metrics[key], classes, _TITLES[key])]
        if (at_mixture := metrics.get(f"{key}_at_mixture")) is not None:
            adjusted = metrics.get("adjusted_for", {}).get(key)
            sections.append(_at_mixture(at_mixture, adjusted, classes, _TITLES[key]))
        for column, parts in metrics.get(f"{key}_by", {}).items():
            sections.append(_parts(column, parts))
        truth = f"{key}_truth"
        if truth in metrics:
            title = f"{_TITLES[key]}, against the true grades"
            sections.append(_section(truth, metrics[truth], classes, title))
    levels = {key: metrics.get(f"{key}_level") for key in ("validation", *keys)}
    if told := {key: found for key, found in levels.items() if found is not None}:
        sections.append(_level(told))
    return Page(
        title=f"{model_name(model['classifier'])} on {metrics['data']['name']}",
        summary=f"Accuracy {percent(first, 'accuracy').text} %, macro F1 "
        f"{percent(first, 'macro_f1').text} % on {first['n']} images of {first['trucks']} trucks.",
        facts=[
            *(("warning", text) for text in metrics.get("warnings", [])),
            *_model_facts(metrics, model),
            *facts(metrics),
        ],
        sections=[*sections, data_section(metrics["data"])],
    )


def _model_facts(metrics: dict[str, Any], model: dict[str, Any]) -> list[tuple[str, str]]:
    found = [("input", f"{model['size']} x {model['size']} px")]
    if "steps" in metrics:
        course = (
            f"{metrics['steps']} steps of at most {model['batch']} images; epoch "
            f"{metrics['kept_epoch']} of {metrics['epochs']} was kept; augmentation "
            f"{model['augment']}; seed {model['seed']}"
        )
        found.append(("training", course))
    if (threshold := metrics.get("confidence_threshold")) is not None:
        found.append(("asks a person", f"where the confidence is below {threshold:.3f}"))
    if (known := metrics.get("learned_from")) is not None:
        found.append(("learned from", f"{known} of these images"))
    return found


def _section(key: str, figures: dict[str, Any], classes: dict[str, str], title: str) -> Section:
    return Section(
        title,
        "" if key.endswith("_truth") else f"{INTERVALS} {CALIBRATION}",
        [_whole(figures), _grades(figures, classes), _hierarchy(figures)],
        [
            Plot(
                f"{key}-confusion-matrix",
                plots.confusion_matrix(figures, classes),
                "Number of images; colour: share of the label's images",
            ),
            Plot(
                f"{key}-reliability",
                plots.reliability(figures),
                "How often it is right against how sure it is; large dots hold more images",
            ),
            Plot(
                f"{key}-precision-recall",
                plots.precision_recall(figures, classes),
                "Each grade against the rest, at falling thresholds (AP: average precision)",
            ),
        ],
    )


def _at_mixture(
    now: dict[str, Any], adjusted: dict[str, Any] | None, classes: dict[str, str], title: str
) -> Section:
    """adjusted: how it was before, and the difference; None where only the model as it is is
    known."""
    states = [("adjusted", now)]
    if adjusted:
        states.insert(0, ("before", adjusted["before_at_mixture"]))
    rows: list[list[Cell | str]] = [
        [name, *(percent(found, figure) for figure in ("accuracy", "macro_f1", "asks_a_person"))]
        for name, found in states
    ]
    if adjusted:
        differences = (points(adjusted, f"{name}_difference") for name in ("accuracy", "macro_f1"))
        rows.append(["difference, points", *differences, NONE])
    grades: list[list[Cell | str]] = [
        [
            grade_name(grade, classes),
            percent(now["mixture"], grade),
            str(now["grades"][grade]["n"]),
            *(percent(found["grades"][grade], name) for name in _OF_GRADES for _, found in states),
        ]
        for grade in now["mixture"]
    ]
    told = [f"{name}, {state}" for name in _OF_GRADES for state, _ in states]
    columns = ["grade", "of all loads", "images", *told]
    return Section(
        f"{title}, at the mixture that decisions are adjusted for",
        "As if grades had come as often as they are to come where the model grades; what each is "
        "taken for stays the same. Where they come otherwise, adjust for that.",
        [
            table(
                "All grades together, at the mixture",
                ["", "accuracy", "macro F1", "asks a person"],
                rows,
            ),
            table("Grade by grade, at the mixture", columns, grades),
        ],
        [],
    )


_OF_GRADES: Final = ("precision", "recall")


def _level(levels: dict[str, dict[str, Any]]) -> Section:
    """levels: figures of the second head by what it was measured on."""
    rows: list[list[Cell | str]] = []
    for key, found in levels.items():
        interval = " … ".join(_signed(end) for end in found["better_by_ci"] or ())
        rows.append(
            [
                _TITLES.get(key, _TITLES["val"]),
                f"{found['mean_absolute_error']:.1f}",
                f"{found['of_the_guess_by_grade']:.1f}",
                Cell(_signed(found["better_by"]), interval),
                f"{found['mean_width']:.0f}",
                f"{100 * found['within_the_interval']:.0f} %",
                str(found["n"]),
            ]
        )
    note = ""
    if "validation" in levels:
        earns = levels["validation"]["earns_its_place"]
        note = "It earns its place." if earns else "It does not: no bundle takes it along."
    columns = ["", "error", "of the guess", "better by", "interval's width", "within it", "loads"]
    return Section(
        "How much trash",
        "The second head's estimate, 0 to 100, beside what one would guess from the grade alone: "
        "mean absolute errors in points. The validation split decides whether it is exported, and "
        "set the interval: of its loads as many lie within as were asked for.",
        [table("The share of trash", columns, rows, note=note)],
    )


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _parts(column: str, parts: list[dict[str, Any]]) -> Section:
    names = {
        "accuracy": "accuracy",
        "macro_f1": "macro F1",
        "calibration_error": "calibration error",
        "asks_a_person": "asks a person",
    }
    rows: list[list[Cell | str]] = [
        [
            part["value"] or NONE,
            *(percent(part, name) for name in names),
            str(part["n"]),
            str(part["trucks"]),
        ]
        for part in parts
    ]
    columns = [column, *names.values(), "images", "trucks"]
    return Section(f"By {column}", "", [table(f"Each {column}", columns, rows)], [])


def _whole(figures: dict[str, Any]) -> Table:
    names = {
        "accuracy": "accuracy",
        "macro_f1": "macro F1",
        "calibration_error": "calibration error",
        "asks_a_person": "asks a person",
        "accuracy_when_sure": "accuracy when it does not",
    }
    cells = [percent(figures, name) for name in names]
    counts = [str(figures["n"]), str(figures["trucks"])]
    columns = ["", *names.values(), "images", "trucks"]
    return table("All grades together", columns, [["all grades", *cells, *counts]])


def _grades(figures: dict[str, Any], classes: dict[str, str]) -> Table:
    rows: list[list[Cell | str]] = []
    for grade, found in figures["grades"].items():
        cells = [
            percent(found, name, of=found["n"])
            for name in ("precision", "recall", "f1", "average_precision")
        ]
        rows.append([grade_name(grade, classes), *cells, str(found["n"]), str(found["trucks"])])
    columns = ["grade", "precision", "recall", "F1", "average precision", "images", "trucks"]
    return table("Grade by grade", columns, rows)


def _hierarchy(figures: dict[str, Any]) -> Table:
    rows: list[list[Cell | str]] = []
    for question, found in figures["hierarchy"].items():
        cells = [
            percent(found, "accuracy", of=found["n"]),
            *(percent(found, name, of=found["yes"]) for name in ("precision", "recall")),
        ]
        rows.append([_QUESTIONS[question], *cells, str(found["yes"]), str(found["n"])])
    columns = ["question", "right", "precision of yes", "recall of yes", "yes", "images"]
    return table(
        "The hierarchy's questions",
        columns,
        rows,
        note="“Undefined” said of cane answers the later questions wrongly too.",
    )
