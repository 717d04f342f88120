"""`cane-sim`: a virtual weighbridge station, its demo, and labelled image sets."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.feed import Fault
from simulator.viewpoints import FULL_SIZE

if TYPE_CHECKING:
    import httpx

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

SpritesOption = Annotated[
    Path | None,
    typer.Option("--sprites", help="Folder of photographed stalks to use for drawn ones."),
]


ControlPortOption = Annotated[
    int,
    typer.Option(
        help="Of the control for `cane-sim break`; 0 chooses a free one.", min=0, max=65535
    ),
]
PortOption = Annotated[int, typer.Option(help="0 chooses a free one.", min=0, max=65535)]

CamerasOption = Annotated[
    str,
    typer.Option(
        help="standard: of several makes; uniform: equal ones, to measure; or a YAML file with "
        "codec, fps, gop, latency_ms, jitter_ms, clock_offset_ms and phase_ms by camera."
    ),
]

WidthOption = Annotated[
    int, typer.Option(help="Of the cameras' pictures, in pixels; small ones render fast.")
]


@app.command()
def dataset(
    trucks: Annotated[int, typer.Option(min=1, help="How many trucks to render.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    seed: Annotated[int, typer.Option(help="Same seed, same trucks.")] = 0,
    difficulty: Annotated[float, typer.Option(min=0.0, max=1.0)] = 0.5,
    size: Annotated[int, typer.Option(min=32, max=1024, help="Pixels, square.")] = 224,
    look: Annotated[str, typer.Option(help="house, or other for an external test set.")] = "house",
    cameras: Annotated[str, typer.Option(help="Cameras, separated by commas.")] = "C301",
    imbalance: Annotated[
        str | None,
        typer.Option(help="Shares of the five grades in order, separated by commas."),
    ] = None,
    sprites: SpritesOption = None,
) -> None:
    """Write a labelled image set with manifest, masks and experts' votes."""
    from simulator.dataset import write_dataset

    try:
        shares = [float(share) for share in imbalance.split(",")] if imbalance else None
        manifest = write_dataset(
            trucks,
            out,
            seed=seed,
            difficulty=difficulty,
            size=size,
            sprites=sprites,
            look=look,
            cameras=cameras.split(","),
            imbalance=shares,
        )
    except (RuntimeError, ValueError, OSError) as error:
        typer.echo(f"cane-sim dataset: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(str(manifest))


@app.command()
def station(
    seed: Annotated[int, typer.Option(help="Same seed, same truck.")] = 1,
    difficulty: Annotated[float, typer.Option(min=0.0, max=1.0)] = 0.3,
    cameras: CamerasOption = "standard",
    width: WidthOption = FULL_SIZE[0],
    clock: Annotated[bool, typer.Option(help="Draw the frame clock into the pictures.")] = False,
    rtsp_port: PortOption = 0,
    scale_port: PortOption = 0,
    control_port: ControlPortOption = 0,
    sprites: SpritesOption = None,
) -> None:
    """Serve four cameras and a scale with one standing truck, until interrupted.

    Prints one JSON object: the cameras' addresses and settings, the scale's port, the log-in, and
    the address of the control, through which `cane-sim break` breaks cameras.
    """
    from simulator.camera_file import cameras_named
    from simulator.scenes import picture_size
    from simulator.serve import serve_station

    try:
        serve_station(
            cameras_named(cameras),
            seed=seed,
            difficulty=difficulty,
            clock=clock,
            size=picture_size(width),
            rtsp_port=rtsp_port,
            scale_port=scale_port,
            control_port=control_port,
            sprites=sprites,
        )
    except (RuntimeError, OSError, ValueError) as error:
        typer.echo(f"cane-sim station: {error}", err=True)
        raise typer.Exit(2) from None


@app.command()
def demo(
    trucks: Annotated[
        int | None, typer.Option(min=1, help="Stop after that many; without it, go on.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object at the end.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Same seed, same trucks.")] = 1,
    difficulty: Annotated[float, typer.Option(min=0.0, max=1.0)] = 0.3,
    port: Annotated[
        int, typer.Option(help="Of the console; 0 chooses a free one.", min=0, max=65535)
    ] = 8080,
    control_port: ControlPortOption = 0,
    stay: Annotated[float, typer.Option(min=0.0, help="Seconds a graded truck stays.")] = 6.0,
    wait: Annotated[
        float, typer.Option(min=0.0, max=30.0, help="Seconds to wait for a truck's outcome.")
    ] = 30.0,
    cameras: CamerasOption = "standard",
    width: WidthOption = FULL_SIZE[0],
    bundle: Annotated[Path, typer.Option(help="Model bundle.")] = Path(
        "deploy/models/sim-mobilenetv2.bundle"
    ),
    fixed: Annotated[
        bool,
        typer.Option(
            "--fixed",
            help="Give the agent the bundle as a file; else it is signed into a repository of the "
            "demo's own and pushed.",
        ),
    ] = False,
    data_dir: Annotated[Path, typer.Option(help="Records and evidence.")] = Path("run/demo"),
    sprites: SpritesOption = None,
) -> None:
    """Start a virtual station and a separate agent, and let trucks come.

    Exit code 1: a truck ended without a record. 2: the demo could not begin or go on.
    """
    from simulator.camera_file import cameras_named
    from simulator.demo import DemoOptions, run_demo
    from simulator.demo_models import FixedModel, SignedModel
    from simulator.demo_report import exit_code, report
    from simulator.scenes import picture_size

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        options = DemoOptions(
            models=FixedModel(bundle) if fixed else SignedModel(bundle, data_dir),
            data_dir=data_dir,
            trucks=trucks,
            seed=seed,
            difficulty=difficulty,
            port=port,
            control_port=control_port,
            stay_s=stay,
            wait_s=wait,
            cameras=cameras_named(cameras),
            size=picture_size(width),
            sprites=sprites,
        )
        run = run_demo(options)
    except (RuntimeError, OSError, ValueError) as error:
        typer.echo(f"cane-sim demo: {error}", err=True)
        raise typer.Exit(2) from None
    result = report(run.entries)
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
    if run.fault is not None:
        typer.echo(f"cane-sim demo: {run.fault}", err=True)
    raise typer.Exit(exit_code(result["summary"], trucks, run.fault))


@app.command("break")
def break_camera(
    camera: Annotated[str, typer.Argument(help="C101, C201, C301 or C401.")],
    fault: Annotated[Fault, typer.Argument(help="What goes wrong with it; none mends it.")],
    at: Annotated[str, typer.Option(help="Address that station or demo gave for its control.")],
) -> None:
    """Break a camera of a running virtual station, or mend it."""
    import httpx

    at = at if "://" in at else f"http://{at}"
    address = f"{at}/cameras/{camera}/fault"
    try:
        # What the broken camera shows is encoded first: half a minute for a long GOP of H.265.
        answer = httpx.put(address, json={"fault": fault}, timeout=120.0)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        typer.echo(f"cane-sim break: {at}: {error}; is the station running there?", err=True)
        raise typer.Exit(2) from None
    if answer.is_error:
        typer.echo(f"cane-sim break: {at}: {_told(answer)}", err=True)
        raise typer.Exit(2)
    typer.echo(f"{camera}: {fault.value}")


def _told(answer: httpx.Response) -> str:
    """Why a control refuses; another server's answer may say anything."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"answered {answer.status_code}; is it the control's address?"
