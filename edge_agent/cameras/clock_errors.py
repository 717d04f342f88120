"""Telling a camera's clock error from its delay: no picture arrives before it is taken. Pure logic.

A delay is the arrival here less the capture by the camera's own clock: latency plus the error of
both clocks. Latencies of cameras at one station are alike within tenths of a second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median


def clock_errors(
    delays: Mapping[str, float], limit_s: float, *, slowest_s: float = math.inf
) -> dict[str, float]:
    """Seconds by which clocks are off, positive if ahead, for the cameras where it shows.

    delays: seconds by camera, of those that send a clock of their own. slowest_s: no latency is as
    long. It shows where a delay is negative, farther than `limit_s` from the median, or longer than
    `slowest_s`: the cameras of one recorder share its clock. An error within latency plus limit
    does not show, nor does a shorter one that half of the cameras share.
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
        elif delay > slowest_s:
            error = min(error, -delay)
        if not 0 <= delay <= slowest_s or abs(error) > limit_s:
            errors[camera] = error
    return errors
