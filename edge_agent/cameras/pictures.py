"""Pixels of a decoded frame, for any thread."""

from __future__ import annotations

import threading

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter

_THUMBNAIL = (568, 426)

# swscale's fast conversion rounds down: pictures come out up to a level darker.
_NEAREST_LEVEL = (
    Interpolation.POINT
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)

_thread = threading.local()


def bgr(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """The whole frame, uint8 BGR (height, width, 3), each colour to the nearest grey level."""
    converted = _reformatter().reformat(
        frame, format="bgr24", interpolation=_NEAREST_LEVEL, threads=1
    )
    return np.asarray(converted.to_ndarray())


def thumbnail(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """The frame's luma, resized by area to uint8 (426, 568)."""
    width, height = _THUMBNAIL
    small = _reformatter().reformat(
        frame, format="gray", width=width, height=height, interpolation="AREA", threads=1
    )
    return np.asarray(small.to_ndarray())


def _reformatter() -> VideoReformatter:
    # VideoFrame.reformat and to_ndarray(format=...) share one swscale context a frame: two threads
    # that convert the same frame, to grade it and to keep it as evidence, then block each other
    # for ever.
    if not hasattr(_thread, "reformatter"):
        _thread.reformatter = VideoReformatter()
    return _thread.reformatter  # type: ignore[no-any-return]
