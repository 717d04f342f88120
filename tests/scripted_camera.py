"""A camera whose packets a test hands to the real reader, without network.

Only FFmpeg's RTSP container is replaced. Packets, side data and decoding are real; arrival times
are the script's, so that nothing depends on how fast the machine is.
"""

from __future__ import annotations

import queue
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, Final, Self, cast

import av
import numpy as np
import pytest
from av.packet import PacketSideData, PktSideDataT, packet_sidedata_type_from_literal
from virtual import HEIGHT, WIDTH, clock_clip

from edge_agent.cameras.frames import TimedFrame
from edge_agent.cameras.reader import CameraReader
from edge_agent.config import CAMERA_IDS, CamerasSection
from simulator import frameclock
from simulator.video import AccessUnit, Clip

FPS: Final = 25.0
FRAME: Final = 1 / FPS
LOOP: Final = 25
"""Pictures in the clip; one is told from the others by the clock drawn into it."""
GOP: Final = 8
"""Does not divide LOOP: keyframes stand at 0, 8, 16, 24, 25, ..."""
LATENCY: Final = 0.25
EPOCH: Final = 1_700_000_000.0
TICKS: Final = 90_000


class ScriptedCamera:
    """Stands where FFmpeg's container stands: hands out packets when the test says so."""

    def __init__(self) -> None:
        context = av.CodecContext.create("h264", "r")
        self.streams = SimpleNamespace(
            video=[SimpleNamespace(codec_context=context, time_base=Fraction(1, TICKS))]
        )
        self.now = EPOCH
        self._packets: queue.Queue[tuple[av.Packet[Any], float] | None] = queue.Queue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def demux(self, _: object) -> Iterator[av.Packet[Any]]:
        while (item := self._packets.get()) is not None:
            packet, self.now = item
            yield packet
            self._packets.task_done()
        self._packets.task_done()

    def play(self, shots: Sequence[Shot]) -> None:
        """Sends packets; returns once the reader has taken them in."""
        for shot in shots:
            self._packets.put((shot.packet(), shot.arrived))
        with self._packets.all_tasks_done:
            done = self._packets.all_tasks_done.wait_for(self._is_done, 20.0)
        assert done, "the reader has ended"

    def _is_done(self) -> bool:
        return not self._packets.unfinished_tasks

    def end(self) -> None:
        self._packets.put(None)


@dataclass(frozen=True)
class Shot:
    """A picture on its way. All times in seconds; taken, produced and arrived since 1970."""

    unit: AccessUnit
    taken: float
    pts: float | None
    produced: float | None
    arrived: float
    reported: bool = False

    def packet(self) -> av.Packet[Any]:
        packet = av.Packet(b"".join(b"\x00\x00\x00\x01" + nal for nal in self.unit.nals))
        packet.time_base = Fraction(1, TICKS)
        packet.pts = None if self.pts is None else round(self.pts * TICKS)
        packet.is_keyframe = self.unit.is_key
        if self.produced is not None:
            add(packet, "prft", struct.pack("<qi", round(self.produced * 1e6), 24))
        if self.reported:
            add(packet, "rtcp_sr", bytes(32))
        return packet


def add(packet: av.Packet[Any], kind: PktSideDataT, data: bytes) -> None:
    # The stub says nothing of the constructor: what kind, and how many bytes.
    side = cast("Any", PacketSideData)(packet_sidedata_type_from_literal(kind), len(data))
    side.update(data)
    packet.set_sidedata(side)


@contextmanager
def reading(**settings: Any) -> Iterator[tuple[ScriptedCamera, CameraReader]]:
    """A reader that is connected to a scripted camera."""
    config = CamerasSection.model_validate(
        {camera: {"url": "rtsp://127.0.0.1:1/x"} for camera in CAMERA_IDS}
        | {"width": WIDTH, "height": HEIGHT, "stall_s": 600.0}
        | settings
    )
    camera = ScriptedCamera()
    clock = SimpleNamespace(time=lambda: camera.now, monotonic=time.monotonic)
    reader = CameraReader("C301", config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge_agent.cameras.reader.open_stream", lambda *_: camera)
        patch.setattr("edge_agent.cameras.reader.time", clock)
        reader.start()
        try:
            yield camera, reader
        finally:
            camera.end()
            reader.stop()


def clip() -> Clip:
    return clock_clip("h264", FPS, GOP, LOOP / FPS)


def shots(*numbers: int, clock: bool = True, base: float = 0.0) -> list[Shot]:
    """Pictures by number, one a FRAME since EPOCH, with time stamps that begin at `base`."""
    return [
        Shot(
            unit=clip().unit(n),
            taken=taken(n),
            pts=base + n * FRAME,
            produced=taken(n) if clock else None,
            arrived=taken(n) + LATENCY,
        )
        for n in numbers
    ]


def taken(number: float) -> float:
    return EPOCH + number * FRAME


def at(reader: CameraReader, instant: float, wait_s: float = 0.0) -> TimedFrame:
    return reader.frame_at(datetime.fromtimestamp(instant, UTC), time.monotonic() + wait_s)


def number_in(frame: TimedFrame) -> int:
    """The number modulo LOOP of the picture, by the clock drawn into it."""
    value = frameclock.read(np.asarray(frame.frame.to_ndarray()[:HEIGHT], np.uint8))
    assert value is not None
    return round(value / 1000 * FPS)
