"""A labelled folder and a run on it for tests of training and export, and a station's models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from labelled import labelled_folder
from model_repo import Repo
from model_site import Site, in_this_process
from trained import FIT, train


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled_folder(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="session")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(*FIT, "--data", data, "--out", folder)
    return folder


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


@pytest.fixture
def sited(
    tmp_path: Path, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Site]]:
    """Makes stations' models, with given settings under model.updates. Their gate is quick."""
    monkeypatch.setattr("edge_agent.updates.keeper.try_out", in_this_process)
    made: list[Site] = []

    def make(**updates: Any) -> Site:
        site = Site(tmp_path / f"site-{len(made)}", repo, **updates)
        made.append(site)
        return site

    yield make
    for site in made:
        site.close()


@pytest.fixture
def site(sited: Callable[..., Site]) -> Site:
    return sited()
