"""Mettler-Toledo continuous output: a byte stream of weights. Pure logic.

A frame is STX, three status words, six digits of indicated weight, six digits of tare, CR and,
where the indicator is set so, a checksum: the two's complement of the sum of all bytes before it,
low seven bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

STX: Final = 0x02
CR: Final = 0x0D
_LENGTH: Final = 17
# Status word A, bits 0-2: 0 is x100, 1 is x10, 2 is x1, 3 is x0.1 and so on.
_DECIMAL_BASE: Final = 2
_POUND_KG: Final = 0.45359237


@dataclass(frozen=True)
class Weight:
    """One weight from the indicator, in kg.

    stable: not in motion. in_range: neither overload nor underload. net: tare is taken off.
    """

    kg: float
    tare_kg: float
    stable: bool
    in_range: bool
    net: bool


def _number(digits: bytes) -> int:
    """Six digits; leading zeros may be sent as spaces. Raises ValueError for anything else."""
    text = digits.decode("ascii").lstrip(" ")
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"not a weight: {digits!r}")
    return int(text)


def parse_frame(frame: bytes) -> Weight:
    """Reads STX to CR (17 bytes). Raises ValueError if it is not a frame."""
    if len(frame) != _LENGTH or frame[0] != STX or frame[-1] != CR:
        raise ValueError("not a Toledo continuous frame")
    # Parity may stand in bit 7; bit 5 of a status word is always set.
    a, b, _ = (byte & 0x7F for byte in frame[1:4])
    if not a & 0x20 or not b & 0x20:
        raise ValueError("status words without their constant bit")
    scale = 10.0 ** (_DECIMAL_BASE - (a & 0x07))
    unit = 1.0 if b & 0x10 else _POUND_KG
    sign = -1.0 if b & 0x02 else 1.0
    digits = bytes(byte & 0x7F for byte in frame[4:16])
    return Weight(
        kg=sign * _number(digits[:6]) * scale * unit,
        tare_kg=_number(digits[6:]) * scale * unit,
        stable=not b & 0x08,
        in_range=not b & 0x04,
        net=bool(b & 0x01),
    )


def checksum(frame: bytes) -> int:
    """The checksum that follows a frame (STX to CR)."""
    return -sum(frame) & 0x7F


class ToledoParser:
    """Cuts a byte stream into weights; whatever is broken is skipped and counted."""

    def __init__(self, *, with_checksum: bool) -> None:
        self._with_checksum = with_checksum
        self._buffer = bytearray()
        self.broken = 0
        """Unreadable frames since the last readable one."""
        self._mismatches = 0

    def trouble(self) -> str | None:
        """What is wrong with what came since the last readable frame, and what to do; or None."""
        if self._mismatches:
            return f"sent {self._mismatches} unreadable frames; try checksum: false"
        if self.broken:
            return f"sent {self.broken} unreadable frames; set it to Toledo continuous output"
        return None

    def feed(self, data: bytes) -> Iterator[Weight]:
        """Takes the next bytes, any number of them; yields the weights they complete."""
        self._buffer += data
        need = _LENGTH + self._with_checksum
        while True:
            start = self._buffer.find(STX)
            if start < 0:
                self._buffer.clear()
                return
            del self._buffer[:start]
            if len(self._buffer) < need:
                return
            weight = self._take(bytes(self._buffer[:need]))
            if weight is None:
                self.broken += 1
                # Look for the next start inside what seemed a frame: nothing whole is lost.
                del self._buffer[:1]
            else:
                del self._buffer[:need]
                self.broken = self._mismatches = 0
                yield weight

    def _take(self, data: bytes) -> Weight | None:
        frame = data[:_LENGTH]
        try:
            weight = parse_frame(frame)
        except ValueError:
            return None
        if self._with_checksum and data[_LENGTH] & 0x7F != checksum(frame):
            self._mismatches += 1
            return None
        return weight
