"""The words and signs of the console: grades, states, phases, and what to do about each fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge_agent.console.texts import N_, Texts
from edge_agent.grades import Grade
from edge_agent.reasons import TEXTS, Reason
from edge_agent.records.ledger import Action
from edge_agent.status import CameraState


@dataclass(frozen=True)
class GradeLook:
    """How a grade is shown: two words, two Material icons and a style class, never colour alone."""

    first: str
    second: str
    full: str
    icons: tuple[str, ...]

    def lines(self, t: Texts) -> tuple[str, ...]:
        """The name in two lines."""
        return t(self.first), t(self.second)


GRADE_LOOKS: Final = {
    Grade.FRESH_CLEAN: GradeLook(
        N_("Fresh cane"), N_("clean"), N_("Fresh cane, clean"), ("eco", "check_circle")
    ),
    Grade.FRESH_TRASH: GradeLook(
        N_("Fresh cane"), N_("with trash"), N_("Fresh cane, with trash"), ("eco", "grass")
    ),
    Grade.BURN_CLEAN: GradeLook(
        N_("Burnt cane"),
        N_("clean"),
        N_("Burnt cane, clean"),
        ("local_fire_department", "check_circle"),
    ),
    Grade.BURN_TRASH: GradeLook(
        N_("Burnt cane"),
        N_("with trash"),
        N_("Burnt cane, with trash"),
        ("local_fire_department", "grass"),
    ),
    Grade.UNDEFINED: GradeLook(
        N_("Cannot be"), N_("identified"), N_("Cannot be identified"), ("help_outline",)
    ),
}

STATES: Final = {
    "open": N_("Grading…"),
    "graded": N_("Graded"),
    "needs_person": N_("Needs a person"),
    "refused": N_("Refused"),
}

STATE_ICONS: Final = {
    "open": "hourglass_top",
    "graded": "check_circle",
    "needs_person": "person_search",
    "refused": "block",
}

CAMERA_STATES: Final = {
    CameraState.CONNECTING: N_("Connecting"),
    CameraState.STREAMING: N_("Working"),
    CameraState.TROUBLED: N_("In trouble"),
}

CAMERA_NAMES: Final = {
    "C101": N_("front, plate"),
    "C201": N_("top, front"),
    "C301": N_("top, middle"),
    "C401": N_("top, back"),
}

PHASES: Final = {
    "empty": N_("Scale empty"),
    "rising": N_("Truck driving on"),
    "on_scale": N_("Truck on the scale"),
    "leaving": N_("Truck leaving"),
}

SOURCES: Final = {
    "ticket": N_("Weighbridge ticket"),
    "scale": N_("Weight on the scale"),
    "button": N_("Button on the console"),
}

CLOCKS: Final = {"rtcp": N_("camera clock"), "host": N_("arrival time")}

CLOCK_ICONS: Final = {"rtcp": "videocam", "host": "dns"}

TIMINGS: Final = {
    "wait": N_("Waiting for the cameras"),
    "decode": N_("Decoding"),
    "check": N_("Checking the pictures"),
    "resize": N_("Resizing"),
    "infer": N_("Model"),
    "jpeg": N_("Writing pictures"),
    "total": N_("Acceptance to outcome"),
}

ADVICE: Final = {
    Reason.UNREACHABLE: N_("Check the camera's power and network cable, then its address."),
    Reason.UNAUTHORIZED: N_("Check the user name and password in station.yaml with IT."),
    Reason.NOT_FOUND: N_("Check the stream's path in station.yaml with IT."),
    Reason.WRONG_CODEC: N_("Set the camera to H.264 or H.265."),
    Reason.STALLED: N_("Check the network; restart the camera if it stays."),
    Reason.FROZEN: N_("Restart the camera."),
    Reason.WRONG_SIZE: N_("Set the camera's resolution to what station.yaml says."),
    Reason.NO_FRAME: N_("Look at the camera's state, then grade the truck again."),
    Reason.STALE: N_("Check the network and the camera's clock, then grade the truck again."),
    Reason.UNDECODABLE: N_("Grade the truck again; restart the camera if it stays."),
    Reason.REORDERED: N_("Switch B-frames off in the camera's video settings."),
    Reason.BLACK: N_("Check the lamps and the lens, then grade the truck again."),
    Reason.OVEREXPOSED: N_("Check lamps and sun on the lens, then grade the truck again."),
    Reason.BLURRED: N_("Clean the lens and check its focus, then grade the truck again."),
    Reason.COVERED: N_("Uncover the lens, then grade the truck again."),
    Reason.SKEW: N_("Check the network and the cameras' clocks, then grade the truck again."),
    Reason.CLOCK: N_("Set NTP on the camera and on this PC with IT, then grade the truck again."),
    Reason.NO_MODEL: N_("Have IT install a model bundle."),
    Reason.MODEL_FAILED: N_("A person must grade this truck; report it to the engineers."),
    Reason.DISK_FULL: N_("Free space on the data disk."),
    Reason.INTERRUPTED: N_("Grade the truck again if it is still on the scale."),
    Reason.INTERNAL: N_("A person must grade this truck; send the log to the engineers."),
}


def grade_name(t: Texts, grade: str | None) -> str:
    """The full name of a grade; a code this version does not know stands for itself."""
    if grade is None:
        return ""
    return t(GRADE_LOOKS[Grade(grade)].full) if grade in GRADE_LOOKS else grade


def reason_text(t: Texts, reason: str | None) -> str:
    """The text of a reason code, as a sentence begins."""
    if reason is None:
        return ""
    text = t(TEXTS[Reason(reason)]) if reason in TEXTS else reason
    return text[:1].upper() + text[1:]


def advice(t: Texts, reason: str | None) -> str:
    """What to do about a reason code."""
    return t(ADVICE[Reason(reason)]) if reason is not None and reason in ADVICE else ""


MODEL_ACTIONS: Final[dict[tuple[Action, bool], str]] = {
    (Action.PUSH, True): N_("Signed list taken"),
    (Action.PUSH, False): N_("Delivery refused"),
    (Action.TRY, True): N_("Trial passed"),
    (Action.TRY, False): N_("Refused by the trial"),
    (Action.ACTIVATE, True): N_("Grades from here on"),
    (Action.ACTIVATE, False): N_("Could not be activated"),
    (Action.ROLL_BACK, True): N_("Rolled back"),
    (Action.ROLL_BACK, False): N_("Could not roll back"),
    (Action.SHADOW, True): N_("Grades unseen from here on"),
    (Action.SHADOW, False): N_("Could not grade unseen"),
    (Action.RELEASE, True): N_("Out of the shadow"),
    (Action.RELEASE, False): N_("Could not leave the shadow"),
    (Action.FAIL, True): N_("Failed"),
    (Action.FAIL, False): N_("Failed"),
    (Action.REVOKE, True): N_("Revoked by the signers"),
    (Action.REVOKE, False): N_("Could not be revoked"),
}
"""What an event says, by its action and whether it worked."""
