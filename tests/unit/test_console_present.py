"""Which truck the live page is about, for every state of the scale and the records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.api.schemas import ArrivalOut, State
from edge_agent.console.present import ScaleWatch, present
from edge_agent.status import ScaleStatus

EMPTIED = datetime(2026, 1, 15, 3, 20, tzinfo=UTC)


def truck(minutes: float, state: State = State.GRADED) -> ArrivalOut:
    """Accepted so long after the scale was last empty."""
    at = EMPTIED + timedelta(minutes=minutes)
    return ArrivalOut(
        id=f"truck{minutes}",
        station="KK1",
        source="ticket",
        ticket=None,
        plate=None,
        province=None,
        grower=None,
        weight_kg=None,
        instant=at,
        accepted_at=at,
        state=state,
        grading=None,
    )


def scale(phase: str, *, connected: bool = True) -> ScaleStatus:
    return ScaleStatus(connected=connected, phase=phase)


HERE, GONE, BEFORE = truck(1), truck(-5), truck(-9)


@pytest.mark.parametrize("phase", ["on_scale", "leaving"])
def test_a_graded_truck_stays_until_it_has_left(phase: str) -> None:
    shown = present([HERE, GONE], scale(phase), EMPTIED, 10)
    assert (shown.truck, shown.phase, shown.previous) == (HERE, None, None)
    assert shown.earlier == (GONE,)


@pytest.mark.parametrize("phase", ["empty", "rising", "on_scale", "leaving"])
def test_a_truck_of_before_is_the_previous_one(phase: str) -> None:
    shown = present([GONE, BEFORE], scale(phase), EMPTIED, 10)
    assert (shown.truck, shown.phase, shown.previous) == (None, phase, GONE)
    assert shown.earlier == (BEFORE,)


@pytest.mark.parametrize("phase", ["empty", "rising", "on_scale"])
def test_an_open_arrival_is_the_present_truck(phase: str) -> None:
    waiting = truck(1, State.OPEN)
    queued = truck(0.5, State.OPEN)
    shown = present([waiting, queued, GONE, BEFORE], scale(phase), EMPTIED, 10)
    assert (shown.truck, shown.phase, shown.previous) == (waiting, None, GONE)
    assert shown.earlier == (queued, BEFORE)


@pytest.mark.parametrize("blind", [None, scale("empty", connected=False)])
def test_without_a_scale_the_last_truck_is_shown(blind: ScaleStatus | None) -> None:
    assert present([GONE, BEFORE], blind, EMPTIED, 10).truck is GONE
    nothing = present([], blind, EMPTIED, 10)
    assert (nothing.truck, nothing.phase, nothing.previous) == (None, None, None)


@given(
    st.lists(st.tuples(st.floats(-99, 99), st.sampled_from(State)), max_size=8),
    st.sampled_from(["empty", "rising", "on_scale", "leaving", None]),
)
def test_every_truck_has_one_place(trucks: list[tuple[float, State]], phase: str | None) -> None:
    newest = [truck(minutes, state) for minutes, state in trucks]
    shown = present(newest, scale(phase) if phase else None, EMPTIED, 10)
    placed = [a for a in (shown.truck, shown.previous, *shown.earlier) if a is not None]
    assert sorted(map(id, placed)) == sorted(map(id, newest))
    if phase in ("empty", "rising"):
        assert shown.truck is None or shown.truck.state is State.OPEN


def test_watch_remembers_when_the_scale_was_last_empty() -> None:
    watch = ScaleWatch(EMPTIED)
    for minute, seen in enumerate(
        (scale("empty"), scale("rising"), scale("on_scale"), scale("empty", connected=False), None)
    ):
        watch.see(seen, EMPTIED + timedelta(minutes=minute + 1))
    assert watch.since == EMPTIED + timedelta(minutes=1)
