"""The agent's resize and training's are the same picture."""

import av
import cv2
import numpy as np
import pytest

from edge_agent.inference.manifest import GradedArea, InputSpec
from edge_agent.inference.preprocess import Preprocessor


def photograph_like(width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    image = np.zeros((height, width, 3), np.uint8)
    for _ in range(400):
        x, y = (int(v) for v in rng.integers(0, (width, height)))
        angle, length = rng.uniform(0, np.pi), rng.uniform(20, 200)
        end = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
        colour = [int(v) for v in rng.integers(30, 200, 3)]
        cv2.line(image, (x, y), end, colour, int(rng.integers(4, 20)), cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.5), np.uint8)


@pytest.mark.parametrize("size", [96, 128, 224])
def test_equals_opencvs_area_resize(size: int) -> None:
    bgr = photograph_like(2272, 1704)
    frame = av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(format="yuv420p")
    got = Preprocessor(InputSpec(width=size, height=size))(frame).astype(int)
    rgb = frame.to_ndarray(format="rgb24")
    left, top, right, bottom = GradedArea().pixels(2272, 1704)
    want = cv2.resize(
        rgb[top:bottom, left:right], (size, size), interpolation=cv2.INTER_AREA
    ).astype(int)
    assert got.shape == (size, size, 3)
    assert np.abs(got - want).mean() < 2.0
    assert np.abs(got - want).max() <= 8


def test_what_lies_outside_the_graded_area_is_never_seen() -> None:
    plain = np.full((1704, 2272, 3), 90, np.uint8)
    overlaid = plain.copy()
    overlaid[:64] = 255
    overlaid[1640:] = 0
    resize = Preprocessor(InputSpec(width=128, height=128))
    frames = [av.VideoFrame.from_ndarray(p, format="bgr24") for p in (plain, overlaid)]
    first, second = (resize(f.reformat(format="yuv420p")) for f in frames)
    assert np.abs(first.astype(int) - second).max() <= 1


def test_follows_a_change_of_size() -> None:
    resize = Preprocessor(InputSpec(width=64, height=64))
    for width, height in ((640, 480), (1280, 960), (640, 480)):
        plain = np.full((height, width, 3), 120, np.uint8)
        frame = av.VideoFrame.from_ndarray(plain, format="bgr24").reformat(format="yuv420p")
        assert np.abs(resize(frame).astype(int) - 120).max() <= 2
