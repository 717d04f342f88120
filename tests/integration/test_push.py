"""`cane-export repo` and `push` on real keys, files and stations behind real HTTP."""

from __future__ import annotations

import json
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from console_station import ConsoleStation, config
from fastapi import FastAPI, Request, Response
from model_repo import ACCESS, ENGINEER, Repo
from serving import Serving
from typer.testing import CliRunner

from edge_agent.api import create_app
from edge_agent.config import AccessSection, ModelSection
from edge_agent.errors import TrustError
from edge_agent.updates.sources import FolderSource
from edge_agent.updates.trust import Trust
from exporter.cli import app
from exporter.errors import ExportError
from exporter.fleet import Fleet as WatchedFleet
from exporter.fleet import FleetStation, StationResult, _soak
from exporter.push import PASSWORD_ENV, push
from exporter.repository import keys, store
from exporter.repository.store import ModelRepository

BUNDLE = Path(__file__).parents[2] / "deploy" / "models" / "sim-mobilenetv2.bundle"


def run(*words: object) -> str:
    """What the command says; fails the test if it fails."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def refused(*words: object) -> str:
    """What the command says when it refuses: one line, exit code 2."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 2, result.output
    said = result.output.strip().splitlines()
    assert len(said) >= 1
    return said[-1]


@pytest.fixture
def holders(tmp_path: Path) -> Path:
    """A folder with everybody's keys."""
    for name in ("root-1", "root-2", "root-3", "targets-1", "online"):
        run("repo", "key", tmp_path / f"{name}.pem")
    return tmp_path


def init(holders: Path, repo: Path) -> None:
    roots = [w for n in (1, 2, 3) for w in ("--root-key", holders / f"root-{n}.pem.pub")]
    run(
        *("repo", "init", repo, *roots, "--root-threshold", 2),
        *("--targets-key", holders / "targets-1.pem.pub"),
        *("--online-key", holders / "online.pem.pub"),
    )


def sign_all(holders: Path, repo: Path) -> None:
    for name in ("root-1", "root-2", "targets-1"):
        run("repo", "sign", repo, "--yes", "--sign", holders / f"{name}.pem")


def test_the_ceremony_needs_everybody_it_says(holders: Path) -> None:
    repo = holders / "models"
    init(holders, repo)
    online = ("--online-key", holders / "online.pem")
    assert "root version 1: signed by 0 of the 2" in refused("repo", "publish", repo, *online)
    run("repo", "sign", repo, "--yes", "--sign", holders / "root-1.pem")
    assert "signed by 1 of the 2" in refused("repo", "publish", repo, *online)
    assert "nothing is pending" in refused(
        "repo", "sign", repo, "--yes", "--sign", holders / "online.pem"
    )
    run("repo", "sign", repo, "--yes", "--sign", holders / "root-3.pem")
    assert "targets version 1" in refused("repo", "publish", repo, *online)
    run("repo", "sign", repo, "--yes", "--sign", holders / "targets-1.pem")
    assert "0 bundles listed" in run("repo", "publish", repo, *online)
    said = run("repo", "add", repo, BUNDLE, "--sign", holders / "targets-1.pem")
    name = said.split(":")[0]
    assert f"{name}: " not in run("repo", "status", repo)
    assert "1 bundles listed" in run("repo", "publish", repo, *online)
    status = run("repo", "status", repo)
    assert name in status
    assert "2 of 3 keys" in status
    assert "is not published" in refused(
        "push", "other.bundle", "--repo", repo, "--out", holders / "x.zip"
    )
    run("push", BUNDLE, "--repo", repo, "--out", holders / "stick.zip")
    with zipfile.ZipFile(holders / "stick.zip") as archive:
        assert any(member.endswith(f".{name}") for member in archive.namelist())
    run("repo", "revoke", repo, name, "--sign", holders / "targets-1.pem")
    assert "0 bundles listed" in run("repo", "publish", repo, *online)
    assert not list((repo / "targets").iterdir())


