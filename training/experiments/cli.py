"""`cane-train study`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training import parallel
from training.classifiers.pixels import Pixels
from training.console import RichReport, seconds
from training.data.dataset import Dataset
from training.data.labels import AGREEMENT
from training.errors import TrainingError
from training.experiments.config import ARMS, MODELS, PRESETS, USUAL, Preset, StudyConfig
from training.experiments.enrichment import Start
from training.experiments.study import STUDY_NAME, study
from training.options import Agreement, AskedPrecision, require_weights
from training.report.build import draw


def study_command(
    data: Annotated[Path, typer.Option("--data", help="Folder with a manifest, or its file.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Study folder; an unfinished study in it goes on. studies/NAME by default, after "
            "the folder of the data."
        ),
    ] = None,
    arms: Annotated[str, typer.Option(help=f"Among {', '.join(ARMS)}; separated by commas.")] = (
        ",".join(USUAL)
    ),
    models: Annotated[str, typer.Option(help="Classifiers, separated by commas.")] = (
        ",".join(MODELS)
    ),
    preset: Annotated[
        Preset | None,
        typer.Option(
            help="cpu (default): 96 px, one seed, hours on two cores. gpu: 224 px, three seeds. "
            "fast: minutes, only to see that it runs."
        ),
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="The same as --preset fast.")] = False,
    seeds: Annotated[str | None, typer.Option(help="Separated by commas, such as 1,2,3.")] = None,
    size: Annotated[int | None, typer.Option(help="Input width and height, px.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Optimiser steps of every run, whatever model and arm.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Images a step, at most.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Adam's, at its highest.")] = None,
    precision: AskedPrecision = "auto",
    agreement: Agreement = AGREEMENT,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="MODEL=FILE or MODEL=hub: what a model starts from in all arms; others start "
            "from random weights. Several times."
        ),
    ] = None,
    weights_pixels: Annotated[
        Pixels | None, typer.Option(help="What pixel values those weights were trained on.")
    ] = None,
    rendered: Annotated[
        Path | None,
        typer.Option(help="Dataset of further images for the arm rendered, such as cane-sim's."),
    ] = None,
    shares: Annotated[
        str | None,
        typer.Option(
            help="Shares of synthetic images, above 0 and below 1, that each grade chooses among "
            "on the validation split, beside none; 0.5 by default. One training on trial each."
        ),
    ] = None,
    external_test: Annotated[
        Path | None,
        typer.Option(
            help="Another dataset, which all finished runs are asked about too: more images than "
            "the test split has."
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads; all by default.", min=1)] = None,
    max_time: Annotated[
        str | None, typer.Option(help="Stop after this time (25m, 1h30m); the study goes on later.")
    ] = None,
) -> None:
    """Train models in several arms alike, and write their table: study.json and report/.

    The same command again skips what is done and goes on where it stopped.
    """
    if fast and preset not in (None, "fast"):
        raise typer.BadParameter(f"--fast and --preset {preset} contradict each other")
    require_weights(weights, weights_pixels)
    given = {
        "models": _names(models),
        "arms": _names(arms),
        "seeds": None if seeds is None else _names(seeds),
        "size": size,
        "steps": steps,
        "batch": batch,
        "learning_rate": learning_rate,
        "precision": parallel.chosen(precision),
        "agreement": agreement,
        "shares": None if shares is None else _names(shares),
        "rendered_digest": (
            Dataset.open(rendered, agreement=agreement).digest if rendered else None
        ),
    }
    base = PRESETS["fast" if fast else preset or "cpu"].model_dump()
    config = StudyConfig.model_validate(
        {**base, **{name: value for name, value in given.items() if value is not None}}
    )
    if out is None:
        out = Path("studies", (data if data.is_dir() else data.parent).resolve().name)
    start = Start(_assignments(weights or [], config), weights_pixels, rendered)
    try:
        with RichReport() as report:
            found = study(
                data,
                out,
                config,
                report,
                start=start,
                external=external_test,
                threads=threads,
                max_seconds=seconds(max_time) if max_time else float("inf"),
            )
    finally:
        parallel.leave()
    for row in found["rows"]:
        draw(out / row["folder"], out / row["folder"] / "report")
    typer.echo(f"{out / STUDY_NAME}: {len(found['rows'])} runs, {len(found['missing'])} missing")
    if found["rows"]:
        typer.echo(str(draw(out, out / "report")))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _assignments(options: list[str], config: StudyConfig) -> dict[str, str]:
    found: dict[str, str] = {}
    for option in options:
        model, equals, source = option.partition("=")
        if not equals or not source or model not in config.models:
            raise TrainingError(
                f"--weights {option!r}: write it as MODEL=FILE with one of the study's models, "
                f"{', '.join(config.models)}"
            )
        found[model] = source
    return found
