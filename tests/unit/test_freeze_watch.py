"""A frozen camera by its packet sizes; sizes were recorded from 4 MP streams of the simulator."""

from __future__ import annotations

from itertools import cycle, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.cameras.frozen import LIVELY_S, FreezeWatch

PIXELS = 2272 * 1704
# One group of pictures of a frozen scene, keyframe first: refined for a while, then empty.
X264_GOP_50 = [268754, 12, 26, 6199, 17323, 23811, 22424, 7831, 69257, 13957, 51, *[12] * 39]
X265_GOP_24 = [
    *(164649, 174, 3271, 14063, 47242, 12873, 48320, 29686, 36519, 4224, 352, 23410, 517),
    *[206] * 11,
]
LIVE_GOP_50 = [165101, 71171, 16197, 76808, 7810, 69641, *[5789, 32760, 1007, 1148] * 11]


class Camera:
    """Feeds a watch with groups of pictures; `repeats` is what decoding would find."""

    def __init__(self, fps: float) -> None:
        self.at = 0.0
        self.repeats = False
        self.looks = 0
        self.changes = 0
        self.watch = FreezeWatch(self._look)
        self._fps = fps

    def _look(self) -> bool:
        self.looks += 1
        return self.repeats

    def play(self, gop: list[int], seconds: float, skip: int = 0) -> float | None:
        """Seconds until the watch first said frozen, or None."""
        since, noticed = self.at, None
        for index, size in islice(enumerate(cycle(gop)), skip, skip + round(seconds * self._fps)):
            self.at += 1 / self._fps
            before = self.watch.frozen
            if self.watch.see(self.at, size, PIXELS, is_key=index % len(gop) == 0):
                noticed = noticed or self.at - since
            self.changes += self.watch.frozen is not before
        return noticed


@pytest.mark.parametrize(("gop", "fps"), [(X264_GOP_50, 25.0), (X265_GOP_24, 12.0)])
@pytest.mark.parametrize("skip", [0, 1, 5, 12, 20])
def test_freeze_is_noticed_within_two_seconds_and_stays(
    gop: list[int], fps: float, skip: int
) -> None:
    camera = Camera(fps)
    assert camera.play(LIVE_GOP_50, 5.0) is None
    assert camera.looks == 0
    camera.repeats = True
    noticed = camera.play(gop, 4.0, skip)
    assert noticed is not None
    assert noticed < 1.9
    looks = camera.looks
    camera.play(gop, 60.0, skip + round(4.0 * fps))
    assert camera.watch.frozen
    assert camera.changes == 1
    assert camera.looks - looks <= 7


def test_live_pictures_end_it() -> None:
    camera = Camera(25.0)
    camera.repeats = True
    camera.play(X264_GOP_50, 4.0)
    camera.repeats = False
    camera.play(LIVE_GOP_50, LIVELY_S + 0.5)
    assert not camera.watch.frozen
    camera.repeats = True
    again = camera.play(X264_GOP_50, 4.0)
    assert again is not None
    assert again < 1.9


def test_quiet_scene_that_does_move_costs_few_looks() -> None:
    camera = Camera(25.0)
    assert camera.play([200_000, *[100] * 49], 120.0) is None
    assert camera.looks <= 20


@given(st.lists(st.integers(PIXELS // 6000 + 1, 400_000), min_size=50, max_size=300))
def test_pictures_with_noise_are_never_decoded(sizes: list[int]) -> None:
    camera = Camera(25.0)
    camera.repeats = True
    assert camera.play([300_000, *sizes], len(sizes) / 25) is None
    assert camera.looks == 0
