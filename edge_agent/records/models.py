"""The tables of a station's database.

    arrivals 1 ── 0..1 gradings 1 ── 0..4 frames

    models 1 ── 0..n model_roles, shadow_gradings; model_events stand alone

An arrival without a grading is open. What a machine graded is never changed: gradings and frames
are only ever inserted.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, ForeignKey, Index, MetaData, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime, stored as UTC. Refuses naive ones with ValueError."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database: UTC without a time zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime: give it a time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database: aware, in UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """Common base; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Arrival(Base):
    """A truck that came onto the scale, as announced; committed before it is acknowledged."""

    __tablename__ = "arrivals"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    sequence: Mapped[int] = mapped_column(index=True, unique=True)
    """1, 2, 3 ... in the order of acceptance, also when the clock jumps."""
    station: Mapped[str] = mapped_column(String(32))
    source: Mapped[str] = mapped_column(String(16))
    """ticket, scale or button."""
    ticket: Mapped[str | None] = mapped_column(String(64), unique=True)
    plate: Mapped[str | None] = mapped_column(String(32))
    province: Mapped[str | None] = mapped_column(String(64))
    grower: Mapped[str | None] = mapped_column(String(64))
    weight_kg: Mapped[float | None]
    instant: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    """T: the instant whose frames are to be graded."""
    accepted_at: Mapped[datetime] = mapped_column(UTCDateTime)

    grading: Mapped[Grading | None] = relationship(back_populates="arrival", lazy="joined")


class Grading(Base):
    """The one outcome of an arrival."""

    __tablename__ = "gradings"
    __table_args__ = (Index("ix_gradings_outcome_grade", "outcome", "grade"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    arrival_id: Mapped[str] = mapped_column(ForeignKey("arrivals.id"), unique=True)
    outcome: Mapped[str] = mapped_column(String(16))
    """graded or refused."""
    needs_person: Mapped[bool]
    reason: Mapped[str | None] = mapped_column(String(32))
    """Code from edge_agent.reasons when refused."""
    detail: Mapped[str | None] = mapped_column(String(300))
    """What exactly was wrong, for people."""
    grade: Mapped[str | None] = mapped_column(String(16))
    confidence: Mapped[float | None]
    probabilities: Mapped[dict[str, float] | None] = mapped_column(JSON)
    trash_low: Mapped[float | None]
    """How much of the load is leaf and trash, 0 to 100: the lower bound of the estimate."""
    trash_middle: Mapped[float | None]
    """The estimate itself."""
    trash_high: Mapped[float | None]
    """Its upper bound."""
    trash_coverage: Mapped[float | None]
    """Share of new loads whose true share the bounds are to hold, 0 to 1. All four or none."""
    model_name: Mapped[str | None] = mapped_column(String(64))
    model_version: Mapped[str | None] = mapped_column(String(32))
    model_digest: Mapped[str | None] = mapped_column(String(64))
    graded_area: Mapped[list[float] | None] = mapped_column(JSON)
    """left, top, right, bottom as fractions of the frame."""
    skew_ms: Mapped[float | None]
    timings_ms: Mapped[dict[str, Any]] = mapped_column(JSON)
    recorded_at: Mapped[datetime] = mapped_column(UTCDateTime)

    arrival: Mapped[Arrival] = relationship(back_populates="grading")
    frames: Mapped[list[Frame]] = relationship(
        back_populates="grading", lazy="selectin", order_by="Frame.camera"
    )


class Frame(Base):
    """One camera's frame of the instant, or why there is none."""

    __tablename__ = "frames"

    grading_id: Mapped[int] = mapped_column(ForeignKey("gradings.id"), primary_key=True)
    camera: Mapped[str] = mapped_column(String(8), primary_key=True)
    problem: Mapped[str | None] = mapped_column(String(32))
    """Code from edge_agent.reasons, if the frame is missing or failed a check."""
    captured_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    clock: Mapped[str | None] = mapped_column(String(8))
    """rtcp (the camera's sender report) or host (arrival time here)."""
    error_ms: Mapped[float | None]
    """Capture time minus the instant asked for."""
    width: Mapped[int | None]
    height: Mapped[int | None]
    path: Mapped[str | None] = mapped_column(String(200))
    """Evidence JPEG, relative to the data folder's evidence/."""
    sha256: Mapped[str | None] = mapped_column(String(64))

    grading: Mapped[Grading] = relationship(back_populates="frames")


class Model(Base):
    """A model bundle that came to this station, whether it may grade or not."""

    __tablename__ = "models"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of the bundle's file."""
    target: Mapped[str] = mapped_column(String(200))
    """Its path in the repository that signed for it."""
    name: Mapped[str | None] = mapped_column(String(64))
    version: Mapped[str | None] = mapped_column(String(32))
    size_bytes: Mapped[int]
    added_at: Mapped[datetime] = mapped_column(UTCDateTime)
    listed: Mapped[bool]
    """Whether the last whole refresh of the metadata still lists it: if not, it is revoked."""
    fault: Mapped[str | None] = mapped_column(String(600))
    """Why the gate refused it; None if it may grade."""
    trial: Mapped[dict[str, Any]] = mapped_column(JSON)
    """edge_agent.updates.gate.Report of the last trial."""


class ModelRole(Base):
    """What a model does right now: there is one row for `active` and one for `shadow` at most."""

    __tablename__ = "model_roles"

    role: Mapped[str] = mapped_column(String(8), primary_key=True)
    digest: Mapped[str] = mapped_column(ForeignKey("models.digest"))
    since: Mapped[datetime] = mapped_column(UTCDateTime)
    after_grading: Mapped[int]
    """Id of the last grading before that: what came later is its own."""


class ModelEvent(Base):
    """One thing that was done with a model, or refused. Rows are only ever added."""

    __tablename__ = "model_events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    actor: Mapped[str] = mapped_column(String(64))
    """The user's name; `station` for what the agent does by itself."""
    action: Mapped[str] = mapped_column(String(16))
    """See edge_agent.records.ledger.Action."""
    digest: Mapped[str | None] = mapped_column(String(64), index=True)
    ok: Mapped[bool]
    detail: Mapped[str] = mapped_column(String(600))
    """For people: what happened, or why it was refused."""


class ShadowGrading(Base):
    """What a candidate made of a truck that the active model has graded."""

    __tablename__ = "shadow_gradings"

    digest: Mapped[str] = mapped_column(ForeignKey("models.digest"), primary_key=True)
    arrival_id: Mapped[str] = mapped_column(ForeignKey("arrivals.id"), primary_key=True)
    active_digest: Mapped[str] = mapped_column(String(64))
    active_grade: Mapped[str] = mapped_column(String(16))
    active_ms: Mapped[float]
    grade: Mapped[str | None] = mapped_column(String(16))
    """None if it failed."""
    confidence: Mapped[float | None]
    probabilities: Mapped[dict[str, float] | None] = mapped_column(JSON)
    needs_person: Mapped[bool]
    ms: Mapped[float | None]
    fault: Mapped[str | None] = mapped_column(String(300))
    graded_at: Mapped[datetime] = mapped_column(UTCDateTime)
