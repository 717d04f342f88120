"""Is there a truck on the scale, and when did its weight come to rest? Pure logic."""

from __future__ import annotations

from enum import StrEnum

from edge_agent.weighbridge.toledo import Weight


class Phase(StrEnum):
    """Where a truck is."""

    EMPTY = "empty"
    RISING = "rising"
    ON_SCALE = "on_scale"
    LEAVING = "leaving"


class Event(StrEnum):
    """What a weight changed."""

    ARRIVING = "arriving"
    """Something drives onto the scale: arm the cameras."""
    AT_REST = "at_rest"
    """The truck's weight is stable; comes once for each truck."""
    GONE = "gone"
    """The scale is empty again."""


class Occupancy:
    """Follows the trucks over the scale. Only stable, in-range weights make a truck."""

    def __init__(self, *, arm_kg: float, min_kg: float) -> None:
        """arm_kg: from here on something is on the scale; min_kg: from here on it is a truck."""
        self._arm_kg = arm_kg
        self._min_kg = min_kg
        self.phase = Phase.EMPTY
        self.number = 0
        """Counts occupancies; stays the same from ARRIVING to GONE."""

    def see(self, weight: Weight) -> Event | None:
        """Takes the next weight; says what it changed."""
        if weight.in_range and weight.kg < self._arm_kg:
            was, self.phase = self.phase, Phase.EMPTY
            return None if was is Phase.EMPTY else Event.GONE
        if self.phase is Phase.EMPTY:
            if not weight.in_range:
                return None
            self.phase = Phase.RISING
            self.number += 1
            return Event.ARRIVING
        if self.phase is Phase.RISING and weight.stable and weight.in_range:
            if weight.kg >= self._min_kg:
                self.phase = Phase.ON_SCALE
                return Event.AT_REST
        elif self.phase is Phase.ON_SCALE and weight.in_range and weight.kg < self._min_kg:
            self.phase = Phase.LEAVING
        return None
