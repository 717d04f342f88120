"""`cane-train adjust`: a model that decides for the mixture of loads that a mill has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from training.adjusting import adjust
from training.console import RichReport, grade_shares


def adjust_command(
    checkpoint: Annotated[Path, typer.Option(help="Run folder of cane-train fit or study.")],
    data: Annotated[Path, typer.Option(help="The folder it was trained on.")],
    out: Annotated[Path, typer.Option(help="A new run folder, for the adjusted model.")],
    mixture: Annotated[
        list[str] | None,
        typer.Option(
            help="GRADE=SHARE: how often it comes where the model is to grade, 1 for all loads. "
            "Several times; by default as among the validation images."
        ),
    ] = None,
    tau: Annotated[
        float | None,
        typer.Option(
            help="Divide probabilities by the grade's share of the training images to this power. "
            "By default validation images, counted by the mixture, choose both numbers.",
            min=-5.0,
            max=5.0,
        ),
    ] = None,
    toward: Annotated[
        float | None,
        typer.Option(
            help="Multiply probabilities by the grade's share of the mixture to this power.",
            min=-5.0,
            max=5.0,
        ),
    ] = None,
) -> None:
    """Move where a trained model draws the line between grades; nothing is trained."""
    shares = grade_shares("--mixture", mixture) if mixture else None
    with RichReport() as report:
        metrics = adjust(checkpoint, data, out, report, mixture=shares, tau=tau, toward=toward)
        report.say(_summary(metrics))


def _summary(metrics: dict[str, Any]) -> str:
    """One line on what has changed on the test split."""
    adjusted, now = metrics["adjusted_for"], metrics["test_at_mixture"]
    before = adjusted["test"]["before_at_mixture"]
    shares = ", ".join(f"{share:.1%} {grade}" for grade, share in adjusted["mixture"].items())
    figures = ", ".join(
        f"{what} {_percent(before[name])} before, {_percent(now[name])} now"
        f"{_interval(adjusted['test'][f'{name}_difference_ci'])}"
        for name, what in (("accuracy", "accuracy"), ("macro_f1", "macro F1"))
    )
    numbers = f"tau {adjusted['tau']:g}, toward {adjusted['toward']:g}"
    return f"{numbers}, for {shares}. On the test split at this mixture: {figures}"


def _percent(figure: float | None) -> str:
    return "unknown" if figure is None else f"{figure:.1%}"


def _interval(ci: list[float] | None) -> str:
    return (
        ""
        if ci is None
        else " (difference {:+.1f} to {:+.1f} points)".format(*(100 * bound for bound in ci))
    )
