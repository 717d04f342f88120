"""`cane-train data`: foreign images in, a checked manifest with leak-free splits out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

import typer
from rich.console import Console

from training.console import RichReport, choice, grade_shares
from training.data import fingerprints, images, report
from training.data.check import check, duplicate_pairs
from training.data.dataset import Dataset
from training.data.description import (
    DESCRIPTION_NAME,
    Area,
    Description,
    Grouping,
    LabelMethod,
    Shows,
    parse_area,
)
from training.data.drawn.masks import VALUES, Tool, import_masks
from training.data.images import Skip
from training.data.importing import folder, records, reviews, table, target
from training.data.importing.classes import ClassMap
from training.data.labels import AGREEMENT
from training.data.manifest import SPLITS, Split
from training.data.merge import merge
from training.data.thin import thin
from training.errors import DataError
from training.options import Agreement, DataOption
from training.outputs import make_way, write_json

# Errors are told by the group this one is part of.
app = typer.Typer(
    no_args_is_help=True, help="Import labelled images, check them, split them without leaks."
)
import_app = typer.Typer(no_args_is_help=True, help="Make a manifest over images from elsewhere.")
app.add_typer(import_app, name="import")

OutOption = Annotated[Path, typer.Option("--out", help="Folder for the manifest; made if missing.")]
FormatOption = Annotated[
    Literal["csv", "parquet"], typer.Option("--format", help="What to write the manifest as.")
]
CopyOption = Annotated[
    bool, typer.Option("--copy", help="Copy the images too; else they stay where they are.")
]
ClassOption = Annotated[
    list[str] | None,
    typer.Option(
        "--class-map",
        help="NAME=GRADE: a class by another name; NAME= leaves a class out. Several times.",
    ),
]
AreaOption = Annotated[
    str | None,
    typer.Option(
        help="LEFT,TOP,RIGHT,BOTTOM as fractions: the part of the camera's frame that counts."
    ),
]
ShowsOption = Annotated[
    Shows | None,
    typer.Option(
        help="What the files show: the graded_area alone (default), or the whole frame, which "
        "reading then cuts to it as the agent does."
    ),
]


@import_app.command("folder")
def import_folder(
    source: Annotated[Path, typer.Argument(help="Folder with a sub-folder for each class.")],
    out: OutOption,
    class_map: ClassOption = None,
    truck_pattern: Annotated[
        str | None,
        typer.Option(
            help="Regular expression whose named groups (truck, station, region, camera, "
            "captured_at) fill columns from each image's path."
        ),
    ] = None,
    graded_area: AreaOption = None,
    shows: ShowsOption = None,
    kind: FormatOption = "csv",
    copy: CopyOption = False,
) -> None:
    """Import an ImageFolder: a folder of images for each class, or for each class and split."""
    pattern = folder.compiled(truck_pattern) if truck_pattern is not None else None
    classes = ClassMap.parse(class_map or [])
    area = _area(graded_area)
    found = folder.find(source, classes, pattern=pattern, area=area, shows=shows)
    _write(found, out, kind, copy)


@import_app.command("csv")
def import_csv(
    source: Annotated[Path, typer.Argument(help="CSV or Parquet file with a row an image.")],
    out: OutOption,
    column: Annotated[
        list[str] | None,
        typer.Option(help="OURS=THEIRS: a column by another name (truck=lorry). Several times."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="What its image paths start from; by default its folder.")
    ] = None,
    class_map: ClassOption = None,
    graded_area: AreaOption = None,
    shows: ShowsOption = None,
    kind: FormatOption = "csv",
    copy: CopyOption = False,
) -> None:
    """Import a table with a row an image."""
    columns = table.column_names(column or [])
    classes = ClassMap.parse(class_map or [])
    area = _area(graded_area)
    found = table.find(source, classes, columns=columns, folder=images, area=area, shows=shows)
    _write(found, out, kind, copy)


@import_app.command("records")
def import_records(
    source: Annotated[Path, typer.Argument(help="A station's data folder.")],
    out: OutOption,
    review: Annotated[
        Path | None,
        typer.Option(
            "--reviews", help="CSV with grade, reviewer and record or ticket: the experts' votes."
        ),
    ] = None,
    camera: Annotated[
        list[str] | None, typer.Option(help="Whose images; C301 by default. Several times.")
    ] = None,
    graded_area: AreaOption = None,
    class_map: ClassOption = None,
    kind: FormatOption = "csv",
    copy: CopyOption = False,
) -> None:
    """Import a station's evidence images; people's reviews become votes."""
    voted = reviews.read(review, ClassMap.parse(class_map or [])) if review else None
    cameras = tuple(camera or ("C301",))
    found = records.find(source, cameras=cameras, reviews=voted, area=_area(graded_area))
    _write(found, out, kind, copy)


@app.command("check")
def check_command(
    data: DataOption,
    agreement: Agreement = AGREEMENT,
    label_method: Annotated[
        LabelMethod | None, typer.Option(help="By default what dataset.json says, or majority.")
    ] = None,
    near_bits: Annotated[
        int, typer.Option(help="Near-duplicates differ in at most so many of 256 bits.", min=0)
    ] = fingerprints.NEAR_BITS,
    out: Annotated[Path | None, typer.Option(help="Write the whole report here as JSON.")] = None,
) -> None:
    """Report what is wrong with the images; exit code 1 when training on them would be wrong."""
    dataset = Dataset.open(data, agreement=agreement, method=label_method)
    if out is not None:
        make_way(out)
    with RichReport() as progress:
        on_image = progress.loading("images", len(dataset.manifest.rows))
        found = check(dataset, near_bits=near_bits, on_image=on_image)
    report.show(found, Console(soft_wrap=True))
    if out is not None:
        write_json(out, report.as_json(found))
    if found.faults:
        raise typer.Exit(1)


@app.command("split")
def split_command(
    data: DataOption,
    grouping: Annotated[
        Grouping | None, typer.Option(help="What must not be in two splits; kept in dataset.json.")
    ] = None,
    label_method: Annotated[
        LabelMethod | None, typer.Option(help="How votes become labels; kept in dataset.json.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    agreement: Agreement = AGREEMENT,
    again: Annotated[bool, typer.Option("--again", help="Replace the splits it has.")] = False,
) -> None:
    """Write leak-free splits into the manifest, or check those it has.

    New splits keep near-duplicates together too; all images are read to find them.
    """
    dataset = Dataset.open(data, agreement=agreement, method=label_method)
    alike: list[tuple[int, int]] = []
    if again or any(row.split is None for row in dataset.manifest.rows):
        with RichReport() as progress:
            on_image = progress.loading("images", len(dataset.manifest.rows))
            taken = fingerprints.take(dataset.manifest.images, on_image=on_image)
        alike = [(i, j) for i, j, _ in duplicate_pairs(taken)]
        if skipped := images.told([one for one in taken if isinstance(one, Skip)]):
            typer.echo(f"{skipped}; cane-train data check lists them")
    dataset = dataset.split(seed, grouping=grouping, alike=alike, again=again)
    if label_method is not None:
        chosen = dataset.description.model_copy(update={"label_method": label_method})
        chosen.write(dataset.manifest.folder)
    typer.echo(f"kept together: {dataset.grouping}")
    for name in ("train", "val", "test"):
        typer.echo(f"{name}: {dataset.count(name)} labelled images")


def _write(found: target.Found, out: Path, kind: Literal["csv", "parquet"], copy: bool) -> None:
    with RichReport() as progress:
        on_image = progress.loading("images", len(found.images))
        lines = target.write(found, out, kind=kind, copy=copy, on_image=on_image)
    for line in lines:
        typer.echo(line)


def _area(text: str | None) -> Area | None:
    return None if text is None else parse_area(text)


@app.command("merge")
def merge_command(
    data: Annotated[
        list[Path], typer.Option("--data", help="A labelled folder; give it several times.")
    ],
    out: OutOption,
) -> None:
    """Put several labelled folders under one manifest; the images stay where they are."""
    merged = merge(data, out)
    typer.echo(f"{merged.path}: {len(merged.rows)} images of {len(data)} folders")
    if experts := Description.read(merged.folder).experts:
        typer.echo(f"votes of {len(experts)} experts, named in {merged.folder / DESCRIPTION_NAME}")


@app.command("thin")
def thin_command(
    data: DataOption,
    out: OutOption,
    keep: Annotated[
        list[str],
        typer.Option(help="GRADE=SHARE of its images to keep, above 0. Several times."),
    ],
    seed: Annotated[int, typer.Option(min=0)] = 1,
    splits: Annotated[
        list[str] | None,
        typer.Option(
            "--split",
            help="Of which split, train by default. Several times: a mill whose training images "
            "are scarce has few to validate by too.",
        ),
    ] = None,
) -> None:
    """Leave out training images of some grades, to study scarce ones; other splits stay whole."""
    asked = [cast("Split", choice("--split", split, SPLITS)) for split in splits or ["train"]]
    thinned = thin(data, out, grade_shares("--keep", keep), seed=seed, splits=asked)
    count = sum(row.split == "train" for row in thinned.rows)
    typer.echo(f"{thinned.path}: {len(thinned.rows)} images, {count} of them for training")


@app.command("masks")
def masks_command(
    data: DataOption,
    export: Annotated[Path, typer.Option("--from", help="What the annotation tool exported.")],
    tool: Annotated[
        Tool,
        typer.Option(
            "--tool", help="coco; cvat: CVAT for images 1.1; label-studio: its JSON, not JSON-MIN."
        ),
    ],
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE: 0 the rest, 1 stalk, 2 leaf and trash. Several times. Known are "
            f"{', '.join(f'{name}={value}' for name, value in VALUES.items())}."
        ),
    ] = None,
) -> None:
    """Take masks that people drew, for the synthesis: masks/ and the column mask."""
    drawn = import_masks(data, export, tool, _values(label or []))
    typer.echo(f"{drawn.masks} masks")
    if drawn.unknown:
        typer.echo(
            f"{len(drawn.unknown)} images of the export are not in the manifest; the first: "
            f"{drawn.unknown[0]}"
        )


def _values(options: list[str]) -> dict[str, int]:
    """From "husk=2" to labels and values. Raises DataError for anything else."""
    values = {}
    for option in options:
        name, equals, value = option.rpartition("=")
        if not equals or not name or value not in ("0", "1", "2"):
            raise DataError(
                f"--label {option!r}: write NAME=VALUE with 0 the rest, 1 stalk or 2 leaf and trash"
            )
        values[name] = int(value)
    return values
