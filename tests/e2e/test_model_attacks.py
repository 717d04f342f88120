"""TUF's attack classes and hostile bundles against a real station process.

Whatever is pushed, the model that graded grades the next truck, and why the push was refused is on
record.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from agent_process import Agent, station_process
from hostile_bundles import HOSTILE
from model_repo import ENGINEER, Repo, changed, keys, tiny_bundle
from tuf.api.metadata import Metadata
from virtual import wait_until

from exporter.errors import ExportError
from exporter.push import Credentials, Pushed, push
from simulator.station import VirtualStation

GOOD = 0.91
tickets = (f"T-{number}" for number in itertools.count())


def accepted(pushed: Pushed) -> None:
    """As the command line takes it: a bundle that the gate refuses is an error too."""
    if not pushed.accepted:
        raise ExportError(pushed.detail)


class Attacked:
    """A station that grades with a good model, its repository, and the ways to attack it."""

    def __init__(self, agent: Agent, repo: Repo, folder: Path) -> None:
        self.agent = agent
        self.repo = repo
        self.folder = folder
        self.good = repo.add("good", GOOD)
        push(repo.delivery("good"), self.url, ENGINEER, "activate")
        wait_until(lambda: agent.answers("/health/ready"))

    @property
    def url(self) -> str:
        return str(self.agent.client.base_url)

    def thief(self, name: str) -> Repo:
        """A copy of the repository for an attacker, who also stole the online key."""
        stolen = self.repo.stolen(self.folder / name)
        stolen.store.use(self.repo.online)
        return stolen

    def models(self) -> dict[str, Any]:
        found: dict[str, Any] = self.agent.client.get("/api/v1/models").json()
        return found

    def refuses(self, delivery: Path, *said: str) -> None:
        """The push fails with these words, which are on record; the good model grades on."""
        with pytest.raises(ExportError) as caught:
            accepted(push(delivery, self.url, ENGINEER, "activate"))
        text = str(caught.value)
        assert any(word in text for word in said), text
        assert "\n" not in text
        models = self.models()
        last = models["events"][0]
        assert last["ok"] is False
        assert last["actor"] == ENGINEER.user
        assert any(word in last["detail"] for word in said)
        assert models["active"] == self.good
        self.grades_on()

    def grades_on(self) -> None:
        grading = self.agent.announce(next(tickets))["grading"]
        assert grading["outcome"] == "graded", grading["detail"]
        assert grading["model"]["digest"] == self.good
        assert grading["confidence"] == pytest.approx(GOOD, abs=1e-4)


@contextmanager
def running(station: VirtualStation, repo: Repo, folder: Path) -> Iterator[Attacked]:
    """A station process that trusts that repository."""
    # A trial runs at low priority, beside other tests: only one that hangs may be out of time.
    updates = {"root": str(repo.trusted_root), "latency_ms": 500, "timeout_s": 30, "memory_mb": 500}
    with station_process(folder, station, updates) as agent:
        yield Attacked(agent, repo, folder)


@pytest.fixture(scope="module")
def attacked(
    cameras: VirtualStation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attacked]:
    folder = tmp_path_factory.mktemp("attacked")
    with running(cameras, Repo(folder / "repo"), folder / "agent") as station:
        yield station


@pytest.fixture
def scarred(cameras: VirtualStation, tmp_path: Path) -> Iterator[Attacked]:
    """A station for an attack that leaves its mark on what it trusts."""
    with running(cameras, Repo(tmp_path / "repo"), tmp_path / "agent") as station:
        yield station


@pytest.fixture
def fresh(attacked: Attacked) -> str:
    """The version of a new, good model that is published and not yet pushed."""
    version = next(tickets).lower()
    attacked.repo.add(version, 0.77)
    return version


# ---- who pushes


@pytest.mark.parametrize(
    "who", [None, Credentials("engineer-1", "a wrong password"), Credentials("nobody", "x")]
)
def test_nobody_but_an_engineer_pushes(
    attacked: Attacked, fresh: str, who: Credentials | None
) -> None:
    with pytest.raises(ExportError, match="password"):
        push(attacked.repo.delivery(fresh), attacked.url, who, "activate")
    assert attacked.models()["active"] == attacked.good
    attacked.grades_on()


# ---- metadata


def members(delivery: Path, kind: str) -> str:
    """The name of the newest metadata of that role in a delivery."""
    with zipfile.ZipFile(delivery) as archive:
        names = [name for name in archive.namelist() if name.endswith(f"{kind}.json")]
    return max(names, key=lambda name: int(name.split("/")[1].split(".")[0]))


def without_signatures(delivery: Path, name: str) -> bytes:
    with zipfile.ZipFile(delivery) as archive:
        metadata: Metadata[Any] = Metadata.from_bytes(archive.read(name))
    metadata.signatures.clear()
    return metadata.to_bytes()


def test_unsigned_targets(attacked: Attacked, fresh: str) -> None:
    delivery = attacked.repo.delivery(fresh)
    name = members(delivery, "targets")
    bad = changed(delivery, {name: without_signatures(delivery, name)})
    attacked.refuses(bad, "not signed by enough")


@pytest.mark.parametrize("fits", [False, True])
def test_unsigned_snapshot(attacked: Attacked, fresh: str, fits: bool) -> None:
    """Refused by its hash, and where the timestamp is signed for that very file, for itself."""
    delivery = attacked.repo.delivery(fresh)
    name = members(delivery, "snapshot")
    unsigned = without_signatures(delivery, name)
    others = {name: unsigned}
    if fits:
        with zipfile.ZipFile(delivery) as archive:
            timestamp: Metadata[Any] = Metadata.from_bytes(archive.read("metadata/timestamp.json"))
        meta = timestamp.signed.snapshot_meta
        meta.length, meta.hashes = len(unsigned), {"sha256": hashlib.sha256(unsigned).hexdigest()}
        timestamp.sign(attacked.repo.online[0])
        others["timestamp.json"] = timestamp.to_bytes()
    said = "not signed by enough" if fits else "not the one that was signed for"
    attacked.refuses(changed(delivery, others), said)


def test_unsigned_timestamp(attacked: Attacked, fresh: str) -> None:
    delivery = attacked.repo.delivery(fresh)
    unsigned = without_signatures(delivery, "metadata/timestamp.json")
    attacked.refuses(changed(delivery, {"timestamp.json": unsigned}), "not signed by enough")


def test_signed_by_another_repository(attacked: Attacked, tmp_path: Path) -> None:
    other = Repo(tmp_path / "other")
    for number in range(12):  # beyond the versions that this station has seen
        other.add(f"v{number}", 0.66)
    attacked.refuses(other.delivery("v11"), "not signed by enough")


def test_signed_by_a_key_that_is_not_the_roles(attacked: Attacked, fresh: str) -> None:
    delivery = attacked.repo.delivery(fresh)
    name = members(delivery, "targets")
    with zipfile.ZipFile(delivery) as archive:
        metadata: Metadata[Any] = Metadata.from_bytes(archive.read(name))
    metadata.sign(keys(1)[0])
    attacked.refuses(changed(delivery, {name: metadata.to_bytes()}), "not signed by enough")


@pytest.mark.parametrize("signers", [0, 1])
def test_threshold_not_met(attacked: Attacked, tmp_path: Path, signers: int) -> None:
    thief = attacked.thief(f"threshold-{signers}")
    thief.store.use(attacked.repo.targets[:signers])
    file = tiny_bundle(tmp_path / "evil.bundle", "evil", 0.66)
    thief.store.add(file, "table-evil.bundle", {})
    thief.publish_whatever()
    attacked.refuses(thief.delivery("evil"), "not signed by enough")


def test_one_key_signing_twice_is_not_two(attacked: Attacked, tmp_path: Path) -> None:
    thief = attacked.thief("twice")
    key = attacked.repo.targets[0]
    thief.store.use([key])
    thief.store.add(tiny_bundle(tmp_path / "e.bundle", "evil", 0.66), "table-evil.bundle", {})
    thief.publish_whatever()
    delivery = thief.delivery("evil")
    name = members(delivery, "targets")
    with zipfile.ZipFile(delivery) as archive:
        text = archive.read(name).decode()
    doubled = text.replace('"signatures": [', '"signatures": [' + signature_of(text) + ",", 1)
    assert doubled != text
    attacked.refuses(changed(delivery, {name: doubled.encode()}), "not signed by enough", "broken")


def signature_of(text: str) -> str:
    """The first signature's JSON in metadata."""
    start = text.index("{", text.index('"signatures"'))
    return text[start : text.index("}", start) + 1]


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_expired(attacked: Attacked, fresh: str, role: str) -> None:
    thief = attacked.thief(f"expired-{role}")
    thief.store.use(attacked.repo.targets)
    thief.store._days[role] = -1
    if role == "targets":
        with thief.store.edit_targets():
            pass
    thief.publish_whatever()
    attacked.refuses(thief.delivery(fresh), "expired")


