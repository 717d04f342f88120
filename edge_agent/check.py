"""What keeps a station from running: every fault as one line, none of them with a password."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import httpx

from edge_agent import data_folder
from edge_agent.cameras.checks import check_set
from edge_agent.cameras.clock import Clock
from edge_agent.cameras.group import Cameras
from edge_agent.config import (
    CamerasSection,
    ChecksSection,
    HttpSection,
    IndicatorSection,
    StationConfig,
)
from edge_agent.errors import AgentError
from edge_agent.inference.engine import Engine
from edge_agent.listener import listen
from edge_agent.reasons import TEXTS, Reason
from edge_agent.status import CameraState, CameraStatus
from edge_agent.updates.depot import Depot
from edge_agent.updates.trust import Trust
from edge_agent.weighbridge.indicator import Indicator

_CAMERAS_S: Final = 25.0
"""Cameras of one dead recorder are tried one after the other."""
_CLOCKS_S: Final = 6.0
"""Cameras send their clock every five seconds."""
_SCALE_S: Final = 8.0
_POLL_S: Final = 0.05


@dataclass
class Findings:
    """faults keep the station from running well; warnings do not."""

    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check(config: StationConfig) -> Findings:
    """Tries records, model, web address, scale and all cameras; changes nothing on disk."""
    found = Findings()
    records = data_folder.fault(config.data_dir)
    found.faults += [records] if records else []
    _check_model(config, found)
    owner = data_folder.warning(config.data_dir)
    found.warnings += [owner] if owner else []
    running = _check_http(config, found)
    if config.weighbridge.indicator is not None:
        if running:
            found.warnings.append("scale indicator: not tried, the running station has it")
        else:
            _check_scale(config.weighbridge.indicator, found)
    _check_cameras(config.cameras, config.checks, found)
    return found


def _check_model(config: StationConfig, found: Findings) -> None:
    model = config.model
    try:
        if model.bundle is not None:
            Engine.load(model.bundle, model.threads)
        elif model.updates is not None:
            Trust(model.updates.root, config.data_dir / "models" / "tuf")
            digest = data_folder.active_model(config.data_dir)
            if digest is None:
                found.warnings.append(
                    "model: none grades here yet, so every truck is refused; push one with "
                    "cane-export push"
                )
                return
            file = Depot(config.data_dir / "models").path(digest)
            if Engine.load(file, model.threads).digest != digest:
                found.faults.append(
                    f"{file}: is not the file that was signed for; push the model again"
                )
    except AgentError as error:
        found.faults.append(str(error))


def _check_http(config: StationConfig, found: Findings) -> bool:
    """Whether this very station is running there."""
    try:
        listen(config.http).close()
    except AgentError as error:
        if _answering_station(config.http) == config.station.id:
            return True
        found.faults.append(str(error))
    return False


def _answering_station(http: HttpSection) -> str | None:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(http.host, http.host)  # noqa: S104 - compared
    host = f"[{host}]" if ":" in host else host
    try:
        answer = httpx.get(f"http://{host}:{http.port}/api/v1/station", timeout=5.0).json()
    except (httpx.HTTPError, ValueError):
        return None
    return answer.get("station") if isinstance(answer, dict) else None


def _check_scale(section: IndicatorSection, found: Findings) -> None:
    indicator = Indicator(section, lambda *_: None)
    before = indicator.status().detail
    indicator.start()
    try:
        _wait_for(lambda: indicator.status().detail != before, _SCALE_S)
        status = indicator.status()
        if not status.connected:
            found.faults.append(f"scale indicator: {status.detail}")
    finally:
        indicator.stop()


def _check_cameras(config: CamerasSection, limits: ChecksSection, found: Findings) -> None:
    try:
        if config.credentials is not None:
            config.credentials.password()
    except AgentError as error:
        found.faults.append(str(error))
        return
    cameras = Cameras(config)
    cameras.start()
    try:
        _wait_for(lambda: all(map(_has_answered, cameras.status())), _CAMERAS_S)
        _wait_for(lambda: all(map(_has_right_clock, cameras.status())), _CLOCKS_S)
        statuses = cameras.status()
        for status in statuses:
            _judge_camera(status, found)
        told = {status.camera for status in statuses if status.problem is not None}
        # An empty scale at night may well be dark, so what a picture shows is no fault.
        refusal, problems = check_set(cameras.frames_at(datetime.now(UTC)), config, limits)
        if refusal is not None and refusal.reason is Reason.SKEW:
            found.warnings.append(f"{TEXTS[refusal.reason]}: {refusal.detail}")
        found.warnings += [
            f"{camera}: {TEXTS[problem.reason]} now: {problem.detail}"
            for camera, problem in problems.items()
            if camera not in told
        ]
    finally:
        cameras.stop(timeout_s=0.1)


def _has_answered(status: CameraStatus) -> bool:
    return status.problem is not None or status.width is not None


def _has_right_clock(status: CameraStatus) -> bool:
    if status.problem is not None:
        # Pictures that waited at the camera until somebody came look late for a moment.
        return status.problem is not Reason.CLOCK
    return status.clock == Clock.RTCP


def _judge_camera(status: CameraStatus, found: Findings) -> None:
    camera = status.camera
    if status.problem is not None:
        lines = found.warnings if status.state is CameraState.STREAMING else found.faults
        lines.append(f"{camera}: {TEXTS[status.problem]}: {status.detail}")
    elif status.state is not CameraState.STREAMING or status.width is None:
        found.faults.append(
            f"{camera}: {status.url}: no picture within {_CAMERAS_S:.0f} s; check the camera"
        )
    elif status.clock != Clock.RTCP:
        found.warnings.append(
            f"{camera}: sends no clock; its pictures count as taken when they arrive, less "
            f"cameras.{camera}.latency_ms"
        )


def _wait_for(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(_POLL_S)
