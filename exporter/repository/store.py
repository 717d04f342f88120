"""The repository's folder, and how its metadata changes.

    metadata/   what is published: N.root.json, N.targets.json, N.snapshot.json, timestamp.json
    targets/    SHA256.NAME.bundle
    pending/    root.json and targets.json that still lack signatures; never served

Root and targets are signed offline by several people: a change is written to pending/, each holder
of a key signs it there (`repo sign`), and `publish` moves it to metadata/ once its threshold is
met, with a new snapshot and timestamp signed by the online key. Built on python-tuf's Repository.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError
from tuf.api.serialization.json import JSONSerializer
from tuf.repository import Repository

from exporter.errors import ExportError
from exporter.repository import changes, form
from exporter.repository.lock import locked
from training.outputs import whole

OFFLINE: Final = (Root.type, Targets.type)
ONLINE: Final = (Snapshot.type, Timestamp.type)

EXPIRES_DAYS: Final[Mapping[str, int]] = {
    Root.type: 730,
    Targets.type: 400,  # longer than from one season to the next
    Snapshot.type: 30,
    Timestamp.type: 30,
}
_KINDS: Final[dict[str, type[Any]]] = {
    kind.type: kind for kind in (Root, Targets, Snapshot, Timestamp)
}
_PRETTY: Final = JSONSerializer(compact=False)


@dataclass(frozen=True)
class Missing:
    """A pending change that is not signed by enough of its keys.

    For root, the threshold of the root before it counts too (TUF 1.0.34 section 5.3.4).
    """

    role: str
    version: int
    signed_by: tuple[str, ...]
    threshold: int


class ModelRepository(Repository):
    """One repository's folder. Everything raises ExportError for what cannot be done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metadata = folder / "metadata"
        self.targets_folder = folder / "targets"
        self.pending = folder / "pending"
        self._signers: dict[str, CryptoSigner] = {}
        self._days = dict(EXPIRES_DAYS)

    @classmethod
    def at(cls, folder: Path) -> ModelRepository:
        """The repository that is there."""
        found = cls(folder)
        found._require_there()
        found._require_signed()
        return found

    @classmethod
    @contextmanager
    def locked(cls, folder: Path) -> Iterator[ModelRepository]:
        """The repository that is there, and no other command at work in it."""
        found = cls(folder)
        # Looked for first: whatever else lies there gets no lock.
        found._require_there()
        with locked(folder):
            found._require_signed()
            yield found

    @classmethod
    def init(
        cls,
        folder: Path,
        root_keys: Sequence[SSlibKey],
        root_threshold: int,
        targets_keys: Sequence[SSlibKey],
        targets_threshold: int,
        online_key: SSlibKey,
        signers: Iterable[CryptoSigner] = (),
    ) -> ModelRepository:
        """Begins a repository: the first root and an empty list of targets, pending signatures but
        for those of the signers."""
        if folder.exists() and any(folder.iterdir()):
            raise ExportError(f"{folder}: is not empty; give a new folder")
        for role, keys, threshold in (
            (Root.type, root_keys, root_threshold),
            (Targets.type, targets_keys, targets_threshold),
        ):
            _require_keys(role, [key.keyid for key in keys], threshold)
        _require_apart([online_key.keyid], [key.keyid for key in (*root_keys, *targets_keys)])
        repository = cls(folder)
        repository.use(signers)
        for path in (repository.metadata, repository.targets_folder, repository.pending):
            path.mkdir(parents=True)
        with repository.edit_root() as root:
            root.consistent_snapshot = True
            for role, keys, threshold in (
                (Root.type, root_keys, root_threshold),
                (Targets.type, targets_keys, targets_threshold),
                *((online, (online_key,), 1) for online in ONLINE),
            ):
                for key in keys:
                    root.add_key(key, role)
                root.roles[role].threshold = threshold
        with repository.edit_targets():
            pass
        return repository

    # ---- python-tuf's Repository

    def open(self, role: str) -> Metadata[Any]:
        """The newest metadata of a role, pending before published; a first one if there is none."""
        path = self._pending(role) if self._pending(role).exists() else self._published(role)
        if path is not None:
            return self._read(path)
        first = Metadata(_KINDS[role]())
        first.signed.version = 0  # the edit that follows makes it 1
        return first

    def close(self, role: str, md: Metadata[Any]) -> None:
        """Stores an edit: with one more version, a new expiry and the signatures at hand."""
        if role in OFFLINE:
            published = self._published_version(role)
            # A change to what is still pending replaces it: it has not been seen by anybody.
            md.signed.version = published + 1
        else:
            md.signed.version += 1
        md.signed.expires = _now() + timedelta(days=self._days[role])
        md.signatures.clear()
        self._sign(role, md)
        if role in OFFLINE:
            self._write(self._pending(role), md)
        elif role == Timestamp.type:
            self._write(self.metadata / "timestamp.json", md)
        else:
            self._write(self.metadata / f"{md.signed.version}.{role}.json", md)

    @property
    def targets_infos(self) -> dict[str, MetaFile]:
        """Version of the published targets metadata."""
        return {"targets.json": MetaFile(self._published_version(Targets.type))}

    @property
    def snapshot_info(self) -> MetaFile:
        """Version, length and hash of the published snapshot metadata."""
        path = self._published(Snapshot.type)
        if path is None:
            return MetaFile(1)
        data = path.read_bytes()
        version = self._published_version(Snapshot.type)
        return MetaFile(version, len(data), {"sha256": hashlib.sha256(data).hexdigest()})

    # ---- what people do

    def use(self, signers: Iterable[CryptoSigner]) -> None:
        """Signs with these keys from now on, wherever they belong to a role."""
        self._signers |= {signer.public_key.keyid: signer for signer in signers}

    def add(self, bundle: Path, target: str, custom: Mapping[str, Any]) -> TargetFile:
        """Copies a bundle in and lists it, pending signatures. target: NAME-VERSION.bundle."""
        info = TargetFile.from_file(target, str(bundle), ["sha256"])
        before = self._known(target)
        if any(known.hashes != info.hashes for known in before):
            raise ExportError(
                f"{target}: is or was listed with other content; give the new one a version of its "
                "own"
            )
        info.unrecognized_fields["custom"] = {
            **custom,
            "added_at": _now().isoformat().replace("+00:00", "Z"),
        }
        file = self.file_of(info)
        try:
            with whole(file) as new:
                shutil.copyfile(bundle, new)
        except OSError as error:
            raise ExportError(f"{file}: {error.strerror or error}; make room there") from error
        if (listed := self.targets().targets.get(target)) is not None:
            return listed  # to stations one that is added anew would be the newest
        with self.edit_targets() as targets:
            targets.targets[target] = info
        return info

    def _known(self, target: str) -> list[TargetFile]:
        """What was ever published under a name, or is to be."""
        files = [f for f in self.metadata.glob("*.targets.json") if version_of(f, Targets.type)]
        lists = [self._read(file).signed for file in files]
        found = (known.targets.get(target) for known in (*lists, self.targets()))
        return [info for info in found if info is not None]

    def revoke(self, target: str) -> None:
        """Takes a bundle off the list, pending signatures."""
        if target not in self.targets().targets:
            known = ", ".join(sorted(self.targets().targets)) or "nothing"
            raise ExportError(f"{target}: is not listed; listed is {known}")
        with self.edit_targets() as targets:
            del targets.targets[target]

    def rotate(
        self, role: str, remove: Sequence[str], add: Sequence[SSlibKey], threshold: int | None
    ) -> None:
        """Exchanges keys of a role, pending signatures; `online` means snapshot and timestamp."""
        roles = ONLINE if role == "online" else (role,)
        if role == "online" and threshold not in (None, 1):
            raise ExportError("online: one key signs what is newest, that of who publishes")
        with self.edit_root() as root:
            for each in roles:
                for keyid in remove:
                    full = [k for k in root.roles[each].keyids if k.startswith(keyid)]
                    if len(full) != 1 or len(keyid) < 8:
                        raise ExportError(
                            f"{keyid}: is not the key id (8 characters or more) of one key of "
                            f"{each}; see cane-export repo status"
                        )
                    root.revoke_key(full[0], each)
                for key in add:
                    root.add_key(key, each)
                if threshold is not None:
                    root.roles[each].threshold = threshold
                _require_keys(each, root.roles[each].keyids, root.roles[each].threshold)
            online, offline = (
                [keyid for name in names for keyid in root.roles[name].keyids]
                for names in (ONLINE, OFFLINE)
            )
            _require_apart(online, offline)
        if role == Targets.type:
            with self.edit_targets():
                pass  # the same list, to be signed by the new keys

    def read_pending(self) -> dict[str, Metadata[Any]]:
        """What lacks signatures, by role."""
        there = ((role, self._pending(role)) for role in OFFLINE)
        return {role: self._read(path) for role, path in there if path.exists()}

    def sign(self, pending: Mapping[str, Metadata[Any]] | None = None) -> list[str]:
        """Adds the signatures at hand to what is pending. Returns the roles they belong to.

        pending: as it was read and shown. It is written back, so that nothing is signed that has
        taken its place since. None: as it is now.
        """
        signed = []
        for role, md in (self.read_pending() if pending is None else pending).items():
            if self._sign(role, md):
                self._write(self._pending(role), md)
                signed.append(role)
        return signed

    def missing(self) -> list[Missing]:
        """Pending changes that cannot be published yet."""
        found = []
        for role in OFFLINE:
            if not self._pending(role).exists():
                continue
            md = self.open(role)
            for root in self._judges(role, md):
                verified = root.get_verification_result(role, md.signed_bytes, md.signatures)
                if not verified:
                    found.append(
                        Missing(
                            role,
                            md.signed.version,
                            tuple(sorted(verified.signed)),
                            root.roles[role].threshold,
                        )
                    )
                    break
        return found

    def publish(self, *, days: int | None = None) -> None:
        """Moves what is pending to metadata/, then signs a new snapshot and timestamp.

        days: until these two expire. A station that has not seen them by then says so.
        """
        for lack in self.missing():
            raise ExportError(
                f"{lack.role} version {lack.version}: signed by {len(lack.signed_by)} of the "
                f"{lack.threshold} keys it needs; have their holders run cane-export repo sign"
            )
        self._require_online_key(self.root())
        for role in OFFLINE:
            if self._pending(role).exists():
                version = self.open(role).signed.version
                self._pending(role).replace(self.metadata / f"{version}.{role}.json")
        self._sign_online(days)
        self._drop_unlisted()

    def renew(self, *, days: int | None = None) -> None:
        """Signs a new snapshot and timestamp of what is published; what is pending stays so.

        days: see `publish`.
        """
        self._require_online_key(self._in_force(Root.type))
        for role in OFFLINE:
            if self._in_force(role).is_expired(_now()):
                raise ExportError(
                    f"{self.folder}: {role} has expired, no station believes it; have it signed "
                    "again after cane-export repo prolong, and publish"
                )
        self._sign_online(days)

    @property
    def fresh_until(self) -> tuple[datetime, str]:
        """When stations stop believing what is published, and the role that expires then."""
        return min((self._in_force(role).expires, role) for role in (*OFFLINE, *ONLINE))

    def prolong(self) -> None:
        """Signs root and list anew as they are, pending signatures, so that they last longer."""
        with self.edit_root(), self.edit_targets():
            pass

    def changes(self, pending: Mapping[str, Metadata[Any]] | None = None) -> list[str]:
        """What those who sign would put their names to: how pending differs from published.

        pending: see `sign`.
        """
        pending = self.read_pending() if pending is None else pending
        found: list[str] = []
        if Root.type in pending:
            old = self._in_force(Root.type) if self._published(Root.type) else None
            found += changes.of_root(old, pending[Root.type].signed)
        if Targets.type in pending:
            found += changes.of_targets(self.listed(), pending[Targets.type].signed)
        return found

    def listed(self) -> dict[str, TargetFile]:
        """What is published, by target."""
        path = self._published(Targets.type)
        return {} if path is None else dict(self._read(path).signed.targets)

    def file_of(self, info: TargetFile) -> Path:
        """Where a listed bundle lies."""
        return self.targets_folder / f"{info.hashes['sha256']}.{info.path}"

    # ---- inside

    def _in_force(self, role: str) -> Any:
        """The published metadata of a role, its signed part."""
        path = self._published(role)
        if path is None:
            raise ExportError(
                f"{self.folder}: nothing is published yet; have it signed and publish it first"
            )
        return self._read(path).signed

    def _require_online_key(self, root: Root) -> None:
        online = {keyid for role in ONLINE for keyid in root.roles[role].keyids}
        if not online & set(self._signers):
            raise ExportError("the online key is needed to publish; give it with --online-key")

    def _sign_online(self, days: int | None) -> None:
        if days is not None:
            self._days |= dict.fromkeys(ONLINE, days)
        self.do_snapshot(force=True)
        self.do_timestamp(force=True)

    def _require_there(self) -> None:
        if not (self.metadata / "1.root.json").exists() and not self.pending.is_dir():
            raise ExportError(
                f"{self.folder}: is no repository; make one with cane-export repo init"
            )

    def _require_signed(self) -> None:
        """What is published must be signed, or the next change would carry a stranger's on.

        The folder lies where the online key lies, too: whoever has that may have written here.
        """
        root: Root | None = None
        for version in range(1, self._published_version(Root.type) + 1):
            path = self.metadata / f"{version}.root.json"
            new = self._read(path)
            for judge in (root, new.signed):
                if judge is not None:
                    self._verify(path, judge, Root.type, new)
            root = new.signed
        path_of_targets = self._published(Targets.type)
        if root is not None and path_of_targets is not None:
            self._verify(path_of_targets, root, Targets.type, self._read(path_of_targets))

    @staticmethod
    def _verify(path: Path, judge: Root, role: str, md: Metadata[Any]) -> None:
        try:
            judge.verify_delegate(role, md.signed_bytes, md.signatures)
        except (RepositoryError, ValueError) as error:
            raise ExportError(
                f"{path}: is not signed by those who must ({error}); take the folder from a copy "
                "that is"
            ) from error

    def _judges(self, role: str, md: Metadata[Any]) -> list[Root]:
        """The roots whose keys must have signed that metadata.

        A new root is judged by itself and by the one before it, a new list by the root it will be
        published with; snapshot and timestamp are read at once, under the root that is published.
        """
        before = [self._in_force(Root.type)] if self._published(Root.type) else []
        if role == Root.type:
            return [md.signed, *before]
        return before if role in ONLINE else [self.root()]

    def _sign(self, role: str, md: Metadata[Any]) -> bool:
        keys = {keyid for root in self._judges(role, md) for keyid in root.roles[role].keyids}
        signers = [signer for keyid, signer in self._signers.items() if keyid in keys]
        for signer in signers:
            md.sign(signer, append=True)
        return bool(signers)

    def _drop_unlisted(self) -> None:
        keep = {self.file_of(info) for info in self.listed().values()}
        for file in self.targets_folder.glob("*.bundle"):
            if file not in keep:
                file.unlink()

    def _pending(self, role: str) -> Path:
        return self.pending / f"{role}.json"

    def _published(self, role: str) -> Path | None:
        if role == Timestamp.type:
            path = self.metadata / "timestamp.json"
            return path if path.exists() else None
        version = self._published_version(role)
        return self.metadata / f"{version}.{role}.json" if version else None

    def _published_version(self, role: str) -> int:
        versions = (version_of(file, role) for file in self.metadata.glob(f"*.{role}.json"))
        return max((version for version in versions if version is not None), default=0)

    def _read(self, path: Path) -> Metadata[Any]:
        try:
            found: Metadata[Any] = Metadata.from_bytes(path.read_bytes())
        except (OSError, DeserializationError, RepositoryError) as error:
            raise ExportError(f"{path}: cannot be read ({error}); take it from a copy") from error
        if (fault := form.fault(found.signed)) is not None:
            raise ExportError(
                f"{path}: {fault}; sign nothing, and take the folder from a copy that you trust"
            )
        return found

    def _write(self, path: Path, md: Metadata[Any]) -> None:
        try:
            with whole(path) as new:
                new.write_bytes(md.to_bytes(_PRETTY))
        except OSError as error:
            raise ExportError(f"{path}: {error.strerror or error}; make room there") from error


def version_of(file: Path, role: str) -> int | None:
    """The version that the name of a role's published metadata says; None of another file, such as
    those that a system puts on a stick."""
    match = re.fullmatch(rf"([1-9][0-9]*)\.{re.escape(role)}\.json", file.name)
    return int(match[1]) if match else None


def _require_keys(role: str, keys: Sequence[str], threshold: int) -> None:
    """keys: their ids."""
    count = len(set(keys))
    if not 1 <= threshold <= count:
        raise ExportError(
            f"{role}: a threshold of {threshold} with {count} different keys; give more keys, or a "
            "threshold from 1 to their number"
        )


def _require_apart(online: Sequence[str], offline: Sequence[str]) -> None:
    """Of key ids: those online lie where a thief can reach them."""
    if set(online) & set(offline):
        raise ExportError(
            "the online key also signs root or targets; give it a key of its own, because it "
            "lies where a thief can reach it"
        )


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