def test_who_signs_reads_what_it_is_and_signs_nothing_planted(holders: Path) -> None:
    repo = holders / "models"
    init(holders, repo)
    sign_all(holders, repo)
    run("repo", "publish", repo, "--online-key", holders / "online.pem")
    run("repo", "add", repo, BUNDLE)
    sign = ("repo", "sign", str(repo), "--sign", str(holders / "targets-1.pem"))
    asked = CliRunner().invoke(app, sign, input="n\n")
    assert asked.exit_code != 0
    assert "may grade, SHA-256" in asked.output
    # Whoever holds the folder lists a bundle of his own, as if it had been published.
    pending = (repo / "pending" / "targets.json").read_bytes()
    (repo / "metadata" / "2.targets.json").write_bytes(pending)
    assert "is not signed by those who must" in refused(*sign, "--yes")


@pytest.fixture
def published(holders: Path) -> Path:
    """A repository that lists nothing yet."""
    repo = holders / "models"
    init(holders, repo)
    sign_all(holders, repo)
    run("repo", "publish", repo, "--online-key", holders / "online.pem")
    return repo


def planted(repo: Path, change: Callable[[dict[str, Any]], None], role: str = "targets") -> None:
    """Puts metadata that nobody has asked for, and nobody has signed, where changes wait."""
    newest = max((repo / "metadata").glob(f"*.{role}.json"))
    content = json.loads(newest.read_text())
    content["signed"]["version"] += 1
    content["signatures"] = []
    change(content["signed"])
    (repo / "pending" / f"{role}.json").write_text(json.dumps(content))


def listing(name: str, digest: str = "0" * 64) -> Callable[[dict[str, Any]], None]:
    def change(signed: dict[str, Any]) -> None:
        signed["targets"][name] = {"length": 1, "hashes": {"sha256": digest}}

    return change


def test_a_change_of_ones_own_signs_nothing_that_waits(holders: Path, published: Path) -> None:
    planted(published, listing("evil-1.bundle"))
    sign = ("--sign", holders / "targets-1.pem")
    assert "would sign unread" in refused("repo", "add", published, BUNDLE, *sign)
    assert "would sign unread" in refused("repo", "prolong", published, *sign)
    waits = json.loads((published / "pending" / "targets.json").read_text())
    assert waits["signatures"] == []
    # Read and signed as a whole it is another matter; or it is thrown away.
    assert "evil-1.bundle may grade" in run("repo", "status", published)
    (published / "pending" / "targets.json").unlink()
    assert "pending and signed by enough" in run("repo", "add", published, BUNDLE, *sign)