def test_an_expired_root_stops_everything_but_the_grading(scarred: Attacked) -> None:
    thief = scarred.thief("expired-root")
    thief.store.use(scarred.repo.root)
    thief.store._days["root"] = -1
    with thief.store.edit_root():
        pass
    thief.publish_whatever()
    scarred.refuses(thief.delivery("good"), "expired")


def test_rolled_back(attacked: Attacked, fresh: str) -> None:
    old = attacked.repo.delivery(fresh)
    old = old.rename(old.with_name("old.zip"))
    later = next(tickets).lower()
    attacked.repo.add(later, 0.55)
    assert push(attacked.repo.delivery(later), attacked.url, ENGINEER, "hold").accepted
    attacked.refuses(old, "older than")


def test_mixed_and_matched(attacked: Attacked, fresh: str) -> None:
    delivery = attacked.repo.delivery(fresh)
    name = members(delivery, "targets")
    version = int(name.split("/")[1].split(".")[0])
    old = (attacked.repo.store.metadata / f"{version - 1}.targets.json").read_bytes()
    attacked.refuses(changed(delivery, {name: old}), "older than", "belong")


def test_a_snapshot_that_is_not_the_timestamps(attacked: Attacked, fresh: str) -> None:
    delivery = attacked.repo.delivery(fresh)
    name = members(delivery, "snapshot")
    version = int(name.split("/")[1].split(".")[0])
    old = (attacked.repo.store.metadata / f"{version - 1}.snapshot.json").read_bytes()
    attacked.refuses(changed(delivery, {name: old}), "not the one that was signed for")


