"""The agent's resize and training's are the same picture."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge_agent.cameras.pictures import bgr
from edge_agent.inference.bundle import Bundle
from edge_agent.inference.grader import Grader
from edge_agent.inference.manifest import InputSpec
from edge_agent.inference.preprocess import Preprocessor
from simulator.render import render_view
from simulator.truth import draw_truck
from training.data import images

BUNDLE = Path(__file__).parents[2] / "deploy" / "models" / "sim-mobilenetv2.bundle"


@pytest.fixture(scope="module")
def load() -> npt.NDArray[np.uint8]:
    """A load as camera C301 shows it, BGR 2272 x 1704."""
    return render_view(draw_truck(np.random.default_rng(7), difficulty=0.6), "C301").image


def decoded(pixels: npt.NDArray[np.uint8], pixel_format: str) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(pixels, format="bgr24").reformat(format=pixel_format)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "nv12"])
def test_the_agent_and_training_give_a_frame_the_same_probabilities(
    load: npt.NDArray[np.uint8], pixel_format: str, tmp_path: Path
) -> None:
    bundle = Bundle.read(BUNDLE)
    grader, spec = Grader(bundle), bundle.manifest.input
    area = spec.graded_area
    preprocess = Preprocessor(spec)
    frame = decoded(load, pixel_format)
    assert (frame.width, frame.height) == (2272, 1704)
    at_the_station = preprocess(bgr(frame))
    # What the evidence of this frame would be without the loss of its JPEG.
    file = tmp_path / "frame.png"
    assert cv2.imwrite(str(file), bgr(frame))
    in_training = images.read(file, spec.width, cut=(area.left, area.top, area.right, area.bottom))
    assert not isinstance(in_training, images.Skip)
    both = grader.probabilities(np.stack([at_the_station, in_training]))
    assert np.abs(both[0] - both[1]).max() <= 1e-3
    assert np.abs(at_the_station.astype(int) - in_training).max() <= 1


@pytest.mark.parametrize("size", [96, 128, 224])
def test_the_picture_is_the_frames(load: npt.NDArray[np.uint8], size: int) -> None:
    """Against the pixels the frame was made of, which have full chroma."""
    spec = InputSpec(width=size, height=size)
    got = Preprocessor(spec)(bgr(decoded(load, "yuv420p")))
    left, top, right, bottom = spec.graded_area.pixels(2272, 1704)
    cut = load[top:bottom, left:right, ::-1]
    want = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)
    assert got.shape == (size, size, 3)
    assert np.abs(got.astype(int) - want).mean() < 4.0


def test_what_lies_outside_the_graded_area_is_never_seen() -> None:
    plain = np.full((1704, 2272, 3), 90, np.uint8)
    overlaid = plain.copy()
    overlaid[:64] = 255
    overlaid[1640:] = 0
    resize = Preprocessor(InputSpec(width=128, height=128))
    first, second = (resize(bgr(decoded(pixels, "yuv420p"))) for pixels in (plain, overlaid))
    assert np.abs(first.astype(int) - second).max() <= 1


def test_follows_a_change_of_size() -> None:
    resize = Preprocessor(InputSpec(width=64, height=64))
    for width, height in ((640, 480), (1280, 960), (640, 480)):
        plain = np.full((height, width, 3), 120, np.uint8)
        assert np.abs(resize(bgr(decoded(plain, "yuv420p"))).astype(int) - 120).max() <= 4
