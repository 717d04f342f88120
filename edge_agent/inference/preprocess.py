"""From a decoded frame to the model's input: cut to the graded area, resized by area, RGB.

libswscale does it straight from the decoder's planes; `cv2.INTER_AREA`, which training uses on
RGB images, gives the same picture to within a few grey levels (a test holds the two together).
"""

from __future__ import annotations

from fractions import Fraction

import av
import av.filter
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from edge_agent.inference.manifest import InputSpec


class Preprocessor:
    """Resizes frames for one model; keeps its filters while frames keep their format.

    Not thread-safe.
    """

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec
        self._key: tuple[int, int, str] | None = None
        self._crop: av.filter.Graph | None = None
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
        """The model's input, uint8 RGB (height, width, 3)."""
        key = (frame.width, frame.height, frame.format.name)
        if self._crop is None or key != self._key:
            self._crop, self._key = self._build(frame), key
        self._crop.push(frame)
        cropped = self._crop.pull()
        assert isinstance(cropped, av.VideoFrame)  # noqa: S101 - the graph has one video output
        # Planar RGB makes swscale interpolate chroma in full; packed RGB takes a coarser way.
        resized = self._reformatter.reformat(
            cropped,
            format="gbrp",
            width=self._spec.width,
            height=self._spec.height,
            interpolation="AREA",
            threads=1,
        )
        return np.asarray(resized.to_ndarray(format="rgb24"), np.uint8)

    def _build(self, frame: av.VideoFrame) -> av.filter.Graph:
        left, top, right, bottom = self._spec.graded_area.pixels(frame.width, frame.height)
        graph = av.filter.Graph()
        # Cropping only moves the planes' start: no pixel is copied.
        graph.link_nodes(
            graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base or Fraction(1, 90_000),
            ),
            graph.add("crop", f"{right - left}:{bottom - top}:{left}:{top}:exact=1"),
            graph.add("buffersink"),
        )
        graph.configure()
        return graph
