"""`cane-export`: a trained classifier in, a verified model bundle out."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, ClassVar, cast, get_args

import typer

from edge_agent.config import Intent
from edge_agent.errors import AgentError
from edge_agent.inference.bundle import Bundle
from exporter.check import check
from exporter.errors import ExportError
from exporter.fleet import Fleet, Progress, roll_out, tell_all
from exporter.push import PASSWORD_ENV, Credentials, credentials, deliver, find_listed, push
from exporter.repository.cli import app as repository
from exporter.repository.store import ModelRepository
from exporter.shown import progress_bar, show_results
from training.console import OneLineErrors, RichReport
from training.data.description import parse_area
from training.data.labels import AGREEMENT
from training.errors import TrainingError
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


class _OneLineErrors(OneLineErrors):
    expected: ClassVar[tuple[type[Exception], ...]] = (ExportError, TrainingError, AgentError)


app = typer.Typer(
    cls=_OneLineErrors,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Make, check, sign and push the model bundles that stations run.",
)

app.add_typer(repository, name="repo")


@app.command("bundle")
def bundle_command(
    checkpoint: Annotated[Path, typer.Option(help="Run folder of cane-train fit or adjust.")],
    data: Annotated[
        Path,
        typer.Option(
            help="The folder it was trained on: training images to calibrate 8 bits, validation "
            "images to compare and for golden images."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The bundle to write.")],
    name: Annotated[
        str | None, typer.Option(help="The model's name; the file's by default.")
    ] = None,
    model_version: Annotated[str, typer.Option(help="The model's version.")] = "0.1.0",
    description: Annotated[str, typer.Option(help="One sentence for those who choose it.")] = "",
    precision: Annotated[
        str,
        typer.Option(
            help="int8, fp32, fp16-weights (half the size, 32-bit arithmetic), or auto: int8 if "
            "it decides as the trained network does, else fp32."
        ),
    ] = "auto",
    graded_area: Annotated[
        str | None,
        typer.Option(
            metavar="LEFT,TOP,RIGHT,BOTTOM",
            help="The part of the frame that the images show, as fractions of its width and "
            "height; needed only where dataset.json does not say.",
        ),
    ] = None,
    without_level: Annotated[
        bool,
        typer.Option(
            "--without-level",
            help="Leave out the estimate of trash that the run has learnt. It goes by itself where "
            "validation loads say that it is better than a guess by the grade, else it stays out.",
        ),
    ] = False,
) -> None:
    """Export to ONNX, compare with torch, choose the precision, add golden images, check."""
    # Who signs and pushes needs no torch.
    from exporter.bundle import Naming, make
    from exporter.precision import Wanted

    if precision not in get_args(Wanted):
        raise ExportError(f"--precision {precision}: choose one of {', '.join(get_args(Wanted))}")
    make(
        checkpoint,
        data,
        out,
        Naming(name or out.stem, model_version, description),
        precision=cast("Wanted", precision),
        graded_area=None if graded_area is None else parse_area(graded_area),
        without_level=without_level,
        say=typer.echo,
    )


@app.command("push")
def push_command(
    repo: Annotated[Path, typer.Option(help="The repository that lists it.")],
    bundle: Annotated[
        str | None, typer.Argument(help="Listed name NAME-VERSION.bundle, or its file.")
    ] = None,
    list_only: Annotated[
        bool,
        typer.Option("--list", help="Push the signed list alone, such as after revoking a bundle."),
    ] = False,
    station: Annotated[str | None, typer.Option(help="Address, such as http://kk1:8080.")] = None,
    inventory: Annotated[
        Path | None, typer.Option(help="Push to all stations of this file, wave by wave.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the delivery to a file instead, for a stick.")
    ] = None,
    intent: Annotated[
        str | None,
        typer.Option("--as", help="activate, shadow or hold; by default what the station says."),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(help=f"Engineer of the station; the password is in {PASSWORD_ENV}."),
    ] = None,
) -> None:
    """Push a signed bundle to a station; ends when it grades there, or with the reason why not.

    With --list only the list of what may grade: what was revoked grades there no more.
    """
    if sum(given is not None for given in (station, inventory, out)) != 1:
        raise ExportError("give one of --station, --inventory, or --out to write a delivery")
    if (bundle is None) != list_only:
        raise ExportError("give a bundle, or --list to push the signed list alone")
    if intent is not None and (list_only or intent not in get_args(Intent)):
        choices = "nothing with --list" if list_only else f"one of {', '.join(get_args(Intent))}"
        raise ExportError(f"--as {intent}: choose {choices}")
    if out is not None and (intent is not None or user is not None):
        raise ExportError(
            "--out: a file does not say --as or --user; leave them out, and choose at the station"
        )
    wanted = cast("Intent | None", intent)
    with TemporaryDirectory(prefix="canegrade-") as folder:
        delivery = out or Path(folder) / "delivery.zip"
        # A copy that nobody can change needs no lock, and cannot have one.
        can_change = os.access(repo, os.W_OK)
        opened = (
            ModelRepository.locked(repo) if can_change else nullcontext(ModelRepository.at(repo))
        )
        with opened as repository:
            listed = None if bundle is None else find_listed(repository, bundle)
            deliver(repository, listed, delivery)
        digest = None if listed is None else listed.hashes["sha256"]
        if station is not None:
            _push_to_one(station, delivery, credentials(user), wanted)
        elif inventory is not None:
            _push_to_many(inventory, delivery, digest, user, wanted)
        else:
            what = "the signed list" if digest is None else f"SHA-256 of the bundle {digest[:16]}"
            typer.echo(f"{delivery}: {delivery.stat().st_size / 1e6:.2f} MB, {what}")


def _push_to_one(
    station: str, delivery: Path, who: Credentials | None, intent: Intent | None
) -> None:
    with progress_bar(station, delivery.stat().st_size) as advance:
        found = push(delivery, station, who, intent, progress=advance)
    if not found.accepted:
        raise ExportError(f"{station}: refused: {found.detail}")
    typer.echo(f"{station}: {found.outcome}")


def _push_to_many(
    inventory: Path, delivery: Path, digest: str | None, user: str | None, intent: Intent | None
) -> None:
    """digest: of the bundle, None for the list alone."""
    fleet = Fleet.read(inventory)
    who = credentials(user or fleet.user)
    assert who is not None  # noqa: S101 - there is a user
    if digest is None:
        results = tell_all(fleet, delivery, who, say=typer.echo)
    else:
        progress = Progress(inventory.with_name(f"rollout-{digest[:12]}.json"), digest, intent)
        results = roll_out(fleet, delivery, digest, who, intent, progress, say=typer.echo)
    show_results(results)
    failed = [result for result in results if result.state != "done"]
    if failed:
        again = "it goes on with these" if digest else "telling the others again does no harm"
        raise ExportError(
            f"{len(failed)} of {len(results)} stations do not have it; mend the fault and give "
            f"the same command again: {again}"
        )


@app.command("check")
def check_command(
    bundle: Annotated[Path, typer.Argument(help="The bundle to check.")],
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="The run it was exported from: repeat parity and precision gate too."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The folder that run was trained on; needed for that.")
    ] = None,
) -> None:
    """Repeat every check of a bundle, with the agent's own code where the agent has it."""
    if (checkpoint is None) != (data is None):
        raise ExportError("--checkpoint and --data go together: give both or none")
    found = check(bundle)
    again = ""
    if checkpoint is not None and data is not None:
        from exporter.recheck import recheck

        again = recheck(found.bundle, checkpoint, data)
    manifest = found.bundle.manifest
    accuracy = manifest.training.metrics.get("test_accuracy")
    level = found.golden_level_difference
    of_level = "" if level is None else f", their levels within {level:.1e} points"
    typer.echo(
        f"{bundle}: good. {manifest.name} {manifest.version}, {manifest.input.width} x "
        f"{manifest.input.height} px, {manifest.precision}, {found.size_bytes / 1e6:.2f} MB, "
        f"SHA-256 {found.bundle.digest[:16]}; {len(manifest.golden)} golden images within "
        f"{found.golden_difference:.1e}{of_level}; test accuracy as recorded: {accuracy}"
    )
    if again:
        typer.echo(f"done again from {checkpoint}: {again}")


