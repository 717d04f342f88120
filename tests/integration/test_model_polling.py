"""A station that looks at its repository, on a real web server that serves it well or badly."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from model_repo import Repo
from model_site import Site
from virtual import wait_until
from web_repo import Elsewhere, Endless, Quiet, Silent, Trickling, TricklingHeaders, Web

from edge_agent.records.ledger import Action, Role
from edge_agent.updates.sources import WebSource


@pytest.fixture
def web(repo: Repo) -> Iterator[Web]:
    served = Web(partial(Quiet, directory=str(repo.folder)))
    yield served
    served.close()


def test_the_newest_model_of_a_repository_is_taken_once(site: Site, web: Web) -> None:
    source = WebSource(web.url)
    assert site.keeper.look(source, "activate") is None
    site.repo.add("1", 0.9)
    time.sleep(1.1)  # they are added at different seconds
    two = site.repo.add("2", 0.8)
    receipt = site.keeper.look(source, "shadow")
    assert receipt is not None
    assert (receipt.digest, receipt.role) == (two, Role.ACTIVE)
    assert site.keeper.look(source, "activate") is None
    assert site.active == two
    time.sleep(1.1)
    three = site.repo.add("3", 0.7)
    receipt = site.keeper.look(source, "shadow")
    assert receipt is not None
    assert (receipt.digest, receipt.role) == (three, Role.SHADOW)
    assert site.active == two
    assert site.keeper.trust_status().problem is None


def test_what_was_rolled_back_is_not_taken_again(site: Site, web: Web) -> None:
    one = site.repo.add("1", 0.9)
    site.keeper.look(WebSource(web.url), "activate")
    time.sleep(1.1)
    site.repo.add("2", 0.8)
    site.keeper.look(WebSource(web.url), "activate")
    site.keeper.roles.roll_back("engineer-1")
    assert site.keeper.look(WebSource(web.url), "activate") is None
    assert site.active == one


def test_a_spoiled_model_is_taken_again_where_none_grades(site: Site, web: Web) -> None:
    one = site.repo.add("1", 0.9)
    site.keeper.look(WebSource(web.url), "activate")
    file = site.keeper.depot.path(one)
    file.write_bytes(file.read_bytes()[:-50])
    site.restart()
    assert site.active is None
    site.keeper.look(WebSource(web.url), "activate")
    assert site.active == one


def test_what_is_looked_at_does_not_take_the_room_that_trucks_need(
    site: Site, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.repo.add("1", 0.9)
    usage = shutil.disk_usage(site.folder)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert site.keeper.look(WebSource(web.url), "activate") is None
    assert "make room there" in site.said(Action.PUSH)
    assert site.active is None


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (Endless, "exceeding"),
        (Trickling, "too slow"),
        (TricklingHeaders, "too slow"),
        (Silent, "no answer for"),
        (Elsewhere, "answered 302"),
    ],
)
def test_a_repository_that_misbehaves_changes_nothing(
    site: Site, handler: type[Quiet], said: str
) -> None:
    one = site.repo.add("1", 0.9)
    site.push("1")
    bad = Web(handler)
    try:
        source = WebSource(bad.url, timeout_s=0.5, grace_s=0.6)
        for _ in range(2):
            assert site.keeper.look(source, "activate") is None
    finally:
        bad.close()
    problem = site.keeper.trust_status().problem
    assert problem is not None
    assert said in problem
    assert "\n" not in problem
    assert site.truck().model_digest == one
    # Told once, not at each look.
    assert sum(e.detail == problem for e in site.store.models.events()) == 1


def test_a_repository_that_is_not_there_is_one_event(site: Site, web: Web) -> None:
    one = site.repo.add("1", 0.9)
    site.push("1")
    url = web.url
    web.close()
    for _ in range(3):
        site.keeper.look(WebSource(url, timeout_s=1.0), "activate")
    problem = site.keeper.trust_status().problem
    assert problem is not None
    assert "cannot be reached" in problem
    assert sum(e.action == Action.PUSH and not e.ok for e in site.store.models.events()) == 1
    assert site.truck().model_digest == one


def test_a_push_does_not_wait_for_a_slow_mirror(sited: Callable[..., Site], repo: Repo) -> None:
    begun = threading.Event()

    class SlowForBundles(Quiet):
        """Slow enough to last for minutes, quick enough to be let."""

        def __init__(self, *given: object) -> None:
            super().__init__(*given, directory=str(repo.folder))  # type: ignore[arg-type]

        def copyfile(self, source: object, outputfile: object) -> None:
            if ".bundle" not in self.path:
                SimpleHTTPRequestHandler.copyfile(self, source, outputfile)  # type: ignore[arg-type]
                return
            try:
                while data := source.read(10):  # type: ignore[attr-defined]
                    outputfile.write(data)  # type: ignore[attr-defined]
                    begun.set()
                    time.sleep(0.05)
            except OSError:
                pass

    repo.add("1", 0.9)
    mirror = Web(SlowForBundles)
    site = sited(repository=mirror.url, poll_minutes=60.0)
    try:
        assert begun.wait(10.0)
        two = repo.add("2", 0.8)
        site.push("2")
        assert site.active == two
        # It let go of the mirror, which is no fault of the mirror's.
        assert site.keeper.trust_status().problem is None
        assert all(event.ok for event in site.store.models.events())
    finally:
        mirror.close()


def test_a_root_that_is_mended_is_trusted_at_the_next_look(
    sited: Callable[..., Site], repo: Repo, web: Web, tmp_path: Path
) -> None:
    one = repo.add("1", 0.9)
    root = tmp_path / "root-given-to-the-station.json"
    root.write_text("{}")
    site = sited(root=root, repository=web.url, poll_minutes=0.01)
    time.sleep(2.0)  # for some looks
    assert "no signed root" in (site.keeper.trust_status().problem or "")
    assert site.active is None
    assert len(site.store.models.events()) <= 1
    root.write_bytes(repo.trusted_root.read_bytes())
    wait_until(lambda: site.active == one)
    wait_until(lambda: site.keeper.trust_status().problem is None)
