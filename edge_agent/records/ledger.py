"""The models of a station on disk: which there are, what each does, what was done with them.

Every change of what a model does is one transaction with the event that tells of it, so a crash
leaves either both or neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from edge_agent.errors import RecordError
from edge_agent.reasons import Reason
from edge_agent.records.models import (
    Grading,
    Model,
    ModelEvent,
    ModelRole,
    ShadowGrading,
)

_DETAIL: Final = 600


class Role(StrEnum):
    """What a model can do."""

    ACTIVE = "active"
    SHADOW = "shadow"


class Action(StrEnum):
    """What is done with models, or by the agent on their account."""

    PUSH = "push"
    """A delivery or the repository brought metadata or a bundle."""
    TRY = "try"
    """A bundle went through the gate."""
    ACTIVATE = "activate"
    ROLL_BACK = "roll_back"
    SHADOW = "shadow"
    RELEASE = "release"
    """A candidate is no longer in the shadow."""
    FAIL = "fail"
    """The model that grades failed."""
    REVOKE = "revoke"
    """The signers took a model off their list."""


@dataclass(frozen=True)
class Event:
    """One row of `model_events`, still without its time."""

    actor: str
    action: Action
    digest: str | None
    ok: bool
    detail: str


@dataclass(frozen=True)
class Tally:
    """Trucks that a model was asked about, and those of which it gave no grade to go by.

    doubtful: it failed, or was not sure enough.
    """

    trucks: int
    doubtful: int


class ModelLedger:
    """Reading and writing of these tables; a part of `Store`. Thread-safe.

    Every method raises RecordError if the database cannot be used.
    """

    def __init__(self, session: sessionmaker[Session]) -> None:
        self._session = session

    # ---- models

    def add(
        self,
        *,
        digest: str,
        target: str,
        name: str | None,
        version: str | None,
        size_bytes: int,
        fault: str | None,
        trial: dict[str, Any],
        event: Event,
    ) -> None:
        """Writes what a trial found of a bundle, also of one that was known already."""
        with self._writing() as session:
            session.merge(
                Model(
                    digest=digest,
                    target=target,
                    name=name,
                    version=version,
                    size_bytes=size_bytes,
                    added_at=self._added_at(session, digest),
                    listed=True,
                    fault=fault[:_DETAIL] if fault else None,
                    trial=trial,
                )
            )
            session.add(_row(event))

    def list_only(self, digests: Iterable[str], actor: str) -> None:
        """Notes which models are still signed for, and tells of those that no longer are."""
        known = set(digests)
        with self._writing() as session:
            gone = [m for m in self._all(session) if m.listed and m.digest not in known]
            for model in gone:
                model.listed = False
                text = f"{model.target}: no longer signed for"
                session.add(_row(Event(actor, Action.REVOKE, model.digest, True, text)))
            session.execute(update(Model).where(Model.digest.in_(known)).values(listed=True))

    def get(self, digest: str) -> Model | None:
        """That model."""
        with self._reading() as session:
            return session.get(Model, digest)

    def all(self) -> list[Model]:
        """All models, the last that came first."""
        with self._reading() as session:
            return self._all(session)

    # ---- roles

    def roles(self) -> dict[Role, ModelRole]:
        """What does what right now."""
        with self._reading() as session:
            return {Role(row.role): row for row in session.scalars(select(ModelRole))}

    def assign(self, role: Role, digest: str | None, *events: Event) -> None:
        """Gives the role to a model, or to none, and a model that becomes active no other."""
        with self._writing() as session:
            session.execute(delete(ModelRole).where(ModelRole.role == role))
            if role is Role.ACTIVE:
                session.execute(delete(ModelRole).where(ModelRole.digest == digest))
            if digest is not None:
                last = session.scalar(select(func.max(Grading.id))) or 0
                row = ModelRole(
                    role=role, digest=digest, since=datetime.now(UTC), after_grading=last
                )
                session.add(row)
            session.add_all(map(_row, events))

    def earlier(self, active: str | None) -> list[Model]:
        """Models to go back to from `active`, the nearest first: they graded before it, are signed
        for, and neither failed nor were left by going back."""
        with self._reading() as session:
            statement = (
                select(ModelEvent.action, ModelEvent.digest)
                .where(
                    ModelEvent.digest.is_not(None),
                    or_(
                        ModelEvent.action.in_((Action.ACTIVATE, Action.ROLL_BACK)) & ModelEvent.ok,
                        ModelEvent.action == Action.FAIL,
                    ),
                )
                .order_by(ModelEvent.id)
            )
            path: list[str] = []
            for action, digest in session.execute(statement):
                assert digest is not None  # noqa: S101 - narrows the type; see the statement
                if action == Action.ROLL_BACK and digest in path:
                    del path[path.index(digest) + 1 :]
                elif digest in path:
                    path.remove(digest)
                if action != Action.FAIL and digest not in path:
                    path.append(digest)
            known = {model.digest: model for model in self._all(session)}
        found = (known[digest] for digest in reversed(path) if digest in known)
        return [m for m in found if m.digest != active and m.listed and m.fault is None]

    def last_used(self) -> list[str]:
        """Digests of the models that may grade, the one last tried or given a role first."""
        with self._reading() as session:
            statement = (
                select(ModelEvent.digest)
                .join(Model, Model.digest == ModelEvent.digest)
                .where(ModelEvent.ok, Model.listed, Model.fault.is_(None))
                .group_by(ModelEvent.digest)
                .order_by(func.max(ModelEvent.id).desc())
            )
            return [str(digest) for digest in session.scalars(statement)]

    # ---- events

    def note(self, event: Event) -> None:
        """Adds an event."""
        with self._writing() as session:
            session.add(_row(event))

    def events(self, *, limit: int = 50) -> Sequence[ModelEvent]:
        """The last events, newest first."""
        with self._reading() as session:
            statement = select(ModelEvent).order_by(ModelEvent.id.desc()).limit(limit)
            return list(session.scalars(statement))

    def count(self, digest: str, actions: Sequence[Action], *, ok: bool) -> int:
        """How many events of these kinds a model has."""
        with self._reading() as session:
            statement = select(func.count(ModelEvent.id)).where(
                ModelEvent.digest == digest, ModelEvent.action.in_(actions), ModelEvent.ok == ok
            )
            return session.scalar(statement) or 0

    # ---- how well they do

    def tally(
        self, *, after: int = 0, until: int | None = None, digest: str | None = None, limit: int
    ) -> Tally:
        """Of the last `limit` gradings with an id above `after` and not above `until`; of that
        model, or of all."""
        with self._reading() as session:
            failed = Grading.reason == Reason.MODEL_FAILED
            statement = (
                select(Grading.needs_person, failed)
                .where(Grading.id > after, or_(Grading.outcome == "graded", failed))
                .order_by(Grading.id.desc())
                .limit(limit)
            )
            if until is not None:
                statement = statement.where(Grading.id <= until)
            if digest is not None:
                statement = statement.where(Grading.model_digest == digest)
            rows = session.execute(statement).all()
        return Tally(len(rows), sum(bool(doubt or fail) for doubt, fail in rows))

    def add_shadow(self, row: ShadowGrading) -> None:
        """Writes what a candidate made of a truck; once a truck."""
        with self._writing() as session:
            session.merge(row)

    def shadow_gradings(self, digest: str, since: datetime) -> Sequence[ShadowGrading]:
        """All that a candidate has graded since then, oldest first."""
        with self._reading() as session:
            statement = select(ShadowGrading).where(
                ShadowGrading.digest == digest, ShadowGrading.graded_at >= since
            )
            return list(session.scalars(statement.order_by(ShadowGrading.graded_at)))

    # ---- inside

    def _all(self, session: Session) -> list[Model]:
        return list(session.scalars(select(Model).order_by(Model.added_at.desc())))

    @staticmethod
    def _added_at(session: Session, digest: str) -> datetime:
        known = session.get(Model, digest)
        return known.added_at if known else datetime.now(UTC)

    def _writing(self) -> _Guarded:
        return _Guarded(self._session, write=True)

    def _reading(self) -> _Guarded:
        return _Guarded(self._session, write=False)


class _Guarded:
    """A session whose faults are told as RecordError; commits at its end if it writes."""

    def __init__(self, maker: sessionmaker[Session], *, write: bool) -> None:
        self._session = maker()
        self._write = write

    def __enter__(self) -> Session:
        return self._session

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        try:
            if error is None and self._write:
                self._session.commit()
        except SQLAlchemyError as fault:
            error = fault
        finally:
            self._session.close()
        if isinstance(error, SQLAlchemyError):
            cause = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
            raise RecordError(f"records of models: {cause}; check the data disk") from error


def _row(event: Event) -> ModelEvent:
    return ModelEvent(
        at=datetime.now(UTC),
        actor=event.actor,
        action=event.action,
        digest=event.digest,
        ok=event.ok,
        detail=event.detail[:_DETAIL],
    )
