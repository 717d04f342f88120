"""`cane-train`: labelled images in, a calibrated and evaluated classifier out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from edge_agent.grades import GRADES
from training import parallel
from training.adjusting_cli import adjust_command
from training.classifiers.pixels import Pixels
from training.classifiers.registry import CLASSIFIERS
from training.config import Augment, FitConfig, Keep, Norms, Schedule
from training.console import OneLineErrors, RichReport, choice, seconds
from training.data.cli import app as data_app
from training.data.labels import AGREEMENT
from training.evaluation_cli import compare_command, evaluate_command, report_command
from training.experiments.cli import study_command
from training.mixture import Synthetic
from training.options import Agreement, AskedPrecision, DataOption, require_weights
from training.synthesis.cli import conditioning_command, sheet_command, synthesize_command
from training.train import fit, train_summary

app = typer.Typer(
    cls=OneLineErrors,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train and evaluate classifiers of cane loads.",
)
app.add_typer(data_app, name="data")


@app.command("fit")
def fit_command(
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Run folder; an unfinished run in it goes on.")],
    classifier: Annotated[str, typer.Option(help=f"One of {', '.join(CLASSIFIERS)}.")] = (
        "mobilenetv2"
    ),
    size: Annotated[int, typer.Option(help="Input width and height, px.", min=32, max=1024)] = 128,
    epochs: Annotated[int | None, typer.Option(help="At most so many; 50 by default.", min=1)] = (
        None
    ),
    steps: Annotated[
        int | None, typer.Option(help="Instead of --epochs: so many optimiser steps.", min=1)
    ] = None,
    batch: Annotated[
        int, typer.Option(help="Images a step, at most, over all processes together.", min=2)
    ] = 64,
    learning_rate: Annotated[float, typer.Option(help="Adam's, at its highest.")] = 1e-3,
    schedule: Annotated[str, typer.Option(help="cosine or constant.")] = "cosine",
    label_smoothing: Annotated[float, typer.Option(min=0.0, max=0.5)] = 0.0,
    patience: Annotated[
        int | None,
        typer.Option(
            help="Stop after so many epochs without a better validation loss; 5 by default, "
            "never with --steps.",
            min=1,
        ),
    ] = None,
    keep: Annotated[
        str, typer.Option(help="Whose weights count: best (validation loss), or the last epoch.")
    ] = "best",
    seed: Annotated[int, typer.Option(help="Of splits, weights, order, augmentation.", min=0)] = 1,
    augment: Annotated[
        str,
        typer.Option(
            help="none; oversample: grades balanced, nothing varied; study: its five operations, "
            "grades balanced; camera: these and colour, blur, noise, JPEG."
        ),
    ] = "study",
    precision: AskedPrecision = "auto",
    agreement: Agreement = AGREEMENT,
    level_weight: Annotated[
        float | None,
        typer.Option(
            help="Train a second head for the share of trash, where the manifest's column "
            "trash_share knows it; its loss counts so much, such as 3.",
            min=0.001,
        ),
    ] = None,
    synthetic: Annotated[
        Path | None,
        typer.Option(
            help="Learn from these images too: a set of cane-train synthesize made of --data, or "
            "labelled images that are none of its."
        ),
    ] = None,
    synthetic_share: Annotated[
        float | None,
        typer.Option(
            help="Of the images of a grade that are drawn, how many are synthetic; 0.5 by default.",
            min=0.01,
            max=0.99,
        ),
    ] = None,
    synthetic_norms: Annotated[
        str | None,
        typer.Option(help="auxiliary: synthetic images have batch norms of their own."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Start from this file (timm's or torchvision's names), or hub."),
    ] = None,
    weights_pixels: Annotated[
        Pixels | None,
        typer.Option(
            help="What pixel values those weights were trained on; by default what the hub says, "
            "unit for a model of cane-train, imagenet for other files."
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads; all by default.", min=1)] = None,
    max_time: Annotated[
        str | None, typer.Option(help="Stop after this time (25m, 1h30m); the run can go on later.")
    ] = None,
    save_every: Annotated[str, typer.Option(help="Time between two checkpoints.")] = "1m",
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder for TensorBoard's event files.")
    ] = None,
) -> None:
    """Train, calibrate and evaluate; the same command again resumes after a kill."""
    if epochs and steps:
        raise typer.BadParameter("--epochs and --steps exclude each other; give one")
    config = FitConfig.model_validate(
        {
            "classifier": classifier,
            "size": size,
            "epochs": None if steps else epochs or 50,
            "steps": steps,
            "batch": batch,
            "learning_rate": learning_rate,
            "schedule": choice("--schedule", schedule, get_args(Schedule)),
            "label_smoothing": label_smoothing,
            "patience": patience or (None if steps else 5),
            "keep": choice("--keep", keep, get_args(Keep)),
            "seed": seed,
            "augment": choice("--augment", augment, get_args(Augment)),
            "precision": parallel.chosen(precision),
            "agreement": agreement,
            "level_weight": level_weight,
            "synthetic_norms": synthetic_norms
            and choice("--synthetic-norms", synthetic_norms, get_args(Norms)),
        }
    )
    further = None
    if synthetic is not None:
        share = 0.5 if synthetic_share is None else synthetic_share
        further = Synthetic(synthetic, (share,) * len(GRADES))
    elif synthetic_share is not None or synthetic_norms is not None:
        option = "--synthetic-norms" if synthetic_share is None else "--synthetic-share"
        raise typer.BadParameter(f"{option} is of the images of --synthetic; give these")
    require_weights(weights, weights_pixels)
    try:
        with RichReport(quiet=not parallel.is_main()) as report:
            metrics = fit(
                data,
                out,
                config,
                report,
                weights=weights,
                pixels=weights_pixels,
                synthetic=further,
                threads=threads,
                max_seconds=seconds(max_time) if max_time else float("inf"),
                save_every=seconds(save_every),
                tensorboard=tensorboard,
            )
            if metrics is not None:  # else time is up, and that has been said
                report.say(train_summary(metrics))
    finally:
        parallel.leave()


for name, command in (
    ("adjust", adjust_command),
    ("evaluate", evaluate_command),
    ("compare", compare_command),
    ("report", report_command),
    ("study", study_command),
    ("synthesize", synthesize_command),
    ("sheet", sheet_command),
    ("conditioning", conditioning_command),
):
    app.command(name)(command)


if __name__ == "__main__":
    app()
