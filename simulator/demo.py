"""The demo: a virtual station, a separate agent, and trucks that come one after the other."""

from __future__ import annotations

import itertools
import logging
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

from simulator import demo_report
from simulator.agent import running_agent
from simulator.control import ControlServer
from simulator.demo_models import ENGINEER, PASSWORD, Models, SignedModel
from simulator.feed import CameraSpec
from simulator.scenes import Scene
from simulator.station import STANDARD_CAMERAS, VirtualStation
from simulator.studio import Studio, Take
from simulator.viewpoints import FULL_SIZE

log = logging.getLogger(__name__)

_REST_AFTER_S: Final = 2.5
_DRIVE_OFF_S: Final = 1.5
_ANSWER_S: Final = 10.0
"""An agent that does not answer for so long, besides what it was asked to wait, has gone."""


@dataclass(frozen=True)
class DemoOptions:
    """What the demo is asked to do.

    trucks: None goes on until interrupted. port, control_port: 0 chooses a free one. stay_s: how
    long a graded truck stays. wait_s: how long to wait for a truck's outcome, 30 at most. size:
    width and height of the pictures in pixels.
    """

    models: Models
    data_dir: Path
    trucks: int | None = None
    seed: int = 1
    difficulty: float = 0.3
    port: int = 8080
    control_port: int = 0
    stay_s: float = 6.0
    wait_s: float = 30.0
    cameras: tuple[CameraSpec, ...] = STANDARD_CAMERAS
    size: tuple[int, int] = FULL_SIZE
    sprites: Path | None = None


@dataclass
class DemoRun:
    """What happened: the trucks announced so far, and why the demo could not go on, if so."""

    entries: list[demo_report.Entry] = field(default_factory=list)
    fault: str | None = None


def run_demo(options: DemoOptions) -> DemoRun:
    """Runs the demo until all trucks have come, it is interrupted, or the agent fails.

    Raises RuntimeError, OSError or ValueError if it cannot begin.
    """
    # Whoever ends the demo ends its agent and its workers with it. A shell's background jobs
    # are started with SIGINT ignored.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.default_int_handler)
    run = DemoRun()
    with Studio(
        options.cameras,
        seed=options.seed,
        difficulty=options.difficulty,
        size=options.size,
        sprites=options.sprites,
    ) as studio:
        takes = studio.takes(options.trucks)
        first = next(takes)
        with (
            VirtualStation(options.cameras, _empty(first[1])) as station,
            ControlServer(station, options.control_port) as control,
            running_agent(
                station,
                models=options.models,
                data_dir=options.data_dir,
                port=options.port,
                size=options.size,
            ) as agent,
            httpx.Client(base_url=agent.url, timeout=options.wait_s + _ANSWER_S) as client,
        ):
            log.info("console: %s", agent.url)
            log.info("agent: process %d, log %s", agent.pid, agent.log)
            if isinstance(options.models, SignedModel):
                log.info("models: log in there as %s, password %s", ENGINEER, PASSWORD)
            log.info("break a camera: cane-sim break C301 freeze --at %s", control.url)
            try:
                weigh_trucks(itertools.chain([first], takes), station, client, run, options)
            except KeyboardInterrupt:
                pass
            except (httpx.HTTPError, RuntimeError, OSError, ValueError) as error:
                # Raised here it would take with it what is known of the trucks so far.
                run.fault = demo_report.fault_in_words(error, agent.log)
    return run


def weigh_trucks(
    takes: Iterable[Take],
    station: VirtualStation,
    client: httpx.Client,
    run: DemoRun,
    options: DemoOptions,
) -> None:
    """Every truck drives on, is announced when it rests, is graded, and drives off.

    Notes in `run` what is known of a truck as soon as it is, so that nothing is lost if the agent
    fails. Raises httpx.HTTPError if it does.
    """
    for truck, scenes in takes:
        station.show({camera: scene.on_scale for camera, scene in scenes.items()})
        weight = float(np.random.default_rng(truck.seed).normal(32_000, 2_500))
        station.put_on_scale(weight, rest_after_s=_REST_AFTER_S)
        time.sleep(_REST_AFTER_S + 0.5)
        number = len(run.entries) + 1
        ticket = f"{options.seed:03d}-{int(time.time()) % 100_000:05d}-{number:04d}"
        run.entries.append(demo_report.entry(truck, ticket))
        announcement = {
            "ticket": ticket,
            "plate": truck.plate,
            "province": truck.province,
            "weight_kg": round(weight, -1),
        }
        answer = client.post("/api/v1/arrivals", json=announcement).raise_for_status()
        run.entries[-1] = demo_report.entry(truck, ticket, answer.json())
        address = f"/api/v1/arrivals/{answer.json()['id']}"
        answer = client.get(address, params={"wait": options.wait_s}).raise_for_status()
        run.entries[-1] = demo_report.entry(truck, ticket, answer.json())
        outcome = demo_report.in_words(answer.json())
        log.info("%s: truth %s, %s", ticket, truck.grade.value, outcome)
        if number != options.trucks:
            time.sleep(options.stay_s)
        station.take_off_scale()
        station.show(_empty(scenes))
        time.sleep(_DRIVE_OFF_S)


def _empty(scenes: dict[str, Scene]) -> dict[str, Any]:
    return {camera: scene.gone for camera, scene in scenes.items()}
