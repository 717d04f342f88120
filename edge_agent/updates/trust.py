"""What this station trusts: TUF's client on the station's own copy of the metadata.

The one verification of both transports. Trust begins with root.json, which IT has put on the
station; from there python-tuf's client follows the specification's workflow (TUF 1.0.34 section 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    SlowRetrievalError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.ngclient import Updater, UpdaterConfig

from edge_agent.durable import sync
from edge_agent.errors import DeliveryError, TrustError, UpdateError
from edge_agent.inference.bundle import MAX_TOTAL_BYTES
from edge_agent.updates.sources import Source

_CONFIG: Final = UpdaterConfig(
    # Some hundred bundles, not the public index of a language.
    max_root_rotations=64,
    snapshot_max_length=200_000,
    targets_max_length=1_000_000,
)


_REFRESHED: Final = "refreshed"
"""An empty file whose time says when the last refresh went through."""


@dataclass(frozen=True)
class Listed:
    """A bundle that the targets role has signed for.

    target: its path in the repository. digest: SHA-256 of the file, which is the bundle's digest.
    added_at: when it was added, ISO 8601 in UTC; empty where the repository does not say.
    """

    target: str
    digest: str
    size_bytes: int
    added_at: str = ""


@dataclass(frozen=True)
class Listing:
    """All bundles signed for, from one complete refresh.

    expires_at: when the first of the four roles expires; until then it is fresh.
    """

    models: tuple[Listed, ...]
    expires_at: datetime

    def of(self, digest: str) -> Listed | None:
        """The entry of that bundle, None if it is not signed for."""
        return next((model for model in self.models if model.digest == digest), None)


class Trust:
    """One refresh after the other, each beginning with what the last one left. For one thread."""

    def __init__(self, root: Path, folder: Path) -> None:
        """root: the root.json that IT put here. folder: the station's copy of the metadata.

        Raises TrustError if root.json cannot be read or is not self-signed metadata.
        """
        self._folder = folder
        try:
            self._root = root.read_bytes()
            metadata = Metadata[Root].from_bytes(self._root)
            metadata.signed.verify_delegate(Root.type, metadata.signed_bytes, metadata.signatures)
        except OSError as error:
            raise TrustError(
                f"model.updates.root {root}: {error.strerror or error}; put the repository's "
                "metadata/1.root.json there"
            ) from error
        except (RepositoryError, DeserializationError, ValueError) as error:
            raise TrustError(
                f"model.updates.root {root}: is no signed root metadata ({_line(error)}); put the "
                "repository's metadata/1.root.json there"
            ) from error

    def refresh(self, source: Source) -> Opened:
        """Takes the newest metadata of a source, verified.

        Raises TrustError if it cannot be verified, DeliveryError if it cannot be had. The list of
        targets, which comes last, is then still that of the last whole refresh.
        """
        with _told(source):
            self._folder.mkdir(parents=True, exist_ok=True)
            updater = Updater(
                str(self._folder),
                f"{source.base}metadata/",
                target_base_url=f"{source.base}targets/",
                fetcher=source,
                config=_CONFIG,
                bootstrap=self._root,
            )
            updater.refresh()
            listing = self._listing()
            # python-tuf renames its files without it; a power cut could bring back older ones,
            # and with them the replay of what they allowed.
            (self._folder / _REFRESHED).touch()
            roots = self._folder / "root_history"
            for file in (*self._folder.glob("*.json"), *roots.iterdir(), roots, self._folder):
                sync(file)
        return Opened(source, updater, listing)

    def kept(self) -> Listing | None:
        """What the last whole refresh said, to be shown; None if there has been none."""
        try:
            return self._listing()
        except (OSError, TrustError, RepositoryError, DeserializationError, ValueError, KeyError):
            return None

    @property
    def refreshed_at(self) -> datetime | None:
        """When the last whole refresh was; None if there has been none."""
        try:
            return datetime.fromtimestamp((self._folder / _REFRESHED).stat().st_mtime, UTC)
        except OSError:
            return None

    def _listing(self) -> Listing:
        """Reads the copy that a refresh has verified and written."""
        root = Metadata[Root].from_bytes(self._read("root")).signed
        timestamp = Metadata[Timestamp].from_bytes(self._read("timestamp")).signed
        snapshot = Metadata[Snapshot].from_bytes(self._read("snapshot")).signed
        targets = Metadata[Targets].from_bytes(self._read("targets")).signed
        if targets.delegations is not None:
            raise TrustError("the repository delegates targets, which a station does not follow")
        return Listing(
            models=tuple(
                Listed(path, file.hashes["sha256"], file.length, _added_at(file))
                for path, file in sorted(targets.targets.items())
                if path.endswith(".bundle") and "sha256" in file.hashes
            ),
            expires_at=min(_utc(part.expires) for part in (root, timestamp, snapshot, targets)),
        )

    def _read(self, role: str) -> bytes:
        return (self._folder / f"{role}.json").read_bytes()


@dataclass(frozen=True)
class Opened:
    """A source whose metadata has been verified."""

    source: Source
    updater: Updater
    listing: Listing

    def fetch(self, model: Listed, path: Path) -> None:
        """Writes the bundle to that path, verified by length and hash, and fsyncs it.

        Raises TrustError or DeliveryError; then there is no file at that path.
        """
        if model.size_bytes > MAX_TOTAL_BYTES:
            raise DeliveryError(
                f"{model.target}: {model.size_bytes} bytes, a bundle has at most {MAX_TOTAL_BYTES}"
            )
        try:
            with _told(self.source):
                info = self.updater.get_targetinfo(model.target)
                if info is None:
                    raise TrustError(f"{model.target}: is not signed for; publish it first")
                self.updater.download_target(_only_sha256(info), str(path))
                sync(path)
        except UpdateError:
            path.unlink(missing_ok=True)
            raise


def _only_sha256(info: TargetFile) -> TargetFile:
    """The same target with SHA-256 alone, which is what its file in the repository is named by."""
    return TargetFile(info.length, {"sha256": info.hashes["sha256"]}, info.path)


@contextmanager
def _told(source: Source) -> Iterator[None]:
    """Turns python-tuf's errors into one line that says what is wrong and what to do."""
    where = source.name
    try:
        yield
    except ExpiredMetadataError as error:
        raise TrustError(
            f"{where}: its metadata has expired ({_line(error)}); publish it again with "
            "cane-export repo publish, and check this PC's clock"
        ) from error
    except UnsignedMetadataError as error:
        raise TrustError(
            f"{where}: not signed by enough of the keys this station trusts ({_line(error)}); "
            "take it from your own repository, and sign with the keys of its root"
        ) from error
    except BadVersionNumberError as error:
        raise TrustError(
            f"{where}: older than what this station has seen, or versions that do not belong "
            f"together ({_line(error)}); take the newest state of the repository"
        ) from error
    except (LengthOrHashMismatchError, DownloadLengthMismatchError) as error:
        raise TrustError(
            f"{where}: a file is not the one that was signed for ({_line(error)}); copy it again"
        ) from error
    except SlowRetrievalError as error:
        raise DeliveryError(f"{where}: {_line(error)}; check the network") from error
    except DownloadHTTPError as error:
        raise DeliveryError(
            f"{where}: {_line(error)}; check the address and that it is published"
        ) from error
    except DownloadError as error:
        raise DeliveryError(
            f"{where}: {_line(error)}; check the address and the network"
        ) from error
    except (RepositoryError, DeserializationError, ValueError, KeyError) as error:
        raise TrustError(f"{where}: its metadata is broken ({_line(error)})") from error
    except OSError as error:
        raise DeliveryError(f"{where}: {_line(error)}; check the data disk") from error


def _added_at(file: TargetFile) -> str:
    custom = file.custom
    return str(custom.get("added_at", "")) if isinstance(custom, dict) else ""


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
