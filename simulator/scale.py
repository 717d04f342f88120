"""A scale indicator with Toledo continuous output over TCP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

RATE_HZ = 8.0


@dataclass(frozen=True)
class Load:
    """Where a truck is on the scale: times are seconds of the same clock as `now`."""

    weight_kg: float
    arrives: float
    rests: float
    """From here on the weight is stable."""
    leaves: float
    """From here on it falls; infinity while that is not known."""


def weight_at(load: Load | None, now: float) -> tuple[float, bool]:
    """Weight in kg and whether it is in motion."""
    if load is None or now < load.arrives:
        return 0.0, False
    leave_s = 1.2
    if now >= load.leaves:
        left = max(0.0, 1 - (now - load.leaves) / leave_s)
        return load.weight_kg * left, left > 0
    if now < load.rests:
        # Axle after axle, then the springs: up fast, a little over, and back.
        done = (now - load.arrives) / max(0.1, load.rests - load.arrives)
        over = 1 + 0.03 * (1 - done) if done > 0.7 else 1.0
        return load.weight_kg * min(1.0, done / 0.7) * over, True
    return load.weight_kg, False


def encode(weight_kg: float, *, in_motion: bool, tare_kg: float = 0.0) -> bytes:
    """One frame with its checksum: whole kilograms in steps of 10, gross."""
    digits = f"{round(abs(weight_kg) / 10) * 10:06d}{round(tare_kg):06d}".encode()
    status_a = 0x20 | 0x02 | 0x08  # constant bit, no decimals, steps of one
    status_b = 0x20 | 0x10 | (0x08 if in_motion else 0) | (0x02 if weight_kg < 0 else 0)
    frame = bytes([0x02, status_a, status_b, 0x20]) + digits + b"\r"
    return frame + bytes([-sum(frame) & 0x7F])


class Scale:
    """Sends the present weight to every client, eight times a second."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self.load: Load | None = None
        self.port = 0

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listens. Raises OSError if the port is taken."""
        self._server = await asyncio.start_server(self._serve, host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Closes all connections."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        await asyncio.sleep(0)  # aborted transports close their sockets in the next turn

    async def _serve(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)
        try:
            while True:
                weight, in_motion = weight_at(self.load, self._now())
                writer.write(encode(weight, in_motion=in_motion))
                await writer.drain()
                await asyncio.sleep(1 / RATE_HZ)
        except (ConnectionError, asyncio.CancelledError):
            pass  # gone, or cancelled by stop(), which asyncio would log as an error
        finally:
            writer.transport.abort()
