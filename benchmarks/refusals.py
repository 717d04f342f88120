"""Faults of what a benchmark was given, in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from training.errors import TrainingError


@contextmanager
def in_one_line() -> Iterator[None]:
    """Ends the program with the error's text and exit code 1, without a traceback."""
    try:
        yield
    except TrainingError as error:
        raise SystemExit(str(error)) from error
