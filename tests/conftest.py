"""Fixtures of many tests. That it lies here lets tests import the helpers beside this file, too:
pytest puts a conftest's folder on the path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch and OpenCV compute on one thread: several wait for each other for minutes where other
    work holds the cores."""
    import cv2
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


@pytest.fixture
def accelerator(one_thread: None) -> Iterator[Any]:
    """accelerate's state for one run, on one thread."""
    from training import parallel

    with parallel.accelerator("fp32") as made:
        yield made


@pytest.fixture
def quick_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual judge of synthetic images sees thumbnails, and no network's features."""
    import thumbnails

    from training import baselines

    monkeypatch.setattr(baselines, "frozen_features", thumbnails.features)
