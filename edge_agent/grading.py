"""The pipeline of one truck: frames of one instant -> checks -> grade -> evidence -> outcome."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_agent.cameras.checks import check_set
from edge_agent.cameras.frames import GRADED_CAMERA, FrameSet, Problem, TimedFrame
from edge_agent.cameras.group import Cameras
from edge_agent.cameras.pictures import bgr
from edge_agent.config import CAMERA_IDS, StationConfig
from edge_agent.errors import RecordError
from edge_agent.inference.engine import Engine
from edge_agent.inference.lineup import Graded, Lineup
from edge_agent.reasons import TEXTS, Reason
from edge_agent.records.evidence import Evidence, EvidenceFolder
from edge_agent.records.models import Arrival
from edge_agent.records.store import FrameRecord, Outcome
from edge_agent.timing import timed


@dataclass(frozen=True)
class Done:
    """A truck that has its outcome.

    graded: what the models made of its picture, also if that was refused; None if it was never
    shown to one. frame: that picture, uint8 BGR (height, width, 3), for a candidate that grades in
    the shadow.
    """

    outcome: Outcome
    graded: Graded | None = None
    frame: npt.NDArray[np.uint8] | None = None


class GradingPipeline:
    """Grades one arrival after the other. `grade` is for one thread; the rest for any."""

    def __init__(
        self, config: StationConfig, cameras: Cameras, evidence: EvidenceFolder, lineup: Lineup
    ) -> None:
        self._config = config
        self._cameras = cameras
        self._evidence = evidence
        self._lineup = lineup
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="pictures")

    def close(self) -> None:
        """Waits for evidence that is being written."""
        self._pool.shutdown(wait=True)

    def grade(self, arrival: Arrival, no_model: str | None = None) -> Done:
        """The outcome of an arrival: graded, or refused with the reason. Blocks until known.

        no_model: why there is no model, if there is none.
        """
        timings: dict[str, float] = {}
        began = time.monotonic()
        writing: dict[str, Future[Evidence]] = {}
        predicting: list[Future[Graded | None]] = []
        graded_pixels: list[Future[npt.NDArray[np.uint8]]] = []

        def keep(frame: TimedFrame) -> None:
            # All this is done while slower cameras are still waited for. The pool takes jobs in
            # their order: pixels are being made when another job waits for them.
            pixels = self._pool.submit(bgr, frame.frame)
            if frame.camera == GRADED_CAMERA:
                graded_pixels.append(pixels)
                predicting.append(self._pool.submit(self._predict, pixels, timings))
            writing[frame.camera] = self._pool.submit(
                self._write_evidence, arrival, frame.camera, pixels
            )

        frame_set = self._cameras.frames_at(arrival.instant, keep)
        timings["wait"] = frame_set.waited_ms
        timings["decode"] = (time.monotonic() - began) * 1000 - frame_set.waited_ms
        with timed(timings, "check"):
            refusal, problems = check_set(frame_set, self._config.cameras, self._config.checks)
        graded: Graded | None = None
        if predicting:
            with timed(timings, "grade"):
                graded = predicting[0].result()
        if refusal is None:
            if graded is None:
                refusal = Problem(Reason.NO_MODEL, no_model or TEXTS[Reason.NO_MODEL])
            elif graded.prediction is None:
                refusal = Problem(Reason.MODEL_FAILED, graded.failed[1] if graded.failed else "")
        with timed(timings, "jpeg"):
            frames, lost = _frame_records(frame_set, problems, writing)
        outcome = _outcome(frame_set, frames, refusal or lost, graded, self._lineup.active, timings)
        return Done(outcome, graded, graded_pixels[0].result() if graded is not None else None)

    def _predict(
        self, pixels: Future[npt.NDArray[np.uint8]], timings: dict[str, float]
    ) -> Graded | None:
        return self._lineup.grade(pixels.result(), lambda step: timed(timings, step))

    def _write_evidence(
        self, arrival: Arrival, camera: str, pixels: Future[npt.NDArray[np.uint8]]
    ) -> Evidence:
        return self._evidence.write(arrival.id, arrival.instant, camera, pixels.result())


def _outcome(
    frame_set: FrameSet,
    frames: tuple[FrameRecord, ...],
    refusal: Problem | None,
    graded: Graded | None,
    active: Engine | None,
    timings: dict[str, float],
) -> Outcome:
    engine = graded.engine if graded and refusal is None else active
    prediction = graded.prediction if graded and refusal is None else None
    bundle = engine.bundle if engine else None
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
