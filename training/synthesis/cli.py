"""`cane-train synthesize`, `cane-train sheet` and `cane-train conditioning`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from training import parallel
from training.console import RichReport, choice, seconds
from training.data.labels import AGREEMENT
from training.options import Agreement, AskedPrecision, DataOption
from training.outputs import make_way, write_json
from training.synthesis.bases import Way
from training.synthesis.config import (
    BACKBONE_LEARNING_RATE,
    PRESETS,
    Preset,
    SynthesisConfig,
    mixed,
)
from training.synthesis.denoiser import Control
from training.synthesis.pipeline import synthesize
from training.synthesis.probe import probe_set, summary
from training.synthesis.recolour import Transfer
from training.synthesis.sheet import By, contact_sheet


def synthesize_command(
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Run directory; what is finished in it stands.")],
    preset: Annotated[str, typer.Option(help=f"One of {', '.join(PRESETS)}.")] = "cpu",
    size: Annotated[
        int | None, typer.Option(help="Width and height of images, px.", min=32, max=1024)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.", min=0)] = 1,
    method: Annotated[
        str,
        typer.Option(
            help="Candidates begin with blends by segment (by masks) or alpha (as the study), or "
            "with one load of their grade: single. translate: blends of commoner cane, recoloured; "
            "translate-single: single loads, recoloured."
        ),
    ] = "segment",
    colours: Annotated[
        str,
        typer.Option(
            help="What a load takes from the one whose colours it gets: their moments (mean and "
            "spread) or their whole distribution."
        ),
    ] = "moments",
    control: Annotated[
        str, typer.Option(help="ControlNet: joint, frozen (as published) or none.")
    ] = "joint",
    regions: Annotated[
        str,
        typer.Option(help="How the model is told the region: embedding, adapters (LoRA) or none."),
    ] = "embedding",
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Start from a latent diffusion model (such as Stable Diffusion 1.5): its folder, "
            "or its name on the hub."
        ),
    ] = None,
    strength: Annotated[
        float,
        typer.Option(
            help="1: from noise; less: from the blend, image to image; 0: the blend itself.",
            min=0.0,
            max=1.0,
        ),
    ] = 1.0,
    diffusion_steps: Annotated[int | None, typer.Option(help="Of training.", min=1)] = None,
    overlap: Annotated[
        float, typer.Option(help="What the judge must at least agree by.", min=0.0, max=1.0)
    ] = 0.5,
    judge: Annotated[
        Path | None,
        typer.Option(help="Run of cane-train fit on the same data, to judge what is kept."),
    ] = None,
    agreement: Agreement = AGREEMENT,
    precision: AskedPrecision = "auto",
    model_only: Annotated[
        bool,
        typer.Option(
            "--model-only",
            help="Draw nothing yet: print the folder of the diffusion model, for conditioning.",
        ),
    ] = False,
    threads: Annotated[int | None, typer.Option(help="CPU threads; all by default.", min=1)] = None,
    max_time: Annotated[
        str | None, typer.Option(help="Stop after this time (25m, 1h30m); it can go on later.")
    ] = None,
) -> None:
    """Make images of scarce grades from the training split; prints the folder of the set."""
    choice("--preset", preset, get_args(Preset))
    choice("--method", method, get_args(Way))
    choice("--colours", colours, get_args(Transfer))
    choice("--control", control, get_args(Control))
    choice("--regions", regions, ("embedding", "adapters", "none"))
    if strength == 0 and (backbone or diffusion_steps or control != "joint"):
        raise typer.BadParameter(
            "with --strength 0 no model draws: leave --backbone, --control and --diffusion-steps "
            "out, or give another strength"
        )
    asked = PRESETS[preset].model_dump()  # type: ignore[index]
    asked["seed"], asked["agreement"] = seed, agreement
    asked["size"] = size or asked["size"]
    asked["precision"] = mixed(parallel.chosen(precision))
    asked["generate"] |= {"method": method, "strength": strength}
    asked["generate"]["colours"] = None if colours == "moments" else colours
    asked["diffuse"] |= {"control": control, "regions": regions == "embedding"}
    if backbone is not None:
        asked["diffuse"] |= {"backbone": backbone, "learning_rate": BACKBONE_LEARNING_RATE}
    asked["adapt"] = {} if regions == "adapters" else None
    if diffusion_steps is not None:
        asked["diffuse"]["steps"] = diffusion_steps
    asked["filter"] |= {"overlap": overlap, "judge": None if judge is None else str(judge)}
    try:
        with RichReport(quiet=not parallel.is_main()) as report:
            folder = synthesize(
                data,
                out,
                SynthesisConfig.model_validate(asked),
                report,
                threads=threads,
                max_seconds=seconds(max_time) if max_time else float("inf"),
                model_only=model_only,
            )
        if folder is not None:
            typer.echo(folder)
    finally:
        parallel.leave()


def sheet_command(
    data: DataOption,
    folder: Annotated[Path, typer.Option("--set", help="What cane-train synthesize printed.")],
    out: Annotated[Path, typer.Option(help="PNG or JPEG file to write.")],
    by: Annotated[
        By,
        typer.Option(
            help="What parts the rows of a grade: trash, the share that is seen, or level, how "
            "much of the trashy load a blend has."
        ),
    ] = "trash",
    across: Annotated[int, typer.Option(help="Images a row.", min=1, max=40)] = 10,
    size: Annotated[int, typer.Option(help="Of an image, px.", min=16, max=512)] = 96,
) -> None:
    """Draw synthetic images below real ones, by grade and share of trash, or level."""
    make_way(out)
    for skip in contact_sheet(data, folder, out, by=by, across=across, size=size):
        typer.echo(f"not shown: {skip.path}: {skip.reason}")


def conditioning_command(
    data: DataOption,
    folder: Annotated[
        Path,
        typer.Option("--set", help="What cane-train synthesize printed, with --model-only too."),
    ],
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    images: Annotated[
        int, typer.Option(help="Drawn for each edge map set, level and region.", min=4)
    ] = 24,
    threads: Annotated[int | None, typer.Option(help="CPU threads; all by default.", min=1)] = None,
) -> None:
    """Measure whether a diffusion model obeys its edges, level and region."""
    make_way(out)  # before half an hour of work
    with RichReport() as report:
        found = probe_set(data, folder, images, report, threads=threads)
    write_json(out, found)
    typer.echo(summary(found))
