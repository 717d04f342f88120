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
from edge_agent.weighbridge.occupancy import Event, Occupancy
from edge_agent.weighbridge.toledo import ToledoParser, Weight

log = logging.getLogger(__name__)

_SILENCE_S: Final = 3.0
"""An indicator in continuous mode sends several weights a second: silence means it is gone."""
_RETRY_S: Final = 2.0


class Indicator:
    """Reads weights and calls back on events, from its own thread."""

    def __init__(self, config: IndicatorSection, on_event: Callable[[Event, Weight], None]) -> None:
        self._config = config
        self._on_event = on_event
        self._stop = threading.Event()
        self._occupancy = Occupancy(arm_kg=config.arm_weight_kg, min_kg=config.min_weight_kg)
        self._weight: Weight | None = None
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
        if not self._connected or self._occupancy.phase == "empty":
            return None
        return self._occupancy.number

    @property
    def weight(self) -> Weight | None:
        """The last weight, while connected."""
        return self._weight if self._connected else None

    def status(self) -> ScaleStatus:
        """How the indicator is now."""
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
                with socket.create_connection(address, timeout=_SILENCE_S) as connection:
                    log.info("scale indicator %s:%d connected", *address)
                    self._read(connection)
                fault = "closed the connection"
            except TimeoutError:
                fault = f"sent no weight for {_SILENCE_S:.0f} s"
            except OSError as error:
                fault = error.strerror or type(error).__name__
            if self._stop.is_set():
                return
            self._connected = False
            detail = f"{address[0]}:{address[1]} {fault}; check cable and weighbridge.indicator"
            if detail != self._detail:
                log.warning("scale indicator %s", detail)
            self._detail = detail
            self._stop.wait(_RETRY_S)

    def _read(self, connection: socket.socket) -> None:
        parser = ToledoParser(with_checksum=self._config.checksum)
        last = time.monotonic()
        while not self._stop.is_set():
            data = connection.recv(4096)
            if not data:
                return
            for weight in parser.feed(data):
                last = time.monotonic()
                self._weight, self._connected, self._detail = weight, True, None
                event = self._occupancy.see(weight)
                if event is not None:
                    self._on_event(event, weight)
            if time.monotonic() - last > _SILENCE_S:
                raise TimeoutError
