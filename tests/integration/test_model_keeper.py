"""A station's models from the first push to the roll-back, on real files, records and networks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from model_repo import Repo, changed, row, tiny_bundle
from model_site import BRIGHT, DARK, Site
from tiny_bundle import with_manifest, write_table_bundle
from virtual import wait_until

from edge_agent.config import ModelSection
from edge_agent.errors import TrustError, UpdateError
from edge_agent.inference.lineup import Lineup
from edge_agent.reasons import Reason
from edge_agent.records.ledger import Action, Role
from edge_agent.records.store import Store
from edge_agent.updates import delivery
from edge_agent.updates.keeper import ModelKeeper
from edge_agent.updates.roles import STATION
from edge_agent.updates.sources import FolderSource

# ---- going back


def test_going_back_leads_to_the_model_before_and_then_further(site: Site) -> None:
    one, two, three = (site.repo.add(version, 0.9 - n / 50) for n, version in enumerate("123"))
    for version in "123":
        site.push(version)
    assert site.active == three
    assert site.keeper.roles.roll_back("engineer-1") == two
    assert site.active == two
    assert site.truck().confidence == pytest.approx(0.88, abs=1e-4)
    assert site.keeper.roles.roll_back("engineer-1") == one
    with pytest.raises(UpdateError, match="no earlier model"):
        site.keeper.roles.roll_back("engineer-1")
    site.keeper.roles.activate(three, "engineer-1")
    assert site.keeper.roles.roll_back("engineer-1") == one
    assert site.said(Action.ROLL_BACK).startswith("table 1 (")


def test_a_restart_grades_on_with_the_same_model(site: Site) -> None:
    site.repo.add("1", 0.9)
    two = site.repo.add("2", 0.8)
    site.push("1")
    site.push("2")
    site.restart()
    assert site.active == two
    assert site.keeper.fault is None


@pytest.mark.parametrize("spoil", ["cut", "gone", "other"])
def test_a_spoiled_file_lets_the_earlier_model_grade(site: Site, spoil: str) -> None:
    one = site.repo.add("1", 0.9)
    two = site.repo.add("2", 0.8)
    site.push("1")
    site.push("2")
    file = site.keeper.depot.path(two)
    if spoil == "gone":
        file.unlink()
    elif spoil == "cut":
        file.write_bytes(file.read_bytes()[:-50])
    else:
        file.write_bytes(site.keeper.depot.path(one).read_bytes())
    site.restart()
    assert site.active == one
    assert "because" in site.said(Action.ROLL_BACK)
    # The file is not believed because it lies there.
    with pytest.raises(UpdateError, match=r"push it again|copy or export it again"):
        site.keeper.roles.activate(two, "engineer-1")


def test_a_spoiled_file_is_mended_by_pushing_the_model_again(site: Site) -> None:
    one = site.repo.add("1", 0.9)
    site.push("1")
    file = site.keeper.depot.path(one)
    whole = file.read_bytes()
    file.write_bytes(whole[:-50])
    site.restart()
    assert (site.active, site.truck().reason) == (None, Reason.NO_MODEL)
    assert site.push("1", "hold") == one  # not taken for well because it was once
    assert file.read_bytes() == whole
    site.push("1")
    assert site.active == one
    assert site.truck().outcome == "graded"


def test_a_restart_before_its_first_truck_leaves_the_one_before_in_reserve(site: Site) -> None:
    one = site.repo.add("1", 0.9)
    site.push("1")
    site.truck()
    file = write_table_bundle(site.folder / "short", (row(0.8),))
    two = site.repo.add_file(with_manifest(file, site.folder / "2.bundle", version="2"), "2")
    site.push("2")
    site.restart()
    assert site.active == two
    assert site.truck(BRIGHT).model_digest == one
    assert site.active == one
    site.restart()
    assert site.lineup.reserve is None  # that one has graded


def test_a_new_model_that_fails_on_a_truck_never_gets_a_second_one(site: Site) -> None:
    one = site.repo.add("1", 0.9)
    site.push("1")
    # Its table ends before bright pictures, so that the network fails on them and on no other.
    file = write_table_bundle(site.folder / "short", (row(0.8),))
    two = site.repo.add_file(with_manifest(file, site.folder / "2.bundle", version="2"), "2")
    site.push("2")
    assert site.active == two
    graded = site.truck(BRIGHT)
    assert (graded.outcome, graded.model_digest) == ("graded", one)
    assert graded.confidence == pytest.approx(0.9, abs=1e-4)
    assert site.active == one
    assert "failed on a truck" in site.said(Action.ROLL_BACK)
    assert site.truck(DARK).model_digest == one
    with pytest.raises(UpdateError, match="no earlier model"):
        site.keeper.roles.roll_back("engineer-1")


def test_after_its_first_truck_the_one_before_is_let_go(site: Site) -> None:
    site.repo.add("1", 0.9)
    site.repo.add("2", 0.8)
    site.push("1")
    site.push("2")
    assert site.lineup.reserve is not None
    site.truck()
    assert site.lineup.reserve is None


def test_the_watchdog_goes_back_when_doubtful_trucks_jump(site: Site) -> None:
    one = site.repo.add("1", 0.9)
    site.push("1")
    for _ in range(30):
        site.truck()
    two = site.repo.add("2", 0.5)  # below the threshold of its own manifest
    site.push("2")
    assert site.active == two
    trucks = 0
    while site.active == two:
        assert site.truck().needs_person
        trucks += 1
        assert trucks < 40
        drained(site)
    assert site.active == one
    assert "without a sure grade" in site.said(Action.FAIL)
    assert "without a sure grade" in site.said(Action.ROLL_BACK)
    assert trucks >= 8


def test_the_watchdog_leaves_a_doubtful_model_where_no_earlier_one_can(site: Site) -> None:
    one = site.repo.add("1", 0.9)
    site.push("1")
    for _ in range(30):
        site.truck()
    two = site.repo.add("2", 0.5)
    site.push("2")
    assert site.truck().needs_person  # the one before is let go
    file = site.keeper.depot.path(one)
    file.write_bytes(file.read_bytes()[:-50])
    for _ in range(15):
        assert site.truck().needs_person
        drained(site)
    assert (site.active, site.keeper.fault) == (two, None)


def drained(site: Site) -> None:
    """Waits until the shadow's thread has seen all trucks."""
    waiting = site.keeper.shadowing._waiting
    wait_until(lambda: waiting.unfinished_tasks == 0)


