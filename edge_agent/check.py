"""What keeps a station from running: every fault as one line, none of them with a password."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from edge_agent.cameras.reader import CameraReader
from edge_agent.config import CAMERA_IDS, CamerasSection, StationConfig
from edge_agent.errors import AgentError
from edge_agent.inference.bundle import Bundle
from edge_agent.inference.grader import Grader
from edge_agent.reasons import TEXTS
from edge_agent.records.store import Store
from edge_agent.status import CameraState

_CAMERA_S: Final = 10.0


def faults(config: StationConfig) -> list[str]:
    """Tries records, model, scale and all cameras; empty if all is well."""
    found: list[str] = []
    try:
        Store(config.data_dir / "records.sqlite").close()
    except AgentError as error:
        found.append(str(error))
    try:
        Grader(Bundle.read(config.model.bundle), threads=config.model.threads)
    except AgentError as error:
        found.append(str(error))
    found += _scale_faults(config)
    try:
        if config.cameras.credentials is not None:
            config.cameras.credentials.password()
    except AgentError as error:
        return [*found, str(error)]
    with ThreadPoolExecutor(len(CAMERA_IDS)) as pool:
        lines = pool.map(lambda camera: _camera_fault(camera, config.cameras), CAMERA_IDS)
        found += [line for line in lines if line is not None]
    return found


def _scale_faults(config: StationConfig) -> list[str]:
    indicator = config.weighbridge.indicator
    if indicator is None:
        return []
    try:
        socket.create_connection((indicator.host, indicator.port), timeout=5.0).close()
    except OSError as error:
        address = f"{indicator.host}:{indicator.port}"
        fault = error.strerror or error
        return [f"scale indicator {address}: {fault}; check weighbridge.indicator and its cable"]
    return []


def _camera_fault(camera: str, config: CamerasSection) -> str | None:
    reader = CameraReader(camera, config)
    reader.start()
    try:
        deadline = time.monotonic() + _CAMERA_S
        status = reader.status()
        while time.monotonic() < deadline:
            status = reader.status()
            ready = status.state is CameraState.STREAMING and status.width is not None
            if ready or status.problem is not None:
                break
            time.sleep(0.05)
        if status.problem is not None:
            return f"{camera}: {TEXTS[status.problem]}: {status.detail}"
        if status.state is not CameraState.STREAMING:
            return f"{camera}: {status.url}: no picture within {_CAMERA_S:.0f} s; check the camera"
        return None
    finally:
        reader.stop(timeout_s=0.1)