def test_a_new_root_that_the_old_one_has_not_signed(attacked: Attacked, tmp_path: Path) -> None:
    thief = attacked.thief("coup")
    mine = keys(3)
    thief.store.use(mine)
    old = [key.public_key.keyid for key in attacked.repo.root]
    thief.store.rotate("root", old, [key.public_key for key in mine], 2)
    thief.publish_whatever()
    attacked.refuses(thief.delivery("good"), "not signed by enough")


def test_fast_forward_is_undone_by_a_new_online_key(scarred: Attacked) -> None:
    thief = scarred.thief("forward")
    with thief.store.edit_timestamp() as timestamp:
        timestamp.version = 2**31 - 2
    push(thief.delivery("good"), scarred.url, ENGINEER, "hold")
    scarred.repo.add("later", 0.55)
    scarred.refuses(scarred.repo.delivery("later"), "older than")
    # The owners take the stolen key's trust away: then its versions count no more.
    stolen = scarred.repo.online[0].public_key.keyid
    scarred.repo.online = keys(1)
    scarred.repo.store.use(scarred.repo.root)
    scarred.repo.store.rotate("online", [stolen], [scarred.repo.online[0].public_key], None)
    scarred.repo.sign_and_publish()
    assert push(scarred.repo.delivery("later"), scarred.url, ENGINEER, "hold").accepted


# ---- the delivery


def test_a_bundle_that_is_not_listed(attacked: Attacked, fresh: str, tmp_path: Path) -> None:
    file = tiny_bundle(tmp_path / "evil.bundle", "evil", 0.66)
    delivery = changed(
        attacked.repo.delivery(fresh),
        {".bundle": None, f"targets/{'0' * 64}.table-evil.bundle": file.read_bytes()},
    )
    attacked.refuses(delivery, "not signed for")


