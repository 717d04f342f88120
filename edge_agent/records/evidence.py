"""Evidence images: JPEG files that are whole or not there at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.durable import sync
from edge_agent.errors import RecordError

JPEG_QUALITY: Final = 90
RESERVE_BYTES: Final = 64 << 20
"""What is left free of the data disk: pictures are not to take the room that records need."""


@dataclass(frozen=True)
class Evidence:
    """An evidence file: path relative to the evidence folder, SHA-256 of its bytes."""

    path: str
    sha256: str


class EvidenceFolder:
    """data_dir/evidence, with a folder a day (UTC) and a folder an arrival."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(
        self, arrival_id: str, instant: datetime, camera: str, bgr: npt.NDArray[np.uint8]
    ) -> Evidence:
        """Writes one frame, uint8 BGR (height, width, 3), fsynced and renamed into place.

        Raises RecordError if the disk refuses it, or would be left with less than RESERVE_BYTES.
        """
        folder = self.root / instant.strftime("%Y/%m/%d") / arrival_id
        ok, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not ok:
            raise RecordError(f"frame of {camera}: cannot be encoded as JPEG")
        data = encoded.tobytes()
        final = folder / f"{camera}.jpg"
        partial = final.with_suffix(".part")
        try:
            self._make(folder)
            if shutil.disk_usage(folder).free - len(data) < RESERVE_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(final)
            sync(folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise RecordError(
                f"evidence {final}: {error.strerror or error}; free space on the data disk"
            ) from error
        return Evidence(
            path=final.relative_to(self.root).as_posix(), sha256=hashlib.sha256(data).hexdigest()
        )

    def resolve(self, path: str) -> Path | None:
        """The file of a stored relative path; None if it is gone or lies outside the folder."""
        root = self.root.resolve()
        file = (root / path).resolve()
        return file if file.is_relative_to(root) and file.is_file() else None

    def _make(self, folder: Path) -> None:
        """Makes a folder whose name, and its parents' names, survive a power cut."""
        if not folder.is_dir():
            self._make(folder.parent)
            folder.mkdir(exist_ok=True)
            sync(folder.parent)
