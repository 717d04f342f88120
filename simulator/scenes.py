"""From a truck with known truth to the clips its four cameras play."""

from __future__ import annotations

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
"""How long the loop of a standing truck lasts; whole groups of pictures are made of it."""
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
    start, so that the clock runs through the whole loop of CLOCK_LOOP_S.
    """
    loaded = _planes(render_view(truck, spec.camera, size, sprites).image)
    empty = _planes(render_empty(truck, spec.camera, size).image)
    moves = spec.camera in TOP_CAMERAS and not clock
    stand = round((CLOCK_LOOP_S if clock else LOOP_S) * spec.fps)
    drive = round(DRIVE_S * spec.fps) if moves else 0

    def clip(start: Image, end: Image) -> Clip:
        pictures = _with_noise(
            _drive(start, end, drive, stand), spec.camera, clock_fps=spec.fps if clock else None
        )
        frames = list(pictures)
        return encode(
            frames[:drive],
            frames[drive:],
            codec=spec.codec,
            fps=spec.fps,
            gop=min(spec.gop, stand),
        )

    return Scene(clip(empty, loaded), clip(loaded, empty))


def make_fault_clip(kind: Fault, shown: Clip, gop: int) -> Clip | None:
    """What a broken camera shows instead of `shown`; None for faults that change no picture."""
    if kind is Fault.BLACK:
        still = _planes(np.full((shown.height, shown.width, 3), 3, np.uint8))
        pictures = list(_with_noise([still] * gop, "black", clock_fps=None, strength=1))
    elif kind in (Fault.FREEZE, Fault.RESIZE):
        still = first_picture(shown)
        if kind is Fault.RESIZE:
            size = (shown.width // 4 * 2, shown.height // 4 * 2)
            bgr = cv2.cvtColor(still, cv2.COLOR_YUV2BGR_I420)
            still = _planes(
                np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), np.uint8)
            )
        pictures = [still] * gop
        if kind is Fault.RESIZE:
            pictures = list(_with_noise(pictures, "resize", clock_fps=None))
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


def _drive(start: Image, end: Image, drive: int, stand: int) -> Iterator[Image]:
    """Slides `end` in from the right over `drive` pictures, then shows it `stand` times."""
    for index in range(drive):
        # Trucks brake: the last part of the way takes longest.
        left = 1 - (1 - index / drive) ** 2
        yield _slide(start, end, left)
    for _ in range(stand):
        yield end


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


def _with_noise(
    pictures: Iterator[Image] | list[Image],
    name: str,
    *,
    clock_fps: float | None,
    strength: int = _NOISE_LEVELS,
) -> Iterator[Image]:
    """Adds what a sensor adds, a little different in every picture, and the frame clock."""
    rng = np.random.default_rng(sum(name.encode()))
    noises: list[Image] = []
    for index, picture in enumerate(pictures):
        height, width = picture.shape[0] * 2 // 3, picture.shape[1]
        if not noises:
            for _ in range(_NOISE_PICTURES):
                small = rng.integers(0, 2 * strength + 1, (height // 4, width // 4)).astype(
                    np.uint8
                )
                noises.append(
                    np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))
                )
        noisy = picture.copy()
        luma = noisy[:height]
        cv2.addWeighted(luma, 1.0, noises[index % _NOISE_PICTURES], 1.0, -strength, dst=luma)
        if clock_fps is not None:
            frameclock.draw(luma, round(index / clock_fps * 1000))
        yield noisy
