"""The pipeline: arrival -> frames of one instant -> checks -> grade -> evidence -> record."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import numpy as np

from edge_agent import __version__
from edge_agent.cameras.checks import check_set
from edge_agent.cameras.frames import GRADED_CAMERA, FrameSet, Problem, TimedFrame
from edge_agent.cameras.group import Cameras
from edge_agent.config import CAMERA_IDS, StationConfig
from edge_agent.errors import BundleError, RecordError
from edge_agent.inference.bundle import Bundle
from edge_agent.inference.grader import Grader, Prediction
from edge_agent.inference.preprocess import Preprocessor
from edge_agent.reasons import TEXTS, Reason
from edge_agent.records.evidence import Evidence, EvidenceFolder
from edge_agent.records.models import Arrival
from edge_agent.records.store import FrameRecord, NewArrival, Outcome, Store
from edge_agent.status import CameraState, ModelStatus, StationStatus
from edge_agent.weighbridge.indicator import Indicator
from edge_agent.weighbridge.occupancy import Event
from edge_agent.weighbridge.toledo import Weight

log = logging.getLogger(__name__)

_LOW_DISK_BYTES: Final = 1 << 30


class Station:
    """One station, from `start` to `stop`. All public members may be used from any thread."""

    def __init__(self, config: StationConfig) -> None:
        """Opens the records. Raises RecordError if that fails: nothing could be kept."""
        self.config = config
        self.store = Store(config.data_dir / "records.sqlite")
        self.evidence = EvidenceFolder(config.data_dir / "evidence")
        self._started_at = datetime.now(UTC)
        self._changed = threading.Condition()
        self._revision = 0
        self._queue: deque[Arrival] = deque()
        self._working = False
        self._stopping = False
        self._occupancies: dict[int, str] = {}
        """Arrival by occupancy of the scale, so that one truck is graded once."""
        self._announcing = threading.Lock()
        self._grader: Grader | None = None
        self._preprocess: Preprocessor | None = None
        self._model_fault: str | None = None
        self.cameras = Cameras(config.cameras, self._touch)
        indicator = config.weighbridge.indicator
        self._indicator = Indicator(indicator, self._on_scale) if indicator else None
        self._jpeg_pool = ThreadPoolExecutor(2, thread_name_prefix="evidence")
        self._worker = threading.Thread(target=self._work, name="grading", daemon=True)
        self._timers: list[threading.Timer] = []

    # ---- life

    def start(self) -> None:
        """Loads the model, closes what a crash left open, then starts cameras and scale.

        A model that does not load is shown in the status and refuses trucks; it does not raise.
        """
        self._load_model()
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
        self._jpeg_pool.shutdown(wait=True)
        self.store.close()

    def _load_model(self) -> None:
        try:
            bundle = Bundle.read(self.config.model.bundle)
            self._grader = Grader(bundle, threads=self.config.model.threads)
            self._preprocess = Preprocessor(bundle.manifest.input)
        except BundleError as error:
            self._model_fault = str(error)
            log.error("%s", error)
        else:
            manifest = bundle.manifest
            log.info("model %s %s (%s)", manifest.name, manifest.version, bundle.digest[:12])

    def _close_interrupted(self) -> None:
        # The frames of their instants are gone from the rings: nothing is left to grade.
        for arrival in self.store.open_arrivals():
            log.warning("arrival %s was open when the station stopped", arrival.id)
            self.store.record(arrival.id, _refusal(Reason.INTERRUPTED))

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
    ) -> tuple[Arrival, bool]:
        """Commits an arrival and queues its grading; blocks until it is committed.

        Returns it and True. A ticket known already, or the ticket of a truck that the scale has
        announced before, gives the arrival that is there and False.
        Raises RecordError if it could not be committed.
        """
        instant = datetime.now(UTC)
        with self._announcing:
            occupancy = self._indicator.occupancy if self._indicator else None
            earlier = self._occupancies.get(occupancy) if occupancy is not None else None
            if earlier is not None and ticket is not None:
                named = self.store.name(
                    earlier, ticket=ticket, plate=plate, province=province, grower=grower
                )
                if named is not None:
                    self._touch()
                    return named, False
            weight = self._indicator.weight if self._indicator else None
            arrival, created = self.store.accept(
                NewArrival(
                    station=self.config.station.id,
                    source=source,
                    instant=instant,
                    ticket=ticket,
                    plate=plate,
                    province=province,
                    grower=grower,
                    weight_kg=weight.kg if weight_kg is None and weight else weight_kg,
                )
            )
            if created and occupancy is not None:
                self._occupancies = {occupancy: arrival.id}
        if created:
            with self._changed:
                self._queue.append(arrival)
                self._changed.notify_all()
            self._touch()
        return arrival, created

    def wait_for(self, arrival_id: str, timeout_s: float) -> Arrival | None:
        """Blocks until the arrival has an outcome, at most that long; None if it has none then."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                arrival = self.store.get(arrival_id)
                if arrival is not None and arrival.grading is not None:
                    return arrival
                left = deadline - time.monotonic()
                if left <= 0 or self._stopping or arrival is None:
                    return None
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
        if self._model_fault is not None:
            problems.append(self._model_fault)
        if scale is not None and not scale.connected:
            problems.append(f"scale indicator: {scale.detail}")
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
            ready=self._grader is not None and graded.state is CameraState.STREAMING,
            problems=tuple(problems),
            cameras=cameras,
            scale=scale,
            model=self._model_status(),
            waiting=waiting,
            disk_free_bytes=free,
        )

    def _model_status(self) -> ModelStatus:
        if self._grader is None:
            return ModelStatus(loaded=False, detail=self._model_fault)
        bundle = self._grader.bundle
        return ModelStatus(
            loaded=True,
            name=bundle.manifest.name,
            version=bundle.manifest.version,
            digest=bundle.digest,
            precision=bundle.manifest.precision,
            confidence_threshold=bundle.manifest.confidence_threshold,
        )

    def _touch(self) -> None:
        with self._changed:
            self._revision += 1
            self._changed.notify_all()

    # ---- the scale

    def _on_scale(self, event: Event, weight: Weight) -> None:
        log.info("scale: %s at %.0f kg", event.value, weight.kg)
        if event is Event.ARRIVING:
            self.cameras.arm(True)
        elif event is Event.GONE:
            self.cameras.arm(False)
        elif event is Event.AT_REST and self._indicator is not None:
            # The weighbridge program usually announces the same truck, with its ticket.
            timer = threading.Timer(
                self.config.weighbridge.ticket_grace_s,
                self._announce_from_scale,
                args=(self._indicator.occupancy,),
            )
            timer.daemon = True
            self._timers = [t for t in self._timers if t.is_alive()] + [timer]
            timer.start()
        self._touch()

    def _announce_from_scale(self, occupancy: int | None) -> None:
        if occupancy is None or self._indicator is None or self._stopping:
            return
        if self._indicator.occupancy != occupancy or occupancy in self._occupancies:
            return
        try:
            self.announce(source="scale")
        except RecordError as error:
            log.error("truck on the scale could not be recorded: %s", error)

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
                outcome = self._grade(arrival)
            except Exception:
                # Whatever it was, the truck must end in a record and the next one be graded.
                log.exception("arrival %s: grading failed", arrival.id)
                outcome = _refusal(Reason.INTERNAL)
            self._record(arrival, outcome)
            with self._changed:
                self._working = False
                idle = not self._queue
            if idle:
                self.cameras.arm(False)
            self._touch()

    def _grade(self, arrival: Arrival) -> Outcome:
        timings: dict[str, float] = {}
        began = time.monotonic()
        frame_set = self.cameras.frames_at(arrival.instant)
        timings["wait"] = frame_set.waited_ms
        timings["decode"] = (time.monotonic() - began) * 1000 - frame_set.waited_ms
        with _timed(timings, "check"):
            refusal, problems = check_set(frame_set, self.config.cameras, self.config.checks)
        writing = {
            camera: self._jpeg_pool.submit(self._write_evidence, arrival, frame)
            for camera, frame in frame_set.frames.items()
        }
        prediction: Prediction | None = None
        if refusal is None:
            try:
                prediction = self._predict(frame_set.frames[GRADED_CAMERA], timings)
            except BundleError as error:
                refusal = Problem(Reason.MODEL_FAILED, str(error))
            if prediction is None and refusal is None:
                refusal = Problem(Reason.NO_MODEL, self._model_fault or TEXTS[Reason.NO_MODEL])
        with _timed(timings, "jpeg"):
            frames, lost = _frame_records(frame_set, problems, writing)
        if lost is not None and refusal is None:
            refusal, prediction = lost, None
        return self._outcome(frame_set, frames, refusal, prediction, timings)

    def _predict(self, frame: TimedFrame, timings: dict[str, float]) -> Prediction | None:
        if self._grader is None or self._preprocess is None:
            return None
        with _timed(timings, "resize"):
            image = self._preprocess(frame.frame)
        with _timed(timings, "infer"):
            return self._grader.grade(image)

    def _write_evidence(self, arrival: Arrival, frame: TimedFrame) -> Evidence:
        bgr = np.asarray(frame.frame.to_ndarray(format="bgr24"), np.uint8)
        return self.evidence.write(arrival.id, arrival.instant, frame.camera, bgr)

    def _outcome(
        self,
        frame_set: FrameSet,
        frames: tuple[FrameRecord, ...],
        refusal: Problem | None,
        prediction: Prediction | None,
        timings: dict[str, float],
    ) -> Outcome:
        bundle = self._grader.bundle if self._grader else None
        area = bundle.manifest.input.graded_area if bundle else None
        return Outcome(
            outcome="refused" if refusal else "graded",
            needs_person=prediction.needs_person if prediction else False,
            reason=refusal.reason if refusal else None,
            detail=refusal.detail[:300] if refusal else None,
            grade=prediction.grade if prediction else None,
            confidence=prediction.confidence if prediction else None,
            probabilities=(
                {grade.value: p for grade, p in prediction.probabilities.items()}
                if prediction
                else None
            ),
            model_name=bundle.manifest.name if bundle else None,
            model_version=bundle.manifest.version if bundle else None,
            model_digest=bundle.digest if bundle else None,
            graded_area=[area.left, area.top, area.right, area.bottom] if area else None,
            skew_ms=frame_set.skew_ms,
            timings_ms=timings,
            frames=frames,
        )

    def _record(self, arrival: Arrival, outcome: Outcome) -> None:
        # From acceptance to just before the commit; the commit itself is seen in recorded_at.
        outcome.timings_ms["total"] = (
            datetime.now(UTC) - arrival.accepted_at
        ).total_seconds() * 1000
        try:
            self.store.record(arrival.id, outcome)
        except RecordError as error:
            # It stays open on disk and is closed with a reason at the next start.
            log.error("%s", error)
            return
        log.info(
            "ticket %s: %s %s",
            arrival.ticket or "-",
            outcome.outcome,
            outcome.grade or outcome.reason,
        )


