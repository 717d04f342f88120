"""A wrong password is tried for one camera at a time, and seldom: recorders lock accounts."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.cameras.login import Login
from edge_agent.config import CAMERA_IDS
from edge_agent.reasons import Reason


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def simulate(seconds: float, wrong: set[str], seed: int) -> dict[str, int]:
    """Four readers on one account, each asking as it was told; attempts by camera."""
    clock, rng = Clock(), random.Random(seed)
    login = Login(clock, rng)
    asks = {camera: rng.uniform(0, 0.1) for camera in CAMERA_IDS}
    tries = dict.fromkeys(CAMERA_IDS, 0)
    while asks:
        camera = min(asks, key=lambda c: asks[c])
        clock.now = asks[camera]
        if clock.now > seconds:
            break
        wait = login.ask(camera)
        if wait > 0:
            asks[camera] = clock.now + wait
            continue
        tries[camera] += 1
        if camera not in wrong:
            login.opened(camera)
            del asks[camera]
        else:
            shared = login.ended(camera, Reason.UNAUTHORIZED)
            asks[camera] = clock.now + (0.01 if shared else 600.0)
    return tries


@given(st.integers(0, 2**32))
def test_a_wrong_password_is_tried_less_often_than_recorders_allow(seed: int) -> None:
    assert sum(simulate(60.0, set(CAMERA_IDS), seed).values()) <= 2
    assert sum(simulate(1800.0, set(CAMERA_IDS), seed).values()) <= 7


@given(st.integers(0, 2**32), st.sampled_from(CAMERA_IDS))
def test_one_camera_without_permission_does_not_stop_the_others(seed: int, lacking: str) -> None:
    tries = simulate(100.0, {lacking}, seed)
    # If it was the first to try, it has tried once more after the others were let in.
    assert tries.pop(lacking) <= 2
    assert set(tries.values()) == {1}


def test_one_tries_while_the_others_wait_and_an_unreachable_camera_passes_its_turn() -> None:
    login = Login(Clock())
    assert login.ask("C301") == 0
    assert login.ask("C101") > 0
    assert not login.ended("C301", Reason.UNREACHABLE)
    assert login.ask("C101") == 0
    login.opened("C101")
    assert [login.ask(camera) for camera in CAMERA_IDS] == [0, 0, 0, 0]
    assert not login.ended("C101", Reason.STALLED)
    assert login.ask("C201") == 0
    assert login.ask("C301") > 0, "after all are gone the password may have been changed"
