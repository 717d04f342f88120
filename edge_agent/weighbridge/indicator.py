"""The TCP client of a scale indicator: a thread that never gives up."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

from edge_agent.config import IndicatorSection
from edge_agent.status import ScaleStatus
from edge_agent.weighbridge.occupancy import HOLD_S, Event, Occupancy
from edge_agent.weighbridge.toledo import ToledoParser, Weight

log = logging.getLogger(__name__)

_CONNECT_S: Final = 3.0
_RETRY_S: Final = 1.0
"""So soon that a connection that only blinked is back before the occupancy ends."""
_POLL_S: Final = 0.5
_CURE: Final = "; check cable and weighbridge.indicator"


class Indicator:
    """Reads weights and calls back on events, from its own thread.

    An indicator in continuous mode sends several weights a second: after HOLD_S without one it
    counts as lost, the truck on it as GONE, and it is connected to anew.
    """

    def __init__(self, config: IndicatorSection, on_event: Callable[[Event, Weight], None]) -> None:
        self._config = config
        self._on_event = on_event
        self._stop = threading.Event()
        self._occupancy = Occupancy(arm_kg=config.arm_weight_kg, min_kg=config.min_weight_kg)
        self._weight: Weight | None = None
        self._weighed_at = float("-inf")
        self._connected = False
        self._detail: str | None = "not connected yet"
        self._thread = threading.Thread(target=self._run, name="indicator", daemon=True)

    def start(self) -> None:
        """Starts connecting."""
        self._thread.start()

    def stop(self) -> None:
        """Stops reading."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    @property
    def occupancy(self) -> int | None:
        """The number of the present occupancy; None while the scale is empty or unknown."""
        return self._occupancy.present(time.monotonic())

    def occupancy_of(self, ago_s: float) -> int | None:
        """The number of the present occupancy, if it was the present one so many seconds ago."""
        return self._occupancy.held(time.monotonic(), ago_s)

    @property
    def weight(self) -> Weight | None:
        """The last weight; None once it is older than HOLD_S."""
        return self._weight if time.monotonic() - self._weighed_at <= HOLD_S else None

    def status(self) -> ScaleStatus:
        """How the indicator is now. `detail` says why it is not connected."""
        weight = self.weight
        return ScaleStatus(
            connected=self._connected,
            phase=self._occupancy.phase.value,
            weight_kg=weight.kg if weight else None,
            stable=weight.stable if weight else False,
            detail=self._detail,
        )

    def _run(self) -> None:
        address = (self._config.host, self._config.port)
        while not self._stop.is_set():
            try:
                with socket.create_connection(address, timeout=_CONNECT_S) as connection:
                    log.info("scale indicator %s:%d connected", *address)
                    fault = self._read(connection)
            except TimeoutError:
                fault = f"does not answer{_CURE}"
            except OSError as error:
                fault = f"{error.strerror or type(error).__name__}{_CURE}"
            except UnicodeError:
                fault = f"is no name of a host{_CURE}"
            except Exception as error:
                # Whatever it was, the thread goes on: without it no truck is seen any more.
                log.exception("scale indicator %s:%d failed", *address)
                fault = f"failed inside ({type(error).__name__}); see the log"
            if self._stop.is_set():
                return
            self._occupancy.interrupt()
            self._connected = False
            detail = f"{address[0]}:{address[1]} {fault}"
            if detail != self._detail:
                log.warning("scale indicator %s", detail)
            self._detail = detail
            self._pause()

    def _pause(self) -> None:
        until = time.monotonic() + _RETRY_S
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            self._miss()
            self._stop.wait(min(left, _POLL_S))

    def _miss(self) -> None:
        if self._weight is not None:
            for event in self._occupancy.miss(time.monotonic()):
                self._on_event(event, self._weight)

    def _read(self, connection: socket.socket) -> str:
        """Reads until the connection ends; returns why it did. Raises OSError if it breaks."""
        connection.settimeout(_POLL_S)
        parser = ToledoParser(with_checksum=self._config.checksum)
        last = time.monotonic()
        while not self._stop.is_set():
            try:
                data = connection.recv(4096)
            except TimeoutError:
                weights: list[Weight] = []
            else:
                if not data:
                    return f"closed the connection{_CURE}"
                weights = list(parser.feed(data))
            for weight in weights:
                last = time.monotonic()
                self._weight, self._weighed_at = weight, last
                self._connected, self._detail = True, None
                for event in self._occupancy.see(weight, last):
                    self._on_event(event, weight)
            self._miss()
            if time.monotonic() - last > HOLD_S:
                return parser.trouble() or f"sent no weight for {HOLD_S:.0f} s{_CURE}"
        return "stopped"
