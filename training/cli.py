"""`cane-train`: labelled images in, a calibrated and evaluated classifier out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from training import parallel
from training.classifiers.pixels import Pixels
from training.classifiers.registry import CLASSIFIERS
from training.comparison import compare
from training.config import Augment, FitConfig, Precision, Schedule
from training.console import OneLineErrors, RichReport, seconds
from training.data.cli import app as data_app
from training.data.dataset import Dataset
from training.data.importing import folder
from training.data.labels import LabelSource
from training.data.manifest import Split
from training.data.merge import merge
from training.evaluation import evaluate
from training.foreign import open_labelled
from training.model import TrainedModel
from training.predictions import Against, Predictions
from training.train import fit, train_summary

app = typer.Typer(
    cls=OneLineErrors,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train and evaluate classifiers of cane loads.",
)
app.add_typer(data_app, name="data")

DataOption = Annotated[
    Path, typer.Option("--data", help="Folder with manifest.csv, or the CSV file itself.")
]


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
    seed: Annotated[int, typer.Option(help="Of splits, weights, order, augmentation.", min=0)] = 1,
    augment: Annotated[
        str,
        typer.Option(
            help="none; study: its five operations, grades balanced; "
            "camera: these and colour, blur, noise, JPEG."
        ),
    ] = "study",
    precision: Annotated[
        str, typer.Option(help="fp32, bf16, fp16, or auto: 16 bits where the hardware is made so.")
    ] = "auto",
    agreement: Annotated[
        float, typer.Option(help="Share of votes that makes a label.", min=0.01, max=1.0)
    ] = 0.6,
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
            "schedule": _choice("--schedule", schedule, get_args(Schedule)),
            "label_smoothing": label_smoothing,
            "patience": patience or (None if steps else 5),
            "seed": seed,
            "augment": _choice("--augment", augment, get_args(Augment)),
            "precision": (
                parallel.best_precision()
                if precision == "auto"
                else _choice("--precision", precision, ("auto", *get_args(Precision)))
            ),
            "agreement": agreement,
        }
    )
    try:
        with RichReport(quiet=not parallel.is_main()) as report:
            metrics = fit(
                data,
                out,
                config,
                report,
                weights=weights,
                pixels=weights_pixels,
                threads=threads,
                max_seconds=seconds(max_time) if max_time else float("inf"),
                save_every=seconds(save_every),
                tensorboard=tensorboard,
            )
            if metrics is not None:
                report.say(train_summary(metrics))
    finally:
        parallel.leave()


@app.command("evaluate")
def evaluate_command(
    checkpoint: Annotated[Path, typer.Option(help="Run folder, or its model.safetensors.")],
    data: Annotated[
        Path,
        typer.Option(help="Manifest, folder with one, or folder with a sub-folder for each grade."),
    ],
    split: Annotated[str, typer.Option(help="train, val, test or all.")] = "all",
    labels: Annotated[
        str, typer.Option(help="auto, votes, or truth: the manifest's column grade.")
    ] = "auto",
    agreement: Annotated[float, typer.Option(min=0.01, max=1.0)] = 0.6,
    class_map: Annotated[
        list[str] | None,
        typer.Option(
            help="Without a manifest: NAME=GRADE for a class by another name; NAME= leaves it out."
        ),
    ] = None,
    truck_pattern: Annotated[
        str | None,
        typer.Option(
            help="Without a manifest: regular expression whose group (?P<truck>...) finds an "
            "image's truck in its path."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write metrics.json here as well, and predictions.csv beside it."),
    ] = None,
) -> None:
    """Print the figures of a trained model on any labelled images, as JSON."""
    _choice("--split", split, ("train", "val", "test", "all"))
    _choice("--labels", labels, ("auto", "votes", "truth"))
    source = None if labels == "auto" else cast("LabelSource", labels)
    pattern = folder.compiled(truck_pattern) if truck_pattern is not None else None
    model = TrainedModel.load(checkpoint)
    with RichReport() as report:
        dataset = open_labelled(
            data,
            report,
            agreement=agreement,
            source=source,
            classes=class_map or [],
            pattern=pattern,
        )
        chosen = None if split == "all" else cast("Split", split)
        metrics = evaluate(model, dataset, chosen, report, out=out)
    typer.echo(json.dumps(metrics, indent=2, ensure_ascii=False))


@app.command("compare")
def compare_command(
    first: Annotated[Path, typer.Argument(help="Folder with predictions.csv, or such a file.")],
    second: Annotated[Path, typer.Argument(help="Another, of the same images.")],
    truth: Annotated[
        bool, typer.Option("--truth", help="Against the true grades instead of the labels.")
    ] = False,
) -> None:
    """Print McNemar's test between two models on the same images, as JSON."""
    against: Against = "truth" if truth else "label"
    found = compare(Predictions.read(first), Predictions.read(second), against=against)
    typer.echo(json.dumps(found, indent=2))


@app.command("split")
def split_command(
    data: DataOption,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    agreement: Annotated[float, typer.Option(min=0.01, max=1.0)] = 0.6,
) -> None:
    """Write leak-free splits into the manifest, or check those it has."""
    dataset = Dataset.open(data, agreement=agreement).split(seed)
    for name in ("train", "val", "test"):
        typer.echo(f"{name}: {dataset.count(name)} labelled images")


@app.command("merge")
def merge_command(
    data: Annotated[list[Path], typer.Option(help="A labelled folder; give it several times.")],
    out: Annotated[Path, typer.Option(help="Folder for the common manifest.")],
) -> None:
    """Put several labelled folders under one manifest; the images stay where they are."""
    merged = merge(data, out)
    typer.echo(f"{merged.path}: {len(merged.rows)} images of {len(data)} folders")


def _choice(option: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise typer.BadParameter(f"{option} is {value!r}; choose one of {', '.join(choices)}")
    return value


if __name__ == "__main__":
    app()
