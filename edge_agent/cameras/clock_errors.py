"""Telling a camera's clock error from its delay: no picture arrives before it is taken. Pure logic.

A delay is the arrival here less the capture by the camera's own clock: latency plus the error of
both clocks. Latencies of cameras at one station are alike within tenths of a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median


def clock_errors(delays: Mapping[str, float], limit_s: float) -> dict[str, float]:
    """Seconds by which clocks are off, positive if ahead, for the cameras where it shows.

    delays: seconds by camera, of those that send a clock of their own. It shows where a delay is
    negative, or farther than `limit_s` from the median. An error within latency plus limit does
    not show, nor does one that half of the cameras share.
    """
    if not delays:
        return {}
    middle = median(delays.values())
    errors = {}
    for camera, delay in delays.items():
        error = middle - delay
        if delay < 0:
            # All delays are alike if it is the clock of this PC that is behind.
            error = max(error, -delay)
        if delay < 0 or abs(error) > limit_s:
            errors[camera] = error
    return errors
