"""Trucks over the scale: each is one occupancy, whatever the weights and the connection do."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_agent.weighbridge.occupancy import HOLD_S, SAME_KG, Event, Occupancy, Phase
from edge_agent.weighbridge.toledo import Weight

ARM, TRUCK = 300.0, 3000.0
ONE_TRUCK = (Event.ARRIVING, Event.AT_REST)
NEXT_TRUCK = (Event.GONE, Event.ARRIVING, Event.AT_REST)


class Script:
    """Eight weights a second, as an indicator sends them."""

    def __init__(self) -> None:
        self.occupancy = Occupancy(arm_kg=ARM, min_kg=TRUCK)
        self.now = 1000.0

    def see(self, *weights: tuple[float, bool]) -> tuple[Event, ...]:
        events: tuple[Event, ...] = ()
        for kg, stable in weights:
            self.now += 0.125
            events += self.occupancy.see(Weight(kg, 0.0, stable, True, False), self.now)
        return events

    def outage(self, seconds: float) -> tuple[Event, ...]:
        self.occupancy.interrupt()
        self.now += seconds
        return self.occupancy.miss(self.now)


@pytest.fixture
def script() -> Script:
    return Script()


def test_one_truck_gives_each_event_once(script: Script) -> None:
    events = script.see(
        (0, True), (500, False), (9000, False), (30_000, True), (30_010, True),
        (30_020, False), (30_000, True), (1000, False), (0, True), (0, True),
    )  # fmt: skip
    assert events == (*ONE_TRUCK, Event.GONE)


def test_the_next_truck_drives_on_behind(script: Script) -> None:
    assert script.see((500, False), (30_000, True), (2500, False)) == ONE_TRUCK
    assert script.see((31_000, True)) == NEXT_TRUCK
    assert script.occupancy.number == 2


def test_weights_that_stop_end_the_occupancy(script: Script) -> None:
    script.see((500, False), (30_000, True))
    assert script.occupancy.present(script.now + HOLD_S) == 1
    assert script.occupancy.present(script.now + HOLD_S + 0.1) is None
    assert script.occupancy.miss(script.now + HOLD_S) == ()
    assert script.occupancy.miss(script.now + HOLD_S + 0.1) == (Event.GONE,)
    assert script.occupancy.miss(script.now + 60.0) == ()
    script.now += 61.0
    assert script.see((30_000, True)) == ONE_TRUCK
    assert script.occupancy.number == 2


def test_an_occupancy_holds_from_when_the_truck_drives_on(script: Script) -> None:
    script.see((500, False), (30_000, True))
    began = script.now
    script.see((30_000, True))
    occupancy = script.occupancy
    assert occupancy.held(script.now, 0.0) == occupancy.number
    assert occupancy.held(script.now, script.now - began) == occupancy.number
    assert occupancy.held(script.now, 60.0) is None  # then another one stood there, or none
    script.see((0, True))
    assert occupancy.held(script.now, 0.0) is None


def test_a_truck_after_an_outage_is_another_even_if_nobody_asked_meanwhile(script: Script) -> None:
    script.see((500, False), (30_000, True))
    script.now += HOLD_S + 1
    assert script.see((30_000, True)) == NEXT_TRUCK


def test_a_scale_lost_while_a_truck_drives_on_lets_it_go(script: Script) -> None:
    assert script.see((1500, False)) == (Event.ARRIVING,)
    assert script.outage(HOLD_S + 0.1) == (Event.GONE,)


@pytest.mark.parametrize("kg", [30_000.0, 30_000 + SAME_KG, 30_000 - SAME_KG])
def test_a_short_outage_keeps_the_truck(script: Script, kg: float) -> None:
    script.see((500, False), (30_000, True))
    assert script.outage(HOLD_S - 0.5) == ()
    assert script.see((kg, False), (kg, True), (kg, True)) == ()
    assert script.occupancy.number == 1


@pytest.mark.parametrize("kg", [25_000.0, 30_000 + SAME_KG + 10])
def test_another_weight_after_a_short_outage_is_another_truck(script: Script, kg: float) -> None:
    script.see((500, False), (30_000, True))
    script.outage(HOLD_S - 0.5)
    assert script.see((kg, True)) == NEXT_TRUCK


class AnyScale(RuleBasedStateMachine):
    """Weights, outages and silence in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.occupancy = Occupancy(arm_kg=ARM, min_kg=TRUCK)
        self.now = 0.0
        self.last_weight = float("-inf")
        self.log: list[Event] = []

    def take(self, events: tuple[Event, ...], weight: Weight | None = None) -> None:
        for event in events:
            before = self.log[-1] if self.log else Event.GONE
            allowed = {
                Event.GONE: {Event.ARRIVING},
                Event.ARRIVING: {Event.AT_REST, Event.GONE},
                Event.AT_REST: {Event.GONE},
            }[before]
            assert event in allowed
            if event is Event.AT_REST:
                assert weight is not None
                assert weight.stable
                assert weight.in_range
                assert weight.kg >= TRUCK
            self.log.append(event)

    @rule(
        kg=st.one_of(
            st.floats(-100, 60_000), st.sampled_from([0.0, ARM, TRUCK - 1, TRUCK, 30e3, 30_050.0])
        ),
        stable=st.booleans(),
        in_range=st.sampled_from([True, True, True, False]),
        after=st.sampled_from([0.125, 0.125, 1.0, HOLD_S, HOLD_S + 0.1]),
    )
    def weigh(self, kg: float, stable: bool, in_range: bool, after: float) -> None:
        self.now += after
        weight = Weight(kg, 0.0, stable, in_range, False)
        was, number = self.occupancy.phase, self.occupancy.number
        lost = self.now - self.last_weight > HOLD_S
        self.last_weight = self.now
        self.take(self.occupancy.see(weight, self.now), weight)
        if lost and was is not Phase.EMPTY:
            assert self.occupancy.phase is Phase.EMPTY or self.occupancy.number > number
        if was is Phase.LEAVING and in_range and kg >= TRUCK:
            assert self.occupancy.number > number

    @rule(stable_after=st.sampled_from([0.5, HOLD_S - 0.1]), shift=st.floats(-SAME_KG, SAME_KG))
    @precondition(lambda self: self.occupancy.phase is Phase.ON_SCALE)
    def blink(self, stable_after: float, shift: float) -> None:
        number = self.occupancy.number
        rest = self.occupancy._rest_kg
        if self.now + stable_after - self.last_weight > HOLD_S or rest + shift < TRUCK:
            return
        self.occupancy.interrupt()
        self.now += stable_after
        self.last_weight = self.now
        assert self.occupancy.see(Weight(rest + shift, 0.0, True, True, False), self.now) == ()
        assert self.occupancy.number == number

    @rule(after=st.sampled_from([0.5, HOLD_S + 0.1]))
    def wait(self, after: float) -> None:
        self.occupancy.interrupt()
        self.now += after
        self.take(self.occupancy.miss(self.now))
        if self.now - self.last_weight > HOLD_S:
            assert self.occupancy.phase is Phase.EMPTY

    @invariant()
    def empty_means_gone(self) -> None:
        gone = not self.log or self.log[-1] is Event.GONE
        assert (self.occupancy.phase is Phase.EMPTY) == gone
        assert self.occupancy.number == self.log.count(Event.ARRIVING)


TestAnyScale = AnyScale.TestCase
TestAnyScale.settings = settings(deadline=None, max_examples=150, stateful_step_count=40)