@pytest.mark.parametrize("change", [b"", b"x" * 10_000, None])
def test_another_bundle_than_the_one_that_was_signed(
    attacked: Attacked, fresh: str, change: bytes | None
) -> None:
    delivery = attacked.repo.delivery(fresh)
    with zipfile.ZipFile(delivery) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".bundle"))
        content = archive.read(name)
    if change is None:  # one bit, of the same length
        bad = content[:-1] + bytes([content[-1] ^ 1])
    else:
        bad = change if not change else content + change
    attacked.refuses(changed(delivery, {name: bad}), "not the one that was signed for")


def test_metadata_without_end(attacked: Attacked, fresh: str) -> None:
    delivery = attacked.repo.delivery(fresh)
    name = members(delivery, "targets")
    endless = b'{"signatures": [' + b" " * 3_000_000 + b"]}"
    attacked.refuses(changed(delivery, {name: endless}), "larger than")


def test_metadata_larger_than_its_role_may_be(attacked: Attacked, fresh: str) -> None:
    delivery = attacked.repo.delivery(fresh)
    bad = changed(delivery, {"timestamp.json": b'{"x": "' + b"x" * 500_000 + b'"}'})
    attacked.refuses(bad, "not the one that was signed for", "exceeding")


@pytest.mark.parametrize(
    "name",
    [
        "../../records.sqlite",
        "/etc/passwd",
        "metadata/../../escaped.json",
        "targets/escaped.bundle",
        "metadata\\..\\escaped.json",
    ],
)
def test_a_member_that_leads_elsewhere(attacked: Attacked, fresh: str, name: str) -> None:
    before = set(attacked.folder.rglob("*escaped*"))
    bad = changed(attacked.repo.delivery(fresh), {name: b"owned"})
    attacked.refuses(bad, "no repository has")
    assert set(attacked.folder.rglob("*escaped*")) == before


def test_two_bundles_at_once(attacked: Attacked, fresh: str) -> None:
    name = f"targets/{'1' * 64}.other.bundle"
    attacked.refuses(changed(attacked.repo.delivery(fresh), {name: b"x"}), "more than one bundle")


def zip_bomb() -> bytes:
    """A delivery whose one bundle claims little and unpacks to more than a bundle may have."""
    out = io.BytesIO()
    name = f"targets/{'2' * 64}.bomb.bundle"
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w", force_zip64=True) as member,
    ):
        for _ in range(210):
            member.write(bytes(1 << 20))
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda good: b"", "no readable zip"),
        (lambda good: b"PK nothing of the kind" * 50, "no readable zip"),
        # What is left ends in the bundle, which is a zip file too.
        (lambda good: good[: len(good) // 2], "no repository has"),
        (lambda good: zip_bomb(), "larger than"),
    ],
    ids=["empty", "no-zip", "cut", "bomb"],
)
def test_a_broken_delivery(
    attacked: Attacked,
    fresh: str,
    tmp_path: Path,
    content: Callable[[bytes], bytes],
    said: str,
) -> None:
    bad = tmp_path / "bad.zip"
    bad.write_bytes(content(attacked.repo.delivery(fresh).read_bytes()))
    attacked.refuses(bad, said)


# ---- bundles that were signed by mistake


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_bundle_that_was_signed(attacked: Attacked, tmp_path: Path, name: str) -> None:
    make, said = HOSTILE[name]
    version = next(tickets).lower()
    file = make(tmp_path / "hostile.bundle")
    digest = attacked.repo.add_file(file, version)
    attacked.refuses(attacked.repo.delivery(version), *said.split("|"))
    entry = next(m for m in attacked.models()["models"] if m["digest"] == digest)
    assert any(word in entry["fault"] for word in said.split("|"))
    assert entry["role"] is None
    # Nor can it be chosen later.
    answer = attacked.agent.client.post(
        f"/api/v1/models/{digest}/activate", auth=(ENGINEER.user, ENGINEER.password)
    )
    assert answer.status_code == 409
    attacked.repo.store.revoke(f"table-{version}.bundle")
    attacked.repo.sign_and_publish()
