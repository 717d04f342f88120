"""The bundles on the station's disk: data_dir/models, a file a digest, each whole or not there."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection
from pathlib import Path

from edge_agent.durable import sync
from edge_agent.errors import UpdateError


class Depot:
    """The folder of bundles. Names are digests, so that a file says what must be in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.incoming = folder / "incoming"
        self._uploads = folder / "uploads"

    def clear(self) -> None:
        """Removes what a crash has left half-way. Raises UpdateError if the disk refuses."""
        shutil.rmtree(self._uploads, ignore_errors=True)
        self.clear_incoming()

    def clear_incoming(self) -> Path:
        """The folder for what is being taken in, emptied. Raises UpdateError if the disk
        refuses."""
        shutil.rmtree(self.incoming, ignore_errors=True)
        return _made(self.incoming)

    def uploads(self) -> Path:
        """The folder for deliveries on their way in. Raises UpdateError if the disk refuses."""
        return _made(self._uploads)

    def path(self, digest: str) -> Path:
        """Where that bundle lies, if it does."""
        return self.folder / f"{digest}.bundle"

    def holds(self, digest: str) -> bool:
        """Whether that bundle lies there, and is still the one that its name says."""
        try:
            with self.path(digest).open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest() == digest
        except OSError:
            return False

    def take(self, file: Path, digest: str) -> None:
        """Moves a verified and fsynced file in. Raises UpdateError if the disk refuses."""
        try:
            file.replace(self.path(digest))
            sync(self.folder)
        except OSError as error:
            raise UpdateError(
                f"{self.path(digest)}: {error.strerror or error}; make room on the data disk"
            ) from error

    def keep_only(self, digests: Collection[str]) -> None:
        """Removes all other bundles."""
        for file in self.folder.glob("*.bundle"):
            if file.stem not in digests:
                file.unlink(missing_ok=True)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UpdateError(
            f"{folder}: {error.strerror or error}; make it writable for the agent"
        ) from error
    return folder