# ---- revoked, expired


def test_a_revoked_model_gives_way_to_an_earlier_one_and_then_to_none(site: Site) -> None:
    one = site.repo.add("1", 0.9)
    two = site.repo.add("2", 0.8)
    site.push("1")
    site.push("2")
    site.repo.store.revoke("table-2.bundle")
    site.repo.sign_and_publish()
    site.keeper.receive(site.repo.delivery("1"), "engineer-1", "hold")
    assert site.active == one
    assert "no longer signed for" in site.said(Action.ROLL_BACK)
    with pytest.raises(UpdateError, match="no longer signed for"):
        site.keeper.roles.activate(two, "engineer-1")
    site.repo.add("3", 0.7)
    site.repo.store.revoke("table-1.bundle")
    site.repo.sign_and_publish()
    site.keeper.receive(without_bundle(site.repo.delivery("3")), "engineer-1", "hold")
    assert site.active is None
    assert site.truck().reason == Reason.NO_MODEL
    assert any("no model grades" in problem for problem in site.keeper.problems())
    site.restart()
    assert site.active is None
    site.push("3", "shadow")
    assert site.active is not None, "the first model that may grade does so at once"
    assert site.keeper.problems() == []


def test_a_revoked_model_does_not_come_back_as_the_reserve(site: Site) -> None:
    site.repo.add("1", 0.9)
    site.push("1")
    file = write_table_bundle(site.folder / "short", (row(0.8),))
    site.repo.add_file(with_manifest(file, site.folder / "2.bundle", version="2"), "2")
    site.push("2")
    assert site.lineup.reserve is not None
    site.repo.store.revoke("table-1.bundle")
    site.repo.sign_and_publish()
    site.keeper.receive(without_bundle(site.repo.delivery("2")), "engineer-1", "hold")
    assert site.lineup.reserve is None
    assert site.truck(BRIGHT).reason == Reason.MODEL_FAILED


