"""The demo: a virtual station, a separate agent, and trucks that come one after the other."""

from __future__ import annotations

import contextlib
import itertools
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx
import numpy as np
import yaml

from edge_agent.grades import GRADES
from simulator.control import ControlServer
from simulator.feed import CameraSpec
from simulator.scenes import Scene, make_scene
from simulator.sprites import Sprites, load_sprites
from simulator.station import PASSWORD, STANDARD_CAMERAS, USERNAME, VirtualStation
from simulator.truth import Truck, draw_truck

log = logging.getLogger(__name__)

_REST_AFTER_S = 2.5
_AHEAD = 2
"""How many trucks are rendered ahead of the one on the scale."""


@dataclass
class DemoOptions:
    """What the demo is asked to do. trucks=None: until interrupted."""

    bundle: Path
    data_dir: Path
    trucks: int | None = None
    seed: int = 1
    difficulty: float = 0.3
    port: int = 8080
    control_port: int = 0
    stay_s: float = 6.0
    sprites: Path | None = None
    workers: int = field(default_factory=lambda: max(1, os.cpu_count() or 1))


def run_demo(options: DemoOptions) -> dict[str, Any]:
    """Runs the demo and returns what happened to each truck, in the form the README gives.

    Raises RuntimeError if the agent does not come up.
    """
    # Whoever ends the demo ends its agent and its workers with it. A shell's background jobs
    # are started with SIGINT ignored.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.default_int_handler)
    results: list[dict[str, Any]] = []
    announced = 0
    with _Studio(options) as studio:
        trucks = studio.trucks()
        truck, scenes = next(trucks)
        with (
            VirtualStation(STANDARD_CAMERAS, _empty(scenes)) as station,
            ControlServer(station, options.control_port) as control,
            _agent(options, station) as base_url,
            httpx.Client(base_url=base_url, timeout=40.0) as client,
        ):
            log.info("console: %s", base_url)
            log.info("break a camera: cane-sim break C301 freeze --at %s", control.url)
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    announced += 1
                    results.append(_weigh(station, client, truck, scenes, announced, options))
                    if options.trucks is not None and announced >= options.trucks:
                        break
                    truck, scenes = next(trucks)
    return {"trucks": results, "summary": _summary(results, announced)}


def _empty(scenes: dict[str, Scene]) -> dict[str, Any]:
    return {camera: scene.gone for camera, scene in scenes.items()}


class _Studio:
    """Renders and encodes trucks ahead, on all cores, one camera a task."""

    def __init__(self, options: DemoOptions) -> None:
        self._options = options
        self._rng = np.random.default_rng(options.seed)
        self._sprites = load_sprites(options.sprites) if options.sprites else None
        self._pool = ProcessPoolExecutor(
            options.workers, mp_context=get_context("spawn"), initializer=_be_nice
        )

    def __enter__(self) -> _Studio:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for worker in multiprocessing.active_children():
            worker.terminate()  # what it renders, nobody waits for any more

    def trucks(self) -> Iterator[tuple[Truck, dict[str, Scene]]]:
        """Trucks with their scenes, in order; those to come are rendered meanwhile."""
        numbers = itertools.count()
        waiting: list[tuple[Truck, dict[str, Future[Scene]]]] = []
        while True:
            while len(waiting) < _AHEAD and self._more(waiting, numbers):
                pass
            truck, futures = waiting.pop(0)
            scenes = {camera: future.result() for camera, future in futures.items()}
            self._more(waiting, numbers)
            yield truck, scenes

    def _more(
        self, waiting: list[tuple[Truck, dict[str, Future[Scene]]]], numbers: Iterator[int]
    ) -> bool:
        number = next(numbers)
        if self._options.trucks is not None and number >= self._options.trucks:
            return False
        # One grade after the other, so that the first minutes show them all.
        grade = GRADES[number % len(GRADES)]
        truck = draw_truck(self._rng, self._options.difficulty, grade)
        waiting.append(
            (
                truck,
                {
                    spec.camera: self._pool.submit(_make, truck, spec, self._sprites)
                    for spec in STANDARD_CAMERAS
                },
            )
        )
        return True


def _be_nice() -> None:
    os.nice(10)
    # Ctrl-C is for the parent, which ends its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _make(truck: Truck, spec: CameraSpec, sprites: Sprites | None) -> Scene:
    return make_scene(truck, spec, sprites=sprites)


def write_config(
    path: Path, station: VirtualStation, *, bundle: Path, data_dir: Path, port: int
) -> None:
    """Writes the station.yaml of a virtual station, and its password file beside it."""
    password = path.with_name("nvr-password")
    password.write_text(PASSWORD, encoding="utf-8")
    password.chmod(0o600)
    cameras: dict[str, Any] = {
        feed.spec.camera: {"url": station.url(feed.spec.camera)} for feed in station.feeds.values()
    }
    cameras["credentials"] = {"username": USERNAME, "password_file": str(password)}
    config = {
        "station": {"id": "demo-1", "name": "Virtual station 1", "language": "en"},
        "data_dir": str(data_dir),
        "http": {"port": port},
        "cameras": cameras,
        "weighbridge": {
            "indicator": {"host": "127.0.0.1", "port": station.scale.port},
            "ticket_grace_s": 20,
        },
        "model": {"bundle": str(bundle)},
    }
    path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")


