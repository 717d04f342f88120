"""The record store: one SQLite file in WAL mode with synchronous=FULL."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, create_engine, event, func, or_, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import sessionmaker

from edge_agent.errors import RecordConflictError, RecordError
from edge_agent.records import migrate
from edge_agent.records.ledger import ModelLedger
from edge_agent.records.models import Arrival, Frame, Grading


@dataclass(frozen=True)
class NewArrival:
    """What is known of a truck when it is announced."""

    station: str
    source: str
    instant: datetime
    ticket: str | None = None
    plate: str | None = None
    province: str | None = None
    grower: str | None = None
    weight_kg: float | None = None


@dataclass(frozen=True)
class FrameRecord:
    """One row of `frames`; see edge_agent.records.models.Frame."""

    camera: str
    problem: str | None = None
    captured_at: datetime | None = None
    clock: str | None = None
    error_ms: float | None = None
    width: int | None = None
    height: int | None = None
    path: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Outcome:
    """One row of `gradings` with its frames; see edge_agent.records.models.Grading."""

    outcome: str
    needs_person: bool = False
    reason: str | None = None
    detail: str | None = None
    grade: str | None = None
    confidence: float | None = None
    probabilities: dict[str, float] | None = None
    trash_low: float | None = None
    trash_middle: float | None = None
    trash_high: float | None = None
    trash_coverage: float | None = None
    model_name: str | None = None
    model_version: str | None = None
    model_digest: str | None = None
    graded_area: list[float] | None = None
    skew_ms: float | None = None
    timings_ms: dict[str, Any] = field(default_factory=dict)
    frames: tuple[FrameRecord, ...] = ()


@dataclass(frozen=True)
class Query:
    """Which arrivals to list; None means any.

    outcome: graded, refused, needs_person or open. text: part of a ticket or plate.
    since/until: bounds on the instant, [since, until).
    """

    grade: str | None = None
    outcome: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Store:
    """All reading and writing of records. Thread-safe; returned objects are detached."""

    def __init__(self, file: Path) -> None:
        """Opens and migrates the database file.

        Raises RecordError if the file is no database, newer than this agent, or not writable.
        """
        self.file = file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            _migrate(file)
            self._engine = create_engine(f"sqlite:///{file}")
            event.listen(self._engine, "connect", _set_pragmas)
        except Exception as error:
            raise RecordError(
                f"records {file}: {' '.join(str(error).split())[:200]}; "
                "restore a backup or move the file away"
            ) from error
        self._session = sessionmaker(self._engine, expire_on_commit=False)
        self.models = ModelLedger(self._session)

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def accept(self, new: NewArrival) -> tuple[Arrival, bool]:
        """Commits an arrival and returns it with True; with False if its ticket is known already.

        Raises RecordError if it could not be committed.
        """
        following = select(func.coalesce(func.max(Arrival.sequence), 0) + 1).scalar_subquery()
        arrival = Arrival(
            id=str(uuid.uuid4()),
            # Counted by the INSERT itself, of which SQLite runs one at a time.
            sequence=following,
            accepted_at=datetime.now(UTC),
            grading=None,
            **asdict(new),
        )
        try:
            with self._session.begin() as session:
                session.add(arrival)
                session.flush()
                session.refresh(arrival, ["sequence"])
        except IntegrityError as error:
            # Without a ticket it cannot be known already, whatever the database refused.
            known = None if new.ticket is None else self._by_ticket(new.ticket)
            if known is None:
                raise self._fault("arrival not stored", error) from error
            return known, False
        except SQLAlchemyError as error:
            raise self._fault("arrival not stored", error) from error
        # Not read again: what is committed is accepted, also if the disk fails a moment later.
        return arrival, True

    def name(
        self,
        arrival_id: str,
        *,
        ticket: str,
        plate: str | None,
        province: str | None,
        grower: str | None,
        weight_kg: float | None = None,
    ) -> Arrival | None:
        """Gives an arrival without a ticket the ticket that came later for the same truck, and what
        else that says: the weighbridge's weight counts, not the one that was read off.

        None if there is no such arrival, or another one has the ticket already. Raises RecordError
        if it could not be committed.
        """
        try:
            with self._session.begin() as session:
                arrival = session.get(Arrival, arrival_id)
                if arrival is None or arrival.ticket is not None:
                    return None
                arrival.ticket = ticket
                arrival.plate = plate or arrival.plate
                arrival.province = province or arrival.province
                arrival.grower = grower or arrival.grower
                arrival.weight_kg = arrival.weight_kg if weight_kg is None else weight_kg
        except IntegrityError:
            return None
        except SQLAlchemyError as error:
            raise self._fault("ticket not stored", error) from error
        return self.get(arrival_id)

    def record(self, arrival_id: str, outcome: Outcome) -> None:
        """Commits the outcome of an arrival, with its frames, in one transaction.

        Raises RecordConflictError if the arrival has an outcome already or is unknown, RecordError
        on a fault that may pass.
        """
        values = asdict(outcome)
        frames = [Frame(**frame) for frame in values.pop("frames")]
        grading = Grading(
            arrival_id=arrival_id, recorded_at=datetime.now(UTC), frames=frames, **values
        )
        try:
            with self._session.begin() as session:
                session.add(grading)
        except IntegrityError as error:
            raise RecordConflictError(f"arrival {arrival_id}: unknown or already graded") from error
        except SQLAlchemyError as error:
            raise self._fault("outcome not stored", error) from error

    def get(self, arrival_id: str) -> Arrival | None:
        """The arrival with its grading and frames."""
        with self._session() as session:
            return session.get(Arrival, arrival_id)

    def open_arrivals(self) -> list[Arrival]:
        """Accepted arrivals without an outcome, oldest first. Raises RecordError."""
        statement = select(Arrival).where(~Arrival.grading.has()).order_by(Arrival.sequence)
        try:
            with self._session() as session:
                return list(session.scalars(statement).unique())
        except SQLAlchemyError as error:
            raise self._fault("cannot be read", error) from error

    def find(self, query: Query, *, limit: int = 50, offset: int = 0) -> list[Arrival]:
        """Arrivals that match, the last accepted first."""
        with self._session() as session:
            statement = (
                select(Arrival)
                .outerjoin(Arrival.grading)
                .where(*_conditions(query))
                .order_by(Arrival.sequence.desc())
                .limit(limit)
                .offset(offset)
            )
            return list(session.scalars(statement).unique())

    def count(self, query: Query) -> int:
        """How many arrivals match."""
        with self._session() as session:
            statement = (
                select(func.count(Arrival.id)).outerjoin(Arrival.grading).where(*_conditions(query))
            )
            return session.scalar(statement) or 0

    def gradings_after(self, grading_id: int, limit: int) -> list[Grading]:
        """The next gradings in the order of their commits, after that one; 0: from the first on."""
        with self._session() as session:
            statement = select(Grading).where(Grading.id > grading_id).order_by(Grading.id)
            return list(session.scalars(statement.limit(limit)))

    def last_grading_id(self) -> int:
        """The last grading's id; 0 if there is none."""
        with self._session() as session:
            return session.scalar(select(func.max(Grading.id))) or 0

    def _fault(self, what: str, error: SQLAlchemyError) -> RecordError:
        cause = getattr(error, "orig", None) or error
        return RecordError(
            f"records {self.file}: {what}: {' '.join(str(cause).split())[:200]}; "
            "check the data disk"
        )

    def _by_ticket(self, ticket: str) -> Arrival | None:
        with self._session() as session:
            return session.scalars(select(Arrival).where(Arrival.ticket == ticket)).first()


