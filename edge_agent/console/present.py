"""Which truck stands on the scale now, and which ones went before it. Pure logic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from edge_agent.api.schemas import ArrivalOut, State
from edge_agent.status import ScaleStatus


@dataclass(frozen=True)
class Present:
    """What the live page is about.

    truck: the truck on the scale, once it is announced; without a scale indicator the last truck.
    phase: of the scale while it knows more than the records do, i.e. while truck is None.
    previous: the last truck with an outcome, if it is not the one on the scale any more.
    earlier: all others, newest first.
    """

    truck: ArrivalOut | None
    phase: str | None
    previous: ArrivalOut | None
    earlier: tuple[ArrivalOut, ...]


def present(
    newest: Sequence[ArrivalOut], scale: ScaleStatus | None, since: datetime, earlier: int
) -> Present:
    """Tells the truck on the scale from those before it.

    newest: the last arrivals, newest first. since: when the scale was last seen empty; what was
    accepted before then has driven off. earlier: how many further trucks to keep.
    """
    truck: ArrivalOut | None
    last = newest[0] if newest else None
    if last is not None and _stands(last, scale, since):
        truck, phase = last, None
    else:
        truck, phase = None, scale.phase if scale is not None and scale.connected else None
    others = [arrival for arrival in newest if arrival is not truck]
    previous = None
    if truck is None or truck.state is State.OPEN:
        previous = next((a for a in others if a.state is not State.OPEN), None)
    rest = tuple(arrival for arrival in others if arrival is not previous)
    return Present(truck, phase, previous, rest[:earlier])


def _stands(last: ArrivalOut, scale: ScaleStatus | None, since: datetime) -> bool:
    """Whether the last arrival is to be shown as the truck on the scale."""
    if last.state is State.OPEN or scale is None or not scale.connected:
        return True
    return scale.phase in ("on_scale", "leaving") and last.accepted_at >= since


class ScaleWatch:
    """Remembers when the scale was last empty, for `present`; one a process."""

    def __init__(self, since: datetime) -> None:
        """since: when the station started. Nothing it has accepted can be older."""
        self.since = since

    def see(self, scale: ScaleStatus | None, now: datetime) -> None:
        """Takes the scale as it is now. A silent indicator says nothing."""
        if scale is not None and scale.connected and scale.phase == "empty":
            self.since = now