@contextlib.contextmanager
def _agent(options: DemoOptions, station: VirtualStation) -> Iterator[str]:
    """A separate `edge-agent run` process; yields its address once it can grade."""
    data_dir = options.data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    config, logfile = data_dir / "station.yaml", data_dir / "agent.log"
    port = options.port or _free_port()
    _require_free(port)
    write_config(
        config,
        station,
        bundle=options.bundle.resolve(),
        data_dir=data_dir,
        port=port,
    )
    command = [sys.executable, "-m", "edge_agent", "run", "--config", str(config)]
    with logfile.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603
        try:
            base_url = f"http://127.0.0.1:{port}"
            _wait_ready(base_url, process, logfile)
            yield base_url
        finally:
            process.terminate()
            try:
                process.wait(20.0)
            except subprocess.TimeoutExpired:
                process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _require_free(port: int) -> None:
    """Else another station would be taken for the demo's own agent."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise RuntimeError(
            f"port {port}: {error.strerror or error}; choose another --port, or stop what "
            "listens there"
        ) from error


def _wait_ready(base_url: str, process: subprocess.Popen[bytes], logfile: Path) -> None:
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{base_url}/health/ready", timeout=2.0).status_code == 200:
                return
        time.sleep(0.2)
    tail = logfile.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    raise RuntimeError(f"the agent did not come up: {' '.join(tail)}; see {logfile}")


def _weigh(
    station: VirtualStation,
    client: httpx.Client,
    truck: Truck,
    scenes: dict[str, Scene],
    number: int,
    options: DemoOptions,
) -> dict[str, Any]:
    """One truck drives on, is announced when it rests, is graded, and drives off."""
    station.show({camera: scene.on_scale for camera, scene in scenes.items()})
    rng = np.random.default_rng(truck.seed)
    weight = float(rng.normal(32_000, 2_500))
    station.put_on_scale(weight, rest_after_s=_REST_AFTER_S)
    time.sleep(_REST_AFTER_S + 0.5)
    ticket = f"{options.seed:03d}-{int(time.time()) % 100_000:05d}-{number:04d}"
    answer = client.post(
        "/api/v1/arrivals",
        json={
            "ticket": ticket,
            "plate": truck.plate,
            "province": truck.province,
            "weight_kg": round(weight, -1),
        },
    )
    answer.raise_for_status()
    arrival_id = answer.json()["id"]
    record = client.get(f"/api/v1/arrivals/{arrival_id}", params={"wait": 30}).json()
    result = _result(truck, ticket, record)
    log.info(
        "%s: truth %s, %s",
        ticket,
        truck.grade.value,
        _in_words(record),
    )
    if options.trucks is None or number < options.trucks:
        time.sleep(options.stay_s)
    station.take_off_scale()
    station.show(_empty(scenes))
    time.sleep(1.5)
    return result


def _in_words(record: dict[str, Any]) -> str:
    grading = record.get("grading")
    if grading is None:
        return "no outcome yet"
    if grading["outcome"] == "refused":
        return f"refused: {grading['reason_text']}"
    unsure = ", but a person is to look" if grading["needs_person"] else ""
    return f"graded {grading['grade']}{unsure}"


def _result(truck: Truck, ticket: str, record: dict[str, Any]) -> dict[str, Any]:
    grading = record.get("grading") or {}
    return {
        "record_id": record["id"],
        "ticket": ticket,
        "truth": {
            "grade": truck.grade.value,
            "trash": round(truck.trash_share, 1),
            "region": truck.region,
        },
        "outcome": grading.get("outcome"),
        "reason": grading.get("reason"),
        "grade": grading.get("grade"),
        "probabilities": grading.get("probabilities"),
        "frames": {
            frame["camera"]: {"captured_at": frame["captured_at"], "clock": frame["clock"]}
            for frame in grading.get("frames", [])
        },
        "skew_ms": grading.get("skew_ms"),
        "latency_ms": grading.get("latency_ms"),
    }


def _summary(results: list[dict[str, Any]], announced: int) -> dict[str, Any]:
    graded = [r for r in results if r["outcome"] == "graded"]
    right = sum(r["grade"] == r["truth"]["grade"] for r in graded)
    return {
        "announced": announced,
        "recorded": sum(r["outcome"] is not None for r in results),
        "graded": len(graded),
        "refused": sum(r["outcome"] == "refused" for r in results),
        "accuracy": round(right / len(graded), 4) if graded else None,
        "skew_ms_p95": _p95([r["skew_ms"] for r in graded]),
        "latency_ms_p95": _p95([r["latency_ms"] for r in graded]),
    }


def _p95(values: list[float | None]) -> float | None:
    known = sorted(v for v in values if v is not None)
    if len(known) < 2:
        return known[0] if known else None
    return round(quantiles(known, n=20, method="inclusive")[-1], 2)
