"""A real `edge-agent run` process at a virtual station of small pictures."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import yaml
from model_repo import ACCESS
from virtual import SPECS, wait_until

from edge_agent.grades import Grade
from simulator.agent import write_config
from simulator.scenes import Scene, make_scene
from simulator.station import VirtualStation
from simulator.truth import draw_truck

BUNDLE = Path(__file__).parents[1] / "deploy" / "models" / "sim-mobilenetv2.bundle"
SIZE = (568, 426)


@contextmanager
def small_cameras() -> Iterator[VirtualStation]:
    """A virtual station with one truck in small pictures."""
    with VirtualStation(SPECS, {c: s.on_scale for c, s in scenes().items()}) as running:
        yield running


@contextmanager
def station_process(
    folder: Path, cameras: VirtualStation, updates: Mapping[str, Any]
) -> Iterator[Agent]:
    """A process that takes signed models and sees its cameras; it has no model yet."""
    agent = Agent(folder, cameras, model={"updates": dict(updates)}, access=ACCESS)
    try:
        agent.start(ready=False)
        wait_until(agent.sees)
        yield agent
    finally:
        agent.stop()
        agent.client.close()


@cache
def scenes() -> dict[str, Scene]:
    """One fresh, clean truck, small enough to render in seconds."""
    truck = draw_truck(np.random.default_rng(11), 0.0, Grade.FRESH_CLEAN, hour=10.0)
    return {spec.camera: make_scene(truck, spec, size=SIZE) for spec in SPECS}


class Agent:
    """An `edge-agent run` process."""

    def __init__(self, folder: Path, station: VirtualStation, **changes: Any) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "station.yaml"
        write_config(
            self.config,
            station,
            settings={"model": {"bundle": str(BUNDLE)}},
            data_dir=folder,
            port=self.port,
            size=SIZE,
        )
        data = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        data["weighbridge"]["ticket_grace_s"] = 1
        for section, values in changes.items():
            # A section that is there is changed, but for the model: that is one thing or another.
            data[section] = values if section == "model" else data.get(section, {}) | values
        self.config.write_text(yaml.safe_dump(data), encoding="utf-8")
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=40.0)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, ready: bool = True) -> None:
        with (self.folder / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edge_agent", "run", "--config", str(self.config)],
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: self.answers("/health/ready" if ready else "/health/live"), 60.0)

    def status(self) -> dict[str, Any]:
        """GET /api/v1/station."""
        answer: dict[str, Any] = self.client.get("/api/v1/station").json()
        return answer

    def sees(self) -> bool:
        """Whether all cameras stream."""
        return {camera["state"] for camera in self.status()["cameras"]} == {"streaming"}

    def answers(self, path: str) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return self.client.get(path).status_code == 200
        return False

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends the process and waits for it."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30.0)

    def announce(self, ticket: str) -> dict[str, Any]:
        answer = self.client.post("/api/v1/arrivals", json={"ticket": ticket, "plate": "82-1234"})
        assert answer.status_code in (200, 201), answer.text
        record: dict[str, Any] = self.client.get(
            f"/api/v1/arrivals/{answer.json()['id']}", params={"wait": 20}
        ).json()
        return record
