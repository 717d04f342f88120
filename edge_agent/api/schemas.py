"""What goes over the wire: announcements in, arrivals with their outcomes out."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
)

from edge_agent.grades import Grade
from edge_agent.reasons import TEXTS, Reason
from edge_agent.records.models import Arrival, Frame, Grading

_TICKET_PUNCTUATION: Final = frozenset("-_./#:+() ")

UtcTime = Annotated[
    datetime,
    PlainSerializer(
        lambda value: value.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        return_type=str,
    ),
]
"""An instant; always sent in UTC with milliseconds, as 2026-01-15T03:20:41.250Z."""


def clean_text(value: str) -> str:
    """Normalised (NFC) text without spaces around it; ValueError if a character is unprintable."""
    text = unicodedata.normalize("NFC", value).strip()
    if not text:
        raise ValueError("must not be empty")
    if not text.isprintable():
        raise ValueError("must hold printable characters only")
    return text


def clean_ticket(value: str) -> str:
    """A ticket number: letters of any script, digits and - _ . / # : + ( ) and spaces.

    Raises ValueError for anything else, so that a ticket can be printed, searched and quoted
    everywhere.
    """
    text = clean_text(value)
    for char in text:
        # Thai vowels and tone marks are category M.
        if unicodedata.category(char)[0] not in "LMN" and char not in _TICKET_PUNCTUATION:
            raise ValueError(f"must be letters, digits, spaces and - _ . / # : + ( ), not {char!r}")
    return text


Ticket = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(clean_ticket)]
Text32 = Annotated[str, Field(min_length=1, max_length=32), AfterValidator(clean_text)]
Text64 = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(clean_text)]


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from error


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A time that somebody gives, with any time zone."""


class Announcement(BaseModel):
    """A truck that stands on the scale now."""

    model_config = ConfigDict(extra="forbid")

    ticket: Ticket = Field(description="The weighbridge's ticket number; makes retries safe.")
    plate: Text32 | None = Field(default=None, description="Prefix and number on the plate.")
    province: Text64 | None = Field(default=None, description="Province under the number.")
    grower: Text64 | None = Field(default=None, description="The mill's number of the grower.")
    weight_kg: float | None = Field(
        default=None, ge=0, le=200_000, allow_inf_nan=False, description="Gross weight."
    )
    weighed_at: Moment | None = Field(
        default=None,
        description="When it stood on the scale, with a time zone, if that is not now: whoever "
        "repeats an announcement sends it. A truck told of too late is refused as stale, not "
        "graded on its successor's pictures.",
    )


class State(StrEnum):
    """Where an arrival stands."""

    OPEN = "open"
    GRADED = "graded"
    NEEDS_PERSON = "needs_person"
    REFUSED = "refused"

    @classmethod
    def of(cls, grading: Grading | None) -> Self:
        """The state of an arrival with that grading, or None."""
        if grading is None:
            return cls("open")
        if grading.outcome == "refused":
            return cls("refused")
        return cls("needs_person" if grading.needs_person else "graded")


class FrameOut(BaseModel):
    """One camera's frame of the instant, or why there is none."""

    camera: str
    problem: str | None = Field(description="Reason code if missing or failed a check.")
    problem_text: str | None
    captured_at: UtcTime | None
    clock: str | None = Field(description="rtcp: the camera's clock; host: arrival time here.")
    error_ms: float | None = Field(description="Capture time minus the instant asked for.")
    width: int | None
    height: int | None
    sha256: str | None = Field(description="Of the evidence JPEG.")
    evidence: str | None = Field(description="Address of the evidence JPEG.")


class ModelOut(BaseModel):
    """The model that graded."""

    name: str | None
    version: str | None
    digest: str | None


class TrashOut(BaseModel):
    """How much of the load is leaf and trash, 0 to 100: the model's estimate, no measurement."""

    low: float = Field(description="Lower bound of the interval.")
    middle: float = Field(description="The estimate.")
    high: float = Field(description="Upper bound of the interval.")
    coverage: float = Field(
        description="Share of loads whose true value the interval is to hold, 0 to 1."
    )


