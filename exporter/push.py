"""Carrying a signed bundle to a station: as a delivery over HTTP, or as a file for a stick."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from tuf.api.metadata import TargetFile

from edge_agent.config import Intent
from exporter.errors import ExportError
from exporter.repository.store import ModelRepository, version_of
from training.digest import sha256
from training.outputs import whole

PASSWORD_ENV: Final = "CANEGRADE_PASSWORD"  # noqa: S105 - a variable's name
ADDRESS: Final = "/api/v1/models/deliveries"
_CHUNK: Final = 256 * 1024
TRIAL_S: Final = 600.0
"""A station may take minutes to try a bundle before it answers."""
LIST_S: Final = 60.0
"""A list alone needs no trial."""


@dataclass(frozen=True)
class Credentials:
    """The user of a station who pushes."""

    user: str
    password: str


def credentials(user: str | None) -> Credentials | None:
    """That user with the password from the environment; None without a user.

    Raises ExportError if there is no password.
    """
    if user is None:
        return None
    password = os.environ.get(PASSWORD_ENV)
    if not password:
        raise ExportError(f"--user {user}: set {PASSWORD_ENV} to the password")
    return Credentials(user, password)


@dataclass(frozen=True)
class Pushed:
    """What a station answered. accepted: it passed the gate. role: what it does there now."""

    accepted: bool
    role: str | None
    detail: str
    digest: str | None = None
    """None where the delivery had no bundle."""

    @property
    def outcome(self) -> str:
        """In one line."""
        if self.digest is None:
            return self.detail
        return f"{self.role or 'ready'}: {self.detail}"


def find_listed(repository: ModelRepository, bundle: str) -> TargetFile:
    """A published bundle. bundle: a file, which must be the one that was signed for, or
    NAME-VERSION.bundle.

    Raises ExportError if it is not published.
    """
    listed = repository.listed()
    path = Path(bundle)
    if path.is_file():
        digest = sha256(path)
        found = next((i for i in listed.values() if i.hashes["sha256"] == digest), None)
    else:
        found = listed.get(bundle)
    if found is None:
        known = ", ".join(sorted(listed)) or "nothing"
        raise ExportError(
            f"{bundle}: is not published in {repository.folder}; add, sign and publish it first, "
            f"under a version of its own (published: {known})"
        )
    return found


def deliver(repository: ModelRepository, bundle: TargetFile | None, out: Path) -> None:
    """Writes a delivery: the signed list, and a bundle with it unless None.

    Raises ExportError if nothing is published, or the file cannot be written.
    """
    if not (repository.metadata / "timestamp.json").exists():
        raise ExportError(f"{repository.folder}: nothing is published yet; publish it first")
    names = ["metadata/timestamp.json"]
    if bundle is not None:
        file = repository.file_of(bundle)
        if not file.is_file():
            raise ExportError(f"{file}: is not there; copy the bundle back, or add it again")
        names.append(f"targets/{file.name}")
    roots = [file for file in repository.metadata.iterdir() if version_of(file, "root") is not None]
    names += [f"metadata/{file.name}" for file in roots]
    snapshot = repository.timestamp().snapshot_meta.version
    targets = repository.snapshot().meta["targets.json"].version
    names += [f"metadata/{snapshot}.snapshot.json", f"metadata/{targets}.targets.json"]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # Bundles are compressed already.
        with whole(out) as new, zipfile.ZipFile(new, "w", zipfile.ZIP_STORED) as archive:
            for name in names:
                archive.write(repository.folder / name, name)
    except OSError as error:
        raise ExportError(f"{out}: {error.strerror or error}; choose another place") from error


def push(
    delivery: Path,
    station: str,
    credentials: Credentials | None,
    intent: Intent | None,
    *,
    progress: Callable[[int], None] = lambda _: None,
    patience_s: float = TRIAL_S,
) -> Pushed:
    """Sends a delivery and waits until the station has tried it.

    intent: what the model is to do, None for what the station does with new ones. progress: told
    of bytes sent. patience_s: with the station's answer. Raises ExportError if the station cannot
    be reached or refuses the delivery.
    """
    address = station.rstrip("/") + ADDRESS
    try:
        answer = httpx.post(
            address,
            params={"as": intent} if intent else {},
            content=_chunks(delivery, progress),
            headers={
                "Content-Type": "application/zip",
                "Content-Length": str(delivery.stat().st_size),
            },
            auth=(credentials.user, credentials.password) if credentials else None,
            timeout=httpx.Timeout(patience_s, connect=10.0),
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ExportError(
            f"{station}: cannot be reached ({error}); check the address and the network"
        ) from error
    body = _json(answer)
    if answer.is_success:
        if "accepted" not in body:
            raise ExportError(f"{station}: answers, but not as a station does; check the address")
        return Pushed(
            bool(body.get("accepted")),
            body.get("role"),
            str(body.get("detail")),
            body.get("digest"),
        )
    told = body.get("error")  # of a proxy it may be anything
    fault = told.get("message") if isinstance(told, dict) else None
    raise ExportError(f"{station}: {fault or f'answered {answer.status_code}'}")


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _chunks(file: Path, progress: Callable[[int], None]) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk
            progress(len(chunk))
