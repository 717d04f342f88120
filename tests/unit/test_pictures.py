"""Pixels of one frame, taken by several threads at the same time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError

import av
import cv2
import numpy as np
import pytest

from edge_agent.cameras.pictures import bgr, thumbnail


def frame() -> av.VideoFrame:
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 255, (60, 80, 3)).astype(np.uint8)
    picture = cv2.resize(coarse, (1136, 852), interpolation=cv2.INTER_LINEAR)
    return av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuvj420p")


def test_shapes_and_values() -> None:
    decoded = frame()
    luma = np.frombuffer(memoryview(decoded.planes[0]), np.uint8)
    luma = luma.reshape(-1, decoded.planes[0].line_size)[:852, :1136]
    small = thumbnail(decoded)
    assert small.shape == (426, 568)
    exact = cv2.resize(luma, (568, 426), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - exact).max() <= 2
    full = bgr(decoded)
    assert full.shape == (852, 1136, 3)
    assert full.dtype == np.uint8


@pytest.mark.parametrize("yuv", [(120, 128, 128), (80, 110, 140), (200, 120, 135), (30, 125, 131)])
def test_colours_are_those_of_the_standard(yuv: tuple[int, int, int]) -> None:
    y, u, v = yuv
    decoded = av.VideoFrame(640, 480, "yuv420p")
    for plane, value in zip(decoded.planes, yuv, strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    # ITU-R BT.601, limited range.
    luma = (y - 16) * 255 / 219
    cb, cr = (u - 128) * 255 / 224, (v - 128) * 255 / 224
    exact = (luma + 1.772 * cb, luma - 0.344136 * cb - 0.714136 * cr, luma + 1.402 * cr)
    assert np.abs(bgr(decoded).astype(float) - exact).max() <= 0.75


def test_threads_share_a_frame() -> None:
    decoded = frame()
    expected = {bgr: bgr(decoded), thumbnail: thumbnail(decoded)}

    def hammer(convert: Callable[[av.VideoFrame], np.ndarray]) -> bool:
        return all((convert(decoded) == expected[convert]).all() for _ in range(150))

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(hammer, convert) for convert in (bgr, thumbnail, bgr, thumbnail)]
        try:
            assert all(future.result(60.0) for future in futures)
        except FutureTimeoutError:
            pytest.fail("converting one frame in several threads blocks")
