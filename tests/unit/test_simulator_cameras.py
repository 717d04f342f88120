"""The virtual cameras: a file of one's own, and that the GOP asked for is the GOP sent."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from simulator.camera_file import read_cameras
from simulator.cli import app
from simulator.feed import CameraSpec, Fault
from simulator.scenes import LOOP_S, loop_frames, make_fault_clip, make_scene, picture_size
from simulator.station import STANDARD_CAMERAS
from simulator.truth import draw_truck
from simulator.video import Clip, Codec

TINY = (96, 72)
TRUCK = draw_truck(np.random.default_rng(3), 0.3)
FILE = """
C101: {fps: 12, gop: 25, codec: hevc, jitter_ms: 1.5}
C201: {fps: 25, gop: 30, codec: h264}
C401: {fps: 25, gop: 100, latency_ms: 350, clock_offset_ms: -40, phase_ms: 7}
"""


def key_distances(clip: Clip, count: int) -> set[int]:
    """Pictures from key to key over the first `count` pictures after the introduction."""
    keys = [i for i in range(clip.loop_start, clip.loop_start + count) if clip.unit(i).is_key]
    return {later - earlier for earlier, later in pairwise(keys)}


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("fps", [12.0, 25.0])
@pytest.mark.parametrize("gop", [25, 40, 100])
def test_clips_have_the_gop_asked_for(codec: Codec, fps: float, gop: int) -> None:
    spec = CameraSpec("C401", 401, codec, fps, gop)
    scene = make_scene(TRUCK, spec, size=TINY)
    for clip in (scene.on_scale, scene.gone):
        loop = len(clip.units) - clip.loop_start
        assert loop == loop_frames(spec)
        assert loop >= LOOP_S * fps
        assert key_distances(clip, 3 * loop + 1) == {gop}


def test_clip_with_the_frame_clock_has_it_too() -> None:
    spec = CameraSpec("C101", 101, "h264", 12.0, 25)
    clip = make_scene(TRUCK, spec, size=(640, 480), clock=True).on_scale
    assert clip.loop_start == 0
    assert key_distances(clip, 3 * len(clip.units) + 1) == {25}


@pytest.mark.parametrize("fault", [Fault.BLACK, Fault.FREEZE, Fault.RESIZE])
def test_a_broken_camera_keeps_its_gop(fault: Fault) -> None:
    spec = CameraSpec("C401", 401, "h264", 25.0, 100)
    clip = make_fault_clip(fault, make_scene(TRUCK, spec, size=TINY).on_scale, spec.gop)
    assert clip is not None
    assert key_distances(clip, 301) == {100}


def test_standard_cameras_are_as_different_as_in_the_field() -> None:
    by_name = {spec.camera: spec for spec in STANDARD_CAMERAS}
    assert {(s.fps, s.gop) for s in STANDARD_CAMERAS} == {(12.0, 25), (25.0, 50), (25.0, 100)}
    assert by_name["C301"].gop < 100
    assert len({spec.jitter_ms for spec in STANDARD_CAMERAS}) == 4


def test_file_changes_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "cameras.yaml"
    file.write_text(FILE, encoding="utf-8")
    c101, c201, c301, c401 = STANDARD_CAMERAS
    assert read_cameras(file) == (
        replace(c101, fps=12.0, gop=25, codec="hevc", jitter_ms=1.5),
        replace(c201, fps=25.0, gop=30, codec="h264"),
        c301,
        replace(c401, gop=100, latency_ms=350.0, clock_offset_ms=-40.0, phase_ms=7.0),
    )


def test_documented_file_can_be_read(tmp_path: Path) -> None:
    docs = Path(__file__).parents[2] / "docs" / "simulator-station.md"
    (_, block) = docs.read_text(encoding="utf-8").split("```yaml\n")
    file = tmp_path / "cameras.yaml"
    file.write_text(block.split("```")[0], encoding="utf-8")
    assert {spec.gop for spec in read_cameras(file)} == {25, 100}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("C301: {gop: 0}", "C301: gop: Input should be greater than or equal to 1"),
        ("C301: {gop: true}", "C301: gop: Input should be a valid integer"),
        ("C301: {fps: 29.97}", "C301: fps: Input should be a multiple of 0.25"),
        ("C301: {codec: mjpeg}", "C301: codec: Input should be 'h264' or 'hevc'"),
        ("C301: {jitter_ms: .nan}", "C301: jitter_ms: Input should be a finite number"),
        ("C301: {latency_ms: -1}", "C301: latency_ms: Input should be greater than or equal to 0"),
        ("C301: {latency: 4}", "C301: latency: no such setting, only codec, fps, gop"),
        ("C301: {gop: 25, gop: 50}", "gop is given twice"),
        ("C501: {gop: 25}", "C501: no such camera, only C101, C201, C301, C401"),
        ("C301: 25", "C301: must be settings, such as {gop: 25}"),
        ("- C301", "must be settings by camera"),
        ("", "must be settings by camera"),
        ("C301: [", "line 1, column 8"),
    ],
)
def test_bad_file_is_one_clear_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "cameras.yaml"
    file.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(app, ["station", "--cameras", str(file)])
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"cane-sim station: cameras {file}: ")
    assert says in line


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--cameras", "nowhere.yaml"], "cameras nowhere.yaml: No such file"),
        (["--width", "100"], "width must be a multiple of 8 from 64 to 2272, not 100"),
    ],
)
@pytest.mark.parametrize("command", ["station", "demo"])
def test_bad_option_is_one_clear_line(command: str, options: list[str], says: str) -> None:
    result = CliRunner().invoke(app, [command, *options])
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"cane-sim {command}: {says}")


def test_full_pictures_are_those_of_the_cameras() -> None:
    assert picture_size(2272) == (2272, 1704)


def first_groups(url: str, count: int) -> tuple[str, list[int], float]:
    """Codec, pictures in each of the first whole groups, and pictures a second, of a stream."""
    with av.open(url, options={"rtsp_transport": "tcp"}, timeout=(20, 20)) as container:
        stream = container.streams.video[0]
        keys: list[int] = []
        times: list[float] = []
        for number, packet in enumerate(container.demux(stream)):
            if packet.is_keyframe:
                keys.append(number)
            if packet.pts is not None:
                times.append(float(packet.pts * packet.time_base))
            if len(keys) > count:
                break
        lengths = [later - earlier for earlier, later in pairwise(keys)]
        return stream.codec_context.name, lengths, (len(times) - 1) / (times[-1] - times[0])


def test_station_sends_what_the_file_asks_for(tmp_path: Path) -> None:
    file = tmp_path / "cameras.yaml"
    file.write_text(FILE, encoding="utf-8")
    command = [sys.executable, "-m", "simulator", "station", "--cameras", str(file)]
    with subprocess.Popen([*command, "--width", "96"], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            about: dict[str, Any] = json.loads(process.stdout.readline())
            login = f"{about['username']}:{about['password']}@"
            sent: dict[str, tuple[str, list[int], float]] = {}

            def watch(camera: str) -> None:
                url = about["cameras"][camera]["url"].replace("rtsp://", f"rtsp://{login}")
                # Two groups: the first one may have begun before the truck came to stand.
                sent[camera] = first_groups(url, 2)

            watchers = [threading.Thread(target=watch, args=(c,)) for c in about["cameras"]]
            for watcher in watchers:
                watcher.start()
            for watcher in watchers:
                watcher.join()
        finally:
            process.terminate()
    assert {camera: (codec, lengths[-1]) for camera, (codec, lengths, _) in sent.items()} == {
        "C101": ("hevc", 25),
        "C201": ("h264", 30),
        "C301": ("h264", 50),
        "C401": ("h264", 100),
    }
    assert {camera: round(fps) for camera, (_, _, fps) in sent.items()} == {
        "C101": 12,
        "C201": 25,
        "C301": 25,
        "C401": 25,
    }
    c401 = about["cameras"]["C401"]
    assert (c401["latency_ms"], c401["clock_offset_ms"], c401["phase_ms"]) == (350.0, -40.0, 7.0)
    assert c401["loop_ms"] == 4000.0
