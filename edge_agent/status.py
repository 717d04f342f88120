"""How a station is right now: what /health, /metrics and the console's health page show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from edge_agent.reasons import Reason


class CameraState(StrEnum):
    """Where a camera's reader is."""

    CONNECTING = "connecting"
    """No picture yet, or none whose capture time is known."""
    STREAMING = "streaming"
    TROUBLED = "troubled"
    """Streaming or not, its pictures cannot be used; `problem` says why."""


@dataclass(frozen=True)
class CameraStatus:
    """One camera. Nothing here holds a password."""

    camera: str
    state: CameraState
    url: str
    problem: Reason | None = None
    detail: str | None = None
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    kbit_s: float | None = None
    gop: int | None = None
    clock: str | None = None
    """rtcp or host, as in records."""
    delay_ms: float | None = None
    """Arrival here minus capture by the camera's clock: its latency plus its clock error."""
    last_packet_age_s: float | None = None
    connects: int = 0
    armed: bool = False


@dataclass(frozen=True)
class ScaleStatus:
    """The scale indicator."""

    connected: bool
    phase: str
    """empty, rising, on_scale or leaving."""
    weight_kg: float | None = None
    stable: bool = False
    detail: str | None = None


@dataclass(frozen=True)
class ModelStatus:
    """The model that grades."""

    loaded: bool
    name: str | None = None
    version: str | None = None
    digest: str | None = None
    precision: str | None = None
    confidence_threshold: float | None = None
    detail: str | None = None
    """Why none is loaded."""


@dataclass(frozen=True)
class StationStatus:
    """The whole station.

    ready: a truck arriving now would be graded (model loaded, graded camera streaming, records
    writable). problems: one plain sentence for each thing that is not well.
    """

    station: str
    name: str
    version: str
    started_at: datetime
    ready: bool
    problems: tuple[str, ...]
    cameras: tuple[CameraStatus, ...]
    scale: ScaleStatus | None
    model: ModelStatus
    waiting: int
    """Arrivals accepted and not yet graded."""
    disk_free_bytes: int
