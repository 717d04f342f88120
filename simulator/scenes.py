"""From a truck with known truth to the clips its four cameras play."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import av
import cv2
import numpy as np
import numpy.typing as npt

from simulator import frameclock
from simulator.feed import CameraSpec, Fault
from simulator.render import render_empty, render_view
from simulator.sprites import Sprites
from simulator.truth import Truck
from simulator.video import Clip, encode
from simulator.viewpoints import FULL_SIZE, TOP_CAMERAS

Image = npt.NDArray[np.uint8]

DRIVE_S = 1.0
"""How long a truck takes to drive through a camera's window."""
LOOP_S = 2.0
"""How long the loop of a standing truck lasts at least."""
CLOCK_LOOP_S = 4.0
"""The loop with a frame clock: long enough that no two cameras can be a loop apart."""

_NOISE_LEVELS = 4
_NOISE_PICTURES = 5


@dataclass(frozen=True)
class Scene:
    """One camera's clips for one truck."""

    on_scale: Clip
    """The truck drives on, then stands."""
    gone: Clip
    """The truck drives off, then the deck is empty."""


def picture_size(width: int) -> tuple[int, int]:
    """Width and height in pixels of 4:3 pictures that wide.

    Raises ValueError for a width that cameras here cannot have.
    """
    # The planes of YUV 4:2:0 and of the noise are halves and quarters of the picture.
    if not 64 <= width <= FULL_SIZE[0] or width % 8:
        raise ValueError(f"width must be a multiple of 8 from 64 to {FULL_SIZE[0]}, not {width}")
    return width, width * 3 // 4


def loop_frames(spec: CameraSpec, *, clock: bool = False) -> int:
    """How many pictures the loop of a standing truck has.

    Whole groups of pictures: every loop begins on a keyframe, so a loop that ended within a group
    would cut it short, and the stream would not have the GOP that was asked for.
    """
    least = (CLOCK_LOOP_S if clock else LOOP_S) * spec.fps
    return math.ceil(least / spec.gop) * spec.gop


def make_scene(
    truck: Truck,
    spec: CameraSpec,
    *,
    size: tuple[int, int] = FULL_SIZE,
    sprites: Sprites | None = None,
    clock: bool = False,
) -> Scene:
    """Renders and encodes what a camera sees of a truck, width x height pixels.

    clock draws the frame clock, milliseconds since the clip began; the truck then stands from the
    start, so that the clock runs through the whole loop, CLOCK_LOOP_S or longer.
    """
    loaded = _planes(render_view(truck, spec.camera, size, sprites).image)
    empty = _planes(render_empty(truck, spec.camera, size).image)
    moves = spec.camera in TOP_CAMERAS and not clock
    drive = round(DRIVE_S * spec.fps) if moves else 0
    sensor = _Sensor(spec.camera, loaded)

    def clip(start: Image, end: Image) -> Clip:
        standing = sensor.look(end, loop_frames(spec, clock=clock))
        return encode(
            [sensor.take(p, index) for index, p in enumerate(_drive(start, end, drive))],
            _clocked(standing, spec.fps) if clock else standing,
            codec=spec.codec,
            fps=spec.fps,
            gop=spec.gop,
        )

    return Scene(clip(empty, loaded), clip(loaded, empty))


def make_fault_clip(kind: Fault, shown: Clip, gop: int) -> Clip | None:
    """What a broken camera shows instead of `shown`; None for faults that change no picture."""
    if kind is Fault.BLACK:
        still = _planes(np.full((shown.height, shown.width, 3), 3, np.uint8))
        pictures = _Sensor("black", still, strength=1).look(still, gop)
    elif kind in (Fault.FREEZE, Fault.RESIZE):
        still = first_picture(shown)
        if kind is Fault.RESIZE:
            size = (shown.width // 4 * 2, shown.height // 4 * 2)
            bgr = cv2.cvtColor(still, cv2.COLOR_YUV2BGR_I420)
            still = _planes(
                np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), np.uint8)
            )
            pictures = _Sensor("resize", still).look(still, gop)
        else:
            pictures = [still] * gop
    else:
        return None
    return encode([], pictures, codec=shown.codec, fps=shown.fps, gop=gop)


def first_picture(clip: Clip) -> Image:
    """The picture a clip's loop begins with, uint8 I420 (height * 3 // 2, width)."""
    decoder = av.CodecContext.create(clip.codec, "r")
    data = b"".join(b"\x00\x00\x00\x01" + nal for nal in clip.units[clip.loop_start].nals)
    frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    return np.asarray(frames[0].to_ndarray(format="yuv420p"), np.uint8)


def _planes(bgr: Image) -> Image:
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), np.uint8)


def _drive(start: Image, end: Image, drive: int) -> Iterator[Image]:
    """Slides `end` in from the right over `drive` pictures."""
    for index in range(drive):
        # Trucks brake: the last part of the way takes longest.
        left = 1 - (1 - index / drive) ** 2
        yield _slide(start, end, left)


def _slide(start: Image, end: Image, done: float) -> Image:
    height, width = end.shape[0] * 2 // 3, end.shape[1]
    shift = round((1 - done) * width / 2) * 2
    out = np.empty_like(end)
    _slide_plane(out[:height], start[:height], end[:height], shift)
    chroma = (2, height // 2, width // 2)
    for o, s, e in zip(
        out[height:].reshape(chroma),
        start[height:].reshape(chroma),
        end[height:].reshape(chroma),
        strict=True,
    ):
        _slide_plane(o, s, e, shift // 2)
    return out


def _slide_plane(out: Image, start: Image, end: Image, shift: int) -> None:
    width = out.shape[1]
    out[:, : shift or None] = start[:, width - shift :] if shift else end
    out[:, shift:] = end[:, : width - shift]


class _Sensor:
    """Adds what a camera's sensor adds: noise, a little different from picture to picture."""

    def __init__(self, name: str, picture: Image, strength: int = _NOISE_LEVELS) -> None:
        """Noise of at most `strength` grey levels for I420 pictures of that size."""
        rng = np.random.default_rng(sum(name.encode()))
        self._strength = strength
        self._height, width = picture.shape[0] * 2 // 3, picture.shape[1]
        coarse = (_NOISE_PICTURES, self._height // 4, width // 4)
        self._noises = [
            cv2.resize(plane, (width, self._height), interpolation=cv2.INTER_LINEAR)
            for plane in rng.integers(0, 2 * strength + 1, coarse).astype(np.uint8)
        ]

    def take(self, picture: Image, index: int) -> Image:
        """The picture with the noise of the `index`-th."""
        noisy = picture.copy()
        luma, noise = noisy[: self._height], self._noises[index % _NOISE_PICTURES]
        cv2.addWeighted(luma, 1.0, noise, 1.0, -self._strength, dst=luma)
        return noisy

    def look(self, picture: Image, count: int) -> list[Image]:
        """`count` pictures of what stands still.

        Pictures with the same noise are the same array: a hundred of full size would else take
        580 MB.
        """
        noisy = [self.take(picture, index) for index in range(min(count, _NOISE_PICTURES))]
        return [noisy[index % _NOISE_PICTURES] for index in range(count)]


def _clocked(pictures: list[Image], fps: float) -> list[Image]:
    """Copies with the frame clock drawn into them."""
    copies = [picture.copy() for picture in pictures]
    for index, copy in enumerate(copies):
        frameclock.draw(copy[: copy.shape[0] * 2 // 3], round(index / fps * 1000))
    return copies
