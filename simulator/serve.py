"""`cane-sim station`: cameras and scale alone, for an agent of one's own or a measurement."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from simulator.control import ControlServer
from simulator.feed import CameraSpec
from simulator.scenes import loop_frames, make_scene
from simulator.sprites import load_sprites
from simulator.station import PASSWORD, USERNAME, VirtualStation
from simulator.truth import draw_truck


def serve_station(
    cameras: tuple[CameraSpec, ...],
    *,
    seed: int,
    difficulty: float,
    clock: bool,
    size: tuple[int, int],
    rtsp_port: int,
    scale_port: int,
    control_port: int,
    sprites: Path | None,
) -> None:
    """Renders one truck, serves it, says where on stdout, and waits for SIGINT or SIGTERM.

    size: width and height of the pictures in pixels.
    """
    truck = draw_truck(np.random.default_rng(seed), difficulty)
    loaded = load_sprites(sprites) if sprites else None
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        futures = {
            spec.camera: pool.submit(
                make_scene, truck, spec, size=size, sprites=loaded, clock=clock
            )
            for spec in cameras
        }
        clips = {camera: future.result().on_scale for camera, future in futures.items()}
    stop = threading.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: stop.set())
    with (
        VirtualStation(cameras, clips, rtsp_port=rtsp_port, scale_port=scale_port) as station,
        ControlServer(station, control_port) as control,
    ):
        station.put_on_scale(31_000.0, rest_after_s=1.0)
        about = {
            "cameras": {
                spec.camera: {
                    "url": station.url(spec.camera),
                    **asdict(spec),
                    "loop_ms": loop_frames(spec, clock=clock) * 1000 / spec.fps,
                }
                for spec in cameras
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