@app.command("evaluate")
def evaluate_command(
    bundle: Annotated[Path, typer.Argument(help="The bundle to measure.")],
    data: LabelledData,
    split: AskedSplit = None,
    labels: AskedLabels = "auto",
    agreement: Agreement = AGREEMENT,
    class_map: ClassNames = None,
    truck_pattern: TruckPattern = None,
    whole_frames: Annotated[
        bool,
        typer.Option(
            "--whole-frames",
            help="Without a manifest: the files show the camera's whole frame, of which the "
            "bundle's part is graded. With one, dataset.json says what they show.",
        ),
    ] = False,
    by: By = None,
    out: Out = None,
) -> None:
    """Print a bundle's figures on any labelled images, as JSON: as a station grades them."""
    # Training's libraries take seconds to load, and pushing needs none of them.
    from exporter.evaluate import evaluate
    from training.data.importing import folder
    from training.foreign import open_labelled

    opened = Bundle.read(bundle)
    area = opened.manifest.input.graded_area
    with RichReport() as report:
        dataset = open_labelled(
            data,
            report,
            agreement=agreement,
            source=None if labels == "auto" else labels,
            classes=class_map or [],
            trained_on={name: str(g) for name, g in opened.manifest.training.classes.items()},
            pattern=None if truck_pattern is None else folder.compiled(truck_pattern),
            area=(area.left, area.top, area.right, area.bottom) if whole_frames else None,
            shows="frame" if whole_frames else None,
            options="--class-map, --truck-pattern and --whole-frames",
        )
        metrics = evaluate(opened, dataset, split, report, out=out, by=by or ())
    typer.echo(json.dumps(metrics, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    app()