class GradingOut(BaseModel):
    """The outcome of an arrival."""

    outcome: str = Field(description="graded or refused.")
    needs_person: bool = Field(description="The model is not sure enough; a person must look.")
    grade: Grade | None
    confidence: float | None = Field(description="Calibrated probability of the grade, 0 to 1.")
    probabilities: dict[str, float] | None
    trash: TrashOut | None = Field(
        description="null where the model does not estimate it, of undefined and refused loads."
    )
    reason: str | None = Field(description="Reason code when refused.")
    reason_text: str | None
    detail: str | None
    model: ModelOut
    graded_area: list[float] | None = Field(
        description="left, top, right, bottom as fractions of C301's frame."
    )
    skew_ms: float | None = Field(description="Latest minus earliest capture time of the frames.")
    latency_ms: float | None = Field(
        description="From acceptance to just before the commit of the outcome."
    )
    timings_ms: dict[str, Any]
    recorded_at: UtcTime
    frames: list[FrameOut]


class ArrivalOut(BaseModel):
    """A truck that came onto the scale, with its outcome once there is one."""

    id: str
    station: str
    source: str = Field(description="What announced it: ticket, scale or button.")
    ticket: str | None
    plate: str | None
    province: str | None
    grower: str | None
    weight_kg: float | None
    instant: UtcTime = Field(description="The instant whose frames are graded.")
    accepted_at: UtcTime
    state: State = Field(description="open until there is an outcome.")
    grading: GradingOut | None


class ArrivalPage(BaseModel):
    """Some of the arrivals that match, newest first."""

    total: int = Field(description="How many match in all.")
    limit: int
    offset: int
    items: list[ArrivalOut]


def arrival_out(arrival: Arrival) -> ArrivalOut:
    """The wire form of a record."""
    return ArrivalOut(
        id=arrival.id,
        station=arrival.station,
        source=arrival.source,
        ticket=arrival.ticket,
        plate=arrival.plate,
        province=arrival.province,
        grower=arrival.grower,
        weight_kg=arrival.weight_kg,
        instant=arrival.instant,
        accepted_at=arrival.accepted_at,
        state=State.of(arrival.grading),
        grading=None if arrival.grading is None else _grading_out(arrival.grading),
    )


def _grading_out(grading: Grading) -> GradingOut:
    return GradingOut(
        outcome=grading.outcome,
        needs_person=grading.needs_person,
        grade=None if grading.grade is None else Grade(grading.grade),
        confidence=grading.confidence,
        probabilities=grading.probabilities,
        trash=_trash_out(grading),
        reason=grading.reason,
        reason_text=_text(grading.reason),
        detail=grading.detail,
        model=ModelOut(
            name=grading.model_name, version=grading.model_version, digest=grading.model_digest
        ),
        graded_area=grading.graded_area,
        skew_ms=grading.skew_ms,
        latency_ms=grading.timings_ms.get("total"),
        timings_ms=grading.timings_ms,
        recorded_at=grading.recorded_at,
        frames=[_frame_out(grading.arrival_id, frame) for frame in grading.frames],
    )


def _trash_out(grading: Grading) -> TrashOut | None:
    low, middle, high = grading.trash_low, grading.trash_middle, grading.trash_high
    coverage = grading.trash_coverage
    if low is None or middle is None or high is None or coverage is None:
        return None
    return TrashOut(low=low, middle=middle, high=high, coverage=coverage)


def _frame_out(arrival_id: str, frame: Frame) -> FrameOut:
    address = f"/api/v1/arrivals/{arrival_id}/evidence/{frame.camera}"
    return FrameOut(
        camera=frame.camera,
        problem=frame.problem,
        problem_text=_text(frame.problem),
        captured_at=frame.captured_at,
        clock=frame.clock,
        error_ms=frame.error_ms,
        width=frame.width,
        height=frame.height,
        sha256=frame.sha256,
        evidence=None if frame.path is None else address,
    )


def _text(reason: str | None) -> str | None:
    """The English text of a code; a code this version does not know stands for itself."""
    if reason is None:
        return None
    return TEXTS[Reason(reason)] if reason in set(Reason) else reason
