"""`edge-agent`: run a station, or check that it could run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Final

import typer

from edge_agent.config import CAMERA_IDS, StationConfig
from edge_agent.errors import AgentError

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

MIN_PASSWORD: Final = 10

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The station's station.yaml.")]


@app.command()
def run(config: ConfigOption = Path("station.yaml")) -> None:
    """Run the station: cameras, scale, grading, console and API."""
    from edge_agent.serve import serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        serve(StationConfig.read(config))
    except AgentError as error:
        _fail(error)


@app.command()
def check(config: ConfigOption = Path("station.yaml")) -> None:
    """Try everything the station needs: settings, records, model, cameras and scale.

    Exit code 0 if all is well, 2 with one line for each fault. Warnings do not count.
    """
    from edge_agent import check as checks

    # Every fault is told once, in the answer.
    logging.disable(logging.CRITICAL)
    try:
        station = StationConfig.read(config)
    except AgentError as error:
        _fail(error)
    found = checks.check(station)
    for line in found.faults:
        typer.echo(line, err=True)
    for line in found.warnings:
        typer.echo(f"warning: {line}", err=True)
    if found.faults:
        raise typer.Exit(2)
    typer.echo(f"{config}: all well; model, records, {len(CAMERA_IDS)} cameras answer")


@app.command()
def password(
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read it from standard input, for scripts.")
    ] = False,
) -> None:
    """Ask for a password and print what belongs into access.users of station.yaml."""
    from edge_agent.access import hash_password

    if stdin:
        given = typer.get_text_stream("stdin").readline().rstrip("\n")
    else:
        given = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    if len(given) < MIN_PASSWORD:
        typer.echo(f"password: has less than {MIN_PASSWORD} characters; take more", err=True)
        raise typer.Exit(2)
    typer.echo(f"password_hash: {hash_password(given)}")


def _fail(error: AgentError) -> None:
    typer.echo(str(error), err=True)
    raise typer.Exit(2) from None
