"""Every way in which a truck ends without a grade of its own is a record that says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tiny_bundle import LEVEL, SURE, with_manifest, write_table_bundle
from virtual import (
    HEIGHT,
    WIDTH,
    cameras_section,
    station_without_cameras,
    virtual_station,
    wait_until,
)

from edge_agent.api.schemas import State
from edge_agent.cameras.group import Cameras
from edge_agent.config import CAMERA_IDS, CamerasSection, StationConfig
from edge_agent.grades import Grade
from edge_agent.grading import Done, GradingPipeline
from edge_agent.inference.bundle import Bundle
from edge_agent.inference.engine import Engine
from edge_agent.inference.lineup import Lineup
from edge_agent.reasons import Reason
from edge_agent.records.evidence import EvidenceFolder
from edge_agent.records.models import Arrival, Grading
from edge_agent.records.store import NewArrival, Query, Store
from simulator.station import PASSWORD, VirtualStation
from simulator.video import encode

BUNDLE = Path(__file__).parents[2] / "deploy" / "models" / "sim-mobilenetv2.bundle"

# What a model bundle and a spoiled disk make of a truck, as it stands in the records.
GradeOnce = Callable[..., Grading]


@pytest.fixture(scope="module")
def virtual() -> Iterator[VirtualStation]:
    with virtual_station() as running:
        yield running


@pytest.fixture(scope="module")
def cameras(
    virtual: VirtualStation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Cameras, CamerasSection]]:
    password = tmp_path_factory.mktemp("cameras") / "password"
    password.write_text(PASSWORD, encoding="utf-8")
    section = cameras_section(virtual, str(password))
    group = Cameras(section)
    group.start()
    try:
        wait_until(lambda: all(status.clock == "rtcp" for status in group.status()))
        yield group, section
    finally:
        group.stop()


@pytest.fixture
def grade(cameras: tuple[Cameras, CamerasSection], tmp_path: Path) -> GradeOnce:
    """Grades a truck with that bundle, on what the cameras show; gives back what is on record."""
    group, section = cameras

    def grade(bundle: Path, before: Callable[[Arrival, Path], Any] = lambda *_: None) -> Grading:
        config = StationConfig.model_validate(
            {
                "station": {"id": "KK1", "name": "Weighbridge 1"},
                "data_dir": tmp_path,
                "cameras": section.model_dump(),
                # Golden images are small: enlarged to a frame they look blurred.
                "checks": {"blur_min": 0.0},
                "model": {"bundle": bundle},
            }
        )
        lineup = Lineup()
        lineup.activate(Engine.load(bundle, 1), keep_before=False)
        pipeline = GradingPipeline(config, group, EvidenceFolder(tmp_path / "evidence"), lineup)
        with Store(tmp_path / "records.sqlite") as store:
            arrival, _ = store.accept(NewArrival("KK1", "button", datetime.now(UTC)))
            before(arrival, tmp_path / "evidence")
            store.record(arrival.id, pipeline.grade(arrival).outcome)
            pipeline.close()
            recorded = store.get(arrival.id)
        assert recorded is not None
        assert recorded.grading is not None
        return recorded.grading

    return grade


def problems(grading: Grading) -> dict[str, str | None]:
    return {frame.camera: frame.problem for frame in grading.frames if frame.problem is not None}


def kept(grading: Grading) -> set[str]:
    return {frame.camera for frame in grading.frames if frame.path and frame.sha256}


@pytest.fixture
def golden_burn_trash(virtual: VirtualStation) -> Iterator[None]:
    """Camera C301 shows a golden image of the demo's model."""
    bundle = Bundle.read(BUNDLE)
    grades = [image.grade for image in bundle.manifest.golden]
    image = bundle.golden[grades.index(Grade.BURN_TRASH)]
    _, top, _, bottom = bundle.manifest.input.graded_area.pixels(WIDTH, HEIGHT)
    whole = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    whole[top:bottom] = cv2.resize(image, (WIDTH, bottom - top))
    rng = np.random.default_rng(1)
    # Each picture has noise of its own: without it the camera would count as frozen.
    noisy = [cv2.add(whole, rng.integers(0, 4, whole.shape, np.uint8)) for _ in range(25)]
    loop = [np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8) for rgb in noisy]
    feed = virtual.feeds["C301"]
    clock, spec = feed.clip, feed.spec
    virtual.show({"C301": encode([], loop, codec=spec.codec, fps=spec.fps, gop=spec.gop)})
    yield
    virtual.show({"C301": clock})


