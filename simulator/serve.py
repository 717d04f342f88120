"""`cane-sim station`: cameras and scale alone, for an agent of one's own or a measurement."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from simulator.control import ControlServer
from simulator.scenes import make_scene
from simulator.sprites import load_sprites
from simulator.station import (
    PASSWORD,
    STANDARD_CAMERAS,
    UNIFORM_CAMERAS,
    USERNAME,
    VirtualStation,
)
from simulator.truth import draw_truck


def serve_station(
    *,
    seed: int,
    difficulty: float,
    uniform: bool,
    clock: bool,
    rtsp_port: int,
    scale_port: int,
    control_port: int,
    sprites: Path | None,
) -> None:
    """Renders one truck, serves it, says where on stdout, and waits for SIGINT or SIGTERM."""
    truck = draw_truck(np.random.default_rng(seed), difficulty)
    loaded = load_sprites(sprites) if sprites else None
    specs = UNIFORM_CAMERAS if uniform else STANDARD_CAMERAS
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        futures = {
            spec.camera: pool.submit(make_scene, truck, spec, sprites=loaded, clock=clock)
            for spec in specs
        }
        clips = {camera: future.result().on_scale for camera, future in futures.items()}
    stop = threading.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: stop.set())
    with (
        VirtualStation(specs, clips, rtsp_port=rtsp_port, scale_port=scale_port) as station,
        ControlServer(station, control_port) as control,
    ):
        station.put_on_scale(31_000.0, rest_after_s=1.0)
        about = {
            "cameras": {
                spec.camera: {
                    "url": station.url(spec.camera),
                    "phase_ms": spec.phase_ms,
                    "latency_ms": spec.latency_ms,
                }
                for spec in specs
            },
            "scale_port": station.scale.port,
            "control": control.url,
            "username": USERNAME,
            "password": PASSWORD,
        }
        sys.stdout.write(json.dumps(about) + "\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            stop.wait()