def _frame_records(
    frame_set: FrameSet,
    problems: dict[str, Problem],
    writing: dict[str, Future[Evidence]],
) -> tuple[tuple[FrameRecord, ...], Problem | None]:
    """The rows of `frames`, and the problem if the graded frame's evidence could not be kept."""
    records = []
    lost: Problem | None = None
    for camera in CAMERA_IDS:
        frame = frame_set.frames.get(camera)
        problem = problems.get(camera)
        evidence: Evidence | None = None
        if frame is not None:
            try:
                evidence = writing[camera].result()
            except RecordError as error:
                problem = Problem(Reason.DISK_FULL, str(error))
                lost = problem if camera == GRADED_CAMERA else lost
        records.append(
            FrameRecord(
                camera=camera,
                problem=problem.reason if problem else None,
                captured_at=frame.captured_at if frame else None,
                clock=frame.clock if frame else None,
                error_ms=frame.error_ms if frame else None,
                width=frame.frame.width if frame else None,
                height=frame.frame.height if frame else None,
                path=evidence.path if evidence else None,
                sha256=evidence.sha256 if evidence else None,
            )
        )
    return tuple(records), lost


def _refusal(reason: Reason) -> Outcome:
    return Outcome(outcome="refused", reason=reason, detail=TEXTS[reason])


@contextmanager
def _timed(timings: dict[str, float], name: str) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        timings[name] = (time.monotonic() - began) * 1000
