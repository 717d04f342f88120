"""Content checks on rendered and spoiled pictures."""

import cv2
import numpy as np
import pytest

from edge_agent.cameras.backoff import Backoff
from edge_agent.cameras.checks import check_picture
from edge_agent.config import ChecksSection
from edge_agent.reasons import Reason
from simulator.render import render_view
from simulator.truth import draw_truck


@pytest.fixture(scope="module")
def luma() -> np.ndarray:
    truck = draw_truck(np.random.default_rng(3), 0.2, hour=11.0)
    view = render_view(truck, "C301", (568, 426))
    return np.asarray(cv2.cvtColor(view.image, cv2.COLOR_BGR2GRAY), np.uint8)


def test_a_good_picture_passes(luma: np.ndarray) -> None:
    assert check_picture(luma, ChecksSection()) is None


def test_a_night_picture_passes() -> None:
    truck = draw_truck(np.random.default_rng(4), 0.6, hour=23.0)
    view = render_view(truck, "C301", (568, 426))
    gray = np.asarray(cv2.cvtColor(view.image, cv2.COLOR_BGR2GRAY), np.uint8)
    assert check_picture(gray, ChecksSection()) is None


@pytest.mark.parametrize("noise", [0.0, 2.0, 4.0])
def test_noise_does_not_hide_that_a_picture_is_out_of_focus(luma: np.ndarray, noise: float) -> None:
    """At night a camera amplifies: rendered at 4 MP, its noise in the thumbnail is 1.6 levels."""
    rng = np.random.default_rng(1)
    blurred = cv2.GaussianBlur(luma, (0, 0), 6) + rng.normal(0, noise, luma.shape)
    problem = check_picture(np.clip(blurred, 0, 255).astype(np.uint8), ChecksSection())
    assert problem is not None
    assert problem.reason is Reason.BLURRED


@pytest.mark.parametrize("reason", ["black", "overexposed", "blurred", "covered"])
def test_spoiled_pictures_are_named(luma: np.ndarray, reason: str) -> None:
    spoiled = {
        "black": luma // 40,
        "overexposed": cv2.add(luma, 220),
        "blurred": cv2.GaussianBlur(luma, (0, 0), 12),
        "covered": np.full_like(luma, 70),
    }[reason]
    problem = check_picture(np.asarray(spoiled, np.uint8), ChecksSection())
    assert problem is not None
    assert problem.reason is Reason(reason)


def test_wrong_passwords_are_tried_rarely_and_other_faults_soon() -> None:
    backoff = Backoff()
    waits = [backoff.failed(Reason.UNREACHABLE) for _ in range(12)]
    assert waits[0] < 1
    assert max(waits) <= 15 * 1.25
    backoff.succeeded()
    assert backoff.failed(Reason.UNREACHABLE) < 1
    refused = Backoff()
    hour = 0.0
    tries = 0
    while hour < 1800:
        hour += refused.failed(Reason.UNAUTHORIZED)
        tries += 1
    assert tries < 8
