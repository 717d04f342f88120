"""From how much trash on a load is a trashy one, as labels and masks tell it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.synthesis.boundary import Boundary


@settings(deadline=None)
@given(
    clean=st.lists(st.floats(0, 40), min_size=10, max_size=30),
    trashy=st.lists(st.floats(45, 100), min_size=10, max_size=30),
)
def test_a_boundary_lies_between_loads_that_are_apart(
    clean: list[float], trashy: list[float]
) -> None:
    shares = np.array(clean + trashy)
    labels = np.array([False] * len(clean) + [True] * len(trashy))
    found = Boundary.of(shares, labels)
    assert found is not None
    assert found.accuracy > 0.75
    assert found.trashy(found.share) == pytest.approx(0.5)
    assert found.trashy(0) < 0.5 < found.trashy(100)
    # Which grade is the scarcer one moves nothing: each load of the one ten times over.
    tenfold = Boundary.of(
        np.repeat(shares, np.where(labels, 10, 1)), np.repeat(labels, np.where(labels, 10, 1))
    )
    assert tenfold is not None
    assert tenfold.share == pytest.approx(found.share, abs=3)


def test_too_few_loads_or_the_wrong_way_round_make_no_boundary() -> None:
    shares, trashy = np.repeat([1.0, 90.0], 10), np.repeat([False, True], 10)
    assert Boundary.of(shares, trashy) is not None
    assert Boundary.of(shares[1:], trashy[1:]) is None
    assert Boundary.of(shares[:10], trashy[:10]) is None
    assert Boundary.of(shares, ~trashy) is None