def test_what_a_crash_kept_from_following_a_revocation_follows_at_the_start(site: Site) -> None:
    one = site.repo.add("1", 0.9)
    two = site.repo.add("2", 0.8)
    site.push("1")
    site.push("2")
    site.repo.store.revoke("table-2.bundle")
    site.repo.sign_and_publish()
    # TUF's files are written, the records are not.
    folder = site.folder / "crashed"
    delivery.unpack(without_bundle(site.repo.delivery("1")), folder)
    trust = site.keeper._trust
    assert trust is not None
    trust.refresh(FolderSource(folder, "delivery"))
    assert site.active == two
    site.restart()
    assert site.active == one
    assert "no longer signed for" in site.said(Action.ROLL_BACK)


def test_without_its_root_a_station_grades_on(site: Site) -> None:
    one = site.repo.add("1", 0.9)
    site.push("1")
    root = site.config.updates.root  # type: ignore[union-attr]
    text = root.read_text()
    root.write_text("{}")
    site.restart()
    assert site.active == one
    assert site.truck().model_digest == one
    assert "no signed root metadata" in (site.keeper.trust_status().problem or "")
    with pytest.raises(TrustError, match="no signed root"):
        site.keeper.receive(site.repo.delivery("1"), "engineer-1", "hold")
    root.write_text(text)
    assert site.keeper.receive(site.repo.delivery("1"), "engineer-1", "hold").accepted


def test_pushing_what_grades_already_changes_nothing(site: Site) -> None:
    one = site.repo.add("1", 0.9)
    site.push("1")
    events = len(site.store.models.events())
    for intent in ("activate", "shadow", "hold"):
        receipt = site.keeper.receive(site.repo.delivery("1"), "engineer-1", intent)  # type: ignore[arg-type]
        assert (receipt.accepted, receipt.role) == (True, Role.ACTIVE)
    assert site.active == one
    assert len(site.store.models.events()) == events


def without_bundle(delivery: Path) -> Path:
    """The same delivery with its metadata alone."""
    return changed(delivery, {".bundle": None})


def test_an_expired_delivery_is_refused(site: Site) -> None:
    one = site.repo.add("1", 0.9)
    site.push("1")
    assert site.keeper.problems() == []
    site.repo.store._days["timestamp"] = 0
    site.repo.store._days["snapshot"] = 0
    site.repo.store.use(site.repo.online)
    site.repo.store.publish()
    time.sleep(1.1)
    site.restart()
    with pytest.raises(TrustError, match="expired"):
        site.keeper.receive(site.repo.delivery("1"), "engineer-1", "hold")
    # Of a list that has expired nothing is believed, not even that it is the newest; the one before
    # is good for a while.
    assert site.keeper.problems() == []
    assert "has expired" in site.said(Action.PUSH)
    assert site.active == one
    assert site.truck().model_digest == one


def test_past_its_expiry_a_station_grades_on_and_says_so(site: Site) -> None:
    site.repo.add("1", 0.9)
    site.push("1")
    site.repo.store._days["timestamp"] = 6 / 86400  # type: ignore[assignment]
    site.repo.store.use(site.repo.online)
    site.repo.store.publish()
    site.keeper.receive(without_bundle(site.repo.delivery("1")), "engineer-1", "hold")
    wait_until(lambda: any("has expired" in problem for problem in site.keeper.problems()))
    site.restart()
    assert any("grades on" in problem for problem in site.keeper.problems())
    assert site.truck().outcome == "graded"


def test_only_the_last_models_stay_on_disk(sited: Callable[..., Site]) -> None:
    site = sited(keep=2)
    digests = []
    for number in range(4):
        digests.append(site.repo.add(str(number), 0.9 - number / 50))
        site.push(str(number))
    left = {file.stem for file in site.keeper.depot.folder.glob("*.bundle")}
    assert left == set(digests[-2:])
    assert site.keeper.roles.roll_back("engineer-1") == digests[2]
    with pytest.raises(UpdateError, match="push it again"):
        site.keeper.roles.activate(digests[0], "engineer-1")


