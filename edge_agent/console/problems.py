"""What is not well at the station, as sentences in the reader's language with what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge_agent.console import vocabulary as words
from edge_agent.console.formats import Formats
from edge_agent.console.texts import Texts
from edge_agent.status import CameraState, StationStatus

LOW_DISK_BYTES: Final = 5 * 10**9
"""About two days of evidence at a large mill."""


@dataclass(frozen=True)
class Problem:
    """One thing that is not well."""

    text: str
    advice: str
    detail: str | None = None


def problems(status: StationStatus, t: Texts, f: Formats) -> tuple[Problem, ...]:
    """Everything that is not well, the graded camera and the model first."""
    found: list[Problem] = []
    model, scale = status.model, status.scale
    if not model.loaded:
        found.append(
            Problem(
                t("No model is loaded: trucks cannot be graded."),
                t("Have IT install a model bundle."),
                model.detail,
            )
        )
    # C301 first: without it nothing is graded.
    for camera in sorted(status.cameras, key=lambda c: (c.camera != "C301", c.camera)):
        if camera.state is CameraState.TROUBLED:
            reason = words.reason_text(t, camera.problem) or t("In trouble")
            found.append(
                Problem(
                    f"{camera.camera}: {reason}", words.advice(t, camera.problem), camera.detail
                )
            )
        elif camera.state is CameraState.CONNECTING:
            found.append(
                Problem(
                    t("{camera}: still connecting", camera=camera.camera),
                    t("Wait a moment; if it stays, check the camera's power and network."),
                    camera.detail,
                )
            )
    if scale is not None and not scale.connected:
        found.append(
            Problem(
                t("The scale indicator does not answer."),
                t("Check its cable and address. Tickets and the button still work."),
                scale.detail,
            )
        )
    if status.disk_free_bytes < LOW_DISK_BYTES:
        free = f.gigabytes(status.disk_free_bytes)
        found.append(
            Problem(
                t("The data disk is nearly full: {free} left.", free=free),
                t("Free space on the data disk."),
            )
        )
    return tuple(found)
