"""One command at a time in a folder: others wait, so that no work is done twice or broken."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from training import parallel
from training.errors import BusyError

LOCK_NAME: Final = ".lock"
"""Of the file that is held. It stays, and means nothing when nobody holds it: a killed command
holds nothing."""


@contextmanager
def alone(
    folder: Path,
    say: Callable[[str], None],
    *,
    name: str = LOCK_NAME,
    deadline: float = math.inf,
) -> Iterator[None]:
    """Keeps other commands out of a folder that there is; waits, and says so, while one is in it.

    Of several processes that compute together only the main one has to hold it. name: of the file
    that is held. deadline: of time.monotonic(). Raises BusyError when the other is not done then.
    """
    if not parallel.is_main():
        yield
        return
    lock = FileLock(folder / name)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{folder}: another command is at work there; waits until that has ended")
        patience = -1 if deadline == math.inf else max(0.0, deadline - time.monotonic())
        try:
            lock.acquire(timeout=patience, poll_interval=0.5)
        except Timeout:
            raise BusyError(
                f"{folder}: another command was at work there until time was up; run this one "
                "again when that has ended"
            ) from None
    try:
        yield
    finally:
        lock.release()
