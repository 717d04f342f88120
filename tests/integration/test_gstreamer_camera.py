"""The agent and its camera reader against GStreamer's RTSP server, which we did not write."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from virtual import HEIGHT, WIDTH, station_without_cameras, wait_until

from edge_agent.cameras.reader import CameraReader
from edge_agent.config import CAMERA_IDS, CamerasSection
from edge_agent.reasons import Reason
from edge_agent.status import CameraState

PYTHON = "/usr/bin/python3"
BUNDLE = Path(__file__).parents[2] / "deploy/models/sim-mobilenetv2.bundle"


@pytest.fixture
def address() -> Iterator[str]:
    probe = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); "
        "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
        "assert Gst.ElementFactory.find('x264enc')"
    )
    if (
        not Path(PYTHON).exists()
        or subprocess.run([PYTHON, "-c", probe], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs Debian's gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-plugins-ugly")
    script = Path(__file__).with_name("gst_server.py")
    with subprocess.Popen([PYTHON, str(script)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"rtsp://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def config_of(url: str) -> CamerasSection:
    return CamerasSection.model_validate(
        {camera: {"url": url} for camera in CAMERA_IDS} | {"width": WIDTH, "height": HEIGHT}
    )


def test_wrong_codec_is_told(address: str) -> None:
    reader = CameraReader("C301", config_of(f"{address}/mjpeg"))
    reader.start()
    try:
        wait_until(lambda: reader.problem() is not None, 30.0)
        problem = reader.problem()
        assert problem is not None
        assert problem.reason is Reason.WRONG_CODEC
        assert "mjpeg" in problem.detail
        assert "H.264" in problem.detail
    finally:
        reader.stop()


def test_a_station_grades_what_the_server_shows(address: str, tmp_path: Path) -> None:
    """The whole agent; its other three cameras are dead, and are evidence only."""
    dead = {camera: {"url": "rtsp://127.0.0.1:1/x"} for camera in CAMERA_IDS}
    station = station_without_cameras(
        tmp_path,
        cameras=dead | {"C301": {"url": f"{address}/cam"}, "width": WIDTH, "height": HEIGHT},
        model={"bundle": BUNDLE},
    )
    station.start()
    try:
        wait_until(lambda: station.status().ready, 60.0)
        wait_until(lambda: station.cameras.readers["C301"].status().clock == "rtcp", 30.0)
        arrival, created = station.announce(source="ticket", ticket="GST-1", weight_kg=31_000.0)
        assert created
        recorded = station.wait_for(arrival.id, 30.0)
        assert recorded is not None
        grading = recorded.grading
        assert grading is not None
        assert (grading.outcome, grading.reason) == ("graded", None)
        assert grading.grade is not None
        assert sum((grading.probabilities or {}).values()) == pytest.approx(1.0, abs=1e-3)
        frames = {frame.camera: frame for frame in grading.frames}
        seen = frames.pop("C301")
        assert (seen.clock, seen.width, seen.height, seen.problem) == ("rtcp", WIDTH, HEIGHT, None)
        assert seen.error_ms is not None
        assert abs(seen.error_ms) <= 30
        assert seen.path is not None
        assert (tmp_path / "evidence" / seen.path).is_file()
        assert {frame.problem for frame in frames.values()} == {Reason.UNREACHABLE}
    finally:
        station.stop()


def test_frames_with_the_servers_own_clock(address: str) -> None:
    # One reader only: GStreamer's server fails an assertion of its own on four opens at once.
    reader = CameraReader("C301", config_of(f"{address}/cam"))
    reader.start()
    try:
        wait_until(lambda: reader.status().state is CameraState.STREAMING, 60.0)
        wait_until(lambda: reader.status().clock == "rtcp", 30.0)
        frame = reader.frame_at(datetime.now(UTC), time.monotonic() + 5.0)
        assert (frame.frame.width, frame.frame.height) == (WIDTH, HEIGHT)
        assert frame.clock == "rtcp"
        # 25 pictures a second: the nearest one lies at most half an interval away.
        assert abs(frame.error_ms) <= 30
    finally:
        reader.stop()