def test_what_is_signed_is_what_was_shown(
    holders: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("repo", "add", published, BUNDLE)

    def exchanged(*_: object, **__: object) -> bool:
        planted(published, listing("evil-1.bundle"))  # while somebody reads
        return True

    monkeypatch.setattr("typer.confirm", exchanged)
    run("repo", "sign", published, "--sign", holders / "targets-1.pem")
    signed = json.loads((published / "pending" / "targets.json").read_text())
    assert "evil-1.bundle" not in signed["signed"]["targets"]
    run("repo", "publish", published, "--online-key", holders / "online.pem")


@pytest.mark.parametrize(
    ("name", "digest", "says"),
    [
        ("evil-1.bundle \x1b[2K\r.bundle", "0" * 64, r"evil-1.bundle \x1b[2K\r.bundle"),
        ("../evil-1.bundle", "0" * 64, "is not called NAME-VERSION.bundle"),
        ("evil-1.bundle", "\x1b[2K", "has no SHA-256"),
    ],
)
def test_a_list_that_would_not_be_read_as_it_is_is_refused(
    holders: Path, published: Path, name: str, digest: str, says: str
) -> None:
    planted(published, listing(name, digest))
    for words in (("status",), ("sign", "--yes", "--sign", holders / "targets-1.pem")):
        said = refused("repo", words[0], published, *words[1:])
        assert says in said
        assert "sign nothing" in said
        assert "\x1b" not in said


def test_a_key_under_the_id_of_another_is_refused(holders: Path, published: Path) -> None:
    run("repo", "key", holders / "thief.pem")
    public = keys.public(holders / "thief.pem.pub")

    def exchange(signed: dict[str, Any]) -> None:
        (ours,) = signed["roles"]["targets"]["keyids"]
        signed["keys"][ours]["keyval"] = public.keyval

    planted(published, exchange, "root")
    sign = ("repo", "sign", published, "--yes", "--sign", holders / "root-1.pem")
    assert "is not the key of that id" in refused(*sign)

    def unknown(signed: dict[str, Any]) -> None:
        signed["roles"]["targets"]["keyids"].append("f" * 64)

    planted(published, unknown, "root")
    assert "counts, and is not there" in refused(*sign)


def test_nothing_is_changed_where_the_key_cannot_be_read(
    holders: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = ("--sign", holders / "targets-1.pem.pub")
    assert "no secret key" in refused("repo", "add", published, BUNDLE, *sign)
    assert "no secret key" in refused("repo", "prolong", published, *sign)
    assert list((published / "pending").iterdir()) == []
    new = holders / "new"
    words = ("--root-threshold", 1, "--root-key", holders / "root-1.pem.pub")
    words += ("--targets-key", holders / "targets-1.pem.pub")
    words += ("--online-key", holders / "online.pem.pub")
    assert "no secret key" in refused("repo", "init", new, *words, *sign)
    assert not new.exists()
    assert "signed by 0 of 1" in run("repo", "init", new, *words)


def test_keys_that_make_no_threshold_are_refused(holders: Path, published: Path) -> None:
    one = ("--root-key", holders / "root-1.pem.pub")
    others = ("--targets-key", holders / "targets-1.pem.pub")
    others += ("--online-key", holders / "online.pem.pub")
    said = refused("repo", "init", holders / "new", *one, *one, *others)
    assert "a threshold of 2 with 1 different keys" in said
    both = ("repo", "rotate-key", published, "online", "--add", holders / "targets-1.pem.pub")
    assert "the online key also signs root or targets" in refused(*both)
    assert list((published / "pending").iterdir()) == []


def test_a_name_with_its_version_means_one_bundle_for_ever(holders: Path, published: Path) -> None:
    sign = ("--sign", holders / "targets-1.pem")
    publish = ("repo", "publish", published, "--online-key", holders / "online.pem")
    name = run("repo", "add", published, BUNDLE, *sign).split(":")[0]
    run(*publish)
    before = (published / "metadata" / "2.targets.json").read_bytes()
    # Added again it is no newer, and its file is back if it was gone.
    next((published / "targets").iterdir()).unlink()
    run("repo", "add", published, BUNDLE, *sign)
    assert list((published / "pending").iterdir()) == []
    assert len(list((published / "targets").iterdir())) == 1
    assert (published / "metadata" / "2.targets.json").read_bytes() == before
    run("repo", "revoke", published, name, *sign)
    run(*publish)
    store_of = ModelRepository.at(published)
    other = holders / "other.bundle"
    other.write_bytes(BUNDLE.read_bytes() + b" ")
    with pytest.raises(ExportError, match="is or was listed with other content"):
        store_of.add(other, name, {})
    run("repo", "add", published, BUNDLE, *sign)
    assert "1 bundles listed" in run(*publish)


def test_files_that_a_system_puts_on_a_stick_are_none_of_the_repository_s(
    holders: Path, published: Path
) -> None:
    for name in ("._1.root.json", "._1.targets.json", "copy of 1.root.json"):
        (published / "metadata" / name).write_bytes(b"\0\5\x16\7")
    run("repo", "status", published)
    run("push", "--list", "--repo", published, "--out", holders / "list.zip")
    with zipfile.ZipFile(holders / "list.zip") as archive:
        assert sorted(name.split("/")[-1] for name in archive.namelist()) == [
            *("1.root.json", "1.snapshot.json", "1.targets.json", "timestamp.json")
        ]


def test_keys_are_exchanged_by_the_roots_holders(holders: Path) -> None:
    repo = holders / "models"
    init(holders, repo)
    sign_all(holders, repo)
    online = ("--online-key", holders / "online.pem")
    run("repo", "publish", repo, *online)
    run("repo", "key", holders / "targets-2.pem")
    old = next(
        word.rstrip(",")
        for line in run("repo", "status", repo).splitlines()
        if line.startswith("targets")
        for word in line.split()[-1:]
    )
    run(
        *("repo", "rotate-key", repo, "targets", "--remove", old),
        *("--add", holders / "targets-2.pem.pub", "--sign", holders / "root-1.pem"),
    )
    assert "root version 2" in refused("repo", "publish", repo, *online)
    run("repo", "sign", repo, "--yes", "--sign", holders / "root-2.pem")
    assert "targets version 2" in refused("repo", "publish", repo, *online)
    run("repo", "sign", repo, "--yes", "--sign", holders / "targets-2.pem")
    run("repo", "publish", repo, *online)
    run("repo", "add", repo, BUNDLE, "--sign", holders / "targets-1.pem")
    assert "targets version 3: signed by 0" in refused("repo", "publish", repo, *online)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("repo", "status", "nowhere"), "is no repository"),
        (("repo", "key", "{}/online.pem"), "never written over"),
        (("repo", "rotate-key", "{}/models", "snapshot"), "give root, targets or online"),
        (("repo", "rotate-key", "{}/models", "root"), "nothing to do"),
        (("repo", "rotate-key", "{}/models", "root", "--threshold", "9"), "threshold of 9"),
        (("repo", "rotate-key", "{}/models", "online", "--threshold", "2"), "one key signs"),
        (("repo", "rotate-key", "{}/models", "root", "--remove", "ffffffff"), "is not the key id"),
        (("repo", "sign", "{}/models", "--yes", "--sign", "{}/online.pem.pub"), "no secret key"),
        (("repo", "revoke", "{}/models", "x.bundle"), "is not listed"),
        (("push", "x.bundle", "--repo", "{}/models"), "give one of"),
        (("push", "--repo", "{}/models", "--out", "y"), "give a bundle, or --list"),
        (("push", "x", "--list", "--repo", "{}/models", "--out", "y"), "give a bundle, or --list"),
        (("push", "--list", "--repo", "{}/models", "--out", "y"), "nothing is published yet"),
        (("push", "--list", "--repo", "{}/models", "--out", "y", "--as", "hold"), "nothing with"),
        (
            ("repo", "publish", "{}/models", "--renew", "--online-key", "{}/online.pem"),
            "nothing is published yet",
        ),
        (("push", "x", "--repo", "{}/models", "--out", "y", "--as", "now"), "choose one of"),
        (("push", "x", "--repo", "{}/models", "--out", "y", "--as", "hold"), "a file does not say"),
        (("push", "x", "--repo", "{}/models", "--out", "y", "--user", "a"), "a file does not say"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    holders: Path, words: tuple[str, ...], said: str
) -> None:
    init(holders, holders / "models")
    assert said in refused(*(word.format(holders) for word in words))


def test_freshness_is_renewed_while_changes_wait_for_signatures(holders: Path) -> None:
    repo = holders / "models"
    init(holders, repo)
    sign_all(holders, repo)
    online = ("--online-key", holders / "online.pem")
    run("repo", "publish", repo, *online)
    trust = Trust(repo / "metadata" / "1.root.json", holders / "tuf")
    before = trust.refresh(FolderSource(repo, "stick")).listing
    run("repo", "add", repo, BUNDLE)
    # The online key is to be another one, too: until then the one before signs.
    run("repo", "key", holders / "new.pem")
    run("repo", "rotate-key", repo, "online", "--add", holders / "new.pem.pub")
    refused("repo", "publish", repo, *online)
    new = ("--online-key", holders / "new.pem")
    assert "online key is needed" in refused("repo", "publish", repo, "--renew", *new)
    pending = {file.name: file.read_bytes() for file in (repo / "pending").iterdir()}
    assert "0 bundles listed" in run("repo", "publish", repo, "--renew", "--days", 60, *online)
    after = trust.refresh(FolderSource(repo, "stick")).listing
    assert (after.expires_at - before.expires_at).days == 30
    assert {file.name: file.read_bytes() for file in (repo / "pending").iterdir()} == pending
    sign_all(holders, repo)
    assert "1 bundles listed" in run("repo", "publish", repo, *new)
    assert len(trust.refresh(FolderSource(repo, "stick")).listing.models) == 1


def test_root_and_list_are_prolonged_before_they_expire(
    holders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = holders / "models"
    online = ("--online-key", holders / "online.pem")
    with monkeypatch.context() as patch:
        patch.setattr(store, "EXPIRES_DAYS", {**store.EXPIRES_DAYS, "targets": 0})
        init(holders, repo)
        sign_all(holders, repo)
        assert "targets ends then" in run("repo", "publish", repo, *online)
    time.sleep(1.1)  # expiries are in whole seconds
    assert "targets has expired" in refused("repo", "publish", repo, "--renew", *online)
    trust = Trust(repo / "metadata" / "1.root.json", holders / "tuf")
    with pytest.raises(TrustError, match="expired"):
        trust.refresh(FolderSource(repo, "stick"))
    run("repo", "prolong", repo)
    assert "targets: good until" in run("repo", "status", repo)
    sign_all(holders, repo)
    assert "ends then" not in run("repo", "publish", repo, *online)
    assert trust.refresh(FolderSource(repo, "stick")).listing.models == ()


def test_two_commands_do_not_write_at_once(holders: Path) -> None:
    repo = holders / "models"
    init(holders, repo)
    sign_all(holders, repo)
    online = ("--online-key", holders / "online.pem")
    with ModelRepository.locked(repo):
        assert "another command" in refused("repo", "publish", repo, *online)
        run("repo", "status", repo)
    run("repo", "publish", repo, *online)


def test_a_file_that_was_changed_is_not_taken_for_the_one_that_is_signed(
    tmp_path: Path, repo: Repo
) -> None:
    repo.add("1", 0.9)
    changed = tmp_path / "table-1.bundle"
    shutil.copy(tmp_path / "1.bundle", changed)
    push = ("push", changed, "--repo", repo.folder, "--out", tmp_path / "stick.zip")
    assert "SHA-256" in run(*push)
    with zipfile.ZipFile(changed, "a") as archive:
        archive.comment = b"rebuilt"
    assert "under a version of its own" in refused(*push)
    next(repo.store.targets_folder.iterdir()).unlink()
    push = ("push", "table-1.bundle", "--repo", repo.folder, "--out", tmp_path / "stick.zip")
    assert "copy the bundle back" in refused(*push)


def test_an_encrypted_key_needs_its_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANEGRADE_PASSPHRASE", "correct horse")
    assert "encrypted" in run("repo", "key", tmp_path / "root-1.pem")
    assert b"ENCRYPTED" in (tmp_path / "root-1.pem").read_bytes()
    monkeypatch.delenv("CANEGRADE_PASSPHRASE")
    for name in ("root-2", "targets-1", "online"):
        run("repo", "key", tmp_path / f"{name}.pem")
    run(
        *("repo", "init", tmp_path / "models", "--root-threshold", 1),
        *("--root-key", tmp_path / "root-1.pem.pub", "--root-key", tmp_path / "root-2.pem.pub"),
        *("--targets-key", tmp_path / "targets-1.pem.pub"),
        *("--online-key", tmp_path / "online.pem.pub"),
    )
    sign = ("repo", "sign", tmp_path / "models", "--yes", "--sign", tmp_path / "root-1.pem")
    assert "needs its passphrase" in refused(*sign)
    monkeypatch.setenv("CANEGRADE_PASSPHRASE", "wrong horse")
    assert "passphrase" in refused(*sign)
    monkeypatch.setenv("CANEGRADE_PASSPHRASE", "correct horse")
    assert "signed: root" in run(*sign)


# ---- many stations


class Fleet:
    """Stations behind real HTTP, whose cameras are said to be well, and their inventory."""

    def __init__(self, folder: Path, repo: Repo, stack: ExitStack) -> None:
        self.folder = folder
        self.stations: dict[str, ConsoleStation] = {}
        entries = []
        for name, wave in (("kk1", 1), ("kk2", 2), ("kk3", 2), ("ub1", 3)):
            section = {"updates": {"root": repo.trusted_root, "latency_ms": 20_000.0}}
            given = config(folder / name).model_copy(
                update={
                    "model": ModelSection.model_validate(section),
                    "access": AccessSection.model_validate(ACCESS),
                }
            )
            station = ConsoleStation(given)
            stack.callback(station.stop)
            station.models.start()
            served = stack.enter_context(Serving(create_app(station)))
            self.stations[name] = station
            entries.append({"name": name, "url": served.url, "wave": wave})
        self.inventory = folder / "fleet.yaml"
        self.write(user=ENGINEER.user, soak_s=0.2, stations=entries)

    def write(self, **content: Any) -> None:
        self.content = content
        self.inventory.write_text(yaml.safe_dump(content), encoding="utf-8")

    def active(self) -> dict[str, str | None]:
        return {name: station.models.active for name, station in self.stations.items()}


@pytest.fixture
def fleet(tmp_path: Path, repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setenv(PASSWORD_ENV, ENGINEER.password)
    monkeypatch.setenv("COLUMNS", "250")
    with ExitStack() as stack:
        yield Fleet(tmp_path, repo, stack)


def test_a_roll_out_stops_at_a_failure_and_goes_on_from_there(fleet: Fleet, repo: Repo) -> None:
    one = repo.add("1", 0.9)
    push = ("push", "table-1.bundle", "--repo", repo.folder, "--as", "activate")
    kk3 = fleet.stations["kk3"]
    well = kk3.state
    kk3.state = replace(well, ready=False, problems=("C301: camera cannot be reached",))
    said = refused(*push, "--inventory", fleet.inventory)
    assert "2 of 4 stations do not have it" in said
    # The wave of the failure was pushed to, the one after it was not.
    assert fleet.active() == {"kk1": one, "kk2": one, "kk3": one, "ub1": None}
    kept = json.loads((fleet.folder / f"rollout-{one[:12]}.json").read_text())
    assert set(kept["done"]) == {"kk1", "kk2"}
    kk3.state = well
    before = {n: len(s.store.models.events()) for n, s in fleet.stations.items()}
    said = run(*push, "--inventory", fleet.inventory)
    assert "done" in said
    assert set(fleet.active().values()) == {one}
    after = {n: len(s.store.models.events()) for n, s in fleet.stations.items()}
    assert {name for name in after if after[name] > before[name]} == {"ub1"}


def test_a_station_that_rolls_back_while_it_is_watched_stops_the_roll_out(
    fleet: Fleet, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = repo.add("1", 0.9)
    run("push", "table-1.bundle", "--repo", repo.folder, "--inventory", fleet.inventory)
    two = repo.add("2", 0.8)
    models = fleet.stations["kk1"].models
    real = models.receive

    def and_goes_back(*given: Any) -> Any:
        receipt = real(*given)
        assert models.active == two
        # Just after the push, as its watchdog would.
        threading.Timer(0.5, models.roles.roll_back, ("station",)).start()
        return receipt

    monkeypatch.setattr(models, "receive", and_goes_back)
    fleet.write(**fleet.content | {"soak_s": 3.0})
    push = ("push", "table-2.bundle", "--repo", repo.folder, "--as", "activate")
    refused(*push, "--inventory", fleet.inventory)
    assert fleet.active() == dict.fromkeys(fleet.stations, one)


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (502, '{"error": "Bad Gateway"}', "answered 502"),
        (200, "<html>", "not as a station does"),
        (200, "[]", "not as a station does"),
    ],
)
def test_what_answers_and_is_no_station_is_told(
    repo: Repo, status: int, body: str, says: str
) -> None:
    repo.add("1", 0.9)
    proxy = FastAPI()

    @proxy.post("/{path:path}")
    async def answer(request: Request) -> Response:
        await request.body()
        return Response(body, status)

    with Serving(proxy) as served, pytest.raises(ExportError, match=says):
        push(repo.delivery("1"), served.url, ENGINEER, None)


def test_an_address_that_is_none_is_told(repo: Repo) -> None:
    repo.add("1", 0.9)
    with pytest.raises(ExportError, match="http://kk1:80a80: cannot be reached"):
        push(repo.delivery("1"), "http://kk1:80a80", ENGINEER, None)


@pytest.mark.parametrize("soak_s", [0.0, 0.1])
def test_a_station_that_is_silent_at_the_last_look_is_a_failure(soak_s: float) -> None:
    station = FleetStation(name="kk1", url="http://127.0.0.1:1")
    watched = WatchedFleet(user="engineer", soak_s=soak_s, stations=(station,))
    faults = _soak(watched, "0" * 64, [StationResult(station, "done", "took it")])
    assert "does not answer any more" in faults["kk1"]


def test_a_station_that_cannot_be_reached_is_a_failure(fleet: Fleet, repo: Repo) -> None:
    repo.add("1", 0.9)
    entries = [dict(entry) for entry in fleet.content["stations"]]
    entries[0]["url"] = "http://127.0.0.1:1"
    fleet.write(**fleet.content | {"stations": entries})
    push = ("push", "table-1.bundle", "--repo", repo.folder)
    result = CliRunner().invoke(app, [*map(str, push), "--inventory", str(fleet.inventory)])
    assert result.exit_code == 2
    assert "cannot be reached" in result.output
    assert "not begun" in result.output
    assert fleet.active() == dict.fromkeys(fleet.stations)


def test_a_revoked_model_grades_nowhere_once_the_list_is_pushed(fleet: Fleet, repo: Repo) -> None:
    one, two = repo.add("1", 0.9), repo.add("2", 0.8)
    for name in ("table-1.bundle", "table-2.bundle"):
        push = ("push", name, "--repo", repo.folder, "--as", "activate")
        run(*push, "--inventory", fleet.inventory)
    assert fleet.active() == dict.fromkeys(fleet.stations, two)
    tell = ("push", "--list", "--repo", repo.folder)
    for left, digest in ((one, two), (None, one)):
        target = next(t for t, i in repo.store.listed().items() if i.hashes["sha256"] == digest)
        repo.store.revoke(target)
        repo.sign_and_publish()
        said = run(*tell, "--inventory", fleet.inventory)
        assert said.count("signed list taken") == 2 * len(fleet.stations)  # as it comes, at the end
        assert fleet.active() == dict.fromkeys(fleet.stations, left)
    # On a stick, and told again: nothing is wrong with that.
    assert "the signed list" in run(*tell, "--out", fleet.folder / "list.zip")
    with zipfile.ZipFile(fleet.folder / "list.zip") as archive:
        assert not any(name.startswith("targets/") for name in archive.namelist())
    url = fleet.content["stations"][0]["url"]
    assert "0 models" in run(*tell, "--station", url, "--user", ENGINEER.user)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stations": []}, "stations"),
        ({"user": ""}, "user"),
        ({"speed": 3}, "speed"),
        ({"stations": [{"name": "a", "url": "kk1:8080"}]}, "stations.0.url"),
        ({"stations": [{"name": "a", "url": f"http://{n}"} for n in "xy"]}, "stands there twice"),
    ],
)
def test_a_wrong_inventory_is_told(
    tmp_path: Path, repo: Repo, change: dict[str, Any], said: str
) -> None:
    repo.add("1", 0.9)
    file = tmp_path / "fleet.yaml"
    good = {"user": "x", "stations": [{"name": "a", "url": "http://x"}]}
    file.write_text(yaml.safe_dump(good | change), encoding="utf-8")
    assert said in refused("push", "table-1.bundle", "--repo", repo.folder, "--inventory", file)


def test_the_example_inventory_is_one(tmp_path: Path, repo: Repo) -> None:
    from exporter.fleet import Fleet as Inventory

    example = Path(__file__).parents[2] / "deploy" / "fleet.example.yaml"
    copied = shutil.copy(example, tmp_path / "fleet.yaml")
    assert [number for number, _ in Inventory.read(Path(copied)).waves()] == [1, 2]
