"""What is not well at the station, as sentences in the reader's language with what to do.

What is a problem and what is not is the station's decision: each line of `StationStatus.problems`
becomes one Problem here, so that console, API and metrics never disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.cameras.frames import GRADED_CAMERA
from edge_agent.console import vocabulary as words
from edge_agent.console.formats import Formats
from edge_agent.console.texts import Texts
from edge_agent.status import StationStatus


@dataclass(frozen=True)
class Problem:
    """One thing that is not well; detail is the agent's own English text, for IT."""

    text: str
    advice: str
    detail: str | None = None
    rank: int = 2
    """0: nothing is graded or recorded; 1: the graded camera; 2: everything else."""


def problems(status: StationStatus, t: Texts, f: Formats) -> tuple[Problem, ...]:
    """Everything that is not well, what stops the grading first."""
    found = (_problem(line, status, t, f) for line in status.problems)
    return tuple(sorted(found, key=lambda problem: problem.rank))


def _problem(line: str, status: StationStatus, t: Texts, f: Formats) -> Problem:
    # Lines begin with what they are about: a camera's id, "scale indicator", "data disk", "models"
    # or "records"; that of a missing model is the text in its status.
    subject = line.partition(":")[0]
    for camera in status.cameras:
        if camera.camera == subject and camera.problem is not None:
            return Problem(
                f"{subject}: {words.reason_text(t, camera.problem)}",
                words.advice(t, camera.problem),
                camera.detail,
                rank=1 if subject == GRADED_CAMERA else 2,
            )
    if line == status.model.detail:
        return Problem(
            t("No model is loaded: trucks cannot be graded."),
            t("Have IT install a model bundle."),
            line,
            rank=0,
        )
    if subject == "models":
        return Problem(
            t("The list of signed models cannot be renewed; grading goes on."),
            t("Have an engineer look at the Models page."),
            line,
        )
    if subject == "scale indicator":
        return Problem(
            t("The scale indicator does not answer."),
            t("Check its cable and address. Tickets and the button still work."),
            status.scale.detail if status.scale is not None else line,
        )
    if subject == "data disk":
        free = f.gigabytes(status.disk_free_bytes)
        return Problem(
            t("The data disk is nearly full: {free} left.", free=free),
            t("Free space on the data disk."),
            rank=0,
        )
    if subject.startswith("records "):
        return Problem(
            t("Records cannot be written: trucks are not accepted."),
            t("Have IT check the data disk."),
            line,
            rank=0,
        )
    # Something this page has no words for must not stay hidden.
    return Problem(t("The station reports a fault."), t("Tell IT the technical detail."), line)