# ---- in the shadow


def test_a_candidate_grades_unseen_and_a_person_promotes_it(sited: Callable[..., Site]) -> None:
    site = sited(shadow={"trucks": 4})
    one = site.repo.add("1", 0.9)
    site.push("1")
    # Says undefined of bright pictures, fresh_clean of the others.
    rows = (row(0.8),) * 3 + (row(0.8)[::-1],)
    file = with_manifest(
        write_table_bundle(site.folder / "t", rows), site.folder / "2", version="2"
    )
    two = site.repo.add_file(file, "2")
    site.push("2", "shadow")
    assert site.active == one
    for level in (DARK, DARK, DARK, BRIGHT, DARK, DARK):
        assert site.truck(level).model_digest == one
    drained(site)
    found = site.keeper.shadowing.summary()
    assert found is not None
    assert (found.trucks, found.failed, found.complete) == (4, 0, True)
    assert found.agreement == pytest.approx(0.75)
    assert {(a, c): n for a, c, n in found.confusion} == {
        ("fresh_clean", "fresh_clean"): 3,
        ("fresh_clean", "undefined"): 1,
    }
    assert found.candidate_ms is not None
    site.keeper.roles.activate(two, "engineer-1")
    assert site.active == two
    assert site.lineup.shadow is None
    assert site.keeper.shadowing.summary() is None


def test_a_candidate_that_fails_shows_in_its_figures_alone(site: Site) -> None:
    one = site.repo.add("1", 0.9)
    site.push("1")
    file = write_table_bundle(site.folder / "short", (row(0.8),))
    site.repo.add_file(with_manifest(file, site.folder / "2.bundle", version="2"), "2")
    site.push("2", "shadow")
    assert site.truck(BRIGHT).model_digest == one
    drained(site)
    found = site.keeper.shadowing.summary()
    assert found is not None
    assert (found.trucks, found.failed, found.agreement) == (1, 1, None)
    assert site.active == one
    site.restart()
    assert site.lineup.shadow is not None
    site.keeper.roles.release("engineer-1")
    with pytest.raises(UpdateError, match="no candidate"):
        site.keeper.roles.release("engineer-1")


@pytest.mark.parametrize(("confidence", "promoted"), [(0.8, True), (0.05, False)])
def test_a_stated_rule_promotes(
    sited: Callable[..., Site], confidence: float, promoted: bool
) -> None:
    site = sited(shadow={"trucks": 3, "promote_at": 0.9})
    one = site.repo.add("1", 0.9)
    site.push("1")
    two = site.repo.add("2", confidence)
    site.push("2", "shadow")
    for _ in range(3):
        assert site.active == one
        site.truck()
    drained(site)
    assert site.active == (two if promoted else one)
    if promoted:
        event = site.store.models.events()[0]
        assert (event.actor, event.action) == (STATION, Action.ACTIVATE)


def test_without_updates_nothing_can_be_pushed(tmp_path: Path, repo: Repo) -> None:
    file = tiny_bundle(tmp_path / "fixed.bundle", "fixed", 0.9)
    repo.add("1", 0.8)
    with Store(tmp_path / "records.sqlite") as store:
        lineup = Lineup()
        section = ModelSection(bundle=file)
        keeper = ModelKeeper(section, tmp_path / "models", store, lineup, lambda: None)
        keeper.start()
        assert lineup.active is not None
        for attempt in (
            lambda: keeper.receive(repo.delivery("1"), "engineer-1", "activate"),
            lambda: keeper.roles.roll_back("engineer-1"),
            lambda: keeper.roles.activate("0" * 64, "engineer-1"),
            lambda: keeper.roles.shadow("0" * 64, "engineer-1"),
        ):
            with pytest.raises(UpdateError, match=r"model\.updates|model\.bundle"):
                attempt()
        assert lineup.active.bundle.manifest.version == "fixed"
        keeper.stop()
