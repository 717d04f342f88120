"""The pipeline of one truck: frames of one instant -> checks -> grade -> evidence -> outcome."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from edge_agent.cameras.checks import check_set
from edge_agent.cameras.frames import GRADED_CAMERA, FrameSet, Problem, TimedFrame
from edge_agent.cameras.group import Cameras
from edge_agent.cameras.pictures import bgr
from edge_agent.config import CAMERA_IDS, StationConfig
from edge_agent.errors import BundleError, RecordError
from edge_agent.inference.bundle import Bundle
from edge_agent.inference.grader import Grader, Prediction
from edge_agent.inference.preprocess import Preprocessor
from edge_agent.reasons import TEXTS, Reason
from edge_agent.records.evidence import Evidence, EvidenceFolder
from edge_agent.records.models import Arrival
from edge_agent.records.store import FrameRecord, Outcome
from edge_agent.status import ModelStatus

log = logging.getLogger(__name__)


class GradingPipeline:
    """Grades one arrival after the other. `grade` is for one thread; the rest for any."""

    def __init__(self, config: StationConfig, cameras: Cameras, evidence: EvidenceFolder) -> None:
        self._config = config
        self._cameras = cameras
        self._evidence = evidence
        self.grader: Grader | None = None
        self.model_fault: str | None = None
        self._preprocess: Preprocessor | None = None
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="pictures")

    def load_model(self) -> None:
        """Loads the configured bundle; without it trucks are refused, with the fault as detail."""
        try:
            bundle = Bundle.read(self._config.model.bundle)
            self.grader = Grader(bundle, threads=self._config.model.threads)
            self._preprocess = Preprocessor(bundle.manifest.input)
        except BundleError as error:
            self.model_fault = str(error)
            log.error("%s", error)
        else:
            manifest = bundle.manifest
            log.info("model %s %s (%s)", manifest.name, manifest.version, bundle.digest[:12])

    def close(self) -> None:
        """Waits for evidence that is being written."""
        self._pool.shutdown(wait=True)

    def model_status(self) -> ModelStatus:
        """The model that grades, or why there is none."""
        if self.grader is None:
            return ModelStatus(loaded=False, detail=self.model_fault)
        bundle = self.grader.bundle
        return ModelStatus(
            loaded=True,
            name=bundle.manifest.name,
            version=bundle.manifest.version,
            digest=bundle.digest,
            precision=bundle.manifest.precision,
            confidence_threshold=bundle.manifest.confidence_threshold,
        )

    def grade(self, arrival: Arrival) -> Outcome:
        """The outcome of an arrival: graded, or refused with the reason. Blocks until known."""
        timings: dict[str, float] = {}
        began = time.monotonic()
        writing: dict[str, Future[Evidence]] = {}
        predicting: list[Future[Prediction | None]] = []

        def keep(frame: TimedFrame) -> None:
            # All this is done while slower cameras are still waited for. The pool takes jobs in
            # their order: pixels are being made when another job waits for them.
            pixels = self._pool.submit(bgr, frame.frame)
            if frame.camera == GRADED_CAMERA:
                predicting.append(self._pool.submit(self._predict, pixels, timings))
            writing[frame.camera] = self._pool.submit(
                self._write_evidence, arrival, frame.camera, pixels
            )

        frame_set = self._cameras.frames_at(arrival.instant, keep)
        timings["wait"] = frame_set.waited_ms
        timings["decode"] = (time.monotonic() - began) * 1000 - frame_set.waited_ms
        with _timed(timings, "check"):
            refusal, problems = check_set(frame_set, self._config.cameras, self._config.checks)
        prediction: Prediction | None = None
        if refusal is None:
            try:
                with _timed(timings, "grade"):
                    prediction = predicting[0].result()
            except Exception as error:  # noqa: BLE001 - whatever ONNX Runtime raises
                refusal = Problem(Reason.MODEL_FAILED, " ".join(str(error).split())[:200])
            if prediction is None and refusal is None:
                refusal = Problem(Reason.NO_MODEL, self.model_fault or TEXTS[Reason.NO_MODEL])
        with _timed(timings, "jpeg"):
            frames, lost = _frame_records(frame_set, problems, writing)
        if lost is not None and refusal is None:
            refusal, prediction = lost, None
        return self._outcome(frame_set, frames, refusal, prediction, timings)

    def _predict(
        self, pixels: Future[npt.NDArray[np.uint8]], timings: dict[str, float]
    ) -> Prediction | None:
        if self.grader is None or self._preprocess is None:
            return None
        frame = pixels.result()
        with _timed(timings, "resize"):
            image = self._preprocess(frame)
        with _timed(timings, "infer"):
            return self.grader.grade(image)

    def _write_evidence(
        self, arrival: Arrival, camera: str, pixels: Future[npt.NDArray[np.uint8]]
    ) -> Evidence:
        return self._evidence.write(arrival.id, arrival.instant, camera, pixels.result())

    def _outcome(
        self,
        frame_set: FrameSet,
        frames: tuple[FrameRecord, ...],
        refusal: Problem | None,
        prediction: Prediction | None,
        timings: dict[str, float],
    ) -> Outcome:
        bundle = self.grader.bundle if self.grader else None
        area = bundle.manifest.input.graded_area if bundle else None
        level = prediction.level if prediction else None
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
            trash_low=level.low if level else None,
            trash_middle=level.middle if level else None,
            trash_high=level.high if level else None,
            trash_coverage=level.coverage if level else None,
            model_name=bundle.manifest.name if bundle else None,
            model_version=bundle.manifest.version if bundle else None,
            model_digest=bundle.digest if bundle else None,
            graded_area=[area.left, area.top, area.right, area.bottom] if area else None,
            skew_ms=frame_set.skew_ms,
            timings_ms=timings,
            frames=frames,
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


def refused(reason: Reason) -> Outcome:
    return Outcome(outcome="refused", reason=reason, detail=TEXTS[reason])


@contextmanager
def _timed(timings: dict[str, float], name: str) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        timings[name] = (time.monotonic() - began) * 1000
