"""A candidate grades the trucks that the active model has graded; nobody sees it on the sign.

It does so after the truck's record is committed, on a thread of its own, so that no truck waits
for a candidate. Where trucks come faster than it can follow, the oldest are left out.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from edge_agent.config import ShadowSection
from edge_agent.errors import AgentError
from edge_agent.grading import Done
from edge_agent.inference.lineup import Lineup
from edge_agent.records.ledger import ModelLedger, Role
from edge_agent.records.models import ShadowGrading
from edge_agent.timing import timed

log = logging.getLogger(__name__)

_WAITING: Final = 8
"""Pictures that may wait; each has some 12 MB."""


@dataclass(frozen=True)
class Summary:
    """A candidate beside the models that graded the same trucks.

    agreement: share of equal grades among those it graded; None without one. confusion: how many
    trucks by (active grade, candidate's grade). p50 and p95 of the inference alone, in ms.
    complete: it has been watched for as long as the settings say, and grades no further truck.
    """

    trucks: int
    failed: int
    doubtful: int
    agreement: float | None
    confusion: tuple[tuple[str, str, int], ...]
    candidate_ms: tuple[float, float] | None
    active_ms: tuple[float, float] | None
    since: datetime
    complete: bool


class Shadowing:
    """The candidate's thread, and what it found."""

    def __init__(
        self,
        rule: ShadowSection,
        ledger: ModelLedger,
        lineup: Lineup,
    ) -> None:
        self._rule = rule
        self._ledger = ledger
        self._lineup = lineup
        self._waiting: queue.Queue[tuple[str, Done] | None] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None

    def start(
        self,
        watch_active: Callable[[], None],
        watch_candidate: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        """Begins to work. The three are called on the thread for each truck, candidate or not: the
        first one before the candidate takes its time."""
        self._thread = threading.Thread(
            target=self._work,
            args=(watch_active, watch_candidate, changed),
            name="shadow",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Ends after the truck in hand."""
        self._put(None)
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(10.0)

    def offer(self, arrival_id: str, done: Done) -> None:
        """Hands over a truck; does not block."""
        self._put((arrival_id, done))

    def _put(self, item: tuple[str, Done] | None) -> None:
        """Queues it, if need be in the place of the oldest."""
        while True:
            try:
                self._waiting.put_nowait(item)
                return
            except queue.Full:
                with suppress(queue.Empty):
                    self._waiting.get_nowait()
                    self._waiting.task_done()

    def summary(self) -> Summary | None:
        """What the candidate has graded so far; None if there is none. Raises RecordError."""
        role = self._ledger.roles().get(Role.SHADOW)
        if role is None:
            return None
        rows = self._ledger.shadow_gradings(role.digest, role.since)
        age = datetime.now(UTC) - role.since
        graded = [row for row in rows if row.grade is not None]
        pairs = Counter((row.active_grade, str(row.grade)) for row in graded)
        same = sum(count for (active, candidate), count in pairs.items() if active == candidate)
        return Summary(
            trucks=len(rows),
            failed=len(rows) - len(graded),
            doubtful=sum(row.needs_person for row in graded),
            agreement=same / len(graded) if graded else None,
            confusion=tuple((a, c, count) for (a, c), count in sorted(pairs.items())),
            candidate_ms=_quantiles([row.ms for row in graded if row.ms is not None]),
            active_ms=_quantiles([row.active_ms for row in rows]),
            since=role.since,
            complete=len(rows) >= self._rule.trucks or age >= timedelta(days=self._rule.days),
        )

    def _work(
        self,
        watch_active: Callable[[], None],
        watch_candidate: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        while (item := self._waiting.get()) is not None:
            try:
                watch_active()
                self._grade(*item)
                watch_candidate()
                changed()
            except AgentError as error:
                log.error("shadow: %s", error)
            except Exception:
                # Whatever a candidate does, trucks are graded on; it shows in its own figures.
                log.exception("shadow: the candidate could not be watched")
            finally:
                self._waiting.task_done()

    def _grade(self, arrival_id: str, done: Done) -> None:
        engine = self._lineup.shadow
        outcome = done.outcome
        if engine is None or done.frame is None or outcome.grade is None:
            return
        so_far = self.summary()
        if so_far is None or so_far.complete:
            return
        times: dict[str, float] = {}
        row = ShadowGrading(
            digest=engine.digest,
            arrival_id=arrival_id,
            active_digest=outcome.model_digest,
            active_grade=outcome.grade,
            active_ms=float(outcome.timings_ms.get("infer", 0.0)),
            needs_person=False,
            graded_at=datetime.now(UTC),
        )
        try:
            prediction = engine.grade(done.frame, lambda step: timed(times, step))
        except Exception as error:  # noqa: BLE001 - whatever ONNX Runtime raises
            row.fault = " ".join(str(error).split())[:300]
        else:
            row.grade = prediction.grade
            row.confidence = prediction.confidence
            row.probabilities = {g.value: p for g, p in prediction.probabilities.items()}
            row.needs_person = prediction.needs_person
            row.ms = times["infer"]
        self._ledger.add_shadow(row)


def _quantiles(values: list[float]) -> tuple[float, float] | None:
    if not values:
        return None
    p50, p95 = np.percentile(values, (50, 95))
    return float(p50), float(p95)
