"""One labelled folder and one run on it, for all tests of training and export."""

from __future__ import annotations

from pathlib import Path

import pytest
from labelled import labelled_folder
from trained import FIT, train


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled_folder(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="session")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(*FIT, "--data", data, "--out", folder)
    return folder
