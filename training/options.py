"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from training.classifiers.pixels import Pixels

DataOption = Annotated[
    Path, typer.Option("--data", help="Folder with a manifest, or the manifest itself.")
]
LabelledData = Annotated[
    Path,
    typer.Option(help="Manifest, folder with one, or folder with a sub-folder for each grade."),
]
AskedSplit = Annotated[
    Literal["train", "val", "test", "all"] | None,
    typer.Option(
        help="Which images; by default all, of the data it was trained on the test split."
    ),
]
AskedLabels = Annotated[
    Literal["auto", "votes", "truth"],
    typer.Option(help="auto: votes where there are any. truth: the manifest's column grade."),
]
AskedPrecision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"],
    typer.Option(
        help="Networks are trained in fp32, bf16, fp16, or auto: 16 bits where the hardware is "
        "made so."
    ),
]
Agreement = Annotated[
    float, typer.Option(help="Share of votes that makes a label.", min=0.01, max=1.0)
]
ClassNames = Annotated[
    list[str] | None,
    typer.Option(
        "--class-map",
        help="Without a manifest: NAME=GRADE for a class by another name; NAME= leaves it out. "
        "By default as in the data that the model was trained on.",
    ),
]
TruckPattern = Annotated[
    str | None,
    typer.Option(
        help="Without a manifest: regular expression whose group (?P<truck>...) finds an "
        "image's truck in its path."
    ),
]
By = Annotated[
    list[str] | None,
    typer.Option(
        help="Figures of each value of this column of the manifest besides, such as station or "
        "camera. Several times."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Write metrics.json here as well, and predictions.csv beside it."),
]


def require_weights(weights: object, pixels: Pixels | None) -> None:
    """Raises typer.BadParameter for pixels of weights that are not given."""
    if pixels is not None and not weights:
        raise typer.BadParameter("--weights-pixels says of which pixels --weights are; give these")
