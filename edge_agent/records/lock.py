"""One agent for a data folder: two would close each other's trucks."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from edge_agent.errors import RecordError


class FolderLock:
    """Held from construction to `release`, or until the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Takes the lock. Raises RecordError if another process has it or the folder cannot be
        written."""
        file = folder / "agent.lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = file.open("a", encoding="utf-8")
        except OSError as error:
            raise RecordError(
                f"data_dir {folder}: {error.strerror or error}; make it writable for the agent"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise RecordError(
                f"data_dir {folder}: another edge-agent is at work on it; stop that one first"
            ) from error

    def release(self) -> None:
        """Lets another agent have the folder."""
        self._file.close()
