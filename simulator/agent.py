"""A separate `edge-agent run` process at a virtual station."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from simulator.demo_models import Models
from simulator.station import PASSWORD, USERNAME, VirtualStation
from simulator.viewpoints import FULL_SIZE

_START_S: Final = 120.0
"""An agent that fails ends at once; one that takes so long is held up by something."""


@dataclass(frozen=True)
class Agent:
    """A running agent: where it answers, its process, and its log."""

    url: str
    pid: int
    log: Path


def write_config(
    path: Path,
    station: VirtualStation,
    *,
    settings: Mapping[str, Any],
    data_dir: Path,
    port: int,
    size: tuple[int, int] = FULL_SIZE,
) -> None:
    """Writes the station.yaml of a virtual station, and its password file beside it.

    settings: further sections, of the model among them. size: width and height of the cameras'
    pictures in pixels.
    """
    password = path.with_name("nvr-password")
    password.write_text(PASSWORD, encoding="utf-8")
    password.chmod(0o600)
    cameras: dict[str, Any] = {
        feed.spec.camera: {"url": station.url(feed.spec.camera)} for feed in station.feeds.values()
    }
    cameras["credentials"] = {"username": USERNAME, "password_file": str(password)}
    cameras |= {"width": size[0], "height": size[1]}
    config = {
        "station": {"id": "demo-1", "name": "Virtual station 1", "language": "en"},
        "data_dir": str(data_dir),
        "http": {"port": port},
        "cameras": cameras,
        "weighbridge": {
            "indicator": {"host": "127.0.0.1", "port": station.scale.port},
            "ticket_grace_s": 20,
        },
        **settings,
    }
    path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")


@contextlib.contextmanager
def running_agent(
    station: VirtualStation,
    *,
    models: Models,
    data_dir: Path,
    port: int,
    size: tuple[int, int] = FULL_SIZE,
) -> Iterator[Agent]:
    """An agent that can grade, ended with the context; port 0 chooses a free one.

    Raises RuntimeError if the port is taken, the agent does not come up or does not get its model.
    """
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    config, logfile = data_dir / "station.yaml", data_dir / "agent.log"
    port = port or _free_port()
    _require_free(port)
    settings = models.settings()
    write_config(config, station, settings=settings, data_dir=data_dir, port=port, size=size)
    command = [sys.executable, "-m", "edge_agent", "run", "--config", str(config)]
    with logfile.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603
        try:
            agent = Agent(f"http://127.0.0.1:{port}", process.pid, logfile)
            _wait_until(agent, process, "live")
            models.bring(agent.url)
            _wait_until(agent, process, "ready")
            yield agent
        finally:
            process.terminate()
            try:
                process.wait(20.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


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


def _wait_until(agent: Agent, process: subprocess.Popen[bytes], state: str) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{agent.url}/health/{state}", timeout=2.0).status_code == 200:
                return
        time.sleep(0.2)
    code = process.returncode
    why = f"not {state} after {_START_S:.0f} s" if code is None else f"exit code {code}"
    said = agent.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    raise RuntimeError(f"the agent did not come up: {' '.join([why, *said])}; see {agent.log}")
