"""Measuring the steps of a truck's grading."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def timed(timings: dict[str, float], step: str) -> Iterator[None]:
    """Notes how long the block took, in ms, also if it raises."""
    began = time.monotonic()
    try:
        yield
    finally:
        timings[step] = (time.monotonic() - began) * 1000
