"""Video encoded ahead: clips of H.264 or H.265 access units that a camera plays in a loop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, cast

import av
import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext

Codec = Literal["h264", "hevc"]

_ENCODERS: dict[Codec, str] = {"h264": "libx264", "hevc": "libx265"}


@dataclass(frozen=True)
class AccessUnit:
    """One coded picture: its NAL units without start codes, and whether decoding can begin here."""

    nals: tuple[bytes, ...]
    is_key: bool


@dataclass(frozen=True)
class Clip:
    """Access units at a fixed rate: an introduction, then a loop.

    units[loop_start:] repeats for ever; units[loop_start] and units[0] are key.
    """

    units: tuple[AccessUnit, ...]
    loop_start: int
    codec: Codec
    fps: float
    width: int
    height: int

    def unit(self, index: int) -> AccessUnit:
        """The access unit at frame `index` >= 0 since the clip began."""
        if index < len(self.units):
            return self.units[index]
        loop = len(self.units) - self.loop_start
        return self.units[self.loop_start + (index - self.loop_start) % loop]

    @property
    def parameter_sets(self) -> tuple[bytes, ...]:
        """VPS (H.265 only), SPS and PPS of the first picture."""
        return tuple(nal for nal in self.units[0].nals if is_parameter_set(nal, self.codec))


def is_parameter_set(nal: bytes, codec: Codec) -> bool:
    """Whether a NAL unit is a VPS, SPS or PPS (H.264 table 7-1, H.265 table 7-1)."""
    if codec == "h264":
        return nal[0] & 0x1F in (7, 8)
    return (nal[0] >> 1) & 0x3F in (32, 33, 34)


def encode(
    intro: Iterable[npt.NDArray[np.uint8]],
    loop: Sequence[npt.NDArray[np.uint8]],
    *,
    codec: Codec,
    fps: float,
    gop: int,
    crf: int = 26,
    threads: int = 1,
) -> Clip:
    """Encodes frames, uint8 I420 of shape (height * 3 // 2, width), without B-frames.

    The loop starts on an IDR picture; further ones stand at every `gop` frames of introduction
    and loop. A constant quality with a capped bit rate keeps sensor noise in every picture: a
    camera whose predicted pictures are all empty would look frozen.
    """
    frames = list(intro)
    loop_start = len(frames)
    frames += loop
    if not loop:
        raise ValueError("a clip needs at least one frame to loop over")
    height, width = frames[0].shape[0] * 2 // 3, frames[0].shape[1]
    context = cast("VideoCodecContext", av.CodecContext.create(_ENCODERS[codec], "w"))
    context.width, context.height = width, height
    context.pix_fmt = "yuv420p"
    context.time_base = 1 / Fraction(fps)
    context.framerate = Fraction(fps)
    context.gop_size = gop
    context.max_b_frames = 0
    context.thread_count = threads
    context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "crf": str(crf),
        "maxrate": "8M",
        "bufsize": "8M",
        **_private_options(codec, gop, threads),
    }
    units: list[AccessUnit] = []
    for index, pixels in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
        frame.pts = index
        since = index if index < loop_start else index - loop_start
        if since % gop == 0:
            frame.pict_type = av.video.frame.PictureType.I
        units += (_unit(packet, codec) for packet in context.encode(frame))
    units += (_unit(packet, codec) for packet in context.encode(None))
    if len(units) != len(frames) or not units[loop_start].is_key:
        raise RuntimeError(f"{codec} encoder gave {len(units)} pictures for {len(frames)} frames")
    return Clip(tuple(units), loop_start, codec, fps, width, height)


def _private_options(codec: Codec, gop: int, threads: int) -> dict[str, str]:
    if codec == "h264":
        return {"forced-idr": "1", "x264-params": f"scenecut=0:keyint={gop}:sliced-threads=0"}
    return {
        "forced-idr": "1",
        "x265-params": (
            f"log-level=none:repeat-headers=1:scenecut=0:keyint={gop}:min-keyint=1:"
            f"open-gop=0:pools={threads}:frame-threads=1"
        ),
    }


def _unit(packet: Any, codec: Codec) -> AccessUnit:
    nals = tuple(split_annexb(bytes(packet)))
    # Supplemental enhancement information only carries the encoder's settings: leave it out.
    sei = (6,) if codec == "h264" else (39, 40)
    kinds = (n[0] & 0x1F if codec == "h264" else (n[0] >> 1) & 0x3F for n in nals)
    kept = tuple(nal for nal, kind in zip(nals, kinds, strict=True) if kind not in sei)
    return AccessUnit(kept, packet.is_keyframe)


def split_annexb(data: bytes) -> Iterable[bytes]:
    """NAL units of a byte stream with start codes (H.264 and H.265, annex B)."""
    start = data.find(b"\x00\x00\x01")
    while start >= 0:
        end = data.find(b"\x00\x00\x01", start + 3)
        nal = data[start + 3 : end if end >= 0 else len(data)]
        # A four-byte start code leaves its first zero at the end of the NAL unit before.
        nal = nal.rstrip(b"\x00")
        if nal:
            yield nal
        start = end
