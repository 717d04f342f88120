"""`cane-export`: a trained classifier in, a verified model bundle out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, cast

import typer

from edge_agent.errors import AgentError
from exporter.bundle import Precision, make
from exporter.check import check
from exporter.errors import ExportError
from training.console import OneLineErrors
from training.errors import TrainingError


class _OneLineErrors(OneLineErrors):
    expected: ClassVar[tuple[type[Exception], ...]] = (ExportError, TrainingError, AgentError)


app = typer.Typer(
    cls=_OneLineErrors,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Make and check the model bundles that stations run.",
)


@app.command("bundle")
def bundle_command(
    checkpoint: Annotated[Path, typer.Option(help="Run folder of cane-train fit.")],
    data: Annotated[Path, typer.Option(help="The folder it was trained on, for golden images.")],
    out: Annotated[Path, typer.Option(help="The bundle to write.")],
    name: Annotated[
        str | None, typer.Option(help="The model's name; the file's by default.")
    ] = None,
    model_version: Annotated[str, typer.Option(help="The model's version.")] = "0.1.0",
    description: Annotated[str, typer.Option(help="One sentence for those who choose it.")] = "",
    precision: Annotated[
        str, typer.Option(help="fp16-weights (half the size, 32-bit arithmetic) or fp32.")
    ] = "fp16-weights",
) -> None:
    """Export to ONNX, compare with torch on the test split, add golden images, check."""
    if precision not in ("fp32", "fp16-weights"):
        raise typer.BadParameter(f"--precision is {precision!r}; choose fp32 or fp16-weights")
    make(
        checkpoint,
        data,
        out,
        name=name or out.stem,
        version=model_version,
        description=description,
        precision=cast("Precision", precision),
        say=typer.echo,
    )


@app.command("check")
def check_command(
    bundle: Annotated[Path, typer.Argument(help="The bundle to check.")],
) -> None:
    """Repeat every check of a bundle with the agent's own code."""
    found = check(bundle)
    manifest = found.bundle.manifest
    accuracy = manifest.training.metrics.get("test_accuracy")
    typer.echo(
        f"{bundle}: good. {manifest.name} {manifest.version}, {manifest.input.width} x "
        f"{manifest.input.height} px, {manifest.precision}, {found.size_bytes / 1e6:.2f} MB, "
        f"SHA-256 {found.bundle.digest[:16]}; {len(manifest.golden)} golden images within "
        f"{found.golden_difference:.1e}; test accuracy as recorded: {accuracy}"
    )


if __name__ == "__main__":
    app()
