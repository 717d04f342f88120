"""A station: arrivals are accepted, queued, graded one by one, and recorded."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, ParamSpec, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from edge_agent import __version__
from edge_agent.access import Users
from edge_agent.cameras.frames import GRADED_CAMERA
from edge_agent.cameras.group import Cameras
from edge_agent.config import StationConfig
from edge_agent.errors import RecordConflictError, RecordError
from edge_agent.grading import Done, GradingPipeline, refused
from edge_agent.inference.lineup import Lineup
from edge_agent.reasons import TEXTS, Reason
from edge_agent.records.evidence import RESERVE_BYTES, EvidenceFolder
from edge_agent.records.lock import FolderLock
from edge_agent.records.models import Arrival
from edge_agent.records.store import NewArrival, Outcome, Store
from edge_agent.status import CameraState, ModelStatus, StationStatus
from edge_agent.updates.keeper import ModelKeeper
from edge_agent.weighbridge.indicator import Indicator
from edge_agent.weighbridge.occupancy import Event
from edge_agent.weighbridge.toledo import Weight

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_LOW_DISK_BYTES: Final = 1 << 30
_RETRY_S: Final = (0.5, 10.0)
"""The wait before an outcome is committed again, at first and at most as it doubles."""
_ON_SCALE: Final = timedelta(minutes=2)
"""A truck weighed longer ago has left the scale, also where a load cell is stuck."""
_ARMED_S: Final = 300.0
"""Cameras are disarmed after so long on one truck: a load cell may be stuck."""


class Station:
    """One station, from `start` to `stop`. All public members may be used from any thread."""

    def __init__(self, config: StationConfig) -> None:
        """Opens the records. Raises RecordError if that fails, or another agent has them open."""
        self.config = config
        self._lock = FolderLock(config.data_dir)
        self.store = Store(config.data_dir / "records.sqlite")
        self.evidence = EvidenceFolder(config.data_dir / "evidence")
        self._started_at = datetime.now(UTC)
        self._changed = threading.Condition()
        self._revision = 0
        self._queue: deque[Arrival] = deque()
        self._working = False
        self._stopping = False
        self._record_fault: str | None = None
        """Why the last attempt to write a record failed; None after a success."""
        self._occupancies: dict[int, str] = {}
        """Arrival by occupancy of the scale, so that one truck is graded once."""
        self._announcing = threading.Lock()
        self.cameras = Cameras(config.cameras, self._touch)
        self.users = Users(config.access)
        lineup = Lineup()
        self.models = ModelKeeper(
            config.model, config.data_dir / "models", self.store, lineup, self._touch
        )
        self._lineup = lineup
        self._pipeline = GradingPipeline(config, self.cameras, self.evidence, lineup)
        indicator = config.weighbridge.indicator
        self._indicator = Indicator(indicator, self._on_scale) if indicator else None
        self._worker = threading.Thread(target=self._work, name="grading", daemon=True)
        self._timers: list[threading.Timer] = []

    # ---- life

    def start(self) -> None:
        """Loads the model, closes what a crash left open, then starts cameras and scale.

        A model that does not load is shown in the status and refuses trucks; it does not raise.
        """
        self.models.start()
        self._close_interrupted()
        self.cameras.start()
        if self._indicator is not None:
            self._indicator.start()
        self._worker.start()

    def stop(self) -> None:
        """Finishes the truck in hand and stops everything. Waiting trucks stay open on disk."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for timer in self._timers:
            timer.cancel()
        if self._indicator is not None:
            self._indicator.stop()
        if self._worker.is_alive():
            self._worker.join(10.0)
        self.cameras.stop()
        self._pipeline.close()
        self.models.stop()
        self.store.close()
        self._lock.release()

    def _close_interrupted(self) -> None:
        # The frames of their instants are gone from the rings: nothing is left to grade.
        for arrival in self.store.open_arrivals():
            log.warning("arrival %s was open when the station stopped", arrival.id)
            self.store.record(arrival.id, refused(Reason.INTERRUPTED))

    # ---- what others ask

    @property
    def revision(self) -> int:
        """Grows when an arrival is accepted or gets its outcome, or a camera changes state."""
        return self._revision

    def announce(
        self,
        *,
        source: str,
        ticket: str | None = None,
        plate: str | None = None,
        province: str | None = None,
        grower: str | None = None,
        weight_kg: float | None = None,
        weighed_at: datetime | None = None,
    ) -> tuple[Arrival, bool]:
        """Commits an arrival and queues its grading; blocks until it is committed.

        weighed_at: the instant whose frames are to be graded, if it is not now; never later.
        Returns it and True. A ticket known already, the ticket of a truck that the scale has
        announced before, or the scale's word for a truck that has a ticket, gives the arrival
        that is there and False.
        Raises RecordError if it could not be committed.
        """
        now = datetime.now(UTC)
        instant = now if weighed_at is None else min(weighed_at.astimezone(UTC), now)
        with self._announcing:
            occupancy = self._occupancy_at(now - instant)
            earlier = self._occupancies.get(occupancy) if occupancy is not None else None
            if earlier is not None and source == "scale":
                known = self.store.get(earlier)
                if known is not None:
                    return known, False
            if earlier is not None and ticket is not None:
                named = self._written(
                    self.store.name,
                    earlier,
                    ticket=ticket,
                    plate=plate,
                    province=province,
                    grower=grower,
                    weight_kg=weight_kg,
                )
                if named is not None:
                    self._touch()
                    return named, False
            if weight_kg is None and occupancy is not None:
                weight_kg = self._weight_at_rest()
            arrival, created = self._written(
                self.store.accept,
                NewArrival(
                    station=self.config.station.id,
                    source=source,
                    instant=instant,
                    ticket=ticket,
                    plate=plate,
                    province=province,
                    grower=grower,
                    weight_kg=weight_kg,
                ),
            )
            if created and occupancy is not None:
                self._occupancies = {occupancy: arrival.id}
        if created:
            with self._changed:
                self._queue.append(arrival)
                self._changed.notify_all()
            self._touch()
        return arrival, created

    def _occupancy_at(self, ago: timedelta) -> int | None:
        """The occupancy of the scale that a truck belongs to that stood there so long ago: the
        present one if it had begun by then. Who was weighed before has left, and is not to get
        the record of who stands there now."""
        if self._indicator is None or ago >= _ON_SCALE:
            return None
        return self._indicator.occupancy_of(ago.total_seconds())

    def _weight_at_rest(self) -> float | None:
        """What the indicator says now, if that is to be believed."""
        weight = self._indicator.weight if self._indicator else None
        return weight.kg if weight and weight.stable and weight.in_range else None

    def wait_for(self, arrival_id: str, timeout_s: float) -> Arrival | None:
        """Blocks until the arrival has an outcome, at most that long; None if it has none then."""
        deadline = time.monotonic() + timeout_s
        while True:
            seen = self._revision
            arrival = self.store.get(arrival_id)
            if arrival is None or arrival.grading is not None:
                return arrival
            with self._changed:
                left = deadline - time.monotonic()
                if left <= 0 or self._stopping:
                    return None
                # What came after the look at the store has raised the revision already.
                if self._revision == seen:
                    self._changed.wait(left)

    def status(self) -> StationStatus:
        """How the station is right now."""
        cameras = self.cameras.status()
        scale = self._indicator.status() if self._indicator else None
        free = shutil.disk_usage(self.config.data_dir).free
        problems = [
            f"{camera.camera}: {TEXTS[camera.problem]} ({camera.detail})"
            for camera in cameras
            if camera.problem is not None
        ]
        problems += self.models.problems()
        if scale is not None and not scale.connected:
            problems.append(f"scale indicator: {scale.detail}")
        if self._record_fault is not None:
            problems.append(self._record_fault)
        if free < _LOW_DISK_BYTES:
            problems.append(f"data disk: only {free >> 20} MiB are free; make room")
        graded = next(camera for camera in cameras if camera.camera == GRADED_CAMERA)
        with self._changed:
            waiting = len(self._queue) + self._working
        return StationStatus(
            station=self.config.station.id,
            name=self.config.station.name,
            version=__version__,
            started_at=self._started_at,
            ready=self._lineup.active is not None
            and graded.state is CameraState.STREAMING
            # A camera that has just connected may not know its time yet: the skew is a guess.
            and not any(camera.state is CameraState.CONNECTING for camera in cameras)
            and self._record_fault is None
            # A truck arriving now would have no evidence.
            and free >= RESERVE_BYTES
            and self._worker.is_alive(),
            problems=tuple(problems),
            cameras=cameras,
            scale=scale,
            model=self._model_status(),
            waiting=waiting,
            disk_free_bytes=free,
        )

    def _model_status(self) -> ModelStatus:
        engine = self._lineup.active
        if engine is None:
            return ModelStatus(loaded=False, detail=self.models.fault)
        manifest = engine.bundle.manifest
        return ModelStatus(
            loaded=True,
            name=manifest.name,
            version=manifest.version,
            digest=engine.digest,
            precision=manifest.precision,
            confidence_threshold=manifest.confidence_threshold,
        )

    def _written(self, write: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `write` returns; notes whether the records can be written."""
        try:
            result = write(*args, **kwargs)
        except RecordConflictError:
            raise
        except RecordError as error:
            self._record_fault = str(error)
            raise
        self._record_fault = None
        return result

    def _touch(self) -> None:
        with self._changed:
            self._revision += 1
            self._changed.notify_all()

    # ---- the scale

    def _on_scale(self, event: Event, weight: Weight) -> None:
        log.info("scale: %s at %.0f kg", event.value, weight.kg)
        if event is Event.ARRIVING:
            self.cameras.arm(True)
            self._if_still_there(_ARMED_S, lambda: self.cameras.arm(False))
        elif event is Event.GONE:
            self.cameras.arm(False)
        elif event is Event.AT_REST:
            # The weighbridge program usually announces the same truck, with its ticket.
            grace_s = self.config.weighbridge.ticket_grace_s
            self._if_still_there(grace_s, self._announce_from_scale)
        self._touch()

    def _if_still_there(self, seconds: float, what: Callable[[], None]) -> None:
        """Calls `what` after so long, unless the truck now on the scale has left by then."""
        indicator = self._indicator
        occupancy = indicator.occupancy if indicator else None

        def call() -> None:
            still = indicator is not None and indicator.occupancy == occupancy
            if still and occupancy is not None and not self._stopping:
                what()

        timer = threading.Timer(seconds, call)
        timer.daemon = True
        self._timers = [t for t in self._timers if t.is_alive()] + [timer]
        timer.start()

    def _announce_from_scale(self) -> None:
        try:
            self.announce(source="scale")
        except (RecordError, SQLAlchemyError) as error:
            # The truck still stands there: nobody else may announce it.
            log.error("truck on the scale could not be recorded yet: %s", error)
            self._if_still_there(_RETRY_S[1], self._announce_from_scale)

    # ---- grading

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._stopping:
                    self._changed.wait()
                if self._stopping:
                    return
                arrival = self._queue.popleft()
                self._working = True
            try:
                done = self._pipeline.grade(arrival, self.models.fault)
            except Exception:
                # Whatever it was, the truck must end in a record and the next one be graded.
                log.exception("arrival %s: grading failed", arrival.id)
                done = Done(refused(Reason.INTERNAL))
            try:
                self._record(arrival, done.outcome)
                self.models.graded(arrival.id, done)
            except Exception:
                log.exception("arrival %s: its outcome could not be recorded", arrival.id)
            with self._changed:
                self._working = False
                idle = not self._queue
            if idle:
                self.cameras.arm(False)
            self._touch()

    def _record(self, arrival: Arrival, outcome: Outcome) -> None:
        # From acceptance to just before the commit; the commit itself is seen in recorded_at.
        outcome.timings_ms["total"] = (
            datetime.now(UTC) - arrival.accepted_at
        ).total_seconds() * 1000
        wait = _RETRY_S[0]
        while True:
            try:
                self._written(self.store.record, arrival.id, outcome)
                break
            except RecordConflictError as error:
                log.error("%s", error)
                return
            except RecordError as error:
                # Nothing can be accepted meanwhile either, so nothing is lost by waiting. At a
                # stop it stays open on disk and is closed with a reason at the next start.
                log.error("%s", error)
                self._touch()
                with self._changed:
                    if self._stopping or self._changed.wait_for(lambda: self._stopping, wait):
                        return
                wait = min(2 * wait, _RETRY_S[1])
        log.info(
            "ticket %s: %s %s",
            arrival.ticket or "-",
            outcome.outcome,
            outcome.grade or outcome.reason,
        )
