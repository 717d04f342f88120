"""Codes for why a truck was refused or a camera is not well, with an English text for each.

The codes are stored in records and shown in metrics; the console translates the texts.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """One thing that kept a truck from being graded, or a camera from being well."""

    UNREACHABLE = "unreachable"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    WRONG_CODEC = "wrong_codec"
    STALLED = "stalled"
    FROZEN = "frozen"
    WRONG_SIZE = "wrong_size"
    NO_FRAME = "no_frame"
    STALE = "stale"
    UNDECODABLE = "undecodable"
    REORDERED = "reordered"
    BLACK = "black"
    OVEREXPOSED = "overexposed"
    BLURRED = "blurred"
    COVERED = "covered"
    SKEW = "skew"
    CLOCK = "clock"
    NO_MODEL = "no_model"
    MODEL_FAILED = "model_failed"
    DISK_FULL = "disk_full"
    INTERRUPTED = "interrupted"
    INTERNAL = "internal"


TEXTS: Final[dict[Reason, str]] = {
    Reason.UNREACHABLE: "camera cannot be reached",
    Reason.UNAUTHORIZED: "camera refuses the user name or password",
    Reason.NOT_FOUND: "camera has no such stream",
    Reason.WRONG_CODEC: "camera sends a video codec other than H.264 or H.265",
    Reason.STALLED: "camera has stopped sending pictures",
    Reason.FROZEN: "camera sends the same picture again and again",
    Reason.WRONG_SIZE: "picture has another size than the station expects",
    Reason.NO_FRAME: "camera sent no picture for this instant",
    Reason.STALE: "picture was taken too long before or after the instant",
    Reason.UNDECODABLE: "picture could not be decoded",
    Reason.REORDERED: "camera sends pictures out of order (B-frames)",
    Reason.BLACK: "picture is black",
    Reason.OVEREXPOSED: "picture is over-exposed",
    Reason.BLURRED: "picture is blurred",
    Reason.COVERED: "camera is covered",
    Reason.SKEW: "pictures were taken too far apart in time",
    Reason.CLOCK: "camera's clock is wrong",
    Reason.NO_MODEL: "no model is loaded",
    Reason.MODEL_FAILED: "model failed on this picture",
    Reason.DISK_FULL: "evidence could not be written to disk",
    Reason.INTERRUPTED: "station was restarted before the truck was graded",
    Reason.INTERNAL: "an unexpected fault stopped the grading; see the log",
}
"""English text by reason; also the message ids of the console's catalogues."""
