"""Plots of one set of figures: confusion matrix, precision against recall, reliability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.report.tables import grade_name

COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
"""Okabe and Ito's, told apart by colour-blind people too."""

GREY: Final = "#666666"


def confusion_matrix(figures: dict[str, Any], classes: Mapping[str, str]) -> Figure:
    """Counts, and shares of each label in colour."""
    figure = Figure(figsize=(5.2, 4.6), layout="constrained")
    draw_confusion(figure.add_subplot(), figures["confusion_matrix"], classes)
    return figure


def draw_confusion(axes: Axes, matrix: dict[str, Any], classes: Mapping[str, str]) -> None:
    """A confusion matrix of metrics.json on these axes; grades that never occur are left out."""
    counts = np.array(matrix["counts"])
    shown = [i for i in range(len(counts)) if counts[i].sum() + counts[:, i].sum()]
    counts = counts[np.ix_(shown, shown)]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        colour = "white" if shares[i, j] > 0.55 else "black" if count else "#bbbbbb"
        axes.text(j, i, str(count), ha="center", va="center", color=colour)
    names = [grade_name(matrix["grades"][i], dict(classes)) for i in shown]
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("model")
    axes.set_ylabel("label")
    axes.tick_params(length=0)


def precision_recall(figures: dict[str, Any], classes: Mapping[str, str]) -> Figure:
    """One curve a grade, with its average precision."""
    figure = Figure(figsize=(7.6, 4.6), layout="constrained")
    axes = figure.add_subplot()
    for i, (grade, curve) in enumerate(figures["pr_curves"].items()):
        area = figures["grades"][grade]["average_precision"]
        name = f"{grade_name(grade, dict(classes))}, AP {area:.2f}"
        # Between two points, the precision of the higher recall is what can be had.
        axes.step(
            curve["recall"], curve["precision"], where="pre", color=COLOURS[i], label=name, lw=1.8
        )
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
    axes.grid(alpha=0.25)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    _open(axes)
    return figure


def reliability(figures: dict[str, Any]) -> Figure:
    """How often the model is right against how sure it is; dots as large as they hold images."""
    figure = Figure(figsize=(5.0, 4.6), layout="constrained")
    axes = figure.add_subplot()
    bins: Sequence[Mapping[str, float]] = figures["reliability"]
    n = np.array([b["n"] for b in bins])
    axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--")
    sure, right = [b["confidence"] for b in bins], [b["accuracy"] for b in bins]
    axes.plot(sure, right, color=COLOURS[0], lw=1.2)
    axes.scatter(
        sure, right, s=20 + 200 * n / n.max(), color=COLOURS[0], alpha=0.7, lw=0, clip_on=False
    )
    error = f"calibration error {100 * figures['calibration_error']:.1f} points"
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1.03), ylim=(0, 1.03), title=error)
    axes.grid(alpha=0.25)
    _open(axes)
    return figure


def _open(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
