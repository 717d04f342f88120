"""Broken video is refused, not concealed; whole video decodes to its last picture."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.error import FFmpegError
from hypothesis import given, settings
from hypothesis import strategies as st
from spoiled import spoil
from virtual import clock_clip

from edge_agent.cameras.clock import Clock, Stamp
from edge_agent.cameras.decoding import StreamFormat, decode_last
from edge_agent.cameras.ring import Entry
from simulator import frameclock
from simulator.video import AccessUnit, Codec

FPS, GOP = 25.0, 25


def run_of(units: tuple[AccessUnit, ...]) -> list[Entry[av.Packet]]:
    entries = []
    for number, unit in enumerate(units):
        packet = av.Packet(b"".join(b"\x00\x00\x00\x01" + nal for nal in unit.nals))
        packet.pts = number
        stamp = Stamp(number / FPS, Clock.RTCP)
        entries.append(Entry(packet, stamp, unit.is_key, packet.size, number))
    return entries


def clip_units(codec: Codec) -> tuple[AccessUnit, ...]:
    return clock_clip(codec, FPS, GOP, 2.0).units[:GOP]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("threads", [1, 2])
def test_whole_video_gives_the_last_picture(codec: Codec, threads: int) -> None:
    decoded = decode_last(StreamFormat(codec, None), run_of(clip_units(codec)), threads)
    assert decoded is not None
    luma = np.asarray(decoded.frame.to_ndarray()[: decoded.frame.height], np.uint8)
    assert frameclock.read(luma) == round((GOP - 1) / FPS * 1000)


@pytest.mark.parametrize("kept", [0.5, 0.99])
@pytest.mark.parametrize("position", [0, 5, GOP - 1])
def test_a_cut_picture_spoils_all_that_refer_to_it(kept: float, position: int) -> None:
    assert is_refused("h264", position, kept)


@pytest.mark.parametrize("position", [0, 5, GOP - 1])
def test_most_cuts_through_an_h265_picture_are_found(position: int) -> None:
    """Not all: FFmpeg does not ask whether the data ended too early. Which ones is chance."""
    found = [is_refused("hevc", position, percent / 100) for percent in range(4, 100, 4)]
    assert sum(found) > len(found) / 2


def is_refused(codec: Codec, position: int, kept: float) -> bool:
    run = run_of(spoil(clip_units(codec), codec, {position}, kept))
    try:
        decode_last(StreamFormat(codec, None), run, 1)
    except FFmpegError:
        return True
    return False


@settings(deadline=None, max_examples=40)
@given(codec=st.sampled_from(["h264", "hevc"]), data=st.binary(max_size=200))
def test_noise_gives_no_picture(codec: Codec, data: bytes) -> None:
    """Whatever stands for the keyframe's slice, the picture does not come out as if whole."""
    (first, *_), sets = clip_units(codec), 3 if codec == "hevc" else 2
    noise = AccessUnit((*first.nals[:sets], first.nals[sets][:2] + data), is_key=True)
    try:
        decoded = decode_last(StreamFormat(codec, None), run_of((noise,)), 1)
    except FFmpegError:
        return
    assert decoded is None
