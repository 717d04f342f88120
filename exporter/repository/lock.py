"""One command at a time in a repository: a timer renews it while people sign."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from exporter.errors import ExportError

NAME: Final = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Raises ExportError if another command is at work there, or the folder cannot be written."""
    try:
        file = (folder / NAME).open("a")
    except OSError as error:
        raise ExportError(f"{folder}: {error.strerror or error}; make it writable") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExportError(
                f"{folder}: another command is at work there; try again in a minute"
            ) from None
        yield
