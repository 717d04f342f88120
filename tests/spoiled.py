"""Damage to coded video, as a bad cable or an overloaded recorder does it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from simulator.video import AccessUnit, Codec, is_parameter_set


def spoil(
    units: Sequence[AccessUnit], codec: Codec, positions: Collection[int], kept: float
) -> tuple[AccessUnit, ...]:
    """Cuts the slices of the pictures at `positions`: only the share `kept` of each is left."""

    def cut(nal: bytes) -> bytes:
        return nal if is_parameter_set(nal, codec) else nal[: int(len(nal) * kept)]

    return tuple(
        replace(unit, nals=tuple(map(cut, unit.nals))) if n in positions else unit
        for n, unit in enumerate(units)
    )
