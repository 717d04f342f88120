"""The indicator's client against a scale on loopback that breaks, falls silent and comes back."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from virtual import wait_until

from edge_agent.config import IndicatorSection
from edge_agent.weighbridge.indicator import Indicator
from edge_agent.weighbridge.occupancy import HOLD_S, Event
from simulator.scale import encode


class FakeScale:
    """Sends its weight to one client after the other, unless it is silent or down."""

    def __init__(self) -> None:
        self.frame = encode(0, in_motion=False)
        self.silent = self.down = self.closed = False
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.05)
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def weigh(self, kg: float, *, in_motion: bool = False) -> None:
        self.frame = encode(kg, in_motion=in_motion)

    def close(self) -> None:
        self.closed = True
        self._thread.join(5.0)
        self._server.close()

    def _run(self) -> None:
        while not self.closed:
            with contextlib.suppress(OSError), self._server.accept()[0] as client:
                while not (self.down or self.closed):
                    if not self.silent:
                        client.sendall(self.frame)
                    time.sleep(0.05)


@pytest.fixture
def scale() -> Iterator[FakeScale]:
    fake = FakeScale()
    yield fake
    fake.close()


@pytest.fixture
def events() -> list[tuple[Event, float]]:
    return []


@pytest.fixture
def indicator(scale: FakeScale, events: list[tuple[Event, float]]) -> Iterator[Indicator]:
    section = IndicatorSection(host="127.0.0.1", port=scale.port)
    client = Indicator(section, lambda event, weight: events.append((event, weight.kg)))
    client.start()
    wait_until(lambda: client.status().connected)
    yield client
    client.stop()


TRUCK = [(Event.ARRIVING, 30_000.0), (Event.AT_REST, 30_000.0)]


def test_a_truck_that_comes_while_the_scale_is_silent_is_another(
    scale: FakeScale, indicator: Indicator, events: list[tuple[Event, float]]
) -> None:
    scale.weigh(30_000)
    wait_until(lambda: events == TRUCK)
    first = indicator.occupancy
    scale.silent = True
    wait_until(lambda: events[2:] == [(Event.GONE, 30_000.0)], HOLD_S + 5)
    assert indicator.occupancy is None
    assert indicator.weight is None
    wait_until(lambda: not indicator.status().connected)
    assert "sent no weight for 3 s" in str(indicator.status().detail)
    scale.silent = False
    wait_until(lambda: events[3:] == TRUCK)
    assert first is not None
    assert indicator.occupancy == first + 1


def test_a_connection_that_blinks_keeps_the_truck(
    scale: FakeScale, indicator: Indicator, events: list[tuple[Event, float]]
) -> None:
    scale.weigh(30_000)
    wait_until(lambda: events == TRUCK)
    first = indicator.occupancy
    scale.down = True
    wait_until(lambda: not indicator.status().connected)
    assert indicator.occupancy == first, "a ticket that comes now is this truck's"
    scale.down = False
    wait_until(lambda: indicator.status().connected)
    scale.weigh(0)
    wait_until(lambda: events[2:] == [(Event.GONE, 0.0)])


def test_frames_that_cannot_be_read_are_told(scale: FakeScale, indicator: Indicator) -> None:
    scale.frame = encode(30_000, in_motion=False)[:-1]
    wait_until(lambda: "try checksum: false" in str(indicator.status().detail))
    assert not indicator.status().connected


def test_an_address_that_is_none_does_not_end_the_thread() -> None:
    indicator = Indicator(IndicatorSection(host="192.168.1..20", port=4001), lambda *_: None)
    indicator.start()
    try:
        wait_until(lambda: "is no name of a host" in str(indicator.status().detail))
        assert indicator._thread.is_alive()
    finally:
        indicator.stop()


def test_a_fault_of_who_listens_does_not_end_the_thread(scale: FakeScale) -> None:
    seen: list[Event] = []

    def listen(event: Event, _: object) -> None:
        seen.append(event)
        if len(seen) == 1:
            raise ZeroDivisionError

    indicator = Indicator(IndicatorSection(host="127.0.0.1", port=scale.port), listen)
    indicator.start()
    try:
        scale.weigh(30_000)
        wait_until(lambda: len(seen) >= 1)
        scale.weigh(0)
        wait_until(lambda: Event.GONE in seen)
    finally:
        indicator.stop()