def _migrate(file: Path) -> None:
    """All steps in one transaction: a power cut between two of them would leave a database that is
    of neither version. By itself the driver commits each change of a table at once."""
    engine = create_engine(f"sqlite:///{file}")

    @event.listens_for(engine, "connect")
    def no_transactions_of_its_own(connection: sqlite3.Connection, _: object) -> None:
        _set_pragmas(connection, _)
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def one_of_ours(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        with engine.begin() as connection:
            migrate.upgrade(connection)
    finally:
        engine.dispose()


def _conditions(query: Query) -> Sequence[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.grade is not None:
        conditions.append(Grading.grade == query.grade)
    if query.outcome == "open":
        conditions.append(Grading.id.is_(None))
    elif query.outcome == "needs_person":
        conditions.append(Grading.needs_person.is_(True))
    elif query.outcome is not None:
        conditions.append(Grading.outcome == query.outcome)
    if query.text:
        conditions.append(
            or_(
                Arrival.ticket.contains(query.text, autoescape=True),
                Arrival.plate.contains(query.text, autoescape=True),
            )
        )
    if query.since is not None:
        conditions.append(Arrival.instant >= query.since)
    if query.until is not None:
        conditions.append(Arrival.instant < query.until)
    return conditions


def _set_pragmas(connection: sqlite3.Connection, _: object) -> None:
    cursor = connection.cursor()
    # FULL: an acknowledged arrival survives a power cut, not only a crash of the agent.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