@pytest.mark.usefixtures("golden_burn_trash")
@pytest.mark.parametrize(("threshold", "state"), [(0.999, State.NEEDS_PERSON), (0.2, State.GRADED)])
def test_an_unsure_network_asks_for_a_person(
    grade: GradeOnce, tmp_path: Path, threshold: float, state: State
) -> None:
    bundle = with_manifest(BUNDLE, tmp_path / "copy.bundle", confidence_threshold=threshold)
    # Until the camera's first picture of it has come.
    wait_until(lambda: grade(bundle).grade == Grade.BURN_TRASH)
    grading = grade(bundle)
    assert (grading.outcome, grading.grade) == ("graded", Grade.BURN_TRASH), grading.detail
    assert grading.confidence is not None
    assert 0.2 < grading.confidence < 0.999
    assert State.of(grading) is state


@pytest.mark.parametrize(
    ("rows", "detail"),
    [
        ([SURE], "out of data bounds"),  # the pictures are brighter than the table knows
        ([SURE, *[(0.9,) * 5] * 3], "no probability distribution"),
    ],
)
def test_a_network_that_fails_on_a_picture_refuses_the_truck(
    grade: GradeOnce, tmp_path: Path, rows: list[tuple[float, ...]], detail: str
) -> None:
    grading = grade(write_table_bundle(tmp_path / "fails.bundle", rows))
    assert (grading.outcome, grading.reason) == ("refused", Reason.MODEL_FAILED)
    assert detail in str(grading.detail)
    assert (grading.grade, grading.probabilities, grading.needs_person) == (None, None, False)
    assert grading.model_name == "table"
    assert kept(grading) == set(CAMERA_IDS)


def test_a_level_goes_into_the_record(grade: GradeOnce, tmp_path: Path) -> None:
    levels = [LEVEL] * 4
    grading = grade(write_table_bundle(tmp_path / "level.bundle", [SURE] * 4, levels=levels))
    assert grading.outcome == "graded", grading.detail
    assert (grading.trash_low, grading.trash_middle, grading.trash_high) == LEVEL
    assert grading.trash_coverage == 0.9


def test_a_network_whose_level_is_broken_refuses_the_truck(
    grade: GradeOnce, tmp_path: Path
) -> None:
    """Its grade may look well; nobody knows."""
    levels = [LEVEL, *[(float("nan"),) * 3] * 3]
    grading = grade(write_table_bundle(tmp_path / "level.bundle", [SURE] * 4, levels=levels))
    assert (grading.outcome, grading.reason) == ("refused", Reason.MODEL_FAILED)
    assert "its level is not three numbers in order" in str(grading.detail)
    assert (grading.grade, grading.trash_middle, grading.trash_coverage) == (None, None, None)
    assert kept(grading) == set(CAMERA_IDS)


def full_disk(*of: str) -> Callable[[Arrival, Path], None]:
    """Makes the kernel answer "no space left" to whoever writes these cameras' evidence."""

    def fill(arrival: Arrival, evidence: Path) -> None:
        folder = evidence / arrival.instant.strftime("%Y/%m/%d") / arrival.id
        folder.mkdir(parents=True)
        for camera in of:
            (folder / f"{camera}.part").symlink_to("/dev/full")

    return fill


def no_folder(_: Arrival, evidence: Path) -> None:
    evidence.write_text("a file where a folder should be", encoding="utf-8")


