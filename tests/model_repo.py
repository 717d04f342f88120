"""A signed repository of tiny models, with keys for every holder, and deliveries from it."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tiny_bundle import with_manifest, write_table_bundle

from edge_agent.access import hash_password
from edge_agent.grades import GRADES
from exporter.push import Credentials, deliver, find_listed
from exporter.repository.store import ModelRepository

ENGINEER = Credentials("engineer-1", "a password for tests")
ACCESS = {
    "users": [
        {
            "name": ENGINEER.user,
            "role": "engineer",
            "password_hash": hash_password(ENGINEER.password),
        }
    ]
}


def keys(count: int) -> list[CryptoSigner]:
    """New Ed25519 keys."""
    return [CryptoSigner.generate_ed25519() for _ in range(count)]


def row(confidence: float) -> tuple[float, ...]:
    """Probabilities of a model that always says fresh_clean, with that confidence."""
    rest = (1 - confidence) / (len(GRADES) - 1)
    return (confidence, *(rest,) * (len(GRADES) - 1))


def tiny_bundle(path: Path, version: str, confidence: float) -> Path:
    """A bundle whose model says the same of every picture; the confidence tells it from others."""
    plain = write_table_bundle(path.with_suffix(".plain"), (row(confidence),) * 4)
    return with_manifest(plain, path, version=version)


class Repo:
    """A repository with 2 of 3 root keys, 2 of 2 targets keys and an online key, all at hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root, self.targets, self.online = keys(3), keys(2), keys(1)
        self.store = ModelRepository.init(
            folder,
            [key.public_key for key in self.root],
            2,
            [key.public_key for key in self.targets],
            2,
            self.online[0].public_key,
        )
        self.sign_and_publish()

    @property
    def trusted_root(self) -> Path:
        """What IT puts on a station."""
        return self.folder / "metadata" / "1.root.json"

    def sign_and_publish(self, days: int | None = None) -> None:
        """Everybody signs, then it is published."""
        self.store.use([*self.root, *self.targets, *self.online])
        self.store.sign()
        self.store.publish(days=days)

    def add(self, version: str, confidence: float) -> str:
        """Publishes a tiny model as table-VERSION.bundle. Returns its digest."""
        file = tiny_bundle(self.folder.parent / f"{version}.bundle", version, confidence)
        return self.add_file(file, version)

    def add_file(self, file: Path, version: str) -> str:
        """Publishes any file as table-VERSION.bundle: signers can be wrong. Returns its digest."""
        info = self.store.add(file, f"table-{version}.bundle", {"version": version})
        self.sign_and_publish()
        return str(info.hashes["sha256"])

    def delivery(self, version: str) -> Path:
        """The delivery of a published model."""
        out = self.folder.parent / f"{self.folder.name}-{version}.zip"
        deliver(self.store, find_listed(self.store, f"table-{version}.bundle"), out)
        return out

    def stolen(self, folder: Path) -> Repo:
        """A copy in an attacker's hands, who holds none of the keys yet (give some to `use`)."""
        copy = Repo.__new__(Repo)
        shutil.copytree(self.folder, folder)
        copy.__dict__ |= self.__dict__ | {"folder": folder, "store": ModelRepository(folder)}
        return copy

    def publish_whatever(self) -> None:
        """Publishes what is pending with the signatures that it has, enough or not."""
        for file in self.store.pending.glob("*.json"):
            version = self.store.open(file.stem).signed.version
            file.replace(self.store.metadata / f"{version}.{file.name}")
        self.store.do_snapshot(force=True)
        self.store.do_timestamp(force=True)


def changed(delivery: Path, members: Mapping[str, bytes | None]) -> Path:
    """A copy of a delivery with other members: by name, or by its end; None leaves one out."""
    out = delivery.with_name(f"changed-{delivery.name}")
    with zipfile.ZipFile(delivery) as old, zipfile.ZipFile(out, "w") as new:
        left = dict(members)
        for name in old.namelist():
            key = next((key for key in members if name.endswith(key)), None)
            content = members[key] if key is not None else old.read(name)
            left.pop(key, None) if key is not None else None
            if content is not None:
                new.writestr(name, content)
        for name, content in left.items():
            if content is not None:
                new.writestr(name, content)
    return out
