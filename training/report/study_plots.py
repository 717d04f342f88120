"""Plots of a whole study: accuracies with intervals, confusion matrices, courses of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from training.report.plots import COLOURS, GREY, draw_confusion
from training.report.tables import model_name

_LEAST_LOSS: Final = 5e-5
"""What study.json, with four digits, calls 0."""


def accuracies(study: dict[str, Any]) -> Figure:
    """A line a model and arm: accuracy and macro F1 with intervals, the published figure beside."""
    pooled = study["pooled"]
    figure = Figure(figsize=(11.4, 1.2 + 0.36 * len(pooled)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    names = []
    for y, one in enumerate(pooled):
        colour = COLOURS[list(dict.fromkeys(p["model"] for p in pooled)).index(one["model"])]
        for axes, name in ((left, "accuracy"), (right, "macro_f1")):
            interval = one[f"{name}_ci"]
            if interval:
                axes.plot([100 * edge for edge in interval], [y, y], color=colour, lw=3, alpha=0.45)
            axes.plot(100 * one[name], y, "o", color=colour, ms=7)
        theirs = study["published"]["accuracy"].get(one["model"], {}).get(one["arm"])
        if theirs is not None:
            left.plot(100 * theirs, y, "D", mfc="white", mec=GREY, ms=6)
        names.append(
            f"{model_name(one['model'])}, {one['arm']}"
            if one["seeds"][0] is not None
            else model_name(one["model"])
        )
    left.set_yticks(range(len(names)), names)
    left.set_ylim(len(names) - 0.4, -0.6)
    for axes, title in ((left, "accuracy, %"), (right, "macro F1, %")):
        axes.set_xlabel(title)
        axes.grid(axis="x", alpha=0.25)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    figure.supxlabel(
        "dot: measured here, with its 95 % interval by truck; diamond: published, on other images",
        fontsize=9,
        color=GREY,
    )
    return figure


def confusion_matrices(study: dict[str, Any], classes: Mapping[str, str]) -> Figure:
    """One a model and arm, over all seeds."""
    pooled = study["pooled"]
    columns = min(3, len(pooled))
    rows = -(-len(pooled) // columns)
    figure = Figure(figsize=(3.8 * columns, 3.6 * rows), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.12)  # type: ignore[union-attr, call-arg]
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, one in zip(grid, pooled, strict=False):
        draw_confusion(axes, one["confusion_matrix"], classes)
        arm = f", {one['arm']}" if one["seeds"][0] is not None else ""
        axes.set_title(f"{model_name(one['model'])}{arm}", fontsize=11)
    for axes in grid[len(pooled) :]:
        axes.set_axis_off()
    return figure


def courses(study: dict[str, Any]) -> Figure | None:
    """Losses and validation accuracy by epoch, the mean of the seeds, a column a model. Dots: whose
    weights count."""
    rows = [row for row in study["rows"] if "curve" in row]
    if not rows:
        return None
    models = list(dict.fromkeys(row["model"] for row in rows))
    # One model has most of the arms, in their usual order.
    by_model = [list(dict.fromkeys(r["arm"] for r in rows if r["model"] == m)) for m in models]
    arms = dict.fromkeys(arm for of_one in sorted(by_model, key=len)[::-1] for arm in of_one)
    colours = _colours(list(arms))
    figure = Figure(figsize=(1.0 + 3.6 * max(2, len(models)), 5.6), layout="constrained")
    panels = figure.subplots(2, len(models), squeeze=False, sharex="col", sharey="row")
    for (losses, accuracies), model, its_arms in zip(panels.T, models, by_model, strict=True):
        for arm in its_arms:
            seeds = [row for row in rows if (row["model"], row["arm"]) == (model, arm)]
            for axes, name, style in (
                (losses, "val_loss", "-"),
                (losses, "train_loss", ":"),
                (accuracies, "val_accuracy", "-"),
            ):
                curve = np.mean([row["curve"][name] for row in seeds], axis=0)
                if axes is losses:
                    curve = np.maximum(curve, _LEAST_LOSS)
                epochs = range(1, len(curve) + 1)
                axes.plot(epochs, curve, color=colours[arm], lw=1.4, ls=style)
                if style == "-":
                    kept = sorted({row["kept_epoch"] for row in seeds})
                    of_kept = [curve[epoch - 1] for epoch in kept]
                    axes.plot(kept, of_kept, "o", color=colours[arm], ms=5)
        losses.set(title=model_name(model))
        accuracies.set(xlabel="epoch")
        accuracies.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in panels.flat:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    # A network that has learnt its images and one that has not differ by factors; and the first
    # losses, before batch norm knows the data, would flatten all others.
    panels[0, 0].set_yscale("log")
    panels[0, 0].set_ylabel("loss, nats")
    panels[1, 0].set_ylim(0, 1)
    panels[1, 0].set_ylabel("validation accuracy")
    figure.legend(
        [
            *(Line2D([], [], color=colour) for colour in colours.values()),
            *(Line2D([], [], color=GREY, ls=style) for style in ("-", ":")),
        ],
        [*colours, "validation", "training"],
        loc="outside lower center",
        ncols=4,
        frameon=False,
    )
    return figure


def _colours(arms: Sequence[str]) -> dict[str, Any]:
    """One for each arm; of more arms than COLOURS has, from violet to red."""
    if len(arms) <= len(COLOURS):
        return dict(zip(arms, COLOURS, strict=False))
    return dict(zip(arms, colormaps["turbo"](np.linspace(0, 1, len(arms))), strict=True))
