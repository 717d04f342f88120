"""Is there a truck on the scale, and when did its weight come to rest? Pure logic."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from edge_agent.weighbridge.toledo import Weight

HOLD_S: Final = 3.0
"""Weights may be missing for so long: no truck drives off and another one on in that time."""
SAME_KG: Final = 100.0
"""A truck's stable weight stays within this: wind, the driver, five steps of 20 kg."""


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
    """The truck is off the scale, or the scale was lost and nothing is known of the truck."""


class Occupancy:
    """Follows the trucks over the scale. Only stable, in-range weights make a truck.

    An occupancy ends when the weight falls below `arm_kg`; when, after a rest, it falls below
    `min_kg` and rises again, as when the next truck drives on behind; and when no weight came for
    HOLD_S. What is on the scale then is a new occupancy: one truck with two arrivals is a lesser
    evil than two trucks with one. A connection that is back within HOLD_S goes on with the same
    occupancy if its first stable weight lies within SAME_KG of the one at rest.

    Times are monotonic seconds.
    """

    def __init__(self, *, arm_kg: float, min_kg: float) -> None:
        """arm_kg: from here on something is on the scale; min_kg: from here on it is a truck."""
        self._arm_kg = arm_kg
        self._min_kg = min_kg
        self._seen = float("-inf")
        self._rest_kg = 0.0
        self._doubted = False
        self._since = float("inf")
        self.phase = Phase.EMPTY
        self.number = 0
        """Counts occupancies; stays the same from ARRIVING to GONE."""

    def present(self, at: float) -> int | None:
        """The number of the occupancy at that time; None if the scale is empty or lost."""
        if self.phase is Phase.EMPTY or at - self._seen > HOLD_S:
            return None
        return self.number

    def held(self, at: float, ago: float) -> int | None:
        """The number of the occupancy at that time, if it had begun so many seconds before."""
        return self.present(at) if at - ago >= self._since else None

    def see(self, weight: Weight, at: float) -> tuple[Event, ...]:
        """Takes the next weight; says what it changed."""
        events = self.miss(at)
        self._seen = at
        if not weight.in_range:
            return events
        if weight.kg < self._arm_kg:
            return events + self._end()
        if self._is_another(weight):
            events += self._end()
        if self.phase is Phase.EMPTY:
            self.phase = Phase.RISING
            self._doubted = False
            self._since = at
            self.number += 1
            events += (Event.ARRIVING,)
        if self.phase is Phase.RISING and weight.stable and weight.kg >= self._min_kg:
            self.phase = Phase.ON_SCALE
            self._rest_kg = weight.kg
            self._doubted = False
            events += (Event.AT_REST,)
        elif self.phase is Phase.ON_SCALE and weight.kg < self._min_kg:
            self.phase = Phase.LEAVING
        return events

    def interrupt(self) -> None:
        """The connection broke: the next stable weight must show that it is the same truck."""
        self._doubted = True

    def miss(self, at: float) -> tuple[Event, ...]:
        """There is no weight now; says whether the occupancy has ended by it."""
        return self._end() if at - self._seen > HOLD_S else ()

    def _is_another(self, weight: Weight) -> bool:
        if self.phase is Phase.LEAVING:
            return weight.kg >= self._min_kg
        if self.phase is Phase.ON_SCALE and self._doubted and weight.stable:
            self._doubted = False
            return weight.kg >= self._min_kg and abs(weight.kg - self._rest_kg) > SAME_KG
        return False

    def _end(self) -> tuple[Event, ...]:
        was, self.phase = self.phase, Phase.EMPTY
        return () if was is Phase.EMPTY else (Event.GONE,)