@pytest.mark.parametrize(
    ("before", "lost", "said"),
    [
        (full_disk("C301"), {"C301"}, "No space left on device"),
        (full_disk(*CAMERA_IDS), set(CAMERA_IDS), "No space left on device"),
        (no_folder, set(CAMERA_IDS), "File exists"),
    ],
)
def test_a_grade_without_its_evidence_is_refused(
    grade: GradeOnce,
    tmp_path: Path,
    before: Callable[[Arrival, Path], None],
    lost: set[str],
    said: str,
) -> None:
    grading = grade(write_table_bundle(tmp_path / "good.bundle", [SURE] * 4), before)
    assert (grading.outcome, grading.reason) == ("refused", Reason.DISK_FULL)
    assert f"{said}; free space on the data disk" in str(grading.detail)
    assert (grading.grade, grading.confidence, grading.probabilities) == (None, None, None)
    assert problems(grading) == dict.fromkeys(lost, Reason.DISK_FULL)
    assert kept(grading) == set(CAMERA_IDS) - lost
    assert not list(tmp_path.rglob("*.part"))


def test_lost_evidence_of_another_camera_is_told_and_stops_nothing(
    grade: GradeOnce, tmp_path: Path
) -> None:
    bundle = write_table_bundle(tmp_path / "good.bundle", [SURE] * 4)
    grading = grade(bundle, full_disk("C401"))
    assert (grading.outcome, grading.grade) == ("graded", "fresh_clean"), grading.detail
    assert problems(grading) == {"C401": Reason.DISK_FULL}
    assert kept(grading) == {"C101", "C201", "C301"}


def test_an_unexpected_fault_refuses_the_truck_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = station_without_cameras(tmp_path)
    grade = station._pipeline.grade

    def fail_once(arrival: Arrival, no_model: str | None) -> Done:
        monkeypatch.setattr(station._pipeline, "grade", grade)
        raise ZeroDivisionError

    monkeypatch.setattr(station._pipeline, "grade", fail_once)
    station.start()
    try:
        for wanted in ({Reason.INTERNAL}, set(Reason) - {Reason.INTERNAL}):
            arrival, _ = station.announce(source="button")
            done = station.wait_for(arrival.id, 20.0)
            assert done is not None
            assert done.grading is not None
            assert done.grading.outcome == "refused"
            assert done.grading.reason in wanted
    finally:
        station.stop()


# ---- what a crash leaves


def test_a_truck_that_a_crash_cut_short_is_graded_anew_on_demand(tmp_path: Path) -> None:
    killed = station_without_cameras(tmp_path)
    # Not started, it leaves on disk what a kill leaves: the truck accepted, nothing recorded.
    cut_short, _ = killed.announce(source="ticket", ticket="T-1", plate="82-1234")
    killed.stop()
    station = station_without_cameras(tmp_path)
    station.start()
    try:
        known, created = station.announce(source="ticket", ticket="T-1", plate="82-1234")
        assert (known.id, created) == (cut_short.id, False)
        assert known.grading is not None
        assert (known.grading.outcome, known.grading.reason) == ("refused", Reason.INTERRUPTED)
        for anew in ({"source": "button"}, {"source": "ticket", "ticket": "T-1/2"}):
            arrival, created = station.announce(**anew)
            assert created
            done = station.wait_for(arrival.id, 20.0)
            assert done is not None
            assert done.grading is not None
            assert done.grading.reason != Reason.INTERRUPTED
    finally:
        station.stop()


def test_the_scale_announces_a_truck_that_a_crash_cut_short(
    virtual: VirtualStation, tmp_path: Path
) -> None:
    scale = {
        "indicator": {"host": "127.0.0.1", "port": virtual.scale.port},
        "ticket_grace_s": 0.0,
    }
    killed = station_without_cameras(tmp_path, weighbridge=scale)
    cut_short, _ = killed.announce(source="ticket", ticket="T-1")
    killed.stop()
    virtual.put_on_scale(31_000.0, rest_after_s=0.2)
    station = station_without_cameras(tmp_path, weighbridge=scale)
    station.start()
    try:
        wait_until(lambda: station.store.count(Query()) == 2)
        from_scale = station.store.find(Query())[0]
        assert (from_scale.source, from_scale.ticket) == ("scale", None)
        again, created = station.announce(source="ticket", ticket="T-1")
        assert (again.id, created) == (cut_short.id, False)
        named, created = station.announce(source="ticket", ticket="T-1/2")
        assert (named.id, named.ticket, created) == (from_scale.id, "T-1/2", False)
    finally:
        station.stop()
        virtual.take_off_scale()
