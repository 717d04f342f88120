"""A station's models without its cameras."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from model_repo import Repo

from edge_agent.config import ModelSection
from edge_agent.grading import Done
from edge_agent.inference.lineup import Lineup
from edge_agent.reasons import Reason
from edge_agent.records.ledger import Action, Role
from edge_agent.records.store import NewArrival, Outcome, Store
from edge_agent.updates import trial
from edge_agent.updates.gate import Limits, Report
from edge_agent.updates.keeper import ModelKeeper

DARK, BRIGHT = 10, 250
"""Grey levels of a picture: a table's first row, and its fourth."""


class Site:
    """A station's models without its cameras: pictures are given."""

    def __init__(self, folder: Path, repo: Repo, **updates: Any) -> None:
        self.folder, self.repo = folder, repo
        self.config = ModelSection.model_validate(
            {"updates": {"root": repo.trusted_root, "latency_ms": 2000.0} | updates}
        )
        self.open()

    def open(self) -> None:
        self.store = Store(self.folder / "records.sqlite")
        self.lineup = Lineup()
        self.keeper = ModelKeeper(
            self.config, self.folder / "models", self.store, self.lineup, lambda: None
        )
        self.keeper.start()

    def close(self) -> None:
        self.keeper.stop()
        self.store.close()

    def restart(self) -> None:
        self.close()
        self.open()

    def push(self, version: str, intent: Any = "activate") -> str | None:
        receipt = self.keeper.receive(self.repo.delivery(version), "engineer-1", intent)
        assert receipt.accepted, receipt.detail
        return receipt.digest

    def truck(self, level: int = DARK) -> Outcome:
        """What comes of a truck whose picture has that grey level."""
        frame = np.full((64, 64, 3), level, np.uint8)
        times: dict[str, float] = {}
        graded = self.lineup.grade(frame, lambda step: nullcontext(times.setdefault(step, 1.0)))
        prediction = graded.prediction if graded else None
        outcome = Outcome(
            outcome="graded" if prediction else "refused",
            reason=None if prediction else Reason.MODEL_FAILED if graded else Reason.NO_MODEL,
            needs_person=prediction.needs_person if prediction else False,
            grade=prediction.grade if prediction else None,
            confidence=prediction.confidence if prediction else None,
            model_digest=graded.engine.digest if graded else None,
            timings_ms=times,
        )
        arrival, _ = self.store.accept(NewArrival("KK1", "button", datetime.now(UTC)))
        self.store.record(arrival.id, outcome)
        self.keeper.graded(arrival.id, Done(outcome, graded, frame))
        return outcome

    @property
    def active(self) -> str | None:
        engine = self.lineup.active
        role = self.store.models.roles().get(Role.ACTIVE)
        assert (engine.digest if engine else None) == (role.digest if role else None)
        return engine.digest if engine else None

    def said(self, action: Action) -> str:
        """The detail of the last event of that kind."""
        return next(e.detail for e in self.store.models.events() if e.action == action)


def in_this_process(bundle: Path, limits: Limits, _: threading.Event) -> Report:
    """The gate's trial without a process of its own, which other tests start for real."""
    return trial._try(bundle, limits)
