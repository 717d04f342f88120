"""Silence for warnings of a library that several threads use at once."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from threading import Lock
from types import TracebackType


class Quiet(AbstractContextManager[None]):
    """Python's warnings are ignored while any thread is within.

    `warnings.catch_warnings` changes what all threads see: of two threads that leave in the order
    they came, the second would put back the first one's filters for good. So the first one in
    sets them and the last one out puts them back.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._before = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = warnings.catch_warnings()
                self._before.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._before.__exit__(None, None, None)
