"""A delivery: one zip file with a repository's metadata and the bundle that is pushed.

    metadata/timestamp.json, N.root.json, N.snapshot.json, N.targets.json
    targets/SHA256.NAME.bundle

Nothing in it is trusted. What is unpacked here is what TUF then verifies.
"""

from __future__ import annotations

import re
import shutil
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Final

from edge_agent.errors import DeliveryError
from edge_agent.inference.bundle import MAX_TOTAL_BYTES

MAX_BYTES: Final = MAX_TOTAL_BYTES + (16 << 20)
"""Of a delivery's file: one bundle and the metadata."""
_MAX_MEMBERS: Final = 96
_MAX_METADATA_BYTES: Final = 1_000_000
_MEMBER: Final = re.compile(
    r"metadata/(?:timestamp|[0-9]{1,6}\.(?:root|snapshot|targets))\.json"
    r"|targets/[0-9a-f]{64}\.[A-Za-z0-9._+-]{1,100}\.bundle"
)
_CHUNK: Final = 1 << 20
_LEFT_FREE: Final = 512 << 20

_BROKEN: Final = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    struct.error,
)


def unpack(file: Path, folder: Path) -> None:
    """Unpacks a delivery into a folder, which is made anew.

    Raises DeliveryError for what is no delivery: a broken zip file, members that a repository does
    not have (such as paths that lead elsewhere), more or larger ones than it can have.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            if len(infos) > _MAX_MEMBERS:
                raise DeliveryError(
                    f"delivery: has {len(infos)} members, at most {_MAX_MEMBERS} are taken; make "
                    "it with cane-export push"
                )
            for info in infos:
                _require_known(info.filename)
            bundles = [info for info in infos if info.filename.startswith("targets/")]
            if len(bundles) > 1:
                raise DeliveryError("delivery: has more than one bundle; push one at a time")
            require_room(folder.parent, sum(info.file_size for info in infos), "delivery")
            for info in infos:
                _extract(archive, info, folder)
    except _BROKEN as error:
        raise DeliveryError(
            f"delivery: is no readable zip file ({error}); make it with cane-export push"
        ) from error
    except OSError as error:
        raise DeliveryError(
            f"delivery: cannot be unpacked ({error.strerror or error}); make room on the data disk"
        ) from error


def _require_known(name: str) -> None:
    if not _MEMBER.fullmatch(name):
        raise DeliveryError(
            f"delivery: has a member {name[:100]!r}, which no repository has; make it with "
            "cane-export push"
        )


def require_room(folder: Path, size: int, what: str) -> None:
    """Raises DeliveryError where what comes in would take the room that trucks need."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free - size < _LEFT_FREE:
        raise DeliveryError(
            f"{what}: {size >> 20} MiB, but only {free >> 20} MiB are free on the data disk; "
            "make room there"
        )


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> None:
    name = info.filename
    limit = _MAX_METADATA_BYTES if name.startswith("metadata/") else MAX_TOTAL_BYTES
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        raise DeliveryError(f"delivery: has {name} twice; make it with cane-export push")
    written = 0
    # What the directory says of sizes is not believed: bytes are counted as they come.
    with archive.open(info) as member, path.open("xb") as out:
        while chunk := member.read(_CHUNK):
            written += len(chunk)
            if written > limit:
                raise DeliveryError(f"delivery: {name} is larger than {limit} bytes")
            out.write(chunk)
