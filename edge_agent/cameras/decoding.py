"""Decoding packets of a ring: on demand, or as they come while a truck is on the scale."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import av
import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext

from edge_agent.cameras.ring import Entry

Packet = Any  # av.Packet, generic in a way that says nothing here

EARLIER_S: Final = 0.3
"""A picture this much older than the one wanted is compared with it to find a frozen camera."""


@dataclass(frozen=True)
class StreamFormat:
    """What a decoder must know before the first packet."""

    codec: str
    extradata: bytes | None


@dataclass(frozen=True)
class Decoded:
    """A decoded picture, and whether it is the same as one taken at least EARLIER_S before.

    repeats is None where there is nothing to compare with.
    """

    frame: av.VideoFrame
    repeats: bool | None


def new_decoder(form: StreamFormat, threads: int = 1) -> VideoCodecContext:
    """A decoder that hands out every picture at once: cameras send none out of order.

    It raises on coded data it finds broken. FFmpeg's default is to conceal the damage with guessed
    pixels, which a model would grade. What it cannot find: a flipped bit that leaves valid code, an
    H.264 picture that is missing whole, and about one in ten cuts through an H.265 picture, whose
    decoder reads zeros past the end and may make sense of them.
    """
    context = cast("VideoCodecContext", av.CodecContext.create(form.codec, "r"))
    if form.extradata:
        context.extradata = form.extradata
    # Frame threads would hold back as many pictures as there are threads.
    context.thread_type = "SLICE"
    context.thread_count = threads
    context.flags |= av.codec.context.Flags.low_delay
    context.options = {"err_detect": "explode"}
    return context


def sample(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """Every eighth luma pixel of every eighth row, to compare pictures cheaply."""
    plane = frame.planes[0]
    luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return luma[: frame.height : 8, : frame.width : 8].copy()


class Sequencer:
    """Decodes consecutive packets and remembers enough to tell a frozen picture."""

    def __init__(self, form: StreamFormat, threads: int = 1) -> None:
        self._decoder = new_decoder(form, threads)
        self._samples: deque[tuple[float, npt.NDArray[np.uint8]]] = deque()
        self._waiting: deque[Entry[Packet]] = deque()

    def decode(
        self, entry: Entry[Packet], *, keep: bool = True
    ) -> list[tuple[Entry[Packet], Decoded]]:
        """Decodes the next packet; the pictures that come out, with the packets they came from.

        keep=False leaves out the comparison. Raises av.error.FFmpegError on a broken packet.
        """
        self._waiting.append(entry)
        return self._collect(self._decoder.decode(entry.packet), keep)

    def flush(self) -> list[tuple[Entry[Packet], Decoded]]:
        """The pictures the decoder still holds back."""
        return self._collect(self._decoder.decode(None), True)

    def _collect(
        self, frames: Sequence[av.VideoFrame], keep: bool
    ) -> list[tuple[Entry[Packet], Decoded]]:
        out = []
        for frame in frames:
            while self._waiting and self._waiting[0].packet.pts != frame.pts:
                self._waiting.popleft()
            if not self._waiting:
                break
            entry = self._waiting.popleft()
            repeats = self._compare(entry.stamp.at, frame) if keep else None
            out.append((entry, Decoded(frame, repeats)))
        return out

    def _compare(self, at: float, frame: av.VideoFrame) -> bool | None:
        current = sample(frame)
        repeats = None
        while self._samples and at - self._samples[0][0] >= EARLIER_S:
            earlier = self._samples.popleft()[1]
            repeats = earlier.shape == current.shape and bool((earlier == current).all())
        self._samples.append((at, current))
        return repeats


def decode_last(form: StreamFormat, run: Sequence[Entry[Packet]], threads: int) -> Decoded | None:
    """Decodes a run-up and returns its last picture; None if it does not come out whole.

    Raises av.error.FFmpegError if any packet of the run-up is broken: later pictures refer to it.
    """
    sequencer = Sequencer(form, threads)
    # Only the pictures that may serve for the comparison are looked at besides the last.
    compare_from = run[-1].stamp.at - 2 * EARLIER_S
    done: list[tuple[Entry[Packet], Decoded]] = []
    for entry in run:
        done = sequencer.decode(entry, keep=entry.stamp.at >= compare_from) or done
    done = sequencer.flush() or done
    last = done[-1] if done else None
    if last is None or last[0].number != run[-1].number or last[1].frame.is_corrupt:
        return None
    return last[1]
