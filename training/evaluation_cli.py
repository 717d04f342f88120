"""`cane-train evaluate`, `compare` and `report`: figures of trained models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from training.comparison import compare
from training.console import RichReport
from training.data.description import Shows, parse_area
from training.data.importing import folder
from training.data.labels import AGREEMENT
from training.evaluation import evaluate
from training.foreign import open_labelled
from training.model import TrainedModel, model_file
from training.options import (
    Agreement,
    AskedLabels,
    AskedSplit,
    By,
    ClassNames,
    LabelledData,
    Out,
    TruckPattern,
)
from training.predictions import Against, Predictions
from training.report.build import draw, folder_of
from training.subject import subject_of


def evaluate_command(
    checkpoint: Annotated[Path, typer.Option(help="Run folder, or its model.safetensors.")],
    data: LabelledData,
    split: AskedSplit = None,
    labels: AskedLabels = "auto",
    agreement: Agreement = AGREEMENT,
    class_map: ClassNames = None,
    truck_pattern: TruckPattern = None,
    graded_area: Annotated[
        str | None,
        typer.Option(
            help="Without a manifest: LEFT,TOP,RIGHT,BOTTOM as fractions, the part of the "
            "camera's frame that counts."
        ),
    ] = None,
    shows: Annotated[
        Shows | None,
        typer.Option(
            help="Without a manifest: whether the files show the graded_area alone (default) or "
            "the whole frame, which reading then cuts to it."
        ),
    ] = None,
    by: By = None,
    out: Out = None,
) -> None:
    """Print the figures of a trained model on any labelled images, as JSON."""
    pattern = folder.compiled(truck_pattern) if truck_pattern is not None else None
    area = parse_area(graded_area) if graded_area is not None else None
    model = TrainedModel.load(checkpoint)
    with RichReport() as report:
        dataset = open_labelled(
            data,
            report,
            agreement=agreement,
            source=None if labels == "auto" else labels,
            classes=class_map or [],
            trained_on=model.card.training.get("data", {}).get("classes", {}),
            pattern=pattern,
            area=area,
            shows=shows,
        )
        run = model_file(checkpoint).parent
        metrics = evaluate(subject_of(model), dataset, split, report, run=run, out=out, by=by or ())
    typer.echo(json.dumps(metrics, indent=2, ensure_ascii=False))


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


def report_command(
    source: Annotated[
        Path, typer.Argument(help="metrics.json, study.json, or a folder with one of them.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report; by default report/ beside it.")
    ] = None,
) -> None:
    """Draw tables and plots: one HTML page, PNG files, tables.md."""
    typer.echo(str(draw(source, out or folder_of(source))))
